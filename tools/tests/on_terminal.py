#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""on_terminal.py COMMAND...: gm-run, with the fake QEMU, on a terminal."""

import fcntl
import os
import pty
import sys
import termios
import time

OUT = os.environ["GM_TEST_OUT"]


def run(command, todo, keys):
    if os.path.exists(OUT):
        os.unlink(OUT)
    terminal, slave = pty.openpty()	# open here, so that it outlives gm-run
    pid = os.fork()
    if not pid:
        os.environ["GM_TEST_QEMU"] = todo
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for number in range(3):
            os.dup2(slave, number)
        os.execvp(command[0], command)
    before = termios.tcgetattr(slave)
    deadline = time.monotonic() + 30
    while not os.path.exists(OUT):
        assert time.monotonic() < deadline, "QEMU is not there"
        time.sleep(0.05)
    os.write(terminal, keys)
    _, status = os.waitpid(pid, 0)
    after = termios.tcgetattr(slave)
    os.close(slave)
    os.close(terminal)
    assert after == before, f"the terminal is not as it was: {after}, {before}"
    return os.waitstatus_to_exitcode(status)


interrupted = run(sys.argv[1:], "count", b"\x03")
assert interrupted == 11, f"QEMU got {interrupted - 10} interrupts"
killed = run(sys.argv[1:], "raw", b"")
assert killed == -9, f"gm-run ended with {killed}"
