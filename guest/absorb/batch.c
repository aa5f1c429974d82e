// SPDX-License-Identifier: GPL-2.0
/*
 * What a network driver does to packets while it polls, done for many in one crossing.
 *
 * The poll function that the kernel is given is gm_poll(), which calls the driver's. In
 * between, napi_gro_receive(), dev_kfree_skb_any_reason(), consume_skb() and
 * napi_consume_skb() are written down; one call to code of the guest's own
 * (GM_GUEST) makes them, in the order in which they were written down: when there is
 * no more room, with an allocation or napi_complete_done(), which is the same call out,
 * and at the end of the poll. Receive buffers are allocated by the dozen.
 *
 * A poll stays on its CPU and has it to itself, so the list is the CPU's, and empty
 * between polls. Interrupts, and whoever is called while the list is worked off (which
 * may transmit by the same driver), find that there is none, and call the kernel.
 *
 * Keeps I3 and I5: the list is in the guest's memory, for the guest to read, and it may
 * write what it likes there. Inside, entries are written only, below a bound that is
 * compared right before and through a pointer that gm_outside() has seen. What
 * comes back are pointers to packets, which the guest's kernel would have returned
 * as well. The driver's poll function is called by its gate.
 */
#include <linux/interrupt.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>

#include <guarded_module.h>

#include "gm_absorb.h"

#define MAX_CALLS	64	/* NAPI_POLL_WEIGHT */
#define MAX_SPARE	16
#define MAX_POLLS	64	/* any more are not batched */

enum what { GRO_RECEIVE, KFREE_ANY, CONSUME, NAPI_CONSUME };

struct call {
	struct sk_buff *skb;
	u32 what;		/* enum what */
	u32 arg;		/* the reason, the budget */
};

/* Of one CPU; the guest's. */
struct batch {
	struct napi_struct *napi;	/* that is being polled */
	unsigned int nr, nr_spare;
	struct call calls[MAX_CALLS];
	/* What __netdev_alloc_skb() would return for these. */
	struct net_device *dev;
	unsigned int len;
	gfp_t gfp;
	struct sk_buff *spare[MAX_SPARE];
};

static DEFINE_PER_CPU(struct batch, gm_batch);
static DEFINE_PER_CPU(struct batch *, gm_current);

static struct poll {
	struct napi_struct *napi;	/* NULL: free */
	struct net_device *dev;
	int (*poll)(struct napi_struct *napi, int budget);
} polls[MAX_POLLS];

void __wrap_netif_napi_add_weight(struct net_device *dev, struct napi_struct *napi,
				  int (*poll)(struct napi_struct *, int), int weight);
void __wrap___netif_napi_del(struct napi_struct *napi);
void __wrap_free_netdev(struct net_device *dev);
bool __wrap_napi_complete_done(struct napi_struct *napi, int done);
gro_result_t __wrap_napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb);
void __wrap_dev_kfree_skb_any_reason(struct sk_buff *skb, enum skb_drop_reason reason);
void __wrap_consume_skb(struct sk_buff *skb);
void __wrap_napi_consume_skb(struct sk_buff *skb, int budget);
struct sk_buff *__wrap___netdev_alloc_skb(struct net_device *dev, unsigned int len, gfp_t gfp);
struct sk_buff *__wrap_napi_alloc_skb(struct napi_struct *napi, unsigned int len);

/* ---- The guest's own code: no privilege, and whatever it does, the guest could do. ---- */

GM_GUEST static void guest_flush(struct batch *b)
{
	for (unsigned int i = 0; i < min_t(unsigned int, b->nr, MAX_CALLS); i++) {
		struct call *c = &b->calls[i];

		switch (c->what) {
		case GRO_RECEIVE:
			napi_gro_receive(b->napi, c->skb);
			break;
		case KFREE_ANY:
			dev_kfree_skb_any_reason(c->skb, c->arg);
			break;
		case CONSUME:
			consume_skb(c->skb);
			break;
		case NAPI_CONSUME:
			napi_consume_skb(c->skb, c->arg);
			break;
		}
	}
	b->nr = 0;
}

GM_GUEST static bool guest_complete(struct batch *b, struct napi_struct *napi, int done)
{
	guest_flush(b);
	return napi_complete_done(napi, done);
}

GM_GUEST static struct sk_buff *guest_napi_alloc(struct batch *b, struct napi_struct *napi, unsigned int len)
{
	guest_flush(b);
	return napi_alloc_skb(napi, len);
}

GM_GUEST static void guest_drop_spare(struct batch *b)
{
	for (int i = 0; i < MAX_SPARE; i++)
		kfree_skb(xchg(&b->spare[i], NULL));
}

/* The first is for the caller, the others are for later. */
GM_GUEST static struct sk_buff *guest_alloc(struct batch *b, struct net_device *dev, unsigned int len,
					    gfp_t gfp)
{
	struct sk_buff *skb;

	guest_flush(b);
	skb = __netdev_alloc_skb(dev, len, gfp);
	if (!skb)
		return NULL;
	guest_drop_spare(b);
	b->dev = dev;
	b->len = len;
	b->gfp = gfp;
	for (b->nr_spare = 0; b->nr_spare < MAX_SPARE; b->nr_spare++) {
		struct sk_buff *next = __netdev_alloc_skb(dev, len, gfp | __GFP_NOWARN);

		if (!next)
			break;
		b->spare[b->nr_spare] = next;
	}
	return skb;
}

GM_GUEST static void guest_forget(struct net_device *dev)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct batch *b = per_cpu_ptr(&gm_batch, cpu);

		if (READ_ONCE(b->dev) == dev)
			guest_drop_spare(b);
	}
}

/* ---- Inside ---- */

/* The list of the poll that this is called from, or NULL. */
static __always_inline struct batch *current_batch(void)
{
	struct batch *b = this_cpu_read(gm_current);

	return b && !in_hardirq() && !in_nmi() && gm_outside(b, sizeof(*b)) ? b : NULL;
}

static void flush(struct batch *b)
{
	if (!READ_ONCE(b->nr))
		return;
	this_cpu_write(gm_current, NULL);
	guest_flush(b);
	this_cpu_write(gm_current, b);
}

static __always_inline void put(struct batch *b, struct sk_buff *skb, enum what what, u32 arg)
{
	unsigned int nr = READ_ONCE(b->nr);

	if (nr >= MAX_CALLS) {
		flush(b);
		nr = 0;
	}
	OPTIMIZER_HIDE_VAR(nr);
	if (nr < MAX_CALLS) {
		b->calls[nr] = (struct call){ .skb = skb, .what = what, .arg = arg };
		WRITE_ONCE(b->nr, nr + 1);
	}
}

static struct poll *poll_of(const struct napi_struct *napi)
{
	unsigned int first = (unsigned long)napi / 64 % MAX_POLLS;

	for (unsigned int i = 0; i < MAX_POLLS; i++) {
		struct poll *p = &polls[(first + i) % MAX_POLLS];

		if (READ_ONCE(p->napi) == napi)
			return p;
	}
	return NULL;
}

static int gm_poll(struct napi_struct *napi, int budget)
{
	struct batch *outer = this_cpu_read(gm_current), *b = this_cpu_ptr(&gm_batch);
	const struct poll *p = poll_of(napi);
	int done;

	if (!p)
		return 0;
	/* netpoll polls with interrupts off, in the middle of anything, and takes no packets. */
	if (outer || budget <= 0 || irqs_disabled() || !gm_outside(b, sizeof(*b))) {
		this_cpu_write(gm_current, NULL);
		done = p->poll(napi, budget);
		this_cpu_write(gm_current, outer);
		return done;
	}
	b->napi = napi;
	this_cpu_write(gm_current, b);
	done = p->poll(napi, budget);
	flush(b);
	this_cpu_write(gm_current, NULL);
	return done;
}

void __wrap_netif_napi_add_weight(struct net_device *dev, struct napi_struct *napi,
				  int (*poll)(struct napi_struct *, int), int weight)
{
	unsigned int first = (unsigned long)napi / 64 % MAX_POLLS;

	for (unsigned int i = 0; i < MAX_POLLS; i++) {
		struct poll *p = &polls[(first + i) % MAX_POLLS];

		if (cmpxchg(&p->napi, NULL, napi))
			continue;
		p->dev = dev;
		p->poll = poll;
		poll = gm_poll;
		break;
	}
	netif_napi_add_weight(dev, napi, poll, weight);
}

void __wrap___netif_napi_del(struct napi_struct *napi)
{
	struct poll *p;

	__netif_napi_del(napi);
	p = poll_of(napi);
	if (p)
		WRITE_ONCE(p->napi, NULL);
}

/* Does the rest of netif_napi_del(), and nobody polls any more. */
void __wrap_free_netdev(struct net_device *dev)
{
	for (unsigned int i = 0; i < MAX_POLLS; i++)
		if (polls[i].napi && polls[i].dev == dev)
			WRITE_ONCE(polls[i].napi, NULL);
	guest_forget(dev);
	free_netdev(dev);
}

bool __wrap_napi_complete_done(struct napi_struct *napi, int done)
{
	struct batch *b = current_batch();
	bool ret;

	if (!b || b->napi != napi)
		return napi_complete_done(napi, done);
	this_cpu_write(gm_current, NULL);
	ret = guest_complete(b, napi, done);
	this_cpu_write(gm_current, b);
	return ret;
}

gro_result_t __wrap_napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb)
{
	struct batch *b = current_batch();

	if (!b || b->napi != napi)
		return napi_gro_receive(napi, skb);
	put(b, skb, GRO_RECEIVE, 0);
	return GRO_NORMAL;
}

void __wrap_dev_kfree_skb_any_reason(struct sk_buff *skb, enum skb_drop_reason reason)
{
	struct batch *b = irqs_disabled() ? NULL : current_batch();

	if (b)
		put(b, skb, KFREE_ANY, reason);
	else
		dev_kfree_skb_any_reason(skb, reason);
}

void __wrap_consume_skb(struct sk_buff *skb)
{
	struct batch *b = irqs_disabled() ? NULL : current_batch();

	if (b)
		put(b, skb, CONSUME, 0);
	else
		consume_skb(skb);
}

void __wrap_napi_consume_skb(struct sk_buff *skb, int budget)
{
	struct batch *b = irqs_disabled() ? NULL : current_batch();

	if (b && budget > 0)
		put(b, skb, NAPI_CONSUME, budget);
	else
		napi_consume_skb(skb, budget);
}

struct sk_buff *__wrap___netdev_alloc_skb(struct net_device *dev, unsigned int len, gfp_t gfp)
{
	struct batch *b = current_batch();
	struct sk_buff *skb;

	if (!b)
		return __netdev_alloc_skb(dev, len, gfp);
	while (b->dev == dev && b->len == len && b->gfp == gfp) {
		unsigned int nr = READ_ONCE(b->nr_spare);

		if (!nr || nr > MAX_SPARE)
			break;
		OPTIMIZER_HIDE_VAR(nr);
		WRITE_ONCE(b->nr_spare, nr - 1);
		/* Against guest_forget() on another CPU. */
		skb = xchg(&b->spare[(nr - 1) % MAX_SPARE], NULL);
		if (skb)
			return skb;
	}
	this_cpu_write(gm_current, NULL);
	skb = guest_alloc(b, dev, len, gfp);
	this_cpu_write(gm_current, b);
	return skb;
}

struct sk_buff *__wrap_napi_alloc_skb(struct napi_struct *napi, unsigned int len)
{
	struct batch *b = current_batch();
	struct sk_buff *skb;

	if (!b || b->napi != napi)
		return napi_alloc_skb(napi, len);
	this_cpu_write(gm_current, NULL);
	skb = guest_napi_alloc(b, napi, len);
	this_cpu_write(gm_current, b);
	return skb;
}
