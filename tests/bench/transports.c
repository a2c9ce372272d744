/* SPDX-License-Identifier: MIT */
#include "transport.h"

#include <stdio.h>

#include "transport_bad.h"
#include "transport_kernel.h"
#include "transport_mproc.h"
#include "transport_peers.h"
#include "transport_python.h"
#include "transport_redis.h"

const struct transport *const transports[] = {
	&transport_mproc,
	&transport_mproc_single,
	&transport_pipe,
	&transport_stream,
	&transport_seqpacket,
	&transport_posix_mq,
	&transport_sysv_msg,
	&transport_boost,
	&transport_ck_spsc,
	&transport_ck_mpmc,
	&transport_qb,
	&transport_qb_ipc,
	&transport_zmq,
	&transport_nng,
	&transport_mpi,
	&transport_redis,
	&transport_moodycamel_spsc,
	&transport_moodycamel,
	&transport_python_queue,
	&transport_python_simple,
	&transport_python_pipe,
	&transport_corrupts,
	&transport_corrupts_threads,
	&transport_corrupts_python,
	&transport_crawls,
	&transport_doubles,
	&transport_loses,
	&transport_repeats,
};

const unsigned n_transports = sizeof(transports) / sizeof(transports[0]);

const char *
transport_refuses(const struct transport *t, const struct job *job)
{
	static char text[128];
	size_t most = t->most;

	if (t->missing && !(t->found && t->found())) {
		snprintf(text, sizeof(text), "not installed: %s", t->missing);
		return text;
	}
	if ((t->most_producers && job->producers > t->most_producers) ||
	    (t->most_consumers && job->consumers > t->most_consumers)) {
		snprintf(text, sizeof(text), "at most %u to %u",
			 t->most_producers, t->most_consumers);
		return t->most_producers ? text : "one consumer only";
	}
	if (job->producers + job->consumers > 2 && t->most_shared)
		most = t->most_shared;
	if (most && job->size > most) {
		snprintf(text, sizeof(text), "at most %zu bytes", most);
		return text;
	}
	return NULL;
}
