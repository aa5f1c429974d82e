// SPDX-License-Identifier: GPL-2.0
/*
 * gm_order: a network driver to be guarded, whose card is a list of ways to receive. Its
 * poll hands on a packet in each of them, in their order; `order' says in which the kernel
 * had them. What it absorbs (guest/absorb) writes some down and does others at once, and
 * must leave that order as it is. A NAPI instance may also outlive a device that it was
 * added to: of that one nothing is left then but the memory.
 */
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/netdevice.h>

#include "guarded_module.h"

#define ORDER_MOST	48	/* packets of a poll: less than its budget */
#define ORDER_SIZE	64	/* bytes, of a packet */
#define ORDER_PROTOCOL	0x88b5	/* IEEE's, for experiments */

static bool outlive;
module_param(outlive, bool, 0400);
MODULE_PARM_DESC(outlive, "poll for a device that is unregistered before it begins [N]");

static struct net_device *order_dev, *order_gone;
static struct napi_struct GM_SHARED order_napi;
static char order_ways[ORDER_MOST + 1];

/* The guest's: packets as they came, each by its number. */
static u8 GM_SHARED order_came[2 * ORDER_MOST];
static unsigned int GM_SHARED order_nr;

static GM_GUEST int order_receive(struct sk_buff *skb, struct net_device *dev,
				  struct packet_type *type, struct net_device *orig)
{
	if (order_nr < ARRAY_SIZE(order_came) && !skb_copy_bits(skb, 0, &order_came[order_nr], 1))
		order_nr++;
	kfree_skb(skb);
	return NET_RX_SUCCESS;
}

static struct packet_type GM_SHARED order_type = {
	.type = cpu_to_be16(ORDER_PROTOCOL),
	.func = order_receive,
};

static void order_fill(u8 *packet, u8 number)
{
	struct ethhdr *header = (void *)packet;

	memset(packet, 0, ORDER_SIZE);
	eth_broadcast_addr(header->h_dest);
	header->h_proto = cpu_to_be16(ORDER_PROTOCOL);
	packet[ETH_HLEN] = number;
}

static struct sk_buff *order_packet(struct napi_struct *napi, u8 number)
{
	struct sk_buff *skb = napi_alloc_skb(napi, ORDER_SIZE);

	if (!skb)
		return NULL;
	order_fill(skb_put(skb, ORDER_SIZE), number);
	skb->protocol = eth_type_trans(skb, order_dev);
	return skb;
}

static void order_receive_frags(struct napi_struct *napi, u8 number)
{
	struct page *page = dev_alloc_page();
	struct sk_buff *skb = page ? napi_get_frags(napi) : NULL;

	if (!skb) {
		if (page)
			__free_page(page);
		return;
	}
	order_fill(page_address(page), number);
	skb_add_rx_frag(skb, 0, page, 0, ORDER_SIZE, PAGE_SIZE);
	napi_gro_frags(napi);
}

static void order_receive_by(struct napi_struct *napi, char way, u8 number)
{
	struct sk_buff *skb;
	LIST_HEAD(list);

	if (way == 'f') {
		order_receive_frags(napi, number);
		return;
	}
	skb = order_packet(napi, number);
	if (!skb)
		return;
	switch (way) {
	case 'g':
		napi_gro_receive(napi, skb);
		break;
	case 'r':
		netif_receive_skb(skb);
		break;
	case 'l':
		list_add_tail(&skb->list, &list);
		netif_receive_skb_list(&list);
		break;
	case 'x':
		netif_rx(skb);
		break;
	default:
		dev_kfree_skb_any(skb);
	}
}

static int order_poll(struct napi_struct *napi, int budget)
{
	int i;

	for (i = 0; i < ORDER_MOST && order_ways[i]; i++)
		order_receive_by(napi, order_ways[i], i + 1);
	napi_complete_done(napi, i);
	return i;
}

static int order_open(struct net_device *dev)
{
	napi_enable(&order_napi);
	return 0;
}

static int order_stop(struct net_device *dev)
{
	napi_disable(&order_napi);
	return 0;
}

static netdev_tx_t order_xmit(struct sk_buff *skb, struct net_device *dev)
{
	dev_kfree_skb_any(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops order_ops = {
	.ndo_open = order_open,
	.ndo_stop = order_stop,
	.ndo_start_xmit = order_xmit,
};

/* --- what is to be received, and what was ------------------------------------------------ */

static int order_set(const char *value, const struct kernel_param *kp)
{
	unsigned int i;

	for (i = 0; i < ORDER_MOST && value[i] && value[i] != '\n'; i++)
		order_ways[i] = value[i];
	order_ways[i] = 0;
	order_nr = 0;
	local_bh_disable();
	napi_schedule(&order_napi);
	local_bh_enable();
	return 0;
}

static GM_GUEST int order_get(char *buffer, const struct kernel_param *kp)
{
	int at = 0;
	unsigned int i;

	for (i = 0; i < order_nr; i++)
		at += sysfs_emit_at(buffer, at, "%u ", order_came[i]);
	return at + sysfs_emit_at(buffer, at, "\n");
}

static const struct kernel_param_ops order_param_ops = {
	.set = order_set,
	.get = order_get,
};
module_param_cb(order, &order_param_ops, NULL, 0600);
MODULE_PARM_DESC(order, "write: a letter for each packet, g (GRO), f (its frags), r (at once), "
		 "l (in a list), x (by the backlog); read: the packets' numbers, as they came");

/* --------------------------------------------------------------------------------------- */

static struct net_device *order_alloc(const struct net_device_ops *ops)
{
	struct net_device *dev = alloc_etherdev(0);

	if (!dev)
		return NULL;
	dev->netdev_ops = ops;
	strscpy(dev->name, "order%d", IFNAMSIZ);
	eth_hw_addr_random(dev);
	return dev;
}

static const struct net_device_ops order_gone_ops = {
	.ndo_start_xmit = order_xmit,
};

/* A device with the NAPI instance, which comes and goes. */
static int __init order_outlive(void)
{
	int ret;

	order_gone = order_alloc(&order_gone_ops);
	if (!order_gone)
		return -ENOMEM;
	netif_napi_add(order_gone, &order_napi, order_poll);
	ret = register_netdev(order_gone);
	if (ret)
		return ret;
	unregister_netdev(order_gone);
	return 0;
}

static void order_free(void)
{
	netif_napi_del(&order_napi);
	free_netdev(order_dev);
	if (order_gone)
		free_netdev(order_gone);
}

static int __init order_init(void)
{
	int ret = 0;

	order_dev = order_alloc(&order_ops);
	if (!order_dev)
		return -ENOMEM;
	if (outlive)
		ret = order_outlive();
	else
		netif_napi_add(order_dev, &order_napi, order_poll);
	ret = ret ?: register_netdev(order_dev);
	if (ret) {
		order_free();
		return ret;
	}
	dev_add_pack(&order_type);
	return 0;
}
module_init(order_init);

static void __exit order_exit(void)
{
	dev_remove_pack(&order_type);
	unregister_netdev(order_dev);
	order_free();
}
module_exit(order_exit);

MODULE_DESCRIPTION("A guarded network driver that receives in every way, for tests");
MODULE_LICENSE("GPL");
