/*
 * Guarded images: reading the file, and checking all that it says.
 *
 * Each check of the code has a case here that fails without it. What is
 * read is copied to memory of exactly its size first, so that a sanitizer sees
 * each byte read too far.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "elf.h"
#include "../../hw/misc/gm/image.h"
#include "../../hw/misc/gm/seal.h"
#include "gm-test-image.h"

/*
 * The good image with one change to it.
 */
#define BAD(change, text) do {                                          \
        g_auto(GmTestImage) t = { 0 };                                  \
        Error *err = NULL;                                              \
                                                                        \
        gm_test_image_init(&t);                                         \
        change;                                                         \
        g_assert(!gm_test_image_parse(&t, &err));                       \
        gm_test_expect(err, text);                                      \
    } while (0)

#define EHDR ((Elf64_Ehdr *)t.data)
#define SHDR ((Elf64_Shdr *)(t.data + EHDR->e_shoff))

static void test_good(void)
{
    g_auto(GmTestImage) t = { 0 };
    g_autoptr(GmImage) image = NULL;

    gm_test_image_init(&t);
    g_assert(gm_elf_check(t.data, t.size, &error_abort));
    image = gm_test_image_parse(&t, &error_abort);
    g_assert_cmpstr(image->manifest->name, ==, GM_TEST_NAME);
    g_assert_cmpuint(image->nr_pages, ==, 12 + GM_TEST_DEVICE_PAGES);
    g_assert_cmpuint(strlen(image->id), ==, 64);
    g_assert(g_str_has_prefix(image->id, "5a5a5a5a"));
    g_assert_cmpstr(gm_image_region_name(image, 1), ==, ".gm.gates");
    g_assert_cmpuint(image->manifest->privileges.count, ==,
                     GM_TEST_NR_PRIVILEGES);
    g_assert_cmpuint(image->privileges[GM_TEST_P_MSR_WRITE].first, ==, 0x198);
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
    BAD(t.m->version = 1, "manifest version 1, this QEMU understands 3");
    BAD(t.m->size -= 8, "its section has");
    BAD(SHDR[5].sh_size = t.m->size = 100, "its section has");
    BAD(t.m->name[0] = 0, "name is empty");
    BAD(memset(t.m->name, 'a', sizeof(t.m->name)), "not terminated");
    BAD(t.m->name[1] = '\n', "character 0x0a");
    BAD(t.m->name[1] = (char)0xe4, "character 0xe4");
    BAD(t.m->name[sizeof(t.m->name) - 1] = 1, "followed by garbage");
    BAD(t.m->reserved[G_N_ELEMENTS(t.m->reserved) - 1] = 1, "reserved");
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
    BAD_TABLE(privileges, GM_MAX_PRIVILEGES);
    BAD_TABLE(strings, UINT32_MAX);

    BAD(t.m->anchors.count = 65537, "65537 anchors, at most");
    BAD(t.m->regions.count = KVM_GM_MAX_REGIONS + 1, "65 regions, at most");
    BAD(t.m->gates.count = KVM_GM_MAX_GATES + 1, "gates, at most");
    BAD(t.m->frames.count = KVM_GM_MAX_FRAMES + 1, "frames, at most");
    BAD(t.m->privileges.count = GM_MAX_PRIVILEGES + 1,
        "65 privileges, at most 64");
}

static void test_anchors(void)
{
    BAD(t.anchors[0].kind = 0, "anchor 0: unknown kind");
    BAD(t.anchors[6].kind = 5, "anchor 6: unknown kind");
    BAD(t.anchors[6].name = t.m->strings.count, "anchor 6: name outside");
    BAD(t.anchors[7].size = 8, "a symbol has no size");
    BAD(t.anchors[6].size = 1ULL << 31, "too many");
}

static void test_regions(void)
{
    BAD(t.regions[0].kind = 0, "region 0: unknown kind");
    BAD(t.regions[0].kind = 8, "region 0: unknown kind");
    BAD(t.regions[0].anchor = GM_TEST_NR_ANCHORS, "does not match");
    BAD(t.regions[0].anchor = GM_TEST_A_SHARED, "does not match");
    BAD((t.regions[0].anchor = GM_TEST_A_SHARED,
         t.anchors[GM_TEST_A_SHARED].size = GM_TEST_PAGE), "does not match");
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
    BAD(t.anchors[6].kind = GM_ANCHOR_REGION, "6 regions, but 7 anchors");
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

static void test_hostinfo(void)
{
    struct gm_region *r;

    BAD(t.m->privileges.count--,
        "1 pages for the host's information, but the privilege hostinfo is "
        "not requested");
    BAD((r = &t.regions[GM_TEST_A_HOSTINFO], r->kind = KVM_GM_REGION_RODATA,
         r->file_size = r->size, r->file_offset = GM_TEST_DATA),
        "0 pages for the host's information, but the privilege hostinfo is "
        "requested");
    BAD((r = &t.regions[GM_TEST_A_HOSTINFO],
         r->size = t.anchors[GM_TEST_A_HOSTINFO].size = 2 * GM_TEST_PAGE),
        "2 pages for the host's information");
    BAD((r = &t.regions[GM_TEST_A_DATA], r->kind = KVM_GM_REGION_HOSTINFO,
         r->file_size = r->file_offset = 0, t.m->relocs.count = 4),
        "2 pages for the host's information");
    BAD((r = &t.regions[GM_TEST_A_HOSTINFO],
         r->file_size = r->size, r->file_offset = GM_TEST_DATA),
        "region 4 (.gm.hostinfo): kind 6 must not have contents");
}

static void test_devices(void)
{
    struct gm_region *r;

    BAD((t.privileges[GM_TEST_P_MMIO] =
         (struct gm_privilege) { KVM_GM_PRIV_PIO, 0, 0x10, 0x10 }),
        "72 pages for devices, but the privilege mmio is not requested");
    BAD((r = &t.regions[GM_TEST_A_DEVICES],
         r->size = t.anchors[GM_TEST_A_DEVICES].size = GM_TEST_PAGE),
        "1 pages for devices in 1 regions, there may be one, of two pages");
    BAD((r = &t.regions[GM_TEST_A_DATA], r->kind = KVM_GM_REGION_DEVICES,
         r->file_size = r->file_offset = 0, t.m->relocs.count = 4),
        "73 pages for devices in 2 regions, there may be one");
    BAD((r = &t.regions[GM_TEST_A_DEVICES],
         r->size = t.anchors[GM_TEST_A_DEVICES].size = GM_TEST_PAGE,
         r->file_size = r->size, r->file_offset = GM_TEST_DATA),
        "region 5 (.gm.devices): kind 7 must not have contents");
    BAD((t.relocs[6].region = 5, t.relocs[6].offset = GM_TEST_PAGE),
        "outside the contents");
}

/* An image need not have pages for what it asks for. */
static void test_no_devices(void)
{
    g_auto(GmTestImage) t = { 0 };
    g_autoptr(GmImage) image = NULL;

    gm_test_image_init(&t);
    t.anchors[GM_TEST_A_DEVICES].kind = GM_ANCHOR_SHARED;
    t.m->regions.count--;
    image = gm_test_image_parse(&t, &error_abort);
    g_assert_cmpuint(image->nr_pages, ==, 12);
}

/* A request that can be granted, in place of another. */
static void good_privilege(unsigned i, uint32_t kind, uint32_t flags,
                           uint64_t first, uint64_t last)
{
    g_auto(GmTestImage) t = { 0 };
    g_autoptr(GmImage) image = NULL;

    gm_test_image_init(&t);
    t.privileges[i] = (struct gm_privilege) { kind, flags, first, last };
    image = gm_test_image_parse(&t, &error_abort);
    g_assert_cmpuint(image->privileges[i].last, ==, last);
}

static void test_privileges(void)
{
    struct gm_privilege *p;

#define BAD_PRIVILEGE(i, change, text)                                      \
    BAD((p = &t.privileges[GM_TEST_P_ ## i], change), text)

    good_privilege(GM_TEST_P_MMIO, KVM_GM_PRIV_MMIO, 0, 0, UINT32_MAX);
    good_privilege(GM_TEST_P_MMIO, KVM_GM_PRIV_MMIO, 0, 0, 0);
    good_privilege(GM_TEST_P_MMIO, KVM_GM_PRIV_MMIO, 0, UINT32_MAX,
                   UINT32_MAX);
    good_privilege(GM_TEST_P_PIO, KVM_GM_PRIV_PIO, 0, 0, UINT16_MAX);
    good_privilege(GM_TEST_P_MSR, KVM_GM_PRIV_MSR, KVM_GM_PRIV_F_WRITE, 0,
                   0x197);
    good_privilege(GM_TEST_P_MSR_WRITE, KVM_GM_PRIV_MSR, 0, 0x36, UINT32_MAX);
    good_privilege(GM_TEST_P_MSR_WRITE, KVM_GM_PRIV_MWAIT, 0, 0, 0);

    BAD_PRIVILEGE(MMIO, p->kind = 0, "privilege 0: unknown kind 0");
    BAD_PRIVILEGE(HOSTINFO, p->kind = KVM_GM_NR_PRIVILEGES,
                  "privilege 4: unknown kind 6");
    BAD_PRIVILEGE(HOSTINFO, p->kind = UINT32_MAX, "unknown kind 4294967295");

    BAD_PRIVILEGE(MMIO, p->flags = KVM_GM_PRIV_F_WRITE,
                  "privilege 0: kind 1 has no flags 0x1");
    BAD_PRIVILEGE(PIO, p->flags = KVM_GM_PRIV_F_WRITE, "kind 2 has no flags");
    BAD_PRIVILEGE(HOSTINFO, p->flags = KVM_GM_PRIV_F_WRITE,
                  "kind 5 has no flags");
    BAD_PRIVILEGE(MSR, p->flags = 2, "kind 3 has no flags 0x2");
    BAD_PRIVILEGE(MSR_WRITE, p->flags |= 1U << 31,
                  "kind 3 has no flags 0x80000001");

    BAD_PRIVILEGE(MMIO, p->last++,
                  "privilege 0: kind 1 has no 0x808610d3 to 0x808610d4");
    BAD_PRIVILEGE(MMIO, p->first = 0, "kind 1 has no 0x0");
    BAD_PRIVILEGE(MMIO, (p->first = 1, p->last = UINT32_MAX),
                  "kind 1 has no 0x1 to 0xffffffff");
    BAD_PRIVILEGE(MMIO, p->first = p->last = 1ULL << 32, "kind 1 has no");
    BAD_PRIVILEGE(MMIO, (p->first = 0, p->last = UINT64_MAX),
                  "kind 1 has no");
    BAD_PRIVILEGE(PIO, p->last = 0x5f, "kind 2 has no 0x60 to 0x5f");
    BAD_PRIVILEGE(PIO, p->last = 0x10000, "kind 2 has no 0x60 to 0x10000");
    BAD_PRIVILEGE(PIO, p->last = UINT64_MAX, "kind 2 has no");
    BAD_PRIVILEGE(MSR, p->last = 0x34, "kind 3 has no 0x35 to 0x34");
    BAD_PRIVILEGE(MSR_WRITE, p->last = 1ULL << 32, "kind 3 has no 0x198");
    BAD_PRIVILEGE(MSR_WRITE, (p->kind = KVM_GM_PRIV_MWAIT, p->flags = 0),
                  "kind 4 has no 0x198 to 0x199");
    BAD_PRIVILEGE(HOSTINFO, p->last = 1, "kind 5 has no 0x0 to 0x1");
    BAD_PRIVILEGE(HOSTINFO, p->first = p->last = 1, "kind 5 has no 0x1");

    BAD_PRIVILEGE(MSR, p->kind = KVM_GM_PRIV_MMIO,
                  "privilege 2 is out of order");
    BAD_PRIVILEGE(MSR_WRITE, p->first = 0x35,
                  "privilege 3 is out of order or overlaps the one before");
    BAD_PRIVILEGE(MSR_WRITE, p->first = 0x34, "privilege 3 is out of order");
    BAD_PRIVILEGE(MSR_WRITE, (p->kind = KVM_GM_PRIV_HOSTINFO, p->flags = 0,
                              p->first = p->last = 0),
                  "privilege 4 is out of order or overlaps the one before");
}

static void test_relocs(void)
{
    BAD(t.relocs[0].type = 0, "relocation 0: unknown type");
    BAD(t.relocs[0].type = 6, "relocation 0: unknown type");
    BAD(t.relocs[6].region = 6, "outside the contents");
    BAD((t.relocs[6].region = 4, t.relocs[6].offset = 0),
        "outside the contents");
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
    BAD(t.gates[0].region = 6, "may not lie in region 6");
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
    BAD(t.frames[0].region = 5, "not in text");
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
    BAD(t.m->ret_region = 5, "is not among the gates");
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
        gm_test_expect(err, size < 4 ? "not an ELF file" : "truncated");
        err = NULL;
        g_assert(!gm_image_new(g_steal_pointer(&data), size, size, &err));
        gm_test_expect(err, size < 4 ? "not an ELF file" : "truncated");
    }
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

    image = gm_test_image_parse(t, &err);
    if (!image) {
        error_free(err);
        return;
    }
    values = g_new0(uint64_t, MAX(image->manifest->anchors.count,
                                  GM_TEST_NR_ANCHORS));
    gm_test_image_values(values);
    for (i = 0; i < image->manifest->anchors.count; i++) {
        if (!g_test_rand_int_range(0, 8)) {
            values[i] += g_test_rand_int_range(-16, 16) * 0x800;
        }
    }
    plan = gm_seal_plan_new(image, values, gm_test_translate, NULL, others,
                            &ret, &err);
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gm/image/good", test_good);
    g_test_add_func("/gm/image/elf", test_elf);
    g_test_add_func("/gm/image/header", test_header);
    g_test_add_func("/gm/image/tables", test_tables);
    g_test_add_func("/gm/image/anchors", test_anchors);
    g_test_add_func("/gm/image/regions", test_regions);
    g_test_add_func("/gm/image/hostinfo", test_hostinfo);
    g_test_add_func("/gm/image/devices", test_devices);
    g_test_add_func("/gm/image/no-devices", test_no_devices);
    g_test_add_func("/gm/image/privileges", test_privileges);
    g_test_add_func("/gm/image/relocs", test_relocs);
    g_test_add_func("/gm/image/gates", test_gates);
    g_test_add_func("/gm/image/frames", test_frames);
    g_test_add_func("/gm/image/code", test_code);
    g_test_add_func("/gm/image/truncated", test_truncated);
    g_test_add_func("/gm/image/flipped", test_flipped);
    g_test_add_func("/gm/image/random", test_random);
    return g_test_run();
}
