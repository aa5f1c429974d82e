// SPDX-License-Identifier: GPL-2.0
/*
 * Which monitor a command is for, and what a refused command says.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gmctl.h"

/* argv of the program as getopt left it: the option that was wrong. */
void target_option(struct target *t, int option, const char *command, const char *help)
{
	switch (option) {
	case OPT_QMP:
		t->qmp = optarg;
		break;
	case OPT_NAME:
		if (!valid_name(optarg))
			usage_error(command, "--name: `%s' is no name of a guest", optarg);
		t->name = optarg;
		break;
	case OPT_TIMEOUT:
		if (!parse_seconds(optarg, 0.1, 86400, &t->timeout))
			usage_error(command, "--timeout wants seconds, 0.1 to 86400, not `%s'",
				    optarg);
		break;
	case 'h':
		fputs(help, stdout);
		finish_output();
		exit(EXIT_DONE);
	default:
		usage_error(command, "`%s': %s", help, option == ':' ?
			    "its argument is missing" : "no such option");
	}
	if (t->qmp && t->name)
		usage_error(command, "--qmp and --name exclude each other");
}

/* The folder of the only guest that runs. */
static char *only_run(const char *folder)
{
	char *names = xstrdup(""), *found = NULL;
	size_t count = 0;
	struct dirent *e;
	DIR *d = opendir(folder);

	while (d && (e = readdir(d))) {
		char *path, *longer;

		if (!valid_name(e->d_name))
			continue;
		path = xasprintf("%s/%s", folder, e->d_name);
		if (!run_is_alive(path)) {
			free(path);
			continue;
		}
		longer = xasprintf("%s%s%s", names, count++ ? ", " : "", e->d_name);
		free(names);
		names = longer;
		free(found);
		found = path;
	}
	if (d)
		closedir(d);
	if (!count)
		fail(EXIT_CONNECT, "no guest of gm-run runs (there is none in %s). Name QEMU's monitor "
		     "with --qmp PATH or $GM_QMP", folder);
	if (count > 1)
		fail(EXIT_CONNECT, "%zu guests run: %s. Choose one with --name NAME, or --qmp PATH",
		     count, names);
	free(names);
	return found;
}

char *target_path(const struct target *t)
{
	const char *why, *environment = getenv("GM_QMP");
	char *folder, *run, *path;

	if (t->qmp)
		return xstrdup(t->qmp);
	if (!t->name && environment && *environment)
		return xstrdup(environment);
	folder = runs_folder(&why);
	if (!folder)
		fail(EXIT_CONNECT, "%s, so the guests of gm-run are not known. Name QEMU's monitor with "
		     "--qmp PATH or $GM_QMP", why);
	if (t->name) {
		run = xasprintf("%s/%s", folder, t->name);
		if (!run_is_alive(run))
			fail(EXIT_CONNECT, "no guest `%s' of gm-run runs (looked in %s)", t->name,
			     folder);
	} else {
		run = only_run(folder);
	}
	path = xasprintf("%s/qmp", run);
	free(run);
	free(folder);
	return path;
}

char *target_events_path(const struct target *t)
{
	char *path = target_path(t), *events = xasprintf("%s-events", path);
	struct stat st;

	if (!stat(events, &st) && S_ISSOCK(st.st_mode)) {
		free(path);
		return events;
	}
	free(events);
	return path;
}

double target_timeout(const struct target *t)
{
	return t->timeout ? t->timeout : 30;
}

struct qmp *target_open(const struct target *t)
{
	char *path = target_path(t);
	struct qmp *q = qmp_open(path, target_timeout(t));

	free(path);
	return q;
}

/* What to do about it, where QEMU's own text does not say. */
static const struct {
	const char *text, *hint;
} hints[] = {
	{ "has not been found", "This QEMU is none with guarded modules, or older than this tool: "
	  "use the one that came with it" },
	{ "Parameter 'file' is missing", "This QEMU is older than this tool: use the one that came "
	  "with it, or --by-path" },
	{ "is unexpected", "This QEMU is older than this tool: use the one that came with it" },
	{ "has no guarded-modules device", "Start QEMU with -accel kvm,guarded-modules=on and "
	  "-device guarded-modules,keyring=CERTIFICATES, or use gm-run" },
	{ "the device's window", "Enlarge the image-window property of the guarded-modules device" },
	{ "another image of module", "Withdraw that one first, with gmctl unregister" },
	{ "is sealed: the guest must unload it", "In the guest: rmmod; or, if it does not obey, "
	  "reset the machine" },
	{ "is registered", "gmctl list shows those that are" },
};

_Noreturn void refused(const char *command, const struct qmp_error *error)
{
	char *text = safe_text(error->text);
	size_t i;

	message("QEMU refuses %s: %s", command, text);
	for (i = 0; i < ARRAY_SIZE(hints); i++) {
		if (!strstr(error->text, hints[i].text))
			continue;
		fprintf(stderr, "%s.\n", hints[i].hint);
		break;
	}
	exit(EXIT_REFUSED);
}

struct json_object *execute(struct qmp *q, const char *command, struct json_object *arguments,
			    int fd)
{
	struct json_object *result = qmp_execute(q, command, arguments, fd);

	if (!result)
		refused(command, qmp_error(q));
	return result;
}
