// SPDX-License-Identifier: GPL-2.0
/*
 * What network drivers call for each packet and needs no crossing: the common case of
 * some functions of the kernel's, which is arithmetic on structures of the guest's.
 * Each does what the kernel's does, but for the tracepoints in it, and leaves to that
 * whatever is rare, slow, wrong, or would end in BUG() or WARN().
 *
 * Keeps I3 and I5: writes go by gm_outside() only, see gm_absorb.h. The rest of what
 * is computed here is the guest's to begin with: where a packet is in its memory, where
 * a device of the guest's reaches that memory, and of which protocol it is.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/etherdevice.h>
#include <linux/iommu-dma.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/swiotlb.h>
#include <linux/vmalloc.h>
#include <net/dsa.h>

#include "gm_absorb.h"

void *__wrap_skb_put(struct sk_buff *skb, unsigned int len);
void __wrap_skb_trim(struct sk_buff *skb, unsigned int len);
__be16 __wrap_eth_type_trans(struct sk_buff *skb, struct net_device *dev);
void __wrap_skb_clone_tx_timestamp(struct sk_buff *skb);
bool __wrap_is_vmalloc_addr(const void *p);
bool __wrap_napi_schedule_prep(struct napi_struct *napi);
dma_addr_t __wrap_dma_map_page_attrs(struct device *dev, struct page *page, size_t offset, size_t size,
				     enum dma_data_direction dir, unsigned long attrs);
void __wrap_dma_unmap_page_attrs(struct device *dev, dma_addr_t addr, size_t size,
				 enum dma_data_direction dir, unsigned long attrs);

void *__wrap_skb_put(struct sk_buff *skb, unsigned int len)
{
	unsigned char *tail;

	if (!gm_outside(skb, sizeof(*skb)) || skb_is_nonlinear(skb) || len > skb->end - skb->tail)
		return skb_put(skb, len);
	tail = skb_tail_pointer(skb);
	skb->tail += len;
	skb->len += len;
	return tail;
}

void __wrap_skb_trim(struct sk_buff *skb, unsigned int len)
{
	if (skb->len <= len)
		return;
	if (!gm_outside(skb, sizeof(*skb)) || skb_is_nonlinear(skb)) {
		skb_trim(skb, len);
		return;
	}
	skb->len = len;
	skb_set_tail_pointer(skb, len);
}

__be16 __wrap_eth_type_trans(struct sk_buff *skb, struct net_device *dev)
{
	const struct ethhdr *eth = (const struct ethhdr *)skb->data;
	__be16 protocol;

	if (!gm_outside(skb, sizeof(*skb)) || !gm_outside(eth, 2 * sizeof(*eth)) ||
	    !gm_outside(dev, sizeof(*dev)) || skb_headlen(skb) < ETH_HLEN || netdev_uses_dsa(dev))
		return eth_type_trans(skb, dev);
	protocol = READ_ONCE(eth->h_proto);
	if (!eth_proto_is_802_3(protocol))
		return eth_type_trans(skb, dev);
	skb->dev = dev;
	skb_reset_mac_header(skb);
	__skb_pull(skb, ETH_HLEN);
	eth_skb_pkt_type(skb, dev);
	return protocol;
}

/* Only a PHY that says so takes times of packets. */
void __wrap_skb_clone_tx_timestamp(struct sk_buff *skb)
{
	struct net_device *dev = skb->dev;

	if (skb->sk && dev && dev->phydev)
		skb_clone_tx_timestamp(skb);
}

bool __wrap_is_vmalloc_addr(const void *p)
{
	unsigned long addr = (unsigned long)p;

	return addr >= VMALLOC_START && addr < VMALLOC_END;
}

bool __wrap_napi_schedule_prep(struct napi_struct *napi)
{
	unsigned long new, val;

	if (!gm_outside(napi, sizeof(*napi)))
		return napi_schedule_prep(napi);
	val = READ_ONCE(napi->state);
	do {
		if (val & NAPIF_STATE_DISABLE)
			return false;
		new = val | NAPIF_STATE_SCHED;
		if (val & NAPIF_STATE_SCHED)
			new |= NAPIF_STATE_MISSED;
	} while (!try_cmpxchg(&napi->state, &val, new));
	return !(val & NAPIF_STATE_SCHED);
}

/* As dma_map_direct() has it, and without the translations that no PC has. */
static __always_inline bool maps_directly(struct device *dev)
{
	return !get_dma_ops(dev) && !use_dma_iommu(dev) && !dev->dma_range_map;
}

dma_addr_t __wrap_dma_map_page_attrs(struct device *dev, struct page *page, size_t offset, size_t size,
				     enum dma_data_direction dir, unsigned long attrs)
{
	dma_addr_t addr;

	if (maps_directly(dev) && dev->dma_mask && valid_dma_direction(dir) && !is_swiotlb_force_bounce(dev)) {
		addr = phys_to_dma(dev, page_to_phys(page) + offset);
		if (dma_capable(dev, addr, size, true) && !dma_kmalloc_needs_bounce(dev, size, dir))
			return addr;
	}
	return dma_map_page_attrs(dev, page, offset, size, dir, attrs);
}

void __wrap_dma_unmap_page_attrs(struct device *dev, dma_addr_t addr, size_t size,
				 enum dma_data_direction dir, unsigned long attrs)
{
	if (!maps_directly(dev) || !valid_dma_direction(dir) || swiotlb_find_pool(dev, dma_to_phys(dev, addr)))
		dma_unmap_page_attrs(dev, addr, size, dir, attrs);
}

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Network drivers' calls without a crossing, for gmcc guard --absorb");
