/* SPDX-License-Identifier: MIT */
/*
 * wordcount - how often each word occurs in some files.
 *
 * The parent walks the trees and puts tasks, which are lists of files, into a
 * queue. Workers take them, count the words, and put the results into another
 * queue, from which the parent merges them. A worker may be killed at any
 * instruction, which --chaos does all the time: what it had in its hand is
 * done again by another, and nothing is counted twice. supply.h says why.
 *
 *	main, options, answer	the program
 *	job			the parent's side of the work
 *	  supply, outbox	tasks on their way to the workers
 *	    walk, feed		from trees to tasks
 *	  ledger		from results to the answer
 *	  crew, chaos		the workers
 *	worker			the workers' side
 *	  task, result		what goes through the queues
 *	  text, words		counting
 *	alone			the same by one process, to compare
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "alone.h"
#include "answer.h"
#include "interrupt.h"
#include "job.h"
#include "options.h"
#include "problems.h"

/* Counts with one process, and checks that the answer is the same. */
static bool
check(const struct options *o, const struct answer *a, struct answer *ret_alone)
{
	bool same;

	alone_run(o, a->bytes, ret_alone);
	same = words_equal(&a->words, &ret_alone->words);
	answer_free(ret_alone);
	if (!same && !interrupt_signal())
		fprintf(stderr, "wordcount: one process counts something else: "
				"have files changed meanwhile?\n");
	return same;
}

/* Measures the workers on files that are in the page cache by now. */
static int
measure(const struct options *o, const struct answer *alone)
{
	struct answer again;
	int r = job_run(o, false, &again);

	answer_free(&again);
	if (r == 0 && !interrupt_signal())
		fprintf(stderr,
			"cached: %.2f s with %u worker%s, %.2f s with one "
			"process and no queue: %.2f times as fast\n",
			again.seconds, again.workers,
			again.workers == 1 ? "" : "s", alone->seconds,
			alone->seconds / again.seconds);
	return r;
}

static int
run(const struct options *o, struct answer *a)
{
	struct answer alone;
	bool same = false;
	int r;

	r = job_run(o, o->chaos, a);
	if (r < 0 || interrupt_signal())
		return 1;
	r = answer_print(a, o->top);
	if (r < 0) {
		fprintf(stderr, "wordcount: standard output: %s\n",
			strerror(-r));
		return 1;
	}
	answer_print_totals(a);
	if (o->compare) {
		same = check(o, a, &alone);
		if (!same)
			r = 1;
		else if (!o->chaos && !interrupt_signal())
			r = measure(o, &alone);
	}
	if (o->chaos && !interrupt_signal())
		fprintf(stderr, "chaos: %u worker%s killed and replaced%s\n",
			a->kills, a->kills == 1 ? "" : "s",
			same ? ", the counts are exact" : "");
	return r || problems_found();
}

int
main(int argc, char **argv)
{
	struct options o;
	struct answer a;
	int status;

	status = options_read(&o, argc, argv);
	if (status >= 0)
		return status;
	interrupt_catch();
	status = run(&o, &a);
	answer_free(&a);
	if (interrupt_signal())
		return 128 + interrupt_signal();
	return status;
}
