/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of starting another, of being
 * started, of ending, and of waiting for one that has ended.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/generation.h"
#include "process/children.h"
#include "process/handle.h"
#include "process/setup.h"
#include "world.h"

#define CODE 7

/* Longer than any child here lives on after its parent, or is waited for. */
#define BOUND (5 * INT64_C(1000000000))

/* The queue's own world, and the child that the victim is. */
struct family {
	struct world world; /* first: arena_state() looks at it */
	struct mpr_record *record;
	bool exits;
	bool options; /* the child changes itself before its entry */
};

static const char *const environment[] = { "A=one", NULL };

/* All that a child can be asked to change; @cpu is one that there is. */
static struct mproc_process_opts
all_options(const int *cpu)
{
	return (struct mproc_process_opts){
		.struct_size = sizeof(struct mproc_process_opts),
		.env = environment,
		.cwd = "/",
		.cpus = cpu,
		.n_cpus = 1,
		.n_keep_fds = -1,
		.stdin_ = { MPROC_STDIO_NULL, 0 },
		.stdout_ = { MPROC_STDIO_FD, STDERR_FILENO },
	};
}

static struct message
take_part(struct world *w, uint32_t sender)
{
	struct message m = message(sender, 0);

	if (mproc_queue_put(w->q, &m, sizeof(m), MPROC_NOWAIT) < 0)
		_exit(1);
	return m;
}

/* An entry that holds a seat and a lane, and waits for its parent's end. */
static int
put_and_stay(void *arg)
{
	take_part(arg, BY_OTHER);
	while (pause() < 0)
		;
	return 1;
}

static int
stay(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return 1;
}

static int
return_at_once(void *arg)
{
	(void)arg;
	return CODE;
}

static void
do_nothing(void *arg)
{
	(void)arg;
}

static void
start(mproc_process **ret_p, mproc_entry *fn, void *arg, bool daemon)
{
	if (mproc_process_start(ret_p, fn, arg,
				MPROC_OPTS(mproc_process_opts,
					   .daemon = daemon)) < 0)
		_exit(1);
}

/* All that the dead and their children had is given back, nobody is left, and
 * what was put is whole. */
static void
nothing_is_left(struct world *w, unsigned children)
{
	int64_t began = mproc_now();
	struct found found[5];

	assert_in_range(mpt_reap_orphans(w->t), 0, children);
	assert_true(mproc_now() - began < BOUND);
	assert_true(mproc_arena_recover(NULL) >= 0);
	drain(w->q, found);
	assert_int_equal(found[BY_TEST].n, w->queued);
	assert_in_range(found[BY_OTHER].n, 0, children);
	world_end(w);
}

static void
start_victim(void *arg)
{
	struct family *f = arg;
	mproc_process *p;

	/* What is made once is there already, and we have a seat. */
	take_part(&f->world, BY_VICTIM);
	start(&p, return_at_once, &f->world, false);
	if (mproc_process_join(p, MPROC_FOREVER) < 0)
		_exit(1);
	mproc_process_close(p);
	mpt_step_begin();
	start(&p, put_and_stay, &f->world, false);
	mpt_step_end();
}

static void
start_with_options_victim(void *arg)
{
	struct family *f = arg;
	int cpu = sched_getcpu();
	const struct mproc_process_opts opts = all_options(&cpu);
	mproc_process *p;

	take_part(&f->world, BY_VICTIM);
	start(&p, return_at_once, &f->world, false);
	if (mproc_process_join(p, MPROC_FOREVER) < 0)
		_exit(1);
	mproc_process_close(p);
	mpt_step_begin();
	if (mproc_process_start(&p, put_and_stay, &f->world, &opts) < 0)
		_exit(1);
	mpt_step_end();
}

/* The child, if there was one, has gone with its parent. */
static void
start_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct family *f = arg;

	(void)victim;
	(void)n;
	(void)finished;
	nothing_is_left(&f->world, 1);
}

static void
killed_in_start(void **state)
{
	struct family f = { .world = { .t = *state, .queued = 2,
				       .opts.capacity = 4096 } };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "start",
		.victim = start_victim,
		.before = world_begin,
		.survivor = start_survivor,
		.arg = &f,
		.every = 200,
		.budget = 150,
		.forks = true,
	}, NULL);
}

static void
killed_in_a_start_with_options(void **state)
{
	struct family f = { .world = { .t = *state, .queued = 2,
				       .opts.capacity = 4096 } };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "start with options",
		.victim = start_with_options_victim,
		.before = world_begin,
		.survivor = start_survivor,
		.arg = &f,
		.every = 1,
		.budget = 120,
		.forks = true,
	}, NULL);
}

static void
first_start_victim(void *arg)
{
	struct family *f = arg;
	mproc_process *p;

	mpt_step_begin();
	start(&p, put_and_stay, &f->world, false);
	mpt_step_end();
}

static void
killed_in_the_first_start(void **state)
{
	struct family f = { .world = { .t = *state, .queued = 2,
				       .opts.capacity = 4096 } };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "first start",
		.victim = first_start_victim,
		.before = world_begin,
		.survivor = start_survivor,
		.arg = &f,
		.every = 1,
		.budget = 120,
		.forks = true,
	}, NULL);
}

/*
 * What a started process does, without the fork: its parent is the test, which
 * has ordered it to begin.
 */
static void
with_a_record(void *arg)
{
	struct family *f = arg;

	world_begin(arg);
	f->record = mpr_record_new();
	assert_non_null(f->record);
	atomic_store(&f->record->order, MPR_RECORD_GO);
}

static noreturn void
be_started(struct family *f, mproc_entry *fn)
{
	int cpu = sched_getcpu();
	const struct mproc_process_opts none = { 0 }, all = all_options(&cpu);
	struct mpr_start start = {
		.call = mpr_call_entry(fn, f, 0),
		.name = (char[MPR_NAME_MAX]){ "victim" },
		.record = f->record,
		.bond = { .parent = getppid(), .signal = SIGRTMAX },
		.opts = f->options ? &all : &none,
		.setup = f->options,
	};

	atomic_store(&f->record->pid, (uint32_t)getpid());
	mpr_crash_plan(&start.crash);
	mpr_self_run(&start);
}

/* The handle that the start would have made. */
static mproc_process *
handle_of(struct family *f, pid_t pid)
{
	mproc_process *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->generation = mpr_generation();
	p->record = f->record;
	assert_int_equal(mpr_child_open(&p->child, pid), 0);
	assert_true(mpr_children_add(p));
	return p;
}

/* A join returns with what the victim came to, and gives back what it had. */
static void
child_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct family *f = arg;
	mproc_process *p = handle_of(f, victim);
	struct mproc_arena_stat now;
	struct mproc_exit end;
	struct found found[5];

	(void)n;
	assert_int_equal(mproc_process_join(p, (mproc_timeout){ BOUND }), 0);
	assert_int_equal(mproc_process_exit_info(p, &end), 0);
	assert_false(end.reaped_elsewhere);
	/* At the end mark it is killed, too, but for the dry run. */
	if (end.signal)
		assert_int_equal(end.signal, SIGKILL);
	else
		assert_int_equal(end.code, f->exits ? CODE : 0);
	assert_true(end.signal || finished);
	assert_false(end.signal && finished && f->exits);
	mproc_process_close(p);
	/* Without a look for others: join has done it. */
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.participants, f->world.before.participants);
	drain(f->world.q, found);
	assert_int_equal(found[BY_TEST].n, f->world.queued);
	assert_in_range(found[BY_OTHER].n, 0, 1);
	world_end(&f->world);
}

static int
end_the_step(void *arg)
{
	(void)arg;
	mpt_step_end();
	/* As the stepper wants to see its victims end. */
	_exit(0);
}

static void
begin_victim(void *arg)
{
	mpt_step_begin();
	be_started(arg, end_the_step);
}

static void
killed_before_its_entry(void **state)
{
	struct family f = { .world = { .t = *state, .queued = 2,
				       .opts.capacity = 4096 } };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "before the entry",
		.victim = begin_victim,
		.before = with_a_record,
		.survivor = child_survivor,
		.max_cases = 500,
		.arg = &f,
		.keep_zombie = true,
	}, NULL);
}

/* What it tells its parent is 0, or that all went well. */
static void
options_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	const struct mproc_process_opts none = { 0 };
	struct family *f = arg;
	uint64_t word = atomic_load(&f->record->setup);

	if (word)
		assert_int_equal(mpr_setup_result(word, &none), 0);
	else
		assert_false(finished);
	child_survivor(arg, victim, n, finished);
}

static void
killed_while_it_applies_its_options(void **state)
{
	struct family f = { .world = { .t = *state, .queued = 2,
				       .opts.capacity = 4096 },
			    .options = true };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "options",
		.victim = begin_victim,
		.before = with_a_record,
		.survivor = options_survivor,
		.max_cases = 300,
		.arg = &f,
		.keep_zombie = true,
	}, NULL);
}

static int
return_in_steps(void *arg)
{
	struct family *f = arg;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	take_part(&f->world, BY_OTHER);
	if (mproc_at_exit(do_nothing, f) < 0 || dup2(null, 1) < 0)
		_exit(1);
	printf("to be flushed\n");
	mpt_step_begin();
	return CODE;
}

static void
end_victim(void *arg)
{
	be_started(arg, return_in_steps);
}

static void
killed_after_its_entry(void **state)
{
	struct family f = { .world = { .t = *state, .queued = 2,
				       .opts.capacity = 4096 },
			    .exits = true };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "after the entry",
		.victim = end_victim,
		.before = with_a_record,
		.survivor = child_survivor,
		.fingerprint = arena_state,
		.max_cases = 700,
		.arg = &f,
		.keep_zombie = true,
		.exits = true,
	}, NULL);
}

/* Its child has ended and holds a seat and a lane still. */
static int
put_and_die(void *arg)
{
	take_part(arg, BY_OTHER);
	raise(SIGKILL);
	return 1;
}

static void
join_victim(void *arg)
{
	struct family *f = arg;
	mproc_process *p;
	siginfo_t info;

	take_part(&f->world, BY_VICTIM);
	start(&p, put_and_die, &f->world, false);
	if (waitid(P_PID, (id_t)mproc_process_pid(p), &info,
		   WEXITED | WNOWAIT) < 0)
		_exit(1);
	mpt_step_begin();
	if (mproc_process_join(p, MPROC_FOREVER) < 0)
		_exit(1);
	mproc_process_close(p);
	mpt_step_end();
}

static void
join_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct family *f = arg;

	(void)victim;
	(void)n;
	(void)finished;
	nothing_is_left(&f->world, 1);
}

static void
killed_in_join(void **state)
{
	struct family f = { .world = { .t = *state, .queued = 2,
				       .opts.capacity = 4096 } };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "join and close",
		.victim = join_victim,
		.before = world_begin,
		.survivor = join_survivor,
		.fingerprint = arena_state,
		.every = 400,
		.budget = 150,
		.arg = &f,
	}, NULL);
}

/* Two children: a daemon, which goes when it is asked to, and another that
 * never goes by itself, for which the exit rules wait. */
static void
exit_victim(void *arg)
{
	struct family *f = arg;
	mproc_process *p;

	start(&p, put_and_stay, &f->world, true);
	start(&p, stay, &f->world, false);
	if (mproc_at_exit(do_nothing, f) < 0)
		_exit(1);
	mpt_step_begin();
	exit(0);
}

static void
exit_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct family *f = arg;

	(void)victim;
	(void)n;
	assert_false(finished);
	nothing_is_left(&f->world, 2);
}

static void
killed_in_its_exit_rules(void **state)
{
	struct family f = { .world = { .t = *state, .queued = 2,
				       .opts.capacity = 4096 } };
	struct mpt_stepper_result result;

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "exit",
		.victim = exit_victim,
		.before = world_begin,
		.survivor = exit_survivor,
		.every = 200,
		.budget = 100,
		.max_cases = 200,
		.exits = true,
		.arg = &f,
	}, &result);
	assert_true(result.asleep > 0);
}

static void
interrupt_victim(void *arg)
{
	struct family *f = arg;

	take_part(&f->world, BY_VICTIM);
	mpt_step_begin();
	mproc_interrupt();
	mpt_step_end();
}

/* Nobody else is interrupted, and whoever gets the slot sleeps and is woken as
 * ever. */
static void
interrupt_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct family *f = arg;
	struct found found[5];
	struct message m;

	(void)victim;
	(void)n;
	(void)finished;
	assert_true(mproc_arena_recover(NULL) >= 0);
	drain(f->world.q, found);
	assert_int_equal(found[BY_VICTIM].n, 1);
	assert_int_equal(mproc_queue_get(f->world.q, &m, sizeof(m), NULL,
					 mproc_ms(1)), -ETIMEDOUT);
	world_end(&f->world);
}

static void
killed_in_interrupt(void **state)
{
	struct family f = { .world = { .t = *state, .queued = 2,
				       .opts.capacity = 4096 } };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "interrupt",
		.victim = interrupt_victim,
		.before = world_begin,
		.survivor = interrupt_survivor,
		.fingerprint = arena_state,
		.max_cases = 300,
		.arg = &f,
	}, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_start),
		mpt_test(killed_in_a_start_with_options),
		mpt_test(killed_in_the_first_start),
		mpt_test(killed_before_its_entry),
		mpt_test(killed_while_it_applies_its_options),
		mpt_test(killed_after_its_entry),
		mpt_test(killed_in_join),
		mpt_test(killed_in_its_exit_rules),
		mpt_test(killed_in_interrupt),
	};

	return cmocka_run_group_tests(tests, world_setup, NULL);
}
