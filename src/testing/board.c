/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "os/file.h"
#include "os/task.h"
#include "testing/board.h"

#define PAGE ((size_t)4096)
#define SIZE sizeof(struct mpr_board_shm)

static struct mpr_board *
make_handle(void)
{
	struct mpr_board *b = mpr_zalloc(sizeof(*b));

	if (!b)
		(void)mpr_fail(-ENOMEM, "no memory for a board");
	return b;
}

int
mpr_board_new(struct mpr_board **ret_b)
{
	struct mpr_board *b = make_handle();
	int r;

	if (!b)
		return -ENOMEM;
	r = mpr_shmem_create(&b->shmem, SIZE, PAGE, false);
	if (r < 0) {
		free(b);
		return r;
	}
	b->shm = (struct mpr_board_shm *)(void *)b->shmem.base;
	r = mpr_shmem_back(&b->shmem, 0, SIZE);
	if (r < 0) {
		mpr_board_free(b);
		return r;
	}
	b->ticket.owner = mpr_task_pid();
	b->ticket.fd = b->shmem.file.fd;
	b->ticket.device = b->shmem.file.device;
	b->ticket.inode = b->shmem.file.inode;
	*ret_b = b;
	return 0;
}

static int
map(struct mpr_board *b, const struct mpr_self_ticket *ticket)
{
	const struct mpr_file theirs = { .fd = ticket->fd,
					 .device = ticket->device,
					 .inode = ticket->inode };
	struct mpr_file file;
	uint64_t size;
	int r = mpr_file_borrow(&file, ticket->owner, &theirs);

	if (r < 0)
		return r;
	r = mpr_file_adopt(&file, file.fd, &size);
	if (r == 0 && size != SIZE)
		r = -ENOENT;
	if (r == 0)
		r = mpr_shmem_attach(&b->shmem, &file, SIZE, PAGE, false);
	mpr_file_close(&file);
	return r;
}

int
mpr_board_find(struct mpr_board **ret_b, const struct mpr_self_ticket *ticket)
{
	struct mpr_board *b = make_handle();
	int r;

	if (!b)
		return -ENOMEM;
	r = map(b, ticket);
	if (r < 0) {
		free(b);
		return r;
	}
	b->shmem.file.fd = -1;
	b->shm = (struct mpr_board_shm *)(void *)b->shmem.base;
	b->ticket = *ticket;
	*ret_b = b;
	return 0;
}

void
mpr_board_inherit(struct mpr_board *b)
{
	mpr_file_close(&b->shmem.file);
	b->shmem.file.fd = -1;
}

void
mpr_board_free(struct mpr_board *b)
{
	if (b)
		mpr_shmem_unmap(&b->shmem);
	free(b);
}

void
mpr_board_add(struct mpr_board *b, const struct mpr_failure *f)
{
	struct mpr_board_shm *shm = b->shm;
	uint32_t i = atomic_fetch_add(&shm->failed, 1);

	if (i >= MPR_BOARD_FAILURES)
		return;
	shm->failures[i] = *f;
	/* Release: who sees this finds the text. */
	atomic_store_explicit(&shm->written[i], 1, memory_order_release);
}

unsigned
mpr_board_read(const struct mpr_board *b, unsigned from,
	       struct mpr_failure *ret, unsigned n, unsigned *ret_n)
{
	const struct mpr_board_shm *shm = b->shm;
	unsigned i, end = atomic_load(&shm->failed), count = 0;
	struct mpr_failure *f;

	for (i = from; i < end && i < MPR_BOARD_FAILURES && count < n; i++) {
		/* Acquire pairs with the release above. */
		if (!atomic_load_explicit(&shm->written[i],
					  memory_order_acquire))
			continue;
		f = &ret[count++];
		memcpy(f, &shm->failures[i], sizeof(*f));
		f->process[sizeof(f->process) - 1] = '\0';
		f->file[sizeof(f->file) - 1] = '\0';
		f->text[sizeof(f->text) - 1] = '\0';
	}
	*ret_n = count;
	return i >= MPR_BOARD_FAILURES ? end : i;
}

void
mpr_board_clear(struct mpr_board *b, unsigned seen)
{
	uint32_t end = seen;

	/* Nobody writes in an entry before it has its number. */
	if (atomic_load(&b->shm->failed) != end)
		return;
	for (unsigned i = 0; i < seen && i < MPR_BOARD_FAILURES; i++)
		atomic_store(&b->shm->written[i], 0);
	atomic_compare_exchange_strong(&b->shm->failed, &end, 0);
}
