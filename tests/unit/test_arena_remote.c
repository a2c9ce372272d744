/* SPDX-License-Identifier: MIT */
/*
 * Handles to what another process has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arena/remote.h"
#include "mpt.h"

static struct mpr_remote *all[MPR_REMOTES];

static void
only_handles_that_lead_somewhere_are_found(void **state)
{
	struct mpr_remote_owner *owner = (struct mpr_remote_owner *)state;
	struct mpr_remote *r = mpr_remote_take();

	assert_non_null(r);
	assert_null(mpr_remote_at(r));
	r->owner = owner;
	assert_ptr_equal(mpr_remote_at(r), r);
	assert_null(mpr_remote_at((char *)r + 1));
	assert_null(mpr_remote_at(r + 1));
	assert_null(mpr_remote_at(r - 1));
	assert_null(mpr_remote_at(NULL));
	assert_null(mpr_remote_at(state));
	assert_null(mpr_remote_at((void *)UINTPTR_MAX));
	mpr_remote_give(r);
	assert_null(mpr_remote_at(r));
	assert_true(mpr_remote_has(r));
	assert_false(mpr_remote_has((char *)r + 1));
	assert_false(mpr_remote_has(state));
}

static void
one_rests_before_it_is_used_again(void **state)
{
	struct mpr_remote *first, *r;

	(void)state;
	for (unsigned i = 0; i < MPR_REMOTES; i++) {
		all[i] = mpr_remote_take();
		assert_non_null(all[i]);
		assert_true((uintptr_t)all[i] % 64 == 0);
	}
	assert_null(mpr_remote_take());
	first = all[7];
	mpr_remote_give(first);
	all[7] = NULL;
	/* Some have been in use before. */
	for (unsigned i = 0; i < MPR_REMOTES - 1; i++) {
		r = mpr_remote_take();
		assert_non_null(r);
		assert_ptr_not_equal(r, first);
		assert_null(mpr_remote_take());
		mpr_remote_give(r);
	}
	/* But not for ever. */
	for (unsigned i = 0; i < 3 && r != first; i++) {
		r = mpr_remote_take();
		mpr_remote_give(r);
	}
	assert_ptr_equal(r, first);
	for (unsigned i = 0; i < MPR_REMOTES; i++)
		if (all[i])
			mpr_remote_give(all[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(only_handles_that_lead_somewhere_are_found),
		mpt_test(one_rests_before_it_is_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
