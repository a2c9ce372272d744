/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of reserve, commit, abort, peek
 * and release, and so between them. The same for put and get is in
 * test_queue.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

static void *
reserve(struct world *w, size_t len)
{
	void *p;

	if (mproc_queue_reserve(w->q, len, &p, MPROC_NOWAIT) < 0)
		_exit(1);
	return p;
}

static void
commit(struct world *w, void *p, uint32_t number)
{
	struct message m = message(BY_VICTIM, number);

	memcpy(p, &m, sizeof(m));
	if (mproc_queue_commit(w->q, p, sizeof(m)) < 0)
		_exit(1);
}

static void
victim_puts(struct world *w, uint32_t sender, uint32_t number)
{
	struct message m = message(sender, number);

	if (mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT) < 0)
		_exit(1);
}

/* The victim's own lane and seat, before the operation begins. */
static void
warm_up(struct world *w)
{
	victim_puts(w, BY_VICTIM, 0);
}

/* All of the test's messages, and @least to @most of the victim's. */
static void
expect(struct world *w, unsigned least, unsigned most)
{
	struct found found[5];

	recover();
	drain(w->q, found);
	assert_int_equal(found[BY_TEST].n, w->queued);
	assert_in_range(found[BY_VICTIM].n, least, most);
	if (found[BY_VICTIM].n)
		assert_int_equal(found[BY_VICTIM].first, 0);
	world_end(w);
}

static void
reserve_victim(void *arg)
{
	struct world *w = arg;
	void *p;

	warm_up(w);
	mpt_step_begin();
	p = reserve(w, 300);
	memset(p, 0xff, 300);
	mpt_step_end();
}

static void
nothing_more_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	expect(arg, 1, 1);
}

static void
killed_in_reserve(void **state)
{
	struct world w = { .t = *state, .queued = 3 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "reserve",
		.victim = reserve_victim,
		.before = world_begin,
		.survivor = nothing_more_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

static void
first_reserve_victim(void *arg)
{
	struct world *w = arg;
	void *p;

	mpt_step_begin();
	p = reserve(w, 300);
	commit(w, p, 0);
	mpt_step_end();
}

static void
first_reserve_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	expect(arg, finished ? 1 : 0, 1);
}

/* Joining the arena, a seat, a lane of its own, room in it, the message. */
static void
killed_in_the_first_reserve_and_commit(void **state)
{
	struct world w = { .t = *state, .queued = 3, .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "attach, reserve, commit",
		.victim = first_reserve_victim,
		.before = world_begin,
		.survivor = first_reserve_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

static void
commit_victim(void *arg)
{
	struct world *w = arg;
	void *p;

	warm_up(w);
	p = reserve(w, 300);
	mpt_step_begin();
	commit(w, p, 1);
	mpt_step_end();
}

static void
commit_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	expect(arg, finished ? 2 : 1, 2);
}

static void
killed_in_commit(void **state)
{
	struct world w = { .t = *state, .queued = 3 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "commit",
		.victim = commit_victim,
		.before = world_begin,
		.survivor = commit_survivor,
		.fingerprint = arena_state,
		.every = 1,
		.arg = &w,
	}, NULL);
}

static void
abort_victim(void *arg)
{
	struct world *w = arg;
	void *p;

	warm_up(w);
	p = reserve(w, 300);
	memset(p, 0xff, 300);
	mpt_step_begin();
	if (mproc_queue_abort(w->q, p) < 0)
		_exit(1);
	mpt_step_end();
}

static void
killed_in_abort(void **state)
{
	struct world w = { .t = *state, .queued = 3 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "abort",
		.victim = abort_victim,
		.before = world_begin,
		.survivor = nothing_more_survivor,
		.fingerprint = arena_state,
		.every = 1,
		.arg = &w,
	}, NULL);
}

#define TO_THE_END 63 /* messages that leave 64 bytes of the lane */

/* The frame needs more than what is left before the lane's end. */
static void
wrapping_victim(void *arg)
{
	struct world *w = arg;
	struct message m;
	void *p;

	for (uint32_t i = 0; i < TO_THE_END; i++)
		victim_puts(w, BY_OTHER, i);
	for (uint32_t i = 0; i < TO_THE_END; i++)
		if (mproc_queue_get(w->q, &m, sizeof(m), NULL, MPROC_NOWAIT) <
		    0)
			_exit(1);
	mpt_step_begin();
	p = reserve(w, 300);
	commit(w, p, 0);
	mpt_step_end();
}

static void
wrapping_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	unsigned more = finished ? 1 : 0;

	(void)victim;
	(void)n;
	recover();
	assert_in_range(mproc_queue_len(w->q), more, 1);
	/* The lane's next owner fills it to the end, twice. */
	for (int lap = 0; lap < 2; lap++) {
		struct found found[5];
		uint32_t i = 0;

		for (; i < TO_THE_END - 10; i++)
			put(w->q, BY_SURVIVOR, i);
		drain(w->q, found);
		assert_int_equal(found[BY_SURVIVOR].n, i);
		assert_in_range(found[BY_VICTIM].n, lap ? 0 : more,
				lap ? 0 : 1);
	}
	world_end(w);
}

static void
killed_where_the_lane_wraps(void **state)
{
	struct world w = { .t = *state, .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "reserve and commit behind a pad",
		.victim = wrapping_victim,
		.before = world_begin,
		.survivor = wrapping_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

#define FIRST_MEMORY (64 * 1024 / 64) /* messages until a lane needs more */

static void
growing_victim(void *arg)
{
	struct world *w = arg;
	void *p;

	for (uint32_t i = 0; i < FIRST_MEMORY - 2; i++)
		victim_puts(w, BY_VICTIM, i);
	mpt_step_begin();
	p = reserve(w, 1000);
	commit(w, p, FIRST_MEMORY - 2);
	mpt_step_end();
}

static void
growing_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];
	unsigned more;

	(void)victim;
	(void)n;
	recover();
	for (uint32_t i = 0; i < FIRST_MEMORY / 2; i++)
		put(w->q, BY_SURVIVOR, i);
	drain(w->q, found);
	more = found[BY_VICTIM].n - (FIRST_MEMORY - 2);
	assert_in_range(more, finished ? 1 : 0, 1);
	assert_int_equal(found[BY_SURVIVOR].n, FIRST_MEMORY / 2);
	world_end(w);
}

static void
killed_while_the_lane_gets_more_memory(void **state)
{
	struct world w = { .t = *state, .opts.capacity = 256 * 1024 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "reserve with more memory",
		.victim = growing_victim,
		.before = world_begin,
		.survivor = growing_survivor,
		.fingerprint = arena_state,
		.budget = 150,
		.arg = &w,
	}, NULL);
}

/* The single consumer's messages: looked at, released. */
static void
shown_victim(struct world *w, bool step_peek, bool step_release)
{
	const struct message *m;
	const void *p;
	size_t len;

	/* The first one attaches, and gets memory for copies: to fill 64 KiB
	 * with a pattern, as the C library can be told to do, takes as many
	 * steps. */
	if (mproc_queue_peek(w->q, &p, NULL, MPROC_NOWAIT) < 0 ||
	    mproc_queue_release(w->q, p) < 0)
		_exit(1);
	if (step_peek)
		mpt_step_begin();
	if (mproc_queue_peek(w->q, &p, &len, MPROC_NOWAIT) < 0)
		_exit(1);
	m = p;
	if (len != sizeof(*m) || m->sender != BY_TEST || m->number != 1 ||
	    !is_whole(m))
		_exit(1);
	if (!step_peek)
		mpt_step_begin();
	if (step_release && mproc_queue_release(w->q, p) < 0)
		_exit(1);
	mpt_step_end();
}

static void
peek_victim(void *arg)
{
	shown_victim(arg, true, false);
}

static void
peek_and_release_victim(void *arg)
{
	shown_victim(arg, true, true);
}

static void
release_victim(void *arg)
{
	shown_victim(arg, false, true);
}

/* The victim has taken 0. The rest is there from @least or @most on. */
static void
expect_from(struct world *w, unsigned least, unsigned most)
{
	struct found found[5];

	recover();
	assert_in_range(mproc_queue_len(w->q), w->queued - most,
			w->queued - least);
	drain(w->q, found);
	assert_in_range(found[BY_TEST].first, least, most);
	assert_int_equal(found[BY_TEST].last, w->queued - 1);
	world_end(w);
}

/* A look leaves no trace. */
static void
peek_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	expect_from(arg, 1, 1);
}

static void
release_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	expect_from(arg, finished ? 2 : 1, 2);
}

/* Taken by the peek, and then by nobody else. */
static void
taken_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	expect_from(arg, 2, 2);
}

static void
step_shown(struct mpt *t, const char *name, bool single,
	   void (*victim)(void *arg),
	   void (*survivor)(void *arg, pid_t victim, unsigned long n,
			    bool finished))
{
	struct world w = { .t = t, .queued = 5,
			   .opts.single_consumer = single };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = victim,
		.before = world_begin,
		.survivor = survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

static void
killed_in_a_look(void **state)
{
	step_shown(*state, "peek, single consumer", true, peek_victim,
		   peek_survivor);
}

static void
killed_in_peek_or_release_of_the_single_consumer(void **state)
{
	step_shown(*state, "peek and release, single consumer", true,
		   peek_and_release_victim, release_survivor);
}

static void
killed_in_release_of_the_single_consumer(void **state)
{
	step_shown(*state, "release, single consumer", true, release_victim,
		   release_survivor);
}

static void
killed_in_peek(void **state)
{
	step_shown(*state, "peek, several consumers", false, peek_victim,
		   release_survivor);
}

static void
killed_in_release(void **state)
{
	step_shown(*state, "release, several consumers", false,
		   release_victim, taken_survivor);
}

/* A producer is asleep, and the victim's release makes the room. */
struct sleepy {
	struct world w;
	pid_t other;
};

static void
with_a_sleeping_producer(void *arg)
{
	struct sleepy *s = arg;
	struct message m = { 0 };

	world_begin(&s->w);
	s->other = fork();
	if (s->other == 0) {
		uint32_t i = 0;
		void *p;

		do
			m = message(BY_OTHER, i++);
		while (mproc_queue_put(s->w.q, &m, sizeof(m), MPROC_NOWAIT) ==
		       0);
		if (mproc_queue_reserve(s->w.q, sizeof(m), &p, mproc_sec(30)) <
		    0)
			_exit(1);
		memcpy(p, &m, sizeof(m));
		_exit(mproc_queue_commit(s->w.q, p, sizeof(m)) < 0);
	}
	mpt_until(s->w.t, mpt_task_state(s->other) == 'S');
}

static void
waking_release_victim(void *arg)
{
	struct sleepy *s = arg;
	const void *p;

	if (mproc_queue_peek(s->w.q, &p, NULL, MPROC_NOWAIT) < 0)
		_exit(1);
	mpt_step_begin();
	if (mproc_queue_release(s->w.q, p) < 0)
		_exit(1);
	mpt_step_end();
}

static void
waking_release_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct sleepy *s = arg;
	struct found found[5];
	struct message m;
	int status;

	(void)victim;
	(void)n;
	/* Not a word to the producer: it must notice by itself. One message is
	 * made room for at least, by the victim or by us. */
	assert_int_equal(mproc_queue_get(s->w.q, &m, sizeof(m), NULL,
					 MPROC_NOWAIT), 0);
	assert_true(is_whole(&m));
	assert_in_range(m.number, finished ? 1 : 0, 1);
	assert_int_equal(waitpid(s->other, &status, 0), s->other);
	assert_int_equal(status, 0);
	recover();
	drain(s->w.q, found);
	assert_int_equal(found[BY_OTHER].first, m.number + 1);
	assert_int_equal(found[BY_OTHER].last, 64);
	world_end(&s->w);
}

static void
killed_in_a_release_that_makes_room(void **state)
{
	struct sleepy s = { .w = { .t = *state, .opts.capacity = 4096,
				   .opts.single_consumer = true } };

	mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
		.name = "release that makes room",
		.victim = waking_release_victim,
		.before = with_a_sleeping_producer,
		.survivor = waking_release_survivor,
		.fingerprint = arena_state,
		.every = 1,
		.budget = 40,
		.max_cases = 60,
		.arg = &s,
	}, NULL);
}

/* A consumer is asleep, and the victim's commit wakes it. */
static void
with_a_sleeping_consumer(void *arg)
{
	struct sleepy *s = arg;

	world_begin(&s->w);
	s->other = fork();
	if (s->other == 0) {
		const struct message *m;
		const void *p;
		size_t len;
		bool whole;

		if (mproc_queue_peek(s->w.q, &p, &len, mproc_sec(30)) < 0)
			_exit(1);
		m = p;
		whole = len == sizeof(*m) && is_whole(m);
		_exit(!whole ? 1 : m->sender == BY_VICTIM ? 0 : 3);
	}
	mpt_until(s->w.t, mpt_task_state(s->other) == 'S');
}

static void
waking_commit_victim(void *arg)
{
	struct sleepy *s = arg;
	void *p = reserve(&s->w, sizeof(struct message));

	mpt_step_begin();
	commit(&s->w, p, 0);
	mpt_step_end();
}

static void
waking_commit_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct sleepy *s = arg;
	struct found found[5];
	int status;

	(void)victim;
	(void)n;
	recover();
	/* If the victim's message is not in the queue, ours wakes it. */
	put(s->w.q, BY_SURVIVOR, 0);
	assert_int_equal(waitpid(s->other, &status, 0), s->other);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 ||
		    (WEXITSTATUS(status) == 3 && !finished));
	recover();
	drain(s->w.q, found);
	world_end(&s->w);
}

static void
killed_in_a_commit_that_wakes(void **state)
{
	struct sleepy s = { .w = { .t = *state, .opts.capacity = 4096 } };

	mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
		.name = "commit that wakes",
		.victim = waking_commit_victim,
		.before = with_a_sleeping_consumer,
		.survivor = waking_commit_survivor,
		.fingerprint = arena_state,
		.every = 1,
		.budget = 100,
		.max_cases = 160,
		.arg = &s,
	}, NULL);
}

/* Another process destroys the queue, and the victim lets go of what it held
 * there: the last one that had a seat frees the lanes. */
static void
letting_go_victim(void *arg)
{
	struct world *w = arg;
	const void *shown;
	pid_t pid;
	void *p;

	warm_up(w);
	p = reserve(w, 300);
	if (mproc_queue_peek(w->q, &shown, NULL, MPROC_NOWAIT) < 0)
		_exit(1);
	pid = fork();
	if (pid == 0) {
		mproc_queue_destroy(w->q);
		_exit(0);
	}
	if (waitpid(pid, NULL, 0) != pid)
		_exit(1);
	mpt_step_begin();
	if (mproc_queue_release(w->q, shown) != -ESTALE ||
	    mproc_queue_commit(w->q, p, 8) != -ESTALE)
		_exit(1);
	mpt_step_end();
}

static void
gone_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct mproc_arena_stat now;
	struct message m;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	/* The survivor's own seat was the other one. */
	assert_int_equal(mproc_queue_get(w->q, &m, sizeof(m), NULL,
					 MPROC_NOWAIT), -ESTALE);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.queues, w->before.queues);
	assert_int_equal(now.blocks, w->before.blocks);
	assert_int_equal(now.used, w->before.used);
	assert_int_equal(now.participants, w->before.participants);
}

static void
killed_while_it_lets_go_of_a_queue_that_is_gone(void **state)
{
	struct world w = { .t = *state, .queued = 1, .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "release and commit in a queue that is gone",
		.victim = letting_go_victim,
		.before = world_begin,
		.survivor = gone_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_reserve),
		mpt_test(killed_in_the_first_reserve_and_commit),
		mpt_test(killed_in_commit),
		mpt_test(killed_in_abort),
		mpt_test(killed_where_the_lane_wraps),
		mpt_test(killed_while_the_lane_gets_more_memory),
		mpt_test(killed_in_a_look),
		mpt_test(killed_in_peek_or_release_of_the_single_consumer),
		mpt_test(killed_in_release_of_the_single_consumer),
		mpt_test(killed_in_peek),
		mpt_test(killed_in_release),
		mpt_test(killed_in_a_release_that_makes_room),
		mpt_test(killed_in_a_commit_that_wakes),
		mpt_test(killed_while_it_lets_go_of_a_queue_that_is_gone),
	};

	return cmocka_run_group_tests(tests, world_setup, NULL);
}
