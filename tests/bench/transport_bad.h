/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TRANSPORT_BAD_H
#define BENCH_TRANSPORT_BAD_H

#include "transport.h"

extern const struct transport transport_corrupts;
extern const struct transport transport_corrupts_threads;
extern const struct transport transport_crawls;
extern const struct transport transport_doubles;
extern const struct transport transport_loses;
extern const struct transport transport_repeats;

#endif
