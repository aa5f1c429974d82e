# SPDX-License-Identifier: GPL-2.0
"""L2: the guest, run by our QEMU in L1 on the KVM that is loaded there."""

import os
import re
import shlex
import shutil
import subprocess
import time

from . import cpio, kmod, loads, nics
from .channel import Hmp, Patience, Qmp, RigError, Shell, tail
from .config import TOP

GUEST_MODULES = ("dummy", "pktgen")
MODPROBED = ("dummy", "pktgen", "ip_gre")	# below /lib/modules, for modprobe
TOOLS = os.path.join(TOP, "rig", "l2-bin")
OOPS = re.compile(r"Oops|BUG: |general protection fault|Kernel panic|WARNING: CPU:|"
                  r"unable to handle|invalid opcode|soft lockup|stall")

COMMAND_LINE = ("console=ttyS0 loglevel=5 panic=-1 mitigations=off nowatchdog "
                "random.trust_cpu=on cryptomgr.notests audit=0")
RCU_STALL = 21			# s, Linux's own limit, on a host of usual speed
# Devices to be granted, and to try DMA on what is.
EDUS = ["-device", "edu,id=edu0", "-device", "edu,id=edu1,dma_mask=0xffffffff",
        "-object", "memory-backend-ram,id=shm,size=64K,share=on",
        "-device", "ivshmem-plain,id=shm0,memdev=shm,master=on"]
ETHTOOL = "/usr/sbin/ethtool"
FIRMWARE = ("bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "pvh.bin")
EXIT_INTERVAL = 2		# s, between two looks whether QEMU has ended
QMP_SOCKET = "/run/guest.qmp"		# of gm-run, in L1
COUNTS = "cd /sys/kernel/debug/kvm && for i in 1 2; do grep -r . */vcpu*/ | sort; done"
WHERE = re.compile(r"VM status|CPU#|RIP=|CR0=|GS =")


def firmware(config):
    """The paths of what QEMU itself needs to start a guest."""
    paths = (os.path.join(folder, name) for folder in config.qemu_data for name in FIRMWARE)
    return filter(os.path.exists, paths)


class Boot:
    """How a guest is started; tests that name the same one share it."""

    def __init__(self, name, device=True, cpus=2, memory=384, policy="inject",
                 kexec=False, loads=False, tools=False, slot=False, launcher=False,
                 modprobed=MODPROBED, cards=(), programs=(), sleeps=False, append=""):
        self.name = name
        self.device = device
        self.cpus = cpus
        self.memory = memory
        self.policy = policy
        self.kexec = kexec	# the guest has its kernel and initramfs, to start again
        self.loads = loads		# has the modules of loads.toml, and devices for them
        self.slot = slot		# the device is in a slot that can be switched off
        self.tools = tools		# has the distribution's kmod and udev, not busybox alone
        self.launcher = launcher	# is started by gm-run
        self.modprobed = modprobed	# and these modules for kmod
        self.programs = programs	# of ours, static, in its /bin
        self.append = append		# to the kernel's command line
        self.sleeps = sleeps		# without exits, by QEMU's own option
        self.cards = tuple(nics.CARDS[name] for name in cards)	# passed through


def keyring(guest):
    """The tests' keyring as a file of this guest's own."""
    shutil.copyfile(guest.config.need(guest.config.built("keys", "keyring.pem"), "images"),
                    guest.keyring)


class Guest:
    def __init__(self, outer, boot, which="l2"):
        self.outer = outer
        self.config = outer.config
        self.boot = boot
        self.which = which		# of the two sets of channels
        channels = outer.channels
        self.console = channels[f"{which}-console"]
        self.shell = Shell(channels[f"{which}-shell"])
        self.hmp = Hmp(channels[f"{which}-hmp"])
        self.qmp = Qmp(channels[f"{which}-qmp"])
        self.keyring = os.path.join(outer.run, "keyring.pem")
        self.console_path = os.path.join(outer.run, f"{which}-console.log")
        self.pid_path = os.path.join(outer.run, f"{which}-pid")
        self.exit_path = os.path.join(outer.run, f"{which}-exit")
        self.state_path = os.path.join(outer.run, f"{which}-state.log")
        self.log_path = os.path.join(outer.run, f"{which}-qemu.log")
        self.modules = kmod.Modules(self.config.kernel_modules)
        self.kernel = outer.guest_kernel(self.config.kernel_image)
        self.seen = 0
        self.running = False
        self.looked = 0

    def _initramfs(self):
        archive = cpio.Archive()
        archive.copy("init", os.path.join(os.path.dirname(__file__), "..", "l2-init"))
        archive.copy("bin/busybox", self.config.busybox)
        archive.device("dev/console", 5, 1)
        names = loads.stock_modules() if self.boot.loads else GUEST_MODULES
        names = [*names, *(card.name for card in self.boot.cards)]
        for name, data in self.modules.closure(names):
            archive.file(f"modules/{name}.ko", data)
        if self.boot.cards:
            archive.program(ETHTOOL)
            archive.link(f"bin/{os.path.basename(ETHTOOL)}", ETHTOOL)
        for path, mode in ((self.config.built("guest", "gm-load"), 0o755),
                           (self.config.built("guest", "gm-try"), 0o755),
                           (self.config.built("guest", "gm-traffic"), 0o755),
                           (self.config.built("guest", "attack", "gm_attack.ko"), 0o644),
                           (self.config.built("guest", "attack", "gm_order.ko"), 0o644),
                           (self.config.built("guest", "attack", "gm_reach.ko"), 0o644)):
            if os.path.exists(path):
                folder = "bin" if mode == 0o755 else "modules"
                archive.copy(f"{folder}/{os.path.basename(path)}", path, mode)
        for path in self.boot.programs:
            archive.copy(f"bin/{os.path.basename(path)}", path)
        for name in sorted(os.listdir(TOOLS)):
            archive.copy(f"bin/{name}", os.path.join(TOOLS, name))
        if self.boot.tools:
            self._tools(archive)
        path = os.path.join(self.outer.run, f"{self.which}-initramfs")
        archive.write(path)
        if self.boot.kexec:
            # The kernel unpacks one archive after the other.
            more = cpio.Archive()
            more.copy("bin/gm-kexec", self.config.built("guest", "gm-kexec"))
            more.copy("kexec/kernel", self.config.kernel_image, 0o644)
            more.copy("kexec/initramfs", path, 0o644)
            more.write(path + "-kexec")
            with open(path, "ab") as stream, open(path + "-kexec", "rb") as second:
                stream.write(second.read())
        return path

    def _tools(self, archive):
        """kmod and udev, a folder of modules for them, and what install-guest installs."""
        root = os.path.join(self.outer.run, "guest-root")
        subprocess.run(["make", "-s", "install-guest", f"DESTDIR={root}", "PREFIX=/usr"],
                       cwd=TOP, check=True, stdin=subprocess.DEVNULL)
        archive.tree(root)
        for path in ("/bin/kmod", "/usr/bin/udevadm", "/usr/bin/flock"):
            archive.program(path)
        for name in ("modprobe", "depmod", "lsmod"):
            archive.link(f"sbin/{name}", "/bin/kmod")
        archive.link("lib/systemd/systemd-udevd", "/usr/bin/udevadm")
        folder = f"lib/modules/{self.config.kernel_release}"
        for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
            archive.copy(f"{folder}/{name}",
                         os.path.join(self.config.kernel_modules, name), 0o644)
        for name, data in self.modules.closure(self.boot.modprobed):
            path = os.path.relpath(self.modules.paths[name], self.config.kernel_modules)
            archive.file(f"{folder}/{path.removesuffix('.xz')}", data)
        archive.file("etc/passwd", b"root:x:0:0::/:/bin/sh\n")
        archive.file("etc/group", b"root:x:0:\n")

    def _command(self):
        boot, config = self.boot, self.config
        append = (f"{COMMAND_LINE} {self.outer.GUEST_APPEND}{boot.append} "
                  f"{nics.GUEST_APPEND if boot.cards else ''}rcupdate.rcu_cpu_stall_timeout="
                  f"{round(RCU_STALL * Patience.factor)}")
        if boot.launcher:
            return [config.built("tools", "gm-run"), "--no-console", "--qemu", config.qemu,
                    "--cpus", str(boot.cpus), "--memory", f"{boot.memory}M",
                    "--kernel", self.kernel, "--initrd", self._initramfs(),
                    "--append", append, "--keyring", self.keyring, "--policy", boot.policy,
                    "--verifier", config.built("gmcc", "gmcc"), "--qmp", QMP_SOCKET,
                    "--", "-no-reboot", *self._data(), *self._channels(), *EDUS]
        accel = "kvm"
        command = [config.qemu, "-machine", "q35",
                   "-cpu", "host,svm=off,vmx=off", "-smp", str(boot.cpus),
                   "-m", str(boot.memory), "-nodefaults", "-display", "none",
                   "-no-reboot", "-kernel", self.kernel,
                   "-initrd", self._initramfs(), "-append", append,
                   *self._data(), *self._channels()]
        if boot.device:
            accel += ",guarded-modules=on"
            if boot.slot:
                command += ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
                            "-device", "pcie-root-port,id=gm-slot,chassis=1,slot=1"]
            command += ["-device", f"guarded-modules,id=gm0,keyring={self.keyring},"
                                   f"violation-policy={boot.policy}"
                                   f"{',bus=gm-slot' if boot.slot else ''}", *EDUS]
        if boot.loads:
            command += self._devices()
        if boot.sleeps:
            command += ["-overcommit", "cpu-pm=on"]
        command += nics.guest_options(boot.cards)
        return command + ["-accel", accel]

    def _data(self):
        return [word for folder in self.config.qemu_data for word in ("-L", folder)]

    def _channels(self):
        return [*(word for name in ("console", "shell", "hmp", "qmp") for word in
                  ("-chardev", f"pipe,id={name},path=/dev/gm-{self.which}-{name}")),
                "-serial", "chardev:console", "-serial", "chardev:shell",
                "-mon", "chardev=hmp,mode=readline", "-mon", "chardev=qmp,mode=control"]

    @staticmethod
    def _cards():
        """Network cards, each with a network of its own, and servers there (l2-bin/nic)."""
        cards = ("virtio-net-pci", "ne2k_pci", "pcnet", "i82557b", "e1000", "e1000e", "igb")
        return [word for card in cards
                for word in ("-netdev", f"user,id=net-{card},"
                             "guestfwd=tcp:10.0.2.100:7-cmd:sha256sum,"
                             "guestfwd=tcp:10.0.2.100:19-cmd:seq 150000",
                             "-device", f"{card},netdev=net-{card},romfile=")]

    def _devices(self):
        """For the drivers among the modules: a disk of numbered lines, and more."""
        disk = os.path.join(self.outer.run, "l2-disk")
        with open(disk, "w", encoding="ascii") as stream:
            stream.writelines(f"line {number:010}\n" for number in range(1 << 18))
        return ["-drive", f"if=none,id=disk,format=raw,file={disk}",
                "-device", "virtio-blk-pci,drive=disk",
                *self._cards(),
                "-device", "virtio-rng-pci", "-device", "virtio-balloon-pci",
                "-chardev", f"file,id=printer,path={self.outer.run}/l2-printer",
                "-device", "isa-parallel,chardev=printer",
                "-virtfs", f"local,path={self.outer.run},mount_tag=run,security_model=none"]

    def _bring(self):
        """Have L1 see what QEMU, as _command() starts it, reads."""
        self.outer.bring_program(self.config.qemu)
        self.outer.bring(*firmware(self.config), self.kernel,
                         os.path.join(self.outer.run, f"{self.which}-initramfs"))
        if self.boot.device:
            self.outer.bring(self.keyring)

    def launch(self):
        """Start QEMU, and wait for nothing."""
        for channel in (self.console, self.shell.channel, self.hmp.channel,
                        self.qmp.channel):
            channel.clear()
            channel.alive = self.check_alive
        if self.console.log:
            self.console.log.close()
        self.console.log = open(self.console_path, "wb")
        self.outer.remove_file(self.exit_path)
        command = self._command()
        self._bring()
        self.outer.shell.check(
            f"{{ {shlex.join(command)} & echo $! >{self.pid_path}; wait $!; "
            f"echo $? >{self.exit_path}; }} >{self.log_path} 2>&1 &")
        self.running = True

    def start(self, timeout=120):
        began = time.monotonic()
        self.launch()
        try:
            self.qmp.ready(timeout)
            self.hmp.ready(timeout)
            self.shell.ready(timeout)
        except RigError as error:
            raise RigError(f"L2 did not come up: {error}\n  its console ends with:\n"
                           + tail(self.console_text())) from None
        if not self.qmp.execute("query-kvm")["enabled"]:
            raise RigError("L2 runs without KVM")
        self.shell.check("dmesg | grep -q 'Hypervisor detected: KVM'")
        self.seen = len(self.console_text())
        self.outer.say(f"L2: Linux {self.shell.check('uname -r').strip()}, "
                       f"{self.boot.cpus} CPUs, boot '{self.boot.name}', up in "
                       f"{time.monotonic() - began:.1f} s, its kernel detects KVM")

    def where(self):
        """Where the guest stands: QEMU's own words, and the CPUs' registers twice. All of
        them, the stacks and KVM's counts of exits are in a file beside the consoles."""
        parts = ["QEMU in L1 said:\n" + tail(self.said())]
        commands = ["info status", "info registers -a", "info registers -a"]
        for cpu in range(self.boot.cpus):
            commands += [f"cpu {cpu}", "x /16i $eip", "x /64gx $esp"]
        with open(self.state_path, "w") as state:
            for command in commands:
                try:
                    answer = self.hmp.run(command, 5)
                except RigError:
                    return "\n".join(parts + ["L2's monitor does not answer"])
                print(f"# {command}\n{answer}", file=state)
                if command.startswith("info"):
                    parts.append(tail("\n".join(
                        line for line in answer.splitlines() if WHERE.match(line)), 100))
            try:
                print(self.outer.shell.check(COUNTS), file=state)
            except RigError:
                return "\n".join(parts + ["L1's shell does not answer"])
        return "\n".join(parts)

    def console_text(self):
        self.console.drain()
        self.console.pending = b""
        with open(self.console_path, "rb") as stream:
            return stream.read().decode(errors="replace").replace("\r", "")

    def console_added(self):
        """The console's text since the last call."""
        text = self.console_text()
        new, self.seen = text[self.seen:], len(text)
        return new

    def check_alive(self):
        self.outer.check_alive()	# first: without it the console has nothing to say
        self.console_text()
        # Not each time: it may be a question that L1 has to answer.
        if not self.running or time.monotonic() < self.looked + EXIT_INTERVAL:
            return
        self.looked = time.monotonic()
        if self.exit_status() is not None:
            self.running = False
            raise RigError("QEMU in L1 ended:\n" + tail(self.said())
                           + "\n  L2's console ends with:\n" + tail(self.console_text()))

    def said(self):
        """What QEMU has written, but for what the channels carry."""
        return self.outer.read_file(self.log_path) or ""

    def exit_status(self):
        """QEMU's, or None while it runs."""
        text = self.outer.read_file(self.exit_path)
        return int(text) if text and text.endswith("\n") else None

    def alive(self):
        return self.running and self.outer.alive() and self.exit_status() is None

    def stop(self, signal="KILL"):
        if self.alive():
            self.outer.shell.run(f"kill -{signal} $(cat {self.pid_path}); "
                                 f"while ! [ -s {self.exit_path} ]; do sleep 0.1; done", 30)
        self.running = False
