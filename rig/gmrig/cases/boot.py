# SPDX-License-Identifier: GPL-2.0
"""The chain itself stands: L1 on our modules, and a guest that knows nothing."""

from ..case import case, expect, expect_equal
from ..channel import QmpError


@case
def boot_proof(bench):
    # Loading compares the build ids; here is what the kernel says by itself.
    outer = bench.outer
    expect_equal("modules in L1", outer.kvm_flavour, "gm")
    expect("svm" in outer.shell.check("cat /proc/cpuinfo") or outer.vendor == "kvm-intel",
           "L1's CPU shows no svm")
    bench.note(f"L0 accelerator: {outer.accel} ({outer.why})")
    bench.note(outer.shell.check("dmesg | grep -i 'nested paging\\|ept' | tail -n 1 || true").strip())


@case
def host_reload(bench):
    bench.session.drop_guest()
    for flavour in ("stock", "gm"):
        bench.outer.load_kvm(flavour)
    modules = bench.l1("cat /proc/modules")
    expect(modules.count("kvm") >= 2, f"modules in L1:\n{modules}")


@case
def plain_guest(bench):
    guest = bench.guest
    expect_equal("CPUs", bench.l2("nproc").strip(), "2")
    bench.l2("dd if=/dev/urandom of=/tmp/x bs=64k count=64 && sync && cp /tmp/x /tmp/y && "
             "cmp /tmp/x /tmp/y && rm /tmp/x /tmp/y")
    try:
        answer = guest.qmp.execute("query-gm")
    except QmpError as error:
        expect_equal("query-gm", str(error),
                     "this virtual machine has no guarded-modules device")
    else:
        expect(False, f"query-gm without the device answers {answer}")


@case
def plain_guest_module(bench):
    bench.l2("insmod /modules/dummy.ko")
    bench.l2("ip link set dummy0 up && ip addr add 192.0.2.1/24 dev dummy0")
    bench.l2("ping -c 3 -W 1 192.0.2.2 >/dev/null; "
             "[ $(cat /sys/class/net/dummy0/statistics/tx_packets) -ge 3 ]")
    bench.l2("rmmod dummy")
