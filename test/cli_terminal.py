# SPDX-License-Identifier: MIT
"""Command line: a terminal as standard streams, job control, what is typed."""
import os
import pty
import re
import signal
import subprocess
import sys
import termios

from cli_rig import eventually, expect, test

# A shell with job control and one job, which it starts in the foreground or (argument 1: bg) in the
# background and takes to the foreground whenever it has stopped.
SHELL = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
foreground = sys.argv[1] == "fg"
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    if foreground:
        os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[2], sys.argv[2:])
while True:
    status = os.waitpid(job, os.WUNTRACED)[1]
    os.tcsetpgrp(0, os.getpid())
    if not os.WIFSTOPPED(status):
        break
    print("stopped", os.WSTOPSIG(status), flush=True)
    os.tcsetpgrp(0, job)
    os.killpg(job, signal.SIGCONT)
print("status", os.waitstatus_to_exitcode(status), flush=True)
"""


def read_until(master, shown, awaited):
    """What the terminal has shown, once the pattern is in it."""
    try:
        while not re.search(awaited, shown):
            shown += os.read(master, 4096)
        return shown
    except OSError:  # out of time, or nobody has the terminal any more
        raise AssertionError(f"{awaited!r} is not in {shown!r}") from None


def as_job(cli, where, options, words, steps):
    """What the terminal shows: each step is what must have been shown, and then what to type or call."""
    pid, master = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", SHELL, where, cli.ufork, "run", *options, cli.probe, *words])
    shown = b""
    try:
        for awaited, action in [*steps, (rb"status -?\d+\r\n", None)]:
            shown = read_until(master, shown, awaited)
            if callable(action):
                action(master)
            elif action:
                os.write(master, action)
        return shown.decode().replace("\r", "")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)


@test
def job_control(cli):
    """The shell outside stops and continues the instance as it does any program."""
    for options in ((), ("--vm",)):
        shown = as_job(cli, "fg", options, ["type"], [
            (b"ready", b"one\n"), (rb"got one", b"\x1a"), (rb"stopped 20\r\n", b"two\n"), (b"got two", b"\x04")])
        assert re.search(r"stopped 20\n(?s:.*)got two\n(?s:.*)status 0\n", shown), shown
        shown = as_job(cli, "bg", options, ["get"], [(rb"stopped 2[12]\r\n", b"three\n"), (rb"three\s+three", b"\x04")])
        assert shown.endswith("status 0\n"), shown


@test
def window_size(cli):
    """A change of the terminal's window reaches the foreground processes."""
    def resize(master):
        termios.tcsetwinsize(master, (33, 77))

    for options in ((), ("--vm",)):
        shown = as_job(cli, "fg", options, ["window"], [(b"ready", resize)])
        assert "33 77\n" in shown and shown.endswith("status 0\n"), shown


@test
def terminal_name(cli):
    """The terminal is /dev/console, for who may not open that as well."""
    for options in ((), ("--vm",)):
        shown = as_job(cli, "fg", options, ["tty"], [])
        assert "tty /dev/console link /dev/console same 1 1 char 1 open 1\n" in shown, shown
        assert shown.endswith("status 0\n"), shown
    expect(cli.run("tty"), 1, "not a terminal\n")


def vm_typing(cli, words, typed, ending, ready=b""):
    """What a terminal shows when `typed` is typed to a program in a machine, as soon as the terminal is the
    machine's and shows `ready`; the program's exit status."""
    master, slave = pty.openpty()
    machine = cli.start(*words, options=["--vm"], stdin=slave, stdout=slave, stderr=subprocess.DEVNULL,
                        start_new_session=True)
    try:
        eventually("the terminal is the machine's", lambda: not termios.tcgetattr(slave)[3] & termios.ICANON)
        shown = read_until(master, b"", ready)
        os.write(master, typed)
        return read_until(master, shown, re.escape(ending) + b"$"), machine.wait()
    finally:
        os.close(slave)
        os.close(master)


@test
def vm_terminal(cli):
    # The first is typed while the machine starts. A signal is for who is there.
    shown, status = vm_typing(cli, ["get"], b"ab\177c\r\004", b"\nac\r\n")
    assert (shown, status) == (b"ab\b \bc\r\nac\r\n", 0), (shown, status)
    shown, status = vm_typing(cli, ["type"], b"x\003", b"^C", b"ready\r\n")
    assert (shown, status) == (b"ready\r\nx^C", 130), (shown, status)
