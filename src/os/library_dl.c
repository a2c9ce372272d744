/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "os/library.h"
#include "os/thread.h"

static int
find(void *library, const char *name, const char *const *names, int n,
     mpr_library_fn **ret)
{
	void *p;

	for (int i = 0; i < n; i++) {
		p = dlsym(library, names[i]);
		if (!p)
			return mpr_fail(-ENOTSUP, "%s has no %s", name, names[i]);
		/* As POSIX has it: C knows no such conversion. */
		memcpy(&ret[i], &p, sizeof(p));
	}
	return 0;
}

int
mpr_library_load(const char *name, const char *const *names, int n,
		 mpr_library_fn **ret)
{
	int before = mpr_thread_forbid_cancel(), r;
	void *library;

	library = mpr_fault(MPR_FAULT_OPEN) ? NULL :
					      dlopen(name, RTLD_NOW | RTLD_LOCAL);
	r = library ? find(library, name, names, n, ret) :
		      mpr_fail(-ENOTSUP, "%s cannot be loaded", name);
	mpr_thread_allow_cancel(before);
	return r;
}
