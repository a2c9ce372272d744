/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include <mproc/dict.h>
#include <mproc/sync.h>

#include "base/alloc.h"
#include "base/error.h"
#include "containers/table_use.h"
#include "manager/objects.h"
#include "sync/cell.h"

#define TRIES 8 /* to find or make what others make and take away */

static bool
is_table(enum mpr_cell_kind kind)
{
	return kind >= MPR_CELL_DICT;
}

static int
check_cell(const void *object)
{
	const struct mpr_cell *cell = object;

	return atomic_load(&cell->word) & MPR_GONE ? -ESTALE : 0;
}

static int
create(mproc_arena *a, enum mpr_cell_kind kind, const struct mpr_object_init *init,
       void **ret)
{
	const struct mproc_semaphore_opts so = {
		.struct_size = sizeof(so),
		.value = init ? init->value : 0,
		.max = init ? init->max : 0,
		.undo = init && init->undo,
		.arena = a,
	};
	mproc_semaphore *semaphore;
	int r;

	if (is_table(kind))
		return mpr_table_create(kind, a, ret);
	if (kind == MPR_CELL_SEMAPHORE) {
		r = mproc_semaphore_create(&semaphore, &so);
		if (r == 0)
			*ret = semaphore;
		return r;
	}
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
	r = is_table(kind) ? mpr_table_check(kind, object) : check_cell(object);
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

static uint32_t
generation_of(const void *object)
{
	const struct mpr_cell *cell = object;

	return atomic_load(&cell->generation);
}

static struct mpr_object *
add(struct mpr_objects *objects)
{
	uint32_t size = objects->size ? objects->size * 2 : 16;
	struct mpr_object *all;

	if (objects->n < objects->size)
		return &objects->all[objects->n++];
	if (objects->n > INT32_MAX / 2)
		return NULL;
	all = mpr_realloc(objects->all, size * sizeof(*all));
	if (!all)
		return NULL;
	objects->all = all;
	objects->size = size;
	return &objects->all[objects->n++];
}

/* A number says which, and when: what was destroyed and made anew has another
 * one. */
static int64_t
number_of(const struct mpr_objects *objects, const struct mpr_object *o)
{
	return (int64_t)(o - objects->all + 1) |
	       (int64_t)(o->generation & 0x7fffffff) << 32;
}

int
mpr_objects_find(struct mpr_objects *objects, mproc_arena *a,
		 enum mpr_cell_kind kind, const char *name,
		 const struct mpr_object_init *init, int64_t *ret_id)
{
	struct mpr_object *o = NULL;
	void *object;
	int r = mpr_object_find(a, kind, name, init, &object);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < objects->n && !o; i++)
		if (objects->all[i].object == object)
			o = &objects->all[i];
	if (!o)
		o = add(objects);
	if (!o)
		return mpr_fail(-ENOMEM, "no memory for another object");
	o->object = object;
	o->kind = kind;
	o->generation = generation_of(object);
	/* Names that are longer are none. */
	memset(o->name, 0, sizeof(o->name));
	strncpy(o->name, name, sizeof(o->name) - 1);
	*ret_id = number_of(objects, o);
	return 0;
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
	    generation_of((*ret)->object) != (*ret)->generation)
		return mpr_fail(-ESTALE, "the object was destroyed");
	return 0;
}

int
mpr_object_destroy(const struct mpr_object *o, mproc_arena *a)
{
	void *found;
	int r = mproc_arena_find(a, o->name, &found, MPROC_NOWAIT);

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
	*objects = (struct mpr_objects){ .n = 0 };
}
