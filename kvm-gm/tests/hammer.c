// SPDX-License-Identifier: GPL-2.0
/* The command line of raw-hammer, and what the ways to hammer have in common: see hammer.h. */
#define _GNU_SOURCE
#include "hammer.h"

#include <err.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "main.h"

#define TELL_EVERY	10.0		/* seconds */
#define MAX_TALLIES	64

static const struct {
	const char *name;
	void (*run)(struct hammer *hammer);
	uint64_t runs;
	const char *about;
} ways[] = {
	{ "fuzz-ioctls", fuzz_ioctls, 1000000,
	  "calls of KVM's interface with arguments that are nearly right, on two threads" },
	{ "fuzz-gates", fuzz_gates, 1000000,
	  "two vCPUs at gates and elsewhere, with any registers, page tables and events" },
	{ "cycles", cycle_machines, 10000,
	  "machines created, sealed, used and destroyed at every stage; what is left of them" },
	{ "faults", fail_allocations, 1,
	  "each allocation of each call fails in turn (needs CONFIG_FAULT_INJECTION)" },
	{ "signals", send_signals, 200,
	  "signals to a thread in each call, and processes killed at any moment" },
};

#define NR_WAYS	(sizeof(ways) / sizeof(ways[0]))

uint64_t draw(struct random *random)
{
	/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's generators". */
	uint64_t x = random->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	random->state = x;
	return (x * 0x2545f4914f6cdd1d) >> 8 ^ x << 56;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

bool go_on(struct hammer *hammer)
{
	static double began, told;
	double t = now();

	if (!began)
		began = told = t;
	if (t - told >= TELL_EVERY) {
		told = t;
		printf("# %llu runs", (unsigned long long)hammer->done);
		if (hammer->runs != TO_THE_END)
			printf(" of %llu", (unsigned long long)hammer->runs);
		printf(", %.0f s\n", t - began);
		fflush(stdout);
	}
	return hammer->done < hammer->runs &&
	       (!hammer->seconds || t - began < hammer->seconds);
}

static struct {
	const char *what;
	uint64_t times;
} tallies[MAX_TALLIES];
static pthread_mutex_t tally_lock = PTHREAD_MUTEX_INITIALIZER;

void tally(const char *what, uint64_t times)
{
	unsigned int i = 0;

	pthread_mutex_lock(&tally_lock);
	while (i < MAX_TALLIES && tallies[i].what && strcmp(tallies[i].what, what))
		i++;
	if (i == MAX_TALLIES)
		errx(1, "too many things to count");
	tallies[i].what = what;
	tallies[i].times += times;
	pthread_mutex_unlock(&tally_lock);
}

static void nothing(int signal)
{
	(void)signal;
}

void interrupt_every(unsigned int usec)
{
	static __thread timer_t timer;
	static __thread bool made;
	struct sigaction action = { .sa_handler = nothing };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2 };
	struct itimerspec period = { { 0, usec * 1000L }, { 0, usec * 1000L } };

	if (!made) {
		event._sigev_un._tid = syscall(SYS_gettid);
		sigaction(SIGUSR2, &action, NULL);
		must(timer_create(CLOCK_MONOTONIC, &event, &timer), "timer_create");
		made = true;
	}
	must(timer_settime(timer, 0, &period, NULL), "timer_settime");
	if (!usec) {
		timer_delete(timer);
		made = false;
	}
}

static void usage(FILE *stream)
{
	unsigned int i;

	fprintf(stream,
		"usage: raw-hammer [-n RUNS] [-s SECONDS] [-r SEED] WAY\n"
		"Hammer our KVM, on /dev/kvm.\n"
		"\n");
	for (i = 0; i < NR_WAYS; i++)
		fprintf(stream, "  %-12s %s [%llu runs]\n", ways[i].name, ways[i].about,
			(unsigned long long)ways[i].runs);
	fprintf(stream,
		"\n"
		"  -n, --runs RUNS        how often\n"
		"  -s, --seconds SECONDS  stop after that time at the latest\n"
		"  -r, --seed SEED        of the random numbers [drawn, and printed]\n"
		"  -h, --help             this text\n"
		"\n"
		"The status is 0 if nothing was found, 1 if something was, 77 if this host cannot\n"
		"do it (and why is printed), 2 for bad usage.\n");
}

static uint64_t number(const char *text, const char *what)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (*end || !*text || !value) {
		fprintf(stderr, "raw-hammer: %s is no %s\n", text, what);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "runs", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct hammer hammer = {};
	unsigned int way, i;
	double began;
	int option;

	while ((option = getopt_long(argc, argv, "n:s:r:h", options, NULL)) != -1) {
		switch (option) {
		case 'n':
			hammer.runs = number(optarg, "number of runs");
			break;
		case 's':
			hammer.seconds = number(optarg, "time in seconds");
			break;
		case 'r':
			hammer.seed = number(optarg, "seed");
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	for (way = 0; way < NR_WAYS; way++)
		if (optind == argc - 1 && !strcmp(argv[optind], ways[way].name))
			break;
	if (way == NR_WAYS) {
		if (optind < argc)
			fprintf(stderr, "raw-hammer: no way %s\n", argv[optind]);
		usage(stderr);
		return 2;
	}
	if (!hammer.runs)
		hammer.runs = ways[way].runs;
	if (!hammer.seed)
		hammer.seed = time(NULL) * 1000003ULL + getpid();
	hammer.random.state = hammer.seed;
	printf("# %s, seed %llu\n", ways[way].name, (unsigned long long)hammer.seed);
	fflush(stdout);

	began = now();
	ways[way].run(&hammer);
	for (i = 0; i < MAX_TALLIES && tallies[i].what; i++)
		printf("# %-40s %12llu\n", tallies[i].what, (unsigned long long)tallies[i].times);
	printf("%s: %llu runs, %.0f s, nothing found%s\n", ways[way].name,
	       (unsigned long long)hammer.done, now() - began,
	       hammer.done < hammer.runs ? " before the time was over" : "");
	return STATUS_PASSED;
}
