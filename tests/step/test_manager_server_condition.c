/* SPDX-License-Identifier: MIT */
/*
 * The server of a manager is killed after each instruction of what it does when a client
 * is notified of a condition: it learns that in the arena, gives the client the lock and
 * its answer; or the client is gone, and somebody else is to be notified for it. Behind
 * the client a process of the family waits. If the client has not heard of it, that one
 * does.
 */
#include "manager_locks.h"
#include "manager_server.h"
#include "sync/crowd.h"

static int
find(mproc_manager *m)
{
	int r = mproc_manager_lock(m, "lock", &objects.lock);

	return r < 0 ? r : mproc_manager_condition(m, "condition", &objects.condition);
}

static uint64_t
hash_all(uint64_t h, const mproc_arena *a, const struct objects *o)
{
	h = hash(h, mpr_crowd_at(a, 0), sizeof(struct mpr_crowd_place));
	h = hash(h, o->lock, sizeof(*o->lock));
	return hash(h, o->condition, sizeof(*o->condition));
}

/* Its holder may have died. */
static void
lock(struct mpt *t)
{
	mpt_check(t, mproc_lock_acquire(objects.lock, BOUND) >= 0);
	mpt_check_int(t, mproc_lock_consistent(objects.lock), 0);
}

static void
unlock(struct mpt *t)
{
	mpt_check_int(t, mproc_lock_release(objects.lock), 0);
}

/* Comes when the client waits, as that has the lock until then. */
static int
wait_behind(struct mpt *t, void *arg)
{
	const struct scene *s = arg;
	struct board *b = s->b;

	for (unsigned round = 0;;) {
		mpt_until(t, b->connected > round || b->end);
		if (b->end)
			break;
		round = b->connected;
		lock(t);
		b->waits = round;
		mpt_check(t, mproc_condition_wait(objects.condition, objects.lock,
						  MPROC_FOREVER) >= 0);
		mpt_check_int(t, mproc_lock_consistent(objects.lock), 0);
		unlock(t);
		b->passed = round;
	}
	return 0;
}

static void
serve(mproc_manager *m)
{
	must_be(mproc_manager_serve(m, mproc_ms(1)), -ETIMEDOUT);
}

/* Both wait: the client is notified, as it came first. */
static void
notify(struct scene *s, mproc_manager *m)
{
	while (s->b->waits != s->b->round)
		serve(m);
	must_be(mproc_lock_acquire(objects.lock, BOUND), 0);
	must_be(mproc_condition_notify(objects.condition, 1), 1);
	must_be(mproc_lock_release(objects.lock), 0);
}

/* And has its answer, and the lock, when it goes. */
static void
notify_and_leave(struct scene *s, mproc_manager *m)
{
	notify(s, m);
	while (s->b->answered != s->b->round)
		serve(m);
	give_byte(s->ask[1]);
}

/* The other one was not, or need not have been. */
static void
end_wait(struct scene *s)
{
	lock(s->t);
	mpt_check(s->t, mproc_condition_notify_all(objects.condition) >= 0);
	unlock(s->t);
	mpt_until(s->t, s->b->passed == s->b->round);
}

static void
told_check(struct scene *s, bool finished)
{
	assert_true(!finished || s->b->result >= 0);
	if (s->b->result < 0)
		mpt_until(s->t, s->b->passed == s->b->round);
	end_wait(s);
}

static void
left_check(struct scene *s, bool finished)
{
	(void)finished;
	assert_true(s->b->result >= 0);
	mpt_until(s->t, s->b->passed == s->b->round);
	end_wait(s);
}

static const struct kind told = {
	.find = find, .state = hash_all, .recovers = true, .aside = notify, .other = wait_behind,
};

static const struct op told_op = {
	"server, client notified", NULL, lock_acquire, condition_wait, told_check,
};

static const struct kind left = {
	.find = find, .state = hash_all, .recovers = true, .aside = notify_and_leave, .stays = true,
	.other = wait_behind,
};

static const struct op left_op = {
	"server, end of who was notified", NULL, lock_acquire, condition_wait, left_check,
};

static void
server_killed_as_a_client_is_notified(void **state)
{
	step_ops(*state, &told, &told_op, 1);
}

static void
server_killed_as_one_leaves_that_was_notified(void **state)
{
	step_ops(*state, &left, &left_op, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(server_killed_as_a_client_is_notified),
		mpt_test(server_killed_as_one_leaves_that_was_notified),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
