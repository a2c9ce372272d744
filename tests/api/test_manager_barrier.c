/* SPDX-License-Identifier: MIT */
/*
 * Barriers of a manager.
 */
#include <unistd.h>

#include "manager_modes.h"

enum { ROUNDS = 60 };

/* Behind the board in the scratch bytes. */
struct field {
	struct board board;
	_Atomic unsigned arrived, went_on, acted;
	unsigned sum; /* of who acts, while the others wait */
	_Atomic bool leave;
};

static mproc_barrier *
barrier_of(struct mpt *t, unsigned who)
{
	return object_of(t, who, BARRIER);
}

static struct field *
new_field(struct mpt *t)
{
	struct field *f = mpt_scratch(t);

	new_board(t, BARRIER);
	f->arrived = f->went_on = f->acted = f->sum = 0;
	f->leave = false;
	return f;
}

static void
end(struct mpt *t, struct field *f)
{
	mproc_barrier *b;

	f->leave = true;
	mpt_join_all(t);
	if (mproc_manager_barrier(client, f->board.name, PARTIES, &b) == 0)
		mproc_barrier_destroy(b);
	assert_true(mproc_arena_bind(NULL, f->board.name, NULL) <= 0);
}

/* The indices are each one's, and who has the first one acts while the others wait. */
static int
take_part(struct mpt *t, void *arg)
{
	struct field *f = mpt_scratch(t);
	mproc_barrier *b = barrier_of(t, number(arg));
	unsigned sum;
	int r;

	for (unsigned i = 0; i < ROUNDS; i++) {
		f->arrived++;
		r = mproc_barrier_wait(b, mproc_sec(20));
		mpt_check(t, r >= 0 && r < PARTIES);
		mpt_check_int(t, f->arrived, (i + 1) * PARTIES);
		f->went_on += 1u << 8 * r;
		if (r == 0)
			f->sum++;
		r = mproc_barrier_wait(b, mproc_sec(20));
		mpt_check(t, r >= 0 && r < PARTIES);
		sum = f->sum;
		mpt_check_int(t, sum, i + 1);
		r = mproc_barrier_wait(b, mproc_sec(20));
		mpt_check(t, r >= 0);
	}
	/* A party that ends breaks it for who has not gone on. */
	f->board.done++;
	mpt_until(t, f->board.done == PARTIES);
	return 0;
}

static void
all_go_on_together(void **state)
{
	struct mpt *t = *state;
	struct field *f = new_field(t);

	for (unsigned i = 1; i <= PARTIES; i++)
		mpt_fork(t, "party", take_part, AS(i));
	mpt_join_all(t);
	/* Each index once in a round. */
	assert_int_equal(f->went_on, ROUNDS * 0x01010101u);
	end(t, f);
}

/* @arg: the number, and above it what the wait is to return. */
static void *
role(unsigned who, int result)
{
	return (void *)((uintptr_t)who | (uintptr_t)(unsigned)-result << 8);
}

static int
wait_in_vain(struct mpt *t, void *arg)
{
	struct field *f = mpt_scratch(t);
	mproc_barrier *b = barrier_of(t, number(arg) & 0xff);

	signal(SIGUSR1, interrupt);
	f->arrived++;
	mpt_check_int(t, mproc_barrier_wait(b, mproc_sec(20)),
		      -(int)(number(arg) >> 8));
	f->went_on++;
	mpt_until(t, f->leave);
	return 0;
}

static int
be_killed(struct mpt *t, void *arg)
{
	struct field *f = mpt_scratch(t);

	f->arrived++;
	mpt_check_int(t, mproc_barrier_wait(barrier_of(t, number(arg)),
					    MPROC_FOREVER), 1);
	return 0;
}

static void
fork_vainly(struct mpt *t, unsigned from, unsigned to, int result)
{
	for (unsigned i = from; i <= to; i++)
		mpt_fork(t, "in vain", wait_in_vain, role(i, result));
}

static void
a_killed_party_breaks_it(void **state)
{
	struct mpt *t = *state;

	for (unsigned who = 1; who <= 2; who++) {
		struct field *f = new_field(t);
		mproc_barrier *b = barrier_of(t, 0);
		int id = mpt_fork(t, "dies", be_killed, AS(who));

		mpt_until(t, f->arrived == 1);
		fork_vainly(t, 1, 2, -ENOTRECOVERABLE);
		mpt_until(t, mproc_barrier_waiting(b) == 3);
		assert_false(mproc_barrier_broken(b));
		mpt_kill(t, id);
		mpt_until(t, f->went_on == 2);
		assert_true(mproc_barrier_broken(b));
		assert_int_equal(mproc_barrier_wait(b, MPROC_FOREVER),
				 -ENOTRECOVERABLE);
		assert_string_not_equal(mproc_error_detail(), "");
		assert_int_equal(mproc_barrier_reset(b), 0);
		assert_false(mproc_barrier_broken(b));
		assert_int_equal(mproc_barrier_waiting(b), 0);
		end(t, f);
	}
}

static int
time_out(struct mpt *t, void *arg)
{
	struct field *f = mpt_scratch(t);
	int64_t began = mproc_now();

	mpt_check_int(t, mproc_barrier_wait(barrier_of(t, number(arg)), mproc_ms(50)),
		      -ETIMEDOUT);
	mpt_check(t, mproc_now() - began >= 50000000);
	mpt_until(t, f->leave);
	return 0;
}

static void
a_timeout_breaks_it(void **state)
{
	struct mpt *t = *state;
	struct field *f = new_field(t);
	mproc_barrier *b = barrier_of(t, 0);

	fork_vainly(t, 1, 2, -ENOTRECOVERABLE);
	mpt_until(t, mproc_barrier_waiting(b) == 2);
	mpt_fork(t, "times out", time_out, AS(1));
	mpt_until(t, f->went_on == 2);
	assert_true(mproc_barrier_broken(b));
	assert_int_equal(mproc_barrier_reset(b), 0);
	/* It is one of the fourth. What is over when it comes is so at once. */
	assert_int_equal(mproc_barrier_wait(b, mproc_until(1)), -ETIMEDOUT);
	assert_true(mproc_barrier_broken(b));
	end(t, f);
}

static void
an_interrupt_breaks_it(void **state)
{
	struct mpt *t = *state;

	for (unsigned who = 1; who <= 2; who++) {
		struct field *f = new_field(t);
		mproc_barrier *b = barrier_of(t, 0);
		int id;

		fork_vainly(t, 1, 2, -ENOTRECOVERABLE);
		id = mpt_fork(t, "interrupted", wait_in_vain, role(who, -EINTR));
		mpt_until(t, mproc_barrier_waiting(b) == 3);
		assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
		mpt_until(t, f->went_on == 3);
		assert_true(mproc_barrier_broken(b));
		end(t, f);
	}
}

static void
who_breaks_it_is_no_party(void **state)
{
	struct mpt *t = *state;
	struct field *f = new_field(t);
	mproc_barrier *b = barrier_of(t, 0);

	fork_vainly(t, 1, 3, -ENOTRECOVERABLE);
	mpt_until(t, mproc_barrier_waiting(b) == 3);
	assert_int_equal(mproc_barrier_abort(b), 0);
	assert_int_equal(mproc_barrier_abort(b), 0);
	mpt_until(t, f->went_on == 3);
	assert_int_equal(mproc_barrier_waiting(b), 0);
	end(t, f);
}

static void
a_reset_begins_anew(void **state)
{
	struct mpt *t = *state;
	struct field *f = new_field(t);
	mproc_barrier *b = barrier_of(t, 0);

	fork_vainly(t, 1, 3, -ENOTRECOVERABLE);
	mpt_until(t, mproc_barrier_waiting(b) == 3);
	assert_int_equal(mproc_barrier_reset(b), 0);
	mpt_until(t, f->went_on == 3);
	assert_false(mproc_barrier_broken(b));
	/* They are parties still, and we are the last one that there may be. */
	assert_int_equal(mproc_barrier_wait(b, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_barrier_enroll(b), 0);
	assert_int_equal(mproc_barrier_enroll(b), 0);
	end(t, f);
}

static int
be_one_too_many(struct mpt *t, void *arg)
{
	mproc_barrier *b = barrier_of(t, number(arg));

	mpt_check_int(t, mproc_barrier_enroll(b), -EPERM);
	mpt_check_int(t, mproc_barrier_wait(b, MPROC_FOREVER), -EPERM);
	return 0;
}

static int
enroll(struct mpt *t, void *arg)
{
	struct field *f = mpt_scratch(t);

	mpt_check_int(t, mproc_barrier_enroll(barrier_of(t, number(arg))), 0);
	f->arrived++;
	mpt_until(t, f->leave);
	return 0;
}

static void
parties_are_as_many_as_it_has(void **state)
{
	struct mpt *t = *state;
	struct field *f = new_field(t);
	mproc_barrier *b = barrier_of(t, 0);

	for (unsigned i = 1; i <= PARTIES; i++)
		mpt_fork(t, "party", enroll, AS(i));
	mpt_until(t, f->arrived == PARTIES);
	mpt_expect_exit(t, mpt_fork(t, "other", be_one_too_many, AS(1)), 0);
	mpt_expect_exit(t, mpt_fork(t, "other", be_one_too_many, AS(2)), 0);
	assert_false(mproc_barrier_broken(b));
	f->leave = true;
	mpt_join_all(t);
	/* When all have gone it is as new, for as many others. */
	mpt_until(t, !mproc_barrier_broken(b));
	f->arrived = 0;
	f->leave = false;
	for (unsigned i = 1; i <= PARTIES; i++)
		mpt_fork(t, "party", enroll, AS(i));
	mpt_until(t, f->arrived == PARTIES);
	end(t, f);
}

static void *
enroll_and_end(void *arg)
{
	return (void *)(intptr_t)mproc_barrier_enroll(arg);
}

static void
a_thread_that_ends_breaks_it(void **state)
{
	struct mpt *t = *state;
	struct field *f = new_field(t);
	mproc_barrier *b = barrier_of(t, 0);
	pthread_t thread;
	void *result;

	fork_vainly(t, 1, 2, -ENOTRECOVERABLE);
	mpt_until(t, mproc_barrier_waiting(b) == 2);
	assert_int_equal(pthread_create(&thread, NULL, enroll_and_end, b), 0);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 0);
	mpt_until(t, f->went_on == 2);
	end(t, f);
}

static void
destroy_wakes_those_who_wait(void **state)
{
	struct mpt *t = *state;

	for (unsigned by = 0; by < 2; by++) {
		struct field *f = new_field(t);
		mproc_barrier *b = barrier_of(t, 0), *theirs = b;

		if (by == 1)
			assert_int_equal(mproc_manager_barrier(client, f->board.name,
							       PARTIES, &theirs), 0);
		fork_vainly(t, 1, 3, -ESHUTDOWN);
		mpt_until(t, mproc_barrier_waiting(b) == 3);
		mproc_barrier_destroy(theirs);
		mpt_until(t, f->went_on == 3);
		assert_int_equal(mproc_barrier_wait(b, MPROC_FOREVER), -ESTALE);
		assert_true(mproc_barrier_broken(b));
		assert_true(mproc_arena_bind(NULL, f->board.name, NULL) <= 0);
		end(t, f);
	}
}

/* Initialised again by the family, it has other parties. */
static void
former_parties_are_none(void **state)
{
	struct mpt *t = *state;
	struct field *f = new_field(t);
	mproc_barrier *b = barrier_of(t, 0);
	void *itself;

	assert_int_equal(mproc_barrier_enroll(b), 0);
	fork_vainly(t, 1, 2, -ENOTRECOVERABLE);
	mpt_until(t, mproc_barrier_waiting(b) == 2);
	assert_int_equal(mproc_arena_find(NULL, f->board.name, &itself, MPROC_NOWAIT),
			 0);
	assert_int_equal(mproc_barrier_init(itself, 2), 0);
	mpt_until(t, f->went_on == 2);
	f->arrived = 0;
	mpt_fork(t, "party", enroll, AS(1));
	mpt_fork(t, "party", enroll, AS(2));
	mpt_until(t, f->arrived == 2);
	assert_int_equal(mproc_barrier_enroll(b), -EPERM);
	end(t, f);
}

static void *
wait_for_the_end(void *arg)
{
	return (void *)(intptr_t)mproc_barrier_wait(arg, MPROC_FOREVER);
}

static void
a_killed_server_breaks_it(void **state)
{
	struct mpt *t = *state;
	mproc_manager *other = start(NULL), *c = connect_to(other);
	mproc_barrier *b, *itself;
	struct mproc_owner o;
	pthread_t thread;
	mproc_lock *lock;
	void *result;

	assert_int_equal(mproc_manager_barrier(c, "of a server", 2, &b), 0);
	assert_int_equal(mproc_manager_barrier(other, "of a server", 7, &itself), 0);
	assert_int_equal(mproc_manager_lock(c, "whose", &lock), 0);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_owner(lock, &o), 0);
	mproc_lock_destroy(lock);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_the_end, b), 0);
	mpt_until(t, mproc_barrier_waiting(itself) == 1);
	assert_int_equal(mproc_barrier_enroll(itself), 0);
	assert_int_equal(kill(o.pid, SIGKILL), 0);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -EPIPE);
	assert_int_equal(mproc_barrier_wait(itself, mproc_sec(20)), -ENOTRECOVERABLE);
	assert_true(mproc_barrier_broken(b));
	mproc_manager_close(c);
	assert_int_equal(mproc_barrier_wait(b, MPROC_FOREVER), -ESTALE);
	mproc_manager_close(other);
	assert_int_equal(mproc_arena_bind(NULL, "of a server", NULL), 0);
	mproc_barrier_destroy(itself);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	mproc_barrier *b;
	mproc_lock *l;

	(void)state;
	assert_int_equal(mproc_manager_barrier(client, "sense", 0, &b), -EINVAL);
	assert_int_equal(mproc_manager_barrier(client, "sense", 1025, &b), -EINVAL);
	assert_int_equal(mproc_manager_barrier(server, "sense", 1025, &b), -EINVAL);
	assert_int_equal(mproc_manager_barrier(client, "sense", 2, NULL), -EINVAL);
	assert_int_equal(mproc_manager_barrier(client, NULL, 2, &b), -EINVAL);
	assert_int_equal(mproc_manager_barrier(client, "sense", 1, &b), 0);
	assert_int_equal(mproc_manager_lock(client, "sense", &l), -EPROTOTYPE);
	assert_int_equal(mproc_manager_lock(client, "sense lock", &l), 0);
	assert_int_equal(mproc_barrier_init(b, 2), -EINVAL);
	/* It is as it is. */
	assert_int_equal(mproc_manager_barrier(client, "sense", 3, &b), 0);
	assert_int_equal(mproc_barrier_wait(b, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_barrier_wait((mproc_barrier *)l, MPROC_NOWAIT),
			 -EBADMSG);
	assert_int_equal(mproc_lock_acquire((mproc_lock *)b, MPROC_NOWAIT), -EBADMSG);
	mproc_lock_destroy(l);
	mproc_barrier_destroy(b);
	mproc_barrier_destroy(b);
	assert_int_equal(mproc_barrier_wait(b, MPROC_NOWAIT), -ESTALE);
}

enum { PLACES = 256 }; /* half of those that there are */

static void *
enroll_and_stay(void *arg)
{
	struct field *f = mpt_scratch(arg);
	mproc_barrier *b;

	if (mproc_manager_barrier(client, f->board.name, 1024, &b) == 0 &&
	    mproc_barrier_enroll(b) == 0)
		f->went_on++;
	f->arrived++;
	while (!f->leave)
		usleep(1000);
	return NULL;
}

static void
one_client_does_not_take_all_places(void **state)
{
	static pthread_t threads[PLACES + 4];
	struct mpt *t = *state;
	struct field *f = mpt_scratch(t);
	mproc_manager *c = connect_to(server);
	mproc_barrier *b;

	snprintf(f->board.name, sizeof(f->board.name), "places");
	f->arrived = f->went_on = 0;
	f->leave = false;
	for (unsigned i = 0; i < PLACES + 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, enroll_and_stay,
						t), 0);
	mpt_until(t, f->arrived == PLACES + 4);
	assert_int_equal(f->went_on, PLACES);
	assert_int_equal(mproc_manager_barrier(client, "places", 1024, &b), 0);
	assert_int_equal(mproc_barrier_enroll(b), -ENOLCK);
	assert_int_equal(mproc_manager_barrier(c, "places", 1024, &b), 0);
	assert_int_equal(mproc_barrier_enroll(b), 0);
	f->leave = true;
	for (unsigned i = 0; i < PLACES + 4; i++)
		pthread_join(threads[i], NULL);
	/* They come back. */
	assert_int_equal(mproc_barrier_reset(b), 0);
	mpt_until(t, mproc_barrier_reset(b) == 0 && !mproc_barrier_broken(b));
	assert_int_equal(mproc_manager_barrier(client, "places", 1024, &b), 0);
	assert_int_equal(mproc_barrier_enroll(b), 0);
	mproc_barrier_destroy(b);
	mproc_manager_close(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(all_go_on_together),
		ALL(a_killed_party_breaks_it),
		ALL(a_timeout_breaks_it),
		ALL(an_interrupt_breaks_it),
		ALL(who_breaks_it_is_no_party),
		ALL(a_reset_begins_anew),
		ALL(parties_are_as_many_as_it_has),
		ALL(a_thread_that_ends_breaks_it),
		ALL(destroy_wakes_those_who_wait),
		ALL(former_parties_are_none),
		mpt_test(a_killed_server_breaks_it),
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(one_client_does_not_take_all_places),
	};

	return cmocka_run_group_tests(tests, start_both, end_both);
}
