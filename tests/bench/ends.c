/* SPDX-License-Identifier: MIT */
#include "ends.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PRODUCER_SHIFT 48

const char *const placement_names[] = {
	[TWO_CPUS] = "two CPUs",
	[ONE_CPU] = "one CPU",
	[UNPINNED] = "unpinned",
};

/* The first word names the message; the others follow from it. */
void
ends_fill(void *p, size_t size, unsigned producer, uint64_t number)
{
	uint64_t *word = p, id = (uint64_t)producer << PRODUCER_SHIFT | number;

	word[0] = id;
	id *= UINT64_C(0x9e3779b97f4a7c15);
	for (size_t i = 1; i < size / sizeof(*word); i++)
		word[i] = id + i;
}

bool
ends_check(const void *p, size_t size, unsigned *ret_producer,
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
uint64_t
ends_mix(unsigned producer, uint64_t number)
{
	uint64_t x = (uint64_t)producer << PRODUCER_SHIFT | number;

	x = (x ^ x >> 31) * UINT64_C(0x7fb5d329728ea185);
	x = (x ^ x >> 27) * UINT64_C(0x81dadef4bc2dd44d);
	return x ^ x >> 33;
}

int64_t
ends_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void
ends_nap(int64_t ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&t, NULL);
}

int
ends_cpus(void)
{
	cpu_set_t all;

	return sched_getaffinity(0, sizeof(all), &all) < 0 ? 0 :
							     CPU_COUNT(&all);
}

/* False if there are too few CPUs. */
static bool
pin(enum placement placement, enum end end)
{
	cpu_set_t all, one;
	int cpu[2], n = 0;

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

static _Noreturn void
wait_to_be_killed(void)
{
	for (;;)
		pause();
}

static _Noreturn void
give_up(struct share *s, unsigned flaw)
{
	s->flaw = flaw;
	wait_to_be_killed();
}

/* What an end is. */
struct me {
	const struct transport *transport;
	void *const *channels;
	struct board *board;
	struct share *share;
	enum end end;
	unsigned index;
	void *p; /* a message */
};

static void
attach(const struct me *me, void *channel, enum end end)
{
	if (me->transport->attach)
		me->transport->attach(channel, end, me->index);
}

static void
produce(const struct me *me)
{
	const struct board *b = me->board;

	attach(me, me->channels[0], PRODUCER);
	me->share->ready = 1;
	while (!b->go)
		ends_nap(ENDS_LOOK);
	for (uint64_t i = 0; i < b->each; i++) {
		ends_fill(me->p, b->size, me->index, i);
		if (!me->transport->send(me->channels[0], me->p, b->size))
			give_up(me->share, SEND_FAILED);
		atomic_store_explicit(&me->share->done, i + 1,
				      memory_order_relaxed);
	}
}

static void
consume(const struct me *me)
{
	uint64_t next[ENDS_MOST] = { 0 }, number, sum = 0, done = 0;
	const struct board *b = me->board;
	struct share *s = me->share;
	unsigned producer;
	size_t len;

	attach(me, me->channels[0], CONSUMER);
	s->ready = 1;
	for (;;) {
		len = me->transport->recv(me->channels[0], me->p, b->size, true);
		if (len != b->size)
			give_up(s, len ? WRONG_LENGTH : RECV_FAILED);
		if (!ends_check(me->p, len, &producer, &number) ||
		    producer >= b->producers || number >= b->each)
			give_up(s, WRONG_BYTES);
		if (number < next[producer])
			give_up(s, DISORDER);
		next[producer] = number + 1;
		if (!done)
			s->first = ends_now();
		sum += ends_mix(producer, number);
		atomic_store_explicit(&s->sum, sum, memory_order_relaxed);
		/* Pairs with the acquire of who watches: who has seen the count
		 * sees the sum of as many. */
		atomic_store_explicit(&s->done, ++done, memory_order_release);
	}
}

static size_t
receive(const struct me *me, void *channel)
{
	const struct board *b = me->board;
	size_t len;

	if (!b->spin)
		return me->transport->recv(channel, me->p, b->size, true);
	/* Both may be on one CPU. */
	for (unsigned i = 1;; i++) {
		len = me->transport->recv(channel, me->p, b->size, false);
		if (len)
			return len;
		if (i % 64 == 0)
			sched_yield();
	}
}

static void
receive_number(const struct me *me, void *channel, uint64_t expected)
{
	unsigned producer;
	uint64_t number;

	if (receive(me, channel) != me->board->size)
		give_up(me->share, RECV_FAILED);
	if (!ends_check(me->p, me->board->size, &producer, &number) ||
	    producer || number != expected)
		give_up(me->share, WRONG_BYTES);
}

static void
send_number(const struct me *me, void *channel, uint64_t number)
{
	ends_fill(me->p, me->board->size, 0, number);
	if (!me->transport->send(channel, me->p, me->board->size))
		give_up(me->share, SEND_FAILED);
}

/* The producer asks by the first channel, the consumer answers by the second. */
static void
play(const struct me *me)
{
	bool asks = me->end == PRODUCER;
	void *to = me->channels[!asks], *from = me->channels[asks];
	struct board *b = me->board;
	int64_t begun;

	/* Who receives is there first. */
	attach(me, from, CONSUMER);
	me->share->ready = 1;
	while (!b->ends[asks ? CONSUMER : PRODUCER][0].ready)
		ends_nap(ENDS_LOOK);
	attach(me, to, PRODUCER);
	for (unsigned i = 0; i < b->trips + ENDS_WARM; i++) {
		if (asks) {
			begun = ends_now();
			send_number(me, to, i);
			receive_number(me, from, i);
			if (i >= ENDS_WARM)
				b->ns[i - ENDS_WARM] =
					(double)(ends_now() - begun);
		} else {
			receive_number(me, from, i);
			send_number(me, to, i);
		}
		/* Pairs with the acquire of who watches, who then reads the
		 * times. */
		atomic_store_explicit(&me->share->done, i + 1,
				      memory_order_release);
	}
}

void
ends_run(const struct transport *t, void *const channels[2], struct board *b,
	 enum end end, unsigned index)
{
	struct me me = { t, channels, b, &b->ends[end][index], end, index,
			 aligned_alloc(64, (b->size + 63) / 64 * 64) };

	me.share->pid = (uint32_t)syscall(SYS_gettid);
	if (!me.p || !pin((enum placement)b->placement, end))
		give_up(me.share, SEND_FAILED);
	memset(me.p, 0, b->size);
	if (b->trips)
		play(&me);
	else if (end == PRODUCER)
		produce(&me);
	else
		consume(&me);
	/* Not over: some peers lose what they hold when they end. */
	wait_to_be_killed();
}
