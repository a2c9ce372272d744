/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "arena/heap.h"
#include "base/error.h"
#include "base/log.h"
#include "containers/list.h"
#include "containers/list_use.h"
#include "containers/opts.h"
#include "containers/remote.h"

static struct mpr_list_root *
find_root(const mproc_arena *a, const mproc_list *list)
{
	/* Acquire pairs with the store that linked it: the mark is there. */
	uint64_t offset =
		atomic_load_explicit(&list->root, memory_order_acquire);
	struct mpr_list_root *root;
	struct mpr_block_ref ref;

	if (!offset || !mpr_heap_find_of(a, offset, &list->root, &ref) ||
	    ref.size < sizeof(*root))
		return NULL;
	root = mpr_arena_at(a, offset);
	return mpr_list_peek(&root->mark) ==
			       MPR_LIST_MARK + mpr_arena_offset(a, list) ?
		       root : NULL;
}

/* It lies in no arena. */
static MPR_NOINLINE int
look_elsewhere(const mproc_list *list)
{
	int r = mpr_remote_check(MPR_CELL_LIST, list);

	return r < 0 ? r : mpr_fail(-EFAULT, "%p is not shared memory",
				    (const void *)list);
}

int
mpr_list_look_up(mproc_list *list, struct mpr_list_use *u)
{
	mproc_arena *a = mpr_arena_of(list);
	uint64_t at = 0;

	if (!list)
		return mpr_fail(-EINVAL, "list is NULL");
	at = a ? mpr_arena_offset(a, list) : 0;
	if (!a || !mpr_arena_has(a, at, sizeof(*list)))
		return look_elsewhere(list);
	*u = (struct mpr_list_use){
		.list = list,
		.arena = a,
		.root = at % MPR_CELL ? NULL : find_root(a, list),
	};
	return u->root ? 0 : mpr_fail(-EINVAL, "%p is no list", (void *)list);
}

bool
mpr_list_look(struct mpr_list_use *u)
{
	uint64_t current = mpr_list_peek(&u->root->current), offset;
	const _Atomic uint64_t *link = &u->root->arrays[current & 1];
	struct mpr_block_ref ref = { .size = 0 };

	if (current > 1)
		return false;
	offset = mpr_list_peek(link);
	if (offset && !mpr_heap_find_of(u->arena, offset, link, &ref))
		return false;
	u->slots = offset ? mpr_arena_at(u->arena, offset) : NULL;
	u->capacity = ref.size / sizeof(*u->slots);
	u->may_vanish = !ref.block;
	u->len = mpr_list_peek(&u->root->len);
	return u->len <= u->capacity;
}

int
mpr_list_corrupt(const struct mpr_list_use *u)
{
	return mpr_fail(-EBADMSG, "the memory of list %p is corrupt",
			(const void *)u->list);
}

int
mpr_list_map(struct mpr_list_use *u)
{
	return mpr_list_look(u) ? 0 : mpr_list_corrupt(u);
}

/* It is gone, and the calling thread has its cell. */
static void
take_apart(mproc_list *list)
{
	struct mpr_list_use u = { .list = list, .arena = mpr_arena_of(list) };

	u.self = mpr_self_in(u.arena);
	u.root = find_root(u.arena, list);
	if (u.root) {
		(void)mpr_list_repair(&u);
		mpr_list_scrap(&u);
	}
	mpr_cell_open(list, MPR_GONE);
}

/* Whether the calling thread has it, as @word says; and @gone. */
static bool
is_ours(const mproc_list *list, uint64_t word, uint64_t gone)
{
	/* None in a child of the one that has it. */
	const struct mpr_self *self = mpr_self_in(mpr_arena_of(list));

	return self && mpr_holder_name(word) == (mpr_holder(self) | gone);
}

/* Whether it is gone, and the calling thread has its cell. */
static bool
is_ours_to_end(const mproc_list *list)
{
	return is_ours(list, atomic_load(&list->lock.cell.word), MPR_GONE);
}

static int
acquire(mproc_list *list)
{
	uint64_t before = atomic_load(&list->lock.cell.word);
	int r = mproc_lock_acquire((mproc_lock *)&list->lock, MPROC_FOREVER);

	/* We may have had the lock of a later list for a moment, and that was
	 * destroyed in it. But what a function that sorts or changes this one
	 * finds is left to the call that it is in. */
	if (r < 0 && !is_ours(list, before & ~MPR_GONE, 0) &&
	    is_ours_to_end(list))
		take_apart(list);
	if (r == -ESTALE || r == -ESHUTDOWN)
		return mpr_fail(r, "list %p was destroyed", (void *)list);
	if (r == -EDEADLK)
		return mpr_fail(r, "list %p is used by a function that sorts or "
				"changes it", (void *)list);
	return r;
}

int
mpr_list_leave(const struct mpr_list_use *u, int r)
{
	/* Destroyed meanwhile: the rest is for us to do. */
	if (mproc_lock_release((mproc_lock *)&u->list->lock) == -ESTALE &&
	    is_ours_to_end(u->list))
		take_apart(u->list);
	if (r == -ESTALE)
		return mpr_fail(r, "list %p was destroyed", (void *)u->list);
	/* Of a value, say. */
	return r == -EBADMSG ? mpr_list_corrupt(u) : r;
}

/* The last one that had it has died. */
static int
repair(struct mpr_list_use *u)
{
	int r = mpr_list_repair(u);

	if (r == 0)
		r = mpr_list_map(u);
	return r < 0 ? r : mproc_lock_consistent((mproc_lock *)&u->list->lock);
}

int
mpr_list_enter(mproc_list *list, struct mpr_list_use *u)
{
	int r = mpr_list_look_up(list, u);

	if (r == 0)
		r = acquire(list);
	if (r < 0)
		return r;
	u->self = mpr_self_in(u->arena);
	r = r == MPROC_OWNER_DIED ? repair(u) : mpr_list_map(u);
	return r < 0 ? mpr_list_leave(u, r) : 0;
}

bool
mpr_list_has(const struct mpr_list_use *u, int64_t index, uint64_t *ret)
{
	/* Below 0 it is beyond all. */
	*ret = index < 0 ? u->len + (uint64_t)index : (uint64_t)index;
	return *ret < u->len;
}

int
mpr_list_no_index(const struct mpr_list_use *u, int64_t index)
{
	return mpr_fail(-ERANGE, "index %lld in a list of %llu",
			(long long)index, (unsigned long long)u->len);
}

int
mpr_list_find(const struct mpr_list_use *u, int64_t index, uint64_t *ret)
{
	return mpr_list_has(u, index, ret) ? 0 : mpr_list_no_index(u, index);
}

static int
make_root(mproc_arena *a, struct mpr_self *self, mproc_list *list)
{
	struct mpr_block_ref ref;
	struct mpr_list_root *root;
	int r;

	/* What is linked there and is no root is nothing of ours. */
	atomic_store(&list->root, 0);
	r = mpr_heap_reserve(a, self, sizeof(*root), &ref);
	if (r < 0)
		return r;
	root = mpr_arena_at(a, ref.offset);
	atomic_init(&root->mark, MPR_LIST_MARK + mpr_arena_offset(a, list));
	mpr_block_link(a, self, &ref, &list->root);
	return 0;
}

static bool
is_scrapped(const struct mpr_list_root *root)
{
	return !mpr_list_peek(&root->len) && !mpr_list_peek(&root->current) &&
	       !mpr_list_peek(&root->arrays[0]) &&
	       !mpr_list_peek(&root->arrays[1]) &&
	       !mpr_list_peek(&root->doing) &&
	       !mpr_slot_get(&root->hand).word;
}

/* Its cell may have been a list before, which one that died has not destroyed to
 * the end. */
static int
make(mproc_list *list)
{
	struct mpr_list_use u = { .list = list, .arena = mpr_arena_of(list) };

	u.self = mpr_self_in(u.arena);
	u.root = find_root(u.arena, list);
	if (!u.root)
		return make_root(u.arena, u.self, list);
	if (!is_scrapped(u.root)) {
		(void)mpr_list_repair(&u);
		mpr_list_scrap(&u);
	}
	return 0;
}

int
mproc_list_create(mproc_list **ret_list, const struct mproc_list_opts *opts)
{
	mproc_arena *a;
	void *list;
	int r = mpr_container_opts(ret_list, opts, &a);

	if (r == 0)
		r = mpr_cell_create_in(a, MPR_CELL_LIST, &list);
	if (r < 0)
		return r;
	r = make(list);
	mpr_cell_open(list, r < 0 ? MPR_GONE : 0);
	if (r < 0)
		return r;
	*ret_list = list;
	return 0;
}

int
mpr_list_check(mproc_list *list)
{
	struct mpr_list_use u;
	int r = mpr_list_look_up(list, &u);

	if (r == 0 && atomic_load(&list->lock.cell.word) & MPR_GONE)
		return mpr_fail(-ESTALE, "list %p was destroyed", (void *)list);
	return r;
}

void
mproc_list_destroy(mproc_list *list)
{
	int r;

	if (!list)
		return;
	if (mpr_remote_check(MPR_CELL_LIST, list) == MPR_REMOTE) {
		(void)mpr_remote_simple(list, MPR_OP_DESTROY);
		return;
	}
	r = mpr_cell_end(MPR_CELL_LIST, list);
	if (r < 0)
		mpr_log(MPROC_LOG_ERROR, "list %p is not destroyed: %s",
			(void *)list, mproc_strerror(r));
	if (r == 1)
		take_apart(list);
}
