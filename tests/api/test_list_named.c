/* SPDX-License-Identifier: MIT */
/*
 * list.h: lists in arenas with a name. The other program is an instance of this
 * one, started by exec, and has the arena at another address.
 */
#include "list.h"
#include "named.h"

#define MANY 500

static const char long_text[] = "a text that is long";

static mproc_list *
new_list_in(mproc_arena *a)
{
	mproc_list *l = NULL;

	assert_int_equal(mproc_list_create(&l, MPROC_OPTS(
		mproc_list_opts, .arena = a)), 0);
	return l;
}

static void
it_lies_there_with_all_that_is_in_it(void **state)
{
	struct mproc_arena_stat before = stat_now(), there, now;
	mproc_arena *a = create_arena("list");
	mproc_list *l = new_list_in(a), *other = new_list();

	(void)state;
	/* The cells stay. */
	mproc_list_destroy(new_list_in(a));
	assert_int_equal(mproc_arena_stat(a, &there), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(mproc_list_append(l, mproc_str(long_text)), 0);
	assert_true(has_at(l, 99, mproc_str(long_text)));
	assert_int_equal(mproc_list_append(l, mproc_ref(l)), 0);
	assert_int_equal(mproc_list_append(l, mproc_ref(other)), -EFAULT);
	assert_int_equal(mproc_list_append(other, mproc_ref(l)), -EFAULT);
	assert_int_equal(mproc_list_len(l), 101);
	assert_int_equal(mproc_list_clear(l), 0);
	mproc_list_destroy(l);
	assert_int_equal(mproc_list_append(l, mproc_nil()), -ESTALE);
	assert_int_equal(mproc_arena_stat(a, &now), 0);
	assert_int_equal(now.blocks, there.blocks);
	mproc_list_destroy(other);
	remove_arena(a);
	assert_int_equal(mproc_list_append(l, mproc_nil()), -EFAULT);
	assert_int_equal(mproc_list_len(l), 0);
	expect_stat(&before);
}

static void
use(mproc_list *l)
{
	struct mproc_any any;
	mproc_list *inner;

	EXPECT(mproc_list_len(l) == 3);
	EXPECT(has_at(l, 0, mproc_int(5)));
	EXPECT(has_at(l, 1, mproc_str(long_text)));
	EXPECT(mproc_list_get(l, 2, &any) == 0 && any.kind == MPROC_REF);
	inner = (mproc_list *)(uintptr_t)any.ptr;
	EXPECT(mproc_list_append(inner, mproc_str("from another address")) ==
	       0);
	EXPECT(mproc_list_append(inner, mproc_ref(l)) == 0);
	for (int i = 0; i < MANY; i++)
		EXPECT(mproc_list_insert(l, 1, mproc_int(i)) == 0);
}

static int
stay(const struct mproc_any *x, const struct mproc_any *y, void *ctx)
{
	(void)x;
	(void)y;
	EXPECT(mproc_list_append(ctx, mproc_nil()) == 0);
	for (;;)
		pause();
}

static int
be_the_other(char **argv)
{
	mproc_arena *a = open_as_instance(argv);
	mproc_list *l = find(a, "list"), *news = find(a, "news");

	if (strcmp(argv[1], "use") == 0)
		use(l);
	else
		EXPECT(mproc_list_sort(l, stay, news) == 0);
	mproc_arena_close(a);
	return 0;
}

static void
programs_share_it(void **state)
{
	struct mpt *t = *state;
	mproc_arena *a = create_arena("list");
	mproc_list *l = new_list_in(a), *inner = new_list_in(a);
	mproc_list *news = new_list_in(a);
	struct instance user = { "use", l }, sorter = { "sort", l };
	int id;

	mpt_watchdog(t, 60);
	assert_int_equal(mproc_list_append(l, mproc_int(5)), 0);
	assert_int_equal(mproc_list_append(l, mproc_str(long_text)), 0);
	assert_int_equal(mproc_list_append(l, mproc_ref(inner)), 0);
	assert_int_equal(mproc_arena_bind(a, "list", l), 0);
	assert_int_equal(mproc_arena_bind(a, "news", news), 0);
	id = mpt_spawn(t, "other", execute, &user);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(mproc_list_len(l), 3 + MANY);
	for (int i = 0; i < MANY; i++)
		assert_true(has_at(l, 1 + i, mproc_int(MANY - 1 - i)));
	assert_true(has_at(l, -2, mproc_str(long_text)));
	expect_list(inner, mproc_str("from another address"), mproc_ref(l));

	/* Another one dies with the list in its hands. */
	id = mpt_spawn(t, "sorter", execute, &sorter);
	mpt_until(t, mproc_list_len(news) == 1);
	mpt_kill(t, id);
	assert_int_equal(mproc_list_append(l, mproc_int(6)), 0);
	assert_int_equal(mproc_list_len(l), 4 + MANY);
	assert_true(has_at(l, 0, mproc_int(5)));
	mproc_list_destroy(l);
	mproc_list_destroy(inner);
	mproc_list_destroy(news);
	remove_arena(a);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_lies_there_with_all_that_is_in_it),
		mpt_test(programs_share_it),
	};

	if (argc == 4)
		return be_the_other(argv);
	/* So that no test makes it, and the cells. */
	mproc_list_destroy(new_list());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
