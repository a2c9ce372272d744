# SPDX-License-Identifier: MIT
"""Each public header and macro compiles alone, as C11 and as C++11.

check_headers.py ROOT --cc COMMAND [--cxx COMMAND]

A header is included twice by a file that includes nothing else. Two files that
include all headers are linked, which fails where a header defines a symbol. The
macros are expanded in expand_macros.c; each must occur there. Without a C++
compiler the rest is checked and the check counts as skipped.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

from common import find, finish, macros, read, without_comments

SKIPPED = 77
STRICT = ['-Wall', '-Wextra', '-pedantic', '-Werror', '-fsyntax-only']
MACROS = 'tests/meta/expand_macros.c'


def compiler_says(command, root, text):
    """What a compiler has against a text."""
    result = subprocess.run(
        [*command, *STRICT, '-I', os.path.join(root, 'include'), '-'],
        input=text, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode == 0:
        return []
    return result.stdout.splitlines() or [f'{command[0]} failed']


def linker_says(command, root, headers):
    """What the linker has against two files that include all headers."""
    text = ''.join(f'#include <{header}>\n' for header in headers)
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ('one', 'two')]
        for path in files:
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text)
        result = subprocess.run(
            [*command, '-shared', '-fPIC', '-I', os.path.join(root, 'include'),
             '-o', os.path.join(folder, 'out'), *files],
            text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode == 0:
        return []
    return result.stdout.splitlines() or [f'{command[0]} failed']


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('root')
    parser.add_argument('--cc', required=True)
    parser.add_argument('--cxx')
    options = parser.parse_args()
    root = options.root

    languages = {'C11': [*options.cc.split(), '-std=c11', '-x', 'c']}
    if options.cxx:
        languages['C++11'] = [*options.cxx.split(), '-std=c++11', '-x', 'c++']

    problems = []
    texts = {MACROS: read(root, MACROS)}
    expanded = set(re.findall(r'\w+', without_comments(texts[MACROS])))
    for path in find(root, 'include/mproc', '.h'):
        name = path[len('include/'):]
        texts[path] = (f'#include <{name}>\n#include <{name}>\n'
                       'typedef int not_empty;\n')
        problems += [f'{path}:{line}: {macro}: not expanded in {MACROS}'
                     for macro, line in macros(read(root, path))
                     if macro not in expanded]

    for path, text in texts.items():
        for language, command in languages.items():
            said = compiler_says(command, root, text)
            if said:
                problems += [f'{path}: not {language}:', *said]

    headers = [path[len('include/'):] for path in texts if path != MACROS]
    for language, command in languages.items():
        said = linker_says(command, root, headers)
        if said:
            problems += [f'two files of {language} do not link:', *said]

    if not problems and not options.cxx:
        print('no C++ compiler')
        sys.exit(SKIPPED)
    finish(problems)


if __name__ == '__main__':
    main()
