#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make a report of the rows that benchmarks have written.

report.py machine [PACKAGE...]    describe the machine, with the packages that
                                  are installed, as JSON
report.py failed OUTPUT BENCH STATUS
                                  note that a benchmark has failed, and why
report.py write OUTPUT [--quick]  OUTPUT/rows.jsonl and OUTPUT/before.json
                                  become report.json, report.csv, report.md
                                  and a plot for each series and table
report.py show OUTPUT TITLE       print a table of OUTPUT/report.json with
                                  medians and ratios only, for another page

Each figure stands beside its ratio to the reference of its table: the median of
the ratios of the rounds, in each of which all contenders have had their turn. A
row that is void has no figures. docs/benchmarks.md describes the fields.
"""

import csv
import glob
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
WIDTH = 900
HEIGHT = 600
# How the names of libmproc's contenders begin; a table's reference is one, too.
OURS = ('libmproc', 'mproc_', 'queue')
# What is nearer to 1, and not so in all rounds, is no difference.
LEVEL = 0.95


def first_line(command):
    """What a command says in its first line, or ''."""
    try:
        out = subprocess.run(command, capture_output=True, text=True,
                             check=False, cwd=TOP).stdout
    except OSError:
        return ''
    return out.strip().split('\n')[0]


def contents(path):
    try:
        with open(path, encoding='utf-8') as file:
            return file.read().strip()
    except OSError:
        return ''


def caches():
    """Each cache of the first CPU: "L1 Data 32K"."""
    return [' '.join(('L' + contents(f'{index}/level'),
                      contents(f'{index}/type'), contents(f'{index}/size')))
            for index in sorted(glob.glob(
                '/sys/devices/system/cpu/cpu0/cache/index*'))]


def versions(packages):
    """Of those that are installed, by Debian's names. Python is the one that runs
    this, whichever it is."""
    try:
        out = subprocess.run(
            ['dpkg-query', '-W', '-f',
             '${db:Status-Status} ${Package} ${Version}\n', *packages],
            capture_output=True, text=True, check=False).stdout
    except OSError:
        return []
    return [line.split(' ', 1)[1] for line in out.splitlines()
            if line.startswith('installed ')
            and not line.startswith('installed python3 ')]


def machine(packages):
    model = re.search(r'^model name\s*:\s*(.*)$', contents('/proc/cpuinfo'),
                      re.M)
    release = re.search(r'^PRETTY_NAME="?([^"\n]*)',
                        contents('/etc/os-release'), re.M)
    memory = re.search(r'MemTotal:\s*(\d+)', contents('/proc/meminfo'))
    virtual = ' hypervisor' in contents('/proc/cpuinfo')
    return {
        'date': time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime()),
        'processor': model.group(1) if model else platform.machine(),
        'virtual machine': virtual,
        'CPUs of this process': len(os.sched_getaffinity(0)),
        'caches': caches(),
        'memory, MiB': int(memory.group(1)) // 1024 if memory else 0,
        'kernel': platform.release(),
        'system': release.group(1) if release else '',
        'C library': ' '.join(platform.libc_ver()),
        'compiler': first_line(['cc', '--version']),
        'Python': platform.python_version(),
        'peers': versions(packages) if packages else [],
        'commit': first_line(['git', 'describe', '--always', '--dirty']),
        'load': os.getloadavg()[0],
        'governor': contents('/sys/devices/system/cpu/cpu0/cpufreq/'
                             'scaling_governor') or 'not known',
    }


def summary(row, reference):
    """Median, least, most and ratio of a row; nothing if it has no figures."""
    values = row.get('values')
    if not values or 'void' in row or 'left_out' in row:
        return {}
    found = {'median': statistics.median(values), 'min': min(values),
             'max': max(values)}
    others = (reference or {}).get('values') or []
    if len(others) == len(values) and min(others) > 0 \
            and 'void' not in reference:
        found['ratio'] = statistics.median(
            value / other for value, other in zip(values, others))
    return found


def tables_of(rows):
    """The rows by tables, in the order in which they came."""
    tables = {}
    for row in rows:
        key = (row['bench'], row['table'], row['placement'], row['unit'],
               row.get('x_name'), row.get('x'))
        tables.setdefault(key, []).append(row)
    result = []
    for (bench, table, placement, unit, x_name, x), members in tables.items():
        name = members[0].get('reference', members[0]['contender'])
        reference = next((row for row in members
                          if row['contender'] == name), None)
        result.append({
            'bench': bench, 'table': table, 'placement': placement,
            'unit': unit, 'x_name': x_name, 'x': x, 'reference': name,
            'rows': [{key: row[key] for key in
                      ('contender', 'void', 'left_out', 'values')
                      if key in row} | summary(row, reference)
                     for row in members]})
    return result


def series_of(tables):
    """Tables that differ in x only, together."""
    series = {}
    for table in tables:
        key = (table['bench'], table['table'], table['placement'],
               table['x_name'])
        if table['x_name'] is None:
            key += (len(series),)
        series.setdefault(key, []).append(table)
    return list(series.values())


def ratios(values, others):
    """Of the rounds; of the medians where rounds are no pairs."""
    if len(values) != len(others) or min(others) <= 0:
        values, others = [statistics.median(values)], [statistics.median(others)]
    return [value / other for value, other in zip(values, others) if other > 0]


def is_ours(table, row):
    return row['contender'] == table['reference'] or \
        row['contender'].startswith(OURS)


def ahead(table):
    """Who is ahead of the best of libmproc's, by name with the ratio and in how many
    of the rounds; None if nobody is compared with it."""
    good = [row for row in table['rows'] if 'median' in row]
    ours = [row for row in good if is_ours(table, row)]
    others = [row for row in good if not is_ours(table, row)]
    if not ours or not others:
        return None
    best = min(ours, key=lambda row: row['median'])
    found = []
    for row in others:
        each = ratios(row['values'], best['values'])
        ratio = statistics.median(each) if each else 1
        rounds = sum(one < 1 for one in each)
        if ratio < LEVEL or (ratio < 1 and rounds == len(each)):
            found.append((ratio, rounds, len(each), row['contender']))
    return sorted(found)


def short(value):
    """At least three digits, and no more than are of use."""
    if value == 0:
        return '0'
    if abs(value) >= 100:
        return f'{value:.0f}'
    if abs(value) >= 0.1:
        return f'{value:.1f}' if abs(value) >= 10 else f'{value:.2f}'
    return f'{value:.2g}'


def cell(row):
    if row is None:
        return ''
    if 'void' in row:
        return f'**void**: {row["void"]}'
    if 'left_out' in row:
        return f'left out: {row["left_out"]}'
    text = f'{short(row["median"])} ({short(row["min"])}–{short(row["max"])})'
    if 'ratio' in row:
        text += f' ×{short(row["ratio"])}'
    return text


def brief(row):
    """Without the least and the most, and without reasons."""
    if row is None:
        return ''
    if 'median' not in row:
        return 'void' if 'void' in row else 'left out'
    ratio = f' ×{short(row["ratio"])}' if 'ratio' in row else ''
    return f'{short(row["median"])}{ratio}'


def point(table):
    """Where in its series a table is: "64 KiB", "10,000 queues"."""
    x, name = table['x'], table['x_name']
    if name is None:
        return ''
    if name == 'bytes' or name.startswith('bytes '):
        shift = 20 if x >= 1 << 20 else 10 if x >= 1024 else 0
        unit = {0: 'bytes', 10: 'KiB', 20: 'MiB'}[shift]
        return f'{x / (1 << shift):g} {unit}{name[len("bytes"):]}'
    return f'{x:,.0f} {name}'


def title(tables):
    return f'{tables[0]["table"]}, {tables[0]["placement"]}'


def file_name(tables):
    text = f'{tables[0]["bench"][len("bench_"):]} {title(tables)}'
    return re.sub(r'[^a-z0-9]+', '-', text.lower()).strip('-')


def contenders_of(tables):
    names = {}
    for table in tables:
        for row in table['rows']:
            names[row['contender']] = True
    return list(names)


def row_of(table, name):
    return next((row for row in table['rows'] if row['contender'] == name),
                None)


def rows_of(tables, write_cell):
    """Of a series, or of one table: a column for each point."""
    heads = [point(table) for table in tables]
    lines = [f'| {tables[0]["unit"]} | {" | ".join(heads)} |',
             '|---' * (len(tables) + 1) + '|']
    for name in contenders_of(tables):
        mark = ' (reference)' if name == tables[0]['reference'] else ''
        cells = [write_cell(row_of(table, name)) for table in tables]
        lines.append(f'| {name}{mark} | {" | ".join(cells)} |')
    return lines


def leaders(group):
    """Of a series: who is ahead most, where, and how many others are."""
    where = {}
    for table in group:
        (ratio, rounds, of, name), *others = ahead(table)
        notes = [f'{rounds} of {of} rounds'] * (rounds < of) + \
            [f'{len(others)} more'] * (len(others) > 0)
        where.setdefault(name, []).append(
            f'×{short(ratio)}' + (f' at {point(table)}' if table['x_name'] else '')
            + (f' ({", ".join(notes)})' if notes else ''))
    return '; '.join(f'{name} {", ".join(texts)}'
                     for name, texts in where.items())


def ranking(tables):
    """Where others are ahead of libmproc, a line for each series."""
    compared = [table for table in tables if ahead(table) is not None]
    behind = [table for table in compared if ahead(table)]
    lines = ['', '## Where libmproc is not first', '',
             f'Others take part in {len(compared)} of the {len(tables)} tables, '
             f'and are ahead in {len(behind)}. The best of libmproc\'s',
             'rows counts; × is how much of its figure the other takes, in all '
             'rounds if nothing else is',
             f'said. Less than {1 - LEVEL:.0%} of difference that is not in all '
             'rounds is none. "More" others are', 'ahead there, too.', '']
    if behind:
        lines += ['| bench | table | who is ahead most |', '|---|---|---|']
    for group in series_of(behind):
        lines.append(f'| {group[0]["bench"][len("bench_"):]} | {title(group)} '
                     f'| {leaders(group)} |')
    return lines


def markdown(report, plots):
    lines = ['# Benchmarks', '']
    if report['quick']:
        lines += ['**A quick run: it shows that all of it works, and no '
                  'figures to rely on.**', '']
    void = [(table, row) for table in report['tables'] for row in table['rows']
            if 'void' in row]
    for table, row in void:
        lines.append(f'- **void**: {row["contender"]} in '
                     f'{title([table])}: {row["void"]}')
    for failure in report['failed']:
        lines.append(f'- **failed**: {failure["bench"]}, exit status '
                     f'{failure["failed"]}: {failure["why"]}')
    lines += ['', '| machine | |', '|---|---|']
    for name, value in report['machine'].items():
        if isinstance(value, list):
            value = ', '.join(value)
        lines.append(f'| {name} | {value} |')
    lines += [f'| load afterwards | {report["load_after"]:.2f} |', '',
              'Each cell: the median of the rounds, the least and the most, '
              'and × the ratio to the', 'reference of its table, which is '
              'the first row unless it says otherwise. Less is better.']
    lines += ranking(report['tables'])
    bench = None
    for tables in series_of(report['tables']):
        if tables[0]['bench'] != bench:
            bench = tables[0]['bench']
            lines += ['', f'## {bench}']
        lines += ['', f'### {title(tables)}', '']
        lines += rows_of(tables, cell)
        if file_name(tables) in plots:
            lines += ['', f'![{title(tables)}]({file_name(tables)}.svg)']
    return '\n'.join(lines) + '\n'


def write_csv(path, tables):
    with open(path, 'w', encoding='utf-8', newline='') as file:
        out = csv.writer(file)
        out.writerow(['bench', 'table', 'placement', 'unit', 'x_name', 'x',
                      'contender', 'state', 'median', 'min', 'max', 'ratio',
                      'rounds', 'why'])
        for table in tables:
            for row in table['rows']:
                state = 'void' if 'void' in row else \
                    'left out' if 'left_out' in row else 'good'
                out.writerow(
                    [table[key] for key in
                     ('bench', 'table', 'placement', 'unit', 'x_name', 'x')] +
                    [row['contender'], state] +
                    [row.get(key, '') for key in
                     ('median', 'min', 'max', 'ratio')] +
                    [len(row.get('values', [])),
                     row.get('void', row.get('left_out', ''))])


def quoted(text):
    return '"' + re.sub(r'["\\\n]', ' ', text) + '"'


def plot_of(tables):
    """A gnuplot script with its data, or '' if there is nothing to draw."""
    blocks, plots, lowest = [], [], []
    line = len(tables) > 1
    for name in contenders_of(tables):
        points = [(table['x'], row) for table in tables
                  for row in [row_of(table, name)]
                  if row and 'median' in row]
        if not points:
            continue
        block = f'$d{len(blocks)}'
        position = len(blocks)
        rows = '\n'.join(
            f'{x if line else position} {row["median"]:.9g} {row["min"]:.9g} '
            f'{row["max"]:.9g}' for x, row in points)
        blocks.append(f'{block} << EOD\n{rows}\nEOD')
        plots.append(f'{block} using 1:2:3:4 with '
                     f'{"yerrorlines" if line else "yerrorbars lw 2 pt 7"} '
                     f'title {quoted(name)}')
        lowest += [row['min'] for x, row in points]
    if not plots:
        return ''
    script = [f'set output {quoted(file_name(tables) + ".svg")}',
              f'set title {quoted(title(tables))} noenhanced',
              'set key outside right noenhanced',
              f'set ylabel {quoted(tables[0]["unit"])} noenhanced', 'set grid']
    if line:
        script += ['set logscale x 2',
                   f'set xlabel {quoted(tables[0]["x_name"])} noenhanced']
    else:
        script += ['unset xtics', f'set xrange [-1:{len(plots)}]']
    if min(lowest) > 0:
        script.append('set logscale y')
    return '\n'.join(script + blocks + ['plot ' + ', '.join(plots)]) + '\n'


def draw(output, tables):
    """Writes the plots; returns their names."""
    if shutil.which('gnuplot') is None:
        print('no plots: gnuplot-nox is not installed')
        return []
    drawn = []
    head = f'set terminal svg size {WIDTH},{HEIGHT} background "white"\n'
    for group in series_of(tables):
        name, script = file_name(group), plot_of(group)
        if not script:
            continue
        # One by one: one that cannot be drawn keeps none of the others away.
        done = subprocess.run(['gnuplot'], input=head + script, text=True,
                              cwd=output, check=False, capture_output=True)
        if done.returncode:
            print(f'no plot of {name}: {done.stderr.strip()}')
        else:
            drawn.append(name)
    return drawn


def write(output, quick):
    with open(f'{output}/rows.jsonl', encoding='utf-8') as file:
        rows = [json.loads(line) for line in file]
    with open(f'{output}/before.json', encoding='utf-8') as file:
        described = json.load(file)
    report = {
        'format': 1,
        'quick': quick,
        'machine': described,
        'load_after': os.getloadavg()[0],
        'failed': [row for row in rows if 'failed' in row],
        'tables': tables_of([row for row in rows if 'failed' not in row]),
    }
    for old in glob.glob(f'{glob.escape(output)}/*.svg'):
        os.unlink(old)
    plots = draw(output, report['tables'])
    with open(f'{output}/report.json', 'w', encoding='utf-8') as file:
        json.dump(report, file, indent=1)
    write_csv(f'{output}/report.csv', report['tables'])
    with open(f'{output}/report.md', 'w', encoding='utf-8') as file:
        file.write(markdown(report, plots))


def show(output, wanted):
    with open(f'{output}/report.json', encoding='utf-8') as file:
        report = json.load(file)
    groups = [group for group in series_of(report['tables'])
              if title(group) == wanted]
    if not groups:
        sys.exit(f'{output}/report.json: there is no table "{wanted}"')
    about = report['machine']
    print(f'{about["date"]}, {about["processor"]}, '
          f'{about["CPUs of this process"]} CPUs, Linux {about["kernel"]}, '
          f'{about["system"]}, {about["compiler"]}: {wanted}, '
          f'{groups[0][0]["unit"]}')
    for group in groups:
        print('\n' + '\n'.join(rows_of(group, brief)))


def failed(output, bench, status):
    """A benchmark that sees wrong data ends at once, and says so last."""
    try:
        with open(f'{output}/{bench[len("bench_"):]}.txt', encoding='utf-8',
                  errors='replace') as file:
            said = [line.strip() for line in file if line.strip()]
    except OSError:
        said = []
    why = next((line for line in reversed(said)
                if line.startswith('bench: ')), said[-1] if said else '')
    if int(status) == 0:
        why = 'it has written no rows'
    with open(f'{output}/rows.jsonl', 'a', encoding='utf-8') as file:
        json.dump({'format': 1, 'bench': bench, 'failed': int(status),
                   'why': why}, file)
        file.write('\n')


def main(arguments):
    if arguments[:1] == ['machine']:
        json.dump(machine(arguments[1:]), sys.stdout, indent=1)
    elif arguments[:1] == ['failed'] and len(arguments) == 4:
        failed(*arguments[1:])
    elif arguments[:1] == ['show'] and len(arguments) == 3:
        show(*arguments[1:])
    elif arguments[:1] == ['write'] and len(arguments) >= 2:
        write(arguments[1], '--quick' in arguments[2:])
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main(sys.argv[1:])
