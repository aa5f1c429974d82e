# SPDX-License-Identifier: GPL-2.0
"""Mutants: KVM with one security check removed. The test that a row of
kvm-gm/mutants.toml names must notice, in the way that the row expects."""

import io
import os
import re
import shutil
import subprocess
import tempfile
import time
import tomllib
from dataclasses import dataclass

from . import table
from .accel import VENDORS, default_vendor
from .channel import RigError
from .config import TOP, ConfigError
from .runner import Runner
from .session import Session

SOURCE = os.path.join(TOP, "kvm-gm")
TABLE = os.path.join(SOURCE, "mutants.toml")


@dataclass
class Mutant:
    name: str
    invariant: str
    file: str			# below kvm-gm/
    original: str		# occurs there once
    replacement: str = ""
    test: str = ""		# the case that must fail
    fails: str = ""		# regular expression: how
    untested: str = ""		# instead of test: why there is none
    vendor: str = ""		# of L1's CPU, where the test notices; or any


def load():
    """The rows, in the table's order; ConfigError says what is stale in them."""
    with open(TABLE, "rb") as stream:
        try:
            rows = tomllib.load(stream)["mutant"]
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"kvm-gm/mutants.toml: {error}") from None
    mutants, problems = [], []
    tests = {case.name for case in table.load()}
    for row in rows:
        try:
            mutant = Mutant(**row)
        except TypeError as error:
            problems.append(f"{row.get('name')}: {error}")
            continue
        problems += [f"{mutant.name}: {problem}" for problem in stale(mutant, tests)]
        mutants.append(mutant)
    names = [mutant.name for mutant in mutants]
    problems += [f"{name}: two rows" for name in set(names) if names.count(name) > 1]
    if problems:
        raise ConfigError("kvm-gm/mutants.toml: " + "; ".join(problems))
    return mutants


def stale(mutant, tests):
    path = os.path.join(SOURCE, mutant.file)
    if not os.path.exists(path):
        yield f"no file {mutant.file}"
        return
    with open(path, encoding="utf-8") as stream:
        count = stream.read().count(mutant.original)
    if count != 1:
        yield f"its original text occurs {count} times in {mutant.file}, not once"
    if not re.fullmatch(r"I[1-7]", mutant.invariant):
        yield f"no invariant {mutant.invariant}"
    if mutant.vendor not in ("", *VENDORS):
        yield f"no vendor {mutant.vendor}"
    if mutant.untested:
        return
    if mutant.test not in tests:
        yield f"no test {mutant.test!r}"
    if not mutant.fails:
        yield "does not say how the test fails"


def build(mutant=None):
    """KVM from a copy of kvm-gm, with that one change or none."""
    with tempfile.TemporaryDirectory(prefix="gm-mutant-") as folder:
        copy = os.path.join(folder, "kvm-gm")
        shutil.copytree(SOURCE, copy)
        if mutant:
            path = os.path.join(copy, mutant.file)
            with open(path, encoding="utf-8") as stream:
                text = stream.read()
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text.replace(mutant.original, mutant.replacement))
        done = subprocess.run([os.path.join(TOP, "rig", "build-kvm"), "mutant", copy],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        what = mutant.name if mutant else "the tree as it is"
        raise RigError(f"{what} does not build:\n"
                       + done.stdout.decode(errors="replace")[-4000:])


def attempt(session, case):
    """What the runner printed of one case, and whether it failed."""
    output = io.StringIO()
    runner = Runner(session, output)
    runner.run(case)
    return output.getvalue(), bool(runner.failed)


def reason(output):
    """The lines after FAIL without the consoles: a row's `fails' is matched on them."""
    _, _, rest = output.partition("\nFAIL ")
    return rest.partition("\n")[2].partition("\n      L2's console ends with:")[0]


class Verdicts:
    def __init__(self, config):
        self.config = config
        self.session = None
        self.cases = {case.name: case for case in table.load()}
        self.killed, self.survived = [], []

    def on(self, vendor):
        """From now on L1 has that vendor's CPU."""
        self.close()
        self.session = Session(self.config, kvm="mutant", vendor=vendor,
                               verbose=lambda text: None)

    def close(self):
        if self.session:
            self.session.close()

    def baseline(self, mutants):
        """A test that fails anyway would kill every mutant."""
        build()
        for name in dict.fromkeys(mutant.test for mutant in mutants):
            output, failed = attempt(self.session, self.cases[name])
            if failed:
                raise RigError(f"{name} fails without any mutant:\n{output}")
            print(f"passes    {name}, unmutated", flush=True)
        self.session.drop_outer()

    def judge(self, mutant):
        began = time.monotonic()
        try:
            build(mutant)
        except RigError as error:
            self.survived.append(mutant.name)
            print(f"UNBUILT   {mutant.name} ({mutant.invariant}): {error}", flush=True)
            return
        output, failed = attempt(self.session, self.cases[mutant.test])
        self.session.drop_outer()
        killed = failed and re.search(mutant.fails, reason(output))
        (self.killed if killed else self.survived).append(mutant.name)
        verdict = "killed" if killed else "OTHERWISE" if failed else "SURVIVED"
        print(f"{verdict:9} {mutant.name} ({mutant.invariant}) by {mutant.test}, "
              f"{time.monotonic() - began:.0f} s", flush=True)
        if killed:
            print(f"          {killed[0]}", flush=True)
        elif failed:
            print(f"          the test failed, but not with {mutant.fails!r}:\n"
                  + reason(output), flush=True)


def main(config, options):
    mutants = load()
    unknown = set(options.names) - {mutant.name for mutant in mutants}
    if unknown:
        raise ConfigError(f"no mutant {', '.join(sorted(unknown))} in kvm-gm/mutants.toml")
    chosen = [mutant for mutant in mutants if not options.names or mutant.name in options.names]
    tested = [mutant for mutant in chosen if not mutant.untested]
    verdicts = Verdicts(config)
    try:
        for vendor in VENDORS:
            there = [mutant for mutant in tested
                     if (mutant.vendor or default_vendor()) == vendor]
            if not there:
                continue
            verdicts.on(vendor)
            verdicts.baseline(there)
            for mutant in there:
                verdicts.judge(mutant)
            verdicts.session.remove_files()
    finally:
        verdicts.close()
    for mutant in chosen:
        if mutant.untested:
            print(f"untested  {mutant.name} ({mutant.invariant}): {mutant.untested}")
    print(f"{len(verdicts.killed)} killed, {len(verdicts.survived)} not, "
          f"{len(chosen) - len(tested)} untested")
    return 1 if verdicts.survived or not chosen else 0
