/* SPDX-License-Identifier: MIT */
/*
 * process.h where one more process, its descriptor or its memory is refused:
 * the error is the documented one, and nothing is left behind. Each host is a
 * process of its own. In a program of its own, as sanitizers need memory where
 * these tests allow none.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "mpt_refuse.h"
#include "owned.h"
#include "process.h"

static uint64_t
address_space(struct mpt *t)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	mpt_check(t, f);
	mpt_check_int(t, fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
start_and_end(struct mpt *t)
{
	mproc_process *p;
	int code = -1;

	mpt_check_int(t, mproc_process_start(&p, return_it, (void *)7, NULL),
		      0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, 7);
	mproc_process_close(p);
}

/* A host with signals blocked and ignored that are not ours to touch. */
static void
become_host(struct mpt *t)
{
	sigset_t mask;

	/* Records are kept for the next ones. */
	start_and_end(t);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGRTMIN + 3);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGRTMAX, SIG_IGN);
}

static void
end_one(struct mpt *t, mproc_process *p)
{
	mpt_check_int(t, mproc_process_kill(p), 0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
}

static void
in_a_host(struct mpt *t, mpt_fn *fn, void *arg)
{
	mpt_expect_exit(t, mpt_spawn(t, "host", fn, arg), 0);
}

#define MANY 600 /* to fill a page with what each of them might leave */

/* Starts what can be started; returns how many, and ends them again. What is
 * refused must be refused with @error. */
static unsigned
fill_up(struct mpt *t, int error)
{
	mproc_process *ps[8], *p = NULL;
	unsigned n = 0;
	int r;

	while (n < 8 && (r = mproc_process_start(&ps[n], wait_for_ever, t,
						 NULL)) == 0)
		n++;
	mpt_check_int(t, r, error);
	mpt_check(t, *mproc_error_detail());
	for (unsigned i = 0; i < (n == 0 ? MANY : 3); i++) {
		mpt_check_int(t, mproc_process_start(&p, wait_for_ever, t,
						     NULL), error);
		mpt_check(t, !p);
	}
	if (n == 0)
		return 0;
	/* The end of one makes room for another. */
	end_one(t, ps[n - 1]);
	mpt_check_int(t, mproc_process_start(&ps[n - 1], wait_for_ever, t,
					     NULL), 0);
	mpt_check_int(t, mproc_process_start(&p, wait_for_ever, t, NULL),
		      error);
	for (unsigned i = 0; i < n; i++)
		end_one(t, ps[i]);
	return n;
}

#define MOST_PROCESSES 4

static int
host_with_few_processes(struct mpt *t, void *arg)
{
	/* The limit is not for the superuser, and counts all of a user's: let
	 * it be one that has no others. */
	uid_t nobody = 60000 + (uid_t)getpid() % 5000;
	bool root = geteuid() == 0;
	struct rlimit limit;
	struct owned owned;

	(void)arg;
	become_host(t);
	if (root)
		mpt_check_int(t, setresuid(nobody, nobody, nobody), 0);
	/* Else /proc/self is not ours to read. */
	mpt_check_int(t, prctl(PR_SET_DUMPABLE, 1), 0);
	mpt_check_int(t, getrlimit(RLIMIT_NPROC, &limit), 0);
	owned_look(t, &owned);
	for (unsigned n = 0; n <= (root ? MOST_PROCESSES : 0); n++) {
		limit.rlim_cur = n + root; /* it counts itself */
		mpt_check_int(t, setrlimit(RLIMIT_NPROC, &limit), 0);
		mpt_check_int(t, fill_up(t, -EAGAIN), n);
		expect_nothing_left(t, &owned);
	}
	return 0;
}

static void
the_limit_on_processes_is_exact(void **state)
{
	in_a_host(*state, host_with_few_processes, NULL);
}

#define MOST_DESCRIPTORS 6

/* Sets the limit so that @spare more descriptors can be had. */
static void
limit_descriptors(struct mpt *t, struct rlimit limit, unsigned spare)
{
	int fd = 0;

	while (fcntl(fd, F_GETFD) >= 0 || spare-- > 0)
		fd++;
	limit.rlim_cur = (rlim_t)fd;
	mpt_check_int(t, setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* How many can be started with @spare descriptors: each has one here, and the plan
 * of a new image one more, until it is let go. */
static unsigned
startable(unsigned spare)
{
	unsigned plan = usual_method() == MPROC_FORK ? 0 : 1;

	return spare > plan ? spare - plan : 0;
}

/* It uses the arena, for the first time where nobody else had to, and starts
 * children with what is left then. */
static int
host_with_few_descriptors(struct mpt *t, void *arg)
{
	unsigned spare = (unsigned)(uintptr_t)arg, used;
	int *result = mpt_scratch(t);
	struct rlimit limit;
	struct owned owned;
	mproc_queue *q;

	become_host(t);
	owned_look(t, &owned);
	mpt_check_int(t, getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit_descriptors(t, limit, spare);
	*result = mproc_queue_create(&q, NULL);
	used = owned_fds() - owned.fds;
	if (mpt_without("pidfd"))
		start_and_end(t); /* which needs none then */
	else
		mpt_check_int(t, fill_up(t, -EMFILE), startable(spare - used));
	mpt_check_int(t, setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (*result < 0) {
		mpt_check_int(t, *result, -EMFILE);
		expect_nothing_left(t, &owned);
		mpt_check_int(t, mproc_queue_create(&q, NULL), 0);
	}
	mpt_check_int(t, mproc_queue_put(q, "", 1, MPROC_NOWAIT), 0);
	start_and_end(t);
	expect_no_child(t);
	mproc_queue_destroy(q);
	return 0;
}

static void
the_limit_on_descriptors_is_exact(void **state)
{
	int *result = mpt_scratch(*state);

	for (unsigned n = 0; n <= MOST_DESCRIPTORS; n++) {
		in_a_host(*state, host_with_few_descriptors,
			  (void *)(uintptr_t)n);
		if (!n && usual_method() == MPROC_FORK)
			assert_int_equal(*result, -EMFILE);
	}
	assert_int_equal(*result, 0);
}

/* All that malloc can give, in a list. */
struct eaten {
	struct eaten *next;
};

static struct eaten *
eat_memory(void)
{
	struct eaten *all = NULL, *e;

	for (size_t size = 1 << 20; size >= sizeof(*e); size /= 2) {
		while ((e = malloc(size))) {
			e->next = all;
			all = e;
		}
	}
	return all;
}

static void
free_all(struct eaten *all)
{
	struct eaten *e;

	while ((e = all)) {
		all = e->next;
		free(e);
	}
}

/* A stack cannot grow either where there is no memory. */
static void
grow_stack(void)
{
	volatile char room[65536];

	for (size_t i = 0; i < sizeof(room); i += 1024)
		room[i] = 0;
}

#define SPARES 128
#define PAGE 4096
#define PAGES 160 /* of records with their reports, above all */

/* Memory is given bit by bit until start has enough: larger and larger blocks
 * for malloc, then pages. */
static int
host_with_little_memory(struct mpt *t, void *arg)
{
	struct rlimit old, limit;
	unsigned spares = 0, pages = 0;
	mproc_process *p = NULL;
	struct eaten *eaten;
	struct owned owned;
	void *spare[SPARES];

	(void)arg;
	grow_stack();
	for (size_t i = 0; i < SPARES; i++)
		mpt_check(t, spare[i] = malloc(16 * (i + 1)));
	mpt_check_int(t, getrlimit(RLIMIT_AS, &old), 0);
	limit = old;
	limit.rlim_cur = address_space(t);
	mpt_check_int(t, setrlimit(RLIMIT_AS, &limit), 0);
	eaten = eat_memory();
	owned_look(t, &owned);
	while (mproc_process_start(&p, wait_for_ever, t, NULL) != 0) {
		mpt_check_int(t, mproc_process_start(&p, wait_for_ever, t,
						     NULL), -ENOMEM);
		mpt_check(t, !p && *mproc_error_detail());
		expect_nothing_left(t, &owned);
		if (spares < SPARES) {
			free(spare[spares++]);
			continue;
		}
		mpt_check(t, ++pages < PAGES);
		limit.rlim_cur += PAGE;
		mpt_check_int(t, setrlimit(RLIMIT_AS, &limit), 0);
	}
	/* The last thing missing was no block. */
	mpt_check(t, pages > 0);
	end_one(t, p);
	mpt_check_int(t, setrlimit(RLIMIT_AS, &old), 0);
	free_all(eaten);
	start_and_end(t);
	expect_no_child(t);
	return 0;
}

static void
without_memory_nothing_is_started(void **state)
{
	in_a_host(*state, host_with_little_memory, NULL);
}

/* Group setup: what each process has once, from its first call on, is there
 * already, as it need not be refused. */
static int
with_a_first_call(void **state)
{
	mproc_process *p;

	(void)state;
	if (mproc_process_start(&p, return_it, NULL, NULL) < 0 ||
	    mproc_process_join(p, MPROC_FOREVER) < 0)
		return -1;
	mproc_process_close(p);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(the_limit_on_processes_is_exact),
		mpt_test(the_limit_on_descriptors_is_exact),
		mpt_test(without_memory_nothing_is_started),
	};

	return cmocka_run_group_tests(tests, with_a_first_call, NULL);
}
