/* SPDX-License-Identifier: MIT */
/*
 * Who is let in: what the options of listeners and connections say, and the handshake
 * with one who wants to be.
 */
#ifndef MPR_IPC_HANDSHAKE_H
#define MPR_IPC_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/pipe.h>

#include "ipc/auth.h"

struct mpr_admission {
	unsigned char *key; /* NULL: none is asked for */
	size_t key_len;
	bool md5;
	bool user_only;
	bool passes_fds;
	int64_t patience; /* ns for a handshake; INT64_MAX: for ever */
};

/*
 * Reads options of either kind: @peers is the default of theirs. Takes a copy of the
 * key. Returns 0; -EINVAL; -ENOTSUP if there are no keys; -ENOMEM.
 */
int mpr_admission_read(struct mpr_admission *ret, const char *address,
		       const struct mproc_connect_opts *opts, int peers);

/* Nothing is left of the key. */
void mpr_admission_end(struct mpr_admission *admission);

/* Who is at the other end of the local socket @fd. Returns 0 or -EACCES. */
int mpr_admission_check_user(const struct mpr_admission *admission, int fd);

struct mpr_handshake {
	int fd;
	int64_t deadline;
	struct mpr_auth auth;
};

/* Returns 0 or -ENOSYS. */
int mpr_handshake_begin(struct mpr_handshake *h, int fd, bool listens,
			const struct mpr_admission *admission);

/* Goes on until nothing more has come. Returns 1 if the other side is let in; 0 if it
 * has to say more; -EACCES; -EPIPE if it has left. Does not block. */
int mpr_handshake_go_on(struct mpr_handshake *h);

#endif
