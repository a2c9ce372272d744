/* SPDX-License-Identifier: MIT */
/*
 * Scenarios with several processes, for cmocka tests.
 *
 * A test about processes has to start some, bring them to known places, kill
 * or stop some of them there, and look at what the others see. This library
 * does that with raw Linux calls only, so that a defect in libmproc cannot
 * hide itself in the tool that looks for it.
 *
 * Five rules hold in every scenario:
 *
 * - A failing cmocka assert in a forked child jumps back into the child's copy
 *   of the test runner, which goes on with the remaining tests while the
 *   parent reports success. Roles (children and threads) therefore never use
 *   cmocka asserts: mpt_check() works everywhere and carries the failure to
 *   the test, which fails as soon as it next waits for anything.
 * - Nothing sleeps to "give the others time". mpt_step() and mpt_reach() order
 *   the roles, mpt_until() waits for a condition.
 * - Everything ends. A watchdog ends the whole program when a scenario hangs,
 *   also when the hang is inside the library under test.
 * - Nothing is left behind: descriptors, children, names in /dev/shm and
 *   mappings of shared memory are compared before and after.
 * - stdout belongs to the test runner (TAP); what roles print goes to stderr.
 *
 * A test program:
 *
 *	static int ping(struct mpt *t, void *arg)
 *	{
 *		mpt_step(t, 0);
 *		mpt_check(t, do_something(arg) == 0);
 *		return 0;
 *	}
 *
 *	static void a_ping_arrives(void **state)
 *	{
 *		struct mpt *t = *state;
 *		int id = mpt_spawn(t, "ping", ping, NULL);
 *
 *		mpt_reach(t, 1);
 *		mpt_expect_exit(t, id, 0);
 *	}
 *
 *	const struct CMUnitTest tests[] = { mpt_test(a_ping_arrives) };
 *
 * Environment: MPT_SLOW=n multiplies all watchdog times (valgrind, emulation),
 * MPT_SEED=n repeats the random choices of an earlier run, MPT_ARENA=n has a
 * default arena of n MiB, for valgrind, which takes minutes over a larger one.
 * MPT_METHOD=spawn or forkserver starts roles by that method of the library's, which
 * is then also the usual one for mproc_process_start() (see mpt_spawn()).
 */
#ifndef MPT_H
#define MPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mpt;

/* A role: what a process or thread of a scenario runs. 0 means success. */
typedef int mpt_fn(struct mpt *t, void *arg);

enum {
	MPT_ROLES = 4200,	/* processes and threads in one scenario */
	MPT_SCRATCH = 65536,	/* bytes at mpt_scratch() */
	MPT_FAILED = 70,	/* exit code of a role whose check failed */
	MPT_REFUSED = 71,	/* and of one that may not do here what it has to */
};

/**
 * mpt_test() - entry of a cmocka test table for a test with a scenario
 * @f: test function; finds its struct mpt in *state
 *
 * Hands the test's name to the scenario, which names it when it hangs.
 */
#define mpt_test(f) { #f, f, mpt_setup, mpt_teardown, (void *)(uintptr_t)#f }

/**
 * mpt_setup() - start a scenario (cmocka fixture)
 * @state: receives the scenario. On entry the test's name or NULL: a scenario
 *         takes the place of a cmocka group state
 *
 * Notes what the process owns now (for mpt_teardown()), makes the shared page,
 * arms the watchdog with 20 seconds, and becomes the reaper of orphans, so that
 * a grandchild whose parent died is seen as a leaked child. One scenario at a
 * time. A fixture of one's own calls this first.
 *
 * Return: 0, or -1 with a message.
 */
int mpt_setup(void **state);

/**
 * mpt_teardown() - end a scenario (cmocka fixture)
 * @state: the scenario; set to NULL
 *
 * Kills and reaps the roles that still run, which is no failure; joins
 * threads. Fails when a role's check failed or a role ended badly and nobody
 * asked for it, and when the process owns something it did not own at
 * mpt_setup() (or lost a descriptor): the message names each piece.
 *
 * Return: 0, or -1 with a message.
 */
int mpt_teardown(void **state);

/**
 * mpt_rebase() - what the process owns now is no leak
 * @t: scenario
 *
 * For things that are made once and stay, like a default arena.
 */
void mpt_rebase(struct mpt *t);

/**
 * mpt_watchdog() - end the program if the scenario is not over by then
 * @t:       scenario; only the test itself arms its watchdog
 * @seconds: from now; at least 1
 *
 * On expiry a report goes to stderr with the test's name and, for each role,
 * its state, what it last waited for and its failed check, if any; the roles
 * are killed and the program exits with status 1.
 */
void mpt_watchdog(struct mpt *t, unsigned seconds);

/**
 * mpt_use_threads() - run the roles spawned from now on as threads
 * @t:  scenario
 * @on: true for threads, false for processes (the default)
 *
 * The same roles then run under ThreadSanitizer, which cannot see the accesses
 * of other processes. Threads cannot be killed, paused or expected to end by a
 * signal; a crash of one ends the program.
 */
void mpt_use_threads(struct mpt *t, bool on);

/**
 * mpt_spawn() - start a role
 * @t:    scenario; only the test itself spawns, from its own thread
 * @role: name for messages; copied
 * @fn:   what it runs; its result is the exit code
 * @arg:  handed to @fn
 *
 * A process gets SIGKILL when the test program dies, has stderr for its
 * stdout, and ends by _exit().
 *
 * With MPT_METHOD a process has an image of its own: of the test's memory it finds
 * the scratch bytes and the default arena, at the same addresses, but no variables
 * as the test has set them, and no other descriptors than the standard ones. If
 * @arg is not there, it is forked instead; the numbers of those and the others come
 * as a comment at the program's end. @arg may lie in the scratch bytes or in the
 * arena, be a number within 4 million of 0, or a constant of the program.
 *
 * Return: the role's id, 0 for the first one and so on.
 */
int mpt_spawn(struct mpt *t, const char *role, mpt_fn *fn, void *arg);

/**
 * mpt_fork() - start a role that is a copy of the test, whatever MPT_METHOD says
 *
 * For tests that are about fork, or about what only a copy has. The rest is as for
 * mpt_spawn(), threads included.
 */
int mpt_fork(struct mpt *t, const char *role, mpt_fn *fn, void *arg);

/**
 * mpt_use_arena() - a scenario is to be an argument of mproc_process_start()
 *
 * With MPT_METHOD it then lies in the default arena, with its scratch bytes. Call it
 * in a constructor.
 */
void mpt_use_arena(void);

/**
 * mpt_here() - the scenario that the calling process belongs to
 *
 * For entries, and for constructors. With mpt_use_arena() a process with an image of
 * its own finds it, too.
 *
 * Return: the scenario, or NULL outside of one.
 */
struct mpt *mpt_here(void);

/**
 * mpt_pid() - process id of a role, or thread id if it is a thread
 *
 * Works in the test and in every role, also for roles spawned later.
 */
pid_t mpt_pid(struct mpt *t, int id);

/**
 * mpt_kill() - SIGKILL a role and wait until it is dead and reaped
 *
 * A role that had just ended well by itself is as good; any other end fails.
 */
void mpt_kill(struct mpt *t, int id);

/**
 * mpt_kill_unreaped() - SIGKILL a role and wait until it is a zombie
 *
 * It stays one until mpt_expect_signal(), mpt_kill() or the end of the
 * scenario.
 */
void mpt_kill_unreaped(struct mpt *t, int id);

/** mpt_pause() - SIGSTOP a role and wait until all its threads stand still */
void mpt_pause(struct mpt *t, int id);

/** mpt_resume() - let a paused role go on */
void mpt_resume(struct mpt *t, int id);

/**
 * mpt_expect_exit() - wait for a role's end, which must be exit code @code
 *
 * Otherwise the test fails, with the role's name, how it ended and the text of
 * its failed check; if the code is MPT_REFUSED, it is skipped.
 */
#define mpt_expect_exit(t, id, code) \
	mpt_expect_exit_at((t), (id), (code), __FILE__, __LINE__)

/** mpt_expect_signal() - wait for a role's end, which must be by @sig */
#define mpt_expect_signal(t, id, sig) \
	mpt_expect_signal_at((t), (id), (sig), __FILE__, __LINE__)

/** mpt_join_all() - mpt_expect_exit(0) for every role not yet waited for */
#define mpt_join_all(t) mpt_join_all_at((t), __FILE__, __LINE__)

/**
 * mpt_reap_orphans() - wait for the end of all children that are not roles
 * @t: scenario
 *
 * For tests that kill a parent and claim that its children end as well: those
 * become children of the test. Also takes the children that the test itself
 * started without mpt_spawn().
 *
 * Return: how many there were.
 */
unsigned mpt_reap_orphans(struct mpt *t);

/** mpt_scratch() - MPT_SCRATCH zeroed bytes shared by all roles */
void *mpt_scratch(struct mpt *t);

/**
 * mpt_name() - a name for shared memory or a file of this scenario
 * @t:    scenario
 * @buf:  receives "/mpt-<pid>-<what>"
 * @what: distinguishes names within the program
 *
 * Names made here by test programs that run at the same time are not taken for
 * leaks of this one. A leaked one is reported and removed.
 *
 * Return: @buf.
 */
const char *mpt_name(struct mpt *t, char buf[64], const char *what);

/**
 * mpt_step() - take step @n of the scenario
 *
 * Waits until the step counter, which starts at 0, is @n, then makes it @n + 1
 * and wakes those who wait for that. Each number is taken once.
 */
void mpt_step(struct mpt *t, unsigned n);

/** mpt_reach() - wait until the step counter is at least @n */
void mpt_reach(struct mpt *t, unsigned n);

/** mpt_until() - test @cond again and again until it is true */
#define mpt_until(t, cond)                                                    \
	do {                                                                  \
		for (unsigned mpt_tries = 0; !(cond); mpt_tries++)            \
			mpt_linger((t), #cond, mpt_tries);                    \
	} while (0)

/** mpt_check() - fail unless @cond; for the test and for every role */
#define mpt_check(t, cond)                                                    \
	do {                                                                  \
		if (!(cond))                                                  \
			mpt_fail((t), __FILE__, __LINE__, "%s", #cond);       \
	} while (0)

/** mpt_check_int() - fail unless @a equals @b, showing both values */
#define mpt_check_int(t, a, b)                                                \
	do {                                                                  \
		long long mpt_a = (long long)(a), mpt_b = (long long)(b);     \
                                                                              \
		if (mpt_a != mpt_b)                                           \
			mpt_fail((t), __FILE__, __LINE__,                     \
				 "%s is %lld, %s is %lld", #a, mpt_a, #b,     \
				 mpt_b);                                      \
	} while (0)

/**
 * mpt_fail() - report a failure and end the caller
 *
 * In the test this is a cmocka failure. A role's process, or one that it or
 * the test forked, exits with MPT_FAILED; a thread ends.
 */
_Noreturn void mpt_fail(struct mpt *t, const char *file, int line,
			const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/** mpt_fd_count() - number of open descriptors of this process */
unsigned mpt_fd_count(void);

/**
 * mpt_task_state() - what a process or thread does at the moment
 * @tid: process or thread id
 *
 * With mpt_until() this waits for a peer to really sleep ('S').
 *
 * Return: the state letter of /proc/<tid>/stat, or 0 if there is none.
 */
int mpt_task_state(pid_t tid);

/**
 * mpt_seed() - seed of this run, from MPT_SEED or at random
 *
 * Prints it as a TAP comment the first time. See mpt_rand.h.
 */
uint64_t mpt_seed(void);

/* Below the macros above. */
void mpt_expect_exit_at(struct mpt *t, int id, int code, const char *file,
			int line);
void mpt_expect_signal_at(struct mpt *t, int id, int sig, const char *file,
			  int line);
void mpt_join_all_at(struct mpt *t, const char *file, int line);
void mpt_linger(struct mpt *t, const char *what, unsigned tries);

#endif
