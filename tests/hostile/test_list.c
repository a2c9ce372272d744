/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer writes anything in the words of a list: its cell, its root, its
 * slots. Calls may be told that the list is corrupt, or find something else in it;
 * they return, in time, and nothing crashes.
 *
 * What was in a list may be lost for good, and what it names may be another's. So
 * each role has an arena of its own, and this program none.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "arena/heap.h"
#include "containers/list.h"
#include "hostile.h"
#include "sync/holder.h"

enum {
	ROOT_WORDS = sizeof(struct mpr_list_root) / 8,
	SLOTS = 8, /* of which SIX have something */
	SIX = 6,
	LIST_WORDS = 1 + ROOT_WORDS + 2 * SLOTS,
	LIST_VALUES = 34,
	WRITES = 40, /* while others work */
};

/* In the scratch bytes. */
struct board {
	_Atomic unsigned calls;
	_Atomic unsigned returns[256]; /* by error */
	_Atomic unsigned ready;
	_Atomic bool stop;
};

static const char long_text[] = "a text that does not lie in a slot";

static void
interrupt(int sig)
{
	(void)sig;
	mproc_interrupt();
}

/* Who waits does so without a limit. Several times, as one may come before the
 * wait. */
static void
be_interruptible(struct mpt *t)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
			       .sigev_signo = SIGUSR1 };
	const struct itimerspec when = { .it_value.tv_nsec = 20000000,
					 .it_interval.tv_nsec = 20000000 };
	timer_t timer;

	signal(SIGUSR1, interrupt);
	mpt_check_int(t, timer_create(CLOCK_MONOTONIC, &ev, &timer), 0);
	mpt_check_int(t, timer_settime(timer, 0, &when, NULL), 0);
}

static int64_t began;

static int
returned(struct mpt *t, const char *what, int r)
{
	static const int errors[] = {
		0, -EINVAL, -EFAULT, -ERANGE, -ENOENT, -ENODATA, -EBADMSG,
		-ESTALE, -ESHUTDOWN, -ENOMEM, -ENOSPC, -EPROTOTYPE, -EINTR,
		-EDEADLK, -EPERM, -EMSGSIZE, -EOVERFLOW, 1,
	};
	struct board *b = mpt_scratch(t);
	size_t i = 0;

	if (mproc_now() - began >= bound())
		mpt_fail(t, __FILE__, __LINE__, "%s took too long", what);
	while (i < sizeof(errors) / sizeof(errors[0]) && errors[i] != r)
		i++;
	if (i == sizeof(errors) / sizeof(errors[0]))
		mpt_fail(t, __FILE__, __LINE__, "%s: %d", what, r);
	b->returns[r < 0 ? -r & 255 : 0]++;
	b->calls++;
	return r;
}

#define CALL(call) (began = mproc_now(), returned(t, #call, (call)))

static int
change(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	(void)ctx;
	*value = *old;
	return 1;
}

static void
use_several(struct mpt *t, mproc_list *l)
{
	const struct mproc_any values[] = { mproc_int(1), mproc_str(long_text) };
	struct mproc_any slice[SLOTS];
	size_t n;

	if (CALL(mproc_list_slice(l, 0, INT64_MAX, slice, SLOTS, &n)) == 0)
		while (n)
			mproc_any_clear(&slice[--n]);
	CALL(mproc_list_replace(l, 1, 3, values, 2));
	CALL(mproc_list_replace(l, 0, 0, values, 2));
	CALL(mproc_list_delete(l, 1, 3));
}

/* All that can be done with a list. Copies are read to their ends. */
static void
use(struct mpt *t, mproc_list *l)
{
	char text[SLOTS];
	int64_t i64;
	const struct mproc_any values[] = { mproc_int(1), mproc_str(long_text) };
	struct mproc_any any;
	size_t i = 0, n;

	for (int64_t k = -1; k < 4; k++)
		if (CALL(mproc_list_get(l, k, &any)) == 0) {
			if (any.owned)
				mpt_check(t, ((const char *)any.ptr)[any.len] ==
						     0);
			mproc_any_clear(&any);
		}
	for (n = 0; n < 2 * SLOTS && CALL(mproc_list_next(l, &i, &any)) == 0; n++)
		mproc_any_clear(&any);
	CALL(mproc_list_get_int(l, 1, &i64));
	CALL(mproc_list_get_str(l, 0, text, sizeof(text), NULL));
	CALL(mproc_list_add(l, 1, mproc_int(1), NULL));
	CALL(mproc_list_compare_exchange(l, 0, mproc_str(long_text),
					 mproc_str(long_text)));
	CALL(mproc_list_update(l, 0, change, NULL));
	use_several(t, l);
	CALL(mproc_list_index(l, mproc_str(long_text), &n));
	CALL(mproc_list_count(l, mproc_int(1), &n));
	CALL(mproc_list_set(l, 1, mproc_str(long_text)));
	CALL(mproc_list_insert(l, 1, mproc_str(long_text)));
	CALL(mproc_list_reverse(l));
	CALL(mproc_list_sort(l, NULL, NULL));
	CALL(mproc_list_append(l, mproc_int(2)));
	CALL(mproc_list_extend(l, values, 2));
	CALL(mproc_list_remove(l, mproc_str(long_text)));
	if (CALL(mproc_list_pop(l, 0, &any)) == 0)
		mproc_any_clear(&any);
	if (CALL(mproc_list_pop(l, -1, &any)) == 0)
		mproc_any_clear(&any);
	(void)mproc_list_len(l);
	CALL(mproc_list_clear(l));
}

static mproc_list *
make(struct mpt *t)
{
	const struct mproc_any six[SIX] = {
		mproc_str(long_text), mproc_int(1), mproc_str("short"),
		mproc_str(long_text), mproc_float(4), mproc_str(long_text),
	};
	mproc_list *l = NULL;

	/* The last one may have taken what new ones need. */
	if (CALL(mproc_list_create(&l, NULL)) < 0)
		return NULL;
	CALL(mproc_list_extend(l, six, SIX));
	return l;
}

struct list_words {
	_Atomic uint64_t *word[LIST_WORDS];
	uint64_t list, root, array, text, arena; /* offsets */
};

/* Returns false if the list is not what it should be, as another one has taken its
 * memory. */
static bool
words_of_list(struct list_words *w, mproc_list *l)
{
	const mproc_arena *a = mpr_arena_peek();
	struct mpr_list_use u;
	unsigned n = 0;

	if (mpr_list_enter(l, &u) < 0)
		return false;
	*w = (struct list_words){
		.list = mpr_arena_offset(a, l),
		.root = mpr_arena_offset(a, u.root),
		.array = u.slots ? mpr_arena_offset(a, u.slots) : 0,
		.arena = a->shmem.size,
	};
	mpr_list_leave(&u, 0);
	if (u.len != SIX || u.capacity < SLOTS)
		return false;
	w->text = atomic_load(&u.slots[0].word);
	w->word[n++] = &l->root;
	for (unsigned i = 0; i < ROOT_WORDS; i++)
		w->word[n++] = (_Atomic uint64_t *)u.root + i;
	for (unsigned i = 0; i < 2 * SLOTS; i++)
		w->word[n++] = (_Atomic uint64_t *)u.slots + i;
	return true;
}

static uint64_t
list_value(const struct list_words *w, uint64_t old, unsigned n,
	   struct mpt_rand *rand)
{
	const uint64_t values[LIST_VALUES - 1] = {
		0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 100000, UINT64_MAX,
		UINT64_C(1) << 63, UINT64_C(1) << 40, old + 1, old - 1, old ^ 1,
		old + 16, old << 8, w->list, w->root, w->array, w->text,
		w->array + 8, w->text + 64, w->arena - 64, w->arena + 64,
		mpr_meta(MPROC_STR, 9), mpr_meta(MPROC_BYTES, 64),
		mpr_meta(MPROC_STR, UINT64_C(1) << 30),
		mpr_meta(MPROC_STR, (UINT64_C(1) << 56) - 1), 0xff,
		mpr_meta(MPROC_REF, 0),
	};

	return n < LIST_VALUES - 1 ? values[n] : mpt_rand_next(rand);
}

/* As if a holder had died: the list is repaired first. */
static void
say_that_one_died(mproc_list *l)
{
	atomic_fetch_or(&l->lock.cell.word, MPR_DIED);
}

/* And as if it had been about something. */
static void
say_what_it_did(const struct list_words *w, uint64_t doing)
{
	struct mpr_list_root *root = mpr_arena_at(mpr_arena_peek(), w->root);

	atomic_store(&root->index, 0);
	atomic_store(&root->upto, SIX);
	atomic_store(&root->gap, 0);
	atomic_store(&root->doing, doing);
}

enum { NOBODY_DIED = MPR_LIST_REPLACE + 1, MODES };

/* One value in one word; then all that can be done. @mode is what somebody was
 * about who died, or NOBODY_DIED. */
static void
try_value(struct mpt *t, unsigned word, unsigned value, unsigned mode,
	  struct mpt_rand *rand)
{
	mproc_list *l = make(t);
	struct list_words w;

	if (!l)
		return;
	if (words_of_list(&w, l)) {
		if (mode != NOBODY_DIED) {
			say_that_one_died(l);
			say_what_it_did(&w, mode);
		}
		atomic_store(w.word[word],
			     list_value(&w, atomic_load(w.word[word]), value,
					rand));
		use(t, l);
		use(t, l);
	}
	began = mproc_now();
	mproc_list_destroy(l);
	mpt_check(t, mproc_now() - began < bound());
}

static int
try_word(struct mpt *t, void *arg)
{
	unsigned word = (unsigned)(uintptr_t)arg;
	struct mpt_rand rand;

	be_interruptible(t);
	mpt_rand_init(&rand, mpt_seed() + word);
	for (unsigned value = 0; value < LIST_VALUES; value++)
		for (unsigned mode = 0; mode < MODES; mode++)
			try_value(t, word, value, mode, &rand);
	return 0;
}

static void
print_returns(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	for (int i = 0; i < 256; i++)
		if (b->returns[i])
			printf("# %u calls: %s\n", b->returns[i],
			       mproc_strerror(-i));
	/* It is noticed. */
	assert_true(b->returns[EBADMSG] > 0);
	assert_true(b->returns[0] > 0);
}

static void
any_word_may_be_anything(void **state)
{
	struct mpt *t = *state;

	mpt_watchdog(t, 120);
	/* Known to all roles. */
	(void)mpt_seed();
	for (uintptr_t word = 0; word < LIST_WORDS; word++)
		mpt_expect_exit(t, mpt_spawn(t, "user", try_word,
					     (void *)word), 0);
	print_returns(t);
}

/* One writes while others work. */
static void
work(struct mpt *t, mproc_list *l)
{
	struct board *b = mpt_scratch(t);

	be_interruptible(t);
	b->ready++;
	while (!b->stop)
		use(t, l);
	_exit(0);
}

/* By the word of its root and the root's own others know that it is a list. Without
 * these nobody sees what else is written. */
enum { IDENTITY = 1 + ROOT_WORDS };

static int
write_while_others_work(struct mpt *t, void *arg)
{
	uint64_t identity[IDENTITY];
	struct board *b = mpt_scratch(t);
	mproc_list *l = make(t);
	unsigned calls = b->calls;
	struct list_words w;
	struct mpt_rand rand;
	pid_t pid[2];
	int status;

	mpt_check(t, l && words_of_list(&w, l));
	mpt_rand_init(&rand, mpt_seed() + (uintptr_t)arg);
	for (unsigned i = 0; i < IDENTITY; i++)
		identity[i] = atomic_load(w.word[i]);
	b->stop = false;
	b->ready = 0;
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		mpt_check(t, pid[i] >= 0);
		if (pid[i] == 0)
			work(t, l);
	}
	mpt_until(t, b->ready == 2);
	for (unsigned i = 0; i < WRITES; i++) {
		unsigned n = (unsigned)mpt_rand_below(&rand, LIST_WORDS);
		uint64_t value = mpt_rand_below(&rand, LIST_VALUES);

		/* In the array, if that is where it was. */
		atomic_store(w.word[n],
			     list_value(&w, atomic_load(w.word[n]),
					(unsigned)value, &rand));
		if (i % 8 == 7)
			say_that_one_died(l);
		mpt_until(t, b->calls != calls);
		calls = b->calls;
		for (unsigned k = 0; k < IDENTITY && i % 4 == 3; k++)
			atomic_store(w.word[k], identity[k]);
	}
	b->stop = true;
	for (int i = 0; i < 2; i++) {
		mpt_check_int(t, waitpid(pid[i], &status, 0), pid[i]);
		mpt_check_int(t, status, 0);
	}
	return 0;
}

static void
and_while_others_work(void **state)
{
	struct mpt *t = *state;
	unsigned n = rounds(3, 15, 400);

	mpt_watchdog(t, 600);
	(void)mpt_seed();
	for (uintptr_t i = 0; i < n; i++)
		mpt_expect_exit(t, mpt_spawn(t, "writer",
					     write_while_others_work,
					     (void *)i), 0);
	print_returns(t);
}

/* Where a list can name a block, and whose that is which it should not name. */
enum { IN_LIST, IN_HAND, IN_TAIL, IN_OTHER_ARRAY, PLACES };
enum { THEIR_TEXT, THEIR_ARRAY, THEIR_ROOT, OUR_ARRAY, OUR_ROOT, BLOCKS };

#define THEIRS 3

static uint64_t
block_of(unsigned which, const struct mpr_list_use *ours,
	 const struct mpr_list_use *theirs)
{
	const mproc_arena *a = ours->arena;

	switch (which) {
	case THEIR_TEXT:
		return mpr_slot_get(&theirs->slots[1]).word;
	case THEIR_ARRAY:
		return mpr_arena_offset(a, theirs->slots);
	case THEIR_ROOT:
		return mpr_arena_offset(a, theirs->root);
	case OUR_ARRAY:
		return mpr_arena_offset(a, ours->slots);
	default:
		return mpr_arena_offset(a, ours->root);
	}
}

/* Has our list name the block, as if somebody had died in it, but for a value that
 * is in the list. */
static void
name_it(const struct mpr_list_use *u, unsigned place, uint64_t block)
{
	const struct mpr_slot_words value = { mpr_meta(MPROC_STR, 9), block };
	struct mpr_list_root *root = u->root;

	switch (place) {
	case IN_LIST:
		mpr_slot_set(&u->slots[1], value);
		return;
	case IN_HAND:
		mpr_slot_set(&root->hand, value);
		break;
	case IN_TAIL:
		mpr_slot_set(&u->slots[SIX], value);
		atomic_store(&root->upto, SIX + 1);
		atomic_store(&root->doing, MPR_LIST_FILL);
		break;
	default:
		atomic_store(&root->arrays[!atomic_load(&root->current)],
			     block);
	}
	say_that_one_died(u->list);
}

/* The value that it should not have, each way to read and to be rid of it. */
static void
use_second(struct mpt *t, mproc_list *l)
{
	struct mproc_any any;
	size_t n;

	mpt_check_int(t, mproc_list_get(l, 1, &any), -EBADMSG);
	mpt_check_int(t, mproc_list_count(l, mproc_str(long_text), &n),
		      -EBADMSG);
	mpt_check_int(t, mproc_list_sort(l, NULL, NULL), -EBADMSG);
	mpt_check_int(t, mproc_list_pop(l, 1, &any), -EBADMSG);
}

static void
name_what_is_not_ours(struct mpt *t, unsigned place, unsigned which)
{
	mproc_list *ours = make(t), *theirs = NULL;
	struct mpr_list_use u, other;
	uint64_t block;

	mpt_check(t, ours);
	mpt_check_int(t, mproc_list_create(&theirs, NULL), 0);
	for (int i = 0; i < THEIRS; i++)
		mpt_check_int(t, mproc_list_append(theirs,
						   mproc_str(long_text)), 0);
	mpt_check_int(t, mpr_list_enter(theirs, &other), 0);
	mpr_list_leave(&other, 0);
	mpt_check_int(t, mpr_list_enter(ours, &u), 0);
	mpr_list_leave(&u, 0);
	block = block_of(which, &u, &other);
	name_it(&u, place, block);
	if (place == IN_LIST)
		use_second(t, ours);
	use(t, ours);
	use(t, ours);
	mproc_list_destroy(ours);
	if (which < OUR_ARRAY)
		mpt_check(t, mpr_heap_is_linked(u.arena, block, 1));
	for (int64_t i = 0; i < THEIRS; i++) {
		char text[sizeof(long_text)];

		mpt_check_int(t, mproc_list_get_str(theirs, i, text,
						    sizeof(text), NULL), 0);
		mpt_check(t, strcmp(text, long_text) == 0);
	}
	mproc_list_destroy(theirs);
}

static int
name_blocks(struct mpt *t, void *arg)
{
	unsigned place = (unsigned)(uintptr_t)arg;

	be_interruptible(t);
	for (unsigned which = 0; which < BLOCKS; which++)
		name_what_is_not_ours(t, place, which);
	return 0;
}

static void
nobody_elses_block_is_read_or_freed(void **state)
{
	struct mpt *t = *state;

	for (uintptr_t place = 0; place < PLACES; place++)
		mpt_expect_exit(t, mpt_spawn(t, "user", name_blocks,
					     (void *)place), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(nobody_elses_block_is_read_or_freed),
		mpt_test(any_word_may_be_anything),
		mpt_test(and_while_others_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
