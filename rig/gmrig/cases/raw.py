# SPDX-License-Identifier: GPL-2.0
"""Attacks without QEMU or Linux in the guest: every case of raw-attacks
(kvm-gm/tests), which runs in L1 on our KVM, is a test of the group raw."""

import os
import re
import subprocess

from ..case import Failed, Skip
from ..channel import Patience
from ..config import TOP, ConfigError

PROGRAM = os.path.join(TOP, "build", "raw-attacks", "raw-attacks")
LIMIT = 60			# s, for a case; the longest take 10
VERDICT = re.compile(r"^(not ok|ok) 1 - \S+(?: # SKIP (.*))?", re.MULTILINE)
DIAGNOSIS = re.compile(r"^# (.*)", re.MULTILINE)


def run(bench, name):
    limit = int(LIMIT * Patience.factor)
    bench.outer.bring(PROGRAM)
    status, output = bench.outer.shell.run(f"{PROGRAM} -t {limit} {name}", LIMIT + 10)
    verdict = VERDICT.search(output)
    if not verdict:
        raise Failed(f"raw-attacks ended with {status}:\n{output}")
    if verdict[1] != "ok" or status:
        raise Failed("; ".join(DIAGNOSIS.findall(output)) or output)
    if verdict[2]:
        raise Skip(verdict[2])


def rows():
    """What a row of tests.toml has, and the function, for each case."""
    if not os.path.exists(PROGRAM):
        raise ConfigError(f"{PROGRAM} is not there: run make raw-attacks")
    listed = subprocess.run([PROGRAM, "--list"], check=True, stdout=subprocess.PIPE)
    for line in listed.stdout.decode().splitlines():
        name, invariant, _vendor, about = line.split("\t")
        yield {"name": f"raw-{name}", "groups": ["raw"], "boot": "l1", "timeout": LIMIT + 20,
               "about": f"{invariant}: {about}",
               "function": lambda bench, name=name: run(bench, name)}
