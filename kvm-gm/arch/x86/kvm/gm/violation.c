// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: a violated check (I7).
 *
 * Drop privilege, then count and report, then act by the module's policy: the
 * guest gets #GP(0) where it stands outside, or the VM stops, or nobody enters
 * the module any more. Every check of the other files ends here.
 */
#include "gm/gm.h"
#include "gm/trace.h"

/*
 * Abandon the activation that the vCPU is inside of: its context is lost, and
 * the guest finds itself at the resume gate on the stack it entered with.
 */
void gm_abandon(struct kvm_vcpu *vcpu)
{
	struct gm_activation *act = vcpu->arch.gm.act;
	struct gm_seal *seal = vcpu->arch.gm.seal;
	u64 rip = seal->gates[seal->resume].insn;
	u64 sp = act->guest_sp;

	gm_hide_registers(vcpu);
	gm_fpu_drop(vcpu, act);
	gm_lose_activation(seal, act);
	gm_leave_view(vcpu);

	kvm_rsp_write(vcpu, sp);
	kvm_rip_write(vcpu, rip);
}

/* The sealed pages stay until userspace unseals. */
void gm_quarantine(struct gm_seal *seal)
{
	WRITE_ONCE(seal->quarantined, true);
	if (!xchg(&seal->dead, true))
		kvm_make_all_cpus_request(seal->kvm, KVM_REQ_GM);
}

/*
 * @seal is the module concerned, NULL if none. Returns what an exit handler
 * returns to leave for userspace, which is told by KVM_EXIT_GM.
 */
int gm_violation(struct kvm_vcpu *vcpu, struct gm_seal *seal,
		 enum kvm_gm_violation kind, u32 gate, u64 addr, gpa_t gpa)
{
	struct kvm_gm_exit *exit = KVM_GM_EXIT(vcpu->run);
	enum kvm_gm_policy policy = KVM_GM_POLICY_INJECT;
	struct gm *gm = vcpu->kvm->arch.gm;
	u64 rip = kvm_rip_read(vcpu);

	/* Any user of the guest can make too many threads enter: no more than that. */
	if (seal && (kind != KVM_GM_V_LIMIT || gm_inside(vcpu)))
		policy = seal->policy;
	if (seal && policy == KVM_GM_POLICY_INJECT && READ_ONCE(seal->quarantined))
		policy = KVM_GM_POLICY_QUARANTINE;

	/* The vCPU's own reference goes with its privilege. */
	if (seal)
		kref_get(&seal->ref);
	if (gm_inside(vcpu))
		gm_abandon(vcpu);

	atomic64_inc(seal ? &seal->violations[kind] : &gm->violations[kind]);
	++vcpu->stat.gm_violations;
	trace_kvm_gm_violation(vcpu->vcpu_id, seal ? seal->id : 0, kind, gate, rip,
			       addr, gpa);

	vcpu->run->exit_reason = KVM_EXIT_GM;
	memset(exit, 0, sizeof(*exit));
	exit->type = KVM_GM_EXIT_VIOLATION;
	exit->kind = kind;
	exit->gate = gate;
	exit->rip = rip;
	exit->addr = addr;
	exit->gpa = gpa;
	exit->policy = policy;
	if (seal) {
		exit->id = seal->id;
		exit->generation = seal->generation;
		if (policy == KVM_GM_POLICY_QUARANTINE)
			gm_quarantine(seal);
		gm_put_seal(seal);
	}

	if (policy != KVM_GM_POLICY_STOP)
		kvm_queue_exception_e(vcpu, GP_VECTOR, 0);
	return 0;
}
