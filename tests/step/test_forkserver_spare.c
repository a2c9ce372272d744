/* SPDX-License-Identifier: MIT */
/*
 * Who has a fork server and its spare is killed after each instruction of a start, which
 * the spare is for, and of a stop.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/clock.h"
#include "world.h"

#define CODE 7

/* Longer than any child here lives on after its parent. */
#define BOUND (5 * INT64_C(1000000000))

/* The server, the spare that becomes a child, and the next one. */
#define CHILDREN 3

static struct message
take_part(mproc_queue *q, uint32_t sender)
{
	struct message m = message(sender, 0);

	may_fail(mproc_queue_put(q, &m, sizeof(m), MPROC_NOWAIT));
	return m;
}

static int
put_and_stay(void *arg)
{
	take_part(arg, BY_OTHER);
	while (pause() < 0)
		;
	return 1;
}

static int
return_at_once(void *arg)
{
	(void)arg;
	return CODE;
}

static mproc_process *
start(mproc_entry *fn, mproc_queue *q)
{
	mproc_process *p = NULL;

	may_fail(mproc_process_start(&p, fn, q, MPROC_OPTS(
		mproc_process_opts, .method = MPROC_FORKSERVER)));
	return p;
}

static void
start_and_join(mproc_queue *q)
{
	mproc_process *p = start(return_at_once, q);
	int code = -1;

	may_fail(mproc_process_join(p, MPROC_FOREVER));
	may_fail(mproc_process_exitcode(p, &code));
	must_be(code, CODE);
	mproc_process_close(p);
}

static bool
is_sleeping_child(pid_t pid)
{
	char path[64], state;
	int id, ppid, n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fscanf(f, "%d (%*[^)]) %c %d", &id, &state, &ppid);
	fclose(f);
	return n == 3 && ppid == getpid() && state == 'S';
}

static unsigned
sleeping_children(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d)))
		n += is_sleeping_child(atoi(e->d_name));
	if (d)
		closedir(d);
	return n;
}

/* On one CPU, or without pidfds, there is no spare. */
static bool
one_is_made(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	cpu_set_t cpus;

	if (fd >= 0)
		close(fd);
	return fd >= 0 && (sched_getaffinity(0, sizeof(cpus), &cpus) < 0 ||
			   CPU_COUNT(&cpus) > 1);
}

/* It and the server wait for what they are told. */
static void
have_a_spare(mproc_queue *q)
{
	unsigned least = one_is_made() ? 2 : 1;

	take_part(q, BY_VICTIM);
	for (int tries = 0; sleeping_children() < least; tries++)
		if (tries % 100 < 2)
			start_and_join(q);
}

static void
start_victim(void *arg)
{
	struct world *w = arg;

	have_a_spare(w->q);
	mpt_step_begin();
	start(put_and_stay, w->q);
	mpt_step_end();
}

static void
stop_victim(void *arg)
{
	struct world *w = arg;

	have_a_spare(w->q);
	mpt_step_begin();
	mproc_forkserver_stop();
	mpt_step_end();
}

/* Nobody is left, whoever was there, and what was put is whole. */
static void
survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	int64_t began = mproc_now();
	struct world *w = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	(void)finished;
	assert_in_range(mpt_reap_orphans(w->t), 0, CHILDREN);
	assert_true(mproc_now() - began < BOUND);
	recover();
	drain(w->q, found);
	assert_int_equal(found[BY_TEST].n, w->queued);
	assert_int_equal(found[BY_VICTIM].n, 1);
	assert_in_range(found[BY_OTHER].n, 0, 1);
	world_end(w);
}

static void
killed_in_a_start_by_a_spare(void **state)
{
	struct world w = { .t = *state, .queued = 2, .opts.capacity = 4096 };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "start by a spare",
		.victim = start_victim,
		.before = world_begin,
		.survivor = survivor,
		.arg = &w,
		.every = 1,
		.budget = 100,
		.max_cases = 250,
		.forks = true,
	}, NULL);
}

static void
killed_in_a_stop(void **state)
{
	struct world w = { .t = *state, .queued = 2, .opts.capacity = 4096 };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "stop",
		.victim = stop_victim,
		.before = world_begin,
		.survivor = survivor,
		.arg = &w,
		.every = 1,
		.budget = 50,
		.max_cases = 150,
		.forks = true,
	}, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_a_start_by_a_spare),
		mpt_test(killed_in_a_stop),
	};

	return cmocka_run_group_tests(tests, world_setup, NULL);
}
