/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "os/socket_name.h"

#define LOCAL "unix:"
#define TCP "tcp:"
#define PATH_ROOM sizeof(((struct sockaddr_un *)0)->sun_path)
#define HOST_ROOM 256

static const char *
behind(const char *text, const char *start)
{
	size_t len = strlen(start);

	return strncmp(text, start, len) == 0 ? text + len : NULL;
}

bool
mpr_socket_is_local(const char *address)
{
	return address && behind(address, LOCAL);
}

const char *
mpr_socket_path(const struct mpr_socket_name *name)
{
	return name->at.any.sa_family == AF_UNIX && name->at.local.sun_path[0] ?
		       name->at.local.sun_path : NULL;
}

static int
local_name(const char *path, struct mpr_socket_name *ret)
{
	bool abstract = *path == '@';
	size_t len = strlen(path);

	if (*path != '/' && !abstract)
		return mpr_fail(-EINVAL, "\"" LOCAL "%s\": \"/path\" must follow, or "
				"\"@name\"", path);
	if (!path[1])
		return mpr_fail(-EINVAL, "\"" LOCAL "%s\" has no name", path);
	/* A path has a zero at its end, a name none. */
	if (len + !abstract > PATH_ROOM)
		return mpr_fail(-ENAMETOOLONG, "a socket's path of %zu bytes, the "
				"system takes at most %zu", len,
				PATH_ROOM - !abstract);
	*ret = (struct mpr_socket_name){ .at.local.sun_family = AF_UNIX };
	memcpy(ret->at.local.sun_path, path, len);
	if (abstract)
		ret->at.local.sun_path[0] = '\0';
	ret->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len +
			       !abstract);
	return 1;
}

static int
not_found(const char *host, const char *port, int error)
{
	switch (error) {
	case EAI_MEMORY:
		return mpr_fail(-ENOMEM, "looking up \"%s\"", host);
	case EAI_SYSTEM:
		return mpr_fail(errno == EMFILE ? -EMFILE : -EHOSTUNREACH,
				"looking up \"%s\": errno %d", host, errno);
	case EAI_SERVICE:
		return mpr_fail(-EINVAL, "\"%s\" is no port", port);
	default:
		return mpr_fail(-EHOSTUNREACH, "host \"%s\": %s", host,
				gai_strerror(error));
	}
}

/* Those of one family, or of the others. */
static int
take_names(const struct addrinfo *all, bool of_ipv4, int n,
	   struct mpr_socket_name ret[MPR_SOCKET_NAMES])
{
	for (const struct addrinfo *a = all; a && n < MPR_SOCKET_NAMES;
	     a = a->ai_next) {
		if ((a->ai_family == AF_INET) != of_ipv4 ||
		    a->ai_addrlen > sizeof(ret[n].at))
			continue;
		memset(&ret[n], 0, sizeof(ret[n]));
		memcpy(&ret[n].at, a->ai_addr, a->ai_addrlen);
		ret[n++].len = a->ai_addrlen;
	}
	return n;
}

static int
look_up(const char *host, const char *port, bool listen,
	struct mpr_socket_name ret[MPR_SOCKET_NAMES])
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | (listen ? AI_PASSIVE : 0),
	};
	struct addrinfo *all = NULL;
	int error, n;

	error = mpr_fault(MPR_FAULT_MALLOC) ?
			EAI_MEMORY :
			getaddrinfo(*host ? host : NULL, port, &hints, &all);
	if (error)
		return not_found(host, port, error);
	n = take_names(all, true, 0, ret);
	n = take_names(all, false, n, ret);
	freeaddrinfo(all);
	return n ? n : mpr_fail(-EHOSTUNREACH, "host \"%s\" has no address", host);
}

static bool
is_port(const char *text)
{
	unsigned long port = 0;
	size_t len = strlen(text);

	if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
		return false;
	for (; *text; text++)
		port = port * 10 + (unsigned long)(*text - '0');
	return port <= UINT16_MAX;
}

static int
tcp_names(const char *text, bool listen,
	  struct mpr_socket_name ret[MPR_SOCKET_NAMES])
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	char host[HOST_ROOM];

	if (!colon || !is_port(colon + 1) || len >= sizeof(host))
		return mpr_fail(-EINVAL, "\"" TCP "%s\" is not \"" TCP "host:port\" "
				"with a port up to 65535", text);
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	memcpy(host, text, len);
	host[len] = '\0';
	if (!listen && (!len || strcmp(colon + 1, "0") == 0))
		return mpr_fail(-EINVAL, "connecting takes a host and a port, not "
				"\"" TCP "%s\"", text);
	return look_up(host, colon + 1, listen, ret);
}

int
mpr_socket_names(const char *text, bool listen,
		 struct mpr_socket_name ret[MPR_SOCKET_NAMES])
{
	const char *rest;

	if (!text)
		return mpr_fail(-EINVAL, "the address is NULL");
	rest = behind(text, LOCAL);
	if (rest)
		return local_name(rest, ret);
	rest = behind(text, TCP);
	if (rest)
		return tcp_names(rest, listen, ret);
	return mpr_fail(-EINVAL, "address \"%s\" begins neither with \"" LOCAL "\" "
			"nor with \"" TCP "\"", text);
}

void
mpr_socket_describe(const struct mpr_socket_name *name, char ret[MPR_SOCKET_TEXT])
{
	const struct sockaddr_un *local = &name->at.local;
	size_t len = name->len - offsetof(struct sockaddr_un, sun_path);
	char host[INET6_ADDRSTRLEN], link[12] = "";

	switch (name->at.any.sa_family) {
	case AF_UNIX:
		snprintf(ret, MPR_SOCKET_TEXT, LOCAL "%s%.*s",
			 *local->sun_path ? "" : "@",
			 (int)(*local->sun_path ? len : len - 1),
			 local->sun_path + !*local->sun_path);
		break;
	case AF_INET:
		inet_ntop(AF_INET, &name->at.in.sin_addr, host, sizeof(host));
		snprintf(ret, MPR_SOCKET_TEXT, TCP "%s:%u", host,
			 ntohs(name->at.in.sin_port));
		break;
	default:
		inet_ntop(AF_INET6, &name->at.in6.sin6_addr, host, sizeof(host));
		if (name->at.in6.sin6_scope_id)
			snprintf(link, sizeof(link), "%%%u",
				 name->at.in6.sin6_scope_id);
		snprintf(ret, MPR_SOCKET_TEXT, TCP "[%s%s]:%u", host, link,
			 ntohs(name->at.in6.sin6_port));
	}
}
