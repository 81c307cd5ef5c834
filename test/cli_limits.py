# SPDX-License-Identifier: MIT
"""Command line: when memory or descriptors run out."""
import os
import re

from cli_rig import expect, shell, test


@test
def memory_limit(cli):
    """Running out of --memory is an error of the program, not of the instance."""
    for kind in ("private", "shared"):
        done = cli.run("eat", kind, options=["--memory=128M"])
        expect(done, 0)
        mib = int(re.match(r"no memory after (\d+) MiB\n", done.stdout)[1])
        free = int(re.search(r"MemFree: *(\d+) kB", done.stdout)[1]) >> 10
        assert 100 <= mib < 128 and mib + free < 128, done.stdout
    for tier in ("copy", "lazy"):
        expect(cli.run("eat", options=["--memory=64M", f"--fork={tier}"]), 0)
    done = cli.run("exit", "5", options=["--memory=128M"])
    expect(done, 5)


@test
def fork_bomb(cli):
    """Memory that fork uses up is refused to fork: no process is killed for it."""
    for options in (["--memory=64M"], ["--vm", "--memory=256M", "--cpus=2"]):
        done = cli.run("bomb", options=options)
        expect(done)
        assert re.match(r"all: \d+ forks", done.stdout) and "out of memory" not in done.stderr, done


@test
def few_descriptors(cli):
    """What the host does not give is named."""
    done = shell(f"ulimit -n 8; exec {cli.ufork} run {cli.probe} exit 0")
    expect(done, lambda s: s not in (0, 134, 139) and s > 0, "", "EMFILE|Too many open files")


@test
def vm_memory(cli):
    """What finds no memory at its first touch is killed, and the log says so; the rest goes on. The
    memory of the initramfs comes back once it is unpacked."""
    root = cli.work / "root"  # the usual one may be too large for so little memory
    root.mkdir()
    for cpus in (1, 4):
        done = cli.run("touch", options=["--vm", "--memory=96M", f"--cpus={cpus}", f"--root={root}"])
        expect(done, out="signal 9\n", err=r"out of memory: process 2 \(probe\) killed; \d+ of \d+ KiB")
    (root / "large").write_bytes(os.urandom(64 << 20))
    done = cli.run("get", "/proc/meminfo", options=["--vm", "--memory=256M", f"--root={root}"])
    expect(done)
    total = int(re.search(r"MemTotal: *(\d+) kB", done.stdout)[1])
    assert total > (256 - 24) << 10, total
