/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guarded modules: a vCPU goes from one view to another (I2). Both ways are part
 * of every crossing, and inline for its sake.
 */
#ifndef __KVM_X86_GM_VIEW_H
#define __KVM_X86_GM_VIEW_H

#include "gm/gm.h"

/*
 * A vCPU keeps the root of each view that it has been in, so that a switch is
 * a swap. A root that has become obsolete comes with a request that frees all
 * of them before the next VM-entry; a missing one is found or made by
 * kvm_mmu_reload() after the vCPU has left its inner loop, for which the
 * request below sees to it.
 */
static __always_inline hpa_t gm_switch_root(struct kvm_vcpu *vcpu, u32 view)
{
	struct kvm_vcpu_gm *v = &vcpu->arch.gm;
	struct kvm_mmu *mmu = vcpu->arch.mmu;
	hpa_t root = v->roots[view];

	v->roots[v->view] = mmu->root.hpa;
	v->roots[view] = INVALID_PAGE;
	mmu->root.hpa = root;
	mmu->root_role.view = view;
	v->view = view;

	if (unlikely(!VALID_PAGE(root)))
		kvm_make_request(KVM_REQ_LOAD_MMU_PGD, vcpu);
	vcpu_clear_mmio_info(vcpu, MMIO_GVA_ANY);
	return root;
}

/* Raise privilege. The caller has checked everything (I1). */
static __always_inline void gm_enter_view(struct kvm_vcpu *vcpu, struct gm_seal *seal,
					  struct gm_activation *act, unsigned long cr3)
{
	struct kvm_vcpu_gm *v = &vcpu->arch.gm;
	hpa_t root;

	kref_get(&seal->ref);
	v->seal = seal;
	v->act = act;
	v->guest_cr3 = cr3;
	v->guest_dr7 = vcpu->arch.dr7;

	gm_return_borrowed(seal);
	root = gm_switch_root(vcpu, seal->id);
	kvm_x86_ops.gm->enter_view(vcpu, root, gfn_to_gpa(seal->aperture),
				   READ_ONCE(seal->view_flags));

	/* The guest has no business setting breakpoints inside. */
	if (v->guest_dr7 & DR7_BP_EN_MASK)
		kvm_set_dr(vcpu, 7, DR7_FIXED_1);
}

/* Drop privilege. Registers are the caller's business. */
static __always_inline void __gm_leave_view(struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu_gm *v = &vcpu->arch.gm;
	struct gm_seal *seal = v->seal;
	hpa_t root;

	/* What userspace is told of from now on is the guest's. */
	vcpu->run->flags &= ~KVM_GM_RUN_FLAGS;
	root = gm_switch_root(vcpu, 0);
	kvm_x86_ops.gm->leave_view(vcpu, root, v->guest_cr3);

	if (v->guest_dr7 & DR7_BP_EN_MASK)
		kvm_set_dr(vcpu, 7, v->guest_dr7);

	v->seal = NULL;
	v->act = NULL;
	gm_return_borrowed(seal);
	gm_put_seal(seal);
}

#endif /* __KVM_X86_GM_VIEW_H */
