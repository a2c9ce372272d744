/* SPDX-License-Identifier: MIT */
/*
 * Crowds: those for whom one waits at a condition (sync/crowd.h).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include <mproc/mproc.h>

#include "common.h"
#include "sync/cell.h"
#include "sync/crowd.h"

/* The thread whose place it is. */
struct lender {
	pthread_t thread;
	mproc_condition *condition;
	struct mpr_crowd crowd;
	struct mpr_self *self;
	_Atomic bool ready, begun, leave;
	_Atomic int told; /* what it was told of, and nobody has looked at: 1, or an error */
};

static void *
lend(void *arg)
{
	struct lender *l = arg;

	if (mpr_self(mproc_arena_default(), &l->self) < 0)
		return arg;
	l->ready = true;
	while (!l->leave) {
		int r = l->begun && !l->told ? mpr_crowds_await(l->self) : -EAGAIN;

		if (r != -EAGAIN)
			l->told = r == 0 ? 1 : r;
	}
	l->told = 1;
	return NULL;
}

static int
begin_at(struct mpr_crowd *crowd, const struct mpr_self *owner, mproc_condition *c)
{
	return mpr_crowd_begin(crowd, owner, c,
			       atomic_load(&((struct mpr_cell *)c)->generation));
}

static void
begin(struct mpt *t, struct lender *l)
{
	*l = (struct lender){ .self = NULL };
	assert_int_equal(mproc_condition_create(&l->condition), 0);
	assert_int_equal(pthread_create(&l->thread, NULL, lend, l), 0);
	mpt_until(t, l->ready);
	assert_int_equal(begin_at(&l->crowd, l->self, l->condition), 0);
	mpr_crowd_since(&l->crowd, mproc_now());
	l->begun = true;
}

static void
end(struct mpt *t, struct lender *l)
{
	void *result;

	l->leave = true;
	/* If it sleeps, there is something to look at. */
	(void)mpr_crowd_join(&l->crowd);
	mproc_condition_destroy(l->condition);
	mpt_until(t, l->told);
	mpr_crowd_end(&l->crowd);
	pthread_join(l->thread, &result);
	assert_null(result);
}

static void
as_many_are_called_as_are_notified(void **state)
{
	struct mpt *t = *state;
	struct lender l;

	begin(t, &l);
	/* Nobody waits yet. */
	assert_int_equal(mproc_condition_notify(l.condition, 3), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(mpr_crowd_join(&l.crowd), 0);
	assert_int_equal(mproc_condition_notify(l.condition, 1), 1);
	/* Before it was heard, too. */
	assert_int_equal(mproc_condition_notify(l.condition, 2), 2);
	mpt_until(t, l.told == 1);
	assert_true(mpr_crowd_part(&l.crowd));
	assert_int_equal(mpr_crowd_take(&l.crowd), 3);
	assert_int_equal(mpr_crowd_take(&l.crowd), 0);
	l.told = 0;
	assert_int_equal(mproc_condition_notify_all(l.condition), 2);
	mpt_until(t, l.told == 1);
	/* Who goes now was called. */
	assert_false(mpr_crowd_part(&l.crowd));
	assert_int_equal(mproc_condition_notify(l.condition, 1), 0);
	/* The flag is set again. */
	assert_int_equal(mpr_crowd_join(&l.crowd), 0);
	assert_int_equal(mproc_condition_notify(l.condition, 5), 1);
	assert_int_equal(mpr_crowd_take(&l.crowd), 3);
	assert_false(mpr_crowd_part(&l.crowd));
	end(t, &l);
}

static void
its_end_is_told(void **state)
{
	struct mpt *t = *state;
	struct lender l;

	begin(t, &l);
	assert_int_equal(mpr_crowd_join(&l.crowd), 0);
	mproc_condition_destroy(l.condition);
	/* There is something to look at, and nobody was called. */
	mpt_until(t, l.told == 1);
	assert_int_equal(mpr_crowd_take(&l.crowd), 0);
	assert_int_equal(mpr_crowd_join(&l.crowd), -ESTALE);
	assert_true(mpr_crowd_part(&l.crowd));
	end(t, &l);
}

/* In the scratch bytes. */
struct shop {
	mproc_condition *condition;
	mproc_lock *lock;
	_Atomic unsigned sleeping, woken, crowds;
};

static int
wait_beside(struct mpt *t, void *arg)
{
	struct shop *s = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(s->lock, mproc_sec(20)), 0);
	s->sleeping++;
	mpt_check_int(t, mproc_condition_wait(s->condition, s->lock, mproc_sec(20)), 0);
	s->woken++;
	mpt_check_int(t, mproc_lock_release(s->lock), 0);
	return 0;
}

static void
open_shop(struct shop *s, mproc_condition *condition)
{
	s->sleeping = s->woken = s->crowds = 0;
	s->condition = condition;
	assert_int_equal(mproc_lock_create(&s->lock), 0);
}

/* All who have begun to wait, do. */
static void
see_them_sleep(struct mpt *t, struct shop *s, unsigned n)
{
	mpt_until(t, s->sleeping == n);
	assert_int_equal(mproc_lock_acquire(s->lock, mproc_sec(20)), 0);
	assert_int_equal(mproc_lock_release(s->lock), 0);
}

static void
others_are_notified_as_they_came(void **state)
{
	struct mpt *t = *state;
	struct shop *s = mpt_scratch(t);
	struct lender l;

	begin(t, &l);
	open_shop(s, l.condition);
	assert_int_equal(mpr_crowd_join(&l.crowd), 0);
	mpt_fork(t, "waits", wait_beside, NULL);
	see_them_sleep(t, s, 1);
	assert_int_equal(mproc_condition_notify(l.condition, 1), 1);
	assert_int_equal(mpr_crowd_take(&l.crowd), 1);
	assert_int_equal(s->woken, 0);
	/* From now on the other one has waited longer. */
	mpr_crowd_since(&l.crowd, mproc_now());
	assert_int_equal(mpr_crowd_join(&l.crowd), 0);
	assert_int_equal(mproc_condition_notify(l.condition, 1), 1);
	mpt_join_all(t);
	assert_int_equal(mpr_crowd_take(&l.crowd), 0);
	mpt_fork(t, "waits", wait_beside, NULL);
	see_them_sleep(t, s, 2);
	assert_int_equal(mproc_condition_notify(l.condition, 7), 2);
	mpt_join_all(t);
	assert_int_equal(mpr_crowd_take(&l.crowd), 1);
	mproc_lock_destroy(s->lock);
	end(t, &l);
}

static int
gather_and_be_killed(struct mpt *t, void *arg)
{
	struct shop *s = mpt_scratch(t);
	struct lender *l = arg;

	*l = (struct lender){ .self = NULL };
	mpt_check_int(t, mpr_self(mproc_arena_default(), &l->self), 0);
	mpt_check_int(t, begin_at(&l->crowd, l->self, s->condition), 0);
	for (int i = 0; i < 5; i++)
		mpt_check_int(t, mpr_crowd_join(&l->crowd), 0);
	s->crowds++;
	mpt_until(t, false);
	return 0;
}

/* Whoever of it was called, others are. */
static void
its_death_notifies_the_others(void **state)
{
	static struct lender theirs;
	struct mpt *t = *state;
	struct shop *s = mpt_scratch(t);
	mproc_condition *c;
	int id;

	assert_int_equal(mproc_condition_create(&c), 0);
	open_shop(s, c);
	id = mpt_fork(t, "crowd", gather_and_be_killed, &theirs);
	mpt_until(t, s->crowds == 1);
	for (int i = 0; i < 3; i++)
		mpt_fork(t, "waits", wait_beside, NULL);
	see_them_sleep(t, s, 3);
	assert_int_equal(mproc_condition_notify(c, 3), 3);
	mpt_kill(t, id);
	mpt_join_all(t);
	assert_int_equal(s->woken, 3);
	/* Nobody is left there. */
	assert_int_equal(mproc_condition_notify(c, 1), 0);
	mproc_lock_destroy(s->lock);
	mproc_condition_destroy(c);
}

/* The place, which is the first one. */
static struct mpr_crowd_place *
place(void)
{
	return mpr_crowd_at(mpr_arena_peek(), 0);
}

/* Whatever stands there, who serves them finds that it is not what it should be, and
 * nobody takes more than there are. */
static void
what_is_scribbled_there_is_found(void **state)
{
	const uint64_t one = MPR_CROWD_ONE;
	struct mpt *t = *state;
	struct lender l;

	for (unsigned i = 0; i < 6; i++) {
		uint64_t count, wrong[6];

		begin(t, &l);
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(mpr_crowd_join(&l.crowd), 0);
		assert_ptr_equal(l.crowd.place, place());
		count = place()->count;
		memcpy(wrong, (uint64_t[6]){ 0, UINT64_MAX, count + 4, count - one,
					     count + one, count + MPR_CROWD_NUMBER },
		       sizeof(wrong));
		place()->count = wrong[i];
		assert_false(mpr_crowd_part(&l.crowd));
		assert_int_equal(mpr_crowd_take(&l.crowd), -EBADMSG);
		assert_int_equal(mpr_crowd_join(&l.crowd), -EBADMSG);
		assert_true(mproc_condition_notify(l.condition, 2) >= 0);
		mpr_crowd_end(&l.crowd);
		/* The next one there has nothing of it. */
		assert_int_equal(begin_at(&l.crowd, l.self, l.condition), 0);
		assert_ptr_equal(l.crowd.place, place());
		assert_int_equal(mproc_condition_notify(l.condition, 2), 0);
		assert_int_equal(mpr_crowd_join(&l.crowd), 0);
		assert_int_equal(mproc_condition_notify(l.condition, 2), 1);
		assert_int_equal(mpr_crowd_take(&l.crowd), 1);
		end(t, &l);
	}
}

/* One for each condition, all by one owner. */
static void
there_can_be_thousands(void **state)
{
	static struct mpr_crowd all[MPR_CROWDS_MAX + 1];
	mproc_condition *c = mproc_alloc(MPR_CROWDS_MAX * sizeof(*c));
	struct mpr_self *self;

	(void)state;
	assert_int_equal(mpr_self(mproc_arena_default(), &self), 0);
	assert_non_null(c);
	for (unsigned i = 0; i < MPR_CROWDS_MAX; i++) {
		assert_int_equal(begin_at(&all[i], self, &c[i]), 0);
		mpr_crowd_since(&all[i], i);
		assert_int_equal(mpr_crowd_join(&all[i]), 0);
	}
	assert_int_equal(begin_at(&all[MPR_CROWDS_MAX], self, &c[0]), -EBUSY);
	assert_int_equal(mpr_crowds_count(mproc_arena_default()), MPR_CROWDS_MAX);
	for (unsigned i = 0; i < MPR_CROWDS_MAX; i += 97)
		assert_int_equal(mproc_condition_notify_all(&c[i]), 1);
	for (unsigned i = 0; i < MPR_CROWDS_MAX; i++) {
		assert_int_equal(mpr_crowd_take(&all[i]), i % 97 == 0);
		mpr_crowd_end(&all[i]);
	}
	assert_int_equal(mpr_crowds_count(mproc_arena_default()), 0);
	mproc_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(as_many_are_called_as_are_notified),
		mpt_test(its_end_is_told),
		mpt_test(others_are_notified_as_they_came),
		mpt_test(its_death_notifies_the_others),
		mpt_test(what_is_scribbled_there_is_found),
		mpt_test(there_can_be_thousands),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
