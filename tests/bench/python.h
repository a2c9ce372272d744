/* SPDX-License-Identifier: MIT */
/*
 * Contenders of Python's multiprocessing, run by the system's python3 as one of
 * those that take turns. A program counts what it did and fails if that is
 * wrong; it prints its figure.
 */
#ifndef BENCH_PYTHON_H
#define BENCH_PYTHON_H

#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/*
 * What each program begins with. a and b are numbers from the caller, array(n)
 * is shared by all, start(n, f) runs f(0) to f(n - 1) in children, which join()
 * awaits, and measure(n, f) does the same from when all are there until the last
 * one has come back from f, in ns.
 */
#define BENCH_PYTHON                                                          \
	"import multiprocessing, os, sys, time\n"                             \
	"a, b = int(sys.argv[1]), int(sys.argv[2])\n"                         \
	"context = multiprocessing.get_context('fork')\n"                     \
	"now = time.monotonic_ns\n"                                           \
	"children = []\n"                                                     \
	"def array(n):\n"                                                     \
	"    return context.RawArray('q', n)\n"                               \
	"def check(truth):\n"                                                 \
	"    if not truth:\n"                                                 \
	"        sys.exit('a wrong count')\n"                                 \
	"def start(n, f):\n"                                                  \
	"    for i in range(n):\n"                                            \
	"        children.append(context.Process(target=f, args=(i,)))\n"     \
	"        children[-1].start()\n"                                      \
	"def join():\n"                                                       \
	"    for child in children:\n"                                        \
	"        child.join()\n"                                              \
	"        check(child.exitcode == 0)\n"                                \
	"def measure(n, f):\n"                                                \
	"    ready, ends = context.Semaphore(0), array(n)\n"                  \
	"    go = context.Semaphore(0)\n"                                     \
	"    def run(i):\n"                                                   \
	"        ready.release()\n"                                           \
	"        go.acquire()\n"                                              \
	"        f(i)\n"                                                      \
	"        ends[i] = now()\n"                                           \
	"    start(n, run)\n"                                                 \
	"    for i in range(n):\n"                                            \
	"        ready.acquire()\n"                                           \
	"    began = now()\n"                                                 \
	"    for i in range(n):\n"                                            \
	"        go.release()\n"                                              \
	"    join()\n"                                                        \
	"    return max(ends) - began\n"

/*
 * fill(i) is the ith message, of a bytes, and is_good(message, i) whether it has come
 * whole. Of a long one only its number and a byte of each page are looked at. There is
 * no per cent sign in it, so that it may be part of a format.
 */
#define BENCH_PYTHON_MESSAGES                                                 \
	"import random, struct\n"                                             \
	"text = random.Random(1).randbytes(8192)\n"                           \
	"page = 4096\n"                                                       \
	"whole = bytearray(a)\n"                                              \
	"def window(i, n):\n"                                                 \
	"    at = i & 4095\n"                                                 \
	"    return text[at:at + n]\n"                                        \
	"def fill(i):\n"                                                      \
	"    if a < page:\n"                                                  \
	"        return struct.pack('q', i) + window(i, a - 8)\n"             \
	"    whole[::page] = window(i, a // page)\n"                          \
	"    struct.pack_into('q', whole, 8, i)\n"                            \
	"    return whole\n"                                                  \
	"def is_good(message, i):\n"                                          \
	"    if a < page:\n"                                                  \
	"        return message == fill(i)\n"                                 \
	"    return (len(message) == a and\n"                                 \
	"            message[::page] == window(i, a // page) and\n"           \
	"            struct.unpack_from('q', message, 8)[0] == i)\n"

/* The child that is python3: the figure goes to @out. */
static inline void
bench_become_python(const char *program, unsigned a, unsigned b, int out)
{
	char numbers[2][16];

	snprintf(numbers[0], sizeof(numbers[0]), "%u", a);
	snprintf(numbers[1], sizeof(numbers[1]), "%u", b);
	dup2(out, STDOUT_FILENO);
	execlp("python3", "python3", "-c", program, numbers[0], numbers[1],
	       (char *)NULL);
	_exit(127);
}

static inline bool
bench_has_python(void)
{
	static int has = -1;

	if (has < 0)
		has = system("python3 -c 'import _multiprocessing' "
			     "2>/dev/null") == 0;
	return has > 0;
}

/* The figure that @program prints, or 0 if there is no python3 for it. */
static inline double
bench_python(const char *program, unsigned a, unsigned b)
{
	int out[2], status;
	char text[64];
	ssize_t n;
	pid_t pid;

	if (!bench_has_python())
		return 0;
	fflush(stdout);
	if (pipe(out) < 0)
		bench_die("pipe");
	pid = fork();
	if (pid < 0)
		bench_die("fork");
	if (pid == 0)
		bench_become_python(program, a, b, out[1]);
	close(out[1]);
	n = read(out[0], text, sizeof(text) - 1);
	close(out[0]);
	if (waitpid(pid, &status, 0) != pid || status || n <= 0)
		bench_die("a program of Python's failed");
	text[n] = 0;
	return strtod(text, NULL);
}

/* Whether @name, which took part with @values, is missing: that is told. */
static inline bool
bench_is_missing(const char *name, const double *values)
{
	if (values[0] > 0)
		return false;
	bench_left_out(name, "not installed: python3");
	return true;
}

#endif
