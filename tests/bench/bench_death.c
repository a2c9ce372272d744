/* SPDX-License-Identifier: MIT */
/*
 * What is left to others when one of three processes is killed in the use of
 * something: of locks and the like, heaps, dicts, pools; of libmproc and of others.
 * (Of messages, see bench_messages.)
 *
 * The others use it again and again, and one victim after the other, which is killed
 * at a random moment; until the others do not go on any more, or 20 have died. The
 * figure is the longest time until the others have used it OFTEN more, or PATIENCE if
 * they hang. Of a pool a worker kills itself within a task:
 * it is the time until who waits for the result is told.
 *
 * Everything that can be counted is: who has lost or spoilt something is void.
 *
 * Usage: bench_death [rounds [OBJECT]]
 *
 * OBJECT is a part of what is killed in the use of: "lock", "heap", "worker".
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "death.h"
#include "python.h"

#define ROUNDS 5
#define VICTIMS 20
#define OFTEN 200 /* times that the others use it after a death */
#define PATIENCE 1000 /* ms */
#define VICTIM DEATH_OTHERS

static struct shared {
	uint64_t counter;
	_Atomic uint64_t done[DEATH_OTHERS + 1];
} *shared;

uint64_t *death_counter;

void
death_must(int r)
{
	if (r < 0)
		bench_die(mproc_error_detail());
}

static void
nap(int64_t ns)
{
	nanosleep(&(struct timespec){ ns / 1000000000, ns % 1000000000 }, NULL);
}

static pid_t
start(const struct death_kind *k, unsigned me)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		bench_die("fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (k->enter)
		k->enter();
	for (;;) {
		k->use(me);
		shared->done[me]++;
	}
}

/* How often the processes from @first on, up to @last, have used it. */
static uint64_t
uses(unsigned first, unsigned last)
{
	uint64_t sum = 0;

	for (unsigned i = first; i <= last; i++)
		sum += shared->done[i];
	return sum;
}

/* ms until they have used it @n times more, at most @patience. Together: a lock that is
 * not fair may be one's for long. */
static double
until_used(unsigned first, unsigned last, uint64_t n, double patience)
{
	int64_t began = mproc_now();
	uint64_t until = uses(first, last) + n;
	double ms = 0;

	while (ms < patience) {
		ms = (double)(mproc_now() - began) / 1e6;
		if (uses(first, last) >= until)
			return ms;
		nap(20000);
	}
	return patience;
}

/* Whether it has died of that, and not before. */
static bool
kill_one(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL;
}

/* NULL, or what is wrong after @deaths. */
static const char *
verify(uint64_t deaths, bool all_lived)
{
	if (!all_lived)
		return "one that was not killed has ended";
	/* Each may have had it without saying so. */
	if (shared->counter && shared->counter - uses(0, VICTIM) > deaths)
		return "several have had it at once";
	return NULL;
}

/* ms; @ret_why: what was wrong. */
static double
round_of_c(const struct death_kind *k, const char **ret_why)
{
	double worst = 0;
	uint64_t deaths = 0;
	bool lived = true;
	pid_t others[DEATH_OTHERS], victim;

	memset(shared, 0, sizeof(*shared));
	if (!k->open())
		return 0;
	for (unsigned i = 0; i < DEATH_OTHERS; i++)
		others[i] = start(k, i);
	while (deaths < (k->once ? 1 : VICTIMS) && worst < PATIENCE) {
		double ms;

		victim = start(k, VICTIM);
		/* One that others leave nothing is killed as it waits. */
		(void)until_used(VICTIM, VICTIM, 1, PATIENCE);
		nap(rand() % 2000000);
		lived &= kill_one(victim);
		deaths++;
		ms = until_used(0, VICTIM - 1, OFTEN, PATIENCE);
		worst = ms > worst ? ms : worst;
	}
	for (unsigned i = 0; i < DEATH_OTHERS; i++)
		lived &= kill_one(others[i]);
	*ret_why = verify(deaths + DEATH_OTHERS, lived);
	mproc_arena_recover(NULL);
	k->close();
	return worst;
}

/* a: the patience in ms; b: how many victims there are. */
#define PYTHON_KILLS                                                          \
	"import random, signal\n"                                             \
	"def work(i):\n"                                                      \
	"    while True:\n"                                                   \
	"        use(i)\n"                                                    \
	"        done[i] += 1\n"                                              \
	"def begin(i):\n"                                                     \
	"    p = context.Process(target=work, args=(i,), daemon=True)\n"      \
	"    p.start()\n"                                                     \
	"    return p\n"                                                      \
	"def until_used(who, n, patience):\n"                                 \
	"    until, began = sum(done[who]) + n, now()\n"                      \
	"    while sum(done[who]) < until:\n"                                 \
	"        if now() - began > patience * 1e6:\n"                        \
	"            return patience\n"                                       \
	"        time.sleep(20e-6)\n"                                         \
	"    return (now() - began) / 1e6\n"                                  \
	"others, worst, deaths = [begin(0), begin(1)], 0, 2\n"                \
	"while worst < a and deaths < b + 2:\n"                               \
	"    victim = begin(2)\n"                                             \
	"    until_used(slice(2, 3), 1, a)\n"                                 \
	"    time.sleep(random.random() * 0.002)\n"                           \
	"    os.kill(victim.pid, signal.SIGKILL)\n"                           \
	"    victim.join()\n"                                                 \
	"    deaths += 1\n"                                                   \
	"    worst = max(worst, until_used(slice(0, 2), 200, a))\n"           \
	"for p in others:\n"                                                  \
	"    check(p.is_alive())\n"                                           \
	"    p.kill()\n"                                                      \
	"    p.join()\n"                                                      \
	"check(count[0] == 0 or 0 <= count[0] - sum(done) <= deaths)\n"       \
	"print(worst)\n"

static double
round_of_python(const struct death_kind *k)
{
	char program[8192];

	snprintf(program, sizeof(program), "%s%s%s%s", BENCH_PYTHON,
		 "done, count = array(3), array(1)\n", k->python, PYTHON_KILLS);
	return bench_python(program, PATIENCE, k->once ? 1 : VICTIMS);
}

/*
 * Pools.
 */

#define POOL "a pool's worker is killed by its task"

static int
die(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	kill(getpid(), SIGKILL);
	return 0;
}

static int
square(const void *in, size_t len, struct mproc_result *out)
{
	uint64_t n;

	if (len != sizeof(n))
		return -EINVAL;
	memcpy(&n, in, sizeof(n));
	n *= n;
	return mproc_result_set(out, &n, sizeof(n));
}

static double
round_of_pool(void)
{
	uint64_t n = 12;
	mproc_pool *pool;
	int64_t began;
	double ms;
	int r;

	death_must(mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts,
						       .workers = 2)));
	death_must(mproc_pool_apply(pool, square, &n, sizeof(n), &n, sizeof(n),
				    NULL, MPROC_FOREVER));
	began = mproc_now();
	r = mproc_pool_apply(pool, die, NULL, 0, NULL, 0, NULL,
			     mproc_ms(PATIENCE));
	ms = r == -ETIMEDOUT ? PATIENCE : (double)(mproc_now() - began) / 1e6;
	if (r != MPROC_TASK_FAILED && r != -ETIMEDOUT)
		bench_die("a worker's death is told as something else");
	death_must(mproc_pool_apply(pool, square, &n, sizeof(n), &n, sizeof(n),
				    NULL, MPROC_FOREVER));
	if (n != 12 * 12 * 12 * 12)
		bench_die("a wrong square");
	mproc_pool_free(pool);
	return ms;
}

static const char python_pool[] = BENCH_PYTHON
	"import signal\n"
	"def square(n):\n"
	"    return n * n\n"
	"def die():\n"
	"    os.kill(os.getpid(), signal.SIGKILL)\n"
	"pool = context.Pool(2)\n"
	"check(pool.apply(square, (12,)) == 144)\n"
	"began = now()\n"
	"result = pool.apply_async(die)\n"
	"try:\n"
	"    result.get(a / 1e3)\n"
	"except multiprocessing.TimeoutError:\n"
	"    pass\n"
	"print(min(a, (now() - began) / 1e6))\n"
	"check(pool.apply(square, (144,)) == 20736)\n"
	"pool.terminate()\n";

static double
round_of_python_pool(void)
{
	return bench_python(python_pool, PATIENCE, 0);
}

/*
 * Tables.
 */

static double
round_of(const struct death_kind *k, const char **ret_why)
{
	return k->python ? round_of_python(k) : round_of_c(k, ret_why);
}

static void
head(const char *object)
{
	bench_table("ms", "%s, until the others go on, or %d ms if they hang",
		    object, PATIENCE);
	bench_show_head();
}

static void
row(const char *name, const double *ms, const double *first, int rounds)
{
	bench_row(name, ms, rounds, 2);
	printf(" %9.2f%s\n", bench_median_ratio(ms, first, rounds),
	       bench_most(ms, rounds) >= PATIENCE ? " they hang" : "");
}

static void
show(const struct death_kind *k, const double *ms, const double *first,
     const char *why, int rounds)
{
	char missing[64];

	snprintf(missing, sizeof(missing), "not installed: %s",
		 k->missing ? k->missing : "python3");
	if (ms[0] <= 0)
		bench_left_out(k->name, missing);
	else if (why)
		bench_void(k->name, why);
	else
		row(k->name, ms, first, rounds);
}

/* The kinds of one object. */
static void
compare(const struct death_kind *kinds, int n, int rounds)
{
	double **ms = bench_columns(n, rounds);
	const char **why = calloc((size_t)n, sizeof(*why));
	char object[64];

	if (!why)
		bench_die("no memory");
	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < n; k++)
			if (!why[k])
				ms[k][i] = round_of(&kinds[k], &why[k]);
	snprintf(object, sizeof(object), "killed in the use of %s",
		 kinds[0].object);
	head(object);
	for (int k = 0; k < n; k++)
		show(&kinds[k], ms[k], ms[0], why[k], rounds);
	free(why);
	bench_free_columns(ms, n);
}

static bool
is_wanted(const struct death_kind *k, const char *object)
{
	return object ? strstr(k->object, object) != NULL : !k->only_by_name;
}

static void
compare_all(const struct death_kind *kinds, int n, int rounds,
	    const char *object)
{
	for (int k = 0, of; k < n; k += of) {
		for (of = 1; k + of < n &&
			     strcmp(kinds[k].object, kinds[k + of].object) == 0;)
			of++;
		if (is_wanted(&kinds[k], object))
			compare(kinds + k, of, rounds);
	}
}

static void
compare_pools(int rounds)
{
	double **ms = bench_columns(2, rounds);

	for (int i = 0; i < rounds; i++) {
		ms[0][i] = round_of_pool();
		ms[1][i] = round_of_python_pool();
	}
	head(POOL);
	row("libmproc", ms[0], ms[0], rounds);
	if (!bench_is_missing("Python's Pool", ms[1]))
		row("Python's Pool", ms[1], ms[0], rounds);
	bench_free_columns(ms, 2);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	const char *object = argc > 2 ? argv[2] : NULL;

	if (rounds < 1)
		bench_die("usage: bench_death [rounds [object]]");
	shared = bench_shared(sizeof(*shared));
	death_counter = &shared->counter;
	compare_all(death_sync, death_n_sync, rounds, object);
	compare_all(death_memory, death_n_memory, rounds, object);
	if (!object || strstr(POOL, object))
		compare_pools(rounds);
	return 0;
}
