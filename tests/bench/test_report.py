#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The benchmarks' harness sees what a peer does to messages, and the report
says so."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from functools import partial

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.environ['MPT_BENCH']
LONG = '300'  # s: no load makes that too short


def messages(output, *arguments, work='throughput'):
    """The rows of a short run of bench_messages."""
    rows = os.path.join(output, 'rows.jsonl')
    subprocess.run([os.path.join(BENCH, 'bench_messages'), '--quick',
                    '--rounds', '1', '--only', work, *arguments],
                   env={**os.environ, 'BENCH_ROWS': rows}, check=True,
                   stdout=subprocess.DEVNULL)
    with open(rows, encoding='utf-8') as file:
        return [json.loads(line) for line in file]


def of(rows, contender):
    return [row for row in rows if row['contender'] == contender]


def run_sh(build, output, *names):
    return subprocess.run(
        [os.path.join(HERE, 'run.sh'), '--quick', '--no-install', '--build',
         build, '--output', output, *names], check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Report(unittest.TestCase):
    def setUp(self):
        self.output = tempfile.mkdtemp(prefix='mpt-bench-')
        self.addCleanup(shutil.rmtree, self.output)

    def read(self, name):
        with open(os.path.join(self.output, name), encoding='utf-8') as file:
            return file.read()

    def program(self, name, script):
        """A benchmark that is a shell script, in a build of its own."""
        directory = os.path.join(self.output, 'build', 'tests', 'bench')
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\n' + script)
        os.chmod(path, 0o755)

    def test_who_corrupts_or_repeats_is_void(self):
        rows = messages(self.output, '--patience', LONG, 'corrupts',
                        'repeats', 'pipe')
        corrupts = ('bad: corrupts', 'bad: corrupts, threads',
                    'bad: corrupts, Python')
        for name in corrupts + ('bad: repeats',):
            self.assertEqual(len(of(rows, name)), 4)
            for row in of(rows, name):
                self.assertIn('void', row)
                self.assertNotIn('values', row)
        for name in corrupts:
            for row in of(rows, name):
                self.assertEqual(row['void'], 'a message has wrong bytes')
        for name in ('libmproc queue', 'pipe'):
            self.assertEqual(len(of(rows, name)), 4)
            for row in of(rows, name):
                self.assertGreater(row['values'][0], 0)

    def test_who_loses_is_void(self):
        rows = of(messages(self.output, '--patience', '1', 'loses'),
                  'bad: loses')
        self.assertEqual(len(rows), 4)
        for row in rows:
            self.assertIn('void', row)

    def test_who_becomes_slow_is_void(self):
        rows = of(messages(self.output, '--patience', '0.5', 'crawls'),
                  'bad: crawls')
        self.assertEqual(len(rows), 4)
        for row in rows:
            self.assertIn('not over after 1.5 s', row['void'])

    def test_every_peer_carries_all_messages_or_is_left_out(self):
        rows = messages(self.output, '--patience', LONG)
        for row in rows:
            self.assertNotIn('void', row, row)
            if 'left_out' in row:
                self.assertRegex(row['left_out'], '^(not installed: .|at most '
                                 '|one consumer only|Function not impl)')
            else:
                self.assertGreater(row['values'][0], 0)
        self.assertGreater(len({row['contender'] for row in rows}), 16)

    def test_who_is_left_after_a_death_has_all(self):
        # All of that passes if it had a message in its hands.
        rows = messages(self.output, '--patience', '20', 'libmproc queue',
                        work='death')
        rows = of(rows, 'libmproc queue')
        self.assertEqual(len(rows), 10)
        for row in rows:
            if 'consumers' in row['table'] and 'not come' in row['table']:
                # It may have had one in its hands.
                self.assertLessEqual(row['values'][0], 1, row['table'])
            elif row['unit'] == 'count':
                self.assertEqual(row['values'], [0], row['table'])

    def test_who_doubles_a_message_after_a_death_is_void(self):
        rows = of(messages(self.output, 'doubles', work='death'),
                  'bad: doubles after a death')
        rows = [row for row in rows if 'producers is killed' in row['table']]
        self.assertEqual(len(rows), 4)
        for row in rows:
            self.assertEqual(row.get('void'), 'not each message has come once')

    def death(self, what):
        rows = os.path.join(self.output, 'rows.jsonl')
        subprocess.run([os.path.join(BENCH, 'bench_death'), '1', what],
                       env={**os.environ, 'BENCH_ROWS': rows}, check=True,
                       stdout=subprocess.DEVNULL)
        return [json.loads(line) for line in
                self.read('rows.jsonl').splitlines()]

    def test_a_lock_that_several_have_at_once_is_void(self):
        ours, bad = self.death('bad')
        self.assertIn('values', ours)
        self.assertEqual(bad.get('void'), 'several have had it at once')

    def test_who_hangs_after_a_death_has_all_patience(self):
        rows = self.death('barrier')
        self.assertIn('values', of(rows, 'libmproc')[0])
        self.assertEqual(of(rows, 'pthread')[0]['values'], [1000])

    def test_rows_become_a_report(self):
        table = ('{"format": 1, "bench": "bench_event", "table": "a \\"b\\"", '
                 '"unit": "ns", "placement": "unpinned", "x_name": "bytes", '
                 '"x": %d, "contender": "%s", %s}\n')
        rows = ''.join((
            table % (8, 'ours', '"values": [10, 20, 40]'),
            table % (8, 'theirs', '"values": [30, 20, 80]'),
            table % (16, 'ours', '"values": [1, 2, 3]'),
            table % (16, 'theirs', '"void": "2 of 3 messages do not come"'),
            table % (16, 'others', '"left_out": "not installed: others-dev"')))
        self.program('bench_event', f"cat >> $BENCH_ROWS << 'END'\n{rows}END\n")
        self.program('bench_value',
                     'echo trouble; echo "bench: a wrong count" >&2; exit 3')
        self.program('bench_wait', 'echo there are no rows')
        done = run_sh(os.path.join(self.output, 'build'), self.output, 'event',
                      'value', 'wait')
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn('bench_value: exit status 3', done.stdout)
        report = json.loads(self.read('report.json'))
        self.assertTrue(report['quick'])
        self.assertGreater(report['machine']['CPUs of this process'], 0)
        installed = subprocess.run(
            "dpkg-query -W -f '${db:Status-Status}' libck-dev", shell=True,
            check=False, capture_output=True, text=True).stdout == 'installed'
        self.assertEqual(any(peer.startswith('libck-dev ')
                             for peer in report['machine']['peers']), installed)
        self.assertEqual([(row['bench'], row['failed'])
                          for row in report['failed']],
                         [('bench_value', 3), ('bench_wait', 0)])
        first, second = report['tables']
        self.assertEqual(first['rows'][1],
                         {'contender': 'theirs', 'values': [30, 20, 80],
                          'median': 30, 'min': 20, 'max': 80, 'ratio': 2})
        self.assertNotIn('median', second['rows'][1])
        states = [row['state'] for row in
                  csv.DictReader(self.read('report.csv').splitlines())]
        self.assertEqual(states, ['good', 'good', 'good', 'void', 'left out'])
        text = self.read('report.md')
        self.assertIn('**void**: theirs in a "b", unpinned: 2 of 3', text)
        self.assertIn('**failed**: bench_value, exit status 3: bench: a wrong '
                      'count', text)
        self.assertIn('**failed**: bench_wait, exit status 0: it has written '
                      'no rows', text)
        self.assertIn('| theirs | 30.0 (20.0–80.0) ×2.00 | **void**', text)
        self.assertIn('left out: not installed: others-dev', text)
        if shutil.which('gnuplot'):
            self.assertIn('</svg>', self.read('event-a-b-unpinned.svg'))
            self.assertIn('(event-a-b-unpinned.svg)', text)
        else:
            self.assertIn('no plots: gnuplot-nox', done.stdout)

    def test_who_is_ahead_of_libmproc_is_listed(self):
        table = ('{"format": 1, "bench": "bench_event", "table": "%s", "unit": '
                 '"ns", "placement": "one CPU", "x_name": "bytes", "x": %d, '
                 '"contender": "%s", "values": %s}\n')
        rows = ''.join((
            table % ('t', 8, 'ours', [10, 20, 40]),
            table % ('t', 8, 'libmproc, two', [8, 19, 20]),
            # Behind the reference, or level; the best of ours takes 19.
            table % ('t', 8, 'level', [7.9, 18.9, 20.1]),
            table % ('t', 8, 'theirs', [6, 31, 10]),
            table % ('t', 8, 'others', [4, 15, 10]),
            table % ('t', 65536, 'ours', [10, 20, 40]),
            table % ('t', 65536, 'theirs', [9.8, 19, 39]),
            table % ('u', 8, 'ours', [10, 20, 40]),
            table % ('u', 8, 'theirs', [11, 21, 41]),
            table % ('v', 8, 'ours', [10, 20, 40]),
            # Nothing is divided by nothing.
            table % ('w', 8, 'ours', [0, 0, 0]),
            table % ('w', 8, 'theirs', [0, 0, 1])))
        self.program('bench_event', f"cat >> $BENCH_ROWS << 'END'\n{rows}END\n")
        run_sh(os.path.join(self.output, 'build'), self.output, 'event')
        text = self.read('report.md')
        self.assertIn('Others take part in 4 of the 5 tables, and are ahead in '
                      '2.', text)
        listed = [line for line in text.splitlines()
                  if line.startswith('| event |')]
        self.assertEqual(listed, [
            '| event | t, one CPU | others ×0.50 at 8 bytes (1 more); theirs '
            '×0.97 at 64 KiB |'])
        shown = subprocess.run(
            [sys.executable, '-B', os.path.join(HERE, 'report.py'), 'show',
             self.output, 't, one CPU'], check=True, capture_output=True,
            text=True).stdout
        self.assertRegex(shown, r'^\d{4}-\d\d-\d\d .* CPUs, Linux .*: t, one '
                         'CPU, ns\n')
        self.assertIn('| ns | 8 bytes | 64 KiB |', shown)
        self.assertIn('| theirs | 10.0 ×0.60 | 19.0 ×0.97 |', shown)

    def test_with_one_cpu_what_takes_two_is_left_out(self):
        rows = os.path.join(self.output, 'rows.jsonl')
        for arguments in (['bench_messages', '--quick', '--rounds', '1',
                           '--only', 'latency', 'pipe'],
                          ['bench_hardware', '1'], ['bench_pipe', '1'],
                          ['bench_event', '1']):
            subprocess.run(
                [os.path.join(BENCH, arguments[0]), *arguments[1:]],
                env={**os.environ, 'BENCH_ROWS': rows}, check=True,
                stdout=subprocess.DEVNULL,
                preexec_fn=partial(os.sched_setaffinity, 0,
                                   {max(os.sched_getaffinity(0))}))
        benches = set()
        for line in self.read('rows.jsonl').splitlines():
            row = json.loads(line)
            self.assertNotIn('void', row)
            if row['placement'] == 'two CPUs':
                self.assertEqual(row.get('left_out'), 'there is one CPU')
                benches.add(row['bench'])
        self.assertEqual(benches, {'bench_messages', 'bench_hardware',
                                   'bench_pipe', 'bench_event'})

    def test_a_peer_is_named_beside_benchmarks(self):
        self.program('bench_event', '')
        self.program('bench_messages', 'printf "<%s>" "$@"')
        run_sh(os.path.join(self.output, 'build'), self.output, 'event',
               'zeromq', 'libmproc queue')
        self.assertEqual(self.read('messages.txt'),
                         '<--quick><zeromq><libmproc queue>')
        self.assertEqual(self.read('event.txt'), '')

    def test_a_name_that_nobody_has_is_an_error(self):
        done = subprocess.run([os.path.join(BENCH, 'bench_messages'), '--quick',
                               '--only', 'start', 'nobody'],
                              check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn('nobody', done.stderr)

    def test_a_benchmark_that_is_not_built_has_failed(self):
        done = run_sh(os.path.join(self.output, 'build'), self.output, 'event')
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn('exit status 127', done.stdout)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(Report)
    tests = list(suite)
    print(f'1..{len(tests)}')
    bad = 0
    for number, test in enumerate(tests, 1):
        result = unittest.TestResult()
        test.run(result)
        for _, trace in result.failures + result.errors:
            print(trace, file=sys.stderr)
        good = result.wasSuccessful()
        bad += not good
        name = test.id().split('.test_')[-1]
        print(f'{"ok" if good else "not ok"} {number} - {name}', flush=True)
    sys.exit(bad > 0)


if __name__ == '__main__':
    main()
