/* SPDX-License-Identifier: MIT */
/*
 * What step tests of queues that keep their messages start from, and what must
 * hold after any kill:
 *
 * - each message is done, or there once, and nobody has it;
 * - so many takers died with it as did, and they are who is told of. That is
 *   seen when more takers are killed, until the message is a dead letter;
 * - join ends, and so does all that world.h asks for.
 */
#ifndef STEP_KEEP_H
#define STEP_KEEP_H

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

/* The blocks' header, and that of the first messages. */
#define BLOCKS_SEEN (9 * 64)

#define NOTHING 100 /* an exit code */

struct scene {
	struct world w;
	mproc_queue *dlq;
	/* Who died with the first @n_dead_with messages before the operation. */
	pid_t killer[4];
	unsigned n_killers;
	unsigned n_dead_with;
	pid_t other;
};

/* What may have become of one of the test's messages. */
struct fate {
	unsigned least, most; /* it died with the victim so many times */
	enum { NOT_DONE, MAYBE_DONE, DONE } done;
};

struct letter {
	struct mproc_dead_letter head;
	struct message m;
};

static inline struct mproc_queue_stat
look(mproc_queue *q)
{
	struct mproc_queue_stat st;

	assert_int_equal(mproc_queue_stat(q, &st), 0);
	return st;
}

/* A child takes the test's message @number. */
static inline void
take(mproc_queue *q, uint32_t number)
{
	struct message m;
	size_t len;

	may_fail(mproc_queue_get(q, &m, sizeof(m), &len, MPROC_NOWAIT));
	if (len != sizeof(m) || !is_whole(&m) || m.sender != BY_TEST ||
	    m.number != number)
		_exit(1);
}

static inline void
wait_for_signal(pid_t pid, int signal)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), signal);
}

/* A process dies with the first @n messages, and nobody has noticed. */
static inline pid_t
die_with(mproc_queue *q, uint32_t from, unsigned n)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		for (uint32_t i = from; i < from + n; i++)
			take(q, i);
		kill(getpid(), SIGKILL);
	}
	wait_for_signal(pid, SIGKILL);
	return pid;
}

/* A fresh queue, with one who died with the first @n_dead_with messages if there
 * are any such. */
static inline void
begin(void *arg)
{
	struct scene *s = arg;

	world_begin(&s->w);
	s->dlq = NULL;
	s->n_killers = 0;
	if (s->w.opts.ack || s->w.opts.joinable)
		assert_int_equal(mproc_queue_dead_letters(s->w.q, &s->dlq), 0);
	if (s->n_dead_with)
		s->killer[s->n_killers++] =
			die_with(s->w.q, 0, s->n_dead_with);
}

/* The number of the test's message that is the next, or -1. A child looks, as the
 * test must not be the single consumer. */
static inline int
next_number(mproc_queue *q)
{
	struct message m;
	size_t len;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (mproc_queue_get(q, &m, sizeof(m), &len, MPROC_NOWAIT) ==
		    -EAGAIN)
			_exit(NOTHING);
		if (len != sizeof(m) || !is_whole(&m) || m.sender != BY_TEST ||
		    mproc_queue_requeue(q) < 0)
			_exit(NOTHING + 1);
		_exit((int)m.number);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	recover();
	assert_true(WIFEXITED(status));
	assert_in_range(WEXITSTATUS(status), 0, NOTHING);
	return WEXITSTATUS(status) == NOTHING ? -1 : WEXITSTATUS(status);
}

/* The only dead letter, of this message. */
static inline struct letter
read_letter(mproc_queue *dlq, uint32_t number)
{
	struct letter letter;
	size_t len;

	assert_int_equal(mproc_queue_len(dlq), 1);
	assert_int_equal(mproc_queue_get(dlq, &letter, sizeof(letter), &len,
					 MPROC_NOWAIT), 0);
	assert_int_equal(len, sizeof(letter));
	assert_true(is_whole(&letter.m));
	assert_int_equal(letter.m.number, number);
	return letter;
}

/* How many deaths make a dead letter. */
static inline unsigned
too_many(const struct scene *s)
{
	return s->w.opts.ack ? (unsigned)s->w.opts.max_redeliveries + 1 : 1;
}

/*
 * Kills takers of message @number, the next one to be taken, until it is a dead
 * letter, and reads that. Returns how often the victim was its killer.
 */
static inline unsigned
count_deaths(struct scene *s, uint32_t number, pid_t victim)
{
	unsigned before = number < s->n_dead_with ? s->n_killers : 0;
	unsigned kills = 0, by_victim;
	struct letter letter;
	pid_t pids[4];

	while (mproc_queue_len(s->dlq) == 0) {
		assert_in_range(kills, 0, too_many(s) - 1);
		pids[kills++] = die_with(s->w.q, number, 1);
		recover();
		assert_int_equal(look(s->w.q).held, 0);
	}
	letter = read_letter(s->dlq, number);
	assert_int_equal(letter.head.deaths, too_many(s));
	assert_int_equal(letter.head.n_killers, too_many(s));
	assert_in_range(before + kills, 0, too_many(s));
	by_victim = too_many(s) - before - kills;
	for (unsigned i = 0; i < too_many(s); i++)
		assert_int_equal(letter.head.killer[i].pid,
				 i < before ? s->killer[i] :
				 i < before + by_victim ? victim :
				 pids[i - before - by_victim]);
	return by_victim;
}

/* Of each of the test's messages. */
static inline void
expect_fates(struct scene *s, pid_t victim, const struct fate *fates)
{
	for (uint32_t i = 0; i < s->w.queued; i++) {
		bool there = mproc_queue_len(s->dlq) ||
			     next_number(s->w.q) == (int)i;

		if (fates[i].done != MAYBE_DONE)
			assert_int_equal(there, fates[i].done == NOT_DONE);
		if (there)
			assert_in_range(count_deaths(s, i, victim),
					fates[i].least, fates[i].most);
	}
}

/* Nothing is left, and it works. */
static inline void
end(struct scene *s)
{
	struct mproc_queue_stat st;
	struct message m;

	assert_int_equal(mproc_queue_get(s->w.q, &m, sizeof(m), NULL,
					 MPROC_NOWAIT), -EAGAIN);
	st = look(s->w.q);
	assert_int_equal(st.depth, 0);
	assert_int_equal(st.held, 0);
	assert_int_equal(st.dead_letters, 0);
	assert_int_equal(mproc_queue_len(s->dlq), 0);
	assert_int_equal(mproc_queue_join(s->w.q, mproc_sec(10)), 0);
	for (size_t i = 0; i < s->w.opts.max_items; i++)
		put(s->w.q, BY_SURVIVOR, (uint32_t)i);
	if (s->w.opts.max_items) {
		m = message(BY_SURVIVOR, 0);
		assert_int_equal(mproc_queue_put(s->w.q, &m, sizeof(m),
						 MPROC_NOWAIT), -EAGAIN);
	}
	for (size_t i = 0; i < s->w.opts.max_items; i++) {
		assert_int_equal(mproc_queue_get(s->w.q, &m, sizeof(m), NULL,
						 MPROC_NOWAIT), 0);
		assert_int_equal(m.number, i);
		assert_int_equal(mproc_queue_task_done(s->w.q), 0);
	}
	world_end(&s->w);
}

/* What else the operation changes: the first blocks, and the dead letters. */
static inline uint64_t
kept_state(void *arg)
{
	const mproc_arena *a = mpr_arena_peek();
	struct scene *s = arg;
	uint64_t h = arena_state(&s->w), group = s->w.q ? s->w.q->blocks : 0;

	if (s->dlq)
		h = hash(h, s->dlq, sizeof(*s->dlq));
	return group ? hash(h, mpr_arena_at(a, group), BLOCKS_SEEN) : h;
}

static inline void
step(struct scene *s, const char *name, void (*before)(void *arg),
     void (*victim)(void *arg),
     void (*survivor)(void *arg, pid_t victim, unsigned long n, bool finished))
{
	mpt_stepper_run(s->w.t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = victim,
		.before = before,
		.survivor = survivor,
		.fingerprint = kept_state,
		.every = 120,
		.budget = 80,
		.arg = s,
	}, NULL);
}

/* Makes what is made once: the arena, both headers, our slot. */
static inline int
keep_setup(void **state)
{
	struct mproc_queue_opts o = { .struct_size = sizeof(o), .ack = true };
	mproc_queue *q;

	(void)state;
	if (mproc_queue_create(&q, &o) < 0)
		return -1;
	mproc_queue_destroy(q);
	return 0;
}

#endif
