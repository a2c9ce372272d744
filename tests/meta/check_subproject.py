# SPDX-License-Identifier: MIT
"""Another Meson project can use the library as its subproject.

check_subproject.py ROOT
"""

import os
import subprocess
import sys
import tempfile

from common import finish

BUILD = '''project('user', 'c')
executable('user', 'user.c', dependencies: dependency('libmproc'))
'''

PROGRAM = '''#include <mproc/mproc.h>

int main(void)
{
\treturn mproc_version() == 0;
}
'''

STEPS = (
    # No installed libmproc may stand in for the subproject.
    ['meson', 'setup', 'build', '-Doptimization=0', '-Ddebug=false',
     '--force-fallback-for=libmproc'],
    ['ninja', '-C', 'build'],
    ['build/user'],
)


def main(root):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (('meson.build', BUILD), ('user.c', PROGRAM)):
            with open(os.path.join(folder, name), 'w',
                      encoding='utf-8') as file:
                file.write(text)
        os.mkdir(os.path.join(folder, 'subprojects'))
        os.symlink(os.path.abspath(root),
                   os.path.join(folder, 'subprojects', 'libmproc'))
        for step in STEPS:
            result = subprocess.run(step, cwd=folder, text=True, check=False,
                                    stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT)
            if result.returncode != 0:
                finish([f'{" ".join(step)} failed:', result.stdout])
    finish([])


if __name__ == '__main__':
    main(*sys.argv[1:])
