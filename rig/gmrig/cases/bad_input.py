# SPDX-License-Identifier: GPL-2.0
"""gm_register of files that must be refused: each for its own reason, and
nothing is half-registered."""

import json
import os
import signal
import subprocess
import time

from ..case import case, expect, expect_equal
from ..channel import QmpError
from ..config import TOP
from ..life import Life

# The reasons that gmcc/tests/mkbad names, and how QEMU words them.
WORDING = {
    "unsigned": "not signed",
    "unknown-signer": "signed by an unknown key",
    "bad-signature": "does not match the",
    "truncated": "truncated: ",
    "not-elf": "not an ELF file",
    "wrong-machine": "wrong machine: ",
    "manifest-version": "manifest version ",
}


def make_bad_images(bench):
    """[(path, reason)], made afresh with gmcc in this run's folder."""
    config = bench.config
    keys = config.built("keys")
    folder = bench.file("bad")
    subprocess.run([os.path.join(TOP, "gmcc", "tests", "mkbad"),
                    config.need(config.built("images", "dummy.unsigned.ko"), "images"),
                    f"{keys}/signer.key", f"{keys}/signer.crt",
                    f"{keys}/stranger.key", f"{keys}/stranger.crt", folder],
                   check=True, env={**os.environ, "GMCC": config.built("gmcc", "gmcc")})
    with open(os.path.join(folder, "index.tsv"), encoding="utf-8") as stream:
        rows = [line.rstrip("\n").split("\t") for line in stream]
    return [(os.path.join(folder, name), reason) for name, reason in rows]


def refusal(guest, path):
    """The error text that gm-register gives, which must leave no trace."""
    before = guest.qmp.execute("query-gm")
    try:
        answer = guest.qmp.execute("gm-register", file=path)
    except QmpError as error:
        text = str(error)
    else:
        expect(False, f"{path} was registered: {answer}")
    expect_equal("query-gm after a refusal", guest.qmp.execute("query-gm"), before)
    expect(os.path.basename(path) in text, f"the error does not name the file: {text}")
    expect_equal("what the monitor says", guest.hmp.run(f"gm_register {path}"),
                 f"Error: {text}")
    return text


@case
def register_bad_images(bench):
    seen = {}
    for path, reason in make_bad_images(bench):
        text = refusal(bench.guest, path)
        expect(WORDING[reason] in text,
               f"{os.path.basename(path)} must be refused as {reason}, but: {text}")
        seen[reason] = seen.get(reason, 0) + 1
    expect_equal("reasons", sorted(seen), sorted(WORDING))
    bench.l2("true")
    bench.note(", ".join(f"{reason} {count}" for reason, count in seen.items()))


@case
def register_twice(bench):
    life = Life(bench.guest)
    life.register()
    text = refusal(bench.guest, life.image)
    expect("already registered" in text, text)
    expect_equal("state of the first", life.module()["state"], "registered")


def command_without_kvm(bench, *options, keyring=None):
    """The command line of a QEMU that runs no guest, but has the device."""
    config = bench.config
    keyring = keyring or config.built("keys", "keyring.pem")
    return [config.qemu, "-machine", "q35", "-accel", "qtest", "-nodefaults", "-display",
            "none", *(word for folder in config.qemu_data for word in ("-L", folder)),
            "-device", ",".join((f"guarded-modules,keyring={keyring}", *options))]


def qemu_without_kvm(bench, *options, before=None, keyring=None):
    """Such a QEMU, with a QMP monitor on its standard streams."""
    command = [*command_without_kvm(bench, *options, keyring=keyring), "-qmp", "stdio"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True, preexec_fn=before)


def ask(orders, qemu):
    text = "".join(json.dumps(order) for order in orders)
    answers = map(json.loads, qemu.communicate(text, timeout=60)[0].splitlines())
    answers = [answer for answer in answers if {"return", "error"} & set(answer)]
    expect_equal("answers", len(answers), len(orders))
    return answers


def registered_without_kvm(bench, image, *options):
    """What gm-register says of an image; gm_register must say the same."""
    start, end = {"execute": "qmp_capabilities"}, [{"execute": "query-gm"}, {"execute": "quit"}]
    qmp = {"execute": "gm-register", "arguments": {"file": image}}
    hmp = {"execute": "human-monitor-command",
           "arguments": {"command-line": f"gm_register {image}"}}
    _, said, state, _ = ask([start, qmp, *end], qemu_without_kvm(bench, *options))
    _, human, human_state, _ = ask([start, hmp, *end], qemu_without_kvm(bench, *options))
    text = said["error"]["desc"] if "error" in said else ""
    for answer in (state, human_state):
        expect_equal("registered modules", len(answer["return"]["modules"]), 0 if text else 1)
    if text:
        expect_equal("the human monitor", human["return"].strip(), f"Error: {text}")
    return text


@case
def register_unverified(bench):
    """An image that keeps QEMU's rules and is signed, but not what gmcc verifies."""
    config = bench.config
    gmcc, keys = config.built("gmcc", "gmcc"), config.built("keys")
    tests = os.path.join(TOP, "gmcc", "tests")
    source, folder = bench.file("victim.s"), bench.file("wrong")
    with open(source, "w", encoding="utf-8") as stream:
        for name in ("prelude.s", "victim.s"):
            with open(os.path.join(tests, name), encoding="utf-8") as part:
                stream.write(part.read())
    honest, wrong = bench.file("victim.gm.ko"), os.path.join(folder, "undecodable.ko")
    subprocess.run(["gcc", "-c", "-o", bench.file("victim.ko"), source], check=True)
    subprocess.run([gmcc, "guard", "-q", "-o", honest, bench.file("victim.ko")], check=True)
    asking = bench.file("asks.s")
    with open(source, encoding="utf-8") as stream:
        text = stream.read() + '\t.section .gm.hostinfo, "a"\n\t.p2align 12\n\t.zero 4096\n'
    with open(asking, "w", encoding="utf-8") as stream:
        stream.write(text)
    subprocess.run(["gcc", "-c", "-o", bench.file("asks.ko"), asking], check=True)
    subprocess.run([gmcc, "guard", "-q", "--privilege", "hostinfo", "--privilege", "msr=0x35",
                    "--privilege", "pio=0x60-0x64", "-o", bench.file("asks.gm.ko"),
                    bench.file("asks.ko")], check=True)
    subprocess.run([os.path.join(tests, "mkwrong"), honest, bench.file("asks.gm.ko"), folder,
                    "undecodable"],
                   check=True, stdout=subprocess.DEVNULL)
    for image in (honest, wrong):
        subprocess.run([gmcc, "sign", "--key", f"{keys}/signer.key", "--cert",
                        f"{keys}/signer.crt", "-o", image + ".signed", image], check=True)
    honest, wrong = honest + ".signed", wrong + ".signed"

    expect_equal("the honest one", registered_without_kvm(bench, honest, f"verifier={gmcc}"), "")
    expect_equal("the wrong one, not verified", registered_without_kvm(bench, wrong), "")
    text = registered_without_kvm(bench, wrong, f"verifier={gmcc}")
    expect_equal("the wrong one", text,
                 f"cannot register '{wrong}': '{gmcc} verify' refuses it: /dev/stdin: "
                 ".text+0xf00: decode: byte 0x06 is part of no instruction.")
    usage = bench.file("other")
    slow = bench.file("slow")
    for path, line in ((usage, "exit 2"), (slow, "exec sleep 1000")):
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(f"#!/bin/sh\n{line}\n")
        os.chmod(path, 0o755)
    expect_equal("a verifier that is none", registered_without_kvm(
        bench, honest, f"verifier={usage}"), f"cannot register '{honest}': '{usage} verify' "
        "failed with status 2: it does not say why")
    ignoring = qemu_without_kvm(bench, f"verifier={gmcc}", before=lambda: signal.signal(
        signal.SIGCHLD, signal.SIG_IGN))
    answer = ask([{"execute": "qmp_capabilities"}, {"execute": "gm-register", "arguments":
                  {"file": wrong}}, {"execute": "quit"}], ignoring)[1]
    expect_equal("the wrong one, verified by a child whose end nobody sees",
                 answer.get("error", {}).get("desc"), f"cannot register '{wrong}': how '{gmcc} "
                 "verify' ended is unknown: start QEMU with SIGCHLD not ignored")
    qemu = qemu_without_kvm(bench, f"verifier={slow}")
    qemu.stdin.write('{"execute": "qmp_capabilities"}{"execute": "gm-register", '
                     f'"arguments": {{"file": "{honest}"}}}}')
    qemu.stdin.flush()
    time.sleep(2)
    qemu.terminate()
    expect_equal("QEMU, told to end while it verifies", qemu.wait(timeout=20), 0)
    text = registered_without_kvm(bench, honest, "verifier=/bin/false")
    expect_equal("a verifier that does not speak", text,
                 f"cannot register '{honest}': '/bin/false verify' refuses it: "
                 "it does not say why")


def openssl(folder, issuer, *words):
    """An openssl command; its configuration keeps what ISSUER issued apart."""
    subprocess.run(["openssl", *words], check=True, cwd=folder, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, env={**os.environ, "NAME": issuer})


def make_authority(folder):
    """A root, an authority below it, and a signer below that, with lists of the first two."""
    with open(os.path.join(folder, "openssl.cnf"), "w", encoding="ascii") as stream:
        stream.write("""[ca]
default_ca = here
[here]
database = $ENV::NAME.index
new_certs_dir = .
rand_serial = yes
default_md = sha256
default_days = 2
default_crl_days = 1
policy = any
[any]
commonName = supplied
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[signer]
keyUsage = critical,digitalSignature
extendedKeyUsage = codeSigning
""")
    for name, issuer, kind in (("root", "root", "authority"), ("middle", "root", "authority"),
                               ("leaf", "middle", "signer")):
        with open(os.path.join(folder, f"{name}.index"), "w", encoding="ascii"):
            pass
        openssl(folder, issuer, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj",
                f"/CN=Rig {name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl(folder, issuer, "ca", "-batch", "-config", "openssl.cnf", "-extensions", kind,
                *(("-selfsign",) if issuer == name else ("-cert", f"{issuer}.crt")),
                "-keyfile", f"{issuer}.key", "-in", f"{name}.csr", "-notext",
                "-out", f"{name}.crt")


def write_list(folder, issuer, *revoked):
    words = ("ca", "-config", "openssl.cnf", "-cert", f"{issuer}.crt", "-keyfile",
             f"{issuer}.key")
    for name in revoked:
        openssl(folder, issuer, *words, "-revoke", f"{name}.crt")
    openssl(folder, issuer, *words, "-gencrl", "-out", f"lists/{issuer}.crl")


@case
def register_revoked(bench):
    """A chain, as the administrator sees it, and what a new list changes at once."""
    folder, config = bench.file("authority"), bench.config
    gmcc, image = config.built("gmcc", "gmcc"), bench.file("chain.gm.ko")
    os.makedirs(os.path.join(folder, "lists"))
    make_authority(folder)
    write_list(folder, "root")
    write_list(folder, "middle")
    subprocess.run([gmcc, "sign", "--key", f"{folder}/leaf.key", "--cert", f"{folder}/leaf.crt",
                    "--chain", f"{folder}/middle.crt", "-o", image,
                    config.need(config.built("images", "dummy.unsigned.ko"), "images")], check=True)
    keyring = os.path.join(folder, "root.crt")
    start, end = {"execute": "qmp_capabilities"}, {"execute": "quit"}
    register = {"execute": "gm-register", "arguments": {"file": image}}

    answer = ask([start, register, end], qemu_without_kvm(bench, keyring=keyring))[1]
    expect_equal("signer", answer.get("return", answer).get("signer"), "Rig leaf")
    with open(f"{folder}/both.pem", "w", encoding="ascii") as both:
        for name in ("root", "middle"):
            with open(f"{folder}/{name}.crt", encoding="ascii") as stream:
                both.write(stream.read())

    qemu = qemu_without_kvm(bench, f"crl={folder}/lists", "max-modules=1",
                            keyring=f"{folder}/both.pem")

    def tell(order):
        qemu.stdin.write(json.dumps(order))
        qemu.stdin.flush()
        while True:
            answer = json.loads(qemu.stdout.readline())
            if {"return", "error"} & set(answer):
                return answer

    def refusal_of(order):
        return tell(order).get("error", {}).get("desc", "no error")

    tell(start)
    expect("return" in tell(register), "not registered with lists that are empty")
    tell({"execute": "gm-unregister", "arguments": {"name": "dummy"}})
    write_list(folder, "middle", "leaf")
    text = refusal_of(register)
    expect(text.startswith(f"cannot register '{image}': the certificate of the signer, CN=Rig "
                           "leaf, has been revoked by CN=Rig middle (serial "), text)
    write_list(folder, "root", "middle")
    text = refusal_of(register)
    expect(text.startswith(f"cannot register '{image}': the certificate of the issuer, CN=Rig "
                           "middle, has been revoked by CN=Rig root (serial "), text)
    os.remove(f"{folder}/lists/root.crl")
    text = refusal_of(register)
    expect("may have been revoked: there is no revocation list of its issuer, CN=Rig root" in text,
           text)
    os.remove(f"{folder}/lists/middle.crl")
    expect_equal("without lists", refusal_of(register), f"cannot register '{image}': "
                 f"'{folder}/lists' holds no revocation list")
    qemu.stdin.write(json.dumps(end))
    qemu.stdin.close()
    expect_equal("QEMU's exit status", qemu.wait(timeout=20), 0)

    signed = config.need(config.built("images", "dummy.gm.ko"), "images")
    other = config.built("images", "gm_stray.gm.ko")
    answers = ask([start, {"execute": "gm-register", "arguments": {"file": signed}},
                   {"execute": "gm-register", "arguments": {"file": other}}, end],
                  qemu_without_kvm(bench, "max-modules=1"))
    expect_equal("one more than max-modules", answers[2].get("error", {}).get("desc"),
                 "no more than 1 modules can be registered; unregister one, or enlarge the "
                 "property 'max-modules'")


@case
def register_missing_file(bench):
    text = refusal(bench.guest, bench.file("no-such-file.ko"))
    expect("No such file or directory" in text, text)
