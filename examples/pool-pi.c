/* SPDX-License-Identifier: MIT */
/*
 * Pi by throwing points at a square: a map over seeds, each of which says where its points
 * fall. So the answer is the same however many workers there are, and whatever becomes of
 * them: one is killed, and its seed is another one's.
 */
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define SEEDS 200
#define POINTS 20000 /* for each */

struct board {
	unsigned killed; /* shared */
};

/* splitmix64, by Sebastiano Vigna. */
static uint64_t
next_number(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* How many of the points are in the quarter of a circle. */
static int
throw_points(const void *in, void *out, void *ctx)
{
	struct board *board = ctx;
	uint64_t seed = *(const uint64_t *)in, state = seed;
	uint32_t *hits = out;

	if (seed == SEEDS / 2 && mproc_fetch_add(&board->killed, 1) == 0)
		raise(SIGKILL);
	*hits = 0;
	for (int i = 0; i < POINTS; i++) {
		uint64_t number = next_number(&state);
		uint64_t x = number >> 33, y = number & 0x7fffffff;

		*hits += x * x + y * y < UINT64_C(1) << 62;
	}
	return 0;
}

int
main(void)
{
	struct board *board = mproc_alloc(sizeof(*board));
	struct mproc_pool_stat stat = { .deaths = 0 };
	uint64_t seeds[SEEDS], sum = 0;
	uint32_t hits[SEEDS];
	mproc_pool *pool = NULL;
	int r;

	if (!board)
		return 1;
	board->killed = 0;
	for (unsigned i = 0; i < SEEDS; i++)
		seeds[i] = i;
	r = mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts, .retries = 1));
	if (r == 0)
		r = mproc_pool_map(pool, throw_points, board, seeds,
				   sizeof(seeds[0]), hits, sizeof(hits[0]), SEEDS,
				   NULL);
	if (r == 0)
		r = mproc_pool_stat(pool, &stat);
	if (r)
		fprintf(stderr, "%s\n", mproc_error_detail());
	for (int i = 0; i < SEEDS && r == 0; i++)
		sum += hits[i];
	if (r == 0)
		printf("%llu of %d points: pi is about %.2f\n%llu worker was "
		       "killed meanwhile\n", (unsigned long long)sum,
		       SEEDS * POINTS, 4.0 * (double)sum / (SEEDS * POINTS),
		       (unsigned long long)stat.deaths);
	mproc_pool_free(pool);
	mproc_free(board);
	return r != 0;
}
