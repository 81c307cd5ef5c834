#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Drives Python's interactive loop over a pseudo-terminal: prompts, errors, control-C, the end.

usage: smoke-tty.py COMMAND...   (the command starts Python)
"""
import os
import pty
import select
import sys
import time


def main():
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="dumb", PYTHONSTARTUP="")
        os.execvp(sys.argv[1], sys.argv[1:])
    seen = ""

    def expect(text, seconds=300):
        nonlocal seen
        end = time.monotonic() + seconds
        while text not in seen:
            left = end - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise SystemExit(f"no {text!r} within {seconds} s in {seen!r}")
            try:
                data = os.read(fd, 4096)
            except OSError:
                data = b""
            if not data:
                raise SystemExit(f"Python ended before {text!r} in {seen!r}")
            seen += data.decode()
        seen = seen[seen.index(text) + len(text) :]

    def line(text, *answers):
        os.write(fd, text.encode() + b"\n")
        for answer in answers:
            expect(answer)

    expect("3.11.2")
    expect(">>> ")
    line("6 * 7", "42\r\n", ">>> ")
    line("for i in range(3):", "... ")
    line("    print('<', i, '>')", "... ")
    line("", "< 0 >\r\n< 1 >\r\n< 2 >\r\n", ">>> ")
    line("1 / 0", "ZeroDivisionError: division by zero", ">>> ")
    line("import os; os.isatty(0), os.get_terminal_size(0).columns > 0 or 'none'", "(True, ", ">>> ")
    # Short sleeps: Python notices a signal that comes just before one only at its end, on any system.
    line("import time; print('sleeping'); any(time.sleep(1) for _ in range(1000))", "\r\nsleeping\r\n")
    os.write(fd, b"\x03")
    expect("KeyboardInterrupt")
    expect(">>> ")
    line("input('name? ')", "name? ")
    line("uFork", "'uFork'", ">>> ")
    os.write(fd, b"\x04")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        raise SystemExit(f"exit status {status} after the end of input")


main()
