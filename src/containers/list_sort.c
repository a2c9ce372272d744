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

/* @order has room for the order. */
static int
sort_copies(const struct mpr_list_use *u, struct sort *s, uint64_t *order)
{
	int r = copy_values(u, s);

	if (r == 0) {
		merge_all(s);
		r = s->r;
	}
	for (uint64_t i = 0; i < s->n; i++) {
		order[i] = s->items[i].at;
		mproc_any_clear(&s->items[i].any);
	}
	return r;
}

static uint64_t *
new_order(const struct mpr_list_use *u, int *ret_r)
{
	/* The list fits the arena. */
	uint64_t *order = mpr_malloc((size_t)u->len * sizeof(*order));

	*ret_r = order ? 0 : mpr_fail(-ENOMEM, "no memory for an order of %llu "
				      "values", (unsigned long long)u->len);
	return order;
}

static int
sort(struct mpr_list_use *u, mproc_list_compare *compare, void *ctx)
{
	size_t n = (size_t)u->len;
	/* Both halves together. */
	struct item *items = mpr_malloc(2 * n * sizeof(*items));
	struct sort s = {
		.compare = compare,
		.ctx = ctx,
		.items = items,
	};
	uint64_t *order;
	int r;

	if (!items)
		return mpr_fail(-ENOMEM, "no memory to sort %zu values", n);
	s.spare = items + n;
	order = new_order(u, &r);
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

int
mproc_list_sort(mproc_list *list, mproc_list_compare *compare, void *ctx)
{
	struct mpr_list_use u;
	int r = mpr_list_enter(list, &u);

	if (r < 0)
		return r;
	if (u.len > 1)
		r = sort(&u, compare, ctx);
	return mpr_list_leave(&u, r);
}

static int
reverse(struct mpr_list_use *u)
{
	uint64_t *order;
	int r;

	order = new_order(u, &r);
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
		return r;
	if (u.len > 1)
		r = reverse(&u);
	return mpr_list_leave(&u, r);
}
