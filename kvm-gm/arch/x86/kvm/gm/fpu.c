// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: x87 and SIMD registers (I3, I5).
 *
 * Kernel code uses these between kernel_fpu_begin() and kernel_fpu_end() only,
 * and userspace marks the gates that lead to the two. In between they are the
 * module's: an out-call or an event takes them into the activation and leaves
 * the guest their initial state. Elsewhere they are the guest's, as they are to
 * any kernel code, and crossings do not touch them.
 *
 * All of this may sleep: the fastpath leaves such crossings to the slow one.
 */
#include <asm/fpu/api.h>

#include "gm/gm.h"

/* Of what kernel code uses; all of it lies in the part that every vCPU has. */
static u64 gm_fpu_features(void)
{
	return kvm_caps.supported_xcr0 &
	       (XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512);
}

/* @xsave is in the format of KVM_SET_XSAVE2. */
static void gm_fpu_load(struct kvm_vcpu *vcpu, struct xregs_state *xsave)
{
	struct fpu_guest *fpu = &vcpu->arch.guest_fpu;
	bool live = fpu->fpstate->in_use;

	/* To and from memory; not live: userspace resets the vCPU. */
	if (live)
		fpu_swap_kvm_fpstate(fpu, false);
	/* What the guest has disabled since cannot be loaded. */
	xsave->header.xfeatures &= gm_fpu_features() & ~fpu->fpstate->xfd;
	KVM_BUG_ON(fpu_copy_uabi_to_guest_fpstate(fpu, xsave, gm_fpu_features(), NULL),
		   vcpu->kvm);
	if (live)
		fpu_swap_kvm_fpstate(fpu, true);
}

static void gm_fpu_reset(struct kvm_vcpu *vcpu)
{
	struct xregs_state init = {
		.i387.cwd = 0x37f,
		.i387.mxcsr = MXCSR_DEFAULT,
		.header.xfeatures = XFEATURE_MASK_FPSSE,
	};

	gm_fpu_load(vcpu, &init);
}

/* Before an out-call by a gate with KVM_GM_GATE_F_* @flags. */
void __gm_fpu_out_call(struct kvm_vcpu *vcpu, struct gm_activation *act, u32 flags)
{
	if (flags & KVM_GM_GATE_F_FPU_END) {
		__gm_fpu_drop(vcpu, act);
		return;
	}
	__gm_fpu_hide(vcpu, act);
	if (flags & KVM_GM_GATE_F_FPU_BEGIN && act->fpu == GM_FPU_GUEST)
		act->fpu = GM_FPU_BEGINNING;
}

/* The vCPU is about to leave, and @act will go on. */
void __gm_fpu_hide(struct kvm_vcpu *vcpu, struct gm_activation *act)
{
	struct fpu_guest *fpu = &vcpu->arch.guest_fpu;

	if (act->fpu != GM_FPU_MODULE)
		return;

	fpu_swap_kvm_fpstate(fpu, false);
	fpu_copy_guest_fpstate_to_uabi(fpu, act->xsave, GM_XSAVE_SIZE,
				       gm_fpu_features(), 0);
	fpu_swap_kvm_fpstate(fpu, true);
	act->fpu = GM_FPU_SAVED;
	gm_fpu_reset(vcpu);
}

/* The vCPU is about to leave, and what the registers hold is not needed. */
void __gm_fpu_drop(struct kvm_vcpu *vcpu, struct gm_activation *act)
{
	if (act->fpu == GM_FPU_MODULE)
		gm_fpu_reset(vcpu);
	act->fpu = GM_FPU_GUEST;
}

/* The vCPU is back inside. */
void __gm_fpu_show(struct kvm_vcpu *vcpu, struct gm_activation *act)
{
	if (act->fpu == GM_FPU_SAVED)
		gm_fpu_load(vcpu, act->xsave);
	else
		gm_fpu_reset(vcpu);
	act->fpu = GM_FPU_MODULE;
}
