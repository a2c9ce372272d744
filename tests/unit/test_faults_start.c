/* SPDX-License-Identifier: MIT */
/*
 * Starts of processes with an image of their own, and by a fork server, in which
 * calls of the kernel fail: in the starter, in the image, in the server and its
 * child. See faults.h.
 */
#include "faults.h"

#define VARIABLE "FAULTS_SPEC"

/* In the arena: what an image finds, which has no scratch. */
struct told {
	uint64_t hits;
	enum mpr_fault_point point;
	char spec[64];
};

/* Before that of the library. */
__attribute__((constructor(101))) static void
begin_with_faults(void)
{
	const char *spec = getenv(VARIABLE);

	if (spec)
		mpr_fault_set(spec);
}

static int
tell_hits(void *arg)
{
	struct told *told = *(struct told **)arg;

	told->hits = mpr_fault_hits(told->point);
	return 7;
}

static int
start_and_join(struct mpt *t, int method, struct told *told)
{
	mproc_process *p;
	int r, code;

	r = mproc_process_start(&p, tell_hits, &told,
				MPROC_OPTS(mproc_process_opts,
					   .method = method,
					   .cwd = "/", .n_keep_fds = -1,
					   .stdin_ = { MPROC_STDIO_NULL, 0 },
					   .arg_size = sizeof(told)));
	if (r < 0)
		return r;
	mpt_check_int(t, mproc_process_join(p, mproc_sec(20)), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	/* One that would not notice its parent's end does not run, nor one that
	 * finds no memory after it was told to go on. */
	if (code != 128 + SIGKILL &&
	    (code != 127 || !strstr(told->spec, "malloc")))
		mpt_check_int(t, code, 7);
	mproc_process_close(p);
	return 0;
}

static int
use_method(struct mpt *t, int method, struct told *told)
{
	int r = start_and_join(t, method, told);

	if (method == MPROC_FORKSERVER)
		mpt_check_int(t, mproc_forkserver_stop(), 0);
	return r;
}

static struct told *
new_told(struct mpt *t)
{
	const struct board *b = mpt_scratch(t);
	struct told *told = mproc_alloc(sizeof(*told));

	if (told) {
		memset(told, 0, sizeof(*told));
		told->point = b->point;
		memcpy(told->spec, b->spec, sizeof(told->spec));
	}
	return told;
}

static int
use_in_starter(struct mpt *t, int method)
{
	struct told *told = new_told(t);
	int r;

	if (!told)
		return -errno;
	r = use_method(t, method, told);
	mproc_free(told);
	return r;
}

static int
use_spawn(struct mpt *t)
{
	return use_in_starter(t, MPROC_SPAWN);
}

static int
use_forkserver(struct mpt *t)
{
	return use_in_starter(t, MPROC_FORKSERVER);
}

/* The faults are the new image's only. */
static int
use_faulty_image(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct told *told;
	int r;

	mpr_fault_set(NULL);
	told = new_told(t);
	mpt_check(t, told != NULL);
	if (told->spec[0])
		setenv(VARIABLE, told->spec, 1);
	r = use_method(t, MPROC_SPAWN, told);
	unsetenv(VARIABLE);
	mpt_check(t, !strstr(mproc_error_detail(), "status 99"));
	b->child_hits = told->hits;
	mproc_free(told);
	return r;
}

static int
serve_with_faults(void *arg)
{
	struct told *told = arg;

	mpr_fault_set(told->spec);
	return 0;
}

/* The server's only, and its child's. */
static int
use_faulty_server(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct told *told;
	int r;

	mpr_fault_set(NULL);
	told = new_told(t);
	mpt_check(t, told != NULL);
	r = mproc_forkserver_start(MPROC_OPTS(mproc_forkserver_opts,
					      .preload = serve_with_faults,
					      .preload_arg = told));
	mpt_check_int(t, r, 0);
	r = use_method(t, MPROC_FORKSERVER, told);
	b->child_hits = told->hits;
	mproc_free(told);
	return r;
}

static const struct use spawn = { "spawn", use_spawn, true };
static const struct use forkserver = { "forkserver", use_forkserver, true };
static const struct use faulty_image = { "faulty image", use_faulty_image, true };
static const struct use faulty_server = { "faulty server", use_faulty_server,
					 true };

static void
a_start_by_spawn_fails_cleanly(void **state)
{
	sweep_all(*state, &spawn);
}

static void
a_start_by_fork_server_fails_cleanly(void **state)
{
	sweep_all(*state, &forkserver);
}

static void
an_image_fails_cleanly(void **state)
{
	sweep_all(*state, &faulty_image);
}

static void
a_fork_server_and_its_children_fail_cleanly(void **state)
{
	sweep_all(*state, &faulty_server);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_start_by_spawn_fails_cleanly),
		mpt_test(a_start_by_fork_server_fails_cleanly),
		mpt_test(an_image_fails_cleanly),
		mpt_test(a_fork_server_and_its_children_fail_cleanly),
	};

	/* An image that runs this would run all that again. */
	if (getenv(VARIABLE))
		return 99;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
