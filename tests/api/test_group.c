/* SPDX-License-Identifier: MIT */
/*
 * process.h: groups - starting, joining, what a failure of one means for the
 * others, and what is told of it. How groups are stopped and closed, and whose
 * they are, is in test_group_end.c.
 */
#include "group.h"
#include "mpt_times.h"

static int
return_what_is_there(int index, void *arg)
{
	const int *codes = arg;

	return codes[index];
}

static void
arguments_that_make_no_sense_are_refused(void **state)
{
	mproc_group *g = NULL;
	int *codes = mproc_alloc(sizeof(*codes));
	struct mproc_group_opts wrong = { .struct_size = 3 };
	struct {
		struct mproc_group_opts o;
		int more;
	} longer = { { .struct_size = sizeof(longer) }, 1 };
	struct mproc_exit exit;

	(void)state;
	assert_non_null(codes);
	*codes = 0;
	assert_int_equal(mproc_group_start(NULL, return_what_is_there, codes, 1,
					   NULL), -EINVAL);
	assert_int_equal(mproc_group_start(&g, NULL, codes, 1, NULL), -EINVAL);
	assert_int_equal(mproc_group_start(&g, return_what_is_there, codes, 0,
					   NULL), -EINVAL);
	assert_int_equal(mproc_group_start(&g, return_what_is_there, codes, -1,
					   NULL), -EINVAL);
	assert_int_equal(mproc_group_start(
		&g, return_what_is_there, codes, 1,
		MPROC_OPTS(mproc_group_opts, .grace = mproc_until(1))),
		-EINVAL);
	assert_true(detail_has("grace"));
	assert_int_equal(mproc_group_start(&g, return_what_is_there, codes, 1,
					   &wrong), -EINVAL);
	assert_int_equal(mproc_group_start(&g, return_what_is_there, codes, 1,
					   &longer.o), -E2BIG);
	/* And those for each process. */
	assert_int_equal(mproc_group_start(
		&g, return_what_is_there, NULL, 1,
		MPROC_OPTS(mproc_group_opts, .process = MPROC_OPTS(
			mproc_process_opts, .arg_size = 4))), -EINVAL);
	assert_int_equal(mproc_group_start(
		&g, return_what_is_there, codes, 1,
		MPROC_OPTS(mproc_group_opts,
			   .process = &(struct mproc_process_opts){
				   .struct_size = 1 })), -EINVAL);
	assert_null(g);

	assert_int_equal(mproc_group_join(NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_group_stop(NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_group_failure(NULL, &exit), -EINVAL);
	mproc_group_close(NULL);
	assert_int_equal(mproc_group_start(&g, return_what_is_there, codes, 1,
					   NULL), 0);
	assert_int_equal(mproc_group_failure(g, NULL), -EINVAL);
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER), 0);
	mproc_group_close(g);
	mproc_free(codes);
}

static void
join_returns_when_all_have_succeeded(void **state)
{
	mproc_group *g = NULL;
	int *codes = mproc_alloc(MEMBERS * sizeof(*codes));

	(void)state;
	assert_non_null(codes);
	memset(codes, 0, MEMBERS * sizeof(*codes));
	for (int n = 1; n <= MEMBERS; n *= 10) {
		assert_int_equal(mproc_group_start(&g, return_what_is_there,
						   codes, n, NULL), 0);
		/* Any number of times. */
		for (int i = 0; i < 3; i++)
			assert_int_equal(mproc_group_join(g, MPROC_FOREVER),
					 0);
		assert_int_equal(mproc_group_join(g, MPROC_NOWAIT), 0);
		expect_no_failure(g);
		assert_int_equal(mproc_group_stop(g, MPROC_FOREVER), 0);
		mproc_group_close(g);
	}
	mproc_free(codes);
}

static int
check_name(int index, void *t)
{
	char name[32];

	snprintf(name, sizeof(name), "crew-%d", index);
	mpt_check(t, strcmp(mproc_self_name(), name) == 0);
	return 0;
}

static int
check_long_name(int index, void *t)
{
	const char *name = mproc_self_name();

	mpt_check_int(t, strlen(name), 52 + 2);
	mpt_check(t, name[51] == 'n' && name[52] == '-');
	mpt_check_int(t, name[53], '0' + index);
	return 0;
}

static int
check_default_name(int index, void *t)
{
	char name[32];

	snprintf(name, sizeof(name), "member-%d", index);
	mpt_check(t, strcmp(mproc_self_name(), name) == 0);
	return 0;
}

static void
run_group(mproc_group_entry *fn, void *arg, int n,
	  const struct mproc_process_opts *opts)
{
	mproc_group *g = NULL;

	assert_int_equal(mproc_group_start(
		&g, fn, arg, n, MPROC_OPTS(mproc_group_opts,
					   .process = opts)), 0);
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER), 0);
	mproc_group_close(g);
}

static void
members_have_names(void **state)
{
	char name[100];

	run_group(check_name, *state, 12,
		  MPROC_OPTS(mproc_process_opts, .name = "crew"));
	run_group(check_default_name, *state, 2, NULL);
	/* Of a long one as much as the index leaves room for. */
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	run_group(check_long_name, *state, 3,
		  MPROC_OPTS(mproc_process_opts, .name = name));
}

struct copied {
	struct mpt *t;
	int number;
};

static int
check_copy(int index, void *arg)
{
	struct copied *c = arg;

	mpt_check_int(c->t, (uintptr_t)c % _Alignof(max_align_t), 0);
	mpt_check_int(c->t, c->number, 7);
	c->number = index;
	mpt_check_int(c->t, atoi(mproc_self_name() + strlen("member-")),
		      index);
	return 0;
}

static void
each_member_has_its_own_copy_of_the_argument(void **state)
{
	struct copied *c = mproc_alloc(sizeof(*c));

	assert_non_null(c);
	*c = (struct copied){ *state, 7 };
	run_group(check_copy, c, 5,
		  MPROC_OPTS(mproc_process_opts, .arg_size = sizeof(*c)));
	assert_int_equal(c->number, 7);
	mproc_free(c);
}

static void
the_argument_may_be_changed_once_the_group_is_started(void **state)
{
	struct copied *c = mproc_alloc(sizeof(*c));
	mproc_group *g = NULL;

	assert_non_null(c);
	*c = (struct copied){ *state, 7 };
	assert_int_equal(mproc_group_start(
		&g, check_copy, c, 5,
		MPROC_OPTS(mproc_group_opts, .process = MPROC_OPTS(
			mproc_process_opts, .arg_size = sizeof(*c)))), 0);
	memset(c, 0, sizeof(*c));
	mproc_free(c);
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER), 0);
	mproc_group_close(g);
}

/* One fails in some way, the others are asked and end. */
static void
one_fails(struct mpt *t, enum act act, int code, int exit_code, int signal,
     const char *text)
{
	struct board *b = new_board(t, 5);
	struct mproc_exit exit;
	mproc_group *g;

	let(b, 2, act, code);
	let(b, 4, RETURN_0, 0);
	g = start_and_await(b, MPROC_FOREVER);
	/* And again: the same result. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mproc_group_join(g, MPROC_FOREVER),
				 MPROC_GROUP_FAILED);
		assert_true(detail_has("member 2 of 5"));
		assert_true(detail_has("\"member-2\""));
		assert_true(detail_has(text));
		expect_failure(g, 2, exit_code, signal);
	}
	assert_int_equal(mproc_group_failure(g, &exit), 2);
	assert_int_equal(exit.pid, b->pid[2]);
	assert_string_equal(exit.name, "member-2");
	assert_int_equal(mproc_group_stop(g, MPROC_NOWAIT), 0);
	mproc_group_close(g);
}

static void
a_member_that_fails_ends_the_others_and_is_named(void **state)
{
	one_fails(*state, EXIT, 3, 3, 0, "code 3");
	one_fails(*state, EXIT, 137, 137, 0, "code 137");
	one_fails(*state, RAISE, SIGSEGV, -1, SIGSEGV, "SIGSEGV");
	one_fails(*state, RAISE, SIGKILL, -1, SIGKILL, "SIGKILL");
	one_fails(*state, RAISE, SIGABRT, -1, SIGABRT, "SIGABRT");
	one_fails(*state, RAISE, SIGTERM, -1, SIGTERM, "SIGTERM");
}

static void
the_first_failure_is_the_one_that_is_told(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 6);
	mproc_group *g;

	/* They fail too when they are asked to end. */
	let(b, 0, LEAVE, 11);
	let(b, 1, LEAVE, 12);
	let(b, 5, LEAVE, 13);
	g = start_and_await(b, MPROC_FOREVER);
	assert_int_equal(mproc_group_join(g, MPROC_NOWAIT), -EAGAIN);
	expect_no_failure(g);
	assert_int_equal(kill(b->pid[3], SIGKILL), 0);
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER),
			 MPROC_GROUP_FAILED);
	expect_failure(g, 3, -1, SIGKILL);
	assert_int_equal(b->asked, 3);
	mproc_group_close(g);
}

/* Whether a child can be reaped, or was. */
static bool
has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) <
		       0 ||
	       info.si_pid == pid;
}

static void
of_several_that_failed_unseen_the_lowest_index_is_told(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 6);
	mproc_group *g = start_and_await(b, MPROC_FOREVER);

	assert_int_equal(kill(b->pid[4], SIGKILL), 0);
	mpt_until(t, has_ended(b->pid[4]));
	assert_int_equal(kill(b->pid[2], SIGUSR1), 0);
	mpt_until(t, has_ended(b->pid[2]));
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER),
			 MPROC_GROUP_FAILED);
	expect_failure(g, 2, -1, SIGUSR1);
	mproc_group_close(g);
}

static void
one_that_ignores_the_request_is_killed_after_the_grace(void **state)
{
	int64_t began;
	struct mpt_times spent = { 0 };
	mproc_group *g;

	for (int i = 0; i < 5; i++) {
		struct board *b = new_board(*state, 4);

		let(b, 0, IGNORE, 0);
		let(b, 3, LEAVE, 0);
		g = start_and_await(b, mproc_ms(80));
		assert_int_equal(kill(b->pid[2], SIGKILL), 0);
		began = mproc_now();
		assert_int_equal(mproc_group_join(g, MPROC_FOREVER),
				 MPROC_GROUP_FAILED);
		assert_true(mproc_now() - began >= 80 * MS);
		mpt_times_add(&spent, mproc_now() - began);
		assert_int_equal(b->asked, 1);
		expect_failure(g, 2, -1, SIGKILL);
		mproc_group_close(g);
	}
	/* Not with the slices of a second in which a wait looks around. */
	assert_true(mpt_times_median(&spent) < 800 * MS);
}

static void
a_join_comes_back_in_time_also_within_the_grace(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 3);
	int64_t began, asked;
	mproc_group *g;
	bool in_time;
	int r;

	let(b, 0, IGNORE, 0);
	let(b, 1, LEAVE, 0);
	g = start_and_await(b, mproc_ms(400));
	assert_int_equal(mproc_group_join(g, mproc_ms(5)), -ETIMEDOUT);
	assert_int_equal(mproc_group_join(g, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(b->asked, 0);
	assert_int_equal(kill(b->pid[2], SIGKILL), 0);
	mpt_until(t, has_ended(b->pid[2]));
	/* A look is enough to ask the others. */
	assert_int_equal(mproc_group_join(g, MPROC_NOWAIT), -EAGAIN);
	asked = mproc_now();
	expect_failure(g, 2, -1, SIGKILL);
	mpt_until(t, b->asked == 1);
	began = mproc_now();
	r = mproc_group_join(g, mproc_ms(10));
	/* On a busy machine the grace may be over by now. */
	in_time = mproc_now() - asked < 400 * MS;
	assert_true(!in_time || r == -ETIMEDOUT);
	assert_true(!in_time || mproc_now() - began >= 10 * MS);
	/* The grace goes on while nobody waits. */
	mpt_until(t, mproc_now() - asked > 400 * MS);
	assert_false(in_time && has_ended(b->pid[0]));
	r = mproc_group_join(g, MPROC_NOWAIT);
	assert_true(!in_time || r == -EAGAIN);
	mpt_until(t, has_ended(b->pid[0]));
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER),
			 MPROC_GROUP_FAILED);
	mproc_group_close(g);
}

static void
many_members_end_when_one_fails(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, MEMBERS);
	mproc_group *g;

	for (int i = 0; i < MEMBERS; i += 3)
		let(b, i, LEAVE, 0);
	for (int i = 1; i < MEMBERS; i += 3)
		let(b, i, RETURN_0, 0);
	let(b, 77, IGNORE, 0);
	let(b, 50, EXIT, 1);
	g = start_group(b, mproc_ms(50));
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER),
			 MPROC_GROUP_FAILED);
	expect_failure(g, 50, 1, 0);
	assert_true(detail_has("member 50 of 100"));
	mproc_group_close(g);
	assert_int_equal(mproc_children(NULL, 0), 0);
}

static int
host_with_sigchld_ignored(struct mpt *t, void *arg)
{
	struct board *b = new_board(t, 3);
	struct mproc_exit exit;
	mproc_group *g;

	(void)arg;
	signal(SIGCHLD, SIG_IGN);
	let(b, 0, RETURN_0, 0);
	let(b, 1, EXIT, 0);
	let(b, 2, EXIT, 0);
	mpt_check_int(t, mproc_group_start(&g, be_a_member, b, 3, NULL), 0);
	mpt_check_int(t, mproc_group_join(g, MPROC_FOREVER), 0);
	mproc_group_close(g);
	/* A killed one leaves no code: that is no success. */
	b = new_board(t, 3);
	let(b, 1, RAISE, SIGKILL);
	mpt_check_int(t, mproc_group_start(&g, be_a_member, b, 3, NULL), 0);
	mpt_check_int(t, mproc_group_join(g, MPROC_FOREVER),
		      MPROC_GROUP_FAILED);
	mpt_check(t, detail_has("left no code"));
	mpt_check_int(t, mproc_group_failure(g, &exit), 1);
	mpt_check(t, exit.reaped_elsewhere);
	mproc_group_close(g);
	return 0;
}

static void
a_host_that_ignores_sigchld_is_told_too(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "host", host_with_sigchld_ignored,
				     NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(arguments_that_make_no_sense_are_refused),
		mpt_test(join_returns_when_all_have_succeeded),
		mpt_test(members_have_names),
		mpt_test(each_member_has_its_own_copy_of_the_argument),
		mpt_test(the_argument_may_be_changed_once_the_group_is_started),
		mpt_test(a_member_that_fails_ends_the_others_and_is_named),
		mpt_test(the_first_failure_is_the_one_that_is_told),
		mpt_test(of_several_that_failed_unseen_the_lowest_index_is_told),
		mpt_test(one_that_ignores_the_request_is_killed_after_the_grace),
		mpt_test(a_join_comes_back_in_time_also_within_the_grace),
		mpt_test(many_members_end_when_one_fails),
		mpt_test(a_host_that_ignores_sigchld_is_told_too),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
