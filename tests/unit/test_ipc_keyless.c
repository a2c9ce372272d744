/* SPDX-License-Identifier: MIT */
/*
 * A library that was built without keys, as with -Dauth=disabled: this program has
 * src/ipc/digest_none.c in the place of the other one. A key is refused, and never
 * ignored.
 */
#include <errno.h>

#include <mproc/pipe.h>

#include "common.h"
#include "ipc/digest.h"

#define A_KEY .authkey = "key", .authkey_len = 3

static void
a_key_is_refused(void **state)
{
	mproc_listener *l = NULL;
	mproc_conn *c = NULL;

	(void)state;
	assert_int_equal(mproc_listener_open(&l, "tcp:127.0.0.1:0",
		MPROC_OPTS(mproc_listener_opts, A_KEY)), -ENOTSUP);
	assert_non_null(strstr(mproc_error_detail(), "nettle"));
	assert_int_equal(mproc_listener_open(&l, "tcp:127.0.0.1:0", NULL), 0);
	assert_int_equal(mproc_connect(&c, mproc_listener_address(l),
		MPROC_OPTS(mproc_connect_opts, A_KEY), mproc_sec(20)), -ENOTSUP);
	assert_null(c);
	/* Nobody has tried to. */
	assert_int_equal(mproc_listener_accept(l, &c, MPROC_NOWAIT), -EAGAIN);
	mproc_listener_close(l);
}

static void
without_a_key_all_goes_on(void **state)
{
	mproc_listener *l;
	mproc_conn *c, *d;
	char buf[8];

	(void)state;
	assert_int_equal(mproc_listener_open(&l, "tcp:127.0.0.1:0", NULL), 0);
	assert_int_equal(mproc_connect(&c, mproc_listener_address(l), NULL,
				       mproc_sec(20)), 0);
	assert_int_equal(mproc_listener_accept(l, &d, mproc_sec(20)), 0);
	assert_int_equal(mproc_conn_send(c, "hello", 5, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_conn_recv(d, buf, 8, NULL, mproc_sec(20)), 0);
	mproc_conn_close(c);
	mproc_conn_close(d);
	mproc_listener_close(l);
}

static void
nothing_is_equal(void **state)
{
	unsigned char a[MPR_DIGEST_MAX], b[MPR_DIGEST_MAX];

	(void)state;
	mpr_digest_hmac(MPR_SHA256, "key", 3, "text", 4, a);
	mpr_digest_hmac(MPR_SHA256, "key", 3, "text", 4, b);
	assert_false(mpr_digest_equal(a, b, mpr_digest_len(MPR_SHA256)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_key_is_refused),
		mpt_test(without_a_key_all_goes_on),
		mpt_test(nothing_is_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
