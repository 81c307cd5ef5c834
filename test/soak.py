#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The soak (soak/soak.c): natively, to check the program itself, and on µFork with several numbers of
virtual CPUs, with plenty of memory and with little.

    soak.py --build DIR [--seconds N] [--cpus N,N...] [--seed N] [--debug] [--system hosted|pc]

Without --seconds: two minutes in all. Otherwise each configuration gets that many. The seed is
printed by the program and by every message; the same one makes the same jobs.
"""
import argparse
import os
import subprocess
import sys
from pathlib import Path

from background import hear_signals

HERE = Path(__file__).resolve().parent
SOURCES = sorted((HERE / "soak").glob("*.c"))
CFLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]
# Enough for some jobs at once, not for all of them.
LEAN = ["--memory=8M"]
# Seconds that a job of the soak may take: only what hangs takes so long on a busy host.
LIMIT = 600
# Starting, settling and judging take time as well.
PATIENCE = 2 * LIMIT


def compile_for(build, kind):
    """The program for one system; compiled anew when a source is newer."""
    program = build / "test" / "soak" / kind
    compiler = build / "bin" / ("native-cc" if kind == "native" else "ufork-cc")
    command = [str(compiler)] if compiler.exists() else ["gcc", "-static"]
    inputs = SOURCES + [HERE / "soak" / "soak.h"] + ([compiler] if compiler.exists() else [])
    if not program.exists() or program.stat().st_mtime < max(p.stat().st_mtime for p in inputs):
        program.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(command + CFLAGS + [str(s) for s in SOURCES] + ["-o", str(program)], check=True)
    return program


def run(title, command, seconds):
    """True if it ends well; shows what it prints."""
    print(f"-- {title}", flush=True)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        status = process.wait(seconds + PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        status = "time-out"
    good = status == 0
    print(f"{'ok' if good else 'FAIL'} soak {title}" + ("" if good else f": {status}"), flush=True)
    return good


def main():
    hear_signals()
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=HERE.parent / "build")
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--cpus", default="")
    parser.add_argument("--seed", default="")
    parser.add_argument("--debug", action="store_true", help="the debug kernel")
    parser.add_argument("--system", choices=["hosted", "pc"], default="hosted")
    args = parser.parse_args()
    build = args.build.resolve()
    seed = [f"--seed={args.seed}"] if args.seed else []
    native, program = compile_for(build, "native"), compile_for(build, "ufork")
    ufork = build / "bin" / ("ufork-debug" if args.debug else "ufork")

    def on_ufork(cpus, seconds, options=(), arguments=()):
        if args.system == "pc":
            options = ("--vm", "--memory=1G", *options)
        else:
            options = ("--dir=/host:/proc/self:ro", *options)
        command = [str(ufork), "run", f"--cpus={cpus}", *options, str(program)]
        return command + [f"--seconds={seconds}", f"--limit={LIMIT}", *arguments] + seed

    passed = failed = 0
    runs = []
    if args.seconds:
        for cpus in (args.cpus or "2").split(","):
            runs.append((f"{cpus} CPUs", on_ufork(cpus, args.seconds), args.seconds))
    else:
        runs.append(("natively", [str(native), "--seconds=5", f"--limit={LIMIT}"] + seed, 5))
        for cpus, seconds in ((1, 20), (2, 45), (8, 25)):
            runs.append((f"{cpus} CPUs", on_ufork(cpus, seconds), seconds))
        runs.append(("2 CPUs, little memory", on_ufork(2, 20, LEAN, ["--lean"]), 20))
    for title, command, seconds in runs:
        good = run(title, command, seconds)
        passed, failed = passed + good, failed + (not good)
    print(f"soak: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
