/* SPDX-License-Identifier: MIT */
/*
 * Lists in another order: values are compared in copies, outside of shared memory,
 * then a new array takes the place of the old one (containers/list_array.c). Until
 * that is there nothing has happened.
 */
#include <errno.h>

#include "base/alloc.h"
#include "base/error.h"
#include "containers/list.h"
#include "containers/list_remote.h"
#include "containers/list_use.h"
#include "containers/order.h"

struct item {
	struct mproc_any any;
	uint64_t at; /* where it is */
};

struct sort {
	mproc_list_compare *compare; /* NULL: Python's order */
	void *ctx;
	struct item *items;
	struct item *spare; /* as many */
	uint64_t n; /* that were copied */
	int r; /* of what went wrong */
};

static bool
is_less(struct sort *s, const struct mproc_any *a, const struct mproc_any *b)
{
	bool less = false;

	if (s->compare)
		return s->compare(a, b, s->ctx) < 0;
	if (s->r == 0)
		s->r = mpr_any_is_less(a, b, &less);
	return less;
}

/* Merges [@from, @middle) and [@middle, @to) into the spare ones. Of equals the
 * first stays first. */
static void
merge(struct sort *s, uint64_t from, uint64_t middle, uint64_t to)
{
	uint64_t left = from, right = middle;

	for (uint64_t i = from; i < to; i++) {
		bool takes_right =
			left == middle ||
			(right < to && is_less(s, &s->items[right].any,
					       &s->items[left].any));

		s->spare[i] = s->items[takes_right ? right++ : left++];
	}
}

static uint64_t
at_most(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void
merge_all(struct sort *s)
{
	struct item *items;

	for (uint64_t len = 1; len < s->n && s->r == 0; len *= 2) {
		for (uint64_t i = 0; i < s->n; i += 2 * len)
			merge(s, i, at_most(i + len, s->n),
			      at_most(i + 2 * len, s->n));
		items = s->items;
		s->items = s->spare;
		s->spare = items;
	}
}

static int
copy_values(const struct mpr_list_use *u, struct sort *s)
{
	int r = 0;

	for (uint64_t i = 0; i < u->len && r == 0; i++) {
		s->items[i].at = i;
		r = mpr_slot_copy(u->arena, mpr_list_owner(u),
				  mpr_slot_get(&u->slots[i]), true,
				  &s->items[i].any);
		s->n += r == 0;
	}
	return r;
}

/* Sorts the items; @order has room for where each of them was. */
static int
find_order(struct sort *s, uint64_t *order)
{
	merge_all(s);
	for (uint64_t i = 0; i < s->n; i++)
		order[i] = s->items[i].at;
	return s->r;
}

static int
sort_copies(const struct mpr_list_use *u, struct sort *s, uint64_t *order)
{
	int r = copy_values(u, s);

	if (r == 0)
		r = find_order(s, order);
	for (uint64_t i = 0; i < s->n; i++)
		mproc_any_clear(&s->items[i].any);
	return r;
}

static uint64_t *
new_order(uint64_t n, int *ret_r)
{
	/* They fit memory already. */
	uint64_t *order = mpr_malloc((size_t)n * sizeof(*order));

	*ret_r = order ? 0 : mpr_fail(-ENOMEM, "no memory for an order of %llu "
				      "values", (unsigned long long)n);
	return order;
}

/* Room for @n items, and where they are sorted into. */
static int
begin(struct sort *s, size_t n)
{
	/* Both halves together. */
	s->items = mpr_malloc(2 * n * sizeof(*s->items));
	if (!s->items)
		return mpr_fail(-ENOMEM, "no memory to sort %zu values", n);
	s->spare = s->items + n;
	return 0;
}

static int
sort(struct mpr_list_use *u, mproc_list_compare *compare, void *ctx)
{
	struct sort s = { .compare = compare, .ctx = ctx };
	struct item *items;
	uint64_t *order;
	int r = begin(&s, (size_t)u->len);

	if (r < 0)
		return r;
	items = s.items;
	order = new_order(u->len, &r);
	if (r == 0)
		r = sort_copies(u, &s, order);
	/* A child that @compare has forked does not have the list. */
	if (r == 0)
		r = mpr_lock_check_held(&u->list->lock);
	if (r == 0)
		r = mpr_list_reorder(u, order);
	free(order);
	free(items);
	return r;
}

/* Values of a list that another process has, in the order that @compare says. */
static int
order_values(const struct mproc_any *values, size_t n, uint64_t *order,
	     mproc_list_compare *compare, void *ctx)
{
	struct sort s = { .compare = compare, .ctx = ctx, .n = n };
	struct item *items;
	int r = begin(&s, n);

	if (r < 0)
		return r;
	items = s.items;
	for (size_t i = 0; i < n; i++)
		items[i] = (struct item){ values[i], i };
	r = find_order(&s, order);
	free(items);
	return r;
}

/* Returns 1; 0 if it is another list by now; a negative error. */
static int
try_to_sort(mproc_list *list, const struct mproc_any *values, size_t n,
	    mproc_list_compare *compare, void *ctx)
{
	uint64_t *order;
	int r;

	order = new_order(n, &r);
	if (r == 0)
		r = order_values(values, n, order, compare, ctx);
	if (r == 0)
		r = mpr_list_remote_reorder(list, values, n, order);
	free(order);
	return r;
}

/* The function is here and the list elsewhere: so it is put in order there if nobody
 * has changed it meanwhile. */
static int
sort_elsewhere(mproc_list *list, mproc_list_compare *compare, void *ctx)
{
	struct mproc_any *values;
	size_t n;
	int r;

	if (!compare)
		return mpr_remote_simple(list, MPR_OP_LIST_SORT);
	do {
		r = mpr_list_remote_all(list, &values, &n);
		if (r < 0)
			return r;
		r = n > 1 ? try_to_sort(list, values, n, compare, ctx) : 1;
		for (size_t i = 0; i < n; i++)
			mproc_any_clear(&values[i]);
		free(values);
	} while (r == 0);
	return r < 0 ? r : 0;
}

int
mproc_list_sort(mproc_list *list, mproc_list_compare *compare, void *ctx)
{
	struct mpr_list_use u;
	int r = mpr_list_enter(list, &u);

	if (r < 0)
		return r == MPR_REMOTE ? sort_elsewhere(list, compare, ctx) : r;
	if (u.len > 1)
		r = sort(&u, compare, ctx);
	return mpr_list_leave(&u, r);
}

static int
reverse(struct mpr_list_use *u)
{
	uint64_t *order;
	int r;

	order = new_order(u->len, &r);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < u->len; i++)
		order[i] = u->len - 1 - i;
	r = mpr_list_reorder(u, order);
	free(order);
	return r;
}

int
mproc_list_reverse(mproc_list *list)
{
	struct mpr_list_use u;
	int r = mpr_list_enter(list, &u);

	if (r < 0)
		return r == MPR_REMOTE ?
			       mpr_remote_simple(list, MPR_OP_LIST_REVERSE) :
			       r;
	if (u.len > 1)
		r = reverse(&u);
	return mpr_list_leave(&u, r);
}

/* Whether the list is these values. Returns 1; 0; -EBADMSG. */
static int
is_same(const struct mpr_list_use *u, const struct mproc_any *values, size_t n)
{
	struct mpr_slot_words words;
	struct mproc_any any;
	int r = 0;

	if (u->len != n)
		return 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		words = mpr_slot_get(&u->slots[i]);
		r = mpr_slot_view(u->arena, mpr_list_owner(u), &words, &any);
		if (r == 0 && !mpr_any_same(&any, &values[i]))
			return 0;
	}
	return r < 0 ? r : 1;
}

int
mpr_list_reorder_same(mproc_list *list, const struct mproc_any *values, size_t n,
		      const uint64_t *order)
{
	struct mpr_list_use u;
	int r = mpr_list_enter(list, &u), done;

	if (r < 0)
		return r;
	r = is_same(&u, values, n);
	if (r != 1 || !n)
		return mpr_list_leave(&u, r);
	done = mpr_list_reorder(&u, order);
	r = mpr_list_leave(&u, done);
	return r < 0 ? r : 1;
}
