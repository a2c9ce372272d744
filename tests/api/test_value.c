/* SPDX-License-Identifier: MIT */
/*
 * value.h: values and arrays, between processes and between threads.
 */
#include "array_cases.h"
#include "sync.h"
#include "value.h"

/* In the scratch bytes. */
struct board {
	long *value;
	double *sum;
	long *count;
	mproc_lock *lock;
	_Atomic pid_t tid;
	_Atomic unsigned ready;
};

#define EACH 1000
#define MORE 500

static struct board *
begin(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	assert_true(mproc_arena_recover(NULL) >= 0);
	b->value = mproc_value(long, 0);
	b->sum = mproc_value(double, 0);
	assert_non_null(b->value);
	b->count = mproc_value(long, 0);
	assert_non_null(b->sum);
	assert_non_null(b->count);
	b->lock = mproc_lock_of(b->value);
	return b;
}

static void
end(struct mpt *t, struct board *b)
{
	mpt_join_all(t);
	mproc_free(b->value);
	mproc_free(b->sum);
	mproc_free(b->count);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

#define X(check)                                                              \
	static void check##_in_c(void **state)                                \
	{                                                                     \
		(void)state;                                                  \
		assert_int_equal(check(), 0);                                 \
	}
VALUE_CHECKS
#undef X

static int
add(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned n = amount(EACH);

	(void)arg;
	mpt_check(t, mproc_lock_of(b->value) == b->lock);
	b->ready++;
	mpt_until(t, b->ready == 0 || b->tid);
	for (unsigned i = 0; i < n; i++) {
		mproc_with_lock(mproc_lock_of(b->value))
			*b->value = *b->value + 1;
	}
	/* At a stretch, so that they meet. */
	for (unsigned i = 0; i < MORE * n; i++) {
		if (i % 2) {
			mproc_fetch_add(b->sum, 0.5);
			mproc_fetch_add(b->count, 1);
			continue;
		}
		(void)mproc_atomic_add_float(b->sum, sizeof(*b->sum), 0.5,
					     NULL);
		(void)mproc_atomic_add(b->count, sizeof(*b->count), 1, NULL);
	}
	return 0;
}

static void
all_additions_count(struct mpt *t)
{
	struct board *b = begin(t);
	long all = 4 * (long)amount(EACH);

	for (int i = 0; i < 4; i++)
		mpt_spawn(t, "adder", add, NULL);
	mpt_until(t, b->ready == 4);
	b->tid = 1;
	mpt_join_all(t);
	assert_int_equal(*b->value, all);
	assert_int_equal(*b->count, MORE * all);
	assert_int_equal((long)(*b->sum * 2), MORE * all);
	end(t, b);
}

static int
add_a_few(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	for (int i = 0; i < 10; i++) {
		mproc_with_lock(b->lock)
			*b->value = *b->value + 1;
		mproc_fetch_add(b->sum, 1);
	}
	return 0;
}

static void
a_hundred_processes_add(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	int n = (int)amount(100) < 100 ? 10 : 100;

	for (int i = 0; i < n; i++)
		mpt_spawn(t, "adder", add_a_few, NULL);
	mpt_join_all(t);
	assert_int_equal(*b->value, 10 * n);
	assert_int_equal((long)*b->sum, 10 * n);
	end(t, b);
}

static void
contents_are_copied(void **state)
{
	static const short sevens[3] = { 7, 77, 777 };
	unsigned char text[200], *p;
	short *s;

	(void)state;
	memset(text, 'x', sizeof(text));
	/* All that may be between contents and end, in memory that was used. */
	for (size_t len = 1; len <= sizeof(text); len++) {
		p = mproc_array_new(1, len, text);
		assert_non_null(p);
		assert_memory_equal(p, text, len);
		assert_int_equal(mproc_array_len(p), len);
		assert_int_equal((uintptr_t)p % 64, 0);
		assert_int_equal(mproc_lock_acquire(mproc_lock_of(p),
						    MPROC_NOWAIT), 0);
		assert_memory_equal(p, text, len);
		/* A lock that is held is no reason to keep it. */
		mproc_free(p);
	}
	for (size_t len = 1; len <= sizeof(text); len++) {
		p = mproc_array_new(len, 1, NULL);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, len);
		assert_int_equal(mproc_lock_acquire(mproc_lock_of(p),
						    MPROC_NOWAIT), 0);
		mproc_free(p);
	}
	s = mproc_array_new(sizeof(*s), 3, sevens);
	assert_memory_equal(s, sevens, sizeof(sevens));
	mproc_free(s);
}

static void
expect_failure(const void *p, int error)
{
	assert_null(p);
	assert_int_equal(errno, error);
	errno = 0;
}

static void
bad_sizes_are_refused(void **state)
{
	(void)state;
	expect_failure(mproc_value_new(0, NULL), EINVAL);
	expect_failure(mproc_array_new(0, 1, NULL), EINVAL);
	expect_failure(mproc_array_new(1, 0, "x"), EINVAL);
	expect_failure(mproc_array_new(SIZE_MAX, 1, NULL), ENOMEM);
	expect_failure(mproc_array_new(1, SIZE_MAX - 47, NULL), ENOMEM);
	expect_failure(mproc_array_new(1, SIZE_MAX - 48, NULL), ENOMEM);
	/* Their product is 16. */
	expect_failure(mproc_array_new(16, SIZE_MAX / 16 + 2, NULL), ENOMEM);
	assert_non_null(strstr(mproc_error_detail(), "elements of 16 bytes"));
	expect_failure(mproc_array_new(SIZE_MAX / 2 + 1, 2, NULL), ENOMEM);
	expect_failure(mproc_value_new(SIZE_MAX / 2, NULL), ENOMEM);
}

static void
expect_no_value(const void *p, int error)
{
	errno = 0;
	expect_failure(mproc_lock_of(p), error);
	assert_int_equal(mproc_array_len(p), 0);
	assert_int_equal(errno, error);
	if (p)
		assert_non_null(strstr(mproc_error_detail(), "0x"));
}

static void
what_is_no_value_has_no_lock(void **state)
{
	int *a = mproc_array(int, 10), local = 0;
	char *large = mproc_array(char, (size_t)3 << 20);
	char *plain = mproc_alloc(64), *moved = mproc_alloc(64), copy[64];
	mproc_lock *lock;

	(void)state;
	expect_no_value(NULL, EINVAL);
	expect_no_value(&local, EFAULT);
	expect_no_value((void *)(uintptr_t)1, EFAULT);
	expect_no_value((void *)UINTPTR_MAX, EFAULT);
	expect_no_value(plain, EINVAL);
	memset(plain, 0xff, 64);
	expect_no_value(plain, EINVAL);
	expect_no_value(a + 1, ESTALE);
	expect_no_value(mproc_lock_of(a), ESTALE);
	expect_no_value(large + 1, ESTALE);
	expect_no_value(large + (1 << 20), ESTALE);
	assert_int_equal(mproc_lock_create(&lock), 0);
	expect_no_value(lock, ESTALE);
	mproc_lock_destroy(lock);

	/* What was copied as a whole is no value. */
	mproc_free(plain);
	plain = mproc_value_new(16, NULL);
	memcpy(moved, plain, 64);
	expect_no_value(moved, EINVAL);
	/* And what was written behind is none either. */
	memset(plain, 0xff, 64);
	expect_no_value(plain, EINVAL);
	mproc_free(plain);
	mproc_free(moved);

	/* Nor is what looks like the value that was there. */
	plain = mproc_value_new(16, NULL);
	memcpy(copy, plain, sizeof(copy));
	mproc_free(plain);
	moved = mproc_alloc(16);
	assert_ptr_equal(moved, plain);
	memcpy(moved, copy, sizeof(copy));
	expect_no_value(moved, EINVAL);
	mproc_free(moved);

	/* The lock ends with its value and not without. */
	lock = mproc_lock_of(a);
	mproc_lock_destroy(lock);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_release(lock), 0);
	mproc_free(a);
	mproc_free(large);
	expect_no_value(a, ESTALE);
	expect_no_value(large, ESTALE);
}

static unsigned refused;
static char last_refusal[200];

static void
count(void *ctx, int level, const char *text)
{
	(void)ctx;
	if (level != MPROC_LOG_ERROR || !strstr(text, "mproc_free"))
		return;
	refused++;
	snprintf(last_refusal, sizeof(last_refusal), "%s", text);
}

static void
a_second_free_is_refused(void **state)
{
	const size_t sizes[] = { 1, 64, 4096, (size_t)1 << 20, (size_t)9 << 20 };
	char *p;

	(void)state;
	mproc_log_set(MPROC_LOG_ERROR, count, NULL);
	for (int i = 0; i < 5; i++) {
		p = mproc_array_new(1, sizes[i], NULL);
		refused = 0;
		mproc_free(p + 1);
		mproc_free(mproc_lock_of(p));
		assert_int_equal(refused, 2);
		assert_int_equal(mproc_array_len(p), sizes[i]);
		mproc_free(p);
		assert_int_equal(refused, 2);
		mproc_free(p);
		mproc_free(p);
		assert_int_equal(refused, 4);
	}
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
}

/* Gets the lock that somebody has, or learns that it ended. */
static int
wait_for_the_lock(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	b->tid = gettid();
	mpt_check_int(t, mproc_lock_acquire(b->lock, mproc_sec(20)),
		      (intptr_t)arg);
	return 0;
}

static void
free_wakes_those_who_wait_for_the_lock(struct mpt *t)
{
	struct board *b = begin(t);
	int id;

	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT), 0);
	b->tid = 0;
	id = mpt_spawn(t, "sleeper", wait_for_the_lock,
		       (void *)-ESHUTDOWN);
	mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
	mproc_free(b->value);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT), -ESTALE);
	assert_int_equal(mproc_lock_release(b->lock), -ESTALE);
	/* The block's next use starts anew. */
	b->value = mproc_value(long, 3);
	assert_int_equal(mproc_lock_acquire(mproc_lock_of(b->value),
					    MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_release(mproc_lock_of(b->value)), 0);
	end(t, b);
}

/* It has not used the arena, and cannot any more. */
static int
free_without_taking_part(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char *large = arg;

	closefrom(3);
	mpt_check(t, !mproc_alloc(1) && errno == ENOLCK);
	mproc_log_set(MPROC_LOG_ERROR, count, NULL);
	refused = 0;
	mproc_free(large);
	mpt_check(t, refused == 1 && strstr(last_refusal, "descriptor"));
	mpt_check(t, mproc_array_len(large) == 2 << 20);
	mproc_free(b->value);
	mpt_check(t, refused == 1 && !mproc_array_len(b->value));
	return 0;
}

static void
who_cannot_take_part_frees_in_good_order(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	char *large = mproc_array(char, 2 << 20);
	int id;

	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT), 0);
	b->tid = 0;
	id = mpt_spawn(t, "sleeper", wait_for_the_lock,
		       (void *)-ESHUTDOWN);
	mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
	mpt_expect_exit(t, mpt_spawn(t, "freer", free_without_taking_part,
				     large), 0);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(mproc_lock_release(b->lock), -ESTALE);
	mproc_free(large);
	b->value = NULL;
	end(t, b);
}

/* Sleeps on while its value ends and the place becomes another's. */
static int
wait_for_what_has_ended(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	int r;

	(void)arg;
	b->tid = gettid();
	r = mproc_lock_acquire(b->lock, mproc_sec(20));
	mpt_check(t, r == -ESHUTDOWN || r == -ESTALE);
	return 0;
}

static void
who_sleeps_through_the_end_does_not_get_the_next_lock(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	int id;

	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT), 0);
	b->tid = 0;
	id = mpt_spawn(t, "sleeper", wait_for_what_has_ended, NULL);
	mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
	mpt_pause(t, id);
	mproc_free(b->value);
	b->value = mproc_value(long, 1);
	assert_ptr_equal(mproc_lock_of(b->value), b->lock);
	mpt_resume(t, id);
	mpt_expect_exit(t, id, 0);
	end(t, b);
}

static void
who_sleeps_through_the_end_takes_no_numbers_for_a_lock(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	uint64_t *numbers, n;
	int id;

	assert_int_equal(mproc_lock_acquire(b->lock, MPROC_NOWAIT), 0);
	b->tid = 0;
	id = mpt_spawn(t, "sleeper", wait_for_what_has_ended, NULL);
	mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
	mpt_pause(t, id);
	/* A small number if it is one. */
	n = b->lock->mproc_opaque[1] & 0xffff;
	mproc_free(b->value);
	numbers = mproc_alloc(64);
	assert_ptr_equal(numbers, b->value);
	for (int i = 1; i < 8; i += 2)
		numbers[i] = n;
	mpt_resume(t, id);
	mpt_expect_exit(t, id, 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(numbers[i], i % 2 ? n : 0);
	mproc_free(numbers);
	b->value = NULL;
	end(t, b);
}

static int
die_with_the_lock(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(b->lock, MPROC_FOREVER), 0);
	*b->value = 4;
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
the_death_of_a_holder_is_told(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	int id = mpt_spawn(t, "holder", die_with_the_lock, NULL);

	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mproc_lock_acquire(b->lock, mproc_sec(20)),
			 MPROC_OWNER_DIED);
	assert_int_equal(*b->value, 4);
	assert_int_equal(mproc_lock_consistent(b->lock), 0);
	assert_int_equal(mproc_lock_release(b->lock), 0);
	end(t, b);
}

static int
free_anothers(struct mpt *t, void *arg)
{
	mpt_check_int(t, (long)mproc_array_len(arg), 3);
	mproc_free(arg);
	return 0;
}

static void
any_process_frees(struct mpt *t)
{
	int *a = mproc_array(int, 3);

	mpt_expect_exit(t, mpt_spawn(t, "other", free_anothers, a), 0);
	expect_no_value(a, ESTALE);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static void *
make_one(unsigned i)
{
	int *p = mproc_array(int, i + 1);

	assert_int_equal(mproc_lock_acquire(mproc_lock_of(p), MPROC_NOWAIT), 0);
	p[i] = 1;
	assert_int_equal(mproc_lock_release(mproc_lock_of(p)), 0);
	return p;
}

static void
values_come_and_go_without_growth(void **state)
{
	(void)state;
	come_and_go_without_growth(make_one, mproc_free, 10, 1);
}

/* He must not, but writes to nobody's memory unless there is somebody. */
static void
who_takes_the_lock_after_the_end_is_told(void **state)
{
	static const size_t sizes[] = { 100, 100000, 1000000, 3000000 };

	(void)state;
	for (int i = 0; i < 4; i++) {
		size_t size = sizes[i];
		char *p = mproc_array(char, size), *next;
		mproc_lock *lock = mproc_lock_of(p);

		assert_non_null(lock);
		memset(p, 1, size);
		mproc_free(p);
		assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT),
				 -ESTALE);
		assert_int_equal(mproc_lock_release(lock), -ESTALE);
		/* As large as the array and what belonged to it. */
		next = mproc_alloc(size + 48);
		assert_non_null(next);
		assert_true(next[0] == 0 && !memcmp(next, next + 1, size + 47));
		mproc_free(next);
	}
}

static void
large_arrays_work(void **state)
{
	/* 3 GiB in full runs. */
	const size_t n = amount(10) > 10 ? (size_t)3 << 28 : (size_t)3 << 23;
	struct mproc_arena_stat before;
	int *a;

	(void)state;
	a = mproc_array(int, n);
	if (!a && (errno == ENOMEM || errno == ENOSPC))
		skip();
	assert_non_null(a);
	assert_int_equal(mproc_array_len(a), n);
	assert_int_equal(a[0], 0);
	assert_int_equal(a[n - 1], 0);
	a[n - 1] = 1;
	assert_int_equal(mproc_lock_acquire(mproc_lock_of(a), MPROC_NOWAIT), 0);
	assert_int_equal(a[n - 1], 1);
	before = stat_now();
	mproc_free(a);
	assert_true(before.backed - stat_now().backed >= n * sizeof(int));
}

both(all_additions_count)
both(free_wakes_those_who_wait_for_the_lock)
both(any_process_frees)

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define X(check) mpt_test(check##_in_c),
		VALUE_CHECKS
#undef X
		both_tests(all_additions_count),
		ARRAY_CASES,
		mpt_test(a_hundred_processes_add),
		mpt_test(contents_are_copied),
		mpt_test(bad_sizes_are_refused),
		mpt_test(what_is_no_value_has_no_lock),
		mpt_test(a_second_free_is_refused),
		both_tests(free_wakes_those_who_wait_for_the_lock),
		mpt_test(who_cannot_take_part_frees_in_good_order),
		mpt_test(who_sleeps_through_the_end_does_not_get_the_next_lock),
		mpt_test(who_sleeps_through_the_end_takes_no_numbers_for_a_lock),
		mpt_test(the_death_of_a_holder_is_told),
		both_tests(any_process_frees),
		mpt_test(values_come_and_go_without_growth),
		mpt_test(who_takes_the_lock_after_the_end_is_told),
		mpt_test(large_arrays_work),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
