/*
 * Guarded modules: what KVM's code in QEMU calls.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_GUARDED_MODULES_H
#define HW_MISC_GM_GUARDED_MODULES_H

#include "exec/memattrs.h"
#include "hw/core/cpu.h"

#define TYPE_GUARDED_MODULES "guarded-modules"

/* What to tell the user whose command line lacks it. */
#define GM_ACCEL_OPTION "-accel kvm,guarded-modules=on"

struct kvm_gm_exit;
struct kvm_run;

/**
 * gm_kvm_enable: Turn guarded modules on in KVM.
 *
 * Call with the VM created and no vCPU yet.
 */
bool gm_kvm_enable(Error **errp);

/**
 * gm_handle_exit: KVM_RUN returned KVM_EXIT_GM.
 * @cpu: the vCPU, whose thread calls; the BQL is not held
 * @exit: the reason, in the vCPU's struct kvm_run
 *
 * The vCPU continues in any case: what the guest did wrong is the guest's.
 */
void gm_handle_exit(CPUState *cpu, struct kvm_gm_exit *exit);

/**
 * gm_handle_mmio, gm_handle_io: KVM_RUN returned KVM_EXIT_MMIO or KVM_EXIT_IO.
 * @run: the vCPU's, whose thread calls; the BQL is not held
 *
 * Returns: true if a guarded module has made the access, to what it has been
 * granted, and that has been done. False: this is an access like any other.
 */
bool gm_handle_mmio(struct kvm_run *run, MemTxAttrs attrs);
bool gm_handle_io(struct kvm_run *run, MemTxAttrs attrs);

#endif /* HW_MISC_GM_GUARDED_MODULES_H */
