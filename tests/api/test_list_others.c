/* SPDX-License-Identifier: MIT */
/*
 * list.h: lists that several processes use at the same time, or several threads.
 */
#include "list.h"
#include "mpt_rand.h"
#include "sync.h"

enum { ROLES = 4, TEXTS = 8, LONGEST = 300 };

/* In the scratch bytes. */
struct board {
	mproc_list *list;
	_Atomic unsigned ready, over;
	_Atomic pid_t tid;
	_Atomic bool go, is_destroyed;
	_Atomic unsigned taken[ROLES * 1000]; /* how often each number was */
	_Atomic uint64_t reads;
};

static struct board *
begin(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	b->list = new_list();
	return b;
}

static void
end(struct mpt *t, struct board *b)
{
	mpt_join_all(t);
	mproc_list_destroy(b->list);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* All begin at the same time. */
static void
meet(struct mpt *t, struct board *b, unsigned n)
{
	b->ready++;
	mpt_until(t, b->ready == n);
}

static unsigned
each(void)
{
	unsigned n = amount(300);

	return n < 1000 ? n : 1000;
}

static int
append_numbers(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int64_t first = (int64_t)(uintptr_t)arg * 1000;

	meet(t, b, ROLES);
	for (unsigned i = 0; i < each(); i++)
		mpt_check_int(t, mproc_list_append(b->list,
						   mproc_int(first + i)), 0);
	return 0;
}

static void
all_appends_count(struct mpt *t)
{
	struct board *b = begin(t);
	int64_t next[ROLES] = { 0 };
	struct mproc_any any;
	size_t i = 0;

	for (uintptr_t role = 0; role < ROLES; role++)
		mpt_spawn(t, "appender", append_numbers, (void *)role);
	mpt_join_all(t);
	assert_int_equal(mproc_list_len(b->list), ROLES * each());
	/* Each one's in its own order. */
	while (mproc_list_next(b->list, &i, &any) == 0) {
		assert_in_range(any.i64, 0, ROLES * 1000 - 1);
		assert_int_equal(any.i64 % 1000, next[any.i64 / 1000]++);
	}
	end(t, b);
}

/* Puts numbers in at both ends, takes some out at both ends. */
static int
put_and_take(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int64_t first = (int64_t)(uintptr_t)arg * 1000;
	struct mproc_any any;
	char text[64];
	int r;

	meet(t, b, ROLES);
	for (int64_t i = 0; i < each(); i++) {
		snprintf(text, sizeof(text), "the long text for the number %d",
			 (int)(first + i));
		mpt_check_int(t, mproc_list_insert(b->list, i % 2 ? 0 : 1000000,
						   mproc_str(text)), 0);
		if (i % 3 == 2)
			continue;
		r = mproc_list_pop(b->list, i % 3 - 1, &any);
		mpt_check(t, r == 0 || r == -ERANGE);
		if (r < 0)
			continue;
		b->taken[atoi((const char *)any.ptr + 29)]++;
		mproc_any_clear(&any);
	}
	return 0;
}

static void
each_value_is_taken_once(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = begin(t);
	struct mproc_any any;

	for (uintptr_t role = 0; role < ROLES; role++)
		mpt_spawn(t, "taker", put_and_take, (void *)role);
	mpt_join_all(t);
	while (mproc_list_pop(b->list, -1, &any) == 0) {
		b->taken[atoi((const char *)any.ptr + 29)]++;
		mproc_any_clear(&any);
	}
	for (unsigned role = 0; role < ROLES; role++)
		for (unsigned i = 0; i < 1000; i++)
			assert_int_equal(b->taken[role * 1000 + i], i < each());
	end(t, b);
	expect_stat(&before);
}

/* A text of up to LONGEST letters, all the same one, which says how many. */
static struct mproc_any
some_text(char text[LONGEST], struct mpt_rand *rand)
{
	unsigned n = (unsigned)mpt_rand_below(rand, 26);
	struct mproc_any any = mproc_bytes(text, n * n % LONGEST);

	memset(text, 'a' + (int)n, LONGEST);
	any.kind = MPROC_STR;
	return any;
}

static void
must_be_whole(struct mpt *t, const struct mproc_any *any)
{
	const char *s = any->ptr;
	unsigned n = any->len ? (unsigned)(s[0] - 'a') : 0;

	mpt_check_int(t, any->kind, MPROC_STR);
	mpt_check(t, s[any->len] == '\0');
	mpt_check(t, any->len == 0 || any->len == n * n % LONGEST);
	for (size_t i = 0; i < any->len; i++)
		mpt_check(t, s[i] == s[0]);
}

/* The list always has TEXTS values at least. */
static int
change_texts(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char text[LONGEST];
	struct mpt_rand rand;
	int64_t at;

	mpt_rand_init(&rand, mpt_seed() + (uintptr_t)arg);
	meet(t, b, ROLES);
	for (unsigned i = 0; i < each() * 5; i++) {
		at = (int64_t)mpt_rand_below(&rand, TEXTS);
		mpt_check_int(t, mproc_list_set(b->list, at,
						some_text(text, &rand)), 0);
		mpt_check_int(t, mproc_list_insert(b->list, at,
						   some_text(text, &rand)), 0);
		if (i % 100 == 99)
			mpt_check_int(t, mproc_list_reverse(b->list), 0);
		mpt_check_int(t, mproc_list_pop(b->list, at, NULL), 0);
	}
	b->over++;
	return 0;
}

static int
read_texts(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mproc_any any;
	struct mpt_rand rand;
	uint64_t n = 0;

	mpt_rand_init(&rand, mpt_seed() + (uintptr_t)arg);
	meet(t, b, ROLES);
	while (b->over < 2 || n < 100) {
		mpt_check_int(t, mproc_list_get(
			b->list, (int64_t)mpt_rand_below(&rand, TEXTS), &any), 0);
		must_be_whole(t, &any);
		mproc_any_clear(&any);
		n++;
	}
	b->reads += n;
	return 0;
}

static void
who_reads_sees_whole_values(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = begin(t);
	struct mpt_rand rand;
	char text[LONGEST];

	mpt_rand_init(&rand, mpt_seed());
	for (int i = 0; i < TEXTS; i++)
		assert_int_equal(mproc_list_append(b->list,
						   some_text(text, &rand)), 0);
	for (uintptr_t role = 0; role < ROLES; role++)
		mpt_spawn(t, role < 2 ? "writer" : "reader",
			  role < 2 ? change_texts : read_texts, (void *)role);
	mpt_join_all(t);
	assert_int_equal(mproc_list_len(b->list), TEXTS);
	end(t, b);
	expect_stat(&before);
}

both(all_appends_count)
both(each_value_is_taken_once)
both(who_reads_sees_whole_values)

/* Has the list for itself until it may go on. */
static int
stay_inside(const struct mproc_any *x, const struct mproc_any *y, void *ctx)
{
	struct mpt *t = ctx;
	struct board *b = mpt_scratch(t);

	b->ready = 1;
	mpt_until(t, b->go);
	return (int)(y->i64 - x->i64);
}

static int
sort_for_long(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int r;

	(void)arg;
	r = mproc_list_sort(b->list, stay_inside, t);
	mpt_check_int(t, r, b->is_destroyed ? -ESTALE : 0);
	return 0;
}

/* Another one is inside and stays there. */
static struct board *
begin_with_one_inside(struct mpt *t, int *ret_id)
{
	struct board *b = begin(t);

	assert_int_equal(mproc_list_append(b->list, mproc_int(1)), 0);
	assert_int_equal(mproc_list_append(b->list, mproc_int(2)), 0);
	*ret_id = mpt_spawn(t, "sorter", sort_for_long, NULL);
	mpt_until(t, b->ready);
	return b;
}

static int
append_and_say(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_list_append(b->list, mproc_int(3)), 0);
	return 0;
}

static void
who_reads_does_not_wait_for_who_sorts(struct mpt *t)
{
	struct mproc_any any;
	struct board *b;
	size_t i = 0;
	int id;

	b = begin_with_one_inside(t, &id);
	assert_true(has_at(b->list, 0, mproc_int(1)));
	assert_int_equal(mproc_list_next(b->list, &i, &any), 0);
	assert_int_equal(mproc_list_len(b->list), 2);
	id = spawn_sleeper(t, &b->tid, append_and_say);
	b->go = true;
	mpt_expect_exit(t, id, 0);
	assert_true(has_at(b->list, 0, mproc_int(2)));
	assert_true(has_at(b->list, 2, mproc_int(3)));
	end(t, b);
}

both(who_reads_does_not_wait_for_who_sorts)

static int
be_interrupted(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mproc_any any;

	(void)arg;
	signal(SIGUSR1, interrupt);
	b->tid = gettid();
	mpt_check_int(t, mproc_list_pop(b->list, 0, &any), -EINTR);
	return 0;
}

static void
a_wait_can_be_interrupted(void **state)
{
	struct mpt *t = *state;
	struct board *b;
	int sorter, id;

	b = begin_with_one_inside(t, &sorter);
	id = spawn_sleeper(t, &b->tid, be_interrupted);
	signal_and_expect_exit(t, id);
	b->go = true;
	mpt_expect_exit(t, sorter, 0);
	assert_int_equal(mproc_list_len(b->list), 2);
	end(t, b);
}

static void
who_dies_inside_holds_up_nobody(void **state)
{
	struct mpt *t = *state;
	struct board *b;
	int sorter, id;

	b = begin_with_one_inside(t, &sorter);
	id = spawn_sleeper(t, &b->tid, append_and_say);
	mpt_kill(t, sorter);
	mpt_expect_exit(t, id, 0);
	expect_list(b->list, mproc_int(1), mproc_int(2), mproc_int(3));
	end(t, b);
}

/* The child comes back into the sort; it does not have the list. */
static int
fork_once(const struct mproc_any *x, const struct mproc_any *y, void *ctx)
{
	pid_t *child = ctx;

	if (*child < 0)
		*child = fork();
	return (int)(y->i64 - x->i64);
}

static void
a_child_that_a_comparison_forks_changes_nothing(void **state)
{
	mproc_list *l = new_list();
	pid_t child = -1;
	int status, r;

	(void)state;
	assert_int_equal(mproc_list_append(l, mproc_int(1)), 0);
	assert_int_equal(mproc_list_append(l, mproc_int(2)), 0);
	r = mproc_list_sort(l, fork_once, &child);
	if (child == 0)
		_exit(r == -EPERM && mproc_list_len(l) == 2 ? 0 : 1);
	assert_int_equal(r, 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	expect_list(l, mproc_int(2), mproc_int(1));
	mproc_list_destroy(l);
}

static int
append_too_late(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_list_append(b->list, mproc_int(3)), -ESHUTDOWN);
	mpt_check_int(t, mproc_list_append(b->list, mproc_int(3)), -ESTALE);
	return 0;
}

/* What the list had is given back by who is inside. */
static void
who_waits_is_told_that_it_is_destroyed(struct mpt *t)
{
	struct mproc_arena_stat before = stat_now();
	struct mproc_any any;
	int sorter, id;
	struct board *b;

	b = begin_with_one_inside(t, &sorter);
	id = spawn_sleeper(t, &b->tid, append_too_late);
	b->is_destroyed = true;
	mproc_list_destroy(b->list);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(mproc_list_get(b->list, 0, &any), -ESTALE);
	assert_int_equal(mproc_list_len(b->list), 0);
	/* Once is enough, and its place is not free yet. */
	mproc_list_destroy(b->list);
	for (int i = 0; i < 3; i++) {
		mproc_list *l = new_list();

		assert_ptr_not_equal(l, b->list);
		mproc_list_destroy(l);
	}
	b->go = true;
	mpt_expect_exit(t, sorter, 0);
	expect_stat(&before);
}

both(who_waits_is_told_that_it_is_destroyed)

static void
what_one_that_died_had_is_destroyed_at_once(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct board *b;
	int sorter;

	b = begin_with_one_inside(t, &sorter);
	mpt_kill(t, sorter);
	mproc_list_destroy(b->list);
	expect_stat(&before);
}

static void
who_dies_in_a_destroyed_one_leaves_it_to_the_next(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	struct board *b;
	mproc_list *l;
	int sorter;

	b = begin_with_one_inside(t, &sorter);
	b->is_destroyed = true;
	mproc_list_destroy(b->list);
	mpt_kill(t, sorter);
	assert_int_equal(mproc_list_append(b->list, mproc_nil()), -ESTALE);
	l = new_list();
	assert_ptr_equal(l, b->list);
	assert_int_equal(mproc_list_len(l), 0);
	mproc_list_destroy(l);
	expect_stat(&before);
}

static int
destroy_it(const struct mproc_any *x, const struct mproc_any *y, void *ctx)
{
	(void)x;
	(void)y;
	mproc_list_destroy(ctx);
	return 0;
}

static void
a_comparison_may_destroy_it(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_list *l = new_list();

	(void)state;
	assert_int_equal(mproc_list_append(l, mproc_int(1)), 0);
	assert_int_equal(mproc_list_append(l, mproc_int(2)), 0);
	assert_int_equal(mproc_list_sort(l, destroy_it, l), -ESTALE);
	assert_true(detail_has("was destroyed"));
	assert_int_equal(mproc_list_append(l, mproc_int(3)), -ESTALE);
	expect_stat(&before);
}

/* Makes and destroys, while others do: what one has is never another's. */
static int
make_and_destroy(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int64_t me = (int64_t)(uintptr_t)arg;
	mproc_list *l;

	meet(t, b, ROLES);
	for (unsigned i = 0; i < each(); i++) {
		mpt_check_int(t, mproc_list_create(&l, NULL), 0);
		mpt_check_int(t, mproc_list_len(l), 0);
		for (int64_t k = 0; k < 5; k++)
			mpt_check_int(t, mproc_list_append(l, mproc_int(me)), 0);
		for (int64_t k = 0; k < 5; k++)
			mpt_check(t, has_at(l, k, mproc_int(me)));
		mpt_check_int(t, mproc_list_len(l), 5);
		mproc_list_destroy(l);
	}
	return 0;
}

static void
lists_come_and_go_side_by_side(struct mpt *t)
{
	struct board *b = begin(t);

	for (uintptr_t role = 0; role < ROLES; role++)
		mpt_spawn(t, "maker", make_and_destroy, (void *)role);
	end(t, b);
}

both(lists_come_and_go_side_by_side)

static int
come_and_go_in_the_list(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	while (!b->go) {
		mpt_check_int(t, mproc_list_append(b->list, mproc_int(1)), 0);
		mpt_check_int(t, mproc_list_clear(b->list), 0);
	}
	return 0;
}

/* What was read, and was gone in the end, is nowhere. */
static void
a_read_that_fails_returns_nothing(struct mpt *t)
{
	struct board *b = begin(t);
	unsigned failed = 0, tries = 0;
	struct mproc_any any;

	mpt_spawn(t, "changer", come_and_go_in_the_list, NULL);
	while (failed < 100 * each() && tries++ < 10000000) {
		size_t cursor = 0;
		int r;

		any = mproc_int(7);
		r = tries % 2 ? mproc_list_get(b->list, 0, &any) :
				mproc_list_next(b->list, &cursor, &any);
		if (r == 0)
			continue;
		assert_int_equal(r, tries % 2 ? -ERANGE : -ENODATA);
		assert_int_equal(any.kind, MPROC_INT);
		assert_int_equal(any.i64, 7);
		failed++;
	}
	assert_true(failed);
	b->go = true;
	end(t, b);
}

both(a_read_that_fails_returns_nothing)

static int
setup(void **state)
{
	mproc_list *all[ROLES + 1];

	(void)state;
	/* The cells stay. */
	for (int i = 0; i <= ROLES; i++)
		all[i] = new_list();
	for (int i = 0; i <= ROLES; i++)
		mproc_list_destroy(all[i]);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_tests(all_appends_count),
		both_tests(each_value_is_taken_once),
		both_tests(who_reads_sees_whole_values),
		both_tests(who_reads_does_not_wait_for_who_sorts),
		mpt_test(a_wait_can_be_interrupted),
		mpt_test(who_dies_inside_holds_up_nobody),
		mpt_test(a_child_that_a_comparison_forks_changes_nothing),
		both_tests(who_waits_is_told_that_it_is_destroyed),
		mpt_test(what_one_that_died_had_is_destroyed_at_once),
		mpt_test(who_dies_in_a_destroyed_one_leaves_it_to_the_next),
		mpt_test(a_comparison_may_destroy_it),
		both_tests(lists_come_and_go_side_by_side),
		both_tests(a_read_that_fails_returns_nothing),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
