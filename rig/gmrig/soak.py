# SPDX-License-Identifier: GPL-2.0
"""Long runs of Linux guests: threads that cross borders in every way while modules come
and go, and QEMU killed at any moment. What must hold afterwards: every crossing had
its counterpart, the threads found nothing wrong, and the host has back what it gave."""

import random
import re
import time

from .case import Failed, expect, expect_equal
from .channel import RigError, from_first
from .charge import Charge
from .config import ConfigError
from .kmod import canonical
from .life import CROSSINGS, Life
from .outer import TROUBLE
from .session import Session

BOOT = "soak"
THREADS = 16
ROUNDS = 10			# of loading, running and unloading
LOOK = 5			# s, between two looks at the counters
STALL = 120			# s, without a single crossing
SIGNALS = {"KILL": (137,), "ABRT": (134,), "TERM": (143, 0)}	# and QEMU's status in L1's shell
BOOTING = 9			# s: QEMU is killed within so many of its start
BUSY = 4			# s: or within so many of the modules' work
LEFT = 128 << 10		# bytes: kernel memory of a QEMU that has gone, at most
GROWTH = 1 << 20		# bytes: of a QEMU between its first round and its last, at most
DONE = re.compile(r"(\w+) (\d+)")
LOCKED = re.compile(r"gm_soak: locked (\d+) times, counted (\d+)")

# Another module comes, is used, and goes, until /tmp/stop is there.
CHURN = """rm -f /tmp/stop /tmp/churned; {
    n=0; while [ ! -e /tmp/stop ]; do
        gm-load dummy && ip link set dummy0 up && ip addr add 192.0.2.1/24 dev dummy0 &&
        { ping -c 3 -i 0.1 -W 1 192.0.2.2; rmmod dummy; } || break
        n=$((n + 1))
    done; echo $n >/tmp/churned; } >/tmp/churn 2>&1 &"""
CYCLE = f"""while gm-load gm_soak threads={THREADS} && sleep 0.5 && rmmod gm_soak; do :; done \
    >/dev/null 2>&1 &"""


def tell(text):
    print(text, flush=True)


def total(module):
    return sum(module["crossings"][kind] for kind in CROSSINGS)


def wait_for(soak, wanted, least):
    """Until the module's crossings are so many, or at least one more round's worth."""
    count, moved = total(soak.module()), time.monotonic()
    while count < wanted:
        time.sleep(LOOK)
        now = total(soak.module())
        if now > count:
            moved = time.monotonic()
        expect(time.monotonic() - moved < STALL, f"no crossing for {STALL} s, after {count}")
        count = now
        tell(f"gm_soak: {count} crossings of {least}")


def verify_round(soak):
    """What the threads say; unload them."""
    done = dict(DONE.findall(soak.sh("cat /sys/module/gm_soak/parameters/done")))
    done = {name: int(count) for name, count in done.items()}
    expect_equal("wrong", done.pop("wrong"), 0)
    expect(all(done.values()), f"some ways were not gone: {done}")
    soak.sh("dmesg -c >/dev/null; rmmod gm_soak", 60)
    locked = LOCKED.search(soak.sh("dmesg"))
    expect(locked, "gm_soak did not tell what it counted")
    expect_equal("times that the lock was held, and counted", locked[1], locked[2])
    soak.counters()
    return done


def threads(session, options):
    guest = session.guest(BOOT, fresh=True)
    charge = Charge(guest)
    soak, dummy = Life(guest, "gm_soak"), Life(guest)
    for life in (soak, dummy):
        life.register()

    def files():
        return int(session.outer().shell.check(f"ls /proc/$(cat {guest.pid_path})/fd | wc -l"))

    dummy.sh(CHURN)
    start, sums = None, {}
    for round_ in range(1, ROUNDS + 1):
        soak.sh(f"gm-load gm_soak threads={THREADS}", 60)
        guest.qmp.execute("inject-nmi")
        wait_for(soak, options.crossings * round_ // ROUNDS, options.crossings)
        for name, count in verify_round(soak).items():
            sums[name] = sums.get(name, 0) + count
        if start is None:
            start = charge.bytes(), files()
    churned = dummy.sh("touch /tmp/stop; while [ ! -e /tmp/churned ]; do sleep 0.1; done; "
                       "cat /tmp/churned", 60).strip()
    expect(dummy.module()["state"] == "unsealed" and int(churned) > 0,
           f"the other module came and went {churned} times:\n" + dummy.sh("tail /tmp/churn"))
    dummy.counters()
    expect_equal("violations", soak.violations(), 0)
    expect_equal("QEMU's open files", files(), start[1])
    end = charge.falls_below(start[0] + GROWTH)
    expect(end < start[0] + GROWTH, f"kernel memory grew from {start[0]} to {end} bytes")
    tell("threads: " + ", ".join(f"{name} {count}" for name, count in sums.items()))
    tell("crossings: " + ", ".join(f"{kind} {count}" for kind, count
                                   in soak.counters().items()))
    tell(f"dummy.ko loaded, used and unloaded {churned} times; kernel memory charged to QEMU "
         f"{start[0] // 1024} KiB after the first round, {end // 1024} KiB at the end; "
         f"open files {start[1]}, as at the start")
    session.drop_guest()
    charge.remove()


def kill(session, chance, name):
    """One guest, killed while it starts or while it is busy: which, and when."""
    if chance.random() < 0.5:
        guest = session.launch(BOOT)
        charge = Charge(guest)
        when, limit = "starting", BOOTING
    else:
        guest = session.guest(BOOT, fresh=True)
        charge = Charge(guest)
        for life in (Life(guest, "gm_soak"), Life(guest)):
            life.register()
        guest.shell.check(CHURN)
        guest.shell.check(CYCLE)
        when, limit = "busy", BUSY
    moment = chance.uniform(0, limit)
    time.sleep(moment)
    expect(guest.alive(), "QEMU has ended by itself:\n" + guest.said())
    guest.stop(name)
    expect(guest.exit_status() in SIGNALS[name],
           f"after SIG{name} QEMU ended with {guest.exit_status()}:\n" + guest.said())
    session.drop_guest()
    left = charge.falls_below(LEFT)
    expect(left < LEFT, f"{left} bytes of kernel memory outlive QEMU")
    charge.remove()
    outer = session.outer()
    expect_equal("references to KVM", outer.shell.check(
        f"cat /sys/module/{canonical(outer.vendor)}/refcnt").strip(), "0")
    return f"SIG{name}, {when}, after {moment:.1f} s: {left // 1024} KiB left"


def kills(session, options):
    seed = options.seed or random.SystemRandom().getrandbits(32)
    tell(f"seed {seed}")
    chance = random.Random(seed)
    for count in range(1, options.kills + 1):
        told = kill(session, chance, chance.choice(sorted(SIGNALS)))
        tell(f"{count} of {options.kills}: {told}")
        trouble = session.outer().trouble()
        expect(not trouble, "L1's kernel complained:\n" + from_first(TROUBLE, trouble, 160))
    session.outer().load_kvm(session.kvm)
    life = Life(session.guest(BOOT, fresh=True))
    life.register()
    life.load()
    life.use()
    life.unload()
    life.counters()
    tell(f"{options.kills} times killed; KVM could be unloaded, and a guest works")


PARTS = {"threads": threads, "kills": kills}


def main(config, options):
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        raise ConfigError(f"no part {', '.join(sorted(unknown))}: they are {', '.join(PARTS)}")
    failed = []
    for name in options.parts or PARTS:
        session = Session(config, vendor=options.vendor)
        try:
            PARTS[name](session, options)
            trouble = session.outer().trouble()
            expect(not trouble, "L1's kernel complained:\n" + from_first(TROUBLE, trouble, 160))
        except (Failed, RigError) as error:
            failed.append(name)
            tell(f"FAIL  {name}: {error}\n" + "\n".join(session.last_words()))
        finally:
            session.close()
    tell(f"failed: {', '.join(failed)}" if failed else "nothing found")
    return 1 if failed else 0
