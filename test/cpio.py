# SPDX-License-Identifier: MIT
"""Packs files into a cpio archive (newc) as platform pc takes it for its root file system."""
import os
import stat
from pathlib import Path


class Archive:
    """Collects entries; names are absolute guest paths."""

    def __init__(self):
        self.parts, self.names = [], set()

    def _entry(self, name, mode, data=b""):
        path = name.lstrip("/").encode() + b"\0"
        fields = [len(self.parts) + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0]
        head = b"070701" + b"".join(b"%08x" % f for f in fields) + path
        head += b"\0" * (-len(head) % 4)
        self.parts.append(head + data + b"\0" * (-len(data) % 4))

    def directory(self, name, mode=0o755):
        """Makes a directory and its parents."""
        if name in ("/", "") or name in self.names:
            return
        self.directory(os.path.dirname(name))
        self.names.add(name)
        self._entry(name, stat.S_IFDIR | mode)

    def file(self, name, data, mode=0o755):
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, os.fsencode(target))

    def tree(self, source, at=""):
        """Everything below the host directory `source`."""
        for path in sorted(Path(source).rglob("*")):
            name = f"{at}/{path.relative_to(source)}"
            info = path.lstat()
            if stat.S_ISLNK(info.st_mode):
                self.link(name, os.readlink(path))
            elif stat.S_ISDIR(info.st_mode):
                self.directory(name, stat.S_IMODE(info.st_mode))
            elif stat.S_ISREG(info.st_mode):
                self.file(name, path.read_bytes(), stat.S_IMODE(info.st_mode))

    def bytes(self):
        trailer = b"070701" + b"00000000" * 11 + b"%08x" % 11 + b"00000000" + b"TRAILER!!!\0"
        return b"".join(self.parts) + trailer + b"\0" * (-len(trailer) % 4)
