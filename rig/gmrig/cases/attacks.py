# SPDX-License-Identifier: GPL-2.0
"""A malicious module in the same guest goes for a sealed one. Each attack must
be stopped, reported with its exact kind and address, and leave the guest
running and the victim sealed and usable."""

import json
import re
import subprocess
import time
from dataclasses import dataclass

from ..attacks import ATTACKS, LENT, LENT_SIZE, MORE_ATTACKS, Attack, Attacker
from ..case import case, expect, expect_equal
from ..life import MODULE, Life

STRAY = "gm_stray"
LENDS = "gm_lends"


def find(name):
    return next(attack for attack in ATTACKS + MORE_ATTACKS if attack.name == name)


def face_to_face(guest, victim=MODULE):
    """The victim sealed, the attacker loaded; the guest may have seen attacks before."""
    life = Life(guest, victim)
    if life.module() is None:
        life.register()
    if life.module()["state"] != "sealed":
        life.load()
    attacker = Attacker(guest, life)
    attacker.load()
    attacker.aim(victim=victim, symbol="", address=0)
    return life, attacker


def attack(bench, name, victim=MODULE, **aim):
    chosen = find(name)
    life, attacker = face_to_face(bench.guest, victim)
    attacker.aim(**aim)
    if victim == MODULE:
        life.use()
    wanted = life.violations_by_kind()
    wanted[chosen.kind] = wanted.get(chosen.kind, 0) + 1
    activations = life.module()["activations"]	# a thread that an exception ended leaves one
    _, event, address = attacker.run(chosen)
    chosen.verify(event, address, victim)

    expect_equal("violations", life.violations_by_kind(), wanted)
    expect_equal("victim", life.module()["state"], "sealed")
    if victim == MODULE:
        life.use()
        life.counters()
    expect_equal("activations", life.module()["activations"], activations)
    bench.note(f"{event['kind']} at 0x{event['address']:x}, rip 0x{event['rip']:x}")


def without_effect(bench, name, told, victim=MODULE):
    """An attack that must change nothing, so that there is nothing to report."""
    life, _ = face_to_face(bench.guest, victim)
    violations, before = life.violations(), life.module()["crossings"]
    activations = life.module()["activations"]
    life.sh(f"dmesg -c >/dev/null; echo {name} >/sys/kernel/debug/gm_attack/run")
    expect(told in life.sh("dmesg"), f"gm_attack did not run {name}")
    expect_equal("violations", life.violations(), violations)
    module = life.module()
    crossings = {kind: count - before[kind] for kind, count in module["crossings"].items()}
    expect_equal("in-calls, out-returns",
                 (crossings["in-call"], crossings["out-return"]), (1, 1))
    expect_equal("activations", module["activations"], activations)


@case
def attack_jump(bench):
    attack(bench, "jump")


@case
def attack_write(bench):
    attack(bench, "write")


@case
def attack_hypercall(bench):
    attack(bench, "hypercall")


@case
def attack_return(bench):
    attack(bench, "return")


@case
def attack_resume(bench):
    attack(bench, "resume")


@case
def attack_init(bench):
    attack(bench, "init")


@case
def attack_forge_gate(bench):
    attack(bench, "forge-gate")


@case
def attack_gs_user(bench):
    attack(bench, "gs-user")


@case
def attack_gs_return(bench):
    attack(bench, "gs-return")


@case
def attack_gs_resume(bench):
    attack(bench, "gs-resume")


@case
def attack_gs_module(bench):
    attack(bench, "gs-module")


@case
def attack_sp_user(bench):
    attack(bench, "sp-user")


@case
def attack_sp_module(bench):
    attack(bench, "sp-module")


@case
def attack_sp_odd(bench):
    attack(bench, "sp-odd")


@case
def attack_steal(bench):
    # The victim's exit function waits for a lock that the attacker holds.
    chosen, guest = find("steal"), bench.guest
    life, attacker = face_to_face(guest)
    before = life.violations()
    life.sh(f"( {attacker.command(chosen)} ) >/dev/null 2>&1 &")
    deadline = time.monotonic() + 10
    while life.module()["activations"] != 1:
        expect(time.monotonic() < deadline, "no call out of the module waits for the lock")
        time.sleep(0.05)
    event = guest.qmp.wait_event("GM_VIOLATION", 20)["data"]
    expect_equal("kind", event["kind"], chosen.kind)
    event = guest.qmp.wait_event("GM_UNSEALED", 20)
    expect_equal("reason of GM_UNSEALED", event["data"]["reason"], "guest")
    expect_equal("violations", life.violations(), before + 1)
    life.counters()


@case
def attack_forge_text(bench):
    without_effect(bench, "forge-text", "ran its own text")


@case
def attack_step(bench):
    without_effect(bench, "step", "ran undisturbed")


@case
def attack_breakpoint(bench):
    without_effect(bench, "breakpoint", "ran undisturbed")


@case
def attack_keep(bench):
    # A function that the module calls finds none of its registers, and what it
    # leaves in those that it must preserve is not what the module finds.
    without_effect(bench, "stray-keep", "neither saw nor changed", victim=STRAY)


@case
def attack_lend_each(bench):
    # What is not outside each of them leaves to the kernel's own, in the guest's view.
    life, attacker = face_to_face(bench.guest, LENDS)
    for count, name in enumerate(LENT, 1):
        _, event, address = attacker.run(Attack(name, "write", "", ""))
        expect_equal(f"{name}: kind, module", (event["kind"], event.get("module")),
                     ("write", LENDS))
        expect(address <= event["address"] < address + LENT_SIZE,
               f"{name}: address 0x{event['address']:x}, not at 0x{address:x}")
        expect_equal("violations", life.violations(), count)
        bench.note(f"{name}: write at 0x{event['address']:x}, rip 0x{event['rip']:x}")
    expect_equal("victim", life.module()["state"], "sealed")
    bench.session.drop_guest()


@dataclass
class Parts:
    """Of an image: how many anchors of each kind, in their order."""
    regions: int
    gates: int			# which region has them
    shared: int
    externs: list		# names


def inspect(life):
    gmcc = life.guest.config.need(life.guest.config.built("gmcc", "gmcc"), "gmcc")
    found = json.loads(subprocess.check_output([gmcc, "inspect", "--json", life.image]))
    kinds = [region["kind"] for region in found["regions"]]
    return Parts(len(kinds), kinds.index("gates"), len(found["shared"]),
                 [extern["name"] for extern in found["externs"]])


def leaves_by_exception(bench, name, number=""):
    """The victim takes an exception of its own, which is the guest's to handle. Linux has no
    number for a page fault of its own."""
    life, _ = face_to_face(bench.guest, STRAY)
    violations, before = life.violations(), life.module()["crossings"]["event-exit"]
    life.sh(f"dmesg -c >/dev/null; echo {name} >/sys/kernel/debug/gm_attack/run")
    said = life.sh("dmesg")
    expect(f"{name}: stopped by exception {number}" in said,
           f"the module's exception {number} did not reach the guest:\n{said[-2000:]}")
    expect_equal("violations", life.violations(), violations)
    expect(life.module()["crossings"]["event-exit"] > before, "no event left the module")
    return life


@case
def attack_fault(bench):
    # The module itself faults; the guest's handler sees that, and no registers.
    leaves_by_exception(bench, "stray-fault")


@case
def attack_canary(bench):
    # The function that the module calls changes its canary, and then the kernel's
    # __stack_chk_fail() returns: what follows in the module is a trap.
    crossings = leaves_by_exception(bench, "canary", 6).module()["crossings"]
    expect_equal("calls that came back", crossings["in-return"], crossings["out-call"])


@case
def attack_abandon(bench):
    # More calls than there are private stacks never come back, all of them from
    # one place: each gives up the one before, whose stack nobody gets again.
    life, _ = face_to_face(bench.guest)
    before = life.violations_by_kind()
    life.sh("echo abandon >/sys/kernel/debug/gm_attack/run")
    module = life.module()
    expect_equal("activations, lost", (module["activations"], module["activations-lost"]),
                 (0, module["activations-max"]))
    expect_equal("limit", life.violations_by_kind()["limit"],
                 before.get("limit", 0) + 40 - module["activations-max"])
    bench.session.drop_guest()


@case
def attack_exhaust(bench):
    # The same from different places.
    guest = bench.guest
    life, _ = face_to_face(guest)
    before = life.violations_by_kind()
    life.sh("echo exhaust >/sys/kernel/debug/gm_attack/run")
    expect_equal("kind", guest.qmp.wait_event("GM_VIOLATION", 20)["data"]["kind"], "limit")
    module = life.module()
    expect_equal("activations", module["activations"], module["activations-max"])
    expect_equal("limit", life.violations_by_kind()["limit"],
                 before.get("limit", 0) + 40 - module["activations-max"])
    bench.session.drop_guest()


@case
def attack_write_gates(bench):
    attack(bench, "write", symbol="gm_trampoline")


@case
def attack_write_constants(bench):
    attack(bench, "write", symbol="dummy_netdev_ops")


@case
def attack_write_private(bench):
    attack(bench, "write", victim=STRAY, symbol="stray_secret")


@case
def attack_lend(bench):
    attack(bench, "lend", victim=LENDS)
    expect_equal("the secret", bench.l2(f"cat /sys/module/{LENDS}/parameters/secret").strip(), "1")


@case
def attack_loader(bench):
    """Each lie about the module itself is refused. An import may be another module's, and is
    called as any of the guest's code: that does not get in."""
    guest = bench.guest
    victim, attacker = face_to_face(guest)
    life = Life(guest, STRAY)
    life.register()
    parts = inspect(life)
    externs = range(parts.regions + parts.shared, parts.regions + parts.shared + len(parts.externs))
    lies = [(f"{parts.externs[extern - externs[0]]} is in region {region}", extern, region, 16)
            for extern in externs for region in (0, parts.gates)]
    for region in (0, parts.gates):
        lies += [(f"region {region} is another module's", region, -1, victim.text_address()),
                 (f"region {region} begins within a page", region, region, 8),
                 (f"region {region} is the one behind it", region, region + 1, 0),
                 (f"region {region} is nowhere", region, -1, 1 << 63)]
    for what, anchor, base, value in lies:
        refused = guest.qmp.execute("query-gm")["seals-refused"]
        life.sh("dmesg -c >/dev/null")
        attacker.aim(lie_to=STRAY, lie_anchor=anchor, lie_base=base, lie_value=value)
        status, output = guest.shell.run(f"gm-load {STRAY}", 30)
        told = re.search(rf"anchor {anchor} of {STRAY} is at (\w+), and said to be at (\w+)",
                         life.sh("dmesg"))
        expect(told and told[1] != told[2], f"nobody lied that {what}")
        expect(status, f"{STRAY} was loaded, although {what}")
        expect_equal(f"state, when {what}", life.module()["state"], "registered")
        expect_equal(f"seals refused, when {what}",
                     guest.qmp.execute("query-gm")["seals-refused"], refused + 1)
        bench.note(f"{what}: {output.strip().splitlines()[-1]}")
    expect_equal("violations", (victim.violations(), life.violations()), (0, 0))
    attacker.aim(lie_base=-1, lie_value=victim.text_address(),
                 lie_anchor=externs[parts.externs.index("sysfs_streq")])
    life.load()
    # The shell that makes it call so dies, with the lock of parameters.
    guest.shell.run(f"(echo 1 >/sys/module/{STRAY}/parameters/run) & sleep 1")
    event = guest.qmp.wait_event("GM_VIOLATION", 20)["data"]
    expect_equal("module, kind, address", (event["module"], event["kind"], event["address"]),
                 (MODULE, "exec", victim.text_address()))
    expect_equal("states", (victim.module()["state"], life.module()["state"]),
                 ("sealed", "sealed"))
    bench.session.drop_guest()


@case
def attack_jump_stack(bench):
    life, attacker = face_to_face(bench.guest)
    attacker.aim(address=life.text_address(".gm.stacks"))
    event = attacker.run(find("jump"))[1]
    expect_equal("kind", event["kind"], "exec")
    expect_equal("address", hex(event["address"]), hex(life.text_address(".gm.stacks")))


@case
def attack_jump_constants(bench):
    attack(bench, "jump", symbol="dummy_netdev_ops")


@case
def stray_escape(bench):
    attack(bench, "stray-escape", victim=STRAY)


@case
def stray_early(bench):
    attack(bench, "stray-early", victim=STRAY)


@case
def stray_frame(bench):
    attack(bench, "stray-frame", victim=STRAY)


@case
def stray_constant(bench):
    attack(bench, "stray-constant", victim=STRAY)


@case
def stray_cpuid(bench):
    attack(bench, "stray-cpuid", victim=STRAY)


@case
def stray_mmio(bench):
    attack(bench, "stray-mmio", victim=STRAY)


@case
def attack_seal(bench):
    guest = bench.guest
    life, _ = face_to_face(guest)
    violations = life.violations()
    before = guest.qmp.execute("query-gm")["seals-refused"]
    life.sh("dmesg -c >/dev/null; echo seal >/sys/kernel/debug/gm_attack/run")
    log = life.sh("dmesg")
    expect_equal("requests refused", log.count(": refused, "), 6)
    expect_equal("seals-refused",
                 guest.qmp.execute("query-gm")["seals-refused"], before + 6)
    expect_equal("violations", life.violations(), violations)
    expect_equal("victim", life.module()["state"], "sealed")
