/* SPDX-License-Identifier: MIT */
/*
 * list.h: what each call does to a list, and what it refuses.
 */
#include <math.h>
#include <stdio.h>

#include "list_cases.h"
#include "mpt_rand.h"
#include "sync.h"

static const char short_text[] = "12345678"; /* fits a word */

static void
values_of_each_kind_come_back(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_list *l = new_list();
	const struct mproc_any all[] = {
		mproc_nil(), mproc_int(INT64_MIN), mproc_int(5),
		mproc_float(-0.0), mproc_float(HUGE_VAL), mproc_bool(true),
		mproc_bool(false), mproc_str(""), mproc_str("a"),
		mproc_str(short_text), mproc_str("123456789"),
		mproc_str(long_text), mproc_bytes(NULL, 0),
		mproc_bytes("\0\1\2", 3), mproc_bytes(long_text, 17),
		mproc_ref(l),
	};
	enum { N = sizeof(all) / sizeof(all[0]) };

	(void)state;
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(mproc_list_append(l, all[i]), 0);
		assert_true(is_list(l, all, i + 1));
	}
	mproc_list_destroy(l);
	expect_stat(&before);
}

static void
a_text_that_comes_out_is_ended_and_the_callers(void **state)
{
	mproc_list *l = new_list();
	struct mproc_any one, other;
	char text[100];

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		struct mproc_any any = mproc_bytes(text, len);

		any.kind = MPROC_STR;
		memset(text, 'x', sizeof(text));
		assert_int_equal(mproc_list_append(l, any), 0);
		memset(text, 'y', sizeof(text));
		assert_int_equal(mproc_list_get(l, -1, &one), 0);
		assert_int_equal(mproc_list_get(l, -1, &other), 0);
		assert_int_equal(one.len, len);
		assert_int_equal(strspn(one.ptr, "x"), len);
		assert_int_equal(((const char *)one.ptr)[len], 0);
		assert_ptr_not_equal(one.ptr, other.ptr);
		assert_false(mproc_is_shared(one.ptr));
		mproc_any_clear(&one);
		mproc_any_clear(&other);
	}
	mproc_list_destroy(l);
}

/* Arrays of slabs, then runs of extents. */
static void
it_grows(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_list *l = new_list();
	int64_t n = amount(20000);
	char text[32];

	(void)state;
	for (int64_t i = 0; i < n; i++) {
		struct mproc_any any = mproc_int(i);

		if (i % 7 == 0) {
			snprintf(text, sizeof(text), "number %lld",
				 (long long)i);
			any = mproc_str(text);
		}
		assert_int_equal(mproc_list_append(l, any), 0);
	}
	assert_int_equal(mproc_list_len(l), n);
	for (int64_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "number %lld", (long long)i);
		assert_true(has_at(l, i, i % 7 ? mproc_int(i) :
						 mproc_str(text)));
	}
	mproc_list_destroy(l);
	expect_stat(&before);
}

/* What a list should be: numbers, for each of which there is a value. */
struct model {
	uint64_t at[2000];
	size_t n;
};

static struct mproc_any
value_of(uint64_t number, char text[64])
{
	switch (number % 4) {
	case 0:
		return mproc_int((int64_t)number);
	case 1:
		return mproc_float((double)number);
	case 2:
		snprintf(text, 64, "%.8llx", (unsigned long long)number);
		break;
	default:
		snprintf(text, 64, "the text for the number %llu",
			 (unsigned long long)number);
	}
	return mproc_str(text);
}

static void
model_insert(struct model *m, size_t at, uint64_t number)
{
	memmove(&m->at[at + 1], &m->at[at], (m->n - at) * sizeof(m->at[0]));
	m->at[at] = number;
	m->n++;
}

static void
model_remove(struct model *m, size_t at)
{
	m->n--;
	memmove(&m->at[at], &m->at[at + 1], (m->n - at) * sizeof(m->at[0]));
}

static void
expect_model(mproc_list *l, const struct model *m)
{
	char text[64];

	assert_int_equal(mproc_list_len(l), m->n);
	for (size_t i = 0; i < m->n; i++)
		assert_true(has_at(l, (int64_t)i, value_of(m->at[i], text)));
}

static void
change_both(mproc_list *l, struct model *m, struct mpt_rand *rand)
{
	size_t at = (size_t)mpt_rand_below(rand, m->n + 1);
	uint64_t number = mpt_rand_below(rand, 1000), what;
	struct mproc_any two[2], any;
	char text[2][64];

	two[0] = value_of(number, text[0]);
	two[1] = value_of(number + 3, text[1]);
	what = mpt_rand_below(rand, 6);
	if (what == 0) {
		assert_int_equal(mproc_list_append(l, two[0]), 0);
		model_insert(m, m->n, number);
	} else if (what == 1) {
		assert_int_equal(mproc_list_extend(l, two, 2), 0);
		model_insert(m, m->n, number);
		model_insert(m, m->n, number + 3);
	} else if (what == 2) {
		assert_int_equal(mproc_list_insert(l, (int64_t)at, two[0]), 0);
		model_insert(m, at, number);
	} else if (at == m->n) {
		assert_int_equal(mproc_list_set(l, (int64_t)at, two[0]),
				 -ERANGE);
	} else if (what == 3) {
		assert_int_equal(mproc_list_set(l, (int64_t)at, two[0]), 0);
		m->at[at] = number;
	} else {
		assert_int_equal(mproc_list_pop(l, (int64_t)at, &any), 0);
		two[0] = value_of(m->at[at], text[0]);
		assert_true(is_same(&any, &two[0]));
		mproc_any_clear(&any);
		model_remove(m, at);
	}
}

static void
a_list_is_what_an_array_is(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct model *m = calloc(1, sizeof(*m));
	mproc_list *l = new_list();
	struct mpt_rand rand;

	(void)state;
	assert_non_null(m);
	mpt_rand_init(&rand, mpt_seed());
	for (unsigned i = 0; i < amount(3000); i++) {
		change_both(l, m, &rand);
		if (i % 10 == 0)
			expect_model(l, m);
		if (m->n > 1000) {
			assert_int_equal(mproc_list_clear(l), 0);
			m->n = 0;
		}
	}
	expect_model(l, m);
	mproc_list_destroy(l);
	free(m);
	expect_stat(&before);
}

static void
memory_goes_back_when_it_shrinks(void **state)
{
	struct mproc_arena_stat few, many, again;
	mproc_list *l = new_list();

	(void)state;
	assert_int_equal(mproc_list_append(l, mproc_int(0)), 0);
	few = stat_now();
	for (int i = 1; i < 2000; i++)
		assert_int_equal(mproc_list_append(l, mproc_str(long_text)), 0);
	many = stat_now();
	assert_true(many.used > few.used + 2000 * 64);
	while (mproc_list_len(l) > 1)
		assert_int_equal(mproc_list_pop(l, -1, NULL), 0);
	again = stat_now();
	assert_int_equal(again.blocks, few.blocks);
	/* An array that is four times as large as it has to be, at most. */
	assert_true(again.used <= few.used + 1024);
	assert_true(has_at(l, 0, mproc_int(0)));
	mproc_list_destroy(l);
}

static void
lists_lie_in_lists(void **state)
{
	mproc_list *outer = new_list(), *inner = new_list();
	struct mproc_any any;

	(void)state;
	assert_int_equal(mproc_list_append(outer, mproc_ref(inner)), 0);
	assert_int_equal(mproc_list_get(outer, 0, &any), 0);
	assert_int_equal(any.kind, MPROC_REF);
	assert_ptr_equal(any.ptr, inner);
	mproc_list_destroy(outer);
	/* It was not the outer one's. */
	assert_int_equal(mproc_list_append(inner, mproc_int(1)), 0);
	mproc_list_destroy(inner);
}

static void
bad_arguments_are_refused(void **state)
{
	struct mproc_any any = mproc_nil(), odd = mproc_int(1);
	struct {
		struct mproc_list_opts opts;
		size_t more;
	} newer = { { .struct_size = sizeof(newer) }, 1 };
	mproc_list *l = new_list(), *none;
	uint64_t private[16] = { 0 };
	void *block = mproc_alloc(256);

	(void)state;
	assert_int_equal(mproc_list_create(NULL, NULL), -EINVAL);
	assert_int_equal(mproc_list_create(&none, &newer.opts), -E2BIG);

	assert_int_equal(mproc_list_append(NULL, any), -EINVAL);
	assert_int_equal(mproc_list_get(NULL, 0, &any), -EINVAL);
	assert_int_equal(mproc_list_get(l, 0, NULL), -EINVAL);
	assert_int_equal(mproc_list_len(NULL), 0);

	/* What is no list. */
	assert_int_equal(mproc_list_append((mproc_list *)private, any), -EFAULT);
	assert_int_equal(mproc_list_append((mproc_list *)block, any), -EINVAL);
	assert_int_equal(mproc_list_append((mproc_list *)((char *)l + 8), any),
			 -EINVAL);
	assert_int_equal(mproc_list_len((mproc_list *)block), 0);
	mproc_list_destroy((mproc_list *)block);
	mproc_list_destroy((mproc_list *)private);
	mproc_list_destroy(NULL);

	/* What is no value. */
	memset(&odd.kind, 0x7f, sizeof(odd.kind));
	assert_int_equal(mproc_list_append(l, odd), -EINVAL);
	assert_int_equal(mproc_list_append(l, mproc_str(NULL)), -EINVAL);
	assert_int_equal(mproc_list_append(l, mproc_ref(&any)), -EFAULT);
	assert_int_equal(mproc_list_append(l, mproc_bytes(block, SIZE_MAX / 4)),
			 -ENOMEM);
	assert_int_equal(mproc_list_len(l), 0);
	mproc_free(block);
	mproc_list_destroy(l);
}

static void *
make_and_use(unsigned i)
{
	mproc_list *l = new_list();

	assert_int_equal(mproc_list_len(l), 0);
	assert_int_equal(mproc_list_append(l, mproc_int(i)), 0);
	assert_int_equal(mproc_list_append(l, mproc_str(long_text)), 0);
	return l;
}

static void
destroy(void *list)
{
	mproc_list_destroy(list);
}

/* A block that belongs to each cell stays with it, and cells are not taken in the
 * same order each time. */
static void
lists_come_and_go_without_growth(void **state)
{
	(void)state;
	come_and_go_without_growth(make_and_use, destroy, 10, 4);
}

static int
setup(void **state)
{
	mproc_list *a = new_list(), *b = new_list();

	(void)state;
	/* The cells stay, and what is linked there. */
	mproc_list_destroy(a);
	mproc_list_destroy(b);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LIST_CASES,
		mpt_test(values_of_each_kind_come_back),
		mpt_test(a_text_that_comes_out_is_ended_and_the_callers),
		mpt_test(it_grows),
		mpt_test(a_list_is_what_an_array_is),
		mpt_test(memory_goes_back_when_it_shrinks),
		mpt_test(lists_lie_in_lists),
		mpt_test(bad_arguments_are_refused),
		mpt_test(lists_come_and_go_without_growth),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
