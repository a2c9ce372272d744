/* SPDX-License-Identifier: MIT */
/*
 * Locks for readers and writers: libmproc's, and the C library's for several
 * processes, of which it has one that prefers readers and one that does not.
 *
 * Uncontended: one process takes and releases, for reading and for writing.
 * Contended: eight processes for half a second, all of them readers, then one of them
 * a writer. Who writes changes two words that only differ while it does so; who
 * reads compares them.
 *
 * Usage: bench_rwlock [rounds]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"

#define ROUNDS 7
#define ALONE 3000000
#define PEERS 8
#define TIME INT64_C(500000000) /* ns */

enum { OURS, READERS_FIRST, WRITERS_FIRST, KINDS };

static const char *const names[KINDS] = {
	"libmproc", "pthread", "pthread, writers 1st",
};

static struct shared {
	pthread_rwlock_t rwlock[KINDS];
	_Atomic unsigned ready;
	_Atomic unsigned go;
	_Atomic uint64_t reads;
	_Atomic uint64_t writes;
	uint64_t a;
	uint64_t b;
} *shared;

static mproc_rwlock *lock;

static void
must(int r)
{
	if (r)
		bench_die("a lock failed");
}

static void
read_once(int kind)
{
	must(kind == OURS ? mproc_rwlock_read(lock, MPROC_FOREVER) :
			    pthread_rwlock_rdlock(&shared->rwlock[kind]));
	if (shared->a != shared->b)
		bench_die("a reader has seen a writer");
	must(kind == OURS ? mproc_rwlock_release(lock) :
			    pthread_rwlock_unlock(&shared->rwlock[kind]));
}

static void
write_once(int kind)
{
	must(kind == OURS ? mproc_rwlock_write(lock, MPROC_FOREVER) :
			    pthread_rwlock_wrlock(&shared->rwlock[kind]));
	shared->a++;
	shared->b = shared->a;
	must(kind == OURS ? mproc_rwlock_release(lock) :
			    pthread_rwlock_unlock(&shared->rwlock[kind]));
}

static void
init_pthread(int kind)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (kind == WRITERS_FIRST)
		pthread_rwlockattr_setkind_np(
			&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	must(pthread_rwlock_init(&shared->rwlock[kind], &attr));
}

/* ns for a pair, without anybody else. */
static double
round_alone(int kind, bool writes)
{
	int64_t began = mproc_now();

	for (unsigned i = 0; i < ALONE; i++)
		if (writes)
			write_once(kind);
		else
			read_once(kind);
	return (double)(mproc_now() - began) / ALONE;
}

static void
be_a_peer(int kind, bool writes)
{
	uint64_t n = 0;

	shared->ready++;
	while (!shared->go)
		sched_yield();
	for (int64_t end = mproc_now() + TIME; mproc_now() < end; n += 10)
		for (int i = 0; i < 10; i++)
			if (writes)
				write_once(kind);
			else
				read_once(kind);
	if (writes)
		shared->writes += n;
	else
		shared->reads += n;
}

static void
run_peers(int kind, unsigned writers)
{
	pid_t pids[PEERS];
	int status;

	shared->ready = shared->go = 0;
	shared->reads = shared->writes = 0;
	shared->a = shared->b = 0;
	for (unsigned i = 0; i < PEERS; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			bench_die("fork");
		if (pids[i] == 0) {
			be_a_peer(kind, i < writers);
			_exit(0);
		}
	}
	while (shared->ready < PEERS)
		sched_yield();
	shared->go = 1;
	for (unsigned i = 0; i < PEERS; i++)
		if (waitpid(pids[i], &status, 0) < 0 || status)
			bench_die("a peer failed");
	if (shared->a != shared->writes)
		bench_die("a wrong count");
}

static void
compare_alone(bool writes, int rounds)
{
	double **ns = bench_columns(KINDS, rounds);

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			ns[k][i] = round_alone(k, writes);
	bench_table("ns for a pair", "rwlock: %s and release",
		    writes ? "write" : "read");
	bench_show(names, ns, KINDS, rounds, 1);
	bench_free_columns(ns, KINDS);
}

/* ns for each of @n in TIME; who was not let in has waited for all of it. */
static double
each(uint64_t n)
{
	return (double)TIME / (double)(n ? n : 1);
}

static void
compare_together(unsigned writers, int rounds)
{
	double **reads = bench_columns(KINDS, rounds);
	double **writes = bench_columns(KINDS, rounds);

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++) {
			run_peers(k, writers);
			reads[k][i] = each(shared->reads);
			writes[k][i] = each(shared->writes);
		}
	bench_table("ns for a read", "rwlock: %u readers, %u writers",
		    PEERS - writers, writers);
	bench_show(names, reads, KINDS, rounds, 1);
	if (writers) {
		bench_table("ns for a write", "rwlock: %u readers, %u writers, "
			    "the writers", PEERS - writers, writers);
		bench_show(names, writes, KINDS, rounds, 1);
	}
	bench_free_columns(reads, KINDS);
	bench_free_columns(writes, KINDS);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	shared = bench_shared(sizeof(*shared));
	init_pthread(READERS_FIRST);
	init_pthread(WRITERS_FIRST);
	if (mproc_rwlock_create(&lock) < 0)
		bench_die(mproc_error_detail());
	compare_alone(false, rounds);
	compare_alone(true, rounds);
	compare_together(0, rounds);
	compare_together(1, rounds);
	return 0;
}
