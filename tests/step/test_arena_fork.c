/* SPDX-License-Identifier: MIT */
/*
 * Who joins an arena, or leaves it, is interrupted at one instruction after the other by
 * a signal, whose handler forks and returns in both. No two have one slot, whoever comes first,
 * and a copy gives back nothing of its parent's.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "interrupt.h"

#define CLAIMS_MAX 20000
#define EVERY 4 /* instructions there is a copy; in full runs at each one */
#define LATE 40 /* copies that go on after their parent */

struct claim {
	unsigned slot;
	uint64_t ident;
};

struct board {
	_Atomic unsigned n;
	struct claim claims[CLAIMS_MAX];
	_Atomic bool host_is_done;
};

static struct board *board;

/* One that is interrupted. */
static struct job {
	struct mpt *t;
	void (*call)(void);
	bool copies_are_late;
} job;

/* In the host and its copies. */
static mproc_queue *queue;
static volatile bool armed;
static volatile bool is_copy;

static mproc_arena *
arena(void)
{
	return mpr_arena_peek();
}

static void
join(void)
{
	struct mpr_self *self;

	mpt_check_int(job.t, mpr_self(arena(), &self), 0);
}

/* It has something that is to be given back. */
static void
join_and_attach(void)
{
	mpt_check_int(job.t, mproc_queue_put(queue, "m", 1, MPROC_NOWAIT), 0);
}

/* The slot that the caller has is his. */
static void
claim(void)
{
	struct mpr_self *self = mpr_self_in(arena());
	unsigned i = atomic_fetch_add(&board->n, 1);

	mpt_check(job.t, self && i < CLAIMS_MAX);
	mpt_check_int(job.t, self->shared->tid, getpid());
	mpt_check(job.t, self->shared->ident == self->ident);
	mpt_check(job.t, !mpr_life_ended(&self->shared->life));
	board->claims[i] = (struct claim){ self->slot, self->ident };
}

static _Noreturn void
end_copy(void)
{
	char c[2];
	size_t len;

	if (job.call == mpr_self_leave)
		mpt_check(job.t, !mpr_self_in(arena()));
	join();
	claim();
	mpt_check_int(job.t, mproc_queue_put(queue, "c", 1, MPROC_NOWAIT), 0);
	mpt_check_int(job.t, mproc_queue_get(queue, c, sizeof(c), &len,
					     mproc_sec(10)), 0);
	/* Half of them are found dead. */
	if (getpid() % 2)
		mpr_self_leave();
	_exit(0);
}

static void
on_signal(int signal)
{
	struct mpr_self *self = mpr_self_in(arena());
	struct mpr_participant *p = self ? self->shared : NULL;
	uint64_t ident = p ? p->ident : 0;
	int saved = errno, status;
	pid_t pid;

	(void)signal;
	if (!armed)
		return;
	pid = _Fork();
	mpt_check(job.t, pid >= 0);
	if (pid == 0) {
		is_copy = true;
		alarm(20);
		if (job.copies_are_late)
			mpt_until(job.t, board->host_is_done);
	} else if (!job.copies_are_late) {
		mpt_check_int(job.t, waitpid(pid, &status, 0), pid);
		mpt_check_int(job.t, status, 0);
	}
	if (pid && p)
		mpt_check(job.t, p->ident == ident &&
				 !mpr_life_ended(&p->life));
	errno = saved;
}

static void
host(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	int status;

	mpt_check_int(job.t, sigaction(SIGUSR1, &action, NULL), 0);
	if (job.call == mpr_self_leave)
		join_and_attach();
	let_be_interrupted(job.t);
	armed = true;
	job.call();
	armed = false;
	if (is_copy)
		end_copy();
	raise(SIGSTOP);
	if (job.call == mpr_self_leave) {
		mpt_check(job.t, !mpr_self_in(arena()));
		join();
	}
	claim();
	board->host_is_done = true;
	while (waitpid(-1, &status, 0) > 0)
		mpt_check_int(job.t, status, 0);
	mpr_self_leave();
}

static void
nobody_shares(void)
{
	for (unsigned i = 0; i < board->n; i++)
		for (unsigned j = 0; j < i; j++)
			assert_false(board->claims[i].slot ==
					     board->claims[j].slot &&
				     board->claims[i].ident ==
					     board->claims[j].ident);
}

static unsigned
try_every(unsigned every)
{
	unsigned n;
	pid_t pid;

	board->n = 0;
	board->host_is_done = false;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		host();
		_exit(0);
	}
	n = interrupt_all(pid, every);
	wait_for_exit(pid);
	/* On its way to the mark it does not fork. */
	assert_in_range(board->n, 1 + n / 2, 1 + n);
	nobody_shares();
	recover();
	return n;
}

static void
try_call(struct mpt *t, void (*call)(void))
{
	const char *level = getenv("MPT_STEP");
	unsigned every = level && strcmp(level, "full") == 0 ? 1 : EVERY, n;
	struct mproc_arena_stat before, after;

	mpt_watchdog(t, 60);
	assert_int_equal(mproc_queue_create(&queue, NULL), 0);
	assert_int_equal(mproc_queue_put(queue, "m", 1, MPROC_NOWAIT), 0);
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &before), 0);
	job = (struct job){ .t = t, .call = call };
	n = try_every(every);
	assert_true(n > LATE);
	job.copies_are_late = true;
	try_every(every * n / LATE);
	assert_int_equal(mproc_arena_stat(NULL, &after), 0);
	mproc_queue_destroy(queue);
	assert_int_equal(after.participants, before.participants);
}

static void
a_copy_that_is_forked_as_a_thread_joins_has_its_own_slot(void **state)
{
	try_call(*state, join);
}

static void
a_copy_that_is_forked_as_a_thread_leaves_gives_nothing_back(void **state)
{
	try_call(*state, mpr_self_leave);
}

static int
with_board(void **state)
{
	(void)state;
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return board == MAP_FAILED || !mproc_arena_default();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_copy_that_is_forked_as_a_thread_joins_has_its_own_slot),
		mpt_test(a_copy_that_is_forked_as_a_thread_leaves_gives_nothing_back),
	};

	return cmocka_run_group_tests(tests, with_board, NULL);
}
