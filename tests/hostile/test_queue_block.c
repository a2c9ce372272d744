/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer writes anything in the words that lead to messages in blocks:
 * the queue's list of groups, the blocks' owners, memory and lengths, and the
 * references in the lanes. Others may be told that the queue is corrupt, may
 * read bytes that nobody sent, and lose messages; their calls return in time
 * and write nowhere outside their buffers.
 *
 * A word may name what belongs to someone else, whose bytes are then lost. So
 * each role has an arena of its own, and this program none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "hostile.h"
#include "ipc/message_block.h"

#define LONG 5000
#define ROOM 6000

enum {
	BLOCKS = 3,
	REFERENCES = 2,
	BLOCK_WORDS = 10 + 3 * BLOCKS + 4 * REFERENCES,
	BLOCK_VALUES = VALUES + 13,
};

/* What the words of a queue are, and what they could name instead. */
struct scene {
	mproc_queue *q;
	struct word word[BLOCK_WORDS];
	unsigned n;
	struct words base; /* for hostile_value() */
	mproc_queue *other;
	void *users; /* a block of the user's */
};

/* In the scratch bytes. */
struct hostile {
	_Atomic uint32_t at; /* number of what is being tried */
	_Atomic uint32_t calls;
	_Atomic uint32_t returns[256]; /* by error */
};

enum kind {
	SEVERAL, /* consumers */
	SINGLE,
	ORDERED,
	KINDS
};

struct task {
	unsigned word;
	enum kind kind;
};

static int
noted(struct mpt *t, int r)
{
	struct hostile *h = mpt_scratch(t);

	if (r > -256)
		h->returns[r < 0 ? -r : 0]++;
	h->calls++;
	return r;
}

static struct mpr_message_group *
group_of(mproc_queue *q)
{
	return mpr_arena_at(mpr_arena_peek(), atomic_load(&q->blocks));
}

static struct mpr_lane *
lane_of(mproc_queue *q)
{
	return mpr_arena_at(mpr_arena_peek(), atomic_load(&q->lanes));
}

static void
name_word(struct scene *s, const char *name, unsigned index, void *p,
	  size_t size)
{
	struct word *word = &s->word[s->n++];

	snprintf(word->name, sizeof(word->name), "%s %u", name, index);
	word->p = p;
	word->size = size;
}

static void
name_words(struct scene *s)
{
	struct mpr_message_group *g = group_of(s->q);
	unsigned char *frame = lane_of(s->q)->buffer;

	s->n = 0;
	name_word(s, "blocks", 0, &s->q->blocks, 8);
	name_word(s, "wants_block", 0, &s->q->wants_block, 4);
	name_word(s, "wants_memory", 0, &s->q->wants_memory, 4);
	name_word(s, "waits", 0, &s->q->waits, 8);
	name_word(s, "stamps", 0, &s->q->stamps, 8);
	name_word(s, "awaits", 0, &lane_of(s->q)->awaits, 8);
	name_word(s, "last_object", 0, &lane_of(s->q)->last_object, 8);
	name_word(s, "last_use", 0, &lane_of(s->q)->last_use, 8);
	name_word(s, "last_tail", 0, &lane_of(s->q)->last_tail, 8);
	name_word(s, "next", 0, &g->next, 8);
	for (unsigned i = 0; i < BLOCKS; i++) {
		name_word(s, "state", i, &g->block[i].state, 8);
		name_word(s, "memory", i, &g->block[i].memory, 8);
		name_word(s, "len", i, &g->block[i].len, 8);
	}
	/* The header, the block, which of its uses, and the stamp. */
	for (unsigned i = 0; i < REFERENCES; i++)
		for (unsigned j = 0; j < 4; j++)
			name_word(s, "reference", 10 * i + j,
				  frame + i * (CAPACITY / 4) + 8 * j, 8);
}

/* A queue with two long messages, and one free block with memory. */
static mproc_queue *
make_queue(struct mpt *t, enum kind kind)
{
	static unsigned char bytes[ROOM];
	mproc_queue *q = NULL;

	mpt_check_int(t, mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = CAPACITY,
			       .single_consumer = kind == SINGLE,
			       .ordered = kind == ORDERED)), 0);
	for (int i = 0; i < 2; i++)
		mpt_check_int(t, mproc_queue_put(q, bytes, LONG, MPROC_NOWAIT),
			      0);
	return q;
}

static void
begin(struct mpt *t, struct scene *s, enum kind kind)
{
	const mproc_arena *a;

	s->q = make_queue(t, kind);
	s->other = make_queue(t, SEVERAL);
	s->users = mproc_alloc(8192);
	mpt_check(t, s->users);
	a = mpr_arena_peek();
	name_words(s);
	s->base = (struct words){
		.lane = atomic_load(&s->q->lanes),
		.queue = mpr_arena_offset(a, s->q),
		.arena = a->shmem.size,
	};
}

static uint64_t
value_of(const struct scene *s, uint64_t old, unsigned n, struct mpt_rand *rand)
{
	const mproc_arena *a = mpr_arena_peek();
	const struct mpr_message_group *mine = group_of(s->q);
	const struct mpr_message_group *others = group_of(s->other);
	const uint64_t values[BLOCK_VALUES - VALUES] = {
		mpr_arena_offset(a, mine),
		mpr_arena_offset(a, &mine->block[0]),
		mpr_arena_offset(a, &mine->block[1]),
		mpr_arena_offset(a, &mine->block[1].len), /* in a block */
		mpr_arena_offset(a, others),
		mpr_arena_offset(a, &others->block[0]),
		atomic_load(&mine->block[1].memory),
		atomic_load(&others->block[0].memory),
		atomic_load(&others->block[0].state),
		atomic_load(&s->other->lanes),
		mpr_arena_offset(a, s->users),
		mpr_arena_offset(a, s->users) + 1,
		LONG + 4000, /* longer than the memory */
	};

	return n < VALUES ? hostile_value(&s->base, old, n, rand) :
			    values[n - VALUES];
}

/* The calls. */

static void
put_long(struct mpt *t, mproc_queue *q, mproc_timeout timeout)
{
	int64_t start = mproc_now();
	unsigned char *msg = malloc(LONG); /* its end is the sanitizer's */
	int r;

	mpt_check(t, msg);
	memset(msg, 1, LONG);
	r = noted(t, mproc_queue_put(q, msg, LONG, timeout));
	free(msg);
	if (!put_may_return(r))
		mpt_fail(t, __FILE__, __LINE__, "put: %s", mproc_strerror(r));
	mpt_check(t, mproc_now() - start < bound());
}

static void
get_long(struct mpt *t, mproc_queue *q, bool many, mproc_timeout timeout)
{
	int64_t start = mproc_now();
	unsigned char *buf = malloc(ROOM);
	struct iovec msgs[2];
	size_t len = 0;
	int r;

	mpt_check(t, buf);
	if (many) {
		r = noted(t, mproc_queue_get_many(q, buf, ROOM, msgs, 2,
						  timeout));
		for (int i = 0; i < r; i++)
			len += msgs[i].iov_len;
		r = r > 0 ? 0 : r;
	} else {
		r = noted(t, mproc_queue_get(q, buf, ROOM, &len, timeout));
	}
	free(buf);
	if (!get_may_return(r))
		mpt_fail(t, __FILE__, __LINE__, "get: %s", mproc_strerror(r));
	mpt_check(t, r < 0 || len <= ROOM);
	mpt_check(t, mproc_now() - start < bound());
}

/* What commit, abort and release may say of something that is held. */
static bool
is_let_go(int r)
{
	return r == 0 || r == -ESHUTDOWN || r == -ESTALE;
}

static void
write_in_place(struct mpt *t, mproc_queue *q, bool commit)
{
	void *p;
	int r = noted(t, mproc_queue_reserve(q, LONG, &p, mproc_us(500)));

	if (!put_may_return(r))
		mpt_fail(t, __FILE__, __LINE__, "reserve: %s",
			 mproc_strerror(r));
	if (r < 0)
		return;
	mpt_check(t, mproc_is_shared(p) &&
			     mproc_is_shared((char *)p + LONG - 1));
	memset(p, 2, LONG);
	mpt_check(t, is_let_go(commit ? mproc_queue_commit(q, p, LONG) :
					mproc_queue_abort(q, p)));
}

static void
read_in_place(struct mpt *t, mproc_queue *q)
{
	volatile unsigned char sum = 0;
	const unsigned char *bytes;
	const void *p;
	size_t len;
	int r = noted(t, mproc_queue_peek(q, &p, &len, mproc_us(500)));

	if (!get_may_return(r))
		mpt_fail(t, __FILE__, __LINE__, "peek: %s", mproc_strerror(r));
	if (r < 0)
		return;
	/* All of it can be read. */
	bytes = p;
	for (size_t i = 0; i < len; i++)
		sum = (unsigned char)(sum + bytes[i]);
	mpt_check(t, is_let_go(mproc_queue_release(q, p)));
}

static void
use(struct mpt *t, mproc_queue *q)
{
	put_long(t, q, MPROC_NOWAIT);
	read_in_place(t, q);
	for (int i = 0; i < 3; i++) {
		write_in_place(t, q, i != 1);
		put_long(t, q, mproc_us(500));
		checked_put(t, q, 60, MPROC_NOWAIT);
		get_long(t, q, i == 1, mproc_us(500));
		read_in_place(t, q);
		get_long(t, q, i == 0, MPROC_NOWAIT);
	}
	checked_stat(t, q);
}

static void
finish(struct mpt *t, mproc_queue *q)
{
	mpt_check(t, put_may_return(mproc_queue_shutdown(q, MPROC_DRAIN)));
	read_in_place(t, q);
	put_long(t, q, mproc_us(500));
	mproc_queue_destroy(q);
	put_long(t, q, MPROC_NOWAIT);
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
}

/* The queue that nobody has written in stays what it is. */
static void
check_other(struct mpt *t, mproc_queue *q)
{
	static const unsigned char sent[LONG];
	static unsigned char got[ROOM];
	size_t len;

	for (int i = 0; i < 2; i++) {
		mpt_check_int(t, mproc_queue_get(q, got, ROOM, &len,
						 MPROC_NOWAIT), 0);
		mpt_check(t, len == LONG && memcmp(got, sent, LONG) == 0);
	}
}

static int
write_each_value(struct mpt *t, void *arg)
{
	struct hostile *h = mpt_scratch(t);
	const struct task *task = arg;
	struct mpt_rand rand;
	struct scene s;

	mpt_rand_init(&rand, mpt_seed() + task->word);
	for (unsigned i = 0; i < BLOCK_VALUES; i++) {
		const struct word *word;

		begin(t, &s, task->kind);
		word = &s.word[task->word];
		h->at = 1 + task->word * BLOCK_VALUES + i;
		write_word(word, value_of(&s, read_word(word), i, &rand));
		use(t, s.q);
		finish(t, s.q);
		check_other(t, s.other);
		use(t, s.other);
		finish(t, s.other);
		mproc_free(s.users);
	}
	return 0;
}

/* With one word at a time. */
static void
any_word_may_be_anything(void **state)
{
	static struct task tasks[BLOCK_WORDS];
	struct mpt *t = *state;

	for (int kind = 0; kind < KINDS; kind++)
		for (unsigned i = 0; i < BLOCK_WORDS; i++) {
			tasks[i] = (struct task){ i, (enum kind)kind };
			mpt_expect_exit(t, mpt_spawn(t, "victim",
						     write_each_value,
						     &tasks[i]), 0);
		}
}

/* A child that works until the queue is gone. */
static void
work(struct mpt *t, mproc_queue *q)
{
	for (unsigned i = 0; atomic_load(&q->closing) == 0; i++) {
		put_long(t, q, mproc_us(300));
		write_in_place(t, q, i % 3 != 0);
		get_long(t, q, i % 2, mproc_us(300));
		read_in_place(t, q);
	}
	_exit(0);
}

#define PEERS 2

static int
scribble(struct mpt *t, void *arg)
{
	const struct task *task = arg;
	struct hostile *h = mpt_scratch(t);
	struct mpt_rand rand;
	struct scene s;
	pid_t pid[PEERS];
	int status;

	mpt_rand_init(&rand, mpt_seed() + task->word);
	begin(t, &s, task->kind);
	for (int i = 0; i < PEERS; i++) {
		pid[i] = fork();
		mpt_check(t, pid[i] >= 0);
		if (pid[i] == 0)
			work(t, s.q);
	}
	for (unsigned i = 0; i < 300; i++) {
		const struct word *word = &s.word[mpt_rand_below(&rand, s.n)];
		uint32_t calls = h->calls;

		/* The list itself is what value_of() needs. */
		if (word->p != &s.q->blocks)
			write_word(word, value_of(&s, read_word(word),
				(unsigned)mpt_rand_below(&rand, BLOCK_VALUES),
				&rand));
		mpt_until(t, h->calls != calls);
	}
	mpt_check(t, put_may_return(mproc_queue_shutdown(s.q,
							 MPROC_IMMEDIATE)));
	for (int i = 0; i < PEERS; i++) {
		mpt_check_int(t, waitpid(pid[i], &status, 0), pid[i]);
		mpt_check_int(t, status, 0);
	}
	finish(t, s.q);
	check_other(t, s.other);
	finish(t, s.other);
	return 0;
}

/* With any word, again and again, while others work. */
static void
words_may_change_at_any_time(void **state)
{
	static struct task tasks[KINDS];
	struct mpt *t = *state;

	for (unsigned i = 0; i < rounds(10, 40, 400); i++) {
		struct task *task = &tasks[i % KINDS];

		*task = (struct task){ i, (enum kind)(i % KINDS) };
		mpt_expect_exit(t, mpt_spawn(t, "scribbler", scribble, task),
				0);
	}
}

static int
setup(void **state)
{
	if (mpt_setup(state) < 0)
		return -1;
	mpt_watchdog(*state, 100);
	return 0;
}

static int
teardown(void **state)
{
	struct hostile *h = mpt_scratch(*state);

	if (h->at)
		printf("# the last value was number %u of word %u\n",
		       (h->at - 1) % BLOCK_VALUES, (h->at - 1) / BLOCK_VALUES);
	printf("# returned:");
	for (int i = 0; i < 256; i++)
		if (h->returns[i])
			printf(" %d %u times", -i, h->returns[i]);
	printf("\n");
	return mpt_teardown(state);
}

#define hostile_test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		hostile_test(any_word_may_be_anything),
		hostile_test(words_may_change_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
