/* SPDX-License-Identifier: MIT */
/*
 * Bells: what rings, how often, and what becomes of entries, descriptors and the
 * watcher. Who loses a wake-up is found out by the watcher after a while; so these
 * tests repeat what they do.
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <sys/mman.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "common.h"
#include "ipc/bell.h"
#include "ipc/queue_shm.h"
#include "ipc/queue_fd.h"
#include "sync/event.h"
#include "sync/told.h"

#define MANY 300

static struct mpr_bell *bell;

static mproc_queue *
new_queue(void)
{
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(&q, MPROC_OPTS(mproc_queue_opts,
							   .capacity = 4096)),
			 0);
	return q;
}

static void
put(mproc_queue *q)
{
	assert_int_equal(mproc_queue_put(q, "x", 1, MPROC_NOWAIT), 0);
}

static int
get(mproc_queue *q)
{
	char c;

	return mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT);
}

static struct mpr_watched *
watch(mproc_queue *q, void *cookie)
{
	struct mpr_watched *e = NULL;

	assert_int_equal(mpr_bell_watch_queue(bell, q, cookie, &e), 0);
	return e;
}

static bool
rings(struct mpr_bell *b, int ms)
{
	struct pollfd pfd = { .fd = mpr_bell_fd(b), .events = POLLIN };

	return poll(&pfd, 1, ms) == 1 && pfd.revents == POLLIN;
}

static struct mpr_watched *
next(void)
{
	int error = 1;
	struct mpr_watched *e = mpr_bell_next(bell, &error);

	if (e)
		assert_int_equal(error, 0);
	return e;
}

static void
begin(void)
{
	assert_int_equal(mpr_bell_open(&bell), 0);
}

/* The watcher goes, too, after a moment. */
static void
end(struct mpt *t)
{
	mpr_bell_close(bell);
	mpt_until(t, !mpr_queue_fd_threads() &&
		     mpr_participants_count(the_arena()) == 1);
}

static void
it_rings_once_until_it_is_armed_again(void **state)
{
	mproc_queue *q = new_queue();
	struct mpr_watched *e;

	begin();
	e = watch(q, q);
	assert_false(rings(bell, 0));
	for (unsigned i = 0; i < amount(50); i++) {
		put(q);
		assert_true(rings(bell, 20000));
		assert_ptr_equal(next(), e);
		assert_ptr_equal(mpr_bell_cookie(e), q);
		assert_null(next());
		assert_false(rings(bell, 0));
		/* Nobody watches. */
		put(q);
		assert_false(rings(bell, 0));
		/* Something is there: at once. */
		mpr_bell_arm(e);
		assert_true(rings(bell, 20000));
		assert_ptr_equal(next(), e);
		assert_int_equal(get(q), 0);
		assert_int_equal(get(q), 0);
		mpr_bell_arm(e);
	}
	mpr_bell_unwatch(e);
	end(*state);
	mproc_queue_destroy(q);
}

static void
of_many_those_ring_that_have_something(void **state)
{
	static mproc_queue *queues[MANY];
	static struct mpr_watched *entries[MANY];
	struct mpr_watched *e;
	static bool was[MANY];
	unsigned ready, i_of;

	begin();
	for (unsigned i = 0; i < MANY; i++) {
		queues[i] = new_queue();
		entries[i] = watch(queues[i], &entries[i]);
	}
	for (unsigned i = 0; i < amount(300); i++) {
		ready = i * 7 % MANY;
		put(queues[ready]);
		assert_true(rings(bell, 20000));
		e = next();
		assert_ptr_equal(e, entries[ready]);
		assert_int_equal(get(queues[ready]), 0);
		mpr_bell_arm(e);
	}
	/* All of them, each once. */
	for (unsigned i = 0; i < MANY; i++)
		put(queues[i]);
	ready = 0;
	while (ready < MANY) {
		assert_true(rings(bell, 20000));
		while ((e = next())) {
			i_of = (unsigned)((struct mpr_watched **)
						  mpr_bell_cookie(e) - entries);
			assert_ptr_equal(e, entries[i_of]);
			assert_false(was[i_of]);
			was[i_of] = true;
			ready++;
		}
	}
	for (unsigned i = 0; i < MANY; i++) {
		mpr_bell_unwatch(entries[i]);
		mproc_queue_destroy(queues[i]);
	}
	end(*state);
}

static void
several_are_told_of_the_same_queue(void **state)
{
	mproc_queue *q = new_queue();
	struct mpr_watched *e, *f, *other;
	struct mpr_bell *second;
	struct pollfd pfd = { .events = POLLIN };
	int error;

	begin();
	assert_int_equal(mpr_bell_open(&second), 0);
	pfd.fd = mproc_queue_fd(q);
	assert_true(pfd.fd > 2);
	e = watch(q, NULL);
	f = watch(q, NULL);
	assert_int_equal(mpr_bell_watch_queue(second, q, NULL, &other), 0);
	for (unsigned i = 0; i < amount(30); i++) {
		put(q);
		assert_true(rings(second, 20000));
		assert_ptr_equal(mpr_bell_next(second, &error), other);
		assert_true(rings(bell, 20000));
		assert_non_null(next());
		assert_true(rings(bell, 20000));
		assert_non_null(next());
		assert_int_equal(poll(&pfd, 1, 20000), 1);
		assert_int_equal(get(q), 0);
		/* This makes the descriptor quiet. */
		assert_int_equal(get(q), -EAGAIN);
		assert_int_equal(poll(&pfd, 1, 0), 0);
		mpr_bell_arm(e);
		mpr_bell_arm(f);
		mpr_bell_arm(other);
	}
	mpr_bell_unwatch(e);
	mpr_bell_unwatch(f);
	put(q);
	assert_true(rings(second, 20000));
	assert_false(rings(bell, 0));
	mpr_bell_unwatch(other);
	assert_false(rings(second, 0));
	mpr_bell_close(second);
	mproc_queue_destroy(q);
	end(*state);
}

static void
one_that_is_gone_rings_and_cannot_be_watched_again(void **state)
{
	struct mpr_watched *e, *other = NULL;
	mproc_queue *q = new_queue();
	int error = 0;

	begin();
	e = watch(q, NULL);
	mproc_queue_destroy(q);
	assert_true(rings(bell, 20000));
	/* The watcher may have seen that before it took its seat. */
	assert_ptr_equal(mpr_bell_next(bell, &error), e);
	assert_true(error == 0 || error == -ESTALE);
	mpr_bell_arm(e);
	assert_true(rings(bell, 20000));
	assert_ptr_equal(mpr_bell_next(bell, &error), e);
	assert_int_equal(error, -ESTALE);
	assert_int_equal(mpr_bell_watch_queue(bell, q, NULL, &other), -ESTALE);
	/* The next queue is another one, also if it lies there. */
	q = new_queue();
	other = watch(q, q);
	mpr_bell_arm(e);
	assert_true(rings(bell, 20000));
	assert_ptr_equal(mpr_bell_next(bell, &error), e);
	assert_int_equal(error, -ESTALE);
	put(q);
	assert_true(rings(bell, 20000));
	assert_ptr_equal(next(), other);
	mpr_bell_unwatch(e);
	mpr_bell_unwatch(other);
	mproc_queue_destroy(q);
	end(*state);
}

static void
a_shutdown_rings_for_good(void **state)
{
	mproc_queue *q = new_queue();
	struct mpr_watched *e;

	begin();
	e = watch(q, NULL);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_true(rings(bell, 20000));
	assert_ptr_equal(next(), e);
	mpr_bell_arm(e);
	assert_true(rings(bell, 20000));
	mpr_bell_unwatch(e);
	mproc_queue_destroy(q);
	end(*state);
}

static struct mpr_watched *
watch_event(mproc_event *event, struct mpr_news *seen)
{
	struct mpr_watched *e = NULL;

	*seen = mpr_event_see(event);
	assert_int_equal(mpr_bell_watch_news(bell, seen, event, &e), 0);
	return e;
}

static void
an_event_rings(mproc_event *event)
{
	struct mpr_news seen;
	struct mpr_watched *e = watch_event(event, &seen);

	for (unsigned i = 0; i < amount(50); i++) {
		assert_int_equal(mproc_event_set(event), 0);
		assert_true(rings(bell, 20000));
		assert_ptr_equal(next(), e);
		assert_ptr_equal(mpr_bell_cookie(e), event);
		assert_true(mpr_news_look(&seen, false));
		/* It is set. */
		mpr_bell_arm_news(e, &seen);
		assert_true(rings(bell, 20000));
		assert_ptr_equal(next(), e);
		assert_int_equal(mproc_event_clear(event), 0);
		seen = mpr_event_see(event);
		assert_false(mpr_news_look(&seen, false));
		/* Somebody else sets and clears it before it is armed. */
		mproc_event_set(event);
		mproc_event_clear(event);
		mpr_bell_arm_news(e, &seen);
		assert_true(rings(bell, 20000));
		assert_ptr_equal(next(), e);
		seen = mpr_event_see(event);
		mpr_bell_arm_news(e, &seen);
	}
	mpr_bell_unwatch(e);
}

static void
events_ring_wherever_they_lie(void **state)
{
	mproc_event private = { 0 }, *shared = NULL;

	assert_int_equal(mproc_event_create(&shared), 0);
	begin();
	an_event_rings(&private);
	an_event_rings(shared);
	end(*state);
	mproc_event_destroy(shared);
}

static void
of_many_events_and_queues_the_right_ones_ring(void **state)
{
	static mproc_event events[MANY];
	static struct mpr_news seen[MANY];
	static struct mpr_watched *entries[MANY];
	mproc_queue *q = new_queue();
	struct mpr_watched *e;

	begin();
	e = watch(q, q);
	for (unsigned i = 0; i < MANY; i++)
		entries[i] = watch_event(&events[i], &seen[i]);
	for (unsigned i = 0; i < amount(200); i++) {
		unsigned at = i * 7 % MANY;

		mproc_event_set(&events[at]);
		assert_true(rings(bell, 20000));
		assert_ptr_equal(next(), entries[at]);
		assert_null(next());
		mproc_event_clear(&events[at]);
		seen[at] = mpr_event_see(&events[at]);
		mpr_bell_arm_news(entries[at], &seen[at]);
		put(q);
		assert_true(rings(bell, 20000));
		assert_ptr_equal(next(), e);
		assert_int_equal(get(q), 0);
		mpr_bell_arm(e);
	}
	for (unsigned i = 0; i < MANY; i++)
		mpr_bell_unwatch(entries[i]);
	mpr_bell_unwatch(e);
	mproc_queue_destroy(q);
	end(*state);
}

/* A wake-up that the watcher is chosen for is not its own. */
static void
one_that_is_not_watched_any_more_keeps_nobody_asleep(void **state)
{
	struct mpr_watched *taken, *left;
	_Atomic uint64_t *other;
	mproc_queue *q = new_queue();

	begin();
	for (unsigned i = 0; i < amount(50); i++) {
		/* One is taken, and not armed; the other has it watched. */
		taken = watch(q, NULL);
		put(q);
		assert_true(rings(bell, 20000));
		assert_ptr_equal(next(), taken);
		assert_int_equal(get(q), 0);
		left = watch(q, NULL);
		mpt_until(*state, atomic_load(&q->hint));
		mpr_bell_unwatch(left);
		/* As one that sleeps in a get. */
		assert_int_equal(mpr_seat_take(the_arena(), join_arena(*state),
					       &q->seats, &other), 0);
		mpr_seat_wait(other, &q->hint);
		put(q);
		mpt_until(*state, mpr_owner_state(atomic_load(other)) !=
					  MPR_SEAT_WAITING);
		mpr_seat_leave(other);
		assert_int_equal(get(q), 0);
		mpr_bell_unwatch(taken);
	}
	mproc_queue_destroy(q);
	end(*state);
}

/* Who has unwatched an event may do with its memory what it wants. */
static void
an_event_is_left_alone_once_it_is_not_watched(void **state)
{
	enum { PAGE = 4096 };
	struct mpr_news seen;
	struct mpr_watched *e;
	mproc_event *event;

	begin();
	for (unsigned i = 0; i < amount(20000); i++) {
		event = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_true(event != MAP_FAILED);
		e = watch_event(event, &seen);
		/* At any point of what the watcher does. */
		for (unsigned j = i * 7 % 500; j; j--)
			assert_true(mproc_now() > 0);
		mpr_bell_unwatch(e);
		munmap(event, PAGE);
	}
	end(*state);
}

/* Come and go, and the process grows no more. */
static void
entries_are_used_again(void **state)
{
	static mproc_queue *queues[MANY];
	static struct mpr_watched *entries[MANY];
	size_t first = 0, now = 0;
	struct mpt *t = *state;

	for (unsigned i = 0; i < MANY; i++)
		queues[i] = new_queue();
	for (unsigned round = 0; round < 20; round++) {
		begin();
		for (unsigned i = 0; i < MANY; i++)
			entries[i] = watch(queues[i], NULL);
		put(queues[round]);
		assert_true(rings(bell, 20000));
		for (unsigned i = 0; i < MANY; i++)
			mpr_bell_unwatch(entries[i]);
		assert_int_equal(get(queues[round]), 0);
		end(t);
		now = mallinfo2().uordblks;
		if (round == 1)
			first = now;
	}
	for (unsigned i = 0; i < MANY; i++)
		mproc_queue_destroy(queues[i]);
	/* What one round needs is more than that. */
	assert_true(now < first + MANY * 64);
}

/* Who waits is told why, and does not wait for ever. */
static void
what_the_watcher_cannot_do_is_told(void **state)
{
	static const struct {
		const char *spec;
		int error;
	} cases[] = {
		{ "lock:1", -ENOLCK },
		{ "malloc:1", -ENOMEM },
		{ "malloc:2", -ENOMEM },
	};
	mproc_queue *q = new_queue();
	struct mpr_watched *e;
	int error;

	for (unsigned i = 0; i < 3; i++) {
		/* The bell and its entry are there already. */
		begin();
		e = watch(q, NULL);
		mpr_bell_unwatch(e);
		end(*state);
		begin();
		mpr_fault_set(cases[i].spec);
		e = watch(q, NULL);
		assert_true(rings(bell, 20000));
		error = 0;
		assert_ptr_equal(mpr_bell_next(bell, &error), e);
		mpr_fault_set(NULL);
		assert_int_equal(error, cases[i].error);
		/* Its watcher may have ended: another one is started. */
		mpr_bell_arm(e);
		put(q);
		assert_true(rings(bell, 20000));
		assert_ptr_equal(next(), e);
		assert_int_equal(get(q), 0);
		mpr_bell_unwatch(e);
		e = watch(q, NULL);
		put(q);
		assert_true(rings(bell, 20000));
		assert_ptr_equal(next(), e);
		assert_int_equal(get(q), 0);
		mpr_bell_unwatch(e);
		end(*state);
	}
	mproc_queue_destroy(q);
}

/* Its entry is used again, by another watcher for something else. */
static void
a_descriptor_that_there_was_no_memory_for_leaves_nothing(void **state)
{
	struct pollfd pfd = { .events = POLLIN };
	mproc_queue *q = new_queue(), *other;
	char spec[32];
	int r = -1;

	assert_int_equal(get(q), -EAGAIN);
	for (unsigned n = 1; r < 0; n++) {
		snprintf(spec, sizeof(spec), "malloc:%u", n);
		mpr_fault_set(spec);
		r = mproc_queue_fd(q);
		mpr_fault_set(NULL);
		if (r < 0)
			assert_int_equal(r, -ENOMEM);
		other = new_queue();
		pfd.fd = mproc_queue_fd(other);
		assert_true(pfd.fd >= 0);
		put(other);
		assert_int_equal(poll(&pfd, 1, 20000), 1);
		mproc_queue_destroy(other);
		if (r < 0)
			mpt_until(*state, !mpr_queue_fd_threads());
	}
	mproc_queue_destroy(q);
	mpt_until(*state, !mpr_queue_fd_threads() &&
			  mpr_participants_count(the_arena()) == 1);
}

static void
without_descriptors_threads_or_memory_there_is_none(void **state)
{
	mproc_queue *q = new_queue();
	struct mpr_watched *e;

	begin();
	end(*state);
	mpr_fault_set("eventfd:1");
	assert_int_equal(mpr_bell_open(&bell), -EMFILE);
	mpr_fault_set(NULL);
	begin();
	mpr_fault_set("thread:1");
	assert_int_equal(mpr_bell_watch_queue(bell, q, NULL, &e), -EAGAIN);
	mpr_fault_set(NULL);
	assert_int_equal(mpr_bell_watch_queue(bell, (void *)&q, NULL, &e),
			 -EFAULT);
	assert_int_equal(mpr_bell_watch_queue(bell, NULL, NULL, &e), -EINVAL);
	end(*state);
	mproc_queue_destroy(q);
}

/* Where rows and columns cross, and nowhere else. */
static void
what_is_told_is_found_again(void **state)
{
	struct mpr_self *self = join_arena(*state);
	mproc_queue *q = new_queue();
	uint64_t name = mpr_arena_name(the_arena(), &q->seats);
	unsigned place = mpr_told_place(name), n = 0;
	uint64_t told;

	(void)mpr_told_take(self);
	mpr_tell(the_arena(), self->slot, name);
	mpr_tell(the_arena(), MPR_PARTICIPANTS_MAX, name);
	told = mpr_told_take(self);
	for (unsigned i = 0; i < MPR_TOLD_PLACES; i++)
		n += mpr_told_has(told, i);
	assert_int_equal(n, 1);
	assert_true(mpr_told_has(told, place));
	assert_int_equal(mpr_told_take(self), 0);
	mproc_queue_destroy(q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_rings_once_until_it_is_armed_again),
		mpt_test(of_many_those_ring_that_have_something),
		mpt_test(several_are_told_of_the_same_queue),
		mpt_test(one_that_is_gone_rings_and_cannot_be_watched_again),
		mpt_test(a_shutdown_rings_for_good),
		mpt_test(events_ring_wherever_they_lie),
		mpt_test(of_many_events_and_queues_the_right_ones_ring),
		mpt_test(one_that_is_not_watched_any_more_keeps_nobody_asleep),
		mpt_test(an_event_is_left_alone_once_it_is_not_watched),
		mpt_test(entries_are_used_again),
		mpt_test(what_the_watcher_cannot_do_is_told),
		mpt_test(a_descriptor_that_there_was_no_memory_for_leaves_nothing),
		mpt_test(without_descriptors_threads_or_memory_there_is_none),
		mpt_test(what_is_told_is_found_again),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
