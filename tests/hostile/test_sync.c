/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer writes anything in the words of locks and the like, at any
 * time. The others may be told that an object is held, gone, broken or full, and
 * may get what nobody has released; their calls return in time, with what the
 * headers say, nothing crashes, and other objects stay what they are. The words
 * of those who wait, and of cells, are in test_sync_arena.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "sync.h"

enum { WORKERS = 2 };

/* In shared memory, for all roles. */
struct board {
	struct tally tally;
	struct thing thing;
	struct thing bystanders[KINDS];
	struct names names;
	_Atomic unsigned round; /* what the workers are to use */
	_Atomic unsigned used;	/* how many have */
	_Atomic bool stop;
	_Atomic unsigned at; /* what is being tried, counted from 1 */
};

/* Says who it is, and is there until it is killed. */
static int
be_another(struct mpt *t, void *arg)
{
	_Atomic uint64_t *name = arg;

	mproc_free(mproc_alloc(1));
	*name = mpr_holder(mpr_self_in(mpr_arena_peek()));
	mpt_reach(t, UINT32_MAX);
	return 0;
}

static int
setup(void **state)
{
	struct board *b;
	struct mpt *t;
	int id;

	if (mpt_setup(state) < 0)
		return -1;
	t = *state;
	b = mpt_scratch(t);
	be_interruptible(t);
	make_bystanders(t, b->bystanders);
	mpt_rebase(t); /* the arena */
	mpt_watchdog(t, 100);
	id = mpt_spawn(t, "dead one", be_another, &b->names.dead);
	mpt_until(t, *(_Atomic uint64_t *)&b->names.dead);
	mpt_kill(t, id);
	mpt_spawn(t, "another one", be_another, &b->names.other);
	mpt_until(t, *(_Atomic uint64_t *)&b->names.other);
	b->names.mine = mpr_holder(mpr_self_in(mpr_arena_peek()));
	return 0;
}

static int
teardown(void **state)
{
	struct board *b = mpt_scratch(*state);

	if (b->at)
		printf("# the last one tried was number %u\n", b->at - 1);
	end_bystanders(*state, b->bystanders);
	timer_delete(interrupter);
	signal(SIGUSR1, SIG_DFL);
	print_tally(&b->tally);
	return mpt_teardown(state);
}

#define hostile_test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

/* What hostile values may name besides. */
static void
name_others(struct board *b)
{
	const mproc_arena *a = mpr_arena_peek();

	b->names.object = mpr_arena_offset(a, b->thing.object);
	b->names.bystander =
		mpr_arena_offset(a, b->bystanders[b->thing.kind].object);
	b->names.link = atomic_load(mpr_cell_blocks(b->bystanders[UNDO].object));
	b->names.arena = a->shmem.size;
}

static void
use_all(struct mpt *t, struct board *b)
{
	use(t, &b->tally, &b->thing, MPROC_NOWAIT);
	use(t, &b->tally, &b->thing, A_WHILE);
}

/* From round @arg on. */
static int
work_in_rounds(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	be_interruptible(t);
	for (unsigned n = (unsigned)(uintptr_t)arg;; n++) {
		mpt_until(t, b->round == n || b->stop);
		if (b->stop)
			return 0;
		use_all(t, b);
		b->used++;
	}
}

/* By all of them, and by us. */
static void
use_together(struct mpt *t, struct board *b)
{
	b->used = 0;
	b->round++;
	use_all(t, b);
	mpt_until(t, b->used == WORKERS);
}

/* All have seen the object before one of its words is overwritten. */
static void
try_value(struct mpt *t, struct board *b, enum kind kind, unsigned word,
	  unsigned value, struct mpt_rand *rand)
{
	struct word words[THING_WORDS];

	b->thing = make_thing(t, kind);
	name_others(b);
	use_together(t, b);
	words_of_thing(&b->thing, words);
	write_word(&words[word],
		   sync_value(&b->names, &words[word], value, rand));
	use_together(t, b);
	end_thing(t, &b->thing);
	use_together(t, b);
	check_bystanders(t, b->bystanders);
}

static void
each_word_with_each_value(void **state)
{
	unsigned step = rounds(13, 5, 1), at = (unsigned)(mpt_seed() % step);
	struct board *b = mpt_scratch(*state);
	struct word words[THING_WORDS];
	struct mpt *t = *state;
	struct mpt_rand rand;

	mpt_rand_init(&rand, mpt_seed());
	for (int k = 0; k < KINDS; k++) {
		unsigned n = words_of_thing(&b->bystanders[k], words);
		int ids[WORKERS];

		b->stop = false;
		for (int i = 0; i < WORKERS; i++)
			ids[i] = mpt_spawn(t, kind_names[k], work_in_rounds,
					   (void *)(uintptr_t)(b->round + 1));
		for (; at < n * SYNC_VALUES; at += step) {
			b->at = 1 + at;
			try_value(t, b, (enum kind)k, at / SYNC_VALUES,
				  at % SYNC_VALUES, &rand);
		}
		at -= n * SYNC_VALUES;
		b->stop = true;
		for (int i = 0; i < WORKERS; i++)
			mpt_expect_exit(t, ids[i], 0);
	}
	b->at = 0;
}

static int
work(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	be_interruptible(t);
	while (!b->stop)
		use(t, &b->tally, &b->thing, A_WHILE);
	return 0;
}

/* Several use an object while its words are overwritten. */
static void
scribble_round(struct mpt *t, struct board *b, enum kind kind,
	       struct mpt_rand *rand)
{
	struct word words[2 * THING_WORDS];
	unsigned n, calls = b->tally.calls;
	int ids[WORKERS];

	b->thing = make_thing(t, kind);
	name_others(b);
	n = words_of_thing(&b->thing, words);
	if (kind == CONDITION)
		n += words_of_thing(&(struct thing){ .kind = LOCK,
					.object = b->thing.lock }, &words[n]);
	b->stop = false;
	for (int i = 0; i < WORKERS; i++)
		ids[i] = mpt_spawn(t, kind_names[kind], work, NULL);
	mpt_until(t, b->tally.calls - calls >= 10);
	for (unsigned i = 0; i < rounds(20, 30, 40); i++) {
		const struct word *word = &words[mpt_rand_below(rand, n)];
		uint64_t old = read_word(word);

		write_word(word, sync_value(&b->names, word, (unsigned)
				mpt_rand_below(rand, SYNC_VALUES), rand));
		if (mpt_rand_below(rand, 3))
			let_go_on(t, &b->tally);
		/* Or the first one would be all that they ever see. */
		if (mpt_rand_below(rand, 4))
			write_word(word, old);
	}
	b->stop = true;
	end_thing(t, &b->thing);
	for (int i = 0; i < WORKERS; i++)
		mpt_expect_exit(t, ids[i], 0);
	check_bystanders(t, b->bystanders);
}

static void
words_are_overwritten_at_work(void **state)
{
	struct board *b = mpt_scratch(*state);
	struct mpt_rand rand;

	mpt_rand_init(&rand, mpt_seed());
	for (unsigned i = 0; i < rounds(2, 5, 20); i++)
		for (int k = 0; k < KINDS; k++)
			scribble_round(*state, b, (enum kind)k, &rand);
	/* They have met both, sound objects and others. */
	mpt_check(*state, b->tally.returns[0] && b->tally.returns[EPERM]);
}

/* The number of permits, behind the cell and the maximum. */
static void
have_permits_without_end(struct thing *x)
{
	atomic_store((_Atomic uint32_t *)x->object + 5, UINT32_MAX);
}

/* A list of permits that leads into itself. */
static void
permits_in_a_circle_come_to_an_end(void **state)
{
	struct board *b = mpt_scratch(*state);
	struct mpt *t = *state;
	uint64_t block;

	b->thing = make_thing(t, UNDO);
	block = atomic_load(mpr_cell_blocks(b->thing.object));
	atomic_store((_Atomic uint64_t *)mpr_arena_at(mpr_arena_peek(), block),
		     block);
	have_permits_without_end(&b->thing);
	use_all(t, b);
	end_thing(t, &b->thing);
	check_bystanders(t, b->bystanders);
}

/* Not by who uses the semaphore, nor by who makes the next one in its place. */
static void
permits_of_another_are_neither_taken_nor_cleared(void **state)
{
	struct board *b = mpt_scratch(*state);
	mproc_semaphore *other = b->bystanders[UNDO].object, *s;
	struct mpt *t = *state;

	for (int i = 0; i < 2; i++) {
		b->thing = make_thing(t, UNDO);
		s = b->thing.object;
		check_bystanders(t, b->bystanders);
		atomic_store(mpr_cell_blocks(s),
			     atomic_load(mpr_cell_blocks(other)));
		have_permits_without_end(&b->thing);
		mpt_check_int(t, mproc_semaphore_value(s), 0);
		mpt_check_int(t, mproc_semaphore_acquire(s, MPROC_NOWAIT),
			      -EAGAIN);
		mpt_check_int(t, mproc_semaphore_release(s), -EPERM);
		end_thing(t, &b->thing);
		check_bystanders(t, b->bystanders);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		hostile_test(each_word_with_each_value),
		hostile_test(words_are_overwritten_at_work),
		hostile_test(permits_in_a_circle_come_to_an_end),
		hostile_test(permits_of_another_are_neither_taken_nor_cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
