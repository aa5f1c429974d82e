# SPDX-License-Identifier: GPL-2.0
"""Load, and events at the wrong moment: nothing is lost or left behind, and L1
stays silent throughout."""

import re
import time

from ..attacks import Attacker
from ..case import case, expect, expect_equal
from ..charge import Charge
from ..guest import COMMAND_LINE
from ..life import CROSSINGS, MODULE, Life

PAIRS = (("in-call", "out-return"), ("out-call", "in-return"), ("event-exit", "resume"))
PAGE = 4096
PKTGEN = "/proc/net/pktgen"
PACKETS = 10000			# through each device
CHURN = 12			# rounds of each of the two shells
CHURN_DEVICES = 3		# created and deleted in each round
NMIS = 60			# to each CPU
LOADS = 8			# of the module, during a storm of writes
STORM = re.compile(r"gm_attack: storm: stopped (\d+) times, unsealed (\d+) times")


class Traffic:
    """The stock pktgen: one kernel thread per CPU, each with its own device."""

    def __init__(self, life, devices):
        self.life = life
        self.devices = devices
        life.silence()
        life.sh("grep -q ^pktgen /proc/modules || insmod /modules/pktgen.ko")
        for cpu, device in enumerate(devices):
            life.sh(f"[ -e /sys/class/net/{device} ] || "
                    f"ip link add name {device} type dummy; ip link set {device} up; "
                    f"echo add_device {device} >{PKTGEN}/kpktgend_{cpu}; "
                    "for order in 'clone_skb 0' 'pkt_size 60' 'delay 0' "
                    f"'dst 192.0.2.2'; do echo $order >{PKTGEN}/{device}; done")

    def start(self, count):
        """In the background; 0 means without end."""
        for device in self.devices:
            self.life.sh(f"echo count {count} >{PKTGEN}/{device}")
        self.life.sh(f"echo start >{PKTGEN}/pgctrl &")

    def wait(self, seconds):
        """Until all have sent what they should, or as much as they could before the stop:
        then pktgen tells what it took. Before, it tells of the last order."""
        for device in self.devices:
            self.life.sh("until grep -q 'Result: OK: [0-9]*(c[0-9]' "
                         f"{PKTGEN}/{device}; do sleep 0.2; done", seconds)

    def flows(self, packets=100):
        """Until the counters of all devices have grown by that many packets."""
        for device in self.devices:
            self.life.sh(f"cd /sys/class/net/{device}/statistics && "
                         f"end=$(( $(cat tx_packets) + {packets} )) && "
                         "while [ $(cat tx_packets) -lt $end ]; do sleep 0.1; done", 20)

    def verify(self, count):
        """pktgen sent @count packets with each device, and all were counted."""
        for device in self.devices:
            said = self.life.sh(f"cat {PKTGEN}/{device}")
            expect("Result: OK" in said, f"pktgen on {device}:\n{said}")
            sent = re.search(r"pkts-sofar: (\d+) +errors: (\d+)", said)
            expect_equal(f"{device}: sent, errors", sent.groups(), (str(count), "0"))
            counted = self.life.sh(f"cat /sys/class/net/{device}/statistics/tx_packets")
            expect_equal(f"{device}: packets counted", int(counted), count)


def sealed(bench):
    """A guest with dummy.ko sealed and never used."""
    life = Life(bench.guest)
    if life.module() is None:
        life.register()
    life.load()
    return life


def settled(life):
    """Nobody is inside, every crossing had its counterpart, nothing was wrong."""
    crossings = life.counters()
    expect_equal("violations", life.violations(), 0)
    return crossings


def tell(bench, crossings):
    bench.note("crossings: " + ", ".join(f"{kind} {crossings[kind]}" for kind in CROSSINGS))


@case
def stress_traffic(bench):
    life = sealed(bench)
    traffic = Traffic(life, ("dummy0", "dummy1"))
    traffic.start(PACKETS)
    traffic.wait(60)
    traffic.verify(PACKETS)
    crossings = settled(life)
    expect(crossings["in-call"] >= 2 * PACKETS, f"fewer in-calls than packets: {crossings}")
    expect(crossings["event-exit"] >= 50, f"hardly any interrupt came inside: {crossings}")
    tell(bench, crossings)
    life.unload()


@case
def stress_nmi(bench):
    life = sealed(bench)
    traffic = Traffic(life, ("dummy0", "dummy1"))
    traffic.start(0)
    traffic.flows()
    for _ in range(NMIS):
        bench.guest.qmp.execute("inject-nmi")
        time.sleep(0.05)
    traffic.flows()
    life.sh(f"echo stop >{PKTGEN}/pgctrl")
    traffic.wait(20)
    taken = [int(count) for count in life.sh("grep NMI: /proc/interrupts").split()[1:3]]
    # Linux masks the NMI pin of every CPU but the first, unless told otherwise.
    expect(taken[0] >= NMIS // 2, f"of {NMIS} NMIs the CPUs took {taken}")
    crossings = settled(life)
    bench.note(f"NMIs taken: {taken}")
    tell(bench, crossings)
    life.unload()


@case
def stress_churn(bench):
    life = sealed(bench)
    traffic = Traffic(life, ("dummy0",))
    before = life.sh("ls /sys/class/net")
    traffic.start(0)
    first = life.module()["crossings"]
    life.sh("churn() { set -e; "
            f"for round in $(seq {CHURN}); do "
            f"for i in $(seq {CHURN_DEVICES}); do ip link add name $1$i type dummy; "
            "ip link set $1$i up; done; "
            f"for i in $(seq {CHURN_DEVICES}); do ip link del $1$i; done; done; "
            "echo churned >/tmp/$1; }; "
            "rm -f /tmp/left /tmp/right; (churn left) & (churn right) & "
            "for job in 1 2; do wait %$job; done; "
            "[ -e /tmp/left ] && [ -e /tmp/right ]", 60)
    traffic.flows()
    life.sh(f"echo stop >{PKTGEN}/pgctrl")
    traffic.wait(20)
    sent = re.search(r"pkts-sofar: (\d+)", life.sh(f"cat {PKTGEN}/dummy0"))[1]
    traffic.verify(int(sent))
    expect_equal("devices", life.sh("ls /sys/class/net"), before)
    crossings = settled(life)
    # Setup and init for each device, at the least, while packets went through.
    created = 2 * CHURN * CHURN_DEVICES
    expect(crossings["in-call"] - first["in-call"] >= 2 * created + int(sent) // 2,
           f"{created} devices and {sent} packets, but: {crossings}")
    bench.note(f"{created} devices came and went, {sent} packets")
    tell(bench, crossings)
    life.unload()


@case
def stress_seal_under_attack(bench):
    life = Life(bench.guest)
    life.register()
    attacker = Attacker(bench.guest, life)
    attacker.load()
    life.sh("dmesg -c >/dev/null; mkfifo /tmp/storm; "
            "{ taskset 2 sh -c 'echo storm >/sys/kernel/debug/gm_attack/run'; "
            "echo $? >/tmp/storm; } &")
    for _ in range(LOADS):
        life.sh(f"taskset 1 gm-load {MODULE}")
        expect_equal("state", life.module()["state"], "sealed")
        # A seal's number is free again when nothing refers to the seal.
        expect_equal("seal", life.module()["seal"], 1)
        life.sh(f"taskset 1 rmmod {MODULE}")
    life.sh("echo stop >/sys/kernel/debug/gm_attack/stop; [ $(cat /tmp/storm) = 0 ]")
    told = STORM.search(life.sh("dmesg"))
    expect(told, "the storm did not tell how it ended")
    stopped, unsealed = map(int, told.groups())
    expect(stopped > 0, "no write came while the module was sealed")
    state = bench.guest.qmp.execute("query-gm")
    expect_equal("violations", state["violations"], [{"kind": "write", "count": stopped}])
    bench.note(f"{LOADS} loads, {stopped} writes stopped, {unsealed} while it was not sealed")
    bench.guest.qmp.take_events("GM_SEALED")
    bench.guest.qmp.take_events("GM_UNSEALED")
    time.sleep(1.1)		# QEMU holds events back for a second
    bench.guest.qmp.take_events("GM_UNSEALED")
    life.load()
    life.use()
    life.counters()
    life.unload()


@case
def stress_reset(bench):
    guest = bench.guest
    life = sealed(bench)
    traffic = Traffic(life, ("dummy0", "dummy1"))
    traffic.start(0)
    traffic.flows()
    guest.qmp.execute("set-action", reboot="reset")
    guest.shell.channel.clear()
    guest.qmp.execute("system_reset")
    event = guest.qmp.wait_event("GM_UNSEALED", 20)
    expect_equal("reason of GM_UNSEALED", event["data"]["reason"], "reset")
    module = life.module()
    expect_equal("state, pages, activations",
                 (module["state"], module["sealed-pages"], module["activations"]),
                 ("unsealed", 0, 0))
    guest.shell.ready(90)
    guest.console_added()

    first = module["crossings"]
    life.load()
    expect_equal("seal", life.module()["seal"], 1)
    life.use()
    last = life.module()["crossings"]
    for enter, leave in PAIRS:
        expect_equal(f"{enter} and {leave} since the reset",
                     last[enter] - first[enter], last[leave] - first[leave])
    expect_equal("violations", life.violations(), 0)
    cut = [f"{enter} {first[enter] - first[leave]}" for enter, leave in PAIRS]
    bench.note("the reset cut short: " + ", ".join(cut))
    life.unload()


@case
def stress_kexec(bench):
    # The next kernel finds the machine as the first one left it, packets in
    # flight and all, and is told nothing of modules.
    guest = bench.guest
    life = sealed(bench)
    traffic = Traffic(life, ("dummy0", "dummy1"))
    traffic.start(0)
    traffic.flows()
    guest.shell.channel.clear()
    guest.shell.channel.send(f"gm-kexec /kexec/kernel /kexec/initramfs '{COMMAND_LINE}'\n"
                             .encode())
    event = guest.qmp.wait_event("GM_UNSEALED", 60)
    expect_equal("reason of GM_UNSEALED", event["data"]["reason"], "kexec")
    guest.shell.ready(120)
    guest.console_added()
    module = life.module()
    expect_equal("state, pages, activations",
                 (module["state"], module["sealed-pages"], module["activations"]),
                 ("unsealed", 0, 0))

    life.load()
    life.use()
    expect_equal("violations", life.violations(), 0)
    life.unload()


@case
def stress_kill(bench):
    charge = Charge(bench.guest)
    before = charge.bytes()
    life = sealed(bench)
    traffic = Traffic(life, ("dummy0", "dummy1"))
    traffic.start(0)
    traffic.flows()
    sealed_bytes = life.module()["pages"] * PAGE
    busy = charge.bytes()
    expect(busy - before >= sealed_bytes,
           f"sealing {sealed_bytes} bytes charged only {busy - before} to QEMU")
    bench.session.drop_guest()

    left = charge.falls_below(sealed_bytes)
    expect(left < sealed_bytes, f"{left} bytes of kernel memory outlive QEMU")
    bench.note(f"kernel memory charged to QEMU: {busy // 1024} KiB busy, "
               f"{left // 1024} KiB after SIGKILL")
    charge.remove()
    bench.outer.load_kvm(bench.session.kvm)
