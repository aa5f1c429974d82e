/*
 * Guarded modules: the privilege `msr=FIRST[-LAST][:rw]'.
 *
 * The module reads these registers of the physical CPU, and with `rw' writes
 * them, too. Which of them nobody can have is for KVM to say.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "privilege.h"

static bool gm_msr_init(GmPrivilege *p, const char *value, Error **errp)
{
    const char *end;

    if (!gm_privilege_range(value, UINT32_MAX, &end, &p->what, errp)) {
        return false;
    }
    if (!strcmp(end, ":rw")) {
        p->what.flags = KVM_GM_PRIV_F_WRITE;
    } else if (*end) {
        error_setg(errp, "what can follow the registers is ':rw', not '%s'",
                   end);
        return false;
    }
    return true;
}

static char *gm_msr_describe(const struct gm_privilege *what)
{
    g_autofree char *range = gm_privilege_describe_range("msr", what);

    return g_strconcat(range, what->flags & KVM_GM_PRIV_F_WRITE ? ":rw" : "",
                       NULL);
}

static void gm_msr_class_init(ObjectClass *class, void *data)
{
    GmPrivilegeClass *k = GM_PRIVILEGE_CLASS(class);

    k->kind = KVM_GM_PRIV_MSR;
    k->init = gm_msr_init;
    k->describe = gm_msr_describe;
}

static const TypeInfo gm_msr_info = {
    .name = GM_PRIVILEGE_TYPE("msr"),
    .parent = TYPE_GM_PRIVILEGE_KVM,
    .class_init = gm_msr_class_init,
};

static void gm_msr_register_types(void)
{
    type_register_static(&gm_msr_info);
}

type_init(gm_msr_register_types)
