// SPDX-License-Identifier: GPL-2.0
/*
 * The verifier's reader of objects, and what the module loader asks of them.
 *
 * Keeps: after verify_elf() every section's content lies in the file, every
 * symbol in its section and every relocation in its section, so the other
 * files of the verifier need no bounds checks for these.
 */
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "verify.h"

#define MAX_OFFSET	(1LL << 30)	/* a module's area is not larger */

struct vsec *vsec_find(const struct vimg *v, const char *name)
{
	for (size_t i = 1; i < v->nr_secs; i++)
		if (!strcmp(v->secs[i].name, name))
			return &v->secs[i];
	return NULL;
}

const struct vsym *vfunc_of(const struct vsec *s, uint64_t off)
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

bool vrel_is_pc(const struct vrel *r)
{
	return r->type == R_X86_64_PC32 || r->type == R_X86_64_PLT32 || r->type == R_X86_64_PC64;
}

struct vsec *vrel_target(const struct vrel *r, int64_t end, int64_t *off)
{
	*off = (int64_t)((r->sym->sec ? r->sym->value : 0) + (uint64_t)r->addend +
			 (uint64_t)(vrel_is_pc(r) ? end : 0));
	return r->sym->sec;
}

/* Bytes that the module loader changes, 0: none, -1: it refuses the type. */
static uint32_t width(uint32_t type)
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

static int by_offset(const void *a, const void *b)
{
	const struct vrel *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

static bool zeroes(const uint8_t *p, size_t n)
{
	while (n)
		if (p[--n])
			return false;
	return true;
}

static void check_rel(struct vimg *v, struct vsec *s, const struct vrel *r)
{
	int64_t off;

	if (r->sym->type == STT_TLS || r->sym->shndx == SHN_COMMON)
		finding(v, "loader", s, r->off, "relocation against %s, which the module loader cannot place.",
			r->sym->name);
	if (s->flags & SHF_ALLOC && !zeroes(s->data + r->off, r->width))
		finding(v, "loader", s, r->off,
			"nonzero bytes under a relocation; the module loader refuses that.");
	vrel_target(r, 0, &off);
	/* What is not the module's may be anywhere, such as a page's physical address. */
	if (r->sym->sec && (off < -MAX_OFFSET || off > MAX_OFFSET))
		finding(v, "loader", s, r->off, "relocation out of range (%s%+lld).", r->sym->name,
			(long long)r->addend);
	if (s->flags & SHF_ALLOC && r->sym->sec && !(r->sym->sec->flags & SHF_ALLOC))
		finding(v, "loader", s, r->off, "relocation against %s, which is not loaded.",
			r->sym->sec->name);
}

/* As they nearly always are. */
static bool in_order(const struct vrel *rels, size_t nr)
{
	for (size_t i = 1; i < nr; i++)
		if (rels[i].off < rels[i - 1].off)
			return false;
	return true;
}

static void read_rels(struct vimg *v, const struct vsec *rs)
{
	size_t n = rs->size / sizeof(Elf64_Rela);
	struct vsec *s;

	if (rs->info >= v->nr_secs || !rs->info || rs->entsize != sizeof(Elf64_Rela) ||
	    rs->size % sizeof(Elf64_Rela) || rs->link != v->symtab) {
		finding(v, "loader", rs, 0, "malformed relocation section.");
		return;
	}
	s = &v->secs[rs->info];
	if (s->rels) {
		finding(v, "loader", rs, 0, "second relocation section for %s.", s->name);
		return;
	}
	s->rels = xalloc((n + 1) * sizeof(*s->rels));
	for (size_t i = 0; i < n; i++) {
		struct vrel *r = &s->rels[s->nr_rels];
		Elf64_Rela in;

		memcpy(&in, rs->data + i * sizeof(in), sizeof(in));
		r->off = in.r_offset;
		r->addend = in.r_addend;
		r->type = ELF64_R_TYPE(in.r_info);
		r->width = width(r->type);
		if (r->width == -1U) {
			finding(v, "loader", s, r->off,
				"relocation type %u, which the module loader does not know.", r->type);
			continue;
		}
		if (!r->width)
			continue;
		if (ELF64_R_SYM(in.r_info) >= v->nr_syms) {
			finding(v, "loader", s, r->off, "relocation against a symbol that does not exist.");
			continue;
		}
		r->sym = &v->syms[ELF64_R_SYM(in.r_info)];
		if (!s->data || r->off > s->size || s->size - r->off < r->width) {
			finding(v, "loader", s, r->off, "relocation outside of the section.");
			continue;
		}
		check_rel(v, s, r);
		s->nr_rels++;
	}
	if (!in_order(s->rels, s->nr_rels))
		qsort(s->rels, s->nr_rels, sizeof(*s->rels), by_offset);
	for (size_t i = 1; i < s->nr_rels; i++)
		if (s->rels[i].off < s->rels[i - 1].off + s->rels[i - 1].width)
			finding(v, "loader", s, s->rels[i].off, "relocations overlap.");
}

static int by_value(const void *a, const void *b)
{
	const struct vsym *x = *(const struct vsym *const *)a, *y = *(const struct vsym *const *)b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return x < y ? -1 : x > y;
}

static void index_functions(struct vimg *v)
{
	for (size_t i = 1; i < v->nr_syms; i++) {
		const struct vsym *y = &v->syms[i];
		struct vsec *s = y->sec;

		if (!s || y->type != STT_FUNC || !strncmp(y->name, "__pfx_", 6))
			continue;
		s->funcs = xgrow(s->funcs, s->nr_funcs, sizeof(*s->funcs));
		s->funcs[s->nr_funcs++] = y;
	}
	for (size_t i = 1; i < v->nr_secs; i++)
		if (v->secs[i].nr_funcs)
			qsort(v->secs[i].funcs, v->secs[i].nr_funcs, sizeof(*v->secs[i].funcs), by_value);
}

/* A NUL-terminated string inside a section, or NULL. */
static const char *string_in(const struct vsec *s, uint64_t off)
{
	if (!s->data || off >= s->size || !memchr(s->data + off, 0, s->size - off))
		return NULL;
	return (const char *)s->data + off;
}

static bool read_symbols(struct vimg *v)
{
	const struct vsec *s = &v->secs[v->symtab];
	size_t n = s->size / sizeof(Elf64_Sym);

	if (s->size % sizeof(Elf64_Sym) || !n || s->link >= v->nr_secs) {
		finding(v, "loader", s, 0, "malformed symbol table.");
		return false;
	}
	v->syms = xalloc(n * sizeof(*v->syms));
	v->nr_syms = n;
	v->syms[0].name = "";
	for (size_t i = 1; i < n; i++) {
		struct vsym *y = &v->syms[i];
		Elf64_Sym in;

		memcpy(&in, s->data + i * sizeof(in), sizeof(in));
		y->name = string_in(&v->secs[s->link], in.st_name);
		if (!y->name) {
			finding(v, "loader", s, i * sizeof(in), "symbol %zu has no valid name.", i);
			return false;
		}
		y->value = in.st_value;
		y->size = in.st_size;
		y->shndx = in.st_shndx;
		y->type = ELF64_ST_TYPE(in.st_info);
		y->bind = ELF64_ST_BIND(in.st_info);
		if (y->shndx == SHN_COMMON)
			finding(v, "loader", s, i * sizeof(in),
				"common symbol %s; the module loader refuses that.", y->name);
		if (y->shndx == SHN_UNDEF || y->shndx >= SHN_LORESERVE)
			continue;
		if (y->shndx >= v->nr_secs || y->value > v->secs[y->shndx].size) {
			finding(v, "loader", s, i * sizeof(in), "symbol %s lies outside of its section.",
				y->name);
			return false;
		}
		y->sec = &v->secs[y->shndx];
	}
	return true;
}

static bool read_sections(struct vimg *v, Elf *elf)
{
	size_t names, n, symtabs = 0;

	if (elf_getshdrnum(elf, &n) || elf_getshdrstrndx(elf, &names) || n < 2 || names >= n) {
		finding(v, "loader", NULL, 0, "no section table.");
		return false;
	}
	v->secs = xalloc(n * sizeof(*v->secs));
	v->nr_secs = n;
	for (size_t i = 0; i < n; i++) {
		const Elf64_Shdr *sh = elf64_getshdr(elf_getscn(elf, i));
		struct vsec *s = &v->secs[i];

		if (!sh) {
			finding(v, "loader", NULL, 0, "unreadable section header %zu.", i);
			return false;
		}
		*s = (struct vsec){
			.name = "", .index = i, .type = sh->sh_type, .link = sh->sh_link,
			.info = sh->sh_info, .flags = sh->sh_flags, .offset = sh->sh_offset,
			.size = sh->sh_size, .align = sh->sh_addralign, .entsize = sh->sh_entsize,
			.region = -1, .region_anchor = -1,
		};
		if (!i)
			continue;
		if (s->type != SHT_NOBITS) {
			if (s->offset > v->size || v->size - s->offset < s->size) {
				finding(v, "loader", NULL, 0, "section %zu lies outside of the file.", i);
				return false;
			}
			s->data = v->data + s->offset;
		} else if (s->size > KVM_GM_MAX_PAGES * GM_PAGE) {
			finding(v, "loader", NULL, 0, "section %zu is too large.", i);
			return false;
		}
		if (s->type == SHT_SYMTAB) {
			v->symtab = i;
			symtabs++;
		}
	}
	for (size_t i = 1; i < n; i++) {
		const Elf64_Shdr *sh = elf64_getshdr(elf_getscn(elf, i));

		v->secs[i].name = string_in(&v->secs[names], sh->sh_name);
		if (!v->secs[i].name) {
			v->secs[i].name = "?";
			finding(v, "loader", NULL, 0, "section %zu has no valid name.", i);
			return false;
		}
	}
	if (symtabs != 1)
		finding(v, "loader", NULL, 0, "%zu symbol tables, not one.", symtabs);
	return symtabs == 1;
}

/* Sections that the loader looks for by name. */
static void check_contract(struct vimg *v)
{
	static const char *const needed[] = { ".gnu.linkonce.this_module", ".modinfo" };

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		const struct vsec *s = vsec_find(v, needed[i]);
		size_t n = 0;

		for (size_t j = 1; j < v->nr_secs; j++)
			n += !strcmp(v->secs[j].name, needed[i]);
		if (n != 1 || !s->data || !s->size || !(s->flags & SHF_ALLOC))
			finding(v, "loader", s, 0, "%zu sections %s; the module loader wants one, loaded.",
				n, needed[i]);
	}
	for (size_t i = 1; i < v->nr_secs; i++) {
		const struct vsec *s = &v->secs[i];

		if (s->type == SHT_REL)
			finding(v, "loader", s, 0, "relocations without addends; the module loader refuses that.");
		if (s->align & (s->align - 1))
			finding(v, "loader", s, 0, "alignment is no power of two.");
	}
}

struct version {		/* struct modversion_info of the kernel */
	uint64_t crc;
	char name[56];
};

_Static_assert(sizeof(struct version) == 64, "kernel format");

static int by_name(const void *a, const void *b)
{
	const struct version *x = a, *y = b;

	return strncmp(x->name, y->name, sizeof(x->name));
}

/* Every import is in __versions, if that is there, or the loader refuses. */
static void check_imports(struct vimg *v)
{
	const struct vsec *s = vsec_find(v, "__versions");
	size_t n = s && s->data ? s->size / sizeof(struct version) : 0;
	struct version *all;

	if (!n)
		return;
	all = xmemdup(s->data, n * sizeof(*all));
	qsort(all, n, sizeof(*all), by_name);
	for (size_t i = 1; i < v->nr_syms; i++) {
		const struct vsym *y = &v->syms[i];
		struct version key = { 0 };

		if (y->shndx != SHN_UNDEF || !*y->name)
			continue;
		memcpy(key.name, y->name, strnlen(y->name, sizeof(key.name)));
		if (!bsearch(&key, all, n, sizeof(*all), by_name))
			finding(v, "import", s, 0,
				"no version of the import %s; the module loader refuses that.", y->name);
	}
}

static bool check_header(struct vimg *v, Elf *elf)
{
	const Elf64_Ehdr *eh = elf && elf_kind(elf) == ELF_K_ELF ? elf64_getehdr(elf) : NULL;

	if (!eh) {
		finding(v, "loader", NULL, 0, "not an ELF file. Give an image that `gmcc guard' wrote.");
		return false;
	}
	if (eh->e_ident[EI_DATA] != ELFDATA2LSB || eh->e_machine != EM_X86_64 || eh->e_type != ET_REL ||
	    eh->e_shentsize != sizeof(Elf64_Shdr)) {
		finding(v, "loader", NULL, 0, "not a relocatable object for x86-64.");
		return false;
	}
	if (eh->e_shoff % 8) {
		finding(v, "loader", NULL, 0, "misaligned section table.");
		return false;
	}
	return true;
}

bool verify_elf(struct vimg *v)
{
	bool ok;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = v->size ? elf_memory((char *)(uintptr_t)v->data, v->size) : NULL;
	/* Nothing below ends the run. */
	ok = check_header(v, elf) && read_sections(v, elf) && read_symbols(v);
	elf_end(elf);
	if (!ok)
		return false;
	index_functions(v);
	for (size_t i = 1; i < v->nr_secs; i++)
		if (v->secs[i].type == SHT_RELA)
			read_rels(v, &v->secs[i]);
	check_contract(v);
	check_imports(v);
	return true;
}
