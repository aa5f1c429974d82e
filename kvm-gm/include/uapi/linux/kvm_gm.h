/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Guarded modules on KVM: the interface between KVM and its userspace (QEMU).
 *
 * All of it is little-endian and 64-bit clean; every structure that crosses
 * the ioctl boundary has an explicit size and reserved fields that must be
 * zero. Kinds that also appear in images, monitors and tests (gates, regions,
 * crossings, violations) are defined here and nowhere else.
 *
 * Use, on a VM file descriptor:
 *
 *	KVM_CHECK_EXTENSION(KVM_CAP_GM)		KVM_GM_API_VERSION, or 0
 *	KVM_ENABLE_CAP(KVM_CAP_GM)		once, before the first vCPU
 *	KVM_GM_SEAL				seal one loaded module
 *	KVM_GM_UNSEAL				scrub and drop it again
 *	KVM_GM_QUERY				counters of one sealed module
 *	KVM_GM_COUNTS				its crossings by gate
 *	KVM_GM_GRANT, KVM_GM_REVOKE		privileges of a sealed module
 *	KVM_GM_MAP				registers of devices in its own pages
 *
 * and on a vCPU: KVM_RUN returns KVM_EXIT_GM with struct kvm_gm_exit at
 * KVM_GM_EXIT(run).
 */
#ifndef _UAPI_LINUX_KVM_GM_H
#define _UAPI_LINUX_KVM_GM_H

#include <linux/types.h>
#include <linux/ioctl.h>

#define KVM_GM_API_VERSION	7

/* Outside the range that upstream assigns. */
#define KVM_CAP_GM		0x676d
#define KVM_EXIT_GM		0x676d

/*
 * The one hypercall that a guest makes by number: the init gate of a module
 * that is not sealed yet. Linux's KVM hypercall convention for the number
 * (RAX) and the result (RAX, 0 or a negative errno); RDI holds the guest
 * virtual address of struct gm_anchors (gm_image.h).
 */
#define KVM_GM_HC_SEAL		0x676d0001

/* Limits of what is sealed. All are checked; exceeding one is -E2BIG. */
#define KVM_GM_MAX_SEALS	31	/* views 1..31; view 0 is the guest */
#define KVM_GM_MAX_REGIONS	64
#define KVM_GM_MAX_PAGES	4096	/* of one module: over all regions, and over all shared */
#define KVM_GM_MAX_SHARED	64
#define KVM_GM_MAX_GATES	16384
#define KVM_GM_MAX_FRAMES	65536
#define KVM_GM_MAX_STACK_WORDS	32	/* arguments on the stack, of one gate */
#define KVM_GM_NAME_LEN		64	/* with the terminating NUL */

/* Limits of a module at work; exceeding one is a violation. */
#define KVM_GM_MAX_DEPTH	64	/* call frames on one private stack: V_FRAME */
/* What waits with shared objects on one guest stack, above the last in-call: V_LIMIT. */
#define KVM_GM_MAX_OUTER	16	/* activations */
#define KVM_GM_MAX_OUTER_BYTES	16384	/* of their windows: as large as the stack itself */

/*
 * What a region (a page-aligned run of guest virtual addresses) holds, and so
 * what each view may do with it.
 *
 *			guest view	module view
 *	GATES		r-x		r--
 *	TEXT		r--		r-x
 *	RODATA		r--		r--
 *	DATA		r--		rw-
 *	STACK		(rw-)		rw-	(private stacks; the guest has a
 *						 mirror in their place, see frames)
 *	HOSTINFO	r-- (zeroes)	r--	(one page, one region: struct
 *						 kvm_gm_hostinfo while granted, or zeroes)
 *	DEVICES		r-- (zeroes)	(rw-)	(one region: struct kvm_gm_devices, r--,
 *						 and the pages that KVM_GM_MAP fills)
 */
enum kvm_gm_region_kind {
	KVM_GM_REGION_GATES	= 1,
	KVM_GM_REGION_TEXT	= 2,
	KVM_GM_REGION_RODATA	= 3,
	KVM_GM_REGION_DATA	= 4,
	KVM_GM_REGION_STACK	= 5,
	KVM_GM_REGION_HOSTINFO	= 6,
	KVM_GM_REGION_DEVICES	= 7,
};

/*
 * Added to a region's kind: the guest view does not have it at all (TEXT, RODATA,
 * DATA), or has it --x (GATES), for which the CPU must have execute-only
 * second-level mappings: -EOPNOTSUPP without. The module view is the same.
 */
#define KVM_GM_REGION_F_CLOAKED	(1U << 16)

/*
 * What control that reaches a gate's hypercall instruction means. IN_CALL,
 * IN_RETURN and RESUME lie in a GATES region and are legal in the guest view
 * only; the others lie in a TEXT region and are legal in the module's own
 * view only.
 */
enum kvm_gm_gate_kind {
	KVM_GM_GATE_IN_CALL		= 1,	/* target: module function */
	KVM_GM_GATE_IN_RETURN		= 2,	/* one per module */
	KVM_GM_GATE_RESUME		= 3,	/* one per module */
	KVM_GM_GATE_OUT_CALL		= 4,	/* target: guest function */
	KVM_GM_GATE_OUT_CALL_INDIRECT	= 5,	/* target: in R11 */
	KVM_GM_GATE_OUT_RETURN		= 6,	/* one per module */
};

#define KVM_GM_GATE_F_INIT	(1 << 0)  /* IN_CALL: unseal if it returns < 0 (int) */
#define KVM_GM_GATE_F_EXIT	(1 << 1)  /* IN_CALL: unseal when it returns */
/* OUT_CALL: between the two, x87 and SIMD registers are the module's. */
#define KVM_GM_GATE_F_FPU_BEGIN	(1 << 2)  /* leads to kernel_fpu_begin_mask() */
#define KVM_GM_GATE_F_FPU_END	(1 << 3)  /* leads to kernel_fpu_end() */
/* OUT_CALL: the callee preserves all registers but `results' (inline assembly). */
#define KVM_GM_GATE_F_ASM	(1 << 4)
/* OUT_CALL: the thread ends there, and nothing of the module knows of its frames. */
#define KVM_GM_GATE_F_NORETURN	(1 << 5)

/* Border crossings, as counted and traced. */
enum kvm_gm_crossing {
	KVM_GM_IN_CALL		= 0,
	KVM_GM_OUT_RETURN	= 1,
	KVM_GM_OUT_CALL		= 2,
	KVM_GM_IN_RETURN	= 3,
	KVM_GM_EVENT_EXIT	= 4,	/* interrupt or exception delivered inside */
	KVM_GM_RESUME		= 5,
	KVM_GM_NR_CROSSINGS	= 6,
};

/* What a violation is. `rip' is always where the vCPU stood. */
enum kvm_gm_violation {
	KVM_GM_V_EXEC		= 1,	/* sealed page executed from outside; addr = target */
	KVM_GM_V_WRITE		= 2,	/* sealed page written from outside; addr = where */
	KVM_GM_V_HYPERCALL	= 3,	/* gate hypercall from outside any gate */
	KVM_GM_V_GATE		= 4,	/* gate used in the wrong view or mode */
	KVM_GM_V_RETURN		= 5,	/* in-return with no such activation */
	KVM_GM_V_RESUME		= 6,	/* resume with no such activation */
	KVM_GM_V_ENVIRONMENT	= 7,	/* insane state at an entry; addr = offending value */
	KVM_GM_V_LIMIT		= 8,	/* no activation left, MAX_OUTER*; inside: stack overflow */
	KVM_GM_V_ESCAPE		= 9,	/* inside: fetch from outside sealed text */
	KVM_GM_V_ACCESS		= 10,	/* inside: write to read-only sealed page */
	KVM_GM_V_EXIT		= 11,	/* inside: exit with no business there; addr = its code */
	KVM_GM_V_FRAME		= 12,	/* inside: private stack cannot be unwound */
	KVM_GM_V_EMULATE	= 13,	/* inside: instruction emulation attempted */
	KVM_GM_V_QUARANTINE	= 14,	/* gate of a quarantined module; addr = the gate */
	KVM_GM_V_READ		= 15,	/* cloaked page read from outside; addr = where */
	KVM_GM_NR_VIOLATIONS	= 16,
};

/*
 * What follows a violation of a module's checks, after privilege has been
 * dropped and before userspace is told. With no module, it is always INJECT.
 */
enum kvm_gm_policy {
	KVM_GM_POLICY_INJECT	= 0,	/* #GP(0) where the vCPU now stands */
	KVM_GM_POLICY_STOP	= 1,	/* nothing: the vCPU is left where it stands */
	KVM_GM_POLICY_QUARANTINE = 2,	/* INJECT; all leave the module, nobody enters */
};

/*
 * What a module may be granted beyond what its guest has. MMIO and PIO are
 * userspace's: it learns from KVM_GM_RUN_VIEW() who made an access. The others
 * are KVM's, see KVM_GM_GRANT. An image asks for them by the same numbers.
 */
enum kvm_gm_privilege {
	KVM_GM_PRIV_MMIO	= 1,	/* registers of a device that the guest does not see */
	KVM_GM_PRIV_PIO		= 2,	/* I/O ports that the guest does not see */
	KVM_GM_PRIV_MSR		= 3,	/* MSRs of the physical CPU */
	KVM_GM_PRIV_MWAIT	= 4,	/* MONITOR and MWAIT without an exit */
	KVM_GM_PRIV_HOSTINFO	= 5,	/* struct kvm_gm_hostinfo */
	KVM_GM_NR_PRIVILEGES	= 6,
};

#define KVM_GM_PRIV_F_WRITE	(1 << 0)  /* MSR: WRMSR as well as RDMSR */

#define KVM_GM_MAX_GRANTS	64	/* MSR ranges of one module: -E2BIG */

#define KVM_GM_NO_GATE		(~0U)

struct kvm_gm_region {
	__u64 va;		/* guest virtual, page-aligned, canonical kernel half */
	__u32 nr_pages;
	__u32 kind;		/* enum kvm_gm_region_kind, KVM_GM_REGION_F_* */
	__u64 content;		/* user pointer to nr_pages * 4096 bytes, or 0: zeroes */
	__u64 gpas;		/* user pointer to __u64[nr_pages]: where va is mapped */
};

struct kvm_gm_gate {
	__u64 insn;		/* guest virtual address of the hypercall instruction */
	__u64 target;		/* IN_CALL, OUT_CALL: where control goes; else 0 */
	__u8  kind;		/* enum kvm_gm_gate_kind */
	__u8  flags;		/* KVM_GM_GATE_F_* */
	__u16 stack_words;	/* arguments on the stack, 8 bytes each */
	__u16 results;		/* F_ASM: mask of the registers that the callee may change */
	__u16 reserved;		/* 0 */
};

/*
 * One per call instruction in sealed text, sorted by `ret', unique: how to
 * get from the stack pointer that the callee returns with to the caller's own
 * return address, and which bytes between the two the guest may write while
 * the thread is in an out-call (objects whose address the function takes).
 * Return addresses and saved registers are never among them.
 */
struct kvm_gm_frame {
	__u64 ret;		/* guest virtual address after the call instruction */
	__u32 size;		/* bytes from SP after return to the next return address */
	__u16 window;		/* first shared byte, from SP after return */
	__u16 window_len;	/* bytes, 0: none; window + window_len <= size */
};

/*
 * Pages beside the regions which stay the guest's, and which it maps nowhere else as long
 * as there is the seal: sections of the module's that are not sealed, for example. Inside,
 * what the guest mapped there when the module first used it is used from then on, and need
 * not be looked up after each crossing. That is all: it is as much the guest's memory as any.
 */
struct kvm_gm_shared {
	__u64 va;		/* guest virtual, page-aligned, canonical kernel half */
	__u64 nr_pages;
};

struct kvm_gm_seal {
	__u32 size;		/* sizeof(struct kvm_gm_seal) */
	__u32 id;		/* out: 1..KVM_GM_MAX_SEALS, the view */
	char  name[KVM_GM_NAME_LEN];
	__u32 nr_regions;
	__u32 nr_gates;
	__u32 nr_frames;
	__u32 stack_pages;	/* of each private stack, 2..16, its guard page included */
	__u64 regions;		/* user pointer to struct kvm_gm_region[] */
	__u64 gates;		/* user pointer to struct kvm_gm_gate[], sorted by insn */
	__u64 frames;		/* user pointer to struct kvm_gm_frame[] */
	__u64 trampoline;	/* guest virtual: `call *%r11' right before IN_RETURN's insn */
	__u64 ret;		/* guest virtual: a `ret' in a GATES region */
	__u32 policy;		/* enum kvm_gm_policy */
	__u32 generation;	/* out: differs from that of every other seal of the VM */
	__u64 shared;		/* user pointer to struct kvm_gm_shared[] */
	__u32 nr_shared;
	__u32 reserved[3];	/* 0 */
};

struct kvm_gm_query {
	__u32 size;		/* sizeof(struct kvm_gm_query) */
	__u32 id;		/* in */
	char  name[KVM_GM_NAME_LEN];
	__u64 crossings[16];	/* by enum kvm_gm_crossing */
	__u64 violations[32];	/* by enum kvm_gm_violation; whole-VM for those with no module */
	__u32 nr_pages;
	__u32 max_activations;
	__u32 activations;	/* in use now */
	__u32 nr_gates;
	__u32 flags;		/* out: KVM_GM_QUERY_F_* */
	__u32 generation;
	__u32 lost;		/* activations whose thread has died in the module */
	__u32 reserved;
};

/* Unsealed; these are its last counters, until the id is given out again. */
#define KVM_GM_QUERY_F_ENDED		(1 << 0)
/* Sealed, but nobody can enter; or it was so when the seal ended. */
#define KVM_GM_QUERY_F_QUARANTINED	(1 << 1)
/* With ENDED: the kernel that had loaded it has made way for another (kexec). */
#define KVM_GM_QUERY_F_KERNEL_ENDED	(1 << 2)

/* In and out: how often each gate has been used. */
struct kvm_gm_counts {
	__u32 size;		/* sizeof(struct kvm_gm_counts) */
	__u32 id;
	__u32 generation;	/* of the seal; -ESTALE if it is another's */
	__u32 nr_gates;		/* as sealed; -EINVAL if it is not */
	__u64 counts;		/* user pointer to __u64[nr_gates], in the order of the seal */
	__u64 reserved;		/* 0 */
};

/*
 * KVM_GM_GRANT raises from the next entry on, or at once where a vCPU is inside;
 * after KVM_GM_REVOKE no vCPU has it. Granting what is granted is -EEXIST,
 * revoking what is not -ENOENT; what KVM would not let anybody have is -EPERM.
 */
struct kvm_gm_grant {
	__u32 size;		/* sizeof(struct kvm_gm_grant) */
	__u32 id;		/* of the seal */
	__u32 generation;	/* of the seal; -ESTALE if it is another's */
	__u32 kind;		/* KVM_GM_PRIV_MSR, _MWAIT or _HOSTINFO */
	__u32 flags;		/* KVM_GM_PRIV_F_* */
	__u32 first, last;	/* MSR: indices, last included; else 0 */
	__u32 limit;		/* MWAIT: the highest hint that the module is to use; else 0 */
};

/*
 * MWAIT: what `limit' can be. A hint is what MWAIT has in EAX, bits 7:4 the C-state
 * less one. No CPU intercepts MWAIT by its hint: KVM tells the module what it may
 * use (struct kvm_gm_hostinfo), and it is the module, signed as it is, that obeys.
 */
#define KVM_GM_MWAIT_MAX_HINT	0x6f	/* C7 */

/*
 * What a module with HOSTINFO reads. KVM writes an entry when it puts the vCPU on
 * a physical CPU, never at a crossing. Read `seq', the entry, and `seq' again: equal
 * and even, or try again.
 *
 * ALONE, and `runnable', are as they were then, and that is enough to sleep by: who
 * becomes runnable on that CPU later either has it at once, and the entry is written
 * when the vCPU is put there again, or when the scheduler's next tick, which runs
 * while two want the CPU, takes it from the vCPU, asleep or not.
 */
#define KVM_GM_HOSTINFO_VERSION	2
#define KVM_GM_HOSTINFO_VCPUS	126	/* vCPUs beyond have no entry */

#define KVM_GM_HOSTINFO_F_ALONE	(1 << 0)  /* no other task was runnable on that CPU */

struct kvm_gm_hostinfo_vcpu {
	__u32 seq;
	__u32 cpu;		/* physical CPU that it was put on last */
	__u16 vcpus;		/* of all VMs that were put on that CPU last, this one included */
	__u16 runnable;		/* tasks on that CPU, its own included: 1, or 2 for two or more */
	__u32 flags;		/* KVM_GM_HOSTINFO_F_* */
	__u64 updated;		/* ns of the host's monotonic clock */
	__u64 steal;		/* ns that its thread has waited for a CPU so far */
};

/* Of MWAIT, for the module; KVM writes it when that is granted or revoked. */
#define KVM_GM_HOSTINFO_MWAIT	(1 << 0)  /* MONITOR and MWAIT do not exit inside */
/* With it: if bit 0 of ECX is set, interrupts end MWAIT although they are masked. */
#define KVM_GM_HOSTINFO_MWAIT_BREAK	(1 << 1)

struct kvm_gm_hostinfo {
	__u32 version;		/* KVM_GM_HOSTINFO_VERSION, or 0: not granted */
	__u32 generation;	/* changes whenever anything below does */
	__u32 cpus;		/* online on the host when an entry was written last */
	__u32 nr_vcpus;		/* entries that there are; `seq' is 0: never written */
	__u32 vms;		/* that have vCPUs, on the host; as `cpus' */
	__u32 mwait;		/* KVM_GM_HOSTINFO_MWAIT* */
	__u32 mwait_hint;	/* with MWAIT: the highest that the administrator allows */
	__u32 mwait_substates;	/* and CPUID.05H:EDX of the CPU, without states beyond that */
	__u64 reserved[4];
	struct kvm_gm_hostinfo_vcpu vcpus[KVM_GM_HOSTINFO_VCPUS];	/* by vCPU id */
};

/*
 * The first page of a DEVICES region, as the module sees it: what the pages
 * after it hold. Read `seq', the ranges, and `seq' again: equal and even, or try again.
 */
#define KVM_GM_DEVICES_VERSION	1
#define KVM_GM_MAX_RANGES	64

struct kvm_gm_device_range {
	__u64 gpa;		/* where the guest has been told that it is, page-aligned */
	__u64 size;		/* bytes, in whole pages; 0: nothing, or no more */
	__u32 page;		/* of the region, from 1 on */
	__u32 reserved;
};

struct kvm_gm_devices {
	__u32 version;		/* KVM_GM_DEVICES_VERSION */
	__u32 seq;
	__u32 reserved[14];
	struct kvm_gm_device_range ranges[KVM_GM_MAX_RANGES];
};

/*
 * KVM_GM_MAP: put registers of a device, or nothing, in place of some of the pages
 * of the module's DEVICES region. They are reached there and nowhere else: the
 * module's own page tables lead to them, which the guest cannot change. A page is
 * backed by what userspace has at hosts[i] (a device's registers that it has mapped;
 * when it unmaps them, what follows there does not count), or an access to it is a
 * KVM_EXIT_MMIO at `gpa' and so many bytes, marked KVM_GM_RUN_DEVICES. A range that
 * is mapped already is replaced, at once wherever a vCPU is inside. Two ranges with
 * a page in common are -EEXIST, pages that the region does not have -ERANGE.
 */
struct kvm_gm_map {
	__u32 size;		/* sizeof(struct kvm_gm_map) */
	__u32 id;		/* of the seal */
	__u32 generation;	/* of the seal; -ESTALE if it is another's */
	__u32 range;		/* 0..KVM_GM_MAX_RANGES - 1 */
	__u32 page;		/* of the region, from 1 on; 0 if nr_pages is */
	__u32 nr_pages;		/* 0: the range ends, and access to its pages is a violation */
	__u64 gpa;		/* page-aligned; 0 if nr_pages is */
	/*
	 * User pointer to __u64[nr_pages]: user addresses, each page-aligned, or 0:
	 * exits; or 0: exits all of them.
	 */
	__u64 hosts;
	__u64 reserved;		/* 0 */
};

enum kvm_gm_exit_type {
	KVM_GM_EXIT_SEAL	= 1,	/* init gate: seal, then set `ret' */
	KVM_GM_EXIT_VIOLATION	= 2,	/* already acted upon; report it */
	KVM_GM_EXIT_UNSEALED	= 3,	/* exit gate returned, init failed, or kernel ended */
};

struct kvm_gm_exit {
	__u32 type;		/* enum kvm_gm_exit_type */
	__u32 id;		/* seal, 0: none */
	__u32 kind;		/* VIOLATION: enum kvm_gm_violation */
	/* VIOLATION: the gate used, or (EXEC, WRITE) that of the function at addr */
	__u32 gate;		/* by index, or KVM_GM_NO_GATE */
	__u64 rip;
	/*
	 * SEAL: RDI (struct gm_anchors). VIOLATION: see the kind; an exit's code is
	 * SVM's or VMX's, and of an exception has the vector << 16 besides on VMX.
	 */
	__u64 addr;
	__u64 gpa;		/* VIOLATION: of addr, ~0: none */
	__s64 ret;		/* SEAL: out from userspace, becomes RAX */
	__u32 policy;		/* VIOLATION: enum kvm_gm_policy, what has been done */
	__u32 generation;	/* of the seal, 0: none; ids are given out again */
};

/* In the padding of struct kvm_run's union, so that its layout stays stock. */
#define KVM_GM_EXIT(run)	((struct kvm_gm_exit *)(run)->padding)

/*
 * On KVM_EXIT_MMIO and KVM_EXIT_IO: the seal that the vCPU is inside of, 0: the
 * guest itself. In bits of `flags' that upstream does not use.
 */
#define KVM_GM_RUN_VIEW_SHIFT	8
#define KVM_GM_RUN_VIEW(run)	(((run)->flags >> KVM_GM_RUN_VIEW_SHIFT) & 0x1f)
/* KVM_EXIT_MMIO: it has done so in its DEVICES region; phys_addr is by `gpa' of KVM_GM_MAP. */
#define KVM_GM_RUN_DEVICES	(1 << 13)
#define KVM_GM_RUN_FLAGS	(0x1f << KVM_GM_RUN_VIEW_SHIFT | KVM_GM_RUN_DEVICES)

#define KVM_GM_SEAL	_IOWR(KVMIO, 0xf0, struct kvm_gm_seal)
#define KVM_GM_UNSEAL	_IOW(KVMIO, 0xf1, __u32)
#define KVM_GM_QUERY	_IOWR(KVMIO, 0xf2, struct kvm_gm_query)
#define KVM_GM_GRANT	_IOW(KVMIO, 0xf3, struct kvm_gm_grant)
#define KVM_GM_REVOKE	_IOW(KVMIO, 0xf4, struct kvm_gm_grant)
#define KVM_GM_COUNTS	_IOW(KVMIO, 0xf5, struct kvm_gm_counts)
#define KVM_GM_MAP	_IOW(KVMIO, 0xf6, struct kvm_gm_map)

#endif /* _UAPI_LINUX_KVM_GM_H */
