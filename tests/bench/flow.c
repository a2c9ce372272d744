/* SPDX-License-Identifier: MIT */
#include "flow.h"

#include <stdio.h>

#include "crew.h"

#define PATIENCES 3 /* that a run lasts at most */

static const char *const flaws[] = {
	[SEND_FAILED] = "a message cannot be sent",
	[RECV_FAILED] = "a message cannot be received",
	[WRONG_LENGTH] = "a message has a wrong length",
	[WRONG_BYTES] = "a message has wrong bytes",
	[DISORDER] = "messages of one producer come out of order or again",
};

static uint64_t
count(const struct share *s, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += atomic_load_explicit(&s[i].done, memory_order_acquire);
	return sum;
}

static uint64_t
taken(const struct board *b)
{
	return count(b->ends[CONSUMER], b->consumers);
}

/* How many messages are to come, as it is known now. */
static uint64_t
expected(const struct flow *f, const struct board *b, bool killed)
{
	uint64_t all = b->each * b->producers;

	if (!killed || f->victim == CONSUMER)
		return all;
	return all - b->each + b->ends[PRODUCER][0].done;
}

static bool
all_sent(const struct flow *f, const struct board *b, bool killed)
{
	return count(b->ends[PRODUCER], b->producers) >= expected(f, b, killed);
}

/* Whether one who was not killed has ended, or has got an error. */
static bool
has_given_up(const struct flow *f, const struct crew *c)
{
	const struct board *b = c->board;

	for (unsigned i = f->victim == PRODUCER; i < b->producers; i++)
		if (crew_is_dead(c, PRODUCER, i))
			return true;
	for (unsigned i = f->victim == CONSUMER; i < b->consumers; i++)
		if (crew_is_dead(c, CONSUMER, i))
			return true;
	return crew_flaw(c);
}

/* No more messages come. */
static void
give_up(const struct flow *f, const struct crew *c, bool killed, bool waits,
	uint64_t n, struct flow_end *ret)
{
	uint64_t due = expected(f, c->board, killed);

	ret->lost = due - n;
	if (waits)
		ret->stall = f->patience;
	ret->refused = killed && has_given_up(f, c);
	ret->hung = !ret->refused && !all_sent(f, c->board, killed);
	snprintf(ret->flaw, sizeof(ret->flaw), "%llu of %llu messages do not come",
		 (unsigned long long)ret->lost, (unsigned long long)due);
}

/* An error is what a death may bring; wrong data is never right. */
static bool
is_wrong(enum flaw flaw, bool killed)
{
	return flaw && !(killed && (flaw == SEND_FAILED || flaw == RECV_FAILED));
}

/* A flow from its first message on. */
static void
watch(const struct flow *f, struct crew *c, struct flow_end *ret)
{
	struct board *b = c->board;
	uint64_t all = b->each * b->producers, warm = 0, n, last = 0;
	int64_t started = ends_now(), warmed = 0, progress = started, t, died = 0;
	bool waits = false; /* for a sign of life after the kill */
	double longest = PATIENCES * f->patience * 1e9;

	b->go = 1;
	for (;;) {
		enum flaw flaw = crew_flaw(c);

		n = taken(b);
		t = ends_now();
		if (is_wrong(flaw, died)) {
			snprintf(ret->flaw, sizeof(ret->flaw), "%s",
				 flaws[flaw]);
			return;
		}
		if (!warmed && n >= all / 8) {
			warmed = t;
			warm = n;
		}
		if (f->kills && !died && n >= all / 2) {
			crew_kill(c, f->victim, 0);
			died = t = ends_now();
			last = n = taken(b);
			progress = t;
			waits = true;
		}
		if (n > last) {
			if (waits)
				ret->stall = (double)(t - died) / 1e9;
			waits = false;
			last = n;
			progress = t;
		}
		if (n >= expected(f, b, died))
			break;
		if ((double)(t - progress) > f->patience * 1e9) {
			give_up(f, c, died, waits, n, ret);
			return;
		}
		if ((double)(t - started) > longest) {
			snprintf(ret->flaw, sizeof(ret->flaw),
				 "not over after %g s, with %llu of %llu messages",
				 longest / 1e9, (unsigned long long)n,
				 (unsigned long long)expected(f, b, died));
			return;
		}
		ends_nap(ENDS_LOOK);
	}
	/* Unless it has been too quick for that: of the few that are left it would
	 * say little more than how often we look. */
	if (warm > all / 2) {
		warmed = started;
		warm = 0;
	}
	ret->ns = (double)(t - warmed) / (double)(n - warm);
}

/* Whether @n messages have come, and their sum is @sum. */
static bool
has_come(const struct board *b, uint64_t n, uint64_t sum)
{
	uint64_t all = taken(b);

	for (unsigned i = 0; i < b->consumers; i++)
		sum -= b->ends[CONSUMER][i].sum;
	return sum == 0 && all == n;
}

/* Whether what was taken is what was sent, each message once. A producer that was
 * killed may have sent one more than it has said. */
static bool
is_each_once(const struct flow *f, const struct board *b)
{
	bool may_be_more = f->kills && f->victim == PRODUCER;
	uint64_t sent = may_be_more ? b->ends[PRODUCER][0].done : b->each;
	uint64_t n = sent + b->each * (b->producers - 1), sum = 0;
	int64_t until = ends_now() + (int64_t)(f->patience * 1e9);

	for (uint64_t k = 0; k < sent; k++)
		sum += ends_mix(0, k);
	for (unsigned i = 1; i < b->producers; i++)
		for (uint64_t k = 0; k < b->each; k++)
			sum += ends_mix(i, k);
	while (!has_come(b, n, sum) &&
	       !(may_be_more && has_come(b, n + 1, sum + ends_mix(0, sent)))) {
		/* That one may have been counted before another, which comes. */
		if (!may_be_more || taken(b) > n + 1 || ends_now() > until)
			return false;
		ends_nap(ENDS_LOOK);
	}
	return true;
}

/* s from @begun to the first message that anybody has taken. */
static double
until_first(const struct board *b, int64_t begun)
{
	int64_t first = INT64_MAX;

	for (unsigned i = 0; i < b->consumers; i++) {
		int64_t t = b->ends[CONSUMER][i].first;

		if (t && t < first)
			first = t;
	}
	return (double)(first - begun) / 1e9;
}

static void
run(const struct flow *f, struct crew *c, struct flow_end *ret)
{
	int64_t begun = ends_now();
	const char *flaw;
	double before;

	ret->failed = crew_start(c, f->patience + 10, &flaw);
	if (ret->failed)
		return;
	if (flaw[0]) {
		snprintf(ret->flaw, sizeof(ret->flaw), "%s", flaw);
		return;
	}
	if (f->idle > 0) {
		ends_nap(200000000); /* until they sleep */
		before = crew_cpu_time(c, CONSUMER);
		ends_nap((int64_t)(f->idle * 1e9));
		ret->idle = (crew_cpu_time(c, CONSUMER) - before) / f->idle /
			    1e7;
	}
	watch(f, c, ret);
	if (ret->flaw[0])
		return;
	ends_nap(ENDS_LOOK); /* one too many may be on its way */
	if (!is_each_once(f, c->board))
		snprintf(ret->flaw, sizeof(ret->flaw),
			 "not each message has come once");
	ret->start = until_first(c->board, begun);
	ret->memory = crew_memory(c);
}

void
flow_run(const struct flow *f, struct flow_end *ret)
{
	struct crew c;

	*ret = (struct flow_end){ .failed = 0 };
	crew_open(&c, f->transport, 0);
	c.board->producers = f->job.producers;
	c.board->consumers = f->job.consumers;
	c.board->placement = f->placement;
	c.board->size = f->job.size;
	c.board->each = f->each;
	run(f, &c, ret);
	crew_close(&c);
}
