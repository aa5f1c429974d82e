/*
 * Guarded modules: the privilege `mwait'.
 *
 * MONITOR and MWAIT do not exit: the module can have the CPU sleep, and the host
 * does not notice.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "privilege.h"

static char *gm_mwait_describe(const struct gm_privilege *what)
{
    return g_strdup("mwait");
}

static void gm_mwait_class_init(ObjectClass *class, void *data)
{
    GmPrivilegeClass *k = GM_PRIVILEGE_CLASS(class);

    k->kind = KVM_GM_PRIV_MWAIT;
    k->init = gm_privilege_no_value;
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
