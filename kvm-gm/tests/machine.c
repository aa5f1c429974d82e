// SPDX-License-Identifier: GPL-2.0
/* Virtual machines of our own, straight on /dev/kvm: see machine.h. */
#include "machine.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Guest physical, the library's own. */
#define PDPT_HIGH	0x2000	/* top 512 GiB: kernel and modules */
#define PD_KERNEL	0x3000
#define PD_MODULES	0x4000
#define PDPT_DIRECT	0x5000
#define GDT		0x6000
#define IDT		0x7000
#define TSS		0x8000
#define VECTORS		0x9000	/* VECTOR_SIZE bytes each */
#define FAULT_STACK	0xb000	/* top: the double fault's, and of user mode */
#define TABLES		0x10000	/* of machine_entry() */

#define VECTOR_SIZE	16
#define NR_VECTORS	256
#define DOUBLE_FAULT	8

int must(int result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
	return result;
}

bool cpu_has(const char *flag)
{
	static const char flags[] = "flags\t";
	FILE *file = fopen("/proc/cpuinfo", "re");
	char *line = NULL, *word, *rest;
	bool found = false;
	size_t size = 0;

	if (!file)
		err(1, "/proc/cpuinfo");
	while (!found && getline(&line, &size, file) > 0) {
		if (strncmp(line, flags, strlen(flags)))
			continue;
		for (word = strtok_r(line, "\t :\n", &rest); word && !found;
		     word = strtok_r(NULL, "\t :\n", &rest))
			found = !strcmp(word, flag);
	}
	free(line);
	fclose(file);
	return found;
}

enum vendor machine_vendor(void)
{
	static enum vendor vendor;

	if (!vendor)
		vendor = cpu_has("svm") ? SVM : cpu_has("vmx") ? VMX : 0;
	if (!vendor)
		errx(1, "the CPU shows neither svm nor vmx in /proc/cpuinfo");
	return vendor;
}

#define HYPERCALL_LEN	3

static const uint8_t hypercalls[][HYPERCALL_LEN] = {
	[SVM] = { 0x0f, 0x01, 0xd9 },	/* VMMCALL */
	[VMX] = { 0x0f, 0x01, 0xc1 },	/* VMCALL */
};

void put_hypercall(void *at)
{
	memcpy(at, hypercalls[machine_vendor()], HYPERCALL_LEN);
}

void put_foreign_hypercall(void *at)
{
	memcpy(at, hypercalls[machine_vendor() == SVM ? VMX : SVM], HYPERCALL_LEN);
}

static uint64_t *table_at(struct machine *m, uint64_t gpa)
{
	return (uint64_t *)(m->memory + gpa);
}

static void make_tables(struct machine *m)
{
	const uint64_t table = PTE_P | PTE_W, large = PTE_P | PTE_W | PTE_PS;
	unsigned int i;

	table_at(m, PML4)[VA_KERNEL >> 39 & 511] = PDPT_HIGH | table;
	table_at(m, PML4)[VA_DIRECT >> 39 & 511] = PDPT_DIRECT | table;
	table_at(m, PDPT_HIGH)[VA_KERNEL >> 30 & 511] = PD_KERNEL | table;
	table_at(m, PDPT_HIGH)[VA_MODULES >> 30 & 511] = PD_MODULES | table;
	table_at(m, PDPT_DIRECT)[0] = PD_KERNEL | table;
	for (i = 0; i < MODULES / (2 * MIB); i++)
		table_at(m, PD_KERNEL)[i] = i * 2 * MIB | large;
	for (i = 0; i < KVM_GM_MAX_SEALS * WINDOW / (2 * MIB); i++)
		table_at(m, PD_MODULES)[i] = (MODULES + i * 2 * MIB) | large;
	m->free_table = TABLES;
}

uint64_t vector_va(unsigned int vector)
{
	return VA_KERNEL + VECTORS + vector * VECTOR_SIZE;
}

bool vector_has_error_code(unsigned int vector)
{
	return vector < 32 && (1U << vector & 0x60227d00);
}

void machine_set_handler(struct machine *m, unsigned int vector, uint64_t va)
{
	uint64_t *gate = (uint64_t *)table_at(m, IDT) + 2 * vector, ist = vector == DOUBLE_FAULT;

	gate[0] = (va & 0xffff) | KERNEL_CS << 16 | ist << 32 | 0x8eULL << 40 |
		  (va >> 16 & 0xffff) << 48;
	gate[1] = va >> 32;
}

static void make_descriptors(struct machine *m)
{
	const uint64_t tss = VA_KERNEL + TSS, stack = VA_KERNEL + FAULT_STACK;
	uint64_t *gdt = table_at(m, GDT);
	unsigned int i;

	gdt[KERNEL_CS / 8] = 0x00af9b000000ffff;
	gdt[KERNEL_DS / 8] = 0x00cf93000000ffff;
	gdt[USER_CS / 8] = 0x00affb000000ffff;
	gdt[USER_DS / 8] = 0x00cff3000000ffff;
	gdt[COMPAT_CS / 8] = 0x00cf9b000000ffff;
	gdt[ABSENT_DS / 8] = 0x00cf13000000ffff;
	gdt[TSS_SELECTOR / 8] = 0x67 | (tss & 0xffffff) << 16 | 0x8bULL << 40 |
				(tss >> 24 & 0xff) << 56;
	gdt[TSS_SELECTOR / 8 + 1] = tss >> 32;
	memcpy(m->memory + TSS + 4, &stack, sizeof(stack));		/* RSP0 */
	memcpy(m->memory + TSS + 36, &stack, sizeof(stack));		/* IST1 */

	for (i = 0; i < NR_VECTORS; i++) {
		uint8_t *code = m->memory + VECTORS + i * VECTOR_SIZE;

		machine_set_handler(m, i, vector_va(i));
		if (vector_has_error_code(i))
			memcpy(code, "\xf4\x48\x83\xc4\x08\x48\xcf", 7);	/* add $8,%rsp */
		else
			memcpy(code, "\xf4\x48\xcf", 3);
	}
}

void machine_set_slot(struct machine *m, unsigned int slot, uint64_t gpa, uint64_t size,
		      void *memory, unsigned int flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
		.flags = flags,
	};

	must(ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
}

void machine_create(struct machine *m, bool guarded_modules)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_GM };

	*m = (struct machine) {};
	m->kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	m->vm = must(ioctl(m->kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	if (guarded_modules)
		must(ioctl(m->vm, KVM_ENABLE_CAP, &cap), "KVM_CAP_GM");
	m->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->memory == MAP_FAILED)
		err(1, "mmap of the guest's memory");
	machine_set_slot(m, 0, 0, MODULES, m->memory, 0);
	machine_set_slot(m, 1, MODULES, MEMORY - MODULES, m->memory + MODULES, 0);
	make_tables(m);
	make_descriptors(m);
}

static void set_cpuid(struct machine *m, struct vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));

	if (!cpuid)
		err(1, "calloc");
	cpuid->nent = 256;
	must(ioctl(m->kvm, KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
	must(ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
	free(cpuid);
}

struct vcpu *machine_add_vcpu(struct machine *m)
{
	struct vcpu *vcpu = &m->vcpu[m->nr_vcpus];
	int size = must(ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	struct kvm_segment code = {
		.limit = ~0U, .selector = KERNEL_CS, .type = 11, .present = 1, .s = 1, .l = 1,
		.g = 1,
	};
	struct kvm_segment data = {
		.limit = ~0U, .selector = KERNEL_DS, .type = 3, .present = 1, .s = 1, .db = 1,
		.g = 1,
	};
	struct kvm_segment task = {
		.base = VA_KERNEL + TSS, .limit = 0x67, .selector = TSS_SELECTOR, .type = 11,
		.present = 1,
	};
	struct kvm_sregs sregs;

	vcpu->fd = must(ioctl(m->vm, KVM_CREATE_VCPU, m->nr_vcpus), "KVM_CREATE_VCPU");
	m->nr_vcpus++;
	vcpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		err(1, "mmap of the vCPU");
	set_cpuid(m, vcpu);

	sregs = vcpu_sregs(vcpu);
	sregs.cs = code;
	sregs.ss = sregs.ds = sregs.es = sregs.fs = sregs.gs = data;
	sregs.tr = task;
	sregs.gdt.base = VA_KERNEL + GDT;
	sregs.gdt.limit = TSS_SELECTOR + 15;
	sregs.idt.base = VA_KERNEL + IDT;
	sregs.idt.limit = 16 * NR_VECTORS - 1;
	sregs.gs.base = VA_DIRECT;
	sregs.cr3 = PML4;
	sregs.cr0 = 0x80010033;			/* PG, WP, NE, ET, MP, PE */
	sregs.cr4 = 0x620;			/* OSXMMEXCPT, OSFXSR, PAE */
	sregs.efer = 0xd00;			/* NXE, LMA, LME */
	vcpu_set_sregs(vcpu, &sregs);
	return vcpu;
}

void machine_destroy(struct machine *m)
{
	int size = ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	while (m->nr_vcpus) {
		struct vcpu *vcpu = &m->vcpu[--m->nr_vcpus];

		munmap(vcpu->run, size);
		close(vcpu->fd);
	}
	close(m->vm);
	close(m->kvm);
	munmap(m->memory, MEMORY);
}

static uint64_t new_table(struct machine *m)
{
	uint64_t gpa = m->free_table;

	if (gpa == KERNEL)
		errx(1, "no memory for another page table");
	m->free_table += PAGE;
	return gpa;
}

uint64_t *machine_entry(struct machine *m, uint64_t va, int level)
{
	uint64_t table = PML4;
	int l;

	for (l = 4; ; l--) {
		unsigned int shift = 12 + 9 * (l - 1), i;
		uint64_t *entry = &table_at(m, table)[va >> shift & 511];

		if (l == level)
			return entry;
		if (!(*entry & PTE_P)) {
			*entry = new_table(m) | PTE_P | PTE_W | PTE_U;
		} else if (*entry & PTE_PS) {
			uint64_t lower = new_table(m), step = 1ULL << (shift - 9);

			for (i = 0; i < 512; i++)
				table_at(m, lower)[i] = l == 2 ? (*entry & ~PTE_PS) + i * step :
								 *entry + i * step;
			*entry = lower | PTE_P | PTE_W | PTE_U;
		}
		table = *entry & PTE_ADDRESS;
	}
}

void machine_map(struct machine *m, uint64_t va, uint64_t gpa, uint64_t flags)
{
	*machine_entry(m, va, 1) = gpa | flags;
}

void *machine_at(struct machine *m, uint64_t va)
{
	if (va - VA_MODULES < MEMORY - MODULES)
		return m->memory + MODULES + (va - VA_MODULES);
	if (va - VA_KERNEL < MODULES)
		return m->memory + (va - VA_KERNEL);
	if (va - VA_DIRECT < MODULES)
		return m->memory + (va - VA_DIRECT);
	return NULL;
}

int vcpu_run(struct vcpu *vcpu)
{
	if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
		if (errno == EINTR)
			return -1;
		err(1, "KVM_RUN");
	}
	return vcpu->run->exit_reason;
}

struct kvm_regs vcpu_regs(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	must(ioctl(vcpu->fd, KVM_GET_REGS, &regs), "KVM_GET_REGS");
	return regs;
}

void vcpu_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs)
{
	must(ioctl(vcpu->fd, KVM_SET_REGS, regs), "KVM_SET_REGS");
}

struct kvm_sregs vcpu_sregs(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	must(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	return sregs;
}

void vcpu_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	must(ioctl(vcpu->fd, KVM_SET_SREGS, sregs), "KVM_SET_SREGS");
}

void vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = { { .nmsrs = 1 }, { .index = index, .data = value } };

	/* It returns how many it has set. */
	must(ioctl(vcpu->fd, KVM_SET_MSRS, &msrs) == 1 ? 0 : -1, "KVM_SET_MSRS");
}

void module_init(struct module *module, unsigned int window, unsigned int activations,
		 unsigned int stack_pages)
{
	static const uint32_t kinds[] = {
		[REGION_GATES] = KVM_GM_REGION_GATES,
		[REGION_TEXT] = KVM_GM_REGION_TEXT,
		[REGION_RODATA] = KVM_GM_REGION_RODATA,
		[REGION_DATA] = KVM_GM_REGION_DATA,
		[REGION_STACK] = KVM_GM_REGION_STACK,
	};
	unsigned int i;

	memset(module, 0, sizeof(*module));
	if (activations * stack_pages > MODULE_STACKS)
		errx(1, "%u stacks of %u pages are too many", activations, stack_pages);
	module->va = VA_MODULES + window * WINDOW;
	for (i = 0; i < NR_REGIONS; i++)
		module->regions[i] = (struct kvm_gm_region) {
			.va = module->va + i * PAGE,
			.nr_pages = i == REGION_STACK ? activations * stack_pages : 1,
			.kind = kinds[i],
			.content = i == REGION_STACK ? 0 : (uintptr_t)module->content[i],
			.gpas = (uintptr_t)&module->gpas[i],
		};
	for (i = 0; i < REGION_STACK + activations * stack_pages; i++)
		module->gpas[i] = MODULES + window * WINDOW + i * PAGE;
	module->arg = (struct kvm_gm_seal) {
		.size = sizeof(module->arg),
		.name = "victim",
		.nr_regions = NR_REGIONS,
		.stack_pages = stack_pages,
		.regions = (uintptr_t)module->regions,
		.gates = (uintptr_t)module->gates,
		.frames = (uintptr_t)module->frames,
	};
}

void module_add_devices(struct module *module)
{
	uint64_t offset = WINDOW / 2;
	unsigned int i;

	module->regions[REGION_DEVICES] = (struct kvm_gm_region) {
		.va = module->va + offset,
		.nr_pages = DEVICE_PAGES,
		.kind = KVM_GM_REGION_DEVICES,
		.gpas = (uintptr_t)module->device_gpas,
	};
	for (i = 0; i < DEVICE_PAGES; i++)
		module->device_gpas[i] = module->gpas[0] + offset + i * PAGE;
	module->arg.nr_regions = NR_REGIONS + 1;
}

void module_add_gate(struct module *module, uint64_t insn, uint64_t target,
		     enum kvm_gm_gate_kind kind, unsigned int flags, unsigned int stack_words)
{
	if (module->arg.nr_gates == MODULE_GATES)
		errx(1, "no room for another gate");
	module->gates[module->arg.nr_gates++] = (struct kvm_gm_gate) {
		.insn = insn,
		.target = target,
		.kind = kind,
		.flags = flags,
		.stack_words = stack_words,
	};
}

void module_set_trampoline(struct module *module, uint64_t trampoline, uint64_t ret)
{
	uint8_t *gates = module->content[REGION_GATES];

	memcpy(gates + (trampoline - module->va), "\x41\xff\xd3", 3);
	gates[ret - module->va] = 0xc3;
	module->arg.trampoline = trampoline;
	module->arg.ret = ret;
}

int module_seal(struct machine *m, struct module *module)
{
	return ioctl(m->vm, KVM_GM_SEAL, &module->arg) < 0 ? -errno : 0;
}
