// SPDX-License-Identifier: GPL-2.0
/*
 * Requests of privileges: the one parser of their text, and their normal form.
 *
 * Keeps: what ends up in the manifest is the union of what was asked for, not
 * more, in the one order and form that readers of the image accept.
 */
#include <stdlib.h>
#include <string.h>

#include "privilege.h"

#define ANY_DEVICE	0xffffffffULL

static const struct kind {
	const char *name;
	uint32_t kind;
	enum { NOTHING, DEVICE, RANGE } value;
	uint64_t max;		/* of a RANGE */
	bool write;		/* may be followed by :rw */
	const char *form;	/* for messages */
} kinds[] = {
	{ "mmio", KVM_GM_PRIV_MMIO, DEVICE, 0, false,
	  "mmio, or mmio=VENDOR:DEVICE in hexadecimal, such as mmio=8086:10d3" },
	{ "pio", KVM_GM_PRIV_PIO, RANGE, 0xffff, false, "pio=PORT or pio=FIRST-LAST, such as pio=0x60-0x64" },
	{ "msr", KVM_GM_PRIV_MSR, RANGE, 0xffffffff, true,
	  "msr=INDEX or msr=FIRST-LAST, with :rw behind it to write as well, such as msr=0x198-0x199:rw" },
	{ "mwait", KVM_GM_PRIV_MWAIT, NOTHING, 0, false, "mwait" },
	{ "hostinfo", KVM_GM_PRIV_HOSTINFO, NOTHING, 0, false, "hostinfo" },
};

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

/* Digits from @s on; where they end, or NULL if there are none or too many. */
static const char *digits(const char *s, int base, __u64 *n)
{
	const char *start = s;

	for (*n = 0; digit(*s) < base; s++) {
		if (*n >> 32)
			return NULL;
		*n = *n * base + digit(*s);
	}
	return s == start ? NULL : s;
}

/* 0x60 or 96. Not 060: who writes that may mean either. */
static const char *number(const char *s, __u64 *n)
{
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		return digits(s + 2, 16, n);
	if (s[0] == '0' && digit(s[1]) < 10)
		return NULL;
	return digits(s, 10, n);
}

static bool parse_device(const char *s, struct gm_privilege *p)
{
	__u64 vendor, device;

	s = digits(s, 16, &vendor);
	if (!s || *s != ':' || vendor > 0xffff)
		return false;
	s = digits(s + 1, 16, &device);
	if (!s || *s || device > 0xffff)
		return false;
	p->first = p->last = vendor << 16 | device;
	return true;
}

static bool parse_range(const char *s, const struct kind *k, struct gm_privilege *p)
{
	s = number(s, &p->first);
	p->last = p->first;
	if (s && *s == '-')
		s = number(s + 1, &p->last);
	if (s && k->write && !strcmp(s, ":rw")) {
		p->flags = KVM_GM_PRIV_F_WRITE;
		s += strlen(s);
	}
	return s && !*s;
}

static const struct kind *kind_named(const char *text, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strlen(kinds[i].name) == n && !memcmp(text, kinds[i].name, n))
			return &kinds[i];
	return NULL;
}

const char *privilege_parse(const char *text, struct gm_privilege *p)
{
	size_t n = strcspn(text, "=");
	const struct kind *k = kind_named(text, n);
	const char *value = text[n] ? text + n + 1 : NULL;
	bool ok;

	if (!k)
		return xasprintf("no privilege is called `%.*s'. There are mmio, pio, msr, mwait and hostinfo.",
				 n < 64 ? (int)n : 64, text);
	*p = (struct gm_privilege){ .kind = k->kind };
	switch (k->value) {
	case NOTHING:
		ok = !value;
		break;
	case DEVICE:
		p->last = ANY_DEVICE;
		ok = !value || parse_device(value, p);
		break;
	default:
		ok = value && parse_range(value, k, p);
	}
	if (!ok)
		return xasprintf("`%.64s' is not understood. Write %s.", text, k->form);
	if (k->value != RANGE)
		return NULL;
	if (p->last > k->max)
		return xasprintf("`%.64s' goes beyond 0x%llx, the last there is.", text,
				 (unsigned long long)k->max);
	if (p->first > p->last)
		return xasprintf("`%.64s' ends before it starts. Write the lower number first.", text);
	return NULL;
}

static void append(struct requests *r, struct gm_privilege p)
{
	r->list[r->nr++] = p;
}

static bool ranges_merge(uint32_t kind)
{
	return kind == KVM_GM_PRIV_PIO || kind == KVM_GM_PRIV_MSR;
}

/* Of one kind and with the same flags: do they become one? */
static bool one(const struct gm_privilege *a, const struct gm_privilege *b)
{
	uint64_t gap = ranges_merge(a->kind);

	return a->kind == b->kind && a->flags == b->flags && a->first <= b->last + gap &&
	       b->first <= a->last + gap;
}

/* What @p has beside @q, up to two pieces. */
static void subtract(struct requests *to, struct gm_privilege p, const struct gm_privilege *q)
{
	if (q->first > p.last || q->last < p.first) {
		append(to, p);
		return;
	}
	if (p.first < q->first)
		append(to, (struct gm_privilege){ p.kind, p.flags, p.first, q->first - 1 });
	if (p.last > q->last)
		append(to, (struct gm_privilege){ p.kind, p.flags, q->last + 1, p.last });
}

static int by_place(const void *a, const void *b)
{
	const struct gm_privilege *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* The rest of the list stays as it is, and as short as it gets. */
static void merge(struct requests *r, struct gm_privilege p)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->nr; i++) {
		const struct gm_privilege *q = &r->list[i];

		if (one(&p, q)) {
			p.first = q->first < p.first ? q->first : p.first;
			p.last = q->last > p.last ? q->last : p.last;
		} else {
			r->list[kept++] = *q;
		}
	}
	r->nr = kept;
	append(r, p);
	qsort(r->list, r->nr, sizeof(*r->list), by_place);
}

/* Room: what is added splits one of the list, or is split by all of it. */
_Static_assert(ARRAY_SIZE(((struct requests *)0)->list) >= 2 * GM_MAX_PRIVILEGES + 2, "room");

bool requests_add(struct requests *r, const struct gm_privilege *p)
{
	struct requests left = { .nr = 0 }, pieces = { .nr = 0 };

	/* What the list has with more rights is not asked for again with less, ... */
	append(&pieces, *p);
	for (size_t i = 0; i < r->nr && !p->flags; i++) {
		struct requests next = { .nr = 0 };

		if (r->list[i].kind != p->kind || !r->list[i].flags)
			continue;
		for (size_t j = 0; j < pieces.nr; j++)
			subtract(&next, pieces.list[j], &r->list[i]);
		pieces = next;
	}
	/* ... and what it has with less makes way. */
	for (size_t i = 0; i < r->nr; i++) {
		if (r->list[i].kind == p->kind && p->flags && !r->list[i].flags)
			subtract(&left, r->list[i], p);
		else
			append(&left, r->list[i]);
	}
	for (size_t i = 0; i < pieces.nr; i++)
		merge(&left, pieces.list[i]);
	if (left.nr > GM_MAX_PRIVILEGES)
		return false;
	*r = left;
	return true;
}

bool requests_kind(const struct requests *r, uint32_t kind, uint32_t flags)
{
	for (size_t i = 0; i < r->nr; i++)
		if (r->list[i].kind == kind && (r->list[i].flags & flags) == flags)
			return true;
	return false;
}

bool requests_overlap(const struct requests *r, uint32_t kind, uint64_t first, uint64_t last)
{
	for (size_t i = 0; i < r->nr; i++)
		if (r->list[i].kind == kind && r->list[i].first <= last && first <= r->list[i].last)
			return true;
	return false;
}

const char *privilege_text(const struct gm_privilege *p)
{
	unsigned long long first = p->first, last = p->last;
	const char *name = NULL, *rw = p->flags & KVM_GM_PRIV_F_WRITE ? ":rw" : "";

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].kind == p->kind)
			name = kinds[i].name;
	if (!name)
		return xasprintf("%u=0x%llx-0x%llx", p->kind, first, last);
	if (p->kind == KVM_GM_PRIV_MMIO && first == last)
		return xasprintf("%s=%04llx:%04llx", name, first >> 16, first & 0xffff);
	if (!ranges_merge(p->kind))
		return name;
	if (first == last)
		return xasprintf("%s=0x%llx%s", name, first, rw);
	return xasprintf("%s=0x%llx-0x%llx%s", name, first, last, rw);
}
