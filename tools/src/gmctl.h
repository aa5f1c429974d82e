/* SPDX-License-Identifier: GPL-2.0 */
/*
 * gmctl: its commands, and what they share.
 */
#ifndef GMCTL_H
#define GMCTL_H

#include <getopt.h>

#include "qmp.h"
#include "tools.h"

/* Options that every command takes, before or after its name. */
struct target {
	const char *qmp;	/* --qmp */
	const char *name;	/* --name */
	double timeout;		/* --timeout, or 0 */
};

enum {
	OPT_QMP = 0x100,
	OPT_NAME,
	OPT_TIMEOUT,
	OPT_VERSION,
	OPT_OWN,		/* a command's first */
};

#define TARGET_OPTIONS \
	{ "qmp", required_argument, NULL, OPT_QMP }, \
	{ "name", required_argument, NULL, OPT_NAME }, \
	{ "timeout", required_argument, NULL, OPT_TIMEOUT }, \
	{ "help", no_argument, NULL, 'h' }

#define TARGET_HELP \
	"  --qmp PATH         QEMU's monitor [$GM_QMP, or that of the only guest of gm-run]\n" \
	"  --name NAME        the guest that gm-run --name NAME runs\n" \
	"  --timeout SECONDS  how long to wait for an answer [30]\n"

/* Takes what is in TARGET_OPTIONS; the rest is wrong usage of `command'. */
void target_option(struct target *t, int option, const char *command, const char *help);

/* The monitor's path, by the options; the caller's. Exit status 3 if there is none. */
char *target_path(const struct target *t);
/* The monitor for what holds it for long: PATH-events, if there is one. */
char *target_events_path(const struct target *t);
struct qmp *target_open(const struct target *t);
/* Seconds. */
double target_timeout(const struct target *t);

/* Execute and succeed, or say QEMU's error and what to do: exit status 1. */
struct json_object *execute(struct qmp *q, const char *command, struct json_object *arguments,
			    int fd);
_Noreturn void refused(const char *command, const struct qmp_error *error);

void print_json(struct json_object *o);
/* "a, b" of an array of strings, or `none'; the caller's, not yet safe. */
char *join_strings(struct json_object *array, const char *none);
/* "exec 1, write 2" of GmViolationCounts, or "none"; the sum, if wanted. */
char *join_violations(struct json_object *array, uint64_t *total);
/* "kind exec, module dummy, rip 0x...": the members of an event, or a violation. */
char *describe(struct json_object *data);

extern const char *const crossing_names[];
#define NR_CROSSINGS 6

struct command {
	const char *name;
	int (*run)(struct target *t, int argc, char **argv);
	const char *what;
};

int cmd_list(struct target *t, int argc, char **argv);
int cmd_info(struct target *t, int argc, char **argv);
int cmd_register(struct target *t, int argc, char **argv);
int cmd_unregister(struct target *t, int argc, char **argv);
int cmd_grant(struct target *t, int argc, char **argv);
int cmd_revoke(struct target *t, int argc, char **argv);
int cmd_events(struct target *t, int argc, char **argv);
int cmd_top(struct target *t, int argc, char **argv);

#endif
