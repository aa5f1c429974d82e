// SPDX-License-Identifier: GPL-2.0
/*
 * Code of gmcc's own: .gm.glue, which is sealed, and .gm.guest, which is not.
 *
 * Some things the module must not do itself, and a plain call out would lose
 * registers that the code around it keeps. Glue saves all of those, calls out
 * and restores all but the results:
 *
 *	glue:	push every caller-saved register
 *		call a stub (or: set R11, call the stub through R11)
 *		pop them, but for the results
 *		ret
 *
 * What the guest is to do is in .gm.guest: a trap whose address is in
 * __bug_table, or one instruction. It is ordinary text of the guest's, like the
 * kernel's own: what runs there has no privilege, and may be anything.
 *
 * Keeps I3: a register is what it was before, or a result, whatever the guest
 * does; after ins and outs RDI, RSI and RCX are computed inside.
 */
#include <string.h>

#include "gmcc.h"

#define RET		0xc3
#define INT3		0xcc
#define SITE_SIZE	4	/* an entry of .return_sites */
#define VARIADIC_WORDS	6	/* arguments on the stack that such a function may have */

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11 };

/* In the order of pushing. RBX, RBP and R12 to R15 are KVM's to keep. */
static const uint8_t saved[] = { R11, RAX, RCX, RDX, RSI, RDI, R8, R9, R10 };

/* A section being written. */
struct code {
	struct sec *s;
	uint8_t *data;
	size_t size;
	struct sym *f;		/* the function that is open */
	int sp;			/* CFA - RSP */
};

struct known {
	const void *key;
	int64_t addend;
	struct sym *glue, *guest;
};

static struct code glue, guest;
static struct known *known;
static size_t nr_known;
static struct sym *trap_tail;
static struct sec *return_sites;
static struct sym *return_thunk;
static size_t nr_returns;

static void put(struct code *c, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		c->data = xgrow(c->data, c->size, 1);
		c->data[c->size++] = ((const uint8_t *)bytes)[i];
	}
}

#define PUT(c, ...) put(c, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void add_rel(struct sec *s, uint64_t off, struct sym *y, int64_t addend)
{
	s->rels = xgrow(s->rels, s->nr_rels, sizeof(*s->rels));
	s->rels[s->nr_rels++] = (struct rel){ .off = off, .type = R_X86_64_PC32, .sym = y,
					      .addend = addend };
}

/* A 4-byte field at the end of an instruction: the distance to a symbol. */
static void put_distance(struct code *c, struct sym *y, int64_t addend)
{
	add_rel(c->s, c->size, y, addend - 4);
	PUT(c, 0, 0, 0, 0);
}

static void note_sp(struct code *c, int sp)
{
	struct sec *s = c->s;

	c->sp = sp;
	if (s->nr_orc && s->orc[s->nr_orc - 1].off == c->size)
		s->nr_orc--;
	s->orc = xgrow(s->orc, s->nr_orc, sizeof(*s->orc));
	s->orc[s->nr_orc++] = (struct orc){ .off = c->size, .sp_offset = sp, .sp_reg = ORC_REG_SP,
					    .type = ORC_TYPE_CALL };
}

static void begin(struct obj *o, struct code *c, const char *name, unsigned int align)
{
	while (c->size % align)
		PUT(c, INT3);
	c->f = obj_symbol(o, name, STT_FUNC, c->s, c->size, 0);
	c->s->funcs = xgrow(c->s->funcs, c->s->nr_funcs, sizeof(*c->s->funcs));
	c->s->funcs[c->s->nr_funcs++] = c->f;
	note_sp(c, 8);
}

static struct sym *end(struct code *c)
{
	c->f->size = c->size - c->f->value;
	return c->f;
}

static void push(struct code *c, uint8_t reg)
{
	if (reg >= R8)
		PUT(c, 0x41);
	PUT(c, 0x50 | (reg & 7));
	note_sp(c, c->sp + 8);
}

static void pop(struct code *c, uint8_t reg)
{
	if (reg >= R8)
		PUT(c, 0x41);
	PUT(c, 0x58 | (reg & 7));
	note_sp(c, c->sp - 8);
}

/* lea 8(%rsp),%rsp: the flags stay */
static void skip(struct code *c)
{
	PUT(c, 0x48, 0x8d, 0x64, 0x24, 0x08);
	note_sp(c, c->sp - 8);
}

static void call(struct code *c, struct sym *y)
{
	PUT(c, 0xe8);
	put_distance(c, y, 0);
}

static void restore(struct code *c, unsigned int results)
{
	for (size_t i = sizeof(saved); i--;) {
		if (results >> saved[i] & 1)
			skip(c);
		else
			pop(c, saved[i]);
	}
}

static void save_from(struct code *c, size_t i)
{
	for (; i < sizeof(saved); i++)
		push(c, saved[i]);
}

static struct known *known_for(const void *key, int64_t addend)
{
	for (size_t i = 0; i < nr_known; i++)
		if (known[i].key == key && known[i].addend == addend)
			return &known[i];
	known = xgrow(known, nr_known, sizeof(*known));
	known[nr_known] = (struct known){ .key = key, .addend = addend };
	return &known[nr_known++];
}

void glue_init(struct obj *o)
{
	const uint64_t flags = SHF_ALLOC | SHF_EXECINSTR;

	glue = guest = (struct code){ 0 };
	known = NULL;
	nr_known = nr_returns = 0;
	trap_tail = return_thunk = NULL;
	o->s_glue = obj_section(o, GM_SECTION_GLUE, SHT_PROGBITS, flags, 0);
	o->s_glue->role = ROLE_TEXT;
	/* Behind what the module has there already. */
	o->s_guest = section_named(o, GM_SECTION_GUEST);
	if (!o->s_guest) {
		o->s_guest = obj_section(o, GM_SECTION_GUEST, SHT_PROGBITS, flags, 0);
		o->s_guest->align = 1;
	}
	o->s_guest->role = ROLE_GUEST;
	if (o->s_guest->align < 16)
		o->s_guest->align = 16;
	glue.s = o->s_glue;
	guest.s = o->s_guest;
	if (guest.s->size)
		put(&guest, guest.s->data, guest.s->size);
	o->guest_thunk = obj_symbol(o, "gm_guest_thunk", STT_NOTYPE, NULL, 0, 0);
	o->guest_thunk->internal = true;
	return_sites = section_named(o, ".return_sites");
	for (size_t i = 1; i < o->nr_syms; i++)
		if (!o->syms[i]->sec && !strcmp(o->syms[i]->name, "__x86_return_thunk"))
			return_thunk = o->syms[i];
}

/* A function of the kernel, called by its own rules. */
struct sym *glue_call_out(struct obj *o, struct sym *target, unsigned int results)
{
	struct known *k = known_for(target, results);

	if (k->glue)
		return k->glue;
	begin(o, &glue, xasprintf("gm_keep_%s", target->name), 16);
	save_from(&glue, 0);
	call(&glue, target);
	restore(&glue, results);
	PUT(&glue, RET);
	return k->glue = end(&glue);
}

/* call *pointer(%rip), of a function that keeps all but RAX. */
struct sym *glue_call_memory(struct obj *o, struct sym *pointer, int64_t addend)
{
	struct known *k = known_for(pointer, addend);

	if (k->glue)
		return k->glue;
	begin(o, &glue, xasprintf("gm_keep_%s_%llx", pointer->name, (unsigned long long)addend), 16);
	save_from(&glue, 0);
	PUT(&glue, 0x4c, 0x8b, 0x1d);		/* mov pointer(%rip),%r11 */
	put_distance(&glue, pointer, addend);
	call(&glue, o->guest_thunk);
	restore(&glue, BIT_RAX);
	PUT(&glue, RET);
	return k->glue = end(&glue);
}

/* The kernel's way to return, which its loader may patch. */
static void guest_return(void)
{
	if (!return_thunk || !return_sites || return_sites->role != ROLE_KEEP) {
		PUT(&guest, RET, INT3);
		return;
	}
	add_rel(return_sites, return_sites->size + nr_returns++ * SITE_SIZE, guest.s->section_sym,
		guest.size);
	PUT(&guest, 0xe9);
	put_distance(&guest, return_thunk, 0);
}

static void finish_string(const uint8_t *bytes, size_t len, unsigned int results)
{
	uint8_t reg = results & BIT_RDI ? RDI : RSI;
	bool rep = memchr(bytes, 0xf2, len - 1) || memchr(bytes, 0xf3, len - 1);
	unsigned int shift = !(bytes[len - 1] & 1) ? 0 : memchr(bytes, 0x66, len - 1) ? 1 : 2;

	if (rep) {
		/* lea (reg,%rcx,size),reg; mov $0,%ecx */
		PUT(&glue, 0x48, 0x8d, 0x04 | reg << 3, shift << 6 | RCX << 3 | reg);
		PUT(&glue, 0xb9, 0, 0, 0, 0);
	} else {
		PUT(&glue, 0x48, 0x8d, 0x40 | reg << 3 | reg, 1 << shift);
	}
}

static struct sym *guest_insn(struct obj *o, const uint8_t *bytes, size_t len)
{
	char *name = xasprintf("gm_do");

	for (size_t i = 0; i < len; i++)
		name = xasprintf("%s_%02x", name, bytes[i]);
	begin(o, &guest, name, 8);
	put(&guest, bytes, len);
	guest_return();
	return end(&guest);
}

struct sym *glue_guest_insn(struct obj *o, const uint8_t *bytes, size_t len, unsigned int results)
{
	bool string = results & (BIT_RDI | BIT_RSI);
	uint64_t key = 0;
	struct known *k;

	if (len > sizeof(key))
		die(o->file, "an instruction with too many prefixes. Report this module.");
	memcpy(&key, bytes, len);
	k = known_for(NULL, key);
	if (k->glue)
		return k->glue;
	k->guest = guest_insn(o, bytes, len);
	begin(o, &glue, xasprintf("gm_call_%s", k->guest->name), 16);
	save_from(&glue, 0);
	PUT(&glue, 0x4c, 0x8d, 0x1d);		/* lea guest(%rip),%r11 */
	put_distance(&glue, k->guest, 0);
	call(&glue, o->guest_thunk);
	restore(&glue, string ? 0 : results);
	if (string)
		finish_string(bytes, len, results);
	PUT(&glue, RET);
	return k->glue = end(&glue);
}

/*
 * A trap of its own for each BUG and WARN: the kernel finds file and line by
 * its address, and remembers by it which WARN_ONCE has been said.
 */
struct sym *glue_trap(struct obj *o, const char *function, struct sym **guest_trap)
{
	if (!trap_tail) {
		begin(o, &glue, "gm_trap", 16);
		note_sp(&glue, 16);		/* R11 is pushed already */
		save_from(&glue, 1);
		call(&glue, o->guest_thunk);
		restore(&glue, 0);
		PUT(&glue, RET);
		trap_tail = end(&glue);
	}
	begin(o, &guest, xasprintf("gm_trap_%s", function), 8);
	PUT(&guest, 0x0f, 0x0b);		/* ud2 */
	guest_return();
	*guest_trap = end(&guest);

	begin(o, &glue, xasprintf("gm_call_trap_%s", function), 16);
	push(&glue, R11);
	PUT(&glue, 0x4c, 0x8d, 0x1d);		/* lea guest(%rip),%r11 */
	put_distance(&glue, *guest_trap, 0);
	PUT(&glue, 0xe9);
	put_distance(&glue, trap_tail, 0);
	return end(&glue);
}

/* The number of ones in EDI; all but EAX and the flags stays. */
static const uint8_t hweight32[] = {
	0x52,					/* push %rdx */
	0x89, 0xf8,				/* mov %edi,%eax */
	0xd1, 0xe8,				/* shr %eax */
	0x25, 0x55, 0x55, 0x55, 0x55,		/* and $0x55555555,%eax */
	0x89, 0xfa,				/* mov %edi,%edx */
	0x29, 0xc2,				/* sub %eax,%edx */
	0x89, 0xd0,				/* mov %edx,%eax */
	0xc1, 0xea, 0x02,			/* shr $2,%edx */
	0x25, 0x33, 0x33, 0x33, 0x33,		/* and $0x33333333,%eax */
	0x81, 0xe2, 0x33, 0x33, 0x33, 0x33,	/* and $0x33333333,%edx */
	0x01, 0xd0,				/* add %edx,%eax */
	0x89, 0xc2,				/* mov %eax,%edx */
	0xc1, 0xea, 0x04,			/* shr $4,%edx */
	0x01, 0xd0,				/* add %edx,%eax */
	0x25, 0x0f, 0x0f, 0x0f, 0x0f,		/* and $0x0f0f0f0f,%eax */
	0x69, 0xc0, 0x01, 0x01, 0x01, 0x01,	/* imul $0x01010101,%eax,%eax */
	0xc1, 0xe8, 0x18,			/* shr $24,%eax */
	0x5a,					/* pop %rdx */
	RET,
};

/* The kernel's helpers that work on registers, or clear a page at RDI. */
struct sym *glue_leaf(struct obj *o, const char *name)
{
	bool clear = !strncmp(name, "clear_page", 10);
	const char *own = clear ? "gm_clear_page" : xasprintf("gm%s", name + 1);
	struct sym *w32;

	for (size_t i = 0; i < glue.s->nr_funcs; i++)
		if (!strcmp(glue.s->funcs[i]->name, own))
			return glue.s->funcs[i];
	if (clear) {
		begin(o, &glue, own, 16);
		PUT(&glue, 0xb9, 0, 2, 0, 0);		/* mov $512,%ecx */
		PUT(&glue, 0x31, 0xc0);			/* xor %eax,%eax */
		PUT(&glue, 0xf3, 0x48, 0xab, RET);	/* rep stosq; ret */
	} else if (!strcmp(name, "__sw_hweight64")) {
		w32 = glue_leaf(o, "__sw_hweight32");
		begin(o, &glue, own, 16);
		PUT(&glue, 0x57, 0x51);			/* push %rdi; push %rcx */
		note_sp(&glue, 24);
		call(&glue, w32);
		PUT(&glue, 0x89, 0xc1);			/* mov %eax,%ecx */
		PUT(&glue, 0x48, 0xc1, 0xef, 0x20);	/* shr $32,%rdi */
		call(&glue, w32);
		PUT(&glue, 0x01, 0xc8);			/* add %ecx,%eax */
		PUT(&glue, 0x59, 0x5f, RET);		/* pop %rcx; pop %rdi; ret */
	} else {
		begin(o, &glue, own, 16);
		put(&glue, hweight32, sizeof(hweight32));
	}
	return end(&glue);
}

static void point_to(struct obj *o, struct sec *s, const char *member, struct sym *y)
{
	static const uint8_t zero[8];
	uint64_t off;

	if (!kbtf_module_member(o, member, &off))
		die(o->opt->btf, "no struct module with a member %s in this BTF. Give the vmlinux of the guest's kernel.",
		    member);
	if (!s->data || off > s->size || s->size - off < 8 || memcmp(s->data + off, zero, 8))
		die(o->file, "its struct module has no room at %llu for %s. Give the vmlinux of the module's kernel.",
		    (unsigned long long)off, member);
	for (size_t i = 0; i < s->nr_rels; i++)
		if (s->rels[i].off < off + 8 && off < s->rels[i].off + 8)
			die(o->file, "its struct module has something else at %llu. Give the vmlinux of the module's kernel.",
			    (unsigned long long)off);
	s->rels = xgrow(s->rels, s->nr_rels, sizeof(*s->rels));
	s->rels[s->nr_rels++] = (struct rel){ .off = off, .type = R_X86_64_64, .sym = y };
}

/*
 * A library of functions for other modules has no init to seal at, and no exit
 * to unseal at: it gets a pair that does nothing.
 */
static void init_and_exit(struct obj *o)
{
	struct sec *s = section_named(o, ".gnu.linkonce.this_module");

	if (symbol_defined(o, "init_module"))
		return;
	if (!o->opt->btf)
		die(o->file, "no init_module() to seal at. Give --btf, to tell where struct module has room for one.");
	begin(o, &glue, "init_module", 16);
	PUT(&glue, 0x31, 0xc0, RET);			/* xor %eax,%eax; ret */
	point_to(o, s, "init", end(&glue));
	if (symbol_defined(o, "cleanup_module"))
		return;
	begin(o, &glue, "cleanup_module", 16);
	PUT(&glue, RET);
	point_to(o, s, "exit", end(&glue));
}

/*
 * A gate's way into a function that takes the address of its stack arguments:
 * through a call that has them in a frame, whose window the kernel may read.
 */
static void variadic_entry(struct obj *o, struct sym *f)
{
	begin(o, &glue, xasprintf("gm_variadic_%s", f->name), 16);
	for (int i = 0; i < VARIADIC_WORDS; i++) {
		PUT(&glue, 0xff, 0x74, 0x24, 8 * VARIADIC_WORDS);	/* push 48(%rsp) */
		note_sp(&glue, glue.sp + 8);
	}
	call(&glue, f);
	PUT(&glue, 0x48, 0x8d, 0x64, 0x24, 8 * VARIADIC_WORDS);		/* lea 48(%rsp),%rsp */
	note_sp(&glue, 8);
	PUT(&glue, RET);
	f->entry = end(&glue);
}

static void variadic_entries(struct obj *o)
{
	for (size_t i = 1; i < o->nr_secs; i++)
		for (size_t j = 0; j < o->secs[i]->nr_funcs; j++)
			if (o->secs[i]->funcs[j]->lends_args)
				variadic_entry(o, o->secs[i]->funcs[j]);
}

static void close_section(struct code *c)
{
	c->s->data = c->data;
	c->s->size = c->s->mem_size = c->size;
	if (!c->size)
		c->s->role = ROLE_DROP;
}

void glue_finish(struct obj *o)
{
	init_and_exit(o);
	variadic_entries(o);
	close_section(&glue);
	close_section(&guest);
	if (nr_returns) {
		return_sites->size = return_sites->mem_size += nr_returns * SITE_SIZE;
		return_sites->data = xalloc(return_sites->size);
	}
	if (!glue.size)
		return;
	text_decode(o, o->s_glue);
	stack_by_orc(o->s_glue);
}
