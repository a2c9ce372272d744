/* SPDX-License-Identifier: MIT */
/*
 * What tests of managers share.
 */
#ifndef API_MANAGER_H
#define API_MANAGER_H

#include <stdlib.h>

#include <mproc/manager.h>

#include "dict.h"

#define KEY "correct horse"
#define A_KEY .authkey = KEY, .authkey_len = sizeof(KEY) - 1

/* Where a file can be that goes with the scenario. */
static inline char *
file_address(struct mpt *t, const char *what)
{
	char *address = mpt_scratch(t), name[64];

	snprintf(address, 128, "unix:/dev/shm%s", mpt_name(t, name, what));
	return address;
}

static inline mproc_manager *
start(const struct mproc_manager_opts *opts)
{
	mproc_manager *m;

	assert_int_equal(mproc_manager_start(&m, opts), 0);
	return m;
}

static inline mproc_manager *
connect_to(mproc_manager *m)
{
	mproc_manager *c;

	assert_int_equal(mproc_manager_connect(&c, mproc_manager_address(m), NULL,
					       mproc_sec(20)), 0);
	return c;
}

static inline mproc_dict *
dict_of(mproc_manager *m, const char *name)
{
	mproc_dict *d;

	assert_int_equal(mproc_manager_dict(m, name, &d), 0);
	return d;
}

static inline int
end_with(mproc_manager *server, mproc_manager *client)
{
	mproc_manager_close(client);
	if (mproc_manager_shutdown(server, mproc_sec(20)) < 0)
		return -1;
	mproc_manager_close(server);
	return 0;
}

/* For a group. What stays once there has been one: names, and a table. */
static inline int
with_manager(void **state)
{
	mproc_manager *m;
	mproc_dict *d;

	if (with_dict(state) < 0 || mproc_manager_start(&m, NULL) < 0 ||
	    mproc_manager_dict(m, "first", &d) < 0 ||
	    mproc_arena_bind(NULL, "first", NULL) < 0)
		return -1;
	mproc_dict_destroy(d);
	mproc_manager_close(m);
	return 0;
}

#endif
