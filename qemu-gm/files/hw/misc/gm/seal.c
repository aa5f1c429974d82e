/*
 * Guarded modules: what KVM is to seal, from an image and the guest's claims.
 *
 * The guest's loader has put the image somewhere and says where. The text
 * that will run is computed here, from the signed file and those addresses,
 * never read from the guest (I4). The addresses are hostile: each could be
 * chosen to make a relocation point into a sealed page, two pages coincide,
 * or a sum wrap.
 *
 * The file depends on glib and Error only, so that tests can be the guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "seal.h"

/* Lowest address of the kernel half; with 5-level paging, modules' at least. */
#define GM_KERNEL_START 0xffff800000000000ULL
/*
 * Of modules: Linux reaches them, and they it, by 32 signed bits. What images absorb
 * takes all that is below for the kernel's (guest/absorb/gm_absorb.h).
 */
#define GM_MODULES_START 0xffffffff80000000ULL

/* One attempt; what it yields is in `plan'. */
typedef struct GmSealer {
    const GmImage *image;
    const uint64_t *values;
    const GPtrArray *others;
    GmSealPlan *plan;
} GmSealer;

static bool gm_kernel_range(uint64_t va, uint64_t size)
{
    return va >= GM_KERNEL_START && size <= UINT64_MAX - va;
}

static bool gm_overlap(uint64_t a, uint64_t a_size, uint64_t b,
                       uint64_t b_size)
{
    /* Nothing sealed reaches the last byte: a sum that wraps is no hit. */
    return a_size && b_size && a < b + b_size && b < a + a_size;
}

/* Does [va, va + size) touch a region of the plan, other than @skip? */
static bool gm_plan_overlap(const GmSealPlan *plan, uint64_t va, uint64_t size,
                            const struct kvm_gm_region *skip)
{
    uint32_t i;

    for (i = 0; i < plan->seal.nr_regions; i++) {
        const struct kvm_gm_region *r = &plan->regions[i];

        if (r != skip && gm_overlap(va, size, r->va, (uint64_t)r->nr_pages *
                                    GM_PAGE_SIZE)) {
            return true;
        }
    }
    return false;
}

static bool gm_others_overlap(const GmSealer *s, uint64_t va, uint64_t size)
{
    unsigned i;

    for (i = 0; i < s->others->len; i++) {
        if (gm_plan_overlap(s->others->pdata[i], va, size, NULL)) {
            return true;
        }
    }
    return false;
}

static uint64_t gm_region_va(const GmSealer *s, uint32_t region)
{
    return s->values[s->image->regions[region].anchor];
}

static void gm_place_regions(GmSealer *s)
{
    const GmImage *image = s->image;
    GmSealPlan *plan = s->plan;
    uint32_t i, page = 0;

    plan->seal.nr_regions = image->manifest->regions.count;
    plan->regions = g_new0(struct kvm_gm_region, plan->seal.nr_regions);
    plan->nr_pages = image->nr_pages;
    plan->gpas = g_new0(uint64_t, plan->nr_pages);
    plan->content = g_malloc0((size_t)plan->nr_pages * GM_PAGE_SIZE);

    for (i = 0; i < plan->seal.nr_regions; i++) {
        const struct gm_region *from = &image->regions[i];
        struct kvm_gm_region *to = &plan->regions[i];
        uint8_t *content = plan->content + (size_t)page * GM_PAGE_SIZE;

        to->va = gm_region_va(s, i);
        to->nr_pages = from->size / GM_PAGE_SIZE;
        to->kind = from->kind;
        to->gpas = (uintptr_t)&plan->gpas[page];
        if (from->file_size) {
            memcpy(content, image->file + from->file_offset, from->file_size);
            to->content = (uintptr_t)content;
        }
        page += to->nr_pages;
    }
    plan->seal.regions = (uintptr_t)plan->regions;
}

static bool gm_check_region_addresses(GmSealer *s, Error **errp)
{
    GmSealPlan *plan = s->plan;
    uint32_t i;

    for (i = 0; i < plan->seal.nr_regions; i++) {
        const struct kvm_gm_region *r = &plan->regions[i];

        if (r->va % GM_PAGE_SIZE || r->va < GM_MODULES_START ||
            !gm_kernel_range(r->va, (r->nr_pages + 1ULL) * GM_PAGE_SIZE)) {
            error_setg(errp, "region %s at 0x%" PRIx64 " is not page-aligned "
                       "where Linux has modules", gm_image_region_name(s->image, i),
                       (uint64_t)r->va);
            return false;
        }
    }
    for (i = 0; i < plan->seal.nr_regions; i++) {
        const struct kvm_gm_region *r = &plan->regions[i];
        uint64_t size = (uint64_t)r->nr_pages * GM_PAGE_SIZE;

        if (gm_plan_overlap(plan, r->va, size, r)) {
            error_setg(errp, "region %s at 0x%" PRIx64 " overlaps another",
                       gm_image_region_name(s->image, i), (uint64_t)r->va);
            return false;
        }
        if (gm_others_overlap(s, r->va, size)) {
            error_setg(errp, "region %s at 0x%" PRIx64 " overlaps another "
                       "sealed module", gm_image_region_name(s->image, i),
                       (uint64_t)r->va);
            return false;
        }
    }
    return true;
}

/*
 * Might an object of the kernel's at @va, of which no more is known than that
 * it is no larger than a page, be or touch what the module may write? Linux leaves
 * a page free after all that it maps for modules. (Other modules' sealed pages
 * are none of these: this one has no more rights there than the guest.)
 */
static bool gm_reaches_sealed(const GmSealer *s, uint64_t va)
{
    return gm_plan_overlap(s->plan, va - 8, GM_PAGE_SIZE + 8, NULL);
}

/* What stays the guest's must not be what is sealed. */
static bool gm_check_guest_addresses(GmSealer *s, Error **errp)
{
    const GmImage *image = s->image;
    uint32_t i;

    for (i = 0; i < image->manifest->anchors.count; i++) {
        const struct gm_anchor *a = &image->anchors[i];
        uint64_t va = s->values[i];

        if (a->kind == GM_ANCHOR_SHARED && a->size) {
            if (!gm_kernel_range(va, a->size)) {
                error_setg(errp, "shared section %s at 0x%" PRIx64 " is not in "
                           "the kernel half", gm_image_anchor_name(image, i),
                           va);
                return false;
            }
            if (gm_plan_overlap(s->plan, va, a->size, NULL) ||
                gm_others_overlap(s, va, a->size)) {
                error_setg(errp, "shared section %s at 0x%" PRIx64 " overlaps "
                           "sealed pages", gm_image_anchor_name(image, i), va);
                return false;
            }
        } else if (a->kind == GM_ANCHOR_EXTERN &&
                   gm_reaches_sealed(s, va)) {
            error_setg(errp, "symbol %s at 0x%" PRIx64 " is in or before a "
                       "sealed page", gm_image_anchor_name(image, i), va);
            return false;
        }
    }
    return true;
}

static bool gm_relocate_one(GmSealer *s, const struct gm_reloc *r,
                            Error **errp)
{
    const struct kvm_gm_region *region = &s->plan->regions[r->region];
    uint8_t *where = (uint8_t *)(uintptr_t)region->content + r->offset;
    uint64_t target = s->values[r->anchor] + (uint64_t)r->addend;
    uint64_t value = target;
    bool ok = true;

    switch (r->type) {
    case GM_RELOC_64:
        break;
    case GM_RELOC_32:
        ok = value == (uint32_t)value;
        break;
    case GM_RELOC_32S:
        ok = value == (uint64_t)(int32_t)value;
        break;
    case GM_RELOC_PC32:
        value -= region->va + r->offset;
        ok = value == (uint64_t)(int32_t)value;
        /* Relative to the end of the field, so far as this can be known. */
        target += 4;
        break;
    case GM_RELOC_PC64:
        value -= region->va + r->offset;
        break;
    }
    if (!ok) {
        error_setg(errp, "relocation of %s+0x%x against %s at 0x%" PRIx64
                   " overflows", gm_image_region_name(s->image, r->region),
                   r->offset, gm_image_anchor_name(s->image, r->anchor),
                   s->values[r->anchor]);
        return false;
    }
    if (s->image->anchors[r->anchor].kind == GM_ANCHOR_PERCPU &&
        target > GM_PERCPU_REACH - 16) {
        error_setg(errp, "relocation of %s+0x%x against %s at 0x%" PRIx64
                   " is not to per-CPU data",
                   gm_image_region_name(s->image, r->region), r->offset,
                   gm_image_anchor_name(s->image, r->anchor),
                   s->values[r->anchor]);
        return false;
    }
    if (s->image->anchors[r->anchor].kind == GM_ANCHOR_EXTERN &&
        gm_reaches_sealed(s, target)) {
        error_setg(errp, "relocation of %s+0x%x against %s at 0x%" PRIx64
                   " points to a sealed page",
                   gm_image_region_name(s->image, r->region), r->offset,
                   gm_image_anchor_name(s->image, r->anchor),
                   s->values[r->anchor]);
        return false;
    }
    memcpy(where, &value, gm_reloc_width(r->type));
    return true;
}

static bool gm_relocate(GmSealer *s, Error **errp)
{
    uint32_t i;

    for (i = 0; i < s->image->manifest->relocs.count; i++) {
        if (!gm_relocate_one(s, &s->image->relocs[i], errp)) {
            return false;
        }
    }
    return true;
}

typedef struct GmNamedGate {
    struct kvm_gm_gate gate;
    const char *name;
} GmNamedGate;

static int gm_compare_gates(const void *a, const void *b)
{
    uint64_t x = ((const GmNamedGate *)a)->gate.insn;
    uint64_t y = ((const GmNamedGate *)b)->gate.insn;

    return x < y ? -1 : x > y;
}

static bool gm_place_gates(GmSealer *s, Error **errp)
{
    const GmImage *image = s->image;
    GmSealPlan *plan = s->plan;
    uint32_t n = image->manifest->gates.count;
    g_autofree GmNamedGate *sorted = g_new0(GmNamedGate, n);
    uint32_t i;

    for (i = 0; i < n; i++) {
        const struct gm_gate *from = &image->gates[i];
        struct kvm_gm_gate *to = &sorted[i].gate;

        sorted[i].name = gm_image_str(image, from->name);
        to->insn = gm_region_va(s, from->region) + from->offset;
        to->kind = from->kind;
        to->flags = from->flags;
        to->stack_words = from->stack_words;
        to->results = from->results;
        if (from->kind != KVM_GM_GATE_IN_CALL &&
            from->kind != KVM_GM_GATE_OUT_CALL) {
            continue;
        }
        to->target = s->values[from->target_anchor] +
                     (uint64_t)from->target_addend;
        if (from->kind == KVM_GM_GATE_OUT_CALL &&
            (!gm_kernel_range(to->target, 1) ||
             gm_plan_overlap(plan, to->target, 1, NULL))) {
            error_setg(errp, "out-call gate %s leads to 0x%" PRIx64 ", which "
                       "is no place of the guest's kernel", sorted[i].name,
                       (uint64_t)to->target);
            return false;
        }
    }
    qsort(sorted, n, sizeof(*sorted), gm_compare_gates);

    plan->gates = g_new(struct kvm_gm_gate, n);
    plan->gate_names = g_new(const char *, n);
    for (i = 0; i < n; i++) {
        plan->gates[i] = sorted[i].gate;
        plan->gate_names[i] = sorted[i].name;
    }
    plan->seal.nr_gates = n;
    plan->seal.gates = (uintptr_t)plan->gates;
    return true;
}

static int gm_compare_frames(const void *a, const void *b)
{
    uint64_t x = ((const struct kvm_gm_frame *)a)->ret;
    uint64_t y = ((const struct kvm_gm_frame *)b)->ret;

    return x < y ? -1 : x > y;
}

static void gm_place_frames(GmSealer *s)
{
    const GmImage *image = s->image;
    GmSealPlan *plan = s->plan;
    uint32_t n = image->manifest->frames.count;
    uint32_t i;

    plan->frames = g_new0(struct kvm_gm_frame, n);
    for (i = 0; i < n; i++) {
        const struct gm_frame *from = &image->frames[i];

        plan->frames[i] = (struct kvm_gm_frame) {
            .ret = gm_region_va(s, from->region) + from->offset,
            .size = from->size,
            .window = from->window,
            .window_len = from->window_len,
        };
    }
    if (n) {
        qsort(plan->frames, n, sizeof(*plan->frames), gm_compare_frames);
    }
    plan->seal.nr_frames = n;
    plan->seal.frames = (uintptr_t)plan->frames;
}

/* Linux gives these back to whoever wants memory, once the module is there. */
static bool gm_section_stays(const char *name)
{
    return !g_str_has_prefix(name, ".init") && !g_str_has_prefix(name, ".exit");
}

static int gm_compare_shared(const void *a, const void *b)
{
    uint64_t x = ((const struct kvm_gm_shared *)a)->va;
    uint64_t y = ((const struct kvm_gm_shared *)b)->va;

    return x < y ? -1 : x > y;
}

/* Runs that touch become one. Returns how many there are. */
static uint32_t gm_merge_shared(struct kvm_gm_shared *shared, uint32_t n)
{
    uint32_t i, last = 0;

    for (i = 1; i < n; i++) {
        struct kvm_gm_shared *to = &shared[last];
        uint64_t ends = (shared[i].va - to->va) / GM_PAGE_SIZE;

        if (ends <= to->nr_pages) {
            to->nr_pages = MAX(to->nr_pages, ends + shared[i].nr_pages);
        } else {
            shared[++last] = shared[i];
        }
    }
    return n ? last + 1 : 0;
}

/*
 * The pages of sections that stay the guest's, and stay where they are. What is more
 * than the pages and runs that KVM takes is left out: the module gets there all the
 * same, by more exits. Where the guest says that they are far apart, KVM refuses.
 */
static void gm_place_shared(GmSealer *s)
{
    const GmImage *image = s->image;
    GmSealPlan *plan = s->plan;
    uint64_t pages = 0;
    uint32_t i, n = 0;

    plan->shared = g_new0(struct kvm_gm_shared, image->manifest->anchors.count);
    for (i = 0; i < image->manifest->anchors.count; i++) {
        const struct gm_anchor *a = &image->anchors[i];
        uint64_t va = QEMU_ALIGN_DOWN(s->values[i], GM_PAGE_SIZE);

        if (a->kind == GM_ANCHOR_SHARED && a->size &&
            s->values[i] >= GM_MODULES_START &&
            gm_section_stays(gm_image_anchor_name(image, i))) {
            plan->shared[n++] = (struct kvm_gm_shared) {
                .va = va,
                .nr_pages = DIV_ROUND_UP(s->values[i] - va + a->size,
                                         GM_PAGE_SIZE),
            };
        }
    }
    if (n) {
        qsort(plan->shared, n, sizeof(*plan->shared), gm_compare_shared);
    }
    n = MIN(gm_merge_shared(plan->shared, n), KVM_GM_MAX_SHARED);
    for (i = 0; i < n && plan->shared[i].nr_pages <= KVM_GM_MAX_PAGES - pages;
         i++) {
        pages += plan->shared[i].nr_pages;
    }
    plan->seal.nr_shared = i;
    plan->seal.shared = (uintptr_t)plan->shared;
}

/* Where the pages are; each must be the module's alone. */
static bool gm_find_pages(GmSealer *s, GmTranslate *translate, void *opaque,
                          Error **errp)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);
    GmSealPlan *plan = s->plan;
    uint32_t i, j;

    for (i = 0; i < s->others->len; i++) {
        const GmSealPlan *other = s->others->pdata[i];

        for (j = 0; j < other->nr_pages; j++) {
            g_hash_table_add(seen, &other->gpas[j]);
        }
    }
    for (i = 0; i < plan->seal.nr_regions; i++) {
        const struct kvm_gm_region *r = &plan->regions[i];
        uint64_t *gpas = (uint64_t *)(uintptr_t)r->gpas;

        for (j = 0; j < r->nr_pages; j++) {
            uint64_t va = r->va + (uint64_t)j * GM_PAGE_SIZE;

            if (!translate(opaque, va, &gpas[j])) {
                error_setg(errp, "page 0x%" PRIx64 " of %s is not mapped to "
                           "RAM", va, gm_image_region_name(s->image, i));
                return false;
            }
            if (!g_hash_table_add(seen, &gpas[j])) {
                error_setg(errp, "page 0x%" PRIx64 " of %s shares memory with "
                           "another sealed page", va,
                           gm_image_region_name(s->image, i));
                return false;
            }
        }
    }
    return true;
}

GmSealPlan *gm_seal_plan_new(const GmImage *image, const uint64_t *values,
                             GmTranslate *translate, void *opaque,
                             const GPtrArray *others, int *err, Error **errp)
{
    const struct gm_manifest *m = image->manifest;
    g_autoptr(GmSealPlan) plan = g_new0(GmSealPlan, 1);
    GmSealer s = {
        .image = image,
        .values = values,
        .others = others,
        .plan = plan,
    };

    plan->seal.size = sizeof(plan->seal);
    plan->seal.stack_pages = m->stack_pages;
    memcpy(plan->seal.name, m->name, sizeof(plan->seal.name));

    *err = -EINVAL;
    gm_place_regions(&s);
    if (!gm_check_region_addresses(&s, errp) ||
        !gm_check_guest_addresses(&s, errp) ||
        !gm_relocate(&s, errp) ||
        !gm_place_gates(&s, errp)) {
        return NULL;
    }
    gm_place_frames(&s);
    gm_place_shared(&s);
    plan->seal.trampoline = gm_region_va(&s, m->trampoline_region) +
                            m->trampoline_offset;
    plan->seal.ret = gm_region_va(&s, m->ret_region) + m->ret_offset;

    *err = -EFAULT;
    if (!gm_find_pages(&s, translate, opaque, errp)) {
        return NULL;
    }
    *err = 0;
    return g_steal_pointer(&plan);
}

void gm_seal_plan_trim(GmSealPlan *plan)
{
    uint32_t i;

    for (i = 0; i < plan->seal.nr_regions; i++) {
        plan->regions[i].content = 0;
    }
    g_clear_pointer(&plan->content, g_free);
    g_clear_pointer(&plan->frames, g_free);
    plan->seal.frames = 0;
}

void gm_seal_plan_free(GmSealPlan *plan)
{
    if (plan) {
        g_free(plan->regions);
        g_free(plan->gates);
        g_free(plan->frames);
        g_free(plan->gate_names);
        g_free(plan->content);
        g_free(plan->gpas);
        g_free(plan->shared);
        g_free(plan);
    }
}
