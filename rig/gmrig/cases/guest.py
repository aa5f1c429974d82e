# SPDX-License-Identifier: GPL-2.0
"""How images get into a guest as a distribution has it: its own modprobe, depmod
and udev, after gm-load sync. The guest's folder of modules is the same for all of
these, so each leaves it as it was."""

import time

from .. import loads
from ..case import case, expect, expect_equal
from ..channel import QmpError
from ..life import MODULE, Life

MODPROBE = "/sbin/modprobe"
UDEVD = "/lib/systemd/systemd-udevd"
STOCK = "kernel/drivers/net/dummy.ko"


class Folder:
    """updates/guarded, as gm-load sync has left it."""

    def __init__(self, bench):
        self.bench = bench
        modules = f"/lib/modules/{bench.config.kernel_release}"
        self.path = f"{modules}/updates/guarded"
        # As the installation of the kernel leaves it.
        bench.l2(f"[ -e {modules}/modules.dep ] || /sbin/depmod")

    def sync(self, says, options=""):
        """Run it, with what it must say, line by line."""
        output = self.bench.l2(f"gm-load sync {options}", 60).splitlines()
        expect_equal("gm-load sync", output, [*says[:-1], f"{self.path}: {says[-1]}"])

    def files(self):
        return sorted(self.bench.l2(f"ls {self.path}").split())

    def empty(self, *names):
        """The host takes back what it offers; the guest follows."""
        for name in names:
            self.bench.guest.qmp.execute("gm-unregister", name=name)
        self.sync([*(f"{name}: removed, the host offers it no longer" for name in names),
                   f"0 written, {len(names)} removed, 0 as they were; depmod has run"])
        expect_equal("files", self.files(), [])

    def is_image(self, life, name):
        """The file is the host's image, byte for byte."""
        with open(life.image, "rb") as stream:
            wanted = len(stream.read())
        self.bench.l2(f"gm-load fetch {name} /tmp/image && cmp /tmp/image {self.path}/{name}.ko "
                      f"&& [ $(stat -c %s /tmp/image) = {wanted} ]; rm /tmp/image")


def lsmod(bench):
    return {line.split()[0] for line in bench.l2("/sbin/lsmod").splitlines()[1:]}


@case
def guest_modprobe(bench):
    folder, life = Folder(bench), Life(bench.guest)
    life.register()
    folder.sync([f"{MODULE}: written, instead of {STOCK}",
                 "1 written, 0 removed, 0 as they were; depmod has run"])
    folder.is_image(life, MODULE)
    expect_equal("what modprobe would load",
                 bench.l2(f"{MODPROBE} --show-depends {MODULE}").split(),
                 ["insmod", f"{folder.path}/{MODULE}.ko"])
    life.load("numdummies=2", MODPROBE)
    expect(MODULE in lsmod(bench), f"lsmod does not show {MODULE}")
    bench.l2("[ -e /sys/class/net/dummy1 ]")	# its parameter has come through
    packets = life.use()
    crossings = life.counters()
    expect(crossings["in-call"] >= packets, f"{packets} packets, but {crossings}")
    life.unload(f"{MODPROBE} -r")

    # The kernel itself asks modprobe for an alias: rtnl-link-dummy.
    bench.l2("ip link add name other type dummy")
    event = bench.guest.qmp.wait_event("GM_SEALED", 20)
    expect_equal("module of GM_SEALED", event["data"]["module"], MODULE)
    life.unload(f"{MODPROBE} -r")

    folder.empty(MODULE)
    bench.l2(f"{MODPROBE} {MODULE}")
    expect_equal("GM_SEALED of the stock module",
                 bench.guest.qmp.take_events("GM_SEALED"), [])
    bench.l2(f"{MODPROBE} -r {MODULE}")
    expect_equal("violations", life.violations(), 0)


@case
def guest_modprobe_depends(bench):
    folder = Folder(bench)
    life = Life(bench.guest, "ip_gre", loads.image(bench.config, "ip_gre"))
    life.register()
    folder.sync(["ip_gre: written, instead of kernel/net/ipv4/ip_gre.ko",
                 "1 written, 0 removed, 0 as they were; depmod has run"])
    before = lsmod(bench)
    life.load("", MODPROBE)
    expect_equal("loaded", lsmod(bench) - before, {"ip_gre", "gre", "ip_tunnel"})
    life.unload(f"{MODPROBE} -r")
    expect_equal("loaded after modprobe -r", lsmod(bench), before)
    folder.empty("ip_gre")


@case
def guest_modprobe_config(bench):
    """As with a root that cannot be written: nothing but a file for modprobe."""
    life = Life(bench.guest)
    life.register()
    bench.l2("mkdir -p /run/modprobe.d && gm-load config >/run/modprobe.d/guarded.conf")
    life.load("numdummies=3", MODPROBE)
    bench.l2("[ -e /sys/class/net/dummy2 ]")
    life.use()
    life.unload(f"{MODPROBE} -r")
    bench.l2("rm -r /run/modprobe.d")
    bench.guest.qmp.execute("gm-unregister", name=MODULE)


@case
def guest_sync_changes(bench):
    """The host registers and unregisters; each sync does what is to be done."""
    folder = Folder(bench)
    lives = {name: Life(bench.guest, name) for name in (MODULE, "gm_stray")}
    lives[MODULE].register()
    bench.l2(f"mkdir -p {folder.path} && echo mine >{folder.path}/mine.ko")
    folder.sync([f"{MODULE}: written, instead of {STOCK}",
                 "1 written, 0 removed, 0 as they were",
                 ], "--no-depmod | grep -v ^Run")
    bench.l2(f"! {MODPROBE} --show-depends {MODULE} | grep -q guarded")
    bench.l2(f"rm {folder.path}/mine.ko; /sbin/depmod")
    bench.l2(f"{MODPROBE} --show-depends {MODULE} | grep -q guarded")
    folder.sync(["0 written, 0 removed, 1 as they were"])
    lives["gm_stray"].register()
    folder.sync(["gm_stray: written", "1 written, 0 removed, 1 as they were; depmod has run"])
    bench.guest.qmp.execute("gm-unregister", name=MODULE)
    folder.sync([f"{MODULE}: removed, the host offers it no longer",
                 "0 written, 1 removed, 1 as they were; depmod has run"])
    expect_equal("files", folder.files(), ["gm_stray.ko"])
    folder.is_image(lives["gm_stray"], "gm_stray")
    folder.empty("gm_stray")


@case
def guest_sync_race(bench):
    """Two gm-loads, each of an image of its own, while the host moves both about:
    neither ever sees a part of the other's, and one waits for the other."""
    qmp = bench.guest.qmp
    lives = [Life(bench.guest, name) for name in (MODULE, "gm_stray", "gm_parts")]
    for life in lives:
        life.register()
    for life in lives[1:]:
        bench.l2(f"gm-load fetch {life.name} /tmp/{life.name}.want")
        with open(life.image, "rb") as stream:
            size = len(stream.read())
        bench.l2(f"[ $(stat -c %s /tmp/{life.name}.want) = {size} ]")
    bench.l2("rm -f /tmp/locked /tmp/free; slot=$(dirname $(grep -l 0x676d "
             "/sys/bus/pci/devices/*/device)); "
             "( /usr/bin/flock 9; touch /tmp/locked; sleep 2; touch /tmp/free ) 9<$slot/resource0 & "
             "while [ ! -e /tmp/locked ]; do sleep 0.1; done; "
             "gm-load list && [ -e /tmp/free ] && rm /tmp/locked /tmp/free")
    bench.l2("rm -f /tmp/stop; for name in gm_stray gm_parts; do ( n=0; "
             "while [ ! -e /tmp/stop ]; do "
             "gm-load fetch $name /tmp/$name.got >/dev/null && "
             "cmp /tmp/$name.want /tmp/$name.got || break; n=$((n + 1)); done; "
             "echo $n >/tmp/$name.done; [ -e /tmp/stop ] || echo failed >>/tmp/$name.done ) "
             "2>/tmp/$name.errors & done")
    for _ in range(30):
        qmp.execute("gm-unregister", name=MODULE)
        try:
            qmp.execute("gm-register", file=lives[0].image)
        except QmpError as error:
            expect(False, f"gm-register: {error}")
        time.sleep(0.3)
    bench.l2("touch /tmp/stop; wait; while [ ! -e /tmp/gm_stray.done ] || "
             "[ ! -e /tmp/gm_parts.done ]; do sleep 0.1; done", 60)
    for life in lives[1:]:
        done = bench.l2(f"cat /tmp/{life.name}.done /tmp/{life.name}.errors").split()
        expect(len(done) == 1 and int(done[0]) > 2, f"fetches of {life.name}: {done}")
        bench.note(f"{life.name} was fetched {done[0]} times")
    bench.l2("rm /tmp/gm_* /tmp/stop")
    for life in lives:
        qmp.execute("gm-unregister", name=life.name)


@case
def guest_udev(bench):
    """The rule, in the distribution's udev: without systemd and with it."""
    folder, life = Folder(bench), Life(bench.guest)
    life.register()
    bench.l2(f"mkdir -p /run && {UDEVD} --daemon --resolve-names=never")
    trigger = ("/usr/bin/udevadm trigger --action=add --subsystem-match=pci && "
               "/usr/bin/udevadm settle --timeout=60")
    device = bench.l2("grep -l 0x676d /sys/bus/pci/devices/*/device").strip()
    device = device.removesuffix("/device")
    bench.l2(trigger, 90)
    folder.is_image(life, MODULE)
    life.load("", MODPROBE)
    life.unload(f"{MODPROBE} -r")
    said = bench.l2(f"/usr/bin/udevadm info --query=property {device}")
    expect("SYSTEMD_WANTS" not in said, f"udev calls for systemd:\n{said}")
    folder.empty(MODULE)

    life.register()
    bench.l2("mkdir -p /run/systemd/system")
    bench.l2(trigger, 90)
    said = bench.l2(f"/usr/bin/udevadm info --query=property {device}").splitlines()
    expect_equal("SYSTEMD_WANTS", [line for line in said if line.startswith("SYSTEMD_WANTS=")],
                 ["SYSTEMD_WANTS=gm-load.service"])
    expect(any(line.startswith("TAGS=") and ":systemd:" in line for line in said),
           f"no tag for systemd: {said}")
    expect_equal("files, before the unit has run", folder.files(), [])
    bench.l2("/usr/bin/udevadm control --exit && rmdir /run/systemd/system")
    bench.guest.qmp.execute("gm-unregister", name=MODULE)
