#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes doc/syscalls.md from table.def.

    gendoc.py TABLE OUTPUT
"""
import re
import sys

ENTRY = re.compile(r'^(?:SYS|LEAF|WHOLE)\((\d+), (\w+), "(\w*)", (FULL|PART), "(.*)"\)$')
LEVELS = {"FULL": "full", "PART": "partial"}


def entries(path):
    """The table's rows; a line that is none, or out of order, is an error."""
    last = -1
    for line in open(path):
        if not line.startswith(("SYS(", "LEAF(", "WHOLE(")):
            continue
        match = ENTRY.match(line.strip())
        if not match:
            raise SystemExit(f"{path}: cannot read: {line.strip()}")
        number = int(match[1])
        if number <= last:
            raise SystemExit(f"{path}: {match[2]} is not in order")
        last = number
        yield number, match[2], match[4], match[5]


def main():
    rows = list(entries(sys.argv[1]))
    full = sum(level == "FULL" for _, _, level, _ in rows)
    with open(sys.argv[2], "w") as out:
        out.write("# System calls\n\n"
                  "Generated from `kernel/syscall/table.def` by `kernel/syscall/gendoc.py`; do not edit.\n\n"
                  "Numbers, arguments and results are those of Linux on x86-64. "
                  f"{len(rows)} calls: {full} as on Linux, {len(rows) - full} in part. "
                  "Every other number returns ENOSYS.\n\n"
                  "| number | call | support | note |\n|---:|---|---|---|\n")
        for number, name, level, note in rows:
            out.write(f"| {number} | `{name}` | {LEVELS[level]} | {note} |\n")


main()
