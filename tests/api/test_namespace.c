/* SPDX-License-Identifier: MIT */
/*
 * Namespaces, for one and between processes.
 */
#include "namespace_cases.h"

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
		NAMESPACE_CASES,
		mpt_test(what_makes_no_sense_is_refused),
		both_tests(all_see_the_same),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
