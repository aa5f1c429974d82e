# SPDX-License-Identifier: GPL-2.0
"""Which of the kernel's functions are leaves: their code, as it runs, calls nothing and
jumps to no other function. L1 runs the guest's kernel image, so the code is read there,
with all that the kernel has patched, and disassembled here."""

import json
import os
import re
import subprocess

from .case import expect

# Runs in L1: prints {name: [address, size, code in hex]} of the functions that it is told.
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


def is_leaf(address, code, thunks, folder):
    """Does no call, and no jump out of it but to what returns?"""
    for name, operand in disassemble(address, code, folder):
        if name == "call":
            return False
        if name.startswith("j"):
            target = re.match(r"0x([0-9a-f]+)", operand)
            if not target:
                return False
            target = int(target[1], 16)
            if not address <= target < address + len(code) and target not in thunks:
                return False
    return True


def find(outer, names):
    """{name: is it a leaf?} of those that the kernel itself has."""
    script = os.path.join(outer.run, "leaves.py")
    with open(script, "w", encoding="utf-8") as stream:
        stream.write(DUMP)
    said = outer.shell.check(f"python3 -I {script} {' '.join(names)}", 600)
    functions = json.loads(said)
    thunks = {address for name, (address, _, _) in functions.items() if "return_thunk" in name}
    expect(thunks, "the kernel has no return thunk")
    return {name: is_leaf(functions[name][0], bytes.fromhex(functions[name][2]), thunks, outer.run)
            for name in names if name in functions}
