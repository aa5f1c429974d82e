# SPDX-License-Identifier: GPL-2.0
"""Many channels over one serial line, for an outer machine that has no better
way in; rig/l1/l1-mux.c, in L1, is the other side and tells the format.

Towards L1 one frame is on its way at a time, and it fits the UART's FIFO. From
L1 there is no limit: this side always reads.
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


def frame(channel, data):
    body = bytes((channel, len(data))) + data
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

    def __init__(self, line, channels, screen, screen_log):
        self.line = line
        self.ends = [channel.far for channel in channels]
        self.screen = screen
        self.screen_log = screen_log
        self.decoder = Decoder()
        self.out = [bytearray() for _ in self.ends]	# what a far end does not take yet
        self.ready = False		# L1 takes a frame
        self.sent = 0
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
        readable, writable, _ = select.select(readers, writers, [])
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
            self._send(readable)
        return True

    def _read(self, terminal):
        try:
            return os.read(terminal, 65536)
        except OSError as error:
            raise RigError(f"the emulator's terminal has gone: {error.strerror}") from None

    def _arrived(self, channel, data):
        if channel == ACK:
            if data != bytes((self.sent & 0xff,)):
                raise RigError(f"L1 acknowledges frame {data.hex()}, sent are {self.sent:#x}")
            self.ready = True
        elif channel < len(self.out):
            self.out[channel] += data
            self._flush(channel)
        else:
            raise RigError(f"L1 has no channel {channel}")

    def _flush(self, index):
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            del self.out[index][:self.ends[index].send(self.out[index])]

    def _send(self, readable):
        """One frame, of the channels in turn."""
        for step in range(1, len(self.ends) + 1):
            index = (self.turn + step) % len(self.ends)
            if self.ends[index] not in readable:
                continue
            data = self.ends[index].recv(MOST_TO_L1)
            if data:
                self.turn = index
                self.ready = False
                self.sent += 1
                os.write(self.line, frame(index, data))
                return
