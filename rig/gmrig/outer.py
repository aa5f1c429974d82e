# SPDX-License-Identifier: GPL-2.0
"""L0 and L1: the outer emulator, and the kernel in it that runs our KVM."""

import ctypes
import os
import re
import signal
import subprocess
import time

from . import accel, cpio, elf, kmod
from .channel import Channel, Hmp, RigError, Shell, tail

PR_SET_PDEATHSIG = 1
PORTS = ("l1-shell", *(f"{guest}-{name}" for guest in ("l2", "other")
                       for name in ("console", "shell", "hmp", "qmp")))
L1_MODULES = ("9p", "9pnet_virtio", "irqbypass", "ccp")

# What must never appear on a host's console, whatever a guest does.
TROUBLE = re.compile(
    r"BUG: |kernel BUG at|Oops|general protection fault|Kernel panic|"
    r"refcount_t|INFO: task .* blocked|detected stall|self-detected stall|soft lockup|"
    r"unable to handle|invalid opcode|stack-protector|list_(add|del) corruption|"
    r"kmem_cache_destroy|VFS: Busy|usercopy: |l1-init:|"
    # lockdep and RCU; other lines say WARNING too, of what the CPU lacks
    r"WARNING: (CPU:|possible|suspicious|inconsistent|bad|[Nn]ested lock|held lock|lock held|"
    r"\S+-safe -> |\S+/\d+ still has locks)|INFO: (possible|suspicious|trying to register|"
    r"lockdep is turned off)|possible recursive locking|inconsistent lock state|"
    r"suspicious RCU usage|Invalid wait context|"
    r"sleeping function called from invalid context|"
    # the sanitizers and SLUB
    r"KASAN: |UBSAN: |ODEBUG: |BUG [\w-]+ \((?:Not t|T)ainted|\bpage dumped because")


class Console:
    """A console log that is a file on the host; reads what has been added."""

    def __init__(self, path):
        self.path = path
        self.offset = 0
        # Those of machines that have gone stay, numbered, for whoever looks.
        count = len([name for name in os.listdir(os.path.dirname(path))
                     if name.startswith(os.path.basename(path))])
        if count:
            os.rename(path, f"{path}.{count}")
        open(path, "wb").close()

    def all(self):
        with open(self.path, "rb") as stream:
            return stream.read().decode(errors="replace").replace("\r", "")

    def added(self):
        text = self.all()
        new, self.offset = text[self.offset:], len(text)
        return new


class Outer:
    def __init__(self, config, run_folder, icount=False, verbose=print):
        self.config = config
        self.run = run_folder
        self.say = verbose
        self.process = None
        self.kvm_flavour = None
        self.keeper = None
        self.icount = icount
        self.accel, self.why = ("tcg", "-icount wants it") if icount else accel.choose()
        self.console = Console(os.path.join(run_folder, "l1-console.log"))
        self.channels = {name: Channel(name, self.check_alive) for name in PORTS}
        self.shell = Shell(self.channels["l1-shell"])
        self.monitor = None
        if icount:
            self.channels["l0-hmp"] = Channel("l0-hmp", self.check_alive)
            self.monitor = Hmp(self.channels["l0-hmp"])
        self.modules = kmod.Modules(config.l1_modules)
        self.vendor = None

    def _initramfs(self):
        archive = cpio.Archive()
        archive.copy("init", os.path.join(os.path.dirname(__file__), "..", "l1-init"))
        archive.copy("bin/busybox", self.config.busybox)
        archive.device("dev/console", 5, 1)
        order = self.modules.closure(L1_MODULES)
        for name, data in order:
            archive.file(f"modules/{name}.ko", data)
        archive.file("modules/order", "".join(f"{name}\n" for name, _ in order).encode())
        path = os.path.join(self.run, "l1-initramfs")
        archive.write(path)
        return path

    def _command(self):
        config = self.config
        options = accel.qemu_options(self.accel)
        if self.icount:
            options = ["-accel", "tcg", "-icount", "shift=0,sleep=off",
                       "-cpu", accel.TCG_CPU, "-smp", "1"]
        command = [config.need(config.qemu, "qemu"), "-machine", "q35", *options,
                   "-m", "3072", "-nodefaults", "-display", "none", "-no-reboot",
                   "-kernel", config.need(config.l1_image, "debug-kernel" if config.l1_kernel == "debug"
                                           else "deps"),
                   "-initrd", self._initramfs(),
                   "-append", "console=ttyS0 loglevel=6 panic=-1 oops=panic "
                              f"{'' if self.icount else 'mitigations=off '}"
                              "nowatchdog random.trust_cpu=on cryptomgr.notests "
                              f"{'kasan_multi_shot ' if config.l1_kernel == 'debug' else ''}"
                              f"audit=0 idle=halt GM_RUN={self.run}",
                   "-serial", f"file:{self.console.path}",
                   "-virtfs", "local,path=/,mount_tag=host,security_model=none,"
                              "readonly=on,multidevs=remap",
                   "-virtfs", f"local,path={self.run},mount_tag=run,security_model=none",
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

    def start(self, timeout=120):
        libc = ctypes.CDLL(None)

        def child():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        began = time.monotonic()
        command = self._command()
        self.say(f"L0: {os.path.basename(command[0])} -accel {self.accel} ({self.why})")
        log = os.path.join(self.run, "l0-qemu.log")
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                pass_fds=[c.far.fileno() for c in self.channels.values()],
                start_new_session=True, preexec_fn=child)
        for channel in self.channels.values():
            channel.far.close()
        self.shell.ready(timeout)
        flags = set(self.shell.check("grep -m1 ^flags /proc/cpuinfo").split())
        self.vendor = "kvm-amd" if "svm" in flags else "kvm-intel"
        if not flags & {"svm", "vmx"}:
            raise RigError("L1's CPU has neither svm nor vmx")
        if self.config.l1_kernel == "debug":
            self._prove_checkers()
        self.say(f"L1: Linux {self.shell.check('uname -r').strip()} up in "
                 f"{time.monotonic() - began:.1f} s, CPU flag "
                 f"{'svm' if 'svm' in flags else 'vmx'}")

    def _prove_checkers(self):
        """A kernel that finds nothing because it does not look proves nothing."""
        self.shell.check("dmesg | grep -q 'KernelAddressSanitizer initialized' && "
                         "grep -q 'debug_locks: *1' /proc/lockdep_stats")

    def load_kvm(self, flavour):
        """Load our modules ("gm") or the unpatched ones ("stock"), and prove it."""
        self.unload_kvm()
        for module in ("kvm", self.vendor):
            path = self.config.need(self.config.kvm(flavour, module),
                                    f"kvm-{flavour}{self.config.kvm_suffix}")
            self.shell.check(f"busybox insmod {path}", timeout=60)
            with open(path, "rb") as stream:
                built = elf.build_id(stream.read()).hex()
            name = kmod.canonical(module)
            loaded = self.shell.check(
                f"od -An -v -tx1 /sys/module/{name}/notes/.note.gnu.build-id | tr -d ' \\n'")
            if loaded != built:
                raise RigError(f"L1 runs a {name} that is not {path}")
        parameter = "npt" if self.vendor == "kvm-amd" else "ept"
        state = self.shell.check(
            f"cat /sys/module/{kmod.canonical(self.vendor)}/parameters/{parameter}").strip()
        if state != "Y":
            raise RigError(f"L1: {self.vendor} runs without {parameter}")
        self.kvm_flavour = flavour
        self.say(f"L1: {flavour} kvm.ko and {self.vendor}.ko loaded (build ids match the "
                 f"built files), {parameter}=Y")

    def keep_machine(self, wanted):
        """Have a virtual machine in L1 that does nothing. A kernel patches itself when the
        first one comes and when the last one goes: a thousand times in tests that make one
        each, and an emulated CPU may see a breakpoint there that is no more."""
        if wanted and not self.keeper:
            program = self.config.need(self.config.built("raw-attacks", "raw-attacks"),
                                       "raw-attacks")
            self.keeper = int(self.shell.check(f"{program} --keep >/dev/null 2>&1 & echo $!"))
        elif not wanted and self.keeper:
            self.shell.check(f"kill {self.keeper}; "
                             f"while kill -0 {self.keeper} 2>/dev/null; do sleep 0.1; done")
            self.keeper = None

    def unload_kvm(self):
        if self.kvm_flavour:
            self.shell.check(f"busybox rmmod {kmod.canonical(self.vendor)} && "
                             "busybox rmmod kvm", timeout=60)
            self.kvm_flavour = None

    def check_alive(self):
        if self.process is None or self.process.poll() is None:
            return
        with open(os.path.join(self.run, "l0-qemu.log"), encoding="utf-8",
                  errors="replace") as stream:
            raise RigError(f"the outer machine ended (status {self.process.returncode})\n"
                           + tail(stream.read()))

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def trouble(self):
        """Lines on L1's console since the last call that no host may show."""
        text = self.console.added()
        if not TROUBLE.search(text):
            return ""
        return text

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for channel in self.channels.values():
            channel.near.close()
