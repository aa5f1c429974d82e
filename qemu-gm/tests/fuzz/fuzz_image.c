/*
 * All that registering does with a file but verify its signature, then a seal
 * of it at addresses that a guest might claim, on arbitrary files.
 *
 * Beyond memory safety: what is refused has an error, and what is not refused
 * has none; a plan has exactly the pages of the image, and lies about none.
 * The mutator aims at section headers and the manifest, which a blind one
 * hardly hits between pages of padding.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <elf.h>
#include "qapi/error.h"
#include "image.h"
#include "seal.h"

#define MODULE 0xffffffffc0100000ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
                               unsigned int seed);

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz-image: %s\n", what);
        abort();
    }
}

static unsigned dice(unsigned *seed, unsigned sides)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 8) % sides;
}

static bool translate(void *opaque, uint64_t va, uint64_t *gpa)
{
    const unsigned *hole = opaque;

    *gpa = va & 0xffffff000ULL;
    return (va >> 12) % 64 != *hole;
}

/* Where a loader might put the module: one part after the other. */
static void lay_out(const GmImage *image, uint64_t *values, unsigned seed)
{
    uint64_t next = MODULE;
    uint32_t i;

    for (i = 0; i < image->manifest->anchors.count; i++) {
        const struct gm_anchor *a = &image->anchors[i];

        values[i] = next;
        if (a->kind == GM_ANCHOR_EXTERN) {
            values[i] = 0xffffffff81000000ULL + 0x1000 * i;
        } else {
            next += QEMU_ALIGN_UP(a->size, GM_PAGE_SIZE);
        }
        if (!dice(&seed, 64)) {
            values[i] += dice(&seed, 33) * 0x800ULL - 0x8000;
        }
    }
}

static void seal(const GmImage *image, unsigned seed, const GPtrArray *others)
{
    g_autofree uint64_t *values = g_new0(uint64_t,
                                         image->manifest->anchors.count + 1);
    g_autoptr(GmSealPlan) plan = NULL;
    unsigned hole = dice(&seed, 512);
    Error *err = NULL;
    uint32_t i;
    int ret = 1;

    lay_out(image, values, seed);
    plan = gm_seal_plan_new(image, values, translate, &hole, others, &ret,
                            &err);
    must(!plan == !!err, "a plan and an error, or neither");
    if (!plan) {
        must(ret < 0, "refused without an error for the guest");
        error_free(err);
        return;
    }
    must(plan->nr_pages == image->nr_pages, "not the image's pages");
    for (i = 0; i < plan->nr_pages; i++) {
        must(!(plan->gpas[i] % GM_PAGE_SIZE), "a frame that is none");
    }
    gm_seal_plan_trim(plan);
    if (!others->len) {
        g_autoptr(GPtrArray) sealed = g_ptr_array_new();

        /* Never twice at one place. */
        g_ptr_array_add(sealed, plan);
        seal(image, seed, sealed);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of exactly its size, which the image takes. */
    g_autofree uint8_t *file = g_malloc(size ? size : 1);
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(GmImage) image = NULL;
    size_t body = size;
    GmSignature sig;
    Error *err = NULL;

    if (size) {
        memcpy(file, data, size);
    }
    if (!gm_elf_check(file, size, &err)) {
        must(err, "refused without an error");
        g_clear_pointer(&err, error_free);
    }
    if (gm_signature_find(file, size, &sig, &err)) {
        must(!err && sig.body_size < size && sig.der == file + sig.body_size &&
             sig.der_size <= size - sig.body_size, "a signature outside");
        body = sig.body_size;
    } else {
        must(err, "refused without an error");
        g_clear_pointer(&err, error_free);
    }
    image = gm_image_new(g_steal_pointer(&file), size, body, &err);
    must(!image == !!err, "an image and an error, or neither");
    if (image) {
        seal(image, size > 9 ? data[size / 3] + data[size / 2] * 256 : 0,
             none);
    }
    error_free(err);
    return 0;
}

/* What tends to matter, over one to eight bytes. */
static void poke(uint8_t *p, size_t room, unsigned *seed)
{
    static const uint64_t values[] = {
        0, 1, 2, 8, 0x10, 0x7f, 0x80, 0xff, 0xfff, 0x1000, 0xffff, 0x10000,
        0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, -1ULL, -8ULL, -4096ULL,
    };
    uint64_t v = values[dice(seed, G_N_ELEMENTS(values))];
    size_t n = 1u << dice(seed, 4);

    switch (dice(seed, 3)) {
    case 0:
        memcpy(p, &v, MIN(n, room));
        break;
    case 1:
        *p ^= 1u << dice(seed, 8);
        break;
    default:
        *p += dice(seed, 33) - 16;
    }
}

/* In one section header, the start of a section, or the last one but one. */
static bool poke_elf(uint8_t *data, size_t size, unsigned *seed)
{
    size_t at, room;
    Elf64_Ehdr eh;
    Elf64_Shdr sh;

    if (size < sizeof(eh)) {
        return false;
    }
    memcpy(&eh, data, sizeof(eh));
    if (!eh.e_shnum || eh.e_shoff > size ||
        (size - eh.e_shoff) / sizeof(sh) < eh.e_shnum) {
        return false;
    }
    at = eh.e_shoff + dice(seed, eh.e_shnum) * sizeof(sh);
    room = sizeof(sh);
    memcpy(&sh, data + at, sizeof(sh));
    if (dice(seed, 8) && sh.sh_type != SHT_NOBITS && sh.sh_size &&
        sh.sh_offset < size && size - sh.sh_offset >= sh.sh_size) {
        at = sh.sh_offset;
        room = sh.sh_size;
        /* Most of the code is of no interest here; the manifest is no code. */
        if (sh.sh_flags & SHF_ALLOC && dice(seed, 8)) {
            return poke_elf(data, size, seed);
        }
    }
    at += dice(seed, MIN(room, UINT32_MAX));
    poke(data + at, size - at, seed);
    return true;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
                               unsigned int seed)
{
    unsigned n = 1 + dice(&seed, 4);

    if (!dice(&seed, 4)) {
        return LLVMFuzzerMutate(data, size, max);
    }
    while (n--) {
        if (!poke_elf(data, size, &seed)) {
            return LLVMFuzzerMutate(data, size, max);
        }
    }
    return size;
}
