/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "arena/participant.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/parker.h"
#include "os/stdio.h"
#include "os/task.h"
#include "process/self.h"

#define YIELDS 50

static char self_name[MPR_NAME_MAX] = "main";

const char *
mproc_self_name(void)
{
	return self_name;
}

/* Until the parent has what it needs to wait for us. If it dies instead, the
 * kernel tells us. */
static void
wait_for_order(struct mpr_record *record)
{
	uint32_t order = MPR_RECORD_WAIT, ticket;

	/* The parent needs a few microseconds; a sleep takes longer. */
	for (int i = 0; i < YIELDS; i++) {
		if (atomic_load(&record->order) != MPR_RECORD_WAIT)
			break;
		mpr_task_yield();
	}
	ticket = mpr_parker_ticket(&record->parker);
	if (atomic_compare_exchange_strong(&record->order, &order,
					   MPR_RECORD_ASLEEP))
		order = MPR_RECORD_ASLEEP;
	while (order == MPR_RECORD_ASLEEP) {
		mpr_parker_wait(&record->parker, ticket, MPR_NEVER);
		ticket = mpr_parker_ticket(&record->parker);
		order = atomic_load(&record->order);
	}
	if (order != MPR_RECORD_GO)
		mpr_child_exit(0);
}

noreturn void
mpr_self_run(mproc_entry *fn, void *arg, const char name[MPR_NAME_MAX],
	     struct mpr_record *record, const struct mpr_child_bond *bond)
{
	int code;

	mpr_child_follow(bond);
	mpr_stdio_forget();
	mpr_self_forget();
	wait_for_order(record);
	memcpy(self_name, name, sizeof(self_name));
	code = fn(arg) & 0xff;
	mpr_stdio_flush();
	mpr_self_leave();
	atomic_store(&record->ended, (uint32_t)code + 1);
	mpr_child_exit(code);
}
