#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How platform pc ends. A kernel stack that grows too long is a panic that names it: an image with kernel
bugs on demand (plat/pc/test/selftest.c) is told to overflow one.

  pc_stacks.py BUILD
"""
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from checks import run_all
from cpio import Archive
from pc_system import QEMU, unframe

PANIC = 255  # isa-debug-exit: 2 * 127 + 1


def boot(build, kernel, cpus, words, program):
    """(QEMU's exit status, what the kernel logged)."""
    archive = Archive()
    archive.file("/spin", (build / "test/pc-spin").read_bytes())
    with tempfile.NamedTemporaryFile(prefix="ufork-stacks-") as initrd:
        initrd.write(archive.bytes())
        initrd.flush()
        command = QEMU + ["-M", "microvm", "-m", "128", "-smp", str(cpus), "-kernel", str(build / kernel),
                          "-initrd", initrd.name, "-append", f"console=framed terminal=no {words} -- {program}"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode, unframe(done.stdout)[1].decode(errors="replace")


def check_overflow(build, cpus, where, whose):
    status, log = boot(build, "test/pc/selftest.elf", cpus, f"overflow={where}", "/spin")
    lines = [line for line in log.splitlines() if line.startswith("ufork: ")]
    at = next((n for n, line in enumerate(lines) if "kernel bug" in line), None)
    assert status == PANIC and at is not None, (status, log)
    assert re.fullmatch(f"ufork: kernel bug: kernel stack of {whose} has overflowed, stack 0x[0-9a-f]+",
                        lines[at]), lines[at]
    # The backtrace begins where it happened and goes on to the caller, as far as it is long.
    trace = lines[at + 1:]
    assert len(trace) > 8 and all(" grow+0x" in line for line in trace[:8]), trace


def check_real_kernel(build):
    """Such words mean nothing to the image that is for use."""
    status, log = boot(build, "bin/ufork-pc.elf", 1, "overflow=boot", "/spin end")
    assert status == 2 * 3 + 1, (status, log)


def check_unused_cpus(build):
    """CPUs that were never started are not stopped at the end: QEMU resets the machine if they are."""
    status, log = boot(build, "bin/ufork-pc.elf", 4, "cpus=2", "/spin end")
    assert status == 2 * 3 + 1, (status, log)


CHECKS = {"real_kernel": (check_real_kernel,), "unused_cpus": (check_unused_cpus,)}
for n in (1, 2):
    CHECKS[f"boot, CPUs: {n}"] = (check_overflow, n, "boot", r"CPU 0 \(start\)")
    CHECKS[f"interrupt, CPUs: {n}"] = (check_overflow, n, "interrupt", r"CPU 0 \(interrupts\)")
    CHECKS[f"thread, CPUs: {n}"] = (check_overflow, n, "thread", r"thread 1 \(spin\)")


def main():
    build = Path(sys.argv[1])
    return run_all("pc-stacks", [(name, partial(check, build, *arguments))
                                 for name, (check, *arguments) in CHECKS.items()])


if __name__ == "__main__":
    sys.exit(main())
