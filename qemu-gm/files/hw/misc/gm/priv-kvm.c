/*
 * Guarded modules: what privileges that KVM gives and takes have in common.
 *
 * KVM has them while the module is inside, on each vCPU for itself. It binds
 * them to a seal, and the seal's generation tells it from those before.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "kvm.h"
#include "privilege.h"

static struct kvm_gm_grant gm_kvm_privilege(const GmPrivilege *p)
{
    return (struct kvm_gm_grant) {
        .size = sizeof(struct kvm_gm_grant),
        .id = p->seal->id,
        .generation = p->seal->generation,
        .kind = p->what.kind,
        .flags = p->what.flags,
        .first = p->what.first,
        .last = p->what.last,
        .limit = p->limit,
    };
}

static bool gm_kvm_raise(GmPrivilege *p, Error **errp)
{
    struct kvm_gm_grant grant = gm_kvm_privilege(p);
    int ret = gm_kvm_grant(&grant);

    switch (ret) {
    case 0:
        return true;
    case -EPERM:
        error_setg(errp, "KVM lets no module have it");
        break;
    case -EEXIST:
        error_setg(errp, "module '%s' has it, or a part of it, already",
                   p->module);
        break;
    case -E2BIG:
        error_setg(errp, "a sealed module can have %d ranges, no more; those "
                   "that were revoked count until it is unloaded",
                   KVM_GM_MAX_GRANTS);
        break;
    case -ENXIO:
        error_setg(errp, "module '%s' has no page for it", p->module);
        break;
    case -EOPNOTSUPP:
        error_setg(errp, "the CPU of this host does not have it%s", p->limit ?
                   ", or KVM's timers would stop in so deep a state; without "
                   "'=' it may" : "");
        break;
    case -ENOENT:
    case -ESTALE:
        error_setg(errp, "module '%s' is not sealed any more", p->module);
        break;
    default:
        error_setg_errno(errp, -ret, "KVM refused");
        break;
    }
    return false;
}

static bool gm_kvm_lower(GmPrivilege *p, Error **errp)
{
    struct kvm_gm_grant grant = gm_kvm_privilege(p);
    int ret = gm_kvm_revoke(&grant);

    /* A seal that is over has taken it along. */
    if (ret && ret != -ENOENT && ret != -ESTALE) {
        error_setg_errno(errp, -ret, "KVM did not revoke it");
        return false;
    }
    return true;
}

static void gm_kvm_class_init(ObjectClass *class, void *data)
{
    GmPrivilegeClass *k = GM_PRIVILEGE_CLASS(class);

    k->per_seal = true;
    k->raise = gm_kvm_raise;
    k->lower = gm_kvm_lower;
}

static const TypeInfo gm_kvm_info = {
    .name = TYPE_GM_PRIVILEGE_KVM,
    .parent = TYPE_GM_PRIVILEGE,
    .abstract = true,
    .class_init = gm_kvm_class_init,
};

static void gm_kvm_register_types(void)
{
    type_register_static(&gm_kvm_info);
}

type_init(gm_kvm_register_types)
