/* SPDX-License-Identifier: MIT */
/*
 * A queue in an event loop: one thread waits with epoll for readings from two
 * sensors, which come through a queue, for a timer, and for the end of the
 * sensors. It never blocks anywhere else.
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define SENSORS 2
#define READINGS 5000 /* of each sensor */

struct reading {
	int sensor;
	int value;
};

struct report {
	unsigned n;
	long sum[SENSORS];
	int ticks;
	int running; /* sensors */
	int ended;
};

static mproc_queue *readings;

static int
sensor(void *arg)
{
	struct reading reading = { *(int *)arg, 0 };

	for (int i = 1; i <= READINGS; i++) {
		reading.value = i;
		if (mproc_queue_put(readings, &reading, sizeof(reading),
				    MPROC_FOREVER) < 0)
			return 1;
	}
	return 0;
}

static int
add(int set, int fd, int what)
{
	struct epoll_event event = { .events = EPOLLIN,
				     .data.u32 = (uint32_t)what };

	if (fd < 0)
		return fd;
	return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* What the descriptors stand for; from SENSOR on, the end of a sensor. */
enum { MESSAGES, TIMER, SENSOR };

/* Takes all there is: only a get that finds nothing makes the descriptor quiet
 * again. */
static void
on_messages(int set, struct report *report)
{
	struct reading reading;
	int r;

	while ((r = mproc_queue_get(readings, &reading, sizeof(reading), NULL,
				    MPROC_NOWAIT)) == 0) {
		report->n++;
		report->sum[reading.sensor] += reading.value;
	}
	if (r == -EAGAIN)
		return;
	/* It was shut down, and stays readable. */
	epoll_ctl(set, EPOLL_CTL_DEL, mproc_queue_fd(readings), NULL);
	report->ended = 1;
}

static void
on_timer(int timer, struct report *report)
{
	uint64_t expirations;

	if (read(timer, &expirations, sizeof(expirations)) > 0)
		report->ticks++;
}

/* A sensor has ended. After the last one nothing comes any more; what is queued
 * can still be taken. */
static int
on_end(int set, mproc_process *p, struct report *report)
{
	int r;

	epoll_ctl(set, EPOLL_CTL_DEL, mproc_process_fd(p), NULL);
	r = mproc_process_join(p, MPROC_FOREVER);
	if (r == 0 && --report->running == 0)
		r = mproc_queue_shutdown(readings, MPROC_DRAIN);
	return r;
}

/* Until all have ended and the queue is empty, and the timer has had its turn. */
static int
loop(int set, int timer, mproc_process **p, struct report *report)
{
	struct epoll_event events[8];
	int n, r = 0;

	while (r == 0 && !(report->ended && report->ticks)) {
		n = epoll_wait(set, events, 8, -1);
		for (int i = 0; i < n && r == 0; i++) {
			uint32_t what = events[i].data.u32;

			if (what == MESSAGES)
				on_messages(set, report);
			else if (what == TIMER)
				on_timer(timer, report);
			else
				r = on_end(set, p[what - SENSOR], report);
		}
	}
	return r;
}

int
main(void)
{
	struct itimerspec every_ms = { { 0, 1000000 }, { 0, 1000000 } };
	int set = epoll_create1(EPOLL_CLOEXEC);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct report report = { .running = SENSORS };
	mproc_process *p[SENSORS];
	int i, r;

	r = mproc_queue_create(&readings, MPROC_OPTS(mproc_queue_opts,
						     .name = "readings"));
	for (i = 0; i < SENSORS && r == 0; i++)
		r = mproc_process_start(&p[i], sensor, &i,
					MPROC_OPTS(mproc_process_opts,
						   .daemon = true,
						   .arg_size = sizeof(i)));
	if (r == 0)
		r = add(set, mproc_queue_fd(readings), MESSAGES);
	if (r == 0)
		r = add(set, timer, TIMER);
	for (i = 0; i < SENSORS && r == 0; i++)
		r = add(set, mproc_process_fd(p[i]), SENSOR + i);
	if (r == 0 && timerfd_settime(timer, 0, &every_ms, NULL) < 0)
		r = -errno;
	if (r == 0)
		r = loop(set, timer, p, &report);
	if (r < 0) {
		fprintf(stderr, "%s\n", mproc_strerror(r));
		return 1;
	}
	printf("%u readings, and a timer\n", report.n);
	for (i = 0; i < SENSORS; i++) {
		printf("sensor %d: sum %ld\n", i, report.sum[i]);
		mproc_process_close(p[i]);
	}
	mproc_queue_destroy(readings);
	close(timer);
	close(set);
	return 0;
}
