# SPDX-License-Identifier: GPL-2.0
"""L0 as Bochs, which emulates VMX with EPT where nothing else does.

L1 boots from a disk of its kernel and an initramfs (gmrig/bootdisk.py). All channels
go over its second serial line (gmrig/mux.py). Files that L1 is to see are appended to
another disk, as archives, while it runs, and it unpacks them; so it has what a test
needs under the same names, and its boot is not slowed down by what no test needs.
"""

import os
import pty
import resource
import shlex
import shutil
import subprocess
import tempfile

from . import bootdisk, cpio
from .channel import RigError
from .guest import firmware
from .mux import Mux
from .outer import PORTS, Outer

IPS = 100_000_000		# instructions in a second of L1's
CPU_LIMIT = 7200		# s: no Bochs runs for longer, come what may
DISK_SIZE = 2 << 30		# sparse
BLOCK = 64 << 10		# what L1 reads at a time, so that archives begin there
BIOS = "/usr/share/bochs/BIOS-bochs-latest"
VGA_BIOS = "/usr/share/vgabios/vgabios.bin"

# What takes a second or a good part of one, and L1 has no use for.
INITCALLS = ("jent_mod_init", "trace_eval_init", "init_kprobe_trace", "bpf_tcp_ca_kfunc_init",
             "bpf_dummy_struct_ops_init", "load_system_certificate_list", "init_blk_tracer")

# Of modules and programs, what only debuggers and stack traces read; Linux digests it
# when it loads a module, sorting the table of the unwinder for seconds.
UNREAD = (".BTF", ".BTF_ids", ".orc_unwind", ".orc_unwind_ip", ".rela.orc_unwind_ip",
          "__mcount_loc", ".rela__mcount_loc")

# 2.7 (Debian 12) takes all of this, and so does 2.8.
BOCHSRC = """config_interface: textconfig
display_library: term
memory: guest={memory}, host={memory}
romimage: file={bios}
vgaromimage: file={vga_bios}
cpu: model=corei7_skylake_x, count={cpus}, ips={ips}, ignore_bad_msrs=1
clock: sync=none
ata0-master: type=disk, mode=flat, path={run}/l1-boot, cylinders=0
ata1-master: type=disk, mode=flat, path={run}/l1-disk, cylinders=0
boot: disk
com1: enabled=1, mode=file, dev={console}
com2: enabled=1, mode=term, dev={line}
sound: waveoutdrv=dummy
log: {log}
panic: action=fatal
error: action=ignore
info: action=ignore
"""


class BochsOuter(Outer):
    MODULES = ("ata_piix", "sd_mod", "irqbypass")
    # Bochs logs addresses within a page to the PML buffer, where a CPU logs those of pages.
    MODULE_OPTIONS = {"kvm-intel": "pml=0"}
    SLOW_START = True
    GUEST_APPEND = f"initcall_blacklist={','.join(INITCALLS)} "

    def __init__(self, config, run_folder, chosen, cpus=1, memory=1024, guests=True,
                 verbose=print):
        super().__init__(config, run_folder, chosen, verbose)
        self.guests = guests		# L1 will have some
        self.cpus = cpus
        self.memory = memory
        self.log = self._path("l0-bochs.log")
        self.mux = None
        self.brought = {}		# path: what it was when L1 got it
        self.disk_end = 0
        self.terminals = []

    def _path(self, name):
        return os.path.join(self.run, name)

    def _append(self):
        return ("console=ttyS0,115200 loglevel=5 no_timer_check mitigations=off nowatchdog "
                "panic=-1 oops=panic random.trust_cpu=on cryptomgr.notests audit=0 "
                f"tsc_early_khz={IPS // 1000} initcall_blacklist={','.join(INITCALLS)} "
                "idle=halt "
                f"GM_RUN={self.run} GM_LINE=/dev/ttyS1")

    def _initramfs(self):
        config, archive = self.config, cpio.Archive()
        archive.copy("init", os.path.join(os.path.dirname(__file__), "..", "l1-init"))
        archive.copy("bin/busybox", config.busybox)
        archive.copy("bin/l1-mux", config.need(config.built("l1", "l1-mux"), "l1-tools"))
        archive.device("dev/console", 5, 1)
        archive.file("channels", "".join(f"/dev/gm-{name}\n" for name in PORTS).encode())
        self._order(archive)
        self.brought = {}
        if self.guests:
            # All that is large: the boot disk is read faster than the other one.
            kernel = self.guest_kernel(config.kernel_image)
            self._add(archive, cpio.linked(config.need(config.qemu, "qemu")), self.slim)
            self._add(archive, [kernel, *firmware(config)], bytes)
        archive.write(self._path("l1-initramfs"))
        return self._path("l1-initramfs")

    def _boot_disk(self):
        sector = self.config.need(self.config.built("l1", "boot.bin"), "l1-tools")
        bootdisk.write(self._path("l1-boot"), sector, self.config.need(self.config.l1_image, "deps"),
                       self._initramfs(), self._append())

    @staticmethod
    def _quiet(command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise RigError(f"{command[0]} ended with {done.returncode}:\n"
                           + done.stdout.decode(errors="replace"))

    def _terminal(self):
        near, far = pty.openpty()
        self.terminals += [near, far]
        return near, far

    @staticmethod
    def _limited():
        Outer.child()
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT))

    def _launch(self):
        program = self._program()
        self._boot_disk()
        self.disk_end = 0
        with open(self._path("l1-disk"), "wb") as disk:
            disk.truncate(DISK_SIZE)
        line, far_line = self._terminal()
        screen, far_screen = self._terminal()
        with open(self._path("bochsrc"), "w", encoding="utf-8") as stream:
            stream.write(BOCHSRC.format(
                memory=self.memory, bios=BIOS, vga_bios=VGA_BIOS, cpus=self.cpus, ips=IPS,
                run=self.run, console=self.console.path, line=os.ttyname(far_line),
                log=self.log))
        command = [program, "-q", "-f", self._path("bochsrc")]
        if b"-rc " in subprocess.run([program, "--help"], stdin=subprocess.DEVNULL, check=False,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout:
            # One that is built with its debugger, and waits to be told to go on.
            with open(self._path("bochs-start"), "w", encoding="ascii") as stream:
                stream.write("c\n")
            command += ["-rc", self._path("bochs-start")]
        self.say(f"L0: {program}, {self.cpus} CPU ({self.why})")
        self.process = subprocess.Popen(
            command, stdin=far_screen, stdout=far_screen, stderr=far_screen, cwd=self.run,
            env={**os.environ, "TERM": "vt100"}, start_new_session=True,
            preexec_fn=self._limited)
        self.mux = Mux(line, [self.channels[name] for name in PORTS], screen,
                       self._path("l0-screen.log"))

    def _program(self):
        for path in (BIOS, VGA_BIOS):
            self.config.need(path, "deps")
        return self.config.need(shutil.which("bochs") or "bochs", "deps")

    def slim(self, data):
        """Without what need not be there."""
        with tempfile.NamedTemporaryFile(dir=self.run) as stream:
            stream.write(data)
            stream.flush()
            self._quiet(["objcopy", "-g", *(f"-R{name}" for name in UNREAD), stream.name])
            with open(stream.name, "rb") as smaller:
                return smaller.read()

    def bring(self, *paths):
        self._bring(paths, bytes)

    def bring_module(self, path):
        self._bring([path], self.slim)

    def _add(self, archive, paths, change):
        """Put those files into the archive that L1 does not have as they are now; are there any?"""
        added = False
        for path in paths:
            status = os.stat(path)
            state = (status.st_size, status.st_mtime_ns, status.st_ino)
            if self.brought.get(path) != state:
                with open(path, "rb") as stream:
                    archive.file(path.lstrip("/"), change(stream.read()), 0o755)
                self.brought[path] = state
                added = True
        return added

    def _bring(self, paths, change):
        archive = cpio.Archive()
        if not self._add(archive, paths, change):
            return
        with tempfile.NamedTemporaryFile(dir=self.run) as stream:
            archive.write(stream.name)
            data = stream.read()
        blocks = -(-len(data) // BLOCK)
        start = self.disk_end
        self.disk_end += blocks
        if self.disk_end * BLOCK > DISK_SIZE:
            raise RigError("L1's disk is full")
        with open(self._path("l1-disk"), "r+b") as disk:
            disk.seek(start * BLOCK)
            disk.write(data)
        # What L1 has read ahead is not what is there now.
        self.shell.check(f"blockdev --flushbufs /dev/sdb && cd / && "
                         f"dd if=/dev/sdb bs={BLOCK} skip={start} count={blocks} 2>/dev/null | "
                         "cpio -idmu 2>/dev/null", 60)

    def bring_program(self, path):
        self._bring(cpio.linked(path), self.slim)

    def guest_kernel(self, path):
        """Unpacked, which QEMU starts as a PVH guest: unpacking takes longer in there than
        all else that it does when it starts."""
        plain = self._path("vmlinux")
        if not os.path.exists(plain):
            with open(plain, "wb") as stream:
                stream.write(bootdisk.unpacked(path))
        return plain

    def start(self, timeout=400):
        super().start(timeout)
        # Linux warns of a CPU that does not exist like this; what a host must not
        # say is what it says from now on.
        self.console.skip()

    def read_file(self, path):
        quoted = shlex.quote(path)
        status, text = self.shell.run(f"[ -e {quoted} ] && cat {quoted}")
        return None if status else text

    def remove_file(self, path):
        self.shell.check(f"rm -f {shlex.quote(path)}")

    def check_alive(self):
        super().check_alive()
        if self.mux is not None and self.mux.error is not None:
            raise RigError(str(self.mux.error))

    def stop(self):
        if self.alive():
            self.process.kill()
            self.process.wait()
        if self.mux is not None:
            self.mux.stop()
            self.mux = None
        super().stop()
        for terminal in self.terminals:
            os.close(terminal)
        self.terminals = []
        for name in ("l1-disk", "l1-boot"):
            for path in (self._path(name), self._path(f"{name}.lock")):
                if os.path.exists(path):
                    os.unlink(path)
