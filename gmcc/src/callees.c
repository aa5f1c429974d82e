// SPDX-License-Identifier: GPL-2.0
/*
 * Functions of the kernel that are not called as the C calling convention has it,
 * or that mean something to KVM. What each may change is in the inline assembly
 * that calls it: asm/preempt.h, asm/uaccess.h, asm/uaccess_64.h,
 * asm/arch_hweight.h and asm/page_64.h of Linux.
 */
#include <string.h>

#include "gmcc.h"

/* By number, as in struct gm_gate. */
#define RAX	(1 << 0)
#define RCX	(1 << 1)
#define RDX	(1 << 2)
#define RSI	(1 << 6)
#define RDI	(1 << 7)
#define R8	(1 << 8)

#define ASM(name, results)	{ name, KVM_GM_GATE_F_ASM, results, 0 }
#define NORETURN(name)		{ name, KVM_GM_GATE_F_NORETURN, 0, 0 }
#define LINEAR(name, argument)	{ name, 0, 0, argument }
#define BY_SIZE(name, results) \
	ASM(name "1", results), ASM(name "2", results), ASM(name "4", results), \
	ASM(name "8", results)

static const struct callee callees[] = {
	/* Between the two, x87 and SIMD registers are the module's. */
	{ "kernel_fpu_begin", KVM_GM_GATE_F_FPU_BEGIN, 0, 0 },
	{ "kernel_fpu_begin_mask", KVM_GM_GATE_F_FPU_BEGIN, 0, 0 },
	{ "kernel_fpu_end", KVM_GM_GATE_F_FPU_END, 0, 0 },

	ASM("__SCT__preempt_schedule", 0),
	ASM("__SCT__preempt_schedule_notrace", 0),
	ASM("preempt_schedule_thunk", 0),
	ASM("preempt_schedule_notrace_thunk", 0),
	BY_SIZE("__get_user_", RAX | RDX),
	BY_SIZE("__get_user_nocheck_", RAX | RDX),
	BY_SIZE("__put_user_", RCX),
	BY_SIZE("__put_user_nocheck_", RCX),
	ASM("rep_movs_alternative", RAX | RCX | RSI | RDI),
	ASM("rep_stos_alternative", RCX | RDI),
	ASM("__sw_hweight32", RAX),
	ASM("__sw_hweight64", RAX),
	ASM("clear_page_rep", RAX | RCX | RDI),
	ASM("clear_page_orig", RAX | RCX | RDI),
	ASM("clear_page_erms", RAX | RCX | RDI),
	ASM("this_cpu_cmpxchg16b_emu", RAX | RDX),

	/* Threads that end in good order: nothing points to their frames any more. */
	NORETURN("do_exit"),
	NORETURN("kthread_exit"),
	NORETURN("kthread_complete_and_exit"),
	NORETURN("__module_put_and_kthread_exit"),

	/*
	 * blk_rq_map_kern() (block/blk-map.c) copies what is on the thread's stack and
	 * takes all else for linear or vmalloc() memory, which private stacks are not.
	 */
	LINEAR("blk_rq_map_kern", RDX),
	LINEAR("scsi_execute_cmd", RCX),
	LINEAR("__scsi_execute", RCX),
	LINEAR("scsi_mode_sense", RCX | R8),	/* the buffer was the fourth up to 6.4 */
	LINEAR("scsi_get_vpd_page", RDX),
	LINEAR("nvme_submit_sync_cmd", RDX),
	LINEAR("__nvme_submit_sync_cmd", RCX),
};

const struct callee *callee_known(const char *symbol)
{
	static const struct callee ordinary;

	for (size_t i = 0; i < sizeof(callees) / sizeof(callees[0]); i++)
		if (!strcmp(callees[i].name, symbol))
			return &callees[i];
	return &ordinary;
}
