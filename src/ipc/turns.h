/* SPDX-License-Identifier: MIT */
/*
 * Whose turn it is: in which order a consumer goes around the lanes.
 *
 * A lane that has something keeps its turn for MPR_QUANTUM messages, or for one
 * batch if that is more. Then the consumer looks at the next few lanes, in the
 * order of the list and on from where it looked last. The first one that has
 * something has the turn; if none has, the old one goes on. An attempt that
 * finds nothing in the lane whose turn it is looks on in the same way. A get that may
 * wait, and has taken all that it knows of in a lane, goes on in others before it looks
 * there again, until it was at all of them: that is a round, after which it may pause
 * (ipc/poll.h). So:
 *
 *   T1  No lane starves. No turn begins without a look at one other lane at
 *       least, and none is looked at again before all the others. So with n
 *       lanes a consumer has n turns at most before it looks at any one of
 *       them, about as where all are busy. If only one is busy, it has about
 *       n / MPR_LOOKS. New lanes are looked for when a look has found nothing, when a
 *       lane has had all of its turn, and when turns have gone around.
 *   T2  Lanes that have nothing cost MPR_LOOKS looks for each turn, as many when
 *       all that is known in the lane was taken, and as many
 *       for each attempt without a pause before it, however many lanes there
 *       are. A look is one load, of a word that nobody writes in such a lane.
 *   T3  Only a look at all lanes says that there is nothing. It comes before
 *       each sleep, and in a call that does not wait. It also comes after each
 *       pause of a wait, so that a message in another lane than the last one is
 *       found as soon as that. In the pause after a round there is time to look on,
 *       at a few more again and again.
 */
#ifndef MPR_IPC_TURNS_H
#define MPR_IPC_TURNS_H

#include <stdbool.h>

#include "ipc/attachment.h"

/* So many messages from one lane before the next one has its turn. */
#define MPR_QUANTUM 64

/* So many lanes are a few. */
#define MPR_LOOKS 8

/* The lane at cursor has had its turn. */
void mpr_turn_end(struct mpr_attachment *at);

/*
 * The lane at cursor has nothing: gives the turn to the next one that has.
 * *@looked counts the looks of one attempt, from 0: as many as there are lanes
 * if it is to be at @all, otherwise MPR_LOOKS at most. Returns false if all of
 * these have nothing; then cursor is where it was.
 */
bool mpr_turn_pass(struct mpr_attachment *at, bool all, unsigned *looked);

/*
 * All that is known in the lane at cursor has been taken: gives the turn to the next one
 * of a few that has something, unless as many have had it in this round as there are
 * lanes. Returns false if the round is over. *@ret_looked: of how many lanes is known
 * now that they have nothing; of all, if they have had their turns.
 */
bool mpr_turn_go_on(struct mpr_attachment *at, unsigned *ret_looked);

/* The round is over and there is time: looks at a few more, up to all in *@looked. If
 * one has something it has the turn. */
bool mpr_turn_look_on(struct mpr_attachment *at, unsigned *looked);

#endif
