#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""live_view.py GM-TOP SERVER-PID: the live view on a terminal, as a person uses it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

LEAVE = b"\x1b[?1049l"		# xterm's way back from the screen of programs


# curses sends what has changed alone, so the test waits for that.
class View:
    def __init__(self, program, *arguments, **environment):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ.update(TERM="xterm-256color", **environment)
            # Let the test have looked at the terminal first.
            sys.stdin.readline()
            os.execv(program, [program, "--interval", "0.3", *arguments])
        self.resize(40, 140, tell=False)
        self.before = termios.tcgetattr(self.fd)
        os.write(self.fd, b"\n")
        self.output = b""

    def resize(self, rows, columns, tell=True):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            os.kill(self.pid, signal.SIGWINCH)

    def wait(self, text, what):
        deadline = time.monotonic() + 20
        while text not in self.output:
            assert time.monotonic() < deadline, f"{what}: {text!r} not in {self.output[-3000:]!r}"
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.output += os.read(self.fd, 65536)
                except OSError:
                    assert text in self.output, f"{what}: it ended: {self.output[-3000:]!r}"
        found, self.output = self.output, b""
        return found

    def type(self, keys):
        os.write(self.fd, keys)

    def end(self, status):
        rest = self.wait(LEAVE, "the end")
        after = None
        deadline = time.monotonic() + 10
        while True:
            pid, got = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            assert time.monotonic() < deadline, "it does not end"
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    rest += os.read(self.fd, 65536)
                except OSError:
                    time.sleep(0.05)
            with_terminal = termios.tcgetattr(self.fd)
            after = with_terminal
        code = os.waitstatus_to_exitcode(got)
        assert code == status, f"it ended with {code}, not {status}: {rest!r}"
        if after is not None:
            assert after[3] & termios.ECHO == self.before[3] & termios.ECHO
        os.close(self.fd)
        return rest


def main(program, server):
    view = View(program)
    view.wait(b"rates come with the second look", "the first look")
    view.wait(b"crossings/s", "the second look")
    view.type(b"t")
    view.wait(b"total", "sorting by total")
    view.type(b"i")
    view.wait(b"dummy_setup", "idle symbols")
    view.type(b"p")
    view.wait(b"paused", "a pause")
    view.resize(12, 60)
    view.wait(b"MODULE", "another size")
    view.resize(1, 1)
    time.sleep(0.3)
    view.resize(40, 140)
    view.wait(b"netif_rx", "a size to read")
    view.type(b"p-")
    view.wait(b"15", "another interval")
    view.type(b"q")
    view.end(0)

    view = View(program)
    text = view.wait(b"VIOLATIONS", "colours")
    text += view.wait(b"crossings/s", "colours")
    assert re.search(rb"\x1b\[[0-9;]*31m", text), "violations are not red"
    view.type(b"\x03")		# Ctrl-C
    view.end(0)

    view = View(program, NO_COLOR="1")
    text = view.wait(b"VIOLATIONS", "no colours")
    text += view.wait(b"crossings/s", "no colours")
    assert not re.search(rb"\x1b\[[0-9;]*31m", text), "red despite NO_COLOR"
    os.kill(int(server), signal.SIGTERM)
    rest = view.end(3)
    assert b"cannot connect" in rest or b"closed the connection" in rest, rest


if __name__ == "__main__":
    main(*sys.argv[1:])
