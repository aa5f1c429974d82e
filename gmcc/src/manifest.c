// SPDX-License-Identifier: GPL-2.0
/*
 * Builds .gm.anchors and .gm.manifest (gm_image.h is the format).
 *
 * Keeps I4: every relocation inside a sealed region is in the manifest, in
 * terms of anchors, so that userspace can rebuild the exact pages without
 * reading ELF relocations or guest memory.
 */
#include <string.h>

#include "gmcc.h"
#include "policy.h"

struct builder {
	struct gm_anchor *anchors;
	struct sym **anchor_syms;
	size_t nr_anchors;
	struct gm_region *regions;
	struct sec **region_secs;
	size_t nr_regions;
	struct gm_reloc *relocs;
	size_t nr_relocs;
	char *strings;
	size_t strings_size, strings_cap, nr_strings;
	uint32_t *index;
	size_t index_mask;
};

static struct builder b;

static size_t hash(const char *s)
{
	size_t h = 5381;

	while (*s)
		h = h * 33 + (unsigned char)*s++;
	return h;
}

/* Doubles the index of strings: offsets plus one, open addressing. */
static void grow_index(void)
{
	size_t mask = b.index_mask ? 2 * b.index_mask + 1 : 255;
	uint32_t *index = xalloc((mask + 1) * sizeof(*index));

	for (size_t off = 0; off < b.strings_size; off += strlen(b.strings + off) + 1) {
		size_t at = hash(b.strings + off) & mask;

		while (index[at])
			at = (at + 1) & mask;
		index[at] = off + 1;
	}
	b.index = index;
	b.index_mask = mask;
}

static uint32_t string(const char *s)
{
	size_t n = strlen(s) + 1, at;
	uint32_t off;

	if (2 * b.nr_strings >= b.index_mask)
		grow_index();
	for (at = hash(s) & b.index_mask; b.index[at]; at = (at + 1) & b.index_mask)
		if (!strcmp(b.strings + b.index[at] - 1, s))
			return b.index[at] - 1;
	if (b.strings_size + n > b.strings_cap) {
		char *new = xalloc(b.strings_cap = 2 * (b.strings_cap + n));

		if (b.strings_size)
			memcpy(new, b.strings, b.strings_size);
		b.strings = new;
	}
	off = b.strings_size;
	memcpy(b.strings + off, s, n);
	b.strings_size += n;
	b.nr_strings++;
	b.index[at] = off + 1;
	return off;
}

static int add_anchor(enum gm_anchor_kind kind, const char *name, uint64_t size, struct sym *y)
{
	b.anchors = xgrow(b.anchors, b.nr_anchors, sizeof(*b.anchors));
	b.anchor_syms = xgrow(b.anchor_syms, b.nr_anchors, sizeof(*b.anchor_syms));
	b.anchors[b.nr_anchors] = (struct gm_anchor){ kind, string(name), size };
	b.anchor_syms[b.nr_anchors] = y;
	return b.nr_anchors++;
}

static struct sym *section_symbol(struct obj *o, struct sec *s)
{
	if (!s->section_sym)
		s->section_sym = obj_symbol(o, "", STT_SECTION, s, 0, 0);
	return s->section_sym;
}

static int anchor_of(struct obj *o, struct sym *y)
{
	struct sec *s = y->sec;

	if (!s) {
		if (y->anchor < 0)
			y->anchor = add_anchor(GM_ANCHOR_EXTERN, y->name, 0, y);
		return y->anchor;
	}
	/* The loader's value is an offset from each CPU's base, no address. */
	if (s->anchor < 0 && section_is_percpu(s))
		s->anchor = add_anchor(GM_ANCHOR_EXTERN, s->out_name, 0, section_symbol(o, s));
	if (s->anchor < 0)
		s->anchor = add_anchor(GM_ANCHOR_SHARED, s->out_name, s->mem_size,
				       section_symbol(o, s));
	return s->anchor;
}

/* Userspace sees to it that this is the offset of per-CPU data and nothing else. */
static int percpu_anchor_of(struct obj *o, struct sym *y)
{
	const char *name = y->sec ? y->sec->out_name : y->name;

	if (y->sec)
		y = section_symbol(o, y->sec);
	if (y->percpu_anchor < 0)
		y->percpu_anchor = add_anchor(GM_ANCHOR_PERCPU, name, 0, y);
	return y->percpu_anchor;
}

static bool is_percpu(const struct rel *r)
{
	return r->percpu && (!r->sym->sec || section_is_percpu(r->sym->sec));
}

static int region_kind(const struct sec *s)
{
	switch (s->role) {
	case ROLE_TEXT:
		return KVM_GM_REGION_TEXT;
	case ROLE_RODATA:
		return KVM_GM_REGION_RODATA;
	case ROLE_DATA:
		return KVM_GM_REGION_DATA;
	case ROLE_GATES:
		return KVM_GM_REGION_GATES;
	case ROLE_STACK:
		return KVM_GM_REGION_STACK;
	case ROLE_HOSTINFO:
		return KVM_GM_REGION_HOSTINFO;
	case ROLE_DEVICES:
		return KVM_GM_REGION_DEVICES;
	default:
		return 0;
	}
}

static uint32_t reloc_type(uint32_t elf)
{
	switch (elf) {
	case R_X86_64_64:
		return GM_RELOC_64;
	case R_X86_64_32:
		return GM_RELOC_32;
	case R_X86_64_32S:
		return GM_RELOC_32S;
	case R_X86_64_PC64:
		return GM_RELOC_PC64;
	default:
		return GM_RELOC_PC32;
	}
}

static void add_relocs(struct obj *o, struct sec *s)
{
	for (size_t i = 0; i < s->nr_rels; i++) {
		const struct rel *r = &s->rels[i];

		if (r->dead)
			continue;
		b.relocs = xgrow(b.relocs, b.nr_relocs, sizeof(*b.relocs));
		b.relocs[b.nr_relocs++] = (struct gm_reloc){
			.region = s->region,
			.offset = r->off,
			.type = reloc_type(r->type),
			.anchor = is_percpu(r) ? percpu_anchor_of(o, r->sym) : anchor_of(o, r->sym),
			.addend = r->addend + (r->sym->sec ? (int64_t)r->sym->value : 0),
		};
	}
}

static void add_regions(struct obj *o)
{
	uint64_t pages = 0;

	for (size_t i = 1; i < o->nr_secs; i++) {
		struct sec *s = o->secs[i];

		if (!region_kind(s))
			continue;
		for (size_t j = 0; j < b.nr_regions; j++)
			if (!strcmp(b.region_secs[j]->out_name, s->out_name))
				die(o->file, "two sealed sections %s. Link the module with ld -r.", s->out_name);
		s->region = b.nr_regions;
		s->anchor = add_anchor(GM_ANCHOR_REGION, s->out_name, s->size, section_symbol(o, s));
		b.regions = xgrow(b.regions, b.nr_regions, sizeof(*b.regions));
		b.region_secs = xgrow(b.region_secs, b.nr_regions, sizeof(*b.region_secs));
		b.region_secs[b.nr_regions] = s;
		b.regions[b.nr_regions++] = (struct gm_region){
			.kind = region_kind(s),
			.anchor = s->anchor,
			.size = s->size,
			.file_size = s->data ? s->size : 0,
		};
		pages += s->size / GM_PAGE;
	}
	if (b.nr_regions > KVM_GM_MAX_REGIONS)
		die(o->file, "%zu sealed sections, more than %d. Merge sections.", b.nr_regions,
		    KVM_GM_MAX_REGIONS);
	if (pages > KVM_GM_MAX_PAGES)
		die(o->file, "%llu sealed pages, more than %d. Lower --stacks, or split the module.",
		    (unsigned long long)pages, KVM_GM_MAX_PAGES);
	if (o->nr_gates + o->nr_stubs + 3 > KVM_GM_MAX_GATES)
		die(o->file, "%zu gates, more than %d. Split the module.",
		    o->nr_gates + o->nr_stubs + 3, KVM_GM_MAX_GATES);
}

void anchors_build(struct obj *o)
{
	struct sec *s = o->s_anchors;
	struct gm_anchors *a;

	memset(&b, 0, sizeof(b));
	string("");
	add_regions(o);
	for (size_t i = 1; i < o->nr_secs; i++)
		if (o->secs[i]->region >= 0)
			add_relocs(o, o->secs[i]);
	for (size_t i = 0; i < o->nr_stubs; i++)
		if (o->stubs[i]->target)
			anchor_of(o, o->stubs[i]->target);

	s->size = s->mem_size = sizeof(*a) + 8 * b.nr_anchors;
	if (s->anchor >= 0)
		b.anchors[s->anchor].size = s->size;
	s->data = xalloc(s->size);
	a = (struct gm_anchors *)s->data;
	memcpy(a->magic, GM_ANCHORS_MAGIC, sizeof(a->magic));
	memcpy(a->id, o->id, sizeof(a->id));
	a->count = b.nr_anchors;
	s->rels = xalloc(b.nr_anchors * sizeof(*s->rels));
	for (size_t i = 0; i < b.nr_anchors; i++)
		s->rels[s->nr_rels++] = (struct rel){
			.off = sizeof(*a) + 8 * i, .type = R_X86_64_64, .sym = b.anchor_syms[i],
		};
}

static struct gm_gate *add_gate(struct gm_gate *g, const struct sec *s, uint32_t off, uint8_t kind,
				const char *name)
{
	*g = (struct gm_gate){ .region = s->region, .offset = off, .kind = kind, .name = string(name) };
	return g;
}

/* Gates come sorted: .gm.gates precedes .gm.stubs, slots go upwards. */
static void fill_gates(struct obj *o, struct gm_gate *g)
{
	add_gate(g++, o->s_gates, GATE_RESUME_OFFSET, KVM_GM_GATE_RESUME, "gm_resume");
	add_gate(g++, o->s_gates, GATE_TRAMPOLINE_OFFSET + 3, KVM_GM_GATE_IN_RETURN, "gm_trampoline");
	for (size_t i = 0; i < o->nr_gates; i++) {
		const struct gate *in = o->gates[i];

		add_gate(g, o->s_gates, in->slot + GATE_IN_CALL_INSN, KVM_GM_GATE_IN_CALL, in->name);
		g->flags = in->flags;
		g->stack_words = in->stack_words;
		g->target_anchor = in->sec->anchor;
		g++->target_addend = in->off;
	}
	add_gate(g++, o->s_stubs, STUB_RETURN_OFFSET, KVM_GM_GATE_OUT_RETURN, "gm_return");
	for (size_t i = 0; i < o->nr_stubs; i++) {
		const struct stub *st = o->stubs[i];

		add_gate(g, o->s_stubs, st->insn,
			 st->target ? KVM_GM_GATE_OUT_CALL : KVM_GM_GATE_OUT_CALL_INDIRECT, st->name);
		g->stack_words = st->stack_words;
		if (st->target) {
			g->target_anchor = anchor_of(o, st->target);
			g->target_addend = st->target_off;
			if (!st->target->sec) {
				const struct callee *callee = callee_known(st->target->name);

				g->flags = callee->flags;
				g->results = callee->results;
			}
		}
		g++;
	}
}

static struct gm_table place(struct obj *o, const void *p, size_t count, size_t elem)
{
	struct sec *s = o->s_manifest;
	struct gm_table t = { .offset = s->size, .count = count };
	uint8_t *data = xalloc((s->size + count * elem + 7) & ~7ULL);

	memcpy(data, s->data, s->size);
	if (count)
		memcpy(data + s->size, p, count * elem);
	s->data = data;
	s->size = s->mem_size = (s->size + count * elem + 7) & ~7ULL;
	return t;
}

void manifest_size(struct obj *o)
{
	const struct requests *requests = &o->policy->requests;
	size_t nr_gates = o->nr_gates + o->nr_stubs + 3;
	struct gm_gate *gates = xalloc(nr_gates * sizeof(*gates));
	struct gm_frame *frames = xalloc((o->nr_frames + 1) * sizeof(*frames));
	struct gm_manifest m = {
		.magic = GM_MANIFEST_MAGIC,
		.version = GM_MANIFEST_VERSION,
		.stack_pages = o->stack_pages + GM_STACK_GUARD,
		.nr_stacks = o->stacks,
		.trampoline_region = o->s_gates->region,
		.trampoline_offset = GATE_TRAMPOLINE_OFFSET,
		.ret_region = o->s_gates->region,
		.ret_offset = GATE_RET_OFFSET,
	};

	memcpy(m.id, o->id, sizeof(m.id));
	memcpy(m.name, o->name, strlen(o->name));
	fill_gates(o, gates);
	for (size_t i = 0; i < o->nr_frames; i++)
		frames[i] = (struct gm_frame){
			.region = o->frames[i].sec->region,
			.offset = o->frames[i].off,
			.size = o->frames[i].size,
			.window = o->frames[i].window,
			.window_len = o->frames[i].window_len,
		};
	o->s_manifest->data = xmemdup(&m, sizeof(m));
	o->s_manifest->size = sizeof(m);
	m.anchors = place(o, b.anchors, b.nr_anchors, sizeof(*b.anchors));
	m.regions = place(o, b.regions, b.nr_regions, sizeof(*b.regions));
	m.relocs = place(o, b.relocs, b.nr_relocs, sizeof(*b.relocs));
	m.gates = place(o, gates, nr_gates, sizeof(*gates));
	m.frames = place(o, frames, o->nr_frames, sizeof(*frames));
	m.privileges = place(o, requests->list, requests->nr, sizeof(*requests->list));
	m.strings = place(o, b.strings, b.strings_size, 1);
	m.size = o->s_manifest->size;
	memcpy(o->s_manifest->data, &m, sizeof(m));
}

void manifest_fill(struct obj *o)
{
	const struct gm_manifest *m = (const struct gm_manifest *)o->s_manifest->data;
	struct gm_region *r = (struct gm_region *)(o->s_manifest->data + m->regions.offset);

	for (size_t i = 0; i < b.nr_regions; i++)
		if (b.region_secs[i]->data)
			r[i].file_offset = b.region_secs[i]->file_offset;
}
