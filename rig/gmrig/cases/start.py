# SPDX-License-Identifier: GPL-2.0
"""QEMU's command line: what the help says, and with what words a virtual machine is
refused that could not do what it was asked for."""

import os
import re
import subprocess

from ..case import case, expect_equal
from .bad_input import ask, command_without_kvm

LIMIT = 20			# s, for a QEMU that is to end by itself
AUDIT = ": info: guarded-modules: audit: "
DEVICE_HELP = {
    "crl": "revocation lists, of every issuer in a signer's chain: file (PEM, DER) or "
           "directory of such",
    "image-window": "size of the largest image, a power of two from 4 KiB to 1 GiB "
                    "(default: 4194304)",
    "keyring": "trusted X.509 certificates, of signers or of those who issue theirs: file "
               "(PEM, DER) or directory of such; mandatory",
    "max-modules": "most modules registered at a time, 1 to 4096; 31 of them can be sealed "
                   "(default: 64)",
    "verifier": "gmcc's path: an image must pass 'gmcc verify', too",
    "verifier-timeout": "seconds that it may take, 1 to 3600 (default: 60)",
    "violation-policy": "what follows a violation: inject (#GP into the guest), stop (the VM) "
                        "or quarantine (the module)",
}
OBJECT_HELP = {
    "file": "Guarded image",
    "grants": "Privileges to grant",
    "policy": "What follows a violation (default: that of the device)",
}


def shown(bench, *words):
    """The properties that a help shows, each with its text."""
    done = subprocess.run([bench.config.qemu, *words], check=True, timeout=LIMIT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    return dict(re.findall(r"^  (\S+)=<\w+> +- (.*)$", done.stdout.decode(), re.MULTILINE))


@case
def start_help(bench):
    """Each property of ours has a text; those of every PCI device are not ours."""
    ours, every = (shown(bench, "-device", f"{name},help") for name in ("guarded-modules", "edu"))
    ours = {name: text for name, text in ours.items() if name not in every}
    expect_equal("-device guarded-modules,help", ours, DEVICE_HELP)
    expect_equal("-object guarded-module,help",
                 shown(bench, "-object", "guarded-module,help"), OBJECT_HELP)


def refused(bench, command, text):
    """It ends with 1, and says this alone; the audit has its own test."""
    done = subprocess.run(command, check=False, timeout=LIMIT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = [line for line in done.stderr.decode().splitlines() if AUDIT not in line]
    expect_equal(" ".join(command[1:]), (done.returncode, said, done.stdout),
                 (1, [f"qemu-system-x86_64: {text}"], b""))


@case
def start_refused(bench):
    config = bench.config
    keyring = config.need(config.built("keys", "keyring.pem"), "images")
    probe, dummy = (config.need(config.built("images", f"{name}.gm.ko"), "images")
                    for name in ("gm_probe", "dummy"))
    device = f"guarded-modules,keyring={keyring}"
    bare = command_without_kvm(bench)[:-2]

    for more, text in (
            ("", "property 'keyring' is missing: the certificates of those who may sign modules, "
             "or issue such certificates"),
            (",keyring=/none", "cannot read the keyring: Could not open '/none': No such file or "
             "directory"),
            (f",keyring={keyring},crl=/none", "cannot read the revocation lists: Could not open "
             "'/none': No such file or directory"),
            (f",keyring={keyring},violation-policy=forgive", "property 'violation-policy' is "
             "'forgive'; it can be inject, stop or quarantine"),
            (f",keyring={keyring},image-window=5000", "property 'image-window' must be a power of "
             "two from 4 KiB to 1 GiB"),
            (f",keyring={keyring},max-modules=0", "property 'max-modules' must be from 1 to 4096"),
            (f",keyring={keyring},verifier=/none", "property 'verifier' is '/none', which cannot "
             "be run: No such file or directory"),
            (f",keyring={keyring},verifier-timeout=3601",
             "property 'verifier-timeout' must be from 1 to 3600 seconds")):
        option = f"guarded-modules{more}"
        refused(bench, [*bare, "-device", option], f"-device {option}: {text}")
    refused(bench, [*bare, "-device", device, "-device", device],
            f"-device {device}: a virtual machine can have one guarded-modules device only")

    for more, text in (
            (f"file={probe},grants=mwait,grants=root",
             "there is no privilege 'root'; there are hostinfo, mmio, msr, mwait, pio"),
            (f"file={dummy},grants=mwait",
             "'mwait': module 'dummy' does not ask for it; it asks for nothing"),
            (f"file={probe},grants=mmio=nic0",
             "'mmio=nic0': there is no device with the id 'nic0'"),
            ("file=/none", "Could not open '/none': No such file or directory"),
            (f"file={keyring}", f"cannot register '{keyring}': not an ELF file")):
        refused(bench, [*bare, "-device", device, "-object", f"guarded-module,id=m0,{more}"],
                f"object 'm0': {text}")
    refused(bench, [*bare, "-object", f"guarded-module,id=m0,file={probe}"],
            "object 'm0': this virtual machine has no guarded-modules device")
    for more, text in (("", "Parameter 'file' is missing"),
                       (f",file={probe},policy=forgive",
                        "Parameter 'policy' does not accept value 'forgive'")):
        option = f"guarded-module,id=m0{more}"
        refused(bench, [*bare, "-device", device, "-object", option], f"-object {option}: {text}")

    bare[bare.index("qtest")] = "tcg"
    refused(bench, [*bare, "-device", device], f"-device {device}: guarded-modules needs KVM: use "
            "-accel kvm,guarded-modules=on")


@case
def start_no_support(bench):
    """KVM itself, without guarded modules or with them left off."""
    config, outer = bench.config, bench.outer
    keyring = config.need(config.built("keys", "keyring.pem"), "images")
    folders = " ".join(f"-L {folder}" for folder in config.qemu_data)

    def said(accel):
        return outer.shell.run(f"timeout {LIMIT} {config.qemu} -machine q35 -accel {accel} "
                               f"-nodefaults -display none -S {folders} "
                               f"-device guarded-modules,keyring={keyring}", LIMIT + 10)

    expect_equal("support that is not turned on", said("kvm"), (
        1, f"qemu-system-x86_64: -device guarded-modules,keyring={keyring}: guarded-modules needs "
        "its support in KVM to be turned on: use -accel kvm,guarded-modules=on\n"))
    bench.session.drop_guest()
    outer.load_kvm("stock")
    try:
        answer = said("kvm,guarded-modules=on")
    finally:
        outer.load_kvm("gm")
    where = "qemu-system-x86_64: -accel kvm,guarded-modules=on: "
    expect_equal("KVM without it", answer, (
        1, f"{where}this host's KVM does not support guarded modules\nLoad the project's kvm "
        "modules on the host, or remove guarded-modules=on.\n"
        f"{where}failed to initialize kvm: Operation not supported\n"))


@case
def start_fdset(bench):
    """A descriptor that whoever started QEMU has opened: QEMU itself opens no file."""
    config = bench.config
    image = config.need(config.built("images", "gm_probe.gm.ko"), "images")
    with open(image, "rb") as stream:
        fd = stream.fileno()
        command = [*command_without_kvm(bench), "-add-fd", f"fd={fd},set=7", "-object",
                   "guarded-module,id=m0,file=/dev/fdset/7,grants=mwait", "-qmp", "stdio"]
        qemu = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True, pass_fds=(fd,))
    answers = ask([{"execute": "qmp_capabilities"}, {"execute": "query-gm"},
                   {"execute": "object-del", "arguments": {"id": "m0"}},
                   {"execute": "gm-register", "arguments": {"file": "/dev/fdset/7"}},
                   {"execute": "gm-unregister", "arguments": {"name": "gm_probe"}},
                   {"execute": "query-fdsets"},
                   {"execute": "remove-fd", "arguments": {"fdset-id": 7}},
                   {"execute": "gm-register", "arguments": {"file": "/dev/fdset/7"}},
                   {"execute": "gm-register", "arguments": {"file": "/dev/fdset/8"}},
                   {"execute": "quit"}], qemu)
    [module] = answers[1]["return"]["modules"]
    expect_equal("name, file and grants at the start", (module["name"], module["file"],
                 module["grants"]), ("gm_probe", "/dev/fdset/7", ["mwait"]))
    expect_equal("registered again", answers[3].get("return", answers[3]).get("size"),
                 os.path.getsize(image))
    expect_equal("descriptors of the set", [len(one["fds"]) for one in answers[5]["return"]], [1])
    for number, answer in ((7, answers[7]), (8, answers[8])):
        expect_equal(f"set {number}, which is not there", answer.get("error", {}).get("desc"),
                     f"Failed to find fdset /dev/fdset/{number}")
    expect_equal("QEMU's exit status", qemu.returncode, 0)
