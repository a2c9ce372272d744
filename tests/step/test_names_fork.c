/* SPDX-License-Identifier: MIT */
/*
 * Who gives an object a name is interrupted at one instruction after the other by a
 * signal, whose handler forks and returns in both. A copy that goes on late does nothing
 * to what its parent has bound since.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "interrupt.h"

#define EVERY 11 /* instructions there is a copy; in full runs at each third one */
#define LEAST 20 /* copies */

static struct mpt *scenario;
static _Atomic bool *host_is_done;
static char *memory;
static volatile bool armed;
static volatile bool is_copy;

static void
on_signal(int signal)
{
	int saved = errno;
	pid_t pid;

	(void)signal;
	if (!armed)
		return;
	pid = _Fork();
	mpt_check(scenario, pid >= 0);
	if (pid == 0) {
		is_copy = true;
		alarm(20);
		mpt_until(scenario, *host_is_done);
	}
	errno = saved;
}

static void
bind(const char *name, void *object, int result)
{
	mpt_check_int(scenario, mproc_arena_bind(NULL, name, object), result);
}

/* The entry of the name is another one's by the time the copies go on. */
static void
host(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	int status, r;
	void *found;

	mpt_check_int(scenario, sigaction(SIGUSR1, &action, NULL), 0);
	bind("name", memory, 0);
	bind("name", NULL, 0);
	let_be_interrupted(scenario);
	armed = true;
	r = mproc_arena_bind(NULL, "name", memory);
	armed = false;
	if (is_copy) {
		mpt_check_int(scenario, r == -EEXIST ? 0 : r, 0);
		_exit(0);
	}
	raise(SIGSTOP);
	mpt_check_int(scenario, r, 0);
	bind("name", NULL, 0);
	bind("other", memory + 1, 0);
	*host_is_done = true;
	while (waitpid(-1, &status, 0) > 0)
		mpt_check_int(scenario, status, 0);
	mpt_check_int(scenario, mproc_arena_find(NULL, "other", &found, MPROC_NOWAIT), 0);
	mpt_check(scenario, found == memory + 1);
	bind("other", NULL, 0);
	bind("other", NULL, -ENOENT);
	/* By one of the copies that had not bound it. */
	bind("name", NULL, 0);
	bind("name", NULL, -ENOENT);
}

static void
a_copy_that_is_forked_as_a_name_is_bound_begins_anew(void **state)
{
	const char *level = getenv("MPT_STEP");
	unsigned every = level && strcmp(level, "full") == 0 ? 3 : EVERY;
	pid_t pid;

	scenario = *state;
	mpt_watchdog(scenario, 60);
	*host_is_done = false;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		host();
		_exit(0);
	}
	assert_true(interrupt_all(pid, every) > LEAST);
	wait_for_exit(pid);
	recover();
}

static int
with_names(void **state)
{
	(void)state;
	host_is_done = mmap(NULL, sizeof(*host_is_done), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memory = mproc_alloc(2);
	if (host_is_done == MAP_FAILED || !memory)
		return -1;
	/* The block of names stays. */
	return mproc_arena_bind(NULL, "first", memory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_copy_that_is_forked_as_a_name_is_bound_begins_anew),
	};

	return cmocka_run_group_tests(tests, with_names, NULL);
}
