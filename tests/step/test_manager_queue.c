/* SPDX-License-Identifier: MIT */
/*
 * A client of a manager is killed after each instruction of putting, taking, and what
 * follows that. What it has put is there as a whole or not at all, what it has taken and
 * not done is there again once, and whoever else waits goes on.
 */
#include "manager.h"

enum { SIZE = 400, MOST = 4 };

/* Found by the test and by each client. */
static struct {
	mproc_queue *plain, *ack, *narrow;
} objects;

/* What was found: how often each message. */
struct found {
	unsigned n[MOST];
};

static void
find(struct scene *s)
{
	const struct mproc_queue_opts ack = {
		.struct_size = sizeof(ack), .ack = true, .max_redeliveries = -1,
	};
	const struct mproc_queue_opts narrow = {
		.struct_size = sizeof(narrow), .max_items = 1,
	};

	mpt_check_int(s->t, mproc_manager_queue(s->m, "plain", NULL, &objects.plain), 0);
	mpt_check_int(s->t, mproc_manager_queue(s->m, "ack", &ack, &objects.ack), 0);
	mpt_check_int(s->t, mproc_manager_queue(s->m, "narrow", &narrow,
						&objects.narrow), 0);
}

static void
fill(unsigned char bytes[SIZE], unsigned number)
{
	for (unsigned i = 0; i < SIZE; i++)
		bytes[i] = (unsigned char)(number + i * 7);
}

static int
put(mproc_queue *q, unsigned number, mproc_timeout timeout)
{
	unsigned char bytes[SIZE];

	fill(bytes, number);
	return mproc_queue_put(q, bytes, SIZE, timeout);
}

/* Returns the number of a message that is whole, or an error. */
static int
get(mproc_queue *q, mproc_timeout timeout)
{
	unsigned char bytes[SIZE], whole[SIZE];
	size_t len;
	int r = mproc_queue_get(q, bytes, SIZE, &len, timeout);

	if (r < 0)
		return r;
	fill(whole, bytes[0]);
	return len == SIZE && bytes[0] < MOST && memcmp(bytes, whole, SIZE) == 0 ?
		       bytes[0] : -EBADMSG;
}

/* All that there is is taken, and done if that is to be. */
static struct found
drain(mproc_queue *q)
{
	struct found found = { { 0 } };
	int r;

	while ((r = get(q, MPROC_NOWAIT)) >= 0) {
		found.n[r]++;
		if (q == objects.ack)
			assert_int_equal(mproc_queue_task_done(q), 0);
	}
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(mproc_queue_len(q), 0);
	if (q == objects.ack)
		assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), 0);
	return found;
}

static void
put_some(mproc_queue *q, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(put(q, i, MPROC_NOWAIT), 0);
}

/*
 * Put.
 */

static void
put_run(struct scene *s)
{
	(void)s;
	may_fail(put(objects.plain, 1, BOUND));
}

static void
put_kept_run(struct scene *s)
{
	(void)s;
	may_fail(put(objects.ack, 1, BOUND));
}

static void
expect_put(mproc_queue *q, bool finished)
{
	struct found found = drain(q);

	assert_in_range(found.n[1], finished, 1);
	assert_int_equal(found.n[0] + found.n[2] + found.n[3], 0);
}

static void
put_check(struct scene *s, bool finished)
{
	(void)s;
	expect_put(objects.plain, finished);
}

static void
put_kept_check(struct scene *s, bool finished)
{
	(void)s;
	expect_put(objects.ack, finished);
}

/* There is no room. */
static void
narrow_begin(struct scene *s)
{
	(void)s;
	put_some(objects.narrow, 1);
}

static void
put_narrow_run(struct scene *s)
{
	(void)s;
	may_fail(put(objects.narrow, 1, BOUND));
}

static void
put_narrow_check(struct scene *s, bool finished)
{
	struct found found;

	(void)s;
	assert_false(finished);
	assert_int_equal(get(objects.narrow, BOUND), 0);
	/* Not that of who is dead. */
	found = drain(objects.narrow);
	assert_int_equal(found.n[0] + found.n[1], 0);
	/* Whoever comes next has room. */
	assert_int_equal(put(objects.narrow, 2, BOUND), 0);
	assert_int_equal(get(objects.narrow, BOUND), 2);
}

static const struct op put_ops[] = {
	{ "queue put", NULL, NULL, put_run, put_check },
	{ "queue put, ack", NULL, NULL, put_kept_run, put_kept_check },
	{ "queue put, no room", narrow_begin, NULL, put_narrow_run, put_narrow_check },
};

/*
 * Get.
 */

static void
get_begin(struct scene *s)
{
	(void)s;
	put_some(objects.plain, 2);
}

static void
get_run(struct scene *s)
{
	(void)s;
	may_fail(get(objects.plain, BOUND));
}

/* The one in its hands may be lost. */
static void
get_check(struct scene *s, bool finished)
{
	struct found found = drain(objects.plain);

	(void)s;
	assert_in_range(found.n[0], 0, !finished);
	assert_int_equal(found.n[1], 1);
}

static void
kept_begin(struct scene *s)
{
	(void)s;
	put_some(objects.ack, 3);
}

static void
kept_get_run(struct scene *s)
{
	(void)s;
	may_fail(get(objects.ack, BOUND));
}

/* Each once, whoever has had it. */
static void
kept_check(struct scene *s, bool finished)
{
	struct found found = drain(objects.ack);

	(void)s;
	(void)finished;
	for (int i = 0; i < 3; i++)
		assert_int_equal(found.n[i], 1);
}

static void
get_many_run(struct scene *s)
{
	unsigned char bytes[MOST * SIZE];
	struct iovec msgs[MOST];

	(void)s;
	may_fail(mproc_queue_get_many(objects.ack, bytes, sizeof(bytes), msgs, MOST,
				      BOUND));
}

static void
done_run(struct scene *s)
{
	(void)s;
	may_fail(mproc_queue_task_done(objects.ack));
}

static void
done_check(struct scene *s, bool finished)
{
	struct found found = drain(objects.ack);

	(void)s;
	assert_in_range(found.n[0], 0, !finished);
	for (int i = 1; i < 3; i++)
		assert_int_equal(found.n[i], 1);
}

static void
requeue_run(struct scene *s)
{
	(void)s;
	may_fail(mproc_queue_requeue(objects.ack));
}

static const struct op get_ops[] = {
	{ "queue get", get_begin, NULL, get_run, get_check },
	{ "queue get, ack", kept_begin, NULL, kept_get_run, kept_check },
	{ "queue get_many, ack", kept_begin, NULL, get_many_run, kept_check },
	{ "queue task_done", kept_begin, kept_get_run, done_run, done_check },
	{ "queue requeue", kept_begin, kept_get_run, requeue_run, kept_check },
};

/*
 * Get, of what comes later.
 */

static void
await_message(struct scene *s)
{
	s->b->waits = s->b->round;
	may_fail(get(objects.ack, BOUND));
}

static void
await_plain_message(struct scene *s)
{
	s->b->waits = s->b->round;
	may_fail(get(objects.plain, BOUND));
}

/* Puts one into each when somebody is about to wait for one of them. */
static void
put_when_awaited(struct scene *s, unsigned round)
{
	mpt_until(s->t, s->b->waits == round || s->b->over == round);
	mpt_check_int(s->t, put(objects.ack, 1, BOUND), 0);
	mpt_check_int(s->t, put(objects.plain, 1, BOUND), 0);
	s->b->done = round;
}

static int
be_producer(struct mpt *t, void *arg)
{
	(void)arg;
	be_other(t, find, put_when_awaited);
	return 0;
}

/* Who is not there any more has nothing. */
static void
later_check(struct scene *s, bool finished)
{
	(void)finished;
	mpt_until(s->t, s->b->done == s->b->round);
	assert_int_equal(drain(objects.ack).n[1], 1);
	assert_int_equal(drain(objects.plain).n[1], 1);
}

static void
later_plain_check(struct scene *s, bool finished)
{
	mpt_until(s->t, s->b->done == s->b->round);
	assert_int_equal(drain(objects.ack).n[1], 1);
	assert_in_range(drain(objects.plain).n[1], 0, !finished);
}

static const struct op later_ops[] = {
	{ "queue get, later, ack", NULL, NULL, await_message, later_check },
	{ "queue get, later", NULL, NULL, await_plain_message, later_plain_check },
};

static void
close_all(struct scene *s)
{
	mproc_queue_destroy(objects.plain);
	mproc_queue_destroy(objects.ack);
	mproc_queue_destroy(objects.narrow);
	close_scene(s);
}

static void
open_all(struct scene *s, struct mpt *t)
{
	open_scene(s, t, be_server, find);
	put_some(objects.plain, 1);
	assert_int_equal(drain(objects.plain).n[0], 1);
}

static void
killed_in_put(void **state)
{
	struct scene s = { .t = *state };

	open_all(&s, *state);
	step_ops(&s, put_ops, N_OPS(put_ops));
	close_all(&s);
}

static void
killed_with_a_message(void **state)
{
	struct scene s = { .t = *state };

	open_all(&s, *state);
	step_ops(&s, get_ops, N_OPS(get_ops));
	close_all(&s);
}

static void
killed_as_a_message_comes(void **state)
{
	struct scene s = { .t = *state };

	open_all(&s, *state);
	add_other(&s, "producer", be_producer);
	step_ops(&s, later_ops, N_OPS(later_ops));
	close_all(&s);
}

static int
setup(void **state)
{
	(void)state;
	return mproc_arena_default() ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_put),
		mpt_test(killed_with_a_message),
		mpt_test(killed_as_a_message_comes),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
