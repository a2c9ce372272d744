/* SPDX-License-Identifier: MIT */
/*
 * arena.h: what is allocated, by whom, how much of it and for how long.
 */
#include <stdio.h>
#include <sys/syscall.h>

#include "common.h"
#include "mpt_rand.h"

#define N 40

/* In the scratch bytes. */
struct board {
	_Atomic(void *) p[N];
	_Atomic pid_t tid;
	_Atomic bool over;
};

static pid_t
my_tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

/* Returns how often @p is listed. */
static unsigned
look_for(struct mpt *t, const void *p, struct mproc_arena_block *ret)
{
	struct mproc_arena_block b = { 0 };
	const void *last = NULL;
	unsigned n = 0;
	int r;

	while ((r = mproc_arena_next_block(NULL, &b)) > 0) {
		mpt_check_int(t, r, 1);
		mpt_check(t, b.p > last);
		last = b.p;
		if (b.p != p)
			continue;
		*ret = b;
		n++;
	}
	mpt_check_int(t, r, 0);
	return n;
}

static unsigned
count_blocks(void)
{
	struct mproc_arena_block b = { 0 };
	unsigned n = 0;

	while (mproc_arena_next_block(NULL, &b) > 0)
		n++;
	return n;
}

static void
expect_mine(struct mpt *t, const void *p, size_t size)
{
	struct mproc_arena_block b;

	mpt_check_int(t, look_for(t, p, &b), 1);
	mpt_check_int(t, b.size, size);
	mpt_check_int(t, b.pid, getpid());
	mpt_check_int(t, b.tid, my_tid());
	mpt_check(t, b.alive);
	mpt_check(t, b.age_ns >= 0);
}

static const size_t sizes[] = { 1, 63, 64, 65, 100, 4095, 4096, 5000, 300000,
				1044480, 1044481, 1 << 20, (3 << 20) + 1 };

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void
each_block_is_listed_once_with_its_size_and_owner(void **state)
{
	void *p[N_SIZES];
	struct mproc_arena_block b;
	unsigned before = count_blocks();

	/* The second time where the dead and the freed were before. */
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < N_SIZES; i++) {
			p[i] = mproc_alloc(sizes[i]);
			assert_non_null(p[i]);
		}
		for (size_t i = 0; i < N_SIZES; i++)
			expect_mine(*state, p[i], sizes[i]);
		assert_int_equal(count_blocks(), before + N_SIZES);
		for (size_t i = 0; i < N_SIZES; i++) {
			mproc_free(p[i]);
			assert_int_equal(look_for(*state, p[i], &b), 0);
		}
		assert_int_equal(count_blocks(), before);
	}
}

static void
values_are_listed_with_what_was_asked_for(void **state)
{
	double *num = mproc_value(double, 1.5);
	int *arr = mproc_array(int, 1000);

	assert_true(num && arr);
	expect_mine(*state, num, sizeof(double));
	expect_mine(*state, arr, 4000);
	mproc_free(num);
	mproc_free(arr);
}

static void
what_belongs_to_libmproc_is_not_listed(void **state)
{
	unsigned before = count_blocks();
	mproc_lock *lock;
	mproc_queue *q;

	(void)state;
	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	assert_int_equal(mproc_queue_put(q, "x", 1, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_create(&lock), 0);
	assert_int_equal(count_blocks(), before);
	mproc_lock_destroy(lock);
	mproc_queue_destroy(q);
}

static void
a_block_grows_older(void **state)
{
	void *p = mproc_alloc(10);
	int64_t before = mproc_now();
	struct mproc_arena_block b;

	assert_int_equal(look_for(*state, p, &b), 1);
	assert_in_range(b.age_ns, 0, 10000 * MS);
	mpt_until(*state, look_for(*state, p, &b) == 1 && b.age_ns > 30 * MS);
	/* It is no older than it can be. */
	assert_true(mproc_now() - before > 20 * MS);
	mproc_free(p);
}

static int
alloc_and_wait(struct mpt *t, void *arg)
{
	struct board *board = mpt_scratch(t);

	board->p[0] = mproc_alloc((size_t)(uintptr_t)arg);
	board->p[1] = mproc_value(int, 5);
	board->tid = my_tid();
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
what_the_dead_have_left_is_found_by_their_names(struct mpt *t, size_t size)
{
	struct board *board = mpt_scratch(t);
	struct mproc_arena_stat before = stat_now();
	int id = mpt_spawn(t, "victim", alloc_and_wait, (void *)size);
	struct mproc_arena_block b = { 0 };
	unsigned n = 0;

	mpt_reach(t, 1);
	assert_int_equal(look_for(t, board->p[0], &b), 1);
	assert_true(b.alive);
	assert_int_equal(b.pid, mpt_pid(t, id));
	mpt_kill(t, id);
	assert_true(mproc_arena_recover(NULL) >= 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(look_for(t, board->p[i], &b), 1);
		assert_false(b.alive);
		assert_int_equal(b.tid, board->tid);
		assert_int_equal(b.size, i ? sizeof(int) : size);
	}
	/* As the manual says. */
	b = (struct mproc_arena_block){ 0 };
	while (mproc_arena_next_block(NULL, &b) > 0)
		if (!b.alive) {
			mproc_free(b.p);
			n++;
		}
	assert_int_equal(n, 2);
	expect_stat(&before);
}

static void
small_blocks_of_the_dead(void **state)
{
	what_the_dead_have_left_is_found_by_their_names(*state, 100);
}

static void
large_blocks_of_the_dead(void **state)
{
	what_the_dead_have_left_is_found_by_their_names(*state, 3000000);
}

static int
alloc_in_a_thread(struct mpt *t, void *arg)
{
	struct board *board = mpt_scratch(t);

	(void)arg;
	board->tid = my_tid();
	board->p[0] = mproc_alloc(70);
	return 0;
}

static void
threads_are_told_apart(void **state)
{
	struct mpt *t = *state;
	struct board *board = mpt_scratch(t);
	struct mproc_arena_block b;
	void *mine = mproc_alloc(70);

	mpt_use_threads(t, true);
	mpt_spawn(t, "thread", alloc_in_a_thread, NULL);
	mpt_join_all(t);
	expect_mine(t, mine, 70);
	assert_int_equal(look_for(t, board->p[0], &b), 1);
	assert_int_equal(b.pid, getpid());
	assert_int_equal(b.tid, board->tid);
	assert_int_not_equal(b.tid, my_tid());
	/* The process goes on. */
	assert_true(b.alive);
	mproc_free(mine);
	mproc_free(board->p[0]);
}

static int
come_and_go(struct mpt *t, void *arg)
{
	struct board *board = mpt_scratch(t);
	struct mpt_rand r;

	mpt_rand_init(&r, (uintptr_t)arg);
	while (!board->over) {
		size_t size = 1 + (size_t)mpt_rand_below(&r, 5000);
		void *p = mproc_alloc(mpt_rand_below(&r, 50) ? size : 1200000);

		mpt_check(t, p);
		mproc_free(p);
	}
	return 0;
}

/* Between blocks that others allocate and free all the time. */
static void
what_stays_is_found_once(struct mpt *t)
{
	struct board *board = mpt_scratch(t);
	struct mproc_arena_block b;

	for (int i = 0; i < N; i++)
		board->p[i] = mproc_alloc(1 + (size_t)i * 137);
	for (uintptr_t i = 0; i < 3; i++)
		mpt_spawn(t, "other", come_and_go, (void *)i);
	for (unsigned n = amount(200); n; n--)
		for (int i = n % 10; i < N; i += 10) {
			assert_int_equal(look_for(t, board->p[i], &b), 1);
			assert_int_equal(b.size, 1 + (size_t)i * 137);
			assert_int_equal(b.pid, getpid());
			assert_true(b.alive);
		}
	board->over = true;
	mpt_join_all(t);
	for (int i = 0; i < N; i++)
		mproc_free(board->p[i]);
}
both(what_stays_is_found_once)

static void
the_last_one_may_have_been_freed(void **state)
{
	struct mproc_arena_block b = { 0 };
	unsigned n = 0, before = count_blocks();
	void *p[3 * N];

	(void)state;
	for (int i = 0; i < 3 * N; i++)
		p[i] = mproc_alloc(i % 3 ? 100 : 1300000);
	assert_int_equal(count_blocks(), before + 3 * N);
	while (mproc_arena_next_block(NULL, &b) > 0)
		for (int i = 0; i < 3 * N; i++)
			if (b.p == p[i]) {
				mproc_free(b.p);
				n++;
			}
	assert_int_equal(n, 3 * N);
	assert_int_equal(count_blocks(), before);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	int local;
	struct mproc_arena_block b = { .p = &local };
	unsigned char *p;

	(void)state;
	assert_int_equal(mproc_arena_next_block(NULL, NULL), -EINVAL);
	assert_int_equal(mproc_arena_next_block(NULL, &b), -EINVAL);
	assert_true(detail_has("heap"));
	assert_ptr_equal(b.p, &local);
	/* The arena's own tables, and what lies behind its end. */
	b.p = (unsigned char *)mproc_alloc(1);
	mproc_free(b.p);
	b.p = (void *)((uintptr_t)b.p & ~(uintptr_t)0x3fffff);
	b.p = (unsigned char *)b.p - (4 << 20) + 8;
	assert_int_equal(mproc_arena_next_block(NULL, &b), -EINVAL);
	b.p = (unsigned char *)b.p + stat_now().capacity + (64 << 20);
	assert_int_equal(mproc_arena_next_block(NULL, &b), -EINVAL);
	/* Any address in the heap will do. */
	p = mproc_alloc(100);
	b.p = p + 3;
	assert_true(mproc_arena_next_block(NULL, &b) >= 0);
	mproc_free(p);
}

static void
a_named_arena_has_a_list_of_its_own(void **state)
{
	struct mproc_arena_block b = { 0 };
	unsigned before = count_blocks();
	char name[64];
	mproc_arena *a;
	void *p;

	(void)state;
	snprintf(name, sizeof(name), "mpt-%d-blocks", (int)getpid());
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(mproc_arena_opts,
							   .name = name)), 0);
	assert_int_equal(mproc_arena_unlink(name), 0);
	assert_int_equal(mproc_arena_next_block(a, &b), 0);
	p = mproc_arena_alloc(a, 77, 0);
	assert_int_equal(mproc_arena_next_block(a, &b), 1);
	assert_ptr_equal(b.p, p);
	assert_int_equal(b.size, 77);
	assert_int_equal(b.pid, getpid());
	assert_int_equal(mproc_arena_next_block(a, &b), 0);
	assert_int_equal(count_blocks(), before);
	mproc_free(p);
	mproc_arena_close(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(each_block_is_listed_once_with_its_size_and_owner),
		mpt_test(values_are_listed_with_what_was_asked_for),
		mpt_test(what_belongs_to_libmproc_is_not_listed),
		mpt_test(a_block_grows_older),
		mpt_test(small_blocks_of_the_dead),
		mpt_test(large_blocks_of_the_dead),
		mpt_test(threads_are_told_apart),
		both_tests(what_stays_is_found_once),
		mpt_test(the_last_one_may_have_been_freed),
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(a_named_arena_has_a_list_of_its_own),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
