# SPDX-License-Identifier: GPL-2.0
"""Which of the kernel's functions are leaves: their code, as it runs, calls nothing and
jumps to no other function but leaves. L1 runs the guest's kernel image, so the code is read there,
with all that the kernel has patched, and disassembled here."""

import json
import os
import re
import subprocess

from .case import expect

JUMPS = 3			# from function to function, that are followed

# Runs in L1: prints {word: [address, size, code in hex]} of the functions that it is told, by
# name or by address.
DUMP = r"""
import bisect, json, struct, sys
wanted = set(sys.argv[1:])
places, found = set(), {}
for line in open("/proc/kallsyms"):
    address, kind, name = line.split()[:3]
    if kind in "tTwW" and "[" not in line:
        places.add(int(address, 16))
        if name in wanted or "return_thunk" in name:
            found[name] = int(address, 16)
found.update((word, int(word, 16)) for word in wanted if word.startswith("0x"))
order = sorted(places)
core = open("/proc/kcore", "rb")
header = core.read(64)
offset, size, count = (struct.unpack_from("<Q", header, 32)[0],
                       *struct.unpack_from("<HH", header, 54))
core.seek(offset)
table = core.read(size * count)
loads = [struct.unpack_from("<IIQQQQ", table, i * size) for i in range(count)]
result = {}
for name, address in found.items():
    length = order[bisect.bisect_right(order, address)] - address
    for kind, _, where, start, _, filled in loads:
        if kind == 1 and start <= address and address + length <= start + filled:
            core.seek(where + address - start)
            result[name] = [address, length, core.read(length).hex()]
print(json.dumps(result))
"""

INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t(?:\S+ )*?(call|j\w+|int3|nop\w*|ret)\b *(.*)$")


def disassemble(address, code, folder):
    path = os.path.join(folder, "function.bin")
    with open(path, "wb") as stream:
        stream.write(code)
    told = subprocess.run(
        ["objdump", "-D", "-w", "--no-show-raw-insn", "-b", "binary", "-m", "i386:x86-64",
         f"--adjust-vma={address:#x}", path], check=True, stdout=subprocess.PIPE, text=True).stdout
    os.unlink(path)
    for line in told.splitlines():
        found = INSTRUCTION.match(line)
        if found:
            yield found[2], found[3]


def jumps_out(address, code, thunks, folder):
    """The addresses outside of it that it jumps to, but to what returns; None if it calls
    anything or cannot be told."""
    targets = set()
    for name, operand in disassemble(address, code, folder):
        if name == "call":
            return None
        if name.startswith("j"):
            target = re.match(r"0x([0-9a-f]+)", operand)
            if not target:
                return None
            target = int(target[1], 16)
            if not address <= target < address + len(code) and target not in thunks:
                targets.add(target)
    return targets


def dump(outer, words):
    said = outer.shell.check(f"python3 -I {os.path.join(outer.run, 'leaves.py')} "
                             + " ".join(words), 600)
    return json.loads(said)


def find(outer, names):
    """{name: is it a leaf?} of those that the kernel itself has."""
    with open(os.path.join(outer.run, "leaves.py"), "w", encoding="utf-8") as stream:
        stream.write(DUMP)
    functions = dump(outer, names)
    thunks = {address for name, (address, _, _) in functions.items() if "return_thunk" in name}
    expect(thunks, "the kernel has no return thunk")
    jumps, new = {}, functions
    for _ in range(JUMPS + 1):
        jumps.update((address, jumps_out(address, bytes.fromhex(code), thunks, outer.run))
                     for address, _, code in new.values())
        unknown = set().union(*filter(None, jumps.values())) - set(jumps)
        new = dump(outer, [f"{address:#x}" for address in unknown]) if unknown else {}

    def is_leaf(address, on_the_way=()):
        targets = jumps.get(address)
        return targets is not None and all(
            target in on_the_way or is_leaf(target, (*on_the_way, address)) for target in targets)

    return {name: is_leaf(functions[name][0]) for name in names if name in functions}
