/*
 * Granted ports: what the guest finds there, and where the module's accesses go.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "suites.h"
#include "hw/isa/isa.h"
#include "hw/qdev-core.h"
#include "qapi/qapi-commands-guarded-modules.h"
#include "system/kvm.h"

#define OWN 0x5000              /* ports of the test */

static void start(const char *grant)
{
    machine_register(machine_greedy, (const char *[]) { grant, NULL }, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_GREEDY, 0), ==, 0);
}

static void refuse(const char *grant, const char *why)
{
    Error *err = NULL;
    bool ok;

    machine_register(machine_greedy, NULL, &error_abort);
    ok = machine_grant("greedy", grant, &err);
    machine_expect_error(err, why);
    g_assert(!ok);
    machine_forget();
}

static void test_refused(void)
{
    PCIDevice *nic = machine_nic;

    refuse("pio=0x300", "'pio=0x300': there is nothing at these ports");
    refuse("pio=0xc000", "'pio=0xc000': port 0xc000 belongs to a PCI device (e1000e): the guest "
           "can move it");
    refuse("pio=0-0xffff", "'pio=0x0-0xffff': port 0xb2 belongs to a PCI device (PIIX4_PM): the "
           "guest can move it");
    /* A BAR that the guest has put over the ports of another device. */
    nic->config_write(nic, PCI_BASE_ADDRESS_2, 0x60, 4);
    refuse("pio=0x64", "'pio=0x64': port 0x64 belongs to a PCI device (e1000e): the guest can "
           "move it");
    nic->config_write(nic, PCI_BASE_ADDRESS_2, MACHINE_NIC_PORTS, 4);
}

/* What has been refused is not hidden, nor does it keep anything. */
static void test_refused_again(void)
{
    MemoryRegion *mr = memory_region_find(get_system_io(), 0x64, 1).mr;
    int before = mr->mapped_via_alias;
    uint8_t value = 0xff;

    refuse("pio=0x60-0xffff", "'pio=0x60-0xffff': port 0xb2 belongs to a PCI device (PIIX4_PM): "
           "the guest can move it");
    g_assert_cmpint(mr->mapped_via_alias, ==, before);
    memory_region_unref(mr);
    address_space_read(&address_space_io, 0x64, MEMTXATTRS_UNSPECIFIED, &value, 1);
    g_assert_cmphex(value, !=, 0xff);
}

/* KVM answers there before QEMU hears of it. */
static void test_kvm(void)
{
    kvm_kernel_irqchip = true;
    refuse("pio=0x21", "'pio=0x21': port 0x20 is that of KVM's own PIC, which cannot be hidden "
           "from the guest");
    refuse("pio=0x40", "'pio=0x40': port 0x40 is that of KVM's own PIT, which cannot be hidden "
           "from the guest");
    refuse("pio=0x60-0x64", "'pio=0x60-0x64': port 0x61 is that of KVM's own speaker port, which "
           "cannot be hidden from the guest");
    refuse("pio=0x4d1", "'pio=0x4d1': port 0x4d0 is that of KVM's own PIC, which cannot be hidden "
           "from the guest");
    machine_register(machine_greedy, (const char *[]) { "pio=0x64", NULL }, &error_abort);
    machine_forget();
    kvm_split_irqchip = true;
    machine_register(machine_greedy, (const char *[]) { "pio=0x21", NULL }, &error_abort);
    machine_forget();
    kvm_kernel_irqchip = kvm_split_irqchip = false;
}

static void test_unplug(void)
{
    BusState *isa = BUS(object_resolve_path_type("", TYPE_ISA_BUS, NULL));

    qbus_set_hotplug_handler(isa, OBJECT(qdev_get_machine()));
    refuse("pio=0x3f8", "'pio=0x3f8': port 0x3f8 belongs to a device that can be unplugged "
           "(isa-serial)");
    qbus_set_hotplug_handler(isa, NULL);
    machine_register(machine_greedy, (const char *[]) { "pio=0x3f8", NULL }, &error_abort);
    machine_forget();
}

static uint64_t in(hwaddr port, unsigned size)
{
    uint64_t value = 0;

    address_space_read(&address_space_io, port, MEMTXATTRS_UNSPECIFIED, &value, size);
    return value;
}

static void out(hwaddr port, uint64_t value, unsigned size)
{
    address_space_write(&address_space_io, port, MEMTXATTRS_UNSPECIFIED, &value, size);
}

static void expect_hidden(const char *grant, unsigned reads, unsigned writes)
{
    g_autoptr(GmInfo) info = qmp_query_gm(false, false, &error_abort);
    const GmHidden *hidden = info->modules->value->hidden->value;

    g_assert_cmpstr(hidden->grant, ==, grant);
    g_assert_cmpuint(hidden->reads, ==, reads);
    g_assert_cmpuint(hidden->writes, ==, writes);
    g_assert(!info->modules->value->hidden->next);
}

static void test_hidden(void)
{
    MachineAccess a = { .view = 1, .addr = 0x3ff, .size = 1, .count = 1, .write = true };

    out(0x3ff, 0x42, 1);
    start("pio=0x3f8-0x3ff");
    g_assert_cmphex(in(0x3ff, 1), ==, 0xff);
    g_assert_cmphex(in(0x3f8, 2), ==, 0xffff);
    g_assert_cmphex(in(0x3f9, 4), ==, 0xffffffff);
    expect_hidden("pio=0x3f8-0x3ff", 3, 0);
    out(0x3ff, 0x24, 1);
    out(0x3fd, 0x242424, 4);
    expect_hidden("pio=0x3f8-0x3ff", 3, 2);

    /* The guest puts something on top. */
    machine_nic->config_write(machine_nic, PCI_BASE_ADDRESS_2, 0x3e0, 4);
    g_assert_cmphex(in(0x3ff, 1), ==, 0xff);
    expect_hidden("pio=0x3f8-0x3ff", 4, 2);
    a.data[0] = 0x77;
    g_assert(machine_access_ports(&a));
    machine_nic->config_write(machine_nic, PCI_BASE_ADDRESS_2, MACHINE_NIC_PORTS, 4);

    machine_revoke("greedy", "pio=0x3f8-0x3ff", &error_abort);
    g_assert_cmphex(in(0x3ff, 1), ==, 0x77);
    g_assert(!machine_access_ports(&a));
    machine_forget();
}

/* The module has the ports that it was granted, and nobody else. */
static void test_access(void)
{
    MachineAccess a = { .view = 1, .addr = 0x3ff, .size = 1, .count = 1 };
    MachineAccess other = a, none = a, before = a, behind = a, astride = a;

    out(0x3ff, 0x42, 1);
    machine_register(machine_image, NULL, &error_abort);
    start("pio=0x3f8-0x3ff");
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 2), ==, 0);
    g_assert(machine_access_ports(&a));
    g_assert_cmphex(a.data[0], ==, 0x42);

    other.view = 2;
    g_assert(!machine_access_ports(&other));
    none.view = 0;
    g_assert(!machine_access_ports(&none));
    before.addr = 0x3f7;
    g_assert(!machine_access_ports(&before));
    behind.addr = 0x400;
    g_assert(!machine_access_ports(&behind));
    astride.size = 2;
    g_assert(!machine_access_ports(&astride));
    g_assert(!machine_access_memory(&a));

    gm_machine_reset(gm_state());
    g_assert(!machine_access_ports(&a));
    machine_forget();
}

/* Between what it was granted there is nothing: not what the guest puts there. */
static void test_between(void)
{
    MachineAccess a = { .view = 1, .addr = 0x66, .size = 1, .count = 1 };

    start("pio=0x60-0x66");
    machine_nic->config_write(machine_nic, PCI_BASE_ADDRESS_2, 0x60, 4);
    g_assert(machine_access_ports(&a));
    g_assert_cmphex(a.data[0], ==, 0xff);
    machine_nic->config_write(machine_nic, PCI_BASE_ADDRESS_2, MACHINE_NIC_PORTS, 4);
    machine_forget();
}

/* --- a device that lets go of the BQL ------------------------------------- */

static unsigned own_accesses, revoke_at;
static bool unregister;

static uint64_t own_read(void *opaque, hwaddr addr, unsigned size)
{
    if (++own_accesses == revoke_at) {
        if (unregister) {
            gm_machine_reset(gm_state());
            gm_unregister("greedy", &error_abort);
        } else {
            machine_revoke("greedy", "pio=0x5000", &error_abort);
        }
    }
    return own_accesses;
}

static void own_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    own_read(opaque, addr, size);
}

static const MemoryRegionOps own_ops = { .read = own_read, .write = own_write };

static void test_meanwhile(void)
{
    static const uint8_t all[4] = { 1, 2, 3, 4 };
    static const uint8_t some[4] = { 1, 2, 0xff, 0xff };
    MachineAccess a = { .view = 1, .addr = OWN, .size = 1, .count = 4 };
    MachineAccess b = a, c = a, d = a;
    static MemoryRegion own;

    memory_region_init_io(&own, NULL, &own_ops, NULL, "gm-test-ports", 4);
    memory_region_add_subregion(get_system_io(), OWN, &own);

    start("pio=0x5000");
    own_accesses = revoke_at = 0;
    g_assert(machine_access_ports(&a));
    g_assert(!memcmp(a.data, all, sizeof(all)));

    own_accesses = 0;
    revoke_at = 2;
    g_assert(machine_access_ports(&b));
    g_assert(!memcmp(b.data, some, sizeof(some)));
    g_assert_cmpuint(own_accesses, ==, 2);
    machine_forget();

    start("pio=0x5000");
    own_accesses = 0;
    unregister = true;
    g_assert(machine_access_ports(&c));
    g_assert(!memcmp(c.data, some, sizeof(some)));
    machine_forget();

    /* What is written is KVM's to have. */
    start("pio=0x5000");
    own_accesses = 0;
    d.write = true;
    memcpy(d.data, all, sizeof(all));
    g_assert(machine_access_ports(&d));
    g_assert(!memcmp(d.data, all, sizeof(all)));
    g_assert_cmpuint(own_accesses, ==, 2);
    machine_forget();
    memory_region_del_subregion(get_system_io(), &own);
    object_unparent(OBJECT(&own));
}

void suite_ports(void)
{
    const char *const serial[] = {
        "-chardev", "null,id=null", "-device", "isa-serial,chardev=null", NULL
    };

    machine_start("", serial);
    g_test_add_func("/gm/ports/refused", test_refused);
    g_test_add_func("/gm/ports/refused-again", test_refused_again);
    g_test_add_func("/gm/ports/kvm", test_kvm);
    g_test_add_func("/gm/ports/unplug", test_unplug);
    g_test_add_func("/gm/ports/hidden", test_hidden);
    g_test_add_func("/gm/ports/access", test_access);
    g_test_add_func("/gm/ports/between", test_between);
    g_test_add_func("/gm/ports/meanwhile", test_meanwhile);
}
