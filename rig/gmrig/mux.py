# SPDX-License-Identifier: GPL-2.0
"""Many channels over one serial line, for an outer machine that has no better
way in; rig/l1/l1-mux.c, in L1, is the other side and tells the format.

Towards L1 one frame is on its way at a time, and it fits the UART's FIFO; one that
is not acknowledged is sent again. From L1 there is no limit: this side always reads.
"""

import binascii
import contextlib
import os
import select
import socket
import threading
import time

from .channel import RigError

ACK = 255
HEAD, CRC = 2, 2
MOST_TO_L1 = 16 - HEAD - CRC
MOST_FROM_L1 = 240
GATHER = 0.001		# s: the emulator writes one byte at a time
TURN = 0x80		# in the length, of every other frame to L1
PATIENCE = 3		# s, for an acknowledgement
MOST_TIMES = 40		# that a frame is sent


def frame(channel, data, odd=False):
    body = bytes((channel, len(data) | (TURN if odd else 0))) + data
    return body + binascii.crc_hqx(body, 0).to_bytes(2, "big")


class Decoder:
    """Cuts what comes from the line, however it is split, into frames."""

    def __init__(self, most=MOST_FROM_L1):
        self.most = most
        self.pending = b""

    def feed(self, data):
        self.pending += data
        frames = []
        while len(self.pending) >= HEAD:
            if self.pending[1] > self.most:
                raise RigError(f"the serial line of L1 brings a frame of {self.pending[1]} bytes")
            size = HEAD + self.pending[1] + CRC
            if len(self.pending) < size:
                break
            if binascii.crc_hqx(self.pending[:size], 0):
                raise RigError("the serial line of L1 has lost or changed a byte")
            frames.append((self.pending[0], self.pending[HEAD:size - CRC]))
            self.pending = self.pending[size:]
        return frames


class Mux:
    """Carries what arrives at the far ends of CHANNELS over LINE, a file descriptor,
    and back, in a thread; also copies what comes from SCREEN into a file."""

    def __init__(self, line, channels, screen, screen_log, patience=PATIENCE):
        self.line = line
        self.patience = patience
        self.ends = [channel.far for channel in channels]
        self.screen = screen
        self.screen_log = screen_log
        self.decoder = Decoder()
        self.out = [bytearray() for _ in self.ends]	# what a far end does not take yet
        self.ready = False		# L1 takes a frame
        self.sent = 0
        self.unanswered = b""		# the frame that is on its way,
        self.times = 0			# how often it was sent,
        self.since = 0			# and when last
        self.resent = 0			# of all frames
        self.turn = 0
        self.error = None
        self.waker, self.woken = socket.socketpair()
        for end in self.ends:
            end.setblocking(False)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self):
        self.waker.close()
        self.thread.join()
        self.woken.close()
        for end in self.ends:
            end.close()

    def _run(self):
        try:
            with open(self.screen_log, "wb") as log:
                while self._step(log):
                    pass
        except (OSError, RigError) as error:
            self.error = error

    def _step(self, log):
        readers = [self.line, self.screen, self.woken]
        if self.ready:
            readers += self.ends
        writers = [end for end, data in zip(self.ends, self.out) if data]
        readable, writable, _ = select.select(readers, writers, [],
                                              self.patience if self.unanswered else None)
        if self.woken in readable:
            return False
        if self.screen in readable:
            log.write(self._read(self.screen))
            log.flush()
        if self.line in readable:
            time.sleep(GATHER)
            for channel, data in self.decoder.feed(self._read(self.line)):
                self._arrived(channel, data)
        for index, end in enumerate(self.ends):
            if end in writable:
                self._flush(index)
        if self.ready and any(end in readable for end in self.ends):
            self._next(readable)
        elif self.unanswered and time.monotonic() - self.since > self.patience:
            self._send()
        return True

    def _read(self, terminal):
        try:
            return os.read(terminal, 65536)
        except OSError as error:
            raise RigError(f"the emulator's terminal has gone: {error.strerror}") from None

    def _arrived(self, channel, data):
        if channel == ACK:
            # What was sent twice is acknowledged twice.
            if data == bytes((self.sent & 0xff,)):
                self.ready = True
                self.unanswered = b""
            elif data != bytes((self.sent - 1 & 0xff,)):
                raise RigError(f"L1 acknowledges frame {data.hex()}, sent are {self.sent:#x}")
        elif channel < len(self.out):
            self.out[channel] += data
            self._flush(channel)
        else:
            raise RigError(f"L1 has no channel {channel}")

    def _flush(self, index):
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            del self.out[index][:self.ends[index].send(self.out[index])]

    def _send(self):
        if self.times == MOST_TIMES:
            raise RigError(f"L1 does not answer on its serial line in {MOST_TIMES * self.patience} s")
        os.write(self.line, self.unanswered)
        self.resent += self.times > 0
        self.times += 1
        self.since = time.monotonic()

    def _next(self, readable):
        """One frame, of the channels in turn."""
        for step in range(1, len(self.ends) + 1):
            index = (self.turn + step) % len(self.ends)
            if self.ends[index] not in readable:
                continue
            data = self.ends[index].recv(MOST_TO_L1)
            if data:
                self.turn = index
                self.ready = False
                self.unanswered = frame(index, data, self.sent % 2 == 0)
                self.sent += 1
                self.times = 0
                self._send()
                return
