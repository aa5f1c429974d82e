/*
 * Guarded modules: the PCI device.
 *
 * It holds the keyring and the registered images, and offers the images to
 * the guest (include/hw/misc/gm/gm_device.h): a window, read-only to the
 * guest, shows the image that a register selects. The images are signed, not
 * secret, and loading one is the guest's choice.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "hw/misc/gm/gm_device.h"
#include "hw/qdev-properties.h"
#include "migration/blocker.h"
#include "system/kvm.h"
#include "system/qtest.h"
#include "system/reset.h"
#include "state.h"
#include "trace.h"
#include "verifier.h"

#define GM_REGS_SIZE (4 * KiB)
#define GM_WINDOW_MAX (1 * GiB)
#define GM_MODULES_MAX 4096
#define GM_VERIFIER_TIMEOUT_MAX 3600

QEMU_BUILD_BUG_ON(GM_REG_NAME + KVM_GM_NAME_LEN > GM_REGS_SIZE);

static GmState *gm_the_device;

GmState *gm_state(void)
{
    return gm_the_device;
}

/* Show @entry, or nothing, in the window. */
static void gm_show(GmState *s, GmEntry *entry)
{
    uint8_t *window = memory_region_get_ram_ptr(&s->window);
    size_t old = s->selected ? s->selected->image->size : 0;
    size_t size = entry ? entry->image->size : 0;

    if (entry == s->selected) {
        return;
    }
    if (size) {
        memcpy(window, entry->image->file, size);
    }
    if (old > size) {
        memset(window + size, 0, old - size);
    }
    memory_region_set_dirty(&s->window, 0, MAX(old, size));
    s->selected = entry;
}

static void gm_select(GmState *s, uint32_t index)
{
    GmEntry *entry = NULL;

    if (index < s->entries->len) {
        entry = s->entries->pdata[index];
    }
    trace_gm_select(index, entry ? gm_entry_name(entry) : "-");
    s->select = index;
    gm_show(s, entry);
}

void gm_deselect(GmState *s, const GmEntry *entry)
{
    if (s->selected == entry) {
        gm_show(s, NULL);
    }
}

static uint64_t gm_regs_read(void *opaque, hwaddr addr, unsigned size)
{
    GmState *s = opaque;

    switch (addr) {
    case GM_REG_MAGIC:
        return GM_DEVICE_MAGIC;
    case GM_REG_COUNT:
        return s->entries->len;
    case GM_REG_SELECT:
        return s->select;
    case GM_REG_SIZE:
        return s->selected ? s->selected->image->size : 0;
    case GM_REG_NAME ... GM_REG_NAME + KVM_GM_NAME_LEN - 1:
        return s->selected ? ldl_le_p(gm_entry_name(s->selected) + addr -
                                      GM_REG_NAME) : 0;
    default:
        return 0;
    }
}

static void gm_regs_write(void *opaque, hwaddr addr, uint64_t value,
                          unsigned size)
{
    if (addr == GM_REG_SELECT) {
        gm_select(opaque, value);
    }
}

static const MemoryRegionOps gm_regs_ops = {
    .read = gm_regs_read,
    .write = gm_regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 4 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

/* Under qtest no guest runs: everything but sealing works without KVM. */
static bool gm_check_kvm(Error **errp)
{
    if (gm_kvm_enabled() || qtest_enabled()) {
        return true;
    }
    if (!kvm_enabled()) {
        error_setg(errp, TYPE_GUARDED_MODULES " needs KVM: use "
                   GM_ACCEL_OPTION);
    } else {
        error_setg(errp, TYPE_GUARDED_MODULES " needs its support in KVM to "
                   "be turned on: use " GM_ACCEL_OPTION);
    }
    return false;
}

bool gm_load_keyring(GmState *s, Error **errp)
{
    g_autoptr(GmKeyring) keyring = gm_keyring_load(s->keyring_path, errp);

    if (!keyring ||
        (s->crl_path && !gm_keyring_load_crls(keyring, s->crl_path, errp))) {
        return false;
    }
    gm_keyring_free(s->keyring);
    s->keyring = g_steal_pointer(&keyring);
    return true;
}

static bool gm_parse_policy(GmState *s, Error **errp)
{
    int policy = qapi_enum_parse(&GmViolationPolicy_lookup,
                                 s->policy_name ?: "inject", -1, NULL);

    if (policy < 0) {
        error_setg(errp, "property 'violation-policy' is '%s'; it can be "
                   "inject, stop or quarantine", s->policy_name);
        return false;
    }
    s->policy = policy;
    return true;
}

static bool gm_check_limits(GmState *s, Error **errp)
{
    if (!is_power_of_2(s->window_size) || s->window_size < 4 * KiB ||
        s->window_size > GM_WINDOW_MAX) {
        error_setg(errp, "property 'image-window' must be a power of two from "
                   "4 KiB to 1 GiB");
        return false;
    }
    if (!s->max_modules || s->max_modules > GM_MODULES_MAX) {
        error_setg(errp, "property 'max-modules' must be from 1 to %d",
                   GM_MODULES_MAX);
        return false;
    }
    if (!s->verifier_timeout || s->verifier_timeout > GM_VERIFIER_TIMEOUT_MAX) {
        error_setg(errp, "property 'verifier-timeout' must be from 1 to %d "
                   "seconds", GM_VERIFIER_TIMEOUT_MAX);
        return false;
    }
    return true;
}

static bool gm_check_verifier(GmState *s, Error **errp)
{
    if (!s->verifier) {
        return true;
    }
    if (access(s->verifier, X_OK)) {
        error_setg_errno(errp, errno, "property 'verifier' is '%s', which "
                         "cannot be run", s->verifier);
        return false;
    }
    gm_verifier_init(s->verifier_timeout);
    return true;
}

static void gm_realize(PCIDevice *dev, Error **errp)
{
    GmState *s = GUARDED_MODULES(dev);

    if (gm_the_device) {
        error_setg(errp, "a virtual machine can have one " TYPE_GUARDED_MODULES
                   " device only");
        return;
    }
    if (!gm_check_kvm(errp)) {
        return;
    }
    if (!s->keyring_path) {
        error_setg(errp, "property 'keyring' is missing: the certificates of "
                   "those who may sign modules, or issue such certificates");
        return;
    }
    if (!gm_check_limits(s, errp) || !gm_parse_policy(s, errp) ||
        !gm_check_verifier(s, errp) || !gm_load_keyring(s, errp)) {
        return;
    }
    if (!memory_region_init_rom(&s->window, OBJECT(s), "gm-image",
                                s->window_size, errp)) {
        g_clear_pointer(&s->keyring, gm_keyring_free);
        return;
    }
    error_setg(&s->migration_blocker, "guarded modules cannot be migrated or "
               "saved: their pages and activations live in KVM");
    if (migrate_add_blocker(&s->migration_blocker, errp) < 0) {
        g_clear_pointer(&s->keyring, gm_keyring_free);
        return;
    }
    memory_region_init_io(&s->regs, OBJECT(s), &gm_regs_ops, s, "gm-regs",
                          GM_REGS_SIZE);
    pci_register_bar(dev, GM_BAR_REGS, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->regs);
    pci_register_bar(dev, GM_BAR_IMAGE, PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64 |
                     PCI_BASE_ADDRESS_MEM_PREFETCH, &s->window);

    s->entries = g_ptr_array_new_with_free_func(gm_entry_free);
    qemu_register_reset(gm_machine_reset, s);
    gm_the_device = s;
}

static void gm_exit(PCIDevice *dev)
{
    GmState *s = GUARDED_MODULES(dev);
    unsigned i;

    gm_machine_reset(s);
    gm_the_device = NULL;
    qemu_unregister_reset(gm_machine_reset, s);
    migrate_del_blocker(&s->migration_blocker);
    gm_show(s, NULL);
    for (i = 0; i < s->entries->len; i++) {
        gm_privilege_drop_all(s->entries->pdata[i]);
    }
    g_ptr_array_set_size(s->entries, 0);
    gm_keyring_free(s->keyring);
    for (i = 0; i < GM_LAST_VIOLATIONS; i++) {
        qapi_free_GmViolation(s->last_violations[i]);
    }
}

/*
 * A vCPU that is in the middle of an access to the registers may still be
 * waiting for the BQL when the guest powers the slot off.
 */
static void gm_finalize(Object *obj)
{
    g_clear_pointer(&GUARDED_MODULES(obj)->entries, g_ptr_array_unref);
}

static void gm_reset_hold(Object *obj, ResetType type)
{
    GmState *s = GUARDED_MODULES(obj);

    s->select = 0;
    gm_show(s, NULL);
}

static const Property gm_properties[] = {
    DEFINE_PROP_STRING("keyring", GmState, keyring_path),
    DEFINE_PROP_STRING("crl", GmState, crl_path),
    DEFINE_PROP_STRING("verifier", GmState, verifier),
    DEFINE_PROP_UINT32("verifier-timeout", GmState, verifier_timeout, 60),
    DEFINE_PROP_SIZE("image-window", GmState, window_size, 4 * MiB),
    DEFINE_PROP_UINT32("max-modules", GmState, max_modules, 64),
    DEFINE_PROP_STRING("violation-policy", GmState, policy_name),
};

static const struct {
    const char *property;
    const char *text;
} gm_descriptions[] = {
    { "keyring", "trusted X.509 certificates, of signers or of those who issue "
      "theirs: file (PEM, DER) or directory of such; mandatory" },
    { "crl", "revocation lists, of every issuer in a signer's chain: file (PEM, "
      "DER) or directory of such" },
    { "verifier", "gmcc's path: an image must pass 'gmcc verify', too" },
    { "verifier-timeout", "seconds that it may take, 1 to 3600" },
    { "image-window", "size of the largest image, a power of two from 4 KiB to "
      "1 GiB" },
    { "max-modules", "most modules registered at a time, 1 to 4096; "
      stringify(KVM_GM_MAX_SEALS) " of them can be sealed" },
    { "violation-policy", "what follows a violation: inject (#GP into the "
      "guest), stop (the VM) or quarantine (the module)" },
};

static void gm_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);
    unsigned i;

    pc->realize = gm_realize;
    pc->exit = gm_exit;
    pc->vendor_id = GM_PCI_VENDOR_ID;
    pc->device_id = GM_PCI_DEVICE_ID;
    pc->revision = GM_PCI_REVISION;
    pc->class_id = PCI_CLASS_SYSTEM_OTHER;
    rc->phases.hold = gm_reset_hold;
    dc->desc = "Guarded modules: keyring and registered images";
    dc->hotpluggable = false;
    device_class_set_props(dc, gm_properties);
    for (i = 0; i < G_N_ELEMENTS(gm_descriptions); i++) {
        object_class_property_set_description(klass,
                                              gm_descriptions[i].property,
                                              gm_descriptions[i].text);
    }
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo gm_info = {
    .name          = TYPE_GUARDED_MODULES,
    .parent        = TYPE_PCI_DEVICE,
    .instance_size = sizeof(GmState),
    .instance_finalize = gm_finalize,
    .class_init    = gm_class_init,
    .interfaces    = (InterfaceInfo[]) {
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { }
    },
};

static void gm_register_types(void)
{
    type_register_static(&gm_info);
}

type_init(gm_register_types)
