/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what makes and ends a queue that
 * keeps its messages. It has two headers, its own and that of its dead letters:
 * both are there, or neither, whatever state the kill leaves them in.
 */
#include <string.h>

#include "arena/heap.h"
#include "base/fault.h"
#include "ipc/attachment.h"
#include "ipc/message_priv.h"
#include "keep.h"

#define FREE_MAX 2000

/* What is used up, so that the victim finds so many FREE headers. */
static mproc_queue *used[FREE_MAX];
static unsigned n_used;

static unsigned
free_headers(void)
{
	struct mpr_queue_walk walk = { 0 };
	unsigned n = 0;
	mproc_queue *q;

	while ((q = mpr_queue_next(mpr_arena_peek(), &walk)))
		n += mpr_owner_state(q->state) == MPR_QUEUE_FREE;
	return n;
}

static void
leave_headers(unsigned n)
{
	recover();
	while (free_headers() > n) {
		assert_in_range(n_used, 0, FREE_MAX - 1);
		assert_int_equal(mproc_queue_create(&used[n_used++], NULL), 0);
	}
}

static void
give_headers_back(void)
{
	while (n_used)
		mproc_queue_destroy(used[--n_used]);
}

/* The queue that nobody but the victim knew of, or NULL. */
static mproc_queue *
find_queue(void)
{
	struct mpr_queue_walk walk = { 0 };
	mproc_queue *q;

	while ((q = mpr_queue_next(mpr_arena_peek(), &walk)))
		if (mpr_owner_state(q->state) == MPR_QUEUE_OPEN &&
		    strcmp(q->name, "victim's") == 0 &&
		    !(q->flags & MPR_QUEUE_DEAD_LETTERS))
			return q;
	return NULL;
}

/* It does all that is asked of it. */
static void
use(struct scene *s)
{
	assert_int_equal(mproc_queue_dead_letters(s->w.q, &s->dlq), 0);
	s->w.queued = 1;
	put(s->w.q, BY_TEST, 0);
	assert_int_equal(count_deaths(s, 0, 0), 0);
	assert_int_equal(mproc_queue_join(s->w.q, MPROC_NOWAIT), 0);
	s->w.queued = 0;
}

/* As it was before, or with @more headers. */
static void
expect_gone(struct scene *s, unsigned more)
{
	struct mproc_arena_stat now;
	mproc_queue *q;

	/* Creating looks through what is gone. */
	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	mproc_queue_destroy(q);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.queues, s->w.before.queues);
	assert_in_range(now.blocks, s->w.before.blocks,
			s->w.before.blocks + more);
	assert_int_equal(now.participants, s->w.before.participants);
}

/* All headers. */
static uint64_t
headers_state(void *arg)
{
	struct mpr_queue_walk walk = { 0 };
	uint64_t h = arena_state(NULL);
	mproc_queue *q;

	(void)arg;
	while ((q = mpr_queue_next(mpr_arena_peek(), &walk)))
		h = hash(h, q, sizeof(*q));
	return h;
}

struct creation {
	struct scene s;
	unsigned headers; /* that are FREE */
};

static void
before_create(void *arg)
{
	struct creation *c = arg;

	leave_headers(c->headers);
	assert_int_equal(mproc_arena_stat(NULL, &c->s.w.before), 0);
	c->s.w.q = NULL;
	c->s.dlq = NULL;
	c->s.w.opts = (struct mproc_queue_opts){
		.struct_size = sizeof(c->s.w.opts),
		.name = "victim's",
		.ack = true,
		.max_redeliveries = 1,
	};
}

static void
create_victim(void *arg)
{
	struct creation *c = arg;
	mproc_queue *q;

	mproc_free(mproc_alloc(1)); /* joins */
	mpt_step_begin();
	may_fail(mproc_queue_create(&q, &c->s.w.opts));
	mpt_step_end();
}

static void
create_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct creation *c = arg;
	struct mproc_arena_stat now;

	(void)victim;
	(void)n;
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	c->s.w.q = find_queue();
	assert_true(c->s.w.q || !finished);
	assert_int_equal(now.queues, c->s.w.before.queues +
				     (c->s.w.q ? 2 : 0));
	if (c->s.w.q) {
		use(&c->s);
		mproc_queue_destroy(c->s.w.q);
		c->s.w.q = NULL;
	}
	expect_gone(&c->s, 2);
	give_headers_back();
}

static void
killed_in_create(void **state)
{
	static const char *const names[] = {
		"create, with two new headers", "create, with a new header",
		"create",
	};
	struct creation c = { .s.w.t = *state };

	for (c.headers = 0; c.headers < 3; c.headers++)
		mpt_stepper_run(c.s.w.t, &(struct mpt_stepper_opts){
			.name = names[c.headers],
			.victim = create_victim,
			.before = before_create,
			.survivor = create_survivor,
			.fingerprint = headers_state,
			.every = 1,
			.budget = 100,
			.arg = &c,
		}, NULL);
}

/* The test's own seat there is given back. */
static void
notice_the_end(mproc_queue *dlq)
{
	struct letter letter;

	assert_int_equal(mproc_queue_get(dlq, &letter, sizeof(letter), NULL,
					 MPROC_NOWAIT), -ESTALE);
}

/* The queue is destroyed, and its dead letters with it; or it is whole. */
static void
whole_or_gone(struct scene *s, bool finished)
{
	struct mproc_queue_stat st;
	int r;

	recover();
	r = mproc_queue_stat(s->w.q, &st);
	assert_true(r == -ESTALE || (r == 0 && !finished));
	if (r == 0) {
		assert_int_equal(count_deaths(s, 0, 0), 0);
		mproc_queue_destroy(s->w.q);
	}
	notice_the_end(s->dlq);
	expect_gone(s, 0);
}

static void
destroy_victim(void *arg)
{
	struct scene *s = arg;
	struct message m;

	/* It uses both. */
	may_fail((int)mproc_queue_len(s->w.q));
	must_be(mproc_queue_get(s->dlq, &m, sizeof(m), NULL, MPROC_NOWAIT),
		-EAGAIN);
	mpt_step_begin();
	mproc_queue_destroy(s->w.q);
	mpt_step_end();
}

static void
unused_destroy_victim(void *arg)
{
	struct scene *s = arg;

	mproc_free(mproc_alloc(1)); /* joins */
	mpt_step_begin();
	mproc_queue_destroy(s->w.q);
	mpt_step_end();
}

/* The victim cannot attach, and has no seat. */
static void
poor_destroy_victim(void *arg)
{
	mproc_free(mproc_alloc(1)); /* joins */
	may_fail(mpr_fault_set("malloc:1+"));
	mpt_step_begin();
	mproc_queue_destroy(((struct scene *)arg)->w.q);
	mpt_step_end();
}

/* With a message that it has. */
static void
holder_destroy_victim(void *arg)
{
	struct scene *s = arg;

	take(s->w.q, 0);
	must_be(mproc_queue_requeue(s->w.q), 0);
	take(s->w.q, 0);
	must_be(mproc_queue_requeue(s->w.q), 0);
	destroy_victim(arg);
}

static void
destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	whole_or_gone(arg, finished);
}

static void
killed_in_destroy(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 1, .opts.ack = true,
				  .opts.max_redeliveries = 1 } };

	step(&s, "destroy", begin, destroy_victim, destroy_survivor);
	step(&s, "destroy without having used it", begin,
	     unused_destroy_victim, destroy_survivor);
	step(&s, "destroy after a message has come back", begin,
	     holder_destroy_victim, destroy_survivor);
}

#define GROUPS 3

/* The heap's words of the groups of blocks. */
static struct mpr_block *group_words[GROUPS];

/* As if more messages had been in the queue than one group can hold. */
static void
add_groups(mproc_queue *q)
{
	struct mpr_attachment *at;

	may_fail(mpr_attachment_get(q, &at));
	for (int i = 1; i < GROUPS; i++)
		may_fail(mpr_message_add_group(at));
}

static void
note_groups(mproc_queue *q)
{
	const mproc_arena *a = mpr_arena_peek();
	const _Atomic uint64_t *link = &q->blocks;
	const struct mpr_message_group *group;
	struct mpr_block_ref ref;

	for (int i = 0; i < GROUPS; i++) {
		assert_true(mpr_heap_find(a, *link, &ref));
		group_words[i] = ref.block;
		group = mpr_arena_at(a, *link);
		link = &group->next;
	}
	assert_int_equal(*link, 0);
}

/* With whose the groups are, and their homes. */
static uint64_t
groups_state(void *arg)
{
	uint64_t h = kept_state(arg);

	for (int i = 0; i < GROUPS; i++)
		h = hash(h, group_words[i], sizeof(*group_words[i]));
	return h;
}

/* Neither the test nor anybody else uses the queue. */
static void
begin_unused(void *arg)
{
	struct scene *s = arg;
	pid_t pid;

	recover();
	assert_int_equal(mproc_arena_stat(NULL, &s->w.before), 0);
	s->w.opts.struct_size = sizeof(s->w.opts);
	assert_int_equal(mproc_queue_create(&s->w.q, &s->w.opts), 0);
	s->dlq = mpr_queue_partner(mpr_arena_peek(), s->w.q);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct message m = message(BY_TEST, 0);

		may_fail(mproc_queue_put(s->w.q, &m, sizeof(m), MPROC_NOWAIT));
		add_groups(s->w.q);
		_exit(0);
	}
	wait_for_exit(pid);
	recover();
	note_groups(s->w.q);
}

static void
killed_in_destroy_of_a_queue_that_nobody_uses(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 1, .opts.ack = true,
				  .opts.max_redeliveries = 1 } };

	mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
		.name = "destroy of a queue that nobody uses",
		.victim = unused_destroy_victim,
		.before = begin_unused,
		.survivor = destroy_survivor,
		.fingerprint = groups_state,
		.every = 120,
		.budget = 80,
		.arg = &s,
	}, NULL);
}

/* Somebody reads dead letters, of which there are none, and who looks for them
 * has a seat in the queue as well. */
static void
with_a_sleeping_reader(void *arg)
{
	struct scene *s = arg;

	begin(s);
	recover();
	s->other = fork();
	assert_true(s->other >= 0);
	if (s->other == 0) {
		struct letter letter;

		must_be(mproc_queue_get(s->dlq, &letter, sizeof(letter), NULL,
					MPROC_FOREVER), -ESHUTDOWN);
		must_be(mproc_queue_get(s->dlq, &letter, sizeof(letter), NULL,
					MPROC_FOREVER), -ESTALE);
		_exit(0);
	}
	mpt_until(s->w.t, look(s->dlq).sleeping_consumers == 1);
}

static void
read_destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct mproc_queue_stat st;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	if (mproc_queue_stat(s->w.q, &st) == 0)
		mproc_queue_destroy(s->w.q);
	wait_for_exit(s->other);
	recover();
	notice_the_end(s->dlq);
	expect_gone(s, 0);
}

static void
killed_in_destroy_while_dead_letters_are_waited_for(void **state)
{
	struct scene s = { .w = { .t = *state, .queued = 1, .opts.ack = true,
				  .opts.max_redeliveries = 1 },
			   .n_dead_with = 1 };

	step(&s, "destroy with a reader of dead letters",
	     with_a_sleeping_reader, unused_destroy_victim,
	     read_destroy_survivor);
	step(&s, "destroy without memory, with a reader of dead letters",
	     with_a_sleeping_reader, poor_destroy_victim,
	     read_destroy_survivor);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_create),
		mpt_test(killed_in_destroy),
		mpt_test(killed_in_destroy_of_a_queue_that_nobody_uses),
		mpt_test(killed_in_destroy_while_dead_letters_are_waited_for),
	};

	return cmocka_run_group_tests(tests, keep_setup, NULL);
}
