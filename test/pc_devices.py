#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The devices of platform pc on QEMU's machines microvm and q35: entropy, disk, console, a directory
of the host (9p). test/pc/devices.c works in the guest; this looks at what the host sees of it.

  pc_devices.py BUILD
"""
import os
import re
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

from checks import in_directory, run_all
from cpio import Archive
from pc_system import unframe

BIG = 1 << 20
SAVES = 25
CPU = "max,erms=off"


def pattern(seed):
    return bytearray((k * 2654435761 + seed) % (1 << 32) >> 13 & 0xff for k in range(BIG))


def command(build, machine, work, arguments, cpus, cpu):
    """QEMU with one device of each kind, its files in `work`."""
    bus = "device" if machine == "microvm" else "pci"
    return ["qemu-system-x86_64", "-M", machine, "-cpu", cpu, "-m", "256", "-smp", str(cpus),
            "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
            "-global", "virtio-mmio.force-legacy=false",
            "-device", "isa-debug-exit,iobase=0x501,iosize=4",
            "-device", f"virtio-rng-{bus}",
            "-drive", f"file={work}/disk,if=none,format=raw,id=d", "-device", f"virtio-blk-{bus},drive=d",
            "-fsdev", f"local,id=h,path={work}/host,security_model=none",
            "-device", f"virtio-9p-{bus},fsdev=h,mount_tag=host",
            "-chardev", f"socket,id=c,path={work}/console,server=on,wait=on",
            "-device", f"virtio-serial-{bus}", "-device", "virtconsole,chardev=c",
            "-kernel", f"{build}/bin/ufork-pc.elf", "-initrd", f"{work}/initrd",
            "-append", f"console=framed terminal=no stats mount=host:/host mount=host:/ro:ro -- /devices {arguments}"]


class Guest:
    """A running machine."""

    def __init__(self, build, machine, work, arguments="", cpus=2, cpu=CPU):
        archive = Archive()
        archive.file("/devices", (build / "test/pc-devices").read_bytes())
        (work / "initrd").write_bytes(archive.bytes())
        (work / "disk").write_bytes(bytes(2 * BIG))
        (work / "host").mkdir()
        self.process = subprocess.Popen(command(build, machine, work, arguments, cpus, cpu), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.console = socket.socket(socket.AF_UNIX)
        self.process.stderr.readline()  # QEMU says that it waits for us
        self.console.connect(str(work / "console"))

    def end(self):
        self.process.kill()
        self.process.wait()
        self.console.close()


def receive(console, end):
    got = b""
    while not got.endswith(end):
        piece = console.recv(1000)
        assert piece, f"console closed after {got}"
        got += piece
    return got


def use_devices(build, machine, work, cpus, cpu=CPU):
    """What the machine logged."""
    guest = Guest(build, machine, work, cpus=cpus, cpu=cpu)
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
    return unframe(out)[1].decode()


def check_interrupts(log, cpus):
    """Each device interrupts one CPU, and they are spread over all."""
    where = {name: int(mask, 16) for name, count, mask in
             re.findall(r"interrupts of (\S+): (\d+), CPUs ([0-9a-f]+)", log) if int(count)}
    assert {"virtio-blk", "virtio-9p", "virtio-console"} <= where.keys(), log
    assert all(mask & (mask - 1) == 0 and mask < 1 << cpus for mask in where.values()), where
    assert len(set(where.values())) >= min(cpus, 3), where


def check_devices(build, machine, work):
    check_interrupts(use_devices(build, machine, work, 2), 2)


def check_one_cpu(build, machine, work):
    check_interrupts(use_devices(build, machine, work, 1), 1)


def check_eight_cpus(build, machine, work):
    check_interrupts(use_devices(build, machine, work, 8), 8)


def check_apic_in_memory(build, machine, work):
    log = use_devices(build, machine, work, 2, CPU + ",x2apic=off")
    assert "local APICs: in memory" in log, log


def emulates_x2apic():
    version = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"version (\d+)", version)[1]) >= 9


def check_x2apic(build, machine, work):
    log = use_devices(build, machine, work, 2, CPU + ",x2apic=on")
    assert "local APICs: x2APIC" in log, log


def number_saved(line, before):
    """What this line of output says; the last one may be cut off anywhere."""
    assert line, f"the machine ended after {before}"
    said = re.search(rb"saved (\d+)\r?\n", line)
    return int(said[1]) if said else before


def check_killed_machine(build, machine, work):
    """What has been acknowledged is there after the machine was killed at any time."""
    guest = Guest(build, machine, work, "records")
    try:
        saved = 0
        while saved < SAVES:
            saved = number_saved(guest.process.stdout.readline(), saved)
        guest.process.kill()
        for line in guest.process.stdout:  # said before the end
            saved = number_saved(line, saved)
    finally:
        guest.end()
    record = (work / "host/record").read_text()
    assert record.startswith("record ") and int(record.split()[1]) in (saved, saved + 1), (record, saved)


def main():
    build = Path(sys.argv[1])
    checks = [check_devices, check_one_cpu, check_eight_cpus, check_apic_in_memory, check_killed_machine]
    if emulates_x2apic():
        checks.append(check_x2apic)
    else:
        print("this QEMU emulates no x2APIC (9.0 does): not tested")
    return run_all("pc-devices", [(f"{machine} {check.__name__}", partial(in_directory, check, build, machine))
                                  for machine in ("microvm", "q35") for check in checks])


if __name__ == "__main__":
    sys.exit(main())
