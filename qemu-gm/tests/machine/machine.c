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

char *machine_folder;
char *machine_image, *machine_greedy, *machine_plain, *machine_unknown;
PCIDevice *machine_nic;
static char *keyring;

/* --- images --------------------------------------------------------------- */

static char *write_image(GmTestImage *t, const GmTestKey *key, const char *name)
{
    char *path = g_build_filename(machine_folder, name, NULL);

    gm_test_image_sign(t, key);
    g_assert(g_file_set_contents(path, (char *)t->data, t->size, NULL));
    return path;
}

static void write_images(void)
{
    g_autoptr(GmTestKey) key = gm_test_key_new("signer", 1, -60, 24 * 3600);
    g_autoptr(GmTestKey) other = gm_test_key_new("other", 2, -60, 24 * 3600);
    g_auto(GmTestImage) good = { 0 };
    g_auto(GmTestImage) greedy = { 0 };
    g_auto(GmTestImage) plain = { 0 };
    g_auto(GmTestImage) unknown = { 0 };
    struct gm_privilege *p;

    machine_folder = g_dir_make_tmp("gm-machine-XXXXXX", NULL);
    g_assert(machine_folder);
    keyring = g_build_filename(machine_folder, "signer.pem", NULL);
    gm_test_key_save(key, keyring);

    gm_test_image_init(&good);
    machine_image = write_image(&good, key, "good");

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
    machine_greedy = write_image(&greedy, key, "greedy");

    gm_test_image_init(&plain);
    strcpy(plain.m->name, "plain");
    memset(plain.m->id, 0x7c, sizeof(plain.m->id));
    plain.m->privileges.count = 0;
    plain.m->regions.count = GM_TEST_A_HOSTINFO;
    plain.anchors[GM_TEST_A_HOSTINFO].kind = GM_ANCHOR_SHARED;
    plain.anchors[GM_TEST_A_DEVICES].kind = GM_ANCHOR_SHARED;
    machine_plain = write_image(&plain, key, "plain");

    gm_test_image_init(&unknown);
    machine_unknown = write_image(&unknown, other, "unknown");
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

void machine_start(const char *const *options)
{
    g_autofree char *device = NULL;
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    const char *const fixed[] = {
        "qemu-system-x86_64", "-accel", "qtest", "-display", "none", "-M", "pc",
        "-nodefaults", "-m", "32M", "-L", "/usr/share/seabios", "-L",
        "/usr/share/qemu", "-serial", "null", "-device",
        "e1000e,id=nic0,addr=4,romfile=", "-device",
    };
    unsigned i;

    write_images();
    fake_kvm_reset();
    gm_kvm_enable(&error_abort);
    device = g_strdup_printf("guarded-modules,id=gm0,keyring=%s,"
                             "max-modules=3,image-window=64K", keyring);
    for (i = 0; i < G_N_ELEMENTS(fixed); i++) {
        g_ptr_array_add(argv, (void *)fixed[i]);
    }
    g_ptr_array_add(argv, device);
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
