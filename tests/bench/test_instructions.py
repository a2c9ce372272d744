#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""No hot path executes more instructions than it did.

callgrind counts what hot.c does; the figures that were recorded for a build of this
kind stand in instructions.json. Counted are the instructions of the library itself,
which depend on its source and the compiler only, and how often it calls others: what
these execute depends on the C library and the processor.

With MPT_RECORD=yes in the environment the figures become the recorded ones.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = os.path.join(HERE, 'instructions.json')
TIMES = 1024
GROWTH = 0.05
# Of calls, each time the path is taken: below that it is once in a while.
CALLS = 0.05
LIBRARY = 'libmproc.so'


def count(path):
    """Instructions of the library in a dump, and its calls of others."""
    inside = outside = False
    skip = False
    instructions = calls = 0
    with open(path, encoding='utf-8') as file:
        for line in file:
            if line.startswith('ob='):
                inside = LIBRARY in line
                outside = False
            elif line.startswith('cob='):
                outside = LIBRARY not in line
            elif line.startswith('calls='):
                if inside and outside:
                    calls += int(line[len('calls='):].split()[0])
                outside = False
                skip = True  # what the callee and those below have cost
            elif re.match(r'\d+ \d+$', line):
                if inside and not skip:
                    instructions += int(line.split()[1])
                skip = False
    return instructions, calls


def measure(program):
    """For each path, by name: instructions and calls each time."""
    with tempfile.TemporaryDirectory(prefix='mpt-instructions-') as directory:
        done = subprocess.run(
            ['valgrind', '--tool=callgrind', '--compress-strings=no',
             '--compress-pos=no', '--dump-line=no', '--zero-before=counted',
             '--dump-after=counted', f'--callgrind-out-file={directory}/out',
             program, str(TIMES)],
            capture_output=True, text=True, check=False)
        names = done.stdout.splitlines()
        dumps = glob.glob(f'{directory}/out.*')
        if done.returncode or not names or len(dumps) != len(names):
            sys.exit(f'{program} under callgrind: exit status '
                     f'{done.returncode}, {len(names)} paths, {len(dumps)} '
                     f'dumps\n{done.stderr}')
        counts = [count(f'{directory}/out.{number}')
                  for number in range(1, len(names) + 1)]
    return {name: [round(figure / TIMES, 2) for figure in figures]
            for name, figures in zip(names, counts)}


def growth(now, before):
    """What is wrong with a path's figures, or ''."""
    if before is None:
        return 'no figures are recorded'
    if now[0] > before[0] * (1 + GROWTH):
        return (f'{now[0]} instructions, {now[0] / before[0] - 1:.1%} more '
                f'than {before[0]}')
    if now[1] > before[1] + CALLS:
        return f'{now[1]} calls of other libraries, more than {before[1]}'
    return ''


def record(build, recorded, figures):
    recorded[build] = figures
    lines = []
    for name, paths in sorted(recorded.items()):
        rows = ',\n'.join(f'  {json.dumps(path)}: {json.dumps(row)}'
                          for path, row in paths.items())
        lines.append(f' {json.dumps(name)}: {{\n{rows}\n }}')
    with open(FIGURES, 'w', encoding='utf-8') as file:
        file.write('{\n' + ',\n'.join(lines) + '\n}\n')


def main():
    build = os.environ['MPT_BUILD']
    with open(FIGURES, encoding='utf-8') as file:
        recorded = json.load(file)
    known = build in recorded or 'MPT_RECORD' in os.environ
    if shutil.which('valgrind') is None or not known:
        why = f'no figures for "{build}": MPT_RECORD=yes meson test ' \
            '--suite meta adds them' if not known else 'no valgrind'
        print(f'1..1\nok 1 - hot_paths_do_not_grow # SKIP {why}')
        return 0
    figures = measure(os.path.join(os.environ['MPT_BENCH'], 'hot'))
    if 'MPT_RECORD' in os.environ:
        record(build, recorded, figures)
    before = recorded[build]
    paths = {**before, **figures}
    print(f'1..{len(paths) + 1}')
    problems = 0
    for number, path in enumerate(paths, 1):
        problem = growth(figures[path], before.get(path)) \
            if path in figures else 'it is not taken any more'
        print(f'{"not ok" if problem else "ok"} {number} - {path}')
        if problem:
            print(f'# {build}: {path}: {problem}')
        elif figures[path][0] < before[path][0] / (1 + GROWTH):
            print(f'# {path}: {figures[path][0]} instructions, no more '
                  f'{before[path][0]}: to be recorded')
        problems += problem != ''
    # With figures that are 6 % lower each would have been found.
    blind = [path for path, row in figures.items()
             if not growth(row, [row[0] / 1.06, row[1]])
             or not growth([row[0], row[1] + 1], row)]
    print(f'{"not ok" if blind else "ok"} {len(paths) + 1} - '
          'a_growth_of_6_percent_is_seen')
    return 1 if problems or blind else 0


if __name__ == '__main__':
    sys.exit(main())
