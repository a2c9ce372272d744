/* SPDX-License-Identifier: MIT */
#include "transport_peers.h"

const struct transport transport_zmq = {
	.name = "ZeroMQ, ipc",
	.missing = "libzmq3-dev",
};
