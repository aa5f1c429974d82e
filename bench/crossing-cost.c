// SPDX-License-Identifier: GPL-2.0
/*
 * What a border crossing costs: a virtual machine of our own with one vCPU in
 * 64-bit mode, a few lines of code for a kernel, and guarded modules of a few
 * lines each, sealed by hand. Both sides read the TSC next to their end of each
 * crossing. Under QEMU's -icount one TSC tick is one instruction.
 *
 *	crossing-cost [-m MODULES] [-a ACTIVATIONS] [-c VCPUS]
 *
 * The last of MODULES modules is used, while ACTIVATIONS other threads are in
 * out-calls of it, which VCPUS vCPUs have made. Prints a line for each sample:
 * in-call, out-return, out-call, in-return.
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
#include <unistd.h>

#include "linux/kvm_gm.h"

#define SAMPLES		500
#define WARM_UP		50

#define PAGE		4096ULL
#define MIB		(1ULL << 20)

/* Guest physical: page tables, kernel, samples, stacks; then the modules. */
#define PML4		0x1000
#define PDPT_HIGH	0x2000	/* top 512 GiB: kernel and modules */
#define PD_KERNEL	0x3000
#define PD_MODULES	0x4000
#define PDPT_DIRECT	0x5000
#define KERNEL		0x100000
#define RESULTS		0x200000
#define STACKS		0x400000	/* one of STACK bytes for each thread */
#define STACK		1024ULL
#define MODULES		(32 * MIB)
#define WINDOW		(8 * MIB)	/* of each module */
#define MEMORY		(MODULES + KVM_GM_MAX_SEALS * WINDOW)

#define VA_KERNEL	0xffffffff80000000ULL	/* maps guest physical 0.. */
#define VA_MODULES	0xffffffffc0000000ULL	/* maps MODULES.. */
#define VA_DIRECT	0xffff888000000000ULL	/* maps guest physical 0.. */

#define MAX_ACTIVATIONS	1001
#define STACK_PAGES	2ULL	/* private: one, and its guard */
#define MAX_VCPUS	4

/*
 * The kernel. RBX: samples in the direct map, RBP: how many, R14: the module's
 * gates. park: RBX: the first thread's stack pointer, RBP: how many threads.
 */
extern const char kernel[], kernel_park[], kernel_callee[], kernel_parked[], kernel_end[];
asm(".pushsection .rodata\n"
    "kernel:\n"
    "1:	rdtsc\n"
    "	mov %eax,%r12d\n"
    "	lea 0x00(%r14),%r13\n"
    "	call *%r13\n"
    "	mov %eax,%esi\n"
    "	mov %edx,%ecx\n"
    "	rdtsc\n"
    "	sub %r12d,%esi\n"		/* module's first - ours */
    "	sub %ecx,%eax\n"		/* ours - module's last */
    "	mov %esi,(%rbx)\n"
    "	mov %eax,4(%rbx)\n"
    "	lea 8(%rbx),%rdi\n"
    "	lea 0x10(%r14),%r13\n"
    "	call *%r13\n"
    "	add $16,%rbx\n"
    "	dec %rbp\n"
    "	jnz 1b\n"
    "	hlt\n"

    "kernel_park:\n"
    "1:	mov %rbx,%rsp\n"
    "	lea 0x20(%r14),%r13\n"
    "	call *%r13\n"
    "	ud2\n"

    "kernel_callee:\n"
    "	rdtsc\n"
    "	mov %eax,%ecx\n"
    "	rdtsc\n"
    "	mov %eax,%edx\n"
    "	mov %ecx,%eax\n"
    "	ret\n"

    /* A callee that does not return: the kernel turns to the next thread. */
    "kernel_parked:\n"
    "	mov %rdi,%rbx\n"
    "	mov %rsi,%rbp\n"
    "	mov %rdx,%r14\n"
    "	add $1024,%rbx\n"
    "	dec %rbp\n"
    "	jnz kernel_park\n"
    "	hlt\n"
    "kernel_end:\n"
    ".popsection");

/* A module's gates, 0x10 bytes apart; KVM writes the hypercalls. */
enum {
	GATE_NULL = 0x00, GATE_OUT = 0x10, GATE_PARK = 0x20,
	TRAMPOLINE = 0x30, IN_RETURN = 0x33, RESUME = 0x40, RET = 0x50,
};

/* A module's text. */
enum { TEXT_STUB = 0x100, TEXT_STUB_PARK = 0x110, TEXT_OUT_RETURN = 0x120 };
extern const char text[], text_null[], text_out[], text_park[], text_end[];
asm(".pushsection .rodata\n"
    "text:\n"
    "text_null:\n"
    "	rdtsc\n"
    "	mov %eax,%ecx\n"
    "	rdtsc\n"
    "	mov %eax,%edx\n"
    "	mov %ecx,%eax\n"
    "	ret\n"

    "text_out:\n"
    "	push %rbx\n"
    "	push %r12\n"
    "	mov %rdi,%rbx\n"
    "	rdtsc\n"
    "	mov %eax,%r12d\n"
    "	call text + 0x100\n"
    "	mov %eax,%esi\n"
    "	mov %edx,%ecx\n"
    "	rdtsc\n"
    "	sub %r12d,%esi\n"
    "	sub %ecx,%eax\n"
    "	mov %esi,(%rbx)\n"
    "	mov %eax,4(%rbx)\n"
    "	pop %r12\n"
    "	pop %rbx\n"
    "	ret\n"

    "text_park:\n"
    "	mov %rbp,%rsi\n"
    "	mov %rbx,%rdi\n"
    "	mov %r14,%rdx\n"
    "	call text + 0x110\n"
    "	ud2\n"

    "	.org text + 0x100, 0xcc\n"
    "	.byte 0x0f, 0x01, 0xd9, 0xc3\n"
    "	.org text + 0x110, 0xcc\n"
    "	.byte 0x0f, 0x01, 0xd9, 0xc3\n"
    "	.org text + 0x120, 0xcc\n"
    "	.byte 0x0f, 0x01, 0xd9, 0x0f, 0x0b\n"
    "text_end:\n"
    ".popsection");

static uint8_t *memory;

static int check(int result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
	return result;
}

static void put_entry(uint64_t table, unsigned int index, uint64_t entry)
{
	((uint64_t *)(memory + table))[index] = entry;
}

static void make_tables(void)
{
	const uint64_t table = 0x3, large = 0x83;	/* present, writable; 2 MiB */
	unsigned int i;

	put_entry(PML4, VA_KERNEL >> 39 & 511, PDPT_HIGH | table);
	put_entry(PML4, VA_DIRECT >> 39 & 511, PDPT_DIRECT | table);
	put_entry(PDPT_HIGH, VA_KERNEL >> 30 & 511, PD_KERNEL | table);
	put_entry(PDPT_HIGH, VA_MODULES >> 30 & 511, PD_MODULES | table);
	put_entry(PDPT_DIRECT, 0, PD_KERNEL | table);
	for (i = 0; i < MODULES / (2 * MIB); i++)
		put_entry(PD_KERNEL, i, i * 2 * MIB | large);
	for (i = 0; i < KVM_GM_MAX_SEALS * WINDOW / (2 * MIB); i++)
		put_entry(PD_MODULES, i, (MODULES + i * 2 * MIB) | large);
}

static uint64_t module_va(unsigned int module)
{
	return VA_MODULES + module * WINDOW;
}

static uint64_t kernel_va(const char *symbol)
{
	return VA_KERNEL + KERNEL + (uint64_t)(symbol - kernel);
}

static void seal(int vm, unsigned int module, unsigned int activations)
{
	static uint8_t gates_page[4096], text_page[4096];
	uint64_t va = module_va(module), text_va = va + PAGE;
	uint64_t gpas[2 + MAX_ACTIVATIONS * STACK_PAGES];
	struct kvm_gm_region regions[] = {
		{ va, 1, KVM_GM_REGION_GATES, (uintptr_t)gates_page, (uintptr_t)&gpas[0] },
		{ text_va, 1, KVM_GM_REGION_TEXT, (uintptr_t)text_page, (uintptr_t)&gpas[1] },
		{ va + 2 * PAGE, activations * STACK_PAGES, KVM_GM_REGION_STACK, 0, (uintptr_t)&gpas[2] },
	};
	struct kvm_gm_gate gates[] = {
		{ va + GATE_NULL, text_va + (text_null - text), KVM_GM_GATE_IN_CALL, 0, 0, 0 },
		{ va + GATE_OUT, text_va + (text_out - text), KVM_GM_GATE_IN_CALL, 0, 0, 0 },
		{ va + GATE_PARK, text_va + (text_park - text), KVM_GM_GATE_IN_CALL, 0, 0, 0 },
		{ va + IN_RETURN, 0, KVM_GM_GATE_IN_RETURN, 0, 0, 0 },
		{ va + RESUME, 0, KVM_GM_GATE_RESUME, 0, 0, 0 },
		{ text_va + TEXT_STUB, kernel_va(kernel_callee), KVM_GM_GATE_OUT_CALL, 0, 0, 0 },
		{ text_va + TEXT_STUB_PARK, kernel_va(kernel_parked), KVM_GM_GATE_OUT_CALL,
		  0, 0, 0 },
		{ text_va + TEXT_OUT_RETURN, 0, KVM_GM_GATE_OUT_RETURN, 0, 0, 0 },
	};
	struct kvm_gm_seal arg = {
		.size = sizeof(arg),
		.name = "crossing-cost",
		.nr_regions = sizeof(regions) / sizeof(regions[0]),
		.nr_gates = sizeof(gates) / sizeof(gates[0]),
		.stack_pages = STACK_PAGES,
		.regions = (uintptr_t)regions,
		.gates = (uintptr_t)gates,
		.trampoline = va + TRAMPOLINE,
		.ret = va + RET,
	};
	unsigned int i;

	memcpy(gates_page + TRAMPOLINE, "\x41\xff\xd3", 3);	/* call *%r11 */
	gates_page[RET] = 0xc3;
	memcpy(text_page, text, text_end - text);
	for (i = 0; i < 2 + activations * STACK_PAGES; i++)
		gpas[i] = MODULES + module * WINDOW + i * PAGE;
	check(ioctl(vm, KVM_GM_SEAL, &arg), "KVM_GM_SEAL");
}

struct vcpu {
	int fd;
	struct kvm_run *run;
};

static struct vcpu create_vcpu(int kvm, int vm, unsigned int id)
{
	struct vcpu vcpu = { .fd = check(ioctl(vm, KVM_CREATE_VCPU, id), "KVM_CREATE_VCPU") };
	int size = check(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	struct kvm_segment code = {
		.limit = ~0U, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.limit = ~0U, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1,
	};
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));
	struct kvm_sregs sregs;

	vcpu.run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd, 0);
	if (vcpu.run == MAP_FAILED || !cpuid)
		err(1, "mmap of the vCPU");
	cpuid->nent = 256;
	check(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	check(ioctl(vcpu.fd, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);

	check(ioctl(vcpu.fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ss = sregs.ds = sregs.es = sregs.fs = sregs.gs = data;
	sregs.gs.base = VA_DIRECT;
	sregs.cr3 = PML4;
	sregs.cr0 = 0x80010001;			/* PG, WP, PE */
	sregs.cr4 = 0x20;			/* PAE */
	sregs.efer = 0xd00;			/* NXE, LMA, LME */
	check(ioctl(vcpu.fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	return vcpu;
}

static void run(struct vcpu *vcpu, struct kvm_regs regs)
{
	regs.rflags = 2;
	check(ioctl(vcpu->fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	check(ioctl(vcpu->fd, KVM_RUN, 0), "KVM_RUN");
	if (vcpu->run->exit_reason == KVM_EXIT_GM) {
		struct kvm_gm_exit *exit = KVM_GM_EXIT(vcpu->run);

		errx(1, "violation %u at rip 0x%llx, address 0x%llx, gpa 0x%llx", exit->kind,
		     exit->rip, exit->addr, exit->gpa);
	}
	if (vcpu->run->exit_reason != KVM_EXIT_HLT)
		errx(1, "exit reason %u instead of a halt", vcpu->run->exit_reason);
}

static unsigned int number(const char *text, unsigned int least, unsigned int most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || value < least || value > most)
		errx(2, "%s is not a number from %u to %u", text, least, most);
	return value;
}

int main(int argc, char **argv)
{
	unsigned int modules = 1, parked = 0, vcpus = 1, i, first = 0;
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY };
	struct kvm_enable_cap cap = { .cap = KVM_CAP_GM };
	struct vcpu vcpu[MAX_VCPUS];
	int kvm, vm, option;
	uint64_t va;

	while ((option = getopt(argc, argv, "m:a:c:")) != -1) {
		switch (option) {
		case 'm':
			modules = number(optarg, 1, KVM_GM_MAX_SEALS);
			break;
		case 'a':
			parked = number(optarg, 0, MAX_ACTIVATIONS - 1);
			break;
		case 'c':
			vcpus = number(optarg, 1, MAX_VCPUS);
			break;
		default:
			errx(2, "usage: %s [-m MODULES] [-a ACTIVATIONS] [-c VCPUS]", argv[0]);
		}
	}

	kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	vm = check(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	check(ioctl(vm, KVM_ENABLE_CAP, &cap), "KVM_CAP_GM");
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	region.userspace_addr = (uintptr_t)memory;
	check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	make_tables();
	memcpy(memory + KERNEL, kernel, kernel_end - kernel);

	for (i = 0; i < vcpus; i++)
		vcpu[i] = create_vcpu(kvm, vm, i);
	for (i = 0; i < modules; i++)
		seal(vm, i, i == modules - 1 ? parked + 1 : 1);
	va = module_va(modules - 1);

	/* The vCPUs take turns, the first comes last and may have none to park. */
	for (i = vcpus; i-- && parked; ) {
		unsigned int share = i ? parked / vcpus : parked - first;
		uint64_t stack = VA_DIRECT + STACKS + (first + 2) * STACK;

		first += share;
		if (share)
			run(&vcpu[i], (struct kvm_regs) {
				.rip = kernel_va(kernel_park), .rsp = stack, .rbx = stack,
				.rbp = share, .r14 = va,
			});
	}

	run(&vcpu[0], (struct kvm_regs) {
		.rip = kernel_va(kernel), .rsp = VA_DIRECT + STACKS + STACK,
		.rbx = VA_DIRECT + RESULTS, .rbp = SAMPLES + WARM_UP, .r14 = va,
	});
	for (i = WARM_UP; i < WARM_UP + SAMPLES; i++) {
		uint32_t ticks[4];

		memcpy(ticks, memory + RESULTS + sizeof(ticks) * i, sizeof(ticks));
		printf("%u %u %u %u\n", ticks[0], ticks[1], ticks[2], ticks[3]);
	}
	return 0;
}
