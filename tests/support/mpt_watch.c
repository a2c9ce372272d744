/* SPDX-License-Identifier: MIT */
/*
 * The watchdog: a scenario that hangs ends, and says where it hung.
 *
 * Two timers run while a scenario does. The first raises SIGALRM, whose handler
 * reports the roles, kills them and ends the program; it interrupts the test
 * wherever it hangs, also in a futex wait or a busy loop of the library under
 * test. The second comes three seconds later and carries SIGKILL, which the
 * kernel delivers even if the hung code has all signals blocked or replaced
 * the handler; the roles then die by their parent-death signal.
 *
 * The alternatives were worse: a watchdog process is one more child, which
 * waitpid(-1) and the leak check of a test would see, and a watchdog thread
 * makes every fork of a test one of a multi-threaded program. Timers are not
 * inherited by fork, so that only the test itself is watched; it always waits
 * for its roles, so that is enough.
 *
 * ThreadSanitizer holds handlers back until the interrupted thread calls one
 * of the functions it intercepts; a hang outside of those ends without report.
 *
 * Roles need no SIGABRT for a core dump first: the report shows what each one
 * waited for, and a debugger can be attached with MPT_SLOW=1000.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mpt_priv.h"

enum {
	LAST_RESORT = 3,	/* seconds after which SIGKILL follows */
};

static struct mpt *watched;
static timer_t alarm_timer, kill_timer;
static pid_t timers_of;		/* process that made the timers */

/* The report is written in a signal handler: no stdio. */
static void say(const char *s)
{
	ssize_t r = write(STDERR_FILENO, s, strlen(s));

	(void)r;
}

static void say_number(uint64_t n)
{
	char digits[21];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	say(digits + at);
}

static void say_slot(struct mpt *t, unsigned i)
{
	struct mpt_slot *s = &t->shared->slots[i];
	const char *waits = atomic_load(&s->waits);
	const char *text = mpt_report(t, i);
	char state[2] = { 0 };

	say("mpt:   ");
	say(s->role);
	say(" (");
	say_number((uint64_t)atomic_load(&s->pid));
	say(")");
	if (i >= MPT_ROLES || !t->roles[i].done) {
		state[0] = (char)mpt_task_state(atomic_load(&s->pid));
		say(": state ");
		say(state[0] != '\0' ? state : "gone");
	} else {
		say(": ended");
	}
	if (waits != NULL) {
		say(", last waited for: ");
		say(waits);
	}
	if (text != NULL) {
		say(", failed: ");
		say(text);
	}
	say("\n");
}

static void on_alarm(int sig)
{
	static const char bail[] = "Bail out! a scenario hangs\n";
	struct mpt *t = watched;
	unsigned i;
	ssize_t r;

	(void)sig;
	if (t == NULL || getpid() != t->pid)
		return;

	say("mpt: ");
	say(t->name);
	say(": not over after ");
	say_number(t->watchdog_seconds);
	say(" s, step counter is ");
	say_number(atomic_load(&t->shared->step));
	say("\n");
	if (t->note[0] != '\0') {
		say("mpt:   in ");
		say(t->note);
		say("\n");
	}
	say_slot(t, MPT_SLOT_TEST);
	for (i = 0; i < t->n_roles; i++)
		say_slot(t, i);

	for (i = 0; i < t->n_roles; i++)
		if (!t->roles[i].done && !t->roles[i].is_thread)
			kill(atomic_load(&t->shared->slots[i].pid), SIGKILL);
	for (i = 0; i < t->n_roles; i++)
		if (!t->roles[i].done && !t->roles[i].is_thread)
			waitpid(atomic_load(&t->shared->slots[i].pid), NULL, 0);
	if (t->victim > 0)
		kill(t->victim, SIGKILL);

	r = write(STDOUT_FILENO, bail, sizeof(bail) - 1);
	(void)r;
	_exit(1);
}

static void make_timers(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL };

	if (timers_of == getpid())
		return;
	ev.sigev_signo = SIGALRM;
	if (timer_create(CLOCK_MONOTONIC, &ev, &alarm_timer) < 0)
		abort();
	ev.sigev_signo = SIGKILL;
	if (timer_create(CLOCK_MONOTONIC, &ev, &kill_timer) < 0)
		abort();
	timers_of = getpid();
}

static void set_timer(timer_t timer, unsigned seconds)
{
	struct itimerspec at = { .it_value.tv_sec = (time_t)seconds };

	if (timer_settime(timer, 0, &at, NULL) < 0)
		abort();
}

static unsigned slowness(void)
{
	const char *s = getenv("MPT_SLOW");
	int n = s != NULL ? atoi(s) : 1;

	return n > 0 ? (unsigned)n : 1;
}

void mpt_watch_start(struct mpt *t)
{
	struct sigaction sa = { .sa_handler = on_alarm };

	if (getpid() != t->pid)
		return;
	make_timers();
	if (watched != t) {
		watched = t;
		sigfillset(&sa.sa_mask);
		sigaction(SIGALRM, &sa, NULL);
	}
	set_timer(kill_timer, t->watchdog_seconds + LAST_RESORT);
	set_timer(alarm_timer, t->watchdog_seconds);
}

void mpt_watch_stop(void)
{
	set_timer(alarm_timer, 0);
	set_timer(kill_timer, 0);
	watched = NULL;
	signal(SIGALRM, SIG_DFL);
}

void mpt_watchdog(struct mpt *t, unsigned seconds)
{
	t->watchdog_seconds = (seconds > 0 ? seconds : 1) * slowness();
	mpt_watch_start(t);
}
