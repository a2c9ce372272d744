/* SPDX-License-Identifier: MIT */
/*
 * wait.h: things in several arenas at once.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "wait.h"

#define ARENAS 3
#define SOON mproc_sec(15)

struct place {
	char name[64];
	mproc_arena *a;
	mproc_queue *q;
	mproc_event *e;
};

static struct place places[ARENAS];
static mproc_queue *usual;

static void
make(struct mpt *t)
{
	usual = new_queue();
	for (int i = 0; i < ARENAS; i++) {
		struct place *p = &places[i];
		char suffix[32];

		snprintf(suffix, sizeof(suffix), "place%d", i);
		mpt_name(t, p->name, suffix);
		assert_int_equal(mproc_arena_create(
			&p->a, MPROC_OPTS(mproc_arena_opts, .name = p->name)),
			0);
		assert_int_equal(mproc_queue_create(
			&p->q, MPROC_OPTS(mproc_queue_opts, .arena = p->a)), 0);
		p->e = mproc_arena_alloc(p->a, sizeof(*p->e), 0);
		assert_non_null(p->e);
		assert_int_equal(mproc_event_clear(p->e), 0);
	}
}

static unsigned
participants_in(mproc_arena *a)
{
	struct mproc_arena_stat now;

	/* Roles have died without a word. */
	assert_true(mproc_arena_recover(a) >= 0);
	assert_int_equal(mproc_arena_stat(a, &now), 0);
	return now.participants;
}

static void
unmake(struct mpt *t)
{
	mpt_until(t, is_alone());
	for (int i = 0; i < ARENAS; i++) {
		struct place *p = &places[i];

		/* We, and nobody who watches. */
		if (p->a)
			assert_int_equal(participants_in(p->a), 1);
		if (p->a) {
			mproc_queue_destroy(p->q);
			mproc_free(p->e);
			mproc_arena_close(p->a);
		}
		assert_int_equal(mproc_arena_unlink(p->name), 0);
	}
	mproc_queue_destroy(usual);
}

static int
put_one(struct mpt *t, void *q)
{
	mpt_check_int(t, mproc_queue_put(q, "x", 1, SOON), 0);
	return 0;
}

static int
set_one(struct mpt *t, void *e)
{
	mpt_check_int(t, mproc_event_set(e), 0);
	return 0;
}

static void
one_call_waits_in_several(void **state)
{
	struct mpt *t = *state;

	make(t);
	for (int i = 0; i < ARENAS; i++) {
		struct place *p = &places[i];
		struct mproc_waitable items[] = {
			QUEUE(places[0].q), QUEUE(places[1].q),
			QUEUE(places[2].q), QUEUE(usual), EVENT(p->e),
		};

		assert_int_equal(mproc_wait(items, 5, mproc_ms(1)),
				 -ETIMEDOUT);
		mpt_spawn(t, "puts", put_one, p->q);
		assert_int_equal(mproc_wait(items, 5, SOON), 1);
		assert_int_equal(items[i].ret_events, POLLIN);
		assert_int_equal(get_byte(p->q), 0);
		mpt_join_all(t);
		mpt_spawn(t, "sets", set_one, p->e);
		assert_int_equal(mproc_wait(items, 5, SOON), 1);
		assert_int_equal(items[4].ret_events, POLLIN);
		mpt_join_all(t);
	}
	unmake(t);
}

static void
named_ones_mix_with_descriptors(void **state)
{
	struct mpt *t = *state;
	int fds[2];

	make(t);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	{
		struct mproc_waitable items[] = {
			READABLE(fds[0]), QUEUE(places[1].q), QUEUE(usual),
		};

		assert_int_equal(mproc_wait(items, 3, mproc_ms(1)),
				 -ETIMEDOUT);
		mpt_spawn(t, "puts", put_one, places[1].q);
		assert_int_equal(mproc_wait(items, 3, SOON), 1);
		assert_int_equal(items[1].ret_events, POLLIN);
		mpt_join_all(t);
	}
	close(fds[0]);
	close(fds[1]);
	unmake(t);
}

static void *
one(mproc_waitset *w)
{
	struct mproc_waitable items[2];

	assert_int_equal(mproc_waitset_wait(w, items, 2, SOON), 1);
	return items[0].object;
}

static void
add(mproc_waitset *w, struct mproc_waitable item)
{
	assert_int_equal(mproc_waitset_add(w, &item), 0);
}

static mproc_waitset *
set_of_all(void)
{
	mproc_waitset *w;

	assert_int_equal(mproc_waitset_create(&w), 0);
	add(w, (struct mproc_waitable)QUEUE(usual));
	for (int i = 0; i < ARENAS; i++) {
		add(w, (struct mproc_waitable)QUEUE(places[i].q));
		add(w, (struct mproc_waitable)EVENT(places[i].e));
	}
	return w;
}

static void
a_set_has_things_of_several(void **state)
{
	struct mpt *t = *state;
	mproc_waitset *w;

	make(t);
	w = set_of_all();
	for (int round = 0; round < 20; round++) {
		struct place *p = &places[round % ARENAS];

		mpt_spawn(t, "puts", put_one, p->q);
		assert_ptr_equal(one(w), p->q);
		assert_int_equal(get_byte(p->q), 0);
		mpt_join_all(t);
		mpt_spawn(t, "sets", set_one, p->e);
		assert_ptr_equal(one(w), p->e);
		assert_int_equal(mproc_event_clear(p->e), 0);
		mpt_join_all(t);
	}
	put_byte(usual);
	assert_ptr_equal(one(w), usual);
	assert_int_equal(get_byte(usual), 0);
	for (int i = 0; i < ARENAS; i++)
		assert_int_equal(mproc_waitset_remove(
			w, &(struct mproc_waitable)QUEUE(places[i].q)), 0);
	put_byte(places[1].q);
	assert_int_equal(mproc_event_set(places[2].e), 0);
	assert_ptr_equal(one(w), places[2].e);
	mproc_waitset_close(w);
	unmake(t);
}

static bool
is_mapped(const void *p)
{
	uintptr_t at = (uintptr_t)p & ~UINT64_C(4095);
	unsigned char in_core;

	return mincore((void *)at, 1, &in_core) == 0;
}

/* It is told of what becomes of it until it is removed. */
static void
what_is_in_a_set_keeps_its_arena(void **state)
{
	struct mpt *t = *state;
	struct place *p = &places[1];
	mproc_waitset *w;

	make(t);
	w = set_of_all();
	mpt_spawn(t, "puts", put_one, p->q);
	mproc_arena_close(p->a);
	assert_true(is_mapped(p->q));
	assert_ptr_equal(one(w), p->q);
	mpt_join_all(t);
	mproc_waitset_close(w);
	mpt_until(t, is_alone());
	/* Looking at it had us take part in it again. */
	assert_int_equal(mproc_arena_open(&p->a, p->name, MPROC_NOWAIT), 0);
	mproc_arena_close(p->a);
	assert_false(is_mapped(p->q));
	p->a = NULL;
	unmake(t);
}

/* A watcher that begins and ends with each. */
static void
arenas_come_and_go(void **state)
{
	struct mpt *t = *state;
	struct mproc_waitable item;
	char name[64];

	mpt_name(t, name, "comes");
	for (int i = 0; i < 50; i++) {
		mproc_queue *q = NULL;
		mproc_waitset *w;
		mproc_arena *a;

		assert_int_equal(mproc_arena_create(
			&a, MPROC_OPTS(mproc_arena_opts, .name = name)), 0);
		assert_int_equal(mproc_arena_unlink(name), 0);
		assert_int_equal(mproc_queue_create(
			&q, MPROC_OPTS(mproc_queue_opts, .arena = a)), 0);
		item = (struct mproc_waitable)QUEUE(q);
		assert_int_equal(mproc_waitset_create(&w), 0);
		assert_int_equal(mproc_waitset_add(w, &item), 0);
		if (i % 3) {
			put_byte(q);
			assert_int_equal(mproc_waitset_wait(w, &item, 1, SOON),
					 1);
		}
		if (i % 2) {
			mproc_waitset_close(w);
			mproc_arena_close(a);
		} else {
			mproc_arena_close(a);
			mproc_waitset_close(w);
		}
		/* There is room for 32, also for those that are not yet
		 * unmapped. */
		if (i % 10 == 9)
			mpt_until(t, is_alone());
	}
}

static int
have_other_sets(struct mpt *t, void *arg)
{
	mproc_waitset *w;

	mproc_waitset_close(arg);
	w = set_of_all();
	put_byte(places[2].q);
	mpt_check(t, one(w) == places[2].q);
	mproc_waitset_close(w);
	return 0;
}

static void
a_forked_child_has_its_own(void **state)
{
	struct mpt *t = *state;
	mproc_waitset *w;

	make(t);
	w = set_of_all();
	mpt_spawn(t, "child", have_other_sets, w);
	assert_ptr_equal(one(w), places[2].q);
	mpt_join_all(t);
	assert_int_equal(get_byte(places[2].q), 0);
	put_byte(places[0].q);
	assert_ptr_equal(one(w), places[0].q);
	mproc_waitset_close(w);
	unmake(t);
}

/* Before a leak checker, which would miss the first thread's stack. */
static void
end_now(void)
{
	_exit(17);
}

static int
leave_the_watchers(struct mpt *t, void *arg)
{
	mproc_waitset *w = set_of_all();

	(void)arg;
	put_byte(places[0].q);
	mpt_check(t, one(w) == places[0].q);
	mpt_check_int(t, atexit(end_now), 0);
	pthread_exit(NULL);
}

/* They are four, and none of them is the last one. */
static void
watchers_alone_do_not_go_on(void **state)
{
	struct mpt *t = *state;

	make(t);
	mpt_expect_exit(t, mpt_spawn(t, "leaves", leave_the_watchers, NULL), 17);
	assert_int_equal(get_byte(places[0].q), 0);
	unmake(t);
}

static int
say_nothing(void *arg)
{
	(void)arg;
	while (pause())
		;
	return 0;
}

static int
leave_a_watcher_and_lines(struct mpt *t, void *arg)
{
	mproc_process *p;

	mpt_check_int(t, mproc_process_start(
		&p, say_nothing, NULL,
		MPROC_OPTS(mproc_process_opts, .daemon = true,
			   .stdout_ = { MPROC_STDIO_LINES, 0 })), 0);
	return leave_the_watchers(t, arg);
}

/* Nor does the one that waits for lines count as one for whom they work, or they for
 * it. */
static void
threads_for_different_things_do_not_go_on_for_each_other(void **state)
{
	struct mpt *t = *state;

	make(t);
	mpt_expect_exit(t, mpt_spawn(t, "leaves", leave_a_watcher_and_lines,
				     NULL), 17);
	assert_int_equal(mpt_reap_orphans(t), 1);
	assert_int_equal(get_byte(places[0].q), 0);
	unmake(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(one_call_waits_in_several),
		mpt_test(named_ones_mix_with_descriptors),
		mpt_test(a_set_has_things_of_several),
		mpt_test(what_is_in_a_set_keeps_its_arena),
		mpt_test(arenas_come_and_go),
		mpt_test(a_forked_child_has_its_own),
		mpt_test(watchers_alone_do_not_go_on),
		mpt_test(threads_for_different_things_do_not_go_on_for_each_other),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
