/* SPDX-License-Identifier: MIT */
/*
 * Messages that are kept until they are done: what fibers do with them, and the
 * checks. What is noted here is private to no fiber, and is changed between two
 * of their accesses.
 *
 * A message is certainly not done from the return of its put, or of the get
 * that gave it to somebody, until its holder calls mproc_queue_task_done().
 */
#include <errno.h>
#include <string.h>

#include "queue_priv.h"

static mproc_queue *const q = &queue_memory.q;

/* Blocks. */

static bool
is_in_state(unsigned block, unsigned state)
{
	return mpr_owner_state(explore_newest(&queue_block(block)->state)) ==
	       state;
}

static bool
is_at(unsigned block, enum mpr_message_place place)
{
	uint64_t word = explore_newest(&queue_block(block)->state);

	return mpr_owner_state(word) == MPR_MESSAGE_QUEUED &&
	       mpr_owner_slot(word) == (unsigned)place;
}

static bool
any_is_at(enum mpr_message_place place)
{
	for (unsigned i = 0; i < world.now->blocks; i++)
		if (is_at(i, place))
			return true;
	return false;
}

static bool
is_dead_letter(unsigned id)
{
	for (unsigned i = 0; i < world.now->blocks; i++)
		if (is_at(i, MPR_MESSAGE_DEAD) && queue_message_in(i) == id)
			return true;
	return world.kept[id].read;
}

static unsigned
deaths_in(unsigned block)
{
	return mpr_owner_slot(explore_newest(&queue_block(block)->deaths));
}

/* Moments. */

/* Whether no message is known to be unfinished, dead letters aside or not. */
static bool
is_clear(bool dead_are_done)
{
	for (unsigned id = 0; id < QUEUE_IDS; id++)
		if (world.committed[id] && !world.kept[id].finishing &&
		    !(dead_are_done && is_dead_letter(id)))
			return false;
	return true;
}

void
queue_kept_note(void)
{
	if (!world.now->keeps)
		return;
	world.clears += is_clear(true);
	world.cleans += is_clear(false);
}

/* The fibers. */

/* Its last holder is dead, or is about to give it back. */
static void
check_let_go(const struct queue_kept *k)
{
	explore_check(!k->holder || explore_killed(k->holder - 1) ||
		      k->returning);
}

/* If its last holder certainly held it when it died. */
static bool
died_holding(const struct queue_kept *k)
{
	return k->holder && explore_killed(k->holder - 1) && !k->returning &&
	       !k->finishing;
}

void
queue_kept_got(unsigned fiber, unsigned id)
{
	struct queue_kept *k = &world.kept[id];

	explore_check(!k->done && !k->read);
	check_let_go(k);
	k->deaths += died_holding(k);
	queue_kept_note();
	k->holder = fiber + 1;
	k->returning = k->finishing = false;
	world.committed[id] = true;
	explore_point();
}

void
queue_kept_end(unsigned fiber, unsigned id, bool requeues)
{
	struct queue_kept *k = &world.kept[id];

	if (requeues) {
		k->returning = true;
		explore_check(mproc_queue_requeue(q) == 0);
		if (k->holder == fiber + 1)
			k->holder = 0;
	} else {
		k->finishing = true;
		queue_kept_note();
		explore_check(mproc_queue_task_done(q) == 0);
		k->done = true;
	}
	explore_point();
}

void
queue_kept_join(const struct queue_role *role)
{
	unsigned clears = world.clears, cleans = world.cleans;
	int r;

	queue_kept_note();
	r = mproc_queue_join(q, role->timed ? mproc_ms(1) : MPROC_FOREVER);
	queue_kept_note();
	explore_check(r == 0 || r == -EOWNERDEAD);
	explore_check(world.clears != clears);
	if (r == 0)
		explore_check(world.cleans != cleans);
	else
		explore_check(any_is_at(MPR_MESSAGE_DEAD));
}

/* So many fibers that take messages are dead. */
static unsigned
killed_takers(void)
{
	unsigned n = 0;

	for (unsigned f = 0; f < world.fibers; f++)
		n += explore_killed(f) &&
		     (is_consumer(f) ||
		      world.now->roles[f].part == QUEUE_READS_LETTERS);
	return n;
}

/* Of a message that nobody holds. */
static void
check_deaths(unsigned id, unsigned deaths)
{
	const struct queue_kept *k = &world.kept[id];

	explore_check(deaths >= k->deaths + died_holding(k));
	explore_check(deaths <= killed_takers());
}

static void
check_killers(const struct mproc_dead_letter *letter)
{
	explore_check(letter->n_killers <= letter->deaths);
	for (unsigned i = 0; i < letter->n_killers; i++)
		/* begin_participant() in queue_begin.c */
		explore_check(explore_killed((unsigned)letter->killer[i].pid -
					     1));
}

void
queue_kept_read(const struct queue_role *role)
{
	unsigned char bytes[sizeof(struct mproc_dead_letter) +
			    QUEUE_CAPACITY_MAX];
	struct mproc_dead_letter letter;
	size_t len;
	unsigned id;

	explore_check(mproc_queue_get(&queue_memory.letters, bytes,
				      sizeof(bytes), &len,
				      role->timed ? mproc_ms(1) :
						    MPROC_FOREVER) == 0);
	explore_check(len == sizeof(letter) + 8);
	memcpy(&letter, bytes, sizeof(letter));
	id = bytes[sizeof(letter)];
	explore_check(id < QUEUE_IDS && world.known[id]);
	explore_check(!world.kept[id].read && !world.kept[id].done);
	explore_check(letter.deaths > world.now->redeliveries);
	check_deaths(id, letter.deaths);
	check_killers(&letter);
	world.kept[id].read = true;
	explore_point();
}

/* The end. */

void
queue_kept_check_final(void)
{
	if (world.now->keeps)
		explore_check(is_clear(true));
}

/* Whether some message is not done, or is about to be put. */
static bool
is_any_unfinished(void)
{
	for (unsigned i = 0; i < world.now->blocks; i++)
		if (!is_in_state(i, MPR_MESSAGE_FREE) &&
		    !is_at(i, MPR_MESSAGE_DEAD))
			return true;
	return false;
}

static bool
is_any_block_free(void)
{
	for (unsigned i = 0; i < world.now->blocks; i++)
		if (is_in_state(i, MPR_MESSAGE_FREE))
			return true;
	return false;
}

void
queue_kept_check_sleeper(unsigned fiber)
{
	switch (world.now->roles[fiber].part) {
	case QUEUE_PUTS:
		explore_check(!is_any_block_free());
		break;
	case QUEUE_JOINS:
		explore_check(is_any_unfinished());
		break;
	case QUEUE_READS_LETTERS:
		explore_check(!any_is_at(MPR_MESSAGE_DEAD));
		break;
	default:
		explore_check(queue_lanes_are_empty());
		explore_check(!any_is_at(MPR_MESSAGE_RETURNED));
	}
}

/* What is there besides what lanes refer to. */
static void
look_into_blocks(void)
{
	for (unsigned i = 0; i < world.now->blocks; i++) {
		if (is_at(i, MPR_MESSAGE_RETURNED))
			explore_check(deaths_in(i) <= world.now->redeliveries);
		else if (is_at(i, MPR_MESSAGE_DEAD))
			explore_check(deaths_in(i) > world.now->redeliveries);
		else if (!is_in_state(i, MPR_MESSAGE_TAKEN))
			continue;
		world.kept[queue_message_in(i)].there++;
		if (!is_in_state(i, MPR_MESSAGE_TAKEN))
			check_deaths(queue_message_in(i), deaths_in(i));
	}
}

/* How many letters were taken by who did not live to tell. */
static unsigned
letters_lost(void)
{
	unsigned n = 0;

	for (unsigned f = 0; f < world.fibers; f++)
		n += explore_killed(f) &&
		     world.now->roles[f].part == QUEUE_READS_LETTERS;
	return n;
}

void
queue_kept_check(void)
{
	unsigned lost = 0;

	look_into_blocks();
	for (unsigned id = 0; id < QUEUE_IDS; id++) {
		const struct queue_kept *k = &world.kept[id];

		explore_check(k->there + k->done + k->read <= 1);
		if (world.committed[id] && !k->there && !k->read)
			/* Or its holder died in the middle of saying so. */
			lost += !k->finishing;
		explore_check(!k->holder || k->finishing ||
			      explore_killed(k->holder - 1));
	}
	explore_check(lost <= letters_lost());
}
