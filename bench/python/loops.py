# SPDX-License-Identifier: MIT
"""CPU-bound Python.

    loops.py NAME SCALE     runs one loop, or none if NAME is `nothing`
    loops.py                lists them
"""
import hashlib
import json
import math
import re
import sys


def float_operation(n):
    """FunctionBench's."""
    for i in range(n):
        math.sin(i)
        math.cos(i)
        math.sqrt(i)


class Point:
    __slots__ = ("x", "y", "z")

    def __init__(self, i):
        self.x = x = math.sin(i)
        self.y = math.cos(i) * 3
        self.z = x * x / 2

    def maximize(self, other):
        self.x = max(self.x, other.x)
        self.y = max(self.y, other.y)
        self.z = max(self.z, other.z)
        return self


def objects(n):
    """pyperformance's `float`: small objects, attributes, calls."""
    points = [Point(i) for i in range(n)]
    best = points[0]
    for point in points[1:]:
        best = best.maximize(point)


def fibonacci(n):
    def fib(k):
        return k if k < 2 else fib(k - 1) + fib(k - 2)

    for _ in range(n):
        fib(18)


def dictionaries(n):
    counts = {}
    for i in range(n):
        key = "key%d" % (i % 1000)
        counts[key] = counts.get(key, 0) + i
    return sorted(counts.items(), key=lambda item: item[1])


def json_both_ways(n):
    text = json.dumps({"rows": [{"id": i, "name": f"row {i}", "values": [i / 3, None, True]} for i in range(50)]})
    for _ in range(n):
        json.dumps(json.loads(text))


def regular_expressions(n):
    text = "2026-11-26 10:00:00 host program[123]: user=alice action=login from=10.0.0.1\n" * 20
    pattern = re.compile(r"(\d+-\d+-\d+) (\S+) (\w+) (\w+)\[(\d+)\]: user=(\w+) action=(\w+) from=([\d.]+)")
    for _ in range(n):
        pattern.findall(text)


def digests(n):
    data = bytes(range(256)) * 64
    for _ in range(n):
        hashlib.sha256(data).digest()


LOOPS = [(float_operation, 300000), (objects, 100000), (fibonacci, 50), (dictionaries, 200000),
         (json_both_ways, 400), (regular_expressions, 400), (digests, 500)]


def main():
    if len(sys.argv) == 1:
        print(*(function.__name__ for function, _ in LOOPS))
        return
    for function, n in LOOPS:
        if function.__name__ == sys.argv[1]:
            function(max(1, int(n * float(sys.argv[2]))))


main()
