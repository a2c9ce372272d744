/* SPDX-License-Identifier: MIT */
#include "manager/patience.h"
#include "os/cpu.h"
#include "os/task.h"

#define LOOKS 100 /* each of which is a call of the kernel: some 20 us in all */

/* After a wait in which it was looked for in vain one is without a look, after another one
 * three, and so on, up to so many. */
#define SKIP 255

/* How often others have taken the CPU is asked for after so many waits; if it was more
 * than so often, there are too many of them. */
#define ROUND 256
#define CROWD 8

bool
mpr_patience_begin(struct mpr_patience *p)
{
	uint64_t before = p->preempted;

	if (++p->n % ROUND == 0) {
		p->preempted = mpr_task_preempted();
		p->crowded = p->preempted - before > CROWD;
	}
	p->left = p->skip || p->crowded ? 0 : LOOKS;
	if (p->skip)
		p->skip--;
	return p->left;
}

bool
mpr_patience_looks(struct mpr_patience *p)
{
	if (!p->left)
		return false;
	if (--p->left) {
		mpr_cpu_pause();
		return true;
	}
	p->after = p->after < SKIP ? 2 * p->after + 1 : SKIP;
	p->skip = p->after;
	return false;
}

void
mpr_patience_met(struct mpr_patience *p)
{
	if (p->left)
		p->after = 0;
	p->left = 0;
}
