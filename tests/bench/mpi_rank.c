/* SPDX-License-Identifier: MIT */
/*
 * A rank that is an end of bench_messages: producers come first. Each producer sends
 * to the consumers in turn, each consumer receives from anybody.
 *
 * Usage: bench_mpi_rank PRODUCERS BOARD, by mpirun
 */
#include <fcntl.h>
#include <mpi.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ends.h"

struct channel {
	int first; /* rank of those who receive */
	int n;
	int next; /* one, of this sender */
	int tag;
};

static bool
rank_send(void *channel, const void *p, size_t len)
{
	struct channel *c = channel;
	int to = c->first + c->next;

	c->next = (c->next + 1) % c->n;
	return MPI_Send(p, (int)len, MPI_BYTE, to, c->tag, MPI_COMM_WORLD) ==
	       MPI_SUCCESS;
}

static size_t
rank_recv(void *channel, void *p, size_t size, bool wait)
{
	struct channel *c = channel;
	MPI_Status status;
	int len, there;

	if (!wait && (MPI_Iprobe(MPI_ANY_SOURCE, c->tag, MPI_COMM_WORLD, &there,
				 &status) != MPI_SUCCESS || !there))
		return 0;
	if (MPI_Recv(p, (int)size, MPI_BYTE, MPI_ANY_SOURCE, c->tag,
		     MPI_COMM_WORLD, &status) != MPI_SUCCESS ||
	    MPI_Get_count(&status, MPI_BYTE, &len) != MPI_SUCCESS)
		return 0;
	return (size_t)len;
}

static const struct transport transport = {
	.send = rank_send,
	.recv = rank_recv,
};

static struct board *
map_board(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		exit(1);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		 fd, 0);
	if (p == MAP_FAILED)
		exit(1);
	return p;
}

int
main(int argc, char **argv)
{
	struct channel there = { 0 }, back = { .n = 1, .tag = 1 };
	void *const channels[2] = { &there, &back };
	int rank, producers;
	struct board *b;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc != 3)
		return 2;
	b = map_board(argv[2]);
	MPI_Init(&argc, &argv);
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	producers = (int)b->producers;
	there.first = producers;
	there.n = (int)b->consumers;
	ends_run(&transport, channels, b,
		 rank < producers ? PRODUCER : CONSUMER,
		 (unsigned)(rank < producers ? rank : rank - producers));
}
