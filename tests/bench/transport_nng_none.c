/* SPDX-License-Identifier: MIT */
#include "transport_peers.h"

const struct transport transport_nng = {
	.name = "nng, ipc",
	.missing = "libnng-dev",
};
