/*
 * Guarded images: parsing, signatures, and the plan of a seal.
 *
 * Each check of the code has a case here that fails without it. What is read
 * is copied to memory of exactly its size first, so that a sanitizer sees
 * each byte read too far.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "elf.h"
#include "../../hw/misc/gm/image.h"
#include "../../hw/misc/gm/keyring.h"
#include "../../hw/misc/gm/seal.h"
#include "gm-test-image.h"

#define DAY (24 * 60 * 60)

static char *tmpdir;

/* Expect an error whose text contains @text; free it. */
static void expect(Error *err, const char *text)
{
    g_assert(err);
    if (!strstr(error_get_pretty(err), text)) {
        g_test_message("got \"%s\", expected \"%s\"", error_get_pretty(err),
                       text);
        g_test_fail();
    }
    error_free(err);
}

static GmImage *parse(const GmTestImage *t, Error **errp)
{
    return gm_image_new(g_memdup2(t->data, t->size), t->size, t->size, errp);
}

/*
 * The good image with one change to it.
 */
#define BAD(change, text) do {                                          \
        g_auto(GmTestImage) t = { 0 };                                  \
        Error *err = NULL;                                              \
                                                                        \
        gm_test_image_init(&t);                                         \
        change;                                                         \
        g_assert(!parse(&t, &err));                                     \
        expect(err, text);                                              \
    } while (0)

#define EHDR ((Elf64_Ehdr *)t.data)
#define SHDR ((Elf64_Shdr *)(t.data + EHDR->e_shoff))

static void test_good(void)
{
    g_auto(GmTestImage) t = { 0 };
    g_autoptr(GmImage) image = NULL;

    gm_test_image_init(&t);
    g_assert(gm_elf_check(t.data, t.size, &error_abort));
    image = parse(&t, &error_abort);
    g_assert_cmpstr(image->manifest->name, ==, GM_TEST_NAME);
    g_assert_cmpuint(image->nr_pages, ==, 11);
    g_assert_cmpuint(strlen(image->id), ==, 64);
    g_assert(g_str_has_prefix(image->id, "5a5a5a5a"));
    g_assert_cmpstr(gm_image_region_name(image, 1), ==, ".gm.gates");
}

static void test_elf(void)
{
    BAD(t.data[0] = 0, "not an ELF file");
    BAD(t.size = 3, "not an ELF file");
    BAD(t.size = 63, "truncated: the ELF header");
    BAD(EHDR->e_ident[EI_CLASS] = ELFCLASS32, "wrong machine");
    BAD(EHDR->e_ident[EI_DATA] = ELFDATA2MSB, "wrong machine");
    BAD(EHDR->e_machine = EM_AARCH64, "wrong machine: ELF machine 183");
    BAD(EHDR->e_type = ET_EXEC, "not a kernel module");
    BAD(EHDR->e_shentsize = 63, "malformed ELF header");
    BAD(EHDR->e_shnum = 0, "malformed ELF header");
    BAD(EHDR->e_shstrndx = 0, "malformed ELF header");
    BAD(EHDR->e_shstrndx = EHDR->e_shnum, "malformed ELF header");
    BAD(EHDR->e_shoff = UINT64_MAX - 8, "truncated: the ELF section table");
    BAD(EHDR->e_shoff += 1, "truncated: the ELF section table");
    BAD(SHDR[1].sh_size = UINT64_MAX, "truncated: ELF section 1");
    BAD(SHDR[1].sh_offset = UINT64_MAX, "truncated: ELF section 1");
    BAD(SHDR[EHDR->e_shstrndx].sh_type = SHT_PROGBITS, "string table");
    BAD(SHDR[2].sh_name = 1 << 30, "section 2 has no valid name");
    BAD((SHDR[EHDR->e_shstrndx].sh_size -= 1), "has no valid name");
    BAD(SHDR[5].sh_name = SHDR[1].sh_name, "no section .gm.manifest");
    BAD(SHDR[1].sh_name = SHDR[5].sh_name, "2 sections .gm.manifest");
    BAD(SHDR[5].sh_flags = SHF_ALLOC, "of the wrong type");
    BAD(SHDR[5].sh_type = SHT_NOBITS, "of the wrong type");
    BAD(SHDR[5].sh_size = 15, "too short");
    BAD(SHDR[5].sh_size -= 8, "its section has");
}

static void test_header(void)
{
    BAD(t.m->magic[0] = 'X', "wrong magic");
    BAD(t.m->version = 1, "manifest version 1, this QEMU understands 2");
    BAD(t.m->size -= 8, "its section has");
    BAD(SHDR[5].sh_size = t.m->size = 100, "its section has");
    BAD(t.m->name[0] = 0, "name is empty");
    BAD(memset(t.m->name, 'a', sizeof(t.m->name)), "not terminated");
    BAD(t.m->name[1] = '\n', "character 0x0a");
    BAD(t.m->name[1] = (char)0xe4, "character 0xe4");
    BAD(t.m->name[sizeof(t.m->name) - 1] = 1, "followed by garbage");
    BAD(t.m->reserved[7] = 1, "reserved");
    BAD(t.m->strings.count -= 2, "start and end with NUL");
    BAD(t.m->strings.count = 0, "start and end with NUL");
    BAD(t.strings[0] = 'x', "start and end with NUL");
    BAD(t.strings[2] = '\033', "not printable");
    BAD(t.strings[2] = (char)0xff, "not printable");
}

static void test_tables(void)
{
#define BAD_TABLE(table, max) do {                                          \
        BAD(t.m->table.offset += 4, "misaligned or ends outside");          \
        BAD(t.m->table.offset = 8, "misaligned or ends outside");           \
        BAD(t.m->table.offset = t.m->size + 8, "misaligned or ends");       \
        BAD(t.m->table.offset = 0xfffffff8, "misaligned or ends outside");  \
        BAD(t.m->table.count = max, "misaligned or ends outside");          \
    } while (0)

    BAD_TABLE(anchors, 65536);
    BAD_TABLE(regions, KVM_GM_MAX_REGIONS);
    BAD_TABLE(relocs, UINT32_MAX);
    BAD_TABLE(gates, KVM_GM_MAX_GATES);
    BAD_TABLE(frames, KVM_GM_MAX_FRAMES);
    BAD_TABLE(strings, UINT32_MAX);

    BAD(t.m->anchors.count = 65537, "65537 anchors, at most");
    BAD(t.m->regions.count = KVM_GM_MAX_REGIONS + 1, "65 regions, at most");
    BAD(t.m->gates.count = KVM_GM_MAX_GATES + 1, "gates, at most");
    BAD(t.m->frames.count = KVM_GM_MAX_FRAMES + 1, "frames, at most");
}

static void test_anchors(void)
{
    BAD(t.anchors[0].kind = 0, "anchor 0: unknown kind");
    BAD(t.anchors[4].kind = 5, "anchor 4: unknown kind");
    BAD(t.anchors[4].name = t.m->strings.count, "anchor 4: name outside");
    BAD(t.anchors[5].size = 8, "a symbol has no size");
    BAD(t.anchors[4].size = 1ULL << 31, "too many");
}

static void test_regions(void)
{
    BAD(t.regions[0].kind = 0, "region 0: unknown kind");
    BAD(t.regions[0].kind = 6, "region 0: unknown kind");
    BAD(t.regions[0].anchor = GM_TEST_NR_ANCHORS, "does not match");
    BAD(t.regions[0].anchor = GM_TEST_A_SHARED, "does not match");
    BAD(t.regions[0].anchor = GM_TEST_A_STACKS, "does not match");
    BAD(t.regions[2].anchor = GM_TEST_A_GATES, "is another region's");
    BAD(t.regions[0].size = t.anchors[0].size = 0, "not whole pages");
    BAD(t.regions[0].size = t.anchors[0].size = 0x1800, "not whole pages");
    BAD(t.regions[3].size = t.anchors[3].size =
        (KVM_GM_MAX_PAGES - 2) * GM_TEST_PAGE, "or more than");
    BAD(t.regions[0].file_size = 0x800, "do not fit");
    BAD(t.regions[0].file_offset = t.size - 0xfff, "do not fit");
    BAD(t.regions[0].file_offset = UINT64_MAX, "do not fit");
    BAD(t.regions[0].file_size = 0, "needs contents");
    BAD(t.regions[3].file_size = t.regions[3].size = t.anchors[3].size =
        GM_TEST_PAGE, "must not have contents");
    BAD(t.anchors[4].kind = GM_ANCHOR_REGION, "4 regions, but 5 anchors");
    BAD(t.regions[0].kind = KVM_GM_REGION_RODATA, "no text");
    BAD(t.regions[1].kind = KVM_GM_REGION_RODATA, "no gates");
    BAD(t.m->nr_stacks = 3, "do not make up");
    BAD(t.m->stack_pages = 0, "do not make up");
    BAD(t.m->stack_pages = t.m->nr_stacks = 0x10000, "do not make up");
    BAD(t.regions[2].kind = KVM_GM_REGION_STACK, "must not have contents");
    BAD((t.regions[2].kind = KVM_GM_REGION_STACK,
         t.regions[2].file_size = 0, t.m->nr_stacks = 9,
         t.m->stack_pages = 1), "9 pages of stack in 2 regions");
    BAD((t.m->stack_pages = 17, t.m->nr_stacks = 1,
         t.regions[3].size = t.anchors[3].size = 17 * GM_TEST_PAGE),
        "stacks of 17 pages, 2 to 16 are supported");
    BAD((t.m->stack_pages = 1, t.m->nr_stacks = 8),
        "stacks of 1 pages, 2 to 16 are supported");
}

static void test_relocs(void)
{
    BAD(t.relocs[0].type = 0, "relocation 0: unknown type");
    BAD(t.relocs[0].type = 6, "relocation 0: unknown type");
    BAD(t.relocs[6].region = 4, "outside the contents");
    BAD(t.relocs[6].region = 3, "outside the contents");
    BAD(t.relocs[6].offset = 0xff9, "outside the contents");
    BAD(t.relocs[6].offset = 0xfffffffc, "outside the contents");
    BAD(t.relocs[1].offset = 0x10, "out of order");
    BAD(t.relocs[1].offset = 0x08, "out of order");
    BAD(t.relocs[1].offset = 0x12, "overlaps the one before");
    BAD(t.relocs[4].offset = 0x04, "overlaps the one before");
    BAD(t.relocs[4].region = 0, "out of order");
    BAD(t.relocs[4].anchor = GM_TEST_NR_ANCHORS, "no anchor");
}

static void test_gates(void)
{
    struct gm_gate *g;

    BAD(t.gates[0].kind = 0, "gate 0: unknown kind");
    BAD(t.gates[0].kind = 7, "gate 0: unknown kind");
    BAD(t.gates[0].name = t.m->strings.count, "name outside");
    BAD(t.gates[0].region = 4, "may not lie in region 4");
    BAD(t.gates[0].region = 1, "may not lie in region 1");
    BAD(t.gates[7].region = 0, "may not lie in region 0");
    BAD(t.gates[7].offset = 0xffe, "may not lie in region 1");
    BAD((t.regions[1].size = t.anchors[1].size = t.regions[1].file_size =
         2 * GM_TEST_PAGE, t.gates[7].offset = 0xffe),
        "may not lie in region 1");
    BAD(t.gates[7].offset = UINT32_MAX, "may not lie in region 1");
    BAD(t.gates[5].offset = 0x08, "out of order");
    BAD(t.gates[5].offset = 0x12, "overlaps the one before");
    BAD(t.gates[5].reserved = 1, "bad flags");
    BAD(t.gates[0].results = 1, "bad flags");
    BAD((t.gates[0].results = 1 << 4, t.gates[0].flags = KVM_GM_GATE_F_ASM),
        "bad flags");
    BAD(t.gates[0].flags = KVM_GM_GATE_F_ASM | KVM_GM_GATE_F_NORETURN,
        "bad flags");
    BAD(t.gates[1].flags = KVM_GM_GATE_F_FPU_END, "bad flags");
    BAD(t.gates[5].flags = KVM_GM_GATE_F_FPU_BEGIN, "bad flags");
    BAD(t.gates[5].flags = 4, "bad flags");
    BAD(t.gates[5].flags = 3, "bad flags");
    BAD(t.gates[0].flags = KVM_GM_GATE_F_INIT, "bad flags");
    BAD(t.gates[5].stack_words = 33, "33 stack words");
    BAD(t.gates[1].target_anchor = GM_TEST_NR_ANCHORS, "no anchor");
    BAD(t.gates[5].target_anchor = GM_TEST_A_PRINTK, "on the wrong side");
    BAD(t.gates[5].target_anchor = GM_TEST_A_DATA, "on the wrong side");
    BAD(t.gates[5].target_addend = GM_TEST_PAGE, "on the wrong side");
    BAD(t.gates[5].target_addend = -1, "on the wrong side");
    BAD(t.gates[0].target_anchor = GM_TEST_A_TEXT, "on the wrong side");
    BAD((g = &t.gates[6], g->kind = KVM_GM_GATE_RESUME), "0 in-return gates");
    BAD((g = &t.gates[7], g->kind = KVM_GM_GATE_IN_RETURN),
        "2 in-return gates");
    BAD((g = &t.gates[7], g->kind = KVM_GM_GATE_IN_CALL,
         g->target_addend = 0x100), "0 resume gates");
    BAD(t.gates[2].kind = KVM_GM_GATE_OUT_CALL_INDIRECT,
        "0 out-return gates");
    BAD(t.gates[3].flags = 0, "0 init gates");
    BAD(t.gates[4].flags = KVM_GM_GATE_F_INIT, "2 init gates");
    BAD(t.gates[5].flags = KVM_GM_GATE_F_EXIT, "2 exit gates");
}

static void test_frames(void)
{
    BAD(t.frames[0].region = 4, "not in text");
    BAD(t.frames[0].region = 2, "not in text");
    BAD(t.frames[0].offset = 0, "not in text");
    BAD(t.frames[1].offset = GM_TEST_PAGE, "not in text");
    BAD(t.frames[1].offset = t.frames[0].offset, "out of order");
    BAD(t.frames[1].size = 63, "not whole words");
    BAD(t.frames[1].size = 2 * GM_TEST_PAGE, "not whole words");
    BAD(t.frames[1].window_len = 57, "does not fit");
    BAD(t.frames[1].window = 65535, "does not fit");
}

static void test_code(void)
{
    BAD(t.m->trampoline_region = 0, "not right before");
    BAD(t.m->trampoline_offset = 0x31, "not right before");
    BAD(t.m->trampoline_offset = UINT32_MAX, "not right before");
    BAD(t.data[GM_TEST_GATES + 0x30] = 0x90, "trampoline (region 1, offset "
        "0x30) is not the expected instruction");
    BAD(t.m->ret_region = 0, "the return (region 0, offset 0x50) is not among");
    BAD(t.m->ret_region = 4, "is not among the gates");
    BAD(t.m->ret_offset = 0x1000, "is not among the gates");
    BAD(t.m->ret_offset = 0x51, "is not the expected instruction");
}

/* Every prefix is refused, and none is read beyond its end. */
static void test_truncated(void)
{
    g_auto(GmTestImage) t = { 0 };
    size_t size;

    gm_test_image_init(&t);
    for (size = 0; size < t.size; size++) {
        g_autofree uint8_t *data = g_memdup2(t.data, size);
        Error *err = NULL;

        g_assert(!gm_elf_check(data, size, &err));
        expect(err, size < 4 ? "not an ELF file" : "truncated");
        err = NULL;
        g_assert(!gm_image_new(g_steal_pointer(&data), size, size, &err));
        expect(err, size < 4 ? "not an ELF file" : "truncated");
    }
}

static bool translate(void *opaque, uint64_t va, uint64_t *gpa)
{
    *gpa = va & 0xffffff000ULL;
    return true;
}

#define MODULE 0xffffffffc0100000ULL

static void good_values(uint64_t *values)
{
    values[GM_TEST_A_TEXT] = MODULE;
    values[GM_TEST_A_GATES] = MODULE + 0x1000;
    values[GM_TEST_A_DATA] = MODULE + 0x4000;
    values[GM_TEST_A_STACKS] = MODULE + 0x10000;
    values[GM_TEST_A_SHARED] = MODULE + 0x3f80;
    values[GM_TEST_A_PRINTK] = 0xffffffff81001000ULL;
    values[GM_TEST_A_JIFFIES] = 0xffffffff82005000ULL;
}

/* Any image that is accepted can be laid out anywhere, or is refused. */
static void try_everything(const GmTestImage *t)
{
    g_autoptr(GPtrArray) others = g_ptr_array_new();
    g_autoptr(GmSealPlan) plan = NULL;
    g_autofree uint64_t *values = NULL;
    g_autoptr(GmImage) image = NULL;
    Error *err = NULL;
    uint32_t i;
    int ret;

    image = parse(t, &err);
    if (!image) {
        error_free(err);
        return;
    }
    values = g_new0(uint64_t, MAX(image->manifest->anchors.count,
                                  GM_TEST_NR_ANCHORS));
    good_values(values);
    for (i = 0; i < image->manifest->anchors.count; i++) {
        if (!g_test_rand_int_range(0, 8)) {
            values[i] += g_test_rand_int_range(-16, 16) * 0x800;
        }
    }
    plan = gm_seal_plan_new(image, values, translate, NULL, others, &ret,
                            &err);
    g_assert(!plan == !!ret);
    error_free(err);
}

static void test_flipped(void)
{
    g_auto(GmTestImage) t = { 0 };
    size_t i;
    int bit;

    gm_test_image_init(&t);
    for (i = 0; i < t.size; i++) {
        /* Contents are not parsed; a few will do. */
        if (i > 0x100 && i < GM_TEST_MANIFEST && i % 64) {
            continue;
        }
        for (bit = 0; bit < 8; bit++) {
            t.data[i] ^= 1 << bit;
            try_everything(&t);
            t.data[i] ^= 1 << bit;
        }
    }
}

/* Numbers that parsers trip over, in places that parsers look at. */
static void test_random(void)
{
    static const uint64_t numbers[] = {
        0, 1, 2, 3, 4, 5, 7, 8, 0xfff, 0x1000, 0x7fff, 0x8000, 0xffff,
        0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff, 0x100000000,
        0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffff000,
        0xffffffffffffffff,
    };
    unsigned rounds = g_test_slow() ? 2000000 : 50000;
    g_auto(GmTestImage) t = { 0 };
    g_autofree uint8_t *good = NULL;

    gm_test_image_init(&t);
    good = g_memdup2(t.data, t.size);
    while (rounds--) {
        int changes = g_test_rand_int_range(1, 5);

        while (changes--) {
            size_t width = 1 << g_test_rand_int_range(0, 4);
            size_t at = g_test_rand_int_range(0, 8) ?
                g_test_rand_int_range(GM_TEST_MANIFEST, t.size - width) :
                g_test_rand_int_range(0, sizeof(Elf64_Ehdr));
            uint64_t n = numbers[g_test_rand_int_range(0,
                                                G_N_ELEMENTS(numbers))];

            memcpy(t.data + (at & ~(width - 1)), &n, width);
        }
        try_everything(&t);
        memcpy(t.data, good, t.size);
    }
}

static void sig_error(const GmTestImage *t, const char *text)
{
    g_autofree uint8_t *data = g_memdup2(t->data, t->size);
    GmSignature sig;
    Error *err = NULL;

    g_assert(!gm_signature_find(data, t->size, &sig, &err));
    expect(err, text);
}

static void test_trailer(void)
{
    GmTestKey *key = gm_test_key_new("Trailer", 1, -DAY, DAY);
    g_auto(GmTestImage) t = { 0 };
    GmSignature sig;
    uint8_t *trailer;
    size_t size, i;

    gm_test_image_init(&t);
    size = t.size;
    sig_error(&t, "not signed");

    gm_test_image_sign(&t, key);
    g_assert(gm_signature_find(t.data, t.size, &sig, &error_abort));
    g_assert_cmpuint(sig.body_size, ==, size);

    trailer = t.data + t.size - 28 - 12;
    for (i = 0; i < 8; i++) {
        trailer[i] ^= 1;
        sig_error(&t, i == 2 ? "type 3, expected 2" : "must be zero");
        trailer[i] ^= 1;
    }
    memset(trailer + 8, 0xff, 4);
    sig_error(&t, "4294967295 bytes long");
    memset(trailer + 8, 0, 4);
    sig_error(&t, "0 bytes long");

    /* Nothing but a trailer, or less. */
    for (i = 0; i <= 40; i++) {
        GmTestImage end = { .data = t.data + t.size - i, .size = i };

        sig_error(&end, i < 28 ? "not signed" : "malformed signature");
    }
    gm_test_key_free(key);
}

static char *verify(const GmKeyring *keyring, const GmTestImage *t,
                    Error **errp)
{
    GmSignature sig;

    g_assert(gm_signature_find(t->data, t->size, &sig, &error_abort));
    return gm_keyring_verify(keyring, t->data, &sig, errp);
}

static void test_signature(void)
{
    g_autofree char *path = g_build_filename(tmpdir, "good.pem", NULL);
    g_autoptr(GmTestKey) good = gm_test_key_new("Good key", 0x1234, -DAY, DAY);
    g_autoptr(GmTestKey) unknown = gm_test_key_new("Stranger", 0x55, -DAY,
                                                   DAY);
    /* Claims to be the good key: issuer and serial are the same. */
    g_autoptr(GmTestKey) forger = gm_test_key_new("Good key", 0x1234, -DAY,
                                                  DAY);
    g_autoptr(GmKeyring) keyring = NULL;
    g_autofree char *signer = NULL;
    g_auto(GmTestImage) t1 = { 0 };
    g_auto(GmTestImage) t2 = { 0 };
    g_auto(GmTestImage) t3 = { 0 };
    Error *err = NULL;
    size_t i, size;

    gm_test_key_save(good, path);
    keyring = gm_keyring_load(path, &error_abort);

    gm_test_image_init(&t1);
    size = t1.size;
    gm_test_image_sign(&t1, good);
    signer = verify(keyring, &t1, &error_abort);
    g_assert_cmpstr(signer, ==, "Good key");

    for (i = 0; i < size; i += 0x123) {
        err = NULL;
        t1.data[i] ^= 0x10;
        g_assert(!verify(keyring, &t1, &err));
        expect(err, "the signature by Good key does not match");
        t1.data[i] ^= 0x10;
    }

    err = NULL;
    gm_test_image_init(&t2);
    gm_test_image_sign(&t2, unknown);
    g_assert(!verify(keyring, &t2, &err));
    expect(err, "unknown key (issuer CN=Stranger, serial 55)");

    err = NULL;
    gm_test_image_init(&t3);
    gm_test_image_sign(&t3, forger);
    g_assert(!verify(keyring, &t3, &err));
    expect(err, "the signature by Good key does not match");
}

/* A signature with any one bit wrong is none, and does no harm. */
static void test_signature_flipped(void)
{
    g_autofree char *path = g_build_filename(tmpdir, "flip.pem", NULL);
    g_autoptr(GmTestKey) key = gm_test_key_new("Key", 7, -DAY, DAY);
    g_autoptr(GmKeyring) keyring = NULL;
    g_auto(GmTestImage) t = { 0 };
    size_t i, start;

    gm_test_key_save(key, path);
    keyring = gm_keyring_load(path, &error_abort);
    gm_test_image_init(&t);
    start = t.size;
    gm_test_image_sign(&t, key);

    for (i = start; i < t.size - 40; i++) {
        g_autofree char *signer = NULL;
        Error *err = NULL;

        t.data[i] ^= 0x01;
        signer = verify(keyring, &t, &err);
        /* A few bytes, such as the version of the syntax, say nothing. */
        g_assert(!signer == !!err);
        if (i >= t.size - 40 - 256) {
            g_assert(!signer);
        }
        error_free(err);
        t.data[i] ^= 0x01;
    }
}

static void test_certificates(void)
{
    g_autofree char *path = g_build_filename(tmpdir, "times.pem", NULL);
    g_autoptr(GmTestKey) expired = gm_test_key_new("Old", 1, -2 * DAY, -DAY);
    g_autoptr(GmTestKey) future = gm_test_key_new("New", 2, DAY, 2 * DAY);
    GmTestKey *keys[] = { expired, future };
    const char *errors[] = { "Old, has expired", "New, is not valid yet" };
    int i;

    for (i = 0; i < 2; i++) {
        g_auto(GmTestImage) t = { 0 };
        g_autoptr(GmKeyring) keyring = NULL;
        Error *err = NULL;

        gm_test_key_save(keys[i], path);
        keyring = gm_keyring_load(path, &error_abort);
        gm_test_image_init(&t);
        gm_test_image_sign(&t, keys[i]);
        g_assert(!verify(keyring, &t, &err));
        expect(err, errors[i]);
    }
}

static void test_keyring(void)
{
    g_autofree char *dir = g_build_filename(tmpdir, "ring", NULL);
    g_autofree char *a = g_build_filename(dir, "a.pem", NULL);
    g_autofree char *b = g_build_filename(dir, "b.pem", NULL);
    g_autofree char *hidden = g_build_filename(dir, ".hidden", NULL);
    g_autofree char *missing = g_build_filename(dir, "missing", NULL);
    g_autoptr(GmTestKey) key = gm_test_key_new("A", 1, -DAY, DAY);
    g_autoptr(GmTestKey) key2 = gm_test_key_new("B", 2, -DAY, DAY);
    g_autofree char *pem = NULL, *pem2 = NULL, *both = NULL;
    GmKeyring *keyring;
    Error *err = NULL;

    g_assert(!mkdir(dir, 0700));
    g_assert(!gm_keyring_load(dir, &err));
    expect(err, "holds no certificate");
    err = NULL;
    g_assert(!gm_keyring_load(missing, &err));
    expect(err, "cannot read the keyring");

    g_assert(g_file_set_contents(hidden, "junk", -1, NULL));
    gm_test_key_save(key, a);
    gm_test_key_save(key2, b);
    keyring = gm_keyring_load(dir, &error_abort);
    g_assert_cmpuint(gm_keyring_subjects(keyring)->len, ==, 2);
    gm_keyring_free(keyring);

    /* A bundle of two in one file. */
    g_assert(g_file_get_contents(a, &pem, NULL, NULL));
    g_assert(g_file_get_contents(b, &pem2, NULL, NULL));
    both = g_strconcat(pem, pem2, NULL);
    g_assert(g_file_set_contents(a, both, -1, NULL));
    keyring = gm_keyring_load(a, &error_abort);
    g_assert_cmpuint(gm_keyring_subjects(keyring)->len, ==, 2);
    g_assert_cmpstr(gm_keyring_subjects(keyring)->pdata[1], ==, "CN=B");
    gm_keyring_free(keyring);

    err = NULL;
    g_assert(g_file_set_contents(b, "junk", -1, NULL));
    g_assert(!gm_keyring_load(dir, &err));
    expect(err, "holds no valid X.509 certificate");
    err = NULL;
    g_assert(g_file_set_contents(b, "", -1, NULL));
    g_assert(!gm_keyring_load(b, &err));
    expect(err, "holds no valid X.509 certificate");
}

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
    good_values(s->values);
    s->others = g_ptr_array_new();
    s->translate = translate;
}

static GmSealPlan *seal_plan(SealTest *s, int *ret, Error **errp)
{
    if (!s->image) {
        s->image = parse(&s->t, &error_abort);
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
        expect(err, text);                                              \
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
    g_assert_cmpuint(plan->nr_pages, ==, 11);
    g_assert_cmpuint(plan->seal.nr_regions, ==, 4);
    g_assert_cmpuint(plan->seal.trampoline, ==, MODULE + 0x1030);
    g_assert_cmpuint(plan->seal.ret, ==, MODULE + 0x1050);
    g_assert_cmpuint(plan->seal.stack_pages, ==, GM_TEST_STACK_PAGES);
    g_assert_cmpstr(plan->seal.name, ==, GM_TEST_NAME);
    g_assert(plan->regions[0].content && !plan->regions[3].content);
    g_assert_cmpuint(((uint64_t *)(uintptr_t)plan->regions[3].gpas)[7], ==,
                     (MODULE + 0x17000) & 0xffffff000ULL);

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

static bool translate_unmapped(void *opaque, uint64_t va, uint64_t *gpa)
{
    SealTest *s = opaque;

    return va != s->bad_va && translate(opaque, va, gpa);
}

static bool translate_alias(void *opaque, uint64_t va, uint64_t *gpa)
{
    SealTest *s = opaque;

    return translate(opaque, va == s->bad_va ? MODULE : va, gpa);
}

static void test_seal_addresses(void)
{
    int i;

    for (i = 0; i < GM_TEST_NR_REGIONS; i++) {
        BAD_SEAL(s.values[i] += 8, EINVAL, "is not page-aligned");
        BAD_SEAL(s.values[i] = 0x400000, EINVAL, "in the kernel half");
        BAD_SEAL(s.values[i] = 0xffff7ffffffff000, EINVAL,
                 "in the kernel half");
        BAD_SEAL(s.values[i] = 0xfffffffffffff000 - s.t.regions[i].size,
                 EINVAL, "in the kernel half");
        BAD_SEAL(s.values[i] = 0xfffffffffffff000, EINVAL,
                 "in the kernel half");
        BAD_SEAL(s.values[i] = s.values[(i + 1) % 4], EINVAL,
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
    BAD_SEAL(s.values[GM_TEST_A_TEXT] = 0xffff800000000000, EINVAL,
             "overflows");
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

static bool translate_elsewhere(void *opaque, uint64_t va, uint64_t *gpa)
{
    translate(opaque, va, gpa);
    *gpa |= 1ULL << 40;
    return true;
}

/* Another module is sealed at the same addresses, or in the same memory. */
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
              s.values[GM_TEST_A_TEXT] += 0x100000,
              s.values[GM_TEST_A_GATES] += 0x100000,
              s.values[GM_TEST_A_DATA] += 0x100000,
              s.values[GM_TEST_A_STACKS] += 0x100000,
              s.values[GM_TEST_A_SHARED] = MODULE), EINVAL,
             "overlaps sealed pages");
    BAD_SEAL((g_ptr_array_add(s.others, other),
              s.values[GM_TEST_A_TEXT] -= 1ULL << 36,
              s.values[GM_TEST_A_GATES] -= 1ULL << 36,
              s.values[GM_TEST_A_DATA] -= 1ULL << 36,
              s.values[GM_TEST_A_STACKS] -= 1ULL << 36,
              s.values[GM_TEST_A_SHARED] -= 1ULL << 36,
              s.t.m->relocs.count = 0), EFAULT, "shares memory");
    seal_cleanup(&first);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    tmpdir = g_dir_make_tmp("gm-image-XXXXXX", NULL);
    g_assert(tmpdir);

    g_test_add_func("/gm/image/good", test_good);
    g_test_add_func("/gm/image/elf", test_elf);
    g_test_add_func("/gm/image/header", test_header);
    g_test_add_func("/gm/image/tables", test_tables);
    g_test_add_func("/gm/image/anchors", test_anchors);
    g_test_add_func("/gm/image/regions", test_regions);
    g_test_add_func("/gm/image/relocs", test_relocs);
    g_test_add_func("/gm/image/gates", test_gates);
    g_test_add_func("/gm/image/frames", test_frames);
    g_test_add_func("/gm/image/code", test_code);
    g_test_add_func("/gm/image/truncated", test_truncated);
    g_test_add_func("/gm/image/flipped", test_flipped);
    g_test_add_func("/gm/image/random", test_random);
    g_test_add_func("/gm/signature/trailer", test_trailer);
    g_test_add_func("/gm/signature/verify", test_signature);
    g_test_add_func("/gm/signature/flipped", test_signature_flipped);
    g_test_add_func("/gm/signature/certificates", test_certificates);
    g_test_add_func("/gm/signature/keyring", test_keyring);
    g_test_add_func("/gm/seal/good", test_seal_good);
    g_test_add_func("/gm/seal/sorted", test_seal_sorted);
    g_test_add_func("/gm/seal/addresses", test_seal_addresses);
    g_test_add_func("/gm/seal/relocs", test_seal_relocs);
    g_test_add_func("/gm/seal/pages", test_seal_pages);
    g_test_add_func("/gm/seal/others", test_seal_others);
    ret = g_test_run();

    if (!ret) {
        g_autofree char *quoted = g_shell_quote(tmpdir);
        g_autofree char *command = g_strconcat("rm -r ", quoted, NULL);

        ret = system(command);
    }
    g_free(tmpdir);
    return ret;
}
