/* SPDX-License-Identifier: MIT */
/*
 * The accesses: each has its turn in the schedule, goes through the mutant if
 * there is one, and then does to the memory what it says.
 */
#include <string.h>

#include "explorer_priv.h"

/* A copy out that has not happened yet. */
struct copy {
	unsigned char *to;
	size_t len; /* 0: none */
	unsigned at;
	bool delayed; /* by a mutant: releases do not force it */
};

/* A store that a mutant has put off. */
struct store {
	bool is_due;
	unsigned at;
	uint64_t value;
	memory_order order;
};

static struct copy copies[EXPLORE_FIBERS + 1];
static struct store stores[EXPLORE_FIBERS + 1];
static struct explore_access before[EXPLORE_FIBERS + 1];
static explore_mutant *mutate;

void
explore_access_begin(void)
{
	memset(copies, 0, sizeof(copies));
	memset(stores, 0, sizeof(stores));
	memset(before, 0, sizeof(before));
}

void
explore_mutate(explore_mutant *mutant)
{
	mutate = mutant;
}

/* Begins an access. */
static struct explore_access
begin(enum explore_kind kind, const struct explore_region *r, uint64_t value,
      memory_order order)
{
	struct explore_access a = {
		.kind = kind,
		.id = r ? r->id : 0,
		.value = value,
		.order = order,
	};

	explore_step();
	a.fiber = explore_current();
	if (!mutate || a.fiber == EXPLORE_OUTSIDE)
		return a;
	a.kind_before = before[a.fiber].kind;
	a.id_before = before[a.fiber].id;
	a.value_before = before[a.fiber].value;
	before[a.fiber] = a;
	mutate(&a);
	return a;
}

static const char *
name_of(memory_order order)
{
	switch (order) {
	case memory_order_relaxed:
		return "relaxed";
	case memory_order_acquire:
		return "acquire";
	case memory_order_release:
		return "release";
	case memory_order_acq_rel:
		return "acq_rel";
	default:
		return "seq_cst";
	}
}

static void
note(const char *what, const struct explore_region *r, unsigned at,
     uint64_t value, memory_order order)
{
	explore_note("%s %s[%u] %s: %#llx", what, r->name, at - r->first,
		     name_of(order), (unsigned long long)value);
}

static void
perform_copy(unsigned fiber)
{
	struct copy *c = &copies[fiber];
	unsigned at = c->at;

	for (size_t i = 0; i < c->len; i += 8) {
		uint64_t word = explore_memory_read(fiber, at++,
						    memory_order_relaxed);

		explore_note("%u copied late: %#llx", fiber,
			     (unsigned long long)word);
		memcpy(c->to + i, &word, c->len - i < 8 ? c->len - i : 8);
	}
	c->len = 0;
}

/* What comes before a release may not happen after it. */
static void
settle(unsigned fiber, memory_order order)
{
	if (explore_releases(order) && !copies[fiber].delayed)
		perform_copy(fiber);
}

uint64_t
explore_load(const volatile void *object, memory_order order)
{
	const struct explore_region *r;
	unsigned at = explore_memory_find(object, &r);
	struct explore_access a = begin(EXPLORE_LOAD, r, 0, order);
	uint64_t value;

	if (a.fault == EXPLORE_CACHED)
		value = explore_memory_read_again(a.fiber, at);
	else if (a.fault == EXPLORE_ANSWERED)
		value = a.value;
	else
		value = explore_memory_read(a.fiber, at, a.order);
	before[a.fiber].value = value;
	note("loads", r, at, value, a.order);
	return value;
}

void
explore_store(volatile void *object, uint64_t value, memory_order order)
{
	const struct explore_region *r;
	unsigned at = explore_memory_find(object, &r);
	struct explore_access a = begin(EXPLORE_STORE, r, value, order);

	if (a.fault == EXPLORE_DROPPED)
		return;
	settle(a.fiber, a.order);
	if (a.fault == EXPLORE_LATE) {
		stores[a.fiber] = (struct store){ true, at, a.value, a.order };
		return;
	}
	explore_memory_write(a.fiber, at, a.value, a.order, false);
	note("stores", r, at, a.value, a.order);
}

void
explore_access_settle(void)
{
	unsigned fiber = explore_current();
	struct store *s = &stores[fiber];

	if (!s->is_due)
		return;
	s->is_due = false;
	explore_memory_write(fiber, s->at, s->value, s->order, false);
	explore_note("stored late: %#llx", (unsigned long long)s->value);
}

/* The second half of a read-modify-write; a mutant may cut it off, or put it
 * off. */
static void
modify(const struct explore_access *a, unsigned at)
{
	if (a->fault == EXPLORE_LATE) {
		stores[a->fiber] =
			(struct store){ true, at, a->value, a->order };
		return;
	}
	if (a->fault == EXPLORE_SPLIT)
		explore_step();
	explore_memory_write(a->fiber, at, a->value, a->order,
			     a->fault != EXPLORE_SPLIT);
}

uint64_t
explore_exchange(volatile void *object, uint64_t value, memory_order order)
{
	const struct explore_region *r;
	unsigned at = explore_memory_find(object, &r);
	struct explore_access a = begin(EXPLORE_EXCHANGE, r, value, order);
	uint64_t old;

	settle(a.fiber, a.order);
	old = explore_memory_read_newest(a.fiber, at, a.order);
	modify(&a, at);
	note("exchanges", r, at, old, a.order);
	return old;
}

uint64_t
explore_add(volatile void *object, uint64_t value, memory_order order)
{
	const struct explore_region *r;
	unsigned at = explore_memory_find(object, &r);
	struct explore_access a = begin(EXPLORE_ADD, r, value, order);
	uint64_t old;

	settle(a.fiber, a.order);
	old = explore_memory_read_newest(a.fiber, at, a.order);
	if (a.fault == EXPLORE_DROPPED)
		return old;
	a.value += old;
	modify(&a, at);
	note("adds to", r, at, old, a.order);
	return old;
}

uint64_t
explore_or(volatile void *object, uint64_t value, memory_order order)
{
	const struct explore_region *r;
	unsigned at = explore_memory_find(object, &r);
	struct explore_access a = begin(EXPLORE_OR, r, value, order);
	uint64_t old;

	settle(a.fiber, a.order);
	old = explore_memory_read_newest(a.fiber, at, a.order);
	if (a.fault == EXPLORE_DROPPED)
		return old;
	a.value |= old;
	modify(&a, at);
	note("sets bits in", r, at, old, a.order);
	return old;
}

bool
explore_cas(volatile void *object, uint64_t *expected, uint64_t desired,
	    memory_order order)
{
	const struct explore_region *r;
	unsigned at = explore_memory_find(object, &r);
	struct explore_access a = begin(EXPLORE_CAS, r, desired, order);
	uint64_t old;

	settle(a.fiber, a.order);
	old = explore_memory_read_newest(a.fiber, at, a.order);
	if ((old != *expected && a.fault != EXPLORE_BLIND) ||
	    a.fault == EXPLORE_LOST) {
		*expected = old;
		note("does not find", r, at, old, a.order);
		return false;
	}
	modify(&a, at);
	note("changes", r, at, desired, a.order);
	return true;
}

static void
fence(unsigned fiber, memory_order order)
{
	settle(fiber, order);
	explore_memory_fence(fiber, order);
}

void
explore_fence(memory_order order)
{
	struct explore_access a = begin(EXPLORE_FENCE, NULL, 0, order);

	if (a.fault == EXPLORE_DROPPED)
		return;
	fence(a.fiber, a.order);
	explore_note("fence %s", name_of(a.order));
}

void
explore_barrier(void)
{
	struct explore_access a =
		begin(EXPLORE_BARRIER, NULL, 0, memory_order_seq_cst);

	if (a.fault == EXPLORE_DROPPED)
		return;
	/* The kernel fences the caller, then each other one where it happens to
	 * be, then the caller again. */
	fence(a.fiber, memory_order_seq_cst);
	for (unsigned f = 0; f < EXPLORE_FIBERS; f++)
		fence(f, memory_order_seq_cst);
	fence(a.fiber, memory_order_seq_cst);
	explore_note("barrier");
}

void
explore_copy_in(volatile void *shared, const void *from, size_t len)
{
	const struct explore_region *r;
	unsigned at = explore_memory_find(shared, &r);

	for (size_t i = 0; i < len; i += 8, at++) {
		struct explore_access a = begin(EXPLORE_COPY_IN, r, 0,
						memory_order_relaxed);
		uint64_t word = 0;

		memcpy(&word, (const char *)from + i,
		       len - i < 8 ? len - i : 8);
		explore_memory_write(a.fiber, at, word, a.order, false);
		note("copies in", r, at, word, a.order);
	}
}

void
explore_copy_out(void *to, const volatile void *shared, size_t len)
{
	const struct explore_region *r;
	unsigned at = explore_memory_find(shared, &r);
	struct explore_access a =
		begin(EXPLORE_COPY_OUT, r, 0, memory_order_relaxed);

	perform_copy(a.fiber);
	if (a.fault == EXPLORE_DELAYED || explore_choose_stale(1)) {
		copies[a.fiber] = (struct copy){
			.to = to,
			.len = len,
			.at = at,
			.delayed = a.fault == EXPLORE_DELAYED,
		};
		return;
	}
	for (size_t i = 0; i < len; i += 8, at++) {
		uint64_t word;

		if (i)
			explore_step();
		word = explore_memory_read(a.fiber, at, a.order);
		memcpy((char *)to + i, &word, len - i < 8 ? len - i : 8);
		note("copies out", r, at, word, a.order);
	}
}

/* Each word is a line. */
void
explore_copy_out_taking(void *to, volatile void *shared, size_t len)
{
	volatile char *line = shared;

	for (size_t i = 0; i < len; i += 8) {
		size_t part = len - i < 8 ? len - i : 8;

		explore_copy_out((char *)to + i, line + i, part);
		if (part == 8)
			mpr_take_own_line(line + i);
	}
}

void
explore_use(void)
{
	perform_copy(explore_current());
}
