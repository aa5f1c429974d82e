# SPDX-License-Identifier: GPL-2.0
"""The kernel's memory in L1 that a guest's QEMU is charged for: what KVM allocates on
behalf of it, in a control group of its own."""

import time

GROUPS = "/sys/fs/cgroup"
SETTLES = 10			# s, until the last reference to a machine has gone


class Charge:
    def __init__(self, guest):
        self.shell = guest.outer.shell
        self.group = f"{GROUPS}/{guest.which}"
        self.shell.check(
            f"grep -q ' {GROUPS} ' /proc/mounts || mount -t cgroup2 cgroup2 {GROUPS}; "
            f"echo +memory >{GROUPS}/cgroup.subtree_control; mkdir -p {self.group}; "
            f"cat {guest.pid_path} >{self.group}/cgroup.procs")

    def bytes(self):
        return int(self.shell.check(
            f"awk '$1 == \"kernel\" {{ print $2 }}' {self.group}/memory.stat"))

    def falls_below(self, limit):
        """What is left when it has, or when that has taken too long."""
        deadline = time.monotonic() + SETTLES
        while (left := self.bytes()) >= limit and time.monotonic() < deadline:
            time.sleep(0.5)
        return left

    def remove(self):
        self.shell.check(f"rmdir {self.group}")
