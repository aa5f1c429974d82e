/*
 * Guarded modules: the privilege `mwait[=HINT]'.
 *
 * MONITOR and MWAIT do not exit: the module can have the CPU sleep, and the host
 * does not notice. HINT is the highest value in EAX, and so the deepest C-state,
 * that it is to use; without one that is 0, C1. No CPU can be made to refuse
 * another: KVM tells the module in its page of host information, and the signed
 * module obeys.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "privilege.h"

static bool gm_mwait_init(GmPrivilege *p, const char *value, Error **errp)
{
    uint64_t hint = 0;

    if (value && qemu_strtou64(value, NULL, 0, &hint)) {
        error_setg(errp, "what follows '=' is a hint, such as 0x10");
        return false;
    }
    if (hint > KVM_GM_MWAIT_MAX_HINT) {
        error_setg(errp, "the largest hint is 0x%x", KVM_GM_MWAIT_MAX_HINT);
        return false;
    }
    p->limit = hint;
    p->text = hint ? g_strdup_printf("mwait=0x%" PRIx64, hint)
                   : g_strdup("mwait");
    return true;
}

static char *gm_mwait_describe(const struct gm_privilege *what)
{
    return g_strdup("mwait");
}

static void gm_mwait_class_init(ObjectClass *class, void *data)
{
    GmPrivilegeClass *k = GM_PRIVILEGE_CLASS(class);

    k->kind = KVM_GM_PRIV_MWAIT;
    k->single = true;
    k->init = gm_mwait_init;
    k->describe = gm_mwait_describe;
}

static const TypeInfo gm_mwait_info = {
    .name = GM_PRIVILEGE_TYPE("mwait"),
    .parent = TYPE_GM_PRIVILEGE_KVM,
    .class_init = gm_mwait_class_init,
};

static void gm_mwait_register_types(void)
{
    type_register_static(&gm_mwait_info);
}

type_init(gm_mwait_register_types)
