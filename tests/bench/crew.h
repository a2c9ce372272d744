/* SPDX-License-Identifier: MIT */
/*
 * The ends of one run: a board, and who writes there. All of them are killed in
 * the end.
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <sys/types.h>

#include "ends.h"

struct crew {
	const struct transport *transport;
	void *channels[2];
	struct board *board;
	size_t size; /* of the board */
	int fd;	     /* of the board's file */
	pid_t host;  /* of ends that are not our children, or 0 */
};

/* A board for @trips round trips, or a flow. It is filled in by the caller. */
void crew_open(struct crew *c, const struct transport *t, unsigned trips);

/* Starts all. Returns an error number if a channel cannot be opened, else 0;
 * @ret_flaw is "" if all are there. Waits for @patience s for each. */
int crew_start(struct crew *c, double patience, const char **ret_flaw);

/* Kills one, and returns when it is dead. */
void crew_kill(struct crew *c, enum end end, unsigned index);

/* Whether one has ended, or is no more. */
bool crew_is_dead(const struct crew *c, enum end end, unsigned index);

/* Of all of an end's: ns of CPU time, and bytes of memory (PSS). */
double crew_cpu_time(const struct crew *c, enum end end);
double crew_memory(const struct crew *c);
double crew_memory_of_self(void);

/* What was wrong for an end, NO_FLAW if nothing. */
enum flaw crew_flaw(const struct crew *c);

/* Kills who is left and gives back all. */
void crew_close(struct crew *c);

#endif
