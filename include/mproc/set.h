/* SPDX-License-Identifier: MIT */
/*
 * set.h - shared sets.
 *
 * What holds for all containers, and what all of these functions return besides,
 * stands in dict.h.
 */
#ifndef MPROC_SET_H
#define MPROC_SET_H

#include <mproc/any.h>

MPROC_BEGIN_DECLS

/**
 * mproc_set - a shared set
 *
 * Elements are what keys of a mproc_dict are, and are equal as these are. Who waits
 * for whom is the same as there.
 */
typedef struct mproc_set mproc_set;

/**
 * struct mproc_set_opts - how to make a set
 * @struct_size: filled in by MPROC_OPTS
 * @arena:       where, NULL for the default arena
 */
struct mproc_set_opts {
	size_t struct_size;
	mproc_arena *arena;
};

/**
 * mproc_set_create() - make a set
 * @ret_s: receives it
 * @opts:  options, or NULL for the defaults
 *
 * Return: as mproc_dict_create().
 * Context: does not wait; calls the kernel when the heap grows.
 * Crash: as mproc_dict_create().
 */
MPROC_API MPROC_NODISCARD int
mproc_set_create(mproc_set **ret_s, const struct mproc_set_opts *opts);

/**
 * mproc_set_destroy() - end a set
 * @s: set, or NULL. What was not created is refused, with a line in the log
 *
 * As mproc_dict_destroy().
 *
 * Context: waits for those who change it just now, a second at most.
 * Crash: as mproc_dict_destroy().
 */
MPROC_API void mproc_set_destroy(mproc_set *s);

/**
 * mproc_set_add() - put an element into a set
 * @s:    set
 * @elem: element, of which the set makes a copy
 *
 * Return: 1, or 0 if it was there already; or a negative error, as mproc_dict_set().
 * Context: waits for those who change elements of the same part.
 * Crash: killed inside, it is there or not.
 */
MPROC_API int mproc_set_add(mproc_set *s, struct mproc_any elem);

/**
 * mproc_set_discard() - take an element out of a set
 * @s:    set
 * @elem: element
 *
 * Return: 1, or 0 if it was not there; or a negative error of all containers.
 * Context: waits for those who change elements of the same part.
 * Crash: killed inside, it is there or not.
 */
MPROC_API int mproc_set_discard(mproc_set *s, struct mproc_any elem);

/**
 * mproc_set_has() - is an element in a set?
 * @s:    set
 * @elem: element
 *
 * Return: 1 if so, 0 if not; or a negative error of all containers.
 * Context: as those who read a mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int mproc_set_has(mproc_set *s,
					    struct mproc_any elem);

/**
 * mproc_set_pop() - take any element out of a set
 * @s:        set
 * @ret_elem: receives a copy, to be given back with mproc_any_clear(); a MPROC_NIL on
 *            failure
 *
 * Of several who call it none gets what another one gets.
 *
 * Return: 0, or a negative error: -ENODATA if the set is empty, -ENOMEM if there is no
 *         private memory for a copy, and those of all containers.
 * Context: waits for those who change elements of the same part.
 * Crash: killed inside, the element is there or not.
 */
MPROC_API MPROC_NODISCARD int mproc_set_pop(mproc_set *s,
					    struct mproc_any *ret_elem);

/**
 * mproc_set_len() - how many elements are there?
 * @s: set
 *
 * Return: as mproc_dict_len().
 * Context: as those who read a mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API size_t mproc_set_len(mproc_set *s);

/**
 * mproc_set_clear() - take all elements away
 * @s: set
 *
 * Return: as mproc_dict_clear(), which it does as.
 * Context: as mproc_dict_clear().
 * Crash: killed inside, some elements are gone.
 */
MPROC_API int mproc_set_clear(mproc_set *s);

/**
 * mproc_set_next() - the next element of an iteration
 * @s:        set
 * @cursor:   where it is; zeroed at the beginning
 * @ret_elem: receives a copy, to be given back with mproc_any_clear(); or NULL
 *
 * Others may change the set meanwhile; see mproc_dict_next().
 *
 * Return: as mproc_dict_next().
 * Context: as those who read a mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int mproc_set_next(mproc_set *s,
					     struct mproc_cursor *cursor,
					     struct mproc_any *ret_elem);

/**
 * mproc_set_update() - put all elements of another set into a set
 * @s:     set
 * @other: another set, which is not changed; or @s, then nothing is
 *
 * This and the functions below go through one of the two sets as mproc_set_next()
 * does, and look at or change the other one: one element after another, each in one
 * atomic step, and all of them together in none. What others put into a set or take
 * out of it meanwhile may count or not. A call that fails, and one in which the caller
 * is killed, has done that with some elements, with each of them wholly. A copy of
 * a set is made by mproc_set_create() and this.
 *
 * No call waits for one set while it holds up those who use the other: two may do this
 * at once with the same sets the other way round.
 *
 * The sets may lie in two arenas. A reference is never in a set of another arena than
 * that in which lies what it refers to: here it is refused, as by mproc_set_add().
 *
 * Return: 0, or a negative error, as mproc_set_add(); -ENOMEM also if there is no
 *         private memory for a copy of an element.
 * Context: waits for those who change elements of the same part.
 * Crash: killed inside, some of the elements were put in.
 */
MPROC_API int mproc_set_update(mproc_set *s, mproc_set *other);

/**
 * mproc_set_intersection_update() - take out of a set what is not in another one
 * @s:     set
 * @other: another set, which is not changed; or @s, then nothing is
 *
 * See mproc_set_update(). References to what does not lie in the arena of @other
 * are taken out.
 *
 * Return: 0, or a negative error, as mproc_set_pop() but for -ENODATA.
 * Context: waits for those who change elements of the same part.
 * Crash: killed inside, some of those elements are gone.
 */
MPROC_API int mproc_set_intersection_update(mproc_set *s, mproc_set *other);

/**
 * mproc_set_difference_update() - take out of a set what is in another one
 * @s:     set
 * @other: another set, which is not changed; or @s, then all is taken out, as by
 *         mproc_set_clear()
 *
 * See mproc_set_update().
 *
 * Return: 0, or a negative error, as mproc_set_pop() but for -ENODATA.
 * Context: waits for those who change elements of the same part.
 * Crash: killed inside, some of those elements are gone.
 */
MPROC_API int mproc_set_difference_update(mproc_set *s, mproc_set *other);

/**
 * mproc_set_symmetric_difference_update() - put into a set what is in another one, or
 *                                           take it out if it is in both
 * @s:     set
 * @other: another set, which is not changed; or @s, then all is taken out, as by
 *         mproc_set_clear()
 *
 * See mproc_set_update(). Each element of @other changes sides once; to repeat a call
 * that has failed would change some of them back.
 *
 * Return: 0, or a negative error, as mproc_set_update().
 * Context: waits for those who change elements of the same part.
 * Crash: killed inside, some of the elements of @other have changed sides.
 */
MPROC_API int mproc_set_symmetric_difference_update(mproc_set *s,
						    mproc_set *other);

/**
 * mproc_set_is_subset() - is all that is in one set in another one?
 * @s:     one set; the empty one is a subset of all
 * @other: another set, or @s
 *
 * The other way round it says whether @s is a superset. Exact while nobody changes
 * the sets; otherwise see mproc_set_update().
 *
 * Return: 1 if so, 0 if not; or a negative error: -ENOMEM if there is no private
 *         memory for a copy of an element, and those of all containers.
 * Context: as those who read a mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int mproc_set_is_subset(mproc_set *s,
						  mproc_set *other);

/**
 * mproc_set_is_equal() - are the same elements in two sets?
 * @s:     one set
 * @other: another set, or @s
 *
 * Each is asked for all elements of the other one.
 *
 * Return: as mproc_set_is_subset().
 * Context: as those who read a mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int mproc_set_is_equal(mproc_set *s,
						 mproc_set *other);

/**
 * mproc_set_is_disjoint() - is no element in both of two sets?
 * @s:     one set
 * @other: another set, or @s
 *
 * Return: as mproc_set_is_subset().
 * Context: as those who read a mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int mproc_set_is_disjoint(mproc_set *s,
						    mproc_set *other);

MPROC_END_DECLS

#endif
