/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what it does with messages that
 * lie in blocks: put, taken, reserved, shown, recovered, destroyed. Afterwards
 * each block is free, or in the queue once.
 *
 * They are no longer than they have to be, as their bytes are copied step by
 * step. The arena is as small as one can be, so that its memory can run out.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena/heap.h"
#include "ipc/attachment.h"
#include "ipc/message_block.h"
#include "ipc/queue_put.h"
#include "world.h"

#define CAPACITY 4096
#define PARTS 37

/* A little more than half a lane: about as short as one in a block can be. */
struct long_message {
	struct message part[PARTS];
};

static_assert(sizeof(struct long_message) >= CAPACITY / 2, "in a block");

struct scene {
	struct world w;
	unsigned longs; /* of the test, in the queue behind its short ones */
	size_t spare;	/* memory of a free block, or 0 */
	pid_t other;
};

static void
fill(struct long_message *m, uint32_t sender, uint32_t number)
{
	for (int i = 0; i < PARTS; i++)
		m->part[i] = message(sender, number);
}

static bool
is_long_whole(const struct long_message *m)
{
	for (int i = 0; i < PARTS; i++)
		if (!is_whole(&m->part[i]) ||
		    m->part[i].sender != m->part[0].sender ||
		    m->part[i].number != m->part[0].number)
			return false;
	return true;
}

static int
put_long(mproc_queue *q, uint32_t sender, uint32_t number)
{
	struct long_message m;

	fill(&m, sender, number);
	return mproc_queue_put(q, &m, sizeof(m), MPROC_NOWAIT);
}

static void
begin(void *arg)
{
	static unsigned char bytes[MPR_BLOCK_MAX];
	struct scene *s = arg;
	struct world *w = &s->w;
	unsigned shorts = w->queued;

	w->opts.capacity = CAPACITY;
	w->queued = 0;
	world_begin(w);
	w->queued = shorts;
	if (s->spare) {
		assert_int_equal(mproc_queue_put(w->q, bytes, s->spare,
						 MPROC_NOWAIT), 0);
		assert_int_equal(mproc_queue_get(w->q, bytes, s->spare, NULL,
						 MPROC_NOWAIT), 0);
	}
	for (unsigned i = 0; i < shorts; i++)
		put(w->q, BY_TEST, i);
	for (unsigned i = 0; i < s->longs; i++)
		assert_int_equal(put_long(w->q, BY_TEST, shorts + i), 0);
}

static void
recover(void)
{
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* As drain() of world.h, of messages of both lengths. */
static void
take_all(mproc_queue *q, struct found found[5])
{
	struct long_message m;
	size_t len;
	int r;

	for (int i = 0; i < 5; i++)
		found[i] = (struct found){ 0 };
	while ((r = mproc_queue_get(q, &m, sizeof(m), &len, MPROC_NOWAIT)) ==
	       0) {
		struct message *first = &m.part[0];
		struct found *f = &found[first->sender % 5];

		assert_true(len == sizeof(m) ? is_long_whole(&m) :
			    len == sizeof(*first) && is_whole(first));
		if (f->n++)
			assert_int_equal(first->number, f->last + 1);
		else
			f->first = first->number;
		f->last = first->number;
	}
	assert_int_equal(r, -EAGAIN);
}

/* With nothing in the queue nothing is in use, and no two blocks have the same
 * memory. */
static void
expect_free_blocks(const struct scene *s)
{
	const mproc_arena *a = mpr_arena_peek();
	const _Atomic uint64_t *link = &s->w.q->blocks;
	uint64_t offset, memory[MPR_MESSAGE_GROUP];
	struct mpr_block_ref ref;
	unsigned n = 0;

	while ((offset = *link)) {
		const struct mpr_message_group *g = mpr_arena_at(a, offset);

		for (unsigned i = 0; i < MPR_MESSAGE_GROUP; i++) {
			assert_int_equal(mpr_owner_state(g->block[i].state),
					 MPR_MESSAGE_FREE);
			if (!g->block[i].memory)
				continue;
			memory[n] = g->block[i].memory;
			assert_true(mpr_heap_find(a, memory[n], &ref));
			assert_int_equal(mpr_owner_state(ref.block->state),
					 MPR_BLOCK_LINKED);
			for (unsigned j = 0; j < n; j++)
				assert_int_not_equal(memory[j], memory[n]);
			assert_in_range(++n, 1, 8);
		}
		link = &g->next;
	}
}

/* Long ones go on without more memory, and nothing is left at the end. */
static void
end(struct scene *s)
{
	struct mproc_arena_stat used, now;
	struct found found[5];

	expect_free_blocks(s);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(put_long(s->w.q, BY_SURVIVOR, i), 0);
		take_all(s->w.q, found);
		assert_int_equal(found[BY_SURVIVOR].n, 1);
		assert_int_equal(mproc_arena_stat(NULL, &now), 0);
		if (i == 0)
			used = now;
		assert_int_equal(now.used, used.used);
	}
	world_end(&s->w);
}

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

/* What else the operation changes: the first blocks. */
static uint64_t
blocks_state(void *arg)
{
	const mproc_arena *a = mpr_arena_peek();
	struct scene *s = arg;
	uint64_t h = arena_state(&s->w), group = s->w.q ? s->w.q->blocks : 0;

	return group ? hash(h, mpr_arena_at(a, group), 9 * 64) : h;
}

static void
step(struct scene *s, const char *name, void (*victim)(void *arg),
     void (*survivor)(void *arg, pid_t victim, unsigned long n, bool finished))
{
	mpt_stepper_run(s->w.t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = victim,
		.before = begin,
		.survivor = survivor,
		.fingerprint = blocks_state,
		.every = 300,
		.budget = 100,
		.arg = s,
	}, NULL);
}

static void
may_fail(int r)
{
	if (r < 0)
		_exit(1);
}

/* The victim's own lane and seat, before the operation begins. */
static void
warm_up(struct scene *s)
{
	struct message m = message(BY_VICTIM, 0);

	may_fail(mproc_queue_put(s->w.q, &m, sizeof(m), MPROC_NOWAIT));
}

static void *
reserve(struct scene *s, size_t len)
{
	void *p = NULL;

	may_fail(mproc_queue_reserve(s->w.q, len, &p, MPROC_NOWAIT));
	return p;
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

#define MUCH 4500

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

/* Has all that one can have in hands: a message that is published and not said
 * to be queued, one that is reserved, one that is shown. */
static void
hold_all(struct scene *s)
{
	struct mpr_attachment *at;
	struct mpr_reference ref;
	const void *shown;

	fill(reserve(s, sizeof(struct long_message)), BY_OTHER, 0);
	at = mpr_attachment_present(s->w.q);
	ref = mpr_message_reference(at, &at->writes,
				    sizeof(struct long_message));
	mpr_producer_put_reference(&at->producer, &ref);
	at->writes.block = NULL;
	may_fail(mproc_queue_peek(s->w.q, &shown, NULL, MPROC_NOWAIT));
	reserve(s, MUCH);
}

static void
destroy_victim(void *arg)
{
	struct scene *s = arg;

	hold_all(s);
	mpt_step_begin();
	mproc_queue_destroy(s->w.q);
	mpt_step_end();
}

static void
destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct mproc_arena_stat now;

	(void)victim;
	(void)n;
	recover();
	assert_int_equal(mproc_queue_len(s->w.q) == 0 || !finished, 1);
	mproc_queue_destroy(s->w.q);
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.queues, s->w.before.queues);
	assert_int_equal(now.blocks, s->w.before.blocks);
	assert_int_equal(now.used, s->w.before.used);
	assert_int_equal(now.participants, s->w.before.participants);
}

/* The test has a seat, so it frees them. */
static void
killed_in_destroy(void **state)
{
	struct scene s = { .w = { .t = *state }, .longs = 2 };

	step(&s, "destroy", destroy_victim, destroy_survivor);
}

/* The queue is gone, and the victim the last to let go: it frees all. */
static void
letting_go_victim(void *arg)
{
	struct scene *s = arg;
	pid_t pid;
	void *p;

	p = reserve(s, MUCH);
	pid = fork();
	if (pid == 0) {
		mproc_queue_destroy(s->w.q);
		kill(getpid(), SIGKILL);
	}
	may_fail(waitpid(pid, NULL, 0));
	may_fail(mproc_arena_recover(NULL));
	mpt_step_begin();
	if (mproc_queue_abort(s->w.q, p) != -ESTALE)
		_exit(1);
	mpt_step_end();
}

/* The test is not among those who use it. */
static void
begin_apart(void *arg)
{
	struct scene *s = arg;
	pid_t pid;
	int status;

	s->w.opts.capacity = CAPACITY;
	world_begin(&s->w);
	pid = fork();
	if (pid == 0) {
		for (uint32_t i = 0; i < 3; i++)
			may_fail(put_long(s->w.q, BY_OTHER, i));
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	recover();
}

static void
killed_while_it_frees_the_queue(void **state)
{
	struct scene s = { .w = { .t = *state } };

	mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
		.name = "abort in a queue that is gone",
		.victim = letting_go_victim,
		.before = begin_apart,
		.survivor = destroy_survivor,
		.fingerprint = blocks_state,
		.every = 300,
		.budget = 100,
		.arg = &s,
	}, NULL);
}

static void
with_a_dead_holder(void *arg)
{
	struct scene *s = arg;
	int status;
	pid_t pid;

	begin(arg);
	pid = fork();
	if (pid == 0) {
		hold_all(s);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void
recover_victim(void *arg)
{
	(void)arg;
	mpt_step_begin();
	if (mproc_arena_recover(NULL) < 1)
		_exit(1);
	mpt_step_end();
}

static void
recovered_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	take_all(s->w.q, found);
	assert_int_equal(found[BY_OTHER].n, 1);
	/* One was shown to the dead, which only the single consumer can be
	 * without having taken it. */
	assert_int_equal(found[BY_TEST].n,
			 s->w.opts.single_consumer ? s->longs : s->longs - 1);
	end(s);
}

static void
killed_while_it_recovers_a_holder(void **state)
{
	for (int single = 0; single < 2; single++) {
		struct scene s = { .w = { .t = *state,
					  .opts.single_consumer = single },
				   .longs = 2 };

		mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
			.name = single ? "recovery, single consumer" :
					 "recovery",
			.victim = recover_victim,
			.before = with_a_dead_holder,
			.survivor = recovered_survivor,
			.fingerprint = blocks_state,
			.every = 300,
		.budget = 100,
			.arg = &s,
		}, NULL);
	}
}

#define HUGE (MPR_BLOCK_MAX - 1000) /* of which there is one to the MiB */

static void *taken[16];
static unsigned n_taken;

/* There is memory for one more message of that length, it is used up, and a
 * producer sleeps because of that. */
static void
with_a_sleeping_producer(void *arg)
{
	struct scene *s = arg;
	void *p;

	s->w.opts.capacity = CAPACITY;
	world_begin(&s->w);
	assert_int_equal(put_long(s->w.q, BY_TEST, 0), 0);
	while (n_taken < 16 && (taken[n_taken] = mproc_alloc(HUGE)))
		n_taken++;
	mproc_free(taken[--n_taken]);
	assert_int_equal(mproc_queue_reserve(s->w.q, HUGE, &p, MPROC_NOWAIT),
			 0);
	fill(p, BY_TEST, 1);
	assert_int_equal(mproc_queue_commit(s->w.q, p,
					    sizeof(struct long_message)), 0);
	s->other = fork();
	if (s->other == 0) {
		may_fail(mproc_queue_reserve(s->w.q, HUGE, &p, mproc_sec(30)));
		fill(p, BY_OTHER, 0);
		_exit(mproc_queue_commit(s->w.q, p,
					 sizeof(struct long_message)) < 0);
	}
	mpt_until(s->w.t, mpt_task_state(s->other) == 'S');
}

static void
waking_release_victim(void *arg)
{
	struct scene *s = arg;
	struct long_message m;
	const void *p;

	may_fail(mproc_queue_get(s->w.q, &m, sizeof(m), NULL, MPROC_NOWAIT));
	may_fail(mproc_queue_peek(s->w.q, &p, NULL, MPROC_NOWAIT));
	mpt_step_begin();
	may_fail(mproc_queue_release(s->w.q, p));
	mpt_step_end();
}

static void
waking_release_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct found found[5];
	struct long_message m;
	int status, r;

	(void)victim;
	(void)n;
	(void)finished;
	/* Not a word to the producer: it must notice by itself. Only what the
	 * single consumer was shown may be there still, for us to take. */
	if (s->w.opts.single_consumer) {
		r = mproc_queue_get(s->w.q, &m, sizeof(m), NULL, MPROC_NOWAIT);
		assert_true(r == 0 || r == -EAGAIN);
	}
	assert_int_equal(waitpid(s->other, &status, 0), s->other);
	assert_int_equal(status, 0);
	recover();
	take_all(s->w.q, found);
	assert_true(found[BY_TEST].n == 0);
	assert_true(found[BY_OTHER].n == 1 || m.part[0].sender == BY_OTHER);
	while (n_taken)
		mproc_free(taken[--n_taken]);
	end(s);
}

static void
killed_in_a_release_that_makes_room(void **state)
{
	for (int single = 0; single < 2; single++) {
		struct scene s = { .w = { .t = *state,
					  .opts.single_consumer = single } };

		mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
			.name = "release that makes room",
			.victim = waking_release_victim,
			.before = with_a_sleeping_producer,
			.survivor = waking_release_survivor,
			.fingerprint = blocks_state,
			.every = 1,
			.budget = 30,
			.max_cases = 50,
			.arg = &s,
		}, NULL);
	}
}

static int
setup(void **state)
{
	int r = mproc_arena_configure_default(MPROC_OPTS(
		mproc_arena_opts, .capacity = (size_t)16 << 20));

	return r < 0 ? r : world_setup(state);
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
		mpt_test(killed_in_destroy),
		mpt_test(killed_while_it_frees_the_queue),
		mpt_test(killed_while_it_recovers_a_holder),
		mpt_test(killed_in_a_release_that_makes_room),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
