// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: border crossings (I1, I2, I3).
 *
 * A gate is a hypercall instruction; which crossing it is follows from the
 * current view and RIP alone. From the guest's view: in-call, in-return,
 * resume. From a module's view: out-call, out-return. Anything else is a
 * violation. Gates used from the guest's view need no look at guest page
 * tables: whoever executes a hypercall at a gate's address gets the gate's
 * registered target, under the frozen translation, and nothing more.
 *
 * Every crossing first checks everything and then acts. On the exit fastpath
 * (@fast: interrupts off, no SRCU, nothing may sleep) what cannot be done or is
 * not right is left alone, and done or reported when the exit is handled the
 * slow way.
 */
#include "gm/gm.h"
#include "gm/trace.h"
#include "hyperv.h"
#include "mmu.h"
#include "smm.h"
#include "xen.h"

/* RFLAGS that the guest may hand to a module and back: IF and arithmetic. */
#define GM_RFLAGS_KEEP	(X86_EFLAGS_IF | X86_EFLAGS_CF | X86_EFLAGS_PF | \
			 X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF | \
			 X86_EFLAGS_OF)

static const u8 gm_callee_saved[] = {
	VCPU_REGS_RBX, VCPU_REGS_RBP, VCPU_REGS_R12,
	VCPU_REGS_R13, VCPU_REGS_R14, VCPU_REGS_R15,
};

#define GM_CALLEE_SAVED	(BIT(VCPU_REGS_RBX) | BIT(VCPU_REGS_RBP) | \
			 BIT(VCPU_REGS_R12) | BIT(VCPU_REGS_R13) | \
			 BIT(VCPU_REGS_R14) | BIT(VCPU_REGS_R15))
#define GM_KEEP_RESULT	(BIT(VCPU_REGS_RAX) | BIT(VCPU_REGS_RDX))
#define GM_KEEP_ARGS	(BIT(VCPU_REGS_RDI) | BIT(VCPU_REGS_RSI) | \
			 BIT(VCPU_REGS_RDX) | BIT(VCPU_REGS_RCX) | \
			 BIT(VCPU_REGS_R8) | BIT(VCPU_REGS_R9) | \
			 BIT(VCPU_REGS_RAX))

/*
 * Zero the general registers that are not in @keep, a mask by VCPU_REGS_*,
 * and all flags but the guest's own. RSP and RIP are set by the caller.
 */
void gm_scrub_registers(struct kvm_vcpu *vcpu, unsigned long keep)
{
	u64 rflags = kvm_x86_call(get_rflags)(vcpu);
	int i;

	keep |= BIT(VCPU_REGS_RSP);
	for (i = 0; i < VCPU_REGS_RIP; i++)
		if (!(keep & BIT(i)))
			vcpu->arch.regs[i] = 0;

	kvm_x86_call(set_rflags)(vcpu, (rflags & X86_EFLAGS_IF) | X86_EFLAGS_FIXED);
}

static void gm_sanitize_rflags(struct kvm_vcpu *vcpu)
{
	u64 rflags = kvm_x86_call(get_rflags)(vcpu);

	kvm_x86_call(set_rflags)(vcpu, (rflags & GM_RFLAGS_KEEP) | X86_EFLAGS_FIXED);
}

static void gm_save_callee_saved(struct kvm_vcpu *vcpu, u64 *to)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(gm_callee_saved); i++)
		to[i] = vcpu->arch.regs[gm_callee_saved[i]];
}

static void gm_load_callee_saved(struct kvm_vcpu *vcpu, const u64 *from)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(gm_callee_saved); i++)
		vcpu->arch.regs[gm_callee_saved[i]] = from[i];
}

/* RIP and RSP are still those of the side that the crossing leaves. */
void gm_count(struct kvm_vcpu *vcpu, struct gm_seal *seal, enum kvm_gm_crossing kind)
{
	atomic64_inc(&seal->crossings[kind]);
	++vcpu->stat.gm_crossings[kind];
	trace_kvm_gm_crossing(vcpu->vcpu_id, seal->id, kind, kvm_rip_read(vcpu),
			      kvm_rsp_read(vcpu));
}

static int gm_refuse(struct kvm_vcpu *vcpu, struct gm_gate *gate,
		     enum kvm_gm_violation kind, u64 addr, bool fast)
{
	return fast ? GM_CONTINUE :
		      gm_violation(vcpu, gate->seal, kind, gate - gate->seal->gates,
				   addr, INVALID_GPA);
}

/*
 * Is it sane to run a module in the vCPU's present environment (I1)? The
 * module's code takes for granted: 4-level long mode, a kernel stack, and
 * per-CPU data that is not its own private memory. SMM has other memory.
 */
static bool gm_environment_ok(struct kvm_vcpu *vcpu, struct gm_seal *seal,
			      u64 *bad)
{
	u64 gs = kvm_x86_call(get_segment_base)(vcpu, VCPU_SREG_GS);
	u64 sp = kvm_rsp_read(vcpu);
	int i;

	if (kvm_is_cr4_bit_set(vcpu, X86_CR4_LA57) || is_smm(vcpu)) {
		*bad = kvm_read_cr4(vcpu);
		return false;
	}

	/* Bit 47 and all above: the kernel half with 4-level paging. */
	if (gs >> 47 != 0x1ffff) {
		*bad = gs;
		return false;
	}
	if (sp >> 47 != 0x1ffff || !IS_ALIGNED(sp, 8)) {
		*bad = sp;
		return false;
	}

	/* Nearly always both are far from the module. */
	if ((gs >= seal->high || seal->low - gs >= SZ_2M) &&
	    (sp >= seal->high + PAGE_SIZE || sp < seal->low))
		return true;

	for (i = 0; i < seal->nr_regions; i++) {
		struct gm_region *region = &seal->regions[i];

		/* Static per-CPU data is reached at GS base + at most this. */
		if (gs < region->va + region->size && region->va - gs < SZ_2M) {
			*bad = gs;
			return false;
		}
		if (gs - region->va < region->size) {
			*bad = gs;
			return false;
		}
		/* The guest pushes below, never into the module. */
		if (sp - region->va < region->size + PAGE_SIZE) {
			*bad = sp;
			return false;
		}
	}
	return true;
}

static int gm_in_call(struct kvm_vcpu *vcpu, struct gm_gate *gate, bool fast)
{
	struct gm_seal *seal = gate->seal;
	u64 args[16], bad, sp = kvm_rsp_read(vcpu), top;
	struct x86_exception fault;
	struct gm_activation *act;
	int i, r;

	if (!gm_environment_ok(vcpu, seal, &bad))
		return gm_refuse(vcpu, gate, KVM_GM_V_ENVIRONMENT, bad, fast);

	if (gate->stack_words) {
		if (fast)
			return GM_CONTINUE;
		r = kvm_read_guest_virt(vcpu, sp + 8, args, gate->stack_words * 8, &fault);
		if (r == X86EMUL_PROPAGATE_FAULT) {
			kvm_inject_emulated_page_fault(vcpu, &fault);
			return 1;
		}
		if (r != X86EMUL_CONTINUE)
			return gm_refuse(vcpu, gate, KVM_GM_V_ENVIRONMENT, sp, fast);
	}

	act = gm_begin_activation(seal, sp);
	if (IS_ERR(act))
		return gm_refuse(vcpu, gate, PTR_ERR(act) == -ENOSPC ?
				 KVM_GM_V_LIMIT : KVM_GM_V_ENVIRONMENT, sp, fast);

	act->gate = gate - seal->gates;
	gm_save_callee_saved(vcpu, act->guest_callee_saved);
	if (act->shared) {
		bitmap_zero(act->synced, seal->stack_size);
		act->shared = false;
	}

	/* As a CALL would leave it: arguments, then the return address. */
	top = gm_stack_top(seal, act) - 16 - ALIGN(gate->stack_words * 8, 16);
	for (i = 0; i < gate->stack_words; i++)
		*gm_stack_word(seal, top + i * 8) = args[i];
	*gm_stack_word(seal, top - 8) = seal->gates[seal->out_return].insn;
	act->top_sp = top;

	gm_count(vcpu, seal, KVM_GM_IN_CALL);
	gm_enter_view(vcpu, seal, act);
	gm_sanitize_rflags(vcpu);
	kvm_rsp_write(vcpu, top - 8);
	kvm_rip_write(vcpu, gate->target);
	return 1;
}

/* The guest is about to free the module. Also if its init failed. */
static bool gm_is_last_return(struct kvm_vcpu *vcpu, const struct gm_gate *gate)
{
	return (gate->flags & KVM_GM_GATE_F_EXIT) ||
	       ((gate->flags & KVM_GM_GATE_F_INIT) && (s32)kvm_rax_read(vcpu) < 0);
}

/* Outside already. Returns what an exit handler returns. */
static int gm_unseal_after_return(struct kvm_vcpu *vcpu, struct gm_seal *seal)
{
	struct kvm_gm_exit *exit = KVM_GM_EXIT(vcpu->run);
	int r;

	kvm_vcpu_srcu_read_unlock(vcpu);
	r = gm_unseal(seal);
	kvm_vcpu_srcu_read_lock(vcpu);
	if (r)
		return 1;

	vcpu->run->exit_reason = KVM_EXIT_GM;
	memset(exit, 0, sizeof(*exit));
	exit->type = KVM_GM_EXIT_UNSEALED;
	exit->id = seal->id;
	exit->generation = seal->generation;
	exit->rip = kvm_rip_read(vcpu);
	exit->gpa = INVALID_GPA;
	exit->gate = KVM_GM_NO_GATE;
	return 0;
}

static int gm_out_return(struct kvm_vcpu *vcpu, struct gm_gate *gate, bool fast)
{
	struct gm_activation *act = vcpu->arch.gm.act;
	struct gm_seal *seal = gate->seal;
	bool last = gm_is_last_return(vcpu, &seal->gates[act->gate]);
	u64 sp = act->guest_sp, ret = seal->ret;
	int r = 1;

	if (kvm_rsp_read(vcpu) != act->top_sp)
		return gm_refuse(vcpu, gate, KVM_GM_V_FRAME, kvm_rsp_read(vcpu), fast);
	if (last) {
		if (fast)
			return GM_CONTINUE;
		kref_get(&seal->ref);
	}

	gm_count(vcpu, seal, KVM_GM_OUT_RETURN);
	gm_scrub_registers(vcpu, GM_KEEP_RESULT | GM_CALLEE_SAVED);
	gm_load_callee_saved(vcpu, act->guest_callee_saved);
	gm_end_activation(seal, act);
	gm_leave_view(vcpu);
	kvm_rsp_write(vcpu, sp);
	kvm_rip_write(vcpu, ret);

	if (last) {
		r = gm_unseal_after_return(vcpu, seal);
		gm_put_seal(seal);
	}
	return r;
}

static int gm_out_call(struct kvm_vcpu *vcpu, struct gm_gate *gate, bool fast)
{
	struct gm_activation *act = vcpu->arch.gm.act;
	struct gm_seal *seal = gate->seal;
	u64 target = gate->kind == KVM_GM_GATE_OUT_CALL ?
		     gate->target : kvm_r11_read(vcpu);
	u64 args[16], sp, private_sp = kvm_rsp_read(vcpu), trampoline = seal->trampoline;
	u32 words = gate->stack_words, nr = gate - seal->gates;
	struct x86_exception fault;
	int i, r = 1;

	if (words && fast)
		return GM_CONTINUE;

	for (i = 0; i < words; i++) {
		u64 *arg = gm_stack_word(seal, private_sp + 8 + i * 8);

		if (!arg)
			return gm_refuse(vcpu, gate, KVM_GM_V_FRAME, private_sp, fast);
		args[i] = *arg;
	}

	if (!gm_share_windows(seal, act, private_sp))
		return gm_refuse(vcpu, gate, KVM_GM_V_FRAME, private_sp, fast);

	sp = ALIGN_DOWN(act->guest_sp - words * 8, 16);
	act->out_sp = sp;
	act->regs[VCPU_REGS_RSP] = private_sp;
	act->regs[VCPU_REGS_RIP] = gate->insn + GM_HYPERCALL_LEN;
	gm_save_callee_saved(vcpu, act->private_callee_saved);
	if (!gm_publish_out(seal, act))
		return gm_refuse(vcpu, gate, KVM_GM_V_ENVIRONMENT, sp, fast);

	/* From here on the activation may be somebody else's. */
	gm_count(vcpu, seal, KVM_GM_OUT_CALL);
	gm_scrub_registers(vcpu, GM_KEEP_ARGS);
	if (words)
		kref_get(&seal->ref);
	gm_leave_view(vcpu);
	kvm_rsp_write(vcpu, sp);
	kvm_rip_write(vcpu, trampoline);
	kvm_r11_write(vcpu, target);

	/* Arguments on the stack go through the guest's own translation. */
	if (words) {
		if (kvm_write_guest_virt_system(vcpu, sp, args, words * 8, &fault))
			r = gm_violation(vcpu, seal, KVM_GM_V_ENVIRONMENT, nr, sp,
					 INVALID_GPA);
		gm_put_seal(seal);
	}
	return r;
}

static int gm_in_return(struct kvm_vcpu *vcpu, struct gm_gate *gate, bool fast)
{
	struct gm_seal *seal = gate->seal;
	u64 sp = kvm_rsp_read(vcpu), bad;
	struct gm_activation *act;

	if (!gm_environment_ok(vcpu, seal, &bad))
		return gm_refuse(vcpu, gate, KVM_GM_V_ENVIRONMENT, bad, fast);

	act = gm_claim_out(seal, sp);
	if (!act)
		return gm_refuse(vcpu, gate, KVM_GM_V_RETURN, sp, fast);

	gm_count(vcpu, seal, KVM_GM_IN_RETURN);
	gm_enter_view(vcpu, seal, act);
	gm_sanitize_rflags(vcpu);
	gm_load_callee_saved(vcpu, act->private_callee_saved);
	kvm_rsp_write(vcpu, act->regs[VCPU_REGS_RSP]);
	kvm_rip_write(vcpu, act->regs[VCPU_REGS_RIP]);
	gm_collect_windows(seal, act, act->regs[VCPU_REGS_RSP]);
	return 1;
}

static int gm_resume(struct kvm_vcpu *vcpu, struct gm_gate *gate, bool fast)
{
	struct gm_seal *seal = gate->seal;
	u64 sp = kvm_rsp_read(vcpu), bad;
	struct gm_activation *act;

	if (!gm_environment_ok(vcpu, seal, &bad))
		return gm_refuse(vcpu, gate, KVM_GM_V_ENVIRONMENT, bad, fast);

	act = gm_claim_event(seal, sp);
	if (!act)
		return gm_refuse(vcpu, gate, KVM_GM_V_RESUME, sp, fast);

	gm_count(vcpu, seal, KVM_GM_RESUME);
	gm_enter_view(vcpu, seal, act);
	memcpy(vcpu->arch.regs, act->regs, VCPU_REGS_RIP * sizeof(act->regs[0]));
	kvm_rsp_write(vcpu, act->regs[VCPU_REGS_RSP]);
	kvm_rip_write(vcpu, act->regs[VCPU_REGS_RIP]);
	kvm_set_rflags(vcpu, act->rflags);
	return 1;
}

/* Control is at @gate's instruction. Returns what an exit handler returns. */
static int gm_cross(struct kvm_vcpu *vcpu, struct gm_gate *gate, bool fast)
{
	struct gm_seal *inside = vcpu->arch.gm.seal;

	if (READ_ONCE(gate->seal->dead))
		return gm_refuse(vcpu, gate, KVM_GM_V_QUARANTINE, gate->insn, fast);

	if (inside == gate->seal) {
		switch (gate->kind) {
		case KVM_GM_GATE_OUT_CALL:
		case KVM_GM_GATE_OUT_CALL_INDIRECT:
			return gm_out_call(vcpu, gate, fast);
		case KVM_GM_GATE_OUT_RETURN:
			return gm_out_return(vcpu, gate, fast);
		}
	} else if (!inside) {
		switch (gate->kind) {
		case KVM_GM_GATE_IN_CALL:
			return gm_in_call(vcpu, gate, fast);
		case KVM_GM_GATE_IN_RETURN:
			return gm_in_return(vcpu, gate, fast);
		case KVM_GM_GATE_RESUME:
			return gm_resume(vcpu, gate, fast);
		}
	}
	return gm_refuse(vcpu, gate, KVM_GM_V_GATE, gate->insn, fast);
}

static int gm_complete_seal(struct kvm_vcpu *vcpu)
{
	kvm_rax_write(vcpu, KVM_GM_EXIT(vcpu->run)->ret);
	kvm_rip_write(vcpu, kvm_rip_read(vcpu) + GM_HYPERCALL_LEN);
	return 1;
}

static int gm_request_seal(struct kvm_vcpu *vcpu, u64 rip)
{
	struct kvm_gm_exit *exit = KVM_GM_EXIT(vcpu->run);

	vcpu->run->exit_reason = KVM_EXIT_GM;
	memset(exit, 0, sizeof(*exit));
	exit->type = KVM_GM_EXIT_SEAL;
	exit->gate = KVM_GM_NO_GATE;
	exit->rip = rip;
	exit->addr = kvm_rdi_read(vcpu);
	exit->gpa = INVALID_GPA;
	exit->ret = -ENOSYS;
	vcpu->arch.complete_userspace_io = gm_complete_seal;
	return 0;
}

/* Gates are for 64-bit CPL 0; inside it is nothing else. */
static bool gm_may_cross(struct kvm_vcpu *vcpu)
{
	return gm_inside(vcpu) ||
	       (!vcpu->arch.guest_state_protected && is_64_bit_mode(vcpu) &&
		!kvm_x86_call(get_cpl)(vcpu));
}

/*
 * A hypercall instruction has exited, and the vCPU may be let go on without
 * leaving its run loop. True: the crossing is done. False: nothing is.
 */
bool gm_fastpath(struct kvm_vcpu *vcpu)
{
	struct gm_gate *gate;

	/* Debug registers are in KVM's hands only once the inner loop is left. */
	if (vcpu->guest_debug || vcpu->arch.switch_db_regs || !gm_may_cross(vcpu))
		return false;

	/* Keeps the seal from going away, see gm_unseal_locked(). */
	guard(rcu)();

	gate = gm_find_gate(vcpu->kvm, kvm_rip_read(vcpu));
	return gate && gm_cross(vcpu, gate, true) == 1;
}
EXPORT_SYMBOL_GPL(gm_fastpath);

/* The seal in whose pages @rip is, or NULL. */
static struct gm_seal *gm_seal_at(struct kvm *kvm, u64 rip)
{
	struct gm *gm = kvm->arch.gm;
	int i;

	for (i = 1; i <= KVM_GM_MAX_SEALS; i++) {
		struct gm_seal *seal = srcu_dereference(gm->seals[i], &kvm->srcu);

		if (seal && gm_find_region(seal, rip))
			return seal;
	}
	return NULL;
}

int __gm_hypercall(struct kvm_vcpu *vcpu)
{
	struct gm *gm = vcpu->kvm->arch.gm;
	u64 rip = kvm_rip_read(vcpu);
	u64 nr = kvm_rax_read(vcpu);
	struct gm_seal *seal;
	struct gm_gate *gate;

	if (!gm_may_cross(vcpu))
		return GM_CONTINUE;

	gate = gm_find_gate(vcpu->kvm, rip);
	if (gate)
		return gm_cross(vcpu, gate, false);

	/* The init stub's own hypercall, made again, is for userspace to refuse. */
	seal = vcpu->arch.gm.seal ?: gm_seal_at(vcpu->kvm, rip);
	if (seal && (gm_inside(vcpu) || nr != KVM_GM_HC_SEAL))
		return gm_violation(vcpu, seal, KVM_GM_V_GATE, KVM_GM_NO_GATE, rip,
				    INVALID_GPA);

	if (nr == KVM_GM_HC_SEAL)
		return gm_request_seal(vcpu, rip);

	/* Hypercalls that KVM defines are the guest's to make. */
	if (!READ_ONCE(gm->nr_seals) || (nr && nr <= KVM_HC_MAP_GPA_RANGE) ||
	    kvm_xen_hypercall_enabled(vcpu->kvm) || kvm_hv_hypercall_enabled(vcpu))
		return GM_CONTINUE;

	return gm_violation(vcpu, NULL, KVM_GM_V_HYPERCALL, KVM_GM_NO_GATE, rip,
			    INVALID_GPA);
}
