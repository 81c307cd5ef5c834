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


class Shell:
    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="dumb", ENV="", HISTFILE="", PS1="<$?>")
            os.execvp(argv[0], argv)
        self.seen = ""

    def expect(self, pattern, seconds=20):
        """Reads until the pattern matches what came since the last match; returns what led to it."""
        end = time.monotonic() + seconds
        while not (match := re.search(pattern, self.seen)):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise SystemExit(f"no {pattern!r} within {seconds} s in {self.seen!r}")
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            if not data:
                raise SystemExit(f"the shell ended before {pattern!r} in {self.seen!r}")
            # Cursor position queries and attributes of the line editor.
            self.seen += re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", data.decode(errors="replace"))
        before, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return before

    def type(self, text):
        os.write(self.fd, text.encode())

    def line(self, text, pattern=""):
        """Types a line, expects the pattern and then the next prompt."""
        self.type(text + "\r")
        self.expect(re.escape(text) if text.isprintable() else "")
        return self.expect(pattern) + self.expect(PROMPT)


def main():
    shell = Shell(sys.argv[1:])
    time.sleep(0.2)
    shell.type("PS1='<$?>'\r")
    shell.expect("PS1=[^\n]*\n")
    shell.expect(PROMPT)
    shell.line("test -t 0 && echo is a terminal", "\r\nis a terminal\r\n")

    # A foreground job is interrupted by the terminal, the shell is not.
    shell.type("sleep 100\r")
    time.sleep(0.5)
    shell.type("\x03")
    shell.expect("<130>")

    # Stop, list, continue in the background, bring back, interrupt.
    shell.type("sleep 100\r")
    time.sleep(0.5)
    shell.type("\x1a")
    shell.expect(r"Stopped")
    shell.expect(PROMPT)
    shell.line("jobs", r"\[1\]\+? +Stopped +sleep 100")
    shell.line("bg", r"\[1\] sleep 100")
    shell.line("jobs", r"\[1\]\+? +Running +sleep 100")
    shell.type("fg\r")
    shell.expect("fg\r\nsleep 100\r\n")
    time.sleep(0.3)
    shell.type("\x03")
    shell.expect("<130>")

    # A pipeline is one job with its own process group; a background job reading the terminal stops.
    shell.type("yes | cat | sleep 100\r")
    time.sleep(0.3)
    shell.type("\x03")
    shell.expect("<130>")
    shell.line("cat &")
    time.sleep(0.5)
    shell.line("jobs", r"Stopped \(tty input\) +cat")
    shell.line("kill -9 %1; wait; echo reaped", "reaped\r\n")

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
    end = time.monotonic() + 20
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
