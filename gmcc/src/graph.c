// SPDX-License-Identifier: GPL-2.0
/*
 * gmcc inspect --graph: the border as a picture. Entries stand left, the module
 * in the middle, exits right, each with its count. As SVG, drawn here so that
 * it takes no other program; or as DOT, for graphviz.
 */
#include <string.h>

#include "border.h"
#include "privilege.h"

/* Of the picture, in pixels. */
enum {
	MARGIN = 24, ROW = 22, BOX = 17, PAD = 8, COUNT = 34,
	GAP = 130, MODULE = 210, HEAD = 64, FOOT = 30, MODULE_MIN = 150, LINE = 18,
};

static const char *const style =
	"text{font:12px 'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1f2328}"
	"text.h{font-weight:bold;font-size:14px}text.n{fill:#656d76}text.t{font-weight:bold;font-size:16px}"
	"rect.in{fill:#ddf4ff;stroke:#0969da}rect.life{fill:#b6e3ff;stroke:#0550ae}"
	"rect.out{fill:#fff8c5;stroke:#9a6700}rect.ind{fill:#ffebe9;stroke:#cf222e}"
	"rect.mod{fill:#f6f8fa;stroke:#1f2328;stroke-width:2}"
	"path{fill:none;stroke-opacity:.55}path.in{stroke:#0969da}path.out{stroke:#9a6700}path.ind{stroke:#cf222e}";

static void xml(const char *s)
{
	for (; *s; s++) {
		unsigned char c = *s;

		if (c == '<')
			fputs("&lt;", stdout);
		else if (c == '>')
			fputs("&gt;", stdout);
		else if (c == '&')
			fputs("&amp;", stdout);
		else if (c == '"')
			fputs("&quot;", stdout);
		else if (c < 0x20 || c >= 0x7f)
			putchar('?');
		else
			putchar(c);
	}
}

static void text(unsigned int x, unsigned int y, const char *class, const char *anchor, const char *s)
{
	printf("<text x=\"%u\" y=\"%u\" class=\"%s\" text-anchor=\"%s\">", x, y, class, anchor);
	xml(s);
	printf("</text>\n");
}

/* Pixels that the longest name takes, 12 px high: 7.25 a character. */
static unsigned int longest(const struct border_list *l)
{
	unsigned int least = 14;

	for (size_t i = 0; i < l->nr; i++) {
		size_t n = strlen(l->rows[i].name);

		if (n > least)
			least = n;
	}
	return least * 29 / 4;
}

/* The more often, the thicker. */
static unsigned int thickness(size_t count)
{
	unsigned int w = 1;

	for (; count > 1 && w < 6; count /= 2)
		w++;
	return w;
}

struct layout {
	unsigned int left, right;	/* widths of the columns' boxes */
	unsigned int mod_x, right_x, width;
	unsigned int mod_y, mod_h, height;
};

static struct layout lay_out(const struct border *b)
{
	size_t rows = b->entries.nr > b->exits.nr ? b->entries.nr : b->exits.nr;
	struct layout l;

	l.left = longest(&b->entries) + 2 * PAD;
	l.right = longest(&b->exits) + 2 * PAD;
	l.mod_x = MARGIN + COUNT + l.left + GAP;
	l.right_x = l.mod_x + MODULE + GAP;
	l.width = l.right_x + l.right + COUNT + MARGIN;
	l.mod_h = rows * ROW > MODULE_MIN ? rows * ROW : MODULE_MIN;
	l.mod_y = HEAD;
	l.height = l.mod_y + l.mod_h + FOOT;
	return l;
}

/* What is asked for, a line each under the picture's last. */
static unsigned int requests_height(const struct border *b)
{
	uint32_t nr = b->img.man->privileges.count;

	return nr ? (nr + 1) * LINE : 0;
}

static void svg_requests(const struct border *b, const struct layout *l)
{
	unsigned int y = l->height + LINE / 2;

	if (b->img.man->privileges.count)
		text(MARGIN, y, "h", "start", "requested privileges");
	for (uint32_t i = 0; i < b->img.man->privileges.count; i++)
		text(MARGIN, y += LINE, "", "start", privilege_text(&b->img.privileges[i]));
}

/* Row @i of @nr: spread over the module's height. */
static unsigned int row_y(const struct layout *l, size_t i, size_t nr)
{
	return l->mod_y + (2 * i + 1) * l->mod_h / (2 * nr);
}

static void curve(unsigned int x1, unsigned int y1, unsigned int x2, unsigned int y2,
		  const char *class, unsigned int width)
{
	unsigned int mid = (x1 + x2) / 2;

	printf("<path class=\"%s\" stroke-width=\"%u\" d=\"M%u %uC%u %u %u %u %u %u\" marker-end=\"url(#%s)\"/>\n",
	       class, width, x1, y1, mid, y1, mid, y2, x2, y2, class);
}

/* Where the lines meet the module: close together, around its middle. */
static unsigned int port_y(const struct layout *l, size_t i, size_t nr)
{
	unsigned int span = l->mod_h * 3 / 5;

	return l->mod_y + l->mod_h / 5 + (2 * i + 1) * span / (2 * nr);
}

static void svg_entries(const struct border *b, const struct layout *l)
{
	for (size_t i = 0; i < b->entries.nr; i++) {
		const struct border_row *r = &b->entries.rows[i];
		unsigned int y = row_y(l, i, b->entries.nr), x = MARGIN + COUNT;

		curve(x + l->left, y, l->mod_x - 6, port_y(l, i, b->entries.nr), "in", 1);
		printf("<rect class=\"%s\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" rx=\"3\"/>\n",
		       *r->note ? "life" : "in", x, y - BOX / 2, l->left, BOX);
		text(x + PAD, y + 4, "", "start", r->name);
		text(x - 5, y + 4, "n", "end", *r->note ? r->note : xasprintf("%zu", r->count));
	}
}

static void svg_exits(const struct border *b, const struct layout *l)
{
	for (size_t i = 0; i < b->exits.nr; i++) {
		const struct border_row *r = &b->exits.rows[i];
		unsigned int y = row_y(l, i, b->exits.nr);
		const char *class = *r->note ? "ind" : "out";

		curve(l->mod_x + MODULE, port_y(l, i, b->exits.nr), l->right_x - 6, y, class,
		      thickness(r->count));
		printf("<rect class=\"%s\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" rx=\"3\"/>\n", class,
		       l->right_x, y - BOX / 2, l->right, BOX);
		text(l->right_x + PAD, y + 4, "", "start", *r->note ? xasprintf("*%s", r->name) : r->name);
		text(l->right_x + l->right + 5, y + 4, "n", "start", xasprintf("%zu", r->count));
	}
}

static void svg_module(const struct border *b, const struct layout *l)
{
	const struct gm_manifest *m = b->img.man;
	unsigned int x = l->mod_x + MODULE / 2, y = l->mod_y + l->mod_h / 2 - 45;
	size_t sites = 0;

	for (size_t i = 0; i < b->exits.nr; i++)
		sites += b->exits.rows[i].count;
	printf("<rect class=\"mod\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" rx=\"6\"/>\n", l->mod_x,
	       l->mod_y, (unsigned int)MODULE, l->mod_h);
	text(x, y, "h", "middle", m->name);
	text(x, y + 24, "", "middle", xasprintf("%zu entries, %zu exits", b->entries.nr, b->exits.nr));
	text(x, y + 42, "", "middle", xasprintf("%zu call sites", sites));
	text(x, y + 60, "", "middle", xasprintf("%u stacks of %u pages", m->nr_stacks, m->stack_pages));
	text(x, y + 78, "", "middle", xasprintf("%zu shared, %zu private", b->shared.nr, b->privates.nr));
	text(x, y + 96, "", "middle", b->privileges.nr ? xasprintf("%zu privileged kinds", b->privileges.nr) :
	     "no privileged instruction");
}

void graph_svg(const struct border *b)
{
	static const char *const markers[][2] = { { "in", "#0969da" }, { "out", "#9a6700" }, { "ind", "#cf222e" } };
	struct layout l = lay_out(b);
	unsigned int height = l.height + requests_height(b);

	printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" viewBox=\"0 0 %u %u\">\n",
	       l.width, height, l.width, height);
	printf("<title>Border of the guarded module %s</title>\n<style>%s</style>\n<defs>", b->img.man->name,
	       style);
	for (size_t i = 0; i < ARRAY_SIZE(markers); i++)
		printf("<marker id=\"%s\" markerUnits=\"userSpaceOnUse\" markerWidth=\"9\" markerHeight=\"8\" "
		       "refX=\"2\" refY=\"4\" orient=\"auto\"><polygon points=\"0,0 9,4 0,8\" fill=\"%s\"/></marker>",
		       markers[i][0], markers[i][1]);
	printf("</defs>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n");
	text(l.width / 2, 24, "t", "middle", xasprintf("Border of %s", b->img.man->name));
	text(MARGIN + COUNT + l.left / 2, 50, "h", "middle", "entries (pointers)");
	text(l.right_x + l.right / 2, 50, "h", "middle", "exits (call sites)");
	svg_entries(b, &l);
	svg_exits(b, &l);
	svg_module(b, &l);
	text(MARGIN, l.height - 10, "n", "start",
	     "Through gates only. *register: calls through a pointer in it.");
	svg_requests(b, &l);
	printf("</svg>\n");
}

/* A string in DOT: quotes and backslashes escaped. */
static void dot_characters(const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
}

static void dot_string(const char *s)
{
	putchar('"');
	dot_characters(s);
	putchar('"');
}

void graph_dot(const struct border *b)
{
	printf("digraph border {\n\trankdir=LR;\n\tnode [shape=box, fontname=monospace, fontsize=10];\n");
	printf("\tmodule [shape=box, penwidth=2, label=");
	putchar('"');
	dot_characters(b->img.man->name);
	for (uint32_t i = 0; i < b->img.man->privileges.count; i++)
		printf("\\n%s", privilege_text(&b->img.privileges[i]));
	printf("\"];\n");
	for (size_t i = 0; i < b->entries.nr; i++) {
		const struct border_row *r = &b->entries.rows[i];

		printf("\tin%zu [color=blue, label=", i);
		dot_string(r->name);
		printf("];\n\tin%zu -> module [color=blue, label=\"%s%s%zu\"];\n", i, r->note, *r->note ? " " : "",
		       r->count);
	}
	for (size_t i = 0; i < b->exits.nr; i++) {
		const struct border_row *r = &b->exits.rows[i];
		const char *color = *r->note ? "red" : "orange";

		printf("\tout%zu [color=%s, label=", i, color);
		dot_string(*r->note ? xasprintf("*%s", r->name) : r->name);
		printf("];\n\tmodule -> out%zu [color=%s, penwidth=%u, label=\"%zu\"];\n", i, color,
		       thickness(r->count), r->count);
	}
	printf("}\n");
}
