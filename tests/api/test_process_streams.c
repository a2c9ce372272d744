/* SPDX-License-Identifier: MIT */
/*
 * process.h: where the standard streams of a started process lead.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "options.h"

static int
say_both(void *arg)
{
	(void)arg;
	printf("to stdout\n");
	fprintf(stderr, "to stderr\n");
	return 0;
}

static void
output_goes_where_it_is_told_to(void **state)
{
	int out[2], err[2];

	(void)state;
	make_pipe(out);
	make_pipe(err);
	run_with(say_both, NULL,
		 MPROC_OPTS(mproc_process_opts,
			    .stdout_ = { MPROC_STDIO_FD, out[1] },
			    .stderr_ = { MPROC_STDIO_FD, err[1] }));
	assert_int_equal(close(out[1]), 0); /* the caller's is still open */
	assert_int_equal(close(err[1]), 0);
	expect_text(out[0], "to stdout\n");
	expect_text(err[0], "to stderr\n");
	close(out[0]);
	close(err[0]);
}

static void
both_outputs_can_go_to_one_place(void **state)
{
	int out[2];

	(void)state;
	make_pipe(out);
	run_with(say_both, NULL,
		 MPROC_OPTS(mproc_process_opts,
			    .stdout_ = { MPROC_STDIO_FD, out[1] },
			    .stderr_ = { MPROC_STDIO_FD, out[1] }));
	close(out[1]);
	/* stderr is not buffered, stdout is flushed at the end. */
	expect_text(out[0], "to stderr\nto stdout\n");
	close(out[0]);
}

/* Forked, for the test's pipes: has 1 and 2 of its own, which it exchanges for its child. */
static int
exchange(struct mpt *t, void *arg)
{
	const int *ends = arg;
	mproc_process *p;

	mpt_check_int(t, dup2(ends[0], STDOUT_FILENO), STDOUT_FILENO);
	mpt_check_int(t, dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	mpt_check_int(t, mproc_process_start(
		&p, say_both, NULL,
		MPROC_OPTS(mproc_process_opts,
			   .stdout_ = { MPROC_STDIO_FD, STDERR_FILENO },
			   .stderr_ = { MPROC_STDIO_FD, STDOUT_FILENO })), 0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
	return 0;
}

static void
standard_streams_can_be_exchanged(void **state)
{
	int out[2], err[2], ends[2];

	make_pipe(out);
	make_pipe(err);
	ends[0] = out[1];
	ends[1] = err[1];
	mpt_expect_exit(*state, mpt_fork(*state, "host", exchange, ends), 0);
	close(out[1]);
	close(err[1]);
	expect_text(out[0], "to stderr\n");
	expect_text(err[0], "to stdout\n");
	close(out[0]);
	close(err[0]);
}

static int
say_nothing_to_anyone(void *arg)
{
	(void)arg;
	if (getchar() != EOF || ferror(stdin))
		return 1;
	printf("nobody sees this\n");
	return fflush(stdout) == 0 ? 0 : 2;
}

static void
null_gives_nothing_and_takes_everything(void **state)
{
	(void)state;
	run_with(say_nothing_to_anyone, NULL,
		 MPROC_OPTS(mproc_process_opts,
			    .stdin_ = { MPROC_STDIO_NULL, 0 },
			    .stdout_ = { MPROC_STDIO_NULL, 0 },
			    .stderr_ = { MPROC_STDIO_NULL, 0 }));
}

static int
read_line(void *arg)
{
	char *text = arg;

	return fgets(text, 16, stdin) ? 0 : 1;
}

/* Has read ahead when it starts two others. */
static int
read_ahead(struct mpt *t, void *arg)
{
	char *text = mpt_scratch(t);
	const int *inputs = arg;
	char line[32];
	mproc_process *p;

	mpt_check_int(t, dup2(inputs[0], STDIN_FILENO), STDIN_FILENO);
	mpt_check(t, fgets(line, sizeof(line), stdin));
	mpt_check_int(t, strcmp(line, "first\n"), 0);

	/* A copy has it, too. */
	mpt_check_int(t, mproc_process_start(
		&p, read_line, text,
		MPROC_OPTS(mproc_process_opts, .method = MPROC_FORK)), 0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
	mpt_check_int(t, strcmp(text, "second\n"), 0);

	mpt_check_int(t, mproc_process_start(
		&p, read_line, text,
		MPROC_OPTS(mproc_process_opts,
			   .stdin_ = { MPROC_STDIO_FD, inputs[1] })), 0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
	mpt_check_int(t, strcmp(text, "other\n"), 0);

	/* Ours is as it was. */
	mpt_check(t, fgets(line, sizeof(line), stdin));
	mpt_check_int(t, strcmp(line, "second\n"), 0);
	mpt_check(t, !fgets(line, sizeof(line), stdin) && feof(stdin));

	/* Nor does an end that stdin has seen reach the child. */
	mpt_check_int(t, lseek(inputs[1], 0, SEEK_SET), 0);
	mpt_check_int(t, mproc_process_start(
		&p, read_line, text,
		MPROC_OPTS(mproc_process_opts,
			   .stdin_ = { MPROC_STDIO_FD, inputs[1] })), 0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
	mpt_check_int(t, strcmp(text, "other\n"), 0);
	return 0;
}

static int
file_with(const char *text)
{
	FILE *file = tmpfile();
	int fd;

	assert_non_null(file);
	fd = dup(fileno(file));
	fclose(file);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void
what_was_read_ahead_is_dropped_with_the_input(void **state)
{
	int inputs[2] = { -1, file_with("other\n") }, fds[2];

	make_pipe(fds);
	assert_int_equal(write(fds[1], "first\nsecond\n", 13), 13);
	close(fds[1]);
	inputs[0] = fds[0];
	mpt_expect_exit(*state, mpt_fork(*state, "host", read_ahead, inputs),
			0);
	close(inputs[0]);
	close(inputs[1]);
}

static void
a_stream_that_cannot_be_set_is_refused(void **state)
{
	int closed = dup(STDERR_FILENO);

	close(closed);
	expect_refused(*state, -EBADF, "stdin_",
		       MPROC_OPTS(mproc_process_opts,
				  .stdin_ = { MPROC_STDIO_FD, closed }));
	expect_refused(*state, -EBADF, "stdout_",
		       MPROC_OPTS(mproc_process_opts,
				  .stdin_ = { MPROC_STDIO_NULL, 0 },
				  .stdout_ = { MPROC_STDIO_FD, closed }));
	expect_refused(*state, -EBADF, "stderr_",
		       MPROC_OPTS(mproc_process_opts,
				  .stderr_ = { MPROC_STDIO_FD, INT_MAX }));
	expect_refused(*state, -EINVAL, "stderr_",
		       MPROC_OPTS(mproc_process_opts,
				  .stderr_ = { MPROC_STDIO_FD, -1 }));
	expect_refused(*state, -EINVAL, "stdout_",
		       MPROC_OPTS(mproc_process_opts, .stdout_ = { 4, 0 }));
	expect_refused(*state, -EINVAL, "stdin_",
		       MPROC_OPTS(mproc_process_opts, .stdin_ = { -1, 0 }));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(output_goes_where_it_is_told_to),
		mpt_test(both_outputs_can_go_to_one_place),
		mpt_test(standard_streams_can_be_exchanged),
		mpt_test(null_gives_nothing_and_takes_everything),
		mpt_test(what_was_read_ahead_is_dropped_with_the_input),
		mpt_test(a_stream_that_cannot_be_set_is_refused),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
