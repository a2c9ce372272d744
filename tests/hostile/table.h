/* SPDX-License-Identifier: MIT */
/*
 * The shared words of a table of keys, and what a hostile peer writes in them: the
 * cell, the stripes with their locks, the buckets and entries. What tests of those
 * containers have in common which are such tables.
 */
#ifndef HOSTILE_TABLE_H
#define HOSTILE_TABLE_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "containers/table_use.h"
#include "hostile.h"

enum { KEYS = 6, TABLE_WORDS = 128, TABLE_VALUES = 26 };

#define SEED 99

/* In the scratch bytes. */
struct board {
	void *table;
	void *bystander; /* one that nobody writes in */
	uint64_t root; /* of the table, as it was before anybody did */
	bool texts; /* the keys are these */
	int64_t keys[KEYS]; /* all in one stripe */
	char names[KEYS][16];
	uint64_t other; /* the lock word of one that lives */
	_Atomic unsigned calls;
	_Atomic unsigned returns[256]; /* by error */
	_Atomic bool stop;
};

static timer_t interrupter;

static inline void
interrupt(int sig)
{
	(void)sig;
	mproc_interrupt();
}

/* Who waits without a limit is interrupted, every few milliseconds. */
static inline void
be_interruptible(struct mpt *t)
{
	const struct itimerspec every = { { 0, 3000000 }, { 0, 3000000 } };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
			       .sigev_signo = SIGUSR1 };

	signal(SIGUSR1, interrupt);
	mpt_check_int(t, timer_create(CLOCK_MONOTONIC, &ev, &interrupter), 0);
	mpt_check_int(t, timer_settime(interrupter, 0, &every, NULL), 0);
}

static inline int
be_another(struct mpt *t, void *arg)
{
	struct board *b = arg;

	mproc_free(mproc_alloc(1));
	b->other = mpr_holder(mpr_self_in(mpr_arena_peek()));
	mpt_step(t, 0);
	mpt_reach(t, UINT32_MAX);
	return 0;
}

/* A table of @kind in which the keys lie as everywhere. */
static inline void *
new_table(struct mpt *t, enum mpr_cell_kind kind)
{
	void *table;

	mpt_check_int(t, mpr_table_create(kind, NULL, &table), 0);
	atomic_store(&((struct mpr_table *)table)->seed, SEED);
	return table;
}

/* The number @i is @keys' text or the integer itself. */
static inline struct mproc_any
key_of(const struct board *b, int i)
{
	return b->texts ? mproc_str(b->names[i]) : mproc_int(b->keys[i]);
}

/* Those that lie in the first stripe. */
static inline void
find_keys(struct mpt *t, struct board *b, enum mpr_cell_kind kind)
{
	void *table = new_table(t, kind);
	struct mpr_visit v;
	struct mpr_key key;

	mpt_check_int(t, mpr_visit_begin(&v, kind, table), 0);
	for (int i = 0, n = 0; i < KEYS; n++) {
		struct mproc_any any;

		b->keys[i] = n;
		sprintf(b->names[i], "name %d", n);
		any = key_of(b, i);
		mpt_check_int(t, mpr_key_make(&v, &any, &key), 0);
		i += key.stripe == 0;
	}
	mpr_table_destroy(kind, table);
}

/* What is linked to @used, and nothing of another. */
static inline unsigned
words_of_table(const struct board *b, enum mpr_cell_kind kind, void *used,
	       struct word *words)
{
	const mproc_arena *a = mpr_arena_peek();
	struct mpr_table *table = used;
	struct mpr_stripe *s = mpr_arena_at(a, table->root);
	_Atomic uint64_t *links = mpr_arena_at(a, s->directory);
	struct words w = { 0 };
	struct mpr_place at;
	struct mpr_visit v;
	struct mpr_key key;
	unsigned n = 0;

#define ADD(index, member)                                                    \
	do {                                                                  \
		w.n = 0;                                                      \
		ADD_WORD(&w, "word", index, member);                          \
		words[n++] = w.word[0];                                       \
	} while (0)
	ADD(0, table->cell.word);
	ADD(0, table->cell.generation);
	ADD(0, table->seed);
	ADD(0, table->root);
	ADD(0, s->magic);
	ADD(0, s->version);
	ADD(0, s->cuts);
	ADD(0, s->count);
	for (unsigned i = 0; i < 3; i++)
		ADD(i, s->segments[i]);
	for (unsigned i = 0; i < 4; i++)
		ADD(i, s->buckets[i]);
	ADD(0, s->lock.cell.word);
	ADD(0, s->lock.cell.generation);
	ADD(0, s->lock.named);
	ADD(0, s->lock.died);
	ADD(0, s->later);
	ADD(0, s->first);
	ADD(0, s->directory);
	for (unsigned i = 0; s->directory && i < 5; i++)
		ADD(i, links[i]);
	(void)mpr_visit_begin(&v, kind, used);
	(void)mpr_visit_stripe(&v, 0);
	for (uint64_t i = 4; i < mpr_buckets_after(s->cuts); i++) {
		_Atomic uint64_t *bucket = mpr_table_bucket(
			&v, mpr_bucket_at(i, mpr_buckets_after(s->cuts)));

		ADD(i, *bucket);
	}
	for (int i = 0; i < KEYS; i++) {
		struct mproc_any any = key_of(b, i);
		struct mpr_entry *e;

		(void)mpr_key_make(&v, &any, &key);
		if (mpr_table_find(&v, &key, &at) < 0 || !at.is_there)
			continue;
		e = at.item.entry;
		ADD(0, e->next);
		ADD(0, e->order);
		ADD(0, e->stripe);
		ADD(0, e->key);
		ADD(0, e->value);
		ADD(0, e->words[0]);
		ADD(1, e->words[1]);
	}
#undef ADD
	return n;
}

static inline uint64_t
table_value(const struct board *b, const struct word *word, unsigned n,
	    struct mpt_rand *rand)
{
	const mproc_arena *a = mpr_arena_peek();
	const struct mpr_table *table = b->bystander;
	const struct mpr_stripe *s = mpr_arena_at(a, b->root);
	const struct mpr_stripe *other = mpr_arena_at(a, table->root);
	uint64_t old = read_word(word);
	const uint64_t values[TABLE_VALUES - 1] = {
		0, 1, 2, 3, 7, UINT64_MAX, UINT64_C(1) << 63,
		UINT64_C(1) << 21, old + 1, old - 1, old + 64, old - 64,
		old ^ 4, old | UINT64_C(0xffff) << 40,
		/* One thing for another, of this table or another. */
		s->buckets[0], s->buckets[1], s->segments[0], b->root,
		other->buckets[0], other->buckets[1], other->segments[0],
		table->root, a->shmem.size - 64, b->other,
		mpr_arena_offset(a, word->p) & ~UINT64_C(63), /* a circle */
	};

	return n < TABLE_VALUES - 1 ? values[n] : mpt_rand_next(rand);
}

static int64_t began;

static inline int
returned(struct mpt *t, struct board *b, const char *what, int r)
{
	static const int errors[] = {
		-ENOENT, -ENODATA, -EBADMSG, -ESTALE, -ESHUTDOWN, -EINTR,
		-EDEADLK, -EOVERFLOW, -EPROTOTYPE, -EMSGSIZE, -EPERM,
	};
	unsigned i = 0;

	if (mproc_now() - began >= bound())
		mpt_fail(t, __FILE__, __LINE__, "%s took too long", what);
	while (i < MPR_ARRAY_LEN(errors) && errors[i] != r)
		i++;
	if (r > 1 || (r < 0 && i == MPR_ARRAY_LEN(errors)))
		mpt_fail(t, __FILE__, __LINE__, "%s: %d, %s", what, r,
			 mproc_strerror(r));
	b->returns[r < 0 ? -r & 255 : 0]++;
	b->calls++;
	return r;
}

#define CALL(call) (began = mproc_now(), returned(t, b, #call, (call)))

/* The cell is a hostile peer's, too; so that it can be destroyed. */
static inline void
end_table(struct board *b, enum mpr_cell_kind kind)
{
	((struct mpr_table *)b->table)->cell.word = 0;
	mpr_table_destroy(kind, b->table);
}

/* What is in the scratch bytes before the bystander is made. */
static inline struct board *
new_board(void **state, enum mpr_cell_kind kind, bool texts)
{
	struct board *b;

	if (mpt_setup(state) < 0)
		return NULL;
	b = mpt_scratch(*state);
	b->texts = texts;
	mpt_watchdog(*state, 100);
	find_keys(*state, b, kind);
	return b;
}

/* And after that. */
static inline void
begin_board(struct mpt *t, struct board *b)
{
	mpt_rebase(t); /* the arena */
	mpt_spawn(t, "another one", be_another, b);
	mpt_reach(t, 1);
	be_interruptible(t);
}

static inline int
end_board(void **state, enum mpr_cell_kind kind)
{
	struct board *b = mpt_scratch(*state);

	timer_delete(interrupter);
	signal(SIGUSR1, SIG_DFL);
	for (int i = 0; i < 256; i++)
		if (b->returns[i])
			printf("# %u calls: %s\n", b->returns[i],
			       mproc_strerror(-i));
	mpr_table_destroy(kind, b->bystander);
	return mpt_teardown(state);
}

#endif
