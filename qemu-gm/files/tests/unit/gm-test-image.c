/*
 * A small guarded image for tests, correct in every respect.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <gnutls/gnutls.h>
#include <gnutls/abstract.h>
#include <gnutls/pkcs7.h>
#include <gnutls/x509.h>
#include "qapi/error.h"
#include "elf.h"
#include "gm-test-image.h"

struct GmTestKey {
    gnutls_x509_privkey_t x509_key;
    gnutls_privkey_t key;
    gnutls_x509_crt_t crt;
};

static const char section_names[] =
    "\0.text\0.gm.gates\0.data\0.gm.stacks\0.gm.manifest\0.gm.hostinfo"
    "\0.gm.devices\0.shstrtab";

static const char strings[] =
    "\0.text\0.gm.gates\0.data\0.gm.stacks\0.bss\0_printk\0jiffies"
    "\0init\0exit\0xmit\0in_return\0resume\0out_return\0indirect"
    "\0.gm.hostinfo\0.gm.devices";

static uint32_t find_string(const char *table, size_t size, const char *s)
{
    size_t i;

    for (i = 0; i < size; i += strlen(table + i) + 1) {
        if (!strcmp(table + i, s)) {
            return i;
        }
    }
    g_assert_not_reached();
}

static uint32_t str(const char *s)
{
    return find_string(strings, sizeof(strings), s);
}

/* Reserve a table behind the manifest's header. */
static void *add_table(GmTestImage *t, struct gm_table *table, uint32_t count,
                       size_t entry_size)
{
    table->offset = t->m->size;
    table->count = count;
    t->m->size += QEMU_ALIGN_UP(count * entry_size, 8);
    return (uint8_t *)t->m + table->offset;
}

static void fill_manifest(GmTestImage *t)
{
    const struct gm_anchor anchors[] = {
        { GM_ANCHOR_REGION, str(".text"),      GM_TEST_PAGE },
        { GM_ANCHOR_REGION, str(".gm.gates"),  GM_TEST_PAGE },
        { GM_ANCHOR_REGION, str(".data"),      GM_TEST_PAGE },
        { GM_ANCHOR_REGION, str(".gm.stacks"),
          GM_TEST_STACKS * GM_TEST_STACK_PAGES * GM_TEST_PAGE },
        { GM_ANCHOR_REGION, str(".gm.hostinfo"), GM_TEST_PAGE },
        { GM_ANCHOR_REGION, str(".gm.devices"),
          GM_TEST_DEVICE_PAGES * GM_TEST_PAGE },
        { GM_ANCHOR_SHARED, str(".bss"),       0x80 },
        { GM_ANCHOR_EXTERN, str("_printk"),    0 },
        { GM_ANCHOR_EXTERN, str("jiffies"),    0 },
    };
    const struct gm_region regions[] = {
        { KVM_GM_REGION_TEXT,  GM_TEST_A_TEXT,  GM_TEST_TEXT,
          GM_TEST_PAGE, GM_TEST_PAGE },
        { KVM_GM_REGION_GATES, GM_TEST_A_GATES, GM_TEST_GATES,
          GM_TEST_PAGE, GM_TEST_PAGE },
        { KVM_GM_REGION_DATA,  GM_TEST_A_DATA,  GM_TEST_DATA,
          GM_TEST_PAGE, GM_TEST_PAGE },
        { KVM_GM_REGION_STACK, GM_TEST_A_STACKS, 0,
          GM_TEST_STACKS * GM_TEST_STACK_PAGES * GM_TEST_PAGE, 0 },
        { KVM_GM_REGION_HOSTINFO, GM_TEST_A_HOSTINFO, 0, GM_TEST_PAGE, 0 },
        { KVM_GM_REGION_DEVICES, GM_TEST_A_DEVICES, 0,
          GM_TEST_DEVICE_PAGES * GM_TEST_PAGE, 0 },
    };
    const struct gm_reloc relocs[] = {
        { 0, 0x10, GM_RELOC_PC32, GM_TEST_A_DATA,    0x20 - 4 },
        { 0, 0x20, GM_RELOC_PC32, GM_TEST_A_JIFFIES, -4 },
        { 0, 0x30, GM_RELOC_32S,  GM_TEST_A_TEXT,    0x40 },
        { 0, 0x40, GM_RELOC_PC64, GM_TEST_A_SHARED,  0 },
        { 2, 0x00, GM_RELOC_64,   GM_TEST_A_TEXT,    0x100 },
        { 2, 0x08, GM_RELOC_64,   GM_TEST_A_PRINTK,  0 },
        { 2, 0x10, GM_RELOC_64,   GM_TEST_A_SHARED,  8 },
    };
    const struct gm_gate gates[] = {
        { 0, 0x800, KVM_GM_GATE_OUT_CALL, 0, 0, str("_printk"),
          GM_TEST_A_PRINTK, 0, 0, 0 },
        { 0, 0x810, KVM_GM_GATE_OUT_CALL_INDIRECT, 0, 0, str("indirect") },
        { 0, 0x820, KVM_GM_GATE_OUT_RETURN, 0, 0, str("out_return") },
        { 1, 0x00, KVM_GM_GATE_IN_CALL, KVM_GM_GATE_F_INIT, 0, str("init"),
          GM_TEST_A_TEXT, 0, 0, 0x100 },
        { 1, 0x10, KVM_GM_GATE_IN_CALL, KVM_GM_GATE_F_EXIT, 0, str("exit"),
          GM_TEST_A_TEXT, 0, 0, 0x140 },
        { 1, 0x20, KVM_GM_GATE_IN_CALL, 0, 1, str("xmit"),
          GM_TEST_A_TEXT, 0, 0, 0x180 },
        { 1, 0x33, KVM_GM_GATE_IN_RETURN, 0, 0, str("in_return") },
        { 1, 0x40, KVM_GM_GATE_RESUME, 0, 0, str("resume") },
    };
    const struct gm_frame frames[] = {
        { 0, 0x110, 16, 0, 0 },
        { 0, 0x190, 64, 8, 16 },
    };
    const struct gm_privilege privileges[] = {
        { KVM_GM_PRIV_MMIO, 0, 0x808610d3, 0x808610d3 },
        { KVM_GM_PRIV_PIO, 0, 0x60, 0x64 },
        { KVM_GM_PRIV_MSR, 0, 0x35, 0x35 },
        { KVM_GM_PRIV_MSR, KVM_GM_PRIV_F_WRITE, 0x198, 0x199 },
        { KVM_GM_PRIV_HOSTINFO, 0, 0, 0 },
    };
    struct gm_manifest *m = t->m;

    memcpy(m->magic, GM_MANIFEST_MAGIC, sizeof(m->magic));
    m->version = GM_MANIFEST_VERSION;
    memset(m->id, 0x5a, sizeof(m->id));
    strcpy(m->name, GM_TEST_NAME);
    m->stack_pages = GM_TEST_STACK_PAGES;
    m->nr_stacks = GM_TEST_STACKS;
    m->trampoline_region = 1;
    m->trampoline_offset = 0x30;
    m->ret_region = 1;
    m->ret_offset = 0x50;

    m->size = sizeof(*m);
    t->anchors = add_table(t, &m->anchors, G_N_ELEMENTS(anchors),
                           sizeof(*anchors));
    memcpy(t->anchors, anchors, sizeof(anchors));
    t->regions = add_table(t, &m->regions, G_N_ELEMENTS(regions),
                           sizeof(*regions));
    memcpy(t->regions, regions, sizeof(regions));
    t->relocs = add_table(t, &m->relocs, G_N_ELEMENTS(relocs),
                          sizeof(*relocs));
    memcpy(t->relocs, relocs, sizeof(relocs));
    t->gates = add_table(t, &m->gates, G_N_ELEMENTS(gates), sizeof(*gates));
    memcpy(t->gates, gates, sizeof(gates));
    t->frames = add_table(t, &m->frames, G_N_ELEMENTS(frames),
                          sizeof(*frames));
    memcpy(t->frames, frames, sizeof(frames));
    t->privileges = add_table(t, &m->privileges, G_N_ELEMENTS(privileges),
                              sizeof(*privileges));
    memcpy(t->privileges, privileges, sizeof(privileges));
    t->strings = add_table(t, &m->strings, sizeof(strings), 1);
    memcpy(t->strings, strings, sizeof(strings));
}

static void fill_code(GmTestImage *t)
{
    static const uint8_t call_r11[] = { 0x41, 0xff, 0xd3 };
    static const uint8_t vmcall[] = { 0x0f, 0x01, 0xc1 };
    unsigned i;

    memset(t->data + GM_TEST_TEXT, 0xcc, 2 * GM_TEST_PAGE);
    for (i = 0; i < GM_TEST_NR_GATES; i++) {
        memcpy(t->data + (t->gates[i].region ? GM_TEST_GATES : GM_TEST_TEXT) +
               t->gates[i].offset, vmcall, sizeof(vmcall));
    }
    memcpy(t->data + GM_TEST_GATES + 0x30, call_r11, sizeof(call_r11));
    t->data[GM_TEST_GATES + 0x50] = 0xc3;
}

static Elf64_Shdr section(const char *name, unsigned type, unsigned flags,
                          size_t offset, size_t size)
{
    return (Elf64_Shdr) {
        .sh_name = find_string(section_names, sizeof(section_names), name),
        .sh_type = type,
        .sh_flags = flags,
        .sh_offset = offset,
        .sh_size = size,
        .sh_addralign = 1,
    };
}

void gm_test_image_init(GmTestImage *t)
{
    size_t names, table;

    t->data = g_malloc0(GM_TEST_MANIFEST + 2 * GM_TEST_PAGE);
    t->m = (struct gm_manifest *)(t->data + GM_TEST_MANIFEST);
    fill_manifest(t);
    fill_code(t);

    names = GM_TEST_MANIFEST + t->m->size;
    table = QEMU_ALIGN_UP(names + sizeof(section_names), 8);
    const Elf64_Shdr sections[] = {
        { 0 },
        section(".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR,
                GM_TEST_TEXT, GM_TEST_PAGE),
        section(".gm.gates", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR,
                GM_TEST_GATES, GM_TEST_PAGE),
        section(".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE,
                GM_TEST_DATA, GM_TEST_PAGE),
        section(".gm.stacks", SHT_NOBITS, SHF_ALLOC | SHF_WRITE,
                GM_TEST_MANIFEST, GM_TEST_STACKS * GM_TEST_STACK_PAGES *
                GM_TEST_PAGE),
        section(".gm.manifest", SHT_PROGBITS, 0, GM_TEST_MANIFEST,
                t->m->size),
        section(".gm.hostinfo", SHT_NOBITS, SHF_ALLOC, GM_TEST_MANIFEST,
                GM_TEST_PAGE),
        section(".gm.devices", SHT_NOBITS, SHF_ALLOC | SHF_WRITE,
                GM_TEST_MANIFEST, GM_TEST_DEVICE_PAGES * GM_TEST_PAGE),
        section(".shstrtab", SHT_STRTAB, 0, names, sizeof(section_names)),
    };
    const Elf64_Ehdr ehdr = {
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
                     ELFDATA2LSB, EV_CURRENT },
        .e_type = ET_REL,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_shoff = table,
        .e_ehsize = sizeof(ehdr),
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = G_N_ELEMENTS(sections),
        .e_shstrndx = G_N_ELEMENTS(sections) - 1,
    };

    memcpy(t->data, &ehdr, sizeof(ehdr));
    memcpy(t->data + names, section_names, sizeof(section_names));
    memcpy(t->data + table, sections, sizeof(sections));
    t->size = table + sizeof(sections);
}

void gm_test_image_cleanup(GmTestImage *t)
{
    g_free(t->data);
}

GmImage *gm_test_image_parse(const GmTestImage *t, Error **errp)
{
    return gm_image_new(g_memdup2(t->data, t->size), t->size, t->size, errp);
}

void gm_test_image_values(uint64_t *values)
{
    values[GM_TEST_A_TEXT] = GM_TEST_MODULE;
    values[GM_TEST_A_GATES] = GM_TEST_MODULE + 0x1000;
    values[GM_TEST_A_DATA] = GM_TEST_MODULE + 0x4000;
    values[GM_TEST_A_STACKS] = GM_TEST_MODULE + 0x10000;
    values[GM_TEST_A_HOSTINFO] = GM_TEST_MODULE + 0x20000;
    values[GM_TEST_A_DEVICES] = GM_TEST_MODULE + 0x30000;
    values[GM_TEST_A_SHARED] = GM_TEST_MODULE + 0x3f80;
    values[GM_TEST_A_PRINTK] = 0xffffffff81001000ULL;
    values[GM_TEST_A_JIFFIES] = 0xffffffff82005000ULL;
}

bool gm_test_translate(void *opaque, uint64_t va, uint64_t *gpa)
{
    *gpa = va & 0xffffff000ULL;
    return true;
}

void gm_test_expect(Error *err, const char *text)
{
    g_assert(err);
    if (!strstr(error_get_pretty(err), text)) {
        g_test_message("got \"%s\", expected \"%s\"", error_get_pretty(err),
                       text);
        g_test_fail();
    }
    error_free(err);
}

GmTestKey *gm_test_key_new(const char *cn, unsigned serial, int from, int to)
{
    GmTestKey *key = g_new0(GmTestKey, 1);
    const uint8_t number[] = { serial >> 8, serial };
    time_t now = time(NULL);

    g_assert(!gnutls_x509_privkey_init(&key->x509_key));
    g_assert(!gnutls_x509_privkey_generate(key->x509_key, GNUTLS_PK_RSA, 2048,
                                           0));
    g_assert(!gnutls_privkey_init(&key->key));
    g_assert(!gnutls_privkey_import_x509(key->key, key->x509_key, 0));

    g_assert(!gnutls_x509_crt_init(&key->crt));
    g_assert(!gnutls_x509_crt_set_version(key->crt, 3));
    g_assert(!gnutls_x509_crt_set_dn_by_oid(key->crt,
                                            GNUTLS_OID_X520_COMMON_NAME, 0,
                                            cn, strlen(cn)));
    g_assert(!gnutls_x509_crt_set_serial(key->crt, number, sizeof(number)));
    g_assert(!gnutls_x509_crt_set_activation_time(key->crt, now + from));
    g_assert(!gnutls_x509_crt_set_expiration_time(key->crt, now + to));
    g_assert(!gnutls_x509_crt_set_key_usage(key->crt,
                                            GNUTLS_KEY_DIGITAL_SIGNATURE));
    g_assert(!gnutls_x509_crt_set_key(key->crt, key->x509_key));
    g_assert(!gnutls_x509_crt_sign2(key->crt, key->crt, key->x509_key,
                                    GNUTLS_DIG_SHA256, 0));
    return key;
}

void gm_test_key_free(GmTestKey *key)
{
    if (key) {
        gnutls_x509_crt_deinit(key->crt);
        gnutls_privkey_deinit(key->key);
        gnutls_x509_privkey_deinit(key->x509_key);
        g_free(key);
    }
}

void gm_test_key_save(const GmTestKey *key, const char *path)
{
    gnutls_datum_t pem;

    g_assert(!gnutls_x509_crt_export2(key->crt, GNUTLS_X509_FMT_PEM, &pem));
    g_assert(g_file_set_contents(path, (char *)pem.data, pem.size, NULL));
    gnutls_free(pem.data);
}

void gm_test_image_sign(GmTestImage *t, const GmTestKey *key)
{
    static const char magic[] = "~Module signature appended~\n";
    const gnutls_datum_t body = { t->data, t->size };
    gnutls_datum_t der;
    gnutls_pkcs7_t pkcs7;

    g_assert(!gnutls_pkcs7_init(&pkcs7));
    g_assert(!gnutls_pkcs7_sign(pkcs7, key->crt, key->key, &body, NULL, NULL,
                                GNUTLS_DIG_SHA256, 0));
    g_assert(!gnutls_pkcs7_export2(pkcs7, GNUTLS_X509_FMT_DER, &der));
    gnutls_pkcs7_deinit(pkcs7);

    const uint8_t trailer[] = {
        0, 0, 2, 0, 0, 0, 0, 0,
        der.size >> 24, der.size >> 16, der.size >> 8, der.size
    };
    GByteArray *bytes = g_byte_array_new();

    g_byte_array_append(bytes, t->data, t->size);
    g_byte_array_append(bytes, der.data, der.size);
    g_byte_array_append(bytes, trailer, sizeof(trailer));
    g_byte_array_append(bytes, (const uint8_t *)magic, strlen(magic));
    gnutls_free(der.data);
    g_free(t->data);

    /* Nothing but the bytes of the file is valid any longer. */
    t->size = bytes->len;
    t->data = g_byte_array_free(bytes, false);
    t->m = NULL;
}
