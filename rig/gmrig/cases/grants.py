# SPDX-License-Identifier: GPL-2.0
"""What a sealed module is granted: its own accesses arrive, the guest's do not."""

import re

from ..case import case, expect, expect_equal
from ..channel import QmpError
from ..life import Life

MODULE = "gm_probe"
EDU = "edu0"				# a device of QEMU's, for students
EDU_ID, EDU_LIVENESS = 0, 4		# its registers: what it is; the inverse of what was written
EDU_IS = 0x010000ed
ONES = 0xffffffff
I8042_STATUS = 0x64


class Probe(Life):
    def __init__(self, bench, module=MODULE):
        super().__init__(bench.guest, module)
        self.parameter = f"/sys/module/{module}/parameters/run"
        self.qmp = bench.guest.qmp

    def run(self, command):
        """What the module reads."""
        self.sh(f"echo {command} >{self.parameter}")
        return int(self.sh(f"cat {self.parameter}"), 16)

    def grant(self, *grants):
        self.qmp.execute("gm-grant", name=self.name, grants=list(grants))

    def revoke(self, *grants):
        self.qmp.execute("gm-revoke", name=self.name, grants=list(grants))

    def refused(self, grant, text):
        try:
            self.grant(grant)
        except QmpError as error:
            expect(text in str(error), f"{grant}: {error}")
        else:
            expect(False, f"{grant} is granted")

    def hidden(self):
        return [(row["grant"], row["reads"], row["writes"]) for row in self.module()["hidden"]]


def find_edu(probe):
    """The device in the guest: its folder in sysfs and its registers' address."""
    return find_edus(probe)[0]


def find_edus(probe):
    """The same of both, which may do DMA."""
    edus = []
    for path in probe.sh("grep -l 0x11e8 /sys/bus/pci/devices/*/device").split():
        folder = path.rsplit("/", 1)[0]
        probe.sh(f"echo 1 >{folder}/enable; "
                 f"printf '\\007' | dd of={folder}/config bs=1 seek=4 conv=notrunc 2>&1")
        edus.append((folder, int(probe.sh(f"head -n 1 {folder}/resource").split()[0], 16)))
    expect_equal("edu devices", len(edus), 2)
    return edus


@case
def grant_device(bench):
    """A device's registers, granted to a module that is sealed, and revoked."""
    probe = Probe(bench)
    folder, where = find_edu(probe)
    expect_equal("what the guest reads before", probe.peek(where + EDU_ID), EDU_IS)
    probe.register()
    probe.load()
    probe.grant(f"mmio={EDU}")

    expect_equal("what the guest reads", probe.peek(where + EDU_ID), ONES)
    expect_equal("what the module reads", probe.run(f"read {where + EDU_ID:#x}"), EDU_IS)
    probe.run(f"write {where + EDU_LIVENESS:#x} 0x12345678")
    probe.sh(f"devmem {where + EDU_LIVENESS:#x} 32 0")
    expect_equal("what the module has written, inverted",
                 probe.run(f"read {where + EDU_LIVENESS:#x}"), 0x12345678 ^ ONES)
    expect_equal("what the guest tried", probe.hidden(), [(f"mmio={EDU}", 1, 1)])

    # The guest can neither move nor turn off what is mapped.
    before = probe.sh(f"od -A n -t x1 -N 64 {folder}/config")
    probe.sh(f"printf '\\0\\0\\0\\0' | dd of={folder}/config bs=1 seek=16 conv=notrunc 2>&1")
    probe.sh(f"printf '\\0' | dd of={folder}/config bs=1 seek=4 conv=notrunc 2>&1")
    after = probe.sh(f"od -A n -t x1 -N 64 {folder}/config")
    expect_equal("configuration but for bus mastering", after.split()[5:], before.split()[5:])
    expect_equal("what the module reads", probe.run(f"read {where + EDU_ID:#x}"), EDU_IS)

    probe.revoke(f"mmio={EDU}")
    expect_equal("what the guest reads", probe.peek(where + EDU_ID), EDU_IS)
    expect_equal("what the module reads", probe.run(f"read {where + EDU_ID:#x}"), EDU_IS)
    expect_equal("grants", probe.module()["grants"], [])

    # Granted before the seal: hidden at once, and reached after it.
    probe.unload()
    probe.grant(f"mmio={EDU}")
    expect_equal("what the guest reads", probe.peek(where + EDU_ID), ONES)
    probe.load()
    expect_equal("what the module reads", probe.run(f"read {where + EDU_ID:#x}"), EDU_IS)
    probe.unload()
    expect_equal("what the guest reads", probe.peek(where + EDU_ID), ONES)
    probe.qmp.execute("gm-unregister", name=MODULE)
    expect_equal("what the guest reads", probe.peek(where + EDU_ID), EDU_IS)


@case
def grant_ports(bench):
    """Ports of the keyboard controller; those of KVM's own devices are refused."""
    probe = Probe(bench)
    port = f"dd if=/dev/port bs=1 skip={I8042_STATUS} count=1 2>/dev/null | od -A n -t u1"
    probe.register()
    probe.load()
    for ports, what in (("0x40", "PIT"), ("0x20-0x21", "PIC"), ("0x60-0x64", "speaker")):
        probe.refused(f"pio={ports}", f"KVM's own {what}")
    status = int(probe.sh(port))
    expect(status != 0xff, "there is no keyboard controller")
    probe.grant(f"pio={I8042_STATUS:#x}-0x67")
    expect_equal("what the guest reads", int(probe.sh(port)), 0xff)
    expect_equal("what the module reads", probe.run(f"in {I8042_STATUS:#x}") & 0xff, status)
    reads = probe.hidden()[0][1]
    expect(reads >= 1, "the guest's read is not counted")
    probe.revoke(f"pio={I8042_STATUS}-103")
    expect_equal("what the guest reads", int(probe.sh(port)), status)
    probe.unload()


@case
def grant_kvm(bench):
    """What KVM gives: granted before the seal, during it, and again with the next."""
    probe = Probe(bench)
    probe.register()
    probe.grant("msr=0x2ff")
    probe.refused("pio=0x10000", "0xffff")
    probe.load()
    expect(probe.run("msr 0x2ff") & 0x800, "the host's MTRRs are off, or it is not the host's")
    probe.refused("msr=0xc0000080", "KVM lets no module have it")
    probe.refused("msr=0x2ff", "already")
    expect_equal("grants", probe.module()["grants"], ["msr=0x2ff"])
    probe.grant("hostinfo")
    expect(probe.run("host 0") >= 1, "no vCPU runs on the host's CPU")
    probe.revoke("hostinfo", "msr=0x2ff")
    expect_equal("what a revoked MSR reads", probe.run("msr 0x2ff"), 0)
    probe.grant("hostinfo", "msr=0x2ff")
    probe.unload()
    probe.load()
    expect(probe.run("msr 0x2ff") & 0x800, "the grant has not come again with the next seal")

    module = probe.qmp.execute("query-gm", symbols=True)["modules"][0]
    symbols = {row["name"]: row["crossings"] for row in module["symbols"]}
    expect(symbols.get("probe_run", 0) >= 1, f"probe_run was not counted: {symbols}")
    text = bench.guest.hmp.run("info gm -v")
    expect(re.search(r"\d+ in-call +probe_run", text), f"info gm -v shows no probe_run:\n{text}")
    expect("hostinfo, msr=0x2ff" in text, f"info gm does not show the grants:\n{text}")
    probe.unload()
    expect_equal("violations", probe.violations(), 0)


def copied(probe, source, other):
    """What a device's DMA engine finds at the address: by its buffer, into a register
    of its own that reads inverted."""
    buffer = 0x40000
    for start, target, command in ((source, buffer, 1), (buffer, other + EDU_LIVENESS, 3)):
        for register, value in ((0x80, start), (0x88, target), (0x90, 4), (0x98, command)):
            probe.sh(f"devmem {other + register:#x} 32 {value:#x}")
        probe.sh(f"while [ $(($(devmem {other + 0x98:#x} 32) & 1)) = 1 ]; do :; done", 60)
    return probe.peek(other + EDU_LIVENESS) ^ ONES


@case
def grant_device_shared(bench):
    """Whoever else reaches for the registers, while the module does, finds none."""
    probe = Probe(bench)
    (_, where), (_, other) = find_edus(probe)
    probe.register()
    probe.load()
    expect_equal("DMA before", copied(probe, where + EDU_ID, other), EDU_IS)
    probe.grant(f"mmio={EDU}")
    expect_equal("DMA", copied(probe, where + EDU_ID, other), ONES)
    probe.sh(f"(for i in $(seq 40); do devmem {where:#x} 32; done >/tmp/seen) & "
             f"for i in $(seq 40); do echo read {where:#x} >{probe.parameter}; "
             f"cat {probe.parameter}; done >/tmp/read; wait", 60)
    expect_equal("another CPU", set(probe.sh("cat /tmp/seen").split()), {"0xFFFFFFFF"})
    expect_equal("the module", set(probe.sh("cat /tmp/read").split()), {f"{EDU_IS:#x}"})
    probe.revoke(f"mmio={EDU}")
    expect_equal("DMA afterwards", copied(probe, where + EDU_ID, other), EDU_IS)
    expect_equal("violations", probe.violations(), 0)


@case
def grant_mwait(bench):
    probe = Probe(bench)
    probe.register()
    probe.load()
    probe.run("mwait")
    probe.grant("mwait")
    probe.run("mwait")
    probe.revoke("mwait")
    probe.run("mwait")
    expect_equal("violations", probe.violations(), 0)


@case
def grant_beyond(bench):
    dummy, probe = Life(bench.guest), Probe(bench)
    dummy.register()
    expect_equal("what dummy asks for", dummy.module()["requests"], [])
    for text in (f"mmio={EDU}", "msr=0x10", "pio=0x64", "mwait", "hostinfo"):
        try:
            bench.guest.qmp.execute("gm-grant", name=dummy.name, grants=[text])
        except QmpError as error:
            expect("does not ask for it" in str(error), f"{text}: {error}")
        else:
            expect(False, f"{text} is granted")
    expect_equal("grants", dummy.module()["grants"], [])
    probe.register()
    for texts in (("mwait", "mmio=nothing"), ("mwait", "mwait")):
        try:
            probe.grant(*texts)
        except QmpError:
            expect_equal("grants", probe.module()["grants"], [])
        else:
            expect(False, f"{texts} are granted")


def find_shm(probe):
    folder = probe.sh("grep -l 0x1110 /sys/bus/pci/devices/*/device").strip().rsplit("/", 1)[0]
    probe.sh(f"echo 1 >{folder}/enable; "
             f"printf '\\007' | dd of={folder}/config bs=1 seek=4 conv=notrunc 2>&1")
    rows = probe.sh(f"head -n 3 {folder}/resource").splitlines()
    return folder, int(rows[2].split()[0], 16)


def bars(probe, grant):
    return [row["bars"] for row in probe.module()["hidden"] if row["grant"] == grant][0]


@case
def grant_device_pages(bench):
    """A device in the module's own pages, by exits and without."""
    probe = Probe(bench, "gm_pages")
    folder, where = find_edu(probe)
    shm_folder, shm = find_shm(probe)
    probe.register()
    probe.load()
    probe.sh(f"! echo own {where:#x} >{probe.parameter}")
    probe.grant(f"mmio={EDU}")
    expect_equal("what the module reads", probe.run(f"own {where + EDU_ID:#x}"), EDU_IS)
    probe.run(f"own-write {where + EDU_LIVENESS:#x} 0x12345678")
    expect_equal("what the module has written, inverted",
                 probe.run(f"own {where + EDU_LIVENESS:#x}"), 0x12345678 ^ ONES)
    expect_equal("what the guest tried", probe.hidden(), [(f"mmio={EDU}", 0, 0)])
    expect_equal("through the guest's page tables", probe.run(f"read {where + EDU_ID:#x}"), ONES)
    expect_equal("what the guest tried", probe.hidden(), [(f"mmio={EDU}", 1, 0)])
    expect_equal("BARs", bars(probe, f"mmio={EDU}"),
                 [{"bar": 0, "access": "own-pages", "pages": 256, "direct-pages": 0}])

    # Memory: no exits.
    probe.grant("mmio=shm0")
    probe.run(f"own-write {shm + 0x2008:#x} 0x12345678")
    expect_equal("what the module reads", probe.run(f"own {shm + 0x2008:#x}"), 0x12345678)
    expect_equal("what the guest reads", probe.peek(shm + 0x2008), ONES)
    expect_equal("BARs", bars(probe, "mmio=shm0"),
                 [{"bar": 0, "access": "guest-pages"},
                  {"bar": 2, "access": "own-pages", "pages": 16, "direct-pages": 16}])
    expect_equal("at its page", probe.run(f"page {257 * 4096 + 0x2008:#x}"), 0x12345678)

    # The guest resets the function's registers in vain, and it stays awake.
    probe.sh(f"printf '\\0\\0\\0\\0' | dd of={folder}/config bs=1 seek=16 conv=notrunc 2>&1")
    probe.sh(f"printf '\\377' | dd of={folder}/config bs=1 seek=48 conv=notrunc 2>&1")
    expect(probe.module()["hidden"][0]["config-writes"] >= 2, "nothing was refused")
    expect_equal("what the module reads", probe.run(f"own {where + EDU_ID:#x}"), EDU_IS)

    # Revoked: the same pages show what the guest sees.
    probe.revoke("mmio=shm0")
    expect_equal("what the module reads", probe.run(f"page {257 * 4096 + 0x2008:#x}"), 0x12345678)
    expect_equal("what the guest reads", probe.peek(shm + 0x2008), 0x12345678)
    probe.grant("mmio=shm0")
    expect_equal("what the module reads", probe.run(f"page {257 * 4096 + 0x2008:#x}"), 0x12345678)
    probe.revoke("mmio=shm0")
    expect_equal("violations", probe.violations(), 0)

    # With the seal.
    probe.unload()
    probe.load()
    expect_equal("what the module reads", probe.run(f"own {where + EDU_ID:#x}"), EDU_IS)
    expect_equal("through the guest's page tables", probe.run(f"read {where + EDU_ID:#x}"), ONES)
    probe.unload()
    probe.qmp.execute("gm-unregister", name=probe.name)
    expect_equal("what the guest reads", probe.peek(where + EDU_ID), EDU_IS)
