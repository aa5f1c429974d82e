# SPDX-License-Identifier: GPL-2.0
"""A document whose commands and outputs are real: what it says that one types,
where, and what comes of it.

A block that is fenced as `console' has commands, each at a prompt, with its
output below. A line of `...' in an output stands for any number of lines. A
comment `<!-- not run: WHY -->' before a block says that it cannot run in the rig.
"""

import re
from dataclasses import dataclass, field

PROMPT = re.compile(r"(host#|guest#|\(qemu\)|build\$) (.*)")
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
ANY = "..."

# What differs from one run, machine, kernel or build to the next. All else counts.
VARIES = tuple((re.compile(pattern), to) for pattern, to in (
    (r"\bseconds: ?\d+|^\s*\[ *\d+\.\d+\] ?", "TIME "),
    (r"\b(?:\d{4}-\d\d-\d\d[ T])?\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| UTC)?", "TIME"),
    (r"0x[0-9a-f]{5,}", "ADDRESS"),
    (r"\b[0-9a-f]{64}\b|\bid [0-9a-f]{12}\b", "ID"),
    (r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b|\bfe80::[0-9a-f:]+", "MAC"),
    (r"\b6\.\d+\.\d+\S*-amd64\b", "RELEASE"),
    (r"\bserial [0-9a-f]{8,}", "SERIAL"),
    (r"\b(in-call|out-return|out-call|in-return|event-exit|resume)(s?) \d+", r"\1\2 N"),
    (r"\bpages: ?\d+|\bpages \d+|\b\d+ pages", "N pages"),
    (r"\b\d+ gates|\bgates \d+|\bgates: ?\d+", "N gates"),
    (r"\bactivations \d+ of", "activations N of"),
    (r"\b(\d+) (in-call gates|out-call stubs|call frames|bytes|instructions|relocations)",
     r"N \2"),
    (r"\b\d+ (by following|by unwind|branches)", r"N \1"),
    (r"\b(cpu-index|cpu|CPU)(:? )\d+", r"\1\2N"),
    (r"\+0x[0-9a-f]+", "+OFFSET"),
    (r"^(\d+ \S+) \d{4,}$", r"\1 BYTES"),		# gm-load list
    (r" \d+/(\d+) +\d+ ", r" N/\1 CROSSINGS "),		# gmctl list
    (r"^0x[0-9a-f]*[1-9a-f][0-9a-f]*$|^ *[0-9a-e][0-9a-f]$", "NEITHER ZERO NOR ONES"),
))


def normal(line):
    for pattern, to in VARIES:
        line = pattern.sub(to, line)
    return re.sub(r"\s+", " ", line).strip()


@dataclass
class Step:
    prompt: str
    command: str
    line: int			# of the prompt, from 1
    end: int			# of the command's last line
    output: list = field(default_factory=list)
    reason: str = ""		# why it cannot run here


def parse(text):
    """The steps in the order in which they stand there."""
    steps, reason, inside, more = [], "", False, False
    for number, line in enumerate(text.splitlines(), start=1):
        if not inside:
            found = NOT_RUN.fullmatch(line.strip())
            if line.startswith("```console"):
                inside, first = True, True
            elif found:
                reason = found[1]
            elif line.strip():
                reason = ""
            continue
        if line.startswith("```"):
            inside, more, reason = False, False, ""
            continue
        found = PROMPT.fullmatch(line)
        if found and not more:
            steps.append(Step(found[1], found[2], number, number, reason=reason))
        elif more:
            steps[-1].command += "\n" + line
            steps[-1].end = number
        elif first:
            raise ValueError(f"line {number}: a block begins without a prompt: {line!r}")
        else:
            steps[-1].output.append(line)
        first = False
        more = (found or more) and line.endswith("\\")
    return steps


def matches(expected, actual):
    """Is the output as the document has it, but for what varies?"""
    if not expected:
        return not actual
    if expected[0].strip() == ANY:
        return any(matches(expected[1:], actual[n:]) for n in range(len(actual) + 1))
    return (bool(actual) and normal(expected[0]) == normal(actual[0])
            and matches(expected[1:], actual[1:]))


def rewritten(text, outputs):
    """The text with the outputs, (step, lines) in order, in place of its own."""
    lines = text.splitlines()
    for step, output in reversed(outputs):
        lines[step.end:step.end + len(step.output)] = output
    return "\n".join(lines) + "\n"
