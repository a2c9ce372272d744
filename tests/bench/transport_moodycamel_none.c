/* SPDX-License-Identifier: MIT */
#include "transport_peers.h"

const struct transport transport_moodycamel = {
	.name = "moodycamel ConcurrentQueue (threads)",
	.missing = "libconcurrentqueue-dev libreaderwriterqueue-dev",
};

const struct transport transport_moodycamel_spsc = {
	.name = "moodycamel spsc buffer (threads)",
	.missing = "libconcurrentqueue-dev libreaderwriterqueue-dev",
};
