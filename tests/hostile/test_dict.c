/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer writes anything in the words of a dict: its cell, its stripes with
 * their locks, its buckets and entries. The others may be told that it is corrupt,
 * and may find keys gone; their calls return in time, with what the header says,
 * nothing crashes, and another dict stays what it is.
 */
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

enum { KEYS = 6, DICT_WORDS = 128, DICT_VALUES = 26, WORKERS = 2 };

#define SEED 99

/* In the scratch bytes. */
struct board {
	mproc_dict *d;
	mproc_dict *bystander;
	uint64_t root; /* of the dict, as it was before anybody wrote there */
	int64_t keys[KEYS]; /* all in one stripe */
	uint64_t other; /* the lock word of one that lives */
	_Atomic unsigned calls;
	_Atomic unsigned returns[256]; /* by error */
	_Atomic bool stop;
};

static timer_t interrupter;

static void
interrupt(int sig)
{
	(void)sig;
	mproc_interrupt();
}

/* Who waits without a limit is interrupted, every few milliseconds. */
static void
be_interruptible(struct mpt *t)
{
	const struct itimerspec every = { { 0, 3000000 }, { 0, 3000000 } };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
			       .sigev_signo = SIGUSR1 };

	signal(SIGUSR1, interrupt);
	mpt_check_int(t, timer_create(CLOCK_MONOTONIC, &ev, &interrupter), 0);
	mpt_check_int(t, timer_settime(interrupter, 0, &every, NULL), 0);
}

static int
be_another(struct mpt *t, void *arg)
{
	struct board *b = arg;

	mproc_free(mproc_alloc(1));
	b->other = mpr_holder(mpr_self_in(mpr_arena_peek()));
	mpt_step(t, 0);
	mpt_reach(t, UINT32_MAX);
	return 0;
}

static struct mproc_any
value_of(int i)
{
	return i % 2 ? mproc_int(i) :
		       mproc_str("a text that is longer than one word");
}

static mproc_dict *
make_dict(struct mpt *t, struct board *b)
{
	mproc_dict *d;

	mpt_check_int(t, mproc_dict_create(&d, NULL), 0);
	atomic_store(&((struct mpr_table *)d)->seed, SEED);
	b->root = ((struct mpr_table *)d)->root;
	for (int i = 0; i < KEYS; i++)
		mpt_check_int(t, mproc_dict_set(d, mproc_int(b->keys[i]),
						value_of(i)), 0);
	return d;
}

static void
find_keys(struct mpt *t, struct board *b)
{
	struct mproc_any any = mproc_int(0);
	struct mpr_visit v;
	struct mpr_key key;
	mproc_dict *d;

	mpt_check_int(t, mproc_dict_create(&d, NULL), 0);
	atomic_store(&((struct mpr_table *)d)->seed, SEED);
	mpt_check_int(t, mpr_visit_begin(&v, MPR_CELL_DICT, d), 0);
	for (int i = 0; i < KEYS; any.i64++) {
		mpt_check_int(t, mpr_key_make(&v, &any, &key), 0);
		if (key.stripe == 0)
			b->keys[i++] = any.i64;
	}
	mproc_dict_destroy(d);
}

/* What is linked to dict @d, and nothing of another. */
static unsigned
words_of_dict(const struct board *b, mproc_dict *d, struct word *words)
{
	const mproc_arena *a = mpr_arena_peek();
	struct mpr_table *table = (struct mpr_table *)d;
	struct mpr_stripe *s = mpr_arena_at(a, table->root);
	_Atomic uint64_t *segment = mpr_arena_at(a, s->segments[0]);
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
	ADD(0, s->level);
	ADD(0, s->count);
	for (unsigned i = 0; i < 3; i++)
		ADD(i, s->segments[i]);
	for (unsigned i = 0; i < 4; i++)
		ADD(i, s->buckets[i]);
	ADD(0, s->lock.cell.word);
	ADD(0, s->lock.cell.generation);
	ADD(0, s->lock.named);
	ADD(0, s->lock.died);
	for (unsigned i = 0; i < 12; i++)
		ADD(i, segment[i]);
	(void)mpr_visit_begin(&v, MPR_CELL_DICT, d);
	(void)mpr_visit_stripe(&v, 0);
	for (unsigned i = 0; i < KEYS; i++) {
		struct mproc_any any = mproc_int(b->keys[i]);
		struct mpr_entry *e;

		(void)mpr_key_make(&v, &any, &key);
		if (mpr_table_find(&v, &key, &at) < 0 || !at.is_there)
			continue;
		e = at.item.entry;
		ADD(i, e->next);
		ADD(i, e->order);
		ADD(i, e->stripe);
		ADD(i, e->key);
		ADD(i, e->value);
		ADD(i * 10, e->words[0]);
		ADD(i * 10 + 1, e->words[1]);
	}
#undef ADD
	return n;
}

static uint64_t
dict_value(const struct board *b, const struct word *word, unsigned n,
	   struct mpt_rand *rand)
{
	const mproc_arena *a = mpr_arena_peek();
	const struct mpr_table *table = (const struct mpr_table *)b->bystander;
	const struct mpr_stripe *s = mpr_arena_at(a, b->root);
	const struct mpr_stripe *other = mpr_arena_at(a, table->root);
	uint64_t old = read_word(word);
	const uint64_t values[DICT_VALUES - 1] = {
		0, 1, 2, 3, 7, UINT64_MAX, UINT64_C(1) << 63,
		UINT64_C(1) << 21, old + 1, old - 1, old + 64, old - 64,
		old ^ 4, old | UINT64_C(0xffff) << 40,
		/* One thing for another, of this dict or another. */
		s->buckets[0], s->buckets[1], s->segments[0], b->root,
		other->buckets[0], other->buckets[1], other->segments[0],
		table->root, a->shmem.size - 64, b->other,
		mpr_arena_offset(a, word->p) & ~UINT64_C(63), /* a circle */
	};

	return n < DICT_VALUES - 1 ? values[n] : mpt_rand_next(rand);
}

static int64_t began;

static int
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

static int
count(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	(void)old;
	(void)ctx;
	*value = mproc_str("another text, which is longer than that one is");
	return 1;
}

static void
use(struct mpt *t, struct board *b)
{
	struct mproc_cursor c = { { 0 } };
	struct mproc_any got, value, one = mproc_int(1);
	char text[40];
	int64_t n;

	for (int i = 0; i < KEYS; i++) {
		struct mproc_any key = mproc_int(b->keys[i]);

		if (CALL(mproc_dict_get(b->d, key, &got)) == 0)
			mproc_any_clear(&got);
		CALL(mproc_dict_get_str(b->d, key, text, sizeof(text), NULL));
		CALL(mproc_dict_get_int(b->d, key, &n));
		CALL(mproc_dict_has(b->d, key));
	}
	/* It ends, whatever it meets. */
	for (int i = 0; i < 1000; i++) {
		if (CALL(mproc_dict_next(b->d, &c, &got, &value)) < 0)
			break;
		mproc_any_clear(&got);
		mproc_any_clear(&value);
	}
	began = mproc_now();
	(void)mproc_dict_len(b->d);
	CALL(mproc_dict_set(b->d, mproc_int(b->keys[0]), mproc_int(3)));
	CALL(mproc_dict_set(b->d, mproc_int(b->keys[1]), mproc_str("text")));
	CALL(mproc_dict_add(b->d, mproc_int(b->keys[0]), one, NULL));
	CALL(mproc_dict_update(b->d, mproc_int(b->keys[2]), count, NULL));
	CALL(mproc_dict_compare_exchange(b->d, mproc_int(b->keys[3]), &one,
					 NULL));
	if (CALL(mproc_dict_pop(b->d, mproc_int(b->keys[4]), &got)) == 0)
		mproc_any_clear(&got);
	CALL(mproc_dict_set(b->d, mproc_int(b->keys[4]), value_of(4)));
}

static void
check_bystander(struct mpt *t, const struct board *b)
{
	struct mproc_cursor c = { { 0 } };
	struct mproc_any key, value;
	int n = 0;

	while (mproc_dict_next(b->bystander, &c, &key, NULL) == 0)
		n++;
	mpt_check_int(t, n, KEYS);
	mpt_check_int(t, mproc_dict_len(b->bystander), KEYS);
	for (int i = 0; i < KEYS; i++) {
		struct mproc_any whole = value_of(i);

		mpt_check_int(t, mproc_dict_get(b->bystander,
						mproc_int(b->keys[i]), &value),
			      0);
		mpt_check(t, mpr_any_equal(&value, &whole));
		mproc_any_clear(&value);
	}
}

/* The cell is a hostile peer's, too; so that it can be destroyed. */
static void
end_dict(struct board *b)
{
	((struct mpr_table *)b->d)->cell.word = 0;
	mproc_dict_destroy(b->d);
}

static int
setup(void **state)
{
	struct board *b;
	struct mpt *t;

	if (mpt_setup(state) < 0)
		return -1;
	t = *state;
	b = mpt_scratch(t);
	mpt_watchdog(t, 100);
	find_keys(t, b);
	b->bystander = make_dict(t, b);
	mpt_rebase(t); /* the arena */
	mpt_spawn(t, "another one", be_another, b);
	mpt_reach(t, 1);
	be_interruptible(t);
	return 0;
}

static int
teardown(void **state)
{
	struct board *b = mpt_scratch(*state);

	timer_delete(interrupter);
	signal(SIGUSR1, SIG_DFL);
	for (int i = 0; i < 256; i++)
		if (b->returns[i])
			printf("# %u calls: %s\n", b->returns[i],
			       mproc_strerror(-i));
	mproc_dict_destroy(b->bystander);
	return mpt_teardown(state);
}

static void
each_word_with_each_value(void **state)
{
	unsigned step = rounds(13, 3, 1), at = (unsigned)(mpt_seed() % step), n;
	struct board *b = mpt_scratch(*state);
	struct word words[DICT_WORDS];
	struct mpt *t = *state;
	struct mpt_rand rand;

	mpt_rand_init(&rand, mpt_seed());
	n = words_of_dict(b, b->bystander, words);
	assert_in_range(n, 60, DICT_WORDS);
	for (; at < n * DICT_VALUES; at += step) {
		struct word *word = &words[at / DICT_VALUES];

		b->d = make_dict(t, b);
		assert_int_equal(words_of_dict(b, b->d, words), n);
		write_word(word, dict_value(b, word, at % DICT_VALUES, &rand));
		use(t, b);
		end_dict(b);
		check_bystander(t, b);
	}
	/* They have met both, sound dicts and others. */
	mpt_check(t, b->returns[0] && b->returns[EBADMSG]);
}

/* By those who only look, and by those who are to repair it. */
static void
a_circle_comes_to_an_end(void **state)
{
	struct board *b = mpt_scratch(*state);
	const mproc_arena *a = mpr_arena_peek();
	struct mpt *t = *state;

	for (unsigned i = 0; i < 4 * KEYS; i++) {
		struct mpr_visit v;

		b->d = make_dict(t, b);
		assert_int_equal(mpr_visit_begin(&v, MPR_CELL_DICT, b->d), 0);
		assert_int_equal(mpr_visit_stripe(&v, 0), 0);
		for (unsigned n = 0; n < 16; n++) {
			uint64_t to = *mpr_table_bucket(&v, n);
			struct mpr_entry *e = mpr_arena_at(a, to);

			if (!to)
				continue;
			while (e->next)
				e = mpr_arena_at(a, e->next);
			e->next = i % 2 ? mpr_arena_offset(a, e) : to;
		}
		v.stripe->version |= i / 2 % 2;
		use(t, b);
		end_dict(b);
		check_bystander(t, b);
	}
}

static int
work(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	be_interruptible(t);
	while (!b->stop)
		use(t, b);
	return 0;
}

/* Several use a dict while its words are overwritten. */
static void
words_are_overwritten_at_work(void **state)
{
	struct board *b = mpt_scratch(*state);
	struct word words[DICT_WORDS];
	struct mpt *t = *state;
	struct mpt_rand rand;
	int ids[WORKERS];

	mpt_rand_init(&rand, mpt_seed());
	for (unsigned round = 0; round < rounds(2, 10, 50); round++) {
		unsigned n;

		b->d = make_dict(t, b);
		n = words_of_dict(b, b->d, words);
		b->stop = false;
		for (int i = 0; i < WORKERS; i++)
			ids[i] = mpt_spawn(t, "user", work, NULL);
		for (unsigned i = 0; i < 40; i++) {
			struct word *word = &words[mpt_rand_below(&rand, n)];
			uint64_t old = read_word(word);
			unsigned calls = b->calls;
			int64_t until = mproc_now() + 3000000;

			write_word(word, dict_value(b, word, (unsigned)
				   mpt_rand_below(&rand, DICT_VALUES), &rand));
			mpt_until(t, b->calls - calls > 20 ||
					     mproc_now() > until);
			if (mpt_rand_below(&rand, 4))
				write_word(word, old);
		}
		b->stop = true;
		for (int i = 0; i < WORKERS; i++)
			mpt_expect_exit(t, ids[i], 0);
		end_dict(b);
		check_bystander(t, b);
	}
}

#define hostile_test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		hostile_test(each_word_with_each_value),
		hostile_test(a_circle_comes_to_an_end),
		hostile_test(words_are_overwritten_at_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
