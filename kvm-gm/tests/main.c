// SPDX-License-Identifier: GPL-2.0
/*
 * raw-attacks: a hostile kernel of a few lines attacks guarded modules of a few
 * lines, in virtual machines without QEMU or Linux. Every case is a row of a
 * table (entry.c, seal.c, ...) and runs alone, in a process and a virtual machine
 * of its own. Prints TAP.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack.h"
#include "main.h"

#define DEFAULT_LIMIT	60	/* seconds, of one case */

static const struct attack *const tables[] = {
	entry_attacks, seal_attacks, exit_attacks, event_attacks, return_attacks, code_attacks,
	data_attacks,
	paravirt_attacks,
	translation_attacks, closed_attacks, race_attacks, privilege_attacks,
	ept_attacks, cloak_attacks, device_attacks, idle_attacks,
	step_attacks, gate_attacks, many_attacks,
};

static const struct attack *next(const struct attack *attack)
{
	static unsigned int table;

	if (!attack) {
		table = 0;
		attack = tables[0];
	} else {
		attack++;
	}
	while (!attack->name) {
		if (++table == sizeof(tables) / sizeof(tables[0]))
			return NULL;
		attack = tables[table];
	}
	return attack;
}

#define for_each_attack(attack) for (attack = next(NULL); attack; attack = next(attack))

static const char *vendor_name(enum vendor vendor)
{
	return vendor == SVM ? "svm" : "vmx";
}

static void describe(const struct attack *attack)
{
	printf("%s\tI%u\t", attack->name, attack->invariant);
	if (attack->only)
		printf("%s: %s", vendor_name(attack->only), attack->why);
	else
		printf("any");
	printf("\t%s\n", attack->about);
}

static bool is_chosen(const struct attack *attack, char **names)
{
	char invariant[4];

	if (!*names)
		return true;
	snprintf(invariant, sizeof(invariant), "I%u", attack->invariant);
	for (; *names; names++)
		if (!strcmp(*names, attack->name) || !strcmp(*names, invariant))
			return true;
	return false;
}

static bool all_known(char **names)
{
	const struct attack *attack;
	bool all = true;

	for (; *names; names++) {
		char *name[] = { *names, NULL };
		bool known = false;

		for_each_attack(attack)
			known |= is_chosen(attack, name);
		if (!known)
			fprintf(stderr, "raw-attacks: no case or invariant %s; -l lists them\n",
				*names);
		all &= known;
	}
	return all;
}

/* Run the case; how it ended, and in @text what it said. */
static int run(const struct attack *attack, unsigned int limit, char *text, size_t size)
{
	size_t length = 0;
	ssize_t got;
	int ends[2], status;
	pid_t child;

	fflush(stdout);
	must(pipe(ends), "pipe");
	child = must(fork(), "fork");
	if (!child) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		attack->run(attack);
		all_is_well();
		_exit(STATUS_PASSED);
	}
	close(ends[1]);
	alarm(limit);
	while ((got = read(ends[0], text + length, size - 1 - length)) > 0)
		length += got;
	if (got < 0 && errno == EINTR) {
		kill(child, SIGKILL);
		length += snprintf(text + length, size - 1 - length,
				   "# no end after %u seconds\n", limit);
	}
	alarm(0);
	close(ends[0]);
	text[length] = '\0';
	must(waitpid(child, &status, 0), "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void expired(int signal)
{
	(void)signal;
}

static bool report(const struct attack *attack, unsigned int number, unsigned int limit)
{
	char text[4096];
	int status;

	if (attack->only && attack->only != machine_vendor()) {
		printf("ok %u - %s # SKIP %s: %s\n", number, attack->name,
		       vendor_name(attack->only), attack->why);
		return true;
	}
	status = run(attack, limit, text, sizeof(text));
	if (status == STATUS_SKIPPED) {
		printf("ok %u - %s # SKIP %s\n", number, attack->name, text);
		return true;
	}
	printf("%sok %u - %s: %s\n%s", status ? "not " : "", number, attack->name, attack->about,
	       text);
	if (status < 0)
		printf("# ended by signal %d\n", -status);
	else if (status && !*text)
		printf("# ended with %d\n", status);
	return !status;
}

static void usage(FILE *stream)
{
	fprintf(stream,
		"usage: raw-attacks [-l] [-k] [-t SECONDS] [CASE | INVARIANT]...\n"
		"Attack guarded modules in virtual machines of a few lines, on /dev/kvm.\n"
		"\n"
		"  -l, --list            list the cases: name, invariant, vendor, what happens\n"
		"  -k, --keep            make a virtual machine, and keep it until killed: while\n"
		"                        there is one, the host's kernel does not patch itself\n"
		"                        for the first and the last one of every case\n"
		"  -t, --limit SECONDS   end a case that takes longer [%u]\n"
		"  -h, --help            this text\n"
		"\n"
		"Without a name (of a case, or I1..I7) runs all. Prints TAP. The status is 0 if\n"
		"all chosen cases passed or were skipped, 1 if any failed, 2 for bad usage.\n",
		DEFAULT_LIMIT);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "keep", no_argument, NULL, 'k' },
		{ "limit", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct sigaction on_alarm = { .sa_handler = expired };
	unsigned int number = 0, count = 0, failed = 0;
	unsigned long limit = DEFAULT_LIMIT;
	const struct attack *attack;
	bool list = false;
	char *end;
	int option;

	while ((option = getopt_long(argc, argv, "lkt:h", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			list = true;
			break;
		case 'k':
			machine_create(&vm, false);
			for (;;)
				pause();
		case 't':
			limit = strtoul(optarg, &end, 10);
			if (*end || !limit || limit > 86400) {
				fprintf(stderr, "raw-attacks: %s is no time in seconds\n", optarg);
				return 2;
			}
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (!all_known(argv + optind))
		return 2;

	for_each_attack(attack) {
		if (!is_chosen(attack, argv + optind))
			continue;
		count++;
		if (list)
			describe(attack);
	}
	if (list)
		return 0;

	sigaction(SIGALRM, &on_alarm, NULL);
	printf("TAP version 13\n1..%u\n", count);
	for_each_attack(attack)
		if (is_chosen(attack, argv + optind))
			failed += !report(attack, ++number, limit);
	return failed ? 1 : 0;
}
