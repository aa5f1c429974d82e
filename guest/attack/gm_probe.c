// SPDX-License-Identifier: GPL-2.0
/*
 * gm_probe: a module to be guarded that asks for every kind of privilege, and
 * uses what it is told to, so that a test can see what it has and when.
 *
 *	echo msr 0x2ff >/sys/module/gm_probe/parameters/run
 *	cat /sys/module/gm_probe/parameters/run		what it read
 *
 * Commands: msr INDEX, msr-write INDEX VALUE, in PORT, out PORT VALUE,
 * read ADDRESS, write ADDRESS VALUE (physical, 4 bytes), mwait, host VCPU. In gm_pages.c
 * also own ADDRESS, own-write ADDRESS VALUE (in the module's own pages), page OFFSET.
 */
#include <linux/io.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "guarded_module.h"

GM_PRIVILEGE("mmio");
GM_PRIVILEGE("pio=0-0xffff");
GM_PRIVILEGE("msr=0-0xffffffff:rw");
GM_PRIVILEGE("mwait");
GM_HOSTINFO(probe_host);

static unsigned long probe_result;
static unsigned long probe_line;

/* Text keeps IN and OUT, since ports are asked for. */
static u32 probe_in(u16 port)
{
	u32 value;

	asm volatile("inl %w1, %0" : "=a" (value) : "Nd" (port));
	return value;
}

static void probe_out(u16 port, u32 value)
{
	asm volatile("outl %0, %w1" : : "a" (value), "Nd" (port));
}

static int probe_access(unsigned long address, u32 *value, bool write)
{
	void __iomem *where = ioremap(address & PAGE_MASK, PAGE_SIZE);

	if (!where)
		return -ENOMEM;
	if (write)
		writel(*value, where + (address & ~PAGE_MASK));
	else
		*value = readl(where + (address & ~PAGE_MASK));
	iounmap(where);
	return 0;
}

#ifdef GM_PROBE_PAGES
GM_DEVICES(probe_devices, GM_PROBE_PAGES);

/* The same in pages of the module's own. */
static int probe_own(unsigned long address, u32 *value, bool write)
{
	volatile u32 *where = gm_devices_find(&probe_devices, address, sizeof(*where));

	if (!where)
		return -ENODEV;
	if (write)
		*where = *value;
	else
		*value = *where;
	return 0;
}

/* So far into these pages, whatever is there. */
static void probe_page(unsigned long at, u32 *value)
{
	*value = *(const volatile u32 *)((const volatile char *)&probe_devices + at);
}
#endif

/* Asleep until somebody writes there, or an interrupt comes: at once, as it happens. */
static void probe_mwait(void)
{
	asm volatile("monitor" : : "a" (&probe_line), "c" (0), "d" (0));
	asm volatile("mwait" : : "a" (0), "c" (0));
}

static int probe_host_cpu(unsigned int vcpu)
{
	struct kvm_gm_hostinfo_vcpu entry;

	if (!gm_hostinfo_read(&probe_host, vcpu, &entry))
		return -ENODATA;
	probe_result = entry.vcpus;
	return 0;
}

static int probe_run(const char *val, const struct kernel_param *kp)
{
	unsigned long where = 0;
	char what[16];
	u32 value = 0;
	int r = 0, n = sscanf(val, "%15s %li %i", what, &where, &value);

	if (n < 1)
		return -EINVAL;
	probe_result = 0;
	if (!strcmp(what, "msr") && n == 2) {
		probe_result = gm_rdmsr(where);
	} else if (!strcmp(what, "msr-write") && n == 3) {
		gm_wrmsr(where, value);
	} else if (!strcmp(what, "in") && n == 2) {
		probe_result = probe_in(where);
	} else if (!strcmp(what, "out") && n == 3) {
		probe_out(where, value);
	} else if (!strcmp(what, "read") && n == 2) {
		r = probe_access(where, &value, false);
		probe_result = value;
	} else if (!strcmp(what, "write") && n == 3) {
		r = probe_access(where, &value, true);
#ifdef GM_PROBE_PAGES
	} else if (!strcmp(what, "own") && n == 2) {
		r = probe_own(where, &value, false);
		probe_result = value;
	} else if (!strcmp(what, "own-write") && n == 3) {
		r = probe_own(where, &value, true);
	} else if (!strcmp(what, "page") && n == 2) {
		probe_page(where, &value);
		probe_result = value;
#endif
	} else if (!strcmp(what, "mwait") && n == 1) {
		probe_mwait();
	} else if (!strcmp(what, "host") && n == 2) {
		r = probe_host_cpu(where);
	} else {
		r = -EINVAL;
	}
	return r;
}

static int probe_show(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "0x%lx\n", probe_result);
}

static const struct kernel_param_ops probe_ops = {
	.set = probe_run,
	.get = probe_show,
};
module_param_cb(run, &probe_ops, NULL, 0600);
MODULE_PARM_DESC(run, "what to reach for");

static int __init probe_init(void)
{
	return 0;
}
module_init(probe_init);

static void __exit probe_exit(void)
{
}
module_exit(probe_exit);

MODULE_DESCRIPTION("A guarded module that uses privileges, for tests");
MODULE_LICENSE("GPL");
