// SPDX-License-Identifier: GPL-2.0
/*
 * What the image asks for: each request is one that can be granted, and the table
 * has its one order, so that whoever registers the image reads it as QEMU does.
 * What an instruction's request must be is in verify_insn.c.
 */
#include "verify.h"

bool vrequested(const struct vimg *v, uint32_t kind, uint32_t flags)
{
	for (uint32_t i = 0; i < v->man->privileges.count; i++)
		if (v->privileges[i].kind == kind && !(flags & ~v->privileges[i].flags))
			return true;
	return false;
}

static bool in_bounds(const struct gm_privilege *p)
{
	switch (p->kind) {
	case KVM_GM_PRIV_MMIO:			/* one device, or any */
		return p->last <= 0xffffffff && (p->first == p->last || (!p->first && p->last == 0xffffffff));
	case KVM_GM_PRIV_PIO:
		return p->first <= p->last && p->last <= 0xffff;
	case KVM_GM_PRIV_MSR:
		return p->first <= p->last && p->last <= 0xffffffff;
	default:
		return !p->first && !p->last;
	}
}

void verify_requests(struct vimg *v)
{
	const struct vsec *s = vsec_find(v, GM_SECTION_MANIFEST);

	for (uint32_t i = 0; i < v->man->privileges.count; i++) {
		const struct gm_privilege *p = &v->privileges[i], *before = i ? p - 1 : NULL;
		uint64_t off = v->man->privileges.offset + i * sizeof(*p);

		if (p->kind < KVM_GM_PRIV_MMIO || p->kind >= KVM_GM_NR_PRIVILEGES)
			finding(v, "request", s, off, "request %u is of an unknown kind, %u.", i, p->kind);
		else if (p->flags & ~(p->kind == KVM_GM_PRIV_MSR ? KVM_GM_PRIV_F_WRITE : 0U))
			finding(v, "request", s, off, "request %u has flags that its kind has not, 0x%x.", i,
				p->flags);
		else if (!in_bounds(p))
			finding(v, "request", s, off, "request %u is of nothing that there is, 0x%llx-0x%llx.",
				i, (unsigned long long)p->first, (unsigned long long)p->last);
		if (before && (p->kind < before->kind || (p->kind == before->kind && p->first <= before->last)))
			finding(v, "request", s, off, "request %u is out of order, or shares a value with the one before.",
				i);
	}
}
