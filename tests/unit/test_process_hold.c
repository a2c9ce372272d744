/* SPDX-License-Identifier: MIT */
/*
 * Processes that are held back before their entry.
 */
#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "common.h"
#include "os/ambience.h"
#include "os/thread.h"
#include "process/handle.h"

#define SEVERAL 5

/* In the arena. */
struct board {
	_Atomic unsigned begun;
	_Atomic pid_t child;
	_Atomic uintptr_t record;
	struct mpr_records *lent;
	int code;
};

static int method;

/* A test with each method. */
#define each(f)                                                               \
	static void f##_by_fork(void **state)                                 \
	{                                                                     \
		method = MPROC_FORK;                                          \
		f(state);                                                     \
	}                                                                     \
	static void f##_by_spawn(void **state)                                \
	{                                                                     \
		method = MPROC_SPAWN;                                         \
		f(state);                                                     \
	}                                                                     \
	static void f##_by_forkserver(void **state)                           \
	{                                                                     \
		method = MPROC_FORKSERVER;                                    \
		f(state);                                                     \
		assert_int_equal(mproc_forkserver_stop(), 0);                 \
	}

#define each_test(f) \
	mpt_test(f##_by_fork), mpt_test(f##_by_spawn), \
		mpt_test(f##_by_forkserver)

static struct board *
new_board(void)
{
	struct board *b = mproc_alloc(sizeof(*b));

	assert_non_null(b);
	return b;
}

static int
note(void *arg)
{
	struct board *b = arg;

	b->begun++;
	return 0;
}

static int
hold_one(mproc_process **ret_p, mproc_entry *fn, void *arg)
{
	struct mpr_call call = mpr_call_entry(fn, arg, 0);
	struct mproc_process_opts o = { .method = method };

	return mpr_process_hold(ret_p, &call, &o);
}

static void
hold(struct mpt *t, struct board *b, mproc_process **ps)
{
	for (int i = 0; i < SEVERAL; i++)
		assert_int_equal(hold_one(&ps[i], note, b), 0);
	/* They are asleep by then, not only late. */
	for (int i = 0; i < SEVERAL; i++)
		mpt_until(t, mpt_task_state(mproc_process_pid(ps[i])) == 'S');
}

static void
one_that_is_held_begins_when_it_is_let_go(void **state)
{
	struct board *b = new_board();
	mproc_process *ps[SEVERAL];

	hold(*state, b, ps);
	assert_int_equal(b->begun, 0);
	for (int i = 0; i < SEVERAL; i++) {
		assert_true(mproc_process_is_alive(ps[i]));
		mpr_process_let_go(ps[i]);
	}
	for (int i = 0; i < SEVERAL; i++) {
		assert_int_equal(mproc_process_join(ps[i], MPROC_FOREVER), 0);
		mproc_process_close(ps[i]);
	}
	assert_int_equal(b->begun, SEVERAL);
	mproc_free(b);
}

each(one_that_is_held_begins_when_it_is_let_go)

static void
one_that_is_abandoned_never_begins(void **state)
{
	struct board *b = new_board();
	mproc_process *ps[SEVERAL];

	hold(*state, b, ps);
	for (int i = 0; i < SEVERAL; i++)
		mpr_process_abandon(ps[i]);
	assert_int_equal(b->begun, 0);
	assert_int_equal(mproc_children(NULL, 0), 0);
	mproc_free(b);
}

each(one_that_is_abandoned_never_begins)

static int
hold_and_wait(struct mpt *t, void *arg)
{
	struct board *b = arg;
	mproc_process *p;

	mpt_check_int(t, hold_one(&p, note, b), 0);
	b->child = mproc_process_pid(p);
	mpt_until(t, mpt_task_state(b->child) == 'S');
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
one_that_is_held_ends_with_its_parent(void **state)
{
	struct board *b = new_board();
	int id = mpt_spawn(*state, "parent", hold_and_wait, b);

	mpt_reach(*state, 1);
	mpt_kill(*state, id);
	/* And its server with it. */
	assert_int_equal(mpt_reap_orphans(*state),
			 method == MPROC_FORKSERVER ? 2 : 1);
	assert_int_equal(b->begun, 0);
	mproc_free(b);
}

each(one_that_is_held_ends_with_its_parent)

/* Another thread than the one that holds it, which then is gone. */

static void *
hold_in_thread(void *arg)
{
	struct board *b = arg;
	mproc_process *p;

	if (hold_one(&p, note, b) == 0)
		b->child = mproc_process_pid(p);
	while (pause() < 0)
		;
	return NULL;
}

static int
exec_another_program(struct mpt *t, void *arg)
{
	struct board *b = arg;
	pthread_t thread;

	mpt_check_int(t, pthread_create(&thread, NULL, hold_in_thread, b), 0);
	mpt_until(t, b->child && mpt_task_state(b->child) == 'S');
	execl("/bin/sleep", "sleep", "1000", (char *)NULL);
	return 1;
}

static bool
has_ended(pid_t pid)
{
	int state = mpt_task_state(pid);

	return state == 'Z' || state == 0;
}

static void
one_that_is_held_ends_when_its_parent_becomes_another_program(void **state)
{
	struct board *b = new_board();
	int id = mpt_spawn(*state, "parent", exec_another_program, b);

	mpt_until(*state, b->child && has_ended(b->child));
	mpt_kill(*state, id);
	mpt_reap_orphans(*state);
	assert_int_equal(b->begun, 0);
	mproc_free(b);
}

each(one_that_is_held_ends_when_its_parent_becomes_another_program)

/* As a pool's keeper does. */
static int
ignore_and_note(void *board)
{
	struct mpr_keyboard keyboard;
	sigset_t none;

	sigemptyset(&none);
	mpr_keyboard_ignore(&keyboard);
	mpr_thread_allow_signals(&none);
	return note(board);
}

/* Nothing is to come of what a user presses before it runs. */
static void
a_service_that_is_held_has_no_keyboard(void **state)
{
	static const int keys[] = { SIGINT, SIGQUIT, SIGTSTP };
	struct board *b = new_board();
	struct mpr_call call = mpr_call_entry(ignore_and_note, b, 0);
	mproc_process *p;
	int code;

	for (unsigned i = 0; i < 6; i++) {
		struct mproc_process_opts o = {
			.method = i < 3 ? MPROC_SPAWN : MPROC_FORKSERVER,
		};

		assert_int_equal(mpr_process_hold_service(&p, &call, &o), 0);
		mpt_until(*state, mpt_task_state(mproc_process_pid(p)) == 'S');
		assert_int_equal(kill(mproc_process_pid(p), keys[i % 3]), 0);
		mpr_process_let_go(p);
		assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
		assert_int_equal(mproc_process_exitcode(p, &code), 0);
		assert_int_equal(code, 0);
		mproc_process_close(p);
		assert_int_equal(b->begun, i + 1);
	}
	assert_int_equal(mproc_forkserver_stop(), 0);
	mproc_free(b);
}

static int
sleep_for_ever(void *arg)
{
	(void)arg;
	while (pause())
		;
	return 0;
}

static int
begin_with_others(void *arg)
{
	mproc_process *p;
	bool by_id;

	(void)arg;
	if (hold_one(&p, sleep_for_ever, NULL) < 0)
		return 1;
	by_id = p->child.fd < 0;
	mpr_process_abandon(p);
	return by_id;
}

/* As a pool's keeper does. */
static int
begin_alone(struct mpt *t, void *unused)
{
	mproc_process *ps[2];

	(void)unused;
	mpr_process_is_alone();
	method = MPROC_FORK;
	mpt_check_int(t, hold_one(&ps[0], sleep_for_ever, NULL), 0);
	mpr_process_let_go(ps[0]);
	mpt_check_int(t, ps[0]->child.fd, -1);
	mpt_check(t, !mpr_process_has_ended(ps[0]));
	mpt_check_int(t, mproc_process_kill(ps[0]), 0);
	mpt_until(t, mpr_process_has_ended(ps[0]));
	mpt_check_int(t, ps[0]->exit.signal, SIGKILL);
	mpt_check(t, !ps[0]->exit.reaped_elsewhere);
	mproc_process_close(ps[0]);

	/* A child of its own is not alone. */
	mpt_check_int(t, hold_one(&ps[1], begin_with_others, NULL), 0);
	mpr_process_let_go(ps[1]);
	mpt_check_int(t, mproc_process_join(ps[1], MPROC_FOREVER), 0);
	mpt_check_int(t, ps[1]->exit.code, 0);
	mproc_process_close(ps[1]);
	return 0;
}

static void
children_of_one_that_is_alone_have_no_pidfds(void **state)
{
	mpt_expect_exit(*state, mpt_fork(*state, "parent", begin_alone, NULL), 0);
}

static int
lose_one(struct mpt *t, void *unused)
{
	mproc_process *p;
	pid_t pid;
	bool ended;

	(void)unused;
	mpr_process_is_alone();
	method = MPROC_FORK;
	mpt_check_int(t, hold_one(&p, sleep_for_ever, NULL), 0);
	mpr_process_let_go(p);
	pid = mproc_process_pid(p);
	mpt_check_int(t, kill(pid, SIGKILL), 0);
	mpt_check_int(t, waitpid(pid, NULL, 0), pid);
	/* The next one that gets its id: our parent. */
	p->child.pid = getppid();
	mpr_process_lock();
	ended = mpr_process_look(p);
	mpr_process_unlock();
	mpt_check(t, ended);
	mpt_check(t, p->exit.reaped_elsewhere);
	p->child.pid = pid;
	mproc_process_close(p);
	return 0;
}

/* By a function of pthread_atfork(3), say. */
static void
one_that_somebody_else_has_reaped_does_not_live_on_in_a_stranger(void **state)
{
	mpt_expect_exit(*state, mpt_fork(*state, "parent", lose_one, NULL), 0);
}

/* As a pool's keeper does. */
static int
use_what_is_lent(void *arg)
{
	struct board *b = arg;

	mpr_records_have(b->lent);
	b->record = (uintptr_t)mpr_record_new();
	return b->code < 0 ? sleep_for_ever(NULL) : b->code;
}

/* Returns whether the memory is there yet for another child. Without a @code it is killed. */
static bool
is_kept(struct mpt *t, struct board *b, int code)
{
	unsigned char in_core;
	mproc_process *p;

	method = MPROC_FORK;
	b->record = 0;
	b->code = code;
	b->lent = mpr_records_set_aside();
	assert_int_equal(hold_one(&p, use_what_is_lent, b), 0);
	p->lent = b->lent;
	mpr_process_let_go(p);
	mpt_until(t, b->record);
	if (code < 0)
		assert_int_equal(mproc_process_kill(p), 0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
	return mincore((void *)(b->record & ~(uintptr_t)4095), 4096,
		       &in_core) == 0;
}

/* What a killed one has started may be about to write there. */
static void
records_of_one_that_ends_in_order_are_for_the_next_one(void **state)
{
	struct board *b = new_board();
	uintptr_t first;

	for (int i = 0; i < 2; i++) {
		assert_true(is_kept(*state, b, 0));
		first = b->record;
		assert_true(is_kept(*state, b, 0));
		assert_int_equal(b->record, first);
		assert_false(is_kept(*state, b, i ? 3 : -1));
		assert_int_equal(b->record, first);
	}
	mproc_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		each_test(one_that_is_held_begins_when_it_is_let_go),
		each_test(one_that_is_abandoned_never_begins),
		each_test(one_that_is_held_ends_with_its_parent),
		each_test(one_that_is_held_ends_when_its_parent_becomes_another_program),
		mpt_test(a_service_that_is_held_has_no_keyboard),
		mpt_test(children_of_one_that_is_alone_have_no_pidfds),
		mpt_test(one_that_somebody_else_has_reaped_does_not_live_on_in_a_stranger),
		mpt_test(records_of_one_that_ends_in_order_are_for_the_next_one),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
