/* SPDX-License-Identifier: MIT */
/*
 * sync/rlock.c: how often a holder may have it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mpt.h"
#include "sync/rlock.h"

static void
the_count_does_not_overflow(void **state)
{
	mproc_rlock rlock = { { 0 } };
	struct mpr_rlock *rl = (struct mpr_rlock *)&rlock;

	(void)state;
	assert_int_equal(mproc_rlock_acquire(&rlock, MPROC_NOWAIT), 0);
	atomic_store(&rl->nested, UINT32_MAX - 1);
	assert_int_equal(mproc_rlock_acquire(&rlock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_rlock_acquire(&rlock, MPROC_NOWAIT),
			 -EOVERFLOW);
	assert_non_null(strstr(mproc_error_detail(), "4294967295"));
	assert_int_equal(atomic_load(&rl->nested), UINT32_MAX);
	assert_int_equal(mproc_rlock_release(&rlock), 0);
	assert_int_equal(atomic_load(&rl->nested), UINT32_MAX - 1);
	atomic_store(&rl->nested, 0);
	assert_int_equal(mproc_rlock_release(&rlock), 0);
}

static void
a_new_holder_has_it_once(void **state)
{
	mproc_rlock rlock = { { 0 } };
	struct mpr_rlock *rl = (struct mpr_rlock *)&rlock;

	(void)state;
	atomic_store(&rl->nested, 7); /* of one who died */
	assert_int_equal(mproc_rlock_acquire(&rlock, MPROC_NOWAIT), 0);
	assert_int_equal(atomic_load(&rl->nested), 0);
	assert_int_equal(mproc_rlock_release(&rlock), 0);
	assert_int_equal(mproc_rlock_release(&rlock), -EPERM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_count_does_not_overflow),
		cmocka_unit_test(a_new_holder_has_it_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
