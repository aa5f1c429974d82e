# SPDX-License-Identifier: GPL-2.0
"""docs/operator.md, done: its commands in its order, in the rig in place of a host
and a guest, and its outputs compared with what comes of them. With GM_UPDATE_DOC=1 what
comes of them is written into the document instead.

The host's root is an overlay in L1's memory: this machine's file system, with what
`make install' installs on top. The document's guest is started by the document's own
gm-run; the rig adds its own shell and monitors to that, and fewer seconds of booting."""

import os
import re
import shlex
import shutil
import subprocess
import time

from ..case import case, expect
from ..channel import RigError, tail
from ..config import TOP
from ..document import matches, parse, rewritten
from ..guest import COMMAND_LINE, MODPROBED, Boot, Guest

DOCUMENT = os.path.join(TOP, "docs", "operator.md")
UPDATE = "GM_UPDATE_DOC"
FOLDER = "/etc/guarded-modules"		# where the document is, on the host
SOURCE = "/usr/src/guarded-modules"		# its clone of the project
GUEST = "/srv/web"				# its guest's kernel and initramfs
LOOKS = re.compile(r"info |gmctl (list|info)|cat |tail |dmesg|grep ")
SETTLE = 5			# s, for what shows a little later
AT_ONCE = 2			# s, the same, where nobody knows what it will show

MOUNT = """
set -e
modprobe overlay
mkdir -p /run/operator && mount -t tmpfs tmpfs /run/operator
cd /run/operator
mkdir upper work root
cp -a {installed}/. upper
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
ln -sf /proc/self/fd/0 /dev/stdin	# which udev would do
for dir in proc sys dev run; do mount -o rbind /$dir root/$dir; done
rm -rf root{folder} root{source}
mkdir -p root{folder} root{source}/build/guest/attack root{guest}
cp {build}/guest/attack/gm_probe.ko root{source}/build/guest/attack
"""
ROOT = "/run/operator/root"


class OperatorGuest(Guest):
    """A guest that the document's gm-run starts."""

    def __init__(self, outer, command):
        super().__init__(outer, Boot("operator", tools=True, modprobed=(*MODPROBED, "e1000e")))
        self.run_command = command

    def _command(self):
        files = (self.config.kernel_image, self._initramfs())
        self.outer.shell.check(f"cp {files[0]} {ROOT}{GUEST}/vmlinuz && "
                               f"cp {files[1]} {ROOT}{GUEST}/initrd.img", 60)
        added = ["-serial", "chardev:shell", "-mon", "chardev=hmp,mode=readline",
                 "-mon", "chardev=qmp,mode=control"]
        for name in ("shell", "hmp", "qmp"):
            added[:0] = ["-chardev", f"pipe,id={name},path=/dev/gm-{self.which}-{name}"]
        command, redirection, log = self.run_command.partition(" 2>")
        command = command.replace("console=ttyS0", shlex.quote(COMMAND_LINE))
        if " -- " not in command:
            command += " --"
        command = (f"{command} {shlex.join(added)} <>/dev/gm-{self.which}-console >&0"
                   f"{redirection}{log}")
        return ["chroot", ROOT, "/bin/bash", "-c", f"cd {FOLDER} && exec {command}"]


class Operator:
    def __init__(self, bench):
        self.bench = bench
        self.guest = None
        self.booting = False		# it has been reset, and is not up again

    def prepare(self):
        installed = self.bench.file("installed")
        subprocess.run(["make", "-s", "install-built", f"DESTDIR={installed}",
                        "PREFIX=/usr/local"], cwd=TOP, check=True, stdin=subprocess.DEVNULL)
        # What modprobe finds is the rig's business: its KVM is loaded already.
        shutil.rmtree(os.path.join(installed, "lib"))
        # Large, and this folder is slow for L1: nothing of it is cached.
        qemu = os.path.join(installed, "usr/local/bin/qemu-system-x86_64-gm")
        os.unlink(qemu)
        os.symlink(self.bench.config.qemu, qemu)
        self.bench.l1(MOUNT.format(installed=installed, folder=FOLDER, source=SOURCE,
                                   guest=GUEST, build=self.bench.config.build), 60)

    def host(self, command):
        if re.match(r"gm-run (?!--check|--dry-run)", command):
            self.bench.session.drop_guest()
            self.guest = OperatorGuest(self.bench.outer, command)
            self.bench.session.current_guest = self.guest
            try:
                self.guest.start()
            except RigError as error:
                raise RigError(f"{error}\n  gm-run said:\n" + tail(self.host(
                    f"cat {command.partition(' 2>')[2]}"))) from None
            return ""
        script = f"cd {FOLDER} && {{ {command}\n}}"
        _, output = self.bench.outer.shell.run(
            f"chroot {ROOT} /bin/bash -c {shlex.quote(script)}", 60)
        return output

    def monitor(self, command):
        if command == "system_reset":
            self.guest.shell.channel.clear()
            self.booting = True
        return self.guest.hmp.run(command, 60)

    def in_guest(self, command):
        if self.booting:
            self.guest.shell.ready(90)
            self.booting = False
        if command.endswith("&"):	# the guest may not get to say that it has begun
            self.guest.shell.channel.send(f"{command}\n".encode())
            return ""
        return self.guest.shell.run(command, 60)[1]

    def run(self, step):
        """The lines that come of it."""
        perform = {"host#": self.host, "guest#": self.in_guest, "(qemu)": self.monitor}
        output = perform[step.prompt](step.command)
        return [line.rstrip() for line in output.expandtabs().rstrip("\n").split("\n")
                if output.strip()]


def fits(operator, step, output, patient=True):
    """Does the output, or a later look, show what the document shows?"""
    deadline = time.monotonic() + SETTLE
    while not matches(step.output, output):
        if not (patient and LOOKS.match(step.command)) or time.monotonic() > deadline:
            return False, output
        time.sleep(0.3)
        output = operator.run(step)
    return True, output


@case
def operator_doc(bench):
    with open(DOCUMENT, encoding="utf-8") as stream:
        text = stream.read()
    steps = parse(text)
    update = bool(os.environ.get(UPDATE))
    operator = Operator(bench)
    operator.prepare()
    outputs = []
    try:
        for step in steps:
            if step.reason:
                continue
            if update and LOOKS.match(step.command):
                time.sleep(AT_ONCE)
            good, output = fits(operator, step, operator.run(step), patient=not update)
            if not good:
                outputs.append((step, output))
    finally:
        if update:
            with open(DOCUMENT, "w", encoding="utf-8") as stream:
                stream.write(rewritten(text, outputs))
            bench.note(f"{UPDATE}: {len(outputs)} outputs were written anew")
    ran = sum(not step.reason for step in steps)
    bench.note(f"{ran} of the document's {len(steps)} commands ran; the others are marked:")
    for reason in dict.fromkeys(step.reason for step in steps if step.reason):
        bench.note(f"  {sum(step.reason == reason for step in steps)} {reason}")
    expect(ran, "no command ran")
    expect(update or not outputs, "\n".join(
        f"line {step.line}: {step.prompt} {step.command}\n" + tail("\n".join(output), 60)
        + "\n  the document says\n" + tail("\n".join(step.output), 60)
        for step, output in outputs))


def literals(path):
    """The string literals of a C file, adjacent ones joined, conversions as `%'."""
    with open(path, encoding="utf-8") as stream:
        text = re.sub(r'"\s*PRI\w+\s*(?=")', '"', stream.read())
        text = re.sub(r'%"\s*(?:PRI|HWADDR_PRI)\w+\s*"', '%', text)
    text = re.sub(r'"\s*TYPE_GUARDED_MODULES\s*"', "guarded-modules", text)
    text = re.sub(r'"\s*"', "", text)
    return "\n".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', text))


@case
def operator_texts(bench):
    """Each message of the tables, up to what varies in it, is in some source."""
    sources = []
    for folder in ("qemu-gm/files/hw/misc/gm", "tools/src", "guest", "gmcc"):
        for top, _, names in os.walk(os.path.join(TOP, folder)):
            sources += [literals(os.path.join(top, name)) for name in names
                        if name.endswith((".c", ".h"))]
    sources = "\n".join(sources)
    with open(DOCUMENT, encoding="utf-8") as stream:
        text = stream.read()
    rows = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    expect(len(rows) > 20, f"only {len(rows)} messages in the document's table")
    for row in rows:
        for part in filter(None, (piece.strip(" '") for piece in row.split("…"))):
            expect(part in sources, f"no source says {part!r}, as {row!r} has it")
    bench.note(f"{len(rows)} messages")

    # operator-doc notices each line that is not as it should be.
    for step in parse(text):
        where = f"line {step.line}"
        expect(matches(step.output, step.output), f"{where}: the output is not like itself")
        expect(not matches(step.output, [*step.output, "more"]), f"{where}: takes more lines")
        for n in range(len(step.output)):
            other = [*step.output[:n], "other", *step.output[n + 1:]]
            expect(not matches(step.output, other), f"{where}: takes anything for line {n}")
