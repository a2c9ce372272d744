/* SPDX-License-Identifier: MIT */
/*
 * Boards: what processes under test write, whatever they write, and results made of
 * it. And abort() that is caught.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "common.h"
#include "os/abort.h"
#include "testing/board.h"
#include "testing/output.h"
#include "testing/result.h"

static struct mpr_board *
make_board(void)
{
	struct mpr_board *b;

	assert_int_equal(mpr_board_new(&b), 0);
	return b;
}

static struct mpr_failure
make_failure(int line)
{
	struct mpr_failure f = { .line = line, .pid = 1 };

	snprintf(f.text, sizeof(f.text), "text %d", line);
	return f;
}

static int
add_many(struct mpt *t, void *arg)
{
	struct mpr_failure f = make_failure((int)mpt_pid(t, 0));

	for (int i = 0; i < 10; i++)
		mpr_board_add(arg, &f);
	return 0;
}

static int
add_none(struct mpt *t, void *arg)
{
	(void)t;
	return arg != NULL;
}

static void
entries_of_several_processes_are_whole(void **state)
{
	struct mpr_failure all[MPR_BOARD_FAILURES];
	struct mpr_board *b = make_board();
	struct mpt *t = *state;
	char text[32];
	unsigned n;

	for (int i = 0; i < 4; i++)
		mpt_spawn(t, "writer", add_many, b);
	mpt_join_all(t);
	assert_int_equal(mpr_board_read(b, 0, all, MPR_BOARD_FAILURES, &n),
			 40);
	assert_int_equal(n, 40);
	for (unsigned i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "text %d", all[i].line);
		assert_string_equal(all[i].text, text);
	}
	/* From where one was before. */
	assert_int_equal(mpr_board_read(b, 38, all, MPR_BOARD_FAILURES, &n),
			 40);
	assert_int_equal(n, 2);
	assert_int_equal(mpr_board_read(b, 0, all, 3, &n), 3);
	assert_int_equal(n, 3);
	mpr_board_free(b);
	mpr_board_free(NULL);
}

static void
one_that_is_full_counts_and_can_be_cleared(void **state)
{
	struct mpr_failure all[MPR_BOARD_FAILURES], f = make_failure(1);
	struct mpr_board *b = make_board();
	unsigned n, seen;

	(void)state;
	for (unsigned i = 0; i < MPR_BOARD_FAILURES + 5; i++)
		mpr_board_add(b, &f);
	seen = mpr_board_read(b, 0, all, MPR_BOARD_FAILURES, &n);
	assert_int_equal(seen, MPR_BOARD_FAILURES + 5);
	assert_int_equal(n, MPR_BOARD_FAILURES);
	/* Not if there is a new one. */
	mpr_board_clear(b, seen - 1);
	assert_int_equal(mpr_board_read(b, 0, all, 1, &n), 1);
	assert_int_equal(n, 1);
	mpr_board_clear(b, seen);
	assert_int_equal(mpr_board_read(b, 0, all, 1, &n), 0);
	mpr_board_add(b, &f);
	assert_int_equal(mpr_board_read(b, 0, all, 1, &n), 1);
	assert_int_equal(n, 1);
	mpr_board_free(b);
}

/* As one with a new image does it, which has nothing but the ticket. */
static int
find_and_add(struct mpt *t, void *arg)
{
	const struct mpr_self_ticket *ticket = arg;
	struct mpr_failure f = make_failure(5);
	unsigned fds = mpt_fd_count();
	struct mpr_board *b;

	mpt_check_int(t, mpr_board_find(&b, ticket), 0);
	mpr_board_add(b, &f);
	mpt_check(t, memcmp(&b->ticket, ticket, sizeof(*ticket)) == 0);
	/* It keeps no descriptor. */
	mpt_check_int(t, mpt_fd_count(), fds);
	mpr_board_free(b);
	return 0;
}

static void
one_is_found_among_the_descriptors_of_its_owner(void **state)
{
	struct mpr_self_ticket *ticket = mpt_scratch(*state);
	struct mpr_board *b = make_board();
	struct mpr_failure f;
	unsigned n;

	*ticket = b->ticket;
	assert_int_equal(ticket->owner, getpid());
	mpt_expect_exit(*state, mpt_spawn(*state, "finder", find_and_add,
					  ticket), 0);
	assert_int_equal(mpr_board_read(b, 0, &f, 1, &n), 1);
	assert_string_equal(f.text, "text 5");
	mpr_board_free(b);
}

static void
what_is_not_the_board_is_not_taken_for_it(void **state)
{
	static const char *const faults[] = { "malloc:1", "open:1", "open:2",
					      "mmap:1" };
	static const int errors[] = { -ENOMEM, -EMFILE, -EMFILE, -ENOMEM };
	struct mpr_board *b = make_board(), *found;
	struct mpr_self_ticket ticket = b->ticket;
	struct stat st;
	int pipe_fds[2];

	for (int i = 0; i < 4; i++) {
		assert_int_equal(mpr_fault_set(faults[i]), 0);
		assert_int_equal(mpr_board_find(&found, &ticket), errors[i]);
		assert_int_equal(mpr_fault_set(NULL), 0);
	}
	/* Its owner closes it, and opens a pipe there, which is not opened. */
	close(ticket.fd);
	assert_int_equal(mpr_board_find(&found, &ticket), -ENOENT);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(pipe_fds[0], ticket.fd);
	assert_int_equal(mpr_board_find(&found, &ticket), -ENOENT);
	/* Even if it says that it is what is meant. */
	assert_int_equal(fstat(ticket.fd, &st), 0);
	ticket.device = st.st_dev;
	ticket.inode = st.st_ino;
	assert_int_equal(mpr_board_find(&found, &ticket), -ENOENT);
	/* And it ends. */
	ticket.owner = (int32_t)mpt_pid(*state, mpt_spawn(*state, "ends",
							  add_none, NULL));
	mpt_join_all(*state);
	assert_int_equal(mpr_board_find(&found, &ticket), -ENOENT);
	mpr_board_free(b);
	/* It is not the board's. */
	assert_int_equal(close(pipe_fds[0]), 0);
	close(pipe_fds[1]);
}

/* Whose writer was killed after it had got its number. */
static void
an_entry_that_was_not_written_counts_and_says_nothing(void **state)
{
	struct mpr_failure f = make_failure(5);
	struct mpr_board *b = make_board();
	struct mproc_test_result r;

	(void)state;
	atomic_store(&b->shm->failed, 1);
	mpr_board_add(b, &f);
	assert_int_equal(mpr_result_new(&r), 0);
	mpr_result_list(&r, b);
	assert_int_equal(r.n_failures, 2);
	assert_string_equal(r.failures[0].text, "text 5");
	assert_string_equal(r.failures[1].file, "?");
	mpr_result_judge(&r, mproc_sec(1), false);
	assert_non_null(strstr(r.problems, "is lost"));
	mproc_test_result_free(&r);
	mpr_board_free(b);
}

/* Nothing that a process under test writes may lead its parent astray. */
static void
scribbled_boards_do_no_harm(void **state)
{
	(void)state;
	for (int byte = 0; byte < 256; byte += 51) {
		struct mpr_board *b = make_board();
		struct mproc_test_result r;
		struct mpr_kept *kept;

		memset((void *)b->shm, byte, sizeof(*b->shm));
		assert_int_equal(mpr_result_new(&r), 0);
		kept = r.memory;
		memcpy(&kept->left, &b->shm->left, sizeof(kept->left));
		mpr_result_list(&r, b);
		r.exit.code = byte;
		mpr_result_judge(&r, mproc_sec(1), false);
		for (int i = 0; i < MPROC_TEST_LISTED; i++) {
			assert_true(strlen(r.fds[i].what) < 124);
			assert_true(strlen(r.processes[i].name) < 64);
			assert_true(strlen(r.failures[i].text) < 280);
		}
		assert_true(r.n_failures >= 0);
		assert_true(r.n_locks >= 0 && r.n_messages >= 0 &&
			    r.n_processes >= 0 && r.n_fds >= -1);
		/* As many lines as there is room for. */
		if (r.problems)
			assert_true(strlen(r.problems) <
				    sizeof(kept->problems));
		mproc_test_result_free(&r);
		mpr_board_free(b);
	}
}

static void
output_ends_where_memory_does(void **state)
{
	struct mpr_output o;

	(void)state;
	assert_int_equal(mpr_output_open(&o, true, 1 << 20), 0);
	assert_int_equal(write(o.fds[1], "first", 5), 5);
	assert_true(mpr_output_drain(&o));
	assert_false(mpr_output_drain(&o));
	for (int i = 0; i < 8; i++)
		assert_int_equal(write(o.fds[1], (char[1000]){ 'x' }, 1000),
				 1000);
	assert_int_equal(mpr_fault_set("malloc:1"), 0);
	assert_true(mpr_output_drain(&o));
	assert_int_equal(mpr_fault_set(NULL), 0);
	assert_int_equal(o.len, 5);
	assert_int_equal(o.lost, 8000);
	/* What comes later would leave a gap before it. */
	assert_int_equal(write(o.fds[1], "later", 5), 5);
	mpr_output_listen(&o);
	assert_true(mpr_output_drain(&o));
	assert_int_equal(o.len, 5);
	assert_string_equal(o.text, "first");
	assert_int_equal(o.lost, 8005);
	assert_int_equal(o.fds[0], -1);
	mpr_output_close(&o);
	free(o.text);
	/* None at all. */
	assert_int_equal(mpr_output_open(&o, false, 10), 0);
	assert_false(mpr_output_drain(&o));
	mpr_output_close(&o);
}

static int called;

static void
count_call(void)
{
	called++;
}

static void
end_well(void)
{
	_exit(called == 2 ? 33 : 1);
}

static int
abort_in_the_end(struct mpt *t, void *arg)
{
	(void)t;
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	signal(SIGABRT, SIG_DFL);
	mpr_abort_catch(count_call);
	if (arg) {
		/* What it calls may end it. */
		called = 2;
		mpr_abort_catch(end_well);
	}
	abort();
}

static void
an_abort_that_nobody_wants_goes_on(void **state)
{
	struct mpt *t = *state;

	mpt_expect_signal(t, mpt_spawn(t, "aborts", abort_in_the_end, NULL),
			  SIGABRT);
	mpt_expect_exit(t, mpt_spawn(t, "ends", abort_in_the_end, t), 33);
	/* Twice, and what was there before is there again. */
	signal(SIGABRT, SIG_IGN);
	mpr_abort_catch(count_call);
	mpr_abort_catch(count_call);
	mpr_abort_restore();
	called = 0;
	raise(SIGABRT);
	assert_int_equal(called, 0);
	signal(SIGABRT, SIG_DFL);
}

static void
a_variable_of_the_user_stays(void **state)
{
	(void)state;
	unsetenv("MPT_KIT");
	mpr_abort_set_variable("MPT_KIT");
	assert_string_equal(getenv("MPT_KIT"), "1");
	mpr_abort_clear_variable("MPT_KIT");
	assert_null(getenv("MPT_KIT"));
	setenv("MPT_KIT", "0", 1);
	mpr_abort_set_variable("MPT_KIT");
	mpr_abort_clear_variable("MPT_KIT");
	assert_string_equal(getenv("MPT_KIT"), "0");
	unsetenv("MPT_KIT");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(entries_of_several_processes_are_whole),
		mpt_test(one_is_found_among_the_descriptors_of_its_owner),
		mpt_test(what_is_not_the_board_is_not_taken_for_it),
		mpt_test(one_that_is_full_counts_and_can_be_cleared),
		mpt_test(an_entry_that_was_not_written_counts_and_says_nothing),
		mpt_test(scribbled_boards_do_no_harm),
		mpt_test(output_ends_where_memory_does),
		mpt_test(an_abort_that_nobody_wants_goes_on),
		mpt_test(a_variable_of_the_user_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
