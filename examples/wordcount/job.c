/* SPDX-License-Identifier: MIT */
/*
 * job.c - the whole count by workers.
 *
 * The parent never waits for room in the queue of tasks: it puts what fits,
 * takes results, and looks after the workers in turn. A worker may wait for
 * room among the results as long as it likes, because the parent always comes
 * round to them. So neither can wait for the other in a circle.
 */
#include "job.h"

#include <errno.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos.h"
#include "crew.h"
#include "interrupt.h"
#include "ledger.h"
#include "memory.h"
#include "progress.h"
#include "result.h"
#include "supply.h"

enum {
	TASKS_ROOM = 512 * 1024,
	/* With many workers their lanes are small, or they would take more
	 * memory than the text. */
	RESULTS_ROOM = 512 * 1024,
	RESULTS_ROOM_MANY = 128 * 1024,
	MANY = 32,
	BURST = 64, /* messages taken in one turn */
	DEATHS = 20 /* accidents, after which a task is given up */
};

static const int64_t PATIENCE = INT64_C(10) * 1000 * 1000 * 1000;

struct job {
	mproc_queue *tasks;
	mproc_queue *results;
	struct ledger ledger;
	struct supply supply;
	struct crew crew;
	struct chaos chaos;
	struct progress progress;
	unsigned kills;
	unsigned accidents;
	unsigned barren; /* accidents since a task was done */
	int64_t next_look;
	uint64_t message[RESULT_ROOM / 8];
};

/* Takes results: waits for the first, takes what else is there. Returns how
 * many, or a negative error. */
static int
receive(struct job *j, mproc_timeout timeout)
{
	size_t n_done = j->ledger.n_done, len;
	int n, r;

	for (n = 0; n < BURST; n++) {
		r = mproc_queue_get(j->results, j->message, sizeof(j->message),
				    &len, n ? MPROC_NOWAIT : timeout);
		if (r == -EAGAIN || r == -ETIMEDOUT)
			break;
		if (r < 0)
			return r;
		ledger_receive(&j->ledger, j->message, len);
	}
	if (j->ledger.n_done != n_done)
		j->barren = 0;
	return n;
}

static void
lost(void *ctx, uint64_t task, bool killed)
{
	struct job *j = ctx;
	struct ledger_entry *e = ledger_undone(&j->ledger, task);

	if (killed) {
		j->kills++;
	} else {
		j->accidents++;
		j->barren++;
		if (e && ++e->deaths >= DEATHS) {
			ledger_give_up(&j->ledger, task);
			j->barren = 0;
		}
	}
	supply_lost(&j->supply, task);
}

/* Looks after the workers, and kills one if it is time to. */
static int
look(struct job *j)
{
	int64_t now = mproc_now();
	uint64_t random;
	int r;

	if (chaos_strikes(&j->chaos, j->ledger.n_done, &random))
		crew_kill_one(&j->crew, random);
	else if (now < j->next_look)
		return 0;
	r = crew_tend(&j->crew, lost, j);
	if (j->barren > DEATHS * (j->crew.n + 1)) {
		fprintf(stderr, "wordcount: the workers die, one and all\n");
		return -ECANCELED;
	}
	/* A look takes a system call for each worker. */
	j->next_look = now + 20 * 1000 * 1000 + 20 * 1000 * j->crew.n;
	return r;
}

static void
show(struct job *j)
{
	j->progress.files = j->ledger.done_files;
	j->progress.bytes = j->ledger.done_bytes;
	j->progress.total_bytes = j->supply.feed.bytes;
	j->progress.total_known = j->supply.ended;
	progress_show(&j->progress);
}

/* One turn. Returns 0 or a negative error. */
static int
turn(struct job *j)
{
	bool more = supply_make(&j->supply);
	int n, r;

	r = supply_send(&j->supply, chaos_holds_back(&j->chaos) ? 1 : 0);
	if (r < 0)
		return r;
	n = receive(j, MPROC_NOWAIT);
	if (n < 0)
		return n;
	r = look(j);
	if (r < 0)
		return r;
	show(j);
	if (more || n)
		return 0;

	/* There is nothing to do, so see whether something was lost. If it
	 * was, it is sent in the next turn. */
	supply_recover(&j->supply, &j->crew);
	n = receive(j, mproc_ms(j->chaos.wanted ? 5 : 50));
	return n < 0 ? n : 0;
}

static bool
is_over(const struct job *j)
{
	return j->supply.ended && j->ledger.n_done == j->ledger.n_entries &&
	       !(j->ledger.n_entries && chaos_holds_back(&j->chaos));
}

static int
start(struct job *j, const struct options *o, bool chaos)
{
	int r;

	r = mproc_queue_create(&j->tasks, MPROC_OPTS(mproc_queue_opts,
						     .capacity = TASKS_ROOM));
	if (r < 0)
		return r;
	r = mproc_queue_create(
		&j->results,
		MPROC_OPTS(mproc_queue_opts,
			   .capacity = o->workers > MANY ? RESULTS_ROOM_MANY
							 : RESULTS_ROOM,
			   .single_consumer = true));
	if (r < 0)
		return r;
	j->supply.queue = j->tasks;
	r = crew_start(&j->crew, o->workers, j->tasks, j->results);
	chaos_start(&j->chaos, chaos);
	return r;
}

/* Ends the workers: if all is done, by shutting the queues down. What is left
 * in these are tasks that were given out twice and their results, which nobody
 * needs. */
static void
stop(struct job *j, bool finished)
{
	unsigned n;

	if (finished) {
		mproc_queue_shutdown(j->tasks, MPROC_IMMEDIATE);
		mproc_queue_shutdown(j->results, MPROC_IMMEDIATE);
		n = crew_stop(&j->crew, mproc_until(mproc_now() + PATIENCE));
		if (n)
			fprintf(stderr, "wordcount: %u workers did not end\n",
				n);
	} else {
		crew_stop(&j->crew, MPROC_NOWAIT);
	}
	mproc_queue_destroy(j->tasks);
	mproc_queue_destroy(j->results);
}

static void
fill_in(const struct job *j, struct answer *a)
{
	a->seconds = (double)(mproc_now() - j->progress.began) / 1e9;
	a->files = j->ledger.files;
	a->bytes = j->ledger.bytes;
	a->words = j->ledger.words;
	a->kills = j->kills;
	a->accidents = j->accidents;
}

int
job_run(const struct options *o, bool chaos, struct answer *ret_answer)
{
	struct job *j = memory_resize(NULL, 1, sizeof(*j));
	int r;

	memset(j, 0, sizeof(*j));
	memset(ret_answer, 0, sizeof(*ret_answer));
	progress_start(&j->progress);
	supply_start(&j->supply, &j->ledger, o);
	r = start(j, o, chaos);
	ret_answer->workers = j->crew.n;
	while (r == 0 && !interrupt_signal() && !is_over(j))
		r = turn(j);
	if (r < 0)
		fprintf(stderr, "wordcount: cannot go on: %s %s\n",
			mproc_strerror(r), mproc_error_detail());
	stop(j, r == 0 && !interrupt_signal());
	progress_end(&j->progress);
	fill_in(j, ret_answer);
	supply_end(&j->supply);
	ledger_close(&j->ledger);
	free(j);
	return r;
}
