# SPDX-License-Identifier: GPL-2.0
"""A program at a terminal, and what a person would see there.

The terminal has no end of a line, and keeps all that was ever shown. It knows the
escape sequences that QEMU's readline uses; another one is an error, not ignored.
"""

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

from .case import Failed
from .channel import Patience, tail

SEQUENCE = re.compile(rb"\x1b\[(\d*)([A-Za-z])")
PARTIAL = re.compile(rb"\x1b(\[\d*)?$")


class Screen:
    def __init__(self):
        self.rows = [""]
        self.column = 0
        self.pending = b""

    def feed(self, data):
        data = self.pending + data
        self.pending = b""
        at = 0
        while at < len(data):
            byte = data[at:at + 1]
            if byte != b"\x1b":
                self.plain(byte)
                at += 1
                continue
            found = SEQUENCE.match(data, at)
            if not found:
                if not PARTIAL.match(data[at:]):
                    raise Failed(f"a terminal would not know {data[at:at + 8]!r}")
                self.pending = data[at:]
                return
            self.sequence(int(found[1] or 1), found[2])
            at = found.end()

    def plain(self, byte):
        if byte == b"\r":
            self.column = 0
        elif byte == b"\n":
            self.rows.append("")
        elif byte == b"\b":
            self.column = max(0, self.column - 1)
        elif byte < b" ":
            raise Failed(f"a control character, {byte!r}, is shown")
        else:
            row = self.rows[-1].ljust(self.column)
            self.rows[-1] = row[:self.column] + byte.decode("latin-1") + row[self.column + 1:]
            self.column += 1

    def sequence(self, count, kind):
        if kind == b"D":
            self.column = max(0, self.column - count)
        elif kind == b"C":
            self.column += count
        elif kind == b"K":
            self.rows[-1] = self.rows[-1][:self.column]
        else:
            raise Failed(f"a terminal would not know {kind!r}")


class Terminal:
    """COMMAND at a terminal, with its standard error in the file LOG."""

    def __init__(self, command, log, cwd):
        self.screen = Screen()
        self.mark = 0			# the row that the next step begins in
        self.near, self.far = pty.openpty()
        self.before = termios.tcgetattr(self.far)
        with open(log, "wb") as stream:
            self.process = subprocess.Popen(
                command, cwd=cwd, stdin=self.far, stdout=self.far, stderr=stream,
                start_new_session=True, preexec_fn=self.take_over)

    @staticmethod
    def take_over():
        """Make it the terminal of the new session: what Ctrl-C is sent to."""
        os.close(os.open(os.ttyname(0), os.O_RDWR))
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def pump(self, timeout):
        readable, _, _ = select.select([self.near], [], [], timeout)
        if readable:
            self.screen.feed(os.read(self.near, 65536))

    def type(self, keys):
        os.write(self.near, keys.encode("latin-1"))

    def shows(self, *rows, timeout=10):
        """From the mark on, these rows and nothing else; the last one is the next mark."""
        deadline = time.monotonic() + timeout * Patience.factor
        while self.screen.rows[self.mark:] != list(rows):
            if time.monotonic() > deadline:
                seen = self.screen.rows[self.mark:]
                raise Failed("the terminal shows\n" + tail("\n".join(seen), 40)
                             + "\nand should\n" + tail("\n".join(rows), 40)
                             + f"\nin detail: {seen}")
            self.pump(0.1)
        self.mark = len(self.screen.rows) - 1

    def step(self, keys, *rows, timeout=10):
        self.type(keys)
        self.shows(*rows, timeout=timeout)

    def ends(self, timeout=10):
        """The exit status; the terminal must be as it was."""
        deadline = time.monotonic() + timeout * Patience.factor
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise Failed("it does not end")
            self.pump(0.1)
        while select.select([self.near], [], [], 0)[0]:
            self.pump(0)
        if termios.tcgetattr(self.far) != self.before:
            raise Failed("the terminal is not as it was before")
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.near)
        os.close(self.far)

    def __enter__(self):
        return self

    def __exit__(self, *_unused):
        self.close()
