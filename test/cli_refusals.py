# SPDX-License-Identifier: MIT
"""Command line: what is refused, and with which words: wrong usage, files that are no program, broken images."""
import errno
import os
import re
import shutil
import subprocess
from pathlib import Path

from cli_rig import expect, test


@test
def bad_usage(cli):
    for words in ([], ["run"], ["nonsense"], ["run", "--nonsense", cli.probe],
                  ["run", "--cpus=0", cli.probe], ["run", "--cpus=x", cli.probe],
                  ["run", "--memory=-1", cli.probe], ["run", "--isolation=some", cli.probe],
                  ["run", "--fork=never", cli.probe], ["run", "--root=/no/such", cli.probe],
                  ["run", "--dir=/data:/no/such", cli.probe], ["run", "--env=NAME", cli.probe],
                  ["run", "--env==value", cli.probe], ["run", "--memory=64K", cli.probe],
                  ["image", cli.probe, "-o"], ["image", "-o"]):
        done = cli.raw(*words)
        expect(done, lambda s: s not in (0, 134, 139) and s > 0, "", r"\S")


@test
def program_not_found(cli):
    expect(cli.raw("run", "/no/such/program"), 127, "", "no/such/program")
    expect(cli.raw("run", "no-such-program"), 127, "", "no-such-program")


@test
def program_not_executable(cli):
    text = cli.work / "text"
    text.write_text("just text\n")
    expect(cli.raw("run", str(text)), 126, "", "text is not executable")
    expect(cli.raw("run", str(cli.work)), 126, "", "is a directory")
    text.chmod(0o755)
    expect(cli.raw("run", str(text)), 126, "", "text: not a program: neither an image made by ufork-cc nor")
    text.write_text("")
    expect(cli.raw("run", str(text)), 126, "", "text: not a program")
    text.write_text("#!/no/such/shell\n")
    expect(cli.raw("run", str(text)), 126, "", "text: its interpreter is not in the root file system")


@test
def host_script(cli):
    """A script of the host is found by its interpreter, which is the root file system's."""
    root, script = cli.work / "root", cli.work / "script"
    (root / "bin").mkdir(parents=True)
    shutil.copy(cli.probe, root / "bin/probe")
    script.write_text("#!/bin/probe get\nline\n")
    script.chmod(0o755)
    for options in ((), ("--vm",)):
        expect(cli.raw("run", *options, f"--root={root}", str(script)), 0, "#!/bin/probe get\nline\n")


@test
def linux_program(cli):
    """An ordinary Linux ELF is refused with a message that says what to do."""
    expect(cli.raw("run", cli.native), 126, "", "ufork-cc")
    done = cli.run("exec", "/host/native-probe",
                   options=[f"--dir=/host:{Path(cli.native).parent}"])
    expect(done, 1, f"errno {errno.ENOEXEC}\n")


def text_offset(image):
    """File offset of an image's executable segment."""
    phoff = int.from_bytes(image[32:40], "little")
    for at in range(phoff, phoff + 56 * int.from_bytes(image[56:58], "little"), 56):
        kind, flags = (int.from_bytes(image[at + i:at + i + 4], "little") for i in (0, 4))
        if kind == 1 and flags & 1:
            return int.from_bytes(image[at + 8:at + 16], "little")
    raise AssertionError("no text")


@test
def verifier_program(cli):
    """ufork-verify: 0 accepted, 1 refused with address and rule, 2 not an image."""
    verify = str(cli.build / "bin/ufork-verify")

    def check(path):
        return subprocess.run([verify, str(path)], capture_output=True, text=True, check=False)

    assert check(cli.probe).returncode == 0, check(cli.probe)
    assert check(cli.native).returncode == 2, check(cli.native)
    (cli.work / "text").write_text("text")
    assert check(cli.work / "text").returncode == 2
    image = bytearray(Path(cli.probe).read_bytes())
    at = text_offset(image)
    image[at:at + 2] = b"\x0f\x05"
    broken = cli.work / "broken"
    broken.write_bytes(image)
    broken.chmod(0o755)
    done = check(broken)
    assert done.returncode == 1 and re.search(r"0x[0-9a-f]+|[0-9a-f]{6,}", done.stdout + done.stderr), done
    expect(cli.raw("run", str(broken)), 126, "", r"0x[0-9a-f]+|[0-9a-f]{6,}")


@test
def vm_options_refused(cli):
    expect(cli.run("exit", "0", options=["-p", "80:80"]), status=2, err="needs --vm")
    expect(cli.run("exit", "0", options=["--vm", "-p", "nonsense"]), status=2, err="HOSTPORT")
    expect(cli.raw("image", cli.probe), status=2, err="-o FILE is missing")
    image = str(cli.work / "image")
    expect(cli.raw("image", cli.native, "-o", image), status=1, err="rebuild it with ufork-cc")
    expect(cli.raw("image", "no-such-program", "-o", image), status=127, err="no-such-program: not found")
    assert not os.path.exists(image)
    expect(cli.run("exit", "0", options=["--vm", "--memory=8M"]), status=1, err=r"needs at least \d+M")
