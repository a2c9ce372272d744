/* SPDX-License-Identifier: MIT */
/*
 * pool.h: Ctrl-C during a map, which a terminal gives to the program, the keeper and all
 * workers at once. The program answers, or ends; the others do as it does, once.
 *
 * The program is a process of its own, with its own process group. Keepers are started by
 * the method that MPT_METHOD says.
 */
#include "pool.h"

static struct board *board; /* of the program that handles it */

static void
interrupt(int signal)
{
	(void)signal;
	atomic_fetch_add(&board->ended, 1);
	mproc_interrupt();
}

/* Until it is interrupted. */
static int
map_for_long(struct board *b)
{
	int in[4] = { 0, 1, 2, 3 }, out[4];

	return mproc_pool_map(b->pool, linger_over, NULL, in, sizeof(int), out,
			      sizeof(int), 4, MPROC_OPTS(mproc_map_opts, .chunk = 1));
}

static void
begin(struct mpt *t, struct board *b)
{
	mpt_check_int(t, setpgid(0, 0), 0);
	mpt_check_int(t, mproc_pool_create(&b->pool, MPROC_OPTS(
		mproc_pool_opts, .workers = 2, .method = usual_method())), 0);
}

static int
answer(struct mpt *t, void *arg)
{
	struct board *b = board = arg;

	mpt_check(t, signal(SIGINT, interrupt) != SIG_ERR);
	begin(t, b);
	for (int i = 0; i < 2; i++) {
		mpt_check_int(t, map_for_long(b), -EINTR);
		mpt_check(t, strstr(mproc_error_detail(), "canceled") != NULL);
	}
	/* By its own process alone: in none of the others. */
	mpt_check_int(t, atomic_load(&b->ended), 2);
	atomic_store(&b->go_on, true);
	mpt_check_int(t, map_for_long(b), 0);
	mpt_check_int(t, pool_stat(b).keepers, 1);
	close_and_join(b);
	mproc_forkserver_stop();
	return 0;
}

static void
count(int signal)
{
	(void)signal;
	atomic_fetch_add(&board->ended, 1);
}

/* It has other things to do, and so have the others. */
static int
go_on(struct mpt *t, void *arg)
{
	struct board *b = board = arg;

	mpt_check(t, signal(SIGINT, count) != SIG_ERR);
	begin(t, b);
	mpt_check_int(t, map_for_long(b), 0);
	mpt_check_int(t, atomic_load(&b->ended), 1);
	mpt_check_int(t, pool_stat(b).deaths, 0);
	mpt_check_int(t, pool_stat(b).keepers, 1);
	close_and_join(b);
	mproc_forkserver_stop();
	return 0;
}

static int
end(struct mpt *t, void *arg)
{
	struct board *b = arg;

	mpt_check(t, signal(SIGINT, SIG_DFL) != SIG_ERR);
	begin(t, b);
	(void)map_for_long(b);
	return 1;
}

static void
press(struct mpt *t, int id, struct board *b, unsigned begun)
{
	mpt_until(t, atomic_load(&b->begun) >= begun);
	mpt_check_int(t, kill(-mpt_pid(t, id), SIGINT), 0);
}

static void
a_program_that_answers_goes_on(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = mpt_fork(t, "program", answer, b);

	press(t, id, b, 2);
	mpt_until(t, atomic_load(&b->ended) == 1);
	press(t, id, b, 4);
	mpt_expect_exit(t, id, 0);
}

static void
a_program_that_goes_on_loses_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = mpt_fork(t, "program", go_on, b);

	press(t, id, b, 2);
	mpt_until(t, atomic_load(&b->ended) == 1);
	atomic_store(&b->go_on, true);
	mpt_expect_exit(t, id, 0);
}

static void
a_program_that_ends_leaves_nobody(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = mpt_fork(t, "program", end, b);
	pid_t group = mpt_pid(t, id);

	press(t, id, b, 2);
	mpt_expect_signal(t, id, SIGINT);
	mpt_reap_orphans(t);
	assert_int_equal(kill(-group, 0), -1);
	/* What it had in the arena goes with the next one. */
	pool_of(t, 1);
	close_and_join(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_program_that_answers_goes_on),
		mpt_test(a_program_that_goes_on_loses_nothing),
		mpt_test(a_program_that_ends_leaves_nobody),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
