// SPDX-License-Identifier: GPL-2.0
/*
 * What a network driver does to packets while it polls, done for many in one crossing.
 *
 * The poll function that the kernel is given is gm_poll(), which calls the driver's. In
 * between, napi_gro_receive(), dev_kfree_skb_any_reason(), consume_skb() and
 * napi_consume_skb() are written down; one call to code of the guest's own
 * (GM_GUEST) makes them, in the order in which they were written down: when there is
 * no more room, with an allocation or napi_complete_done(), which is the same call out,
 * and at the end of the poll. Receive buffers are allocated by the dozen. A poll that has
 * received nothing ends without a call: what it frees waits for the CPU's next softirq, as
 * it does after an interrupt.
 *
 * A poll stays on its CPU and has it to itself, so the list is the CPU's, and empty
 * between polls. Whoever is called while the list is worked off (which may transmit by
 * the same driver) finds that there is none, and calls the kernel.
 *
 * Keeps I3 and I5: the list is in the guest's memory, for the guest to read, and it may
 * write what it likes there. Inside, entries are written only, below a bound that is
 * compared right before and through a pointer that gm_outside() has seen. What
 * comes back are pointers to packets, which the guest's kernel would have returned
 * as well. The driver's functions are called by their gates.
 */
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>

#include <guarded_module.h>

#include "gm_absorb.h"
#include "queue.h"

#define MAX_CALLS	64	/* NAPI_POLL_WEIGHT */
#define MAX_SPARE	16
#define MAX_HOOKS	64	/* polls; any more are not batched */
#define SMALL		256	/* up to this packets' heads are of one size */

enum what { GRO_RECEIVE, KFREE_ANY, CONSUME, NAPI_CONSUME };

struct call {
	struct sk_buff *skb;
	u32 what;		/* enum what */
	u32 arg;		/* the reason, the budget */
};

/* All of these are the guest's. */
struct batch {
	struct napi_struct *napi;	/* that is being polled */
	unsigned int nr;
	struct call calls[MAX_CALLS];
};

/* What __netdev_alloc_skb(), or napi_alloc_skb(), would return for these. */
struct spares {
	struct net_device *dev;
	unsigned int len;
	gfp_t gfp;
	unsigned int nr;
	struct sk_buff *skb[MAX_SPARE];
};

static DEFINE_PER_CPU(struct batch, gm_batch);
static DEFINE_PER_CPU(struct spares, gm_large);
static DEFINE_PER_CPU(struct spares, gm_small);
/* NULL: nothing is written down. */
static DEFINE_PER_CPU(struct batch *, gm_current);

typedef int poll_t(struct napi_struct *napi, int budget);

/* The driver's function of a NAPI instance. */
static struct hook {
	const struct napi_struct *of;	/* NULL: free; BUSY: being filled in */
	const struct net_device *dev;
	poll_t *poll;
} hooks[MAX_HOOKS];

#define BUSY	((const struct napi_struct *)1)

void __wrap_netif_napi_add_weight(struct net_device *dev, struct napi_struct *napi,
				  int (*poll)(struct napi_struct *, int), int weight);
void __wrap___netif_napi_del(struct napi_struct *napi);
void __wrap_unregister_netdev(struct net_device *dev);
void __wrap_free_netdev(struct net_device *dev);
bool __wrap_napi_complete_done(struct napi_struct *napi, int done);
gro_result_t __wrap_napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb);
gro_result_t __wrap_napi_gro_frags(struct napi_struct *napi);
int __wrap_netif_receive_skb(struct sk_buff *skb);
void __wrap_netif_receive_skb_list(struct list_head *head);
int __wrap_netif_rx(struct sk_buff *skb);
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

GM_GUEST static void guest_drop(struct spares *s)
{
	for (int i = 0; i < MAX_SPARE; i++)
		consume_skb(xchg(&s->skb[i], NULL));
}

GM_GUEST static struct sk_buff *guest_alloc_one(struct napi_struct *napi, struct net_device *dev,
						unsigned int len, gfp_t gfp)
{
	return napi ? napi_alloc_skb(napi, len) : __netdev_alloc_skb(dev, len, gfp);
}

/* The first is for the caller, the others are for later. With @napi, by napi_alloc_skb(). */
GM_GUEST static struct sk_buff *guest_alloc(struct batch *b, struct spares *s, struct napi_struct *napi,
					    struct net_device *dev, unsigned int len, gfp_t gfp)
{
	struct sk_buff *skb;

	guest_flush(b);
	skb = guest_alloc_one(napi, dev, len, gfp);
	if (!skb || !s)
		return skb;
	guest_drop(s);
	s->dev = dev;
	s->len = len;
	s->gfp = gfp;
	for (s->nr = 0; s->nr < MAX_SPARE; s->nr++) {
		struct sk_buff *next = guest_alloc_one(napi, dev, len, gfp | __GFP_NOWARN);

		if (!next)
			break;
		s->skb[s->nr] = next;
	}
	return skb;
}

GM_GUEST static void guest_forget(const struct net_device *dev)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		if (READ_ONCE(per_cpu_ptr(&gm_large, cpu)->dev) == dev)
			guest_drop(per_cpu_ptr(&gm_large, cpu));
		if (READ_ONCE(per_cpu_ptr(&gm_small, cpu)->dev) == dev)
			guest_drop(per_cpu_ptr(&gm_small, cpu));
	}
}

/* ---- Inside ---- */

/* The list of the poll that this is called from, or NULL. */
static __always_inline struct batch *current_batch(void)
{
	struct batch *b = this_cpu_read(gm_current);

	return b && !in_hardirq() && !in_nmi() && gm_outside(b, sizeof(*b)) ? b : NULL;
}

/* The same for calls that may take a lock, or be made with one. */
static __always_inline struct batch *calm_batch(void)
{
	return irqs_disabled() ? NULL : current_batch();
}

static void work_off(struct batch *b)
{
	if (READ_ONCE(b->nr))
		guest_flush(b);
}

static void flush(struct batch *b)
{
	this_cpu_write(gm_current, NULL);
	work_off(b);
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

/* Starts at a place that depends on the address, and finds the first of two. */
static struct hook *find_hook(const struct napi_struct *napi, const struct napi_struct *of)
{
	for (unsigned int i = 0; i < MAX_HOOKS; i++) {
		struct hook *h = &hooks[((unsigned long)napi / 64 + i) % MAX_HOOKS];

		if (smp_load_acquire(&h->of) == of)	/* with what it was filled in with */
			return h;
	}
	return NULL;
}

static poll_t *hook_poll(const struct napi_struct *napi)
{
	const struct hook *h = find_hook(napi, napi);

	return h ? h->poll : NULL;
}

static void hook_remove(const struct napi_struct *napi)
{
	struct hook *h = find_hook(napi, napi);

	if (h)
		WRITE_ONCE(h->of, NULL);
}

/*
 * False: there is no room. What the kernel has freed by itself may have left an entry that
 * is of the same address, and would be found first: that one is filled in anew.
 */
static bool hook_add(struct net_device *dev, const struct napi_struct *napi, poll_t *poll)
{
	const struct napi_struct *was = napi;
	struct hook *h = find_hook(napi, was);

	if (!h) {
		was = NULL;
		h = find_hook(napi, was);
	}
	/* Rarely does another come first: then this one is not batched. */
	if (!h || cmpxchg(&h->of, was, BUSY) != was)
		return false;
	h->dev = dev;
	h->poll = poll;
	smp_store_release(&h->of, napi);	/* whoever finds it finds the rest */
	return true;
}

static void hook_remove_all(const struct net_device *dev)
{
	for (unsigned int i = 0; i < MAX_HOOKS; i++) {
		const struct napi_struct *of = READ_ONCE(hooks[i].of);

		if (of && of != BUSY && hooks[i].dev == dev)
			WRITE_ONCE(hooks[i].of, NULL);
	}
}

static int gm_poll(struct napi_struct *napi, int budget)
{
	struct batch *outer = this_cpu_read(gm_current), *b = this_cpu_ptr(&gm_batch);
	poll_t *poll = hook_poll(napi);
	int done;

	/* As if it had had nothing to do: else nobody could disable it any more. */
	if (!poll) {
		napi_complete_done(napi, 0);
		return 0;
	}
	OPTIMIZER_HIDE_VAR(b);	/* read once: what is checked is what is used */
	/* netpoll polls with interrupts off, in the middle of anything, and takes no packets. */
	if (outer || budget <= 0 || irqs_disabled() || !gm_outside(b, sizeof(*b))) {
		this_cpu_write(gm_current, NULL);
		done = poll(napi, budget);
		this_cpu_write(gm_current, outer);
		return done;
	}
	b->napi = napi;
	this_cpu_write(gm_current, b);
	done = poll(napi, budget);
	this_cpu_write(gm_current, NULL);
	work_off(b);
	return done;
}

void __wrap_netif_napi_add_weight(struct net_device *dev, struct napi_struct *napi,
				  int (*poll)(struct napi_struct *, int), int weight)
{
	netif_napi_add_weight(dev, napi, hook_add(dev, napi, poll) ? gm_poll : poll, weight);
}

void __wrap___netif_napi_del(struct napi_struct *napi)
{
	__netif_napi_del(napi);
	hook_remove(napi);
}

/*
 * The last that is seen of a device which the kernel frees. Of another one NAPI
 * instances may live on, for devices that share them.
 */
void __wrap_unregister_netdev(struct net_device *dev)
{
	bool last = gm_outside(dev, sizeof(*dev)) && READ_ONCE(dev->needs_free_netdev);

	unregister_netdev(dev);
	if (last)
		hook_remove_all(dev);
	guest_forget(dev);
}

/* Does the rest of netif_napi_del(), and nobody polls any more. */
void __wrap_free_netdev(struct net_device *dev)
{
	hook_remove_all(dev);
	guest_forget(dev);
	free_netdev(dev);
}

/* Has the poll received nothing? Then what it frees is freed later. */
static bool frees_later(struct batch *b)
{
	unsigned int nr = min_t(unsigned int, READ_ONCE(b->nr), MAX_CALLS);

	for (unsigned int i = 0; i < nr; i++)
		if (READ_ONCE(b->calls[i].what) == GRO_RECEIVE)
			return false;
	for (unsigned int i = 0; i < nr; i++) {
		struct sk_buff *skb = READ_ONCE(b->calls[i].skb);
		u32 reason = b->calls[i].what == KFREE_ANY ? b->calls[i].arg : SKB_CONSUMED;

		if (!free_later(skb, reason))
			dev_kfree_skb_any_reason(skb, reason);
	}
	WRITE_ONCE(b->nr, 0);
	return true;
}

/* As napi_complete_done(), of an instance with nothing to be done; false: it has. */
static bool ends(struct napi_struct *napi)
{
	struct net_device *dev = READ_ONCE(napi->dev);
	unsigned long new, val;

	if (!gm_outside(dev, sizeof(*dev)) || napi->gro_bitmask || napi->rx_count ||
	    napi->defer_hard_irqs_count || READ_ONCE(dev->napi_defer_hard_irqs) ||
	    READ_ONCE(napi->poll_list.next) != &napi->poll_list)
		return false;
	WRITE_ONCE(napi->list_owner, -1);
	val = READ_ONCE(napi->state);
	do {
		/* Polled by others, to be polled once more, or a WARN(). */
		if (val & (NAPIF_STATE_NPSVC | NAPIF_STATE_IN_BUSY_POLL | NAPIF_STATE_MISSED) ||
		    !(val & NAPIF_STATE_SCHED))
			return false;
		new = val & ~(NAPIF_STATE_SCHED | NAPIF_STATE_SCHED_THREADED |
			      NAPIF_STATE_PREFER_BUSY_POLL);
	} while (!try_cmpxchg(&napi->state, &val, new));
	return true;
}

bool __wrap_napi_complete_done(struct napi_struct *napi, int done)
{
	struct batch *b = current_batch();
	bool ret;

	if (!b || b->napi != napi)
		return napi_complete_done(napi, done);
	this_cpu_write(gm_current, NULL);
	ret = gm_outside(napi, sizeof(*napi)) && frees_later(b) && ends(napi);
	if (!ret)
		ret = guest_complete(b, napi, done);
	this_cpu_write(gm_current, b);
	return ret;
}

gro_result_t __wrap_napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb)
{
	struct batch *b = calm_batch();

	if (!b || b->napi != napi)
		return napi_gro_receive(napi, skb);
	put(b, skb, GRO_RECEIVE, 0);
	return GRO_NORMAL;
}

/* What is received in another way comes after what was received before. */
static void catch_up(void)
{
	struct batch *b = calm_batch();

	if (b)
		flush(b);
}

gro_result_t __wrap_napi_gro_frags(struct napi_struct *napi)
{
	catch_up();
	return napi_gro_frags(napi);
}

int __wrap_netif_receive_skb(struct sk_buff *skb)
{
	catch_up();
	return netif_receive_skb(skb);
}

void __wrap_netif_receive_skb_list(struct list_head *head)
{
	catch_up();
	netif_receive_skb_list(head);
}

int __wrap_netif_rx(struct sk_buff *skb)
{
	catch_up();
	return netif_rx(skb);
}

void __wrap_dev_kfree_skb_any_reason(struct sk_buff *skb, enum skb_drop_reason reason)
{
	struct batch *b;

	if (irqs_disabled()) {
		if (!in_hardirq() || !free_later(skb, reason))
			dev_kfree_skb_any_reason(skb, reason);
		return;
	}
	b = current_batch();
	if (b)
		put(b, skb, KFREE_ANY, reason);
	else
		dev_kfree_skb_any_reason(skb, reason);
}

void __wrap_consume_skb(struct sk_buff *skb)
{
	struct batch *b = calm_batch();

	if (b)
		put(b, skb, CONSUME, 0);
	else
		consume_skb(skb);
}

void __wrap_napi_consume_skb(struct sk_buff *skb, int budget)
{
	struct batch *b = calm_batch();

	if (b && budget > 0)
		put(b, skb, NAPI_CONSUME, budget);
	else
		napi_consume_skb(skb, budget);
}

/* One that is left, if it is what would be allocated. */
static struct sk_buff *take(struct spares *s, const struct net_device *dev, unsigned int len, gfp_t gfp)
{
	while (s->dev == dev && s->len == len && s->gfp == gfp) {
		unsigned int nr = READ_ONCE(s->nr);
		struct sk_buff *skb;

		OPTIMIZER_HIDE_VAR(nr);
		if (!nr || nr > MAX_SPARE)
			break;
		WRITE_ONCE(s->nr, nr - 1);
		/* Against guest_forget() on another CPU. */
		skb = xchg(&s->skb[nr - 1], NULL);
		if (skb)
			return skb;
	}
	return NULL;
}

static struct sk_buff *alloc(struct batch *b, struct spares *s, struct napi_struct *napi,
			     struct net_device *dev, unsigned int len, gfp_t gfp)
{
	struct sk_buff *skb = NULL;

	OPTIMIZER_HIDE_VAR(s);
	if (s && !gm_outside(s, sizeof(*s)))
		s = NULL;
	if (s)
		skb = take(s, dev, len, gfp);
	if (skb)
		return skb;
	this_cpu_write(gm_current, NULL);
	skb = guest_alloc(b, s, napi, dev, len, gfp);
	this_cpu_write(gm_current, b);
	return skb;
}

struct sk_buff *__wrap___netdev_alloc_skb(struct net_device *dev, unsigned int len, gfp_t gfp)
{
	struct batch *b = calm_batch();

	if (!b)
		return __netdev_alloc_skb(dev, len, gfp);
	return alloc(b, this_cpu_ptr(&gm_large), NULL, dev, len, gfp);
}

/* All small ones are alike: their heads are of one size. */
struct sk_buff *__wrap_napi_alloc_skb(struct napi_struct *napi, unsigned int len)
{
	struct batch *b = calm_batch();

	if (!b || b->napi != napi || !gm_outside(napi, sizeof(*napi)))
		return napi_alloc_skb(napi, len);
	if (len > SMALL)
		return alloc(b, NULL, napi, napi->dev, len, 0);
	return alloc(b, this_cpu_ptr(&gm_small), napi, napi->dev, SMALL, 0);
}
