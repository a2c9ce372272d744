/* SPDX-License-Identifier: MIT */
/*
 * The server of a manager: one thread, one set of descriptors, and clients of which
 * none waits for another. It lies in private memory, and belongs to one process.
 */
#ifndef MPR_MANAGER_SERVER_H
#define MPR_MANAGER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/manager.h>

#include "os/child.h"

#define MPR_MANAGER_VERSION 1 /* of the messages; docs/spec/wire.md */
#define MPR_MANAGER_MAGIC "mproc-manager"

struct mpr_manager_server;

/* Whose options these are has checked them, and filled in what they leave out.
 * @control: a socket, which is the caller's: the server ends when it does; see
 * below. @other: a descriptor that becomes readable when it is to end, or
 * -1. Returns 0, or a negative error: those of mproc_listener_open(), -ENOTSUP,
 * -ENOMEM, -EMFILE,
 * -ENFILE. */
int mpr_manager_server_open(struct mpr_manager_server **ret_s,
			    const struct mproc_manager_opts *opts, int control,
			    int other);

/* What the process has done about signals, for its children to undo. */
void mpr_manager_server_ears(struct mpr_manager_server *s,
			     const struct mpr_child_ears *ears);

/* As mproc_manager_register(), of a type that was checked. Nobody serves meanwhile. */
int mpr_manager_server_register(struct mpr_manager_server *s,
				const struct mproc_type *type);

/* What the other end of @control says: frames of codec.h, each a row. One without
 * values: to end. One of mpr_type_pack(): to register a type, which is answered. */
struct mpr_manager_heard {
	int r;
	char text[256];
};
int mpr_manager_server_tell_end(int control);

const char *mpr_manager_server_address(const struct mpr_manager_server *s);

/* As mproc_manager_fd(). */
int mpr_manager_server_fd(const struct mpr_manager_server *s);

/* As mproc_manager_serve(). */
int mpr_manager_server_run(struct mpr_manager_server *s, mproc_timeout timeout);

/* Clients see the end of their connections. In a forked child they do not: it closes
 * its copies. */
void mpr_manager_server_close(struct mpr_manager_server *s);

#endif
