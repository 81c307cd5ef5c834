# SPDX-License-Identifier: MIT
"""Command line: exit status, signals from outside, the end of an instance."""
import os
import signal
import subprocess
from pathlib import Path

from cli_rig import eventually, expect, test


@test
def exit_status(cli):
    for status in (0, 1, 42, 255):
        expect(cli.run("exit", str(status)), status, "", "^$")


@test
def death_by_signal(cli):
    """As a shell: 128 + n."""
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGABRT, signal.SIGINT, signal.SIGPIPE):
        expect(cli.run("kill", str(int(number))), lambda s, n=number: s in (128 + n, -n))
    expect(cli.run("segv", "16"), lambda s: s in (139, -11))


@test
def children_end_with_process_one(cli):
    """When process 1 ends, so does the instance, with all that it left behind and that would wait for ever."""
    expect(cli.run("forks", "20"), out="left 20 children\n")


def ready_for(cli, number, before=()):
    """A running program that has seen to it that this signal ends it."""
    process = cli.start("handle", str(int(number)), before=before, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@test
def terminated(cli):
    """SIGTERM and SIGINT of the host reach process 1."""
    for number in (signal.SIGTERM, signal.SIGINT):
        process = ready_for(cli, number)
        process.send_signal(number)
        assert process.wait() in (128 + number, -number), process.returncode


@test
def ignored_signals(cli):
    """What the one who starts us ignores is ignored until the program wants it otherwise."""
    ignoring = ["sh", "-c", 'trap "" QUIT; exec "$@"', "sh"]
    process = ready_for(cli, signal.SIGQUIT, ignoring)
    process.send_signal(signal.SIGQUIT)
    assert process.wait() in (128 + signal.SIGQUIT, -signal.SIGQUIT), process.returncode
    process = ready_for(cli, signal.SIGHUP, ignoring)
    for number in (signal.SIGQUIT, signal.SIGHUP):
        process.send_signal(number)
    assert process.wait() in (128 + signal.SIGHUP, -signal.SIGHUP), process.returncode


@test
def vm_status(cli):
    for status in (0, 1, 42, 255):
        expect(cli.run("exit", str(status), options=["--vm"]), status=status)


@test
def vm_killed(cli):
    """No machine is left behind by a command that is killed."""
    command = cli.start("type", options=["--vm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert command.stdout.readline() == b"ready\n"
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    assert len(children) == 1, children
    command.kill()
    command.wait()
    eventually("the machine ends", lambda: not os.path.exists(f"/proc/{children[0]}"))
