// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: MSRs of the physical CPU, a privilege.
 *
 * RDMSR and WRMSR inside always exit. KVM executes what has been granted on the
 * CPU that the vCPU runs on. Once granted and revoked, an MSR reads as zero and
 * ignores what is written, as a device does that is gone: the module cannot know
 * that it has just lost it.
 */
#include "gm/privilege.h"

/* CPU state of the guest's while a vCPU is loaded, or the host's own secrets. */
static const struct {
	u32 first, last;
} gm_msrs_denied[] = {
	{ MSR_IA32_APICBASE, MSR_IA32_APICBASE },
	{ MSR_LBR_CORE_FROM, MSR_LBR_CORE_FROM + 7 },
	{ MSR_IA32_SPEC_CTRL, MSR_IA32_PRED_CMD },
	{ MSR_LBR_CORE_TO, MSR_LBR_CORE_TO + 7 },
	{ MSR_IA32_UCODE_WRITE, MSR_IA32_UCODE_WRITE },
	{ MSR_IA32_FLUSH_CMD, MSR_IA32_TSX_CTRL },
	{ MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_EIP },
	{ MSR_IA32_XFD, MSR_IA32_XFD_ERR },
	{ MSR_LBR_SELECT, MSR_LBR_TOS },
	{ MSR_IA32_DEBUGCTLMSR, MSR_IA32_LASTINTTOIP },
	{ MSR_IA32_CR_PAT, MSR_IA32_CR_PAT },
	{ MSR_IA32_RTIT_OUTPUT_BASE, MSR_IA32_RTIT_ADDR3_B },
	{ MSR_IA32_DS_AREA, MSR_IA32_DS_AREA },
	{ MSR_LBR_NHM_FROM, MSR_LBR_NHM_FROM + 31 },
	{ MSR_IA32_U_CET, MSR_IA32_INT_SSP_TAB },
	{ MSR_LBR_NHM_TO, MSR_LBR_NHM_TO + 31 },
	{ APIC_BASE_MSR, APIC_BASE_MSR + 0xff },
	{ MSR_IA32_PASID, MSR_IA32_XSS },
	{ MSR_LBR_INFO_0, MSR_LBR_INFO_0 + 31 },
	{ MSR_ARCH_LBR_INFO_0, MSR_ARCH_LBR_INFO_0 + 31 },
	{ MSR_ARCH_LBR_CTL, MSR_ARCH_LBR_DEPTH },
	{ MSR_ARCH_LBR_FROM_0, MSR_ARCH_LBR_FROM_0 + 31 },
	{ MSR_ARCH_LBR_TO_0, MSR_ARCH_LBR_TO_0 + 31 },
	{ MSR_EFER, MSR_SYSCALL_MASK },
	{ MSR_FS_BASE, MSR_AMD64_TSC_RATIO },
	{ MSR_AMD64_LBR_SELECT, MSR_AMD_DBG_EXTN_CFG },
	{ MSR_VM_CR, MSR_VM_HSAVE_PA },
	{ MSR_AMD64_VM_PAGE_FLUSH, MSR_AMD64_VIRT_SPEC_CTRL },
	{ MSR_AMD64_SEV_ES_GHCB, MSR_AMD64_SEV },
	{ MSR_AMD_SAMP_BR_FROM, MSR_AMD_SAMP_BR_FROM + 31 },
	{ MSR_AMD64_IBSFETCHCTL, MSR_AMD64_IBSOPDATA4 },
};

/* What can be written without the host's kernel being any the worse for it. */
static const u32 gm_msrs_writable[] = {
	MSR_IA32_PERF_CTL,
	MSR_IA32_THERM_CONTROL,
	MSR_IA32_ENERGY_PERF_BIAS,
	MSR_HWP_REQUEST,
	MSR_AMD_PERF_CTL,
	MSR_AMD_CPPC_REQ,
};

static bool gm_msr_writable(u64 msr)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(gm_msrs_writable); i++)
		if (gm_msrs_writable[i] == msr)
			return true;
	return false;
}

static bool gm_may_be_granted(const struct kvm_gm_grant *arg)
{
	u64 msr;
	int i;

	for (i = 0; i < ARRAY_SIZE(gm_msrs_denied); i++)
		if (arg->first <= gm_msrs_denied[i].last &&
		    gm_msrs_denied[i].first <= arg->last)
			return false;
	if (!(arg->flags & KVM_GM_PRIV_F_WRITE))
		return true;
	for (msr = arg->first; msr <= arg->last; msr++)
		if (!gm_msr_writable(msr))
			return false;
	return true;
}

static struct gm_msr_range *gm_find_range(struct gm_seal *seal, const struct kvm_gm_grant *arg)
{
	bool write = arg->flags & KVM_GM_PRIV_F_WRITE;
	u32 i;

	for (i = 0; i < seal->nr_msrs; i++) {
		struct gm_msr_range *range = &seal->msrs[i];

		if (range->first == arg->first && range->last == arg->last &&
		    range->write == write)
			return range;
	}
	return NULL;
}

static int gm_add_range(struct gm_seal *seal, const struct kvm_gm_grant *arg)
{
	struct gm_msr_range *range = gm_find_range(seal, arg);

	if (range && range->granted)
		return -EEXIST;
	if (!range) {
		if (seal->nr_msrs == KVM_GM_MAX_GRANTS)
			return -E2BIG;
		range = &seal->msrs[seal->nr_msrs++];
		range->first = arg->first;
		range->last = arg->last;
		range->write = arg->flags & KVM_GM_PRIV_F_WRITE;
	}
	range->granted = true;
	return 0;
}

static int gm_grant_msr(struct gm_seal *seal, const struct kvm_gm_grant *arg)
{
	int r;

	if (!gm_may_be_granted(arg))
		return -EPERM;
	spin_lock(&seal->msr_lock);
	r = gm_add_range(seal, arg);
	spin_unlock(&seal->msr_lock);
	return r;
}

static int gm_revoke_msr(struct gm_seal *seal, const struct kvm_gm_grant *arg)
{
	struct gm_msr_range *range;
	int r = -ENOENT;

	/* Whoever is about to use it holds the lock, or sees that it is gone. */
	spin_lock(&seal->msr_lock);
	range = gm_find_range(seal, arg);
	if (range && range->granted) {
		range->granted = false;
		r = 0;
	}
	spin_unlock(&seal->msr_lock);
	return r;
}

const struct gm_privilege_ops gm_msr_ops = {
	.grant	= gm_grant_msr,
	.revoke	= gm_revoke_msr,
};

/* -ENOENT: it never was the module's; else 0 or the CPU's refusal. */
static int gm_access_range(struct gm_seal *seal, u32 msr, u64 *value, bool write)
{
	int i, r = -ENOENT;

	for (i = 0; i < seal->nr_msrs; i++) {
		struct gm_msr_range *range = &seal->msrs[i];

		if (msr < range->first || msr > range->last || (write && !range->write))
			continue;
		if (range->granted)
			return write ? wrmsrl_safe(msr, *value) : rdmsrl_safe(msr, value);
		r = 0;
	}
	return r;
}

static int gm_access_msr(struct gm_seal *seal, u32 msr, u64 *value, bool write)
{
	int r;

	/* Not preempted meanwhile, either: it is this CPU's. */
	spin_lock(&seal->msr_lock);
	r = gm_access_range(seal, msr, value, write);
	spin_unlock(&seal->msr_lock);
	return r;
}

/* RDMSR or WRMSR inside: returns what an exit handler returns. */
int gm_handle_msr(struct kvm_vcpu *vcpu, u64 code, bool write)
{
	static const u8 insns[2][2] = { { 0x0f, 0x32 }, { 0x0f, 0x30 } };
	struct gm_seal *seal = vcpu->arch.gm.seal;
	u64 value = 0;
	u8 insn[2];
	int r;

	/* KVM_REQ_GM is pending and takes the vCPU out, without the privilege. */
	if (READ_ONCE(seal->dead))
		return 1;

	/* The vendor skips that, and nothing longer. */
	if (gm_read_text(seal, kvm_rip_read(vcpu), insn, sizeof(insn)) != sizeof(insn) ||
	    memcmp(insn, insns[write], sizeof(insn)))
		goto violation;

	if (write)
		value = kvm_read_edx_eax(vcpu);
	r = gm_access_msr(seal, kvm_rcx_read(vcpu), &value, write);
	if (r == -ENOENT)
		goto violation;
	if (r) {
		kvm_queue_exception_e(vcpu, GP_VECTOR, 0);
		return 1;
	}
	if (!write) {
		kvm_rax_write(vcpu, (u32)value);
		kvm_rdx_write(vcpu, value >> 32);
	}
	return kvm_skip_emulated_instruction(vcpu);

violation:
	return gm_violation(vcpu, seal, KVM_GM_V_EXIT, KVM_GM_NO_GATE, code, INVALID_GPA);
}
