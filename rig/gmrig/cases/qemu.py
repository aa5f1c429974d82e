# SPDX-License-Identifier: GPL-2.0
"""QEMU's side, in QEMU's own ways: our unit tests in its build, the qtests of its
own that our code could break (qemu-gm/tests/own-qtests), and the fuzzers."""

import os
import re

from ..case import case, expect
from ..config import TOP, ConfigError
from ..suite import run_suite

LIST = os.path.join(TOP, "qemu-gm", "tests", "own-qtests")
UNIT = os.path.join(TOP, "qemu-gm", "files", "tests", "unit")
FUZZ_SECONDS = "60"		# for each fuzzer, at the same time; `make fuzz-qemu' runs longer


def built(bench, *names):
    """The paths of tests in QEMU's build, which must be there."""
    return [bench.config.need(bench.config.built("qemu", "tests", name), "qemu-tests")
            for name in names]


@case
def qemu_build_unit(bench):
    names = sorted(name[:-2] for name in os.listdir(UNIT) if re.fullmatch(r"test-gm-\w+\.c", name))
    expect(names, f"no tests in {UNIT}")
    run_suite(bench, ["sh", "-c", 'for test; do "$test" --tap -k || status=1; done; '
                      "exit ${status:-0}", "sh", *built(bench, *names)])


@case
def qemu_fuzz(bench):
    config = bench.config
    text = run_suite(bench, ["make", "--no-print-directory", "-C", "qemu-gm/tests",
                             f"O={config.built('qemu-fuzz')}",
                             f"PARTS={config.need(config.built('qemu-parts'), 'qemu-parts')}",
                             f"GMCC={config.built('gmcc', 'gmcc')}", "fuzz"],
                     FUZZ_SECONDS=os.environ.get("FUZZ_SECONDS", FUZZ_SECONDS))
    found = re.findall(r"^fuzz-\w+: (\d+) executions.*", text, re.MULTILINE)
    expect(len(found) == 3 and all(map(int, found)), f"not all fuzzers ran:\n{text}")
    for line in re.findall(r"^fuzz-\w+: .*", text, re.MULTILINE):
        bench.note(line)


def own_qtest(bench, name):
    built(bench, name)
    run_suite(bench, ["qemu-gm/tests/qtest", bench.config.built("qemu"), f"tests/{name}",
                      "--tap", "-k"])


def rows():
    """What a row of tests.toml has, and the function, for each of QEMU's own qtests."""
    with open(LIST, encoding="utf-8") as stream:
        lines = [line.strip() for line in stream]
    for line in lines:
        if not line or line.startswith("#"):
            continue
        try:
            name, seconds, about = line.split(None, 2)
            limit = int(seconds)
        except ValueError:
            raise ConfigError(f"{LIST}: not 'NAME SECONDS ABOUT': {line}") from None
        yield {"name": f"own-{name}", "groups": ["qemu", "qemu-own"], "timeout": limit,
               "about": f"QEMU's own: {about}", "extra": True,
               "function": lambda bench, name=name: own_qtest(bench, name)}
