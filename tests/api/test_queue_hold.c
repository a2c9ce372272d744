/* SPDX-License-Identifier: MIT */
/*
 * queue.h with one thread: messages that are reserved and committed, or peeked
 * at and released. What happens between threads and processes is in
 * test_queue_hold_others.c.
 */
#include <stdio.h>

#include "common.h"

#define CAPACITY 4096
#define LONGEST (CAPACITY / 2 - 8)

static mproc_queue *
new_queue(bool single_consumer)
{
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = CAPACITY,
			       .single_consumer = single_consumer)), 0);
	return q;
}

static void
fill(unsigned char *to, size_t len, unsigned number)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (unsigned char)(number * 31 + i * 7 + len);
}

static bool
is_message(const unsigned char *at, size_t len, unsigned number)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] != (unsigned char)(number * 31 + i * 7 + len))
			return false;
	return true;
}

static unsigned char *
reserve(mproc_queue *q, size_t len)
{
	void *p = NULL;

	assert_int_equal(mproc_queue_reserve(q, len, &p, MPROC_NOWAIT), 0);
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % 8, 0);
	assert_true(mproc_is_shared(p));
	return p;
}

/* Writes a message of @len bytes where @most are reserved. */
static int
write_in_place(mproc_queue *q, size_t most, size_t len, unsigned number)
{
	void *p = NULL;
	int r = mproc_queue_reserve(q, most, &p, MPROC_NOWAIT);

	if (r < 0) {
		assert_null(p);
		return r;
	}
	fill(p, len, number);
	return mproc_queue_commit(q, p, len);
}

static const unsigned char *
peek(mproc_queue *q, size_t *ret_len)
{
	const void *p = NULL;

	assert_int_equal(mproc_queue_peek(q, &p, ret_len, MPROC_NOWAIT), 0);
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % 8, 0);
	return p;
}

static void
read_in_place(mproc_queue *q, size_t len, unsigned number)
{
	size_t got = 99999;
	const unsigned char *p = peek(q, &got);

	assert_int_equal(got, len);
	assert_true(is_message(p, len, number));
	assert_int_equal(mproc_queue_release(q, p), 0);
}

static int
put(mproc_queue *q, size_t len, unsigned number)
{
	unsigned char msg[CAPACITY];

	fill(msg, len, number);
	return mproc_queue_put(q, msg, len, MPROC_NOWAIT);
}

static void
get(mproc_queue *q, size_t len, unsigned number)
{
	unsigned char buf[CAPACITY];
	size_t got = 99999;

	assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), &got,
					 MPROC_NOWAIT), 0);
	assert_int_equal(got, len);
	assert_true(is_message(buf, len, number));
}

static int
peek_any(mproc_queue *q)
{
	const void *p;

	return mproc_queue_peek(q, &p, NULL, MPROC_NOWAIT);
}

static int
reserve_any(mproc_queue *q)
{
	void *p;

	return mproc_queue_reserve(q, 8, &p, MPROC_NOWAIT);
}

#define for_both_kinds(q)                                               \
	for (int single = 0; single < 2; single++)                      \
		for (mproc_queue *q = new_queue(single); q;             \
		     mproc_queue_destroy(q), q = NULL)

/* Puts two messages in one of the ways, and takes two in another. */
static void
all_ways_keep_the_order(void **state)
{
	unsigned char bytes[2][40], buf[80];
	struct iovec in[2], out[2];
	unsigned put_n = 0, got_n = 0;

	(void)state;
	for_both_kinds(q)
		for (unsigned i = 0; i < 400; i++) {
			fill(bytes[0], 40, put_n);
			fill(bytes[1], 40, put_n + 1);
			in[0] = (struct iovec){ bytes[0], 40 };
			in[1] = (struct iovec){ bytes[1], 40 };
			if (i % 3 == 0) {
				assert_int_equal(write_in_place(q, 100, 40,
								put_n), 0);
				assert_int_equal(write_in_place(q, 40, 40,
								put_n + 1), 0);
			} else if (i % 3 == 1) {
				assert_int_equal(mproc_queue_putv(
					q, in, 1, MPROC_NOWAIT), 0);
				assert_int_equal(mproc_queue_put(
					q, bytes[1], 40, MPROC_NOWAIT), 0);
			} else {
				assert_int_equal(mproc_queue_put_many(
					q, in, 2, MPROC_NOWAIT), 2);
			}
			put_n += 2;
			if (i < 20)
				continue;
			if (i % 4 == 0) {
				read_in_place(q, 40, got_n);
				get(q, 40, got_n + 1);
			} else if (i % 4 == 1) {
				get(q, 40, got_n);
				read_in_place(q, 40, got_n + 1);
			} else if (i % 4 == 2) {
				assert_int_equal(mproc_queue_get_many(
					q, buf, 80, out, 2, MPROC_NOWAIT), 2);
				assert_true(is_message(buf, 40, got_n));
				assert_true(is_message(buf + 40, 40,
						       got_n + 1));
			} else {
				read_in_place(q, 40, got_n);
				read_in_place(q, 40, got_n + 1);
			}
			got_n += 2;
			assert_int_equal(mproc_queue_len(q), put_n - got_n);
			if (i == 399)
				put_n = got_n = 0;
		}
}

static void
every_length_passes_at_the_end_of_the_lane(void **state)
{
	(void)state;
	for_both_kinds(q)
		for (size_t len = 0; len <= LONGEST; len += 3) {
			int r = write_in_place(q, len, len, (unsigned)len);

			if (r == -EAGAIN) {
				/* It needed the room behind a pad. */
				assert_int_equal(peek_any(q), -EAGAIN);
				r = write_in_place(q, len, len, (unsigned)len);
			}
			assert_int_equal(r, 0);
			read_in_place(q, len, (unsigned)len);
		}
}

static void
a_message_as_large_as_half_the_lane_passes(void **state)
{
	(void)state;
	for_both_kinds(q)
		for (unsigned i = 0; i < 300; i++) {
			assert_int_equal(write_in_place(q, LONGEST, LONGEST, i),
					 0);
			read_in_place(q, LONGEST, i);
			assert_int_equal(write_in_place(q, LONGEST / 2, i % 50,
							i), 0);
			read_in_place(q, i % 50, i);
		}
}

static void
what_is_too_long_is_not_reserved(void **state)
{
	mproc_queue *q = new_queue(false);
	void *p = NULL;

	(void)state;
	assert_int_equal(mproc_queue_reserve(q, SIZE_MAX, &p, MPROC_FOREVER),
			 -EMSGSIZE);
	assert_null(p);
	mproc_queue_destroy(q);
	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .max_message = 100)), 0);
	assert_int_equal(mproc_queue_reserve(q, 101, &p, MPROC_FOREVER),
			 -EMSGSIZE);
	assert_true(detail_has("101 bytes"));
	assert_true(detail_has("most 100"));
	assert_int_equal(write_in_place(q, 100, 100, 1), 0);
	read_in_place(q, 100, 1);
	mproc_queue_destroy(q);
}

static void
one_reservation_at_a_time(void **state)
{
	mproc_queue *q = new_queue(false), *other = new_queue(false);
	unsigned char byte = 1, *p;
	struct iovec part = { &byte, 1 };

	(void)state;
	assert_int_equal(put(q, 10, 0), 0);
	p = reserve(q, 50);
	for (size_t len = 0; len <= LONGEST; len += 511) {
		assert_int_equal(put(q, len, 9), -EBUSY);
		assert_true(detail_has("commit or abort"));
		assert_true(detail_has("50 bytes"));
	}
	assert_int_equal(mproc_queue_put(q, &byte, 1, MPROC_FOREVER), -EBUSY);
	assert_int_equal(mproc_queue_putv(q, &part, 1, MPROC_FOREVER), -EBUSY);
	assert_int_equal(mproc_queue_put_many(q, &part, 1, MPROC_FOREVER),
			 -EBUSY);
	assert_int_equal(reserve_any(q), -EBUSY);
	assert_int_equal(mproc_queue_len(q), 1);
	/* It is one for each queue, and does not stop a consumer. */
	assert_int_equal(write_in_place(other, 8, 8, 1), 0);
	read_in_place(other, 8, 1);
	get(q, 10, 0);
	fill(p, 50, 1);
	assert_int_equal(mproc_queue_commit(q, p, 50), 0);
	assert_int_equal(put(q, 10, 2), 0);
	get(q, 50, 1);
	get(q, 10, 2);
	assert_int_equal(mproc_queue_len(q), 0);
	mproc_queue_destroy(q);
	mproc_queue_destroy(other);
}

static void
a_bad_commit_changes_nothing(void **state)
{
	mproc_queue *q = new_queue(false);
	unsigned char *p, byte;

	(void)state;
	assert_int_equal(mproc_queue_commit(q, &byte, 1), -EINVAL);
	assert_int_equal(mproc_queue_abort(q, &byte), -EINVAL);
	p = reserve(q, 50);
	assert_int_equal(mproc_queue_commit(q, p, 51), -EINVAL);
	assert_true(detail_has("51 bytes"));
	assert_true(detail_has("in 50"));
	assert_int_equal(mproc_queue_commit(q, p, SIZE_MAX), -EINVAL);
	assert_int_equal(mproc_queue_commit(q, p + 8, 8), -EINVAL);
	assert_int_equal(mproc_queue_commit(q, NULL, 8), -EINVAL);
	assert_int_equal(mproc_queue_commit(NULL, p, 8), -EINVAL);
	assert_int_equal(mproc_queue_commit((mproc_queue *)(void *)&byte, p, 8),
			 -EFAULT);
	assert_int_equal(mproc_queue_abort(q, p + 8), -EINVAL);
	assert_int_equal(mproc_queue_abort(q, NULL), -EINVAL);
	assert_int_equal(mproc_queue_abort(NULL, p), -EINVAL);
	assert_int_equal(mproc_queue_release(q, p), -EINVAL);
	assert_int_equal(mproc_queue_len(q), 0);
	assert_int_equal(reserve_any(q), -EBUSY);
	fill(p, 50, 1);
	assert_int_equal(mproc_queue_commit(q, p, 50), 0);
	assert_int_equal(mproc_queue_commit(q, p, 50), -EINVAL);
	assert_int_equal(mproc_queue_abort(q, p), -EINVAL);
	assert_int_equal(mproc_queue_len(q), 1);
	get(q, 50, 1);
	mproc_queue_destroy(q);
}

static void
what_is_aborted_is_never_seen(void **state)
{
	(void)state;
	for_both_kinds(q)
		for (unsigned i = 0; i < 500; i++) {
			unsigned char *p = reserve(q, 1 + i % 1000);

			memset(p, 0xff, 1 + i % 1000);
			assert_int_equal(mproc_queue_abort(q, p), 0);
			assert_int_equal(mproc_queue_abort(q, p), -EINVAL);
			assert_int_equal(mproc_queue_len(q), 0);
			assert_int_equal(peek_any(q), -EAGAIN);
			assert_int_equal(put(q, i % 300, i), 0);
			read_in_place(q, i % 300, i);
		}
}

static void
a_full_lane_has_no_room_to_write_in(void **state)
{
	unsigned n = 0;
	void *p = NULL;

	(void)state;
	for_both_kinds(q) {
		for (n = 0; write_in_place(q, 56, 56, n) == 0; n++)
			;
		assert_int_equal(n, CAPACITY / 64);
		assert_int_equal(mproc_queue_reserve(q, 0, &p, MPROC_NOWAIT),
				 -EAGAIN);
		assert_int_equal(mproc_queue_reserve(q, 0, &p, mproc_ms(3)),
				 -ETIMEDOUT);
		assert_null(p);
		for (unsigned i = 0; i < n; i++)
			read_in_place(q, 56, i);
		assert_int_equal(write_in_place(q, 56, 56, n), 0);
		read_in_place(q, 56, n);
	}
}

static void
one_peek_at_a_time(void **state)
{
	unsigned char buf[64];
	const unsigned char *p;
	struct iovec out;
	size_t len;

	(void)state;
	for_both_kinds(q) {
		assert_int_equal(put(q, 40, 0), 0);
		assert_int_equal(put(q, 30, 1), 0);
		p = peek(q, &len);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(mproc_queue_get(q, buf, 64, NULL,
							 MPROC_FOREVER),
					 -EBUSY);
			assert_true(detail_has("release"));
			assert_true(detail_has("40 bytes"));
			assert_int_equal(mproc_queue_get_many(
				q, buf, 64, &out, 1, MPROC_FOREVER), -EBUSY);
			assert_int_equal(peek_any(q), -EBUSY);
		}
		/* The only consumer's is in the queue still. */
		assert_int_equal(mproc_queue_len(q), single ? 2 : 1);
		/* Whatever is put meanwhile, it stays as it is. */
		for (unsigned i = 2; put(q, 50, i) == 0; i++)
			;
		assert_int_equal(len, 40);
		assert_true(is_message(p, 40, 0));
		assert_int_equal(mproc_queue_release(q, p), 0);
		get(q, 30, 1);
		read_in_place(q, 50, 2);
	}
}

static void
a_bad_release_changes_nothing(void **state)
{
	const unsigned char *p;
	unsigned char byte = 0;
	size_t len;

	(void)state;
	for_both_kinds(q) {
		assert_int_equal(mproc_queue_release(q, &byte), -EINVAL);
		assert_int_equal(put(q, 40, 0), 0);
		assert_int_equal(mproc_queue_peek(q, NULL, &len, MPROC_NOWAIT),
				 -EINVAL);
		assert_int_equal(mproc_queue_len(q), 1);
		p = peek(q, &len);
		assert_int_equal(mproc_queue_release(q, p + 1), -EINVAL);
		assert_int_equal(mproc_queue_release(q, NULL), -EINVAL);
		assert_int_equal(mproc_queue_release(NULL, p), -EINVAL);
		assert_int_equal(mproc_queue_release(
			(mproc_queue *)(void *)&byte, p), -EFAULT);
		assert_true(is_message(p, 40, 0));
		assert_int_equal(peek_any(q), -EBUSY);
		assert_int_equal(mproc_queue_release(q, p), 0);
		assert_int_equal(mproc_queue_release(q, p), -EINVAL);
		assert_int_equal(mproc_queue_len(q), 0);
		assert_int_equal(peek_any(q), -EAGAIN);
	}
}

static void
an_empty_queue_shows_nothing(void **state)
{
	const void *p = NULL;
	size_t len = 7;

	(void)state;
	for_both_kinds(q) {
		assert_int_equal(mproc_queue_peek(q, &p, &len, MPROC_NOWAIT),
				 -EAGAIN);
		assert_int_equal(mproc_queue_peek(q, &p, &len, mproc_ms(3)),
				 -ETIMEDOUT);
		assert_null(p);
		assert_int_equal(len, 7);
		/* An empty message is something. */
		assert_int_equal(write_in_place(q, 0, 0, 0), 0);
		read_in_place(q, 0, 0);
	}
}

static void
other_errors_are_those_of_put_and_get(void **state)
{
	mproc_queue *q = new_queue(false);
	const void *shown = NULL;
	int byte = 0;
	void *p = NULL;

	(void)state;
	assert_int_equal(mproc_queue_reserve(q, 8, NULL, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_queue_reserve(NULL, 8, &p, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_queue_peek(NULL, &shown, NULL, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_queue_reserve((mproc_queue *)(void *)&byte, 8,
					     &p, MPROC_NOWAIT), -EFAULT);
	assert_int_equal(mproc_queue_peek((mproc_queue *)(void *)&byte, &shown,
					  NULL, MPROC_NOWAIT), -EFAULT);
	mproc_queue_destroy(q);
	assert_int_equal(mproc_queue_reserve(q, 8, &p, MPROC_NOWAIT), -ESTALE);
	assert_int_equal(mproc_queue_peek(q, &shown, NULL, MPROC_NOWAIT),
			 -ESTALE);
	assert_int_equal(mproc_queue_commit(q, &byte, 8), -ESTALE);
	assert_int_equal(mproc_queue_abort(q, &byte), -ESTALE);
	assert_int_equal(mproc_queue_release(q, &byte), -ESTALE);
	assert_null(p);
	assert_null(shown);
}

static void
a_commit_comes_too_late_after_a_shutdown(void **state)
{
	unsigned char buf[64], *p;

	(void)state;
	for (unsigned how = MPROC_DRAIN; how <= MPROC_IMMEDIATE; how++)
		for_both_kinds(q) {
			assert_int_equal(put(q, 10, 0), 0);
			p = reserve(q, 8);
			assert_int_equal(mproc_queue_shutdown(q, how), 0);
			if (how == MPROC_DRAIN)
				get(q, 10, 0);
			/* It is not waited for. */
			assert_int_equal(mproc_queue_get(q, buf, sizeof(buf),
							 NULL, MPROC_FOREVER),
					 -ESHUTDOWN);
			assert_int_equal(mproc_queue_commit(q, p, 9), -EINVAL);
			assert_int_equal(mproc_queue_commit(q, p, 8),
					 -ESHUTDOWN);
			assert_int_equal(mproc_queue_commit(q, p, 8), -EINVAL);
			assert_int_equal(mproc_queue_abort(q, p), -EINVAL);
			assert_int_equal(reserve_any(q), -ESHUTDOWN);
			assert_int_equal(mproc_queue_len(q),
					 how == MPROC_DRAIN ? 0 : 1);
			assert_int_equal(mproc_queue_get(q, buf, sizeof(buf),
							 NULL, MPROC_FOREVER),
					 -ESHUTDOWN);
		}
}

static void
an_abort_after_a_shutdown_is_one(void **state)
{
	mproc_queue *q = new_queue(false);
	unsigned char *p = reserve(q, 8);

	(void)state;
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(mproc_queue_abort(q, p), 0);
	assert_int_equal(peek_any(q), -ESHUTDOWN);
	mproc_queue_destroy(q);
}

static void
what_is_queued_at_a_shutdown_can_be_shown(void **state)
{
	const unsigned char *p;
	size_t len;

	(void)state;
	for_both_kinds(q) {
		assert_int_equal(put(q, 10, 0), 0);
		assert_int_equal(put(q, 20, 1), 0);
		assert_int_equal(put(q, 30, 2), 0);
		assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
		read_in_place(q, 10, 0);
		p = peek(q, &len);
		assert_int_equal(mproc_queue_shutdown(q, MPROC_IMMEDIATE), 0);
		assert_true(is_message(p, 20, 1));
		assert_int_equal(mproc_queue_release(q, p), 0);
		assert_int_equal(mproc_queue_len(q), 1);
		assert_int_equal(peek_any(q), -ESHUTDOWN);
	}
}

static void
who_destroys_the_queue_holds_nothing_of_it(void **state)
{
	struct mproc_arena_stat before = stat_now();
	unsigned char *p;
	const void *shown;
	size_t len;

	(void)state;
	for (int single = 0; single < 2; single++) {
		mproc_queue *q = new_queue(single);

		assert_int_equal(put(q, 10, 0), 0);
		p = reserve(q, 100);
		shown = peek(q, &len);
		mproc_queue_destroy(q);
		expect_stat(&before);
		assert_int_equal(mproc_queue_release(q, shown), -ESTALE);
		assert_int_equal(mproc_queue_commit(q, p, 8), -ESTALE);
		assert_int_equal(mproc_queue_abort(q, p), -ESTALE);
	}
}

/* Memory comes as the lane is filled, whoever fills it. */
static void
large_lanes_get_their_memory(void **state)
{
	size_t lens[] = { 300000, 65536 - 8, 5, 1000000, 70000, 131072 };
	mproc_queue *q;

	(void)state;
	for (int single = 0; single < 2; single++) {
		assert_int_equal(mproc_queue_create(
			&q, MPROC_OPTS(mproc_queue_opts, .capacity = 1 << 20,
				       .single_consumer = single)), 0);
		for (unsigned i = 0; i < 40; i++) {
			size_t len = lens[i % 6];
			int r = write_in_place(q, len, len, i);

			if (r == -EAGAIN) {
				assert_int_equal(peek_any(q), -EAGAIN);
				r = write_in_place(q, len, len, i);
			}
			assert_int_equal(r, 0);
			read_in_place(q, len, i);
			assert_int_equal(put(q, 100, i), 0);
			read_in_place(q, 100, i);
		}
		mproc_queue_destroy(q);
	}
}

static void
the_only_consumer_reads_in_the_lane(void **state)
{
	const unsigned char *p;
	unsigned char *to;
	size_t len;

	(void)state;
	for_both_kinds(q) {
		to = reserve(q, 100);
		fill(to, 100, 0);
		assert_int_equal(mproc_queue_commit(q, to, 100), 0);
		p = peek(q, &len);
		if (single)
			assert_ptr_equal(p, to);
		else
			assert_false(mproc_is_shared(p));
		assert_int_equal(mproc_queue_release(q, p), 0);
	}
}

static void
figures_count_what_is_held(void **state)
{
	struct mproc_queue_stat st;
	unsigned char *p;
	const unsigned char *shown;
	size_t len;

	(void)state;
	for_both_kinds(q) {
		p = reserve(q, 100);
		assert_int_equal(mproc_queue_stat(q, &st), 0);
		assert_int_equal(st.puts, 0);
		assert_int_equal(st.depth, 0);
		assert_int_equal(st.bytes, 0);
		assert_int_equal(st.producers, 1);
		assert_int_equal(st.consumers, 0);
		assert_int_equal(mproc_queue_commit(q, p, 10), 0);
		shown = peek(q, &len);
		assert_int_equal(mproc_queue_stat(q, &st), 0);
		assert_int_equal(st.puts, 1);
		assert_int_equal(st.depth, single);
		assert_int_equal(st.bytes, single ? 32 : 0);
		assert_int_equal(st.consumers, 1);
		assert_int_equal(mproc_queue_release(q, shown), 0);
		assert_int_equal(mproc_queue_stat(q, &st), 0);
		assert_int_equal(st.gets, 1);
		assert_int_equal(st.bytes, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_ways_keep_the_order),
		cmocka_unit_test(every_length_passes_at_the_end_of_the_lane),
		cmocka_unit_test(a_message_as_large_as_half_the_lane_passes),
		cmocka_unit_test(what_is_too_long_is_not_reserved),
		cmocka_unit_test(one_reservation_at_a_time),
		cmocka_unit_test(a_bad_commit_changes_nothing),
		cmocka_unit_test(what_is_aborted_is_never_seen),
		cmocka_unit_test(a_full_lane_has_no_room_to_write_in),
		cmocka_unit_test(one_peek_at_a_time),
		cmocka_unit_test(a_bad_release_changes_nothing),
		cmocka_unit_test(an_empty_queue_shows_nothing),
		cmocka_unit_test(other_errors_are_those_of_put_and_get),
		cmocka_unit_test(a_commit_comes_too_late_after_a_shutdown),
		cmocka_unit_test(an_abort_after_a_shutdown_is_one),
		cmocka_unit_test(what_is_queued_at_a_shutdown_can_be_shown),
		cmocka_unit_test(who_destroys_the_queue_holds_nothing_of_it),
		cmocka_unit_test(large_lanes_get_their_memory),
		cmocka_unit_test(the_only_consumer_reads_in_the_lane),
		cmocka_unit_test(figures_count_what_is_held),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
