# SPDX-License-Identifier: MIT
"""Every source is compiled: it is listed in its build file.

check_sources.py ROOT

A file that is in no list would lie in the tree unseen. In src/meson.build the
list must be that of the file's own layer.
"""

import re
import sys

from common import LAYERS, find, finish, read


def main(root):
    problems = []
    build = read(root, 'src/meson.build')
    lists = {layer: set(re.findall(r"'([^']+)'", body)) for layer, body in
             re.findall(r'^\s*(\w+)_sources \+?= files\((.*?)\)', build,
                        re.S | re.M)}
    order = [layer for layer in lists if layer in LAYERS]
    if order != sorted(order, key=LAYERS.index):
        problems.append('src/meson.build: the lists are not in the order of '
                        'the layers')
    for path in find(root, 'src', '.c'):
        name = path[len('src/'):]
        if name not in lists.get(name.split('/')[0], ()):
            problems.append(f'{path}: not in its list in src/meson.build')

    support = set(re.findall(r"'(support/[^']+)'",
                             read(root, 'tests/meson.build')))
    for path in find(root, 'tests/support', '.c'):
        if path[len('tests/'):] not in support:
            problems.append(f'{path}: not in mpt_sources in '
                            'tests/meson.build')
    finish(problems)


if __name__ == '__main__':
    main(*sys.argv[1:])
