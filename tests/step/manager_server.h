/* SPDX-License-Identifier: MIT */
/*
 * What step tests of a manager's server start from: a server that is the victim, and is
 * killed while it is busy with one request of another process; and one that comes next,
 * on the same arena, which has a name.
 */
#ifndef STEP_MANAGER_SERVER_H
#define STEP_MANAGER_SERVER_H

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena/extent.h"
#include "common.h"
#include "manager_objects.h"

struct board {
	char address[128];
	_Atomic unsigned round, connected, done;
	_Atomic unsigned op;
	_Atomic int result; /* of the client */
	/* The client has that, and stays; kind.other waits, is through. */
	_Atomic unsigned answered, waits, passed;
	_Atomic bool end;
};

struct kind;

struct scene {
	struct mpt *t;
	struct board *b;
	mproc_arena *arena;
	struct objects ours; /* where they lie */
	const struct kind *kind;
	const struct op *ops, *op;
	int64_t count; /* of the object of a registered type; what was done stays done */
	int go[2], ask[2]; /* a byte for the client: a case begins; it is to ask */
	int client;
	struct mproc_arena_stat usage;
	bool has_usage;
};

/*
 * What requests are about.
 *
 * @find:  has all that is needed found or made, by a manager
 * @state: adds what steers it; or NULL, if the server has one thread: then all that it
 *         shares is compared
 * @register_type: of a type that has to be: they are a worker's to do, who says when it
 *         has done so; or NULL
 * @recovers: what the dead have had is given back before anybody looks
 * @aside: the victim, which is not stepped yet, once the client has asked: what is to
 *         happen before the serving that is stepped; or NULL
 * @stays: the client closes its connection when it is asked once more
 * @other: of one more process of the family, which has a part in each case, until
 *         board.end; or NULL
 */
struct kind {
	int (*find)(mproc_manager *m);
	uint64_t (*state)(uint64_t h, const mproc_arena *a, const struct objects *o);
	int (*register_type)(mproc_manager *m);
	bool recovers;
	void (*aside)(struct scene *s, mproc_manager *m);
	bool stays;
	mpt_fn *other;
};

static inline void
give_byte(int fd)
{
	while (write(fd, "", 1) < 0 && errno == EINTR)
		;
}

/* Sleeps for that. */
static inline void
take_byte(int fd)
{
	char c;

	while (read(fd, &c, 1) < 0 && errno == EINTR)
		;
}

static inline int
connect_and_find(const struct scene *s)
{
	int r = mproc_manager_connect(&objects.m, s->b->address, NULL, BOUND);

	return r < 0 ? r : s->kind->find(objects.m);
}

/* Asks once in each round. */
static inline int
be_client(struct mpt *t, void *arg)
{
	struct scene *s = arg;
	struct board *b = s->b;

	for (;;) {
		const struct op *op;

		take_byte(s->go[0]);
		if (b->end)
			break;
		op = &s->ops[b->op];
		mpt_check_int(t, connect_and_find(s), 0);
		if (op->ready)
			mpt_check_int(t, op->ready(s), 0);
		b->connected = b->round;
		take_byte(s->ask[0]);
		b->result = op->run ? op->run(s) : 0;
		b->answered = b->round;
		if (s->kind->stays)
			take_byte(s->ask[0]);
		mproc_manager_close(objects.m);
		b->done = b->round;
	}
	return 0;
}

static inline mproc_manager *
start(const struct scene *s, bool here)
{
	mproc_manager *m;

	mpt_check_int(s->t, mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
			.address = s->b->address, .arena = s->arena,
			.in_process = here)), 0);
	if (s->kind->register_type)
		mpt_check_int(s->t, s->kind->register_type(m), 0);
	return m;
}

static inline void
begin_case(void *arg)
{
	struct scene *s = arg;

	objects = s->ours;
	if (s->op->begin)
		s->op->begin(s);
	s->b->op = (unsigned)(s->op - s->ops);
	s->b->round++;
}

/* The client has asked when it is stepped, so that it need not wait. */
static inline void
be_victim(void *arg)
{
	struct scene *s = arg;
	mproc_manager *m = start(s, true);
	struct pollfd ready = { .fd = mproc_manager_fd(m), .events = POLLIN };

	give_byte(s->go[1]);
	while (s->b->connected != s->b->round)
		must_be(mproc_manager_serve(m, mproc_ms(1)), -ETIMEDOUT);
	must_be(mproc_manager_serve(m, MPROC_NOWAIT), -EAGAIN);
	give_byte(s->ask[1]);
	must_be(poll(&ready, 1, -1), 1);
	if (s->kind->aside) {
		s->kind->aside(s, m);
		must_be(poll(&ready, 1, -1), 1);
	}
	mpt_step_begin();
	must_be(mproc_manager_serve(m, MPROC_NOWAIT), -EAGAIN);
	if (s->kind->register_type) {
		must_be(poll(&ready, 1, -1), 1);
		must_be(mproc_manager_serve(m, MPROC_NOWAIT), -EAGAIN);
	}
	mpt_step_end();
}

static inline void
expect_no_growth(struct scene *s)
{
	struct mproc_arena_stat now;

	assert_true(mproc_arena_recover(s->arena) >= 0);
	assert_int_equal(mproc_arena_stat(s->arena, &now), 0);
	if (!s->has_usage)
		s->usage = now;
	s->has_usage = true;
	assert_in_range(now.used, 0, s->usage.used);
	assert_in_range(now.blocks, 0, s->usage.blocks);
	assert_in_range(now.participants, 0, s->usage.participants);
}

static inline void
end_case(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	mproc_manager *next;

	(void)victim;
	(void)n;
	/* The client has an answer, or hears that there is none. */
	mpt_until(s->t, s->b->done == s->b->round);
	assert_true(s->b->result >= 0 || s->b->result == -EPIPE);
	/* Its worker has ended with it. */
	assert_int_equal(mpt_reap_orphans(s->t), s->kind->register_type != NULL);
	next = start(s, false);
	assert_int_equal(connect_and_find(s), 0);
	if (s->kind->recovers)
		assert_true(mproc_arena_recover(s->arena) >= 0);
	s->op->check(s, finished);
	mproc_manager_close(objects.m);
	mproc_manager_close(next);
	expect_no_growth(s);
}

static inline uint64_t
state_of(void *arg)
{
	const struct scene *s = arg;
	uint32_t extents = mpr_extents_high(s->arena);
	uint64_t h = hash(UINT64_C(0xcbf29ce484222325), s->arena->shm, 512);

	h = hash(h, mpr_participant_at(s->arena, 0),
		 mpr_participants_high(s->arena) * sizeof(struct mpr_participant));
	for (uint32_t i = 0; i < extents; i++)
		h = hash(h, mpr_arena_at(s->arena, mpr_extent_offset(i)), 1024);
	return s->kind->state ? s->kind->state(h, s->arena, &s->ours) : h;
}

/* The client's end may come in the same call, or not. */
static inline void
step_ops(struct mpt *t, const struct kind *kind, const struct op *ops, unsigned n)
{
	struct scene s = { .t = t, .b = mpt_scratch(t), .kind = kind,
			   .ops = ops };
	char name[64];
	mproc_manager *m;
	int other = -1;

	memset(s.b, 0, sizeof(*s.b));
	snprintf(s.b->address, sizeof(s.b->address), "unix:/dev/shm%s",
		 mpt_name(t, name, "server"));
	mpt_name(t, name, "arena");
	assert_int_equal(mproc_arena_create(&s.arena, MPROC_OPTS(mproc_arena_opts,
			.name = name, .capacity = (size_t)64 << 20)), 0);
	/* They are made without a client. */
	m = start(&s, true);
	assert_int_equal(kind->find(m), 0);
	s.ours = objects;
	mproc_manager_close(m);
	assert_int_equal(pipe(s.go), 0);
	assert_int_equal(pipe(s.ask), 0);
	s.client = mpt_fork(t, "client", be_client, &s);
	if (kind->other)
		other = mpt_fork(t, "other", kind->other, &s);
	for (unsigned i = 0; i < n; i++) {
		s.op = &ops[i];
		s.has_usage = false;
		mpt_watchdog(t, 60);
		mpt_stepper_run(t, &(struct mpt_stepper_opts){
			.name = s.op->name,
			.victim = be_victim,
			.before = begin_case,
			.survivor = end_case,
			.fingerprint = state_of,
			.arg = &s,
			.chance = true,
			.every = 1,
			.budget = 24,
			.max_cases = 50,
		}, NULL);
	}
	s.b->end = true;
	give_byte(s.go[1]);
	mpt_expect_exit(t, s.client, 0);
	if (kind->other)
		mpt_expect_exit(t, other, 0);
	for (int i = 0; i < 2; i++) {
		close(s.go[i]);
		close(s.ask[i]);
	}
	mproc_arena_close(s.arena);
	assert_int_equal(mproc_arena_unlink(name), 0);
}

#endif
