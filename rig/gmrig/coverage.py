# SPDX-License-Identifier: GPL-2.0
"""What ran of kvm-gm's own files: `rig/build-kvm --coverage' has gcc count in them, L1's
debugfs has the counts, gcov reads them. The table is rig/coverage-table's, too."""

import os
import re
import shutil
import subprocess
import tarfile

from .channel import RigError

DEBUGFS = "/sys/kernel/debug/gcov"
LINES = re.compile(r"File '(?P<file>[^']*)'\nLines executed:(?P<share>[\d.]+)% of (?P<lines>\d+)\n"
                   r"(?:Branches executed:[^\n]*\nTaken at least once:(?P<taken>[\d.]+)% of "
                   r"(?P<branches>\d+)\n)?")
FUNCTION = re.compile(r"Function '([^']*)'\nLines executed:([\d.]+)%")


def collect(outer, folder):
    """Bring the counts out of L1, below the folder; they come by the objects' paths."""
    os.makedirs(folder, exist_ok=True)
    archive = os.path.join(folder, "counts.tar")
    # Files of debugfs have no size before they are read.
    outer.shell.check(f"""cd {DEBUGFS} && rm -rf /run/gcov && mkdir -p /run/gcov &&
        find . -name '*.gcda' | while read -r file; do
            mkdir -p "/run/gcov/${{file%/*}}" && cat "$file" >"/run/gcov/$file"; done
        tar -C /run/gcov -cf {archive} .""", 120)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def _gcov(counts, notes, scratch):
    """gcov's words on one object."""
    shutil.copy(counts, scratch)
    shutil.copy(notes, scratch)
    done = subprocess.run(["gcov", "-b", "-f", "-o", scratch,
                           os.path.join(scratch, os.path.basename(counts))],
                          cwd=scratch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise RigError(f"gcov: {done.stdout.decode(errors='replace')}")
    return done.stdout.decode(errors="replace")


def report(config, folder):
    """Print a row for each of our files, and the functions that nothing reached; annotated
    sources are left in build/coverage/kvm-gm."""
    result = config.built("coverage", "kvm-gm")
    shutil.rmtree(result, ignore_errors=True)
    os.makedirs(result)
    rows, unreached, reached = {}, set(), set()
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            if not name.endswith(".gcda"):
                continue
            built = "/" + os.path.relpath(parent, folder)
            notes = os.path.join(built, name[:-len("da")] + "no")
            text = _gcov(os.path.join(parent, name), notes, result)
            for found in LINES.finditer(text):
                if "/x86/kvm/gm/" not in found["file"]:
                    continue
                file = os.path.basename(found["file"])
                row = (int(found["lines"]), float(found["share"]), int(found["branches"] or 0),
                       float(found["taken"] or 0))
                rows[file] = max(rows.get(file, row), row, key=lambda r: (r[1], r[0]))
            for function, share in FUNCTION.findall(text):
                if function.startswith(("gm_", "__gm_", "kvm_gm_")):
                    (unreached if float(share) == 0 else reached).add(function)
    if not rows:
        raise RigError("KVM has not counted: run make kvm-gm-coverage")
    print_table("kvm-gm", rows, unreached - reached)


def print_table(total, rows, unreached):
    """ROWS has of each file the lines, how many percent of them ran, and the same of branches."""
    lines = sum(row[0] for row in rows.values())
    hit = sum(row[0] * row[1] / 100 for row in rows.values())
    branches = sum(row[2] for row in rows.values())
    taken = sum(row[2] * row[3] / 100 for row in rows.values())
    print(f"{'file':20} {'lines':>6} {'run':>7} {'branches':>9} {'taken':>7}")
    for file, row in sorted(rows.items()):
        print(f"{file:20} {row[0]:6} {row[1]:6.1f}% {row[2]:9} {row[3]:6.1f}%")
    print(f"{total:20} {lines:6} {100 * hit / lines:6.1f}% {branches:9} "
          f"{100 * taken / branches:6.1f}%")
    print("not reached: " + (", ".join(sorted(unreached)) or "nothing"), flush=True)
