#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What Firecracker and Cloud Hypervisor want of a kernel, as far as it can be tested without them:
the ELF file is read as their loader reads it, with each of its refusals, and QEMU boots it in machines
arranged like theirs (doc/pc.md).

  pc_loaders.py BUILD
"""
import struct
import subprocess
import sys
from functools import partial
from pathlib import Path

from checks import in_directory, run_all
from cpio import Archive
from pc_system import unframe

HIGH_MEMORY = 1 << 20  # nothing is loaded below it
ALIGNMENT = 2 << 20
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PF_X = 1, 2, 3, 4, 1
SHT_RELA, SHT_REL = 4, 9
PHYS32_ENTRY = 18
DISK = b"from the monitor"


class Refused(Exception):
    """Why a loader would not take the image."""


def need(condition, why):
    if not condition:
        raise Refused(why)


# ---- the file

def headers(image):
    """(entry, [(type, flags, offset, physical address, size in file, size in memory, alignment)])."""
    need(image[:6] == b"\x7fELF\x02\x01", "not a 64-bit little-endian ELF file")
    kind, machine, _, entry, at = struct.unpack_from("<HHIQQ", image, 16)
    size, number = struct.unpack_from("<HH", image, 54)
    need(kind == 2 and machine == 62, "not an executable for x86-64")
    need(size == 56 and at >= 64, "program headers")
    found = []
    for k in range(number):
        p_type, flags, offset, _, paddr, filesz, memsz, align = struct.unpack_from("<IIQQQQQQ", image, at + 56 * k)
        need(offset + filesz <= len(image), "a segment ends behind the file")
        found.append((p_type, flags, offset, paddr, filesz, memsz, align))
    return entry, found


def pvh_entry(image, offset, size):
    """The address in the note XEN_ELFNOTE_PHYS32_ENTRY of a note segment, or None."""
    at, end = offset, offset + size
    while at < end:
        name, desc, kind = struct.unpack_from("<III", image, at)
        if kind == PHYS32_ENTRY and image[at + 12:at + 12 + name] == b"Xen\0":
            need(desc >= 4, "the PVH note is too short")
            return struct.unpack_from("<I", image, at + 16)[0]
        at += 12 + (name + 3) // 4 * 4 + (desc + 3) // 4 * 4
    return None


def section_types(image):
    at, = struct.unpack_from("<Q", image, 40)
    size, number = struct.unpack_from("<HH", image, 58)
    return [struct.unpack_from("<I", image, at + size * k + 4)[0] for k in range(number)]


def load(image):
    """Refused unless the image can be loaded and started by PVH."""
    entry, segments = headers(image)
    need(entry >= HIGH_MEMORY, "the entry lies in low memory")
    need(not any(s[0] in (PT_DYNAMIC, PT_INTERP) for s in segments), "dynamically linked")
    need(not any(t in (SHT_REL, SHT_RELA) for t in section_types(image)), "there are relocations")
    loaded = sorted((s for s in segments if s[0] == PT_LOAD and s[4] > 0), key=lambda s: s[3])
    for _, _, _, paddr, filesz, memsz, align in loaded:
        need(align % ALIGNMENT == 0, "a segment's alignment is below 2 MiB")
        need(paddr >= HIGH_MEMORY, "a segment lies in low memory")
        need(filesz <= memsz, "a segment is larger in the file than in memory")
    for below, above in zip(loaded, loaded[1:]):
        need(below[3] + below[5] <= above[3], "segments overlap in physical memory")
    entries = [pvh_entry(image, s[2], s[4]) for s in segments if s[0] == PT_NOTE]
    need(entries and entries[-1] is not None, "no PVH entry")
    need(any(s[1] & PF_X and s[3] <= entries[-1] < s[3] + s[4] for s in loaded),
         "the PVH entry is outside of the code")


def check_file(build, work):
    """The kernel, and an image of an application."""
    bundle = work / "image"
    subprocess.run([build / "bin/ufork", "image", build / "test/pc-place", "-o", bundle], check=True)
    for path in (build / "bin/ufork-pc.elf", bundle):
        load(path.read_bytes())


def check_refusals(build, _):
    """Each damage must be noticed: else check_file says nothing."""
    good = (build / "bin/ufork-pc.elf").read_bytes()
    at, = struct.unpack_from("<Q", good, 32)
    entry, segments = headers(good)
    note = next(s for s in segments if s[0] == PT_NOTE)[2]
    damages = [(4, b"\x01"), (24, struct.pack("<Q", 0x1000)), (54, b"\x38\x01"),
               (at + 48, struct.pack("<Q", 4096)),        # alignment of the first segment
               (at + 24, struct.pack("<Q", 0x8000)),      # its physical address
               (at + 40, struct.pack("<Q", 64 << 20)),    # its size in memory: over the next one
               (at, struct.pack("<I", PT_DYNAMIC)), (note + 8, b"\x11"), (note + 12, b"Yen"),
               (note + 16, struct.pack("<I", 0x100000)), (note + 4, b"\x02")]
    for where, what in damages:
        bad = bytearray(good)
        bad[where:where + len(what)] = what
        try:
            load(bytes(bad))
        except Refused:
            continue
        raise Refused(f"nothing, although {what!r} was written at {where:#x}")
    assert entry


# ---- machines

def boot(build, work, machine, append, *devices):
    """(what the first process printed, exit status it left, QEMU's exit status, QEMU's log of resets)."""
    archive = Archive()
    archive.file("/place", (build / "test/pc-place").read_bytes())
    (work / "initrd").write_bytes(archive.bytes())
    (work / "disk").write_bytes(DISK.ljust(1 << 20))
    command = ["qemu-system-x86_64", "-M", machine, "-cpu", "max,erms=off", "-m", "256", "-nodefaults",
               "-no-user-config", "-display", "none", "-serial", "stdio", "-d", "cpu_reset", "-D", f"{work}/log",
               "-drive", f"file={work}/disk,if=none,format=raw,id=d", "-netdev", "user,id=n", *devices,
               "-kernel", f"{build}/bin/ufork-pc.elf", "-initrd", f"{work}/initrd",
               "-append", f"console=framed terminal=no {append}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    at = done.stdout.rfind(b"\x10x")
    left = int(done.stdout[at + 2:at + 4], 16) if at >= 0 else None
    return unframe(done.stdout)[0].decode(), left, done.returncode, (work / "log").read_text()


def expect(result, orderly=True):
    """`orderly`: the machine has a way to be switched off, so no fault was needed."""
    out, left, status, log = result
    want = f"argument /place\nargument one\nargument two\ndisk {DISK.decode()}\n"
    need(out == want and left == 7, f"status {left}, output {out!r}")
    need(status == 0, f"QEMU's status {status}")
    need(("Triple fault" in log) != orderly, "the way the machine ended")


FORCE = ["-global", "virtio-mmio.force-legacy=false", "-no-reboot"]
MMIO = [*FORCE, "-device", "virtio-rng-device", "-device", "virtio-blk-device,drive=d",
        "-device", "virtio-net-device,netdev=n"]


def check_like_firecracker(build, work):
    """No ACPI, no CMOS clock, no second I/O APIC, devices named on the command line, i8042 to switch off."""
    places = " ".join(f"virtio_mmio.device=512@{0xfeb00000 + 512 * n:#x}:{5 + n}" for n in (7, 6, 5))
    expect(boot(build, work, "microvm,acpi=off,ioapic2=off,rtc=off,auto-kernel-cmdline=off",
                f"{places} -- /place one two", *MMIO, "-device", "i8042"))


def check_places_behind_the_program(build, work):
    """QEMU's microvm without ACPI names its devices behind the program's arguments."""
    expect(boot(build, work, "microvm,acpi=off", "-- /place one two", *MMIO), orderly=False)


def check_like_cloud_hypervisor(build, work):
    """PCI devices of virtio 1.0 alone, ACPI to switch off: with a reset the machine would start again."""
    pci = ["-device", "virtio-rng-pci,disable-legacy=on", "-device", "virtio-blk-pci,drive=d,disable-legacy=on",
           "-device", "virtio-net-pci,netdev=n,disable-legacy=on"]
    expect(boot(build, work, "q35", "-- /place one two", *pci))


CHECKS = [check_file, check_refusals, check_like_firecracker, check_places_behind_the_program,
          check_like_cloud_hypervisor]


def main():
    build = Path(sys.argv[1])
    return run_all("pc-loaders", [(check.__name__, partial(in_directory, check, build)) for check in CHECKS])


if __name__ == "__main__":
    sys.exit(main())
