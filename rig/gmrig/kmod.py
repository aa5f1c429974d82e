# SPDX-License-Identifier: GPL-2.0
"""Kernel modules of the distribution kernel: find, decompress, order."""

import lzma
import os

from . import elf


def canonical(name):
    return name.replace("-", "_")


class Modules:
    def __init__(self, folder):
        self.paths = {}
        for top, _, names in os.walk(os.path.join(folder, "kernel")):
            for name in names:
                stem, dot, rest = name.partition(".ko")
                if dot and rest in ("", ".xz"):
                    self.paths[canonical(stem)] = os.path.join(top, name)

    def read(self, name):
        """The module's bytes, decompressed."""
        path = self.paths.get(canonical(name))
        if path is None:
            raise KeyError(f"the kernel has no module {name}")
        with open(path, "rb") as stream:
            data = stream.read()
        return lzma.decompress(data) if path.endswith(".xz") else data

    def closure(self, names):
        """[(name, bytes)] of the modules and what they depend on, in load order."""
        order = {}

        def visit(name):
            if name in order or name not in self.paths:
                return
            data = self.read(name)
            for key, value in elf.modinfo(data):
                if key == "depends":
                    for other in filter(None, value.split(",")):
                        visit(canonical(other))
            order[name] = data

        for name in names:
            visit(canonical(name))
        return list(order.items())
