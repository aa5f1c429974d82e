// SPDX-License-Identifier: GPL-2.0
/* From inside: what a victim that is up to no good itself tries, or is lent to. */
#include "gm_attack.h"

#include <linux/slab.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>

#include "gm_lends.h"
#include "gm_stray.h"

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

/* The canary of this thread, for whoever compares it from now on. */
static __no_stack_protector noinline void change_canary(void)
{
	preempt_disable();
	current->stack_canary ^= 1;
	asm volatile("xorq $1, %gs:40");
	preempt_enable();
}

/* Have the kernel's function do nothing but return, or be what it @was again. */
static int make_it_return(const char *function, u8 *was)
{
	void *(*poke)(void *addr, const void *code, size_t size) = kernel_symbol("text_poke");
	struct mutex *lock = kernel_symbol("text_mutex");
	u8 *text = kernel_symbol(function), code = *was ?: 0xc3;

	if (!poke || !lock || !text)
		return -ENOENT;
	*was = *text;
	mutex_lock(lock);
	poke(text, &code, 1);
	mutex_unlock(lock);
	return 0;
}

/*
 * Change the canary of the victim's function, and come back from what it calls then,
 * which no kernel does (I3). Address: none; it takes a trap of its own.
 */
static int attack_canary(const char *name)
{
	unsigned long gate = find_target("gm_gate_stray_run", 0);
	u8 was = 0;
	int ret;

	if (!gate)
		return -ENOENT;
	ret = make_it_return("__stack_chk_fail", &was);
	if (ret)
		return ret;
	pr_info("%s: address 0x%lx\n", name, gate);
	ret = call_to(gate, "canary", change_canary, 0);
	change_canary();
	make_it_return("__stack_chk_fail", &was);
	if (!recovery.stopped) {
		pr_err("%s: survived, result %d\n", name, ret);
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

/* What else it has absorbed, and what that is to change: an object of the victim's. */
static const struct lent {
	const char *name, *gate;
	size_t object;
	bool in_interrupt;
} lent[] = {
	{ "lend-put", "gm_gate___wrap_skb_put", offsetof(struct lends_private, skb) },
	{ "lend-trim", "gm_gate___wrap_skb_trim", offsetof(struct lends_private, skb) },
	{ "lend-type", "gm_gate___wrap_eth_type_trans", offsetof(struct lends_private, skb) },
	{ "lend-free", "gm_gate___wrap_dev_kfree_skb_any_reason",
	  offsetof(struct lends_private, skb), true },
	{ "lend-napi", "gm_gate___wrap_napi_schedule_prep", offsetof(struct lends_private, napi) },
	{ "lend-dql", "gm_gate___wrap_dql_completed", offsetof(struct lends_private, dql) },
};

/* The second argument of all: a length, a count, a reason, or the device of a packet. */
static void lend(const struct lent *what, unsigned long gate, void *object, void *second)
{
	unsigned long flags;

	if (!what->in_interrupt) {
		call_to(gate, object, second, 0);
		return;
	}
	local_irq_save(flags);
	preempt_count_add(HARDIRQ_OFFSET);
	call_to(gate, object, second, 0);
	preempt_count_sub(HARDIRQ_OFFSET);
	local_irq_restore(flags);
}

/*
 * As attack_lend(), by a function that leaves it to the kernel's own, which is not let,
 * either. Address: the private data.
 */
static int attack_lend_more(const char *name)
{
	unsigned long target = find_target("lends_private", 0), gate;
	const struct lent *what = lent;
	struct lends_private *before;
	struct net_device *device;
	int ret = 0;

	while (strcmp(what->name, name))
		what++;
	gate = find_target(what->gate, 0);
	if (!target || !gate)
		return -ENOENT;
	before = kmemdup((void *)target, sizeof(*before), GFP_KERNEL);
	device = kzalloc(sizeof(*device), GFP_KERNEL);
	if (!before || !device) {
		ret = -ENOMEM;
		goto free;
	}
	device->dev_addr = device->broadcast;
	pr_info("%s: address 0x%lx\n", name, target);
	lend(what, gate, (void *)target + what->object,
	     strcmp(name, "lend-type") ? (void *)1 : device);
	if (memcmp(before, (void *)target, sizeof(*before))) {
		pr_err("%s: survived, the data is changed\n", name);
		ret = -ENOTRECOVERABLE;
	} else if (!recovery.stopped) {
		pr_err("%s: survived, but the data is as it was\n", name);
		ret = -ENOTRECOVERABLE;
	} else {
		pr_info("%s: stopped by exception %d, the data is as it was\n", name,
			recovery.trap);
	}
free:
	kfree(device);
	kfree(before);
	return ret;
}

#define WATCHES 20

/* Does the idle loop sleep while this task seems to be at @task? No exception can be taken. */
static noinline bool idle_watches(bool (*idle)(void), struct task_struct *task)
{
	struct task_struct *self;
	unsigned long flags;
	bool slept;

	local_irq_save(flags);
	self = this_cpu_read(pcpu_hot.current_task);	/* `current' may be read later */
	this_cpu_write(pcpu_hot.current_task, task);
	slept = idle();
	this_cpu_write(pcpu_hot.current_task, self);
	local_irq_restore(flags);
	return slept;
}

/*
 * Have the victim, mwait_idle, watch data of its own: how long it sleeps would tell when
 * that is written (I5). What is the guest's it does watch. Address: the data.
 */
static int attack_watch(const char *name)
{
	bool (*idle)(void) = (void *)find_target("gm_gate_idle_inside", 0);
	struct task_struct *target = (void *)find_target("idle_stats", 0);
	struct task_struct *copy = kmemdup(current, sizeof(*copy), GFP_KERNEL);
	int i, own = 0, others = 0;

	if (!idle || !target || !copy) {
		kfree(copy);
		return -ENOENT;
	}
	pr_info("%s: address 0x%lx\n", name, (unsigned long)target);
	for (i = 0; i < WATCHES; i++) {
		own += idle_watches(idle, target);
		others += idle_watches(idle, copy);
	}
	kfree(copy);
	if (own) {
		pr_err("%s: survived, it watched its own data %d times\n", name, own);
		return -ENOTRECOVERABLE;
	}
	if (!others) {
		pr_err("%s: it has watched nothing at all\n", name);
		return -EAGAIN;
	}
	pr_info("%s: stopped, it watched the guest's memory %d times\n", name, others);
	return 0;
}

const struct attack inside_attacks[] = {
	{ "stray-escape",	attack_stray },
	{ "stray-early",	attack_stray },
	{ "stray-frame",	attack_stray },
	{ "stray-constant",	attack_stray },
	{ "stray-cpuid",	attack_stray },
	{ "stray-mmio",		attack_stray },
	{ "stray-fault",	attack_stray },
	{ "stray-keep",		attack_stray },
	{ "canary",		attack_canary },
	{ "lend",		attack_lend },
	{ "lend-put",		attack_lend_more },
	{ "lend-trim",		attack_lend_more },
	{ "lend-type",		attack_lend_more },
	{ "lend-free",		attack_lend_more },
	{ "lend-napi",		attack_lend_more },
	{ "lend-dql",		attack_lend_more },
	{ "watch",		attack_watch },
	{}
};
