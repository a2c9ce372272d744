/* SPDX-License-Identifier: MIT */
/*
 * pool.h: iterators over results, and the inputs that they take as results are taken.
 */
#include "pool.h"

/* Gives 0, 1, 2, ... */
struct numbers {
	int n; /* where it ends */
	int next;
	int error; /* with which it ends, or 0 */
	unsigned calls;
};

static int
next_number(void *src, const void **ret_in, size_t *ret_len)
{
	static int number; /* until the next call */
	struct numbers *numbers = src;

	numbers->calls++;
	if (numbers->next == numbers->n)
		return numbers->error ? numbers->error : -ENODATA;
	number = numbers->next++;
	*ret_in = &number;
	*ret_len = sizeof(number);
	return 0;
}

static mproc_iter *
iterate(struct board *b, mproc_task *fn, struct numbers *numbers, bool unordered,
	unsigned window)
{
	mproc_iter *it = NULL;

	mpt_check_int(b->t, mproc_pool_imap(b->pool, fn, next_number, numbers,
					    MPROC_OPTS(mproc_imap_opts,
						       .unordered = unordered,
						       .window = window),
					    &it), 0);
	return it;
}

static int
take_next(mproc_iter *it, int *ret)
{
	size_t len = 0;
	int r = mproc_iter_next(it, ret, sizeof(*ret), &len, MPROC_FOREVER);

	assert_true(r != 0 || len == sizeof(*ret));
	return r;
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct mproc_imap_opts o = { .struct_size = 3 };
	struct numbers numbers = { .n = 3 };
	struct mproc_task_error e;
	mproc_iter *it = NULL;
	size_t item;

	assert_int_equal(mproc_pool_imap(b->pool, square, next_number, &numbers,
					 &o, &it), -EINVAL);
	mproc_opts_init(&o, sizeof(o));
	o.window = 65537;
	assert_int_equal(mproc_pool_imap(b->pool, square, next_number, &numbers,
					 &o, &it), -EINVAL);
	o.window = 1;
	o.chunk = 65537;
	assert_int_equal(mproc_pool_imap(b->pool, square, next_number, &numbers,
					 &o, &it), -EINVAL);
	o.chunk = 0;
	assert_int_equal(mproc_pool_imap(NULL, square, next_number, &numbers,
					 &o, &it), -EINVAL);
	assert_int_equal(mproc_pool_imap(b->pool, NULL, next_number, &numbers,
					 &o, &it), -EINVAL);
	assert_int_equal(mproc_pool_imap(b->pool, square, NULL, &numbers, &o,
					 &it), -EINVAL);
	assert_int_equal(mproc_pool_imap(b->pool, square, next_number, &numbers,
					 &o, NULL), -EINVAL);
	assert_null(it);
	assert_int_equal(numbers.calls, 0);
	assert_int_equal(mproc_iter_next(NULL, NULL, 0, NULL, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_iter_item(NULL, &item), -EINVAL);
	assert_int_equal(mproc_iter_error(NULL, &e), -EINVAL);
	mproc_iter_close(NULL);
	it = iterate(b, square, &numbers, false, 1);
	assert_int_equal(mproc_iter_next(it, NULL, 1, NULL, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_iter_item(it, NULL), -EINVAL);
	assert_int_equal(mproc_iter_error(it, NULL), -EINVAL);
	assert_int_equal(mproc_iter_error(it, &e), -ENODATA);
	mproc_iter_close(it);
	close_and_join(b);
}

static void
results_come_in_the_order_of_inputs(void **state)
{
	static const unsigned windows[] = { 0, 1, 2, 3, 100, 65536 };
	struct board *b = pool_of(*state, 2);

	for (int w = 0; w < 6; w++) {
		struct numbers numbers = { .n = w == 3 ? 0 : 300 };
		mproc_iter *it = iterate(b, square, &numbers, false, windows[w]);
		size_t item = 0;
		int number;

		for (int i = 0; i < numbers.n; i++) {
			assert_int_equal(take_next(it, &number), 0);
			assert_int_equal(number, i * i);
			assert_int_equal(mproc_iter_item(it, &item), 0);
			assert_int_equal(item, i);
		}
		assert_int_equal(take_next(it, &number), -ENODATA);
		assert_int_equal(take_next(it, &number), -ENODATA);
		/* It is asked once after its last one. */
		assert_int_equal(numbers.calls, numbers.n + 1);
		mproc_iter_close(it);
		assert_int_equal(pool_stat(b).futures, 0);
	}
	close_and_join(b);
}

static void
results_come_as_they_are_there(void **state)
{
	static const unsigned windows[] = { 0, 1, 2, 7, 400 };
	struct board *b = pool_of(*state, 2);

	for (int w = 0; w < 5; w++) {
		struct numbers numbers = { .n = 300 };
		mproc_iter *it = iterate(b, square, &numbers, true, windows[w]);
		unsigned char seen[300] = { 0 };
		int number;
		size_t item;

		for (int i = 0; i < 300; i++) {
			assert_int_equal(take_next(it, &number), 0);
			assert_int_equal(mproc_iter_item(it, &item), 0);
			assert_in_range(item, 0, 299);
			assert_int_equal(number, item * item);
			assert_int_equal(seen[item]++, 0);
		}
		assert_int_equal(take_next(it, &number), -ENODATA);
		mproc_iter_close(it);
		assert_int_equal(pool_stat(b).futures, 0);
	}
	close_and_join(b);
}

/* The first one lingers. */
static int
linger_first(const void *in, size_t len, struct mproc_result *out)
{
	return int_of(in) ? square(in, len, out) : linger(in, len, out);
}

static void
a_slow_one_holds_up_the_ordered_only(void **state)
{
	struct board *b = pool_of(*state, 2);
	struct numbers numbers = { .n = 20 };
	mproc_iter *it = iterate(b, linger_first, &numbers, true, 4);
	size_t item;
	int number;

	for (int i = 1; i < 20; i++) {
		assert_int_equal(take_next(it, &number), 0);
		assert_int_equal(mproc_iter_item(it, &item), 0);
		assert_true(item != 0);
	}
	assert_int_equal(mproc_iter_next(it, &number, sizeof(number), NULL,
					 MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_iter_next(it, &number, sizeof(number), NULL,
					 mproc_ms(1)), -ETIMEDOUT);
	mproc_interrupt();
	assert_int_equal(take_next(it, &number), -EINTR);
	atomic_store(&b->go_on, true);
	assert_int_equal(take_next(it, &number), 0);
	assert_int_equal(mproc_iter_item(it, &item), 0);
	assert_int_equal(item, 0);
	assert_int_equal(take_next(it, &number), -ENODATA);
	mproc_iter_close(it);

	atomic_store(&b->go_on, false);
	numbers.next = 0;
	it = iterate(b, linger_first, &numbers, false, 4);
	assert_int_equal(mproc_iter_next(it, &number, sizeof(number), NULL,
					 mproc_ms(1)), -ETIMEDOUT);
	/* The source is asked for no more than the window holds. */
	assert_int_equal(numbers.next, 4);
	atomic_store(&b->go_on, true);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(take_next(it, &number), 0);
		assert_int_equal(number, i * i);
		assert_true(numbers.next <= i + 1 + 4);
	}
	mproc_iter_close(it);
	close_and_join(b);
}

/* Every third one fails, every seventh is killed. */
static int
fail_sometimes(const void *in, size_t len, struct mproc_result *out)
{
	int i = int_of(in);

	if (i % 7 == 6)
		kill(getpid(), SIGKILL);
	if (i % 3 == 2)
		return mproc_result_set(out, "no", 2) < 0 ? -ENOMEM : -EDOM;
	return square(in, len, out);
}

static void
a_task_fails_in_its_place(void **state)
{
	struct board *b = pool_of(*state, 2);

	for (int unordered = 0; unordered < 2; unordered++) {
		struct numbers numbers = { .n = 30 };
		mproc_iter *it = iterate(b, fail_sometimes, &numbers, unordered, 0);
		struct mproc_task_error e;
		size_t item;

		for (int n = 0; n < 30; n++) {
			int number, r = take_next(it, &number), i;

			assert_int_equal(mproc_iter_item(it, &item), 0);
			i = (int)item;
			assert_true(unordered || i == n);
			if (i % 7 != 6 && i % 3 != 2) {
				assert_int_equal(r, 0);
				assert_int_equal(number, i * i);
				assert_int_equal(mproc_iter_error(it, &e),
						 -ENODATA);
				continue;
			}
			assert_int_equal(r, MPROC_TASK_FAILED);
			assert_int_equal(mproc_iter_error(it, &e), 0);
			assert_int_equal(e.error, i % 7 == 6 ? -EOWNERDEAD :
							       -EDOM);
			assert_string_equal(e.text, i % 7 == 6 ? "" : "no");
			assert_int_equal(e.item, i);
		}
		mproc_iter_close(it);
	}
	close_and_join(b);
}

static void
a_source_fails_in_its_place(void **state)
{
	struct board *b = pool_of(*state, 2);

	for (int n = 0; n < 8; n += 7) {
		struct numbers numbers = { .n = n, .error = -EIO };
		mproc_iter *it = iterate(b, square, &numbers, false, 3);
		int number;

		for (int i = 0; i < n; i++)
			assert_int_equal(take_next(it, &number), 0);
		assert_int_equal(take_next(it, &number), -EIO);
		assert_int_equal(take_next(it, &number), -ENODATA);
		assert_int_equal(numbers.calls, n + 1);
		mproc_iter_close(it);
	}
	close_and_join(b);
}

static void
what_is_too_long_stays(void **state)
{
	struct board *b = pool_of(*state, 2);

	for (int unordered = 0; unordered < 2; unordered++) {
		struct numbers numbers = { .n = 5 };
		mproc_iter *it = iterate(b, square, &numbers, unordered, 3);
		int number, total = 0;
		size_t len;

		for (int i = 0; i < 5; i++) {
			assert_int_equal(mproc_iter_next(it, NULL, 0, &len,
							 MPROC_FOREVER),
					 -EMSGSIZE);
			assert_int_equal(len, sizeof(int));
			assert_int_equal(take_next(it, &number), 0);
			total += number;
		}
		assert_int_equal(total, 30);
		mproc_iter_close(it);
	}
	close_and_join(b);
}

/* One that comes to be done meanwhile is not put before it. */
static void
what_is_too_long_comes_next(void **state)
{
	struct board *b = pool_of(*state, 2);
	struct numbers numbers = { .n = 3 };
	mproc_iter *it = iterate(b, linger_first, &numbers, true, 3);
	int number, total = 0;
	size_t item, len;

	for (int i = 1; i < 3; i++) {
		assert_int_equal(mproc_iter_next(it, NULL, 0, &len,
						 MPROC_FOREVER), -EMSGSIZE);
		atomic_store(&b->go_on, i == 2);
		mpt_until(b->t, pool_stat(b).running + pool_stat(b).queued ==
					(i == 1));
		assert_int_equal(take_next(it, &number), 0);
		assert_int_equal(mproc_iter_item(it, &item), 0);
		assert_true(item != 0);
		total += number;
	}
	assert_int_equal(total, 1 + 4);
	assert_int_equal(take_next(it, &number), 0);
	assert_int_equal(number, 0);
	assert_int_equal(take_next(it, &number), -ENODATA);
	mproc_iter_close(it);
	close_and_join(b);
}

static void
close_begins_nothing_more(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct numbers numbers = { .n = 20 };
	mproc_iter *it = iterate(b, linger, &numbers, false, 5);

	await_begun(b, 1);
	assert_int_equal(pool_stat(b).futures, 5);
	mproc_iter_close(it);
	assert_int_equal(pool_stat(b).futures, 1);
	atomic_store(&b->go_on, true);
	mpt_until(b->t, pool_stat(b).futures == 0);
	assert_int_equal(atomic_load(&b->begun), 1);
	close_and_join(b);
}

static void
a_pool_that_is_closed_gives_what_it_has(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct numbers numbers = { .n = 20 };
	mproc_iter *it = iterate(b, square, &numbers, false, 5), *other;
	int number;

	assert_int_equal(mproc_pool_close(b->pool), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(take_next(it, &number), 0);
		assert_int_equal(number, i * i);
	}
	assert_int_equal(take_next(it, &number), -ESHUTDOWN);
	assert_int_equal(mproc_pool_imap(b->pool, square, next_number, &numbers,
					 NULL, &other), -ESHUTDOWN);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	mproc_pool_free(b->pool);
	assert_int_equal(take_next(it, &number), -ESTALE);
	mproc_iter_close(it);
}

/* Where its tasks were there are others by then. */
static void
an_iterator_of_a_freed_pool_closes_nothing_of_others(void **state)
{
	struct board *b = pool_of(*state, 1);
	const int n = 2000;
	struct numbers numbers = { .n = 20 };
	mproc_iter *it = iterate(b, linger, &numbers, false, 5);

	mproc_pool_free(b->pool);
	b = pool_of(*state, 1);
	for (int i = 0; i < n; i++)
		b->futures[i] = submit_int(b, linger, i);
	mproc_iter_close(it);
	assert_int_equal(pool_stat(b).futures, n);
	atomic_store(&b->go_on, true);
	for (int i = 0; i < n; i++)
		assert_int_equal(take_int(b, b->futures[i]), i);
	close_and_join(b);
}

static mproc_iter *
iterate_chunks(struct board *b, mproc_task *fn, struct numbers *numbers,
	       bool unordered, unsigned window, unsigned chunk)
{
	mproc_iter *it = NULL;

	mpt_check_int(b->t, mproc_pool_imap(b->pool, fn, next_number, numbers,
					    MPROC_OPTS(mproc_imap_opts,
						       .unordered = unordered,
						       .window = window,
						       .chunk = chunk), &it), 0);
	return it;
}

/* Where its pool was there is another by then. */
static void
an_iterator_of_a_freed_pool_submits_nothing_to_others(void **state)
{
	for (unsigned chunk = 1; chunk <= 3; chunk += 2) {
		struct board *b = pool_of(*state, 1);
		mproc_pool *freed = b->pool;
		struct numbers numbers = { .n = 40 };
		mproc_iter *it = iterate_chunks(b, square, &numbers, false, 6, chunk);
		int number, r;

		assert_int_equal(take_next(it, &number), 0);
		mproc_pool_free(b->pool);
		b = pool_of(*state, 1);
		assert_ptr_equal(b->pool, freed);
		/* Of a chunk that was taken the rest is there. */
		while ((r = take_next(it, &number)) == 0)
			assert_true(number < 3 * 3);
		assert_int_equal(r, -ESTALE);
		assert_int_equal(pool_stat(b).futures, 0);
		mproc_iter_close(it);
		close_and_join(b);
	}
}

/* Fails as items say, leaves nothing, little or much. */
static int
leave_or_fail(const void *in, size_t len, struct mproc_result *out)
{
	char bytes[5000]; /* of one thread, where workers are some */
	int i = int_of(in);

	(void)len;
	if (i % 3 == 2)
		return mproc_result_set(out, "no", 2) < 0 ? -ENOMEM : -EDOM;
	memset(bytes, i, sizeof(bytes));
	if (i % 5 == 4 && mproc_result_set(out, bytes, sizeof(bytes)) < 0)
		return -ENOMEM;
	/* The last one counts. */
	return i % 7 ? mproc_result_set(out, bytes, (size_t)i * 10) : 0;
}

static void
expect_left(mproc_iter *it, int i, int r, const char *bytes, size_t len)
{
	struct mproc_task_error e;

	if (i % 3 == 2) {
		assert_int_equal(r, MPROC_TASK_FAILED);
		assert_int_equal(mproc_iter_error(it, &e), 0);
		assert_int_equal(e.error, -EDOM);
		assert_string_equal(e.text, "no");
		assert_int_equal(e.item, i);
		assert_int_equal(strncmp(e.name, "worker-", 7), 0);
		assert_int_equal(len, 0);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(mproc_iter_error(it, &e), -ENODATA);
	assert_int_equal(len, i % 7 ? i * 10 : i % 5 == 4 ? 5000 : 0);
	for (size_t at = 0; at < len; at++)
		assert_int_equal((unsigned char)bytes[at], i);
}

static void
chunks_change_no_result(void **state)
{
	static const unsigned chunks[] = { 1, 2, 7, 64, 65536 };
	static const unsigned windows[] = { 0, 1, 10 };
	struct board *b = pool_of(*state, 2);
	static char bytes[5000];

	for (unsigned way = 0; way < 5 * 3 * 2; way++) {
		struct numbers numbers = { .n = 100 };
		mproc_iter *it = iterate_chunks(b, leave_or_fail, &numbers, way % 2,
						windows[way / 2 % 3],
						chunks[way / 6]);
		unsigned char seen[100] = { 0 };
		size_t item = 0, len = 1;

		for (int i = 0; i < 100; i++) {
			int r = mproc_iter_next(it, bytes, sizeof(bytes), &len,
						MPROC_FOREVER);

			assert_int_equal(mproc_iter_item(it, &item), 0);
			assert_in_range(item, 0, 99);
			assert_true(way % 2 || item == (size_t)i);
			assert_int_equal(seen[item]++, 0);
			expect_left(it, (int)item, r, bytes, len);
		}
		assert_int_equal(mproc_iter_next(it, NULL, 0, NULL, MPROC_FOREVER),
				 -ENODATA);
		assert_int_equal(numbers.calls, 101);
		mproc_iter_close(it);
		assert_int_equal(pool_stat(b).futures, 0);
	}
	/* Each task counts. */
	mpt_until(b->t, pool_stat(b).done >= 5 * 3 * 2 * 100);
	assert_int_equal(pool_stat(b).done, 5 * 3 * 2 * 100);
	close_and_join(b);
}

static void
a_chunk_is_no_more_than_the_window(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct numbers numbers = { .n = 20 };
	mproc_iter *it = iterate_chunks(b, square, &numbers, false, 10, 4);
	size_t len;
	int number;

	assert_int_equal(numbers.next, 8);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(mproc_iter_next(it, &number, 1, &len,
						 MPROC_FOREVER), -EMSGSIZE);
		assert_int_equal(len, sizeof(int));
		assert_int_equal(take_next(it, &number), 0);
		assert_int_equal(number, i * i);
		assert_true(numbers.next <= i + 10);
	}
	assert_int_equal(take_next(it, &number), -ENODATA);
	mproc_iter_close(it);
	/* One that is closed in the middle of one leaves nothing. */
	numbers.next = 0;
	it = iterate_chunks(b, square, &numbers, true, 10, 4);
	assert_int_equal(take_next(it, &number), 0);
	mproc_iter_close(it);
	mpt_until(b->t, pool_stat(b).futures == 0);
	/* And the source's error comes behind what it has given. */
	numbers = (struct numbers){ .n = 6, .error = -EIO };
	it = iterate_chunks(b, square, &numbers, false, 0, 4);
	for (int i = 0; i < 6; i++)
		assert_int_equal(take_next(it, &number), 0);
	assert_int_equal(take_next(it, &number), -EIO);
	assert_int_equal(take_next(it, &number), -ENODATA);
	mproc_iter_close(it);
	close_and_join(b);
}

static int
die_at_ten(const void *in, size_t len, struct mproc_result *out)
{
	atomic_fetch_add(&the_board()->counts[int_of(in)], 1);
	if (int_of(in) == 10 && !atomic_load(&the_board()->go_on)) {
		atomic_store(&the_board()->go_on, the_board()->ended);
		raise(SIGKILL);
	}
	return square(in, len, out);
}

/* Those that its worker had begun: their results die with it. */
static void
a_death_takes_its_chunk(void **state)
{
	for (int retries = 0; retries < 2; retries++) {
		struct board *b = new_pool(*state, MPROC_OPTS(
				mproc_pool_opts, .workers = 2, .retries = retries));
		struct numbers numbers = { .n = 20 };
		struct mproc_task_error e;
		mproc_iter *it;
		int number;

		for (int i = 0; i < 20; i++)
			atomic_store(&b->counts[i], 0);
		/* The second attempt does well. */
		atomic_store(&b->ended, retries);
		atomic_store(&b->go_on, false);
		it = iterate_chunks(b, die_at_ten, &numbers, false, 0, 4);
		for (int i = 0; i < 20; i++) {
			bool lost = i / 4 == 10 / 4 && i <= 10;
			int r = take_next(it, &number);

			assert_int_equal(r, lost && !retries ? MPROC_TASK_FAILED : 0);
			if (r == 0) {
				assert_int_equal(number, i * i);
				continue;
			}
			assert_true(detail_has("EOWNERDEAD"));
			assert_int_equal(mproc_iter_error(it, &e), 0);
			assert_int_equal(e.error, -EOWNERDEAD);
			assert_int_equal(e.deaths, 1);
			assert_int_equal(e.item, i);
		}
		for (int i = 0; i < 20; i++)
			assert_int_equal(atomic_load(&b->counts[i]),
					 i / 4 == 10 / 4 && i <= 10 ?
						 1 + retries : 1);
		mproc_iter_close(it);
		close_and_join(b);
	}
}

static int
iterate_in_task(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	struct numbers numbers = { .n = 10 };
	mproc_iter *it = iterate(b, square, &numbers, int_of(in) % 2, 3);
	int number, total = 0;

	(void)len;
	while (mproc_iter_next(it, &number, sizeof(number), NULL,
			       MPROC_FOREVER) == 0)
		total += number;
	mproc_iter_close(it);
	return mproc_result_set(out, &total, sizeof(total));
}

static void
tasks_may_iterate(void **state)
{
	struct board *b = pool_of(*state, 1);

	for (int i = 0; i < 2; i++)
		assert_int_equal(take_int(b, submit_int(b, iterate_in_task, i)),
				 285);
	close_and_join(b);
}

struct inherited {
	mproc_iter *it;
};

static int
use_inherited(struct mpt *t, void *arg)
{
	struct inherited *i = arg;
	size_t item;

	mpt_check_int(t, mproc_iter_next(i->it, NULL, 0, NULL, MPROC_NOWAIT),
		      -ECHILD);
	mpt_check_int(t, mproc_iter_item(i->it, &item), -ECHILD);
	mproc_iter_close(i->it);
	return 0;
}

static void
a_forked_child_has_no_iterator(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct numbers numbers = { .n = 3 };
	struct inherited i = { iterate(b, square, &numbers, false, 2) };
	int number;

	mpt_expect_exit(b->t, mpt_fork(b->t, "child", use_inherited, &i), 0);
	for (int n = 0; n < 3; n++)
		assert_int_equal(take_next(i.it, &number), 0);
	mproc_iter_close(i.it);
	close_and_join(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(results_come_in_the_order_of_inputs),
		mpt_test(results_come_as_they_are_there),
		test_of_workers(a_slow_one_holds_up_the_ordered_only),
		test_of_processes(a_task_fails_in_its_place),
		mpt_test(a_source_fails_in_its_place),
		mpt_test(what_is_too_long_stays),
		test_of_workers(what_is_too_long_comes_next),
		test_of_workers(close_begins_nothing_more),
		mpt_test(a_pool_that_is_closed_gives_what_it_has),
		mpt_test(an_iterator_of_a_freed_pool_closes_nothing_of_others),
		mpt_test(an_iterator_of_a_freed_pool_submits_nothing_to_others),
		mpt_test(chunks_change_no_result),
		mpt_test(a_chunk_is_no_more_than_the_window),
		test_of_processes(a_death_takes_its_chunk),
		mpt_test(tasks_may_iterate),
		mpt_test(a_forked_child_has_no_iterator),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
