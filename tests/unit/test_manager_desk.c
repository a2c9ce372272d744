/* SPDX-License-Identifier: MIT */
/*
 * The desk of a manager's server, without sockets: what happens between two of its steps
 * is what the test does there.
 */
#include <errno.h>

#include <mproc/mproc.h>

#include "common.h"
#include "containers/remote.h"
#include "manager/codec.h"
#include "manager/desk_priv.h"
#include "os/epoll.h"
#include "sync/cell.h"
#include "sync/remote.h"

#define ID 6
#define MEMORY ((size_t)4 << 20)
#define CLIENTS 4

static struct {
	struct mpr_served_by by;
	struct mpr_desk *desk;
	int set;
	struct mpr_budget budget;
	struct mpr_served clients[CLIENTS];
	int64_t numbers; /* of requests: that and the thread's */
} world;

static void
tell(struct mpr_served_by *by, struct mpr_served *c)
{
	(void)by;
	(void)c;
}

static void
open_desk(void)
{
	memset(&world, 0, sizeof(world));
	world.by.max_message = 10000;
	world.budget.left = MEMORY;
	world.set = mpr_epoll_open();
	assert_true(world.set >= 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct mpr_served *c = &world.clients[i];

		c->budget = (struct mpr_budget){ MEMORY / 2, &world.budget };
		c->in.budget = c->out.budget = &c->budget;
	}
	assert_int_equal(mpr_desk_open(&world.desk, the_arena(), &world.by, world.set,
				       ID, tell), 0);
}

static void
close_desk(void)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		mpr_desk_leave(world.desk, &world.clients[i]);
		mpr_buffer_end(&world.clients[i].out);
	}
	/* All of it was given back. */
	assert_int_equal(world.budget.left, MEMORY);
	mpr_desk_close(world.desk);
	mpr_epoll_close(world.set);
}

static struct mpr_object
object_of(void *object, enum mpr_cell_kind kind)
{
	return (struct mpr_object){
		.object = object,
		.kind = kind,
		.generation = atomic_load(&((struct mpr_cell *)object)->generation),
	};
}

static struct mpr_object
new_object(enum mpr_cell_kind kind)
{
	void *object;

	assert_int_equal(mpr_cell_create(kind, &object), 0);
	mpr_cell_open(object, 0);
	return object_of(object, kind);
}

static void
end_object(const struct mpr_object *o)
{
	mpr_cell_destroy(o->kind, o->object, 0);
}

/* Of thread @thread of client @i. */
static int
ask(unsigned i, int64_t thread, unsigned op, const struct mpr_object *o,
    const struct mpr_object *other, int64_t time)
{
	struct mpr_remote_call call = {
		.op = (enum mpr_remote_op)op,
		.n_args = 1,
		.args = { mproc_int(thread) },
	};

	if (other)
		call.args[call.n_args++] = mproc_int(1);
	if (op == MPR_OP_ACQUIRE || op == MPR_OP_CONDITION_WAIT ||
	    op == MPR_OP_BARRIER_WAIT)
		call.args[call.n_args++] = mproc_int(time);
	return mpr_desk_serve(world.desk, &world.clients[i], world.numbers + thread, o,
			      other, &call);
}

static int
acquire(unsigned i, int64_t thread, const struct mpr_object *lock)
{
	return ask(i, thread, MPR_OP_ACQUIRE, lock, NULL, -1);
}

static int
release(unsigned i, int64_t thread, const struct mpr_object *lock)
{
	return ask(i, thread, MPR_OP_RELEASE, lock, NULL, 0);
}

static int
wait_for(unsigned i, int64_t thread, const struct mpr_object *c,
	 const struct mpr_object *lock)
{
	return ask(i, thread, MPR_OP_CONDITION_WAIT, c, lock, -1);
}

/* Whether the request was answered: how, the last time. */
static bool
is_answered(unsigned i, int64_t number, int64_t *ret_r)
{
	const struct mpr_buffer *out = &world.clients[i].out;
	struct mpr_message m;
	struct mpr_frame f;
	size_t at = out->from;
	bool found = false;

	while (mpr_codec_next(&f, out->bytes + at, out->to - at, 10000) == 1) {
		assert_int_equal(mpr_codec_read(&m, f.message, f.len), 0);
		if (m.values[0].i64 == number) {
			*ret_r = m.values[1].i64;
			found = true;
		}
		at += f.whole;
	}
	return found;
}

/* As the server does when something has happened. */
static bool
go_on(void)
{
	struct mpr_epoll_ready ready[4];

	if (mpr_epoll_look(world.set, ready, 4, 1) > 0)
		mpr_desk_hear(world.desk);
	(void)mpr_desk_look(world.desk);
	return true;
}

static void
expect_answer(struct mpt *t, unsigned i, int64_t number, int64_t r)
{
	int64_t said = 1000;

	mpt_until(t, go_on() && is_answered(i, number, &said));
	assert_int_equal(said, r);
	mpr_buffer_drop(&world.clients[i].out, mpr_buffer_len(&world.clients[i].out),
			true);
}

/* Who waits in the family, in the scratch bytes. */
struct beside {
	mproc_lock *lock;
	mproc_condition *condition;
	mproc_barrier *barrier;
	_Atomic unsigned waits, passed, asked, called;
};

static int
wait_beside(struct mpt *t, void *arg)
{
	struct beside *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(b->lock, mproc_sec(20)), 0);
	b->waits = 1;
	mpt_check_int(t, mproc_condition_wait(b->condition, b->lock, mproc_sec(10)), 0);
	return mproc_lock_release(b->lock);
}

/* It waits when that is over. */
static void
let_wait_beside(struct mpt *t, const struct mpr_object *lock, const struct mpr_object *c)
{
	struct beside *b = mpt_scratch(t);

	b->lock = lock->object;
	b->condition = c->object;
	mpt_fork(t, "beside", wait_beside, NULL);
	mpt_until(t, b->waits);
	assert_int_equal(mproc_lock_acquire(b->lock, mproc_sec(20)), 0);
	assert_int_equal(mproc_lock_release(b->lock), 0);
}

static const struct mpr_object *notified;

/* In the place of mpr_post_lock's. */
static int
notify_two_and_fail(struct mpr_post *p, const struct mpr_lease *lease, bool died)
{
	(void)p;
	(void)lease;
	(void)died;
	assert_int_equal(mproc_condition_notify(notified->object, 2), 2);
	return -ESTALE;
}

/* Between the place in the line and the lock that is given back, which fails: a call
 * that was for the one who does not wait after all is not lost. */
static void
who_does_not_wait_after_all_takes_no_call(void **state)
{
	struct mpt *t = *state;
	struct mpr_object c = new_object(MPR_CELL_CONDITION);
	struct mpr_object l1 = new_object(MPR_CELL_LOCK), l2 = new_object(MPR_CELL_LOCK);
	struct mpr_object l3 = new_object(MPR_CELL_LOCK);
	struct mpr_post_ops ops = mpr_post_lock;
	struct mpr_post *p;

	open_desk();
	assert_int_equal(acquire(0, 1, &l1), 0);
	assert_int_equal(wait_for(0, 1, &c, &l1), MPR_KEPT);
	let_wait_beside(t, &l3, &c);
	assert_int_equal(acquire(1, 1, &l2), 0);
	p = mpr_post_find(world.desk, l2.object, l2.generation);
	notified = &c;
	ops.give = notify_two_and_fail;
	p->ops = &ops;
	assert_int_equal(wait_for(1, 1, &c, &l2), -ESTALE);
	p->ops = &mpr_post_lock;
	expect_answer(t, 0, 1, 0);
	mpt_join_all(t);
	close_desk();
	end_object(&c);
	end_object(&l1);
	end_object(&l2);
	end_object(&l3);
}

/* While clients wait for a condition it is destroyed, and another one is there. Who is
 * notified there waits for that one. */
static void
a_call_is_not_for_those_of_the_condition_before(void **state)
{
	enum { WAIT = 2 };
	struct mpt *t = *state;
	struct mpr_object c = new_object(MPR_CELL_CONDITION), other;
	struct mpr_object l[WAIT], l3 = new_object(MPR_CELL_LOCK);

	open_desk();
	for (unsigned i = 0; i < WAIT; i++) {
		l[i] = new_object(MPR_CELL_LOCK);
		assert_int_equal(acquire(i, 1, &l[i]), 0);
		assert_int_equal(wait_for(i, 1, &c, &l[i]), MPR_KEPT);
	}
	end_object(&c);
	other = new_object(MPR_CELL_CONDITION);
	assert_ptr_equal(other.object, c.object);
	let_wait_beside(t, &l3, &other);
	/* Those of the one before have come first. */
	assert_int_equal(mproc_condition_notify(other.object, 1), 1);
	for (unsigned i = 0; i < WAIT; i++)
		expect_answer(t, i, 1, -ESHUTDOWN);
	mpt_join_all(t);
	close_desk();
	for (unsigned i = 0; i < WAIT; i++)
		end_object(&l[i]);
	end_object(&other);
	end_object(&l3);
}

static struct mpr_crowd_place *
place_of(const struct mpr_object *c)
{
	return mpr_post_find(world.desk, c->object, c->generation)->crowd.place;
}

/* It is there until the last one that was called has given its lock back, by waiting
 * again, too, or is gone; who comes meanwhile is the first one. */
static void
a_crowd_ends_when_all_are_back(void **state)
{
	struct mpt *t = *state;
	struct mpr_object c, l1, l2;
	struct mpr_crowd_place *place;
	int64_t since;

	for (unsigned leaves = 0; leaves < 2; leaves++) {
		c = new_object(MPR_CELL_CONDITION);
		l1 = new_object(MPR_CELL_LOCK);
		l2 = new_object(MPR_CELL_LOCK);
		open_desk();
		assert_int_equal(acquire(0, 1, &l1), 0);
		assert_int_equal(wait_for(0, 1, &c, &l1), MPR_KEPT);
		assert_int_equal(acquire(1, 1, &l1), 0);
		place = place_of(&c);
		since = place->since;
		assert_int_equal(mproc_condition_notify(c.object, 1), 1);
		mpt_until(t, go_on() && !mpr_crowd_waiting(place->count));
		assert_ptr_equal(place_of(&c), place);
		assert_int_equal(acquire(2, 2, &l2), 0);
		assert_int_equal(wait_for(2, 2, &c, &l2), MPR_KEPT);
		assert_ptr_equal(place_of(&c), place);
		assert_true(place->since > since);
		assert_int_equal(mproc_condition_notify(c.object, 1), 1);
		expect_answer(t, 2, 2, 0);
		assert_ptr_equal(place_of(&c), place);
		if (leaves)
			mpr_desk_leave(world.desk, &world.clients[0]);
		assert_int_equal(release(1, 1, &l1), 0);
		if (!leaves) {
			expect_answer(t, 0, 1, 0);
			assert_int_equal(release(2, 2, &l2), 0);
			assert_ptr_equal(place_of(&c), place);
			assert_int_equal(release(0, 1, &l1), 0);
		} else {
			assert_int_equal(wait_for(2, 2, &c, &l2), MPR_KEPT);
			assert_ptr_equal(place_of(&c), place);
			mpr_desk_leave(world.desk, &world.clients[2]);
		}
		assert_null(place_of(&c));
		assert_int_equal(world.desk->n_crowds, 0);
		close_desk();
		end_object(&c);
		end_object(&l1);
		end_object(&l2);
	}
}

static struct mpr_object called_of, called_with;

/* A server, with one client that waits, and is called. */
static int
serve_one(struct mpt *t, void *arg)
{
	struct beside *b = mpt_scratch(t);

	(void)arg;
	open_desk();
	assert_int_equal(acquire(0, 1, &called_with), 0);
	assert_int_equal(wait_for(0, 1, &called_of, &called_with), MPR_KEPT);
	b->asked = 1;
	mpt_until(t, go_on() && !mpr_post_find(world.desk, called_of.object,
					       called_of.generation)->first);
	b->called = 1;
	wait_to_be_killed(t);
	return 0;
}

/* The server dies while its last client, which was notified, waits for the lock: whoever
 * has come to wait since is notified for it. */
static void
a_call_is_not_lost_with_the_server(void **state)
{
	struct mpt *t = *state;
	struct beside *b = mpt_scratch(t);
	struct mpr_object l3 = new_object(MPR_CELL_LOCK);
	int server;

	called_of = new_object(MPR_CELL_CONDITION);
	called_with = new_object(MPR_CELL_LOCK);
	server = mpt_fork(t, "server", serve_one, NULL);
	mpt_until(t, b->asked);
	assert_int_equal(mproc_lock_acquire(called_with.object, mproc_sec(20)), 0);
	assert_int_equal(mproc_condition_notify(called_of.object, 1), 1);
	mpt_until(t, b->called);
	let_wait_beside(t, &l3, &called_of);
	mpt_kill(t, server);
	mpt_join_all(t);
	assert_int_equal(mproc_lock_release(called_with.object), 0);
	end_object(&called_of);
	end_object(&called_with);
	end_object(&l3);
}

/* Others say there is nobody who waits, or that more were called. Each way in which a
 * wait can end comes to an end. */
static void
a_scribbled_crowd_ends(void **state)
{
	const uint64_t wrong[] = { 0, UINT64_MAX, MPR_CROWD_CALLED };
	struct mpt *t = *state;

	for (unsigned i = 0; i < 3 * MPR_ARRAY_LEN(wrong); i++) {
		struct mpr_object c = new_object(MPR_CELL_CONDITION);
		struct mpr_object l = new_object(MPR_CELL_LOCK);
		struct mpr_remote_call call = {
			.op = (enum mpr_remote_op)MPR_OP_WITHDRAW,
			.n_args = 1,
			.args = { mproc_int(1) },
		};

		open_desk();
		assert_int_equal(acquire(0, 1, &l), 0);
		assert_int_equal(ask(0, 1, MPR_OP_CONDITION_WAIT, &c, &l,
				     i % 3 == 0 ? 1 : -1), MPR_KEPT);
		place_of(&c)->count = wrong[i / 3];
		if (i % 3 == 1)
			assert_int_equal(mpr_desk_serve_client(
				world.desk, &world.clients[0], &call), 0);
		if (i % 3 != 2) {
			/* It has the lock again. */
			expect_answer(t, 0, 1, -EBADMSG);
			assert_int_equal(release(0, 1, &l), 0);
		} else {
			mpr_desk_leave(world.desk, &world.clients[0]);
		}
		/* Who is gone may have had it again. */
		assert_true(acquire(1, 2, &l) >= 0);
		assert_int_equal(ask(1, 2, MPR_OP_CONSISTENT, &l, NULL, 0), 0);
		assert_int_equal(wait_for(1, 2, &c, &l), MPR_KEPT);
		assert_int_equal(mproc_condition_notify(c.object, 2), 1);
		expect_answer(t, 1, 2, 0);
		close_desk();
		end_object(&c);
		end_object(&l);
	}
}

static int
pass_twice(struct mpt *t, void *arg)
{
	struct beside *b = mpt_scratch(t);

	(void)arg;
	for (unsigned i = 0; i < 2; i++) {
		mpt_check(t, mproc_barrier_wait(b->barrier, mproc_sec(20)) >= 0);
		b->passed++;
	}
	return 0;
}

/* A client that does not wait for its answer before it asks again is in the next phase,
 * before the server has heard of the end of the one before. */
static void
who_has_passed_a_barrier_is_told_before_it_comes_again(void **state)
{
	struct mpt *t = *state;
	struct beside *b = mpt_scratch(t);
	struct mpr_object o;
	int64_t r = 0;

	assert_int_equal(mproc_barrier_create(&b->barrier, 3), 0);
	o = object_of(b->barrier, MPR_CELL_BARRIER);
	open_desk();
	assert_int_equal(ask(0, 1, MPR_OP_BARRIER_WAIT, &o, NULL, -1), MPR_KEPT);
	assert_int_equal(ask(1, 1, MPR_OP_BARRIER_WAIT, &o, NULL, -1), MPR_KEPT);
	mpt_fork(t, "beside", pass_twice, NULL);
	mpt_until(t, b->passed == 1 && mproc_barrier_waiting(b->barrier) == 1);
	world.numbers = 100;
	assert_int_equal(ask(0, 1, MPR_OP_BARRIER_WAIT, &o, NULL, -1), MPR_KEPT);
	assert_int_equal(ask(1, 1, MPR_OP_BARRIER_WAIT, &o, NULL, -1), 2);
	expect_answer(t, 1, 1, 1);
	mpt_until(t, go_on() && is_answered(0, 1, &r));
	assert_int_equal(r, 0);
	expect_answer(t, 0, 101, 1);
	mpt_join_all(t);
	close_desk();
	mproc_barrier_destroy(b->barrier);
}

enum { MANY = 1000 };

/* At each one waits. */
static void
clients_wait_for_a_thousand_conditions(void **state)
{
	static struct mpr_object c[MANY], l[MANY];
	struct mpt *t = *state;

	open_desk();
	for (unsigned i = 0; i < MANY; i++) {
		c[i] = new_object(MPR_CELL_CONDITION);
		l[i] = new_object(MPR_CELL_LOCK);
		assert_int_equal(acquire(i % CLIENTS, i, &l[i]), 0);
		assert_int_equal(wait_for(i % CLIENTS, i, &c[i], &l[i]), MPR_KEPT);
	}
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(mproc_condition_notify(c[i].object, 2), 1);
		expect_answer(t, i % CLIENTS, i, 0);
	}
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(release(i % CLIENTS, i, &l[i]), 0);
		end_object(&c[i]);
		end_object(&l[i]);
	}
	close_desk();
}

/* The lock of who waits for a condition is destroyed, and another one is there, which a
 * client has: that one keeps it. */
static void
another_lock_in_its_place_is_not_meant(void **state)
{
	struct mpt *t = *state;
	struct mpr_object c = new_object(MPR_CELL_CONDITION);
	struct mpr_object l = new_object(MPR_CELL_LOCK), other;

	open_desk();
	assert_int_equal(acquire(0, 1, &l), 0);
	assert_int_equal(wait_for(0, 1, &c, &l), MPR_KEPT);
	end_object(&l);
	other = new_object(MPR_CELL_LOCK);
	assert_ptr_equal(other.object, l.object);
	assert_int_equal(acquire(1, 2, &other), 0);
	assert_int_equal(mproc_condition_notify(c.object, 1), 1);
	expect_answer(t, 0, 1, -ESTALE);
	assert_int_equal(release(1, 2, &other), 0);
	close_desk();
	end_object(&c);
	end_object(&other);
}

static unsigned
bucket_of(const struct mpr_object *o)
{
	return (unsigned)((uintptr_t)o->object / MPR_CELL % MPR_DESK_BUCKETS);
}

/* Some of both, until there are two whose posts follow each other. */
static void
make_neighbours(struct mpr_object *cs, struct mpr_object *ls, unsigned n,
		unsigned *ret_c, unsigned *ret_l)
{
	bool found = false;

	/* One kind after the other, so that their blocks are not taken by turns. */
	for (unsigned i = 0; i < n; i++)
		cs[i] = new_object(MPR_CELL_CONDITION);
	for (unsigned i = 0; i < n; i++)
		ls[i] = new_object(MPR_CELL_LOCK);
	for (unsigned i = 0; i < n * n && !found; i++) {
		*ret_c = i / n;
		*ret_l = i % n;
		found = bucket_of(&cs[i / n]) == bucket_of(&ls[i % n]);
	}
	assert_true(found);
}

/* A condition and its lock have ended, and with the one the other one is forgotten, which
 * would be the next to be looked at: now and then, or when the crier is back. */
static void
what_ends_with_another_one_is_not_looked_at(void **state)
{
	enum { SOME = MPR_DESK_BUCKETS };
	static struct mpr_object cs[SOME], ls[SOME];
	struct mpt *t = *state;
	unsigned c, l;
	int64_t r = 0;

	for (unsigned i = 0; i < 2; i++) {
		open_desk();
		make_neighbours(cs, ls, SOME, &c, &l);
		assert_int_equal(acquire(0, 1, &ls[l]), 0);
		assert_int_equal(wait_for(0, 1, &cs[c], &ls[l]), MPR_KEPT);
		for (unsigned k = 0; k < SOME; k++) {
			end_object(&cs[k]);
			end_object(&ls[k]);
		}
		world.desk->look_at = i == 0 ? 0 : INT64_MAX;
		if (i == 0)
			(void)mpr_desk_look(world.desk);
		assert_true(i == 1 || is_answered(0, 1, &r));
		expect_answer(t, 0, 1, -ESTALE);
		close_desk();
	}
}

/* How many deputies are out for what that client waits for. */
static unsigned
count_out(const struct mpr_object *locks, unsigned n)
{
	unsigned out = 0;

	for (unsigned i = 0; i < n; i++)
		out += mpr_post_find(world.desk, locks[i].object,
				     locks[i].generation)->is_out;
	return out;
}

static void
nobody_has_all_deputies(void **state)
{
	static struct mpr_object locks[3][MPR_DEPUTIES];

	(void)state;
	open_desk();
	for (unsigned i = 0; i < 3; i++)
		for (unsigned k = 0; k < MPR_DEPUTIES; k++) {
			struct mpr_object *l = &locks[i][k];

			*l = new_object(MPR_CELL_LOCK);
			assert_int_equal(mproc_lock_acquire(l->object, MPROC_NOWAIT),
					 0);
			assert_int_equal(acquire(i, k, l), MPR_KEPT);
		}
	/* Half of what others leave. */
	assert_int_equal(count_out(locks[0], MPR_DEPUTIES), 16);
	assert_int_equal(count_out(locks[1], MPR_DEPUTIES), 8);
	assert_int_equal(count_out(locks[2], MPR_DEPUTIES), 4);
	close_desk();
	for (unsigned i = 0; i < 3 * MPR_DEPUTIES; i++) {
		struct mpr_object *l = &locks[i / MPR_DEPUTIES][i % MPR_DEPUTIES];

		assert_int_equal(mproc_lock_release(l->object), 0);
		end_object(l);
	}
}

/* As many as it can have: of all but those who are refused it has the lock when it was
 * notified, and so the crowd is there. */
static unsigned
take_crowds(unsigned i, struct mpr_object *c, struct mpr_object *l)
{
	struct mpr_buffer *out = &world.clients[i].out;
	unsigned n = 0;
	int r;

	for (;; n++) {
		c[n] = new_object(MPR_CELL_CONDITION);
		l[n] = new_object(MPR_CELL_LOCK);
		assert_int_equal(acquire(i, n, &l[n]), 0);
		r = wait_for(i, n, &c[n], &l[n]);
		if (r != MPR_KEPT)
			break;
		assert_int_equal(ask(i, 1, MPR_OP_CONDITION_NOTIFY, &c[n], NULL, 0), 1);
		mpr_buffer_drop(out, mpr_buffer_len(out), true);
	}
	assert_int_equal(r, -ENOLCK);
	/* It has it still. */
	assert_int_equal(release(i, n, &l[n]), 0);
	return n;
}

static void
nobody_has_all_crowds(void **state)
{
	static struct mpr_object c[MPR_CROWDS_MAX + 1], l[MPR_CROWDS_MAX + 1];
	unsigned n = 0, k = 0;

	(void)state;
	open_desk();
	/* Half of what others leave; the object after those was refused. */
	for (unsigned i = 0; i < 3; i++) {
		k = take_crowds(i, &c[n], &l[n]);
		assert_int_equal(k, MPR_CROWDS_MAX >> (i + 1));
		n += k + 1;
	}
	assert_int_equal(world.desk->n_crowds, MPR_CROWDS_MAX / 8 * 7);
	/* At one that has a crowd it waits, and so does another client elsewhere. */
	assert_int_equal(wait_for(0, 0, &c[0], &l[0]), MPR_KEPT);
	assert_int_equal(acquire(3, 1, &l[n - 1]), 0);
	assert_int_equal(wait_for(3, 1, &c[n - 1], &l[n - 1]), MPR_KEPT);
	close_desk();
	for (unsigned i = 0; i < n; i++) {
		end_object(&c[i]);
		end_object(&l[i]);
	}
}

/* Who waits and has things needs memory, of which nobody has that of another one. */
static void
nobody_has_all_memory(void **state)
{
	struct mpr_object l = new_object(MPR_CELL_LOCK);

	(void)state;
	open_desk();
	assert_int_equal(mproc_lock_acquire(l.object, MPROC_NOWAIT), 0);
	world.clients[0].budget.left = 3 * sizeof(struct mpr_kept) + 1;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(acquire(0, i, &l), MPR_KEPT);
	assert_int_equal(acquire(0, 3, &l), -ENOMEM);
	assert_int_equal(acquire(1, 1, &l), MPR_KEPT);
	/* Nor more than there is. */
	world.budget.left = sizeof(struct mpr_kept) - 1;
	assert_int_equal(acquire(1, 2, &l), -ENOMEM);
	world.budget.left = MEMORY - 4 * sizeof(struct mpr_kept);
	close_desk();
	assert_int_equal(mproc_lock_release(l.object), 0);
	end_object(&l);
}

/* A desk that has had deputies, so that what stays is there. */
static int
with_desk(void **state)
{
	struct mpr_object l;

	if (with_arena(state) < 0)
		return -1;
	l = new_object(MPR_CELL_LOCK);
	open_desk();
	(void)acquire(0, 1, &l);
	close_desk();
	end_object(&l);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* While there are few blocks of cells. */
		mpt_test(what_ends_with_another_one_is_not_looked_at),
		mpt_test(who_does_not_wait_after_all_takes_no_call),
		mpt_test(a_call_is_not_for_those_of_the_condition_before),
		mpt_test(a_call_is_not_lost_with_the_server),
		mpt_test(a_crowd_ends_when_all_are_back),
		mpt_test(a_scribbled_crowd_ends),
		mpt_test(who_has_passed_a_barrier_is_told_before_it_comes_again),
		mpt_test(clients_wait_for_a_thousand_conditions),
		mpt_test(another_lock_in_its_place_is_not_meant),
		mpt_test(nobody_has_all_deputies),
		mpt_test(nobody_has_all_crowds),
		mpt_test(nobody_has_all_memory),
	};

	return cmocka_run_group_tests(tests, with_desk, NULL);
}
