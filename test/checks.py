# SPDX-License-Identifier: MIT
"""Runs named checks one after the other, each even if one before it failed, and none for ever."""
import contextlib
import signal
import tempfile
from pathlib import Path

# Seconds for a check as a whole. Only what hangs takes so long, on whatever host: nothing in it has a limit of its own.
LIMIT = 900


def out_of_time(*_):
    raise TimeoutError(f"not done after {LIMIT} s")


@contextlib.contextmanager
def limited():
    """TimeoutError in what takes longer than LIMIT."""
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)


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
            with limited():
                check()
            print(f"ok {name}", flush=True)
            passed += 1
        except Exception as error:
            print(f"FAIL {name}: {error!r}", flush=True)
            failed += 1
    print(f"{title}: {passed} passed, {failed} failed")
    return failed != 0
