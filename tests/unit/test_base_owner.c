/* SPDX-License-Identifier: MIT */
/*
 * Owner words keep their three parts apart.
 */
#include "base/owner.h"
#include "common.h"

static void
each_part_comes_out_as_it_went_in(void **state)
{
	static const uint64_t epochs[] = { 0, 1, 12345, MPR_EPOCH_MAX };
	static const unsigned slots[] = { 0, 1, 1023, 0xffff };

	(void)state;
	for (unsigned e = 0; e < 4; e++)
		for (unsigned s = 0; s < 4; s++)
			for (unsigned st = 0; st < 4; st++) {
				uint64_t w = mpr_owner(epochs[e], slots[s], st);

				assert_int_equal(mpr_owner_epoch(w), epochs[e]);
				assert_int_equal(mpr_owner_slot(w), slots[s]);
				assert_int_equal(mpr_owner_state(w), st);
			}
}

static void
too_large_a_slot_does_not_spill_into_the_epoch(void **state)
{
	uint64_t w = mpr_owner(5, 0x1fffff, 7);

	(void)state;
	assert_int_equal(mpr_owner_epoch(w), 5);
	assert_int_equal(mpr_owner_slot(w), 0xffff);
	assert_int_equal(mpr_owner_state(w), 3);
}

static void
another_state_keeps_epoch_and_slot(void **state)
{
	uint64_t w = mpr_owner(MPR_EPOCH_MAX, 1023, 2);

	(void)state;
	for (unsigned st = 0; st < 4; st++)
		assert_int_equal(mpr_owner_with_state(w, st),
				 mpr_owner(MPR_EPOCH_MAX, 1023, st));
}

static void
zeroed_memory_is_free_and_of_epoch_zero(void **state)
{
	(void)state;
	assert_int_equal(mpr_owner_state(0), 0);
	assert_int_equal(mpr_owner_epoch(0), 0);
	assert_int_equal(mpr_owner(0, 0, 0), 0);
}

static void
what_is_freed_is_nobodys_and_one_epoch_on(void **state)
{
	(void)state;
	assert_int_equal(mpr_owner_freed(mpr_owner(5, 77, 3)),
			 mpr_owner(6, 0, 0));
	assert_int_equal(mpr_owner_freed(mpr_owner(MPR_EPOCH_MAX, 77, 1)), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_part_comes_out_as_it_went_in),
		cmocka_unit_test(
			too_large_a_slot_does_not_spill_into_the_epoch),
		cmocka_unit_test(another_state_keeps_epoch_and_slot),
		cmocka_unit_test(zeroed_memory_is_free_and_of_epoch_zero),
		cmocka_unit_test(what_is_freed_is_nobodys_and_one_epoch_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
