/* SPDX-License-Identifier: MIT */
/*
 * The Mandelbrot set, drawn by a pool: a map over its lines, which the workers write to
 * one picture in shared memory. The result is a plain one, which can be compared.
 */
#include <mproc/mproc.h>
#include <stdio.h>

#define WIDTH 64
#define HEIGHT 24
#define ROUNDS 200

struct line {
	char points[WIDTH];
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

static int
draw_line(const void *in, void *out, void *ctx)
{
	const int *y = in;
	struct line *line = out;

	(void)ctx;
	for (int x = 0; x < WIDTH; x++) {
		int n = rounds_at(x * 3.0 / WIDTH - 2.2,
				  (*y + 0.5) * 2.4 / HEIGHT - 1.2);

		line->points[x] = n == ROUNDS ? '#' : n > 8 ? '+' :
				  n > 4 ? '.' : ' ';
	}
	return 0;
}

int
main(void)
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
				   HEIGHT, MPROC_OPTS(mproc_map_opts, .chunk = 1));
	if (r)
		fprintf(stderr, "%s\n", mproc_error_detail());
	for (int y = 0; y < HEIGHT && r == 0; y++) {
		int n = WIDTH;

		while (n && picture[y].points[n - 1] == ' ')
			n--;
		printf("%.*s\n", n, picture[y].points);
	}
	mproc_pool_free(pool);
	mproc_free(picture);
	return r != 0;
}
