/* SPDX-License-Identifier: MIT */
/*
 * testing.h: what an entry under test prints.
 */
#include <fcntl.h>
#include <poll.h>

#include "testing.h"

#define BLOCK 4096

static int
greet(void *arg)
{
	(void)arg;
	printf("to out\n");
	fprintf(stderr, "to err\n");
	/* Flushed at the end. */
	printf("more");
	return 0;
}

static void
both_streams_are_captured_and_kept_apart(void **state)
{
	struct mproc_test_result r = run(greet, NULL);

	(void)state;
	assert_null(r.problems);
	assert_string_equal(r.out, "to out\nmore");
	assert_int_equal(r.out_len, 11);
	assert_string_equal(r.err, "to err\n");
	assert_int_equal(r.err_len, 7);
	mproc_test_result_free(&r);
}

static int
print_binary(void *arg)
{
	(void)arg;
	for (int i = 0; i < 512; i++)
		putchar(i & 255);
	return 0;
}

static void
bytes_of_any_value_are_kept(void **state)
{
	struct mproc_test_result r = run(print_binary, NULL);

	(void)state;
	assert_int_equal(r.out_len, 512);
	for (int i = 0; i < 512; i++)
		assert_int_equal((unsigned char)r.out[i], i & 255);
	assert_int_equal(r.out[512], 0);
	mproc_test_result_free(&r);
}

/* Far beyond what a pipe holds, in both in turn. */
static int
print_much(void *arg)
{
	static char block[BLOCK];
	int n = *(int *)arg;

	for (int i = 0; i < n; i++) {
		memset(block, 'a' + i % 26, sizeof(block));
		if (write(1, block, sizeof(block)) != sizeof(block) ||
		    write(2, block, sizeof(block)) != sizeof(block))
			return 1;
	}
	return 0;
}

static void
expect_pattern(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] != (char)('a' + i / BLOCK % 26))
			fail_msg("byte %zu is %d", i, text[i]);
}

static void
much_output_comes_whole_and_nobody_waits(void **state)
{
	int n = 200;
	struct mproc_test_result r = run_copy(print_much, &n, sizeof(n), NULL);

	(void)state;
	assert_null(r.problems);
	assert_int_equal(r.out_len, 200 * BLOCK);
	assert_int_equal(r.err_len, 200 * BLOCK);
	assert_int_equal(r.out_lost + r.err_lost, 0);
	expect_pattern(r.out, r.out_len);
	expect_pattern(r.err, r.err_len);
	mproc_test_result_free(&r);
}

static void
what_is_beyond_the_limit_is_counted_and_dropped(void **state)
{
	static const size_t limits[] = { 1, BLOCK, 100000 };
	int n = 300;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct mproc_test_result r =
			run_copy(print_much, &n, sizeof(n),
				 MPROC_OPTS(mproc_test_opts,
					    .max_output = limits[i]));

		assert_null(r.problems);
		assert_int_equal(r.out_len, limits[i]);
		assert_int_equal(r.err_len, limits[i]);
		assert_int_equal(r.out_lost, 300 * BLOCK - limits[i]);
		assert_int_equal(r.err_lost, 300 * BLOCK - limits[i]);
		assert_int_equal(strlen(r.out), limits[i]);
		expect_pattern(r.out, r.out_len);
		mproc_test_result_free(&r);
	}
}

/* Once more than a MiB, which is the limit if there is none. */
static void
the_usual_limit_is_a_mebibyte(void **state)
{
	struct mproc_test_result r;
	int n = 257;

	(void)state;
	r = run_copy(print_much, &n, sizeof(n), NULL);
	assert_int_equal(r.out_len, 1 << 20);
	assert_int_equal(r.out_lost, BLOCK);
	mproc_test_result_free(&r);
}

/* Its child has both pipes open, and prints until nobody reads. */
static int
leave_a_printer(void *arg)
{
	(void)arg;
	printf("last words\n");
	fflush(stdout);
	if (fork() == 0) {
		signal(SIGPIPE, SIG_DFL);
		while (write(1, "x", 1) == 1)
			poll(NULL, 0, 1);
		_exit(1);
	}
	return 0;
}

static void
who_is_left_with_the_pipe_is_not_waited_for(void **state)
{
	struct mproc_test_result r = run(leave_a_printer, NULL);

	assert_int_equal(r.exit.code, 0);
	assert_false(r.timed_out);
	assert_int_equal(strncmp(r.out, "last words\n", 11), 0);
	mproc_test_result_free(&r);
	/* It has ended as nobody has read any more. */
	assert_int_equal(mpt_reap_orphans(*state), 1);
}

static int
print_for_ever(void *arg)
{
	static char block[65536];

	(void)arg;
	while (write(1, block, sizeof(block)) > 0)
		;
	return 0;
}

static void
who_prints_for_ever_is_killed_in_time(void **state)
{
	struct mproc_test_result r =
		run_with(print_for_ever, NULL,
			 MPROC_OPTS(mproc_test_opts, .timeout = mproc_ms(500),
				    .max_output = 10));

	(void)state;
	assert_true(r.timed_out);
	assert_int_equal(r.out_len, 10);
	assert_true(r.out_lost > 0);
	mproc_test_result_free(&r);
}

static int
close_streams(void *arg)
{
	(void)arg;
	close(1);
	close(2);
	poll(NULL, 0, 20);
	return 0;
}

static void
who_closes_its_streams_is_waited_for_all_the_same(void **state)
{
	struct mproc_test_result r = run(close_streams, NULL);

	(void)state;
	assert_int_equal(r.exit.code, 0);
	assert_null(r.problems);
	assert_true(r.wall_ns >= 20 * MS);
	mproc_test_result_free(&r);
}

static int
compare_streams(void *arg)
{
	char byte = 'x';

	(void)arg;
	printf("null\n");
	fflush(stdout);
	fprintf(stderr, "err\n");
	return read(0, &byte, 1) == 1 && byte == 'i' ? 0 : 1;
}

static void
a_stream_that_leads_elsewhere_is_left_there(void **state)
{
	int in[2];
	struct mproc_test_result r;

	(void)state;
	assert_int_equal(pipe(in), 0);
	assert_int_equal(write(in[1], "i", 1), 1);
	r = run_with(compare_streams, NULL, MPROC_OPTS(mproc_test_opts,
		.process = MPROC_OPTS(mproc_process_opts,
				      .stdin_ = { MPROC_STDIO_FD, in[0] },
				      .stdout_ = { MPROC_STDIO_NULL, 0 })));
	assert_null(r.problems);
	assert_string_equal(r.out, "");
	assert_string_equal(r.err, "err\n");
	mproc_test_result_free(&r);
	close(in[0]);
	close(in[1]);
}

/* Nothing of a run's own is there for the entry to see, or to keep others from
 * noticing an end. */
static int
count_descriptors(void *arg)
{
	(void)arg;
	return (int)mpt_fd_count();
}

static void
an_entry_has_no_descriptors_of_the_run(void **state)
{
	struct mproc_test_result r;
	mproc_process *p;
	struct told told;
	int n;

	(void)state;
	/* As many as it has when it is started in another way. */
	assert_int_equal(mproc_process_start(&p, count_descriptors, NULL,
					     NULL), 0);
	assert_int_equal(mproc_process_join(p, mproc_sec(10)), 0);
	assert_int_equal(mproc_process_exitcode(p, &n), 0);
	mproc_process_close(p);
	assert_true(n >= 3);
	/* Nor has it one of the framework's. */
	hook(&told);
	r = run(count_descriptors, NULL);
	assert_int_equal(r.exit.code, n);
	mproc_test_result_free(&r);
	assert_int_equal(mproc_test_hook(NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(both_streams_are_captured_and_kept_apart),
		mpt_test(bytes_of_any_value_are_kept),
		mpt_test(much_output_comes_whole_and_nobody_waits),
		mpt_test(what_is_beyond_the_limit_is_counted_and_dropped),
		mpt_test(the_usual_limit_is_a_mebibyte),
		mpt_test(who_is_left_with_the_pipe_is_not_waited_for),
		mpt_test(who_prints_for_ever_is_killed_in_time),
		mpt_test(who_closes_its_streams_is_waited_for_all_the_same),
		mpt_test(a_stream_that_leads_elsewhere_is_left_there),
		mpt_test(an_entry_has_no_descriptors_of_the_run),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
