# SPDX-License-Identifier: MIT
"""System tests on platform pc: one virtual machine runs many of them (test/pc/runner.c)."""
import os
import re
import select
import subprocess
import tempfile
import time

from cpio import Archive

# An emulated CPU, one of several on a busy host, is that much slower than what a time-out is meant for.
SLOWNESS = 12
QEMU = ["qemu-system-x86_64", "-cpu", "max,erms=off", "-nodefaults", "-no-reboot", "-display", "none",
        "-serial", "stdio", "-device", "isa-debug-exit,iobase=0x501,iosize=4"]
DLE = 0x10


def unframe(data):
    """What the machine's standard output is, and the rest: its log (plat/pc/stdio.c)."""
    streams, now, at = {1: bytearray(), 2: bytearray()}, 1, 0
    while at < len(data):
        end = data.find(DLE, at)
        if end < 0 or end + 1 == len(data):
            streams[now] += data[at:]
            break
        streams[now] += data[at:end]
        command = data[end + 1]
        if command == DLE:
            streams[now].append(DLE)
        elif command in b"12":
            now = command - ord("0")
        at = end + (4 if command == ord("x") else 2)
    return bytes(streams[1]), bytes(streams[2])


class Machine:
    """One boot with some tests; results appear as they come."""

    def __init__(self, build, tests, cpus, memory="1G", machine="microvm"):
        self.tests, self.limits = tests, {}
        archive = Archive()
        root = build / "rootfs"
        if root.exists():
            archive.tree(root)
        archive.file("/runner", (build / "test" / "pc-runner").read_bytes())
        lines = []
        for test in tests:
            limit = float(test.set["timeout"]) * SLOWNESS
            self.limits[test.name] = limit
            arguments = " ".join(a for a in test.set["args"].split(",") if a)
            archive.file(f"/tests/{test.name}", test.program.read_bytes())
            lines.append(f"{test.name} {limit} {arguments}\n")
        archive.file("/tests/list", "".join(lines).encode(), 0o644)
        with tempfile.NamedTemporaryFile(suffix=".cpio", delete=False) as file:
            file.write(archive.bytes())
            self.initrd = file.name
        command = QEMU + ["-M", machine, "-m", memory, "-smp", str(cpus), "-kernel", str(build / "bin/ufork-pc.elf"),
                          "-initrd", self.initrd, "-append", "console=framed terminal=no -- /runner"]
        self.complaints = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.complaints)
        self.raw = b""

    def results(self):
        """Yields (name, status, out, err); ends when the machine does, or hangs."""
        given, quiet_since = 0, time.monotonic()
        limit = max(self.limits.values()) + 60
        try:
            while True:
                ready, _, _ = select.select([self.process.stdout], [], [], 1)
                data = os.read(self.process.stdout.fileno(), 1 << 16) if ready else None
                if data:
                    self.raw += data
                    quiet_since = time.monotonic()
                    found = self.parse()
                    yield from found[given:]
                    given = len(found)
                if data == b"" or time.monotonic() - quiet_since > limit:
                    return
        finally:
            self.process.kill()
            self.process.wait()
            os.unlink(self.initrd)

    def parse(self):
        """Complete results so far."""
        out, _ = unframe(self.raw)
        found, at = [], 0
        while True:
            match = re.compile(rb"@@ end (\S+) (-?\d+) (\d+) (\d+)\n").search(out, at)
            if not match:
                return found
            a, b, c = match.end(), match.end() + int(match[3]), match.end() + int(match[3]) + int(match[4])
            if len(out) < c:
                return found
            found.append((match[1].decode(), int(match[2]), out[a:b].decode(errors="replace"),
                          out[b:c].decode(errors="replace")))
            at = c

    def last_words(self):
        """The kernel's log, what QEMU said, and how it ended."""
        self.complaints.seek(0)
        log = unframe(self.raw)[1] + self.complaints.read()
        return log.decode(errors="replace") + f"QEMU: status {self.process.returncode}\n"


def run_all(build, tests, cpus):
    """Yields (test, status, out, err) in the order of the tests; boots again after a crash."""
    left = list(tests)
    while left:
        machine = Machine(build, left, cpus)
        done = 0
        for _, status, out, err in machine.results():
            limit = machine.limits[left[done].name]
            yield left[done], f"time-out after {limit} s" if status < 0 else status, out, err
            done += 1
        if done < len(left):
            yield left[done], "the machine died or hung", "", machine.last_words()
            done += 1
        left = left[done:]
