/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "ipc/handover.h"
#include "os/bytelock.h"
#include "os/fds.h"
#include "os/generation.h"
#include "os/image.h"
#include "os/random.h"
#include "os/task.h"
#include "os/thread.h"
#include "process/exit.h"
#include "process/method.h"
#include "process/plan.h"

#define MAGIC UINT64_C(0x6e616c707263706d)
#define PAGE ((size_t)MPR_CHILD_PAGE)
#define PLAN_AT (PAGE + MPR_REPORT_SIZE)

static_assert(PLAN_AT % alignof(struct mpr_plan) == 0, "aligned");

/* No address is as small as that: it is a number in the place of a pointer. */
#define NUMBERS 4096

/* What the offsets lead to comes behind the plan, aligned for anything. */
static uint64_t
take(size_t *at, size_t len)
{
	uint64_t mine = *at;

	*at += mpr_round_up(len, alignof(max_align_t));
	return mine;
}

/* Those of the caller's descriptors that the child needs and would not get. */
static int
list_passed(struct mpr_pass *ret, const struct mproc_process_opts *o)
{
	const struct mproc_stdio *streams[3] = { &o->stdin_, &o->stdout_,
						 &o->stderr_ };
	int n = 0;

	for (int i = 0; i < o->n_keep_fds; i++)
		if (mpr_fds_ends_at_exec(o->keep_fds[i]))
			ret[n++] = (struct mpr_pass){ .fd = o->keep_fds[i],
						      .stays = true };
	for (int i = 0; i < 3; i++)
		if (streams[i]->kind == MPROC_STDIO_FD && streams[i]->fd > 2 &&
		    mpr_fds_ends_at_exec(streams[i]->fd))
			ret[n++] = (struct mpr_pass){ .fd = streams[i]->fd };
	return n;
}

bool
mpr_plan_can_pass(const void *arg)
{
	const mproc_arena *a = mpr_arena_peek();
	uintptr_t at = (uintptr_t)arg;

	return at < NUMBERS ||
	       (a && at - (uintptr_t)a->shmem.base < a->shmem.size);
}

static int
check_arg(const struct mpr_call *call)
{
	if (call->arg_size > MPR_CAPACITY_MAX)
		return mpr_fail(-ENOMEM, "no memory for an argument of %zu "
				"bytes", call->arg_size);
	return call->arg_size || mpr_plan_can_pass(call->arg) ?
		       0 : mpr_fail(-EFAULT, "the argument %p is no memory of "
				    "the arena: a process with an image of its "
				    "own has nothing there; say .arg_size to "
				    "have it copied", call->arg);
}

static void
put_environment(unsigned char *at, const char *const *env)
{
	size_t len;

	for (; *env; env++) {
		len = strlen(*env) + 1;
		memcpy(at, *env, len);
		at += len;
	}
}

static size_t
count_environment(const char *const *env, int *ret_n)
{
	size_t bytes = 0;

	for (*ret_n = 0; env[*ret_n]; ++*ret_n)
		bytes += strlen(env[*ret_n]) + 1;
	return bytes;
}

static int
fill_sockets(struct mpr_plan_file *f, const struct mproc_process_opts *o)
{
	void *at = f->shmem.base + f->plan->sockets_at;
	int n = mpr_handover_sockets(o->conns, o->n_conns, at);

	f->plan->n_sockets = n < 0 ? 0 : n;
	return n < 0 ? n : 0;
}

static int
fill(struct mpr_plan_file *f, const struct mpr_call *call,
     const struct mproc_process_opts *o, const struct mpr_plan *plan)
{
	unsigned char *base = f->shmem.base;

	*f->plan = *plan;
	f->plan->size = f->shmem.size;
	if (call->arg_size)
		memcpy(base + plan->arg_at, call->arg, call->arg_size);
	if (plan->env_at)
		put_environment(base + plan->env_at, o->env);
	if (o->cwd)
		memcpy(base + plan->cwd_at, o->cwd, strlen(o->cwd) + 1);
	if (plan->n_cpus > 0)
		memcpy(base + plan->cpus_at, o->cpus,
		       (size_t)plan->n_cpus * sizeof(int));
	if (plan->n_keep > 0)
		memcpy(base + plan->keep_at, o->keep_fds,
		       (size_t)plan->n_keep * sizeof(int));
	if (plan->n_limits > 0)
		memcpy(base + plan->limits_at, o->limits,
		       (size_t)plan->n_limits * sizeof(*o->limits));
	f->plan->n_pass =
		list_passed((struct mpr_pass *)(void *)(base + plan->pass_at),
			    o);
	return fill_sockets(f, o);
}

MPR_IMAGE_PATH static void
find_parts(struct mpr_plan_file *f)
{
	f->record = (struct mpr_record *)(void *)f->shmem.base;
	f->plan = (struct mpr_plan *)(void *)(f->shmem.base + PLAN_AT);
}

static int
make_own_file(struct mpr_plan_file *f, size_t size)
{
	uint64_t generation = mpr_generation();
	int r = mpr_shmem_create(&f->shmem, size, PAGE, false);

	if (r < 0)
		return r;
	r = mpr_shmem_back(&f->shmem, 0, size);
	/* A signal handler may have forked us, and the file is our parent's. */
	if (r == 0)
		r = generation == mpr_generation() ?
			    mpr_bytelock_take(&f->shmem.file, 0) : -ECHILD;
	if (r < 0)
		mpr_shmem_unmap(&f->shmem);
	return r;
}

static int
make_file(struct mpr_plan_file *ret_f, size_t size, struct mpr_plans *plans)
{
	struct mpr_plan_file f = { .plans = plans };
	int r = plans ? mpr_plans_take(plans, size, &f.shmem) : -EAGAIN;

	if (r == -EAGAIN) {
		f.plans = NULL;
		r = make_own_file(&f, size);
	}
	if (r < 0)
		return r;
	find_parts(&f);
	mpr_record_init(f.record);
	*ret_f = f;
	return 0;
}

int
mpr_plan_reserve(struct mpr_plan_file *ret_f, struct mpr_plans *plans)
{
	struct mpr_plan_file f = { .plans = plans };
	sigset_t before;
	int r;

	mpr_thread_forbid_signals(&before);
	r = mpr_plans_take(plans, MPR_PLANS_SLOT_SIZE, &f.shmem);
	if (r == 0) {
		find_parts(&f);
		mpr_record_init(f.record);
	}
	mpr_thread_allow_signals(&before);
	if (r < 0)
		return r;
	*ret_f = f;
	return 0;
}

static int
use_reserved(struct mpr_plan_file *ret_f, size_t size,
	     const struct mpr_plan_file *reserved)
{
	*ret_f = *reserved;
	return size <= reserved->shmem.size ? mpr_plans_check(reserved->plans) :
					      -EAGAIN;
}

/* In @reserved, or in a file that *@ret_f is the first to have. */
static int
make(struct mpr_plan_file *ret_f, const struct mpr_call *call, const char *name,
     const struct mproc_process_opts *o, bool service, struct mpr_plans *plans,
     const struct mpr_plan_file *reserved)
{
	struct mpr_plan plan = {
		.magic = MAGIC,
		.parent = mpr_task_pid(),
		.arg = (uintptr_t)call->arg,
		.arg_size = call->arg_size,
		.index = call->index,
		.is_member = call->is_member,
		.around = call->around ? (uintptr_t)call->around -
						 (uintptr_t)mpr_plan_library :
					 0,
		.given = o->n_conns > 0,
		.outlives = o->outlive_parent,
		.no_report = o->no_report,
		.method = mpr_method_usual(),
		.exit_limit = mpr_exit_limit().ns,
		.stdio = { o->stdin_, o->stdout_, o->stderr_ },
		.n_cpus = o->n_cpus,
		.n_keep = o->n_keep_fds,
		.n_limits = o->n_limits,
		.nice = o->nice,
		.process_group = o->process_group,
	};
	size_t n_keep = o->n_keep_fds > 0 ? (size_t)o->n_keep_fds : 0;
	size_t n_conns = o->n_conns > 0 ? (size_t)o->n_conns : 0;
	size_t at = PLAN_AT;
	sigset_t before;
	int r;

	memcpy(plan.name, name, sizeof(plan.name));
	mpr_self_give(&plan.test);
	r = mpr_plan_library(&plan.library);
	if (r == 0)
		r = mpr_module_of(call->fn, &plan.module, &plan.entry);
	if (r == 0)
		r = check_arg(call);
	/* A fork server has the arena, and nobody else can come to it. */
	if (r == 0 && o->method == MPROC_SPAWN) {
		plan.nonce = mpr_random();
		r = mpr_arena_give(&plan.arena);
	}
	if (r < 0)
		return r;
	(void)take(&at, sizeof(plan));
	plan.arg_at = take(&at, call->arg_size);
	if (o->method == MPROC_FORKSERVER) {
		plan.env_at = take(&at, count_environment(o->env, &plan.n_env));
		mpr_ambience_note(&plan.ambience);
		/* As for a new image: it is to ignore the keyboard, and cannot do so
		 * before it runs. */
		if (service)
			mpr_keyboard_add(&plan.ambience.blocked);
	}
	plan.cwd_at = o->cwd ? take(&at, strlen(o->cwd) + 1) : 0;
	plan.cpus_at = take(&at, (size_t)o->n_cpus * sizeof(int));
	plan.limits_at = take(&at, (size_t)o->n_limits * sizeof(*o->limits));
	plan.keep_at = take(&at, n_keep * sizeof(int));
	plan.pass_at = take(&at, (n_keep + 3) * sizeof(struct mpr_pass));
	plan.sockets_at = take(&at, n_conns *
					    sizeof(struct mpr_handover_socket));
	mpr_thread_forbid_signals(&before);
	if (reserved)
		r = use_reserved(ret_f, at, reserved);
	else
		r = make_file(ret_f, mpr_round_up(at, PAGE), plans);
	if (r == 0) {
		r = fill(ret_f, call, o, &plan);
		if (r < 0 && !reserved)
			mpr_plan_free(ret_f);
	}
	mpr_thread_allow_signals(&before);
	return r;
}

int
mpr_plan_make(struct mpr_plan_file *ret_f, const struct mpr_call *call,
	      const char *name, const struct mproc_process_opts *o, bool service,
	      struct mpr_plans *plans)
{
	return make(ret_f, call, name, o, service, plans, NULL);
}

int
mpr_plan_make_reserved(const struct mpr_plan_file *reserved,
		       const struct mpr_call *call, const char *name,
		       const struct mproc_process_opts *o, bool service)
{
	struct mpr_plan_file f;

	return make(&f, call, name, o, service, NULL, reserved);
}

MPR_IMAGE_PATH int
mpr_plan_library(struct mpr_module_id *ret_id)
{
	MPR_CHILD_DATA static struct mpr_module_id id;
	MPR_CHILD_DATA static _Atomic bool known;
	int r = 0;

	if (!atomic_load(&known)) {
		mpr_process_lock();
		r = mpr_module_own_id(&id);
		if (r == 0)
			atomic_store(&known, true);
		mpr_process_unlock();
	}
	if (r == 0)
		*ret_id = id;
	return r;
}

void
mpr_plan_variable(const struct mpr_plan_file *f,
		  char ret_text[MPR_PLAN_VARIABLE_MAX])
{
	snprintf(ret_text, MPR_PLAN_VARIABLE_MAX,
		 MPR_PLAN_VARIABLE "=%d:%016" PRIx64, f->shmem.file.fd,
		 f->plan->nonce);
}

MPR_IMAGE_PATH static int
map_file(struct mpr_plan_file *f, int fd)
{
	struct mpr_file file;
	uint64_t size;
	int r;

	/* What it says is done with this user's rights. The arena may be another's:
	 * of whom this one was before. */
	if (!mpr_file_is_private(fd))
		return -ENOENT;
	if (mpr_file_adopt(&file, fd, &size) < 0 ||
	    size < PLAN_AT + sizeof(struct mpr_plan))
		return -ENOENT;
	f->plans = NULL;
	r = mpr_shmem_attach(&f->shmem, &file, size, PAGE, false);
	if (r == 0)
		find_parts(f);
	return r;
}

MPR_IMAGE_PATH static int
check(const struct mpr_plan_file *f, uint64_t nonce)
{
	const struct mpr_plan *plan = f->plan;
	struct mpr_module_id library;

	if (plan->magic != MAGIC || plan->nonce != nonce)
		return -ENOENT;
	return plan->size == f->shmem.size &&
			       mpr_plan_library(&library) == 0 &&
			       mpr_module_is(&library, &plan->library) ?
		       0 : -EPROTO;
}

int
mpr_plan_open(struct mpr_plan_file *ret_f, int fd)
{
	int r = map_file(ret_f, fd);

	if (r < 0)
		return r;
	r = check(ret_f, ret_f->plan->nonce);
	if (r < 0)
		mpr_shmem_unmap_only(&ret_f->shmem);
	return r;
}

void
mpr_plan_open_reserved(struct mpr_plan_file *ret_f, const struct mpr_shmem *slot)
{
	*ret_f = (struct mpr_plan_file){ .shmem = *slot };
	find_parts(ret_f);
}

int
mpr_plan_open_slot(struct mpr_plan_file *ret_f, const struct mpr_shmem *slot)
{
	mpr_plan_open_reserved(ret_f, slot);
	return check(ret_f, ret_f->plan->nonce);
}

/* The digits at *@at, of which there are at most @n, up to @end. Not by sscanf(3):
 * that costs a new image half a dozen page faults. */
MPR_IMAGE_PATH static bool
read_number(const char **at, unsigned base, unsigned n, char end, uint64_t *ret)
{
	static const char digits[] = "0123456789abcdef";
	const char *digit, *begin = *at;

	*ret = 0;
	for (; n && **at && **at != end; n--, ++*at) {
		digit = memchr(digits, **at, base);
		if (!digit)
			return false;
		*ret = *ret * base + (uint64_t)(digit - digits);
	}
	return *at > begin && *(*at)++ == end;
}

MPR_IMAGE_PATH int
mpr_plan_receive(struct mpr_plan_file *ret_f)
{
	const char *text = mpr_image_take_variable(MPR_PLAN_VARIABLE);
	uint64_t fd, nonce;
	int r;

	if (!text || !read_number(&text, 10, 9, ':', &fd) ||
	    !read_number(&text, 16, 16, '\0', &nonce))
		return -ENOENT;
	r = map_file(ret_f, (int)fd);
	if (r < 0)
		return r;
	r = check(ret_f, nonce);
	if (r == -ENOENT)
		/* Whatever it is, it stays open: it is not ours. */
		mpr_shmem_unmap_only(&ret_f->shmem);
	else if (r < 0)
		mpr_plan_free(ret_f);
	return r;
}

MPR_CHILD_PATH const void *
mpr_plan_at(const struct mpr_plan_file *f, uint64_t offset)
{
	return offset ? f->shmem.base + offset : NULL;
}

MPR_IMAGE_PATH void
mpr_plan_options(const struct mpr_plan_file *f,
		 struct mproc_process_opts *ret_o)
{
	const struct mpr_plan *p = f->plan;

	*ret_o = (struct mproc_process_opts){
		.struct_size = sizeof(*ret_o),
		.cwd = mpr_plan_at(f, p->cwd_at),
		.keep_fds = mpr_plan_at(f, p->keep_at),
		.cpus = mpr_plan_at(f, p->cpus_at),
		.n_keep_fds = p->n_keep,
		.n_cpus = p->n_cpus,
		.stdin_ = p->stdio[0],
		.stdout_ = p->stdio[1],
		.stderr_ = p->stdio[2],
		.outlive_parent = p->outlives,
		.no_report = p->no_report,
		.limits = mpr_plan_at(f, p->limits_at),
		.n_limits = p->n_limits,
		.nice = p->nice,
		.process_group = p->process_group,
	};
}

/* Whether this process has the very same environment. */
static bool
has_environment(const char *at, size_t n)
{
	const char *const *mine = mpr_image_own_environment();

	for (; n && *mine && strcmp(*mine, at) == 0; mine++, n--)
		at += strlen(at) + 1;
	return !n && !*mine;
}

int
mpr_plan_environment(const struct mpr_plan_file *f, const char ***ret_env)
{
	const char *at = mpr_plan_at(f, f->plan->env_at);
	size_t n = (size_t)f->plan->n_env;

	*ret_env = NULL;
	if (!at || has_environment(at, n))
		return 0;
	*ret_env = mpr_malloc((n + 1) * sizeof(**ret_env));
	if (!*ret_env)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		(*ret_env)[i] = at;
		at += strlen(at) + 1;
	}
	(*ret_env)[n] = NULL;
	return 0;
}

MPR_IMAGE_PATH struct mpr_call
mpr_plan_arguments(const struct mpr_plan_file *f)
{
	const struct mpr_plan *p = f->plan;

	return (struct mpr_call){
		.is_member = p->is_member,
		.index = p->index,
		.arg = p->arg_size ?
			       (void *)(f->shmem.base + p->arg_at) :
			       (void *)(uintptr_t)p->arg,
		.arg_size = p->arg_size,
		/* The library is the same build. */
		.around = p->around ?
				  (int (*)(const struct mpr_call *))(
					  (uintptr_t)mpr_plan_library +
					  p->around) :
				  NULL,
	};
}

MPR_IMAGE_PATH int
mpr_plan_call(const struct mpr_plan_file *f, struct mpr_call *ret_call)
{
	*ret_call = mpr_plan_arguments(f);
	return mpr_module_find(&f->plan->module, f->plan->entry,
			       &ret_call->fn);
}

MPR_CHILD_PATH void
mpr_plan_close(struct mpr_plan_file *f)
{
	if (f->shmem.file.fd >= 0)
		mpr_file_close(&f->shmem.file);
	f->shmem.file.fd = -1;
}

void
mpr_plan_free(struct mpr_plan_file *f)
{
	if (!f->shmem.base)
		return;
	mpr_plan_close(f);
	if (f->plans)
		mpr_plans_give(f->plans, &f->shmem);
	else
		mpr_shmem_unmap_only(&f->shmem);
	f->shmem.base = NULL;
}
