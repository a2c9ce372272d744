/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer writes anything in the words of the heap: those of blocks and of
 * extents, the ends of values, the arena's marks. What is allocated then may be
 * somebody else's, or nothing may be; blocks may be lost, and frees refused. But each
 * call returns in time, what it gives is in the arena, whole, and nobody crashes, also
 * not who recovers from the death of another.
 *
 * Each role has an arena of its own, and this program none.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "arena/extent.h"
#include "arena/heap.h"
#include "arena/participant.h"
#include "base/owner.h"
#include "hostile.h"
#include "sync/value.h"

enum {
	WORKERS = 3,
	BLOCKS = 8,
	HEAP_WORDS = 72,
	HEAP_VALUES = 48,
	LISTED_MAX = 100000,
};

#define CAPACITY_OF_ALL (UINT64_C(256) << 20)

/* Of more extents than are looked at at a time. */
#define CAPACITY_OF_MANY (UINT64_C(2) << 30)
#define LOOKS 1024

/* In shared memory, for all roles. */
struct board {
	_Atomic bool stop;
	_Atomic unsigned ready;
	_Atomic unsigned at; /* what is being tried, counted from 1 */
	_Atomic unsigned calls, refused;
};

/* In an arena. */
struct scene {
	_Atomic(void *) blocks[BLOCKS];
	_Atomic(void *) shared; /* passed round by workers */
	struct word words[HEAP_WORDS];
	unsigned of[HEAP_WORDS];	     /* whose word it is */
	bool is_home[HEAP_WORDS];
	_Atomic uint64_t *owner[BLOCKS];	     /* each block's owner word */
	unsigned n;
	unsigned dead; /* slot of one that was killed */
};

static const size_t sizes[BLOCKS] = {
	8, 64, 200, 500, 5000, 100000, 1000000, 3000000,
};

static void
hear_nothing(void *ctx, int level, const char *text)
{
	(void)ctx;
	(void)level;
	(void)text;
}

static void
add(struct scene *s, const char *name, unsigned index, void *p, size_t size)
{
	struct word *word = &s->words[s->n];

	s->is_home[s->n] = strstr(name, "home");
	s->of[s->n++] = index;

	snprintf(word->name, sizeof(word->name), "%.12s %u", name, index);
	word->p = p;
	word->size = size;
}

#define ADD(s, index, member)                                                 \
	add((s), #member, (index), (void *)(uintptr_t)&(member), sizeof(member))

/* Every second one is an array. */
static void
make_blocks(struct mpt *t, struct scene *s)
{
	mproc_arena *a = mpr_arena_peek();

	for (unsigned i = 0; i < BLOCKS; i++) {
		struct mpr_value_end *end;
		struct mpr_block_ref ref;
		struct mpr_extent *x;

		s->blocks[i] = i % 2 ? mproc_array_new(1, sizes[i], NULL) :
				       mproc_alloc(sizes[i]);
		mpt_check(t, s->blocks[i]);
		mpt_check(t, mpr_heap_find_live(a, s->blocks[i], &ref));
		x = mpr_extent_at(a, mpr_extent_of(ref.offset));
		ADD(s, i, x->state);
		ADD(s, i, x->use);
		ADD(s, i, x->backed);
		ADD(s, i, x->home);
		ADD(s, i, x->who);
		s->owner[i] = ref.block ? &ref.block->state : &x->state;
		if (ref.block) {
			ADD(s, i, ref.block->state);
			ADD(s, i, ref.block->home);
			ADD(s, i, ref.block->who);
		} else {
			ADD(s, i, x[1].state); /* a tail */
		}
		end = mpr_arena_at(a, ref.offset + ref.size - sizeof(*end));
		if (i % 2) {
			ADD(s, i, end->n);
			ADD(s, i, end->mark);
		}
	}
	ADD(s, 0, a->shm->extents_high);
	ADD(s, 0, a->shm->extents_backed);
	mpt_check_int(t, s->n, HEAP_WORDS);
}

/* One of HEAP_VALUES values that are worth trying in the word number @i. */
static uint64_t
heap_value(const struct scene *s, unsigned i, unsigned n, struct mpt_rand *rand)
{
	const mproc_arena *a = mpr_arena_peek();
	uint64_t block = mpr_arena_offset(a, s->blocks[s->of[i]]);
	uint64_t another = mpr_arena_offset(
		a, s->blocks[mpt_rand_below(rand, BLOCKS)]);
	uint64_t old = read_word(&s->words[i]), epoch = mpr_owner_epoch(old);
	uint64_t own = atomic_load(s->owner[s->of[i]]);
	unsigned mine = mpr_self_in(a)->slot;
	const uint64_t values[] = {
		0, 1, 2, 3, 4, UINT64_MAX, UINT64_C(1) << 63, old + 1, old - 1,
		old ^ 1, old ^ 2, old ^ 3,
		/* Owners. */
		mpr_owner(epoch, mine, MPR_BLOCK_BUSY),
		mpr_owner(epoch, s->dead, MPR_BLOCK_BUSY),
		mpr_owner(epoch + 1, s->dead, MPR_BLOCK_BUSY),
		mpr_owner(epoch, mine, MPR_BLOCK_LIVE),
		mpr_owner(epoch, 0, MPR_BLOCK_LINKED),
		mpr_owner(epoch, 0xffff, MPR_BLOCK_BUSY),
		mpr_owner(epoch, mpr_extent_of(another), MPR_EXTENT_TAIL),
		mpr_owner(epoch, 0xffff, MPR_EXTENT_TAIL),
		/* Uses. */
		1 + mpt_rand_below(rand, MPR_CLASSES), MPR_CLASSES + 1,
		MPR_EXTENT_LAZY | (1 + mpt_rand_below(rand, MPR_CLASSES)),
		MPR_EXTENT_RUN, MPR_EXTENT_RUN | 1, MPR_EXTENT_RUN | 60,
		MPR_EXTENT_RUN | UINT32_MAX,
		MPR_EXTENT_RUN | MPR_EXTENT_LINKED | 2,
		/* What is backed. */
		MPR_EXTENT_SIZE, MPR_EXTENT_SIZE | MPR_EXTENT_KEEPS, 65536,
		MPR_EXTENT_KEPT, MPR_EXTENT_KEPT_END, MPR_EXTENT_SIZE * 2,
		/* Homes and births. */
		block, another, block + 4, block + 64, a->shmem.size - 8,
		a->shmem.size, mpr_replaces(own, another, own),
		mpr_replaces(own, MPR_REPLACES_AT, own),
		mpr_birth(1, 0, 0), mpr_birth(1, MPR_BIRTH_SPARE_MAX, 0),
		mpr_birth(1, 1, MPR_BIRTH_VALUE | MPR_BIRTH_GUARDED),
		/* Ends. */
		MPR_VALUE_MAGIC + another, MPR_VALUE_MAGIC + a->shmem.size,
	};

	static_assert(sizeof(values) / sizeof(*values) == HEAP_VALUES - 1,
		      "and a random one");
	return n < HEAP_VALUES - 1 ? values[n] : mpt_rand_next(rand);
}

static int64_t began;

static void
begin_call(void)
{
	began = mproc_now();
}

static void
end_call(struct mpt *t, const char *what, bool refused)
{
	struct board *b = mpt_scratch(t);

	b->calls++;
	b->refused += refused;
	if (mproc_now() - began >= bound())
		mpt_fail(t, __FILE__, __LINE__, "%s took too long", what);
}

/* What was allocated can be written, all of it. */
static void
write_all(struct mpt *t, void *p, size_t size)
{
	const mproc_arena *a = mpr_arena_peek();

	if (!p)
		return;
	mpt_check(t, mpr_arena_has(a, mpr_arena_offset(a, p), size));
	mpt_check(t, mpr_arena_offset(a, p) >= MPR_HEAP_AT);
	memset(p, 0x5a, size);
}

static void *
checked_alloc(struct mpt *t, size_t size, bool is_array)
{
	void *p;

	begin_call();
	p = is_array ? mproc_array_new(1, size, NULL) : mproc_alloc(size);
	end_call(t, is_array ? "array" : "alloc", !p);
	write_all(t, p, size);
	return p;
}

static void *
checked_realloc(struct mpt *t, void *p, size_t size)
{
	void *moved;

	begin_call();
	moved = mproc_realloc(p, size);
	end_call(t, "realloc", !moved);
	write_all(t, moved, size);
	return moved ? moved : p;
}

static void
checked_free(struct mpt *t, void *p)
{
	begin_call();
	mproc_free(p);
	end_call(t, "free", false);
}

static void
use_value(struct mpt *t, void *p)
{
	mproc_lock *l;

	begin_call();
	(void)mproc_array_len(p);
	l = mproc_lock_of(p);
	if (l && mproc_lock_acquire(l, MPROC_NOWAIT) >= 0)
		(void)mproc_lock_release(l);
	end_call(t, "lock", !l);
}

static void
look_through(struct mpt *t)
{
	struct mproc_arena_block block = { 0 };
	struct mproc_arena_stat stat;
	void *before = NULL;
	unsigned n = 0;

	begin_call();
	while (mproc_arena_next_block(NULL, &block) > 0) {
		mpt_check(t, block.p > before && n++ < LISTED_MAX);
		before = block.p;
	}
	mpt_check_int(t, mproc_arena_stat(NULL, &stat), 0);
	end_call(t, "look", false);
}

static size_t
any_size(struct mpt_rand *rand)
{
	return sizes[mpt_rand_below(rand, BLOCKS)] - mpt_rand_below(rand, 8);
}

/* All that there is to do, with blocks of one's own, and of others. */
static void
use_heap(struct mpt *t, struct scene *s, struct mpt_rand *rand)
{
	void *p = checked_alloc(t, any_size(rand), mpt_rand_below(rand, 2));
	void *q = checked_alloc(t, any_size(rand), false);
	unsigned which = (unsigned)mpt_rand_below(rand, BLOCKS);
	void *other = s->blocks[which];

	use_value(t, p);
	use_value(t, other);
	if (q)
		q = checked_realloc(t, q, any_size(rand));
	if (mpt_rand_below(rand, 8) == 0)
		checked_free(t, other);
	else if (mpt_rand_below(rand, 4) == 0)
		s->blocks[which] = checked_realloc(t, other, any_size(rand));
	checked_free(t, atomic_exchange(&s->shared, q));
	checked_free(t, p);
	if (mpt_rand_below(rand, 8) == 0)
		look_through(t);
	if (mpt_rand_below(rand, 32))
		return;
	begin_call();
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
	end_call(t, "recover", false);
}

/* One that has taken part, and was killed. Returns its slot. */
static unsigned
have_one_die(struct mpt *t)
{
	pid_t pid = fork();
	int status;

	mpt_check(t, pid >= 0);
	if (pid == 0) {
		mproc_free(mproc_alloc(1));
		_exit(kill(getpid(), SIGKILL));
	}
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	for (unsigned i = 0; i < mpr_participants_high(mpr_arena_peek()); i++)
		if (atomic_load(&mpr_participant_at(mpr_arena_peek(), i)->pid) ==
		    (uint32_t)pid)
			return i;
	mpt_fail(t, __FILE__, __LINE__, "it has not taken part");
	return 0;
}

static void
have_arena(struct mpt *t, size_t capacity)
{
	mproc_log_set(MPROC_LOG_ERROR, hear_nothing, NULL);
	mpt_check_int(t, mproc_arena_configure_default(MPROC_OPTS(
				 mproc_arena_opts, .capacity = capacity)), 0);
	mpt_check(t, mproc_arena_default());
}

static struct scene *
begin(struct mpt *t)
{
	struct scene *s;

	have_arena(t, CAPACITY_OF_ALL);
	/* Not in the arena, where it would be overwritten. */
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mpt_check(t, s != MAP_FAILED);
	make_blocks(t, s);
	s->dead = have_one_die(t);
	return s;
}

/* The block is looked at with each value in the word number @i. */
static void
look_with_each_value(struct mpt *t, struct scene *s, unsigned i,
		     struct mpt_rand *rand)
{
	const struct word *word = &s->words[i];
	uint64_t old = read_word(word);

	for (unsigned n = 0; n < HEAP_VALUES; n++) {
		write_word(word, heap_value(s, i, n, rand));
		use_value(t, s->blocks[s->of[i]]);
		look_through(t);
		checked_free(t, checked_alloc(t, sizes[s->of[i]], false));
		write_word(word, old);
	}
}

/* It is in the hands of one that has died. */
static void
recover_with_each_value(struct mpt *t, struct scene *s, unsigned i,
			struct mpt_rand *rand)
{
	_Atomic uint64_t *owner = s->owner[s->of[i]];
	const struct word *word = &s->words[i];
	uint64_t old = read_word(word), owner_before = atomic_load(owner);

	for (unsigned n = 0; n < HEAP_VALUES; n++) {
		s->dead = have_one_die(t);
		atomic_store(&mpr_participant_at(mpr_arena_peek(),
						 s->dead)->in_heap, 1);
		atomic_store(owner, mpr_owner(mpr_owner_epoch(owner_before),
					      s->dead, MPR_BLOCK_BUSY));
		write_word(word, heap_value(s, i, n, rand));
		begin_call();
		mpt_check(t, mproc_arena_recover(NULL) >= 0);
		end_call(t, "recover", false);
		write_word(word, old);
		atomic_store(owner, owner_before);
	}
}

/* Changes the block with any value in the word. */
static void
change_with_any_value(struct mpt *t, struct scene *s, unsigned i,
		      struct mpt_rand *rand)
{
	unsigned n = (unsigned)mpt_rand_below(rand, HEAP_VALUES);
	void *p = s->blocks[s->of[i]];

	write_word(&s->words[i], heap_value(s, i, n, rand));
	checked_free(t, checked_realloc(t, p, any_size(rand)));
}

static int
overwrite_one(struct mpt *t, void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	struct board *b = mpt_scratch(t);
	struct scene *s = begin(t);
	struct mpt_rand rand;

	b->at = 1 + i;
	mpt_rand_init(&rand, mpt_seed() + i);
	look_with_each_value(t, s, i, &rand);
	if (s->is_home[i])
		recover_with_each_value(t, s, i, &rand);
	change_with_any_value(t, s, i, &rand);
	return 0;
}

static void
any_word_may_be_anything(void **state)
{
	unsigned step = rounds(8, 1, 1), i = (unsigned)(mpt_seed() % step);

	for (; i < HEAP_WORDS; i += step)
		mpt_expect_exit(*state, mpt_spawn(*state, "scribbler",
						  overwrite_one,
						  (void *)(uintptr_t)i), 0);
}

static void
work(struct mpt *t, struct scene *s)
{
	struct board *b = mpt_scratch(t);
	struct mpt_rand rand;

	mpt_rand_init(&rand, mpt_seed() + (uint64_t)getpid());
	mproc_free(mproc_alloc(1));
	b->ready++;
	while (!b->stop)
		use_heap(t, s, &rand);
	_exit(0);
}

/* While others are at work, of whom one is killed. */
static int
overwrite_at_work(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct scene *s = begin(t);
	struct mpt_rand rand;
	pid_t pids[WORKERS];
	int status;

	mpt_rand_init(&rand, mpt_seed() + (uint64_t)(uintptr_t)arg);
	b->ready = 0;
	b->stop = false;
	for (int i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		mpt_check(t, pids[i] >= 0);
		if (pids[i] == 0)
			work(t, s);
	}
	mpt_until(t, b->ready == WORKERS);
	for (int k = 0; k < 400; k++) {
		unsigned i = (unsigned)mpt_rand_below(&rand, s->n);
		unsigned n = (unsigned)mpt_rand_below(&rand, HEAP_VALUES);
		unsigned calls = b->calls;

		write_word(&s->words[i], heap_value(s, i, n, &rand));
		if (mpt_rand_below(&rand, 2))
			mpt_until(t, b->calls > calls + 3);
	}
	mpt_check_int(t, kill(pids[0], SIGKILL), 0);
	mpt_check_int(t, waitpid(pids[0], &status, 0), pids[0]);
	begin_call();
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
	end_call(t, "recover", false);
	b->stop = true;
	for (int i = 1; i < WORKERS; i++) {
		mpt_check_int(t, waitpid(pids[i], &status, 0), pids[i]);
		mpt_check_int(t, status, 0);
	}
	return 0;
}

static void
words_are_overwritten_at_work(void **state)
{
	for (unsigned i = 0; i < rounds(2, 8, 40); i++)
		mpt_expect_exit(*state, mpt_spawn(*state, "scribbler",
						  overwrite_at_work,
						  (void *)(uintptr_t)i), 0);
}

/* Where the table of extents is not any more: what looks like slabs that are far behind
 * the arena. Returns the index of the last one. */
static uint32_t
write_extents(const mproc_arena *a, unsigned char *p, size_t size)
{
	struct mpr_extent *x = mpr_extent_at(a, 0);
	uint32_t i = (uint32_t)((p - (unsigned char *)x) / (long)sizeof(*x)) + 1;

	for (; (unsigned char *)(x + i + 1) <= p + size; i++) {
		x[i].state = MPR_EXTENT_USED;
		x[i].use = 1;
		x[i].backed = MPR_EXTENT_SIZE;
	}
	return i - 1;
}

/* Until it has looked for empty slabs. */
static void
free_enough(struct mpt *t)
{
	for (size_t freed = 0; freed < MPR_EXTENT_SIZE; freed += sizes[6])
		checked_free(t, checked_alloc(t, sizes[6], false));
}

/* Who has looked at so many extents is told that there are only ten. */
static int
take_extents_away(struct mpt *t, void *arg)
{
	mproc_arena *a;
	uint32_t last;
	void *p;

	(void)arg;
	have_arena(t, CAPACITY_OF_MANY);
	a = mpr_arena_peek();
	mpt_check(t, a->n_extents > LOOKS);
	p = checked_alloc(t, MPR_BLOCK_MAX, false);
	mpt_check(t, p);
	last = write_extents(a, p, MPR_BLOCK_MAX);
	mpt_check(t, last > 0x10000);
	a->shm->extents_high = UINT32_MAX;
	free_enough(t);
	/* Or this shows nothing. */
	mpt_check_int(t, a->trim_next, LOOKS);
	a->shm->extents_high = 10;
	for (uint32_t seen = 0; seen <= last; seen += LOOKS)
		free_enough(t);
	mpt_check(t, a->trim_next < 10);
	return 0;
}

static void
extents_that_were_looked_at_are_taken_away(void **state)
{
	mpt_expect_exit(*state, mpt_spawn(*state, "peer", take_extents_away,
					  NULL), 0);
}

static int
setup(void **state)
{
	if (mpt_setup(state) < 0)
		return -1;
	mpt_watchdog(*state, 100);
	mpt_seed(); /* one for all roles */
	return 0;
}

static int
teardown(void **state)
{
	struct board *b = mpt_scratch(*state);

	if (b->at)
		printf("# the last one tried was number %u\n", b->at - 1);
	printf("# %u calls, %u were refused\n", b->calls, b->refused);
	return mpt_teardown(state);
}

#define hostile_test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		hostile_test(any_word_may_be_anything),
		hostile_test(words_are_overwritten_at_work),
		hostile_test(extents_that_were_looked_at_are_taken_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
