# SPDX-License-Identifier: GPL-2.0
"""Just enough ELF64 to read two sections of a kernel module."""

import struct


def section(data, wanted):
    """The bytes of section WANTED of the little-endian ELF64 object, or b''."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a little-endian ELF64 file")
    table, = struct.unpack_from("<Q", data, 40)
    size, count, names_index = struct.unpack_from("<3H", data, 58)

    def header(index):
        return struct.unpack_from("<2I4Q", data, table + index * size)

    names = header(names_index)[4]
    for index in range(count):
        name, _, _, _, offset, length = header(index)
        end = data.index(b"\0", names + name)
        if data[names + name:end].decode() == wanted:
            return data[offset:offset + length]
    return b""


def modinfo(data):
    """The .modinfo strings as a list of (key, value)."""
    pairs = []
    for entry in section(data, ".modinfo").split(b"\0"):
        if entry:
            key, _, value = entry.decode(errors="replace").partition("=")
            pairs.append((key, value))
    return pairs


def build_id(data):
    """The note that the kernel shows below /sys/module/NAME/notes."""
    return section(data, ".note.gnu.build-id")


def entry(data):
    """Where the program begins."""
    return struct.unpack_from("<Q", data, 24)[0]


def segments(data):
    """(offset in the file, physical address, size) of what is loaded from the file."""
    table, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<2H", data, 54)
    for index in range(count):
        kind, _, offset, _, address, length = struct.unpack_from("<2I4Q", data,
                                                                 table + index * size)
        if kind == 1 and length:
            yield offset, address, length
