// SPDX-License-Identifier: GPL-2.0
/*
 * I7: machines that come and go leave nothing behind, at whatever stage they end:
 * sealed or not, with a thread inside, called out, interrupted, or killed. Kernel
 * objects, pages and files are counted before and after.
 */
#define _GNU_SOURCE	/* sched_setaffinity() */
#include "hammer.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WARM_UP		100		/* caches fill, once */
#define FORK_EVERY	10		/* cycles end by SIGKILL */
#define MAX_CACHES	400
#define MOST_CPUS	8
#define FILES_BATCH	64		/* twice Linux's batch, of up to 16 CPUs */
/* What may differ by chance: other processes, caches of the kernel's. */
#define SLACK_OBJECTS	512
#define SLACK_PAGES	2048
#define SLACK_FILES	16

extern const char text_out[], text_read[], text_count[];

struct census {
	struct {
		char name[32];
		uint64_t objects;
	} caches[MAX_CACHES];
	unsigned int nr_caches;
	uint64_t free_pages, vmalloc_pages, all_files, own_files;
};

static void count_caches(struct census *census)
{
	char line[512], name[32];
	unsigned long objects;
	FILE *file = fopen("/proc/slabinfo", "re");

	expect(file, "/proc/slabinfo: it takes root");
	while (census->nr_caches < MAX_CACHES && fgets(line, sizeof(line), file))
		if (sscanf(line, "%31s %lu", name, &objects) == 2) {
			strcpy(census->caches[census->nr_caches].name, name);
			census->caches[census->nr_caches++].objects = objects;
		}
	fclose(file);
}

static uint64_t meminfo(const char *what)
{
	unsigned long value, found = 0;
	char line[128], name[64];
	FILE *file = fopen("/proc/meminfo", "re");

	expect(file, "/proc/meminfo");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%63[^:]: %lu", name, &value) == 2 && !strcmp(name, what))
			found = value / 4;
	fclose(file);
	return found;
}

/* The sum that file-nr tells, which lags behind (count_files()). */
static uint64_t read_file_nr(int fd)
{
	char text[64] = "";

	expect(pread(fd, text, sizeof(text) - 1, 0) > 0, "/proc/sys/fs/file-nr");
	return strtoull(text, NULL, 10);
}

/*
 * Open files, of all processes. Linux counts them for each CPU by itself, and adds what a
 * CPU has to the sum once that is a batch: a CPU on which an open file moves the sum
 * has nothing left, so that after this was seen on each the sum is right.
 */
static uint64_t count_files(void)
{
	int fds[MOST_CPUS * FILES_BATCH], nr = sysconf(_SC_NPROCESSORS_ONLN), fd, n = 0, i;
	uint64_t sum;
	cpu_set_t all, one;

	expect(nr <= MOST_CPUS, "%d CPUs", nr);
	fd = must(open("/proc/sys/fs/file-nr", O_RDONLY | O_CLOEXEC), "/proc/sys/fs/file-nr");
	must(sched_getaffinity(0, sizeof(all), &all), "sched_getaffinity");
	for (i = 0; i < nr; i++) {
		uint64_t before;
		int end = n + FILES_BATCH;

		CPU_ZERO(&one);
		CPU_SET(i, &one);
		must(sched_setaffinity(0, sizeof(one), &one), "sched_setaffinity");
		before = read_file_nr(fd);
		do {
			expect(n < end, "CPU %d: %d files opened, none counted", i, FILES_BATCH);
			fds[n++] = must(eventfd(0, EFD_CLOEXEC), "eventfd");
		} while (read_file_nr(fd) == before);
	}
	sum = read_file_nr(fd) - n;
	must(sched_setaffinity(0, sizeof(all), &all), "sched_setaffinity");
	while (n)
		close(fds[--n]);
	close(fd);
	return sum;
}

static struct census *take_census(void)
{
	struct census *census = calloc(1, sizeof(*census));
	FILE *file;
	DIR *dir;

	expect(census, "no memory");
	/* RCU, work queues, and what the last process that was killed had. */
	sleep(3);
	file = fopen("/proc/sys/vm/drop_caches", "we");
	if (file) {
		fputs("3", file);
		fclose(file);
	}
	sleep(1);
	count_caches(census);
	census->free_pages = meminfo("MemFree");
	census->vmalloc_pages = meminfo("VmallocUsed");
	census->all_files = count_files();
	dir = opendir("/proc/self/fd");
	expect(dir, "/proc/self/fd");
	while (readdir(dir))
		census->own_files++;
	closedir(dir);
	return census;
}

static void compare(const struct census *before, const struct census *after, uint64_t cycles)
{
	uint64_t slack = SLACK_OBJECTS + cycles / 100;
	unsigned int i, j;

	for (i = 0; i < after->nr_caches; i++)
		for (j = 0; j < before->nr_caches; j++) {
			int64_t more = after->caches[i].objects - before->caches[j].objects;

			/* Freed addresses are kept until there are many; their memory is below. */
			if (strcmp(after->caches[i].name, before->caches[j].name) ||
			    !strcmp(after->caches[i].name, "vmap_area"))
				continue;
			if (more > (int64_t)slack)
				fail("%s: %ld objects more after %lu cycles",
				     after->caches[i].name, (long)more, (unsigned long)cycles);
		}
	printf("# free pages: %lu, then %lu; files: %lu, then %lu\n", before->free_pages,
	       after->free_pages, before->all_files, after->all_files);
	if (before->free_pages > after->free_pages + SLACK_PAGES + cycles / 10)
		fail("%lu pages less after %lu cycles", before->free_pages - after->free_pages,
		     (unsigned long)cycles);
	if (after->vmalloc_pages > before->vmalloc_pages + SLACK_OBJECTS)
		fail("%lu pages of vmalloc more", after->vmalloc_pages - before->vmalloc_pages);
	if (after->all_files > before->all_files + SLACK_FILES)
		fail("%lu open files more", after->all_files - before->all_files);
	expect_equal("this process's files", after->own_files, before->own_files);
}

/* A machine with a sealed module, left at some stage of its life. */
static void live(struct random *random)
{
	unsigned int stage = below(random, 7);
	uint64_t sp = STACK(0);

	start_with(&(struct setup) {
		.vcpus = 1 + below(random, 2), .other = rarely(random, 3),
		.devices = rarely(random, 3), .hostinfo = stage != 6 && rarely(random, 4),
		.window = stage != 4 && rarely(random, 3), .unsealed = stage == 0,
	});
	if (stage >= 2) {
		call_gate(cpu, GATE_NULL, sp, 41, 0, 0);
		expect_equal("result", expect_return(cpu), 42);
	}
	switch (stage) {
	case 3:
		must(ioctl(vm.vm, KVM_GM_UNSEAL, &victim.arg.id), "KVM_GM_UNSEAL");
		break;
	case 4:
		call_text(cpu, text_out, sp, 0, 0);
		expect_out_call(cpu, sp);
		break;
	case 5:
		call_text(cpu, text_read, sp, VA_ABSENT, 0);
		expect_event(cpu, PF_VECTOR, 0, sp);
		break;
	case 6:
		spin(cpu, sp, false);
		break;
	}
}

static void end_killed(struct random *random)
{
	static const unsigned int stages[] = { 0, 1000, 5000, 20000, 50000 };
	unsigned int usec = pick(random, stages);
	int status;
	pid_t child = must(fork(), "fork");

	if (!child) {
		for (;;) {
			live(random);
			machine_destroy(&vm);
		}
	}
	usleep(below(random, usec + 1));
	kill(child, SIGKILL);
	must(waitpid(child, &status, 0), "waitpid");
	expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	       "a process that was to be killed ended by itself: status 0x%x", status);
	tally("killed", 1);
}

static void cycle(struct random *random, uint64_t number)
{
	if (number % FORK_EVERY == 0) {
		end_killed(random);
		draw(random);
		return;
	}
	live(random);
	machine_destroy(&vm);
	tally("destroyed", 1);
}

void cycle_machines(struct hammer *hammer)
{
	struct census *before, *after;
	unsigned int i;

	for (i = 0; i < WARM_UP; i++)
		cycle(&hammer->random, i);
	before = take_census();
	while (go_on(hammer))
		cycle(&hammer->random, hammer->done++);
	after = take_census();
	compare(before, after, hammer->done);
	free(before);
	free(after);
}
