/* SPDX-License-Identifier: MIT */
/*
 * Dicts that several processes, or threads, use at once.
 */
#include "dict.h"

#define ROLES 4
#define EACH 1500
#define SHARED 20

/* In the scratch bytes. */
struct board {
	mproc_dict *d;
	_Atomic unsigned ready;
	_Atomic unsigned done;
	_Atomic unsigned n; /* numbers that were given out */
	_Atomic pid_t tid;
	_Atomic bool over;
};

static struct board *
begin(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	mpt_watchdog(t, 120);
	assert_true(mproc_arena_recover(NULL) >= 0);
	b->d = new_dict();
	return b;
}

static void
end(struct mpt *t, struct board *b, const struct mproc_arena_stat *before)
{
	mpt_join_all(t);
	mproc_dict_destroy(b->d);
	expect_stat(before);
}

static void
spawn_all(struct mpt *t, mpt_fn *fn)
{
	for (int i = 0; i < ROLES; i++)
		mpt_spawn(t, "user", fn, NULL);
}

/* Gives this role a number, and waits for the others. */
static unsigned
meet(struct mpt *t, struct board *b)
{
	unsigned me = b->n++;

	b->ready++;
	mpt_until(t, b->ready == ROLES);
	return me;
}

static int
set_own(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned me = meet(t, b), n = amount(EACH);
	char name[40];

	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%u of %u", i, me);
		mpt_check_int(t, mproc_dict_set(b->d, mproc_str(name),
						mproc_int(i)), 0);
	}
	for (unsigned i = 0; i < n; i += 3) {
		snprintf(name, sizeof(name), "%u of %u", i, me);
		mpt_check_int(t, mproc_dict_pop(b->d, mproc_str(name), NULL),
			      0);
	}
	return 0;
}

static void
what_each_sets_is_there(struct mpt *t)
{
	unsigned n = amount(EACH), left = n - (n + 2) / 3;
	struct mproc_arena_stat before = stat_now();
	struct board *b = begin(t);
	char name[40];

	spawn_all(t, set_own);
	mpt_join_all(t);
	assert_int_equal(mproc_dict_len(b->d), left * ROLES);
	for (unsigned me = 0; me < ROLES; me++)
		for (unsigned i = 0; i < n; i++) {
			snprintf(name, sizeof(name), "%u of %u", i, me);
			if (i % 3)
				expect_there(b->d, mproc_str(name),
					     mproc_int(i));
			else
				expect_none(b->d, mproc_str(name));
		}
	end(t, b, &before);
}

/* Changes what all share, between sizes and kinds, and takes it away. */
static int
change_shared(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned me = meet(t, b), n = 4 * amount(EACH);
	char text[TEXT_MAX + 1];

	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		struct mproc_any key = mproc_int((i + me * 3) % SHARED);
		int r;

		if (i % 11 == 0) {
			r = mproc_dict_pop(b->d, key, NULL);
			mpt_check(t, r == 0 || r == -ENOENT);
			continue;
		}
		make_text(text, "text", i + me);
		mpt_check_int(t, mproc_dict_set(b->d, key, i % 5 ?
						mproc_str(text) :
						mproc_int(i)), 0);
	}
	b->done++;
	return 0;
}

static int
read_shared(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned found = 0;

	(void)arg;
	for (unsigned i = 0; b->done < ROLES || !found; i++) {
		struct mproc_any got;
		int r = mproc_dict_get(b->d, mproc_int(i % SHARED), &got);

		mpt_check(t, r == 0 || r == -ENOENT);
		found += r == 0;
		mpt_check(t, r < 0 || got.kind == MPROC_INT ||
				     is_text(&got, "text"));
		mproc_any_clear(&got);
		mpt_check(t, mproc_dict_len(b->d) <= SHARED);
	}
	return 0;
}

static void
who_reads_sees_no_value_in_parts(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = begin(t);

	spawn_all(t, change_shared);
	mpt_spawn(t, "reader", read_shared, NULL);
	end(t, b, &before);
}

#define LONG 16000

/* The same byte everywhere, and as many. */
static int
change_long_ones(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned me = meet(t, b), n = amount(EACH);
	unsigned char *bytes = malloc(LONG);

	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		memset(bytes, (int)(i + me), LONG);
		mpt_check_int(t, mproc_dict_set(b->d, mproc_int(1),
						mproc_bytes(bytes, LONG)), 0);
	}
	free(bytes);
	b->done++;
	return 0;
}

static int
read_long_ones(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	while (b->done < ROLES) {
		struct mproc_any got;
		const unsigned char *bytes;
		int r = mproc_dict_get(b->d, mproc_int(1), &got);

		mpt_check(t, r == 0 || r == -ENOENT);
		if (r < 0)
			continue;
		mpt_check_int(t, got.len, LONG);
		bytes = got.ptr;
		mpt_check(t, memcmp(bytes, bytes + 1, LONG - 1) == 0);
		mproc_any_clear(&got);
	}
	return 0;
}

/* While one is read, its block becomes that of another. */
static void
who_reads_long_ones_sees_no_two_in_one(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = begin(t);

	spawn_all(t, change_long_ones);
	mpt_spawn(t, "reader", read_long_ones, NULL);
	end(t, b, &before);
}

/* Of all keys the first SHARED stay. */
static int
make_it_grow(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned me = b->n++, n = 2 * amount(EACH);

	(void)arg;
	mpt_until(t, b->ready > 0);
	for (unsigned i = 0; i < n; i++)
		mpt_check_int(t, mproc_dict_set(b->d, mproc_int(SHARED + me +
								2 * i),
						mproc_nil()), 0);
	b->done++;
	return 0;
}

static int
iterate(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned char *seen = calloc(1, SHARED + 4 * EACH * 10);

	(void)arg;
	for (bool last = false; !last;) {
		struct mproc_cursor c = { { 0 } };
		struct mproc_any key, value;
		int r;

		last = b->done == 2;
		memset(seen, 0, SHARED + 4 * EACH * 10);
		b->ready++;
		while ((r = mproc_dict_next(b->d, &c, &key, &value)) == 0) {
			mpt_check(t, key.kind == MPROC_INT && key.i64 >= 0 &&
					     key.i64 < SHARED + 4 * EACH * 10);
			mpt_check_int(t, seen[key.i64]++, 0);
			mpt_check(t, key.i64 >= SHARED ||
					     is_text(&value, "stays"));
			mproc_any_clear(&value);
		}
		mpt_check_int(t, r, -ENODATA);
		for (unsigned i = 0; i < SHARED; i++) {
			mpt_check_int(t, seen[i], 1);
			mpt_check_int(t, mproc_dict_has(b->d, mproc_int(i)), 1);
		}
	}
	free(seen);
	return 0;
}

static void
an_iteration_meets_each_key_once_while_others_come(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = begin(t);
	char text[TEXT_MAX + 1];

	for (unsigned i = 0; i < SHARED; i++) {
		make_text(text, "stays", i);
		assert_int_equal(mproc_dict_set(b->d, mproc_int(i),
						mproc_str(text)), 0);
	}
	for (int i = 0; i < 2; i++)
		mpt_spawn(t, "writer", make_it_grow, NULL);
	mpt_spawn(t, "iterator", iterate, NULL);
	mpt_join_all(t);
	assert_int_equal(mproc_dict_len(b->d), SHARED + 4 * amount(EACH));
	end(t, b, &before);
}

static int
count(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	(void)ctx;
	*value = mproc_int(old ? old->i64 + 1 : 1);
	return 1;
}

static void
exchange(mproc_dict *d, struct mproc_any key)
{
	struct mproc_any old, value;
	int r;

	do {
		r = mproc_dict_get(d, key, &old);
		value = mproc_int(r == 0 ? old.i64 + 1 : 1);
		r = mproc_dict_compare_exchange(d, key, r == 0 ? &old : NULL,
						&value);
	} while (r == 0);
}

static int
count_in_all_ways(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned n = amount(EACH);

	(void)arg;
	meet(t, b);
	for (unsigned i = 0; i < n; i++) {
		mpt_check_int(t, mproc_dict_add(b->d, mproc_str("sum"),
						mproc_int(2), NULL), 0);
		mpt_check_int(t, mproc_dict_update(b->d, mproc_str("count"),
						   count, NULL), 1);
		exchange(b->d, mproc_str("exchange"));
		b->done += (unsigned)mproc_dict_set_default(
			b->d, mproc_int(i), mproc_nil(), NULL);
	}
	return 0;
}

static void
no_change_is_lost(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = begin(t);
	unsigned n = amount(EACH);

	spawn_all(t, count_in_all_ways);
	mpt_join_all(t);
	expect_there(b->d, mproc_str("sum"), mproc_int(2 * n * ROLES));
	expect_there(b->d, mproc_str("count"), mproc_int(n * ROLES));
	expect_there(b->d, mproc_str("exchange"), mproc_int(n * ROLES));
	assert_int_equal(b->done, n);
	end(t, b, &before);
}

static int
use_until_it_ends(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char text[TEXT_MAX + 1];
	struct mproc_any got;
	int r = 0;

	(void)arg;
	for (unsigned i = 0; r >= 0 || r == -ENOENT; i++) {
		struct mproc_any key = mproc_int(i % SHARED);

		make_text(text, "text", i);
		if (i % 3 == 0)
			r = mproc_dict_set(b->d, key, mproc_str(text));
		else if (i % 7 == 0)
			r = mproc_dict_pop(b->d, key, NULL);
		else
			r = mproc_dict_get(b->d, key, &got);
		if (r == 0 && i % 3 && i % 7) {
			mpt_check(t, is_text(&got, "text"));
			mproc_any_clear(&got);
		}
		if (i == 1000)
			b->ready++;
	}
	mpt_check_int(t, r, -ESTALE);
	return 0;
}

static void
who_uses_one_that_ends_is_told(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = begin(t);

	spawn_all(t, use_until_it_ends);
	mpt_until(t, b->ready == ROLES);
	mproc_dict_destroy(b->d);
	mpt_join_all(t);
	expect_stat(&before);
}

static int
stay_in_an_update(const struct mproc_any *old, struct mproc_any *value,
		  void *ctx)
{
	struct mpt *t = ctx;

	(void)old;
	(void)value;
	mpt_step(t, 0);
	mpt_reach(t, 2);
	return 0;
}

static int
update_slowly(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_dict_update(b->d, mproc_int(1),
					   stay_in_an_update, t), 0);
	return 0;
}

static int
wait_for_it(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mproc_any got;

	(void)arg;
	signal(SIGUSR1, interrupt);
	/* Who reads does not wait. */
	mpt_check_int(t, mproc_dict_get(b->d, mproc_int(1), &got), 0);
	mpt_check_int(t, got.i64, 5);
	b->tid = gettid();
	mpt_check_int(t, mproc_dict_set(b->d, mproc_int(1), mproc_int(6)),
		      -EINTR);
	mpt_check_int(t, mproc_dict_get(b->d, mproc_int(1), &got), 0);
	mpt_check_int(t, got.i64, 5);
	return 0;
}

static void
an_interrupt_ends_the_wait_for_another(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct board *b = begin(t);
	int id;

	assert_int_equal(mproc_dict_set(b->d, mproc_int(1), mproc_int(5)), 0);
	mpt_spawn(t, "slow", update_slowly, NULL);
	mpt_reach(t, 1);
	id = spawn_sleeper(t, &b->tid, wait_for_it);
	signal_and_expect_exit(t, id);
	mpt_step(t, 1);
	end(t, b, &before);
}

static int
die_in_an_update(const struct mproc_any *old, struct mproc_any *value,
		 void *ctx)
{
	(void)old;
	(void)value;
	mpt_step(ctx, 0);
	wait_to_be_killed(ctx);
	return 0;
}

static int
update_for_ever(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	(void)mproc_dict_update(b->d, mproc_int(1), die_in_an_update, t);
	return 0;
}

static void
one_that_dies_in_an_update_holds_up_nobody(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct board *b = begin(t);
	int id;

	assert_int_equal(mproc_dict_set(b->d, mproc_int(1), mproc_int(5)), 0);
	id = mpt_spawn(t, "victim", update_for_ever, NULL);
	mpt_reach(t, 1);
	mpt_kill(t, id);
	expect_there(b->d, mproc_int(1), mproc_int(5));
	assert_int_equal(mproc_dict_add(b->d, mproc_int(1), mproc_int(1),
					NULL), 0);
	expect_there(b->d, mproc_int(1), mproc_int(6));
	assert_int_equal(mproc_dict_len(b->d), 1);
	end(t, b, &before);
}

both(what_each_sets_is_there)
both(who_reads_sees_no_value_in_parts)
both(who_reads_long_ones_sees_no_two_in_one)
both(an_iteration_meets_each_key_once_while_others_come)
both(no_change_is_lost)
both(who_uses_one_that_ends_is_told)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_tests(what_each_sets_is_there),
		both_tests(who_reads_sees_no_value_in_parts),
		both_tests(who_reads_long_ones_sees_no_two_in_one),
		both_tests(an_iteration_meets_each_key_once_while_others_come),
		both_tests(no_change_is_lost),
		both_tests(who_uses_one_that_ends_is_told),
		mpt_test(an_interrupt_ends_the_wait_for_another),
		mpt_test(one_that_dies_in_an_update_holds_up_nobody),
	};

	return cmocka_run_group_tests(tests, with_dict, NULL);
}
