/* SPDX-License-Identifier: MIT */
/*
 * Messages that are held, from inside: what shared memory shows of them, and
 * what happens where there is no memory.
 */
#include <errno.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "common.h"
#include "ipc/attachment.h"

static mproc_queue *
new_queue(bool single_consumer, size_t capacity)
{
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = capacity,
			       .single_consumer = single_consumer)), 0);
	return q;
}

static void
put(mproc_queue *q)
{
	assert_int_equal(mproc_queue_put(q, "hello", 5, MPROC_NOWAIT), 0);
}

static void
get(mproc_queue *q)
{
	char buf[5];
	size_t len;

	assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), &len,
					 MPROC_NOWAIT), 0);
	assert_int_equal(len, 5);
	assert_memory_equal(buf, "hello", 5);
}

static struct mpr_attachment *
attachment(mproc_queue *q)
{
	struct mpr_attachment *at = mpr_attachment_present(q);

	assert_non_null(at);
	return at;
}

/* A queue and its one lane, but for the frames. */
struct shown {
	struct mproc_queue q;
	unsigned char lane[sizeof(struct mpr_lane)];
};

static void
look_at(mproc_queue *q, struct shown *shown)
{
	memset(shown, 0, sizeof(*shown));
	memcpy(&shown->q, q, sizeof(shown->q));
	memcpy(shown->lane, attachment(q)->producer.lane, sizeof(shown->lane));
}

static void
shared_memory_shows_nothing_of_what_is_held(void **state)
{
	mproc_queue *q = new_queue(true, 4096);
	static struct shown before, now;
	struct mpr_lane *lane;
	const void *at;
	uint64_t tail;
	size_t len;
	void *p;

	(void)state;
	put(q);
	put(q);
	get(q);
	lane = attachment(q)->producer.lane;
	tail = lane->tail;
	look_at(q, &before);
	assert_int_equal(mproc_queue_reserve(q, 1000, &p, MPROC_NOWAIT), 0);
	look_at(q, &now);
	assert_memory_equal(&before, &now, sizeof(now));
	/* A drain would wait for who is busy. */
	assert_int_equal(lane->busy, 0);
	assert_int_equal(mproc_queue_peek(q, &at, &len, MPROC_NOWAIT), 0);
	look_at(q, &now);
	assert_memory_equal(&before, &now, sizeof(now));
	assert_int_equal(mproc_queue_abort(q, p), 0);
	look_at(q, &now);
	assert_memory_equal(&before, &now, sizeof(now));
	assert_int_equal(mproc_queue_release(q, at), 0);
	assert_int_equal(mproc_queue_reserve(q, 1000, &p, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_commit(q, p, 10), 0);
	assert_int_equal(lane->busy, 0);
	assert_int_equal(lane->tail, tail + 32);
	assert_int_equal(lane->head, tail);
	mproc_queue_destroy(q);
}

/* Padding is all that a reservation puts. */
static void
a_pad_is_put_before_what_is_reserved(void **state)
{
	mproc_queue *q = new_queue(false, 4096);
	struct mpr_lane *lane;
	unsigned char *buffer;
	char msg[2000] = "";
	void *p;

	(void)state;
	assert_int_equal(mproc_queue_put(q, msg, sizeof(msg), MPROC_NOWAIT),
			 0);
	assert_int_equal(mproc_queue_get(q, msg, sizeof(msg), NULL,
					 MPROC_NOWAIT), 0);
	lane = attachment(q)->producer.lane;
	buffer = lane->buffer;
	assert_int_equal(mproc_queue_put(q, msg, 1016, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_reserve(q, 2040, &p, MPROC_NOWAIT),
			 -EAGAIN);
	assert_int_equal(lane->tail, 4096);
	assert_false(mpr_attachment_is_held(attachment(q)));
	assert_int_equal(mproc_queue_get(q, msg, sizeof(msg), NULL,
					 MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_get(q, msg, sizeof(msg), NULL,
					 MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_queue_reserve(q, 2040, &p, MPROC_NOWAIT), 0);
	assert_int_equal(lane->tail, 4096);
	assert_ptr_equal(p, buffer + MPR_FRAME_HEADER);
	assert_int_equal(mproc_queue_len(q), 0);
	mproc_queue_destroy(q);
}

/* Its own thread does not sleep here, which is all the same to who looks. */
static void
a_release_wakes_the_producer_that_wants_the_room(void **state)
{
	mproc_queue *q = new_queue(true, 4096);
	struct mpr_lane *lane;
	const void *at;

	(void)state;
	put(q);
	put(q);
	lane = attachment(q)->producer.lane;
	lane->want = 16;
	assert_int_equal(mproc_queue_peek(q, &at, NULL, MPROC_NOWAIT), 0);
	assert_int_equal(lane->want, 16);
	assert_int_equal(mproc_queue_release(q, at), 0);
	assert_int_equal(lane->want, 0);
	/* Several consumers make the room when they peek. */
	mproc_queue_destroy(q);
	q = new_queue(false, 4096);
	put(q);
	lane = attachment(q)->producer.lane;
	lane->want = 16;
	assert_int_equal(mproc_queue_peek(q, &at, NULL, MPROC_NOWAIT), 0);
	assert_int_equal(lane->want, 0);
	mproc_queue_destroy(q);
}

static void
without_memory_for_a_copy_nothing_is_taken(void **state)
{
	mproc_queue *q = new_queue(false, 4096);
	const void *at = NULL;

	(void)state;
	put(q);
	put(q);
	get(q);
	assert_int_equal(mpr_fault_set("malloc:1"), 0);
	assert_int_equal(mproc_queue_peek(q, &at, NULL, MPROC_NOWAIT),
			 -ENOMEM);
	assert_int_equal(mpr_fault_hits(MPR_FAULT_MALLOC), 1);
	assert_int_equal(mpr_fault_set(NULL), 0);
	assert_null(at);
	assert_int_equal(mproc_queue_len(q), 1);
	assert_int_equal(mproc_queue_peek(q, &at, NULL, MPROC_NOWAIT), 0);
	assert_memory_equal(at, "hello", 5);
	assert_int_equal(mproc_queue_release(q, at), 0);
	mproc_queue_destroy(q);
}

static void
without_memory_for_the_lane_nothing_is_reserved(void **state)
{
	mproc_queue *q = new_queue(false, 1 << 20);
	void *p = NULL;

	(void)state;
	put(q);
	assert_int_equal(mpr_fault_set("fallocate:1+=ENOSPC"), 0);
	assert_int_equal(mproc_queue_reserve(q, 100000, &p, MPROC_FOREVER),
			 -ENOSPC);
	assert_int_equal(mpr_fault_set(NULL), 0);
	assert_null(p);
	put(q);
	assert_int_equal(mproc_queue_reserve(q, 100000, &p, MPROC_FOREVER), 0);
	memset(p, 1, 100000);
	assert_int_equal(mproc_queue_commit(q, p, 0), 0);
	assert_int_equal(mproc_queue_len(q), 3);
	mproc_queue_destroy(q);
}

static int
destroy_it(struct mpt *t, void *q)
{
	(void)t;
	mproc_queue_destroy(q);
	return 0;
}

/* -ESTALE says that what was held is dropped, so a mistake must not say it. */
static void
in_a_queue_that_is_gone_only_what_is_held_is_given_back(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q = new_queue(true, 4096);
	const void *shown;
	void *p;

	put(q);
	assert_int_equal(mproc_queue_reserve(q, 100, &p, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_peek(q, &shown, NULL, MPROC_NOWAIT), 0);
	mpt_expect_exit(t, mpt_spawn(t, "destroyer", destroy_it, q), 0);
	/* Another was faster, so what is held is kept. */
	mproc_queue_destroy(q);
	assert_int_equal(mproc_queue_commit(q, (char *)p + 8, 1), -EINVAL);
	assert_int_equal(mproc_queue_abort(q, (char *)p + 8), -EINVAL);
	assert_int_equal(mproc_queue_release(q, p), -EINVAL);
	assert_memory_equal(shown, "hello", 5);
	memset(p, 0xff, 100);
	assert_int_equal(mproc_queue_abort(q, p), -ESTALE);
	assert_int_equal(mproc_queue_abort(q, p), -EINVAL);
	assert_memory_equal(shown, "hello", 5);
	assert_int_equal(mproc_queue_release(q, shown), -ESTALE);
	assert_int_equal(mproc_queue_release(q, shown), -ESTALE);
}

/* Where all lanes are looked at for the first message, as well. */
static void
an_ordered_get_wakes_the_producer_that_wants_the_room(void **state)
{
	struct mpr_lane *lane;
	mproc_queue *q = NULL;

	(void)state;
	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .ordered = true)), 0);
	put(q);
	lane = attachment(q)->producer.lane;
	lane->want = 16;
	get(q);
	assert_int_equal(lane->want, 0);
	mproc_queue_destroy(q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shared_memory_shows_nothing_of_what_is_held),
		cmocka_unit_test(a_pad_is_put_before_what_is_reserved),
		cmocka_unit_test(
			a_release_wakes_the_producer_that_wants_the_room),
		cmocka_unit_test(without_memory_for_a_copy_nothing_is_taken),
		cmocka_unit_test(
			without_memory_for_the_lane_nothing_is_reserved),
		mpt_test(in_a_queue_that_is_gone_only_what_is_held_is_given_back),
		mpt_test(an_ordered_get_wakes_the_producer_that_wants_the_room),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
