/* SPDX-License-Identifier: MIT */
#include "os/clock.h"
#include "os/cpu.h"
#include "os/task.h"
#include "sync/linger.h"

/* All others on this CPU have had it after one yield; those on other CPUs take a
 * little longer. */
#define YIELDS 4

#define LOOKS 100

#define TURN 5000 /* ns, for one who does little and waits again */
#define TURNS_MAX 1000000 /* ns: less than the slice of one who computes */

static void
look(struct mpr_linger *l)
{
	l->yields_left = 0;
	l->looks_left = LOOKS;
}

void
mpr_linger_begin(struct mpr_linger *l, struct mpr_yields *yields, unsigned others,
		 int64_t deadline)
{
	enum mpr_yields_first first = mpr_yields_first(yields);

	*l = (struct mpr_linger){
		.yields = yields,
		.turns = others < TURNS_MAX / TURN ? (int64_t)others * TURN :
						     TURNS_MAX,
		.deadline = deadline,
	};
	if (first == MPR_FIRST_YIELD)
		l->yields_left = YIELDS;
	else if (first == MPR_FIRST_LOOK)
		look(l);
}

static void
yield(struct mpr_linger *l)
{
	int64_t began = mproc_now(), now, took;
	bool is_theirs;

	l->yields_left--;
	mpr_task_yield();
	now = mproc_now();
	took = now - began;
	is_theirs = took < MPR_YIELD_LONG + l->turns;
	if (mpr_yields_judge(l->yields, took, is_theirs))
		look(l);
	else if (!is_theirs)
		l->yields_left = 0;
	if (now >= l->deadline)
		l->yields_left = l->looks_left = 0;
}

bool
mpr_linger_on(struct mpr_linger *l)
{
	if (l->yields_left) {
		yield(l);
		return true;
	}
	if (l->looks_left) {
		l->looks_left--;
		mpr_cpu_pause();
		return true;
	}
	mpr_yields_in_vain(l->yields);
	return false;
}
