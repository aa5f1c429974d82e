// SPDX-License-Identifier: GPL-2.0
/*
 * gmctl top: crossings per second, of modules and symbols. It connects for each
 * look and leaves between two, so that others can use the monitor.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "top.h"

#define PLAIN_SYMBOLS 20

const struct sort_key sort_keys[NR_SORTS] = {
	[SORT_RATE] = { 'c', "crossings" },
	[SORT_TOTAL] = { 't', "total" },
	[SORT_NAME] = { 'n', "name" },
	[SORT_VIOLATIONS] = { 'v', "violations" },
	[SORT_ACTIVATIONS] = { 'a', "activations" },
};

static enum sort sorting;

static int descending(double a, double b)
{
	return (a < b) - (a > b);
}

static int compare_modules(const void *left, const void *right)
{
	const struct module *a = left, *b = right;
	int order = 0;

	switch (sorting) {
	case SORT_VIOLATIONS:
		order = descending(a->violations, b->violations);
		break;
	case SORT_ACTIVATIONS:
		order = descending(a->activations, b->activations);
		break;
	case SORT_TOTAL:
		order = descending(a->all, b->all);
		break;
	default:
		break;
	}
	if (!order && sorting != SORT_NAME)
		order = descending(a->all_rate, b->all_rate);
	return order ? order : strcmp(a->name, b->name);
}

struct row {
	const struct module *module;
	const struct symbol *symbol;
};

static int compare_symbols(const void *left, const void *right)
{
	const struct row *a = left, *b = right;
	int order = 0;

	if (sorting == SORT_TOTAL)
		order = (a->symbol->crossings < b->symbol->crossings) -
			(a->symbol->crossings > b->symbol->crossings);
	else if (sorting != SORT_NAME)
		order = descending(a->symbol->rate, b->symbol->rate);
	order = order ? order : strcmp(a->symbol->name, b->symbol->name);
	return order ? order : strcmp(a->module->name, b->module->name);
}

struct table *modules_table(struct sample *s, enum sort sort)
{
	static const char *const head[] = {
		"MODULE", "STATE", "INSIDE", "IN-CALL/s", "OUT-RETURN/s", "OUT-CALL/s",
		"IN-RETURN/s", "EVENT-EXIT/s", "RESUME/s", "ALL/s", "VIOLATIONS",
	};
	struct table *t = table_new(ARRAY_SIZE(head));
	size_t i;

	for (i = 0; i < ARRAY_SIZE(head); i++) {
		table_add(t, head[i]);
		if (i >= 2)
			table_right(t, i);
	}
	sorting = sort;
	qsort(s->modules, s->nr_modules, sizeof(*s->modules), compare_modules);
	for (i = 0; i < s->nr_modules; i++) {
		const struct module *m = &s->modules[i];

		table_add(t, m->name);
		table_add(t, m->state);
		table_addf(t, "%" PRIu64 "/%" PRIu64, m->activations, m->activations_max);
		for (int k = 0; k < NR_CROSSINGS; k++)
			table_addf(t, "%.1f", m->rate[k]);
		table_addf(t, "%.1f", m->all_rate);
		table_addf(t, "%" PRIu64, m->violations);
	}
	return t;
}

struct table *symbols_table(const struct sample *s, enum sort sort, size_t max, bool idle)
{
	static const char *const head[] = {
		"SYMBOL", "MODULE", "KIND", "CROSSINGS/s", "CROSSINGS",
	};
	struct table *t = table_new(ARRAY_SIZE(head));
	size_t i, k, n = 0;
	struct row *rows;

	for (i = 0; i < ARRAY_SIZE(head); i++)
		table_add(t, head[i]);
	table_right(t, 3);
	table_right(t, 4);
	for (i = 0; i < s->nr_modules; i++)
		n += s->modules[i].nr_symbols;
	rows = xcalloc(n, sizeof(*rows));
	for (i = n = 0; i < s->nr_modules; i++) {
		const struct module *m = &s->modules[i];

		for (k = 0; k < m->nr_symbols; k++)
			if (idle || m->symbols[k].crossings)
				rows[n++] = (struct row){ m, &m->symbols[k] };
	}
	sorting = sort;
	qsort(rows, n, sizeof(*rows), compare_symbols);
	for (i = 0; i < n && i < max; i++) {
		table_add(t, rows[i].symbol->name);
		table_add(t, rows[i].module->name);
		table_add(t, rows[i].symbol->kind);
		table_addf(t, "%.1f", rows[i].symbol->rate);
		table_addf(t, "%" PRIu64, rows[i].symbol->crossings);
	}
	free(rows);
	return t;
}

char *summary_line(const struct sample *s)
{
	double all = 0;

	for (size_t i = 0; i < s->nr_modules; i++)
		all += s->modules[i].all_rate;
	return xasprintf("%zu modules, %.1f crossings/s, %" PRIu64 " violations, %" PRIu64
			 " seals refused, over %.1f s", s->nr_modules, all, s->violations,
			 s->seals_refused, s->elapsed);
}

static void print_plain(struct sample *s, enum sort sort)
{
	static bool again;
	char *summary = summary_line(s);
	struct table *t;

	printf("%s%s\n\n", again ? "\n" : "", summary);
	again = true;
	free(summary);
	t = modules_table(s, sort);
	table_print(t, stdout);
	table_free(t);
	t = symbols_table(s, sort, PLAIN_SYMBOLS, false);
	if (table_rows(t) > 1) {
		putchar('\n');
		table_print(t, stdout);
	}
	table_free(t);
}

static void add_number(struct json_object *o, const char *key, double value)
{
	char *text = xasprintf("%.3f", value);

	json_object_object_add(o, key, json_object_new_double_s(value, text));
	free(text);
}

static struct json_object *module_json(const struct module *m)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	struct json_object *totals = json_object_new_object(), *rates = json_object_new_object();

	json_object_object_add(o, "name", json_object_new_string(m->name));
	json_object_object_add(o, "id", json_object_new_string(m->id));
	json_object_object_add(o, "state", json_object_new_string(m->state));
	json_object_object_add(o, "activations", json_object_new_uint64(m->activations));
	json_object_object_add(o, "activations-max", json_object_new_uint64(m->activations_max));
	json_object_object_add(o, "violations", json_object_new_uint64(m->violations));
	add_number(o, "violations-per-second", m->violations_rate);
	for (int k = 0; k < NR_CROSSINGS; k++) {
		json_object_object_add(totals, crossing_names[k],
				       json_object_new_uint64(m->crossings[k]));
		add_number(rates, crossing_names[k], m->rate[k]);
	}
	json_object_object_add(o, "crossings", totals);
	json_object_object_add(o, "crossings-per-second", rates);
	for (size_t i = 0; i < m->nr_symbols; i++) {
		const struct symbol *s = &m->symbols[i];
		struct json_object *symbol = json_object_new_object();

		json_object_object_add(symbol, "name", json_object_new_string(s->name));
		json_object_object_add(symbol, "kind", json_object_new_string(s->kind));
		json_object_object_add(symbol, "crossings", json_object_new_uint64(s->crossings));
		add_number(symbol, "crossings-per-second", s->rate);
		json_object_array_add(list, symbol);
	}
	json_object_object_add(o, "symbols", list);
	return o;
}

static void print_sample_json(const struct sample *s)
{
	struct json_object *o = json_object_new_object(), *modules = json_object_new_array();
	struct timeval t;

	gettimeofday(&t, NULL);
	add_number(o, "time", t.tv_sec + t.tv_usec / 1e6);
	add_number(o, "interval", s->elapsed);
	json_object_object_add(o, "violations-total", json_object_new_uint64(s->violations));
	json_object_object_add(o, "seals-refused", json_object_new_uint64(s->seals_refused));
	for (size_t i = 0; i < s->nr_modules; i++)
		json_object_array_add(modules, module_json(&s->modules[i]));
	json_object_object_add(o, "modules", modules);
	print_json(o);
	json_object_put(o);
}

/* NULL if stopped. */
static struct sample *look(const char *path, double timeout)
{
	struct json_object *arguments = json_object_new_object(), *info;
	struct qmp *q = qmp_open(path, timeout);
	struct sample *s = NULL;

	json_object_object_add(arguments, "symbols", json_object_new_boolean(true));
	if (q && !stopped()) {
		info = qmp_execute(q, "query-gm", arguments, -1);
		if (info)
			s = sample_new(info, now());
		else if (!stopped())
			refused("query-gm", qmp_error(q));
		json_object_put(info);
	} else {
		json_object_put(arguments);
	}
	qmp_close(q);
	return s;
}

static enum sort parse_sort(const char *text)
{
	for (int i = 0; i < NR_SORTS; i++)
		if (!strcmp(text, sort_keys[i].name))
			return i;
	usage_error("top", "--sort wants crossings, total, name, violations or activations, not `%s'",
		    text);
}

int cmd_top(struct target *target, int argc, char **argv)
{
	static const char help[] =
		"Usage: gmctl top [--interval SECONDS] [--sort KEY] [--once] [--json]\n"
		"       gm-top [OPTIONS]\n\n"
		"Crossings per second by kind, violations and threads inside, of each module and each\n"
		"symbol. On a terminal the view is live: keys c, t, n, v, a sort, + and - change the\n"
		"interval, i shows idle symbols, p pauses, q quits. Elsewhere it prints tables.\n\n"
		"  --interval SECONDS  between two looks, 0.1 to 3600 [2]\n"
		"  --sort KEY         crossings, total, name, violations or activations [crossings]\n"
		"  --once             one table, after one interval\n"
		"  --json             one object for each interval\n"
		TARGET_HELP;
	enum { OPT_JSON = OPT_OWN, OPT_INTERVAL, OPT_SORT, OPT_ONCE };
	static const struct option options[] = {
		TARGET_OPTIONS,
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "interval", required_argument, NULL, OPT_INTERVAL },
		{ "sort", required_argument, NULL, OPT_SORT },
		{ "once", no_argument, NULL, OPT_ONCE },
		{ 0 }
	};
	bool json = false, once = false, live;
	struct sample *s, *before = NULL;
	double interval = 2, next;
	enum sort sort = SORT_RATE;
	char *path;
	int option;

	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (option) {
		case OPT_JSON:
			json = true;
			break;
		case OPT_ONCE:
			once = true;
			break;
		case OPT_SORT:
			sort = parse_sort(optarg);
			break;
		case OPT_INTERVAL:
			if (!parse_seconds(optarg, 0.1, 3600, &interval))
				usage_error("top", "--interval wants seconds, 0.1 to 3600, not `%s'",
					    optarg);
			break;
		case OPT_VERSION:
			printf("%s %s\n", tool_name, GM_TOOLS_VERSION);
			finish_output();
			return EXIT_DONE;
		default:
			target_option(target, option, "top",
				      option == 'h' ? help : argv[optind - 1]);
		}
	}
	if (optind != argc)
		usage_error("top", "`%s' is too much: it takes no arguments", argv[optind]);
	live = !json && !once && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	path = target_path(target);
	stop_on_signals();
	for (next = now();; next += interval) {
		s = look(path, target_timeout(target));
		if (!s)
			break;
		if (next < now() - interval)
			next = now();	/* answers take longer than an interval */
		if (before)
			sample_rate(s, before);
		if (live) {
			if (!before) {
				view_begin(sort);
				s->elapsed = 0;
			}
			if (!view_show(s, path, &interval, next)) {
				sample_free(s);
				break;
			}
		} else {
			if (before && json)
				print_sample_json(s);
			else if (before)
				print_plain(s, sort);
			if (before)
				finish_output();
			if (before && once) {
				sample_free(s);
				break;
			}
			wait_input(-1, next + interval);
		}
		sample_free(before);
		before = s;
	}
	view_end();
	sample_free(before);
	free(path);
	return EXIT_DONE;
}
