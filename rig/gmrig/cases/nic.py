# SPDX-License-Identifier: GPL-2.0
"""Stock drivers of network cards, guarded and granted the registers of a real function
that is passed through: they do what the same drivers do unguarded, and nobody else in
the guest reaches the registers meanwhile."""

import contextlib
import re

from ..case import case, expect, expect_equal
from ..life import CROSSINGS
from ..nic import PCI_BAR0, PCI_COMMAND, Nic
from .grants import ONES, copied, find_edus

DATAGRAMS = 500		# of each size, each way
SIZES = (18, 1472)		# of a datagram: a frame of 64 bytes, a packet of 1,500
STREAM = 1 << 20		# bytes of TCP, each way
SOAK, ROUND = 100000, 5000	# datagrams each way, in rounds of
PAUSE = 15000			# us, between bursts of datagrams
JUMBO = (4000, 9000)
SELF_TEST = re.compile(r"^(.* test +\((?:on/)?offline\))\s+(\d+)", re.MULTILINE)
SELF_TESTS = 3			# tries: they have times of their own, whatever else runs
MEMORY_WAYS = ("plain", "bytes", "wide", "string", "locked", "vector")
PORT_WAYS = ("plain", "string")
REGISTERS = 0x400		# bytes, of a BAR of memory, for each of the ways
MSIX_ENTRY = 16			# bytes
STEP = 4			# bytes, of gm_reach
STATUS = 8			# a register
STATUS_CHANGES = 0x400		# a bit of it: the PHY has been reset
RCTL = 0x100			# a register: whether and how it receives
PCI_COMMAND_MASTER = 4


@contextlib.contextmanager
def driven(bench, name, guarded=True):
    """The card with its driver, up; afterwards the driver is gone, in good order."""
    nic = Nic(bench.guest, name, guarded)
    if guarded:
        nic.register()
    nic.insert()
    nic.up()
    yield nic
    nic.down()
    nic.remove()
    if guarded:
        crossings = nic.counters()
        bench.note(f"{name}: " + ", ".join(f"{kind} {crossings[kind]}" for kind in CROSSINGS))
        expect_equal("violations", nic.violations(), 0)
        nic.guest.qmp.execute("gm-unregister", name=name)


def transfers(nic):
    """Traffic of every kind, both ways; what was lost of the datagrams."""
    nic.ping()
    lost = 0
    for to_guest in (True, False):
        lost += sum(nic.datagrams(to_guest, size, DATAGRAMS, PAUSE) for size in SIZES)
        nic.stream(to_guest, STREAM)
    return lost


def changes(nic):
    """What an administrator does to an interface."""
    for _ in range(5):
        nic.down()
        nic.sh(f"ip link set {nic.link()} up")
    nic.carrier()
    nic.ping(3)
    for mtu in (*JUMBO, 1500):
        nic.mtu(mtu)


def failed_tests(nic, may_fail=None):
    """Of the driver's own tests, those that fail. Once more if others do than may."""
    for _ in range(SELF_TESTS):
        _, said = nic.guest.shell.run(f"ethtool -t {nic.link()} offline", 60)
        nic.carrier()
        nic.ping(2)
        results = SELF_TEST.findall(said)
        expect(results, f"ethtool -t offline:\n{said}")
        failed = {name for name, code in results if code != "0"}
        if may_fail is None or failed <= may_fail:
            break
    return failed


def ethtool(nic):
    """What the driver tells and lets be set."""
    link = nic.link()
    told = nic.sh(f"ethtool -i {link}")
    for line in (f"driver: {nic.name}", f"bus-info: {nic.card.place}"):
        expect(line in told, f"ethtool -i:\n{told}")
    statistics = dict(re.findall(r"^ +(\w+): (\d+)$", nic.sh(f"ethtool -S {link}"), re.MULTILINE))
    for name in ("rx_packets", "tx_packets"):
        expect(int(statistics[name]) > 0, f"ethtool -S: {name} is {statistics[name]}")
    dump = nic.sh(f"ethtool -d {link}")
    control = re.search(r"CTRL.*register\)? +(0x\w+)", dump)
    expect(control and int(control[1], 16) not in (0, ONES), f"ethtool -d:\n{dump}")
    expect("Speed: 1000Mb/s" in nic.sh(f"ethtool {link}"), "not a gigabit")

    nic.sh(f"ethtool -G {link} rx 512 tx 512; ethtool -C {link} rx-usecs 50")
    nic.carrier()
    rings = nic.sh(f"ethtool -g {link}").split("Current")[1]
    expect(re.search(r"RX:\s+512\b", rings) and re.search(r"TX:\s+512\b", rings),
           f"ethtool -g:\n{rings}")
    usecs = re.search(r"rx-usecs: +(\d+)", nic.sh(f"ethtool -c {link}"))[1]
    nic.ping(2)

    _, online = nic.guest.shell.run(f"ethtool -t {link} online", 60)
    expect("PASS" in online, f"ethtool -t online:\n{online}")
    return {"registers": sorted(set(re.findall(r"^(0x\w+): +\w+", dump, re.MULTILINE))),
            "statistics": sorted(statistics), "rx-usecs": usecs}


def do_all(bench, name, guarded, may_fail=None):
    with driven(bench, name, guarded) as nic:
        lost = transfers(nic)
        told = ethtool(nic)
        failed = failed_tests(nic, may_fail)
        changes(nic)
        if guarded:
            expect_equal("the guest's reads and writes of the registers", nic.hidden(), (0, 0))
    return lost, told, failed


@case
def nic_e1000e(bench):
    """The stock driver first, which says what the card can do."""
    stock_lost, stock, stock_failed = do_all(bench, "e1000e", guarded=False)
    lost, told, failed = do_all(bench, "e1000e", guarded=True, may_fail=stock_failed)
    bench.note(f"lost datagrams: {lost} guarded, {stock_lost} stock, of {8 * DATAGRAMS // 2}")
    for what, result in told.items():
        expect_equal(f"ethtool: {what}", result, stock[what])
    expect(failed <= stock_failed, f"the driver's own tests fail: {sorted(failed)}, stock: "
           f"{sorted(stock_failed)}")
    expect(lost <= stock_lost, f"{lost} datagrams were lost, {stock_lost} by the stock driver")


@case
def nic_under_load(bench):
    """An interface that goes, and a driver that goes, while data flows: it flows on."""
    def bounce():
        for _ in range(2):
            nic.down()
            nic.up()

    def reload():
        nic.remove()
        nic.insert()
        nic.up()

    with driven(bench, "e1000e") as nic:
        nic.stream_during(True, bounce)
        nic.stream_during(False, reload)


def do_some(bench, name):
    with driven(bench, name) as nic:
        lost = transfers(nic)
        changes(nic)
        nic.remove()
        nic.insert()
        nic.up()
        nic.stream(True, STREAM)
        expect_equal("the guest's reads and writes of the registers", nic.hidden(), (0, 0))
    bench.note(f"lost datagrams: {lost} of {4 * DATAGRAMS}")


@case
def nic_igb(bench):
    do_some(bench, "igb")


@case
def nic_e1000(bench):
    do_some(bench, "e1000")


def soak(nic):
    """How many of very many datagrams were lost."""
    return sum(nic.datagrams(to_guest, SIZES[number % len(SIZES)], ROUND, PAUSE, 900)
               for number in range(SOAK // ROUND) for to_guest in (True, False))


@case
def nic_soak(bench):
    """Very many packets, while gm_reach reads and writes the registers on all CPUs."""
    with driven(bench, "e1000e", guarded=False) as nic:
        stock_lost = soak(nic)
    with driven(bench, "e1000e") as nic:
        where, size, _ = nic.bars()[0]
        nic.reach(f"start {where:#x} {size:#x}")
        lost = soak(nic)
        tried, seen = nic.reach("stop")
        expect(tried > SOAK // ROUND and sum(nic.hidden()) >= 2 * tried,
               f"gm_reach has tried {tried} times, {nic.hidden()} are counted")
        expect_equal("what gm_reach saw", seen, 0)
    bench.note(f"{tried} times in vain; lost {lost} of {2 * SOAK} datagrams, the stock driver "
               f"{stock_lost}")
    expect(lost <= stock_lost, "more was lost than by the stock driver")


# --- attacks -----------------------------------------------------------------


def swept(nic, command, reads=0, writes=0, seen=0):
    """Reach for the registers: all ones, no effect, and all of it counted."""
    before = nic.hidden()
    _, saw = nic.reach(command)
    expect_equal(f"what '{command}' saw that is not all ones", saw, seen)
    after = nic.hidden()
    expect_equal(f"reads and writes counted of '{command}'",
                 (after[0] - before[0], after[1] - before[1]), (reads, writes))


def sweep_memory(nic):
    """By each kind of instruction: reads, writes as many as QEMU sees of them."""
    where, _, _ = nic.bars()[0]
    words = REGISTERS // STEP
    accesses = {"plain": 1, "bytes": 4, "wide": 1, "string": 4, "vector": 2}
    for way in MEMORY_WAYS:
        if way == "locked":	# reads and writes, whichever it is meant to do
            swept(nic, f"read {way} {where:#x} {REGISTERS:#x}", words, words)
            swept(nic, f"write {way} {where:#x} {REGISTERS:#x}", words, words)
            continue
        count = words * accesses[way]
        swept(nic, f"read {way} {where:#x} {REGISTERS:#x}", reads=count)
        swept(nic, f"write {way} {where:#x} {REGISTERS:#x}", writes=count)


def sweep_bars(nic):
    """All of the registers, some of the other BARs of memory; but for the MSI-X table,
    which stays the guest's."""
    vectors = int(nic.sh(f"ls {nic.folder}/msi_irqs | wc -l"))
    bars = [(where, size) for where, size, ports in nic.bars() if not ports]
    for where, size in bars[:-1]:
        size = size if where == bars[0][0] else REGISTERS
        swept(nic, f"read plain {where:#x} {size:#x}", reads=size // STEP)
        swept(nic, f"write plain {where:#x} {size:#x}", writes=size // STEP)
    where, size = bars[-1]
    before = nic.hidden()
    tried, seen = nic.reach(f"read plain {where:#x} {size:#x}")
    table = tried - (nic.hidden()[0] - before[0])
    expect(table and table % (MSIX_ENTRY // STEP) == 0 and table * STEP >= vectors * MSIX_ENTRY,
           f"{table} words can be read of the BAR that has the MSI-X table")
    expect(0 < seen <= table, f"{seen} words of the MSI-X table are not all ones, of {table}")


def sweep_ports(nic):
    """The ports: the guest turns them on, and finds nothing behind them."""
    command = int(nic.configuration()[PCI_COMMAND], 16)
    nic.configure(PCI_COMMAND, [command | 1])
    for where, size, ports in nic.bars():
        if ports:
            for way in PORT_WAYS:
                swept(nic, f"in {way} {where:#x} {size:#x}", reads=size // STEP)
                swept(nic, f"out {way} {where:#x} {size:#x}", writes=size // STEP)


def reach_from_user_space(nic):
    """/dev/mem, /dev/port, and the device's own file in sysfs."""
    where, _, _ = nic.bars()[0]
    ports = next(start for start, _, is_ports in nic.bars() if is_ports)
    before = nic.hidden()
    for prepare, address, undo in (
            ("true", where, "true"),
            # devmem, which maps /dev/mem, is to have this file instead
            (f"mount -o bind {nic.folder}/resource0 /dev/mem", 0, "umount /dev/mem")):
        seen = nic.sh(f"{prepare}; devmem {address:#x} 32; devmem {address:#x} 32 0; {undo}")
        expect_equal(f"what the guest reads by '{prepare}'", int(seen, 16), ONES)
    seen = nic.sh(f"dd if=/dev/port bs=1 skip={ports} count=4 2>/dev/null | od -A n -t x1")
    expect_equal("/dev/port", seen.split(), ["ff"] * 4)
    after = nic.hidden()
    expect_equal("reads and writes counted", (after[0] - before[0], after[1] - before[1]), (6, 2))


def write_configuration(nic):
    """The guest can neither move what is mapped nor turn it off."""
    before = nic.configuration()
    nic.configure(PCI_BAR0, [0] * 24)
    nic.configure(PCI_COMMAND, [int(before[PCI_COMMAND], 16) & ~3])
    expect_equal("configuration after the guest's writes", nic.configuration(), before)


def expect_still(nic):
    """A card that changes hands writes no buffers of the driver that had it."""
    command = int(nic.configuration()[PCI_COMMAND], 16)
    expect_equal("the card masters the bus", bool(command & PCI_COMMAND_MASTER), False)


@case
def nic_attacks(bench):
    """Everything that the guest's kernel has, against the registers."""
    nic = Nic(bench.guest, "e1000e")
    stock = Nic(bench.guest, "e1000e", guarded=False)
    stock.insert()
    stock.up()
    where, size, _ = nic.bars()[0]
    _, seen = nic.reach(f"hold {where:#x} {REGISTERS:#x}")
    expect(seen, "gm_reach sees nothing of a device that is the guest's")
    (_, _), (_, edu) = find_edus(nic)
    fresh = nic.peek(where + STATUS) & ~STATUS_CHANGES
    expect(copied(nic, where, edu) != ONES, "DMA does not reach a device that is the guest's")

    # Granted while another driver is at work: it finds a device that is not there.
    nic.register()
    expect_still(nic)
    stock.remove()
    nic.insert()
    nic.up()
    for offset in ("read held 0", "write held 0"):
        kind = offset.split()[0]
        swept(nic, f"{offset} {REGISTERS:#x}", **{f"{kind}s": REGISTERS // STEP})
    sweep_memory(nic)
    sweep_bars(nic)
    nic.ping()
    sweep_ports(nic)
    reach_from_user_space(nic)
    nic.ping()
    write_configuration(nic)
    nic.ping()

    before = nic.hidden()
    expect_equal("what another device's DMA finds", copied(nic, where, edu), ONES)
    expect_equal("reads counted", nic.hidden()[0] - before[0], 1)

    nic.reach(f"start {where:#x} {size:#x}")
    lost = sum(nic.datagrams(to_guest, SIZES[1], DATAGRAMS, PAUSE) for to_guest in (True, False))
    nic.stream(True, STREAM)
    nic.stream(False, STREAM)
    before = nic.hidden()
    tried, seen = nic.reach("stop")
    expect(tried > DATAGRAMS, f"gm_reach has tried {tried} times only")
    expect_equal("what all CPUs saw while the module was inside", seen, 0)
    bench.note(f"{tried} times in vain beside the traffic; {lost} of {2 * DATAGRAMS} "
               "datagrams were lost")
    expect(before[0] <= nic.hidden()[0], "the counters went back")
    expect_equal("violations", nic.violations(), 0)
    nic.counters()

    # Revoked under a driver at work: reset, the guest's, and fit for the stock driver.
    nic.guest.qmp.execute("gm-revoke", name=nic.name, grants=[nic.grant])
    expect_equal("STATUS", hex(nic.peek(where + STATUS) & ~STATUS_CHANGES), hex(fresh))
    expect_equal("RCTL", hex(nic.peek(where + RCTL)), "0x0")
    expect_still(nic)
    nic.remove()
    expect_equal("violations", nic.violations(), 0)
    nic.guest.qmp.execute("gm-unregister", name=nic.name)
    stock.insert()
    stock.up()
    stock.ping()
    stock.down()
    stock.remove()
