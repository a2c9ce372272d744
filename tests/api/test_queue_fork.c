/* SPDX-License-Identifier: MIT */
/*
 * queue.h: a thread waits, and a signal handler forks and returns in both. The parent
 * goes on to wait; so does the child, in its own name. Or the thread is in the middle of
 * a long message.
 */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "common.h"

/* In the scratch bytes. */
struct board {
	mproc_queue *q;
	_Atomic bool waits;
	_Atomic pid_t copy;
	_Atomic int got[2]; /* by the host, and by the copy */
	_Atomic int error_of_copy;
	_Atomic bool goes_on; /* the copy, in its signal handler */
	bool single;
};

static struct board *board;
static pid_t copy = -1;

static void
fork_and_return(int signal)
{
	int saved = errno;

	(void)signal;
	copy = _Fork();
	if (copy == 0)
		alarm(20);
	else
		board->copy = copy;
	errno = saved;
}

static void
fork_when_told(struct mpt *t)
{
	struct sigaction action = { .sa_handler = fork_and_return };

	board = mpt_scratch(t);
	mpt_check_int(t, sigaction(SIGUSR1, &action, NULL), 0);
}

static int
wait_for_copy(struct mpt *t)
{
	int status;

	mpt_check_int(t, waitpid(copy, &status, 0), copy);
	mpt_check_int(t, status, 0);
	return 0;
}

static struct board *
begin(struct mpt *t, const struct mproc_queue_opts *opts)
{
	struct board *b = mpt_scratch(t);

	assert_int_equal(mproc_queue_create(&b->q, opts), 0);
	return b;
}

static int
spawn_and_interrupt(struct mpt *t, struct board *b, mpt_fn *fn)
{
	int id = mpt_fork(t, "host", fn, NULL);

	mpt_until(t, b->waits && mpt_task_state(mpt_pid(t, id)) == 'S');
	assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
	mpt_until(t, b->copy);
	return id;
}

static void
end(struct mpt *t, struct board *b, int id)
{
	mpt_expect_exit(t, id, 0);
	mproc_queue_destroy(b->q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static int
get_one(struct mpt *t, void *arg)
{
	int number = 0, r;

	(void)arg;
	fork_when_told(t);
	board->waits = true;
	r = mproc_queue_get(board->q, &number, sizeof(number), NULL,
			    mproc_sec(15));
	if (copy == 0) {
		board->error_of_copy = r;
		board->got[1] = r == 0 ? number : -1;
		_exit(0);
	}
	mpt_check_int(t, r, 0);
	board->got[0] = number;
	return wait_for_copy(t);
}

static void
put_number(struct board *b, int number)
{
	assert_int_equal(mproc_queue_put(b->q, &number, sizeof(number),
					 MPROC_NOWAIT), 0);
}

static void
each_gets_a_message_of_its_own(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t, NULL);
	int id = spawn_and_interrupt(t, b, get_one);

	put_number(b, 1);
	put_number(b, 2);
	end(t, b, id);
	assert_int_equal(b->error_of_copy, 0);
	assert_int_equal(b->got[0] + b->got[1], 3);
}

static void
the_single_consumer_is_still_the_only_one(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t, MPROC_OPTS(mproc_queue_opts,
					      .single_consumer = true));
	int id = spawn_and_interrupt(t, b, get_one);

	mpt_until(t, b->got[1]);
	assert_int_equal(b->error_of_copy, -EBUSY);
	put_number(b, 1);
	end(t, b, id);
	assert_int_equal(b->got[0], 1);
}

static int
fill_and_wait(struct mpt *t, void *arg)
{
	int number = 0, r;

	(void)arg;
	fork_when_told(t);
	while ((r = mproc_queue_put(board->q, &number, sizeof(number),
				    MPROC_NOWAIT)) == 0)
		number++;
	mpt_check_int(t, r, -EAGAIN);
	board->got[0] = number;
	board->waits = true;
	r = mproc_queue_put(board->q, &number, sizeof(number), mproc_sec(15));
	mpt_check_int(t, r, 0);
	if (copy == 0)
		_exit(0);
	return wait_for_copy(t);
}

/* The copy's message lies in a lane of its own. */
static void
each_puts_a_message_of_its_own(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t, MPROC_OPTS(mproc_queue_opts,
					      .capacity = 4096));
	int id = spawn_and_interrupt(t, b, fill_and_wait);
	unsigned found[1024] = { 0 };
	int last = b->got[0], number;

	assert_in_range(last, 1, 1023);
	for (int i = 0; i < last + 2; i++) {
		assert_int_equal(mproc_queue_get(b->q, &number, sizeof(number),
						 NULL, mproc_sec(10)), 0);
		assert_in_range(number, 0, last);
		found[number]++;
	}
	for (int i = 0; i <= last; i++)
		assert_int_equal(found[i], i < last ? 1 : 2);
	assert_int_equal(mproc_queue_len(b->q), 0);
	end(t, b, id);
}

static int
join(struct mpt *t, void *arg)
{
	int r;

	(void)arg;
	fork_when_told(t);
	board->waits = true;
	r = mproc_queue_join(board->q, mproc_sec(15));
	mpt_check_int(t, r, 0);
	if (copy == 0)
		_exit(0);
	return wait_for_copy(t);
}

static void
each_sleeps_until_all_is_done(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t, MPROC_OPTS(mproc_queue_opts,
					      .joinable = true));
	int id, number;

	put_number(b, 1);
	assert_int_equal(mproc_queue_get(b->q, &number, sizeof(number), NULL,
					 MPROC_NOWAIT), 0);
	id = spawn_and_interrupt(t, b, join);
	mpt_until(t, mpt_task_state(b->copy) == 'S');
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	end(t, b, id);
}

#define LONG 65536
#define IN_LANE 12000
#define HEADERS 64 /* more than those of two messages take */
#define PAGE 4096

/* What happens when somebody writes to the message for the first time. */
enum at_first {
	NOTHING,
	COPY_GOES_ON,	  /* while the taker waits for its end */
	TAKER_GOES_ON,	  /* and the copy when it is told */
};

static unsigned char *lies; /* of the message, whole pages */
static size_t watched;
static unsigned char message[LONG], got[LONG];
static unsigned faults;
static enum at_first at_first;

static void
let_it_write(int signal, siginfo_t *info, void *context)
{
	size_t at = (size_t)((unsigned char *)info->si_addr - lies);
	int status;

	(void)signal;
	(void)context;
	if (at >= watched)
		_exit(2);
	mprotect(lies + at / PAGE * PAGE, PAGE, PROT_READ | PROT_WRITE);
	if (++faults > 1 || at_first == NOTHING)
		return;
	copy = _Fork();
	if (copy == 0)
		alarm(20);
	if (copy == 0 && at_first == TAKER_GOES_ON)
		while (!board->goes_on)
			sched_yield();
	if (copy > 0 && at_first == COPY_GOES_ON &&
	    (waitpid(copy, &status, 0) != copy || status))
		_exit(3);
}

static void
watch(struct mpt *t, unsigned char *from, unsigned char *to)
{
	struct sigaction action = { .sa_sigaction = let_it_write,
				    .sa_flags = SA_SIGINFO };

	lies = from;
	watched = (size_t)(to - from);
	mpt_check_int(t, mprotect(lies, watched, PROT_READ), 0);
	mpt_check_int(t, sigaction(SIGSEGV, &action, NULL), 0);
}

/* The copy's own get. The message is not the copy's. */
static void
expect_nothing(struct mpt *t, int r)
{
	mpt_check_int(t, r, board->single ? -EBUSY : -EAGAIN);
}

static void
begin_long(struct mpt *t, const void *how)
{
	at_first = *(const enum at_first *)how;
	board = mpt_scratch(t);
}

/* A block that is free is what is written to first. */
static unsigned char *
reserve(struct mpt *t)
{
	void *p;

	mpt_check_int(t, mproc_queue_reserve(board->q, LONG, &p, MPROC_NOWAIT), 0);
	return p;
}

static void
check_bytes(struct mpt *t, const unsigned char *p, int byte, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != byte)
			mpt_check_int(t, p[i], byte);
}

static int
take_block(struct mpt *t, void *how)
{
	unsigned char *p;
	int r;

	begin_long(t, how);
	p = reserve(t);
	memset(p, 1, LONG);
	mpt_check_int(t, mproc_queue_commit(board->q, p, LONG), 0);
	mpt_check_int(t, (int)((uintptr_t)p % PAGE), 0);
	watch(t, p, p + LONG);
	r = mproc_queue_get(board->q, got, LONG, NULL, MPROC_NOWAIT);
	if (copy == 0) {
		expect_nothing(t, r);
		/* It has taken no more lines, also while the message was there. */
		mpt_check_int(t, (int)faults, 1);
		if (at_first == COPY_GOES_ON)
			mpt_check_int(t, reserve(t) != lies, true);
		_exit(0);
	}
	mpt_check_int(t, r, 0);
	check_bytes(t, got, 1, LONG);
	mpt_check_int(t, (int)faults, LONG / PAGE);
	p = reserve(t);
	mpt_check_int(t, p == lies, true);
	memset(p, 2, LONG);
	if (at_first == TAKER_GOES_ON) {
		board->goes_on = true;
		wait_for_copy(t);
	}
#ifndef __x86_64__
	/* The word that the copy had loaded. */
	memset(p, 2, sizeof(uint64_t));
#endif
	check_bytes(t, p, 2, LONG);
	mpt_check_int(t, mproc_queue_abort(board->q, p), 0);
	return 0;
}

static void
put_bytes(struct mpt *t, int byte, size_t len)
{
	memset(message, byte, len);
	mpt_check_int(t, mproc_queue_put(board->q, message, len, MPROC_NOWAIT), 0);
}

static void
get_bytes(struct mpt *t, int byte, size_t len)
{
	size_t has = 0;

	mpt_check_int(t, mproc_queue_get(board->q, got, LONG, &has, MPROC_NOWAIT),
		      0);
	mpt_check_int(t, (int)has, (int)len);
	check_bytes(t, got, byte, len);
}

/* Two messages that lie behind a first one. What is @behind the begin of the former is
 * watched. */
static void
lay_two(struct mpt *t, size_t behind)
{
	const void *shown;
	uintptr_t first;

	put_bytes(t, 1, PAGE);
	put_bytes(t, 2, IN_LANE);
	put_bytes(t, 3, IN_LANE);
	mpt_check_int(t, mproc_queue_peek(board->q, &shown, NULL, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_release(board->q, shown), 0);
	first = ((uintptr_t)shown + behind + 2 * PAGE) / PAGE * PAGE;
	watch(t, (unsigned char *)first, (unsigned char *)first + 2 * PAGE);
}

/* All have been taken. */
static void
go_on_in_lane(struct mpt *t)
{
	if (at_first == TAKER_GOES_ON) {
		board->goes_on = true;
		wait_for_copy(t);
	}
	mpt_check_int(t, (int)mproc_queue_len(board->q), 0);
	put_bytes(t, 4, IN_LANE);
	get_bytes(t, 4, IN_LANE);
}

static int
take_in_lane(struct mpt *t, void *how)
{
	size_t has = 0;
	int r;

	begin_long(t, how);
	lay_two(t, 0);
	r = mproc_queue_get(board->q, got, LONG, &has, MPROC_NOWAIT);
	if (copy == 0 && at_first == TAKER_GOES_ON) {
		expect_nothing(t, r);
		_exit(0);
	}
	mpt_check_int(t, r, 0);
	mpt_check_int(t, (int)has, IN_LANE);
	/* Each message is somebody's. */
	check_bytes(t, got, copy > 0 && at_first == COPY_GOES_ON ? 3 : 2, IN_LANE);
	if (copy == 0)
		_exit(0);
	if (at_first != COPY_GOES_ON)
		get_bytes(t, 3, IN_LANE);
	go_on_in_lane(t);
	return 0;
}

/* Both at once, and the second one is where it happens. */
static int
take_batch(struct mpt *t, void *how)
{
	struct iovec msgs[3];
	int r;

	begin_long(t, how);
	lay_two(t, IN_LANE + HEADERS);
	r = mproc_queue_get_many(board->q, got, LONG, msgs, 3, MPROC_NOWAIT);
	if (copy == 0 && at_first == TAKER_GOES_ON) {
		expect_nothing(t, r);
		_exit(0);
	}
	if (copy > 0 && at_first == COPY_GOES_ON) {
		mpt_check_int(t, r, -EAGAIN);
	} else {
		mpt_check_int(t, r, 2);
		for (int i = 0; i < 2; i++) {
			mpt_check_int(t, (int)msgs[i].iov_len, IN_LANE);
			check_bytes(t, msgs[i].iov_base, 2 + i, IN_LANE);
		}
	}
	if (copy == 0)
		_exit(0);
	mpt_check_int(t, copy > 0, at_first != NOTHING);
	go_on_in_lane(t);
	return 0;
}

static void
take_long(struct mpt *t, mpt_fn *take, bool single)
{
	static enum at_first how[] = { NOTHING, COPY_GOES_ON, TAKER_GOES_ON };

	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		struct board *b = begin(t, MPROC_OPTS(mproc_queue_opts,
						      .single_consumer = single));

		b->single = single;
		b->goes_on = false;
		end(t, b, mpt_fork(t, "taker", take, &how[i]));
	}
}

/* Who takes a message has its lines, and the block, until it has freed that: whatever its
 * copy does, and when. */
static void
a_block_is_not_its_takers_copys(void **state)
{
	take_long(*state, take_block, true);
	take_long(*state, take_block, false);
}

static void
head_does_not_go_back(void **state)
{
	take_long(*state, take_in_lane, true);
	take_long(*state, take_batch, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(each_gets_a_message_of_its_own),
		mpt_test(the_single_consumer_is_still_the_only_one),
		mpt_test(each_puts_a_message_of_its_own),
		mpt_test(each_sleeps_until_all_is_done),
		mpt_test(a_block_is_not_its_takers_copys),
		mpt_test(head_does_not_go_back),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
