/* SPDX-License-Identifier: MIT */
/*
 * A child crashes, and its parent can tell why. Addresses and process ids in the
 * report differ each time, so this program prints what does not, and sends all
 * of it to standard error.
 */
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct list {
	int value;
	struct list *next;
};

static int
value_of_third(const struct list *list)
{
	return list->next->next->value;
}

static int
work(void *list)
{
	return value_of_third(list);
}

static int
give_up(void *arg)
{
	(void)arg;
	abort();
}

/* What the first line of the report tells of the cause. */
static void
show_cause(const char *report)
{
	const char *from = strstr(report, "): ");
	int length = from ? (int)strcspn(from, "\n") : 0;

	if (from)
		printf("  it says: %.*s\n", length - 3, from + 3);
}

static void
run(const char *name, mproc_entry *entry, void *arg, bool no_report)
{
	struct mproc_exit end;
	mproc_process *p;

	if (mproc_process_start(&p, entry, arg,
				MPROC_OPTS(mproc_process_opts, .name = name,
					   .no_report = no_report)) < 0)
		exit(1);
	mproc_process_join(p, MPROC_FOREVER);
	mproc_process_exit_info(p, &end);
	printf("%s ended by signal %d\n", end.name, end.signal);
	if (end.report) {
		show_cause(end.report);
		printf("  and has a backtrace: %s\n",
		       strstr(end.report, "\n#0 ") ? "yes" : "no");
		fputs(end.report, stderr);
	} else {
		printf("  it says nothing\n");
	}
	mproc_process_close(p);
}

int
main(void)
{
	/* The worker wants to see a third element. */
	struct list second = { 2, NULL }, first = { 1, &second };

	run("worker", work, &first, false);
	run("quitter", give_up, NULL, false);
	run("quiet", give_up, NULL, true);
	return 0;
}
