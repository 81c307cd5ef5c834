#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""All tests: runs every step, whatever became of those before, and adds up their counts.

A step is a make target. Lines `NAME: N passed, N failed` in its output are its counts; a step
that prints none counts as one test. A step that fails without a failed test in its counts (it
was killed, it did not build) adds one failed test. The last line is `N passed, N failed`.
"""
import re
import subprocess
import sys
import time

from background import hear_signals

COUNTS = re.compile(r"^.+: (\d+) passed, (\d+) failed$")


def run_step(target, jobs):
    """Runs one target, showing its output; returns (passed, failed)."""
    print(f"==== {target}", flush=True)
    start = time.monotonic()
    passed = failed = counted = 0
    command = ["make", "--no-print-directory", "-k", f"-j{jobs}", "--output-sync=target", target]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace")
    for line in process.stdout:
        print(line, end="", flush=True)
        match = COUNTS.match(line.rstrip("\n"))
        if match:
            counted += 1
            passed += int(match[1])
            failed += int(match[2])
    status = process.wait()
    if status != 0 and failed == 0:
        failed = 1
    elif counted == 0 and status == 0:
        passed = 1
    print(f"==== {target}: {'ok' if failed == 0 else 'FAILED'}, "
          f"{time.monotonic() - start:.0f} s\n", flush=True)
    return passed, failed


def main():
    hear_signals()
    passed = failed = 0
    bad = []
    for step in sys.argv[1:]:
        target, _, jobs = step.partition(":")
        p, f = run_step(target, jobs or "1")
        passed, failed = passed + p, failed + f
        if f:
            bad.append(target)
    if bad:
        print("failed steps:", " ".join(bad))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
