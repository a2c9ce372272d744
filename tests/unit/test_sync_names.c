/* SPDX-License-Identifier: MIT */
/*
 * Thousands of names in an arena, which are found by an index.
 */
#include <errno.h>
#include <stdio.h>

#include <mproc/mproc.h>

#include "common.h"
#include "arena/heap.h"
#include "sync/name_index.h"

#define NAMES amount(5000)
#define SIZE 32

static char *
name_of(char text[SIZE], unsigned i, unsigned round)
{
	snprintf(text, SIZE, "name %u of round %u", i, round);
	return text;
}

/* Where @i lies, in memory that is there. */
static void *
place_of(void *memory, unsigned i)
{
	return (char *)memory + i;
}

static void
expect(void *memory, unsigned i, unsigned round, int result)
{
	void *found = NULL;
	char text[SIZE];

	assert_int_equal(mproc_arena_find(NULL, name_of(text, i, round), &found,
					  MPROC_NOWAIT), result);
	if (result == 0)
		assert_ptr_equal(found, place_of(memory, i));
}

static void
bind_all(void *memory, unsigned from, unsigned step, unsigned round)
{
	char text[SIZE];

	for (unsigned i = from; i < NAMES; i += step) {
		name_of(text, i, round);
		assert_int_equal(mproc_arena_bind(NULL, text, place_of(memory, i)), 0);
		assert_int_equal(mproc_arena_bind(NULL, text, memory), -EEXIST);
	}
}

static void
unbind_all(unsigned from, unsigned step, unsigned round)
{
	char text[SIZE];

	for (unsigned i = from; i < NAMES; i += step) {
		name_of(text, i, round);
		assert_int_equal(mproc_arena_bind(NULL, text, NULL), 0);
		assert_int_equal(mproc_arena_bind(NULL, text, NULL), -ENOENT);
	}
}

static void
each_is_found_and_nothing_else(void **state)
{
	void *memory = mproc_alloc(NAMES);

	(void)state;
	assert_non_null(memory);
	bind_all(memory, 0, 1, 0);
	for (unsigned i = 0; i < NAMES; i++) {
		expect(memory, i, 0, 0);
		expect(memory, i, 1, -ENOENT);
	}
	/* Entries come to other names, and places of the index to others. */
	for (unsigned round = 0; round < 4; round++) {
		unbind_all(0, 2, round);
		bind_all(memory, 0, 2, round + 1);
		unbind_all(1, 2, round);
		bind_all(memory, 1, 2, round + 1);
		for (unsigned i = 0; i < NAMES; i++) {
			expect(memory, i, round, -ENOENT);
			expect(memory, i, round + 1, 0);
		}
	}
	unbind_all(0, 1, 4);
	mproc_free(memory);
}

/* How many buckets the index has. */
static uint64_t
count_buckets(void)
{
	struct mpr_name_index index;
	/* In the first block, behind the words of those who wait. */
	_Atomic uint64_t *link = mpr_arena_at(the_arena(),
					      the_arena()->shm->names + 64);

	assert_true(mpr_name_index_find(the_arena(), link, &index));
	return index.n_buckets;
}

/* A place leads to a name that has gone until another one comes there. */
static void
names_that_come_and_go_take_no_more_room(void **state)
{
	void *memory = mproc_alloc(64);
	uint64_t before = count_buckets();
	char text[SIZE];

	(void)state;
	for (unsigned i = 0; i < before * 40; i++) {
		assert_int_equal(mproc_arena_bind(NULL, name_of(text, i, 7), memory), 0);
		if (i >= 50)
			assert_int_equal(mproc_arena_bind(NULL, name_of(text, i - 50, 7),
							  NULL), 0);
		assert_true(i < 49 || count_buckets() == before);
	}
	for (unsigned i = (unsigned)before * 40 - 50; i < before * 40; i++)
		assert_int_equal(mproc_arena_bind(NULL, name_of(text, i, 7), NULL), 0);
	mproc_free(memory);
}

static bool
every_place_is_used(const mproc_arena *a, uint64_t place)
{
	(void)a;
	return place != 0;
}

/* More with one hash than there is room for. */
static void
what_has_no_room_is_looked_for_everywhere(void **state)
{
	struct mpr_name_bucket *b;
	struct mpr_name_index index;
	struct mpr_block_ref ref;

	assert_int_equal(mpr_name_index_make(the_arena(), join_arena(*state), 10, NULL,
					     &index, &ref), 0);
	b = mpr_name_bucket(&index, 5);
	for (unsigned i = 0; i < MPR_NAME_PLACES; i++) {
		mpr_name_index_add(&index, the_arena(), 5, 64 * (i + 1),
				   every_place_is_used);
		assert_true(mpr_name_place_fits(b->place[i], 5));
		assert_int_equal(b->beyond, 0);
	}
	mpr_name_index_add(&index, the_arena(), 5, 8192, every_place_is_used);
	assert_int_equal(b->beyond, 1);
	assert_int_equal(mpr_name_bucket(&index, 6)->beyond, 0);
	mpr_block_cancel(join_arena(*state), &ref);
}

/* While there is no memory for a larger one, names are not counted with each bind. */
static void
a_full_index_is_due_again_after_as_many_names(void **state)
{
	struct mpr_name_index index;
	struct mpr_block_ref ref;
	unsigned n = 0, more = 0;

	assert_int_equal(mpr_name_index_make(the_arena(), join_arena(*state), 10, NULL,
					     &index, &ref), 0);
	for (; !mpr_name_index_is_due(&index); n++)
		mpr_name_index_add(&index, the_arena(), n, 64 * (n + 1),
				   every_place_is_used);
	assert_true(mpr_name_index_counted(&index, n));
	for (; !mpr_name_index_is_due(&index); more++)
		mpr_name_index_add(&index, the_arena(), more, 64 * (more + 1),
				   every_place_is_used);
	assert_int_equal(more, n / 2);
	mpr_block_cancel(join_arena(*state), &ref);
}

/* Half the names are bound by one that is killed, each time somewhere else. */
static int
bind_until_killed(struct mpt *t, void *arg)
{
	_Atomic unsigned *n = mpt_scratch(t);
	char text[SIZE];

	for (unsigned i = 0;; i++) {
		unsigned k = i % 300;

		(void)name_of(text, k, 9);
		if (mproc_arena_bind(NULL, text, place_of(arg, k)) == -EEXIST)
			mpt_check_int(t, mproc_arena_bind(NULL, text, NULL), 0);
		++*n;
	}
	return 0;
}

static void
a_kill_leaves_no_name_that_is_not_found(void **state)
{
	struct mpt *t = *state;
	_Atomic unsigned *n = mpt_scratch(t);
	void *memory = mproc_alloc(400), *found;
	char text[SIZE];

	for (unsigned i = 0; i < amount(40); i++) {
		int id = mpt_spawn(t, "binds", bind_until_killed, memory);
		unsigned before = *n;

		mpt_until(t, *n > before + 37 * i % 600);
		mpt_kill(t, id);
		/* Each has one name or none: bound twice, one of them is not found. */
		for (unsigned k = 0; k < 300; k++) {
			int r = mproc_arena_bind(NULL, name_of(text, k, 9),
						 place_of(memory, k));

			assert_true(r == 0 || r == -EEXIST);
			assert_int_equal(mproc_arena_find(NULL, text, &found,
							  MPROC_NOWAIT), 0);
			assert_int_equal(mproc_arena_bind(NULL, text, NULL), 0);
			assert_int_equal(mproc_arena_find(NULL, text, &found,
							  MPROC_NOWAIT), -ENOENT);
		}
	}
	mproc_free(memory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(each_is_found_and_nothing_else),
		mpt_test(names_that_come_and_go_take_no_more_room),
		mpt_test(what_has_no_room_is_looked_for_everywhere),
		mpt_test(a_full_index_is_due_again_after_as_many_names),
		mpt_test(a_kill_leaves_no_name_that_is_not_found),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
