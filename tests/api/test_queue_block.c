/* SPDX-License-Identifier: MIT */
/*
 * queue.h with one thread: messages that are too long to lie in a lane. They
 * are put and taken as all others, by all calls, in the same order. What
 * happens between threads and processes is in test_queue_block_others.c.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#include "common.h"
#include "mpt_rand.h"

#define CAPACITY 4096
#define LONG (CAPACITY / 2) /* does not lie in a lane of CAPACITY */
#define LONGEST 300000

/* One producer has at most so many of the longest in the queue. */
#define AT_MOST 4

static unsigned char message[LONGEST], buffer[LONGEST];

static mproc_queue *
new_queue(size_t capacity, bool single_consumer)
{
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = capacity,
			       .single_consumer = single_consumer)), 0);
	return q;
}

#define for_both_kinds(q)                                                   \
	for (int kind = 0; kind < 2; kind++)                                \
		for (mproc_queue *q = new_queue(CAPACITY, kind == 1); q;    \
		     mproc_queue_destroy(q), q = NULL)

static void
fill(unsigned char *to, size_t len, unsigned number)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (unsigned char)(number * 31 + i * 7 + i / 251 + len);
}

static bool
is_message(const unsigned char *at, size_t len, unsigned number)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] != (unsigned char)(number * 31 + i * 7 + i / 251 +
					     len))
			return false;
	return true;
}

static void *
reserve(mproc_queue *q, size_t len)
{
	void *p = NULL;

	assert_int_equal(mproc_queue_reserve(q, len, &p, MPROC_NOWAIT), 0);
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % 8, 0);
	assert_true(mproc_is_shared(p));
	return p;
}

enum way_in { PUT, PUTV, PUT_MANY, IN_PLACE, ALL_WAYS_IN };

static int
put_by(mproc_queue *q, enum way_in way, size_t len, unsigned number)
{
	size_t cut = len / 3;
	struct iovec parts[] = {
		{ message, cut },
		{ NULL, 0 },
		{ message + cut, len - cut },
	};
	void *p;
	int r;

	fill(message, len, number);
	if (way == PUT)
		return mproc_queue_put(q, message, len, MPROC_NOWAIT);
	if (way == PUTV)
		return mproc_queue_putv(q, parts, 3, MPROC_NOWAIT);
	if (way == PUT_MANY) {
		r = mproc_queue_put_many(q, &(struct iovec){ message, len }, 1,
					 MPROC_NOWAIT);
		return r == 1 ? 0 : r;
	}
	r = mproc_queue_reserve(q, len, &p, MPROC_NOWAIT);
	if (r < 0)
		return r;
	fill(p, len, number);
	return mproc_queue_commit(q, p, len);
}

static void
put(mproc_queue *q, size_t len, unsigned number)
{
	assert_int_equal(put_by(q, number % ALL_WAYS_IN, len, number), 0);
}

enum way_out { GET, GET_MANY, PEEK, ALL_WAYS_OUT };

static void
get_by(mproc_queue *q, enum way_out way, size_t len, unsigned number)
{
	struct iovec msg = { NULL, 99999 };
	const void *at = buffer;
	size_t got = 99999;

	if (way == GET) {
		/* Not a byte more than is needed. */
		assert_int_equal(mproc_queue_get(q, buffer, len, &got,
						 MPROC_NOWAIT), 0);
	} else if (way == GET_MANY) {
		assert_int_equal(mproc_queue_get_many(q, buffer, len, &msg, 1,
						      MPROC_NOWAIT), 1);
		at = msg.iov_base;
		got = msg.iov_len;
	} else {
		assert_int_equal(mproc_queue_peek(q, &at, &got, MPROC_NOWAIT),
				 0);
		assert_int_equal((uintptr_t)at % 8, 0);
	}
	assert_int_equal(got, len);
	assert_true(is_message(at, len, number));
	if (way == PEEK)
		assert_int_equal(mproc_queue_release(q, at), 0);
}

static void
get(mproc_queue *q, size_t len, unsigned number)
{
	get_by(q, number % ALL_WAYS_OUT, len, number);
}

static void
expect_empty(mproc_queue *q)
{
	assert_int_equal(mproc_queue_len(q), 0);
	assert_int_equal(mproc_queue_get(q, buffer, sizeof(buffer), NULL,
					 MPROC_NOWAIT), -EAGAIN);
}

/* @reach lengths on both sides of @len, in all ways. */
static void
pass_about(mproc_queue *q, size_t len, unsigned reach)
{
	for (size_t i = len - reach; i <= len + reach; i++)
		for (unsigned way = 0; way < ALL_WAYS_IN * ALL_WAYS_OUT;
		     way++) {
			unsigned number = (unsigned)i * 12 + way;

			assert_int_equal(put_by(q, way % ALL_WAYS_IN, i,
						number), 0);
			assert_int_equal(mproc_queue_len(q), 1);
			get_by(q, way / ALL_WAYS_IN, i, number);
		}
}

static void
every_length_about_the_limits_passes(void **state)
{
	static const size_t capacities[] = { 4096, 8192, 16384, 65536 };
	struct mproc_arena_stat before = stat_now();

	(void)state;
	for (int single = 0; single < 2; single++)
		for (unsigned i = 0; i < 4; i++) {
			mproc_queue *q = new_queue(capacities[i], single);

			pass_about(q, capacities[i] / 2, 17);
			pass_about(q, capacities[i], 17);
			pass_about(q, 4096, 17);
			expect_empty(q);
			mproc_queue_destroy(q);
		}
	expect_stat(&before);
}

static void
long_ones_of_every_size_pass(void **state)
{
	struct mproc_arena_stat before = stat_now();

	(void)state;
	for_both_kinds(q) {
		for (size_t len = LONG; len < LONGEST; len += len / 7)
			pass_about(q, len, 1);
		expect_empty(q);
	}
	expect_stat(&before);
}

/* Short and long ones, up to three of them in the queue. */
static void
the_order_is_kept_between_short_and_long_ones(void **state)
{
	static const size_t len[] = { 10, LONG, 0, LONG - 9, 20000, 700 };

	(void)state;
	for_both_kinds(q) {
		unsigned in = 0, out = 0;

		while (out < 1500) {
			while (in - out <= out % 3 &&
			       put_by(q, in % ALL_WAYS_IN, len[in * 7 % 6],
				      in) == 0)
				in++;
			assert_int_not_equal(in, out);
			get(q, len[out * 7 % 6], out);
			out++;
		}
		while (out < in) {
			get(q, len[out * 7 % 6], out);
			out++;
		}
		expect_empty(q);
	}
}

/* As much of the lane as the longest that could lie there. */
static void
long_ones_fill_the_lane_as_well(void **state)
{
	(void)state;
	for_both_kinds(q)
		for (unsigned lap = 0; lap < 20; lap++) {
			unsigned n = 0, m;

			while (n < 10 && put_by(q, lap % ALL_WAYS_IN,
						100000 + lap, n) == 0)
				n++;
			assert_in_range(n, AT_MOST - 1, AT_MOST);
			assert_int_equal(mproc_queue_len(q), n);
			assert_int_equal(put_by(q, PUT, LONG, 0), -EAGAIN);
			get_by(q, lap % ALL_WAYS_OUT, 100000 + lap, 0);
			assert_int_equal(put_by(q, PUT, 1, n), 0);
			for (m = 1; m < n; m++)
				get(q, 100000 + lap, m);
			get(q, 1, n);
			expect_empty(q);
		}
}

static void
a_batch_ends_before_a_long_message(void **state)
{
	struct iovec in[] = {
		{ message, 10 },	{ message, 0 },	  { message, 20000 },
		{ message, LONG + 1 }, { message, 700 }, { message, 800 },
	};
	static const int portions[] = { 2, 1, 1, 2 };
	struct iovec out[6];

	(void)state;
	fill(message, 20000, 1);
	for_both_kinds(q) {
		for (int i = 0, done = 0; i < 4; i++) {
			assert_int_equal(mproc_queue_put_many(
				q, in + done, 6 - done, MPROC_NOWAIT),
				portions[i]);
			done += portions[i];
		}
		for (int i = 0, done = 0; i < 4; i++) {
			assert_int_equal(mproc_queue_get_many(
				q, buffer, sizeof(buffer), out, 6,
				MPROC_NOWAIT), portions[i]);
			for (int j = 0; j < portions[i]; j++, done++) {
				assert_int_equal(out[j].iov_len,
						 in[done].iov_len);
				assert_memory_equal(out[j].iov_base, message,
						    out[j].iov_len);
			}
		}
		expect_empty(q);
	}
}

static void
too_little_room_takes_nothing(void **state)
{
	static const size_t rooms[] = { 0, 8, LONG - 1, LONG, 19999 };
	struct iovec msg[2];
	size_t len;

	(void)state;
	for_both_kinds(q) {
		put(q, 20000, 1);
		put(q, 10, 2);
		for (unsigned i = 0; i < 5; i++) {
			len = 0;
			assert_int_equal(mproc_queue_get(q, buffer, rooms[i],
							 &len, MPROC_NOWAIT),
					 -EMSGSIZE);
			assert_int_equal(len, 20000);
			assert_true(detail_has("20000 bytes"));
			msg[0].iov_len = 0;
			assert_int_equal(mproc_queue_get_many(
				q, buffer, rooms[i], msg, 2, MPROC_NOWAIT),
				-EMSGSIZE);
			assert_null(msg[0].iov_base);
			assert_int_equal(msg[0].iov_len, 20000);
			assert_int_equal(mproc_queue_get(q, NULL, 0, NULL,
							 MPROC_NOWAIT),
					 -EMSGSIZE);
			assert_int_equal(mproc_queue_len(q), 2);
		}
		get(q, 20000, 1);
		get(q, 10, 2);
	}
}

static void
what_is_longer_than_the_longest_is_not_put(void **state)
{
	mproc_queue *q;
	void *p = NULL;

	(void)state;
	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = CAPACITY,
			       .max_message = 20000)), 0);
	for (unsigned way = 0; way < ALL_WAYS_IN; way++) {
		assert_int_equal(put_by(q, way, 20001, 0), -EMSGSIZE);
		assert_true(detail_has("20001 bytes"));
		assert_true(detail_has("most 20000"));
		assert_int_equal(put_by(q, way, 20000, way), 0);
		get(q, 20000, way);
	}
	assert_int_equal(mproc_queue_reserve(q, SIZE_MAX, &p, MPROC_NOWAIT),
			 -EMSGSIZE);
	assert_null(p);
	expect_empty(q);
	mproc_queue_destroy(q);
}

/* Nothing is copied on the way, also where there are several consumers. */
static void
a_long_message_is_read_where_it_was_written(void **state)
{
	const void *shown;
	size_t len;
	void *p;

	(void)state;
	for_both_kinds(q)
		for (unsigned i = 0; i < 100; i++) {
			p = reserve(q, 20000 + i);
			fill(p, 20000, i);
			assert_int_equal(mproc_queue_len(q), 0);
			assert_int_equal(mproc_queue_commit(q, p, 20000), 0);
			assert_int_equal(mproc_queue_len(q), 1);
			assert_int_equal(mproc_queue_peek(q, &shown, &len,
							  MPROC_NOWAIT), 0);
			assert_ptr_equal(shown, p);
			assert_int_equal(len, 20000);
			assert_true(is_message(shown, 20000, i));
			assert_int_equal(mproc_queue_release(q, shown), 0);
			expect_empty(q);
		}
}

/* What was to be long is as short as it has become. */
static void
less_is_committed_than_was_reserved(void **state)
{
	static const size_t len[] = { 0, 1, 8, LONG - 9, LONG, 19999, 20000 };

	(void)state;
	for_both_kinds(q)
		for (unsigned i = 0; i < 7 * ALL_WAYS_OUT; i++) {
			void *p = reserve(q, 20000);

			fill(p, len[i / ALL_WAYS_OUT], i);
			assert_int_equal(mproc_queue_commit(
				q, p, len[i / ALL_WAYS_OUT]), 0);
			put(q, 5, i);
			get_by(q, i % ALL_WAYS_OUT, len[i / ALL_WAYS_OUT], i);
			get(q, 5, i);
			expect_empty(q);
		}
}

static void
one_long_reservation_at_a_time(void **state)
{
	void *other = NULL;

	(void)state;
	for_both_kinds(q) {
		void *p = reserve(q, 20000);

		for (unsigned way = 0; way < ALL_WAYS_IN; way++) {
			assert_int_equal(put_by(q, way, 10, 0), -EBUSY);
			assert_true(detail_has("reserved 20000 bytes"));
			assert_int_equal(put_by(q, way, LONG, 0), -EBUSY);
			assert_true(detail_has("reserved 20000 bytes"));
		}
		assert_int_equal(mproc_queue_reserve(q, 0, &other,
						     MPROC_NOWAIT), -EBUSY);
		assert_null(other);
		fill(p, 20000, 1);
		assert_int_equal(mproc_queue_commit(q, p, 20000), 0);
		get(q, 20000, 1);
	}
}

static void
a_bad_commit_changes_nothing(void **state)
{
	(void)state;
	for_both_kinds(q) {
		unsigned char *p = reserve(q, 20000);

		assert_int_equal(mproc_queue_commit(q, p, 20001), -EINVAL);
		assert_true(detail_has("20001 bytes in 20000"));
		assert_int_equal(mproc_queue_commit(q, p + 8, 10), -EINVAL);
		assert_int_equal(mproc_queue_commit(q, NULL, 10), -EINVAL);
		assert_int_equal(mproc_queue_abort(q, p + 8), -EINVAL);
		fill(p, 20000, 1);
		assert_int_equal(mproc_queue_commit(q, p, 20000), 0);
		assert_int_equal(mproc_queue_commit(q, p, 10), -EINVAL);
		assert_int_equal(mproc_queue_abort(q, p), -EINVAL);
		get(q, 20000, 1);
		expect_empty(q);
	}
}

static void
what_is_aborted_was_never_there(void **state)
{
	struct mproc_arena_stat used;

	(void)state;
	for_both_kinds(q) {
		assert_int_equal(mproc_queue_abort(q, reserve(q, 20000)), 0);
		used = stat_now();
		for (unsigned i = 0; i < 200; i++) {
			void *p = reserve(q, 20000);

			memset(p, 0xff, 20000);
			assert_int_equal(mproc_queue_abort(q, p), 0);
			assert_int_equal(mproc_queue_abort(q, p), -EINVAL);
			assert_int_equal(mproc_queue_len(q), 0);
			if (i % 10 == 0) {
				put(q, 20000, i);
				get(q, 20000, i);
			}
		}
		assert_int_equal(stat_now().used, used.used);
		expect_empty(q);
	}
}

static void
one_long_message_is_shown_at_a_time(void **state)
{
	const unsigned char *shown;
	const void *p;
	size_t len;

	(void)state;
	for_both_kinds(q) {
		put(q, 20000, 1);
		put(q, LONG, 2);
		assert_int_equal(mproc_queue_peek(q, &p, &len, MPROC_NOWAIT),
				 0);
		shown = p;
		assert_int_equal(mproc_queue_peek(q, &p, &len, MPROC_NOWAIT),
				 -EBUSY);
		assert_true(detail_has("peeked at 20000 bytes"));
		assert_int_equal(mproc_queue_get(q, buffer, sizeof(buffer),
						 NULL, MPROC_NOWAIT), -EBUSY);
		assert_int_equal(mproc_queue_release(q, shown + 8), -EINVAL);
		assert_true(is_message(shown, 20000, 1));
		assert_int_equal(mproc_queue_release(q, shown), 0);
		assert_int_equal(mproc_queue_release(q, shown), -EINVAL);
		get(q, LONG, 2);
		expect_empty(q);
	}
}

/* Both at once, and what is shown stays as it is while others come. */
static void
one_is_written_while_another_is_read(void **state)
{
	const void *shown;
	void *p;

	(void)state;
	for_both_kinds(q)
		for (unsigned i = 0; i < 50; i++) {
			put(q, 20000 + i, i);
			assert_int_equal(mproc_queue_peek(q, &shown, NULL,
							  MPROC_NOWAIT), 0);
			p = reserve(q, 20000 + i);
			assert_ptr_not_equal(p, shown);
			fill(p, 20000 + i, i + 1);
			assert_true(is_message(shown, 20000 + i, i));
			assert_int_equal(mproc_queue_commit(q, p, 20000 + i),
					 0);
			assert_int_equal(mproc_queue_release(q, shown), 0);
			get(q, 20000 + i, i + 1);
		}
}

static void
figures_count_long_ones_as_all_others(void **state)
{
	struct mproc_queue_stat stat;

	(void)state;
	for_both_kinds(q) {
		for (unsigned i = 0; i < 10; i++) {
			put(q, 20000, i);
			put(q, 20, i);
			assert_int_equal(mproc_queue_stat(q, &stat), 0);
			assert_int_equal(stat.depth, 2);
			assert_int_equal(stat.puts, 2 * i + 2);
			assert_int_equal(stat.gets, 2 * i);
			get(q, 20000, i);
			get(q, 20, i);
		}
		assert_int_equal(mproc_queue_stat(q, &stat), 0);
		assert_int_equal(stat.depth, 0);
		assert_int_equal(stat.gets, 20);
	}
}

/* Memory is kept for the next message, but not without end. */
static void
memory_does_not_grow_with_time(void **state)
{
	struct mproc_arena_stat before = stat_now(), now;
	unsigned n = amount(5000);
	struct mpt_rand rand;

	(void)state;
	mpt_rand_init(&rand, mpt_seed());
	for_both_kinds(q)
		for (unsigned i = 0; i < n; i++) {
			size_t len[AT_MOST];
			unsigned put = 0;

			while (put < AT_MOST) {
				len[put] = mpt_rand_below(&rand, LONGEST) >>
					   mpt_rand_below(&rand, 10);
				if (put_by(q, (i + put) % ALL_WAYS_IN, len[put],
					   i + put) < 0)
					break;
				put++;
			}
			assert_true(put > 0);
			now = stat_now();
			/* The header, the lane, a group, and memory for eight:
			 * the blocks that are looked at first. */
			assert_true(now.blocks <= before.blocks + 3 + 8);
			assert_true(now.used <= before.used + 65536 +
						8 * 2 * LONGEST);
			for (unsigned j = 0; j < put; j++)
				get(q, len[j], i + j);
		}
	expect_stat(&before);
}

static void
a_shutdown_ends_what_is_reserved(void **state)
{
	struct mproc_arena_stat before = stat_now();

	(void)state;
	for (int flags = MPROC_DRAIN; flags <= MPROC_IMMEDIATE; flags++)
		for_both_kinds(q) {
			void *p;

			put(q, 20000, 1);
			p = reserve(q, 30000);
			assert_int_equal(mproc_queue_shutdown(
				q, (unsigned)flags), 0);
			fill(p, 30000, 2);
			if (flags == MPROC_DRAIN)
				get(q, 20000, 1);
			/* Nobody waits for it. */
			assert_int_equal(mproc_queue_get(q, buffer,
							 sizeof(buffer), NULL,
							 MPROC_FOREVER),
					 -ESHUTDOWN);
			fill(p, 30000, 2);
			assert_int_equal(mproc_queue_commit(q, p, 30000),
					 -ESHUTDOWN);
			assert_int_equal(mproc_queue_commit(q, p, 30000),
					 -EINVAL);
			assert_int_equal(put_by(q, PUT, 20000, 3), -ESHUTDOWN);
			assert_int_equal(mproc_queue_reserve(q, 20000, &p,
							     MPROC_NOWAIT),
					 -ESHUTDOWN);
			assert_int_equal(mproc_queue_get(q, buffer,
							 sizeof(buffer), NULL,
							 MPROC_NOWAIT),
					 -ESHUTDOWN);
		}
	expect_stat(&before);
}

static void
what_is_shown_stays_through_a_shutdown(void **state)
{
	const void *shown;

	(void)state;
	for_both_kinds(q) {
		put(q, 20000, 1);
		assert_int_equal(mproc_queue_peek(q, &shown, NULL,
						  MPROC_NOWAIT), 0);
		assert_int_equal(mproc_queue_shutdown(q, MPROC_IMMEDIATE), 0);
		assert_true(is_message(shown, 20000, 1));
		assert_int_equal(mproc_queue_release(q, shown), 0);
		assert_int_equal(mproc_queue_len(q), 0);
	}
}

static void
the_end_of_the_queue_frees_all_of_it(void **state)
{
	struct mproc_arena_stat before = stat_now();
	const void *shown;

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		for_both_kinds(q) {
			put(q, 20000, 1);
			put(q, 100000, 2);
			if (i & 1)
				reserve(q, 50000);
			if (i & 2)
				assert_int_equal(mproc_queue_peek(
					q, &shown, NULL, MPROC_NOWAIT), 0);
			if (i & 4)
				assert_int_equal(mproc_queue_shutdown(
					q, MPROC_DRAIN), 0);
		}
	expect_stat(&before);
}

static sigjmp_buf out;

static void
jump(int sig)
{
	siglongjmp(out, sig);
}

/* A program may go on after that, if it likes. */
static void
a_put_that_crashes_leaves_nothing_behind(void **state)
{
	struct sigaction action = { .sa_handler = jump }, before;
	long page = sysconf(_SC_PAGESIZE);
	unsigned char *nothing = mmap(NULL, (size_t)(3 * page), PROT_NONE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char buf[LONG];
	volatile int jumps = 0;
	int r;

	(void)state;
	assert_true(nothing != MAP_FAILED);
	assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
	for_both_kinds(q) {
		for (volatile int i = 0; i < 10; i++) {
			if (sigsetjmp(out, 1) == 0) {
				r = mproc_queue_put(q, nothing, LONG + 1000,
						    MPROC_NOWAIT);
				fail_msg("put says %d", r);
			}
			jumps++;
		}
		assert_int_equal(mproc_queue_len(q), 0);
		fill(message, LONG, 1);
		assert_int_equal(mproc_queue_put(q, message, LONG,
						 MPROC_NOWAIT), 0);
		assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), NULL,
						 MPROC_NOWAIT), 0);
		assert_true(is_message(buf, LONG, 1));
	}
	assert_int_equal(jumps, 20);
	assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
	munmap(nothing, (size_t)(3 * page));
}

/* The last message, or part of it, is nowhere. */
static int
put_in_part(mproc_queue *q, bool is_one)
{
	char text[] = "text";
	const struct iovec msgs[] = {
		{ text, 4 }, { text, 4 }, { (void *)64, 64 },
	};

	if (sigsetjmp(out, 1) != 0)
		return 0;
	return is_one ? mproc_queue_putv(q, msgs, 3, MPROC_NOWAIT) :
			mproc_queue_put_many(q, msgs, 3, MPROC_NOWAIT);
}

/* It does not count; nor is it waited for, once its thread has come back. */
static void
what_crashes_in_the_middle_is_not_put(void **state)
{
	struct sigaction action = { .sa_handler = jump }, before;
	char byte;

	(void)state;
	assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
	for_both_kinds(q) {
		for (unsigned i = 0; i < 4; i++) {
			put(q, 1, i);
			assert_int_equal(put_in_part(q, i % 2), 0);
			assert_int_equal(mproc_queue_len(q), 1 + i);
		}
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(mproc_queue_get(q, &byte, 1, NULL,
							 MPROC_NOWAIT), 0);
		assert_int_equal(put_in_part(q, false), 0);
		assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
		assert_int_equal(mproc_queue_get(q, &byte, 1, NULL,
						 MPROC_NOWAIT), -ESHUTDOWN);
	}
	assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_about_the_limits_passes),
		cmocka_unit_test(long_ones_of_every_size_pass),
		cmocka_unit_test(the_order_is_kept_between_short_and_long_ones),
		cmocka_unit_test(long_ones_fill_the_lane_as_well),
		cmocka_unit_test(a_batch_ends_before_a_long_message),
		cmocka_unit_test(too_little_room_takes_nothing),
		cmocka_unit_test(what_is_longer_than_the_longest_is_not_put),
		cmocka_unit_test(a_long_message_is_read_where_it_was_written),
		cmocka_unit_test(less_is_committed_than_was_reserved),
		cmocka_unit_test(one_long_reservation_at_a_time),
		cmocka_unit_test(a_bad_commit_changes_nothing),
		cmocka_unit_test(what_is_aborted_was_never_there),
		cmocka_unit_test(one_long_message_is_shown_at_a_time),
		cmocka_unit_test(one_is_written_while_another_is_read),
		cmocka_unit_test(figures_count_long_ones_as_all_others),
		cmocka_unit_test(memory_does_not_grow_with_time),
		cmocka_unit_test(a_shutdown_ends_what_is_reserved),
		cmocka_unit_test(what_is_shown_stays_through_a_shutdown),
		cmocka_unit_test(the_end_of_the_queue_frees_all_of_it),
		cmocka_unit_test(a_put_that_crashes_leaves_nothing_behind),
		cmocka_unit_test(what_crashes_in_the_middle_is_not_put),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
