# SPDX-License-Identifier: GPL-2.0
"""The life of a guarded driver and of the passed-through card that it is granted; and of
the stock driver, which must do the same things to the same card. Tests, the demo and the
measurements are made of these."""

import re
from dataclasses import dataclass

from .case import expect, expect_equal
from .channel import Shell
from .life import Life
from .nics import CARDS

PORT = 7000
BEGUN = 256 << 10		# bytes after which a stream flows
REACH = "/sys/module/gm_reach/parameters/run"
PCI_COMMAND, PCI_BAR0 = 4, 16
RECEIVED = re.compile(r"received (\d+) bytes (\d+) lost (\d+) repeated (\d+) wrong (\d+)")


@dataclass
class End:
    """One of the two that a transfer is between."""
    shell: Shell
    program: str
    address: str
    output: str			# a file of the receiver's


class Nic(Life):
    """The card in the guest, with a guarded driver, or the stock one."""

    def __init__(self, guest, name, guarded=True, parameters=""):
        super().__init__(guest, name)
        self.parameters = parameters	# of the driver
        self.card = CARDS[name]
        self.guarded = guarded
        self.grant = f"mmio={self.card.device}"
        self.folder = f"/sys/bus/pci/devices/{self.card.place}"
        program = guest.config.built("guest", "gm-traffic")
        guest.outer.bring(program)
        self.here = End(guest.shell, "gm-traffic", self.card.near, "/tmp/received")
        self.there = End(guest.outer.shell, program, self.card.far, "/run/received")

    def register(self):
        output = super().register()
        self.guest.qmp.execute("gm-grant", name=self.name, grants=[self.grant])
        return output

    def insert(self):
        """The driver, in the guest; what it depends on is there as it is."""
        for name, _ in self.guest.modules.closure([self.name]):
            if name != self.name:
                self.sh(f"[ ! -e /modules/{name}.ko ] || grep -q ^{name} /proc/modules || "
                        f"insmod /modules/{name}.ko")
        if self.guarded:
            self.load(self.parameters)
        else:
            self.sh(f"insmod /modules/{self.name}.ko {self.parameters}".rstrip())

    def remove(self):
        if self.guarded:
            self.unload()
        else:
            self.sh(f"rmmod {self.name}")

    def link(self):
        """The interface's name, which another driver may have had before."""
        return self.sh(f"ls {self.folder}/net").strip()

    def carrier(self):
        self.sh(f"while [ $(cat {self.folder}/net/*/carrier) != 1 ]; do sleep 0.1; done", 30)

    def up(self):
        link = self.link()
        self.sh(f"ip addr show dev {link} | grep -q {self.card.near}/ || "
                f"ip addr add {self.card.near}/24 dev {link}; ip link set {link} up")
        self.carrier()
        # The far end may still have another card's address for ours.
        self.sh(f"ping -c 1 -w 20 {self.card.far}", 30)

    def down(self):
        self.sh(f"ip link set {self.link()} down")

    def ping(self, count=5, size=56):
        said = self.sh(f"ping -c {count} -i 0.2 -W 5 -s {size} {self.card.far}", 60)
        expect(f" {count} packets received" in said, f"pings of {size} bytes:\n{said}")

    def mtu(self, size):
        """Both ends of the wire take packets of that size; one goes through."""
        self.guest.outer.shell.check(f"busybox ip link set {self.card.far_link} mtu {size}")
        self.sh(f"ip link set {self.link()} mtu {size}")
        self.carrier()
        self.ping(2, size - 28)

    def begin(self, to_guest, how):
        """Start a receiver; how to send to it, and where it writes what came."""
        to, sender = (self.here, self.there) if to_guest else (self.there, self.here)
        to.shell.check(f"{to.program} receive {how} >{to.output} 2>&1 & "
                       f"until grep -q ready {to.output}; do sleep 0.05; done")
        return f"{sender.program} send {how.split()[0]} {to.address} {PORT}", sender, to

    def datagrams(self, to_guest, size, count, pause=0, timeout=120):
        """How many of COUNT datagrams were lost on the way; none may have changed."""
        send, sender, to = self.begin(to_guest, f"udp {PORT} {count}")
        sender.shell.check(f"{send} {size} {count} {pause}", timeout)
        said = to.shell.check(f"until grep received {to.output}; do sleep 0.1; done", timeout)
        came, length, lost, repeated, wrong = map(int, RECEIVED.search(said).groups())
        expect_equal("repeated and wrong datagrams", (repeated, wrong), (0, 0))
        expect_equal("what came", (came + lost, length), (count, came * size))
        return lost

    def stream(self, to_guest, size, timeout=120):
        """So many bytes over TCP, all of which arrive as they were."""
        send, sender, to = self.begin(to_guest, f"tcp {PORT}")
        sender.shell.check(f"{send} {size}", timeout)
        self.arrived(to, size, timeout)

    def stream_during(self, to_guest, meanwhile, timeout=120):
        """Bytes over TCP from before until after `meanwhile', all of which arrive as they
        were; it flows at the start and at the end."""
        way = "rx" if to_guest else "tx"
        send, sender, to = self.begin(to_guest, f"tcp {PORT}")
        sender.shell.check(f"{send} >{sender.output} 2>&1 & echo $! >{sender.output}.pid")
        self.flows(way, BEGUN)
        meanwhile()
        self.flows(way, BEGUN)
        said = sender.shell.check(f"kill $(cat {sender.output}.pid); "
                                  f"until grep sent {sender.output}; do sleep 0.1; done", timeout)
        self.arrived(to, int(re.fullmatch(r"sent bytes (\d+)", said.strip())[1]), timeout)

    @staticmethod
    def arrived(to, size, timeout):
        said = to.shell.check(f"until grep received {to.output}; do sleep 0.1; done", timeout)
        expect_equal("the stream", said.strip(), f"received bytes {size}")

    def flows(self, way, size):
        """Wait until so many bytes more have gone that way, "rx" or "tx"."""
        counter = f"{self.folder}/net/{self.link()}/statistics/{way}_bytes"
        self.sh(f"end=$(($(cat {counter}) + {size})); "
                f"until [ $(cat {counter}) -ge $end ]; do sleep 0.05; done")

    # What the guest itself can reach of the card.

    def hidden(self):
        """The guest's reads and writes of what is hidden from it."""
        return next((row["reads"], row["writes"]) for row in self.module()["hidden"]
                    if row["grant"] == self.grant)

    def bars(self):
        """(address, size, is it ports) of each BAR."""
        bars = []
        for line in self.sh(f"head -n 6 {self.folder}/resource").splitlines():
            start, end, flags = (int(word, 16) for word in line.split())
            if end:
                bars.append((start, end - start + 1, bool(flags & 0x100)))
        return bars

    def reach(self, command, timeout=60):
        """What gm_reach, a module like any other, has come by: (tried, seen)."""
        self.sh("grep -q ^gm_reach /proc/modules || insmod /modules/gm_reach.ko")
        said = self.sh(f"echo {command} >{REACH} && cat {REACH}", timeout)
        return tuple(map(int, re.fullmatch(r"tried (\d+) seen (\d+)\n", said).groups()))

    def configure(self, offset, values):
        """Write bytes to configuration space."""
        text = "".join(f"\\{value:03o}" for value in values)
        self.sh(f"printf '{text}' | dd of={self.folder}/config bs=1 seek={offset} "
                "conv=notrunc 2>&1")

    def configuration(self):
        return self.sh(f"od -A n -v -t x1 -N 64 {self.folder}/config").split()
