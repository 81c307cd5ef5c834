# SPDX-License-Identifier: MIT
"""Runs test cases of CPython's own suite inside of the system under test; suite.py starts it.

    suite_cases.py MODULE RESULTS SECONDS [PATTERN...]

Appends two JSON lines to RESULTS for each case, when it begins and when it ends, so that a crash or
a hang can be told from all that ended before. Cases that RESULTS has begun are left out. A case that
takes more than SECONDS ends the process by faulthandler, with all stacks on standard error.
"""
import faulthandler
import fnmatch
import json
import os
import sys
import time
import unittest

from test import support


class Result(unittest.TestResult):
    """Writes down how each case ends, its first failure with the message."""

    def __init__(self, path, seconds):
        super().__init__()
        self.file = open(path, "a", encoding="utf-8", errors="backslashreplace")
        os.set_inheritable(self.file.fileno(), False)
        self.seconds = seconds
        self.owner = os.getpid()
        self.state = None
        self.began = 0

    def write(self, **fields):
        # A case's own child that comes back here after a fork is not the one that counts.
        if os.getpid() == self.owner:
            self.file.write(json.dumps(fields) + "\n")
            self.file.flush()

    def startTest(self, test):
        super().startTest(test)
        self.state = None
        self.began = time.monotonic()
        self.write(case=test.id(), state="begun")
        if os.getpid() == self.owner:
            faulthandler.dump_traceback_later(self.seconds, exit=True)

    def stopTest(self, test):
        super().stopTest(test)
        if os.getpid() == self.owner:
            faulthandler.cancel_dump_traceback_later()
        state, text = self.state or ("ok", "")
        seconds = round(time.monotonic() - self.began, 3)
        self.write(case=test.id(), state=state, text=text, seconds=seconds)

    def note(self, test, state, text):
        if test.__class__.__name__ == "_ErrorHolder":  # setUpClass, setUpModule
            self.write(case=test.id(), state=state, text=text, seconds=0)
        elif self.state is None or self.state[0] not in ("fail", "error"):
            self.state = (state, text)

    def addError(self, test, err):
        self.note(test, "error", self._exc_info_to_string(err, test))

    def addFailure(self, test, err):
        self.note(test, "fail", self._exc_info_to_string(err, test))

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.note(test, "fail", str(subtest) + "\n" + self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        self.note(test, "skip", reason)

    def addExpectedFailure(self, test, err):
        self.note(test, "ok", "")

    def addUnexpectedSuccess(self, test):
        self.note(test, "fail", "unexpected success")


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def main():
    module, results, seconds, *patterns = sys.argv[1:]
    faulthandler.enable()
    support.use_resources = ["cpu", "walltime", "subprocess"]
    done = set()
    if os.path.exists(results):
        with open(results, encoding="utf-8") as lines:
            done = {json.loads(line)["case"] for line in lines}
    tests = flatten(unittest.defaultTestLoader.loadTestsFromName(module))
    chosen = [
        test
        for test in tests
        if test.id() not in done
        and (not patterns or any(fnmatch.fnmatch(test.id(), p) for p in patterns))
    ]
    unittest.TestSuite(chosen).run(Result(results, float(seconds)))
    # Threads that a failed case has left behind must not keep the process.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
