/*
 * A whole QEMU in the process of a test, with a KVM that the test plays.
 *
 * All of it is QEMU's own but KVM: the device, the memory core, PCI, the monitor's
 * functions, a network card to grant. The guest has RAM and no CPU that runs; what a
 * vCPU would do, the test does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_GM_MACHINE_H
#define TESTS_GM_MACHINE_H

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/core/cpu.h"
#include "hw/pci/pci_device.h"
#include "exec/address-spaces.h"
#include "state.h"
#include "../../files/tests/unit/gm-test-image.h"

#define MACHINE_RAM             (32 * 1024 * 1024)
#define MACHINE_ANCHORS         0xffffffffc1000000ULL   /* where the guest has those */
#define MACHINE_NIC_BAR         0xe0000000ULL   /* its registers */
#define MACHINE_NIC_PORTS       0xc000
#define MACHINE_NIC_MSIX        0xe0040000ULL

/* --- QEMU ----------------------------------------------------------------- */

/*
 * @properties: of the device, in addition: "" or ",NAME=VALUE..."; NULL: there is no
 * device, and KVM is not asked for guarded modules. @options: of the command line, in
 * addition; they end with NULL.
 */
void machine_start(const char *properties, const char *const *options);

/* What machine_start() does first: write the images. */
void machine_prepare(void);

/* To be called at the end: removes what has been written. */
void machine_clean_up(void);

/* Withdraw all modules, whatever KVM thinks, and reset the device. */
void machine_forget(void);

/*
 * The same, but leave those that are registered without a grant as they were when they
 * were: to verify signatures takes most of the time of a short test.
 */
void machine_revert(void);

extern char *machine_folder;    /* of the files below, and others of the test */
extern char *machine_keyring;
extern char *machine_image;     /* asks for what the test image asks for */
extern char *machine_greedy;    /* another: any device, all ports, all MSRs, MWAIT */
extern char *machine_plain;     /* a third: asks for nothing */
extern char *machine_unknown;   /* by a key that is not in the keyring */
extern PCIDevice *machine_nic;

/* A file in the folder; its path, to be freed. Of the image, signed first. */
char *machine_write(const char *name, const void *data, size_t size);
char *machine_write_image(GmTestImage *t, const char *name);

/* NULL-terminated, as the list that commands take. */
strList *machine_list(const char *const *texts);

/* As gm-register does; @grants may be NULL, or ends with NULL. */
GmEntry *machine_register(const char *file, const char *const *grants,
                          Error **errp);
bool machine_grant(const char *name, const char *text, Error **errp);
bool machine_revoke(const char *name, const char *text, Error **errp);

/* --- what a guest does ---------------------------------------------------- */

/* struct gm_anchors of a test image. */
typedef struct MachineAnchors {
    char magic[8];
    uint8_t id[GM_ID_LEN];
    uint32_t count;
    uint32_t reserved;
    uint64_t values[GM_TEST_NR_ANCHORS];
} MachineAnchors;

QEMU_BUILD_BUG_ON(offsetof(MachineAnchors, values) != sizeof(struct gm_anchors));

/* The bytes that the ids of the images above consist of. */
#define MACHINE_IMAGE           0x5a
#define MACHINE_GREEDY          0x6b
#define MACHINE_PLAIN           0x7c

#define MACHINE_PLACE           0x100000        /* bytes, from one place to the next */

/* Honest ones: the module with @id is loaded at @place, from 0. */
void machine_anchors(MachineAnchors *a, uint8_t id, unsigned place);

/* Write them to where the guest has @va, if nothing else is said in `maps'. */
void machine_write_anchors(const MachineAnchors *a, uint64_t va);

/* The exit of an init gate, with anchors at @va; what the guest gets. */
int64_t machine_seal_at(uint64_t va);

/* All of that, as an honest guest does it. */
int64_t machine_seal(uint8_t id, unsigned place);

/* --- what a module does --------------------------------------------------- */

typedef struct MachineAccess {
    uint32_t view;              /* the number of its seal */
    uint64_t addr;              /* or port */
    bool own_pages;             /* of memory: in pages of its own */
    bool write;
    uint8_t size;
    uint8_t count;              /* of ports: so often */
    uint8_t data[64];           /* what is written, or has been read */
} MachineAccess;

/* As KVM tells QEMU of it. False: this is an access like any other, to be done yet. */
bool machine_access_ports(MachineAccess *a);
bool machine_access_memory(MachineAccess *a);

/* --- what a test sees: watch.c -------------------------------------------- */

/* The oldest event that has not been asked for yet is @text; NULL: there is none. */
void machine_expect_event(const char *text);
void machine_forget_events(void);

/* From here to machine_heard(), what goes to standard error is kept. To be freed. */
void machine_listen(void);
char *machine_heard(void);

/* machine_heard() is that one line of QEMU's, or "": nothing. */
void machine_expect_heard(const char *text);

/* Exactly that one; frees it. */
void machine_expect_error(Error *err, const char *text);

/* --- KVM ------------------------------------------------------------------ */

typedef struct FakeSeal {
    bool used;
    uint32_t generation;
    uint32_t flags;             /* KVM_GM_QUERY_F_* */
    uint32_t nr_gates;
    uint32_t device_pages;
    struct kvm_gm_map ranges[KVM_GM_MAX_RANGES];
#define MACHINE_HOSTS 4         /* of a range's pages, kept */
    uint64_t hosts[KVM_GM_MAX_RANGES][MACHINE_HOSTS];
    struct kvm_gm_grant grants[KVM_GM_MAX_GRANTS];
    unsigned nr_grants;
    uint64_t in_calls;
    uint32_t lost;              /* activations */
} FakeSeal;

typedef struct FakeKvm {
    int version;                /* what KVM_CAP_GM is */
    int enable;                 /* what enabling it returns */
    bool enabled;
    /* What calls return, in place of doing anything; 0: they do. */
    int seal, unseal, query, grant, revoke, map, counts, translate;
    unsigned grant_first;       /* so many calls do before `grant' is returned */
    int map_interrupted;        /* so many times -EINTR first */
    unsigned map_first;         /* so many calls do before `map' is returned */
    unsigned map_times;         /* and is returned so often; 0: always */
    bool map_ends;              /* and to end a range does always */
    unsigned nr_seals, nr_unseals, nr_queries, nr_grants, nr_revokes, nr_maps;
    uint32_t generations;
    uint32_t force_id;          /* give out this number, whoever has it */
    FakeSeal seals[KVM_GM_MAX_SEALS + 1];
    struct kvm_gm_seal last;    /* what was sealed last, as handed over */
    struct kvm_gm_grant last_grant;     /* or revoked */
    bool mapped_while_running;  /* vCPUs ran during the last KVM_GM_MAP */
    /* The guest's page tables: MACHINE_MAPS pages that are not where they should be. */
#define MACHINE_MAPS 8
    struct {
        uint64_t va;
        uint64_t gpa;
        bool valid;
    } maps[MACHINE_MAPS];
    unsigned nr_mapped;
} FakeKvm;

extern FakeKvm fake_kvm;

/* All as in a KVM in which nothing has happened, but that it is enabled. */
void fake_kvm_reset(void);

/* Where the guest has @va, if nothing else is said in `maps'. */
uint64_t fake_gpa(uint64_t va);

/* KVM's own checks: what a plan must be whatever the guest says. Ends the test. */
void fake_kvm_must(bool condition, const char *what);

/* A load of four bytes from the guest's physical memory, or a store there, of a vCPU's. */
uint32_t machine_load(hwaddr addr);
void machine_store(hwaddr addr, uint32_t value);

#endif /* TESTS_GM_MACHINE_H */
