# SPDX-License-Identifier: GPL-2.0
"""Talking to the machines: byte channels, shells, the two monitors.

Every wait has a timeout, and ends early when the outer machine is gone.
"""

import contextlib
import json
import re
import select
import socket
import time

ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

DEATH_GRACE = 0.5		# s, between a channel's end and the process's


class Patience:
    """How much longer than on the stock kernels every wait may take."""
    factor = 1


def deadline_in(seconds):
    return time.monotonic() + seconds * Patience.factor


class RigError(Exception):
    """The rig cannot go on; the message is for the person at the terminal."""


class RigTimeout(RigError):
    pass


class Channel:
    """One end of a socket pair; the other end is a port of the outer machine."""

    def __init__(self, name, alive):
        self.name = name
        self.alive = alive
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.pending = b""
        self.log = None

    def pump(self, timeout):
        """Take in what has arrived; False if nothing did within the timeout."""
        readable, _, _ = select.select([self.near], [], [], timeout)
        if not readable:
            return False
        data = self.near.recv(65536)
        if not data:
            time.sleep(DEATH_GRACE)
            self.alive()
            raise RigError(f"{self.name}: the outer machine has gone")
        self.pending += data
        if self.log:
            self.log.write(data)
            self.log.flush()
        return True

    def drain(self):
        """Take in all that has arrived, also from a machine that has gone since."""
        with contextlib.suppress(RigError):
            while self.pump(0):
                pass

    def clear(self):
        while self.pump(0):
            pass
        self.pending = b""

    def send(self, data, timeout=10):
        deadline = deadline_in(timeout)
        while data:
            _, writable, _ = select.select([], [self.near], [], 0.2)
            if writable:
                data = data[self.near.send(data):]
            elif time.monotonic() > deadline:
                raise RigTimeout(f"{self.name}: takes no input for {timeout * Patience.factor} s")

    def expect(self, pattern, timeout):
        """Wait for the regular expression; the text before it, and the match."""
        compiled = re.compile(pattern)
        deadline = deadline_in(timeout)
        while True:
            found = compiled.search(self.pending)
            if found:
                before = self.pending[:found.start()]
                self.pending = self.pending[found.end():]
                return before.decode(errors="replace"), found
            if time.monotonic() > deadline:
                raise RigTimeout(f"{self.name}: nothing matched {pattern!r} within "
                                 f"{timeout * Patience.factor:.0f} s; it ends with:\n"
                                 + tail(self.pending.decode(errors='replace')))
            if not self.pump(0.2):
                self.alive()


def tail(text, lines=25):
    kept = text.rstrip().splitlines()[-lines:]
    return "\n".join(f"    | {line}" for line in kept) or "    | (nothing)"


def from_first(pattern, text, lines=40):
    """The text from the first line that matches; its end if none does."""
    all_lines = text.splitlines()
    for index, line in enumerate(all_lines):
        if pattern.search(line):
            return tail("\n".join(all_lines[index:index + lines]), lines)
    return tail(text)


class Shell:
    """A shell that reads commands from a channel, one at a time."""

    def __init__(self, channel):
        self.channel = channel
        self.count = 0

    def ready(self, timeout):
        self.channel.expect(rb"GM-SHELL-READY\n", timeout)

    def begin(self, command):
        """Start the command; end() is to follow."""
        self.count += 1
        self.channel.clear()
        self.channel.send(f"( {command}\n) </dev/null 2>&1; echo GM-END-{self.count} $?\n"
                          .encode())

    def end(self, timeout):
        """(status, output) of the command that was started."""
        output, found = self.channel.expect(rb"\r?GM-END-%d (\d+)\r?\n" % self.count, timeout)
        return int(found[1]), output.replace("\r\n", "\n")

    def run(self, command, timeout=20):
        """(status, output) of the command; stderr goes with stdout."""
        self.begin(command)
        try:
            return self.end(timeout)
        except RigTimeout as error:
            raise RigTimeout(f"'{command}' did not finish: {error}") from None

    def check(self, command, timeout=20):
        status, output = self.run(command, timeout)
        if status:
            raise RigError(f"{self.channel.name}: '{command}' ended with {status}:\n"
                           + tail(output))
        return output


class Hmp:
    """The human monitor, spoken to as a person at a terminal does."""

    PROMPT = rb"\(qemu\) "

    def __init__(self, channel):
        self.channel = channel

    def ready(self, timeout):
        self.channel.expect(self.PROMPT, timeout)

    def run(self, command, timeout=20):
        self.channel.clear()
        self.channel.send(command.encode() + b"\n")
        self.channel.expect(rb"\r\n", timeout)		# the echo of what was typed
        output, _ = self.channel.expect(self.PROMPT, timeout)
        return ESCAPES.sub("", output).replace("\r\n", "\n").strip("\n")


class QmpError(Exception):
    def __init__(self, error):
        super().__init__(error.get("desc", str(error)))
        self.kind = error.get("class")


class Qmp:
    def __init__(self, channel):
        self.channel = channel
        self.events = []
        self.count = 0

    def ready(self, timeout):
        while "QMP" not in self._read(timeout):
            pass
        self.execute("qmp_capabilities", timeout=timeout)

    def _read(self, timeout):
        while True:
            line, _ = self.channel.expect(rb"\r?\n", timeout)
            if line.strip():
                return json.loads(line)

    def execute(self, command, timeout=20, **arguments):
        """The command's return value; raises QmpError with QEMU's own text."""
        self.count += 1
        request = {"execute": command, "id": self.count}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): value
                                    for name, value in arguments.items()}
        self.channel.send(json.dumps(request).encode() + b"\n")
        deadline = deadline_in(timeout)
        while True:
            answer = self._read(max(0.1, (deadline - time.monotonic()) / Patience.factor))
            if "event" in answer:
                self.events.append(answer)
            elif answer.get("id") == self.count:
                if "error" in answer:
                    raise QmpError(answer["error"])
                return answer["return"]

    def take_events(self, name):
        """The events of that name seen so far, which are then forgotten."""
        self.channel.drain()
        while b"\n" in self.channel.pending:
            answer = self._read(1)
            if "event" in answer:
                self.events.append(answer)
        taken = [event for event in self.events if event["event"] == name]
        self.events = [event for event in self.events if event["event"] != name]
        return taken

    def wait_event(self, name, timeout):
        deadline = deadline_in(timeout)
        while True:
            taken = self.take_events(name)
            if taken:
                self.events.extend(taken[1:])
                return taken[0]
            if time.monotonic() > deadline:
                raise RigTimeout(f"no event {name} within {timeout * Patience.factor} s; seen: "
                                 + (", ".join(e["event"] for e in self.events) or "none"))
            if not self.channel.pump(0.2):
                self.channel.alive()
