/* SPDX-License-Identifier: MIT */
/*
 * The fork server, in itself: what it is sent, and what it answers.
 *
 * A request to fork brings descriptors, and a plan: the number of a slot (plans.h), or
 * the file, where it needs one of its own. The server maps the plan, forks
 * a sibling, whose id the kernel writes into the record there, and is done with it.
 * Nothing is answered: the starter waits by the record, for that id, or for a word
 * that there was an error, or for the end of the server. Once that has ended, no id
 * will come: a kill at any instruction leaves it clear whether there is a child. So
 * a server that cannot tell of an error, as it cannot map the plan, ends.
 *
 * It is asked for a spare in the same way: a child that is forked ahead of its need,
 * and has a slot, but no plan yet. The spare says that it is there, and hands out its
 * pidfd; then it waits, on a connection of its own with the starter, for its order:
 * what would be the request to fork it. It goes on as a child that was forked then.
 * There is one at most, so an order for another one was for one that has died. It ends
 * with the server, and when the starter closes that connection.
 */
#ifndef MPR_PROCESS_SERVER_H
#define MPR_PROCESS_SERVER_H

#include <stdint.h>

#include "os/module.h"

enum mpr_server_ask {
	MPR_SERVER_FORK,
	MPR_SERVER_SPARE,
	MPR_SERVER_END,
};

/* The first message; with it come the file that has the slots, and the end of the
 * connection by which spares get their orders. */
struct mpr_server_hello {
	int32_t has_preload;
	struct mpr_module module;
	uint64_t entry, arg;
};

/* Where a standard stream leads, in the place of a number among the descriptors. */
#define MPR_SERVER_CLOSED (-1)
#define MPR_SERVER_NULL (-2)

/* In the place of a slot's number. */
#define MPR_SERVER_NO_SLOT (-1)

/* The descriptors: the working directory, the plan if it is in no slot, the standard
 * streams that have one, those that are kept, in the order in which the plan has
 * their numbers, and the sockets of ends of pipes, in its order, too. */
struct mpr_server_request {
	int32_t ask;
	int32_t slot;
	int32_t streams[3]; /* number of the descriptor */
	int32_t keep; /* number of the first one */
	int32_t n; /* how many there are in all */
	int32_t spare; /* number of one that is to be, or gets its order; or 0 */
	int32_t parent; /* of one that is to be, and has no plan to say that */
};

/* A spare's word that it is there. With it comes its pidfd, unless there was no room for
 * that. */
struct mpr_server_ready {
	int32_t spare; /* number */
	int32_t pid;
};

/* To the first message: that the preload function is run now; then 0, or an error,
 * and what the function has returned. */
struct mpr_server_answer {
	int32_t preloads;
	int32_t error;
	int32_t code;
};

/* What the server runs; @arg is the number of its end of the connection. */
int mpr_server_run(void *arg);

#endif
