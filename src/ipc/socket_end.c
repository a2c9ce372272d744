/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "ipc/socket_end.h"
#include "os/generation.h"

#define CHAINS 64

struct entry {
	struct entry *next;
	const mproc_conn *end;
	uint64_t open; /* another pipe may have its header later */
	struct mpr_socket_conn *c;
};

/* Under the process lock, as is what follows. */
static struct entry *chains[CHAINS];
static unsigned entries;

static struct entry **
place_of(const mproc_conn *end, uint64_t open)
{
	/* Ends lie 128 bytes apart. */
	struct entry **at = &chains[(uintptr_t)end / 128 % CHAINS];

	while (*at && ((*at)->end != end || (*at)->open != open))
		at = &(*at)->next;
	return at;
}

static struct entry *
take_out(struct entry **at)
{
	struct entry *e = *at;

	if (e) {
		*at = e->next;
		entries--;
	}
	return e;
}

static void
destroy(struct entry *e)
{
	if (!e)
		return;
	mpr_socket_conn_close(e->c);
	free(e);
}

int
mpr_socket_end_add(const mproc_conn *end, uint64_t open, int fd)
{
	struct entry *e = mpr_malloc(sizeof(*e)), *old, **at;
	int r = e ? mpr_socket_conn_make(&e->c, fd, false, true) :
		    mpr_fail(-ENOMEM, "no memory for a connection");

	if (r < 0) {
		free(e);
		return r;
	}
	e->end = end;
	e->open = open;
	mpr_fork_lock();
	mpr_process_lock();
	/* Who is given an end twice has it once. */
	old = take_out(place_of(end, open));
	at = place_of(end, open);
	e->next = NULL;
	*at = e;
	entries++;
	mpr_process_unlock();
	destroy(old);
	mpr_fork_unlock();
	return 0;
}

struct mpr_socket_conn *
mpr_socket_end_find(const mproc_conn *end, uint64_t open)
{
	struct mpr_socket_conn *c;
	struct entry *e;

	mpr_process_lock();
	e = *place_of(end, open);
	c = e ? e->c : NULL;
	mpr_process_unlock();
	return c;
}

void
mpr_socket_end_close(const mproc_conn *end, uint64_t open)
{
	struct entry *e;

	/* A child that is forked in between would keep a copy that nobody there
	 * knows of, and the other side would not see the end. */
	mpr_fork_lock();
	mpr_process_lock();
	e = take_out(place_of(end, open));
	mpr_process_unlock();
	destroy(e);
	mpr_fork_unlock();
}

/* Takes one of them out, or returns NULL. */
static struct entry *
take_other(bool (*keeps)(const mproc_conn *end, void *arg), void *arg)
{
	struct entry **at;

	for (unsigned i = 0; i < CHAINS; i++)
		for (at = &chains[i]; *at; at = &(*at)->next)
			if (!keeps((*at)->end, arg))
				return take_out(at);
	return NULL;
}

MPR_CHILD_PATH void
mpr_socket_end_close_others(bool (*keeps)(const mproc_conn *end, void *arg),
			    void *arg)
{
	struct entry *e = NULL;

	if (!entries)
		return;
	do {
		destroy(e);
		mpr_process_lock();
		e = take_other(keeps, arg);
		mpr_process_unlock();
	} while (e);
}

unsigned
mpr_socket_end_fds(int *ret_fds, unsigned n)
{
	unsigned all = 0;
	int fds[2];

	if (!entries)
		return 0;
	mpr_process_lock();
	for (unsigned i = 0; i < CHAINS; i++) {
		for (struct entry *e = chains[i]; e; e = e->next) {
			unsigned its = mpr_socket_conn_fds(e->c, fds);

			for (unsigned j = 0; j < its; j++, all++)
				if (all < n)
					ret_fds[all] = fds[j];
		}
	}
	mpr_process_unlock();
	return all;
}
