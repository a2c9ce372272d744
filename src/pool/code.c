/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/error.h"
#include "base/macros.h"
#include "os/image.h"
#include "pool/code.h"

#define OFFSET_BITS 48
#define ADDRESS_BITS 57
#define IS_PLACE (UINT64_C(1) << 63)

static_assert(MPR_POOL_MODULES < 1 << (63 - ADDRESS_BITS), "numbers before an address");

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

/* Whether a worker may lack what another process has at an address, as it came there after
 * the worker was forked. Threads do not look: what is remembered of that is for one. */
static bool
may_lack(const struct mpr_pool_use *u, uint64_t address)
{
	return mpr_unlikely(!mpr_module_is_programs(address)) && mpr_pool_is_processes(u);
}

/* What comes before the address of a function in a library. */
static uint64_t
library_of(const struct mpr_pool_use *u, mpr_function *fn)
{
	uint64_t mark = mpr_module_library_of(fn);

	return mark ? number_of(u->root, mark) << ADDRESS_BITS : 0;
}

int
mpr_code_of(const struct mpr_pool_use *u, mpr_function *fn, uint64_t *ret_code)
{
	union word address = { .word = 0 };

	if (!mpr_code_has_memory(u))
		return place_of(u, fn, ret_code);
	address.fn = fn;
	if (may_lack(u, address.word))
		address.word |= library_of(u, fn);
	*ret_code = address.word;
	return 0;
}

/* Of the program, or of a library; or 0. */
static uint64_t
mark_of(const struct mpr_pool_use *u, uint64_t number)
{
	uint64_t mark = 0;

	if (!number)
		mark = atomic_load(&u->root->program);
	else if (number <= MPR_POOL_MODULES)
		mark = atomic_load(&u->root->modules[number - 1]);
	if (!mark)
		mpr_fail(-ENOEXEC, "%s has no library of the number %u",
			 mpr_pool_label(u).text, (unsigned)number);
	return mark;
}

static mpr_function *
find_place(const struct mpr_pool_use *u, uint64_t code)
{
	uint64_t mark = mark_of(u, (code & ~IS_PLACE) >> OFFSET_BITS);
	mpr_function *fn = NULL;

	if (mark)
		(void)mpr_module_look_at(mark, code & ((UINT64_C(1) << OFFSET_BITS) - 1),
					 &fn);
	return fn;
}

/* What a copy of the creator has where that has the function. */
static mpr_function *
find_there(const struct mpr_pool_use *u, uint64_t code)
{
	union word address = { code & ((UINT64_C(1) << ADDRESS_BITS) - 1) };
	uint64_t number = code >> ADDRESS_BITS, mark = number ? mark_of(u, number) : 0;

	if (number && !mark)
		return NULL;
	if (mpr_module_has_code(address.fn, mark))
		return address.fn;
	mpr_fail(-ENOEXEC, "workers of %s have no such function at %#" PRIx64
		 ": it was not there when they were forked", mpr_pool_label(u).text,
		 address.word);
	return NULL;
}

MPR_CHILD_PATH mpr_function *
mpr_code_find(const struct mpr_pool_use *u, uint64_t code)
{
	union word address = { code };

	if (mpr_likely(mpr_module_is_programs(code)))
		return address.fn;
	if (code & IS_PLACE)
		return find_place(u, code);
	return may_lack(u, code) ? find_there(u, code) : address.fn;
}
