/* SPDX-License-Identifier: MIT */
/*
 * A named arena whose users are all dead: who opens it sees that, and may use it as it
 * is, or take it away.
 */
#include "common.h"

#define SIZE ((size_t)32 << 20)

/* In the scratch bytes. */
struct board {
	char name[64];
};

/* What lies in the arena. */
struct common {
	mproc_lock lock;
	mproc_event event;
	int answer;
};

static int
found_a_family(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct common *c;
	mproc_arena *a;

	(void)arg;
	mpt_check_int(t, mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = b->name, .capacity = SIZE)), 0);
	c = mproc_arena_alloc(a, sizeof(*c), 0);
	mpt_check(t, c);
	c->answer = 42;
	mpt_check_int(t, mproc_lock_acquire(&c->lock, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_arena_bind(a, "common", c), 0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static int
be_of_it(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	mproc_arena *a;
	void *found;

	(void)arg;
	mpt_check_int(t, mproc_arena_open(&a, b->name, mproc_sec(20)), 0);
	mpt_check_int(t, mproc_arena_find(a, "common", &found, mproc_sec(20)), 0);
	mpt_check(t, mproc_arena_alloc(a, 1000, 0));
	mpt_step(t, 1);
	return mproc_event_wait(&((struct common *)found)->event, MPROC_FOREVER);
}

/* How many blocks one of the dead has left. */
static unsigned
count_blocks(mproc_arena *a, pid_t pid)
{
	struct mproc_arena_block block = { 0 };
	unsigned n = 0;

	while (mproc_arena_next_block(a, &block) > 0) {
		assert_false(block.alive);
		n += block.pid == pid;
	}
	return n;
}

static unsigned
participants(mproc_arena *a)
{
	struct mproc_arena_stat stat;

	assert_int_equal(mproc_arena_stat(a, &stat), 0);
	return (unsigned)stat.participants;
}

static void
the_arena_of_a_dead_family_is_recognised(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	struct mproc_owner owner;
	int founder, member;
	struct common *c;
	mproc_arena *a;
	pid_t pids[2];
	void *found;

	mpt_name(t, b->name, "stale");
	founder = mpt_spawn(t, "founder", found_a_family, NULL);
	mpt_reach(t, 1);
	member = mpt_spawn(t, "member", be_of_it, NULL);
	mpt_reach(t, 2);
	pids[0] = mpt_pid(t, founder);
	pids[1] = mpt_pid(t, member);
	mpt_kill(t, founder);

	/* It is in use as long as one of them lives. */
	assert_int_equal(mproc_arena_open(&a, b->name, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_arena_recover(a), 1);
	assert_int_equal(participants(a), 1);
	mpt_kill(t, member);
	assert_int_equal(mproc_arena_recover(a), 1);
	assert_int_equal(participants(a), 0);
	assert_int_equal(count_blocks(a, pids[0]), 1);
	assert_int_equal(count_blocks(a, pids[1]), 1);

	/* As it is. */
	assert_int_equal(mproc_arena_find(a, "common", &found, MPROC_NOWAIT), 0);
	c = found;
	assert_int_equal(c->answer, 42);
	assert_int_equal(mproc_lock_acquire(&c->lock, MPROC_NOWAIT),
			 MPROC_OWNER_DIED);
	assert_int_equal(mproc_lock_owner(&c->lock, &owner), 0);
	assert_int_equal(owner.died_pid, pids[0]);
	assert_int_equal(owner.waiters, 0);
	assert_int_equal(mproc_lock_consistent(&c->lock), 0);
	assert_int_equal(mproc_lock_release(&c->lock), 0);
	assert_int_equal(mproc_event_set(&c->event), 0);
	assert_int_equal(mproc_event_wait(&c->event, MPROC_NOWAIT), 0);
	assert_int_equal(participants(a), 1);

	/* Or not. */
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(b->name), 0);
	assert_int_equal(mproc_arena_open(&a, b->name, MPROC_NOWAIT), -ENOENT);
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = b->name, .capacity = SIZE)), 0);
	assert_int_equal(mproc_arena_find(a, "common", &found, MPROC_NOWAIT),
			 -ENOENT);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(b->name), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(the_arena_of_a_dead_family_is_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
