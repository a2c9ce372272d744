/* SPDX-License-Identifier: MIT */
/*
 * testing.h: entries that run in the caller, and calls of the system that fail.
 */
#include <fcntl.h>

#include "testing.h"

static pid_t ran_in;
static int calls;

static int
note_process(void *arg)
{
	ran_in = getpid();
	calls++;
	return *(int *)arg;
}

static void
it_can_be_switched_on_and_off(void **state)
{
	mproc_process *p;
	int code = 5;

	(void)state;
	assert_int_equal(mproc_test_inline(true), 0);
	assert_int_equal(mproc_test_inline(true), 1);
	assert_int_equal(mproc_process_start(&p, note_process, &code, NULL),
			 0);
	assert_int_equal(ran_in, getpid());
	assert_int_equal(mproc_process_join(p, mproc_sec(10)), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, 5);
	mproc_process_close(p);
	assert_int_equal(mproc_test_inline(false), 1);
	ran_in = 0;
	assert_int_equal(mproc_process_start(&p, note_process, &code,
					     MPROC_OPTS(mproc_process_opts,
							.arg_size =
								sizeof(code))),
			 0);
	assert_int_equal(mproc_process_join(p, mproc_sec(10)), 0);
	assert_int_equal(ran_in, 0);
	mproc_process_close(p);
}

static int
tell_process(const void *in, size_t len, struct mproc_result *out)
{
	pid_t me = getpid();

	(void)in;
	(void)len;
	return mproc_result_set(out, &me, sizeof(me));
}

static void
a_pool_has_no_workers_either(void **state)
{
	mproc_pool *pool;
	pid_t pid = 0;

	(void)state;
	mproc_test_inline(true);
	assert_int_equal(mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts,
							     .workers = 1)),
			 0);
	assert_int_equal(mproc_pool_apply(pool, tell_process, NULL, 0, &pid,
					  sizeof(pid), NULL, mproc_sec(10)),
			 0);
	assert_int_equal(pid, getpid());
	assert_int_equal(mproc_pool_close(pool), 0);
	assert_int_equal(mproc_pool_join(pool, mproc_sec(10)), 0);
	mproc_pool_free(pool);
	mproc_test_inline(false);
}

static mproc_lock *lock;
static const void *peeked;

static int
misbehave(void *arg)
{
	if (open("/dev/zero", O_RDONLY | O_CLOEXEC) < 0 || !mproc_alloc(100) ||
	    mproc_lock_acquire(lock, MPROC_NOWAIT) < 0 ||
	    mproc_queue_peek(arg, &peeked, NULL, MPROC_NOWAIT) < 0)
		return 1;
	return 3;
}

/* What the caller has already is not the entry's. */
static void
a_run_tells_the_same_of_it(void **state)
{
	mproc_timeout now = MPROC_NOWAIT;
	struct mproc_arena_block block = { 0 };
	struct mproc_test_result r;
	mproc_lock *other;
	mproc_queue *q;
	void *before;
	int nothing = 0;

	(void)state;
	assert_int_equal(mproc_lock_create(&lock), 0);
	assert_int_equal(mproc_lock_create(&other), 0);
	assert_int_equal(mproc_queue_create(&q, MPROC_OPTS(mproc_queue_opts,
						   .single_consumer = true)),
			 0);
	assert_int_equal(mproc_queue_put(q, "x", 1, now), 0);
	assert_int_equal(mproc_lock_acquire(other, now), 0);
	before = mproc_alloc(50);
	mproc_test_inline(true);
	r = run(misbehave, q);
	assert_int_equal(r.exit.code, 3);
	assert_true(r.looked);
	assert_int_equal(r.n_fds, 1);
	assert_string_equal(r.fds[0].what, "/dev/zero");
	assert_int_equal(r.n_locks, 1);
	assert_ptr_equal(r.locks[0].object, lock);
	assert_int_equal(r.n_messages, 1);
	assert_ptr_equal(r.messages[0].queue, q);
	assert_int_equal(r.n_blocks, 1);
	assert_int_equal(r.block_bytes, 100);
	close(r.fds[0].fd);
	mproc_test_result_free(&r);
	/* It is there still, and the next one has nothing to do with it. */
	r = run(note_process, &nothing);
	assert_null(r.problems);
	mproc_test_result_free(&r);
	mproc_test_inline(false);
	while (mproc_arena_next_block(NULL, &block) > 0)
		if (block.size == 100)
			mproc_free(block.p);
	mproc_free(before);
	assert_int_equal(mproc_lock_release(lock), 0);
	assert_int_equal(mproc_lock_release(other), 0);
	assert_int_equal(mproc_queue_release(q, peeked), 0);
	mproc_queue_destroy(q);
	mproc_lock_destroy(lock);
	mproc_lock_destroy(other);
}

static int
fail_a_check(void *arg)
{
	(void)arg;
	mproc_test_check(calls < 0);
	calls++;
	return 0;
}

static int
abort_in_an_assertion(void *arg)
{
	(void)arg;
	mproc_test_begin_assert("an assertion", "some.c", 12);
	abort();
}

static void
a_failed_check_ends_the_entry(void **state)
{
	struct mproc_test_result r;
	mproc_process *p;
	struct told told;
	int code = -1;

	(void)state;
	hook(&told);
	mproc_test_inline(true);
	calls = 0;
	r = run_with(fail_a_check, NULL, MPROC_OPTS(mproc_test_opts,
						    .keep_failures = true));
	assert_int_equal(calls, 0);
	assert_int_equal(r.exit.code, MPROC_TEST_FAILED);
	assert_int_equal(r.n_failures, 1);
	assert_string_equal(r.failures[0].text, "calls < 0");
	assert_int_equal(told.n, 0);
	mproc_test_result_free(&r);
	r = run(fail_a_check, NULL);
	assert_int_equal(told.n, 1);
	r = run(abort_in_an_assertion, NULL);
	assert_int_equal(told.n, 2);
	assert_string_equal(told.text, "an assertion");
	assert_null(getenv("CMOCKA_TEST_ABORT"));
	/* One of another start is collected. */
	assert_int_equal(mproc_process_start(&p, fail_a_check, NULL, NULL), 0);
	assert_int_equal(mproc_process_join(p, mproc_sec(10)), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, MPROC_TEST_FAILED);
	mproc_process_close(p);
	assert_int_equal(mproc_test_collect(), 1);
	assert_int_equal(told.n, 3);
	mproc_test_inline(false);
	assert_int_equal(mproc_test_hook(NULL), 0);
}

static int
start_one(void *arg)
{
	mproc_process *p;
	int code = 0, r;

	(void)arg;
	r = mproc_process_start(&p, note_process, &code,
				MPROC_OPTS(mproc_process_opts,
					   .arg_size = sizeof(code)));
	if (r < 0)
		return -r;
	mproc_process_join(p, MPROC_FOREVER);
	mproc_process_close(p);
	return 0;
}

static void
a_fault_hits_the_nth_call_of_the_entry(void **state)
{
	struct mproc_test_result r;
	int failed = 0;

	(void)state;
	/* Twice: in a child, and in the caller. */
	for (int i = 0; i < 2; i++) {
		mproc_test_inline(i);
		r = run_with(start_one, NULL, MPROC_OPTS(mproc_test_opts,
							 .fault = "fork:1"));
		assert_int_equal(r.exit.code, EAGAIN);
		assert_int_equal(r.n_faults, 1);
		mproc_test_result_free(&r);
		r = run_with(start_one, NULL,
			     MPROC_OPTS(mproc_test_opts,
					.fault = "fork:1+=ENOMEM"));
		assert_int_equal(r.exit.code, ENOMEM);
		mproc_test_result_free(&r);
		/* It is over with the entry. */
		r = run_with(start_one, NULL, MPROC_OPTS(mproc_test_opts,
							 .fault = "fork:2"));
		assert_int_equal(r.exit.code, 0);
		assert_int_equal(r.n_faults, 0);
		mproc_test_result_free(&r);
	}
	mproc_test_inline(false);
	/* Each call in turn, until there is no further one. */
	for (int n = 1; n < 50; n++) {
		char spec[32];
		uint64_t n_faults;

		snprintf(spec, sizeof(spec), "malloc:%d", n);
		r = run_with(start_one, NULL, MPROC_OPTS(mproc_test_opts,
							 .fault = spec));
		failed += r.exit.code == ENOMEM;
		n_faults = r.n_faults;
		mproc_test_result_free(&r);
		if (!n_faults)
			break;
	}
	assert_true(failed > 0 && failed < 49);
}

static void
a_fault_of_the_caller_is_inherited_by_forked_ones(void **state)
{
	const struct mproc_process_opts *forked =
		MPROC_OPTS(mproc_process_opts, .method = MPROC_FORK);
	const struct mproc_process_opts *spawned =
		MPROC_OPTS(mproc_process_opts, .method = MPROC_SPAWN);
	const struct mproc_test_opts *o =
		MPROC_OPTS(mproc_test_opts, .process = forked);
	struct mproc_test_result r;
	mproc_process *p;
	int code = 0;

	(void)state;
	/* The third is the child's first. */
	assert_int_equal(mproc_test_fault("fork:3"), 0);
	assert_int_equal(mproc_process_start(&p, note_process, &code, forked),
			 0);
	r = run_with(start_one, NULL, o);
	assert_int_equal(r.exit.code, EAGAIN);
	assert_int_equal(r.n_faults, 1);
	mproc_test_result_free(&r);
	/* Here it is the third now. */
	assert_int_equal(mproc_test_run(note_process, &code, o, &r), -EAGAIN);
	/* A new image begins without. */
	assert_int_equal(mproc_test_fault("fork:2+"), 0);
	r = run_with(start_one, NULL, MPROC_OPTS(mproc_test_opts,
						 .process = spawned));
	assert_null(r.problems);
	mproc_test_result_free(&r);
	assert_int_equal(mproc_test_fault(NULL), 0);
	assert_int_equal(mproc_process_join(p, mproc_sec(10)), 0);
	mproc_process_close(p);
	/* A run that fails leaves nothing, wherever that is. */
	for (int i = 0; i < 2; i++)
		for (int n = 1; n < 20; n++) {
			char spec[32];
			int e;

			snprintf(spec, sizeof(spec), "%s:%d",
				 i ? "dup" : "mmap", n);
			assert_int_equal(mproc_test_fault(spec), 0);
			e = mproc_test_run(note_process, &code, o, &r);
			assert_int_equal(mproc_test_fault(""), 0);
			if (e == 0) {
				mproc_test_result_free(&r);
				break;
			}
			assert_int_equal(e, i ? -EMFILE : -ENOMEM);
		}
}

static void
a_fault_that_there_is_not_is_refused(void **state)
{
	static const char *const points[] = { "fork", "malloc", "fallocate",
					      "mmap", "pidfd", "thread" };

	(void)state;
	assert_int_equal(mproc_test_fault("nonsense:1"), -EINVAL);
	for (int i = 0; i < 6; i++)
		assert_true(detail_has(points[i]));
	assert_int_equal(mproc_test_fault("fork"), -EINVAL);
	assert_int_equal(mproc_test_fault("fork:0"), -EINVAL);
	assert_int_equal(mproc_test_fault("fork:1=ENONSENSE"), -EINVAL);
	assert_int_equal(mproc_test_fault(NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_can_be_switched_on_and_off),
		mpt_test(a_pool_has_no_workers_either),
		mpt_test(a_run_tells_the_same_of_it),
		mpt_test(a_failed_check_ends_the_entry),
		mpt_test(a_fault_hits_the_nth_call_of_the_entry),
		mpt_test(a_fault_of_the_caller_is_inherited_by_forked_ones),
		mpt_test(a_fault_that_there_is_not_is_refused),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
