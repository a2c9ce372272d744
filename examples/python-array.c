/* SPDX-License-Identifier: MIT */
/*
 * C and Python share an array of numbers: each reads what the other one writes, in
 * place. Python is a program of its own, which knows the segment's name only.
 */
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define N 5

/* Before Python 3.13 a program unlinks at its end what it has only opened, unless
 * it says otherwise; from then on with track=False. */
static const char script[] =
	"import sys\n"
	"from multiprocessing import resource_tracker, shared_memory\n"
	"segment = shared_memory.SharedMemory(name=sys.argv[1])\n"
	"resource_tracker.unregister(segment._name, 'shared_memory')\n"
	"with segment.buf.cast('d') as numbers:\n"
	"    print('Python reads', *numbers)\n"
	"    for i, x in enumerate(numbers):\n"
	"        numbers[i] = x * x\n"
	"segment.close()\n";

static int
run_python(const char *name)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execlp("python3", "python3", "-c", script, name, (char *)NULL);
		perror("python3");
		_exit(1);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ?
		       WEXITSTATUS(status) : 1;
}

int
main(void)
{
	double *numbers;
	mproc_shm *s;
	int r, failed;

	/* With a name that nothing has yet, such as Python gives. */
	r = mproc_shm_create(&s, NULL, N * sizeof(*numbers), NULL);
	if (r < 0) {
		fprintf(stderr, "making a segment: %s (%s)\n",
			mproc_strerror(r), mproc_error_detail());
		return 1;
	}
	numbers = mproc_shm_ptr(s);
	for (int i = 0; i < N; i++)
		numbers[i] = i + 0.5;

	failed = run_python(mproc_shm_name(s));
	printf("C reads");
	for (int i = 0; i < N; i++)
		printf(" %g", numbers[i]);
	printf("\n");

	mproc_shm_unlink(mproc_shm_name(s));
	mproc_shm_close(s);
	return failed;
}
