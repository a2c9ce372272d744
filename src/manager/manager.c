/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <mproc/manager.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/opts.h"
#include "containers/remote.h"
#include "ipc/limit.h"
#include "manager/calling.h"
#include "manager/client.h"
#include "manager/codec.h"
#include "manager/objects.h"
#include "manager/server.h"
#include "manager/start.h"
#include "manager/types.h"
#include "os/fds.h"
#include "os/generation.h"
#include "os/random.h"
#include "os/socket.h"
#include "os/thread.h"
#include "os/turn.h"

#define CLIENTS 4096
#define MESSAGE ((size_t)16 << 20)
#define MESSAGE_LEAST ((size_t)1 << 10)
#define MESSAGE_MOST ((size_t)1 << 30)
#define MEMORY ((size_t)256 << 20)
#define TCP "tcp:"
#define LOOPBACK "127.0.0.1"

enum role {
	STARTED,
	SERVES,
	CONNECTED,
};

struct mproc_manager {
	enum role role;
	uint64_t generation;
	mproc_arena *arena; /* NULL for one that is connected to */
	struct mpr_client *client;
	struct mpr_started started; /* or the end of the server's control */
	struct mpr_manager_server *server;
	int control; /* the server's end */
	struct mpr_turn serving;

	/* Who has a server is connected to it, too, once it calls a method. */
	struct mpr_turn joining; /* also for who registers a type */
	_Atomic(struct mpr_client *) own;
	unsigned char *key;
	size_t key_len;
};

static int
check(const mproc_manager *m)
{
	if (!m)
		return mpr_fail(-EINVAL, "the manager is NULL");
	return m->generation == mpr_generation() ?
		       0 : mpr_fail(-ECHILD, "the manager is another process's");
}

/* Where, in full. */
static int
make_address(const char *given, char ret[MPR_SOCKET_TEXT])
{
	int n;

	if (!given)
		n = snprintf(ret, MPR_SOCKET_TEXT, "unix:@mproc-manager-%016llx",
			     (unsigned long long)mpr_random());
	else if (strncmp(given, TCP ":", strlen(TCP ":")) == 0)
		n = snprintf(ret, MPR_SOCKET_TEXT, TCP LOOPBACK "%s",
			     given + strlen(TCP));
	else
		n = snprintf(ret, MPR_SOCKET_TEXT, "%s", given);
	return n < MPR_SOCKET_TEXT ? 0 : mpr_fail(-ENAMETOOLONG, "an address of %d "
						  "bytes", n);
}

static int
check_opts(struct mproc_manager_opts *o, char address[MPR_SOCKET_TEXT])
{
	int r = make_address(o->address, address);

	if (r < 0)
		return r;
	o->address = address;
	if (o->max_clients < 0)
		return mpr_fail(-EINVAL, ".max_clients is %d", o->max_clients);
	if (o->max_message && (o->max_message < MESSAGE_LEAST ||
			       o->max_message > MESSAGE_MOST))
		return mpr_fail(-EINVAL, ".max_message is %zu: it may be from %zu to "
				"%zu", o->max_message, MESSAGE_LEAST,
				MESSAGE_MOST);
	if (!o->authkey && strncmp(address, TCP, strlen(TCP)) == 0)
		return mpr_fail(-EINVAL, "over TCP anybody could come: .authkey is "
				"missing");
	if (!o->max_clients)
		o->max_clients = CLIENTS;
	if (!o->max_message)
		o->max_message = MESSAGE;
	if (!o->max_memory)
		o->max_memory = MEMORY;
	return 0;
}

/* Its server is here. */
static int
begin_here(mproc_manager *m, const struct mproc_manager_opts *o)
{
	int fds[2], r = mpr_socket_pair(fds);

	if (r < 0)
		return mpr_fail(r, "no descriptors for a manager");
	m->role = SERVES;
	m->started.control = fds[0];
	m->control = fds[1];
	r = mpr_manager_server_open(&m->server, o, m->control, -1);
	if (r < 0) {
		mpr_fds_close(fds[0]);
		mpr_fds_close(fds[1]);
	}
	return r;
}

static void
drop(mproc_manager *m)
{
	/* Of those who sleep there is none in a forked child. */
	if (m->generation != mpr_generation()) {
		mpr_turn_init(&m->serving);
		mpr_turn_init(&m->joining);
	}
	mpr_turn_destroy(&m->serving);
	mpr_turn_destroy(&m->joining);
	if (m->key)
		explicit_bzero(m->key, m->key_len);
	free(m->key);
	free(m);
}

/* For its own connection. */
static int
keep_key(mproc_manager *m, const struct mproc_manager_opts *o)
{
	if (!o->authkey || !o->authkey_len)
		return 0;
	m->key = mpr_malloc(o->authkey_len);
	if (!m->key)
		return mpr_fail(-ENOMEM, "no memory for a key");
	memcpy(m->key, o->authkey, o->authkey_len);
	m->key_len = o->authkey_len;
	return 0;
}

static mproc_manager *
make(void)
{
	mproc_manager *m = mpr_zalloc(sizeof(*m));

	if (!m) {
		mpr_fail(-ENOMEM, "no memory for a manager");
		return NULL;
	}
	m->generation = mpr_generation();
	m->control = m->started.control = -1;
	mpr_turn_init(&m->serving);
	mpr_turn_init(&m->joining);
	return m;
}

static int
begin(mproc_manager *m, struct mproc_manager_opts *o)
{
	char address[MPR_SOCKET_TEXT];
	int before, r = check_opts(o, address);

	/* There before the fork: what it makes is for all of the family. */
	if (r == 0)
		r = mpr_arena_resolve(o->arena, &m->arena);
	if (r < 0)
		return r;
	r = keep_key(m, o);
	if (r < 0)
		return r;
	o->arena = m->arena;
	before = mpr_thread_forbid_cancel();
	r = o->in_process ? begin_here(m, o) : mpr_started_begin(&m->started, o);
	mpr_thread_allow_cancel(before);
	return r;
}

int
mproc_manager_start(mproc_manager **ret_m, const struct mproc_manager_opts *opts)
{
	struct mproc_manager_opts o;
	mproc_manager *m;
	int r;

	if (!ret_m)
		return mpr_fail(-EINVAL, "ret_m is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r == 0)
		r = mpr_codec_check();
	if (r < 0)
		return r;
	m = make();
	if (!m)
		return -ENOMEM;
	r = begin(m, &o);
	if (r < 0) {
		drop(m);
		return r;
	}
	*ret_m = m;
	return 0;
}

int
mproc_manager_connect(mproc_manager **ret_m, const char *address,
		      const struct mproc_connect_opts *opts,
		      mproc_timeout timeout)
{
	struct mproc_connect_opts o;
	mproc_manager *m;
	int r;

	if (!ret_m)
		return mpr_fail(-EINVAL, "ret_m is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r < 0)
		return r;
	o.struct_size = sizeof(o);
	if (o.pass_fds)
		return mpr_fail(-EINVAL, "no open files go to a manager");
	if (!o.md5)
		o.md5 = MPROC_MD5_FORBID;
	m = make();
	if (!m)
		return -ENOMEM;
	m->role = CONNECTED;
	r = mpr_client_open(&m->client, address, &o, timeout);
	if (r < 0) {
		drop(m);
		return r;
	}
	*ret_m = m;
	return 0;
}

const char *
mproc_manager_address(mproc_manager *m)
{
	switch (m->role) {
	case STARTED:
		return m->started.address;
	case SERVES:
		return mpr_manager_server_address(m->server);
	case CONNECTED:
		break;
	}
	return mpr_client_address(m->client);
}

static int
check_serves(const mproc_manager *m)
{
	int r = check(m);

	if (r < 0)
		return r;
	return m->role == SERVES ? 0 : mpr_fail(-EINVAL, "this process does not "
						"serve the manager");
}

int
mproc_manager_serve(mproc_manager *m, mproc_timeout timeout)
{
	int r = check_serves(m);

	if (r < 0)
		return r;
	if (!mpr_turn_try(&m->serving))
		return mpr_fail(-EBUSY, "another thread serves");
	r = mpr_manager_server_run(m->server, timeout);
	mpr_turn_give(&m->serving);
	return r;
}

int
mproc_manager_fd(mproc_manager *m)
{
	int r = check_serves(m);

	return r < 0 ? r : mpr_manager_server_fd(m->server);
}

int
mproc_manager_shutdown(mproc_manager *m, mproc_timeout grace)
{
	int before, r = check(m);

	if (r < 0)
		return r;
	if (m->role == CONNECTED)
		return mpr_fail(-EPERM, "who is connected to a manager does not end "
				"it");
	if (m->role == SERVES) {
		/* The server finds it when it looks next. */
		(void)mpr_manager_server_tell_end(m->started.control);
		return 0;
	}
	before = mpr_thread_forbid_cancel();
	r = mpr_started_end(&m->started, grace);
	mpr_thread_allow_cancel(before);
	return r;
}

void
mproc_manager_close(mproc_manager *m)
{
	int before;

	if (!m)
		return;
	before = mpr_thread_forbid_cancel();
	if (atomic_load(&m->own))
		mpr_client_close(atomic_load(&m->own));
	if (m->role == CONNECTED) {
		mpr_client_close(m->client);
	} else if (m->role == SERVES) {
		mpr_manager_server_close(m->server);
		mpr_fds_close(m->control);
		mpr_fds_close(m->started.control);
	} else {
		if (m->generation == mpr_generation())
			(void)mpr_started_end(&m->started, mproc_sec(1));
		mpr_started_forget(&m->started);
	}
	drop(m);
	mpr_thread_allow_cancel(before);
}

/* @ret: of the user, who gets the object. */
static int
find_or_make(mproc_manager *m, enum mpr_remote_kind kind, const char *name,
	     const struct mpr_object_init *init, const void *ret, void **ret_object)
{
	int r = check(m);

	if (r < 0)
		return r;
	if (!name || !ret)
		return mpr_fail(-EINVAL, "the %s is NULL",
				name ? "pointer that receives the object" : "name");
	return m->role == CONNECTED ?
		       mpr_client_find(m->client, (int)kind, name, init,
				       ret_object) :
		       mpr_object_find(m->arena, mpr_remote_cells[kind], name, init,
				       ret_object);
}

static int
find(mproc_manager *m, enum mpr_remote_kind kind, const char *name,
     const void *ret, void **ret_object)
{
	return find_or_make(m, kind, name, NULL, ret, ret_object);
}

int
mproc_manager_dict(mproc_manager *m, const char *name, mproc_dict **ret_d)
{
	void *d;
	int r = find(m, MPR_REMOTE_DICT, name, ret_d, &d);

	if (r == 0)
		*ret_d = d;
	return r;
}

int
mproc_manager_array(mproc_manager *m, const char *name, size_t elem, size_t n,
		    const void *init, void **ret_array)
{
	const struct mpr_array_shape shape = { elem, n, init };
	void *array;
	int r = check(m);

	if (r < 0)
		return r;
	if (!name || !ret_array)
		return mpr_fail(-EINVAL, "the %s is NULL",
				name ? "pointer that receives the array" : "name");
	if (!elem || (init && !n))
		return mpr_fail(-EINVAL, "%zu elements of %zu bytes", n, elem);
	if (n > INT64_MAX / elem)
		return mpr_fail(-ENOMEM, "%zu elements of %zu bytes", n, elem);
	r = m->role == CONNECTED ?
		    mpr_client_find_array(m->client, name, &shape, &array) :
		    mpr_object_find_array(m->arena, name, &shape, &array);
	if (r == 0)
		*ret_array = array;
	return r;
}

int
mproc_manager_value(mproc_manager *m, const char *name, size_t size,
		    const void *init, void **ret_value)
{
	return mproc_manager_array(m, name, size, 1, init, ret_value);
}

int
mproc_manager_list(mproc_manager *m, const char *name, mproc_list **ret_l)
{
	void *l;
	int r = find(m, MPR_REMOTE_LIST, name, ret_l, &l);

	if (r == 0)
		*ret_l = l;
	return r;
}

int
mproc_manager_set(mproc_manager *m, const char *name, mproc_set **ret_s)
{
	void *s;
	int r = find(m, MPR_REMOTE_SET, name, ret_s, &s);

	if (r == 0)
		*ret_s = s;
	return r;
}

int
mproc_manager_namespace(mproc_manager *m, const char *name,
			mproc_namespace **ret_ns)
{
	void *ns;
	int r = find(m, MPR_REMOTE_NAMESPACE, name, ret_ns, &ns);

	if (r == 0)
		*ret_ns = ns;
	return r;
}

int
mproc_manager_lock(mproc_manager *m, const char *name, mproc_lock **ret_lock)
{
	void *lock;
	int r = find(m, MPR_REMOTE_LOCK, name, ret_lock, &lock);

	if (r == 0)
		*ret_lock = lock;
	return r;
}

int
mproc_manager_rlock(mproc_manager *m, const char *name, mproc_rlock **ret_rlock)
{
	void *rlock;
	int r = find(m, MPR_REMOTE_RLOCK, name, ret_rlock, &rlock);

	if (r == 0)
		*ret_rlock = rlock;
	return r;
}

int
mproc_manager_semaphore(mproc_manager *m, const char *name,
			const struct mproc_semaphore_opts *opts,
			mproc_semaphore **ret_semaphore)
{
	struct mproc_semaphore_opts o;
	struct mpr_object_init init;
	void *semaphore;
	int r = mpr_opts_read(&o, sizeof(o), opts);

	if (r < 0)
		return r;
	if (o.arena)
		return mpr_fail(-EINVAL, ".arena is the manager's choice");
	init = (struct mpr_object_init){
		.value = o.value, .max = o.max, .undo = o.undo,
	};
	r = find_or_make(m, MPR_REMOTE_SEMAPHORE, name, &init, ret_semaphore,
			 &semaphore);
	if (r == 0)
		*ret_semaphore = semaphore;
	return r;
}

int
mproc_manager_queue(mproc_manager *m, const char *name,
		    const struct mproc_queue_opts *opts, mproc_queue **ret_q)
{
	struct mproc_queue_opts o;
	void *q;
	int r = check(m);

	if (r == 0)
		r = mpr_opts_read(&o, sizeof(o), opts);
	if (r < 0)
		return r;
	if (!name || !ret_q)
		return mpr_fail(-EINVAL, "the %s is NULL",
				name ? "pointer that receives the queue" : "name");
	if (o.arena)
		return mpr_fail(-EINVAL, ".arena is the manager's choice");
	/* As this library's. */
	o.struct_size = sizeof(o);
	r = m->role == CONNECTED ?
		    mpr_client_find_queue(m->client, name, &o, &q) :
		    mpr_object_find_queue(m->arena, name, &o, &q);
	if (r == 0)
		*ret_q = q;
	return r;
}

int
mproc_manager_event(mproc_manager *m, const char *name, mproc_event **ret_event)
{
	void *event;
	int r = find(m, MPR_REMOTE_EVENT, name, ret_event, &event);

	if (r == 0)
		*ret_event = event;
	return r;
}

int
mproc_manager_condition(mproc_manager *m, const char *name,
			mproc_condition **ret_condition)
{
	void *condition;
	int r = find(m, MPR_REMOTE_CONDITION, name, ret_condition, &condition);

	if (r == 0)
		*ret_condition = condition;
	return r;
}

int
mproc_manager_barrier(mproc_manager *m, const char *name, unsigned parties,
		      mproc_barrier **ret_barrier)
{
	const struct mpr_object_init init = { .value = parties };
	void *barrier;
	int r = find_or_make(m, MPR_REMOTE_BARRIER, name, &init, ret_barrier,
			     &barrier);

	if (r == 0)
		*ret_barrier = barrier;
	return r;
}

/*
 * Registered types.
 */

static int
register_type(mproc_manager *m, const struct mproc_type *t)
{
	int r;

	if (m->role == STARTED)
		return mpr_started_register(&m->started, t);
	if (!mpr_turn_try(&m->serving))
		return mpr_fail(-EBUSY, "another thread serves the manager");
	r = mpr_manager_server_register(m->server, t);
	mpr_turn_give(&m->serving);
	return r;
}

int
mproc_manager_register(mproc_manager *m, const struct mproc_type *type)
{
	struct mproc_type t;
	int before, r = check(m);

	if (r < 0)
		return r;
	if (m->role == CONNECTED)
		return mpr_fail(-EPERM, "types are registered by who has started the "
				"manager");
	r = mpr_type_check(&t, type);
	if (r < 0)
		return r;
	before = mpr_thread_forbid_cancel();
	r = mpr_turn_take(&m->joining, MPR_NEVER);
	if (r == 0) {
		r = register_type(m, &t);
		mpr_turn_give(&m->joining);
	}
	mpr_thread_allow_cancel(before);
	return r;
}

/* With the turn of joining. Returns 0, or why there is no connection. */
static int
join_own(mproc_manager *m, mproc_timeout timeout)
{
	const struct mproc_connect_opts co = {
		.struct_size = sizeof(co),
		.authkey = m->key,
		.authkey_len = m->key_len,
		.md5 = MPROC_MD5_FORBID,
	};
	struct mpr_client *own;
	int r;

	if (atomic_load(&m->own))
		return 0;
	r = mpr_client_open(&own, mproc_manager_address(m), &co, timeout);
	/* Pairs with the load in caller_of(): it is there. */
	if (r == 0)
		atomic_store(&m->own, own);
	return r;
}

/* By which connection methods are called. */
static int
caller_of(mproc_manager *m, int64_t deadline, struct mpr_client **ret_c)
{
	int before, r;

	*ret_c = m->role == CONNECTED ? m->client : atomic_load(&m->own);
	if (*ret_c)
		return 0;
	before = mpr_thread_forbid_cancel();
	r = mpr_turn_take(&m->joining, deadline);
	if (r == 0) {
		r = join_own(m, deadline == MPR_NEVER ? MPROC_FOREVER :
							mproc_until(deadline));
		mpr_turn_give(&m->joining);
	}
	mpr_thread_allow_cancel(before);
	*ret_c = atomic_load(&m->own);
	return r;
}

static int
check_names(const mproc_manager *m, const char *object, const char *other)
{
	int r = check(m);

	if (r == 0 && (!object || !other))
		r = mpr_fail(-EINVAL, "a name is NULL");
	return r;
}

int
mproc_manager_object(mproc_manager *m, const char *type, const char *name)
{
	struct mpr_client *c;
	int r = check_names(m, type, name);

	if (r == 0)
		r = caller_of(m, MPR_NEVER, &c);
	return r < 0 ? r : mpr_calling_object(c, type, name);
}

int
mproc_manager_object_destroy(mproc_manager *m, const char *name)
{
	struct mpr_client *c;
	int r = check_names(m, name, name);

	if (r == 0)
		r = caller_of(m, MPR_NEVER, &c);
	return r < 0 ? r : mpr_calling_destroy(c, name);
}

int
mproc_manager_call(mproc_manager *m, const char *object, const char *method,
		   const struct mproc_any *args, int n, struct mproc_any *ret,
		   mproc_timeout timeout)
{
	struct mpr_limit limit = mpr_limit(timeout);
	struct mpr_client *c;
	int r = check_names(m, object, method);

	if (r < 0)
		return r;
	if (n < 0 || n > MPROC_CALL_ARGS || (n && !args))
		return mpr_fail(-EINVAL, "%d values for a method: it takes up to %d", n,
				MPROC_CALL_ARGS);
	r = mpr_limit_begin(&limit);
	if (r < 0)
		return r;
	r = caller_of(m, limit.deadline, &c);
	return r < 0 ? r : mpr_calling_call(c, object, method, args, (size_t)n, ret,
					    limit.deadline);
}
