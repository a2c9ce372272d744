/* SPDX-License-Identifier: MIT */
/*
 * dict.h - shared dicts.
 *
 *     mproc_dict *d;
 *     int64_t n;
 *
 *     if (mproc_dict_create(&d, NULL) < 0)
 *             return;
 *     mproc_dict_set(d, mproc_str("apples"), mproc_int(5));
 *     if (mproc_dict_get_int(d, mproc_str("apples"), &n) == 0)
 *             printf("%lld\n", (long long)n);
 *     mproc_dict_destroy(d);
 *
 * Containers lie in shared memory, and are used by all processes of the family
 * directly: there is no process that serves them. The pointer is valid in every
 * process of the family. Each call is one atomic step for all others, unless it
 * says otherwise. Killed inside a call, it has happened or not.
 *
 * Unless a function says otherwise, it returns also:
 *   -EINVAL    a pointer that must not be is NULL, or a value is one that can be in
 *              no container: of no kind, a text or bytes at NULL
 *   -EFAULT    what is to be a container does not lie in shared memory, or a
 *              MPROC_REF does not lie in the container's arena
 *   -ESTALE    the container was destroyed
 *   -EBADMSG   what is there is no such container, or somebody has written where he
 *              should not
 *   -EDEADLK   called by a function that mproc_dict_update() of the same container
 *              runs
 *   -EINTR     mproc_interrupt(), where it waits for another thread that changes
 *              the container
 *   and those of "First use" in core.h.
 */
#ifndef MPROC_DICT_H
#define MPROC_DICT_H

#include <mproc/any.h>

MPROC_BEGIN_DECLS

/**
 * mproc_dict - a shared dict
 *
 * Keys are values of any kind but not-a-number. They are equal as in Python: 1, 1.0
 * and true are one key, a text and the same bytes are two. How a key was first
 * given is forgotten: of 1.0 and true it is an integer that comes out.
 *
 * Those who read wait for nobody, unless the value is one of about a MiB or more,
 * or others change keys around theirs all the time. Those who change keys wait for
 * each other if these lie in the same one of 16 parts, of which a key's hash
 * chooses one. If one of them is stopped in the middle, so are those. A part that has
 * come to have many more keys is put in order anew by who puts the next one there;
 * for so long all who use its keys wait, also those who read: 0.1 s when there are
 * four million keys in the dict, and the longer the more there are.
 */
typedef struct mproc_dict mproc_dict;

/**
 * struct mproc_dict_opts - how to make a dict
 * @struct_size: filled in by MPROC_OPTS
 * @arena:       where, NULL for the default arena
 */
struct mproc_dict_opts {
	size_t struct_size;
	mproc_arena *arena;
};

/**
 * mproc_dict_create() - make a dict
 * @ret_d: receives it
 * @opts:  options, or NULL for the defaults
 *
 * Return: 0, or a negative error:
 *   -EINVAL, -E2BIG  as of all options; @ret_d is NULL
 *   -EBADMSG         the memory where dicts are made is corrupt
 *   -ENOMEM, -ENOSPC  no room
 *   and those of mproc_arena_default() and of "First use" in core.h.
 * Context: does not wait; calls the kernel when the heap grows.
 * Crash: killed inside, the dict does not exist; killed just before the return, it
 *        is one that nobody knows.
 */
MPROC_API MPROC_NODISCARD int
mproc_dict_create(mproc_dict **ret_d, const struct mproc_dict_opts *opts);

/**
 * mproc_dict_destroy() - end a dict
 * @d: dict, or NULL. What was not created is refused, with a line in the log
 *
 * Its memory is free then, but for 4 KiB for the next dict. What its values refer to
 * is left as it is. If one that changes it just now is stopped, what memory it still
 * has is that of a dict that is made later.
 *
 * Context: waits for those who change it just now, a second at most.
 * Crash: killed inside, it is as it was, or destroyed. In the latter case what
 *        memory it still has is that of a dict that is made later.
 */
MPROC_API void mproc_dict_destroy(mproc_dict *d);

/**
 * mproc_dict_set() - give a key a value
 * @d:     dict
 * @key:   key
 * @value: value, of which the dict makes a copy
 *
 * Return: 0, or a negative error:
 *   -ENOMEM, -ENOSPC  no room
 *   -EOVERFLOW        65536 other keys have the same hash
 *   and those of all containers.
 * Context: waits for those who change keys of the same part.
 * Crash: killed inside, the key has its old value or the new one.
 */
MPROC_API int mproc_dict_set(mproc_dict *d, struct mproc_any key,
			     struct mproc_any value);

/**
 * mproc_dict_get() - read a key's value
 * @d:         dict
 * @key:       key
 * @ret_value: receives a copy, to be given back with mproc_any_clear(); a MPROC_NIL
 *             on failure
 *
 * Return: 0, or a negative error:
 *   -ENOENT  the key is not there
 *   -ENOMEM  no private memory for a copy
 *   and those of all containers.
 * Context: see mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int mproc_dict_get(mproc_dict *d, struct mproc_any key,
					     struct mproc_any *ret_value);

/**
 * mproc_dict_get_int() - read a key's value that is an integer
 * @d:     dict
 * @key:   key
 * @ret_i: receives it, 0 or 1 of a truth value
 *
 * Return: as mproc_dict_get(); -EPROTOTYPE if it is of another kind.
 * Context: see mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int
mproc_dict_get_int(mproc_dict *d, struct mproc_any key, int64_t *ret_i);

/**
 * mproc_dict_get_float() - read a key's value that is a number
 * @d:     dict
 * @key:   key
 * @ret_f: receives it, converted if it is an integer
 *
 * Return: as mproc_dict_get(); -EPROTOTYPE if it is of another kind.
 * Context: see mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int
mproc_dict_get_float(mproc_dict *d, struct mproc_any key, double *ret_f);

/**
 * mproc_dict_get_str() - read a key's value that is a text
 * @d:       dict
 * @key:     key
 * @buf:     receives the text, and a 0; on failure what it holds is undefined
 * @size:    bytes at @buf
 * @ret_len: receives the bytes of the text, without the 0, also of -EMSGSIZE; or
 *           NULL
 *
 * Return: as mproc_dict_get(); -EPROTOTYPE if it is of another kind; -EMSGSIZE if
 *         text and 0 are more than @size bytes.
 * Context: see mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int
mproc_dict_get_str(mproc_dict *d, struct mproc_any key, char *buf, size_t size,
		   size_t *ret_len);

/**
 * mproc_dict_has() - is a key there?
 * @d:   dict
 * @key: key
 *
 * Return: 1 if so, 0 if not, or a negative error.
 * Context: see mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int mproc_dict_has(mproc_dict *d,
					     struct mproc_any key);

/**
 * mproc_dict_get_many() - read the values of several keys
 * @d:          dict
 * @keys:       keys
 * @n:          how many, up to INT_MAX; may be 0, then the others may be NULL
 * @ret_values: receives a copy for each key, as of mproc_dict_get(), to be given back
 *              with mproc_any_clear(); a MPROC_NIL for a key that is not there, and for
 *              all of them on failure
 * @ret_there:  receives for each key whether it is there
 *
 * Each value is what its key has at one moment; all of them together are not: others
 * may set keys in between. Of a manager that one is connected to, up to 1024 keys are one
 * request, as far as messages to it, and its answers, may be that long; more are
 * several, one after another.
 *
 * Return: how many of the keys are there; or a negative error, as mproc_dict_get(), but
 *         for -ENOENT, and:
 *   -EINVAL  also: @n is more than INT_MAX
 * Context: see mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int
mproc_dict_get_many(mproc_dict *d, const struct mproc_any *keys, size_t n,
		    struct mproc_any *ret_values, bool *ret_there);

/**
 * struct mproc_dict_item - a key and its value
 * @key:   key
 * @value: value
 */
struct mproc_dict_item {
	struct mproc_any key;
	struct mproc_any value;
};

/**
 * mproc_dict_set_many() - give several keys values
 * @d:     dict
 * @items: keys and values, of which the dict makes copies
 * @n:     how many, up to INT_MAX; may be 0, then @items may be NULL
 *
 *     const struct mproc_dict_item items[] = {
 *             { mproc_str("apples"), mproc_int(5) },
 *             { mproc_str("pears"), mproc_int(7) },
 *     };
 *
 *     if (mproc_dict_set_many(d, items, 2) != 2)
 *             ... not all of them
 *
 * One key after another, in this order, each in one atomic step, all of them together in
 * none. If one of them cannot be set, those in front of it are, and a call that begins
 * with it gets the error. So a positive result may be less than @n, and 0 is that of no
 * items alone. Requests to a manager as of mproc_dict_get_many().
 *
 * Return: how many keys were set, from the first on; or a negative error, as
 *         mproc_dict_set(), and none was. -EINVAL also if @n is more than INT_MAX.
 * Context: waits for those who change keys of the same parts.
 * Crash: killed inside, some keys were set, the first ones.
 */
MPROC_API int mproc_dict_set_many(mproc_dict *d, const struct mproc_dict_item *items,
				  size_t n);

/**
 * mproc_dict_pop() - take a key away, and its value out
 * @d:         dict
 * @key:       key
 * @ret_value: receives a copy, as of mproc_dict_get(); or NULL
 *
 * Return: 0, or a negative error: -ENOENT, -ENOMEM, as mproc_dict_get().
 * Context: waits for those who change keys of the same part.
 * Crash: killed inside, the key is there with its value, or is not.
 */
MPROC_API int mproc_dict_pop(mproc_dict *d, struct mproc_any key,
			     struct mproc_any *ret_value);

/**
 * mproc_dict_pop_item() - take any key away, and its value out
 * @d:         dict
 * @ret_key:   receives a copy, to be given back with mproc_any_clear(); a MPROC_NIL on
 *             failure; or NULL
 * @ret_value: the same
 *
 * Of several who call it none gets what another one gets.
 *
 * Return: 0, or a negative error: -ENODATA if the dict is empty, -ENOMEM if there is
 *         no private memory for copies, and those of all containers.
 * Context: waits for those who change keys of the same part.
 * Crash: killed inside, the key is there with its value, or is not.
 */
MPROC_API int mproc_dict_pop_item(mproc_dict *d, struct mproc_any *ret_key,
				  struct mproc_any *ret_value);

/**
 * mproc_dict_set_default() - read a key's value, or give it one
 * @d:         dict
 * @key:       key
 * @value:     what it becomes if the key is not there
 * @ret_value: receives a copy of what it is then, as of mproc_dict_get(); or NULL
 *
 * Return: 1 if it has got @value, 0 if it had one already; or a negative error, as
 *         mproc_dict_set() and mproc_dict_get().
 * Context: waits for those who change keys of the same part.
 * Crash: killed inside, the key is as it was, or has @value.
 */
MPROC_API int mproc_dict_set_default(mproc_dict *d, struct mproc_any key,
				     struct mproc_any value,
				     struct mproc_any *ret_value);

/**
 * mproc_dict_add() - add to a key's value
 * @d:       dict
 * @key:     key; one that is not there has the value 0
 * @n:       a number or truth value
 * @ret_sum: receives the sum, or NULL
 *
 * Of two integers or truth values the sum is an integer, otherwise it is a
 * MPROC_FLOAT.
 *
 * Return: 0, or a negative error:
 *   -EPROTOTYPE  the value or @n is neither a number nor a truth value
 *   -EOVERFLOW   the integer would not fit 64 bits; or as of mproc_dict_set()
 *   and those of mproc_dict_set().
 * Context: waits for those who change keys of the same part.
 * Crash: killed inside, it is added or not.
 */
MPROC_API int mproc_dict_add(mproc_dict *d, struct mproc_any key,
			     struct mproc_any n, struct mproc_any *ret_sum);

/**
 * mproc_dict_compare_exchange() - change a key's value if it is what is expected
 * @d:        dict
 * @key:      key
 * @expected: what the value has to be equal to, as keys are; NULL: the key is not
 *            there
 * @value:    what it becomes then; NULL: the key is taken away
 *
 * Return: 1 if so, 0 if it was something else and nothing has changed; or a negative
 *         error, as mproc_dict_set().
 * Context: waits for those who change keys of the same part.
 * Crash: killed inside, it is changed or not.
 */
MPROC_API MPROC_NODISCARD int
mproc_dict_compare_exchange(mproc_dict *d, struct mproc_any key,
			    const struct mproc_any *expected,
			    const struct mproc_any *value);

/**
 * mproc_dict_update() - change a key's value by a function, while nobody else can
 * @d:   dict
 * @key: key
 * @fn:  function
 * @ctx: passed to it
 *
 * Others who change keys of the same part wait until @fn has returned; those who read
 * do not. It returns; it does not leave by longjmp() or the like, and does not use
 * @d: that gives -EDEADLK. If two of them use each other's dicts, they may wait for
 * each other for ever.
 *
 * Return: what @fn has returned; or a negative error, as mproc_dict_set(); or
 *         -EPERM if @fn has forked, in the child.
 * Context: waits for those who change keys of the same part.
 * Crash: killed inside, @fn too, the value is changed or not.
 */
MPROC_API int mproc_dict_update(mproc_dict *d, struct mproc_any key,
				mproc_update_fn *fn, void *ctx);

/**
 * mproc_dict_len() - how many keys are there?
 * @d: dict
 *
 * Exact while nobody else changes the dict, near otherwise.
 *
 * Return: the number; 0 if @d is no living dict.
 * Context: see mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API size_t mproc_dict_len(mproc_dict *d);

/**
 * mproc_dict_clear() - take all keys away
 * @d: dict
 *
 * One part after another: others may see some of the keys gone and some not, and
 * keys that they set meanwhile may stay.
 *
 * Return: 0, or a negative error; then a part of them is gone.
 * Context: waits for those who change keys; takes a while for many keys, also if most
 *          were taken out one by one since; and those who read those of the same part
 *          wait for it.
 * Crash: killed inside, some keys are gone.
 */
MPROC_API int mproc_dict_clear(mproc_dict *d);

/**
 * mproc_dict_next() - the next key of an iteration, and its value
 * @d:         dict
 * @cursor:    where it is; zeroed at the beginning
 * @ret_key:   receives a copy, to be given back with mproc_any_clear(); or NULL
 * @ret_value: the same
 *
 * Others may change the dict meanwhile, and so may the caller. A key that is there
 * from beginning to end comes once; one that comes or goes meanwhile at most once,
 * unless it goes and comes again. The order is none that means anything.
 *
 *     struct mproc_cursor c = { { 0 } };
 *     struct mproc_any key, value;
 *
 *     while (mproc_dict_next(d, &c, &key, &value) == 0) {
 *             ...
 *             mproc_any_clear(&key);
 *             mproc_any_clear(&value);
 *     }
 *
 * Return: 0; or a negative error:
 *   -ENODATA  there is no further one
 *   -ENOMEM   no private memory for copies; the cursor stays where it is
 *   and those of all containers.
 * Context: see mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int
mproc_dict_next(mproc_dict *d, struct mproc_cursor *cursor,
		struct mproc_any *ret_key, struct mproc_any *ret_value);

/**
 * mproc_dict_merge() - give a dict all keys of another one, with their values
 * @d:     dict
 * @other: another dict, which is not changed; or @d, then nothing is
 *
 * What Python's update() does. A key that both have gets the value that it has in
 * @other. It goes through @other as mproc_dict_next() does, and sets one key after
 * another: each in one atomic step, all of them together in none. What others change
 * meanwhile may count or not. A call that fails, and one in which the caller is killed,
 * has set some of the keys. A copy of a dict is made by mproc_dict_create() and this.
 *
 * No call waits for one dict while it holds up those who use the other: two may do
 * this at once with the same dicts the other way round.
 *
 * The dicts may lie in two arenas; what is a reference in @other cannot be in @d then.
 *
 * Return: 0, or a negative error, as mproc_dict_set() and mproc_dict_get() but for
 *         -ENOENT; -EDEADLK also if it is @other whose update runs.
 * Context: waits for those who change keys of the same part.
 * Crash: killed inside, some of the keys were set.
 */
MPROC_API int mproc_dict_merge(mproc_dict *d, mproc_dict *other);

MPROC_END_DECLS

#endif
