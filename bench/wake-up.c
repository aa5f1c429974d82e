// SPDX-License-Identifier: GPL-2.0
/*
 * How late who sleeps wakes up, and how much who computes gets done. Under QEMU's
 * -icount a nanosecond is one instruction.
 *
 *	wake-up sleep COUNT MICROSECONDS	in the guest: how late, in ns, one a line
 *	wake-up compute MICROSECONDS		on the host: rounds of a loop in that time
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define ROUND	1000		/* turns of the loop between two looks at the clock */
#define MAX	1000000

static int64_t now(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t))
		err(1, "clock_gettime");
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void sleep_often(long count, long period)
{
	static int32_t late[MAX];
	int64_t until = now();
	struct timespec t;

	if (count > MAX)
		errx(2, "at most %d times", MAX);
	/* What is measured takes no page fault. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		err(1, "mlockall");
	for (long i = 0; i < count; i++) {
		until += period * 1000;
		t = (struct timespec){ until / 1000000000, until % 1000000000 };
		if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
			errx(1, "clock_nanosleep was interrupted");
		late[i] = (int32_t)(now() - until);
	}
	for (long i = 0; i < count; i++)
		printf("%d\n", late[i]);
}

static void compute(long period)
{
	int64_t end = now() + period * 1000;
	unsigned long rounds = 0;

	for (; now() < end; rounds++)
		for (volatile int i = 0; i < ROUND; i++)
			;
	printf("%lu\n", rounds);
}

static long number(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*end || end == text || n < 1)
		errx(2, "'%s' is no number from 1", text);
	return n;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "sleep"))
		sleep_often(number(argv[2]), number(argv[3]));
	else if (argc == 3 && !strcmp(argv[1], "compute"))
		compute(number(argv[2]));
	else
		errx(2, "usage: wake-up sleep COUNT MICROSECONDS | wake-up compute MICROSECONDS");
	return 0;
}
