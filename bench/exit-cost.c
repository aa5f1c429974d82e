// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest pays for an exit: a virtual machine of our own, with nothing in it
 * but a loop in real mode that reads the TSC around one instruction. Prints every
 * difference, one a line. Under QEMU's -icount one TSC tick is one instruction.
 *
 *	exit-cost none|cpuid|msr|mmio
 *
 * CPUID and RDMSR are KVM's to answer; a store to MMIO comes out to this program.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define SAMPLES		2000
#define WARM_UP		200
#define MEMORY		0xf000		/* what is above is MMIO */
#define CODE		0x1000
#define RESULTS		0x2000
#define MAX_CPUID	256
#define APIC_BASE	0x1b

_Static_assert(RESULTS + 4 * (SAMPLES + WARM_UP) < MEMORY, "samples fit");

static const uint8_t code[] = {
	/* again: */
	0x0f, 0x31,			/* rdtsc */
	0x66, 0x89, 0xc6,		/* mov %eax,%esi */
	0x66, 0x31, 0xc0,		/* xor %eax,%eax */
	0x90, 0x90, 0x90, 0x90,		/* the instruction */
	0x0f, 0x31,			/* rdtsc */
	0x66, 0x29, 0xf0,		/* sub %esi,%eax */
	0x66, 0x89, 0x05,		/* mov %eax,(%di) */
	0x83, 0xc7, 0x04,		/* add $4,%di */
	0x4d,				/* dec %bp */
	0x75, 0xe6,			/* jnz again */
	0xf4,				/* hlt */
};
#define INSN_OFFSET	8

static const struct kind {
	const char *name;
	uint8_t insn[3];
	uint8_t len;
} kinds[] = {
	{ "none", {}, 0 },
	{ "cpuid", { 0x0f, 0xa2 }, 2 },
	{ "msr", { 0x0f, 0x32 }, 2 },			/* rdmsr of IA32_APIC_BASE */
	{ "mmio", { 0xa3, 0x00, 0xf0 }, 3 },		/* mov %ax,0xf000 */
};

static const struct kind *kind_named(const char *name)
{
	for (size_t i = 0; name && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	errx(2, "usage: exit-cost none|cpuid|msr|mmio");
}

static int check(int result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
	return result;
}

static void set_cpuid(int kvm, int vcpu)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) +
					  MAX_CPUID * sizeof(cpuid->entries[0]));

	if (!cpuid)
		err(1, "calloc");
	cpuid->nent = MAX_CPUID;
	check(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	check(ioctl(vcpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);
}

static void set_registers(int vcpu)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = {
		.rip = CODE,
		.rflags = 2,
		.rcx = APIC_BASE,
		.rdi = RESULTS,
		.rbp = SAMPLES + WARM_UP,
	};

	check(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	check(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	check(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

int main(int argc, char **argv)
{
	const struct kind *kind = kind_named(argc == 2 ? argv[1] : NULL);
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY };
	int kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	int vm = check(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	int vcpu, run_size;
	uint8_t *memory;
	struct kvm_run *run;

	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	memcpy(memory + CODE, code, sizeof(code));
	memcpy(memory + CODE + INSN_OFFSET, kind->insn, kind->len);
	region.userspace_addr = (uintptr_t)memory;
	check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");

	vcpu = check(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	run_size = check(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(1, "mmap of the vCPU");
	set_cpuid(kvm, vcpu);
	set_registers(vcpu);

	do
		check(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
	while (run->exit_reason == KVM_EXIT_MMIO);
	if (run->exit_reason != KVM_EXIT_HLT)
		errx(1, "exit reason %u instead of a halt", run->exit_reason);
	for (int i = WARM_UP; i < WARM_UP + SAMPLES; i++) {
		uint32_t ticks;

		memcpy(&ticks, memory + RESULTS + 4 * i, sizeof(ticks));
		printf("%u\n", ticks);
	}
	return 0;
}
