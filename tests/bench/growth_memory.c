/* SPDX-License-Identifier: MIT */
/*
 * Growth of what lies in the arena: blocks, by how much of it is in use, and
 * the keys of a dict. Each block and each value holds what was written there.
 */
#include <sys/mman.h>

#include <mproc/mproc.h>

#include "bench.h"
#include "growth.h"

#define BLOCK 4096
#define MIB ((uint64_t)1 << 20)
#define TIMES 100000
#define LOOK_UPS 1000000

static uint64_t
mixed(uint64_t n)
{
	n *= UINT64_C(0x9e3779b97f4a7c15);
	n ^= n >> 32;
	return n * UINT64_C(0xd6e8feb86659fd93) >> 1;
}

/* Blocks of a page each; each is the head of the next. */
static void
blocks(uint64_t x, double *ns)
{
	uint64_t n = x * MIB / BLOCK, *last = NULL, *p;
	int64_t began;

	/* The arena itself is made with its first block. */
	mproc_free(mproc_alloc(BLOCK));
	began = mproc_now();
	for (uint64_t i = 0; i < n; i++) {
		p = mproc_alloc(BLOCK);
		growth_expect(p && !p[0] && !p[1], "no block of zeroes");
		p[0] = (uint64_t)(uintptr_t)last;
		p[1] = i;
		last = p;
	}
	ns[0] = (double)(mproc_now() - began) / (double)n;
	began = mproc_now();
	for (uint64_t i = 0; i < TIMES; i++) {
		p = mproc_alloc(64);
		growth_expect(p && !p[0], "no block of zeroes");
		p[0] = i;
		mproc_free(p);
	}
	ns[1] = (double)(mproc_now() - began) / TIMES;
	began = mproc_now();
	for (uint64_t i = n; i-- > 0;) {
		p = last;
		growth_expect(p && p[1] == i, "a block has changed");
		last = (uint64_t *)(uintptr_t)p[0];
		mproc_free(p);
	}
	ns[2] = (double)(mproc_now() - began) / (double)n;
}

/* Pages of shared memory, which are touched, looked at, and unmapped. */
static void
pages(uint64_t x, double *ns)
{
	uint64_t n = x * MIB / BLOCK, words = BLOCK / sizeof(uint64_t);
	int64_t began = mproc_now();
	uint64_t *p = bench_shared(n * BLOCK);

	for (uint64_t i = 0; i < n; i++)
		p[i * words] = i;
	ns[0] = (double)(mproc_now() - began) / (double)n;
	began = mproc_now();
	for (uint64_t i = 0; i < TIMES; i++) {
		uint64_t *q = malloc(64);

		growth_expect(q != NULL, "no memory");
		memset(q, 0, 64);
		__asm__ volatile("" : : "r"(q) : "memory");
		free(q);
	}
	ns[1] = (double)(mproc_now() - began) / TIMES;
	began = mproc_now();
	for (uint64_t i = n; i-- > 0;)
		growth_expect(p[i * words] == i, "a page has changed");
	munmap(p, n * BLOCK);
	ns[2] = (double)(mproc_now() - began) / (double)n;
}

const struct growth growth_of_arenas = {
	.figures = { "A block of 4 KiB until so much is in use",
		     "A block of 64 bytes, given back at once",
		     "A block of 4 KiB given back until none is in use" },
	.x_name = "MiB in use",
	.x = { 1, 8, 64, 512, 2048, 8192 },
	.quick = 3,
	.bytes = MIB,
	.ours = blocks,
	.bare = pages,
	.bare_name = "pages, and malloc",
};

/* The number of the key to look up in the @n-th place: that depends on the last
 * answer, so that one look-up begins when the one before has ended. */
static uint64_t
next_key(uint64_t n, uint64_t answer, uint64_t x)
{
	return mixed(n + answer) % x;
}

static void
dict_keys(uint64_t x, double *ns)
{
	int64_t began, value = 0;
	mproc_dict *d;

	growth_must(mproc_dict_create(&d, NULL));
	began = mproc_now();
	for (uint64_t i = 0; i < x; i++)
		growth_must(mproc_dict_set(d, mproc_int((int64_t)mixed(i)),
					   mproc_int((int64_t)i)));
	ns[0] = (double)(mproc_now() - began) / (double)x;
	growth_expect(mproc_dict_len(d) == x, "a key is missing");
	began = mproc_now();
	for (uint64_t n = 0; n < LOOK_UPS; n++) {
		uint64_t i = next_key(n, (uint64_t)value, x);

		growth_must(mproc_dict_get_int(d, mproc_int((int64_t)mixed(i)),
					       &value));
		growth_expect(value == (int64_t)i, "a wrong value");
	}
	ns[1] = (double)(mproc_now() - began) / LOOK_UPS;
	began = mproc_now();
	growth_must(mproc_dict_clear(d));
	ns[2] = (double)(mproc_now() - began) / (double)x;
	growth_expect(mproc_dict_len(d) == 0, "a key is left");
}

/*
 * The plainest table with as many places in memory of the same kind: a bucket, an
 * entry of a line, and a word that says whose the entry is, which lies elsewhere and
 * is asked as it comes. There are four times as many buckets when there are more
 * entries than these.
 */
struct table {
	uint64_t *buckets; /* numbers of entries, or 0 */
	struct entry {
		uint64_t next;
		uint64_t key;
		uint64_t value;
		uint64_t rest[5];
	} * entries;

	struct word {
		uint64_t is_used;
		uint64_t rest[2];
	} * words;

	uint64_t size;
	uint64_t used;
};

static void
table_link(struct table *t, uint64_t number)
{
	struct entry *e = &t->entries[number];
	uint64_t *link = &t->buckets[mixed(e->key) % t->size];

	e->next = *link;
	*link = number;
}

static void
table_grow(struct table *t)
{
	if (t->size)
		munmap(t->buckets, t->size * sizeof(*t->buckets));
	t->size = t->size ? 4 * t->size : 4;
	t->buckets = bench_shared(t->size * sizeof(*t->buckets));
	for (uint64_t i = 1; i <= t->used; i++)
		table_link(t, i);
}

static const struct entry *
table_find(const struct table *t, uint64_t key)
{
	uint64_t at = t->buckets[mixed(key) % t->size];

	for (; at; at = t->entries[at].next) {
		growth_expect(t->words[at].is_used == 1, "nobody's entry");
		if (t->entries[at].key == key)
			return &t->entries[at];
	}
	return NULL;
}

static void
table_put(struct table *t, uint64_t key, uint64_t value)
{
	growth_expect(!t->size || !table_find(t, key), "a key is there");
	if (t->used >= t->size)
		table_grow(t);
	t->used++;
	t->words[t->used].is_used = 1;
	t->entries[t->used].key = key;
	t->entries[t->used].value = value;
	table_link(t, t->used);
}

static void
table_clear(struct table *t)
{
	for (uint64_t i = 0; i < t->size; i++) {
		uint64_t at;

		while ((at = t->buckets[i])) {
			t->buckets[i] = t->entries[at].next;
			t->words[at].is_used = 0;
			t->used--;
		}
	}
}

static void
table_keys(uint64_t x, double *ns)
{
	struct table t = {
		.entries = bench_shared((x + 1) * sizeof(*t.entries)),
		.words = bench_shared((x + 1) * sizeof(*t.words)),
	};
	int64_t began = mproc_now();
	uint64_t value = 0;

	for (uint64_t i = 0; i < x; i++)
		table_put(&t, mixed(i), i);
	ns[0] = (double)(mproc_now() - began) / (double)x;
	growth_expect(t.used == x, "a key is missing");
	began = mproc_now();
	for (uint64_t n = 0; n < LOOK_UPS; n++) {
		uint64_t i = next_key(n, value, x);
		const struct entry *e = table_find(&t, mixed(i));

		growth_expect(e && e->value == i, "a wrong value");
		value = e->value;
	}
	ns[1] = (double)(mproc_now() - began) / LOOK_UPS;
	began = mproc_now();
	table_clear(&t);
	ns[2] = (double)(mproc_now() - began) / (double)x;
	growth_expect(t.used == 0, "a key is left");
}

const struct growth growth_of_dicts = {
	.figures = { "A new key of a dict", "A key of a dict, looked up",
		     "A key of a dict, until it is empty" },
	.x_name = "keys",
	.x = { 1000, 10000, 100000, 1000000, 10000000 },
	.quick = 3,
	.bytes = 256,
	.ours = dict_keys,
	.bare = table_keys,
	.bare_name = "plain table",
};
