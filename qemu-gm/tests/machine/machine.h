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

/* @options: of the command line, in addition; they end with NULL. */
void machine_start(const char *const *options);

/* To be called at the end: removes what machine_start() has written. */
void machine_clean_up(void);

/* Withdraw all modules, whatever KVM thinks, and reset the device. */
void machine_forget(void);

/*
 * The same, but leave those that are registered without a grant as they were when they
 * were: to verify signatures takes most of the time of a short test.
 */
void machine_revert(void);

extern char *machine_folder;    /* of the files below, and others of the test */
extern char *machine_image;     /* asks for what the test image asks for */
extern char *machine_greedy;    /* another: any device, all ports, all MSRs, MWAIT */
extern char *machine_plain;     /* a third: asks for nothing */
extern char *machine_unknown;   /* by a key that is not in the keyring */
extern PCIDevice *machine_nic;

/* NULL-terminated, as the list that commands take. */
strList *machine_list(const char *const *texts);

/* As gm-register does; @grants may be NULL, or ends with NULL. */
GmEntry *machine_register(const char *file, const char *const *grants,
                          Error **errp);
bool machine_grant(const char *name, const char *text, Error **errp);
bool machine_revoke(const char *name, const char *text, Error **errp);

/* --- KVM ------------------------------------------------------------------ */

typedef struct FakeSeal {
    bool used;
    uint32_t generation;
    uint32_t flags;             /* KVM_GM_QUERY_F_* */
    uint32_t nr_gates;
    uint32_t device_pages;
    struct kvm_gm_map ranges[KVM_GM_MAX_RANGES];
    struct kvm_gm_grant grants[KVM_GM_MAX_GRANTS];
    unsigned nr_grants;
    uint64_t in_calls;
} FakeSeal;

typedef struct FakeKvm {
    int version;                /* what KVM_CAP_GM is */
    int enable;                 /* what enabling it returns */
    bool enabled;
    /* What calls return, in place of doing anything; 0: they do. */
    int seal, unseal, query, grant, revoke, map, counts;
    int map_interrupted;        /* so many times -EINTR first */
    unsigned nr_seals, nr_unseals, nr_queries, nr_grants, nr_revokes, nr_maps;
    uint32_t generations;
    uint32_t force_id;          /* give out this number, whoever has it */
    FakeSeal seals[KVM_GM_MAX_SEALS + 1];
    struct kvm_gm_seal last;    /* what was sealed last, as handed over */
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

#endif /* TESTS_GM_MACHINE_H */
