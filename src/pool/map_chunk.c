/* SPDX-License-Identifier: MIT */
#include "pool/map_chunk.h"

struct round {
	uint64_t chunk; /* number of its first one */
	uint64_t item; /* of its first one */
	uint64_t size; /* items of each */
};

static struct round
first_round(const struct mpr_map_use *m)
{
	return (struct round){
		.size = m->largest > m->chunk ? m->largest : m->chunk,
	};
}

/* The last one goes on to the end. */
static bool
is_last(const struct mpr_map_use *m, const struct round *r)
{
	return r->size == m->chunk;
}

/* Items of one that is not the last. */
static uint64_t
items_of(const struct mpr_map_use *m, const struct round *r)
{
	return m->round * r->size;
}

static void
go_on(const struct mpr_map_use *m, struct round *r)
{
	r->chunk += m->round;
	r->item += items_of(m, r);
	r->size /= 2;
	if (r->size < m->chunk)
		r->size = m->chunk;
}

uint64_t
mpr_map_falling_begin(const struct mpr_map_use *m, uint64_t chunk)
{
	struct round r = first_round(m);

	while (!is_last(m, &r) && chunk - r.chunk >= m->round)
		go_on(m, &r);
	return r.item + (chunk - r.chunk) * r.size;
}

uint64_t
mpr_map_falling_end(const struct mpr_map_use *m, uint64_t item)
{
	struct round r = first_round(m);

	while (!is_last(m, &r) && item - r.item >= items_of(m, &r))
		go_on(m, &r);
	return r.item + ((item - r.item) / r.size + 1) * r.size;
}

uint64_t
mpr_map_falling_count(const struct mpr_map_use *m)
{
	struct round r = first_round(m);

	while (!is_last(m, &r) && m->n - r.item > items_of(m, &r))
		go_on(m, &r);
	return r.chunk + (m->n - r.item + r.size - 1) / r.size;
}
