/* SPDX-License-Identifier: MIT */
/*
 * Defects that queues once had. Each test brings about by force what needed
 * bad luck then: a thread that stands between two certain instructions.
 */
#include <errno.h>

#include <mproc/mproc.h>

#include "arena/heap.h"
#include "arena/recover.h"
#include "common.h"
#include "ipc/attachment.h"
#include "ipc/queue_recover.h"
#include "ipc/queue_shm.h"
#include "puppet.h"
#include "sync/park.h"
#include "sync/seats.h"

#define CAPACITY 4096
#define CONSUMERS 3
#define LANE_SIZE (sizeof(struct mpr_lane) + CAPACITY)

/* It takes fewer instructions to find a lane and take it back. */
#define BEFORE_LANE 150

/* After the store in the seat, the next things that it does. */
#define BEFORE_TICKET 20

static mproc_queue *
new_queue(void)
{
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = CAPACITY)), 0);
	return q;
}

static int
put(mproc_queue *q, size_t len)
{
	static const char message[CAPACITY];

	return mproc_queue_put(q, message, len, MPROC_NOWAIT);
}

static int
get(mproc_queue *q)
{
	char message[CAPACITY];

	return mproc_queue_get(q, message, sizeof(message), NULL, MPROC_NOWAIT);
}

static struct mpr_lane *
first_lane(mproc_queue *q)
{
	return mpr_arena_at(the_arena(), q->lanes);
}

/* The participant that a process with one thread is. */
static struct mpr_participant *
participant(pid_t pid, unsigned *ret_slot)
{
	for (unsigned i = 0; i < mpr_participants_high(the_arena()); i++) {
		struct mpr_participant *p = mpr_participant_at(the_arena(), i);

		if (mpr_participant_state(p->ident) == MPR_PARTICIPANT_LIVE &&
		    p->pid == (uint32_t)pid) {
			*ret_slot = i;
			return p;
		}
	}
	return NULL;
}

static bool
waits_in_a_seat(mproc_queue *q, unsigned slot)
{
	struct mpr_seat_walk walk = { 0 };
	_Atomic uint64_t *seat;

	while ((seat = mpr_seat_next(the_arena(), &q->seats, &walk)))
		if (mpr_owner_state(*seat) == MPR_SEAT_WAITING &&
		    mpr_owner_slot(*seat) == slot)
			return true;
	return false;
}

/*
 * Stops a consumer in its sleep, with its seat saying so. Whether it is woken
 * then shows in its event word, whatever the time is. Returns that word.
 */
static _Atomic uint32_t *
stop_asleep(struct mpt *t, mproc_queue *q, int id)
{
	struct mpr_participant *p = NULL;
	unsigned slot = 0;

	for (;;) {
		mpt_until(t, (p = participant(mpt_pid(t, id), &slot)) &&
			     p->wait_object);
		mpt_pause(t, id);
		if (p->wait_object && waits_in_a_seat(q, slot))
			return &p->parker.event;
		mpt_resume(t, id);
	}
}

static int
get_until_shutdown(struct mpt *t, void *arg)
{
	char message[CAPACITY];
	int r;

	do
		r = mproc_queue_get(arg, message, sizeof(message), NULL,
				    MPROC_FOREVER);
	while (r == 0);
	mpt_check_int(t, r, -ESHUTDOWN);
	return 0;
}

static void
a_put_of_mere_padding_wakes_a_consumer(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q = new_queue();
	_Atomic uint32_t *events[2];
	uint32_t before;
	int ids[2];

	/* The first message wakes one of two, the padding the other. */
	assert_int_equal(put(q, 2000), 0);
	for (int i = 0; i < 2; i++)
		ids[i] = mpt_spawn(t, "consumer", get_until_shutdown, q);
	mpt_until(t, mproc_queue_len(q) == 0);
	for (int i = 0; i < 2; i++)
		events[i] = stop_asleep(t, q, ids[i]);
	before = *events[0] + *events[1];
	assert_int_equal(put(q, 1016), 0);
	assert_int_equal(*events[0] + *events[1], before + 1);
	/* Room enough, but not in one piece before the first is taken. */
	assert_int_equal(put(q, 2040), -EAGAIN);
	assert_int_equal(*events[0] + *events[1], before + 2);
	for (int i = 0; i < 2; i++)
		mpt_resume(t, ids[i]);
	mpt_until(t, put(q, 2040) == 0);

	assert_int_equal(mproc_queue_shutdown(q, MPROC_IMMEDIATE), 0);
	for (int i = 0; i < 2; i++)
		mpt_expect_exit(t, ids[i], 0);
	mproc_queue_destroy(q);
}

static void
put_twice(struct mpt *t, void *arg)
{
	mpt_check_int(t, put(arg, 1), 0);
	puppet_halt();
	mpt_check_int(t, put(arg, 1), 0);
}

/* A producer that has a lane, from which the test has taken all. */
static pid_t
producer(struct mpt *t, mproc_queue *q)
{
	pid_t pid = puppet_start(t, put_twice, q);

	assert_int_equal(get(q), 0);
	return pid;
}

static void
the_last_producer_wakes_all_after_a_drain(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q = new_queue();
	struct mpr_lane *lane;
	_Atomic uint32_t *event[CONSUMERS];
	uint32_t before[CONSUMERS];
	int id[CONSUMERS];
	uint64_t tail;
	pid_t pid;

	pid = producer(t, q);
	lane = first_lane(q);
	tail = lane->tail;
	/* It has passed the look at closing, and is not done yet. */
	puppet_move_until(t, pid, lane->tail != tail);
	assert_int_equal(lane->busy, 1);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	for (int i = 0; i < CONSUMERS; i++)
		id[i] = mpt_spawn(t, "consumer", get_until_shutdown, q);
	mpt_until(t, mproc_queue_len(q) == 0);
	for (int i = 0; i < CONSUMERS; i++) {
		event[i] = stop_asleep(t, q, id[i]);
		before[i] = *event[i];
	}
	puppet_run(t, pid);
	for (int i = 0; i < CONSUMERS; i++) {
		assert_int_not_equal(*event[i], before[i]);
		mpt_resume(t, id[i]);
		mpt_expect_exit(t, id[i], 0);
	}
	mpr_recover_all(the_arena(), true);
	mproc_queue_destroy(q);
}

static void
a_producer_killed_in_put_does_not_keep_a_drained_queue_open(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q = new_queue();
	struct mpr_lane *lane;
	pid_t pid;

	pid = producer(t, q);
	lane = first_lane(q);
	puppet_move_until(t, pid, lane->busy);
	puppet_kill(pid);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(lane->busy, 1);
	assert_int_equal(get(q), -ESHUTDOWN);
	mproc_queue_destroy(q);
}

static void
destroy_and_stay(struct mpt *t, void *arg)
{
	mpt_check_int(t, put(arg, 1), 0);
	puppet_halt();
	mproc_queue_destroy(arg);
	puppet_halt();
}

static void
both_of_two_who_destroy_let_go_of_the_queue(void **state)
{
	struct mpt *t = *state;
	bool was_first = false;

	for (unsigned n = 0; !was_first; n++) {
		mproc_queue *q = new_queue();
		pid_t pid;

		assert_int_equal(mproc_queue_len(q), 0); /* attaches */
		pid = puppet_start(t, destroy_and_stay, q);
		for (unsigned i = 0; i < n; i++)
			assert_true(puppet_move(t, pid));
		was_first = mpr_owner_state(q->state) != MPR_QUEUE_OPEN;
		mproc_queue_destroy(q);
		puppet_run(t, pid);
		/* Both live; nobody has a seat. */
		assert_int_equal(mpr_owner_state(q->state), MPR_QUEUE_FREE);
		puppet_kill(pid);
		mpr_recover_all(the_arena(), false);
	}
}

/* An object with seats, in the arena. */
struct object {
	struct mpr_seats seats;
	_Atomic uint32_t hint;
};

static void
wake_one(struct mpt *t, void *arg)
{
	struct object *object = arg;

	(void)t;
	puppet_halt();
	mpr_seats_wake(the_arena(), &object->seats, &object->hint, 1);
}

static void
whoever_clears_the_hint_in_error_wakes_all(void **state)
{
	struct mpt *t = *state;
	struct object *object = mproc_alloc(sizeof(*object));
	_Atomic uint64_t *seat[2];
	pid_t pid;

	object->hint = 1;
	pid = puppet_start(t, wake_one, object);
	puppet_move_until(t, pid, !object->hint);
	/* Two announce their sleep, and somebody may not have looked at their
	 * seats because of the hint. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mpr_seat_take(the_arena(), join_arena(t),
					       &object->seats, &seat[i]), 0);
		mpr_seat_wait(seat[i], &object->hint);
	}
	puppet_run(t, pid);
	assert_int_equal(object->hint, 1);
	for (int i = 0; i < 2; i++) {
		assert_true(mpr_seat_unwait(seat[i]));
		mpr_seat_leave(seat[i]);
	}
	mproc_free(object);
}

static void
get_one(struct mpt *t, void *arg)
{
	char message[CAPACITY];
	struct mpr_attachment *at;

	mpt_check_int(t, mpr_attachment_get(arg, &at), 0);
	/* Counting CPUs, once, and polling take many instructions. */
	mpt_check_int(t, mproc_queue_get(arg, message, sizeof(message), NULL,
					 mproc_us(1)), -ETIMEDOUT);
	at->patience = 1;
	puppet_halt();
	mpt_check_int(t, mproc_queue_get(arg, message, sizeof(message), NULL,
					 MPROC_FOREVER), 0);
}

/* A consumer is chosen @n instructions after it said that it will sleep. */
static void
choose_on_the_way_to_sleep(struct mpt *t, unsigned n)
{
	mproc_queue *q = new_queue();
	pid_t pid = puppet_start(t, get_one, q);
	struct mpr_participant *p;
	unsigned slot = 0;

	p = participant(pid, &slot);
	assert_non_null(p);
	puppet_move_until(t, pid, waits_in_a_seat(q, slot));
	while (n--)
		assert_true(puppet_move(t, pid));
	mpr_seats_wake_all(the_arena(), &q->seats);
	assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
	/* If it sleeps with its seat not saying so, no message wakes it. */
	mpt_until(t, p->wait_object && mpt_task_state(pid) == 'S');
	assert_true(waits_in_a_seat(q, slot) || !p->wait_object);
	assert_int_equal(put(q, 1), 0);
	assert_false(puppet_wait(t, pid));
	mproc_queue_destroy(q);
	mpr_recover_all(the_arena(), true);
}

static void
who_is_chosen_before_it_sleeps_does_not_sleep_unseen(void **state)
{
	for (unsigned n = 0; n < BEFORE_TICKET; n++)
		choose_on_the_way_to_sleep(*state, n);
}

static unsigned
headers(void)
{
	struct mpr_queue_walk walk = { 0 };
	unsigned n = 0;

	while (mpr_queue_next(the_arena(), &walk))
		n++;
	return n;
}

static void
create(struct mpt *t, void *arg)
{
	mproc_queue *q;

	(void)arg;
	join_arena(t);
	puppet_halt();
	mpt_check_int(t, mproc_queue_create(&q, NULL), 0);
	mproc_queue_destroy(q);
}

static void
a_header_that_was_linked_just_now_can_be_used(void **state)
{
	mproc_queue *q[16], *fresh;
	struct mpt *t = *state;
	unsigned n = headers(), used = 0;
	pid_t pid;

	/* Until there is no old one left that is free. */
	while (headers() == n) {
		assert_true(used < 16);
		q[used++] = new_queue();
	}
	n++;
	pid = puppet_start(t, create, NULL);
	puppet_move_until(t, pid, headers() > n);
	/* Its creator still has it BUSY, and it is free for all. */
	fresh = new_queue();
	assert_int_equal(headers(), n + 1);
	assert_int_equal(put(fresh, 1), 0);
	puppet_run(t, pid);
	assert_int_equal(put(fresh, 2), 0);
	assert_int_equal(mproc_queue_len(fresh), 2);

	mpr_recover_all(the_arena(), true);
	mproc_queue_destroy(fresh);
	while (used)
		mproc_queue_destroy(q[--used]);
}

static void
a_queue_cannot_be_freed_as_memory(void **state)
{
	mproc_queue *q = new_queue(), *other;
	void *p;

	(void)state;
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	mproc_free(q);
	p = mproc_alloc(sizeof(*q));
	other = new_queue();
	assert_ptr_not_equal(p, q);
	assert_ptr_not_equal(other, q);
	assert_int_equal(put(q, 1), 0);
	assert_int_equal(get(q), 0);
	/* Nor its lanes. */
	mproc_free(first_lane(q));
	assert_int_equal(put(q, 1), 0);
	assert_int_equal(mproc_queue_len(q), 1);
	mproc_queue_destroy(other);
	mproc_queue_destroy(q);
	mproc_free(p);
}

/* Whom to recover from. */
struct dead {
	unsigned slot;
	uint64_t ident;
};

static void
recover_queues(struct mpt *t, void *arg)
{
	const struct dead *dead = arg;

	(void)t;
	puppet_halt();
	mpr_queues_recover(the_arena(), dead->slot, dead->ident);
}

/* One that had a lane has died, and its death is announced. */
static struct dead
a_dead_producer(struct mpt *t, mproc_queue *q)
{
	pid_t pid = producer(t, q);
	struct mpr_participant *p;
	struct dead dead;

	p = participant(pid, &dead.slot);
	assert_non_null(p);
	puppet_kill(pid);
	dead.ident = (p->ident & ~UINT64_C(3)) | MPR_PARTICIPANT_DEAD;
	p->ident = dead.ident;
	return dead;
}

/* What looks most like a lane of the dead, in memory that is the user's. */
static void
fill(uint64_t *block, size_t words, unsigned slot)
{
	for (size_t i = 0; i < words; i++)
		block[i] = mpr_owner(0, slot, MPR_LANE_ACTIVE);
	block[offsetof(struct mpr_lane, next) / sizeof(*block)] = 0;
}

/* How many instructions a recoverer needs to take back the dead one's lane. */
static unsigned
count_moves(struct mpt *t)
{
	mproc_queue *q = new_queue();
	struct dead dead = a_dead_producer(t, q);
	struct mpr_lane *lane = first_lane(q);
	unsigned n = 0;
	pid_t pid;

	mproc_queue_destroy(q);
	pid = puppet_start(t, recover_queues, &dead);
	for (; mpr_owner_state(lane->owner) == MPR_LANE_ACTIVE; n++)
		assert_true(puppet_move(t, pid));
	puppet_run(t, pid);
	assert_int_equal(mpr_recover_all(the_arena(), false), 1);
	return n;
}

/* Memory of lanes goes to nothing else; suppose it did. */
static void *
take_lane_memory(struct mpt *t)
{
	struct mpr_self *self = join_arena(t);
	struct mpr_block_ref ref;

	assert_int_equal(mpr_heap_reserve_lazy(the_arena(), self, LANE_SIZE,
					       LANE_SIZE, &ref), 0);
	mpr_block_commit(self, &ref, 1, 0);
	return mpr_arena_at(the_arena(), ref.offset);
}

static void
stop_a_recoverer(struct mpt *t, unsigned n)
{
	static uint64_t expected[LANE_SIZE / sizeof(uint64_t)];
	mproc_queue *q = new_queue();
	struct dead dead = a_dead_producer(t, q);
	struct mpr_lane *lane = first_lane(q);
	uint64_t *block;
	pid_t pid;

	mproc_queue_destroy(q);
	pid = puppet_start(t, recover_queues, &dead);
	while (n--)
		assert_true(puppet_move(t, pid));
	/* Another one is faster, and someone gets the lane's memory. */
	mpr_queues_recover(the_arena(), dead.slot, dead.ident);
	assert_int_equal(mpr_owner_state(q->state), MPR_QUEUE_FREE);
	block = take_lane_memory(t);
	assert_ptr_equal(block, lane);
	fill(block, LANE_SIZE / sizeof(*block), dead.slot);
	memcpy(expected, block, LANE_SIZE);
	puppet_run(t, pid);
	assert_memory_equal(block, expected, LANE_SIZE);
	mproc_free(block);
	assert_int_equal(mpr_recover_all(the_arena(), false), 1);
}

static void
a_slow_recoverer_leaves_alone_what_was_a_lane(void **state)
{
	struct mpt *t = *state;
	unsigned last = count_moves(t);
	unsigned n = last > BEFORE_LANE ? last - BEFORE_LANE : 0;

	for (; n <= last; n++)
		stop_a_recoverer(t, n);
}

static int
setup(void **state)
{
	return with_arena(state);
}

/* A list of lanes that leads to itself had its lane freed when the queue was
 * destroyed, and once more later, when it was another queue's. */
static void
a_lane_is_not_freed_twice(void **state)
{
	mproc_queue *q = new_queue(), *others[2];
	struct mpr_lane *lanes[2];

	(void)state;
	assert_int_equal(put(q, 1), 0);
	first_lane(q)->next = q->lanes;
	mproc_queue_destroy(q);
	for (int i = 0; i < 2; i++) {
		others[i] = new_queue();
		assert_int_equal(put(others[i], 1), 0);
		lanes[i] = first_lane(others[i]);
		/* Whoever creates or destroys one looks after old ones. */
		mproc_queue_destroy(new_queue());
		mpr_queue_reap(the_arena(), mpr_self_in(the_arena()), q);
	}
	assert_ptr_not_equal(lanes[0], lanes[1]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(get(others[i]), 0);
		mproc_queue_destroy(others[i]);
	}
}

/* A nonsense capacity does not hide from destroy where the lanes are. */
static void
lanes_are_freed_whatever_the_capacity_says(void **state)
{
	static const uint64_t nonsense[] = { 16 * CAPACITY, UINT64_MAX };
	mproc_queue *q = new_queue();
	struct mproc_arena_stat before, now;

	(void)state;
	/* So that there is a header that can be used again. */
	mproc_queue_destroy(q);
	assert_int_equal(mproc_arena_stat(NULL, &before), 0);
	for (unsigned i = 0; i < 2; i++) {
		q = new_queue();
		assert_int_equal(put(q, 1), 0);
		q->capacity = nonsense[i];
		mproc_queue_destroy(q);
		assert_int_equal(mproc_arena_stat(NULL, &now), 0);
		assert_int_equal(now.blocks, before.blocks);
		assert_int_equal(now.queues, before.queues);
	}
}

static void
hold_and_destroy(struct mpt *t, void *arg)
{
	mproc_queue *q = arg;
	void *p;

	mpt_check_int(t, mproc_queue_reserve(q, 100, &p, MPROC_NOWAIT), 0);
	puppet_halt();
	mproc_queue_destroy(q);
	/* The test was faster: what is held is still ours. */
	mpt_check(t, mpr_attachment_present(q));
	memset(p, 0xff, 100);
	mpt_check_int(t, mproc_queue_abort(q, p), -ESTALE);
	mpt_check(t, !mpr_attachment_present(q));
}

/* Of two who destroy, the slower one lost what it held, if the faster one came
 * between its two looks at the state. */
static void
who_destroys_too_late_keeps_what_it_holds(void **state)
{
	struct mpt *t = *state;
	bool in_time = true;
	unsigned n;

	for (n = 0; in_time; n++) {
		mproc_queue *q = new_queue();
		pid_t pid = puppet_start(t, hold_and_destroy, q);

		for (unsigned i = 0; i < n && in_time; i++) {
			assert_true(puppet_move(t, pid));
			in_time = mpr_owner_state(q->state) == MPR_QUEUE_OPEN;
		}
		if (in_time) {
			mproc_queue_destroy(q);
			puppet_run(t, pid);
		} else {
			puppet_kill(pid);
		}
		mpr_recover_all(the_arena(), true);
		mpr_queue_reap(the_arena(), mpr_self_in(the_arena()), q);
	}
	assert_true(n > 20);
}

struct user {
	mproc_queue *q;
	bool takes;
};

static int
use_until_killed(struct mpt *t, void *arg)
{
	const struct user *u = arg;

	mpt_check_int(t, put(u->q, 1), 0);
	if (u->takes)
		mpt_check_int(t, get(u->q), 0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

/* Whether the test's thread, which only puts, is woken when one has died. */
static bool
is_woken_by_the_death_of(struct mpt *t, mproc_queue *q, bool takes)
{
	struct user *u = mproc_alloc(sizeof(*u));
	struct mpr_self *self = join_arena(t);
	uint32_t ticket;
	int id;

	assert_int_equal(put(q, 1), 0);
	*u = (struct user){ q, takes };
	id = mpt_spawn(t, "user", use_until_killed, u);
	mpt_reach(t, 1);
	ticket = mpr_park_ticket(self);
	mpt_kill(t, id);
	mpr_recover_all(the_arena(), true);
	mproc_free(u);
	return mpr_park_ticket(self) != ticket;
}

/* Where n producers died one after another, each of the others was woken each time. */
static void
a_dead_producer_wakes_no_producers(void **state)
{
	mproc_queue *q = new_queue();

	assert_false(is_woken_by_the_death_of(*state, q, false));
	mproc_queue_destroy(q);
}

/* It may have been about to wake one for the room that it has made. */
static void
a_dead_consumer_wakes_producers(void **state)
{
	mproc_queue *q = new_queue();

	assert_true(is_woken_by_the_death_of(*state, q, true));
	mproc_queue_destroy(q);
}

/* It may have been offered a block, or was about to offer one. */
static void
a_dead_producer_wakes_all_where_there_are_blocks(void **state)
{
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .max_items = 4)), 0);
	assert_true(is_woken_by_the_death_of(*state, q, false));
	mproc_queue_destroy(q);
}

/* It may be the one who has shut it down. */
static void
a_dead_producer_wakes_all_of_a_queue_that_ends(void **state)
{
	mproc_queue *q = new_queue();
	struct mpr_self *self = join_arena(*state);
	struct user *u = mproc_alloc(sizeof(*u));
	uint32_t ticket;
	int id;

	assert_int_equal(put(q, 1), 0);
	*u = (struct user){ q, false };
	id = mpt_spawn(*state, "user", use_until_killed, u);
	mpt_reach(*state, 1);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	ticket = mpr_park_ticket(self);
	mpt_kill(*state, id);
	mpr_recover_all(the_arena(), true);
	assert_true(mpr_park_ticket(self) != ticket);
	mproc_free(u);
	mproc_queue_destroy(q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_slow_recoverer_leaves_alone_what_was_a_lane),
		mpt_test(a_put_of_mere_padding_wakes_a_consumer),
		mpt_test(the_last_producer_wakes_all_after_a_drain),
		mpt_test(
		 a_producer_killed_in_put_does_not_keep_a_drained_queue_open),
		mpt_test(both_of_two_who_destroy_let_go_of_the_queue),
		mpt_test(whoever_clears_the_hint_in_error_wakes_all),
		mpt_test(who_is_chosen_before_it_sleeps_does_not_sleep_unseen),
		mpt_test(a_header_that_was_linked_just_now_can_be_used),
		mpt_test(a_queue_cannot_be_freed_as_memory),
		mpt_test(a_lane_is_not_freed_twice),
		mpt_test(lanes_are_freed_whatever_the_capacity_says),
		mpt_test(who_destroys_too_late_keeps_what_it_holds),
		mpt_test(a_dead_producer_wakes_no_producers),
		mpt_test(a_dead_consumer_wakes_producers),
		mpt_test(a_dead_producer_wakes_all_where_there_are_blocks),
		mpt_test(a_dead_producer_wakes_all_of_a_queue_that_ends),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
