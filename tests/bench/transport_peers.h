/* SPDX-License-Identifier: MIT */
/* Peers that a build may lack: transport_<peer>_none.c stands for one then. */
#ifndef BENCH_TRANSPORT_PEERS_H
#define BENCH_TRANSPORT_PEERS_H

#include "transport.h"

extern const struct transport transport_boost;
extern const struct transport transport_ck_spsc;
extern const struct transport transport_ck_mpmc;
extern const struct transport transport_moodycamel;
extern const struct transport transport_moodycamel_spsc;
extern const struct transport transport_mpi;
extern const struct transport transport_nng;
extern const struct transport transport_qb;
extern const struct transport transport_qb_ipc;
extern const struct transport transport_zmq;

#endif
