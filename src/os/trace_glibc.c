/* SPDX-License-Identifier: MIT */
/*
 * The compiler's own unwinder, linked into the library: glibc's backtrace(3)
 * loads it on first use, which allocates and takes locks. It follows the tables
 * that every module has for exceptions, so it needs no frame pointers, and
 * finds them without a lock from glibc 2.35 and gcc 12 on. Names come from the
 * loader, which knows what a module exports.
 */
#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <unwind.h>

#include "os/trace.h"

static _Unwind_Reason_Code
note_frame(struct _Unwind_Context *context, void *arg)
{
	struct mpr_trace *trace = arg;
	int interrupted = 0;
	uintptr_t address = _Unwind_GetIPInfo(context, &interrupted);
	unsigned n = trace->count;

	/* Before that are the handler's own. */
	if (interrupted)
		trace->begun = true;
	if (!trace->begun)
		return _URC_NO_REASON;
	/* The end of some stacks; a null pointer that was called comes first. */
	if (address == 0 && n > 0)
		return _URC_END_OF_STACK;
	if (n < MPR_TRACE_FIRST)
		trace->first[n] = address;
	else
		trace->last[(n - MPR_TRACE_FIRST) % MPR_TRACE_LAST] = address;
	trace->count = n + 1;
	return _URC_NO_REASON;
}

void
mpr_trace_collect(struct mpr_trace *trace)
{
	trace->begun = false;
	_Unwind_Backtrace(note_frame, trace);
}

bool
mpr_trace_frame(const struct mpr_trace *trace, unsigned i,
		uintptr_t *ret_address, unsigned *ret_gap)
{
	unsigned last = trace->count > MPR_TRACE_LAST ?
				trace->count - MPR_TRACE_LAST : 0;

	if (i < MPR_TRACE_FIRST) {
		*ret_address = trace->first[i];
		return true;
	}
	if (i < last) {
		*ret_gap = last - i;
		return false;
	}
	*ret_address = trace->last[(i - MPR_TRACE_FIRST) % MPR_TRACE_LAST];
	return true;
}

void
mpr_trace_name(struct mpr_place *ret_place, uintptr_t address, bool is_return)
{
	const struct link_map *module;
	void *found = NULL;
	Dl_info info;

	*ret_place = (struct mpr_place){ 0 };
	if (!dladdr1((void *)(address - is_return), &info, &found,
		     RTLD_DL_LINKMAP) || !found)
		return;
	module = found;
	ret_place->module = info.dli_fname;
	ret_place->offset = address - module->l_addr;
	if (info.dli_sname) {
		ret_place->symbol = info.dli_sname;
		ret_place->distance = address - (uintptr_t)info.dli_saddr;
	}
}
