# SPDX-License-Identifier: GPL-2.0
"""Where the instructions of a border crossing go: L1 runs one instruction at a
time and the emulator writes down each address, which the debug information of
KVM's modules turns into functions, inlined ones too, and those into components.
"""

import collections
import os
import re
import subprocess

from .channel import RigError

LINE = re.compile(rb"Trace \d+: 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/([0-9a-f]+)/")
IN_GUEST = 1 << 21		# HF_GUEST_MASK of the emulator's flags: this is L2
SECTIONS = (".text", ".noinstr.text", ".text.unlikely")

# The innermost function named here says what an instruction is for.
COMPONENTS = {
    "gate lookup": ("gm_find_gate",),
    "checks": ("gm_fastpath", "gm_environment_ok"),
    "translation": ("gm_return_borrowed",),
    "view": ("gm_enter_view", "__gm_leave_view", "gm_switch_root", "gm_svm_enter_view",
             "gm_svm_leave_view", "gm_svm_switch_tables", "gm_svm_intercept"),
    "stack": ("gm_begin_activation", "gm_end_activation", "gm_publish_out", "gm_claim_out",
              "gm_stack_word", "gm_collect_windows", "gm_share_windows"),
    "registers": ("gm_scrub_registers", "gm_sanitize_rflags", "gm_save_callee_saved",
                  "gm_load_callee_saved", "gm_save_registers", "gm_load_registers",
                  "gm_go_on_at", "gm_set_rflags", "gm_scrub_rflags"),
    "counters": ("__gm_count", "gm_count_gate"),
}
ORDER = ("exit", *COMPONENTS, "entry")
COMPONENT = {name: component for component, names in COMPONENTS.items() for name in names}

# What tells the kinds of crossings from each other.
KINDS = {"gm_do_in_call": "in-call", "gm_out_return": "out-return",
         "gm_do_out_call": "out-call", "gm_in_return": "in-return"}


class Functions:
    """The functions that an address of KVM's modules is in, the innermost first."""

    def __init__(self, config, outer, flavour):
        self.ranges = []	# start, end, the file, its section
        for module in ("kvm", outer.vendor):
            name = module.replace("-", "_")
            path = config.need(config.kvm(flavour, module) + ".debug", f"kvm-{flavour}")
            sizes = self._sizes(path)
            for section in SECTIONS:
                address = outer.shell.run(f"cat /sys/module/{name}/sections/{section}")
                if address[0] == 0 and section in sizes:
                    start = int(address[1], 16)
                    self.ranges.append((start, start + sizes[section], path, section))

    @staticmethod
    def _sizes(path):
        text = subprocess.run(["objdump", "-hw", path], check=True, capture_output=True,
                              text=True).stdout
        return {words[1]: int(words[2], 16) for words in map(str.split, text.splitlines())
                if len(words) > 3 and words[0].isdigit()}

    def of(self, addresses):
        """{address: functions}"""
        found = {}
        for start, end, path, section in self.ranges:
            inside = [address for address in addresses if start <= address < end]
            if not inside:
                continue
            text = subprocess.run(
                ["addr2line", "-a", "-f", "-i", "-e", path, "-j", section],
                input="".join(f"{address - start:#x}\n" for address in inside),
                check=True, capture_output=True, text=True).stdout
            lines, address = text.splitlines(), None
            for index, line in enumerate(lines):
                if line.startswith("0x"):
                    address = start + int(line, 16)
                    found[address] = []
                    first = index + 1
                elif (index - first) % 2 == 0:
                    # What the compiler has split off keeps its function's name.
                    found[address].append(line.partition(".")[0])
        return found


def runs(path):
    """Lists of L1's addresses, between two of L2's instructions."""
    current = None
    with open(path, "rb") as stream:
        for line in stream:
            match = LINE.match(line)
            if not match:
                continue
            if int(match[2], 16) & IN_GUEST:
                if current:
                    yield current
                current = []
            elif current is not None:
                current.append(int(match[1], 16))


def record(outer, command):
    """What L1 executes after `command' has said that it is ready, in a file."""
    path, output = (os.path.join(outer.run, name) for name in ("l0-trace.log", "traced"))
    outer.shell.check(f"{command} >{output} 2>&1 & echo $! >{output}.pid; "
                      f"while ! grep -q ready {output}; do kill -0 $! || {{ cat {output}; exit 1; }}; done", 300)
    for order in (f"logfile {path}", "one-insn-per-tb on", "log exec,nochain"):
        outer.monitor.run(order)
    try:
        outer.shell.check(f"kill -USR1 $(cat {output}.pid); "
                          f"while kill -0 $(cat {output}.pid); do busybox sleep 0.1; done", 300)
    finally:
        outer.monitor.run("log none", 60)
        outer.monitor.run("one-insn-per-tb off")
    return path


def breakdown(config, outer, command):
    """{kind: {component: instructions}} of the last crossing of each kind."""
    path = record(outer, command)
    crossings = [run for run in runs(path) if len(run) < 10000]
    os.unlink(path)
    functions = Functions(config, outer, outer.kvm_flavour).of(
        {address for run in crossings for address in run})
    result = {}
    for run in crossings:
        named = [[COMPONENT[name] for name in functions.get(address, ()) if name in COMPONENT]
                 for address in run]
        # The compiler has the ends of some share code: the first one tells.
        kind = next((KINDS[name] for address in run for name in functions.get(address, ())
                     if name in KINDS), None)
        ours = [index for index, components in enumerate(named) if components]
        if not kind:
            continue
        count = collections.Counter(components[0] for components in named if components)
        count["exit"] = ours[0]
        count["entry"] = len(run) - 1 - ours[-1]
        count["checks"] += len(run) - sum(count.values())
        result[kind] = count
    missing = set(KINDS.values()) - set(result)
    missing |= {component for component in ORDER
                if not any(count[component] for count in result.values())}
    if missing:
        raise RigError(f"the trace has no {', '.join(sorted(missing))}")
    return result


def show(result):
    kinds = list(KINDS.values())
    print(f"{'instructions of':16}" + "".join(f"{kind:>12}" for kind in kinds))
    for component in ORDER:
        print(f"  {component:14}" + "".join(f"{result[kind][component]:12}" for kind in kinds))
    print(f"  {'together':14}" + "".join(f"{sum(result[kind].values()):12}" for kind in kinds),
          flush=True)
