/* SPDX-License-Identifier: MIT */
/*
 * Conditions of a manager.
 */
#include "manager_modes.h"

/* What the roles have to do with, behind the board in the scratch bytes. */
struct shop {
	struct board board;
	char lock[40];
	_Atomic unsigned sleeping; /* have begun to wait, with the lock */
	/* Of who has the lock: */
	unsigned woken;
	unsigned items, taken;
	bool closed;
};

struct pair {
	mproc_lock *lock;
	mproc_condition *c;
	_Atomic bool sleeps; /* with the lock */
};

static struct pair
pair_of(struct mpt *t, unsigned who)
{
	struct shop *s = mpt_scratch(t);

	return (struct pair){
		.lock = object_named(t, who, LOCK, s->lock),
		.c = object_of(t, who, CONDITION),
	};
}

static struct shop *
open_shop(struct mpt *t)
{
	struct shop *s = mpt_scratch(t);
	void *lock;

	/* What has been here before may have had waiters that were killed: all who wait
	 * here are notified when that is found. */
	assert_true(mproc_arena_recover(NULL) >= 0);
	new_board(t, CONDITION);
	snprintf(s->lock, sizeof(s->lock), "%s lock", s->board.name);
	assert_int_equal(find_object(client, LOCK, s->lock, &lock), 0);
	s->sleeping = s->woken = s->items = s->taken = 0;
	s->closed = false;
	return s;
}

static void
close_shop(struct mpt *t, struct shop *s)
{
	void *lock, *c;

	mpt_join_all(t);
	assert_int_equal(find_object(client, LOCK, s->lock, &lock), 0);
	mproc_lock_destroy(lock);
	if (find_object(client, CONDITION, s->board.name, &c) == 0)
		mproc_condition_destroy(c);
}

static void
lock(struct mpt *t, const struct pair *p)
{
	mpt_check_int(t, mproc_lock_acquire(p->lock, mproc_sec(20)), 0);
}

static void
unlock(struct mpt *t, const struct pair *p)
{
	mpt_check_int(t, mproc_lock_release(p->lock), 0);
}

/* Under the lock. */
static unsigned
look(struct mpt *t, const struct pair *p, const unsigned *what)
{
	unsigned n;

	lock(t, p);
	n = *what;
	unlock(t, p);
	return n;
}

/* @result: of the wait, after which it has the lock. */
static void
wait_for_one(struct mpt *t, unsigned who, mproc_timeout timeout, int result)
{
	struct shop *s = mpt_scratch(t);
	struct pair p = pair_of(t, who);

	lock(t, &p);
	s->sleeping++;
	mpt_check_int(t, mproc_condition_wait(p.c, p.lock, timeout), result);
	s->woken++;
	unlock(t, &p);
	mpt_check_int(t, mproc_lock_release(p.lock), -EPERM);
}

static int
wait_once(struct mpt *t, void *arg)
{
	wait_for_one(t, number(arg), mproc_sec(20), 0);
	return 0;
}

static int
wait_too_long(struct mpt *t, void *arg)
{
	int64_t began = mproc_now();

	wait_for_one(t, number(arg), mproc_ms(50), -ETIMEDOUT);
	mpt_check(t, mproc_now() - began >= 50000000);
	return 0;
}

/* All who have begun have given the lock back, and wait. */
static void
fork_sleepers(struct mpt *t, const struct pair *p, mpt_fn *fn, unsigned n,
	      int *ret_ids)
{
	struct shop *s = mpt_scratch(t);

	for (unsigned i = 0; i < n; i++) {
		unsigned before = s->sleeping;
		int id = mpt_fork(t, "sleeper", fn, AS(i + 1));

		/* One after another, so that it is known who has waited longest. */
		mpt_until(t, s->sleeping == before + 1);
		(void)look(t, p, &s->woken);
		if (ret_ids)
			ret_ids[i] = id;
	}
}

static void
notify_wakes_as_many_as_it_says(void **state)
{
	struct mpt *t = *state;
	struct shop *s = open_shop(t);
	struct pair p = pair_of(t, 0);
	unsigned woken = 0;

	assert_int_equal(mproc_condition_notify(p.c, 3), 0);
	fork_sleepers(t, &p, wait_once, 8, NULL);
	for (unsigned n = 1; n <= 3; n++) {
		lock(t, &p);
		assert_int_equal(s->woken, woken);
		assert_int_equal(mproc_condition_notify(p.c, n), n);
		unlock(t, &p);
		woken += n;
		mpt_until(t, look(t, &p, &s->woken) == woken);
		/* And nobody else. */
		for (int k = 0; k < 20; k++)
			assert_int_equal(look(t, &p, &s->woken), woken);
	}
	assert_int_equal(mproc_condition_notify(p.c, 100), 2);
	mpt_until(t, look(t, &p, &s->woken) == 8);
	assert_int_equal(mproc_condition_notify(p.c, 1), 0);
	close_shop(t, s);
}

static void
notify_all_wakes_all(void **state)
{
	struct mpt *t = *state;
	struct shop *s = open_shop(t);
	struct pair p = pair_of(t, 0);

	/* Who has not been notified in time is none of them any more. */
	for (unsigned i = 1; i <= 4; i++)
		mpt_fork(t, "in vain", wait_too_long, AS(i));
	mpt_join_all(t);
	assert_int_equal(s->woken, 4);
	assert_int_equal(mproc_condition_notify_all(p.c), 0);
	fork_sleepers(t, &p, wait_once, 6, NULL);
	lock(t, &p);
	assert_int_equal(mproc_condition_notify_all(p.c), 6);
	assert_int_equal(s->woken, 4);
	unlock(t, &p);
	close_shop(t, s);
	assert_int_equal(s->woken, 10);
}

static int
has_items(void *arg)
{
	struct shop *s = arg;

	return s->items > s->taken || s->closed;
}

static int
consume(struct mpt *t, void *arg)
{
	struct shop *s = mpt_scratch(t);
	struct pair p = pair_of(t, number(arg));
	bool more = true;

	lock(t, &p);
	while (more) {
		mpt_check_int(t, mproc_condition_wait_for(p.c, p.lock, has_items, s,
							  mproc_sec(20)), 0);
		more = s->items > s->taken;
		s->taken += more;
	}
	unlock(t, &p);
	return 0;
}

enum { ITEMS = 150 };

static int
produce(struct mpt *t, void *arg)
{
	struct shop *s = mpt_scratch(t);
	struct pair p = pair_of(t, number(arg));

	for (int i = 0; i < ITEMS; i++) {
		bool inside = i % 2;

		lock(t, &p);
		s->items++;
		if (inside)
			mpt_check(t, mproc_condition_notify(p.c, 1) >= 0);
		unlock(t, &p);
		if (!inside)
			mpt_check(t, mproc_condition_notify(p.c, 1) >= 0);
	}
	return 0;
}

/* No notification is lost between the lock and the wait. */
static void
each_item_is_taken(void **state)
{
	struct mpt *t = *state;
	struct shop *s = open_shop(t);
	struct pair p = pair_of(t, 0);
	int makers[3];

	for (unsigned i = 1; i <= 3; i++)
		mpt_fork(t, "consumer", consume, AS(i));
	for (unsigned i = 0; i < 3; i++)
		makers[i] = mpt_fork(t, "producer", produce, AS(i + 1));
	for (unsigned i = 0; i < 3; i++)
		mpt_expect_exit(t, makers[i], 0);
	mpt_until(t, look(t, &p, &s->taken) == 3 * ITEMS);
	lock(t, &p);
	s->closed = true;
	assert_true(mproc_condition_notify_all(p.c) >= 0);
	unlock(t, &p);
	close_shop(t, s);
	assert_int_equal(s->items, s->taken);
}

static int
never(void *arg)
{
	(void)arg;
	return 0;
}

static void
who_has_not_the_lock_is_refused(void **state)
{
	struct mpt *t = *state;
	struct shop *s = open_shop(t);
	struct pair p = pair_of(t, 0);

	assert_int_equal(mproc_condition_wait(p.c, p.lock, MPROC_FOREVER), -EPERM);
	assert_string_not_equal(mproc_error_detail(), "");
	assert_int_equal(mproc_condition_wait_for(p.c, p.lock, has_items, s,
						  MPROC_FOREVER), -EPERM);
	lock(t, &p);
	assert_int_equal(mproc_condition_wait(p.c, p.lock, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_condition_wait_for(p.c, p.lock, never, NULL,
						  MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_condition_wait_for(p.c, p.lock, never, NULL,
						  mproc_ms(20)), -ETIMEDOUT);
	assert_int_equal(mproc_condition_wait(p.c, p.lock, mproc_until(1)),
			 -ETIMEDOUT);
	s->items = 1;
	assert_int_equal(mproc_condition_wait_for(p.c, p.lock, has_items, s,
						  MPROC_NOWAIT), 0);
	/* It has it still. */
	unlock(t, &p);
	assert_int_equal(mproc_condition_wait(p.c, NULL, MPROC_FOREVER), -EINVAL);
	assert_int_equal(mproc_condition_wait(NULL, p.lock, MPROC_FOREVER), -EINVAL);
	close_shop(t, s);
	assert_int_equal(mproc_condition_notify(p.c, 1), -ESTALE);
}

/* Who was killed may have had the lock in its last moment. */
static int
lock_anyhow(struct mpt *t, const struct pair *p)
{
	int r = mproc_lock_acquire(p->lock, mproc_sec(20));

	mpt_check(t, r >= 0);
	return mproc_lock_consistent(p->lock);
}

static int
wait_anyhow(struct mpt *t, void *arg)
{
	struct shop *s = mpt_scratch(t);
	struct pair p = pair_of(t, number(arg));

	lock(t, &p);
	s->sleeping++;
	mpt_check(t, mproc_condition_wait(p.c, p.lock, mproc_sec(20)) >= 0);
	mpt_check_int(t, mproc_lock_consistent(p.lock), 0);
	s->woken++;
	unlock(t, &p);
	return 0;
}

static void
see_woken(struct mpt *t, const struct pair *p, unsigned n)
{
	struct shop *s = mpt_scratch(t);

	for (unsigned woken = 0; woken < n;) {
		assert_int_equal(lock_anyhow(t, p), 0);
		woken = s->woken;
		unlock(t, p);
	}
}

static void
killed_waiters_take_no_notification(void **state)
{
	struct mpt *t = *state;
	struct shop *s = open_shop(t);
	struct pair p = pair_of(t, 0);
	int ids[4];

	fork_sleepers(t, &p, wait_anyhow, 4, ids);
	for (unsigned i = 0; i < 2; i++)
		mpt_kill(t, ids[i]);
	/* The dead may be among those who are notified, for as long as nobody has found
	 * that they are; then all others are, too. */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(lock_anyhow(t, &p), 0);
		assert_true(mproc_condition_notify(p.c, 1) >= 0);
		unlock(t, &p);
	}
	see_woken(t, &p, 2);
	close_shop(t, s);
}

/* It was notified, and waits for the lock. */
static void
killed_before_it_has_the_lock_others_go_on(void **state)
{
	struct mpt *t = *state;
	struct shop *s = open_shop(t);
	struct pair p = pair_of(t, 0);
	int ids[2];

	fork_sleepers(t, &p, wait_anyhow, 2, ids);
	lock(t, &p);
	assert_int_equal(mproc_condition_notify(p.c, 1), 1);
	mpt_kill(t, ids[0]);
	unlock(t, &p);
	see_woken(t, &p, 1);
	close_shop(t, s);
}

static int
wait_in_vain(struct mpt *t, void *arg)
{
	struct shop *s = mpt_scratch(t);

	signal(SIGUSR1, interrupt);
	wait_for_one(t, number(arg), MPROC_FOREVER, -EINTR);
	s->board.done++;
	return 0;
}

static void
an_interrupt_ends_the_wait(void **state)
{
	struct mpt *t = *state;

	for (unsigned who = 1; who <= 2; who++) {
		struct shop *s = open_shop(t);
		struct pair p = pair_of(t, 0);
		int id = mpt_fork(t, "waits", wait_in_vain, AS(who));

		mpt_until(t, s->sleeping == 1);
		lock(t, &p);
		assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
		/* It wants the lock first. */
		assert_int_equal(s->woken, 0);
		unlock(t, &p);
		mpt_expect_exit(t, id, 0);
		assert_int_equal(mproc_condition_notify(p.c, 1), 0);
		close_shop(t, s);
	}
}

static int
see_its_end(struct mpt *t, void *arg)
{
	struct shop *s = mpt_scratch(t);
	struct pair p = pair_of(t, number(arg));

	lock(t, &p);
	s->sleeping++;
	mpt_check_int(t, mproc_condition_wait(p.c, p.lock, mproc_sec(20)),
		      -ESHUTDOWN);
	mpt_check_int(t, mproc_condition_wait(p.c, p.lock, mproc_sec(20)), -ESTALE);
	unlock(t, &p);
	return 0;
}

static void
destroy_wakes_those_who_wait(void **state)
{
	struct mpt *t = *state;

	for (unsigned by = 0; by < 2; by++) {
		struct shop *s = open_shop(t);
		struct pair p = pair_of(t, 0);
		void *theirs = p.c;

		fork_sleepers(t, &p, see_its_end, 4, NULL);
		if (by == 1)
			assert_int_equal(find_object(client, CONDITION, s->board.name,
						     &theirs), 0);
		mproc_condition_destroy(theirs);
		mpt_join_all(t);
		assert_true(mproc_arena_bind(NULL, s->board.name, NULL) <= 0);
		close_shop(t, s);
	}
}

static int
lose_the_lock(struct mpt *t, void *arg)
{
	struct shop *s = mpt_scratch(t);
	struct pair p = pair_of(t, number(arg));

	lock(t, &p);
	s->sleeping++;
	mpt_check_int(t, mproc_condition_wait(p.c, p.lock, mproc_sec(20)), -ESTALE);
	return 0;
}

static void
without_its_lock_nobody_comes_back(void **state)
{
	struct mpt *t = *state;
	struct shop *s = open_shop(t);
	struct pair p = pair_of(t, 0);

	fork_sleepers(t, &p, lose_the_lock, 2, NULL);
	mproc_lock_destroy(p.lock);
	assert_int_equal(mproc_condition_notify_all(p.c), 2);
	mpt_join_all(t);
	assert_true(mproc_arena_bind(NULL, s->lock, NULL) <= 0);
	close_shop(t, s);
}

static int
die_with_the_lock(struct mpt *t, void *arg)
{
	struct shop *s = mpt_scratch(t);
	struct pair p = pair_of(t, number(arg));

	lock(t, &p);
	mpt_check_int(t, mproc_condition_notify(p.c, 1), 1);
	s->board.ready++;
	mpt_until(t, false);
	return 0;
}

static int
learn_of_death(struct mpt *t, void *arg)
{
	struct shop *s = mpt_scratch(t);
	struct pair p = pair_of(t, number(arg));

	lock(t, &p);
	s->sleeping++;
	mpt_check_int(t, mproc_condition_wait(p.c, p.lock, mproc_sec(20)),
		      MPROC_OWNER_DIED);
	mpt_check_int(t, mproc_lock_consistent(p.lock), 0);
	unlock(t, &p);
	return 0;
}

static void
a_holder_s_death_is_told(void **state)
{
	struct mpt *t = *state;

	for (unsigned who = 1; who <= 2; who++) {
		struct shop *s = open_shop(t);
		struct pair p = pair_of(t, 0);
		int id;

		fork_sleepers(t, &p, learn_of_death, 1, NULL);
		s->board.ready = 0;
		id = mpt_fork(t, "dies", die_with_the_lock, AS(who));
		mpt_until(t, s->board.ready == 1);
		mpt_kill(t, id);
		close_shop(t, s);
	}
}

static void *
wait_for_the_end(void *arg)
{
	struct pair *p = arg;
	int r = mproc_lock_acquire(p->lock, mproc_sec(20));

	p->sleeps = true;
	if (r == 0)
		r = mproc_condition_wait(p->c, p->lock, MPROC_FOREVER);
	return (void *)(intptr_t)r;
}

static int
stand_beside(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct pair p;
	void *found;

	(void)arg;
	mpt_check_int(t, mproc_arena_find(NULL, "end lock", &found, MPROC_NOWAIT), 0);
	p.lock = found;
	mpt_check_int(t, mproc_arena_find(NULL, "end", &found, MPROC_NOWAIT), 0);
	p.c = found;
	lock(t, &p);
	b->ready++;
	/* The server's part is one that was killed over a call: all are notified. */
	mpt_check_int(t, mproc_condition_wait(p.c, p.lock, mproc_sec(20)), 0);
	unlock(t, &p);
	return 0;
}

static void
a_killed_server_leaves_nobody_waiting(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	mproc_manager *other = start(NULL), *c = connect_to(other);
	struct mproc_owner o;
	pthread_t thread;
	struct pair p;
	void *result;
	pid_t pid;

	assert_int_equal(mproc_manager_lock(c, "end lock", &p.lock), 0);
	assert_int_equal(mproc_manager_condition(c, "end", &p.c), 0);
	lock(t, &p);
	assert_int_equal(mproc_lock_owner(p.lock, &o), 0);
	pid = o.pid;
	unlock(t, &p);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_the_end, &p), 0);
	/* Until it waits: then there is one to be notified; and it waits again. */
	for (int n = 0; n == 0;)
		n = mproc_condition_notify(p.c, 1);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 0);
	/* The thread has ended with the lock. */
	assert_int_equal(mproc_lock_acquire(p.lock, mproc_sec(20)), MPROC_OWNER_DIED);
	assert_int_equal(mproc_lock_consistent(p.lock), 0);
	unlock(t, &p);
	p.sleeps = false;
	assert_int_equal(pthread_create(&thread, NULL, wait_for_the_end, &p), 0);
	mpt_until(t, p.sleeps);
	b->ready = 0;
	mpt_fork(t, "beside", stand_beside, NULL);
	mpt_until(t, b->ready == 1);
	mpt_until(t, mproc_lock_owner(p.lock, &o) == 0 && o.pid == 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -EPIPE);
	mpt_join_all(t);
	mproc_manager_close(c);
	assert_int_equal(mproc_condition_notify(p.c, 1), -ESTALE);
	assert_int_equal(mproc_condition_wait(p.c, p.lock, MPROC_FOREVER), -ESTALE);
	mproc_manager_close(other);
	c = connect_to(server);
	assert_int_equal(mproc_manager_lock(c, "end lock", &p.lock), 0);
	assert_int_equal(mproc_manager_condition(c, "end", &p.c), 0);
	mproc_lock_destroy(p.lock);
	mproc_condition_destroy(p.c);
	mproc_manager_close(c);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	mproc_condition here = { { 0 } }, *c, *other;
	mproc_lock ours = { { 0 } }, *l;
	mproc_manager *m = connect_to(server);
	mproc_rlock *rl;

	(void)state;
	assert_int_equal(mproc_manager_condition(client, "sense", &c), 0);
	assert_int_equal(mproc_manager_condition(client, "sense", NULL), -EINVAL);
	assert_int_equal(mproc_manager_condition(client, NULL, &c), -EINVAL);
	assert_int_equal(mproc_manager_lock(client, "sense", &l), -EPROTOTYPE);
	assert_int_equal(mproc_manager_lock(client, "sense lock", &l), 0);
	assert_int_equal(mproc_manager_condition(m, "sense", &other), 0);
	assert_int_equal(mproc_manager_rlock(client, "sense rlock", &rl), 0);
	assert_int_equal(mproc_lock_acquire(l, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_acquire(&ours, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_rlock_acquire(rl, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_condition_wait(&here, l, mproc_ms(1)), -EINVAL);
	assert_int_equal(mproc_condition_wait(c, &ours, mproc_ms(1)), -EINVAL);
	assert_int_equal(mproc_condition_wait(other, l, mproc_ms(1)), -EINVAL);
	assert_int_equal(mproc_condition_wait(c, (mproc_lock *)rl, mproc_ms(1)),
			 -EBADMSG);
	assert_int_equal(mproc_condition_wait((mproc_condition *)l, l, mproc_ms(1)),
			 -EBADMSG);
	assert_int_equal(mproc_lock_acquire((mproc_lock *)c, mproc_ms(1)), -EBADMSG);
	assert_int_equal(mproc_lock_release(l), 0);
	assert_int_equal(mproc_lock_release(&ours), 0);
	assert_int_equal(mproc_rlock_release(rl), 0);
	mproc_condition_destroy(c);
	mproc_lock_destroy(l);
	mproc_rlock_destroy(rl);
	mproc_manager_close(m);
}

enum { SLEEPERS = 1000, GROUPS = 4 };

struct sleeper {
	struct pair p;
	pthread_t thread;
};

static void
name_sleeper(char *name, size_t size, const char *what, unsigned i)
{
	snprintf(name, size, "%s %u of many", what, i);
}

static void
put_to_sleep(struct mpt *t, mproc_manager *m, struct sleeper *s, unsigned i)
{
	char name[40];

	name_sleeper(name, sizeof(name), "condition", i);
	assert_int_equal(mproc_manager_condition(m, name, &s->p.c), 0);
	name_sleeper(name, sizeof(name), "lock", i);
	assert_int_equal(mproc_manager_lock(m, name, &s->p.lock), 0);
	s->p.sleeps = false;
	assert_int_equal(pthread_create(&s->thread, NULL, wait_for_the_end, &s->p), 0);
	mpt_until(t, s->p.sleeps);
	lock(t, &s->p);
	unlock(t, &s->p);
}

/* Each at its own condition, which others notify by turns. */
static void
clients_wait_for_a_thousand_conditions(void **state)
{
	static struct sleeper sleepers[SLEEPERS];
	struct mpt *t = *state;
	mproc_manager *m = start(NULL), *c[GROUPS];
	char name[40];
	void *result, *ours;

	for (unsigned i = 0; i < GROUPS; i++)
		c[i] = connect_to(m);
	for (unsigned i = 0; i < SLEEPERS; i++)
		put_to_sleep(t, c[i % GROUPS], &sleepers[i], i);
	for (unsigned i = 0; i < SLEEPERS; i++) {
		struct sleeper *s = &sleepers[i];

		name_sleeper(name, sizeof(name), "condition", i);
		assert_int_equal(mproc_arena_find(NULL, name, &ours, MPROC_NOWAIT), 0);
		assert_int_equal(mproc_condition_notify(i % 2 ? ours : s->p.c, 2), 1);
		pthread_join(s->thread, &result);
		assert_int_equal((intptr_t)result, 0);
		mproc_condition_destroy(s->p.c);
		mproc_lock_destroy(s->p.lock);
	}
	for (unsigned i = 0; i < GROUPS; i++)
		mproc_manager_close(c[i]);
	mproc_manager_close(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(notify_wakes_as_many_as_it_says),
		ALL(notify_all_wakes_all),
		ALL(each_item_is_taken),
		ALL(who_has_not_the_lock_is_refused),
		ALL(killed_waiters_take_no_notification),
		ALL(killed_before_it_has_the_lock_others_go_on),
		ALL(an_interrupt_ends_the_wait),
		ALL(destroy_wakes_those_who_wait),
		ALL(without_its_lock_nobody_comes_back),
		ALL(a_holder_s_death_is_told),
		mpt_test(a_killed_server_leaves_nobody_waiting),
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(clients_wait_for_a_thousand_conditions),
	};

	return cmocka_run_group_tests(tests, start_both, end_both);
}
