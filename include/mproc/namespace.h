/* SPDX-License-Identifier: MIT */
/*
 * namespace.h - shared namespaces.
 *
 * What holds for all containers, and what all of these functions return besides,
 * stands in dict.h.
 */
#ifndef MPROC_NAMESPACE_H
#define MPROC_NAMESPACE_H

#include <mproc/any.h>

MPROC_BEGIN_DECLS

/**
 * mproc_namespace - a shared namespace
 *
 * What a mproc_dict is, with texts for keys: the attributes of an object that all
 * processes see. Who waits for whom is the same as there.
 */
typedef struct mproc_namespace mproc_namespace;

/**
 * struct mproc_namespace_opts - how to make a namespace
 * @struct_size: filled in by MPROC_OPTS
 * @arena:       where, NULL for the default arena
 */
struct mproc_namespace_opts {
	size_t struct_size;
	mproc_arena *arena;
};

/**
 * mproc_namespace_create() - make a namespace
 * @ret_ns: receives it
 * @opts:   options, or NULL for the defaults
 *
 * Return: as mproc_dict_create().
 * Context: does not wait; calls the kernel when the heap grows.
 * Crash: as mproc_dict_create().
 */
MPROC_API MPROC_NODISCARD int
mproc_namespace_create(mproc_namespace **ret_ns,
		       const struct mproc_namespace_opts *opts);

/**
 * mproc_namespace_destroy() - end a namespace
 * @ns: namespace, or NULL. What was not created is refused, with a line in the log
 *
 * As mproc_dict_destroy().
 *
 * Context: waits for those who change it just now, a second at most.
 * Crash: as mproc_dict_destroy().
 */
MPROC_API void mproc_namespace_destroy(mproc_namespace *ns);

/**
 * mproc_namespace_set() - give a name a value
 * @ns:    namespace
 * @name:  name, a text with a 0 behind its end
 * @value: value, of which the namespace makes a copy
 *
 * Return: as mproc_dict_set(); -EINVAL if @name is NULL.
 * Context: waits for those who change names of the same part.
 * Crash: killed inside, the name has its old value or the new one.
 */
MPROC_API int mproc_namespace_set(mproc_namespace *ns, const char *name,
				  struct mproc_any value);

/**
 * mproc_namespace_get() - read what has a name
 * @ns:        namespace
 * @name:      name
 * @ret_value: receives a copy, to be given back with mproc_any_clear()
 *
 * Return: as mproc_dict_get(); -EINVAL if @name is NULL.
 * Context: as those who read a mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int mproc_namespace_get(mproc_namespace *ns,
						  const char *name,
						  struct mproc_any *ret_value);

/**
 * mproc_namespace_get_int() - read an integer that has a name
 * @ns:    namespace
 * @name:  name
 * @ret_i: receives it
 *
 * Return: as mproc_dict_get_int(); -EINVAL if @name is NULL.
 * Context: as those who read a mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int
mproc_namespace_get_int(mproc_namespace *ns, const char *name, int64_t *ret_i);

/**
 * mproc_namespace_get_float() - read a number that has a name
 * @ns:    namespace
 * @name:  name
 * @ret_f: receives it
 *
 * Return: as mproc_dict_get_float(); -EINVAL if @name is NULL.
 * Context: as those who read a mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int
mproc_namespace_get_float(mproc_namespace *ns, const char *name, double *ret_f);

/**
 * mproc_namespace_get_str() - read a text that has a name
 * @ns:      namespace
 * @name:    name
 * @buf:     receives the text, and a 0
 * @size:    bytes at @buf
 * @ret_len: receives the bytes of the text, or NULL
 *
 * Return: as mproc_dict_get_str(); -EINVAL if @name is NULL.
 * Context: as those who read a mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int
mproc_namespace_get_str(mproc_namespace *ns, const char *name, char *buf,
			size_t size, size_t *ret_len);

/**
 * mproc_namespace_del() - take a name away
 * @ns:   namespace
 * @name: name
 *
 * Return: 0, or a negative error: -ENOENT if it is not there, -EINVAL if @name is
 *         NULL, and those of all containers.
 * Context: waits for those who change names of the same part.
 * Crash: killed inside, it is there or not.
 */
MPROC_API int mproc_namespace_del(mproc_namespace *ns, const char *name);

/**
 * mproc_namespace_next() - the next name of an iteration, and its value
 * @ns:        namespace
 * @cursor:    where it is; zeroed at the beginning
 * @ret_name:  receives a copy, to be given back with mproc_any_clear(); or NULL
 * @ret_value: the same
 *
 * Others may change the namespace meanwhile; see mproc_dict_next().
 *
 * Return: as mproc_dict_next().
 * Context: as those who read a mproc_dict.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int
mproc_namespace_next(mproc_namespace *ns, struct mproc_cursor *cursor,
		     struct mproc_any *ret_name, struct mproc_any *ret_value);

MPROC_END_DECLS

#endif
