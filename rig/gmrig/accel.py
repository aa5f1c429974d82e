# SPDX-License-Identifier: GPL-2.0
"""Which accelerator the outer machine (L0) uses, and why.

The CPU flags decide. A machine may show a /dev/kvm that opens and creates VMs
although its CPU has neither svm nor vmx; nothing nested runs there.
"""

import fcntl
import os

KVM_CREATE_VM = 0xAE01

# What the emulator cannot do is left out by name, so that it warns of nothing.
TCG_CPU = ("EPYC,+svm,+npt,+monitor,fxsr-opt=off,misalignsse=off,osvw=off,topoext=off,"
           "nrip-save=off,xsavec=off")


def cpu_flags():
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("flags"):
                return set(line.split(":", 1)[1].split())
    return set()


def nested_enabled(module):
    try:
        with open(f"/sys/module/{module}/parameters/nested", encoding="ascii") as stream:
            return stream.read().strip() in ("1", "Y")
    except OSError:
        return False


def creates_vm():
    try:
        device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"/dev/kvm: {error.strerror}"
    try:
        os.close(fcntl.ioctl(device, KVM_CREATE_VM, 0))
        return None
    except OSError as error:
        return f"/dev/kvm creates no VM: {error.strerror}"
    finally:
        os.close(device)


VENDORS = {"svm": "kvm_amd", "vmx": "kvm_intel"}


def lacking(vendor):
    """Why the hardware's own virtualization cannot be used for L1, or None."""
    if vendor not in cpu_flags():
        return f"the CPU has no {vendor}"
    if not nested_enabled(VENDORS[vendor]):
        return f"{VENDORS[vendor]} is not loaded with nested=1"
    return creates_vm()


def default_vendor():
    """The hardware's if that can be used, or the one that is emulated faster."""
    return next((vendor for vendor in VENDORS if not lacking(vendor)), "svm")


def choose(vendor):
    """("kvm", "tcg" or "bochs", why)."""
    problem = lacking(vendor)
    if not problem:
        return "kvm", (f"the CPU has {vendor}, {VENDORS[vendor]} has nested=1, "
                       "and a VM can be created")
    if vendor == "svm" and not set(VENDORS) & cpu_flags():
        problem = "the CPU shows neither svm nor vmx"
    return "tcg" if vendor == "svm" else "bochs", problem


def qemu_options(accel):
    if accel == "kvm":
        return ["-accel", "kvm", "-cpu", "host", "-smp", "2"]
    return ["-accel", "tcg,thread=multi", "-cpu", TCG_CPU, "-smp", "2"]


def slowness(vendor):
    """How much longer than on QEMU's emulation everything takes."""
    return 4 if choose(vendor or default_vendor())[0] == "bochs" else 1
