/*
 * Guarded images: reading the file that gmcc wrote. What its manifest says is
 * checked in image-tables.c.
 *
 * A registered file is signed, hence trusted; but it is parsed as if it were
 * not, so that a bug in gmcc, or a key in the wrong hands, costs an error
 * message and nothing more. Three steps, called by gm-register in this order:
 * gm_elf_check() before the signature is looked at, gm_signature_find() to
 * find it, gm_image_new() once it has been verified.
 *
 * The file depends on glib and Error only, so that tests and fuzzers can
 * build it without the rest of QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "elf.h"
#include "image.h"
#include "image-tables.h"

#if G_BYTE_ORDER != G_LITTLE_ENDIAN
#error "guarded modules need KVM on x86, hence a little-endian host"
#endif

/* Struct module_signature of Linux, include/linux/module_signature.h. */
typedef struct GmModuleSignature {
    uint8_t algo, hash, id_type, signer_len, key_id_len, pad[3];
    uint8_t sig_len[4];         /* big-endian */
} GmModuleSignature;

#define GM_SIGNATURE_PKCS7 2    /* PKEY_ID_PKCS7 */

static const char gm_signature_magic[] = "~Module signature appended~\n";

#define GM_SIGNATURE_MAGIC_SIZE (sizeof(gm_signature_magic) - 1)

static Elf64_Shdr gm_elf_section(const uint8_t *file, const Elf64_Ehdr *ehdr,
                                 unsigned index)
{
    Elf64_Shdr shdr = { 0 };

    memcpy(&shdr, file + ehdr->e_shoff + index * sizeof(shdr), sizeof(shdr));
    return shdr;
}

/* The name of a section; the bounds of the string section are known good. */
static const char *gm_elf_section_name(const uint8_t *file,
                                       const Elf64_Shdr *strtab,
                                       const Elf64_Shdr *shdr)
{
    const char *name;

    if (shdr->sh_name >= strtab->sh_size) {
        return NULL;
    }
    name = (const char *)file + strtab->sh_offset + shdr->sh_name;
    if (!memchr(name, '\0', strtab->sh_size - shdr->sh_name)) {
        return NULL;
    }
    return name;
}

/* Header and section table; afterwards gm_elf_section() is safe. */
static bool gm_elf_header(const uint8_t *file, size_t size, Elf64_Ehdr *ehdr,
                          Error **errp)
{
    uint64_t table_size;

    if (size < SELFMAG || memcmp(file, ELFMAG, SELFMAG)) {
        error_setg(errp, "not an ELF file");
        return false;
    }
    if (size < sizeof(*ehdr)) {
        error_setg(errp, "truncated: the ELF header needs %zu bytes, the file "
                   "has %zu", sizeof(*ehdr), size);
        return false;
    }
    memcpy(ehdr, file, sizeof(*ehdr));

    if (ehdr->e_ident[EI_CLASS] != ELFCLASS64 ||
        ehdr->e_ident[EI_DATA] != ELFDATA2LSB) {
        error_setg(errp, "wrong machine: not a 64-bit little-endian ELF file");
        return false;
    }
    if (ehdr->e_machine != EM_X86_64) {
        error_setg(errp, "wrong machine: ELF machine %u, expected %u (x86-64)",
                   ehdr->e_machine, EM_X86_64);
        return false;
    }
    if (ehdr->e_type != ET_REL) {
        error_setg(errp, "not a kernel module: ELF type %u, expected %u "
                   "(relocatable)", ehdr->e_type, ET_REL);
        return false;
    }
    if (ehdr->e_shentsize != sizeof(Elf64_Shdr) || !ehdr->e_shnum ||
        !ehdr->e_shstrndx || ehdr->e_shstrndx >= ehdr->e_shnum) {
        error_setg(errp, "malformed ELF header: no usable section table");
        return false;
    }
    table_size = (uint64_t)ehdr->e_shnum * sizeof(Elf64_Shdr);
    if (!gm_range_ok(ehdr->e_shoff, table_size, size)) {
        error_setg(errp, "truncated: the ELF section table (%" PRIu64 " bytes "
                   "at %" PRIu64 ") ends outside the file's %zu bytes",
                   table_size, (uint64_t)ehdr->e_shoff, size);
        return false;
    }
    return true;
}

bool gm_elf_check(const uint8_t *file, size_t size, Error **errp)
{
    Elf64_Ehdr ehdr;
    unsigned i;

    if (!gm_elf_header(file, size, &ehdr, errp)) {
        return false;
    }
    for (i = 1; i < ehdr.e_shnum; i++) {
        Elf64_Shdr shdr = gm_elf_section(file, &ehdr, i);

        if (shdr.sh_type != SHT_NOBITS &&
            !gm_range_ok(shdr.sh_offset, shdr.sh_size, size)) {
            error_setg(errp, "truncated: ELF section %u (%" PRIu64 " bytes at "
                       "%" PRIu64 ") ends outside the file's %zu bytes", i,
                       (uint64_t)shdr.sh_size, (uint64_t)shdr.sh_offset, size);
            return false;
        }
    }
    if (gm_elf_section(file, &ehdr, ehdr.e_shstrndx).sh_type != SHT_STRTAB) {
        error_setg(errp, "malformed ELF file: section names are not in a "
                   "string table");
        return false;
    }
    return true;
}

bool gm_signature_find(const uint8_t *file, size_t size, GmSignature *sig,
                       Error **errp)
{
    GmModuleSignature trailer;
    const uint8_t *end;
    uint32_t sig_len;

    if (size < GM_SIGNATURE_MAGIC_SIZE ||
        memcmp(file + size - GM_SIGNATURE_MAGIC_SIZE, gm_signature_magic,
               GM_SIGNATURE_MAGIC_SIZE)) {
        error_setg(errp, "not signed");
        return false;
    }
    size -= GM_SIGNATURE_MAGIC_SIZE;

    if (size < sizeof(trailer)) {
        error_setg(errp, "malformed signature: no room for its trailer");
        return false;
    }
    size -= sizeof(trailer);
    end = file + size;
    memcpy(&trailer, end, sizeof(trailer));

    if (trailer.id_type != GM_SIGNATURE_PKCS7) {
        error_setg(errp, "malformed signature: type %u, expected %u (PKCS#7)",
                   trailer.id_type, GM_SIGNATURE_PKCS7);
        return false;
    }
    if (trailer.algo || trailer.hash || trailer.signer_len ||
        trailer.key_id_len || trailer.pad[0] || trailer.pad[1] ||
        trailer.pad[2]) {
        error_setg(errp, "malformed signature: fields that must be zero are "
                   "not");
        return false;
    }
    sig_len = (uint32_t)trailer.sig_len[0] << 24 | trailer.sig_len[1] << 16 |
              trailer.sig_len[2] << 8 | trailer.sig_len[3];
    if (!sig_len || sig_len >= size) {
        error_setg(errp, "malformed signature: %u bytes long, in front of its "
                   "trailer are %zu", sig_len, size);
        return false;
    }

    sig->body_size = size - sig_len;
    sig->der = end - sig_len;
    sig->der_size = sig_len;
    return true;
}

/* Find the one section called @name; its contents are within @size. */
static bool gm_elf_find(const uint8_t *file, size_t size, const char *name,
                        Elf64_Shdr *found, Error **errp)
{
    Elf64_Shdr strtab;
    Elf64_Ehdr ehdr;
    unsigned i, n = 0;

    if (!gm_elf_check(file, size, errp) ||
        !gm_elf_header(file, size, &ehdr, errp)) {
        return false;
    }
    strtab = gm_elf_section(file, &ehdr, ehdr.e_shstrndx);

    for (i = 1; i < ehdr.e_shnum; i++) {
        Elf64_Shdr shdr = gm_elf_section(file, &ehdr, i);
        const char *s = gm_elf_section_name(file, &strtab, &shdr);

        if (!s) {
            error_setg(errp, "malformed ELF file: section %u has no valid "
                       "name", i);
            return false;
        }
        if (!strcmp(s, name)) {
            *found = shdr;
            n++;
        }
    }
    if (!n) {
        error_setg(errp, "not a guarded image: no section %s", name);
        return false;
    }
    if (n > 1) {
        error_setg(errp, "malformed ELF file: %u sections %s", n, name);
        return false;
    }
    return true;
}

static bool gm_read_manifest(GmImage *image, size_t body_size, Error **errp)
{
    struct gm_manifest *m;
    Elf64_Shdr shdr = { 0 };

    if (!gm_elf_find(image->file, body_size, GM_SECTION_MANIFEST, &shdr,
                     errp)) {
        return false;
    }
    if (shdr.sh_type == SHT_NOBITS || (shdr.sh_flags & SHF_ALLOC) ||
        shdr.sh_size < offsetof(struct gm_manifest, id)) {
        error_setg(errp, "manifest: section %s is too short or of the wrong "
                   "type", GM_SECTION_MANIFEST);
        return false;
    }

    /* The section may be at any offset of the file; tables want alignment. */
    m = g_memdup2(image->file + shdr.sh_offset, shdr.sh_size);
    image->manifest = m;

    if (memcmp(m->magic, GM_MANIFEST_MAGIC, sizeof(m->magic))) {
        error_setg(errp, "manifest: wrong magic");
        return false;
    }
    if (m->version != GM_MANIFEST_VERSION) {
        error_setg(errp, "manifest version %u, this QEMU understands %u",
                   m->version, GM_MANIFEST_VERSION);
        return false;
    }
    if (m->size < sizeof(*m) || m->size != shdr.sh_size) {
        error_setg(errp, "manifest: %u bytes long, its section has %" PRIu64,
                   m->size, (uint64_t)shdr.sh_size);
        return false;
    }
    return true;
}

GmImage *gm_image_new(uint8_t *file, size_t size, size_t body_size,
                      Error **errp)
{
    g_autoptr(GmImage) image = g_new0(GmImage, 1);
    int i;

    image->file = file;
    image->size = size;

    if (!gm_read_manifest(image, body_size, errp) ||
        !gm_image_check_manifest(image, body_size, errp)) {
        return NULL;
    }
    for (i = 0; i < GM_ID_LEN; i++) {
        snprintf(image->id + 2 * i, 3, "%02x", image->manifest->id[i]);
    }
    return g_steal_pointer(&image);
}

void gm_image_free(GmImage *image)
{
    if (image) {
        g_free(image->file);
        g_free(image->manifest);
        g_free(image);
    }
}
