/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TRANSPORT_PYTHON_H
#define BENCH_TRANSPORT_PYTHON_H

#include "transport.h"

extern const struct transport transport_python_queue;
extern const struct transport transport_python_simple;
extern const struct transport transport_python_pipe;
extern const struct transport transport_corrupts_python; /* see transport_bad.c */

#endif
