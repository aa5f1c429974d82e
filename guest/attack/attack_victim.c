// SPDX-License-Identifier: GPL-2.0
/* The victim: where it is, how to get there and to come back, and what is mapped there. */
#include "gm_attack.h"

#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sched/task.h>
#include <asm/nospec-branch.h>

char victim[MODULE_NAME_LEN] = "dummy";
module_param_string(victim, victim, sizeof(victim), 0644);
MODULE_PARM_DESC(victim, "guarded module to go for");

static char symbol[64];
module_param_string(symbol, symbol, sizeof(symbol), 0644);
MODULE_PARM_DESC(symbol, "symbol of the victim, instead of the attack's own");

static ulong address;
module_param(address, ulong, 0644);
MODULE_PARM_DESC(address, "address to attack, instead of a symbol");

static int offset = -1;
module_param(offset, int, 0644);
MODULE_PARM_DESC(offset, "offset from the symbol, instead of the attack's own");

/* --- finding the victim ---------------------------------------------------- */

static unsigned long (*lookup_name)(const char *name);

/* A kprobe resolves any symbol; a disabled one changes no text. */
int find_lookup_name(void)
{
	struct kprobe probe = {
		.symbol_name = "kallsyms_lookup_name",
		.flags = KPROBE_FLAG_DISABLED,
	};
	int ret = register_kprobe(&probe);

	if (ret)
		return ret;
	lookup_name = (void *)probe.addr;
	unregister_kprobe(&probe);
	return 0;
}

void *kernel_symbol(const char *name)
{
	return (void *)lookup_name(name);
}

/* Address of what to attack: parameters come before the attack's defaults. */
unsigned long look_for_target(const char *name, int off)
{
	char full[128];
	unsigned long addr;

	if (address)
		return address;
	if (*strim(symbol))
		name = symbol;
	if (offset >= 0)
		off = offset;
	snprintf(full, sizeof(full), "%s:%s", strim(victim), name);
	addr = lookup_name(full);
	return addr ? addr + off : 0;
}

unsigned long find_target(const char *name, int off)
{
	unsigned long target = look_for_target(name, off);

	if (!target)
		pr_err("no symbol %s in %s: is it loaded?\n", name, victim);
	return target;
}

/* --- surviving the exception ------------------------------------------------ */

struct recovery recovery;

static int catch_exception(struct notifier_block *nb, unsigned long why, void *data)
{
	struct die_args *args = data;

	if (!args->regs || user_mode(args->regs) ||
	    READ_ONCE(recovery.task) != current)
		return NOTIFY_DONE;

	recovery.fault_ip = args->regs->ip;
	recovery.trap = args->trapnr;
	recovery.regs = *args->regs;
	recovery.stopped = true;
	WRITE_ONCE(recovery.task, NULL);
	if (recovery.leaf) {
		args->regs->ip = *(unsigned long *)args->regs->sp;
		args->regs->sp += sizeof(unsigned long);
	} else {
		args->regs->ip = recovery.ip;
		args->regs->sp = recovery.sp;
	}
	return NOTIFY_STOP;
}

struct notifier_block catcher = {
	.notifier_call = catch_exception,
	.priority = INT_MAX,
};

noinline int call_to(unsigned long target, const void *first, const void *second,
			    unsigned long third)
{
	unsigned long ret = 0;

	recovery.stopped = false;
	WRITE_ONCE(recovery.task, current);
	asm volatile("push %%rbp\n\t"
		     "push %%rbx\n\t"
		     "mov %%rsp, %[sp]\n\t"
		     "lea 1f(%%rip), %%rax\n\t"
		     "mov %%rax, %[ip]\n\t"
		     ANNOTATE_RETPOLINE_SAFE
		     "call *%%rcx\n"
		     "1:\n\t"
		     ANNOTATE_NOENDBR
		     "pop %%rbx\n\t"
		     "pop %%rbp\n\t"
		     : [sp] "=m" (recovery.sp), [ip] "=m" (recovery.ip),
		       "+a" (ret), "+c" (target), "+D" (first), "+S" (second),
		       "+d" (third), ASM_CALL_CONSTRAINT
		     : : "r8", "r9", "r10", "r11",
		       "r12", "r13", "r14", "r15", "cc", "memory");
	WRITE_ONCE(recovery.task, NULL);
	recovery.left = target | (unsigned long)first | (unsigned long)second;
	return ret;
}

void jump_to(unsigned long target)
{
	call_to(target, NULL, NULL, 0);
}

static int jump_thread(void *target)
{
	jump_to((unsigned long)target);
	return 0;
}

/*
 * Jump from a thread of its own: an exception that the catcher does not see
 * ends that thread with an oops, and the guest goes on.
 */
int jump_and_tell(const char *name, unsigned long target)
{
	struct task_struct *task;
	int ret = 0, i;

	pr_info("%s: address 0x%lx\n", name, target);
	task = kthread_create(jump_thread, (void *)target, "gm_attack");
	if (IS_ERR(task))
		return PTR_ERR(task);
	get_task_struct(task);
	wake_up_process(task);
	for (i = 0; i < 500 && !READ_ONCE(task->exit_state); i++)
		msleep(10);

	if (recovery.stopped) {
		pr_info("%s: stopped by exception %d at 0x%lx\n", name,
			recovery.trap, recovery.fault_ip);
	} else if (READ_ONCE(recovery.task) == task) {
		pr_info("%s: stopped, its thread was killed\n", name);
	} else if (!READ_ONCE(task->exit_state)) {
		pr_err("%s: its thread does not come back\n", name);
		ret = -ETIMEDOUT;
	} else {
		pr_err("%s: survived, the attacker's code went on\n", name);
		ret = -ENOTRECOVERABLE;
	}
	WRITE_ONCE(recovery.task, NULL);
	put_task_struct(task);
	return ret;
}

/* --- forging the guest's page tables ----------------------------------------- */

static void flush_page(void *address)
{
	asm volatile("invlpg (%0)" : : "r" (address) : "memory");
}

/* The guest's page tables now say that @target's page is @pfn; what they said. */
unsigned long forge(unsigned long target, unsigned long pfn)
{
	unsigned int level;
	pte_t *pte = lookup_address(target, &level);
	unsigned long before;

	if (!pte || level != PG_LEVEL_4K)
		return 0;
	before = pte_pfn(*pte);
	WRITE_ONCE(*pte, pfn_pte(pfn, PAGE_KERNEL_EXEC));
	on_each_cpu(flush_page, (void *)target, 1);
	return before;
}
