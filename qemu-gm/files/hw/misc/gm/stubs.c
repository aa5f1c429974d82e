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

GmRegistration *coroutine_fn qmp_gm_register(const char *file, Error **errp)
{
    gm_not_built(errp);
    return NULL;
}

void qmp_gm_unregister(const char *name, Error **errp)
{
    gm_not_built(errp);
}

GmInfo *qmp_query_gm(Error **errp)
{
    gm_not_built(errp);
    return NULL;
}
