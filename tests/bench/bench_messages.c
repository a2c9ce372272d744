/* SPDX-License-Identifier: MIT */
/*
 * Messages through libmproc's queue and through all its peers, in turn: what one
 * costs at many sizes and from several processes to several, round trips, what
 * waiting consumers cost, and what others have after a process is killed.
 *
 * Each byte is checked, and that each message comes once; a contender that
 * loses or spoils one has no figures, and the report says so.
 *
 * Usage: bench_messages [--quick] [--rounds N] [--patience SECONDS]
 *                       [--only WORK]... [contender]...
 *
 * WORK is throughput, latency, start, memory, idle or death. A contender is a part
 * of its name; the first one always takes part.
 */
#include <errno.h>
#include <string.h>

#include "bench.h"
#include "crew.h"
#include "flow.h"
#include "round_trip.h"
#include "transport.h"

#define CONTENDERS 64
#define VALUES 4 /* of a contender, at most */
#define PILOT 500 /* messages, to see how long one takes */
#define PILOT_PART 8 /* of a round: one that is longer is enough */
#define MOST_EACH 20000000

struct contender {
	const struct transport *transport;
	char why[128]; /* no figures; "" as long as there are some */
	bool is_void;
	uint64_t each;
	double *values[VALUES]; /* of each round */
};

static struct contender contenders[CONTENDERS];
static unsigned n_contenders;

static bool quick;
static int rounds = 5;
static double patience; /* s */
static double patience_after_death;

static const size_t sizes[] = { 8, 64, 1024, 16384, 65536, 1 << 20 };
static const size_t quick_sizes[] = { 64, 1024 };

/* The simplest and the most crowded in each placement. */
static const struct {
	unsigned producers;
	unsigned consumers;
	bool pinned;
	bool quick;
} shapes[] = {
	{ 1, 1, true, true },	{ 2, 2, false, true },	{ 4, 4, true, false },
	{ 1, 4, false, false }, { 4, 1, false, false },
};

static const char *
refuses(const struct contender *c, const struct job *job,
	enum placement placement)
{
	if (placement == TWO_CPUS && ends_cpus() < 2)
		return BENCH_ONE_CPU;
	return transport_refuses(c->transport, job);
}

static void
begin(const struct job *job, enum placement placement)
{
	for (unsigned k = 0; k < n_contenders; k++) {
		struct contender *c = &contenders[k];
		const char *why = refuses(c, job, placement);

		snprintf(c->why, sizeof(c->why), "%s", why ? why : "");
		c->is_void = false;
		c->each = 0;
		for (int v = 0; v < VALUES; v++)
			memset(c->values[v], 0,
			       (size_t)rounds * sizeof(*c->values[v]));
	}
}

/* Notes that there will be no figures. */
static void
drop(struct contender *c, int failed, const char *flaw)
{
	c->is_void = flaw[0];
	snprintf(c->why, sizeof(c->why), "%s", failed ? strerror(failed) : flaw);
}

static bool
is_divisor(const double *values)
{
	for (int i = 0; i < rounds; i++)
		if (values[i] <= 0)
			return false;
	return rounds > 0;
}

/* One of the values of all contenders. */
static void
show(int v)
{
	const struct bench_table *t = &bench_table_now;
	const struct contender *first = &contenders[0];

	if (t->x_name)
		printf("%.0f %s, ", t->x, t->x_name);
	printf("%s, %s, %s, %d rounds in turn, verified\n", t->what,
	       t->placement, t->unit, rounds);
	printf("%-44s %10s %10s %10s %9s\n", "", "median", "least", "most",
	       "ratio");
	for (unsigned k = 0; k < n_contenders; k++) {
		struct contender *c = &contenders[k];
		const char *name = c->transport->name;

		if (c->is_void) {
			printf("%-44s VOID: %s\n", name, c->why);
			bench_report_void(name, c->why);
		} else if (c->why[0]) {
			printf("%-44s left out: %s\n", name, c->why);
			bench_report_left_out(name, c->why);
		} else {
			bench_line(44, name, c->values[v], rounds, 1);
			if (first->why[0] || !is_divisor(first->values[v]))
				printf("\n");
			else
				printf(" %9.2f\n",
				       bench_median_ratio(c->values[v],
							  first->values[v],
							  rounds));
			bench_report(name, c->values[v], rounds);
		}
	}
	printf("\n");
	fflush(stdout);
}

/* How many messages make a round as long as wanted. A run that is much shorter says
 * little of it: who watches looks every half of a millisecond. */
static bool
calibrate(struct contender *c, struct flow f)
{
	double wanted = quick ? 2e7 : 1e8, each = PILOT / f.job.producers;
	struct flow_end end;

	do {
		f.each = (uint64_t)each;
		flow_run(&f, &end);
		if (end.failed || end.flaw[0]) {
			drop(c, end.failed, end.flaw);
			return false;
		}
		each = wanted / (end.ns * f.job.producers);
		each = each > MOST_EACH ? MOST_EACH : each < 64 ? 64 : each;
	} while (each > PILOT_PART * (double)f.each);
	c->each = (uint64_t)each;
	return true;
}

static void
throughput_of(const struct job *job, enum placement placement)
{
	begin(job, placement);
	for (int i = 0; i < rounds; i++) {
		for (unsigned k = 0; k < n_contenders; k++) {
			struct contender *c = &contenders[k];
			struct flow f = { .transport = c->transport,
					  .job = *job,
					  .placement = placement,
					  .patience = patience };
			struct flow_end end;

			if (c->why[0] || (!c->each && !calibrate(c, f)))
				continue;
			f.each = c->each;
			flow_run(&f, &end);
			if (end.failed || end.flaw[0])
				drop(c, end.failed, end.flaw);
			c->values[0][i] = end.ns;
		}
	}
	bench_table("ns for a message", "%u to %u", job->producers,
		    job->consumers);
	bench_table_now.placement = placement_names[placement];
	bench_table_now.x_name = "bytes";
	bench_table_now.x = (double)job->size;
	show(0);
}

static void
throughput(void)
{
	size_t n = quick ? sizeof(quick_sizes) / sizeof(quick_sizes[0]) :
			   sizeof(sizes) / sizeof(sizes[0]);

	for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
		for (size_t i = 0; i < n; i++) {
			struct job job = { quick ? quick_sizes[i] : sizes[i],
					   shapes[s].producers,
					   shapes[s].consumers };

			if (quick && !shapes[s].quick)
				continue;
			if (shapes[s].pinned)
				throughput_of(&job, TWO_CPUS);
			if (shapes[s].pinned && !quick)
				throughput_of(&job, ONE_CPU);
			if (!shapes[s].pinned || !quick)
				throughput_of(&job, UNPINNED);
		}
	}
}

static void
latency_of(enum placement placement, bool spin)
{
	static const char *const what[VALUES] = { "median", "99 %", "99.9 %", "most" };
	const struct job job = { 64, 1, 1 };

	begin(&job, placement);
	for (int i = 0; i < rounds; i++) {
		for (unsigned k = 0; k < n_contenders; k++) {
			struct contender *c = &contenders[k];
			struct round_trip f = { .transport = c->transport,
						.size = job.size,
						.placement = placement,
						.spin = spin,
						.trips = quick ? 1000 : 10000,
						.patience = 6 * patience };
			struct round_trip_end end;

			if (c->why[0])
				continue;
			round_trip_run(&f, &end);
			if (end.failed || end.flaw[0])
				drop(c, end.failed, end.flaw);
			c->values[0][i] = end.p50;
			c->values[1][i] = end.p99;
			c->values[2][i] = end.p999;
			c->values[3][i] = end.most;
		}
	}
	for (int v = 0; v < VALUES; v++) {
		bench_table("ns", "round trip of %zu bytes, %s, %s of the trips",
			    job.size, spin ? "asking again and again" : "waiting",
			    what[v]);
		bench_table_now.placement = placement_names[placement];
		show(v);
	}
}

static void
latency(void)
{
	latency_of(TWO_CPUS, false);
	latency_of(TWO_CPUS, true);
	if (quick)
		return;
	latency_of(ONE_CPU, false);
	latency_of(UNPINNED, false);
}

/*
 * From the call that opens a channel until the first message has been taken, by
 * processes that did not exist then.
 */
static void
start(void)
{
	const struct job job = { 64, 1, 1 };

	begin(&job, UNPINNED);
	for (int i = 0; i < rounds; i++) {
		for (unsigned k = 0; k < n_contenders; k++) {
			struct contender *c = &contenders[k];
			struct flow f = { .transport = c->transport,
					  .job = job,
					  .placement = UNPINNED,
					  .each = 64,
					  .patience = patience };
			struct flow_end end;

			if (c->why[0])
				continue;
			flow_run(&f, &end);
			if (end.failed || end.flaw[0])
				drop(c, end.failed, end.flaw);
			c->values[0][i] = end.start * 1e3;
		}
	}
	bench_table("ms", "start: from nothing to the first message");
	show(0);
}

/* What MORE more producers add to all memory, once each has sent its messages. */
#define MORE 8

static double
memory_of(struct contender *c, unsigned producers)
{
	struct flow f = { .transport = c->transport,
			  .job = { 64, producers, 1 },
			  .placement = UNPINNED,
			  .each = 1000,
			  .patience = patience };
	struct flow_end end;

	if (c->why[0])
		return 0;
	flow_run(&f, &end);
	if (end.failed || end.flaw[0])
		drop(c, end.failed, end.flaw);
	return end.memory;
}

static void
memory(void)
{
	const struct job job = { 64, 1 + MORE, 1 };

	begin(&job, UNPINNED);
	for (int i = 0; i < rounds; i++) {
		for (unsigned k = 0; k < n_contenders; k++) {
			struct contender *c = &contenders[k];
			double one = memory_of(c, 1);
			double more = memory_of(c, 1 + MORE);

			/* What is nothing is not divided by. */
			more = (more - one) / MORE / 1024;
			c->values[0][i] = more > 1 ? more : 1;
		}
	}
	bench_table("KiB", "memory, not the kernel's: a producer and its process");
	show(0);
}

/* What a channel takes of the memory of who opens it, before it is used. */
#define OPENED 32

static double
memory_of_channels(struct contender *c)
{
	const struct job job = { 64, 1, 1 };
	void *channels[OPENED];
	double before, after;
	int n = 0;

	before = crew_memory_of_self();
	while (n < OPENED && (channels[n] = c->transport->open(&job)) != NULL)
		n++;
	after = crew_memory_of_self();
	if (n < OPENED)
		drop(c, errno ? errno : EIO, "");
	while (n > 0)
		c->transport->close(channels[--n]);
	return (after - before) / OPENED / 1024;
}

static void
memory_of_queues(void)
{
	const struct job job = { 64, 1, 1 };

	begin(&job, UNPINNED);
	for (unsigned k = 0; k < n_contenders; k++) {
		struct contender *c = &contenders[k];

		if (!c->why[0] && c->transport->opens_late)
			snprintf(c->why, sizeof(c->why),
				 "it is made by each process");
	}
	for (int i = 0; i < rounds; i++) {
		for (unsigned k = 0; k < n_contenders; k++) {
			struct contender *c = &contenders[k];
			double kib = c->why[0] ? 0 : memory_of_channels(c);

			c->values[0][i] = kib > 0.1 ? kib : 0.1;
		}
	}
	bench_table("KiB", "memory, not the kernel's: a queue that nobody has used");
	show(0);
}

static void
memory_of_both(void)
{
	memory_of_queues();
	memory();
}

/* Consumers that have nothing to do. */
static void
idle(void)
{
	const struct job job = { 64, 1, 4 };

	begin(&job, UNPINNED);
	for (int i = 0; i < rounds; i++) {
		for (unsigned k = 0; k < n_contenders; k++) {
			struct contender *c = &contenders[k];
			struct flow f = { .transport = c->transport,
					  .job = job,
					  .placement = UNPINNED,
					  .each = 64,
					  .idle = quick ? 0.2 : 0.5,
					  .patience = patience };
			struct flow_end end;

			if (c->why[0])
				continue;
			flow_run(&f, &end);
			if (end.failed || end.flaw[0])
				drop(c, end.failed, end.flaw);
			/* What does nothing is not divided by. */
			c->values[0][i] = end.idle > 0.001 ? end.idle : 0.001;
		}
	}
	bench_table("% of one CPU", "%u consumers wait", job.consumers);
	show(0);
}

/*
 * One of two producers, or consumers, or the only producer is killed in the middle.
 * What has not come then is no flaw: it is the figure.
 */
static void
death_of(enum end victim, unsigned ends, const char *name)
{
	const struct job job = { 64, ends, ends };

	begin(&job, UNPINNED);
	for (int i = 0; i < rounds; i++) {
		for (unsigned k = 0; k < n_contenders; k++) {
			struct contender *c = &contenders[k];
			struct flow f = { .transport = c->transport,
					  .job = job,
					  .placement = UNPINNED,
					  .victim = victim,
					  .patience = patience_after_death };
			struct flow_end end;

			if (c->transport->kind == THREADS && !c->why[0])
				snprintf(c->why, sizeof(c->why),
					 "threads die together");
			/* In the middle of a long run. */
			f.kills = false;
			if (c->why[0] || (!c->each && !calibrate(c, f)))
				continue;
			f.kills = true;
			f.each = 4 * c->each;
			flow_run(&f, &end);
			if (end.failed || (end.flaw[0] && !end.lost))
				drop(c, end.failed, end.flaw);
			c->values[0][i] = (double)end.lost;
			c->values[1][i] = end.hung;
			c->values[2][i] = end.refused;
			c->values[3][i] = end.stall * 1e3;
		}
	}
	for (int v = 0; v < VALUES; v++) {
		static const char *const what[VALUES] = {
			"messages that do not come",
			"runs in which producers hang",
			"runs in which others get errors or end",
			"until the next message, or all patience",
		};

		/* Of what one alone does nothing hangs, nor is a next message. */
		if (ends == 1 && v % 2)
			continue;
		bench_table(v == 3 ? "ms" : "count", "%s is killed: %s", name,
			    what[v]);
		show(v);
	}
}

static void
death(void)
{
	death_of(PRODUCER, 2, "one of two producers");
	death_of(CONSUMER, 2, "one of two consumers");
	/* Some can have no more than one. */
	death_of(PRODUCER, 1, "the only producer");
}

static const struct {
	const char *name;
	void (*run)(void);
} works[] = {
	{ "throughput", throughput },
	{ "latency", latency },
	{ "start", start },
	{ "memory", memory_of_both },
	{ "idle", idle },
	{ "death", death },
};

#define WORKS (sizeof(works) / sizeof(works[0]))

static void
add(const struct transport *t)
{
	struct contender *c = &contenders[n_contenders];

	for (unsigned k = 0; k < n_contenders; k++)
		if (contenders[k].transport == t)
			return;
	if (n_contenders == CONTENDERS)
		bench_die("too many contenders");
	c->transport = t;
	for (int v = 0; v < VALUES; v++)
		c->values[v] = bench_column(rounds);
	n_contenders++;
}

static void
must_be_known(const char *name)
{
	for (unsigned k = 0; k < n_transports; k++)
		if (strcasestr(transports[k]->name, name))
			return;
	fprintf(stderr, "bench_messages: no contender has \"%s\" in its name\n",
		name);
	exit(2);
}

static void
choose(char **names, int n)
{
	for (int i = 0; i < n; i++)
		must_be_known(names[i]);
	add(transports[0]);
	for (unsigned k = 0; k < n_transports; k++) {
		bool wanted = n == 0 && !transports[k]->only_by_name;

		for (int i = 0; i < n; i++)
			wanted |= strcasestr(transports[k]->name, names[i]) !=
				  NULL;
		if (wanted)
			add(transports[k]);
	}
}

int
main(int argc, char **argv)
{
	bool only[WORKS] = { false }, all = true;
	int at = 1, rounds_wanted = 0;

	for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
		const char *value = at + 1 < argc ? argv[at + 1] : "";
		bool known = false;

		if (strcmp(argv[at], "--quick") == 0) {
			quick = true;
			continue;
		}
		if (strcmp(argv[at], "--rounds") == 0)
			known = (rounds_wanted = atoi(value)) > 0;
		else if (strcmp(argv[at], "--patience") == 0)
			known = (patience = atof(value)) > 0;
		else if (strcmp(argv[at], "--only") == 0)
			for (size_t w = 0; w < WORKS; w++)
				if (strcmp(works[w].name, value) == 0)
					known = only[w] = true;
		if (!known) {
			fprintf(stderr, "bench_messages: %s %s: what is that?\n",
				argv[at], value);
			return 2;
		}
		if (strcmp(argv[at++], "--only") == 0)
			all = false;
	}
	if (quick)
		rounds = 3;
	patience_after_death = patience > 0 ? patience : quick ? 1 : 2;
	if (patience <= 0)
		patience = 10;
	if (rounds_wanted)
		rounds = rounds_wanted;
	choose(argv + at, argc - at);
	for (size_t w = 0; w < WORKS; w++)
		if (all || only[w])
			works[w].run();
	for (unsigned k = 0; k < n_contenders; k++)
		for (int v = 0; v < VALUES; v++)
			free(contenders[k].values[v]);
	return 0;
}
