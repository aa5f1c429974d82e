#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A QEMU for the tests of gm-run: it makes the sockets of its monitors, and does
what $GM_TEST_QEMU says. What it was told and what came of it goes to
$GM_TEST_OUT."""

import os
import re
import signal
import socket
import sys
import termios
import time
import tty

if sys.argv[-1].endswith(",help"):
    sys.exit(0 if sys.argv[-1] in os.environ.get("GM_TEST_KNOWS", "").split() else 1)

out = os.environ["GM_TEST_OUT"]
todo = os.environ["GM_TEST_QEMU"]
sockets = []
for word in sys.argv:
    path = re.match(r"socket,id=[\w-]+,path=(.*),server=on,wait=off$", word)
    if path:
        sockets.append(socket.socket(socket.AF_UNIX))
        sockets[-1].bind(path[1].replace(",,", ","))
        sockets[-1].listen(1)

interrupts = 0


def on_interrupt(_number, _frame):
    global interrupts
    interrupts += 1


def on_end(_number, _frame):
    with open(out + ".end", "w", encoding="ascii") as stream:
        stream.write("SIGTERM\n")
    sys.exit(5)


signal.signal(signal.SIGINT, on_interrupt)
signal.signal(signal.SIGTERM, on_end)
if todo == "raw":
    tty.setraw(0)
with open(out + ".new", "w", encoding="utf-8") as stream:
    stream.write("\n".join(sys.argv[1:]) + "\n")
os.rename(out + ".new", out)		# it is ready

if todo.isdigit():
    sys.exit(int(todo))
if todo in ("kill", "raw"):
    os.kill(os.getpid(), signal.SIGKILL)
if todo == "count":			# the interrupts that come for one Ctrl-C
    while not interrupts:
        time.sleep(0.01)
    time.sleep(0.5)
    sys.exit(10 + interrupts)
while True:
    time.sleep(60)
