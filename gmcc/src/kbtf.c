// SPDX-License-Identifier: GPL-2.0
/*
 * What BTF tells about a module: prototypes of the kernel's functions, and
 * where things are in struct module. The kernel's BTF is read once in a process;
 * it may be large, and a run over many modules asks it again and again.
 */
#include <errno.h>
#include <fcntl.h>
#include <libelf.h>
#include <string.h>
#include <unistd.h>

#include "btf.h"

#define ARG_REGISTERS	6
#define BTF_MAX		(256ULL << 20)

static struct btf *kernel;

/* Of one module, on top of the kernel's. */
static const struct obj *module_obj;
static struct btf *module;

static void forget(void *arg)
{
	(void)arg;
	kernel = module = NULL;
	module_obj = NULL;
}

/* Where the .BTF section of an ELF file is; false: it has none, or is none. */
static bool find_section(int fd, uint64_t *off, uint64_t *size)
{
	Elf_Scn *scn = NULL;
	bool found = false;
	size_t names;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && elf_kind(elf) == ELF_K_ELF && !elf_getshdrstrndx(elf, &names))
		while (!found && (scn = elf_nextscn(elf, scn))) {
			const Elf64_Shdr *sh = elf64_getshdr(scn);
			const char *name = sh ? elf_strptr(elf, names, sh->sh_name) : NULL;

			found = name && !strcmp(name, ".BTF") && sh->sh_type != SHT_NOBITS &&
				!(sh->sh_flags & SHF_COMPRESSED);
			*off = found ? sh->sh_offset : 0;
			*size = found ? sh->sh_size : 0;
		}
	elf_end(elf);
	return found;
}

/* At most @size bytes from @off on; fewer if the file ends. */
static uint8_t *read_at(const char *file, int fd, uint64_t off, uint64_t size, size_t *got)
{
	uint8_t *data = xalloc(size);

	*got = 0;
	while (*got < size) {
		ssize_t n = pread(fd, data + *got, size - *got, off + *got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int error = errno;

			close(fd);
			die(file, "%s.", strerror(error));
		}
		if (!n)
			break;
		*got += n;
	}
	return data;
}

void kbtf_load(const char *file)
{
	uint64_t off = 0, size = 0;
	const uint8_t *data;
	size_t got;
	off_t end;
	int fd;

	if (kernel)
		return;
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(file, "%s.", strerror(errno));
	/* Else it is BTF alone, as in /sys/kernel/btf. */
	end = lseek(fd, 0, SEEK_END);
	if (!find_section(fd, &off, &size))
		size = end > 0 ? end : 0;
	if (size > BTF_MAX)
		size = 0;
	data = read_at(file, fd, off, size, &got);
	close(fd);
	kernel = got == size ? btf_open(data, size, NULL) : NULL;
	if (!kernel)
		die(file, "no BTF in this file. Give a vmlinux, or /sys/kernel/btf/vmlinux of the guest's kernel.");
	at_end(forget, NULL);
}

/* Words on the stack by a prototype, -1: unknown or variadic. */
static int prototype_words(const struct btf *b, const struct btf_type *t)
{
	const struct btf_param *p = (const struct btf_param *)(t + 1);
	unsigned int regs = 0, words = 0;

	for (unsigned int i = 0; i < btf_vlen(t); i++) {
		int64_t size = btf_size(b, p[i].type);
		uint64_t n = (size + 7) / 8;

		if (size <= 0)
			return -1;
		if (n <= 2 && regs + n <= ARG_REGISTERS)
			regs += n;
		else
			words += n;
	}
	return words <= INT32_MAX ? (int)words : -1;
}

void kbtf_prototypes(struct obj *o)
{
	kbtf_load(o->opt->btf);
	for (size_t i = 0; i < o->nr_stubs; i++) {
		struct stub *st = o->stubs[i];
		const struct btf_type *t;
		int words;

		if (!st->target || st->target->sec)
			continue;
		t = btf_function(kernel, st->name);
		words = t ? prototype_words(kernel, t) : -1;
		if (words < 0)
			continue;
		st->stack_words = words;
		st->fixed_words = true;
	}
}

/* Distilled BTF (.BTF.base) is on top of something else than the kernel's. */
static const struct btf *module_btf(const struct obj *o)
{
	const struct sec *s = section_named(o, ".BTF");

	if (module_obj == o)
		return module;
	module_obj = o;
	module = s && s->data && !section_named(o, ".BTF.base") ? btf_open(s->data, s->size, kernel) : NULL;
	return module;
}

static const char *kind_word(const struct btf_type *t)
{
	switch (btf_kind(t)) {
	case BTF_KIND_STRUCT:
		return "struct ";
	case BTF_KIND_UNION:
		return "union ";
	case BTF_KIND_FWD:
		return BTF_INFO_KFLAG(t->info) ? "union " : "struct ";
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return "enum ";
	}
	return "";
}

static bool is_printable(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

/* What a pointer points to: the name nearest to the pointer. */
static void describe(const struct btf *b, uint32_t id, struct kbtf_pointer *p)
{
	const struct btf_type *t = btf_type(b, id), *end = btf_strip(b, id);
	const char *name = "";
	int64_t size = btf_size(b, id);

	for (int i = 0; t && i < 32 && t != end; i++, t = btf_type(b, t->type)) {
		if (btf_kind(t) == BTF_KIND_CONST)
			p->flags |= GM_POINTER_F_CONST;
		if (btf_kind(t) == BTF_KIND_TYPEDEF && !*name)
			name = btf_name(b, t->name_off);
	}
	if (end && btf_kind(end) == BTF_KIND_FUNC_PROTO)
		p->flags |= GM_POINTER_F_FUNCTION;
	p->size = size > 0 && size <= INT32_MAX ? size : 0;
	p->type = "";
	if (*name && is_printable(name))
		p->type = name;
	else if (end && btf_kind(end) != BTF_KIND_PTR && btf_kind(end) != BTF_KIND_ARRAY &&
		 *btf_name(b, end->name_off) && is_printable(btf_name(b, end->name_off)))
		p->type = xasprintf("%s%s", kind_word(end), btf_name(b, end->name_off));
}

unsigned int kbtf_pointers(struct obj *o, const char *function, bool own, struct kbtf_pointer *to)
{
	const struct btf *b = own ? module_btf(o) : kernel;
	const struct btf_type *t = b ? btf_function(b, function) : NULL;
	const struct btf_param *params = (const struct btf_param *)(t + 1);
	unsigned int regs = 0, nr = 0;

	for (unsigned int i = 0; t && i < btf_vlen(t) && regs < ARG_REGISTERS; i++) {
		const struct btf_type *p = btf_strip(b, params[i].type);
		int64_t size = btf_size(b, params[i].type);
		uint64_t n = (size + 7) / 8;

		if (!p || size <= 0)
			break;		/* variadic, or not to be known */
		if (n > 2 || regs + n > ARG_REGISTERS)
			continue;	/* on the stack */
		if (btf_kind(p) == BTF_KIND_PTR) {
			to[nr] = (struct kbtf_pointer){ .argument = regs };
			describe(b, p->type, &to[nr++]);
		}
		regs += n;
	}
	return nr;
}

bool kbtf_module_member(struct obj *o, const char *member, uint64_t *off)
{
	const struct btf_type *t;
	const struct btf_member *m;

	kbtf_load(o->opt->btf);
	t = btf_type(kernel, btf_struct(kernel, "module"));
	m = (const struct btf_member *)(t + 1);
	for (unsigned int i = 0; t && i < btf_vlen(t); i++) {
		if (strcmp(btf_name(kernel, m[i].name_off), member))
			continue;
		*off = (BTF_INFO_KFLAG(t->info) ? BTF_MEMBER_BIT_OFFSET(m[i].offset) : m[i].offset) / 8;
		return true;
	}
	return false;
}
