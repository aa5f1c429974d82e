/*
 * Guarded modules: the privilege `hostinfo'.
 *
 * The page of section GM_SECTION_HOSTINFO shows struct kvm_gm_hostinfo, in the
 * view of the module alone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "privilege.h"

static char *gm_hostinfo_describe(const struct gm_privilege *what)
{
    return g_strdup("hostinfo");
}

static void gm_hostinfo_class_init(ObjectClass *class, void *data)
{
    GmPrivilegeClass *k = GM_PRIVILEGE_CLASS(class);

    k->kind = KVM_GM_PRIV_HOSTINFO;
    k->init = gm_privilege_no_value;
    k->describe = gm_hostinfo_describe;
}

static const TypeInfo gm_hostinfo_info = {
    .name = GM_PRIVILEGE_TYPE("hostinfo"),
    .parent = TYPE_GM_PRIVILEGE_KVM,
    .class_init = gm_hostinfo_class_init,
};

static void gm_hostinfo_register_types(void)
{
    type_register_static(&gm_hostinfo_info);
}

type_init(gm_hostinfo_register_types)
