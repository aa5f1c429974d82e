/*
 * The device, in a whole QEMU: what a guest can do to it, in any order.
 *
 * An input is a program. Each of its steps is an access to the registers, to the
 * window, to what is granted or hidden, or to configuration space; an exit of KVM's
 * with any contents: a seal whose anchors lie, by page tables that lie, a violation,
 * the end of a seal; a reset; or what an administrator does in between. KVM is the one
 * of kvm.c, which refuses nothing silently: beyond memory safety, it ends the process
 * if QEMU hands it a plan that no guest may bring about. It fails when the input says
 * so, with any errno.
 *
 * Why not QEMU's own fuzzers: those instrument and reset a whole QEMU, which costs a
 * build of its own and some 100 executions a second, and have no KVM, hence no seal.
 * Here only the device's files are instrumented; all else is the ordinary build.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "hw/misc/gm/gm_device.h"
#include "hw/pci/pci_host.h"
#include "qapi/qapi-commands-guarded-modules.h"
#include "qemu/rcu.h"
#include "kvm.h"

#define MAX_STEPS       48
#define MAX_SLOW        3       /* of them: new address spaces take milliseconds */
#define DRAIN_PERIOD    256     /* inputs */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Input {
    const uint8_t *data;
    size_t size;
} Input;

/* What is not there is zero. */
static uint64_t take(Input *in, unsigned bytes)
{
    uint64_t value = 0;
    unsigned n = MIN(bytes, in->size);

    if (n) {
        memcpy(&value, in->data, n);
    }
    in->data += n;
    in->size -= n;
    return value;
}

/* --- what the guest can reach --------------------------------------------- */

static void access_space(Input *in, AddressSpace *as, hwaddr addr)
{
    uint8_t how = take(in, 1);
    unsigned size = 1 << (how & 3);
    uint64_t value;

    if (how & 4) {
        value = take(in, size);
        address_space_write(as, addr, MEMTXATTRS_UNSPECIFIED, &value, size);
    } else {
        address_space_read(as, addr, MEMTXATTRS_UNSPECIFIED, &value, size);
    }
}

static void access_device(Input *in)
{
    GmState *s = gm_state();
    MemoryRegion *mr = take(in, 1) & 1 ? &s->window : &s->regs;
    uint32_t addr = take(in, 2);
    uint8_t how = take(in, 1);
    MemOp op = (how & 3) | MO_LE;
    uint64_t value;

    if (how & 4) {
        memory_region_dispatch_write(mr, addr % memory_region_size(mr),
                                     take(in, 4), op, MEMTXATTRS_UNSPECIFIED);
    } else {
        memory_region_dispatch_read(mr, addr % memory_region_size(mr), &value,
                                    op, MEMTXATTRS_UNSPECIFIED);
    }
}

static void access_registers(Input *in)
{
    static const uint16_t regs[] = {
        GM_REG_MAGIC, GM_REG_COUNT, GM_REG_SELECT, GM_REG_SIZE, GM_REG_NAME,
        GM_REG_NAME + KVM_GM_NAME_LEN - 4, GM_REG_NAME + KVM_GM_NAME_LEN, 0xffc,
    };
    MemoryRegion *mr = &gm_state()->regs;
    uint64_t value;

    memory_region_dispatch_write(mr, GM_REG_SELECT, take(in, 1), MO_32 | MO_LE,
                                 MEMTXATTRS_UNSPECIFIED);
    memory_region_dispatch_read(mr, regs[take(in, 1) % G_N_ELEMENTS(regs)],
                                &value, MO_32 | MO_LE, MEMTXATTRS_UNSPECIFIED);
}

static void access_guest(Input *in)
{
    static const hwaddr places[] = {
        MACHINE_NIC_BAR, MACHINE_NIC_MSIX, MACHINE_NIC_BAR + 0x100000, 0xa0000,
    };
    static const hwaddr ports[] = { MACHINE_NIC_PORTS, 0x60, 0x3f8, 0x20 };
    uint8_t which = take(in, 1);

    if (which & 1) {
        access_space(in, &address_space_io,
                     ports[which >> 1 & 3] + (take(in, 1) & 7));
    } else {
        access_space(in, &address_space_memory,
                     places[which >> 1 & 3] + take(in, 2));
    }
}

static void write_config(Input *in)
{
    uint32_t addr = take(in, 2) % PCIE_CONFIG_SPACE_SIZE;
    unsigned size = 1 << (take(in, 1) % 3);

    addr &= -size;
    pci_host_config_write_common(machine_nic, addr,
                                 pci_config_size(machine_nic), take(in, size),
                                 size);
}

/* BARs where they are interesting: each other's places, and nowhere. */
static void move_bar(Input *in)
{
    static const uint32_t addresses[] = {
        MACHINE_NIC_BAR, MACHINE_NIC_BAR + 0x20000, MACHINE_NIC_MSIX,
        MACHINE_NIC_BAR + 0x100000, 0, UINT32_MAX, 0x60, MACHINE_NIC_PORTS,
    };
    uint8_t bar = take(in, 1);
    uint8_t where = take(in, 1);

    if (bar & 8) {
        pci_host_config_write_common(machine_nic, PCI_COMMAND,
                                     PCI_CONFIG_SPACE_SIZE, where & 7, 2);
    } else {
        pci_host_config_write_common(machine_nic, PCI_BASE_ADDRESS_0 +
                                     4 * (bar % 6), PCI_CONFIG_SPACE_SIZE,
                                     addresses[where & 7], 4);
    }
}

/* --- what KVM tells ------------------------------------------------------- */

static uint64_t hostile_address(Input *in, uint64_t honest)
{
    static const uint64_t values[] = {
        0, 0x1000, UINT64_MAX, UINT64_MAX - 0xfff, 0xffffffff80000000ULL,
        0xffffffff7ffff000ULL, 0xffff800000000000ULL, GM_TEST_MODULE,
        0x7fffffffffffffffULL, 0xffffffffffe00000ULL,
    };
    uint8_t how = take(in, 1);

    switch (how & 7) {
    case 0:
        return take(in, 8);
    case 1:
        return values[(how >> 3) % G_N_ELEMENTS(values)];
    case 2:
        return honest + (int16_t)take(in, 2);
    case 3:
        return honest + (int64_t)(int8_t)take(in, 1) * GM_PAGE_SIZE;
    default:
        return honest;
    }
}

static void lie_about_pages(Input *in)
{
    unsigned n = take(in, 1) % MACHINE_MAPS;
    uint8_t how = take(in, 1);

    fake_kvm.maps[n].va = how & 1 ? MACHINE_ANCHORS + (how >> 4) * GM_PAGE_SIZE
                                  : GM_TEST_MODULE + (how >> 1) * GM_PAGE_SIZE;
    fake_kvm.maps[n].gpa = hostile_address(in, fake_gpa(fake_kvm.maps[n].va));
    fake_kvm.maps[n].valid = take(in, 1) & 3;
    fake_kvm.nr_mapped = MAX(fake_kvm.nr_mapped, n + 1);
}

static void seal(Input *in)
{
    static const uint8_t ids[] = { MACHINE_IMAGE, MACHINE_GREEDY, MACHINE_PLAIN, 0 };
    uint8_t which = take(in, 1);
    uint64_t va = MACHINE_ANCHORS + (which & 0x80 ? GM_PAGE_SIZE - 24 : 0);
    unsigned lies = which >> 2 & 3, i;
    MachineAnchors a;

    machine_anchors(&a, ids[which & 3], which & 0x10 ? 1 + (which & 3) : 0);
    while (lies--) {
        i = take(in, 1) % GM_TEST_NR_ANCHORS;
        a.values[i] = hostile_address(in, a.values[i]);
    }
    if (which & 0x20) {
        /* Anything, in the head as well. */
        i = take(in, 1) % sizeof(a);
        ((uint8_t *)&a)[i] = take(in, 1);
    }
    machine_write_anchors(&a, va);
    machine_seal_at(which & 0x40 ? hostile_address(in, va) : va);
}

static void exit_anyhow(Input *in)
{
    struct kvm_gm_exit exit = {
        .type = take(in, 1) % 5,
        .id = take(in, 1),
        .kind = take(in, 1),
        .gate = take(in, 1),
        .generation = take(in, 1),
        .policy = take(in, 1) & 3,
        .rip = take(in, 4),
        .addr = take(in, 4),
        .gpa = take(in, 1) & 1 ? UINT64_MAX : 0x1000,
    };

    if (exit.gate == 0xff) {
        exit.gate = KVM_GM_NO_GATE;
    }
    if (exit.type == KVM_GM_EXIT_VIOLATION) {
        exit.kind %= KVM_GM_NR_VIOLATIONS + 2;
    }
    gm_handle_exit(first_cpu, &exit);
}

static void module_access(Input *in)
{
    static const uint16_t ports[] = { 0x60, 0x64, 0x3f8, MACHINE_NIC_PORTS };
    uint8_t how = take(in, 1);
    MachineAccess a = { .view = how >> 3, .own_pages = how & 2, .write = how & 4 };

    if (how & 1) {
        a.addr = ports[take(in, 1) & 3];
        a.addr = (uint16_t)(a.addr + (int8_t)take(in, 1) % 9);
        a.size = 1 << (take(in, 1) % 3);
        a.count = 1 + take(in, 1) % 16;
        machine_access_ports(&a);
    } else {
        a.addr = take(in, 1) & 1 ? MACHINE_NIC_BAR : MACHINE_NIC_MSIX;
        a.addr += (int64_t)(int32_t)take(in, 3);
        a.size = 1 << (take(in, 1) & 3);
        machine_access_memory(&a);
    }
}

/* The guest's module goes, or KVM runs out of something. */
static void kvm_changes(Input *in)
{
    static const int errors[] = {
        0, -ENOENT, -ESTALE, -ENOMEM, -EOPNOTSUPP, -EPERM, -E2BIG, -EEXIST,
        -ENXIO, -EINVAL,
    };
    uint8_t how = take(in, 1);
    FakeSeal *s = &fake_kvm.seals[1 + take(in, 1) % 4];
    int error = errors[take(in, 1) % G_N_ELEMENTS(errors)];

    switch (how % 10) {
    case 0:
    case 1:
        s->flags |= KVM_GM_QUERY_F_ENDED |
                    (how & 16 ? KVM_GM_QUERY_F_KERNEL_ENDED : 0);
        break;
    case 2:
        s->flags |= KVM_GM_QUERY_F_QUARANTINED;
        break;
    case 3:
        fake_kvm.seal = error;
        break;
    case 4:
        fake_kvm.unseal = error;
        break;
    case 5:
        fake_kvm.query = error;
        break;
    case 6:
        fake_kvm.grant = error;
        break;
    case 7:
        fake_kvm.revoke = error;
        break;
    case 8:
        fake_kvm.map = error;
        break;
    case 9:
        fake_kvm.counts = error;
        fake_kvm.map_interrupted = how >> 5;
        break;
    }
}

/* --- what an administrator does ------------------------------------------- */

static const char *const names[] = { GM_TEST_NAME, "greedy", "plain", "nobody" };

static const char *const grants[] = {
    "mmio=nic0", "pio=0x60-0x64", "pio=0x3f8-0x3ff", "msr=0x198-0x199:rw",
    "msr=0x35", "mwait", "mwait=0x20", "hostinfo", "pio=0x64", "mmio=gm0",
    "pio=0-0xffff", "mmio=nic1", "hostinfo=1", "msr=5-4", "pio=0x20", "mmio",
};

static const char *file(unsigned i)
{
    char *const files[] = { machine_image, machine_greedy, machine_plain,
                            machine_unknown };

    return files[i];
}

static void administrate(Input *in)
{
    const char *texts[3] = { NULL };
    uint8_t how = take(in, 1);
    const char *name = names[how >> 3 & 3];
    g_autoptr(strList) list = NULL;
    uint8_t what = take(in, 1);
    GmWanted wanted = {
        .file = file(how >> 3 & 3),
        .has_policy = true,
        .policy = (how >> 5) % GM_VIOLATION_POLICY__MAX,
    };

    if (how & 4 || (how & 3) >= 2) {
        texts[0] = grants[what & 15];
        texts[1] = what & 0x80 ? grants[what >> 4 & 7] : NULL;
    }
    list = machine_list(texts);
    switch (how & 3) {
    case 0:
        wanted.grants = list;
        gm_register(&wanted, NULL);
        break;
    case 1:
        gm_unregister(name, NULL);
        break;
    case 2:
        gm_grant(name, list, NULL);
        break;
    case 3:
        gm_revoke(name, list, NULL);
        break;
    }
}

static void ask(void)
{
    qapi_free_GmInfo(qmp_query_gm(true, true, NULL));
}

static void reset(Input *in)
{
    if (take(in, 1) & 1) {
        device_cold_reset(DEVICE(machine_nic));
    } else {
        gm_machine_reset(gm_state());
        device_cold_reset(DEVICE(gm_state()));
    }
}

/* --- the fuzzer ----------------------------------------------------------- */

static void step(Input *in, unsigned *slow)
{
    uint8_t what = take(in, 1) & 31;

    if ((what == 10 || (what >= 26 && what <= 29)) && (*slow)++ == MAX_SLOW) {
        in->size = 0;
        return;
    }

    switch (what) {
    case 0 ... 3:
        access_device(in);
        break;
    case 4 ... 5:
        access_registers(in);
        break;
    case 6 ... 7:
        access_guest(in);
        break;
    case 8 ... 9:
        write_config(in);
        break;
    case 10:
        move_bar(in);
        break;
    case 11 ... 12:
        lie_about_pages(in);
        break;
    case 13 ... 17:
        seal(in);
        break;
    case 18 ... 20:
        exit_anyhow(in);
        break;
    case 21 ... 23:
        module_access(in);
        break;
    case 24 ... 25:
        kvm_changes(in);
        break;
    case 26 ... 29:
        administrate(in);
        break;
    case 30:
        ask();
        break;
    case 31:
        reset(in);
        break;
    }
}

/* In place of QEMU's own, see machine.mk. */
void fake_drain_call_rcu(void);

void fake_drain_call_rcu(void)
{
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    machine_start("", NULL);
    atexit(machine_clean_up);
    return 0;
}

/* There is always something to attack, in the same order. */
static void register_all(void)
{
    GmState *s = gm_state();
    unsigned i;

    for (i = 0; i < s->entries->len; i++) {
        if (strcmp(gm_entry_name(s->entries->pdata[i]), names[i])) {
            machine_forget();
        }
    }
    for (i = s->entries->len; i < s->max_modules; i++) {
        machine_register(file(i), NULL, &error_abort);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy, so that each byte read too far is seen. */
    g_autofree uint8_t *copy = g_memdup2(data, size);
    static unsigned inputs;
    Input in = { copy, size };
    unsigned i, slow = 0;

    register_all();
    for (i = 0; i < MAX_STEPS && in.size; i++) {
        step(&in, &slow);
    }
    machine_revert();
    machine_nic->config_write(machine_nic, PCI_COMMAND, PCI_COMMAND_IO |
                              PCI_COMMAND_MEMORY, 2);
    machine_nic->config_write(machine_nic, PCI_BASE_ADDRESS_0, MACHINE_NIC_BAR, 4);
    if (++inputs % DRAIN_PERIOD == 0) {
        drain_call_rcu();
    }
    return 0;
}
