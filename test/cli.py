#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the command line: what `ufork run`, its options and its errors do, seen from a shell.
The tests are those of cli_*.py, by topic; cli_rig.py is what they share.

    cli.py --build DIR [NAME...]
"""
import argparse
import subprocess
import sys
from pathlib import Path

import cli_directories
import cli_ends
import cli_limits
import cli_machines
import cli_options
import cli_refusals
import cli_streams
import cli_terminal
from background import hear_signals
from cli_rig import compile_probes, run_test, tests_of

TOPICS = (cli_options, cli_streams, cli_terminal, cli_ends, cli_refusals, cli_limits, cli_directories, cli_machines)


def main():
    hear_signals()
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    build = args.build.resolve()
    tests = tests_of(TOPICS)
    chosen = [t for name, t in tests.items() if not args.names or name in args.names]
    try:
        compile_probes(build)
    except (OSError, subprocess.CalledProcessError) as problem:
        print(f"command line: {problem}\ncommand line: 0 passed, {len(chosen)} failed")
        return 1
    failed = 0
    for function in chosen:
        wrong = run_test(function, build)
        print(f"{'FAIL' if wrong else 'ok'} cli/{function.__name__}", flush=True)
        if wrong:
            failed += 1
            print("    " + wrong.rstrip("\n").replace("\n", "\n    "), flush=True)
    print(f"command line: {len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
