// SPDX-License-Identifier: GPL-2.0
/*
 * gm_attack: a malicious kernel module that goes for a sealed one.
 *
 * Each attack does one thing that an invariant forbids (I1-I5), with all the
 * power that the guest's kernel has, and tells how it ended. KVM answers with
 * an exception at the place of the crime; the module, like any attacker who
 * means to try again, catches it and goes on.
 *
 * Run one with `echo NAME >/sys/kernel/debug/gm_attack/run', or with the
 * parameter attack=NAME at load. Both fail with ENOTRECOVERABLE if the attack
 * got through. The log has two lines for each:
 *
 *	gm_attack: NAME: address 0x...		what is attacked (see the attack)
 *	gm_attack: NAME: stopped|survived|...	how it ended
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/kdebug.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/objtool.h>
#include <linux/rtnetlink.h>
#include <linux/sched/task.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/umh.h>
#include <linux/unaligned.h>
#include <linux/vmalloc.h>
#include <asm/asm.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/nospec-branch.h>

#include <linux/kvm_gm.h>
#include "gm_image.h"
#include "gm_stray.h"

static char *attack = "";
module_param(attack, charp, 0444);
MODULE_PARM_DESC(attack, "attack to run at load");

static char victim[MODULE_NAME_LEN] = "dummy";
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

static DEFINE_MUTEX(run_lock);
static struct dentry *debugfs;

/* --- finding the victim ---------------------------------------------------- */

static unsigned long (*lookup_name)(const char *name);

/* A kprobe resolves any symbol; a disabled one changes no text. */
static int find_lookup_name(void)
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

/* Address of what to attack: parameters come before the attack's defaults. */
static unsigned long look_for_target(const char *name, int off)
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

static unsigned long find_target(const char *name, int off)
{
	unsigned long target = look_for_target(name, off);

	if (!target)
		pr_err("no symbol %s in %s: is it loaded?\n", name, victim);
	return target;
}

/* --- surviving the exception ------------------------------------------------ */

/* Where the thread that is about to be stopped wants to go on. */
static struct {
	struct task_struct *task;
	unsigned long ip, sp;		/* go on here */
	bool leaf;			/* or where the function returns, which has no frame */
	unsigned long fault_ip;		/* stopped there */
	int trap;
	bool stopped;
	struct pt_regs regs;		/* as they were then */
	unsigned long left;		/* in registers, by a function that returned */
} recovery;

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

static struct notifier_block catcher = {
	.notifier_call = catch_exception,
	.priority = INT_MAX,
};

/*
 * Call any address whatever; returns in every case that leaves a kernel. The
 * result is the function's, if there was one.
 */
static noinline int call_to(unsigned long target, const void *first, const void *second,
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

static void jump_to(unsigned long target)
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
static int jump_and_tell(const char *name, unsigned long target)
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
static unsigned long forge(unsigned long target, unsigned long pfn)
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

/* --- the attacks ------------------------------------------------------------ */

/* Into the middle of a guarded function (I1, I2). Address: where to. */
static int attack_jump(const char *name)
{
	unsigned long target = find_target("dummy_xmit", 9);
	struct page *page = target ? vmalloc_to_page((void *)target) : NULL;

	/* The guest's own tables are to have nothing against it. */
	if (!page || !forge(target, page_to_pfn(page)))
		return -ENOENT;
	return jump_and_tell(name, target);
}

/* A return that nobody waits for (I3). Address: the in-return gate. */
static int attack_return(const char *name)
{
	unsigned long target = find_target("gm_trampoline", 3);

	return target ? jump_and_tell(name, target) : -ENOENT;
}

/* A resumption of what was never interrupted (I3). Address: the resume gate. */
static int attack_resume(const char *name)
{
	unsigned long target = find_target("gm_resume", 0);

	return target ? jump_and_tell(name, target) : -ENOENT;
}

/*
 * Guarded text through a writable mapping of the attacker's own (I4): the
 * guest's page tables have nothing against it. Address: the byte of text.
 */
static int attack_write(const char *name)
{
	unsigned long target = find_target("dummy_xmit", 9);
	u8 before, after, *alias;
	bool faulted = true;
	struct page *page;
	void *map;

	if (!target)
		return -ENOENT;
	page = vmalloc_to_page((void *)target);
	if (!page)
		return -EFAULT;
	map = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
	if (!map)
		return -ENOMEM;
	alias = map + offset_in_page(target);
	before = READ_ONCE(*(u8 *)target);

	pr_info("%s: address 0x%lx\n", name, target);
	asm volatile("1:	movb %[value], %[place]\n"
		     "	movb $0, %[faulted]\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : [place] "=m" (*alias), [faulted] "+m" (faulted)
		     : [value] "q" ((u8)~before)
		     : "memory");
	after = READ_ONCE(*(u8 *)target);
	vunmap(map);

	if (after != before) {
		pr_err("%s: survived, the text is changed\n", name);
		return -ENOTRECOVERABLE;
	}
	if (!faulted) {
		pr_err("%s: survived, but the text is as it was\n", name);
		return -ENOTRECOVERABLE;
	}
	pr_info("%s: stopped by an exception, the text is as it was\n", name);
	return 0;
}

static bool storm_ends;

/*
 * Writes for as long as it takes, while the victim is loaded and unloaded on
 * another CPU (I4). The page is held, so that it is nobody else's, and the
 * writes change nothing: they go through while it is not sealed.
 */
static int attack_storm(const char *name)
{
	unsigned long deadline = jiffies + 60 * HZ;
	unsigned int stopped = 0, unsealed = 0;

	pr_info("%s: address 0x%lx\n", name, look_for_target("dummy_xmit", 9));
	WRITE_ONCE(storm_ends, false);
	while (!READ_ONCE(storm_ends) && time_before(jiffies, deadline)) {
		unsigned long target = look_for_target("dummy_xmit", 9);
		struct page *page = target ? vmalloc_to_page((void *)target) : NULL;
		bool faulted = true;
		void *map = NULL;

		if (page && get_page_unless_zero(page)) {
			map = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
			if (map)
				asm volatile("1:	lock orb $0, %[place]\n"
					     "	movb $0, %[faulted]\n"
					     "2:\n"
					     _ASM_EXTABLE(1b, 2b)
					     : [place] "+m" (*(u8 *)(map + offset_in_page(target))),
					       [faulted] "+m" (faulted)
					     : : "memory");
			vunmap(map);
			put_page(page);
		}
		if (map && faulted)
			stopped++;
		else if (map)
			unsealed++;
		usleep_range(500, 1000);
	}
	pr_info("%s: stopped %u times, unsealed %u times\n", name, stopped, unsealed);
	return 0;
}

/* One hypercall with any number; false if an exception stopped it. */
static noinline bool hypercall(unsigned long nr, unsigned long arg, unsigned long *ret,
			       unsigned long *where)
{
	unsigned long done = 0;

#define HYPERCALL(insn)							\
	asm volatile("	lea 1f(%%rip), %[where]\n"			\
		     "1:	" insn "\n"				\
		     "	mov $1, %[done]\n"				\
		     "2:\n"						\
		     _ASM_EXTABLE(1b, 2b)				\
		     : "+a" (nr), [done] "+r" (done), [where] "=&r" (*where) \
		     : "D" (arg), "b" (0), "c" (0), "d" (0), "S" (0)	\
		     : "memory")
	if (boot_cpu_data.x86_vendor == X86_VENDOR_AMD ||
	    boot_cpu_data.x86_vendor == X86_VENDOR_HYGON)
		HYPERCALL("vmmcall");
	else
		HYPERCALL("vmcall");
	*ret = nr;
	return done;
}

/* The gates' instruction in other code (I1). Address: the instruction. */
static int attack_hypercall(const char *name)
{
	unsigned long ret, where;
	bool done = hypercall(0x12345678, 0, &ret, &where);

	pr_info("%s: address 0x%lx\n", name, where);
	if (done) {
		pr_err("%s: survived, result %ld\n", name, (long)ret);
		return -ENOTRECOVERABLE;
	}
	pr_info("%s: stopped by an exception\n", name);
	return 0;
}

/* Ask for seals that must not be given (I4). Address: the anchors. */
static int attack_seal(const char *name)
{
	struct gm_anchors *anchors = kzalloc(PAGE_SIZE, GFP_KERNEL);
	unsigned long ret, where;
	int i, result = 0;

	if (!anchors)
		return -ENOMEM;
	pr_info("%s: address 0x%lx\n", name, (unsigned long)anchors);

	for (i = 0; i < 6; i++) {
		unsigned long addr = (unsigned long)anchors;

		switch (i) {
		case 0:
			addr = 0;
			break;
		case 1:		/* not canonical */
			addr = 0x8000000000000000;
			break;
		case 2:		/* the last bytes there are: wraps */
			addr = -8;
			break;
		case 3:		/* no magic */
			break;
		case 4:		/* no such image */
			memcpy(anchors->magic, GM_ANCHORS_MAGIC, sizeof(anchors->magic));
			get_random_bytes(anchors->id, sizeof(anchors->id));
			anchors->count = 1;
			break;
		case 5:		/* more anchors than memory */
			anchors->count = U32_MAX;
			break;
		}
		if (!hypercall(KVM_GM_HC_SEAL, addr, &ret, &where)) {
			pr_info("%s: case %d: stopped by an exception\n", name, i);
		} else if ((long)ret < 0) {
			pr_info("%s: case %d: refused, %ld\n", name, i, (long)ret);
		} else {
			pr_err("%s: case %d: survived, result %ld\n", name, i, (long)ret);
			result = -ENOTRECOVERABLE;
		}
	}
	kfree(anchors);
	return result;
}

/* --- entries from an insane environment -------------------------------------- */

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

/* --- through forged page tables ----------------------------------------------- */

/* A hypercall from an own page at the address of a gate for the way out (I2). */
static int attack_forge_gate(const char *name)
{
	unsigned long target = find_target("gm_stub_consume_skb", 0), before;
	u8 *page = (u8 *)get_zeroed_page(GFP_KERNEL);
	int ret = -ENOENT;

	if (target && page) {
		memcpy(page + offset_in_page(target), "\x0f\x01\xd9\xc3", 4);
		before = forge(target, page_to_pfn(virt_to_page(page)));
		if (before) {
			ret = jump_and_tell(name, target);
			forge(target, before);
		}
	}
	free_page((unsigned long)page);
	return ret;
}

/* An own page at the address of text, then a call (I6). Address: the text. */
static int attack_forge_text(const char *name)
{
	unsigned long target = find_target("set_multicast_list", 0), before;
	unsigned long gate = find_target("gm_gate_set_multicast_list", 0);
	u8 *page = (u8 *)get_zeroed_page(GFP_KERNEL);
	int ret = -ENOENT;

	if (target && gate && page) {
		memset(page, 0x0b, PAGE_SIZE);
		memcpy(page + offset_in_page(target), "\x0f\x0b", 2);
		pr_info("%s: address 0x%lx\n", name, target);
		before = forge(target, page_to_pfn(virt_to_page(page)));
		if (before) {
			jump_to(gate);
			forge(target, before);
			ret = recovery.stopped ? -ENOTRECOVERABLE : 0;
			if (ret)
				pr_err("%s: survived, the module ran other text\n", name);
			else
				pr_info("%s: stopped, the module ran its own text\n", name);
		}
	}
	free_page((unsigned long)page);
	return ret;
}

/* --- */

/*
 * The return of somebody else's call, which waits for a lock that we hold
 * (I3). Address: the in-return gate.
 */
static int attack_steal(const char *name)
{
	char *argv[] = { "/bin/rmmod", victim, NULL }, *envp[] = { "PATH=/bin", NULL };
	unsigned long target = find_target("gm_trampoline", 3);
	int ret = -ENOENT;

	if (!target)
		return ret;
	rtnl_lock();
	ret = call_usermodehelper(argv[0], argv, envp, UMH_WAIT_EXEC);
	msleep(1000);
	if (!ret)
		ret = jump_and_tell(name, target);
	rtnl_unlock();
	return ret;
}

/* The init stub's own hypercall, but not with its number (I1). */
static int attack_init(const char *name)
{
	unsigned long target = find_target("gm_init", 0);
	int i;

	for (i = 0; target && i < 0x80; i++)
		if (!memcmp((void *)target + i, "\x0f\x01\xd9", 3))
			return jump_and_tell(name, target + i);
	return -ENOENT;
}

/* --- from inside ---------------------------------------------------------------- */

/* What the stray module's callee finds in its registers; it leaves them changed. */
unsigned long gm_attack_peeked;
void gm_attack_peek(void);
asm(".pushsection .text\n"
    ".globl gm_attack_peek\n"
    ".type gm_attack_peek, @function\n"
    "gm_attack_peek:\n"
    ASM_ENDBR
    "	or %rbx, gm_attack_peeked(%rip)\n"
    "	or %rbp, gm_attack_peeked(%rip)\n"
    "	or %r12, gm_attack_peeked(%rip)\n"
    "	mov $-1, %rbx\n"
    ASM_RET
    ".size gm_attack_peek, . - gm_attack_peek\n"
    ".popsection\n");

/* Have gm_stray, the victim, do what follows "stray-". Address: its gate. */
static int attack_stray(const char *name)
{
	unsigned long gate = find_target("gm_gate_stray_run", 0);
	const char *what = name + strlen("stray-");
	struct pt_regs *regs = &recovery.regs;
	int ret;

	if (!gate)
		return -ENOENT;
	gm_attack_peeked = 0;
	pr_info("%s: address 0x%lx\n", name, gate);
	ret = call_to(gate, what, gm_attack_peek, 0);
	if (!strcmp(what, "keep")) {
		if (gm_attack_peeked || recovery.left || ret) {
			pr_err("%s: survived, saw 0x%lx, was left 0x%lx, result %d\n",
			       name, gm_attack_peeked, recovery.left, ret);
			return -ENOTRECOVERABLE;
		}
		pr_info("%s: stopped, neither saw nor changed registers\n", name);
		return 0;
	}
	if (!recovery.stopped) {
		pr_err("%s: survived, result %d\n", name, ret);
		return -ENOTRECOVERABLE;
	}
	if (regs->ax | regs->bx | regs->bp | regs->r12 | regs->r13 | regs->r14 | regs->r15) {
		pr_err("%s: survived, its registers can be seen\n", name);
		return -ENOTRECOVERABLE;
	}
	pr_info("%s: stopped by exception %d\n", name, recovery.trap);
	return 0;
}

/*
 * A function that the victim has absorbed writes where the attacker says (I5): to its
 * private data. Address: that.
 */
static int attack_lend(const char *name)
{
	unsigned long target = find_target("lends_secret", 0);
	unsigned long gate = find_target("gm_gate___wrap_memcpy", 0);
	u64 before, *source;

	if (!target || !gate)
		return -ENOENT;
	source = kmalloc(sizeof(*source), GFP_KERNEL);
	if (!source)
		return -ENOMEM;
	before = READ_ONCE(*(u64 *)target);
	*source = ~before;
	pr_info("%s: address 0x%lx\n", name, target);
	recovery.leaf = true;
	call_to(gate, (void *)target, source, sizeof(*source));
	recovery.leaf = false;
	kfree(source);
	if (READ_ONCE(*(u64 *)target) != before) {
		pr_err("%s: survived, the data is changed\n", name);
		return -ENOTRECOVERABLE;
	}
	if (!recovery.stopped) {
		pr_err("%s: survived, but the data is as it was\n", name);
		return -ENOTRECOVERABLE;
	}
	pr_info("%s: stopped by exception %d, the data is as it was\n", name, recovery.trap);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const char *name);
} attacks[] = {
	{ "jump",	attack_jump },
	{ "write",	attack_write },
	{ "hypercall",	attack_hypercall },
	{ "return",	attack_return },
	{ "resume",	attack_resume },
	{ "seal",	attack_seal },
	{ "storm",	attack_storm },
	{ "init",	attack_init },
	{ "steal",	attack_steal },
	{ "gs-user",	attack_gs_user },
	{ "gs-return",	attack_gs_return },
	{ "gs-resume",	attack_gs_resume },
	{ "gs-module",	attack_gs_module },
	{ "sp-user",	attack_sp_user },
	{ "sp-module",	attack_sp_module },
	{ "sp-odd",	attack_sp_odd },
	{ "forge-gate",	attack_forge_gate },
	{ "forge-text",	attack_forge_text },
	{ "step",	attack_step },
	{ "breakpoint",	attack_breakpoint },
	{ "abandon",	attack_abandon },
	{ "exhaust",	attack_exhaust },
	{ "stray-escape",	attack_stray },
	{ "stray-early",	attack_stray },
	{ "stray-frame",	attack_stray },
	{ "stray-constant",	attack_stray },
	{ "stray-cpuid",	attack_stray },
	{ "stray-mmio",		attack_stray },
	{ "stray-fault",	attack_stray },
	{ "stray-keep",		attack_stray },
	{ "lend",		attack_lend },
};

static int run_attack(const char *name)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(attacks); i++) {
		if (strcmp(attacks[i].name, name))
			continue;
		guard(mutex)(&run_lock);
		return attacks[i].run(name);
	}
	pr_err("no attack '%s'\n", name);
	return -EINVAL;
}

static ssize_t run_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	char name[32];
	ssize_t n;
	int ret;

	n = strncpy_from_user(name, buf, min(count + 1, sizeof(name)));
	if (n < 0)
		return n;
	name[min_t(size_t, count, sizeof(name) - 1)] = '\0';
	ret = run_attack(strim(name));
	return ret ?: count;
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.write = run_write,
};

static ssize_t stop_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	WRITE_ONCE(storm_ends, true);
	return count;
}

static const struct file_operations stop_fops = {
	.owner = THIS_MODULE,
	.write = stop_write,
};

static int __init gm_attack_init(void)
{
	int ret = find_lookup_name();

	if (ret)
		return ret;
	ret = register_die_notifier(&catcher);
	if (ret)
		return ret;
	if (*attack) {
		ret = run_attack(attack);
		if (ret) {
			unregister_die_notifier(&catcher);
			return ret;
		}
	}
	debugfs = debugfs_create_dir("gm_attack", NULL);
	debugfs_create_file("run", 0200, debugfs, NULL, &run_fops);
	debugfs_create_file("stop", 0200, debugfs, NULL, &stop_fops);
	return 0;
}
module_init(gm_attack_init);

static void __exit gm_attack_exit(void)
{
	debugfs_remove(debugfs);
	unregister_die_notifier(&catcher);
}
module_exit(gm_attack_exit);

MODULE_DESCRIPTION("Attacks on guarded modules, for tests and demonstrations");
MODULE_LICENSE("GPL");
