/* SPDX-License-Identifier: MIT */
/*
 * A process with a waitset is killed after each instruction of what it does with the
 * set, and of what its watcher does meanwhile: others go on, and nothing is left.
 *
 * The watcher is a thread, and a victim is stepped in its first one. So in some of
 * these tests no thread is started for the watcher: the victim's first thread is the
 * watcher then, and what belongs to the set is done before, or by another thread.
 */
#include <sys/stat.h>

#include "ipc/watcher.h"
#include "os/thread.h"
#include "waiters.h"

enum { OTHERS = 2 };

struct scene {
	struct world w;
	mproc_event *e;
	mproc_waitset *set; /* the victim's */
	pid_t others[OTHERS];
};

/* In the scratch bytes. */
struct board {
	_Atomic int victim; /* its process, once all is watched */
	_Atomic int dead;   /* the victim is */
};

/* In a victim: its first thread is the watcher, once it has come to that. */
static bool is_watcher;

int __real_mpr_thread_start(void *(*fn)(void *arg), void *arg);
int __wrap_mpr_thread_start(void *(*fn)(void *arg), void *arg);

int
__wrap_mpr_thread_start(void *(*fn)(void *arg), void *arg)
{
	return is_watcher && fn == mpr_watcher ?
		       0 : __real_mpr_thread_start(fn, arg);
}

static struct board *
board(const struct scene *s)
{
	return mpt_scratch(s->w.t);
}

static void
begin(void *arg)
{
	struct scene *s = arg;

	*board(s) = (struct board){ 0 };
	world_begin(&s->w);
	assert_int_equal(mproc_event_create(&s->e), 0);
}

static void
end(struct scene *s)
{
	recover();
	mproc_event_destroy(s->e);
	world_end(&s->w);
}

static struct mproc_waitable
queue_of(const struct scene *s)
{
	return (struct mproc_waitable){ .kind = MPROC_WAIT_QUEUE,
					.object = s->w.q };
}

static struct mproc_waitable
event_of(const struct scene *s)
{
	return (struct mproc_waitable){ .kind = MPROC_WAIT_EVENT,
					.object = s->e };
}

/* What a victim does with its set; also before it is stepped. */

static void
create(struct scene *s)
{
	may_fail(mproc_waitset_create(&s->set));
}

static void
add_both(struct scene *s)
{
	struct mproc_waitable q = queue_of(s), e = event_of(s);

	may_fail(mproc_waitset_add(s->set, &q));
	may_fail(mproc_waitset_add(s->set, &e));
}

static void
remove_both(struct scene *s)
{
	struct mproc_waitable q = queue_of(s), e = event_of(s);

	may_fail(mproc_waitset_remove(s->set, &q));
	may_fail(mproc_waitset_remove(s->set, &e));
}

static void
wait_for_one(struct scene *s)
{
	struct mproc_waitable items[2];

	must_be(mproc_waitset_wait(s->set, items, 2, mproc_sec(60)), 1);
}

static void
wait_in_vain(struct scene *s)
{
	struct mproc_waitable items[2];

	must_be(mproc_waitset_wait(s->set, items, 2, mproc_until(1)),
		-ETIMEDOUT);
}

static void
close_set(struct scene *s)
{
	mproc_waitset_close(s->set);
}

static void
until_watched(const struct scene *s)
{
	while (!waiters_in_queue(&s->w) || !waiters_for_many())
		sched_yield();
}

static void
create_add(struct scene *s)
{
	create(s);
	add_both(s);
}

static void
create_add_settle(struct scene *s)
{
	create_add(s);
	until_watched(s);
	board(s)->victim = getpid();
}

static bool
sleeps(const struct scene *s)
{
	int victim = board(s)->victim;

	return victim && mpt_task_state(victim) == 'S';
}

static int
put_message(struct scene *s)
{
	struct message m = message(BY_OTHER, 0);

	return mproc_queue_put(s->w.q, &m, sizeof(m), MPROC_NOWAIT) < 0;
}

/* Once the victim sleeps in a wait for its set; or is dead. Whatever becomes of
 * that, there is one message. */
static int
put_for_sleeper(struct scene *s)
{
	while (!sleeps(s) && !board(s)->dead)
		sched_yield();
	return put_message(s);
}

static int
set_for_sleeper(struct scene *s)
{
	while (!sleeps(s) && !board(s)->dead)
		sched_yield();
	return mproc_event_set(s->e) < 0;
}

/* Once as many watchers, or others, wait; or the victim is dead. */
static void
until_waiting(struct scene *s, unsigned n)
{
	while (waiters_in_queue(&s->w) < n && !board(s)->dead)
		sched_yield();
}

static int
put_for_one(struct scene *s)
{
	until_waiting(s, 1);
	return put_message(s);
}

static int
put_for_two(struct scene *s)
{
	until_waiting(s, 2);
	return put_message(s);
}

static int
set_for_one(struct scene *s)
{
	until_waiting(s, 1);
	return mproc_event_set(s->e) < 0;
}

/* Takes the message, wherever it is woken. */
static int
take_one(struct scene *s)
{
	struct message m;
	int r = mproc_queue_get(s->w.q, &m, sizeof(m), NULL, mproc_sec(30));

	return r < 0 || !is_whole(&m) || m.sender != BY_OTHER;
}

/* A set of another process, until it is told of something. */
static int
wait_in_another_set(struct scene *s)
{
	struct mproc_waitable items[2];
	int r;

	create_add(s);
	r = mproc_waitset_wait(s->set, items, 2, mproc_sec(30));
	mproc_waitset_close(s->set);
	return r < 1;
}

static void
start_other(struct scene *s, int i, int (*role)(struct scene *s))
{
	s->others[i] = fork();
	assert_true(s->others[i] >= 0);
	if (s->others[i] == 0)
		_exit(role(s));
}

static void
begin_with_putter(void *arg)
{
	begin(arg);
	start_other(arg, 0, put_for_sleeper);
}

static void
begin_with_setter(void *arg)
{
	begin(arg);
	start_other(arg, 0, set_for_sleeper);
}

static void
begin_with_putter_for_watcher(void *arg)
{
	begin(arg);
	start_other(arg, 0, put_for_one);
}

static void
begin_with_setter_for_watcher(void *arg)
{
	begin(arg);
	start_other(arg, 0, set_for_one);
}

/* One sleeps in a get: whoever of the two is woken, it gets the message. */
static void
begin_with_taker(void *arg)
{
	struct scene *s = arg;

	begin(s);
	start_other(s, 1, take_one);
	mpt_until(s->w.t, waiters_in_queue(&s->w) == 1);
	start_other(s, 0, put_for_two);
}

static void
begin_with_message(void *arg)
{
	struct scene *s = arg;

	begin(s);
	put(s->w.q, BY_TEST, 0);
}

/* Another set is told as well, whatever is wrong with the victim's. */
static void
begin_with_another_set(void *arg)
{
	struct scene *s = arg;

	begin(s);
	start_other(s, 1, wait_in_another_set);
	mpt_until(s->w.t, waiters_in_queue(&s->w) == 1 && waiters_for_many() == 1);
	start_other(s, 0, put_for_two);
}

static bool
is_alone(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) == 0 && st.st_nlink == 3;
}

static void
expect_set_to_work(struct scene *s)
{
	struct mproc_waitable items[2] = { queue_of(s), event_of(s) };
	struct found found[5];
	mproc_waitset *set;

	assert_int_equal(mproc_waitset_create(&set), 0);
	assert_int_equal(mproc_waitset_add(set, &items[0]), 0);
	put(s->w.q, BY_SURVIVOR, 0);
	assert_int_equal(mproc_waitset_wait(set, items, 2, mproc_sec(30)), 1);
	drain(s->w.q, found);
	mproc_waitset_close(set);
	/* Our watcher gives back what it has before it ends. */
	mpt_until(s->w.t, is_alone());
}

/* All works for who is left. A set of ours takes some 20 ms to end, so that not each
 * case has one. */
static void
expect_to_work(struct scene *s, unsigned messages, bool with_set)
{
	struct mproc_waitable items[2] = { queue_of(s), event_of(s) };
	struct found found[5];

	recover();
	drain(s->w.q, found);
	assert_int_equal(found[BY_OTHER].n + found[BY_TEST].n, messages);
	assert_int_equal(mproc_event_clear(s->e), 0);
	assert_int_equal(waiters_in_queue(&s->w), 0);
	assert_int_equal(mproc_wait(items, 2, mproc_until(1)), -ETIMEDOUT);
	put(s->w.q, BY_SURVIVOR, 0);
	assert_int_equal(mproc_wait(items, 2, mproc_sec(30)), 1);
	drain(s->w.q, found);
	if (with_set)
		expect_set_to_work(s);
	end(s);
}

static void
nothing_there(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	expect_to_work(arg, 0, finished || n % 8 == 0);
}

static void
message_there(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	expect_to_work(arg, 1, finished || n % 8 == 0);
}

static void
message_came(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	board(s)->dead = 1;
	wait_for_exit(s->others[0]);
	message_there(arg, victim, n, finished);
}

static void
event_came(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	board(s)->dead = 1;
	wait_for_exit(s->others[0]);
	assert_int_equal(mproc_event_is_set(s->e), 1);
	nothing_there(arg, victim, n, finished);
}

static void
message_taken(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	board(s)->dead = 1;
	wait_for_exit(s->others[0]);
	/* It may have to notice that who was woken in its place is dead. */
	wait_for_exit(s->others[1]);
	nothing_there(arg, victim, n, finished);
}

static void
another_told(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	board(s)->dead = 1;
	wait_for_exit(s->others[0]);
	wait_for_exit(s->others[1]);
	message_there(arg, victim, n, finished);
}

struct what {
	const char *name;
	void (*before)(void *arg);
	void (*first)(struct scene *s); /* not stepped; or NULL */
	void (*op)(struct scene *s);
	void (*survivor)(void *arg, pid_t victim, unsigned long n,
			 bool finished);
};

struct stepped {
	struct scene s; /* first */
	const struct what *what;
};

static void
victim(void *arg)
{
	struct stepped *st = arg;

	if (st->what->first)
		st->what->first(&st->s);
	mpt_step_begin();
	st->what->op(&st->s);
	mpt_step_end();
}

static void
step_through(void **state, const struct what *what, size_t n)
{
	struct stepped st = {
		.s.w = { .t = *state, .opts.capacity = 4096 },
	};

	for (; n; n--, what++) {
		st.what = what;
		mpt_watchdog(*state, 60);
		mpt_stepper_run(*state, &(struct mpt_stepper_opts){
			.name = what->name,
			.before = what->before,
			.victim = victim,
			.survivor = what->survivor,
			.fingerprint = arena_state,
			.every = 1,
			.budget = 30,
			.max_cases = 60,
			.arg = &st,
		}, NULL);
	}
}

#define STEP_THROUGH(what) \
	step_through(state, what, sizeof(what) / sizeof((what)[0]))

static void
killed_in_what_is_done_with_a_set(void **state)
{
	static const struct what what[] = {
		{ "waitset_create", begin, NULL, create, nothing_there },
		{ "waitset_add", begin, create, add_both, nothing_there },
		{ "waitset_remove", begin, create_add_settle, remove_both,
		  nothing_there },
		{ "waitset_close", begin, create_add_settle, close_set,
		  nothing_there },
		{ "waitset_close at once", begin, create_add, close_set,
		  nothing_there },
	};

	STEP_THROUGH(what);
}

static void
killed_in_a_wait_for_a_set(void **state)
{
	static const struct what what[] = {
		{ "waitset_wait, ready", begin_with_message, create_add,
		  wait_for_one, message_there },
		{ "waitset_wait, late", begin, create_add_settle, wait_in_vain,
		  nothing_there },
		{ "waitset_wait, woken", begin_with_putter, create_add_settle,
		  wait_for_one, message_came },
		{ "waitset_wait, woken by an event", begin_with_setter,
		  create_add_settle, wait_for_one, event_came },
	};

	STEP_THROUGH(what);
}

/* The watcher. */

static void
watch(struct scene *s)
{
	(void)s;
	mpr_watcher(mpr_arena_peek());
}

static void
be_watcher(struct scene *s)
{
	is_watcher = true;
	create_add(s);
}

/* A set's other thread ends all. */
static void *
stop_watching(void *arg)
{
	struct scene *s = arg;

	until_watched(s);
	remove_both(s);
	close_set(s);
	return NULL;
}

static void
be_watcher_for_a_while(struct scene *s)
{
	pthread_t other;

	be_watcher(s);
	must_be(pthread_create(&other, NULL, stop_watching, s), 0);
}

static void
killed_in_the_watcher(void **state)
{
	static const struct what what[] = {
		{ "watcher begins", begin, be_watcher, watch, nothing_there },
		{ "watcher, something there", begin_with_message, be_watcher,
		  watch, message_there },
		{ "watcher ends", begin, be_watcher_for_a_while, watch,
		  nothing_there },
		{ "watcher, woken", begin_with_putter_for_watcher, be_watcher,
		  watch, message_came },
		{ "watcher, woken by an event", begin_with_setter_for_watcher,
		  be_watcher, watch, event_came },
	};

	STEP_THROUGH(what);
}

static void
killed_in_the_watcher_beside_others(void **state)
{
	static const struct what what[] = {
		{ "watcher beside one who takes", begin_with_taker, be_watcher,
		  watch, message_taken },
		{ "watcher beside another one", begin_with_another_set,
		  be_watcher, watch, another_told },
	};

	STEP_THROUGH(what);
}

/* What tells a set of another process. */

static void
begin_with_two_sets(void *arg)
{
	struct scene *s = arg;

	begin(s);
	for (unsigned i = 0; i < OTHERS; i++) {
		start_other(s, (int)i, wait_in_another_set);
		mpt_until(s->w.t, waiters_in_queue(&s->w) == i + 1 &&
					waiters_for_many() == i + 1);
	}
}

static void
set_event(struct scene *s)
{
	may_fail(mproc_event_set(s->e));
}

/* Whoever has set it, both are told. */
static void
both_told(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int is_set = mproc_event_is_set(s->e);

	assert_in_range(is_set, finished, 1);
	if (!is_set)
		assert_int_equal(mproc_event_set(s->e), 0);
	for (int i = 0; i < OTHERS; i++)
		wait_for_exit(s->others[i]);
	nothing_there(arg, victim, n, finished);
}

static void
killed_in_a_set_that_is_told_to_two(void **state)
{
	static const struct what what[] = {
		{ "event_set, told to two sets", begin_with_two_sets, NULL,
		  set_event, both_told },
	};

	STEP_THROUGH(what);
}

/* The first ones make room for many. */
static int
setup(void **state)
{
	mproc_event *made;

	if (mproc_event_create(&made) < 0)
		return -1;
	mproc_event_destroy(made);
	make_spare_slots();
	return world_setup(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_what_is_done_with_a_set),
		mpt_test(killed_in_a_wait_for_a_set),
		mpt_test(killed_in_the_watcher),
		mpt_test(killed_in_the_watcher_beside_others),
		mpt_test(killed_in_a_set_that_is_told_to_two),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
