/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TRANSPORT_KERNEL_H
#define BENCH_TRANSPORT_KERNEL_H

#include "transport.h"

extern const struct transport transport_pipe;
extern const struct transport transport_stream;
extern const struct transport transport_seqpacket;
extern const struct transport transport_posix_mq;
extern const struct transport transport_sysv_msg;

#endif
