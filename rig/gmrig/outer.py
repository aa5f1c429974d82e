# SPDX-License-Identifier: GPL-2.0
"""L1, the machine whose kernel runs our KVM: what holds in whichever emulator (L0)
it runs. gmrig/qemu.py and gmrig/bochs.py are the two."""

import ctypes
import os
import re
import signal
import time

from . import elf, kmod
from .channel import Channel, RigError, Shell, tail

PR_SET_PDEATHSIG = 1
PORTS = ("l1-shell", *(f"{guest}-{name}" for guest in ("l2", "other")
                       for name in ("console", "shell", "hmp", "qmp")))

# What must never appear on a host's console, whatever a guest does.
TROUBLE = re.compile(
    r"BUG: |kernel BUG at|Oops|general protection fault|Kernel panic|"
    r"refcount_t|INFO: task .* blocked|detected stall|self-detected stall|soft lockup|"
    r"unable to handle|invalid opcode|stack-protector|list_(add|del) corruption|"
    r"kmem_cache_destroy|VFS: Busy|usercopy: |l1-init:|l1-mux:|"
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
        self.first = self.offset = 0
        # Those of machines that have gone stay, numbered, for whoever looks.
        count = len([name for name in os.listdir(os.path.dirname(path))
                     if name.startswith(os.path.basename(path))])
        if count:
            os.rename(path, f"{path}.{count}")
        open(path, "wb").close()

    def all(self):
        with open(self.path, "rb") as stream:
            return stream.read().decode(errors="replace").replace("\r", "")

    def skip(self):
        """What it says so far is of no interest."""
        self.first = self.offset = len(self.all())

    def interesting(self):
        return self.all()[self.first:]

    def added(self):
        text = self.all()
        new, self.offset = text[self.offset:], len(text)
        return new


class Outer:
    """What a kind of L0 adds: _launch() starts self.process, with self.log its words."""

    MODULES = ()			# that L1 has from the start
    MODULE_OPTIONS = {}
    SLOW_START = False		# of programs in L1
    GUEST_APPEND = ""		# to a guest's kernel command line
    cards = ()			# that it can pass to guests

    def __init__(self, config, run_folder, chosen, verbose=print):
        self.config = config
        self.run = run_folder
        self.say = verbose
        self.accel, self.why = chosen
        self.process = None
        self.log = None
        self.kvm_flavour = None
        self.keeper = None
        self.stream = None		# of verdicts, that the shell is busy with
        self.console = Console(os.path.join(run_folder, "l1-console.log"))
        self.channels = {name: Channel(name, self.check_alive) for name in PORTS}
        self.shell = Shell(self.channels["l1-shell"])
        self.modules = kmod.Modules(config.l1_modules)
        self.vendor = None

    def _launch(self):
        raise NotImplementedError

    @staticmethod
    def child():
        """In the emulator's process, before it is one: it must not outlive the rig."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def _order(self, archive):
        """Put the modules of L1's kernel into the archive, in load order."""
        order = self.modules.closure(self.MODULES)
        for name, data in order:
            archive.file(f"modules/{name}.ko", self.slim(data))
        archive.file("modules/order", "".join(f"{name}\n" for name, _ in order).encode())

    @staticmethod
    def slim(data):
        """An object as L1 is to have it."""
        return data

    # Files: L1 sees them under the same names as this side.

    def bring(self, *paths):
        """Have L1 see these files as they are now."""

    def bring_module(self, path):
        """The same of a module of L1's kernel."""

    def bring_program(self, path):
        """The same of a program, with the libraries that it is linked with."""

    def guest_kernel(self, path):
        """What QEMU in L1 is to start of a guest's kernel image."""
        return path

    def read_file(self, path):
        """What L1 has in the file, or None if there is none."""
        raise NotImplementedError

    def remove_file(self, path):
        raise NotImplementedError

    def start(self, timeout=120):
        began = time.monotonic()
        self._launch()
        self.shell.ready(timeout)
        flags = set(self.shell.check("grep -m1 ^flags /proc/cpuinfo").split())
        self.vendor = "kvm-amd" if "svm" in flags else "kvm-intel"
        if not flags & {"svm", "vmx"}:
            raise RigError("L1's CPU has neither svm nor vmx")
        if self.config.l1_append:
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
            suffix = "" if flavour.endswith("-coverage") else self.config.kvm_suffix
            path = self.config.need(self.config.kvm(flavour, module), f"kvm-{flavour}{suffix}")
            self.bring_module(path)
            self.shell.check(f"busybox insmod {path} {self.MODULE_OPTIONS.get(module, '')}",
                             timeout=60)
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
            self.bring(program)
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
        if self.alive() or self.process is None:
            return
        with open(self.log, encoding="utf-8", errors="replace") as stream:
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
        if self.alive():
            self.process.kill()
            self.process.wait()
        for channel in self.channels.values():
            channel.near.close()
