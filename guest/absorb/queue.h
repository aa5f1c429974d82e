/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GM_ABSORB_QUEUE_H
#define GM_ABSORB_QUEUE_H

#include <linux/types.h>

struct sk_buff;

/*
 * Have the packet freed by this CPU's next NET_TX softirq, as dev_kfree_skb_irq_reason()
 * does; false: nothing is done, and the kernel has to. For interrupts and softirqs.
 */
bool free_later(struct sk_buff *skb, u32 reason);

#endif /* GM_ABSORB_QUEUE_H */
