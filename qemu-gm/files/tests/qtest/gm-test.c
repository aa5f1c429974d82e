/*
 * QTest testcase for the guarded-modules device
 *
 * Everything but sealing works without KVM: the registers, the commands, and
 * what grants hide from the guest, which is what qtest plays.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/wait.h>
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/pci.h"
#include "libqos/pci-pc.h"
#include "hw/misc/gm/gm_device.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qnum.h"
#include "qobject/qstring.h"
#include "../unit/gm-test-image.h"

#define SLOT_GM         3
#define SLOT_NIC        4

/* Of e1000e: BARs, and registers in the first and the third one. */
#define NIC_BAR_REGS    0
#define NIC_BAR_PORTS   2
#define NIC_BAR_MSIX    3
#define NIC_STATUS      0x8
#define NIC_LEDCTL      0xe00
#define NIC_LEDCTL_RESET 0x00068302
#define NIC_IOADDR      0

/* Its capabilities, and a register that no capability is for. */
#define NIC_CAP_PM      0xc8
#define NIC_CAP_MSI     0xd0
#define NIC_CAP_EXP     0xe0
#define NIC_CAP_MSIX    0xa0
#define NIC_OWN         0x44

#define I8042_DATA      0x60
#define I8042_STATUS    0x64
#define SERIAL_SCRATCH  0x3ff

static char *tmp;
static char *keyring;
static char *image;             /* asks for what the test image asks for */
static char *greedy;            /* another module: any device, all ports */
static char *unknown;           /* by a key that is not in the keyring */

typedef struct Vm {
    QTestState *qts;
    QPCIBus *bus;
    QPCIDevice *gm;
    QPCIDevice *nic;
    QPCIBar regs;
} Vm;

static Vm vm_start(const char *more)
{
    Vm vm;

    vm.qts = qtest_initf("-M pc -nodefaults -serial null "
                         "-device guarded-modules,addr=%d,keyring=%s "
                         "-device e1000e,id=nic0,addr=%d,romfile= %s",
                         SLOT_GM, keyring, SLOT_NIC, more);
    vm.bus = qpci_new_pc(vm.qts, NULL);
    vm.gm = qpci_device_find(vm.bus, QPCI_DEVFN(SLOT_GM, 0));
    vm.nic = qpci_device_find(vm.bus, QPCI_DEVFN(SLOT_NIC, 0));
    g_assert(vm.gm && vm.nic);
    qpci_device_enable(vm.gm);
    qpci_device_enable(vm.nic);
    vm.regs = qpci_iomap(vm.gm, GM_BAR_REGS, NULL);
    return vm;
}

static void vm_stop(Vm *vm)
{
    g_free(vm->gm);
    g_free(vm->nic);
    qpci_free_pc(vm->bus);
    qtest_quit(vm->qts);
}

static uint32_t gm_reg(Vm *vm, uint32_t reg)
{
    return qpci_io_readl(vm->gm, vm->regs, reg);
}

/* The error of a command whose reply is @reply, which goes away. */
static void expect_error(QDict *error, const char *text)
{
    const char *desc = qdict_get_str(error, "desc");

    if (!strstr(desc, text)) {
        g_test_message("got \"%s\", expected \"%s\"", desc, text);
        g_test_fail();
    }
    qobject_unref(error);
}

#define FAIL(vm, text, ...) \
    expect_error(qtest_qmp_assert_failure_ref((vm)->qts, __VA_ARGS__), text)
#define OK(vm, ...) qtest_qmp_assert_success((vm)->qts, __VA_ARGS__)

#define REGISTER(file) \
    "{'execute': 'gm-register', 'arguments': {'file': %s}}", file
#define GRANT(name, what) \
    "{'execute': 'gm-grant', 'arguments': {'name': %s, 'grants': [%s]}}", \
    name, what
#define REVOKE(name, what) \
    "{'execute': 'gm-revoke', 'arguments': {'name': %s, 'grants': [%s]}}", \
    name, what
#define UNREGISTER(name) \
    "{'execute': 'gm-unregister', 'arguments': {'name': %s}}", name

/* Number @index of query-gm's modules. */
static QDict *module(Vm *vm, unsigned index)
{
    QDict *info = qtest_qmp_assert_success_ref(vm->qts,
                                               "{'execute': 'query-gm'}");
    QList *list = qdict_get_qlist(info, "modules");
    QDict *found;

    while (index--) {
        qobject_unref(qlist_pop(list));
    }
    found = qobject_to(QDict, qlist_pop(list));
    qobject_unref(info);
    return found;
}

static unsigned modules(Vm *vm)
{
    QDict *info = qtest_qmp_assert_success_ref(vm->qts,
                                               "{'execute': 'query-gm'}");
    unsigned count = qlist_size(qdict_get_qlist(info, "modules"));

    qobject_unref(info);
    return count;
}

/* A list of strings, with a comma between them. */
static void expect_strings(const QDict *dict, const char *key, const char *text)
{
    const QListEntry *entry;
    g_autoptr(GString) all = g_string_new(NULL);

    QLIST_FOREACH_ENTRY(qdict_get_qlist(dict, key), entry) {
        g_string_append_printf(all, "%s%s", all->len ? "," : "",
            qstring_get_str(qobject_to(QString, qlist_entry_obj(entry))));
    }
    g_assert_cmpstr(all->str, ==, text);
}

static void expect_grants(Vm *vm, unsigned index, const char *text)
{
    QDict *m = module(vm, index);

    expect_strings(m, "grants", text);
    qobject_unref(m);
}

/* What the first module's first grant has kept from the guest. */
static void expect_hidden(Vm *vm, const char *grant, int reads, int writes)
{
    QDict *m = module(vm, 0);
    QDict *hidden = qobject_to(QDict, qlist_peek(qdict_get_qlist(m, "hidden")));

    g_assert_cmpstr(qdict_get_str(hidden, "grant"), ==, grant);
    g_assert_cmpint(qdict_get_int(hidden, "reads"), ==, reads);
    g_assert_cmpint(qdict_get_int(hidden, "writes"), ==, writes);
    qobject_unref(m);
}

static int config_refused(Vm *vm)
{
    QDict *m = module(vm, 0);
    QDict *hidden = qobject_to(QDict, qlist_peek(qdict_get_qlist(m, "hidden")));
    int refused = qdict_get_int(hidden, "config-writes");

    g_assert(!qdict_haskey(hidden, "bars"));
    qobject_unref(m);
    return refused;
}

static void expect_hmp(Vm *vm, const char *command, const char *text)
{
    g_autofree char *out = qtest_hmp(vm->qts, "%s", command);

    if (!strstr(out, text)) {
        g_test_message("got \"%s\", expected \"%s\"", out, text);
        g_test_fail();
    }
}

/* --- the device ----------------------------------------------------------- */

static void test_registers(void)
{
    Vm vm = vm_start("");
    QPCIBar window = qpci_iomap(vm.gm, GM_BAR_IMAGE, NULL);
    g_autofree char *content = NULL;
    g_autofree char *seen = NULL;
    uint32_t name[KVM_GM_NAME_LEN / 4];
    unsigned i;
    gsize size;

    g_assert_cmphex(gm_reg(&vm, GM_REG_MAGIC), ==, GM_DEVICE_MAGIC);
    g_assert_cmpuint(gm_reg(&vm, GM_REG_COUNT), ==, 0);
    g_assert_cmpuint(gm_reg(&vm, GM_REG_SIZE), ==, 0);

    OK(&vm, REGISTER(image));
    g_assert_cmpuint(gm_reg(&vm, GM_REG_COUNT), ==, 1);
    qpci_io_writel(vm.gm, vm.regs, GM_REG_SELECT, 1);
    g_assert_cmpuint(gm_reg(&vm, GM_REG_SIZE), ==, 0);
    qpci_io_writel(vm.gm, vm.regs, GM_REG_SELECT, 0);
    g_assert(g_file_get_contents(image, &content, &size, NULL));
    g_assert_cmpuint(gm_reg(&vm, GM_REG_SIZE), ==, size);
    for (i = 0; i < ARRAY_SIZE(name); i++) {
        name[i] = cpu_to_le32(gm_reg(&vm, GM_REG_NAME + 4 * i));
    }
    g_assert_cmpstr((char *)name, ==, GM_TEST_NAME);

    seen = g_malloc(size);
    qpci_memread(vm.gm, window, 0, seen, size);
    g_assert_cmpmem(seen, size, content, size);
    qpci_io_writel(vm.gm, window, 0, 0);
    g_assert_cmphex(qpci_io_readl(vm.gm, window, 0), ==, ldl_le_p(content));

    OK(&vm, UNREGISTER(GM_TEST_NAME));
    g_assert_cmpuint(gm_reg(&vm, GM_REG_COUNT), ==, 0);
    g_assert_cmpuint(gm_reg(&vm, GM_REG_SIZE), ==, 0);
    g_assert_cmphex(qpci_io_readl(vm.gm, window, 0), ==, 0);
    vm_stop(&vm);
}

/* --- commands ------------------------------------------------------------- */

static void test_register(void)
{
    Vm vm = vm_start("");
    QDict *m;
    int fd;

    FAIL(&vm, "exactly one of", "{'execute': 'gm-register'}");
    FAIL(&vm, "exactly one of", "{'execute': 'gm-register', 'arguments':"
         " {'file': %s, 'fd': 'f'}}", image);
    FAIL(&vm, "No such file", REGISTER("/nonexistent/module"));
    FAIL(&vm, "not a regular file", REGISTER("/"));
    FAIL(&vm, "not an ELF file", REGISTER(keyring));
    FAIL(&vm, "signed by an unknown key", REGISTER(unknown));
    FAIL(&vm, "policy", "{'execute': 'gm-register', 'arguments':"
         " {'file': %s, 'policy': 'forgive'}}", image);
    FAIL(&vm, "does not ask for it", "{'execute': 'gm-register', 'arguments':"
         " {'file': %s, 'grants': ['pio=0x60', 'pio=0x70']}}", image);
    g_assert_cmpuint(modules(&vm), ==, 0);

    OK(&vm, "{'execute': 'gm-register', 'arguments':"
       " {'file': %s, 'grants': ['msr=0x198', 'pio=100'],"
       "  'policy': 'quarantine'}}", image);
    FAIL(&vm, "already registered", REGISTER(image));
    m = module(&vm, 0);
    g_assert_cmpstr(qdict_get_str(m, "name"), ==, GM_TEST_NAME);
    g_assert_cmpstr(qdict_get_str(m, "state"), ==, "registered");
    g_assert_cmpstr(qdict_get_str(m, "file"), ==, image);
    g_assert_cmpstr(qdict_get_str(m, "policy"), ==, "quarantine");
    expect_strings(m, "requests", "mmio=8086:10d3,pio=0x60-0x64,msr=0x35,"
                   "msr=0x198-0x199:rw,hostinfo");
    expect_strings(m, "grants", "msr=0x198,pio=0x64");
    g_assert(!qdict_haskey(m, "symbols"));
    qobject_unref(m);

    FAIL(&vm, "no module 'nobody'", UNREGISTER("nobody"));
    OK(&vm, UNREGISTER(GM_TEST_NAME));

    FAIL(&vm, "'lost' has not been found", "{'execute': 'gm-register',"
         " 'arguments': {'fd': 'lost'}}");
    fd = open(image, O_RDONLY);
    qtest_qmp_fds_assert_success(vm.qts, &fd, 1, "{'execute': 'getfd',"
                                 " 'arguments': {'fdname': 'img'}}");
    close(fd);
    OK(&vm, "{'execute': 'gm-register', 'arguments': {'fd': 'img'}}");
    m = module(&vm, 0);
    g_assert_cmpstr(qdict_get_str(m, "file"), ==, "fd:img");
    g_assert_cmpstr(qdict_get_str(m, "policy"), ==, "inject");
    qobject_unref(m);
    vm_stop(&vm);
}

static void test_grant(void)
{
    Vm vm = vm_start("");

    OK(&vm, REGISTER(image));
    OK(&vm, REGISTER(greedy));
    FAIL(&vm, "no module 'nobody'", GRANT("nobody", "hostinfo"));
    FAIL(&vm, "no privilege 'root'; there are hostinfo, mmio, msr, mwait, pio",
         GRANT(GM_TEST_NAME, "root"));
    FAIL(&vm, "no privilege 'kvm'", GRANT(GM_TEST_NAME, "kvm"));
    FAIL(&vm, "it takes no '='", GRANT(GM_TEST_NAME, "hostinfo=1"));
    FAIL(&vm, "is missing behind '='", GRANT(GM_TEST_NAME, "pio"));
    FAIL(&vm, "is missing behind '='", GRANT(GM_TEST_NAME, "pio=all"));
    FAIL(&vm, "not followed by a number", GRANT(GM_TEST_NAME, "pio=1-"));
    FAIL(&vm, "less than the first", GRANT(GM_TEST_NAME, "pio=0x64-0x60"));
    FAIL(&vm, "largest number is 0xffff", GRANT(GM_TEST_NAME, "pio=65536"));
    FAIL(&vm, "does not belong there", GRANT(GM_TEST_NAME, "pio=0x60:rw"));
    FAIL(&vm, "what can follow", GRANT(GM_TEST_NAME, "msr=0x198:w"));
    FAIL(&vm, "largest number is 0xffffffff",
         GRANT(GM_TEST_NAME, "msr=0x100000000"));
    FAIL(&vm, "'mwait=': what follows '=' is a hint",
         GRANT(GM_TEST_NAME, "mwait="));
    FAIL(&vm, "what follows '=' is a hint", GRANT(GM_TEST_NAME, "mwait=C1"));
    FAIL(&vm, "largest hint is 0x6f", GRANT(GM_TEST_NAME, "mwait=0x70"));
    FAIL(&vm, "does not ask for it; it asks for mmio=8086:10d3, pio=0x60-0x64,",
         GRANT(GM_TEST_NAME, "mwait"));
    FAIL(&vm, "does not ask for it", GRANT(GM_TEST_NAME, "msr=0x35:rw"));
    FAIL(&vm, "does not ask for it", GRANT(GM_TEST_NAME, "msr=0x198-0x19a"));
    FAIL(&vm, "does not ask for it", GRANT(GM_TEST_NAME, "pio=0x5f-0x60"));
    expect_grants(&vm, 0, "");

    OK(&vm, GRANT(GM_TEST_NAME, "hostinfo"));
    FAIL(&vm, "has 'hostinfo' already", GRANT(GM_TEST_NAME, "hostinfo"));
    OK(&vm, GRANT("greedy", "hostinfo"));
    OK(&vm, GRANT(GM_TEST_NAME, "pio=0x64"));
    FAIL(&vm, "module 'gmtest' has 'pio=0x64' already",
         GRANT("greedy", "pio=0x60-0x64"));
    FAIL(&vm, "'msr=0x199': module 'gmtest' has 'msr=0x198-0x199:rw' already",
         "{'execute': 'gm-grant', 'arguments': {'name': %s,"
         " 'grants': ['msr=0x198-0x199:rw', 'msr=0x199']}}", GM_TEST_NAME);
    expect_grants(&vm, 0, "hostinfo,pio=0x64");

    FAIL(&vm, "has no 'msr=0x35'; it has hostinfo, pio=0x64",
         "{'execute': 'gm-revoke', 'arguments': {'name': %s,"
         " 'grants': ['pio=0x64', 'msr=0x35']}}", GM_TEST_NAME);
    expect_grants(&vm, 0, "hostinfo,pio=0x64");
    OK(&vm, REVOKE(GM_TEST_NAME, "pio=100"));
    expect_grants(&vm, 0, "hostinfo");
    OK(&vm, GRANT("greedy", "pio=0x60-0x64"));
    expect_grants(&vm, 1, "hostinfo,pio=0x60-0x64");
    OK(&vm, UNREGISTER("greedy"));
    OK(&vm, GRANT(GM_TEST_NAME, "pio=0x60-0x64"));
    vm_stop(&vm);
}

static void test_no_device(void)
{
    QTestState *qts = qtest_init("-M pc -nodefaults");
    Vm vm = { .qts = qts };

    FAIL(&vm, "has no guarded-modules device", REGISTER(image));
    FAIL(&vm, "has no guarded-modules device", UNREGISTER("x"));
    FAIL(&vm, "has no guarded-modules device", GRANT("x", "mwait"));
    FAIL(&vm, "has no guarded-modules device", REVOKE("x", "mwait"));
    FAIL(&vm, "has no guarded-modules device", "{'execute': 'query-gm'}");
    qtest_quit(qts);
}

static void test_hmp(void)
{
    Vm vm = vm_start("");
    g_autofree char *line = g_strdup_printf("gm_register -p stop %s "
                                            "msr=0x35  pio=0x64", image);

    expect_hmp(&vm, "info gm", "no modules registered");
    expect_hmp(&vm, "gm_register /nonexistent", "No such file");
    expect_hmp(&vm, "gm_register -p forgive x", "forgive");
    expect_hmp(&vm, line, GM_TEST_NAME ": id 5a5a5a5a5a5a, signed by signer");
    expect_hmp(&vm, "info gm", "grants:     msr=0x35, pio=0x64");
    expect_hmp(&vm, "info gm", "policy:     stop");
    expect_hmp(&vm, "gm_grant " GM_TEST_NAME " hostinfo msr=0x198", "");
    expect_hmp(&vm, "gm_revoke " GM_TEST_NAME " msr=0x35 pio=0x64", "");
    expect_hmp(&vm, "info gm -v", "grants:     hostinfo, msr=0x198");
    expect_hmp(&vm, "gm_revoke " GM_TEST_NAME " mwait", "has no 'mwait'");
    expect_hmp(&vm, "gm_unregister " GM_TEST_NAME, "");
    expect_hmp(&vm, "info gm", "no modules registered");
    vm_stop(&vm);
}

/* --- objects -------------------------------------------------------------- */

static void test_object(void)
{
    g_autofree char *object = g_strdup_printf(
        "-object guarded-module,id=m0,file=%s,grants=mmio=nic0,"
        "grants=hostinfo,policy=stop", image);
    Vm vm = vm_start(object);
    QPCIBar bar = qpci_iomap(vm.nic, NIC_BAR_REGS, NULL);
    QDict *m = module(&vm, 0);

    g_assert_cmpstr(qdict_get_str(m, "name"), ==, GM_TEST_NAME);
    g_assert_cmpstr(qdict_get_str(m, "policy"), ==, "stop");
    expect_strings(m, "grants", "mmio=nic0,hostinfo");
    qobject_unref(m);
    g_assert_cmphex(qpci_io_readl(vm.nic, bar, NIC_STATUS), ==, UINT32_MAX);

    OK(&vm, "{'execute': 'object-del', 'arguments': {'id': 'm0'}}");
    g_assert_cmpuint(modules(&vm), ==, 0);
    g_assert_cmphex(qpci_io_readl(vm.nic, bar, NIC_LEDCTL), ==,
                    NIC_LEDCTL_RESET);

    FAIL(&vm, "file", "{'execute': 'object-add', 'arguments':"
         " {'qom-type': 'guarded-module', 'id': 'm1'}}");
    FAIL(&vm, "No such file", "{'execute': 'object-add', 'arguments':"
         " {'qom-type': 'guarded-module', 'id': 'm1', 'file': '/none'}}");
    FAIL(&vm, "does not ask for it", "{'execute': 'object-add', 'arguments':"
         " {'qom-type': 'guarded-module', 'id': 'm1', 'file': %s,"
         "  'grants': ['mwait']}}", image);
    g_assert_cmpuint(modules(&vm), ==, 0);
    OK(&vm, "{'execute': 'object-add', 'arguments':"
       " {'qom-type': 'guarded-module', 'id': 'm1', 'file': %s,"
       "  'grants': ['hostinfo']}}", image);
    expect_grants(&vm, 0, "hostinfo");

    /* Withdrawn at the monitor, and registered there: not the object's. */
    OK(&vm, UNREGISTER(GM_TEST_NAME));
    OK(&vm, REGISTER(image));
    OK(&vm, "{'execute': 'object-del', 'arguments': {'id': 'm1'}}");
    g_assert_cmpuint(modules(&vm), ==, 1);
    vm_stop(&vm);
}

/* A virtual machine whose image cannot be registered does not start. */
static void test_object_at_start(void)
{
    g_autofree char *command = g_strdup_printf(
        "%s -accel qtest -display none -M pc -nodefaults "
        "-device guarded-modules,keyring=%s "
        "-object guarded-module,id=m0,file=%s", getenv("QTEST_QEMU_BINARY"),
        keyring, unknown);
    g_autofree char *text = NULL;
    int status;

    g_assert(g_spawn_command_line_sync(command, NULL, &text, &status, NULL));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    g_assert(strstr(text, "object 'm0': cannot register"));
    g_assert(strstr(text, "signed by an unknown key"));
}

/* --- what the guest does not see ------------------------------------------ */

static void test_mmio(void)
{
    Vm vm = vm_start("");
    QPCIBar regs = qpci_iomap(vm.nic, NIC_BAR_REGS, NULL);
    QPCIBar ports = qpci_iomap(vm.nic, NIC_BAR_PORTS, NULL);
    QPCIBar msix = qpci_iomap(vm.nic, NIC_BAR_MSIX, NULL);
    uint32_t bar0 = qpci_config_readl(vm.nic, PCI_BASE_ADDRESS_0);
    uint32_t status = qpci_io_readl(vm.nic, regs, NIC_STATUS);

    g_assert_cmphex(status, !=, UINT32_MAX);
    qpci_io_writel(vm.nic, regs, NIC_LEDCTL, 0x12345678);
    g_assert_cmphex(qpci_io_readl(vm.nic, regs, NIC_LEDCTL), ==, 0x12345678);
    qpci_io_writel(vm.nic, ports, NIC_IOADDR, NIC_LEDCTL);
    g_assert_cmphex(qpci_io_readl(vm.nic, ports, NIC_IOADDR), ==, NIC_LEDCTL);

    OK(&vm, REGISTER(image));
    OK(&vm, GRANT(GM_TEST_NAME, "mmio=nic0"));
    g_assert_cmphex(qpci_io_readl(vm.nic, regs, NIC_STATUS), ==, UINT32_MAX);
    g_assert_cmphex(qpci_io_readb(vm.nic, regs, NIC_STATUS), ==, UINT8_MAX);
    g_assert_cmphex(qpci_io_readl(vm.nic, ports, NIC_IOADDR), ==, UINT32_MAX);
    qpci_io_writel(vm.nic, regs, NIC_LEDCTL, 0x87654321);
    expect_hidden(&vm, "mmio=nic0", 3, 1);

    /* Its interrupts are the guest's to set up. */
    qpci_io_writel(vm.nic, msix, PCI_MSIX_ENTRY_DATA, 0x4711);
    g_assert_cmphex(qpci_io_readl(vm.nic, msix, PCI_MSIX_ENTRY_DATA), ==,
                    0x4711);
    expect_hidden(&vm, "mmio=nic0", 3, 1);
    g_assert_cmphex(qpci_io_readl(vm.nic, msix, 0x1000), ==, UINT32_MAX);
    expect_hidden(&vm, "mmio=nic0", 4, 1);

    /* Not sealed: it can be moved. Nothing comes to light. */
    qpci_config_writel(vm.nic, PCI_BASE_ADDRESS_0, bar0 + 16 * MiB);
    g_assert_cmphex(qtest_readl(vm.qts, bar0 + 16 * MiB + NIC_STATUS), ==,
                    UINT32_MAX);
    expect_hidden(&vm, "mmio=nic0", 5, 1);
    qpci_config_writel(vm.nic, PCI_BASE_ADDRESS_0, bar0);

    FAIL(&vm, "has been granted to the guarded module 'gmtest'",
         "{'execute': 'device_del', 'arguments': {'id': 'nic0'}}");

    /* The guest sees it again as it is after a reset. */
    OK(&vm, REVOKE(GM_TEST_NAME, "mmio=nic0"));
    g_assert_cmphex(qpci_io_readl(vm.nic, regs, NIC_LEDCTL), ==,
                    NIC_LEDCTL_RESET);
    g_assert_cmphex(qpci_io_readl(vm.nic, ports, NIC_IOADDR), !=, UINT32_MAX);

    /* Granting resets it, too; a reset of the machine does not show it. */
    OK(&vm, GRANT(GM_TEST_NAME, "mmio=nic0"));
    qtest_system_reset(vm.qts);
    qpci_device_enable(vm.nic);
    regs = qpci_iomap(vm.nic, NIC_BAR_REGS, NULL);
    g_assert_cmphex(qpci_io_readl(vm.nic, regs, NIC_STATUS), ==, UINT32_MAX);
    expect_hidden(&vm, "mmio=nic0", 1, 0);
    OK(&vm, UNREGISTER(GM_TEST_NAME));
    g_assert_cmphex(qpci_io_readl(vm.nic, regs, NIC_STATUS), ==, status);
    vm_stop(&vm);
}

/* A register of two bytes, and what becomes of it; all but @kept is free. */
static void config_try(Vm *vm, unsigned addr, uint16_t value, uint16_t kept)
{
    uint16_t old = qpci_config_readw(vm->nic, addr);
    uint16_t want = (old & kept) | (value & ~kept);
    int refused = config_refused(vm) + (want != value);

    qpci_config_writew(vm->nic, addr, value);
    g_assert_cmphex(qpci_config_readw(vm->nic, addr), ==, want);
    g_assert_cmpint(config_refused(vm), ==, refused);
    qpci_config_writew(vm->nic, addr, old);
    g_assert_cmphex(qpci_config_readw(vm->nic, addr), ==, old);
    g_assert_cmpint(config_refused(vm), ==, refused);
}

/*
 * Not sealed: what the guest's firmware and kernel do for any device is free,
 * what a device has of its own is not. The unit tests have the rest.
 */
static void test_mmio_config(void)
{
    Vm vm = vm_start("");
    uint32_t bar0 = qpci_config_readl(vm.nic, PCI_BASE_ADDRESS_0);
    uint32_t id = qpci_config_readl(vm.nic, PCI_VENDOR_ID);

    qpci_config_writew(vm.nic, NIC_OWN, 0x1234);
    OK(&vm, REGISTER(image));
    OK(&vm, GRANT(GM_TEST_NAME, "mmio=nic0"));
    g_assert_cmphex(qpci_config_readb(vm.nic, NIC_CAP_PM), ==, PCI_CAP_ID_PM);
    g_assert_cmphex(qpci_config_readb(vm.nic, NIC_CAP_MSI), ==, PCI_CAP_ID_MSI);
    g_assert_cmphex(qpci_config_readb(vm.nic, NIC_CAP_EXP), ==, PCI_CAP_ID_EXP);
    g_assert_cmphex(qpci_config_readb(vm.nic, NIC_CAP_MSIX), ==,
                    PCI_CAP_ID_MSIX);

    config_try(&vm, PCI_COMMAND, 0, 0);
    config_try(&vm, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
               PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE, 0);
    config_try(&vm, PCI_CACHE_LINE_SIZE, 0x0010, 0xff00);
    config_try(&vm, PCI_INTERRUPT_LINE,
               qpci_config_readw(vm.nic, PCI_INTERRUPT_LINE) ^ 0xff, 0);
    config_try(&vm, NIC_CAP_PM + PCI_PM_CTRL, 3, 0);
    config_try(&vm, NIC_CAP_MSI + PCI_MSI_ADDRESS_LO, 0x1000, 0);
    config_try(&vm, NIC_CAP_MSIX + PCI_MSIX_FLAGS,
               qpci_config_readw(vm.nic, NIC_CAP_MSIX + PCI_MSIX_FLAGS) |
               PCI_MSIX_FLAGS_MASKALL, 0);

    config_try(&vm, NIC_OWN, 0x4321, 0xffff);
    config_try(&vm, PCI_SUBSYSTEM_ID, 0x4321, 0xffff);

    /* A part of it. */
    qpci_config_writel(vm.nic, PCI_VENDOR_ID, 0);
    g_assert_cmphex(qpci_config_readl(vm.nic, PCI_VENDOR_ID), ==, id);
    g_assert_cmpint(config_refused(&vm), ==, 3);
    qpci_config_writel(vm.nic, NIC_CAP_PM + PCI_PM_CTRL, 0x55000000);
    g_assert_cmpint(config_refused(&vm), ==, 4);
    expect_hmp(&vm, "info gm",
               "refused:    mmio=nic0: guest's writes to configuration space 4");

    /* As any BAR is sized and placed. */
    qpci_config_writel(vm.nic, PCI_BASE_ADDRESS_0, UINT32_MAX);
    g_assert_cmphex(qpci_config_readl(vm.nic, PCI_BASE_ADDRESS_0), ==,
                    UINT32_MAX - 128 * KiB + 1);
    qpci_config_writel(vm.nic, PCI_BASE_ADDRESS_0, bar0);
    qpci_config_writel(vm.nic, PCI_ROM_ADDRESS, 0);
    g_assert_cmpint(config_refused(&vm), ==, 4);

    /* This device has nothing there that can be written, but it is free. */
    qpci_config_writew(vm.nic, NIC_CAP_EXP + PCI_EXP_DEVCTL,
                       PCI_EXP_DEVCTL_BCR_FLR);
    g_assert_cmpint(config_refused(&vm), ==, 4);

    OK(&vm, UNREGISTER(GM_TEST_NAME));
    qpci_config_writew(vm.nic, NIC_OWN, 0x4321);
    g_assert_cmphex(qpci_config_readw(vm.nic, NIC_OWN), ==, 0x4321);
    vm_stop(&vm);
}

static void test_mmio_refused(void)
{
    Vm vm = vm_start("-device virtio-rng-pci,id=rng0 -device VGA,id=vga0,romfile= "
                     "-device pci-bridge,id=br0,chassis_nr=1 "
                     "-device isa-debugcon,id=isa0,chardev=null "
                     "-chardev null,id=null");

    OK(&vm, REGISTER(image));
    OK(&vm, REGISTER(greedy));
    FAIL(&vm, "use mmio=DEVICE", GRANT("greedy", "mmio"));
    FAIL(&vm, "no device with the id 'nic1'", GRANT("greedy", "mmio=nic1"));
    FAIL(&vm, "is no PCI device", GRANT("greedy", "mmio=isa0"));
    FAIL(&vm, "through its configuration space", GRANT("greedy", "mmio=rng0"));
    FAIL(&vm, "at 0x", GRANT("greedy", "mmio=vga0"));
    FAIL(&vm, "it is a bridge", GRANT("greedy", "mmio=br0"));
    FAIL(&vm, "does not ask for it", GRANT(GM_TEST_NAME, "mmio=rng0"));
    expect_grants(&vm, 0, "");
    expect_grants(&vm, 1, "");
    OK(&vm, GRANT("greedy", "mmio=nic0"));
    FAIL(&vm, "module 'greedy' has 'mmio=nic0' already",
         GRANT(GM_TEST_NAME, "mmio=nic0"));
    vm_stop(&vm);
}

/* The guest can have a device ejected by itself: the grant is gone then. */
static void test_mmio_unplug(void)
{
    const uint16_t pcihp = 0xae00, eject = pcihp + 8, select = pcihp + 0x10;
    Vm vm = vm_start("");

    OK(&vm, REGISTER(image));
    OK(&vm, GRANT(GM_TEST_NAME, "mmio=nic0"));
    qpci_iomap(vm.nic, NIC_BAR_REGS, NULL);
    qtest_outl(vm.qts, select, 0);
    qtest_outl(vm.qts, eject, 1 << SLOT_NIC);
    qtest_qmp_eventwait(vm.qts, "DEVICE_DELETED");
    expect_grants(&vm, 0, "");
    FAIL(&vm, "no device with the id 'nic0'", REVOKE(GM_TEST_NAME, "mmio=nic0"));
    OK(&vm, "{'execute': 'device_add', 'arguments': {'driver': 'e1000e',"
       " 'id': 'nic0', 'addr': '5', 'romfile': ''}}");
    OK(&vm, GRANT(GM_TEST_NAME, "mmio=nic0"));
    OK(&vm, UNREGISTER(GM_TEST_NAME));
    vm_stop(&vm);
}

static void test_pio(void)
{
    Vm vm = vm_start("");
    uint8_t status = qtest_inb(vm.qts, I8042_STATUS);

    g_assert_cmphex(status, !=, UINT8_MAX);
    OK(&vm, REGISTER(greedy));
    OK(&vm, GRANT("greedy", "pio=0x60-0x64"));
    g_assert_cmphex(qtest_inb(vm.qts, I8042_STATUS), ==, UINT8_MAX);
    qtest_outb(vm.qts, I8042_DATA, 0x55);
    expect_hidden(&vm, "pio=0x60-0x64", 1, 1);
    /* One byte of four. */
    g_assert_cmphex(qtest_inl(vm.qts, I8042_STATUS) & 0xff, ==, UINT8_MAX);
    expect_hidden(&vm, "pio=0x60-0x64", 2, 1);
    OK(&vm, REVOKE("greedy", "pio=0x60-0x64"));
    g_assert_cmphex(qtest_inb(vm.qts, I8042_STATUS), ==, status);

    qtest_outb(vm.qts, SERIAL_SCRATCH, 0x42);
    OK(&vm, GRANT("greedy", "pio=0x3f8-0x3ff"));
    qtest_outb(vm.qts, SERIAL_SCRATCH, 0x24);
    OK(&vm, UNREGISTER("greedy"));
    g_assert_cmphex(qtest_inb(vm.qts, SERIAL_SCRATCH), ==, 0x42);
    vm_stop(&vm);
}

static void test_pio_refused(void)
{
    Vm vm = vm_start("");
    QPCIBar ports = qpci_iomap(vm.nic, NIC_BAR_PORTS, NULL);
    g_autofree char *bar = g_strdup_printf("pio=%" PRIu64, ports.addr);

    OK(&vm, REGISTER(greedy));
    FAIL(&vm, "there is nothing at these ports", GRANT("greedy", "pio=0x300"));
    FAIL(&vm, "belongs to a PCI device (e1000e)", GRANT("greedy", bar));
    FAIL(&vm, "belongs to a PCI device", GRANT("greedy", "pio=0-0xffff"));
    /* A BAR that the guest has put over the ports of another device. */
    qpci_config_writel(vm.nic, PCI_BASE_ADDRESS_0 + 4 * NIC_BAR_PORTS, 0x60);
    FAIL(&vm, "belongs to a PCI device", GRANT("greedy", "pio=0x64"));
    expect_grants(&vm, 0, "");
    vm_stop(&vm);
}

/* --- images --------------------------------------------------------------- */

static char *write_image(GmTestImage *t, const GmTestKey *key, const char *name)
{
    char *path = g_build_filename(tmp, name, NULL);

    gm_test_image_sign(t, key);
    g_assert(g_file_set_contents(path, (char *)t->data, t->size, NULL));
    return path;
}

static void make_images(void)
{
    g_autoptr(GmTestKey) key = gm_test_key_new("signer", 1, -60, 3600);
    g_autoptr(GmTestKey) other = gm_test_key_new("other", 2, -60, 3600);
    g_auto(GmTestImage) good = { 0 };
    g_auto(GmTestImage) bad = { 0 };
    g_auto(GmTestImage) more = { 0 };

    tmp = g_dir_make_tmp("gm-test-XXXXXX", NULL);
    g_assert(tmp);
    keyring = g_build_filename(tmp, "signer.pem", NULL);
    gm_test_key_save(key, keyring);

    gm_test_image_init(&good);
    image = write_image(&good, key, "good");
    gm_test_image_init(&bad);
    unknown = write_image(&bad, other, "unknown");
    gm_test_image_init(&more);
    strcpy(more.m->name, "greedy");
    memset(more.m->id, 0x6b, sizeof(more.m->id));
    more.privileges[GM_TEST_P_MMIO].first = 0;
    more.privileges[GM_TEST_P_MMIO].last = UINT32_MAX;
    more.privileges[GM_TEST_P_PIO].first = 0;
    more.privileges[GM_TEST_P_PIO].last = UINT16_MAX;
    greedy = write_image(&more, key, "greedy");
}

static void remove_images(void)
{
    char **const files[] = { &keyring, &image, &greedy, &unknown };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(files); i++) {
        unlink(*files[i]);
        g_free(*files[i]);
    }
    rmdir(tmp);
    g_free(tmp);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    make_images();

    qtest_add_func("/gm/registers", test_registers);
    qtest_add_func("/gm/register", test_register);
    qtest_add_func("/gm/grant", test_grant);
    qtest_add_func("/gm/no-device", test_no_device);
    qtest_add_func("/gm/hmp", test_hmp);
    qtest_add_func("/gm/object", test_object);
    qtest_add_func("/gm/object-at-start", test_object_at_start);
    qtest_add_func("/gm/mmio/hidden", test_mmio);
    qtest_add_func("/gm/mmio/config", test_mmio_config);
    qtest_add_func("/gm/mmio/refused", test_mmio_refused);
    qtest_add_func("/gm/mmio/unplug", test_mmio_unplug);
    qtest_add_func("/gm/pio/hidden", test_pio);
    qtest_add_func("/gm/pio/refused", test_pio_refused);

    ret = g_test_run();
    remove_images();
    return ret;
}
