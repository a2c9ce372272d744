/* SPDX-License-Identifier: MIT */
/*
 * Recoverers that sleep, at any instruction, while others finish their work
 * and the slot, and what its owner held, becomes somebody else's.
 */
#include <signal.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "arena/heap.h"
#include "arena/recover.h"
#include "common.h"
#include "ipc/queue_shm.h"
#include "puppet.h"

#define CAPACITY 4096

/* A recovery has fewer; and so many before a change it has decided on it. */
#define INSTRUCTIONS 4000
#define BEFORE 16

/*
 * The scene: a queue with a single consumer, whose only user has died, and a
 * recoverer that is stopped at any instruction. The test itself is no
 * participant, so the dead one had the lowest slot, and so has whoever is
 * next.
 */
struct scene {
	mproc_queue *q;
	unsigned slot;
	uint64_t ident; /* of the dead one */
};

static void
use(struct mpt *t, mproc_queue *q)
{
	unsigned value = 17;

	mpt_check_int(t, mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
	value = 0;
	mpt_check_int(t, mproc_queue_get(q, &value, sizeof(value), NULL,
					 MPROC_NOWAIT), 0);
	mpt_check_int(t, value, 17);
}

static void
make_queue(struct scene *s)
{
	assert_int_equal(mproc_queue_create(
		&s->q, MPROC_OPTS(mproc_queue_opts, .single_consumer = true,
				  .capacity = CAPACITY)), 0);
	mpr_self_leave();
}

/* Somebody uses the queue, and dies. */
static void
let_one_die(struct mpt *t, struct scene *s)
{
	struct mpr_participant *p;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		use(t, s->q);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, SIGKILL);
	s->slot = 0;
	p = mpr_participant_at(the_arena(), s->slot);
	s->ident = p->ident;
	assert_int_equal(p->pid, pid);
	assert_int_equal(mpr_participant_state(s->ident),
			 MPR_PARTICIPANT_LIVE);
}

static void
recover_slot(struct mpt *t, void *arg)
{
	struct scene *s = arg;

	(void)t;
	puppet_halt();
	mpr_recover_slot(the_arena(), s->slot);
}

static struct mpr_lane *
first_lane(mproc_queue *q)
{
	return mpr_arena_at(the_arena(), q->lanes);
}

/* All words by which one participant owns something. */
struct owned {
	uint64_t ident;
	uint64_t state, role, lanes;
	uint64_t seats[MPR_SEATS_FIRST];
	uint64_t lane;
};

static struct owned
owned_now(const struct scene *s)
{
	struct owned o = {
		.ident = mpr_participant_at(the_arena(), s->slot)->ident,
		.state = s->q->state,
		.role = s->q->role,
		.lanes = s->q->lanes,
		.lane = first_lane(s->q)->owner,
	};

	for (int i = 0; i < MPR_SEATS_FIRST; i++)
		o.seats[i] = s->q->seats.seat[i];
	return o;
}

/* After how many instructions the recoverer is stopped. */
struct plan {
	bool stop[INSTRUCTIONS];
	unsigned end;
};

/*
 * Shortly before each change that it makes, as it has decided on it by then,
 * and now and then in between.
 */
static void
make_plan(struct mpt *t, struct scene *s, struct plan *plan)
{
	unsigned step = BEFORE > amount(BEFORE) ? BEFORE / amount(BEFORE) : 1;
	struct owned was, is = owned_now(s);
	pid_t pid = puppet_start(t, recover_slot, s);
	unsigned n;

	*plan = (struct plan){ 0 };
	for (n = 0; is.ident & 3; n++) {
		assert_true(n < INSTRUCTIONS);
		was = is;
		assert_true(puppet_move(t, pid));
		is = owned_now(s);
		if (memcmp(&was, &is, sizeof(is)) == 0)
			continue;
		for (unsigned i = 0; i < BEFORE && i <= n; i += step)
			plan->stop[n - i] = true;
	}
	puppet_run(t, pid);
	plan->end = n + 1;
	step = n > amount(40) ? n / amount(40) : 1;
	for (n = 0; n < plan->end; n += step)
		plan->stop[n] = true;
}

/* A recoverer that has executed @n instructions. */
static pid_t
recoverer_after(struct mpt *t, struct scene *s, unsigned n)
{
	pid_t pid = puppet_start(t, recover_slot, s);

	while (n--)
		mpt_check(t, puppet_move(t, pid));
	return pid;
}

/* The test takes the place of the dead one, in the table and in the queue. */
static struct mpr_self *
succeed(struct mpt *t, struct scene *s)
{
	struct mpr_self *self;

	mpr_recover_slot(the_arena(), s->slot);
	assert_true(mpr_participant_at(the_arena(), s->slot)->ident ==
		    (s->ident & ~UINT64_C(3)));
	self = join_arena(t);
	assert_int_equal(self->slot, s->slot);
	assert_true(self->ident == s->ident + 4);
	return self;
}

static void
a_sleeping_recoverer_takes_nothing_from_a_successor(void **state)
{
	struct mpt *t = *state;
	struct owned before, after;
	static struct plan plan;
	struct scene s;
	pid_t pid;

	mpt_watchdog(t, 60);
	make_queue(&s);
	let_one_die(t, &s);
	make_plan(t, &s, &plan);
	for (unsigned n = 0; n < plan.end; n++) {
		if (!plan.stop[n])
			continue;
		let_one_die(t, &s);
		pid = recoverer_after(t, &s, n);
		succeed(t, &s);
		use(t, s.q);
		before = owned_now(&s);
		assert_int_equal(mpr_owner_state(before.lane),
				 MPR_LANE_ACTIVE);
		assert_int_equal(mpr_owner_state(before.role),
				 MPR_ROLE_TAKEN);
		puppet_run(t, pid);
		after = owned_now(&s);
		assert_memory_equal(&after, &before, sizeof(before));
		use(t, s.q);
		mpr_self_leave();
	}
	join_arena(t);
	mproc_queue_destroy(s.q);
}

/* Memory that was the dead one's lane is somebody else's by now, and looks
 * alike. */
static void
fill(uint64_t *p, uint64_t value)
{
	for (size_t i = 0; i < mpr_lane_size(CAPACITY) / sizeof(*p); i++)
		p[i] = value;
}

/* Lanes are lazy blocks, which users do not get: so another lane's. */
static void *
alloc_like_a_lane(struct mpt *t)
{
	struct mpr_self *self = join_arena(t);
	struct mpr_block_ref ref;

	assert_int_equal(mpr_heap_reserve_lazy(the_arena(), self,
					       mpr_lane_size(CAPACITY),
					       mpr_lane_size(CAPACITY), &ref),
			 0);
	mpr_block_commit(self, &ref, 1, 0);
	return mpr_arena_at(the_arena(), ref.offset);
}

static uint64_t *
alloc_at(struct mpt *t, void *place)
{
	void *p[100];
	unsigned n = 0;
	uint64_t *found;

	do {
		assert_in_range(n, 0, 99);
		p[n] = alloc_like_a_lane(t);
	} while (p[n++] != place);
	found = p[--n];
	while (n)
		mproc_free(p[--n]);
	return found;
}

static void
a_sleeping_recoverer_writes_into_no_memory_of_others(void **state)
{
	struct mpt *t = *state;
	struct owned before, after;
	static struct plan plan;
	uint64_t *memory, like;
	mproc_queue *old;
	struct scene s;
	void *lane;
	pid_t pid;

	mpt_watchdog(t, 60);
	make_queue(&s);
	let_one_die(t, &s);
	make_plan(t, &s, &plan);
	like = mpr_owner(MPR_EPOCH_MAX, s.slot, MPR_LANE_ACTIVE);
	for (unsigned n = 0; n < plan.end; n++) {
		if (!plan.stop[n])
			continue;
		let_one_die(t, &s);
		pid = recoverer_after(t, &s, n);
		succeed(t, &s);
		lane = first_lane(s.q);
		old = s.q;
		mproc_queue_destroy(s.q);
		memory = alloc_at(t, lane);
		fill(memory, like);
		make_queue(&s);
		assert_ptr_equal(s.q, old);
		join_arena(t);
		use(t, s.q);
		before = owned_now(&s);
		puppet_run(t, pid);
		after = owned_now(&s);
		assert_memory_equal(&after, &before, sizeof(before));
		for (size_t i = 0; i < mpr_lane_size(CAPACITY) / 8; i++)
			assert_true(memory[i] == like);
		mproc_free(memory);
		mpr_self_leave();
	}
	join_arena(t);
	mproc_queue_destroy(s.q);
}

/* Blocks of this size were the first in the heap: they are looked at first. */
#define FIRST_SIZE 100000

static void
let_one_die_with_a_block(struct mpt *t, struct scene *s,
			 struct mpr_block_ref *ref)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct mpr_block_ref *shared = mpt_scratch(t);
		struct mpr_self *self = join_arena(t);

		mpt_check_int(t, mpr_heap_reserve(the_arena(), self, FIRST_SIZE,
						  shared), 0);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, SIGKILL);
	memcpy(ref, mpt_scratch(t), sizeof(*ref));
	s->slot = 0;
	s->ident = mpr_participant_at(the_arena(), 0)->ident;
	assert_int_equal(mpr_owner_state(ref->block->state), MPR_BLOCK_BUSY);
}

static void
a_sleeping_recoverer_frees_no_block_of_a_successor(void **state)
{
	struct mpt *t = *state;
	struct mpr_block_ref ref, next;
	struct mpr_self *self;
	struct scene s;
	unsigned beyond = 0;
	uint64_t word;
	pid_t pid;

	mpt_watchdog(t, 60);
	mpr_self_leave();
	for (unsigned n = 0; beyond < 20; n++) {
		let_one_die_with_a_block(t, &s, &ref);
		pid = recoverer_after(t, &s, n);
		beyond += mpr_owner_state(ref.block->state) !=
			  MPR_BLOCK_BUSY;
		self = succeed(t, &s);
		assert_int_equal(mpr_heap_reserve(the_arena(), self, FIRST_SIZE,
						  &next), 0);
		assert_ptr_equal(next.block, ref.block);
		word = next.block->state;
		puppet_run(t, pid);
		assert_true(next.block->state == word);
		mpr_block_cancel(self, &next);
		mpr_self_leave();
	}
	join_arena(t);
}

static int
setup(void **state)
{
	void *p;

	if (with_arena(state) < 0)
		return -1;
	p = mproc_alloc(FIRST_SIZE);
	mproc_free(p);
	return p ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_sleeping_recoverer_takes_nothing_from_a_successor),
		mpt_test(a_sleeping_recoverer_writes_into_no_memory_of_others),
		mpt_test(a_sleeping_recoverer_frees_no_block_of_a_successor),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
