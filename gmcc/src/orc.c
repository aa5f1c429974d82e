// SPDX-License-Identifier: GPL-2.0
/*
 * The module's own unwind data (ORC): at each place in text, how far the
 * return address is from the stack pointer.
 */
#include <stdlib.h>
#include <string.h>

#include "gmcc.h"

#define ORC_ENTRY_SIZE	6

/*
 * .orc_header of the newer of the two layouts that are known: that of Linux 6.4
 * and later. Linux 6.1 has no header, and `type' starts at 0 with a call.
 */
static const uint8_t orc_hash[20] = {
	0xfe, 0x5d, 0x32, 0xbf, 0x58, 0x1b, 0xd6, 0x3b, 0x2c, 0xa9,
	0xa5, 0xc6, 0x5b, 0xa5, 0xa6, 0x25, 0xea, 0xb3, 0xfe, 0x24,
};

static int by_off(const void *a, const void *b)
{
	const struct orc *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

void orc_read(struct obj *o)
{
	const struct sec *ip = section_named(o, ".orc_unwind_ip");
	const struct sec *un = section_named(o, ".orc_unwind");
	const struct sec *hd = section_named(o, ".orc_header");

	bool text = false;

	for (size_t i = 1; i < o->nr_secs; i++) {
		if (o->secs[i]->role != ROLE_TEXT || o->secs[i] == o->s_glue)
			continue;
		o->secs[i]->nr_orc = 0;
		text = true;
	}
	if (!text)
		return;
	if (!ip || !un || !un->data)
		die(o->file, "no ORC unwind data, so stack frames are unknown. "
		    "Build the module with CONFIG_UNWINDER_ORC.");
	if (hd ? !hd->data || hd->size != sizeof(orc_hash) ||
		 memcmp(hd->data, orc_hash, sizeof(orc_hash)) : !o->linux_6_1)
		die(o->file, "unknown ORC format (.orc_header). "
		    "Use a module built for Linux 6.1 or 6.12, or teach gmcc the format (orc.c).");
	if (un->size / ORC_ENTRY_SIZE != ip->size / 4 || ip->nr_rels != ip->size / 4)
		die(o->file, ".orc_unwind and .orc_unwind_ip do not match.");
	for (size_t i = 0; i < ip->nr_rels; i++) {
		const struct rel *r = &ip->rels[i];
		const uint8_t *e = un->data + r->off / 4 * ORC_ENTRY_SIZE;
		struct sec *s = r->sym->sec;
		struct orc *n;

		if (!s || r->off % 4 || r->type != R_X86_64_PC32)
			die(o->file, ".orc_unwind_ip+0x%llx: malformed.", (unsigned long long)r->off);
		if (s->role != ROLE_TEXT)
			continue;
		s->orc = xgrow(s->orc, s->nr_orc, sizeof(*s->orc));
		n = &s->orc[s->nr_orc++];
		n->off = r->sym->value + r->addend;
		n->sp_offset = (int16_t)(e[0] | e[1] << 8);
		n->sp_reg = e[4] & 15;
		/* Type 1 or more is a frame that the CPU pushed, in both. */
		n->type = hd ? e[5] & 7 : (e[5] & 3) + ORC_TYPE_CALL;
	}
	for (size_t i = 1; i < o->nr_secs; i++)
		if (o->secs[i]->nr_orc)
			qsort(o->secs[i]->orc, o->secs[i]->nr_orc, sizeof(struct orc), by_off);
}

const struct orc *orc_at(const struct sec *s, uint32_t off)
{
	size_t lo = 0, hi = s->nr_orc;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->orc[mid].off <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? &s->orc[lo - 1] : NULL;
}
