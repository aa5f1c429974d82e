# SPDX-License-Identifier: GPL-2.0
"""The human monitor, used at a terminal by a person who types, and what the log holds
of it afterwards. QEMU runs without KVM here: all but sealing works.

A step of a session is what is typed and, exactly, what is on the screen then: the
line of the prompt, what came below it, and the next prompt.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import time

from ..case import case, expect, expect_equal
from ..channel import Patience
from ..terminal import Terminal
from .bad_input import ask, command_without_kvm, qemu_without_kvm

PROMPT = "(qemu) "
NAMES = {"probe.gm.ko": "gm_probe.gm.ko", "dummy.gm.ko": "dummy.gm.ko",
         "dummy.old.ko": "dummy.gm.ko", "sub/unsigned.ko": "dummy.unsigned.ko"}
SIGNER = "Guarded modules test: signer"
REQUESTS = "mmio, pio=0x0-0xffff, msr=0x0-0xffffffff:rw, mwait, hostinfo"
NO_CROSSINGS = ("  crossings:  in-call 0, out-return 0, out-call 0, in-return 0, event-exit 0, "
                "resume 0")
AUDIT = re.compile(r"guarded-modules: audit: (.*)")
CTRL_A, CTRL_C, CTRL_D, CTRL_E, CTRL_U = "\x01", "\x03", "\x04", "\x05", "\x15"
UP, DOWN = "\x1b[A", "\x1b[B"


def images(bench):
    """A folder with images of short names, for QEMU to be started in."""
    config, folder = bench.config, bench.file(f"folder-{bench.case.name}")
    os.makedirs(os.path.join(folder, "sub"))
    for name, image in NAMES.items():
        shutil.copyfile(config.need(config.built("images", image), "images"),
                        os.path.join(folder, name))
    return folder


def inspected(bench, name):
    """The id of an image, in short and in full, by gmcc."""
    config = bench.config
    text = subprocess.run([config.built("gmcc", "gmcc"), "inspect",
                           config.built("images", name)], check=True,
                          stdout=subprocess.PIPE).stdout.decode()
    full = re.search(r"^id +([0-9a-f]{64})$", text, re.MULTILINE)[1]
    return full[:12], full


def start(bench, *options, more=(), cwd=None):
    """A terminal with QEMU's monitor on it, at its first prompt."""
    version = subprocess.run([bench.config.qemu, "--version"], check=True,
                             stdout=subprocess.PIPE).stdout.decode()
    version = re.match(r"QEMU emulator version (\S+)", version)[1]
    command = [*command_without_kvm(bench, *options), "-device", "edu,id=edu0", *more,
               "-monitor", "stdio"]
    terminal = Terminal(command, log(bench), cwd or bench.session.run)
    terminal.shows(f"QEMU {version} monitor - type 'help' for more information", PROMPT,
                   timeout=30)
    return terminal


def log(bench):
    return bench.file(f"{bench.case.name}.log")


def audit(bench):
    """The decisions in what QEMU said on its standard error, and nothing else there."""
    with open(log(bench), encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    found = [AUDIT.search(line) for line in lines]
    other = [line for line, match in zip(lines, found) if not match
             and "terminating on signal" not in line]
    expect_equal("on standard error, besides the decisions", other, [])
    return [match[1] for match in found if match]


class Session:
    """Steps at a terminal. After each, the cursor is behind the last prompt."""

    def __init__(self, terminal):
        self.terminal = terminal
        self.step = terminal.step
        self.line = ""			# what has been typed or completed, and not entered

    def enter(self, line, *rows, timeout=10):
        """Type a whole line."""
        self.step(line + "\r", PROMPT + line, *rows, PROMPT, timeout=timeout)

    def complete(self, keys, line, *choices):
        """Type with a TAB at the end: the line then, below a list of choices."""
        before = PROMPT + (self.line + keys).removesuffix("\t")
        self.step(keys, *((before, *choices) if choices else ()), PROMPT + line)
        self.line = line

    def nothing(self, keys):
        """A TAB that must have no effect, not even a new prompt; '!' is there to see it."""
        typed = keys.replace("\t", "")
        self.step(keys + "!", PROMPT + self.line + typed + "!")
        self.line += typed + "!"
        self.drop()

    def drop(self):
        self.step(CTRL_U, PROMPT)
        self.line = ""

    def accept(self, *rows):
        """The line that is there, as it was completed."""
        self.step("\r", PROMPT + self.line, *rows, PROMPT)
        self.line = ""

    def quit(self):
        self.step("quit\r", PROMPT + "quit", "")
        expect_equal("QEMU's exit status", self.terminal.ends(), 0)


def module_rows(name, gates, ident, file, policy, *privileges):
    return (f"{name}: registered, activations 0 of 32, gates {gates}",
            f"  image:      id {ident}, {file}, signed by {SIGNER}", NO_CROSSINGS,
            "  violations: none", f"  policy:     {policy}", *privileges)


HEAD = (f"key: CN={SIGNER}", "sealing: not possible without KVM")
END = ("seals refused: 0", "violations: 0 (none)")


def session_help(s):
    for command, text in (
            ("gm_register", "[-p policy] file [grant...] -- verify a guarded image, grant it "
             "privileges, and offer it to the guest"),
            ("gm_unregister", "name -- withdraw a guarded image and what it was granted"),
            ("gm_grant", "name grant... -- grant privileges to a guarded module"),
            ("gm_revoke", "name grant... -- take privileges from a guarded module"),
            ("info gm", "[-v] -- show guarded modules, their privileges, crossings and "
             "violations (-v: crossings by gate, too)")):
        s.enter(f"help {command}", f"{command} {text}")
    s.complete("gm_\t", "gm_", "gm_grant       gm_register    gm_revoke      gm_unregister  ")
    s.complete("r\t", "gm_re", "gm_register  gm_revoke    ")
    s.complete("g\t", "gm_register ")
    s.drop()
    s.enter("info gm", *HEAD, "no modules registered", *END)


def session_register(s, probe, dummy, probe_gates, dummy_gates):
    s.complete("gm_register su\t", "gm_register sub/")
    s.complete("u\t", "gm_register sub/unsigned.ko ")
    s.accept("Error: cannot register 'sub/unsigned.ko': not signed")
    s.complete("gm_register \t", "gm_register ", "dummy.gm.ko   dummy.old.ko  probe.gm.ko   "
               "sub/          ")
    s.complete("d\t", "gm_register dummy.", "dummy.gm.ko   dummy.old.ko  ")
    s.nothing("x\t")
    s.nothing("gm_register nowhere/\t")
    s.nothing("gm_register -p stop p\t")	# QEMU counts an option's value as an argument
    s.enter("gm_register", "gm_register: filename expected",
            'Try "help gm_register" for more information')
    s.enter("gm_register none.ko", "Error: Could not open 'none.ko': No such file or directory")
    s.enter("gm_register sub", "Error: 'sub' is not a regular file")
    s.enter("gm_register -p forgive probe.gm.ko", "Error: invalid parameter value: forgive")
    s.enter("gm_register probe.gm.ko pio=0x60-0x64 root",
            "Error: there is no privilege 'root'; there are hostinfo, mmio, msr, mwait, pio")
    s.enter("gm_register dummy.gm.ko hostinfo",
            "Error: 'hostinfo': module 'dummy' does not ask for it; it asks for nothing")
    s.enter("info gm", *HEAD, "no modules registered", *END)

    s.enter("gm_register -p stop probe.gm.ko pio=0x60-0x64  mmio=edu0", f"gm_probe: id {probe}, "
            f"signed by {SIGNER}, 104 pages, {probe_gates} gates")
    s.complete("gm_register dummy.g\t", "gm_register dummy.gm.ko ")
    s.accept(f"dummy: id {dummy}, signed by {SIGNER}, 103 pages, {dummy_gates} gates")
    s.enter("gm_register dummy.old.ko", f"Error: module 'dummy' (id {dummy}) is already "
            "registered, from 'dummy.gm.ko'")
    for command in ("info gm", "info gm -v"):
        s.enter(command, *HEAD,
                *module_rows("gm_probe", probe_gates, probe, "probe.gm.ko", "stop",
                             f"  requests:   {REQUESTS}", "  grants:     pio=0x60-0x64, mmio=edu0",
                             "  hidden:     pio=0x60-0x64: guest's reads 0, writes 0",
                             "  hidden:     mmio=edu0: guest's reads 0, writes 0"),
                *module_rows("dummy", dummy_gates, dummy, "dummy.gm.ko", "inject",
                             "  requests:   none", "  grants:     none"), *END)
    s.enter("info gm -x", "gm: unsupported option -x",
            'Try "help info gm" for more information')


def session_grant(s):
    s.complete("gm_grant \t", "gm_grant ", "dummy     gm_probe  ")
    s.nothing("x\t")
    s.complete("gm_grant g\t", "gm_grant gm_probe ")
    s.complete("\t", "gm_grant gm_probe ", "hostinfo               mmio                   "
               "msr=0x0-0xffffffff:rw  ", "mwait                  pio=0x0-0xffff         ")
    s.complete("m\t", "gm_grant gm_probe m", "mmio                   msr=0x0-0xffffffff:rw  "
               "mwait                  ")
    s.complete("w\t", "gm_grant gm_probe mwait ")
    s.complete("h\t", "gm_grant gm_probe mwait hostinfo ")
    s.accept()
    s.enter("gm_grant gm_probe msr=0x198 hostinfo",
            "Error: 'hostinfo': module 'gm_probe' has 'hostinfo' already")
    s.enter("gm_grant gm_probe msr=0x35 mwat",
            "Error: there is no privilege 'mwat'; there are hostinfo, mmio, msr, mwait, pio")
    s.enter("gm_grant gm_probe", "gm_grant: string expected",
            'Try "help gm_grant" for more information')
    s.enter("gm_grant nobody mwait", "Error: no module 'nobody' is registered")
    s.enter("gm_grant dummy mwait",
            "Error: 'mwait': module 'dummy' does not ask for it; it asks for nothing")

    s.complete("gm_revoke gm\t", "gm_revoke gm_probe ")
    s.complete("\t", "gm_revoke gm_probe ", "hostinfo       mmio=edu0      mwait          "
               "pio=0x60-0x64  ")
    s.complete("p\t", "gm_revoke gm_probe pio=0x60-0x64 ")
    s.accept()
    s.enter("gm_revoke gm_probe mwait msr=0x198", "Error: module 'gm_probe' has no 'msr=0x198'; "
            "it has mmio=edu0, mwait, hostinfo")
    s.enter("gm_revoke nobody x", "Error: no module 'nobody' is registered")


def session_editing(s):
    """Readline is QEMU's; a command of ours must leave it as it is."""
    s.step(UP, PROMPT + "gm_revoke nobody x")
    s.step(UP, PROMPT + "gm_revoke gm_probe mwait msr=0x198")
    s.step(DOWN, PROMPT + "gm_revoke nobody x")
    s.step("\x7f" * 8 + "gm_probe mwait\r", PROMPT + "gm_revoke gm_probe mwait", PROMPT)
    s.step(UP, PROMPT + "gm_revoke gm_probe mwait")
    s.step("\r", PROMPT + "gm_revoke gm_probe mwait", "Error: module 'gm_probe' has no 'mwait'; "
           "it has mmio=edu0, hostinfo", PROMPT)
    s.step(CTRL_D + "x" + CTRL_A + CTRL_D, PROMPT)		# it deletes; at the end, nothing
    s.step("info gm" + CTRL_A + CTRL_D + CTRL_E + "\r", PROMPT + "nfo gm",
           "unknown command: 'nfo gm'".replace(" gm", ""), PROMPT)


def session_objects(s, dummy, dummy_gates):
    s.enter("object_add guarded-module,id=m0,file=dummy.gm.ko", f"Error: module 'dummy' (id "
            f"{dummy}) is already registered, from 'dummy.gm.ko'")
    s.complete("gm_unregister d\t", "gm_unregister dummy ")
    s.accept()
    s.enter("gm_unregister dummy", "Error: no module 'dummy' is registered")
    s.complete("gm_unregister \t", "gm_unregister gm_probe ")
    s.accept()
    s.nothing("gm_unregister \t")
    s.enter("object_add guarded-module,id=m0,file=probe.gm.ko,grants.0=hostinfo,grants.1=root",
            "Error: there is no privilege 'root'; there are hostinfo, mmio, msr, mwait, pio")
    s.enter("object_add guarded-module,id=m0,file=dummy.gm.ko,policy=quarantine")
    s.enter("object_add guarded-module,id=m1,file=sub/unsigned.ko",
            "Error: cannot register 'sub/unsigned.ko': not signed")
    s.enter("info gm", *HEAD,
            *module_rows("dummy", dummy_gates, dummy, "dummy.gm.ko", "quarantine",
                         "  requests:   none", "  grants:     none"), *END)
    s.enter("object_del m0")
    s.enter("object_del m0", "Error: object 'm0' not found")


def gates(bench, name):
    answers = ask([{"execute": "qmp_capabilities"},
                   {"execute": "gm-register", "arguments": {
                       "file": bench.config.built("images", name)}},
                   {"execute": "quit"}], qemu_without_kvm(bench))
    return answers[1]["return"]["gates"]


@case
def monitor_session(bench):
    folder = images(bench)
    (probe, _), (dummy, _) = inspected(bench, "gm_probe.gm.ko"), inspected(bench, "dummy.gm.ko")
    probe_gates, dummy_gates = gates(bench, "gm_probe.gm.ko"), gates(bench, "dummy.gm.ko")
    with start(bench, cwd=folder) as terminal:
        s = Session(terminal)
        session_help(s)
        session_register(s, probe, dummy, probe_gates, dummy_gates)
        session_grant(s)
        session_editing(s)
        session_objects(s, dummy, dummy_gates)
        s.enter("object_add guarded-module,id=m2,file=probe.gm.ko,grants.0=hostinfo,"
                "grants.1=mmio=edu0")
        s.enter("info gm", *HEAD,
                *module_rows("gm_probe", probe_gates, probe, "probe.gm.ko", "inject",
                             f"  requests:   {REQUESTS}", "  grants:     hostinfo, mmio=edu0",
                             "  hidden:     mmio=edu0: guest's reads 0, writes 0"), *END)
        s.quit()
        bench.note(f"{len(terminal.screen.rows)} lines on the screen, each as it should be")


@case
def monitor_keys(bench):
    """What ends a QEMU at a terminal is what ended it before."""
    folder = images(bench)
    with start(bench, cwd=folder) as terminal:
        s = Session(terminal)
        s.enter("gm_register dummy.gm.ko", "dummy: id %s, signed by %s, 103 pages, %d gates" % (
            inspected(bench, "dummy.gm.ko")[0], SIGNER, gates(bench, "dummy.gm.ko")))
        s.step(CTRL_D, PROMPT)
        s.step("gm_unregister du", PROMPT + "gm_unregister du")
        terminal.type(CTRL_C)
        expect_equal("QEMU's exit status after Ctrl-C", terminal.ends(), 0)
    with open(log(bench), encoding="utf-8") as stream:
        expect("terminating on signal 2" in stream.read(), "Ctrl-C does not say what it did")
    expect_equal("decisions", len(audit(bench)), 1)	# not to unregister: it was not entered


class Control:
    """A QMP monitor on a socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30 * Patience.factor)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rw", encoding="utf-8")
        self.stream.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            answer = json.loads(self.stream.readline())
            if "event" not in answer:
                return answer

    def close(self):
        self.stream.close()
        self.socket.close()


@case
def monitor_verifier(bench):
    """A verifier that takes 3 s: its monitor waits, what is typed meanwhile too, no other."""
    folder, path = images(bench), bench.file("verifier")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("#!/bin/sh\nsleep 3\n")
    os.chmod(path, 0o755)
    ident, count = inspected(bench, "dummy.gm.ko")[0], gates(bench, "dummy.gm.ko")
    where = f"{bench.session.run}/qmp"
    with start(bench, f"verifier={path}", cwd=folder,
               more=("-qmp", f"unix:{where},server=on,wait=off")) as terminal:
        control = Control(where)
        began = time.monotonic()
        terminal.step("gm_register dummy.gm.ko\r", PROMPT + "gm_register dummy.gm.ko", "")
        terminal.type("gm_unregister dummy\r")
        answers = 0
        while time.monotonic() < began + 2 * Patience.factor:
            expect_equal("modules, says the other monitor",
                         control.ask("query-gm")["return"]["modules"], [])
            answers += 1
            time.sleep(0.1)
        expect_equal("the status, says the other monitor",
                     control.ask("query-status")["return"]["running"], True)
        rows = terminal.screen.rows[-1:]
        expect_equal("the last line, while it verifies", rows, [""])
        terminal.shows(f"dummy: id {ident}, signed by {SIGNER}, 103 pages, {count} gates",
                       PROMPT + "gm_unregister dummy", PROMPT)
        expect(time.monotonic() - began >= 3, "it did not wait for the verifier")
        expect_equal("modules, when both commands were executed",
                     control.ask("query-gm")["return"]["modules"], [])
        control.close()
        Session(terminal).quit()
    expect_equal("decisions", [line.split()[0] for line in audit(bench)],
                 ["registered", "unregistered"])
    bench.note(f"{answers} answers of the other monitor in 2 s")


ODD = 'two\nlines \x1b[2J"quoted" \x7f \u00e9 \\'
ODD_SAFE = r"two\x0alines \x1b[2J\x22quoted\x22 \x7f \xc3\xa9 " + "\\"


class Log:
    """What the decisions must look like: all of them, in order, one line each."""

    def __init__(self, bench):
        self.bench = bench
        self.lines = []

    def decided(self, what, **fields):
        self.lines.append(" ".join([what, *(f'{name}="{text}"' for name, text in fields.items())]))
        self.check()

    def refused(self, request, reason, **fields):
        self.decided("refused", request=request, **fields, reason=reason)

    def check(self):
        expect_equal("decisions in the log", audit(self.bench), self.lines)


def audit_by_program(decisions, control, probe):
    """At QMP, with names that try to be more than a name."""
    of_probe = {"module": "gm_probe", "id": probe, "file": ODD_SAFE, "signer": SIGNER}

    control.ask("gm-register", file=ODD + "none")
    decisions.refused("register", f"Could not open '{ODD_SAFE}none': No such file or directory",
                      file=ODD_SAFE + "none")
    control.ask("gm-register", file=ODD, grants=["mwait", "mmio=edu0"])
    decisions.decided("registered", **of_probe, grants="mwait mmio=edu0")
    control.ask("gm-register", file=ODD)
    decisions.refused("register", f"module 'gm_probe' (id {probe[:12]}) is already registered, "
                      f"from '{ODD_SAFE}'", file=ODD_SAFE)
    control.ask("gm-register", fd="x\ny")
    decisions.refused("register", r"File descriptor named 'x\x0ay' has not been found",
                      file=r"fd:x\x0ay")
    control.ask("gm-register")
    decisions.refused("register", "exactly one of 'file' and 'fd' must be given")
    control.ask("gm-grant", name="gm_probe", grants=["hostinfo", "msr=0x35"])
    decisions.decided("granted", **of_probe, grants="hostinfo msr=0x35")
    control.ask("gm-grant", name="gm_probe", grants=["pio=0x60", "root\n"])
    decisions.refused("grant", r"there is no privilege 'root\x0a'; there are hostinfo, mmio, msr, "
                      "mwait, pio", module="gm_probe", grants=r"pio=0x60 root\x0a")
    control.ask("gm-revoke", name="gm_probe", grants=["mwait"])
    decisions.decided("revoked", **of_probe, grants="mwait")
    control.ask("gm-revoke", name="gm_probe", grants=["mwait"])
    decisions.refused("revoke", "module 'gm_probe' has no 'mwait'; it has mmio=edu0, hostinfo, "
                      "msr=0x35", module="gm_probe", grants="mwait")
    control.ask("gm-unregister", name="\x1bname")
    decisions.refused("unregister", r"no module '\x1bname' is registered", module=r"\x1bname")
    control.ask("gm-unregister", name="gm_probe")
    decisions.decided("unregistered", **of_probe)

    # What is no request that could be decided, and what only asks.
    for command, arguments in (("gm-grant", {"name": "gm_probe"}), ("gm-unregister", {}),
                               ("gm-register", {"file": ODD, "policy": "forgive"})):
        expect_equal("class of the error",
                     control.ask(command, **arguments).get("error", {}).get("class"),
                     "GenericError")
    control.ask("query-gm")
    decisions.check()


def audit_by_person(decisions, s, dummy):
    """At the terminal, which shows nothing of the log."""
    of_dummy = {"module": "dummy", "id": dummy, "file": "dummy.gm.ko", "signer": SIGNER}
    twice = (f"module 'dummy' (id {dummy[:12]}) is already registered, from 'dummy.gm.ko'")

    s.enter(r'gm_register "no\nfile"', "Error: Could not open 'no",
            "file': No such file or directory")
    decisions.refused("register", r"Could not open 'no\x0afile': No such file or directory",
                      file=r"no\x0afile")
    s.enter("object_add guarded-module,id=m0,file=dummy.gm.ko")
    decisions.decided("registered", **of_dummy)
    s.enter("object_add guarded-module,id=m1,file=dummy.gm.ko,grants.0=mwait", f"Error: {twice}")
    decisions.refused("register", twice, file="dummy.gm.ko", grants="mwait")
    s.enter("object_del m0")
    decisions.decided("unregistered", **of_dummy)
    s.enter("info gm", *HEAD, "no modules registered", *END)


@case
def monitor_audit(bench):
    """Each decision is one line of the log, whatever a file is named; nothing else is."""
    folder, where = images(bench), f"{bench.session.run}/qmp"
    shutil.copyfile(os.path.join(folder, "probe.gm.ko"), os.path.join(folder, ODD))
    decisions = Log(bench)
    with start(bench, cwd=folder, more=("-qmp", f"unix:{where},server=on,wait=off")) as terminal:
        s, control = Session(terminal), Control(where)
        audit_by_program(decisions, control, inspected(bench, "gm_probe.gm.ko")[1])
        audit_by_person(decisions, s, inspected(bench, "dummy.gm.ko")[1])
        s.quit()
        control.close()
    decisions.check()
    bench.note(f"{len(decisions.lines)} decisions, {len(decisions.lines)} lines")
