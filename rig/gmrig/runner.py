# SPDX-License-Identifier: GPL-2.0
"""Runs test cases and reports; the last line sums up.

After every case, L1's console is searched for anything that a host kernel must
not say, and L2's unless the row expects the guest to complain: what turns up
fails the case that was running. A machine that was in a failed case is not
used again; where cases are meant to fail (Runner.hardy), L1 is if all that failed
is what the case expected.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time

from . import accel, table
from .case import Bench, Failed, Skip
from .channel import Patience, QmpError, RigError, RigTimeout, from_first
from .config import TOP, host_description
from .guest import OOPS
from .outer import TROUBLE, Outer
from .session import Session
from .suite import SUMMARY

REPORT_LINES = 160		# a lockdep report with its chains is that long


@contextlib.contextmanager
def time_limit(seconds, what):
    seconds *= Patience.factor

    def expired(_signal, _frame):
        raise RigTimeout(f"{what} took more than {seconds:.0f} s")

    previous = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


class Runner:
    def __init__(self, session, stream=sys.stdout, hardy=False):
        self.session = session
        self.stream = stream
        self.hardy = hardy
        self.passed = self.failed = self.skipped = 0

    def line(self, text):
        print(text, file=self.stream, flush=True)

    def prepare(self, case):
        if case.boot:
            self.session.outer(case.boot).keep_machine("raw" in case.groups)
        if case.boot and case.boot != "l1":
            guest = self.session.guest(case.boot, fresh=case.fresh)
            guest.console_added()

    def aftermath(self, case):
        """What the machines' consoles hold against the case, or ''."""
        problems = []
        outer, guest = self.session.current_outer, self.session.current_guest
        if case.boot and outer is not None:
            trouble = outer.trouble()
            if trouble:
                problems.append("L1's kernel complained:\n"
                                + from_first(TROUBLE, trouble, REPORT_LINES))
        if case.boot and guest is not None and not case.guest_oops:
            text = guest.console_added()
            if OOPS.search(text):
                problems.append("L2's kernel complained:\n" + from_first(OOPS, text))
        return "\n".join(problems)

    def run(self, case):
        name = case.name
        if case.boot and self.session.vendor != "svm":
            cpus = f", {self.session.l1_cpus} CPUs" if self.session.l1_cpus > 1 else ""
            name = f"{self.session.vendor}{cpus}: {name}"
        self.line(f"----  {name}: {case.about}")
        began = time.monotonic()
        bench = Bench(self.session, case)
        reason, skipped, sound = "", None, self.hardy
        try:
            if self.session.accel[0] == "bochs" and case.boot and not case.runs_in_bochs():
                raise Skip(f"not in Bochs: {case.vmx}")
            self.prepare(case)
            began = time.monotonic()
            with time_limit(case.timeout, case.name):
                case.function(bench)
        except Skip as skip:
            skipped = str(skip)
        except (Failed, RigError, QmpError, OSError, subprocess.CalledProcessError) as error:
            reason = f"{type(error).__name__}: {error}"
            sound = sound and isinstance(error, Failed)
        with contextlib.suppress(RigError):
            problems = self.aftermath(case)
            sound = sound and not problems
            reason = "\n".join(filter(None, (reason, problems)))
        took = time.monotonic() - began
        for note in bench.notes:
            self.line(f"      {note}")
        if reason:
            self.line(f"FAIL  {name} ({took:.1f} s)")
            for part in [reason] + (self.session.last_words() if case.boot else []):
                self.line("      " + part.replace("\n", "\n      "))
            self.failed += max(1, bench.failed)
            self.passed += bench.passed or 0
            if case.boot and not sound:
                self.session.drop_outer()
        elif skipped is not None:
            self.line(f"SKIP  {name}: {skipped}")
            self.skipped += 1
        else:
            self.line(f"ok    {name} ({took:.1f} s)")
            self.passed += 1 if bench.passed is None else bench.passed
        self.skipped += bench.skipped

    def summary(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def in_order(cases):
    """Cases that share a boot next to each other, in the table's order otherwise."""
    boots = list(dict.fromkeys(case.boot for case in cases))
    return sorted(cases, key=lambda case: boots.index(case.boot))


class Beside:
    """Another run of the table at the same time, reported when it has ended."""

    def __init__(self, *arguments):
        self.arguments = arguments
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [os.path.join(TOP, "rig", "gm-rig"), "test", *arguments], stdin=subprocess.DEVNULL,
            stdout=self.output, stderr=self.output, preexec_fn=Outer.child)

    def report(self, runner):
        self.process.wait()
        self.output.seek(0)
        lines = self.output.read().decode(errors="replace").splitlines()
        runner.line(f"beside this ran: gm-rig test {' '.join(self.arguments)}")
        counts = SUMMARY.match(lines[-1]) if lines else None
        for line in lines[:-1] if counts else lines:
            runner.line(line)
        if counts:
            runner.passed += int(counts[1])
            runner.failed += int(counts[2])
            runner.skipped += int(counts[3])
        else:
            runner.failed += 1


def plan(options, session):
    """The cases to run here, in order; a run beside, or None; what to run next to it
    when these cases are done, or None."""
    wanted = options.set if session.accel[0] == "bochs" else None
    cases = in_order(table.select(table.load(), options.names, wanted))
    if not options.beside:
        return cases, None, None
    if wanted:
        # Each of the two machines has a CPU of the host's.
        return ([case for case in cases if "raw" not in case.groups],
                Beside("--vendor", session.vendor, "--set", wanted,
                       *(case.name for case in cases if "raw" in case.groups)),
                ("--vendor", session.vendor, "--l1-cpus", "2", "race"))
    if accel.choose("vmx")[0] == "bochs":
        return cases, Beside("--vendor", "vmx", "--set", "quick"), None
    return cases, None, None


def main(config, options):
    if options.command == "list":
        for case in table.load():
            print(f"{case.name:24} {','.join(case.groups):16} {case.vendor():8} {case.about}")
        return 0
    print(f"host: {host_description()}", flush=True)
    session = Session(config, vendor=options.vendor, l1_cpus=options.l1_cpus,
                      verbose=lambda text: print(f"      {text}", flush=True))
    runner = Runner(session)
    beside = None
    try:
        session.plan, beside, then = plan(options, session)
        for case in session.plan:
            runner.run(case)
        session.close()
        for other in (then and Beside(*then), beside):
            if other:
                other.report(runner)
    except KeyboardInterrupt:
        runner.line("interrupted; what ran so far:")
        runner.failed += 1
        raise
    finally:
        session.close()
        if not runner.failed:
            session.remove_files()
        else:
            runner.line(f"logs are in {session.run}")
        runner.line(runner.summary())
    return 1 if runner.failed or not runner.passed else 0
