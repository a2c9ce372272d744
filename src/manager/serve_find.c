/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "manager/serve_array.h"
#include "manager/serve_find.h"
#include "manager/serve_queue.h"

/* What a new object is to be like. Returns false if it makes no sense. */
static bool
read_init(const struct mpr_remote_call *call, struct mpr_object_init *init)
{
	if (call->n_args != 5)
		return false;
	for (unsigned i = 2; i < 5; i++)
		if (call->args[i].kind != MPROC_INT || call->args[i].i64 < 0 ||
		    call->args[i].i64 > UINT32_MAX)
			return false;
	*init = (struct mpr_object_init){
		.value = (unsigned)call->args[2].i64,
		.max = (unsigned)call->args[3].i64,
		.undo = call->args[4].i64 != 0,
	};
	return true;
}

int
mpr_serve_find(struct mpr_objects *objects, mproc_arena *a, struct mpr_remote_call *call)
{
	const struct mproc_any *kind = &call->args[0], *name = &call->args[1];
	struct mpr_object_init init = { .value = 0 };
	char text[MPR_OBJECT_NAME];
	int64_t id = 0;
	int r;

	if (call->n_args < 2 || kind->kind != MPROC_INT ||
	    name->kind != MPROC_STR || !name->len ||
	    memchr(name->ptr, '\0', name->len))
		return mpr_fail(-EINVAL, "a kind and a name are wanted");
	if (!mpr_remote_is_kind(kind->i64))
		return mpr_fail(-EINVAL, "the manager has no objects of kind %lld",
				(long long)kind->i64);
	if (name->len >= sizeof(text))
		return mpr_fail(-ENAMETOOLONG, "a name of %zu bytes, more than %zu",
				name->len, sizeof(text) - 1);
	memcpy(text, name->ptr, name->len);
	text[name->len] = '\0';
	if (kind->i64 == MPR_REMOTE_QUEUE && call->n_args <= 3)
		r = mpr_serve_queue_find(objects, a, text,
					 call->n_args == 3 ? &call->args[2] : NULL,
					 &id);
	else if (kind->i64 == MPR_REMOTE_ARRAY)
		r = mpr_serve_array_find(objects, a, text,
					 &call->args[2], call->n_args - 2, &id);
	else if (kind->i64 != MPR_REMOTE_QUEUE &&
		 (call->n_args == 2 || read_init(call, &init)))
		r = mpr_objects_find(objects, a,
				     mpr_remote_cells[kind->i64], text, &init, &id);
	else
		r = mpr_fail(-EINVAL, "a kind and a name are wanted");
	call->rets[0] = mproc_int(id);
	call->n_rets = 1;
	return r;
}
