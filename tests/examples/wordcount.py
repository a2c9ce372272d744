# SPDX-License-Identifier: MIT
"""What the tests of wordcount share: a TAP runner, the answer as coreutils
give it, processes seen through /proc, and waiting for something to become
true."""

import collections
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

LEVEL = os.environ.get('MPT_LEVEL', 'normal')
# How many times as long as usual all takes here.
SLOW = int(os.environ.get('MPT_SLOW', '1'))
PROGRAM = os.path.join(os.environ['MPT_EXAMPLES'], 'wordcount')

# For whatever must happen sooner or later, also on a slow machine and with
# sanitizers. Nothing takes that long unless it hangs.
DEADLINE = 60

# The reference. 'find -H' and one tr for each file are as slow as they look.
COREUTILS = r'''
    find -H "$@" -type f -print0 |
    xargs -0 -r -n 1 sh -c "tr -cs A-Za-z0-9_ '\n' < \"\$1\"; echo" sh |
    sed '/^$/d' | sort | uniq -c | sed 's/^ *\([0-9]*\) /\1\t/' |
    sort -t "$(printf '\t')" -k 1,1nr -k 2
'''


def run_tests(tests):
    """Runs functions, each in a directory of its own, and prints TAP. Names on
    the command line choose some of them."""
    tests = [test for test in tests
             if len(sys.argv) == 1 or test.__name__ in sys.argv]
    print(f'1..{len(tests)}', flush=True)
    failed = False
    home = os.getcwd()
    for number, test in enumerate(tests, 1):
        outcome = 'ok'
        began = time.monotonic()
        folder = tempfile.mkdtemp(prefix='wordcount-')
        os.chdir(folder)
        try:
            test()
        except Exception:  # a failed check is one test's, not the others'
            outcome = 'not ok'
            failed = True
            for line in traceback.format_exc().splitlines():
                print('# ' + line)
        finally:
            os.chdir(home)
            shutil.rmtree(folder)
        print(f'{outcome} {number} - {test.__name__}')
        print(f'# {time.monotonic() - began:.1f} s', flush=True)
    sys.exit(1 if failed else 0)


def check(condition, *about):
    """assert that is never compiled out."""
    if not condition:
        raise AssertionError(*about)


def equal(actual, expected, about=''):
    """Checks that two byte strings are the same, and shows where not."""
    if actual == expected:
        return
    ours, theirs = actual.splitlines(), expected.splitlines()
    for number, (one, other) in enumerate(zip(ours, theirs), 1):
        if one != other:
            raise AssertionError(f'{about} line {number}: {one[:200]!r}, '
                                 f'expected {other[:200]!r}')
    raise AssertionError(f'{about} {len(ours)} lines, expected {len(theirs)}')


def wordcount(*args, status=0, program=PROGRAM, **kwargs):
    """Runs the program; returns standard output and the lines of the other."""
    done = subprocess.run([program, *map(os.fspath, args)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=DEADLINE, check=False, **kwargs)
    errors = done.stderr.decode(errors='replace')
    check(done.returncode == status, args, done.returncode, errors)
    check('did not end' not in errors, errors)
    return done.stdout, errors.splitlines()


def start(*args, program=PROGRAM, **kwargs):
    """Starts the program in a session of its own."""
    return subprocess.Popen([program, *map(os.fspath, args)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            start_new_session=True, **kwargs)


def coreutils(*paths, **kwargs):
    """The answer for some paths."""
    return subprocess.run(['sh', '-c', COREUTILS, 'sh', *paths],
                          env={**os.environ, 'LC_ALL': 'C'},
                          stdout=subprocess.PIPE, check=True, **kwargs).stdout


def in_order(counts):
    """A Counter of words as the program prints it."""
    return b''.join(b'%d\t%s\n' % (count, word) for word, count in
                    sorted(counts.items(), key=lambda e: (-e[1], e[0])))


def words_of(text):
    """The words in some bytes, as a Counter."""
    kept = (b'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_')
    table = bytes(c if c in kept else ord(' ') for c in range(256))
    return collections.Counter(text.translate(table).split())


def write(path, data):
    """Writes a file, and the directories above it."""
    os.makedirs(os.path.dirname(path) or b'.', exist_ok=True)
    with open(path, 'wb') as file:
        file.write(data)


def without_override():
    """For preexec_fn: lets file permissions hold for root too."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        drop_from_bounding_set, dac_override, dac_read_search = 24, 1, 2
        for capability in (dac_override, dac_read_search):
            if libc.prctl(drop_from_bounding_set, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), 'PR_CAPBSET_DROP')


def until(condition, about):
    """Waits until condition() gives something true, and returns that."""
    end = time.monotonic() + DEADLINE
    while True:
        result = condition()
        if result:
            return result
        check(time.monotonic() < end, 'in vain: ' + about)
        time.sleep(0.002)


def stat_of(pid):
    """The fields of /proc/PID/stat from the state on, or None."""
    try:
        with open(f'/proc/{pid}/stat', encoding='latin-1') as file:
            return file.read().rpartition(')')[2].split()
    except OSError:
        return None


def is_alive(pid):
    """Whether there is such a process, and it is no zombie."""
    fields = stat_of(pid)
    return fields is not None and fields[0] not in 'ZX'


def in_session(session):
    """The processes of a session, zombies included."""
    found = []
    for name in os.listdir('/proc'):
        fields = stat_of(name) if name.isdigit() else None
        if fields and int(fields[3]) == session:
            found.append(int(name))
    return found


def workers_of(process):
    """The processes that a started program has started."""
    return [pid for pid in in_session(process.pid) if pid != process.pid]


def bytes_read(pid):
    """How much a process has read so far."""
    try:
        with open(f'/proc/{pid}/io', encoding='ascii') as file:
            return int(file.read().split()[1])
    except OSError:
        return 0


def busy_workers(process, amount=1):
    """Workers that have read at least so many bytes of text."""
    return [pid for pid in workers_of(process) if bytes_read(pid) >= amount]


def wait_for_calm(pid):
    """Waits until a process has used no CPU time for a while, or ended."""
    def calm():
        before = stat_of(pid)
        time.sleep(0.2)
        after = stat_of(pid)
        if not before or not after or after[0] == 'Z':
            return True
        return before[11:13] == after[11:13] and after[0] == 'S'
    until(calm, f'process {pid} still works')


def finish(process):
    """Waits for a started program; returns output and errors."""
    try:
        output, errors = process.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return output, errors.decode(errors='replace')


def sparse(path, size):
    """A file that has no words and takes long to read."""
    with open(path, 'wb') as file:
        file.truncate(size)
    return path
