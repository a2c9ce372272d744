/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TRANSPORT_REDIS_H
#define BENCH_TRANSPORT_REDIS_H

#include "transport.h"

extern const struct transport transport_redis;

#endif
