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
 */
#include <linux/bsearch.h>

#include "gm/gm.h"
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
	int i;

	for (i = 0; i < VCPU_REGS_RIP; i++)
		if (i != VCPU_REGS_RSP && !(keep & BIT(i)))
			kvm_register_write_raw(vcpu, i, 0);

	kvm_x86_call(set_rflags)(vcpu,
				 (kvm_x86_call(get_rflags)(vcpu) & X86_EFLAGS_IF) |
				 X86_EFLAGS_FIXED);
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
		to[i] = kvm_register_read_raw(vcpu, gm_callee_saved[i]);
}

static void gm_load_callee_saved(struct kvm_vcpu *vcpu, const u64 *from)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(gm_callee_saved); i++)
		kvm_register_write_raw(vcpu, gm_callee_saved[i], from[i]);
}

void gm_count(struct gm_seal *seal, enum kvm_gm_crossing kind)
{
	atomic64_inc(&seal->crossings[kind]);
}

static int gm_cmp_gate(const void *key, const void *elt)
{
	const struct kvm_gm_gate *gate = elt;
	u64 rip = *(const u64 *)key;

	return rip < gate->insn ? -1 : rip > gate->insn;
}

static struct kvm_gm_gate *gm_find_gate(struct gm_seal *seal, u64 rip)
{
	return bsearch(&rip, seal->gates, seal->nr_gates, sizeof(*seal->gates),
		       gm_cmp_gate);
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

/* Claim an activation in state @from, for OUT and EVENT the one at @sp. */
static struct gm_activation *gm_claim(struct gm_seal *seal, int from, u64 sp)
{
	int i;

	for (i = 0; i < seal->nr_acts; i++) {
		struct gm_activation *act = &seal->acts[i];
		u64 *key = from == GM_ACT_OUT ? &act->out_sp : &act->guest_sp;

		if (READ_ONCE(act->state) != from ||
		    (from != GM_ACT_FREE && READ_ONCE(*key) != sp) ||
		    cmpxchg(&act->state, from, GM_ACT_INSIDE) != from)
			continue;

		/* It may have been reused between the look and the claim. */
		if (from == GM_ACT_FREE || *key == sp)
			return act;
		gm_release(act, from);
	}
	return NULL;
}

/*
 * A thread calls in at a stack pointer at which another activation's return
 * address stood: that one's thread is gone, it can never come back.
 */
static void gm_supersede(struct gm_seal *seal, u64 sp)
{
	int i;

	for (i = 0; i < seal->nr_acts; i++) {
		struct gm_activation *act = &seal->acts[i];
		int state = READ_ONCE(act->state);

		if ((state == GM_ACT_OUT || state == GM_ACT_EVENT) &&
		    READ_ONCE(act->guest_sp) == sp &&
		    cmpxchg(&act->state, state, GM_ACT_INSIDE) == state)
			gm_release(act, act->guest_sp == sp ? GM_ACT_FREE : state);
	}
}

static int gm_in_call(struct kvm_vcpu *vcpu, struct gm_seal *seal,
		      struct kvm_gm_gate *gate)
{
	u32 nr = gate - seal->gates;
	u64 args[16], bad, sp = kvm_rsp_read(vcpu), top;
	struct x86_exception fault;
	struct gm_activation *act;
	int i, r;

	if (!gm_environment_ok(vcpu, seal, &bad))
		return gm_violation(vcpu, seal, KVM_GM_V_ENVIRONMENT, nr, bad,
				    INVALID_GPA);

	r = gate->stack_words ?
	    kvm_read_guest_virt(vcpu, sp + 8, args, gate->stack_words * 8, &fault) :
	    X86EMUL_CONTINUE;
	if (r == X86EMUL_PROPAGATE_FAULT) {
		kvm_inject_emulated_page_fault(vcpu, &fault);
		return 1;
	}
	if (r != X86EMUL_CONTINUE)
		return gm_violation(vcpu, seal, KVM_GM_V_ENVIRONMENT, nr, sp,
				    INVALID_GPA);

	gm_supersede(seal, sp);
	act = gm_claim(seal, GM_ACT_FREE, 0);
	if (!act)
		return gm_violation(vcpu, seal, KVM_GM_V_LIMIT, nr, sp,
				    INVALID_GPA);

	act->gate = nr;
	act->guest_sp = sp;
	gm_save_callee_saved(vcpu, act->guest_callee_saved);
	if (act->synced)
		bitmap_zero(act->synced, seal->stack_size);

	/* As a CALL would leave it: arguments, then the return address. */
	top = gm_stack_top(seal, act) - 16 - ALIGN(gate->stack_words * 8, 16);
	for (i = 0; i < gate->stack_words; i++)
		*gm_stack_word(seal, top + i * 8) = args[i];
	*gm_stack_word(seal, top - 8) = seal->gates[seal->out_return].insn;
	act->top_sp = top;

	gm_enter_view(vcpu, seal, act);
	gm_sanitize_rflags(vcpu);
	kvm_rsp_write(vcpu, top - 8);
	kvm_rip_write(vcpu, gate->target);
	gm_count(seal, KVM_GM_IN_CALL);
	return 1;
}

static int gm_out_return(struct kvm_vcpu *vcpu, struct gm_seal *seal,
			 struct kvm_gm_gate *gate)
{
	struct gm_activation *act = vcpu->arch.gm.act;
	u8 flags = seal->gates[act->gate].flags;
	u64 sp = act->guest_sp, ret = seal->ret;
	struct kvm_gm_exit *exit = KVM_GM_EXIT(vcpu->run);
	int r;

	if (kvm_rsp_read(vcpu) != act->top_sp)
		return gm_violation(vcpu, seal, KVM_GM_V_FRAME,
				    gate - seal->gates, kvm_rsp_read(vcpu),
				    INVALID_GPA);

	gm_scrub_registers(vcpu, GM_KEEP_RESULT);
	gm_load_callee_saved(vcpu, act->guest_callee_saved);
	gm_count(seal, KVM_GM_OUT_RETURN);
	gm_release(act, GM_ACT_FREE);
	kref_get(&seal->ref);
	gm_leave_view(vcpu);

	kvm_rsp_write(vcpu, sp);
	kvm_rip_write(vcpu, ret);

	/* The guest is about to free the module. Also if its init failed. */
	r = -ENOENT;
	if ((flags & KVM_GM_GATE_F_EXIT) ||
	    ((flags & KVM_GM_GATE_F_INIT) && (s32)kvm_rax_read(vcpu) < 0)) {
		kvm_vcpu_srcu_read_unlock(vcpu);
		r = gm_unseal(seal);
		kvm_vcpu_srcu_read_lock(vcpu);
	}
	if (r) {
		gm_put_seal(seal);
		return 1;
	}

	vcpu->run->exit_reason = KVM_EXIT_GM;
	memset(exit, 0, sizeof(*exit));
	exit->type = KVM_GM_EXIT_UNSEALED;
	exit->id = seal->id;
	exit->rip = ret;
	exit->gpa = INVALID_GPA;
	exit->gate = KVM_GM_NO_GATE;
	gm_put_seal(seal);
	return 0;
}

/*
 * The activation is saved: let its in-return claim it. False: two threads on
 * one stack pointer could not be told apart (I3).
 */
static bool gm_publish_out(struct gm_seal *seal, struct gm_activation *act)
{
	int i;

	guard(spinlock)(&seal->out_lock);

	for (i = 0; i < seal->nr_acts; i++)
		if (READ_ONCE(seal->acts[i].state) == GM_ACT_OUT &&
		    READ_ONCE(seal->acts[i].out_sp) == act->out_sp)
			return false;
	gm_release(act, GM_ACT_OUT);
	return true;
}

static int gm_out_call(struct kvm_vcpu *vcpu, struct gm_seal *seal,
		       struct kvm_gm_gate *gate)
{
	struct gm_activation *act = vcpu->arch.gm.act;
	u64 target = gate->kind == KVM_GM_GATE_OUT_CALL ?
		     gate->target : kvm_r11_read(vcpu);
	u64 args[16], sp, private_sp = kvm_rsp_read(vcpu);
	u32 nr = gate - seal->gates;
	struct x86_exception fault;
	int i, r = 1;

	if (!gm_share_windows(vcpu))
		return gm_violation(vcpu, seal, KVM_GM_V_FRAME, nr, private_sp,
				    INVALID_GPA);

	for (i = 0; i < gate->stack_words; i++) {
		u64 *arg = gm_stack_word(seal, private_sp + 8 + i * 8);

		if (!arg)
			return gm_violation(vcpu, seal, KVM_GM_V_FRAME, nr,
					    private_sp, INVALID_GPA);
		args[i] = *arg;
	}

	sp = ALIGN_DOWN(act->guest_sp - gate->stack_words * 8, 16);
	act->out_sp = sp;
	act->regs[VCPU_REGS_RSP] = private_sp;
	act->regs[VCPU_REGS_RIP] = gate->insn + GM_HYPERCALL_LEN;
	gm_save_callee_saved(vcpu, act->private_callee_saved);
	if (!gm_publish_out(seal, act))
		return gm_violation(vcpu, seal, KVM_GM_V_ENVIRONMENT, nr, sp,
				    INVALID_GPA);

	/* From here on the activation may be somebody else's. */
	gm_scrub_registers(vcpu, GM_KEEP_ARGS);
	gm_count(seal, KVM_GM_OUT_CALL);
	kref_get(&seal->ref);
	gm_leave_view(vcpu);
	kvm_rsp_write(vcpu, sp);
	kvm_rip_write(vcpu, seal->trampoline);
	kvm_r11_write(vcpu, target);

	/* Arguments on the stack go through the guest's own translation. */
	if (gate->stack_words &&
	    kvm_write_guest_virt_system(vcpu, sp, args, gate->stack_words * 8, &fault))
		r = gm_violation(vcpu, seal, KVM_GM_V_ENVIRONMENT, nr, sp,
				 INVALID_GPA);
	gm_put_seal(seal);
	return r;
}

static int gm_in_return(struct kvm_vcpu *vcpu, struct gm_seal *seal,
			struct kvm_gm_gate *gate)
{
	u32 nr = gate - seal->gates;
	u64 sp = kvm_rsp_read(vcpu), bad;
	struct gm_activation *act;

	if (!gm_environment_ok(vcpu, seal, &bad))
		return gm_violation(vcpu, seal, KVM_GM_V_ENVIRONMENT, nr, bad,
				    INVALID_GPA);

	act = gm_claim(seal, GM_ACT_OUT, sp);
	if (!act)
		return gm_violation(vcpu, seal, KVM_GM_V_RETURN, nr, sp,
				    INVALID_GPA);

	gm_enter_view(vcpu, seal, act);
	gm_sanitize_rflags(vcpu);
	gm_load_callee_saved(vcpu, act->private_callee_saved);
	kvm_rsp_write(vcpu, act->regs[VCPU_REGS_RSP]);
	kvm_rip_write(vcpu, act->regs[VCPU_REGS_RIP]);

	if (!gm_collect_windows(vcpu))
		return gm_violation(vcpu, seal, KVM_GM_V_FRAME, nr,
				    act->regs[VCPU_REGS_RSP], INVALID_GPA);

	gm_count(seal, KVM_GM_IN_RETURN);
	return 1;
}

static int gm_resume(struct kvm_vcpu *vcpu, struct gm_seal *seal,
		     struct kvm_gm_gate *gate)
{
	u32 nr = gate - seal->gates;
	u64 sp = kvm_rsp_read(vcpu), bad;
	struct gm_activation *act;
	int i;

	if (!gm_environment_ok(vcpu, seal, &bad))
		return gm_violation(vcpu, seal, KVM_GM_V_ENVIRONMENT, nr, bad,
				    INVALID_GPA);

	act = gm_claim(seal, GM_ACT_EVENT, sp);
	if (!act)
		return gm_violation(vcpu, seal, KVM_GM_V_RESUME, nr, sp,
				    INVALID_GPA);

	gm_enter_view(vcpu, seal, act);
	for (i = 0; i < VCPU_REGS_RIP; i++)
		if (i != VCPU_REGS_RSP)
			kvm_register_write_raw(vcpu, i, act->regs[i]);
	kvm_rsp_write(vcpu, act->regs[VCPU_REGS_RSP]);
	kvm_rip_write(vcpu, act->regs[VCPU_REGS_RIP]);
	kvm_set_rflags(vcpu, act->rflags);
	gm_count(seal, KVM_GM_RESUME);
	return 1;
}

static int gm_cross_inside(struct kvm_vcpu *vcpu, u64 rip)
{
	struct gm_seal *seal = vcpu->arch.gm.seal;
	struct kvm_gm_gate *gate = gm_find_gate(seal, rip);

	if (gate) {
		switch (gate->kind) {
		case KVM_GM_GATE_OUT_CALL:
		case KVM_GM_GATE_OUT_CALL_INDIRECT:
			return gm_out_call(vcpu, seal, gate);
		case KVM_GM_GATE_OUT_RETURN:
			return gm_out_return(vcpu, seal, gate);
		}
	}
	return gm_violation(vcpu, seal, KVM_GM_V_GATE,
			    gate ? gate - seal->gates : KVM_GM_NO_GATE, rip,
			    INVALID_GPA);
}

static int gm_cross_outside(struct kvm_vcpu *vcpu, struct gm_seal *seal, u64 rip)
{
	struct kvm_gm_gate *gate = gm_find_gate(seal, rip);

	if (gate) {
		switch (gate->kind) {
		case KVM_GM_GATE_IN_CALL:
			return gm_in_call(vcpu, seal, gate);
		case KVM_GM_GATE_IN_RETURN:
			return gm_in_return(vcpu, seal, gate);
		case KVM_GM_GATE_RESUME:
			return gm_resume(vcpu, seal, gate);
		}
	}
	return gm_violation(vcpu, seal, KVM_GM_V_GATE,
			    gate ? gate - seal->gates : KVM_GM_NO_GATE, rip,
			    INVALID_GPA);
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

int __gm_hypercall(struct kvm_vcpu *vcpu)
{
	struct gm *gm = vcpu->kvm->arch.gm;
	u64 rip = kvm_rip_read(vcpu);
	u64 nr = kvm_rax_read(vcpu);
	int i;

	/* Inside is always 64-bit CPL 0: gm_environment_ok() saw to that. */
	if (gm_inside(vcpu))
		return gm_cross_inside(vcpu, rip);

	if (vcpu->arch.guest_state_protected || !is_64_bit_mode(vcpu) ||
	    kvm_x86_call(get_cpl)(vcpu))
		return GM_CONTINUE;

	for (i = 1; i <= KVM_GM_MAX_SEALS; i++) {
		struct gm_seal *seal = srcu_dereference(gm->seals[i], &vcpu->kvm->srcu);
		const struct gm_region *region;

		if (!seal)
			continue;
		region = gm_find_region(seal, rip);
		if (!region)
			continue;

		/* The init stub's own hypercall, made again: QEMU refuses. */
		if (nr == KVM_GM_HC_SEAL && !gm_find_gate(seal, rip))
			break;
		return gm_cross_outside(vcpu, seal, rip);
	}

	if (nr == KVM_GM_HC_SEAL)
		return gm_request_seal(vcpu, rip);

	/* Hypercalls that KVM defines are the guest's to make. */
	if (!READ_ONCE(gm->nr_seals) || (nr && nr <= KVM_HC_MAP_GPA_RANGE) ||
	    kvm_xen_hypercall_enabled(vcpu->kvm) || kvm_hv_hypercall_enabled(vcpu))
		return GM_CONTINUE;

	return gm_violation(vcpu, NULL, KVM_GM_V_HYPERCALL, KVM_GM_NO_GATE, rip,
			    INVALID_GPA);
}
