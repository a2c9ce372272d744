/* SPDX-License-Identifier: MIT */
/*
 * Everything: include this, link with -lmproc.
 */
#ifndef MPROC_MPROC_H
#define MPROC_MPROC_H

#include <mproc/any.h>
#include <mproc/arena.h>
#include <mproc/containers.h>
#include <mproc/core.h>
#include <mproc/dict.h>
#include <mproc/export.h>
#include <mproc/future.h>
#include <mproc/group.h>
#include <mproc/list.h>
#include <mproc/lock.h>
#include <mproc/manager.h>
#include <mproc/map_loop.h>
#include <mproc/namespace.h>
#include <mproc/pipe.h>
#include <mproc/pool.h>
#include <mproc/process.h>
#include <mproc/queue.h>
#include <mproc/set.h>
#include <mproc/shm.h>
#include <mproc/supervisor.h>
#include <mproc/sync.h>
#include <mproc/value.h>
#include <mproc/version.h>
#include <mproc/wait.h>

#endif
