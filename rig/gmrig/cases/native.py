# SPDX-License-Identifier: GPL-2.0
"""Checks that need no machine: they run on the host as ordinary commands."""

import fnmatch
import os
import pty
import random
import re
import select
import socket
import subprocess
import tempfile
import threading

from .. import mutants, mux, table
from ..case import Failed, case, expect, expect_equal
from ..channel import Channel, RigError, tail
from ..config import TOP, ConfigError
from ..outer import TROUBLE
from ..suite import run_suite

UART_FIFO = 16			# bytes, of a 16550A
SHELLS = re.compile(rb"#!.*\b(sh|bash)\b")
RULES = "usr/lib/udev/rules.d/90-guarded-modules.rules"
SERVICE = "usr/lib/systemd/system/gm-load.service"


@case
def scripts_shellcheck(bench):
    names = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, check=True,
                           stdout=subprocess.PIPE).stdout.decode().split("\0")
    scripts = []
    for name in filter(None, names):
        path = os.path.join(TOP, name)
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as stream:
                first = stream.readline(100)
            if SHELLS.match(first) or first.startswith(b"# shellcheck shell="):
                scripts.append(name)
    expect(scripts, "no scripts found")
    done = subprocess.run(["shellcheck", "-x", *scripts], cwd=TOP, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    expect(done.returncode == 0, "shellcheck:\n" + done.stdout.decode())
    bench.note(f"{len(scripts)} scripts")


@case
def rig_finds_trouble(_bench):
    for line in ("WARNING: CPU: 1 PID: 9 at arch/x86/kvm/mmu/mmu.c:1 f+0x1/0x2 [kvm]",
                 "BUG: kernel NULL pointer dereference, address: 0000000000000008",
                 "Oops: general protection fault, probably for non-canonical address",
                 "rcu: INFO: rcu_preempt self-detected stall on CPU",
                 "watchdog: BUG: soft lockup - CPU#0 stuck for 26s!",
                 "refcount_t: underflow; use-after-free.",
                 "WARNING: possible recursive locking detected",
                 "WARNING: possible circular locking dependency detected",
                 "WARNING: inconsistent lock state",
                 "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
                 "WARNING: qemu-system-x86/123 still has locks held!",
                 "WARNING: lock held when returning to user space!",
                 "WARNING: suspicious RCU usage",
                 "[ BUG: Invalid wait context ]",
                 "BUG: sleeping function called from invalid context at mm/util.c:1",
                 "BUG: KASAN: slab-use-after-free in gm_seal+0x1/0x2 [kvm]",
                 "UBSAN: shift-out-of-bounds in arch/x86/kvm/gm/gm.c:1:2",
                 "BUG kmalloc-64 (Not tainted): Poison overwritten",
                 "ODEBUG: free active (active state 0) object: 00000000 object type: work",
                 "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"):
        expect(TROUBLE.search(line), f"not seen as trouble: {line}")
    for line in ("kvm: kvm [168]: vcpu0, guest rIP: 0xffffffff8ca9e458 Unhandled WRMSR",
                 "Speculative Return Stack Overflow: WARNING: See https://kernel.org/doc/",
                 "kvm: module verification failed: signature and/or required key missing",
                 "AMD Zen1 DIV0 bug detected. Disable SMT for full protection.",
                 "kasan: KernelAddressSanitizer initialized",
                 "RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable"):
        expect_equal(line, TROUBLE.search(line), None)


@case
def rig_mux(bench):
    """Frames of any bytes, cut anywhere, arrive; a changed bit is noticed."""
    source = random.Random(1)
    sent = [(source.randrange(256), source.randbytes(source.randint(0, mux.MOST_FROM_L1)))
            for _ in range(300)]
    line = b"".join(mux.frame(channel, data) for channel, data in sent)
    for most in (1, 7, 1000):
        decoder, got, rest = mux.Decoder(), [], line
        while rest:
            size = source.randint(1, most)
            got += decoder.feed(rest[:size])
            rest = rest[size:]
        expect(got == sent, f"other frames arrive when at most {most} bytes come at once")
    expect_equal("bytes of the longest frame to L1",
                 len(mux.frame(0, bytes(mux.MOST_TO_L1))), UART_FIFO)
    data = mux.frame(3, b"some data")
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            got = mux.Decoder().feed(bytes(changed))
        except RigError:
            continue
        expect(not got, f"with bit {bit} changed, {got} is taken for a frame")
    bench.note(f"{len(sent)} frames, {len(line)} bytes; {8 * len(data)} changed bits")


def spoil(source, near, line, stop):
    """Carry bytes both ways, and lose or change one in forty of those towards L1."""
    while not stop.is_set():
        readable, _, _ = select.select([near, line], [], [], 0.1)
        if near in readable:
            data = bytearray(near.recv(64))
            chance = source.randrange(40)
            if chance < 2 and data:
                at = source.randrange(len(data))
                data[at:at + 1] = b"" if chance else bytes((data[at] ^ 0x10,))
            os.write(line, bytes(data))
        if line in readable:
            near.sendall(os.read(line, 4096))


@case
def rig_mux_line(bench):
    """l1-mux itself, on a line that loses and changes bytes towards it."""
    program = bench.session.config.need(bench.session.config.built("l1", "l1-mux"), "l1-tools")
    source, stop = random.Random(2), threading.Event()
    sent = source.randbytes(6000)
    with tempfile.TemporaryDirectory() as folder:
        master, slave = pty.openpty()
        path = os.path.join(folder, "channel")
        near, far = socket.socketpair()
        channel = Channel("test", lambda: None)
        spoiler = threading.Thread(target=spoil, args=(source, near, master, stop), daemon=True)
        screen, _other = socket.socketpair()
        spoiler.start()
        subprocess.run([program, os.ttyname(slave), path], check=True, timeout=10)
        line = mux.Mux(far.fileno(), [channel], screen.fileno(), os.path.join(folder, "log"),
                       patience=0.3)
        got = b""
        with open(path, "r+b", buffering=0) as end:
            channel.send(sent)
            while len(got) < len(sent):
                expect(line.error is None, str(line.error))
                got += end.read(4096)
            end.write(got[:3000])
            channel.expect(re.escape(got[:3000]), 30)
        expect(got == sent, "what arrives is not what was sent")
        stop.set()
        spoiler.join()
        line.stop()
        resent = line.resent
        for terminal in (master, slave):	# then l1-mux ends
            os.close(terminal)
    expect(resent > 0, "no frame had to be sent again")
    bench.note(f"{len(sent)} bytes, {resent} frames sent again")


@case
def table_vendors(bench):
    """Each row that boots is decided on for VMX, and one that is not is refused."""
    rows = [row for row in table.load() if row.boot]
    for row in rows:
        expect(row.vmx in table.SETS or len(row.vmx.split()) > 3,
               f"{row.name}: {row.vmx!r} is neither a set nor a reason")
    row = {"name": "boot-proof", "boot": "l1"}
    for vmx, fine in (("quick", True), ("it would take hours", True), ("", False), (None, False)):
        try:
            table.decided({**row, "vmx": vmx} if vmx is not None else row)
        except ConfigError:
            expect(not fine, f"vmx = {vmx!r} is refused")
        else:
            expect(fine, f"vmx = {vmx!r} is accepted")
    count = {name: sum(row.vmx == name for row in rows) for name in table.SETS}
    bench.note(", ".join(f"{name} {number}" for name, number in count.items())
               + f", not in Bochs {len(rows) - sum(count.values())}")


@case
def mutants_table(bench):
    try:
        rows = mutants.load()
    except ConfigError as error:
        raise Failed(str(error)) from None
    untested = sum(bool(row.untested) for row in rows)
    bench.note(f"{len(rows) - untested} checks have a test, {untested} have none")


@case
def attacks_document(bench):
    """Names are in the table's second column, those of raw cases without their prefix; what
    has a slash is a part of the one before."""
    known = [case.name for case in table.load()]
    names = []
    with open(os.path.join(TOP, "docs", "attacks.md"), encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("| ") and not line.startswith("| attack |"):
                names += [name for name in re.findall(r"`([^`]+)`", line.split("|")[2])
                          if "/" not in name]
    expect(len(names) > 100, f"docs/attacks.md names {len(names)} cases")
    missing = [name for name in names
               if not fnmatch.filter(known, name) and not fnmatch.filter(known, f"raw-{name}")]
    expect(not missing, f"docs/attacks.md names cases that do not exist: {', '.join(missing)}")
    bench.note(f"{len(names)} names in docs/attacks.md, each of a case or more")


@case
def model(bench):
    run_suite(bench, ["model/check", "--quick"])


@case
def gmcc_unit(bench):
    config = bench.config
    run_suite(bench, ["make", "--no-print-directory", "-C", "gmcc",
                      f"O={config.built('gmcc')}", "check"],
              GMCC_MODULES=f"{config.kernel_modules}/kernel",
              GMCC_BTF=f"{config.values['KERNEL_HEADERS']}/vmlinux")


@case
def qemu_unit(bench):
    run_suite(bench, ["make", "--no-print-directory", "-C", "qemu-gm/tests",
                      f"O={bench.config.built('qemu-unit')}", "check-unit"])


@case
def qemu_machine(bench):
    config = bench.config
    run_suite(bench, ["make", "--no-print-directory", "-C", "qemu-gm/tests",
                      f"O={config.built('qemu-unit')}",
                      f"PARTS={config.need(config.built('qemu-parts'), 'qemu-parts')}",
                      "check-machine"])


@case
def qemu_qtest(bench):
    run_suite(bench, ["qemu-gm/tests/qtest", bench.config.built("qemu"), "gm-test",
                      "--tap", "-k"])


@case
def tools_unit(bench):
    config = bench.config
    run_suite(bench, ["make", "--no-print-directory", "-C", "tools",
                      f"O={config.built('tools')}", "check"],
              QEMU=config.qemu, IMAGES=config.built("images"), KEYS=config.built("keys"))


@case
def guest_unit(bench):
    run_suite(bench, ["make", "--no-print-directory", "-C", "guest",
                      f"O={bench.config.built('guest')}", "check"])


@case
def guest_install(bench):
    """Everything is where a guest looks for it, and says where gm-load is."""
    root = bench.file("root")
    subprocess.run(["make", "-s", "install-guest", f"DESTDIR={root}", "PREFIX=/usr"], cwd=TOP,
                   check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    files = sorted(os.path.relpath(os.path.join(top, name), root)
                   for top, _, names in os.walk(root) for name in names)
    expect_equal("installed", files, ["usr/bin/gm-load", SERVICE, RULES,
                                      "usr/share/man/man8/gm-load.8"])
    for path, line in ((RULES, 'RUN+="/usr/bin/gm-load sync"'),
                       (SERVICE, "ExecStart=/usr/bin/gm-load sync")):
        with open(os.path.join(root, path), encoding="utf-8") as stream:
            text = stream.read()
        expect(line in text, f"{path} has no {line}")
        expect("@" not in text, f"{path} has words that were not replaced")
    with open(os.path.join(TOP, "guest", "include", "gm_device.h"), encoding="utf-8") as stream:
        ids = re.findall(r"GM_PCI_(?:VENDOR|DEVICE)_ID\s+(0x[0-9a-f]+)", stream.read())
    with open(os.path.join(root, RULES), encoding="utf-8") as stream:
        expect_equal("IDs in the rule", re.findall(r'ATTR\{\w+\}!="(\w+)"', stream.read()), ids)
    # systemd looks for the program, which is not installed on this machine.
    unit = bench.file("gm-load.service")
    with open(os.path.join(root, SERVICE), encoding="utf-8") as stream:
        text = stream.read().replace("/usr/bin/gm-load", f"{root}/usr/bin/gm-load")
    with open(unit, "w", encoding="utf-8") as stream:
        stream.write(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                           unit], check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    expect_equal("systemd-analyze verify", (done.returncode, done.stdout.decode()), (0, ""))


@case
def idle_cost(bench):
    done = subprocess.run(["bench/idle-cost"], cwd=TOP, stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode(errors="replace")
    expect(done.returncode == 0, "bench/idle-cost:\n" + tail(text))
    for line in text.splitlines():
        if "CPUID" in line or "ratio" in line:
            bench.note(line)
