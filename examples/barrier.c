/* SPDX-License-Identifier: MIT */
/*
 * Three processes simulate in steps: none begins a step before all have done the
 * one before. One is killed in the middle of a step. The others learn who it was,
 * make the barrier good again, do the step once more with another one in its
 * place, and then the last step with two.
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORKERS = 3 };

/* In shared memory. */
struct world {
	mproc_barrier step; /* of the workers */
	mproc_barrier talk; /* of the two that live and of their parent */
	_Atomic int died_pid;
	_Atomic int sum;
};

static struct world *world;

static void
must(int r)
{
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", mproc_strerror(r),
			mproc_error_detail());
		exit(1);
	}
}

/* The barrier's error names the process that is missing. */
static bool
names(int pid)
{
	char text[64];

	snprintf(text, sizeof(text), "process %d,", pid);
	return strstr(mproc_error_detail(), text) != NULL;
}

/* One step of a worker that lives. */
static void
step(void)
{
	world->sum++;
	must(mproc_barrier_wait(&world->step, MPROC_FOREVER));
}

static void
talk(void)
{
	must(mproc_barrier_wait(&world->talk, MPROC_FOREVER));
}

static int
live_on(void *arg)
{
	(void)arg;
	step();
	if (mproc_barrier_wait(&world->step, MPROC_FOREVER) !=
		    -ENOTRECOVERABLE || !names(world->died_pid))
		return 1;
	talk(); /* both of us know it */
	talk(); /* there is another one in its place */
	step();
	talk(); /* that one goes */
	talk(); /* it is for the two of us now */
	step();
	return 0;
}

static int
be_killed(void *arg)
{
	(void)arg;
	world->died_pid = getpid();
	step();
	return raise(SIGKILL);
}

static int
take_its_place(void *arg)
{
	(void)arg;
	step();
	return 0;
}

static mproc_process *
start(const char *name, mproc_entry *entry)
{
	mproc_process *p;

	must(mproc_process_start(&p, entry, NULL,
				 MPROC_OPTS(mproc_process_opts,
					    .name = name)));
	return p;
}

static void
finish(mproc_process *p)
{
	struct mproc_exit end;

	must(mproc_process_join(p, MPROC_FOREVER));
	must(mproc_process_exit_info(p, &end));
	if (end.signal)
		printf("%s was killed by signal %d\n", end.name, end.signal);
	else
		printf("%s ended with %d\n", end.name, end.code);
	mproc_process_close(p);
}

int
main(void)
{
	mproc_process *anna, *ben, *carl, *dora;

	world = mproc_alloc(sizeof(*world));
	if (!world)
		return 1;
	memset(world, 0, sizeof(*world));
	must(mproc_barrier_init(&world->step, WORKERS));
	must(mproc_barrier_init(&world->talk, 3));
	anna = start("anna", live_on);
	ben = start("ben", live_on);
	carl = start("carl", be_killed);
	finish(carl);
	talk();
	printf("the others know that it was carl\n");
	must(mproc_barrier_reset(&world->step));
	dora = start("dora", take_its_place);
	talk();
	finish(dora);
	talk();
	printf("%d steps were done\n", world->sum);
	must(mproc_barrier_init(&world->step, WORKERS - 1));
	talk();
	finish(anna);
	finish(ben);
	printf("%d steps were done\n", world->sum);
	mproc_barrier_destroy(&world->step);
	mproc_barrier_destroy(&world->talk);
	mproc_free(world);
	return 0;
}
