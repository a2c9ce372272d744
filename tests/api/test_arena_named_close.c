/* SPDX-License-Identifier: MIT */
/*
 * arena.h: named arenas are closed by one thread while others of the same process
 * use theirs, or are about to join one for the sake of a child that has died there.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common.h"

#define SIZE ((size_t)32 << 20)

struct scene {
	struct mpt *t;
	mproc_arena *arena;
	mproc_queue *queue;
	mproc_process *child;
	_Atomic bool *taken; /* by the child */
	_Atomic unsigned deaths, go_on;
	_Atomic bool closed;
};

/* A thread of its own, so that none of those that stay is a participant. */
static void *
make_queue(void *arg)
{
	struct scene *s = arg;

	mpt_check_int(s->t, mproc_queue_create(&s->queue, MPROC_OPTS(
		mproc_queue_opts, .arena = s->arena, .ack = true)), 0);
	mpt_check_int(s->t, mproc_queue_put(s->queue, "x", 1, MPROC_NOWAIT), 0);
	return NULL;
}

static int
join_and_stay(struct mpt *t, void *arg)
{
	const struct scene *s = arg;

	mpt_check(t, mproc_arena_alloc(s->arena, 1, 0));
	mpt_step(t, *s->taken);
	wait_to_be_killed(t);
	return 0;
}

static int
take_and_stay(void *arg)
{
	const struct scene *s = arg;
	char c;

	if (mproc_queue_get(s->queue, &c, 1, NULL, MPROC_NOWAIT) != 0)
		return 1;
	*s->taken = true;
	for (;;)
		pause();
}

/* In the middle of recovery. */
static void
stay(void *ctx, int level, const char *text)
{
	struct scene *s = ctx;

	(void)level;
	if (!strstr(text, "died"))
		return;
	s->deaths++;
	mpt_until(s->t, s->go_on == s->deaths);
}

static void *
join_child(void *arg)
{
	struct scene *s = arg;

	mpt_check_int(s->t, mproc_process_join(s->child, mproc_sec(20)), 0);
	/* To have looked there is not to use it. */
	mpt_check(s->t, !mproc_is_shared(s->queue));
	return NULL;
}

static void *
close_arena(void *arg)
{
	struct scene *s = arg;

	mproc_arena_close(s->arena);
	s->closed = true;
	return NULL;
}

static void
begin(struct scene *s, struct mpt *t, char *name)
{
	pthread_t thread;

	*s = (struct scene){ .t = t, .taken = mpt_scratch(t) };
	*s->taken = false;
	mpt_name(t, name, "arena");
	assert_int_equal(mproc_arena_create(&s->arena, MPROC_OPTS(
		mproc_arena_opts, .name = name, .capacity = SIZE)), 0);
	pthread_create(&thread, NULL, make_queue, s);
	pthread_join(thread, NULL);
}

static void
a_thread_that_recovers_there_does_not_hang(void **state)
{
	pthread_t joiner, closer;
	struct mpt *t = *state;
	struct scene s;
	char name[64];
	int other;

	begin(&s, t, name);
	other = mpt_spawn(t, "other", join_and_stay, &s);
	mpt_reach(t, 1);
	/* It has the arena as it is here. */
	assert_int_equal(mproc_process_start(
		&s.child, take_and_stay, &s,
		MPROC_OPTS(mproc_process_opts, .method = MPROC_FORK)), 0);
	mpt_until(t, *s.taken);
	assert_int_equal(mproc_process_kill(s.child), 0);
	mproc_log_set(MPROC_LOG_INFO, stay, &s);
	pthread_create(&joiner, NULL, join_child, &s);
	mpt_until(t, s.deaths == 1);

	/* Its message comes back, and is to be told what it died of, by one who
	 * joins the arena. All slots are taken, so that one looks for the dead. */
	mpt_spawn(t, "third", join_and_stay, &s);
	mpt_reach(t, 2);
	mpt_kill(t, other);
	s.go_on = 1;
	mpt_until(t, s.deaths == 2);
	pthread_create(&closer, NULL, close_arena, &s);
	mpt_until(t, s.closed || !mproc_is_shared(s.queue));
	s.go_on = 2;
	pthread_join(joiner, NULL);
	pthread_join(closer, NULL);
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	assert_false(mproc_is_shared(s.queue));
	mproc_process_close(s.child);
	assert_int_equal(mproc_arena_unlink(name), 0);
}

static char names[2][64];

/* Its own handle, of an arena that others open and close at the same time. */
static void *
come_and_go(void *arg)
{
	struct mpt *t = arg;
	unsigned n = amount(20000);
	mproc_arena *a;
	char *p;

	for (unsigned i = 0; i < n; i++) {
		mpt_check_int(t, mproc_arena_open(&a, names[i % 3 == 0],
						  MPROC_NOWAIT), 0);
		p = mproc_arena_alloc(a, 64, 0);
		mpt_check(t, p && *p == 0);
		*p = 1;
		mproc_free(p);
		mproc_arena_close(a);
	}
	return NULL;
}

static void
threads_open_and_close_at_once(void **state)
{
	struct mpt *t = *state;
	pthread_t threads[3];
	mproc_arena *a;

	for (int i = 0; i < 2; i++) {
		mpt_name(t, names[i], i ? "second" : "first");
		assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(
			mproc_arena_opts, .name = names[i],
			.capacity = SIZE)), 0);
		mproc_arena_close(a);
	}
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, come_and_go, t);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2; i++)
		assert_int_equal(mproc_arena_unlink(names[i]), 0);
}

/* As a daemon does. */
static void
close_all_and_open_again(struct mpt *t, mproc_arena *first, int others)
{
	mproc_arena *a = NULL, *again;
	void *found;

	closefrom(3);
	mpt_check(t, !mproc_arena_alloc(first, 64, 0) && errno == ENOLCK);
	/* In the place of ours, and more. */
	while (others--)
		mpt_check(t, open("/dev/null", O_RDONLY | O_CLOEXEC) >= 3);
	mpt_check_int(t, mproc_arena_open(&a, names[0], MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_arena_find(a, "number", &found, MPROC_NOWAIT),
		      0);
	mpt_check(t, *(int *)found == 7 || *(int *)found == 9);
	++*(int *)found;
	mpt_check(t, mproc_arena_alloc(a, 64, 0));
	mpt_check_int(t, mproc_arena_open(&again, names[0], MPROC_NOWAIT), 0);
	mpt_check(t, again == a);
	mproc_arena_close(again);
	mproc_arena_close(first);
	++*(int *)found;
	mproc_arena_close(a);
	mpt_check(t, !mproc_is_shared(found));
}

static int
be_a_daemon(struct mpt *t, void *arg)
{
	close_all_and_open_again(t, arg, 0);
	return 0;
}

static int
be_a_daemon_with_files(struct mpt *t, void *arg)
{
	close_all_and_open_again(t, arg, 20);
	return 0;
}

static void
who_has_closed_the_descriptor_can_open_it_again(void **state)
{
	struct mpt *t = *state;
	mproc_arena *a;
	int *number;

	mpt_name(t, names[0], "arena");
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = names[0], .capacity = SIZE)), 0);
	number = mproc_arena_alloc(a, sizeof(*number), 0);
	*number = 7;
	assert_int_equal(mproc_arena_bind(a, "number", number), 0);
	mpt_expect_exit(t, mpt_spawn(t, "daemon", be_a_daemon, a), 0);
	mpt_expect_exit(t, mpt_spawn(t, "other", be_a_daemon_with_files, a), 0);
	assert_int_equal(*number, 11);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(names[0]), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_thread_that_recovers_there_does_not_hang),
		mpt_test(threads_open_and_close_at_once),
		mpt_test(who_has_closed_the_descriptor_can_open_it_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
