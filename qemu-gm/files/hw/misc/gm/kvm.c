/*
 * Guarded modules: the calls to KVM.
 *
 * The vCPU is read with KVM_TRANSLATE and KVM_GET_SREGS rather than with
 * cpu_synchronize_state(), which would write all registers back while KVM
 * still has to complete the hypercall.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "system/kvm.h"
#include "kvm/kvm_i386.h"
#include "kvm.h"
#include "privilege.h"

static bool gm_enabled;

bool gm_kvm_enable(Error **errp)
{
    int version = kvm_vm_check_extension(kvm_state, KVM_CAP_GM);
    int ret;

    if (version <= 0) {
        error_setg(errp, "this host's KVM does not support guarded modules");
        error_append_hint(errp, "Load the project's kvm modules on the host, "
                          "or remove guarded-modules=on.\n");
        return false;
    }
    if (version != KVM_GM_API_VERSION) {
        error_setg(errp, "this host's KVM has version %d of the guarded "
                   "modules interface, this QEMU needs %d", version,
                   KVM_GM_API_VERSION);
        error_append_hint(errp, "Build both from the same tree.\n");
        return false;
    }
    ret = kvm_vm_enable_cap(kvm_state, KVM_CAP_GM, 0);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "KVM cannot enable guarded modules");
        return false;
    }
    gm_enabled = true;
    return true;
}

bool gm_kvm_enabled(void)
{
    return gm_enabled;
}

int gm_kvm_seal(struct kvm_gm_seal *seal)
{
    return kvm_vm_ioctl(kvm_state, KVM_GM_SEAL, seal);
}

int gm_kvm_unseal(uint32_t id)
{
    return kvm_vm_ioctl(kvm_state, KVM_GM_UNSEAL, &id);
}

int gm_kvm_query(struct kvm_gm_query *query)
{
    return kvm_vm_ioctl(kvm_state, KVM_GM_QUERY, query);
}

int gm_kvm_counts(struct kvm_gm_counts *counts)
{
    return kvm_vm_ioctl(kvm_state, KVM_GM_COUNTS, counts);
}

int gm_kvm_grant(struct kvm_gm_grant *grant)
{
    return kvm_vm_ioctl(kvm_state, KVM_GM_GRANT, grant);
}

int gm_kvm_revoke(struct kvm_gm_grant *grant)
{
    return kvm_vm_ioctl(kvm_state, KVM_GM_REVOKE, grant);
}

int gm_kvm_map(struct kvm_gm_map *map)
{
    int ret;

    do {
        ret = kvm_vm_ioctl(kvm_state, KVM_GM_MAP, map);
    } while (ret == -EINTR);
    return ret;
}

bool gm_kvm_has_pic_and_pit(void)
{
    return kvm_pic_in_kernel();
}

bool gm_kvm_translate(CPUState *cpu, uint64_t va, uint64_t *gpa)
{
    struct kvm_translation tr = { .linear_address = va };

    if (kvm_vcpu_ioctl(cpu, KVM_TRANSLATE, &tr) || !tr.valid) {
        return false;
    }
    *gpa = tr.physical_address;
    return true;
}

/* Zero without modules: KVM itself keeps those bits of `flags' clear. */
static uint32_t gm_run_view(const struct kvm_run *run)
{
    return gm_enabled ? KVM_GM_RUN_VIEW(run) : 0;
}

bool gm_handle_mmio(struct kvm_run *run, MemTxAttrs attrs)
{
    uint32_t view = gm_run_view(run);
    GmAccess access = run->flags & KVM_GM_RUN_DEVICES ? GM_ACCESS_OWN_PAGES
                                                      : GM_ACCESS_MEMORY;

    return view && gm_privilege_access(view, access, run->mmio.phys_addr, attrs,
                                       run->mmio.data, run->mmio.len, 1,
                                       run->mmio.is_write);
}

bool gm_handle_io(struct kvm_run *run, MemTxAttrs attrs)
{
    uint32_t view = gm_run_view(run);

    return view && gm_privilege_access(view, GM_ACCESS_PORTS, run->io.port,
                                       attrs,
                                       (uint8_t *)run + run->io.data_offset,
                                       run->io.size, run->io.count,
                                       run->io.direction == KVM_EXIT_IO_OUT);
}
