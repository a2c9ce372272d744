/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ipc/digest.h"
#include "ipc/handshake.h"
#include "os/clock.h"
#include "os/random.h"
#include "os/socket.h"
#include "os/thread.h"

#define PATIENCE INT64_C(10000000000) /* ns, unless the options say otherwise */

static int
check_key(const struct mproc_connect_opts *o)
{
	if (!o->authkey)
		return o->authkey_len ? mpr_fail(-EINVAL, ".authkey_len is %zu, but "
						 ".authkey NULL",
						 o->authkey_len) : 0;
	if (!o->authkey_len)
		return mpr_fail(-EINVAL, "a key of 0 bytes");
	return mpr_digest_get_ready();
}

static int
check(const struct mproc_connect_opts *o, bool local)
{
	if (o->md5 < 0 || o->md5 > MPROC_MD5_FORBID)
		return mpr_fail(-EINVAL, ".md5 is %d", o->md5);
	if (o->peers < 0 || o->peers > MPROC_PEERS_ANY)
		return mpr_fail(-EINVAL, ".peers is %d", o->peers);
	if (!local && o->peers == MPROC_PEERS_USER)
		return mpr_fail(-EINVAL, "TCP does not tell whose process the other "
				"side is");
	if (!local && o->pass_fds)
		return mpr_fail(-EINVAL, "no descriptors go over TCP: .pass_fds is "
				"for sockets of this machine, unix:/path");
	if (o->handshake_timeout.ns < 0)
		return mpr_fail(-EINVAL, ".handshake_timeout is a point in time");
	return check_key(o);
}

int
mpr_admission_read(struct mpr_admission *ret, const char *address,
		   const struct mproc_connect_opts *opts, int peers)
{
	bool local = mpr_socket_is_local(address);
	int r = check(opts, local);

	if (r < 0)
		return r;
	if (opts->peers)
		peers = opts->peers;
	*ret = (struct mpr_admission){
		.key_len = opts->authkey_len,
		.md5 = opts->md5 ? opts->md5 == MPROC_MD5_ALLOW : local,
		.user_only = local && peers == MPROC_PEERS_USER,
		.passes_fds = opts->pass_fds,
		.patience = opts->handshake_timeout.ns ?
				    opts->handshake_timeout.ns : PATIENCE,
	};
	if (!opts->authkey)
		return 0;
	ret->key = mpr_malloc(ret->key_len);
	if (!ret->key)
		return mpr_fail(-ENOMEM, "no memory for a key of %zu bytes",
				ret->key_len);
	memcpy(ret->key, opts->authkey, ret->key_len);
	return 0;
}

void
mpr_admission_end(struct mpr_admission *admission)
{
	if (admission->key)
		explicit_bzero(admission->key, admission->key_len);
	free(admission->key);
	admission->key = NULL;
}

int
mpr_admission_check_user(const struct mpr_admission *admission, int fd)
{
	uid_t uid;
	pid_t pid;
	int r;

	if (!admission->user_only)
		return 0;
	r = mpr_socket_peer(fd, &uid, &pid);
	if (r < 0)
		return mpr_fail(-EACCES, "who the other side is cannot be told");
	if (!mpr_socket_trusts(uid))
		return mpr_fail(-EACCES, "the other side, process %ld, is of user "
				"%ld", (long)pid, (long)uid);
	return 0;
}

int
mpr_handshake_begin(struct mpr_handshake *h, int fd, bool listens,
		    const struct mpr_admission *admission)
{
	unsigned char random[MPR_AUTH_RANDOM];
	int64_t now = mproc_now();

	if (!mpr_random_bytes(random, sizeof(random)))
		return mpr_fail(-ENOSYS, "the system has no random numbers");
	h->fd = fd;
	h->deadline = admission->patience < MPR_NEVER - now ?
			      now + admission->patience : MPR_NEVER;
	mpr_auth_begin(&h->auth, admission->key, admission->key_len, listens,
		       admission->md5, random);
	return 0;
}

/* A few bytes into a socket that has had no more before: there is room, or the other
 * side plays tricks. */
static bool
write_all(struct mpr_handshake *h)
{
	const unsigned char *bytes;
	struct iovec part;
	ssize_t n;

	while ((part.iov_len = mpr_auth_to_write(&h->auth, &bytes)) > 0) {
		part.iov_base = (void *)(uintptr_t)bytes;
		n = mpr_socket_send(h->fd, &part, 1, false);
		if (n < 0)
			return false;
		mpr_auth_wrote(&h->auth, (size_t)n);
	}
	return true;
}

static int
has_left(void)
{
	return mpr_fail(-EPIPE, "the other side has left before the keys were "
			"compared");
}

/* Returns 1 if something was read, 0 if nothing has come. */
static int
read_some(struct mpr_handshake *h)
{
	unsigned char bytes[MPR_AUTH_MESSAGE];
	int before = mpr_thread_forbid_cancel();
	ssize_t n;

	n = mpr_socket_receive(h->fd, bytes, mpr_auth_to_read(&h->auth),
			       false);
	mpr_thread_allow_cancel(before);
	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return has_left();
	mpr_auth_read(&h->auth, bytes, (size_t)n);
	return 1;
}

int
mpr_handshake_go_on(struct mpr_handshake *h)
{
	bool written;
	int r;

	for (;;) {
		written = write_all(h);
		/* What is known of the keys comes first. */
		r = mpr_auth_result(&h->auth);
		if (r)
			return r;
		if (!written)
			return has_left();
		r = read_some(h);
		if (r <= 0)
			return r;
	}
}
