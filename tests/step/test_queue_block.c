/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what it does with messages that
 * lie in blocks: put, taken, reserved, shown. How they are recovered and
 * destroyed is in test_queue_block_end.c.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "block.h"

/* All of the test's messages, and @least to @most of the victim's. */
static void
expect(struct scene *s, unsigned least, unsigned most)
{
	struct found found[5];

	recover();
	take_all(s->w.q, found);
	assert_int_equal(found[BY_TEST].n, s->w.queued + s->longs);
	assert_in_range(found[BY_VICTIM].n, least, most);
	if (found[BY_VICTIM].n)
		assert_int_equal(found[BY_VICTIM].first, 0);
	end(s);
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
one_more_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	expect(arg, finished ? 2 : 1, 2);
}

static void
one_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	expect(arg, finished ? 1 : 0, 1);
}

static void
put_victim(void *arg)
{
	struct scene *s = arg;
	struct long_message m;

	warm_up(s);
	fill(&m, BY_VICTIM, 1);
	mpt_step_begin();
	may_fail(mproc_queue_put(s->w.q, &m, sizeof(m), MPROC_NOWAIT));
	mpt_step_end();
}

static void
killed_in_put(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 2 }, .longs = 1 };

	step(&s, "put, with new memory", put_victim, one_more_survivor);
	s.spare = sizeof(struct long_message);
	step(&s, "put, with a block's memory", put_victim, one_more_survivor);
}

static void
first_put_victim(void *arg)
{
	struct scene *s = arg;
	struct long_message m;

	fill(&m, BY_VICTIM, 0);
	mpt_step_begin();
	may_fail(mproc_queue_put(s->w.q, &m, sizeof(m), MPROC_NOWAIT));
	mpt_step_end();
}

/* Joining the arena, a seat, a lane, the queue's first blocks. */
static void
killed_in_the_first_put(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 2 } };

	step(&s, "first put", first_put_victim, one_survivor);
}

static void
put_many_victim(void *arg)
{
	struct scene *s = arg;
	struct long_message m;
	struct message next = message(BY_VICTIM, 2);
	struct iovec msgs[] = { { &m, sizeof(m) }, { &next, sizeof(next) } };

	warm_up(s);
	fill(&m, BY_VICTIM, 1);
	mpt_step_begin();
	may_fail(mproc_queue_put_many(s->w.q, msgs, 2, MPROC_NOWAIT));
	mpt_step_end();
}

static void
killed_in_put_many(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 2 }, .longs = 1 };

	step(&s, "put_many", put_many_victim, one_more_survivor);
}

static void
reserve_victim(void *arg)
{
	struct scene *s = arg;

	warm_up(s);
	mpt_step_begin();
	reserve(s, sizeof(struct long_message));
	mpt_step_end();
}

static void
killed_in_reserve(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 2 }, .longs = 1 };

	step(&s, "reserve", reserve_victim, nothing_more_survivor);
}

static void
reserve_much_victim(void *arg)
{
	struct scene *s = arg;

	warm_up(s);
	mpt_step_begin();
	reserve(s, MUCH);
	mpt_step_end();
}

/* The free block has too little, or much too much. */
static void
killed_while_memory_is_replaced(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 2 },
			   .spare = sizeof(struct long_message) };

	step(&s, "reserve, with more memory", reserve_much_victim,
	     nothing_more_survivor);
	s.spare = 20 * MUCH;
	step(&s, "reserve, with less memory", reserve_much_victim,
	     nothing_more_survivor);
}

static void
commit_victim(void *arg)
{
	struct scene *s = arg;
	void *p;

	warm_up(s);
	p = reserve(s, MUCH);
	fill(p, BY_VICTIM, 1);
	mpt_step_begin();
	may_fail(mproc_queue_commit(s->w.q, p, sizeof(struct long_message)));
	mpt_step_end();
}

static void
killed_in_commit(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 2 }, .longs = 1 };

	step(&s, "commit", commit_victim, one_more_survivor);
}

static void
abort_victim(void *arg)
{
	struct scene *s = arg;
	void *p;

	warm_up(s);
	p = reserve(s, MUCH);
	mpt_step_begin();
	may_fail(mproc_queue_abort(s->w.q, p));
	mpt_step_end();
}

static void
killed_in_abort(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 2 }, .longs = 1 };

	step(&s, "abort", abort_victim, nothing_more_survivor);
}

/* It becomes a consumer with the short message, which is 0. */
static void
attach_consumer(struct scene *s)
{
	struct message m;

	may_fail(mproc_queue_get(s->w.q, &m, sizeof(m), NULL, MPROC_NOWAIT));
}

static void
expect_1(const void *p, size_t len)
{
	const struct long_message *m = p;

	if (len != sizeof(*m) || !is_long_whole(m) ||
	    m->part[0].sender != BY_TEST || m->part[0].number != 1)
		_exit(1);
}

static void
get_victim(void *arg)
{
	struct scene *s = arg;
	struct long_message m;
	size_t len;

	attach_consumer(s);
	mpt_step_begin();
	may_fail(mproc_queue_get(s->w.q, &m, sizeof(m), &len, MPROC_NOWAIT));
	mpt_step_end();
	expect_1(&m, len);
}

static void
get_many_victim(void *arg)
{
	struct scene *s = arg;
	struct long_message m;
	struct iovec msgs[2];

	attach_consumer(s);
	mpt_step_begin();
	if (mproc_queue_get_many(s->w.q, &m, sizeof(m), msgs, 2,
				 MPROC_NOWAIT) != 1)
		_exit(1);
	mpt_step_end();
	expect_1(msgs[0].iov_base, msgs[0].iov_len);
}

static void
shown_victim(struct scene *s, bool step_release)
{
	const void *p;
	size_t len;

	attach_consumer(s);
	if (!step_release)
		mpt_step_begin();
	may_fail(mproc_queue_peek(s->w.q, &p, &len, MPROC_NOWAIT));
	if (!step_release)
		mpt_step_end();
	expect_1(p, len);
	if (!step_release)
		return;
	mpt_step_begin();
	may_fail(mproc_queue_release(s->w.q, p));
	mpt_step_end();
}

static void
peek_victim(void *arg)
{
	shown_victim(arg, false);
}

static void
release_victim(void *arg)
{
	shown_victim(arg, true);
}

/* The victim has taken 0. The rest is there from @least or @most on. */
static void
expect_from(struct scene *s, unsigned least, unsigned most)
{
	unsigned all = s->w.queued + s->longs;
	struct found found[5];
	size_t len;

	recover();
	len = mproc_queue_len(s->w.q);
	take_all(s->w.q, found);
	assert_in_range(found[BY_TEST].first, least, most);
	assert_int_equal(found[BY_TEST].last, all - 1);
	/* What was taken and not passed is still counted. */
	assert_in_range(len, found[BY_TEST].n, all - least);
	end(s);
}

static void
taking_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	expect_from(arg, finished ? 2 : 1, 2);
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

/* Taken by the peek, and then by nobody else. */
static void
taken_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	expect_from(arg, 2, 2);
}

static struct scene
to_be_taken(void **state, bool single)
{
	return (struct scene){
		.w = { .t = *state, .queued = 1,
		       .opts.single_consumer = single },
		.longs = 3,
	};
}

static void
killed_in_get(void **state)
{
	struct scene s = to_be_taken(state, false);

	step(&s, "get", get_victim, taking_survivor);
	step(&s, "get_many", get_many_victim, taking_survivor);
}

static void
killed_in_get_of_the_single_consumer(void **state)
{
	struct scene s = to_be_taken(state, true);

	step(&s, "get, single consumer", get_victim, taking_survivor);
	step(&s, "get_many, single consumer", get_many_victim,
	     taking_survivor);
}

static void
killed_in_peek_or_release(void **state)
{
	struct scene s = to_be_taken(state, false);

	step(&s, "peek", peek_victim, taking_survivor);
	step(&s, "release", release_victim, taken_survivor);
}

static void
killed_in_peek_or_release_of_the_single_consumer(void **state)
{
	struct scene s = to_be_taken(state, true);

	step(&s, "peek, single consumer", peek_victim, peek_survivor);
	step(&s, "release, single consumer", release_victim, taking_survivor);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_put),
		mpt_test(killed_in_the_first_put),
		mpt_test(killed_in_put_many),
		mpt_test(killed_in_reserve),
		mpt_test(killed_while_memory_is_replaced),
		mpt_test(killed_in_commit),
		mpt_test(killed_in_abort),
		mpt_test(killed_in_get),
		mpt_test(killed_in_get_of_the_single_consumer),
		mpt_test(killed_in_peek_or_release),
		mpt_test(killed_in_peek_or_release_of_the_single_consumer),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
