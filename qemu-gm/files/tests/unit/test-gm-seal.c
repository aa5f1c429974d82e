/*
 * Guarded images: the plan of a seal, from the image and a guest's claims.
 *
 * Each check of the code has a case here that fails without it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "../../hw/misc/gm/image.h"
#include "../../hw/misc/gm/seal.h"
#include "gm-test-image.h"

#define MODULE GM_TEST_MODULE

typedef struct SealTest {
    GmTestImage t;
    GmImage *image;
    uint64_t values[GM_TEST_NR_ANCHORS];
    GPtrArray *others;
    GmTranslate *translate;
    uint64_t bad_va;            /* for translators that fail once */
} SealTest;

static void seal_init(SealTest *s)
{
    memset(s, 0, sizeof(*s));
    gm_test_image_init(&s->t);
    gm_test_image_values(s->values);
    s->others = g_ptr_array_new();
    s->translate = gm_test_translate;
}

static GmSealPlan *seal_plan(SealTest *s, int *ret, Error **errp)
{
    if (!s->image) {
        s->image = gm_test_image_parse(&s->t, &error_abort);
    }
    return gm_seal_plan_new(s->image, s->values, s->translate, s, s->others,
                            ret, errp);
}

static void seal_cleanup(SealTest *s)
{
    gm_image_free(s->image);
    gm_test_image_cleanup(&s->t);
    g_ptr_array_unref(s->others);
}

#define BAD_SEAL(change, errno_, text) do {                             \
        Error *err = NULL;                                              \
        SealTest s;                                                     \
        int r;                                                          \
                                                                        \
        seal_init(&s);                                                  \
        change;                                                         \
        g_assert(!seal_plan(&s, &r, &err));                             \
        g_assert_cmpint(r, ==, -errno_);                                \
        gm_test_expect(err, text);                                      \
        seal_cleanup(&s);                                               \
    } while (0)

static void test_seal_good(void)
{
    g_autoptr(GmSealPlan) plan = NULL;
    const uint8_t *text, *data;
    SealTest s;
    uint64_t u64;
    int32_t s32;
    int ret;

    seal_init(&s);
    plan = seal_plan(&s, &ret, &error_abort);
    g_assert_cmpint(ret, ==, 0);
    g_assert_cmpuint(plan->nr_pages, ==, 12 + GM_TEST_DEVICE_PAGES);
    g_assert_cmpuint(plan->seal.nr_regions, ==, GM_TEST_NR_REGIONS);
    g_assert_cmpuint(plan->seal.trampoline, ==, MODULE + 0x1030);
    g_assert_cmpuint(plan->seal.ret, ==, MODULE + 0x1050);
    g_assert_cmpuint(plan->seal.stack_pages, ==, GM_TEST_STACK_PAGES);
    g_assert_cmpstr(plan->seal.name, ==, GM_TEST_NAME);
    g_assert(plan->regions[0].content && !plan->regions[3].content);
    g_assert_cmpuint(plan->regions[4].kind, ==, KVM_GM_REGION_HOSTINFO);
    g_assert_cmpuint(plan->regions[4].nr_pages, ==, 1);
    g_assert_cmpuint(plan->regions[4].content, ==, 0);
    g_assert_cmpuint(*(uint64_t *)(uintptr_t)plan->regions[4].gpas, ==,
                     (MODULE + 0x20000) & 0xffffff000ULL);
    g_assert_cmpuint(plan->regions[5].kind, ==, KVM_GM_REGION_DEVICES);
    g_assert_cmpuint(plan->regions[5].nr_pages, ==, GM_TEST_DEVICE_PAGES);
    g_assert_cmpuint(plan->regions[5].content, ==, 0);
    g_assert_cmpuint(((uint64_t *)(uintptr_t)plan->regions[5].gpas)[1], ==,
                     (MODULE + 0x31000) & 0xffffff000ULL);
    g_assert_cmpuint(((uint64_t *)(uintptr_t)plan->regions[3].gpas)[7], ==,
                     (MODULE + 0x17000) & 0xffffff000ULL);

    g_assert_cmpuint(plan->seal.nr_shared, ==, 1);
    g_assert_cmpuint(plan->seal.shared, ==, (uintptr_t)plan->shared);
    g_assert_cmpuint(plan->shared[0].va, ==, MODULE + 0x3000);
    g_assert_cmpuint(plan->shared[0].nr_pages, ==, 1);

    text = (const uint8_t *)(uintptr_t)plan->regions[0].content;
    data = (const uint8_t *)(uintptr_t)plan->regions[2].content;
    memcpy(&s32, text + 0x10, 4);
    g_assert_cmpint(s32, ==, 0x4020 - 4 - 0x10);
    memcpy(&s32, text + 0x20, 4);
    g_assert_cmpint(s32, ==, (int32_t)(0x82005000 - 4 - 0xc0100020));
    memcpy(&s32, text + 0x30, 4);
    g_assert_cmpint(s32, ==, (int32_t)0xc0100040);
    memcpy(&u64, text + 0x40, 8);
    g_assert_cmpuint(u64, ==, 0x3f80 - 0x40);
    memcpy(&u64, data, 8);
    g_assert_cmpuint(u64, ==, MODULE + 0x100);
    memcpy(&u64, data + 8, 8);
    g_assert_cmpuint(u64, ==, 0xffffffff81001000ULL);
    g_assert_cmpuint(text[0x14], ==, 0xcc);

    g_assert_cmpuint(plan->seal.nr_gates, ==, GM_TEST_NR_GATES);
    g_assert_cmpstr(plan->gate_names[GM_TEST_G_XMIT], ==, "xmit");
    g_assert_cmpuint(plan->gates[GM_TEST_G_XMIT].insn, ==, MODULE + 0x1020);
    g_assert_cmpuint(plan->gates[GM_TEST_G_XMIT].target, ==, MODULE + 0x180);
    g_assert_cmpuint(plan->gates[GM_TEST_G_XMIT].stack_words, ==, 1);
    g_assert_cmpuint(plan->gates[GM_TEST_G_PRINTK].target, ==,
                     0xffffffff81001000ULL);
    g_assert_cmpuint(plan->gates[GM_TEST_G_RESUME].target, ==, 0);
    g_assert_cmpuint(plan->frames[1].ret, ==, MODULE + 0x190);
    g_assert_cmpuint(plan->frames[1].window_len, ==, 16);

    gm_seal_plan_trim(plan);
    g_assert_cmpstr(plan->gate_names[GM_TEST_G_XMIT], ==, "xmit");
    seal_cleanup(&s);
}

/* The loader may place sections in any order: tables are by address. */
static void test_seal_sorted(void)
{
    g_autoptr(GmSealPlan) plan = NULL;
    SealTest s;
    uint32_t i;
    int ret;

    seal_init(&s);
    s.values[GM_TEST_A_TEXT] = MODULE + 0x1000;
    s.values[GM_TEST_A_GATES] = MODULE;
    plan = seal_plan(&s, &ret, &error_abort);
    for (i = 1; i < plan->seal.nr_gates; i++) {
        g_assert_cmpuint(plan->gates[i - 1].insn, <, plan->gates[i].insn);
    }
    g_assert_cmpstr(plan->gate_names[0], ==, "init");
    g_assert_cmpstr(plan->gate_names[5], ==, "_printk");
    seal_cleanup(&s);
}

/* Two shared sections, the second one called @name, which has 7 characters. */
static GmSealPlan *shared_plan(uint64_t first, uint64_t size, uint64_t second,
                               uint64_t second_size, const char *name)
{
    struct gm_anchor *a;
    GmSealPlan *plan;
    SealTest s;
    int ret;

    seal_init(&s);
    s.t.anchors[GM_TEST_A_SHARED].size = size;
    s.values[GM_TEST_A_SHARED] = first;
    a = &s.t.anchors[GM_TEST_A_JIFFIES];
    a->kind = GM_ANCHOR_SHARED;
    a->size = second_size;
    s.values[GM_TEST_A_JIFFIES] = second;
    memcpy((char *)s.t.m + s.t.m->strings.offset + a->name, name, 7);
    s.t.m->relocs.count = 0;
    plan = seal_plan(&s, &ret, &error_abort);
    seal_cleanup(&s);
    return plan;
}

#define SHARED(plan, i, start, pages) do {                              \
        g_assert_cmpuint((plan)->shared[i].va, ==, start);              \
        g_assert_cmpuint((plan)->shared[i].nr_pages, ==, pages);        \
    } while (0)

static void check_shared(uint64_t first, uint64_t size, uint64_t second,
                         uint64_t second_size, unsigned n, uint64_t start,
                         uint64_t pages, uint64_t next_pages)
{
    g_autoptr(GmSealPlan) plan = shared_plan(first, size, second, second_size,
                                             ".data.x");

    g_assert_cmpuint(plan->seal.nr_shared, ==, n);
    SHARED(plan, 0, start, pages);
    if (n > 1) {
        SHARED(plan, 1, MAX(first, second) & -0x1000ULL, next_pages);
    }
}

/* Whole pages, each once. */
static void test_seal_shared(void)
{
    const uint64_t at = MODULE + 0x8f80;
    g_autoptr(GmSealPlan) init = shared_plan(at, 0x1081, MODULE - 0x1000, 8,
                                             ".init.x");
    g_autoptr(GmSealPlan) exits = shared_plan(at, 0x1081, MODULE - 0x1000, 8,
                                              ".exit.x");
    g_autoptr(GmSealPlan) kernel = shared_plan(at, 0x1081, 0xffffffff7fffe000,
                                               0x1000, ".data.x");

    check_shared(at, 0x80, MODULE + 0xa000, 1, 2, MODULE + 0x8000, 1, 1);
    check_shared(at, 0x81, MODULE + 0xa000, 1, 1, MODULE + 0x8000, 3, 0);
    check_shared(at, 0x1081, MODULE + 0xb001, 1, 1, MODULE + 0x8000, 4, 0);
    check_shared(at, 0x1081, MODULE + 0xc001, 1, 2, MODULE + 0x8000, 3, 1);
    check_shared(at, 0x3000, MODULE + 0x9000, 8, 1, MODULE + 0x8000, 4, 0);
    check_shared(MODULE + 0x9000, 8, at, 0x3000, 1, MODULE + 0x8000, 4, 0);
    check_shared(MODULE - 8, 8, at, 8, 2, MODULE - 0x1000, 1, 1);
    check_shared(at, 0, MODULE - 8, 8, 1, MODULE - 0x1000, 1, 0);

    /* What does not stay, and what is not where Linux has modules. */
    g_assert_cmpuint(init->seal.nr_shared, ==, 1);
    SHARED(init, 0, MODULE + 0x8000, 3);
    g_assert_cmpuint(exits->seal.nr_shared, ==, 1);
    SHARED(exits, 0, MODULE + 0x8000, 3);
    g_assert_cmpuint(kernel->seal.nr_shared, ==, 1);
    SHARED(kernel, 0, MODULE + 0x8000, 3);

    /* Not more than KVM takes. */
    check_shared(MODULE + 0x100000, KVM_GM_MAX_PAGES * 0x1000ULL, at, 8, 1,
                 MODULE + 0x8000, 1, 0);
    check_shared(MODULE + 0x100000, (KVM_GM_MAX_PAGES - 1) * 0x1000ULL, at, 8, 2,
                 MODULE + 0x8000, 1, KVM_GM_MAX_PAGES - 1);
}

static bool translate_unmapped(void *opaque, uint64_t va, uint64_t *gpa)
{
    SealTest *s = opaque;

    return va != s->bad_va && gm_test_translate(opaque, va, gpa);
}

static bool translate_alias(void *opaque, uint64_t va, uint64_t *gpa)
{
    SealTest *s = opaque;

    return gm_test_translate(opaque, va == s->bad_va ? MODULE : va, gpa);
}

static void test_seal_addresses(void)
{
    int i;

    for (i = 0; i < GM_TEST_NR_REGIONS; i++) {
        BAD_SEAL(s.values[i] += 8, EINVAL, "is not page-aligned");
        BAD_SEAL(s.values[i] = 0x400000, EINVAL, "where Linux has modules");
        BAD_SEAL(s.values[i] = 0xffffffff7ffff000, EINVAL,
                 "where Linux has modules");
        BAD_SEAL(s.values[i] = 0xfffffffffffff000 - s.t.regions[i].size,
                 EINVAL, "where Linux has modules");
        BAD_SEAL(s.values[i] = 0xfffffffffffff000, EINVAL,
                 "where Linux has modules");
        BAD_SEAL(s.values[i] = s.values[(i + 1) % GM_TEST_NR_REGIONS], EINVAL,
                 "overlaps another");
    }
    BAD_SEAL(s.values[GM_TEST_A_STACKS] = MODULE - 0x7000, EINVAL,
             "overlaps another");
    BAD_SEAL(s.values[GM_TEST_A_SHARED] = MODULE + 0x3f81, EINVAL,
             "shared section .bss at 0xffffffffc0103f81 overlaps");
    BAD_SEAL(s.values[GM_TEST_A_SHARED] = MODULE - 0x7f, EINVAL,
             "overlaps sealed pages");
    BAD_SEAL(s.values[GM_TEST_A_SHARED] = UINT64_MAX - 0x7f + 1, EINVAL,
             "not in the kernel half");
    BAD_SEAL(s.values[GM_TEST_A_SHARED] = 0x1000, EINVAL,
             "not in the kernel half");
    BAD_SEAL(s.values[GM_TEST_A_JIFFIES] = MODULE + 0x4fff, EINVAL,
             "symbol jiffies at 0xffffffffc0104fff is in or before a sealed "
             "page");
    BAD_SEAL(s.values[GM_TEST_A_JIFFIES] = MODULE - 0xff8, EINVAL,
             "is in or before a sealed page");
    BAD_SEAL(s.values[GM_TEST_A_PRINTK] = MODULE + 0x1020, EINVAL,
             "is in or before a sealed page");
    BAD_SEAL(s.values[GM_TEST_A_PRINTK] = 0, EINVAL, "no place of the guest's");
    BAD_SEAL(s.values[GM_TEST_A_JIFFIES] = 1ULL << 32, EINVAL, "overflows");
}

static void test_seal_relocs(void)
{
    /* A symbol outside, but what the relocation makes of it is inside. */
    BAD_SEAL((s.values[GM_TEST_A_PRINTK] = MODULE - 0x2000,
              s.t.relocs[5].addend = 0x2000), EINVAL,
             "points to a sealed page");
    BAD_SEAL((s.values[GM_TEST_A_JIFFIES] = MODULE - 0x2000,
              s.t.relocs[1].addend = 0x2000 - 4), EINVAL,
             "points to a sealed page");
    /* Not there yet, but an access of a few bytes gets there. */
    BAD_SEAL((s.values[GM_TEST_A_JIFFIES] = MODULE - 0x2000,
              s.t.relocs[1].addend = 0x1008 - 4), EINVAL,
             "points to a sealed page");
    BAD_SEAL((s.t.anchors[GM_TEST_A_JIFFIES].kind = GM_ANCHOR_PERCPU,
              s.values[GM_TEST_A_JIFFIES] = GM_PERCPU_REACH), EINVAL,
             "relocation of .text+0x20 against jiffies at 0x200000 is not to "
             "per-CPU data");
    BAD_SEAL((s.t.anchors[GM_TEST_A_JIFFIES].kind = GM_ANCHOR_PERCPU,
              s.values[GM_TEST_A_JIFFIES] = -8), EINVAL,
             "is not to per-CPU data");
    BAD_SEAL((s.t.relocs[2].type = GM_RELOC_32), EINVAL, "overflows");
    BAD_SEAL((s.t.relocs[2].addend = 0x7fffffffffffffff), EINVAL,
             "overflows");
    BAD_SEAL(s.t.gates[0].target_addend = MODULE - 0xffffffff81001000ULL,
             EINVAL, "no place of the guest's");
}

static void test_seal_pages(void)
{
    int i;

    for (i = 0; i < 8; i++) {
        BAD_SEAL((s.translate = translate_unmapped,
                  s.bad_va = MODULE + 0x10000 + i * 0x1000), EFAULT,
                 "is not mapped to RAM");
        BAD_SEAL((s.translate = translate_alias,
                  s.bad_va = MODULE + 0x10000 + i * 0x1000), EFAULT,
                 "shares memory");
    }
}

/* To the memory of a module that is a megabyte below. */
static bool translate_back(void *opaque, uint64_t va, uint64_t *gpa)
{
    return gm_test_translate(opaque, va - 0x100000, gpa);
}

static bool translate_elsewhere(void *opaque, uint64_t va, uint64_t *gpa)
{
    gm_test_translate(opaque, va, gpa);
    *gpa |= 1ULL << 40;
    return true;
}

/* Another module is sealed at the same addresses, or in the same memory. */
static void move_regions(SealTest *s, uint64_t by)
{
    int i;

    for (i = 0; i < GM_TEST_NR_REGIONS; i++) {
        s->values[i] += by;
    }
}

static void test_seal_others(void)
{
    g_autoptr(GmSealPlan) other = NULL;
    SealTest first;
    int ret;

    seal_init(&first);
    other = seal_plan(&first, &ret, &error_abort);
    gm_seal_plan_trim(other);

    BAD_SEAL(g_ptr_array_add(s.others, other), EINVAL,
             "overlaps another sealed module");
    BAD_SEAL((g_ptr_array_add(s.others, other),
              s.translate = translate_elsewhere,
              move_regions(&s, 0x100000),
              s.values[GM_TEST_A_SHARED] = MODULE), EINVAL,
             "overlaps sealed pages");
    BAD_SEAL((g_ptr_array_add(s.others, other),
              s.translate = translate_back,
              move_regions(&s, 0x100000),
              s.values[GM_TEST_A_SHARED] += 0x100000,
              s.t.m->relocs.count = 0), EFAULT, "shares memory");
    seal_cleanup(&first);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gm/seal/good", test_seal_good);
    g_test_add_func("/gm/seal/sorted", test_seal_sorted);
    g_test_add_func("/gm/seal/shared", test_seal_shared);
    g_test_add_func("/gm/seal/addresses", test_seal_addresses);
    g_test_add_func("/gm/seal/relocs", test_seal_relocs);
    g_test_add_func("/gm/seal/pages", test_seal_pages);
    g_test_add_func("/gm/seal/others", test_seal_others);
    return g_test_run();
}
