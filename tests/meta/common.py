# SPDX-License-Identifier: MIT
"""What the checks share: finding files, reading C, and how to report."""

import os
import re
import sys

# The layers from the lowest up. One may include itself and those before it.
LAYERS = ('base', 'os', 'ring', 'arena', 'sync', 'ipc', 'containers',
          'process', 'pool', 'wait', 'manager', 'testing', 'cli')

COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.S)


def find(root, top, *suffixes):
    """Files below root/top with one of the suffixes, relative to root."""
    found = []
    for folder, folders, names in os.walk(os.path.join(root, top)):
        folders[:] = [f for f in folders if not f.startswith(('.', '__'))]
        found += [os.path.relpath(os.path.join(folder, name), root)
                  for name in names if name.endswith(suffixes)]
    return sorted(found)


def read(root, path):
    """The text of a file, or nothing if there is none."""
    try:
        with open(os.path.join(root, path), encoding='utf-8') as file:
            return file.read()
    except FileNotFoundError:
        return ''


def without_comments(text):
    """The text with each comment blanked, so that lines keep their number."""
    return COMMENT.sub(lambda m: re.sub(r'[^\n]', ' ', m.group()), text)


def line_of(text, offset):
    """The number of the line in which an offset lies."""
    return text.count('\n', 0, offset) + 1


def map_symbols(root):
    """The names that src/libmproc.map exports."""
    text = without_comments(read(root, 'src/libmproc.map'))
    return [name for section in re.findall(r'global:(.*?)(?:local:|\})', text,
                                           re.S)
            for name in re.findall(r'[\w*?]+', section)]


def macros(text):
    """The public macros that a header defines, as (name, line).

    Include guards are not for users, and names that end in an underscore are
    parts of other macros.
    """
    found = []
    for match in re.finditer(r'^[ \t]*#[ \t]*define[ \t]+(\w+)',
                             without_comments(text), re.M):
        name = match.group(1)
        if not name.endswith(('_', '_H')):
            found.append((name, line_of(text, match.start(1))))
    return found


def finish(problems):
    """Print the problems and end the check."""
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)
