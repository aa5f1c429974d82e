// SPDX-License-Identifier: GPL-2.0
/* Entries from an insane environment. */
#include "gm_attack.h"

#include <linux/mm.h>
#include <linux/objtool.h>
#include <linux/sizes.h>
#include <linux/unaligned.h>
#include <asm/debugreg.h>
#include <asm/desc.h>

/*
 * With the GS base or the stack pointer that these attacks have, the kernel
 * cannot take an exception. So interrupts are off, and every exception goes
 * to gm_attack_back, on the stack that is meant for double faults.
 */
static unsigned long entry_sp, entry_gs;
static bool entry_through;
extern const char gm_attack_through[], gm_attack_back[];

/* The bit of DR7 that is always set. */
#define DR7_FIXED	0x400

struct entry {
	unsigned long gate, gs, sp, flags, breakpoint;
};

/* IRET, for a flag that works from the gate's hypercall on. */
static noinline void enter_gate(const struct entry *entry)
{
	unsigned long lo = lower_32_bits(entry->gs), hi = upper_32_bits(entry->gs);
	unsigned long nr = MSR_GS_BASE, gate = entry->gate, sp = entry->sp;
	register unsigned long flags asm("r8") = entry->flags;

	asm volatile("push %%rbp\n\t"
		     "push %%rbx\n\t"
		     "mov %%rsp, %c[entry_sp](%%rip)\n\t"
		     "push %[ss]\n\t"
		     "push %%rsi\n\t"
		     "push %%r8\n\t"
		     "push %[cs]\n\t"
		     "push %%rdi\n\t"
		     "wrmsr\n\t"
		     "xor %%edi, %%edi\n\t"
		     "iretq\n"
		     "gm_attack_through:\n\t"
		     ANNOTATE_NOENDBR
		     "movb $1, %c[through](%%rip)\n"
		     "gm_attack_back:\n\t"
		     ANNOTATE_NOENDBR
		     "mov %c[entry_sp](%%rip), %%rsp\n\t"
		     "mov %[nr_gs], %%ecx\n\t"
		     "mov %c[entry_gs](%%rip), %%eax\n\t"
		     "mov %c[entry_gs]+4(%%rip), %%edx\n\t"
		     "wrmsr\n\t"
		     "pop %%rbx\n\t"
		     "pop %%rbp\n\t"
		     : "+a" (lo), "+d" (hi), "+c" (nr), "+D" (gate), "+S" (sp), "+r" (flags)
		     : [entry_sp] "i" (&entry_sp), [entry_gs] "i" (&entry_gs),
		       [through] "i" (&entry_through), [nr_gs] "i" (MSR_GS_BASE),
		       [ss] "i" (__KERNEL_DS), [cs] "i" (__KERNEL_CS)
		     : "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory");
}
STACK_FRAME_NON_STANDARD(enter_gate);

/*
 * Through a gate, times over, with what @entry says and what is sane for the
 * rest; @step bytes further down the stack each time. False: could not try.
 */
static bool enter(struct entry entry, int times, int step)
{
	gate_desc *table = (gate_desc *)get_zeroed_page(GFP_KERNEL);
	const struct desc_ptr idt = { IDT_ENTRIES * sizeof(*table) - 1, (unsigned long)table };
	void *stack = (void *)get_zeroed_page(GFP_KERNEL);
	unsigned long flags, sane = (unsigned long)stack + PAGE_SIZE - 256;
	bool own_stack = !entry.sp;
	struct desc_ptr kernels;
	int i;

	entry_through = false;
	for (i = 0; table && i < IDT_ENTRIES; i++)
		pack_gate(&table[i], GATE_INTERRUPT, (unsigned long)gm_attack_back, 0,
			  IST_INDEX_DF + 1, __KERNEL_CS);
	for (i = 0; table && stack && i < times; i++) {
		if (own_stack) {
			entry.sp = sane - i * step;
			*(unsigned long *)entry.sp = (unsigned long)gm_attack_through;
		}
		local_irq_save(flags);
		rdmsrl(MSR_GS_BASE, entry_gs);
		entry.gs = entry.gs ?: entry_gs;
		entry.flags |= X86_EFLAGS_FIXED;
		store_idt(&kernels);
		load_idt(&idt);
		if (entry.breakpoint) {
			set_debugreg(entry.breakpoint, 0);
			set_debugreg(DR7_FIXED | DR_GLOBAL_ENABLE, 7);
		}
		enter_gate(&entry);
		if (entry.breakpoint)
			set_debugreg(DR7_FIXED, 7);
		load_idt(&kernels);
		local_irq_restore(flags);
		entry.gs = 0;
	}
	free_page((unsigned long)stack);
	free_page((unsigned long)table);
	return table && stack;
}

/* Through the gate at @gate. Address: @bad. */
static int enter_by(unsigned long gate, const char *name, unsigned long gs,
		    unsigned long sp, unsigned long bad)
{
	struct entry entry = { gate, gs, sp };

	if (!entry.gate)
		return -ENOENT;
	pr_info("%s: address 0x%lx\n", name, bad);
	if (!enter(entry, 1, 0))
		return -ENOMEM;
	if (entry_through) {
		pr_err("%s: survived, the module ran\n", name);
		return -ENOTRECOVERABLE;
	}
	pr_info("%s: stopped by an exception\n", name);
	return 0;
}

/* Through the gate of a function that does nothing. */
static int enter_and_tell(const char *name, unsigned long gs, unsigned long sp,
			  unsigned long bad)
{
	return enter_by(find_target("gm_gate_set_multicast_list", 4), name, gs, sp, bad);
}

/* The same, with a flag or a breakpoint that must have no effect inside. */
static int enter_undisturbed(const char *name, unsigned long flags, bool breakpoint)
{
	unsigned long target = find_target("set_multicast_list", 0);
	struct entry entry = {
		.gate = find_target("gm_gate_set_multicast_list", 4),
		.flags = flags,
		.breakpoint = breakpoint ? target : 0,
	};

	if (!entry.gate || !target)
		return -ENOENT;
	pr_info("%s: address 0x%lx\n", name, target);
	if (!enter(entry, 1, 0))
		return -ENOMEM;
	if (!entry_through) {
		pr_err("%s: survived, the module was interrupted\n", name);
		return -ENOTRECOVERABLE;
	}
	pr_info("%s: stopped, the module ran undisturbed\n", name);
	return 0;
}

/* One step at a time (I2). Address: the text. */
static int attack_step(const char *name)
{
	return enter_undisturbed(name, X86_EFLAGS_TF, false);
}

/* A breakpoint inside (I2). Address: the text. */
static int attack_breakpoint(const char *name)
{
	return enter_undisturbed(name, 0, true);
}

/*
 * Calls whose threads never come back: the kernel's function that the module
 * calls faults. From one place, or from so many that no stack is left (I3).
 */
static int leave_calls(const char *name, int step)
{
	struct entry entry = { find_target("gm_gate_dummy_get_stats64", 4) };

	if (!entry.gate)
		return -ENOENT;
	pr_info("%s: address 0x%lx\n", name, entry.gate);
	return enter(entry, 40, step) ? 0 : -ENOMEM;
}

static int attack_abandon(const char *name)
{
	return leave_calls(name, 0);
}

static int attack_exhaust(const char *name)
{
	return leave_calls(name, 64);
}

/* Per-CPU data that is somebody's user memory (I1). */
static int attack_gs_user(const char *name)
{
	return enter_and_tell(name, PAGE_SIZE, 0, PAGE_SIZE);
}

static int attack_gs_return(const char *name)
{
	return enter_by(find_target("gm_trampoline", 3), name, PAGE_SIZE, 0, PAGE_SIZE);
}

static int attack_gs_resume(const char *name)
{
	return enter_by(find_target("gm_resume", 0), name, PAGE_SIZE, 0, PAGE_SIZE);
}

/* Per-CPU data that is, or reaches, the module's own memory (I1, I5). */
static int attack_gs_module(const char *name)
{
	unsigned long gs = find_target("dummy_xmit", 9) - SZ_1M;

	return enter_and_tell(name, gs, 0, gs);
}

/* Stacks in user memory, in the module, at an odd place (I1). */
static int attack_sp_user(const char *name)
{
	return enter_and_tell(name, 0, PAGE_SIZE, PAGE_SIZE);
}

static int attack_sp_module(const char *name)
{
	unsigned long sp = find_target("dummy_xmit", 8);

	return enter_and_tell(name, 0, sp, sp);
}

static int attack_sp_odd(const char *name)
{
	static unsigned long stack[64];
	unsigned long sp = (unsigned long)&stack[48] + 1;

	put_unaligned((unsigned long)gm_attack_through, (unsigned long *)sp);
	return enter_and_tell(name, 0, sp, sp);
}

const struct attack entry_attacks[] = {
	{ "gs-user",	attack_gs_user },
	{ "gs-return",	attack_gs_return },
	{ "gs-resume",	attack_gs_resume },
	{ "gs-module",	attack_gs_module },
	{ "sp-user",	attack_sp_user },
	{ "sp-module",	attack_sp_module },
	{ "sp-odd",	attack_sp_odd },
	{ "step",	attack_step },
	{ "breakpoint",	attack_breakpoint },
	{ "abandon",	attack_abandon },
	{ "exhaust",	attack_exhaust },
	{}
};
