/* SPDX-License-Identifier: MIT */
/*
 * Sets and namespaces of a manager, over a connection: what those of the family do, too.
 */
#include <math.h>

#include "manager.h"
#include "namespace_cases.h"
#include "set_cases.h"

static mproc_manager *server, *client;
static bool mixed; /* every other set is in the family */

static mproc_set *
make_remote_set(void)
{
	static unsigned n;
	char name[32];
	mproc_set *s;

	snprintf(name, sizeof(name), "set %u", n++);
	if (mixed && n % 2)
		assert_int_equal(mproc_set_create(&s, NULL), 0);
	else
		assert_int_equal(mproc_manager_set(client, name, &s), 0);
	return s;
}

static mproc_namespace *
make_remote_namespace(void)
{
	static unsigned n;
	char name[32];
	mproc_namespace *ns;

	snprintf(name, sizeof(name), "namespace %u", n++);
	assert_int_equal(mproc_manager_namespace(client, name, &ns), 0);
	return ns;
}

/* From one to the other, the long way. */
static void
sets_that_are_apart(void **state)
{
	(void)state;
	mixed = true;
	for (unsigned a = 0; a <= ALL; a += 5)
		for (unsigned b = 0; b <= ALL; b += 3) {
			mproc_set *s = set_of(a), *other = set_of(b);

			assert_int_equal(mproc_set_is_subset(s, other),
					 (a & ~b) == 0);
			assert_int_equal(mproc_set_is_equal(s, other), a == b);
			assert_int_equal(mproc_set_is_disjoint(other, s),
					 (a & b) == 0);
			mproc_set_destroy(s);
			mproc_set_destroy(other);
			expect_changes(a, b);
			expect_changes(b, a);
			mproc_set_destroy(new_set());
			expect_changes(a, b);
			mproc_set_destroy(new_set());
		}
	mixed = false;
}

static void
all_elements_are_met(void **state)
{
	struct mproc_cursor c = { { 0 } };
	mproc_set *s = new_set();
	bool seen[100] = { false };
	struct mproc_any got;
	int n = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(mproc_set_add(s, mproc_int(i)), 1);
	for (; mproc_set_next(s, &c, &got) == 0; n++) {
		assert_true(got.kind == MPROC_INT && !seen[got.i64]);
		seen[got.i64] = true;
	}
	assert_int_equal(n, 100);
	assert_int_equal(mproc_set_clear(s), 0);
	assert_int_equal(mproc_set_len(s), 0);
	mproc_set_destroy(s);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	mproc_namespace *ns = new_namespace();
	mproc_set *s = new_set(), *gone = new_set(), *mine;
	mproc_dict *d;
	int64_t i;

	(void)state;
	assert_int_equal(mproc_set_create(&mine, NULL), 0);
	assert_int_equal(mproc_set_add(s, mproc_float(NAN)), -EINVAL);
	assert_int_equal(mproc_set_add(s, mproc_ref(mine)), -EFAULT);
	assert_int_equal(mproc_namespace_set(ns, NULL, mproc_nil()), -EINVAL);
	assert_int_equal(mproc_namespace_del(ns, NULL), -EINVAL);
	assert_int_equal(mproc_namespace_set(ns, "", mproc_int(1)), 0);
	assert_int_equal(mproc_namespace_get_int(ns, "", &i), 0);
	/* One is not the other. */
	assert_int_equal(mproc_set_add((mproc_set *)ns, mproc_nil()), -EBADMSG);
	assert_int_equal(mproc_dict_has((mproc_dict *)s, mproc_nil()), -EBADMSG);
	assert_int_equal(mproc_set_update(s, (mproc_set *)ns), -EBADMSG);
	assert_int_equal(mproc_set_update((mproc_set *)ns, s), -EBADMSG);
	assert_int_equal(mproc_manager_dict(client, "set 0", &d), 0);
	mproc_dict_destroy(d);
	mproc_set_destroy(gone);
	assert_int_equal(mproc_set_update(gone, s), -ESTALE);
	assert_int_equal(mproc_set_update(s, gone), -ESTALE);
	assert_int_equal(mproc_set_update(gone, mine), -ESTALE);
	assert_int_equal(mproc_set_update(mine, gone), -ESTALE);
	assert_int_equal(mproc_set_is_equal(gone, gone), -ESTALE);
	mproc_set_destroy(mine);
	mproc_set_destroy(s);
	mproc_namespace_destroy(ns);
}

static int
start_both(void **state)
{
	mproc_set *s;
	mproc_namespace *ns;

	if (with_dict(state) < 0 || mproc_set_create(&s, NULL) < 0 ||
	    mproc_namespace_create(&ns, NULL) < 0)
		return -1;
	mproc_set_destroy(s);
	mproc_namespace_destroy(ns);
	server = start(NULL);
	client = connect_to(server);
	make_set = make_remote_set;
	make_namespace = make_remote_namespace;
	/* What stays once there have been some: names, and the tables of cells. */
	s = new_set();
	mproc_set_destroy(new_set());
	mproc_set_destroy(s);
	return 0;
}

static int
end_both(void **state)
{
	(void)state;
	mproc_manager_close(client);
	mproc_manager_close(server);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SET_CASES,
		SET_WITH_CASES,
		NAMESPACE_CASES,
		mpt_test(sets_that_are_apart),
		mpt_test(all_elements_are_met),
		mpt_test(what_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, start_both, end_both);
}
