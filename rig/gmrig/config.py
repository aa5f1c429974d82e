# SPDX-License-Identifier: GPL-2.0
"""What ./configure chose, and where the build puts things."""

import os
import platform

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class ConfigError(Exception):
    """The set-up is incomplete; the message says what to do."""


# L1's kernel, and how much longer everything takes on it. debug-fast is the debug kernel
# without what it keeps of each allocation: KMEMLEAK, SLUB's checks, the states of objects.
L1_KERNELS = {"stock": 1, "debug": 6, "debug-fast": 3}
DEBUG_APPEND = {"debug": "kasan_multi_shot",
                "debug-fast": "kasan_multi_shot kmemleak=off slub_debug=- no_debug_objects"}


# The guest's kernel: the distribution's that L1 has too, or Debian 12's own.
GUEST_KERNELS = ("6.12", "6.1")


class Config:
    def __init__(self, l1_kernel="stock", stock_modules=False, guest_kernel="6.12"):
        path = os.path.join(TOP, "config.mk")
        if not os.path.exists(path):
            raise ConfigError("no config.mk: run ./configure (or make) first")
        self.values = {}
        with open(path, encoding="utf-8") as stream:
            for line in stream:
                name, equals, value = line.partition("=")
                if equals and not line.startswith("#"):
                    self.values[name.strip()] = value.strip()
        self.build = os.path.join(TOP, "build")
        self.kernel_image = self.values["KERNEL_IMAGE"]
        self.kernel_modules = self.values["KERNEL_MODULES"]
        self.kernel_release = self.values["KERNEL_RELEASE"]
        self.l1_kernel = l1_kernel
        self.stock_modules = stock_modules
        self.slowness = L1_KERNELS[l1_kernel]
        self.l1_image, self.l1_modules = self.kernel_image, self.kernel_modules
        self.btf = os.path.join(self.values["KERNEL_HEADERS"], "vmlinux")
        self.images = self.built("images", "loads")
        self.guest_kernel = guest_kernel
        if guest_kernel == "6.1":
            folder = self.need(os.path.realpath(self.built("guest-6.1")), "guest-kernel")
            self.kernel_image = os.path.join(folder, "vmlinuz")
            self.kernel_modules = os.path.join(folder, "modules")
            self.btf = os.path.join(folder, "btf")
            self.images = self.built("images", "loads-6.1")
        self.kvm_suffix = ""
        self.l1_append = DEBUG_APPEND.get(l1_kernel, "")
        if self.l1_append:
            self.l1_image = self.built("debug-kernel", "arch", "x86", "boot", "bzImage")
            self.l1_modules = self.built("debug-kernel", "modules")
            self.kvm_suffix = "-debug"
        self.qemu = os.environ.get("GM_QEMU") or self.built("qemu", "qemu-system-x86_64")
        self.qemu_data = ["/usr/share/qemu", "/usr/share/seabios"]
        self.busybox = "/bin/busybox"

    def built(self, *parts):
        return os.path.join(self.build, *parts)

    def kvm(self, flavour, module):
        suffix = "" if flavour.endswith("-coverage") else self.kvm_suffix
        return self.built("kvm-modules", flavour + suffix, f"{module}.ko")

    def need(self, path, target):
        """PATH, or an error that names the make target that brings it."""
        if not path or not os.path.exists(path):
            raise ConfigError(f"{path or target} is not there: run make {target}")
        return path


def host_description():
    cpus = os.cpu_count()
    return f"{platform.system()} {platform.release()}, {cpus} CPUs"
