#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The kernel core links against lib/ and the platform interface alone.

    core-links.py CORE_OBJECT PLAT_HEADER

Every undefined symbol of the combined object (kernel/, lib/, the verifier's library) must be a
function or object that kernel/plat.h declares. Also the other way round: what the core calls of the
C library would show up here as undefined. The core's sources include no header of the system.
"""
import re
import subprocess
import sys
from pathlib import Path

# Every platform supplies these; what the second's inline functions call belongs to them.
PLATFORM_HEADERS = ("plat_current.h", "plat_user.h")
# What a compiler may call by itself even in freestanding code; lib/ defines them.
COMPILER = {"memcpy", "memmove", "memset", "memcmp"}


def undefined(core):
    lines = subprocess.run(["nm", "-u", core], capture_output=True, text=True, check=True).stdout
    symbols = {line.split()[-1] for line in lines.splitlines() if line.strip()}
    return symbols - {"_GLOBAL_OFFSET_TABLE_"}  # the linker's own


def declared(header):
    """Names that are followed by an opening parenthesis or end an extern declaration."""
    text = re.sub(r"/\*.*?\*/", "", Path(header).read_text(), flags=re.S)
    return set(re.findall(r"\b(\w+)\s*\(", text)) | set(re.findall(r"extern [^;]*?(\w+)(?:\[\w*\])?;", text))


def called_inline(root):
    """Entries in assembly that the platforms' own headers call."""
    return {name for header in PLATFORM_HEADERS for path in root.glob(f"plat/*/{header}")
            for name in re.findall(r'"call (\w+)"', path.read_text())}


def foreign_includes(root):
    """Includes of kernel/ and lib/ that are neither ours nor the compiler's freestanding ones."""
    freestanding = {*PLATFORM_HEADERS,
                    "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "limits.h", "stdatomic.h"}
    found = []
    for folder in ("kernel", "lib"):
        for path in sorted((root / folder).rglob("*.[ch]")):
            if "test" in path.parts:
                continue
            for header in re.findall(r'#\s*include\s+[<"]([^">]+)', path.read_text()):
                ours = (root / header).exists() or (root / "include" / header).exists() or \
                    (path.parent / header).exists()
                if header not in freestanding and (not ours or header.startswith("plat/")):
                    found.append(f"{path.relative_to(root)}: {header}")
    return found


def main():
    core, header = sys.argv[1:]
    root = Path(header).resolve().parent.parent
    wrong = [f"undefined symbol {s} is not in {header}"
             for s in sorted(undefined(core) - declared(header) - called_inline(root))]
    wrong += [f"{s} is not defined by lib/" for s in sorted(undefined(core) & COMPILER)]
    wrong += [f"foreign include in {i}" for i in foreign_includes(root)]
    for line in wrong:
        print(f"FAIL core: {line}")
    print(f"core links: {0 if wrong else 1} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
