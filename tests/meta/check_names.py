# SPDX-License-Identifier: MIT
"""What the documentation names is there.

check_names.py ROOT

In README.md, docs/ and examples/README.md: a path of a source in backticks is one of
the tree, from its root or from src/, tests/, docs/ or include/mproc/; and a name in
backticks that begins as ours do, or has three words or more, stands in some source.
"""

import glob
import os
import re
import sys

from common import find, finish, line_of, read

SPAN = re.compile(r'`([^`\n]+)`')
PATH = re.compile(r'[\w.-]+(?:/[\w.*-]+)+\.(?:c|h|py|sh|md|json|map)')
NAME = re.compile(r'(?:(?:mpr|mproc|mpt)_\w*[a-z0-9]|(?:MPR|MPROC|MPT)_\w*[A-Z0-9]|'
                  r'[a-z0-9]+(?:_[a-z0-9]+){2,})(?:\(\))?')
TOPS = ('', 'src', 'tests', 'docs', 'include', 'include/mproc')
SOURCES = ('src', 'include', 'tests', 'examples')


def is_path(root, path):
    return any(glob.glob(os.path.join(root, top, path)) for top in TOPS)


def main(root):
    words = set()
    for top in SOURCES:
        for path in find(root, top, '.c', '.h', '.py', '.sh', '.build', '.map'):
            words.update(re.findall(r'\w+', read(root, path)))
            words.add(os.path.splitext(os.path.basename(path))[0])
    words.update(re.findall(r'\w+', read(root, 'meson.build')))

    problems = []
    for path in ['README.md', 'examples/README.md'] + find(root, 'docs', '.md'):
        text = read(root, path)
        for span in SPAN.finditer(text):
            where = f'{path}:{line_of(text, span.start())}'
            for word in re.split(r'[\s,;]+', span.group(1)):
                if PATH.fullmatch(word) and not is_path(root, word):
                    problems.append(f'{where}: there is no {word}')
                elif NAME.fullmatch(word) and \
                        word.removesuffix('()') not in words:
                    problems.append(f'{where}: nothing is called {word}')
    finish(problems)


if __name__ == '__main__':
    main(*sys.argv[1:])
