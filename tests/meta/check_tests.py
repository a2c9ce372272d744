# SPDX-License-Identifier: MIT
"""Every test, benchmark and example is run: it is in its list.

check_tests.py ROOT

A test in no list would pass for ever. Also every line of tests/allowed-skips
names a suite and gives a reason.
"""

import os
import re
import sys

from common import find, finish, read


def names(text, name):
    """The strings in the list or dictionary with that name."""
    match = re.search(rf'^{name} = [\[{{](.*?)^[\]}}]', text, re.S | re.M)
    if match is None:
        return set()
    code = re.sub(r'#[^\n]*', '', match.group(1))
    return set(re.findall(r"'([^']*)'", code))


def main(root):
    problems = []
    tests = read(root, 'tests/meson.build')
    scripts = names(tests, 'script_tests')
    for path in find(root, 'tests', '.c', '.py', '.sh'):
        _, suite, *rest = path.split('/')
        name, suffix = os.path.splitext(rest[-1] if rest else '')
        if not name.startswith('test_') or suite == 'meta':
            continue
        if suffix == '.c':
            listed = name[len('test_'):] in names(tests, suite + '_tests')
        else:
            listed = path[len('tests/'):] in scripts
        if not listed:
            problems.append(f'{path}: in no list of tests/meson.build')

    listed = names(read(root, 'tests/bench/meson.build'), 'benchmarks')
    for path in find(root, 'tests/bench', '.c'):
        name = os.path.basename(path)[:-2]
        if name.startswith('bench_') and name[len('bench_'):] not in listed:
            problems.append(f'{path}: not in tests/bench/meson.build')

    examples = read(root, 'examples/meson.build')
    small = names(examples, 'small_examples')
    large = names(examples, 'programs')
    for path in find(root, 'examples', '.c'):
        name = path[len('examples/'):]
        if name[:-2] not in small and name not in large:
            problems.append(f'{path}: not in examples/meson.build')

    checks = names(read(root, 'tests/meta/meson.build'), 'checks')
    for path in find(root, 'tests/meta', '.py'):
        match = re.search(r'/check_(\w+)\.py$', path)
        if match and match.group(1) not in checks:
            problems.append(f'{path}: not in tests/meta/meson.build')

    skips = read(root, 'tests/allowed-skips')
    for number, line in enumerate(skips.splitlines(), 1):
        if line.strip() and not re.match(r'#|\w+/\S+\s+\S', line):
            problems.append(f'tests/allowed-skips:{number}: not '
                            '"suite/test-case-name  reason"')
    finish(problems)


if __name__ == '__main__':
    main(*sys.argv[1:])
