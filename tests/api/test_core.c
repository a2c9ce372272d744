/* SPDX-License-Identifier: MIT */
/*
 * core.h: time, options, error texts, log, version and CPU count.
 */
#include <sched.h>
#include <stdio.h>
#include <time.h>

#include "common.h"

static void
makers_convert_to_nanoseconds(void **state)
{
	(void)state;
	assert_true(MPROC_NOWAIT.ns == 0);
	assert_true(mproc_nowait().ns == 0);
	assert_true(MPROC_FOREVER.ns == INT64_MAX);
	assert_true(mproc_forever().ns == INT64_MAX);
	assert_true(mproc_us(7).ns == 7000);
	assert_true(mproc_ms(7).ns == 7000000);
	assert_true(mproc_sec(7).ns == 7000000000);
	assert_true(mproc_us(0).ns == 0);
	assert_true(mproc_until(12345).ns == -12345);
}

static void
a_negative_wait_is_no_wait(void **state)
{
	(void)state;
	assert_true(mproc_us(-1).ns == 0);
	assert_true(mproc_ms(INT64_MIN).ns == 0);
	assert_true(mproc_sec(-5).ns == 0);
}

static void
a_wait_beyond_64_bits_is_for_ever(void **state)
{
	(void)state;
	assert_true(mproc_us(INT64_MAX / 1000).ns ==
		    INT64_MAX / 1000 * 1000);
	assert_true(mproc_us(INT64_MAX / 1000 + 1).ns == INT64_MAX);
	assert_true(mproc_ms(INT64_MAX / 1000000 + 1).ns == INT64_MAX);
	assert_true(mproc_sec(INT64_MAX / 1000000000 + 1).ns == INT64_MAX);
	assert_true(mproc_sec(INT64_MAX).ns == INT64_MAX);
}

static void
a_time_that_has_passed_stays_absolute(void **state)
{
	(void)state;
	assert_true(mproc_until(0).ns < 0);
	assert_true(mproc_until(-1).ns < 0);
	assert_true(mproc_until(INT64_MIN).ns < 0);
	assert_true(mproc_until(INT64_MAX).ns == -INT64_MAX);
}

static void
inline_makers_are_exported_too(void **state)
{
	/* Through a pointer, so that the library's own is called. */
	mproc_timeout (*volatile us)(int64_t) = mproc_us;
	mproc_timeout (*volatile ms)(int64_t) = mproc_ms;
	mproc_timeout (*volatile sec)(int64_t) = mproc_sec;
	mproc_timeout (*volatile until)(int64_t) = mproc_until;

	(void)state;
	assert_true(us(3).ns == 3000);
	assert_true(ms(3).ns == 3000000);
	assert_true(sec(3).ns == 3000000000);
	assert_true(until(3).ns == -3);
}

static void
now_is_the_monotonic_clock(void **state)
{
	struct timespec ts;
	int64_t before = mproc_now(), now;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	assert_true(before <= now);
	assert_true(now <= mproc_now());
}

static void
an_absolute_timeout_is_shared_by_several_calls(void **state)
{
	mproc_timeout until = mproc_until(mproc_now() + 30 * MS);
	mproc_queue *q;
	char c;

	(void)state;
	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, until), -ETIMEDOUT);
	assert_true(mproc_now() >= -until.ns);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, until), -ETIMEDOUT);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, mproc_until(1)),
			 -ETIMEDOUT);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, mproc_ms(-1)),
			 -EAGAIN);
	mproc_queue_destroy(q);
}

static void
opts_fills_in_size_and_zeroes(void **state)
{
	const struct mproc_queue_opts *o =
		MPROC_OPTS(mproc_queue_opts, .capacity = 8192);
	struct mproc_queue_opts init;

	(void)state;
	assert_int_equal(o->struct_size, sizeof(*o));
	assert_int_equal(o->capacity, 8192);
	assert_false(o->single_consumer);
	o = MPROC_OPTS(mproc_queue_opts, .single_consumer = true,
		       .capacity = 1);
	assert_true(o->single_consumer);

	memset(&init, 0xff, sizeof(init));
	mproc_opts_init(&init, sizeof(init));
	assert_int_equal(init.struct_size, sizeof(init));
	assert_int_equal(init.capacity, 0);
	assert_false(init.single_consumer);
}

/* Every error that a header names. */
static const struct {
	int error;
	const char *name;
} errors[] = {
	{ EAGAIN, "EAGAIN" },	    { ETIMEDOUT, "ETIMEDOUT" },
	{ EINTR, "EINTR" },	    { ESHUTDOWN, "ESHUTDOWN" },
	{ EPIPE, "EPIPE" },	    { EMSGSIZE, "EMSGSIZE" },
	{ ENOSPC, "ENOSPC" },	    { ENOMEM, "ENOMEM" },
	{ EFBIG, "EFBIG" },	    { EMFILE, "EMFILE" },
	{ ENFILE, "ENFILE" },	    { EBADMSG, "EBADMSG" },
	{ EPROTO, "EPROTO" },	    { ECHILD, "ECHILD" },
	{ EOWNERDEAD, "EOWNERDEAD" }, { EDEADLK, "EDEADLK" },
	{ EPERM, "EPERM" },	    { EACCES, "EACCES" },
	{ EINVAL, "EINVAL" },	    { EFAULT, "EFAULT" },
	{ ESTALE, "ESTALE" },	    { EBUSY, "EBUSY" },
	{ E2BIG, "E2BIG" },	    { ENODATA, "ENODATA" },
	{ ENOEXEC, "ENOEXEC" },	    { ENOLCK, "ENOLCK" },
	{ ENOSYS, "ENOSYS" },	    { EOVERFLOW, "EOVERFLOW" },
	{ ENOTRECOVERABLE, "ENOTRECOVERABLE" },
};

static void
every_error_has_its_name_and_a_meaning(void **state)
{
	char start[32];

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		const char *text = mproc_strerror(-errors[i].error);

		snprintf(start, sizeof(start), "%s: ", errors[i].name);
		assert_int_equal(strncmp(text, start, strlen(start)), 0);
		assert_true(strlen(text) > strlen(start));
	}
	assert_string_equal(mproc_strerror(-EMSGSIZE),
			    "EMSGSIZE: message too long");
}

static void
other_values_have_a_text_as_well(void **state)
{
	static const int values[] = { 0, 1, 77, -99999, INT32_MIN, INT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		assert_non_null(mproc_strerror(values[i]));
		assert_int_not_equal(mproc_strerror(values[i])[0], 0);
	}
	assert_non_null(strstr(mproc_strerror(0), "success"));
	assert_non_null(strstr(mproc_strerror(1), "success"));
	assert_null(strstr(mproc_strerror(-99999), "success"));
}

static void
the_detail_is_of_the_last_failure_only(void **state)
{
	mproc_queue *q;
	char text[300];

	(void)state;
	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = 1)), -EINVAL);
	assert_true(detail_has("capacity"));
	snprintf(text, sizeof(text), "%s", mproc_error_detail());
	/* Success leaves it, and so do the two that are no failures. */
	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	assert_string_equal(mproc_error_detail(), text);
	assert_int_equal(mproc_queue_get(q, NULL, 0, NULL, MPROC_NOWAIT),
			 -EAGAIN);
	assert_string_equal(mproc_error_detail(), text);
	assert_int_equal(mproc_queue_get(q, NULL, 0, NULL, mproc_us(1)),
			 -ETIMEDOUT);
	assert_string_equal(mproc_error_detail(), text);
	mproc_queue_destroy(q);
	assert_int_equal(mproc_queue_put(NULL, NULL, 0, MPROC_NOWAIT), -EINVAL);
	assert_true(detail_has("queue is NULL"));
}

static void
the_version_is_that_of_the_headers(void **state)
{
	char text[32];

	(void)state;
	snprintf(text, sizeof(text), "%d.%d.%d", MPROC_VERSION_MAJOR,
		 MPROC_VERSION_MINOR, MPROC_VERSION_PATCH);
	assert_string_equal(mproc_version(), text);
}

static int
count_on_one_cpu(struct mpt *t, void *arg)
{
	cpu_set_t all, one;
	int cpu = 0;

	(void)arg;
	mpt_check_int(t, sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	mpt_check_int(t, sched_setaffinity(0, sizeof(one), &one), 0);
	mpt_check_int(t, mproc_cpu_count(), 1);
	return 0;
}

static void
cpus_are_counted_as_the_affinity_mask_allows(void **state)
{
	struct mpt *t = *state;
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	assert_in_range(mproc_cpu_count(), 1, CPU_COUNT(&set));
	mpt_expect_exit(t, mpt_spawn(t, "bound", count_on_one_cpu, NULL), 0);
}

static void
remember(void *ctx, int level, const char *text)
{
	snprintf(ctx, 300, "%d %s", level, text);
}

static void
the_log_receiver_is_called_for_what_it_asked_for(void **state)
{
	char text[300] = "";
	int local;

	(void)state;
	mproc_log_set(MPROC_LOG_OFF, remember, text);
	mproc_free(&local);
	assert_string_equal(text, "");
	mproc_log_set(MPROC_LOG_ERROR, remember, text);
	mproc_free(&local);
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	assert_int_equal(strncmp(text, "1 mproc_free(", 13), 0);
	assert_null(strchr(text, '\n'));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(makers_convert_to_nanoseconds),
		mpt_test(a_negative_wait_is_no_wait),
		mpt_test(a_wait_beyond_64_bits_is_for_ever),
		mpt_test(a_time_that_has_passed_stays_absolute),
		mpt_test(inline_makers_are_exported_too),
		mpt_test(now_is_the_monotonic_clock),
		mpt_test(an_absolute_timeout_is_shared_by_several_calls),
		mpt_test(opts_fills_in_size_and_zeroes),
		mpt_test(every_error_has_its_name_and_a_meaning),
		mpt_test(other_values_have_a_text_as_well),
		mpt_test(the_detail_is_of_the_last_failure_only),
		mpt_test(the_version_is_that_of_the_headers),
		mpt_test(cpus_are_counted_as_the_affinity_mask_allows),
		mpt_test(the_log_receiver_is_called_for_what_it_asked_for),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
