/* SPDX-License-Identifier: MIT */
/*
 * Small pseudo-random numbers for tests (splitmix64): the same seed gives the
 * same numbers on every machine. Each role derives its own sequence from the
 * seed of the run and its number: mpt_rand_init(&r, mpt_seed() + id).
 */
#ifndef MPT_RAND_H
#define MPT_RAND_H

#include <stdint.h>

struct mpt_rand {
	uint64_t state;
};

/** mpt_rand_init() - start a sequence */
static inline void mpt_rand_init(struct mpt_rand *r, uint64_t seed)
{
	r->state = seed;
}

/** mpt_rand_next() - 64 random bits */
static inline uint64_t mpt_rand_next(struct mpt_rand *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/**
 * mpt_rand_below() - a number from 0 to @n - 1; 0 if @n is 0
 *
 * The remainder favours small numbers by less than @n / 2^64, which no test
 * can notice.
 */
static inline uint64_t mpt_rand_below(struct mpt_rand *r, uint64_t n)
{
	return n == 0 ? 0 : mpt_rand_next(r) % n;
}

#endif
