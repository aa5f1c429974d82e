/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What gmctl and gm-run share: exit statuses, messages, text that is safe to
 * print, and the folders of running guests.
 */
#ifndef TOOLS_H
#define TOOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define GM_TOOLS_VERSION "0.1"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum {
	EXIT_DONE	= 0,
	EXIT_REFUSED	= 1,	/* by QEMU, or a file here that is not as it must be */
	EXIT_USAGE	= 2,
	EXIT_CONNECT	= 3,	/* no monitor there, or it went away, or it is none */
};

extern const char *tool_name;

/* Called before a message goes to standard error: the live view leaves the screen. */
extern void (*before_message)(void);

__attribute__((format(printf, 1, 2))) void message(const char *format, ...);
__attribute__((format(printf, 2, 3))) _Noreturn void fail(int status, const char *format, ...);
/* Wrong usage: the message, and where help is; `command' may be NULL. */
__attribute__((format(printf, 2, 3))) _Noreturn void usage_error(const char *command,
								  const char *format, ...);

void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
__attribute__((format(printf, 1, 2))) char *xasprintf(const char *format, ...);

/* A copy that a terminal shows as it is: what is not printable becomes \xNN. */
char *safe_text(const char *s);
/* Columns that safe_text()'s result takes. */
int text_width(const char *s);

/* Standard output was written to the end, or exit status 1. */
void finish_output(void);

/* Seconds of the monotonic clock. */
double now(void);

/* A number of seconds between the two; false if it is none. */
bool parse_seconds(const char *text, double min, double max, double *value);

/* Text in columns, all rows of which are known before the first is printed. */
struct table;
struct table *table_new(size_t columns);
void table_right(struct table *t, size_t column);	/* numbers */
void table_add(struct table *t, const char *text);	/* the next cell, row by row; copied, safe */
__attribute__((format(printf, 2, 3))) void table_addf(struct table *t, const char *format, ...);
size_t table_rows(const struct table *t);
char *table_line(const struct table *t, size_t row);	/* without trailing blanks */
void table_print(const struct table *t, FILE *f);
void table_free(struct table *t);

/*
 * The folder of the folders of guests, $XDG_RUNTIME_DIR/gm-run, or NULL with
 * `why' said. A guest's own folder has its name, and `lock', which gm-run holds
 * while the guest runs; `qmp' and `qmp-events' are its monitors.
 */
char *runs_folder(const char **why);
bool run_is_alive(const char *folder);
bool valid_name(const char *name);

#endif
