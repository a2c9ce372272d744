/* SPDX-License-Identifier: MIT */
/*
 * Events for who waits for many at once (sync/many.h).
 */
#ifndef MPR_SYNC_EVENT_H
#define MPR_SYNC_EVENT_H

#include <mproc/sync.h>

#include "sync/news.h"

/* How it is when the wait begins. READY is one for which a wait since then would
 * return: it is set, was set since, or is destroyed. */
struct mpr_news mpr_event_see(mproc_event *event);

#endif
