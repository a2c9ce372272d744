/* SPDX-License-Identifier: MIT */
#include "transport_peers.h"

const struct transport transport_qb = {
	.name = "libqb ring (never sleeps when full)",
	.missing = "libqb-dev",
};

const struct transport transport_qb_ipc = {
	.name = "libqb ipc (never sleeps when full)",
	.missing = "libqb-dev",
};
