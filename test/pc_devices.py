#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The devices of platform pc on QEMU's machines microvm and q35: entropy, disk, console, a directory
of the host (9p). test/pc/devices.c works in the guest; this looks at what the host sees of it.

  pc_devices.py BUILD
"""
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from cpio import Archive

BIG = 1 << 20
TIMEOUT = 120
SAVES = 25


def pattern(seed):
    return bytearray((k * 2654435761 + seed) % (1 << 32) >> 13 & 0xff for k in range(BIG))


def command(build, machine, work, arguments):
    """QEMU with one device of each kind, its files in `work`."""
    bus = "device" if machine == "microvm" else "pci"
    return ["qemu-system-x86_64", "-M", machine, "-cpu", "max,erms=off", "-m", "256", "-smp", "2",
            "-nodefaults",
            "-no-reboot", "-display", "none", "-serial", "stdio",
            "-global", "virtio-mmio.force-legacy=false",
            "-device", "isa-debug-exit,iobase=0x501,iosize=4",
            "-device", f"virtio-rng-{bus}",
            "-drive", f"file={work}/disk,if=none,format=raw,id=d", "-device", f"virtio-blk-{bus},drive=d",
            "-fsdev", f"local,id=h,path={work}/host,security_model=none",
            "-device", f"virtio-9p-{bus},fsdev=h,mount_tag=host",
            "-chardev", f"socket,id=c,path={work}/console,server=on,wait=on",
            "-device", f"virtio-serial-{bus}", "-device", "virtconsole,chardev=c",
            "-kernel", f"{build}/bin/ufork-pc.elf", "-initrd", f"{work}/initrd",
            "-append", f"console=framed terminal=no mount=host:/host mount=host:/ro:ro -- /devices {arguments}"]


class Guest:
    """A running machine."""

    def __init__(self, build, machine, work, arguments=""):
        archive = Archive()
        archive.file("/devices", (build / "test/pc-devices").read_bytes())
        (work / "initrd").write_bytes(archive.bytes())
        (work / "disk").write_bytes(bytes(2 * BIG))
        (work / "host").mkdir()
        self.process = subprocess.Popen(command(build, machine, work, arguments), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        signal.alarm(TIMEOUT)
        self.console = socket.socket(socket.AF_UNIX)
        self.console.settimeout(TIMEOUT)
        self.process.stderr.readline()  # QEMU says that it waits for us
        self.console.connect(str(work / "console"))

    def end(self):
        self.process.kill()
        self.process.wait()
        self.console.close()
        signal.alarm(0)


def receive(console, end):
    got = b""
    while not got.endswith(end):
        piece = console.recv(1000)
        assert piece, f"console closed after {got}"
        got += piece
    return got


def check_devices(build, machine, work):
    guest = Guest(build, machine, work)
    try:
        assert receive(guest.console, b"ready\r\n")
        guest.console.sendall(b"hellp\x7fo\r")
        receive(guest.console, b"got hello\r\n")
        out, _ = guest.process.communicate()
    finally:
        guest.end()
    assert guest.process.returncode == 1, out.decode(errors="replace")  # isa-debug-exit: 2 * 0 + 1
    disk = pattern(1)
    disk[1021:1027] = b"across"
    assert (work / "disk").read_bytes() == disk + bytes(BIG)
    host = work / "host"
    assert sorted(os.listdir(host)) == ["big", "c", "link", "log"]
    assert (host / "big").read_bytes() == pattern(2)
    assert (host / "c").read_text() == "text" and os.readlink(host / "link") == "dir/a"
    assert (host / "c").stat().st_mode & 0o7777 == 0o640
    lines = (host / "log").read_text().splitlines()
    assert sorted(lines) == sorted(f"{w} {k}" for w in range(8) for k in range(40))


def check_killed_machine(build, machine, work):
    """What has been acknowledged is there after the machine was killed at any time."""
    guest = Guest(build, machine, work, "records")
    try:
        for line in guest.process.stdout:
            saved = int(line.split(b"saved ")[1])
            if saved >= SAVES:
                break
        guest.process.kill()
        for line in guest.process.stdout.read().split(b"\n"):  # said before the end
            if line.startswith(b"saved "):
                saved = int(line.split()[1])
    finally:
        guest.end()
    record = (work / "host/record").read_text()
    assert record.startswith("record ") and int(record.split()[1]) in (saved, saved + 1), (record, saved)


def main():
    build, failed, passed = Path(sys.argv[1]), 0, 0
    for machine in ("microvm", "q35"):
        for check in (check_devices, check_killed_machine):
            with tempfile.TemporaryDirectory(prefix="ufork-devices-") as work:
                try:
                    check(build, machine, Path(work))
                    print(f"ok {machine} {check.__name__}")
                    passed += 1
                except (AssertionError, OSError, IndexError, UnboundLocalError) as error:
                    print(f"FAIL {machine} {check.__name__}: {error!r}")
                    failed += 1
    print(f"pc-devices: {passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
