# SPDX-License-Identifier: GPL-2.0
"""What happens to a sealed module when something happens to its machine: paused,
shut down, reset, killed, saved, its device taken away, another machine beside it.
What a reset, a kexec and a kill do to a busy module is in stress.py."""

import time

from ..case import case, expect, expect_equal
from ..channel import QmpError, deadline_in
from ..life import MODULE, Life
from .attacks import face_to_face
from .policy import attack
from .stress import Traffic, sealed, settled

PAUSES = 8
BLOCKER = ("guarded modules cannot be migrated or saved: their pages and activations live "
           "in KVM")


def refused(guest, command, **arguments):
    """QEMU's words for why it does not do that; query-gm is as before."""
    before = guest.qmp.execute("query-gm")
    try:
        answer = guest.qmp.execute(command, **arguments)
    except QmpError as error:
        expect_equal(f"query-gm after {command}", guest.qmp.execute("query-gm"), before)
        return str(error)
    return expect(False, f"{command} was done: {answer}")


def machines(bench):
    """The folders of L1's virtual machines in debugfs; QEMU's process id is in the name."""
    return bench.l1("ls /sys/kernel/debug/kvm | grep -e - || true").split()


def references(bench):
    """(KVM's, the vendor module's): each machine has one of the latter."""
    vendor = bench.outer.vendor.replace("-", "_")
    return tuple(int(bench.l1(f"cat /sys/module/{name}/refcnt")) for name in ("kvm", vendor))


def nothing_left(bench):
    """No machine is in L1; its kernel's log is looked at after every test."""
    deadline = deadline_in(10)
    while machines(bench) and time.monotonic() < deadline:
        time.sleep(0.2)
    expect_equal("machines in debugfs", machines(bench), [])
    expect_equal("references to KVM, to its vendor module", references(bench), (1, 0))


def kill(bench):
    """SIGKILL for QEMU, after proving that nothing_left() would see it."""
    expect_equal("machines", len(machines(bench)), 1)
    expect(references(bench)[1] > 0, "a machine holds no reference to the vendor module")
    bench.session.drop_guest()
    nothing_left(bench)


def works(bench):
    """A guest's whole life with the module."""
    life = sealed(bench)
    life.use()
    settled(life)
    life.unload()


@case
def lifecycle_pause(bench):
    qmp = bench.guest.qmp
    life = sealed(bench)
    traffic = Traffic(life, ("dummy0", "dummy1"))
    traffic.start(0)
    traffic.flows()
    inside = 0
    for _ in range(PAUSES):
        qmp.execute("stop")
        qmp.wait_event("STOP", 10)
        expect_equal("status", qmp.execute("query-status")["status"], "paused")
        module = life.module()
        expect_equal("state", module["state"], "sealed")
        inside += module["activations"]
        time.sleep(0.2)
        expect_equal("crossings while paused", life.module()["crossings"],
                     module["crossings"])
        qmp.execute("cont")
        qmp.wait_event("RESUME", 10)
        traffic.flows(20)
    expect(inside, f"nobody was in the module at any of {PAUSES} pauses")
    life.sh("echo stop >/proc/net/pktgen/pgctrl")
    traffic.wait(20)
    settled(life)
    expect_equal("GM_UNSEALED", qmp.take_events("GM_UNSEALED"), [])
    bench.note(f"{PAUSES} pauses, {inside} threads in the module in all")
    life.unload()


@case
def lifecycle_refusals(bench):
    guest = bench.guest

    def not_saved():
        expect_equal("migrate", refused(guest, "migrate", uri="exec:cat >/dev/null"),
                     BLOCKER)
        expect_equal("savevm", guest.hmp.run("savevm now"), f"Error: {BLOCKER}")
        expect_equal("blocked-reasons",
                     guest.qmp.execute("query-migrate")["blocked-reasons"], [BLOCKER])
        expect_equal("status", guest.qmp.execute("query-status")["status"], "running")

    not_saved()			# with the device, whatever is registered
    life = sealed(bench)
    not_saved()
    text = f"module '{MODULE}' is sealed: the guest must unload it first"
    expect_equal("gm-unregister", refused(guest, "gm-unregister", name=MODULE), text)
    expect_equal("gm_unregister", guest.hmp.run(f"gm_unregister {MODULE}"), f"Error: {text}")
    guest.qmp.execute("stop")
    expect_equal("gm-unregister while paused",
                 refused(guest, "gm-unregister", name=MODULE), text)
    guest.qmp.execute("cont")
    life.use()
    settled(life)
    life.unload()
    guest.qmp.execute("gm-unregister", name=MODULE)
    expect_equal("module", life.module(), None)
    expect_equal("gm-unregister again", refused(guest, "gm-unregister", name=MODULE),
                 f"no module '{MODULE}' is registered")
    life.register()			# and once more, all of it
    works(bench)


@case
def lifecycle_two(bench):
    """Two machines with the same image: they have nothing to do with each other."""
    first = sealed(bench)
    bench.guest.qmp.execute("stop")		# leave the host's CPUs to the other
    other = bench.session.second("guarded-1cpu")
    try:
        bench.guest.qmp.execute("cont")
        second = Life(other)
        second.register()
        second.load()
        expect_equal("machines", len(machines(bench)), 2)
        expect_equal("seal of both", (first.module()["seal"], second.module()["seal"]), (1, 1))
        flows = [Traffic(first, ("dummy0", "dummy1")), Traffic(second, ("dummy0",))]
        start, before = first.counters(), second.counters()
        flows[0].start(1000)
        flows[0].wait(60)
        flows[0].verify(1000)
        expect_equal("crossings of the machine that did nothing", second.counters(), before)
        busy = settled(first)
        expect(busy["in-call"] - start["in-call"] >= 2000, f"too few in-calls: {busy}")

        for traffic in flows:
            traffic.start(0)
        for traffic in flows:
            traffic.flows(20)
        other.stop()
        deadline = deadline_in(10)
        while len(machines(bench)) > 1 and time.monotonic() < deadline:
            time.sleep(0.2)
        expect_equal("machines after one was killed", len(machines(bench)), 1)
        flows[0].flows()
        first.sh("echo stop >/proc/net/pktgen/pgctrl")
        flows[0].wait(20)
        settled(first)
        first.unload()
    finally:
        other.stop()


@case
def lifecycle_kill_registered(bench):
    life = Life(bench.guest)
    if life.module() is None:
        life.register()
    kill(bench)


@case
def lifecycle_kill_sealing(bench):
    """In the middle of seals and unseals, wherever that is."""
    life = Life(bench.guest)
    life.register()
    bench.l2(f"(while gm-load {MODULE} && rmmod {MODULE}; do :; done) >/dev/null 2>&1 &")
    for _ in range(3):
        bench.guest.qmp.wait_event("GM_SEALED", 20)
    kill(bench)
    works(bench)


@case
def lifecycle_shutdown(bench):
    guest = bench.guest
    life = sealed(bench)
    traffic = Traffic(life, ("dummy0", "dummy1"))
    traffic.start(0)
    traffic.flows()
    guest.shell.channel.send(b"poweroff -f\n")
    event = guest.qmp.wait_event("SHUTDOWN", 20)
    expect_equal("guest, reason of SHUTDOWN", (event["data"]["guest"], event["data"]["reason"]),
                 (True, "guest-shutdown"))
    deadline = deadline_in(20)
    while guest.alive() and time.monotonic() < deadline:
        time.sleep(0.2)
    expect(not guest.alive(), "QEMU has not ended")
    expect_equal("QEMU's exit status", guest.exit_status(), 0)
    expect_equal("what QEMU said, but for what the administrator did",
                 [line for line in guest.said().splitlines()
                  if "guarded-modules: audit:" not in line], [])
    bench.session.drop_guest()
    nothing_left(bench)


def stopped(bench):
    """A machine that a violation has stopped; its vCPU stands there."""
    life, attacker = face_to_face(bench.guest)
    event = attack(bench, life, attacker)
    expect_equal("kind, policy", (event["kind"], event["policy"]), ("write", "stop"))
    bench.guest.qmp.wait_event("STOP", 10)
    return life


@case
def lifecycle_reset_stopped(bench):
    guest = bench.guest
    life = stopped(bench)
    guest.qmp.execute("set-action", reboot="reset")
    guest.shell.channel.clear()
    guest.qmp.execute("system_reset")
    event = guest.qmp.wait_event("GM_UNSEALED", 20)
    expect_equal("module, reason", (event["data"]["module"], event["data"]["reason"]),
                 (MODULE, "reset"))
    module = life.module()
    expect_equal("state, pages, activations",
                 (module["state"], module["sealed-pages"], module["activations"]),
                 ("unsealed", 0, 0))
    # It was not running, so it does not start again by itself.
    guest.qmp.wait_event("RESET", 20)
    expect_equal("status", guest.qmp.execute("query-status")["status"], "prelaunch")
    guest.qmp.execute("cont")
    guest.shell.ready(90)
    guest.console_added()
    count = life.violations()
    life.load()
    life.use()
    expect_equal("violations since the reset", life.violations(), count)
    life.unload()


@case
def lifecycle_kill_stopped(bench):
    life = stopped(bench)
    expect_equal("state", life.module()["state"], "sealed")
    kill(bench)


@case
def lifecycle_unplug(bench):
    """The device in a slot: the monitor refuses to take it out; a guest that
    switches its slot off has ended its seals, and nothing of them is left."""
    guest = bench.guest
    life = sealed(bench)
    expect_equal("device_del", refused(guest, "device_del", id="gm0"),
                 "Device 'guarded-modules' does not support hotplugging")
    life.use()
    settled(life)
    gm = bench.l1("cat /sys/kernel/debug/kvm/*-*/gm_seals").split()
    expect_equal("seals in KVM", gm, ["1"])
    bench.l2("cd /sys/bus/pci/slots/* && echo 0 >power")
    event = guest.qmp.wait_event("GM_UNSEALED", 30)
    expect_equal("module, reason", (event["data"]["module"], event["data"]["reason"]),
                 (MODULE, "reset"))
    try:
        answer = guest.qmp.execute("query-gm")
    except QmpError as error:
        expect_equal("query-gm", str(error),
                     "this virtual machine has no guarded-modules device")
    else:
        expect(False, f"query-gm without the device answers {answer}")
    text = bench.l1("cat /sys/kernel/debug/kvm/*-*/gm")
    expect(MODULE not in text, f"KVM still has a seal:\n{text}")
    status, output = guest.shell.run("gm-load list")
    expect(status == 3 and "no guarded-modules device" in output,
           f"gm-load ended with {status}: {output}")
    bench.session.drop_guest()
    nothing_left(bench)
