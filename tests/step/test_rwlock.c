/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what it does with a lock for
 * readers and writers: who waits for it goes on, at most one death is told of,
 * and readers and writers can have it afterwards.
 */
#include "sync.h"

struct scene {
	struct mpt *t;
	mproc_rwlock *lock;
	bool reads; /* the other one, where it may do either */
	pid_t other;
	pid_t dead; /* who has died with it before the victim came */
};

static unsigned
waiters(struct scene *s)
{
	struct mproc_owner o;

	may_fail(mproc_rwlock_owner(s->lock, &o));
	return o.waiters;
}

static void
begin(void *arg)
{
	struct scene *s = arg;

	recover();
	s->other = 0;
	assert_int_equal(mproc_rwlock_create(&s->lock), 0);
}

static uint64_t
state(void *arg)
{
	struct scene *s = arg;

	return sync_state(s->lock, sizeof(*s->lock));
}

static void
take(struct scene *s, bool reads, mproc_timeout timeout)
{
	may_fail(reads ? mproc_rwlock_read(s->lock, timeout) :
			 mproc_rwlock_write(s->lock, timeout));
}

/* Waits, and gives it back. */
static void
pass(void *arg)
{
	struct scene *s = arg;

	take(s, s->reads, mproc_sec(60));
	may_fail(mproc_rwlock_release(s->lock));
}

static void
hold_for_reading(void *arg)
{
	struct scene *s = arg;

	take(s, true, MPROC_NOWAIT);
	for (;;)
		pause();
}

static void
hold_for_writing(void *arg)
{
	struct scene *s = arg;

	take(s, false, MPROC_NOWAIT);
	for (;;)
		pause();
}

static void
begin_with_reader(void *arg)
{
	struct scene *s = arg;
	struct mproc_owner o = { 0 };

	begin(s);
	s->other = start(hold_for_reading, s);
	mpt_until(s->t, mproc_rwlock_owner(s->lock, &o) == 0 && o.readers);
}

static void
begin_with_writer(void *arg)
{
	struct scene *s = arg;
	struct mproc_owner o = { 0 };

	begin(s);
	s->other = start(hold_for_writing, s);
	mpt_until(s->t, mproc_rwlock_owner(s->lock, &o) == 0 && o.pid);
}

/* Anybody can have it, told of a death or not; then it is free. */
static void
end(struct scene *s, bool may_have_died)
{
	struct mproc_owner o;
	int r;

	r = mproc_rwlock_read(s->lock, mproc_sec(30));
	assert_in_range(r, 0, may_have_died);
	assert_int_equal(mproc_rwlock_release(s->lock), 0);
	r = mproc_rwlock_write(s->lock, mproc_sec(30));
	assert_in_range(r, 0, may_have_died);
	assert_int_equal(mproc_rwlock_consistent(s->lock), 0);
	assert_int_equal(mproc_rwlock_release(s->lock), 0);
	assert_int_equal(mproc_rwlock_owner(s->lock, &o), 0);
	assert_int_equal(o.pid, 0);
	assert_int_equal(o.readers, 0);
	assert_int_equal(o.waiters, 0);
	mproc_rwlock_destroy(s->lock);
}

static void
reader_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	if (s->other)
		end_by_kill(s->other);
	end(s, false);
}

static void
writer_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	if (s->other)
		end_by_kill(s->other);
	end(s, true);
}

/* The other one waits and is let in, whoever finds out. */
static void
waiter_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	if (!finished)
		recover();
	wait_for_exit(s->other);
	end(s, true);
}

static void
step(struct scene *s, const char *name, void (*before)(void *),
     void (*victim)(void *),
     void (*survivor)(void *, pid_t, unsigned long, bool))
{
	mpt_stepper_run(s->t, &(struct mpt_stepper_opts){
		.name = name,
		.before = before,
		.victim = victim,
		.survivor = survivor,
		.fingerprint = state,
		.arg = s,
		.every = 600,
		.budget = 40,
		.max_cases = 700,
	}, NULL);
}

static void
free_read_victim(void *arg)
{
	struct scene *s = arg;

	take(s, true, MPROC_NOWAIT);
	may_fail(mproc_rwlock_release(s->lock));
	mpt_step_begin();
	may_fail(mproc_rwlock_read(s->lock, MPROC_NOWAIT));
	may_fail(mproc_rwlock_read(s->lock, MPROC_NOWAIT));
	may_fail(mproc_rwlock_release(s->lock));
	may_fail(mproc_rwlock_release(s->lock));
	mpt_step_end();
}

static void
free_write_victim(void *arg)
{
	struct scene *s = arg;

	take(s, false, MPROC_NOWAIT);
	may_fail(mproc_rwlock_release(s->lock));
	mpt_step_begin();
	may_fail(mproc_rwlock_write(s->lock, MPROC_NOWAIT));
	may_fail(mproc_rwlock_release(s->lock));
	mpt_step_end();
}

static void
killed_where_nobody_else_is(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "read twice and release", begin, free_read_victim,
	     reader_survivor);
	step(&s, "write and release", begin, free_write_victim,
	     writer_survivor);
}

static void
waiting_read_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	take(s, true, mproc_sec(600));
	mpt_step_end();
}

static void
waiting_write_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	take(s, false, mproc_sec(600));
	mpt_step_end();
}

static void
killed_while_it_falls_asleep(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "read, asleep", begin_with_writer, waiting_read_victim,
	     writer_survivor);
	step(&s, "write, asleep", begin_with_writer, waiting_write_victim,
	     writer_survivor);
	step(&s, "write, asleep until readers go", begin_with_reader,
	     waiting_write_victim, writer_survivor);
}

static void
vain_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(mproc_rwlock_write(s->lock, mproc_us(50)), -ETIMEDOUT);
	mpt_step_end();
}

static void
vain_read_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(mproc_rwlock_read(s->lock, mproc_us(50)), -ETIMEDOUT);
	mpt_step_end();
}

static void
killed_while_it_gives_up(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "write, until readers go, in vain", begin_with_reader,
	     vain_victim, writer_survivor);
	step(&s, "write in vain", begin_with_writer, vain_victim,
	     writer_survivor);
	step(&s, "read in vain", begin_with_writer, vain_read_victim,
	     writer_survivor);
}

/* The victim has it before the other one comes to wait. */
static _Atomic unsigned *
held(struct scene *s)
{
	return mpt_scratch(s->t);
}

static void
pass_later(void *arg)
{
	struct scene *s = arg;

	mpt_until(s->t, *held(s));
	pass(s);
}

static void
begin_with_waiter(void *arg)
{
	struct scene *s = arg;

	begin(s);
	*held(s) = 0;
	s->other = start(pass_later, s);
}

static void
release_victim(struct scene *s, bool reads)
{
	take(s, reads, MPROC_NOWAIT);
	*held(s) = 1;
	mpt_until(s->t, waiters(s) == 1);
	mpt_step_begin();
	may_fail(mproc_rwlock_release(s->lock));
	mpt_step_end();
}

static void
release_write_victim(void *arg)
{
	release_victim(arg, false);
}

static void
release_read_victim(void *arg)
{
	release_victim(arg, true);
}

/* As a thread that ends while it holds the lock. */
static void
leave_victim(void *arg)
{
	struct scene *s = arg;

	take(s, !s->reads, MPROC_NOWAIT);
	*held(s) = 1;
	mpt_until(s->t, waiters(s) == 1);
	mpt_step_begin();
	mpr_self_leave();
	mpt_step_end();
}

static void
destroy_victim(void *arg)
{
	struct scene *s = arg;

	take(s, false, MPROC_NOWAIT);
	may_fail(mproc_rwlock_release(s->lock));
	mpt_step_begin();
	mproc_rwlock_destroy(s->lock);
	mpt_step_end();
}

static void
destroyed_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	mproc_rwlock *next;
	int r;

	(void)victim;
	(void)n;
	r = mproc_rwlock_write(s->lock, MPROC_NOWAIT);
	assert_true(r == -ESTALE || (r == 0 && !finished));
	if (r == 0)
		assert_int_equal(mproc_rwlock_release(s->lock), 0);
	mproc_rwlock_destroy(s->lock);
	assert_int_equal(mproc_rwlock_create(&next), 0);
	assert_ptr_equal(next, s->lock);
	end(s, false);
}

static void
killed_while_it_wakes_others(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "release by a writer, a writer waits", begin_with_waiter,
	     release_write_victim, waiter_survivor);
	step(&s, "release by a reader, a writer waits", begin_with_waiter,
	     release_read_victim, waiter_survivor);
	step(&s, "the end of a reader, a writer waits", begin_with_waiter,
	     leave_victim, waiter_survivor);
	s.reads = true;
	step(&s, "release by a writer, a reader waits", begin_with_waiter,
	     release_write_victim, waiter_survivor);
	step(&s, "the end of a writer, a reader waits", begin_with_waiter,
	     leave_victim, waiter_survivor);
	step(&s, "destroy", begin, destroy_victim, destroyed_survivor);
}

static void
begin_after_a_death(void *arg)
{
	struct scene *s = arg;

	begin_with_writer(s);
	end_by_kill(s->other);
	s->dead = s->other;
	s->other = 0;
}

static void
heir_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	take(s, s->reads, MPROC_NOWAIT);
	may_fail(mproc_rwlock_release(s->lock));
	mpt_step_end();
}

/* The death is told of until somebody has made it good, and whose it was. */
static void
told_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct mproc_owner o;

	(void)n;
	assert_int_equal(mproc_rwlock_owner(s->lock, &o), 0);
	assert_true(o.died_pid == s->dead ||
		    (o.died_pid == victim && !s->reads && !finished));
	assert_false(mproc_rwlock_is_consistent(s->lock));
	end(s, true);
	assert_int_equal(mproc_rwlock_create(&s->lock), 0);
	end(s, false);
}

static void
killed_while_it_takes_a_dead_ones(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "write after a death", begin_after_a_death, heir_victim,
	     told_survivor);
	s.reads = true;
	step(&s, "read after a death", begin_after_a_death, heir_victim,
	     told_survivor);
}

static int
setup(void **state)
{
	mproc_rwlock *lock;

	(void)state;
	if (mproc_rwlock_create(&lock) < 0)
		return -1;
	mproc_rwlock_destroy(lock);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_where_nobody_else_is),
		mpt_test(killed_while_it_falls_asleep),
		mpt_test(killed_while_it_gives_up),
		mpt_test(killed_while_it_wakes_others),
		mpt_test(killed_while_it_takes_a_dead_ones),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
