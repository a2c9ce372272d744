/* SPDX-License-Identifier: MIT */
/*
 * What a process with a new image gets from the one that starts it: one file in
 * memory that both have mapped, with the record of the child, room for its
 * report, and behind them the plan, which says what it is to be.
 *
 *   0        struct mpr_record
 *   4 KiB    report
 *   12 KiB   struct mpr_plan, and what its offsets lead to
 *
 * The child knows the file by a variable of its environment, which has the
 * number of the descriptor and a nonce that is in the plan, too. What is another
 * user's, or has a name, is no plan; one of another build of this library ends the
 * child.
 */
#ifndef MPR_PROCESS_PLAN_H
#define MPR_PROCESS_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arena/arena.h"
#include "os/ambience.h"
#include "os/module.h"
#include "os/shmem.h"
#include "process/call.h"
#include "process/plans.h"
#include "process/record.h"
#include "process/self.h"

struct mpr_plan {
	uint64_t magic;
	uint64_t nonce;
	uint64_t size; /* of the file */
	int32_t parent; /* process id */
	struct mpr_module_id library; /* whose layout this is */

	struct mpr_module module; /* of the entry */
	uint64_t entry;		  /* its offset in there */
	uint64_t around;	  /* of what is around it, from mpr_plan_library(); 0 */
	uint64_t arg;		  /* as a number, if arg_size is 0 */
	uint64_t arg_size, arg_at;
	int32_t index;
	bool is_member;

	bool given; /* ends of pipes */
	bool outlives;
	bool no_report;
	int32_t method; /* what the child's own children are started by */
	int64_t exit_limit;
	char name[MPR_NAME_MAX];

	struct mpr_arena_ticket arena;
	struct mpr_self_ticket test;

	struct mproc_stdio stdio[3];
	uint64_t cwd_at; /* 0: none */
	uint64_t env_at; /* strings, one behind the other; 0: exec applies it */
	int32_t n_env;
	struct mpr_ambience ambience; /* the same */
	uint64_t cpus_at, keep_at, pass_at, limits_at, sockets_at;
	int32_t n_cpus, n_keep, n_pass, n_limits, n_sockets;
	int32_t nice;
	int32_t process_group;
};

/* A descriptor that stayed open for the child's sake, though it is closed at exec
 * in the parent: what becomes of it once the options are applied. */
struct mpr_pass {
	int32_t fd;
	bool stays; /* or is closed */
};

struct mpr_plan_file {
	struct mpr_shmem shmem; /* base NULL: there is none */
	struct mpr_plans *plans; /* NULL: it is no slot, but a file of its own */
	struct mpr_record *record;
	struct mpr_plan *plan;
};

/* The variable: "MPROC_SPAWNED=fd:nonce". */
#define MPR_PLAN_VARIABLE "MPROC_SPAWNED"
#define MPR_PLAN_VARIABLE_MAX 64

/*
 * Makes one in a slot of @plans, if that is not NULL and has one for it; or else with a
 * descriptor that is closed at exec. Until it is closed, the child
 * knows that an order will come: see struct mpr_start. A @service of a fork server
 * begins with the signals of the keyboard blocked (os/ambience.h). Returns 0 or a negative
 * error: -ENOEXEC if the entry cannot be found by another image, -EFAULT if its
 * argument means nothing there, -EBADF if the arena cannot be handed on; or what
 * mpr_shmem_create() gives.
 */
int mpr_plan_make(struct mpr_plan_file *ret_f, const struct mpr_call *call,
		  const char *name, const struct mproc_process_opts *o, bool service,
		  struct mpr_plans *plans);

/* A slot for one that is made later; its record is there now. Returns 0, or what
 * mpr_plans_take() gives. */
int mpr_plan_reserve(struct mpr_plan_file *ret_f, struct mpr_plans *plans);

/* Makes it there. The same errors, which leave the slot reserved; -EAGAIN if it is too
 * small; -ECHILD: mpr_plans_check(). */
int mpr_plan_make_reserved(const struct mpr_plan_file *reserved,
			   const struct mpr_call *call, const char *name,
			   const struct mproc_process_opts *o, bool service);

/* Whether a new image has the default arena, in which @arg lies, or @arg is only a
 * number. */
bool mpr_plan_can_pass(const void *arg);

/* Its descriptor is not needed any more. */
void mpr_plan_close(struct mpr_plan_file *f);

/* The variable for it. */
void mpr_plan_variable(const struct mpr_plan_file *f,
		       char ret_text[MPR_PLAN_VARIABLE_MAX]);

/* Which build of this library the calling code is. Returns 0 or -ENOEXEC. */
int mpr_plan_library(struct mpr_module_id *ret_id);

/* In the child: finds its own. Returns 0; -ENOENT if this process was given none,
 * -EPROTO if it comes from another build; -ENOMEM and the like if it cannot be
 * mapped: this process was to be something else. The variable is gone from the
 * environment in any case. */
int mpr_plan_receive(struct mpr_plan_file *ret_f);

/* In a fork server: maps one that it was sent, whose descriptor stays open. Returns
 * 0 or a negative error. */
int mpr_plan_open(struct mpr_plan_file *ret_f, int fd);

/* The same for one in a slot. */
int mpr_plan_open_slot(struct mpr_plan_file *ret_f,
		       const struct mpr_shmem *slot);

/* The same for one that has no plan yet. */
void mpr_plan_open_reserved(struct mpr_plan_file *ret_f,
			    const struct mpr_shmem *slot);

/* What is at one of the offsets; NULL for 0. */
const void *mpr_plan_at(const struct mpr_plan_file *f, uint64_t offset);

/* In the child: the options, but for the environment; they refer to the plan. */
void mpr_plan_options(const struct mpr_plan_file *f,
		      struct mproc_process_opts *ret_o);

/* In the child: the environment, with an array from malloc(); *@ret_env is NULL if
 * it has that already. Returns 0 or -ENOMEM. */
int mpr_plan_environment(const struct mpr_plan_file *f, const char ***ret_env);

/* In the child: what it is to call. Returns 0 or -ENOEXEC. The other one leaves it
 * open which function that is. */
int mpr_plan_call(const struct mpr_plan_file *f, struct mpr_call *ret_call);
struct mpr_call mpr_plan_arguments(const struct mpr_plan_file *f);

void mpr_plan_free(struct mpr_plan_file *f);

#endif
