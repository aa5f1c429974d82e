// SPDX-License-Identifier: GPL-2.0
/*
 * Messages, memory and text.
 *
 * Keeps: what comes from QEMU (names in images, of certificates and files) gets
 * to the terminal by safe_text() alone, so that it cannot drive it.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "tools.h"

const char *tool_name = "gmctl";
void (*before_message)(void);

static void vmessage(const char *format, va_list args)
{
	if (before_message)
		before_message();
	fflush(stdout);
	fprintf(stderr, "%s: ", tool_name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void message(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vmessage(format, args);
	va_end(args);
}

_Noreturn void fail(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vmessage(format, args);
	va_end(args);
	exit(status);
}

_Noreturn void usage_error(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vmessage(format, args);
	va_end(args);
	fprintf(stderr, "`%s%s%s --help' tells the options.\n", tool_name, command ? " " : "",
		command ? command : "");
	exit(EXIT_USAGE);
}

static void *must(void *p)
{
	if (!p)
		fail(EXIT_REFUSED, "out of memory");
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	return must(calloc(n ? n : 1, size));
}

void *xrealloc(void *p, size_t size)
{
	return must(realloc(p, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return must(strdup(s));
}

char *xasprintf(const char *format, ...)
{
	va_list args;
	char *s;

	va_start(args, format);
	if (vasprintf(&s, format, args) < 0)
		s = NULL;
	va_end(args);
	return must(s);
}

char *safe_text(const char *s)
{
	char *safe = xcalloc(strlen(s) + 1, 4), *to = safe;
	mbstate_t state = { 0 };

	while (*s) {
		wchar_t c;
		size_t n = mbrtowc(&c, s, strlen(s), &state);

		if (n == (size_t)-1 || n == (size_t)-2) {
			memset(&state, 0, sizeof(state));
			n = 1;
			c = L'\0';
		}
		if (c && iswprint(c) && wcwidth(c) > 0) {
			memcpy(to, s, n);
			to += n;
			s += n;
			continue;
		}
		for (; n; n--)
			to += sprintf(to, "\\x%02x", (unsigned char)*s++);
	}
	return safe;
}

int text_width(const char *s)
{
	mbstate_t state = { 0 };
	int width = 0;

	while (*s) {
		wchar_t c;
		size_t n = mbrtowc(&c, s, strlen(s), &state);

		if (n == (size_t)-1 || n == (size_t)-2)
			return width + (int)strlen(s);
		width += wcwidth(c) > 0 ? wcwidth(c) : 0;
		s += n;
	}
	return width;
}

void finish_output(void)
{
	if (fflush(stdout) || ferror(stdout))
		fail(EXIT_REFUSED, "cannot write to standard output: %s", strerror(errno));
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

bool parse_seconds(const char *text, double min, double max, double *value)
{
	char *end;

	errno = 0;
	*value = strtod(text, &end);
	return end != text && !*end && !errno && isfinite(*value) && *value >= min && *value <= max;
}

struct table {
	size_t columns, cells, room;
	bool *right;
	int *width;
	char **cell;
};

struct table *table_new(size_t columns)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->columns = columns;
	t->right = xcalloc(columns, sizeof(*t->right));
	t->width = xcalloc(columns, sizeof(*t->width));
	return t;
}

void table_right(struct table *t, size_t column)
{
	t->right[column] = true;
}

void table_add(struct table *t, const char *text)
{
	size_t column = t->cells % t->columns;
	int width;

	if (t->cells == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->cell = xrealloc(t->cell, t->room * sizeof(*t->cell));
	}
	t->cell[t->cells] = safe_text(text);
	width = text_width(t->cell[t->cells++]);
	if (width > t->width[column])
		t->width[column] = width;
}

void table_addf(struct table *t, const char *format, ...)
{
	va_list args;
	char *s;

	va_start(args, format);
	if (vasprintf(&s, format, args) < 0)
		s = NULL;
	va_end(args);
	table_add(t, must(s));
	free(s);
}

size_t table_rows(const struct table *t)
{
	return t->cells / t->columns;
}

char *table_line(const struct table *t, size_t row)
{
	char *line = NULL;
	size_t size, c;
	FILE *f = must(open_memstream(&line, &size));

	for (c = 0; c < t->columns; c++) {
		const char *text = t->cell[row * t->columns + c];
		int pad = t->width[c] - text_width(text);

		fprintf(f, "%s%*s%s%*s", c ? "  " : "", t->right[c] ? pad : 0, "", text,
			t->right[c] ? 0 : pad, "");
	}
	fclose(f);
	for (size = strlen(must(line)); size && line[size - 1] == ' '; size--)
		line[size - 1] = '\0';
	return line;
}

void table_print(const struct table *t, FILE *f)
{
	for (size_t row = 0; row < table_rows(t); row++) {
		char *line = table_line(t, row);

		fprintf(f, "%s\n", line);
		free(line);
	}
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->cells; i++)
		free(t->cell[i]);
	free(t->cell);
	free(t->width);
	free(t->right);
	free(t);
}
