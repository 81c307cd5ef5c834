#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the list of locks in doc/architecture.md with kernel/sched/lock_order.def, which the debug
kernel checks. --write prints the list as the document should have it."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def table():
    """[[name, ...] of one rank, ...] from outer to inner."""
    ranks = {}
    text = (ROOT / "kernel/sched/lock_order.def").read_text()
    for rank, name, nests in re.findall(r'^LOCK\((\d+), "([^"]+)", (\w+),', text, re.M):
        names = ranks.setdefault(int(rank), {})
        if names.setdefault(name, nests) != nests:
            raise SystemExit(f"lock_order.def: {name} nests in one line and not in another")
    everywhere = [n for names in ranks.values() for n in names]
    if len(everywhere) != len(set(everywhere)):
        raise SystemExit("lock_order.def: a name has two ranks")
    return [[n + ("*" if names[n] == "true" else "") for n in sorted(names)]
            for _, names in sorted(ranks.items())]


def document():
    text = (ROOT / "doc/architecture.md").read_text()
    section = text.split("## Lock order", 1)[1].split("\n## ", 1)[0]
    items = []
    for line in section.splitlines():
        if re.match(r"\d+\. ", line):
            items.append(line)
        elif items and line.startswith("   "):
            items[-1] += line
    return [sorted(n + star for n, star in re.findall(r"`([^`]+)`(\*?)", item)) for item in items]


def main():
    want = [sorted(names) for names in table()]
    if "--write" in sys.argv:
        for i, names in enumerate(want):
            shown = (f"`{n[:-1]}`*" if n.endswith("*") else f"`{n}`" for n in names)
            print(f"{i + 1}. " + ", ".join(shown))
        return 0
    have = document()
    for i in range(max(len(want), len(have))):
        w, h = (v[i] if i < len(v) else [] for v in (want, have))
        if w != h:
            print(f"doc/architecture.md, lock order, {i + 1}: has {h}, lock_order.def has {w}")
            return 1
    print("ok the lock order of the document is that of the kernel")
    return 0


if __name__ == "__main__":
    sys.exit(main())
