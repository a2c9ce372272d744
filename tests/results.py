#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Count the test cases of one run of `meson test`.

results.py LOGS STATUS ALLOWED COUNTS

LOGS is the path of meson's log without its suffix: the cases are read from
LOGS.junit.xml, how each program ended from LOGS.json. The first alone would
miss a program that crashed or was stopped after some good cases. STATUS is
what meson itself returned. A skip that the file ALLOWED does not list is a
failure. Failures are shown with their output; COUNTS receives one line,
"passed failed skipped".
"""

import json
import re
import sys
import xml.etree.ElementTree as xml

GOOD = ('OK', 'EXPECTEDFAIL', 'SKIP')
SHOWN_LINES = 100


def read_allowed(path):
    """The names of the cases that may be skipped."""
    allowed = set()
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if not line or line.startswith('#'):
                continue
            name, _, reason = line.partition(' ')
            if not reason.strip():
                sys.exit(f'{path}:{number}: {name} has no reason')
            allowed.add(name)
    return allowed


def base_name(name):
    """A program's own name out of meson's "project:suite / name"."""
    return name.split(' / ', 1)[-1]


def read_programs(path):
    """The programs that ran, by name: what the JSON log says about each."""
    programs = {}
    with open(path, encoding='utf-8') as file:
        for line in file:
            entry = json.loads(line)
            programs[base_name(entry['name'])] = entry
    return programs


def read_cases(path):
    """Per program with cases of its own: a list of (case, outcome)."""
    cases = {}
    for suite in xml.parse(path).getroot().iter('testsuite'):
        # A suite named "project.program" holds the cases of one program;
        # one named "project" holds programs without cases.
        program = base_name(suite.get('name').partition('.')[2])
        if not program:
            continue
        # cmocka 1.1.5 prints skips as "not ok N # SKIP name", which meson
        # takes for failures without a name.
        text = suite.findtext('system-out') or ''
        skips = dict(re.findall(r'^not ok (\d+) # SKIP (.*)$', text, re.M))
        found = cases.setdefault(program, [])
        for case in suite.iter('testcase'):
            number, name = re.match(r'(\d*)[ -]*(.*)',
                                    case.get('name')).groups()
            if number in skips:
                found.append((skips[number].strip(), 'skipped'))
            elif case.find('skipped') is not None:
                found.append((name, 'skipped'))
            elif (case.find('failure') is not None
                  or case.find('error') is not None):
                found.append((name, 'failed'))
            else:
                found.append((name, 'passed'))
    return cases


def judge(programs, cases):
    """All outcomes as (program, case or '', outcome)."""
    outcomes = []
    for program, entry in sorted(programs.items()):
        found = cases.get(program)
        if found is None:
            result = ('skipped' if entry['result'] == 'SKIP' else
                      'passed' if entry['result'] in GOOD else 'failed')
            outcomes.append((program, '', result))
            continue
        outcomes += [(program, case, outcome) for case, outcome in found]
        known = any(outcome == 'failed' for _, outcome in found)
        # Where cmocka's skips made meson say FAIL, the program itself is
        # content and returns 0.
        ended_badly = (entry['result'] not in GOOD
                       and (entry['result'] != 'FAIL'
                            or entry['returncode'] != 0))
        if ended_badly and not known:
            outcomes.append((program, entry['result'], 'failed'))
    return outcomes


def show(entry):
    """Print the end of a program's output."""
    text = (entry.get('stdout') or '') + (entry.get('stderr') or '')
    lines = text.splitlines()
    if len(lines) > SHOWN_LINES:
        print(f'    ... {len(lines) - SHOWN_LINES} lines left out')
    for line in lines[-SHOWN_LINES:]:
        print('    ' + line)


def main():
    logs, status, allowed_path, counts_path = sys.argv[1:]
    allowed = read_allowed(allowed_path)
    try:
        programs = read_programs(logs + '.json')
        cases = read_cases(logs + '.junit.xml')
    except (OSError, ValueError, xml.ParseError) as error:
        print(f'  FAILED: no results: {error}')
        programs, cases = {}, {}

    count = {'passed': 0, 'failed': 0, 'skipped': 0}
    shown = set()

    for program, case, outcome in judge(programs, cases):
        suite = program.partition('/')[0]
        name = f'{suite}/{case}' if case else program
        if outcome == 'skipped' and name not in allowed:
            print(f'  FAILED: {name} was skipped, and tests/allowed-skips '
                  'does not list it')
            outcome = 'failed'
        elif outcome == 'failed':
            print(f'  FAILED: {program}' + (f': {case}' if case else ''))
            if program not in shown:
                shown.add(program)
                show(programs[program])
        count[outcome] += 1

    nothing_ran = not any(count.values())
    unexplained = (int(status) != 0 and count['failed'] == 0
                   and count['skipped'] == 0)
    if nothing_ran or unexplained:
        print(f'  FAILED: meson test returned {status}'
              + (', no test ran' if nothing_ran else ''))
        count['failed'] += 1
    with open(counts_path, 'w', encoding='utf-8') as file:
        print(count['passed'], count['failed'], count['skipped'], file=file)


if __name__ == '__main__':
    main()
