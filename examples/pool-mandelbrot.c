/* SPDX-License-Identifier: MIT */
/*
 * pool-mandelbrot [FILE]: the Mandelbrot set, drawn by a pool: a map over its lines, which
 * the workers write to one picture in shared memory. libpng writes that to FILE; what is
 * printed is every fourth point of every eighth line, and the same each time.
 */
#include <mproc/mproc.h>
#include <png.h>
#include <stdio.h>

#define WIDTH 256
#define HEIGHT 192
#define ROUNDS 200

/* Of a character, in points. */
#define ACROSS 4
#define DOWN 8

struct line {
	unsigned char greys[WIDTH];
};

static int
rounds_at(double x, double y)
{
	double re = 0, im = 0, t;
	int n;

	for (n = 0; n < ROUNDS && re * re + im * im < 4; n++) {
		t = re * re - im * im + x;
		im = 2 * re * im + y;
		re = t;
	}
	return n;
}

/* The set is black, and what is near to it grey. */
static unsigned char
grey_of(int rounds)
{
	if (rounds == ROUNDS)
		return 0;
	return (unsigned char)(255 - 10 * (rounds < 20 ? rounds : 20));
}

static char
letter_of(unsigned char grey)
{
	return grey == 0 ? '#' : grey < grey_of(8) ? '+' :
	       grey < grey_of(4) ? '.' : ' ';
}

static int
draw_line(const void *in, void *out, void *ctx)
{
	const int *y = in;
	struct line *line = out;

	(void)ctx;
	for (int x = 0; x < WIDTH; x++)
		line->greys[x] = grey_of(rounds_at(x * 3.0 / WIDTH - 2.2,
						   *y * 2.4 / HEIGHT - 1.2));
	return 0;
}

static void
print(const struct line *picture)
{
	for (int y = DOWN / 2; y < HEIGHT; y += DOWN) {
		char text[WIDTH / ACROSS];
		int n = 0;

		for (int x = 0; x < WIDTH / ACROSS; x++) {
			text[x] = letter_of(picture[y].greys[x * ACROSS]);
			if (text[x] != ' ')
				n = x + 1;
		}
		printf("%.*s\n", n, text);
	}
}

static int
write_file(const char *path, const struct line *picture)
{
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = WIDTH,
		.height = HEIGHT,
		.format = PNG_FORMAT_GRAY,
	};

	if (png_image_write_to_file(&image, path, 0, picture, 0, NULL))
		return 0;
	fprintf(stderr, "%s: %s\n", path, image.message);
	return -1;
}

int
main(int argc, char **argv)
{
	struct line *picture = mproc_alloc(HEIGHT * sizeof(*picture));
	mproc_pool *pool = NULL;
	int numbers[HEIGHT], r;

	for (int y = 0; y < HEIGHT; y++)
		numbers[y] = y;
	if (!picture)
		return 1;
	r = mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts, .workers = 2));
	if (r == 0)
		r = mproc_pool_map(pool, draw_line, NULL, numbers,
				   sizeof(numbers[0]), picture, sizeof(*picture),
				   HEIGHT, MPROC_OPTS(mproc_map_opts, .chunk = 8));
	if (r)
		fprintf(stderr, "%s\n", mproc_error_detail());
	else
		print(picture);
	if (r == 0 && argc > 1)
		r = write_file(argv[1], picture);
	mproc_pool_free(pool);
	mproc_free(picture);
	return r != 0;
}
