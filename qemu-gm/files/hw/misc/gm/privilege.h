/*
 * Guarded modules: what a module may do and the rest of its guest may not.
 *
 * A privilege is a class, one file each (priv-*.c), found by the word that its
 * text starts with; a grant is an object of it. To add one, write that file.
 *
 * All of it is protected by the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_PRIVILEGE_H
#define HW_MISC_GM_PRIVILEGE_H

#include "qapi/qapi-types-guarded-modules.h"
#include "qom/object.h"
#include "exec/memory.h"
#include "devices.h"
#include "image.h"

#define TYPE_GM_PRIVILEGE "gm-privilege"
OBJECT_DECLARE_TYPE(GmPrivilege, GmPrivilegeClass, GM_PRIVILEGE)

/* The class of WORD=..., WORD being what the text of a privilege starts with. */
#define GM_PRIVILEGE_TYPE(word) TYPE_GM_PRIVILEGE "-" word

struct GmPrivilege {
    Object parent_obj;

    struct gm_privilege what;           /* kind is the class's */
    uint32_t limit;                     /* as in struct kvm_gm_grant */
    char *text;                         /* as users write it */
    char *module;                       /* name of its module */
    const struct kvm_gm_seal *seal;     /* of its module; NULL: not sealed */
    GmDevices *devices;                 /* the same; NULL: it has none, too */
    bool raised;
    /* What the guest tried on what this hides from it. */
    uint64_t hidden_reads;
    uint64_t hidden_writes;
};

/* How an access of a module comes. */
typedef enum GmAccess {
    GM_ACCESS_PORTS,
    GM_ACCESS_MEMORY,           /* where the guest's page tables lead */
    GM_ACCESS_OWN_PAGES,        /* in what gm_devices_map() has put there */
} GmAccess;

/*
 * The contract. Between raise() and lower() the module has the privilege, and
 * if it is exclusive, nobody else does. Neither is called twice in a row.
 */
struct GmPrivilegeClass {
    ObjectClass parent_class;

    uint32_t kind;                      /* enum kvm_gm_privilege */
    bool exclusive;                     /* one module at most can have it */
    bool hides;                         /* it takes something from the guest */
    bool per_seal;                      /* KVM's: raised anew with each seal */
    bool single;                        /* its word alone names the grant, too */

    /*
     * Read what the user wrote behind `=' (NULL: no `='), fill in @p->what.
     * Whether the image asks for that is checked by the caller.
     */
    bool (*init)(GmPrivilege *p, const char *value, Error **errp);
    bool (*raise)(GmPrivilege *p, Error **errp);
    bool (*lower)(GmPrivilege *p, Error **errp);

    /* The text of @what, which may be a request; to be freed. */
    char *(*describe)(const struct gm_privilege *what);

    /* Both of this kind: would they be the same thing twice? Ranges if NULL. */
    bool (*overlaps)(const GmPrivilege *a, const GmPrivilege *b);

    /*
     * Where accesses of the module to @len bytes at @addr go, and @offset to
     * what there; @as is NULL if nothing answers. False: not to anything that
     * this privilege is for. Optional.
     */
    bool (*find)(GmPrivilege *p, GmAccess access, hwaddr addr, hwaddr len,
                 AddressSpace **as, hwaddr *offset);

    /*
     * The seal of the module has begun, or is over, while this is raised, if it
     * is not per_seal. Optional.
     */
    bool (*sealed)(GmPrivilege *p, Error **errp);
    void (*unsealed)(GmPrivilege *p);

    /* What there is to tell of what it hides. Optional. */
    void (*fill)(GmPrivilege *p, GmHidden *info);
};

/* --- for privileges ------------------------------------------------------- */

/* FIRST or FIRST-LAST, up to @max; the rest of @value is at @end. */
bool gm_privilege_range(const char *value, uint64_t max, const char **end,
                        struct gm_privilege *what, Error **errp);

/* "hostinfo" takes no value. */
bool gm_privilege_no_value(GmPrivilege *p, const char *value, Error **errp);

/* WORD=0xFIRST[-0xLAST] */
char *gm_privilege_describe_range(const char *word,
                                  const struct gm_privilege *what);

/* hidden.c: a region of ones, which counts the accesses for @p. */
void gm_hidden_init(MemoryRegion *mr, GmPrivilege *p, const char *name,
                    uint64_t size);

/* priv-kvm.c: parent of those that KVM gives and takes. */
#define TYPE_GM_PRIVILEGE_KVM TYPE_GM_PRIVILEGE "-kvm"

/* --- for those who grant -------------------------------------------------- */

typedef struct GmEntry GmEntry;

/* What the image asks for; what the module has been granted. As texts. */
strList *gm_privilege_requests(const GmImage *image);
strList *gm_privilege_grants(const GmEntry *entry);

/*
 * Around everything that grants @texts, what decides about it included. No
 * vCPU runs in between if they hide something from the guest, and what it has
 * begun to do with that has ended then. Main thread only.
 */
bool gm_privilege_begin(strList *texts);
void gm_privilege_end(bool begun);

/* All of @texts, or nothing. */
bool gm_privilege_grant(GmEntry *entry, strList *texts, Error **errp);
bool gm_privilege_revoke(GmEntry *entry, strList *texts, Error **errp);

/* The module was sealed: raise what KVM has. On failure the seal must go. */
bool gm_privilege_sealed(GmEntry *entry, Error **errp);
/* It is not sealed any more, and KVM's part has ended with the seal. */
void gm_privilege_unsealed(GmEntry *entry);
/* It will not come back. */
void gm_privilege_drop_all(GmEntry *entry);
/* What @p was for has gone: its module has not got it any more. */
void gm_privilege_lost(GmPrivilege *p, const char *why);

/*
 * An access by the module with the seal @view. False if none of its privileges
 * is for that.
 */
bool gm_privilege_access(uint32_t view, GmAccess access, hwaddr addr,
                         MemTxAttrs attrs, uint8_t *data, unsigned len,
                         unsigned count, bool is_write);

#endif /* HW_MISC_GM_PRIVILEGE_H */
