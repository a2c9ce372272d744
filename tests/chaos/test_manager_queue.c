/* SPDX-License-Identifier: MIT */
/*
 * Clients of a manager, processes of its family, and the manager itself are killed at
 * random while they put jobs into a queue and do them. What was put, as its producer has
 * been told, is done, whoever had it in hands; and nothing is done that was not put.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "level.h"
#include "mpt_rand.h"
#include "role.h"

enum {
	ROLES = 6,
	LIVES = 1500, /* at most, of all together */
	JOBS = 4096,  /* of one life, at most */
	EVERY = 6,    /* one of so many who are killed is the server */
	SIZE = 3000,  /* bytes of a job, at most */
	HANDS = 3,    /* jobs that one has at the same time */
};

/* One life of a role, which puts and does in turns. */
struct life {
	_Atomic unsigned asked, answered;
	_Atomic uint64_t done[JOBS / 64];
};

static struct board {
	char address[128];
	_Atomic bool over;
	_Atomic uint64_t progress, again;
	_Atomic unsigned n_lives;
	struct life lives[LIVES];
} *board;

static mproc_queue *queue; /* of a role */

struct job {
	uint32_t life, number;
	unsigned char fill[SIZE];
};

static size_t
size_of(const struct job *job)
{
	return offsetof(struct job, fill) + (job->life * 37 + job->number * 11) % SIZE;
}

static unsigned char
fill_of(const struct job *job)
{
	return (unsigned char)(job->life + job->number * 3);
}

static void
make_job(struct job *job, unsigned life, unsigned number)
{
	job->life = life;
	job->number = number;
	memset(job->fill, fill_of(job), SIZE);
}

/* What came is a job, as a whole, and has been put. */
static void
do_job(struct mpt *t, const struct job *job, size_t len)
{
	struct life *life;
	uint64_t bit, before;

	mpt_check(t, len >= offsetof(struct job, fill) && job->life < LIVES &&
			     job->number < JOBS && len == size_of(job));
	for (size_t i = 0; i < len - offsetof(struct job, fill); i++)
		mpt_check(t, job->fill[i] == fill_of(job));
	life = &board->lives[job->life];
	mpt_check(t, job->number < life->asked);
	bit = UINT64_C(1) << job->number % 64;
	before = atomic_fetch_or(&life->done[job->number / 64], bit);
	board->again += (before & bit) != 0;
	board->progress++;
}

/* Puts one. */
static int
put_job(struct life *life)
{
	unsigned number = life->asked;
	struct job job;
	int r;

	if (number == JOBS)
		return 0;
	make_job(&job, (unsigned)(life - board->lives), number);
	life->asked++;
	r = mproc_queue_put(queue, &job, size_of(&job), mproc_ms(5));
	if (r == 0)
		life->answered = life->asked;
	else if (r == -ETIMEDOUT)
		life->asked--;
	return r == -ETIMEDOUT ? 0 : r;
}

/* Takes some, and does them then. */
static int
do_some(struct mpt *t)
{
	struct job job[HANDS];
	size_t len[HANDS];
	int n = 0, r = 0;

	while (n < HANDS && r == 0) {
		r = mproc_queue_get(queue, &job[n], sizeof(job[n]), &len[n],
				    mproc_ms(5));
		n += r == 0;
	}
	if (r == -ETIMEDOUT)
		r = 0;
	for (int i = 0; i < n && r == 0; i++) {
		do_job(t, &job[i], len[i]);
		r = mproc_queue_task_done(queue);
	}
	return r;
}

/* Until the server dies: what is asked for after that is another life's, as what was not
 * answered may be there. */
static void
use(struct mpt *t)
{
	unsigned number = board->n_lives++;
	int r = 0;

	mpt_check(t, number < LIVES);
	while (!board->over && r == 0) {
		for (int i = 0; i < HANDS && r == 0; i++)
			r = put_job(&board->lives[number]);
		if (r == 0)
			r = do_some(t);
	}
	mpt_check(t, r == 0 || r == -EPIPE);
}

static _Noreturn void
be_client(struct mpt *t)
{
	mproc_manager *m;
	int r;

	while (!board->over) {
		r = mproc_manager_connect(&m, board->address, NULL, mproc_sec(1));
		if (r < 0) {
			/* There is no server, or it is just being killed. */
			mpt_check(t, r == -EPIPE || r == -ECONNREFUSED ||
					     r == -ENOENT || r == -ETIMEDOUT ||
					     r == -EAGAIN);
			wait_us(500);
			continue;
		}
		r = mproc_manager_queue(m, "chaos jobs", NULL, &queue);
		if (r == 0)
			use(t);
		else
			mpt_check_int(t, r, -EPIPE);
		mproc_manager_close(m);
	}
	_exit(0);
}

static _Noreturn void
be_relative(struct mpt *t)
{
	void *found;

	mpt_check_int(t, mproc_arena_find(NULL, "chaos jobs", &found, MPROC_NOWAIT),
		      0);
	queue = found;
	use(t);
	_exit(0);
}

static void
start_role(struct mpt *t, struct role *role, bool is_client)
{
	role->pid = fork();
	mpt_check(t, role->pid >= 0);
	if (role->pid == 0 && is_client)
		be_client(t);
	if (role->pid == 0)
		be_relative(t);
}

static void
start_server(struct mpt *t, struct role *role)
{
	mproc_manager *m;

	role->pid = fork();
	mpt_check(t, role->pid >= 0);
	if (role->pid)
		return;
	mpt_check_int(t, mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
			.address = board->address, .in_process = true)), 0);
	while (!board->over)
		(void)mproc_manager_serve(m, mproc_ms(20));
	mproc_manager_close(m);
	_exit(0);
}

static void
kill_role(struct mpt *t, struct role *role)
{
	mpt_check(t, kill(role->pid, SIGKILL) == 0);
	mpt_check(t, reap(t, role));
}

/* All is over, and there is nobody but us. */
static void
verify(struct mpt *t, mproc_queue *q)
{
	uint64_t answered = 0, done = 0;
	struct mproc_queue_stat st;
	struct job job;
	size_t len;
	int r;

	while ((r = mproc_queue_join(q, MPROC_NOWAIT)) == -EAGAIN) {
		mpt_check(t, mproc_arena_recover(NULL) >= 0);
		while (mproc_queue_get(q, &job, sizeof(job), &len, MPROC_NOWAIT) == 0) {
			do_job(t, &job, len);
			mpt_check_int(t, mproc_queue_task_done(q), 0);
		}
	}
	mpt_check_int(t, r, 0);
	mpt_check_int(t, mproc_queue_stat(q, &st), 0);
	mpt_check(t, !st.depth && !st.held && !st.dead_letters);
	for (unsigned i = 0; i < board->n_lives; i++) {
		struct life *life = &board->lives[i];

		for (unsigned n = 0; n < JOBS; n++) {
			bool is = life->done[n / 64] >> n % 64 & 1;

			mpt_check(t, is || n >= life->answered);
			mpt_check(t, !is || n < life->asked);
			done += is;
		}
		answered += life->answered;
	}
	print_message("# %u lives, %llu jobs answered, %llu done, %llu of them again\n",
		      board->n_lives, (unsigned long long)answered, (unsigned long long)done,
		      (unsigned long long)board->again);
}

/* Two of three are clients. */
static void
what_was_put_is_done(struct mpt *t)
{
	unsigned kills = chaos_by_level(20, 60, 600);
	struct role roles[ROLES], server;
	struct mpt_rand rand;
	mproc_queue *q;
	char name[64];

	mpt_watchdog(t, 200);
	mpt_rand_init(&rand, mpt_seed());
	memset(board, 0, sizeof(*board));
	snprintf(board->address, sizeof(board->address), "unix:/dev/shm%s",
		 mpt_name(t, name, "jobs"));
	assert_int_equal(mproc_queue_create(&q, MPROC_OPTS(mproc_queue_opts,
			.ack = true, .max_redeliveries = -1)), 0);
	assert_int_equal(mproc_arena_bind(NULL, "chaos jobs", q), 0);
	start_server(t, &server);
	for (unsigned i = 0; i < ROLES; i++)
		start_role(t, &roles[i], i % 3);
	for (unsigned i = 0; i < kills; i++) {
		unsigned victim = (unsigned)mpt_rand_below(&rand, ROLES);
		uint64_t before = board->progress;

		/* Somebody gets on, whoever has died before. */
		mpt_until(t, board->progress > before + 20);
		wait_us(mpt_rand_below(&rand, 2000));
		if (mpt_rand_below(&rand, EVERY)) {
			kill_role(t, &roles[victim]);
			start_role(t, &roles[victim], victim % 3);
		} else {
			kill_role(t, &server);
			start_server(t, &server);
		}
	}
	board->over = true;
	for (unsigned i = 0; i < ROLES; i++)
		mpt_check(t, !reap(t, &roles[i]));
	mpt_check(t, !reap(t, &server));
	verify(t, q);
	assert_int_equal(mproc_arena_bind(NULL, "chaos jobs", NULL), 0);
	mproc_queue_destroy(q);
}

chaos_both(what_was_put_is_done)

static int
setup(void **state)
{
	(void)state;
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return board == MAP_FAILED || !mproc_arena_default() ? -1 : 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(what_was_put_is_done),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
