/*
 * Guarded images: between image.c, which finds the manifest in the file, and
 * image-tables.c, which checks it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_IMAGE_TABLES_H
#define HW_MISC_GM_IMAGE_TABLES_H

#include "image.h"

static inline bool gm_range_ok(uint64_t offset, uint64_t size, uint64_t limit)
{
    return offset <= limit && size <= limit - offset;
}

/**
 * gm_image_check_manifest: Check all that the manifest says.
 *
 * Its magic, version and size are right already; @image->file is the whole
 * file, of which the signature covers @body_size bytes. Sets what of @image
 * points into the manifest.
 */
bool gm_image_check_manifest(GmImage *image, size_t body_size, Error **errp);

#endif /* HW_MISC_GM_IMAGE_TABLES_H */
