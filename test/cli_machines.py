# SPDX-License-Identifier: MIT
"""Command line: --vm, and images that boot without the command."""
import os
import re
import subprocess

from cli_rig import expect, test


@test
def vm_arguments(cli):
    words = ["plain", "with space", "100%", "", "µ"]
    here, there = cli.run("args", *words), cli.run("args", *words, options=["--vm"])
    expect(there, status=here.returncode, out=here.stdout)


@test
def vm_cpus(cli):
    expect(cli.run("cpus", options=["--vm", "--cpus=1"]), out="1\n")
    expect(cli.run("cpus", options=["--vm", "--cpus=5"]), out="5\n")
    expect(cli.run("cpus", options=["--vm"]), out=f"{os.cpu_count()}\n")


def boot(image, machine, *options):
    return subprocess.run(
        ["qemu-system-x86_64", "-M", machine, "-cpu", "max", "-m", "256", "-nodefaults",
         "-no-reboot", "-display", "none", "-serial", "stdio", "-device",
         "isa-debug-exit,iobase=0x501,iosize=4", *options, "-kernel", image],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


@test
def vm_image(cli):
    image = str(cli.work / "image")
    expect(cli.raw("image", cli.probe, "exit", "7", "-o", image))
    for machine in ("microvm", "q35"):
        expect(boot(image, machine), status=2 * 7 + 1)


@test
def vm_image_cpus(cli):
    """All CPUs of the machine, by all tables that tell of them; --cpus of the image is a limit."""
    image = str(cli.work / "image")
    expect(cli.raw("image", cli.probe, "cpus", "-o", image))
    for machine, options, count in (("microvm", ["-smp", "4"], 4), ("q35", ["-smp", "3"], 3),
                                    ("microvm,acpi=off", ["-smp", "2"], 2),
                                    ("q35", ["-smp", "1"], 1), ("q35", ["-smp", "2,maxcpus=4"], 2),
                                    ("microvm", ["-icount", "shift=0,sleep=off"], 1)):
        expect(boot(image, machine, *options), status=1, out=f"{count}\n")
    expect(cli.raw("image", "--cpus=2", cli.probe, "cpus", "-o", image))
    expect(boot(image, "microvm", "-smp", "4"), status=1, out="2\n")


@test
def vm_backtrace(cli):
    """A kernel that gives up names its callers, surely and in order."""
    image = str(cli.build / "bin/ufork-pc.elf")
    done = boot(image, "microvm", "-append", "isolation=nonsense -- /init")
    names = re.findall(r"^ufork:   0x[0-9a-f]+ (\w+)\+0x[0-9a-f]+$", done.stdout, re.M)
    assert done.returncode == 255 and names[:3] == ["plat_panic", "cmdline_parse", "pc_start"], done
