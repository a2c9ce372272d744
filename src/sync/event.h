/* SPDX-License-Identifier: MIT */
/*
 * Events for who waits for many at once (sync/many.h).
 */
#ifndef MPR_SYNC_EVENT_H
#define MPR_SYNC_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/sync.h>

/* How an event was when the wait began. */
struct mpr_event_seen {
	mproc_event *event;
	uint32_t generation;
	uint64_t word;
};

struct mpr_event_seen mpr_event_see(mproc_event *event);

/*
 * Whether a wait since then would return: it is set, was set since, or is
 * destroyed. @waits: the caller has announced itself, and the event is told that
 * somebody waits unless it is ready.
 */
bool mpr_event_is_ready(const struct mpr_event_seen *seen, bool waits);

#endif
