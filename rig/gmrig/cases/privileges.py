# SPDX-License-Identifier: GPL-2.0
"""What an administrator grants a module, it has, inside and until that is revoked;
the rest of the guest has not. gm_probe (guest/attack) asks for everything and uses
what it is told to; the guest's own hand is /dev/mem, /dev/port and rdmsr."""

import re

from ..case import case, expect, expect_equal
from ..channel import QmpError
from ..life import Life

PROBE = "gm_probe"
RUN = f"/sys/module/{PROBE}/parameters/run"
EDU = "0x1234:0x11e8"
EDU_ID = 0x010000ed			# the register at 0
LIVENESS = 4				# what is written there is read inverted
GONE = 0xffffffff
DEBUGCON = 0x402			# reads as 0xe9
MTRR_TYPE = 0x2ff
OWN_MSR = 0x277				# the PAT: nobody gets it


def start(bench, *grants):
    """The probe sealed, with those grants and no others."""
    life = Life(bench.guest, PROBE)
    if life.module() is None:
        life.register()
    if life.module()["state"] != "sealed":
        life.load()
    had = life.module()["grants"]
    if had:
        bench.guest.qmp.execute("gm-revoke", name=PROBE, grants=had)
    if grants:
        bench.guest.qmp.execute("gm-grant", name=PROBE, grants=list(grants))
    return life


def grant(bench, *grants):
    bench.guest.qmp.execute("gm-grant", name=PROBE, grants=list(grants))


def revoke(bench, *grants):
    bench.guest.qmp.execute("gm-revoke", name=PROBE, grants=list(grants))


def probe(life, command):
    """The module does it; what it read."""
    return int(life.sh(f"echo {command} >{RUN} && cat {RUN}"), 0)


def bars(life):
    """Where the guest has the edu devices, both of which may do DMA."""
    text = life.sh("for d in /sys/bus/pci/devices/*; do "
                   f"[ \"$(cat $d/vendor):$(cat $d/device)\" = {EDU} ] || continue; "
                   "printf '\\007\\000' | dd of=$d/config bs=1 seek=4 conv=notrunc "
                   "2>/dev/null; head -n 1 $d/resource; done")
    rows = [int(line.split()[0], 0) for line in text.strip().split("\n")]
    expect_equal("edu devices", len(rows), 2)
    return rows


def bar(life):
    return bars(life)[0]


def guest_reads(life, address):
    return int(life.sh(f"devmem {address:#x} 32"), 0)


def guest_writes(life, address, value):
    life.sh(f"devmem {address:#x} 32 {value:#x}")


def hidden(life, grant_text):
    """How often the guest has read and written what the grant hides."""
    rows = [row for row in life.module()["hidden"] if row["grant"] == grant_text]
    expect_equal("rows of hidden accesses", len(rows), 1)
    return rows[0]["reads"], rows[0]["writes"]


@case
def privilege_mmio(bench):
    life = start(bench)
    base = bar(life)
    expect_equal("the guest, before", guest_reads(life, base), EDU_ID)
    expect_equal("the module, before: as the guest", probe(life, f"read {base:#x}"), EDU_ID)

    violations = life.violations()
    grant(bench, "mmio=edu0")
    expect_equal("the guest", guest_reads(life, base), GONE)
    guest_writes(life, base + LIVENESS, 0x1234)
    expect_equal("hidden accesses", hidden(life, "mmio=edu0"), (1, 1))
    expect_equal("the module", probe(life, f"read {base:#x}"), EDU_ID)
    expect_equal("what the guest wrote", probe(life, f"read {base + LIVENESS:#x}"), GONE)
    probe(life, f"write {base + LIVENESS:#x} 0x5a")
    expect_equal("what the module wrote", probe(life, f"read {base + LIVENESS:#x}"),
                 GONE ^ 0x5a)

    # Another CPU of the guest, while the module reaches the device again and again.
    life.sh(f"(for i in $(seq 40); do devmem {base:#x} 32; done >/tmp/seen) & "
            f"for i in $(seq 40); do echo read {base:#x} >{RUN}; done; wait")
    expect_equal("another CPU", set(life.sh("cat /tmp/seen").split()), {"0xFFFFFFFF"})
    expect_equal("hidden accesses", hidden(life, "mmio=edu0"), (41, 1))

    # Back to the guest: in the state in which a device starts.
    revoke(bench, "mmio=edu0")
    expect_equal("the guest, afterwards", guest_reads(life, base), EDU_ID)
    expect_equal("what the module had written", guest_reads(life, base + LIVENESS), GONE)
    grant(bench, "mmio=edu0")
    expect_equal("the guest, once more", guest_reads(life, base), GONE)
    expect_equal("the module, once more", probe(life, f"read {base:#x}"), EDU_ID)
    expect_equal("violations", life.violations(), violations)


def copied(life, source, other):
    """What a device's DMA engine finds at the address: by its buffer, into a register
    of its own that reads inverted."""
    for start_at, target, command in ((source, 0x40000, 1), (0x40000, other + LIVENESS, 3)):
        guest_writes(life, other + 0x80, start_at)
        guest_writes(life, other + 0x88, target)
        guest_writes(life, other + 0x90, 4)
        guest_writes(life, other + 0x98, command)
        life.sh(f"while [ $(($(devmem {other + 0x98:#x} 32) & 1)) = 1 ]; do :; done", 60)
    return GONE ^ guest_reads(life, other + LIVENESS)


@case
def privilege_mmio_dma(bench):
    """Another device's DMA does not reach what is hidden either."""
    life = start(bench)
    base, other = bars(life)
    expect_equal("before the grant", copied(life, base, other), EDU_ID)
    grant(bench, "mmio=edu0")
    expect_equal("the module", probe(life, f"read {base:#x}"), EDU_ID)
    expect_equal("the other device", copied(life, base, other), GONE)
    revoke(bench, "mmio=edu0")
    expect_equal("after the revoke", copied(life, base, other), EDU_ID)


@case
def privilege_pio(bench):
    life = start(bench)
    command = f"dd if=/dev/port bs=1 count=1 skip={DEBUGCON} 2>/dev/null | od -An -tx1"
    expect_equal("the guest, before", life.sh(command).strip(), "e9")
    grant(bench, f"pio={DEBUGCON:#x}-{DEBUGCON + 3:#x}")
    expect_equal("the guest", life.sh(command).strip(), "ff")
    expect_equal("the module", probe(life, f"in {DEBUGCON:#x}"), 0xffffffe9)
    revoke(bench, f"pio={DEBUGCON:#x}-{DEBUGCON + 3:#x}")
    expect_equal("the guest, afterwards", life.sh(command).strip(), "e9")


@case
def privilege_msr(bench):
    life = start(bench, f"msr={MTRR_TYPE:#x}")
    expect(probe(life, f"msr {MTRR_TYPE:#x}") & 0x800, "not the physical CPU's memory types")
    revoke(bench, f"msr={MTRR_TYPE:#x}")
    expect_equal("after the revoke", probe(life, f"msr {MTRR_TYPE:#x}"), 0)
    try:
        grant(bench, f"msr={OWN_MSR:#x}")
    except QmpError as error:
        expect(f"msr={OWN_MSR:#x}" in str(error), f"the error names no MSR: {error}")
    else:
        expect(False, "the PAT has been granted")
    expect_equal("grants", life.module()["grants"], [])


@case
def privilege_mwait(bench):
    life = start(bench)
    violations = life.violations()
    probe(life, "mwait")
    grant(bench, "mwait")
    probe(life, "mwait")
    revoke(bench, "mwait")
    probe(life, "mwait")
    expect_equal("violations", life.violations(), violations)


@case
def privilege_hostinfo(bench):
    life = start(bench)
    status, output = life.guest.shell.run(f"echo host 0 >{RUN}")
    expect(status and "No data available" in output, f"without a grant: {output}")
    grant(bench, "hostinfo")
    for cpu in range(2):
        expect(1 <= probe(life, f"host {cpu}") <= 2, f"vCPU {cpu} has no entry")
    revoke(bench, "hostinfo")
    status, output = life.guest.shell.run(f"echo host 0 >{RUN}")
    expect(status and "No data available" in output, f"after the revoke: {output}")


@case
def privilege_again(bench):
    """Grants outlive a seal: they are the administrator's, not the guest's."""
    life = start(bench, "mmio=edu0", f"msr={MTRR_TYPE:#x}")
    base = bar(life)
    life.unload()
    expect_equal("the guest, while it is not loaded", guest_reads(life, base), GONE)
    life.load()
    expect_equal("the module", probe(life, f"read {base:#x}"), EDU_ID)
    expect(probe(life, f"msr {MTRR_TYPE:#x}") & 0x800, "the MSR is not there again")
    life.unload()
    expect_equal("gm_unregister", bench.guest.hmp.run(f"gm_unregister {PROBE}"), "")
    expect_equal("the guest, afterwards", guest_reads(life, base), EDU_ID)


@case
def privilege_beyond(bench):
    """No more than the image asks for, and all or nothing."""
    life = Life(bench.guest)
    if life.module() is None:
        life.register()
    before = life.module()["grants"]
    expect_equal("what dummy asks for", life.module()["requests"], [])
    for text in ("mmio=edu0", "msr=0x10", "pio=0x60", "mwait", "hostinfo"):
        try:
            bench.guest.qmp.execute("gm-grant", name="dummy", grants=[text])
        except QmpError as error:
            expect(re.search(f"'{text}'.*does not ask for it", str(error)),
                   f"another error: {error}")
        else:
            expect(False, f"{text} has been granted")
    expect_equal("grants", life.module()["grants"], before)
    start(bench)
    try:
        grant(bench, "mwait", "mmio=nothing")
    except QmpError as error:
        expect("nothing" in str(error), f"another error: {error}")
    expect_equal("grants of the probe", Life(bench.guest, PROBE).module()["grants"], [])
