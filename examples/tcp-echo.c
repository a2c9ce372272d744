/* SPDX-License-Identifier: MIT */
/*
 * An echo server over TCP that lets in who has its key: two clients have it, one has
 * another one, and one says nothing at all and keeps nobody waiting.
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <string.h>

#define KEY "open sesame"
#define CLIENTS 2

static void
complain(const char *what, int r)
{
	fprintf(stderr, "%s: %s (%s)\n", what, mproc_strerror(r),
		mproc_error_detail());
}

static int
talk(mproc_conn *c, int number)
{
	char text[32], echo[32];
	size_t len;
	int r;

	len = (size_t)snprintf(text, sizeof(text), "hello from client %d",
			       number);
	r = mproc_conn_send(c, text, len, mproc_sec(10));
	if (r == 0)
		r = mproc_conn_recv(c, echo, sizeof(echo), &len, mproc_sec(10));
	if (r == 0)
		printf("client %d hears: %.*s\n", number, (int)len, echo);
	return r;
}

static int
be_client(const char *address, const char *key, int number)
{
	mproc_conn *c;
	int r;

	r = mproc_connect(&c, address,
			  MPROC_OPTS(mproc_connect_opts, .authkey = key,
				     .authkey_len = strlen(key)),
			  mproc_sec(10));
	if (r < 0)
		return r;
	r = talk(c, number);
	mproc_conn_close(c);
	return r;
}

/* The clients are one process here, one after the other. */
static int
be_clients(void *arg)
{
	const char *address = arg;
	mproc_conn *silent;
	int r;

	r = mproc_connect(&silent, address, NULL, mproc_sec(10));
	for (int i = 1; r == 0 && i <= CLIENTS; i++)
		r = be_client(address, KEY, i);
	if (r < 0) {
		complain("a client", r);
		return 1;
	}
	r = be_client(address, "open barley", 3);
	printf("client 3 is %s\n", r == -EACCES ? "not let in" : "let in");
	mproc_conn_close(silent);
	return r != -EACCES;
}

static int
echo(mproc_conn *c)
{
	char buf[1024];
	size_t len;
	int r;

	do {
		r = mproc_conn_recv(c, buf, sizeof(buf), &len, mproc_sec(10));
		if (r == 0)
			r = mproc_conn_send(c, buf, len, mproc_sec(10));
	} while (r == 0);
	return r == -EPIPE ? 0 : r;
}

/* Until the clients have ended, who are looked for now and then. */
static int
serve(mproc_listener *l, mproc_process *clients)
{
	mproc_conn *c;
	int r = 0;

	while (r == 0 && mproc_process_is_alive(clients)) {
		r = mproc_listener_accept(l, &c, mproc_ms(20));
		if (r == 0) {
			r = echo(c);
			mproc_conn_close(c);
		} else if (r == -ETIMEDOUT) {
			r = 0;
		}
	}
	return r;
}

int
main(void)
{
	mproc_process *clients;
	mproc_listener *l;
	int r, code = 1;

	/* Any port that is free. */
	r = mproc_listener_open(&l, "tcp:127.0.0.1:0",
				MPROC_OPTS(mproc_listener_opts, .authkey = KEY,
					   .authkey_len = sizeof(KEY) - 1));
	if (r < 0) {
		complain("listening", r);
		return 1;
	}
	r = mproc_process_start(&clients, be_clients,
				(void *)(uintptr_t)mproc_listener_address(l),
				NULL);
	if (r < 0) {
		complain("starting the clients", r);
		mproc_listener_close(l);
		return 1;
	}
	r = serve(l, clients);
	if (r < 0)
		complain("serving", r);
	mproc_listener_close(l);
	if (mproc_process_join(clients, MPROC_FOREVER) == 0)
		(void)mproc_process_exitcode(clients, &code);
	mproc_process_close(clients);
	return r < 0 ? 1 : code;
}
