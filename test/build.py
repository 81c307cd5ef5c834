#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the build itself: what is compiled anew, and what is not.  build.py"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
# An object of each set of flags that compiles alone: its source, a header that it includes.
OBJECTS = {
    "host": ("obj/host/toolchain/common/args.o", "toolchain/common/args.h"),
    "kern-hosted": ("obj/kern/hosted/kernel/proc/pid.o", "kernel/proc/internal.h"),
    "kern-pc": ("obj/kern/pc/kernel/proc/pid.o", "kernel/proc/internal.h"),
    "hosted-libc": ("obj/hosted-libc/plat/hosted/options.o", "plat/hosted/options.h"),
    "verifier": ("obj/verifier-test/elf.o", "verifier/elf_format.h"),
    "tests": ("test/kernel/test_pid", "kernel/proc/internal.h"),
}
passed = failed = 0


def report(name, good):
    global passed, failed
    passed, failed = passed + good, failed + (not good)
    print("ok" if good else "FAIL", f"build/{name}", flush=True)


def make(build, *words):
    return subprocess.run(["make", "--no-print-directory", f"O={build}", *words], cwd=HERE, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=1800,
                          env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "O", "S")})


def stale(build, directory, names, *words):
    """Those of these objects that would be made anew."""
    return [n for n in names if make(build, "-q", *words, f"{directory}/{OBJECTS[n][0]}").returncode]


def test(build, directory, how):
    files = [f"{directory}/{OBJECTS[n][0]}" for n in OBJECTS]
    done = make(build, *files)
    if done.returncode:
        print(done.stderr)
    report(f"{how}: objects", done.returncode == 0)
    report(f"{how}: nothing is made twice", stale(build, directory, OBJECTS) == [])
    report(f"{how}: nor to see the commands", stale(build, directory, OBJECTS, "V=1") == [])
    for name, (_, header) in OBJECTS.items():
        report(f"{how}: a header of {name}", stale(build, directory, [name], "-W", str(HERE / header)) == [name])


def test_flags(build):
    for variable, names in (("CFLAGS_PLAT_hosted=-DNEW", ["kern-hosted"]), ("CFLAGS_FAKE=-DNEW", ["tests"]),
                            ("CFLAGS_HOST=-DNEW", ["host"]), ("CFLAGS_toolchain_common_=-DNEW", ["host"]),
                            ("CC=other", list(OBJECTS))):
        report(f"flags: {variable}", stale(build, build, OBJECTS, variable) == names)
        report(f"flags: back from {variable}", stale(build, build, OBJECTS) == names)
        make(build, *(f"{build}/{OBJECTS[n][0]}" for n in names))
        report(f"flags: after {variable}", stale(build, build, OBJECTS) == [])


with tempfile.TemporaryDirectory(prefix="build-") as place:
    test(place, place, "absolute")
    test_flags(place)
with tempfile.TemporaryDirectory(prefix="build-") as place:
    test(os.path.relpath(place, HERE), place, "relative")
print(f"build: {passed} passed, {failed} failed")
sys.exit(failed != 0)
