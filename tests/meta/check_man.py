# SPDX-License-Identifier: MIT
"""The manual pages are sound mdoc, and are installed.

check_man.py ROOT
"""

import os
import shutil
import subprocess
import sys

from common import find, finish, read


def main(root):
    pages = find(root, 'docs/man', '.1', '.3', '.7')
    if not pages:
        finish(['docs/man: no pages'])
    build = read(root, 'meson.build')
    problems = [f'{page}: not in man_pages in meson.build' for page in pages
                if f"'{os.path.basename(page)}'" not in build]
    if shutil.which('mandoc') is None:
        finish(problems + ['mandoc is not installed'])
    lint = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', *pages],
                          cwd=root, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    problems += lint.stdout.splitlines()
    if lint.returncode != 0 and not lint.stdout:
        problems.append(f'mandoc ended with status {lint.returncode}')
    finish(problems)


if __name__ == '__main__':
    main(*sys.argv[1:])
