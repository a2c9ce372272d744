/* SPDX-License-Identifier: MIT */
/*
 * Four processes share a dict as a cache: what one has computed, the others need
 * not compute again. If one of them is killed, in the middle of a change of the
 * dict or anywhere else, the others go on.
 */
#include <mproc/mproc.h>
#include <stdio.h>

#define WORKERS 4
#define NUMBERS 1000

static mproc_dict *cache;

/* How many steps does a number take to come to 1? (Collatz) */
static int64_t
compute(int64_t n)
{
	int64_t steps = 0;

	for (; n != 1; steps++)
		n = n % 2 ? 3 * n + 1 : n / 2;
	return steps;
}

static int64_t
look_up(int64_t n)
{
	int64_t steps;

	if (mproc_dict_get_int(cache, mproc_int(n), &steps) == 0) {
		mproc_dict_add(cache, mproc_str("found"), mproc_int(1), NULL);
		return steps;
	}
	steps = compute(n);
	mproc_dict_set(cache, mproc_int(n), mproc_int(steps));
	mproc_dict_add(cache, mproc_str("computed"), mproc_int(1), NULL);
	return steps;
}

/* Each begins somewhere else. */
static int
work(int index, void *arg)
{
	(void)arg;
	for (int i = 0; i < NUMBERS; i++) {
		int64_t n = 1 + (i + index * NUMBERS / WORKERS) % NUMBERS;

		if (look_up(n) != compute(n))
			return 1;
	}
	return 0;
}

int
main(void)
{
	int64_t found = 0, computed = 0, steps = 0;
	mproc_group *group;
	int r;

	r = mproc_dict_create(&cache, NULL);
	if (r == 0)
		r = mproc_group_start(&group, work, NULL, WORKERS, NULL);
	if (r < 0) {
		fprintf(stderr, "%s\n", mproc_strerror(r));
		return 1;
	}
	r = mproc_group_join(group, MPROC_FOREVER);
	mproc_group_close(group);

	if (mproc_dict_get_int(cache, mproc_str("found"), &found) < 0 ||
	    mproc_dict_get_int(cache, mproc_str("computed"), &computed) < 0 ||
	    mproc_dict_get_int(cache, mproc_int(27), &steps) < 0)
		return 1;
	printf("%s\n", r == 0 ? "all answers are right" : "something failed");
	printf("%lld look-ups\n", (long long)(found + computed));
	/* Two may have computed the same at the same time. */
	printf("most were found: %s\n",
	       found > 2 * computed ? "yes" : "no");
	printf("%zu numbers in the cache, 27 takes %lld steps\n",
	       mproc_dict_len(cache) - 2, (long long)steps);
	mproc_dict_destroy(cache);
	return 0;
}
