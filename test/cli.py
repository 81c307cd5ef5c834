#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the command line: what `ufork run`, its options and its errors do, seen from a shell.
The tests are those of cli_*.py, by topic; cli_rig.py is what they share.

    cli.py --build DIR [NAME...]
"""
import argparse
import subprocess
import sys
import tempfile
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
from cli_rig import compile_programs, run_test, tests_of

TOPICS = (cli_options, cli_streams, cli_terminal, cli_ends, cli_refusals, cli_limits, cli_directories, cli_machines)


def run_all(build, chosen, programs):
    """How many fail."""
    try:
        compile_programs(build, programs)
    except (OSError, subprocess.CalledProcessError) as problem:
        print(f"command line: {problem}")
        return len(chosen)
    failed = 0
    for function in chosen:
        wrong = run_test(function, build, programs)
        print(f"{'FAIL' if wrong else 'ok'} cli/{function.__name__}", flush=True)
        if wrong:
            failed += 1
            print("    " + wrong.rstrip("\n").replace("\n", "\n    "), flush=True)
    return failed


def main():
    hear_signals()
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    chosen = [t for name, t in tests_of(TOPICS).items() if not args.names or name in args.names]
    with tempfile.TemporaryDirectory(prefix="ufork-cli-programs-") as programs:
        failed = run_all(args.build.resolve(), chosen, Path(programs))
    print(f"command line: {len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
