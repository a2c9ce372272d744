/* SPDX-License-Identifier: MIT */
/*
 * Defects that containers once had, and who reads one while it changes: the reader
 * stands between any two of its instructions, and others do what may be done then.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "common.h"
#include "containers/list.h"
#include "containers/table.h"
#include "puppet.h"

#define POINTS 10 /* where readers stand */
#define SEED 4711 /* so that a key is always in the same place */
#define LEN ((size_t)300) /* of texts; each is of one letter */

enum seen { OLD = 1, NEW = 2, NONE = 4, STALE = 8 };

/* In the scratch bytes. */
struct board {
	_Atomic bool has_read;
	_Atomic int seen;
	mproc_dict *d;
	_Atomic bool may_go, parent_may_go, has_ended;
	_Atomic pid_t forked;
};

/* A container with a text under key or index 0, and what happens to it. */
struct scene {
	mproc_dict *d;
	mproc_list *l;
	int (*read)(const struct scene *s, struct mproc_any *ret);
	void (*change)(struct scene *s);
	int may_be; /* what who reads meanwhile may see */
};

static struct mproc_any
text_of(char letter)
{
	static char text[128][LEN + 1];
	char *t = text[(unsigned char)letter % 128];

	memset(t, letter, LEN);
	return mproc_str(t);
}

static bool
is_text_of(const struct mproc_any *any, char letter)
{
	struct mproc_any text = text_of(letter);

	return any->kind == MPROC_STR && any->len == LEN &&
	       memcmp(any->ptr, text.ptr, LEN + 1) == 0;
}

static int
get_key(const struct scene *s, struct mproc_any *ret)
{
	return mproc_dict_get(s->d, mproc_int(0), ret);
}

static int
get_next(const struct scene *s, struct mproc_any *ret)
{
	struct mproc_cursor c = { { 0 } };
	struct mproc_any key;
	int r;

	/* Others may have come. */
	while ((r = mproc_dict_next(s->d, &c, &key, ret)) == 0 &&
	       key.i64 != 0)
		mproc_any_clear(ret);
	return r;
}

static int
get_index(const struct scene *s, struct mproc_any *ret)
{
	return mproc_list_get(s->l, 0, ret);
}

static int
seen_as(int r, const struct mproc_any *got)
{
	if (r == 0 && is_text_of(got, 'a'))
		return OLD;
	if (r == 0 && is_text_of(got, 'b'))
		return NEW;
	if (r == -ENOENT || r == -ERANGE || r == -ENODATA)
		return NONE;
	return r == -ESTALE ? STALE : 0;
}

static void
read_it(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mproc_any got = mproc_nil();
	const struct scene *s = arg;
	int r;

	puppet_halt();
	r = s->read(s, &got);
	b->has_read = true;
	b->seen = seen_as(r, &got);
}

static void
put_others(struct scene *s, int from)
{
	for (int i = from; i < from + 100; i++)
		if (s->d)
			assert_int_equal(mproc_dict_set(s->d, mproc_int(i),
							text_of('x')), 0);
		else
			assert_int_equal(mproc_list_append(s->l, text_of('x')),
					 0);
}

static void
begin(struct scene *s)
{
	if (s->read == get_index) {
		assert_int_equal(mproc_list_create(&s->l, NULL), 0);
		assert_int_equal(mproc_list_append(s->l, text_of('a')), 0);
	} else {
		assert_int_equal(mproc_dict_create(&s->d, NULL), 0);
		((struct mpr_table *)s->d)->seed = SEED;
		assert_int_equal(mproc_dict_set(s->d, mproc_int(0),
						text_of('a')), 0);
	}
}

static void
destroy(struct scene *s)
{
	mproc_dict_destroy(s->d);
	mproc_list_destroy(s->l);
	s->d = NULL;
	s->l = NULL;
}

/* How many instructions the reader takes where nothing happens. */
static unsigned
count_moves(struct mpt *t, struct scene *s)
{
	struct board *b = mpt_scratch(t);
	unsigned n = 0;
	pid_t pid;

	begin(s);
	b->has_read = false;
	for (pid = puppet_start(t, read_it, s); !b->has_read; n++)
		assert_true(puppet_move(t, pid));
	puppet_run(t, pid);
	destroy(s);
	return n;
}

static void
stand_at(struct mpt *t, struct scene *s, unsigned n)
{
	struct board *b = mpt_scratch(t);
	pid_t pid;

	begin(s);
	pid = puppet_start(t, read_it, s);
	for (unsigned i = 0; i < n; i++)
		assert_true(puppet_move(t, pid));
	s->change(s);
	puppet_run(t, pid);
	if (!(b->seen & s->may_be))
		print_error("at instruction %u: %d\n", n, b->seen);
	assert_true(b->seen & s->may_be);
	destroy(s);
}

static void
read_beside(struct mpt *t, int (*read)(const struct scene *, struct mproc_any *),
	    void (*change)(struct scene *s), int may_be)
{
	struct scene s = { .read = read, .change = change, .may_be = may_be };
	unsigned points = amount(POINTS), moves = count_moves(t, &s);

	mpt_watchdog(t, 120);
	for (unsigned i = 0; i < points; i++)
		stand_at(t, &s, moves * i / points);
}

/* Twice, and then what was there is of others. */
static void
set_another(struct scene *s)
{
	for (char c = 'c'; c >= 'b'; c--)
		if (s->d)
			assert_int_equal(mproc_dict_set(s->d, mproc_int(0),
							text_of(c)), 0);
		else
			assert_int_equal(mproc_list_set(s->l, 0, text_of(c)),
					 0);
	put_others(s, 1);
}

static void
take_it_away(struct scene *s)
{
	if (s->d)
		assert_int_equal(mproc_dict_pop(s->d, mproc_int(0), NULL), 0);
	else
		assert_int_equal(mproc_list_pop(s->l, 0, NULL), 0);
}

static void
take_and_put_others(struct scene *s)
{
	take_it_away(s);
	if (s->d)
		put_others(s, 1);
}

static void
only_put_others(struct scene *s)
{
	for (int i = 0; i < 4; i++)
		put_others(s, i * 100 + 1);
}

static void
destroy_it(struct scene *s)
{
	if (s->d)
		mproc_dict_destroy(s->d);
	else
		mproc_list_destroy(s->l);
	s->d = NULL;
	s->l = NULL;
}

/* In the same place. */
static void
make_another(struct scene *s)
{
	void *before = s->d ? (void *)s->d : (void *)s->l;

	destroy_it(s);
	begin(s);
	assert_ptr_equal(s->d ? (void *)s->d : (void *)s->l, before);
	set_another(s);
}

static void
who_reads_a_key_finds_what_was_there(void **state)
{
	read_beside(*state, get_key, set_another, OLD | NEW);
	read_beside(*state, get_key, take_and_put_others, OLD | NONE);
	read_beside(*state, get_key, only_put_others, OLD);
}

static void
who_goes_through_a_dict_meets_what_was_there(void **state)
{
	read_beside(*state, get_next, set_another, OLD | NEW);
	read_beside(*state, get_next, take_and_put_others, OLD | NONE);
	read_beside(*state, get_next, only_put_others, OLD);
}

static void
who_reads_from_a_list_finds_what_was_there(void **state)
{
	read_beside(*state, get_index, set_another, OLD | NEW);
	read_beside(*state, get_index, take_and_put_others, OLD | NONE);
	read_beside(*state, get_index, only_put_others, OLD);
}

static void
who_reads_what_is_destroyed_is_told(void **state)
{
	read_beside(*state, get_key, destroy_it, OLD | STALE);
	read_beside(*state, get_next, destroy_it, OLD | STALE);
	read_beside(*state, get_index, destroy_it, OLD | STALE);
	read_beside(*state, get_key, make_another, OLD | NEW | STALE);
	read_beside(*state, get_next, make_another, OLD | NEW | STALE);
	read_beside(*state, get_index, make_another, OLD | NEW | STALE);
}

/* A pointer that mproc_any_clear() must not be given. */
static void
what_cannot_be_read_is_nothing(void **state)
{
	struct mproc_any got = mproc_str("not to be freed");
	mproc_dict *d;

	(void)state;
	got.owned = 1;
	assert_int_equal(mproc_dict_get(NULL, mproc_int(0), &got), -EINVAL);
	assert_int_equal(got.kind, MPROC_NIL);
	assert_int_equal(mproc_dict_create(&d, NULL), 0);
	got = mproc_str("not to be freed");
	assert_int_equal(mproc_dict_get(d, mproc_str(NULL), &got), -EINVAL);
	assert_int_equal(got.kind, MPROC_NIL);
	mproc_dict_destroy(d);
	got = mproc_str("not to be freed");
	assert_int_equal(mproc_dict_get(d, mproc_int(0), &got), -ESTALE);
	assert_int_equal(got.kind, MPROC_NIL);
}

static int
keep_the_text(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	(void)ctx;
	*value = *old;
	return 1;
}

static void
an_update_may_set_what_it_was_given(void **state)
{
	struct mproc_any got;
	mproc_dict *d;

	(void)state;
	assert_int_equal(mproc_dict_create(&d, NULL), 0);
	assert_int_equal(mproc_dict_set(d, mproc_int(0), text_of('a')), 0);
	assert_int_equal(mproc_dict_update(d, mproc_int(0), keep_the_text,
					   NULL), 1);
	assert_int_equal(mproc_dict_get(d, mproc_int(0), &got), 0);
	assert_true(is_text_of(&got, 'a'));
	mproc_any_clear(&got);
	mproc_dict_destroy(d);
}

static int
fork_a_reader(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	pid_t child = fork();
	int status, r = mproc_dict_has(ctx, mproc_int(0));

	(void)old;
	(void)value;
	if (child == 0)
		_exit(r == 1 ? 0 : 1);
	if (r != -EDEADLK || waitpid(child, &status, 0) != child || status)
		return -EIO;
	return 0;
}

/* It may go on for long after the function has returned. */
static void
a_process_that_an_update_has_forked_is_not_in_it(void **state)
{
	mproc_dict *d;

	(void)state;
	assert_int_equal(mproc_dict_create(&d, NULL), 0);
	assert_int_equal(mproc_dict_set(d, mproc_int(0), mproc_int(1)), 0);
	assert_int_equal(mproc_dict_update(d, mproc_int(0), fork_a_reader, d),
			 0);
	mproc_dict_destroy(d);
}

/* What comes behind the first page of a run may have gone back to the kernel when
 * somebody slow looks, and to look at it brings it back. */
static void
a_long_key_is_not_compared_in_memory_that_may_have_gone(void **state)
{
	static char text[3 << 12], large[3 << 19];
	struct mproc_any any = mproc_bytes(text, sizeof(text));
	struct mpr_visit v;
	struct mpr_place at;
	struct mpr_key key;
	mproc_dict *d;

	(void)state;
	assert_int_equal(mproc_dict_create(&d, NULL), 0);
	assert_int_equal(mproc_dict_set(d, any, mproc_bytes(large,
							    sizeof(large))),
			 0);
	assert_int_equal(mpr_visit_begin(&v, MPR_CELL_DICT, d), 0);
	assert_int_equal(mpr_key_make(&v, &any, &key), 0);
	assert_int_equal(mpr_visit_stripe(&v, key.stripe), 0);
	assert_int_equal(mpr_table_find(&v, &key, &at), -EAGAIN);
	assert_int_equal(mpr_visit_lock(&v), 0);
	assert_int_equal(mpr_table_find(&v, &key, &at), 0);
	assert_true(at.is_there && !at.item.ref.block);
	mpr_visit_unlock(&v);
	assert_int_equal(mproc_dict_has(d, any), 1);
	mproc_dict_destroy(d);
}

/* After so many cuts there are 2^64 buckets, which is none in 64 bits. */
static void
a_dict_of_too_many_buckets_is_not_taken_for_empty(void **state)
{
	struct mpr_visit v;
	mproc_dict *d;

	(void)state;
	assert_int_equal(mproc_dict_create(&d, NULL), 0);
	assert_int_equal(mproc_dict_set(d, mproc_int(0), mproc_int(1)), 0);
	assert_int_equal(mpr_visit_begin(&v, MPR_CELL_DICT, d), 0);
	for (int i = 0; i < MPR_STRIPES; i++)
		v.stripes[i].cuts = UINT64_C(0x5555555555555554);
	assert_int_equal(mproc_dict_clear(d), -EBADMSG);
	for (int i = 0; i < MPR_STRIPES; i++)
		v.stripes[i].cuts = 0;
	assert_int_equal(mproc_dict_clear(d), 0);
	assert_int_equal(mproc_dict_len(d), 0);
	mproc_dict_destroy(d);
}

static struct board *shared;

static int
stay_in_an_update(const struct mproc_any *old, struct mproc_any *value,
		  void *ctx)
{
	(void)old;
	(void)value;
	mpt_step(ctx, 0);
	mpt_until(ctx, shared->may_go);
	return 0;
}

static int
update_slowly(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, mproc_dict_update(shared->d, mproc_int(0),
					   stay_in_an_update, t), 0);
	return 0;
}

/* The child goes on at once, its parent does not. */
static void
fork_here(int sig)
{
	pid_t pid = fork();

	(void)sig;
	if (!pid)
		return;
	shared->forked = pid;
	while (!shared->parent_may_go)
		sched_yield();
}

static int
destroy_and_be_forked(struct mpt *t, void *arg)
{
	pid_t me = getpid();

	(void)arg;
	signal(SIGUSR1, fork_here);
	mproc_dict_destroy(shared->d);
	if (getpid() != me)
		_exit(0);
	/* It was not asked to fork as long as it was willing to wait. */
	shared->has_ended = true;
	mpt_until(t, shared->forked > 0);
	mpt_check_int(t, waitpid(shared->forked, NULL, 0), shared->forked);
	return 0;
}

static unsigned
waiters_for_stripe_of(mproc_dict *d, int64_t key)
{
	struct mpr_visit v = { .arena = the_arena(), .table = (void *)d };
	struct mproc_any any = mproc_int(key);
	struct mproc_owner owner;
	struct mpr_block_ref ref;
	struct mpr_key k;

	assert_true(mpr_heap_find_at(v.arena, &v.table->root, &ref));
	v.stripes = mpr_arena_at(v.arena, ref.offset);
	assert_int_equal(mpr_key_make(&v, &any, &k), 0);
	assert_int_equal(mproc_lock_owner((mproc_lock *)&v.stripes[k.stripe].lock,
					  &owner), 0);
	return owner.waiters;
}

/* It opened the cell, which somebody made a dict of; and the parent went on to
 * destroy that one. */
static void
a_handlers_child_does_not_go_on_to_destroy(void **state)
{
	struct mproc_any got;
	struct mpt *t = *state;
	mproc_dict *d;
	int id;

	mpt_watchdog(t, 60);
	shared = mpt_scratch(t);
	assert_int_equal(mproc_dict_create(&shared->d, NULL), 0);
	mpt_spawn(t, "slow", update_slowly, NULL);
	mpt_reach(t, 1);
	id = mpt_spawn(t, "parent", destroy_and_be_forked, NULL);
	mpt_until(t, shared->has_ended ||
			     (waiters_for_stripe_of(shared->d, 0) == 1 &&
			      mpt_task_state(mpt_pid(t, id)) == 'S'));
	assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
	mpt_until(t, shared->forked > 0);
	shared->may_go = true;
	mpt_until(t, mpt_task_state(shared->forked) == 'Z');
	assert_int_equal(mproc_dict_create(&d, NULL), 0);
	assert_int_equal(mproc_dict_set(d, mproc_int(0), mproc_int(1)), 0);
	shared->parent_may_go = true;
	mpt_join_all(t);
	assert_int_equal(mproc_dict_get(d, mproc_int(0), &got), 0);
	assert_int_equal(mproc_dict_get(shared->d, mproc_int(0), &got),
			 shared->d == d ? 0 : -ESTALE);
	mproc_dict_destroy(d);
}

/* It was given up by who made the next dict there. */
static void
what_a_slow_one_keeps_from_being_freed_is_freed_later(void **state)
{
	struct mproc_arena_stat before, after;
	struct mpt *t = *state;
	mproc_dict *first, *next;

	mpt_watchdog(t, 60);
	shared = mpt_scratch(t);
	assert_int_equal(mproc_dict_create(&first, NULL), 0);
	assert_int_equal(mproc_dict_create(&next, NULL), 0);
	mproc_dict_destroy(first);
	mproc_dict_destroy(next);
	assert_int_equal(mproc_arena_stat(NULL, &before), 0);

	assert_int_equal(mproc_dict_create(&shared->d, NULL), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(mproc_dict_set(shared->d, mproc_int(i),
						text_of('a')), 0);
	mpt_spawn(t, "slow", update_slowly, NULL);
	mpt_reach(t, 1);
	mproc_dict_destroy(shared->d);
	assert_int_equal(mproc_dict_create(&next, NULL), 0);
	assert_ptr_not_equal(next, shared->d);
	assert_int_equal(mproc_dict_set(next, mproc_int(0), mproc_int(1)), 0);
	shared->may_go = true;
	mpt_join_all(t);
	assert_int_equal(mproc_dict_len(next), 1);
	assert_int_equal(mproc_dict_create(&first, NULL), 0);
	assert_int_equal(mproc_dict_len(first), 0);
	mproc_dict_destroy(first);
	mproc_dict_destroy(next);
	assert_int_equal(mproc_arena_stat(NULL, &after), 0);
	assert_int_equal(after.blocks, before.blocks);
}

struct sorting {
	mproc_list *l;
	pid_t child; /* 0 in that; -1 before */
	int status;
};

static int
destroy_and_fork(const struct mproc_any *a, const struct mproc_any *b, void *ctx)
{
	struct sorting *s = ctx;

	(void)a;
	(void)b;
	if (s->child < 0) {
		mproc_list_destroy(s->l);
		s->child = fork();
		if (s->child)
			waitpid(s->child, &s->status, 0);
	}
	return 0;
}

/* Its parent is still in there. */
static void
a_comparisons_child_does_not_take_the_list_apart(void **state)
{
	struct sorting s = { .child = -1 };
	struct mproc_arena_stat before, after;
	int r;

	(void)state;
	assert_int_equal(mproc_list_create(&s.l, NULL), 0);
	assert_int_equal(mproc_arena_stat(NULL, &before), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mproc_list_append(s.l, text_of('a')), 0);
	r = mproc_list_sort(s.l, destroy_and_fork, &s);
	if (s.child == 0)
		_exit(r < 0 && atomic_load((_Atomic uint64_t *)s.l) & MPR_HELD ?
			      0 : 1);
	assert_int_equal(s.status, 0);
	assert_int_equal(r, -ESTALE);
	assert_false(atomic_load((_Atomic uint64_t *)s.l) & MPR_HELD);
	assert_int_equal(mproc_arena_stat(NULL, &after), 0);
	assert_int_equal(after.blocks, before.blocks);
}

/* A list that is destroyed and made again while one is about to take it: that one has
 * the new one's lock for a few instructions, until it notices. If the new one is
 * destroyed just then, its memory is that one's to give back. */

enum {
	LATEST = 600, /* instructions after which the list is free for the late one */
	VALUES = 20,
};

static void
append_late(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	const struct scene *s = arg;
	mproc_list *own;

	/* A participant, with memory at hand. */
	mpt_check_int(t, mproc_list_create(&own, NULL), 0);
	mproc_list_destroy(own);
	puppet_halt();
	b->seen = mproc_list_append(s->l, mproc_int(1));
	puppet_halt();
}

static uint64_t
word_of(const mproc_list *l)
{
	return atomic_load(&l->lock.cell.word);
}

static void
make_list(struct scene *s)
{
	assert_int_equal(mproc_list_create(&s->l, NULL), 0);
	for (int i = 0; i < VALUES; i++)
		assert_int_equal(mproc_list_append(s->l, text_of('a')), 0);
}

/* A puppet before the instruction by which it takes the list, which we had until it
 * was moved @n times; or 0 if it cannot be brought there, by @moves. */
static pid_t
bring_to_the_door(struct mpt *t, struct scene *s, unsigned n, unsigned *moves)
{
	struct mpr_list_use u;
	pid_t pid = puppet_start(t, append_late, s);
	unsigned i = 0;

	assert_int_equal(mpr_list_enter(s->l, &u), 0);
	for (; i < n; i++)
		assert_true(puppet_move(t, pid));
	assert_int_equal(mpr_list_leave(&u, 0), 0);
	for (; i < *moves && !word_of(s->l); i++)
		assert_true(puppet_move(t, pid));
	*moves = i;
	return pid;
}

/* Returns whether the puppet has had a list that it did not want. */
static bool
remake_at(struct mpt *t, unsigned n)
{
	struct scene s = { .l = NULL };
	struct board *b = mpt_scratch(t);
	struct mproc_arena_stat before, after;
	unsigned moves = n + 2 * LATEST;
	const mproc_list *place;
	bool had;
	pid_t pid;

	make_list(&s);
	place = s.l;
	pid = bring_to_the_door(t, &s, n, &moves);
	had = word_of(s.l) & MPR_HELD;
	puppet_kill(pid);
	mproc_list_destroy(s.l);
	if (!had || moves <= n)
		return false;
	assert_true(mproc_arena_recover(NULL) >= 0);
	/* The cell and its root stay, as does what cells are in. */
	make_list(&s);
	mproc_list_destroy(s.l);
	assert_int_equal(mproc_arena_stat(NULL, &before), 0);

	make_list(&s);
	moves--;
	pid = bring_to_the_door(t, &s, n, &moves);
	mproc_list_destroy(s.l);
	make_list(&s);
	assert_ptr_equal(s.l, place);
	assert_true(puppet_move(t, pid));
	had = word_of(s.l) & MPR_HELD;
	mproc_list_destroy(s.l);
	puppet_run(t, pid);
	/* If it has taken the list at once, that is the one it wanted. */
	assert_true(b->seen == 0 || b->seen == -ESTALE ||
		    b->seen == -ESHUTDOWN);
	/* It lives, and has given all back. */
	assert_int_equal(word_of(place) & MPR_HELD, 0);
	assert_int_equal(mproc_arena_stat(NULL, &after), 0);
	assert_int_equal(after.blocks, before.blocks);
	puppet_kill(pid);
	assert_true(mproc_arena_recover(NULL) >= 0);
	return had && b->seen < 0;
}

static void
who_takes_a_list_by_mistake_gives_its_memory_back(void **state)
{
	unsigned times = 0;

	for (unsigned n = 0; n < LATEST; n += 20)
		times += remake_at(*state, n);
	assert_true(times > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_reads_a_key_finds_what_was_there),
		mpt_test(who_goes_through_a_dict_meets_what_was_there),
		mpt_test(who_reads_from_a_list_finds_what_was_there),
		mpt_test(who_reads_what_is_destroyed_is_told),
		mpt_test(what_cannot_be_read_is_nothing),
		mpt_test(an_update_may_set_what_it_was_given),
		mpt_test(a_process_that_an_update_has_forked_is_not_in_it),
		mpt_test(
		a_long_key_is_not_compared_in_memory_that_may_have_gone),
		mpt_test(a_dict_of_too_many_buckets_is_not_taken_for_empty),
		mpt_test(a_handlers_child_does_not_go_on_to_destroy),
		mpt_test(what_a_slow_one_keeps_from_being_freed_is_freed_later),
		mpt_test(a_comparisons_child_does_not_take_the_list_apart),
		mpt_test(who_takes_a_list_by_mistake_gives_its_memory_back),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
