// SPDX-License-Identifier: GPL-2.0
/*
 * What the guest kernel's BTF tells: prototypes, and where things are in
 * struct module. Read once, in one pass over its types.
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <libelf.h>
#include <string.h>
#include <unistd.h>

#include "gmcc.h"

#define ARG_REGISTERS	6

/* Stubs by name: open addressing, at most half full. */
struct names {
	struct stub **slots;
	size_t mask;
};

static struct btf *btf;

static size_t hash(const char *s)
{
	size_t h = 5381;

	while (*s)
		h = h * 33 + (unsigned char)*s++;
	return h;
}

/* The .BTF section of an ELF file, without reading the rest of it; or NULL. */
static struct btf *from_elf(const char *file)
{
	struct btf *found = NULL;
	Elf_Scn *scn = NULL;
	size_t names;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	Elf *elf;

	if (fd < 0)
		return NULL;
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (elf && !elf_getshdrstrndx(elf, &names))
		while (!found && (scn = elf_nextscn(elf, scn))) {
			const Elf64_Shdr *sh = elf64_getshdr(scn);
			const char *name = sh ? elf_strptr(elf, names, sh->sh_name) : NULL;
			Elf_Data *d = name && !strcmp(name, ".BTF") ? elf_rawdata(scn, NULL) : NULL;

			if (d && d->d_buf && d->d_size < UINT32_MAX)
				found = btf__new(d->d_buf, d->d_size);
			if (libbpf_get_error(found))
				found = NULL;
		}
	elf_end(elf);
	close(fd);
	return found;
}

static void load(const struct obj *o)
{
	if (btf)
		return;
	libbpf_set_print(NULL);
	btf = from_elf(o->opt->btf);
	if (!btf)
		btf = btf__parse(o->opt->btf, NULL);
	if (libbpf_get_error(btf))
		die(o->opt->btf, "no BTF in this file. Give a vmlinux, or /sys/kernel/btf/vmlinux of the guest's kernel.");
}

/* Words on the stack by a prototype, -1: unknown or variadic. */
static int prototype_words(const struct btf_type *t)
{
	unsigned int regs = 0, words = 0;

	t = btf__type_by_id(btf, t->type);
	if (!t || !btf_is_func_proto(t))
		return -1;
	for (int i = 0; i < btf_vlen(t); i++) {
		const struct btf_param *p = &btf_params(t)[i];
		long long size = p->type ? btf__resolve_size(btf, p->type) : 0;
		unsigned int n = (size + 7) / 8;

		if (size <= 0)
			return -1;
		if (n <= 2 && regs + n <= ARG_REGISTERS)
			regs += n;
		else
			words += n;
	}
	return words;
}

static void note_prototype(const struct names *names, const struct btf_type *t)
{
	const char *name = btf__name_by_offset(btf, t->name_off);
	int words;

	if (!name)
		return;
	for (size_t i = hash(name) & names->mask; names->slots[i]; i = (i + 1) & names->mask) {
		struct stub *st = names->slots[i];

		if (strcmp(st->name, name))
			continue;
		words = prototype_words(t);
		if (words >= 0) {
			st->stack_words = words;
			st->fixed_words = true;
		}
		return;
	}
}

void kbtf_prototypes(struct obj *o)
{
	struct names names = { .mask = 1 };

	load(o);
	while (names.mask < 2 * o->nr_stubs)
		names.mask = 2 * names.mask + 1;
	names.slots = xalloc((names.mask + 1) * sizeof(*names.slots));
	for (size_t i = 0; i < o->nr_stubs; i++) {
		size_t at = hash(o->stubs[i]->name) & names.mask;

		if (!o->stubs[i]->target || o->stubs[i]->target->sec)
			continue;
		while (names.slots[at])
			at = (at + 1) & names.mask;
		names.slots[at] = o->stubs[i];
	}
	for (__u32 id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);

		if (btf_is_func(t))
			note_prototype(&names, t);
	}
}

bool kbtf_module_member(struct obj *o, const char *member, uint64_t *off)
{
	const struct btf_type *t;
	int id;

	load(o);
	id = btf__find_by_name_kind(btf, "module", BTF_KIND_STRUCT);
	t = id < 0 ? NULL : btf__type_by_id(btf, id);
	for (__u32 i = 0; t && i < btf_vlen(t); i++) {
		const char *name = btf__name_by_offset(btf, btf_members(t)[i].name_off);

		if (name && !strcmp(name, member)) {
			*off = btf_member_bit_offset(t, i) / 8;
			return true;
		}
	}
	return false;
}

void kbtf_free(void)
{
	btf__free(btf);
	btf = NULL;
}
