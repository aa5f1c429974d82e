# SPDX-License-Identifier: GPL-2.0
"""Writes an initramfs (cpio "newc"). Needs no root: it is only bytes."""

import os
import re
import stat
import subprocess


def linked(path):
    """A program of this machine's, and the libraries that it is linked with."""
    told = subprocess.run(["ldd", path], stdout=subprocess.PIPE, check=True).stdout.decode()
    return [path, *re.findall(r"(/\S+) \(0x", told)]


class Archive:
    def __init__(self):
        self.chunks = []
        self.names = set()
        self.inode = 0

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device,
                  len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        head = header + name.encode() + b"\0"
        self.chunks.append(head + b"\0" * (-len(head) % 4))
        self.chunks.append(data + b"\0" * (-len(data) % 4))

    def folder(self, name):
        if name and name not in self.names:
            self.folder(os.path.dirname(name))
            self.names.add(name)
            self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o644):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | mode, data)

    def copy(self, name, path, mode=0o755):
        with open(path, "rb") as stream:
            self.file(name, stream.read(), mode)

    def program(self, path):
        """One of this machine's, with the libraries that it is linked with."""
        for name in linked(path):
            if name not in self.names:
                self.names.add(name)
                self.copy(name.lstrip("/"), name)

    def tree(self, folder):
        """All that is in a folder, under the same names."""
        for top, _, names in os.walk(folder):
            for name in sorted(names):
                path = os.path.join(top, name)
                self.copy(os.path.relpath(path, folder), path,
                          stat.S_IMODE(os.stat(path).st_mode))

    def link(self, name, target):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor):
        self.folder(os.path.dirname(name))
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def write(self, path):
        self._entry("TRAILER!!!", 0)
        with open(path, "wb") as stream:
            stream.writelines(self.chunks)
