/* SPDX-License-Identifier: MIT */
/*
 * value.h - shared values and arrays: typed pointers into an arena, each with a lock
 * of its own; and atomic access to numbers and pointers.
 *
 *     double *sum = mproc_value(double, 0.0);
 *     int *squares = mproc_array(int, 100);
 *
 *     mproc_with_lock(mproc_lock_of(sum))
 *         *sum += 0.5;
 *     mproc_fetch_add(&squares[3], 1);
 *
 * They are used as any memory is. Where several processes write, they take the
 * lock, or use the atomic functions for all that is not under the lock. The pointer
 * is valid in every process of the family. mproc_free() ends them, whatever
 * process calls it.
 *
 * A value or array is never moved or copied as a whole: what lies behind its end
 * belongs to it.
 */
#ifndef MPROC_VALUE_H
#define MPROC_VALUE_H

#include <mproc/arena.h>
#include <mproc/lock.h>

MPROC_BEGIN_DECLS

/**
 * mproc_value_new() - make a value in the default arena
 * @size: bytes, at least 1
 * @init: so many bytes to begin with, or NULL for zeroes
 *
 * Return: its address, aligned to 64 bytes; NULL with errno set as of
 *         mproc_array_new().
 * Context: as mproc_array_new().
 * Crash: as in mproc_array_new().
 */
MPROC_API MPROC_NODISCARD void *mproc_value_new(size_t size, const void *init);

/**
 * mproc_array_new() - make an array in the default arena
 * @elem: bytes of an element, at least 1
 * @n:    number of elements, at least 1
 * @init: @n elements to begin with, or NULL for zeroes
 *
 * It and its lock take 48 bytes more than its elements, rounded up as all blocks
 * are.
 *
 * Return: the address of the first element, aligned to 64 bytes; NULL with errno
 *         set, and the text in mproc_error_detail():
 *   EINVAL  @elem or @n is 0
 *   ENOMEM  more than the arena can ever hold, or SIZE_MAX bytes and more; and as
 *           of mproc_alloc(), with all other errors of that
 * Context: lock-free; calls the kernel when the heap grows. Thread-safe, not
 *          async-signal-safe.
 * Crash: killed inside, there is no array, and its memory is free again once the
 *        death is proved; killed just before the return, it is one that nobody
 *        knows.
 */
MPROC_API MPROC_NODISCARD void *mproc_array_new(size_t elem, size_t n,
						const void *init);

/**
 * mproc_arena_array_new() - make an array in an arena
 * @a:    arena, or NULL for the default one
 * @elem: bytes of an element, at least 1
 * @n:    number of elements, at least 1; 1 for a value
 * @init: @n elements to begin with, or NULL for zeroes
 *
 * As mproc_array_new(). Its address is another one in each program that has a named
 * arena: mproc_arena_bind() gives it a name. All that is said of values and arrays
 * here is true of it, by whatever address.
 *
 * Return: the address of the first element; NULL with errno set as of
 *         mproc_array_new().
 * Context: as mproc_array_new().
 * Crash: as in mproc_array_new().
 */
MPROC_API MPROC_NODISCARD void *
mproc_arena_array_new(mproc_arena *a, size_t elem, size_t n, const void *init);

/**
 * mproc_array_len() - how many elements does an array have?
 * @array: what mproc_array_new() or mproc_value_new() has returned, in any process
 *
 * Return: the number, 1 for a value; 0 with errno set, and the text in
 *         mproc_error_detail():
 *   EINVAL  @array is NULL; or what was allocated there is no array or value, or
 *           somebody has written behind its end
 *   EFAULT  @array is not shared memory
 *   ESTALE  nothing that is allocated starts there: it was freed, or @array points
 *           into the middle
 * Context: never waits, no system call.
 * Crash: nothing is changed.
 */
MPROC_API size_t mproc_array_len(const void *array);

/**
 * mproc_lock_of() - the lock of a value or array
 * @value: what mproc_value_new() or mproc_array_new() has returned, in any process
 *
 * Always the same one for the same value, free in the beginning. It may be kept; it
 * ends with the value and is not destroyed otherwise. Nothing but those who take
 * it keeps others from the value. Who waits for it when the value is freed gets
 * -ESHUTDOWN; but the value must not be freed as long as somebody may come and
 * take it, who would find whatever is there then.
 *
 * Return: the lock; NULL with errno set as of mproc_array_len(). Functions of locks
 *         refuse NULL.
 * Context: never waits, no system call.
 * Crash: nothing is changed.
 */
MPROC_API mproc_lock *mproc_lock_of(const void *value);

/*
 * Elements by their index, of arrays wherever they are: at hand, or with a manager
 * (manager.h), which gives handles that are no memory. A value is an array of one. An
 * element of 1, 2, 4 or 8 bytes is read or written as a whole, in one order with the
 * atomic functions below; several are not, nor are other ones. Locks are not looked at.
 *
 * What all of these may return, besides 0 and what they say themselves:
 *   -EINVAL  @array is NULL, or no array or value; or @size is no multiple of an
 *            element's bytes
 *   -EFAULT  @array is not shared memory
 *   -ESTALE  nothing that is allocated starts there; a manager's: it was freed
 *   -ERANGE  there are no such elements
 *   and for one of a manager's those of all calls for managers, see manager.h
 */

/**
 * mproc_array_get() - read elements of an array
 * @array: array or value
 * @from:  the first one
 * @ret:   receives them
 * @size:  bytes at @ret, which say how many
 *
 *     double d[3];
 *
 *     mproc_array_get(array, 7, d, sizeof(d));
 *
 * Return: 0, or a negative error, one of those above, or:
 *   -EINVAL  @ret is NULL, and @size is not 0
 * Context: never waits; of a manager's, waits for the answer.
 * Crash: nothing is changed.
 */
MPROC_API MPROC_NODISCARD int mproc_array_get(const void *array, size_t from,
					      void *ret, size_t size);

/**
 * mproc_array_set() - write elements of an array
 * @array:  array or value
 * @from:   the first one
 * @values: what they are to be
 * @size:   bytes at @values
 *
 * Return: 0, or a negative error, one of those above, or:
 *   -EINVAL  @values is NULL, and @size is not 0
 * Context: as mproc_array_get().
 * Crash: killed inside, some may have been written, of a manager's all or none.
 */
MPROC_API MPROC_NODISCARD int mproc_array_set(void *array, size_t from,
					      const void *values, size_t size);

/**
 * mproc_array_add() - add to an integer in an array
 * @array:      array or value
 * @i:          which one
 * @size:       its bytes, 1, 2, 4 or 8
 * @n:          how much to add; it wraps around
 * @ret_before: receives the integer before, unless it is NULL
 *
 * Return: 0, or a negative error, one of those above, or:
 *   -EINVAL  @size is none of these, or not that of one element
 * Context: as mproc_array_get().
 * Crash: killed inside, it is added or not.
 */
MPROC_API MPROC_NODISCARD int mproc_array_add(void *array, size_t i, size_t size,
					      int64_t n, void *ret_before);

/**
 * mproc_array_add_float() - add to a float or double in an array
 * @array:      array or value
 * @i:          which one
 * @size:       its bytes, 4 or 8
 * @n:          how much to add
 * @ret_before: receives the number before, unless it is NULL
 *
 * Return: as mproc_array_add().
 * Context: as mproc_array_get().
 * Crash: killed inside, it is added or not.
 */
MPROC_API MPROC_NODISCARD int mproc_array_add_float(void *array, size_t i,
						    size_t size, double n,
						    void *ret_before);

/**
 * mproc_array_compare_exchange() - set an element if it is what is expected
 * @array:    array or value
 * @i:        which one
 * @size:     its bytes, 1, 2, 4 or 8
 * @expected: what it is to be before; receives what it is, if it is not that
 * @value:    what to set it to
 *
 * Return: 1 if it was set; 0 if it was something else; or a negative error, as
 *         mproc_array_add(), -EINVAL also if a pointer is NULL.
 * Context: as mproc_array_get().
 * Crash: killed inside, it is set or not.
 */
MPROC_API MPROC_NODISCARD int
mproc_array_compare_exchange(void *array, size_t i, size_t size, void *expected,
			     const void *value);

/*
 * The macros of atomic access below, for callers that have none. All of these work on
 * @size bytes at @p: 1, 2, 4 or 8, and @p is a multiple of that; in shared memory or
 * not, and together with the macros, in the same one order.
 */

/**
 * mproc_atomic_load() - twin of mproc_load()
 * @p:    what to read
 * @size: bytes
 * @ret:  receives as many
 *
 * Return: 0; -EINVAL if a pointer is NULL, @size is none of these, or @p is not
 *         aligned.
 * Context: never waits; async-signal-safe, unless it fails.
 */
MPROC_API int mproc_atomic_load(const void *p, size_t size, void *ret);

/**
 * mproc_atomic_store() - twin of mproc_store()
 * @p:     what to set
 * @size:  bytes
 * @value: what to set it to
 *
 * Return: 0; -EINVAL as of mproc_atomic_load().
 * Context: as mproc_atomic_load().
 * Crash: killed inside, it is set or not.
 */
MPROC_API int mproc_atomic_store(void *p, size_t size, const void *value);

/**
 * mproc_atomic_exchange() - twin of mproc_exchange()
 * @p:          what to set
 * @size:       bytes
 * @value:      what to set it to
 * @ret_before: receives what it was, unless it is NULL
 *
 * Return: 0; -EINVAL as of mproc_atomic_load().
 * Context: as mproc_atomic_load().
 * Crash: killed inside, it is set or not.
 */
MPROC_API int mproc_atomic_exchange(void *p, size_t size, const void *value,
				    void *ret_before);

/**
 * mproc_atomic_compare_exchange() - twin of mproc_compare_exchange()
 * @p:        what to set
 * @size:     bytes
 * @expected: what it is to be before; receives what it is, if it is not that
 * @value:    what to set it to
 *
 * Return: 1 if it was set; 0 if it was something else; -EINVAL as of
 *         mproc_atomic_load().
 * Context: as mproc_atomic_load().
 * Crash: killed inside, it is set or not.
 */
MPROC_API int mproc_atomic_compare_exchange(void *p, size_t size,
					    void *expected, const void *value);

/**
 * mproc_atomic_add() - twin of mproc_fetch_add(), for integers
 * @p:          an integer, with a sign or without
 * @size:       its bytes
 * @n:          how much to add; it wraps around
 * @ret_before: receives the integer before, unless it is NULL
 *
 * Return: 0; -EINVAL as of mproc_atomic_load().
 * Context: as mproc_atomic_load().
 * Crash: killed inside, it is added or not.
 */
MPROC_API int mproc_atomic_add(void *p, size_t size, int64_t n,
			       void *ret_before);

/**
 * mproc_atomic_add_float() - twin of mproc_fetch_add(), for float and double
 * @p:          a float or a double
 * @size:       its bytes, 4 or 8
 * @n:          how much to add
 * @ret_before: receives the number before, unless it is NULL
 *
 * Return: 0; -EINVAL as of mproc_atomic_load().
 * Context: as mproc_atomic_load().
 * Crash: killed inside, it is added or not.
 */
MPROC_API int mproc_atomic_add_float(void *p, size_t size, double n,
				     void *ret_before);

MPROC_END_DECLS

#ifdef __cplusplus
template <typename T>
using mproc_type_ = T;

template <typename T>
inline T *
mproc_make_value_(const T &init)
{
	return static_cast<T *>(mproc_value_new(sizeof(T), &init));
}

/* mproc_value(type, init): as in C, but nothing is narrowed. */
#define mproc_value(type, ...)                                                \
	mproc_make_value_<type>(mproc_type_<type>{ __VA_ARGS__ })
/* mproc_array(type, n): as in C. */
#define mproc_array(type, n)                                                  \
	static_cast<mproc_type_<type> *>(                                     \
		mproc_array_new(sizeof(type), static_cast<size_t>(n), 0))
#else
/*
 * mproc_value(type, init): makes a value of @type, to which one must be able to
 * append " *"; of a structure all members can be given. Evaluates to a pointer to
 * @type, or NULL with errno set. Twin: mproc_value_new().
 */
#define mproc_value(type, ...)                                                \
	((type *)mproc_value_new(sizeof(type), &(type){ __VA_ARGS__ }))
/* mproc_array(type, n): makes an array of @n zeroed elements, in the same way. A
 * negative @n is too large. Twin: mproc_array_new(). */
#define mproc_array(type, n)                                                  \
	((type *)mproc_array_new(sizeof(type), (size_t)(n), NULL))
#endif

/*
 * Atomic access to what lies at @p, in shared memory or not: integers, pointers,
 * enumerations, bool, float and double, of up to 8 bytes and at their natural
 * alignment. All of it is in one order for all threads (sequentially consistent),
 * and never waits: a process that is killed inside has done it or not.
 * Async-signal-safe. For gcc and clang; in C++ these are templates. Twins:
 * mproc_atomic_load() and the functions after it.
 *
 *   mproc_load(p)         the value
 *   mproc_store(p, v)     sets it to v
 *   mproc_exchange(p, v)  sets it to v; the value before
 *   mproc_fetch_add(p, n) adds n to a number; the value before. Integers wrap
 *                         around, also signed ones
 *   mproc_compare_exchange(p, expected, v)  if it is *expected, sets it to v and is
 *                         true; else it is false, and *expected becomes the value.
 *                         float and double are compared bit by bit
 */
#if defined(__GNUC__) && defined(__cplusplus)
/* So that only @p says what type it is, and may be volatile. Other types would be
 * made atomic by locks that other processes do not know. */
template <typename T>
struct mproc_plain_ {
	typedef T type;
	static_assert(sizeof(T) <= 8 && !__is_class(T) && !__is_union(T),
		      "a number or the like, of up to 8 bytes");
};

template <typename T>
struct mproc_plain_<volatile T> : mproc_plain_<T> {};

template <typename T>
inline typename mproc_plain_<T>::type
mproc_load(const T *p)
{
	typename mproc_plain_<T>::type v;

	__atomic_load(p, &v, __ATOMIC_SEQ_CST);
	return v;
}

template <typename T>
inline void
mproc_store(T *p, typename mproc_plain_<T>::type v)
{
	__atomic_store(p, &v, __ATOMIC_SEQ_CST);
}

template <typename T>
inline typename mproc_plain_<T>::type
mproc_exchange(T *p, typename mproc_plain_<T>::type v)
{
	typename mproc_plain_<T>::type before;

	__atomic_exchange(p, &v, &before, __ATOMIC_SEQ_CST);
	return before;
}

template <typename T>
inline bool
mproc_compare_exchange(T *p, typename mproc_plain_<T>::type *expected,
		       typename mproc_plain_<T>::type v)
{
	return __atomic_compare_exchange(p, expected, &v, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

template <typename T>
inline T
mproc_add_(volatile T *p, T n)
{
	return __atomic_fetch_add(p, n, __ATOMIC_SEQ_CST);
}

template <typename T>
inline T
mproc_add_real_(volatile T *p, T n)
{
	T before = mproc_load(p);

	while (!mproc_compare_exchange(p, &before, before + n))
		;
	return before;
}

inline float
mproc_add_(volatile float *p, float n)
{
	return mproc_add_real_(p, n);
}

inline double
mproc_add_(volatile double *p, double n)
{
	return mproc_add_real_(p, n);
}

/* Pointers are no numbers: for these it does not compile. */
template <typename T>
inline typename mproc_plain_<T>::type
mproc_fetch_add(T *p, typename mproc_plain_<T>::type n)
{
	static_assert(sizeof(1 * *p), "a number");
	return mproc_add_(p, n);
}
#elif defined(__GNUC__)
/* The compiler's functions for single values take no float and double. */
#define mproc_define_real_(type)                                              \
	static inline type mproc_load_##type##_(const volatile void *p)       \
	{                                                                     \
		type v;                                                       \
		__atomic_load((const volatile type *)p, &v,                   \
			      __ATOMIC_SEQ_CST);                              \
		return v;                                                     \
	}                                                                     \
	static inline void mproc_store_##type##_(volatile void *p, type v)    \
	{                                                                     \
		__atomic_store((volatile type *)p, &v, __ATOMIC_SEQ_CST);     \
	}                                                                     \
	static inline type mproc_exchange_##type##_(volatile void *p, type v) \
	{                                                                     \
		type before;                                                  \
		__atomic_exchange((volatile type *)p, &v, &before,            \
				  __ATOMIC_SEQ_CST);                          \
		return before;                                                \
	}                                                                     \
	static inline bool mproc_compare_exchange_##type##_(                  \
		volatile void *p, type *expected, type v)                     \
	{                                                                     \
		return __atomic_compare_exchange(                             \
			(volatile type *)p, expected, &v, false,              \
			__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                  \
	}                                                                     \
	static inline type mproc_fetch_add_##type##_(volatile void *p,        \
						     type n)                  \
	{                                                                     \
		type before = mproc_load_##type##_(p);                        \
		while (!mproc_compare_exchange_##type##_(p, &before,          \
							 before + n))         \
			;                                                     \
		return before;                                                \
	}
mproc_define_real_(float)
mproc_define_real_(double)
#undef mproc_define_real_

/* Larger ones would be made atomic by locks that other processes do not know: they
 * do not compile. */
#define mproc_order_(p)                                                       \
	(sizeof(char[sizeof(*(p)) <= 8 ? 1 : -1]) ? __ATOMIC_SEQ_CST : 0)

/* What is not chosen is compiled too, with something that fits: @v if @p points to
 * what is asked for, or else something of that type. */
#define mproc_if_float_(p, v, other) _Generic(*(p), float: (v), default: other)
#define mproc_if_double_(p, v, other) _Generic(*(p), double: (v), default: other)
#define mproc_if_whole_(p, v, other)                                          \
	_Generic(*(p), float: other, double: other, default: (v))
#define mproc_whole_at_(p, v) mproc_if_whole_(p, v, &(int){ 0 })

/* The value. */
#define mproc_load(p)                                                         \
	_Generic(*(p), float: mproc_load_float_(p),                           \
		 double: mproc_load_double_(p),                               \
		 default: __atomic_load_n(mproc_whole_at_(p, p),              \
					  mproc_order_(p)))
/* Sets it. */
#define mproc_store(p, v)                                                     \
	_Generic(*(p),                                                        \
		 float: mproc_store_float_((p), mproc_if_float_(p, v, 0.0f)), \
		 double: mproc_store_double_((p),                             \
					     mproc_if_double_(p, v, 0.0)),    \
		 default: __atomic_store_n(mproc_whole_at_(p, p),             \
					   mproc_if_whole_(p, v, 0),          \
					   mproc_order_(p)))
/* Sets it; the value before. */
#define mproc_exchange(p, v)                                                  \
	_Generic(*(p),                                                        \
		 float: mproc_exchange_float_((p),                            \
					      mproc_if_float_(p, v, 0.0f)),   \
		 double: mproc_exchange_double_((p),                          \
						mproc_if_double_(p, v, 0.0)), \
		 default: __atomic_exchange_n(mproc_whole_at_(p, p),          \
					      mproc_if_whole_(p, v, 0),       \
					      mproc_order_(p)))
/* Whether it was *@expected, and is @v now. gcc would take an @expected of another
 * type. */
#define mproc_compare_exchange(p, expected, v)                                \
	_Generic(*(p),                                                        \
		 float: mproc_compare_exchange_float_(                        \
			 (p), mproc_if_float_(p, expected, (float *)0),       \
			 mproc_if_float_(p, v, 0.0f)),                        \
		 double: mproc_compare_exchange_double_(                      \
			 (p), mproc_if_double_(p, expected, (double *)0),     \
			 mproc_if_double_(p, v, 0.0)),                        \
		 default: __atomic_compare_exchange_n(                        \
			 mproc_whole_at_(p, p), mproc_whole_at_(p, expected), \
			 mproc_if_whole_(p, v, 0),                            \
			 !sizeof(1 ? (p) : (expected)), mproc_order_(p),      \
			 mproc_order_(p)))
/* Adds; the value before. Pointers are no numbers: for these 1 * does not
 * compile. */
#define mproc_fetch_add(p, n)                                                 \
	_Generic(*(p),                                                        \
		 float: mproc_fetch_add_float_((p),                           \
					       mproc_if_float_(p, n, 0.0f)),  \
		 double: mproc_fetch_add_double_((p),                         \
						 mproc_if_double_(p, n, 0.0)), \
		 default: __atomic_fetch_add(                                 \
			 mproc_whole_at_(p, p), mproc_if_whole_(p, n, 0),     \
			 sizeof(1 * *(p)) ? mproc_order_(p) : 0))
#endif

#endif
