// SPDX-License-Identifier: GPL-2.0
/*
 * gmctl list and gmctl info: what query-gm tells.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gmctl.h"

static void line(const char *label, const char *text)
{
	char *safe = safe_text(text);

	printf("  %-12s %s\n", label, safe);
	free(safe);
}

static void line_free(const char *label, char *text)
{
	line(label, text);
	free(text);
}

static uint64_t all_crossings(struct json_object *module)
{
	struct json_object *c = member_object(module, "crossings");
	uint64_t sum = 0;

	for (int i = 0; i < NR_CROSSINGS; i++)
		sum += member_number(c, crossing_names[i]);
	return sum;
}

static void print_modules(struct json_object *modules)
{
	static const char *const head[] = {
		"MODULE", "STATE", "INSIDE", "CROSSINGS", "VIOLATIONS", "SIGNER", "GRANTS",
	};
	struct table *t = table_new(ARRAY_SIZE(head));
	size_t i, n = json_object_array_length(modules);

	for (i = 0; i < ARRAY_SIZE(head); i++)
		table_add(t, head[i]);
	for (i = 2; i < 5; i++)
		table_right(t, i);
	for (i = 0; i < n; i++) {
		struct json_object *m = element_object(modules, i);
		char *grants = join_strings(optional_array(m, "grants"), "-");
		uint64_t violations;

		free(join_violations(member_array(m, "violations"), &violations));
		table_add(t, member_string(m, "name"));
		table_add(t, member_string(m, "state"));
		table_addf(t, "%" PRIu64 "/%" PRIu64, member_number(m, "activations"),
			   member_number(m, "activations-max"));
		table_addf(t, "%" PRIu64, all_crossings(m));
		table_addf(t, "%" PRIu64, violations);
		table_add(t, member_string(m, "signer"));
		table_add(t, grants);
		free(grants);
	}
	table_print(t, stdout);
	table_free(t);
}

static void print_symbols(struct json_object *symbols)
{
	size_t i, n = json_object_array_length(symbols);
	struct table *t = table_new(3);

	table_right(t, 2);
	for (i = 0; i < n; i++) {
		struct json_object *s = element_object(symbols, i);

		table_add(t, member_string(s, "name"));
		table_add(t, member_string(s, "kind"));
		table_addf(t, "%" PRIu64, member_number(s, "crossings"));
	}
	for (i = 0; i < n; i++) {
		char *row = table_line(t, i);

		printf("  %-12s %s\n", i ? "" : "symbols:", row);
		free(row);
	}
	table_free(t);
}

/* How the module reaches a BAR of a device that it has been granted. */
static void print_bar(const char *grant, struct json_object *bar)
{
	const char *access = member_string(bar, "access");
	uint64_t pages, direct;
	char *how;

	if (optional_number(bar, "pages", &pages) && optional_number(bar, "direct-pages", &direct))
		how = xasprintf("%" PRIu64 " pages of its own, %" PRIu64 " without exits", pages,
				direct);
	else
		how = xstrdup(!strcmp(access, "guest-pages") ? "where the guest maps it" : access);
	line_free("", xasprintf("%s: BAR %" PRIu64 ": %s", grant, member_number(bar, "bar"), how));
	free(how);
}

/* What the guest tried on registers and ports that grants hide from it. */
static void print_hidden(struct json_object *hidden)
{
	for (size_t i = 0; i < json_object_array_length(hidden); i++) {
		struct json_object *h = element_object(hidden, i), *bars;
		uint64_t refused;

		line_free(i ? "" : "hidden:",
			  xasprintf("%s: the guest read %" PRIu64 " times, wrote %" PRIu64 " times",
				    member_string(h, "grant"), member_number(h, "reads"),
				    member_number(h, "writes")));
		if (optional_number(h, "config-writes", &refused) && refused)
			line_free("", xasprintf("%s: %" PRIu64 " writes to configuration space "
						"were refused", member_string(h, "grant"), refused));
		bars = optional_array(h, "bars");
		for (size_t j = 0; bars && j < json_object_array_length(bars); j++)
			print_bar(member_string(h, "grant"), element_object(bars, j));
	}
}

static void print_module(struct json_object *m)
{
	struct json_object *crossings = member_object(m, "crossings"), *symbols;
	char *name = safe_text(member_string(m, "name"));
	char *state = safe_text(member_string(m, "state"));
	uint64_t lost = member_number(m, "activations-lost"), seal;
	struct table *t;
	char *text;

	printf("%s: %s", name, state);
	if (optional_number(m, "seal", &seal))
		printf(" (seal %" PRIu64 ")", seal);
	putchar('\n');
	line("signer:", member_string(m, "signer"));
	line("file:", member_string(m, "file"));
	line("id:", member_string(m, "id"));
	line_free("size:", xasprintf("%" PRIu64 " bytes, %" PRIu64 " pages, %" PRIu64 " of them "
				     "sealed, %" PRIu64 " gates", member_number(m, "size"),
				     member_number(m, "pages"), member_number(m, "sealed-pages"),
				     member_number(m, "gates")));
	text = lost ? xasprintf(", %" PRIu64 " lost", lost) : xstrdup("");
	line_free("inside:", xasprintf("%" PRIu64 " of %" PRIu64 " activations%s",
				       member_number(m, "activations"),
				       member_number(m, "activations-max"), text));
	free(text);
	line_free("asks for:", join_strings(optional_array(m, "requests"), "nothing"));
	line_free("granted:", join_strings(optional_array(m, "grants"), "nothing"));
	if (optional_array(m, "hidden"))
		print_hidden(optional_array(m, "hidden"));
	if (optional_string(m, "policy"))
		line("policy:", optional_string(m, "policy"));
	line_free("violations:", join_violations(member_array(m, "violations"), NULL));
	t = table_new(2);
	table_right(t, 1);
	for (int i = 0; i < NR_CROSSINGS; i++) {
		table_add(t, crossing_names[i]);
		table_addf(t, "%" PRIu64, member_number(crossings, crossing_names[i]));
	}
	for (int i = 0; i < NR_CROSSINGS; i++) {
		text = table_line(t, i);
		printf("  %-12s %s\n", i ? "" : "crossings:", text);
		free(text);
	}
	table_free(t);
	symbols = optional_array(m, "symbols");
	if (symbols)
		print_symbols(symbols);
	free(state);
	free(name);
}

int cmd_list(struct target *target, int argc, char **argv)
{
	static const char help[] =
		"Usage: gmctl list [--json] [-v]\n\n"
		"Registered modules, in the order in which the guest sees them.\n\n"
		"  --json             QEMU's own answer: an array of modules\n"
		"  -v, --verbose      all that is known of each, and crossings by symbol\n"
		TARGET_HELP;
	enum { OPT_JSON = OPT_OWN };
	static const struct option options[] = {
		TARGET_OPTIONS,
		{ "json", no_argument, NULL, OPT_JSON },
		{ "verbose", no_argument, NULL, 'v' },
		{ 0 }
	};
	bool json = false, verbose = false;
	struct json_object *info, *modules, *arguments = NULL;
	struct qmp *q;
	int option;

	while ((option = getopt_long(argc, argv, ":hv", options, NULL)) != -1) {
		switch (option) {
		case OPT_JSON:
			json = true;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			target_option(target, option, "list",
				      option == 'h' ? help : argv[optind - 1]);
		}
	}
	if (optind != argc)
		usage_error("list", "`%s' is too much: it takes no arguments", argv[optind]);
	if (verbose) {
		arguments = json_object_new_object();
		json_object_object_add(arguments, "symbols", json_object_new_boolean(true));
	}
	q = target_open(target);
	info = execute(q, "query-gm", arguments, -1);
	modules = member_array(info, "modules");
	if (json)
		print_json(modules);
	else if (!json_object_array_length(modules))
		puts("no modules are registered");
	else if (!verbose)
		print_modules(modules);
	for (size_t i = 0; verbose && !json && i < json_object_array_length(modules); i++)
		print_module(element_object(modules, i));
	json_object_put(info);
	qmp_close(q);
	finish_output();
	return EXIT_DONE;
}

static void print_info(struct json_object *info)
{
	struct json_object *keys = member_array(info, "keys"), *last, *modules;
	size_t i, sealed = 0;
	char *text;

	modules = member_array(info, "modules");
	for (i = 0; i < json_object_array_length(modules); i++)
		sealed += !strcmp(member_string(element_object(modules, i), "state"), "sealed");
	if (!member_bool(info, "can-seal"))
		puts("sealing: not possible, QEMU runs without KVM");
	for (i = 0; i < json_object_array_length(keys); i++) {
		text = safe_text(json_object_get_string(json_object_array_get_idx(keys, i)));
		printf("key: %s\n", text);
		free(text);
	}
	printf("modules: %zu registered, %zu sealed\n", json_object_array_length(modules), sealed);
	printf("seals refused: %" PRIu64 "\n", member_number(info, "seals-refused"));
	text = join_violations(member_array(info, "violations"), NULL);
	printf("violations: %" PRIu64 " (%s)\n", member_number(info, "violations-total"), text);
	free(text);
	last = member_array(info, "last-violations");
	for (i = 0; i < json_object_array_length(last); i++) {
		text = describe(element_object(last, i));
		printf("  %s\n", text);
		free(text);
	}
}

int cmd_info(struct target *target, int argc, char **argv)
{
	static const char help[] =
		"Usage: gmctl info [--json]\n\n"
		"The keyring, totals, and the last violations, oldest first.\n\n"
		"  --json             QEMU's own answer, without the modules\n"
		TARGET_HELP;
	enum { OPT_JSON = OPT_OWN };
	static const struct option options[] = {
		TARGET_OPTIONS,
		{ "json", no_argument, NULL, OPT_JSON },
		{ 0 }
	};
	struct json_object *info;
	bool json = false;
	struct qmp *q;
	int option;

	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == OPT_JSON)
			json = true;
		else
			target_option(target, option, "info",
				      option == 'h' ? help : argv[optind - 1]);
	}
	if (optind != argc)
		usage_error("info", "`%s' is too much: it takes no arguments", argv[optind]);
	q = target_open(target);
	info = execute(q, "query-gm", NULL, -1);
	if (json) {
		json_object_object_del(info, "modules");
		print_json(info);
	} else {
		print_info(info);
	}
	json_object_put(info);
	qmp_close(q);
	finish_output();
	return EXIT_DONE;
}
