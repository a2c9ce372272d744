/* SPDX-License-Identifier: MIT */
#include "transport_peers.h"

const struct transport transport_boost = {
	.name = "Boost message_queue",
	.missing = "libboost-dev",
};
