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
#include "gm/activation.h"
#include "gm/trace.h"
#include "gm/view.h"
#include "hyperv.h"
#include "mmu.h"
#include "smm.h"
#include "xen.h"

/* RFLAGS that the guest may hand to a module and back: IF and arithmetic. */
#define GM_RFLAGS_KEEP	(X86_EFLAGS_IF | X86_EFLAGS_CF | X86_EFLAGS_PF | \
			 X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF | \
			 X86_EFLAGS_OF)

#define GM_CALLEE_SAVED	(BIT(VCPU_REGS_RBX) | BIT(VCPU_REGS_RBP) | \
			 BIT(VCPU_REGS_R12) | BIT(VCPU_REGS_R13) | \
			 BIT(VCPU_REGS_R14) | BIT(VCPU_REGS_R15))
#define GM_KEEP_RESULT	(BIT(VCPU_REGS_RAX) | BIT(VCPU_REGS_RDX))
#define GM_KEEP_ARGS	(BIT(VCPU_REGS_RDI) | BIT(VCPU_REGS_RSI) | \
			 BIT(VCPU_REGS_RDX) | BIT(VCPU_REGS_RCX) | \
			 BIT(VCPU_REGS_R8) | BIT(VCPU_REGS_R9) | \
			 BIT(VCPU_REGS_RAX))

/* Zero the general registers that are not in @keep, a mask by VCPU_REGS_*. */
static __always_inline void gm_scrub_registers(struct kvm_vcpu *vcpu, unsigned long keep)
{
	int i;

	/* RSP and RIP are set by the caller. */
	keep |= BIT(VCPU_REGS_RSP);
#pragma GCC unroll 16
	for (i = 0; i < VCPU_REGS_RIP; i++)
		if (!(keep & BIT(i)))
			vcpu->arch.regs[i] = 0;
}

static __always_inline void gm_set_rflags(struct kvm_vcpu *vcpu, u64 rflags, bool fast)
{
	if (fast)
		vcpu->arch.gm.rflags = rflags;
	else
		kvm_x86_call(set_rflags)(vcpu, rflags);
}

/* Leaving: the guest's own flags, none of the module's. */
static __always_inline void gm_scrub_rflags(struct kvm_vcpu *vcpu, u64 rflags, bool fast)
{
	gm_set_rflags(vcpu, (rflags & X86_EFLAGS_IF) | X86_EFLAGS_FIXED, fast);
}

/* The module is left by nothing that it has called: nothing stays. */
void gm_hide_registers(struct kvm_vcpu *vcpu)
{
	gm_scrub_registers(vcpu, 0);
	gm_scrub_rflags(vcpu, kvm_get_rflags(vcpu), false);
}

static __always_inline void gm_sanitize_rflags(struct kvm_vcpu *vcpu, u64 rflags, bool fast)
{
	gm_set_rflags(vcpu, (rflags & GM_RFLAGS_KEEP) | X86_EFLAGS_FIXED, fast);
}

/*
 * Out of line, what marks the two as changed would cost more than all else here.
 * On the fastpath the vendor knows that they are.
 */
static __always_inline void gm_go_on_at(struct kvm_vcpu *vcpu, u64 rip, u64 sp, bool fast)
{
	const u32 both = BIT(VCPU_REGS_RIP) | BIT(VCPU_REGS_RSP);

	vcpu->arch.regs[VCPU_REGS_RIP] = rip;
	vcpu->arch.regs[VCPU_REGS_RSP] = sp;
	if (!fast) {
		vcpu->arch.regs_avail |= both;
		vcpu->arch.regs_dirty |= both;
	}
}

static void gm_save_callee_saved(struct kvm_vcpu *vcpu, u64 *to)
{
	const unsigned long *regs = vcpu->arch.regs;

	to[0] = regs[VCPU_REGS_RBX];
	to[1] = regs[VCPU_REGS_RBP];
	to[2] = regs[VCPU_REGS_R12];
	to[3] = regs[VCPU_REGS_R13];
	to[4] = regs[VCPU_REGS_R14];
	to[5] = regs[VCPU_REGS_R15];
}

static void gm_load_callee_saved(struct kvm_vcpu *vcpu, const u64 *from)
{
	unsigned long *regs = vcpu->arch.regs;

	regs[VCPU_REGS_RBX] = from[0];
	regs[VCPU_REGS_RBP] = from[1];
	regs[VCPU_REGS_R12] = from[2];
	regs[VCPU_REGS_R13] = from[3];
	regs[VCPU_REGS_R14] = from[4];
	regs[VCPU_REGS_R15] = from[5];
}

static noinline void gm_save_registers(struct kvm_vcpu *vcpu, struct gm_activation *act)
{
	memcpy(act->regs, vcpu->arch.regs, VCPU_REGS_RIP * sizeof(act->regs[0]));
}

/* After a callee in assembly: everything but what it returns. */
static noinline void gm_load_registers(struct kvm_vcpu *vcpu, struct gm_activation *act)
{
	int i;

	for (i = 0; i < VCPU_REGS_RIP; i++)
		if (!(act->results & BIT(i)))
			vcpu->arch.regs[i] = act->regs[i];
}

static noinline void gm_trace(struct kvm_vcpu *vcpu, struct gm_seal *seal,
			      enum kvm_gm_crossing kind)
{
	trace_kvm_gm_crossing(vcpu->vcpu_id, seal->id, kind, kvm_rip_read(vcpu),
			      kvm_rsp_read(vcpu));
}

/* RIP and RSP are still those of the side that the crossing leaves. */
static __always_inline void __gm_count(struct kvm_vcpu *vcpu, struct gm_seal *seal,
				       enum kvm_gm_crossing kind)
{
	atomic64_inc(&seal->crossings[kind]);
	++vcpu->stat.gm_crossings[kind];
	if (trace_kvm_gm_crossing_enabled())
		gm_trace(vcpu, seal, kind);
}

void gm_count(struct kvm_vcpu *vcpu, struct gm_seal *seal, enum kvm_gm_crossing kind)
{
	__gm_count(vcpu, seal, kind);
}

static __always_inline void gm_count_gate(struct kvm_vcpu *vcpu, struct gm_gate *gate,
					  enum kvm_gm_crossing kind)
{
	atomic64_inc(&gate->count);
	__gm_count(vcpu, gate->seal, kind);
}

static int gm_refuse(struct kvm_vcpu *vcpu, struct gm_gate *gate,
		     enum kvm_gm_violation kind, u64 addr, bool fast)
{
	return fast ? GM_CONTINUE :
		      gm_violation(vcpu, gate->seal, kind, gate->nr, addr,
				   INVALID_GPA);
}

/*
 * Is it sane to run a module in the vCPU's present environment (I1)? The
 * module's code takes for granted: 4-level long mode, a kernel stack, and
 * per-CPU data that is not its own private memory. SMM has other memory.
 */
static __always_inline bool gm_environment_ok(struct kvm_vcpu *vcpu,
					      struct gm_seal *seal, u64 gs)
{
	u64 sp = vcpu->arch.regs[VCPU_REGS_RSP];

	/* Bit 47 and all above: the kernel half with 4-level paging. */
	return gs >> 47 == 0x1ffff && sp >> 47 == 0x1ffff && IS_ALIGNED(sp, 8) &&
	       /* The guest never owns LA57: what KVM has of it is true. */
	       !(vcpu->arch.cr4 & X86_CR4_LA57) && !is_smm(vcpu) &&
	       /* Static per-CPU data is reached at GS base + at most this. */
	       (gs <= seal->gs_last || gs >= seal->high) &&
	       /* The guest pushes below, never into the module. */
	       (sp < seal->low || sp >= seal->high + PAGE_SIZE);
}

/* What is not ok: the offending value. */
static noinline u64 gm_bad_environment(struct kvm_vcpu *vcpu, struct gm_seal *seal, u64 gs)
{
	u64 sp = vcpu->arch.regs[VCPU_REGS_RSP];

	if ((vcpu->arch.cr4 & X86_CR4_LA57) || is_smm(vcpu))
		return kvm_read_cr4(vcpu);
	if (gs >> 47 != 0x1ffff || (gs > seal->gs_last && gs < seal->high))
		return gs;
	return sp;
}

static int gm_refuse_environment(struct kvm_vcpu *vcpu, struct gm_gate *gate, u64 gs,
				 bool fast)
{
	return gm_refuse(vcpu, gate, KVM_GM_V_ENVIRONMENT,
			 gm_bad_environment(vcpu, gate->seal, gs), fast);
}

/*
 * A module's functions are entered when its init function has been, and that is
 * entered once (I1): nothing of it expects anything else.
 */
static bool gm_may_begin(struct gm_seal *seal, struct gm_gate *gate, bool fast)
{
	return (gate->flags & KVM_GM_GATE_F_INIT) && !fast &&
	       !atomic_cmpxchg(&seal->begun, 0, 1);
}

static __always_inline int gm_do_in_call(struct kvm_vcpu *vcpu, struct gm_gate *gate,
					 u64 gs, u64 rflags, const u64 *args, bool fast)
{
	u64 sp = vcpu->arch.regs[VCPU_REGS_RSP], top;
	struct gm_seal *seal = gate->seal;
	struct gm_activation *act;
	u64 *frame;

	if (!gm_environment_ok(vcpu, seal, gs))
		return gm_refuse_environment(vcpu, gate, gs, fast);

	act = gm_begin_activation(seal, sp);
	if (IS_ERR(act))
		return gm_refuse(vcpu, gate, PTR_ERR(act) == -ENOSPC ?
				 KVM_GM_V_LIMIT : KVM_GM_V_ENVIRONMENT, sp, fast);
	/* Last of all that may be refused: whoever begins does enter. */
	if (unlikely(!atomic_read(&seal->begun) || (gate->flags & KVM_GM_GATE_F_INIT)) &&
	    !gm_may_begin(seal, gate, fast)) {
		gm_end_activation(seal, act);
		return gm_refuse(vcpu, gate, KVM_GM_V_GATE, gate->insn, fast);
	}

	act->gate = gate->nr;
	gm_save_callee_saved(vcpu, act->guest_callee_saved);
	if (unlikely(act->shared)) {
		bitmap_zero(act->synced, seal->stack_size);
		act->shared = false;
	}
	if (unlikely(act->outer))
		gm_collect_outer(seal, act);

	/* As a CALL would leave it: arguments, then the return address. */
	top = act->stack_top - 16;
	if (args)
		top -= ALIGN(gate->stack_words * 8, 16);
	frame = (u64 *)(act->top_page + PAGE_SIZE - (act->stack_top - top));
	if (args)
		memcpy(frame, args, gate->stack_words * 8);
	frame[-1] = seal->out_return;
	act->top_sp = top;

	gm_count_gate(vcpu, gate, KVM_GM_IN_CALL);
	gm_enter_view(vcpu, seal, act, fast ? vcpu->arch.cr3 : kvm_read_cr3(vcpu));
	gm_sanitize_rflags(vcpu, rflags, fast);
	gm_go_on_at(vcpu, gate->target, top - 8, fast);
	return 1;
}

static noinline int gm_in_call_with_args(struct kvm_vcpu *vcpu, struct gm_gate *gate,
					 u64 gs, u64 rflags)
{
	u64 args[KVM_GM_MAX_STACK_WORDS], sp = vcpu->arch.regs[VCPU_REGS_RSP];
	struct x86_exception fault;
	int r;

	if (!gm_environment_ok(vcpu, gate->seal, gs))
		return gm_refuse_environment(vcpu, gate, gs, false);

	r = kvm_read_guest_virt(vcpu, sp + 8, args, gate->stack_words * 8, &fault);
	if (r == X86EMUL_PROPAGATE_FAULT) {
		kvm_inject_emulated_page_fault(vcpu, &fault);
		return 1;
	}
	if (r != X86EMUL_CONTINUE)
		return gm_refuse(vcpu, gate, KVM_GM_V_ENVIRONMENT, sp, false);
	return gm_do_in_call(vcpu, gate, gs, rflags, args, false);
}

static __always_inline int gm_in_call(struct kvm_vcpu *vcpu, struct gm_gate *gate, u64 gs,
				      u64 rflags, bool fast)
{
	if (unlikely(gate->stack_words))
		return fast ? GM_CONTINUE : gm_in_call_with_args(vcpu, gate, gs, rflags);
	return gm_do_in_call(vcpu, gate, gs, rflags, NULL, fast);
}

/* The guest is about to free the module. Also if its init failed. */
static bool gm_is_last_return(struct kvm_vcpu *vcpu, const struct gm_gate *gate)
{
	return (gate->flags & KVM_GM_GATE_F_EXIT) ||
	       ((gate->flags & KVM_GM_GATE_F_INIT) && (s32)kvm_rax_read(vcpu) < 0);
}

static __always_inline int gm_out_return(struct kvm_vcpu *vcpu, struct gm_gate *gate, u64 gs,
					 u64 rflags, bool fast)
{
	struct gm_activation *act = vcpu->arch.gm.act;
	struct gm_seal *seal = gate->seal;
	bool last = gm_is_last_return(vcpu, &seal->gates[act->gate]);
	u64 sp = act->guest_sp, ret = seal->ret;
	int r = 1;

	if (kvm_rsp_read(vcpu) != act->top_sp)
		return gm_refuse(vcpu, gate, KVM_GM_V_FRAME, kvm_rsp_read(vcpu), fast);
	if (fast && (last || !gm_fpu_idle(act, 0)))
		return GM_CONTINUE;
	if (last)
		kref_get(&seal->ref);

	gm_count_gate(vcpu, gate, KVM_GM_OUT_RETURN);
	if (unlikely(act->outer))
		gm_share_outer(seal, act);
	gm_fpu_drop(vcpu, act);
	gm_scrub_registers(vcpu, GM_KEEP_RESULT | GM_CALLEE_SAVED);
	gm_scrub_rflags(vcpu, rflags, fast);
	gm_load_callee_saved(vcpu, act->guest_callee_saved);
	gm_end_activation(seal, act);
	__gm_leave_view(vcpu);
	gm_go_on_at(vcpu, ret, sp, fast);

	if (last) {
		r = gm_unseal_in_run(vcpu, seal, 0);
		gm_put_seal(seal);
	}
	return r;
}

static __always_inline int gm_do_out_call(struct kvm_vcpu *vcpu, struct gm_gate *gate,
					  u64 rflags, bool fast)
{
	struct gm_activation *act = vcpu->arch.gm.act;
	struct gm_seal *seal = gate->seal;
	u64 private_sp = vcpu->arch.regs[VCPU_REGS_RSP];
	u64 target = gate->kind == KVM_GM_GATE_OUT_CALL ?
		     gate->target : vcpu->arch.regs[VCPU_REGS_R11];
	u64 trampoline = seal->trampoline, rbx = vcpu->arch.regs[VCPU_REGS_RBX], sp;
	u8 gate_flags = gate->flags;

	if (unlikely(seal->has_windows) && !gm_share_windows(seal, act, private_sp))
		return gm_refuse(vcpu, gate, KVM_GM_V_FRAME, private_sp, fast);
	if (unlikely(act->outer))
		gm_share_outer(seal, act);
	if (unlikely(!gm_fpu_idle(act, gate->flags))) {
		if (fast)
			return GM_CONTINUE;
		__gm_fpu_out_call(vcpu, act, gate->flags);
	}

	sp = ALIGN_DOWN(act->guest_sp - gate->stack_words * 8, 16);
	act->out_sp = sp;
	act->results = gate->results;
	if (unlikely(gate->flags & KVM_GM_GATE_F_ASM))
		gm_save_registers(vcpu, act);
	gm_save_callee_saved(vcpu, act->private_callee_saved);
	act->regs[VCPU_REGS_RSP] = private_sp;
	act->regs[VCPU_REGS_RIP] = gate->insn + GM_HYPERCALL_LEN;
	if (unlikely(gate->flags & KVM_GM_GATE_F_NORETURN))
		gm_end_activation(seal, act);
	else
		gm_publish_out(seal, act);

	/* From here on the activation may be somebody else's. */
	gm_count_gate(vcpu, gate, KVM_GM_OUT_CALL);
	gm_scrub_registers(vcpu, GM_KEEP_ARGS);
	gm_scrub_rflags(vcpu, rflags, fast);
	__gm_leave_view(vcpu);
	/* Inline assembly may pass RBX as well (cmpxchg16b). */
	if (unlikely(gate_flags & KVM_GM_GATE_F_ASM))
		vcpu->arch.regs[VCPU_REGS_RBX] = rbx;
	gm_go_on_at(vcpu, trampoline, sp, fast);
	vcpu->arch.regs[VCPU_REGS_R11] = target;
	return 1;
}

/* Arguments on the stack go through the guest's own translation. */
static noinline int gm_out_call_with_args(struct kvm_vcpu *vcpu, struct gm_gate *gate,
					  u64 rflags)
{
	u64 args[KVM_GM_MAX_STACK_WORDS], private_sp = vcpu->arch.regs[VCPU_REGS_RSP], sp;
	u32 words = gate->stack_words, nr = gate->nr;
	struct gm_activation *act = vcpu->arch.gm.act;
	struct gm_seal *seal = gate->seal;
	struct x86_exception fault;
	int i, r;

	for (i = 0; i < words; i++) {
		u64 va = private_sp + 8 + i * 8;
		u64 *arg;

		/* A call may pass fewer words than the gate's most; nothing is above. */
		if (va >= act->stack_top) {
			args[i] = 0;
			continue;
		}
		arg = gm_stack_word(seal, va);
		if (!arg)
			return gm_refuse(vcpu, gate, KVM_GM_V_FRAME, private_sp, false);
		args[i] = *arg;
	}

	kref_get(&seal->ref);
	r = gm_do_out_call(vcpu, gate, rflags, false);
	sp = kvm_rsp_read(vcpu);
	if (r == 1 && kvm_write_guest_virt_system(vcpu, sp, args, words * 8, &fault)) {
		/* The callee has never run: it cannot come back. */
		act = gm_claim_out(seal, sp, false);
		if (act)
			gm_lose_activation(seal, act);
		r = gm_violation(vcpu, seal, KVM_GM_V_ENVIRONMENT, nr, sp, INVALID_GPA);
	}
	gm_put_seal(seal);
	return r;
}

static __always_inline int gm_out_call(struct kvm_vcpu *vcpu, struct gm_gate *gate, u64 gs,
				       u64 rflags, bool fast)
{
	if (unlikely(gate->stack_words))
		return fast ? GM_CONTINUE : gm_out_call_with_args(vcpu, gate, rflags);
	return gm_do_out_call(vcpu, gate, rflags, fast);
}

static __always_inline int gm_in_return(struct kvm_vcpu *vcpu, struct gm_gate *gate, u64 gs,
					u64 rflags, bool fast)
{
	struct gm_seal *seal = gate->seal;
	u64 sp = vcpu->arch.regs[VCPU_REGS_RSP];
	struct gm_activation *act;

	if (!gm_environment_ok(vcpu, seal, gs))
		return gm_refuse_environment(vcpu, gate, gs, fast);

	act = gm_claim_out(seal, sp, fast);
	if (!act)
		return gm_refuse(vcpu, gate, KVM_GM_V_RETURN, sp, fast);

	gm_count_gate(vcpu, gate, KVM_GM_IN_RETURN);
	gm_fpu_show(vcpu, act);
	gm_enter_view(vcpu, seal, act, fast ? vcpu->arch.cr3 : kvm_read_cr3(vcpu));
	gm_sanitize_rflags(vcpu, rflags, fast);
	if (unlikely(act->results))
		gm_load_registers(vcpu, act);
	gm_load_callee_saved(vcpu, act->private_callee_saved);
	gm_go_on_at(vcpu, act->regs[VCPU_REGS_RIP], act->regs[VCPU_REGS_RSP], fast);
	if (unlikely(seal->has_windows))
		gm_collect_windows(seal, act);
	if (unlikely(act->outer))
		gm_collect_outer(seal, act);
	return 1;
}

static __always_inline int gm_resume(struct kvm_vcpu *vcpu, struct gm_gate *gate, u64 gs,
				     u64 rflags, bool fast)
{
	struct gm_seal *seal = gate->seal;
	u64 sp = vcpu->arch.regs[VCPU_REGS_RSP];
	struct gm_activation *act;

	if (!gm_environment_ok(vcpu, seal, gs))
		return gm_refuse_environment(vcpu, gate, gs, fast);

	act = gm_claim_event(seal, sp, fast);
	if (!act)
		return gm_refuse(vcpu, gate, KVM_GM_V_RESUME, sp, fast);

	gm_count_gate(vcpu, gate, KVM_GM_RESUME);
	gm_fpu_show(vcpu, act);
	gm_enter_view(vcpu, seal, act, fast ? vcpu->arch.cr3 : kvm_read_cr3(vcpu));
	memcpy(vcpu->arch.regs, act->regs, VCPU_REGS_RIP * sizeof(act->regs[0]));
	gm_go_on_at(vcpu, act->regs[VCPU_REGS_RIP], act->regs[VCPU_REGS_RSP], fast);
	gm_set_rflags(vcpu, act->rflags, fast);
	return 1;
}

/* Control is at @gate's instruction. Returns what an exit handler returns. */
static __always_inline int gm_cross(struct kvm_vcpu *vcpu, struct gm_gate *gate, u64 gs,
				    u64 rflags, bool fast)
{
	struct gm_seal *inside = vcpu->arch.gm.seal;

	if (READ_ONCE(gate->seal->dead))
		return gm_refuse(vcpu, gate, KVM_GM_V_QUARANTINE, gate->insn, fast);

	if (inside == gate->seal) {
		switch (gate->kind) {
		case KVM_GM_GATE_OUT_CALL:
		case KVM_GM_GATE_OUT_CALL_INDIRECT:
			return gm_out_call(vcpu, gate, gs, rflags, fast);
		case KVM_GM_GATE_OUT_RETURN:
			return gm_out_return(vcpu, gate, gs, rflags, fast);
		}
	} else if (!inside) {
		switch (gate->kind) {
		case KVM_GM_GATE_IN_CALL:
			return gm_in_call(vcpu, gate, gs, rflags, fast);
		case KVM_GM_GATE_IN_RETURN:
			return gm_in_return(vcpu, gate, gs, rflags, fast);
		case KVM_GM_GATE_RESUME:
			return gm_resume(vcpu, gate, gs, rflags, fast);
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
	exit->ret = -KVM_ENOSYS;
	vcpu->arch.complete_userspace_io = gm_complete_seal;
	return 0;
}

bool gm_fastpath(struct kvm_vcpu *vcpu, u64 gs_base, u64 rflags)
{
	struct kvm_vcpu_gm *v = &vcpu->arch.gm;
	struct gm_gate *gate;

	/* Debug registers are in KVM's hands only once the inner loop is left. */
	if (vcpu->guest_debug || vcpu->arch.switch_db_regs ||
	    (v->view && (v->guest_dr7 & DR7_BP_EN_MASK)))
		return false;

	/* Interrupts are off: an RCU reader, see gm_unseal_locked(). */
	gate = gm_find_gate(vcpu->kvm, vcpu->arch.regs[VCPU_REGS_RIP]);
	return gate && VALID_PAGE(v->roots[v->view ? 0 : gate->seal->id]) &&
	       gm_cross(vcpu, gate, gs_base, rflags, true) == 1;
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

/* A gate is one instruction to a debugger that steps: the next one is beyond it. */
static int gm_step_over(struct kvm_vcpu *vcpu)
{
	struct kvm_debug_exit_arch *debug = &vcpu->run->debug.arch;

	vcpu->run->exit_reason = KVM_EXIT_DEBUG;
	debug->exception = DB_VECTOR;
	debug->dr6 = DR6_BS | DR6_ACTIVE_LOW;
	debug->pc = kvm_rip_read(vcpu);
	return 0;
}

int __gm_hypercall(struct kvm_vcpu *vcpu)
{
	struct gm *gm = vcpu->kvm->arch.gm;
	u64 rip = kvm_rip_read(vcpu), nr = kvm_rax_read(vcpu);
	struct gm_seal *seal;
	struct gm_gate *gate;
	int r;

	/* Gates are for 64-bit CPL 0; inside it is nothing else. */
	if (!gm_inside(vcpu) && (vcpu->arch.guest_state_protected || is_guest_mode(vcpu) ||
				 !is_64_bit_mode(vcpu) || kvm_x86_call(get_cpl)(vcpu)))
		return GM_CONTINUE;

	gate = gm_find_gate(vcpu->kvm, rip);
	/* What follows takes RSP from vcpu->arch.regs. */
	kvm_rsp_read(vcpu);
	if (gate) {
		r = gm_cross(vcpu, gate,
			     kvm_x86_call(get_segment_base)(vcpu, VCPU_SREG_GS),
			     kvm_x86_call(get_rflags)(vcpu), false);
		return r == 1 && (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP) ?
		       gm_step_over(vcpu) : r;
	}

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
