/* SPDX-License-Identifier: MIT */
/*
 * What a killed victim leaves behind is seen by the single-step killer, all of it:
 * it kills on both sides of what changes that, and knows when it cannot tell.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "mpt.h"
#include "mpt_step.h"

/* In the scratch bytes. */
struct board {
	_Atomic(uint32_t) first;
};

static unsigned n_loops;

static void stay_away(unsigned n)
{
	volatile unsigned i;

	for (i = 0; i < n; i++)
		;
}

/* Nobody says what memory is of interest, and of the page behind nobody has heard
 * before the victim writes to it. */
static void store_here_and_there(void *arg)
{
	struct board *b = arg;
	_Atomic(uint32_t) *behind = (void *)((char *)b + MPT_SCRATCH - 4096);

	mpt_step_begin();
	stay_away(n_loops);
	atomic_store(&b->first, 1);
	atomic_store(&b->first, 1);
	atomic_store(&b->first, 0);
	stay_away(n_loops);
	atomic_store(behind, 1);
	stay_away(n_loops);
	atomic_store(behind, 0);
	stay_away(n_loops);
	mpt_step_end();
}

static unsigned n_here, n_behind;

static void see_both(void *arg, pid_t victim, unsigned long n, bool finished)
{
	_Atomic(uint32_t) *behind = (void *)((char *)arg + MPT_SCRATCH - 4096);
	struct board *b = arg;

	(void)victim;
	(void)n;
	(void)finished;
	n_here += b->first;
	n_behind += *behind;
	b->first = 0;
	*behind = 0;
}

/* All that changes the shared memory is found, and nothing else. */
static void what_changes_nothing_is_one_place_to_die(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "here and there",
		.victim = store_here_and_there,
		.survivor = see_both,
		.arg = mpt_scratch(*state),
		.max_cases = 1 + 4 + 4 + 1,
	};

	n_loops = 500;
	n_here = n_behind = 0;
	mpt_stepper_run(*state, &o, &r);
	assert_true(r.exact);
	assert_true(r.instructions > 2000);
	assert_int_equal(r.cases, 2 + o.max_cases);
	assert_int_equal(n_here, 2);
	assert_int_equal(n_behind, 2);

	/* And a few more, in case that this is not as it seems. */
	o.max_cases = 0;
	mpt_stepper_run(*state, &o, &r);
	assert_in_range(r.cases, 2 + 10 + 30, 2 + 10 + 51);
}

static int stay(struct mpt *t, void *arg)
{
	(void)t;
	(void)arg;
	pause();
	return 0;
}

static void see_nothing(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)arg;
	(void)victim;
	(void)n;
	(void)finished;
}

/* As if it took a robust mutex, which is not there. */
static void list_a_mutex(void *arg)
{
	struct board *b = arg;
	uintptr_t *head;
	size_t len;

	if (syscall(SYS_get_robust_list, 0, &head, &len) < 0)
		abort();
	mpt_step_begin();
	((volatile uintptr_t *)head)[2] = (uintptr_t)b;
	((volatile uintptr_t *)head)[2] = 0;
	mpt_step_end();
}

static void map_something(void *arg)
{
	(void)arg;
	mpt_step_begin();
	/* It cannot be read, as far as the kernel knows. */
	if (mmap(NULL, 4096, PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		abort();
	mpt_step_end();
}

static void *stay_as_a_thread(void *arg)
{
	pause();
	return arg;
}

static void start_a_thread(void *arg)
{
	pthread_t thread;

	mpt_step_begin();
	if (pthread_create(&thread, NULL, stay_as_a_thread, arg) != 0)
		abort();
	mpt_step_end();
}

static void nothing_is_left_out_where_not_all_can_be_seen(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "remains",
		.victim = list_a_mutex,
		.survivor = see_nothing,
		.max_cases = 4,
		.arg = mpt_scratch(*state),
	};

	/* The list of mutexes is left behind, too. */
	mpt_stepper_run(*state, &o, &r);
	assert_true(r.exact);
	assert_int_equal(r.others, 2);

	o.max_cases = 0;
	o.victim = map_something;
	mpt_stepper_run(*state, &o, &r);
	assert_false(r.exact);
	assert_int_equal(r.cases, r.instructions + 2);

	o.victim = start_a_thread;
	o.max_cases = 10;
	mpt_stepper_run(*state, &o, &r);
	assert_false(r.exact);
}

/* Two words of one page or two, and what survivors have found in them. */
struct pair {
	volatile uint32_t *first, *second;
};

static unsigned n_torn;

/* A victim's only mistake: there is a moment between the two. */
static void write_both(const struct pair *p)
{
	*p->first = 1;
	*p->second = 1;
}

static void write_a_pair(void *arg)
{
	mpt_step_begin();
	write_both(arg);
	mpt_step_end();
}

static void clear_the_pair(void *arg)
{
	const struct pair *p = arg;

	*p->first = 0;
	*p->second = 0;
}

static void see_torn_pairs(void *arg, pid_t victim, unsigned long n,
			   bool finished)
{
	const struct pair *p = arg;

	(void)victim;
	(void)n;
	(void)finished;
	n_torn += *p->first != *p->second;
}

/* Pages, whose bytes exist for who shares them, although there is no file
 * behind most of them. */
static void *map_file(int *ret_fd, off_t size)
{
	void *p;

	*ret_fd = memfd_create("test", MFD_CLOEXEC);
	assert_true(*ret_fd >= 0);
	assert_int_equal(ftruncate(*ret_fd, size), 0);
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
	assert_true(p != MAP_FAILED);
	return p;
}

static int reserved_fd;

/* The pages are there, and nobody has touched them. */
static void reserve_again(void *arg)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	(void)arg;
	assert_int_equal(fallocate(reserved_fd, punch, 0, 8192), 0);
	assert_int_equal(fallocate(reserved_fd, 0, 0, 8192), 0);
}

static void pages_that_were_only_reserved_are_seen(void **state)
{
	char *page = map_file(&reserved_fd, 8192);
	struct pair pair = { (void *)page, (void *)(page + 64) };
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "reserved pages",
		.victim = write_a_pair,
		.before = reserve_again,
		.survivor = see_torn_pairs,
		.arg = &pair,
		.max_cases = 4,
	};

	n_torn = 0;
	mpt_stepper_run(*state, &o, &r);
	assert_true(r.exact);
	assert_int_equal(r.others, 2);
	assert_int_equal(n_torn, 1);
	munmap(page, 8192);
	close(reserved_fd);
}

static void map_and_write_a_pair(void *arg)
{
	struct pair pair;
	char *page;

	(void)arg;
	mpt_step_begin();
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, reserved_fd,
		    0);
	if (page == MAP_FAILED)
		abort();
	stay_away(n_loops);
	pair = (struct pair){ (void *)page, (void *)(page + 4096) };
	*pair.first = 0;
	stay_away(n_loops);
	write_both(&pair);
	stay_away(n_loops);
	munmap(page, 8192);
	mpt_step_end();
}

static void empty_the_file(void *arg)
{
	(void)arg;
	assert_int_equal(ftruncate(reserved_fd, 0), 0);
	assert_int_equal(ftruncate(reserved_fd, 8192), 0);
}

static void see_torn_pairs_in_the_file(void *arg, pid_t victim, unsigned long n,
				       bool finished)
{
	uint32_t first, second;

	(void)arg;
	(void)victim;
	(void)n;
	(void)finished;
	assert_int_equal(pread(reserved_fd, &first, 4, 0), 4);
	assert_int_equal(pread(reserved_fd, &second, 4, 4096), 4);
	n_torn += first != second;
}

static void what_only_the_victim_maps_is_seen(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "a mapping of its own",
		.victim = map_and_write_a_pair,
		.before = empty_the_file,
		.survivor = see_torn_pairs_in_the_file,
		.max_cases = 20,
	};

	reserved_fd = memfd_create("test", MFD_CLOEXEC);
	assert_true(reserved_fd >= 0);
	n_loops = 100;
	n_torn = 0;
	mpt_stepper_run(*state, &o, &r);
	assert_true(r.exact);
	/* The first page comes, and is written to again; the second page comes. */
	assert_int_equal(r.others, 3);
	/* Behind the first store and, if that is another place, before the second. */
	assert_in_range(n_torn, 1, 2);
	close(reserved_fd);
}

static void bytes_behind_the_end_of_a_file_are_seen(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "end of a file",
		.victim = write_a_pair,
		.before = clear_the_pair,
		.survivor = see_torn_pairs,
		.max_cases = 4,
	};
	struct pair pair;
	char *page;
	int fd;

	page = map_file(&fd, 10);
	pair = (struct pair){ (void *)(page + 64), (void *)(page + 128) };
	o.arg = &pair;
	n_torn = 0;
	mpt_stepper_run(*state, &o, &r);
	assert_true(r.exact);
	assert_int_equal(r.others, 2);
	assert_int_equal(n_torn, 1);
	munmap(page, 8192);
	close(fd);
}

/* A list of its own, in which a mutex that nobody shares comes before the one that
 * is shared. */
struct links {
	uintptr_t head[3];
	uintptr_t unshared;
};

static struct links links;

struct listed {
	uintptr_t link;
	_Atomic(uint32_t) owner;
};

static void list_two_mutexes(struct listed *l)
{
	l->link = (uintptr_t)links.head;
	links = (struct links){
		.head = { (uintptr_t)&links.unshared,
			  offsetof(struct listed, owner) },
		.unshared = (uintptr_t)l,
	};
	/* The other one has nothing behind its link that looks like its owner. */
	if (syscall(SYS_set_robust_list, links.head, sizeof(links.head)) < 0)
		abort();
	l->owner = (uint32_t)getpid();
}

/* For a moment the kernel would not find it. */
static void unlink_a_mutex(void *arg)
{
	struct listed *l = arg;

	list_two_mutexes(l);
	mpt_step_begin();
	stay_away(n_loops);
	((volatile struct links *)&links)->unshared = (uintptr_t)links.head;
	((volatile struct links *)&links)->unshared = (uintptr_t)l;
	stay_away(n_loops);
	mpt_step_end();
}

static unsigned n_lost;

static void see_lost_mutexes(void *arg, pid_t victim, unsigned long n,
			     bool finished)
{
	struct listed *l = arg;

	(void)n;
	/* Who finishes has not given it back either. */
	if (!finished)
		n_lost += l->owner == (uint32_t)victim;
}

static void links_between_unshared_mutexes_are_seen(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "unlink a mutex",
		.victim = unlink_a_mutex,
		.survivor = see_lost_mutexes,
		.arg = mpt_scratch(*state),
		.max_cases = 6,
	};

	n_loops = 500;
	n_lost = 0;
	mpt_stepper_run(*state, &o, &r);
	assert_true(r.exact);
	assert_int_equal(r.others, 2);
	assert_in_range(n_lost, 1, 2);
}

static void tell_of_another_list(void *arg)
{
	static volatile uintptr_t head[3];

	head[0] = (uintptr_t)head;
	mpt_step_begin();
	syscall(SYS_set_robust_list, head, sizeof(head));
	stay_away(n_loops);
	head[2] = (uintptr_t)arg;
	head[2] = 0;
	stay_away(n_loops);
	mpt_step_end();
}

static void a_list_that_is_told_of_meanwhile_is_seen(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "another list",
		.victim = tell_of_another_list,
		.survivor = see_nothing,
		.arg = mpt_scratch(*state),
		.max_cases = 8,
	};

	n_loops = 100;
	mpt_stepper_run(*state, &o, &r);
	assert_true(r.exact);
	assert_int_equal(r.others, 2);
}

static void reap_siblings(void *arg, pid_t victim, unsigned long n,
			  bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	mpt_reap_orphans(arg);
}

/* Its child is one of the test's. */
static void make_a_sibling(void *arg)
{
	long pid;

	(void)arg;
	mpt_step_begin();
	pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(0);
	mpt_step_end();
}

static void children_that_are_not_the_victims_are_seen(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "a sibling",
		.victim = make_a_sibling,
		.survivor = reap_siblings,
		.arg = *state,
	};

	mpt_stepper_run(*state, &o, &r);
	assert_false(r.exact);
}

static unsigned n_starts, detours[2];

static void clear_the_pair_and_count(void *arg)
{
	clear_the_pair(arg);
	n_starts++;
}

static __attribute__((noinline)) void put_at(volatile uint32_t *p)
{
	*p = 1;
}

/* All but the first one, which is not killed, have been where it matters before. */
static void write_a_pair_later(void *arg)
{
	unsigned i, detour = n_starts > 1 ? detours[n_starts % 2] : 0;
	static volatile uint32_t unshared;
	const struct pair *p = arg;

	mpt_step_begin();
	for (i = 0; i < detour; i++)
		put_at(&unshared);
	stay_away(60);
	put_at(p->first);
	put_at(p->second);
	stay_away(60);
	mpt_step_end();
}

/* Some do not come by there at all. */
static void write_a_pair_elsewhere(void *arg)
{
	bool elsewhere = n_starts > 2;
	const struct pair *p = arg;

	mpt_step_begin();
	stay_away(60);
	if (elsewhere) {
		*p->first = 1;
		*p->second = 1;
	} else {
		put_at(p->first);
		put_at(p->second);
	}
	stay_away(60);
	mpt_step_end();
}

static void victims_that_go_another_way_are_killed_everywhere(void **state)
{
	struct board *b = mpt_scratch(*state);
	struct pair pair = { (void *)b, (void *)(b + 1) };
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "another time",
		.victim = write_a_pair_later,
		.before = clear_the_pair_and_count,
		.survivor = see_torn_pairs,
		.arg = &pair,
		.every = 2000,
		.budget = 1,
	};

	detours[0] = 5;
	detours[1] = 10;
	n_torn = n_starts = 0;
	mpt_stepper_run(*state, &o, &r);
	assert_false(r.exact);
	assert_in_range(r.cases, r.instructions, 2000);
	assert_in_range(n_torn, 1, 20);

	o.name = "another way";
	o.victim = write_a_pair_elsewhere;
	n_torn = n_starts = 0;
	mpt_stepper_run(*state, &o, &r);
	assert_false(r.exact);
	assert_in_range(n_torn, 1, 20);
}

static void a_first_time_that_is_unlike_others_is_no_model(void **state)
{
	struct board *b = mpt_scratch(*state);
	struct pair pair = { (void *)b, (void *)(b + 1) };
	struct mpt_stepper_result r;
	const struct mpt_stepper_opts o = {
		.name = "first time",
		.victim = write_a_pair_later,
		.before = clear_the_pair_and_count,
		.survivor = see_torn_pairs,
		.arg = &pair,
		.budget = 1,
	};

	detours[0] = detours[1] = 10;
	n_torn = n_starts = 0;
	mpt_stepper_run(*state, &o, &r);
	assert_true(r.exact);
	assert_in_range(r.cases, 3 + 4, 3 + 8);
	/* One or two, as compilers differ, and one more where a page fault comes between
	 * the stores, as it may at any time. */
	assert_in_range(n_torn, 1, 3);
}

static struct {
	struct mpt *t;
	unsigned starts;
	int id;
} late;

/* But not before the dry runs. */
static void start_another(void *arg)
{
	clear_the_pair(arg);
	if (++late.starts == 3)
		late.id = mpt_fork(late.t, "late", stay, NULL);
}

static void who_comes_after_the_dry_runs_is_seen(void **state)
{
	struct board *b = mpt_scratch(*state);
	struct pair pair = { (void *)b, (void *)(b + 1) };
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "somebody late",
		.victim = write_a_pair,
		.before = start_another,
		.survivor = see_nothing,
		.arg = &pair,
	};

	late.t = *state;
	mpt_stepper_run(*state, &o, &r);
	mpt_kill(*state, late.id);
	assert_false(r.exact);
	assert_int_equal(r.cases, r.instructions + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_changes_nothing_is_one_place_to_die),
		mpt_test(nothing_is_left_out_where_not_all_can_be_seen),
		mpt_test(pages_that_were_only_reserved_are_seen),
		mpt_test(what_only_the_victim_maps_is_seen),
		mpt_test(bytes_behind_the_end_of_a_file_are_seen),
		mpt_test(links_between_unshared_mutexes_are_seen),
		mpt_test(a_list_that_is_told_of_meanwhile_is_seen),
		mpt_test(children_that_are_not_the_victims_are_seen),
		mpt_test(victims_that_go_another_way_are_killed_everywhere),
		mpt_test(a_first_time_that_is_unlike_others_is_no_model),
		mpt_test(who_comes_after_the_dry_runs_is_seen),
	};

	/* It is to be as it is by itself. */
	unsetenv("MPT_STEP");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
