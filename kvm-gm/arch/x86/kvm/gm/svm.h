/* SPDX-License-Identifier: GPL-2.0 */
/* Guarded modules: what svm/svm.c calls. */
#ifndef __KVM_X86_GM_SVM_H
#define __KVM_X86_GM_SVM_H

#include "gm/hooks.h"

extern const struct gm_vendor_ops gm_svm_ops;

void __gm_svm_update_exceptions(struct kvm_vcpu *vcpu);

/* KVM has changed which exceptions it wants outside. */
static inline void gm_svm_update_exceptions(struct kvm_vcpu *vcpu)
{
	if (gm_inside(vcpu))
		__gm_svm_update_exceptions(vcpu);
}

bool __gm_svm_fastpath(struct kvm_vcpu *vcpu);

/* After VMRUN, in the guest's context: see gm_fastpath(). True: run again. */
static __always_inline bool gm_svm_fastpath(struct kvm_vcpu *vcpu)
{
	return gm_in_guest_context(vcpu, __gm_svm_fastpath);
}

/* An exit while inside: see gm_handle_exit(). */
int gm_svm_handle_exit(struct kvm_vcpu *vcpu);

#endif /* __KVM_X86_GM_SVM_H */
