/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "os/terminal.h"

#define COLUMNS 80

unsigned
mpr_terminal_columns(int fd)
{
	struct winsize size = { 0 };
	int saved = errno;
	/* All terminals answer this, and nothing else does. */
	bool is_one = ioctl(fd, TIOCGWINSZ, &size) == 0;

	errno = saved;
	if (!is_one)
		return 0;
	return size.ws_col ? size.ws_col : COLUMNS;
}

void
mpr_terminal_write(int fd, const char *text, size_t len)
{
	int saved = errno;
	ssize_t n;

	while (len) {
		n = write(fd, text, len);
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	errno = saved;
}
