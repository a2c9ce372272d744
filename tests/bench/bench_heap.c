/* SPDX-License-Identifier: MIT */
/*
 * The heap: mproc_alloc() and mproc_free() of 64 bytes, against malloc() of one
 * process, which shares nothing, and against Boost.Interprocess, a
 * managed_shared_memory that all processes use. Each block is freed at once, or is
 * the oldest of a thousand. Whoever frees one checks that it holds what was
 * written there, so a block that was handed out twice ends the run.
 *
 * Usage: bench_heap [rounds]
 */
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"
#include "heap_boost.h"

#define ROUNDS 7
#define PAIRS 400000 /* of all peers */
#define SIZE 64
#define KEPT 1000
#define PEERS_MAX 8

enum { OURS, BOOST, MALLOC, KINDS };

static const char *const names[KINDS] = {
	"mproc_alloc", "Boost.Interprocess", "malloc, not shared",
};

static struct shared {
	_Atomic unsigned ready;
	_Atomic unsigned go;
	_Atomic int64_t end;
} *shared;

static void *
get(int kind)
{
	void *p = kind == OURS	 ? mproc_alloc(SIZE) :
		  kind == MALLOC ? malloc(SIZE) :
				   bench_boost_alloc(SIZE);

	if (!p)
		bench_die("no memory");
	return p;
}

static void
give_back(int kind, uint64_t *p, uint64_t tag)
{
	if (p[0] != tag || p[SIZE / 8 - 1] != tag)
		bench_die("a block was somebody else's too");
	if (kind == OURS)
		mproc_free(p);
	else if (kind == MALLOC)
		free(p);
	else
		bench_boost_free(p);
}

static void
work(int kind, uint64_t who, unsigned n, unsigned kept)
{
	uint64_t *p[KEPT] = { 0 }, tag[KEPT] = { 0 };

	for (unsigned i = 0; i < n; i++) {
		unsigned at = i % kept;

		if (p[at])
			give_back(kind, p[at], tag[at]);
		p[at] = get(kind);
		tag[at] = who << 32 | i;
		p[at][0] = p[at][SIZE / 8 - 1] = tag[at];
	}
	for (unsigned at = 0; at < kept; at++)
		if (p[at])
			give_back(kind, p[at], tag[at]);
}

static void
be_a_peer(int kind, uint64_t who, unsigned n, unsigned kept)
{
	shared->ready++;
	while (!shared->go)
		sched_yield();
	work(kind, who, n, kept);
	shared->end = mproc_now();
	_exit(0);
}

static double
round_of(int kind, unsigned peers, unsigned kept)
{
	unsigned n = PAIRS / peers;
	pid_t pids[PEERS_MAX];
	int64_t began;
	int status;

	shared->ready = shared->go = 0;
	for (unsigned i = 0; i < peers; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			bench_die("fork");
		if (pids[i] == 0)
			be_a_peer(kind, i + 1, n, kept);
	}
	while (shared->ready < peers)
		sched_yield();
	began = mproc_now();
	shared->go = 1;
	for (unsigned i = 0; i < peers; i++)
		if (waitpid(pids[i], &status, 0) < 0 || status)
			bench_die("a peer failed");
	return (double)(shared->end - began) / (double)(n * peers);
}

static uint64_t
blocks(void)
{
	struct mproc_arena_stat stat;

	if (mproc_arena_stat(NULL, &stat) < 0)
		bench_die(mproc_error_detail());
	return stat.blocks;
}

static void
compare(unsigned peers, unsigned kept, bool have_boost, int rounds)
{
	double **ns = bench_columns(KINDS, rounds);
	uint64_t before = blocks();

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			if (k != BOOST || have_boost)
				ns[k][i] = round_of(k, peers, kept);
	if (blocks() != before)
		bench_die("blocks are left");
	bench_table("ns for a pair", "heap: alloc and free %d bytes, %u kept",
		    SIZE, kept);
	bench_table_at(peers, "processes");
	printf("alloc and free %d bytes, %u process%s, %u kept, %d rounds in "
	       "turn\n", SIZE, peers, peers == 1 ? "" : "es", kept, rounds);
	printf("%-20s %10s %10s %10s %9s %9s\n", "", "median ns", "least", "most",
	       "x malloc", "x Boost");
	for (int k = 0; k < KINDS; k++) {
		if (k == BOOST && !have_boost) {
			bench_left_out(names[k], "not installed: libboost-dev");
			continue;
		}
		bench_row(names[k], ns[k], rounds, 1);
		printf(" %9.2f", bench_median_ratio(ns[k], ns[MALLOC], rounds));
		if (have_boost)
			printf(" %9.3f", bench_median_ratio(ns[k], ns[BOOST],
							    rounds));
		printf("\n");
	}
	bench_free_columns(ns, KINDS);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	bool have_boost = bench_boost_begin((size_t)64 << 20);

	shared = bench_shared(sizeof(*shared));
	mproc_free(mproc_alloc(SIZE));
	for (unsigned kept = 1; kept <= KEPT; kept *= KEPT)
		for (unsigned peers = 1; peers <= PEERS_MAX;
		     peers = peers == 1 ? 2 : peers * 4)
			compare(peers, kept, have_boost, rounds);
	bench_boost_end();
	return 0;
}
