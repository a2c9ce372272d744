/* SPDX-License-Identifier: MIT */
/*
 * list.h: one value of a list read as what it is, and changed by what it was.
 */
#include "list.h"
#include "sync.h"

#define LONG "a text that does not fit the two words of a slot"
#define ROLES 4
#define EACH 1000

static void
a_value_is_exchanged_if_it_is_what_is_expected(void **state)
{
	mproc_list *l = LIST(mproc_int(1), mproc_str(LONG));
	struct mproc_any nothing = mproc_nil();

	(void)state;
	assert_int_equal(mproc_list_compare_exchange(l, 0, mproc_int(2),
						     mproc_int(3)), 0);
	assert_int_equal(mproc_list_compare_exchange(l, 0, mproc_float(1.0),
						     mproc_str(LONG)), 1);
	assert_int_equal(mproc_list_compare_exchange(l, -1, mproc_str("text"),
						     nothing), 0);
	assert_int_equal(mproc_list_compare_exchange(l, -1, mproc_str(LONG),
						     nothing), 1);
	expect_list(l, mproc_str(LONG), nothing);
	assert_int_equal(mproc_list_compare_exchange(l, 2, nothing, nothing),
			 -ERANGE);
	assert_int_equal(mproc_list_compare_exchange(l, 0, mproc_str(NULL),
						     nothing), -EINVAL);
	assert_int_equal(mproc_list_compare_exchange(l, 0, nothing,
						     mproc_ref(l)), 0);
	assert_int_equal(mproc_list_compare_exchange(l, 0, nothing,
						     mproc_ref(&l)), -EFAULT);
	mproc_list_destroy(l);
	assert_int_equal(mproc_list_compare_exchange(l, 0, nothing, nothing),
			 -ESTALE);
}

struct call {
	mproc_list *list;
	int result; /* what the function is to return */
	int r; /* what others have returned meanwhile */
	pid_t child;
};

/* The text without its first byte, or one more. */
static int
change(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	struct call *call = ctx;

	assert_int_equal(value->kind, MPROC_NIL);
	call->r = mproc_list_append(call->list, mproc_nil());
	*value = *old;
	if (old->kind == MPROC_STR) {
		value->ptr = (const char *)old->ptr + 1;
		value->len--;
	} else {
		value->i64++;
	}
	return call->result;
}

static int
give_what_is_of_no_kind(const struct mproc_any *old, struct mproc_any *value,
			void *ctx)
{
	(void)old;
	(void)ctx;
	*value = mproc_str(NULL);
	return 1;
}

static int
destroy(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	(void)old;
	*value = mproc_int(1);
	mproc_list_destroy(ctx);
	return 1;
}

static void
an_update_sets_what_its_function_says(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_list *l = LIST(mproc_int(1), mproc_str(LONG));
	struct call call = { .list = l, .result = 1 };

	(void)state;
	assert_int_equal(mproc_list_update(l, 0, change, &call), 1);
	/* The list was ours meanwhile. */
	assert_int_equal(call.r, -EDEADLK);
	assert_int_equal(mproc_list_update(l, 1, change, &call), 1);
	assert_int_equal(mproc_list_update(l, -1, change, &call), 1);
	expect_list(l, mproc_int(2), mproc_str(&LONG[2]));
	call.result = 0;
	assert_int_equal(mproc_list_update(l, 0, change, &call), 0);
	call.result = -EPIPE;
	assert_int_equal(mproc_list_update(l, 1, change, &call), -EPIPE);
	call.result = 7;
	assert_int_equal(mproc_list_update(l, 0, change, &call), 7);
	assert_int_equal(mproc_list_update(l, 2, change, &call), -ERANGE);
	assert_int_equal(mproc_list_update(l, 0, NULL, &call), -EINVAL);
	assert_int_equal(mproc_list_update(l, 0, give_what_is_of_no_kind, NULL),
			 -EINVAL);
	expect_list(l, mproc_int(3), mproc_str(&LONG[2]));
	assert_int_equal(mproc_list_update(l, 1, destroy, l), -ESTALE);
	assert_int_equal(mproc_list_update(l, 1, change, &call), -ESTALE);
	expect_stat(&before);
}

static int
fork_inside(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	struct call *call = ctx;

	(void)old;
	call->child = fork();
	*value = mproc_int(call->child ? 10 : 20);
	return 1;
}

static void
a_child_of_an_update_changes_nothing(void **state)
{
	mproc_list *l = LIST(mproc_int(1));
	struct call call = { .list = l };
	int r = mproc_list_update(l, 0, fork_inside, &call), status;

	(void)state;
	if (call.child == 0)
		_exit(r == -EPERM ? 0 : 1);
	assert_int_equal(r, 1);
	assert_int_equal(waitpid(call.child, &status, 0), call.child);
	assert_int_equal(status, 0);
	expect_list(l, mproc_int(10));
	mproc_list_destroy(l);
}

/* In the scratch bytes. */
struct board {
	mproc_list *list;
	_Atomic unsigned ready;
};

static int
one_more(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	(void)ctx;
	*value = mproc_int(old->i64 + 1);
	return 1;
}

static int
count(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned n = amount(EACH);
	int64_t i;

	(void)arg;
	b->ready++;
	mpt_until(t, b->ready == ROLES);
	for (unsigned k = 0; k < n; k++) {
		mpt_check_int(t, mproc_list_add(b->list, 0, mproc_int(1), NULL),
			      0);
		mpt_check_int(t, mproc_list_update(b->list, 1, one_more, NULL),
			      1);
		do
			mpt_check_int(t, mproc_list_get_int(b->list, 2, &i), 0);
		while (mproc_list_compare_exchange(b->list, 2, mproc_int(i),
						   mproc_int(i + 1)) == 0);
	}
	return 0;
}

static void
none_is_lost(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	int64_t all = ROLES * (int64_t)amount(EACH);

	b->list = LIST(mproc_int(0), mproc_int(0), mproc_int(0));
	for (int i = 0; i < ROLES; i++)
		mpt_spawn(t, "counter", count, NULL);
	mpt_join_all(t);
	expect_list(b->list, mproc_int(all), mproc_int(all), mproc_int(all));
	mproc_list_destroy(b->list);
}

both(none_is_lost)

static int
setup(void **state)
{
	if (with_arena(state) < 0)
		return -1;
	mproc_list_destroy(new_list());
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_value_is_exchanged_if_it_is_what_is_expected),
		mpt_test(an_update_sets_what_its_function_says),
		mpt_test(a_child_of_an_update_changes_nothing),
		both_tests(none_is_lost),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
