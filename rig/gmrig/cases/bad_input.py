# SPDX-License-Identifier: GPL-2.0
"""gm_register of files that must be refused: each for its own reason, and
nothing is half-registered."""

import os
import subprocess

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


@case
def register_missing_file(bench):
    text = refusal(bench.guest, bench.file("no-such-file.ko"))
    expect("No such file or directory" in text, text)
