/* SPDX-License-Identifier: MIT */
/*
 * core.h: mproc_at_exit() - the functions that a process runs when it ends in
 * order, in which processes they run, and what its other threads do to that.
 * See exit.h.
 */
#include <fcntl.h>
#include <pthread.h>

#include "exit.h"
#include "mpt_self.h"

static void
register_another(void *arg)
{
	note('X');
	at_exit((char)(intptr_t)arg);
}

static void
register_some(void)
{
	at_exit('A');
	mpt_check_int(scenario, mproc_at_exit(register_another,
					      (void *)(intptr_t)'Y'), 0);
	at_exit('C');
	the_daemon_of(OPEN);
	at_exit('D');
}

static int
end_a_root(struct mpt *t, void *arg)
{
	(void)t;
	(void)arg;
	register_some();
	leave(8);
}

static int
end_by_return(void *arg)
{
	(void)arg;
	register_some();
	return 8;
}

static int
end_by_exit(void *arg)
{
	(void)arg;
	register_some();
	exit(8);
}

static void *
exit_in_a_thread(void *arg)
{
	(void)arg;
	exit(8);
}

static int
end_by_another_thread(void *arg)
{
	pthread_t thread;

	register_some();
	mpt_check_int(scenario, pthread_create(&thread, NULL, exit_in_a_thread,
					       NULL), 0);
	wait_to_be_killed(arg);
	return 0;
}

static int
end_a_started_one(struct mpt *t, void *arg)
{
	mproc_entry *const ways[] = { end_by_return, end_by_exit,
				      end_by_another_thread };

	mpt_check_int(t, end_of(start(ways[(uintptr_t)arg], OPEN)), 8);
	leave(0);
}

static void
functions_run_last_first_and_before_the_rules(void **state)
{
	begin(state);
	expect_end(*state, end_a_root, 0, 8, "DCXYAT");
	for (unsigned way = 0; way < 3; way++)
		expect_end(*state, end_a_started_one, way, 0, "DCXYAT");
}

static void
a_missing_function_is_invalid(void **state)
{
	(void)state;
	assert_int_equal(mproc_at_exit(NULL, NULL), -EINVAL);
	assert_true(detail_has("fn"));
}

static mproc_process *ward;

static void
stop_the_ward(void *arg)
{
	(void)arg;
	mpt_check_int(scenario, mproc_process_stop(ward, MPROC_FOREVER), 0);
	note('s');
}

static void
join_and_close_the_ward(void *arg)
{
	(void)arg;
	mpt_check_int(scenario, end_of(ward), 0);
	note('j');
}

static void
start_a_worker(void *arg)
{
	(void)arg;
	start(end_soon, OPEN);
}

static int
with_functions_that_care(struct mpt *t, void *arg)
{
	(void)arg;
	ward = start(be_polite, OPEN);
	mpt_until(t, board->ready == 1);
	mpt_check_int(t, mproc_at_exit(start_a_worker, NULL), 0);
	mpt_check_int(t, mproc_at_exit(join_and_close_the_ward, NULL), 0);
	mpt_check_int(t, mproc_at_exit(stop_the_ward, NULL), 0);
	leave(0);
}

static void
functions_may_use_the_library(void **state)
{
	begin(state);
	expect_end(*state, with_functions_that_care, 0, 0, "Tsjw");
}

static void
note_x(void)
{
	note('x');
}

static void
exit_once_more(void *arg)
{
	note('x');
	exit((int)(intptr_t)arg);
}

static void
register_one_that_exits(void)
{
	at_exit('A');
	the_daemon_of(OPEN);
	mpt_check_int(scenario, mproc_at_exit(exit_once_more, (void *)5), 0);
	at_exit('B');
}

static int
exit_in_a_function(void *how)
{
	register_one_that_exits();
	if (how)
		exit(8);
	return 8;
}

static int
end_a_root_in_a_function(struct mpt *t, void *arg)
{
	(void)t;
	(void)arg;
	register_one_that_exits();
	leave(8);
}

static int
end_a_started_one_in_a_function(struct mpt *t, void *arg)
{
	mproc_process *p;

	mpt_check_int(t, atexit(note_x), 0);
	mpt_check_int(t, mproc_process_start(&p, exit_in_a_function, arg,
					     NULL), 0);
	mpt_check_int(t, end_of(p), 5);
	_exit(0);
}

static void
a_function_may_call_exit(void **state)
{
	begin(state);
	expect_end(*state, end_a_root_in_a_function, 0, 5, "BxAT");
	expect_end(*state, end_a_started_one_in_a_function, 0, 0, "BxAT");
	expect_end(*state, end_a_started_one_in_a_function, 1, 0, "BxAT");
}

static int
register_one_and_exit(void *arg)
{
	(void)arg;
	at_exit('c');
	exit(3);
}

static int
have_children_of_all_kinds(struct mpt *t, void *arg)
{
	(void)arg;
	at_exit('p');
	mpt_check_int(t, end_of(start(return_at_once, OPEN)), 0);
	mpt_check_int(t, end_of(start(call_exit, OPEN)), 3);
	mpt_check_int(t, end_of(start(register_one_and_exit, OPEN)), 3);
	expect_forked(call_exit);
	expect_forked(register_one_and_exit);
	/* Nor do they wait for what is their parent's child. */
	start_ready(be_polite, OPEN);
	expect_forked(call_exit);
	mproc_set_exit_limit(MPROC_NOWAIT);
	leave(0);
}

static void
functions_run_in_the_process_that_registered_them(void **state)
{
	begin(state);
	expect_end(*state, have_children_of_all_kinds, 0, 0, "ccpT");
}

static int
register_with_the_c_library(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, atexit(note_x), 0);
	mpt_check_int(t, end_of(start(call_exit, OPEN)), 3);
	mpt_check_int(t, end_of(start(register_one_and_exit, OPEN)), 3);
	mpt_check_int(t, end_of(start(return_at_once, OPEN)), 0);
	note('|');
	leave(0);
}

static void
what_the_parent_gave_to_atexit_does_not_run_in_a_child(void **state)
{
	begin(state);
	expect_end(*state, register_with_the_c_library, 0, 0, "c|x");
}

static int
end_by_bare_exit(void *arg)
{
	(void)arg;
	at_exit('A');
	the_daemon_of(OPEN);
	_exit(6);
}

static int
end_a_root_by_bare_exit(struct mpt *t, void *arg)
{
	(void)t;
	return end_by_bare_exit(arg);
}

static int
end_a_started_one_by_bare_exit(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, end_of(start(end_by_bare_exit, OPEN)), 6);
	leave(6);
}

static void
bare_exit_runs_nothing(void **state)
{
	mpt_fn *const roots[] = { end_a_root_by_bare_exit,
				  end_a_started_one_by_bare_exit };
	struct mpt *t = *state;
	struct board *b = begin(state);

	for (int i = 0; i < 2; i++) {
		b->ready = 0;
		mpt_expect_exit(t, mpt_fork(t, "root", roots[i], NULL), 6);
		/* The daemon ends because its parent has. */
		assert_int_equal(mpt_reap_orphans(t), 1);
		assert_string_equal(b->log, "");
	}
}

/* Several threads. */

static void
count_the_run(void *arg)
{
	board->runs[(uintptr_t)arg]++;
}

static void *
register_many(void *arg)
{
	uintptr_t first = (uintptr_t)arg * FUNCTIONS;

	board->waiting++;
	mpt_until(scenario, board->go);
	for (uintptr_t i = 0; i < FUNCTIONS; i++)
		mpt_check_int(scenario, mproc_at_exit(count_the_run,
						      (void *)(first + i)), 0);
	return NULL;
}

static void
register_in_threads(struct mpt *t)
{
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		mpt_check_int(t, pthread_create(&threads[i], NULL,
						register_many, (void *)i), 0);
	mpt_until(t, board->waiting == THREADS);
	board->go = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static int
exit_with_functions_of_threads(struct mpt *t, void *arg)
{
	(void)arg;
	register_in_threads(t);
	leave(0);
}

static void
what_several_threads_registered_runs_once(void **state)
{
	struct board *b = begin(state);

	expect_end(*state, exit_with_functions_of_threads, 0, 0, "");
	for (int i = 0; i < THREADS * FUNCTIONS; i++)
		assert_int_equal(b->runs[i], 1);
}

static void *
exit_with_the_others(void *arg)
{
	(void)arg;
	board->waiting++;
	mpt_until(scenario, board->go);
	exit(9);
}

/* One thread calls exit() while the first one returns. */
static int
end_twice(void *arg)
{
	pthread_t thread;

	the_daemon_of(OPEN);
	start(work_until_a_daemon_has_ended, OPEN);
	for (uintptr_t i = 0; i < FUNCTIONS; i++)
		mpt_check_int(arg, mproc_at_exit(count_the_run, (void *)i), 0);
	mpt_check_int(arg, pthread_create(&thread, NULL, exit_with_the_others,
					  NULL), 0);
	mpt_until(arg, board->waiting == 1);
	board->go = true;
	return 9;
}

static int
start_some_that_end_twice(struct mpt *t, void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < amount(20); i++) {
		memset(board->runs, 0, sizeof(board->runs));
		board->waiting = 0;
		board->go = false;
		clear_log();
		mpt_check_int(t, end_of(start(end_twice, OPEN)), 9);
		for (int f = 0; f < FUNCTIONS; f++)
			mpt_check(t, board->runs[f] <= 1);
		mpt_check(t, strcmp(board->log, "Tw") == 0);
	}
	leave(0);
}

static void
a_function_runs_once_at_most(void **state)
{
	begin(state);
	expect_end(*state, start_some_that_end_twice, 0, 0, "Tw");
}

static void *
block_in_get(void *arg)
{
	char c;

	(void)arg;
	board->waiting++;
	(void)!mproc_queue_get(board->empty, &c, 1, NULL, MPROC_FOREVER);
	return NULL;
}

static void *
block_in_put(void *arg)
{
	char c = 0;

	(void)arg;
	while (mproc_queue_put(board->full, &c, 1, MPROC_NOWAIT) == 0)
		;
	board->waiting++;
	(void)!mproc_queue_put(board->full, &c, 1, MPROC_FOREVER);
	return NULL;
}

static void *
block_in_join(void *arg)
{
	board->waiting++;
	mproc_process_join(arg, MPROC_FOREVER);
	return NULL;
}

static void
run_beside(void *(*fn)(void *arg), void *arg)
{
	unsigned before = board->waiting;
	pthread_t thread;

	mpt_check_int(scenario, pthread_create(&thread, NULL, fn, arg), 0);
	pthread_detach(thread);
	mpt_until(scenario, board->waiting == before + 1);
}

static int
end_beside_blocked_threads(void *t)
{
	mproc_process *p = start(be_polite, DAEMON);

	mpt_until(t, board->ready == 1);
	run_beside(block_in_get, NULL);
	run_beside(block_in_put, NULL);
	run_beside(block_in_join, p);
	let_pass(t, 5 * MS);
	return 7;
}

static int
end_a_root_beside_blocked_threads(struct mpt *t, void *arg)
{
	(void)arg;
	leave(end_beside_blocked_threads(t));
}

static int
end_a_started_one_beside_blocked_threads(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, end_of(start(end_beside_blocked_threads, OPEN)), 7);
	leave(7);
}

static void
threads_that_are_blocked_in_the_library_do_no_harm(void **state)
{
	mpt_fn *const roots[] = { end_a_root_beside_blocked_threads,
				  end_a_started_one_beside_blocked_threads };
	struct mproc_arena_stat before;
	struct board *b = begin(state);
	char c;

	for (int i = 0; i < 2; i++) {
		assert_true(mproc_arena_recover(NULL) >= 0);
		before = stat_now();
		assert_int_equal(mproc_queue_create(&b->empty, NULL), 0);
		assert_int_equal(mproc_queue_create(&b->full, NULL), 0);
		b->waiting = 0;
		expect_end(*state, roots[i], 0, 7, "T");
		/* The queues are as good as before. */
		assert_int_equal(mproc_queue_put(b->empty, "y", 1,
						 MPROC_NOWAIT), 0);
		assert_int_equal(mproc_queue_get(b->empty, &c, 1, NULL,
						 MPROC_NOWAIT), 0);
		while (mproc_queue_get(b->full, &c, 1, NULL, MPROC_NOWAIT) == 0)
			;
		assert_int_equal(mproc_queue_len(b->full), 0);
		mproc_queue_destroy(b->empty);
		mproc_queue_destroy(b->full);
		expect_stat(&before);
	}
}

/* A program of its own, which has a real main(). */

static void
print_at_exit(void *text)
{
	fputs(text, stdout);
}

static void
print_and_end(int sig)
{
	ssize_t n = write(STDOUT_FILENO, "daemon;", 7);

	(void)n;
	_exit(sig != SIGTERM);
}

static int
print_when_asked(void *arg)
{
	int *fds = arg;

	signal(SIGTERM, print_and_end);
	close(fds[1]); /* ready */
	while (pause() < 0)
		;
	return 0;
}

static int
return_from_main(void)
{
	static char first[] = "first;", last[] = "last;";
	mproc_process *p;
	int fds[2];
	char c;

	if (pipe2(fds, O_CLOEXEC) < 0 || mproc_at_exit(print_at_exit, last) < 0 ||
	    mproc_process_start(&p, print_when_asked, fds,
				MPROC_OPTS(mproc_process_opts,
					   .arg_size = sizeof(fds),
					   .keep_fds = fds, .n_keep_fds = 2,
					   .daemon = true)) < 0 ||
	    mproc_at_exit(print_at_exit, first) < 0)
		return 1;
	setvbuf(stdout, NULL, _IONBF, 0);
	close(fds[1]);
	if (read(fds[0], &c, 1) != 0)
		return 2;
	fputs("main;", stdout);
	return 3;
}

static void
a_return_from_main_is_an_end_in_order(void **state)
{
	char out[256] = "";
	int status;

	(void)state;
	status = mpt_self_run("return_from_main", out, sizeof(out));
	assert_string_equal(out, "main;first;last;daemon;");
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
}

/* Or else each end beside other threads takes a second. */
const char *__tsan_default_options(void);

const char *
__tsan_default_options(void)
{
	return "atexit_sleep_ms=0";
}

/* Group setup: the headers of two queues stay. */
static int
with_headers(void **state)
{
	mproc_queue *q;

	if (mproc_queue_create(&q, NULL) < 0 || with_arena(state) < 0)
		return -1;
	mproc_queue_destroy(q);
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpt_test(functions_run_last_first_and_before_the_rules),
		mpt_test(a_missing_function_is_invalid),
		mpt_test(functions_may_use_the_library),
		mpt_test(a_function_may_call_exit),
		mpt_test(functions_run_in_the_process_that_registered_them),
		mpt_test(what_the_parent_gave_to_atexit_does_not_run_in_a_child),
		mpt_test(bare_exit_runs_nothing),
		mpt_test(what_several_threads_registered_runs_once),
		mpt_test(a_function_runs_once_at_most),
		mpt_test(threads_that_are_blocked_in_the_library_do_no_harm),
		mpt_test(a_return_from_main_is_an_end_in_order),
	};

	if (argc > 1 && strcmp(argv[1], "return_from_main") == 0)
		return return_from_main();
	return cmocka_run_group_tests(tests, with_headers, NULL);
}
