/* SPDX-License-Identifier: MIT */
/*
 * Namespaces, for one and between processes.
 */
#include "dict.h"

static mproc_namespace *
new_namespace(void)
{
	mproc_namespace *ns;

	assert_int_equal(mproc_namespace_create(&ns, NULL), 0);
	return ns;
}

static void
names_have_values(void **state)
{
	mproc_namespace *ns = new_namespace();
	struct mproc_cursor c = { { 0 } };
	struct mproc_any got, name;
	char text[8] = "";
	size_t len = 0;
	int64_t i = 0;
	double f = 0;

	(void)state;
	assert_int_equal(mproc_namespace_set(ns, "i", mproc_int(5)), 0);
	assert_int_equal(mproc_namespace_set(ns, "f", mproc_float(0.5)), 0);
	assert_int_equal(mproc_namespace_set(ns, "s", mproc_str("hello")), 0);
	assert_int_equal(mproc_namespace_get_int(ns, "i", &i), 0);
	assert_int_equal(i, 5);
	assert_int_equal(mproc_namespace_get_float(ns, "f", &f), 0);
	assert_true(f > 0.4 && f < 0.6);
	assert_int_equal(mproc_namespace_get_str(ns, "s", text, 8, &len), 0);
	assert_string_equal(text, "hello");
	assert_int_equal(len, 5);
	assert_int_equal(mproc_namespace_get_int(ns, "s", &i), -EPROTOTYPE);
	assert_int_equal(mproc_namespace_get_str(ns, "s", text, 5, &len),
			 -EMSGSIZE);
	assert_int_equal(mproc_namespace_get(ns, "s", &got), 0);
	assert_string_equal(got.ptr, "hello");
	mproc_any_clear(&got);
	assert_int_equal(mproc_namespace_set(ns, "s", mproc_nil()), 0);
	assert_int_equal(mproc_namespace_get(ns, "s", &got), 0);
	assert_int_equal(got.kind, MPROC_NIL);

	assert_int_equal(mproc_namespace_del(ns, "i"), 0);
	assert_int_equal(mproc_namespace_del(ns, "i"), -ENOENT);
	assert_int_equal(mproc_namespace_get_int(ns, "i", &i), -ENOENT);
	assert_int_equal(mproc_namespace_del(ns, "f"), 0);
	assert_int_equal(mproc_namespace_next(ns, &c, &name, &got), 0);
	assert_true(name.kind == MPROC_STR && strcmp(name.ptr, "s") == 0);
	mproc_any_clear(&name);
	assert_int_equal(mproc_namespace_next(ns, &c, &name, NULL), -ENODATA);
	mproc_namespace_destroy(ns);
	assert_int_equal(mproc_namespace_set(ns, "i", mproc_nil()), -ESTALE);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct {
		struct mproc_namespace_opts opts;
		size_t more;
	} newer = { { .struct_size = sizeof(newer) }, 1 };
	mproc_namespace *ns = new_namespace(), *none;
	struct mproc_any got;
	int64_t i;

	(void)state;
	assert_int_equal(mproc_namespace_create(NULL, NULL), -EINVAL);
	assert_int_equal(mproc_namespace_create(&none, &newer.opts), -E2BIG);
	assert_int_equal(mproc_namespace_set(ns, NULL, mproc_nil()), -EINVAL);
	assert_int_equal(mproc_namespace_get(ns, NULL, &got), -EINVAL);
	assert_int_equal(mproc_namespace_get(ns, "a", NULL), -EINVAL);
	assert_int_equal(mproc_namespace_get_int(ns, NULL, &i), -EINVAL);
	assert_int_equal(mproc_namespace_get_int(ns, "a", NULL), -EINVAL);
	assert_int_equal(mproc_namespace_del(ns, NULL), -EINVAL);
	assert_int_equal(mproc_namespace_next(ns, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(mproc_namespace_set(NULL, "a", mproc_nil()), -EINVAL);
	assert_int_equal(mproc_dict_has((mproc_dict *)ns, mproc_nil()),
			 -EBADMSG);
	/* An empty one is one. */
	assert_int_equal(mproc_namespace_set(ns, "", mproc_int(1)), 0);
	assert_int_equal(mproc_namespace_get_int(ns, "", &i), 0);
	mproc_namespace_destroy(NULL);
	mproc_namespace_destroy(ns);
}

static int
answer(struct mpt *t, void *arg)
{
	mproc_namespace *ns = arg;
	int64_t question = 0;

	mpt_reach(t, 1);
	mpt_check_int(t, mproc_namespace_get_int(ns, "question", &question), 0);
	mpt_check_int(t, mproc_namespace_set(ns, "answer",
					     mproc_int(question + 1)), 0);
	return 0;
}

static void
all_see_the_same(struct mpt *t)
{
	mproc_namespace *ns = new_namespace();
	int64_t i = 0;
	int id;

	id = mpt_spawn(t, "other", answer, ns);
	assert_int_equal(mproc_namespace_set(ns, "question", mproc_int(41)), 0);
	mpt_step(t, 0);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(mproc_namespace_get_int(ns, "answer", &i), 0);
	assert_int_equal(i, 42);
	mproc_namespace_destroy(ns);
}

both(all_see_the_same)

static int
setup(void **state)
{
	mproc_namespace *ns;

	if (with_dict(state) < 0 || mproc_namespace_create(&ns, NULL) < 0)
		return -1;
	mproc_namespace_destroy(ns);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(names_have_values),
		mpt_test(what_makes_no_sense_is_refused),
		both_tests(all_see_the_same),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
