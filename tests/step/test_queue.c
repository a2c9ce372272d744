/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of each operation on a queue.
 */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena/heap.h"
#include "world.h"

/* The victim's own lane and seat, before the operation begins. */
static void
warm_up(struct world *w)
{
	struct message m = message(BY_VICTIM, 0);

	if (mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT) < 0)
		_exit(1);
}

static void
victim_puts(struct world *w, uint32_t number)
{
	struct message m = message(BY_VICTIM, number);

	mpt_step_begin();
	if (mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT) < 0)
		_exit(1);
	mpt_step_end();
}

static void
put_victim(void *arg)
{
	warm_up(arg);
	victim_puts(arg, 1);
}

/* All of the test's messages, the victim's first, and its second or not. */
static void
put_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	recover();
	drain(w->q, found);
	assert_int_equal(found[BY_TEST].n, w->queued);
	assert_in_range(found[BY_VICTIM].n, finished ? 2 : 1, 2);
	assert_int_equal(found[BY_VICTIM].first, 0);
	world_end(w);
}

static void
killed_in_put(void **state)
{
	struct world w = { .t = *state, .queued = 3 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "put",
		.victim = put_victim,
		.before = world_begin,
		.survivor = put_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

static void
first_put_victim(void *arg)
{
	victim_puts(arg, 0);
}

static void
first_put_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	recover();
	drain(w->q, found);
	assert_int_equal(found[BY_TEST].n, w->queued);
	assert_in_range(found[BY_VICTIM].n, finished ? 1 : 0, 1);
	world_end(w);
}

/* Joining the arena, a seat, a lane of its own, the message. */
static void
killed_in_the_first_put(void **state)
{
	struct world w = { .t = *state, .queued = 3,
			   .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "attach and first put",
		.victim = first_put_victim,
		.before = world_begin,
		.survivor = first_put_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

/* Another process has put something and died; its lane is free. */
static void
with_a_dead_producer(void *arg)
{
	struct world *w = arg;
	pid_t pid;

	world_begin(w);
	pid = fork();
	if (pid == 0) {
		struct message m = message(BY_OTHER, 0);

		if (mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT) == 0)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	recover();
}

static void
take_over_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	recover();
	assert_in_range(mproc_queue_len(w->q), w->queued + 1 + finished,
			w->queued + 2);
	drain(w->q, found);
	assert_int_equal(found[BY_TEST].n, w->queued);
	assert_int_equal(found[BY_OTHER].n, 1);
	assert_in_range(found[BY_VICTIM].n, finished ? 1 : 0, 1);
	world_end(w);
}

static void
killed_while_it_takes_over_a_lane(void **state)
{
	struct world w = { .t = *state, .queued = 2,
			   .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "take-over and put",
		.victim = first_put_victim,
		.before = with_a_dead_producer,
		.survivor = take_over_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

static void
victim_gets(struct world *w)
{
	struct message m;
	size_t len;

	mpt_step_begin();
	if (mproc_queue_get(w->q, &m, sizeof(m), &len, MPROC_NOWAIT) < 0)
		_exit(1);
	mpt_step_end();
	if (m.sender != BY_TEST || !is_whole(&m))
		_exit(1);
}

static void
get_victim(void *arg)
{
	struct world *w = arg;
	struct message m;

	/* The first one attaches. */
	if (mproc_queue_get(w->q, &m, sizeof(m), NULL, MPROC_NOWAIT) < 0)
		_exit(1);
	victim_gets(w);
}

/* At most the one message is lost, and never one from the middle. */
static void
get_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	recover();
	drain(w->q, found);
	assert_in_range(found[BY_TEST].n, w->queued - 2,
			finished ? w->queued - 2 : w->queued - 1);
	assert_int_equal(found[BY_TEST].last, w->queued - 1);
	world_end(w);
}

static void
killed_in_get(void **state)
{
	struct world w = { .t = *state, .queued = 5 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "get, several consumers",
		.victim = get_victim,
		.before = world_begin,
		.survivor = get_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

static void
killed_in_get_of_the_single_consumer(void **state)
{
	struct world w = { .t = *state, .queued = 5,
			   .opts.single_consumer = true };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "get, single consumer",
		.victim = get_victim,
		.before = world_begin,
		.survivor = get_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

static void
first_get_victim(void *arg)
{
	victim_gets(arg);
}

static void
first_get_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct found found[5];

	(void)victim;
	(void)n;
	recover();
	drain(w->q, found);
	assert_in_range(found[BY_TEST].n, w->queued - 1,
			finished ? w->queued - 1 : w->queued);
	assert_int_equal(found[BY_TEST].last, w->queued - 1);
	world_end(w);
}

/* Joining the arena, a seat, the role of the consumer, the message. */
static void
killed_in_the_first_get(void **state)
{
	struct world w = { .t = *state, .queued = 5,
			   .opts.single_consumer = true };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "attach and first get",
		.victim = first_get_victim,
		.before = world_begin,
		.survivor = first_get_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

/* A producer is asleep, and the victim's get makes the room that it needs. */
struct sleepy {
	struct world w;
	pid_t producer;
};

static void
with_a_sleeping_producer(void *arg)
{
	struct sleepy *s = arg;
	struct message m = { 0 };

	world_begin(&s->w);
	s->producer = fork();
	if (s->producer == 0) {
		uint32_t i = 0;

		do
			m = message(BY_OTHER, i++);
		while (mproc_queue_put(s->w.q, &m, sizeof(m), MPROC_NOWAIT) ==
		       0);
		_exit(mproc_queue_put(s->w.q, &m, sizeof(m), mproc_sec(30)) ?
			      1 : 0);
	}
	mpt_until(s->w.t, mpt_task_state(s->producer) == 'S');
}

static void
waking_get_victim(void *arg)
{
	struct sleepy *s = arg;
	struct message m;

	/* One less than what makes enough room. */
	mpt_step_begin();
	if (mproc_queue_get(s->w.q, &m, sizeof(m), NULL, MPROC_NOWAIT) < 0)
		_exit(1);
	mpt_step_end();
}

static void
waking_get_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct sleepy *s = arg;
	struct message m;
	int status;

	(void)victim;
	(void)n;
	(void)finished;
	/* Not a word to the producer: it must notice by itself. One message is
	 * made room for at least, by the victim or by us. */
	assert_int_equal(mproc_queue_get(s->w.q, &m, sizeof(m), NULL,
					 MPROC_NOWAIT), 0);
	assert_true(is_whole(&m));
	assert_int_equal(waitpid(s->producer, &status, 0), s->producer);
	assert_int_equal(status, 0);
	recover();
	while (mproc_queue_get(s->w.q, &m, sizeof(m), NULL, MPROC_NOWAIT) == 0)
		assert_true(is_whole(&m));
	world_end(&s->w);
}

static void
killed_in_a_get_that_makes_room(void **state)
{
	struct sleepy s = { .w = { .t = *state,
				   .opts.capacity = 4096 } };

	mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
		.name = "get that makes room",
		.victim = waking_get_victim,
		.before = with_a_sleeping_producer,
		.survivor = waking_get_survivor,
		.fingerprint = arena_state,
		.every = 1,
		.budget = 40,
		.max_cases = 60,
		.arg = &s,
	}, NULL);
}

/* A consumer is asleep, and the victim's put wakes it. */
static void
with_a_sleeping_consumer(void *arg)
{
	struct sleepy *s = arg;

	world_begin(&s->w);
	s->producer = fork();
	if (s->producer == 0) {
		struct message m;

		_exit(mproc_queue_get(s->w.q, &m, sizeof(m), NULL,
				      mproc_sec(30)) == 0 &&
				      m.sender == BY_VICTIM && is_whole(&m) ?
			      0 : m.sender == BY_SURVIVOR ? 3 : 1);
	}
	mpt_until(s->w.t, mpt_task_state(s->producer) == 'S');
}

static void
waking_put_victim(void *arg)
{
	struct sleepy *s = arg;

	victim_puts(&s->w, 0);
}

static void
waking_put_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct sleepy *s = arg;
	int status;

	(void)victim;
	(void)n;
	recover();
	/* If the victim's message is not in the queue, ours wakes it. */
	put(s->w.q, BY_SURVIVOR, 0);
	assert_int_equal(waitpid(s->producer, &status, 0), s->producer);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3);
	if (finished)
		assert_int_equal(WEXITSTATUS(status), 0);
	recover();
	while (mproc_queue_get(s->w.q, &(struct message){ 0 },
			       sizeof(struct message), NULL, MPROC_NOWAIT) == 0)
		;
	world_end(&s->w);
}

static void
killed_in_a_put_that_wakes(void **state)
{
	struct sleepy s = { .w = { .t = *state,
				   .opts.capacity = 4096 } };

	mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
		.name = "put that wakes",
		.victim = waking_put_victim,
		.before = with_a_sleeping_consumer,
		.survivor = waking_put_survivor,
		.fingerprint = arena_state,
		.every = 1,
		.budget = 100,
		.max_cases = 160,
		.arg = &s,
	}, NULL);
}

static void
sleeping_get_victim(void *arg)
{
	struct world *w = arg;
	struct message m;

	mpt_step_begin();
	/* Polls, announces its sleep, sleeps until it is killed. */
	(void)!mproc_queue_get(w->q, &m, sizeof(m), NULL, MPROC_FOREVER);
	mpt_step_end();
}

static void
nothing_lost_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	world_end(w);
}

static void
killed_on_the_way_to_sleep(void **state)
{
	struct world w = { .t = *state };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "get that sleeps",
		.victim = sleeping_get_victim,
		.before = world_begin,
		.survivor = nothing_lost_survivor,
		.fingerprint = arena_state,
		.budget = 200,
		.arg = &w,
	}, NULL);
}

static void
create_victim(void *arg)
{
	struct world *w = arg;
	mproc_queue *q;

	warm_up(w);
	mpt_step_begin();
	if (mproc_queue_create(&q, NULL) < 0)
		_exit(1);
	mpt_step_end();
	mproc_queue_destroy(q);
}

/* A queue that was created by the dead exists, with nobody to know it: the
 * arena shows it. */
static void
create_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct world *w = arg;
	struct mproc_arena_stat now;
	struct found found[5];

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	drain(w->q, found);
	mproc_queue_destroy(w->q);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_in_range(now.queues, w->before.queues, w->before.queues + 1);
	assert_in_range(now.blocks, w->before.blocks, w->before.blocks + 1);
	assert_int_equal(now.participants, w->before.participants);
}

static void
killed_in_create(void **state)
{
	struct world w = { .t = *state, .queued = 1,
			   .opts.capacity = 4096 };

	mpt_stepper_run(w.t, &(struct mpt_stepper_opts){
		.name = "create",
		.victim = create_victim,
		.before = world_begin,
		.survivor = create_survivor,
		.fingerprint = arena_state,
		.arg = &w,
	}, NULL);
}

static void
first_create_victim(void *arg)
{
	mproc_queue *q;

	(void)arg;
	mproc_free(mproc_alloc(1)); /* joins */
	mpt_step_begin();
	if (mproc_queue_create(&q, NULL) < 0)
		_exit(1);
	mpt_step_end();
}

/* Empties the arena's list of headers, and frees them: no case changes what
 * the next one finds. */
static void
free_headers(void)
{
	const mproc_arena *a = mpr_arena_peek();
	uint64_t offset = atomic_exchange(&a->shm->objects[MPR_KIND_QUEUE], 0);
	struct mpr_block_ref ref;

	while (offset) {
		assert_true(mpr_heap_find(a, offset, &ref));
		ref.block->state = mpr_owner(
			mpr_owner_epoch(ref.block->state) + 1, 0,
			MPR_BLOCK_FREE);
		offset = ((mproc_queue *)mpr_arena_at(a, offset))->next;
	}
}

static void
first_create_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	mproc_queue *q[2];
	struct found found[5];
	void *p;

	(void)arg;
	(void)victim;
	(void)n;
	(void)finished;
	recover();
	for (int i = 0; i < 2; i++)
		assert_int_equal(mproc_queue_create(
			&q[i], MPROC_OPTS(mproc_queue_opts,
					  .capacity = 4096)), 0);
	p = mproc_alloc(sizeof(*q[0]));
	assert_ptr_not_equal(q[0], q[1]);
	assert_ptr_not_equal(p, q[0]);
	assert_ptr_not_equal(p, q[1]);
	for (int i = 0; i < 2; i++) {
		put(q[i], BY_SURVIVOR, 0);
		drain(q[i], found);
		assert_int_equal(found[BY_SURVIVOR].n, 1);
		mproc_queue_destroy(q[i]);
	}
	mproc_free(p);
	free_headers();
}

/* The first header's home is in the arena's header. */
static void
killed_in_the_first_create_of_all(void **state)
{
	_Atomic uint64_t *list =
		&mpr_arena_peek()->shm->objects[MPR_KIND_QUEUE];
	uint64_t first = atomic_exchange(list, 0);

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "first create of all",
		.victim = first_create_victim,
		.survivor = first_create_survivor,
		.fingerprint = arena_state,
		.every = 1,
		.budget = 400,
	}, NULL);
	*list = first;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_put),
		mpt_test(killed_in_the_first_put),
		mpt_test(killed_while_it_takes_over_a_lane),
		mpt_test(killed_in_get),
		mpt_test(killed_in_get_of_the_single_consumer),
		mpt_test(killed_in_the_first_get),
		mpt_test(killed_in_a_get_that_makes_room),
		mpt_test(killed_in_a_put_that_wakes),
		mpt_test(killed_on_the_way_to_sleep),
		mpt_test(killed_in_create),
		mpt_test(killed_in_the_first_create_of_all),
	};

	return cmocka_run_group_tests(tests, world_setup, NULL);
}
