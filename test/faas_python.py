#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Functions in Python: the runtime alone (faas/zygote_test.py), then behind ufaas over HTTP, on Linux and on µFork.

    faas_python.py --build DIR [--systems linux ufork pc] [NAME...]

What a function leaves behind, how functions try to reach each other, how they misbehave and what others notice of it:
faas/handlers.py. On platform pc, the runtime alone and a few requests.
"""
import argparse
import concurrent.futures
import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "bench"))
from faas_server import RUNTIME, ExampleServer, Function, Server  # noqa: E402

LIMIT = 120  # seconds for anything
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def functions():
    """Examples and the tests' own, each a function with a user and a zygote of its own. Nobody is to meet a limit of
    time but those that hang: the host may be busy, or stand still for seconds."""
    patient = {"timeout_ms": 60000, "warmup_ms": 1000 * LIMIT}
    own = [Function(name, f"{module}.{name}", HERE / "faas", memory_mb=128, **patient)
           for module, names in (("handlers", ["echo", "about", "fail", "crash", "whereabouts", "attack", "limits"]),)
           for name in names]
    own += [Function("both", "both.handler", HERE / "faas", **patient),
            Function("hang", "handlers.hang", HERE / "faas", **{**patient, "timeout_ms": 500}),
            Function("eat_memory", "handlers.eat_memory", HERE / "faas", memory_mb=64, **patient),
            Function("bomb", "handlers.bomb", HERE / "faas", **{**patient, "timeout_ms": 1000})]
    examples = [Function(name, memory_mb=256, **patient) for name in
                ("empty", "hello", "float_operation", "aes", "json_transform", "log_analysis", "big_heap")]
    return own + examples


def expect(found, wanted):
    assert found == wanted, f"{found!r} instead of {wanted!r}"


def calm(condition, what):
    """Waits until it is so."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@test
def examples(server):
    expect(server.call("empty", {}), (200, None))
    status, greeting = server.call("hello", {"name": "you"})
    expect((status, greeting["greeting"], greeting["function"]), (200, "hello you", "hello"))
    status, numbers = server.call("float_operation", {"n": 3})
    expect((status, {k: round(v, 6) for k, v in numbers.items()}),
           (200, {"sin": 0.909297, "cos": -0.416147, "sqrt": 1.414214}))
    expect(server.call("aes", {}), (200, {"sha256": "80bd30cfae961ddb0c78476ea7817062d472caad72c93fbdde10713ac16ea441"}))
    status, totals = server.call("json_transform", {})
    expect((status, totals["orders"], totals["countries"]["DE"]), (200, 100, 1875.0))
    expect(server.call("log_analysis", {}), (200, {"statuses": {"200": 80, "404": 7}, "robots": 13, "bytes": 201706,
                                                   "paths": {"/shop/item/N/picture": 87}}))
    for _ in range(2):  # the second finds the record as it was
        status, found = server.call("big_heap", {"record": 5})
        expect((status, found["sum"]), (200, 119720))


@test
def conversation(server):
    """Lambda's conventions: events, contexts, errors, large bodies."""
    for event in ({}, {"a": [1, 2.5, None, "ä€"]}, "text", 7, None, {"text": "x" * 2000000}):
        expect(server.call("echo", event), (200, event))
    status, seen = server.call("about", {})
    expect((status, seen["name"], seen["memory"], seen["group"]), (200, "about", "128", True))
    assert 0 < seen["left"] <= 60000 and seen["request"] and seen["arn"], seen
    status, error = server.call("fail", {})
    expect((status, error["errorType"], error["errorMessage"], len(error["stackTrace"])), (500, "ValueError", "a reason", 2))


@test
def requests_apart(server):
    """What a request leaves in memory, globals, environment, files, descriptors, threads and processes is not seen by the
    next, nor by one at the same time."""
    wanted = {"globals": [], "attribute": False, "module": False, "environment": None, "objects": 0, "signal": True,
              "umask": 0o77, "directory": True, "threads": 1, "temporary": []}

    def look():
        status, seen = server.call("both", {"look": True})
        expect(status, 200)
        seen.pop("others")
        return seen.pop("processes"), seen.pop("descriptors"), seen

    _, descriptors, seen = look()
    expect(seen, wanted)
    for _ in range(3):
        expect(server.call("both", {"look": False})[0], 200)
        end = time.monotonic() + LIMIT
        while True:
            processes, *later = look()
            expect(later, [descriptors, wanted])
            # Its children end with it, which is after its answer.
            if not processes or not server.own_users:
                break
            assert time.monotonic() < end, processes
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(server.call, "both", {"look": i % 2 == 0}, timeout=LIMIT) for i in range(40)]:
            status, answer = future.result()
            expect(status, 200)
            if "globals" in answer:
                expect({name: answer[name] for name in wanted}, wanted)
                expect(answer["descriptors"], descriptors)


@test
def functions_apart(server):
    """No signal, nothing in /proc, no file of another function's worker, of its zygote or of the server."""
    if not server.own_users:
        return
    status, before = server.call("whereabouts", {})
    expect(status, 200)
    assert before["uid"] != server.call("about", {})[1]["uid"], "one user for two functions"
    place = os.path.dirname(before["directory"])
    gate, told = server.directory / "gate", lambda: server.said().count(place + "/")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        calm(lambda: told() > 0, "the first has told where it was")
        before_it = told()
        victim = pool.submit(server.call, "whereabouts", {"until": str(gate), "file": True}, timeout=LIMIT)
        calm(lambda: told() > before_it, "the victim is there")
        # All processes there are, the victim among them: nobody knows its number before it answers.
        status, attacked = server.call("attack", {"paths": [place]}, timeout=LIMIT)
        gate.touch()
        status, found = victim.result()
        expect((status, found["zygote"]), (200, before["zygote"]))
        assert {found["pid"], found["zygote"]} <= set(attacked["attacked"]), (found, attacked)
        expect(attacked["worked"], [])


@contextlib.contextmanager
def others_served(server):
    """A well-behaved function is called all the while; each request is answered."""
    stop, bad, times = threading.Event(), [], []

    def ask():
        while not stop.is_set():
            start = time.monotonic()
            try:
                status, answer = server.call("echo", {"n": len(times)}, timeout=LIMIT)
                if (status, answer) != (200, {"n": len(times)}):
                    bad.append((status, answer))
            except OSError as problem:
                bad.append(problem)
            times.append(time.monotonic() - start)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
        calm(lambda: len(times) > 3, "some have been answered")
    finally:
        stop.set()
        thread.join()
    assert not bad, (bad[:3], len(times), max(times, default=0))


@test
def misbehaviour(server):
    """Crashes, hangs and eaten memory harm nobody but their request."""
    with others_served(server):
        for _ in range(3):
            expect(server.call("crash", {})[0], 502)
            expect(server.call("hang", {})[0], 504)
            status, error = server.call("eat_memory", {})
            expect((status, error["errorType"]), (500, "MemoryError"))
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            jobs = [(name, pool.submit(server.call, name, {}, timeout=LIMIT)) for name in ("crash", "hang", "eat_memory") * 4]
            for name, job in jobs:
                expect((name, job.result()[0]), (name, {"crash": 502, "hang": 504, "eat_memory": 500}[name]))


@test
def fork_bomb(server):
    """Its function has so many processes and no more; all are gone after the time-out."""
    status, limits = server.call("limits", {})
    expect(status, 200)
    if not server.own_users:
        return
    assert 0 < limits["processes"] < 10000, limits
    with others_served(server):
        expect(server.call("bomb", {})[0], 504)
        # Until its dead have been waited for, its own next request may find no room for a worker.
        end = time.monotonic() + LIMIT
        while (status := server.call("bomb", {})[0]) != 504:
            expect(status, 502)
            assert time.monotonic() < end
    expect(server.call("echo", {}), (200, {}))


@test
def deployed_under_load(server):
    """A function is warmed anew ten times while requests come: none is lost."""
    with others_served(server):
        for _ in range(10):
            request = urllib.request.Request(f"http://127.0.0.1:{server.admin}/admin/functions/echo", data=b"")
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                expect(answer.status, 200)


@test
def keepalive(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
    for n in range(50):
        connection.request("POST", "/2015-03-31/functions/echo/invocations", json.dumps({"n": n}))
        answer = connection.getresponse()
        expect((answer.status, json.loads(answer.read())), (200, {"n": n}))
    connection.close()


@test
def nothing_stays(server):
    """After all of this the zygotes have no workers left."""
    end = time.monotonic() + LIMIT
    while True:
        status, seen = server.call("both", {"look": True})
        if status == 200 and not seen["others"] and (not seen["processes"] or not server.own_users):
            return
        assert time.monotonic() < end, seen
        time.sleep(0.2)


class Patient(ExampleServer):
    """With the limits of the examples, which a host may be too slow for at times: then it is asked again."""

    def wait_for_answers(self):
        try:
            super().wait_for_answers()
        except RuntimeError:
            if self.process.poll() is not None:
                raise
            super().wait_for_answers()

    def call(self, function, event):
        end = time.monotonic() + LIMIT
        while True:
            status, answer = super().call(function, event, timeout=LIMIT)
            if status not in (502, 504) or time.monotonic() > end:
                return status, answer
            time.sleep(0.1)


def example_configuration(build, system):
    """user/ufaas/examples/functions.toml, unchanged on all systems."""
    start = time.monotonic()
    server = Patient(system, build)
    try:
        for _ in range(2):
            examples(server)
        # One environment serves both, unless it is slow to ask for the second.
        expect(server.call("shell", {}), (200, {"bytes": 2, "events": 1}))
        status, seen = server.call("shell", {"a": 1})
        expect((status, seen["bytes"], seen["events"] in (1, 2)), (200, 8, True))
    except Exception as problem:
        print(f"FAILED faas/configuration ({system}): {problem!r}\n{server.said()[-1500:]}", flush=True)
        return False
    finally:
        server.stop()
    print(f"ok faas/configuration ({system}) {time.monotonic() - start:.1f} s", flush=True)
    return True


def zygote_tests(build, system):
    """faas/zygote_test.py; True if all is well."""
    command = [build / "native/bin/python3", HERE / "faas/zygote_test.py", RUNTIME]
    if system != "linux":
        vm = ["--vm", "--cpus=2"] if system == "pc" else []
        command = [build / "bin/ufork", "run", *vm, f"--root={build / 'rootfs'}", f"--dir=/test:{HERE / 'faas'}:ro",
                   f"--dir=/runtime:{RUNTIME.parent}:ro", "python3", "/test/zygote_test.py", "/runtime/runtime.py"]
    done = subprocess.run([*map(str, command)], stdin=subprocess.DEVNULL, timeout=LIMIT * 15, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    return done.returncode == 0


def python_on_pc(build):
    """The smoke test of the port, which `make test-ports` runs on the other two systems."""
    port = HERE.parent / "ports/python3"
    done = subprocess.run([str(build / "bin/ufork"), "run", "--vm", "--cpus=2", f"--root={build / 'rootfs'}",
                           f"--dir=/port:{port}:ro", "python3", "/port/smoke.py"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT * 15)
    good = done.returncode == 0 and done.stdout == (port / "smoke.out").read_text()
    print("ok faas/python (pc)" if good else f"FAILED faas/python (pc):\n{done.stdout}{done.stderr}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--systems", nargs="*", default=["linux", "ufork", "pc"])
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    build, passed, failed = args.build.resolve(), 0, []
    for system in args.systems:
        if not args.names or "zygote" in args.names:
            good = zygote_tests(build, system)
            passed += good
            failed += [] if good else [f"zygote ({system})"]
        if not args.names or "configuration" in args.names:
            good = example_configuration(build, system)
            passed += good
            failed += [] if good else [f"configuration ({system})"]
        if system == "pc":
            if not args.names or "python" in args.names:
                good = python_on_pc(build)
                passed += good
                failed += [] if good else ["python (pc)"]
            continue
        server = Server(system, build, functions())
        try:
            server.own_users = system != "linux" or os.geteuid() == 0
            for function in TESTS:
                if args.names and function.__name__ not in args.names:
                    continue
                start = time.monotonic()
                try:
                    function(server)
                    passed += 1
                    print(f"ok faas/{function.__name__} ({system}) {time.monotonic() - start:.1f} s", flush=True)
                except Exception as problem:
                    failed.append(f"{function.__name__} ({system})")
                    print(f"FAILED faas/{function.__name__} ({system}): {problem!r}\n{server.said()[-1500:]}", flush=True)
                    if server.process.poll() is not None:
                        break
        finally:
            server.stop()
    print(f"functions in Python: {passed} passed, {len(failed)} failed {' '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
