/* SPDX-License-Identifier: MIT */
/*
 * arena/shm.c: what takes a fault to happen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <mproc/shm.h>

#include "base/fault.h"
#include "common.h"

#define PAGES ((size_t)64 << 10)

static void
a_name_that_is_taken_is_followed_by_another(void **state)
{
	mproc_shm *s = NULL;

	(void)state;
	assert_int_equal(mpr_fault_set("link:1=EEXIST"), 0);
	assert_int_equal(mproc_shm_create(&s, NULL, 10, NULL), 0);
	assert_int_equal(mpr_fault_hits(MPR_FAULT_LINK), 2);
	assert_int_equal(mproc_shm_unlink(mproc_shm_name(s)), 0);
	mproc_shm_close(s);

	/* But not for ever. */
	s = NULL;
	assert_int_equal(mpr_fault_set("link:1+=EEXIST"), 0);
	assert_int_equal(mproc_shm_create(&s, NULL, 10, NULL), -EEXIST);
	assert_int_equal(mpr_fault_hits(MPR_FAULT_LINK), 100);
	assert_null(s);
	mpr_fault_set(NULL);
}

static void
a_name_of_the_callers_is_tried_once(void **state)
{
	struct mpt *t = *state;
	mproc_shm *s = NULL;
	char name[64];

	assert_int_equal(mpr_fault_set("link:1=EEXIST"), 0);
	assert_int_equal(mproc_shm_create(&s, mpt_name(t, name, "once"), 10,
					  NULL), -EEXIST);
	assert_int_equal(mpr_fault_hits(MPR_FAULT_LINK), 1);
	assert_null(s);
	mpr_fault_set(NULL);
}

static void
where_nothing_can_be_allocated_only_an_open_goes_on(void **state)
{
	struct mpt *t = *state;
	mproc_shm *s = NULL;
	char name[64], path[96];
	int fd;

	mpt_name(t, name, "sparse");
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	assert_int_equal(mpr_fault_set("fallocate:1+=EPERM,populate:1+=EPERM"),
			 0);
	assert_int_equal(mproc_shm_create(&s, name, PAGES, NULL), -ENOSYS);
	assert_int_equal(access(path, F_OK), -1);

	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PAGES), 0);
	close(fd);
	assert_int_equal(mproc_shm_open(&s, name), 0);
	memset(mproc_shm_ptr(s), 1, PAGES);
	mpr_fault_set(NULL);
	mproc_shm_close(s);
	assert_int_equal(mproc_shm_unlink(name), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_name_that_is_taken_is_followed_by_another),
		mpt_test(a_name_of_the_callers_is_tried_once),
		mpt_test(where_nothing_can_be_allocated_only_an_open_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
