/* SPDX-License-Identifier: MIT */
/*
 * supply.h - tasks on their way to the workers.
 *
 * How the answer stays exact while workers are killed:
 *
 * Nothing is counted twice. A task is done when the first complete result for
 * it arrives, and every other one is dropped (ledger.h). So a task may be given
 * out again whenever there is the least doubt.
 *
 * Nothing is left out. A task that is not done is in one of these places:
 *   1. in the outbox or in the queue: somebody will take it;
 *   2. in the hand of a worker that is alive, and in the word beside it: it
 *      will be done, or the worker will die;
 *   3. in the word beside a dead worker: it is given out again as soon as the
 *      death is noticed;
 *   4. complete among the results: it is done when the parent comes to it;
 *   5. nowhere: a worker was killed inside get, which takes the message with
 *      it, or between get and writing the word.
 * Only the fifth needs a rule. Such a loss is always followed by a death that
 * the parent notices, and each of these gives a credit. When outbox and queue
 * are empty and there is a credit, all tasks that are not done and not in the
 * hand of a living worker are given out again, and the credits are used up. A
 * task lost before that moment is among them, and one lost after it comes with
 * a credit of its own. No clock decides anything.
 */
#ifndef WORDCOUNT_SUPPLY_H
#define WORDCOUNT_SUPPLY_H

#include <mproc/mproc.h>
#include <stdbool.h>

#include "crew.h"
#include "feed.h"
#include "ledger.h"
#include "options.h"
#include "outbox.h"

/**
 * struct supply - tasks on their way to the workers
 * @queue:   where they go
 * @ledger:  where they are entered
 * @feed:    where they come from
 * @ended:   there are no more
 * @outbox:  those that wait for room in the queue
 * @credits: deaths since all that may be lost was given out again
 */
struct supply {
	mproc_queue *queue;
	struct ledger *ledger;
	struct feed feed;
	bool ended;
	struct outbox outbox;
	unsigned credits;
};

void supply_start(struct supply *s, struct ledger *ledger,
		  const struct options *o);

/* Makes one more task, unless there are enough or no more. Returns true if it
 * would be good to be called again soon. */
bool supply_make(struct supply *s);

/* Puts tasks into the queue as long as there is room, but holds back the last
 * few. Returns 0 or a negative error. */
int supply_send(struct supply *s, size_t held_back);

/* A worker died with a task in its hand, or 0. */
void supply_lost(struct supply *s, uint64_t task);

/* Gives out again what was lost in the fifth way. */
void supply_recover(struct supply *s, const struct crew *crew);

void supply_end(struct supply *s);

#endif
