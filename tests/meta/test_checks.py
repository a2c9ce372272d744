# SPDX-License-Identifier: MIT
"""Shows of each check that it passes a sound tree and reports a broken one.

test_checks.py --cc COMMAND [--cxx COMMAND]

A check that cannot fail is worse than none. The sound tree is SOUND, made anew
in a temporary directory for each case; a case changes some of its files and
says what the check has to print then. Output is TAP.
"""

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))

HEADER = '''/* SPDX-License-Identifier: MIT */
/*
 * x.h - a header.
 *
 *   Crash: nothing is lost.
 */
#ifndef MPROC_CORE_H
#define MPROC_CORE_H

#include <stddef.h>

/* MPROC_API: exported. */
#if defined(__GNUC__)
#define MPROC_API __attribute__((visibility("default")))
#else
#define MPROC_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * mproc_x() - one more
 * @a: a number
 *
 * Return: the next number.
 * Context: never blocks.
 */
MPROC_API int
mproc_x(int a);

#ifdef __cplusplus
}
#endif

#endif
'''

SOUND = {
    'include/mproc/core.h': HEADER,
    'src/libmproc.map': 'X {\nglobal:\n\tmproc_x;\nlocal:\n\t*;\n};\n',
    'src/meson.build': "base_sources = files(\n  'base/x.c',\n)\n\n"
                       "os_sources = files(\n  'os/y.c',\n)\n",
    'src/base/x.h': '#include <stdint.h>\n',
    'src/base/x.c': '#include <mproc/core.h>\n#include "base/x.h"\n',
    'src/ring/r.h': '#include "explore_access.h"\n',
    'src/os/y.c': '#include <sys/mman.h>\n#include "base/x.h"\n',
    'docs/spec/x.md': '### struct s: 16 bytes, base/s.h\n\n'
                      '| at | bytes | member | meaning |\n|---|---|---|---|\n'
                      '| 0 | 8 | `a` | one |\n| 8 | 4 | `b` | two |\n'
                      '| 12 | 4 | | unused |\n\n### Constants\n\n'
                      '| constant | value |\n|---|---|\n| `FIVE` | 5 |\n',
    'src/base/s.h': '#include <stdint.h>\nenum { FIVE = 5 };\n'
                    'struct s { uint64_t a; _Alignas(8) uint32_t b; };\n',
    'docs/man/x.3': '.Dd January 2, 2026\n.Dt X 3\n.Os\n.Sh NAME\n'
                    '.Nm mproc_x\n.Nd one more\n.Sh DESCRIPTION\nText.\n',
    'meson.build': "man_pages = [\n  'x.3',\n]\n",
    'tests/meson.build': "unit_tests = [\n  'x',\n]\n\nscript_tests = {\n"
                         "  'examples/s': 'examples/test_s.sh',\n}\n\n"
                         "mpt_sources = files(\n  'support/m.c',\n)\n",
    'tests/unit/test_x.c': '#include "base/x.h"\n',
    'tests/examples/test_s.sh': 'echo 1..0\n',
    'tests/support/m.c': '#include <signal.h>\n',
    'tests/bench/meson.build': "benchmarks = [\n  'x',\n]\n",
    'tests/bench/bench_x.c': '#include <mproc/core.h>\n',
    'tests/explore/test_e.c': '#include "base/x.c"\n',
    'tests/meta/meson.build': "checks = {\n  'a': [],\n}\n",
    'tests/meta/check_a.py': '\n',
    'tests/meta/expand_macros.c': '#include <mproc/core.h>\n'
                                  'MPROC_API int expand(void);\n',
    'tests/allowed-skips': '# none\nunit/x  needs another kernel\n',
    'examples/meson.build': "small_examples = [\n  'a',\n]\n\nprograms = {\n"
                            "  'b': files('b.c', 'part.c'),\n}\n",
    'examples/a.c': '#include <mproc/core.h>\n',
    'examples/b.c': '#include <stdio.h>\n',
    'examples/part.c': '\n',
}
SOUND['tests/meson.build'] += "\nexplore_tests = [\n  'e',\n]\n"


def header(old, new):
    """A change: the public header with one passage replaced."""
    assert old in HEADER
    return {'include/mproc/core.h': HEADER.replace(old, new)}


def spec(old, new):
    """A change: the specification with one passage replaced."""
    assert old in SOUND['docs/spec/x.md']
    return {'docs/spec/x.md': SOUND['docs/spec/x.md'].replace(old, new)}


# Check, case, changed files, what has to be printed.
CASES = [
    ('layers', 'upward', {'src/base/x.c': '#include "os/y.h"\n'},
     'base may not include os'),
    ('layers', 'ring_to_os', {'src/ring/r.c': '#include "os/y.h"\n'},
     'ring may not include os'),
    ('layers', 'ring_allocates', {'src/ring/r.c': '#include <stdlib.h>\n'},
     'neither calls the kernel nor allocates'),
    ('layers', 'manager_to_pool', {'src/manager/m.c': '#include "pool/p.h"\n'},
     'manager may not include pool'),
    ('layers', 'explorer', {'src/base/x.c': '#include "explore_access.h"\n'},
     'is not "layer/file.h"'),
    ('layers', 'kernel_header', {'src/base/x.c': '#include <unistd.h>\n'},
     'only os may include'),
    ('layers', 'library_header_low',
     {'src/base/x.c': '#include <nettle/hmac.h>\n'}, 'only os may include'),
    ('layers', 'dots', {'src/os/y.c': '#include "../base/x.h"\n'},
     'goes up in the tree'),
    ('layers', 'no_folder', {'src/base/x.c': '#include "x.h"\n'},
     'is not "layer/file.h"'),
    ('layers', 'public_in_quotes',
     {'src/base/x.c': '#include "mproc/core.h"\n'}, 'with <>'),
    ('layers', 'public_upward', {'src/base/x.c': '#include <mproc/queue.h>\n'},
     'may not include what ipc implements'),
    ('layers', 'unknown_public', {'src/base/x.c': '#include <mproc/new.h>\n'},
     'not in the table HEADERS'),
    ('layers', 'unknown_layer', {'src/extra/x.c': '#include <stdint.h>\n'},
     'extra is no layer'),
    ('layers', 'public_header', header('stddef.h', 'pthread.h'),
     'public headers do not include'),
    ('layers', 'example', {'examples/a.c': '#include "base/x.h"\n'},
     'uses internals'),
    ('layers', 'source', {'tests/unit/test_x.c': '#include "base/x.c"\n'},
     'only tests/explore'),
    ('sizes', 'long', {'src/base/x.c': '\n' * 801}, '801 lines'),
    ('sizes', 'long_script', {'tests/run.sh': '\n' * 801}, '801 lines'),
    ('sources', 'unlisted', {'src/os/z.c': '\n'}, 'src/os/z.c: not in'),
    ('sources', 'wrong_list', {'src/os/x.c': '\n'}, 'src/os/x.c: not in'),
    ('sources', 'order',
     {'src/meson.build': "os_sources = files(\n  'os/y.c',\n)\n"
                         "base_sources = files(\n  'base/x.c',\n)\n"},
     'not in the order'),
    ('sources', 'support', {'tests/support/n.c': '\n'},
     'tests/support/n.c: not in'),
    ('tests', 'unlisted', {'tests/unit/test_y.c': '\n'}, 'test_y.c: in no'),
    ('tests', 'commented',
     {'tests/meson.build': SOUND['tests/meson.build'].replace("  'x'",
                                                              "  # 'x'")},
     'test_x.c: in no'),
    ('tests', 'script', {'tests/unit/test_t.sh': '\n'}, 'test_t.sh: in no'),
    ('tests', 'benchmark', {'tests/bench/bench_y.c': '\n'}, 'bench_y.c: not'),
    ('tests', 'example', {'examples/c.c': '\n'}, 'examples/c.c: not'),
    ('tests', 'check', {'tests/meta/check_b.py': '\n'}, 'check_b.py: not'),
    ('tests', 'skip_without_reason', {'tests/allowed-skips': 'unit/x\n'},
     'allowed-skips:1'),
    ('docs', 'not_in_map',
     {'src/libmproc.map': 'X {\nglobal:\n\tmproc_y;\nlocal:\n\t*;\n};\n'},
     'mproc_x: not in src/libmproc.map'),
    ('docs', 'not_declared',
     {'src/libmproc.map': 'X {\nglobal:\n\tmproc_x;\n\tmproc_y;\n};\n'},
     'mproc_y: in no public header'),
    ('docs', 'twice', {'include/mproc/more.h': HEADER}, 'mproc_x: also in'),
    ('docs', 'comment', header('/**', '/*'), 'no kernel-doc comment'),
    ('docs', 'stale_comment', header('mproc_x() -', 'mproc_z() -'),
     'documents mproc_z, which'),
    ('docs', 'return', header('Return:', 'Gives:'), 'has no Return:'),
    ('docs', 'context', header('Context:', 'Note:'), 'has no Context:'),
    ('docs', 'crash', header('Crash:', 'Note:'), 'has no Crash:'),
    ('docs', 'macro', header('/* MPROC_API: exported. */\n', '\n'),
     'MPROC_API: no comment above'),
    ('docs', 'page',
     {'docs/man/x.3': SOUND['docs/man/x.3'].replace('mproc_x', 'mproc_y')},
     'mproc_x: in the NAME section of no page'),
    ('man', 'none', {'docs/man/x.3': None}, 'no pages'),
    ('man', 'lint', {'docs/man/x.3': SOUND['docs/man/x.3'] + '.Bogus\n'},
     'Bogus'),
    ('man', 'not_installed', {'meson.build': 'man_pages = [\n]\n'},
     'not in man_pages'),
    ('names', 'path', {'README.md': 'See `os/z.c`.\n'}, 'there is no os/z.c'),
    ('names', 'function', {'README.md': '`mproc_y()`\n'},
     'README.md:1: nothing is called mproc_y()'),
    ('names', 'constant', {'docs/x.md': '\n`MPROC_Y`\n'},
     'docs/x.md:2: nothing is called MPROC_Y'),
    ('names', 'test', {'docs/x.md': '`a_test_of_y`\n'}, 'called a_test_of_y'),
    ('spec', 'offset', spec('| 8 | 4 | `b`', '| 8 | 4 | `a`'),
     'not so: offsetof(struct s, a) == 8'),
    ('spec', 'member', spec('| 8 | 4 | `b`', '| 8 | 4 | '), 'no row for b'),
    ('spec', 'size', spec('| 0 | 8 | `a`', '| 0 | 8 | `b`'),
     'not so: sizeof(((struct s *)0)->b) == 8'),
    ('spec', 'whole', spec('s: 16 bytes', 's: 12 bytes'),
     'not so: sizeof(struct s) == 12'),
    ('spec', 'gap', spec('| 0 | 8 | `a`', '| 0 | 4 | `a`'),
     'the row before ends at 4'),
    ('spec', 'end', spec('| 12 | 4 | | unused |\n', ''), 'ends at 12'),
    ('spec', 'constant', spec('| `FIVE` | 5 |', '| `FIVE` | 6 |'),
     'not so: FIVE == 6'),
    ('spec', 'unknown', spec('`FIVE`', '`SIX`'), 'SIX'),
    ('spec', 'file', spec('### struct', '### flags, base/no.h\n\n### struct'),
     'base/no.h'),
    ('spec', 'empty', {'docs/spec/x.md': '# X\n'}, 'no tables'),
    ('headers', 'alone', header('(int a)', '(int a, uint8_t b)'),
     'core.h: not C11'),
    ('headers', 'guard', header('#define MPROC_CORE_H',
                                'typedef struct { int i; } t;'),
     'core.h: not C11'),
    ('headers', 'cpp', header('(int a)', '(int class)'),
     'core.h: not C++11'),
    ('headers', 'unexpanded', header('#endif\n\n/**',
                                     '#endif\n#define MPROC_N 1\n\n/**'),
     'MPROC_N: not expanded'),
    ('headers', 'definition', header('mproc_x(int a);', 'mproc_x(int a);\n'
                                     'int mproc_y(void) { return 1; }'),
     'do not link'),
    ('headers', 'macro',
     {'tests/meta/expand_macros.c': '#include <mproc/core.h>\n'
                                    'MPROC_API = 0;\n'},
     'expand_macros.c: not C'),
]

# A library as the map wants it, and others.
LIBRARIES = [
    ('sound', 'int mproc_x = 1;', None),
    ('extra', 'int mproc_x = 1; int mproc_y = 1;', 'mproc_y: exported'),
    ('thread_local', '_Thread_local int mproc_x = 1; static _Thread_local '
     'char y[1536]; int *f(void); __attribute__((visibility("hidden"))) '
     'int *f(void) { y[0]++; return &mproc_x; }', 'bytes are thread-local'),
    ('missing', 'int mproc_y = 1;', 'mproc_x: in src/libmproc.map'),
]

# What stands in the directory that was installed into, or rather does not.
INSTALLED = {
    'usr/include/mproc/core.h': HEADER,
    'usr/include/mproc/mproc.h': '#include <mproc/core.h>\n'
                                 'extern const char *mproc_version(void);\n',
    'usr/lib/pkgconfig/libmproc.pc':
        'prefix=/usr\nName: x\nDescription: x\nVersion: 1.2\n'
        'Cflags: -I${prefix}/include\nLibs: -L${prefix}/lib -lmproc\n',
}
INSTALLS = [
    ('sound', {}, None),
    ('header', {'usr/include/mproc/core.h': None},
     'mproc/core.h: not installed'),
    ('compile', {'usr/include/mproc/mproc.h': '#error "no"\n'},
     'does not compile'),
    ('version',
     {'usr/lib/pkgconfig/libmproc.pc':
      INSTALLED['usr/lib/pkgconfig/libmproc.pc'].replace('1.2', '1.3')},
     'says version 1.3'),
    ('pkg_config', {'usr/lib/pkgconfig/libmproc.pc': None},
     'libmproc.pc: not installed'),
]
LIBRARY = 'const char *mproc_version(void) { return "1.2"; }'

# How the counter of results judges a run: JSON lines as (name, result, return
# code), the XML, what meson returned; the counts and what has to be printed.
CASE = '<testcase name="{}">{}</testcase>'
FAILURE = CASE.format('2 - b', '<failure/>')
SUITE = ('<testsuites><testsuite name="p.p:unit / unit/x">{}</testsuite>'
         '</testsuites>')
PLAIN = '<testsuites><testsuite name="p">{}</testsuite></testsuites>'
RESULTS = [
    ('passes', ('unit/x', 'OK', 0), SUITE.format(CASE.format('1 - a', '')), 0,
     '1 0 0', ''),
    ('failure', ('unit/x', 'FAIL', 1),
     SUITE.format(CASE.format('1 - a', '') + FAILURE), 1, '1 1 0',
     'unit/x: b'),
    ('crash', ('unit/x', 'ERROR', -11),
     SUITE.format(CASE.format('1 - a', '')), 1, '1 1 0', 'unit/x: ERROR'),
    ('timeout', ('unit/x', 'TIMEOUT', -9),
     PLAIN.format(CASE.format('p:unit / unit/x', '')), 1, '0 1 0', 'unit/x'),
    ('listed_skip', ('unit/x', 'OK', 0),
     SUITE.format(CASE.format('1 - x', '<skipped/>')), 0, '0 0 1', ''),
    ('unlisted_skip', ('unit/x', 'OK', 0),
     SUITE.format(CASE.format('1 - a', '<skipped/>')), 0, '0 1 0',
     'unit/a was skipped'),
    ('cmocka_skip', ('unit/x', 'FAIL', 0),
     SUITE.format(CASE.format('2', '<failure/>')
                  + '<system-out>not ok 2 # SKIP x</system-out>'), 1,
     '0 0 1', ''),
    ('skipped_program', ('unit/y', 'SKIP', 77),
     PLAIN.format(CASE.format('p:unit / unit/y', '<skipped/>')), 0, '0 1 0',
     'unit/y was skipped'),
    ('nothing', None, '<testsuites/>', 0, '0 1 0', 'no test ran'),
    ('meson', ('unit/x', 'OK', 0), SUITE.format(CASE.format('1 - a', '')), 2,
     '1 1 0', 'returned 2'),
    ('no_log', None, '', 1, '0 1 0', 'no results'),
]


class Tap:
    """Prints results as they come, and the plan at the end."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def report(self, name, good, output):
        self.count += 1
        print(f'{"ok" if good else "not ok"} {self.count} - {name}')
        if not good:
            self.failed += 1
            for line in output.splitlines():
                print('# ' + line)

    def end(self):
        print(f'1..{self.count}')
        sys.exit(1 if self.failed else 0)


def write_tree(root, changes, sound=None):
    """A sound tree with some files changed, or gone where None is given."""
    for path, text in {**(sound or SOUND), **changes}.items():
        if text is None:
            continue
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'w', encoding='utf-8') as file:
            file.write(text)


def become(script, arguments, output):
    """Run a script in the place of this process."""
    for fd in (1, 2):
        os.dup2(output.fileno(), fd)
    sys.argv = [script, *arguments]
    status = 0
    try:
        runpy.run_path(script, run_name='__main__')
    except SystemExit as end:
        status = end.code or 0
        if isinstance(status, str):
            print(status)
            status = 1
    except BaseException:  # as it would end an interpreter
        traceback.print_exc()
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run(script, *arguments):
    """Run a script; its exit status and what it printed. It is a copy of this
    process that does: a new interpreter takes longer to start than to check."""
    with tempfile.TemporaryFile() as output:
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            become(os.path.join(HERE, script), arguments, output)
        _, status = os.waitpid(pid, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read().decode()


def judge(status, output, wanted):
    """Whether a check did what was wanted: said a thing, or passed."""
    if 'Traceback' in output:
        return False
    if wanted is None:
        return status == 0
    return status == 1 and wanted in output


def test_trees(tap, compilers):
    def check(name, changes):
        with tempfile.TemporaryDirectory() as root:
            write_tree(root, changes)
            extra = {'headers': compilers,
                     'spec': compilers[:2]}.get(name, [])
            return run(f'check_{name}.py', root, *extra)

    for name in dict.fromkeys(case[0] for case in CASES):
        status, output = check(name, {})
        tap.report(f'{name}_passes_a_sound_tree',
                   judge(status, output, None), output)
    for name, case, changes, wanted in CASES:
        status, output = check(name, changes)
        tap.report(f'{name}_reports_{case}', judge(status, output, wanted),
                   output)


def make_library(cc, source, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    subprocess.run([*cc.split(), '-shared', '-fPIC', '-nostdlib', '-x', 'c',
                    '-Wl,-soname,libmproc.so.0', '-o', path, '-'],
                   input=source, text=True, check=True)


def test_symbols(tap, cc):
    for case, source, wanted in LIBRARIES:
        with tempfile.TemporaryDirectory() as root:
            write_tree(root, {})
            library = os.path.join(root, 'x.so')
            make_library(cc, source, library)
            status, output = run('check_symbols.py', root, library)
        tap.report(f'symbols_judges_{case}', judge(status, output, wanted),
                   output)


def test_users(tap, cc):
    for case, changes, wanted in INSTALLS:
        with tempfile.TemporaryDirectory() as root:
            target = os.path.join(root, 'target')
            write_tree(root, {'include/mproc/mproc.h': '\n'})
            write_tree(target, changes, INSTALLED)
            library = os.path.join(target, 'usr/lib/libmproc.so')
            make_library(cc, LIBRARY, library + '.0')
            os.symlink('libmproc.so.0', library)
            status, output = run('check_install.py', root, '--cc', cc,
                                 '--installed', target)
        tap.report(f'install_judges_{case}', judge(status, output, wanted),
                   output)

    with tempfile.TemporaryDirectory() as root:
        write_tree(root, {})
        status, output = run('check_subproject.py', root)
    tap.report('subproject_reports_what_is_no_project',
               judge(status, output, 'meson setup'), output)


def test_results(tap):
    for case, entry, xml, status, counts, wanted in RESULTS:
        with tempfile.TemporaryDirectory() as root:
            logs = os.path.join(root, 'log')
            with open(logs + '.json', 'w', encoding='utf-8') as file:
                if entry:
                    name, result, code = entry
                    print(json.dumps({'name': 'p:unit / ' + name,
                                      'result': result, 'returncode': code,
                                      'stdout': 'text'}), file=file)
            with open(logs + '.junit.xml', 'w', encoding='utf-8') as file:
                file.write(xml)
            write_tree(root, {})
            _, output = run('../results.py', logs, str(status),
                            os.path.join(root, 'tests/allowed-skips'),
                            os.path.join(root, 'counts'))
            with open(os.path.join(root, 'counts'), encoding='utf-8') as file:
                found = file.read().strip()
        good = found == counts and wanted in output
        tap.report(f'results_judges_{case}', good, f'{found}\n{output}')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--cc', required=True)
    parser.add_argument('--cxx', required=True)
    options = parser.parse_args()

    tap = Tap()
    test_trees(tap, ['--cc', options.cc, '--cxx', options.cxx])
    test_symbols(tap, options.cc)
    test_users(tap, options.cc)
    test_results(tap)
    tap.end()


if __name__ == '__main__':
    main()
