/* SPDX-License-Identifier: MIT */
/*
 * Producers and consumers of one queue, and a process that does nothing but
 * recover, are killed, stopped and replaced at random; every message that
 * arrives is verified, and every one that does not is accounted for.
 *
 * Producers put single messages, messages in parts, batches, and messages that
 * they write in place; consumers take single ones and batches, and read in
 * place. One message of five is too long for a lane. In a queue with a single
 * consumer the other one asks for its place again and again.
 *
 * What is allowed: what was being put when its producer was killed may have
 * been put or not; a consumer that is killed inside a get may take one message
 * with it, or while it is shown one, inside a get of a batch as many as that
 * had room for. Nothing else: no message twice, none unknown or torn, none out
 * of its producer's order, nothing left in the arena.
 *
 * Each role notes in shared memory what it is doing, so that the kills inside
 * each operation can be counted: a run in which one of them was hardly ever
 * hit proves nothing.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "level.h"
#include "mpt_rand.h"
#include "role.h"

#define PRODUCERS 2
#define CONSUMERS 2
#define ROLES (PRODUCERS + CONSUMERS + 1) /* and one that recovers */
#define LIVES 30000			  /* of producers, in a run */
#define PER_LIFE 4096			  /* messages in a life */
#define LEN_SHORT 300
#define LEN_LONG 4096			  /* more than a lane takes here */
#define LEN_MAX (LEN_LONG + LEN_SHORT)
#define BATCH 8
#define SEATS_STAY 1024			  /* bytes; a lane has 12288 */
#define EMPTY_MAX (256 * 1024)		  /* of a queue that is empty */

enum place {
	OUTSIDE,
	FIRST_PUT,
	PUT,
	PUTV,
	PUT_MANY,
	RESERVE,
	FIRST_GET,
	GET,
	GET_MANY,
	PEEK,
	RECOVER,
	PLACES
};

static const char *const place_names[] = {
	"outside",
	"first put",
	"put",
	"putv",
	"put_many",
	"reserve and commit",
	"first get",
	"get",
	"get_many",
	"peek and release",
	"recovery",
};

/* Messages that a consumer takes with it if it is killed there. */
static const unsigned may_lose[PLACES] = {
	[FIRST_GET] = BATCH,
	[GET] = 1,
	[GET_MANY] = BATCH,
	[PEEK] = 1,
};

struct message {
	uint32_t life;
	uint32_t number;
	unsigned char fill[LEN_MAX];
};

/* Shared with all roles. */
struct chaos {
	_Atomic uint32_t stop_producers;
	_Atomic uint32_t stop_consumers;
	_Atomic uint32_t place[ROLES];
	/* Messages of each life that were put for certain. */
	_Atomic uint32_t put[LIVES];
	/* How often each message has arrived; sparse. */
	_Atomic unsigned char arrived[LIVES][PER_LIFE];
	mproc_queue *q;
	bool single_consumer;
};

static unsigned char
fill_byte(uint32_t life, uint32_t number, size_t at)
{
	return (unsigned char)(life * 31 + number * 7 + at * 13 + (at >> 3));
}

static size_t
fill_len(uint32_t life, uint32_t number)
{
	uint32_t some = life * 2654435761u + number * 40503u;

	return some % LEN_SHORT + (some / LEN_SHORT % 5 ? 0 : LEN_LONG);
}

static size_t
make(struct message *m, uint32_t life, uint32_t number)
{
	size_t len = fill_len(life, number);

	m->life = life;
	m->number = number;
	for (size_t i = 0; i < len; i++)
		m->fill[i] = fill_byte(life, number, i);
	return offsetof(struct message, fill) + len;
}

/* Some of them are given up, and then put all the same. */
static int
put_in_place(mproc_queue *q, const struct message *m, size_t len)
{
	void *p;
	int r;

	r = mproc_queue_reserve(q, len, &p, mproc_ms(100));
	if (r == 0 && m->number % 3 == 0) {
		memset(p, 0xff, len);
		r = mproc_queue_abort(q, p);
		if (r == 0)
			r = mproc_queue_reserve(q, len, &p, mproc_ms(100));
	}
	if (r < 0)
		return r;
	memcpy(p, m, len);
	return mproc_queue_commit(q, p, len);
}

/* One call, as the number of the first message wills. Returns how many were
 * put, or an error. */
static int
put_some(mproc_queue *q, struct message m[BATCH], struct iovec msgs[BATCH],
	 int n, enum place how)
{
	struct iovec parts[2];
	int r;

	switch (how) {
	case PUT_MANY:
		return mproc_queue_put_many(q, msgs, n, mproc_ms(100));
	case PUTV:
		parts[0] = (struct iovec){ m, 7 };
		parts[1] = (struct iovec){ (char *)m + 7, msgs[0].iov_len - 7 };
		r = mproc_queue_putv(q, parts, 2, mproc_ms(100));
		break;
	case RESERVE:
		r = put_in_place(q, m, msgs[0].iov_len);
		break;
	default:
		r = mproc_queue_put(q, m, msgs[0].iov_len, mproc_ms(100));
	}
	return r == 0 ? 1 : r;
}

static void
produce(struct mpt *t, struct chaos *c, int role, uint32_t life)
{
	static const enum place ways[] = { PUT, PUTV, PUT_MANY, RESERVE };
	struct iovec msgs[BATCH];
	struct message m[BATCH];
	uint32_t number = 0;
	int n, r;

	while (number < PER_LIFE) {
		enum place how = ways[(life + number) % 4];

		n = how == PUT_MANY ? 1 + (int)(number / 4 % BATCH) : 1;
		if ((uint32_t)n > PER_LIFE - number)
			n = (int)(PER_LIFE - number);
		for (int i = 0; i < n; i++)
			msgs[i] = (struct iovec){
				&m[i], make(&m[i], life, number + (uint32_t)i)
			};
		if (atomic_load(&c->stop_producers))
			return;
		atomic_store(&c->place[role], number ? how : FIRST_PUT);
		do
			r = put_some(c->q, m, msgs, n, how);
		while (r == -ETIMEDOUT && !atomic_load(&c->stop_producers));
		/* Known before it is over: what is lost afterwards counts. */
		if (r > 0)
			atomic_store(&c->put[life], number + (uint32_t)r);
		atomic_store(&c->place[role], OUTSIDE);
		if (r == -ETIMEDOUT)
			return;
		mpt_check(t, r > 0 && r <= n);
		number += (uint32_t)r;
	}
}

static void
verify(struct mpt *t, struct chaos *c, const struct message *m, size_t len)
{
	mpt_check(t, len >= offsetof(struct message, fill));
	len -= offsetof(struct message, fill);
	mpt_check(t, m->life < LIVES && m->number < PER_LIFE);
	mpt_check_int(t, len, fill_len(m->life, m->number));
	for (size_t i = 0; i < len; i++)
		mpt_check_int(t, m->fill[i], fill_byte(m->life, m->number, i));
	mpt_check_int(t, atomic_fetch_add(&c->arrived[m->life][m->number], 1),
		      0);
}

/* Takes one message or several. Returns how many, or an error. */
static int
get_some(mproc_queue *q, unsigned char *buf, size_t size,
	 struct iovec msgs[BATCH], enum place how)
{
	const void *p;
	int r;

	if (how == PEEK) {
		r = mproc_queue_peek(q, &p, &msgs[0].iov_len, mproc_ms(100));
		if (r < 0)
			return r;
		memcpy(buf, p, msgs[0].iov_len);
		msgs[0].iov_base = buf;
		r = mproc_queue_release(q, p);
		return r == 0 ? 1 : r;
	}
	if (how == GET_MANY)
		return mproc_queue_get_many(q, buf, size, msgs, BATCH,
					    mproc_ms(100));
	msgs[0].iov_base = buf;
	r = mproc_queue_get(q, buf, size, &msgs[0].iov_len, mproc_ms(100));
	return r == 0 ? 1 : r;
}

static void
consume(struct mpt *t, struct chaos *c, int role)
{
	/* Number + 1 of the last message of each life. */
	uint32_t *last = calloc(LIVES, sizeof(*last));
	unsigned char buf[BATCH * sizeof(struct message)];
	struct iovec msgs[BATCH];
	static const enum place ways[] = { GET, GET_MANY, PEEK };
	unsigned way = (unsigned)role;
	bool first = true;
	struct message m;
	int r;

	mpt_check(t, last);
	for (; !atomic_load(&c->stop_consumers); way++) {
		enum place how = ways[way % 3];

		atomic_store(&c->place[role], first ? FIRST_GET : how);
		r = get_some(c->q, buf, sizeof(buf), msgs, how);
		for (int i = 0; i < r; i++) {
			memcpy(&m, msgs[i].iov_base, msgs[i].iov_len);
			verify(t, c, &m, msgs[i].iov_len);
			mpt_check(t, m.number >= last[m.life]);
			last[m.life] = m.number + 1;
		}
		atomic_store(&c->place[role], OUTSIDE);
		if (r == -ETIMEDOUT)
			continue;
		if (r == -EBUSY && c->single_consumer) {
			wait_us(50);
			continue;
		}
		mpt_check(t, r > 0);
		first = false;
	}
}

static void
recover_on_and_on(struct mpt *t, struct chaos *c, int role)
{
	while (!atomic_load(&c->stop_consumers)) {
		atomic_store(&c->place[role], RECOVER);
		mpt_check(t, mproc_arena_recover(NULL) >= 0);
		atomic_store(&c->place[role], OUTSIDE);
		sched_yield();
	}
}

static void
start(struct mpt *t, struct chaos *c, struct role *roles, int role,
      uint32_t *next_life)
{
	if (role < PRODUCERS)
		roles[role].life = (*next_life)++;
	atomic_store(&c->place[role], OUTSIDE);
	roles[role].pid = fork();
	mpt_check(t, roles[role].pid >= 0);
	if (roles[role].pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (role < PRODUCERS)
		produce(t, c, role, roles[role].life);
	else if (role < PRODUCERS + CONSUMERS)
		consume(t, c, role);
	else
		recover_on_and_on(t, c, role);
	_exit(0);
}

struct tally {
	unsigned kills[PLACES];
	unsigned consumers; /* killed */
	unsigned may_lose;
	unsigned stops;
};

/* Kills or stops one role after the other until @kills are done. */
static void
rage(struct mpt *t, struct chaos *c, struct role *roles, unsigned kills,
     uint32_t *next_life, struct mpt_rand *rand, struct tally *tally)
{
	for (unsigned done = 0; done < kills;) {
		int victim = (int)(mpt_rand_next(rand) % ROLES);

		/* Short lives too, for the first calls. */
		wait_us(mpt_rand_next(rand) %
			(mpt_rand_next(rand) % 4 ? 150 : 2000));
		if (mpt_rand_next(rand) % 8 == 0) {
			kill(roles[victim].pid, SIGSTOP);
			wait_us(mpt_rand_next(rand) % 3000);
			kill(roles[victim].pid, SIGCONT);
			tally->stops++;
			continue;
		}
		kill(roles[victim].pid, SIGKILL);
		/* Some at once, so that one can die while it recovers from
		 * another or is waited for. */
		if (mpt_rand_next(rand) % 4 == 0)
			kill(roles[(victim + 1) % ROLES].pid, SIGKILL);
		for (int i = 0; i < ROLES; i++) {
			if (!has_ended(&roles[i], i == victim))
				continue;
			if (reap(t, &roles[i])) {
				done++;
				uint32_t place = atomic_load(&c->place[i]);

				tally->kills[place]++;
				tally->may_lose += may_lose[place];
				tally->consumers += i >= PRODUCERS &&
						    i < PRODUCERS + CONSUMERS;
			}
			start(t, c, roles, i, next_life);
		}
	}
}

static void
settle(struct mpt *t, struct chaos *c, struct role *roles)
{
	atomic_store(&c->stop_producers, 1);
	for (int i = 0; i < PRODUCERS; i++)
		reap(t, &roles[i]);
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
	mpt_until(t, mproc_queue_len(c->q) == 0);
	atomic_store(&c->stop_consumers, 1);
	for (int i = PRODUCERS; i < ROLES; i++)
		reap(t, &roles[i]);
}

static void
account(struct mpt *t, struct chaos *c, uint32_t lives, struct tally *tally)
{
	unsigned long put = 0, lost = 0, arrived = 0;

	for (uint32_t life = 0; life < lives; life++) {
		uint32_t n = atomic_load(&c->put[life]);

		for (uint32_t i = 0; i < n; i++)
			lost += !atomic_load(&c->arrived[life][i]);
		put += n;
		/* One more call may have put something before the kill. */
		for (uint32_t i = n + BATCH; i < PER_LIFE; i++)
			mpt_check(t, !atomic_load(&c->arrived[life][i]));
		for (uint32_t i = 0; i < PER_LIFE; i++)
			arrived += atomic_load(&c->arrived[life][i]);
	}
	print_message("# %lu put, %lu arrived, %lu lost with %u killed "
		      "consumers, %u allowed; stopped %u times\n",
		      put, arrived, lost, tally->consumers, tally->may_lose,
		      tally->stops);
	print_message("# kills:");
	for (int i = 0; i < PLACES; i++)
		print_message(" %s %u%s", place_names[i], tally->kills[i],
			      i + 1 < PLACES ? "," : "\n");
	mpt_check(t, lost <= tally->may_lose);
}

static void
run(struct mpt *t, bool single, unsigned kills, unsigned enough)
{
	struct chaos *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			       0);
	struct mpt_rand rand;
	struct role roles[ROLES] = { 0 };
	struct mproc_arena_stat before, after;
	struct tally tally = { 0 };
	uint32_t lives = 0;

	mpt_rand_init(&rand, mpt_seed());
	mpt_check(t, c != MAP_FAILED);
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
	mpt_check_int(t, mproc_arena_stat(NULL, &before), 0);
	mpt_check_int(t,
		      mproc_queue_create(&c->q,
					 MPROC_OPTS(mproc_queue_opts,
						    .capacity = 8192,
						    .single_consumer = single)),
		      0);
	c->single_consumer = single;
	for (int i = 0; i < ROLES; i++)
		start(t, c, roles, i, &lives);
	rage(t, c, roles, kills, &lives, &rand, &tally);
	settle(t, c, roles);
	account(t, c, lives, &tally);

	/* Lanes are used again, and so is memory of long messages. */
	mpt_check_int(t, mproc_arena_stat(NULL, &after), 0);
	print_message("# used %llu bytes when empty\n",
		      (unsigned long long)(after.used - before.used));
	mpt_check(t, after.used <= before.used + EMPTY_MAX);

	mproc_queue_destroy(c->q);
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
	mpt_check_int(t, mproc_arena_stat(NULL, &after), 0);
	mpt_check_int(t, after.queues, before.queues);
	/* Blocks of further seats stay with the header for the next queue. */
	mpt_check(t, after.used <= before.used + SEATS_STAY);
	mpt_check_int(t, after.participants, before.participants);
	for (int i = FIRST_PUT; i < PLACES; i++)
		if (tally.kills[i] < enough)
			mpt_fail(t, __FILE__, __LINE__,
				 "only %u kills hit %s", tally.kills[i],
				 place_names[i]);
	munmap(c, sizeof(*c));
}

static void
killed_and_stopped(struct mpt *t)
{
	mpt_watchdog(t, chaos_by_level(60, 120, 600));
	if (chaos_has_one_cpu)
		run(t, false, chaos_by_level(500, 2000, 10000), 0);
	else
		run(t, false, chaos_by_level(1500, 8000, 40000),
		    chaos_by_level(20, 100, 100));
}

chaos_both(killed_and_stopped)

static void
the_only_consumer_is_killed(struct mpt *t)
{
	mpt_watchdog(t, chaos_by_level(60, 120, 600));
	if (chaos_has_one_cpu)
		run(t, true, chaos_by_level(200, 500, 10000), 0);
	else
		run(t, true, chaos_by_level(600, 2000, 10000),
		    chaos_by_level(5, 20, 100));
}

chaos_both(the_only_consumer_is_killed)

static int
setup(void **state)
{
	mproc_queue *q;

	(void)state;
	if (mproc_queue_create(&q, NULL) < 0)
		return -1;
	mproc_queue_destroy(q);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(killed_and_stopped),
		chaos_tests(the_only_consumer_is_killed),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
