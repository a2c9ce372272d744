#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_picture.py EXPECTED PROGRAM - run pool-mandelbrot, compare what it prints, and
what it writes.

Its standard output must be the file EXPECTED, and the PNG file, which is decoded here
without the library that has written it, must show the same: one point of each of the
parts that a character stands for.
"""

import struct
import subprocess
import sys
import tempfile
import zlib

ACROSS, DOWN = 4, 8


def chunks(data):
    """The chunks of a PNG file, each with a correct checksum."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", "no PNG file"
    at = 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + size]
        crc, = struct.unpack_from(">I", data, at + 8 + size)
        assert crc == zlib.crc32(kind + body), f"checksum of {kind}"
        yield kind, body
        at += 12 + size
    assert kind == b"IEND", "the file is cut off"


def paeth(left, up, corner):
    """What the fourth filter expects."""
    guess = left + up - corner
    return min((left, up, corner), key=lambda near: abs(guess - near))


def greys(data):
    """The lines of a picture in 8 bits of grey, not interlaced."""
    parts = list(chunks(data))
    width, height, *form = struct.unpack(">IIBBBBB", parts[0][1])
    assert form == [8, 0, 0, 0, 0], f"another form of picture: {form}"
    raw = zlib.decompress(b"".join(b for kind, b in parts if kind == b"IDAT"))
    assert len(raw) == height * (width + 1), "the picture is cut off"
    above = [0] * width
    for y in range(height):
        kind, *line = raw[y * (width + 1):(y + 1) * (width + 1)]
        left = corner = 0
        for x, up in enumerate(above):
            guess = (0, left, up, (left + up) // 2, paeth(left, up, corner))
            left = line[x] = (line[x] + guess[kind]) % 256
            corner = up
        yield line
        above = line


def letter(grey):
    """As the program prints it."""
    return "#" if grey == 0 else "+" if grey < 175 else "." if grey < 215 else " "


def main(expected, program):
    """The test."""
    with tempfile.NamedTemporaryFile(suffix=".png") as picture:
        text = subprocess.run([program, picture.name], check=True,
                              stdout=subprocess.PIPE).stdout.decode()
        lines = list(greys(picture.read()))
    with open(expected, encoding="ascii") as wanted:
        assert text == wanted.read(), "it prints\n" + text
    shown = ["".join(map(letter, line[::ACROSS])).rstrip()
             for line in lines[DOWN // 2::DOWN]]
    assert shown == text.splitlines(), "the file shows\n" + "\n".join(shown)


main(*sys.argv[1:])
