# SPDX-License-Identifier: GPL-2.0
"""The table of test cases: rig/tests.toml, with the code behind each row, and the
raw attacks, the modules to load and QEMU's own tests, whose tables are their own."""

import importlib
import os
import tomllib
from dataclasses import dataclass
from typing import Callable

from .cases import loads, qemu, raw
from .config import ConfigError

CASES = ("absorb", "native", "boot", "chain", "grants", "attacks", "policy", "stress", "bad_input",
         "guest", "lifecycle", "monitor", "qemu", "start", "operator", "nic", "mwait")
FIELDS = {"name", "groups", "timeout", "boot", "about", "fresh", "guest_oops", "extra", "vmx"}
SETS = ("quick", "default", "full")	# for VMX in Bochs; each has what those before it have


@dataclass
class Case:
    name: str
    groups: list
    timeout: float		# seconds, for the test itself; booting has its own
    about: str
    function: Callable
    boot: str = ""		# how to start L2; "": no machine needed, "l1": L1 only
    fresh: bool = False		# wants an L2 that no other test has used
    guest_oops: bool = False	# the guest kernel may complain: it is the victim
    extra: bool = False		# runs only when named
    vmx: str = ""		# the first set that has it, or why it does not run in Bochs

    def vendor(self):
        """For the list: on VMX in Bochs, in which set, if any."""
        if not self.boot:
            return "any"
        return f"vmx:{self.vmx}" if self.runs_in_bochs() else "svm"

    def runs_in_bochs(self):
        return self.vmx in SETS

    def in_set(self, wanted):
        """Is it in that set, or was it left out of all of them with a reason?"""
        return not self.runs_in_bochs() or SETS.index(self.vmx) <= SETS.index(wanted)


def decided(row):
    """A row that boots must say what becomes of it on VMX in Bochs."""
    if row.get("boot") and not row.get("vmx"):
        raise ConfigError(f"tests.toml: {row['name']}: vmx says neither a set "
                          f"({', '.join(SETS)}) nor why it does not run in Bochs")


def load():
    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "tests.toml")
    with open(path, "rb") as stream:
        rows = tomllib.load(stream)["test"]
    functions = {}
    for module in CASES:
        loaded = importlib.import_module(f"gmrig.cases.{module}")
        for name, value in vars(loaded).items():
            if callable(value) and getattr(value, "is_case", False):
                functions[name.replace("_", "-")] = value
    cases = []
    for row in rows:
        unknown = set(row) - FIELDS
        if unknown:
            raise ConfigError(f"tests.toml: {row['name']}: unknown {', '.join(unknown)}")
        function = functions.pop(row["name"], None)
        if function is None:
            raise ConfigError(f"tests.toml: {row['name']}: no such case in gmrig/cases")
        decided(row)
        cases.append(Case(function=function, **row))
    if functions:
        raise ConfigError(f"cases without a row in tests.toml: {', '.join(functions)}")
    return cases + [Case(**row) for rows in (raw.rows(), loads.rows(), qemu.rows())
                    for row in rows]


def select(cases, names, wanted=None):
    """The cases of those names, or groups; or all that are not extra. WANTED is the set for
    Bochs, where what needs no machine does not run again."""
    if not names:
        return [case for case in cases if not case.extra and
                (wanted is None or case.boot and case.in_set(wanted))]
    known = {case.name for case in cases}.union(*(case.groups for case in cases))
    for name in names:
        if name not in known:
            raise ConfigError(f"no test or group {name}; gm-rig list shows them")
    return [case for case in cases
            if case.name in names or set(case.groups).intersection(names)]
