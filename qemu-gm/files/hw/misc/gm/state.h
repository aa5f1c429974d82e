/*
 * Guarded modules: the device's state, and what its files call in each other.
 *
 * All of it is protected by the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_STATE_H
#define HW_MISC_GM_STATE_H

#include "hw/misc/gm/guarded_modules.h"
#include "hw/pci/pci_device.h"
#include "qapi/qapi-types-guarded-modules.h"
#include "image.h"
#include "keyring.h"
#include "kvm.h"
#include "privilege.h"
#include "seal.h"

#define GM_LAST_VIOLATIONS 16

/* A registered module. */
struct GmEntry {
    GmImage *image;
    char *file;
    char *signer;
    GmViolationPolicy policy;
    GPtrArray *grants;                  /* GmPrivilege */
    const void *object;                 /* what has registered it; see object.c */
    GmModuleState state;
    bool quarantined;                   /* once and for all */
    GmSealPlan *plan;                   /* while sealed; plan->seal.id */
    GmDevices *devices;                 /* the same, if it has pages for them */
    struct kvm_gm_query query;          /* while sealed: newest counters */
    uint64_t crossings[KVM_GM_NR_CROSSINGS];    /* of seals that are over */
    uint64_t violations[GM_VIOLATION_KIND__MAX];
};

OBJECT_DECLARE_SIMPLE_TYPE(GmState, GUARDED_MODULES)

struct GmState {
    PCIDevice parent_obj;

    char *keyring_path;
    char *crl_path;                     /* or NULL */
    char *verifier;                     /* path of gmcc, or NULL */
    uint32_t verifier_timeout;          /* seconds */
    uint32_t max_modules;
    uint64_t window_size;
    char *policy_name;
    GmViolationPolicy policy;

    MemoryRegion regs;
    MemoryRegion window;
    GmEntry *selected;                  /* the image in the window */
    uint32_t select;

    GmKeyring *keyring;
    GPtrArray *entries;                 /* GmEntry, as the guest sees them */

    uint64_t seals_refused;
    uint64_t violations_total;
    uint64_t violations[GM_VIOLATION_KIND__MAX];
    /* Number n (from 1) is at (n - 1) % GM_LAST_VIOLATIONS. */
    GmViolation *last_violations[GM_LAST_VIOLATIONS];

    /* Messages that the guest can cause: so many in a period, no more. */
    int64_t warn_period_start;
    unsigned warn_count;

    Error *migration_blocker;
};

/* device.c: the device of this VM, or NULL. */
GmState *gm_state(void);

/*
 * device.c: read the keyring and the revocation lists anew. If that fails,
 * those from before stay, but nobody may rely on them.
 */
bool gm_load_keyring(GmState *s, Error **errp);

/* device.c: an image is about to go away. */
void gm_deselect(GmState *s, const GmEntry *entry);

/* What to register: exactly one of @file and @fd, the rest is optional. */
typedef struct GmWanted {
    const char *file;
    const char *fd;
    bool has_policy;
    GmViolationPolicy policy;
    strList *grants;
    const void *object;
} GmWanted;

/*
 * modules.c: what the commands do. All of them leave a record (audit.h). The
 * entry that gm_register() returns is good until BQL or main loop run again.
 */
GmState *gm_require_device(Error **errp);
GmEntry *coroutine_fn gm_register(const GmWanted *wanted, Error **errp);
bool gm_unregister(const char *name, Error **errp);
bool gm_grant(const char *name, strList *grants, Error **errp);
bool gm_revoke(const char *name, strList *grants, Error **errp);
GmEntry *gm_find_name(GmState *s, const char *name);
void gm_entry_free(void *entry);

static inline const char *gm_entry_name(const GmEntry *entry)
{
    return entry->image->manifest->name;
}

/* guest.c: the module with this seal, or NULL. */
GmEntry *gm_find_seal(GmState *s, uint32_t seal);

/* guest.c: read the counters of a module, notice if KVM dropped it. */
void gm_entry_refresh(GmEntry *entry);

/* guest.c: 0, or a negative errno if KVM still has it sealed. */
int gm_entry_unseal(GmEntry *entry, GmUnsealReason reason);
void gm_machine_reset(void *opaque);

#endif /* HW_MISC_GM_STATE_H */
