# SPDX-License-Identifier: GPL-2.0
"""KVM's own tests (tools/testing/selftests/kvm), run in L1 on the unpatched KVM
and on ours: whatever the emulated CPU makes of a test, it must make the same of
it on both. Those of guarded modules (kvm-gm/selftests) must pass on ours, and
skip on the other."""

import contextlib
import os
import re
import time
from dataclasses import dataclass

from .channel import RigError, from_first, tail
from .config import TOP, ConfigError
from .outer import TROUBLE
from .session import Session

EXCLUDED = os.path.join(TOP, "rig", "selftests.exclude")
FLAVOURS = ("stock", "gm")
STATUS = {0: "pass", 4: "skip", 124: "timeout", 137: "timeout"}
# Where a test gave up: one that fails on both must fail at the same place.
PLACE = re.compile(r"Test Assertion Failure ====\s+(\S+\.[ch]:\d+)")
# What the tests expect of a host: POSIX semaphores, and huge pages to map.
PREPARE = ("mkdir -p /dev/shm && mount -t tmpfs tmpfs /dev/shm && "
           "echo 300 >/proc/sys/vm/nr_hugepages")


@dataclass
class Result:
    verdict: str
    seconds: float
    log: str			# the file with all that the test said


def load_excluded():
    """{name: reason}"""
    excluded = {}
    with open(EXCLUDED, encoding="utf-8") as stream:
        for line in stream:
            name, _, reason = line.partition("#")[0].strip().partition(" ")
            if name:
                if not reason.strip():
                    raise ConfigError(f"rig/selftests.exclude: no reason for {name}")
                excluded[name] = reason.strip()
    return excluded


def find_tests(folder):
    """{name: path}; the names are relative to the folder."""
    names = set()
    for top, _, files in os.walk(folder):
        names |= {os.path.relpath(os.path.join(top, name), folder) for name in files}
    # What a script starts is no test of its own.
    names -= {name.removesuffix(".sh") for name in names if name.endswith(".sh")}
    return {name: os.path.join(folder, name) for name in sorted(names)}


class Runs:
    """The tests on one flavour of KVM; L1 is started again when a test took it down."""

    def __init__(self, config, flavour, tests, limit):
        self.session = Session(config, kvm=flavour,
                               verbose=lambda text: print(f"      {text}", flush=True))
        self.flavour = flavour
        self.tests = tests
        self.limit = limit

    def _machine(self):
        if self.session.current_outer is None or not self.session.current_outer.alive():
            self.session.outer().shell.check(PREPARE, 60)
        return self.session.outer()

    def run(self, name):
        outer = self._machine()
        log = os.path.join(self.session.run, name.replace("/", "-") + ".log")
        began = time.monotonic()
        try:
            status, said = outer.shell.run(
                # From their folder, since scripts start programs next to them.
                f"cd {os.path.dirname(self.tests[name])} && "
                f"timeout -k 10 {self.limit} ./{os.path.basename(name)}", self.limit + 60)
            places = PLACE.findall(said)
            verdict = STATUS.get(status) or f"fail {status}" + "".join(
                f" at {place}" for place in places[:1])
        except RigError as error:
            said = str(error)
            verdict = "hung L1" if outer.alive() else "ended L1"
        seconds = time.monotonic() - began
        with contextlib.suppress(RigError):
            trouble = outer.trouble()
            if trouble:
                verdict += ", L1's kernel complained"
                said += "\nL1's kernel complained:\n" + from_first(TROUBLE, trouble, 160)
        # A machine that complained, or does not answer, has no say in other tests.
        if "L1" in verdict:
            self.session.drop_outer()
        with open(log, "w", encoding="utf-8") as stream:
            stream.write(said)
        print(f"{self.flavour:5}  {name}: {verdict} ({seconds:.1f} s)", flush=True)
        return Result(verdict, seconds, log)

    def close(self):
        self.session.close()


def run_all(config, tests, names, limit):
    """{flavour: {name: Result}}, flavour by flavour: L1 boots twice if all is well."""
    results, sessions = {}, []
    for flavour in FLAVOURS:
        runs = Runs(config, flavour, tests, limit)
        sessions.append(runs.session)
        try:
            results[flavour] = {name: runs.run(name) for name in names}
        finally:
            runs.close()
    return results, sessions


def differing(results, ours):
    """The tests that make of the two KVMs what they should not: those of guarded
    modules something else than skip and pass, the others not the same."""
    verdicts = {name: tuple(results[flavour][name].verdict for flavour in FLAVOURS)
                for name in results["gm"]}
    return [name for name, (stock, gm) in verdicts.items()
            if (name in ours and (stock, gm) != ("skip", "pass"))
            or (name not in ours and stock != gm)]


def counts(results):
    verdicts = [result.verdict for result in results.values()]
    passed, skipped = verdicts.count("pass"), verdicts.count("skip")
    return f"{passed} passed, {len(verdicts) - passed - skipped} failed, {skipped} skipped"


def main(config, options):
    ours = find_tests(os.path.realpath(config.need(config.built("selftests-gm"), "selftests")))
    upstream = find_tests(os.path.realpath(config.need(config.built("selftests"), "selftests")))
    tests, excluded = {**upstream, **ours}, load_excluded()
    unknown = set(options.names) - set(tests)
    if unknown:
        raise ConfigError(f"no selftest {', '.join(sorted(unknown))}; there are "
                          + ", ".join(tests))
    stale = set(excluded) - set(tests)
    if stale:
        raise ConfigError("rig/selftests.exclude names what is not there: "
                          + ", ".join(sorted(stale)))
    names = options.names or [name for name in tests if name not in excluded]
    if not options.names:
        for name, reason in excluded.items():
            print(f"excluded: {name}: {reason}")
    results, sessions = run_all(config, tests, names, options.limit)
    unsteady = differing(results, ours)
    if unsteady:
        print("once more, what differs:", flush=True)
        again, more = run_all(config, tests, unsteady, options.limit)
        sessions += more
        for flavour in FLAVOURS:
            results[flavour].update(again[flavour])
    different = differing(results, ours)
    for name in set(unsteady) - set(different):
        print(f"unsteady: {name} differed, and then was {results['gm'][name].verdict} on both")
    if different:
        table = [("", "unpatched KVM", "ours")] + [
            (name, *(results[flavour][name].verdict for flavour in FLAVOURS))
            for name in different]
        widths = [max(map(len, column)) for column in zip(*table)]
        for row in table:
            print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths)).rstrip())
        for name in different:
            for flavour in FLAVOURS:
                log = results[flavour][name].log
                with open(log, encoding="utf-8") as stream:
                    print(f"{name} on {flavour} ({log}):\n" + tail(stream.read()))
    else:
        for session in sessions:
            session.remove_files()
    print(f"on the unpatched KVM: {counts(results['stock'])}; on ours:")
    print(f"{len(names) - len(different)} as they should be, {len(different)} not")
    print(counts(results["gm"]), flush=True)
    return 1 if different or not names else 0
