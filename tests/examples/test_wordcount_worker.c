/* SPDX-License-Identifier: MIT */
/*
 * The worker of the main example, tested as docs/testing.md says: by itself, with
 * the testing kit and cmocka, and nothing else of this project's.
 */
#include <mproc/mproc_cmocka.h>

#include <errno.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "result.h"
#include "task.h"
#include "worker.h"

/* A worker's surroundings, and a file for it to count. */
struct shop {
	struct worker worker;
	void *hand;
	char path[64];
};

static int
open_shop(void **state)
{
	static struct shop s;
	FILE *f;
	int fd;

	s = (struct shop){ .worker.number = 7 };
	strcpy(s.path, "/tmp/wordcount-worker-XXXXXX");
	fd = mkstemp(s.path);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f || fprintf(f, "one two two\nthree, three; three\n") < 0 ||
	    fclose(f) != 0)
		return -1;
	s.hand = mproc_alloc(sizeof(*s.worker.hand));
	s.worker.hand = s.hand;
	if (!s.hand || mproc_queue_create(&s.worker.tasks, NULL) < 0 ||
	    mproc_queue_create(&s.worker.results, NULL) < 0)
		return -1;
	*state = &s;
	return 0;
}

static int
close_shop(void **state)
{
	struct shop *s = *state;

	mproc_queue_destroy(s->worker.tasks);
	mproc_queue_destroy(s->worker.results);
	mproc_free(s->hand);
	unlink(s->path);
	return 0;
}

static void
put_task(struct shop *s, uint64_t id, const char *path)
{
	struct task t;

	task_init(&t);
	t.id = id;
	assert_true(task_add(&t, path, false, 0, UINT64_MAX));
	assert_int_equal(mproc_queue_put(s->worker.tasks, &t, t.size,
					 MPROC_NOWAIT), 0);
}

static struct result_head
get_result(struct shop *s)
{
	struct result_head head;
	char message[RESULT_ROOM];
	size_t len;

	assert_int_equal(mproc_queue_get(s->worker.results, message,
					 sizeof(message), &len, MPROC_NOWAIT),
			 0);
	assert_true(len >= sizeof(head));
	memcpy(&head, message, sizeof(head));
	return head;
}

static void
expect_no_problems(struct shop *s)
{
	struct mproc_test_result r;

	assert_int_equal(mproc_test_run(worker_main, &s->worker, NULL, &r), 0);
	if (r.problems)
		fail_msg("%s: %s", r.problems, r.err);
	assert_string_equal(r.out, "");
	mproc_test_result_free(&r);
}

static void
it_counts_and_leaves_nothing_behind(void **state)
{
	struct shop *s = *state;
	struct result_head head;

	put_task(s, 41, s->path);
	put_task(s, 42, s->path);
	assert_int_equal(mproc_queue_shutdown(s->worker.tasks, MPROC_DRAIN), 0);
	expect_no_problems(s);
	for (uint64_t id = 41; id <= 42; id++) {
		head = get_result(s);
		assert_int_equal(head.task, id);
		assert_int_equal(head.sender, 7);
		assert_int_equal(head.last, 1);
		assert_int_equal(head.n_words, 3);
		assert_int_equal(head.files, 1);
		assert_int_equal(head.n_failures, 0);
	}
	/* What the parent goes by if it dies. */
	assert_int_equal(*s->worker.hand, 42);
}

static void
a_file_that_is_gone_is_a_failure_of_the_task(void **state)
{
	struct shop *s = *state;
	struct result_head head;

	put_task(s, 43, "/nowhere");
	assert_int_equal(mproc_queue_shutdown(s->worker.tasks, MPROC_DRAIN), 0);
	expect_no_problems(s);
	head = get_result(s);
	assert_int_equal(head.n_failures, 1);
	assert_int_equal(head.n_words, 0);
}

static void
queues_that_are_gone_end_it_in_peace(void **state)
{
	struct shop *s = *state;

	put_task(s, 44, s->path);
	assert_int_equal(mproc_queue_shutdown(s->worker.results,
					      MPROC_IMMEDIATE), 0);
	expect_no_problems(s);
}

/* Each allocation of libmproc's fails in turn. */
static void
without_memory_it_gives_up_and_says_so(void **state)
{
	struct shop *s = *state;
	struct mproc_test_result r;
	uint64_t reached = 1;
	char fault[32];
	int given_up = 0;

	for (int n = 1; reached; n++) {
		put_task(s, 45, s->path);
		snprintf(fault, sizeof(fault), "malloc:%d", n);
		assert_int_equal(mproc_test_run(worker_main, &s->worker,
						MPROC_OPTS(mproc_test_opts,
							   .fault = fault,
							   .timeout =
								   mproc_ms(300)),
						&r), 0);
		/* One that does not fail waits for more tasks. */
		assert_true(r.timed_out || r.exit.code == WORKER_UNABLE);
		if (!r.timed_out) {
			assert_non_null(strstr(r.err, "gives up"));
			assert_int_equal(r.n_fds, 0);
			assert_int_equal(r.n_locks, 0);
			given_up++;
		}
		reached = r.timed_out ? 0 : r.n_faults;
		mproc_test_result_free(&r);
	}
	assert_true(given_up > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			it_counts_and_leaves_nothing_behind, open_shop,
			close_shop),
		cmocka_unit_test_setup_teardown(
			a_file_that_is_gone_is_a_failure_of_the_task,
			open_shop, close_shop),
		cmocka_unit_test_setup_teardown(
			queues_that_are_gone_end_it_in_peace, open_shop,
			close_shop),
		cmocka_unit_test_setup_teardown(
			without_memory_it_gives_up_and_says_so, open_shop,
			close_shop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
