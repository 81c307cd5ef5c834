# SPDX-License-Identifier: MIT
"""A virtual machine that runs µFork or Linux and measuring programs: same QEMU, same devices.

The root file system is an initramfs of ours with /runner (pc/runner.c), which runs the programs and
prints what they print to the serial console.
"""
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test"))
from cpio import Archive  # noqa: E402

QEMU = ["qemu-system-x86_64", "-M", "microvm", "-cpu", "max,erms=off", "-nodefaults",
        "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
        "-global", "virtio-mmio.force-legacy=false", "-device", "isa-debug-exit,iobase=0x501,iosize=4"]
# One instruction is one nanosecond of the machine's time, waiting takes none of ours.
ICOUNT = ["-icount", "shift=0,sleep=off"]
ICOUNT_KHZ = 1000000
# No kernel does for its safety what the other does not; nothing waits for hardware that is not there.
LINUX_WORDS = "console=ttyS0 quiet mitigations=off init_on_alloc=0 tsc=reliable reboot=t panic=-1"


class Unavailable(RuntimeError):
    """What a measurement needs is not to be had on this machine."""


@dataclass
class Guest:
    """A kernel, and where the programs compiled for it are."""
    name: str
    build: Path
    system: str  # ufork or linux
    programs: str

    def program(self, name):
        return (self.build / "bench" / self.programs / name).read_bytes()

    def own(self, name):
        """A program of bench/pc."""
        return (self.build / "bench/pc" / self.system / name).read_bytes()

    def port(self, name, folder="bin"):
        """A program of a port."""
        at = f"rootfs/usr/{folder}" if self.system == "ufork" else "native/bin"
        return (self.build / at / name).read_bytes()

    def kernel(self):
        return self.build / ("bin/ufork-pc.elf" if self.system == "ufork" else "bench/pc/kernel/kernel")

    def check(self):
        """Unavailable if this system cannot be run here."""
        if not shutil.which(QEMU[0]):
            raise Unavailable(f"there is no {QEMU[0]}")
        if not self.kernel().exists():
            raise Unavailable("Debian's package linux-image-cloud-amd64 could not be had")

    def modules(self):
        order = ["virtio_ring", "virtio", "virtio_mmio", "failover", "net_failover", "virtio_net"]
        files = [self.build / f"bench/pc/kernel/modules/{name}.ko" for name in order]
        return [f for f in files if f.exists()]

    def command_line(self, icount, network, first):
        """`first`: the first process, where it is not the runner."""
        if self.system == "ufork":
            return f"quiet terminal=no {'' if network else 'ip=off ip6=off '}-- {first or '/runner'}"
        khz = ICOUNT_KHZ if icount else tsc_khz(self.build)
        return f"{LINUX_WORDS} tsc_early_khz={khz}"

    def archive(self, files, script, network, first):
        archive = Archive()
        if first:
            archive.file("/init" if self.system == "linux" else first, self.own("first"))
            return archive.bytes()
        archive.file("/runner", self.own("runner"))
        archive.directory("/tmp", 0o1777)
        archive.file("/bench/list", "".join(f"{line}\n" for line in script).encode(), 0o644)
        for name, data in files.items():
            archive.file(name, data)
        if self.system == "linux":
            archive.file("/init", self.own("linux_init"))
            for directory in ("/dev", "/proc"):
                archive.directory(directory)
            if network:
                for module in self.modules():
                    archive.file(f"/modules/{module.name}", module.read_bytes(), 0o644)
                order = "".join(f"/modules/{m.name}\n" for m in self.modules())
                archive.file("/modules/order", order.encode(), 0o644)
        return archive.bytes()


_khz = []


def tsc_khz(build):
    """The time-stamp counter's frequency: QEMU's without -icount is the host's."""
    if not _khz:
        done = subprocess.run([build / "bench/pc/tsc"], capture_output=True, text=True, check=True)
        _khz.append(int(done.stdout))
    return _khz[0]


class Machine:
    """One boot. `script` is for the runner, `files` {guest path: bytes} are beside it."""

    def __init__(self, guest, script=(), files=None, memory=512, icount=False, ports=None, first=None,
                 seed=1, limit=300, cpus=1):
        self.deadline, self.left = time.monotonic() + limit, b""
        self.name = guest.name
        work = self.work = tempfile.TemporaryDirectory(prefix="ufork-bench-")
        network = ports is not None
        initrd = Path(work.name) / "initrd"
        initrd.write_bytes(guest.archive(files or {}, script, network, first))
        command = QEMU + ["-smp", str(cpus), "-m", str(memory), "-seed", str(seed), "-kernel", str(guest.kernel()),
                          "-initrd", str(initrd), "-append", guest.command_line(icount, network, first),
                          "-qmp", f"unix:{work.name}/qmp,server=on,wait=off", "-device", "virtio-rng-device"]
        if network:
            forward = "".join(f",hostfwd=tcp:127.0.0.1:{h}-:{g}" for h, g in ports.items())
            command += ["-netdev", f"user,id=net{forward}", "-device", "virtio-net-device,netdev=net"]
        self.started = time.monotonic()
        self.process = subprocess.Popen(command + (ICOUNT if icount else []), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.work.cleanup()

    def line(self):
        """The next line of the console."""
        while b"\n" not in self.left:
            wait = self.deadline - time.monotonic()
            ready = wait > 0 and select.select([self.process.stdout], [], [], wait)[0]
            data = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not data:
                why = "ended" if ready else "does not end"
                raise RuntimeError(f"the machine with {self.name} {why}: {self.left[-500:]!r}")
            self.left += data
        line, self.left = self.left.split(b"\n", 1)
        return line.decode(errors="replace").strip()

    def until(self, wanted):
        """Lines before the one that begins with `wanted`, and that one."""
        lines = []
        while True:
            line = self.line()
            if line.startswith("@@ failed"):
                raise RuntimeError(f"{self.name}: {line[3:]}\n" + "\n".join(lines[-5:]))
            if line.startswith(wanted):
                return lines, line
            lines.append(line)

    def outputs(self):
        """Yields (name, lines) of every program of the script."""
        while True:
            _, line = self.until("@@ ")
            if line == "@@ done":
                return
            name = line.removeprefix("@@ run ")
            lines, end = self.until("@@ end")
            if end != "@@ end 0":
                raise RuntimeError(f"{self.name}: {name}: status {end.split()[2]}\n" + "\n".join(lines))
            yield name, lines

    def cpu_seconds(self):
        """Processor time of QEMU so far: the emulated CPU's and the devices'."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def instructions(self):
        """How many the machine has executed; with icount only."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{self.work.name}/qmp")
            file = s.makefile("rw")
            file.readline()
            for request in ("qmp_capabilities", "query-replay"):
                file.write(json.dumps({"execute": request}) + "\n")
                file.flush()
                answer = file.readline()
        return json.loads(answer)["return"]["icount"]
