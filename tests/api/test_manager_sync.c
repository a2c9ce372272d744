/* SPDX-License-Identifier: MIT */
/*
 * Semaphores and events of a manager.
 */
#include "manager_modes.h"

static mproc_semaphore *
semaphore_of(struct mpt *t, unsigned who)
{
	return object_of(t, who, SEMAPHORE);
}

static mproc_event *
event_of(struct mpt *t, unsigned who)
{
	return object_of(t, who, EVENT);
}

static void
end_semaphore(struct mpt *t, const struct board *b)
{
	mproc_semaphore *s;

	mpt_join_all(t);
	assert_int_equal(mproc_manager_semaphore(client, b->name, NULL, &s), 0);
	mproc_semaphore_destroy(s);
}

static void
end_event(struct mpt *t, const struct board *b)
{
	mproc_event *e;

	mpt_join_all(t);
	assert_int_equal(mproc_manager_event(client, b->name, &e), 0);
	mproc_event_destroy(e);
}

static const struct mproc_semaphore_opts
	two = { .struct_size = sizeof(two), .value = 2, .max = 3 },
	none = { .struct_size = sizeof(none) },
	owned = { .struct_size = sizeof(owned), .value = 2, .undo = true };

static int
find_none(struct mpt *t, void *arg)
{
	mproc_semaphore *s = semaphore_of(t, number(arg));

	mpt_check_int(t, mproc_semaphore_value(s), 0);
	mpt_check_int(t, mproc_semaphore_acquire(s, MPROC_NOWAIT), -EAGAIN);
	mpt_check_int(t, mproc_semaphore_acquire(s, mproc_ms(20)), -ETIMEDOUT);
	return 0;
}

static void
permits_are_counted(void **state)
{
	struct mpt *t = *state;
	struct board *b;
	mproc_semaphore *s;

	semaphore_opts = &two;
	b = new_board(t, SEMAPHORE);
	s = semaphore_of(t, 0);
	assert_int_equal(mproc_semaphore_value(s), 2);
	assert_int_equal(mproc_semaphore_acquire(s, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_semaphore_acquire(s, MPROC_FOREVER), 0);
	mpt_expect_exit(t, mpt_fork(t, "other", find_none, AS(1)), 0);
	mpt_expect_exit(t, mpt_fork(t, "other", find_none, AS(2)), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mproc_semaphore_release(s), 0);
	assert_int_equal(mproc_semaphore_release(s), -EOVERFLOW);
	assert_int_equal(mproc_semaphore_value(s), 3);
	end_semaphore(t, b);
	assert_true(mproc_semaphore_value(s) == -ESTALE);
}

static int
take_one(struct mpt *t, void *arg)
{
	mproc_semaphore *s = semaphore_of(t, number(arg));
	struct board *b = mpt_scratch(t);

	b->ready++;
	mpt_check_int(t, mproc_semaphore_acquire(s, mproc_sec(20)), 0);
	b->done++;
	return 0;
}

/* Each permit comes to one, whoever gives it and whoever waits. */
static void
a_permit_is_for_one(void **state)
{
	struct mpt *t = *state;
	mproc_semaphore *s;
	struct board *b;

	semaphore_opts = &none;
	b = new_board(t, SEMAPHORE);
	s = semaphore_of(t, 0);
	for (unsigned i = 1; i <= 6; i++)
		mpt_fork(t, "takes", take_one, AS(i));
	mpt_until(t, b->ready == 6);
	for (unsigned i = 1; i <= 6; i++) {
		assert_int_equal(mproc_semaphore_release(s), 0);
		mpt_until(t, b->done == i);
	}
	mpt_join_all(t);
	assert_int_equal(mproc_semaphore_value(s), 0);
	end_semaphore(t, b);
}

static void
killed_waiters_take_no_permit(void **state)
{
	struct mpt *t = *state;
	mproc_semaphore *s;
	struct board *b;
	int ids[4];

	semaphore_opts = &none;
	b = new_board(t, SEMAPHORE);
	s = semaphore_of(t, 0);
	for (unsigned i = 0; i < 4; i++)
		ids[i] = mpt_fork(t, "waits", take_one, AS(i + 1));
	mpt_until(t, b->ready == 4);
	for (unsigned i = 0; i < 4; i++)
		mpt_kill(t, ids[i]);
	assert_int_equal(mproc_semaphore_release(s), 0);
	mpt_until(t, mproc_semaphore_value(s) == 1);
	assert_int_equal(mproc_semaphore_acquire(s, mproc_sec(20)), 0);
	end_semaphore(t, b);
}

static int
take_and_stay(struct mpt *t, void *arg)
{
	mproc_semaphore *s = semaphore_of(t, number(arg));
	struct board *b = mpt_scratch(t);

	mpt_check_int(t, mproc_semaphore_acquire(s, mproc_sec(20)), 0);
	b->ready++;
	mpt_until(t, false);
	return 0;
}

static void
permits_of_the_dead_come_back(void **state)
{
	struct mpt *t = *state;
	mproc_semaphore *s;
	struct board *b;
	int ids[2];

	semaphore_opts = &owned;
	b = new_board(t, SEMAPHORE);
	s = semaphore_of(t, 0);
	assert_int_equal(mproc_semaphore_release(s), -EPERM);
	for (unsigned i = 0; i < 2; i++)
		ids[i] = mpt_fork(t, "dies", take_and_stay, AS(i + 1));
	mpt_until(t, b->ready == 2);
	assert_int_equal(mproc_semaphore_acquire(s, MPROC_NOWAIT), -EAGAIN);
	mpt_fork(t, "waits", take_one, AS(1));
	mpt_fork(t, "waits", take_one, AS(2));
	mpt_until(t, b->ready == 4);
	for (unsigned i = 0; i < 2; i++)
		mpt_kill(t, ids[i]);
	/* They end, and give back what they have. */
	mpt_until(t, b->done == 2);
	mpt_join_all(t);
	mpt_until(t, mproc_semaphore_value(s) == 2);
	assert_int_equal(mproc_semaphore_acquire(s, mproc_sec(20)), 0);
	assert_int_equal(mproc_semaphore_acquire(s, mproc_sec(20)), 0);
	assert_int_equal(mproc_semaphore_release(s), 0);
	assert_int_equal(mproc_semaphore_release(s), 0);
	assert_int_equal(mproc_semaphore_release(s), -EPERM);
	end_semaphore(t, b);
}

static void *
take_and_end(void *arg)
{
	return (void *)(intptr_t)mproc_semaphore_acquire(arg, MPROC_NOWAIT);
}

static void
permits_of_threads_that_end_come_back(void **state)
{
	struct mpt *t = *state;
	mproc_semaphore *s;
	pthread_t thread;
	struct board *b;
	void *result;

	semaphore_opts = &owned;
	b = new_board(t, SEMAPHORE);
	s = semaphore_of(t, 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(pthread_create(&thread, NULL, take_and_end, s), 0);
		pthread_join(thread, &result);
		assert_int_equal((intptr_t)result, 0);
		mpt_until(t, mproc_semaphore_value(s) == 2);
	}
	end_semaphore(t, b);
}

static int
wait_for_event(struct mpt *t, void *arg)
{
	mproc_event *e = event_of(t, number(arg));
	struct board *b = mpt_scratch(t);

	mpt_check_int(t, mproc_event_wait(e, MPROC_NOWAIT), -EAGAIN);
	mpt_check_int(t, mproc_event_wait(e, mproc_ms(10)), -ETIMEDOUT);
	b->ready++;
	mpt_check_int(t, mproc_event_wait(e, mproc_sec(20)), 0);
	b->done++;
	return 0;
}

static void
all_go_on_when_it_is_set(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, EVENT);
	mproc_event *e = event_of(t, 0);

	assert_int_equal(mproc_event_is_set(e), 0);
	for (unsigned i = 1; i <= 6; i++)
		mpt_fork(t, "waits", wait_for_event, AS(i));
	mpt_until(t, b->ready == 6);
	assert_int_equal(b->done, 0);
	assert_int_equal(mproc_event_set(e), 0);
	mpt_join_all(t);
	assert_int_equal(mproc_event_is_set(e), 1);
	assert_int_equal(mproc_event_wait(e, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_event_clear(e), 0);
	assert_int_equal(mproc_event_is_set(e), 0);
	end_event(t, b);
}

static int
count_sets(struct mpt *t, void *arg)
{
	mproc_event *e = event_of(t, number(arg));
	struct board *b = mpt_scratch(t);

	b->ready++;
	while (!b->counter) {
		int r = mproc_event_wait(e, mproc_sec(20));

		mpt_check_int(t, r, 0);
		b->done++;
	}
	return 0;
}

/* Set and cleared at once: who has waited goes on. */
static void
who_waited_goes_on_though_it_is_cleared(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, EVENT);
	mproc_event *e = event_of(t, 0);
	unsigned done;

	b->counter = 0;
	mpt_fork(t, "waits", count_sets, AS(1));
	mpt_fork(t, "waits", count_sets, AS(2));
	mpt_until(t, b->ready == 2);
	for (int i = 0; i < 50; i++) {
		done = b->done;
		do {
			assert_int_equal(mproc_event_set(e), 0);
			assert_int_equal(mproc_event_clear(e), 0);
		} while (b->done < done + 2);
	}
	b->counter = 1;
	assert_int_equal(mproc_event_set(e), 0);
	end_event(t, b);
}

static int
see_its_end(struct mpt *t, void *arg)
{
	mproc_event *e = event_of(t, number(arg));
	struct board *b = mpt_scratch(t);
	int r;

	b->ready++;
	r = mproc_event_wait(e, mproc_sec(20));
	/* It may have come too late. */
	mpt_check(t, r == -ESHUTDOWN || r == -ESTALE);
	mpt_check_int(t, mproc_event_wait(e, mproc_sec(20)), -ESTALE);
	return 0;
}

static void
destroy_wakes_those_who_wait(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, EVENT);
	mproc_event *e = event_of(t, 0);

	mpt_fork(t, "waits", see_its_end, AS(1));
	mpt_fork(t, "waits", see_its_end, AS(2));
	mpt_until(t, b->ready == 2);
	mproc_event_destroy(e);
	mpt_join_all(t);
	assert_int_equal(mproc_event_set(e), -ESTALE);
	assert_int_equal(mproc_event_is_set(e), -ESTALE);
	assert_true(mproc_arena_bind(NULL, b->name, NULL) <= 0);
}

static void
what_is_not_there_yet_says_so(void **state)
{
	struct mproc_waitable item = { .kind = MPROC_WAIT_EVENT };
	mproc_event *e;

	(void)state;
	assert_int_equal(mproc_manager_event(client, "event", &e), 0);
	item.object = e;
	assert_int_equal(mproc_wait(&item, 1, mproc_ms(1)), -ENOTSUP);
	mproc_event_destroy(e);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct mproc_semaphore_opts o = { .struct_size = sizeof(o), .value = 2,
					  .max = 1 };
	mproc_semaphore *s;
	mproc_event *e;

	(void)state;
	assert_int_equal(mproc_manager_semaphore(client, "sense", &o, &s), -EINVAL);
	assert_int_equal(mproc_manager_semaphore(server, "sense", &o, &s), -EINVAL);
	o.max = 0;
	o.arena = mproc_arena_default();
	assert_int_equal(mproc_manager_semaphore(client, "sense", &o, &s), -EINVAL);
	o.arena = NULL;
	assert_int_equal(mproc_manager_semaphore(client, "sense", &o, &s), 0);
	assert_int_equal(mproc_manager_event(client, "sense", &e), -EPROTOTYPE);
	assert_int_equal(mproc_semaphore_init(s, 1, 1), -EINVAL);
	assert_int_equal(mproc_event_set((mproc_event *)s), -EBADMSG);
	assert_int_equal(mproc_event_wait((mproc_event *)s, MPROC_NOWAIT), -EBADMSG);
	/* It is as it is. */
	o.value = 7;
	assert_int_equal(mproc_manager_semaphore(client, "sense", &o, &s), 0);
	assert_int_equal(mproc_semaphore_value(s), 2);
	mproc_semaphore_destroy(s);
}

enum { LEASES = 4096 };

static void
one_client_has_so_many_permits(void **state)
{
	const struct mproc_semaphore_opts many = {
		.struct_size = sizeof(many), .value = LEASES + 2, .undo = true,
	};
	mproc_manager *greedy = connect_to(server);
	mproc_semaphore *s;
	mproc_lock *lock;

	(void)state;
	assert_int_equal(mproc_manager_semaphore(greedy, "many", &many, &s), 0);
	assert_int_equal(mproc_manager_lock(greedy, "one more", &lock), 0);
	for (int i = 0; i < LEASES; i++)
		assert_int_equal(mproc_semaphore_acquire(s, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_semaphore_acquire(s, MPROC_FOREVER), -ENOLCK);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_FOREVER), -ENOLCK);
	assert_int_equal(mproc_semaphore_value(s), 2);
	assert_int_equal(mproc_semaphore_release(s), 0);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_FOREVER), 0);
	assert_int_equal(mproc_semaphore_acquire(s, MPROC_NOWAIT), -ENOLCK);
	/* Others have what is left. */
	assert_int_equal(mproc_manager_semaphore(client, "many", &many, &s), 0);
	assert_int_equal(mproc_semaphore_acquire(s, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_semaphore_release(s), 0);
	mproc_manager_close(greedy);
	while (mproc_semaphore_value(s) != LEASES + 2)
		;
	mproc_semaphore_destroy(s);
	assert_int_equal(mproc_manager_lock(client, "one more", &lock), 0);
	mproc_lock_destroy(lock);
}

/* More things to wait for in the family than deputies. */
enum { MANY = 40 };

static void *
wait_for_one(void *arg)
{
	return (void *)(intptr_t)mproc_event_wait(arg, mproc_sec(20));
}

static void
more_are_waited_for_than_there_are_deputies(void **state)
{
	pthread_t threads[MANY];
	mproc_event *e[MANY], *local;
	char name[32];
	void *result;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many %d", i);
		assert_int_equal(mproc_manager_event(client, name, &e[i]), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, wait_for_one,
						e[i]), 0);
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many %d", i);
		assert_int_equal(mproc_manager_event(server, name, &local), 0);
		assert_int_equal(mproc_event_set(local), 0);
	}
	for (int i = 0; i < MANY; i++) {
		pthread_join(threads[i], &result);
		assert_int_equal((intptr_t)result, 0);
		mproc_event_destroy(e[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(permits_are_counted),
		ALL(a_permit_is_for_one),
		ALL(killed_waiters_take_no_permit),
		ALL(permits_of_the_dead_come_back),
		ALL(permits_of_threads_that_end_come_back),
		ALL(all_go_on_when_it_is_set),
		ALL(who_waited_goes_on_though_it_is_cleared),
		ALL(destroy_wakes_those_who_wait),
		mpt_test(what_is_not_there_yet_says_so),
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(more_are_waited_for_than_there_are_deputies),
		mpt_test(one_client_has_so_many_permits),
	};

	return cmocka_run_group_tests(tests, start_both, end_both);
}
