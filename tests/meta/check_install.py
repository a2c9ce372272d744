# SPDX-License-Identifier: MIT
"""What `meson install` leaves behind is enough to build and run a program.

check_install.py ROOT --cc COMMAND (--build DIRECTORY | --installed DIRECTORY)

The build is installed into a temporary directory (--build), or lies in one
already (--installed). There must be each public header, the library under its
soname, and a pkg-config file by which a program compiles and runs.
"""

import argparse
import os
import subprocess
import tempfile

from common import find, finish

PROGRAM = '''
#include <mproc/mproc.h>
#include <stdio.h>

int main(void)
{
\treturn puts(mproc_version()) < 0;
}
'''


def output(command, **options):
    """Run a command; its exit status and what it printed."""
    result = subprocess.run(command, text=True, check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            **options)
    return result.returncode, result.stdout.strip()


def installed_as(root, ends):
    """The file below root whose path ends so."""
    return next((path for path in find(root, '', os.path.basename(ends))
                 if path.endswith(ends)), None)


def judge(root, target, cc):
    problems = []
    wanted = [path for path in find(root, 'include/mproc', '.h')]
    wanted += ['libmproc.so', 'libmproc.so.0', 'pkgconfig/libmproc.pc']
    for path in wanted:
        if installed_as(target, path) is None:
            problems.append(f'{path}: not installed')
    if problems:
        return problems

    folder = os.path.dirname(installed_as(target, 'pkgconfig/libmproc.pc'))
    environment = {**os.environ, 'PKG_CONFIG_SYSROOT_DIR': target,
                   'PKG_CONFIG_PATH': os.path.join(target, folder)}
    status, flags = output(['pkg-config', '--cflags', '--libs', 'libmproc'],
                           env=environment)
    if status != 0:
        return [f'pkg-config: {flags}']
    program = os.path.join(target, 'program')
    status, said = output([*cc.split(), '-x', 'c', '-', '-x', 'none', '-o',
                           program, *flags.split()], input=PROGRAM)
    if status != 0:
        return ['a program does not compile:', said]
    library = installed_as(target, 'libmproc.so')
    status, version = output([program], env={
        **os.environ,
        'LD_LIBRARY_PATH': os.path.join(target, os.path.dirname(library))})
    if status != 0:
        return ['a program does not run:', version]
    _, named = output(['pkg-config', '--modversion', 'libmproc'],
                      env=environment)
    if named != version:
        return [f'pkg-config says version {named}, the library {version}']
    return []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('root')
    parser.add_argument('--cc', required=True)
    parser.add_argument('--build')
    parser.add_argument('--installed')
    options = parser.parse_args()
    if options.installed:
        finish(judge(options.root, options.installed, options.cc))
    with tempfile.TemporaryDirectory() as target:
        status, said = output(['meson', 'install', '--no-rebuild', '-C',
                               options.build, '--destdir', target])
        if status != 0:
            finish(['meson install failed:', said])
        problems = judge(options.root, target, options.cc)
    finish(problems)


if __name__ == '__main__':
    main()
