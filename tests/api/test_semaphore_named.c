/* SPDX-License-Identifier: MIT */
/*
 * sync.h: semaphores in arenas with a name, whose permits have owners. The other
 * program is an instance of this one, started by exec, and has the arena at another
 * address.
 */
#include "named.h"
#include "semaphore.h"

static void
it_lies_where_it_is_made(void **state)
{
	struct mpt *t = *state;
	mproc_arena *a = create_arena("permits");
	struct board *b = new_board_of(t, .value = 3, .undo = true, .arena = a);
	struct mproc_arena_stat before = stat_now(), there, now;
	mproc_semaphore *again = NULL, *s = b->s;
	void *found = NULL;

	assert_int_equal(mproc_arena_bind(a, "s", s), 0);
	assert_int_equal(mproc_arena_find(a, "s", &found, MPROC_NOWAIT), 0);
	assert_ptr_equal(found, s);
	assert_int_equal(mproc_arena_stat(a, &there), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mproc_semaphore_value(s), 3 - i);
		assert_int_equal(mproc_semaphore_acquire(s, MPROC_NOWAIT), 0);
	}
	assert_int_equal(mproc_semaphore_acquire(s, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(mproc_semaphore_release(s), 0);
	mproc_semaphore_destroy(s);
	assert_int_equal(mproc_semaphore_acquire(s, MPROC_NOWAIT), -ESTALE);
	/* The next one has the same place and the same permits, all of them. */
	assert_int_equal(mproc_semaphore_create(&again, MPROC_OPTS(
		mproc_semaphore_opts, .value = 3, .undo = true, .arena = a)),
		0);
	assert_ptr_equal(again, s);
	assert_int_equal(mproc_semaphore_value(again), 3);
	assert_int_equal(mproc_arena_stat(a, &now), 0);
	assert_int_equal(now.blocks, there.blocks);
	mproc_semaphore_destroy(again);
	remove_arena(a);
	expect_stat(&before);
}

/* Takes a permit, tells it, and keeps it, or gives it back when it is told to. */
static int
be_the_other(char **argv)
{
	mproc_arena *a = open_as_instance(argv);
	mproc_semaphore *s = find(a, "s");
	mproc_event *has = find(a, "has"), *may_end = find(a, "may end");

	EXPECT(mproc_semaphore_acquire(s, mproc_sec(30)) == 0);
	EXPECT(mproc_event_set(has) == 0);
	EXPECT(mproc_event_wait(may_end, mproc_sec(60)) == 0);
	if (strcmp(argv[1], "release") == 0)
		EXPECT(mproc_semaphore_release(s) == 0);
	mproc_arena_close(a);
	return 0;
}

static mproc_event *
new_event_in(mproc_arena *a, const char *its_name)
{
	mproc_event *e = mproc_arena_alloc(a, sizeof(*e), 0);

	assert_non_null(e);
	assert_int_equal(mproc_arena_bind(a, its_name, e), 0);
	return e;
}

/* What the programs have in common. */
struct place {
	mproc_arena *a;
	struct board *b;
	mproc_event *has, *may_end;
};

static void
make_place(struct mpt *t, struct place *p)
{
	p->a = create_arena("permits");
	p->b = new_board_of(t, .value = 1, .undo = true, .arena = p->a);
	assert_int_equal(mproc_arena_bind(p->a, "s", p->b->s), 0);
	p->has = new_event_in(p->a, "has");
	p->may_end = new_event_in(p->a, "may end");
}

static int
start_other(struct mpt *t, const struct place *p, const char *what)
{
	struct instance i = { what, p->has };
	int id = mpt_spawn(t, "other", execute, &i);

	assert_int_equal(mproc_event_wait(p->has, mproc_sec(30)), 0);
	assert_int_equal(mproc_event_clear(p->has), 0);
	assert_int_equal(mproc_semaphore_value(p->b->s), 0);
	assert_int_equal(mproc_semaphore_acquire(p->b->s, MPROC_NOWAIT),
			 -EAGAIN);
	assert_int_equal(mproc_semaphore_release(p->b->s), -EPERM);
	return id;
}

/* Gets it while a process of this family waits for it. */
static void
a_permit_comes_from_another_program(void **state)
{
	struct mpt *t = *state;
	struct place p;
	int id;

	mpt_watchdog(t, 90);
	make_place(t, &p);
	id = start_other(t, &p, "hold");
	spawn_sleeper(t, &p.b->tid, acquire_once);
	mpt_kill(t, id);
	mpt_until(t, p.b->done == 1);
	mpt_join_all(t);
	/* That one has ended, too. */
	assert_int_equal(mproc_semaphore_value(p.b->s), 1);

	/* Another one ends with it, and the last one gives it back. */
	id = start_other(t, &p, "end");
	spawn_sleeper(t, &p.b->tid, acquire_once);
	assert_int_equal(mproc_event_set(p.may_end), 0);
	mpt_until(t, p.b->done == 2);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(mproc_event_clear(p.may_end), 0);
	id = start_other(t, &p, "release");
	spawn_sleeper(t, &p.b->tid, acquire_once);
	assert_int_equal(mproc_event_set(p.may_end), 0);
	mpt_until(t, p.b->done == 3);
	mpt_expect_exit(t, id, 0);
	mpt_join_all(t);
	mproc_semaphore_destroy(p.b->s);
	remove_arena(p.a);
}

/* Nobody waits for who is stopped, and who is killed as it waits takes nothing. */
static void
who_waits_takes_nothing_along(void **state)
{
	struct mpt *t = *state;
	struct place p;
	int id, waiter;

	mpt_watchdog(t, 90);
	make_place(t, &p);
	id = start_other(t, &p, "hold");
	waiter = spawn_sleeper(t, &p.b->tid, acquire_once);
	mpt_pause(t, id);
	assert_int_equal(mproc_semaphore_acquire(p.b->s, mproc_ms(300)),
			 -ETIMEDOUT);
	mpt_kill(t, waiter);
	mpt_kill(t, id);
	assert_int_equal(mproc_semaphore_acquire(p.b->s, mproc_sec(20)), 0);
	assert_int_equal(mproc_semaphore_release(p.b->s), 0);
	mproc_semaphore_destroy(p.b->s);
	remove_arena(p.a);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_lies_where_it_is_made),
		mpt_test(a_permit_comes_from_another_program),
		mpt_test(who_waits_takes_nothing_along),
	};

	if (argc == 4)
		return be_the_other(argv);
	return cmocka_run_group_tests(tests, with_arena, NULL);
}
