// SPDX-License-Identifier: GPL-2.0
/*
 * Alternatives: which variant of an instruction sealed text has.
 *
 * The guest's loader would choose by the CPU's features and patch; sealed text
 * cannot be patched. So the choice is made here, and only where one variant is
 * right on every machine that can run a guarded module: the table says which
 * and why. A feature that is not in it is refused. Runs before text is decoded.
 */
#include <stdlib.h>
#include <string.h>

#include "gmcc.h"

/*
 * struct alt_instr: two bytes longer since Linux 6.3, which has `flags' of their
 * own; before, the feature's highest bit is ALT_NOT. The lengths come last.
 */
#define ALT_SIZE(o)	((o)->linux_6_1 ? 12 : 14)
#define ALT_SITE	0	/* PC32 */
#define ALT_CODE	4	/* PC32 */
#define ALT_FEATURE	8
#define ALT_FLAGS	10
#define ALT_NOT		1
#define ALT_DIRECT_CALL	2
#define ALT_NOT_6_1	0x8000

#define FEATURE(word, bit)	((word) * 32 + (bit))
/* The one of the table whose number has changed since Linux 6.1. */
#define LFENCE_RDTSC		FEATURE(20, 2)
#define LFENCE_RDTSC_6_1	FEATURE(3, 18)

enum choice {
	ORIGINAL,	/* keep what is there */
	REPLACE,	/* take the replacement */
};

static const struct {
	uint16_t feature;
	uint16_t flags;
	enum choice choice;
} table[] = {
	/* The call through pv_ops itself; the loader only makes it a direct one. */
	{ FEATURE(3, 21),  ALT_DIRECT_CALL, ORIGINAL },	/* ALWAYS */
	/* KVM's guests are no Xen PV domains: the native instruction. */
	{ FEATURE(8, 16),  ALT_NOT, REPLACE },		/* XENPV */
	/* Faster, not different. The originals run on every CPU. */
	{ FEATURE(4, 23),  0, ORIGINAL },		/* POPCNT */
	{ FEATURE(3, 16),  0, ORIGINAL },		/* REP_GOOD */
	{ FEATURE(9, 9),   0, ORIGINAL },		/* ERMS */
	{ FEATURE(18, 4),  ALT_NOT, ORIGINAL },		/* FSRM */
	{ FEATURE(12, 11), ALT_NOT, ORIGINAL },		/* FSRS */
	{ FEATURE(6, 8),   0, ORIGINAL },		/* 3DNOWPREFETCH */
	{ FEATURE(9, 23),  0, ORIGINAL },		/* CLFLUSHOPT */
	/* The stronger order; each alternative of rdtsc is right with it. */
	{ LFENCE_RDTSC,	   0, REPLACE },
	{ FEATURE(1, 27),  0, ORIGINAL },		/* RDTSCP */
	/* Short cuts of pv_ops' own functions, for where those are the native ones. */
	{ FEATURE(8, 20),  ALT_NOT, ORIGINAL },		/* PVUNLOCK */
	{ FEATURE(8, 21),  ALT_NOT, ORIGINAL },		/* VCPUPREEMPT */
	/* A guest with 5-level paging cannot seal. */
	{ FEATURE(16, 16), 0, ORIGINAL },		/* LA57 */
	/* stac, clac: refused as privileged, by name. */
	{ FEATURE(9, 20),  0, REPLACE },		/* SMAP */
};

struct place {
	struct sec *s;
	uint64_t off;
};

/* The first relocation in a range, or NULL. */
static struct rel *rel_within(struct sec *s, uint64_t off, uint64_t len)
{
	size_t lo = 0, hi = s->nr_rels;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->rels[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->nr_rels && s->rels[lo].off - off < len ? &s->rels[lo] : NULL;
}

static struct rel *rel_at(struct sec *s, uint64_t off)
{
	return rel_within(s, off, 1);
}

static struct place place_of(struct obj *o, struct sec *s, uint64_t off, uint64_t len)
{
	const struct rel *r = rel_at(s, off);
	struct place p;

	if (!r || !r->sym->sec || r->type != R_X86_64_PC32)
		die(o->file, "%s+0x%llx: malformed.", s->name, (unsigned long long)off);
	p.s = r->sym->sec;
	p.off = r->sym->value + r->addend;
	if (!p.s->data || !(p.s->flags & SHF_EXECINSTR) || p.off > p.s->size || p.s->size - p.off < len)
		die(o->file, "%s+0x%llx: malformed.", s->name, (unsigned long long)off);
	return p;
}

/*
 * static_cpu_has() is a jump to a test of boot_cpu_data in memory, which the
 * loader replaces by a jump or nothing, according to that very bit.
 */
static bool is_memory_test(const struct place *site, unsigned int len)
{
	const struct rel *r = rel_at(site->s, site->off + 1);

	return len >= 5 && site->s->data[site->off] == 0xe9 && r && r->sym->sec &&
	       !strcmp(r->sym->sec->name, ".altinstr_aux");
}

static void replace(struct obj *o, struct place site, unsigned int site_len, struct place code,
		    unsigned int code_len)
{
	struct sec *s = site.s;
	struct rel *rels;
	size_t n = 0, i;

	if (code_len > site_len)
		die(o->file, "%s+0x%llx: an alternative longer than its place.", s->name,
		    (unsigned long long)site.off);
	memset(s->data + site.off, 0x90, site_len);
	memcpy(s->data + site.off, code.s->data + code.off, code_len);
	if (!rel_within(s, site.off, site_len) && !rel_within(code.s, code.off, code_len))
		return;
	rels = xalloc((s->nr_rels + code.s->nr_rels + 1) * sizeof(*rels));
	for (i = 0; i < s->nr_rels && s->rels[i].off < site.off; i++)
		rels[n++] = s->rels[i];
	for (size_t j = 0; j < code.s->nr_rels; j++)
		if (code.s->rels[j].off >= code.off && code.s->rels[j].off < code.off + code_len) {
			rels[n] = code.s->rels[j];
			rels[n++].off += site.off - code.off;
		}
	for (; i < s->nr_rels; i++)
		if (s->rels[i].off >= site.off + site_len)
			rels[n++] = s->rels[i];
	s->rels = rels;
	s->nr_rels = n;
}

static void apply(struct obj *o, struct sec *s, uint64_t off)
{
	const uint8_t *lengths = s->data + off + ALT_SIZE(o) - 2;
	unsigned int site_len = lengths[0], code_len = lengths[1];
	struct place site = place_of(o, s, off + ALT_SITE, site_len), code;
	uint16_t feature, flags;

	if (site.s->role == ROLE_GUEST) {
		refuse(o, site.s, site.off, "an alternative in the guest's own code, which .altinstructions, not in the image, would choose. "
		       "Leave code that has any to the kernel's functions.");
		return;
	}
	memcpy(&feature, s->data + off + ALT_FEATURE, 2);
	if (o->linux_6_1) {
		flags = feature & ALT_NOT_6_1 ? ALT_NOT : 0;
		feature &= ~ALT_NOT_6_1;
		if (feature == LFENCE_RDTSC_6_1)
			feature = LFENCE_RDTSC;
		else if (feature == LFENCE_RDTSC)
			feature = UINT16_MAX;
	} else {
		memcpy(&flags, s->data + off + ALT_FLAGS, 2);
	}
	if (is_memory_test(&site, site_len))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].feature != feature || table[i].flags != flags)
			continue;
		if (table[i].choice == REPLACE && code_len) {
			code = place_of(o, s, off + ALT_CODE, code_len);
			replace(o, site, site_len, code, code_len);
		} else if (table[i].choice == REPLACE) {
			replace(o, site, site_len, site, 0);
		}
		return;
	}
	refuse(o, site.s, site.off,
	       "an alternative for CPU feature %u*32+%u%s, where no variant is known to be right everywhere. "
	       "Teach gmcc about it (alternatives.c), or use a module without it.",
	       feature / 32, feature % 32, flags & ALT_NOT ? ", negated" : "");
}

void alternatives_apply(struct obj *o)
{
	struct sec *s = section_named(o, ".altinstructions");

	if (!s)
		return;
	if (!s->data || s->size % ALT_SIZE(o))
		die(o->file, ".altinstructions: malformed. Use a module built for Linux 6.1 or 6.12.");
	for (uint64_t off = 0; off < s->size; off += ALT_SIZE(o))
		apply(o, s, off);
	refused_exit(o);
}
