/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include <mproc/value.h>

#include "base/error.h"
#include "manager/typed.h"
#include "sync/cell.h"
#include "sync/value.h"

#define TRIES 8 /* to find or make what others make and take away */

static uint64_t
magic_of(const mproc_arena *a, const struct mpr_typed *o)
{
	return MPR_TYPED_MAGIC + mpr_arena_offset(a, o);
}

mproc_lock *
mpr_typed_lock(const struct mpr_typed *o)
{
	return mproc_lock_of(o);
}

uint32_t
mpr_typed_generation(const struct mpr_typed *o)
{
	const struct mpr_cell *cell = (const struct mpr_cell *)mproc_lock_of(o);

	return cell ? atomic_load(&cell->generation) : 0;
}

bool
mpr_typed_undo(const mproc_arena *a, void *value)
{
	if (!mpr_typed_is(a, value))
		return false;
	memset(value, 0, sizeof(((struct mpr_typed *)value)->magic));
	return true;
}

bool
mpr_typed_is(const mproc_arena *a, const void *value)
{
	const struct mpr_typed *o = value;

	/* Of a value that is shorter it lies in its block, and is another. */
	return o->magic == magic_of(a, o);
}

int
mpr_typed_find(mproc_arena *a, const char *name, struct mpr_typed **ret)
{
	void *found;
	size_t elem, n;
	int r = mproc_arena_find(a, name, &found, MPROC_NOWAIT);

	if (r < 0)
		return r;
	*ret = found;
	/* What is no value is not read. */
	if (!mproc_lock_of(found))
		return mpr_fail(-EPROTOTYPE, "what has the name %s is no object of a "
				"registered type, or was destroyed", name);
	/* What stands there is believed only as far as it fits its block. */
	if (!mpr_typed_is(a, found) ||
	    mpr_value_shape(found, &elem, &n) < 0 || n != 1 ||
	    elem < sizeof(**ret) || elem - sizeof(**ret) != (*ret)->size)
		return mpr_fail(-EPROTOTYPE, "what has the name %s is no object of a "
				"registered type", name);
	return 0;
}

static int
make(mproc_arena *a, const struct mpr_type *type, const char *name)
{
	size_t size = sizeof(struct mpr_typed) + type->is.state_size;
	struct mpr_typed *o;
	int r;

	if (size < type->is.state_size)
		return mpr_fail(-ENOMEM, "a state of %zu bytes",
				type->is.state_size);
	o = mproc_arena_array_new(a, size, 1, NULL);
	if (!o)
		return -errno;
	strncpy(o->type, type->is.name, sizeof(o->type) - 1);
	o->size = type->is.state_size;
	o->magic = magic_of(a, o);
	r = mproc_arena_bind(a, name, o);
	if (r < 0)
		mproc_free(o);
	return r;
}

static int
check(const struct mpr_typed *o, const struct mpr_type *type, const char *name)
{
	if (strncmp(o->type, type->is.name, sizeof(o->type)) != 0)
		return mpr_fail(-EPROTOTYPE, "object %s is of type %.55s", name,
				o->type);
	if (o->size != type->is.state_size)
		return mpr_fail(-EPROTOTYPE, "object %s has a state of %llu bytes, and "
				"type %s one of %zu", name,
				(unsigned long long)o->size, type->is.name,
				type->is.state_size);
	return 0;
}

int
mpr_typed_make(mproc_arena *a, const struct mpr_type *type, const char *name)
{
	struct mpr_typed *o;
	int r = -EEXIST;

	for (int i = 0; i < TRIES && r == -EEXIST; i++) {
		r = mpr_typed_find(a, name, &o);
		if (r == 0)
			return check(o, type, name);
		if (r == -ENOENT)
			r = make(a, type, name);
	}
	return r == -EEXIST ? mpr_fail(-EBUSY, "the name %s comes and goes", name) :
			      r;
}

int
mpr_typed_destroy(mproc_arena *a, const char *name)
{
	struct mpr_typed *o;
	int r = mpr_typed_find(a, name, &o);

	if (r == 0)
		r = mproc_arena_bind(a, name, NULL);
	if (r == 0)
		mproc_free(o);
	return r;
}
