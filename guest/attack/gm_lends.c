// SPDX-License-Identifier: GPL-2.0
/*
 * gm_lends: a module to be guarded, whose memcpy() is one that it absorbs
 * (guest/absorb/net.c) and whose address it gives away. gm_attack calls it, with
 * pointers into the module's own memory, where it must not write for a guest (I5).
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

/* Private: nobody takes its address. The attacker goes for it. */
static volatile u64 lends_secret = 1;

/* What a pointer to an import leads to: a gate. */
static void *(*const lends_copy)(void *to, const void *from, size_t size) __used = memcpy;

static int lends_show(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%llu\n", lends_secret);
}

static const struct kernel_param_ops lends_ops = {
	.get = lends_show,
};
module_param_cb(secret, &lends_ops, NULL, 0400);
MODULE_PARM_DESC(secret, "1, whoever has tried to change it");

static int __init lends_init(void)
{
	return 0;
}
module_init(lends_init);

static void __exit lends_exit(void)
{
	lends_secret++;
}
module_exit(lends_exit);

MODULE_DESCRIPTION("A guarded module that lends what it absorbs, for tests");
MODULE_LICENSE("GPL");
