// SPDX-License-Identifier: GPL-2.0
/*
 * gm_stray: a module to be guarded, whose own code goes astray.
 *
 * No stock module does what KVM must stop inside; this one does, so that a
 * test can see it stopped (I2, I3, I5). gm_attack calls its gate, with the name
 * of what to do and, for some, an argument of its own.
 */
#include <linux/io.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <asm/fixmap.h>

#include "gm_stray.h"

/* Private: nobody takes its address. The attacker goes for it. */
static volatile unsigned long stray_secret = 1;

static const unsigned long stray_constant[8] = { 1 };

/* Where the caller, whose local @here is, keeps its return address @ret. */
static __always_inline unsigned long *stray_slot(unsigned long *here, void *ret)
{
	OPTIMIZER_HIDE_VAR(here);
	while (READ_ONCE(*here) != (unsigned long)ret)
		here++;
	return here;
}

/* Return to @where instead, as after an overrun of the stack. */
static noinline void stray_return(unsigned long where)
{
	unsigned long here = 0;

	WRITE_ONCE(*stray_slot(&here, __builtin_return_address(0)), where);
}

/* An out-call, with @where in place of the return address. */
static noinline bool stray_call(const char *val, unsigned long where)
{
	void *ret = __builtin_return_address(0);
	unsigned long here = 0, *slot = stray_slot(&here, ret);
	bool same;

	WRITE_ONCE(*slot, where);
	same = sysfs_streq(val, "frame");
	WRITE_ONCE(*slot, (unsigned long)ret);
	return same;
}

/* Passed to the kernel by address, so that frames have shared windows. */
static noinline int stray_parse(const char *val)
{
	unsigned long number;

	return kstrtoul(val, 0, &number) ?: (int)number;
}

/* Is a register kept from the function, and for us (I2, I3)? */
static noinline int stray_keep(void (*function)(void))
{
	register unsigned long secret asm("rbx") = GM_STRAY_SECRET;

	asm volatile("" : "+r" (secret));
	function();
	asm volatile("" : "+r" (secret));
	return secret == GM_STRAY_SECRET ? 0 : -EFAULT;
}

/* With a canary, which the function may change (I3). */
static noinline int stray_canary(void (*function)(void))
{
	char room[32];

	OPTIMIZER_HIDE_VAR(function);
	memset(room, 0, sizeof(room));
	barrier_data(room);
	function();
	return room[0];
}

static int stray_run(const char *val, const struct kernel_param *kp)
{
	unsigned long *constant = (unsigned long *)stray_constant;

	OPTIMIZER_HIDE_VAR(constant);
	if (sysfs_streq(val, "escape"))
		stray_return((unsigned long)kp);
	else if (sysfs_streq(val, "early"))
		stray_return((unsigned long)__builtin_return_address(0));
	else if (sysfs_streq(val, "frame"))
		stray_call(val, 1);
	else if (sysfs_streq(val, "constant"))
		constant[0] = 2;
	else if (sysfs_streq(val, "cpuid"))
		asm volatile("cpuid" : : : "eax", "ebx", "ecx", "edx");
	else if (sysfs_streq(val, "mmio"))
		asm volatile("lock orl $0, %0"
			     : "+m" (*(u32 *)fix_to_virt(FIX_IO_APIC_BASE_0)));
	else if (sysfs_streq(val, "fault"))
		asm volatile("mov %0, %%rbx; mov 0, %%rax" : : "i" (GM_STRAY_SECRET) : "rax", "rbx");
	else if (sysfs_streq(val, "keep"))
		return stray_keep((void *)kp);
	else if (sysfs_streq(val, "canary"))
		return stray_canary((void *)kp);
	else
		return stray_parse(val);
	stray_secret++;
	return 0;
}

static int stray_show(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lu\n", stray_secret);
}

static const struct kernel_param_ops stray_ops = {
	.set = stray_run,
	.get = stray_show,
};
module_param_cb(run, &stray_ops, NULL, 0600);
MODULE_PARM_DESC(run, "what to do that a guarded module must not");

static int __init stray_init(void)
{
	return 0;
}
module_init(stray_init);

static void __exit stray_exit(void)
{
}
module_exit(stray_exit);

MODULE_DESCRIPTION("A guarded module that goes astray, for tests");
MODULE_LICENSE("GPL");
