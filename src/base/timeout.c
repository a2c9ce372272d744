/* SPDX-License-Identifier: MIT */
/*
 * The makers of timeouts as functions, for callers that cannot use the inline
 * ones and the macros.
 */
#include <mproc/core.h>

extern inline mproc_timeout mproc_us(int64_t us);
extern inline mproc_timeout mproc_ms(int64_t ms);
extern inline mproc_timeout mproc_sec(int64_t sec);
extern inline mproc_timeout mproc_until(int64_t monotonic_ns);

mproc_timeout
mproc_nowait(void)
{
	return MPROC_NOWAIT;
}

mproc_timeout
mproc_forever(void)
{
	return MPROC_FOREVER;
}
