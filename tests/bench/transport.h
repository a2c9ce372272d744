/* SPDX-License-Identifier: MIT */
/*
 * What carries messages from some processes to others, behind one interface:
 * libmproc and its peers. A peer is a file transport_<name>.c and a line in
 * transports.c.
 *
 * The processes are forked: a channel is opened before, and each process uses
 * its copy of what open() has returned.
 */
#ifndef BENCH_TRANSPORT_H
#define BENCH_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

struct job {
	size_t size; /* bytes of each message */
	unsigned producers;
	unsigned consumers;
};

enum end { PRODUCER, CONSUMER };

/* How the ends come to be. */
enum ends_kind {
	FORKED,	 /* a process each */
	THREADS, /* of one process */
	HOSTED,	 /* by another program */
};

/**
 * struct transport - a way to send messages
 * @name:    in the report, with what sets its figures apart from others
 * @missing: the package of Debian that it was built without; then there is
 *           nothing else. With @found: that it is without if that says so.
 * @only_by_name: is not among all of them, for what tests the harness
 * @kind:    what its ends are
 * @opens_late: open() does next to nothing; the ends do
 * @most:    bytes of the longest message, 0 for any length
 * @most_shared: the same with more than one producer or consumer
 * @most_producers: 0 for any number
 * @most_consumers: 0 for any number
 * @open:    makes a channel. NULL with errno set if it cannot be done here.
 * @attach:  is called once by each producer and consumer, before all else; or
 *           NULL. All consumers have returned when the first producer calls.
 * @send:    returns when the message has been taken over, whatever it waits
 *           for; false if it failed
 * @recv:    waits for a message and returns its length, 0 if it failed. With
 *           @wait false it returns 0 at once if there is none; NULL if that is
 *           not offered.
 * @host:    of HOSTED ones, in the place of attach, send and recv: becomes the
 *           program that starts the ends for the board (ends.h) in file @path,
 *           consumers first. It is killed with all of its process group.
 * @close:   gives back all of it, in the process that opened it, after the
 *           others have been killed
 */
struct transport {
	const char *name;
	const char *missing;
	bool (*found)(void);
	bool only_by_name;
	enum ends_kind kind;
	bool opens_late;
	size_t most;
	size_t most_shared;
	unsigned most_producers;
	unsigned most_consumers;
	void *(*open)(const struct job *job);
	void (*attach)(void *channel, enum end end, unsigned index);
	bool (*send)(void *channel, const void *p, size_t len);
	size_t (*recv)(void *channel, void *p, size_t size, bool wait);
	void (*host)(void *const channels[2], const struct job *job,
		     const char *path);
	void (*close)(void *channel);
};

/* All of them; the first is the one that the others are compared with. */
extern const struct transport *const transports[];
extern const unsigned n_transports;

/* NULL if it can do the job, or why not. */
const char *transport_refuses(const struct transport *t, const struct job *job);

#endif
