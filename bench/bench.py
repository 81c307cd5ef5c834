#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The harness of all experiments: µFork and Linux in turn, repeated, into one table of results.

Writes results.csv (experiment,system,parameter,metric,value,unit,run), a figure per experiment
and index.html into the report's directory. An experiment is a measuring program of this
folder, compiled for every system from the same source, that prints lines `METRIC UNIT VALUE`; or
a Python function that yields such values (Redis, nginx, memory).
"""
import argparse
import contextlib
import csv
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import experiments_faas
import experiments_nginx
import experiments_pc
import experiments_redis
import report
from snapshot import memory_of

LIMIT = 300  # seconds of one run of a measuring program


@dataclass
class System:
    """How to run a measuring program: natively, or under ufork with options."""
    name: str
    variant: str  # whose compiler: linux or ufork
    options: list = field(default_factory=list)
    prefix: list = field(default_factory=list)

    def command(self, build, program, arguments):
        path = str(build / "bench" / self.variant / program)
        if self.variant == "ufork":
            return [*self.prefix, str(build / "bin/ufork"), "run", *self.options, path, *arguments]
        return [*self.prefix, path, *arguments]


LINUX, UFORK = System("linux", "linux"), System("ufork", "ufork")
BOTH = [UFORK, LINUX]
ONE_CPU = [System("ufork", "ufork", ["--cpus=1"]), System("linux", "linux", [], ["taskset", "-c", "0"])]
SCALE = [System("ufork", "ufork", ["--memory=4G"]), LINUX]
LEVELS = [System("ufork", "ufork")] + [
    System(f"ufork-{level}", "ufork", [f"--isolation={level}"]) for level in ("fault", "none")]
TIERS = [System(f"ufork-{tier}", "ufork", [f"--fork={tier}"]) for tier in ("copy", "eager", "lazy")]


@dataclass
class Experiment:
    """A measuring program, its parameters (name: arguments) and the systems it runs on."""
    name: str
    program: str
    parameters: dict
    systems: list
    figure: report.Figure
    runs: int = 10


def sizes(*kib):
    rounds = {100: 200, 1024: 100, 10240: 40, 102400: 15, 1048576: 5}
    return {str(k): [str(k), str(rounds[k])] for k in kib}


def experiments(quick):
    """All experiments that are a measuring program."""
    runs = 3 if quick else 10
    kib = [100, 1024, 10240, 102400] + ([] if quick else [1048576])
    size_figure = report.Figure("fork call against populated memory", "KiB", "µs", lines=True,
                                metrics=["fork_call"])
    return [
        Experiment("hello", "hello", {"": ["300" if quick else "1000"]}, BOTH,
                   report.Figure("fork of a hello-world process", "", "µs"), runs),
        Experiment("forksize", "forksize", sizes(*kib), BOTH, size_figure, runs),
        Experiment("forktiers", "forksize", sizes(*kib[:3]), TIERS,
                   report.Figure("the tiers of fork", "KiB", "µs", lines=True,
                                 metrics=["fork_write_exit_wait"]), min(runs, 5)),
        Experiment("spawn", "spawn", {"": ["300" if quick else "1000"]}, BOTH,
                   report.Figure("Unixbench spawn, 1000 fork+exit", "", "ms"), runs),
        Experiment("context1", "context1", {"": ["20000" if quick else "100000"]}, BOTH,
                   report.Figure("Unixbench context1, all CPUs", "", "ms",
                                 metrics=["context1_100k"]), runs),
        Experiment("context1-1cpu", "context1", {"": ["20000" if quick else "100000"]}, ONE_CPU,
                   report.Figure("Unixbench context1, one CPU", "", "ms",
                                 metrics=["context1_100k"]), runs),
        Experiment("scale", "scale", {str(n): [str(n), "200"] for n in (10, 100, 1000, 10000)}, SCALE,
                   report.Figure("calls while other processes are alive and asleep",
                                 "live processes", "µs", lines=True, metrics=["fork_exit_wait"]),
                   min(runs, 5)),
        Experiment("nullcall", "nullcall", {"": ["1000000"]}, BOTH + LEVELS[1:],
                   report.Figure("null system call", "", "ns"), runs),
    ]


def run_program(system, build, experiment, arguments):
    """One run; returns (metric, unit, value) of every line the program prints."""
    command = system.command(build, experiment.program, arguments)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=LIMIT)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)}: status {done.returncode}\n{done.stderr[-2000:]}")
    return [(m, u, float(v)) for m, u, v in (line.split() for line in done.stdout.splitlines())]


def available_kib():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1])
    raise RuntimeError("no MemAvailable")


def memory_per_process(system, build, count):
    """Memory per idle forked process: (private memory, all memory that the machine lost), in KiB."""
    process = subprocess.Popen(system.command(build, "idle", [str(count)]), text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    figures = []
    for _ in range(2):
        if not process.stdout.readline().startswith("ready"):
            raise RuntimeError(f"idle ({system.name}) failed")
        time.sleep(0.2)
        figures.append((memory_of(process.pid), available_kib()))
        process.stdin.write("\n")
        process.stdin.flush()
    if process.wait(LIMIT):
        raise RuntimeError(f"idle ({system.name}): status {process.returncode}")
    (pss0, free0), (pss1, free1) = figures
    return [("pss", "KiB", (pss1 - pss0) / count), ("machine", "KiB", (free0 - free1) / count)]


class Table:
    """The rows of results.csv."""
    HEAD = ["experiment", "system", "parameter", "metric", "value", "unit", "run"]

    def __init__(self):
        self.rows, self.failures, self.missing = [], [], []

    def add(self, experiment, system, parameter, run, values):
        for metric, unit, value in values:
            self.rows.append([experiment, system, parameter, metric, value, unit, run])

    def attempt(self, experiment, system, parameter, run, measure, *arguments):
        """Measures once; a failure is kept for the report and does not end the others."""
        try:
            self.add(experiment, system, parameter, run, measure(*arguments))
        except (RuntimeError, OSError, ValueError, subprocess.TimeoutExpired) as problem:
            self.failures.append(f"{experiment} {system} {parameter}: {problem}")
            print(f"  FAILED {self.failures[-1]}", flush=True)

    def write(self, path):
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self.HEAD)
            writer.writerows(self.rows)


@contextlib.contextmanager
def section(name):
    """Says how long it took."""
    start = time.monotonic()
    yield
    print(f"  {name} took {time.monotonic() - start:.0f} s", flush=True)


SECTIONS = {"redis": experiments_redis, "nginx": experiments_nginx, "faas": experiments_faas}


def check_names(parser, quick, only):
    """An experiment that does not exist would be measured quickly."""
    known = [e.name for e in experiments(quick)] + ["memory", *SECTIONS]
    for name in only or ():
        if name not in known and not name.startswith("pc"):
            parser.error(f"no experiment {name}; there are {', '.join(known)}, pc and its parts")


def measure_all(build, quick, only, table):
    """Runs all experiments; returns their figures by name."""
    figures = {}
    for e in experiments(quick):
        if only and e.name not in only:
            continue
        figures[e.name] = e.figure
        print(f"{e.name}: {len(e.parameters)} x {len(e.systems)} systems x {e.runs} runs", flush=True)
        with section(e.name):
            for run in range(e.runs):
                for parameter, arguments in e.parameters.items():
                    for system in e.systems:
                        table.attempt(e.name, system.name, parameter, run, run_program, system, build, e,
                                      arguments)
    if not only or "memory" in only:
        figures["memory"] = report.Figure("memory per forked process", "", "KiB")
        print("memory: per forked process", flush=True)
        with section("memory"):
            for run in range(3 if quick else 5):
                for system in BOTH:
                    table.attempt("memory", system.name, "", run, memory_per_process, system, build, 200)
    for name, module in SECTIONS.items():
        if not only or name in only:
            with section(name):
                figures.update(module.measure(build, quick, table))
    if not only or any(name.startswith("pc") for name in only):
        with section("pc"):
            figures.update(experiments_pc.measure(build, quick, only, table))
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="fewer runs, no gigabytes")
    parser.add_argument("--only", nargs="*", metavar="EXPERIMENT")
    args = parser.parse_args()
    check_names(parser, args.quick, args.only)
    build = args.build.resolve()
    directory = build / "report"
    directory.mkdir(parents=True, exist_ok=True)
    table, start = Table(), time.monotonic()
    try:
        figures = measure_all(build, args.quick, args.only, table)
    finally:
        table.write(directory / "results.csv")
    report.write(directory, table.rows, figures, table.failures, table.missing)
    print(report.summary(table.rows))
    for what in table.missing:
        print(f"not measured: {what}")
    print(f"{len(table.rows)} results, {len(table.failures)} failures, "
          f"{time.monotonic() - start:.0f} s: {directory}/index.html")
    return 1 if table.failures else 0


if __name__ == "__main__":
    sys.exit(main())
