// SPDX-License-Identifier: GPL-2.0
/*
 * Reads a relocatable object into struct obj.
 *
 * Keeps: after obj_read() every pointer and offset in the structure is valid,
 * whatever the file held; later passes need no bounds checks of their own for
 * sections, symbols and relocations.
 */
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "gmcc.h"

#define MAX_ALIGN	65536	/* in the image's file, too */

static int by_offset(const void *a, const void *b)
{
	const struct rel *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

static unsigned int rel_size(uint32_t type)
{
	switch (type) {
	case R_X86_64_NONE:
		return 0;
	case R_X86_64_64:
	case R_X86_64_PC64:
		return 8;
	case R_X86_64_32:
	case R_X86_64_32S:
	case R_X86_64_PC32:
	case R_X86_64_PLT32:
		return 4;
	default:
		return -1U;
	}
}

/* As they nearly always are. */
static bool in_order(const struct rel *rels, size_t nr)
{
	for (size_t i = 1; i < nr; i++)
		if (rels[i].off < rels[i - 1].off)
			return false;
	return true;
}

static void read_rels(struct obj *o, struct sec *s, const Elf64_Shdr *sh, Elf_Data *d)
{
	static const uint8_t zero[8];
	size_t n = d ? d->d_size / sizeof(Elf64_Rela) : 0;
	const Elf64_Rela *in = d ? d->d_buf : NULL;

	if (!d || sh->sh_entsize != sizeof(Elf64_Rela) || s->rels)
		die(o->file, "%s: malformed or duplicate relocation section.", s->name);
	s->rels = xarray(n + 1, sizeof(*s->rels));
	for (size_t i = 0; i < n; i++) {
		struct rel *r = &s->rels[s->nr_rels];
		unsigned int size;

		r->off = in[i].r_offset;
		r->type = ELF64_R_TYPE(in[i].r_info);
		r->addend = in[i].r_addend;
		if (ELF64_R_SYM(in[i].r_info) >= o->nr_syms)
			die(o->file, "%s: relocation with a bad symbol index.", s->name);
		r->sym = o->syms[ELF64_R_SYM(in[i].r_info)];
		size = rel_size(r->type);
		if (size == -1U)
			die(o->file, "%s+0x%llx: relocation type %u is unknown to the module loader.",
			    s->name, (unsigned long long)r->off, r->type);
		if (!size)
			continue;
		if (!s->data || r->off > s->size || s->size - r->off < size)
			die(o->file, "%s: relocation outside of the section.", s->name);
		if (s->flags & SHF_ALLOC && memcmp(s->data + r->off, zero, size))
			die(o->file, "%s+0x%llx: nonzero bytes under a relocation; the module loader refuses that.",
			    s->name, (unsigned long long)r->off);
		s->nr_rels++;
	}
	if (!in_order(s->rels, s->nr_rels))
		qsort(s->rels, s->nr_rels, sizeof(*s->rels), by_offset);
	for (size_t i = 1; i < s->nr_rels; i++)
		if (s->rels[i].off < s->rels[i - 1].off + rel_size(s->rels[i - 1].type))
			die(o->file, "%s+0x%llx: overlapping relocations.", s->name,
			    (unsigned long long)s->rels[i].off);
}

/* What QEMU takes for a name: monitors and logs print it. */
static bool is_name(const char *s)
{
	for (; s && *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return s;
}

static void read_symbols(struct obj *o, Elf *elf, const Elf64_Shdr *sh, Elf_Data *d)
{
	size_t n = d ? d->d_size / sizeof(Elf64_Sym) : 0;
	const Elf64_Sym *in = d ? d->d_buf : NULL;

	if (o->syms || !in || !n)
		die(o->file, "not exactly one symbol table.");
	o->syms = xarray(n, sizeof(*o->syms));
	o->nr_syms = n;
	for (size_t i = 0; i < n; i++) {
		struct sym *y = o->syms[i] = xalloc(sizeof(*y));

		y->name = elf_strptr(elf, sh->sh_link, in[i].st_name);
		if (!is_name(y->name))
			die(o->file, "symbol %zu has no valid name.", i);
		y->info = in[i].st_info;
		y->other = in[i].st_other;
		y->value = in[i].st_value;
		y->size = in[i].st_size;
		y->shndx = in[i].st_shndx;
		y->anchor = y->percpu_anchor = -1;
		y->index = i;
		if (y->shndx == SHN_UNDEF || y->shndx >= SHN_LORESERVE)
			continue;
		if (y->shndx >= o->nr_secs)
			die(o->file, "symbol %s has a bad section index.", y->name);
		y->sec = o->secs[y->shndx];
		if (y->value > y->sec->size)
			die(o->file, "symbol %s lies outside of its section.", y->name);
		if (ELF64_ST_TYPE(y->info) == STT_SECTION && !y->value && !y->sec->section_sym)
			y->sec->section_sym = y;
	}
}

static struct sec *read_section(const struct obj *o, Elf *elf, Elf_Scn *scn, size_t names)
{
	const Elf64_Shdr *sh = elf64_getshdr(scn);
	struct sec *s = xalloc(sizeof(*s));
	Elf_Data *d;

	if (!sh)
		die(o->file, "unreadable section header.");
	s->name = elf_strptr(elf, names, sh->sh_name);
	if (!is_name(s->name))
		die(o->file, "section %zu has no valid name.", elf_ndxscn(scn));
	s->out_name = s->name;
	s->type = sh->sh_type;
	s->flags = sh->sh_flags;
	s->align = sh->sh_addralign;
	s->entsize = sh->sh_entsize;
	s->size = s->mem_size = sh->sh_size;
	s->link = sh->sh_link;
	s->info = sh->sh_info;
	s->region = s->anchor = -1;
	if (s->align & (s->align - 1) || s->align > MAX_ALIGN)
		die(o->file, "%s: alignment is no power of two up to %d.", s->name, MAX_ALIGN);
	if ((s->type == SHT_SYMTAB || s->type == SHT_RELA) && sh->sh_offset % 8)
		die(o->file, "%s: misaligned in the file.", s->name);
	if (s->type == SHT_NOBITS) {
		if (s->size > KVM_GM_MAX_PAGES * GM_PAGE)
			die(o->file, "%s: larger than %llu bytes.", s->name,
			    KVM_GM_MAX_PAGES * GM_PAGE);
		return s;
	}
	d = elf_rawdata(scn, NULL);
	if (!d || d->d_size != s->size)
		die(o->file, "%s: content outside of the file.", s->name);
	/* What nobody changes stays where it is, in the file that the caller keeps. */
	s->data = s->type == SHT_SYMTAB || s->type == SHT_STRTAB || s->type == SHT_RELA ?
		  d->d_buf : xmemdup(d->d_buf, s->size);
	return s;
}

static void check_header(const struct obj *o, Elf *elf)
{
	const Elf64_Ehdr *eh;

	if (!elf || elf_kind(elf) != ELF_K_ELF)
		die(o->file, "not an ELF file. Give a kernel module (.ko, .ko.xz, .ko.zst).");
	eh = elf64_getehdr(elf);
	if (!eh || eh->e_ident[EI_DATA] != ELFDATA2LSB || eh->e_machine != EM_X86_64)
		die(o->file, "not for x86-64. Only x86-64 kernel modules can be guarded.");
	if (eh->e_shoff % 8)
		die(o->file, "misaligned section table.");
	if (eh->e_type != ET_REL)
		die(o->file, "not a relocatable object. Give a kernel module (.ko).");
}

static void read_sections(struct obj *o, Elf *elf)
{
	Elf_Scn *scn = NULL;
	size_t names, n, left;

	if (!elf_rawfile(elf, &left))
		die(o->file, "unreadable.");
	if (elf_getshdrnum(elf, &n) || elf_getshdrstrndx(elf, &names) || !n)
		die(o->file, "no section table.");
	o->nr_secs = n;
	o->secs = xarray(n, sizeof(*o->secs));
	o->secs[0] = xalloc(sizeof(struct sec));
	o->secs[0]->name = o->secs[0]->out_name = "";
	while ((scn = elf_nextscn(elf, scn))) {
		struct sec *s = o->secs[elf_ndxscn(scn)] = read_section(o, elf, scn, names);

		/* Every section is copied: overlaps would multiply the file. */
		if (s->data && s->size > left)
			die(o->file, "%s: overlaps other sections.", s->name);
		left -= s->data ? s->size : 0;
	}

	while ((scn = elf_nextscn(elf, scn)))
		if (o->secs[elf_ndxscn(scn)]->type == SHT_SYMTAB)
			read_symbols(o, elf, elf64_getshdr(scn), elf_getdata(scn, NULL));
	if (!o->syms)
		die(o->file, "not exactly one symbol table.");

	while ((scn = elf_nextscn(elf, scn))) {
		const Elf64_Shdr *sh = elf64_getshdr(scn);

		if (sh->sh_type == SHT_REL)
			die(o->file, "%s: relocations without addends; the module loader refuses that.",
			    o->secs[elf_ndxscn(scn)]->name);
		if (sh->sh_type != SHT_RELA)
			continue;
		if (!sh->sh_info || sh->sh_info >= n)
			die(o->file, "relocations for a section that does not exist.");
		read_rels(o, o->secs[sh->sh_info], sh, elf_getdata(scn, NULL));
	}
}

static int by_value(const void *a, const void *b)
{
	const struct sym *x = *(struct sym *const *)a, *y = *(struct sym *const *)b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

/*
 * The functions of every section, sorted; of several at one place the first
 * in the symbol table. objtool's __pfx_ symbols name padding, no function.
 */
void obj_index(struct obj *o)
{
	for (size_t i = 1; i < o->nr_secs; i++) {
		o->secs[i]->funcs = NULL;
		o->secs[i]->nr_funcs = 0;
	}
	for (size_t i = 1; i < o->nr_syms; i++) {
		struct sym *y = o->syms[i];
		struct sec *s = y->sec;

		if (!s || ELF64_ST_TYPE(y->info) != STT_FUNC || !strncmp(y->name, "__pfx_", 6))
			continue;
		s->funcs = xgrow(s->funcs, s->nr_funcs, sizeof(*s->funcs));
		s->funcs[s->nr_funcs++] = y;
	}
	for (size_t i = 1; i < o->nr_secs; i++) {
		struct sec *s = o->secs[i];
		size_t n = 0;

		if (s->nr_funcs)
			qsort(s->funcs, s->nr_funcs, sizeof(*s->funcs), by_value);
		for (size_t j = 0; j < s->nr_funcs; j++)
			if (!n || s->funcs[n - 1]->value != s->funcs[j]->value)
				s->funcs[n++] = s->funcs[j];
		s->nr_funcs = n;
	}
}

static void end_elf(void *elf)
{
	elf_end(elf);
}

struct obj *obj_read(const char *file, uint8_t *data, size_t size)
{
	struct obj *o = xalloc(sizeof(*o));
	Elf *elf;

	o->file = file;
	elf_version(EV_CURRENT);
	elf = size ? elf_memory((char *)data, size) : NULL;
	if (elf)
		at_end(end_elf, elf);
	check_header(o, elf);
	o->eflags = elf64_getehdr(elf)->e_flags;
	read_sections(o, elf);
	obj_index(o);
	return o;
}

struct sym *obj_symbol(struct obj *o, const char *name, unsigned char type,
		       struct sec *s, uint64_t value, uint64_t size)
{
	struct sym *y = xalloc(sizeof(*y));

	y->name = name;
	y->info = ELF64_ST_INFO(STB_LOCAL, type);
	y->sec = s;
	y->value = value;
	y->size = size;
	y->anchor = y->percpu_anchor = -1;
	o->syms = xgrow(o->syms, o->nr_syms, sizeof(*o->syms));
	o->syms[o->nr_syms++] = y;
	return y;
}

struct sec *obj_section(struct obj *o, const char *name, uint32_t type,
			uint64_t flags, uint64_t size)
{
	struct sec *s = xalloc(sizeof(*s));

	s->name = s->out_name = name;
	s->type = type;
	s->flags = flags;
	s->align = flags & SHF_ALLOC ? GM_PAGE : 8;
	s->size = s->mem_size = size;
	s->data = type == SHT_NOBITS ? NULL : xalloc(size);
	s->region = s->anchor = -1;
	o->secs = xgrow(o->secs, o->nr_secs, sizeof(*o->secs));
	o->secs[o->nr_secs++] = s;
	s->section_sym = obj_symbol(o, "", STT_SECTION, s, 0, 0);
	return s;
}

/* The last function that starts at or before an offset. */
static struct sym *func_before(const struct sec *s, uint64_t off)
{
	size_t lo = 0, hi = s->nr_funcs;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->funcs[mid]->value <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? s->funcs[lo - 1] : NULL;
}

struct sym *func_at(const struct sec *s, uint64_t off)
{
	struct sym *y = func_before(s, off);

	return y && y->value == off ? y : NULL;
}

struct sym *func_of(const struct sec *s, uint64_t off)
{
	struct sym *y = func_before(s, off);

	return y && off - y->value < y->size ? y : NULL;
}
