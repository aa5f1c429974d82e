# SPDX-License-Identifier: GPL-2.0
"""Suites that are programs of their own, as one case each."""

import os
import re
import signal
import subprocess

from .case import Failed
from .channel import tail
from .config import TOP

TAP = re.compile(r"^(not ok|ok)\b(.*)$", re.MULTILINE)
GLIB = re.compile(r"^/\S+: +.*\b(OK|SKIP)\b", re.MULTILINE)	# when not in TAP
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped", re.MULTILINE)


def run_suite(bench, command, **environment):
    """Run a suite and take over its counts: TAP lines, or its closing line. Its output."""
    with subprocess.Popen(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, start_new_session=True,
                          env={**os.environ, **environment}) as suite:
        try:
            text = suite.communicate()[0].decode(errors="replace")
        except BaseException:
            os.killpg(suite.pid, signal.SIGTERM)	# with all that it has started
            raise
    summary = SUMMARY.findall(text)
    lines = TAP.findall(text) or [
        ("ok", " # SKIP" if verdict == "SKIP" else "") for verdict in GLIB.findall(text)]
    if summary:
        bench.passed, bench.failed, bench.skipped = map(int, summary[-1])
    elif lines:
        bench.failed = sum(verdict == "not ok" for verdict, _ in lines)
        bench.skipped = sum(verdict == "ok" and "# SKIP" in rest for verdict, rest in lines)
        bench.passed = len(lines) - bench.failed - bench.skipped
    for reason in re.findall(r"# SKIP\S* *(.*)", text):
        bench.note(f"skipped in the suite: {reason}")
    if suite.returncode or bench.failed:
        wrong = re.findall(r"^not ok.*\n(?:#.*\n)*", text, re.MULTILINE)
        raise Failed(f"{' '.join(command)} ended with {suite.returncode}:\n"
                     + tail("".join(wrong) + text[-1000:], 60))
    if summary or lines:
        bench.note(f"{bench.passed} passed, {bench.skipped} skipped in the suite")
    return text
