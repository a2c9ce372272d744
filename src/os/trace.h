/* SPDX-License-Identifier: MIT */
/*
 * Who called whom, up to an instruction that was interrupted by a signal, and
 * what the places are called. For handlers of signals in a process that is
 * lost: both functions read whatever the stack and the registers lead them to,
 * so they may fault, and names are looked up under a lock of the loader, so
 * that may hang. Neither allocates.
 */
#ifndef MPR_OS_TRACE_H
#define MPR_OS_TRACE_H

#include <stdbool.h>
#include <stdint.h>

/* Of a deep stack the innermost frames and the outermost ones. */
#define MPR_TRACE_FIRST 48
#define MPR_TRACE_LAST 16

/* Zero bytes to begin with. It is valid at any time while it is being made. */
struct mpr_trace {
	unsigned count; /* of all frames, in the trace or left out */
	bool begun;	/* the interrupted one has been found */
	uintptr_t first[MPR_TRACE_FIRST];
	uintptr_t last[MPR_TRACE_LAST]; /* a ring */
};

/* Called in the handler: adds the frames from the interrupted one outwards. */
void mpr_trace_collect(struct mpr_trace *trace);

/* The address in frame @i. Returns false if it was left out; then @ret_gap is
 * how many were, beginning with this one. @i is below the count. */
bool mpr_trace_frame(const struct mpr_trace *trace, unsigned i,
		     uintptr_t *ret_address, unsigned *ret_gap);

struct mpr_place {
	const char *module; /* path of the program or library; or NULL */
	uintptr_t offset;   /* in it, as addr2line(1) wants it */
	const char *symbol; /* or NULL */
	uintptr_t distance; /* from that */
};

/* @is_return: the address is where a call returns to, which may belong to the
 * next function already. */
void mpr_trace_name(struct mpr_place *ret_place, uintptr_t address,
		    bool is_return);

#endif
