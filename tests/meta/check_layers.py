# SPDX-License-Identifier: MIT
"""Includes go down only.

check_layers.py ROOT

A layer includes itself and those before it, by "layer/file.h" from the root of
the sources. Public headers are included as <mproc/file.h> and count as the
layer that implements them. Only os may include headers through which the
kernel is called, ring nothing that could block or allocate.
"""

import re
import sys

from common import LAYERS, find, finish, line_of, read

# Headers of the C library that do not lead to the kernel.
PLAIN = {
    'assert.h', 'ctype.h', 'errno.h', 'float.h', 'inttypes.h', 'limits.h',
    'math.h', 'setjmp.h', 'stdalign.h', 'stdarg.h', 'stdatomic.h', 'stdbool.h',
    'stddef.h', 'stdint.h', 'stdio.h', 'stdlib.h', 'stdnoreturn.h',
    'string.h', 'strings.h', 'sys/types.h', 'sys/uio.h',
}

# What the public headers may ask of their users.
PUBLIC = {'stdbool.h', 'stddef.h', 'stdint.h', 'sys/types.h', 'sys/uio.h'}

# Headers for who has another library, whose headers they include.
GLUE = {
    'include/mproc/mproc_cmocka.h': {'cmocka.h', 'setjmp.h', 'stdarg.h'},
}

# Headers of other libraries, and who may include them.
LIBRARIES = {
    'src/ipc/digest_nettle.c': {'nettle/hmac.h', 'nettle/memops.h'},
    'src/manager/codec_msgpack.c': {'msgpack/pack.h', 'msgpack/unpack.h',
                                    'msgpack/unpack_define.h',
                                    'msgpack/unpack_template.h'},
}

# The layer that implements each public header.
HEADERS = {
    'export.h': 'base', 'version.h': 'base', 'core.h': 'base',
    'arena.h': 'arena', 'shm.h': 'arena',
    'lock.h': 'sync', 'sync.h': 'sync', 'value.h': 'sync',
    'queue.h': 'ipc', 'pipe.h': 'ipc',
    'any.h': 'containers', 'containers.h': 'containers',
    'dict.h': 'containers', 'list.h': 'containers',
    'namespace.h': 'containers', 'set.h': 'containers',
    'process.h': 'process',
    'group.h': 'process', 'supervisor.h': 'process',
    'future.h': 'pool', 'map_loop.h': 'pool', 'pool.h': 'pool',
    'wait.h': 'wait',
    'manager.h': 'manager',
    'testing.h': 'testing', 'mproc_cmocka.h': 'testing',
    'mproc.h': 'cli',
}

# What goes down and is forbidden all the same.
FORBIDDEN = {('ring', 'os'), ('containers', 'ring'), ('containers', 'ipc'),
             ('manager', 'pool')}
RING_FORBIDDEN = {'stdio.h', 'stdlib.h'}

# The explorer puts its own versions of the shared accesses under the sources of
# ring; it is the only one to define what makes them ask for this.
EXPLORER = ('ring', 'explore_access.h')

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def below(layer, other):
    """Whether layer may include other."""
    return (LAYERS.index(other) <= LAYERS.index(layer)
            and (layer, other) not in FORBIDDEN)


def judge_source(layer, quote, name):
    """Why a source of the layer may not have this include, or None."""
    folder = name.split('/')[0]
    if quote == '"':
        if (layer, name) == EXPLORER:
            return None
        if folder not in LAYERS or '/' not in name:
            return 'is not "layer/file.h"'
        if not below(layer, folder):
            return f'{layer} may not include {folder}'
        return None
    if folder == 'mproc':
        owner = HEADERS.get(name[len('mproc/'):])
        if owner is None:
            return 'is not in the table HEADERS of check_layers.py'
        if not below(layer, owner):
            return f'{layer} may not include what {owner} implements'
        return None
    if layer == 'ring' and name in RING_FORBIDDEN:
        return 'ring neither calls the kernel nor allocates'
    if layer not in ('os', 'cli') and name not in PLAIN:
        return 'only os may include this'
    return None


def judge(path, quote, name):
    """Why the file may not have this include, or None."""
    parts = path.split('/')
    if '..' in name.split('/'):
        return 'goes up in the tree'
    if quote == '"' and name.startswith('mproc/'):
        return 'a public header is included with <>'
    if parts[0] == 'include':
        if quote == '<' and (name.startswith('mproc/') or name in PUBLIC
                             or name in GLUE.get(path, ())):
            return None
        return 'public headers do not include this'
    if parts[0] == 'src':
        if parts[1] not in LAYERS:
            return f'{parts[1]} is no layer'
        if quote == '<' and name in LIBRARIES.get(path, ()):
            return None
        return judge_source(parts[1], quote, name)
    # Tests include internals by the same path as sources do; those that show
    # what users can do, and examples, include none.
    internal = quote == '"' and name.split('/')[0] in LAYERS
    if internal and (parts[0] == 'examples'
                     or path.startswith(('tests/api/', 'tests/bench/'))):
        return 'uses internals'
    if (name.endswith('.c') and quote == '"'
            and not path.startswith('tests/explore/')):
        return 'only tests/explore includes sources'
    return None


def main(root):
    problems = []
    for top in ('include', 'src', 'tests', 'examples'):
        for path in find(root, top, '.c', '.h'):
            text = read(root, path)
            for match in INCLUDE.finditer(text):
                reason = judge(path, *match.groups())
                if reason:
                    line = line_of(text, match.start(1))
                    problems.append(
                        f'{path}:{line}: {match.group(2)}: {reason}')
    finish(problems)


if __name__ == '__main__':
    main(*sys.argv[1:])
