# SPDX-License-Identifier: GPL-2.0
"""What follows a violation, by the policy that the device was given; and what
the host can see of a module that is sealed."""

import re

from ..attacks import Attacker
from ..case import case, expect, expect_equal
from ..life import CROSSINGS, MODULE
from .attacks import face_to_face, find

TRACING = "/sys/kernel/tracing"
TRACED = re.compile(r"kvm_gm_crossing: vcpu \d+ module (\d+) ([a-z-]+) "
                    r"rip 0x[0-9a-f]+ sp 0x[0-9a-f]+")
GATE = re.compile(r"kvm_gm_violation: vcpu \d+ module (\d+) write gate -?\d+ "
                  r"rip 0x[0-9a-f]+ addr (0x[0-9a-f]+)")


def attack(bench, life, attacker):
    """A write to sealed text; the event's data."""
    attacker.aim(symbol="", address=life.text_address())
    bench.guest.qmp.take_events("GM_VIOLATION")
    bench.guest.shell.channel.send(f"{Attacker.command(find('write'))} &\n".encode())
    return bench.guest.qmp.wait_event("GM_VIOLATION", 20)["data"]


@case
def policy_quarantine(bench):
    life, attacker = face_to_face(bench.guest)
    life.use()
    event = attack(bench, life, attacker)
    expect_equal("kind, policy", (event["kind"], event["policy"]), ("write", "quarantine"))
    expect_equal("address", event["address"], life.text_address())
    module = life.module()
    expect_equal("state", module["state"], "quarantined")
    expect_equal("sealed pages", module["sealed-pages"], module["pages"])

    # A call into the module is now a violation itself, and gets nowhere.
    calls = module["crossings"]["in-call"]
    bench.guest.qmp.take_events("GM_VIOLATION")
    bench.guest.shell.channel.send(b"ip link add name late type dummy &\n")
    event = bench.guest.qmp.wait_event("GM_VIOLATION", 20)["data"]
    expect_equal("kind, module", (event["kind"], event["module"]), ("quarantine", MODULE))
    expect_equal("address and rip", event["address"], event["rip"])
    expect("gate" in event, f"the event names no gate: {event}")
    expect_equal("in-calls", life.module()["crossings"]["in-call"], calls)

    output = bench.guest.hmp.run(f"gm_unregister {MODULE}")
    expect_equal("gm_unregister", output, "")
    event = bench.guest.qmp.wait_event("GM_UNSEALED", 20)
    expect_equal("reason", event["data"]["reason"], "unregister")
    expect_equal("modules", life.module(), None)


@case
def policy_quarantine_reset(bench):
    """The guest's side of it: a seal that it ends, and wants to have again."""
    guest = bench.guest
    life, attacker = face_to_face(guest)
    attack(bench, life, attacker)
    guest.qmp.execute("set-action", reboot="reset")
    guest.shell.channel.clear()
    guest.qmp.execute("system_reset")
    guest.qmp.wait_event("GM_UNSEALED", 20)
    expect_equal("state", life.module()["state"], "quarantined")
    guest.shell.ready(90)
    guest.console_added()
    status, output = guest.shell.run(f"gm-load {MODULE}", 30)
    expect(status != 0 and "Operation not permitted" in output,
           f"gm-load ended with {status}: {output}")
    expect_equal("state, sealed pages",
                 (life.module()["state"], life.module()["sealed-pages"]), ("quarantined", 0))

    # The administrator may trust it again.
    expect_equal("gm_unregister", guest.hmp.run(f"gm_unregister {MODULE}"), "")
    life.register()
    life.load()
    life.use()
    life.unload()


@case
def policy_stop(bench):
    life, attacker = face_to_face(bench.guest)
    target = life.text_address()
    qmp = bench.guest.qmp
    event = attack(bench, life, attacker)
    for _ in range(3):		# it happens again each time that the VM goes on
        expect_equal("kind, policy, address", (event["kind"], event["policy"],
                                               event["address"]), ("write", "stop", target))
        qmp.wait_event("STOP", 10)
        expect_equal("status", qmp.execute("query-status")["status"], "paused")
        qmp.execute("cont")
        event = qmp.wait_event("GM_VIOLATION", 20)["data"]
    expect_equal("state", life.module()["state"], "sealed")


@case
def policy_of_module(bench):
    """The device's own policy is inject; a module can be registered with another one."""
    guest, image = bench.guest, bench.config.built("images", f"{MODULE}.gm.ko")
    for arguments, policy, state in (({}, "inject", "sealed"),
                                     ({"policy": "quarantine"}, "quarantine", "quarantined")):
        guest.qmp.execute("gm-register", file=image, **arguments)
        life, attacker = face_to_face(guest)
        event = attack(bench, life, attacker)
        expect_equal("kind, policy, address", (event["kind"], event["policy"], event["address"]),
                     ("write", policy, life.text_address()))
        expect_equal("policy and state", (life.module()["policy"], life.module()["state"]),
                     (policy, state))
        if state == "sealed":
            life.unload()
            guest.qmp.execute("gm-unregister", name=MODULE)


def trace(bench, what):
    bench.l1(f"cd {TRACING} && echo 0 >tracing_on && echo >trace && "
             f"for e in {what}; do echo 1 >events/kvm/$e/enable; done && echo 1 >tracing_on")


def traced(bench):
    return bench.l1(f"cd {TRACING} && echo 0 >tracing_on && cat trace && "
                    "echo 0 >events/kvm/enable", 60)


@case
def observe_trace(bench):
    trace(bench, "kvm_gm_crossing kvm_gm_violation kvm_gm_seal kvm_gm_unseal")
    life, attacker = face_to_face(bench.guest)
    crossings = life.module()["crossings"]
    seal = life.module()["seal"]
    attacker.aim(symbol="", address=0)
    _, event, _ = attacker.run(find("write"))
    life.unload()
    log = traced(bench)

    sealed = re.search(rf"kvm_gm_seal: module {seal} {MODULE} pages (\d+) gates (\d+)", log)
    expect(sealed, f"the seal was not traced:\n{log[:2000]}")
    expect(f"kvm_gm_unseal: module {seal} {MODULE} " in log, "the unseal was not traced")
    seen = [kind for number, kind in TRACED.findall(log) if int(number) == seal]
    for kind in ("in-call", "out-return", "out-call", "in-return"):
        expect(seen.count(kind) >= crossings[kind],
               f"{kind}: traced {seen.count(kind)}, counted {crossings[kind]}")
    violation = GATE.search(log)
    expect(violation, "the violation was not traced")
    expect_equal("module, address", (int(violation[1]), int(violation[2], 16)),
                 (seal, event["address"]))


def counted(bench, name):
    """The sum of a vCPU statistic over all vCPUs."""
    return sum(int(line) for line in
               bench.l1(f"cat /sys/kernel/debug/kvm/*-*/{name}").split())


@case
def observe_statistics(bench):
    names = {kind: f"gm_{kind.replace('-', '_')}s" for kind in CROSSINGS}
    first = {kind: counted(bench, name) for kind, name in names.items()}
    life, attacker = face_to_face(bench.guest)
    base = life.module()["crossings"]
    start = {kind: counted(bench, name) for kind, name in names.items()}
    life.use()
    grown = life.module()["crossings"]
    for kind, name in names.items():
        expect(counted(bench, name) - start[kind] >= grown[kind] - base[kind] > -1,
               f"{name} does not follow the crossings")
    expect(start["in-call"] > first["in-call"], "no in-call was counted")
    expect_equal("gm_seals", bench.l1("cat /sys/kernel/debug/kvm/*-*/gm_seals").split(), ["1"])
    violations = counted(bench, "gm_violations")
    attacker.run(find("write"))
    expect_equal("gm_violations", counted(bench, "gm_violations"), violations + 1)
    text = bench.l1("cat /sys/kernel/debug/kvm/*-*/gm")
    module = life.module()
    expect(re.search(rf"^module {module['seal']} {MODULE}: pages {module['pages']} "
                     rf"gates {module['gates']} .*activations {module['activations-max']}$",
                     text, re.MULTILINE), f"debugfs shows:\n{text}")
    expect(f"0x{life.text_address():x} " in text, f"no region of the text:\n{text}")
