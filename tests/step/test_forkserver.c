/* SPDX-License-Identifier: MIT */
/*
 * The fork server is killed after each instruction of making a child, or a spare.
 */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "os/courier.h"
#include "os/image.h"
#include "process/plan.h"
#include "process/plans.h"
#include "process/server.h"

#define CODE 7

/* In the arena. */
struct board {
	_Atomic unsigned ran;
};

struct family {
	struct mpt *t;
	struct board *board;
	struct mpr_plans *plans;
	struct mpr_plan_file plan;
	int connection[2], orders[2];
	unsigned number; /* of the case */
	unsigned children[2]; /* spares are counted apart */
	struct mproc_arena_stat before;
	unsigned fds;
};

static int
run(void *arg)
{
	struct board *b = arg;

	b->ran++;
	return CODE;
}

/* What the server runs first is part of no step; the rest is. */
static int
begin_steps(void *arg)
{
	(void)arg;
	mpt_step_begin();
	return 0;
}

static void
send_hello(const struct family *f)
{
	struct mpr_server_hello hello = { .has_preload = 1 };
	int fds[] = { mpr_plans_fd(f->plans), f->orders[1] };

	assert_int_equal(mpr_module_of((mpr_function *)begin_steps,
				       &hello.module, &hello.entry), 0);
	assert_int_equal(mpr_courier_send(f->connection[0], &hello,
					  sizeof(hello), fds, 2), 0);
}

/* In turn: one with a slot for its plan, one with a file, and a spare, which has a
 * slot. Of each kind two, as the second gets another order. */
static bool
has_slot(const struct family *f)
{
	return f->number % 6 / 2 != 1;
}

static bool
is_spare(const struct family *f)
{
	return f->number % 6 / 2 == 2;
}

static void
send_request(struct family *f)
{
	struct mpr_server_request request = { .ask = MPR_SERVER_FORK,
					      .slot = MPR_SERVER_NO_SLOT };
	struct mpr_server_request first = { .ask = MPR_SERVER_SPARE,
					    .parent = getpid() };
	int directory = open(".", O_PATH | O_CLOEXEC);
	int fds[] = { directory, 0, 2, 2, 2 }, n = 1;

	if (f->plan.plans)
		request.slot = mpr_plans_number(f->plans, &f->plan.shmem);
	else
		fds[n++] = f->plan.shmem.file.fd;
	for (int i = 0; i < 3; i++) {
		fds[n] = i ? 2 : 0;
		request.streams[i] = n++;
	}
	request.keep = request.n = n;
	if (is_spare(f)) {
		/* Its order is there before it is, behind one for another. */
		first.slot = request.slot;
		first.spare = 2;
		assert_int_equal(mpr_courier_send(f->connection[0], &first,
						  sizeof(first), NULL, 0), 0);
		request.spare = 1;
		request.n = n + 1; /* who takes it fails */
		assert_int_equal(mpr_courier_send(f->orders[0], &request,
						  sizeof(request), fds, n), 0);
		request.spare = 2;
		request.n = n;
	}
	assert_int_equal(mpr_courier_send(is_spare(f) ? f->orders[0] :
							f->connection[0],
					  &request, sizeof(request), fds, n),
			 0);
	close(directory);
}

/* All that the server will be asked is on its way before it begins. */
static void
ask(void *arg)
{
	struct mpr_server_request end = { .ask = MPR_SERVER_END };
	struct mproc_process_opts o = {
		.method = MPROC_FORKSERVER,
		.env = mpr_image_own_environment(),
	};
	struct family *f = arg;
	struct mpr_call call;

	assert_int_equal(mproc_arena_stat(NULL, &f->before), 0);
	f->fds = mpt_fd_count();
	f->board->ran = 0;
	call = mpr_call_entry(run, f->board, 0);
	assert_int_equal(mpr_plans_new(&f->plans), 0);
	assert_int_equal(mpr_plan_make(&f->plan, &call,
				       (char[MPR_NAME_MAX]){ "child" }, &o,
				       false, has_slot(f) ? f->plans : NULL), 0);
	assert_int_equal(mpr_courier_pair(f->connection), 0);
	assert_int_equal(mpr_courier_pair(f->orders), 0);
	send_hello(f);
	send_request(f);
	assert_int_equal(mpr_courier_send(f->connection[0], &end, sizeof(end),
					  NULL, 0), 0);
}

static void
server_victim(void *arg)
{
	struct family *f = arg;

	mpr_server_run(&f->connection[1]);
	mpt_step_end();
}

static void
order(struct mpr_record *record, enum mpr_record_order order)
{
	if (atomic_exchange(&record->order, order) == MPR_RECORD_ASLEEP)
		mpr_parker_wake(&record->parker);
}

/* There is a child if the record says so, and it does what it is told; or there
 * is none. */
static void
server_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct family *f = arg;
	pid_t pid = (pid_t)atomic_load(&f->plan.record->pid);
	bool go = f->number % 2 == 0;
	struct mproc_arena_stat now;
	int status;

	(void)victim;
	(void)n;
	if (pid) {
		f->children[is_spare(f)]++;
		order(f->plan.record, go ? MPR_RECORD_GO : MPR_RECORD_ABORT);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, go ? CODE << 8 : 0);
		assert_int_equal(f->board->ran, go);
	} else {
		assert_false(finished);
	}
	f->number++;
	assert_int_equal(waitpid(-1, &status, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	mpr_plan_free(&f->plan);
	mpr_plans_drop(f->plans);
	close(f->connection[0]);
	close(f->connection[1]);
	close(f->orders[0]);
	close(f->orders[1]);
	assert_int_equal(mpt_fd_count(), f->fds);
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.participants, f->before.participants);
	assert_int_equal(now.blocks, f->before.blocks);
}

static void
killed_while_it_makes_a_child(void **state)
{
	struct family f = { .t = *state, .board = mproc_alloc(sizeof(*f.board)) };
	struct mpt_stepper_result result;

	assert_non_null(f.board);
	mpt_rebase(*state);
	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "fork server",
		.victim = server_victim,
		.before = ask,
		.survivor = server_survivor,
		.every = 50,
		.budget = 150,
		.max_cases = 200,
		.arg = &f,
		.forks = true,
	}, &result);
	/* Kills before the fork, and behind it. */
	assert_true(f.children[0] > 1 && f.children[1] > 1);
	assert_true(f.children[0] + f.children[1] < result.cases);
	mproc_free(f.board);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_makes_a_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
