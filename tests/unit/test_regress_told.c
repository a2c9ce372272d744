/* SPDX-License-Identifier: MIT */
/*
 * Defects where somebody was to be told of an end, and slept on: a binder of a
 * name that was killed, a thread that ended in order.
 */
#include <sched.h>

#include <mproc/mproc.h>

#include "common.h"
#include "puppet.h"
#include "sync/holder.h"
#include "sync/wait.h"

static unsigned
waiters(const void *object)
{
	int64_t since;

	return mpr_wait_count(the_arena(), object, &since);
}

/* Zero bytes in the arena. */
static void *
new_object(void)
{
	void *object = mproc_alloc(64);

	assert_non_null(object);
	memset(object, 0, 64);
	return object;
}

static int
find_thing(struct mpt *t, void *arg)
{
	void *found;

	(void)arg;
	mpt_check_int(t, mproc_arena_find(NULL, "thing", &found, mproc_sec(10)),
		      0);
	return 0;
}

static void
bind_thing(struct mpt *t, void *arg)
{
	join_arena(t);
	puppet_halt();
	mpt_check_int(t, mproc_arena_bind(NULL, "thing", arg), 0);
}

/* Whoever waits for a name slept on if its binder died before it told of it. */
static void
a_name_whose_binder_was_killed_is_found(void **state)
{
	struct mpt *t = *state;
	void *object = new_object();
	const void *bound;
	int64_t killed_at;
	void *found;
	pid_t pid;
	int id;

	assert_true(mproc_arena_recover(NULL) >= 0);
	/* It makes the first block, with what finders wait for. */
	assert_int_equal(mproc_arena_bind(NULL, "other", object), 0);
	mpt_rebase(t);
	id = mpt_spawn(t, "finder", find_thing, NULL);
	bound = (unsigned char *)mpr_arena_at(the_arena(),
					      the_arena()->shm->names) +
		2 * sizeof(uint64_t) + sizeof(mproc_lock);
	mpt_until(t, waiters(bound) == 1 &&
			     mpt_task_state(mpt_pid(t, id)) == 'S');
	pid = puppet_start(t, bind_thing, object);
	puppet_move_until(t, pid, mproc_arena_find(NULL, "thing", &found,
						   MPROC_NOWAIT) == 0);
	puppet_kill(pid);
	killed_at = mproc_now();
	assert_true(mproc_arena_recover(NULL) >= 0);
	mpt_expect_exit(t, id, 0);
	/* It looks once more when its time is over. */
	assert_true(mproc_now() - killed_at < INT64_C(5000000000));
	assert_int_equal(mproc_arena_bind(NULL, "thing", NULL), 0);
	assert_int_equal(mproc_arena_bind(NULL, "other", NULL), 0);
	mproc_free(object);
}

/* A thread that comes and goes, and says which slot it has. */
struct leaver {
	_Atomic unsigned begun, go, gone;
	_Atomic uint64_t word;
	_Atomic bool stop;
};

/* On one CPU the other one has to run. */
static void
await_round(const _Atomic unsigned *at, unsigned i)
{
	for (unsigned n = 1; *at < i; n++)
		if (n % 1000 == 0)
			sched_yield();
}

static void *
come_and_go(void *arg)
{
	struct leaver *l = arg;
	struct mpr_self *self;

	for (unsigned i = 1; !l->stop; i++) {
		if (mpr_self(the_arena(), &self) < 0)
			abort();
		l->word = mpr_holder(self);
		l->begun = i;
		await_round(&l->go, i);
		for (volatile unsigned n = 0; n < i * 7 % 200; n++)
			;
		mpr_self_leave();
		l->gone = i;
	}
	return NULL;
}

/* Whether who falls asleep for it sees that it leaves, or is woken. */
static bool
is_told(struct mpr_self *self, const void *object, struct leaver *l, unsigned i)
{
	uint64_t word = l->word;
	struct mpr_wait w;
	bool told;

	mpr_wait_begin(&w, self, object, MPR_WAIT_TURN);
	l->go = i;
	for (volatile unsigned n = 0; n < i * 11 % 400; n++)
		;
	mpr_wait_announce(&w, (int)mpr_holder_slot(word));
	told = mpr_holder_is_dead(the_arena(), word);
	await_round(&l->gone, i);
	told |= mpr_parker_ticket(&self->shared->parker) != w.ticket;
	mpr_wait_end(&w);
	mpr_wait_finish(&w);
	return told;
}

/* That it was leaving was still on its way to memory when it had looked. */
static void
who_leaves_is_seen_or_wakes(void **state)
{
	int64_t until = mproc_now() + (int64_t)amount(1000) * 1000000;
	struct mpr_self *self = join_arena(*state);
	struct leaver l = { .stop = false };
	void *object = new_object();
	unsigned lost = 0;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, come_and_go, &l), 0);
	for (unsigned i = 1; !l.stop; i++) {
		await_round(&l.begun, i);
		l.stop = lost || mproc_now() > until;
		lost += !is_told(self, object, &l, i);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(lost, 0);
	mproc_free(object);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_name_whose_binder_was_killed_is_found),
		mpt_test(who_leaves_is_seen_or_wakes),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
