# SPDX-License-Identifier: GPL-2.0
"""The life of the guarded dummy.ko in a guest, step by step, each with its
checks. Tests and the demo are made of these."""

import re
import time

from .case import expect, expect_equal
from .channel import deadline_in

MODULE = "dummy"
IMAGE = "dummy.gm.ko"
PACKETS = 5
CROSSINGS = ("in-call", "out-return", "out-call", "in-return", "event-exit", "resume")


class Life:
    def __init__(self, guest, name=MODULE, image=None):
        self.guest = guest
        self.name = name
        self.image = guest.config.need(
            image or guest.config.built("images", f"{name}.gm.ko"),
            "load-images" if image else "images")
        guest.outer.bring(self.image)

    def module(self):
        """What query-gm says of the module, or None."""
        for module in self.guest.qmp.execute("query-gm")["modules"]:
            if module["name"] == self.name:
                return module
        return None

    def sh(self, command, timeout=30):
        return self.guest.shell.check(command, timeout)

    def peek(self, address):
        """What the guest itself reads there, as root."""
        return int(self.sh(f"devmem {address:#x} 32"), 16)

    def register(self):
        """Type gm_register at the human monitor; its output."""
        expect_equal("registered before", self.module(), None)
        output = self.guest.hmp.run(f"gm_register {self.image}")
        module = self.module()
        expect(module is not None, f"gm_register said {output!r}, query-gm shows no module")
        expect_equal("state", module["state"], "registered")
        return output

    def load(self, params="", loader="gm-load"):
        """Load it with the guest's ordinary loader; wait for the seal."""
        output = self.sh(f"{loader} {self.name} {params}".rstrip())
        event = self.guest.qmp.wait_event("GM_SEALED", 20)
        expect_equal("module of GM_SEALED", event["data"]["module"], self.name)
        module = self.module()
        expect_equal("state", module["state"], "sealed")
        expect_equal("sealed pages", module["sealed-pages"], module["pages"])
        return output

    def sent(self):
        return int(self.sh("cat /sys/class/net/dummy0/statistics/tx_packets"))

    def silence(self):
        """From now on the guest's kernel sends no packets of its own: IPv6 asks each
        interface for routers, ever more rarely and without end (RFC 7559)."""
        self.sh("for i in all default; do "
                "echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6; done")

    def use(self):
        """Bring the interface up and send packets through it; how many went."""
        self.silence()
        self.sh("ip link set dummy0 up && "
                "{ ip addr show dev dummy0 | grep -q 192.0.2.1 || "
                "ip addr add 192.0.2.1/24 dev dummy0; }")
        before = self.sent()
        self.guest.shell.run(f"ping -c {PACKETS} -i 0.1 -W 1 192.0.2.2", 30)
        packets = self.sent() - before
        expect(packets >= PACKETS, f"{packets} packets went through dummy0, not {PACKETS}")
        return packets

    def counters(self):
        """The crossings, after checking that they are in balance. The guest's own
        packets may be on their way; what is lost stays so, however long one waits."""
        deadline = deadline_in(10)
        module = self.module()
        while module["activations"] and time.monotonic() < deadline:
            time.sleep(0.1)
            module = self.module()
        crossings = module["crossings"]
        expect_equal("activations at rest", module["activations"], 0)
        for enter, leave in (("in-call", "out-return"), ("out-call", "in-return"),
                             ("event-exit", "resume")):
            expect_equal(f"{enter} and {leave}", crossings[enter], crossings[leave])
        return crossings

    def unload(self, unloader="rmmod"):
        self.sh(f"{unloader} {self.name}")
        event = self.guest.qmp.wait_event("GM_UNSEALED", 20)
        expect_equal("reason of GM_UNSEALED", event["data"]["reason"], "guest")
        module = self.module()
        expect_equal("state", module["state"], "unsealed")
        expect_equal("sealed pages", module["sealed-pages"], 0)
        expect(self.name not in self.sh("cat /proc/modules").split(),
               f"{self.name} is still loaded")

    def violations(self):
        return self.guest.qmp.execute("query-gm")["violations-total"]

    def violations_by_kind(self):
        return {row["kind"]: row["count"]
                for row in self.guest.qmp.execute("query-gm")["violations"]}

    def text_address(self, section=".text"):
        """Where the guest's loader put the module's text, or another section."""
        listing = self.sh(f"cd /sys/module/{self.name}/sections && grep -H . {section}")
        return int(re.search(r"0x[0-9a-f]+", listing)[0], 16)
