# SPDX-License-Identifier: GPL-2.0
"""What the attacker module (guest/attack) does to the sealed dummy.ko, and how
each attack must end. Tests and the demo share this."""

import re
from dataclasses import dataclass

from .case import expect_equal, expect

TOLD = re.compile(r"gm_attack: ([\w-]+): address (0x[0-9a-f]+)")


@dataclass
class Attack:
    name: str			# as gm_attack knows it
    kind: str			# of the violation it must end as
    title: str
    text: str
    at_rip: bool = False	# the address it tells is where it stands, not its target
    module: bool = True		# the event names the victim
    inside: bool = False	# the victim's own doing: it tells where it was called

    def verify(self, event, address, victim):
        expect_equal("kind", event["kind"], self.kind)
        if not self.inside:
            expect_equal("rip" if self.at_rip else "address",
                         hex(event["rip" if self.at_rip else "address"]), hex(address))
        if self.module:
            expect_equal("module", event.get("module"), victim)


ATTACKS = (
    Attack("jump", "exec", "a jump into the middle of the guarded text",
           "In the guest's view, sealed text is not executable."),
    Attack("write", "write", "a write to the guarded text",
           "In the guest's view, sealed pages are read-only."),
    Attack("hypercall", "hypercall", "the gates' hypercall, from the attacker's own code",
           "KVM knows a gate by its address, so the same instruction elsewhere is none.",
           at_rip=True, module=False),
    Attack("return", "return", "a return into the module that no call out of it waits for",
           "KVM keeps the return addresses of calls out of the module itself.", at_rip=True),
)

# Those that are too subtle for the demo.
MORE_ATTACKS = (
    Attack("resume", "resume", "a resumption of what was never interrupted",
           "An activation is resumed once for each time that it was interrupted.",
           at_rip=True),
    Attack("steal", "return", "the return of another thread's call",
           "An activation is found by the stack pointer that its call went out with.",
           at_rip=True),
    Attack("init", "gate", "the init stub's hypercall, with another number",
           "In a sealed module's pages, a hypercall is a gate or a violation.", at_rip=True),
    Attack("forge-gate", "gate", "a forged page at the address of a gate for the way out",
           "Gates for the way out are believed inside only.", at_rip=True),
    Attack("gs-user", "environment", "a call with per-CPU data in user memory",
           "The GS base must be a kernel address."),
    Attack("gs-return", "environment", "a return with per-CPU data in user memory",
           "What holds for a call holds for a return."),
    Attack("gs-resume", "environment", "a resumption with per-CPU data in user memory",
           "What holds for a call holds for a resumption."),
    Attack("gs-module", "environment", "a call with per-CPU data that reaches the module",
           "What is written relative to the GS base must not be the module's."),
    Attack("sp-user", "environment", "a call on a stack in user memory",
           "The stack pointer must be a kernel address."),
    Attack("sp-module", "environment", "a call on a stack in the module's own pages",
           "The guest's stack must not be the module's memory."),
    Attack("sp-odd", "environment", "a call on an odd stack pointer",
           "The stack pointer must be aligned."),
    Attack("lend", "write", "a write by a function that the module has absorbed",
           "What is absorbed writes where the guest's kernel could, too."),
    Attack("stray-escape", "escape", "a return from the module into the kernel",
           "Nothing but sealed text is executable inside.", inside=True),
    Attack("stray-early", "frame", "a return to the guest from a function in between",
           "The module returns to the guest where its stack began.", inside=True),
    Attack("stray-frame", "frame", "a call out from a stack that cannot be unwound",
           "Shared windows are found by return addresses that the image knows.",
           inside=True),
    Attack("stray-constant", "access", "a write to the module's own constants",
           "Read-only data is read-only inside as well.", inside=True),
    Attack("stray-cpuid", "exit", "an instruction that KVM would have to perform",
           "A module exits to KVM through gates.", inside=True),
    Attack("stray-mmio", "emulate", "a read of an emulated device",
           "No instruction is emulated on behalf of a module.", inside=True),
)

# Absorbed functions, each with a private object of its victim's.
LENT = ("lend-put", "lend-trim", "lend-type", "lend-free", "lend-napi", "lend-dql")
LENT_SIZE = 4096		# bytes, of all these objects at most: the module's private data


class Attacker:
    def __init__(self, guest, life):
        self.guest = guest
        self.life = life

    def load(self):
        self.guest.shell.check("grep -q ^gm_attack /proc/modules || "
                               "insmod /modules/gm_attack.ko")

    def aim(self, **parameters):
        """Set module parameters: the next attack's victim, symbol, address."""
        for name, value in parameters.items():
            self.guest.shell.check(
                f"echo '{value}' >/sys/module/gm_attack/parameters/{name}")

    @staticmethod
    def command(attack):
        return f"echo {attack.name} >/sys/kernel/debug/gm_attack/run"

    def run(self, attack):
        """What the guest printed, the event's data, and the address attacked."""
        self.guest.qmp.take_events("GM_VIOLATION")
        self.guest.shell.check("dmesg -c >/dev/null")
        _, output = self.guest.shell.run(self.command(attack), 30)
        event = self.guest.qmp.wait_event("GM_VIOLATION", 20)["data"]
        log = self.guest.shell.check("dmesg")
        told = TOLD.findall(log)
        expect(told and told[-1][0] == attack.name,
               f"gm_attack did not run {attack.name}:\n{log[-2000:]}")
        expect("survived" not in log, "the attacker's code went on past the attack")
        return output + excerpt(log), event, int(told[-1][1], 16)


def excerpt(log):
    """The lines of the guest's log that a reader wants to see."""
    wanted = re.compile(r"gm_attack:|Oops|BUG:|general protection|unable to handle|"
                        r"invalid opcode|RIP: 0010")
    return "\n".join(line for line in log.splitlines() if wanted.search(line))
