/* SPDX-License-Identifier: MIT */
/*
 * The two ends of a run: who produces messages and who consumes them, and what
 * they write on a board that who watches reads.
 *
 * Producers write every byte of a message, consumers check every byte, and each
 * adds up a hash of what it took. Nobody is told that it is over: whoever is left
 * is killed, so that no peer has to have a way to say so.
 *
 * The ends may be of another program, which has mapped the board: its layout is
 * what ends.py reads, too.
 */
#ifndef BENCH_ENDS_H
#define BENCH_ENDS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "transport.h"

#define ENDS_MOST 256  /* producers or consumers at most */
#define ENDS_LOOK 500000 /* ns between two looks at what others do */
#define ENDS_WARM 100  /* trips that do not count */

enum placement {
	TWO_CPUS, /* producers on one, consumers on the other */
	ONE_CPU,
	UNPINNED,
};

extern const char *const placement_names[];

enum flaw { NO_FLAW, SEND_FAILED, RECV_FAILED, WRONG_LENGTH, WRONG_BYTES,
	    DISORDER };

/* What one end writes. The others only read it. */
struct share {
	alignas(128) _Atomic uint64_t done; /* messages sent, taken or answered */
	_Atomic uint64_t sum;		    /* of what was taken: ends_mix() */
	_Atomic int64_t first;		    /* when the first was taken */
	_Atomic uint32_t ready;
	_Atomic uint32_t flaw;
	_Atomic uint32_t pid; /* a thread's id; 0: it has not begun */
};

struct board {
	alignas(128) _Atomic uint32_t go;
	uint32_t trips; /* round trips of one producer and one consumer; 0: a flow */
	uint32_t producers;
	uint32_t consumers;
	uint32_t placement;
	uint32_t spin; /* who waits asks again and again; of trips */
	uint64_t size; /* bytes of a message */
	uint64_t each; /* messages of a producer */
	struct share ends[2][ENDS_MOST];
	double ns[]; /* of each trip but the first ENDS_WARM */
};

/* An end, by the caller, who does not return. There are two channels for round
 * trips, else one. */
_Noreturn void ends_run(const struct transport *t, void *const channels[2],
			struct board *b, enum end end, unsigned index);

/* Writes a whole message, the @number-th of its producer, and checks one. */
void ends_fill(void *p, size_t size, unsigned producer, uint64_t number);
bool ends_check(const void *p, size_t size, unsigned *ret_producer,
		uint64_t *ret_number);

/* Sums of these are alike only if the messages are. */
uint64_t ends_mix(unsigned producer, uint64_t number);

/* How many CPUs there are for them. */
int ends_cpus(void);

int64_t ends_now(void);
void ends_nap(int64_t ns);

#endif
