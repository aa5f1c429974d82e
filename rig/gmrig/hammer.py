# SPDX-License-Identifier: GPL-2.0
"""raw-hammer (kvm-gm/tests) in L1, for as long as it takes, with its progress shown. On
the debug kernel, memory that nothing refers to is looked for when it is done, and
what it reached of our files is counted if KVM was built to count (--coverage)."""

import os
import re
import sys

from . import coverage, table
from .channel import RigError, from_first
from .outer import TROUBLE
from .runner import Runner
from .session import Session

PROGRAM = "raw-hammer"
WAYS = ("fuzz-ioctls", "fuzz-gates", "cycles", "faults", "signals")
DONE, SKIPPED = 0, 77
OBSERVED = ("observe-trace", "observe-statistics")	# cases that reach what KVM tells of modules
SILENCE = 120			# s, without progress: it tells every 10 s
ATTACK_LIMIT = 400		# s, for an attack on the debug kernel, which counts besides
SCAN = 300			# s, for a look through all memory
LINE = rb"([^\n]*)\n"
LEAK = re.compile(r"unreferenced object.*?(?=unreferenced object|\Z)", re.DOTALL)
OURS = re.compile(r"\[(kvm|kvm_amd|kvm_intel)\]")


def stream(outer, command):
    """Run the program in L1; what it says is printed as it says it. Its status."""
    shell = outer.shell
    shell.begin(command)
    end = b"GM-END-%d " % shell.count
    while True:
        _, found = shell.channel.expect(LINE, SILENCE)
        line = found[1].strip(b"\r")
        if line.startswith(end):
            return int(line[len(end):])
        print(line.decode(errors="replace"), flush=True)


def leaks(outer):
    """What kmemleak has found that KVM allocated. Once is not enough: a pointer may have
    been on its way."""
    file = "/sys/kernel/debug/kmemleak"
    for _ in range(3):
        outer.shell.check(f"echo scan >{file}; sleep 6", SCAN)
    return [leak for leak in LEAK.findall(outer.shell.check(f"cat {file}", SCAN))
            if OURS.search(leak)]


def hammer(outer, way, options):
    """The problems that it showed, one text each."""
    program = outer.config.need(outer.config.built("raw-attacks", PROGRAM), "raw-attacks")
    outer.bring(program)
    words = [program]
    for name in ("runs", "seconds", "seed"):
        value = getattr(options, name)
        words += [f"--{name}", str(value)] if value else []
    # Else L1's kernel would patch itself for every machine that comes and goes.
    outer.keep_machine(True)
    status = stream(outer, " ".join([*words, way]))
    problems = []
    if status == SKIPPED and not outer.config.l1_append:
        print(f"SKIP  {way}", flush=True)
    elif status != DONE:
        problems.append(f"{way} ended with {status}")
    trouble = outer.trouble()
    if trouble:
        problems.append("L1's kernel complained:\n" + from_first(TROUBLE, trouble, 160))
    return problems


def attack(outer):
    """All raw attacks, in one go; whether each did as it should."""
    program = outer.config.need(outer.config.built("raw-attacks", "raw-attacks"), "raw-attacks")
    outer.bring(program)
    return stream(outer, f"{program} -t {ATTACK_LIMIT}") == DONE


def observe(session):
    """A module's life in a Linux guest, traced and counted; how many of the cases failed."""
    runner = Runner(session, sys.stdout)
    for case in table.load():
        if case.name in OBSERVED:
            runner.run(case)
    session.drop_guest()
    return runner.failed


def main(config, options):
    session = Session(config, "gm-coverage" if options.coverage else "gm", options.vendor)
    failed = 0
    try:
        if options.coverage:
            session.outer().keep_machine(True)
            failed += not attack(session.outer())
            failed += observe(session)
        for way in options.ways or WAYS:
            outer = session.outer()
            try:
                problems = hammer(outer, way, options)
            except RigError as error:
                problems = [f"{way}: {error}"]
            if problems:
                failed += 1
                print(f"FAIL  {way}: " + "\n".join(problems), flush=True)
                session.close()
        outer = session.outer()
        outer.keep_machine(False)
        if config.l1_kernel == "debug":
            found = leaks(outer)
            print(f"kmemleak: {len(found)} objects of KVM's that nothing refers to\n"
                  + "\n".join(found), flush=True)
            failed += bool(found)
        if options.coverage:
            coverage.report(config, coverage.collect(outer, os.path.join(session.run, "gcov")))
    finally:
        session.close()
    print(f"{failed} failed" if failed else "nothing found", flush=True)
    return 1 if failed else 0
