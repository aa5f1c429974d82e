// SPDX-License-Identifier: GPL-2.0
/*
 * gmctl: what an administrator does with guarded modules, at the monitor of a
 * running QEMU. Dispatches commands. Called as gm-top it is `gmctl top'.
 */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "gmctl.h"

static const struct command commands[] = {
	{ "list", cmd_list, "registered modules: state, signer, grants, crossings" },
	{ "info", cmd_info, "keys, totals, the last violations" },
	{ "register", cmd_register, "offer a signed image to the guest" },
	{ "unregister", cmd_unregister, "withdraw an image" },
	{ "grant", cmd_grant, "give privileges to a module" },
	{ "revoke", cmd_revoke, "take privileges away from a module" },
	{ "events", cmd_events, "follow seals and violations, until Ctrl-C" },
	{ "top", cmd_top, "watch crossings, by module and symbol" },
};

static void usage(FILE *f)
{
	fputs("Usage: gmctl [--qmp PATH | --name NAME] COMMAND [OPTIONS] ...\n\n", f);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(f, "  %-17s  %s\n", commands[i].name, commands[i].what);
	fputs("\nOptions of every command:\n" TARGET_HELP
	      "\n`gmctl COMMAND --help' tells a command's own; `gmctl --version' the version.\n"
	      "Exit status: 0 done, 1 refused, 2 wrong usage, 3 no connection to QEMU.\n", f);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		TARGET_OPTIONS,
		{ "version", no_argument, NULL, OPT_VERSION },
		{ 0 }
	};
	struct target target = { 0 };
	const char *base = argc ? strrchr(argv[0], '/') : NULL;
	int option;

	setlocale(LC_CTYPE, "");
	base = base ? base + 1 : argc ? argv[0] : "gmctl";
	if (!strcmp(base, "gm-top")) {
		tool_name = "gm-top";
		return cmd_top(&target, argc, argv);
	}
	opterr = 0;
	while ((option = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			usage(stdout);
			finish_output();
			return EXIT_DONE;
		case OPT_VERSION:
			printf("gmctl %s\n", GM_TOOLS_VERSION);
			finish_output();
			return EXIT_DONE;
		default:
			target_option(&target, option, NULL, argv[optind - 1]);
		}
	}
	argc -= optind;
	argv += optind;
	for (size_t i = 0; argc && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[0], commands[i].name))
			continue;
		optind = 0;
		return commands[i].run(&target, argc, argv);
	}
	if (argc)
		fprintf(stderr, "gmctl: no such command, `%s'.\n\n", argv[0]);
	usage(stderr);
	return EXIT_USAGE;
}
