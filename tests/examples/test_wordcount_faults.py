#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""wordcount ends cleanly and counts exactly while it is interrupted, its
workers are killed, and its files change.

Sparse files keep workers busy for as long as a test needs: they are long and
hold no words.
"""

import errno
import os
import signal

from wordcount import (LEVEL, SLOW, busy_workers, bytes_read, check, coreutils,
                       equal, finish, in_order, in_session, is_alive,
                       run_tests, sparse, start, stat_of, until,
                       wait_for_calm, wordcount, words_of, workers_of, write)

MIB = 1024 * 1024


def shared_memory():
    """What lies in /dev/shm, where there is one."""
    return set(os.listdir('/dev/shm')) if os.path.isdir('/dev/shm') else set()


def small_tree():
    """Some files, and the answer for them."""
    text = b''
    for number in range(200):
        words = b'some words in file %d and %d\n' % (number, number % 13)
        write(b'tree/%d/%d' % (number % 9, number), words * (number % 17))
        text += words * (number % 17)
    return in_order(words_of(text))


def interrupted():
    """By Ctrl-C, or by a signal to the parent alone."""
    sparse('zeros', 64 * 1024 * MIB)
    before = shared_memory()
    for args in (['-j', '4'], ['-j', '3', '--chaos']):
        for sig, everyone in ((signal.SIGINT, True), (signal.SIGINT, False),
                              (signal.SIGTERM, False), (signal.SIGHUP, True)):
            process = start(*args, 'zeros')
            until(lambda: len(busy_workers(process, MIB)) >= 2, 'busy workers')
            if everyone:
                os.killpg(process.pid, sig)
            else:
                process.send_signal(sig)
            output, errors = finish(process)
            check(process.returncode == 128 + sig, process.returncode, errors)
            equal(output, b'')
            check(errors == '', errors)
            check(in_session(process.pid) == [], args, sig)
    # Other programs may come and go there too.
    until(lambda: shared_memory() <= before, 'an empty /dev/shm')


def interrupted_while_comparing():
    """Not only the first pass ends, but also the second, without workers."""
    size = 1536 * MIB // SLOW
    sparse('zeros', size)
    write(b'text', b'some words')
    process = start('-j', '2', '--compare', 'text', 'zeros')
    until(lambda: busy_workers(process), 'busy workers')
    until(lambda: not workers_of(process), 'the end of the workers')
    # Nobody but the second pass reads now.
    before = bytes_read(process.pid)
    until(lambda: bytes_read(process.pid) > before + MIB, 'the second pass')
    process.send_signal(signal.SIGINT)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    # What its workers read counts for the parent too.
    check(bytes_read(process.pid) < 2 * size)
    output, errors = finish(process)
    check(process.returncode == 130, process.returncode, errors)
    equal(output, in_order(words_of(b'some words')))
    check(in_session(process.pid) == [])


def parent_killed():
    """No worker outlives the parent."""
    sparse('zeros', 64 * 1024 * MIB)
    before = shared_memory()
    for args in (['-j', '4'], ['-j', '8', '--chaos']):
        process = start(*args, 'zeros')
        until(lambda: len(busy_workers(process, MIB)) >= 3, 'busy workers')
        process.kill()
        process.wait()
        # Whoever inherits the dead may take its time to reap them.
        until(lambda: not any(is_alive(pid)
                              for pid in in_session(process.pid)),
              'the end of all workers')
        process.stdout.close()
        process.stderr.close()
    # Other programs may come and go there too.
    until(lambda: shared_memory() <= before, 'an empty /dev/shm')


def workers_killed():
    """By someone else: their work is done again, and that is told."""
    expected = small_tree()
    sparse('zeros', 512 * MIB)
    process = start('-j', '3', 'zeros', 'tree')
    killed = set()
    while len(killed) < 10 and process.poll() is None:
        for pid in set(busy_workers(process)) - killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
            break
    output, errors = finish(process)
    check(process.returncode == 0, errors)
    check(f'{len(killed)} workers died' in errors, errors, len(killed))
    equal(output, expected)


def results_come_twice():
    """A worker that dies when it has sent a result which the parent has not
    come to yet: the task is given out again, and counted once."""
    expected = small_tree()
    # It may be over before we have looked: then once more.
    while True:
        process = start('-j', '3', '--batch', '30', 'tree')
        workers = until(lambda: workers_of(process) or process.poll() == 0,
                        'workers')
        if process.poll() is None:
            break
        finish(process)
    os.kill(process.pid, signal.SIGSTOP)
    for pid in workers:
        try:
            wait_for_calm(pid)
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.send_signal(signal.SIGCONT)
    output, errors = finish(process)
    check(process.returncode == 0, errors)
    equal(output, expected)


def deadly_file():
    """A file at which each worker dies is given up, the rest is counted."""
    expected = small_tree()
    size = 16 * 1024 * MIB
    sparse('zeros', size)
    # One task is the whole file.
    process = start('-j', '2', '--batch', str(size), 'zeros', 'tree')
    killed = set()
    while process.poll() is None:
        for pid in set(busy_workers(process, MIB)) - killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    output, errors = finish(process)
    check(process.returncode == 1, errors)
    check('wordcount: zeros: not counted: ' in errors, errors)
    check('tree' not in errors, errors)
    # The task may have been given out again while the last one had it.
    check(20 <= len(killed) <= 22, len(killed))
    equal(output, expected)


def stopped_worker():
    """It may take its time: nobody does its work, and all is right."""
    expected = small_tree()
    sparse('zeros', 64 * MIB)
    process = start('-j', '2', 'zeros', 'tree')
    pid = until(lambda: busy_workers(process), 'a busy worker')[0]
    os.kill(pid, signal.SIGSTOP)
    wait_for_calm(process.pid)
    check(process.poll() is None or stat_of(pid) is None)
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass
    output, errors = finish(process)
    check(process.returncode == 0 and 'died' not in errors, errors)
    equal(output, expected)


def files_change():
    """They vanish, shrink, grow, or become something else, between the walk
    and the reading."""
    write(b'tree/vanishes', b'vanished ' * 1000)
    write(b'tree/shrinks', b'kept ' + b'lost ' * 100000)
    write(b'tree/shrinks-to-nothing', b'lost ' * 100000)
    write(b'tree/grows', b'grown ' * 10)
    write(b'tree/becomes-pipe', b'piped ' * 10)
    write(b'tree/becomes-directory', b'directed ' * 10)
    write(b'tree/becomes-link', b'linked ' * 10)
    write(b'tree/stays', b'stayed ' * 10)
    sparse('zeros', 512 * MIB)
    # One worker: while it reads the zeros, the parent walks all the rest.
    process = start('-j', '1', '--batch', str(MIB), 'zeros', 'tree')
    worker = until(lambda: busy_workers(process), 'a busy worker')[0]
    os.kill(worker, signal.SIGSTOP)
    wait_for_calm(process.pid)
    os.unlink('tree/vanishes')
    os.truncate('tree/shrinks', 5)
    os.truncate('tree/shrinks-to-nothing', 0)
    with open('tree/grows', 'ab') as file:
        file.write(b'grown ' * 20)
    os.unlink('tree/becomes-pipe')
    os.mkfifo('tree/becomes-pipe')
    os.unlink('tree/becomes-directory')
    os.mkdir('tree/becomes-directory')
    os.unlink('tree/becomes-link')
    os.symlink('stays', 'tree/becomes-link')
    os.kill(worker, signal.SIGCONT)
    output, errors = finish(process)
    check(process.returncode == 1, process.returncode, errors)
    equal(output, in_order({b'kept': 1, b'grown': 30, b'stayed': 10}))
    reports = sorted(line for line in errors.splitlines()
                     if line.startswith('wordcount: '))
    check(reports == [
        f'wordcount: tree/{name}: {os.strerror(number)}' for name, number in
        (('becomes-directory', errno.EISDIR), ('becomes-link', errno.ELOOP),
         ('becomes-pipe', errno.ESPIPE), ('vanishes', errno.ENOENT))], errors)


def answers_differ():
    """--compare finds that the second answer is another."""
    write(b'text', b'some words')
    sparse('zeros', 8 * 1024 * MIB)
    process = start('-j', '2', '--compare', 'text', 'zeros')
    until(lambda: busy_workers(process), 'busy workers')
    until(lambda: bytes_of_text(process) is None, 'the end of the text')
    write(b'text', b'other words')
    os.truncate('zeros', 0)
    output, errors = finish(process)
    check(process.returncode == 1, process.returncode, errors)
    equal(output, in_order(words_of(b'some words')))
    check('one process counts something else' in errors, errors)


def bytes_of_text(process):
    """None as soon as the first file must have been read, because the workers
    have read more than a few tasks."""
    return None if busy_workers(process, 16 * MIB) else 0


def chaos_from_the_start():
    """Even the smallest count sees kills, and they are told last."""
    write(b'one', b'a few words, a few')
    for jobs in ('1', '2', '16'):
        output, errors = wordcount('--chaos', '-j', jobs, 'one')
        equal(output, b'2\ta\n2\tfew\n1\twords\n')
        check(int(errors[-1].split()[1]) >= 3, errors)


def chaos_for_a_while():
    """Several kills a second for as long as it takes, with a result that
    needs many messages."""
    text = b' '.join(b'distinct%d' % n for n in range(400000))
    write(b'text', text)
    sparse('zeros', (2048 if LEVEL == 'full' else 512) * MIB)
    ways = (['-j', '4'], ['-j', '1'], ['-j', '2', '--batch', '8000000'])
    for args in ways[:1 if LEVEL == 'quick' else None]:
        output, errors = wordcount('--chaos', *args, 'zeros', 'text')
        equal(output, in_order(words_of(text)), args)
        check(errors[-1].startswith('chaos: '), errors)
    equal(output, coreutils('text'))


if __name__ == '__main__':
    run_tests([interrupted, interrupted_while_comparing, parent_killed,
               workers_killed, results_come_twice, deadly_file,
               stopped_worker, files_change, answers_differ,
               chaos_from_the_start, chaos_for_a_while])
