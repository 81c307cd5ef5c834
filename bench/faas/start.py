# SPDX-License-Identifier: MIT
"""Three ways to run a function in Python: prints lines `METRIC UNIT VALUE`, medians over the rounds.

    start.py RUNTIME DIRECTORY HANDLER EVENT ROUNDS

cold_start   a new interpreter imports the function, runs it and ends
warm_fork    a warmed zygote forks a worker that reads the request, runs it, answers and ends
fork_call    what fork alone takes of that, as the zygote sees it
in_process   the same request in the zygote itself

The worker is the one of runtime.py; nothing of ufaas but that is measured here.
"""
import gc
import importlib.util
import os
import socket
import statistics
import subprocess
import sys
import time

now = time.perf_counter_ns


def load(path):
    """runtime.py as a module."""
    specification = importlib.util.spec_from_file_location("runtime", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def main():
    path, directory, handler, event, rounds = sys.argv[1:]
    rounds = int(rounds)
    os.environ.update(_HANDLER=handler, LAMBDA_TASK_ROOT=directory, UFAAS_WARMUP=event)
    runtime = load(path)
    function = runtime.load()
    runtime.rehearse()
    ours, theirs = socket.socketpair()
    header = b"Lambda-Runtime-Aws-Request-Id: 1\nLambda-Runtime-Deadline-Ms: 1\n"
    request = runtime.PART.pack(runtime.REQUEST, len(header), len(event)) + header + event.encode()

    def in_process():
        ours.send(request)
        runtime.call(function, theirs.fileno())
        ours.recv(65536)

    forks = []

    def warm_fork():
        ours.send(request)
        start = now()
        pid = os.fork()
        if pid == 0:
            runtime.call(function, theirs.fileno())
            os._exit(0)
        forks.append(now() - start)
        ours.recv(65536)
        os.waitpid(pid, 0)

    module, _, name = handler.rpartition(".")
    code = f"import sys, json; sys.path[0] = {directory!r}; import {module}; " \
           f"json.dumps({module}.{name}(json.loads({event!r}), None))"

    def cold_start():
        subprocess.run([sys.executable, "-c", code], check=True)

    def measure(way, times):
        """Microseconds."""
        for _ in range(times // 10 + 1):
            way()
        forks.clear()
        taken = []
        for _ in range(times):
            start = now()
            way()
            taken.append(now() - start)
        return statistics.median(taken) / 1000

    gc.collect()
    gc.freeze()
    figures = [("cold_start", measure(cold_start, max(3, rounds // 50))), ("warm_fork", measure(warm_fork, rounds)),
               ("fork_call", statistics.median(forks) / 1000), ("in_process", measure(in_process, rounds))]
    for name, value in figures:
        print(name, "us", value)


main()
