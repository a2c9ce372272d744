/* SPDX-License-Identifier: MIT */
/*
 * Who is there beside the victim of the single-step killer: all other threads of the
 * test and all its descendants, see mpt_priv.h.
 *
 * Whether one of them has run is told by how often it has been given a processor. That
 * number is read before its state: if it slept then, and the number is the same
 * later, it has not run in between, nor since the number was first read.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mpt_priv.h"

enum {
	MAX_OTHERS = 32,
	QUIET_NS = 300000,
	PATIENCE = 300,		/* looks, so far from each other */
};

struct other {
	pid_t tid;
	int fd;			/* of its schedstat in /proc, or -1 */
	unsigned long turns;
	bool sleeps;
};

struct mpt_others {
	pid_t victim;
	unsigned n;
	struct other at[MAX_OTHERS];
};

static void add_tree(struct mpt_others *o, pid_t pid);

/* The children of a thread. */
static void add_children(struct mpt_others *o, pid_t pid, pid_t tid)
{
	char path[64], text[4096];
	char *p = text;
	long child;
	ssize_t r;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	r = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[r > 0 ? r : 0] = '\0';
	while ((child = strtol(p, &p, 10)) > 0)
		if (child != o->victim)
			add_tree(o, (pid_t)child);
}

/* All threads of a process but ourselves, and all that descend from it. One too many
 * counts, and has no place. */
static void add_tree(struct mpt_others *o, pid_t pid)
{
	struct dirent *e;
	char path[32];
	pid_t tid;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d != NULL && o->n <= MAX_OTHERS && (e = readdir(d)) != NULL) {
		tid = atoi(e->d_name);
		if (tid == 0)
			continue;
		if (tid != gettid()) {
			if (o->n < MAX_OTHERS)
				o->at[o->n] = (struct other){ .tid = tid,
							      .fd = -1 };
			o->n++;
		}
		add_children(o, pid, tid);
	}
	if (d != NULL)
		closedir(d);
}

static void find_others(struct mpt_others *o, pid_t victim)
{
	o->victim = victim;
	o->n = 0;
	add_tree(o, getpid());
}

/* Whether they are the same as ever. */
static bool are_the_same(const struct mpt_others *o)
{
	struct mpt_others now;
	unsigned i;

	find_others(&now, o->victim);
	if (now.n != o->n)
		return false;
	for (i = 0; i < o->n; i++)
		if (now.at[i].tid != o->at[i].tid)
			return false;
	return true;
}

static bool open_all(struct mpt_others *o)
{
	char path[64];
	unsigned i;

	if (o->n > MAX_OTHERS) {
		o->n = MAX_OTHERS;
		return false;
	}
	for (i = 0; i < o->n; i++) {
		/* It stands for the thread, also where it is not the first one. */
		snprintf(path, sizeof(path), "/proc/%d/schedstat", o->at[i].tid);
		o->at[i].fd = open(path, O_RDONLY | O_CLOEXEC);
		if (o->at[i].fd < 0)
			return false;
	}
	return true;
}

/* How often it was given a processor; 0 if nobody knows. */
static unsigned long read_turns(const struct other *other)
{
	unsigned long turns;
	char text[64];
	ssize_t r = pread(other->fd, text, sizeof(text) - 1, 0);

	if (r <= 0)
		return 0;
	text[r] = '\0';
	return sscanf(text, "%*u %*u %lu", &turns) == 1 ? turns : 0;
}

/* Whether one of them has run since the last look; or was woken, if that is to be
 * known. */
static bool look(struct mpt_others *o, bool woken)
{
	unsigned long turns;
	bool ran = false, same;
	unsigned i;
	int state;

	for (i = 0; i < o->n; i++) {
		struct other *other = &o->at[i];

		turns = read_turns(other);
		same = turns == other->turns && turns != 0 && other->sleeps;
		if (same && !woken)
			continue;
		other->turns = turns;
		state = mpt_task_state(other->tid);
		other->sleeps = state == 'S' || state == 'T' || state == 'Z';
		ran |= !same || !other->sleeps;
	}
	return ran;
}

bool mpt_others_ran(struct mpt_others *o)
{
	return look(o, false);
}

/* Two looks in a row must find the same; those who were woken go on meanwhile. */
bool mpt_others_settle(struct mpt_others *o, bool *ret_ran)
{
	const struct timespec ts = { .tv_nsec = QUIET_NS };
	bool ran = look(o, true);
	unsigned tries;

	*ret_ran = ran;
	for (tries = 0; ran && tries < PATIENCE; tries++) {
		nanosleep(&ts, NULL);
		ran = look(o, true);
	}
	return !ran && are_the_same(o);
}

struct mpt_others *mpt_others_new(pid_t victim)
{
	struct mpt_others *o = malloc(sizeof(*o));
	bool ran;

	if (o == NULL)
		abort();
	find_others(o, victim);
	if (!open_all(o) || !mpt_others_settle(o, &ran)) {
		mpt_others_free(o);
		return NULL;
	}
	return o;
}

unsigned mpt_others_count(const struct mpt_others *o)
{
	return o->n;
}

void mpt_others_free(struct mpt_others *o)
{
	unsigned i;

	if (o == NULL)
		return;
	for (i = 0; i < o->n; i++)
		if (o->at[i].fd >= 0)
			close(o->at[i].fd);
	free(o);
}
