/* SPDX-License-Identifier: MIT */
/*
 * What a namespace does wherever it is: in the family, where test_namespace.c runs this,
 * and with a manager, test_manager_set.c.
 */
#ifndef API_NAMESPACE_CASES_H
#define API_NAMESPACE_CASES_H

#include "dict.h"

/* Of tests of namespaces that are somewhere else. */
static mproc_namespace *(*make_namespace)(void);

static inline mproc_namespace *
new_namespace(void)
{
	mproc_namespace *ns;

	if (make_namespace)
		return make_namespace();
	assert_int_equal(mproc_namespace_create(&ns, NULL), 0);
	return ns;
}

static inline void
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

#define NAMESPACE_CASES mpt_test(names_have_values)

#endif
