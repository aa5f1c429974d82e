// SPDX-License-Identifier: GPL-2.0
/*
 * The manifest against the object that it describes.
 *
 * Keeps: after verify_manifest() every table lies in the manifest and every
 * index in it is valid. Proves what I4 rests on: QEMU rebuilds the sealed pages
 * from regions, anchors and relocations of the manifest alone, so these must
 * say exactly what the object's own sections and relocations say.
 */
#include <stdlib.h>
#include <string.h>

#include "pointers.h"
#include "verify.h"

#define QEMU_STACK_PAGES	16	/* QEMU's limits */
#define MAX_ANCHORS		65536

const char *vstring(const struct vimg *v, uint32_t off)
{
	return v->strings + off;
}

static const struct vsec *manifest(const struct vimg *v)
{
	return vsec_find(v, GM_SECTION_MANIFEST);
}

static const void *table(struct vimg *v, const char *what, const struct gm_table *t, size_t elem,
			 uint32_t max)
{
	const struct gm_manifest *m = v->man;

	if (t->count > max || t->offset % 8 || t->offset < sizeof(*m) || t->offset > m->size ||
	    (m->size - t->offset) / elem < t->count) {
		finding(v, "manifest", manifest(v), t->offset,
			"the table of %s (%u entries) is misaligned, too long or outside of the manifest.",
			what, t->count);
		return NULL;
	}
	return (const uint8_t *)m + t->offset;
}

static bool place_ok(const struct vimg *v, uint32_t region, uint64_t off, uint64_t size)
{
	return region < v->man->regions.count && off <= v->regions[region].size &&
	       v->regions[region].size - off >= size;
}

/* Everything that is an index or a bound. */
static bool check_bounds(struct vimg *v)
{
	const struct gm_manifest *m = v->man;
	const char *bad = NULL;

	if (!m->strings.count || v->strings[0] || v->strings[m->strings.count - 1])
		bad = "the strings do not start and end with NUL";
	for (uint32_t i = 0; !bad && i < m->strings.count; i++)
		if (v->strings[i] && (v->strings[i] <= ' ' || v->strings[i] > '~'))
			bad = "a string is not printable";
	for (uint32_t i = 0; !bad && i < m->anchors.count; i++)
		if (v->anchors[i].name >= m->strings.count || v->anchors[i].kind < GM_ANCHOR_REGION ||
		    v->anchors[i].kind > GM_ANCHOR_PERCPU)
			bad = "an anchor has a bad kind or name";
	for (uint32_t i = 0; !bad && i < m->regions.count; i++)
		if (v->regions[i].anchor >= m->anchors.count ||
		    v->regions[i].kind < KVM_GM_REGION_GATES || v->regions[i].kind > KVM_GM_REGION_DEVICES)
			bad = "a region has a bad kind or anchor";
	for (uint32_t i = 0; !bad && i < m->relocs.count; i++)
		if (v->relocs[i].anchor >= m->anchors.count || v->relocs[i].type < GM_RELOC_64 ||
		    v->relocs[i].type > GM_RELOC_PC64 ||
		    !place_ok(v, v->relocs[i].region, v->relocs[i].offset, 4))
			bad = "a relocation has a bad type, anchor or place";
	for (uint32_t i = 0; !bad && i < m->gates.count; i++)
		if (v->gates[i].name >= m->strings.count ||
		    v->gates[i].target_anchor >= m->anchors.count ||
		    v->gates[i].kind < KVM_GM_GATE_IN_CALL || v->gates[i].kind > KVM_GM_GATE_OUT_RETURN ||
		    !place_ok(v, v->gates[i].region, v->gates[i].offset, 3))
			bad = "a gate has a bad kind, name, target or place";
	for (uint32_t i = 0; !bad && i < m->frames.count; i++)
		if (!place_ok(v, v->frames[i].region, v->frames[i].offset, 0))
			bad = "a frame has a bad place";
	if (!bad && (!place_ok(v, m->trampoline_region, m->trampoline_offset, 6) ||
		     !place_ok(v, m->ret_region, m->ret_offset, 1)))
		bad = "the trampoline or the return has a bad place";
	for (size_t i = 0; !bad && i < ARRAY_SIZE(m->reserved); i++)
		if (m->reserved[i])
			bad = "a reserved field is not zero";
	if (bad)
		finding(v, "manifest", manifest(v), 0, "%s.", bad);
	return !bad;
}

static void check_name(struct vimg *v)
{
	const char *name = v->man->name, *p, *end;
	const struct vsec *s = vsec_find(v, ".modinfo");
	size_t len = strnlen(name, KVM_GM_NAME_LEN);

	if (!len || len == KVM_GM_NAME_LEN) {
		finding(v, "manifest", manifest(v), offsetof(struct gm_manifest, name),
			"the module's name is empty or has no end.");
		return;
	}
	for (size_t i = 0; i < KVM_GM_NAME_LEN; i++)
		if (i >= len ? name[i] != 0 : !strchr("_-", name[i]) &&
		    !(name[i] >= '0' && name[i] <= '9') && !((name[i] | 0x20) >= 'a' && (name[i] | 0x20) <= 'z')) {
			finding(v, "manifest", manifest(v), offsetof(struct gm_manifest, name) + i,
				"bad character 0x%02x in the module's name.", (uint8_t)name[i]);
			return;
		}
	if (!s || !s->data || !s->size)
		return;		/* verify_elf.c has said so */
	if (s->data[s->size - 1]) {
		finding(v, "manifest", s, s->size - 1, "does not end with NUL.");
		return;
	}
	for (p = (const char *)s->data, end = p + s->size; p < end; p += strlen(p) + 1)
		if (!strncmp(p, "name=", 5)) {
			if (strcmp(p + 5, name))
				finding(v, "manifest", manifest(v), offsetof(struct gm_manifest, name),
					"the module is named %s here and %s in .modinfo.", name, p + 5);
			return;
		}
	finding(v, "manifest", s, 0, "does not name the module.");
}

bool verify_manifest(struct vimg *v)
{
	const struct vsec *s = manifest(v);
	const struct gm_manifest *m;
	size_t n = 0;

	for (size_t i = 1; i < v->nr_secs; i++)
		n += !strcmp(v->secs[i].name, GM_SECTION_MANIFEST);
	if (n != 1) {
		finding(v, "manifest", NULL, 0, "%zu sections %s, not one. Give an image that `gmcc guard' wrote.",
			n, GM_SECTION_MANIFEST);
		return false;
	}
	if (!s->data || s->flags & SHF_ALLOC || s->size < sizeof(*m)) {
		finding(v, "manifest", s, 0, "too short, or loaded.");
		return false;
	}
	/* The section may be at any offset of the file; tables want alignment. */
	m = v->man = xmemdup(s->data, s->size);
	if (memcmp(m->magic, GM_MANIFEST_MAGIC, sizeof(m->magic)) || m->size != s->size) {
		finding(v, "manifest", s, 0, "wrong magic or size.");
		return false;
	}
	if (m->version != GM_MANIFEST_VERSION) {
		finding(v, "manifest", s, offsetof(struct gm_manifest, version),
			"version %u, but this gmcc knows %d.", m->version, GM_MANIFEST_VERSION);
		return false;
	}
	v->anchors = table(v, "anchors", &m->anchors, sizeof(*v->anchors), MAX_ANCHORS);
	v->regions = table(v, "regions", &m->regions, sizeof(*v->regions), KVM_GM_MAX_REGIONS);
	v->relocs = table(v, "relocations", &m->relocs, sizeof(*v->relocs), UINT32_MAX);
	v->gates = table(v, "gates", &m->gates, sizeof(*v->gates), KVM_GM_MAX_GATES);
	v->frames = table(v, "frames", &m->frames, sizeof(*v->frames), KVM_GM_MAX_FRAMES);
	v->privileges = table(v, "privileges", &m->privileges, sizeof(*v->privileges), GM_MAX_PRIVILEGES);
	v->strings = table(v, "strings", &m->strings, 1, UINT32_MAX);
	if (!v->anchors || !v->regions || !v->relocs || !v->gates || !v->frames || !v->privileges ||
	    !v->strings || !check_bounds(v))
		return false;
	check_name(v);
	return true;
}

/* What a section of each kind of region must be. */
static bool flags_ok(const struct vsec *s, uint32_t kind)
{
	const uint64_t all = SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR;
	static const uint64_t want[] = {
		[KVM_GM_REGION_GATES] = SHF_ALLOC | SHF_EXECINSTR,
		[KVM_GM_REGION_TEXT] = SHF_ALLOC | SHF_EXECINSTR,
		[KVM_GM_REGION_RODATA] = SHF_ALLOC,
		[KVM_GM_REGION_DATA] = SHF_ALLOC | SHF_WRITE,
		[KVM_GM_REGION_STACK] = SHF_ALLOC | SHF_WRITE,
		[KVM_GM_REGION_HOSTINFO] = SHF_ALLOC,
		[KVM_GM_REGION_DEVICES] = SHF_ALLOC | SHF_WRITE,
	};

	return (s->flags & all) == want[kind] &&
	       !(s->flags & (SHF_MERGE | SHF_STRINGS | SHF_TLS | SHF_COMPRESSED));
}

/* The image has no say in what is there. */
static bool is_blank(uint32_t kind)
{
	return kind == KVM_GM_REGION_STACK || kind == KVM_GM_REGION_HOSTINFO || kind == KVM_GM_REGION_DEVICES;
}

static void check_region(struct vimg *v, uint32_t i, struct vsec *s)
{
	const struct gm_region *r = &v->regions[i];

	if (s->region >= 0) {
		finding(v, "region", s, 0, "regions %d and %u are one section.", s->region, i);
		return;
	}
	s->region = i;
	s->kind = r->kind;
	s->region_anchor = r->anchor;
	v->region_secs[i] = s;
	if (!flags_ok(s, r->kind))
		finding(v, "region", s, 0, "section flags 0x%llx do not fit region kind %u.",
			(unsigned long long)s->flags, r->kind);
	if (!r->size || r->size != s->size || r->size % GM_PAGE || s->align != GM_PAGE)
		finding(v, "region", s, 0, "not whole pages: %llu bytes in the manifest, %llu in the section, aligned to %llu.",
			(unsigned long long)r->size, (unsigned long long)s->size,
			(unsigned long long)s->align);
	if (v->anchors[r->anchor].kind != GM_ANCHOR_REGION || v->anchors[r->anchor].size != r->size)
		finding(v, "region", s, 0, "its anchor does not match.");
	if (s->data ? r->file_size != s->size || r->file_offset != s->offset :
		      r->file_size || r->file_offset)
		finding(v, "region", s, 0, "its content is elsewhere in the file.");
	if (!s->data && !is_blank(r->kind) && r->kind != KVM_GM_REGION_DATA)
		finding(v, "region", s, 0, "no content.");
	if (s->data && is_blank(r->kind))
		finding(v, "region", s, 0, "content, where there may be none.");
	if ((r->kind == KVM_GM_REGION_HOSTINFO) != !strcmp(s->name, GM_SECTION_HOSTINFO) ||
	    (r->kind == KVM_GM_REGION_DEVICES) != !strcmp(s->name, GM_SECTION_DEVICES))
		finding(v, "region", s, 0, "region kind %u is not what this section is for.", r->kind);
	if (!strncmp(s->name, ".init", 5))
		finding(v, "region", s, 0, "the module loader frees it after init.");
	if (!strncmp(s->name, ".data..percpu", 13))
		finding(v, "region", s, 0, "the module loader copies it per CPU.");
}

/* Code that stays the guest's: it runs without privilege, and may be anything. */
static bool is_guest_code(const struct vsec *s)
{
	return !strcmp(s->name, ".gm.guest") || !strcmp(s->name, ".static_call.text");
}

bool verify_regions(struct vimg *v)
{
	const struct gm_manifest *m = v->man;
	uint64_t pages[KVM_GM_REGION_DEVICES + 1] = { 0 }, all = 0;

	unsigned int devices = 0;

	v->region_secs = xalloc((m->regions.count + 1) * sizeof(*v->region_secs));
	for (uint32_t i = 0; i < m->regions.count; i++) {
		struct vsec *s = vsec_find(v, vstring(v, v->anchors[v->regions[i].anchor].name));

		if (!s)
			finding(v, "region", manifest(v), 0, "region %u is section %s, which does not exist.",
				i, vstring(v, v->anchors[v->regions[i].anchor].name));
		else
			check_region(v, i, s);
		devices += v->regions[i].kind == KVM_GM_REGION_DEVICES;
		pages[v->regions[i].kind] += v->regions[i].size / GM_PAGE;
		all += ((s && s->size > v->regions[i].size ? s->size : v->regions[i].size) + GM_PAGE - 1) / GM_PAGE;
	}
	if (!pages[KVM_GM_REGION_GATES] || !pages[KVM_GM_REGION_TEXT])
		finding(v, "region", manifest(v), 0, "no gates, or no text.");
	if (pages[KVM_GM_REGION_HOSTINFO] != vrequested(v, KVM_GM_PRIV_HOSTINFO, 0))
		finding(v, "region", manifest(v), 0, "%llu pages of host information, and hostinfo is %srequested.",
			(unsigned long long)pages[KVM_GM_REGION_HOSTINFO],
			vrequested(v, KVM_GM_PRIV_HOSTINFO, 0) ? "" : "not ");
	if (devices > 1 || pages[KVM_GM_REGION_DEVICES] == 1 ||
	    (devices && !vrequested(v, KVM_GM_PRIV_MMIO, 0)))
		finding(v, "region", manifest(v), 0, "%u regions for devices with %llu pages, and mmio is %srequested.",
			devices, (unsigned long long)pages[KVM_GM_REGION_DEVICES],
			vrequested(v, KVM_GM_PRIV_MMIO, 0) ? "" : "not ");
	if (all > KVM_GM_MAX_PAGES)
		finding(v, "region", manifest(v), 0, "%llu sealed pages, more than %d.",
			(unsigned long long)all, KVM_GM_MAX_PAGES);
	if (!m->nr_stacks || m->stack_pages <= GM_STACK_GUARD || m->stack_pages > QEMU_STACK_PAGES ||
	    pages[KVM_GM_REGION_STACK] != (uint64_t)m->nr_stacks * m->stack_pages)
		finding(v, "region", manifest(v), offsetof(struct gm_manifest, stack_pages),
			"%u stacks of %u pages, but %llu pages of stack.", m->nr_stacks, m->stack_pages,
			(unsigned long long)pages[KVM_GM_REGION_STACK]);
	for (size_t i = 1; i < v->nr_secs; i++) {
		const struct vsec *s = &v->secs[i];

		if (s->flags & SHF_ALLOC && s->flags & SHF_EXECINSTR && s->size && s->region < 0 &&
		    !is_guest_code(s))
			finding(v, "region", s, 0, "executable, but not sealed.");
	}
	return all <= KVM_GM_MAX_PAGES;
}

/* The loader's value for it is an offset from each CPU's base, no address. */
static bool is_percpu(const struct vsec *s)
{
	return s && s->region < 0 && !strcmp(s->name, ".data..percpu");
}

/* .gm.anchors is how userspace learns where the guest put things. */
static void check_anchor(struct vimg *v, const struct vsec *s, uint32_t i)
{
	const struct gm_anchor *a = &v->anchors[i];
	const struct vrel *r = &s->rels[i];
	const char *name = vstring(v, a->name);
	bool ok;

	if (a->kind >= GM_ANCHOR_EXTERN && is_percpu(r->sym->sec))
		ok = !r->sym->value && !strcmp(r->sym->sec->name, name) && !a->size;
	else if (a->kind >= GM_ANCHOR_EXTERN)
		ok = r->sym->shndx == SHN_UNDEF && !strcmp(r->sym->name, name) && !a->size;
	else
		ok = r->sym->sec && !r->sym->value && !strcmp(r->sym->sec->name, name) &&
		     a->size == r->sym->sec->size &&
		     (r->sym->sec->region_anchor == (int)i) == (a->kind == GM_ANCHOR_REGION);
	if (!ok || r->addend || r->type != R_X86_64_64 || r->off != sizeof(struct gm_anchors) + 8ULL * i)
		finding(v, "anchor", s, r->off, "anchor %u (%s) is not what the loader fills in.", i, name);
}

void verify_anchors(struct vimg *v)
{
	const struct vsec *s = vsec_find(v, GM_SECTION_ANCHORS);
	uint32_t n = v->man->anchors.count;
	struct gm_anchors a;

	if (!s || !s->data || !(s->flags & SHF_ALLOC) || s->flags & SHF_EXECINSTR || s->region >= 0) {
		finding(v, "anchor", s, 0, "no section %s that the guest loads.", GM_SECTION_ANCHORS);
		return;
	}
	if (s->size != sizeof(a) + 8ULL * n || s->nr_rels != n) {
		finding(v, "anchor", s, 0, "%zu relocations and %llu bytes for %u anchors.", s->nr_rels,
			(unsigned long long)s->size, n);
		return;
	}
	memcpy(&a, s->data, sizeof(a));
	if (memcmp(a.magic, GM_ANCHORS_MAGIC, sizeof(a.magic)) ||
	    memcmp(a.id, v->man->id, sizeof(a.id)) || a.count != n || a.reserved)
		finding(v, "anchor", s, 0, "its header does not fit the manifest.");
	for (uint32_t i = 0; i < n; i++)
		check_anchor(v, s, i);
}

static uint32_t reloc_type(uint32_t elf)
{
	switch (elf) {
	case R_X86_64_64:
		return GM_RELOC_64;
	case R_X86_64_PC64:
		return GM_RELOC_PC64;
	case R_X86_64_32:
		return GM_RELOC_32;
	case R_X86_64_32S:
		return GM_RELOC_32S;
	default:
		return GM_RELOC_PC32;
	}
}

static bool same_reloc(const struct vimg *v, const struct gm_reloc *g, const struct vrel *r)
{
	const struct gm_anchor *a = &v->anchors[g->anchor];
	int64_t off;
	const struct vsec *t = vrel_target(r, 0, &off);

	if (g->type != reloc_type(r->type) || g->addend != off ||
	    strcmp(vstring(v, a->name), t ? t->name : r->sym->name))
		return false;
	if (is_percpu(t))
		return a->kind >= GM_ANCHOR_EXTERN;
	return t ? a->kind == (t->region >= 0 ? GM_ANCHOR_REGION : GM_ANCHOR_SHARED) :
		   a->kind >= GM_ANCHOR_EXTERN && r->sym->shndx == SHN_UNDEF;
}

const struct gm_anchor *vanchor_at(const struct vimg *v, const struct vsec *s, uint32_t off)
{
	uint32_t low = 0, high = v->man->relocs.count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct gm_reloc *g = &v->relocs[mid];

		if (g->region == (uint32_t)s->region && g->offset == off)
			return &v->anchors[g->anchor];
		if (g->region < (uint32_t)s->region ||
		    (g->region == (uint32_t)s->region && g->offset < off))
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* Region by region, the manifest's relocations are the object's, in order. */
void verify_relocs(struct vimg *v)
{
	const struct gm_manifest *m = v->man;
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->regions.count; i++) {
		const struct vsec *s = v->region_secs[i];
		bool ok = true;

		if (!s)
			continue;
		for (size_t j = 0; ok && j < s->nr_rels; j++, n++) {
			const struct vrel *r = &s->rels[j];
			const struct gm_reloc *g = &v->relocs[n];

			ok = n < m->relocs.count && g->region == i && g->offset == r->off &&
			     same_reloc(v, g, r);
			if (!ok)
				finding(v, "relocation", s, r->off,
					"the manifest does not have this relocation (%s%+lld), or not here.",
					r->sym->sec && !*r->sym->name ? r->sym->sec->name : r->sym->name,
					(long long)r->addend);
			else
				v->proof.relocs++;
		}
		while (n < m->relocs.count && v->relocs[n].region <= i) {
			if (ok)
				finding(v, "relocation", s, v->relocs[n].offset,
					"relocation %u of the manifest is not in the object.", n);
			n++;
		}
	}
	if (n < m->relocs.count)
		finding(v, "relocation", manifest(v), 0, "relocations out of order from entry %u on.", n);
}

/* Each is about a gate that passes arguments. */
void verify_pointers(struct vimg *v)
{
	const struct vsec *s = NULL;
	struct pointers p;
	const char *bad;

	for (size_t i = 1; i < v->nr_secs; i++) {
		if (strcmp(v->secs[i].name, GM_SECTION_POINTERS))
			continue;
		if (s)
			finding(v, "pointer", &v->secs[i], 0, "a second section of this name.");
		s = &v->secs[i];
	}
	if (!s)
		return;
	if (!s->data || s->flags & SHF_ALLOC) {
		finding(v, "pointer", s, 0, "empty, or loaded.");
		return;
	}
	bad = pointers_read(&p, s->data, s->size);
	if (bad) {
		finding(v, "pointer", s, 0, "%s.", bad);
		return;
	}
	if (memcmp(p.id, v->man->id, sizeof(v->man->id)))
		finding(v, "pointer", s, offsetof(struct gm_pointers, id), "of another image.");
	for (uint32_t i = 0; i < p.nr; i++) {
		const struct gm_pointer *q = &p.pointers[i];
		const struct vsec *r = q->region < v->man->regions.count ? v->region_secs[q->region] : NULL;
		const struct gm_gate *g = r ? vgate_at(v, r, q->offset) : NULL;

		if (!g || (g->kind != KVM_GM_GATE_IN_CALL && g->kind != KVM_GM_GATE_OUT_CALL))
			finding(v, "pointer", s, 0, "entry %u is about no gate that passes arguments.", i);
	}
}
