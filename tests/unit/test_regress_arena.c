/* SPDX-License-Identifier: MIT */
/*
 * Defects that the arena, its participants and the handles of processes once
 * had. Each test brings about by force what needed bad luck then.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

#include <mproc/mproc.h>

#include "arena/extent.h"
#include "arena/recover.h"
#include "base/owner.h"
#include "common.h"
#include "os/task.h"
#include "puppet.h"

/* In the scratch bytes. */
struct board {
	_Atomic unsigned slot;
	_Atomic uint64_t ident;
};

static int
join_and_wait(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct mpr_self *self = join_arena(t);

	(void)arg;
	b->slot = self->slot;
	b->ident = self->ident;
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

/* A participant in a process of its own; its role. */
static int
peer(struct mpt *t, mpt_fn *fn)
{
	int id;

	/* Those of earlier tests. */
	mpr_recover_all(the_arena(), true);
	id = mpt_spawn(t, "peer", fn, NULL);
	mpt_reach(t, 1);
	return id;
}

static _Atomic uint64_t *
ident_of_peer(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	return &mpr_participant_at(the_arena(), b->slot)->ident;
}

/*
 * A run of four extents whose owner is dead, and two who recover it: one is
 * stopped at any instruction, the other is as far as each test says.
 */
struct run {
	unsigned slot;
	uint64_t dead; /* ident */
	uint32_t first;
};

#define RUN 4

static _Atomic uint64_t *
extent(uint32_t index)
{
	return &mpr_extent_at(the_arena(), index)->state;
}

static void
recover_extents(struct mpt *t, void *arg)
{
	const struct run *run = arg;

	(void)t;
	puppet_halt();
	mpr_extents_recover(the_arena(), run->slot, run->dead);
}

/* As a recoverer does that frees the tails from the last one down. */
static void
free_last_tails(uint32_t first, uint32_t n)
{
	for (uint32_t i = first + RUN - 1; n; n--, i--) {
		uint64_t word = *extent(i);

		*extent(i) = mpr_owner(mpr_owner_epoch(word) + 1, 0,
				       MPR_EXTENT_FREE);
	}
}

static void
recover_a_run_at_each_instruction(struct mpt *t, uint32_t freed,
				  uint32_t new_run)
{
	struct mpr_self *self = join_arena(t);
	struct board *b = mpt_scratch(t);
	struct run run = { 0 };
	bool was_first = false;
	int64_t claimed;
	pid_t pid;

	mpt_kill(t, peer(t, join_and_wait));
	run.slot = b->slot;
	run.dead = (b->ident & ~UINT64_C(3)) | MPR_PARTICIPANT_DEAD;
	*ident_of_peer(t) = run.dead;

	for (unsigned n = 0; !was_first; n++) {
		claimed = mpr_extent_claim(the_arena(), self, RUN);
		assert_true(claimed >= 0);
		run.first = (uint32_t)claimed;
		*extent(run.first) =
			mpr_owner(mpr_owner_epoch(*extent(run.first)),
				  run.slot, MPR_EXTENT_BUSY);

		pid = puppet_start(t, recover_extents, &run);
		for (unsigned i = 0; i < n; i++)
			assert_true(puppet_move(t, pid));
		was_first = mpr_owner_state(*extent(run.first + RUN - 1)) ==
			    MPR_EXTENT_FREE;
		if (!was_first)
			free_last_tails(run.first, freed);
		if (!was_first && new_run) {
			claimed = mpr_extent_claim(the_arena(), self, new_run);
			assert_int_equal(claimed, run.first + RUN - freed);
		}
		puppet_run(t, pid);

		if (!was_first && new_run) {
			for (uint32_t i = 1; i < new_run; i++)
				assert_int_equal(mpr_owner_state(*extent(
						 (uint32_t)claimed + i)),
						 MPR_EXTENT_TAIL);
			mpr_extent_release(the_arena(), (uint32_t)claimed);
		}
		for (uint32_t i = 0; i < RUN; i++)
			assert_int_equal(mpr_owner_state(*extent(run.first +
								 i)),
					 MPR_EXTENT_FREE);
	}
	assert_int_equal(mpr_recover_all(the_arena(), false), 1);
}

static void
a_slow_recoverer_does_not_free_the_tails_of_another_run(void **state)
{
	recover_a_run_at_each_instruction(*state, 2, 2);
}

static void
a_recovery_that_ends_half_way_leaves_no_tail_without_a_run(void **state)
{
	recover_a_run_at_each_instruction(*state, 1, 0);
}

static void
claim_a_run(struct mpt *t, void *arg)
{
	struct mpr_self *self = join_arena(t);
	int64_t first;

	puppet_halt();
	first = mpr_extent_claim(the_arena(), self, RUN);
	if (first >= 0)
		mpr_extent_release(the_arena(), (uint32_t)first);
	*(_Atomic int64_t *)arg = first;
}

/* All free extents but for a run, whose first one *@ret_first becomes. Returns
 * the first of the others. */
static uint32_t
leave_room_for_a_run(struct mpr_self *self, uint32_t *ret_first)
{
	int64_t room = mpr_extent_claim(the_arena(), self, RUN), rest;

	assert_true(room >= 0);
	*ret_first = (uint32_t)room;
	rest = mpr_extent_claim(the_arena(), self, the_arena()->n_extents -
						   *ret_first - RUN);
	assert_int_equal(rest, room + RUN);
	mpr_extent_finish(the_arena(), (uint32_t)rest, 1);
	mpr_extent_release(the_arena(), *ret_first);
	return (uint32_t)rest;
}

/* Each had begun one, and found the other's in its way. */
static void
of_two_who_claim_the_only_run_one_gets_it(void **state)
{
	struct mpt *t = *state;
	struct mpr_self *self = join_arena(t);
	_Atomic int64_t *claimed = mpt_scratch(t);
	uint32_t first, rest = leave_room_for_a_run(self, &first);
	pid_t one = puppet_start(t, claim_a_run, &claimed[0]);
	pid_t other = puppet_start(t, claim_a_run, &claimed[1]);

	puppet_move_until(t, one, mpr_owner_state(*extent(first)) ==
					  MPR_EXTENT_BUSY);
	puppet_move_until(t, other, mpr_owner_state(*extent(first + 1)) ==
					    MPR_EXTENT_BUSY);
	puppet_run(t, one);
	puppet_run(t, other);
	assert_int_equal(claimed[0], -ENOMEM);
	assert_int_equal(claimed[1], first);

	assert_true(mpr_extent_retire(the_arena(), self, rest, 1));
	mpr_extent_release(the_arena(), rest);
	assert_int_equal(mpr_recover_all(the_arena(), false), 2);
}

static void
have_no_descriptors(struct mpt *t)
{
	struct rlimit none = { 0 };

	mpt_check_int(t, setrlimit(RLIMIT_NOFILE, &none), 0);
}

static int
probe_without_descriptors(struct mpt *t, void *arg)
{
	pid_t pid = *(const pid_t *)arg;
	uint64_t start = mpr_task_start_time(pid);

	mpt_check_int(t, mpr_task_probe(pid, start), MPR_TASK_RUNS);
	have_no_descriptors(t);
	mpt_check_int(t, mpr_task_probe(pid, start), MPR_TASK_UNKNOWN);
	return 0;
}

static void
without_a_descriptor_nothing_is_known_of_a_thread(void **state)
{
	struct mpt *t = *state;
	pid_t pid = mpt_pid(t, peer(t, join_and_wait));

	mpt_expect_exit(t, mpt_spawn(t, "prober", probe_without_descriptors,
				     &pid), 0);
}

static int
join_and_lose_the_lock(struct mpt *t, void *arg)
{
	join_arena(t);
	/* Any close of the file drops all locks of the process. */
	close(dup(the_arena()->locks.fd));
	return join_and_wait(t, arg);
}

static int
recover_without_descriptors(struct mpt *t, void *arg)
{
	(void)arg;
	have_no_descriptors(t);
	mpt_check_int(t, mpr_recover_all(the_arena(), true), 0);
	return 0;
}

static void
who_cannot_look_does_not_declare_anyone_dead(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);

	peer(t, join_and_lose_the_lock);
	mpt_expect_exit(t, mpt_spawn(t, "recoverer",
				     recover_without_descriptors, NULL), 0);
	assert_true(*ident_of_peer(t) == b->ident);
}

static void *
alloc_with_a_cancel_pending(void *arg)
{
	void **ret_p = arg;

	pthread_cancel(pthread_self());
	*ret_p = mproc_alloc(2 * MPR_EXTENT_SIZE);
	pthread_testcancel();
	return NULL;
}

static void *
alloc_a_little(void *arg)
{
	*(void **)arg = mproc_alloc(1);
	return NULL;
}

static void *
in_a_thread(void *(*fn)(void *arg), void *arg)
{
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	return result;
}

/* It asks the kernel for a lock and for memory, where threads are cancelled. */
static void
a_cancelled_thread_has_finished_its_first_call(void **state)
{
	struct mpt *t = *state;
	struct mproc_arena_stat before, after;
	void *p = NULL, *q = NULL;

	mpt_watchdog(t, 5);
	mpr_recover_all(the_arena(), true);
	assert_int_equal(mproc_arena_stat(NULL, &before), 0);
	assert_ptr_equal(in_a_thread(alloc_with_a_cancel_pending, &p),
			 PTHREAD_CANCELED);
	assert_non_null(p);
	assert_null(in_a_thread(alloc_a_little, &q));
	assert_non_null(q);
	mproc_free(p);
	mproc_free(q);
	assert_int_equal(mproc_arena_stat(NULL, &after), 0);
	assert_int_equal(after.blocks, before.blocks);
	assert_int_equal(after.participants, before.participants);
	assert_int_equal(mpr_recover_all(the_arena(), true), 0);
}

static void
who_died_as_it_left_gets_its_slot_freed(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = peer(t, join_and_wait);

	*ident_of_peer(t) = b->ident | MPR_PARTICIPANT_LEAVING;
	/* It lives: it is about to do the rest itself. */
	assert_int_equal(mpr_recover_all(the_arena(), true), 0);
	assert_true(*ident_of_peer(t) == (b->ident | MPR_PARTICIPANT_LEAVING));
	mpt_kill(t, id);
	assert_int_equal(mpr_recover_all(the_arena(), false), 0);
	assert_true(*ident_of_peer(t) == (b->ident & ~UINT64_C(3)));
}

static int
return_seven_when_told(void *arg)
{
	mpt_reach(arg, 1);
	return 7;
}

static mproc_process *
start(mproc_entry *fn, void *arg)
{
	mproc_process *p = NULL;

	assert_int_equal(mproc_process_start(&p, fn, arg, NULL), 0);
	return p;
}

static void
a_process_without_its_descriptor_is_waited_for(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(return_seven_when_told, t);
	int code = -1;

	mpt_watchdog(t, 5);
	close(mproc_process_fd(p));
	assert_true(mproc_process_is_alive(p));
	assert_int_equal(mproc_process_join(p, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_process_join(p, mproc_ms(20)), -ETIMEDOUT);
	assert_int_equal(mproc_process_exitcode(p, &code), -EAGAIN);
	mpt_step(t, 0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, 7);
	assert_false(mproc_process_is_alive(p));
	mproc_process_close(p);
}

static int
wait_for_a_signal(void *arg)
{
	(void)arg;
	/* Its tracer is no ancestor of ours. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	pause();
	return 0;
}

static void
a_process_without_its_descriptor_can_be_killed(void **state)
{
	mproc_process *p = start(wait_for_a_signal, NULL);
	int code = -1;

	(void)state;
	close(mproc_process_fd(p));
	assert_int_equal(mproc_process_kill(p), 0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, -SIGKILL);
	assert_int_equal(mproc_process_kill(p), 0);
	mproc_process_close(p);
}

static int
trace_and_wait(struct mpt *t, void *arg)
{
	mpt_check_int(t, ptrace(PTRACE_SEIZE, *(const pid_t *)arg, NULL, NULL),
		      0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

/* Its end shows at once; the kernel hands it to us only after the tracer. */
static void
a_process_whose_end_a_tracer_withholds_runs_into_the_timeout(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(wait_for_a_signal, NULL);
	pid_t pid = mproc_process_pid(p);
	int code = -1, id;

	mpt_watchdog(t, 5);
	mpt_until(t, mpt_task_state(pid) == 'S');
	id = mpt_spawn(t, "tracer", trace_and_wait, &pid);
	mpt_reach(t, 1);
	assert_int_equal(mproc_process_kill(p), 0);
	mpt_until(t, mpt_task_state(pid) == 'Z');
	assert_int_equal(mproc_process_join(p, mproc_ms(20)), -ETIMEDOUT);
	mpt_kill(t, id);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, -SIGKILL);
	mproc_process_close(p);
}

static void
print_before_the_fork(void)
{
	printf("once\n");
}

static int
do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int
print_while_a_process_starts(struct mpt *t, void *arg)
{
	mproc_process *p;
	char text[64];
	ssize_t n;
	int fd;

	(void)arg;
	fd = memfd_create("stdout", MFD_CLOEXEC);
	mpt_check_int(t, dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
	mpt_check_int(t, setvbuf(stdout, NULL, _IOFBF, BUFSIZ), 0);
	mpt_check_int(t, pthread_atfork(print_before_the_fork, NULL, NULL), 0);
	mpt_check_int(t, mproc_process_start(&p, do_nothing, NULL, NULL), 0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
	fflush(stdout);
	n = pread(fd, text, sizeof(text) - 1, 0);
	mpt_check(t, n >= 0);
	text[n] = '\0';
	mpt_check(t, strcmp(text, "once\n") == 0);
	return 0;
}

static void
what_others_print_during_a_start_is_not_printed_twice(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "printer", print_while_a_process_starts,
				     NULL), 0);
}

/* A small slab and a page of process records are made once, and stay. */
static int
setup(void **state)
{
	mproc_process *p;

	if (with_arena(state) < 0)
		return -1;
	mproc_free(mproc_alloc(1));
	if (mproc_process_start(&p, do_nothing, NULL, NULL) < 0)
		return -1;
	mproc_process_join(p, MPROC_FOREVER);
	mproc_process_close(p);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(
		     a_slow_recoverer_does_not_free_the_tails_of_another_run),
		mpt_test(
		  a_recovery_that_ends_half_way_leaves_no_tail_without_a_run),
		mpt_test(of_two_who_claim_the_only_run_one_gets_it),
		mpt_test(without_a_descriptor_nothing_is_known_of_a_thread),
		mpt_test(who_cannot_look_does_not_declare_anyone_dead),
		mpt_test(a_cancelled_thread_has_finished_its_first_call),
		mpt_test(who_died_as_it_left_gets_its_slot_freed),
		mpt_test(a_process_without_its_descriptor_is_waited_for),
		mpt_test(a_process_without_its_descriptor_can_be_killed),
		mpt_test(
		a_process_whose_end_a_tracer_withholds_runs_into_the_timeout),
		mpt_test(what_others_print_during_a_start_is_not_printed_twice),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
