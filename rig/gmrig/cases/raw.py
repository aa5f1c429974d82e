# SPDX-License-Identifier: GPL-2.0
"""Attacks without QEMU or Linux in the guest: every case of raw-attacks
(kvm-gm/tests), which runs in L1 on our KVM, is a test of the group raw.

Where a program's start takes long, in Bochs, one run of it goes through all the cases
to come, and each test waits for its own verdict."""

import os
import re
import subprocess

from ..case import Failed, Skip
from ..channel import Patience, RigError
from ..config import TOP, ConfigError

PROGRAM = os.path.join(TOP, "build", "raw-attacks", "raw-attacks")
LIMIT = 60			# s, for a case; the longest take 10
VERDICT = re.compile(r"^(not ok|ok) \d+ - ([\w-]+)(?: # SKIP (.*)|.*)", re.MULTILINE)
LINE = rb"(?m)^(?:not ok|ok) \d+ - .*\n"
QUICK = 2			# of each invariant, in the quick set for VMX
DIAGNOSIS = re.compile(r"^# (.*)", re.MULTILINE)


class Stream:
    """One run of the program, for cases in that order."""

    def __init__(self, shell, names, limit):
        self.shell = shell
        self.names = list(names)
        shell.begin(f"{PROGRAM} -t {limit} {' '.join(self.names)}")

    def take(self, name):
        """The next case's verdict, and what was said of it."""
        if self.names[0] != name:
            raise RigError(f"raw-attacks runs {self.names[0]}, not {name}")
        channel = self.shell.channel
        _, found = channel.expect(LINE, LIMIT + 10)
        text = found[0].decode(errors="replace")
        if text.startswith("not"):
            # It follows at once, a line at least, but may be on its way still.
            said, first = channel.expect(rb"# .*\n", LIMIT)
            channel.drain()
            more = re.match(rb"(?:# .*\n)*", channel.pending)
            text += said + (first[0] + more[0]).decode(errors="replace")
        self.names.pop(0)
        if not self.names:
            self.shell.end(LIMIT)
        return text


def streamed(bench, name, limit):
    outer = bench.outer
    if not outer.stream:
        names = [case.name.removeprefix("raw-") for case in bench.session.following(bench.case)
                 if "raw" in case.groups and case.runs_in_bochs()]
        outer.stream = Stream(outer.shell, names, limit)
    text = outer.stream.take(name)
    if not outer.stream.names:
        outer.stream = None
    return text


def run(bench, name):
    limit = int(LIMIT * Patience.factor)
    if bench.outer.SLOW_START:
        if not bench.outer.stream:
            bench.outer.bring(PROGRAM)
        status, output = 0, streamed(bench, name, limit)
    else:
        status, output = bench.outer.shell.run(f"{PROGRAM} -t {limit} {name}", LIMIT + 10)
    verdict = VERDICT.search(output)
    if not verdict or verdict[2] != name:
        raise Failed(f"raw-attacks ended with {status}:\n{output}")
    if verdict[1] != "ok" or status:
        raise Failed("; ".join(DIAGNOSIS.findall(output)) or output)
    if verdict[3]:
        raise Skip(verdict[3])


def rows():
    """What a row of tests.toml has, and the function, for each case."""
    if not os.path.exists(PROGRAM):
        raise ConfigError(f"{PROGRAM} is not there: run make raw-attacks")
    listed = subprocess.run([PROGRAM, "--list"], check=True, stdout=subprocess.PIPE)
    seen = {}
    for line in listed.stdout.decode().splitlines():
        name, invariant, vendor, about = line.split("\t")
        seen[invariant] = seen.get(invariant, 0) + 1
        vmx = "quick" if seen[invariant] <= QUICK else "default"
        groups = ["raw", "race"] if name.startswith("race-") else ["raw"]
        yield {"name": f"raw-{name}", "groups": groups, "boot": "l1", "timeout": LIMIT + 20,
               "vmx": f"it is for {vendor}" if vendor.startswith("svm:") else vmx,
               "about": f"{invariant}: {about}",
               "function": lambda bench, name=name: run(bench, name)}
