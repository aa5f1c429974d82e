// SPDX-License-Identifier: GPL-2.0
/* A module with notes to gmcc, as driver.sh builds it. */
#include <guarded_module.h>
#include <linux/timer.h>

static void tick(struct timer_list *t);
static DEFINE_TIMER(timer, tick);
static unsigned long GM_PRIVATE key = 1;
static int GM_SHARED ticks;
module_param(ticks, int, 0444);

GM_HOSTINFO(host);

static void tick(struct timer_list *t)
{
	struct kvm_gm_hostinfo_vcpu here;

	key = key * 6364136223846793005UL + 1;
	asm volatile("mwait" : : "a" (0), "c" (0));
	key += gm_rdmsr(0xce);
	if (gm_hostinfo_read(&host, 0, &here))
		key += here.cpu + here.steal;
	ticks += key & 1;
	mod_timer(t, jiffies + HZ);
}
GM_ENTRY(tick);
GM_PRIVILEGE("mwait");
GM_PRIVILEGE("msr=0xce");

static int __init gm_noted_init(void)
{
	mod_timer(&timer, jiffies + HZ);
	return 0;
}
module_init(gm_noted_init);

static void __exit gm_noted_exit(void)
{
	timer_delete_sync(&timer);
}
module_exit(gm_noted_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Ticks, with notes");
