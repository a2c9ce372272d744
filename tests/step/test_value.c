/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction that changes what is shared while an
 * array is made, and while one is freed whose lock somebody waits for.
 *
 * What must hold after any kill: an array is there, whole, or it is not, and then
 * its memory is free; one that was to be freed is whole or free; whoever waited for
 * its lock goes on.
 *
 * And one that waits is stopped after each instruction of its way to the lock,
 * while the value is freed by who has that, and its memory becomes another's.
 */
#include <string.h>
#include <sys/ptrace.h>

#include "base/fault.h"
#include "sync/value.h"
#include "sync.h"
#include "world.h"

/* Enough for a run of extents. */
#define LARGE ((size_t)3 << 19)

#define EVERY 100
#define BUDGET 80
#define LATE INT64_C(40000000) /* ns; a slice is 50000000 or more */

/* In the scratch bytes. */
struct board {
	unsigned char *kept; /* what the victim is to free */
	_Atomic pid_t waiter;
	_Atomic bool held;
	_Atomic bool over;
};

struct scene {
	struct mpt *t;
	struct board *board;
	size_t size;
	unsigned char *init;
	pid_t other;
	mproc_lock *lock;
	unsigned late; /* cases in which the other one came late */
	struct mproc_arena_stat before;
};

static uint64_t
value_state(void *arg)
{
	struct scene *s = arg;
	uint64_t h = arena_state(NULL);

	if (s->lock)
		h = hash(h, s->lock, sizeof(struct mpr_value_end));
	return hash(h, mpr_arena_at(mpr_arena_peek(), MPR_WAITS_AT), 512);
}

static void
begin(void *arg)
{
	struct scene *s = arg;

	recover();
	s->board = mpt_scratch(s->t);
	*s->board = (struct board){ 0 };
	s->init = (unsigned char *)s->board + sizeof(*s->board);
	memset(s->init, 0x55, 200);
	assert_int_equal(mproc_arena_stat(NULL, &s->before), 0);
	s->board->kept = mproc_array_new(1, s->size, NULL);
	assert_non_null(s->board->kept);
	s->lock = mproc_lock_of(s->board->kept);
	assert_non_null(s->lock);
}

/* Values come and go, and are as they should be. */
static void
values_work(struct scene *s)
{
	unsigned char *p[3];

	for (int i = 0; i < 3; i++) {
		p[i] = mproc_array_new(1, s->size, NULL);
		assert_non_null(p[i]);
		assert_int_equal(p[i][0] | p[i][s->size - 1], 0);
		memset(p[i], 0xff, s->size);
		assert_int_equal(mproc_lock_acquire(mproc_lock_of(p[i]),
						    MPROC_NOWAIT), 0);
		assert_int_equal(mproc_array_len(p[i]), s->size);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mproc_lock_release(mproc_lock_of(p[i])), 0);
		mproc_free(p[i]);
	}
}

static void
new_victim(void *arg)
{
	struct scene *s = arg;
	unsigned char *p;

	mproc_free(mproc_value_new(64, s->init));
	/* A large block asks how much memory there is, in thousands of
	 * instructions. */
	(void)mpr_fault_set("open:1+");
	mpt_step_begin();
	p = mproc_array_new(1, s->size, s->size < LARGE ? s->init : NULL);
	mpt_step_end();
	if (!p || mproc_array_len(p) != s->size ||
	    (s->size < LARGE && memcmp(p, s->init, s->size) != 0))
		_exit(1);
	mproc_free(p);
}

/* Between commit and return it exists and nobody knows it. */
static void
new_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct mproc_arena_stat now;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	values_work(s);
	mproc_free(s->board->kept);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_in_range(now.blocks, s->before.blocks, s->before.blocks + 1);
	assert_int_equal(now.participants, s->before.participants);
}

static void
step_new(struct mpt *t, const char *name, size_t size)
{
	struct scene s = { .t = t, .size = size };

	mpt_stepper_run(t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = new_victim,
		.before = begin,
		.survivor = new_survivor,
		.fingerprint = value_state,
		.every = EVERY,
		.budget = BUDGET,
		.arg = &s,
	}, NULL);
}

static void
killed_while_it_makes_one(void **state)
{
	step_new(*state, "array of 200 bytes", 200);
	step_new(*state, "array of 1.5 MiB", LARGE);
}

/* Ends when the lock has ended, or was released. */
static void
wait_for_the_lock(void *arg)
{
	struct scene *s = arg;
	int r;

	s->board->waiter = getpid();
	r = mproc_lock_acquire(s->lock, mproc_sec(20));
	if (r < 0 && r != -ESHUTDOWN && r != -ESTALE)
		_exit(1);
}

static void
begin_with_a_waiter(void *arg)
{
	struct scene *s = arg;

	begin(arg);
	assert_int_equal(mproc_lock_acquire(s->lock, MPROC_NOWAIT), 0);
	s->other = start(wait_for_the_lock, s);
	mpt_until(s->t, s->board->waiter &&
			mpt_task_state(s->board->waiter) == 'S');
}

static void
free_victim(void *arg)
{
	struct scene *s = arg;

	mproc_free(mproc_value_new(64, NULL));
	(void)mpr_fault_set("open:1+");
	mpt_step_begin();
	mproc_free(s->board->kept);
	mpt_step_end();
}

static void
free_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct mproc_arena_stat now;
	int64_t began = mproc_now();
	mproc_lock *lock;
	size_t len;

	(void)victim;
	(void)n;
	recover();
	len = mproc_array_len(s->board->kept);
	assert_true(len == 0 || (len == s->size && !finished));
	lock = mproc_lock_of(s->board->kept);
	assert_true(!lock == !len);
	/* Whoever waits is woken by that, if it was not freed. */
	mproc_free(s->board->kept);
	if (s->other) {
		/* It was between: the lock is as it was, and who waits gets it. */
		(void)mproc_lock_release(s->lock);
		wait_for_exit(s->other);
		s->late += mproc_now() - began > LATE;
		recover();
	}
	values_work(s);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->before.blocks);
	assert_int_equal(now.used, s->before.used);
	assert_int_equal(now.participants, s->before.participants);
}

/* Who gets the lock finds the value. */
static void
wait_for_the_freers_lock(void *arg)
{
	struct scene *s = arg;
	int r;

	mpt_until(s->t, s->board->held);
	s->board->waiter = getpid();
	r = mproc_lock_acquire(s->lock, mproc_sec(20));
	if (r < 0 ? r != -ESHUTDOWN : !mproc_array_len(s->board->kept))
		_exit(1);
}

static void
begin_with_one_that_is_going_to_wait(void *arg)
{
	struct scene *s = arg;

	begin(arg);
	s->other = start(wait_for_the_freers_lock, s);
}

static void
free_with_lock_victim(void *arg)
{
	struct scene *s = arg;

	if (mproc_lock_acquire(s->lock, MPROC_NOWAIT) != 0)
		_exit(1);
	s->board->held = true;
	mpt_until(s->t, s->board->waiter &&
			mpt_task_state(s->board->waiter) == 'S');
	free_victim(arg);
}

static void
free_with_lock_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	pid_t other = s->other;

	wait_for_exit(other);
	s->other = 0;
	free_survivor(arg, victim, n, finished);
}

static void
step_free(struct mpt *t, const char *name, size_t size, void (*before)(void *))
{
	struct scene s = { .t = t, .size = size };
	struct mpt_stepper_result result;

	mpt_stepper_run(t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = free_victim,
		.before = before,
		.survivor = free_survivor,
		.fingerprint = value_state,
		.every = EVERY,
		.budget = BUDGET,
		.arg = &s,
	}, &result);
	/* A wake-up that is lost shows: in some cases the slice ends late enough.
	 * On a busy machine a few may be late for nothing. */
	assert_in_range(s.late, 0, result.cases / 20 + 3);
}

static void
killed_while_it_frees_one(void **state)
{
	step_free(*state, "free of 200 bytes", 200, begin);
	step_free(*state, "free of 1.5 MiB", LARGE, begin);
}

static void
killed_while_it_frees_one_that_is_waited_for(void **state)
{
	mpt_watchdog(*state, 120);
	step_free(*state, "free while another waits", 200, begin_with_a_waiter);
}

static void
killed_while_it_frees_one_whose_lock_it_has(void **state)
{
	struct scene s = { .t = *state, .size = 200 };

	mpt_watchdog(*state, 120);
	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "free with the lock",
		.victim = free_with_lock_victim,
		.before = begin_with_one_that_is_going_to_wait,
		.survivor = free_with_lock_survivor,
		.fingerprint = value_state,
		.every = EVERY,
		.budget = BUDGET,
		.arg = &s,
	}, NULL);
}

static void
stop(pid_t pid)
{
	int status;

	assert_int_equal(ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_EXITKILL), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
}

static void
run_some(pid_t pid, unsigned n)
{
	int status;

	while (n--) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSTOPPED(status));
	}
}

/* Returns whether the lock was still to be had when one that had waited for it had
 * run @n instructions since. */
static bool
free_beside_one_on_its_way(struct scene *s, unsigned n)
{
	static const unsigned char zeroes[256];
	unsigned char *block;
	int r;

	begin_with_a_waiter(s);
	stop(s->other);
	assert_int_equal(mproc_lock_release(s->lock), 0);
	run_some(s->other, n);
	r = mproc_lock_acquire(s->lock, MPROC_NOWAIT);
	mproc_free(s->board->kept);
	block = mproc_alloc(sizeof(zeroes));
	assert_ptr_equal(block, s->board->kept);
	assert_int_equal(ptrace(PTRACE_DETACH, s->other, NULL, NULL), 0);
	wait_for_exit(s->other);
	if (r == 0)
		assert_memory_equal(block, zeroes, sizeof(zeroes));
	else
		assert_int_equal(r, -EAGAIN);
	mproc_free(block);
	return r == 0;
}

static void
who_is_on_its_way_does_not_write_to_anothers_memory(void **state)
{
	struct scene s = { .t = *state, .size = 200 };
	unsigned n, late = 0;

	mpt_watchdog(*state, 120);
	/* If it had waited for long, the lock is given to it at once. */
	for (n = 1; late < 3 && n < 2000; n++)
		late = free_beside_one_on_its_way(&s, n) ? 0 : late + 1;
	assert_in_range(n, 100, 1999);
}

static int
setup(void **state)
{
	if (world_setup(state) < 0)
		return -1;
	make_spare_slots();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_makes_one),
		mpt_test(killed_while_it_frees_one),
		mpt_test(killed_while_it_frees_one_that_is_waited_for),
		mpt_test(killed_while_it_frees_one_whose_lock_it_has),
		mpt_test(who_is_on_its_way_does_not_write_to_anothers_memory),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
