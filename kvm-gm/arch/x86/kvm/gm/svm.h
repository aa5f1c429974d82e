/* SPDX-License-Identifier: GPL-2.0 */
/* Guarded modules: what svm/svm.c calls. */
#ifndef __KVM_X86_GM_SVM_H
#define __KVM_X86_GM_SVM_H

#include <linux/kvm_host.h>

extern const struct gm_vendor_ops gm_svm_ops;

/* On the exit fastpath: see gm_fastpath(). */
bool gm_svm_fastpath(struct kvm_vcpu *vcpu);

/* An exit while inside: see gm_handle_exit(). */
int gm_svm_handle_exit(struct kvm_vcpu *vcpu);

#endif /* __KVM_X86_GM_SVM_H */
