/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Notes that a module's source can give to gmcc. None is needed: without them
 * every function whose address is taken is an entry, data is private where no
 * address in it is given away, and no privilege is asked for. In a build without
 * gmcc they change nothing but the section of an object. linux/kvm_gm.h is
 * installed beside this file.
 *
 *	static u64 GM_PRIVATE key;		only the module may write it
 *	static struct stats GM_SHARED stats;	the kernel may write it
 *	GM_ENTRY(my_xmit);			with one of these, only these
 *						(and init and exit) are entries
 *	GM_PRIVILEGE("msr=0x198-0x199:rw");	request; an administrator grants it or not:
 *		mmio=8086:10d3			the registers of that PCI device (mmio: of any)
 *		pio=0x60-0x64			I/O ports
 *		msr=0x35, msr=0x35:rw		MSRs of the CPU, to read, to write as well
 *		mwait				monitor and mwait; how deep, GM_HOSTINFO says
 *	GM_HOSTINFO(host);			request, and the page to read it in
 *	GM_DEVICES(devices, 65);		the pages that registers of devices appear in
 *	static GM_GUEST void flush(...);	the guest's own code: not sealed, not privileged
 *
 * Text keeps rdmsr if an MSR is requested, wrmsr if one is to be written, in and
 * out if a port is, monitor and mwait if that is; otherwise the guest makes these
 * accesses (but for monitor and mwait, which are refused). What is requested and
 * not granted: rdmsr and wrmsr are violations, monitor and mwait do nothing, ports
 * and devices are those that the guest has. What has been revoked: devices, ports and
 * pages are as if the hardware were gone, MSRs read as zero and ignore stores.
 */
#ifndef GUARDED_MODULE_H
#define GUARDED_MODULE_H

#include <linux/kvm_gm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/stringify.h>
#include <asm/barrier.h>
#include <asm/processor.h>

/* gmcc refuses the module if an address in a private object leaves it. */
#define GM_PRIVATE	__attribute__((__section__(".data.gm_private")))
/* In a section of its own, so that it makes nothing else shared. */
#define GM_SHARED	__attribute__((__section__(".data.gm_shared")))

#define GM_ENTRY(function)		MODULE_INFO(gm_entry, #function)
#define GM_PRIVILEGE(request)		MODULE_INFO(gm_privilege, request)

/*
 * The kernel's own rdmsrl() and wrmsrl() are calls out, or have an exception table,
 * which gmcc refuses: nothing catches a fault inside.
 */
static inline u64 gm_rdmsr(u32 msr)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a" (low), "=d" (high) : "c" (msr));
	return (u64)high << 32 | low;
}

static inline void gm_wrmsr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c" (msr), "a" ((u32)value), "d" ((u32)(value >> 32)) : "memory");
}

/*
 * A page that KVM fills in, and only the module sees: once per module. Volatile,
 * since the compiler sees nobody write it.
 */
#define GM_HOSTINFO(name)						\
	GM_PRIVILEGE("hostinfo");					\
	static const volatile struct kvm_gm_hostinfo name		\
	__attribute__((__section__(".gm.hostinfo"), __aligned__(4096)))

/*
 * What the host says of one vCPU: a consistent copy of its entry. False if there
 * is none: not granted (or no more), in a form of later days, or no such vCPU.
 */
static inline bool gm_hostinfo_read(const volatile struct kvm_gm_hostinfo *info, unsigned int vcpu,
				    struct kvm_gm_hostinfo_vcpu *to)
{
	const volatile struct kvm_gm_hostinfo_vcpu *from;
	u32 seq;

	if (vcpu >= KVM_GM_HOSTINFO_VCPUS || vcpu >= info->nr_vcpus)
		return false;
	from = &info->vcpus[array_index_nospec(vcpu, KVM_GM_HOSTINFO_VCPUS)];
	do {
		/* A page that is taken away is all zeroes, so this ends. */
		while ((seq = from->seq) & 1)
			cpu_relax();
		virt_rmb();
		to->seq = seq;
		to->cpu = from->cpu;
		to->vcpus = from->vcpus;
		to->runnable = from->runnable;
		to->flags = from->flags;
		to->updated = from->updated;
		to->steal = from->steal;
		virt_rmb();
	} while (from->seq != seq);
	return info->version == KVM_GM_HOSTINFO_VERSION;
}

/*
 * Whether MWAIT sleeps in here, and ends for interrupts that are masked (bit 0 of ECX
 * set): @wanted as a hint, what EAX is to be, if the administrator allows that and the
 * CPU has it; else 0, which they always do. Negative: not granted, or no more, or nobody
 * says so. It may be revoked at any time; MWAIT then returns at once.
 */
static inline int gm_hostinfo_mwait(const volatile struct kvm_gm_hostinfo *info, u32 wanted)
{
	const u32 need = KVM_GM_HOSTINFO_MWAIT | KVM_GM_HOSTINFO_MWAIT_BREAK;

	if (info->version != KVM_GM_HOSTINFO_VERSION || (info->mwait & need) != need)
		return -1;
	virt_rmb();
	if (wanted > KVM_GM_MWAIT_MAX_HINT || wanted > info->mwait_hint ||
	    (wanted & 0xf) >= (info->mwait_substates >> (4 * (wanted >> 4) + 4) & 0xf))
		return 0;
	return wanted;
}

/*
 * A function that the guest is to run: a call to it from the module's other code is a
 * crossing, as any call of the kernel's, and one is enough for a loop in it. It is
 * in nobody's way to change, so it may be anything by the time that it is called: the
 * compiler must not conclude from what it is which registers it leaves alone, what it
 * returns, or what it does with its arguments.
 */
#if __has_attribute(__noipa__)
#define GM_GUEST	__attribute__((__noipa__, __section__(".gm.guest")))
#else
#define GM_GUEST	noinline __attribute__((__section__(".gm.guest")))
#endif

/*
 * Pages that registers of devices appear in, once they are granted (with a request for
 * mmio): once per module. The first page says what the others hold. Not initialized,
 * and nothing of it is in a file.
 */
#define GM_DEVICES(name, pages)						\
	extern const volatile struct kvm_gm_devices name;		\
	asm(".pushsection .gm.devices, \"aw\", @nobits\n"		\
	    ".balign 4096\n"						\
	    ".type " __stringify(name) ", @object\n"			\
	    ".size " __stringify(name) ", 4096 * (" __stringify(pages) ")\n" \
	    __stringify(name) ": .zero 4096 * (" __stringify(pages) ")\n" \
	    ".popsection")

/*
 * Where the registers at a physical address are, all of them, or NULL. They may go
 * at any time: reads are then all ones.
 */
static inline volatile void *gm_devices_find(const volatile struct kvm_gm_devices *devices, u64 phys,
					     u64 size)
{
	volatile void *found;
	unsigned int i;
	u32 seq;

	if (devices->version != KVM_GM_DEVICES_VERSION || !size)
		return NULL;
	do {
		while ((seq = devices->seq) & 1)
			cpu_relax();
		virt_rmb();
		for (i = 0, found = NULL; i < KVM_GM_MAX_RANGES && !found; i++) {
			const volatile struct kvm_gm_device_range *r = &devices->ranges[i];
			u64 bytes = r->size, off = phys - r->gpa;

			if (off < bytes && size <= bytes - off)
				found = (volatile char *)devices + r->page * 4096UL + off;
		}
		virt_rmb();
	} while (devices->seq != seq);
	return found;
}

#endif /* GUARDED_MODULE_H */
