# SPDX-License-Identifier: MIT
"""Command line: standard input, output and error."""
import errno
import subprocess

from cli_rig import expect, shell, test


@test
def standard_streams(cli):
    expect(cli.run("get", stdin=None, input="through\nstdin"), out="through\nstdin")
    expect(cli.run("err"), out="", err="^to standard error\n$")


@test
def closed_streams(cli):
    """What the caller closed is closed for the program, and nothing of the instance takes its number."""
    for options in ((), ("--vm",)):
        run = " ".join([cli.ufork, "run", *options, cli.probe])
        if options:  # the machine's console is there in any case
            expect(shell(f"{run} get <&-"), 0, "")
        else:
            expect(shell(f"{run} get <&-"), 1, f"errno {errno.EBADF}\n")
        expect(shell(f"{run} put /tmp/x text >&-"), 0, "", "^$")
        expect(shell(f"{run} err 2>&-"), 0, "", "^$")
        expect(shell(f"{run} exit 3 <&- >&- 2>&-"), 3, "", "^$")
    done = shell(f"{cli.ufork} run {cli.probe} fstat <&- 2>&-")
    expect(done, 0, f"0 {errno.EBADF}\n1 0\n2 {errno.EBADF}\n3 {errno.EBADF}\n")


@test
def large_input(cli):
    text = "0123456789abcdef" * 65536
    expect(cli.run("get", stdin=None, input=text), out=text)


@test
def closed_output(cli):
    """A reader that goes away ends the program by SIGPIPE, or its write fails; it never hangs."""
    done = shell(f"yes | {cli.ufork} run {cli.probe} get | head -n 1")
    assert done.stdout == "y\n", done


@test
def vm_streams(cli):
    data = bytes(range(256)) * 200
    done = subprocess.run([cli.ufork, "run", "--vm", cli.probe, "get"], input=data,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == data, f"{len(done.stdout)} bytes came back of {len(data)}"
