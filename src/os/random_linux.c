/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/random.h>

#include "os/clock.h"
#include "os/random.h"

uint64_t
mpr_random(void)
{
	uint64_t number;

	/* Early in the life of a machine there is none. */
	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) !=
	    (ssize_t)sizeof(number))
		number = (uint64_t)mproc_now();
	return number;
}

bool
mpr_random_bytes(void *ret, size_t n)
{
	ssize_t got;

	/* Up to 256 bytes come whole. */
	do
		got = getrandom(ret, n, 0);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)n;
}
