/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "os/signame.h"
#include "process/describe.h"

const char *
mpr_describe(const struct mproc_exit *e, char buf[MPR_DESCRIBE_MAX])
{
	char name[MPR_SIGNAME_MAX], end[64];

	if (e->signal)
		snprintf(end, sizeof(end), "was ended by %s%s",
			 mpr_signame(e->signal, name),
			 e->out_of_memory ? ", for want of memory" : "");
	else if (e->code >= 0)
		snprintf(end, sizeof(end), "exited with code %d", e->code);
	else
		snprintf(end, sizeof(end), "was reaped elsewhere and left no "
			 "code");
	snprintf(buf, MPR_DESCRIBE_MAX, "process \"%s\" (%d) %s", e->name,
		 (int)e->pid, end);
	return buf;
}
