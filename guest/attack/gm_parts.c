// SPDX-License-Identifier: GPL-2.0
/*
 * gm_parts: a module to be guarded that has one of everything that gmcc
 * converts, so that a test can see that each still does in a guest what it did
 * before. Write a part's name to the parameter `run', then read what came of it.
 */
#include <linux/bug.h>
#include <linux/bitops.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/jump_label.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/notifier.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/random.h>
#include <linux/sort.h>
#include <linux/static_call.h>
#include <linux/string.h>
#include <asm/msr.h>

#define RTC_INDEX	0x70
#define RTC_DATA	0x71
#define RTC_REG_D	0x0d	/* reads 0x80: time and memory are valid */

static DEFINE_STATIC_KEY_FALSE(parts_off);
static DEFINE_STATIC_KEY_TRUE(parts_on);
static DEFINE_PER_CPU(unsigned int, parts_counter);

static int parts_first(int x)
{
	return x + 1;
}

static int parts_second(int x)
{
	return x + 2;
}

DEFINE_STATIC_CALL(parts_call, parts_first);

static noinline int parts_branches(char *to)
{
	int a = 0, b = 0;

	if (static_branch_unlikely(&parts_off))
		a = 1;
	if (static_branch_likely(&parts_on))
		b = 1;
	return sprintf(to, "off %d on %d\n", a, b);
}

static noinline int parts_ports(char *to)
{
	static u8 bytes[3];
	u8 one;

	outb(RTC_REG_D, RTC_INDEX);
	one = inb(RTC_DATA);
	insb(RTC_DATA, bytes, sizeof(bytes));
	outsb(0x80, bytes, sizeof(bytes));
	return sprintf(to, "%02x %*ph\n", one, (int)sizeof(bytes), bytes);
}

static noinline int parts_msrs(char *to)
{
	u32 low, high;
	u64 paravirt;

	asm volatile("rdmsr" : "=a" (low), "=d" (high) : "c" (MSR_EFER));
	rdmsrl(MSR_EFER, paravirt);
	return sprintf(to, "%d %d\n", (low & EFER_LMA) != 0, ((u64)high << 32 | low) == paravirt);
}

static noinline int parts_ones(char *to, unsigned long x)
{
	return sprintf(to, "%u %lu\n", hweight32(x), hweight64(x));
}

static noinline int parts_interrupts(char *to)
{
	unsigned long flags;
	int before, inside, after;

	before = irqs_disabled();
	local_irq_save(flags);
	inside = irqs_disabled();
	local_irq_restore(flags);
	after = irqs_disabled();
	preempt_disable();
	this_cpu_add(parts_counter, 3);
	preempt_enable();
	return sprintf(to, "%d%d%d\n", before, inside, after);
}

static noinline int parts_sum(char *to)
{
	unsigned int cpu, sum = 0;

	for_each_possible_cpu(cpu)
		sum += per_cpu(parts_counter, cpu);
	return sprintf(to, "%u\n", sum);
}

/* The kernel writes an aligned object; how deep the stack is tells the gap. */
static noinline int parts_aligned(int depth)
{
	u64 object[8] __aligned(32);
	char text[24];

	memset(object, 0, sizeof(object));
	get_random_bytes(object, sizeof(object));
	snprintf(text, sizeof(text), "%d-%d", depth, 7);
	if ((unsigned long)object % 32 || !memchr_inv(object, 0, sizeof(object)) ||
	    text[1] != '-' || text[2] != '7')
		return -1;
	OPTIMIZER_HIDE_VAR(depth);
	return depth;
}

static noinline int parts_deeper(int depth, unsigned long a)
{
	volatile unsigned long local = a;

	return parts_aligned(depth) - (int)local;
}

static noinline int parts_deepest(int depth, unsigned long a)
{
	volatile unsigned long one = a, two = a;

	return parts_deeper(depth, a) - (int)one - (int)two;
}

/* A va_list that the kernel reads, with more than registers hold. */
static noinline __printf(2, 3) int parts_print(char *to, const char *fmt, ...)
{
	struct va_format vaf;
	va_list args;
	int n;

	va_start(args, fmt);
	vaf.fmt = fmt;
	vaf.va = &args;
	n = sprintf(to, "%pV\n", &vaf);
	va_end(args);
	return n;
}

/* Callbacks, while their caller waits with objects on its stack that all three use. */
struct parts_chain {
	struct raw_notifier_head head;
	struct notifier_block blocks[3];
	char text[4];
	int number;
};

/* The kernel reads what this wrote: here `text', and when it is back `next'. */
static int parts_cut(struct notifier_block *block, unsigned long value, void *data)
{
	struct parts_chain *chain = data;
	int number;

	chain->text[0] = '4';
	chain->text[1] = '0' + value;
	if (kstrtoint(chain->text, 10, &number))
		return NOTIFY_BAD;
	chain->number += number;
	chain->blocks[1].next = NULL;
	return NOTIFY_OK;
}

/* This reads what the kernel wrote, which moves the numbers meanwhile. */
static int parts_compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static noinline int parts_callbacks(char *to)
{
	int numbers[] = { 7, 3, 9, 1, 8, 2, 6, 4, 5 };
	struct parts_chain chain = { };
	int n;

	for (int i = 0; i < 3; i++) {
		chain.blocks[i].notifier_call = parts_cut;
		raw_notifier_chain_register(&chain.head, &chain.blocks[i]);
	}
	raw_notifier_call_chain(&chain.head, 2, &chain);
	sort(numbers, ARRAY_SIZE(numbers), sizeof(numbers[0]), parts_compare, NULL);
	n = sprintf(to, "%d:", chain.number);
	for (int i = 0; i < ARRAY_SIZE(numbers); i++)
		n += sprintf(to + n, " %d", numbers[i]);
	return n + sprintf(to + n, "\n");
}

static char parts_result[128] = "none\n";

static int parts_run(const char *val, const struct kernel_param *kp)
{
	char *to = parts_result;

	if (sysfs_streq(val, "enable")) {
		static_branch_enable(&parts_off);
		static_branch_disable(&parts_on);
	} else if (sysfs_streq(val, "disable")) {
		static_branch_disable(&parts_off);
		static_branch_enable(&parts_on);
	} else if (sysfs_streq(val, "branches")) {
		parts_branches(to);
	} else if (sysfs_streq(val, "ports")) {
		parts_ports(to);
	} else if (sysfs_streq(val, "msrs")) {
		parts_msrs(to);
	} else if (sysfs_streq(val, "ones")) {
		parts_ones(to, 0xf0f00000ff0001UL + (val[0] == 0));
	} else if (sysfs_streq(val, "interrupts")) {
		parts_interrupts(to);
	} else if (sysfs_streq(val, "sum")) {
		parts_sum(to);
	} else if (sysfs_streq(val, "aligned")) {
		sprintf(to, "%d %d %d\n", parts_aligned(1), parts_deeper(2, val[0] == 0),
			parts_deepest(3, val[0] == 0));
	} else if (sysfs_streq(val, "print")) {
		parts_print(to, "%d %d %d %d %d %d %d %s", 1, 2, 3, 4, 5, 6, 7, "eight");
	} else if (sysfs_streq(val, "callbacks")) {
		parts_callbacks(to);
	} else if (sysfs_streq(val, "call")) {
		sprintf(to, "%d\n", static_call(parts_call)(40));
	} else if (sysfs_streq(val, "update")) {
		static_call_update(parts_call, parts_second);
	} else if (sysfs_streq(val, "warn")) {
		int warned = WARN(1, "gm_parts warns, %d", 5);

		sprintf(to, "%d %d\n", warned, (int)WARN_ON(val[0] == 0));
	} else if (sysfs_streq(val, "once")) {
		WARN_ON_ONCE(1);
		sprintf(to, "went on\n");
	} else if (sysfs_streq(val, "bug")) {
		sprintf(to, "went into\n");
		BUG();
	} else {
		return -EINVAL;
	}
	return 0;
}

static int parts_show(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s", parts_result);
}

static const struct kernel_param_ops parts_ops = {
	.set = parts_run,
	.get = parts_show,
};
module_param_cb(run, &parts_ops, NULL, 0600);
MODULE_PARM_DESC(run, "which part to run");

static int __init parts_init(void)
{
	return 0;
}
module_init(parts_init);

static void __exit parts_exit(void)
{
}
module_exit(parts_exit);

MODULE_DESCRIPTION("A guarded module with what gmcc converts, for tests");
MODULE_LICENSE("GPL");
