/* SPDX-License-Identifier: MIT */
/*
 * pipe.h: while both sides of a pipe are busy no call enters the kernel. Two processes
 * hold an end each and send to each other; after a warm-up a seccomp filter kills who
 * makes any system call.
 */
#include "pipe.h"
#include "syscalls.h"

/* Until the lane has gone round: its memory is there then. */
#define WARM_UP 4000

struct message {
	uint64_t number;
	uint64_t fill[3];
};

static struct message
message(uint64_t number)
{
	return (struct message){
		number, { number * 3, ~number, number ^ 0x5555 }
	};
}

static int
send_one(mproc_conn *c, const struct message *m)
{
	const struct iovec parts[] = {
		{ (void *)(uintptr_t)m, 3 },
		{ (char *)(uintptr_t)m + 3, sizeof(*m) - 3 },
	};

	return m->number % 8 ? mproc_conn_send(c, m, sizeof(*m), MPROC_NOWAIT) :
			       mproc_conn_sendv(c, parts, 2, MPROC_NOWAIT);
}

static int
receive_one(struct mpt *t, mproc_conn *c, uint64_t number)
{
	struct message m = { 0 }, good = message(number);
	size_t len = 0;
	int r;

	/* A look costs none either, whatever there is. */
	if (number % 8 == 0) {
		r = mproc_conn_poll(c, MPROC_NOWAIT);
		mpt_check(t, r == 0 || r == -EAGAIN);
	}
	r = mproc_conn_recv(c, &m, sizeof(m), &len, MPROC_NOWAIT);
	if (r < 0)
		return r;
	mpt_check_int(t, len, sizeof(m));
	mpt_check(t, memcmp(&m, &good, sizeof(m)) == 0);
	return r;
}

static void
exchange(struct mpt *t, mproc_conn *c, uint64_t from, uint64_t to)
{
	uint64_t sent = from, got = from;
	int r;

	while (sent < to || got < to) {
		if (sent < to) {
			const struct message m = message(sent);

			r = send_one(c, &m);
			mpt_check(t, r == 0 || r == -EAGAIN);
			sent += r == 0;
		}
		if (got < to) {
			r = receive_one(t, c, got);
			mpt_check(t, r == 0 || r == -EAGAIN);
			got += r == 0;
		}
	}
}

static void
exchange_without_the_kernel(struct mpt *t, mproc_conn *c)
{
	struct board *b = mpt_scratch(t);
	uint64_t n = amount(300000);

	exchange(t, c, 0, WARM_UP);
	forbid_system_calls(t);
	b->ready++;
	while (b->ready < 2)
		;
	exchange(t, c, WARM_UP, WARM_UP + n);
	_exit(0);
}

static int
use_a(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	exchange_without_the_kernel(t, b->a);
	return 1;
}

static int
use_b(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	exchange_without_the_kernel(t, b->b);
	return 1;
}

static void
two_that_are_busy_make_none(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *one, *other;

	one = start_with(t, use_a, &b->a, 1);
	other = start_with(t, use_b, &b->b, 1);
	assert_int_equal(end_of(one), 0);
	assert_int_equal(end_of(other), 0);
	mproc_process_close(one);
	mproc_process_close(other);
	end(t, b);
}

/* What the filter is worth here. */
static int
wait_for_a_message(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	char byte;

	mpt_check_int(t, recv_now(b->b), -EAGAIN);
	forbid_system_calls(t);
	return mproc_conn_recv(b->b, &byte, 1, NULL, MPROC_FOREVER);
}

static void
who_must_sleep_makes_one(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = start_with(t, wait_for_a_message, &b->b, 1);

	assert_int_equal(end_of(p), -SIGSYS);
	mproc_process_close(p);
	end(t, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_must_sleep_makes_one),
		mpt_test(two_that_are_busy_make_none),
	};

	return cmocka_run_group_tests(tests, with_pipes, NULL);
}
