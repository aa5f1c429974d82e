# SPDX-License-Identifier: GPL-2.0
"""A disk that boots a kernel which need not unpack itself; rig/l1/boot.S is its
first sector. For where nothing is slower than that: in Bochs."""

import struct
import subprocess

from . import elf
from .channel import RigError

SECTOR = 512
ZSTD = b"\x28\xb5\x2f\xfd"
MOST_PARTS = 7
BOOT_PARAMS, COMMAND_LINE = 0x90000, 0x91000
INITRD = 0x8000000		# 128 MiB, above any kernel
HEADER, HEADER_END = 0x1f1, 0x280	# the setup header, in bzImage and in boot_params


def unpacked(image):
    """The ELF vmlinux in the bzImage of that path."""
    with open(image, "rb") as stream:
        data = stream.read()
    if data[0x202:0x206] != b"HdrS":
        raise RigError(f"{image} is no bzImage")
    start = (data[0x1f1] + 1) * SECTOR
    offset, length = struct.unpack_from("<2I", data, 0x248)
    payload = data[start + offset:start + offset + length - 4]	# without its length
    if payload[:4] != ZSTD:
        raise RigError(f"{image}: the kernel is not compressed with zstd")
    return subprocess.run(["zstd", "-dcq"], input=payload, stdout=subprocess.PIPE,
                          check=True).stdout


def boot_params(image, initrd_size):
    with open(image, "rb") as stream:
        header = stream.read(HEADER_END)[HEADER:]
    page = bytearray(4096)
    page[HEADER:HEADER_END] = header
    page[0x210] = 0xff				# a loader that has no number
    struct.pack_into("<2I", page, 0x218, INITRD, initrd_size)
    struct.pack_into("<I", page, 0x228, COMMAND_LINE)
    return bytes(page)


def write(path, sector, image, initrd, append):
    """Lay out the disk: the boot sector of that path, the kernel, the rest."""
    kernel = unpacked(image)
    with open(initrd, "rb") as stream:
        archive = stream.read()
    parts = [(address, kernel[offset:offset + size])
             for offset, address, size in elf.segments(kernel)]
    parts += [(BOOT_PARAMS, boot_params(image, len(archive))),
              (COMMAND_LINE, append.encode() + b"\0"), (INITRD, archive)]
    if len(parts) > MOST_PARTS or any(address + len(data) > INITRD
                                      for address, data in parts[:-1]):
        raise RigError(f"{image}: the kernel is laid out as no kernel was so far")
    with open(sector, "rb") as stream:
        first = bytearray(stream.read())
    table = len(first) - 2 - 4 - 12 * (MOST_PARTS + 1)
    at = 1
    with open(path, "wb") as disk:
        for index, (address, data) in enumerate(parts):
            sectors = -(-len(data) // SECTOR)
            struct.pack_into("<3I", first, table + 12 * index, at, sectors, address)
            disk.seek(at * SECTOR)
            disk.write(data)
            at += sectors
        struct.pack_into("<I", first, len(first) - 6, elf.entry(kernel))
        disk.seek(0)
        disk.write(first)
        disk.truncate(-(-at // 2048) * 2048 * SECTOR)
