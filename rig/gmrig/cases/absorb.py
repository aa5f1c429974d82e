# SPDX-License-Identifier: GPL-2.0
"""What modules absorb (guest/absorb) makes no difference to the kernel."""

from ..case import case, expect, expect_equal
from ..life import Life

MODULE = "gm_order"
PARAMETER = f"/sys/module/{MODULE}/parameters/order"
FLUSHED = 9			# packets of GRO: the kernel has had eight of them by then
# Ways to receive, of the packets of one poll: what comes after GRO's, alone and mixed.
POLLS = (*("g" * FLUSHED + way for way in "rlfxg"),
         "grg", "gfgrgl", "rglxfg" * 6, "x" + "g" * FLUSHED + "rfl")


def ready(guest):
    life = Life(guest, MODULE)
    life.silence()
    if life.module() is None:
        life.register()
    return life


def came(life, polls=POLLS):
    """Of each poll, the packets' numbers in the order that the kernel had them."""
    life.sh("ip link set order0 up")
    orders = [life.sh(f"echo {ways} >{PARAMETER} && usleep 50000 && cat {PARAMETER}").split()
              for ways in polls]
    life.sh("ip link set order0 down")
    return orders


@case
def absorbed_order(bench):
    life = ready(bench.guest)
    violations = life.violations()
    life.sh(f"insmod /modules/{MODULE}.ko")
    stock = came(life)
    life.sh(f"rmmod {MODULE}")
    for ways, order in zip(POLLS, stock):
        expect_equal(f"packets of {ways}", sorted(map(int, order)), [*range(1, len(ways) + 1)])
    expect(any(order != sorted(order, key=int) for order in stock),
           "the kernel itself has all packets in the order of the calls")
    life.load()
    guarded = came(life)
    for ways, wanted, order in zip(POLLS, stock, guarded):
        expect_equal(f"order of {ways}", " ".join(order), " ".join(wanted))
        bench.note(f"{ways}: {' '.join(order)}")
    life.unload()
    life.counters()
    expect_equal("violations", life.violations(), violations)


@case
def absorbed_outlive(bench):
    life = ready(bench.guest)
    violations = life.violations()
    life.load("outlive=1")
    expect_equal("order of ggr", came(life, ["ggr"]), [["3", "1", "2"]])
    life.unload()
    life.counters()
    expect_equal("violations", life.violations(), violations)
