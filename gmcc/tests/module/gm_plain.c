// SPDX-License-Identifier: GPL-2.0
/* A module that knows nothing of gmcc, as driver.sh builds it. */
#include <linux/module.h>
#include <linux/timer.h>

static void tick(struct timer_list *t);
static DEFINE_TIMER(timer, tick);
static int ticks;
module_param(ticks, int, 0444);

static void tick(struct timer_list *t)
{
	WARN_ON(ticks < 0);
	pr_info("tick %d\n", ++ticks);
	mod_timer(t, jiffies + HZ);
}

static int __init gm_plain_init(void)
{
	mod_timer(&timer, jiffies + HZ);
	return 0;
}
module_init(gm_plain_init);

static void __exit gm_plain_exit(void)
{
	timer_delete_sync(&timer);
}
module_exit(gm_plain_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Ticks");
