/* SPDX-License-Identifier: MIT */
/*
 * any.h - values of any kind, which shared containers consist of.
 *
 * A struct mproc_any is nothing, a number, a truth value, a text, bytes, or a
 * reference to something in shared memory. It is passed to containers and comes
 * out of them; a container has copies of its own.
 *
 *     struct mproc_any n = mproc_int(5), name = mproc_str("five");
 *
 * What comes out of a container is the caller's own copy, which lies in the
 * process's private memory and is given back with mproc_any_clear(). What the
 * makers below return needs no clearing: texts and bytes stay the caller's, and
 * have to be there for as long as the value is used.
 */
#ifndef MPROC_ANY_H
#define MPROC_ANY_H

#include <mproc/arena.h>

MPROC_BEGIN_DECLS

/**
 * enum mproc_kind - what a struct mproc_any is
 * @MPROC_NIL:   nothing, what zero bytes are; Python's None
 * @MPROC_INT:   @i64
 * @MPROC_FLOAT: @f64
 * @MPROC_BOOL:  @b
 * @MPROC_STR:   @len bytes at @ptr, which are text
 * @MPROC_BYTES: @len bytes at @ptr
 * @MPROC_REF:   @ptr, an address in an arena
 */
enum mproc_kind {
	MPROC_NIL = 0,
	MPROC_INT = 1,
	MPROC_FLOAT = 2,
	MPROC_BOOL = 3,
	MPROC_STR = 4,
	MPROC_BYTES = 5,
	MPROC_REF = 6
};

/**
 * struct mproc_any - a value of any kind
 * @kind:  says which of the others count
 * @owned: not 0 if mproc_any_clear() frees what is at @ptr. Set by libmproc only
 * @i64:   of a MPROC_INT
 * @f64:   of a MPROC_FLOAT
 * @b:     of a MPROC_BOOL
 * @ptr:   of a MPROC_STR, MPROC_BYTES or MPROC_REF. The text of a MPROC_STR that
 *         comes out of a container has a 0 behind its end; others need none, and
 *         any may contain zeroes. Of 0 bytes it may be NULL
 * @len:   bytes at @ptr, of a MPROC_STR or MPROC_BYTES
 */
struct mproc_any {
	enum mproc_kind kind;
	uint32_t owned;
	union {
		int64_t i64;
		double f64;
		bool b;
		const void *ptr;
	};
	size_t len;
};

/**
 * mproc_nil() - nothing, as a value
 *
 * Return: a MPROC_NIL.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API inline struct mproc_any mproc_nil(void);

/**
 * mproc_int() - an integer as a value
 * @i: integer
 *
 * Return: a MPROC_INT.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API inline struct mproc_any mproc_int(int64_t i);

/**
 * mproc_float() - a floating point number as a value
 * @d: number
 *
 * Return: a MPROC_FLOAT.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API inline struct mproc_any mproc_float(double d);

/**
 * mproc_bool() - a truth value as a value
 * @b: truth value
 *
 * Return: a MPROC_BOOL.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API inline struct mproc_any mproc_bool(bool b);

/**
 * mproc_str() - a text as a value
 * @s: text, with a 0 behind its end, which is not copied. Of NULL the value is one
 *     that containers refuse
 *
 * Return: a MPROC_STR.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API struct mproc_any mproc_str(const char *s);

/**
 * mproc_bytes() - bytes as a value
 * @p: bytes, which are not copied; may be NULL if @n is 0
 * @n: how many
 *
 * Return: a MPROC_BYTES.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API inline struct mproc_any mproc_bytes(const void *p, size_t n);

/**
 * mproc_ref() - a reference to something in shared memory as a value
 * @object: an address in the arena of the container that is to have it: another
 *          container, a queue, a block
 *
 * A container does not own what it refers to: nothing is freed with it, and nothing
 * keeps others from freeing or destroying that. In a process that has a named arena
 * at another address the reference comes out with the address that is right there.
 *
 * Return: a MPROC_REF.
 * Context: never blocks; async-signal-safe.
 */
MPROC_API inline struct mproc_any mproc_ref(const void *object);

/**
 * mproc_any_clear() - give back what a value from a container consists of
 * @any: value, or NULL. Becomes a MPROC_NIL
 *
 * Does nothing but that for a value that did not come out of a container, or is no
 * text and no bytes. Of several copies of a struct mproc_any one is cleared.
 *
 * Context: never blocks.
 * Crash: nothing shared is changed.
 */
MPROC_API void mproc_any_clear(struct mproc_any *any);

/* C++ takes no designators here. */
inline struct mproc_any
mproc_nil(void)
{
	struct mproc_any any = { MPROC_NIL, 0, { 0 }, 0 };

	return any;
}

inline struct mproc_any
mproc_int(int64_t i)
{
	struct mproc_any any = { MPROC_INT, 0, { 0 }, 0 };

	any.i64 = i;
	return any;
}

inline struct mproc_any
mproc_float(double d)
{
	struct mproc_any any = { MPROC_FLOAT, 0, { 0 }, 0 };

	any.f64 = d;
	return any;
}

inline struct mproc_any
mproc_bool(bool b)
{
	struct mproc_any any = { MPROC_BOOL, 0, { 0 }, 0 };

	any.b = b;
	return any;
}

inline struct mproc_any
mproc_bytes(const void *p, size_t n)
{
	struct mproc_any any = { MPROC_BYTES, 0, { 0 }, 0 };

	any.ptr = p;
	any.len = n;
	return any;
}

inline struct mproc_any
mproc_ref(const void *object)
{
	struct mproc_any any = { MPROC_REF, 0, { 0 }, 0 };

	any.ptr = object;
	return any;
}

/**
 * mproc_update_fn - makes a new value from the old one
 * @old:   the value as it is; NULL if there is none. Not to be cleared
 * @value: receives the new one, of which the container makes a copy afterwards; it
 *         may be @old, or a part of that. A MPROC_NIL before
 * @ctx:   as given to mproc_dict_update() or mproc_list_update()
 *
 * Return: 1 to set @value, 0 to leave it as it is, or a negative error, which that
 *         function returns.
 */
typedef int mproc_update_fn(const struct mproc_any *old,
			    struct mproc_any *value, void *ctx);

/**
 * struct mproc_cursor - how far an iteration has come; opaque
 *
 * All zero it is at the beginning. It holds nothing: it may be copied, and an
 * iteration be given up.
 */
struct mproc_cursor {
	uint64_t mproc_opaque[4];
};

MPROC_END_DECLS

#endif
