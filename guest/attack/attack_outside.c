// SPDX-License-Identifier: GPL-2.0
/* From outside: jumps, writes, hypercalls, returns, and forged page tables. */
#include "gm_attack.h"

#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/umh.h>
#include <linux/vmalloc.h>
#include <asm/asm.h>
#include <asm/cpufeature.h>

#include <linux/kvm_gm.h>
#include "gm_image.h"

/* VMMCALL or VMCALL, and a return. */
static const char *hypercall_bytes(void)
{
	return boot_cpu_has(X86_FEATURE_VMMCALL) ? "\x0f\x01\xd9\xc3" : "\x0f\x01\xc1\xc3";
}

/* Into the middle of a guarded function (I1, I2). Address: where to. */
static int attack_jump(const char *name)
{
	unsigned long target = find_target("dummy_xmit", 9);
	struct page *page = target ? vmalloc_to_page((void *)target) : NULL;

	/* The guest's own tables are to have nothing against it. */
	if (!page || !forge(target, page_to_pfn(page)))
		return -ENOENT;
	return jump_and_tell(name, target);
}

/* A return that nobody waits for (I3). Address: the in-return gate. */
static int attack_return(const char *name)
{
	unsigned long target = find_target("gm_trampoline", 3);

	return target ? jump_and_tell(name, target) : -ENOENT;
}

/* A resumption of what was never interrupted (I3). Address: the resume gate. */
static int attack_resume(const char *name)
{
	unsigned long target = find_target("gm_resume", 0);

	return target ? jump_and_tell(name, target) : -ENOENT;
}

/*
 * Guarded text through a writable mapping of the attacker's own (I4): the
 * guest's page tables have nothing against it. Address: the byte of text.
 */
static int attack_write(const char *name)
{
	unsigned long target = find_target("dummy_xmit", 9);
	u8 before, after, *alias;
	bool faulted = true;
	struct page *page;
	void *map;

	if (!target)
		return -ENOENT;
	page = vmalloc_to_page((void *)target);
	if (!page)
		return -EFAULT;
	map = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
	if (!map)
		return -ENOMEM;
	alias = map + offset_in_page(target);
	before = READ_ONCE(*(u8 *)target);

	pr_info("%s: address 0x%lx\n", name, target);
	asm volatile("1:	movb %[value], %[place]\n"
		     "	movb $0, %[faulted]\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : [place] "=m" (*alias), [faulted] "+m" (faulted)
		     : [value] "q" ((u8)~before)
		     : "memory");
	after = READ_ONCE(*(u8 *)target);
	vunmap(map);

	if (after != before) {
		pr_err("%s: survived, the text is changed\n", name);
		return -ENOTRECOVERABLE;
	}
	if (!faulted) {
		pr_err("%s: survived, but the text is as it was\n", name);
		return -ENOTRECOVERABLE;
	}
	pr_info("%s: stopped by an exception, the text is as it was\n", name);
	return 0;
}

bool storm_ends;

/*
 * Writes for as long as it takes, while the victim is loaded and unloaded on
 * another CPU (I4). The page is held, so that it is nobody else's, and the
 * writes change nothing: they go through while it is not sealed.
 */
static int attack_storm(const char *name)
{
	unsigned long deadline = jiffies + 60 * HZ;
	unsigned int stopped = 0, unsealed = 0;

	pr_info("%s: address 0x%lx\n", name, look_for_target("dummy_xmit", 9));
	WRITE_ONCE(storm_ends, false);
	while (!READ_ONCE(storm_ends) && time_before(jiffies, deadline)) {
		unsigned long target = look_for_target("dummy_xmit", 9);
		struct page *page = target ? vmalloc_to_page((void *)target) : NULL;
		bool faulted = true;
		void *map = NULL;

		if (page && get_page_unless_zero(page)) {
			map = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
			if (map)
				asm volatile("1:	lock orb $0, %[place]\n"
					     "	movb $0, %[faulted]\n"
					     "2:\n"
					     _ASM_EXTABLE(1b, 2b)
					     : [place] "+m" (*(u8 *)(map + offset_in_page(target))),
					       [faulted] "+m" (faulted)
					     : : "memory");
			vunmap(map);
			put_page(page);
		}
		if (map && faulted)
			stopped++;
		else if (map)
			unsealed++;
		usleep_range(500, 1000);
	}
	pr_info("%s: stopped %u times, unsealed %u times\n", name, stopped, unsealed);
	return 0;
}

/* One hypercall with any number; false if an exception stopped it. */
static noinline bool hypercall(unsigned long nr, unsigned long arg, unsigned long *ret,
			       unsigned long *where)
{
	unsigned long done = 0;

#define HYPERCALL(insn)							\
	asm volatile("	lea 1f(%%rip), %[where]\n"			\
		     "1:	" insn "\n"				\
		     "	mov $1, %[done]\n"				\
		     "2:\n"						\
		     _ASM_EXTABLE(1b, 2b)				\
		     : "+a" (nr), [done] "+r" (done), [where] "=&r" (*where) \
		     : "D" (arg), "b" (0), "c" (0), "d" (0), "S" (0)	\
		     : "memory")
	if (boot_cpu_data.x86_vendor == X86_VENDOR_AMD ||
	    boot_cpu_data.x86_vendor == X86_VENDOR_HYGON)
		HYPERCALL("vmmcall");
	else
		HYPERCALL("vmcall");
	*ret = nr;
	return done;
}

/* The gates' instruction in other code (I1). Address: the instruction. */
static int attack_hypercall(const char *name)
{
	unsigned long ret, where;
	bool done = hypercall(0x12345678, 0, &ret, &where);

	pr_info("%s: address 0x%lx\n", name, where);
	if (done) {
		pr_err("%s: survived, result %ld\n", name, (long)ret);
		return -ENOTRECOVERABLE;
	}
	pr_info("%s: stopped by an exception\n", name);
	return 0;
}

/* Ask for seals that must not be given (I4). Address: the anchors. */
static int attack_seal(const char *name)
{
	struct gm_anchors *anchors = kzalloc(PAGE_SIZE, GFP_KERNEL);
	unsigned long ret, where;
	int i, result = 0;

	if (!anchors)
		return -ENOMEM;
	pr_info("%s: address 0x%lx\n", name, (unsigned long)anchors);

	for (i = 0; i < 6; i++) {
		unsigned long addr = (unsigned long)anchors;

		switch (i) {
		case 0:
			addr = 0;
			break;
		case 1:		/* not canonical */
			addr = 0x8000000000000000;
			break;
		case 2:		/* the last bytes there are: wraps */
			addr = -8;
			break;
		case 3:		/* no magic */
			break;
		case 4:		/* no such image */
			memcpy(anchors->magic, GM_ANCHORS_MAGIC, sizeof(anchors->magic));
			get_random_bytes(anchors->id, sizeof(anchors->id));
			anchors->count = 1;
			break;
		case 5:		/* more anchors than memory */
			anchors->count = U32_MAX;
			break;
		}
		if (!hypercall(KVM_GM_HC_SEAL, addr, &ret, &where)) {
			pr_info("%s: case %d: stopped by an exception\n", name, i);
		} else if ((long)ret < 0) {
			pr_info("%s: case %d: refused, %ld\n", name, i, (long)ret);
		} else {
			pr_err("%s: case %d: survived, result %ld\n", name, i, (long)ret);
			result = -ENOTRECOVERABLE;
		}
	}
	kfree(anchors);
	return result;
}

/* --- through forged page tables ----------------------------------------------- */

/* A hypercall from an own page at the address of a gate for the way out (I2). */
static int attack_forge_gate(const char *name)
{
	unsigned long target = find_target("gm_stub_consume_skb", 0), before;
	u8 *page = (u8 *)get_zeroed_page(GFP_KERNEL);
	int ret = -ENOENT;

	if (target && page) {
		memcpy(page + offset_in_page(target), hypercall_bytes(), 4);
		before = forge(target, page_to_pfn(virt_to_page(page)));
		if (before) {
			ret = jump_and_tell(name, target);
			forge(target, before);
		}
	}
	free_page((unsigned long)page);
	return ret;
}

/* An own page at the address of text, then a call (I6). Address: the text. */
static int attack_forge_text(const char *name)
{
	unsigned long target = find_target("set_multicast_list", 0), before;
	unsigned long gate = find_target("gm_gate_set_multicast_list", 0);
	u8 *page = (u8 *)get_zeroed_page(GFP_KERNEL);
	int ret = -ENOENT;

	if (target && gate && page) {
		memset(page, 0x0b, PAGE_SIZE);
		memcpy(page + offset_in_page(target), "\x0f\x0b", 2);
		pr_info("%s: address 0x%lx\n", name, target);
		before = forge(target, page_to_pfn(virt_to_page(page)));
		if (before) {
			jump_to(gate);
			forge(target, before);
			ret = recovery.stopped ? -ENOTRECOVERABLE : 0;
			if (ret)
				pr_err("%s: survived, the module ran other text\n", name);
			else
				pr_info("%s: stopped, the module ran its own text\n", name);
		}
	}
	free_page((unsigned long)page);
	return ret;
}

/*
 * The return of somebody else's call, which waits for a lock that we hold
 * (I3). Address: the in-return gate.
 */
static int attack_steal(const char *name)
{
	char *argv[] = { "/bin/rmmod", victim, NULL }, *envp[] = { "PATH=/bin", NULL };
	unsigned long target = find_target("gm_trampoline", 3);
	int ret = -ENOENT;

	if (!target)
		return ret;
	rtnl_lock();
	ret = call_usermodehelper(argv[0], argv, envp, UMH_WAIT_EXEC);
	msleep(1000);
	if (!ret)
		ret = jump_and_tell(name, target);
	rtnl_unlock();
	return ret;
}

/* The init stub's own hypercall, but not with its number (I1). */
static int attack_init(const char *name)
{
	unsigned long target = find_target("gm_init", 0);
	int i;

	for (i = 0; target && i < 0x80; i++)
		if (!memcmp((void *)target + i, hypercall_bytes(), 3))
			return jump_and_tell(name, target + i);
	return -ENOENT;
}

const struct attack outside_attacks[] = {
	{ "jump",	attack_jump },
	{ "write",	attack_write },
	{ "hypercall",	attack_hypercall },
	{ "return",	attack_return },
	{ "resume",	attack_resume },
	{ "seal",	attack_seal },
	{ "storm",	attack_storm },
	{ "init",	attack_init },
	{ "steal",	attack_steal },
	{ "forge-gate",	attack_forge_gate },
	{ "forge-text",	attack_forge_text },
	{}
};
