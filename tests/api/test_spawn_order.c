/* SPDX-License-Identifier: MIT */
/*
 * MPROC_SPAWN: a new image has its order to go on before it comes to ask for it, and
 * does so only if it can do as its options say.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "options.h"

#define STARTS 20

/* Until the starter is interrupted in time. */
#define TRIES 100

#define SPAWN(...) \
	MPROC_OPTS(mproc_process_opts, .method = MPROC_SPAWN, __VA_ARGS__)

/* In the arena. */
struct board {
	_Atomic unsigned begun;
};

static struct board *board;

static int
note(void *arg)
{
	struct board *b = arg;

	atomic_fetch_add(&b->begun, 1);
	return 0;
}

static void
make_board(void)
{
	board = mproc_alloc(sizeof(*board));
	assert_non_null(board);
}

static void
who_cannot_apply_its_options_never_begins(void **state)
{
	(void)state;
	make_board();
	for (int i = 0; i < STARTS; i++) {
		mproc_process *p = NULL;

		/* It is reaped by then. */
		assert_int_equal(mproc_process_start(&p, note, board,
						     SPAWN(.cwd = "/nowhere")),
				 -ENOENT);
		assert_null(p);
		assert_int_equal(mproc_children(NULL, 0), 0);
	}
	assert_int_equal(board->begun, 0);
	mproc_free(board);
}

/* Handles that may be freed at any time are not for others. */

struct watcher {
	pthread_t thread;
	_Atomic bool over;
	_Atomic unsigned looks;
	unsigned seen;
};

static void *
watch_children(void *arg)
{
	struct watcher *w = arg;

	while (!w->over) {
		w->seen += (unsigned)mproc_children(NULL, 0);
		w->looks++;
	}
	return NULL;
}

static void
nobody_sees_one_whose_start_fails(void **state)
{
	struct watcher w = { 0 };

	(void)state;
	make_board();
	assert_int_equal(pthread_create(&w.thread, NULL, watch_children, &w), 0);
	for (int i = 0; i < STARTS; i++) {
		mproc_process *p;
		unsigned looks = w.looks;

		assert_int_equal(mproc_process_start(&p, note, board,
						     SPAWN(.cwd = "/nowhere")),
				 -ENOENT);
		mpt_until(*state, w.looks != looks);
	}
	w.over = true;
	assert_int_equal(pthread_join(w.thread, NULL), 0);
	assert_int_equal(w.seen, 0);
	mproc_free(board);
}

/* The starter, which sleeps until the image says how it has fared, is kept from waking
 * up by a handler that waits for the entry to have begun. */

static pid_t starter;
static _Atomic bool is_starting, is_kept, is_over;

static void
wait_for_entry(int signal)
{
	(void)signal;
	if (!is_starting || board->begun)
		return;
	is_kept = true;
	while (!board->begun)
		usleep(100);
}

/* Who is in the middle of an exec sleeps another way. */
static void *
interrupt_sleeper(void *arg)
{
	(void)arg;
	while (!is_over && !is_kept) {
		if (is_starting && mpt_task_state(starter) == 'S')
			tgkill(getpid(), starter, SIGUSR1);
		usleep(20);
	}
	return NULL;
}

static void
it_begins_before_its_starter_wakes_up(void **state)
{
	struct sigaction action = { .sa_handler = wait_for_entry,
				    .sa_flags = SA_RESTART }, before;
	pthread_t thread;

	(void)state;
	make_board();
	starter = gettid();
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	assert_int_equal(pthread_create(&thread, NULL, interrupt_sleeper, NULL),
			 0);
	for (int i = 0; i < TRIES && !is_kept; i++) {
		mproc_process *p;

		board->begun = 0;
		is_starting = true;
		p = start_with(note, board, SPAWN(.name = NULL));
		is_starting = false;
		assert_int_equal(end_of(p), 0);
		assert_int_equal(board->begun, 1);
		mproc_process_close(p);
	}
	is_over = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(is_kept);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	mproc_free(board);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_cannot_apply_its_options_never_begins),
		mpt_test(nobody_sees_one_whose_start_fails),
		mpt_test(it_begins_before_its_starter_wakes_up),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
