#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The main job: the same Redis on µFork and on Linux takes live snapshots while clients write.

For each size both servers hold the same data and take snapshots in turn; every dump is proven to
be the state at the moment of its fork. Ends with a table of medians; exit status 1 if a dump is
wrong. With --sizes and --rounds it is one experiment of the benchmarks.
"""
import argparse
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import throughput
from redis_server import VALUE, Server
from snapshot import prove, snapshot

SIZES = {"1 MB": 1, "10 MB": 10, "100 MB": 100, "1 GB": 1000}
ROUNDS = {"1 MB": 9, "10 MB": 7, "100 MB": 5, "1 GB": 5}
BUDGET = 420  # seconds; after that a size gets one round only
FIGURES = {  # name: (unit in the table, factor)
    "latest_fork_usec": ("us", 1), "BGSAVE call": ("us", 1), "BGSAVE time": ("ms", 1e3),
    "requests": ("1/s", 1), "worst latency": ("ms", 1), "memory added": ("MB", 1e-6),
}


class Results:
    """All single figures, by size, system and name."""

    def __init__(self):
        self.values, self.proven, self.wrong = {}, 0, 0

    def add(self, size, system, figures):
        for name, value in figures.items():
            self.values.setdefault((size, system, name), []).append(value)

    def median(self, size, system, name):
        values = self.values.get((size, system, name))
        return statistics.median(values) if values else None

    def rows(self):
        """(size, system, name, unit, run, value), for the report."""
        for (size, system, name), values in self.values.items():
            unit, factor = FIGURES[name]
            for run, value in enumerate(values):
                yield size, system, name, unit, run, value * factor


def say(text):
    print(text, flush=True)


def one_snapshot(server, size, build, work, results, watch_memory):
    """Takes, proves and records one snapshot."""
    keys = SIZES[size] * 1000000 // VALUE
    digest, figures = snapshot(server, build, keys, watch_memory)
    good = prove(server.dump, digest, build, work / "verify")
    results.proven += good
    results.wrong += not good
    results.add(size, server.system, figures)
    if watch_memory:
        what = f"memory added {figures['memory added'] / 1e6:.1f} MB"
    else:
        what = (f"fork {figures['latest_fork_usec']} us, "
                f"saved in {figures['BGSAVE time'] * 1e3:.0f} ms, "
                f"{figures['requests']:.0f} requests/s, "
                f"worst {figures['worst latency']:.1f} ms")
    say(f"  {server.system:7} {what}; dump {'proven' if good else 'WRONG'} ({digest[:12]})")


def one_size(size, systems, rounds, build, work, results, options, deadline):
    """All snapshots of one size; the first of each system also warms up and shows the memory."""
    keys = SIZES[size] * 1000000 // VALUE
    servers = []
    try:
        for system in systems:
            start = time.monotonic()
            servers.append(Server(system, build, work / system, options, load=False))
            servers[-1].populate(keys)
            say(f"  {system:7} holds {keys} keys of {VALUE} bytes "
                f"({time.monotonic() - start:.1f} s)")
        for turn in range(rounds + 1):
            if turn > 1 and time.monotonic() > deadline:
                say("  out of time: no further rounds")
                break
            for server in servers:
                one_snapshot(server, size, build, work, results, watch_memory=turn == 0)
    finally:
        for server in servers:
            server.stop()


def number(value):
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def table(results, sizes, systems):
    """The medians of both systems, side by side."""
    lines = [f"{'data':>7}  {'figure':<18}{'unit':<6}"
             + "".join(f"{system:>12}" for system in systems) + f"{'ratio':>9}"]
    for size in sizes:
        for name, (unit, factor) in FIGURES.items():
            values = [results.median(size, system, name) for system in systems]
            values = [None if v is None else v * factor for v in values]
            ratio = ""
            if len(values) == 2 and None not in values and values[1]:
                ratio = f"{values[0] / values[1]:.2f}"
            lines.append(f"{size:>7}  {name:<18}{unit:<6}"
                         + "".join(f"{number(v):>12}" for v in values) + f"{ratio:>9}")
    return "\n".join(lines)


def scenario(build, sizes, systems, rounds=None, options=()):
    """Runs all; returns the results. Everything is removed and ended, whatever happens."""
    results = Results()
    deadline = time.monotonic() + BUDGET
    work = Path(tempfile.mkdtemp(prefix="redis-", dir=build))
    try:
        for size in sizes:
            say(f"{size}: snapshots in turn, redis-benchmark writing")
            one_size(size, systems, rounds or ROUNDS[size], build, work, results, options,
                     deadline)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return results


def plain_throughput(build, systems, options):
    """Prints the medians of SET and GET without a snapshot."""
    values = {}

    def add(system, _pipeline, _run, results):
        for test, _, value in results:
            values.setdefault((test, system), []).append(value)

    throughput.all_runs(build, systems, 3, 50000, add, options, pipelines=(1,))
    for test in ("set", "get"):
        medians = [statistics.median(values[test, system]) for system in systems]
        ratio = f"; ratio {medians[0] / medians[1]:.2f}" if len(medians) == 2 else ""
        say(f"{test.upper()} without a snapshot: "
            + ", ".join(f"{s} {m:.0f}/s" for s, m in zip(systems, medians)) + ratio)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES), metavar="SIZE")
    parser.add_argument("--systems", nargs="*", default=["ufork", "native"])
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--option", action="append", default=[], help="option of `ufork run`")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the servers on the way out
    start = time.monotonic()
    plain_throughput(args.build.resolve(), args.systems, args.option)
    results = scenario(args.build.resolve(), args.sizes, args.systems, args.rounds, args.option)
    say("\nMedians; `BGSAVE call` is the client's wait for the call that forks; ratio = ufork/native")
    say(table(results, args.sizes, args.systems))
    say(f"\n{results.proven} dumps proven to be the snapshot at their fork, {results.wrong} wrong; "
        f"{time.monotonic() - start:.0f} s")
    return 1 if results.wrong or not results.proven else 0


if __name__ == "__main__":
    sys.exit(main())
