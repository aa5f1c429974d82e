# SPDX-License-Identifier: GPL-2.0
"""What the measurements share: exact costs in instructions, from programs that
run in L1, where a tick of the TSC is one, and print samples. That is so under QEMU's
-icount, which emulates SVM, and in Bochs, which emulates VMX."""

import contextlib
import os
import subprocess
import sys

from .bochs import BochsOuter
from .case import Failed
from .channel import QmpError, RigError
from .config import Config, ConfigError
from .qemu import QemuOuter
from .session import run_folder

TIMEOUT = 300
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def build(config, name):
    """The program of that name, from bench/NAME.c."""
    folder = config.built("bench")
    os.makedirs(folder, exist_ok=True)
    program = os.path.join(folder, name)
    tests = os.path.join(TOP, "kvm-gm", "tests")
    subprocess.run(["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static",
                    "-I", os.path.join(TOP, "kvm-gm", "include", "uapi"), "-I", tests,
                    "-o", program, os.path.join(TOP, "bench", f"{name}.c"),
                    os.path.join(tests, "machine.c")], check=True)
    return program


class Figures:
    """min, p50 and p99 of samples."""

    def __init__(self, samples):
        ordered = sorted(samples)
        self.min = ordered[0]
        self.p50 = ordered[len(ordered) // 2]
        self.p99 = ordered[len(ordered) * 99 // 100]

    def show(self, what):
        print(f"{what:34} min {self.min:6}   p50 {self.p50:6}   p99 {self.p99:6}", flush=True)


def measure(outer, command):
    """Figures of each column that the command prints; its first word is a program of build()."""
    outer.bring(command.split()[0])
    rows = [[int(word) for word in line.split()]
            for line in outer.shell.check(command, TIMEOUT).splitlines()]
    return [Figures(column) for column in zip(*rows)]


@contextlib.contextmanager
def counting_l1(config, run, vendor="svm", cards=()):
    """An L1 that counts instructions, and has these cards; its kernel must not complain. On
    SVM it runs with its mitigations, on VMX without."""
    def say(text):
        print(text, flush=True)

    if vendor == "vmx":
        outer = BochsOuter(config, run, ("bochs", "it counts instructions"), verbose=say)
    else:
        outer = QemuOuter(config, run, ("tcg", "-icount wants it"), icount=True,
                          cards=cards, verbose=say)
    try:
        outer.start(timeout=TIMEOUT)
        yield outer
        trouble = outer.trouble()
        if trouble:
            raise RigError(f"L1's kernel complained:\n{trouble}")
    finally:
        outer.stop()


def exit_with(name, measurements):
    """Run measurements(config, its folder), which returns the exit status."""
    try:
        config = Config()
        folder, _lock = run_folder(config)
        status = measurements(config, folder)
    except (ConfigError, Failed, QmpError, RigError, OSError,
            subprocess.CalledProcessError) as error:
        sys.exit(f"{name}: {error}")
    sys.exit(status)


def with_l1(name, measurements, vendor="svm"):
    """Run measurements(config, outer), which returns the exit status, in one such L1."""
    def run_them(config, run):
        with counting_l1(config, run, vendor) as outer:
            return measurements(config, outer)

    exit_with(name, run_them)
