/* SPDX-License-Identifier: MIT */
/*
 * queue.h: a thread waits, and a signal handler forks and returns in both. The parent
 * goes on to wait; so does the child, in its own name. Or the thread is in the middle of
 * a long message.
 */
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
#define PAGE 4096

static unsigned char *lies;	      /* of the message */
static unsigned char message[LONG];
static unsigned faults;
static bool forks;

/* Somebody has written to the message. */
static void
let_it_write(int signal, siginfo_t *info, void *context)
{
	size_t at = (size_t)((unsigned char *)info->si_addr - lies);
	int status;

	(void)signal;
	(void)context;
	if (at >= LONG)
		_exit(2);
	mprotect(lies + at / PAGE * PAGE, PAGE, PROT_READ | PROT_WRITE);
	if (++faults > 1 || !forks)
		return;
	copy = _Fork();
	if (copy == 0)
		return;
	if (waitpid(copy, &status, 0) != copy || status)
		_exit(3);
	_exit(0);
}

static int
get_long(struct mpt *t, void *arg)
{
	struct sigaction action = { .sa_sigaction = let_it_write,
				    .sa_flags = SA_SIGINFO };
	static unsigned char got[LONG];
	void *p;

	forks = arg;
	memset(message, 0x5a, sizeof(message));
	board = mpt_scratch(t);
	mpt_check_int(t, mproc_queue_reserve(board->q, LONG, &p, MPROC_NOWAIT), 0);
	memcpy(p, message, LONG);
	mpt_check_int(t, mproc_queue_commit(board->q, p, LONG), 0);
	lies = p;
	mpt_check_int(t, (int)((uintptr_t)p % PAGE), 0);
	mpt_check_int(t, mprotect(p, LONG, PROT_READ), 0);
	mpt_check_int(t, sigaction(SIGSEGV, &action, NULL), 0);
	mpt_check_int(t, mproc_queue_get(board->q, got, LONG, NULL, MPROC_NOWAIT),
		      0);
	mpt_check_int(t, memcmp(got, message, LONG), 0);
	mpt_check_int(t, (int)faults, forks ? 1 : LONG / PAGE);
	mpt_check_int(t, copy == 0, forks);
	return 0;
}

/* Who takes a message has its lines. Its copy writes to none, as it may be another
 * message by then: but for what it was in the middle of. */
static void
a_copy_does_not_take_lines(void **state)
{
	struct mpt *t = *state;

	for (int single = 0; single < 2; single++) {
		struct board *b = begin(t, MPROC_OPTS(mproc_queue_opts,
						      .single_consumer = single));

		mpt_expect_exit(t, mpt_fork(t, "taker", get_long, NULL), 0);
		end(t, b, mpt_fork(t, "host", get_long, t));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(each_gets_a_message_of_its_own),
		mpt_test(the_single_consumer_is_still_the_only_one),
		mpt_test(each_puts_a_message_of_its_own),
		mpt_test(each_sleeps_until_all_is_done),
		mpt_test(a_copy_does_not_take_lines),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
