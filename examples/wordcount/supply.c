/* SPDX-License-Identifier: MIT */
/*
 * supply.c - tasks on their way to the workers.
 */
#include "supply.h"

#include <errno.h>

/* The walk is at most this many tasks ahead of the workers. */
enum {
	OUTBOX_MOST = 4096
};

void
supply_start(struct supply *s, struct ledger *ledger, const struct options *o)
{
	s->queue = NULL;
	s->ledger = ledger;
	feed_start(&s->feed, o->paths, o->n_paths, o->workers, o->batch);
	s->ended = false;
	s->outbox = (struct outbox){ 0 };
	s->credits = 0;
}

bool
supply_make(struct supply *s)
{
	const struct task *task;
	enum feed_step step;

	if (s->ended || outbox_len(&s->outbox) >= OUTBOX_MOST)
		return false;
	step = feed_next(&s->feed);
	if (step == FEED_TASK) {
		task = ledger_add(s->ledger, &s->feed.task, s->feed.task_bytes,
				  s->feed.task_files);
		outbox_add(&s->outbox, task->id);
	}
	s->ended = step == FEED_END;
	return !s->ended;
}

int
supply_send(struct supply *s, size_t held_back)
{
	const struct ledger_entry *e;
	int r;

	while (outbox_len(&s->outbox) > held_back) {
		e = ledger_undone(s->ledger, outbox_first(&s->outbox));
		if (e) {
			r = mproc_queue_put(s->queue, e->task, e->task->size,
					    MPROC_NOWAIT);
			if (r < 0)
				return r == -EAGAIN ? 0 : r;
		}
		outbox_drop_first(&s->outbox);
	}
	return 0;
}

void
supply_lost(struct supply *s, uint64_t task)
{
	s->credits++;
	if (ledger_undone(s->ledger, task))
		outbox_add(&s->outbox, task);
}

void
supply_recover(struct supply *s, const struct crew *crew)
{
	size_t i;

	if (!s->credits || outbox_len(&s->outbox) || mproc_queue_len(s->queue))
		return;
	s->credits = 0;
	for (i = s->ledger->first; i < s->ledger->n_entries; i++) {
		if (s->ledger->entries[i].task && !crew_has(crew, i + 1))
			outbox_add(&s->outbox, i + 1);
	}
}

void
supply_end(struct supply *s)
{
	outbox_free(&s->outbox);
	feed_end(&s->feed);
}
