/* SPDX-License-Identifier: MIT */
/*
 * The names of objects in an arena: a list of blocks of entries. Who changes
 * them holds the lock in the first block; who looks, or waits for a name, does
 * not.
 *
 * An entry is in use when its word is not 0, so it is bound, and taken away, by
 * one store, and a binder that is killed leaves nothing half done: the next
 * holder has nothing to repair.
 *
 *   word of an entry: bits 0..35  offset of the object, 0 if it is free
 *                     bits 36..63 how often it has been bound
 *
 * Where there is more than one block, who looks for a name finds its entry by an index
 * (sync/name_index.h).
 */
#include <errno.h>
#include <string.h>

#include <mproc/arena.h>
#include <mproc/sync.h>

#include "arena/heap.h"
#include "base/error.h"
#include "os/interrupt.h"
#include "os/thread.h"
#include "sync/await.h"
#include "sync/name_index.h"

#define MAGIC UINT64_C(0x73656d616e72706d)
#define BLOCKS_MAX 65536
#define WORDS 7 /* of a name */
#define OFFSET_BITS 36
#define OFFSET_MASK ((UINT64_C(1) << OFFSET_BITS) - 1)

static_assert(MPR_CAPACITY_MAX <= UINT64_C(1) << OFFSET_BITS, "offsets fit");

/* Padded with zeros, at least one. */
struct name {
	uint64_t words[WORDS];
};

struct entry {
	_Atomic uint64_t word;
	_Atomic uint64_t name[WORDS];
};

#define ENTRIES 62

struct block {
	_Atomic uint64_t next;
	uint64_t magic;
	/* In the first block only: */
	mproc_lock lock;
	struct mpr_cell bound; /* what who waits for a name waits for */
	_Atomic uint64_t indices;
	/* The block in which an entry was free last, or 0. */
	_Atomic uint64_t free;
	uint64_t pad[6];
	struct entry entries[ENTRIES];
};

static_assert(sizeof(struct entry) == 64, "shared layout");
static_assert(sizeof(struct block) == 4096, "shared layout");

static int
make_name(struct name *ret, const char *text)
{
	size_t len;

	if (!text || !*text)
		return mpr_fail(-EINVAL, "the name is NULL or empty");
	len = strlen(text);
	if (len >= sizeof(ret->words))
		return mpr_fail(-ENAMETOOLONG, "a name of %zu bytes, more than "
				"%zu", len, sizeof(ret->words) - 1);
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->words, text, len);
	return 0;
}

static uint64_t
hash_of(const uint64_t words[WORDS])
{
	uint64_t hash = 0;

	for (int i = 0; i < WORDS; i++) {
		hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	return hash;
}

static struct block *
block_at(const mproc_arena *a, uint64_t offset)
{
	struct block *b;

	if (!offset || !mpr_heap_is_linked(a, offset, sizeof(struct block)))
		return NULL;
	b = mpr_arena_at(a, offset);
	return b->magic == MAGIC ? b : NULL;
}

/* The block that @link names, or NULL at the end of the list. */
static struct block *
next_block(const mproc_arena *a, const _Atomic uint64_t *link)
{
	/* seq_cst, with the CAS that links a block: who has said that it waits
	 * finds the block that was added before others looked for it. */
	return block_at(a, atomic_load(link));
}

static bool
has_name(const struct entry *e, const struct name *name)
{
	/* Acquire, with the stores in bind(): who reads a word of a new name does
	 * not find the entry's old word after that. */
	for (int i = 0; i < WORDS; i++)
		if (atomic_load_explicit(&e->name[i], memory_order_acquire) !=
		    name->words[i])
			return false;
	return true;
}

/* A walk over all entries. */
struct walk {
	const mproc_arena *arena;
	const _Atomic uint64_t *link; /* to the block after this one */
	struct block *block;
	unsigned i;
	unsigned blocks;
};

static struct entry *
next_entry(struct walk *walk)
{
	if (!walk->block || walk->i == ENTRIES) {
		walk->block = walk->blocks++ < BLOCKS_MAX ?
				      next_block(walk->arena, walk->link) :
				      NULL;
		if (!walk->block)
			return NULL;
		walk->link = &walk->block->next;
		walk->i = 0;
	}
	return &walk->block->entries[walk->i++];
}

static bool
is_bound(const struct entry *e, const struct name *name, uint64_t *ret_word)
{
	/* seq_cst, see bind(): the name is there, and so is what its binder has written
	 * to the object. */
	uint64_t word = atomic_load(&e->word);

	if (!(word & OFFSET_MASK) || !has_name(e, name))
		return false;
	*ret_word = word;
	/* The name was read in between: before it is another one the word is another
	 * one. */
	return atomic_load(&e->word) == word;
}

static struct entry *
look_everywhere(const mproc_arena *a, const struct name *name, uint64_t *ret_word)
{
	struct walk walk = { .arena = a, .link = &a->shm->names };
	struct entry *e;

	while ((e = next_entry(&walk)))
		if (is_bound(e, name, ret_word))
			break;
	return e;
}

/* The one to which a place of an index leads, or NULL. */
static struct entry *
entry_at(const mproc_arena *a, uint64_t place)
{
	uint64_t offset = place & MPR_NAME_OFFSET;
	uint64_t in = offset % sizeof(struct block);
	struct block *b = block_at(a, offset - in);

	/* Any process can write there. */
	return b && in >= offsetof(struct block, entries) &&
			       in % sizeof(struct entry) == 0 ?
		       mpr_arena_at(a, offset) : NULL;
}

static bool
find_index(const mproc_arena *a, struct mpr_name_index *ret)
{
	struct block *first = next_block(a, &a->shm->names);

	return first && mpr_name_index_find(a, &first->indices, ret);
}

/* The entry with that name, or NULL; its word in *@ret_word. */
static struct entry *
look_up(const mproc_arena *a, const struct name *name, uint64_t *ret_word)
{
	uint64_t hash = hash_of(name->words);
	struct mpr_name_bucket *bucket;
	struct mpr_name_index index;
	struct entry *e;

	if (!find_index(a, &index))
		return look_everywhere(a, name, ret_word);
	bucket = mpr_name_bucket(&index, hash);
	for (unsigned i = 0; i < MPR_NAME_PLACES; i++) {
		/* seq_cst: see mpr_name_index_add(). */
		uint64_t place = atomic_load(&bucket->place[i]);

		e = mpr_name_place_fits(place, hash) ? entry_at(a, place) : NULL;
		if (e && is_bound(e, name, ret_word))
			return e;
	}
	return atomic_load(&bucket->beyond) ? look_everywhere(a, name, ret_word) : NULL;
}

/* In the block from which @walk begins, or those behind it. */
static struct entry *
find_free_from(struct walk walk)
{
	struct entry *e;

	while ((e = next_entry(&walk)))
		if (!(atomic_load(&e->word) & OFFSET_MASK))
			break;
	return e;
}

static struct entry *
find_free(const mproc_arena *a, struct block *first)
{
	struct block *hint = block_at(a, atomic_load_explicit(&first->free,
							      memory_order_relaxed));
	struct entry *e = NULL;

	if (hint)
		e = find_free_from((struct walk){ .arena = a, .link = &hint->next,
						  .block = hint });
	if (!e)
		e = find_free_from((struct walk){ .arena = a, .link = &a->shm->names });
	if (e)
		atomic_store_explicit(&first->free,
				      mpr_arena_offset(a, e) / sizeof(*first) *
					      sizeof(*first), memory_order_relaxed);
	return e;
}

static int
add_block(mproc_arena *a)
{
	struct mpr_block_ref ref;
	struct mpr_self *self;
	int r;

	r = mpr_self(a, &self);
	if (r == 0)
		r = mpr_heap_reserve(a, self, sizeof(struct block), &ref);
	if (r < 0)
		return r;
	((struct block *)mpr_arena_at(a, ref.offset))->magic = MAGIC;
	return mpr_block_append(a, self, &ref, &a->shm->names,
				offsetof(struct block, next), BLOCKS_MAX);
}

static uint64_t
hash_of_entry(const struct entry *e)
{
	uint64_t words[WORDS];

	for (int i = 0; i < WORDS; i++)
		words[i] = atomic_load_explicit(&e->name[i], memory_order_relaxed);
	return hash_of(words);
}

/* As mpr_name_index_add() asks. */
static bool
is_used(const mproc_arena *a, uint64_t place)
{
	const struct entry *e = entry_at(a, place);

	return e && atomic_load(&e->word) & OFFSET_MASK &&
	       mpr_name_place_fits(place, hash_of_entry(e));
}

static void
add_to(const struct mpr_name_index *index, const mproc_arena *a, const struct entry *e,
       uint64_t hash)
{
	mpr_name_index_add(index, a, hash, mpr_arena_offset(a, e), is_used);
}

/* A larger one, with all names, if there are so many, and memory for it. Without it there
 * is the one before, or none. */
static void
renew_index(mproc_arena *a, struct block *first, const struct mpr_name_index *before)
{
	struct walk walk = { .arena = a, .link = &a->shm->names };
	struct mpr_name_index index;
	struct mpr_block_ref ref;
	struct mpr_self *self;
	struct entry *e;
	uint64_t n = 0;
	int r;

	while ((e = next_entry(&walk)))
		n += (atomic_load(&e->word) & OFFSET_MASK) != 0;
	if (before && !mpr_name_index_counted(before, n))
		return;
	r = mpr_self(a, &self);
	if (r == 0)
		r = mpr_name_index_make(a, self, n, before, &index, &ref);
	if (r < 0)
		return;
	walk = (struct walk){ .arena = a, .link = &a->shm->names };
	while ((e = next_entry(&walk)))
		if (atomic_load(&e->word) & OFFSET_MASK)
			add_to(&index, a, e, hash_of_entry(e));
	(void)mpr_name_index_link(a, self, &ref, &first->indices);
}

/* Before @e has the name. */
static void
add_to_index(mproc_arena *a, struct block *first, const struct entry *e,
	     const struct name *name)
{
	struct mpr_name_index index;
	bool there = mpr_name_index_find(a, &first->indices, &index);

	if (there ? mpr_name_index_is_due(&index) : atomic_load(&first->next) != 0) {
		renew_index(a, first, there ? &index : NULL);
		there = mpr_name_index_find(a, &first->indices, &index);
	}
	if (there)
		add_to(&index, a, e, hash_of(name->words));
}

/* The first block, with the lock; made if need be. */
static int
get_first(mproc_arena *a, struct block **ret_b)
{
	int r = 0;

	/* If two make one, the first in the list counts. */
	if (!atomic_load(&a->shm->names))
		r = add_block(a);
	if (r < 0)
		return r;
	*ret_b = next_block(a, &a->shm->names);
	return *ret_b ? 0 : mpr_fail(-EBADMSG, "the arena's names are corrupt");
}

/* Who has it does so for microseconds, unless it is stopped. */
static int
lock(struct block *b)
{
	int r;

	/* This is no wait that somebody would like to interrupt. */
	mpr_interrupt_hold();
	r = mproc_lock_acquire(&b->lock, mproc_sec(1));
	mpr_interrupt_unhold();
	if (r == -ETIMEDOUT)
		return mpr_fail(-EBUSY, "another process is about to bind a "
				"name, and does not get on");
	return r == MPROC_OWNER_DIED ? mproc_lock_consistent(&b->lock) : r;
}

/* The lock is held. */
static int
bind(mproc_arena *a, struct block *first, const struct name *name, uint64_t offset)
{
	struct entry *e;
	uint64_t word;
	int r;

	if (look_up(a, name, &word))
		return mpr_fail(-EEXIST, "an object has that name");
	e = find_free(a, first);
	if (!e) {
		r = add_block(a);
		if (r < 0)
			return r;
		e = find_free(a, first);
	}
	if (!e)
		return mpr_fail(-EBADMSG, "the arena's names are corrupt");
	add_to_index(a, first, e, name);
	word = atomic_load(&e->word);
	/* Release: after the store that has made the entry free. */
	for (int i = 0; i < WORDS; i++)
		atomic_store_explicit(&e->name[i], name->words[i],
				      memory_order_release);
	/* seq_cst, before the look for those who wait: they say so, then look
	 * here. One of us sees the other. */
	atomic_store(&e->word,
		     word + (UINT64_C(1) << OFFSET_BITS) + offset);
	return 0;
}

static int
unbind(const mproc_arena *a, const struct name *name)
{
	uint64_t word;
	struct entry *e = look_up(a, name, &word);

	if (!e)
		return mpr_fail(-ENOENT, "no object has that name");
	atomic_store_explicit(&e->word, word & ~OFFSET_MASK,
			      memory_order_release);
	return 0;
}

/* The lock is held while the names change. */
static int
change_locked(mproc_arena *a, struct block *b, const struct name *name, uint64_t offset)
{
	struct mpr_wake k;
	int r = lock(b);

	if (r < 0)
		return r;
	/* If we die in between, those who wait look. */
	mpr_wake_begin(&k, a, mpr_self_in(a), &b->bound);
	r = offset ? bind(a, b, name, offset) : unbind(a, name);
	if (r == 0 && offset)
		mpr_wake_all(&k);
	mpr_wake_end(&k);
	mproc_lock_release(&b->lock);
	return r;
}

static int
change(mproc_arena *a, struct block *b, const struct name *name, uint64_t offset)
{
	sigset_t before;
	int r;

	/* A handler that forks, and returns in the copy too, would have that go on
	 * without the lock; or take it in our name. */
	mpr_thread_forbid_signals(&before);
	r = change_locked(a, b, name, offset);
	mpr_thread_allow_signals(&before);
	return r;
}

int
mproc_arena_bind(mproc_arena *a, const char *name, void *object)
{
	struct name n;
	struct block *b;
	int r;

	r = make_name(&n, name);
	if (r == 0)
		r = mpr_arena_resolve(a, &a);
	if (r < 0)
		return r;
	if (object && !mpr_arena_has(a, mpr_arena_offset(a, object), 1))
		return mpr_fail(-EINVAL, "%p lies not in the arena", object);
	r = get_first(a, &b);
	return r < 0 ? r : change(a, b, &n,
				  object ? mpr_arena_offset(a, object) : 0);
}

/* One call of mproc_arena_find() that waits. */
struct search {
	struct mpr_await await;
	const struct name *name;
	uint64_t word;
};

static int
look(struct mpr_await *await, bool waits)
{
	struct search *s = (struct search *)await;

	(void)waits;
	return look_up(await->self->arena, s->name, &s->word) ? 0 : -EBUSY;
}

/* Until it is bound. */
static int
wait_for(struct block *b, const struct name *name, mproc_timeout timeout,
	 uint64_t *ret_word)
{
	struct search s = {
		.await = {
			.look = look,
			.what = "the arena's names",
			.kind = MPR_WAIT_NEWS,
			.cell = &b->bound,
			.owner = -1,
		},
		.name = name,
	};
	int r = mpr_await_begin(&s.await);

	if (r == 0)
		r = mpr_await(&s.await, timeout);
	*ret_word = s.word;
	return r;
}

int
mproc_arena_find(mproc_arena *a, const char *name, void **ret,
		 mproc_timeout timeout)
{
	uint64_t word = 0;
	struct name n;
	struct block *b;
	int r;

	if (!ret)
		return mpr_fail(-EINVAL, "ret is NULL");
	r = make_name(&n, name);
	if (r == 0)
		r = mpr_arena_resolve(a, &a);
	if (r < 0)
		return r;
	if (!look_up(a, &n, &word)) {
		if (!timeout.ns)
			return mpr_fail(-ENOENT, "no object has the name %s",
					name);
		r = get_first(a, &b);
		if (r == 0)
			r = wait_for(b, &n, timeout, &word);
		if (r == -ETIMEDOUT)
			mpr_fail(r, "still no object has the name %s", name);
		if (r < 0)
			return r;
	}
	if (!mpr_arena_has(a, word & OFFSET_MASK, 1))
		return mpr_fail(-EBADMSG, "the arena's names are corrupt");
	*ret = mpr_arena_at(a, word & OFFSET_MASK);
	return 0;
}
