/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TRANSPORT_MPROC_H
#define BENCH_TRANSPORT_MPROC_H

#include "transport.h"

extern const struct transport transport_mproc;
extern const struct transport transport_mproc_single;

#endif
