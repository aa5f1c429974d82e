/* SPDX-License-Identifier: GPL-2.0 */
/* What gm_lends.ko has that gm_attack.ko would have its functions change. */
#ifndef GM_LENDS_H
#define GM_LENDS_H

#include <linux/dynamic_queue_limits.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>

/* Such that each function would change something, and call nobody for it. */
struct lends_private {
	struct sk_buff skb;
	struct napi_struct napi;
	struct dql dql;
};

#define LENDS_PRIVATE {								\
	.skb = { .len = 100, .end = 1000, .users = REFCOUNT_INIT(1) },		\
	.dql = { .num_queued = 8 },						\
}

#endif /* GM_LENDS_H */
