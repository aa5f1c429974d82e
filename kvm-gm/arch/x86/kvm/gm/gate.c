// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: the gates, the only ways in and out (I1, I2).
 *
 * A gate is a hypercall instruction at an address that userspace registered
 * with the seal; KVM writes the instruction itself. Gates are found by address
 * in one table of the VM, so that a crossing costs the same however many
 * modules and gates there are.
 */
#include "gm/gm.h"

static bool gm_has_target(u8 kind)
{
	return kind == KVM_GM_GATE_IN_CALL || kind == KVM_GM_GATE_OUT_CALL;
}

/* Only calls have arguments. */
static bool gm_is_call(u8 kind)
{
	return gm_has_target(kind) || kind == KVM_GM_GATE_OUT_CALL_INDIRECT;
}

/* The flags that a gate of that kind may have. */
static u8 gm_gate_flags(u8 kind)
{
	switch (kind) {
	case KVM_GM_GATE_IN_CALL:
		return KVM_GM_GATE_F_INIT | KVM_GM_GATE_F_EXIT;
	case KVM_GM_GATE_OUT_CALL:
		return KVM_GM_GATE_F_FPU_BEGIN | KVM_GM_GATE_F_FPU_END |
		       KVM_GM_GATE_F_ASM | KVM_GM_GATE_F_NORETURN;
	default:
		return 0;
	}
}

static int gm_load_gate(struct gm_seal *seal, u32 nr, const struct kvm_gm_gate *in,
			u32 *seen)
{
	struct gm_gate *gate = &seal->gates[nr];
	u32 region = KVM_GM_REGION_TEXT;

	if (nr && in->insn < gate[-1].insn + GM_HYPERCALL_LEN)
		return -EINVAL;
	if (offset_in_page(in->insn) > PAGE_SIZE - GM_HYPERCALL_LEN)
		return -EINVAL;
	if (in->stack_words > KVM_GM_MAX_STACK_WORDS)
		return -E2BIG;
	if (in->reserved)
		return -EINVAL;
	if (in->stack_words && !gm_is_call(in->kind))
		return -EINVAL;
	if (in->target && !gm_has_target(in->kind))
		return -EINVAL;
	/* One flag at most. */
	if ((in->flags & ~gm_gate_flags(in->kind)) || (in->flags & (in->flags - 1)))
		return -EINVAL;
	if (in->results && (in->flags != KVM_GM_GATE_F_ASM || in->results & BIT(VCPU_REGS_RSP)))
		return -EINVAL;

	switch (in->kind) {
	case KVM_GM_GATE_IN_CALL:
		region = KVM_GM_REGION_GATES;
		if (!gm_in_region(seal, in->target, KVM_GM_REGION_TEXT))
			return -EINVAL;
		break;
	case KVM_GM_GATE_IN_RETURN:
		region = KVM_GM_REGION_GATES;
		seal->in_return = nr;
		break;
	case KVM_GM_GATE_RESUME:
		region = KVM_GM_REGION_GATES;
		seal->resume = nr;
		break;
	case KVM_GM_GATE_OUT_CALL:
		if (gm_find_region(seal, in->target))
			return -EINVAL;
		break;
	case KVM_GM_GATE_OUT_CALL_INDIRECT:
		break;
	case KVM_GM_GATE_OUT_RETURN:
		seal->out_return = in->insn;
		break;
	default:
		return -EINVAL;
	}
	seen[in->kind]++;

	if (!gm_in_region(seal, in->insn, region))
		return -EINVAL;
	memcpy(page_address(gm_page_at(seal, in->insn)->page) + offset_in_page(in->insn),
	       kvm_x86_ops.gm->hypercall, GM_HYPERCALL_LEN);

	gate->nr = nr;
	gate->insn = in->insn;
	gate->target = in->target;
	gate->seal = seal;
	gate->kind = in->kind;
	gate->flags = in->flags;
	gate->stack_words = in->stack_words;
	/* RSP, which is set anyway, tells that there is something to restore. */
	if (in->flags & KVM_GM_GATE_F_ASM)
		gate->results = in->results | BIT(VCPU_REGS_RSP);
	return 0;
}

/* After the regions. On error the caller frees the seal. */
int gm_load_gates(struct gm_seal *seal, const struct kvm_gm_seal *arg)
{
	struct kvm_gm_gate *in __free(kvfree) = NULL;
	u32 seen[KVM_GM_GATE_OUT_RETURN + 1] = {};
	u32 i;
	int r;

	if (!arg->nr_gates)
		return -EINVAL;
	if (arg->nr_gates > KVM_GM_MAX_GATES)
		return -E2BIG;

	in = vmemdup_array_user(u64_to_user_ptr(arg->gates), arg->nr_gates,
				sizeof(*in));
	if (IS_ERR(in))
		return PTR_ERR(no_free_ptr(in));

	seal->gates = kvcalloc(arg->nr_gates, sizeof(*seal->gates), GFP_KERNEL_ACCOUNT);
	if (!seal->gates)
		return -ENOMEM;
	seal->nr_gates = arg->nr_gates;

	atomic_set(&seal->begun, 1);
	for (i = 0; i < seal->nr_gates; i++) {
		r = gm_load_gate(seal, i, &in[i], seen);
		if (r)
			return r;
		if (in[i].flags & KVM_GM_GATE_F_FPU_BEGIN)
			seal->has_fpu = true;
		if (in[i].flags & KVM_GM_GATE_F_INIT)
			atomic_set(&seal->begun, 0);
	}
	if (seen[KVM_GM_GATE_IN_RETURN] != 1 || seen[KVM_GM_GATE_RESUME] != 1 ||
	    seen[KVM_GM_GATE_OUT_RETURN] != 1)
		return -EINVAL;

	seal->trampoline = arg->trampoline;
	seal->ret = arg->ret;
	if (seal->trampoline + 3 != seal->gates[seal->in_return].insn ||
	    !gm_in_region(seal, seal->trampoline, KVM_GM_REGION_GATES) ||
	    !gm_in_region(seal, seal->ret, KVM_GM_REGION_GATES))
		return -EINVAL;
	return 0;
}

/* From now on vCPUs find them. */
void gm_insert_gates(struct gm_seal *seal)
{
	struct gm *gm = seal->kvm->arch.gm;
	u32 i;

	for (i = 0; i < seal->nr_gates; i++) {
		struct gm_gate *gate = &seal->gates[i];

		hlist_add_head_rcu(&gate->node,
				   &gm->gates[gm_hash(gate->insn, &gm->hash,
						      GM_GATE_BITS)]);
	}
}

/* A vCPU that has found one may use it for a grace period of SRCU and RCU. */
void gm_remove_gates(struct gm_seal *seal)
{
	u32 i;

	for (i = 0; i < seal->nr_gates; i++)
		hlist_del_init_rcu(&seal->gates[i].node);
}
