/* SPDX-License-Identifier: GPL-2.0 */
/* Guarded modules: what vmx/vmx.c calls. */
#ifndef __KVM_X86_GM_VMX_H
#define __KVM_X86_GM_VMX_H

#include "gm/hooks.h"

extern const struct gm_vendor_ops gm_vmx_ops;

/* KVM wants @outside to exit. What it has to write to the VMCS. */
static inline u32 gm_vmx_exceptions(struct kvm_vcpu *vcpu, u32 outside)
{
	vcpu->arch.gm.vendor_saved = outside;
	return gm_inside(vcpu) ? ~0 : outside;
}

bool __gm_vmx_fastpath(struct kvm_vcpu *vcpu);

/* After VM-exit, in the guest's context: see gm_fastpath(). True: enter again. */
static __always_inline bool gm_vmx_fastpath(struct kvm_vcpu *vcpu)
{
	return gm_in_guest_context(vcpu, __gm_vmx_fastpath);
}

/* Of vmx.c: log2 of TSC ticks for one of the preemption timer's. */
extern int cpu_preemption_timer_multi;

/* An exit while inside: see gm_handle_exit(). */
int gm_vmx_handle_exit(struct kvm_vcpu *vcpu);

#endif /* __KVM_X86_GM_VMX_H */
