/* SPDX-License-Identifier: MIT */
/*
 * A worker, and how it is tested: what it does when all is well, what it leaves
 * behind when it is careless, that it ends, and that it copes when calls of the
 * system fail. A test framework would assert what is printed here; see
 * docs/testing.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <mproc/mproc.h>
#include <mproc/testing.h>
#include <stdio.h>

struct shop {
	mproc_queue *numbers; /* an int in each message, which is acknowledged */
	mproc_lock *lock;     /* of the sum */
	long *sum;
	bool careless;
};

/* The worker: adds numbers until there are no more. */
static int
add_up(void *arg)
{
	struct shop *s = arg;
	int number, r;

	if (s->careless && open("/dev/null", O_WRONLY) < 0)
		return 1;
	while ((r = mproc_queue_get(s->numbers, &number, sizeof(number), NULL,
				    MPROC_FOREVER)) == 0) {
		mproc_test_check(number >= 0);
		if (mproc_lock_acquire(s->lock, MPROC_FOREVER) < 0)
			return 2;
		*s->sum += number;
		if (s->careless && number == 3)
			return 0; /* with the lock, and the message */
		if (mproc_lock_release(s->lock) < 0 ||
		    mproc_queue_task_done(s->numbers) < 0)
			return 3;
	}
	return r == -ESHUTDOWN ? 0 : 4;
}

/* A shop with three numbers, and, if it is @closed, no more to come. */
static int
open_shop(struct shop *s, int last, bool closed)
{
	int numbers[] = { 1, 2, last }, r;

	*s = (struct shop){ .sum = mproc_value(long, 0) };
	if (!s->sum)
		return -1;
	r = mproc_lock_create(&s->lock);
	if (r == 0)
		r = mproc_queue_create(&s->numbers,
				       MPROC_OPTS(mproc_queue_opts,
						  .ack = true));
	for (int i = 0; i < 3 && r == 0; i++)
		r = mproc_queue_put(s->numbers, &numbers[i], sizeof(int),
				    MPROC_NOWAIT);
	if (r == 0 && closed)
		r = mproc_queue_shutdown(s->numbers, MPROC_DRAIN);
	return r;
}

static void
close_shop(struct shop *s)
{
	mproc_queue_destroy(s->numbers);
	mproc_lock_destroy(s->lock);
	mproc_free(s->sum);
}

static void
tell(const char *title, const struct shop *s, const struct mproc_test_result *r)
{
	printf("%s: exit code %d, signal %d, the sum is %ld\n", title,
	       r->exit.code, r->exit.signal, *s->sum);
	printf("  %s\n", r->problems ? "problems:" : "no problems");
	if (r->timed_out)
		printf("  it did not end\n");
	for (int i = 0; i < r->n_failures; i++)
		printf("  not true: %s\n", r->failures[i].text);
	for (int i = 0; i < r->n_fds; i++)
		printf("  left open: %s\n", r->fds[i].what);
	for (int i = 0; i < r->n_locks; i++)
		printf("  still held: the lock of the %s\n",
		       r->locks[i].object == s->lock ? "sum" : "unknown");
	for (int i = 0; i < r->n_messages; i++)
		printf("  not done: %u message\n", r->messages[i].unfinished);
}

static int
test(const char *title, int last, bool closed, bool careless)
{
	struct mproc_test_result r;
	struct shop s;
	int e = open_shop(&s, last, closed);

	s.careless = careless;
	if (e == 0)
		e = mproc_test_run(add_up, &s,
				   MPROC_OPTS(mproc_test_opts,
					      .timeout = closed ?
							      mproc_sec(30) :
							      mproc_sec(1)),
				   &r);
	if (e < 0)
		return e;
	tell(title, &s, &r);
	mproc_test_result_free(&r);
	close_shop(&s);
	return 0;
}

/* Each allocation in it fails in turn, until there is no further one. */
static int
test_without_memory(void)
{
	struct mproc_test_result r;
	unsigned long long failed = 1;
	int ends[5] = { 0 }, e;
	struct shop s;
	char fault[32];

	for (int n = 1; failed; n++) {
		snprintf(fault, sizeof(fault), "malloc:%d", n);
		e = open_shop(&s, 3, true);
		if (e == 0)
			e = mproc_test_run(add_up, &s,
					   MPROC_OPTS(mproc_test_opts,
						      .fault = fault), &r);
		if (e < 0)
			return e;
		failed = r.n_faults;
		/* With an error, or with the right sum; and not otherwise. */
		if (r.exit.code < 0 || r.exit.code > 4 ||
		    (r.exit.code == 0 && *s.sum != 6))
			return -1;
		ends[r.exit.code] = 1;
		mproc_test_result_free(&r);
		close_shop(&s);
	}
	printf("without memory: it %s\n",
	       ends[4] ? "says so" : "does not notice");
	return 0;
}

int
main(void)
{
	return test("as it should be", 3, true, false) < 0 ||
	       test("careless", 3, true, true) < 0 ||
	       test("a queue that is not shut down", 3, false, false) < 0 ||
	       test("a number that is none", -1, true, false) < 0 ||
	       test_without_memory() < 0;
}
