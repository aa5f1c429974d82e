/* SPDX-License-Identifier: GPL-2.0 */
/*
 * gmcc verify's own declarations.
 *
 * The verifier trusts nothing that gmcc guard did, so it shares none of its
 * analysis: only libelf, capstone, the format (gm_image.h) and util.c. Its own
 * view of an image is struct vimg, filled in by verify_elf.c and
 * verify_manifest.c; the other files prove properties of it. Nothing here
 * ends the run: what is wrong becomes a finding.
 */
#ifndef GMCC_VERIFY_H
#define GMCC_VERIFY_H

#include "gmcc.h"

#define MAX_FINDINGS	1000	/* that are kept, of a hostile image */

struct vsec;

struct vsym {
	const char *name;
	struct vsec *sec;	/* NULL: undefined or special */
	uint64_t value, size;
	uint16_t shndx;
	uint8_t type, bind;
};

struct vrel {
	uint64_t off;
	int64_t addend;
	const struct vsym *sym;
	uint32_t type, width;
};

enum vkind {
	V_PLAIN,
	V_CALL,		/* direct */
	V_JMP,
	V_JCC,
	V_RET,
	V_TRAP,		/* ud2, int3: control does not go on behind it */
};

/* What an instruction does to registers and stack, as far as anybody follows it. */
enum stack_kind {
	STACK_FORGET,		/* what it writes is unknown */
	STACK_NOTHING,
	STACK_PUSH,
	STACK_POP,
	STACK_LEAVE,
	STACK_LEA,
	STACK_MOVE,
	STACK_ADD,		/* imm, to a register */
	STACK_ALIGN,		/* and $-imm, of a register */
	STACK_TEST,		/* imm, up to the alignment's bits */
};

struct stack_op {
	uint8_t kind;		/* enum stack_kind */
	uint8_t size[2];	/* of the operands, in bytes */
	int8_t reg[2];		/* the CPU's numbers, -1: no general register */
	int8_t mem;		/* which operand is memory at base + disp, -1: none */
	int8_t base;
	uint16_t writes;	/* bits of general registers */
	int32_t disp, imm;
};

struct vinsn {
	uint32_t off;
	uint32_t target;		/* of a branch, */
	const struct vsec *target_sec;	/* NULL: not known to lead anywhere */
	uint32_t block;			/* verify_flow.c's number of what starts here, 0: none */
	struct stack_op stack;
	uint8_t len;
	uint8_t kind;			/* enum vkind */
	uint8_t imm;			/* offset of the immediate, 0: none */
	bool lea : 1;
	bool reached : 1;
	bool told : 1;			/* that the stack pointer is not where it may be */
};

struct vsec {
	const char *name;
	uint32_t index, type, link, info;
	uint64_t flags, offset, size, align, entsize;
	const uint8_t *data;		/* NULL: none */
	struct vrel *rels;		/* sorted by offset */
	size_t nr_rels;
	int region;			/* -1: not sealed */
	uint32_t kind;			/* enum kvm_gm_region_kind, 0: not sealed */
	int region_anchor;		/* -1: none */
	struct vinsn *insns;		/* of text, in order */
	size_t nr_insns;
	uint32_t *starts;		/* [offset]: number of the instruction + 1 */
	const struct vsym **funcs;	/* sorted by value */
	size_t nr_funcs;
};

struct finding {
	const char *kind;
	const struct vsec *sec;		/* NULL: the image as a whole */
	uint64_t off;
	const struct vsym *sym;		/* that covers the place, or NULL */
	const char *text;
};

/* What was looked at, for the summary. */
struct proof {
	size_t insns, unreached, locations, branches, patterns_bytes, relocs, gates, frames;
};

struct vimg {
	const char *file;
	const uint8_t *data;
	size_t size;			/* without the signature */
	size_t sig_size;
	const char *signer;		/* by the keyring, if one was given */
	struct vsec *secs;		/* [0] is the null section */
	size_t nr_secs;
	struct vsym *syms;
	size_t nr_syms;
	uint32_t symtab;		/* section index */

	const struct gm_manifest *man;	/* and its tables, all in bounds */
	const struct gm_anchor *anchors;
	const struct gm_region *regions;
	const struct gm_reloc *relocs;
	const struct gm_gate *gates;
	const struct gm_frame *frames;
	const struct gm_privilege *privileges;
	const char *strings;
	struct vsec **region_secs;	/* by region */

	const struct vsec *init_sec;	/* what the loader calls: the init stub */
	uint64_t init_off;

	bool all_privileges;		/* find even what a request covers */

	struct finding *findings;
	size_t nr_findings;
	struct proof proof;
};

/* verify.c */
void finding(struct vimg *v, const char *kind, const struct vsec *s, uint64_t off,
	     const char *fmt, ...) PRINTF(5, 6);

void print_finding(FILE *to, const struct vimg *v, const struct finding *f);

/* verify_elf.c: false if there is no point in going on */
bool verify_elf(struct vimg *v);
struct vsec *vsec_find(const struct vimg *v, const char *name);
/* The function that starts nearest before an offset, or NULL. */
const struct vsym *vfunc_of(const struct vsec *s, uint64_t off);
/* Where a relocation points: its section and offset; P is the field's end for @end. */
struct vsec *vrel_target(const struct vrel *r, int64_t end, int64_t *off);
bool vrel_is_pc(const struct vrel *r);

/* verify_manifest.c */
bool verify_manifest(struct vimg *v);
bool verify_regions(struct vimg *v);	/* false: no point in going on */
void verify_anchors(struct vimg *v);
void verify_relocs(struct vimg *v);
void verify_pointers(struct vimg *v);
/* What the manifest's relocation of a place in a region refers to, or NULL. */
const struct gm_anchor *vanchor_at(const struct vimg *v, const struct vsec *s, uint32_t off);
const char *vstring(const struct vimg *v, uint32_t off);

/* verify_gates.c */
void verify_gates(struct vimg *v);
/* The gate whose hypercall is at a place, or NULL. */
const struct gm_gate *vgate_at(const struct vimg *v, const struct vsec *s, uint64_t off);

/* verify_stack.c */
void stack_note(size_t cs, const struct cs_insn *in, struct stack_op *op);

/* verify_insn.c: NULL if an instruction needs no privilege, else its name */
const char *insn_privilege(size_t cs, const struct cs_insn *in);
/* The privilege that it may be requested by, and with which flags; 0: none. */
uint32_t insn_requestable(const struct cs_insn *in, uint32_t *flags);

/* verify_requests.c */
void verify_requests(struct vimg *v);
bool vrequested(const struct vimg *v, uint32_t kind, uint32_t flags);

/* verify_text.c */
void verify_decode(struct vimg *v);
void verify_branches(struct vimg *v);
void verify_patterns(struct vimg *v);
void verify_reach(struct vimg *v);
/* Inside a function: says where code is, as _THIS_IP_ does; nobody calls it. */
bool is_location(const struct vsec *s, int64_t off);
const struct vinsn *vinsn_at(const struct vsec *s, uint64_t off);

/* verify_edges.c */
void verify_edges(struct vimg *v);

/* verify_frames.c */
void verify_frames(struct vimg *v);

/* All of it, in order. */
void verify_image(struct vimg *v);
/* Of an image in memory; what is wrong with it goes to standard error. */
bool verified(const char *out, const void *image, size_t size);

#endif /* GMCC_VERIFY_H */
