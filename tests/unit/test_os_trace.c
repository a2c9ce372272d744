/* SPDX-License-Identifier: MIT */
/*
 * Backtraces out of signal handlers, and the names of places.
 */
#include <dlfcn.h>
#include <signal.h>

#include "base/macros.h"
#include "common.h"
#include "os/trace.h"
#include "os/trace_arch.h"

static struct mpr_trace trace;
static uintptr_t interrupted_at, called_from;

static void
on_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	interrupted_at = mpr_trace_point(context).pc;
	memset(&trace, 0, sizeof(trace));
	mpr_trace_collect(&trace);
}

static void
handle(int signal)
{
	struct sigaction action = {
		.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO,
	};

	assert_int_equal(sigaction(signal, &action, NULL), 0);
}

static MPR_NOINLINE int
raise_below(int depth)
{
	int r = depth ? raise_below(depth - 1) : raise(SIGUSR1);

	/* So that it is no jump. */
	__asm__ volatile("" : "+r"(r));
	return r;
}

static MPR_NOINLINE int
raise_from_here(int depth)
{
	int r;

	called_from = (uintptr_t)__builtin_return_address(0);
	r = raise_below(depth);
	__asm__ volatile("" : "+r"(r));
	return r;
}

static bool
contains(uintptr_t wanted)
{
	uintptr_t address;
	unsigned gap;

	for (unsigned i = 0; i < trace.count; i += gap) {
		gap = 1;
		if (mpr_trace_frame(&trace, i, &address, &gap) &&
		    address == wanted)
			return true;
	}
	return false;
}

static void
a_trace_begins_where_the_signal_came(void **state)
{
	uintptr_t address;
	unsigned gap;

	(void)state;
	handle(SIGUSR1);
	assert_int_equal(raise_from_here(0), 0);
	assert_true(trace.count > 3);
	assert_true(mpr_trace_frame(&trace, 0, &address, &gap));
	assert_int_equal(address, interrupted_at);
	assert_true(contains(called_from));
	signal(SIGUSR1, SIG_DFL);
}

static void
of_a_deep_stack_both_ends_are_kept(void **state)
{
	(void)state;
	handle(SIGUSR1);
	assert_int_equal(raise_from_here(5000), 0);
	assert_true(trace.count > 5000);
	assert_int_equal(trace.first[0], interrupted_at);
	assert_true(contains(called_from));
	signal(SIGUSR1, SIG_DFL);
}

static void
frames_are_found_again_or_counted(void **state)
{
	unsigned sizes[] = { 1, 47, 48, 49, 63, 64, 65, 66, 79, 80, 81, 1000 };
	unsigned gap, listed, left_out;
	uintptr_t address;

	(void)state;
	for (unsigned s = 0; s < MPR_ARRAY_LEN(sizes); s++) {
		memset(&trace, 0, sizeof(trace));
		for (unsigned i = 0; i < sizes[s]; i++) {
			if (i < MPR_TRACE_FIRST)
				trace.first[i] = i;
			else
				trace.last[(i - MPR_TRACE_FIRST) %
					   MPR_TRACE_LAST] = i;
		}
		trace.count = sizes[s];
		listed = left_out = 0;
		for (unsigned i = 0; i < sizes[s]; i += gap) {
			gap = 1;
			if (mpr_trace_frame(&trace, i, &address, &gap)) {
				assert_int_equal(address, i);
				listed++;
			} else {
				assert_int_equal(i, MPR_TRACE_FIRST);
				left_out = gap;
			}
		}
		assert_int_equal(listed, sizes[s] < 64 ? sizes[s] : 64);
		assert_int_equal(listed + left_out, sizes[s]);
	}
}

static void
a_place_has_the_name_of_its_function(void **state)
{
	void *function = dlsym(RTLD_DEFAULT, "getppid");
	struct mpr_place place;

	(void)state;
	assert_non_null(function);
	mpr_trace_name(&place, (uintptr_t)function, false);
	assert_non_null(strstr(place.module, "libc"));
	assert_string_equal(place.symbol, "getppid");
	assert_int_equal(place.distance, 0);
	mpr_trace_name(&place, (uintptr_t)function + 2, true);
	assert_string_equal(place.symbol, "getppid");
	assert_int_equal(place.distance, 2);
	/* A call at the end of the function before returns to here. */
	mpr_trace_name(&place, (uintptr_t)function, true);
	assert_true(!place.symbol || strcmp(place.symbol, "getppid") != 0);
}

static void
an_offset_is_counted_from_the_module(void **state)
{
	struct mpr_place here, there;

	(void)state;
	mpr_trace_name(&here, (uintptr_t)contains, false);
	mpr_trace_name(&there, (uintptr_t)raise_below, false);
	assert_non_null(strstr(here.module, "test_unit_os_trace"));
	assert_string_equal(here.module, there.module);
	assert_int_equal(here.offset - there.offset,
			 (uintptr_t)contains - (uintptr_t)raise_below);
}

static void
what_is_in_no_module_has_no_name(void **state)
{
	struct mpr_place place;

	(void)state;
	mpr_trace_name(&place, 16, false);
	assert_null(place.module);
	assert_null(place.symbol);
	mpr_trace_name(&place, (uintptr_t)&place, false);
	assert_null(place.module);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_trace_begins_where_the_signal_came),
		cmocka_unit_test(of_a_deep_stack_both_ends_are_kept),
		cmocka_unit_test(frames_are_found_again_or_counted),
		cmocka_unit_test(a_place_has_the_name_of_its_function),
		cmocka_unit_test(an_offset_is_counted_from_the_module),
		cmocka_unit_test(what_is_in_no_module_has_no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
