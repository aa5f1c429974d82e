// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: views (I2, I4, I5).
 *
 * A view is a second-level page table of its own, told apart by role.view.
 * This file decides which page backs a guest frame in a view, and with which
 * permissions; view.h switches a vCPU between views. View 0 is the guest's; in
 * a module's view nothing but its sealed text is executable.
 */
#include "gm/devices.h"
#include "gm/view.h"
#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/spte.h"
#include "mmu/tdp_mmu.h"

void __gm_free_roots(struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu_gm *v = &vcpu->arch.gm;
	int i;

	read_lock(&vcpu->kvm->mmu_lock);
	for (i = 0; i < ARRAY_SIZE(v->roots); i++) {
		if (!VALID_PAGE(v->roots[i]))
			continue;
		kvm_tdp_mmu_put_root(vcpu->kvm, root_to_sp(v->roots[i]));
		v->roots[i] = INVALID_PAGE;
	}
	read_unlock(&vcpu->kvm->mmu_lock);
}

void gm_leave_view(struct kvm_vcpu *vcpu)
{
	__gm_leave_view(vcpu);
}

/*
 * What the vCPU's view may do with @gfn: GM_* permissions, and in @page the
 * KVM-owned page that backs it, NULL if it is the guest's, or (@sealed) a device's.
 */
static u8 gm_lookup(struct kvm_vcpu *vcpu, gfn_t gfn, struct page **page,
		    struct gm_page **sealed)
{
	struct gm_seal *inside = vcpu->arch.gm.seal;
	struct gm *gm = vcpu->kvm->arch.gm;
	u8 outside = GM_R | GM_W | (inside ? 0 : GM_X);
	struct gm_page *p;

	*page = NULL;
	*sealed = NULL;

	if (inside && gfn - inside->aperture < GM_APERTURE_GFNS) {
		u32 i = gfn - inside->aperture;

		if (i < inside->nr_tables) {
			*page = virt_to_page(inside->tables[i].entries);
			return GM_R | GM_W;	/* the walker sets A and D */
		}
		if (i < GM_MAX_TABLES || i - GM_MAX_TABLES >= inside->nr_pages)
			return 0;
		p = &inside->pages[i - GM_MAX_TABLES];
		*sealed = p;
		*page = p->page;
		if (gm_is_device(p))
			return gm_is_mapped(inside, p) ? GM_R | GM_W : 0;
		return p->module;
	}
	if (inside && gm_in_aperture_space(inside, gfn))
		return 0;

	p = xa_load(&gm->pages, gfn);
	if (!p)
		return outside;

	*sealed = p;
	if (p->mirror) {
		*page = p->mirror;
		return p->guest & outside;
	}
	*page = p->page;
	return p->guest & outside;
}

/* The gate that leads to the function at @va: the one that was bypassed. */
static u32 gm_bypassed_gate(struct gm_seal *seal, u64 va)
{
	const struct gm_region *region = gm_find_region(seal, va);
	u32 i, nearest = KVM_GM_NO_GATE;
	u64 best = 0;

	for (i = 0; i < seal->nr_gates && region; i++) {
		struct gm_gate *gate = &seal->gates[i];

		if (gate->kind == KVM_GM_GATE_IN_CALL &&
		    gate->target >= max(best, region->va) && gate->target <= va) {
			best = gate->target;
			nearest = i;
		}
	}
	return nearest;
}

/* Can a table of the guest's be there, so that the CPU walks it by itself? */
static bool gm_may_hold_table(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	bool writable = false;

	return !kvm_is_error_hva(kvm_vcpu_gfn_to_hva_prot(vcpu, gfn, &writable)) && writable;
}

int __gm_page_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 error_code)
{
	struct gm_seal *inside = vcpu->arch.gm.seal;
	enum kvm_gm_violation kind;
	struct gm_page *sealed;
	struct gm_seal *seal;
	struct page *page;
	u32 gate;
	u64 addr;
	u8 need;

	/* KVM_REQ_GM is pending and takes the vCPU out. */
	if (inside && READ_ONCE(inside->dead))
		return 1;

	/* The CPU may pass the fetch on to its walk of the guest's tables. */
	if ((error_code & PFERR_FETCH_MASK) && !(error_code & PFERR_GUEST_PAGE_MASK))
		need = GM_X;
	else if (error_code & PFERR_WRITE_MASK)
		need = GM_W;
	else
		need = GM_R;

	if (gm_lookup(vcpu, gpa_to_gfn(gpa), &page, &sealed) & need) {
		/* The emulator would take it for what the instruction accesses. */
		if (inside && (error_code & PFERR_GUEST_PAGE_MASK) && !page &&
		    (sealed || !gm_may_hold_table(vcpu, gpa_to_gfn(gpa))))
			return gm_violation(vcpu, inside, KVM_GM_V_EMULATE, KVM_GM_NO_GATE,
					    0, INVALID_GPA);
		return GM_CONTINUE;
	}

	if (need == GM_X) {
		kind = inside ? KVM_GM_V_ESCAPE : KVM_GM_V_EXEC;
		addr = kvm_rip_read(vcpu);
	} else {
		kind = inside ? KVM_GM_V_ACCESS : need == GM_W ? KVM_GM_V_WRITE : KVM_GM_V_READ;
		addr = sealed ? sealed->va + offset_in_page(gpa) : 0;
	}

	seal = inside ?: sealed ? sealed->seal : NULL;
	gate = seal ? gm_bypassed_gate(seal, addr) : KVM_GM_NO_GATE;
	/* One guess at where the aperture is, and no other. */
	if (inside && !sealed && gm_in_aperture_space(inside, gpa_to_gfn(gpa)))
		gm_quarantine(inside);
	return gm_violation(vcpu, seal, kind, gate, addr, gpa);
}

/* The largest mapping around @gfn with no sealed frame and no table in it. */
static u8 gm_max_level(struct kvm_vcpu *vcpu, gfn_t gfn, u8 level)
{
	struct gm_seal *inside = vcpu->arch.gm.seal;
	struct gm *gm = vcpu->kvm->arch.gm;

	for (; level > PG_LEVEL_4K; level--) {
		gfn_t size = KVM_PAGES_PER_HPAGE(level);
		unsigned long first = gfn & ~(size - 1);

		/* The guest may have put memory around the aperture since. */
		if (inside && first < inside->aperture + GM_APERTURE_GFNS &&
		    inside->aperture < first + size)
			continue;
		if (!xa_find(&gm->pages, &first, first + size - 1, XA_PRESENT))
			break;
	}
	return level;
}

int __gm_faultin_pfn(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	struct gm_seal *inside = vcpu->arch.gm.seal;
	struct gm_page *sealed;
	struct page *page;
	u8 access;

	/*
	 * Unsealing has zapped the view, or is about to: KVM_REQ_GM is pending.
	 * Unless the vCPU is quarantined, fault->mmu_seq would not tell.
	 */
	if (inside && READ_ONCE(inside->dead))
		return RET_PF_RETRY;

	access = gm_lookup(vcpu, fault->gfn, &page, &sealed);

	if (!(access & GM_W))
		fault->pte_denied |= ACC_WRITE_MASK;
	if (!(access & GM_X))
		fault->pte_denied |= ACC_EXEC_MASK;
	/* What is left is execute-only, see gm_check_cloaked(). */
	if (!(access & GM_R))
		fault->pte_denied |= ACC_USER_MASK;

	if (!page && sealed)
		return gm_faultin_device(vcpu, fault, sealed);
	if (!page) {
		fault->max_level = gm_max_level(vcpu, fault->gfn, fault->max_level);
		return GM_FAULTIN_GUEST;
	}

	get_page(page);
	fault->pfn = page_to_pfn(page);
	fault->map_writable = access & GM_W;
	fault->max_level = PG_LEVEL_4K;
	if (!fault->slot)
		fault->slot = &vcpu->kvm->arch.gm->slot;
	return RET_PF_CONTINUE;
}
