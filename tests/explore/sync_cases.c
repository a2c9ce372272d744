/* SPDX-License-Identifier: MIT */
#include "sync_world.h"

#define LOCKS(times) { .part = SYNC_LOCKS, .n = times, .mortal = true }
#define LOCKS_TIMED(times) \
	{ .part = SYNC_LOCKS, .n = times, .timed = true, .mortal = true }

const struct sync_case sync_cases[SYNC_CASES] = {
	[SYNC_TWO] = {
		.name = "two take a lock, twice",
		.roles = { LOCKS(2), LOCKS(2) },
	},
	[SYNC_THREE] = {
		.name = "three take a lock",
		.roles = { LOCKS(1), LOCKS(1), LOCKS(1) },
	},
	[SYNC_THREE_HASTY] = {
		.name = "three take a lock, who waits is starved",
		.roles = { LOCKS(1), LOCKS(1), LOCKS(1) },
		.hasty = true,
	},
	[SYNC_TIMED] = {
		.name = "one of three may give up",
		.roles = { LOCKS(2), LOCKS_TIMED(1), LOCKS(1) },
	},
	[SYNC_TIMED_HASTY] = {
		.name = "one of three may give up, who waits is starved",
		.roles = { LOCKS(1), LOCKS_TIMED(1), LOCKS(1) },
		.hasty = true,
	},
	[SYNC_INTERRUPTED] = {
		.name = "one of three is interrupted",
		.roles = { LOCKS(1), LOCKS(1), LOCKS(1),
			   { .part = SYNC_INTERRUPTS, .victim = 1 } },
		.is_large = true,
	},
	[SYNC_DESTROYED] = {
		.name = "a lock is destroyed and made again",
		.roles = { LOCKS(1), LOCKS(1),
			   { .part = SYNC_DESTROYS }, LOCKS(1) },
		.is_large = true,
	},
	[SYNC_RECOVERED] = {
		.name = "another one recovers",
		.roles = { LOCKS(1), LOCKS(1), LOCKS(1),
			   { .part = SYNC_RECOVERS } },
		.patient = true,
		.is_large = true,
	},
	[SYNC_RECOVERED_HASTY] = {
		.name = "another one recovers, who waits is starved",
		.roles = { LOCKS(2), LOCKS(1), LOCKS(1),
			   { .part = SYNC_RECOVERS } },
		.patient = true,
		.hasty = true,
		.is_large = true,
	},
};
