/* SPDX-License-Identifier: MIT */
/*
 * os/module.h: functions as places in programs and libraries.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/core.h>

#include "base/fault.h"
#include "common.h"
#include "os/module.h"

static int
here(void)
{
	return 12;
}

static void
a_function_of_the_program_is_found_again(void **state)
{
	struct mpr_module module;
	uint64_t offset;
	mpr_function *fn;

	(void)state;
	assert_int_equal(mpr_module_of((mpr_function *)here, &module, &offset),
			 0);
	assert_true(module.program);
	assert_true(module.id.len >= 8);
	assert_int_equal(mpr_module_find(&module, offset, &fn), 0);
	assert_ptr_equal((void *)(uintptr_t)fn, (void *)(uintptr_t)here);
	assert_int_equal(((int (*)(void))fn)(), 12);
}

static void
a_function_of_a_library_is_found_again(void **state)
{
	struct mpr_module module, program;
	uint64_t offset, unused;
	mpr_function *fn;

	(void)state;
	assert_int_equal(mpr_module_of((mpr_function *)gnu_get_libc_version,
				       &module, &offset), 0);
	assert_false(module.program);
	assert_non_null(strstr(module.path, "libc"));
	assert_int_equal(mpr_module_find(&module, offset, &fn), 0);
	assert_ptr_equal((void *)(uintptr_t)fn,
			 (void *)(uintptr_t)gnu_get_libc_version);
	assert_int_equal(mpr_module_of((mpr_function *)here, &program, &unused),
			 0);
	assert_false(mpr_module_is(&module.id, &program.id));
	assert_true(mpr_module_is(&module.id, &module.id));
	program.id.len = 0;
	assert_false(mpr_module_is(&program.id, &program.id));
}

static void
what_is_no_code_of_a_module_is_refused(void **state)
{
	static int data;
	struct mpr_module module;
	uint64_t offset;
	void *heap = malloc(64);
	mpr_function *fn;

	(void)state;
	*(void **)&fn = heap;
	assert_int_equal(mpr_module_of(fn, &module, &offset), -ENOEXEC);
	assert_non_null(strstr(mproc_error_detail(), "in no program"));
	*(void **)&fn = &data;
	assert_int_equal(mpr_module_of(fn, &module, &offset), -ENOEXEC);
	assert_non_null(strstr(mproc_error_detail(), "no code"));
	free(heap);
}

static void
another_file_or_place_is_refused(void **state)
{
	struct mpr_module module;
	mpr_function *fn = NULL;
	uint64_t offset;

	(void)state;
	assert_int_equal(mpr_module_of((mpr_function *)here, &module, &offset),
			 0);
	/* The headers of the file are mapped, but are no code. */
	assert_int_equal(mpr_module_find(&module, 0, &fn), -ENOEXEC);
	assert_int_equal(mpr_module_find(&module, UINT64_C(1) << 40, &fn),
			 -ENOEXEC);
	module.id.bytes[0] ^= 1;
	assert_int_equal(mpr_module_find(&module, offset, &fn), -ENOEXEC);
	module.program = 0;
	strcpy(module.path, "/nowhere/lib.so");
	assert_int_equal(mpr_module_find(&module, offset, &fn), -ENOEXEC);
	assert_null(fn);
}

static void
a_relative_path_is_completed(void **state)
{
	int before = open(".", O_PATH | O_CLOEXEC);
	const char *path = getenv("MPT_SPAWN_MODULE");
	char directory[512], name[512], *real = realpath(path, NULL);
	struct mpr_module module;
	mpr_function *at;
	uint64_t offset;
	void *library;

	(void)state;
	snprintf(directory, sizeof(directory), "%s", path);
	*strrchr(directory, '/') = '\0';
	snprintf(name, sizeof(name), ".%s", strrchr(path, '/'));
	assert_int_equal(chdir(directory), 0);
	library = dlopen(name, RTLD_NOW);
	assert_int_equal(fchdir(before), 0);
	assert_non_null(library);
	*(void **)&at = dlsym(library, "module_entry");
	assert_int_equal(mpr_module_of(at, &module, &offset), 0);
	assert_string_equal(module.path, real);
	dlclose(library);
	free(real);
	close(before);
}

static void
a_library_that_is_not_loaded_is_loaded(void **state)
{
	const char *path = getenv("MPT_SPAWN_MODULE");
	mpr_function *at;
	void *library = dlopen(path, RTLD_NOW);
	struct mpr_module module;
	mpr_function *fn;
	uint64_t offset;

	(void)state;
	assert_non_null(library);
	*(void **)&at = dlsym(library, "module_entry");
	assert_non_null(*(void **)&at);
	assert_int_equal(mpr_module_of(at, &module, &offset), 0);
	dlclose(library);
	assert_null(dlopen(path, RTLD_NOW | RTLD_NOLOAD));
	assert_int_equal(mpr_module_find(&module, offset, &fn), 0);
	assert_non_null(dlopen(path, RTLD_NOW | RTLD_NOLOAD));
}

/* A thread that has the loader's lock. */
static struct {
	pthread_t thread;
	sem_t has_lock;
	sem_t go_on;
} holder;

static int
stay(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)info;
	(void)size;
	(void)unused;
	sem_post(&holder.has_lock);
	return sem_wait(&holder.go_on) ? -1 : 1;
}

static void *
hold(void *unused)
{
	(void)unused;
	dl_iterate_phdr(stay, NULL);
	return NULL;
}

/* Runs @ask in a child that was forked meanwhile, and that is killed if it waits. */
static void
ask_in_child(bool (*ask)(void))
{
	int status;
	pid_t pid;

	assert_int_equal(sem_init(&holder.has_lock, 0, 0), 0);
	assert_int_equal(sem_init(&holder.go_on, 0, 0), 0);
	assert_int_equal(pthread_create(&holder.thread, NULL, hold, NULL), 0);
	assert_int_equal(sem_wait(&holder.has_lock), 0);
	pid = fork();
	if (pid == 0) {
		alarm(20);
		_exit(ask() ? 0 : 1);
	}
	assert_int_equal(sem_post(&holder.go_on), 0);
	assert_int_equal(pthread_join(holder.thread, NULL), 0);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static bool
tell_place(void)
{
	struct mpr_module_place place, of_library;
	mpr_function *fn;
	uint64_t mark;

	return mpr_module_place_of((mpr_function *)here, &place) == 0 &&
	       place.program && mpr_module_program(&mark) == 0 &&
	       mark == place.mark &&
	       mpr_module_look_at(mark, place.offset, &fn) == 0 &&
	       fn == (mpr_function *)here &&
	       mpr_module_look_at(mark, UINT64_C(1) << 40, &fn) == -ENOEXEC &&
	       mpr_module_place_of((mpr_function *)gnu_get_libc_version,
				   &of_library) == 0 &&
	       !of_library.program && of_library.mark != mark;
}

static bool
tell_module(void)
{
	struct mpr_module_id own;
	struct mpr_module module;
	mpr_function *fn;
	uint64_t offset;

	return mpr_module_own_id(&own) == 0 &&
	       mpr_module_of((mpr_function *)here, &module, &offset) == 0 &&
	       module.program && mpr_module_look(&module, offset, &fn) == 0 &&
	       fn == (mpr_function *)here &&
	       mpr_module_of((mpr_function *)gnu_get_libc_version, &module,
			     &offset) == 0;
}

static bool
tell_no_module(void)
{
	static int data;
	struct mpr_module_place place;
	void *heap = malloc(64);
	mpr_function *fn;
	bool refused;

	*(void **)&fn = heap;
	refused = mpr_module_place_of(fn, &place) == -ENOEXEC;
	free(heap);
	*(void **)&fn = &data;
	return refused && mpr_module_place_of(fn, &place) == -ENOEXEC;
}

static bool
tell_library(void)
{
	static int data;
	mpr_function *libc = (mpr_function *)gnu_get_libc_version, *fn;
	uint64_t mark = mpr_module_library_of(libc);
	struct mpr_module_place place;

	*(void **)&fn = &data;
	return mpr_module_place_of(libc, &place) == 0 && mark == place.mark &&
	       mpr_module_library_of((mpr_function *)here) == 0 &&
	       mpr_module_library_of(fn) == 0 &&
	       mpr_module_is_programs((uintptr_t)here) &&
	       mpr_module_is_programs((uintptr_t)&data) &&
	       !mpr_module_is_programs((uintptr_t)libc) &&
	       !mpr_module_is_programs(0) && mpr_module_has_code(libc, mark) &&
	       mpr_module_has_code(libc, 0) && !mpr_module_has_code(libc, mark + 1) &&
	       mpr_module_has_code(libc, mark) && !mpr_module_has_code(fn, 0);
}

static bool
find_library(void)
{
	mpr_function *libc = (mpr_function *)gnu_get_libc_version, *fn;
	struct mpr_module_place place;
	struct mpr_module module;
	uint64_t offset;

	return mpr_module_place_of(libc, &place) == 0 &&
	       mpr_module_look_at(place.mark, place.offset, &fn) == 0 &&
	       fn == libc && mpr_module_of(libc, &module, &offset) == 0 &&
	       mpr_module_find(&module, offset, &fn) == 0 && fn == libc;
}

static void
a_child_tells_places_while_the_loader_is_busy(void **state)
{
	(void)state;
	ask_in_child(tell_place);
	ask_in_child(tell_module);
	ask_in_child(tell_no_module);
	ask_in_child(tell_library);
	assert_true(tell_library());
}

/* Where it is the first of those that were loaded for it. */
static void
a_library_in_a_namespace_of_its_own(void **state)
{
	void *library = dlmopen(LM_ID_NEWLM, getenv("MPT_ALONE"), RTLD_NOW);
	struct mpr_module_place place;
	struct mpr_module module;
	uint64_t mark, offset;
	mpr_function *fn;

	(void)state;
	assert_non_null(library);
	*(void **)&fn = dlsym(library, "alone");
	assert_non_null(*(void **)&fn);
	mark = mpr_module_library_of(fn);
	assert_true(mark);
	assert_true(mpr_module_has_code(fn, mark));
	assert_false(mpr_module_has_code(fn, mark + 1));
	assert_int_equal(mpr_module_place_of(fn, &place), 0);
	assert_false(place.program);
	assert_true(place.mark == mark);
	assert_int_equal(mpr_module_of(fn, &module, &offset), 0);
	assert_false(module.program);
	dlclose(library);
}

/* What no module has is code if the kernel says so. */
static void
code_of_no_module(void **state)
{
	size_t size = 2 * (size_t)sysconf(_SC_PAGESIZE);
	char *page = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mpr_function *first, *second;

	(void)state;
	assert_true(page != MAP_FAILED);
	*(void **)&first = page;
	*(void **)&second = page + size / 2;
	assert_false(mpr_module_has_code(first, 0));
	assert_int_equal(mprotect(page, size / 2, PROT_READ | PROT_EXEC), 0);
	assert_true(mpr_module_has_code(first, 0));
	assert_false(mpr_module_has_code(first, 1));
	assert_false(mpr_module_has_code(second, 0));
	assert_int_equal(mpr_module_library_of(first), 0);
	/* Where nobody says anything all may be. */
	assert_int_equal(mpr_fault_set("open:1+"), 0);
	assert_true(mpr_module_has_code(second, 0));
	(void)mpr_fault_set(NULL);
	assert_false(mpr_module_has_code(second, 0));
	munmap(page, size);
	assert_false(mpr_module_has_code(second, 0));
}

/* To look again and again would take long, where there are many mappings. */
static void
code_of_no_module_is_remembered(void **state)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 101 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mpr_function *fn;

	(void)state;
	assert_true(pages != MAP_FAILED);
	for (size_t i = 1; i < 101; i += 2)
		assert_int_equal(mprotect(pages + i * size, size, PROT_READ | PROT_EXEC),
				 0);
	*(void **)&fn = pages + size;
	assert_true(mpr_module_has_code(fn, 0));
	munmap(pages, 101 * size);
	for (size_t i = 0; i < 50; i++) {
		*(void **)&fn = pages + (2 * i + 1) * size;
		assert_true(mpr_module_has_code(fn, 0));
		*(void **)&fn = pages + (2 * i + 2) * size - 1;
		assert_true(mpr_module_has_code(fn, 0));
	}
	/* What is not among it is looked for, and all else with it. */
	for (size_t i = 100; i > 50; i--) {
		*(void **)&fn = pages + i * size;
		assert_int_equal(mpr_module_has_code(fn, 0), false);
	}
}

/* On its last page, which is for data. */
static int
find_data(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *path = getenv("MPT_SPAWN_MODULE");
	uintptr_t *at = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum && strcmp(info->dlpi_name, path) == 0; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD &&
		    info->dlpi_phdr[i].p_flags & PF_W)
			*at = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr +
			      info->dlpi_phdr[i].p_memsz - 1;
	return 0;
}

static void
code_in_the_data_of_a_library(void **state)
{
	void *library = dlopen(getenv("MPT_SPAWN_MODULE"), RTLD_NOW), *page;
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	mpr_function *entry, *fn;
	uintptr_t at = 0;
	uint64_t mark;

	(void)state;
	assert_non_null(library);
	*(void **)&entry = dlsym(library, "module_entry");
	mark = mpr_module_library_of(entry);
	dl_iterate_phdr(find_data, &at);
	assert_true(at);
	page = (void *)(at & ~(size - 1));
	fn = (mpr_function *)at;
	assert_true(mpr_module_library_of(fn) == mark);
	assert_false(mpr_module_has_code(fn, mark));
	assert_false(mpr_module_has_code(fn, 0));
	assert_int_equal(mprotect(page, size, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	assert_true(mpr_module_has_code(fn, mark));
	assert_true(mpr_module_has_code(fn, 0));
	assert_false(mpr_module_has_code(fn, mark + 1));
	assert_int_equal(mprotect(page, size, PROT_READ | PROT_WRITE), 0);
	dlclose(library);
}

static void
a_library_that_is_gone_has_no_code(void **state)
{
	const char *path = getenv("MPT_SPAWN_MODULE");
	void *library = dlopen(path, RTLD_NOW);
	mpr_function *at;
	uint64_t mark;

	(void)state;
	assert_non_null(library);
	*(void **)&at = dlsym(library, "module_entry");
	mark = mpr_module_library_of(at);
	assert_true(mark);
	dlclose(library);
	assert_null(dlopen(path, RTLD_NOW | RTLD_NOLOAD));
	assert_int_equal(mpr_module_library_of(at), 0);
	assert_false(mpr_module_has_code(at, mark));
	assert_false(mpr_module_has_code(at, 0));
}

static void
what_was_noted_is_found_while_the_loader_is_busy(void **state)
{
	(void)state;
	assert_true(find_library());
	mpr_module_note();
	ask_in_child(find_library);
	assert_true(find_library());
}

static void
what_was_noted_and_is_gone_is_not_found(void **state)
{
	const char *path = getenv("MPT_SPAWN_MODULE");
	void *library = dlopen(path, RTLD_NOW);
	struct mpr_module_place place;
	mpr_function *at, *fn;

	(void)state;
	assert_non_null(library);
	*(void **)&at = dlsym(library, "module_entry");
	mpr_module_note();
	assert_int_equal(mpr_module_place_of(at, &place), 0);
	assert_int_equal(mpr_module_look_at(place.mark, place.offset, &fn), 0);
	assert_true(fn == at);
	dlclose(library);
	assert_null(dlopen(path, RTLD_NOW | RTLD_NOLOAD));
	assert_int_equal(mpr_module_look_at(place.mark, place.offset, &fn), -ENOEXEC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_function_of_the_program_is_found_again),
		cmocka_unit_test(a_function_of_a_library_is_found_again),
		cmocka_unit_test(what_is_no_code_of_a_module_is_refused),
		cmocka_unit_test(another_file_or_place_is_refused),
		cmocka_unit_test(a_relative_path_is_completed),
		cmocka_unit_test(a_child_tells_places_while_the_loader_is_busy),
		cmocka_unit_test(a_library_in_a_namespace_of_its_own),
		/* Before any code is remembered, where the library may be loaded. */
		cmocka_unit_test(a_library_that_is_gone_has_no_code),
		cmocka_unit_test(code_of_no_module),
		cmocka_unit_test(code_of_no_module_is_remembered),
		cmocka_unit_test(code_in_the_data_of_a_library),
		/* The first that notes, so that it notes the library. */
		cmocka_unit_test(what_was_noted_and_is_gone_is_not_found),
		cmocka_unit_test(what_was_noted_is_found_while_the_loader_is_busy),
		cmocka_unit_test(a_library_that_is_not_loaded_is_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
