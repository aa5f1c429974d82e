// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: the VMX side of the vendor boundary (vendor.h).
 *
 * Translations are tagged by VPID, PCID and the EPT root (EP4TA; SDM vol. 3,
 * "Caching Translation Information"), so a switch of views needs no
 * invalidation: each view has a root of its own, and inside one the CPU never
 * walks other page tables than the view's. What is borrowed from the guest's
 * tables is cached under the guest's own PCID; the guest's invalidations reach
 * it there, since those by INVLPG, INVPCID and MOV to CR3 are for all roots.
 */
#include <asm/vmx.h>

#include "gm/hooks.h"
#include "gm/vendor.h"
#include "gm/vmx.h"
#include "vmx/capabilities.h"
#include "vmx/vmx.h"
#include "x86.h"

#define GM_VECTOR_SHIFT		16	/* in the exit code of an exception */

#define GM_IO_STRING		BIT(4)	/* in the exit qualification of I/O */

/* By the VMCS itself: gm_vmx_supports() refuses Hyper-V's enlightened one. */
#define gm_vmread(field)		__vmcs_readl(field)
#define gm_vmwrite(field, value)	__vmcs_writel(field, value)

/* Nothing sleeps inside but by the MWAIT that is granted, which is for nobody outside. */
static noinline u32 gm_vmx_sleep_controls(struct kvm_vcpu *vcpu, u32 control, u32 flags)
{
	const u32 mwait = CPU_BASED_MWAIT_EXITING | CPU_BASED_MONITOR_EXITING;

	control |= mwait | CPU_BASED_HLT_EXITING;
	if ((flags & GM_VIEW_MWAIT) || kvm_mwait_in_guest(vcpu->kvm))
		control &= ~mwait;
	if (!(flags & GM_VIEW_INSIDE) && kvm_hlt_in_guest(vcpu->kvm))
		control &= ~CPU_BASED_HLT_EXITING;
	vcpu->arch.gm.sleep = flags & (GM_VIEW_MWAIT | GM_VIEW_HLT);
	return control;
}

/* And the CPU walks no page tables but the view's. */
static __always_inline void gm_vmx_controls(struct kvm_vcpu *vcpu, u32 flags)
{
	const u32 inside = CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING;
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 control = exec_controls_get(vmx);

	control = (flags & GM_VIEW_INSIDE) ? control | inside : control & ~inside;
	if (unlikely(vcpu->arch.gm.sleep || (flags & (GM_VIEW_MWAIT | GM_VIEW_HLT))))
		control = gm_vmx_sleep_controls(vcpu, control, flags);
	exec_controls_set(vmx, control);
}

/* As construct_eptp() has it for a guest that is not nested (SDM vol. 3, table "EPTP"). */
static __always_inline u64 gm_vmx_eptp(struct kvm_vcpu *vcpu, hpa_t root)
{
	BUILD_BUG_ON(VMX_EPTP_PWL_4 != 3 << 3 || VMX_EPTP_PWL_5 != 4 << 3);

	return root | VMX_EPTP_MT_WB | (u64)(vcpu->arch.mmu->root_role.level - 1) << 3 |
	       (enable_ept_ad_bits ? VMX_EPTP_AD_ENABLE_BIT : 0);
}

static __always_inline void gm_vmx_switch_tables(struct kvm_vcpu *vcpu, hpa_t root,
						 unsigned long cr3)
{
	vcpu->arch.cr3 = cr3;
	kvm_register_mark_available(vcpu, VCPU_EXREG_CR3);
	gm_vmwrite(GUEST_CR3, cr3);
	if (likely(VALID_PAGE(root)))
		gm_vmwrite(EPT_POINTER, gm_vmx_eptp(vcpu, root));
	if (unlikely((vcpu->arch.pat & GM_PAT_MASK) != GM_PAT) &&
	    (vmcs_config.vmentry_ctrl & VM_ENTRY_LOAD_IA32_PAT))
		gm_vmwrite(GUEST_IA32_PAT, gm_pat(vcpu, vcpu->arch.pat));
}

static void gm_vmx_enter_view(struct kvm_vcpu *vcpu, hpa_t root, unsigned long cr3,
			      u32 flags)
{
	if (kvm_is_cr4_bit_set(vcpu, X86_CR4_PCIDE))
		cr3 |= vcpu->arch.gm.guest_cr3 & X86_CR3_PCID_MASK;
	gm_vmx_switch_tables(vcpu, root, cr3);
	gm_vmx_controls(vcpu, flags | GM_VIEW_INSIDE);
	gm_vmwrite(EXCEPTION_BITMAP, ~0U);
	/* What MOV SS held back: the guest's breakpoint, or its step. */
	gm_vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	if (unlikely(gm_vmread(GUEST_INTERRUPTIBILITY_INFO) &
		     (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)))
		vmx_set_interrupt_shadow(vcpu, 0);
}

static void gm_vmx_leave_view(struct kvm_vcpu *vcpu, hpa_t root, unsigned long cr3)
{
	gm_vmx_switch_tables(vcpu, root, cr3);
	gm_vmx_controls(vcpu, 0);
	gm_vmwrite(EXCEPTION_BITMAP, vcpu->arch.gm.vendor_saved);
}

static void gm_vmx_update_view(struct kvm_vcpu *vcpu, u32 flags)
{
	gm_vmx_controls(vcpu, flags);
}

/*
 * Without unrestricted guests KVM has page tables of its own at times, and with
 * a smaller MAXPHYADDR not every page fault exits.
 */
static bool gm_vmx_supports(struct kvm *kvm)
{
	return enable_unrestricted_guest && !allow_smaller_maxphyaddr && !kvm_is_using_evmcs();
}

const struct gm_vendor_ops gm_vmx_ops = {
	.hypercall	= { 0x0f, 0x01, 0xc1 },		/* VMCALL */
	.supports	= gm_vmx_supports,
	.enter_view	= gm_vmx_enter_view,
	.leave_view	= gm_vmx_leave_view,
	.update_view	= gm_vmx_update_view,
};

static void gm_vmx_classify_exception(struct kvm_vcpu *vcpu, struct gm_exit *exit)
{
	u32 info = vmx_get_intr_info(vcpu);

	/* NMIs and machine checks have been dealt with. */
	if (is_nmi(info) || is_machine_check(info)) {
		exit->class = GM_EXIT_HOST;
		return;
	}

	exit->vector = info & INTR_INFO_VECTOR_MASK;
	exit->code |= (u64)exit->vector << GM_VECTOR_SHIFT;
	/* INT1, which no sealed text holds, is a #DB by itself. */
	if (is_icebp(info))
		return;

	exit->class = GM_EXIT_EXCEPTION;
	exit->has_error_code = info & INTR_INFO_DELIVER_CODE_MASK;
	if (exit->has_error_code)
		exit->error_code = vmcs_read32(VM_EXIT_INTR_ERROR_CODE);

	switch (exit->vector) {
	case PF_VECTOR:
		/* The host's hypervisor may tell this host of its own paging. */
		if (vcpu->arch.apf.host_apf_flags)
			exit->class = GM_EXIT_HOST;
		exit->payload = vmx_get_exit_qual(vcpu);
		break;
	case DB_VECTOR:
		/* The debugger's steps are not the guest's. */
		if (vcpu->guest_debug)
			exit->class = GM_EXIT_HOST;
		exit->payload = vmx_get_exit_qual(vcpu);
		break;
	case AC_VECTOR:
		/* The host may watch for split locks. */
		if (!vmx_guest_inject_ac(vcpu))
			exit->class = GM_EXIT_HOST;
		break;
	}
}

/*
 * From the guest's view: does its kernel execute 64-bit code? CPL is the DPL of
 * SS. What gm_fastpath() needs of the environment besides is read.
 */
static __always_inline bool gm_vmx_look_outside(struct kvm_vcpu *vcpu, u64 *gs_base)
{
	if (!(vcpu->arch.efer & EFER_LMA) ||
	    !(gm_vmread(GUEST_CS_AR_BYTES) & VMX_AR_L_MASK) ||
	    VMX_AR_DPL(gm_vmread(GUEST_SS_AR_BYTES)))
		return false;
	vcpu->arch.cr3 = gm_vmread(GUEST_CR3);
	kvm_register_mark_available(vcpu, VCPU_EXREG_CR3);
	*gs_base = gm_vmread(GUEST_GS_BASE);
	return true;
}

/* The preemption timer starts anew with every VM-entry: see vmx_update_hv_timer(). */
static noinline void gm_vmx_restart_timer(struct vcpu_vmx *vmx)
{
	u64 now = rdtsc();

	gm_vmwrite(VMX_PREEMPTION_TIMER_VALUE, vmx->hv_deadline_tsc > now ?
		   (u32)((vmx->hv_deadline_tsc - now) >> cpu_preemption_timer_multi) : 0);
}

/*
 * Right after VM-exit, with IF clear and the guest's extended state still loaded.
 * What vmx_vcpu_run() does with the VMCS before and after a run is done here as
 * far as a crossing needs it, and otherwise by the last exit.
 */
bool __gm_vmx_fastpath(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long *regs = vcpu->arch.regs;
	u64 gs_base = 0;

	if (is_guest_mode(vcpu) ||
	    (gm_vmread(IDT_VECTORING_INFO_FIELD) & VECTORING_INFO_VALID_MASK) ||
	    (!gm_inside(vcpu) && !gm_vmx_look_outside(vcpu, &gs_base)))
		return false;

	regs[VCPU_REGS_RSP] = gm_vmread(GUEST_RSP);
	regs[VCPU_REGS_RIP] = gm_vmread(GUEST_RIP);
	vcpu->arch.regs_avail |= BIT(VCPU_REGS_RSP) | BIT(VCPU_REGS_RIP);
	if (!gm_fastpath(vcpu, gs_base, gm_vmread(GUEST_RFLAGS)))
		return false;

	gm_vmwrite(GUEST_RSP, regs[VCPU_REGS_RSP]);
	gm_vmwrite(GUEST_RIP, regs[VCPU_REGS_RIP]);
	gm_vmwrite(GUEST_RFLAGS, vcpu->arch.gm.rflags);
	if (unlikely(vmx->hv_deadline_tsc != -1))
		gm_vmx_restart_timer(vmx);
	vmx->loaded_vmcs->launched = 1;
	++vcpu->stat.exits;
	return true;
}

int gm_vmx_handle_exit(struct kvm_vcpu *vcpu)
{
	u32 vectoring = to_vmx(vcpu)->idt_vectoring_info;
	struct gm_exit exit = {
		.class = GM_EXIT_OTHER,
		.code = to_vmx(vcpu)->exit_reason.basic,
	};

	/*
	 * INT n, which no sealed text holds: nothing else is delivered inside. The
	 * guest must not find it at the resume gate, behind an instruction that is
	 * none there.
	 */
	if (vectoring & VECTORING_INFO_VALID_MASK) {
		kvm_clear_interrupt_queue(vcpu);
		exit.code = EXIT_REASON_EXCEPTION_NMI |
			    (vectoring & VECTORING_INFO_VECTOR_MASK) << GM_VECTOR_SHIFT;
		return gm_handle_exit(vcpu, &exit);
	}

	switch (exit.code) {
	case EXIT_REASON_EXTERNAL_INTERRUPT:
	case EXIT_REASON_TRIPLE_FAULT:
	case EXIT_REASON_INTERRUPT_WINDOW:
	case EXIT_REASON_NMI_WINDOW:
	case EXIT_REASON_TPR_BELOW_THRESHOLD:
	case EXIT_REASON_MCE_DURING_VMENTRY:
	case EXIT_REASON_PREEMPTION_TIMER:
	case EXIT_REASON_PML_FULL:
	case EXIT_REASON_BUS_LOCK:
	case EXIT_REASON_NOTIFY:
	case EXIT_REASON_PAUSE_INSTRUCTION:
	/* Not granted: as in every guest. */
	case EXIT_REASON_MONITOR_INSTRUCTION:
	case EXIT_REASON_MWAIT_INSTRUCTION:
		exit.class = GM_EXIT_HOST;
		break;
	case EXIT_REASON_IO_INSTRUCTION:
		/* String instructions have memory, too. */
		if (!(vmx_get_exit_qual(vcpu) & GM_IO_STRING))
			exit.class = GM_EXIT_HOST;
		break;
	case EXIT_REASON_MSR_READ:
		exit.class = GM_EXIT_RDMSR;
		break;
	case EXIT_REASON_MSR_WRITE:
		exit.class = GM_EXIT_WRMSR;
		break;
	case EXIT_REASON_EPT_VIOLATION:
		exit.class = GM_EXIT_MEMORY;
		break;
	case EXIT_REASON_VMCALL:
		exit.class = GM_EXIT_HYPERCALL;
		break;
	case EXIT_REASON_EXCEPTION_NMI:
		gm_vmx_classify_exception(vcpu, &exit);
		break;
	}
	return gm_handle_exit(vcpu, &exit);
}
