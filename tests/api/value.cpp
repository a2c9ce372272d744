// SPDX-License-Identifier: MIT
/*
 * value.h in C++: the same as in C, and in functions that are templates. Prints
 * TAP.
 */
#include <cstdio>

#include "value.h"

template <typename T>
static T
doubled(T n)
{
	T *p = mproc_value(T, n);
	T *a = mproc_array(T, 2);

	mproc_store(&a[1], mproc_load(p));
	mproc_fetch_add(p, a[1]);
	n = *p;
	mproc_free(p);
	mproc_free(a);
	return n;
}

static int
templates_use_it()
{
	NEED(doubled(21) == 42 && doubled<unsigned char>(200) == 144);
	NEED(doubled(0.5) > 0.9 && doubled(0.5) < 1.1);
	return 0;
}

static int failures;

static void
report(const char *name, int line)
{
	static int n;

	std::printf("%sok %d - %s\n", line ? "not " : "", ++n, name);
	if (line)
		std::printf("# line %d\n", line);
	failures += line != 0;
}

int
main()
{
#define X(check) report(#check, check());
	VALUE_CHECKS
#undef X
	report("templates_use_it", templates_use_it());
	std::printf("1..10\n");
	return failures != 0;
}
