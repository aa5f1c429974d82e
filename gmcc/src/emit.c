// SPDX-License-Identifier: GPL-2.0
/*
 * Writes struct obj as an ELF file that the stock module loader accepts.
 *
 * Keeps: the same object gives the same bytes. Sections come in the input's
 * order, then gmcc's own, then relocations, symbols and strings; local symbols
 * precede global ones, each kind in its order of creation.
 */
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gmcc.h"

struct strtab {
	char *data;
	size_t size, cap;
};

struct out {
	Elf *elf;
	struct strtab names, strings;
};

static uint32_t strtab_add(struct strtab *t, const char *s)
{
	size_t n = strlen(s) + 1, off;

	if (t->size && !*s)
		return 0;
	if (t->size + n > t->cap) {
		char *new = xalloc(t->cap = 2 * (t->cap + n));

		if (t->size)
			memcpy(new, t->data, t->size);
		t->data = new;
	}
	off = t->size;
	memcpy(t->data + off, s, n);
	t->size += n;
	return off;
}

static Elf_Scn *add_scn(const struct obj *o, struct out *out, const char *name, uint32_t type,
			uint64_t flags, uint64_t align, uint64_t entsize, void *data, uint64_t size)
{
	Elf_Scn *scn = elf_newscn(out->elf);
	Elf_Data *d = scn ? elf_newdata(scn) : NULL;
	Elf64_Shdr *sh = scn ? elf64_getshdr(scn) : NULL;

	if (!d || !sh)
		die(o->file, "libelf: %s.", elf_errmsg(-1));
	sh->sh_name = strtab_add(&out->names, name);
	sh->sh_type = type;
	sh->sh_flags = flags;
	sh->sh_addralign = align ? align : 1;
	sh->sh_entsize = entsize;
	d->d_buf = data;
	d->d_size = size;
	d->d_align = align ? align : 1;
	d->d_type = type == SHT_SYMTAB ? ELF_T_SYM : type == SHT_RELA ? ELF_T_RELA : ELF_T_BYTE;
	d->d_version = EV_CURRENT;
	return scn;
}

static bool sym_kept(const struct sym *y)
{
	return !y->internal && (!y->sec || y->sec->role != ROLE_DROP);
}

/* Numbers the symbols; returns the first global's number. */
static uint32_t number_symbols(struct obj *o, size_t *count)
{
	uint32_t n = 1, first_global = 0;

	for (int global = 0; global < 2; global++) {
		if (global)
			first_global = n;
		for (size_t i = 1; i < o->nr_syms; i++)
			if (sym_kept(o->syms[i]) &&
			    (ELF64_ST_BIND(o->syms[i]->info) != STB_LOCAL) == global)
				o->syms[i]->out = n++;
	}
	*count = n;
	return first_global;
}

static void add_symtab(struct obj *o, struct out *out, size_t count, uint32_t first_global)
{
	Elf64_Sym *tab = xalloc(count * sizeof(*tab));
	Elf_Scn *sym, *str;

	for (size_t i = 1; i < o->nr_syms; i++) {
		const struct sym *y = o->syms[i];

		if (!sym_kept(y))
			continue;
		tab[y->out] = (Elf64_Sym){
			.st_name = strtab_add(&out->strings, y->name),
			.st_info = y->info,
			.st_other = y->other,
			.st_shndx = y->sec ? y->sec->out : y->shndx,
			.st_value = y->value,
			.st_size = y->size,
		};
	}
	sym = add_scn(o, out, ".symtab", SHT_SYMTAB, 0, 8, sizeof(*tab), tab, count * sizeof(*tab));
	str = add_scn(o, out, ".strtab", SHT_STRTAB, 0, 1, 0, out->strings.data, out->strings.size);
	elf64_getshdr(sym)->sh_link = elf_ndxscn(str);
	elf64_getshdr(sym)->sh_info = first_global;
}

static void add_rela(struct obj *o, struct out *out, const struct sec *s, uint32_t symtab)
{
	Elf64_Rela *tab = xalloc((s->nr_rels + 1) * sizeof(*tab));
	size_t n = 0;
	Elf_Scn *scn;

	for (size_t i = 0; i < s->nr_rels; i++) {
		const struct rel *r = &s->rels[i];

		if (!r->dead)
			tab[n++] = (Elf64_Rela){
				.r_offset = r->off,
				.r_info = ELF64_R_INFO((uint64_t)r->sym->out, r->type),
				.r_addend = r->addend,
			};
	}
	if (!n)
		return;
	scn = add_scn(o, out, xasprintf(".rela%s", s->out_name), SHT_RELA, SHF_INFO_LINK, 8,
		      sizeof(*tab), tab, n * sizeof(*tab));
	elf64_getshdr(scn)->sh_link = symtab;
	elf64_getshdr(scn)->sh_info = s->out;
}

static bool has_relocs(const struct sec *s)
{
	for (size_t i = 0; i < s->nr_rels; i++)
		if (!s->rels[i].dead)
			return true;
	return false;
}

static void add_sections(struct obj *o, struct out *out)
{
	unsigned int relas = 0, last = 0;

	for (size_t i = 1; i < o->nr_secs; i++) {
		struct sec *s = o->secs[i];

		if (s->role == ROLE_DROP)
			continue;
		s->out = last = elf_ndxscn(add_scn(o, out, s->out_name, s->type,
						   s->flags & ~(uint64_t)SHF_LINK_ORDER, s->align,
						   s->entsize, s->data, s->size));
		relas += has_relocs(s);
	}
	for (size_t i = 1; i < o->nr_secs; i++)
		if (o->secs[i]->role != ROLE_DROP)
			add_rela(o, out, o->secs[i], last + relas + 1);
}

static void *read_back(const struct obj *o, int fd, size_t size)
{
	uint8_t *data = xalloc(size);
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, data + done, size - done, done);

		if (n <= 0)
			die(o->file, "cannot read the image back.");
		done += n;
	}
	return data;
}

static void end_elf(void *elf)
{
	elf_end(elf);
}

static void end_file(void *fd)
{
	close((int)(intptr_t)fd);
}

void *obj_emit(struct obj *o, size_t *size)
{
	int fd = memfd_create("gmcc", MFD_CLOEXEC);
	struct out out = { 0 };
	uint32_t first_global;
	Elf64_Ehdr *eh;
	Elf_Scn *names;
	size_t nr_syms;
	int64_t total;

	if (fd < 0)
		die(o->file, "cannot create a memory file.");
	out.elf = elf_begin(fd, ELF_C_WRITE, NULL);
	at_end(end_file, (void *)(intptr_t)fd);
	if (out.elf)
		at_end(end_elf, out.elf);
	eh = out.elf ? elf64_newehdr(out.elf) : NULL;
	if (!eh)
		die(o->file, "libelf: %s.", elf_errmsg(-1));
	eh->e_ident[EI_DATA] = ELFDATA2LSB;
	eh->e_type = ET_REL;
	eh->e_machine = EM_X86_64;
	eh->e_version = EV_CURRENT;
	eh->e_flags = o->eflags;
	strtab_add(&out.names, "");
	strtab_add(&out.strings, "");
	first_global = number_symbols(o, &nr_syms);
	add_sections(o, &out);
	add_symtab(o, &out, nr_syms, first_global);
	names = add_scn(o, &out, ".shstrtab", SHT_STRTAB, 0, 1, 0, NULL, 0);
	elf_getdata(names, NULL)->d_buf = out.names.data;
	elf_getdata(names, NULL)->d_size = out.names.size;
	eh->e_shstrndx = elf_ndxscn(names);

	/* Lay out first: the manifest holds file offsets. */
	if (elf_update(out.elf, ELF_C_NULL) < 0)
		die(o->file, "libelf: %s.", elf_errmsg(-1));
	for (size_t i = 1; i < o->nr_secs; i++)
		if (o->secs[i]->role != ROLE_DROP)
			o->secs[i]->file_offset =
				elf64_getshdr(elf_getscn(out.elf, o->secs[i]->out))->sh_offset;
	manifest_fill(o);
	total = elf_update(out.elf, ELF_C_WRITE);
	if (total < 0)
		die(o->file, "libelf: %s.", elf_errmsg(-1));
	*size = total;
	return read_back(o, fd, total);
}
