/*
 * Guarded modules: in a QEMU that is built without them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-guarded-modules.h"
#include "hw/misc/gm/guarded_modules.h"

static void gm_not_built(Error **errp)
{
    error_setg(errp, "this QEMU was built without guarded modules");
}

bool gm_kvm_enable(Error **errp)
{
    gm_not_built(errp);
    return false;
}

void gm_handle_exit(CPUState *cpu, struct kvm_gm_exit *exit)
{
    g_assert_not_reached();
}

bool gm_handle_mmio(struct kvm_run *run, MemTxAttrs attrs)
{
    return false;
}

bool gm_handle_io(struct kvm_run *run, MemTxAttrs attrs)
{
    return false;
}

GmRegistration *coroutine_fn qmp_gm_register(const char *file, const char *fd,
                                             bool has_grants, strList *grants,
                                             bool has_policy,
                                             GmViolationPolicy policy,
                                             Error **errp)
{
    gm_not_built(errp);
    return NULL;
}

void qmp_gm_unregister(const char *name, Error **errp)
{
    gm_not_built(errp);
}

void qmp_gm_grant(const char *name, strList *grants, Error **errp)
{
    gm_not_built(errp);
}

void qmp_gm_revoke(const char *name, strList *grants, Error **errp)
{
    gm_not_built(errp);
}

GmInfo *qmp_query_gm(bool has_symbols, bool symbols, Error **errp)
{
    gm_not_built(errp);
    return NULL;
}
