/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "base/macros.h"
#include "os/image.h"
#include "pool/code.h"

#define OFFSET_BITS 48
#define IS_PLACE (UINT64_C(1) << 63)

union word {
	uint64_t word;
	mpr_function *fn;
};

int
mpr_code_image(const struct mpr_pool_use *u, uint64_t *ret_image)
{
	if (mpr_pool_is_anew(u))
		return mpr_module_program(ret_image);
	*ret_image = mpr_image_mark();
	return 0;
}

/* The number of a library, or 0: there is no room for one more. */
static uint64_t
number_of(struct mpr_pool_root *root, uint64_t mark)
{
	for (unsigned i = 0; i < MPR_POOL_MODULES; i++) {
		uint64_t there = 0;

		/* seq_cst, so before the future can be found that has the number. */
		if (atomic_load(&root->modules[i]) == mark ||
		    atomic_compare_exchange_strong(&root->modules[i], &there,
						   mark) ||
		    there == mark)
			return i + 1;
	}
	return 0;
}

static int
place_of(const struct mpr_pool_use *u, mpr_function *fn, uint64_t *ret_code)
{
	struct mpr_module_place place;
	uint64_t number = 0;
	int r = mpr_module_place_of(fn, &place);

	if (r < 0)
		return r;
	if (place.program && place.mark != atomic_load(&u->root->program))
		return mpr_fail(-ENOEXEC, "%s has workers of another program than "
				"this process", mpr_pool_label(u).text);
	if (!place.program && !mpr_pool_is_anew(u))
		return mpr_fail(-ENOEXEC, "%s has workers with another image than "
				"this process, and the function is none of the program's",
				mpr_pool_label(u).text);
	if (!place.program) {
		number = number_of(u->root, place.mark);
		if (!number)
			return mpr_fail(-ENOEXEC, "%s has functions of %d libraries "
					"already", mpr_pool_label(u).text,
					MPR_POOL_MODULES);
	}
	if (place.offset >> OFFSET_BITS)
		return mpr_fail(-ENOEXEC, "a function lies too far behind the begin "
				"of its module");
	*ret_code = IS_PLACE | number << OFFSET_BITS | place.offset;
	return 0;
}

bool
mpr_code_has_memory(const struct mpr_pool_use *u)
{
	return mpr_pool_is_inline(u) ||
	       (!mpr_pool_is_anew(u) &&
		atomic_load(&u->root->image) == mpr_image_mark());
}

int
mpr_code_of(const struct mpr_pool_use *u, mpr_function *fn, uint64_t *ret_code)
{
	union word address = { .word = 0 };

	if (!mpr_code_has_memory(u))
		return place_of(u, fn, ret_code);
	address.fn = fn;
	*ret_code = address.word;
	return 0;
}

static mpr_function *
find_place(const struct mpr_pool_use *u, uint64_t code)
{
	uint64_t number = (code & ~IS_PLACE) >> OFFSET_BITS, mark = 0;
	mpr_function *fn = NULL;

	if (!number)
		mark = atomic_load(&u->root->program);
	else if (number <= MPR_POOL_MODULES)
		mark = atomic_load(&u->root->modules[number - 1]);
	if (!mark)
		mpr_fail(-ENOEXEC, "%s has no library of the number %u",
			 mpr_pool_label(u).text, (unsigned)number);
	else
		(void)mpr_module_look_at(mark, code & ((UINT64_C(1) << OFFSET_BITS) - 1),
					 &fn);
	return fn;
}

MPR_CHILD_PATH mpr_function *
mpr_code_find(const struct mpr_pool_use *u, uint64_t code)
{
	union word address = { code };

	return mpr_unlikely(code & IS_PLACE) ? find_place(u, code) : address.fn;
}
