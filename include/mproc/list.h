/* SPDX-License-Identifier: MIT */
/*
 * list.h - shared lists: values of any kind, in an order, found by index.
 *
 * A list grows as needed. It has copies of the texts and bytes that are put in;
 * what comes out is a copy of the caller's, to be given back with
 * mproc_any_clear(). Indices below 0 count from the end, as in Python: -1 is the
 * last value.
 *
 *     mproc_list *l;
 *     struct mproc_any v;
 *
 *     mproc_list_create(&l, NULL);
 *     mproc_list_append(l, mproc_str("first"));
 *     mproc_list_get(l, -1, &v);
 *     mproc_any_clear(&v);
 *
 * One call at a time is in a list; the others wait until it has ended. Those that
 * read one value wait for nobody, unless the list is changed just then, all the
 * time, or it or the value is very large (1 MiB; 65,000 values). A caller that is
 * killed inside holds up nobody: the next one finds that out, makes good what was
 * half done, and goes on. One that is stopped inside (SIGSTOP, a debugger) is waited
 * for. A wait ends with -EINTR after mproc_interrupt(); then nothing has happened.
 *
 * What all functions may return, besides 0 and what they say themselves:
 *   -EINVAL     the list is NULL, or was not made by mproc_list_create()
 *   -EFAULT     the list does not lie in shared memory
 *   -ESTALE     the list was destroyed; -ESHUTDOWN: while we waited
 *   -EINTR      mproc_interrupt()
 *   -EDEADLK    called from the comparison of mproc_list_sort(), or the function of
 *               mproc_list_update(), of this list
 *   -EBADMSG    the list's memory is corrupt
 *   and those of "First use" in core.h.
 */
#ifndef MPROC_LIST_H
#define MPROC_LIST_H

#include <mproc/any.h>

MPROC_BEGIN_DECLS

typedef struct mproc_list mproc_list;

/**
 * struct mproc_list_opts - options of mproc_list_create()
 * @struct_size: size of the structure, see MPROC_OPTS()
 * @arena:       where it is made; NULL means the default arena
 */
struct mproc_list_opts {
	size_t struct_size;
	mproc_arena *arena;
};

/**
 * mproc_list_create() - make an empty list
 * @ret_list: receives it; the pointer is valid in every process of the family. In
 *            a named arena others find it with mproc_arena_find()
 * @opts:     options, or NULL
 *
 * Return: 0, or a negative error:
 *   -EINVAL   @ret_list is NULL
 *   -E2BIG    @opts has fields that this library does not know
 *   -EBADMSG  the memory where lists are made is corrupt
 *   -ENOMEM, -ENOSPC  no room
 *   and those of mproc_arena_default() and of "First use" in core.h.
 * Context: does not wait; calls the kernel when the heap grows.
 * Crash: killed inside, the list does not exist; killed just before the return, it
 *        is one that nobody knows.
 */
MPROC_API MPROC_NODISCARD int
mproc_list_create(mproc_list **ret_list, const struct mproc_list_opts *opts);

/**
 * mproc_list_destroy() - end a list
 * @list: list, or NULL. What is none, or was destroyed, is refused, with a line in
 *        the log
 *
 * May be called by any process. Those who wait get -ESHUTDOWN, later calls -ESTALE,
 * until a new list gets the same address. What references in it name stays. If a call
 * is in the list, that comes to its end, which gives the memory back.
 *
 * Context: does not wait.
 * Crash: killed inside, it is destroyed, or as it was. Some of its memory may stay
 *        in use then, until a new list gets its place.
 */
MPROC_API void mproc_list_destroy(mproc_list *list);

/**
 * mproc_list_len() - how many values are in a list
 * @list: list
 *
 * What somebody was about when it died may count or not, until another call has
 * been in the list.
 *
 * Return: the number of values; 0 if @list is no living list.
 * Context: does not wait.
 */
MPROC_API size_t mproc_list_len(const mproc_list *list);

/**
 * mproc_list_append() - add a value at the end
 * @list:  list
 * @value: what to add; a text or bytes are copied
 *
 * Return: 0, or a negative error, one of those above, or:
 *   -EINVAL  @value is of no kind, or a text or bytes at NULL
 *   -EFAULT  @value refers to what does not lie in the list's arena
 *   -ENOMEM, -ENOSPC  no room
 * Context: waits as said above; calls the kernel when the heap grows.
 * Crash: killed inside, the value is in the list or it is not.
 */
MPROC_API MPROC_NODISCARD int mproc_list_append(mproc_list *list,
						struct mproc_any value);

/**
 * mproc_list_get() - get one of the values
 * @list:  list
 * @index: which one; below 0 from the end
 * @ret:   receives a copy, to be given back with mproc_any_clear(). What was there
 *         before is not looked at
 *
 * Return: 0, or a negative error, one of those above, or:
 *   -ERANGE  there is no such index
 *   -EINVAL  @ret is NULL
 *   -ENOMEM  no memory for a copy
 * Context: waits as said above.
 */
MPROC_API MPROC_NODISCARD int mproc_list_get(mproc_list *list, int64_t index,
					     struct mproc_any *ret);

/**
 * mproc_list_get_int() - get one of the values, which is an integer
 * @list:  list
 * @index: which one; below 0 from the end
 * @ret_i: receives it, 0 or 1 of a truth value
 *
 * Return: 0, or a negative error as mproc_list_get(), or:
 *   -EPROTOTYPE  it is of another kind
 * Context: waits as said above.
 */
MPROC_API MPROC_NODISCARD int
mproc_list_get_int(mproc_list *list, int64_t index, int64_t *ret_i);

/**
 * mproc_list_get_float() - get one of the values, which is a number
 * @list:  list
 * @index: which one; below 0 from the end
 * @ret_f: receives it, converted if it is an integer
 *
 * Return: 0, or a negative error as mproc_list_get(), or:
 *   -EPROTOTYPE  it is of another kind
 * Context: waits as said above.
 */
MPROC_API MPROC_NODISCARD int
mproc_list_get_float(mproc_list *list, int64_t index, double *ret_f);

/**
 * mproc_list_get_str() - get one of the values, which is a text
 * @list:    list
 * @index:   which one; below 0 from the end
 * @buf:     receives the text, and a 0; on failure what it holds is undefined
 * @size:    bytes at @buf
 * @ret_len: receives the bytes of the text, without the 0, also of -EMSGSIZE; or
 *           NULL
 *
 * Return: 0, or a negative error as mproc_list_get(), or:
 *   -EPROTOTYPE  it is of another kind
 *   -EMSGSIZE    text and 0 are more than @size bytes
 *   -EINVAL      @buf is NULL, and @size is not 0
 * Context: waits as said above.
 */
MPROC_API MPROC_NODISCARD int
mproc_list_get_str(mproc_list *list, int64_t index, char *buf, size_t size,
		   size_t *ret_len);

/**
 * mproc_list_slice() - get several values that follow each other
 * @list:  list
 * @from:  the first one; below 0 from the end
 * @to:    the one after the last one; below 0 from the end. INT64_MAX: up to the end
 * @ret:   receives copies, each to be given back with mproc_any_clear(); on failure
 *         there is nothing to be given back
 * @size:  how many there is room for at @ret; may be 0, then @ret may be NULL
 * @ret_n: receives how many there are, also of -EMSGSIZE
 *
 * As in Python what lies beyond an end of the list is that end, and there is
 * nothing between @from and an earlier @to. The values are those of one moment.
 *
 *     struct mproc_any v[10];
 *     size_t n;
 *
 *     if (mproc_list_slice(l, -10, INT64_MAX, v, 10, &n) == 0)
 *             ... the last ten, or all, if there are less
 *
 * Return: 0, or a negative error, one of those above, or:
 *   -EMSGSIZE  there are more than @size
 *   -EINVAL    @ret_n is NULL, or @ret is, and @size is not 0
 *   -ENOMEM    no memory for copies
 * Context: waits as said above.
 */
MPROC_API MPROC_NODISCARD int
mproc_list_slice(mproc_list *list, int64_t from, int64_t to,
		 struct mproc_any *ret, size_t size, size_t *ret_n);

/**
 * mproc_list_extend() - add several values at the end
 * @list:   list
 * @values: what to add; texts and bytes are copied
 * @n:      how many; may be 0, then @values may be NULL
 *
 * Others see all of them or none.
 *
 * Return: 0, or a negative error as mproc_list_append(). Then none was added.
 * Context: waits as said above; calls the kernel when the heap grows.
 * Crash: killed inside, all values are in the list or none is.
 */
MPROC_API MPROC_NODISCARD int
mproc_list_extend(mproc_list *list, const struct mproc_any *values, size_t n);

/**
 * mproc_list_set() - put a value in the place of another
 * @list:  list
 * @index: where; below 0 from the end
 * @value: what to put there; a text or bytes are copied
 *
 * Return: 0, or a negative error as mproc_list_append(), or:
 *   -ERANGE  there is no such index
 * Context: waits as said above; calls the kernel when the heap grows.
 * Crash: killed inside, the old value is there or the new one.
 */
MPROC_API MPROC_NODISCARD int mproc_list_set(mproc_list *list, int64_t index,
					     struct mproc_any value);

/**
 * mproc_list_insert() - put a value before another
 * @list:  list
 * @index: before which one; below 0 from the end. Beyond the last one it is put
 *         at the end, before the first one at the start
 * @value: what to put there; a text or bytes are copied
 *
 * Return: 0, or a negative error as mproc_list_append().
 * Context: waits as said above; calls the kernel when the heap grows. Takes longer
 *          the more values come after it.
 * Crash: killed inside, the value is in the list or it is not.
 */
MPROC_API MPROC_NODISCARD int mproc_list_insert(mproc_list *list,
						int64_t index,
						struct mproc_any value);

/**
 * mproc_list_replace() - put several values in the place of others
 * @list:   list
 * @from:   the first one that goes; below 0 from the end
 * @to:     the one after the last one that goes; as of mproc_list_slice()
 * @values: what comes in their place; texts and bytes are copied
 * @n:      how many; may be 0, then @values may be NULL
 *
 * There may be more than go, or less. If none go, they come before @from. Others see
 * the list as it was or as it is then.
 *
 * Return: 0, or a negative error as mproc_list_append(). -ENOMEM and -ENOSPC also if
 *         there is no room for another array, but for values at the end.
 * Context: waits as said above; calls the kernel when the heap grows. Takes longer
 *          the more values there are in the list.
 * Crash: killed inside, all of them are in the list in the place of the others, or
 *        the list is as it was.
 */
MPROC_API MPROC_NODISCARD int
mproc_list_replace(mproc_list *list, int64_t from, int64_t to,
		   const struct mproc_any *values, size_t n);

/**
 * mproc_list_delete() - take out several values that follow each other
 * @list: list
 * @from: the first one; below 0 from the end
 * @to:   the one after the last one; as of mproc_list_slice()
 *
 * Return: 0, or a negative error, one of those above, or:
 *   -ENOMEM, -ENOSPC  no room for another array; not for values at the end
 * Context: as mproc_list_replace().
 * Crash: killed inside, they are all in the list or none is.
 */
MPROC_API MPROC_NODISCARD int mproc_list_delete(mproc_list *list, int64_t from,
						int64_t to);

/**
 * mproc_list_add() - add to a value
 * @list:    list
 * @index:   which one; below 0 from the end
 * @n:       a number or truth value
 * @ret_sum: receives the sum, or NULL
 *
 * Of two integers or truth values the sum is an integer, otherwise it is a
 * MPROC_FLOAT.
 *
 * Return: 0, or a negative error, one of those above, or:
 *   -ERANGE      there is no such index
 *   -EPROTOTYPE  the value or @n is neither a number nor a truth value
 *   -EOVERFLOW   the integer would not fit 64 bits
 * Context: waits as said above.
 * Crash: killed inside, it is added or not.
 */
MPROC_API MPROC_NODISCARD int mproc_list_add(mproc_list *list, int64_t index,
					     struct mproc_any n,
					     struct mproc_any *ret_sum);

/**
 * mproc_list_compare_exchange() - put a value in the place of one that is as expected
 * @list:     list
 * @index:    where; below 0 from the end
 * @expected: what has to be there, equal as in mproc_list_index()
 * @value:    what to put there then; a text or bytes are copied
 *
 * Return: 1 if it was put there, 0 if something else is there; or a negative error, as
 *         mproc_list_set().
 * Context: waits as said above; calls the kernel when the heap grows.
 * Crash: killed inside, the old value is there or the new one.
 */
MPROC_API MPROC_NODISCARD int
mproc_list_compare_exchange(mproc_list *list, int64_t index,
			    struct mproc_any expected, struct mproc_any value);

/**
 * mproc_list_update() - change a value by a function, while nobody else can
 * @list:  list
 * @index: which one; below 0 from the end
 * @fn:    function
 * @ctx:   passed to it
 *
 * Others who have to wait for the list wait until @fn has returned. It returns, in
 * the same thread; and it does not use @list. If two of them use each other's lists,
 * they may wait for each other for ever.
 *
 * Return: what @fn has returned; or a negative error, as mproc_list_set(); or
 *         -EPERM if @fn has forked, in the child; -EINVAL also if @fn is NULL.
 * Context: waits as said above.
 * Crash: killed inside, @fn too, the value is changed or not.
 */
MPROC_API MPROC_NODISCARD int mproc_list_update(mproc_list *list, int64_t index,
						mproc_update_fn *fn, void *ctx);

/**
 * mproc_list_pop() - take a value out
 * @list:  list
 * @index: which one; below 0 from the end
 * @ret:   receives it, to be given back with mproc_any_clear(); or NULL
 *
 * Return: 0, or a negative error, one of those above, or:
 *   -ERANGE  there is no such index
 *   -ENOMEM  no memory for a copy
 * Context: waits as said above; may call the kernel. Takes longer the more values
 *          come after it.
 * Crash: killed inside, the value is in the list or it is lost.
 */
MPROC_API int mproc_list_pop(mproc_list *list, int64_t index,
			     struct mproc_any *ret);

/**
 * mproc_list_clear() - take all values out
 * @list: list
 *
 * Return: 0, or a negative error, one of those above.
 * Context: waits as said above; may call the kernel.
 * Crash: killed inside, the list is empty or as it was.
 */
MPROC_API int mproc_list_clear(mproc_list *list);

/**
 * mproc_list_next() - go through a list
 * @list:   list
 * @cursor: the index to begin with, 0 for the first value; one more after each call
 *          that returns 0
 * @ret:    receives a copy, to be given back with mproc_any_clear()
 *
 *     for (size_t i = 0; mproc_list_next(l, &i, &v) == 0; mproc_any_clear(&v))
 *             use(&v);
 *
 * Between two calls others may change the list: what the cursor comes to is what
 * lies there then. What stays at its index for the whole time comes once.
 *
 * Return: 0, or a negative error, one of those above, or:
 *   -ENODATA  there are no more
 *   -EINVAL   @cursor or @ret is NULL
 *   -ENOMEM   no memory for a copy
 * Context: waits as said above.
 */
MPROC_API MPROC_NODISCARD int mproc_list_next(mproc_list *list, size_t *cursor,
					      struct mproc_any *ret);

/**
 * mproc_list_compare - says which of two values comes first
 * @a:   one value; a text has a 0 behind its end
 * @b:   another one
 * @ctx: as given to mproc_list_sort()
 *
 * Returns below 0 if @a comes first, above 0 if @b does, 0 if it is all the same.
 * It returns, in the same thread: no longjmp(), no exception.
 */
typedef int mproc_list_compare(const struct mproc_any *a,
			       const struct mproc_any *b, void *ctx);

/**
 * mproc_list_sort() - put a list in order
 * @list:    list
 * @compare: says what the order is; or NULL for Python's: numbers and truth values
 *           by what they are, texts by their bytes, bytes by themselves
 * @ctx:     for @compare
 *
 * What is equal stays in the order in which it was. Values are compared in copies;
 * the list is nobody else's meanwhile.
 *
 * Return: 0, or a negative error, one of those above, or:
 *   -EPROTOTYPE  there is no order between these values: numbers and texts, say
 *   -EPERM       @compare has forked, and this is the child
 *   -ESTALE      it was destroyed meanwhile
 *   -ENOMEM, -ENOSPC  no memory for the copies, or for another array
 * Context: waits as said above, and for @compare; calls the kernel when the heap
 *          grows.
 * Crash: killed inside, the list is sorted or as it was.
 */
MPROC_API MPROC_NODISCARD int
mproc_list_sort(mproc_list *list, mproc_list_compare *compare, void *ctx);

/**
 * mproc_list_reverse() - turn a list round
 * @list: list
 *
 * Return: 0, or a negative error, one of those above, or:
 *   -ENOMEM, -ENOSPC  no memory for another array
 * Context: waits as said above; calls the kernel when the heap grows.
 * Crash: killed inside, the list is turned round or as it was.
 */
MPROC_API MPROC_NODISCARD int mproc_list_reverse(mproc_list *list);

/**
 * mproc_list_index() - find a value
 * @list:      list
 * @value:     what to look for. Values are equal as they are in Python: 1, 1.0 and
 *             true are, a text and the same bytes are not, a not-a-number is equal
 *             to nothing
 * @ret_index: receives the index of the first one; or NULL
 *
 * Return: 0, or a negative error, one of those above, or:
 *   -ENOENT  there is none
 *   -EINVAL  @value is of no kind, or a text or bytes at NULL
 *   -EFAULT  @value refers to what does not lie in the list's arena
 * Context: waits as said above; looks at all values up to that one.
 */
MPROC_API MPROC_NODISCARD int mproc_list_index(mproc_list *list,
					       struct mproc_any value,
					       size_t *ret_index);

/**
 * mproc_list_count() - count the values that are equal to one
 * @list:  list
 * @value: what to look for, as in mproc_list_index()
 * @ret_n: receives how many there are, perhaps 0
 *
 * Return: 0, or a negative error as mproc_list_index() but for -ENOENT, or:
 *   -EINVAL  @ret_n is NULL
 * Context: waits as said above; looks at all values.
 */
MPROC_API MPROC_NODISCARD int mproc_list_count(mproc_list *list,
					       struct mproc_any value,
					       size_t *ret_n);

/**
 * mproc_list_remove() - take out the first of the values that are equal to one
 * @list:  list
 * @value: what to look for, as in mproc_list_index()
 *
 * Return: 0, or a negative error as mproc_list_index().
 * Context: waits as said above; may call the kernel. Looks at all values up to that
 *          one, and moves all that come after it.
 * Crash: killed inside, it is in the list or it is not.
 */
MPROC_API MPROC_NODISCARD int mproc_list_remove(mproc_list *list,
						struct mproc_any value);

MPROC_END_DECLS

#endif
