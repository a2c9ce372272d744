/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of making a pipe, of sending,
 * receiving and closing, of giving an end to a child, and of ending the holds of
 * another one that is dead. At the other end there is the end of file then, and
 * nothing is left when that is closed as well.
 */
#include <fcntl.h>

#include "pipe.h"

static void
create_victim(void *arg)
{
	struct scene *s = arg;

	/* As a participant, so that this is not about joining. */
	may_fail(make_pipe(s));
	mproc_conn_close(s->a);
	mproc_conn_close(s->b);
	mpt_step_begin();
	may_fail(make_pipe(s));
	mpt_step_end();
}

static void
only_note(void *arg)
{
	note(arg);
}

static void
left_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	nothing_is_left(arg);
}

static void
killed_in_create(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct scene s = { .world.t = *state, .sockets = i };

		mpt_stepper_run(*state, &(struct mpt_stepper_opts){
			.name = i ? "create with sockets" : "create",
			.victim = create_victim,
			.before = only_note,
			.survivor = left_survivor,
			.fingerprint = state_of,
			.arg = &s,
			.every = 1,
			.budget = 8,
		}, NULL);
	}
}

static void
send_victim(void *arg)
{
	struct scene *s = arg;

	be_given(s);
	may_fail(send_message(s, s->b, BY_VICTIM, 0));
	mpt_step_begin();
	may_fail(send_message(s, s->b, BY_VICTIM, 1));
	mpt_step_end();
}

static void
send_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	find_the_end(arg, finished ? 2 : 1, 2);
}

static void
killed_in_send(void **state)
{
	static const char *const names[] = { "send", "send over a socket",
					     "send a long message" };

	for (int i = 0; i < 2 + in_full(); i++) {
		struct scene s = { .world.t = *state, .sockets = i == 1,
				   .long_ones = i == 2 };

		mpt_stepper_run(*state, &(struct mpt_stepper_opts){
			.name = names[i],
			.victim = send_victim,
			.before = scene_begin,
			.survivor = send_survivor,
			.fingerprint = state_of,
			.arg = &s,
			.every = 1,
			.budget = 8,
		}, NULL);
	}
}

/* A file, which is as a message: it is there, or it is not. */
static void
file_victim(void *arg)
{
	struct scene *s = arg;
	int fd = s->receives ? -1 : s->file;

	be_given(s);
	mpt_step_begin();
	may_fail(fd < 0 ? mproc_conn_recv_fd(s->b, MPROC_NOWAIT) :
			  mproc_conn_send_fd(s->b, fd, MPROC_NOWAIT));
	mpt_step_end();
}

static void
with_a_file(void *arg)
{
	struct scene *s = arg;
	int fds[2];

	scene_begin(arg);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	s->file = fds[1];
	s->leads_to = fds[0];
	if (s->receives)
		assert_int_equal(mproc_conn_send_fd(s->a, s->file, MPROC_NOWAIT),
				 0);
}

static void
file_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	char c;
	int fd;

	(void)victim;
	(void)n;
	close(s->file);
	close_copies(s);
	recover();
	fd = mproc_conn_recv_fd(s->a, BOUND);
	if (fd < 0)
		assert_true(fd == -EPIPE && (s->receives || !finished));
	else
		close(fd);
	find_the_end(s, 0, 0);
	/* And it is open nowhere. */
	assert_int_equal(read(s->leads_to, &c, 1), 0);
	close(s->leads_to);
}

static void
killed_with_a_file(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct scene s = { .world.t = *state, .sockets = true,
				   .receives = i };

		mpt_stepper_run(*state, &(struct mpt_stepper_opts){
			.name = i ? "receive a file" : "send a file",
			.victim = file_victim,
			.before = with_a_file,
			.survivor = file_survivor,
			.fingerprint = state_of,
			.arg = &s,
			.every = 1,
			.budget = 16,
		}, NULL);
	}
}

static void
first_send_victim(void *arg)
{
	struct scene *s = arg;

	be_given(s);
	mpt_step_begin();
	may_fail(send_message(s, s->b, BY_VICTIM, 0));
	mpt_step_end();
}

static void
first_send_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	find_the_end(arg, finished, 1);
}

static void
killed_in_the_first_send(void **state)
{
	struct scene s = { .world.t = *state };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "first send",
		.victim = first_send_victim,
		.before = scene_begin,
		.survivor = first_send_survivor,
		.fingerprint = state_of,
		.arg = &s,
		.every = 1,
		.budget = 8,
	}, NULL);
}

static void
recv_victim(void *arg)
{
	struct scene *s = arg;
	unsigned char bytes[6000];

	be_given(s);
	mpt_step_begin();
	may_fail(mproc_conn_recv(s->b, bytes, sizeof(bytes), NULL,
				 MPROC_NOWAIT));
	mpt_step_end();
}

static void
end_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	find_the_end(arg, 0, 0);
}

static void
killed_in_recv(void **state)
{
	for (int i = 0; i < 1 + in_full(); i++) {
		struct scene s = { .world.t = *state, .messages = 2,
				   .long_ones = i };

		mpt_stepper_run(*state, &(struct mpt_stepper_opts){
			.name = i ? "receive a long message" : "receive",
			.victim = recv_victim,
			.before = scene_begin,
			.survivor = end_survivor,
			.fingerprint = state_of,
			.arg = &s,
			.every = 1,
			.budget = 8,
		}, NULL);
	}
}

static void
close_victim(void *arg)
{
	struct scene *s = arg;

	be_given(s);
	if (!s->both)
		may_fail(send_message(s, s->b, BY_VICTIM, 0));
	mpt_step_begin();
	mproc_conn_close(s->b);
	if (s->both)
		mproc_conn_close(s->a);
	mpt_step_end();
}

static void
close_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)victim;
	(void)n;
	(void)finished;
	find_the_end(arg, 1, 1);
}

static void
killed_in_close(void **state)
{
	for (int i = 0; i < 2; i++) {
		/* Who closes a socket with something in it, takes what it has sent
		 * away, too. */
		struct scene s = { .world.t = *state, .messages = !i,
				   .sockets = i };

		mpt_stepper_run(*state, &(struct mpt_stepper_opts){
			.name = i ? "close a socket" : "close",
			.victim = close_victim,
			.before = scene_begin,
			.survivor = close_survivor,
			.fingerprint = state_of,
			.arg = &s,
			.every = 1,
			.budget = 8,
		}, NULL);
	}
}

/* Nobody else holds either end: the memory goes. */
static void
killed_in_the_last_close(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct scene s = { .world.t = *state, .both = true,
				   .sockets = i };

		mpt_stepper_run(*state, &(struct mpt_stepper_opts){
			.name = i ? "last close of a socket" : "last close",
			.victim = close_victim,
			.before = scene_begin,
			.survivor = left_survivor,
			.fingerprint = state_of,
			.arg = &s,
			.every = 1,
			.budget = 8,
		}, NULL);
	}
}

static int
stay(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return 1;
}

static int
return_at_once(void *arg)
{
	(void)arg;
	return 0;
}

static void
start_victim(void *arg)
{
	struct scene *s = arg;
	struct mproc_process_opts opts = {
		.struct_size = sizeof(opts),
		.method = MPROC_FORK,
		.n_conns = -1,
	};
	mproc_process *p;

	be_given(s);
	/* What is made once is there already. */
	may_fail(mproc_process_start(&p, return_at_once, NULL, &opts));
	may_fail(mproc_process_join(p, MPROC_FOREVER));
	mproc_process_close(p);
	opts.n_conns = s->copies ? 0 : 1;
	opts.conns = &s->b;
	mpt_step_begin();
	may_fail(mproc_process_start(&p, stay, NULL, &opts));
	mpt_step_end();
}

/* The child has gone with its parent, and holds nothing. */
static void
start_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	assert_in_range(mpt_reap_orphans(s->world.t), 0, 1);
	find_the_end(s, 0, 0);
}

static void
killed_while_it_gives(void **state)
{
	static const char *const names[] = {
		"start with .conns", "start with copies",
		"start with .conns, a socket", "start with copies of a socket",
	};

	for (int i = 0; i < 4; i++) {
		struct scene s = { .world.t = *state, .copies = i & 1,
				   .sockets = i & 2 };

		mpt_stepper_run(*state, &(struct mpt_stepper_opts){
			.name = names[i],
			.victim = start_victim,
			.before = scene_begin,
			.survivor = start_survivor,
			.fingerprint = state_of,
			.arg = &s,
			.every = 1,
			.budget = 8,
			.forks = true,
		}, NULL);
	}
}

/* Another one was killed, which held both ends. */
static void
with_a_dead_holder(void *arg)
{
	struct scene *s = arg;
	pid_t pid;

	scene_begin(arg);
	pid = fork();
	if (pid == 0) {
		be_given(s);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
joined_recover_victim(void *arg)
{
	mproc_queue *q;

	/* Only a participant gives memory back. */
	may_fail(mproc_queue_create(&q, NULL));
	mproc_queue_destroy(q);
	(void)arg;
	mpt_step_begin();
	may_fail(mproc_arena_recover(NULL));
	mpt_step_end();
}

static void
killed_in_recovery(void **state)
{
	struct scene s = { .world.t = *state, .both = true };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "recovery",
		.victim = joined_recover_victim,
		.before = with_a_dead_holder,
		.survivor = left_survivor,
		.fingerprint = state_of,
		.arg = &s,
		.every = 1,
		.budget = 8,
	}, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_create),
		mpt_test(killed_in_send),
		mpt_test(killed_with_a_file),
		mpt_test(killed_in_the_first_send),
		mpt_test(killed_in_recv),
		mpt_test(killed_in_close),
		mpt_test(killed_in_the_last_close),
		mpt_test(killed_while_it_gives),
		mpt_test(killed_in_recovery),
	};

	return cmocka_run_group_tests(tests, pipe_setup, NULL);
}
