/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include <mproc/dict.h>
#include <mproc/list.h>
#include <mproc/sync.h>
#include <mproc/value.h>

#include "base/alloc.h"
#include "base/error.h"
#include "containers/list_use.h"
#include "containers/table_use.h"
#include "containers/remote.h"
#include "ipc/attachment.h"
#include "manager/objects.h"
#include "manager/typed.h"
#include "sync/barrier.h"
#include "sync/cell.h"
#include "sync/value.h"

#define TRIES 8 /* to find or make what others make and take away */

static bool
is_table(enum mpr_cell_kind kind)
{
	return kind == MPR_CELL_DICT || kind == MPR_CELL_SET ||
	       kind == MPR_CELL_NAMESPACE;
}

/* Whether it exists. Returns 0; -ESTALE; what else the functions of such objects do
 * for what is none. */
static int
check_object(enum mpr_cell_kind kind, void *object)
{
	const struct mpr_cell *cell = object;

	if (is_table(kind))
		return mpr_table_check(kind, object);
	if (kind == MPR_CELL_LIST)
		return mpr_list_check(object);
	return atomic_load(&cell->word) & MPR_GONE ? -ESTALE : 0;
}

static int
create_list(mproc_arena *a, void **ret)
{
	const struct mproc_list_opts o = { .struct_size = sizeof(o), .arena = a };
	mproc_list *list;
	int r = mproc_list_create(&list, &o);

	if (r == 0)
		*ret = list;
	return r;
}

static int
create_semaphore(mproc_arena *a, const struct mpr_object_init *init, void **ret)
{
	const struct mproc_semaphore_opts o = {
		.struct_size = sizeof(o),
		.value = init ? init->value : 0,
		.max = init ? init->max : 0,
		.undo = init && init->undo,
		.arena = a,
	};
	mproc_semaphore *semaphore;
	int r = mproc_semaphore_create(&semaphore, &o);

	if (r == 0)
		*ret = semaphore;
	return r;
}

static int
create(mproc_arena *a, enum mpr_cell_kind kind, const struct mpr_object_init *init,
       void **ret)
{
	int r;

	if (is_table(kind))
		return mpr_table_create(kind, a, ret);
	if (kind == MPR_CELL_LIST)
		return create_list(a, ret);
	if (kind == MPR_CELL_SEMAPHORE)
		return create_semaphore(a, init, ret);
	if (kind == MPR_CELL_BARRIER)
		return mpr_barrier_create_in(a, ret, init ? init->value : 0);
	r = mpr_cell_create_in(a, kind, ret);
	if (r == 0)
		mpr_cell_open(*ret, 0);
	return r;
}

static void
destroy(enum mpr_cell_kind kind, void *object)
{
	if (is_table(kind))
		mpr_table_destroy(kind, object);
	else if (kind == MPR_CELL_LIST)
		mproc_list_destroy(object);
	else if (kind == MPR_NO_CELL)
		mproc_free(object);
	else if (kind == MPR_CELL_BARRIER)
		mproc_barrier_destroy(object);
	else if (kind == MPR_QUEUE_CELL)
		mproc_queue_destroy(object);
	else
		mpr_cell_destroy(kind, object, 0);
}

/* What has the name. */
static int
check(enum mpr_cell_kind kind, const char *name, void *object)
{
	int r;

	if (!mpr_cell_is(kind, object))
		return mpr_fail(-EPROTOTYPE, "something else has the name %s in the "
				"manager's arena", name);
	r = check_object(kind, object);
	return r == -ESTALE ? mpr_fail(r, "what has the name %s was destroyed; "
				       "mproc_arena_bind() takes the name away",
				       name) : r;
}

/* Makes one, unless somebody else has been faster: -EEXIST. */
static int
make(mproc_arena *a, enum mpr_cell_kind kind, const char *name,
     const struct mpr_object_init *init, void **ret)
{
	int r = create(a, kind, init, ret);

	if (r < 0)
		return r;
	r = mproc_arena_bind(a, name, *ret);
	if (r < 0)
		destroy(kind, *ret);
	return r;
}

int
mpr_object_find(mproc_arena *a, enum mpr_cell_kind kind, const char *name,
		const struct mpr_object_init *init, void **ret)
{
	int r = -EEXIST;

	for (int i = 0; i < TRIES && r == -EEXIST; i++) {
		r = mproc_arena_find(a, name, ret, MPROC_NOWAIT);
		if (r == 0)
			return check(kind, name, *ret);
		if (r == -ENOENT)
			r = make(a, kind, name, init, ret);
	}
	return r == -EEXIST ? mpr_fail(-EBUSY, "the name %s comes and goes", name) :
			      r;
}

/* Whether the array that has the name is as it should be. */
static int
check_array(const mproc_arena *a, const char *name, const void *array,
	    const struct mpr_array_shape *shape)
{
	size_t elem, n;
	int r = mpr_value_shape(array, &elem, &n);

	/* What comes where one was freed may be anything. */
	if (r < 0)
		return mpr_fail(-EPROTOTYPE, "something else has the name %s in the "
				"manager's arena, or an array that was freed; "
				"mproc_arena_bind() takes the name away", name);
	/* Its methods rely on it. */
	if (mpr_typed_is(a, array))
		return mpr_fail(-EPROTOTYPE, "%s is an object of a registered type",
				name);
	if (elem != shape->elem || (shape->n && n != shape->n))
		return mpr_fail(-EPROTOTYPE, "%s has %zu elements of %zu bytes", name,
				n, elem);
	return 0;
}

/* As make(). */
static int
make_array(mproc_arena *a, const char *name, const struct mpr_array_shape *shape,
	   void **ret)
{
	int r;

	if (!shape->n)
		return mpr_fail(-ENOENT, "there is no array %s", name);
	*ret = mproc_arena_array_new(a, shape->elem, shape->n, shape->init);
	if (!*ret)
		return -errno;
	(void)mpr_typed_undo(a, *ret);
	r = mproc_arena_bind(a, name, *ret);
	if (r < 0)
		mproc_free(*ret);
	return r;
}

int
mpr_object_find_array(mproc_arena *a, const char *name,
		      const struct mpr_array_shape *shape, void **ret)
{
	int r = -EEXIST;

	for (int i = 0; i < TRIES && r == -EEXIST; i++) {
		r = mproc_arena_find(a, name, ret, MPROC_NOWAIT);
		if (r == 0)
			return check_array(a, name, *ret, shape);
		if (r == -ENOENT)
			r = make_array(a, name, shape, ret);
	}
	return r == -EEXIST ? mpr_fail(-EBUSY, "the name %s comes and goes", name) :
			      r;
}

/* Whether what has the name is a queue. */
static int
check_queue(const char *name, mproc_queue *q)
{
	mproc_arena *in;

	if (mpr_queue_check(q, &in) < 0 || atomic_load(&q->pipe))
		return mpr_fail(-EPROTOTYPE, "something else has the name %s in the "
				"manager's arena", name);
	if (mpr_owner_state(atomic_load(&q->state)) != MPR_QUEUE_OPEN)
		return mpr_fail(-ESTALE, "what has the name %s was destroyed; "
				"mproc_arena_bind() takes the name away", name);
	return 0;
}

/* As make(). */
static int
make_queue(mproc_arena *a, const char *name, const struct mproc_queue_opts *opts,
	   void **ret)
{
	struct mproc_queue_opts o = *opts;
	mproc_queue *q;
	int r;

	o.arena = a;
	r = mproc_queue_create(&q, &o);
	if (r < 0)
		return r;
	*ret = q;
	r = mproc_arena_bind(a, name, q);
	if (r < 0)
		mproc_queue_destroy(q);
	return r;
}

int
mpr_object_find_queue(mproc_arena *a, const char *name,
		      const struct mproc_queue_opts *opts, void **ret)
{
	int r = -EEXIST;

	for (int i = 0; i < TRIES && r == -EEXIST; i++) {
		r = mproc_arena_find(a, name, ret, MPROC_NOWAIT);
		if (r == 0)
			return check_queue(name, *ret);
		if (r == -ENOENT)
			r = make_queue(a, name, opts, ret);
	}
	return r == -EEXIST ? mpr_fail(-EBUSY, "the name %s comes and goes", name) :
			      r;
}

/* Another one when something else is there, 0 if nothing is. */
static uint32_t
generation_of(enum mpr_cell_kind kind, const void *object)
{
	const struct mpr_cell *cell = object;
	uint64_t word;

	/* A queue's state word is another one then, and when it is gone. */
	if (kind == MPR_QUEUE_CELL) {
		word = atomic_load(&((const mproc_queue *)object)->state);
		return (uint32_t)(mpr_owner_epoch(word) << 2) | mpr_owner_state(word);
	}

	/* An array's is that of its lock. */
	if (kind == MPR_NO_CELL)
		cell = (const struct mpr_cell *)mproc_lock_of(object);
	return cell ? atomic_load(&cell->generation) : 0;
}

/* Where the table says which one it is, or where it would; it is half empty. */
static uint32_t *
place_of(const struct mpr_objects *objects, const void *object)
{
	uint32_t mask = 2 * objects->size - 1, i;

	i = (uint32_t)((uintptr_t)object * UINT64_C(0x9e3779b97f4a7c15) >> 32);
	while (objects->table[i & mask] &&
	       objects->all[objects->table[i & mask] - 1].object != object)
		i++;
	return &objects->table[i & mask];
}

static int
grow(struct mpr_objects *objects)
{
	uint32_t size = objects->size ? objects->size * 2 : 16;
	struct mpr_object *all;
	uint32_t *table;

	if (objects->n > INT32_MAX / 4)
		return -ENOMEM;
	all = mpr_realloc(objects->all, size * sizeof(*all));
	if (!all)
		return -ENOMEM;
	objects->all = all;
	table = mpr_zalloc(2 * size * sizeof(*table));
	if (!table)
		return -ENOMEM;
	free(objects->table);
	objects->table = table;
	objects->size = size;
	for (uint32_t i = 0; i < objects->n; i++)
		*place_of(objects, all[i].object) = i + 1;
	return 0;
}

/* The one that there is, or another one; NULL if there is no memory. */
static struct mpr_object *
find_or_add(struct mpr_objects *objects, void *object)
{
	uint32_t *place;

	if (objects->n == objects->size && grow(objects) < 0)
		return NULL;
	place = place_of(objects, object);
	if (!*place) {
		objects->all[objects->n].object = object;
		*place = ++objects->n;
	}
	return &objects->all[*place - 1];
}

/* A number says which, and when: what was destroyed and made anew has another
 * one. */
static int64_t
number_of(const struct mpr_objects *objects, const struct mpr_object *o)
{
	return (int64_t)(o - objects->all + 1) |
	       (int64_t)(o->generation & 0x7fffffff) << 32;
}

static int
enter(struct mpr_objects *objects, void *object, enum mpr_cell_kind kind,
      const char *name, int64_t *ret_id)
{
	struct mpr_object *o = find_or_add(objects, object);

	if (!o)
		return mpr_fail(-ENOMEM, "no memory for another object");
	o->kind = kind;
	o->generation = generation_of(kind, object);
	/* Names that are longer are none. */
	memset(o->name, 0, sizeof(o->name));
	strncpy(o->name, name, sizeof(o->name) - 1);
	*ret_id = number_of(objects, o);
	return 0;
}

int
mpr_objects_find(struct mpr_objects *objects, mproc_arena *a,
		 enum mpr_cell_kind kind, const char *name,
		 const struct mpr_object_init *init, int64_t *ret_id)
{
	void *object;
	int r = mpr_object_find(a, kind, name, init, &object);

	return r < 0 ? r : enter(objects, object, kind, name, ret_id);
}

int
mpr_objects_find_array(struct mpr_objects *objects, mproc_arena *a, const char *name,
		       const struct mpr_array_shape *shape, int64_t *ret_id)
{
	void *object;
	int r = mpr_object_find_array(a, name, shape, &object);

	return r < 0 ? r : enter(objects, object, MPR_NO_CELL, name, ret_id);
}

int
mpr_objects_find_queue(struct mpr_objects *objects, mproc_arena *a, const char *name,
		       const struct mproc_queue_opts *opts, int64_t *ret_id)
{
	void *object;
	int r = mpr_object_find_queue(a, name, opts, &object);

	return r < 0 ? r : enter(objects, object, MPR_QUEUE_CELL, name, ret_id);
}

int
mpr_objects_add_queue(struct mpr_objects *objects, mproc_queue *q, int64_t *ret_id)
{
	return enter(objects, q, MPR_QUEUE_CELL, "", ret_id);
}

int
mpr_objects_get(const struct mpr_objects *objects, int64_t id,
		struct mpr_object **ret)
{
	uint32_t i = (uint32_t)id - 1;

	if (i >= objects->n)
		return mpr_fail(-EINVAL, "no object has the number %lld",
				(long long)id);
	*ret = &objects->all[i];
	if (number_of(objects, *ret) != id ||
	    generation_of((*ret)->kind, (*ret)->object) != (*ret)->generation)
		return mpr_fail(-ESTALE, "the object was destroyed");
	return 0;
}

static bool
holds_dead_letters(const mproc_queue *q)
{
	return atomic_load(&q->flags) & MPR_QUEUE_DEAD_LETTERS;
}

int
mpr_object_destroy(const struct mpr_object *o, mproc_arena *a)
{
	void *found;
	int r;

	/* It goes with its queue, and until then clients keep their handles. */
	if (o->kind == MPR_QUEUE_CELL && holds_dead_letters(o->object))
		return mpr_fail(-EPERM, "%s holds dead letters",
				mpr_queue_label(o->object).text);
	r = o->name[0] ? mproc_arena_find(a, o->name, &found, MPROC_NOWAIT) : -ENOENT;
	if (r == 0 && found == o->object)
		r = mproc_arena_bind(a, o->name, NULL);
	if (r < 0 && r != -ENOENT)
		return r;
	destroy(o->kind, o->object);
	return 0;
}

void
mpr_objects_end(struct mpr_objects *objects)
{
	free(objects->all);
	free(objects->table);
	*objects = (struct mpr_objects){ .n = 0 };
}
