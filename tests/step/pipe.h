/* SPDX-License-Identifier: MIT */
/*
 * What step tests of pipes start from: a pipe, of which the test holds one end, or both
 * are given away, and a victim that has been given what it holds. In the end nobody is
 * left who does, and so nothing of the pipe.
 */
#ifndef STEP_PIPE_H
#define STEP_PIPE_H

#include <stdlib.h>
#include <string.h>

#include "ipc/pipe_shm.h"
#include "ipc/socket_end.h"
#include "world.h"

/* Longer than anything takes here. */
#define BOUND mproc_sec(5)

struct scene {
	struct world world; /* first: arena_state() looks at it */
	mproc_conn *a, *b;  /* the test holds a, the victim b */
	unsigned messages;  /* of the test, for the victim */
	bool long_ones;
	bool both;	    /* the victim holds a, too, and the test nothing */
	bool copies;	    /* a forked child gets what the victim has */
	bool sockets;	    /* the ends are */
	uint64_t open;	    /* the state then */
	bool receives;	    /* the victim does, a file */
	int file, leads_to;
};

static inline int
make_pipe(struct scene *s)
{
	return mproc_pipe(&s->a, &s->b, MPROC_OPTS(mproc_pipe_opts,
						   .sockets = s->sockets));
}

static inline struct mpr_pipe *
pipe_of(const mproc_conn *a)
{
	return mpr_arena_at(mpr_arena_peek(), mpr_arena_offset(
		mpr_arena_peek(), a) - offsetof(struct mpr_pipe, end[0]));
}

/* The victim has a copy of the test's socket, and is to have the only one. */
static inline void
close_copies(const struct scene *s)
{
	if (!s->sockets)
		return;
	mpr_socket_end_close(s->b, s->open);
	if (s->both)
		mpr_socket_end_close(s->a, s->open);
}

/* What lies in blocks is stepped through in step/queue_block, too. */
static inline bool
in_full(void)
{
	const char *level = getenv("MPT_LEVEL");

	return level && strcmp(level, "full") == 0;
}

static inline size_t
length(const struct scene *s)
{
	return s->long_ones ? 6000 : sizeof(struct message);
}

/* The message, filled up. */
static inline void
write_message(const struct scene *s, unsigned char *bytes, uint32_t sender,
	      uint32_t number)
{
	struct message m = message(sender, number);

	memcpy(bytes, &m, sizeof(m));
	memset(bytes + sizeof(m), (int)sender, length(s) - sizeof(m));
}

static inline int
send_message(const struct scene *s, mproc_conn *c, uint32_t sender,
	     uint32_t number)
{
	unsigned char bytes[6000];

	write_message(s, bytes, sender, number);
	return mproc_conn_send(c, bytes, length(s), MPROC_NOWAIT);
}

/* All headers of pipes and of queues, made or not, too. */
static inline uint64_t
state_of(void *arg)
{
	const struct mproc_arena *a = mpr_arena_peek();
	struct mpr_queue_walk queues = { 0 };
	struct mpr_pipe_walk pipes = { 0 };
	uint64_t h = arena_state(arg);

	while (mpr_pipe_next(a, &pipes))
		h = hash(h, pipes.last, sizeof(*pipes.last));
	while (mpr_queue_next(a, &queues))
		h = hash(h, queues.last, sizeof(*queues.last));
	return h;
}

static inline void
note(struct scene *s)
{
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &s->world.before), 0);
}

static inline void
scene_begin(void *arg)
{
	struct scene *s = arg;

	note(s);
	assert_int_equal(make_pipe(s), 0);
	s->open = atomic_load(&pipe_of(s->a)->state);
	s->world.q = mpr_pipe_queue(mpr_arena_peek(), pipe_of(s->a), 1);
	for (uint32_t i = 0; i < s->messages; i++)
		assert_int_equal(send_message(s, s->a, BY_TEST, i), 0);
}

/* What a parent does for a child of its own; the stepper forks this one. */
static inline void
give(mproc_conn *c)
{
	mproc_arena *a = mpr_arena_peek();
	struct mpr_self *self;
	uint64_t parents;

	may_fail(mpr_self(a, &self));
	parents = mpr_hold_of(getppid());
	may_fail(mpr_hold_add(a, self, &c->holds, mpr_hold_mine()));
	atomic_store(&c->passed, 1);
	atomic_store(mpr_hold_find(a, &c->holds, parents), 0);
}

static inline void
be_given(const struct scene *s)
{
	give(s->b);
	if (s->both)
		give(s->a);
}

/* Headers that are in use, of pipes and of their directions. */
static inline unsigned
used_headers(void)
{
	const struct mproc_arena *a = mpr_arena_peek();
	struct mpr_queue_walk queues = { 0 };
	struct mpr_pipe_walk pipes = { 0 };
	unsigned n = 0;

	while (mpr_pipe_next(a, &pipes))
		n += mpr_owner_state(pipes.last->state) != MPR_PIPE_FREE ||
		     !mpr_hold_is_clean(a, &pipes.last->end[0].holds) ||
		     !mpr_hold_is_clean(a, &pipes.last->end[1].holds);
	while (mpr_queue_next(a, &queues))
		n += mpr_owner_state(queues.last->state) != MPR_QUEUE_FREE;
	return n;
}

static inline void
expect_nothing(const struct scene *s)
{
	struct mproc_arena_stat now;

	recover();
	assert_int_equal(used_headers(), 0);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->world.before.blocks);
	assert_int_equal(now.used, s->world.before.used);
	assert_int_equal(now.participants, s->world.before.participants);
}

/* The test finds that the victim, or what it has started, has gone. */
static inline void
find_the_end(struct scene *s, unsigned min, unsigned max)
{
	unsigned char bytes[6000], good[6000];
	unsigned n = 0;
	size_t len;
	int r;

	close_copies(s);
	recover();
	while ((r = mproc_conn_recv(s->a, bytes, sizeof(bytes), &len, BOUND)) ==
	       0) {
		write_message(s, good, BY_VICTIM, n++);
		assert_int_equal(len, length(s));
		assert_memory_equal(bytes, good, len);
	}
	assert_int_equal(r, -EPIPE);
	assert_in_range(n, min, max);
	assert_int_equal(send_message(s, s->a, BY_TEST, 9), -EPIPE);
	mproc_conn_close(s->a);
	expect_nothing(s);
}

static inline void
nothing_is_left(struct scene *s)
{
	if (s->both)
		close_copies(s);
	expect_nothing(s);
	/* There is nobody whose pipe is gone. */
	assert_int_equal(make_pipe(s), 0);
	assert_int_equal(send_message(s, s->a, BY_TEST, 0), 0);
	mproc_conn_close(s->a);
	mproc_conn_close(s->b);
}

/* Group setup: the headers of two pipes stay. */
static inline int
pipe_setup(void **state)
{
	mproc_conn *ends[4];

	if (world_setup(state) < 0 || mproc_pipe(&ends[0], &ends[1], NULL) < 0 ||
	    mproc_pipe(&ends[2], &ends[3], NULL) < 0)
		return -1;
	for (int i = 0; i < 4; i++)
		mproc_conn_close(ends[i]);
	return 0;
}

#endif
