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
#include <linux/unaligned.h>
#include <linux/vmalloc.h>

#include <guarded_module.h>

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
void *__wrap_memcpy(void *to, const void *from, size_t size);

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
	if (!gm_outside(skb, sizeof(*skb)) || skb_is_nonlinear(skb)) {
		skb_trim(skb, len);
		return;
	}
	if (skb->len <= len)
		return;
	skb->len = len;
	skb_set_tail_pointer(skb, len);
}

static __always_inline bool may_use_dsa(const struct net_device *dev)
{
#if IS_ENABLED(CONFIG_NET_DSA)
	return READ_ONCE(dev->dsa_ptr);
#else
	return false;
#endif
}

/* Addresses are read as 64 bits, as ether_addr_equal_64bits() does. */
static u8 type_of(const struct ethhdr *eth, const struct net_device *dev, const u8 *address)
{
	if (ether_addr_equal_64bits(eth->h_dest, address))
		return PACKET_HOST;
	if (!is_multicast_ether_addr_64bits(eth->h_dest))
		return PACKET_OTHERHOST;
	return ether_addr_equal_64bits(eth->h_dest, dev->broadcast) ? PACKET_BROADCAST : PACKET_MULTICAST;
}

__be16 __wrap_eth_type_trans(struct sk_buff *skb, struct net_device *dev)
{
	const struct ethhdr *eth;
	const u8 *address;
	__be16 protocol;
	u8 type;

	if (!gm_outside(skb, sizeof(*skb)) || !gm_outside(dev, sizeof(*dev)) ||
	    skb_headlen(skb) < ETH_HLEN || may_use_dsa(dev))
		return eth_type_trans(skb, dev);
	eth = (const struct ethhdr *)READ_ONCE(skb->data);
	address = READ_ONCE(dev->dev_addr);
	if (!gm_outside(eth, sizeof(*eth)) || !gm_outside(address, sizeof(u64)))
		return eth_type_trans(skb, dev);
	protocol = READ_ONCE(eth->h_proto);
	if (!eth_proto_is_802_3(protocol))
		return eth_type_trans(skb, dev);
	skb->dev = dev;
	skb_reset_mac_header(skb);
	skb->len -= ETH_HLEN;
	skb->data += ETH_HLEN;
	type = type_of(eth, dev, address);
	if (type != PACKET_HOST)
		skb->pkt_type = type;
	return protocol;
}

/* Only a PHY that says so takes times of packets. */
void __wrap_skb_clone_tx_timestamp(struct sk_buff *skb)
{
	struct net_device *dev;

	if (!gm_outside(skb, sizeof(*skb)))
		goto kernel;
	dev = READ_ONCE(skb->dev);
	if (!skb->sk || !dev || (gm_outside(dev, sizeof(*dev)) && !dev->phydev))
		return;
kernel:
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

/*
 * Of the bounce buffers there are, the first that is met. struct io_tlb_mem is in the
 * kernel's image, where gm_outside() sees no difference, so the guest reads it, once.
 * Private, so that it stays what was read.
 */
static struct {
	const struct io_tlb_mem *of;	/* NULL: none yet; BUSY: being looked at */
	bool forced;
	phys_addr_t start, end;
} bounce GM_PRIVATE;

#define BUSY	((const struct io_tlb_mem *)1)

GM_GUEST static bool guest_bounces(const struct io_tlb_mem *mem)
{
	return mem->force_bounce;
}

GM_GUEST static phys_addr_t guest_start(const struct io_tlb_mem *mem)
{
	return mem->defpool.start;
}

GM_GUEST static phys_addr_t guest_end(const struct io_tlb_mem *mem)
{
	return mem->defpool.end;
}

static void look(const struct io_tlb_mem *mem)
{
	if (cmpxchg(&bounce.of, NULL, BUSY))
		return;
	bounce.forced = guest_bounces(mem);
	bounce.start = guest_start(mem);
	bounce.end = guest_end(mem);
	smp_store_release(&bounce.of, mem);	/* whoever sees it sees the rest */
}

/* Is it known whether the device's memory is bounced? */
static __always_inline bool is_known(const struct io_tlb_mem *mem)
{
	if (!mem)
		return true;
	if (!READ_ONCE(bounce.of))
		look(mem);
	return smp_load_acquire(&bounce.of) == mem;	/* with the rest */
}

static __always_inline bool is_bounced(struct device *dev, phys_addr_t phys)
{
#ifdef CONFIG_SWIOTLB_DYNAMIC
	return READ_ONCE(dev->dma_uses_io_tlb);
#else
	return READ_ONCE(dev->dma_io_tlb_mem) && phys >= bounce.start && phys < bounce.end;
#endif
}

/* As dma_map_direct() has it, and without the translations that no PC has. */
static __always_inline bool maps_directly(struct device *dev)
{
	return gm_outside(dev, sizeof(*dev)) && !get_dma_ops(dev) && !use_dma_iommu(dev) &&
	       !dev->dma_range_map && is_known(READ_ONCE(dev->dma_io_tlb_mem));
}

/* dma_capable(), of memory. */
static __always_inline bool reaches(struct device *dev, dma_addr_t addr, size_t size)
{
	const u64 *mask = READ_ONCE(dev->dma_mask);

	return mask && gm_outside(mask, sizeof(*mask)) && addr != DMA_MAPPING_ERROR &&
	       addr + size - 1 <= min_not_zero(*mask, dev->bus_dma_limit);
}

dma_addr_t __wrap_dma_map_page_attrs(struct device *dev, struct page *page, size_t offset, size_t size,
				     enum dma_data_direction dir, unsigned long attrs)
{
	if (maps_directly(dev) && valid_dma_direction(dir) &&
	    !(READ_ONCE(dev->dma_io_tlb_mem) && bounce.forced)) {
		dma_addr_t addr = __sme_set(page_to_phys(page) + offset);

		if (reaches(dev, addr, size) && !dma_kmalloc_needs_bounce(dev, size, dir))
			return addr;
	}
	return dma_map_page_attrs(dev, page, offset, size, dir, attrs);
}

void __wrap_dma_unmap_page_attrs(struct device *dev, dma_addr_t addr, size_t size,
				 enum dma_data_direction dir, unsigned long attrs)
{
	if (!maps_directly(dev) || !valid_dma_direction(dir) ||
	    is_bounced(dev, __sme_clr(addr)))
		dma_unmap_page_attrs(dev, addr, size, dir, attrs);
}

/*
 * What a driver copies of packets. By a string instruction: one for each eight bytes, and
 * nothing for gcc to take for a memcpy(). In the kernel's half, which is all there is
 * inside; where nothing is mapped there the guest's handler gets the fault, as it gets
 * those of the driver's own accesses.
 */
static __always_inline bool may_copy(const void *p, size_t size)
{
	return (long)p < 0 && gm_outside(p, size);
}

void *__wrap_memcpy(void *to, const void *from, size_t size)
{
	size_t words = size / sizeof(u64);
	void *end = to;
	u64 last;

	if (size < sizeof(u64) || !may_copy(to, size) || !may_copy(from, size))
		return memcpy(to, from, size);
	/* What is left of words, with the bytes before it. */
	last = get_unaligned((const u64 *)(from + size - sizeof(last)));
	asm volatile("rep movsq" : "+D" (end), "+S" (from), "+c" (words) : : "memory");
	put_unaligned(last, (u64 *)(to + size - sizeof(last)));
	return to;
}

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Network drivers' calls without a crossing, for gmcc guard --absorb");
