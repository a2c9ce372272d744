/* SPDX-License-Identifier: MIT */
/*
 * 64-byte messages from several processes to several: libmproc's queue, singly
 * and in batches, against Vyukov's bounded ring, the usual one where no process
 * ever dies: a shared tail that producers move, and cells with a turn of their
 * own.
 *
 * Each consumer checks each message and its producer's order; in the end all
 * must have been taken.
 *
 * Then eight processes against two, which put and take one message at a time:
 * the queue, and a pipe.
 *
 * Then 64 processes to one, and one to one, with room for ten messages in all, so
 * that nearly everybody waits: a queue with .max_items, and a POSIX message queue.
 *
 * Then the queue against itself: one producer to one consumer, and the same
 * with 1,023 others attached that have put one message each and put no more.
 *
 * Usage: bench_queue_many [rounds]
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"

#define ROUNDS 7
#define EACH 2000000
#define EACH_BY_PIPE 100000
#define EACH_OF_A_CROWD 1000
#define PEERS_MAX 64
#define ITEMS 10 /* the most that a POSIX message queue may have */
#define BATCH 16
#define STOP UINT64_MAX

/* The table of participants holds 1,024: the others are threads, the main one,
 * which made the queue, and the consumer. */
#define OTHERS 1023
#define OTHER PEERS_MAX /* producer in the messages of these */
#define TRIPS 200000

/* A message's number: the producer above, its own count below. */
#define NUMBER(producer, count) ((uint64_t)(producer) << 40 | (count))

static struct bench_message stop;

/* What the processes of a round share. */
struct round {
	_Atomic unsigned ready;
	_Atomic unsigned go;
	_Atomic uint64_t taken;
	_Atomic uint64_t sum;
	_Atomic int64_t end; /* when the last message was taken */
};

static struct round *shared;

/*
 * put puts messages from @first on and returns how many; get takes up to BATCH
 * and returns how many, or 0 when no more will come.
 */
struct rival {
	const char *name;
	uint64_t each; /* messages of each producer, a multiple of BATCH */
	void (*open)(void);
	unsigned (*put)(uint64_t first);
	unsigned (*get)(struct bench_message m[BATCH]);
	void (*finish)(unsigned consumers);
	void (*close)(void);
};

static mproc_queue *queue;

static void
queue_open(void)
{
	if (mproc_queue_create(&queue, NULL) < 0)
		bench_die(mproc_error_detail());
}

static unsigned
queue_put(uint64_t first)
{
	struct bench_message m;

	bench_fill(&m, first);
	if (mproc_queue_put(queue, &m, sizeof(m), MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
	return 1;
}

static unsigned
queue_put_batch(uint64_t first)
{
	struct bench_message m[BATCH];
	struct iovec msgs[BATCH];
	int r;

	for (int i = 0; i < BATCH; i++) {
		bench_fill(&m[i], first + (uint64_t)i);
		msgs[i] = (struct iovec){ &m[i], sizeof(m[i]) };
	}
	for (int done = 0; done < BATCH; done += r) {
		r = mproc_queue_put_many(queue, msgs + done, BATCH - done,
					 MPROC_FOREVER);
		if (r < 0)
			bench_die(mproc_error_detail());
	}
	return BATCH;
}

static unsigned
queue_get(struct bench_message m[BATCH])
{
	size_t len;
	int r = mproc_queue_get(queue, m, sizeof(m[0]), &len, MPROC_FOREVER);

	if (r == -ESHUTDOWN)
		return 0;
	if (r < 0 || len != sizeof(m[0]))
		bench_die(mproc_error_detail());
	return 1;
}

static unsigned
queue_get_batch(struct bench_message m[BATCH])
{
	struct iovec msgs[BATCH];
	int r = mproc_queue_get_many(queue, m, BATCH * sizeof(m[0]), msgs,
				     BATCH, MPROC_FOREVER);

	if (r == -ESHUTDOWN)
		return 0;
	if (r < 0)
		bench_die(mproc_error_detail());
	return (unsigned)r;
}

static void
queue_finish(unsigned consumers)
{
	(void)consumers;
	if (mproc_queue_shutdown(queue, MPROC_DRAIN) < 0)
		bench_die(mproc_error_detail());
}

static void
queue_close(void)
{
	mproc_arena_recover(NULL);
	mproc_queue_destroy(queue);
}

/* Vyukov's ring: a cell may be filled when its turn is the position, and
 * emptied when it is one more. As much memory as two of the queue's lanes. */
#define CELLS 2048

struct cell {
	_Atomic uint64_t turn;
	struct bench_message m;
};

struct vyukov {
	alignas(128) _Atomic uint64_t tail;
	alignas(128) _Atomic uint64_t head;
	alignas(128) struct cell cell[CELLS];
};

static struct vyukov *ring;

static void
ring_open(void)
{
	ring = bench_shared(sizeof(*ring));
	for (uint64_t i = 0; i < CELLS; i++)
		atomic_init(&ring->cell[i].turn, i);
}

/* About a microsecond, as the queue waits between two looks; then others may
 * need the CPU. */
static void
back_off(unsigned tries)
{
	int64_t end = mproc_now() + 1000;

	if (tries >= 16)
		sched_yield();
	else
		while (mproc_now() < end)
			;
}

/* Claims the position at @index whose cell's turn is @ahead of it. */
static uint64_t
claim(_Atomic uint64_t *index, uint64_t ahead)
{
	uint64_t at = atomic_load_explicit(index, memory_order_relaxed), turn;
	unsigned tries = 0;

	for (;;) {
		turn = atomic_load_explicit(&ring->cell[at % CELLS].turn,
					    memory_order_acquire);
		if (turn == at + ahead) {
			if (atomic_compare_exchange_weak_explicit(
				    index, &at, at + 1, memory_order_relaxed,
				    memory_order_relaxed))
				return at;
			continue;
		}
		if ((int64_t)(turn - (at + ahead)) < 0)
			back_off(tries++);
		at = atomic_load_explicit(index, memory_order_relaxed);
	}
}

static void
ring_put_message(const struct bench_message *m)
{
	uint64_t at = claim(&ring->tail, 0);

	ring->cell[at % CELLS].m = *m;
	atomic_store_explicit(&ring->cell[at % CELLS].turn, at + 1,
			      memory_order_release);
}

static unsigned
ring_put(uint64_t first)
{
	struct bench_message m;

	bench_fill(&m, first);
	ring_put_message(&m);
	return 1;
}

static unsigned
ring_get(struct bench_message m[BATCH])
{
	uint64_t at = claim(&ring->head, 1);

	m[0] = ring->cell[at % CELLS].m;
	atomic_store_explicit(&ring->cell[at % CELLS].turn, at + CELLS,
			      memory_order_release);
	return m[0].number != STOP;
}

/* It is first in, first out: these come after all others. */
static void
ring_finish(unsigned consumers)
{
	while (consumers--)
		ring_put_message(&stop);
}

static void
ring_close(void)
{
	munmap(ring, sizeof(*ring));
}

/* A pipe: writes and reads of so few bytes are whole. */
static int ends[2];

static void
pipe_open(void)
{
	if (pipe(ends) < 0)
		bench_die("pipe");
}

static void
pipe_write(const struct bench_message *m)
{
	if (write(ends[1], m, sizeof(*m)) != sizeof(*m))
		bench_die("write");
}

static unsigned
pipe_put(uint64_t first)
{
	struct bench_message m;

	bench_fill(&m, first);
	pipe_write(&m);
	return 1;
}

static unsigned
pipe_get(struct bench_message m[BATCH])
{
	if (read(ends[0], m, sizeof(m[0])) != sizeof(m[0]))
		bench_die("read");
	return m[0].number != STOP;
}

static void
pipe_finish(unsigned consumers)
{
	while (consumers--)
		pipe_write(&stop);
}

static void
pipe_close(void)
{
	close(ends[0]);
	close(ends[1]);
}

static const struct rival rivals[] = {
	{ "queue", EACH, queue_open, queue_put, queue_get, queue_finish,
	  queue_close },
	{ "queue, get_many(16)", EACH, queue_open, queue_put, queue_get_batch,
	  queue_finish, queue_close },
	{ "queue, both by 16", EACH, queue_open, queue_put_batch, queue_get_batch,
	  queue_finish, queue_close },
	{ "Vyukov's ring", EACH, ring_open, ring_put, ring_get, ring_finish,
	  ring_close },
};

/* With a bound on the messages in it. */

static void
bounded_open(void)
{
	if (mproc_queue_create(&queue, MPROC_OPTS(mproc_queue_opts,
						  .max_items = ITEMS)) < 0)
		bench_die(mproc_error_detail());
}

static mqd_t mq;

static void
mq_open_it(void)
{
	struct mq_attr attr = { .mq_maxmsg = ITEMS,
				.mq_msgsize = sizeof(struct bench_message) };
	char name[40];

	snprintf(name, sizeof(name), "/mproc-bench-many-%d", (int)getpid());
	mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (mq == (mqd_t)-1)
		bench_die("mq_open");
	mq_unlink(name);
}

static void
mq_write(const struct bench_message *m)
{
	if (mq_send(mq, (const char *)m, sizeof(*m), 0) < 0)
		bench_die("mq_send");
}

static unsigned
mq_put(uint64_t first)
{
	struct bench_message m;

	bench_fill(&m, first);
	mq_write(&m);
	return 1;
}

static unsigned
mq_get(struct bench_message m[BATCH])
{
	if (mq_receive(mq, (char *)m, sizeof(m[0]), NULL) != sizeof(m[0]))
		bench_die("mq_receive");
	return m[0].number != STOP;
}

static void
mq_finish(unsigned consumers)
{
	while (consumers--)
		mq_write(&stop);
}

static void
mq_close_it(void)
{
	mq_close(mq);
}

static const struct rival bounded[] = {
	{ "queue, 1 to 1", 64 * EACH_OF_A_CROWD, bounded_open, queue_put,
	  queue_get, queue_finish, queue_close },
	{ "queue, 64 to 1", EACH_OF_A_CROWD, bounded_open, queue_put,
	  queue_get, queue_finish, queue_close },
	{ "POSIX queue, 1 to 1", 64 * EACH_OF_A_CROWD, mq_open_it, mq_put,
	  mq_get, mq_finish, mq_close_it },
	{ "POSIX queue, 64 to 1", EACH_OF_A_CROWD, mq_open_it, mq_put, mq_get,
	  mq_finish, mq_close_it },
};

#define BOUNDED ((int)(sizeof(bounded) / sizeof(*bounded)))

#define RIVALS ((int)(sizeof(rivals) / sizeof(*rivals)))

static const struct rival by_pipe = {
	"pipe", EACH_BY_PIPE, pipe_open, pipe_put, pipe_get, pipe_finish,
	pipe_close
};

static void
meet(void)
{
	shared->ready++;
	while (!shared->go)
		sched_yield();
}

static void
produce(const struct rival *r, unsigned producer)
{
	meet();
	for (uint64_t i = 0; i < r->each;)
		i += r->put(NUMBER(producer, i));
}

static void
consume(const struct rival *r)
{
	struct bench_message m[BATCH];
	uint64_t last[PEERS_MAX] = { 0 }, taken = 0, sum = 0;
	int64_t now, end;
	unsigned n;

	meet();
	while ((n = r->get(m)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			uint64_t producer = m[i].number >> 40;
			uint64_t count = m[i].number & (NUMBER(1, 0) - 1);

			if (!bench_is_good(&m[i], m[i].number) ||
			    producer >= PEERS_MAX || count + 1 <= last[producer])
				bench_die("a wrong message");
			last[producer] = count + 1;
			sum += m[i].number;
			taken++;
		}
	}
	now = mproc_now();
	shared->taken += taken;
	shared->sum += sum;
	end = shared->end;
	while (end < now && !atomic_compare_exchange_weak(&shared->end, &end,
							  now))
		;
}

static pid_t
start(const struct rival *r, unsigned producer)
{
	pid_t pid = fork();

	if (pid < 0)
		bench_die("fork");
	if (pid)
		return pid;
	if (producer < PEERS_MAX)
		produce(r, producer);
	else
		consume(r);
	_exit(0);
}

static void
reap(const pid_t *pids, unsigned n)
{
	int status;

	for (unsigned i = 0; i < n; i++)
		if (waitpid(pids[i], &status, 0) != pids[i] || status)
			bench_die("a peer failed");
}

/* ns per message, from the start of all to the last message taken. */
static double
round_of(const struct rival *r, unsigned peers, unsigned takers)
{
	pid_t producers[PEERS_MAX], consumers[PEERS_MAX];
	uint64_t n = peers * r->each, sum = 0;
	int64_t began;

	shared = bench_shared(sizeof(*shared));
	r->open();
	for (unsigned i = 0; i < takers; i++)
		consumers[i] = start(r, PEERS_MAX);
	for (unsigned i = 0; i < peers; i++) {
		producers[i] = start(r, i);
		sum += r->each * NUMBER(i, 0) + r->each * (r->each - 1) / 2;
	}
	while (shared->ready < peers + takers)
		sched_yield();
	began = mproc_now();
	shared->go = 1;
	reap(producers, peers);
	r->finish(takers);
	reap(consumers, takers);
	if (shared->taken != n || shared->sum != sum)
		bench_die("not all messages were taken");
	began = shared->end - began;
	r->close();
	munmap(shared, sizeof(*shared));
	return (double)began / (double)n;
}

static void
print_head(const char *yardstick)
{
	printf("%-24s %10s %10s %10s %10s\n", "", "median ns", "least", "most",
	       yardstick);
}

static void
print_row(const char *name, const double *ns, const double *yardstick,
	  int rounds)
{
	bench_line(24, name, ns, rounds, 1);
	printf(" %10.2f\n", bench_median_ratio(yardstick, ns, rounds));
	bench_report(name, ns, rounds);
}

static void
compare(unsigned peers, int rounds)
{
	double **ns = bench_columns(RIVALS, rounds);

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < RIVALS; k++)
			ns[k][i] = round_of(&rivals[k], peers, peers);
	printf("64 bytes, %u processes to %u, %d rounds in turn, verified\n",
	       peers, peers, rounds);
	print_head("x Vyukov");
	bench_table("ns for a message", "queue: 64 bytes, %u to %u", peers,
		    peers);
	for (int k = 0; k < RIVALS; k++)
		print_row(rivals[k].name, ns[k], ns[RIVALS - 1], rounds);
	bench_free_columns(ns, RIVALS);
}

/* Eight processes on the CPUs that there are, against two. */
static void
compare_crowd(int rounds)
{
	enum { TWO, EIGHT, PIPE_TWO, PIPE_EIGHT, KINDS };
	static const char *const names[KINDS] = {
		"queue, 1 to 1", "queue, 4 to 4", "pipe, 1 to 1", "pipe, 4 to 4",
	};
	double **ns = bench_columns(KINDS, rounds);

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			ns[k][i] = round_of(k < PIPE_TWO ? &rivals[0] : &by_pipe,
					    k % 2 ? 4 : 1, k % 2 ? 4 : 1);
	printf("64 bytes, one at a time, %d rounds in turn, verified\n", rounds);
	print_head("x 4-4 pipe");
	bench_table("ns for a message", "queue: a crowd on few CPUs");
	for (int k = 0; k < KINDS; k++)
		print_row(names[k], ns[k], ns[PIPE_EIGHT], rounds);
	printf("4 to 4 takes %.2f times as long for a message as 1 to 1\n",
	       bench_median_ratio(ns[EIGHT], ns[TWO], rounds));
	bench_free_columns(ns, KINDS);
}

static void
compare_bounded(int rounds)
{
	double **ns = bench_columns(BOUNDED, rounds);

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < BOUNDED; k++)
			ns[k][i] = round_of(&bounded[k], k % 2 ? 64 : 1, 1);
	printf("64 bytes, room for %d messages, %d rounds in turn, verified\n",
	       ITEMS, rounds);
	print_head("x POSIX");
	bench_table("ns for a message", "queue: room for %d messages", ITEMS);
	for (int k = 0; k < BOUNDED; k++)
		print_row(bounded[k].name, ns[k], ns[BOUNDED - 2 + k % 2],
			  rounds);
	bench_free_columns(ns, BOUNDED);
}

/* The queue with many attached. */

static mproc_queue *back; /* answers */

static void
put_as_other(uint64_t count)
{
	queue_put(NUMBER(OTHER, count));
	shared->ready++;
}

static void *
be_attached(void *count)
{
	put_as_other((uintptr_t)count);
	for (;;)
		pause();
	return NULL;
}

/* A process with @n threads that have lanes. */
static pid_t
start_others(unsigned n)
{
	pthread_attr_t attr;
	pthread_t thread;
	pid_t pid = fork();

	if (pid < 0)
		bench_die("fork");
	if (pid)
		return pid;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	for (uintptr_t i = 0; i < n; i++)
		if (pthread_create(&thread, &attr, be_attached, (void *)i))
			bench_die("pthread_create");
	for (;;)
		pause();
}

/* The consumer, which is attached as the last of @others. */
static void
take_all(unsigned others, unsigned n, bool answer)
{
	struct bench_message m[BATCH];
	uint64_t sum = 0;

	if (others) {
		put_as_other(others - 1);
		for (unsigned i = 0; i < others; i++) {
			queue_get(m);
			if (!bench_is_good(m, m->number) ||
			    m->number >> 40 != OTHER)
				bench_die("a wrong message");
			sum += m->number - NUMBER(OTHER, 0);
		}
		if (sum != (uint64_t)others * (others - 1) / 2)
			bench_die("not the messages of all others");
	}
	meet();
	for (uint64_t i = 0; i < n; i++) {
		queue_get(m);
		if (!bench_is_good(m, i))
			bench_die("a wrong message");
		if (answer && mproc_queue_put(back, m, sizeof(m[0]),
					      MPROC_FOREVER) < 0)
			bench_die(mproc_error_detail());
	}
	shared->end = mproc_now();
}

/* The producer that is active. */
static void
put_all(unsigned n, bool answer)
{
	struct bench_message m;

	meet();
	for (uint64_t i = 0; i < n; i++) {
		queue_put(i);
		if (!answer)
			continue;
		if (mproc_queue_get(back, &m, sizeof(m), NULL,
				    MPROC_FOREVER) < 0 ||
		    !bench_is_good(&m, i))
			bench_die("a wrong answer");
	}
}

/* ns per message, or per message and its answer. */
static double
round_attached(unsigned others, bool answer)
{
	unsigned n = answer ? TRIPS : EACH;
	pid_t crowd = 0, pids[2];
	int64_t began;

	shared = bench_shared(sizeof(*shared));
	queue_open();
	if (mproc_queue_create(&back, NULL) < 0)
		bench_die(mproc_error_detail());
	if (others) {
		crowd = start_others(others - 2);
		put_as_other(others - 2);
	}
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			bench_die("fork");
		if (pids[i])
			continue;
		if (i)
			put_all(n, answer);
		else
			take_all(others, n, answer);
		_exit(0);
	}
	while (shared->ready < others + 2)
		sched_yield();
	began = mproc_now();
	shared->go = 1;
	reap(pids, 2);
	began = shared->end - began;
	if (crowd && (kill(crowd, SIGKILL) || waitpid(crowd, NULL, 0) != crowd))
		bench_die("the others are gone");
	queue_close();
	mproc_queue_destroy(back);
	munmap(shared, sizeof(*shared));
	return (double)began / n;
}

static void
compare_attached(bool answer, int rounds)
{
	double **ns = bench_columns(2, rounds);

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < 2; k++)
			ns[k][i] = round_attached(k ? OTHERS : 0, answer);
	printf("64 bytes, %s, %d rounds in turn, verified\n",
	       answer ? "one by one with an answer" : "one process to one",
	       rounds);
	print_head("x the first");
	bench_table("ns for a message", "queue: many attached, %s",
		    answer ? "with an answer" : "one way");
	for (int k = 0; k < 2; k++)
		print_row(k ? "one of 1,024 attached" : "one of one", ns[k],
			  ns[0], rounds);
	printf("with 1,024 attached it takes %.2f times as long\n",
	       bench_median_ratio(ns[1], ns[0], rounds));
	bench_free_columns(ns, 2);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	stop.number = STOP;
	compare(2, rounds);
	compare(4, rounds);
	compare_crowd(rounds);
	compare_bounded(rounds);
	compare_attached(false, rounds);
	compare_attached(true, rounds);
	return 0;
}
