/* SPDX-License-Identifier: MIT */
/*
 * chaos.h - when to kill a worker.
 *
 * Between two kills lie 50 to 200 ms. The first few follow each other faster,
 * and the last task is held back until they have happened, because a small
 * count would otherwise be over before any worker was killed. After them at
 * least one task is done between two kills: however slow the machine is, the
 * count comes to its end.
 */
#ifndef WORDCOUNT_CHAOS_H
#define WORDCOUNT_CHAOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct chaos - when to kill a worker
 * @wanted:   is there to be any?
 * @next:     when the next kill is due, by mproc_now()
 * @attempts: how many kills have been tried
 * @n_done:   how many tasks were done at the last one
 * @random:   state of the generator
 */
struct chaos {
	bool wanted;
	int64_t next;
	unsigned attempts;
	size_t n_done;
	uint64_t random;
};

void chaos_start(struct chaos *c, bool wanted);

/* Must the last task, and the end, wait? */
bool chaos_holds_back(const struct chaos *c);

/* Is it time to kill a worker, now that n_done tasks are done? If so ret_random
 * says which one, and the time of the next kill is chosen. */
bool chaos_strikes(struct chaos *c, size_t n_done, uint64_t *ret_random);

#endif
