#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""wordcount gives the answer that coreutils give, whatever lies in the trees
and whatever becomes of the workers, and says clearly what is wrong."""

import atexit
import contextlib
import functools
import os
import pty
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import time

from wordcount import (LEVEL, PROGRAM, SLOW, busy_workers, check, coreutils,
                       equal, finish, in_order, run_tests, sparse, start,
                       until, without_override, words_of, wordcount, write)

MIB = 1024 * 1024
MODEL = None  # where the tree is that others are copied from


def straddling(size, edge):
    """Text with a word of up to 5 bytes across each multiple of an edge."""
    text = bytearray()
    number = 0
    while len(text) < size:
        number += 1
        text += b'w%d ' % (number * 7 % 1013)
        room = edge - len(text) % edge
        if room < 8:
            text += b' ' * (room - 2) + b'edge%d ' % (number % 10)
    return bytes(text)


def fill_tree(root):
    """A tree with everything that may go wrong without failing."""
    seed = random.Random(7)
    vocabulary = [b'word%d' % n for n in range(3000)]
    vocabulary += [b'x' * n for n in range(1, 60)]
    for n in range(150):
        separators = [b' ', b'\n', b', ', b'--', b'\t', b'\xe4', b'.\0']
        text = b''.join(seed.choice(vocabulary) + seed.choice(separators)
                        for _ in range(seed.randrange(2000)))
        write(b'%s/dir%d/sub%d/file%d' % (root, n % 7, n % 3, n), text)
    for n in range(300):
        write(b'%s/many/small%d' % (root, n), b'small file %d' % n)
    write(root + b'/empty', b'')
    write(root + b'/only-separators', b'-' * 5000)
    write(root + b'/binary', seed.randbytes(300000))
    write(root + b'/long-word', b'a ' + b'L' * 100000 + b' z')
    write(root + b'/one-word', b'W' * 70000)
    write(root + b'/without-newline', b'the end')
    write(root + b'/name\nwith\nnewlines', b'in newlines')
    write(root + b'/ name \xff with bytes ', b'in bytes')
    write(root + b'/-dash', b'in dash')
    write(root + b'/all-bytes', bytes(range(256)) * 50)
    write(root + b'/cases', b'Word word WORD _word word_ wo_rd w0rd wo-rd')
    write(root + b'/large', straddling(9 * MIB, 4 * MIB))
    write(root + b'/deep/' + b'd/' * 60 + b'file', b'deep down')
    os.symlink(b'large', root + b'/link-to-file')
    os.symlink(b'many', root + b'/link-to-directory')
    os.symlink(b'.', root + b'/link-to-itself')
    os.symlink(b'nowhere', root + b'/dangling')
    os.mkfifo(root + b'/fifo')


def make_tree(root):
    """A copy of such a tree; they are all the same."""
    global MODEL
    if MODEL is None:
        MODEL = tempfile.mkdtemp(prefix='wordcount-')
        atexit.register(shutil.rmtree, MODEL)
        fill_tree(os.fsencode(MODEL) + b'/tree')
    subprocess.run(['cp', '-a', MODEL + '/tree', root], check=True)


@functools.cache
def answer_for_tree():
    """What coreutils say of any of them."""
    return coreutils('tree')


def totals_of(tree, answer):
    """How the line with the totals begins."""
    sizes = [os.lstat(os.path.join(folder, name)).st_size
             for folder, _, names in os.walk(tree) for name in names
             if os.path.isfile(os.path.join(folder, name))
             and not os.path.islink(os.path.join(folder, name))]
    lines = answer.splitlines()
    words = sum(int(line.split()[0]) for line in lines)
    return (f'{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB, {words} words, '
            f'{len(lines)} distinct; ')


def same_as_coreutils():
    """With any number of workers, any pieces, and with chaos."""
    make_tree(b'tree')
    expected = answer_for_tree()
    check(expected.count(b'\n') > 3000)
    totals = totals_of(b'tree', expected)
    ways = ([], ['--chaos', '--compare', '-j', 3],
            ['-j', 5, '--batch', 10000], ['-j', 1], ['-j', 2],
            ['-j', 3, '--batch', 100 * MIB], ['--compare'],
            ['--chaos', '-j', 1], ['--chaos', '-j', 2],
            ['--chaos', '-j', 6, '--batch', 20000],
            ['--chaos', '-j', 2, '--batch', 100 * MIB])
    for args in ways[:3 if LEVEL == 'quick' else None]:
        args = [str(arg) for arg in args]
        output, errors = wordcount(*args, 'tree')
        equal(output, expected, args)
        check(errors[0].startswith(totals), errors, totals)
        if '--chaos' in args:
            check(errors[-1].startswith('chaos: '), errors)
            check(int(errors[-1].split()[1]) >= 3, errors)
            check(('exact' in errors[-1]) == ('--compare' in args), errors)


def by_a_pool():
    """The same answer by wordcount-pool, also while its workers are killed."""
    program = PROGRAM + '-pool'
    make_tree(b'tree')
    output, errors = wordcount('tree', program=program)
    equal(output, answer_for_tree())
    check(errors[0].startswith(totals_of(b'tree', output)), errors)
    sparse('tree/zeros', 512 * MIB)
    process = start('tree', program=program)
    for n in range(3):
        busy = until(lambda: busy_workers(process) or process.poll() == 0,
                     'nobody works')
        if busy is not True:
            with contextlib.suppress(ProcessLookupError):
                os.kill(busy[n % len(busy)], signal.SIGKILL)
    output, errors = finish(process)
    check(process.returncode == 0, process.returncode, errors)
    equal(output, answer_for_tree())
    os.chmod('tree/cases', 0)
    output, errors = wordcount('tree/cases', 'nowhere', 'tree/many/small7',
                               program=program, status=1,
                               preexec_fn=without_override)
    equal(output, coreutils('tree/many/small7'))
    check(len(errors) == 3, errors)


def several_paths():
    """Files, directories, links, and the same one twice."""
    make_tree(b'tree')
    os.symlink('tree/dir1', 'link')
    os.symlink('tree/large', 'link-to-file')
    paths = ['tree/dir0/', 'link', 'tree/dir2', 'tree/cases', 'tree/cases',
             'link-to-file', 'tree/many/small7', 'tree/link-to-directory']
    output, _ = wordcount('-j', '2', '--', *paths)
    equal(output, coreutils(*paths))


def real_tree():
    """A part of /usr/include, or in a full run all of it."""
    paths, size = [], 0
    limit = {'quick': 4, 'normal': 6, 'full': 1 << 20}[LEVEL] * MIB
    for path in sorted(os.listdir('/usr/include')):
        path = os.path.join('/usr/include', path)
        more = sum(os.lstat(os.path.join(folder, name)).st_size
                   for folder, _, names in os.walk(path) for name in names)
        # A single one may hold nearly all.
        if size + more <= limit:
            paths.append(path)
            size += more
    expected = coreutils(*paths)
    for args in (['-j', '2'], ['-j', '2', '--chaos'], ['-j', '9', '--chaos']):
        output, _ = wordcount(*args, *paths)
        equal(output, expected, args)


def default_path():
    """Without a path it is /usr/include."""
    output, _ = wordcount('--top', '3')
    check(output.count(b'\n') == 3)
    # It may be large.
    if LEVEL != 'quick':
        equal(output, wordcount('--top', '3', '/usr/include')[0])


def pieces_of_any_size():
    """A word belongs to the piece in which it begins."""
    seed = random.Random(3)
    texts = [b'', b'a', b' ', b'ab', b'a b', b'one two three',
             b'w' * 50, b' ' * 50, bytes(range(256)),
             bytes(seed.choice(b'ab_ ') for _ in range(400))]
    for number, text in enumerate(texts):
        write(b'%d' % number, text)
    for size in (1, 2, 3, 7, 49, 50, 51, 1000):
        for number, text in enumerate(texts):
            output, _ = wordcount('-j', '2', '--batch', str(size), str(number))
            equal(output, in_order(words_of(text)), (size, number))


def word_longer_than_pieces():
    """A word that fills several buffers of several pieces."""
    long = b'begin ' + b'x' * (3 * MIB) + b' middle ' + b'y' * 100000
    write(b'long', long)
    expected = in_order(words_of(long))
    for size in (65536, 1000000, 4 * MIB):
        output, _ = wordcount('-j', '3', '--batch', str(size), 'long')
        equal(output, expected, size)


def top_words():
    """--top prints the first lines of the whole answer."""
    make_tree(b'tree')
    lines = wordcount('tree')[0].splitlines(keepends=True)
    for top in (0, 1, 7, 100, 900, len(lines), 10 ** 9):
        output, _ = wordcount('--top', str(top), 'tree')
        equal(output, b''.join(lines[:top]), top)


def nothing_to_count():
    """Empty trees and empty files give an empty answer."""
    os.makedirs('empty/a/b')
    write(b'files/empty', b'')
    for args in (['empty'], ['files'], ['empty', 'files', '--chaos'],
                 ['empty', '--chaos', '--compare']):
        output, _ = wordcount(*args)
        equal(output, b'', args)


def unreadable():
    """It is reported by name, once, and the rest is counted."""
    make_tree(b'tree')
    write(b'tree/secret/file', b'secret')
    write(b'tree/secret file', straddling(MIB, MIB))
    write(b'tree/new\nline', b'secret')
    os.chmod('tree/secret', 0)
    os.chmod('tree/secret file', 0)
    os.chmod('tree/new\nline', 0)
    with open(os.devnull, 'wb') as null:
        expected = coreutils('tree', preexec_fn=without_override, stderr=null)
    check(b'\tsecret\n' not in expected)
    for args in (['-j', '2'], ['-j', '2', '--batch', '5000', '--chaos'],
                 ['--compare']):
        output, errors = wordcount(*args, 'tree', status=1,
                                   preexec_fn=without_override)
        equal(output, expected, args)
        reports = sorted(line for line in errors
                         if line.startswith('wordcount: '))
        check(reports == ['wordcount: tree/new\\012line: Permission denied',
                          'wordcount: tree/secret file: Permission denied',
                          'wordcount: tree/secret: Permission denied'],
              errors)
    os.chmod('tree/secret', 0o700)


def missing_path():
    """A clear error before any work."""
    write(b'file', b'words')
    os.symlink('nowhere', 'dangling')
    os.mkfifo('fifo')
    for path, why in (('missing', 'No such file or directory'),
                      ('dangling', 'No such file or directory'),
                      ('file/x', 'Not a directory'),
                      ('', 'No such file or directory'),
                      ('fifo', 'neither a file nor a directory')):
        output, errors = wordcount('file', path, status=2)
        equal(output, b'')
        check(errors == [f'wordcount: {path}: {why}'], errors)


def wrong_usage():
    """A clear error, and status 2."""
    write(b'file', b'words')
    for args in (['-j', '0'], ['-j', '-1'], ['-j', 'abc'], ['-j', ''],
                 ['-j', '1001'], ['-j', '2x'], ['-j', '99999999999999999999'],
                 ['--jobs'], ['--top', 'x'], ['--top', '-3'],
                 ['--batch', '0'], ['--nonsense'], ['-x']):
        output, errors = wordcount(*args, 'file', status=2)
        equal(output, b'', args)
        check(errors and 'wordcount' in errors[0], args, errors)
    output, errors = wordcount('--help')
    check(output.startswith(b'usage: wordcount') and not errors)


def thousand_workers():
    """As many workers as there may be."""
    make_tree(b'tree')
    expected = answer_for_tree()
    ways = ([], ['--chaos'])
    for args in ways[:1 if LEVEL == 'quick' else None]:
        output, errors = wordcount('-j', '1000', *args, 'tree')
        equal(output, expected, args)
        check(any('with 1000 workers' in line for line in errors), errors)


def fewer_workers():
    """Where not all can be started, it goes on with the others."""
    def few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))

    make_tree(b'tree')
    output, errors = wordcount('-j', '100', 'tree',
                               preexec_fn=few_descriptors)
    equal(output, answer_for_tree())
    check('going on with' in errors[0], errors)


def output_fails():
    """A full disk is not success."""
    make_tree(b'tree')
    with open('/dev/full', 'wb') as full:
        ended = subprocess.run([PROGRAM, 'tree'], stdout=full,
                               stderr=subprocess.PIPE, check=False)
    check(ended.returncode == 1, ended)
    check(b'wordcount: standard output: No space left' in ended.stderr, ended)


def on_a_terminal():
    """Progress, the top ten words, totals and the speed-up."""
    write(b'text', b'the word and the word ' * 100)
    sparse('zeros', 768 * MIB // SLOW)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(PROGRAM, [PROGRAM, '-j', '2', 'text', 'zeros'])
    shown = b''
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            data = b''
        if not data:
            break
        shown += data
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    check(status == 0, status, shown)
    for text in (b' files, ', b' MB/s, ', b' s left', b'200\tthe\r\n',
                 b'2 files, ', b' 500 words, 3 distinct; ',
                 b'times as fast'):
        check(text in shown, text, shown)


def scaling():
    """Two workers against one on 512 MiB: a figure, not a condition."""
    if LEVEL != 'full':
        return
    seed = random.Random(1)
    vocabulary = [b'%x' % seed.getrandbits(seed.randrange(4, 40))
                  for _ in range(60000)]
    weights = [1 / n for n in range(1, len(vocabulary) + 1)]
    for n in range(64):
        text = b' '.join(seed.choices(vocabulary, weights, k=200000))
        text = text[:MIB]
        for copy in range(8):
            write(b'tree/%d/%d' % (n, copy), text[copy * 1000:] +
                  text[:copy * 1000])
    wordcount('-j', '2', '--top', '0', 'tree')
    for workers in ('1', '2'):
        best = None
        for _ in range(5):
            before = time.monotonic()
            _, errors = wordcount('-j', workers, '--top', '0', 'tree')
            taken = time.monotonic() - before
            best = min(best or taken, taken)
        print(f'# 512 MiB, {workers} worker(s): {best:.2f} s: {errors[-1]}')
    _, errors = wordcount('-j', '2', '--top', '0', '--compare', 'tree')
    print(f'# {errors[-1]}')


if __name__ == '__main__':
    run_tests([same_as_coreutils, by_a_pool, several_paths, real_tree,
               default_path, pieces_of_any_size, word_longer_than_pieces,
               top_words, nothing_to_count, unreadable, missing_path,
               wrong_usage, thousand_workers, fewer_workers, output_fails,
               on_a_terminal, scaling])
