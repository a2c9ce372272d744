/* SPDX-License-Identifier: MIT */
#include "flow.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define LOOK 500000 /* ns between two looks at how far it is */

/* What one process writes. The others only read it. */
struct share {
	alignas(128) _Atomic uint64_t done; /* messages sent, or taken */
	_Atomic uint64_t sum;		    /* of what was taken, see mix() */
	_Atomic unsigned ready;
	_Atomic unsigned flaw;
	pid_t pid;
};

struct board {
	alignas(128) _Atomic unsigned go;
	struct share producer[FLOW_ENDS];
	struct share consumer[FLOW_ENDS];
};

enum { NO_FLAW, SEND_FAILED, RECV_FAILED, WRONG_LENGTH, WRONG_BYTES, DISORDER };

static const char *const flaws[] = {
	[SEND_FAILED] = "a message cannot be sent",
	[RECV_FAILED] = "a message cannot be received",
	[WRONG_LENGTH] = "a message has a wrong length",
	[WRONG_BYTES] = "a message has wrong bytes",
	[DISORDER] = "messages of one producer come out of order or again",
};

const char *const placement_names[] = {
	[TWO_CPUS] = "two CPUs",
	[ONE_CPU] = "one CPU",
	[UNPINNED] = "unpinned",
};

#define PRODUCER_SHIFT 48

/* The first word names the message; the others follow from it. */
void
flow_fill(void *p, size_t size, unsigned producer, uint64_t number)
{
	uint64_t *word = p, id = (uint64_t)producer << PRODUCER_SHIFT | number;

	word[0] = id;
	id *= UINT64_C(0x9e3779b97f4a7c15);
	for (size_t i = 1; i < size / sizeof(*word); i++)
		word[i] = id + i;
}

bool
flow_check(const void *p, size_t size, unsigned *ret_producer,
	   uint64_t *ret_number)
{
	const uint64_t *word = p;
	uint64_t id = word[0], bad = 0;

	*ret_producer = (unsigned)(id >> PRODUCER_SHIFT);
	*ret_number = id & ((UINT64_C(1) << PRODUCER_SHIFT) - 1);
	id *= UINT64_C(0x9e3779b97f4a7c15);
	for (size_t i = 1; i < size / sizeof(*word); i++)
		bad |= word[i] ^ (id + i);
	return bad == 0;
}

/* Sums of these are alike only if the messages are. */
static uint64_t
mix(unsigned producer, uint64_t number)
{
	uint64_t x = (uint64_t)producer << PRODUCER_SHIFT | number;

	x = (x ^ x >> 31) * UINT64_C(0x7fb5d329728ea185);
	x = (x ^ x >> 27) * UINT64_C(0x81dadef4bc2dd44d);
	return x ^ x >> 33;
}

static int64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void
nap(int64_t ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&t, NULL);
}

bool
flow_pin(enum placement placement, enum end end, unsigned index)
{
	cpu_set_t all, one;
	int cpu[2], n = 0;

	(void)index;
	if (placement == UNPINNED)
		return true;
	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		return false;
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &all))
			cpu[n++] = i;
	if (n < (placement == TWO_CPUS ? 2 : 1))
		return false;
	CPU_ZERO(&one);
	CPU_SET(cpu[placement == TWO_CPUS && end == CONSUMER], &one);
	return sched_setaffinity(0, sizeof(one), &one) == 0;
}

static void
wait_to_be_killed(void)
{
	for (;;)
		pause();
}

static void
give_up(struct share *s, unsigned flaw)
{
	s->flaw = flaw;
	wait_to_be_killed();
}

static void
produce(const struct flow *f, void *channel, struct board *b, unsigned index)
{
	struct share *s = &b->producer[index];
	void *p = aligned_alloc(64, (f->job.size + 63) / 64 * 64);

	if (!p || !flow_pin(f->placement, PRODUCER, index))
		give_up(s, SEND_FAILED);
	memset(p, 0, f->job.size);
	if (f->transport->attach)
		f->transport->attach(channel, PRODUCER, index);
	s->ready = 1;
	while (!b->go)
		nap(LOOK);
	for (uint64_t i = 0; i < f->each; i++) {
		flow_fill(p, f->job.size, index, i);
		if (!f->transport->send(channel, p, f->job.size))
			give_up(s, SEND_FAILED);
		atomic_store_explicit(&s->done, i + 1, memory_order_relaxed);
	}
	/* Not over: some peers lose what they hold when they end. */
	wait_to_be_killed();
}

static void
consume(const struct flow *f, void *channel, struct board *b, unsigned index)
{
	struct share *s = &b->consumer[index];
	void *p = aligned_alloc(64, (f->job.size + 63) / 64 * 64);
	uint64_t next[FLOW_ENDS] = { 0 }, number, sum = 0, done = 0;
	unsigned producer;
	size_t len;

	if (!p || !flow_pin(f->placement, CONSUMER, index))
		give_up(s, RECV_FAILED);
	memset(p, 0, f->job.size);
	if (f->transport->attach)
		f->transport->attach(channel, CONSUMER, index);
	s->ready = 1;
	for (;;) {
		len = f->transport->recv(channel, p, f->job.size, true);
		if (len != f->job.size)
			give_up(s, len ? WRONG_LENGTH : RECV_FAILED);
		if (!flow_check(p, len, &producer, &number) ||
		    producer >= f->job.producers || number >= f->each)
			give_up(s, WRONG_BYTES);
		if (number < next[producer])
			give_up(s, DISORDER);
		next[producer] = number + 1;
		sum += mix(producer, number);
		atomic_store_explicit(&s->sum, sum, memory_order_relaxed);
		/* Pairs with the acquire in taken(): who has seen the count
		 * sees the sum of as many. */
		atomic_store_explicit(&s->done, ++done, memory_order_release);
	}
}

static pid_t
start(const struct flow *f, void *channel, struct board *b, enum end end,
      unsigned index)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		bench_die("fork");
	if (pid > 0)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	if (end == PRODUCER)
		produce(f, channel, b, index);
	else
		consume(f, channel, b, index);
	_exit(0);
}

static uint64_t
count(const struct share *s, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += atomic_load_explicit(&s[i].done, memory_order_acquire);
	return sum;
}

static uint64_t
taken(const struct flow *f, const struct board *b)
{
	return count(b->consumer, f->job.consumers);
}

static unsigned
flaw_of(const struct flow *f, const struct board *b)
{
	for (unsigned i = 0; i < f->job.producers; i++)
		if (b->producer[i].flaw)
			return b->producer[i].flaw;
	for (unsigned i = 0; i < f->job.consumers; i++)
		if (b->consumer[i].flaw)
			return b->consumer[i].flaw;
	return NO_FLAW;
}

/* False if one does not come. */
static bool
wait_until_ready(const struct flow *f, const struct board *b,
		 const struct share *s, unsigned n)
{
	int64_t end = now() + (int64_t)(f->patience * 1e9);

	for (unsigned i = 0; i < n; i++)
		while (!s[i].ready) {
			if (now() > end || flaw_of(f, b))
				return false;
			nap(LOOK);
		}
	return true;
}

/* ns of CPU time of all consumers. */
static double
cpu_time(const struct flow *f, const struct board *b)
{
	unsigned long long ns = 0;
	double sum = 0;
	char path[64];
	FILE *file;

	for (unsigned i = 0; i < f->job.consumers; i++) {
		snprintf(path, sizeof(path), "/proc/%d/schedstat",
			 (int)b->consumer[i].pid);
		file = fopen(path, "re");
		if (!file || fscanf(file, "%llu", &ns) != 1)
			bench_die(path);
		fclose(file);
		sum += (double)ns;
	}
	return sum;
}

static void
end_one(pid_t *pid)
{
	if (*pid > 0 && (kill(*pid, SIGKILL) < 0 ||
			 waitpid(*pid, NULL, 0) != *pid))
		bench_die("a process cannot be ended");
	*pid = 0;
}

/* How many messages are to come, as it is known now. */
static uint64_t
expected(const struct flow *f, const struct board *b, bool killed)
{
	uint64_t all = f->each * f->job.producers;

	if (!killed || f->victim == CONSUMER)
		return all;
	return all - f->each + b->producer[0].done;
}

static bool
all_sent(const struct flow *f, const struct board *b, bool killed)
{
	return count(b->producer, f->job.producers) >= expected(f, b, killed);
}

/* A flow from its first message on. */
static void
watch(const struct flow *f, struct board *b, struct flow_end *ret)
{
	uint64_t all = f->each * f->job.producers, warm = 0, n, last = 0;
	int64_t started = now(), warmed = 0, progress = started, t, died = 0;
	struct share *victim = f->victim == PRODUCER ? b->producer :
						       b->consumer;
	bool waits = false; /* for a sign of life after the kill */

	b->go = 1;
	for (;;) {
		unsigned flaw = flaw_of(f, b);

		n = taken(f, b);
		t = now();
		if (flaw) {
			snprintf(ret->flaw, sizeof(ret->flaw), "%s",
				 flaws[flaw]);
			return;
		}
		if (!warmed && n >= all / 8) {
			warmed = t;
			warm = n;
		}
		if (f->kills && !died && n >= all / 2) {
			end_one(&victim->pid);
			died = t = now();
			last = n = taken(f, b);
			progress = t;
			waits = true;
		}
		if (n > last) {
			if (waits)
				ret->stall = (double)(t - died) / 1e9;
			waits = false;
			last = n;
			progress = t;
		}
		if (n >= expected(f, b, died))
			break;
		if ((double)(t - progress) > f->patience * 1e9) {
			ret->lost = expected(f, b, died) - n;
			ret->hung = !all_sent(f, b, died);
			snprintf(ret->flaw, sizeof(ret->flaw),
				 "%llu of %llu messages do not come",
				 (unsigned long long)ret->lost,
				 (unsigned long long)expected(f, b, died));
			return;
		}
		nap(LOOK);
	}
	/* Unless it has been too quick for that. */
	if (n == warm) {
		warmed = started;
		warm = 0;
	}
	ret->ns = (double)(t - warmed) / (double)(n - warm);
}

/* Whether what was taken is what was sent, each message once. */
static bool
is_each_once(const struct flow *f, const struct board *b)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < f->job.producers; i++)
		for (uint64_t k = 0; k < f->each; k++)
			sum -= mix(i, k);
	for (unsigned i = 0; i < f->job.consumers; i++)
		sum += b->consumer[i].sum;
	return sum == 0 && taken(f, b) == f->each * f->job.producers;
}

static void
run(const struct flow *f, void *channel, struct board *b, struct flow_end *ret)
{
	double before;

	for (unsigned i = 0; i < f->job.consumers; i++)
		b->consumer[i].pid = start(f, channel, b, CONSUMER, i);
	if (!wait_until_ready(f, b, b->consumer, f->job.consumers)) {
		snprintf(ret->flaw, sizeof(ret->flaw), "a consumer cannot start");
		return;
	}
	for (unsigned i = 0; i < f->job.producers; i++)
		b->producer[i].pid = start(f, channel, b, PRODUCER, i);
	if (!wait_until_ready(f, b, b->producer, f->job.producers)) {
		snprintf(ret->flaw, sizeof(ret->flaw), "a producer cannot start");
		return;
	}
	if (f->idle > 0) {
		nap(200000000); /* until they sleep */
		before = cpu_time(f, b);
		nap((int64_t)(f->idle * 1e9));
		ret->idle = (cpu_time(f, b) - before) / f->idle / 1e7;
	}
	watch(f, b, ret);
	if (!ret->flaw[0] && !f->kills) {
		nap(LOOK); /* one too many may be on its way */
		if (!is_each_once(f, b))
			snprintf(ret->flaw, sizeof(ret->flaw),
				 "not each message has come once");
	}
}

void
flow_run(const struct flow *f, struct flow_end *ret)
{
	struct board *b = bench_shared(sizeof(*b));
	void *channel = f->transport->open(&f->job);

	*ret = (struct flow_end){ .failed = channel ? 0 : errno };
	if (channel) {
		run(f, channel, b, ret);
		for (unsigned i = 0; i < f->job.producers; i++)
			end_one(&b->producer[i].pid);
		for (unsigned i = 0; i < f->job.consumers; i++)
			end_one(&b->consumer[i].pid);
		f->transport->close(channel);
	}
	munmap(b, sizeof(*b));
}
