// SPDX-License-Identifier: GPL-2.0
/*
 * .gm.pointers (gm_image.h is the format): which arguments of each gate are
 * pointers, and to what, by the prototypes in BTF. Made for an image if there is
 * a kernel's BTF; read by inspect and by verify.
 */
#include <string.h>

#include "gmcc.h"
#include "pointers.h"

struct builder {
	struct gm_pointer *pointers;
	char *strings;
	size_t nr, strings_size;
};

/* There are few types in a module, and the same ones again and again. */
static uint32_t string(struct builder *b, const char *s)
{
	size_t n = strlen(s) + 1, off = 0;

	while (off < b->strings_size && strcmp(b->strings + off, s))
		off += strlen(b->strings + off) + 1;
	if (off < b->strings_size)
		return off;
	for (size_t i = 0; i < n; i++) {
		b->strings = xgrow(b->strings, b->strings_size, 1);
		b->strings[b->strings_size++] = s[i];
	}
	return off;
}

static void add(struct builder *b, struct obj *o, const struct sec *s, uint32_t off,
		const char *function, bool own)
{
	struct kbtf_pointer p[GM_POINTER_ARGUMENTS];
	unsigned int nr = kbtf_pointers(o, function, own, p);

	for (unsigned int i = 0; i < nr; i++) {
		b->pointers = xgrow(b->pointers, b->nr, sizeof(*b->pointers));
		b->pointers[b->nr++] = (struct gm_pointer){
			.region = s->region, .offset = off, .type = string(b, p[i].type),
			.size = p[i].size, .argument = p[i].argument, .flags = p[i].flags,
		};
	}
}

void pointers_build(struct obj *o)
{
	struct builder b = { 0 };
	struct gm_pointers h = { .magic = GM_POINTERS_MAGIC, .version = GM_POINTERS_VERSION };
	size_t size;
	struct sec *s;

	if (!o->opt->btf)
		return;
	string(&b, "");
	/* In the order of the manifest's gates. */
	for (size_t i = 0; i < o->nr_gates; i++)
		add(&b, o, o->s_gates, o->gates[i]->slot + GATE_IN_CALL_INSN, o->gates[i]->name, true);
	for (size_t i = 0; i < o->nr_stubs; i++)
		if (o->stubs[i]->target && !o->stubs[i]->target->sec)
			add(&b, o, o->s_stubs, o->stubs[i]->insn, o->stubs[i]->name, false);
	if (!b.nr)
		return;
	h.pointers = (struct gm_table){ sizeof(h), b.nr };
	size = (sizeof(h) + b.nr * sizeof(*b.pointers) + 7) & ~7ULL;
	h.strings = (struct gm_table){ size, b.strings_size };
	h.size = size + b.strings_size;
	memcpy(h.id, o->id, sizeof(h.id));
	s = obj_section(o, GM_SECTION_POINTERS, SHT_PROGBITS, 0, h.size);
	memcpy(s->data, &h, sizeof(h));
	memcpy(s->data + sizeof(h), b.pointers, b.nr * sizeof(*b.pointers));
	memcpy(s->data + size, b.strings, b.strings_size);
}

static bool table_ok(const struct gm_pointers *h, const struct gm_table *t, size_t elem)
{
	return t->offset % 8 == 0 && t->offset >= sizeof(*h) && t->offset <= h->size &&
	       (h->size - t->offset) / elem >= t->count;
}

static int compare(const struct gm_pointer *a, const struct gm_pointer *b)
{
	if (a->region != b->region)
		return a->region < b->region ? -1 : 1;
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return (int)a->argument - b->argument;
}

static const char *check_pointer(const struct pointers *p, uint32_t i)
{
	const struct gm_pointer *q = &p->pointers[i];

	if (q->argument >= GM_POINTER_ARGUMENTS || q->reserved ||
	    q->flags & ~(GM_POINTER_F_CONST | GM_POINTER_F_FUNCTION))
		return "a pointer has a bad argument or flag";
	if (q->type >= p->strings_size)
		return "a pointer has a bad type";
	if (i && compare(q - 1, q) >= 0)
		return "a pointer is out of order";
	return NULL;
}

const char *pointers_read(struct pointers *p, const void *data, size_t size)
{
	const struct gm_pointers *h = xmemdup(data, size);	/* aligned */
	const char *bad = NULL;

	*p = (struct pointers){ 0 };
	if (size < sizeof(*h) || memcmp(h->magic, GM_POINTERS_MAGIC, sizeof(h->magic)) || h->size != size)
		return "wrong magic or size";
	if (h->version != GM_POINTERS_VERSION)
		return "of a version that this gmcc does not know";
	if (!table_ok(h, &h->pointers, sizeof(*p->pointers)) || !table_ok(h, &h->strings, 1))
		return "a table is misaligned or outside of it";
	p->id = h->id;
	p->pointers = (const struct gm_pointer *)((const uint8_t *)h + h->pointers.offset);
	p->strings = (const char *)h + h->strings.offset;
	p->strings_size = h->strings.count;
	if (!p->strings_size || p->strings[0] || p->strings[p->strings_size - 1])
		return "the strings do not start and end with NUL";
	for (uint32_t i = 0; i < p->strings_size; i++)
		if (p->strings[i] && (p->strings[i] < ' ' || p->strings[i] > '~'))
			return "a string is not printable";
	for (uint32_t i = 0; !bad && i < h->pointers.count; i++)
		bad = check_pointer(p, i);
	if (!bad)
		p->nr = h->pointers.count;
	return bad;
}

const struct gm_pointer *pointers_of(const struct pointers *p, const struct gm_gate *g, uint32_t *nr)
{
	uint32_t lo = 0, hi = p->nr, end;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct gm_pointer *q = &p->pointers[mid];

		if (q->region < g->region || (q->region == g->region && q->offset < g->offset))
			lo = mid + 1;
		else
			hi = mid;
	}
	for (end = lo; end < p->nr && p->pointers[end].region == g->region &&
	     p->pointers[end].offset == g->offset; end++)
		;
	*nr = end - lo;
	return *nr ? &p->pointers[lo] : NULL;
}

const char *pointer_register(const struct gm_pointer *p)
{
	static const char *const names[GM_POINTER_ARGUMENTS] = { "rdi", "rsi", "rdx", "rcx", "r8", "r9" };

	return names[p->argument];
}
