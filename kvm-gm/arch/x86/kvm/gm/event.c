// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: events and exits while inside (I2).
 *
 * An interrupt or exception that must reach the guest while a vCPU is inside
 * a module first takes the vCPU out: the context goes into the activation,
 * the registers are scrubbed, and the guest is interrupted at the resume gate
 * on the stack it entered with. Its IRET lands on that gate (crossing.c).
 */
#include "gm/gm.h"

void __gm_event_exit(struct kvm_vcpu *vcpu)
{
	struct gm_activation *act = vcpu->arch.gm.act;
	struct gm_seal *seal = vcpu->arch.gm.seal;
	u64 rip = seal->gates[seal->resume].insn;
	u64 sp = act->guest_sp;

	memcpy(act->regs, vcpu->arch.regs, VCPU_REGS_RIP * sizeof(act->regs[0]));
	act->regs[VCPU_REGS_RSP] = kvm_rsp_read(vcpu);
	act->regs[VCPU_REGS_RIP] = kvm_rip_read(vcpu);
	act->rflags = kvm_get_rflags(vcpu) & ~X86_EFLAGS_TF;

	gm_count(vcpu, seal, KVM_GM_EVENT_EXIT);
	gm_fpu_hide(vcpu, act);
	gm_hide_registers(vcpu);
	gm_publish_event(seal, act);
	gm_leave_view(vcpu);

	kvm_rsp_write(vcpu, sp);
	kvm_rip_write(vcpu, rip);
}

/* An exception that the module's own instruction raised. */
static int gm_exception(struct kvm_vcpu *vcpu, const struct gm_exit *exit)
{
	struct gm_seal *seal = vcpu->arch.gm.seal;

	switch (exit->vector) {
	case PF_VECTOR:
		if (gm_in_guard(seal, exit->payload))
			return gm_violation(vcpu, seal, KVM_GM_V_LIMIT, KVM_GM_NO_GATE,
					    exit->payload, INVALID_GPA);
		if (gm_refresh_translation(vcpu, exit->payload, exit->error_code))
			return 1;
		vcpu->arch.cr2 = exit->payload;
		kvm_queue_exception_e(vcpu, PF_VECTOR, exit->error_code);
		return 1;
	case DB_VECTOR:
		kvm_queue_exception_p(vcpu, DB_VECTOR, exit->payload);
		return 1;
	case BP_VECTOR:
	case OF_VECTOR:
		/* Traps of instructions that no sealed text holds. */
		return gm_violation(vcpu, seal, KVM_GM_V_EXIT, KVM_GM_NO_GATE,
				    exit->code, INVALID_GPA);
	default:
		if (exit->has_error_code)
			kvm_queue_exception_e(vcpu, exit->vector, exit->error_code);
		else
			kvm_queue_exception(vcpu, exit->vector);
		return 1;
	}
}

int gm_handle_exit(struct kvm_vcpu *vcpu, const struct gm_exit *exit)
{
	/* If it is userspace's to emulate: whose access it is, until the vCPU leaves. */
	vcpu->run->flags |= vcpu->arch.gm.view << KVM_GM_RUN_VIEW_SHIFT;

	switch (exit->class) {
	case GM_EXIT_HOST:
	case GM_EXIT_HYPERCALL:
	case GM_EXIT_MEMORY:
		return GM_CONTINUE;
	case GM_EXIT_EXCEPTION:
		return gm_exception(vcpu, exit);
	case GM_EXIT_RDMSR:
	case GM_EXIT_WRMSR:
		return gm_handle_msr(vcpu, exit->code, exit->class == GM_EXIT_WRMSR);
	case GM_EXIT_OTHER:
		break;
	}

	return gm_violation(vcpu, vcpu->arch.gm.seal, KVM_GM_V_EXIT,
			    KVM_GM_NO_GATE, exit->code, INVALID_GPA);
}
EXPORT_SYMBOL_GPL(gm_handle_exit);
