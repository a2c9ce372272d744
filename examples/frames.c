/* SPDX-License-Identifier: MIT */
/*
 * Pictures without a copy: a camera writes frames where they are going to lie
 * in the queue, and the display checks them there. A frame that turns out to
 * be blurred is dropped before anybody has seen it.
 */
#include <mproc/mproc.h>
#include <stdio.h>

#define FRAMES 500
#define WIDTH 320
#define HEIGHT 200

struct frame {
	uint32_t number;
	uint32_t rows; /* not all frames have all of them */
	uint8_t pixel[HEIGHT][WIDTH];
};

static mproc_queue *frames;

static uint8_t
colour(uint32_t number, uint32_t x, uint32_t y)
{
	return (uint8_t)(number * 7 + x * 3 + y * 5);
}

static size_t
size_of(uint32_t rows)
{
	return offsetof(struct frame, pixel) + (size_t)rows * WIDTH;
}

/* Takes a picture, directly into shared memory. */
static void
expose(struct frame *f, uint32_t number)
{
	f->number = number;
	f->rows = HEIGHT - number % 50;
	for (uint32_t y = 0; y < f->rows; y++)
		for (uint32_t x = 0; x < WIDTH; x++)
			f->pixel[y][x] = colour(number, x, y);
}

static int
camera(void *arg)
{
	void *p;
	int r = 0;

	(void)arg;
	for (uint32_t i = 0; i < FRAMES && r == 0; i++) {
		r = mproc_queue_reserve(frames, sizeof(struct frame), &p,
					MPROC_FOREVER);
		if (r < 0)
			break;
		expose(p, i);
		if (i % 10 == 9) /* blurred */
			r = mproc_queue_abort(frames, p);
		else
			r = mproc_queue_commit(frames, p,
					       size_of(HEIGHT - i % 50));
	}
	if (r < 0)
		fprintf(stderr, "camera: %s\n", mproc_error_detail());
	return r < 0;
}

/* Whether a frame is what the camera saw; it is not copied for that. */
static int
is_good(const struct frame *f, size_t len)
{
	if (len != size_of(f->rows))
		return 0;
	for (uint32_t y = 0; y < f->rows; y++)
		for (uint32_t x = 0; x < WIDTH; x++)
			if (f->pixel[y][x] != colour(f->number, x, y))
				return 0;
	return 1;
}

int
main(void)
{
	struct mproc_process_opts opts = { sizeof(opts), .daemon = true };
	unsigned good = 0, bad = 0;
	size_t len, bytes = 0;
	mproc_process *p;
	const void *f;
	int r;

	/* With one consumer a peek shows the frame where it lies. */
	r = mproc_queue_create(&frames,
			       MPROC_OPTS(mproc_queue_opts, .name = "frames",
					  .capacity = 256 * 1024,
					  .single_consumer = true));
	if (r == 0)
		r = mproc_process_start(&p, camera, NULL, &opts);
	for (int i = 0; i < FRAMES - FRAMES / 10 && r == 0; i++) {
		r = mproc_queue_peek(frames, &f, &len, mproc_sec(20));
		if (r < 0)
			break;
		if (is_good(f, len))
			good++;
		else
			bad++;
		bytes += len;
		r = mproc_queue_release(frames, f);
	}
	if (r == 0)
		r = mproc_process_join(p, MPROC_FOREVER);
	if (r < 0) {
		fprintf(stderr, "%s\n", mproc_error_detail());
		return 1;
	}
	printf("%u frames are good, %u are not, %zu are left\n", good, bad,
	       mproc_queue_len(frames));
	printf("the largest has %zu bytes, all together have %zu\n",
	       size_of(HEIGHT), bytes);
	mproc_process_close(p);
	mproc_queue_destroy(frames);
	return 0;
}
