/* SPDX-License-Identifier: MIT */
#include "transport_peers.h"

const struct transport transport_ck_spsc = {
	.name = "Concurrency Kit ring, spsc (never sleeps)",
	.missing = "libck-dev",
};

const struct transport transport_ck_mpmc = {
	.name = "Concurrency Kit ring, mpmc (never sleeps)",
	.missing = "libck-dev",
};
