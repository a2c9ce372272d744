/* SPDX-License-Identifier: MIT */
/*
 * The memory of a scenario: a machine with views that does what C11 allows.
 *
 * A word's history is the list of stores to it. A view says for each word up
 * to which store it is known. Each fiber has three: what it has seen, what it
 * had seen at its last release fence, and what an acquire fence would add.
 */
#include <assert.h>
#include <string.h>

#include "explorer_priv.h"

enum {
	WORDS = 48,
	HISTORY = 64,
	REGIONS = 40,
	FOUND = 256,
};

struct view {
	uint8_t seen[WORDS];
};

/* One store, and what who acquires it learns. */
struct entry {
	uint64_t value;
	struct view view;
};

struct word {
	unsigned n;
	struct entry history[HISTORY];
};

struct knowledge {
	struct view now;
	struct view released;
	struct view acquirable;
	uint8_t last[WORDS]; /* which store it read last */
};

/* What an object was found to lie in. */
struct found {
	uintptr_t p;
	uint64_t layout;
	unsigned region; /* or how many it does not lie in */
	bool shared;
};

static struct {
	struct found found[FOUND]; /* by address, what came last */
	uint64_t layout;	   /* changes with it, most schedules have one */
	struct explore_region regions[REGIONS];
	unsigned n_regions;
	struct word words[WORDS];
	unsigned n_words;
	struct knowledge known[EXPLORE_FIBERS + 1];
	struct view fences; /* what seq_cst fences have passed on */
	struct view sc;	    /* the last seq_cst stores */
} m;

void
explore_memory_begin(void)
{
	m.n_regions = 0;
	m.n_words = 0;
	memset(m.known, 0, sizeof(m.known));
	memset(&m.fences, 0, sizeof(m.fences));
	memset(&m.sc, 0, sizeof(m.sc));
}

void
explore_share(unsigned id, const void *p, size_t size, const char *name)
{
	struct explore_region *r = &m.regions[m.n_regions++];
	size_t n = (size + 7) / 8;

	assert(m.n_regions <= REGIONS && m.n_words + n <= WORDS);
	if (r->begin != (uintptr_t)p || r->end != (uintptr_t)p + size)
		m.layout++;
	*r = (struct explore_region){
		.begin = (uintptr_t)p,
		.end = (uintptr_t)p + size,
		.id = id,
		.first = m.n_words,
		.name = name,
	};
	for (size_t i = 0; i < n; i++) {
		struct word *w = &m.words[m.n_words++];
		size_t left = size - 8 * i;

		w->n = 1;
		w->history[0] = (struct entry){ 0 };
		memcpy(&w->history[0].value, (const char *)p + 8 * i,
		       left < 8 ? left : 8);
	}
}

static struct found
look_for(uintptr_t p)
{
	struct found f = { .p = p, .layout = m.layout };

	while (f.region < m.n_regions && !f.shared)
		if (p >= m.regions[f.region].begin &&
		    p < m.regions[f.region].end)
			f.shared = true;
		else
			f.region++;
	return f;
}

/* Each access asks for it, and each of what is not shared. Regions come one after the
 * other in each schedule: some may not be there yet. */
static const struct explore_region *
region_of(const volatile void *object)
{
	uintptr_t p = (uintptr_t)object;
	struct found *f = &m.found[p / 4 % FOUND];

	if (f->p != p || f->layout != m.layout ||
	    (!f->shared && f->region < m.n_regions))
		*f = look_for(p);
	return f->region < m.n_regions ? &m.regions[f->region] : NULL;
}

bool
explore_is_shared(const volatile void *object)
{
	return region_of(object);
}

unsigned
explore_memory_find(const volatile void *object,
		    const struct explore_region **ret_region)
{
	const struct explore_region *r = region_of(object);
	uintptr_t p = (uintptr_t)object;

	/* Otherwise an access outside the shared memory. */
	assert(r && (p - r->begin) % 8 == 0);
	*ret_region = r;
	return r->first + (unsigned)((p - r->begin) / 8);
}

static void
learn(struct view *v, const struct view *from)
{
	/* Without a branch, for the compiler to make it a few instructions. */
	for (int i = 0; i < WORDS; i++)
		v->seen[i] = v->seen[i] < from->seen[i] ? from->seen[i] :
							  v->seen[i];
}

bool
explore_acquires(memory_order order)
{
	return order != memory_order_relaxed && order != memory_order_release;
}

bool
explore_releases(memory_order order)
{
	return order == memory_order_release ||
	       order == memory_order_acq_rel || order == memory_order_seq_cst;
}

static uint64_t
read_entry(unsigned fiber, unsigned at, unsigned index, memory_order order)
{
	const struct entry *entry = &m.words[at].history[index];
	struct knowledge *k = &m.known[fiber];

	if (k->now.seen[at] < index)
		k->now.seen[at] = (uint8_t)index;
	learn(&k->acquirable, &entry->view);
	if (explore_acquires(order))
		learn(&k->now, &entry->view);
	k->last[at] = (uint8_t)index;
	return entry->value;
}

uint64_t
explore_memory_read(unsigned fiber, unsigned at, memory_order order)
{
	unsigned newest = m.words[at].n - 1;
	unsigned oldest = m.known[fiber].now.seen[at], newer;

	/* Not what comes before a seq_cst store, or what a seq_cst fence has
	 * passed on. */
	if (order == memory_order_seq_cst) {
		if (oldest < m.sc.seen[at])
			oldest = m.sc.seen[at];
		if (oldest < m.fences.seen[at])
			oldest = m.fences.seen[at];
	}
	newer = newest - oldest;
	return read_entry(fiber, at, newest - explore_choose_stale(newer),
			  order);
}

uint64_t
explore_memory_read_newest(unsigned fiber, unsigned at, memory_order order)
{
	return read_entry(fiber, at, m.words[at].n - 1, order);
}

uint64_t
explore_memory_read_again(unsigned fiber, unsigned at)
{
	return m.words[at].history[m.known[fiber].last[at]].value;
}

void
explore_memory_write(unsigned fiber, unsigned at, uint64_t value,
		     memory_order order, bool modifies)
{
	struct knowledge *k = &m.known[fiber];
	struct word *w = &m.words[at];
	struct entry *entry = &w->history[w->n];

	if (w->n == HISTORY)
		explore_fail(__FILE__, __LINE__, "a schedule does not end");
	entry->value = value;
	entry->view = explore_releases(order) ? k->now : k->released;
	/* A read-modify-write passes on what the store before it did. */
	if (modifies)
		learn(&entry->view, &w->history[w->n - 1].view);
	entry->view.seen[at] = (uint8_t)w->n;
	k->now.seen[at] = (uint8_t)w->n;
	if (order == memory_order_seq_cst)
		m.sc.seen[at] = (uint8_t)w->n;
	w->n++;
}

void
explore_memory_fence(unsigned fiber, memory_order order)
{
	struct knowledge *k = &m.known[fiber];

	if (explore_acquires(order))
		learn(&k->now, &k->acquirable);
	if (order == memory_order_seq_cst) {
		learn(&k->now, &m.fences);
		learn(&k->now, &m.sc);
		m.fences = k->now;
	}
	if (explore_releases(order))
		k->released = k->now;
}

void
explore_memory_inherit(unsigned fiber, unsigned other)
{
	learn(&m.known[fiber].now, &m.known[other].now);
}

uint64_t
explore_peek(const volatile void *object)
{
	const struct explore_region *r;
	const struct word *w = &m.words[explore_memory_find(object, &r)];

	return w->history[w->n - 1].value;
}
