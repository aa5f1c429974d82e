// SPDX-License-Identifier: GPL-2.0
/*
 * What a network driver puts into queues of its CPU's and of its device's, with the
 * queues where the kernel has them: a NAPI instance that is to be polled, packets that
 * are to be freed after the interrupt, and how much of what was queued has been sent.
 *
 * The first two are struct softnet_data's, which only its CPU touches, with interrupts
 * off, or by one instruction. Softirqs are raised as in the kernel, so that whoever
 * interrupted or called the driver runs them when it returns.
 *
 * Keeps I3 and I5: writes go by gm_outside() only, see gm_absorb.h, or at a fixed offset
 * from the GS base, of which KVM has seen that it does not reach the module.
 */
#include <linux/interrupt.h>
#include <linux/jiffies.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>

#include "gm_absorb.h"
#include "queue.h"

/* Who is interrupted runs softirqs; on PREEMPT_RT a thread does, and nothing here is the CPU's. */
#ifdef CONFIG_PREEMPT_RT
#error "gm_net is not for PREEMPT_RT, where a poll does not have its CPU to itself"
#endif

void __wrap___napi_schedule(struct napi_struct *napi);
void __wrap___napi_schedule_irqoff(struct napi_struct *napi);
void __wrap_dql_completed(struct dql *dql, unsigned int count);

/* To the end of the CPU's list; false: nothing is done. */
static bool enlist(struct napi_struct *napi)
{
	struct softnet_data *sd = this_cpu_ptr(&softnet_data);
	struct list_head *list, *last, *new = &napi->poll_list;

	OPTIMIZER_HIDE_VAR(sd);	/* read once: what is checked is what is used */
	list = &sd->poll_list;
	if (!in_hardirq() || in_nmi() || !irqs_disabled() || !gm_outside(napi, sizeof(*napi)) ||
	    !gm_outside(sd, sizeof(*sd)) || test_bit(NAPI_STATE_THREADED, &napi->state))
		return false;
	last = READ_ONCE(list->prev);
	if (!gm_outside(last, sizeof(*last)) || READ_ONCE(last->next) != list || last == new)
		return false;
	new->next = list;
	new->prev = last;
	WRITE_ONCE(last->next, new);
	WRITE_ONCE(list->prev, new);
	WRITE_ONCE(napi->list_owner, smp_processor_id());
	if (!READ_ONCE(sd->in_net_rx_action))
		this_cpu_or(local_softirq_pending_ref, 1 << NET_RX_SOFTIRQ);
	return true;
}

void __wrap___napi_schedule(struct napi_struct *napi)
{
	if (!enlist(napi))
		__napi_schedule(napi);
}

void __wrap___napi_schedule_irqoff(struct napi_struct *napi)
{
	if (!enlist(napi))
		__napi_schedule_irqoff(napi);
}

bool free_later(struct sk_buff *skb, u32 reason)
{
	struct sk_buff *first;

	if (!skb)
		return true;
	if (!in_interrupt() || in_nmi() || !gm_outside(skb, sizeof(*skb)) ||
	    refcount_read(&skb->users) != 1)
		return false;
	smp_rmb();	/* what others did with it before they let go of it */
	refcount_set(&skb->users, 0);
	/* Where net_tx_action() finds it; struct dev_kfree_skb_cb has nothing else. */
	*(enum skb_drop_reason *)skb->cb = reason;
	first = this_cpu_read(softnet_data.completion_queue);
	do {
		skb->next = first;
	} while (!this_cpu_try_cmpxchg(softnet_data.completion_queue, &first, skb));
	this_cpu_or(local_softirq_pending_ref, 1 << NET_TX_SOFTIRQ);
	return true;
}

/* By how much a is ahead of b, of counters that wrap around. */
static unsigned int ahead(unsigned int a, unsigned int b)
{
	return (int)(a - b) > 0 ? a - b : 0;
}

/*
 * The kernel's own does no more than arithmetic, unless it is to look for stalls. This is
 * that arithmetic (lib/dynamic_queue_limits.c), so that what the driver looks at next is
 * what it would have found.
 */
void __wrap_dql_completed(struct dql *dql, unsigned int count)
{
	unsigned int queued, before, completed, limit, least, most, over;
	bool all_previous;

	if (!gm_outside(dql, sizeof(*dql)) || READ_ONCE(dql->stall_thrs)) {
		dql_completed(dql, count);
		return;
	}
	queued = READ_ONCE(dql->num_queued);
	before = READ_ONCE(dql->num_completed);
	if (count > queued - before) {		/* a BUG() */
		dql_completed(dql, count);
		return;
	}
	completed = before + count;
	limit = dql->limit;
	over = ahead(queued - before, limit);
	all_previous = (int)(completed - dql->prev_num_queued) >= 0;

	if ((over && completed == queued) || (dql->prev_ovlimit && all_previous)) {
		/* The device ran out of work: more of it, next time. */
		limit += ahead(completed, dql->prev_num_queued) + dql->prev_ovlimit;
		dql->slack_start_time = jiffies;
		dql->lowest_slack = UINT_MAX;
	} else if (completed != queued && dql->prev_num_queued != before && !all_previous) {
		/* It never did, so what was not needed of the limit for long goes. */
		unsigned int slack = ahead(limit + dql->prev_ovlimit, 2 * count);

		if (dql->prev_ovlimit)
			slack = max(slack, ahead(dql->prev_last_obj_cnt, dql->prev_ovlimit));
		dql->lowest_slack = min(dql->lowest_slack, slack);
		if (time_after(jiffies, dql->slack_start_time + dql->slack_hold_time)) {
			limit = ahead(limit, dql->lowest_slack);
			dql->slack_start_time = jiffies;
			dql->lowest_slack = UINT_MAX;
		}
	}
	/* As clamp() has it, of bounds that may be the wrong way round. */
	least = READ_ONCE(dql->min_limit);
	most = READ_ONCE(dql->max_limit);
	limit = limit >= most ? most : max(limit, least);
	if (limit != dql->limit) {
		dql->limit = limit;
		over = 0;
	}
	WRITE_ONCE(dql->adj_limit, limit + completed);
	dql->prev_ovlimit = over;
	dql->prev_last_obj_cnt = dql->last_obj_cnt;
	WRITE_ONCE(dql->num_completed, completed);
	dql->prev_num_queued = queued;
}
