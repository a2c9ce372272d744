# SPDX-License-Identifier: MIT
"""The shared library exports what its map names, no more and no less; but for
what it puts before a function of the C library, which has no version. And it can be
loaded by a program that runs already.

check_symbols.py ROOT LIBRARY
"""

import subprocess
import sys

from common import finish, map_symbols


# src/os/start_glibc.c
INTERPOSED = {'__libc_start_main'}


def exports(library):
    """The defined dynamic symbols, without the nodes of versions."""
    listing = subprocess.run(['nm', '-D', '--defined-only', library],
                             text=True, check=True, stdout=subprocess.PIPE)
    found = set()
    for line in listing.stdout.splitlines():
        *_, kind, name = line.split()
        if kind != 'A':
            found.add(name.split('@')[0])
    return found


# Of the memory for thread-local variables that are there without a call, the C library
# has less than 1,700 bytes for all libraries that come later.
TLS_MOST = 1536


def thread_local(library):
    """How many bytes of thread-local variables it has."""
    listing = subprocess.run(['readelf', '-lW', library], text=True, check=True,
                             stdout=subprocess.PIPE)
    for line in listing.stdout.splitlines():
        if line.split()[:1] == ['TLS']:
            return int(line.split()[5], 16)
    return 0


def main(root, library):
    mapped = set(map_symbols(root))
    found = exports(library) - INTERPOSED
    problems = [f'{name}: exported, but not in src/libmproc.map'
                for name in sorted(found - mapped)]
    problems += [f'{name}: in src/libmproc.map, but not exported'
                 for name in sorted(mapped - found)]
    size = thread_local(library)
    if size > TLS_MOST:
        problems.append(f'{library}: {size} bytes are thread-local, at most '
                        f'{TLS_MOST} can be')
    if not found:
        problems.append(f'{library}: exports nothing')
    finish(problems)


if __name__ == '__main__':
    main(*sys.argv[1:])
