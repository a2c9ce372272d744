/* SPDX-License-Identifier: MIT */
/*
 * Producers and consumers of a queue with .ack and .max_items, and a process
 * that does nothing but recover, are killed, stopped and replaced at random.
 * Consumers do messages, give them back, look at them in place. Some messages kill
 * whoever takes them.
 *
 * What is allowed: what was being put when its producer was killed may have been
 * put or not. Nothing else: each message is done, or a dead letter; nobody has
 * one that somebody has who lives; a dead letter's killers are consumers that
 * were killed, or readers of dead letters; there are never more messages than
 * .max_items; join ends; nothing is left in the arena.
 *
 * Each role notes in shared memory what it is doing, as in test_queue.c.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "ipc/message_block.h"
#include "level.h"
#include "mpt_rand.h"
#include "role.h"

#define PRODUCERS 3
#define CONSUMERS 3
#define ROLES (PRODUCERS + CONSUMERS + 1) /* and one that recovers */
#define LIVES 30000			  /* of producers, in a run */
#define PER_LIFE 1024			  /* messages in a life */
#define MAX_ITEMS 20
#define REDELIVERIES 2
#define SEATS_STAY 1024 /* bytes, as in test_queue.c */

enum place { OUTSIDE, FIRST_PUT, PUT, FIRST_GET, GET, PEEK, HOLDING, DO, REQUEUE,
	     RECOVER, PLACES };

static const char *const place_names[] = {
	"outside", "first put", "put", "first get", "get", "peek", "holding",
	"task_done", "requeue", "recovery",
};

struct message {
	uint32_t life;
	uint32_t number;
	uint64_t check;
};

struct letter {
	struct mproc_dead_letter head;
	struct message m;
};

/* Shared with all roles. */
struct chaos {
	_Atomic uint32_t stop_producers;
	_Atomic uint32_t stop_consumers;
	_Atomic uint32_t place[ROLES];
	/* Messages of each life that were put for certain. */
	_Atomic uint32_t put[LIVES];
	/* Who has it: a pid while it is known to live, 0 for nobody; and whether
	 * it is done, or was read as a dead letter. Sparse. */
	_Atomic uint32_t holder[LIVES][PER_LIFE];
	_Atomic unsigned char done[LIVES][PER_LIFE];
	_Atomic unsigned char dead[LIVES][PER_LIFE];
	/* By pid: 1 a consumer that is killed, 2 one that ever was. */
	_Atomic unsigned char killed[1 << 22];
	mproc_queue *q;
	mproc_queue *dlq;
};

static struct message
make(uint32_t life, uint32_t number)
{
	return (struct message){
		.life = life,
		.number = number,
		.check = (life + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ number,
	};
}

static void
verify(struct mpt *t, const struct message *m, size_t len)
{
	mpt_check_int(t, len, sizeof(*m));
	mpt_check(t, m->life < LIVES && m->number < PER_LIFE);
	mpt_check(t, m->check == make(m->life, m->number).check);
}

static bool
kills_takers(const struct message *m)
{
	return m->number == 40 && m->life % 4 == 0;
}

static void
produce(struct mpt *t, struct chaos *c, int role, uint32_t life)
{
	for (uint32_t number = 0; number < PER_LIFE; number++) {
		struct message m = make(life, number);
		int r;

		if (atomic_load(&c->stop_producers))
			return;
		atomic_store(&c->place[role], number ? PUT : FIRST_PUT);
		do
			r = mproc_queue_put(c->q, &m, sizeof(m), mproc_ms(100));
		while (r == -ETIMEDOUT && !atomic_load(&c->stop_producers));
		/* Known before it is over: what is lost afterwards counts. */
		if (r == 0)
			atomic_store(&c->put[life], number + 1);
		atomic_store(&c->place[role], OUTSIDE);
		if (r == -ETIMEDOUT)
			return;
		mpt_check_int(t, r, 0);
	}
}

/* Whether somebody lives that has this pid and was not killed for it. */
static bool
lives(const struct chaos *c, uint32_t pid)
{
	return !(atomic_load(&c->killed[pid]) & 1) && kill((pid_t)pid, 0) == 0 &&
	       mpt_task_state((pid_t)pid) != 'Z' &&
	       mpt_task_state((pid_t)pid) != 'X' &&
	       mpt_task_state((pid_t)pid) != 0;
}

/* Nobody else has the message, who lives. */
static void
hold(struct mpt *t, struct chaos *c, const struct message *m)
{
	_Atomic uint32_t *holder = &c->holder[m->life][m->number];
	uint32_t before = atomic_exchange(holder, (uint32_t)getpid());

	mpt_check_int(t, atomic_load(&c->done[m->life][m->number]), 0);
	mpt_check_int(t, atomic_load(&c->dead[m->life][m->number]), 0);
	if (before && before != (uint32_t)getpid())
		mpt_check(t, !lives(c, before));
}

static void
consume(struct mpt *t, struct chaos *c, int role)
{
	bool first = true;
	struct message m;

	for (unsigned n = 0; !atomic_load(&c->stop_consumers); n++) {
		bool peek = n % 3 == 2;
		const void *p = NULL;
		size_t len;
		int r;

		atomic_store(&c->place[role], first ? FIRST_GET :
					      peek  ? PEEK : GET);
		r = peek ? mproc_queue_peek(c->q, &p, &len, mproc_ms(100)) :
			   mproc_queue_get(c->q, &m, sizeof(m), &len,
					   mproc_ms(100));
		atomic_store(&c->place[role], HOLDING);
		if (r == -ETIMEDOUT)
			continue;
		mpt_check_int(t, r, 0);
		first = false;
		if (peek) {
			memcpy(&m, p, sizeof(m));
			mpt_check_int(t, mproc_queue_release(c->q, p), 0);
		}
		verify(t, &m, len);
		hold(t, c, &m);
		if (kills_takers(&m) && !atomic_load(&c->stop_producers)) {
			atomic_store(&c->killed[getpid()], 3);
			raise(SIGKILL);
		}
		for (volatile int i = 0; i < 500; i++)
			;
		mpt_check_int(t, atomic_load(&c->holder[m.life][m.number]),
			      getpid());
		if (n % 5 == 4) {
			/* No more than this: others may have it at once. */
			atomic_store(&c->holder[m.life][m.number], 0);
			atomic_store(&c->place[role], REQUEUE);
			r = mproc_queue_requeue(c->q);
		} else {
			atomic_store(&c->place[role], DO);
			r = mproc_queue_task_done(c->q);
			if (r == 0)
				atomic_store(&c->done[m.life][m.number], 1);
		}
		mpt_check_int(t, r, 0);
		atomic_store(&c->place[role], OUTSIDE);
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
	mpt_check(t, *next_life < LIVES);
	if (role < PRODUCERS)
		roles[role].life = (*next_life)++;
	atomic_store(&c->place[role], OUTSIDE);
	roles[role].pid = fork();
	mpt_check(t, roles[role].pid >= 0);
	if (roles[role].pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The same id was another's, perhaps. */
	atomic_fetch_and(&c->killed[getpid()], 2);
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
	unsigned letters;
	unsigned most; /* messages at the same time, as far as was seen */
	unsigned stops;
};

/* Each word is read once: what moves between two looks may be counted twice, but
 * what one look finds in blocks is not more than there are. */
static void
look_at_bound(struct mpt *t, struct chaos *c, struct tally *tally)
{
	const struct mpr_message_group *group;
	struct mproc_queue_stat st;

	mpt_check_int(t, mproc_queue_stat(c->q, &st), 0);
	if (st.held + st.dead_letters > tally->most)
		tally->most = (unsigned)(st.held + st.dead_letters);
	mpt_check(t, st.held <= MAX_ITEMS && st.dead_letters <= MAX_ITEMS);
	if (!c->q->blocks)
		return;
	/* What is behind the bound is never used. */
	group = mpr_arena_at(mpr_arena_peek(), c->q->blocks);
	for (unsigned i = MAX_ITEMS; i < MPR_MESSAGE_GROUP; i++)
		mpt_check_int(t, group->block[i].state, 0);
}

static void
read_letters(struct mpt *t, struct chaos *c, struct tally *tally)
{
	struct letter l;
	size_t len;
	int r;

	while ((r = mproc_queue_get(c->dlq, &l, sizeof(l), &len,
				    MPROC_NOWAIT)) == 0) {
		verify(t, &l.m, len - sizeof(l.head));
		mpt_check(t, l.head.deaths == REDELIVERIES + 1);
		mpt_check_int(t, l.head.n_killers, l.head.deaths);
		for (unsigned i = 0; i < l.head.n_killers; i++)
			mpt_check(t, c->killed[l.head.killer[i].pid] & 2);
		mpt_check_int(t, c->dead[l.m.life][l.m.number], 0);
		mpt_check_int(t, c->done[l.m.life][l.m.number], 0);
		c->dead[l.m.life][l.m.number] = 1;
		tally->letters++;
	}
	mpt_check_int(t, r, -EAGAIN);
}

static void
strike(struct chaos *c, struct role *roles, int victim)
{
	if (victim >= PRODUCERS && victim < PRODUCERS + CONSUMERS)
		atomic_store(&c->killed[roles[victim].pid], 3);
	kill(roles[victim].pid, SIGKILL);
}

/* All of them stand still at the same time, but one. */
static void
storm(struct role *roles, int but, uint64_t us)
{
	for (int i = 0; i < ROLES; i++)
		if (i != but)
			kill(roles[i].pid, SIGSTOP);
	wait_us(us);
	for (int i = 0; i < ROLES; i++)
		kill(roles[i].pid, SIGCONT);
}

/* Waits for role @i, which is to end. Returns whether it was killed, and counts
 * where. */
static bool
count(struct mpt *t, struct chaos *c, struct role *roles, int i,
      struct tally *tally)
{
	bool killed = reap(t, &roles[i]);

	tally->kills[atomic_load(&c->place[i])] += killed;
	return killed;
}

/* Kills or stops one role after the other until @kills are done. */
static void
rage(struct mpt *t, struct chaos *c, struct role *roles, unsigned kills,
     uint32_t *next_life, struct mpt_rand *rand, struct tally *tally)
{
	for (unsigned done = 0; done < kills;) {
		int victim = (int)mpt_rand_below(rand, ROLES);
		uint64_t most = mpt_rand_below(rand, 4) ? 150 : 2000;

		wait_us(mpt_rand_below(rand, most));
		look_at_bound(t, c, tally);
		read_letters(t, c, tally);
		if (mpt_rand_below(rand, 8) == 0) {
			storm(roles, victim, mpt_rand_below(rand, 3000));
			tally->stops++;
			continue;
		}
		strike(c, roles, victim);
		/* Some at once, as in test_queue.c. */
		if (mpt_rand_below(rand, 4) == 0)
			strike(c, roles, (victim + 1) % ROLES);
		for (int i = 0; i < ROLES; i++) {
			if (!has_ended(&roles[i], i == victim))
				continue;
			done += count(t, c, roles, i, tally);
			start(t, c, roles, i, next_life);
		}
	}
}

static void
settle(struct mpt *t, struct chaos *c, struct role *roles, uint32_t *next_life,
       struct tally *tally)
{
	siginfo_t info = { 0 };
	int r;

	atomic_store(&c->stop_producers, 1);
	/* They may wait for room that dead letters have. */
	read_letters(t, c, tally);
	/* Some of the last were killed and not waited for. */
	for (int i = 0; i < PRODUCERS; i++)
		count(t, c, roles, i, tally);
	while ((r = mproc_queue_join(c->q, mproc_ms(20))) != 0) {
		mpt_check(t, r == -EOWNERDEAD || r == -ETIMEDOUT);
		read_letters(t, c, tally);
		/* Those that messages have killed. */
		for (int i = PRODUCERS; i < ROLES; i++)
			if (waitid(P_PID, (id_t)roles[i].pid, &info,
				   WEXITED | WNOWAIT | WNOHANG) == 0 &&
			    info.si_pid && count(t, c, roles, i, tally))
				start(t, c, roles, i, next_life);
	}
	mpt_check_int(t, r, 0);
	atomic_store(&c->stop_consumers, 1);
	for (int i = PRODUCERS; i < ROLES; i++)
		count(t, c, roles, i, tally);
}

static void
account(struct mpt *t, struct chaos *c, uint32_t lives, struct tally *tally)
{
	unsigned long put = 0, done = 0, unsaid = 0;

	for (uint32_t life = 0; life < lives; life++) {
		uint32_t n = atomic_load(&c->put[life]);

		put += n;
		for (uint32_t i = 0; i < n; i++) {
			done += c->done[life][i];
			/* Who does it may be killed before it says so. */
			unsaid += !c->done[life][i] && !c->dead[life][i];
		}
		for (uint32_t i = n + 1; i < PER_LIFE; i++)
			mpt_check(t, !c->holder[life][i] && !c->done[life][i]);
	}
	print_message("# %lu put, %lu done, %lu done by the killed, %u dead "
		      "letters; %u held or dead at once; %u storms\n", put,
		      done, unsaid, tally->letters, tally->most, tally->stops);
	print_message("# kills:");
	for (int i = 0; i < PLACES; i++)
		print_message(" %s %u%s", place_names[i], tally->kills[i],
			      i + 1 < PLACES ? "," : "\n");
	mpt_check(t, unsaid <= tally->kills[DO]);
	mpt_check(t, tally->letters > 0);
}

/* So many fit again, and no more. */
static void
fill_up(struct mpt *t, struct chaos *c)
{
	struct message m = make(0, 0);

	for (int i = 0; i < MAX_ITEMS; i++)
		mpt_check_int(t, mproc_queue_put(c->q, &m, sizeof(m),
						 MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_put(c->q, &m, sizeof(m), MPROC_NOWAIT),
		      -EAGAIN);
}

static void
run(struct mpt *t, unsigned kills, unsigned enough)
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
	mpt_check_int(t, mproc_queue_create(&c->q, MPROC_OPTS(
		mproc_queue_opts, .capacity = 8192, .ack = true,
		.max_redeliveries = REDELIVERIES, .max_items = MAX_ITEMS)), 0);
	mpt_check_int(t, mproc_queue_dead_letters(c->q, &c->dlq), 0);
	for (int i = 0; i < ROLES; i++)
		start(t, c, roles, i, &lives);
	rage(t, c, roles, kills, &lives, &rand, &tally);
	settle(t, c, roles, &lives, &tally);
	account(t, c, lives, &tally);
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
	fill_up(t, c);

	mproc_queue_destroy(c->q);
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
	mpt_check_int(t, mproc_arena_stat(NULL, &after), 0);
	mpt_check_int(t, after.queues, before.queues);
	/* Blocks of further seats stay with the headers for the next queue. */
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
		run(t, chaos_by_level(300, 1500, 8000), 0);
	else
		run(t, chaos_by_level(1000, 6000, 30000),
		    chaos_by_level(1, 10, 50));
}

chaos_both(killed_and_stopped)

static int
setup(void **state)
{
	mproc_queue *q;

	(void)state;
	if (mproc_queue_create(&q, MPROC_OPTS(mproc_queue_opts,
					      .ack = true)) < 0)
		return -1;
	mproc_queue_destroy(q);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(killed_and_stopped),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
