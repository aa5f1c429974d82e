// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: instructions that KVM emulates while inside (I2, I4).
 *
 * A module's access to an emulated device makes KVM emulate the instruction. It
 * would fetch that through the guest's tables, which inside are KVM's and lead
 * nowhere it can read; so it gets the sealed text. Only what cannot touch other
 * memory than the device's is emulated: a MOV of a register or an immediate, of
 * which the CPU has said what guest-physical address it missed.
 */
#include "gm/devices.h"
#include "kvm_emulate.h"

#define GM_MAX_INSN	15	/* bytes of the longest instruction */

static bool gm_is_plain_mov(const struct x86_emulate_ctxt *ctxt)
{
	if (ctxt->opcode_len == 2)	/* MOVZX, MOVSX */
		return ctxt->b == 0xb6 || ctxt->b == 0xb7 || ctxt->b == 0xbe || ctxt->b == 0xbf;
	return ctxt->opcode_len == 1 && ((ctxt->b >= 0x88 && ctxt->b <= 0x8b) ||
					 ctxt->b == 0xc6 || ctxt->b == 0xc7);
}

/* Does the decoded instruction access @gpa, and nothing else in memory? */
static bool gm_may_emulate(const struct x86_emulate_ctxt *ctxt, gpa_t gpa)
{
	const struct operand *mem = ctxt->memopp;

	return gm_is_plain_mov(ctxt) && mem && mem->type == OP_MEM &&
	       mem->addr.mem.seg != VCPU_SREG_FS && mem->addr.mem.seg != VCPU_SREG_GS &&
	       /* Then the emulator takes the address from us, and walks no tables. */
	       !((mem->addr.mem.ea ^ gpa) & ~PAGE_MASK) &&
	       offset_in_page(gpa) + mem->bytes <= PAGE_SIZE;
}

static bool gm_decode(struct kvm_vcpu *vcpu, gpa_t gpa, int emulation_type)
{
	struct gm_seal *seal = vcpu->arch.gm.seal;
	u64 rip = kvm_rip_read(vcpu);
	u8 insn[GM_MAX_INSN];

	/* All of it, as far as there is text. */
	memset(insn, 0, sizeof(insn));
	return gm_read_text(seal, rip, insn, sizeof(insn)) &&
	       x86_decode_emulated_instruction(vcpu, emulation_type, insn,
					       sizeof(insn)) == EMULATION_OK &&
	       gm_may_emulate(vcpu->arch.emulate_ctxt, gpa);
}

int __gm_emulate(struct kvm_vcpu *vcpu, gpa_t gpa, int emulation_type)
{
	/* A read that userspace has answered. */
	if (emulation_type == EMULTYPE_NO_DECODE && vcpu->mmio_read_completed)
		return GM_CONTINUE;
	if (emulation_type == EMULTYPE_PF && gm_decode(vcpu, gpa, emulation_type))
		return gm_find_device(vcpu, gpa) ? GM_CONTINUE : 1;

	return gm_violation(vcpu, vcpu->arch.gm.seal, KVM_GM_V_EMULATE,
			    KVM_GM_NO_GATE, 0, INVALID_GPA);
}

/* What userspace was to complete inside: it is not the guest's. */
void gm_cancel_io(struct kvm_vcpu *vcpu)
{
	vcpu->arch.complete_userspace_io = NULL;
	vcpu->arch.emulate_regs_need_sync_to_vcpu = false;
	vcpu->arch.pio.count = 0;
	vcpu->mmio_read_completed = 0;
	vcpu->mmio_needed = 0;
}
