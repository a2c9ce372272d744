/* SPDX-License-Identifier: MIT */
/*
 * A function as a place in a program or a shared library, which another process
 * finds in its own copy of that, wherever it lies there.
 *
 * What is asked about an address, about the program, or about what was noted waits for
 * nobody, in the child of a fork in a process with several threads as elsewhere. Other
 * libraries are looked for in the loader's list, whose lock such a child may find taken.
 */
#ifndef MPR_OS_MODULE_H
#define MPR_OS_MODULE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MPR_MODULE_ID_MAX 32
#define MPR_MODULE_PATH_MAX 4096

/* What the linker calls build-id: it tells a file from all others. */
struct mpr_module_id {
	uint32_t len;
	unsigned char bytes[MPR_MODULE_ID_MAX];
};

struct mpr_module {
	struct mpr_module_id id;
	uint32_t program; /* 1: it is the program itself */
	char path[MPR_MODULE_PATH_MAX]; /* of a library */
};

/* A function of this process as the other type that is safe to carry one. */
typedef void mpr_function(void);

/*
 * Finds the module that has @fn in its code, and where it is in there. Returns
 * 0, or -ENOEXEC: no module has it, or it is no code, or the module bears no
 * build-id; the error detail says which.
 */
int mpr_module_of(mpr_function *fn, struct mpr_module *ret_module,
		  uint64_t *ret_offset);

/* The id of the one that this library is in. Returns 0 or -ENOEXEC: it bears none. A new
 * image needs no more to know whether it is the same build, and as soon as it begins. */
int mpr_module_own_id(struct mpr_module_id *ret_id);

/* Whether they are the same; none is never the same as another. */
bool mpr_module_is(const struct mpr_module_id *a, const struct mpr_module_id *b);

/*
 * The function at @offset of @module in this process; a library that is not
 * here is loaded. Returns 0, or -ENOEXEC if the module is not to be had, or is
 * another by its build-id, or if there is no code at that place.
 */
int mpr_module_find(const struct mpr_module *module, uint64_t offset,
		    mpr_function **ret_fn);

/* The same, but nothing is loaded. */
int mpr_module_look(const struct mpr_module *module, uint64_t offset,
		    mpr_function **ret_fn);

/* The same in two words: the mark is a hash of the build-id, never 0, which two modules
 * have in common once in 2^64. */
struct mpr_module_place {
	uint64_t mark;
	uint64_t offset;
	bool program; /* it is the program itself */
};

/* As mpr_module_of(). */
int mpr_module_place_of(mpr_function *fn, struct mpr_module_place *ret_place);

/* As mpr_module_look(). */
int mpr_module_look_at(uint64_t mark, uint64_t offset, mpr_function **ret_fn);

/*
 * From now on what is loaded is found by its mark or id without a lock, here and in
 * children, which may have been forked while another thread had the loader's. Without memory
 * there may be some that are not. Once in a process is enough.
 */
void mpr_module_note(void);

/* The program's own mark. Returns 0 or -ENOEXEC: it bears no build-id. */
int mpr_module_program(uint64_t *ret_mark);

/* Where the program lies, once a function of this file was called that needs that. */
struct mpr_module_span {
	_Atomic uintptr_t at;
	_Atomic uintptr_t size; /* or 0 */
};

extern struct mpr_module_span mpr_module_span;

/* Whether @at is known to lie in the program, which is there as long as the process is, and
 * in its copies. */
static inline bool
mpr_module_is_programs(uintptr_t at)
{
	/* Acquire: pairs with the release of who notes it, or @at might be compared with what
	 * begins at 0. */
	uintptr_t size = atomic_load_explicit(&mpr_module_span.size,
					      memory_order_acquire);

	return at - atomic_load_explicit(&mpr_module_span.at,
					 memory_order_relaxed) < size;
}

/* The mark of the library with @fn; or 0: that is the program's, or in no module that can be
 * told by one. */
uint64_t mpr_module_library_of(mpr_function *fn);

/* Whether @fn is code: of the library with @mark; with 0 of any module, or of none, as far as
 * the kernel tells. */
bool mpr_module_has_code(mpr_function *fn, uint64_t mark);

#endif
