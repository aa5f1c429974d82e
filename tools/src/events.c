// SPDX-License-Identifier: GPL-2.0
/*
 * gmctl events: the GM_* events of a guest as they come, a line each.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gmctl.h"

static void print_event(struct json_object *event)
{
	struct json_object *stamp = member_object(event, "timestamp");
	char *name = safe_text(member_string(event, "event"));
	char *text = describe(member_object(event, "data"));
	time_t seconds = member_number(stamp, "seconds");
	char when[40] = "?";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	printf("%s.%06" PRIu64 "Z %s: %s\n", when, member_number(stamp, "microseconds"), name, text);
	free(text);
	free(name);
}

int cmd_events(struct target *target, int argc, char **argv)
{
	static const char help[] =
		"Usage: gmctl events [--json]\n\n"
		"Follows GM_SEALED, GM_UNSEALED and GM_VIOLATION, a line each, until Ctrl-C. It holds\n"
		"the monitor all that time; guests of gm-run have one for this alone.\n\n"
		"  --json             QEMU's own events, one object a line\n"
		TARGET_HELP;
	enum { OPT_JSON = OPT_OWN };
	static const struct option options[] = {
		TARGET_OPTIONS,
		{ "json", no_argument, NULL, OPT_JSON },
		{ 0 }
	};
	struct json_object *event;
	bool json = false;
	struct qmp *q;
	char *path;
	int option;

	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == OPT_JSON)
			json = true;
		else
			target_option(target, option, "events",
				      option == 'h' ? help : argv[optind - 1]);
	}
	if (optind != argc)
		usage_error("events", "`%s' is too much: it takes no arguments", argv[optind]);
	path = target_events_path(target);
	stop_on_signals();
	q = qmp_open(path, target_timeout(target));
	while (q && (event = qmp_event(q))) {
		if (!strncmp(member_string(event, "event"), "GM_", 3)) {
			if (json)
				print_json(event);
			else
				print_event(event);
			finish_output();
		}
		json_object_put(event);
	}
	qmp_close(q);
	free(path);
	return EXIT_DONE;
}
