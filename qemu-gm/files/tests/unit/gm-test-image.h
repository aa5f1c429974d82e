/*
 * A small guarded image for tests, correct in every respect.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_GM_TEST_IMAGE_H
#define TESTS_GM_TEST_IMAGE_H

#include "../../hw/misc/gm/image.h"

/* Where things are in the file. */
#define GM_TEST_PAGE            0x1000ULL
#define GM_TEST_TEXT            0x1000
#define GM_TEST_GATES           0x2000
#define GM_TEST_DATA            0x3000
#define GM_TEST_MANIFEST        0x4000
#define GM_TEST_STACKS          4
#define GM_TEST_STACK_PAGES     2
#define GM_TEST_DEVICE_PAGES    72      /* the table, and as many but one */
#define GM_TEST_NAME            "gmtest"

enum {                          /* anchors, the first six of regions, too */
    GM_TEST_A_TEXT,
    GM_TEST_A_GATES,
    GM_TEST_A_DATA,
    GM_TEST_A_STACKS,
    GM_TEST_A_HOSTINFO,
    GM_TEST_A_DEVICES,
    GM_TEST_A_SHARED,
    GM_TEST_A_PRINTK,
    GM_TEST_A_JIFFIES,
    GM_TEST_NR_ANCHORS,
    GM_TEST_NR_REGIONS = GM_TEST_A_SHARED,
};

enum {                          /* privileges, in the manifest's order */
    GM_TEST_P_MMIO,
    GM_TEST_P_PIO,
    GM_TEST_P_MSR,
    GM_TEST_P_MSR_WRITE,
    GM_TEST_P_HOSTINFO,
    GM_TEST_NR_PRIVILEGES,
};

enum {                          /* gates, in the manifest's order */
    GM_TEST_G_PRINTK,
    GM_TEST_G_INDIRECT,
    GM_TEST_G_OUT_RETURN,
    GM_TEST_G_INIT,
    GM_TEST_G_EXIT,
    GM_TEST_G_XMIT,
    GM_TEST_G_IN_RETURN,
    GM_TEST_G_RESUME,
    GM_TEST_NR_GATES,
};

typedef struct GmTestImage {
    uint8_t *data;
    size_t size;
    /* Into data: */
    struct gm_manifest *m;
    struct gm_anchor *anchors;
    struct gm_region *regions;
    struct gm_reloc *relocs;
    struct gm_gate *gates;
    struct gm_frame *frames;
    struct gm_privilege *privileges;
    char *strings;
} GmTestImage;

void gm_test_image_init(GmTestImage *t);
void gm_test_image_cleanup(GmTestImage *t);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GmTestImage, gm_test_image_cleanup)

/* Parse a copy of exactly its size, so that a sanitizer sees reads beyond. */
GmImage *gm_test_image_parse(const GmTestImage *t, Error **errp);

/* Where the guest loads it: an address for each anchor. */
#define GM_TEST_MODULE          0xffffffffc0100000ULL
void gm_test_image_values(uint64_t *values);
bool gm_test_translate(void *opaque, uint64_t va, uint64_t *gpa);

/* Expect an error whose text contains @text; free it. */
void gm_test_expect(Error *err, const char *text);

/* A key with its certificate, self-signed. */
typedef struct GmTestKey GmTestKey;

/* Valid from now + @from to now + @to seconds. */
GmTestKey *gm_test_key_new(const char *cn, unsigned serial, int from, int to);
void gm_test_key_free(GmTestKey *key);
void gm_test_key_save(const GmTestKey *key, const char *path);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(GmTestKey, gm_test_key_free)

/* Append a signature, as the kernel's sign-file does. */
void gm_test_image_sign(GmTestImage *t, const GmTestKey *key);

#endif /* TESTS_GM_TEST_IMAGE_H */
