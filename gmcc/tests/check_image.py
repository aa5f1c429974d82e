#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Checks a guarded image without any of gmcc's code.

Usage: check_image.py IMAGE [SYMBOL:WINDOW:LENGTH ...]
       check_image.py IMAGE --sizes SYMBOL SIZE,...

Loads the image twice at made-up addresses, once as the kernel's loader would
(ELF relocations) and once as QEMU would (anchors and the manifest's
relocations), and compares every sealed byte. Then checks what else the format
promises. Each SYMBOL:WINDOW:LENGTH says which shared window the calls of that
function must have, all of them.
"""
import struct
import sys

# Code that is the guest's own to run, and to patch.
GUEST_CODE = (".gm.guest", ".static_call.text")
R_64, R_PC32, R_PLT32, R_32, R_32S, R_PC64 = 1, 2, 4, 10, 11, 24
GATES, TEXT, RODATA, DATA, STACK = 1, 2, 3, 4, 5
MASK = (1 << 64) - 1


class Elf:
    def __init__(self, data):
        self.data = data
        shoff, = struct.unpack_from("<Q", data, 40)
        shnum, shstr = struct.unpack_from("<HH", data, 60)
        self.sections = []
        for i in range(shnum):
            f = struct.unpack_from("<IIQQQQIIQQ", data, shoff + 64 * i)
            self.sections.append(dict(zip(
                "name type flags addr offset size link info align entsize".split(), f)))
        names = self.sections[shstr]["offset"]
        for s in self.sections:
            s["name"] = self.string(names + s["name"])
        symtab = next(s for s in self.sections if s["type"] == 2)
        strtab = self.sections[symtab["link"]]["offset"]
        self.symbols = []
        for i in range(symtab["size"] // 24):
            name, info, _, shndx, value, size = struct.unpack_from(
                "<IBBHQQ", data, symtab["offset"] + 24 * i)
            self.symbols.append((self.string(strtab + name), info, shndx, value, size))

    def string(self, off):
        return self.data[off:self.data.index(b"\0", off)].decode()

    def content(self, s):
        if s["type"] == 8:
            return bytearray(s["size"])
        return bytearray(self.data[s["offset"]:s["offset"] + s["size"]])

    def find(self, name):
        return next(i for i, s in enumerate(self.sections) if s["name"] == name)


def load(elf):
    """The kernel's loader: section addresses, symbol values, relocated content."""
    base = {i: 0xffffffffc0000000 + i * 0x100000
            for i, s in enumerate(elf.sections) if s["flags"] & 2}
    value = []
    for i, (_, _, shndx, val, _) in enumerate(elf.symbols):
        value.append(0xffffffff81000000 + 0x1230 * i if shndx == 0 else
                     base.get(shndx, 0) + val)
    mem = {i: elf.content(elf.sections[i]) for i in base}
    for rela in elf.sections:
        if rela["type"] != 4 or rela["info"] not in base:
            continue
        for off in range(rela["offset"], rela["offset"] + rela["size"], 24):
            place, info, addend = struct.unpack_from("<QQq", elf.data, off)
            v = value[info >> 32] + addend
            kind = info & 0xffffffff
            if kind in (R_PC32, R_PLT32, R_PC64):
                v -= base[rela["info"]] + place
            size = 8 if kind in (R_64, R_PC64) else 4
            field = mem[rela["info"]][place:place + size]
            assert field == bytes(size), "nonzero bytes under a relocation"
            assert size == 8 or -1 << 31 <= sx(v) < 1 << 32, "relocation overflow"
            mem[rela["info"]][place:place + size] = (v & MASK).to_bytes(8, "little")[:size]
    return base, mem


def sx(v):
    v &= MASK
    return v - (1 << 64) if v >> 63 else v


class Manifest:
    def __init__(self, data):
        self.data = data
        (self.magic, self.version, self.size, self.id, self.name, self.stack_pages,
         self.nr_stacks) = struct.unpack_from("<8sII32s64sII", data, 0)
        tables = struct.unpack_from("<12I", data, 120)
        self.tramp_region, self.tramp_offset, self.ret_region, self.ret_offset = \
            struct.unpack_from("<4I", data, 168)
        formats = ("<IIQ", "<IIQQQ", "<IIIIq", "<IIBBHIIHHq", "<IIIHH")
        parts = []
        for n, fmt in enumerate(formats):
            off, count = tables[2 * n:2 * n + 2]
            assert off % 8 == 0 and off + count * struct.calcsize(fmt) <= self.size
            parts.append([struct.unpack_from(fmt, data, off + i * struct.calcsize(fmt))
                          for i in range(count)])
        self.anchors, self.regions, self.relocs, self.gates, self.frames = parts
        self.strings = data[tables[10]:tables[10] + tables[11]]

    def string(self, off):
        return self.strings[off:self.strings.index(b"\0", off)].decode()


def rebuild(elf, man, values):
    """QEMU's way: file content and the manifest's relocations alone."""
    out = []
    for kind, anchor, off, size, file_size in man.regions:
        assert size % 4096 == 0 and file_size in (0, size)
        assert values[anchor] % 4096 == 0
        out.append(bytearray(elf.data[off:off + size]) if file_size else bytearray(size))
    for region, offset, kind, anchor, addend in man.relocs:
        v = values[anchor] + addend
        if kind in (4, 5):
            v -= values[man.regions[region][1]] + offset
        size = 8 if kind in (1, 5) else 4
        if kind == 2:
            assert v & MASK == v & 0xffffffff
        elif size == 4:
            assert -1 << 31 <= sx(v) < 1 << 31
        out[region][offset:offset + size] = (v & MASK).to_bytes(8, "little")[:size]
    return out


def check_contract(elf, man, sealed):
    """No address of sealed text leaves it, but for the unwinder's tables."""
    text = {i for i, kind in sealed.items() if kind == TEXT}
    starts = {i: {s[3] for s in elf.symbols if s[2] == i and s[1] & 15 == 2} for i in text}
    for rela in elf.sections:
        if rela["type"] != 4:
            continue
        to = elf.sections[rela["info"]]
        for off in range(rela["offset"], rela["offset"] + rela["size"], 24):
            place, info, addend = struct.unpack_from("<QQq", elf.data, off)
            name, _, shndx, value, _ = elf.symbols[info >> 32]
            functions = starts.get(shndx, ())
            if sealed.get(rela["info"]) == TEXT:
                assert name not in ("__fentry__", "__x86_return_thunk"), name
            if shndx in text and to["name"] not in (".orc_unwind_ip", ".gm.anchors"):
                assert rela["info"] in text, (to["name"], place, name)
                assert info & 0xffffffff in (R_PC32, R_PLT32) or value + addend not in functions, \
                    (to["name"], place)


def check_gates(man, content):
    assert man.gates == sorted(man.gates, key=lambda g: g[:2])
    kinds = [g[2] for g in man.gates]
    assert [kinds.count(k) for k in (2, 3, 6)] == [1, 1, 1]
    for region, offset, kind, flags, words, _, target, results, reserved, addend in man.gates:
        assert content[region][offset:offset + 3] == b"\x0f\x01\xd9"
        assert man.regions[region][0] == (GATES if kind in (1, 2, 3) else TEXT)
        assert not reserved and words <= 32
        assert not results or flags == 16		# KVM_GM_GATE_F_ASM
        if kind == 1:
            to = next(r for r in man.regions if r[1] == target)
            assert to[0] == TEXT and 0 <= addend < to[3]
    tramp = content[man.tramp_region]
    assert tramp[man.tramp_offset:man.tramp_offset + 3] == b"\x41\xff\xd3"
    inret = next(g for g in man.gates if g[2] == 2)
    assert inret[:2] == (man.tramp_region, man.tramp_offset + 3)
    assert content[man.ret_region][man.ret_offset] == 0xc3
    hypercalls = {(g[0], g[1]) for g in man.gates}
    for r, c in enumerate(content):
        if man.regions[r][0] != TEXT:
            continue
        at = -1
        while (at := c.find(b"\x0f\x01\xd9", at + 1)) >= 0:
            assert (r, at) in hypercalls, "stray hypercall"


def frames_of(elf, man, section_of, name):
    sym = next(s for s in elf.symbols if s[0] == name and s[1] & 15 == 2)
    return [f for f in man.frames if section_of[f[0]] == sym[2] and
            sym[3] < f[1] <= sym[3] + sym[4]]


def check_frames(elf, man, content, section_of, windows):
    keys = [f[:2] for f in man.frames]
    assert keys == sorted(set(keys))
    for region, offset, size, window, length in man.frames:
        assert man.regions[region][0] == TEXT
        assert content[region][offset - 5] == 0xe8
        assert size % 8 == 0 and window + length <= size
    if windows[:1] == ["--sizes"]:
        mine = frames_of(elf, man, section_of, windows[1])
        assert [f[2] for f in mine] == list(map(int, windows[2].split(","))), mine
        return
    for spec in windows:
        name, window, length = spec.split(":")
        mine = frames_of(elf, man, section_of, name)
        assert mine, f"{name}: no call"
        for f in mine:
            assert f[3:] == (int(window), int(length)), (name, f)


def main():
    elf = Elf(open(sys.argv[1], "rb").read())
    base, mem = load(elf)
    anchors = elf.find(".gm.anchors")
    s = elf.sections[elf.find(".gm.manifest")]
    assert not s["flags"] & 2
    man = Manifest(elf.content(s))
    assert man.magic == b"GMIMAGE\0" and man.version == 3 and man.size <= s["size"]

    magic, ident, count, reserved = struct.unpack_from("<8s32sII", mem[anchors])
    assert magic == b"GMANCHR\0" and ident == man.id and not reserved
    assert count == len(man.anchors) and len(mem[anchors]) == 48 + 8 * count
    values = struct.unpack_from(f"<{count}Q", mem[anchors], 48)

    for kind, name, size in man.anchors:
        # Per-CPU data: an offset from the CPU's base, no address to check as one.
        assert man.string(name) != ".data..percpu" or (kind in (3, 4) and not size)
    sealed, section_of = {}, {}
    for n, (kind, anchor, off, size, _) in enumerate(man.regions):
        i = next(i for i in base if base[i] == values[anchor] and
                 elf.sections[i]["name"] == man.string(man.anchors[anchor][1]))
        assert man.anchors[anchor][0] == 1 and man.anchors[anchor][2] == size
        assert elf.sections[i]["size"] == size and elf.sections[i]["align"] == 4096
        assert not elf.sections[i]["name"].startswith(".init")
        assert off in (0, elf.sections[i]["offset"])
        sealed[i] = kind
        section_of[n] = i
    for i, sec in enumerate(elf.sections):
        if sec["flags"] & 4 and sec["flags"] & 2 and sec["size"]:
            assert sealed.get(i) in (TEXT, GATES) or sec["name"] in GUEST_CODE, \
                f"{sec['name']} is executable, not sealed"

    content = rebuild(elf, man, values)
    for n, c in enumerate(content):
        assert c == mem[section_of[n]], f"region {n} differs from what the loader makes"
    assert man.relocs == sorted(man.relocs, key=lambda r: r[:2])
    check_contract(elf, man, sealed)
    check_gates(man, content)
    check_frames(elf, man, content, section_of, sys.argv[2:])


main()
