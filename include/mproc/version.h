/* SPDX-License-Identifier: MIT */
/*
 * The one place where the version numbers stand; the build reads them here.
 * mproc_version() tells the version of the library that is really linked.
 */
#ifndef MPROC_VERSION_H
#define MPROC_VERSION_H

/* MPROC_VERSION_MAJOR, _MINOR, _PATCH: version of these headers. */
#define MPROC_VERSION_MAJOR 0
#define MPROC_VERSION_MINOR 1
#define MPROC_VERSION_PATCH 0

#endif
