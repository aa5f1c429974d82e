// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the border of an image: the manifest's gates, and by the verifier's own
 * decoding how often each is used. What the verifier finds wrong is not said
 * here; privileged instructions are listed.
 */
#include <stdlib.h>
#include <string.h>

#include "border.h"
#include "privilege.h"
#include "verify.h"

static struct border_row *add(struct border_list *l, const char *name)
{
	struct border_row *r;

	l->rows = xgrow(l->rows, l->nr, sizeof(*l->rows));
	r = &l->rows[l->nr++];
	*r = (struct border_row){ .name = name, .note = "" };
	return r;
}

/* Init and exit first, then by name; the order is the same for equal borders. */
static int by_name(const void *a, const void *b)
{
	const struct border_row *x = a, *y = b;
	int c = strcmp(y->note, x->note);

	if (c && (!*x->note || !*y->note))
		return c;
	c = c ? c : strcmp(x->name, y->name);
	return c ? c : x->words < y->words ? -1 : x->words > y->words;
}

static void sort(struct border_list *l)
{
	if (l->nr)
		qsort(l->rows, l->nr, sizeof(*l->rows), by_name);
}

/* Counts at a place that leads to a gate: its stub's start, or its endbr64. */
static void count_at(struct border *b, const struct vimg *v, const struct vsec *s, int64_t off)
{
	static const unsigned int before[] = { 0, 3, 4, 8 };
	const struct gm_gate *g = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(before) && !g && s && s->region >= 0 && off >= 0; i++)
		g = vgate_at(v, s, off + before[i]);
	if (g)
		b->gate_count[g - v->gates]++;
}

static void count_uses(struct border *b, const struct vimg *v)
{
	for (size_t i = 1; i < v->nr_secs; i++) {
		const struct vsec *s = &v->secs[i];

		/* Stubs compare with gates, and fall back on one another: nothing uses these so. */
		if (!strcmp(s->name, GM_SECTION_STUBS))
			continue;
		for (size_t j = 0; j < s->nr_insns; j++)
			if (s->insns[j].kind == V_CALL || s->insns[j].kind == V_JMP ||
			    s->insns[j].kind == V_JCC)
				count_at(b, v, s->insns[j].target_sec, s->insns[j].target);
		for (size_t j = 0; s->flags & SHF_ALLOC && j < s->nr_rels; j++) {
			int64_t off;
			const struct vsec *t = vrel_target(&s->rels[j], 4, &off);

			/* A pointer-relative field in data starts where it points from. */
			if (s->kind != KVM_GM_REGION_TEXT)
				t = vrel_target(&s->rels[j], 0, &off);
			if (t && t->kind == KVM_GM_REGION_GATES)
				count_at(b, v, t, off);
		}
	}
}

static void privileges(struct border *b, const struct vimg *v)
{
	for (size_t i = 0; i < v->nr_findings && i < MAX_FINDINGS; i++) {
		const struct finding *f = &v->findings[i];
		const char *name;
		size_t j = 0;

		if (strcmp(f->kind, "privilege"))
			continue;
		name = xasprintf("%.*s", (int)strcspn(f->text, " :"), f->text);
		while (j < b->privileges.nr && strcmp(b->privileges.rows[j].name, name))
			j++;
		if (j == b->privileges.nr)
			add(&b->privileges, name);
		b->privileges.rows[j].count++;
	}
}

/* `OBJECT: NAME NAME...' of .modinfo; what is not printable is none of ours. */
static void absorbed(struct border *b, const struct vimg *v)
{
	static const char key[] = GM_MODINFO_ABSORBED "=";
	const struct vsec *s = vsec_find(v, ".modinfo");
	const char *p = s ? (const char *)s->data : NULL, *end = p ? p + s->size : NULL;

	for (; p < end; p += strnlen(p, end - p) + 1) {
		size_t len = strnlen(p, end - p), name;
		bool plain = len > sizeof(key) && !strncmp(p, key, sizeof(key) - 1);

		for (size_t i = 0; plain && i < len; i++)
			plain = p[i] >= ' ' && p[i] <= '~';
		name = plain ? strcspn(p + sizeof(key) - 1, ":") : 0;
		if (!name || sizeof(key) - 1 + name + 2 > len)
			continue;
		add(&b->absorbed, xasprintf("%.*s", (int)name, p + sizeof(key) - 1))->note =
			xasprintf("%.*s", (int)(len - sizeof(key) + 1 - name - 2), p + sizeof(key) - 1 + name + 2);
	}
}

static void gates(struct border *b)
{
	const struct image *img = &b->img;

	for (uint32_t i = 0; i < img->man->gates.count; i++) {
		const struct gm_gate *g = &img->gates[i];
		struct border_row *r;

		if (g->kind == KVM_GM_GATE_IN_CALL)
			r = add(&b->entries, image_string(img, g->name));
		else if (g->kind == KVM_GM_GATE_OUT_CALL || g->kind == KVM_GM_GATE_OUT_CALL_INDIRECT)
			r = add(&b->exits, image_string(img, g->name));
		else
			continue;
		r->words = g->stack_words;
		r->count = b->gate_count[i];
		r->note = g->flags & KVM_GM_GATE_F_INIT ? "init" :
			  g->flags & KVM_GM_GATE_F_EXIT ? "exit" :
			  g->kind == KVM_GM_GATE_OUT_CALL_INDIRECT ? "indirect" : "";
	}
}

static void sections(struct border *b)
{
	const struct image *img = &b->img;

	for (uint32_t i = 0; i < img->man->anchors.count; i++) {
		const struct gm_anchor *a = &img->anchors[i];

		if (a->kind == GM_ANCHOR_SHARED)
			add(&b->shared, image_string(img, a->name))->count = a->size;
		else if (a->kind == GM_ANCHOR_EXTERN)
			add(&b->imports, image_string(img, a->name));
	}
	for (uint32_t i = 0; i < img->man->regions.count; i++)
		if (img->regions[i].kind == KVM_GM_REGION_DATA)
			add(&b->privates, image_string(img, img->anchors[img->regions[i].anchor].name))->count =
				img->regions[i].size;
}

static void requests(struct border *b)
{
	for (uint32_t i = 0; i < b->img.man->privileges.count; i++)
		add(&b->requests, privilege_text(&b->img.privileges[i]));
}

void border_read(struct border *b, const char *file, const uint8_t *data, size_t size)
{
	struct vimg v = { .file = file, .data = data, .all_privileges = true };

	memset(b, 0, sizeof(*b));
	b->file = file;
	image_read(&b->img, file, data, size);
	v.size = b->img.size;
	b->gate_count = xalloc((b->img.man->gates.count + 1) * sizeof(*b->gate_count));
	if (verify_elf(&v) && verify_manifest(&v) && verify_regions(&v)) {
		verify_decode(&v);
		count_uses(b, &v);
		privileges(b, &v);
		absorbed(b, &v);
	}
	gates(b);
	sections(b);
	requests(b);
	sort(&b->entries);
	sort(&b->exits);
	sort(&b->shared);
	sort(&b->privates);
	sort(&b->imports);
	sort(&b->requests);
	sort(&b->privileges);
}
