// SPDX-License-Identifier: GPL-2.0
/*
 * A bounds-checked look at a guarded image.
 *
 * Keeps: after image_read() every table lies inside the manifest, every index
 * and string offset in it is valid, and every region's content is in the file.
 */
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "gmcc.h"
#include "pointers.h"

static const void *table(const struct image *img, const char *file, const char *what,
			 const struct gm_table *t, size_t elem)
{
	if (t->offset % 8 || t->offset < sizeof(*img->man) || t->offset > img->man->size ||
	    (img->man->size - t->offset) / elem < t->count)
		die(file, "the manifest's %s lie outside of it.", what);
	return (const uint8_t *)img->man + t->offset;
}

const char *image_string(const struct image *img, uint32_t off)
{
	return img->strings + off;
}

static void check_string(const struct image *img, const char *file, uint32_t off)
{
	if (off >= img->man->strings.count)
		die(file, "the manifest has a bad string offset.");
}

static void check_place(const struct image *img, const char *file, uint32_t region,
			uint64_t off, uint64_t size)
{
	if (region >= img->man->regions.count || off > img->regions[region].size ||
	    img->regions[region].size - off < size)
		die(file, "the manifest names a place outside of its regions.");
}

static void check_tables(const struct image *img, const char *file)
{
	const struct gm_manifest *m = img->man;

	if (!m->strings.count || img->strings[0] || img->strings[m->strings.count - 1])
		die(file, "the manifest's strings are malformed.");
	if (!memchr(m->name, 0, sizeof(m->name)))
		die(file, "the manifest's name has no end.");
	for (uint32_t i = 0; i < m->anchors.count; i++)
		check_string(img, file, img->anchors[i].name);
	for (uint32_t i = 0; i < m->regions.count; i++) {
		const struct gm_region *r = &img->regions[i];

		if (r->anchor >= m->anchors.count || r->size % GM_PAGE ||
		    (r->file_size && r->file_size != r->size) || r->file_offset > img->size ||
		    img->size - r->file_offset < r->file_size)
			die(file, "region %u of the manifest is malformed.", i);
	}
	for (uint32_t i = 0; i < m->relocs.count; i++) {
		const struct gm_reloc *r = &img->relocs[i];
		bool wide = r->type == GM_RELOC_64 || r->type == GM_RELOC_PC64;

		check_place(img, file, r->region, r->offset, wide ? 8 : 4);
		if (r->anchor >= m->anchors.count || !r->type || r->type > GM_RELOC_PC64)
			die(file, "relocation %u of the manifest is malformed.", i);
	}
	for (uint32_t i = 0; i < m->gates.count; i++) {
		const struct gm_gate *g = &img->gates[i];

		check_place(img, file, g->region, g->offset, 3);
		check_string(img, file, g->name);
		if (g->target_anchor >= m->anchors.count)
			die(file, "gate %u of the manifest is malformed.", i);
	}
	for (uint32_t i = 0; i < m->frames.count; i++)
		check_place(img, file, img->frames[i].region, img->frames[i].offset, 0);
	check_place(img, file, m->trampoline_region, m->trampoline_offset, 6);
	check_place(img, file, m->ret_region, m->ret_offset, 1);
}

static Elf_Scn *find_section(Elf *elf, const char *name)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return NULL;
	while ((scn = elf_nextscn(elf, scn))) {
		const Elf64_Shdr *sh = elf64_getshdr(scn);
		const char *s = sh ? elf_strptr(elf, names, sh->sh_name) : NULL;

		if (s && !strcmp(s, name))
			return scn;
	}
	return NULL;
}

/* They are for people here: an image without them is as good. */
static void read_pointers(struct image *img, const char *file, Elf *elf)
{
	struct pointers *p = xalloc(sizeof(*p));
	Elf_Data *d = elf_rawdata(find_section(elf, GM_SECTION_POINTERS), NULL);
	const char *bad = d && d->d_buf ? pointers_read(p, d->d_buf, d->d_size) : NULL;

	if (bad)
		die(file, "%s: %s.", GM_SECTION_POINTERS, bad);
	img->pointers = p;
}

static void end_elf(void *elf)
{
	elf_end(elf);
}

void image_read(struct image *img, const char *file, const uint8_t *data, size_t size)
{
	const struct gm_manifest *m;
	Elf_Data *d;
	Elf *elf;

	memset(img, 0, sizeof(*img));
	img->data = data;
	img->size = signature_find(data, size, &img->sig_size);
	img->sig = img->sig_size ? data + img->size : NULL;
	elf_version(EV_CURRENT);
	elf = img->size ? elf_memory((char *)(uintptr_t)data, img->size) : NULL;
	if (elf)
		at_end(end_elf, elf);
	if (!elf || elf_kind(elf) != ELF_K_ELF || !elf64_getehdr(elf))
		die(file, "not an ELF file. Give an image that `gmcc guard' wrote.");
	if (elf64_getehdr(elf)->e_shoff % 8)
		die(file, "misaligned section table.");
	d = elf_rawdata(find_section(elf, GM_SECTION_MANIFEST), NULL);
	if (!d || !d->d_buf || d->d_size < sizeof(*m))
		die(file, "no manifest. Give an image that `gmcc guard' wrote.");
	m = img->man = xmemdup(d->d_buf, d->d_size);
	if (memcmp(m->magic, GM_MANIFEST_MAGIC, sizeof(m->magic)) || m->size < sizeof(*m) ||
	    m->size > d->d_size)
		die(file, "malformed manifest. Give an image that `gmcc guard' wrote.");
	if (m->version != GM_MANIFEST_VERSION)
		die(file, "manifest version %u, but this gmcc knows %d. Use the gmcc that wrote it.",
		    m->version, GM_MANIFEST_VERSION);
	img->anchors = table(img, file, "anchors", &m->anchors, sizeof(*img->anchors));
	img->regions = table(img, file, "regions", &m->regions, sizeof(*img->regions));
	img->relocs = table(img, file, "relocations", &m->relocs, sizeof(*img->relocs));
	img->gates = table(img, file, "gates", &m->gates, sizeof(*img->gates));
	img->frames = table(img, file, "frames", &m->frames, sizeof(*img->frames));
	img->privileges = table(img, file, "privileges", &m->privileges, sizeof(*img->privileges));
	if (m->privileges.count > GM_MAX_PRIVILEGES)
		die(file, "the manifest has %u privileges, more than %d.", m->privileges.count, GM_MAX_PRIVILEGES);
	img->strings = table(img, file, "strings", &m->strings, 1);
	check_tables(img, file);
	read_pointers(img, file, elf);
}
