/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of a call that waits at its end of a pipe,
 * or only looks there, and of one that wakes who waits at the other end. Whoever is
 * left goes on: with the message, if it was sent, and with the end of file.
 */
#include <sys/uio.h>

#include "pipe.h"
#include "waiters.h"

enum { OTHERS = 2 };

/* ns until others have gone on that were woken; by themselves they look at some time in
 * the next 50000000 or so. A busy machine holds up some of them. */
#define LATE INT64_C(20000000)

struct what;

struct beside {
	struct scene s; /* first */
	const struct what *what;
	pid_t others[OTHERS];
	unsigned long late; /* in how many cases they were */
	unsigned long cases;
};

/* In the scratch bytes. */
struct board {
	_Atomic bool dead;    /* the victim is */
	_Atomic unsigned held; /* how many of the others have been given their ends */
	_Atomic unsigned sent; /* by the victim, before it is stepped */
	_Atomic unsigned got;  /* by another one, of those that the victim sends */
	_Atomic unsigned taken; /* by another one, of those of a third one */
};

struct what {
	const char *name;
	unsigned messages; /* of the test, for the victim */
	bool sockets;
	/* What others do, each of which is over when the victim and all others are
	 * gone. The first one holds the end a, the second one the end b beside the
	 * victim. */
	int (*others[OTHERS])(struct beside *b);
	bool asleep; /* the first one is, before the victim begins */
	bool hears;  /* what counts is the direction to the victim */
	void (*first)(struct beside *b); /* of the victim, not stepped; or NULL */
	void (*op)(struct beside *b);
	unsigned sends; /* how many messages that is */
	unsigned taken; /* how many the second one takes, whatever happens */
};

static struct board *
board(const struct beside *b)
{
	return mpt_scratch(b->s.world.t);
}

/* What a victim does. */

static void
poll_for_one(struct beside *b)
{
	must_be(mproc_conn_poll(b->s.b, mproc_sec(60)), 0);
}

static void
poll_in_vain(struct beside *b)
{
	must_be(mproc_conn_poll(b->s.b, mproc_until(1)), -ETIMEDOUT);
}

static int
receive(struct beside *b, mproc_timeout timeout)
{
	unsigned char bytes[6000];

	return mproc_conn_recv(b->s.b, bytes, sizeof(bytes), NULL, timeout);
}

static void
receive_one(struct beside *b)
{
	must_be(receive(b, mproc_sec(60)), 0);
}

static void
receive_two(struct beside *b)
{
	receive_one(b);
	receive_one(b);
}

static void
receive_in_vain(struct beside *b)
{
	must_be(receive(b, mproc_until(1)), -ETIMEDOUT);
}

static void
receive_the_end(struct beside *b)
{
	must_be(receive(b, mproc_sec(60)), -EPIPE);
}

/* There is room for who waits when much of the lane is empty: all but one of those that
 * make it so. */
static void
receive_nearly_enough(struct beside *b)
{
	const struct mpr_lane *lane = mpr_arena_at(mpr_arena_peek(),
						   b->s.world.q->lanes);

	while (lane->want && lane->head + 2 * sizeof(struct message) < lane->want)
		receive_one(b);
	while (mpt_task_state(b->others[0]) != 'S')
		sched_yield();
}

static void
send_one(struct beside *b)
{
	may_fail(send_message(&b->s, b->s.b, BY_VICTIM, board(b)->sent));
}

static void
send_in_parts(struct beside *b)
{
	unsigned char bytes[6000];
	struct iovec parts[3];

	write_message(&b->s, bytes, BY_VICTIM, 0);
	parts[0] = (struct iovec){ bytes, 5 };
	parts[1] = (struct iovec){ NULL, 0 };
	parts[2] = (struct iovec){ bytes + 5, length(&b->s) - 5 };
	may_fail(mproc_conn_sendv(b->s.b, parts, 3, MPROC_NOWAIT));
}

static void
send_until_it_is_full(struct beside *b)
{
	while (send_message(&b->s, b->s.b, BY_VICTIM, board(b)->sent) == 0)
		board(b)->sent++;
}

static int
send_and_wait(struct beside *b, mproc_timeout timeout)
{
	unsigned char bytes[6000];

	write_message(&b->s, bytes, BY_VICTIM, board(b)->sent);
	return mproc_conn_send(b->s.b, bytes, length(&b->s), timeout);
}

static void
send_in_vain(struct beside *b)
{
	must_be(send_and_wait(b, mproc_until(1)), -ETIMEDOUT);
}

static void
send_once_there_is_room(struct beside *b)
{
	must_be(send_and_wait(b, mproc_sec(60)), 0);
}

static void
close_it(struct beside *b)
{
	mproc_conn_close(b->s.b);
}

static void
ask_for_a_descriptor(struct beside *b)
{
	may_fail(mproc_conn_fd(b->s.b));
}

/* What others do. They return 0 if all is well. */

/* Until the victim waits for a message, or for room. */
static void
until_it_waits(const struct beside *b)
{
	const mproc_arena *a = mpr_arena_peek();
	const struct mpr_lane *lane;

	if (b->what->hears) {
		while (!waiters_in_queue(&b->s.world) && !board(b)->dead)
			sched_yield();
		return;
	}
	while (!board(b)->dead) {
		lane = b->s.world.q->lanes ?
			       mpr_arena_at(a, b->s.world.q->lanes) : NULL;
		if (lane && lane->want)
			return;
		sched_yield();
	}
}

static int
receive_to_the_end(struct beside *b)
{
	unsigned char bytes[6000], good[6000];
	size_t len;
	int r;

	while ((r = mproc_conn_recv(b->s.a, bytes, sizeof(bytes), &len,
				    mproc_sec(30))) == 0) {
		write_message(&b->s, good, BY_VICTIM, board(b)->got);
		if (len != length(&b->s) || memcmp(bytes, good, len) != 0)
			return 1;
		board(b)->got++;
	}
	return r != -EPIPE;
}

static int
receive_when_it_waits(struct beside *b)
{
	until_it_waits(b);
	return receive_to_the_end(b);
}

static int
send_when_it_waits(struct beside *b)
{
	int r;

	until_it_waits(b);
	r = send_message(&b->s, b->s.a, BY_OTHER, 0);
	return (r < 0 && r != -EPIPE) || receive_to_the_end(b);
}

static int
close_when_it_waits(struct beside *b)
{
	until_it_waits(b);
	mproc_conn_close(b->s.a);
	return 0;
}

static int
send_more_than_there_is_room_for(struct beside *b)
{
	unsigned char bytes[6000];
	int r;

	do
		r = send_message(&b->s, b->s.a, BY_OTHER, 0);
	while (r == 0);
	if (r == -EAGAIN) {
		write_message(&b->s, bytes, BY_OTHER, 0);
		r = mproc_conn_send(b->s.a, bytes, length(&b->s), mproc_sec(30));
	}
	return (r < 0 && r != -EPIPE) || receive_to_the_end(b);
}

/* Once both wait at the other end. */
static int
send_when_two_wait(struct beside *b)
{
	while (waiters_in_queue(&b->s.world) < 2 && !board(b)->dead)
		sched_yield();
	return send_message(&b->s, b->s.a, BY_OTHER, 0) < 0;
}

static int
take_to_the_end(struct beside *b)
{
	unsigned char bytes[6000], good[6000];
	size_t len;
	int r;

	while ((r = mproc_conn_recv(b->s.b, bytes, sizeof(bytes), &len,
				    mproc_sec(30))) == 0) {
		write_message(&b->s, good, BY_OTHER, 0);
		if (len != length(&b->s) || memcmp(bytes, good, len) != 0)
			return 1;
		board(b)->taken++;
	}
	return r != -EPIPE;
}

/* The test keeps its hold on b for the victim. */
static void
hold_too(mproc_conn *c)
{
	mproc_arena *a = mpr_arena_peek();
	struct mpr_self *self;

	may_fail(mpr_self(a, &self));
	may_fail(mpr_hold_add(a, self, &c->holds, mpr_hold_mine()));
	atomic_store(&c->passed, 1);
}

static void
be_another(struct beside *b, int i)
{
	if (i == 0)
		give(b->s.a);
	else
		hold_too(b->s.b);
	board(b)->held++;
	_exit(b->what->others[i](b));
}

static void
begin(void *arg)
{
	struct beside *b = arg;
	const struct what *what = b->what;

	scene_begin(&b->s);
	*board(b) = (struct board){ 0 };
	if (what->hears)
		b->s.world.q = mpr_pipe_queue(mpr_arena_peek(),
					      pipe_of(b->s.a), 0);
	for (int i = 0; i < OTHERS; i++) {
		b->others[i] = 0;
		if (!what->others[i])
			continue;
		b->others[i] = fork();
		assert_true(b->others[i] >= 0);
		if (b->others[i] == 0)
			be_another(b, i);
		mpt_until(b->s.world.t, board(b)->held == i + 1u);
	}
	if (what->asleep)
		mpt_until(b->s.world.t,
			  mpt_task_state(b->others[0]) == 'S');
}

static void
victim(void *arg)
{
	struct beside *b = arg;

	be_given(&b->s);
	if (b->what->first)
		b->what->first(b);
	mpt_step_begin();
	b->what->op(b);
	mpt_step_end();
}

static void
survivor(void *arg, pid_t pid, unsigned long n, bool finished)
{
	struct beside *b = arg;
	unsigned max = board(b)->sent + b->what->sends;
	unsigned min = finished ? max : board(b)->sent;
	int64_t began;

	(void)pid;
	(void)n;
	board(b)->dead = true;
	if (!b->others[0]) {
		find_the_end(&b->s, min, max);
		return;
	}
	recover();
	began = mproc_now();
	for (int i = 0; i < OTHERS && b->others[i]; i++)
		wait_for_exit(b->others[i]);
	b->late += mproc_now() - began > LATE;
	b->cases++;
	assert_in_range(board(b)->got, min, max);
	assert_int_equal(board(b)->taken, b->what->taken);
	expect_nothing(&b->s);
}

static void
step_through(void **state, const struct what *what, size_t n)
{
	struct beside b;

	for (; n; n--, what++) {
		b = (struct beside){
			.s = { .world.t = *state, .messages = what->messages,
			       .sockets = what->sockets },
			.what = what,
		};
		mpt_watchdog(*state, 60);
		mpt_stepper_run(*state, &(struct mpt_stepper_opts){
			.name = what->name,
			.before = begin,
			.victim = victim,
			.survivor = survivor,
			.fingerprint = state_of,
			.every = 1,
			.budget = 12,
			.max_cases = 60,
			.arg = &b,
		}, NULL);
		/* Who holds the other end has to be found dead first, where that is a
		 * third one. */
		if (!what->others[1])
			assert_in_range(b.late, 0, b.cases / 5);
	}
}

#define STEP_THROUGH(what) \
	step_through(state, what, sizeof(what) / sizeof((what)[0]))

static void
killed_where_nobody_waits(void **state)
{
	static const struct what what[] = {
		{ "poll, something there", .messages = 1, .op = poll_for_one },
		{ "poll, late", .op = poll_in_vain },
		{ "receive as usual", .messages = 3, .first = receive_one,
		  .op = receive_one },
		{ "receive, late", .op = receive_in_vain },
		{ "send in parts", .op = send_in_parts, .sends = 1 },
		{ "send, late", .first = send_until_it_is_full,
		  .op = send_in_vain },
		{ "descriptor", .op = ask_for_a_descriptor },
	};

	STEP_THROUGH(what);
}

static void
killed_at_a_socket(void **state)
{
	static const struct what what[] = {
		{ "poll of a socket, something there", .messages = 1,
		  .sockets = true, .op = poll_for_one },
		{ "poll of a socket, late", .sockets = true, .op = poll_in_vain },
		{ "receive over a socket", .messages = 2, .sockets = true,
		  .op = receive_one },
		{ "receive over a socket, late", .sockets = true,
		  .op = receive_in_vain },
		{ "send in parts over a socket", .sockets = true,
		  .op = send_in_parts, .sends = 1 },
		{ "send over a socket, late", .sockets = true,
		  .first = send_until_it_is_full, .op = send_in_vain },
	};

	STEP_THROUGH(what);
}

static void
killed_as_it_waits(void **state)
{
	static const struct what what[] = {
		{ "receive, woken by a message", .hears = true,
		  .others = { send_when_it_waits }, .op = receive_one },
		{ "receive, woken by the end", .hears = true,
		  .others = { close_when_it_waits }, .op = receive_the_end },
		{ "poll, woken by a message", .hears = true,
		  .others = { send_when_it_waits }, .op = poll_for_one },
		{ "poll, woken by the end", .hears = true,
		  .others = { close_when_it_waits }, .op = poll_for_one },
		{ "send, woken by room", .others = { receive_when_it_waits },
		  .first = send_until_it_is_full, .op = send_once_there_is_room,
		  .sends = 1 },
	};

	STEP_THROUGH(what);
}

static void
killed_as_it_wakes(void **state)
{
	static const struct what what[] = {
		{ "send that wakes", .others = { receive_to_the_end },
		  .asleep = true, .op = send_one, .sends = 1 },
		{ "close that wakes who receives",
		  .others = { receive_to_the_end }, .asleep = true,
		  .op = close_it },
		{ "close that wakes who sends", .hears = true,
		  .others = { send_more_than_there_is_room_for },
		  .asleep = true, .op = close_it },
		{ "receive that wakes", .hears = true,
		  .others = { send_more_than_there_is_room_for },
		  .asleep = true, .first = receive_nearly_enough,
		  .op = receive_two },
	};

	STEP_THROUGH(what);
}

/* What it is woken for and does not take is for the other one. */
static void
killed_beside_one_who_takes(void **state)
{
	static const struct what what[] = {
		{ "poll beside one who takes", .hears = true,
		  .others = { send_when_two_wait, take_to_the_end },
		  .op = poll_for_one, .taken = 1 },
	};

	STEP_THROUGH(what);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_where_nobody_waits),
		mpt_test(killed_at_a_socket),
		mpt_test(killed_as_it_waits),
		mpt_test(killed_as_it_wakes),
		mpt_test(killed_beside_one_who_takes),
	};

	return cmocka_run_group_tests(tests, pipe_setup, NULL);
}
