// SPDX-License-Identifier: GPL-2.0
/*
 * I6: while inside, the module's own addresses reach its own sealed pages,
 * whatever any vCPU does to the guest's page tables at the same time.
 */
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "attack.h"

#define SP		STACK(0)
#define RESULT		0x1234
#define FORGED		(SCRATCH + 0x10000)	/* guest physical: tables, levels 1.. */
#define FORGED_PAGE	(SCRATCH + 0x20000)	/* what they map in the module's place */
#define CR3_LEVEL	5

extern const char kernel_write[], kernel_read[], text_read[], text_write[], text_out[];
extern const char text_count[], text_sum[], text_goto[], text_read_private[];

/* --- the guest's own tables, forged ------------------------------------------------- */

static uint64_t forged_table(int level)
{
	return FORGED + (level - 1) * PAGE;
}

static uint64_t table_of(int level)
{
	return ((uint8_t *)machine_entry(&vm, victim.va, level) - vm.memory) & ~(PAGE - 1);
}

/*
 * Tables in which only the victim's gates are where they were. The entry that
 * leads to the forged ones is that of @level, or CR3.
 */
static void forge(struct vcpu *vcpu, int level)
{
	struct kvm_sregs sregs;
	uint64_t *forged;
	unsigned int i;
	int l;

	memset(vm.memory + FORGED_PAGE, 0xf4, PAGE);
	for (l = 1; l < CR3_LEVEL; l++) {
		forged = (uint64_t *)(vm.memory + forged_table(l));
		memcpy(forged, vm.memory + table_of(l), PAGE);
		if (l > 1)
			forged[victim.va >> (12 + 9 * (l - 1)) & 511] =
				forged_table(l - 1) | PTE_P | PTE_W;
		else
			for (i = REGION_TEXT; i < MODULE_PAGES; i++)
				forged[(victim.va >> 12 & 511) + i] = FORGED_PAGE | PTE_P | PTE_W;
	}
	if (level == 1) {
		memcpy(vm.memory + table_of(1), vm.memory + forged_table(1), PAGE);
	} else if (level < CR3_LEVEL) {
		*machine_entry(&vm, victim.va, level) = forged_table(level - 1) | PTE_P | PTE_W;
	} else {
		sregs = vcpu_sregs(vcpu);
		sregs.cr3 = forged_table(4);
		vcpu_set_sregs(vcpu, &sregs);
	}
}

static uint64_t cr3_of(int level)
{
	return level == CR3_LEVEL ? forged_table(4) : PML4;
}

static uint64_t finish(struct vcpu *vcpu, int level)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	extern const char kernel_halt[];

	regs = expect_halt(vcpu, kernel_va(kernel_halt));
	sregs = vcpu_sregs(vcpu);
	expect_equal("CR3", sregs.cr3, cr3_of(level));
	sregs.cr3 = PML4;
	vcpu_set_sregs(vcpu, &sregs);
	return regs.rax;
}

static void remapped_before(const struct attack *attack)
{
	const int *level = attack->with;

	start();
	forge(cpu, *level);
	call_gate(cpu, GATE_NULL, SP, RESULT - 1, 0, 0);
	expect_equal("result", finish(cpu, *level), RESULT);
	forge(cpu, *level);
	call_text(cpu, text_read_private, SP, 0, 0);
	expect_equal("private data", finish(cpu, *level), 0xdadadadadadadada);
}

static void remapped_while_out(const struct attack *attack)
{
	const int *level = attack->with;
	extern const char kernel_callee[];

	start();
	call_text(cpu, text_out, SP, 0, 0);
	expect_halt(cpu, kernel_va(kernel_callee));
	forge(cpu, *level);
	callee_returns(cpu, RESULT - 1);
	expect_equal("result", finish(cpu, *level), RESULT);
}

static void remapped_while_interrupted(const struct attack *attack)
{
	const int *level = attack->with;

	start();
	call_text(cpu, text_read, SP, VA_ABSENT, 0);
	expect_event(cpu, PF_VECTOR, 0, SP);
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
	*word_at(VA_SCRATCH) = RESULT;
	forge(cpu, *level);
	handler_returns(cpu);
	expect_equal("result", finish(cpu, *level), RESULT);
}

static void remapped_while_inside(const struct attack *attack)
{
	const int *level = attack->with;
	unsigned int i;

	start();
	*word_at(VA_SCRATCH) = 0;
	call_text(cpu, text_count, SP, VA_SCRATCH, 0);
	run_until_inside(cpu);
	forge(cpu, *level);
	for (i = 0; i < 3; i++)
		run_until_inside(cpu);
	*word_at(VA_SCRATCH) = 1;
	expect(finish(cpu, *level), "the module did not count");
}

/* --- the module's own frames, in another order ------------------------------------------ */

/* The frame, by number, to which the victim's page @i is mapped. */
typedef unsigned int frame_fn(unsigned int i, unsigned int how);

static unsigned int rotated(unsigned int i, unsigned int how)
{
	return (i + how) % MODULE_PAGES;
}

static unsigned int reversed(unsigned int i, unsigned int how)
{
	(void)how;
	return MODULE_PAGES - 1 - i;
}

static unsigned int all_one(unsigned int i, unsigned int how)
{
	(void)i;
	return how;
}

static void arrange(frame_fn *frame, unsigned int how)
{
	unsigned int i;

	for (i = 0; i < MODULE_PAGES; i++)
		machine_map(&vm, victim.va + i * PAGE, victim.gpas[frame(i, how)], PTE_P | PTE_W);
}

/* As they were: who comes by a gate executes what is there. */
static void arrange_gates(void)
{
	machine_map(&vm, victim.va, victim.gpas[REGION_GATES], PTE_P | PTE_W);
}

/* Before the call, while it is out and while it is interrupted: another each time. */
static void call_with_frames(frame_fn *frame, unsigned int how)
{
	extern const char text_journey[];

	arrange(rotated, 0);
	*machine_entry(&vm, VA_ABSENT, 1) = 0;
	*word_at(VA_SCRATCH) = 1;
	arrange(frame, how);
	arrange_gates();
	call_text(cpu, text_journey, SP, VA_ABSENT, 0);
	expect_out_call(cpu, SP);
	arrange(frame, how + 1);
	arrange_gates();
	callee_returns(cpu, RESULT - 1);
	expect_event(cpu, PF_VECTOR, 0, SP);
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
	arrange(frame, how + 2);
	arrange_gates();
	handler_returns(cpu);
	expect_equal("result", expect_return(cpu), RESULT);
	arrange(frame, how);
	arrange_gates();
	call_text(cpu, text_read_private, SP, 0, 0);
	expect_equal("private data", expect_return(cpu), 0xdadadadadadadada);
}

static void frames_arranged(const struct attack *attack)
{
	frame_fn *const *frame = attack->with;
	unsigned int how;

	start();
	for (how = 0; how < MODULE_PAGES - 2; how++)
		call_with_frames(*frame, how);
	arrange(rotated, 0);
}

/* Whole tables change places: another module's where the victim's was. */
static void tables_swapped(const struct attack *attack)
{
	uint64_t *mine, *its, was;
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .other = true });
	mine = machine_entry(&vm, victim.va, 2);
	its = machine_entry(&vm, other.va, 2);
	was = *mine;
	for (i = 0; i < 4; i++) {
		*mine = i & 1 ? was : *its;
		call_gate(cpu, GATE_NULL, SP, RESULT - 1, 0, 0);
		expect_equal("result", expect_return(cpu), RESULT);
		call_text(cpu, text_read_private, SP, 0, 0);
		expect_equal("private data", expect_return(cpu), 0xdadadadadadadada);
		call_text(cpu, text_out, SP, 0, 0);
		expect_out_call(cpu, SP);
		*mine = i & 1 ? *its : was;
		callee_returns(cpu, RESULT - 1);
		expect_equal("result", expect_return(cpu), RESULT);
	}
	*mine = was;
}

/* --- addresses beside the module ------------------------------------------------------ */

static uint64_t module_reads(uint64_t va)
{
	call_text(cpu, text_read, SP, va, 0);
	return expect_return(cpu);
}

/* What the module saw there once is not kept: the guest may map it elsewhere. */
static void beside_reserved(const struct attack *attack)
{
	struct kvm_regs regs = kernel_regs(kernel_va(kernel_read), SP);
	uint64_t error;

	(void)attack;
	start();
	machine_map(&vm, VA_BESIDE, SCRATCH | 1ULL << 51, PTE_P | PTE_W);
	/* What the CPU tells the kernel of it, which is whether it says P as well. */
	regs.rdi = VA_BESIDE;
	vcpu_set_regs(cpu, &regs);
	regs = expect_halt(cpu, vector_va(PF_VECTOR));
	error = *word_at(regs.rsp);
	expect_equal("error code, but for P", error & ~1ULL, 8);

	call_text(cpu, text_read, SP, VA_BESIDE, 0);
	expect_event(cpu, PF_VECTOR, error, SP);
	machine_map(&vm, VA_BESIDE, SCRATCH, PTE_P | PTE_W);
	*word_at(VA_SCRATCH) = RESULT;
	handler_returns(cpu);
	expect_equal("result", expect_return(cpu), RESULT);
}

static void beside_remapped(const struct attack *attack)
{
	uint64_t i;

	(void)attack;
	start();
	for (i = 0; i < 20; i++) {
		*word_at(VA_SCRATCH + i * PAGE) = 100 + i;
		machine_map(&vm, VA_BESIDE, SCRATCH + i * PAGE, PTE_P);
		expect_equal("what the module reads", module_reads(VA_BESIDE), 100 + i);
	}
	*machine_entry(&vm, VA_BESIDE, 1) = 0;
	call_text(cpu, text_read, SP, VA_BESIDE, 0);
	expect_event(cpu, PF_VECTOR, 0, SP);
}

static void beside_remapped_while_out(const struct attack *attack)
{
	(void)attack;
	start();
	*word_at(VA_SCRATCH) = 1;
	*word_at(VA_SCRATCH + PAGE) = 2;
	machine_map(&vm, VA_BESIDE, SCRATCH, PTE_P);
	expect_equal("what the module reads", module_reads(VA_BESIDE), 1);
	call_text(cpu, text_out, SP, 0, 0);
	expect_out_call(cpu, SP);
	machine_map(&vm, VA_BESIDE, SCRATCH + PAGE, PTE_P);
	callee_returns(cpu, RESULT - 1);
	expect_equal("result", expect_return(cpu), RESULT);
	expect_equal("what the module reads", module_reads(VA_BESIDE), 2);
}

/* More pages than entries are borrowed at a time. */
static void beside_many(const struct attack *attack)
{
	struct kvm_regs regs;
	uint64_t i, sum = 0;

	(void)attack;
	start();
	for (i = 0; i < 200; i++) {
		*word_at(VA_SCRATCH + i * PAGE) = i * i;
		machine_map(&vm, VA_BESIDE + i * PAGE, SCRATCH + i * PAGE, PTE_P);
		sum += i * i;
	}
	call_text(cpu, text_sum, SP, VA_BESIDE, PAGE);
	regs = vcpu_regs(cpu);
	regs.rcx = 200;
	vcpu_set_regs(cpu, &regs);
	expect_equal("sum", expect_return(cpu), sum);
	expect_intact();
}

/* Where the guest has a large page, in a table of the module's. */
static void beside_large(const struct attack *attack)
{
	uint64_t va = VA_MODULES + 4 * MIB;

	(void)attack;
	start();
	*word_at(va + 0x1000) = RESULT;
	expect_equal("what the module reads", module_reads(va + 0x1000), RESULT);
	/* A large page of the guest's over the module itself is not there inside. */
	machine_map(&vm, VA_BESIDE, SCRATCH, PTE_P);
	*machine_entry(&vm, victim.va, 2) = MODULES | PTE_P | PTE_W | PTE_PS;
	expect_intact();
}

/* --- pages that userspace says are not mapped elsewhere -------------------------------- */

static void start_with_shared(struct kvm_gm_shared shared)
{
	start_with(&(struct setup) { .unsealed = true });
	victim.arg.shared = (uintptr_t)&shared;
	victim.arg.nr_shared = 1;
	seal(&victim);
}

/* What was there first is what the module sees; beside that it is not. */
static void shared_kept(const struct attack *attack)
{
	const struct kvm_gm_shared shared = { VA_BESIDE + PAGE, 2 };
	unsigned int i;

	(void)attack;
	start_with_shared(shared);
	*word_at(VA_SCRATCH) = 1;
	*word_at(VA_SCRATCH + PAGE) = 2;
	for (i = 0; i < 4; i++) {
		machine_map(&vm, VA_BESIDE + i * PAGE, SCRATCH, PTE_P);
		expect_equal("what the module reads", module_reads(VA_BESIDE + i * PAGE), 1);
	}
	for (i = 0; i < 4; i++) {
		machine_map(&vm, VA_BESIDE + i * PAGE, SCRATCH + PAGE, PTE_P);
		expect_equal("what the module reads", module_reads(VA_BESIDE + i * PAGE),
			     i == 1 || i == 2 ? 1 : 2);
	}
	/* It is memory like any: what is written there is seen at once. */
	*word_at(VA_SCRATCH) = RESULT;
	expect_equal("what the module reads", module_reads(VA_BESIDE + PAGE), RESULT);
	expect_intact();
}

/* What the CPU may not do by what is kept is looked up again. */
static void shared_rights(const struct attack *attack)
{
	const struct kvm_gm_shared shared = { VA_BESIDE, 1 };

	(void)attack;
	start_with_shared(shared);
	call_text(cpu, text_read, SP, VA_BESIDE, 0);
	expect_event(cpu, PF_VECTOR, 0, SP);
	machine_map(&vm, VA_BESIDE, SCRATCH, PTE_P);
	handler_returns(cpu);
	expect_return(cpu);
	call_text(cpu, text_write, SP, VA_BESIDE, RESULT);
	expect_event(cpu, PF_VECTOR, 3, SP);
	machine_map(&vm, VA_BESIDE, SCRATCH, PTE_P | PTE_W);
	handler_returns(cpu);
	expect_return(cpu);
	expect_equal("what the module has written", *word_at(VA_SCRATCH), RESULT);
	expect_intact();
}

/* A large page is none of them. */
static void shared_large(const struct attack *attack)
{
	const struct kvm_gm_shared shared = { VA_MODULES + 4 * MIB, 512 };

	(void)attack;
	start_with_shared(shared);
	call_text(cpu, text_read, SP, shared.va + PAGE, 0);
	expect_event(cpu, PF_VECTOR, 0, SP);
	expect_intact();
}

/* The module's own pages are so no less. */
static void shared_over_module(const struct attack *attack)
{
	const struct kvm_gm_shared shared = { VA_MODULES, 512 };
	unsigned int level;

	(void)attack;
	start_with_shared(shared);
	for (level = 1; level <= CR3_LEVEL; level++) {
		forge(cpu, level);
		call_text(cpu, text_read_private, SP, 0, 0);
		expect_equal("private data", finish(cpu, level), 0xdadadadadadadada);
	}
}

/* KVM's own frames are not reached by them. */
static void shared_aperture(const struct attack *attack)
{
	const struct kvm_gm_shared shared = { VA_BESIDE, 1 };
	const uint64_t gpa = 1ULL << 39;	/* the first address where they may be */

	(void)attack;
	start_with_shared(shared);
	machine_map(&vm, VA_BESIDE, gpa, PTE_P | PTE_W);
	call_text(cpu, text_write, SP, VA_BESIDE, 0);
	expect_violation(cpu, KVM_GM_V_ACCESS, KVM_GM_NO_GATE, text_va(text_write), 0,
			 .gpa = gpa, .module = &victim, .inside = SP,
			 .policy = KVM_GM_POLICY_QUARANTINE);
	victim_is_gone();
}

/* A page of 1 GiB, with the module's frames in it. */
static void huge_page(const struct attack *attack)
{
	uint64_t va = VA_ABSENT + region_gpa(REGION_DATA), alias;

	(void)attack;
	start();
	alias = VA_ABSENT + region_gpa(REGION_DATA);
	va = VA_ABSENT + SCRATCH;
	*machine_entry(&vm, VA_ABSENT, 3) = PTE_P | PTE_W | PTE_PS;
	*word_at(VA_SCRATCH) = RESULT;
	expect_equal("what the module reads", module_reads(va), RESULT);
	call_text(cpu, text_write, SP, alias, 0);
	expect_violation(cpu, KVM_GM_V_ACCESS, KVM_GM_NO_GATE, text_va(text_write),
			 region_va(REGION_DATA), .gpa = region_gpa(REGION_DATA),
			 .module = &victim, .inside = SP);
	kernel_stores(cpu, alias, 0);
	expect_violation(cpu, KVM_GM_V_WRITE, KVM_GM_NO_GATE, kernel_va(kernel_write),
			 region_va(REGION_DATA), .gpa = region_gpa(REGION_DATA),
			 .module = &victim);
	expect_intact();
}

/* The PML4 maps itself: the module can write the guest's tables, not KVM's. */
static void recursive(const struct attack *attack)
{
	uint64_t slot = 0x1f0, table, text = region_va(REGION_TEXT);

	(void)attack;
	start();
	machine_map(&vm, text, region_gpa(REGION_TEXT), PTE_P | PTE_W);
	((uint64_t *)(vm.memory + PML4))[slot] = PML4 | PTE_P | PTE_W;
	/* The entry of the text's page, by one level less. */
	table = 0xffff000000000000 | slot << 39 | (text >> 9 & 0x7ffffffff8);
	call_text(cpu, text_write, SP, table, FORGED_PAGE | PTE_P | PTE_W);
	expect_equal("result", expect_return(cpu), 1);
	expect_equal("the guest's entry", *machine_entry(&vm, text, 1) & PTE_ADDRESS,
		     FORGED_PAGE);
	call_gate(cpu, GATE_NULL, SP, RESULT - 1, 0, 0);
	expect_equal("result", expect_return(cpu), RESULT);
	machine_map(&vm, text, region_gpa(REGION_TEXT), PTE_P | PTE_W);
	expect_intact();
}

/* Global translations would outlive a change of CR3. */
static void global(const struct attack *attack)
{
	struct kvm_sregs sregs;
	unsigned int i;

	(void)attack;
	start();
	sregs = vcpu_sregs(cpu);
	sregs.cr4 |= 0x80;
	vcpu_set_sregs(cpu, &sregs);
	memset(vm.memory + FORGED_PAGE, 0xf4, PAGE);
	for (i = 0; i < 20; i++) {
		machine_map(&vm, region_va(REGION_TEXT), FORGED_PAGE, PTE_P | PTE_W | PTE_G);
		machine_map(&vm, region_va(REGION_DATA), FORGED_PAGE, PTE_P | PTE_W | PTE_G);
		kernel_at(cpu, region_va(REGION_TEXT), SP);
		expect_halt(cpu, region_va(REGION_TEXT));
		expect_equal("the forged page", kernel_loads(cpu, region_va(REGION_DATA)),
			     0xf4f4f4f4f4f4f4f4);
		call_text(cpu, text_read_private, SP, 0, 0);
		expect_equal("private data", expect_return(cpu), 0xdadadadadadadada);
	}
}

/* What the guest switches off outside, the module's own pages do not rest on. */
static void without_protection(const struct attack *attack)
{
	extern const char text_write_constant[];
	struct kvm_sregs sregs;

	(void)attack;
	start();
	sregs = vcpu_sregs(cpu);
	sregs.cr0 &= ~0x10000ULL;	/* WP */
	sregs.efer &= ~0x800ULL;	/* NXE */
	vcpu_set_sregs(cpu, &sregs);
	call_text(cpu, text_write_constant, SP, 0, 0);
	expect_violation(cpu, KVM_GM_V_ACCESS, KVM_GM_NO_GATE, text_va(text_write_constant),
			 region_va(REGION_RODATA), .any_gpa = true, .module = &victim,
			 .inside = SP);
	call_text(cpu, text_goto, SP, region_va(REGION_DATA), 0);
	expect_violation(cpu, KVM_GM_V_ESCAPE, KVM_GM_NO_GATE, region_va(REGION_DATA),
			 region_va(REGION_DATA), .any_gpa = true, .module = &victim,
			 .inside = SP);
	kernel_stores(cpu, region_va(REGION_TEXT), 0);
	expect_violation(cpu, KVM_GM_V_WRITE, bypassed_gate(region_va(REGION_TEXT)),
			 kernel_va(kernel_write), region_va(REGION_TEXT),
			 .gpa = region_gpa(REGION_TEXT), .module = &victim);
	expect_intact();
}

/* Process-context identifiers would keep translations over a change of CR3. */
static void pcid(const struct attack *attack)
{
	struct kvm_sregs sregs;
	unsigned int i;

	(void)attack;
	start();
	sregs = vcpu_sregs(cpu);
	sregs.cr4 |= 0x20000;
	if (ioctl(cpu->fd, KVM_SET_SREGS, &sregs))
		skip("the CPU has no PCID");
	for (i = 1; i < 20; i++) {
		sregs.cr3 = PML4 | i;
		vcpu_set_sregs(cpu, &sregs);
		machine_map(&vm, region_va(REGION_TEXT), FORGED_PAGE, PTE_P | PTE_W | PTE_G);
		expect_equal("the forged page", kernel_loads(cpu, region_va(REGION_TEXT)), 0);
		call_gate(cpu, GATE_NULL, SP, RESULT - 1, 0, 0);
		expect_equal("result", expect_return(cpu), RESULT);
		expect_equal("CR3", vcpu_sregs(cpu).cr3, PML4 | i);
	}
	sregs.cr3 = PML4;
	sregs.cr4 &= ~0x20000;
	vcpu_set_sregs(cpu, &sregs);
}

/* --- where KVM's own frames are ------------------------------------------------------------ */

/* By the one report that tells userspace, which the guest does not see. */
static uint64_t learn_aperture(void)
{
	call_text(cpu, text_goto, SP, region_va(REGION_GATES), 0);
	expect_violation(cpu, KVM_GM_V_ESCAPE, KVM_GM_NO_GATE, region_va(REGION_GATES),
			 region_va(REGION_GATES), .any_gpa = true, .module = &victim,
			 .inside = SP);
	return KVM_GM_EXIT(cpu->run)->gpa & ~(PAGE - 1);
}

/* From outside there is nothing there. */
static void aperture_from_outside(const struct attack *attack)
{
	uint64_t gpa;
	int i;

	(void)attack;
	start();
	gpa = learn_aperture();
	/* Page tables lie before the pages. */
	for (i = -4; i < (int)MODULE_PAGES; i++) {
		machine_map(&vm, VA_ABSENT, gpa + i * PAGE, PTE_P | PTE_W);
		kernel_stores(cpu, VA_ABSENT, 0);
		expect_equal("exit reason", run_on(cpu), KVM_EXIT_MMIO);
		expect_equal("address", cpu->run->mmio.phys_addr, gpa + i * PAGE);
		expect_halt(cpu, kernel_va(kernel_write) + 3);
	}
	expect_intact();
}

static void aperture_to_execute(const struct attack *attack)
{
	struct kvm_regs regs;
	uint64_t gpa;

	(void)attack;
	start();
	gpa = learn_aperture();
	machine_map(&vm, VA_ABSENT, gpa + PAGE, PTE_P | PTE_W);
	regs = kernel_regs(VA_ABSENT, SP);
	vcpu_set_regs(cpu, &regs);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_INTERNAL_ERROR);
	expect_equal("suberror", cpu->run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
	expect_equal("RIP", vcpu_regs(cpu).rip, VA_ABSENT);
}

/* Memory that userspace adds there later is the guest's, and not the module's. */
static void aperture_slot(const struct attack *attack)
{
	uint8_t *memory = mmap(NULL, MODULE_PAGES * PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t gpa;

	(void)attack;
	expect(memory != MAP_FAILED, "mmap");
	start();
	gpa = learn_aperture();
	machine_set_slot(&vm, 2, gpa, MODULE_PAGES * PAGE, memory, 0);
	expect_intact();
	machine_map(&vm, VA_ABSENT, gpa + REGION_DATA * PAGE, PTE_P | PTE_W);
	kernel_stores(cpu, VA_ABSENT, RESULT);
	expect_halt(cpu, kernel_va(kernel_write) + 3);
	expect_equal("the slot's memory", *(uint64_t *)(memory + REGION_DATA * PAGE), RESULT);
	expect_intact();
}

/* A guess at where the aperture is, and a wrong one: there is no second. */
static void guess_aperture(const struct attack *attack)
{
	const char *text = attack->with;
	const uint64_t gpa = 1ULL << 39;	/* the first address where it may be */

	start();
	if (learn_aperture() - gpa >= 1ULL << 38)
		skip("guest physical addresses are not of 40 bits");
	/* Below that, it is a device. */
	machine_map(&vm, VA_BESIDE, gpa - PAGE, PTE_P | PTE_W);
	call_text(cpu, text, SP, VA_BESIDE, 0);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_MMIO);
	expect_equal("address", cpu->run->mmio.phys_addr, gpa - PAGE);
	expect_return(cpu);
	expect_equal("flags", query(1).flags, 0);
	machine_map(&vm, VA_BESIDE, gpa, PTE_P | PTE_W);
	call_text(cpu, text, SP, VA_BESIDE, 0);
	expect_violation(cpu, KVM_GM_V_ACCESS, KVM_GM_NO_GATE, text_va(text), 0, .gpa = gpa,
			 .module = &victim, .inside = SP, .policy = KVM_GM_POLICY_QUARANTINE);
	expect_equal("flags", query(1).flags, KVM_GM_QUERY_F_QUARANTINED);
	victim_is_gone();
}

#define AT_LEVEL(label, text, function) \
	{ label "-pt", 6, text " the last level: no effect", function, &(const int){ 1 } }, \
	{ label "-pd", 6, text " level 2: no effect", function, &(const int){ 2 } }, \
	{ label "-pdpt", 6, text " level 3: no effect", function, &(const int){ 3 } }, \
	{ label "-pml4", 6, text " level 4: no effect", function, &(const int){ 4 } }, \
	{ label "-cr3", 6, text " CR3: no effect", function, &(const int){ CR3_LEVEL } }

const struct attack translation_attacks[] = {
	AT_LEVEL("remap-before", "the module mapped elsewhere before a call, at", remapped_before),
	AT_LEVEL("remap-out", "the module mapped elsewhere while it calls out, at",
		 remapped_while_out),
	AT_LEVEL("remap-event", "the module mapped elsewhere while it is interrupted, at",
		 remapped_while_interrupted),
	{ "remap-inside-pt", 6, "the module mapped elsewhere while it runs, at the last level: "
	  "no effect", remapped_while_inside, &(const int){ 1 } },
	{ "remap-inside-pd", 6, "the same at level 2: no effect",
	  remapped_while_inside, &(const int){ 2 } },
	{ "remap-inside-pdpt", 6, "the same at level 3: no effect",
	  remapped_while_inside, &(const int){ 3 } },
	{ "remap-inside-pml4", 6, "the same at level 4: no effect",
	  remapped_while_inside, &(const int){ 4 } },
	{ "beside-reserved", 6, "an entry beside the module with reserved bits: #PF, as the kernel's",
	  beside_reserved, NULL },
	{ "beside-remapped", 6, "a page beside the module mapped elsewhere between calls: seen",
	  beside_remapped, NULL },
	{ "beside-remapped-out", 6, "the same during a call out: seen",
	  beside_remapped_while_out, NULL },
	{ "beside-many", 6, "200 pages beside the module used in one call: each its own",
	  beside_many, NULL },
	{ "beside-large", 6, "large pages beside, and over, the module: only beside",
	  beside_large, NULL },
	{ "shared-kept", 6, "a page that is said to stay mapped elsewhere: not seen, not beside it",
	  shared_kept, NULL },
	{ "shared-rights", 6, "a page that is said to stay, mapped and made writable: seen",
	  shared_rights, NULL },
	{ "shared-large", 6, "a large page that is said to stay: not there", shared_large, NULL },
	{ "shared-over-module", 6, "the module's own pages said to stay, and forged: no effect",
	  shared_over_module, NULL },
	{ "shared-aperture", 6, "a page that is said to stay where KVM's frames might be: access, "
	  "quarantine", shared_aperture, NULL },
	{ "huge-page", 6, "a page of 1 GiB over the module's frames: access, write",
	  huge_page, NULL },
	{ "recursive", 6, "tables that map themselves, written from inside: no effect",
	  recursive, NULL },
	{ "permuted", 6, "the module's pages mapped to each other's frames: no effect",
	  frames_arranged, &(frame_fn *const){ rotated } },
	{ "reversed", 6, "the same from the last to the first: no effect",
	  frames_arranged, &(frame_fn *const){ reversed } },
	{ "aliased", 6, "all of the module's pages mapped to one of its frames, each: no effect",
	  frames_arranged, &(frame_fn *const){ all_one } },
	{ "swapped-tables", 6, "another module's tables in place of the victim's: no effect",
	  tables_swapped, NULL },
	{ "global", 6, "global mappings of forged pages, used before each call: no effect",
	  global, NULL },
	{ "without-protection", 6, "CR0.WP and EFER.NXE off: access, escape, write as ever",
	  without_protection, NULL },
	{ "pcid", 6, "process-context identifiers: no stale translation inside", pcid, NULL },
	{ "aperture-outside", 6, "a store to KVM's own frames from outside: nothing is there",
	  aperture_from_outside, NULL },
	{ "aperture-execute", 6, "a jump to KVM's own frames from outside: nothing is there",
	  aperture_to_execute, NULL },
	{ "aperture-slot", 6, "memory added over KVM's own frames: the guest has that",
	  aperture_slot, NULL },
	{ "guess-aperture-write", 6, "a store to where KVM's frames might be: access, quarantine",
	  guess_aperture, text_write },
	{ "guess-aperture-read", 6, "a load from there: access, quarantine",
	  guess_aperture, text_read },
	{}
};
