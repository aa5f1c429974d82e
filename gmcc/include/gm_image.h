/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The guarded image: what gmcc writes, QEMU reads, and the guest loads.
 *
 * A guarded image is an ordinary x86-64 ELF64 relocatable object that the
 * stock Linux module loader accepts, with
 *
 *   - every sealed section page-aligned and padded to whole pages;
 *   - an allocated section GM_SECTION_ANCHORS (struct gm_anchors), whose
 *     values[] the guest's loader fills in through ordinary R_X86_64_64
 *     relocations, so that userspace learns where things were loaded;
 *   - a non-allocated section GM_SECTION_MANIFEST (struct gm_manifest and its
 *     tables), so that nobody but gmcc interprets the ELF relocations;
 *   - optionally, at the end, a PKCS#7 signature over all bytes before it, in
 *     the kernel's own format: DER, struct module_signature (12 bytes,
 *     id_type 2, sig_len big-endian), then "~Module signature appended~\n".
 *
 * All fields are little-endian; all table offsets are from the start of the
 * manifest and 8-byte aligned. Everything is covered by the signature, and is
 * bounds-checked by every reader all the same.
 */
#ifndef GM_IMAGE_H
#define GM_IMAGE_H

#include <linux/types.h>
#include <linux/kvm_gm.h>	/* region and gate kinds */

#define GM_MANIFEST_VERSION	3
#define GM_MANIFEST_MAGIC	"GMIMAGE"		/* with its NUL: 8 bytes */
#define GM_ANCHORS_MAGIC	"GMANCHR"
#define GM_ID_LEN		32			/* SHA-256 */
#define GM_STACK_GUARD		1	/* lowest pages of a private stack, out of reach */

#define GM_SECTION_MANIFEST	".gm.manifest"
#define GM_SECTION_ANCHORS	".gm.anchors"
#define GM_SECTION_GATES	".gm.gates"
#define GM_SECTION_STUBS	".gm.stubs"
#define GM_SECTION_GLUE		".gm.glue"	/* sealed code of gmcc's own */
#define GM_SECTION_GUEST	".gm.guest"	/* code for the guest to run, not sealed */
#define GM_SECTION_STACKS	".gm.stacks"
#define GM_SECTION_HOSTINFO	".gm.hostinfo"	/* of the module's own: a HOSTINFO region */
#define GM_SECTION_DEVICES	".gm.devices"	/* of the module's own: a DEVICES region */
#define GM_SECTION_POINTERS	".gm.pointers"	/* not loaded, and not always there */

struct gm_table {
	__u32 offset;		/* bytes from the manifest's start, 8-byte aligned */
	__u32 count;		/* entries (strings: bytes) */
};

struct gm_manifest {
	char  magic[8];
	__u32 version;		/* GM_MANIFEST_VERSION */
	__u32 size;		/* of the whole manifest, bytes */
	__u8  id[GM_ID_LEN];	/* SHA-256 of the input module, what it absorbs and the gmcc version */
	char  name[KVM_GM_NAME_LEN];	/* the module's name, as in lsmod */
	__u32 stack_pages;	/* of each private stack, GM_STACK_GUARD included */
	__u32 nr_stacks;	/* private stacks = activations at most */
	struct gm_table anchors;	/* struct gm_anchor */
	struct gm_table regions;	/* struct gm_region */
	struct gm_table relocs;		/* struct gm_reloc, sorted by region, offset */
	struct gm_table gates;		/* struct gm_gate, sorted by region, offset */
	struct gm_table frames;		/* struct gm_frame, sorted by region, offset */
	struct gm_table strings;	/* NUL-terminated, first byte NUL */
	__u32 trampoline_region, trampoline_offset;
	__u32 ret_region, ret_offset;
	struct gm_table privileges;	/* struct gm_privilege, sorted by kind, first */
	__u64 reserved[7];	/* 0 */
};

enum gm_anchor_kind {
	GM_ANCHOR_REGION = 1,	/* start of a sealed section; index = region */
	GM_ANCHOR_SHARED = 2,	/* start of a section that stays the guest's */
	GM_ANCHOR_EXTERN = 3,	/* an undefined symbol, resolved by the loader */
	GM_ANCHOR_PERCPU = 4,	/* the same, addressed relative to the GS base */
};

/*
 * A PERCPU reference reaches less than this from the GS base; KVM keeps as much
 * between the base and a module (crossing.c: gm_environment_ok).
 */
#define GM_PERCPU_REACH		(2U << 20)

struct gm_anchor {
	__u32 kind;		/* enum gm_anchor_kind */
	__u32 name;		/* offset in strings: section or symbol */
	__u64 size;		/* REGION, SHARED: bytes in memory; EXTERN: 0 */
};

/* The memory image of GM_SECTION_ANCHORS, in the guest, after loading. */
struct gm_anchors {
	char  magic[8];
	__u8  id[GM_ID_LEN];	/* = gm_manifest.id */
	__u32 count;		/* = gm_manifest.anchors.count */
	__u32 reserved;		/* 0 */
	__u64 values[];		/* one per anchor; untrusted */
};

struct gm_region {
	__u32 kind;		/* enum kvm_gm_region_kind */
	__u32 anchor;		/* its GM_ANCHOR_REGION */
	__u64 file_offset;	/* of the content in the image file; 0 if no content */
	__u64 size;		/* bytes in memory, multiple of 4096 */
	__u64 file_size;	/* size, or 0: zeroes (STACK, .bss) */
};

enum gm_reloc_type {		/* S = value of anchor, A = addend, P = place */
	GM_RELOC_64	= 1,	/* S + A,     8 bytes */
	GM_RELOC_32	= 2,	/* S + A,     4 bytes, zero-extends to itself */
	GM_RELOC_32S	= 3,	/* S + A,     4 bytes, sign-extends to itself */
	GM_RELOC_PC32	= 4,	/* S + A - P, 4 bytes, sign-extends to itself */
	GM_RELOC_PC64	= 5,	/* S + A - P, 8 bytes */
};

struct gm_reloc {
	__u32 region;
	__u32 offset;
	__u32 type;		/* enum gm_reloc_type */
	__u32 anchor;
	__s64 addend;
};

struct gm_gate {
	__u32 region;
	__u32 offset;		/* of the 3-byte hypercall instruction */
	__u8  kind;		/* enum kvm_gm_gate_kind */
	__u8  flags;		/* KVM_GM_GATE_F_* */
	__u16 stack_words;
	__u32 name;		/* offset in strings: symbol */
	__u32 target_anchor;	/* IN_CALL, OUT_CALL: target = value + addend */
	__u16 results;		/* as in struct kvm_gm_gate */
	__u16 reserved;		/* 0 */
	__s64 target_addend;
};

struct gm_frame {		/* see struct kvm_gm_frame */
	__u32 region;
	__u32 offset;		/* after the call instruction */
	__u32 size;
	__u16 window;
	__u16 window_len;
};

/*
 * What the module asks for. An administrator grants that, or less: a range
 * within one of the same kind here, without WRITE if that is not here.
 *
 *	kind		first, last
 *	MMIO		PCI id (vendor << 16 | device) of a device whose registers it drives,
 *			twice; or 0, 0xffffffff: any device
 *	PIO		I/O ports, 0..0xffff
 *	MSR		indices
 *	MWAIT, HOSTINFO	0, 0; at most one of each
 *
 * No two of a kind share a value. Flags are 0, but for MSR's WRITE. There is a
 * HOSTINFO region, of one page and without content, exactly if HOSTINFO is here; there
 * may be one DEVICES region, of two pages at least and without content, if MMIO is.
 *
 * As text, in modinfo (GM_MODINFO_PRIVILEGE), policies, and on the monitor:
 * mmio=8086:10d3 (mmio: any device), pio=0x60-0x64, msr=0x35, msr=0x198-0x199:rw,
 * mwait, hostinfo. On the monitor, mmio= has the id of a device of QEMU's.
 */
#define GM_MODINFO_PRIVILEGE	"gm_privilege"
#define GM_MAX_PRIVILEGES	64

/*
 * In modinfo, one for each object that gmcc has absorbed: `OBJECT: NAME NAME...', the
 * kernel's functions that functions of OBJECT stand for. Not a part of the manifest.
 */
#define GM_MODINFO_ABSORBED	"gm_absorbed"

struct gm_privilege {
	__u32 kind;		/* enum kvm_gm_privilege */
	__u32 flags;		/* KVM_GM_PRIV_F_* */
	__u64 first, last;	/* last included */
};

/*
 * GM_SECTION_POINTERS: which register arguments of a gate are pointers, by the
 * prototypes in BTF, for whoever wants to check them. A gate that is not in it,
 * or an argument, may have one all the same. It is no part of the manifest, and
 * readers that do not know it pass it over. Offsets are from its start.
 */
#define GM_POINTERS_MAGIC	"GMPOINT"
#define GM_POINTERS_VERSION	1

struct gm_pointers {
	char  magic[8];
	__u32 version;		/* GM_POINTERS_VERSION */
	__u32 size;		/* of the whole section, bytes */
	__u8  id[GM_ID_LEN];	/* = gm_manifest.id */
	struct gm_table pointers;	/* struct gm_pointer, sorted by gate, argument */
	struct gm_table strings;	/* NUL-terminated, first byte NUL */
};

#define GM_POINTER_ARGUMENTS	6	/* RDI, RSI, RDX, RCX, R8, R9 */
#define GM_POINTER_F_CONST	(1 << 0)	/* the callee only reads */
#define GM_POINTER_F_FUNCTION	(1 << 1)

struct gm_pointer {
	__u32 region;		/* of the gate, as in struct gm_gate */
	__u32 offset;
	__u32 type;		/* offset in strings: of what it points to, "": no name */
	__u32 size;		/* of that in bytes, 0: not known */
	__u8  argument;		/* from 0 on */
	__u8  flags;		/* GM_POINTER_F_* */
	__u16 reserved;		/* 0 */
};

#endif /* GM_IMAGE_H */
