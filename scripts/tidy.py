#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""clang-tidy over every C file of the project, as .clang-tidy configures it.

    tidy.py [--jobs N] [FILE...]

A file that was clean is not looked at again while nothing of it has changed: its preprocessed text,
the configuration and the flags are the key of an empty file in the user's cache. Prints what is
found and, last, a line of counts; exit status 1 if there is anything.
"""
import argparse
import concurrent.futures
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ufork" / "tidy"
# What the compiler of a file gets that matters to a checker, by the start of the file's path.
KERNEL = ["-std=gnu11", "-ffreestanding", "-nostdlibinc", "-mgeneral-regs-only", "-I.", "-Iinclude"]
HOST = ["-std=gnu11", "-D_GNU_SOURCE", "-I.", "-Iinclude"]
BUILD = Path(os.environ.get("O", ROOT / "build"))
LWIP = BUILD / "lwip/src/include"  # there once the tools have been built
NET = KERNEL + ["-Iplat/pc", "-Iplat/x86", "-Iplat/pc/net", "-isystem", str(LWIP),
                "-isystem", "plat/pc/net/libc"]
# The analyser cannot see what inline assembly writes, so it takes every result of a host's system call
# for uninitialized.
NO_ANALYSER = {"plat/hosted/": "--checks=-clang-analyzer-core.*"}
FLAGS = {
    "kernel/test/": None,  # built with the unit tests' own definitions
    "kernel/": KERNEL + ["-Iplat/hosted", "-Iplat/x86"],
    "lib/": KERNEL + ["-Iplat/hosted", "-Iplat/x86"],
    "plat/hosted/test/": None,
    "plat/hosted/main.c": HOST + ["-Iplat/hosted", "-Iplat/x86"],
    "plat/hosted/options.c": HOST + ["-Iplat/hosted", "-Iplat/x86"],
    "plat/hosted/vm/": HOST + ["-Iplat/hosted", "-Iplat/x86"],
    "plat/hosted/": KERNEL + ["-Iplat/hosted", "-Iplat/x86"],
    "plat/pc/test/": None,
    "plat/pc/net/test/": None,
    "plat/pc/net/": NET if LWIP.is_dir() else None,
    "plat/pc/": KERNEL + ["-Iplat/pc", "-Iplat/x86"],
    "plat/x86/": KERNEL + ["-Iplat/hosted", "-Iplat/x86"],
    "verifier/test/": None,
    "verifier/": HOST,
    "toolchain/as/": HOST,
    "user/": HOST,
}


def flags_of(name):
    """The flags of the longest start that fits; None: the file is not checked."""
    fitting = [start for start in FLAGS if name.startswith(start)]
    return FLAGS[max(fitting, key=len)] if fitting else None


def key_of(name, flags):
    """Changes with anything that clang-tidy could see; None if the file does not compile."""
    done = subprocess.run(["clang-14", "-E", *flags, name], cwd=ROOT, capture_output=True)
    if done.returncode:
        return None
    config = (ROOT / ".clang-tidy").read_bytes()
    return hashlib.sha256(b"\0".join([config, " ".join(flags).encode(), done.stdout])).hexdigest()


def check(name):
    """(name, findings): empty if the file is clean."""
    flags = flags_of(name)
    key = key_of(name, flags)
    if key and (CACHE / key).exists():
        return name, ""
    less = [option for start, option in NO_ANALYSER.items() if name.startswith(start)]
    done = subprocess.run(["clang-tidy", "--quiet", *less, name, "--", *flags], cwd=ROOT,
                          capture_output=True, text=True)
    if done.returncode == 0 and key:
        CACHE.mkdir(parents=True, exist_ok=True)
        (CACHE / key).touch()
        return name, ""
    return name, done.stdout + done.stderr


def files():
    names = subprocess.run(["git", "ls-files", "*.c"], cwd=ROOT, capture_output=True, text=True,
                           check=True).stdout.split()
    return [n for n in names if flags_of(n) is not None]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("files", nargs="*")
    args = parser.parse_args()
    bad = total = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for name, findings in pool.map(check, args.files or files()):
            total += 1
            if findings:
                bad += 1
                print(f"FAIL tidy {name}\n{findings}", flush=True)
    print(f"clang-tidy: {total - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
