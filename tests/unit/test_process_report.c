/* SPDX-License-Identifier: MIT */
/*
 * Reports, as the parent takes them from a child that may write anything.
 */
#include <stdio.h>

#include "base/fault.h"
#include "common.h"
#include "mpt_rand.h"
#include "process/report.h"

static struct mpr_record *record;
static unsigned char *page; /* of the report */

static void
begin(void)
{
	record = mpr_record_new();
	assert_non_null(record);
	page = mpr_record_report(record);
}

/* What the parent makes of @length bytes, according to the child. */
static char *
copy_of(uint32_t length)
{
	char *copy;

	atomic_store(&record->reported, length);
	copy = mpr_report_copy(record);
	assert_non_null(copy);
	return copy;
}

static void
what_is_reported_is_copied(void **state)
{
	char *copy;

	(void)state;
	begin();
	assert_null(mpr_report_copy(record));
	strcpy((char *)page, "first\nsecond\nthird");
	copy = copy_of(13);
	assert_string_equal(copy, "first\nsecond\n");
	/* A copy: what the child does later is nothing to it. */
	memset(page, 'x', 13);
	assert_string_equal(copy, "first\nsecond\n");
	free(copy);
	mpr_record_free(record);
}

static void
a_length_is_bounded(void **state)
{
	uint32_t lengths[] = { MPR_REPORT_SIZE, MPR_REPORT_SIZE + 1,
			       INT32_MAX, UINT32_MAX };
	char *copy;

	(void)state;
	begin();
	memset(page, 'a', MPR_REPORT_SIZE);
	for (unsigned i = 0; i < MPR_ARRAY_LEN(lengths); i++) {
		copy = copy_of(lengths[i]);
		assert_int_equal(strlen(copy), MPR_REPORT_SIZE);
		free(copy);
	}
	mpr_record_free(record);
}

static void
only_lines_of_printable_ascii_come_through(void **state)
{
	char *copy;

	(void)state;
	begin();
	for (unsigned i = 0; i < 256; i++)
		page[i] = (unsigned char)i;
	copy = copy_of(256);
	assert_int_equal(strlen(copy), 256);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(copy[i], i == '\n' || (i >= 32 && i < 127) ?
				 (char)i : '?');
	free(copy);
	mpr_record_free(record);
}

static int
scribble(struct mpt *t, void *arg)
{
	struct mpt_rand rand;

	(void)arg;
	mpt_rand_init(&rand, mpt_seed());
	mpt_step(t, 0);
	while (record) {
		atomic_store(&record->reported, (uint32_t)mpt_rand_next(&rand));
		for (unsigned i = 0; i < MPR_REPORT_SIZE; i++)
			((volatile unsigned char *)page)[i] =
				(unsigned char)mpt_rand_next(&rand);
	}
	return 1;
}

static void
a_child_that_goes_on_writing_does_no_harm(void **state)
{
	struct mpt *t = *state;
	char *copy;
	int id;

	begin();
	id = mpt_spawn(t, "child", scribble, NULL);
	mpt_reach(t, 1);
	for (unsigned i = amount(2000); i; i--) {
		copy = mpr_report_copy(record);
		if (!copy)
			continue;
		assert_true(strlen(copy) <= MPR_REPORT_SIZE);
		for (char *c = copy; *c; c++)
			assert_true(*c == '\n' || (*c >= ' ' && *c <= '~'));
		free(copy);
	}
	mpt_kill(t, id);
	mpr_record_free(record);
}

static void
without_memory_there_is_no_report(void **state)
{
	(void)state;
	begin();
	memset(page, 'a', 5);
	assert_int_equal(mpr_fault_set("malloc:1"), 0);
	atomic_store(&record->reported, 5);
	assert_null(mpr_report_copy(record));
	assert_int_equal(mpr_fault_set(NULL), 0);
	free(copy_of(5));
	mpr_record_free(record);
}

/* 500 children. */
static void
each_record_has_room_of_its_own(void **state)
{
	static struct mpr_record *records[500];
	char expected[16], *copy;

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		records[i] = mpr_record_new();
		assert_non_null(records[i]);
		memset(mpr_record_report(records[i]), 'a' + (int)(i % 26),
		       MPR_REPORT_SIZE);
		snprintf(mpr_record_report(records[i]), MPR_REPORT_SIZE, "%u",
			 i);
	}
	for (unsigned i = 0; i < 500; i++) {
		record = records[i];
		snprintf(expected, sizeof(expected), "%u", i);
		copy = copy_of((uint32_t)strlen(expected));
		assert_string_equal(copy, expected);
		free(copy);
		copy = copy_of(MPR_REPORT_SIZE);
		assert_int_equal(copy[MPR_REPORT_SIZE - 1],
				 'a' + (int)(i % 26));
		free(copy);
		mpr_record_free(record);
	}
	/* The next to have it begins with none. */
	begin();
	assert_null(mpr_report_copy(record));
	mpr_record_free(record);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_is_reported_is_copied),
		mpt_test(a_length_is_bounded),
		mpt_test(only_lines_of_printable_ascii_come_through),
		mpt_test(a_child_that_goes_on_writing_does_no_harm),
		mpt_test(without_memory_there_is_no_report),
		mpt_test(each_record_has_room_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
