/* SPDX-License-Identifier: MIT */
/*
 * containers.h - shared containers, and the values of any kind in them.
 */
#ifndef MPROC_CONTAINERS_H
#define MPROC_CONTAINERS_H

#include <mproc/any.h>
#include <mproc/dict.h>
#include <mproc/list.h>
#include <mproc/namespace.h>
#include <mproc/set.h>

#endif
