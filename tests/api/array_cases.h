/* SPDX-License-Identifier: MIT */
/*
 * What the functions of elements do wherever an array is: at hand, where test_value.c runs
 * these, and with a manager that one is connected to, test_manager_array.c.
 */
#ifndef API_ARRAY_CASES_H
#define API_ARRAY_CASES_H

#include "common.h"

/* Of tests of arrays that are somewhere else. */
static void *(*make_array)(size_t elem, size_t n, const void *init);

static inline void *
new_array(size_t elem, size_t n, const void *init)
{
	void *array = make_array ? make_array(elem, n, init) :
				   mproc_array_new(elem, n, init);

	assert_non_null(array);
	return array;
}

static inline void
elements_are_what_was_written(void **state)
{
	static const size_t elems[] = { 1, 2, 3, 4, 8, 24 };
	unsigned char in[24 * 5], out[24 * 5 + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (unsigned char)(i * 7 + 1);
	for (size_t i = 0; i < sizeof(elems) / sizeof(elems[0]); i++) {
		size_t elem = elems[i];
		void *array = new_array(elem, 5, in);

		assert_int_equal(mproc_array_len(array), 5);
		memset(out, 0, sizeof(out));
		assert_int_equal(mproc_array_get(array, 0, out, 5 * elem), 0);
		assert_memory_equal(out, in, 5 * elem);
		assert_int_equal(out[5 * elem], 0);
		/* In the middle, and nothing beside it. */
		assert_int_equal(mproc_array_set(array, 1, in, 2 * elem), 0);
		assert_int_equal(mproc_array_get(array, 0, out, 5 * elem), 0);
		assert_memory_equal(out, in, elem);
		assert_memory_equal(out + elem, in, 2 * elem);
		assert_memory_equal(out + 3 * elem, in + 3 * elem, 2 * elem);
		/* None, at the end too. */
		assert_int_equal(mproc_array_get(array, 5, NULL, 0), 0);
		assert_int_equal(mproc_array_set(array, 5, NULL, 0), 0);
		mproc_free(array);
	}
}

static inline void
what_is_not_there_is_refused(void **state)
{
	int32_t four[4] = { 1, 2, 3, 4 }, v = 9;
	void *array = new_array(sizeof(v), 4, four);
	int64_t wide = 0;

	(void)state;
	assert_int_equal(mproc_array_get(array, 4, &v, sizeof(v)), -ERANGE);
	assert_int_equal(mproc_array_get(array, 3, four, 2 * sizeof(v)), -ERANGE);
	assert_int_equal(mproc_array_get(array, 5, NULL, 0), -ERANGE);
	assert_int_equal(mproc_array_get(array, SIZE_MAX, &v, sizeof(v)), -ERANGE);
	assert_int_equal(mproc_array_set(array, 4, &v, sizeof(v)), -ERANGE);
	assert_int_equal(mproc_array_add(array, 4, sizeof(v), 1, NULL), -ERANGE);
	assert_int_equal(mproc_array_compare_exchange(array, 4, sizeof(v), &v, &v),
			 -ERANGE);
	assert_int_equal(mproc_array_get(array, 0, &v, 3), -EINVAL);
	assert_int_equal(mproc_array_get(array, 0, NULL, sizeof(v)), -EINVAL);
	assert_int_equal(mproc_array_set(array, 0, NULL, sizeof(v)), -EINVAL);
	assert_int_equal(mproc_array_set(array, 0, &v, 3), -EINVAL);
	/* Two elements are not one. */
	assert_int_equal(mproc_array_add(array, 0, sizeof(wide), 1, &wide), -EINVAL);
	assert_int_equal(mproc_array_add(array, 0, 0, 1, NULL), -EINVAL);
	assert_int_equal(mproc_array_compare_exchange(array, 0, sizeof(wide), &wide,
						      &wide), -EINVAL);
	assert_int_equal(mproc_array_compare_exchange(array, 0, sizeof(v), NULL, &v),
			 -EINVAL);
	assert_int_equal(mproc_array_get(array, 3, &v, sizeof(v)), 0);
	assert_int_equal(v, 4);
	mproc_free(array);
	/* No sum of three bytes. */
	array = new_array(3, 4, NULL);
	assert_int_equal(mproc_array_add(array, 0, 3, 1, NULL), -EINVAL);
	mproc_free(array);
	assert_int_equal(mproc_array_get(NULL, 0, &v, sizeof(v)), -EINVAL);
	assert_int_equal(mproc_array_get(&v, 0, &v, sizeof(v)), -EFAULT);
}

static inline void
sums_wrap_around(void **state)
{
	int8_t small = 120, small_was = 0;
	int64_t was = 0;
	double real_was = 0;
	void *array = new_array(sizeof(was), 3, NULL), *other;

	(void)state;
	assert_int_equal(mproc_array_add(array, 1, sizeof(was), 5, &was), 0);
	assert_int_equal(was, 0);
	assert_int_equal(mproc_array_add(array, 1, sizeof(was), -7, &was), 0);
	assert_int_equal(was, 5);
	assert_int_equal(mproc_array_add(array, 1, sizeof(was), 0, NULL), 0);
	assert_int_equal(mproc_array_get(array, 1, &was, sizeof(was)), 0);
	assert_int_equal(was, -2);
	assert_int_equal(mproc_array_add_float(array, 2, sizeof(double), 0.5, NULL), 0);
	assert_int_equal(mproc_array_add_float(array, 2, sizeof(double), 0.25,
					       &real_was), 0);
	assert_true(real_was == 0.5);
	mproc_free(array);
	other = new_array(1, 1, &small);
	assert_int_equal(mproc_array_add(other, 0, 1, 10, &small_was), 0);
	assert_int_equal(small_was, 120);
	assert_int_equal(mproc_array_get(other, 0, &small, 1), 0);
	assert_int_equal(small, -126);
	assert_int_equal(mproc_array_add_float(other, 0, 1, 1, NULL), -EINVAL);
	mproc_free(other);
}

static inline void
an_element_is_exchanged_if_it_is_what_is_expected(void **state)
{
	uint32_t before[2] = { 7, 8 }, expected = 9, value = 10;
	void *array = new_array(sizeof(value), 2, before);

	(void)state;
	assert_int_equal(mproc_array_compare_exchange(array, 1, sizeof(value),
						      &expected, &value), 0);
	assert_int_equal(expected, 8);
	assert_int_equal(mproc_array_compare_exchange(array, 1, sizeof(value),
						      &expected, &value), 1);
	assert_int_equal(expected, 8);
	assert_int_equal(mproc_array_get(array, 0, before, sizeof(before)), 0);
	assert_true(before[0] == 7 && before[1] == 10);
	mproc_free(array);
}

#define ARRAY_CASES \
	mpt_test(elements_are_what_was_written), \
	mpt_test(what_is_not_there_is_refused), \
	mpt_test(sums_wrap_around), \
	mpt_test(an_element_is_exchanged_if_it_is_what_is_expected)

#endif
