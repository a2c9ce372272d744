/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer writes anything in what locks and the like have in the arena
 * besides: the words and notes of those who wait, hold and wake, and the lists
 * of cells. Others may be woken too late or in vain, and may be told that a list
 * is corrupt; their calls return in time, and objects that have a sound place
 * work when it is over.
 *
 * What was in a list may be lost for good. So each role has an arena of its own,
 * and this program none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "arena/participant.h"
#include "sync.h"
#include "sync/crowd.h"

enum { WORKERS = 3, SLOTS = 8, PLACES = 3,
       WORDS_MAX = SLOTS * 13 + 5 + PLACES * 4 };

/* In shared memory, for all roles. */
struct board {
	struct tally tally;
	_Atomic bool stop;
	_Atomic unsigned ready;
	_Atomic unsigned at; /* what is being tried, counted from 1 */
};

/* In an arena. */
struct scene {
	struct thing bystanders[KINDS];
	struct thing things[KINDS];
	mproc_queue *queue;
	struct names names;
	struct word words[WORDS_MAX];
	unsigned n;
};

static void
begin(struct mpt *t, struct scene *s)
{
	be_interruptible(t);
	make_bystanders(t, s->bystanders);
	make_bystanders(t, s->things);
	mpt_check_int(t, mproc_queue_create(&s->queue, NULL), 0);
	s->names = (struct names){
		.mine = mpr_holder(mpr_self_in(mpr_arena_peek())),
		.other = mpr_holder(mpr_self_in(mpr_arena_peek())),
		.arena = mpr_arena_peek()->shmem.size,
	};
}

/* Objects in which nobody wrote work, and so do new ones. */
static void
expect_all_well(struct mpt *t, struct scene *s)
{
	struct thing fresh[KINDS];

	check_bystanders(t, s->bystanders);
	make_bystanders(t, fresh);
	check_bystanders(t, fresh);
	end_bystanders(t, fresh);
	end_bystanders(t, s->bystanders);
}

/* What a worker waits with for many things at once. */
struct many {
	mproc_waitset *set;
	int fds[2]; /* never readable */
};

static void
open_many(struct mpt *t, const struct scene *s, struct many *many)
{
	const struct mproc_waitable items[] = {
		{ .kind = MPROC_WAIT_QUEUE, .object = s->queue },
		{ .kind = MPROC_WAIT_EVENT, .object = s->things[EVENT].object },
	};

	mpt_check_int(t, pipe(many->fds), 0);
	mpt_check_int(t, mproc_waitset_create(&many->set), 0);
	for (int i = 0; i < 2; i++)
		mpt_check_int(t, mproc_waitset_add(many->set, &items[i]), 0);
}

/* By all of the ways to sleep; and somebody has to put something in. */
static void
use_many(struct mpt *t, const struct scene *s, struct tally *tally,
	 struct many *many, unsigned how)
{
	struct mproc_waitable items[] = {
		{ .kind = MPROC_WAIT_QUEUE, .object = s->queue },
		{ .kind = MPROC_WAIT_EVENT, .object = s->things[EVENT].object },
		{ .kind = MPROC_WAIT_FD, .fd = many->fds[0], .events = 1 },
	};
	char byte = 'x';

	if (how == 0)
		(void)CALL(2, mproc_wait(items, 2, A_WHILE), WAIT_ERRORS);
	else if (how == 1)
		(void)CALL(2, mproc_wait(items, 3, A_WHILE), WAIT_ERRORS);
	else if (how == 2)
		(void)CALL(2, mproc_waitset_wait(many->set, items, 3, A_WHILE),
			   WAIT_ERRORS);
	else
		(void)CALL(0, mproc_queue_put(s->queue, &byte, 1, A_WHILE),
			   WAIT_ERRORS);
	(void)CALL(0, mproc_queue_get(s->queue, &byte, 1, NULL, MPROC_NOWAIT),
		   WAIT_ERRORS);
}

/* Uses the shared objects, and some of its own, which need not be to be had. */
static void
work(struct mpt *t, const struct scene *s)
{
	struct board *b = mpt_scratch(t);
	struct tally *tally = &b->tally;
	struct mpt_rand rand;
	struct many many;

	be_interruptible(t);
	mpt_rand_init(&rand, mpt_seed() + (uint64_t)getpid());
	mproc_free(mproc_alloc(1));
	open_many(t, s, &many);
	b->ready++;
	while (!b->stop) {
		enum kind k = (enum kind)mpt_rand_below(&rand, KINDS);
		struct thing own = { .kind = k };

		use(t, tally, &s->things[k], A_WHILE);
		use_many(t, s, tally, &many,
			 (unsigned)mpt_rand_below(&rand, 4));
		if (k == CONDITION || mpt_rand_below(&rand, 4) ||
		    CALL(0, create(&own), -EBADMSG, -ENOMEM, -ENOSPC) < 0)
			continue;
		use(t, tally, &own, A_WHILE);
		end_thing(t, &own);
	}
	_exit(0);
}

static void
start_workers(struct mpt *t, const struct scene *s, pid_t pids[WORKERS])
{
	struct board *b = mpt_scratch(t);

	b->ready = 0;
	b->stop = false;
	for (int i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		mpt_check(t, pids[i] >= 0);
		if (pids[i] == 0)
			work(t, s);
	}
	mpt_until(t, b->ready == WORKERS);
}

/* One of them is killed, and recovered from. */
static void
end_workers(struct mpt *t, struct scene *s, const pid_t pids[WORKERS])
{
	struct board *b = mpt_scratch(t);
	int status;

	mpt_check_int(t, kill(pids[0], SIGKILL), 0);
	mpt_check_int(t, waitpid(pids[0], &status, 0), pids[0]);
	began = mproc_now();
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
	mpt_check(t, mproc_now() - began < bound());
	b->stop = true;
	for (int k = 0; k < KINDS; k++)
		end_thing(t, &s->things[k]);
	for (int i = 1; i < WORKERS; i++) {
		mpt_check_int(t, waitpid(pids[i], &status, 0), pids[i]);
		mpt_check_int(t, status, 0);
	}
}

static void
add(struct scene *s, const char *name, unsigned index, void *p, size_t size)
{
	struct word *word = &s->words[s->n++];

	snprintf(word->name, sizeof(word->name), "%.12s %u", name, index);
	word->p = p;
	word->size = size;
}

#define ADD(s, index, member)                                                 \
	add((s), #member, (index), (void *)(uintptr_t)&(member), sizeof(member))

/* What the workers say of themselves. */
static void
add_participants(struct scene *s)
{
	const mproc_arena *a = mpr_arena_peek();
	unsigned mine = mpr_self_in(mpr_arena_peek())->slot;

	ADD(s, 0, a->shm->looked_at);
	ADD(s, 0, a->shm->waits_looked_at);
	ADD(s, 0, a->shm->last_look);
	ADD(s, 0, a->shm->finished_look);
	ADD(s, 0, a->shm->crowds_high);
	for (unsigned i = 0; i < PLACES; i++) {
		struct mpr_crowd_place *place = mpr_crowd_at(a, i);

		ADD(s, i, place->owner);
		ADD(s, i, place->name);
		ADD(s, i, place->count);
		ADD(s, i, place->since);
	}
	for (unsigned i = 0; i < mpr_participants_high(a) && i < SLOTS; i++) {
		struct mpr_participant *p = mpr_participant_at(a, i);
		struct mpr_notes *notes = mpr_notes_at(a, i);

		if (i == mine)
			continue;
		add(s, "wait", i,
		    (_Atomic uint64_t *)mpr_arena_at(a, MPR_WAITS_AT) + i, 8);
		ADD(s, i, p->wait_object);
		ADD(s, i, p->wait_since);
		ADD(s, i, p->wait_owner);
		ADD(s, i, p->wakes);
		ADD(s, i, p->wait_then);
		ADD(s, i, p->calls);
		ADD(s, i, p->wait_kind);
		ADD(s, i, p->many);
		ADD(s, i, p->told);
		for (unsigned k = 0; k < 3; k++)
			ADD(s, i, notes->word[k]);
	}
}

/* What may be named: any two objects. */
static void
choose_names(struct scene *s, struct mpt_rand *rand)
{
	const mproc_arena *a = mpr_arena_peek();

	s->names.object = mpr_arena_offset(
		a, s->things[mpt_rand_below(rand, KINDS)].object);
	s->names.bystander = mpr_arena_offset(
		a, s->things[mpt_rand_below(rand, KINDS)].object);
	/* The lock is wanted by who waits for the condition. */
	s->names.link = mpr_arena_offset(a, s->things[CONDITION].lock);
}

static void
scribble(struct mpt *t, struct scene *s, unsigned times, struct mpt_rand *rand)
{
	struct board *b = mpt_scratch(t);

	for (unsigned i = 0; i < times; i++) {
		const struct word *word = &s->words[mpt_rand_below(rand, s->n)];
		unsigned n = (unsigned)mpt_rand_below(rand, SYNC_VALUES);

		choose_names(s, rand);
		write_word(word, sync_value(&s->names, word, n, rand));
		if (mpt_rand_below(rand, 3))
			let_go_on(t, &b->tally);
		if (i % 16 == 0)
			check_bystanders(t, s->bystanders);
	}
}

static int
scribble_in_participants(struct mpt *t, void *arg)
{
	unsigned n = (unsigned)(uintptr_t)arg;
	struct scene s = { .n = 0 };
	pid_t pids[WORKERS];
	struct mpt_rand rand;

	mpt_rand_init(&rand, mpt_seed() + n);
	begin(t, &s);
	start_workers(t, &s, pids);
	add_participants(&s);
	scribble(t, &s, 200, &rand);
	end_workers(t, &s, pids);
	expect_all_well(t, &s);
	return 0;
}

static void
what_participants_say_may_be_anything(void **state)
{
	struct board *b = mpt_scratch(*state);

	for (unsigned i = 0; i < rounds(4, 12, 60); i++) {
		b->at = 1 + i;
		mpt_expect_exit(*state, mpt_spawn(*state, "scribbler",
						  scribble_in_participants,
						  (void *)(uintptr_t)i), 0);
	}
}

/* Written by whoever has slept; others that sleep believe it. */
static void
sleep_in_spite_of(struct mpt *t, _Atomic int64_t *looked_at, int64_t value,
		  mproc_event *event)
{
	atomic_store(looked_at, value);
	mpt_until(t, mproc_event_wait(event, mproc_ms(50)) == -ETIMEDOUT &&
			     atomic_load(looked_at) != value);
}

static struct mpr_participant *
participant_of(pid_t pid)
{
	const mproc_arena *a = mpr_arena_peek();

	for (unsigned i = 0; i < mpr_participants_high(a); i++)
		if (atomic_load(&mpr_participant_at(a, i)->pid) ==
		    (uint32_t)pid)
			return mpr_participant_at(a, i);
	return NULL;
}

/* Another writer says since when it waits, and is let in. */
static void
let_in_who_waits_since(struct mpt *t, mproc_rwlock *lock, uint64_t value)
{
	struct mproc_owner owner;
	int status;
	pid_t pid;

	mpt_check_int(t, mproc_rwlock_write(lock, MPROC_NOWAIT), 0);
	pid = fork();
	mpt_check(t, pid >= 0);
	if (pid == 0)
		_exit(mproc_rwlock_write(lock, mproc_sec(20)) ||
		      mproc_rwlock_release(lock));
	mpt_until(t, mproc_rwlock_owner(lock, &owner) == 0 &&
			     owner.waiters == 1 && mpt_task_state(pid) == 'S');
	mpt_check(t, participant_of(pid));
	atomic_store(&participant_of(pid)->wait_since, value);
	began = mproc_now();
	mpt_check_int(t, mproc_rwlock_release(lock), 0);
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	mpt_check_int(t, status, 0);
	mpt_check(t, mproc_now() - began < bound());
}

/* Who waits for a condition is said to want that itself next, as a lock, which
 * looks as if the notifier had it. */
static int
notify_what_is_its_own_lock(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct tally *tally = &b->tally;
	struct thing x = make_thing(t, CONDITION);
	struct mpr_cell *cell = x.object;
	const mproc_arena *a = mpr_arena_peek();
	int status;
	pid_t pid;

	(void)arg;
	pid = fork();
	mpt_check(t, pid >= 0);
	if (pid == 0)
		_exit(mproc_lock_acquire(x.lock, MPROC_NOWAIT) ||
		      mproc_condition_wait(x.object, x.lock, mproc_sec(20)) ||
		      mproc_lock_release(x.lock));
	mpt_until(t, atomic_load(&cell->word) & MPR_WAITERS);
	mpt_until(t, mpt_task_state(pid) == 'S');
	atomic_store(&participant_of(pid)->wait_then,
		     mpr_arena_offset(a, x.object));
	atomic_store(&cell->word, mpr_holder(mpr_self_in(a)) | MPR_WAITERS);
	CALL(1, mproc_condition_notify(x.object, 100000000), 0);
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	mpt_check_int(t, status, 0);
	end_thing(t, &x);
	return 0;
}

static void
a_condition_is_no_lock(void **state)
{
	mpt_expect_exit(*state, mpt_spawn(*state, "notifier",
					  notify_what_is_its_own_lock, NULL),
			0);
}

static int
believe_no_time(struct mpt *t, void *arg)
{
	static const int64_t values[] = { INT64_MIN, INT64_MAX, -1, 1 };
	struct thing event, lock;
	const mproc_arena *a;

	(void)arg;
	event = make_thing(t, EVENT);
	lock = make_thing(t, RWLOCK);
	a = mpr_arena_peek();
	for (int i = 0; i < 4; i++) {
		sleep_in_spite_of(t, &a->shm->looked_at, values[i],
				  event.object);
		sleep_in_spite_of(t, &a->shm->waits_looked_at, values[i],
				  event.object);
		let_in_who_waits_since(t, lock.object, (uint64_t)values[i]);
	}
	end_thing(t, &event);
	end_thing(t, &lock);
	return 0;
}

static void
times_may_be_anything(void **state)
{
	mpt_expect_exit(*state, mpt_spawn(*state, "sleeper", believe_no_time,
					  NULL), 0);
}

/* The block at the start of a list of cells: sync/cell.c. */
struct block {
	uint64_t next;
	uint64_t magic;
};

/* All words of the lists of a kind. */
static void
add_lists(struct scene *s, enum mpr_cell_kind kind)
{
	const mproc_arena *a = mpr_arena_peek();
	struct block *first = mpr_arena_at(a, a->shm->cells[kind]);
	struct block *second = mpr_arena_at(a, first->next);

	ADD(s, 0, a->shm->cells[kind]);
	ADD(s, 0, a->shm->cell_hints[kind]);
	ADD(s, 0, first->next);
	ADD(s, 0, first->magic);
	ADD(s, 1, second->next);
	ADD(s, 1, second->magic);
}

enum { MANY = 70, LIST_WORDS = 6 }; /* more than fit one block */

static const enum mpr_cell_kind cell_kinds[KINDS] = {
	[LOCK] = MPR_CELL_LOCK,
	[RLOCK] = MPR_CELL_RLOCK,
	[RWLOCK] = MPR_CELL_RWLOCK,
	[SEMAPHORE] = MPR_CELL_SEMAPHORE,
	[UNDO] = MPR_CELL_SEMAPHORE,
	[CONDITION] = MPR_CELL_CONDITION,
	[EVENT] = MPR_CELL_EVENT,
	[BARRIER] = MPR_CELL_BARRIER,
	[ONCE] = MPR_CELL_ONCE,
};

/* Objects are made, used and ended, as far as that goes. */
static void
come_and_go(struct mpt *t, enum kind kind, unsigned n)
{
	struct board *b = mpt_scratch(t);
	struct tally *tally = &b->tally;
	struct thing all[MANY];
	unsigned made = 0;

	while (made < n) {
		all[made] = (struct thing){ .kind = kind };
		if (CALL(0, create(&all[made]), -EBADMSG, -ENOMEM, -ENOSPC) < 0)
			break;
		mpt_check(t, mproc_is_shared(all[made].object));
		made++;
	}
	while (made--)
		end_thing(t, &all[made]);
}

static int
scribble_in_lists(struct mpt *t, void *arg)
{
	enum kind kind = (enum kind)(uintptr_t)arg;
	unsigned step = rounds(8, 1, 1), at = (unsigned)(mpt_seed() % step);
	struct board *b = mpt_scratch(t);
	const mproc_arena *a;
	struct scene s = { .n = 0 };
	struct mpt_rand rand;

	mpt_rand_init(&rand, mpt_seed() + (uint64_t)kind);
	begin(t, &s);
	come_and_go(t, kind, MANY);
	a = mpr_arena_peek();
	add_lists(&s, cell_kinds[kind]);
	s.names.object = atomic_load(&a->shm->cells[cell_kinds[kind]]);
	s.names.bystander = mpr_arena_offset(a, s.bystanders[kind].object);
	/* That of another kind. */
	s.names.link = atomic_load(
		&a->shm->cells[cell_kinds[kind == LOCK ? ONCE : LOCK]]);
	for (; at < LIST_WORDS * SYNC_VALUES; at += step) {
		const struct word *word = &s.words[at / SYNC_VALUES];
		uint64_t old = read_word(word);

		b->at = 1 + at;
		write_word(word, sync_value(&s.names, word, at % SYNC_VALUES,
					    &rand));
		come_and_go(t, kind, 3);
		check_bystanders(t, s.bystanders);
		write_word(word, old);
	}
	for (int k = 0; k < KINDS; k++)
		end_thing(t, &s.things[k]);
	expect_all_well(t, &s);
	return 0;
}

static void
lists_of_cells_may_be_anything(void **state)
{
	struct mpt *t = *state;

	for (int k = 0; k < KINDS; k++)
		mpt_expect_exit(t, mpt_spawn(t, kind_names[k],
					     scribble_in_lists,
					     (void *)(uintptr_t)k), 0);
}

static int
setup(void **state)
{
	if (mpt_setup(state) < 0)
		return -1;
	mpt_watchdog(*state, 100);
	mpt_seed(); /* one for all roles */
	return 0;
}

static int
teardown(void **state)
{
	struct board *b = mpt_scratch(*state);

	if (b->at)
		printf("# the last one tried was number %u\n", b->at - 1);
	print_tally(&b->tally);
	return mpt_teardown(state);
}

#define hostile_test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		hostile_test(what_participants_say_may_be_anything),
		hostile_test(a_condition_is_no_lock),
		hostile_test(times_may_be_anything),
		hostile_test(lists_of_cells_may_be_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
