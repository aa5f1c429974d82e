/* SPDX-License-Identifier: GPL-2.0 */
/*
 * gmcc's own declarations: the object in memory, and what each file offers.
 *
 * An input object is read once (elf_in.c) into struct obj; every later pass
 * changes that structure and nothing else; emit.c writes it out. Sections,
 * symbols and relocations point at one another, so that nothing has to be
 * renumbered before emit.c does so.
 *
 * Memory comes from one arena (util.c) and lives until the run ends.
 */
#ifndef GMCC_H
#define GMCC_H

#include <elf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <gm_image.h>

#define GMCC_VERSION	"0.1"

#define GM_PAGE		4096ULL
#define GM_SLOT		16		/* bytes of one gate or stub */

#define EXIT_REFUSED	1
#define EXIT_USAGE	2

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define PRINTF(f, a)	__attribute__((format(printf, f, a)))

/* What becomes of a section. */
enum role {
	ROLE_KEEP,	/* the guest's, as it is; shared if sealed text refers to it */
	ROLE_DROP,	/* not in the image */
	ROLE_GUEST,	/* the guest's own code: sealed text calls out to it */
	ROLE_TEXT,	/* sealed, by enum kvm_gm_region_kind */
	ROLE_RODATA,
	ROLE_DATA,
	ROLE_GATES,
	ROLE_STACK,
	ROLE_HOSTINFO,
	ROLE_DEVICES,
};

struct sym {
	const char *name;
	struct sec *sec;	/* NULL: undefined or special */
	uint64_t value, size;
	unsigned int index;	/* in the input's symbol table */
	unsigned int out;	/* in the output's */
	uint16_t shndx;		/* if !sec: SHN_UNDEF, SHN_ABS, ... */
	uint8_t info, other;
	int anchor, percpu_anchor;	/* of an undefined symbol, -1: none yet */
	bool internal;		/* gmcc's own, or of no use: not in the image */
	const char *wrapped_by;	/* of an import: the object that the module calls instead */
	struct gate *gate;	/* of a function */
	struct stub *stub;	/* of an undefined symbol that is called */
	struct func *func;	/* frames.c's notes on a function */
	bool lends_args;	/* a function that takes its stack arguments' address */
	struct sym *entry;	/* of a function: what its gate leads to, if not itself */
	unsigned int incoming;	/* words on the stack that a function takes */
};

struct rel {
	uint64_t off;
	int64_t addend;
	struct sym *sym;
	uint32_t type;
	uint8_t bias;		/* in text: from the field to the instruction's end, if relative */
	bool percpu;		/* of an instruction relative to the GS base */
	bool dead;		/* rewritten away */
};

/* One decoded instruction of sealed text. */
enum insn_kind {
	INSN_OTHER,
	INSN_CALL,	/* direct */
	INSN_JMP,
	INSN_JCC,
	INSN_RET,
	INSN_PUSH,
	INSN_LEA,
};

/* The arithmetic flags, as bits of struct insn's masks. */
#define FLAG_CF	(1 << 0)
#define FLAG_PF	(1 << 1)
#define FLAG_AF	(1 << 2)
#define FLAG_ZF	(1 << 3)
#define FLAG_SF	(1 << 4)
#define FLAG_OF	(1 << 5)
#define FLAG_ALL	0x3f

/* CFA - off - gap, where the gap makes it a multiple of align (if there is one). */
enum spot_state { SPOT_NONE, SPOT_KNOWN, SPOT_LOST };

struct spot {
	uint8_t state;		/* enum spot_state */
	uint8_t align, base;	/* base: off where the gap arose, modulo align */
	int32_t off;
};

enum sp_effect {
	SP_SAME,
	SP_ADD,			/* RSP += sp_imm */
	SP_AND,			/* RSP &= sp_imm, a power of two negated */
	SP_FROM_BP,		/* RSP = RBP + sp_imm */
	SP_LOST,
};

enum bp_effect {
	BP_SAME,
	BP_FROM_SP,		/* RBP = RSP + bp_imm */
	BP_LOST,
};

/* There are many: kept small. */
struct insn {
	struct rel *rel;	/* of a branch */
	struct stub *stub;	/* of a branch that leads out */
	struct edit *edit;	/* what layout.c puts in its place */
	uint32_t off;
	uint32_t target;	/* of a branch without relocation */
	uint8_t len;
	uint8_t kind;		/* enum insn_kind */
	uint8_t disp, imm;	/* offsets of these fields, 0: none */
	uint8_t flags_read, flags_set;	/* FLAG_* */
	uint8_t sp_effect, bp_effect;	/* enum sp_effect, enum bp_effect */
	int32_t sp_imm, bp_imm;
	int32_t sp_disp;	/* of the operand based on RSP or RBP */
	uint8_t to, from;	/* general registers 1 + n that are the first operand, the second */
	bool guests_own : 1;	/* convert.c lets the guest do it */
	bool pv_call : 1;	/* call through the kernel's pv_ops */
	bool indexed : 1;	/* memory operand with an index register */
	bool sp_mem : 1;	/* memory operand based on RSP */
	bool bp_mem : 1;	/* memory operand based on RBP */
	bool sp_copy : 1;	/* RSP itself is copied to another register */
	bool sp_write : 1;	/* RSP is changed other than by push, pop, call */
	bool canary_load : 1;	/* loads the stack protector's canary */
	bool canary_store : 1;	/* stores a register just loaded so */
	bool saves : 1;		/* pushes a callee-saved register */
	bool inner : 1;		/* of one edit, as the instruction before it is */
	/* What stack.c found out, from before the instruction. */
	uint8_t gap;		/* of a call: the gap that it is for */
	uint8_t orc_reg;
	int16_t orc_off;
	struct spot sp, bp;
};

struct sec {
	const char *name;	/* in the input, for messages */
	const char *out_name;
	uint32_t type, link, info;
	uint64_t flags, align, entsize, size;
	uint8_t *data;		/* NULL: no content */
	uint64_t mem_size;	/* before padding */

	struct rel *rels;
	size_t nr_rels;
	struct sym *section_sym;

	const struct special *special;
	enum role role;
	bool used_by_text;	/* sealed text reads, writes or takes an address */
	bool escapes;		/* the address of something in it is taken ... */
	const struct sec *escape_sec;	/* ... here, first */
	uint64_t escape_off;
	int region;		/* index, -1: none */
	int anchor;		/* index, -1: none */

	struct sym **funcs;	/* sorted by value */
	size_t nr_funcs;
	struct insn *insns;
	size_t nr_insns;
	struct orc *orc;	/* sorted by offset */
	size_t nr_orc;
	struct map *map;	/* layout.c: from old offsets to new ones */

	unsigned int out;	/* index in the output's section table */
	uint64_t file_offset;
};

/* A slot in .gm.gates that leads to a function of the module. */
struct gate {
	struct sec *sec;	/* of the function */
	uint64_t off;
	const char *name;
	uint32_t slot;		/* offset in .gm.gates */
	uint8_t flags;
	unsigned int stack_words;
	struct sym *sym;
};

/* A slot in .gm.stubs that leads out. */
struct stub {
	const char *name;
	struct sym *target;	/* OUT_CALL; NULL: through a register */
	uint64_t target_off;	/* in target's section, if it has one */
	uint32_t slot;
	uint32_t insn;		/* of the hypercall, in .gm.stubs */
	unsigned int stack_words;
	bool fixed_words;	/* stack_words is from a prototype */
	struct sym *sym;
};

struct frame {
	struct sec *sec;
	uint32_t off;		/* after the call */
	uint32_t size;
	uint16_t window, window_len;
};

#define MAX_STACKS	256
#define MAX_STACK_PAGES	8

struct options {
	const char *out;
	const char *btf;
	const char *policy;	/* file, NULL: the defaults */
	const struct requests *requests;	/* by option, NULL: none */
	const char **absorb;	/* files */
	size_t nr_absorb;
	unsigned int stacks, stack_pages;	/* 0: by the policy, or the defaults */
};

/* An object whose functions are the module's by then. */
struct absorbed {
	const char *file;
	uint8_t *data;
	size_t size;
	const char *names;	/* of the kernel's functions that they stand for, a space before each */
};

struct obj {
	const char *file;
	const char *name;	/* the module's, from .modinfo */
	bool linux_6_1;		/* what it was built for, from there too; else 6.12 */
	uint8_t id[GM_ID_LEN];
	const struct options *opt;
	struct policy *policy;
	struct absorbed *absorbed;
	size_t nr_absorbed;
	unsigned int stacks, stack_pages;

	struct sec **secs;
	size_t nr_secs;
	struct sym **syms;	/* [0] is the null symbol */
	size_t nr_syms;
	uint32_t eflags;

	struct gate **gates;
	size_t nr_gates;
	struct stub **stubs;
	size_t nr_stubs;
	struct frame *frames;
	size_t nr_frames;

	struct sec *s_gates, *s_stubs, *s_stacks, *s_anchors, *s_manifest;
	struct sec *s_glue, *s_guest;
	struct sym *init_stub;
	bool init_linked;	/* the loader will call it */
	struct sym *guest_thunk;	/* glue.c's calls out, through R11 */
};

/* The part of ORC that matters here: CFA = register + sp_offset. */
#define ORC_REG_NONE	0
#define ORC_REG_DX	2	/* while a function aligns its frame: the CFA itself */
#define ORC_REG_DI	3
#define ORC_REG_BP	4
#define ORC_REG_SP	5
#define ORC_REG_R10	6	/* as DX */
#define ORC_REG_R13	7
#define ORC_REG_BP_INDIRECT 8
#define ORC_TYPE_CALL	2

struct orc {
	uint32_t off;
	int16_t sp_offset;
	uint8_t sp_reg, type;
};

/* util.c */
void *xalloc(size_t size);
/* In a new process: from memory that it does not share with its parent. */
void xalloc_afresh(void);
void *xmemdup(const void *p, size_t size);
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);
/* An array that xgrow() can enlarge, and room in it for one more than @nr. */
void *xarray(size_t nr, size_t elem);
void *xgrow(void *array, size_t nr, size_t elem);
/* Called at the end of the run, however it ends, before memory goes. */
void at_end(void (*fn)(void *), void *arg);
/*
 * Ends the run. A process with more than one run (the fuzzers) sets run_over,
 * which must not return, and calls run_release() itself.
 */
_Noreturn void run_exit(int status);
extern void (*run_over)(int status);
void run_release(void);
/* An error that ends the run, with this status (EXIT_REFUSED if not set). */
extern int die_status;
_Noreturn void die(const char *file, const char *fmt, ...) PRINTF(2, 3);
/* A refusal at a place; the run goes on, to find the others. */
void refuse(const struct obj *o, const struct sec *s, uint64_t off,
	    const char *fmt, ...) PRINTF(4, 5);
/* Ends the run if anything was refused. */
void refused_exit(const struct obj *o);
/* Reads a whole file, unpacking .xz and .zst by their magic. */
uint8_t *read_input(const char *file, size_t *size);
/* Writes a whole file, or nothing of it. */
void write_output(const char *file, const void *data, size_t size);

/* decoder.c: capstone; what is opened is closed at the end of the run */
struct cs_insn;
struct decoder {
	size_t cs;		/* csh */
	struct cs_insn *in;
};
struct decoder decoder_open(const char *file);

/* elf_in.c */
struct obj *obj_read(const char *file, uint8_t *data, size_t size);
struct sym *obj_symbol(struct obj *o, const char *name, unsigned char type,
		       struct sec *s, uint64_t value, uint64_t size);
struct sec *obj_section(struct obj *o, const char *name, uint32_t type,
			uint64_t flags, uint64_t size);
/* The function that starts at, or that holds, an offset; or NULL. */
struct sym *func_at(const struct sec *s, uint64_t off);
struct sym *func_of(const struct sec *s, uint64_t off);

/* Finds the functions of every section anew. */
void obj_index(struct obj *o);

/* absorb.c: what the options name becomes part of the module */
void absorb(struct obj *o);

/* callees.c */
struct callee {
	const char *name;
	uint8_t flags;		/* KVM_GM_GATE_F_* */
	uint16_t results;	/* as in struct gm_gate */
	uint16_t linear;	/* arguments in these registers point to no object on a stack */
};

/* What is known of an undefined symbol; all zero: the C calling convention. */
const struct callee *callee_known(const char *symbol);

/* sections.c */
struct sec *section_named(const struct obj *o, const char *name);
void sections_classify(struct obj *o);
void sections_filter_sites(struct obj *o);
bool section_is_data(const struct sec *s);
bool section_is_percpu(const struct sec *s);
bool section_is_location(const struct sec *s);
bool section_is_relative(const struct sec *s);
bool section_is_this_module(const struct sec *s);

/* text.c */
void text_decode(struct obj *o, struct sec *s);
/* Hypercall bytes across two instructions are parted by a nop (edits, for layout.c). */
bool text_part_patterns(struct sec *s);
void text_scan_patterns(struct obj *o, const struct sec *s);
/* The instruction that starts at an offset, or NULL. */
struct insn *insn_at(const struct sec *s, uint64_t off);
/* Nothing from @n on reads flags that are set before it. NULL: a section's end. */
bool flags_dead_at(const struct sec *s, const struct insn *n);

/* vector.c: the length of an AVX instruction, its disp and imm in @n; 0: none */
size_t vector_length(const uint8_t *p, size_t left, struct insn *n, bool *rip);

/* layout.c: other code in the place of an instruction */
struct piece {
	uint8_t bytes[15], len;
	uint8_t kind, disp, imm;	/* as in struct insn */
	uint8_t field;			/* of the 4 bytes to fill in, 0: none */
	struct sym *sym;		/* relative to sym + addend, or ... */
	uint64_t addend;
	int to_piece;			/* ... to a piece of this edit, or -1 */
	const struct insn *copy;	/* or a copy of this instruction */
	uint8_t gap;			/* as in struct insn */
};

struct edit {
	struct piece *pieces;
	size_t nr;
};

struct edit *edit_new(struct insn *n);
struct piece *edit_bytes(struct edit *e, const uint8_t *bytes, size_t len);
/* A branch to a place; opcode e8, e9 or (conditions) 80..8f. */
struct piece *edit_branch(struct edit *e, uint8_t opcode, struct sym *sym, uint64_t off);
void layout_text(struct obj *o);

/* alternatives.c */
void alternatives_apply(struct obj *o);

/* convert.c */
void convert_text(struct obj *o);

/* stack.c */
bool insn_falls_through(const struct sec *s, const struct insn *n);	/* to the next one */
void stack_by_orc(struct sec *s);	/* if RSP is described throughout */
void stack_follow(struct obj *o);

/* glue.c: code of gmcc's own, inside and outside */
#define BIT_RAX		(1 << 0)
#define BIT_RCX		(1 << 1)
#define BIT_RDX		(1 << 2)
#define BIT_RSI		(1 << 6)
#define BIT_RDI		(1 << 7)
void glue_init(struct obj *o);
struct sym *glue_call_out(struct obj *o, struct sym *target, unsigned int results);
struct sym *glue_call_memory(struct obj *o, struct sym *pointer, int64_t addend);
struct sym *glue_guest_insn(struct obj *o, const uint8_t *bytes, size_t len, unsigned int results);
struct sym *glue_trap(struct obj *o, const char *function, struct sym **guest);
struct sym *glue_leaf(struct obj *o, const char *name);
void glue_finish(struct obj *o);

/* rewrite.c */
void rewrite_text(struct obj *o, struct sec *s);
void rewrite_data(struct obj *o, struct sec *s);

/* gates.c */
void gates_init(struct obj *o);
struct sym *symbol_defined(const struct obj *o, const char *name);
struct gate *gate_for(struct obj *o, struct sec *s, uint64_t off,
		      const struct sec *from, uint64_t from_off);
struct stub *stub_for(struct obj *o, struct sym *target);
struct stub *stub_for_guest_code(struct obj *o, struct sym *target, uint64_t off);
struct stub *stub_for_guest_thunk(struct obj *o);
struct stub *stub_for_register(struct obj *o, const char *reg);
void gates_finish(struct obj *o);
struct stub *stub_new(struct obj *o, const char *name);

/* dispatch.c: calls through pointers to the module's own functions, for gates_finish() */
void dispatch_plan(struct obj *o);
uint64_t dispatch_size(struct obj *o, uint64_t slots);	/* of .gm.stubs, behind its slots */
void dispatch_write(struct obj *o);
void dispatch_finish(struct obj *o);

/* seal.c */
void seal_sections(struct obj *o);

/* orc.c */
void orc_read(struct obj *o);
const struct orc *orc_at(const struct sec *s, uint32_t off);

/* frames.c */
void frames_check_relocs(const struct obj *o);
void frames_check_count(struct obj *o);
void frames_find_variadic(struct obj *o);
void frames_build(struct obj *o);
/* Values pushed right before a call: its arguments on the stack, at most. */
unsigned int pushes_before(const struct sec *s, const struct insn *call);
/* Where locals end and saved registers begin, relative to the CFA (or CFA - gap). */
int64_t frame_top(const struct sec *s, const struct insn *n);

/* kbtf.c */
void kbtf_prototypes(struct obj *o);
struct kbtf_pointer {		/* as in struct gm_pointer */
	uint8_t argument, flags;
	const char *type;
	uint32_t size;
};
/* The pointers among the register arguments of a function: the module's own, or the kernel's. */
unsigned int kbtf_pointers(struct obj *o, const char *function, bool own,
			   struct kbtf_pointer *to);
bool kbtf_module_member(struct obj *o, const char *member, uint64_t *off);
void kbtf_load(const char *file);

/* pointers.c */
void pointers_build(struct obj *o);

/* args.c */
void args_count(struct obj *o);

/* manifest.c */
#define GATE_RET_OFFSET		0x00	/* in .gm.gates */
#define GATE_RESUME_OFFSET	0x10
#define GATE_TRAMPOLINE_OFFSET	0x20	/* IN_RETURN follows, 3 bytes on */
#define GATE_INIT_OFFSET	0x30
#define GATE_FIRST_OFFSET	0x100
#define GATE_IN_CALL_INSN	4	/* in its slot, after endbr64 */
#define STUB_RETURN_OFFSET	0x00	/* in .gm.stubs */
#define STUB_FIRST_OFFSET	0x10
void anchors_build(struct obj *o);
void manifest_size(struct obj *o);
void manifest_fill(struct obj *o);

/* guard.c: all of it, from the bytes of a module to those of its image */
struct obj *guard_image(const char *file, uint8_t *data, size_t size, const struct options *opt,
			void **image, size_t *image_size);

/* emit.c */
void *obj_emit(struct obj *o, size_t *size);

/* image.c: a bounds-checked look at a guarded image */
struct image {
	const uint8_t *data;
	size_t size;		/* without the signature */
	const struct gm_manifest *man;
	const struct gm_anchor *anchors;
	const struct gm_region *regions;
	const struct gm_reloc *relocs;
	const struct gm_gate *gates;
	const struct gm_frame *frames;
	const struct gm_privilege *privileges;
	const char *strings;
	const struct pointers *pointers;	/* none: empty */
	const uint8_t *sig;	/* PKCS#7 DER, NULL: unsigned */
	size_t sig_size;
};
void image_read(struct image *img, const char *file, const uint8_t *data, size_t size);
const char *image_string(const struct image *img, uint32_t off);

/* sign.c: the length without an appended signature, and that of its PKCS#7 */
size_t signature_find(const uint8_t *data, size_t size, size_t *sig_size);

/* The subcommands. */
int cmd_guard(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_sign(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_build(int argc, char **argv);
/* driver.c: as kbuild calls them */
int cmd_cc(int argc, char **argv);
int cmd_ld(int argc, char **argv);

#endif /* GMCC_H */
