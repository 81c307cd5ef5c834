# SPDX-License-Identifier: MIT
"""Runs named checks one after the other, each even if one before it failed."""
import tempfile
from pathlib import Path


def in_directory(check, *arguments):
    """check(*arguments, work) with a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="ufork-check-") as work:
        check(*arguments, Path(work))


def run_all(title, checks):
    """checks: pairs of a name and a function without arguments, which fails by an exception. A line for each, then
    the counts. True if one failed."""
    passed = failed = 0
    for name, check in checks:
        try:
            check()
            print(f"ok {name}")
            passed += 1
        except Exception as error:
            print(f"FAIL {name}: {error!r}")
            failed += 1
    print(f"{title}: {passed} passed, {failed} failed")
    return failed != 0
