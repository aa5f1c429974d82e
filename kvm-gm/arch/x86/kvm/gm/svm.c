// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: the SVM side of the vendor boundary (vendor.h).
 */
#include <asm/svm.h>

#include "gm/hooks.h"
#include "gm/svm.h"
#include "gm/vendor.h"
#include "svm/svm.h"
#include "x86.h"

/* Nothing sleeps inside but by the MWAIT that is granted, which is for nobody outside. */
static noinline void gm_svm_sleep(struct vcpu_svm *svm, u32 flags)
{
	struct vmcb_control_area *control = &svm->vmcb01.ptr->control;
	struct kvm_vcpu *vcpu = &svm->vcpu;

	if ((flags & GM_VIEW_MWAIT) || kvm_mwait_in_guest(vcpu->kvm)) {
		vmcb_clr_intercept(control, INTERCEPT_MONITOR);
		vmcb_clr_intercept(control, INTERCEPT_MWAIT);
	} else {
		vmcb_set_intercept(control, INTERCEPT_MONITOR);
		vmcb_set_intercept(control, INTERCEPT_MWAIT);
	}
	if ((flags & GM_VIEW_INSIDE) || !kvm_hlt_in_guest(vcpu->kvm))
		vmcb_set_intercept(control, INTERCEPT_HLT);
	else
		vmcb_clr_intercept(control, INTERCEPT_HLT);
	vcpu->arch.gm.sleep = flags & (GM_VIEW_MWAIT | GM_VIEW_HLT);
}

static __always_inline void gm_svm_intercept(struct vcpu_svm *svm, u32 exceptions, u32 flags)
{
	svm->vmcb->control.intercepts[INTERCEPT_EXCEPTION] = exceptions;
	if (unlikely(svm->vcpu.arch.gm.sleep || (flags & (GM_VIEW_MWAIT | GM_VIEW_HLT))))
		gm_svm_sleep(svm, flags);
	vmcb_mark_dirty(svm->vmcb, VMCB_INTERCEPTS);
}

static __always_inline void gm_svm_switch_tables(struct vcpu_svm *svm, hpa_t root,
						 unsigned long cr3)
{
	struct vmcb *vmcb = svm->vmcb;

	svm->vcpu.arch.cr3 = cr3;
	vmcb->save.cr3 = cr3;
	vmcb_mark_dirty(vmcb, VMCB_CR);
	if (likely(VALID_PAGE(root)))
		vmcb->control.nested_cr3 = __sme_set(root);
	vmcb->save.g_pat = gm_pat(&svm->vcpu, svm->vcpu.arch.pat);
	vmcb_mark_dirty(vmcb, VMCB_NPT);

	/* One ASID for all views: a nested CR3 does not tag translations. */
	vmcb->control.tlb_ctl = static_cpu_has(X86_FEATURE_FLUSHBYASID) ?
				TLB_CONTROL_FLUSH_ASID : TLB_CONTROL_FLUSH_ALL_ASID;
}

static void gm_svm_enter_view(struct kvm_vcpu *vcpu, hpa_t root, unsigned long cr3,
			      u32 flags)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb *vmcb = svm->vmcb;

	gm_svm_switch_tables(svm, root, cr3);

	/* KVM's step to the end of an NMI would step the module. */
	if (unlikely(svm->nmi_singlestep)) {
		svm->nmi_singlestep = false;
		vmcb->save.rflags &= ~(X86_EFLAGS_TF | X86_EFLAGS_RF);
		kvm_make_request(KVM_REQ_EVENT, vcpu);
	}
	vcpu->arch.gm.vendor_saved = vmcb->control.intercepts[INTERCEPT_EXCEPTION];
	gm_svm_intercept(svm, ~0, flags);
	vmcb->control.int_state &= ~SVM_INTERRUPT_SHADOW_MASK;
}

static void gm_svm_leave_view(struct kvm_vcpu *vcpu, hpa_t root, unsigned long cr3)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	gm_svm_switch_tables(svm, root, cr3);
	gm_svm_intercept(svm, vcpu->arch.gm.vendor_saved, 0);
}

static void gm_svm_update_view(struct kvm_vcpu *vcpu, u32 flags)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	gm_svm_sleep(svm, flags);
	vmcb_mark_dirty(svm->vmcb, VMCB_INTERCEPTS);
}

/* The debugger's breakpoints are the one thing that KVM changes at any time. */
void __gm_svm_update_exceptions(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	u32 *intercepts = &svm->vmcb01.ptr->control.intercepts[INTERCEPT_EXCEPTION];
	u32 *outside = &vcpu->arch.gm.vendor_saved;

	*outside &= ~BIT(BP_VECTOR);
	*outside |= *intercepts & BIT(BP_VECTOR);
	*intercepts = ~0;
	vmcb_mark_dirty(svm->vmcb, VMCB_INTERCEPTS);
}

static bool gm_svm_supports(struct kvm *kvm)
{
	return !kvm || !sev_guest(kvm);
}

const struct gm_vendor_ops gm_svm_ops = {
	.hypercall	= { 0x0f, 0x01, 0xd9 },		/* VMMCALL */
	.supports	= gm_svm_supports,
	.enter_view	= gm_svm_enter_view,
	.leave_view	= gm_svm_leave_view,
	.update_view	= gm_svm_update_view,
};

static void gm_svm_classify_exception(struct vcpu_svm *svm, struct gm_exit *exit)
{
	struct vmcb *vmcb = svm->vmcb;

	exit->class = GM_EXIT_EXCEPTION;
	exit->vector = exit->code - SVM_EXIT_EXCP_BASE;
	exit->has_error_code = x86_exception_has_error_code(exit->vector);
	exit->error_code = vmcb->control.exit_info_1;

	switch (exit->vector) {
	case PF_VECTOR:
		/* The host's hypervisor may tell this host of its own paging. */
		if (svm->vcpu.arch.apf.host_apf_flags)
			exit->class = GM_EXIT_HOST;
		exit->payload = vmcb->control.exit_info_2;
		break;
	case DB_VECTOR:
		/* KVM's own steps, or the debugger's, are not the guest's. */
		if (svm->nmi_singlestep || svm->vcpu.guest_debug)
			exit->class = GM_EXIT_HOST;
		exit->payload = vmcb->save.dr6 ^ DR6_ACTIVE_LOW;
		break;
	case MC_VECTOR:
		exit->class = GM_EXIT_HOST;
		break;
	}
}

/*
 * Right after VMRUN, with GIF and IF clear and the guest's extended state still
 * loaded. What svm_vcpu_run() does with the VMCB before and after a run is done
 * here as far as a crossing needs it, and otherwise by the last exit.
 */
bool __gm_svm_fastpath(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb *vmcb = svm->vmcb;
	unsigned long *regs = vcpu->arch.regs;

	/* What was injected has to be completed before anything else. */
	if (is_guest_mode(vcpu) || svm->soft_int_injected ||
	    svm->nmi_singlestep || vmcb->save.cpl ||
	    !(vcpu->arch.efer & EFER_LMA) || !(vmcb->save.cs.attrib & SVM_SELECTOR_L_MASK) ||
	    (vmcb->control.exit_int_info & SVM_EXITINTINFO_VALID))
		return false;

	regs[VCPU_REGS_RAX] = vmcb->save.rax;
	regs[VCPU_REGS_RSP] = vmcb->save.rsp;
	regs[VCPU_REGS_RIP] = vmcb->save.rip;
	vcpu->arch.cr3 = vmcb->save.cr3;
	if (!gm_fastpath(vcpu, vmcb->save.gs.base, vmcb->save.rflags))
		return false;

	vmcb->save.rax = regs[VCPU_REGS_RAX];
	vmcb->save.rsp = regs[VCPU_REGS_RSP];
	vmcb->save.rip = regs[VCPU_REGS_RIP];
	vmcb->save.rflags = vcpu->arch.gm.rflags;
	++vcpu->stat.exits;
	return true;
}

int gm_svm_handle_exit(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct gm_exit exit = {
		.class = GM_EXIT_OTHER,
		.code = svm->vmcb->control.exit_code,
	};

	/*
	 * INT n, which no sealed text holds: nothing else is delivered inside. The
	 * guest must not find it at the resume gate.
	 */
	if (svm->vmcb->control.exit_int_info & SVM_EXITINTINFO_VALID) {
		kvm_clear_interrupt_queue(vcpu);
		exit.code = SVM_EXIT_SWINT;
		return gm_handle_exit(vcpu, &exit);
	}

	switch (exit.code) {
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
	case SVM_EXIT_VINTR:
	case SVM_EXIT_SHUTDOWN:
		exit.class = GM_EXIT_HOST;
		break;
	case SVM_EXIT_PAUSE:
		/* F3 90, so that nobody need decode it. */
		svm->next_rip = kvm_rip_read(vcpu) + 2;
		exit.class = GM_EXIT_HOST;
		break;
	case SVM_EXIT_IOIO:
		/* String instructions have memory, too. */
		if (!(svm->vmcb->control.exit_info_1 & SVM_IOIO_STR_MASK))
			exit.class = GM_EXIT_HOST;
		break;
	case SVM_EXIT_MONITOR:
	case SVM_EXIT_MWAIT:
		/* Not granted: as in every guest. 0F 01 C8, 0F 01 C9. */
		svm->next_rip = kvm_rip_read(vcpu) + 3;
		exit.class = GM_EXIT_HOST;
		break;
	case SVM_EXIT_MSR:
		/* 0F 32, 0F 30: gm_handle_msr() looks. */
		svm->next_rip = kvm_rip_read(vcpu) + 2;
		exit.class = svm->vmcb->control.exit_info_1 ? GM_EXIT_WRMSR : GM_EXIT_RDMSR;
		break;
	case SVM_EXIT_NPF:
		exit.class = GM_EXIT_MEMORY;
		break;
	case SVM_EXIT_VMMCALL:
		exit.class = GM_EXIT_HYPERCALL;
		break;
	case SVM_EXIT_EXCP_BASE ... SVM_EXIT_EXCP_BASE + 31:
		gm_svm_classify_exception(svm, &exit);
		break;
	}
	return gm_handle_exit(vcpu, &exit);
}
