/* SPDX-License-Identifier: MIT */
/*
 * A type of the program's own, which a manager serves: a counter that two other programs
 * count with. Its methods run in workers of the manager. One of them crashes, which takes
 * down a worker, and nobody else.
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct numbers {
	int64_t n, sum; /* how many, and their sum */
};

/* What there is, and what there will be: a method may be killed at any instruction. */
struct counter {
	struct numbers is[2];
	int64_t which; /* of both is what there is */
};

static int
add(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	struct counter *c = state;
	struct numbers *old = &c->is[c->which], *next = &c->is[!c->which];

	(void)n;
	next->n = old->n + 1;
	next->sum = old->sum + args[0].i64;
	*ret = mproc_int(next->sum);
	mproc_store(&c->which, !c->which);
	return 0;
}

static int
mean(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	const struct counter *c = state;
	const struct numbers *is = &c->is[c->which];

	(void)args;
	(void)n;
	if (!is->n) {
		*ret = mproc_str("the mean of no numbers");
		return -1;
	}
	*ret = mproc_float((double)is->sum / (double)is->n);
	return 0;
}

/* A defect: it crashes half way. */
static int
crash(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	struct counter *c = state;

	(void)args;
	(void)n;
	(void)ret;
	c->is[!c->which].n = 1000;
	abort();
}

/* What a method has left half done does not count. */
static int
recover(void *state)
{
	(void)state;
	return 0;
}

static const struct mproc_type_method methods[] = {
	{ "add", "i", add },
	{ "mean", "", mean },
	{ "crash", "", crash },
};

/* Another program: adds a number, some times. */
static int
count(const char *address, int number, int times)
{
	struct mproc_any arg = mproc_int(number);
	mproc_manager *m = NULL;
	int r = mproc_manager_connect(&m, address, NULL, mproc_sec(10));

	for (int i = 0; i < times && r == 0; i++)
		r = mproc_manager_call(m, "numbers", "add", &arg, 1, NULL,
				       mproc_sec(30));
	if (r < 0)
		fprintf(stderr, "%s: %s\n", mproc_strerror(r),
			mproc_error_detail());
	mproc_manager_close(m);
	return r < 0;
}

static int
run(const char *program, const char *address)
{
	char command[1024];

	snprintf(command, sizeof(command), "'%s' '%s' 1 30 & '%s' '%s' 5 10 && wait",
		 program, address, program, address);
	return system(command);
}

static void
tell_mean(mproc_manager *m)
{
	struct mproc_any got;
	int r = mproc_manager_call(m, "numbers", "mean", NULL, 0, &got,
				   mproc_sec(30));

	if (r == 0)
		printf("mean %g\n", got.f64);
	else
		printf("no mean: %s\n", mproc_error_detail());
}

int
main(int argc, char **argv)
{
	mproc_manager *m;

	if (argc == 4)
		return count(argv[1], atoi(argv[2]), atoi(argv[3]));
	if (mproc_manager_start(&m, NULL) < 0 ||
	    mproc_manager_register(m, MPROC_OPTS(mproc_type,
				.name = "counter", .methods = methods,
				.n_methods = 3, .recover = recover,
				.state_size = sizeof(struct counter))) < 0 ||
	    mproc_manager_object(m, "counter", "numbers") < 0) {
		fprintf(stderr, "%s\n", mproc_error_detail());
		return 1;
	}
	tell_mean(m);
	fflush(stdout);
	if (run(argv[0], mproc_manager_address(m)) != 0)
		return 1;
	tell_mean(m);
	if (mproc_manager_call(m, "numbers", "crash", NULL, 0, NULL,
			       mproc_sec(30)) == -EOWNERDEAD)
		printf("a worker has died%s\n",
		       strstr(mproc_error_detail(), "SIGABRT") ? ": SIGABRT" : "");
	tell_mean(m);
	mproc_manager_close(m);
	return 0;
}
