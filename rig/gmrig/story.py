# SPDX-License-Identifier: GPL-2.0
"""What the demos share: a story in numbered steps, told with the real output of the
monitor, the host and the guest, whose verdicts are the demo's."""

import textwrap
import time

from .case import Failed, expect
from .channel import QmpError, RigError
from .config import Config, ConfigError
from .guest import OOPS, QMP_SOCKET
from .session import Session


def show(text, indent=4):
    if text:
        print(textwrap.indent(text.rstrip("\n"), " " * indent), flush=True)


class Story:
    def __init__(self, session):
        self.session = session
        self.steps = 0
        self.verdicts = []
        self.guest = self.life = None

    def tell(self):
        raise NotImplementedError

    def step(self, title, text):
        self.steps += 1
        print(f"\n{self.steps}. {title}", flush=True)
        if text:
            show(textwrap.fill(text, 76), 3)

    def verdict(self, text):
        self.verdicts.append(text)
        show(f"=> {text}", 3)

    def monitor(self, command):
        """Type a command at L2's monitor and show what it answers."""
        show(f"(qemu) {command}")
        output = self.guest.hmp.run(command)
        show(output)
        return output

    def host(self, command):
        """Run gmctl on the host, the guest's own socket being understood."""
        show(f"host# {command}")
        program, words = command.split(" ", 1)
        output = self.session.outer().shell.check(
            f"GM_QMP={QMP_SOCKET} {self.session.config.built('tools', program)} {words}", 60)
        show(output)
        return output

    def shell(self, command, must=True):
        """Run a command in the guest and show what it prints."""
        show(f"guest# {command}")
        status, output = self.guest.shell.run(command, 60)
        show(output)
        expect(status == 0 or not must, f"'{command}' ended with {status}")
        return output

    def host_unharmed(self):
        trouble = self.session.outer().trouble()
        expect(not trouble, f"the host's kernel complained:\n{trouble}")
        self.verdicts.append("the host's kernel log is clean")


def describe(event):
    """An event's data on one line, addresses in hexadecimal."""
    def value(name, content):
        return f"0x{content:x}" if name in ("rip", "address", "gpa") else str(content)
    return ", ".join(f"{name} {value(name, content)}" for name, content in event.items())


def main(title, kind):
    """Tell the story of that kind; the exit status is the verdict."""
    began = time.monotonic()
    session = Session(Config(), verbose=show)
    story = kind(session)
    problem = None
    try:
        print(title)
        story.tell()
        story.host_unharmed()
    except (Failed, RigError, QmpError, ConfigError) as error:
        problem = str(error)
        if story.guest is not None:
            complaint = OOPS.search(story.guest.console_text())
            problem += f"\nL2's kernel: {complaint[0]}" if complaint else ""
    finally:
        session.close()
    print(f"\nSummary ({time.monotonic() - began:.0f} s)")
    for line in story.verdicts:
        show(f"ok  {line}", 2)
    if problem:
        show(f"FAILED  {problem}", 2)
        print(f"logs are in {session.run}\nVerdict: FAILED")
        return 1
    session.remove_files()
    print("Verdict: all of it worked")
    return 0
