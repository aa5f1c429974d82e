/*
 * What kvm.c of the device calls in a test, in place of QEMU's own functions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_GM_FAKE_H
#define TESTS_GM_FAKE_H

struct CPUState;
struct KVMState;

int fake_check_extension(struct KVMState *s, unsigned int extension);
int fake_vm_ioctl(struct KVMState *s, unsigned long type, ...);
int fake_vcpu_ioctl(struct CPUState *cpu, unsigned long type, ...);

#endif /* TESTS_GM_FAKE_H */
