# SPDX-License-Identifier: GPL-2.0
"""One L1 and at most one L2, started when first needed."""

import fcntl
import os
import shutil
import tempfile

from . import accel
from .bochs import BochsOuter
from .channel import from_first, tail
from .guest import Boot, Guest, keyring
from .outer import TROUBLE
from .qemu import QemuOuter

KEPT_RUNS = 10
BOOTS = {boot.name: boot for boot in (
    Boot("guarded"),
    Boot("guarded-1cpu", cpus=1),
    Boot("guarded-stop", policy="stop"),
    Boot("guarded-quarantine", policy="quarantine"),
    Boot("guarded-kexec", memory=512, kexec=True),
    Boot("guarded-tools", memory=512, tools=True),
    Boot("guarded-slot", slot=True),
    Boot("launched", launcher=True),
    Boot("plain", device=False),
    Boot("loads", memory=512, loads=True),
    Boot("soak", cpus=4, memory=512, append="preempt=full"),
    Boot("nic", cards=("e1000e", "igb", "e1000")),
)}


def lock(folder):
    """An open file that keeps others from removing the folder, or None: somebody else has it."""
    try:
        held = open(os.path.join(folder, "lock"), "w")
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return None
    return held


def run_folder(config):
    """A fresh folder for the logs and files of one run, and its lock; the last few are kept."""
    base = config.built("rig")
    os.makedirs(base, exist_ok=True)
    earlier = sorted((os.path.join(base, name) for name in os.listdir(base)),
                     key=os.path.getmtime)
    for folder in earlier[:-KEPT_RUNS]:
        if lock(folder):
            shutil.rmtree(folder, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix="run-", dir=base)
    return folder, lock(folder)


class Session:
    def __init__(self, config, kvm="gm", vendor=None, l1_cpus=1, verbose=print):
        self.config = config
        self.vendor = vendor or accel.default_vendor()
        self.accel = accel.choose(self.vendor)
        self.kvm = kvm
        self.l1_cpus = l1_cpus		# in Bochs
        self.say = verbose
        self.plan = []			# the cases that are to run, in order
        self.run, self.lock = run_folder(config)
        self.current_outer = None
        self.current_guest = None

    def following(self, case):
        """The case, and those that come after it."""
        return self.plan[self.plan.index(case):] if case in self.plan else [case]

    def outer(self, boot_name=None):
        """L1, booted and with our modules loaded, and with the cards of that boot of L2;
        with those that it has, if none is named."""
        current = self.current_outer
        cards = BOOTS[boot_name].cards if boot_name in BOOTS else None
        if current is None or not current.alive() or cards not in (None, current.cards):
            self.close()
            if self.accel[0] == "bochs":
                guests = not self.plan or any(case.boot not in ("", "l1") for case in self.plan)
                self.current_outer = BochsOuter(self.config, self.run, self.accel,
                                                cpus=self.l1_cpus, guests=guests,
                                                verbose=self.say)
            else:
                self.current_outer = QemuOuter(self.config, self.run, self.accel,
                                               cards=cards or (), verbose=self.say)
            self.current_outer.start()
            self.current_outer.load_kvm(self.kvm)
        return self.current_outer

    def guest(self, boot_name, fresh=False):
        """An L2 of that boot: the one that runs, if it is fit, or a new one."""
        outer = self.outer(boot_name)
        current = self.current_guest
        if current is not None:
            if current.alive() and current.boot.name == boot_name and not fresh:
                return current
            self.drop_guest()
        guest = self._next(outer, boot_name)
        guest.start()
        return guest

    def launch(self, boot_name):
        """A new L2 that is starting."""
        outer = self.outer(boot_name)
        self.drop_guest()
        guest = self._next(outer, boot_name)
        guest.launch()
        return guest

    def _next(self, outer, boot_name):
        self.current_guest = self._new(Guest(outer, BOOTS[boot_name]))
        return self.current_guest

    def _new(self, guest):
        if guest.boot.device:
            keyring(guest)
        return guest

    def second(self, boot_name):
        """One more L2, which whoever asks for it has to stop."""
        guest = self._new(Guest(self.outer(), BOOTS[boot_name], "other"))
        guest.start(240)		# beside another one, on the same two CPUs
        return guest

    def drop_guest(self):
        if self.current_guest is not None:
            self.current_guest.stop()
            self.current_guest = None

    def drop_outer(self):
        self.current_guest = None
        if self.current_outer is not None:
            self.current_outer.stop()
            self.current_outer = None

    def last_words(self):
        """How the consoles of the machines that run end, to explain a failure."""
        parts = []
        if self.current_guest is not None:
            parts.append("L2's console ends with:\n"
                         + tail(self.current_guest.console_text(), 15))
            if self.current_guest.alive():
                parts.append(self.current_guest.where())
        if self.current_outer is not None:
            parts.append("L1's console ends with:\n"
                         + from_first(TROUBLE, self.current_outer.console.interesting()))
        return parts

    def close(self):
        self.drop_outer()

    def remove_files(self):
        shutil.rmtree(self.run, ignore_errors=True)
