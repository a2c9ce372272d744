/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what puts and gets do now and then: at
 * the lane's end, before another group of lines, with a message of which all lines are
 * taken, and where the message that somebody waits for is in another lane.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/attachment.h"
#include "ipc/turns.h"
#include "ring/lane_fast.h"
#include "world.h"

#define CAPACITY 4096
#define FRAME 64 /* of a message */
#define BATCH 4

static_assert(sizeof(struct message) == FRAME - MPR_FRAME_HEADER, "a line");

static void
put_one(struct world *w, uint32_t number)
{
	struct message m = message(BY_VICTIM, number);

	may_fail(mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT));
}

static void
get_one(struct world *w)
{
	struct message m;

	may_fail(mproc_queue_get(w->q, &m, sizeof(m), NULL, MPROC_NOWAIT));
	if (!is_whole(&m))
		_exit(1);
}

static void
get_batch(struct world *w)
{
	struct message m[BATCH];
	struct iovec msgs[BATCH];

	must_be(mproc_queue_get_many(w->q, m, sizeof(m), msgs, BATCH,
				     MPROC_NOWAIT), BATCH);
	for (int i = 0; i < BATCH; i++)
		if (msgs[i].iov_base != &m[i] || !is_whole(&m[i]))
			_exit(1);
}

/* How many of the victim's messages are left, up to number @last. */
static unsigned
left(struct world *w, uint32_t last)
{
	struct found found[5];
	unsigned n;

	recover();
	drain(w->q, found);
	n = found[BY_VICTIM].n;
	if (n)
		assert_int_equal(found[BY_VICTIM].last, last);
	world_end(w);
	return n;
}

static void
step(struct world *w, const char *name, void (*victim)(void *arg),
     void (*survivor)(void *arg, pid_t victim, unsigned long n, bool finished))
{
	w->opts.capacity = CAPACITY;
	mpt_stepper_run(w->t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = victim,
		.before = world_begin,
		.survivor = survivor,
		.fingerprint = arena_state,
		.arg = w,
	}, NULL);
}

/* The end of the lane. */

#define ODD (48 - MPR_FRAME_HEADER) /* so that no message ends there */
#define BEFORE_END ((CAPACITY - 48) / FRAME - 1)

/* The victim's lane has room for one more message before its end, and padding behind
 * that; it is empty. */
static void
go_to_the_end(struct world *w)
{
	unsigned char odd[ODD] = { 0 };

	may_fail(mproc_queue_put(w->q, odd, ODD, MPROC_NOWAIT));
	may_fail(mproc_queue_get(w->q, odd, ODD, NULL, MPROC_NOWAIT));
	for (uint32_t i = 0; i < BEFORE_END; i++) {
		put_one(w, i);
		get_one(w);
	}
}

static void
put_victim(void *arg)
{
	go_to_the_end(arg);
	put_one(arg, BEFORE_END);
	mpt_step_begin();
	put_one(arg, BEFORE_END + 1);
	mpt_step_end();
}

static void
put_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	recover();
	drain(w->q, found);
	assert_in_range(found[BY_VICTIM].n, finished ? 2 : 1, 2);
	assert_int_equal(found[BY_VICTIM].first, BEFORE_END);
	world_end(w);
}

static void
killed_in_a_put_behind_padding(void **state)
{
	struct world w = { .t = *state };

	step(&w, "put behind padding", put_victim, put_survivor);
}

static void
put_many_victim(void *arg)
{
	struct world *w = arg;
	struct message m[BATCH];
	struct iovec msgs[BATCH];

	go_to_the_end(w);
	for (uint32_t i = 0; i < BATCH; i++) {
		m[i] = message(BY_VICTIM, BEFORE_END + i);
		msgs[i] = (struct iovec){ &m[i], sizeof(m[i]) };
	}
	mpt_step_begin();
	must_be(mproc_queue_put_many(w->q, msgs, BATCH, MPROC_NOWAIT), BATCH);
	mpt_step_end();
}

/* The whole batch, or nothing of it. */
static void
put_many_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	unsigned there = left(arg, BEFORE_END + BATCH - 1);

	(void)victim;
	(void)n;
	assert_true(there == BATCH || (there == 0 && !finished));
}

static void
killed_in_a_put_many_around_the_end(void **state)
{
	struct world w = { .t = *state };

	step(&w, "put_many around the end", put_many_victim, put_many_survivor);
}

static void
get_victim(void *arg)
{
	go_to_the_end(arg);
	for (uint32_t i = 0; i < 3; i++)
		put_one(arg, BEFORE_END + i);
	get_one(arg);
	mpt_step_begin();
	get_one(arg);
	mpt_step_end();
}

static void
get_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	assert_in_range(left(arg, BEFORE_END + 2), 1, finished ? 1 : 2);
}

static void
killed_in_a_get_behind_padding(void **state)
{
	struct world several = { .t = *state };
	struct world single = { .t = *state, .opts.single_consumer = true };

	step(&several, "get behind padding, several consumers", get_victim,
	     get_survivor);
	step(&single, "get behind padding, single consumer", get_victim,
	     get_survivor);
}

static void
get_many_victim(void *arg)
{
	go_to_the_end(arg);
	for (uint32_t i = 0; i <= BATCH; i++)
		put_one(arg, BEFORE_END + i);
	mpt_step_begin();
	get_batch(arg);
	mpt_step_end();
}

/* The whole batch is gone, or nothing of it. */
static void
get_many_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	unsigned there = left(arg, BEFORE_END + BATCH);

	(void)victim;
	(void)n;
	assert_true(there == 1 || (there == 1 + BATCH && !finished));
}

static void
killed_in_a_get_many_around_the_end(void **state)
{
	struct world several = { .t = *state };
	struct world single = { .t = *state, .opts.single_consumer = true };

	step(&several, "get_many around the end, several consumers",
	     get_many_victim, get_many_survivor);
	step(&single, "get_many around the end, single consumer",
	     get_many_victim, get_many_survivor);
}

/* Lines that are taken. */

#define LINES 20 /* with a message in each, in a lane that is not half full */

static_assert(FRAME == MPR_LINE && LINES >= 2 * MPR_TAKE_LINES + BATCH,
	      "a group is taken");

static void
put_lines(struct world *w)
{
	for (uint32_t i = 0; i < LINES; i++)
		put_one(w, i);
}

/* Its frame is the last one before a group. */
static void
line_victim(void *arg)
{
	put_lines(arg);
	for (int i = 0; i < MPR_TAKE_LINES - 1; i++)
		get_one(arg);
	mpt_step_begin();
	get_one(arg);
	mpt_step_end();
}

static void
line_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	unsigned rest = LINES - MPR_TAKE_LINES;

	(void)victim;
	(void)n;
	assert_in_range(left(arg, LINES - 1), rest, finished ? rest : rest + 1);
}

static void
killed_in_a_get_that_takes_lines(void **state)
{
	struct world several = { .t = *state };
	struct world single = { .t = *state, .opts.single_consumer = true };

	step(&several, "get that takes lines, several consumers", line_victim,
	     line_survivor);
	step(&single, "get that takes lines, single consumer", line_victim,
	     line_survivor);
}

static void
lines_victim(void *arg)
{
	put_lines(arg);
	for (int i = 0; i < MPR_TAKE_LINES - 2; i++)
		get_one(arg);
	mpt_step_begin();
	get_batch(arg);
	mpt_step_end();
}

static void
lines_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	unsigned rest = LINES - (MPR_TAKE_LINES - 2) - BATCH;
	unsigned there = left(arg, LINES - 1);

	(void)victim;
	(void)n;
	assert_true(there == rest || (there == rest + BATCH && !finished));
}

static void
killed_in_a_get_many_that_takes_lines(void **state)
{
	struct world several = { .t = *state };
	struct world single = { .t = *state, .opts.single_consumer = true };

	step(&several, "get_many that takes lines, several consumers",
	     lines_victim, lines_survivor);
	step(&single, "get_many that takes lines, single consumer",
	     lines_victim, lines_survivor);
}

/* A message of which all lines are taken, on the way. */
struct long_message {
	struct message part[MPR_TAKE_ALL / sizeof(struct message) + 1];
};

#define PARTS (sizeof(struct long_message) / sizeof(struct message))
#define LONGS 3

static void
put_long(struct world *w, uint32_t number)
{
	struct long_message m;

	for (size_t i = 0; i < PARTS; i++)
		m.part[i] = message(BY_VICTIM, number);
	may_fail(mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT));
}

/* Returns its number, or an error. */
static int
get_long(struct world *w)
{
	struct long_message m;
	size_t len;
	int r = mproc_queue_get(w->q, &m, sizeof(m), &len, MPROC_NOWAIT);

	if (r < 0)
		return r;
	for (size_t i = 0; i < PARTS; i++)
		if (len != sizeof(m) || !is_whole(&m.part[i]) ||
		    m.part[i].number != m.part[0].number)
			return -EPROTO;
	return (int)m.part[0].number;
}

static void
long_victim(void *arg)
{
	for (uint32_t i = 0; i < LONGS; i++)
		put_long(arg, i);
	must_be(get_long(arg), 0);
	mpt_step_begin();
	must_be(get_long(arg), 1);
	mpt_step_end();
}

static void
long_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	int first;

	(void)victim;
	(void)n;
	recover();
	first = get_long(arg);
	assert_true(first == 2 || (first == 1 && !finished));
	if (first == 1)
		assert_int_equal(get_long(arg), 2);
	assert_int_equal(get_long(arg), -EAGAIN);
	world_end(arg);
}

static void
killed_in_a_get_of_a_long_message(void **state)
{
	struct world w = { .t = *state, .opts.single_consumer = true };

	step(&w, "get of a long message, single consumer", long_victim,
	     long_survivor);
}

/* An answer. Two attempts look at so many lanes, but for the last one. */
#define LANES (2 * MPR_LOOKS + 2)

static sem_t has_put;

static void *
put_and_stay(void *arg)
{
	struct world *w = arg;
	struct message m = message(BY_OTHER, 0);

	may_fail(mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT));
	sem_post(&has_put);
	for (;;)
		pause();
	return NULL;
}

/* There are these lanes, and a message in the last one. */
static void
with_many_lanes(void *arg)
{
	struct world *w = arg;
	pthread_t thread;
	pid_t pid;
	int status;

	world_begin(w);
	pid = fork();
	if (pid == 0) {
		must_be(sem_init(&has_put, 0, 0), 0);
		for (int i = 0; i < LANES; i++) {
			if (i)
				get_one(w);
			must_be(pthread_create(&thread, NULL, put_and_stay, w),
				0);
			sem_wait(&has_put);
		}
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	recover();
}

/* Has put something, and is alone on its CPU, as far as it knows. */
static void
answer_victim(void *arg)
{
	struct world *w = arg;
	struct mpr_attachment *at;
	struct message m;

	put_one(w, 0);
	get_one(w);
	at = mpr_attachment_present(w->q);
	if (!at || at->n_consumers != LANES || at->cursor)
		_exit(1);
	at->yields.left = 1;
	at->yields.alone = 1;
	mpt_step_begin();
	may_fail(mproc_queue_get(w->q, &m, sizeof(m), NULL, mproc_sec(30)));
	mpt_step_end();
	if (m.sender != BY_OTHER || !is_whole(&m))
		_exit(1);
}

static void
answer_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	recover();
	drain(w->q, found);
	assert_in_range(found[BY_OTHER].n, 0, finished ? 0 : 1);
	world_end(w);
}

static void
step_to_an_answer(struct world *w, const char *name)
{
	w->opts.capacity = CAPACITY;
	/* Seats for so many stay with the header, once they were needed. */
	with_many_lanes(w);
	mproc_queue_destroy(w->q);
	mpt_stepper_run(w->t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = answer_victim,
		.before = with_many_lanes,
		.survivor = answer_survivor,
		.fingerprint = arena_state,
		.arg = w,
	}, NULL);
}

static void
killed_in_a_get_that_looks_for_an_answer(void **state)
{
	struct world several = { .t = *state };
	struct world single = { .t = *state, .opts.single_consumer = true };

	step_to_an_answer(&several, "answer, several consumers");
	step_to_an_answer(&single, "answer, single consumer");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_a_put_behind_padding),
		mpt_test(killed_in_a_put_many_around_the_end),
		mpt_test(killed_in_a_get_behind_padding),
		mpt_test(killed_in_a_get_many_around_the_end),
		mpt_test(killed_in_a_get_that_takes_lines),
		mpt_test(killed_in_a_get_many_that_takes_lines),
		mpt_test(killed_in_a_get_of_a_long_message),
		mpt_test(killed_in_a_get_that_looks_for_an_answer),
	};

	return cmocka_run_group_tests(tests, world_setup, NULL);
}
