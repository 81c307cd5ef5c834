#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Drives an interactive shell over a pseudo-terminal: job control, line editing, history, vi.

usage: smoke-tty.py COMMAND...   (the command starts the shell)
"""

import os
import pty
import re
import select
import signal
import sys
import time

PROMPT = "<\\d+>"
# Seconds in which something comes from anything but a shell that hangs.
PATIENCE = 300


class Shell:
    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="dumb", ENV="", HISTFILE="", PS1="<$?>")
            os.execvp(argv[0], argv)
        self.seen = ""

    def read(self, missing):
        """Adds what comes to what was seen; it is said what is missing if nothing does."""
        data = b""
        if select.select([self.fd], [], [], PATIENCE)[0]:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                pass
        if not data:
            raise SystemExit(f"no {missing!r} in {self.seen!r}: the shell has ended, or does nothing for {PATIENCE} s")
        # Cursor position queries and attributes of the line editor.
        self.seen += re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", data.decode(errors="replace"))

    def expect(self, pattern):
        """Reads until the pattern matches what came since the last match; returns what led to it."""
        while not (match := re.search(pattern, self.seen)):
            self.read(pattern)
        before, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return before

    def expect_all(self, *patterns):
        """The same for several, in any order."""
        while not all(found := [re.search(p, self.seen) for p in patterns]):
            self.read(patterns)
        self.seen = self.seen[max(match.end() for match in found) :]

    def type(self, text):
        os.write(self.fd, text.encode())

    def line(self, text, pattern=""):
        """Types a line, expects the pattern and then the next prompt."""
        self.type(text + "\r")
        self.expect(re.escape(text) if text.isprintable() else "")
        return self.expect(pattern) + self.expect(PROMPT)


def main():
    shell = Shell(sys.argv[1:])
    shell.expect("[#$>] ?$")
    shell.type("PS1='<$?>'\r")
    shell.expect("PS1=[^\n]*\n")
    shell.expect(PROMPT)
    shell.line("test -t 0 && echo is a terminal", "\r\nis a terminal\r\n")

    # A foreground job is interrupted by the terminal, the shell is not. What a job prints says that it is there.
    shell.type("(echo up; sleep 1000)\r")
    shell.expect("\r\nup\r\n")
    shell.type("\x03")
    shell.expect("<130>")

    # Stop, list, continue in the background, bring back, interrupt. The job says that it has been continued,
    # which in the foreground is after the terminal has become its own.
    shell.line("echo 'trap \"echo on\" CONT; echo up' >job")
    shell.line("echo 'while :; do sleep 0.1; done' >>job")
    shell.type("sh job\r")
    shell.expect("\r\nup\r\n")
    shell.type("\x1a")
    shell.expect(r"Stopped")
    shell.expect(PROMPT)
    shell.line("jobs", r"\[1\]\+? +Stopped +sh job")
    shell.type("bg\r")
    shell.expect_all(r"\[1\] sh job\r\n", r"on\r\n", PROMPT)
    shell.line("jobs", r"\[1\]\+? +Running +sh job")
    shell.type("fg\r")
    shell.expect("fg\r\nsh job\r\n")
    shell.expect("on\r\n")
    shell.type("\x03")
    shell.expect("<130>")

    # A pipeline is one job with its own process group; a background job reading the terminal stops.
    shell.type("yes | cat | (echo up; sleep 1000)\r")
    shell.expect("\r\nup\r\n")
    shell.type("\x03")
    shell.expect("<130>")
    shell.line("cat &")
    end = time.monotonic() + PATIENCE
    while not re.search(r"Stopped \(tty input\) +cat", shell.line("jobs")):
        if time.monotonic() > end:
            raise SystemExit("a background job that reads the terminal is not stopped")
        time.sleep(0.05)
    shell.line("kill -9 %1; wait; echo reaped; rm job", "reaped\r\n")

    # Line editing: delete, go to the start and insert, take back a line of the history.
    shell.type("cho wrongx\x7f\x01e\r")
    shell.expect("\r\nwrong\r\n")
    shell.expect(PROMPT)
    shell.type("\x1b[A\r")
    shell.expect("\r\nwrong\r\n")
    shell.expect(PROMPT)

    # A full-screen editor takes the terminal over and gives it back.
    shell.type("vi edited\r")
    shell.expect("edited 1/1")
    shell.type("ihello, vi")
    shell.expect("hello, vi")
    shell.type("\x1b")
    shell.expect("Modified")
    shell.type(":wq\r")
    shell.expect("1L, 10C")
    shell.expect(PROMPT)
    shell.line("cat edited; rm edited", "\r\nhello, vi\r\n")

    # End of file leaves with the status of the last command.
    shell.line("(exit 6)")
    shell.type("\x04")
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        pid, status = os.waitpid(shell.pid, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            if code != 6:
                raise SystemExit(f"the shell's exit status is {code}, not 6")
            return
        if select.select([shell.fd], [], [], 0.05)[0]:
            try:
                os.read(shell.fd, 4096)
            except OSError:
                pass
    os.kill(shell.pid, signal.SIGKILL)
    raise SystemExit("the shell does not end at end of file")


main()
