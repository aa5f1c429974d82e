// SPDX-License-Identifier: GPL-2.0
/*
 * I7: each allocation, and each copy from or to user memory, of each call fails in
 * turn, by the kernel's fault injection (/proc/thread-self/fail-nth). The call then
 * fails with an error that says so, or does without; made again it works, and the
 * module too.
 */
#include "hammer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "main.h"

#define MAX_FAULTS	2000		/* of one call: more than any has */

static int fail_nth = -1;

static void arm(unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n), written;

	/* One that was armed before may be this write's. */
	do
		written = pwrite(fail_nth, text, length, 0);
	while (written < 0 && errno == EFAULT);
	expect(written == length, "fail-nth: %s", strerror(errno));
}

/* Disarm; was it used? If not, it may be this read that fails by it. */
static bool was_used(void)
{
	char text[16] = "";
	ssize_t length = pread(fail_nth, text, sizeof(text) - 1, 0);

	expect(length > 0 || errno == EFAULT, "fail-nth: %s", strerror(errno));
	arm(0);
	return length > 0 && !atoi(text);
}

static unsigned int how_many_steps(void)
{
	unsigned int n = 0;

	while (step_name(n))
		n++;
	return n;
}

static void make_steps(unsigned int first, unsigned int end)
{
	unsigned int i;

	for (i = first; i < end; i++) {
		int r;

		prepare_step(i);
		r = make_step(i);
		expect(!r, "%s: %s", step_name(i), strerror(-r));
	}
}

static void set_knob(const char *kind, const char *knob, const char *value)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", kind, knob);
	file = fopen(path, "we");
	if (!file || fputs(value, file) < 0 || fclose(file)) {
		printf("%s: the kernel has no fault injection here (CONFIG_FAULT_INJECTION)\n",
		       path);
		exit(STATUS_SKIPPED);
	}
}

/* Any allocation may fail, without many words on the console. */
static void allow_faults(void)
{
	static const char *const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	unsigned int i;

	for (i = 0; i < 3; i++)
		set_knob(kinds[i], "verbose", "0");
	set_knob("failslab", "ignore-gfp-wait", "N");
	set_knob("fail_page_alloc", "ignore-gfp-wait", "N");
	set_knob("fail_page_alloc", "ignore-gfp-highmem", "N");
	set_knob("fail_page_alloc", "min-order", "0");
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	expect(fail_nth >= 0, "fail-nth: %s", strerror(errno));
}

/* The @n-th of what step @i needs fails; is there such a one? */
static bool fail_once(unsigned int i, unsigned int n)
{
	bool used;
	int r;

	begin_steps();
	make_steps(0, i);
	prepare_step(i);
	arm(n);
	r = make_step(i);
	used = was_used();
	if (used)
		printf("# %s, fault %u: %s\n", step_name(i), n, r < 0 ? strerror(-r) : "done");
	fflush(stdout);
	if (r < 0 && !used)
		fail("%s: %s, without a fault", step_name(i), strerror(-r));
	if (r < 0 && r != -ENOMEM && r != -EFAULT && r != -EINTR && r != -EAGAIN)
		fail("%s, fault %u: %s", step_name(i), n, strerror(-r));
	/* What has not been done is done now. KVM_RUN goes on where it was. */
	if (r < 0) {
		r = make_step(i);
		expect(!r, "%s, again after fault %u: %s", step_name(i), n, strerror(-r));
	}
	make_steps(i + 1, how_many_steps());
	end_steps();
	return used;
}

void fail_allocations(struct hammer *hammer)
{
	unsigned int i;

	allow_faults();
	hammer->runs = TO_THE_END;
	/* The last ones first: a seal has more than all the others. */
	for (i = how_many_steps(); i--;) {
		unsigned int n = 1;

		while (fail_once(i, n)) {
			expect(++n < MAX_FAULTS, "%s: no end of faults", step_name(i));
			hammer->done++;
			if (!go_on(hammer))
				return;
		}
		tally(step_name(i), n - 1);
	}
	hammer->runs = hammer->done;
}
