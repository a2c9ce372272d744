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

/* Longer than anything takes here. */
#define BOUND mproc_sec(20)

struct board {
	char address[128];
	_Atomic unsigned round, connected, done;
	_Atomic unsigned op;
	_Atomic int result; /* of the client */
	_Atomic bool end;
};

struct objects {
	mproc_manager *m;
	mproc_dict *d;
	mproc_list *l;
	uint64_t *a;
	mproc_lock *lock;
	mproc_semaphore *plain, *undo;
	mproc_event *event;
	mproc_condition *condition;
	mproc_barrier *barrier;
	mproc_queue *queue, *ack;
};

struct kind;
struct op;

struct scene {
	struct mpt *t;
	struct board *b;
	mproc_arena *arena;
	struct objects ours;  /* where they lie */
	struct objects found; /* by a client of the server that comes next */
	const struct kind *kind;
	const struct op *ops, *op;
	int64_t count; /* of the object of a registered type; what was done stays done */
	int go[2], ask[2]; /* a byte for the client: a case begins; it is to ask */
	int client;
	struct mproc_arena_stat usage;
	bool has_usage;
};

/*
 * A request.
 *
 * @begin: the test makes things as they are to be; or NULL
 * @ready: the client, before; or NULL
 * @run:   the client; returns what its call has returned. NULL: it closes its connection
 * @check: the test, by the next server; @finished: it was carried out
 */
struct op {
	const char *name;
	void (*begin)(const struct objects *o);
	int (*ready)(const struct objects *o);
	int (*run)(const struct objects *o);
	void (*check)(struct scene *s, const struct objects *o, bool finished);
};

/*
 * What requests are about.
 *
 * @find:  has all that is needed found or made, by a manager
 * @state: adds what steers it; or NULL, if the server has one thread: then all that it
 *         shares is compared
 * @calls: of a registered type: they are a worker's to do, who says when it has done so
 */
struct kind {
	int (*find)(mproc_manager *m, struct objects *o);
	uint64_t (*state)(uint64_t h, const mproc_arena *a, const struct objects *o);
	bool calls;
};

/*
 * A registered type. A method is one store, so that there is nothing to put in order.
 */

static inline int
add(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	int64_t *sum = state;

	(void)n;
	*sum += args[0].i64;
	*ret = mproc_int(*sum);
	return 0;
}

static inline int
is_in_order(void *state)
{
	(void)state;
	return 0;
}

static inline int
register_type(mproc_manager *m)
{
	static const struct mproc_type_method methods[] = { { "add", "i", add } };

	return mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "counter", .state_size = sizeof(int64_t),
			.methods = methods, .n_methods = 1, .workers = 1,
			.recover = is_in_order));
}

/*
 * The client, the victim, and the next server.
 */

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

/* Asks once in each round. */
static inline int
be_client(struct mpt *t, void *arg)
{
	struct scene *s = arg;
	struct board *b = s->b;
	struct objects o;
	mproc_manager *m;

	for (;;) {
		const struct op *op;

		take_byte(s->go[0]);
		if (b->end)
			break;
		op = &s->ops[b->op];
		mpt_check_int(t, mproc_manager_connect(&m, b->address, NULL, BOUND), 0);
		mpt_check_int(t, s->kind->find(m, &o), 0);
		if (op->ready)
			mpt_check(t, op->ready(&o) >= 0);
		b->connected = b->round;
		take_byte(s->ask[0]);
		b->result = op->run ? op->run(&o) : 0;
		mproc_manager_close(m);
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
	if (s->kind->calls)
		mpt_check_int(s->t, register_type(m), 0);
	return m;
}

static inline void
begin_case(void *arg)
{
	struct scene *s = arg;

	if (s->op->begin)
		s->op->begin(&s->ours);
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
	mpt_step_begin();
	must_be(mproc_manager_serve(m, MPROC_NOWAIT), -EAGAIN);
	if (s->kind->calls) {
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
	mproc_manager *next, *m;

	(void)victim;
	(void)n;
	/* The client has an answer, or hears that there is none. */
	mpt_until(s->t, s->b->done == s->b->round);
	assert_true(s->b->result >= 0 || s->b->result == -EPIPE);
	/* Its worker has ended with it. */
	assert_int_equal(mpt_reap_orphans(s->t), s->kind->calls);
	next = start(s, false);
	assert_int_equal(mproc_manager_connect(&m, s->b->address, NULL, BOUND), 0);
	assert_int_equal(s->kind->find(m, &s->found), 0);
	s->op->check(s, &s->found, finished);
	mproc_manager_close(m);
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

	memset(s.b, 0, sizeof(*s.b));
	snprintf(s.b->address, sizeof(s.b->address), "unix:/dev/shm%s",
		 mpt_name(t, name, "server"));
	mpt_name(t, name, "arena");
	assert_int_equal(mproc_arena_create(&s.arena, MPROC_OPTS(mproc_arena_opts,
			.name = name, .capacity = (size_t)64 << 20)), 0);
	/* They are made without a client. */
	m = start(&s, true);
	assert_int_equal(kind->find(m, &s.ours), 0);
	mproc_manager_close(m);
	assert_int_equal(pipe(s.go), 0);
	assert_int_equal(pipe(s.ask), 0);
	s.client = mpt_fork(t, "client", be_client, &s);
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
	for (int i = 0; i < 2; i++) {
		close(s.go[i]);
		close(s.ask[i]);
	}
	mproc_arena_close(s.arena);
	assert_int_equal(mproc_arena_unlink(name), 0);
}

#define N_OPS(ops) ((unsigned)(sizeof(ops) / sizeof((ops)[0])))

#endif
