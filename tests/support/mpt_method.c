/* SPDX-License-Identifier: MIT */
/*
 * Roles that the library under test starts, by the method that MPT_METHOD names.
 *
 * A process with an image of its own has nothing of the test's memory but the
 * default arena. So the shared pages of the scenario are a file here, mapped where a
 * new image has nothing, and are mapped there again before the role runs. Its
 * function, and an argument that is a constant of the program, are named by their
 * distance from a function, as the program lies elsewhere. Where started processes
 * are to have the scenario as an argument, it lies in the arena, all of it. An argument that a new
 * image has not makes the role a forked one, as it is without the variable; how many
 * were started how is told at the end of the program.
 *
 * The handles stay open until the end of the scenario: the library so neither waits
 * for a role, which the test does itself, nor cleans up after one before those do
 * whom the test is about.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "mpt_priv.h"

enum {
	HIGH_FD = 500,		/* out of the way of what tests open */
	NUMBERS = 1 << 22,	/* no pointer is as small, or as near the top */
	OPEN_HANDLES = 200,	/* each has a descriptor */
	TRIES = 20,
};

#define TIB ((uintptr_t)1 << 40)

/* Not in each program that uses this library. */
extern __typeof__(mproc_arena_configure_default) mproc_arena_configure_default
	__attribute__((weak));
extern __typeof__(mproc_arena_alloc) mproc_arena_alloc __attribute__((weak));
extern __typeof__(mproc_arena_default) mproc_arena_default
	__attribute__((weak));
extern __typeof__(mproc_error_detail) mproc_error_detail __attribute__((weak));
extern __typeof__(mproc_forkserver_start) mproc_forkserver_start
	__attribute__((weak));
extern __typeof__(mproc_forkserver_stop) mproc_forkserver_stop
	__attribute__((weak));
extern __typeof__(mproc_free) mproc_free __attribute__((weak));
extern __typeof__(mproc_is_shared) mproc_is_shared __attribute__((weak));
extern __typeof__(mproc_parent_pid) mproc_parent_pid __attribute__((weak));
extern __typeof__(mproc_process_close) mproc_process_close
	__attribute__((weak));
extern __typeof__(mproc_process_pid) mproc_process_pid __attribute__((weak));
extern __typeof__(mproc_process_start) mproc_process_start
	__attribute__((weak));
extern __typeof__(mproc_set_start_method) mproc_set_start_method
	__attribute__((weak));

/* What linkers put around the constants of a program. */
extern const char __executable_start[] __attribute__((weak));
extern const char data_start[] __attribute__((weak));

/* How an argument is found again. */
enum { AS_IT_IS, IN_THE_PROGRAM };

/* What a role is told besides the shared pages. */
struct handover {
	struct mpt *t;
	void *shared;
	uintptr_t fn;		/* from this program's begin_role() */
	uintptr_t arg;
	int arg_kind;
	int fd;			/* or -1: @t is there */
	int id;
	pid_t pid;		/* of the test */
	pid_t tid;
};

static int begin_role(void *arg);

static struct mpt *current;

static int method;		/* of roles and processes; 0: none is named */
static bool in_arena;		/* the scenario is to be an argument, too */
static const char *method_name;
static pid_t counter;		/* the process that says the numbers */
static unsigned started, copied;

/* Before main(), as group fixtures may make the arena. */
static void set_capacity(void)
{
	const char *s = getenv("MPT_ARENA");
	struct mproc_arena_opts o = { .struct_size = sizeof(o) };

	if (s == NULL || mproc_arena_configure_default == NULL)
		return;
	o.capacity = strtoul(s, NULL, 10) << 20;
	if (mproc_arena_configure_default(&o) < 0)
		fprintf(stderr, "mpt: MPT_ARENA=%s is refused\n", s);
}

static void say_numbers(void)
{
	if (getpid() == counter && started + copied > 0)
		printf("# roles: %u by %s, %u by fork\n", started, method_name,
		       copied);
}

static void set_method(void)
{
	const char *s = getenv("MPT_METHOD");

	if (s == NULL || mproc_set_start_method == NULL)
		return;
	if (strcmp(s, "spawn") == 0)
		method = MPROC_SPAWN;
	else if (strcmp(s, "forkserver") == 0)
		method = MPROC_FORKSERVER;
	if (method == 0 || mproc_set_start_method(method) < 0) {
		fprintf(stderr, "mpt: MPT_METHOD=%s is refused\n", s);
		exit(1);
	}
	method_name = s;
	counter = getpid();
	atexit(say_numbers);
}

__attribute__((constructor)) static void begin(void)
{
	/* A started process has these from the one that started it. */
	if (mproc_parent_pid != NULL && mproc_parent_pid() != 0)
		return;
	set_capacity();
	set_method();
}

/*
 * The kernel puts what a new image has within 1 TiB of the top of the address space
 * or far below; the half TiB beneath is free but for the arena.
 */
static void *quiet_address(void)
{
	uintptr_t top = 1, number = 0;

	while (top <= (uintptr_t)&top)
		top <<= 1;
	if (top < 16 * TIB ||
	    getrandom(&number, sizeof(number), 0) != sizeof(number))
		abort();
	number %= (TIB / 2 - sizeof(struct mpt_shared)) / 4096;
	return (void *)(top - TIB - TIB / 2 + number * 4096);
}

static void *map_shared(int fd, void *address)
{
	return mmap(address, sizeof(struct mpt_shared), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
}

static int make_file(void)
{
	int low = memfd_create("mpt", MFD_CLOEXEC), fd;

	if (low < 0)
		return -1;
	fd = fcntl(low, F_DUPFD_CLOEXEC, HIGH_FD);
	if (fd < 0)
		return low;
	close(low);
	return fd;
}

static struct mpt_shared *map_file(int *ret_fd)
{
	void *p = MAP_FAILED;
	unsigned i;

	*ret_fd = make_file();
	if (*ret_fd < 0 ||
	    ftruncate(*ret_fd, sizeof(struct mpt_shared)) < 0)
		return NULL;
	for (i = 0; i < TRIES && p == MAP_FAILED; i++)
		p = map_shared(*ret_fd, quiet_address());
	return p == MAP_FAILED ? NULL : p;
}

static struct mpt_shared *map_pages(void)
{
	void *p = mmap(NULL, sizeof(struct mpt_shared), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void mpt_use_arena(void)
{
	in_arena = true;
}

/* Both in one block, which is aligned as the pages are to be. */
static struct mpt *make_in_arena(void)
{
	size_t size = (sizeof(struct mpt) + 4095) & ~(size_t)4095;
	unsigned char *p = mproc_arena_alloc(mproc_arena_default(),
					     size + sizeof(struct mpt_shared),
					     4096);
	struct mpt *t = (void *)p;
	char place[32];

	if (p == NULL)
		return NULL;
	memset(p, 0, size + sizeof(struct mpt_shared));
	t->shared = (void *)(p + size);
	t->shared_fd = -1;
	t->is_in_arena = true;
	snprintf(place, sizeof(place), "%p", (void *)t);
	setenv(MPT_PLACE, place, 1);
	return t;
}

static struct mpt *make_apart(void)
{
	struct mpt *t;

	/* A fork server has one made, which the leak check would find. */
	if (method == MPROC_FORKSERVER)
		mproc_arena_default();
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->shared_fd = -1;
	t->shared = method == 0 ? map_pages() : map_file(&t->shared_fd);
	if (t->shared == NULL) {
		free(t);
		return NULL;
	}
	return t;
}

struct mpt *mpt_method_make(void)
{
	struct mpt *t = method != 0 && in_arena ? make_in_arena() :
						  make_apart();

	if (t != NULL)
		t->shared->base = (uintptr_t)begin_role;
	current = t;
	return t;
}

struct mpt *mpt_here(void)
{
	const char *s = getenv(MPT_PLACE);
	void *p = NULL;

	/* Another program that was exec'ed has neither. */
	if (current == NULL && s != NULL && mproc_parent_pid != NULL &&
	    mproc_parent_pid() != 0 && sscanf(s, "%p", &p) == 1)
		current = p;
	return current;
}

unsigned mpt_method_fds(void)
{
	return current != NULL && current->pid == getpid() ?
		       current->n_handles : 0;
}

const char *mpt_method_literal(const struct mpt *t, const char *text)
{
	/* For the test, of the same program, which lies elsewhere. */
	return text - (uintptr_t)begin_role + t->shared->base;
}

void mpt_method_unshare(struct mpt *t)
{
	if (!t->is_in_arena)
		munmap(t->shared, sizeof(*t->shared));
}

void mpt_method_free(struct mpt *t)
{
	current = NULL;
	if (t->shared_fd >= 0)
		close(t->shared_fd);
	if (!t->is_in_arena) {
		free(t);
		return;
	}
	unsetenv(MPT_PLACE);
	mproc_free(t);
}

/* Whether a new image has the mapping that @p lies in, the arena's or ours. */
static bool has_mapping(const void *p)
{
	unsigned long start, end;
	bool found = false;
	char line[512];
	FILE *f;

	f = fopen("/proc/self/maps", "re");
	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = sscanf(line, "%lx-%lx", &start, &end) == 2 &&
			(uintptr_t)p >= start && (uintptr_t)p < end &&
			strstr(line, "/memfd:") != NULL;
	fclose(f);
	return found;
}

static bool is_constant(const void *p)
{
	return (uintptr_t)p >= (uintptr_t)__executable_start &&
	       (uintptr_t)p < (uintptr_t)data_start;
}

/* The scenario, as a role needs it. */
static struct mpt *find_scenario(const struct handover *h)
{
	static struct mpt t = { .shared_fd = -1 };

	if (h->fd < 0)
		return h->t;
	t.name = program_invocation_short_name;
	t.pid = h->pid;
	t.tid = h->tid;
	t.shared = map_shared(h->fd, h->shared);
	if (t.shared == MAP_FAILED) {
		fprintf(stderr, "mpt: mapping the shared pages in a role: %s\n",
			strerror(errno));
		_exit(MPT_FAILED);
	}
	close(h->fd);
	current = &t;
	return &t;
}

static int begin_role(void *arg)
{
	struct handover *h = arg;
	struct mpt *t = find_scenario(h);
	uintptr_t base = (uintptr_t)begin_role, role_arg = h->arg;
	mpt_fn *fn = (mpt_fn *)(base + h->fn);

	if (h->arg_kind == IN_THE_PROGRAM)
		role_arg += base;
	mpt_child_begin(t, (unsigned)h->id);
	mpt_child_end(fn(t, (void *)role_arg));
}

static bool hand_over(struct handover *h, struct mpt *t,
		      const struct mpt_role *role)
{
	uintptr_t base = (uintptr_t)begin_role, arg = (uintptr_t)role->arg;

	*h = (struct handover){
		.t = t,
		.shared = t->shared,
		.fn = (uintptr_t)role->fn - base,
		.arg = arg,
		.arg_kind = AS_IT_IS,
		.fd = t->shared_fd,
		.id = role->id,
		.pid = t->pid,
		.tid = t->tid,
	};
	if (arg < NUMBERS || -arg < NUMBERS)
		return true;
	if (is_constant(role->arg)) {
		h->arg = arg - base;
		h->arg_kind = IN_THE_PROGRAM;
		return true;
	}
	return arg == (uintptr_t)t ? t->is_in_arena :
	       (arg - (uintptr_t)t->shared < sizeof(*t->shared) ||
		mproc_is_shared(role->arg)) && has_mapping(role->arg);
}

pid_t mpt_method_start(struct mpt *t, struct mpt_role *role, const char *name)
{
	struct mproc_process_opts o = {
		.struct_size = sizeof(o),
		.name = name,
		.arg_size = sizeof(struct handover),
		.keep_fds = &t->shared_fd,
		.n_keep_fds = t->shared_fd < 0 ? -1 : 1,
		.method = method,
		.outlive_parent = true,
	};
	struct handover h;

	if (method == 0)
		return 0;
	if (t->n_handles == OPEN_HANDLES || !hand_over(&h, t, role)) {
		copied++;
		return 0;
	}
	if (mproc_process_start(&role->handle, begin_role, &h, &o) < 0)
		mpt_fail(t, __FILE__, __LINE__, "%s of a role: %s", method_name,
			 mproc_error_detail());
	t->n_handles++;
	started++;
	return mproc_process_pid(role->handle);
}

void mpt_method_copied(void)
{
	copied++;
}

int mpt_method_begin(void)
{
	return method == MPROC_FORKSERVER ? mproc_forkserver_start(NULL) : 0;
}

bool mpt_method_is_server(pid_t pid)
{
	return method == MPROC_FORKSERVER && mpt_is_server(pid);
}

void mpt_method_end_servers(void)
{
	pid_t pids[2 * MPT_ROLES];
	unsigned i, n;

	if (method != MPROC_FORKSERVER)
		return;
	mproc_forkserver_stop();
	n = mpt_children(pids, 2 * MPT_ROLES);
	for (i = 0; i < n; i++)
		if (mpt_is_server(pids[i]))
			waitpid(pids[i], NULL, 0);
}

void mpt_method_end(struct mpt *t)
{
	unsigned i;

	for (i = 0; i < t->n_roles; i++)
		if (t->roles[i].handle != NULL)
			mproc_process_close(t->roles[i].handle);
	t->n_handles = 0;
	mpt_method_end_servers();
}
