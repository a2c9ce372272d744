/* SPDX-License-Identifier: MIT */
/*
 * Messages between a manager and who uses it: a row of values in MessagePack, behind
 * their length (ipc/wire.h). docs/spec/wire.md says what they mean. Nothing here
 * allocates for what is read, whatever the bytes say: texts and bytes stay where
 * they are, and there are no rows in rows.
 */
#ifndef MPR_MANAGER_CODEC_H
#define MPR_MANAGER_CODEC_H

#include <stddef.h>

#include <mproc/any.h>

#include "manager/buffer.h"

#define MPR_MESSAGE_VALUES 8 /* the most */

struct mpr_message {
	unsigned n;
	struct mproc_any values[MPR_MESSAGE_VALUES];
};

/* Whether there is what it takes. Returns 0; -ENOTSUP, with a text. */
int mpr_codec_check(void);

/* Reads a whole message of @len bytes. Its texts and bytes are those at @bytes, and
 * have no zero behind them. Returns 0; -EBADMSG if it is none. */
int mpr_codec_read(struct mpr_message *ret, const unsigned char *bytes, size_t len);

/*
 * Writes a message, with its length, behind what is in the buffer. Returns 0;
 * -EMSGSIZE if it would have more than @limit bytes; -ENOMEM; -EINVAL if one of the
 * values is none. Then nothing was written. Of a reference the other side learns
 * that it is one, and reads one to NULL.
 */
int mpr_codec_write(struct mpr_buffer *to, const struct mproc_any *values, unsigned n,
		    size_t limit);

/*
 * Many values in the place of one: a row of their own, of any length, in bytes. So
 * who has room for few values reads no more, and nothing is read of what no
 * operation asks for.
 */

/* How many there are. Returns 0; -EBADMSG if it is no row, or of more than @len bytes
 * can be. */
int mpr_codec_count(const unsigned char *bytes, size_t len, size_t *ret_n);

/* Reads them, as mpr_codec_read() does. Returns 0; -EBADMSG, also if they are not
 * @n. */
int mpr_codec_unpack(struct mproc_any *ret, size_t n, const unsigned char *bytes,
		     size_t len);

/* Writes them. Returns as mpr_codec_write(). */
int mpr_codec_pack(struct mpr_buffer *to, const struct mproc_any *values, size_t n,
		   size_t limit);

/*
 * The next whole message that lies in [@bytes, @bytes + @len), without its length.
 * Returns 1, with where it begins and ends; 0 if a part of it is missing, with how
 * many bytes it has with its length, if that is known, or 0; -EMSGSIZE if it has
 * more than
 * @limit, -EBADMSG.
 */
struct mpr_frame {
	const unsigned char *message;
	size_t len;
	size_t whole; /* with its length */
};

int mpr_codec_next(struct mpr_frame *ret, const unsigned char *bytes, size_t len,
		   size_t limit);

#endif
