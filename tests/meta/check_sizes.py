# SPDX-License-Identifier: MIT
"""No file grows without end: 800 lines is the ceiling.

check_sizes.py ROOT
"""

import sys

from common import find, finish, read

CEILING = 800


def main(root):
    problems = []
    for top in ('include', 'src', 'tests', 'examples'):
        for path in find(root, top, '.c', '.h', '.py', '.sh'):
            lines = len(read(root, path).splitlines())
            if lines > CEILING:
                problems.append(f'{path}: {lines} lines, at most {CEILING}')
    finish(problems)


if __name__ == '__main__':
    main(*sys.argv[1:])
