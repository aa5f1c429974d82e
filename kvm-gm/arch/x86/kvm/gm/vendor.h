/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guarded modules: the boundary between the core and SVM or VMX.
 *
 * The vendor side knows neither modules nor gates; the core knows neither
 * VMCB nor VMCS. kvm_x86_ops.gm points at the vendor's operations, NULL where
 * there are none yet (then KVM_CAP_GM is not offered).
 */
#ifndef __KVM_X86_GM_VENDOR_H
#define __KVM_X86_GM_VENDOR_H

#include <linux/kvm_host.h>

#define GM_HYPERCALL_LEN	3

struct gm_vendor_ops {
	/* The hypercall instruction that always exits on this CPU. */
	u8 hypercall[GM_HYPERCALL_LEN];

	/* KVM must be able to read and set the registers of the VM's vCPUs. */
	bool (*supports)(struct kvm *kvm);

	/*
	 * After: with @inside, every exception exits, and nothing is delivered
	 * by hardware without an exit. Without, what it was before.
	 */
	void (*intercept)(struct kvm_vcpu *vcpu, bool inside);

	/* After: the guest's CR3 is @cr3, also if no root is loaded yet. */
	void (*set_cr3)(struct kvm_vcpu *vcpu, unsigned long cr3);

	/*
	 * The CPU tags translations by second-level root. If not, those of one
	 * view have to go before the vCPU runs in another.
	 */
	bool tags_views;
};

/* What the vendor's exit handler found while the vCPU was inside. */
enum gm_exit_class {
	GM_EXIT_HOST,		/* no business of the guest's: stock handling */
	GM_EXIT_HYPERCALL,	/* stock handling, which calls gm_hypercall() */
	GM_EXIT_MEMORY,		/* second-level fault: stock handling */
	GM_EXIT_EXCEPTION,	/* vector, error code, payload below */
	GM_EXIT_OTHER,		/* a violation; code is the vendor's exit code */
};

struct gm_exit {
	enum gm_exit_class class;
	u64 code;
	u8  vector;
	bool has_error_code;
	u32 error_code;
	u64 payload;		/* #PF: linear address; #DB: DR6 */
};

/*
 * Called by the vendor for every exit while inside. Returns GM_CONTINUE for
 * stock handling, or what the exit handler is to return.
 */
int gm_handle_exit(struct kvm_vcpu *vcpu, const struct gm_exit *exit);

#endif /* __KVM_X86_GM_VENDOR_H */
