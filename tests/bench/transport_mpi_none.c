/* SPDX-License-Identifier: MIT */
#include "transport_peers.h"

const struct transport transport_mpi = {
	.name = "Open MPI (never sleeps)",
	.missing = "libopenmpi-dev",
};
