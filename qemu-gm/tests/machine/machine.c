/*
 * A whole QEMU in the process of a test.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "qapi/util.h"
#include "hw/pci/pci_bus.h"
#include "hw/qdev-core.h"
#include "hw/sysbus.h"
#include "system/system.h"
#include "kvm.h"
#include <linux/kvm.h>

char *machine_folder, *machine_keyring;
char *machine_image, *machine_greedy, *machine_plain, *machine_unknown;
PCIDevice *machine_nic;
static GmTestKey *signer;

/* --- images --------------------------------------------------------------- */

char *machine_write(const char *name, const void *data, size_t size)
{
    char *path = g_build_filename(machine_folder, name, NULL);

    g_assert(g_file_set_contents(path, data, size, NULL));
    return path;
}

char *machine_write_image(GmTestImage *t, const char *name)
{
    gm_test_image_sign(t, signer);
    return machine_write(name, t->data, t->size);
}

static void write_images(void)
{
    g_autoptr(GmTestKey) other = gm_test_key_new("other", 2, -60, 24 * 3600);
    g_auto(GmTestImage) good = { 0 };
    g_auto(GmTestImage) greedy = { 0 };
    g_auto(GmTestImage) plain = { 0 };
    g_auto(GmTestImage) unknown = { 0 };
    struct gm_privilege *p;

    machine_folder = g_dir_make_tmp("gm-machine-XXXXXX", NULL);
    g_assert(machine_folder);
    signer = gm_test_key_new("signer", 1, -60, 24 * 3600);
    machine_keyring = g_build_filename(machine_folder, "signer.pem", NULL);
    gm_test_key_save(signer, machine_keyring);

    gm_test_image_init(&good);
    machine_image = machine_write_image(&good, "good");

    gm_test_image_init(&greedy);
    strcpy(greedy.m->name, "greedy");
    memset(greedy.m->id, 0x6b, sizeof(greedy.m->id));
    p = greedy.privileges;
    p[0] = (struct gm_privilege) { KVM_GM_PRIV_MMIO, 0, 0, UINT32_MAX };
    p[1] = (struct gm_privilege) { KVM_GM_PRIV_PIO, 0, 0, UINT16_MAX };
    p[2] = (struct gm_privilege) { KVM_GM_PRIV_MSR, KVM_GM_PRIV_F_WRITE, 0,
                                   UINT32_MAX };
    p[3] = (struct gm_privilege) { KVM_GM_PRIV_MWAIT };
    p[4] = (struct gm_privilege) { KVM_GM_PRIV_HOSTINFO };
    machine_greedy = machine_write_image(&greedy, "greedy");

    gm_test_image_init(&plain);
    strcpy(plain.m->name, "plain");
    memset(plain.m->id, 0x7c, sizeof(plain.m->id));
    plain.m->privileges.count = 0;
    plain.m->regions.count = GM_TEST_A_HOSTINFO;
    plain.anchors[GM_TEST_A_HOSTINFO].kind = GM_ANCHOR_SHARED;
    plain.anchors[GM_TEST_A_DEVICES].kind = GM_ANCHOR_SHARED;
    machine_plain = machine_write_image(&plain, "plain");

    gm_test_image_init(&unknown);
    gm_test_image_sign(&unknown, other);
    machine_unknown = machine_write("unknown", unknown.data, unknown.size);
}

void machine_prepare(void)
{
    if (!machine_folder) {
        write_images();
    }
}

void machine_clean_up(void)
{
    g_autofree char *quoted = g_shell_quote(machine_folder);
    g_autofree char *command = g_strconcat("rm -r ", quoted, NULL);

    g_assert(!system(command));
}

/* --- QEMU ----------------------------------------------------------------- */

/* What firmware would do. */
static void place_nic(void)
{
    DeviceState *dev = qdev_find_recursive(sysbus_get_default(), "nic0");
    PCIDevice *nic = PCI_DEVICE(dev);

    machine_nic = nic;
    nic->config_write(nic, PCI_BASE_ADDRESS_0, MACHINE_NIC_BAR, 4);
    nic->config_write(nic, PCI_BASE_ADDRESS_2, MACHINE_NIC_PORTS, 4);
    nic->config_write(nic, PCI_BASE_ADDRESS_3, MACHINE_NIC_MSIX, 4);
    nic->config_write(nic, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY,
                      2);
}

void machine_start(const char *properties, const char *const *options)
{
    g_autofree char *device = NULL;
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    const char *const fixed[] = {
        "qemu-system-x86_64", "-accel", "qtest", "-display", "none", "-M", "pc",
        "-nodefaults", "-m", "32M", "-L", "/usr/share/seabios", "-L",
        "/usr/share/qemu", "-serial", "null", "-device",
        "e1000e,id=nic0,addr=4,romfile=",
    };
    unsigned i;

    machine_prepare();
    fake_kvm_reset();
    for (i = 0; i < G_N_ELEMENTS(fixed); i++) {
        g_ptr_array_add(argv, (void *)fixed[i]);
    }
    if (properties) {
        gm_kvm_enable(&error_abort);
        device = g_strdup_printf("guarded-modules,id=gm0,keyring=%s,max-modules=3,"
                                 "image-window=64K%s", machine_keyring, properties);
        g_ptr_array_add(argv, (void *)"-device");
        g_ptr_array_add(argv, device);
    }
    while (options && *options) {
        g_ptr_array_add(argv, (void *)*options++);
    }
    g_ptr_array_add(argv, NULL);
    qemu_init(argv->len - 1, (char **)argv->pdata);
    place_nic();
}

strList *machine_list(const char *const *texts)
{
    strList *list = NULL, **tail = &list;

    while (texts && *texts) {
        QAPI_LIST_APPEND(tail, g_strdup(*texts++));
    }
    return list;
}

GmEntry *machine_register(const char *file, const char *const *grants,
                          Error **errp)
{
    g_autoptr(strList) list = machine_list(grants);
    const GmWanted wanted = { .file = file, .grants = list };

    /* Without a verifier it waits for nothing, and needs no coroutine. */
    return gm_register(&wanted, errp);
}

bool machine_grant(const char *name, const char *text, Error **errp)
{
    g_autoptr(strList) list = machine_list((const char *[]) { text, NULL });

    return gm_grant(name, list, errp);
}

bool machine_revoke(const char *name, const char *text, Error **errp)
{
    g_autoptr(strList) list = machine_list((const char *[]) { text, NULL });

    return gm_revoke(name, list, errp);
}

/* --- what a guest does ---------------------------------------------------- */

void machine_anchors(MachineAnchors *a, uint8_t id, unsigned place)
{
    unsigned i;

    memset(a, 0, sizeof(*a));
    memcpy(a->magic, GM_ANCHORS_MAGIC, sizeof(a->magic));
    memset(a->id, id, sizeof(a->id));
    a->count = GM_TEST_NR_ANCHORS;
    gm_test_image_values(a->values);
    for (i = 0; i < GM_TEST_A_PRINTK; i++) {
        a->values[i] += place * (uint64_t)MACHINE_PLACE;
    }
}

void machine_write_anchors(const MachineAnchors *a, uint64_t va)
{
    address_space_write(&address_space_memory, fake_gpa(va) + va % GM_PAGE_SIZE,
                        MEMTXATTRS_UNSPECIFIED, a, sizeof(*a));
}

int64_t machine_seal_at(uint64_t va)
{
    struct kvm_gm_exit exit = { .type = KVM_GM_EXIT_SEAL, .addr = va };

    gm_handle_exit(first_cpu, &exit);
    return exit.ret;
}

int64_t machine_seal(uint8_t id, unsigned place)
{
    MachineAnchors a;

    machine_anchors(&a, id, place);
    machine_write_anchors(&a, MACHINE_ANCHORS);
    return machine_seal_at(MACHINE_ANCHORS);
}

/* --- what a module does --------------------------------------------------- */

bool machine_access_ports(MachineAccess *a)
{
    union {
        struct kvm_run run;
        uint8_t bytes[2 * GM_PAGE_SIZE];
    } u = { 0 };
    bool handled;

    u.run.flags = a->view << KVM_GM_RUN_VIEW_SHIFT;
    u.run.io.port = a->addr;
    u.run.io.size = a->size;
    u.run.io.count = a->count;
    u.run.io.direction = a->write ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
    u.run.io.data_offset = GM_PAGE_SIZE;
    memcpy(u.bytes + GM_PAGE_SIZE, a->data, sizeof(a->data));
    handled = gm_handle_io(&u.run, MEMTXATTRS_UNSPECIFIED);
    memcpy(a->data, u.bytes + GM_PAGE_SIZE, sizeof(a->data));
    return handled;
}

bool machine_access_memory(MachineAccess *a)
{
    struct kvm_run run = {
        .flags = a->view << KVM_GM_RUN_VIEW_SHIFT | (a->own_pages ? KVM_GM_RUN_DEVICES : 0),
        .mmio = { .phys_addr = a->addr, .len = a->size, .is_write = a->write },
    };
    bool handled;

    memcpy(run.mmio.data, a->data, sizeof(run.mmio.data));
    handled = gm_handle_mmio(&run, MEMTXATTRS_UNSPECIFIED);
    memcpy(a->data, run.mmio.data, sizeof(run.mmio.data));
    return handled;
}

/* --- as at the start ------------------------------------------------------ */

static void forget_events(GmState *s)
{
    unsigned i;

    for (i = 0; i < GM_LAST_VIOLATIONS; i++) {
        g_clear_pointer(&s->last_violations[i], qapi_free_GmViolation);
    }
    memset(s->violations, 0, sizeof(s->violations));
    s->violations_total = s->seals_refused = 0;
}

static void end_seals(GmState *s)
{
    fake_kvm_reset();
    gm_machine_reset(s);
    device_cold_reset(DEVICE(s));
    forget_events(s);
    fake_kvm_reset();
}

void machine_forget(void)
{
    GmState *s = gm_state();

    end_seals(s);
    while (s->entries->len) {
        gm_unregister(gm_entry_name(s->entries->pdata[0]), &error_abort);
    }
}

void machine_revert(void)
{
    GmState *s = gm_state();
    unsigned i;

    end_seals(s);
    for (i = 0; i < s->entries->len; i++) {
        GmEntry *entry = s->entries->pdata[i];

        gm_privilege_drop_all(entry);
        entry->state = GM_MODULE_STATE_REGISTERED;
        entry->quarantined = false;
        entry->policy = GM_VIOLATION_POLICY_INJECT;
        memset(entry->crossings, 0, sizeof(entry->crossings));
        memset(entry->violations, 0, sizeof(entry->violations));
    }
}

uint32_t machine_load(hwaddr addr)
{
    uint32_t value = 0;

    address_space_read(&address_space_memory, addr, MEMTXATTRS_UNSPECIFIED, &value, 4);
    return value;
}

void machine_store(hwaddr addr, uint32_t value)
{
    address_space_write(&address_space_memory, addr, MEMTXATTRS_UNSPECIFIED, &value, 4);
}
