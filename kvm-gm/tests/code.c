// SPDX-License-Identifier: GPL-2.0
/*
 * I4: the text that runs is the signed text; the guest can never change it, not
 * through another mapping, DMA, KVM's own writes or a change of its memory.
 */
#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "attack.h"

#define DECOY		0xdec0dec0dec0dec0
#define SP		STACK(0)
#define VA_MMIO		(VA_ABSENT + 0x10000)
#define MMIO		(MEMORY + 16 * MIB)

extern const char kernel_write[], kernel_lock_or[], kernel_string_copy[], kernel_push[];

struct target {
	unsigned int region;
	unsigned int offset;
	const char *code;	/* the kernel's instruction, to RDI */
	bool alias;		/* by another mapping of the frame */
};

static void refused_write(uint64_t va, uint64_t rip)
{
	unsigned int region = (va - victim.va) / PAGE;

	expect_violation(cpu, KVM_GM_V_WRITE, bypassed_gate(va), rip, va,
			 .gpa = region_gpa(region) + (va & (PAGE - 1)), .module = &victim);
}

static void write_from_outside(const struct attack *attack)
{
	const struct target *t = attack->with;
	const char *code = t->code ?: kernel_write;
	struct kvm_regs regs;
	uint64_t va;

	start();
	va = region_va(t->region) + t->offset;
	machine_map(&vm, VA_ABSENT, region_gpa(t->region), PTE_P | PTE_W);
	regs = kernel_regs(kernel_va(code), SP);
	regs.rdi = t->alias ? VA_ABSENT + t->offset : va;
	regs.rsi = VA_SCRATCH;
	vcpu_set_regs(cpu, &regs);
	refused_write(va, kernel_va(code));
	expect_intact();
}

static void push_to_text(const struct attack *attack)
{
	uint64_t va;

	(void)attack;
	start();
	va = region_va(REGION_TEXT) + 0x100;
	kernel_at(cpu, kernel_va(kernel_push), va);
	vcpu_set_regs(cpu, &(struct kvm_regs) { .rip = kernel_va(kernel_push), .rsp = va,
						.rsi = VA_SCRATCH, .rflags = 2 });
	expect_violation(cpu, KVM_GM_V_WRITE, bypassed_gate(va - 8), kernel_va(kernel_push),
			 va - 8, .gpa = region_gpa(REGION_TEXT) + 0x100 - 8, .module = &victim,
			 .no_stack = true);
	expect_intact();
}

/* The CPU itself pushes to sealed text, as it delivers an exception. */
static void exception_frame_to_text(const struct attack *attack)
{
	uint64_t va;

	(void)attack;
	start();
	va = region_va(REGION_TEXT) + 0x100;
	kernel_at(cpu, VA_ABSENT, va);
	expect_violation(cpu, KVM_GM_V_WRITE, bypassed_gate(va - 8), VA_ABSENT, va - 8,
			 .gpa = region_gpa(REGION_TEXT) + 0x100 - 8, .module = &victim,
			 .vector = DF_VECTOR);
	expect_intact();
}

/* The CPU's walk of page tables that lie in sealed pages sets no bits in them. */
static void page_tables_in_data(const struct attack *attack)
{
	uint64_t *entry, va;

	(void)attack;
	start_with(&(struct setup) { .unsealed = true });
	va = VA_ABSENT;
	memcpy(victim.content[REGION_DATA], &(uint64_t){ SCRATCH | PTE_P | PTE_W }, 8);
	seal(&victim);
	machine_map(&vm, va, SCRATCH, PTE_P | PTE_W);
	entry = machine_entry(&vm, va, 2);
	*entry = region_gpa(REGION_DATA) | PTE_P | PTE_W;
	kernel_stores(cpu, va, 1);
	expect_violation(cpu, KVM_GM_V_WRITE, KVM_GM_NO_GATE, kernel_va(kernel_write),
			 region_va(REGION_DATA), .gpa = region_gpa(REGION_DATA),
			 .module = &victim);
	expect_equal("the entry", kernel_loads(cpu, region_va(REGION_DATA)),
		     SCRATCH | PTE_P | PTE_W);
}

/* --- by way of KVM or its userspace -------------------------------------------------- */

/* As a device, vhost or a device model does. */
static void dma(const struct attack *attack)
{
	(void)attack;
	start();
	memset(vm.memory + MODULES, 0x90, MODULE_PAGES * PAGE);
	expect_intact();
}

/* The same memory at another guest frame. */
static void other_slot(const struct attack *attack)
{
	(void)attack;
	start();
	machine_set_slot(&vm, 2, MEMORY, PAGE, vm.memory + region_gpa(REGION_TEXT), 0);
	machine_map(&vm, VA_ABSENT, MEMORY, PTE_P | PTE_W);
	kernel_stores(cpu, VA_ABSENT, 0x9090909090909090);
	expect_halt(cpu, kernel_va(kernel_write) + 3);
	expect_equal("the guest's copy", *word_at(region_va(REGION_TEXT)), 0x9090909090909090);
	expect_intact();
}

/* KVM emulates an instruction that reads a device's register and writes to text. */
static void emulated(const struct attack *attack)
{
	const struct target *t = attack->with;
	uint64_t va;
	struct kvm_regs regs;

	start();
	va = region_va(t->region) + t->offset;
	machine_map(&vm, VA_MMIO, MMIO, PTE_P | PTE_W);
	regs = kernel_regs(kernel_va(t->code), SP);
	regs.rdi = va;
	regs.rsi = VA_MMIO;
	if (t->code == kernel_push)
		regs.rsp = va + 8;
	vcpu_set_regs(cpu, &regs);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_MMIO);
	expect_equal("device register", cpu->run->mmio.phys_addr, MMIO);
	memset(cpu->run->mmio.data, 0x90, 8);
	expect_halt(cpu, kernel_va(t->code) + 2);
	expect_intact();
}

/* What KVM loads on behalf of an instruction is the guest's own copy as well. */
static void emulated_load(const struct attack *attack)
{
	const struct target *t = attack->with;
	struct kvm_regs regs;
	uint64_t data;

	start();
	machine_map(&vm, VA_MMIO, MMIO, PTE_P | PTE_W);
	regs = kernel_regs(kernel_va(t->code), SP);
	regs.rdi = VA_MMIO;
	regs.rsi = region_va(t->region) + t->offset;
	*word_at(regs.rsi) = DECOY;
	vcpu_set_regs(cpu, &regs);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_MMIO);
	expect_equal("device register", cpu->run->mmio.phys_addr, MMIO);
	expect_equal("a store", cpu->run->mmio.is_write, 1);
	memcpy(&data, cpu->run->mmio.data, 8);
	expect_equal("what the device gets", data, DECOY);
	expect_halt(cpu, kernel_va(t->code) + 2);
	expect_intact();
}

/* --- changes of the guest's memory ------------------------------------------------------ */

static void dirty_logging(const struct attack *attack)
{
	static uint8_t bitmap[(MEMORY - MODULES) / PAGE / 8];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };
	unsigned int i;

	(void)attack;
	start();
	for (i = 0; i < 3; i++) {
		machine_set_slot(&vm, 1, MODULES, MEMORY - MODULES, vm.memory + MODULES,
				 KVM_MEM_LOG_DIRTY_PAGES);
		kernel_stores(cpu, region_va(REGION_TEXT), 0);
		refused_write(region_va(REGION_TEXT), kernel_va(kernel_write));
		kernel_stores(cpu, VA_BESIDE, 0);
		expect_halt(cpu, kernel_va(kernel_write) + 3);
		expect_intact();
		must(ioctl(vm.vm, KVM_GET_DIRTY_LOG, &log), "KVM_GET_DIRTY_LOG");
		expect(bitmap[0x100 / 8] & 1, "the page beside the module is not dirty");
		kernel_stores(cpu, region_va(REGION_DATA), 0);
		refused_write(region_va(REGION_DATA), kernel_va(kernel_write));
		machine_set_slot(&vm, 1, MODULES, MEMORY - MODULES, vm.memory + MODULES, 0);
		kernel_stores(cpu, region_va(REGION_GATES), 0);
		refused_write(region_va(REGION_GATES), kernel_va(kernel_write));
		expect_intact();
	}
}

static void slot_deleted(const struct attack *attack)
{
	(void)attack;
	start();
	machine_set_slot(&vm, 1, MODULES, 0, vm.memory + MODULES, 0);
	expect_intact();
	kernel_stores(cpu, region_va(REGION_TEXT), 0);
	refused_write(region_va(REGION_TEXT), kernel_va(kernel_write));
	expect_intact();
}

static void slot_replaced(const struct attack *attack)
{
	uint8_t *memory = mmap(NULL, MEMORY - MODULES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)attack;
	if (memory == MAP_FAILED)
		err(1, "mmap");
	start();
	machine_set_slot(&vm, 1, MODULES, 0, vm.memory + MODULES, 0);
	machine_set_slot(&vm, 1, MODULES, MEMORY - MODULES, memory, 0);
	expect_intact();
	kernel_stores(cpu, region_va(REGION_TEXT), 0);
	refused_write(region_va(REGION_TEXT), kernel_va(kernel_write));
	kernel_stores(cpu, VA_BESIDE, 1);
	expect_halt(cpu, kernel_va(kernel_write) + 3);
	expect_equal("the new memory", memory[0x100000], 1);
	expect_intact();
}

static void slot_moved(const struct attack *attack)
{
	(void)attack;
	start();
	machine_set_slot(&vm, 1, MODULES + 512 * MIB, MEMORY - MODULES, vm.memory + MODULES, 0);
	expect_intact();
	kernel_stores(cpu, region_va(REGION_TEXT), 0);
	refused_write(region_va(REGION_TEXT), kernel_va(kernel_write));
	machine_set_slot(&vm, 1, MODULES, MEMORY - MODULES, vm.memory + MODULES, 0);
	expect_intact();
}

static void slot_read_only(const struct attack *attack)
{
	(void)attack;
	start();
	machine_set_slot(&vm, 1, MODULES, 0, vm.memory + MODULES, 0);
	machine_set_slot(&vm, 1, MODULES, MEMORY - MODULES, vm.memory + MODULES,
			 KVM_MEM_READONLY);
	expect_intact();
	kernel_stores(cpu, region_va(REGION_TEXT), 0);
	refused_write(region_va(REGION_TEXT), kernel_va(kernel_write));
	expect_intact();
}

static void memory_taken_away(const struct attack *attack)
{
	(void)attack;
	start();
	must(madvise(vm.memory + MODULES, 2 * MIB, MADV_DONTNEED), "MADV_DONTNEED");
	expect_intact();
	must(mprotect(vm.memory + MODULES, 2 * MIB, PROT_NONE), "mprotect");
	expect_intact();
	must(mprotect(vm.memory + MODULES, 2 * MIB, PROT_READ), "mprotect");
	expect_intact();
	must(munmap(vm.memory + MODULES, 2 * MIB), "munmap");
	kernel_stores(cpu, region_va(REGION_TEXT), 0);
	refused_write(region_va(REGION_TEXT), kernel_va(kernel_write));
	expect_intact();
}

/* What the guest had mapped, and used, before the seal is of no use after it. */
static void mapped_before(const struct attack *attack)
{
	const uint64_t *pages = attack->with;
	uint8_t *memory;
	unsigned int i;

	start_with(&(struct setup) { .unsealed = true });
	/* At 2 MiB, so that KVM may map it all at once if the host does. */
	memory = mmap(NULL, *pages * PAGE + 2 * MIB, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	memory = (uint8_t *)(((uintptr_t)memory + 2 * MIB - 1) & ~(2 * MIB - 1));
	must(madvise(memory, *pages * PAGE, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	machine_set_slot(&vm, 1, MODULES, 0, vm.memory + MODULES, 0);
	machine_set_slot(&vm, 1, MODULES, *pages * PAGE, memory, 0);
	for (i = 0; i < 16; i++) {
		kernel_stores(cpu, victim.va + i * PAGE, i);
		expect_halt(cpu, kernel_va(kernel_write) + 3);
	}
	seal(&victim);
	expect_intact();
	kernel_stores(cpu, region_va(REGION_TEXT), 0);
	refused_write(region_va(REGION_TEXT), kernel_va(kernel_write));
	/* A fault beside the module must not map the module again. */
	kernel_stores(cpu, victim.va + 15 * PAGE, 0);
	expect_halt(cpu, kernel_va(kernel_write) + 3);
	kernel_stores(cpu, region_va(REGION_TEXT), 0);
	refused_write(region_va(REGION_TEXT), kernel_va(kernel_write));
	expect_intact();
}

#ifndef KVM_PRE_FAULT_MEMORY		/* Linux 6.11 */
struct kvm_pre_fault_memory {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};
#define KVM_PRE_FAULT_MEMORY	_IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#endif

/* Pages are mapped by faults that are looked at, and by nothing else. */
static void mapped_ahead(const struct attack *attack)
{
	struct kvm_pre_fault_memory range = { .size = PAGE };

	(void)attack;
	start();
	range.gpa = region_gpa(REGION_TEXT);
	expect_equal("KVM_PRE_FAULT_MEMORY", ioctl(cpu->fd, KVM_PRE_FAULT_MEMORY, &range), -1);
	expect_equal("its error", errno, EOPNOTSUPP);
	expect_intact();
}

/* What a seal gives back is the guest's own copy, not what was sealed. */
static void after_unseal(const struct attack *attack)
{
	uint32_t id;

	(void)attack;
	start();
	expect_intact();
	id = victim.arg.id;
	must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
	victim_is_gone();
	expect_equal("text", kernel_loads(cpu, region_va(REGION_TEXT)), 0xf4f4f4f4f4f4f4f4);
	expect_equal("data", kernel_loads(cpu, region_va(REGION_DATA)), 0xf4f4f4f4f4f4f4f4);
	kernel_stores(cpu, region_va(REGION_TEXT), 1);
	expect_halt(cpu, kernel_va(kernel_write) + 3);
	expect_equal("text", kernel_loads(cpu, region_va(REGION_TEXT)), 1);
	kernel_at(cpu, region_va(REGION_TEXT) + 8, SP);
	expect_halt(cpu, region_va(REGION_TEXT) + 8);
}

#define WRITE(label, what, ...) \
	{ "write-" label, 4, "a write to " what ": write", write_from_outside, \
	  &(const struct target){ __VA_ARGS__ } }

const struct attack code_attacks[] = {
	WRITE("text", "text", .region = REGION_TEXT),
	WRITE("text-end", "the last word of text", .region = REGION_TEXT, .offset = PAGE - 8),
	WRITE("out-call-gate", "an out-call gate", .region = REGION_TEXT, .offset = 0xf00),
	WRITE("in-call-gate", "an in-call gate", .region = REGION_GATES),
	WRITE("trampoline", "the trampoline", .region = REGION_GATES, .offset = 0x80),
	WRITE("text-alias", "text by another mapping", .region = REGION_TEXT, .offset = 0x10,
	      .alias = true),
	WRITE("gates-alias", "the gates by another mapping", .region = REGION_GATES,
	      .offset = 0x20, .alias = true),
	WRITE("text-locked", "text, locked", .region = REGION_TEXT, .code = kernel_lock_or),
	WRITE("text-string", "text by a string instruction", .region = REGION_TEXT,
	      .code = kernel_string_copy),
	{ "write-text-push", 4, "a push to text: write", push_to_text, NULL },
	{ "write-text-exception", 4, "an exception whose frame would go to text: write, then #DF",
	  exception_frame_to_text, NULL },
	{ "write-table-bits", 4, "page tables in data, where the CPU would set a bit: write",
	  page_tables_in_data, NULL },
	{ "dma", 4, "DMA to all of the module: the guest's copy changes, nothing else", dma, NULL },
	{ "slot-alias", 4, "a write by a second slot of the same memory: the guest's copy changes",
	  other_slot, NULL },
	{ "emulated-string", 4, "a copy from a device to text: the guest's copy changes",
	  emulated, &(const struct target){ REGION_TEXT, 0, kernel_string_copy, false } },
	{ "emulated-push", 4, "a push of a device's register to text: the guest's copy changes",
	  emulated, &(const struct target){ REGION_TEXT, 0x100, kernel_push, false } },
	{ "emulated-data", 4, "a copy from a device to private data: the guest's copy changes",
	  emulated, &(const struct target){ REGION_DATA, 0, kernel_string_copy, false } },
	{ "emulated-load", 4, "a copy from text to a device: of the guest's copy",
	  emulated_load, &(const struct target){ REGION_TEXT, 0, kernel_string_copy, false } },
	{ "emulated-load-data", 5, "a copy from private data to a device: of the guest's copy",
	  emulated_load, &(const struct target){ REGION_DATA, 0, kernel_string_copy, false } },
	{ "dirty-logging", 4, "dirty logging switched on and off: write each time",
	  dirty_logging, NULL },
	{ "slot-deleted", 4, "the slot under the module deleted: it runs on", slot_deleted, NULL },
	{ "slot-replaced", 4, "other memory under the module: it runs on", slot_replaced, NULL },
	{ "slot-moved", 4, "the slot under the module moved away and back: it runs on",
	  slot_moved, NULL },
	{ "slot-read-only", 4, "read-only memory put under the module: it runs on",
	  slot_read_only, NULL },
	{ "memory-gone", 4, "the memory under the module discarded, unmapped: it runs on",
	  memory_taken_away, NULL },
	{ "mapped-before", 4, "small mappings from before the seal: write",
	  mapped_before, &(const uint64_t){ 64 } },
	{ "mapped-before-large", 4, "large mappings from before the seal: write",
	  mapped_before, &(const uint64_t){ 512 } },
	{ "mapped-ahead", 4, "KVM_PRE_FAULT_MEMORY: EOPNOTSUPP", mapped_ahead, NULL },
	{ "unsealed", 4, "an unseal: the guest has its own copy, not what was sealed",
	  after_unseal, NULL },
	{}
};
