/* SPDX-License-Identifier: MIT */
/*
 * Clients of a manager, and the manager itself, are killed at random while they are busy.
 * Each client, in each of its lives, has a key of its own in a dict that lies in a named
 * arena: what was answered is there, whatever has died since, and what was only asked
 * for has happened or not. So it is with what all add to. Who lives goes on: clients
 * connect anew to the next server, and a server serves others.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "level.h"
#include "mpt_rand.h"
#include "role.h"

enum {
	CLIENTS = 6,
	LIVES = 1500, /* at most, of all together */
	EVERY = 5,    /* one of so many who are killed is the server */
	TEXT = 2000,
};

/* One life of a client. */
struct life {
	_Atomic uint64_t asked, answered; /* of its key */
	_Atomic uint64_t adds_asked, adds_answered;
};

static struct board {
	char address[128], arena[64];
	_Atomic bool over;
	_Atomic uint64_t progress;
	struct life lives[LIVES];
	/* Of who has the lock: */
	unsigned holder; /* 0: it is all done */
	uint64_t sum;
} *board;

/* The text of a value says which it is, and is so long that it comes in pieces. */
static struct mproc_any
value_of(char text[TEXT + 32], uint64_t number)
{
	int len = snprintf(text, TEXT + 32, "%llu ", (unsigned long long)number);

	memset(text + len, 'a' + (int)(number % 26), number * 7 % TEXT);
	text[(uint64_t)len + number * 7 % TEXT] = '\0';
	return mproc_str(text);
}

static uint64_t
number_of(struct mpt *t, const struct mproc_any *any)
{
	char text[TEXT + 32];
	uint64_t number;
	struct mproc_any whole;

	mpt_check(t, any->kind == MPROC_STR);
	number = strtoull(any->ptr, NULL, 10);
	whole = value_of(text, number);
	mpt_check(t, whole.len == any->len &&
			     memcmp(whole.ptr, any->ptr, any->len) == 0);
	return number;
}

/* Whether the server has died, and another one is to be found. */
static bool
is_gone(int r)
{
	return r == -EPIPE || r == -ECONNREFUSED || r == -ENOENT ||
	       r == -ETIMEDOUT || r == -EAGAIN;
}

/* Until the server dies. */
static void
use(struct mpt *t, struct life *life, mproc_dict *d)
{
	struct mproc_any key = mproc_int(life - board->lives), got;
	char text[TEXT + 32];
	int r;

	while (!board->over) {
		/* What was asked for and not answered may be there. */
		r = mproc_dict_get(d, key, &got);
		if (r == 0) {
			uint64_t number = number_of(t, &got);

			mpt_check(t, number >= life->answered &&
					     number <= life->asked);
			mproc_any_clear(&got);
		} else if (r != -ENOENT || life->answered) {
			mpt_check_int(t, r, -EPIPE);
			return;
		}
		life->asked++;
		r = mproc_dict_set(d, key, value_of(text, life->asked));
		if (r < 0) {
			mpt_check_int(t, r, -EPIPE);
			return;
		}
		life->answered = life->asked;
		life->adds_asked++;
		r = mproc_dict_add(d, mproc_str("sum"), mproc_int(1), NULL);
		if (r < 0) {
			mpt_check_int(t, r, -EPIPE);
			return;
		}
		life->adds_answered++;
		board->progress++;
	}
}

static _Noreturn void
be_client(struct mpt *t, unsigned number)
{
	mproc_manager *m;
	mproc_dict *d;
	int r;

	while (!board->over) {
		r = mproc_manager_connect(&m, board->address, NULL, mproc_sec(1));
		if (r < 0) {
			mpt_check(t, is_gone(r));
			wait_us(500);
			continue;
		}
		r = mproc_manager_dict(m, "chaos", &d);
		if (r == 0)
			use(t, &board->lives[number], d);
		else
			mpt_check_int(t, r, -EPIPE);
		mproc_manager_close(m);
	}
	_exit(0);
}

static _Noreturn void
be_server(struct mpt *t)
{
	struct mproc_manager_opts o = { .struct_size = sizeof(o),
					.address = board->address,
					.in_process = true };
	mproc_manager *m;

	mpt_check_int(t, mproc_arena_open(&o.arena, board->arena, MPROC_NOWAIT),
		      0);
	mpt_check_int(t, mproc_manager_start(&m, &o), 0);
	while (!board->over)
		(void)mproc_manager_serve(m, mproc_ms(20));
	mproc_manager_close(m);
	_exit(0);
}

static void
start_client(struct mpt *t, struct role *role, unsigned *lives)
{
	mpt_check(t, *lives < LIVES);
	role->life = (*lives)++;
	role->pid = fork();
	mpt_check(t, role->pid >= 0);
	if (role->pid == 0)
		be_client(t, role->life);
}

static void
start_server(struct mpt *t, struct role *role)
{
	role->pid = fork();
	mpt_check(t, role->pid >= 0);
	if (role->pid == 0)
		be_server(t);
}

static void
kill_role(struct mpt *t, struct role *role)
{
	mpt_check(t, kill(role->pid, SIGKILL) == 0);
	mpt_check(t, reap(t, role));
}

/* All is over, and there is nobody but us. */
static void
verify(struct mpt *t, mproc_dict *d, unsigned lives)
{
	uint64_t answered = 0, asked = 0, number;
	struct mproc_any got;
	int64_t sum = 0;
	int r;

	for (unsigned i = 0; i < lives; i++) {
		const struct life *life = &board->lives[i];

		r = mproc_dict_get(d, mproc_int(i), &got);
		number = r == 0 ? number_of(t, &got) : 0;
		mpt_check(t, r == 0 || r == -ENOENT);
		mpt_check(t, number >= life->answered && number <= life->asked);
		mproc_any_clear(&got);
		answered += life->adds_answered;
		asked += life->adds_asked;
	}
	mpt_check_int(t, mproc_dict_get_int(d, mproc_str("sum"), &sum), 0);
	mpt_check(t, (uint64_t)sum >= answered && (uint64_t)sum <= asked);
	print_message("# %u lives, %llu additions answered, %llu done\n", lives,
		      (unsigned long long)answered, (unsigned long long)sum);
}

static void
what_was_answered_is_there(struct mpt *t)
{
	unsigned kills = chaos_by_level(20, 60, 1200), lives = 0;
	struct role clients[CLIENTS], server;
	struct mpt_rand rand;
	char name[64];
	mproc_arena *a;
	mproc_dict *d;

	mpt_watchdog(t, 200);
	mpt_rand_init(&rand, mpt_seed());
	memset(board, 0, sizeof(*board));
	snprintf(board->address, sizeof(board->address), "unix:/dev/shm%s",
		 mpt_name(t, name, "manager"));
	mpt_name(t, board->arena, "chaos");
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(mproc_arena_opts,
			.name = board->arena, .capacity = (size_t)64 << 20)), 0);
	start_server(t, &server);
	for (unsigned i = 0; i < CLIENTS; i++)
		start_client(t, &clients[i], &lives);
	for (unsigned i = 0; i < kills; i++) {
		unsigned victim = (unsigned)mpt_rand_below(&rand, CLIENTS);
		uint64_t before = board->progress;

		/* Somebody gets on, whoever has died before. */
		mpt_until(t, board->progress > before + 20);
		wait_us(mpt_rand_below(&rand, 2000));
		if (mpt_rand_below(&rand, EVERY)) {
			kill_role(t, &clients[victim]);
			start_client(t, &clients[victim], &lives);
		} else {
			kill_role(t, &server);
			start_server(t, &server);
		}
	}
	board->over = true;
	for (unsigned i = 0; i < CLIENTS; i++)
		mpt_check(t, !reap(t, &clients[i]));
	mpt_check(t, !reap(t, &server));
	assert_int_equal(mproc_arena_find(a, "chaos", (void **)&d, MPROC_NOWAIT),
			 0);
	verify(t, d, lives);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(board->arena), 0);
}

chaos_both(what_was_answered_is_there)

/* What the lock protects is as its last holder has left it, and who comes after one that
 * died in the middle is told. */
static _Noreturn void
be_holder(struct mpt *t, unsigned number, bool is_client)
{
	struct life *life = &board->lives[number];
	mproc_manager *m;
	mproc_lock *lock;
	void *found;
	int r;

	if (is_client) {
		mpt_check_int(t, mproc_manager_connect(&m, board->address, NULL,
						       mproc_sec(60)), 0);
		mpt_check_int(t, mproc_manager_lock(m, "chaos lock", &lock), 0);
	} else {
		mpt_check_int(t, mproc_arena_find(NULL, "chaos lock", &found,
						  MPROC_NOWAIT), 0);
		lock = found;
	}
	while (!board->over) {
		r = mproc_lock_acquire(lock, MPROC_FOREVER);
		mpt_check(t, r == 0 || r == MPROC_OWNER_DIED);
		mpt_check(t, r == MPROC_OWNER_DIED || !board->holder);
		if (r == MPROC_OWNER_DIED)
			mpt_check_int(t, mproc_lock_consistent(lock), 0);
		board->holder = number + 1;
		board->sum++;
		life->answered++;
		mpt_check_int(t, board->holder, number + 1);
		board->holder = 0;
		/* Those in the family are a thousand times as fast. */
		if (is_client)
			board->progress++;
		mpt_check_int(t, mproc_lock_release(lock), 0);
	}
	_exit(0);
}

static void
start_holder(struct mpt *t, struct role *role, unsigned *lives, bool is_client)
{
	mpt_check(t, *lives < LIVES);
	role->life = (*lives)++;
	role->pid = fork();
	mpt_check(t, role->pid >= 0);
	if (role->pid == 0)
		be_holder(t, role->life, is_client);
}

/* Two of three are clients. */
static void
a_lock_has_one_holder(struct mpt *t)
{
	unsigned kills = chaos_by_level(20, 60, 1200), lives = 0;
	struct role holders[CLIENTS];
	uint64_t answered = 0;
	struct mpt_rand rand;
	mproc_manager *m;
	mproc_lock *lock;

	mpt_watchdog(t, 200);
	mpt_rand_init(&rand, mpt_seed());
	memset(board, 0, sizeof(*board));
	assert_int_equal(mproc_manager_start(&m, NULL), 0);
	assert_int_equal(mproc_manager_lock(m, "chaos lock", &lock), 0);
	snprintf(board->address, sizeof(board->address), "%s",
		 mproc_manager_address(m));
	for (unsigned i = 0; i < CLIENTS; i++)
		start_holder(t, &holders[i], &lives, i % 3);
	for (unsigned i = 0; i < kills; i++) {
		unsigned victim = (unsigned)mpt_rand_below(&rand, CLIENTS);
		uint64_t before = board->progress;

		mpt_until(t, board->progress > before + 20);
		wait_us(mpt_rand_below(&rand, 2000));
		kill_role(t, &holders[victim]);
		start_holder(t, &holders[victim], &lives, victim % 3);
	}
	board->over = true;
	for (unsigned i = 0; i < CLIENTS; i++)
		mpt_check(t, !reap(t, &holders[i]));
	for (unsigned i = 0; i < lives; i++)
		answered += board->lives[i].answered;
	/* One that died between the two. */
	mpt_check(t, board->sum >= answered && board->sum <= answered + kills);
	print_message("# %u lives, %llu turns, %llu of clients\n", lives,
		      (unsigned long long)board->sum,
		      (unsigned long long)board->progress);
	assert_int_equal(mproc_arena_bind(NULL, "chaos lock", NULL), 0);
	mproc_lock_destroy(lock);
	mproc_manager_close(m);
}

chaos_both(a_lock_has_one_holder)

static int
setup(void **state)
{
	(void)state;
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return board == MAP_FAILED || !mproc_arena_default() ? -1 : 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(what_was_answered_is_there),
		chaos_tests(a_lock_has_one_holder),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
