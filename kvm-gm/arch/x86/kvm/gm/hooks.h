/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guarded modules: what the rest of KVM calls.
 *
 * Every hook is a test of one pointer when the VM has not enabled guarded
 * modules (KVM_CAP_GM), and a call into gm/ otherwise.
 */
#ifndef __KVM_X86_GM_HOOKS_H
#define __KVM_X86_GM_HOOKS_H

#include <linux/kvm_host.h>
#include <uapi/asm/mtrr.h>
#include <uapi/linux/kvm_gm.h>

struct kvm_page_fault;

/*
 * Hooks that may take over an exit return what an exit handler returns (0 for
 * userspace, 1 for the guest, or an error), or this: it is none of theirs. By
 * value, since a pointer to a local costs its function a stack protector.
 */
#define GM_CONTINUE	2

static inline bool gm_enabled(struct kvm *kvm)
{
	return unlikely(kvm->arch.gm);
}

/* The same, where each instruction counts; true from gm_vcpu_create() on. */
static __always_inline bool vcpu_has_gm(struct kvm_vcpu *vcpu)
{
	return unlikely(vcpu->arch.gm.enabled);
}

/* Is the vCPU in a module's view, i.e. is privilege raised? */
static inline bool gm_inside(struct kvm_vcpu *vcpu)
{
	return unlikely(vcpu->arch.gm.view);
}

/*
 * Call @fastpath between guest_state_enter_irqoff() and guest_state_exit_irqoff(),
 * whose work would be most of a crossing. What they tell RCU and lockdep has to
 * be taken back only if somebody keeps it; else they merely report a quiescent
 * state of this CPU's, which the entry before has done.
 */
static __always_inline bool gm_in_guest_context(struct kvm_vcpu *vcpu,
						bool (*fastpath)(struct kvm_vcpu *vcpu))
{
	bool kept, done;

	if (!vcpu_has_gm(vcpu))
		return false;
	kept = IS_ENABLED(CONFIG_TRACE_IRQFLAGS) || context_tracking_enabled_this_cpu();
	if (kept)
		guest_state_exit_irqoff();
	instrumentation_begin();
	done = fastpath(vcpu);
	instrumentation_end();
	if (kept)
		guest_state_enter_irqoff();
	return done;
}

/* gm.c */
int gm_check_extension(void);
int gm_enable(struct kvm *kvm, const struct kvm_enable_cap *cap);
int gm_vm_ioctl(struct kvm *kvm, unsigned int ioctl, void __user *argp);
void __gm_pre_destroy_vm(struct kvm *kvm);
void __gm_destroy_vm(struct kvm *kvm);
void __gm_vcpu_reset(struct kvm_vcpu *vcpu);
int __gm_vcpu_update(struct kvm_vcpu *vcpu);
void __gm_end_kernel(struct kvm_vcpu *vcpu);
void gm_create_vm_debugfs(struct kvm *kvm);
void gm_vcpu_create(struct kvm_vcpu *vcpu);
void __gm_vcpu_destroy(struct kvm_vcpu *vcpu);

/* hostinfo.c */
void __gm_vcpu_moved(struct kvm_vcpu *vcpu, int cpu);
void __gm_vcpu_load(struct kvm_vcpu *vcpu, int cpu);

/* view.c */
int __gm_page_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 error_code);
int __gm_faultin_pfn(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault);
void __gm_free_roots(struct kvm_vcpu *vcpu);

/* crossing.c */
int __gm_hypercall(struct kvm_vcpu *vcpu);

/* event.c */
void __gm_event_exit(struct kvm_vcpu *vcpu);

/* emulate.c */
int __gm_emulate(struct kvm_vcpu *vcpu, gpa_t gpa, int emulation_type);

/* While userspace's memory is still watched. */
static inline void gm_pre_destroy_vm(struct kvm *kvm)
{
	if (gm_enabled(kvm))
		__gm_pre_destroy_vm(kvm);
}

static inline void gm_destroy_vm(struct kvm *kvm)
{
	if (gm_enabled(kvm))
		__gm_destroy_vm(kvm);
}

/* INIT, destruction: forget the module that the vCPU was in. */
static inline void gm_vcpu_reset(struct kvm_vcpu *vcpu)
{
	vcpu->arch.gm.kernel_ended = false;
	if (gm_inside(vcpu))
		__gm_vcpu_reset(vcpu);
}

/*
 * What the guest's PAT is in the vCPU's view. KVM's page tables and the module's
 * pages use the first entry, devices in the module's pages the fourth, the guest's
 * other mappings the rest: memory that KVM has mapped as well must be cached, and
 * registers must not be, whatever the guest puts there. Linux puts the same there.
 */
#define GM_PAT_MASK	0xff0000ffULL
#define GM_PAT		(MTRR_TYPE_WRBACK | (u64)MTRR_TYPE_UNCACHABLE << 24)

static inline u64 gm_pat(struct kvm_vcpu *vcpu, u64 pat)
{
	return gm_inside(vcpu) ? (pat & ~GM_PAT_MASK) | GM_PAT : pat;
}

/*
 * Userspace sets CR3: what it read while inside takes the vCPU nowhere, any
 * other value means that it replaces the whole state, as at a reset.
 */
static inline void gm_set_cr3(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	if (gm_inside(vcpu) && cr3 != vcpu->arch.cr3)
		__gm_vcpu_reset(vcpu);
}

static inline void gm_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	__gm_vcpu_moved(vcpu, -1);
	if (gm_inside(vcpu))
		__gm_vcpu_destroy(vcpu);
}

/* The vCPU has been put on @cpu, vcpu->cpu says where it was before; any VM. */
static inline void gm_vcpu_load(struct kvm_vcpu *vcpu, int cpu)
{
	if (unlikely(vcpu->cpu != cpu))
		__gm_vcpu_moved(vcpu, cpu);
	if (vcpu_has_gm(vcpu))
		__gm_vcpu_load(vcpu, cpu);
}

/*
 * KVM emulates an access of a module's at @gpa. True: it is at a page of the module's
 * DEVICES region, and so userspace's and nobody else's, at the address that @gpa becomes.
 */
static inline bool gm_device_access(struct kvm_vcpu *vcpu, gpa_t *gpa)
{
	if (vcpu->arch.gm.device_gpa == INVALID_GPA)
		return false;

	*gpa = vcpu->arch.gm.device_gpa;
	return true;
}

/*
 * KVM_REQ_GM: leave a module that has been unsealed meanwhile; unseal what an
 * ended kernel leaves behind. Returns what an exit handler returns.
 */
static inline int gm_vcpu_update(struct kvm_vcpu *vcpu)
{
	return vcpu_has_gm(vcpu) ? __gm_vcpu_update(vcpu) : 1;
}

/*
 * A kernel that clears CR0.WP is on its way to another one: Linux does so just
 * before it copies the next kernel to where that will run (kexec), and at no
 * other time. Its modules are unsealed before the vCPU runs on.
 */
static inline void gm_set_cr0(struct kvm_vcpu *vcpu, unsigned long old, unsigned long new)
{
	if (vcpu_has_gm(vcpu) && (old & ~new & X86_CR0_WP))
		__gm_end_kernel(vcpu);
}

/* A second-level page fault, before KVM maps anything: a violation? */
static inline int gm_page_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 error_code)
{
	return vcpu_has_gm(vcpu) ? __gm_page_fault(vcpu, gpa, error_code) :
				       GM_CONTINUE;
}

/*
 * Choose the page and the permissions for @fault in the vCPU's view, after
 * fault->mmu_seq has been read. RET_PF_CONTINUE: fault->pfn (with a reference),
 * slot, pte_denied, max_level are set; RET_PF_RETRY: the view is going away;
 * GM_FAULTIN_GUEST: the guest's own frame, for which pte_denied and max_level
 * have been narrowed.
 */
#define GM_FAULTIN_GUEST	(-1)

static inline int gm_faultin_pfn(struct kvm_vcpu *vcpu,
				 struct kvm_page_fault *fault)
{
	return vcpu_has_gm(vcpu) ? __gm_faultin_pfn(vcpu, fault) :
				       GM_FAULTIN_GUEST;
}

/* The vCPU's roots have become obsolete or are to be freed. */
static inline void gm_free_roots(struct kvm_vcpu *vcpu)
{
	if (vcpu_has_gm(vcpu))
		__gm_free_roots(vcpu);
}

/* A hypercall instruction: a gate's business? */
static inline int gm_hypercall(struct kvm_vcpu *vcpu)
{
	return vcpu_has_gm(vcpu) ? __gm_hypercall(vcpu) : GM_CONTINUE;
}

/* An event is about to be injected: drop privilege first (I2). */
static inline void gm_event_exit(struct kvm_vcpu *vcpu)
{
	if (gm_inside(vcpu))
		__gm_event_exit(vcpu);
}

/*
 * KVM is about to emulate an instruction inside. GM_CONTINUE: it is decoded
 * already, from the sealed text; guest memory is not what the module executes.
 */
static inline int gm_emulate(struct kvm_vcpu *vcpu, gpa_t gpa, int emulation_type)
{
	return __gm_emulate(vcpu, gpa, emulation_type);
}

#endif /* __KVM_X86_GM_HOOKS_H */
