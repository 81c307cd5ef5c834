#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Cost of the sandboxing on CPU-bound code: run time and text size, relative to gcc -O2 of the same
source and C library.

Both builds of a program run alternately; the figure of a run is its CPU time less that of an empty
program on the same system; the table shows medians, the ratio of medians, its spread (half the
distance of the quartiles of the paired ratios) and the ratio of minima, which other load on the
machine disturbs less.
"""
import argparse
import hashlib
import math
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
GOAL = 1.08


class Bench:
    def __init__(self, name, program, args=(), stdin=None):
        self.name, self.program, self.args, self.stdin = name, program, list(args), stdin


def cpu_time(cmd, stdin):
    """(seconds of CPU time, digest of the output) of one run."""
    with open(stdin or os.devnull, "rb") as source:
        child = subprocess.Popen(cmd, stdin=source, stdout=subprocess.PIPE)
        digest = hashlib.sha256(child.stdout.read()).hexdigest()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"sfi: {' '.join(cmd)}: exit status {child.returncode}")
    return usage.ru_utime + usage.ru_stime, digest


def text_size(file):
    out = subprocess.run(["size", "-A", file], capture_output=True, text=True, check=True).stdout
    sizes = {f[0]: int(f[1]) for f in map(str.split, out.splitlines()) if len(f) == 3 and f[1].isdigit()}
    return sum(sizes.get(s, 0) for s in (".init", ".text", ".fini"))


def plain_text(file):
    """About 16 MB that compress neither trivially nor hardly: numbers, words and repetitions."""
    state, lines = 1, []
    for i in range(330000):
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        lines.append(f"{i} {state >> 40:x} {'lorem ipsum dolor sit amet'[:state >> 59]} {state >> 50}\n")
    with open(file, "w") as f:
        f.write("".join(lines))


def benches(build, data):
    loops = subprocess.run([f"{build}/bench/sfi/native/loops"], capture_output=True, text=True,
                           check=True).stdout.split()
    yield Bench("lua", "lua", ["-"], f"{HERE}/bench.lua")
    yield Bench("sqlite", "sqlite3", [":memory:"], f"{HERE}/bench.sql")
    yield Bench("zlib", "minigzip", ["-6"], data)
    yield Bench("lz4", "lz4", ["-5", "-c"], data)
    for name in loops:
        yield Bench(name, "loops", [name])


class Systems:
    """The two builds of every program and how to run them."""

    def __init__(self, build):
        self.build = build
        ufork = f"{build}/bin/ufork"
        own_runner = not os.access(ufork, os.X_OK)
        self.prefix = {"native": [],
                       "ufork": [f"{build}/test/load"] if own_runner else [ufork, "run", "--quiet"]}
        if own_runner:
            print("sfi: no ufork program yet: images run through the toolchain's test loader")

    def file(self, system, program):
        if program == "loops":
            return f"{self.build}/bench/sfi/{system}/loops"
        return f"{self.build}/" + ("native/bin/" if system == "native" else "rootfs/usr/bin/") + program

    def run(self, system, bench):
        return cpu_time([*self.prefix[system], self.file(system, bench.program), *bench.args], bench.stdin)


def measure(systems, bench, idle, runs):
    times, digests = {"native": [], "ufork": []}, set()
    for _ in range(runs):
        for system, out in times.items():
            seconds, digest = systems.run(system, bench)
            out.append(max(seconds - idle[system], 1e-4))
            digests.add(digest)
    if len(digests) != 1:
        sys.exit(f"sfi: {bench.name}: the outputs differ")
    return times


def spread(times):
    ratios = [u / n for u, n in zip(times["ufork"], times["native"])]
    if len(ratios) < 2:
        return 0.0
    low, _, high = statistics.quantiles(ratios, n=4)
    return (high - low) / 2


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="*")
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    data = f"{build}/bench/sfi/data.txt"
    if not os.path.exists(data):
        plain_text(data)
    systems = Systems(build)
    empty = Bench("empty", "loops", ["none"])
    idle = {s: statistics.median(systems.run(s, empty)[0] for _ in range(5)) for s in ("native", "ufork")}

    print(f"{'program':12}{'gcc -O2 s':>10}{'ufork s':>10}{'ratio':>8}{'+-':>7}{'minima':>8}{'text':>8}")
    ratios, minima, sizes = [], [], {}
    for bench in benches(build, data):
        if args.only and bench.name not in args.only:
            continue
        times = measure(systems, bench, idle, args.runs)
        native, ufork = (statistics.median(times[s]) for s in ("native", "ufork"))
        size = text_size(systems.file("ufork", bench.program)) / text_size(
            systems.file("native", bench.program))
        ratios.append(ufork / native)
        minima.append(min(times["ufork"]) / min(times["native"]))
        sizes[bench.program] = size
        print(f"{bench.name:12}{native:10.3f}{ufork:10.3f}{ufork / native:8.3f}{spread(times):7.3f}"
              f"{minima[-1]:8.3f}{size:8.2f}", flush=True)
    mean = geometric_mean(ratios)
    print(f"{'geometric mean':32}{mean:8.3f}{'':7}{geometric_mean(minima):8.3f}"
          f"{geometric_mean(list(sizes.values())):8.2f}")
    print(f"goal {GOAL}: " + ("met" if mean <= GOAL else "missed"))


main()
