/* SPDX-License-Identifier: MIT */
/*
 * process.h: Ctrl-C, which a terminal gives to all processes of a group at once, as
 * these tests do. It ends a program and all that it has started, once, and nobody
 * says a word; or a program that handles it goes on, and so does its fork server.
 *
 * The program under test is a process of its own, with its own process group.
 */
#include <fcntl.h>
#include <poll.h>

#include "mpt_rand.h"
#include "process.h"

enum { WORKERS = 3, ROUNDS = 12, READY = 2 * WORKERS };

/* In the scratch bytes. */
struct board {
	mproc_queue *q; /* nothing ever comes */
	_Atomic unsigned ready;
	_Atomic unsigned signals; /* that the program has handled */
	_Atomic unsigned interrupts; /* waits of it that have ended so */
	_Atomic unsigned ended; /* workers that it has joined */
	_Atomic unsigned killed; /* of these by the signal */
	_Atomic int error;
	_Atomic bool over;
	pid_t children[READY];
};

static struct board *board; /* in the program */

static void
interrupt(int signal)
{
	(void)signal;
	if (board)
		board->signals++;
	mproc_interrupt();
}

static bool
forks(void)
{
	return !getenv("MPT_METHOD");
}

/* What a forked child has from the program, and others never had. */
static void
forget_handler(void)
{
	board = NULL;
	signal(SIGINT, SIG_DFL);
}

static int
wait_for_a_message(void *t)
{
	struct board *b = mpt_scratch(t);
	char byte;

	forget_handler();
	b->ready++;
	return mproc_queue_get(b->q, &byte, 1, NULL, MPROC_FOREVER) < 0;
}

/* And one that has one. */
static int
wait_for_a_child(void *t)
{
	struct board *b = mpt_scratch(t);
	mproc_process *p;

	forget_handler();
	if (mproc_process_start(&p, wait_for_a_message, t, NULL) < 0)
		return 1;
	b->ready++;
	(void)mproc_process_join(p, MPROC_FOREVER);
	return 2;
}

static bool
start_workers(struct mpt *t, mproc_process **ps)
{
	for (int i = 0; i < WORKERS; i++)
		if (mproc_process_start(&ps[i], wait_for_a_child, t, NULL) < 0)
			return false;
	return true;
}

static int
have_workers(void *t)
{
	mproc_process *ps[WORKERS];

	if (!start_workers(t, ps))
		return 1;
	wait_to_be_killed(t);
	return 2;
}

static int
return_seven(void *t)
{
	(void)t;
	return 7;
}

/* Joins @p however often it is interrupted. */
static void
see_the_end(struct board *b, mproc_process *p, int fine)
{
	int code = 1000;

	while (mproc_process_join(p, MPROC_FOREVER) == -EINTR)
		b->interrupts++;
	if (mproc_process_exitcode(p, &code) < 0 ||
	    (code != fine && code != -SIGINT))
		b->error = code;
	b->killed += code == -SIGINT;
	b->ended++;
	mproc_process_close(p);
}

static int
handle_it(void *t)
{
	struct board *b = mpt_scratch(t);
	mproc_process *ps[WORKERS], *p;
	char byte;

	board = b;
	signal(SIGINT, interrupt);
	if (!start_workers(t, ps))
		return 1;
	for (int i = 0; i < WORKERS; i++)
		see_the_end(b, ps[i], -SIGINT);
	/* It goes on. */
	if (mproc_process_start(&p, return_seven, t, NULL) < 0)
		return 2;
	see_the_end(b, p, 7);
	/* If all had ended whenever it came to wait, this is the first wait. */
	if (!b->interrupts &&
	    mproc_queue_get(b->q, &byte, 1, NULL, MPROC_FOREVER) == -EINTR)
		b->interrupts++;
	return 7;
}

static int
start_all_the_time(void *t)
{
	struct board *b = mpt_scratch(t);
	mproc_process *p;
	int r;

	board = b;
	signal(SIGINT, interrupt);
	b->ready = READY;
	for (unsigned i = 0; i < ROUNDS && !b->error; i++) {
		r = mproc_process_start(&p, return_seven, t, NULL);
		if (r < 0)
			b->error = r;
		else
			see_the_end(b, p, 7);
	}
	b->over = true;
	signal(SIGINT, SIG_IGN);
	return 0;
}

static int
list_children(pid_t *pids)
{
	mproc_process *ps[READY];
	int n = mproc_children(ps, READY);

	for (int i = 0; i < n && i < READY; i++)
		pids[i] = mproc_process_pid(ps[i]);
	return n;
}

static bool
is_in(pid_t pid, const pid_t *pids, int n)
{
	while (n > 0 && pids[n - 1] != pid)
		n--;
	return n > 0;
}

/* It would start children anew that end, whatever it is by. */
static int
supervise(void *t)
{
	struct board *b = mpt_scratch(t);
	pid_t now[READY];
	mproc_supervisor *s;
	int n;

	board = b;
	signal(SIGINT, interrupt);
	if (mproc_supervisor_create(&s, NULL) < 0)
		return 1;
	for (int i = 0; i < READY; i++)
		if (mproc_supervisor_add(s, wait_for_a_message, t, NULL) != i)
			return 2;
	if (mproc_supervisor_run(s, MPROC_NOWAIT) != -EAGAIN ||
	    list_children(b->children) != READY)
		return 3;
	b->over = true;
	if (mproc_supervisor_run(s, MPROC_FOREVER) != -EINTR)
		return 4;
	n = list_children(now);
	for (int i = 0; i < n; i++)
		if (!is_in(now[i], b->children, READY))
			return 5;
	mproc_supervisor_close(s);
	return 7;
}

/* What a program is watched by. */
struct watched {
	mproc_process *p;
	pid_t pid;
	int output; /* of all of it */
};

static struct watched
begin(struct mpt *t, mproc_entry *program)
{
	struct board *b = mpt_scratch(t);
	struct watched w;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(mproc_queue_create(&b->q, NULL), 0);
	assert_int_equal(mproc_process_start(
		&w.p, program, t,
		MPROC_OPTS(mproc_process_opts, .process_group = -1,
			   .stdout_ = { MPROC_STDIO_FD, fds[1] },
			   .stderr_ = { MPROC_STDIO_FD, fds[1] })), 0);
	close(fds[1]);
	w.output = fds[0];
	w.pid = mproc_process_pid(w.p);
	mpt_until(t, b->ready == READY);
	return w;
}

/* Nobody of it is left, and nobody has said anything. */
static void
end(struct mpt *t, struct watched *w)
{
	struct board *b = mpt_scratch(t);
	char byte;

	mproc_process_close(w->p);
	mpt_reap_orphans(t);
	assert_int_equal(kill(-w->pid, 0), -1);
	assert_int_equal(errno, ESRCH);
	assert_int_equal(read(w->output, &byte, 1), 0);
	close(w->output);
	mproc_queue_destroy(b->q);
}

static void
it_ends_a_program_and_all_that_it_has_started(void **state)
{
	struct watched w = begin(*state, have_workers);

	assert_int_equal(kill(-w.pid, SIGINT), 0);
	assert_int_equal(end_of(w.p), -SIGINT);
	end(*state, &w);
}

static void
a_program_that_handles_it_is_told_once_and_goes_on(void **state)
{
	struct board *b = mpt_scratch(*state);
	struct watched w = begin(*state, handle_it);

	assert_int_equal(kill(-w.pid, SIGINT), 0);
	assert_int_equal(end_of(w.p), 7);
	assert_int_equal(b->signals, 1);
	assert_int_equal(b->interrupts, 1);
	assert_int_equal(b->ended, WORKERS + 1);
	assert_int_equal(b->killed, WORKERS);
	assert_int_equal(b->error, 0);
	end(*state, &w);
}

static void
a_supervisor_starts_nobody_anew(void **state)
{
	struct board *b = mpt_scratch(*state);
	struct watched w = begin(*state, supervise);
	int now;

	mpt_until(*state, b->over);
	/* It comes to see that all its children have ended, and why. */
	assert_int_equal(kill(w.pid, SIGSTOP), 0);
	mpt_until(*state, (now = mpt_task_state(w.pid)) == 'T' || now == 'Z');
	if (now == 'Z')
		assert_int_equal(end_of(w.p), 7); /* too early, whatever it is */
	assert_int_equal(now, 'T');
	assert_int_equal(kill(-w.pid, SIGINT), 0);
	for (int i = 0; i < READY; i++)
		mpt_until(*state, mpt_task_state(b->children[i]) == 'Z');
	assert_int_equal(kill(w.pid, SIGCONT), 0);
	assert_int_equal(end_of(w.p), 7);
	assert_int_equal(b->signals, 1);
	end(*state, &w);
}

/* However far a start has come. */
static void
starts_in_between_succeed(void **state)
{
	struct board *b = mpt_scratch(*state);
	struct watched w = begin(*state, start_all_the_time);
	struct mpt_rand rand;

	mpt_rand_init(&rand, mpt_seed());
	while (!b->over) {
		assert_int_equal(kill(-w.pid, SIGINT), 0);
		poll(NULL, 0, (int)mpt_rand_below(&rand, 4));
	}
	assert_int_equal(end_of(w.p), 0);
	assert_int_equal(b->error, 0);
	assert_int_equal(b->ended, ROUNDS);
	/* A forked one has the program's handler. */
	if (forks())
		assert_int_equal(b->killed, 0);
	end(*state, &w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_ends_a_program_and_all_that_it_has_started),
		mpt_test(a_program_that_handles_it_is_told_once_and_goes_on),
		mpt_test(a_supervisor_starts_nobody_anew),
		mpt_test(starts_in_between_succeed),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
