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

/* What a view is: */
#define GM_VIEW_INSIDE	BIT(0)	/* a module's */
#define GM_VIEW_MWAIT	BIT(1)	/* where MONITOR and MWAIT do not exit */
#define GM_VIEW_HLT	BIT(2)	/* where HLT exits, as it does not outside */

struct gm_vendor_ops {
	/* The hypercall instruction that always exits on this CPU. */
	u8 hypercall[GM_HYPERCALL_LEN];

	/*
	 * Can this host, with @kvm that VM, have guarded modules? KVM must be able to
	 * read and set the registers of its vCPUs. @kvm may be NULL.
	 */
	bool (*supports)(struct kvm *kvm);

	/*
	 * After both: the vCPU walks second-level tables at @root (INVALID_PAGE:
	 * they are loaded before the next VM-entry) and the guest's tables at
	 * @cr3, and uses no translation cached under another view. Inside, every
	 * exception exits, nothing is delivered by hardware without an exit, and
	 * no interrupt shadow is left; @flags, GM_VIEW_*, are the view's. Outside,
	 * exceptions exit as they did, and so do MONITOR and MWAIT.
	 */
	void (*enter_view)(struct kvm_vcpu *vcpu, hpa_t root, unsigned long cr3, u32 flags);
	void (*leave_view)(struct kvm_vcpu *vcpu, hpa_t root, unsigned long cr3);

	/* The flags of the view that the vCPU is in have changed. */
	void (*update_view)(struct kvm_vcpu *vcpu, u32 flags);
};

/* What the vendor's exit handler found while the vCPU was inside. */
enum gm_exit_class {
	GM_EXIT_HOST,		/* no business of the guest's: stock handling */
	GM_EXIT_HYPERCALL,	/* stock handling, which calls gm_hypercall() */
	GM_EXIT_MEMORY,		/* second-level fault: stock handling */
	GM_EXIT_EXCEPTION,	/* vector, error code, payload below */
	GM_EXIT_RDMSR,		/* by RDMSR itself; always exits inside, unless the guest has it */
	GM_EXIT_WRMSR,
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
 * Called by the vendor when a hypercall instruction has exited, before anything
 * else: interrupts are off, nothing may sleep, no request may be made. The
 * general registers, RIP and CR3 are in vcpu->arch, and the vCPU executes 64-bit
 * code at CPL 0. True: the crossing is done, in vcpu->arch, by enter_view() or
 * leave_view(), and with RFLAGS in vcpu->arch.gm.rflags; false: nothing is.
 */
bool gm_fastpath(struct kvm_vcpu *vcpu, u64 gs_base, u64 rflags);

/*
 * Called by the vendor for every exit while inside. Returns GM_CONTINUE for
 * stock handling, or what the exit handler is to return.
 */
int gm_handle_exit(struct kvm_vcpu *vcpu, const struct gm_exit *exit);

#endif /* __KVM_X86_GM_VENDOR_H */
