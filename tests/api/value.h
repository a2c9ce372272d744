/* SPDX-License-Identifier: MIT */
/*
 * Shared values, arrays and atomic access, in what C and C++ have in common.
 * test_value.c and value.cpp run the same.
 */
#ifndef API_VALUE_H
#define API_VALUE_H

#include <errno.h>
#include <limits.h>

#include <mproc/mproc.h>

/* A check returns 0, or the line of what is wrong. */
#define NEED(cond)                                                            \
	do {                                                                  \
		if (!(cond))                                                  \
			return __LINE__;                                      \
	} while (0)

struct point {
	int x, y;
	double weight;
};

enum colour { RED, GREEN };

static inline int
values_have_their_types(void)
{
	struct point *p = mproc_value(struct point, 1, 2, 0.5);
	unsigned long long *u = mproc_value(unsigned long long, ULLONG_MAX);
	const char **text = mproc_value(const char *, "text");
	double *d = mproc_value(double, 2.5);
	char *c = mproc_value(char, 'c');

	NEED(p && u && text && d && c);
	NEED(p->x == 1 && p->y == 2 && p->weight > 0.4 && p->weight < 0.6);
	NEED(*u == ULLONG_MAX && **text == 't' && *c == 'c');
	NEED(*d > 2.4 && *d < 2.6);
	NEED(mproc_array_len(p) == 1 && mproc_array_len(c) == 1);
	mproc_free(p);
	mproc_free(u);
	mproc_free(text);
	mproc_free(d);
	mproc_free(c);
	return 0;
}

static inline int
arrays_are_zero(void)
{
	int n = 1000;
	struct point *p = mproc_array(struct point, n);
	short *s = mproc_array(short, 3);

	NEED(p && s);
	for (int i = 0; i < n; i++)
		NEED(p[i].x == 0 && p[i].y == 0 && !(p[i].weight > 0));
	NEED(s[0] == 0 && s[1] == 0 && s[2] == 0);
	NEED(mproc_array_len(p) == 1000 && mproc_array_len(s) == 3);
	mproc_free(p);
	mproc_free(s);
	n = -1;
	p = mproc_array(struct point, n);
	NEED(!p && errno == ENOMEM);
	n = 0;
	p = mproc_array(struct point, n);
	NEED(!p && errno == EINVAL);
	return 0;
}

static inline int
integers_are_atomic(void)
{
	long long *ll = mproc_value(long long, -5);
	unsigned char *c = mproc_value(unsigned char, 255);
	short *s = mproc_value(short, 1);
	int *i = mproc_value(int, INT_MAX);
	const int *to_read = i;
	int seen = 1;

	NEED(ll && c && s && i);
	NEED(mproc_fetch_add(ll, -2) == -5 && mproc_load(ll) == -7);
	NEED(mproc_fetch_add(c, 2) == 255 && mproc_load(c) == 1);
	NEED(mproc_fetch_add(s, 1) == 1 && mproc_load(s) == 2);
	NEED(mproc_fetch_add(i, 1) == INT_MAX && mproc_load(to_read) == INT_MIN);
	mproc_store(i, 3);
	NEED(mproc_exchange(i, 4) == 3 && *i == 4);
	NEED(!mproc_compare_exchange(i, &seen, 7) && seen == 4 && *i == 4);
	NEED(mproc_compare_exchange(i, &seen, 7) && seen == 4 && *i == 7);
	mproc_free(ll);
	mproc_free(c);
	mproc_free(s);
	mproc_free(i);
	return 0;
}

static inline int
reals_are_atomic(void)
{
	double *d = mproc_value(double, 0.5);
	float *f = mproc_value(float, 0.25F);
	const double *to_read = d;
	float seen = 3;
	int n = 2;

	NEED(d && f);
	NEED(mproc_fetch_add(d, 1.5) < 0.6 && mproc_load(to_read) > 1.9);
	NEED(mproc_fetch_add(d, n) < 2.1 && *d > 3.9);
	mproc_store(d, mproc_load(d) * mproc_load(d));
	NEED(*d > 15.9 && *d < 16.1);
	NEED(mproc_exchange(d, -1) > 15.9 && *d < -0.9);
	NEED(mproc_fetch_add(f, 0.25F) < 0.3F && mproc_load(f) > 0.4F);
	NEED(!mproc_compare_exchange(f, &seen, 9) && seen < 0.6F && *f < 0.6F);
	NEED(mproc_compare_exchange(f, &seen, 9) && *f > 8.9F);
	mproc_store(f, 2);
	NEED(mproc_exchange(f, 3) < 2.1F && *f > 2.9F);
	mproc_free(d);
	mproc_free(f);
	return 0;
}

static inline int
other_scalars_are_atomic(void)
{
	enum colour *colour = mproc_value(enum colour, RED);
	int **p = mproc_array(int *, 2);
	bool *b = mproc_value(bool, true);
	int *seen = NULL, *first = mproc_value(int, 0);

	NEED(colour && p && b && first);
	mproc_store(colour, GREEN);
	NEED(mproc_load(colour) == GREEN);
	NEED(mproc_exchange(b, false) && !mproc_load(b));
	mproc_store(&p[0], first);
	NEED(mproc_load(&p[0]) == first && mproc_load(&p[1]) == NULL);
	NEED(mproc_compare_exchange(&p[1], &seen, first) && p[1] == first);
	NEED(mproc_exchange(&p[1], seen) == first && !p[1]);
	mproc_free(colour);
	mproc_free(p);
	mproc_free(b);
	mproc_free(first);
	return 0;
}

static inline int
what_is_volatile_is_atomic_too(void)
{
	int *made = mproc_value(int, 5), seen = 6;
	double *real = mproc_value(double, 0.5);
	volatile int *i = made;
	const volatile int *to_read = made;
	volatile double *d = real;

	NEED(made && real);
	NEED(mproc_load(i) == 5 && mproc_exchange(i, 6) == 5);
	NEED(mproc_compare_exchange(i, &seen, 7) && mproc_load(to_read) == 7);
	NEED(mproc_fetch_add(i, 2) == 7);
	mproc_store(i, mproc_load(i) + 1);
	NEED(*made == 10);
	NEED(mproc_fetch_add(d, 1) < 0.6 && mproc_load(d) > 1.4);
	mproc_free(made);
	mproc_free(real);
	return 0;
}

/* Without a type, as other languages call them. */
static inline int
functions_do_what_macros_do(void)
{
	long long *ll = mproc_value(long long, -5), wide = 0;
	unsigned char *c = mproc_value(unsigned char, 255), narrow = 7;
	short *s = mproc_value(short, -1), brief = 0;
	unsigned *u = mproc_value(unsigned, 1u << 31), seen = 3;
	double *d = mproc_value(double, 0.5), real = 0;
	float *f = mproc_value(float, 0.25F), small = 0;

	NEED(ll && c && s && u && d && f);
	NEED(mproc_atomic_load(ll, sizeof(*ll), &wide) == 0 && wide == -5);
	NEED(mproc_atomic_add(ll, sizeof(*ll), INT64_MAX, &wide) == 0);
	NEED(wide == -5 && mproc_load(ll) == INT64_MAX - 5);
	NEED(mproc_atomic_add(c, 1, 2, &narrow) == 0 && narrow == 255);
	NEED(mproc_load(c) == 1);
	NEED(mproc_atomic_store(c, 1, &narrow) == 0 && *c == 255);
	NEED(mproc_atomic_add(s, sizeof(*s), -2, &brief) == 0);
	NEED(brief == -1 && *s == -3);
	NEED(mproc_atomic_exchange(s, 2, &brief, &brief) == 0);
	NEED(brief == -3 && *s == -1);
	NEED(mproc_atomic_add(u, sizeof(*u), -1, NULL) == 0);
	NEED(*u == (1u << 31) - 1);
	NEED(mproc_atomic_compare_exchange(u, 4, &seen, &seen) == 0);
	NEED(seen == (1u << 31) - 1 && *u == seen);
	seen = 7;
	NEED(mproc_atomic_exchange(u, 4, &seen, NULL) == 0 && *u == 7);
	brief = 0;
	NEED(mproc_atomic_compare_exchange(s, 2, &brief, &brief) == 0);
	NEED(brief == -1);
	brief = 9;
	NEED(mproc_exchange(s, 9) == -1);
	NEED(mproc_atomic_compare_exchange(s, 2, &brief, &brief) == 1);
	NEED(mproc_atomic_add_float(d, sizeof(*d), 1.5, &real) == 0);
	NEED(real < 0.6 && *d > 1.9 && *d < 2.1);
	NEED(mproc_atomic_add_float(f, sizeof(*f), 0.5, &small) == 0);
	NEED(small < 0.3F && *f > 0.7F && *f < 0.8F);
	NEED(mproc_atomic_add_float(f, sizeof(*f), -0.75, NULL) == 0);
	NEED(*f < 0.1F && *f > -0.1F);
	mproc_free(ll);
	mproc_free(c);
	mproc_free(s);
	mproc_free(u);
	mproc_free(d);
	mproc_free(f);
	return 0;
}

static inline int
functions_refuse_what_would_not_compile(void)
{
	long long n[2] = { 1, 2 }, to = 3;
	char *odd = (char *)n + 1;

	NEED(mproc_atomic_load(NULL, 8, &to) == -EINVAL);
	NEED(mproc_atomic_load(n, 8, NULL) == -EINVAL);
	NEED(mproc_atomic_load(n, 3, &to) == -EINVAL);
	NEED(mproc_atomic_load(n, 0, &to) == -EINVAL);
	NEED(mproc_atomic_load(n, 16, &to) == -EINVAL);
	NEED(mproc_atomic_load(odd, 2, &to) == -EINVAL && to == 3);
	NEED(mproc_atomic_store(odd, 4, &to) == -EINVAL);
	NEED(mproc_atomic_store(n, 8, NULL) == -EINVAL);
	NEED(mproc_atomic_exchange(odd, 8, &to, NULL) == -EINVAL);
	NEED(mproc_atomic_compare_exchange(n, 8, NULL, &to) == -EINVAL);
	NEED(mproc_atomic_compare_exchange(n, 8, &to, NULL) == -EINVAL);
	NEED(mproc_atomic_compare_exchange(odd, 2, &to, &to) == -EINVAL);
	NEED(mproc_atomic_add(odd, 4, 1, NULL) == -EINVAL);
	NEED(mproc_atomic_add(NULL, 4, 1, NULL) == -EINVAL);
	NEED(mproc_atomic_add_float(n, 2, 1, NULL) == -EINVAL);
	NEED(mproc_atomic_add_float(odd, 4, 1, NULL) == -EINVAL);
	NEED(n[0] == 1 && n[1] == 2 && to == 3);
	return 0;
}

static inline int
each_has_its_lock(void)
{
	int *a = mproc_array(int, 10), *v = mproc_value(int, 1), n = 0;
	mproc_lock *lock = mproc_lock_of(v);

	NEED(a && v && lock && mproc_lock_of(v) == lock);
	NEED(mproc_lock_of(a) && mproc_lock_of(a) != lock);
	mproc_with_lock(lock) {
		NEED(mproc_lock_acquire(lock, MPROC_NOWAIT) == -EDEADLK);
		mproc_with_lock(mproc_lock_of(a))
			n = a[9] = ++*v;
	}
	NEED(n == 2 && *v == 2 && a[9] == 2);
	mproc_free(v);
	mproc_free(a);
	/* No lock, and nothing is run. */
	mproc_with_lock(mproc_lock_of(v))
		n++;
	NEED(n == 2);
	return 0;
}

#define VALUE_CHECKS                                                          \
	X(values_have_their_types)                                            \
	X(arrays_are_zero)                                                    \
	X(integers_are_atomic)                                                \
	X(reals_are_atomic)                                                   \
	X(other_scalars_are_atomic)                                           \
	X(what_is_volatile_is_atomic_too)                                     \
	X(functions_do_what_macros_do)                                        \
	X(functions_refuse_what_would_not_compile)                            \
	X(each_has_its_lock)

#endif
