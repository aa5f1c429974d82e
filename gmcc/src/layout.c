// SPDX-License-Identifier: GPL-2.0
/*
 * Puts other code in the place of instructions, and moves the rest of a
 * section apart to make room.
 *
 * Conversions hang an edit on an instruction: a list of pieces, each an
 * instruction with at most one field to fill in. layout_text() then lays
 * every section with edits out anew, lengthens short branches that no longer
 * reach, and corrects branches, relocations and symbols. A branch to a
 * replaced instruction leads to the first piece.
 *
 * Keeps: whatever referred to an instruction still does, and functions that
 * began at a multiple of 16 still do. The insns of a section describe its
 * new content afterwards.
 */
#include <stdlib.h>
#include <string.h>

#include "gmcc.h"

#define FUNC_ALIGN	16

struct map {
	size_t nr;
	uint32_t *old, *new;	/* starts of instructions; [nr]: the ends */
};

struct edit *edit_new(struct insn *n)
{
	return n->edit = xalloc(sizeof(struct edit));
}

static struct piece *add_piece(struct edit *e)
{
	struct piece *p;

	e->pieces = xgrow(e->pieces, e->nr, sizeof(*e->pieces));
	p = &e->pieces[e->nr++];
	*p = (struct piece){ .to_piece = -1 };
	return p;
}

struct piece *edit_bytes(struct edit *e, const uint8_t *bytes, size_t len)
{
	struct piece *p = add_piece(e);

	if (len)
		memcpy(p->bytes, bytes, len);
	p->len = len;
	return p;
}

struct piece *edit_branch(struct edit *e, uint8_t opcode, struct sym *sym, uint64_t off)
{
	struct piece *p = add_piece(e);

	if (opcode < 0xe0)
		p->bytes[p->len++] = 0x0f;
	p->bytes[p->len++] = opcode;
	p->field = p->len;
	p->len += 4;
	p->kind = opcode == 0xe8 ? INSN_CALL : opcode == 0xe9 ? INSN_JMP : INSN_JCC;
	p->sym = sym;
	p->addend = off;
	return p;
}

static uint32_t map_offset(const struct sec *s, uint64_t off)
{
	const struct map *m = s->map;
	size_t lo = 0, hi = m->nr;

	/* The last instruction that starts at or before it. */
	while (lo < hi) {
		size_t mid = (lo + hi + 1) / 2;

		if (m->old[mid] <= off)
			lo = mid;
		else
			hi = mid - 1;
	}
	return m->new[lo] + (uint32_t)(off - m->old[lo]);
}

static bool is_short(const struct sec *s, const struct insn *n)
{
	uint8_t op = s->data[n->off + n->len - 2];

	return !n->edit && !n->rel && n->len == 2 &&
	       ((n->kind == INSN_JMP && op == 0xeb) || (n->kind == INSN_JCC && (op & 0xf0) == 0x70));
}

/* Direct branches within the section have their distance in the last bytes. */
static bool is_local_branch(const struct insn *n)
{
	return !n->rel && (n->kind == INSN_CALL || n->kind == INSN_JMP || n->kind == INSN_JCC);
}

static uint32_t new_length(const struct sec *s, size_t i, const bool *wide)
{
	const struct insn *n = &s->insns[i];
	uint32_t len = 0;

	if (!n->edit)
		return !wide[i] ? n->len : n->kind == INSN_JMP ? 5 : 6;
	for (size_t j = 0; j < n->edit->nr; j++)
		len += n->edit->pieces[j].copy ? n->edit->pieces[j].copy->len : n->edit->pieces[j].len;
	return len;
}

static void place(struct sec *s, const bool *wide)
{
	struct map *m = s->map;
	uint32_t at = 0;

	for (size_t i = 0; i < s->nr_insns; i++) {
		uint32_t off = s->insns[i].off;

		if (off % FUNC_ALIGN == 0 && func_at(s, off))
			at = (at + FUNC_ALIGN - 1) & ~(FUNC_ALIGN - 1);
		m->new[i] = at;
		at += new_length(s, i, wide);
	}
	m->new[m->nr] = at;
}

/* Places every instruction; short branches that do not reach become long. */
static void plan(struct obj *o, struct sec *s, bool *wide)
{
	struct map *m = s->map = xalloc(sizeof(*m));
	bool again;

	m->nr = s->nr_insns;
	m->old = xalloc((m->nr + 1) * sizeof(*m->old));
	m->new = xalloc((m->nr + 1) * sizeof(*m->new));
	for (size_t i = 0; i < m->nr; i++)
		m->old[i] = s->insns[i].off;
	m->old[m->nr] = s->size;
	do {
		again = false;
		place(s, wide);
		for (size_t i = 0; i < m->nr; i++) {
			const struct insn *n = &s->insns[i];
			int64_t far;

			if (wide[i] || n->edit || !is_local_branch(n))
				continue;
			far = (int64_t)map_offset(s, n->target) - (m->new[i] + n->len);
			if (far >= -128 && far <= 127)
				continue;
			if (is_short(s, n))
				again = wide[i] = true;
			else if (n->len < 5)
				refuse(o, s, n->off, "a loop branch too far apart once code is inserted. Report this module.");
		}
	} while (again);
}

static struct rel *add_rel(struct sec *s, uint64_t off, struct sym *sym, int64_t addend, uint8_t bias)
{
	struct rel *r;

	s->rels = xgrow(s->rels, s->nr_rels, sizeof(*s->rels));
	r = &s->rels[s->nr_rels++];
	*r = (struct rel){ .off = off, .sym = sym, .addend = addend - bias, .type = R_X86_64_PC32,
			   .bias = bias };
	return r;
}

static void put32(uint8_t *p, int64_t v)
{
	int32_t x = v;

	memcpy(p, &x, 4);
}

/* What is under construction: the section's new data, relocations, insns. */
struct out {
	struct sec *s;
	struct insn *insns;
	size_t nr_insns;
	const struct sec *old;
	size_t next_rel;	/* of old */
};

static struct insn *add_insn(struct out *out)
{
	return &out->insns[out->nr_insns++];
}

/* The relocations of an old instruction, copied to its new place or dropped. */
static void copy_rels(struct out *out, const struct insn *n, uint32_t at, bool keep)
{
	const struct sec *old = out->old;

	while (out->next_rel < old->nr_rels && old->rels[out->next_rel].off < n->off)
		out->next_rel++;
	for (size_t i = out->next_rel; i < old->nr_rels && old->rels[i].off < n->off + n->len; i++) {
		const struct rel *r = &old->rels[i];

		if (!keep)
			continue;
		out->s->rels = xgrow(out->s->rels, out->s->nr_rels, sizeof(*out->s->rels));
		out->s->rels[out->s->nr_rels] = *r;
		out->s->rels[out->s->nr_rels++].off = at + r->off - n->off;
	}
}

/* An old instruction at its new place; @len differs if a branch got longer. */
static void copy_insn(struct out *out, const struct insn *n, uint32_t at, uint32_t len)
{
	uint8_t *data = out->s->data + at;
	struct insn *new = add_insn(out);

	*new = *n;
	new->off = at;
	new->len = len;
	new->edit = NULL;
	memcpy(data, out->old->data + n->off, n->len);
	copy_rels(out, n, at, true);
	if (!is_local_branch(n))
		return;
	new->target = map_offset(out->s, n->target);
	if (len != n->len) {
		uint8_t op = data[0];

		data[0] = n->kind == INSN_JMP ? 0xe9 : 0x0f;
		if (n->kind == INSN_JCC)
			data[1] = op + 0x10;
	}
	if (len >= 5)
		put32(data + len - 4, (int64_t)new->target - (at + len));
	else
		data[len - 1] = (int64_t)new->target - (at + len);
}

static void put_piece(struct out *out, const struct insn *site, size_t i, const uint32_t *starts)
{
	const struct edit *e = site->edit;
	const struct piece *p = &e->pieces[i];
	uint32_t at = starts[i];
	struct insn *new;

	if (p->copy) {
		copy_insn(out, p->copy, at, p->copy->len);
		new = &out->insns[out->nr_insns - 1];
		new->gap = p->gap;
		new->inner = i > 0;
		return;
	}
	new = add_insn(out);
	*new = (struct insn){
		.off = at, .len = p->len, .kind = p->kind, .disp = p->disp, .imm = p->imm,
		.inner = i > 0, .sp = site->sp, .bp = site->bp, .gap = p->gap,
		.orc_reg = site->orc_reg, .orc_off = site->orc_off,
	};
	memcpy(out->s->data + at, p->bytes, p->len);
	if (p->to_piece >= 0) {
		new->target = starts[p->to_piece];
	} else if (p->sym && p->sym->sec == out->s && p->kind) {
		new->target = map_offset(out->s, p->sym->value + p->addend);
	} else if (p->sym) {
		add_rel(out->s, at + p->field, p->sym, p->addend, p->len - p->field);
		return;
	} else {
		return;
	}
	put32(out->s->data + at + p->field, (int64_t)new->target - (at + p->len));
}

static void put_edit(struct out *out, const struct insn *n, uint32_t at)
{
	const struct edit *e = n->edit;
	uint32_t *starts = xalloc((e->nr + 1) * sizeof(*starts));

	for (size_t i = 0; i < e->nr; i++) {
		starts[i] = at;
		at += e->pieces[i].copy ? e->pieces[i].copy->len : e->pieces[i].len;
	}
	starts[e->nr] = at;
	copy_rels(out, n, at, false);
	for (size_t i = 0; i < e->nr; i++)
		put_piece(out, n, i, starts);
}

static void relink(struct sec *s)
{
	size_t next = 0;

	for (size_t i = 0; i < s->nr_insns; i++) {
		struct insn *n = &s->insns[i];
		bool branch = n->kind == INSN_CALL || n->kind == INSN_JMP || n->kind == INSN_JCC;

		n->rel = NULL;
		for (; next < s->nr_rels && s->rels[next].off < n->off + n->len; next++)
			if (branch)
				n->rel = &s->rels[next];
	}
}

static size_t new_count(const struct sec *s)
{
	size_t n = s->nr_insns;

	for (size_t i = 0; i < s->nr_insns; i++)
		if (s->insns[i].edit)
			n += s->insns[i].edit->nr;
	return n;
}

static void rebuild(struct obj *o, struct sec *s)
{
	bool *wide = xalloc(s->nr_insns * sizeof(*wide));
	struct sec old = *s;
	struct out out = { .s = s, .old = &old };

	plan(o, s, wide);
	out.insns = xalloc(new_count(s) * sizeof(*out.insns));
	s->size = s->mem_size = s->map->new[s->map->nr];
	s->data = xalloc(s->size);
	/* Padding before a function that nothing runs into is int3. */
	memset(s->data, 0x90, s->size);
	s->rels = NULL;
	s->nr_rels = 0;
	for (size_t i = 0; i < old.nr_insns; i++) {
		const struct insn *n = &old.insns[i];
		uint32_t at = s->map->new[i], end = at + new_length(&old, i, wide);

		if (n->edit)
			put_edit(&out, n, at);
		else
			copy_insn(&out, n, at, end - at);
		if (n->kind == INSN_JMP || n->kind == INSN_RET)
			memset(s->data + end, 0xcc, s->map->new[i + 1] - end);
	}
	s->insns = out.insns;
	s->nr_insns = out.nr_insns;
	relink(s);
}

/* References by symbol and addend, from anywhere to text that has moved. */
static void move_references(struct sec *s)
{
	for (size_t i = 0; i < s->nr_rels; i++) {
		struct rel *r = &s->rels[i];
		const struct sec *t = r->sym->sec;
		uint32_t base;

		if (!t || !t->map)
			continue;
		base = map_offset(t, r->sym->value);
		r->addend = (int64_t)map_offset(t, r->sym->value + r->addend + r->bias) - base - r->bias;
	}
}

void layout_text(struct obj *o)
{
	for (size_t i = 1; i < o->nr_secs; i++) {
		struct sec *s = o->secs[i];

		for (size_t j = 0; j < s->nr_insns; j++)
			if (s->insns[j].edit) {
				rebuild(o, s);
				break;
			}
	}
	refused_exit(o);
	for (size_t i = 1; i < o->nr_secs; i++)
		move_references(o->secs[i]);
	for (size_t i = 1; i < o->nr_syms; i++) {
		struct sym *y = o->syms[i];
		uint32_t end;

		if (!y->sec || !y->sec->map)
			continue;
		end = map_offset(y->sec, y->value + y->size);
		y->value = map_offset(y->sec, y->value);
		y->size = end - y->value;
	}
	for (size_t i = 1; i < o->nr_secs; i++)
		o->secs[i]->map = NULL;
}
