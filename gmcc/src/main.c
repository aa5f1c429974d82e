// SPDX-License-Identifier: GPL-2.0
/*
 * gmcc: makes, verifies, signs and shows guarded modules. Dispatches subcommands.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gmcc.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *what;
} commands[] = {
	{ "guard", cmd_guard, "turn a kernel module into a guarded image" },
	{ "verify", cmd_verify, "prove that an image keeps the rules, trusting nothing" },
	{ "build", cmd_build, "build a module's sources into a guarded image" },
	{ "sign", cmd_sign, "sign a guarded image" },
	{ "inspect", cmd_inspect, "show what is in a guarded image" },
};

static void usage(FILE *f)
{
	fputs("Usage: gmcc COMMAND [OPTIONS] FILE\n\n", f);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(f, "  %-8s  %s\n", commands[i].name, commands[i].what);
	fputs("\nWith options alone it is the compiler, as kbuild's CC; `gmcc-ld' is the linker.\n", f);
	fputs("\n`gmcc COMMAND --help' tells the options; `gmcc --version' the version.\n"
	      "Exit status: 0 done, 1 refused or bad input, 2 wrong usage.\n", f);
}

/* Called as kbuild calls a compiler or a linker? */
static bool called_as(const char *name, const char *as)
{
	const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;

	return !strcmp(base, as);
}

int main(int argc, char **argv)
{
	if (argc && called_as(argv[0], "gmcc-ld"))
		return cmd_ld(argc, argv);
	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		usage(stdout);
		return 0;
	}
	if (argc >= 2 && !strcmp(argv[1], "--version")) {
		printf("gmcc %s (manifest version %d)\n", GMCC_VERSION, GM_MANIFEST_VERSION);
		return 0;
	}
	if (argc >= 2 && argv[1][0] == '-')
		return cmd_cc(argc, argv);
	for (size_t i = 0; argc >= 2 && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		argv[1] = (char *)"gmcc";
		return commands[i].run(argc - 1, argv + 1);
	}
	if (argc >= 2)
		fprintf(stderr, "gmcc: no such command, `%s'.\n\n", argv[1]);
	usage(stderr);
	return EXIT_USAGE;
}
