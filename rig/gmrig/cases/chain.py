# SPDX-License-Identifier: GPL-2.0
"""From a registered image to packets through a sealed module, and back."""

import re

from ..case import case, expect, expect_equal
from ..life import CROSSINGS, IMAGE, MODULE, PACKETS, Life

ROUNDS = 10


def check_addresses(life):
    """dummy_setup() has get_random_bytes() fill an object on its stack, changes
    it there, and has dev_addr_mod() copy it."""
    names = ["more0", "more1", "more2"]
    for name in names:
        life.sh(f"ip link add name {name} type dummy")
    seen = [life.sh(f"cat /sys/class/net/{name}/address").strip()
            for name in ["dummy0", *names]]
    for name in names:
        life.sh(f"ip link del {name}")
    for address in seen:
        first, *rest = bytes.fromhex(address.replace(":", ""))
        expect(first & 3 == 2, f"{address} is no local unicast address")
        expect(len(set(rest)) > 1, f"{address} is not random")
    expect_equal("different addresses", len(set(seen)), len(seen))
    # This byte is what the module makes of the kernel's.
    expect(len({address[:2] for address in seen}) > 1,
           f"the first byte is not random: {seen}")


def whole_life(bench):
    life = Life(bench.guest)
    life.register()
    life.load()
    before = life.counters()
    life.use()
    check_addresses(life)
    after = life.counters()
    for kind in ("in-call", "out-return", "out-call", "in-return"):
        expect(after[kind] > before[kind], f"no {kind} while packets were sent: {after}")
    expect(after["in-call"] >= before["in-call"] + PACKETS, "a packet took no in-call")
    text = bench.guest.hmp.run("info gm")
    for word in (MODULE, "sealed", IMAGE, *CROSSINGS):
        expect(word in text, f"info gm does not show {word!r}:\n{text}")
    bench.note("crossings: " + ", ".join(f"{kind} {after[kind]}" for kind in CROSSINGS))
    life.unload()
    expect_equal("violations", life.violations(), 0)


@case
def chain_dummy(bench):
    whole_life(bench)


@case
def chain_dummy_1cpu(bench):
    whole_life(bench)


PARTS = "/sys/module/gm_parts/parameters/run"

# What each part of gm_parts says; a part without a result is done silently.
SAYS = (
    ("branches", "off 0 on 1"), ("enable", None), ("branches", "off 1 on 0"),
    ("disable", None), ("branches", "off 0 on 1"),
    ("ports", "80 80 80 80"),
    ("msrs", "1 1"),
    ("ones", "9 17"),
    ("interrupts", "010"), ("interrupts", "010"), ("sum", "6"),
    ("aligned", "1 2 3"),
    ("print", "1 2 3 4 5 6 7 eight"),
    ("callbacks", "84: 1 2 3 4 5 6 7 8 9"),
    ("call", "41"), ("update", None), ("call", "42"),
)


@case
def chain_conversions(bench):
    """gm_parts has what gmcc converts: static branches, BUG and WARN, ports and
    MSRs, alternatives, per-CPU data, static calls, aligned frames, va_list."""
    life = Life(bench.guest, "gm_parts")
    life.register()
    life.load()

    def run(part):
        life.sh(f"echo {part} >{PARTS}")
        return life.sh(f"cat {PARTS}").strip()

    for part, says in SAYS:
        said = run(part)
        expect(says is None or said == says, f"{part}: {said!r}, not {says!r}")
    life.counters()

    bench.guest.console_added()
    life.sh("dmesg -c >/dev/null")
    expect_equal("warn", run("warn"), "1 0")
    expect_equal("once", run("once"), "went on")
    expect_equal("once again", run("once"), "went on")
    text = life.sh("dmesg -c")
    expect_equal("WARNINGs", len(re.findall(r"WARNING: .* at \S*gm_parts\.c:\d+ ", text)), 2)
    expect("gm_parts warns, 5" in text, "the text of WARN is missing")
    life.counters()

    # The shell that writes dies of the BUG, with the lock of the module's
    # parameters, in a call out; the guest and the module live on.
    bench.guest.shell.run(f"(echo bug >{PARTS})", 30)
    text = life.sh("dmesg")
    expect(re.search(r"kernel BUG at \S*gm_parts\.c:\d+!", text), "no BUG is reported")
    module = life.module()
    expect_equal("state, activations", (module["state"], module["activations"]),
                 ("sealed", 1))
    expect_equal("violations", life.violations(), 0)
    bench.session.drop_guest()


def available(bench):
    """KiB of L1's memory, without what KASAN holds back of what was freed."""
    if bench.config.l1_kernel == "debug":
        bench.l1("for cache in /sys/kernel/slab/*/shrink; do echo 1 >$cache; done")
    return int(bench.l1("awk '/^MemAvailable/ { print $2 }' /proc/meminfo"))


@case
def chain_dummy_again(bench):
    life = Life(bench.guest)
    if life.module() is None:
        life.register()
    free = []
    for _ in range(ROUNDS):
        life.load()
        life.use()
        life.counters()
        life.unload()
        free.append(available(bench))
    expect_equal("violations", life.violations(), 0)
    lost = (free[1] - free[-1]) / (ROUNDS - 2)
    bench.note(f"L1's memory: {lost:.0f} KiB less available a round")
    expect(lost < 512, f"L1 loses {lost:.0f} KiB a round: {free}")
