#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""nginx: requests per second and latencies by number of workers, size of file, keepalive.

The systems take turns; each has its server with its workers running for the time of one row of
measurements. Alone, with --build: the short form that `make run` shows, which ends with a reload
under load; exit status 1 if a request failed.
"""
import argparse
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report
from nginx_server import SIZES, Server, wrk
from servers import one_of_each

SYSTEMS = ["ufork", "native"]
NAMES = {"native": "linux"}  # the report calls systems by one name
UNITS = {"requests": "1/s", "p50": "us", "p99": "us"}


def all_runs(build, all_workers, ways, runs, seconds, add):
    """Calls add(system, workers, size, keepalive, run, figures) for each run of wrk."""
    work = Path(tempfile.mkdtemp(prefix="nginx-", dir=build))
    try:
        for workers in all_workers:
            with one_of_each(SYSTEMS, lambda system, n=workers: Server(
                    system, build, work / f"{system}-{n}", n)) as servers:
                for server in servers:
                    wrk(server, "small", 1, True)  # warms up
                for run in range(runs):
                    for name, keepalive in ways:
                        for server in servers:
                            add(server.system, workers, name, keepalive, run,
                                wrk(server, name, seconds, keepalive))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def measure(build, quick, table):
    """The experiment into the table; returns its figures."""
    print("nginx: throughput", flush=True)

    def add(system, workers, name, keepalive, run, figures):
        parameter = f"{workers}w-{name}" + ("" if keepalive else "-close")
        table.add("nginx", NAMES.get(system, system), parameter, run,
                  [(metric, unit, figures[metric]) for metric, unit in UNITS.items()])
        if figures["failed"]:
            table.failures.append(
                f"nginx {system} {parameter}: {figures['failed']:.0f} requests failed")

    ways = [(name, keepalive) for name in SIZES for keepalive in (True, False)]
    try:
        if quick:
            all_runs(build, [1, 2], ways[::2], 2, 1, add)
        else:
            all_runs(build, [1, 2, 4], ways, 5, 3, add)
    except (RuntimeError, OSError, ValueError) as problem:
        table.failures.append(f"nginx: {problem}")
        print(f"  FAILED {table.failures[-1]}", flush=True)
    return {"nginx": report.Figure("nginx requests per second, by workers and file", "", "1/s",
                                   metrics=["requests"])}


def reload_under_load(build):
    """Three reloads under load, with keepalive and without. Returns what the load says, and how many
    reloads there were."""
    work = Path(tempfile.mkdtemp(prefix="nginx-", dir=build))
    stop = work / "stop"
    load = Path(__file__).resolve().parent.parent / "ports/nginx/smoke_load.py"
    try:
        server = Server("ufork", build, work / "reload", 2)
        try:
            asking = [subprocess.Popen(
                [sys.executable, str(load), str(server.port), "/small",
                 str(server.directory / "html/small"), mode, "8", str(stop)],
                stdout=subprocess.PIPE, text=True) for mode in ("keepalive", "close")]
            for _ in range(3):
                time.sleep(1)
                server.reload()
            time.sleep(1)
            stop.touch()
            said = [process.communicate(timeout=60)[0].splitlines() for process in asking]
            reloads = server.reloads()
        finally:
            server.stop()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return said, reloads


def short(build):
    values = {}

    def add(system, workers, name, _keepalive, _run, figures):
        for metric in UNITS:
            values.setdefault((workers, name, metric), {}).setdefault(system, []).append(
                figures[metric])

    print("nginx: files of a host directory, wrk on 16 connections with keepalive", flush=True)
    all_runs(build, [1, 2], [(name, True) for name in SIZES], 2, 1, add)
    print(f"{'workers':>7}  {'file':<7}{'figure':<10}{'unit':<5}"
          + "".join(f"{system:>10}" for system in SYSTEMS) + f"{'ratio':>8}")
    for (workers, name, metric), systems in values.items():
        medians = [statistics.median(systems[s]) for s in SYSTEMS]
        print(f"{workers:>7}  {name:<7}{metric:<10}{UNITS[metric]:<5}"
              + "".join(f"{m:>10,.0f}" for m in medians) + f"{medians[0] / medians[1]:>8.2f}",
              flush=True)
    said, reloads = reload_under_load(build)
    counts = [dict(zip(lines[0].split()[::2], map(int, lines[0].split()[1::2]))) for lines in said]
    good, failed = sum(c["ok"] for c in counts), sum(c["failed"] for c in counts)
    print(f"{reloads} reloads under load: {good} requests answered, {failed} failed\n", flush=True)
    return failed == 0 and good > 0 and reloads == 3


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the servers on the way out
    return 0 if short(args.build.resolve()) else 1


if __name__ == "__main__":
    sys.exit(main())
