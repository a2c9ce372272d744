/* SPDX-License-Identifier: MIT */
/*
 * A supervised server with workers that were forked before the first client came
 * and share a listening socket. Each echoes up to ten connections. One is killed
 * under load: only its own connections are lost, and another worker takes its
 * place.
 */
#include <arpa/inet.h>
#include <mproc/mproc.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 3
#define EACH 10 /* connections of a worker */
#define CLIENTS (WORKERS * EACH)

static int listener;

/* The worker. */

static int
take_connection(struct pollfd *fds, int n)
{
	pid_t me = getpid();
	int fd = accept(listener, NULL, NULL);

	/* Another worker may have been faster. */
	if (fd < 0)
		return n;
	if (send(fd, &me, sizeof(me), MSG_NOSIGNAL) != sizeof(me)) {
		close(fd);
		return n;
	}
	fds[n] = (struct pollfd){ .fd = fd, .events = POLLIN };
	return n + 1;
}

static int
echo(int fd)
{
	char buf[256];
	ssize_t n = read(fd, buf, sizeof(buf));

	return n > 0 && send(fd, buf, (size_t)n, MSG_NOSIGNAL) == n;
}

static int
work(void *arg)
{
	struct pollfd fds[EACH + 1];
	int n = 0;

	(void)arg;
	for (;;) {
		/* The socket is the last one, and left out when all are taken. */
		fds[n] = (struct pollfd){ .fd = n < EACH ? listener : -1,
					  .events = POLLIN };
		if (poll(fds, (nfds_t)n + 1, -1) < 0)
			return 1;
		if (fds[n].revents)
			n = take_connection(fds, n);
		for (int i = n - 1; i >= 0; i--) {
			if (!(fds[i].revents & (POLLIN | POLLHUP | POLLERR)) ||
			    echo(fds[i].fd))
				continue;
			close(fds[i].fd);
			fds[i] = fds[--n];
		}
	}
}

static int
serve(void *arg)
{
	mproc_supervisor *s;
	int r = mproc_supervisor_create(&s, NULL);

	for (int i = 0; i < WORKERS && r >= 0; i++)
		r = mproc_supervisor_add(s, work, arg, NULL);
	return r < 0 || mproc_supervisor_run(s, MPROC_FOREVER) != 0;
}

/* The clients. */

struct client {
	int fd;
	pid_t worker;
};

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static struct client
join(const struct sockaddr_in *address)
{
	struct client c = { .fd = socket(AF_INET, SOCK_STREAM, 0) };

	if (connect(c.fd, (const struct sockaddr *)address,
		    sizeof(*address)) < 0 ||
	    recv(c.fd, &c.worker, sizeof(c.worker), MSG_WAITALL) !=
		    sizeof(c.worker))
		fail("connect");
	return c;
}

/* Returns whether its worker still answers. */
static int
talk(const struct client *c, int number)
{
	int answer = -1;

	return send(c->fd, &number, sizeof(number), MSG_NOSIGNAL) ==
		       sizeof(number) &&
	       recv(c->fd, &answer, sizeof(answer), MSG_WAITALL) ==
		       sizeof(answer) &&
	       answer == number;
}

static int
count_answers(const struct client *clients, pid_t with, pid_t without)
{
	int n = 0;

	for (int i = 0; i < CLIENTS; i++)
		if ((!with || clients[i].worker == with) &&
		    clients[i].worker != without)
			n += talk(&clients[i], i);
	return n;
}

int
main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);
	struct client clients[CLIENTS];
	mproc_process *server;
	pid_t victim;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bind(listener, (struct sockaddr *)&address, len) < 0 ||
	    listen(listener, CLIENTS) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &len) < 0)
		fail("listen");
	if (mproc_process_start(&server, serve, NULL, NULL) < 0) {
		fprintf(stderr, "%s\n", mproc_error_detail());
		return 1;
	}
	close(listener);

	for (int i = 0; i < CLIENTS; i++)
		clients[i] = join(&address);
	printf("%d of %d connections are answered\n",
	       count_answers(clients, 0, 0), CLIENTS);

	victim = clients[0].worker;
	kill(victim, SIGKILL);
	printf("a worker is killed\n");
	printf("its own connections:    %2d are answered\n",
	       count_answers(clients, victim, 0));
	printf("those of other workers: %2d are answered\n",
	       count_answers(clients, 0, victim));

	for (int i = 0; i < CLIENTS; i++) {
		if (clients[i].worker != victim)
			continue;
		close(clients[i].fd);
		clients[i] = join(&address);
	}
	printf("its clients come again: %2d are answered\n",
	       count_answers(clients, 0, victim));

	mproc_process_stop(server, mproc_sec(1));
	mproc_process_close(server);
	return 0;
}
