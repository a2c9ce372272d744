/* SPDX-License-Identifier: MIT */
/*
 * Open MPI through shared memory, between ranks that mpirun starts: mpi_rank.c.
 * Its files lie in a directory of each run's own.
 */
#include "transport_peers.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct channel {
	char directory[64];
};

static bool
is_found(void)
{
	return system("mpirun --version >/dev/null 2>&1") == 0;
}

static void *
mpi_open(const struct job *job)
{
	struct channel *c = malloc(sizeof(*c));

	(void)job;
	if (!c)
		return NULL;
	strcpy(c->directory, "/dev/shm/mproc-bench-XXXXXX");
	if (mkdtemp(c->directory))
		return c;
	free(c);
	return NULL;
}

/* mpirun closes what is open: the ranks open the board by its path. */
static void
mpi_host(void *const channels[2], const struct job *job, const char *path)
{
	const struct channel *c = channels[0];
	char n[16], producers[16], host[32], program[4096];
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 16);

	if (len <= 0)
		return;
	program[len] = '\0';
	strcpy(strrchr(program, '/'), "/bench_mpi_rank");
	snprintf(n, sizeof(n), "%u", job->producers + job->consumers);
	snprintf(producers, sizeof(producers), "%u", job->producers);
	/* More ranks than these do not spin without yielding. */
	snprintf(host, sizeof(host), "localhost:%ld",
		 sysconf(_SC_NPROCESSORS_ONLN));
	setenv("TMPDIR", c->directory, 1);
	if (!freopen("/dev/null", "r", stdin) ||
	    !freopen("/dev/null", "w", stdout) ||
	    !freopen("/dev/null", "w", stderr))
		return;
	execlp("mpirun", "mpirun", "--allow-run-as-root", "--oversubscribe",
	       "--bind-to", "none", "--host", host, "-n", n,
	       "--mca", "plm", "isolated", "--mca", "pml", "ob1", "--mca", "btl",
	       "self,vader", "--mca", "btl_vader_backing_directory",
	       c->directory, "--mca", "orte_tmpdir_base", c->directory, program,
	       producers, path, (char *)NULL);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void
mpi_close(void *channel)
{
	struct channel *c = channel;

	nftw(c->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(c);
}

const struct transport transport_mpi = {
	.name = "Open MPI (never sleeps)",
	.missing = "openmpi-bin",
	.found = is_found,
	.kind = HOSTED,
	.opens_late = true,
	.open = mpi_open,
	.host = mpi_host,
	.close = mpi_close,
};
