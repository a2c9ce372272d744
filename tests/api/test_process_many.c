/* SPDX-License-Identifier: MIT */
/*
 * process.h with many processes, at once and in turn: each does its work, and
 * nothing of them is left. In a program of its own, as sanitizers keep memory
 * that was freed.
 */
#include <stdatomic.h>
#include <stdio.h>

#include "owned.h"
#include "started.h"

static uint64_t
resident(struct mpt *t)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	mpt_check(t, f);
	mpt_check_int(t, fscanf(f, "%*u %lu", &pages), 1);
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
in_a_host(struct mpt *t, mpt_fn *fn, void *arg)
{
	mpt_expect_exit(t, mpt_spawn(t, "host", fn, arg), 0);
}

/* What children put. */
struct message {
	pid_t pid;
	unsigned number;
};

struct task {
	struct mpt *t;
	mproc_queue *q;
	unsigned number;
	unsigned stay; /* until this step, or 0 */
};

static int
put_a_message(void *arg)
{
	struct task *task = arg;
	struct message m = { getpid(), task->number };

	mpt_check_int(task->t, mproc_queue_put(task->q, &m, sizeof(m),
					       MPROC_FOREVER), 0);
	mpt_reach(task->t, task->stay);
	return (int)(task->number % 256);
}

static void
get_a_message(struct task *task, struct message *m)
{
	size_t len = 0;

	mpt_check_int(task->t, mproc_queue_get(task->q, m, sizeof(*m), &len,
					       MPROC_FOREVER), 0);
	mpt_check_int(task->t, len, sizeof(*m));
}

static void
end_as_numbered(struct mpt *t, mproc_process *p, unsigned number)
{
	int code = -1;

	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, number % 256);
	mproc_process_close(p);
}

static void
expect_same_arena(struct mpt *t, const struct mproc_arena_stat *a,
		  const struct mproc_arena_stat *b)
{
	mpt_check_int(t, a->participants, b->participants);
	mpt_check_int(t, a->blocks, b->blocks);
	mpt_check_int(t, a->used, b->used);
	mpt_check_int(t, a->backed, b->backed);
}

static mproc_process *
start_one(struct task *task)
{
	mproc_process *p = NULL;

	mpt_check_int(task->t, mproc_process_start(
		&p, put_a_message, task,
		MPROC_OPTS(mproc_process_opts, .arg_size = sizeof(*task))), 0);
	return p;
}

#define AT_ONCE 500

static void
start_many_at_once(struct task *task)
{
	mproc_process *ps[AT_ONCE];
	bool seen[AT_ONCE] = { false };
	struct mpt *t = task->t;
	struct message m;

	for (unsigned i = 0; i < AT_ONCE; i++) {
		task->number = i;
		ps[i] = start_one(task);
	}
	for (unsigned i = 0; i < AT_ONCE; i++) {
		get_a_message(task, &m);
		mpt_check(t, m.number < AT_ONCE && !seen[m.number]);
		mpt_check_int(t, m.pid, mproc_process_pid(ps[m.number]));
		seen[m.number] = true;
	}
	for (unsigned i = 0; i < AT_ONCE; i++)
		mpt_check(t, mproc_process_is_alive(ps[i]));
	mpt_step(t, task->stay - 1);
	for (unsigned i = 0; i < AT_ONCE; i++)
		end_as_numbered(t, ps[i], i);
}

static int
host_of_many_at_once(struct mpt *t, void *arg)
{
	struct task task = { .t = t, .stay = 1 };
	struct mproc_arena_stat before, after;
	struct owned owned;

	(void)arg;
	mpt_check_int(t, mproc_queue_create(&task.q, NULL), 0);
	/* What the first ones touch stays. */
	start_many_at_once(&task);
	mpt_check_int(t, mproc_arena_stat(NULL, &before), 0);
	owned_look(t, &owned);
	task.stay++;
	start_many_at_once(&task);
	expect_nothing_left(t, &owned);
	mpt_check_int(t, mproc_arena_stat(NULL, &after), 0);
	expect_same_arena(t, &before, &after);
	mproc_queue_destroy(task.q);
	return 0;
}

static void
five_hundred_children_live_at_once(void **state)
{
	in_a_host(*state, host_of_many_at_once, NULL);
}

static void
start_some_in_turn(struct task *task, unsigned n)
{
	struct message m;
	mproc_process *p;

	for (unsigned i = 0; i < n; i++) {
		task->number = i;
		p = start_one(task);
		get_a_message(task, &m);
		mpt_check_int(task->t, m.number, i);
		mpt_check_int(task->t, m.pid, mproc_process_pid(p));
		end_as_numbered(task->t, p, i);
	}
}

#define ROOM_TO_GROW (256 << 10)

static int
host_of_many_in_turn(struct mpt *t, void *arg)
{
	struct task task = { .t = t };
	struct mproc_arena_stat before, after;
	struct owned owned;
	uint64_t rss;

	(void)arg;
	mpt_check_int(t, mproc_queue_create(&task.q, NULL), 0);
	/* What the first ones touch stays. */
	start_some_in_turn(&task, 100);
	mpt_check_int(t, mproc_arena_stat(NULL, &before), 0);
	rss = resident(t);
	owned_look(t, &owned);
	start_some_in_turn(&task, amount(10000));
	expect_nothing_left(t, &owned);
	mpt_check(t, resident(t) <= rss + ROOM_TO_GROW);
	mpt_check_int(t, mproc_arena_stat(NULL, &after), 0);
	expect_same_arena(t, &before, &after);
	mproc_queue_destroy(task.q);
	return 0;
}

static void
ten_thousand_children_in_turn_leave_nothing(void **state)
{
	struct mpt *t = *state;

	mpt_watchdog(t, 20 + amount(40));
	in_a_host(t, host_of_many_in_turn, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(five_hundred_children_live_at_once),
		mpt_test(ten_thousand_children_in_turn_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
