// SPDX-License-Identifier: GPL-2.0
/*
 * The live view of gmctl top, on a terminal. It knows no more than the tables.
 *
 * Keeps: however the program ends, the terminal is what it was before.
 */
#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "top.h"

static bool on_screen, colours, idle;
static enum sort sort_by;

static void leave(void)
{
	if (on_screen && !isendwin())
		endwin();
}

void view_begin(enum sort sort)
{
	sort_by = sort;
	if (!initscr())
		fail(EXIT_REFUSED, "this terminal cannot be used: set TERM, or redirect the output");
	on_screen = true;
	before_message = leave;
	atexit(leave);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	if (!getenv("NO_COLOR") && has_colors() && start_color() == OK) {
		use_default_colors();
		init_pair(1, COLOR_RED, -1);
		colours = true;
	}
}

void view_end(void)
{
	leave();
}

/* A line of text, cut at the edge of the screen. */
static void put(int row, attr_t attributes, const char *text)
{
	if (row < 0 || row >= LINES)
		return;
	attrset(attributes);
	mvaddnstr(row, 0, text, -1);
	attrset(A_NORMAL);
	clrtoeol();
}

static int put_table(int row, int last, struct table *t)
{
	for (size_t i = 0; i < table_rows(t) && row <= last; i++, row++) {
		char *text = table_line(t, i);

		put(row, i ? A_NORMAL : A_REVERSE, text);
		free(text);
	}
	return row;
}

/* Modules with violations stand out. */
static void mark_violations(const struct sample *s, int first, int last)
{
	for (size_t i = 0; i < s->nr_modules && first + (int)i <= last; i++)
		if (s->modules[i].violations)
			mvchgat(first + i, 0, -1, A_BOLD, colours ? 1 : 0, NULL);
}

static void draw(struct sample *s, const char *path, double interval, bool paused)
{
	struct table *modules = modules_table(s, sort_by), *symbols;
	int last = LINES - 2, row = 3, room = LINES / 2;
	char *text, *safe;

	erase();
	safe = safe_text(path);
	text = xasprintf("gm-top  %s  every %g s, by %s%s", safe, interval, sort_keys[sort_by].name,
			 paused ? ", paused" : "");
	put(0, A_BOLD, text);
	free(text);
	free(safe);
	text = s->elapsed ? summary_line(s) : xstrdup("rates come with the second look");
	put(1, A_NORMAL, text);
	free(text);
	/* Modules get half of the screen, symbols the rest. */
	row = put_table(row, row + room < last ? row + room : last, modules);
	mark_violations(s, 4, row - 1);
	table_free(modules);
	symbols = symbols_table(s, sort_by, LINES > 0 ? LINES : 0, idle);
	put_table(row + 1, last - 1, symbols);
	table_free(symbols);
	put(LINES - 1, A_DIM, "c crossings  t total  n name  v violations  a activations   "
	    "i idle symbols  + - interval  p pause  q quit");
	refresh();
}

bool view_show(struct sample *s, const char *path, double *interval, double began)
{
	bool paused = false;

	for (;;) {
		int key;

		draw(s, path, *interval, paused);
		if (!wait_input(STDIN_FILENO, paused ? now() + 3600 : began + *interval)) {
			if (stopped())
				return false;
			if (!paused)
				return true;
			continue;
		}
		while ((key = getch()) != ERR) {
			for (int i = 0; i < NR_SORTS; i++)
				if (key == sort_keys[i].key)
					sort_by = i;
			if (key == 'q' || key == 'Q')
				return false;
			if (key == 'i')
				idle = !idle;
			if (key == 'p' || key == ' ')
				paused = !paused;
			if (key == '+' && *interval < 3600)
				*interval = *interval * 2 < 3600 ? *interval * 2 : 3600;
			if (key == '-' && *interval > 0.1)
				*interval = *interval / 2 > 0.1 ? *interval / 2 : 0.1;
		}
	}
}
