# SPDX-License-Identifier: MIT
"""Everything public is documented, where it is declared and in a page.

check_docs.py ROOT

The map and the declarations marked MPROC_API must agree. Each function has a
kernel-doc comment in its header, with "Return:" if it returns something, and
"Context:" and "Crash:", unless the overview of the header or of core.h states
these for all. It also stands in the NAME section of a page in docs/man. Each
public macro has a comment above it.
"""

import re
import sys

from common import (find, finish, line_of, macros, map_symbols, read,
                    without_comments)

DOC = re.compile(r'/\*\*.*?\*/', re.S)
DOC_NAME = re.compile(r'^ \* (\w+)\(\) - \S', re.M)


def declarations(text):
    """The functions marked MPROC_API as (name, returns something, line)."""
    found = []
    code = without_comments(text)
    # The macro's own definition is no declaration.
    code = re.sub(r'^[ \t]*#(?:[^\n\\]|\\\n|\\.)*',
                  lambda m: re.sub(r'[^\n]', ' ', m.group()), code,
                  flags=re.M)
    for match in re.finditer(r'\bMPROC_API\b([^;{]*)[;{]', code):
        name = re.search(r'\b(mproc_\w+)\s*\(', match.group(1))
        if name is None:
            found.append((None, False, line_of(text, match.start())))
            continue
        before = re.sub(r'\bMPROC_\w+(\s*\([^)]*\))?', '',
                        match.group(1)[:name.start()])
        found.append((name.group(1), before.split() != ['void'],
                      line_of(text, match.start())))
    return found


def documented_functions(text):
    """What the kernel-doc comments say, by the functions they name."""
    docs = {}
    for comment in DOC.findall(text):
        for name in DOC_NAME.findall(comment):
            docs[name] = comment
    return docs


def has_section(comment, section):
    return re.search(rf'^ \*\s+{section}:\s*\S', comment, re.M) is not None


def defaults(text):
    """The sections that the comments outside of kernel-doc state for all."""
    prose = '\n'.join(re.findall(r'/\*(?!\*).*?\*/', text, re.S))
    return {section for section in ('Context', 'Crash')
            if has_section(prose, section)}


def macro_has_comment(lines, number):
    """Whether a comment ends right above the group of directives around it."""
    index = number - 2
    while index >= 0:
        line = lines[index].strip()
        if line.endswith('*/'):
            return True
        above = lines[index - 1].rstrip() if index else ''
        if not line.startswith('#') and not above.endswith('\\'):
            return False
        index -= 1
    return False


def page_names(root):
    """The names in the NAME sections of all manual pages."""
    names = set()
    for path in find(root, 'docs/man', '.3', '.7'):
        section = re.search(r'^\.Sh NAME\n(.*?)(?=^\.Sh |\Z)',
                            read(root, path), re.S | re.M)
        if section:
            names |= set(re.findall(r'^\.Nm (\w+)', section.group(1), re.M))
    return names


def main(root):
    problems = []
    exported = map_symbols(root)
    pages = page_names(root)
    common = defaults(read(root, 'include/mproc/core.h'))
    declared = {}

    for path in find(root, 'include/mproc', '.h'):
        text = read(root, path)
        docs = documented_functions(text)
        stated = common | defaults(text)
        for name, returns, line in declarations(text):
            where = f'{path}:{line}: {name}'
            if name is None:
                problems.append(f'{path}:{line}: MPROC_API without a function')
                continue
            if name in declared:
                problems.append(f'{where}: also in {declared[name]}')
            declared[name] = path
            if name not in exported:
                problems.append(f'{where}: not in src/libmproc.map')
            if name not in docs:
                problems.append(f'{where}: no kernel-doc comment')
                continue
            for section in ('Return', 'Context', 'Crash'):
                needed = returns if section == 'Return' \
                    else section not in stated
                if needed and not has_section(docs[name], section):
                    problems.append(f'{where}: its comment has no {section}:')
        for name in docs:
            if declared.get(name) != path:
                problems.append(f'{path}: documents {name}, which it does not '
                                'declare')
        lines = text.splitlines()
        for name, line in macros(text):
            if not macro_has_comment(lines, line):
                problems.append(f'{path}:{line}: {name}: no comment above')

    for name in exported:
        if name not in declared:
            problems.append(f'src/libmproc.map: {name}: in no public header')
        if name not in pages:
            problems.append(f'src/libmproc.map: {name}: in the NAME section '
                            'of no page in docs/man')
    finish(problems)


if __name__ == '__main__':
    main(*sys.argv[1:])
