# SPDX-License-Identifier: GPL-2.0
"""Mutants: KVM, QEMU's side, or gmcc, with one security check removed. The test that a row
of the component's mutants.toml names must notice, in the way that the row expects. A mutant
of KVM is loaded in the rig's L1, and its test is a case of tests.toml; one of QEMU's side is
a copy of it whose unit tests, or tests in a whole QEMU, are built and run, and one of gmcc is a
copy, too, with a part of its tests. Of copies there are as many as CPUs."""

import io
import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import time
import tomllib
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass

from . import table
from .accel import VENDORS, default_vendor
from .channel import RigError
from .config import TOP, ConfigError
from .runner import Runner
from .session import Session

FOLDERS = {"kvm": "kvm-gm", "qemu": "qemu-gm", "gmcc": "gmcc"}
COMPONENTS = tuple(FOLDERS)
UNIT_TIMEOUT = 60		# seconds that a test of a mutant of QEMU's side may take
BUILD_TIMEOUT = 600		# and its build, which the first time is of all files
GMCC_TIMEOUT = 600		# a part of gmcc's tests
CPUS = len(os.sched_getaffinity(0))
WRONG_IMAGE = re.compile(r"finds ([\w-]+)\\n$")	# of mkwrong's, at the end of `fails'
MACHINE = "test-machine-"	# the names of tests that run in a whole QEMU


def source(component):
    return os.path.join(TOP, FOLDERS[component])


def unit_tests():
    """The programs of qemu-gm/tests: a row's test is one of them."""
    unit = os.listdir(os.path.join(source("qemu"), "files", "tests", "unit"))
    machine = os.listdir(os.path.join(source("qemu"), "tests", "machine"))
    return ({name[:-2] for name in unit if re.fullmatch(r"test-gm-\w+\.c", name)}
            | {MACHINE + name[5:-2] for name in machine if re.fullmatch(r"test_\w+\.c", name)})


def gmcc_parts():
    """Of gmcc/tests/run: a row's test is one of them."""
    folder = os.path.join(source("gmcc"), "tests")
    return {name[:-3] for name in os.listdir(folder) if name.endswith(".sh")}


@dataclass
class Mutant:
    name: str
    invariant: str
    file: str			# below the component's folder
    original: str		# occurs there once
    replacement: str = ""
    test: str = ""		# the case, the unit test, or the part, that must fail
    fails: str = ""		# regular expression: how
    untested: str = ""		# instead of test: why there is none
    vendor: str = ""		# of L1's CPU, where the test notices; or any
    component: str = ""		# whose table it is in


def load():
    """The rows of all tables."""
    mutants = [mutant for component in COMPONENTS for mutant in load_table(component)]
    names = [mutant.name for mutant in mutants]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigError(f"two mutants are called {', '.join(sorted(twice))}")
    return mutants


def load_table(component):
    """The rows, in the table's order; ConfigError says what is stale in them."""
    path = os.path.join(source(component), "mutants.toml")
    with open(path, "rb") as stream:
        try:
            rows = tomllib.load(stream)["mutant"]
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{FOLDERS[component]}/mutants.toml: {error}") from None
    mutants, problems = [], []
    if component == "kvm":
        tests = {case.name for case in table.load()}
    else:
        tests = unit_tests() if component == "qemu" else gmcc_parts()
    for row in rows:
        try:
            mutant = Mutant(**row, component=component)
        except TypeError as error:
            problems.append(f"{row.get('name')}: {error}")
            continue
        problems += [f"{mutant.name}: {problem}" for problem in stale(mutant, tests)]
        mutants.append(mutant)
    if problems:
        raise ConfigError(f"{FOLDERS[component]}/mutants.toml: " + "; ".join(problems))
    return mutants


def stale(mutant, tests):
    path = os.path.join(source(mutant.component), mutant.file)
    if not os.path.exists(path):
        yield f"no file {mutant.file}"
        return
    with open(path, encoding="utf-8") as stream:
        count = stream.read().count(mutant.original)
    if count != 1:
        yield f"its original text occurs {count} times in {mutant.file}, not once"
    if not re.fullmatch(r"I[1-7]", mutant.invariant):
        yield f"no invariant {mutant.invariant}"
    if mutant.vendor not in ("", *VENDORS) or (mutant.vendor and mutant.component != "kvm"):
        yield f"no vendor {mutant.vendor}"
    if mutant.untested:
        return
    if mutant.test not in tests:
        yield f"no test {mutant.test!r}"
    if not mutant.fails:
        yield "does not say how the test fails"


def mutate(folder, mutant):
    """The text of the mutant, in the copy of its component in FOLDER."""
    path = os.path.join(folder, mutant.file)
    with open(path, encoding="utf-8") as stream:
        text = stream.read()
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text.replace(mutant.original, mutant.replacement))


def build(config, number, mutant=None):
    """KVM from a copy of kvm-gm, with that one change or none; what Config.kvm() calls it.
    That of the number before stays."""
    with tempfile.TemporaryDirectory(prefix="gm-mutant-") as folder:
        copy = os.path.join(folder, "kvm-gm")
        shutil.copytree(source("kvm"), copy)
        if mutant:
            mutate(copy, mutant)
        done = subprocess.run([os.path.join(TOP, "rig", "build-kvm"), "mutant", copy],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        what = mutant.name if mutant else "the tree as it is"
        raise RigError(f"{what} does not build:\n"
                       + done.stdout.decode(errors="replace")[-4000:])
    flavour = f"mutant-{number % 2}"
    shutil.copytree(config.built("kvm-modules", "mutant"), config.built("kvm-modules", flavour),
                    dirs_exist_ok=True)
    return flavour


def attempt(session, case):
    """What the runner printed of one case, and whether it failed."""
    output = io.StringIO()
    runner = Runner(session, output, hardy=True)
    runner.run(case)
    return output.getvalue(), bool(runner.failed)


def reason(output):
    """The lines after FAIL without the consoles: a row's `fails' is matched on them."""
    _, _, rest = output.partition("\nFAIL ")
    return rest.partition("\n")[2].partition("\n      L2's console ends with:")[0]


class Verdicts:
    """Of the mutants of one component."""

    def __init__(self):
        self.killed, self.survived = [], []

    def baseline(self, mutants):
        """A test that fails anyway would kill every mutant."""
        for name in dict.fromkeys(mutant.test for mutant in mutants):
            output, failed = self.unmutated(name)
            if failed:
                raise RigError(f"{name} fails without any mutant:\n{output}")
            print(f"passes    {name}, unmutated", flush=True)

    def judge(self, mutant):
        began = time.monotonic()
        try:
            output, failed = self.mutated(mutant)
        except RigError as error:
            self.survived.append(mutant.name)
            print(f"UNBUILT   {mutant.name} ({mutant.invariant}): {error}", flush=True)
            return
        killed = failed and re.search(mutant.fails, output)
        (self.killed if killed else self.survived).append(mutant.name)
        verdict = "killed" if killed else "OTHERWISE" if failed else "SURVIVED"
        text = (f"{verdict:9} {mutant.name} ({mutant.invariant}) by {mutant.test}, "
                f"{time.monotonic() - began:.0f} s")
        if killed:
            text += f"\n          {killed[0].strip()}"
        elif failed:
            text += f"\n          the test failed, but not with {mutant.fails!r}:\n{output}"
        print(text, flush=True)


class KvmVerdicts(Verdicts):
    """By cases of the rig, in a machine that loads the mutant. The next mutant is built
    meanwhile."""

    def __init__(self, config, _folder):
        super().__init__()
        self.config = config
        self.session = None
        self.cases = {case.name: case for case in table.load()}
        self.builder = ThreadPoolExecutor(1)
        self.order, self.next_build = [], None

    def on(self, vendor):
        """From now on L1 has that vendor's CPU."""
        self.close()
        self.session = Session(self.config, vendor=vendor, verbose=lambda text: None)

    def close(self):
        if self.session:
            self.session.close()

    def baseline(self, mutants):
        self.session.kvm = build(self.config, 0)
        super().baseline(mutants)

    def unmutated(self, name):
        return attempt(self.session, self.cases[name])

    def build_ahead(self, number):
        """Begin with the mutant of that number, counted from 1; None if there is none."""
        if number > len(self.order):
            return None
        return self.builder.submit(build, self.config, number, self.order[number - 1])

    def mutated(self, mutant):
        number = self.order.index(mutant) + 1
        building = self.next_build or self.build_ahead(number)
        try:
            self.session.kvm = building.result()
        finally:
            self.next_build = self.build_ahead(number + 1)
        self.reload()
        output, failed = attempt(self.session, self.cases[mutant.test])
        return reason(output), failed

    def reload(self):
        """The mutant that was built takes the place of the last one, in the L1 that is there if
        it has nothing of that any more."""
        outer = self.session.current_outer
        if outer is None:
            return
        try:
            self.session.drop_guest()
            outer.keep_machine(False)
            outer.load_kvm(self.session.kvm)
        except RigError:
            self.session.drop_outer()

    def judge_all(self, mutants):
        try:
            for vendor in VENDORS:
                there = [mutant for mutant in mutants
                         if (mutant.vendor or default_vendor()) == vendor]
                if not there:
                    continue
                self.order = there
                self.on(vendor)
                self.baseline(there)
                for mutant in there:
                    self.judge(mutant)
                self.session.remove_files()
        finally:
            self.builder.shutdown(cancel_futures=True)
            self.close()


class CopyVerdicts(Verdicts):
    """By tests that need no machine of the rig. A mutant is built in a copy where the tree as
    it is has been: only what it changes is built again."""
    component = ""
    parts = ()			# of the tree, that are copied

    def __init__(self, config, folder):
        super().__init__()
        self.first = os.path.join(folder, "1")
        self.copies = queue.SimpleQueue()	# that no mutant is in
        self.running, self.over = set(), False
        self.qemu_parts = config.built("qemu-parts")	# the rest of QEMU
        for name in self.parts:
            shutil.copytree(os.path.join(TOP, name), os.path.join(self.first, name))

    def test(self, copy, mutant_or_none, name):
        """Build what the test of that name tests, and run it: what it prints, and whether
        it failed."""
        raise NotImplementedError

    def run(self, command, limit, **keywords):
        """What it prints, and its status; None if the time was over. Nothing of it is left.
        CancelledError when nobody is interested any more."""
        if self.over:
            raise CancelledError
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, process_group=0, **keywords) as process:
            self.running.add(process)
            try:
                output, _ = process.communicate(timeout=limit)
                status = process.returncode
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output, status = process.communicate()[0], None
            finally:
                self.running.discard(process)
        if self.over:
            raise CancelledError
        return output.decode(errors="replace"), status

    def build(self, *arguments):
        output, status = self.run(["make", "-s", f"-j{CPUS}", *arguments], BUILD_TIMEOUT)
        if status != 0:
            raise RigError("does not build:\n" + output[-4000:])

    def attempt(self, command, limit, **keywords):
        output, status = self.run(command, limit, **keywords)
        return ("it does not end", True) if status is None else (output, status != 0)

    def unmutated(self, name):
        return self.test(self.first, None, name)

    def mutated(self, mutant):
        copy = self.copies.get()
        tree = os.path.join(copy, FOLDERS[self.component])
        try:
            mutate(tree, mutant)
            return self.test(copy, mutant, mutant.test)
        finally:
            shutil.copyfile(os.path.join(source(self.component), mutant.file),
                            os.path.join(tree, mutant.file))
            self.copies.put(copy)

    def judge_all(self, mutants):
        self.baseline(mutants)
        count = min(CPUS, len(mutants))
        for number in range(1, count + 1):
            copy = os.path.join(os.path.dirname(self.first), str(number))
            if number > 1:
                shutil.copytree(self.first, copy, symlinks=True)
            self.copies.put(copy)
        pool = ThreadPoolExecutor(count)
        try:
            list(pool.map(self.judge, mutants))
        except BaseException:
            # The threads would wait for what runs, and then go on.
            self.over = True
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(self.running):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            pool.shutdown()


class QemuVerdicts(CopyVerdicts):
    """By the tests of qemu-gm/tests: unit tests, and those in a whole QEMU."""
    component = "qemu"
    parts = ("qemu-gm", "kvm-gm/include", "gmcc/include")

    def test(self, copy, mutant_or_none, name):
        out = os.path.join(copy, "out")
        program = os.path.join(out, name)
        self.build("-C", os.path.join(copy, "qemu-gm", "tests"), "CFLAGS=-O0 -g", f"O={out}",
                   f"PARTS={self.qemu_parts}",
                   # What a mutant does not use is no reason not to build it.
                   "MACHINE_WARNINGS=-Wno-error", program)
        return self.attempt([program, "--tap", "-k"], UNIT_TIMEOUT, cwd=copy)


class GmccVerdicts(CopyVerdicts):
    """By a part of gmcc/tests/run, and of its damaged images by that which the row expects to be
    taken. It goes without sanitizers first, which take longer; what is not noticed so must be
    with them."""
    component = "gmcc"
    parts = ("gmcc", "kvm-gm/include", "guest/include")

    def with_build(self, copy, folder, name, image=""):
        program = os.path.join(copy, "out", folder, "gmcc")
        # What a mutant does not use is no reason not to build it.
        self.build("-C", os.path.join(copy, "gmcc"), "CFLAGS=-O1", "CPPFLAGS=-Wno-error",
                   f"O={copy}/out", program)
        variables = {"GMCC": program, "GMCC_SAN": program, "GMCC_PARTS": name, "GMCC_WRONG": image}
        return self.attempt([os.path.join(copy, "gmcc", "tests", "run")], GMCC_TIMEOUT,
                            env=os.environ | variables)

    def test(self, copy, mutant_or_none, name):
        image = WRONG_IMAGE.search(mutant_or_none.fails) if mutant_or_none else None
        image = image[1] if image and name == "verify" else ""
        output, failed = self.with_build(copy, "", name, image)
        if failed and (not mutant_or_none or re.search(mutant_or_none.fails, output)):
            return output, True
        return self.with_build(copy, "san", name, image)


def judge_component(config, component, mutants):
    """Whether all of them, which are COMPONENT's, were killed or say why there is no test."""
    tested = [mutant for mutant in mutants if not mutant.untested]
    with tempfile.TemporaryDirectory(prefix="gm-mutant-") as folder:
        kinds = {"kvm": KvmVerdicts, "qemu": QemuVerdicts, "gmcc": GmccVerdicts}
        verdicts = kinds[component](config, folder)
        if tested:
            verdicts.judge_all(tested)
    for mutant in mutants:
        if mutant.untested:
            print(f"untested  {mutant.name} ({mutant.invariant}): {mutant.untested}")
    print(f"{FOLDERS[component]}: {len(verdicts.killed)} killed, {len(verdicts.survived)} not, "
          f"{len(mutants) - len(tested)} untested", flush=True)
    return not verdicts.survived


def main(config, options):
    # The tests of KVM's table are those of the rig, which must be built to be known.
    mutants = load_table("qemu") + load_table("gmcc")
    if not options.names or set(options.names) - {"qemu", "gmcc", *(each.name for each in mutants)}:
        mutants = load()
    unknown = set(options.names) - {mutant.name for mutant in mutants} - set(COMPONENTS)
    if unknown:
        raise ConfigError(f"no mutant {', '.join(sorted(unknown))} in the tables")
    fine, some = True, False
    for component in COMPONENTS:
        chosen = [mutant for mutant in mutants if mutant.component == component and
                  (not options.names or mutant.name in options.names or
                   component in options.names)]
        if chosen:
            some = True
            fine = judge_component(config, component, chosen) and fine
    return 0 if fine and some else 1
