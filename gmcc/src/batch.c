// SPDX-License-Identifier: GPL-2.0
/*
 * One run for each of many files, in processes of their own: what one of them
 * crashes on costs none of the others, and what all of them need (libraries,
 * the kernel's BTF) is there once.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "batch.h"

struct batch {
	char **files;
	int nr, next;
	pid_t *pids;		/* by file, 0: not running */
	unsigned int running;
	FILE *report;
	int worst;
};

static void start(struct batch *b, void (*run)(const char *file, void *arg), void *arg)
{
	int i = b->next++;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		die(b->files[i], "cannot start a process: %s.", strerror(errno));
	if (pid) {
		b->pids[i] = pid;
		b->running++;
		return;
	}
	/* Whole lines, not to be mixed with those of others. */
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	xalloc_afresh();
	run(b->files[i], arg);
	run_exit(0);
}

static double seconds(struct timeval t)
{
	return t.tv_sec + t.tv_usec / 1e6;
}

static void finish(struct batch *b)
{
	struct rusage used;
	int status, i = 0;
	pid_t pid;

	do {
		pid = wait4(-1, &status, 0, &used);
	} while (pid < 0 && errno == EINTR);
	if (pid < 0)
		die("gmcc", "lost its processes: %s.", strerror(errno));
	while (i < b->next && b->pids[i] != pid)
		i++;
	if (i == b->next)
		return;
	b->pids[i] = 0;
	b->running--;
	status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	if (status < 0)
		fprintf(stderr, "gmcc: %s: crashed by signal %d (%s). Report this file.\n", b->files[i],
			-status, strsignal(-status));
	if (status)
		b->worst = EXIT_REFUSED;
	if (b->report)
		fprintf(b->report, "%d\t%.3f\t%.3f\t%s\n", status, seconds(used.ru_utime),
			seconds(used.ru_stime), b->files[i]);
}

int batch_run(char **files, int nr, unsigned int jobs, const char *report,
	      void (*run)(const char *file, void *arg), void *arg)
{
	struct batch b = { .files = files, .nr = nr, .pids = xalloc(nr * sizeof(*b.pids)) };

	if (report && !(b.report = fopen(report, "w")))
		die(report, "cannot create: %s.", strerror(errno));
	while (b.next < nr || b.running) {
		if (b.next < nr && b.running < jobs)
			start(&b, run, arg);
		else
			finish(&b);
	}
	if (b.report && fclose(b.report))
		die(report, "cannot write: %s.", strerror(errno));
	return b.worst;
}
