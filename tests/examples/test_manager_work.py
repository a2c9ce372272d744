#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""manager-work does each job, however workers come and go."""

import os
import signal
import time

from wordcount import DEADLINE, LEVEL, check, run_tests, start, until

PROGRAM = os.path.join(os.environ['MPT_EXAMPLES'], 'manager-work')
JOBS = 2000 if LEVEL == 'quick' else 20000


def answer(jobs):
    """What the boss is to say."""
    steps = 0
    for number in range(1, jobs + 1):
        while number != 1:
            number = number // 2 if number % 2 == 0 else 3 * number + 1
            steps += 1
    return f'{jobs} jobs, {steps} steps\n'


def boss():
    """One with a socket file in this directory."""
    address = 'unix:' + os.path.join(os.getcwd(), 'socket')
    process = start('boss', address, str(JOBS), program=PROGRAM)
    until(lambda: os.path.exists('socket'), 'a socket')
    return process, address


def finish(process, expected, status=0):
    """Its output and its end."""
    output, errors = process.communicate(timeout=DEADLINE)
    check(process.returncode == status, process.returncode, errors)
    check(output.decode() == expected, output, errors)


def by_hand():
    """A boss and some workers, which end with it."""
    process, address = boss()
    workers = [start('worker', address, program=PROGRAM) for _ in range(3)]
    finish(process, answer(JOBS))
    for worker in workers:
        finish(worker, '')
    check(not os.path.exists('socket'))


def workers_killed():
    """Some have a job in hands, and some are about to get one."""
    process, address = boss()
    expected = answer(JOBS)
    for number in range(10):
        worker = start('worker', address, program=PROGRAM)
        # At any moment of what it does, or before that.
        time.sleep(0.01 * (number % 4))
        if number % 3 == 0:
            worker.send_signal(signal.SIGSTOP)
        worker.kill()
        # A worker that comes late finds that all is done.
        worker.communicate(timeout=DEADLINE)
    last = start('worker', address, program=PROGRAM)
    finish(process, expected)
    last.communicate(timeout=DEADLINE)


def boss_killed():
    """Workers learn it, and end."""
    process, address = boss()
    worker = start('worker', address, program=PROGRAM)
    process.kill()
    process.communicate(timeout=DEADLINE)
    _, errors = worker.communicate(timeout=DEADLINE)
    # Before it was connected, or after that.
    check(worker.returncode in (0, 1), worker.returncode, errors)


if __name__ == '__main__':
    run_tests([by_hand, workers_killed, boss_killed])
