/* SPDX-License-Identifier: MIT */
/*
 * wait.h: a set that several threads add to, remove from and wait for at the same
 * time; and sets of ten thousand.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "wait.h"

#define THREADS 3
#define QUEUES 40
#define SOON mproc_sec(15)

static mproc_waitset *w;
static mproc_queue *queues[QUEUES];
static mproc_event go_home;
static _Atomic unsigned taken;

static unsigned
take_all(const struct mproc_waitable *items, int n)
{
	unsigned got = 0;

	for (int i = 0; i < n; i++)
		if (items[i].kind == MPROC_WAIT_QUEUE)
			got += get_byte(items[i].object) == 0;
	return got;
}

static int
wait_and_take(struct mpt *t, void *arg)
{
	struct mproc_waitable items[4];
	int r;

	(void)arg;
	do {
		r = mproc_waitset_wait(w, items, 4, SOON);
		mpt_check(t, r >= 1 && r <= 4);
		if (r < 1)
			return 1;
		taken += take_all(items, r);
	} while (mproc_event_is_set(&go_home) == 0);
	return 0;
}

/* Its half of the queues, in and out. */
static int
come_and_go(struct mpt *t, void *arg)
{
	(void)arg;
	for (unsigned round = 0; round < amount(50); round++)
		for (unsigned i = QUEUES / 2; i < QUEUES; i++) {
			struct mproc_waitable item = QUEUE(queues[i]);

			if (round % 2 == 0)
				mpt_check_int(t, mproc_waitset_add(w, &item),
					      0);
			else
				mpt_check_int(t, mproc_waitset_remove(w, &item),
					      0);
		}
	return 0;
}

static void
threads_add_remove_and_wait(void **state)
{
	struct mpt *t = *state;
	unsigned n = amount(1000), put = 0;

	mpt_use_threads(t, true);
	taken = 0;
	assert_int_equal(mproc_waitset_create(&w), 0);
	assert_int_equal(mproc_event_clear(&go_home), 0);
	assert_int_equal(mproc_waitset_add(w, &(struct mproc_waitable)
						   EVENT(&go_home)), 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		queues[i] = new_queue();
		if (i < QUEUES / 2)
			assert_int_equal(mproc_waitset_add(
				w, &(struct mproc_waitable)QUEUE(queues[i])), 0);
	}
	for (int i = 0; i < THREADS; i++)
		mpt_spawn(t, "waits", wait_and_take, NULL);
	mpt_spawn(t, "comes and goes", come_and_go, NULL);
	/* Only to those that stay: no message lies about. */
	for (; put < n; put++)
		assert_int_equal(mproc_queue_put(queues[put % (QUEUES / 2)], "x",
						 1, MPROC_FOREVER), 0);
	mpt_until(t, taken == n);
	assert_int_equal(mproc_event_set(&go_home), 0);
	mpt_join_all(t);
	mproc_waitset_close(w);
	for (unsigned i = 0; i < QUEUES; i++)
		mproc_queue_destroy(queues[i]);
}

/* What is ready among ten thousand is found, whichever it is. */
static void
one_of_ten_thousand(void **state)
{
	unsigned n = amount(1000) * 10;
	mproc_queue **many = calloc(n, sizeof(*many));
	struct mproc_waitable item;

	mpt_watchdog(*state, 60);
	assert_non_null(many);
	assert_int_equal(mproc_waitset_create(&w), 0);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(mproc_queue_create(
			&many[i], MPROC_OPTS(mproc_queue_opts,
					     .capacity = 4096)), 0);
		assert_int_equal(mproc_waitset_add(
			w, &(struct mproc_waitable)QUEUE(many[i])), 0);
	}
	for (unsigned i = 0; i < 100; i++) {
		mproc_queue *q = many[i * 7919 % n];

		put_byte(q);
		assert_int_equal(mproc_waitset_wait(w, &item, 1, SOON), 1);
		assert_ptr_equal(item.object, q);
		assert_int_equal(get_byte(q), 0);
		assert_int_equal(mproc_waitset_wait(w, &item, 1, MPROC_NOWAIT),
				 -EAGAIN);
	}
	mproc_waitset_close(w);
	for (unsigned i = 0; i < n; i++)
		mproc_queue_destroy(many[i]);
	free(many);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static void
as_many_descriptors_as_there_may_be(void **state)
{
	enum { N = 500 };
	static int fds[N];
	struct mproc_waitable items[N];

	(void)state;
	assert_int_equal(mproc_waitset_create(&w), 0);
	for (int i = 0; i < N; i++) {
		fds[i] = eventfd(0, 0);
		assert_true(fds[i] >= 0);
		assert_int_equal(mproc_waitset_add(
			w, &(struct mproc_waitable)READABLE(fds[i])), 0);
	}
	assert_int_equal(mproc_waitset_wait(w, items, N, MPROC_NOWAIT), -EAGAIN);
	for (int i = 0; i < N; i++)
		assert_int_equal(write(fds[i], &(uint64_t){ 1 }, 8), 8);
	assert_int_equal(mproc_waitset_wait(w, items, N, MPROC_NOWAIT), N);
	mproc_waitset_close(w);
	for (int i = 0; i < N; i++)
		close(fds[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(threads_add_remove_and_wait),
		mpt_test(one_of_ten_thousand),
		mpt_test(as_many_descriptors_as_there_may_be),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
