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

/* What has become of it since: 0 if it is set, or was; -EBUSY; -ESTALE. */
int mpr_event_look(const struct mpr_news *seen);

/* As mproc_event_wait(), but also if it was set since then. */
int mpr_event_wait_since(const struct mpr_news *seen, mproc_timeout timeout);

#endif
