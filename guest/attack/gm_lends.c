// SPDX-License-Identifier: GPL-2.0
/*
 * gm_lends: a module to be guarded, whose memcpy() and the like are those that it absorbs
 * (guest/absorb), and whose addresses it gives away. gm_attack calls them, with
 * pointers into the module's own memory, where they must not write for a guest (I5).
 */
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "gm_lends.h"

/* Private: nobody takes its address. The attacker goes for it. */
static volatile u64 lends_secret = 1;

/* Likewise, in the shape of what the functions expect. */
static struct lends_private lends_private = LENDS_PRIVATE;

/* What a pointer to an import leads to: a gate. */
static void *(*const lends_copy)(void *to, const void *from, size_t size) __used = memcpy;
static void *(*const lends_put)(struct sk_buff *skb, unsigned int len) __used = skb_put;
static void (*const lends_trim)(struct sk_buff *skb, unsigned int len) __used = skb_trim;
static __be16 (*const lends_type)(struct sk_buff *skb, struct net_device *dev) __used =
	eth_type_trans;
static bool (*const lends_prepare)(struct napi_struct *napi) __used = napi_schedule_prep;
static void (*const lends_completed)(struct dql *dql, unsigned int count) __used = dql_completed;
static void (*const lends_free)(struct sk_buff *skb, enum skb_drop_reason reason) __used =
	dev_kfree_skb_any_reason;

static int lends_show(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%llu\n", lends_secret);
}

static const struct kernel_param_ops lends_ops = {
	.get = lends_show,
};
module_param_cb(secret, &lends_ops, NULL, 0400);
MODULE_PARM_DESC(secret, "1, whoever has tried to change it");

/* A packet is where packets are, and has a protocol. */
static int __init lends_init(void)
{
	struct ethhdr *header = kzalloc(lends_private.skb.len, GFP_KERNEL);

	if (!header)
		return -ENOMEM;
	header->h_proto = htons(ETH_P_IP);
	lends_private.skb.data = (void *)header;
	return 0;
}
module_init(lends_init);

static void __exit lends_exit(void)
{
	lends_secret++;
	kfree(lends_private.skb.data);
}
module_exit(lends_exit);

MODULE_DESCRIPTION("A guarded module that lends what it absorbs, for tests");
MODULE_LICENSE("GPL");
