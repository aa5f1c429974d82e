/*
 * Guarded images: reading and checking the file that gmcc wrote.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_IMAGE_H
#define HW_MISC_GM_IMAGE_H

#include "hw/misc/gm/gm_image.h"

#define GM_PAGE_SIZE 4096

/* The appended signature, as pointers into the file. */
typedef struct GmSignature {
    size_t body_size;           /* bytes that the signature covers */
    const uint8_t *der;         /* PKCS#7 */
    size_t der_size;
} GmSignature;

/*
 * A guarded image. Everything that the tables say has been checked against
 * the file and against each other, so that users need no checks of their
 * own. Immutable.
 */
typedef struct GmImage {
    uint8_t *file;              /* as the guest gets it, signature included */
    size_t size;
    struct gm_manifest *manifest;       /* an aligned copy, with its tables: */
    const struct gm_anchor *anchors;
    const struct gm_region *regions;
    const struct gm_reloc *relocs;
    const struct gm_gate *gates;
    const struct gm_frame *frames;
    const struct gm_privilege *privileges;  /* what it asks for */
    const char *strings;
    uint32_t nr_pages;          /* over all regions */
    char id[2 * GM_ID_LEN + 1]; /* manifest->id in hexadecimal */
} GmImage;

/**
 * gm_elf_check: Is this a whole x86-64 relocatable ELF file?
 *
 * Looks at the header and at the bounds of every section, and at nothing
 * else: this runs on files whose signature nobody has verified yet.
 */
bool gm_elf_check(const uint8_t *file, size_t size, Error **errp);

/**
 * gm_signature_find: Find the signature at the end of a file.
 *
 * Checks the trailer only; see gm_keyring_verify() for the rest.
 */
bool gm_signature_find(const uint8_t *file, size_t size, GmSignature *sig,
                       Error **errp);

/**
 * gm_image_new: Check the image in @file completely.
 * @file: the file; belongs to the image afterwards, even on failure
 * @size: its size
 * @body_size: how much of it the signature covers: nothing behind counts
 */
GmImage *gm_image_new(uint8_t *file, size_t size, size_t body_size,
                      Error **errp);
void gm_image_free(GmImage *image);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(GmImage, gm_image_free)

/* The string at @offset of the image's string table. */
static inline const char *gm_image_str(const GmImage *image, uint32_t offset)
{
    return image->strings + offset;
}

/* The section or symbol that an anchor stands for. */
static inline const char *gm_image_anchor_name(const GmImage *image,
                                               uint32_t anchor)
{
    return gm_image_str(image, image->anchors[anchor].name);
}

/* The section that a region was. */
static inline const char *gm_image_region_name(const GmImage *image,
                                               uint32_t region)
{
    return gm_image_anchor_name(image, image->regions[region].anchor);
}

/* Bytes that a relocation of a (valid) type changes. */
static inline unsigned gm_reloc_width(uint32_t type)
{
    return type == GM_RELOC_64 || type == GM_RELOC_PC64 ? 8 : 4;
}

#endif /* HW_MISC_GM_IMAGE_H */
