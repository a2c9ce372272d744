/* SPDX-License-Identifier: MIT */
/*
 * process.h: a process with crash reports ends as one without: with the same
 * signal, core dump and handlers. And who has a report, and who has none.
 */
#include <dirent.h>
#include <elf.h>
#include <link.h>
#include <sys/procfs.h>
#include <sys/wait.h>

#include "crash.h"
#include "mpt_step_arch.h"

static void
a_process_can_do_without_reports(void **state)
{
	mproc_process *p = start_quiet(touch, (void *)16);
	struct mproc_exit end = exit_of(p);

	(void)state;
	assert_int_equal(end.signal, SIGSEGV);
	assert_null(end.report);
	mproc_process_close(p);
}

static int
end_somehow(void *arg)
{
	intptr_t how = (intptr_t)arg;

	if (how == 'e')
		exit(3);
	if (how == 'k')
		kill(getpid(), SIGKILL);
	if (how == 't')
		raise(SIGTERM);
	return 0;
}

static void
without_a_crash_there_is_no_report(void **state)
{
	static const char *const all[] = { "return", "exit", "kill",
					   "terminate" };

	(void)state;
	for (int i = 0; i < 4; i++) {
		mproc_process *p = start_named(all[i], end_somehow,
					       (void *)(intptr_t)all[i][0]);

		assert_null(exit_of(p).report);
		mproc_process_close(p);
	}
}

static void
a_report_lasts_as_long_as_the_handle(void **state)
{
	mproc_process *p = start_named("first", touch, (void *)16);
	struct mproc_exit end = exit_of(p), again;
	char *copy = strdup(end.report);

	(void)state;
	for (int i = 0; i < 5; i++) {
		mproc_process *other = start_named("other", touch, NULL);

		exit_of(other);
		mproc_process_close(other);
	}
	again = exit_of(p);
	assert_ptr_equal(again.report, end.report);
	assert_string_equal(again.report, copy);
	free(copy);
	mproc_process_close(p);
}

static int
say_ready_and_wait(void *t)
{
	mpt_step(t, 0);
	return wait_for_ever(t);
}

static void
a_signal_from_outside_is_reported_with_its_sender(void **state)
{
	mproc_process *p = start_named("victim", say_ready_and_wait, *state);
	struct mproc_exit end;
	char text[80];

	mpt_reach(*state, 1);
	assert_int_equal(mproc_process_signal(p, SIGABRT), 0);
	end = exit_of(p);
	assert_int_equal(end.signal, SIGABRT);
	snprintf(text, sizeof(text), "SIGABRT (6), sent by process %d of user "
		 "%d\n", (int)getpid(), (int)getuid());
	assert_non_null(strstr(end.report, text));
	mproc_process_close(p);
}

static struct sigaction before;

static void
exit_9(int signal)
{
	(void)signal;
	_exit(9);
}

static void
call_the_one_before(int signal, siginfo_t *info, void *context)
{
	before.sa_sigaction(signal, info, context);
}

static int
handle_by_itself(void *arg)
{
	signal(SIGSEGV, exit_9);
	return touch(arg);
}

static int
handle_both_ways(void *arg)
{
	struct sigaction action = {
		.sa_sigaction = call_the_one_before,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};

	sigaction(SIGSEGV, &action, &before);
	return touch(arg);
}

static void
a_handler_of_the_entry_wins(void **state)
{
	mproc_process *p = start_named("own", handle_by_itself, (void *)16);
	struct mproc_exit end = exit_of(p);

	(void)state;
	assert_int_equal(end.code, 9);
	assert_null(end.report);
	mproc_process_close(p);
	p = start_named("both", handle_both_ways, (void *)16);
	end = exit_of(p);
	assert_int_equal(end.signal, SIGSEGV);
	assert_non_null(end.report);
	assert_true(is_in(end.report, 0, touch));
	mproc_process_close(p);
}

static void
a_handler_of_the_parent_wins(void **state)
{
	mproc_process *p;

	(void)state;
	let_signals_be();
	signal(SIGSEGV, exit_9);
	p = start_forked(touch, (void *)16);
	signal(SIGSEGV, SIG_DFL);
	assert_int_equal(exit_of(p).code, 9);
	mproc_process_close(p);
}

static void
the_parent_gets_no_handler(void **state)
{
	struct sigaction now;
	mproc_process *p = start_named("any", touch, (void *)16);

	(void)state;
	exit_of(p);
	mproc_process_close(p);
	for (int i = 1; i <= SIGSYS; i++) {
		if (i == SIGKILL || i == SIGSTOP)
			continue;
		assert_int_equal(sigaction(i, NULL, &now), 0);
		assert_true(now.sa_handler == SIG_DFL ||
			    now.sa_handler == SIG_IGN || i == SIGALRM);
	}
}

static int
let_a_fork_crash(void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (arg)
			execl("/bin/sh", "sh", "-c", "kill -SEGV $$",
			      (char *)NULL);
		touch((void *)16);
	}
	if (waitpid(pid, &status, 0) != pid)
		return 2;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV ? 0 : 3;
}

static void
others_than_started_processes_do_not_report(void **state)
{
	mproc_process *p;

	for (int exec = 0; exec < 2; exec++) {
		struct mproc_exit end;

		p = start_named("parent", let_a_fork_crash,
				exec ? *state : NULL);
		end = exit_of(p);
		assert_int_equal(end.code, 0);
		assert_null(end.report);
		mproc_process_close(p);
	}
}

static int
let_a_child_crash(void *arg)
{
	struct mproc_exit end;
	mproc_process *p;
	bool good;

	if (mproc_process_start(&p, touch, (void *)16,
				MPROC_OPTS(mproc_process_opts,
					   .name = "grandchild")) < 0 ||
	    mproc_process_join(p, MPROC_FOREVER) < 0 ||
	    mproc_process_exit_info(p, &end) < 0)
		return 2;
	good = end.report &&
	       strncmp(end.report, "process \"grandchild\"", 20) == 0;
	mproc_process_close(p);
	return !good ? 3 : arg ? touch(arg) : 0;
}

static void
each_parent_gets_the_reports_of_its_children(void **state)
{
	mproc_process *p = start_named("child", let_a_child_crash, NULL);
	struct mproc_exit end = exit_of(p);

	(void)state;
	assert_int_equal(end.code, 0);
	assert_null(end.report);
	mproc_process_close(p);
	p = start_named("child", let_a_child_crash, (void *)16);
	end = exit_of(p);
	assert_int_equal(end.signal, SIGSEGV);
	assert_memory_equal(end.report, "process \"child\" (", 17);
	mproc_process_close(p);
}

static int
crash_or_wait(int index, void *arg)
{
	if (index == 1)
		return touch(arg);
	while (pause() < 0)
		;
	return 0;
}

/* With the name of the signal, and what it has left. */
static void
a_group_has_the_report_of_the_member_that_failed_first(void **state)
{
	struct mproc_exit end;
	mproc_group *g = NULL;

	(void)state;
	let_signals_be();
	assert_int_equal(mproc_group_start(&g, crash_or_wait, (void *)16, 3,
					   NULL), 0);
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER),
			 MPROC_GROUP_FAILED);
	assert_true(detail_has("SIGSEGV"));
	assert_int_equal(mproc_group_failure(g, &end), 1);
	assert_int_equal(end.signal, SIGSEGV);
	assert_non_null(end.report);
	assert_non_null(strstr(end.report, "process \"member-1\" ("));
	assert_non_null(strstr(end.report, "SIGSEGV (11), "));
	assert_true(is_in(end.report, 0, touch));
	mproc_group_close(g);
}

static void
who_was_reaped_elsewhere_has_a_report(void **state)
{
	mproc_process *p;
	struct mproc_exit end;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	p = start_named("orphan", touch, (void *)16);
	end = exit_of(p);
	signal(SIGCHLD, SIG_DFL);
	assert_true(end.reaped_elsewhere);
	assert_int_equal(end.signal, 0);
	assert_non_null(strstr(end.report, "SIGSEGV (11)"));
	mproc_process_close(p);
}

/* A core file, as far as it matters here. */
struct core {
	struct user_regs_struct registers;
	siginfo_t info;
	bool found;
};

static void
read_notes(struct core *core, const unsigned char *p, size_t size)
{
	const ElfW(Nhdr) *note;
	const unsigned char *data;
	struct elf_prstatus status;

	while (size >= sizeof(*note)) {
		note = (const ElfW(Nhdr) *)(const void *)p;
		data = p + sizeof(*note) + ((note->n_namesz + 3u) & ~3u);
		if (note->n_type == NT_PRSTATUS && !core->found) {
			memcpy(&status, data, sizeof(status));
			memcpy(&core->registers, &status.pr_reg,
			       sizeof(core->registers));
			core->found = true;
		} else if (note->n_type == NT_SIGINFO) {
			memcpy(&core->info, data, sizeof(core->info));
		}
		data += (note->n_descsz + 3u) & ~3u;
		size -= (size_t)(data - p);
		p = data;
	}
}

static void
read_core(struct core *core, const char *path)
{
	static _Alignas(8) unsigned char notes[1 << 16];
	FILE *file = fopen(path, "re");
	ElfW(Ehdr) header;
	ElfW(Phdr) segment;

	assert_non_null(file);
	assert_int_equal(fread(&header, sizeof(header), 1, file), 1);
	assert_memory_equal(header.e_ident, ELFMAG, SELFMAG);
	for (unsigned i = 0; i < header.e_phnum; i++) {
		fseek(file, (long)(header.e_phoff + i * sizeof(segment)),
		      SEEK_SET);
		assert_int_equal(fread(&segment, sizeof(segment), 1, file), 1);
		if (segment.p_type != PT_NOTE ||
		    segment.p_filesz > sizeof(notes))
			continue;
		fseek(file, (long)segment.p_offset, SEEK_SET);
		assert_int_equal(fread(notes, segment.p_filesz, 1, file), 1);
		read_notes(core, notes, segment.p_filesz);
	}
	fclose(file);
}

/* Reads the core file in the directory, and removes both. Some systems put
 * theirs elsewhere, or write none. */
static struct core
take_core(const char *directory)
{
	DIR *d = opendir(directory);
	struct core core = { 0 };
	struct dirent *e;
	char path[512];

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
		read_core(&core, path);
		unlink(path);
	}
	closedir(d);
	assert_int_equal(rmdir(directory), 0);
	return core;
}

struct dump {
	char directory[32];
	int kind;
};

static int dump_core(int kind);

static int
crash_with_core(void *arg)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	struct dump *dump = arg;

	getrlimit(RLIMIT_CORE, &limit);
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_CORE, &limit) < 0 || chdir(dump->directory) < 0)
		return 2;
	return dump_core(dump->kind);
}

static int
call_abort(void *arg)
{
	(void)arg;
	abort();
}

static int
queue_a_signal(void *arg)
{
	union sigval value = { .sival_ptr = arg };

	sigqueue(getpid(), SIGSYS, value);
	return 1;
}

static const struct {
	mproc_entry *entry;
	void *arg;
} kinds[] = {
	{ touch, (void *)16 },
	{ call_abort, NULL },
	{ queue_a_signal, (void *)4711 },
	{ call_nothing, NULL },
};

static int
dump_core(int kind)
{
	return kinds[kind].entry(kinds[kind].arg);
}

static void
core_dumps_are_as_they_were(void **state)
{
	struct dump *dump = mpt_scratch(*state);

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct core cores[2];
		bool dumped[2];

		for (int quiet = 0; quiet < 2; quiet++) {
			mproc_process *p;
			struct mproc_exit end;

			dump->kind = (int)i;
			strcpy(dump->directory, "/tmp/mpt-core-XXXXXX");
			assert_non_null(mkdtemp(dump->directory));
			p = quiet ? start_quiet(crash_with_core, dump) :
				    start_named("core", crash_with_core, dump);
			end = exit_of(p);
			assert_int_equal(end.report == NULL, quiet);
			dumped[quiet] = end.core;
			cores[quiet] = take_core(dump->directory);
			if (!quiet && cores[0].found)
				assert_int_equal(
					MPT_PC(&cores[0].registers),
					frame(end.report, 0));
			mproc_process_close(p);
		}
		assert_int_equal(dumped[0], dumped[1]);
		assert_int_equal(cores[0].found, cores[1].found);
		if (!cores[0].found)
			continue;
		/* Other images lie elsewhere. */
		if (usual_method() == MPROC_FORK)
			assert_int_equal(MPT_PC(&cores[0].registers),
					 MPT_PC(&cores[1].registers));
		assert_int_equal(cores[0].info.si_signo,
				 cores[1].info.si_signo);
		assert_int_equal(cores[0].info.si_code, cores[1].info.si_code);
		if (kinds[i].entry == touch)
			assert_int_equal(cores[0].info.si_addr, 16);
		if (kinds[i].entry == queue_a_signal)
			assert_int_equal(cores[0].info.si_value.sival_ptr,
					 4711);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_process_can_do_without_reports),
		mpt_test(without_a_crash_there_is_no_report),
		mpt_test(a_report_lasts_as_long_as_the_handle),
		mpt_test(a_signal_from_outside_is_reported_with_its_sender),
		mpt_test(a_handler_of_the_entry_wins),
		mpt_test(a_handler_of_the_parent_wins),
		mpt_test(the_parent_gets_no_handler),
		mpt_test(others_than_started_processes_do_not_report),
		mpt_test(each_parent_gets_the_reports_of_its_children),
		mpt_test(a_group_has_the_report_of_the_member_that_failed_first),
		mpt_test(who_was_reaped_elsewhere_has_a_report),
		mpt_test(core_dumps_are_as_they_were),
	};

	forbid_cores();
	return cmocka_run_group_tests(tests, with_arena, NULL);
}
