# SPDX-License-Identifier: GPL-2.0
"""Stock modules of every kind, guarded: each is loaded, does its ordinary work,
and is unloaded, without a violation. One test per row of rig/loads.toml.

With `gm-rig test --stock' the same is done with the modules as they are: what
fails then is no matter of guarding.
"""

import contextlib
import re

from .. import kmod, loads
from ..case import expect, expect_equal
from ..channel import RigError
from ..life import CROSSINGS, Life

TIMEOUT = 120			# s, for a row
MOST = 31			# sealed modules of a VM: KVM_GM_MAX_SEALS
ONE_MORE = "sch_pie"		# not among the first of the table
NOTESTS = "/sys/module/cryptomgr/parameters/notests"


def crypto_entries(text):
    """/proc/crypto as a list of {key: value}."""
    return [dict(re.findall(r"^(\S[^:]*?) *: (.*)$", block, re.MULTILINE))
            for block in text.strip().split("\n\n")]


class Load:
    """One row of the table, on its way through the guest."""

    def __init__(self, bench, row):
        self.bench = bench
        self.row = row
        self.guest = bench.guest
        self.stock = bench.config.stock_modules
        self.inserted = []		# names, in load order
        self.lives = {}

    def sh(self, command, timeout=30):
        return self.guest.shell.check(command, timeout)

    def loaded(self):
        return {line.split()[0] for line in self.sh("cat /proc/modules").splitlines()}

    def insert_stock(self, name, params=""):
        self.sh(f"insmod /modules/{name}.ko {params}")
        self.inserted.append(name)

    def insert_guarded(self, name, params=""):
        life = Life(self.guest, name, loads.image(self.bench.config, name))
        self.lives[name] = life
        life.register()
        life.load(params)
        self.inserted.append(name)

    def insert(self, name, params=""):
        if self.stock:
            self.insert_stock(name, params)
        else:
            self.insert_guarded(name, params)

    def needed(self):
        """What has to be there before the module, in load order."""
        row = self.row
        names = [*row.stock, *row.guarded, row.module]
        return [name for name, _ in self.guest.modules.closure(names) if name != row.module]

    def load(self):
        row, there = self.row, self.loaded()
        expect(row.module not in there, f"{row.module} is loaded already")
        guarded = {kmod.canonical(name) for name in row.guarded}
        for name in self.needed():
            if name in guarded:
                self.insert(name)
            elif name not in there:
                self.insert_stock(name)
        if row.algorithms:
            self.sh(f"echo N >{NOTESTS}")
        self.insert(row.module, row.params)

    def check_self_tests(self):
        """The kernel's own test vectors: every algorithm of this module passed them."""
        expect_equal("cryptomgr.notests", self.sh(f"cat {NOTESTS}").strip(), "N")
        # They run in threads of their own.
        self.sh("while grep -q '^selftest *: unknown' /proc/crypto; do sleep 0.1; done", 60)
        tests = {entry["driver"]: entry["selftest"]
                 for entry in crypto_entries(self.sh(
                     "grep -E '^(driver|module|selftest|$)' /proc/crypto"))
                 if entry["module"] == self.row.module}
        for driver, result in tests.items():
            expect_equal(f"self-test of {driver}", result, "passed")
        want = self.row.algorithms
        if isinstance(want, dict):
            want = want[self.bench.config.guest_kernel]
        expect_equal(f"algorithms ({', '.join(sorted(tests))})", len(tests), want)

    def work(self):
        for command in self.row.setup:
            self.sh(command, 60)
        for check in self.row.check:
            output = self.sh(check.run, check.timeout).strip()
            expect(re.fullmatch(check.want, output, re.DOTALL),
                   f"'{check.run}' printed\n{output}\n  want: {check.want}")
        if self.row.algorithms:
            self.check_self_tests()
        for command in self.row.teardown:
            self.sh(command, 60)

    def remove(self):
        for name in reversed(self.inserted):
            if name in self.lives:
                self.lives[name].unload()
            else:
                self.sh(f"for i in 1 2 3 4 5; do rmmod {name} && exit; sleep 0.2; done; "
                        f"rmmod {name}")

    def verdict(self):
        """After the unload: each guarded module was used, left in order, and forgotten."""
        for name, life in self.lives.items():
            crossings = life.counters()
            if name == self.row.module:
                expect(crossings["in-call"] >= self.row.calls,
                       f"{crossings['in-call']} in-calls, not {self.row.calls}: {crossings}")
                self.bench.note(f"{self.row.kind}: {life.module()['pages']} pages, " + ", ".join(
                    f"{kind} {crossings[kind]}" for kind in CROSSINGS))
            self.guest.qmp.execute("gm-unregister", name=name)
            expect_equal(f"{name} after gm-unregister", life.module(), None)
        if self.lives:
            expect_equal("violations", self.guest.qmp.execute("query-gm")["violations-total"], 0)

    def explain(self):
        """What the hypervisor holds against the modules, for a failed row."""
        with contextlib.suppress(RigError):
            for event in self.guest.qmp.take_events("GM_VIOLATION"):
                self.bench.note(f"GM_VIOLATION: {event['data']}")
            if self.lives:
                for line in self.guest.hmp.run("info gm").splitlines():
                    self.bench.note(line)


def run(bench, row):
    load = Load(bench, row)
    try:
        load.load()
        load.work()
        load.remove()
        load.verdict()
    except Exception:
        load.explain()
        raise


def candidates():
    """Rows that need no other guarded module."""
    return iter([row for row in loads.load() if not row.guarded])


def load_next(bench, rows):
    """The next row whose module is not there yet, loaded."""
    there = Load(bench, None).loaded()
    load = Load(bench, next(row for row in rows if row.module not in there))
    load.load()
    return load


def as_many_as_can_be(bench):
    """KVM's limit of modules at once: all do their work, one more is refused, and fits in when
    another has gone."""
    rows = candidates()
    crowd = [load_next(bench, rows) for _ in range(MOST)]
    query = bench.guest.qmp.execute("query-gm")
    expect_equal("modules sealed", [module["state"] for module in query["modules"]],
                 ["sealed"] * MOST)
    extra = Life(bench.guest, ONE_MORE, loads.image(bench.config, ONE_MORE))
    extra.register()
    status, output = bench.guest.shell.run(f"gm-load {ONE_MORE}")
    expect(status, f"a module more than {MOST} was loaded")
    bench.note(f"gm-load {ONE_MORE}: {output.strip()}")
    expect_equal("state of one more", extra.module()["state"], "registered")
    expect_equal("seals refused", bench.guest.qmp.execute("query-gm")["seals-refused"],
                 query["seals-refused"] + 1)
    for load in crowd:
        load.work()
    last = crowd.pop()
    last.remove()
    extra.load()
    extra.unload()
    for load in reversed(crowd):
        load.remove()
    for load in [*crowd, last]:
        load.verdict()


def rows():
    """What a row of tests.toml has, and the function, for each module; and for a crowd of them."""
    yield {"name": "loads-31", "boot": "loads", "timeout": 600, "groups": [loads.GROUP],
           "fresh": True, "about": f"{MOST} modules at once, all at work; one more is refused",
           "extra": True, "vmx": "in Bochs it takes minutes", "function": as_many_as_can_be}
    for row in loads.load():
        yield {"name": f"load-{row.name}", "boot": "loads", "timeout": TIMEOUT,
               "groups": [loads.GROUP] + [loads.DEFAULT_GROUP] * row.default,
               "about": f"{row.name}.ko, guarded: {row.about}",
               "extra": not row.default,
               "vmx": "in Bochs it takes minutes, and what a module does is the same on both",
               "function": lambda bench, row=row: run(bench, row)}
