/* SPDX-License-Identifier: MIT */
/*
 * Each point has a plan, a word that says which call is to fail and how, and a
 * counter. Both are private memory: a forked child goes on with its own copy.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/fault.h"

/* A plan: the number of the call, whether all later ones fail too, and with
 * what. 0 is none. */
#define PLAN_CALL_MAX ((UINT64_C(1) << 32) - 1)
#define PLAN_ONWARDS (UINT64_C(1) << 32)
#define PLAN_ERROR_SHIFT 33

static const struct {
	const char *name;
	int error; /* what is usual there */
} points[MPR_FAULTS] = {
	[MPR_FAULT_MEMFD] = { "memfd", ENOSYS },
	[MPR_FAULT_TMPFILE] = { "tmpfile", EOPNOTSUPP },
	[MPR_FAULT_FTRUNCATE] = { "ftruncate", ENOSPC },
	[MPR_FAULT_SEAL] = { "seal", EINVAL },
	[MPR_FAULT_FSTAT] = { "fstat", ENOMEM },
	[MPR_FAULT_MMAP] = { "mmap", ENOMEM },
	[MPR_FAULT_MADVISE] = { "madvise", EINVAL },
	[MPR_FAULT_FALLOCATE] = { "fallocate", ENOSPC },
	[MPR_FAULT_POPULATE] = { "populate", ENOMEM },
	[MPR_FAULT_PUNCH] = { "punch", EOPNOTSUPP },
	[MPR_FAULT_MEMBARRIER] = { "membarrier", ENOSYS },
	[MPR_FAULT_FORK] = { "fork", EAGAIN },
	[MPR_FAULT_FOLLOW] = { "follow", EPERM },
	[MPR_FAULT_PIDFD] = { "pidfd", EMFILE },
	[MPR_FAULT_WAITID] = { "waitid", ENOSYS },
	[MPR_FAULT_KILL] = { "kill", EPERM },
	[MPR_FAULT_POLL] = { "poll", ENOMEM },
	[MPR_FAULT_EVENTFD] = { "eventfd", EMFILE },
	[MPR_FAULT_EPOLL] = { "epoll", EMFILE },
	[MPR_FAULT_LOCK] = { "lock", ENOLCK },
	[MPR_FAULT_OPEN] = { "open", EMFILE },
	[MPR_FAULT_LINK] = { "link", ENOSPC },
	[MPR_FAULT_THREAD] = { "thread", EAGAIN },
	[MPR_FAULT_KEY] = { "key", EAGAIN },
	[MPR_FAULT_DUP] = { "dup", EMFILE },
	[MPR_FAULT_CLOSE] = { "close", ENOSYS },
	[MPR_FAULT_CHDIR] = { "chdir", EACCES },
	[MPR_FAULT_AFFINITY] = { "affinity", EINVAL },
	[MPR_FAULT_WAIT] = { "wait", EINTR },
	[MPR_FAULT_SOCKET] = { "socket", EMFILE },
	[MPR_FAULT_BIND] = { "bind", EADDRINUSE },
	[MPR_FAULT_ACCEPT] = { "accept", EMFILE },
	[MPR_FAULT_CONNECT] = { "connect", ECONNREFUSED },
	[MPR_FAULT_SEND] = { "send", EPIPE },
	[MPR_FAULT_RECEIVE] = { "receive", EPIPE },
	[MPR_FAULT_MALLOC] = { "malloc", ENOMEM },
};

static const struct {
	const char *name;
	int error;
} errors[] = {
	{ "EACCES", EACCES },	  { "EAGAIN", EAGAIN },
	{ "EBADF", EBADF },	  { "ECHILD", ECHILD },
	{ "EEXIST", EEXIST },	  { "EINTR", EINTR },
	{ "EINVAL", EINVAL },
	{ "EMFILE", EMFILE },	  { "ENFILE", ENFILE },
	{ "ENOLCK", ENOLCK },	  { "ENOMEM", ENOMEM },
	{ "ENOSPC", ENOSPC },	  { "ENOSYS", ENOSYS },
	{ "EOPNOTSUPP", EOPNOTSUPP }, { "EPERM", EPERM },
	{ "ESRCH", ESRCH },
};

_Atomic bool mpr_fault_armed;
static _Atomic uint64_t plans[MPR_FAULTS];
static _Atomic uint64_t hits[MPR_FAULTS];
static _Atomic uint64_t failures;

/* Whether @text starts with @word; if so it is moved behind it. */
static bool
skip(const char **text, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*text, word, len) != 0)
		return false;
	*text += len;
	return true;
}

/* The names come first: what the user wrote may be long. */
static int
unknown_point(const char *text)
{
	char names[400];
	size_t len = 0;

	names[0] = '\0';
	for (int i = 0; i < MPR_FAULTS && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len,
					"%s%s", i ? ", " : "", points[i].name);
	return mpr_fail(-EINVAL, "what can fail is %s; not \"%s\"", names,
			text);
}

static int
read_point(const char **text)
{
	const char *at;

	for (int i = 0; i < MPR_FAULTS; i++) {
		at = *text;
		if (skip(&at, points[i].name) && skip(&at, ":")) {
			*text = at;
			return i;
		}
	}
	return unknown_point(*text);
}

static int
read_error(const char **text)
{
	size_t len = strcspn(*text, ",");

	for (size_t i = 0; i < MPR_ARRAY_LEN(errors); i++) {
		if (strlen(errors[i].name) != len ||
		    strncmp(errors[i].name, *text, len) != 0)
			continue;
		*text += len;
		return errors[i].error;
	}
	return mpr_fail(-EINVAL, "no such errno to fail with: \"%s\"", *text);
}

/* POINT:N[+][=ERRNO], up to the comma or the end. */
static int
read_plan(const char **text, uint64_t *all)
{
	const char *start = *text;
	uint64_t call = 0, onwards = 0;
	int point, error;

	point = read_point(text);
	if (point < 0)
		return point;
	while (**text >= '0' && **text <= '9' && call <= PLAN_CALL_MAX)
		call = call * 10 + (uint64_t)(*(*text)++ - '0');
	if (call == 0 || call > PLAN_CALL_MAX)
		return mpr_fail(-EINVAL, "a call's number must be from 1 to "
				"%llu: \"%s\"",
				(unsigned long long)PLAN_CALL_MAX, start);
	if (skip(text, "+"))
		onwards = PLAN_ONWARDS;
	error = skip(text, "=") ? read_error(text) : points[point].error;
	if (error < 0)
		return error;
	if (all[point])
		return mpr_fail(-EINVAL, "%s twice: \"%s\"", points[point].name,
				start);
	all[point] = (uint64_t)error << PLAN_ERROR_SHIFT | onwards | call;
	return 0;
}

static int
read_spec(const char *spec, uint64_t *all)
{
	const char *at = spec;
	int r;

	do {
		r = read_plan(&at, all);
		if (r < 0)
			return r;
	} while (skip(&at, ","));
	return *at ? mpr_fail(-EINVAL, "not understood: \"%s\"", at) : 0;
}

int
mpr_fault_check(const char *spec)
{
	uint64_t all[MPR_FAULTS] = { 0 };

	return spec && *spec ? read_spec(spec, all) : 0;
}

int
mpr_fault_set(const char *spec)
{
	uint64_t all[MPR_FAULTS] = { 0 };
	int r;

	if (!spec || !*spec) {
		atomic_store(&mpr_fault_armed, false);
		return 0;
	}
	r = read_spec(spec, all);
	if (r < 0)
		return r;
	atomic_store(&mpr_fault_armed, false);
	for (int i = 0; i < MPR_FAULTS; i++) {
		atomic_store(&plans[i], all[i]);
		atomic_store(&hits[i], 0);
	}
	atomic_store(&failures, 0);
	atomic_store(&mpr_fault_armed, true);
	return 0;
}

bool
mpr_fault_pause(void)
{
	return atomic_exchange(&mpr_fault_armed, false);
}

void
mpr_fault_resume(bool was_set)
{
	if (was_set)
		atomic_store(&mpr_fault_armed, true);
}

uint64_t
mpr_fault_hits(enum mpr_fault_point point)
{
	return atomic_load(&hits[point]);
}

uint64_t
mpr_fault_failures(void)
{
	return atomic_load(&failures);
}

const char *
mpr_fault_name(enum mpr_fault_point point)
{
	return points[point].name;
}

bool
mpr_fault_reached(enum mpr_fault_point point)
{
	uint64_t n = atomic_fetch_add(&hits[point], 1) + 1;
	uint64_t plan = atomic_load(&plans[point]);
	uint64_t call = plan & PLAN_CALL_MAX;

	if (!plan || n < call || (n > call && !(plan & PLAN_ONWARDS)))
		return false;
	atomic_fetch_add(&failures, 1);
	errno = (int)(plan >> PLAN_ERROR_SHIFT);
	return true;
}
