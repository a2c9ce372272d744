#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The ends of a run by Python's multiprocessing: what ends.c does.

ends.py queue|simple|pipe|corrupts BOARD

A message is its producer and number, then a window of a text that is known to
all, which its number chooses: so it is written and checked in whole, at the
speed of C.
"""

import ctypes
import mmap
import multiprocessing
import os
import random
import signal
import struct
import sys
import time

# struct board and struct share of ends.h.
GO, TRIPS, PRODUCERS, CONSUMERS, PLACEMENT, SPIN = 0, 4, 8, 12, 16, 20
SIZE, EACH = 24, 32
ENDS, MOST, SHARE = 128, 256, 128
DONE, SUM, FIRST, READY, FLAW, PID = 0, 8, 16, 24, 28, 32
TIMES = ENDS + 2 * MOST * SHARE
PRODUCER, CONSUMER = 0, 1
TWO_CPUS, UNPINNED = 0, 2
SEND_FAILED, RECV_FAILED, WRONG_LENGTH, WRONG_BYTES, DISORDER = 1, 2, 3, 4, 5
WARM = 100
LOOK = 0.0005  # s
SHIFT = 48
MASK = (1 << 64) - 1
WINDOWS = 4096

context = multiprocessing.get_context('fork')
board = mmap.mmap(os.open(sys.argv[2], os.O_RDWR), 0)
# Stores of a word, each at once.
words = memoryview(board).cast('I')
longs = memoryview(board).cast('Q')
times = memoryview(board).cast('d')


def word(at):
    return words[at // 4]


def long(at):
    return longs[at // 8]


trips, producers, consumers = word(TRIPS), word(PRODUCERS), word(CONSUMERS)
size, each = long(SIZE), long(EACH)
text = random.Random(1).randbytes(size + WINDOWS)


class Pipe:
    """A pipe with the names of a queue's calls."""

    def __init__(self):
        self.get_end, self.put_end = context.Pipe(duplex=False)

    def put(self, message):
        self.put_end.send_bytes(message)

    def get(self):
        return self.get_end.recv_bytes()

    def empty(self):
        return not self.get_end.poll()


class Corrupts:
    """A queue that does one message in 100 wrong: that has to be seen."""

    def __init__(self):
        self.queue, self.sent = context.SimpleQueue(), 0
        self.get, self.empty = self.queue.get, self.queue.empty

    def put(self, message):
        self.sent += 1
        if self.sent % 100 == 50:
            message = message[:-1] + bytes([message[-1] ^ 1])
        self.queue.put(message)


KINDS = {'queue': context.Queue, 'simple': context.SimpleQueue, 'pipe': Pipe,
         'corrupts': Corrupts}
channels = [KINDS[sys.argv[1]]() for _ in range(2 if trips else 1)]


def fill(producer, number):
    at = number % WINDOWS
    return struct.pack('Q', producer << SHIFT | number) + \
        text[at:at + size - 8]


def check(message):
    """The name of a message, or None if a byte is wrong."""
    name = int.from_bytes(message[:8], 'little')
    at = (name & ((1 << SHIFT) - 1)) % WINDOWS
    return name if message[8:] == text[at:at + size - 8] else None


def mix(x):
    x = (x ^ x >> 31) * 0x7fb5d329728ea185 & MASK
    x = (x ^ x >> 27) * 0x81dadef4bc2dd44d & MASK
    return x ^ x >> 33


class End:
    def __init__(self, end, index):
        self.end, self.index = end, index
        self.at = ENDS + (end * MOST + index) * SHARE

    def run(self):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
        words[(self.at + PID) // 4] = os.getpid()
        if word(PLACEMENT) != UNPINNED:
            cpus = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cpus[
                word(PLACEMENT) == TWO_CPUS and self.end == CONSUMER]})
        if trips:
            self.play()
        elif self.end == PRODUCER:
            self.produce()
        else:
            self.consume()
        self.wait_to_be_killed()

    @staticmethod
    def wait_to_be_killed():
        while True:
            signal.pause()

    def flaw(self, what):
        words[(self.at + FLAW) // 4] = what
        self.wait_to_be_killed()

    def produce(self):
        words[(self.at + READY) // 4] = 1
        while not word(GO):
            time.sleep(LOOK)
        for number in range(each):
            channels[0].put(fill(self.index, number))
            longs[self.at // 8] = number + 1

    def consume(self):
        get, total, done = channels[0].get, 0, 0
        after = [0] * producers
        words[(self.at + READY) // 4] = 1
        while True:
            message = get()
            if len(message) != size:
                self.flaw(WRONG_LENGTH)
            name = check(message)
            if name is None or name >> SHIFT >= producers:
                self.flaw(WRONG_BYTES)
            producer, number = name >> SHIFT, name & ((1 << SHIFT) - 1)
            if number >= each:
                self.flaw(WRONG_BYTES)
            if number < after[producer]:
                self.flaw(DISORDER)
            after[producer] = number + 1
            if done == 0:
                longs[(self.at + FIRST) // 8] = time.monotonic_ns()
            total = (total + mix(name)) & MASK
            done += 1
            longs[(self.at + SUM) // 8] = total
            longs[(self.at + DONE) // 8] = done

    def receive(self, channel, number):
        if word(SPIN):
            tries = 0
            while channel.empty():
                tries += 1
                if tries % 64 == 0:
                    os.sched_yield()
        message = channel.get()
        if len(message) != size or check(message) != number:
            self.flaw(WRONG_BYTES)

    def play(self):
        asks = self.end == PRODUCER
        there, back = channels if asks else channels[::-1]
        words[(self.at + READY) // 4] = 1
        other = ENDS + (1 - self.end) * MOST * SHARE
        while not word(other + READY):
            time.sleep(LOOK)
        for number in range(trips + WARM):
            if asks:
                begun = time.monotonic_ns()
                there.put(fill(0, number))
                self.receive(back, number)
                if number >= WARM:
                    times[TIMES // 8 + number - WARM] = \
                        time.monotonic_ns() - begun
            else:
                self.receive(back, number)
                there.put(fill(0, number))
            longs[self.at // 8] = number + 1


def start(end, n):
    ends = [End(end, index) for index in range(n)]
    for one in ends:
        context.Process(target=one.run).start()
    while not all(word(one.at + READY) for one in ends):
        if trips and end == CONSUMER:
            break  # it waits for the producer
        time.sleep(LOOK)


# Who is killed is not waited for.
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
start(CONSUMER, consumers)
start(PRODUCER, producers)
End.wait_to_be_killed()
