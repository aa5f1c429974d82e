# SPDX-License-Identifier: GPL-2.0
"""L0 as QEMU, emulating or on the hardware's own virtualization. L1 sees the file
system of this side over 9p."""

import contextlib
import os
import subprocess

from . import accel, cpio, nics
from .channel import Channel, Hmp
from .outer import Outer


class QemuOuter(Outer):
    MODULES = ("9p", "9pnet_virtio", "irqbypass", "ccp")

    def __init__(self, config, run_folder, chosen, icount=False, cards=(), verbose=print):
        super().__init__(config, run_folder, chosen, verbose)
        self.icount = icount
        self.cards = cards		# that L1 has, for its guests
        if cards:
            self.MODULES += nics.MODULES
        self.monitor = None
        if icount:
            self.channels["l0-hmp"] = Channel("l0-hmp", self.check_alive)
            self.monitor = Hmp(self.channels["l0-hmp"])
        self.log = os.path.join(run_folder, "l0-qemu.log")

    def _initramfs(self):
        archive = cpio.Archive()
        archive.copy("init", os.path.join(os.path.dirname(__file__), "..", "l1-init"))
        archive.copy("bin/busybox", self.config.busybox)
        archive.device("dev/console", 5, 1)
        self._order(archive)
        path = os.path.join(self.run, "l1-initramfs")
        archive.write(path)
        return path

    def _ports(self):
        """How many of the channels are serial ports of L1's."""
        return len([name for name in self.channels if name != "l0-hmp"])

    def _command(self):
        config = self.config
        options = accel.qemu_options(self.accel)
        if self.icount:
            options = ["-accel", "tcg", "-icount", "shift=0,sleep=off",
                       "-cpu", accel.TCG_CPU, "-smp", "1"]
        command = [config.need(config.qemu, "qemu"), "-machine",
                   f"q35,{nics.MACHINE}" if self.cards else "q35", *options,
                   "-m", "3072", "-nodefaults", "-display", "none", "-no-reboot",
                   "-kernel", config.need(config.l1_image, "debug-kernel" if config.l1_append else "deps"),
                   "-initrd", self._initramfs(),
                   "-append", "console=ttyS0 loglevel=6 panic=-1 oops=panic "
                              f"{'' if self.icount else 'mitigations=off '}"
                              "nowatchdog random.trust_cpu=on cryptomgr.notests "
                              f"{config.l1_append} audit=0 idle=halt {nics.APPEND if self.cards else ''}"
                              f"GM_RUN={self.run} GM_PORTS={self._ports()}",
                   "-serial", f"file:{self.console.path}",
                   "-virtfs", "local,path=/,mount_tag=host,security_model=none,"
                              "readonly=on,multidevs=remap",
                   "-virtfs", f"local,path={self.run},mount_tag=run,security_model=none",
                   *nics.outer_options(self.cards),
                   "-device", "virtio-serial-pci"]
        for folder in config.qemu_data:
            command += ["-L", folder]
        for index, (name, channel) in enumerate(self.channels.items(), start=1):
            command += ["-chardev", f"socket,id={name},fd={channel.far.fileno()}"]
            if name == "l0-hmp":
                command += ["-mon", f"chardev={name},mode=readline",
                            "-dfilter", "0xffffffff80000000..0xffffffffffffffff"]
                continue
            command += ["-device", f"virtserialport,chardev={name},name={name},nr={index}"]
        return command

    def _launch(self):
        command = self._command()
        self.say(f"L0: {os.path.basename(command[0])} -accel {self.accel} ({self.why})")
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                pass_fds=[c.far.fileno() for c in self.channels.values()],
                start_new_session=True, preexec_fn=self.child)
        for channel in self.channels.values():
            channel.far.close()

    def start(self, timeout=120):
        super().start(timeout)
        nics.prepare(self, self.cards)

    # The folder of the run, where L1 can write, is shared.

    def read_file(self, path):
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except FileNotFoundError:
            return None

    def remove_file(self, path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
