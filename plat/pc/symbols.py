#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the table of function names for backtraces (plat/pc/backtrace.c): KERNEL OUTPUT.S

The table lies behind all code, so that linking it in moves nothing it names.
"""
import subprocess
import sys


def functions(kernel):
    """Sorted (offset from the kernel's start, name) of everything in its text."""
    found, start = {}, None
    for line in subprocess.run(["nm", "-n", kernel], capture_output=True, text=True,
                               check=True).stdout.splitlines():
        address, kind, name = line.split()[-3:] if len(line.split()) == 3 else ("", "", "")
        if name == "__kernel_start":
            start = int(address, 16)
        if kind in "tT" and name and not name.startswith("."):
            found.setdefault(int(address, 16), name)
    return [(a - start, n) for a, n in sorted(found.items()) if a >= start]


def main():
    kernel, output = sys.argv[1:]
    table = functions(kernel)
    with open(output, "w", encoding="ascii") as out:
        out.write('\t.section .symbols, "a"\n\t.balign 4\n')
        out.write(f"\t.long {len(table)}\n")
        for offset, _ in table:
            out.write(f"\t.long {offset}\n")
        position = 0
        for _, name in table:
            out.write(f"\t.long {position}\n")
            position += len(name) + 1
        for _, name in table:
            out.write(f'\t.asciz "{name}"\n')
        out.write('\t.section .note.GNU-stack, "", @progbits\n')


if __name__ == "__main__":
    main()
