/* SPDX-License-Identifier: MIT */
/*
 * The schedule explorer: runs a small scenario in all the ways in which it can
 * happen, within bounds.
 *
 * A scenario has a few fibers that stand for processes. They run the sources
 * of src/ring themselves, compiled with the accesses of explore_access.h.
 * Before each access the explorer may go on with another fiber (preemption) or
 * end this one for good (crash); a load may find a value that is not the
 * newest (staleness). Each way through these choices is one schedule. Depth
 * first, all schedules are run that need no more preemptions, crashes and
 * stale reads than allowed. Going on elsewhere when a fiber ends or sleeps is
 * free. What a scenario passes here does not depend on luck or timing.
 *
 * Memory follows C11 as a machine with views: each word keeps all values that
 * were ever stored in it, each fiber knows up to where it has seen each word,
 * and may read anything from there on. Release stores carry the knowledge of
 * their fiber, acquire loads take it over; fences and seq_cst accesses are as
 * in the standard, and their order is the one in which they run. Without stale
 * reads this is plain interleaving. It contains what store buffers do, x86's as
 * well as those that drain out of order. One simplification: stores to one word
 * take effect in the order in which they run. Loads are not delayed past later
 * stores, except the payload copy of a consumer, where that is the question:
 * with stale reads allowed it may happen as late as its fiber's next release.
 *
 * The fibers must be deterministic: whatever they do may depend on their
 * accesses and choices, on nothing else.
 */
#ifndef EXPLORER_H
#define EXPLORER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "explore_access.h"

enum {
	EXPLORE_FIBERS = 5,
	EXPLORE_OUTSIDE = EXPLORE_FIBERS, /* no fiber: begin() and end() */
	EXPLORE_FAILURE = 160, /* bytes of a failure's text */
};

/*
 * @name:   for messages
 * @fibers: how many
 * @ready:  when @fiber may begin, for one that has to wait for something; or
 *          NULL
 * @begin:  makes the world as it is before each schedule: explore_share() and
 *          private words
 * @enter:  what belongs to a thread becomes that of @fiber, which is about to
 *          go on after another; or NULL
 * @run:    what fiber number @fiber does
 * @end:    checks the world when no fiber can go on; its accesses see the
 *          newest values
 * @mortal: bit f is set if fiber f may be killed
 */
struct explore_scenario {
	const char *name;
	unsigned fibers;
	bool (*ready)(unsigned fiber);
	void (*begin)(void);
	void (*enter)(unsigned fiber);
	void (*run)(unsigned fiber);
	void (*end)(void);
	unsigned mortal;
};

/* How many of each in one schedule. */
struct explore_bounds {
	unsigned preemptions;
	unsigned crashes;
	unsigned stale;
};

struct explore_result {
	uint64_t schedules;
	uint64_t steps;
	unsigned longest; /* schedule, in steps */
	double seconds;
	char failure[EXPLORE_FAILURE]; /* of the last schedule; or "" */
};

/*
 * explore() - run all schedules, up to the first that fails
 */
void explore(const struct explore_scenario *s, const struct explore_bounds *b,
	     struct explore_result *ret);

/*
 * explore_trace() - run the schedule that failed once more, and print each
 * access in it as a TAP comment
 *
 * Directly after explore(), with the same arguments.
 */
void explore_trace(const struct explore_scenario *s,
		   const struct explore_bounds *b);

/* Fails the schedule; it ends there. In fibers and in end(). */
void explore_fail(const char *file, int line, const char *text);

#define explore_check(condition)                                          \
	do {                                                              \
		if (!(condition))                                         \
			explore_fail(__FILE__, __LINE__, #condition);     \
	} while (0)

/* For fibers. */

/* A point at which others may run, or a crash may come, without an access. */
void explore_point(void);

/* The fiber that runs, or EXPLORE_OUTSIDE. */
unsigned explore_current(void);

/* Sleeps until *@word differs from @old. */
void explore_sleep(const unsigned *word, unsigned old);

/* Sleeps until @is_over says that the fiber may go on. */
void explore_wait(bool (*is_over)(unsigned fiber));

/* Waits until fiber @other has ended or was killed, and knows what it knew, as
 * proof of death or a hand-over gives it. */
void explore_inherit(unsigned other);

/* Kills fiber @other where it is, asleep or not, unless it has ended. */
void explore_kill(unsigned other);

/* The expensive fence that makes all fibers fence (membarrier). */
void explore_barrier(void);

/* Before a buffer that mpr_copy_out() has filled is looked at. */
void explore_use(void);

/* For begin(). */

/* Makes [@p, @p + @size) shared, in words of 8 bytes that begin with what is
 * there now. @id names it for mutants, @name for traces. */
void explore_share(unsigned id, const void *p, size_t size, const char *name);

/* For end(), and for checks anywhere. */

bool explore_killed(unsigned fiber);
bool explore_asleep(unsigned fiber);

/* Whether this exploration has only interleavings. */
bool explore_is_plain(void);

/* Whether this is a shared word. */
bool explore_is_shared(const volatile void *object);

/* The newest value of a shared word; no access. */
uint64_t explore_peek(const volatile void *object);

/*
 * Mutants. To show that the checks see anything, the accesses themselves are
 * made wrong: a mutant looks at each access of a fiber and may change it.
 */
enum explore_kind {
	EXPLORE_LOAD,
	EXPLORE_STORE,
	EXPLORE_EXCHANGE,
	EXPLORE_ADD,
	EXPLORE_OR,
	EXPLORE_CAS,
	EXPLORE_FENCE,
	EXPLORE_BARRIER,
	EXPLORE_COPY_IN,
	EXPLORE_COPY_OUT,
};

enum explore_fault {
	EXPLORE_SOUND,
	EXPLORE_DROPPED, /* nothing happens */
	EXPLORE_BLIND,	 /* a CAS does not compare */
	EXPLORE_LOST,	 /* a CAS fails, as if somebody were faster */
	EXPLORE_SPLIT,	 /* a read-modify-write is a load and a store */
	EXPLORE_CACHED,	 /* a load gives what the fiber read there last */
	EXPLORE_ANSWERED, /* a load gives the access's value */
	EXPLORE_LATE,	 /* a store happens at the next explore_point() */
	EXPLORE_DELAYED, /* a copy out happens when it is used, not before */
};

struct explore_access {
	enum explore_kind kind;
	unsigned id; /* of the memory; unspecified for fences */
	unsigned fiber;
	uint64_t value; /* to be stored or added */
	enum explore_kind kind_before; /* the fiber's access before this one */
	unsigned id_before;
	uint64_t value_before; /* loaded or stored by it */
	memory_order order; /* may be changed */
	enum explore_fault fault;
};

typedef void explore_mutant(struct explore_access *a);

/* Sets the mutant for the next explorations; NULL for none. */
void explore_mutate(explore_mutant *mutant);

#endif
