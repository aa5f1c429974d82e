# SPDX-License-Identifier: GPL-2.0
"""The adaptive idle loop, guest/mwait_idle: how it sleeps, and when it changes over."""

import re
import time

from ..attacks import Attacker
from ..case import case, expect, expect_equal
from ..channel import deadline_in
from ..life import Life

MODULE = "mwait_idle"
CPUIDLE = "/sys/devices/system/cpu/cpuidle"
PARAMETERS = f"/sys/module/{MODULE}/parameters"
SETTLE = 1.0			# s, for what is on its way when something changes
BUSY = "while :; do :; done"


class Idle(Life):
    def __init__(self, guest):
        super().__init__(guest, MODULE)
        self.qmp = guest.qmp
        self.outer = guest.outer

    def grant(self, *grants):
        self.qmp.execute("gm-grant", name=self.name, grants=list(grants))

    def revoke(self, *grants):
        self.qmp.execute("gm-revoke", name=self.name, grants=list(grants))

    def begin(self):
        self.register()
        self.grant("hostinfo", "mwait")
        self.load()
        self.expect_mwait("alone")

    def driver(self):
        return self.sh(f"cat {CPUIDLE}/current_driver").strip()

    def slept(self):
        """How often by MWAIT, how often by HLT, on all CPUs so far."""
        mwait, hlt = self.sh(f"cat {PARAMETERS}/mwait {PARAMETERS}/hlt").split()
        return int(mwait), int(hlt)

    def sleeps(self, seconds=1.0):
        """The same of some time from now on."""
        before = self.slept()
        time.sleep(seconds)
        return [after - count for after, count in zip(self.slept(), before)]

    def states(self, cpu=0):
        """As cpuidle itself counts them."""
        text = self.sh(f"cd /sys/devices/system/cpu/cpu{cpu}/cpuidle && "
                       "cat state*/name state*/usage")
        words = text.split()
        half = len(words) // 2
        return dict(zip(words[:half], map(int, words[half:])))

    def expect_mwait(self, when, timeout=20):
        """It sleeps by MWAIT, if not always: the host has something to do at times."""
        deadline = deadline_in(timeout)
        while True:
            mwait, hlt = self.sleeps()
            if mwait > hlt:
                return
            expect(time.monotonic() < deadline,
                   f"{when}: {mwait} times by MWAIT, {hlt} by HLT in a second")

    def expect_hlt(self, when, wait=SETTLE):
        """It sleeps by HLT, and by nothing else."""
        time.sleep(wait)
        mwait, hlt = self.sleeps()
        expect_equal(f"{when}: times by MWAIT", mwait, 0)
        expect(hlt > 0, f"{when}: it does not sleep at all")

    def share(self):
        """Have a task of the host's run on each of its CPUs; how to end that."""
        cpus = int(self.outer.shell.check("nproc"))
        pids = self.outer.shell.check(
            "; ".join(f"{{ taskset -c {cpu} sh -c '{BUSY}' & }} >/dev/null 2>&1; echo $!"
                      for cpu in range(cpus))).split()
        return lambda: self.outer.shell.check(f"kill -9 {' '.join(pids)}")


def function(bench, cpus):
    idle = Idle(bench.guest)
    before = idle.driver()
    idle.register()
    idle.grant("hostinfo", "mwait")
    idle.load()
    expect_equal("driver", idle.driver(), MODULE)
    idle.expect_mwait("alone")

    unshare = idle.share()
    try:
        idle.expect_hlt("beside a task of the host's")
    finally:
        unshare()
    idle.expect_mwait("alone again")

    idle.revoke("mwait")
    idle.expect_hlt("mwait revoked", 0)
    idle.grant("mwait=0x10")
    idle.expect_mwait("mwait granted")
    idle.revoke("mwait")
    idle.grant("mwait")
    idle.revoke("hostinfo")
    idle.expect_hlt("hostinfo revoked", 0)
    idle.grant("hostinfo")
    idle.expect_mwait("hostinfo granted")
    return idle, before


@case
def mwait_idle(bench):
    """Two vCPUs; CPUs that come and go; the driver unloaded, and loaded without a grant."""
    idle, before = function(bench, 2)
    counts = idle.states(1)
    expect_equal("states", sorted(counts), ["HLT", "MWAIT"])
    expect(counts["HLT"] and counts["MWAIT"], f"cpuidle counts {counts} of CPU 1")
    disable = "for i in /sys/devices/system/cpu/cpu*/cpuidle/state1/disable; do echo %d >$i; done"
    idle.sh(disable % 1)
    idle.expect_hlt("MWAIT disabled in cpuidle")
    idle.sh(disable % 0)
    idle.expect_mwait("MWAIT enabled in cpuidle")
    for _ in range(3):
        idle.sh("echo 0 >/sys/devices/system/cpu/cpu1/online")
        idle.expect_mwait("with one CPU")
        idle.sh("echo 1 >/sys/devices/system/cpu/cpu1/online")
        expect_equal("states of the CPU that is back", sorted(idle.states(1)), ["HLT", "MWAIT"])
    changes = int(idle.sh(f"cat {PARAMETERS}/changes"))
    expect(changes >= 4, f"it has changed over {changes} times")
    idle.unload()
    expect_equal("driver afterwards", idle.driver(), before)

    idle.revoke("mwait", "hostinfo")
    idle.load()
    expect_equal("driver", idle.driver(), MODULE)
    idle.expect_hlt("nothing granted")
    idle.unload()
    expect_equal("driver afterwards", idle.driver(), before)
    expect_equal("violations", idle.violations(), 0)


@case
def mwait_idle_watch(bench):
    """The guest has the loop watch the module's own data in place of the task's flags."""
    idle = Idle(bench.guest)
    idle.begin()
    attacker = Attacker(bench.guest, idle)
    attacker.load()
    attacker.aim(victim=MODULE, symbol="", address=0)
    idle.sh("dmesg -c >/dev/null; echo watch >/sys/kernel/debug/gm_attack/run", 60)
    told = re.search(r"gm_attack: watch: (stopped, .*)", idle.sh("dmesg"))
    expect(told, "gm_attack did not run watch")
    bench.note(told[1])
    idle.unload()
    expect_equal("violations", idle.violations(), 0)


@case
def mwait_idle_one(bench):
    """One vCPU, which two CPUs of the host's have between them."""
    idle, before = function(bench, 1)
    idle.unload()
    expect_equal("driver afterwards", idle.driver(), before)
    expect_equal("violations", idle.violations(), 0)


@case
def mwait_idle_neighbour(bench):
    """Another VM, which computes on all of the host's CPUs."""
    idle = Idle(bench.guest)
    idle.begin()
    other = bench.session.second("guarded")
    try:
        other.shell.check(f"for i in $(seq $(nproc)); do ({BUSY}) & done >/dev/null 2>&1")
        time.sleep(SETTLE)
        mwait, hlt = idle.sleeps(3)
        expect(hlt > mwait, f"beside a VM: {mwait} times by MWAIT, {hlt} by HLT")
    finally:
        other.stop()
    idle.expect_mwait("alone again")
    idle.unload()
    expect_equal("violations", idle.violations(), 0)
