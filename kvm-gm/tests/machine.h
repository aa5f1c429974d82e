/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Virtual machines of our own, straight on /dev/kvm, whose guest kernel is what
 * the caller puts there: memory, page tables, descriptor tables, vCPUs in 64-bit
 * mode, and guarded modules of a few pages, sealed by hand. The tests of this
 * folder and bench/crossing-cost.c are built on it.
 *
 * There is no interrupt controller, so that HLT is an exit; every exception and
 * interrupt vector of the guest is a HLT, and an IRET when the vCPU runs on.
 */
#ifndef GM_TESTS_MACHINE_H
#define GM_TESTS_MACHINE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "linux/kvm_gm.h"

#define PAGE		4096ULL
#define MIB		(1ULL << 20)

/* Guest physical; what lies below KERNEL is the library's. */
#define PML4		0x1000
#define KERNEL		0x100000	/* the caller's code */
#define MODULES		(32 * MIB)
#define WINDOW		(8 * MIB)	/* of each module */
#define MEMORY		(MODULES + KVM_GM_MAX_SEALS * WINDOW)

/* Guest virtual. */
#define VA_KERNEL	0xffffffff80000000ULL	/* maps guest physical 0..MODULES */
#define VA_MODULES	0xffffffffc0000000ULL	/* maps MODULES..MEMORY */
#define VA_DIRECT	0xffff888000000000ULL	/* maps guest physical 0..MODULES */

/* Entries of page tables. */
#define PTE_P		0x1ULL
#define PTE_W		0x2ULL
#define PTE_U		0x4ULL
#define PTE_A		0x20ULL
#define PTE_D		0x40ULL
#define PTE_PS		0x80ULL
#define PTE_G		0x100ULL
#define PTE_ADDRESS	0x000ffffffffff000ULL

/* Selectors. */
enum {
	KERNEL_CS = 0x08, KERNEL_DS = 0x10, USER_CS = 0x1b, USER_DS = 0x23,
	COMPAT_CS = 0x28, ABSENT_DS = 0x30, TSS_SELECTOR = 0x38,
};

/* Is it among the flags in /proc/cpuinfo? */
bool cpu_has(const char *flag);

/* Of the CPU's virtualization, by those flags; there must be one. */
enum vendor { SVM = 1, VMX };
enum vendor machine_vendor(void);

/* The instruction that is its hypercall, three bytes, and that which is not. */
void put_hypercall(void *at);
void put_foreign_hypercall(void *at);

#define MAX_VCPUS	4

struct vcpu {
	int fd;
	struct kvm_run *run;
};

struct machine {
	int kvm;
	int vm;
	uint8_t *memory;
	uint64_t free_table;	/* guest physical: the next page table */
	unsigned int nr_vcpus;
	struct vcpu vcpu[MAX_VCPUS];
};

/* Memory slots: 0 is what lies below MODULES, 1 the rest. */
void machine_create(struct machine *m, bool guarded_modules);
void machine_set_slot(struct machine *m, unsigned int slot, uint64_t gpa, uint64_t size,
		      void *memory, unsigned int flags);
struct vcpu *machine_add_vcpu(struct machine *m);
void machine_destroy(struct machine *m);

/* The address of a vector's HLT, and where the vCPU stands after it. */
uint64_t vector_va(unsigned int vector);
bool vector_has_error_code(unsigned int vector);
/* Another handler for it, one that does not halt. */
void machine_set_handler(struct machine *m, unsigned int vector, uint64_t va);

/* The entry that maps the page at @va at @level (1: 4 KiB); made, if need be. */
uint64_t *machine_entry(struct machine *m, uint64_t va, int level);
void machine_map(struct machine *m, uint64_t va, uint64_t gpa, uint64_t flags);

/* Where the guest virtual address is in our memory, NULL if nowhere. */
void *machine_at(struct machine *m, uint64_t va);

/* KVM_RUN: the exit reason, or -1 when a signal interrupted it. */
int vcpu_run(struct vcpu *vcpu);
struct kvm_regs vcpu_regs(struct vcpu *vcpu);
void vcpu_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs);
struct kvm_sregs vcpu_sregs(struct vcpu *vcpu);
void vcpu_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs);
void vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);

/* An ioctl that must work. */
int must(int result, const char *what);

#define MODULE_GATES	16
#define MODULE_FRAMES	8
#define MODULE_STACKS	2040	/* pages */

/* Regions of a module, a page each but the last, in this order from va on. */
enum {
	REGION_GATES, REGION_TEXT, REGION_RODATA, REGION_DATA, REGION_STACK, NR_REGIONS,
};

/* One more, for devices, where module_add_devices() puts it. */
#define REGION_DEVICES	NR_REGIONS
#define DEVICE_PAGES	4	/* the first for the table */

/* All that KVM_GM_SEAL is given of one module. */
struct module {
	struct kvm_gm_seal arg;
	struct kvm_gm_region regions[NR_REGIONS + 1];
	struct kvm_gm_gate gates[MODULE_GATES];
	struct kvm_gm_frame frames[MODULE_FRAMES];
	uint64_t gpas[REGION_STACK + MODULE_STACKS];
	uint64_t device_gpas[DEVICE_PAGES];
	uint8_t content[REGION_STACK][PAGE];
	uint64_t va;
};

/*
 * For @window, with as many private stacks, the guard page of each included in
 * @stack_pages; gates and contents are the caller's.
 */
void module_init(struct module *module, unsigned int window, unsigned int activations,
		 unsigned int stack_pages);
void module_add_devices(struct module *module);
void module_add_gate(struct module *module, uint64_t insn, uint64_t target,
		     enum kvm_gm_gate_kind kind, unsigned int flags, unsigned int stack_words);
/* The `call *%r11' before the in-return gate, and the `ret'. */
void module_set_trampoline(struct module *module, uint64_t trampoline, uint64_t ret);
/* What KVM_GM_SEAL returns, or -errno. */
int module_seal(struct machine *m, struct module *module);

#endif /* GM_TESTS_MACHINE_H */
