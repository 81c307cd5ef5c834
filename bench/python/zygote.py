# SPDX-License-Identifier: MIT
"""A warmed zygote that forks a worker per request: prints `NAME VALUE` lines.

    zygote.py FORKS LIVE

fork_us      median time of the fork call as the zygote sees it, microseconds
empty_us     median of fork, a worker that exits at once, wait
handler_us   median of fork, a worker that decodes a request, calls a handler and encodes the answer
rate         workers of the last kind per second, one after another
private_kb   private memory of each of LIVE workers that have run the handler and still live
call_us      median of the handler called in the zygote itself
"""
import asyncio  # noqa: F401, what a function's runner would have imported
import gc
import json
import os
import re  # noqa: F401
import statistics
import sys
import time

now = time.perf_counter_ns
REQUEST = json.dumps({"name": "uFork", "numbers": list(range(20))})


def handler(event, context):
    return {"greeting": "hello " + event["name"], "sum": sum(event["numbers"])}


def work():
    return json.dumps(handler(json.loads(REQUEST), None))


def empty():
    pass


def spawn(function):
    """One worker; nanoseconds of the fork call and of its whole life."""
    start = now()
    pid = os.fork()
    if pid == 0:
        function()
        os._exit(0)
    forked = now() - start
    os.waitpid(pid, 0)
    return forked, now() - start


def private_kb(pid):
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        fields = dict(line.split(":", 1) for line in lines if line.startswith("Private_"))
    return sum(int(value.split()[0]) for value in fields.values())


def live(count):
    """The mean private memory of `count` workers that have answered and wait."""
    answered, hold = os.pipe(), os.pipe()
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            work()
            os.write(answered[1], b"x")
            os.read(hold[0], 1)
            os._exit(0)
        pids.append(pid)
    seen = 0
    while seen < count:
        seen += len(os.read(answered[0], count))
    mean = statistics.mean(map(private_kb, pids))
    os.write(hold[1], b"x" * count)
    for pid in pids:
        os.waitpid(pid, 0)
    return mean


def main():
    forks, alive = int(sys.argv[1]), int(sys.argv[2])
    gc.collect()
    gc.freeze()
    gc.disable()
    for _ in range(100):
        work()
        spawn(work)
    calls = []
    for _ in range(forks):
        start = now()
        work()
        calls.append(now() - start)
    empties = [spawn(empty) for _ in range(forks)]
    begin = now()
    handled = [spawn(work) for _ in range(forks)]
    seconds = (now() - begin) / 1e9
    print("fork_us", round(statistics.median(f for f, _ in empties) / 1000, 2))
    print("empty_us", round(statistics.median(w for _, w in empties) / 1000, 2))
    print("handler_us", round(statistics.median(w for _, w in handled) / 1000, 2))
    print("rate", round(forks / seconds))
    print("private_kb", round(live(alive)))
    print("call_us", round(statistics.median(calls) / 1000, 2))


main()
