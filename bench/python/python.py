#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Python on uFork and the same Python on Linux: a warmed zygote that forks a worker per request
(zygote.py), and what the sandboxing costs CPU-bound code (loops.py).

Both systems run in turn; the tables show medians over the rounds and ratios of the medians.
"""
import argparse
import math
import os
import statistics
import subprocess
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent


def command(build, system, script, *args):
    python = [f"{build}/native/bin/python3", HERE / script]
    if system == "ufork":
        python = [f"{build}/bin/ufork", "run", f"--root={build}/rootfs", f"--dir=/bench:{HERE}:ro",
                  "python3", f"/bench/{script}"]
    return [*python, *map(str, args)]


def zygote_round(build, system, forks, live):
    """{name: value} of what zygote.py prints."""
    done = subprocess.run(command(build, system, "zygote.py", forks, live), check=True,
                          stdout=subprocess.PIPE, text=True)
    return {name: float(value) for name, value in map(str.split, done.stdout.splitlines())}


def cpu_time(line):
    """As the host counts it: uFork's own clock knows nothing of other programs on its CPU."""
    child = subprocess.Popen(line)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{line}: status {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def loops_round(build, system, scale):
    """{name: CPU seconds}, less those of a start that does nothing."""
    names = subprocess.check_output(command(build, "linux", "loops.py"), text=True).split()
    start = cpu_time(command(build, system, "loops.py", "nothing", 1))
    return {name: cpu_time(command(build, system, "loops.py", name, scale)) - start for name in names}


def medians(rounds, one, args):
    """{system: {name: median}}; args by system."""
    results = {"linux": [], "ufork": []}
    for _ in range(rounds):
        for system, runs in results.items():
            runs.append(one(system, *args[system]))
    return {system: {name: statistics.median(r[name] for r in runs) for name in runs[0]}
            for system, runs in results.items()}


def table(values, unit, ratio):
    print(f"{'':20} {'linux':>10} {'ufork':>10}  {ratio}")
    for name, ufork in values["ufork"].items():
        linux = values["linux"][name]
        print(f"{name:20} {linux:10.6g} {ufork:10.6g}  {unit(linux, ufork):.3g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=lambda path: Path(path).resolve())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--forks", type=int, default=1000)
    parser.add_argument("--live", type=int, default=50)
    parser.add_argument("--scale", type=float, default=5.0)
    args = parser.parse_args()
    few = max(args.forks // 5, 50)
    zygote = medians(args.rounds, partial(zygote_round, args.build),
                     {"linux": (few, args.live), "ufork": (args.forks, args.live)})
    table(zygote, lambda linux, ufork: linux / ufork, "linux / ufork")
    print()
    loops = medians(args.rounds, partial(loops_round, args.build),
                    {system: (args.scale,) for system in ("linux", "ufork")})
    table(loops, lambda linux, ufork: ufork / linux, "ufork / linux, CPU seconds")
    ratios = [loops["ufork"][name] / loops["linux"][name] for name in loops["linux"]]
    print(f"{'geometric mean':42}  {math.exp(statistics.mean(map(math.log, ratios))):.3g}")


main()
