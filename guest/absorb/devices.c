// SPDX-License-Identifier: GPL-2.0
/*
 * The registers of a device that has been granted are in the module's own pages, and
 * nowhere else. So what maps registers returns their place there, and functions that
 * reach them for a driver do so inside; whatever is not there is the kernel's, as ever.
 *
 * Keeps I3 and I5: only DEVICES pages are written here, within their bounds, and memory
 * that gm_outside() has seen; other memory by the guest's own code, outside.
 */
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>

#include <guarded_module.h>

#include "gm_absorb.h"

/* One for what is where; 256 KiB are two devices with a BAR of 128 (e1000e, igb). */
#define PAGES	65

GM_DEVICES(gm_devices, 65);
static_assert(PAGES == 65);

void __iomem *__wrap_ioremap(resource_size_t phys, unsigned long size);
void __iomem *__wrap_ioremap_uc(resource_size_t phys, unsigned long size);
void __iomem *__wrap_ioremap_wc(resource_size_t phys, unsigned long size);
void __wrap_iounmap(volatile void __iomem *addr);
void __iomem *__wrap_devm_ioremap(struct device *dev, resource_size_t phys, resource_size_t size);
void __wrap_devm_iounmap(struct device *dev, void __iomem *addr);
void __iomem *__wrap_pci_ioremap_bar(struct pci_dev *pdev, int bar);
void __iomem *__wrap_pci_iomap(struct pci_dev *pdev, int bar, unsigned long max);
void __iomem *__wrap_pcim_iomap(struct pci_dev *pdev, int bar, unsigned long max);
void __wrap_pci_iounmap(struct pci_dev *pdev, void __iomem *addr);
void __wrap_pcim_iounmap(struct pci_dev *pdev, void __iomem *addr);
unsigned int __wrap_ioread8(const void __iomem *addr);
unsigned int __wrap_ioread16(const void __iomem *addr);
unsigned int __wrap_ioread32(const void __iomem *addr);
void __wrap_iowrite8(u8 value, void __iomem *addr);
void __wrap_iowrite16(u16 value, void __iomem *addr);
void __wrap_iowrite32(u32 value, void __iomem *addr);
void __wrap_memcpy_fromio(void *to, const volatile void __iomem *from, size_t size);
void __wrap_memcpy_toio(volatile void __iomem *to, const void *from, size_t size);
void __wrap_memset_io(volatile void __iomem *to, int byte, size_t size);

static void __iomem *find(u64 phys, u64 size)
{
	return (void __iomem *)gm_devices_find(&gm_devices, phys, size);
}

static bool is_ours(const volatile void __iomem *addr, size_t size)
{
	unsigned long off = (unsigned long)addr - (unsigned long)&gm_devices - PAGE_SIZE;

	return off < (PAGES - 1) * PAGE_SIZE && size <= (PAGES - 1) * PAGE_SIZE - off;
}

void __iomem *__wrap_ioremap(resource_size_t phys, unsigned long size)
{
	return find(phys, size) ?: ioremap(phys, size);
}

void __iomem *__wrap_ioremap_uc(resource_size_t phys, unsigned long size)
{
	return find(phys, size) ?: ioremap_uc(phys, size);
}

/* Not combined: slower, not different. */
void __iomem *__wrap_ioremap_wc(resource_size_t phys, unsigned long size)
{
	return find(phys, size) ?: ioremap_wc(phys, size);
}

void __wrap_iounmap(volatile void __iomem *addr)
{
	if (!is_ours(addr, 1))
		iounmap(addr);
}

void __iomem *__wrap_devm_ioremap(struct device *dev, resource_size_t phys, resource_size_t size)
{
	return find(phys, size) ?: devm_ioremap(dev, phys, size);
}

void __wrap_devm_iounmap(struct device *dev, void __iomem *addr)
{
	if (!is_ours(addr, 1))
		devm_iounmap(dev, addr);
}

static void __iomem *find_bar(struct pci_dev *pdev, int bar, unsigned long max)
{
	resource_size_t size;

	if (!gm_outside(pdev, sizeof(*pdev)) || bar < 0 || bar >= PCI_STD_NUM_BARS ||
	    !(pci_resource_flags(pdev, bar) & IORESOURCE_MEM))
		return NULL;
	size = pci_resource_len(pdev, bar);
	if (max && size > max)
		size = max;
	return find(pci_resource_start(pdev, bar), size);
}

void __iomem *__wrap_pci_ioremap_bar(struct pci_dev *pdev, int bar)
{
	return find_bar(pdev, bar, 0) ?: pci_ioremap_bar(pdev, bar);
}

void __iomem *__wrap_pci_iomap(struct pci_dev *pdev, int bar, unsigned long max)
{
	return find_bar(pdev, bar, max) ?: pci_iomap(pdev, bar, max);
}

void __iomem *__wrap_pcim_iomap(struct pci_dev *pdev, int bar, unsigned long max)
{
	return find_bar(pdev, bar, max) ?: pcim_iomap(pdev, bar, max);
}

void __wrap_pci_iounmap(struct pci_dev *pdev, void __iomem *addr)
{
	if (!is_ours(addr, 1))
		pci_iounmap(pdev, addr);
}

void __wrap_pcim_iounmap(struct pci_dev *pdev, void __iomem *addr)
{
	if (!is_ours(addr, 1))
		pcim_iounmap(pdev, addr);
}

unsigned int __wrap_ioread8(const void __iomem *addr)
{
	return is_ours(addr, 1) ? readb(addr) : ioread8(addr);
}

unsigned int __wrap_ioread16(const void __iomem *addr)
{
	return is_ours(addr, 2) ? readw(addr) : ioread16(addr);
}

unsigned int __wrap_ioread32(const void __iomem *addr)
{
	return is_ours(addr, 4) ? readl(addr) : ioread32(addr);
}

void __wrap_iowrite8(u8 value, void __iomem *addr)
{
	if (is_ours(addr, 1))
		writeb(value, addr);
	else
		iowrite8(value, addr);
}

void __wrap_iowrite16(u16 value, void __iomem *addr)
{
	if (is_ours(addr, 2))
		writew(value, addr);
	else
		iowrite16(value, addr);
}

void __wrap_iowrite32(u32 value, void __iomem *addr)
{
	if (is_ours(addr, 4))
		writel(value, addr);
	else
		iowrite32(value, addr);
}

/* The next access to registers: four bytes where they are aligned, else one. */
static unsigned int step(const volatile void __iomem *addr, size_t left)
{
	return left >= 4 && IS_ALIGNED((unsigned long)addr, 4) ? 4 : 1;
}

static void copy_from(void *to, const volatile void __iomem *from, size_t size)
{
	for (unsigned int n; size; to += n, from += n, size -= n) {
		n = step(from, size);
		if (n == 4)
			*(volatile u32 *)to = __raw_readl(from);
		else
			*(volatile u8 *)to = __raw_readb(from);
	}
}

/* The guest's own code: no store through @to is made inside. */
GM_GUEST static void guest_copy(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
}

void __wrap_memcpy_fromio(void *to, const volatile void __iomem *from, size_t size)
{
	u8 some[64];

	if (!is_ours(from, size)) {
		memcpy_fromio(to, from, size);
		return;
	}
	if (gm_outside(to, size)) {
		copy_from(to, from, size);
		return;
	}
	/* An object on a private stack: the kernel writes what it is lent, and no more. */
	while (size) {
		size_t n = min(size, sizeof(some));

		copy_from(some, from, n);
		guest_copy(to, some, n);
		to += n;
		from += n;
		size -= n;
	}
}

void __wrap_memcpy_toio(volatile void __iomem *to, const void *from, size_t size)
{
	if (!is_ours(to, size)) {
		memcpy_toio(to, from, size);
		return;
	}
	for (unsigned int n; size; to += n, from += n, size -= n) {
		n = step(to, size);
		if (n == 4)
			__raw_writel(*(const u32 *)from, to);
		else
			__raw_writeb(*(const u8 *)from, to);
	}
}

void __wrap_memset_io(volatile void __iomem *to, int byte, size_t size)
{
	if (!is_ours(to, size)) {
		memset_io(to, byte, size);
		return;
	}
	for (unsigned int n; size; to += n, size -= n) {
		n = step(to, size);
		if (n == 4)
			__raw_writel((u8)byte * 0x01010101U, to);
		else
			__raw_writeb(byte, to);
	}
}

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Registers of granted devices in a module's own pages, for gmcc guard --absorb");
