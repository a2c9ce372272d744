# SPDX-License-Identifier: MIT
"""The tables in docs/spec say what the sources say.

check_spec.py ROOT --cc COMMAND

A heading "### struct x: N bytes, layer/file.h" is followed by a table whose
rows begin with offset, size and member: together they cover the structure
without a gap, no member is left out, and the compiler agrees with each. Rows of a table with the
columns "constant" and "value" are compared in the same way; what they need is
included from the files that the page's structures name, or a heading "### flags,
layer/file.h".
"""

import argparse
import os
import re
import subprocess

from common import find, finish, line_of, read, without_comments

STRUCT = re.compile(r'^### (struct \w+): (\d+) bytes, (\S+)$', re.M)
FILE = re.compile(r'^### [^:\n]*, (\S+\.h)$', re.M)
ROW = re.compile(r'^\| (\d+) \| (\d*) ?\|(?: `(\w+)`)? \|', re.M)
DECLARED = re.compile(r'(\w+)\s*(?:\[[^\]]*\]\s*)*[,;]')
CONSTANT = re.compile(r'^\| `(\w+)` \| (\w+) \|', re.M)


def section(text, start):
    """The text from there to the next heading."""
    end = re.search(r'^#', text[start:], re.M)
    return text[start:start + end.start()] if end else text[start:]


def members(root, name, header):
    """What the structure consists of, as the header says."""
    text = read(root, f'src/{header}') or read(root, f'include/{header}')
    body = re.search(rf'{name} \{{([^}}]*)\}}', without_comments(text))
    return DECLARED.findall(body.group(1)) if body else []


def judge_rows(root, path, text, match):
    """What is wrong with a structure's table, and the claims it makes."""
    name, size, header = match.groups()
    problems, claims, at = [], [f'sizeof({name}) == {size}'], 0
    missing = members(root, name, header)
    body = section(text, match.end())
    for row in ROW.finditer(body):
        where = f'{path}:{line_of(text, match.end() + row.start())}: {name}'
        offset, length, member = row.groups()
        if int(offset) != at:
            problems.append(f'{where}: the row before ends at {at}')
        at = int(offset) + int(length or 0)
        if not member:
            continue
        missing = [other for other in missing if other != member]
        claims.append(f'offsetof({name}, {member}) == {offset}')
        if length:
            claims.append(f'sizeof((({name} *)0)->{member}) == {length}')
    if at != int(size):
        problems.append(f'{path}: {name}: the table ends at {at}, not {size}')
    problems += [f'{path}: {name}: no row for {member}' for member in missing]
    return problems, claims


def compiler_says(command, root, headers, claims):
    """Which claims the compiler denies, or what else it says."""
    lines = ['#include <stddef.h>']
    lines += [f'#include "{header}"' for header in headers]
    lines += [f'_Static_assert({claim}, "{claim}");' for claim in claims]
    result = subprocess.run(
        [*command, '-std=c11', '-D_GNU_SOURCE', '-fsyntax-only', '-x', 'c',
         '-I', os.path.join(root, 'src'), '-I', os.path.join(root, 'include'),
         '-'],
        input='\n'.join(lines) + '\n', text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode == 0:
        return []
    denied = [claim for claim in claims if f'"{claim}"' in result.stdout]
    return [f'not so: {claim}' for claim in dict.fromkeys(denied)] or \
        result.stdout.splitlines()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('root')
    parser.add_argument('--cc', required=True)
    options = parser.parse_args()
    root = options.root

    problems = []
    for path in find(root, 'docs/spec', '.md'):
        text = read(root, path)
        headers, claims = [], []
        for match in STRUCT.finditer(text):
            wrong, claimed = judge_rows(root, path, text, match)
            problems += wrong
            claims += claimed
            headers.append(match.group(3))
        headers += FILE.findall(text)
        claims += [f'{name} == {value}'
                   for name, value in CONSTANT.findall(text)]
        if not claims:
            problems.append(f'{path}: no tables')
            continue
        said = compiler_says(options.cc.split(), root,
                             list(dict.fromkeys(headers)), claims)
        problems += [f'{path}: {line}' for line in said]
    finish(problems)


if __name__ == '__main__':
    main()
