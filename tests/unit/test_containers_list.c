/* SPDX-License-Identifier: MIT */
/*
 * Lists where memory is short: an error, and nothing has happened. And lists that
 * are too large to be read without being had.
 */
#include <errno.h>
#include <stdlib.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "common.h"
#include "containers/list.h"

#define LARGE ((size_t)2 << 20)

static const char text[] = "a text that is long";

static const mproc_arena *
arena(void)
{
	return mpr_arena_peek();
}

struct world {
	mproc_list *list;
	char *large;
	struct mproc_arena_stat stat;
};

static void
begin(struct world *w)
{
	w->large = malloc(LARGE + 1);
	assert_non_null(w->large);
	memset(w->large, 'x', LARGE);
	w->large[LARGE] = '\0';
	assert_int_equal(mproc_list_create(&w->list, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mproc_list_append(w->list, mproc_str(text)), 0);
	assert_int_equal(mproc_arena_stat(NULL, &w->stat), 0);
}

static void
begin_to_fail(const char *spec)
{
	assert_int_equal(mpr_fault_set(spec), 0);
}

/* The list is as it was, and goes on. */
static void
expect_nothing(struct world *w)
{
	struct mproc_arena_stat now;
	struct mproc_any any;

	assert_int_equal(mpr_fault_set(NULL), 0);
	assert_int_equal(mproc_list_len(w->list), 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mproc_list_get(w->list, i, &any), 0);
		assert_string_equal(any.ptr, text);
		mproc_any_clear(&any);
	}
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, w->stat.blocks);
	assert_int_equal(now.used, w->stat.used);
	assert_int_equal(mproc_list_append(w->list, mproc_str(text)), 0);
	assert_int_equal(mproc_list_pop(w->list, -1, NULL), 0);
}

static void
end(struct world *w)
{
	mproc_list_destroy(w->list);
	free(w->large);
}

static void
a_value_that_there_is_no_room_for_changes_nothing(void **state)
{
	struct mproc_any values[2];
	struct world w;
	int r[4];

	(void)state;
	begin(&w);
	values[0] = mproc_str("another text that is long");
	values[1] = mproc_str(w.large);
	begin_to_fail("fallocate:1+=ENOSPC");
	r[0] = mproc_list_append(w.list, values[1]);
	r[1] = mproc_list_set(w.list, 1, values[1]);
	r[2] = mproc_list_insert(w.list, 1, values[1]);
	r[3] = mproc_list_extend(w.list, values, 2);
	expect_nothing(&w);
	for (int i = 0; i < 4; i++)
		assert_int_equal(r[i], -ENOSPC);
	end(&w);
}

static void
an_array_that_there_is_no_room_for_changes_nothing(void **state)
{
	enum { N = 60000 };
	struct mproc_any *values = calloc(N, sizeof(*values));
	struct world w;
	int r;

	(void)state;
	assert_non_null(values);
	begin(&w);
	begin_to_fail("fallocate:1+=ENOSPC");
	r = mproc_list_extend(w.list, values, N);
	/* Where there is an empty slab it fits, and the next one does not. */
	if (r == 0)
		r = mproc_list_extend(w.list, values, N);
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(mpr_fault_set(NULL), 0);
	while (mproc_list_len(w.list) > 3)
		assert_int_equal(mproc_list_pop(w.list, -1, NULL), 0);
	expect_nothing(&w);
	end(&w);
	free(values);
}

static void
a_copy_that_there_is_no_memory_for_changes_nothing(void **state)
{
	struct mproc_any any = mproc_int(7);
	struct world w;
	size_t i = 0;
	int r[8];

	(void)state;
	begin(&w);
	begin_to_fail("malloc:1+");
	r[0] = mproc_list_get(w.list, 0, &any);
	r[1] = mproc_list_next(w.list, &i, &any);
	r[2] = mproc_list_pop(w.list, 0, &any);
	r[3] = mproc_list_sort(w.list, NULL, NULL);
	r[4] = mproc_list_reverse(w.list);
	begin_to_fail("malloc:2+");
	r[5] = mproc_list_sort(w.list, NULL, NULL);
	begin_to_fail("malloc:4+");
	r[6] = mproc_list_sort(w.list, NULL, NULL);
	begin_to_fail("malloc:1");
	r[7] = mproc_list_sort(w.list, NULL, NULL);
	expect_nothing(&w);
	for (int k = 0; k < 8; k++)
		assert_int_equal(r[k], -ENOMEM);
	assert_int_equal(any.i64, 7);
	assert_int_equal(i, 0);
	end(&w);
}

/* A list without room for one does not exist. A slab has room for some thousands. */
static void
a_list_that_there_is_no_room_for_is_none(void **state)
{
	enum { N = 20000 };
	mproc_list **all = calloc(N, sizeof(*all));
	int n = 0, r = 0;

	(void)state;
	assert_non_null(all);
	begin_to_fail("fallocate:1+=ENOSPC");
	while (n < N && (r = mproc_list_create(&all[n], NULL)) == 0)
		n++;
	assert_int_equal(mpr_fault_set(NULL), 0);
	assert_int_equal(r, -ENOSPC);
	assert_null(all[n]);
	assert_int_equal(mproc_list_create(&all[n], NULL), 0);
	assert_int_equal(mproc_list_append(all[n], mproc_str(text)), 0);
	/* It lies where the one that could not be made was to lie: behind the one
	 * before, unless that is the last one of a block. */
	if (mpr_arena_offset(arena(), all[n - 1]) % 4096 != 4096 - MPR_CELL)
		assert_ptr_equal(all[n], all[n - 1] + 1);
	for (; n >= 0; n--)
		mproc_list_destroy(all[n]);
	free(all);
}

/* Arrays and values that are runs of extents, which are looked at under the
 * lock. */
static void
large_ones_are_read_as_small_ones_are(void **state)
{
	enum { N = 70000 };
	struct mproc_any *values = calloc(N, sizeof(*values)), any;
	struct world w;
	size_t i = N - 1;

	(void)state;
	assert_non_null(values);
	begin(&w);
	assert_int_equal(mproc_list_append(w.list, mproc_str(w.large)), 0);
	assert_int_equal(mproc_list_get(w.list, 3, &any), 0);
	assert_int_equal(any.len, LARGE);
	assert_string_equal(any.ptr, w.large);
	mproc_any_clear(&any);
	assert_int_equal(mproc_list_clear(w.list), 0);
	for (int k = 0; k < N; k++)
		values[k] = mproc_int(k);
	assert_int_equal(mproc_list_extend(w.list, values, N), 0);
	assert_int_equal(mproc_list_get(w.list, -1, &any), 0);
	assert_int_equal(any.i64, N - 1);
	assert_int_equal(mproc_list_get(w.list, N, &any), -ERANGE);
	assert_int_equal(mproc_list_next(w.list, &i, &any), 0);
	assert_int_equal(mproc_list_next(w.list, &i, &any), -ENODATA);
	assert_int_equal(mproc_list_insert(w.list, 0, mproc_str(text)), 0);
	assert_int_equal(mproc_list_pop(w.list, 1, &any), 0);
	assert_int_equal(any.i64, 0);
	assert_int_equal(mproc_list_get(w.list, 1, &any), 0);
	assert_int_equal(any.i64, 1);
	free(values);
	end(&w);
}

/* By one that has the list, as others may. */
static int
get_while_it_is_had(mproc_list *l)
{
	struct mproc_any any = mproc_nil();
	struct mpr_list_use u;
	int r;

	assert_int_equal(mpr_list_enter(l, &u), 0);
	r = mproc_list_get(l, 0, &any);
	mproc_any_clear(&any);
	return mpr_list_leave(&u, r);
}

/* To look at memory that is gone would allocate it. */
static void
what_may_vanish_is_read_by_who_has_it(void **state)
{
	enum { N = 70000 };
	struct mproc_any *values = calloc(N, sizeof(*values));
	struct world w;

	(void)state;
	assert_non_null(values);
	begin(&w);
	assert_int_equal(get_while_it_is_had(w.list), 0);
	assert_int_equal(mproc_list_set(w.list, 0, mproc_str(w.large)), 0);
	assert_int_equal(get_while_it_is_had(w.list), -EDEADLK);
	assert_int_equal(mproc_list_set(w.list, 0, mproc_int(1)), 0);
	assert_int_equal(get_while_it_is_had(w.list), 0);
	assert_int_equal(mproc_list_extend(w.list, values, N), 0);
	assert_int_equal(get_while_it_is_had(w.list), -EDEADLK);
	free(values);
	end(&w);
}

/* Somebody has written in it, and it cannot be repaired. The next list in its place is
 * read without its lock, as all are, and who reads sees that it is changed. */
static void
what_is_corrupt_leaves_nothing_to_the_next_list(void **state)
{
	struct mpr_list_root *root;
	struct mpr_list_use u;
	mproc_list *l;

	(void)state;
	assert_int_equal(mproc_list_create(&l, NULL), 0);
	assert_int_equal(mproc_list_append(l, mproc_int(1)), 0);
	assert_int_equal(mpr_list_look_up(l, &u), 0);
	root = u.root;
	root->arrays[root->current] += 8;
	mproc_list_destroy(l);
	assert_int_equal(root->version % 2, 0);
}

static void
a_version_that_was_odd_is_odd_while_slots_change(void **state)
{
	struct mpr_list_use u;
	uint64_t version;
	mproc_list *l;

	(void)state;
	assert_int_equal(mproc_list_create(&l, NULL), 0);
	assert_int_equal(mproc_list_append(l, mproc_int(1)), 0);
	assert_int_equal(mpr_list_look_up(l, &u), 0);
	version = u.root->version + 1;
	u.root->version = version;
	assert_int_equal(mproc_list_set(l, 0, mproc_str(text)), 0);
	/* It has been that, and then another one. */
	assert_int_equal(u.root->version, version + 1);
	mproc_list_destroy(l);
}

static int
setup(void **state)
{
	mproc_list *l;

	(void)state;
	if (mproc_list_create(&l, NULL) < 0)
		return -1;
	mproc_list_destroy(l);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_value_that_there_is_no_room_for_changes_nothing),
		mpt_test(an_array_that_there_is_no_room_for_changes_nothing),
		mpt_test(a_copy_that_there_is_no_memory_for_changes_nothing),
		mpt_test(a_list_that_there_is_no_room_for_is_none),
		mpt_test(large_ones_are_read_as_small_ones_are),
		mpt_test(what_may_vanish_is_read_by_who_has_it),
		mpt_test(what_is_corrupt_leaves_nothing_to_the_next_list),
		mpt_test(a_version_that_was_odd_is_odd_while_slots_change),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
