/* SPDX-License-Identifier: MIT */
/*
 * Attributes of the public interface. Nothing here has a meaning at run time.
 */
#ifndef MPROC_EXPORT_H
#define MPROC_EXPORT_H

/* MPROC_API: the symbol is part of the library's interface. */
#if defined(__GNUC__)
#define MPROC_API __attribute__((visibility("default")))
#else
#define MPROC_API
#endif

/* MPROC_NODISCARD: ignoring the return value is a bug in the caller. */
#if defined(__GNUC__)
#define MPROC_NODISCARD __attribute__((warn_unused_result))
#else
#define MPROC_NODISCARD
#endif

/* MPROC_BEGIN_DECLS, MPROC_END_DECLS: C linkage when included from C++. */
#if defined(__cplusplus)
#define MPROC_BEGIN_DECLS extern "C" {
#define MPROC_END_DECLS }
#else
#define MPROC_BEGIN_DECLS
#define MPROC_END_DECLS
#endif

#endif
