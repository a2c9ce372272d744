/* SPDX-License-Identifier: MIT */
#include "base/copy.h"
#include "base/macros.h"
#include "ipc/message_copy.h"
#include "os/clock.h"

#define UNIT 65536 /* bytes that a cost is for */

/* copies; the blocks in use take about as many before all are as the other way leaves
 * them */
#define TRIAL 8
#define REST_MIN 16
#define REST_MAX 1024

/* A trial is over after one that is so many times as slow. */
#define HOPELESS 4

/* Who reads what was written past the caches has it farther. */
static bool
is_past_better(const struct mpr_copy_way *w)
{
	return 2 * w->past < w->through;
}

bool
mpr_copy_way_next(const struct mpr_copy_way *w)
{
	return w->goes_past != w->tries;
}

/* The latest of several. A thread may have lost its CPU in the middle of one. */
static void
average(uint64_t *cost, uint64_t latest)
{
	if (!*cost)
		*cost = latest;
	if (latest > 2 * *cost)
		latest = 2 * *cost;
	*cost = (3 * *cost + latest + 3) / 4;
}

static void
rest(struct mpr_copy_way *w, unsigned n)
{
	w->tries = false;
	w->rest = w->left = n;
}

void
mpr_copy_way_learn(struct mpr_copy_way *w, size_t len, int64_t ns)
{
	uint64_t *mine = w->goes_past ? &w->past : &w->through;
	uint64_t *other = w->goes_past ? &w->through : &w->past;
	uint64_t latest = (uint64_t)ns * UNIT / len + 1;
	bool ended = false; /* by one copy, which may have lost its CPU */

	if (!w->rest)
		rest(w, REST_MIN);
	average(w->tries ? other : mine, latest);
	if (w->tries && w->left > 1 && latest > HOPELESS * *mine) {
		w->left = 1;
		ended = true;
	}
	w->left--;
	if (w->tries && w->left)
		return;
	if (*other && is_past_better(w) != w->goes_past) {
		w->goes_past = !w->goes_past;
		rest(w, REST_MIN);
	} else if (w->tries) {
		/* What is past the caches costs the same next time. */
		rest(w, (w->goes_past || ended) && w->rest < REST_MAX ?
				2 * w->rest : REST_MAX);
	} else if (!w->left) {
		w->tries = true;
		w->left = TRIAL;
		*other = 0;
	}
}

void
mpr_message_copy(struct mpr_copy_way *w, void *to, const void *from, size_t len)
{
	int64_t began;

	if (len < MPR_COPY_PAST_MIN) {
		mpr_copy_long(to, from, len);
		return;
	}
	began = mproc_now();
	if (mpr_copy_way_next(w))
		mpr_copy_past(to, from, len);
	else
		mpr_copy_long(to, from, len);
	mpr_copy_way_learn(w, len, mproc_now() - began);
}
