// SPDX-License-Identifier: GPL-2.0
/*
 * I2, I4, I5 at the second level of paging, EPT or NPT: accesses that straddle
 * two pages, the CPU's own walks of the guest's tables, large pages, devices;
 * and debug exceptions that a gate finds pending.
 */
#include <asm/vmx.h>
#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "attack.h"

#define SP		STACK(0)
#define RESULT		0x1234
#define EDGE		(VA_BESIDE + PAGE)	/* between two pages */
#define VA_MMIO		(VA_ABSENT + 0x10000)
#define MMIO		(MEMORY + 16 * MIB)
#define MSR_PAT		0x277
#define MSR_MTRR_TYPE	0x2ff

extern const char kernel_write[], kernel_read[], kernel_push[], kernel_hypercall[];
extern const char text_write[], text_read[], text_read_private[], text_write_private[];
extern const char text_int[], text_int_itself[], text_int3[], text_int1[], kernel_halt[];

/* --- straddles ------------------------------------------------------------------- */

struct straddle {
	unsigned int region;	/* sealed */
	bool first;		/* it is the first of the two pages */
};

/* Both pages, and where the sealed one is hit. */
static uint64_t lay_out(const struct straddle *s)
{
	machine_map(&vm, EDGE - PAGE, s->first ? region_gpa(s->region) : SCRATCH, PTE_P | PTE_W);
	machine_map(&vm, EDGE, s->first ? SCRATCH : region_gpa(s->region), PTE_P | PTE_W);
	memset(vm.memory + SCRATCH, 0x55, PAGE);
	return s->first ? PAGE - 4 : 0;
}

static void expect_no_half(void)
{
	expect_equal("the start of the ordinary page", *word_at(VA_SCRATCH), 0x5555555555555555);
	expect_equal("its end", *word_at(VA_SCRATCH + PAGE - 8), 0x5555555555555555);
	expect_intact();
}

static void straddling_store(const struct attack *attack)
{
	const struct straddle *s = attack->with;
	uint64_t hit, va;

	start();
	hit = lay_out(s);
	va = region_va(s->region) + hit;
	kernel_stores(cpu, EDGE - 4, 0);
	expect_violation(cpu, KVM_GM_V_WRITE, bypassed_gate(va), kernel_va(kernel_write), va,
			 .gpa = region_gpa(s->region) + hit, .module = &victim);
	expect_no_half();
}

static void straddling_push(const struct attack *attack)
{
	const struct straddle *s = attack->with;
	uint64_t hit, va;

	start();
	hit = lay_out(s);
	va = region_va(s->region) + hit;
	vcpu_set_regs(cpu, &(struct kvm_regs) { .rip = kernel_va(kernel_push), .rsp = EDGE + 4,
						.rsi = VA_DIRECT, .rflags = 2 });
	expect_violation(cpu, KVM_GM_V_WRITE, bypassed_gate(va), kernel_va(kernel_push), va,
			 .gpa = region_gpa(s->region) + hit, .module = &victim, .no_stack = true);
	expect_no_half();
}

static void straddling_store_inside(const struct attack *attack)
{
	const struct straddle *s = attack->with;
	uint64_t hit, va;

	start();
	hit = lay_out(s);
	va = region_va(s->region) + hit;
	call_text(cpu, text_write, SP, EDGE - 4, 0);
	expect_violation(cpu, KVM_GM_V_ACCESS, bypassed_gate(va), text_va(text_write), va,
			 .gpa = region_gpa(s->region) + hit, .module = &victim, .inside = SP);
	expect_no_half();
}

/* What may be read is what KVM has there, not the guest's copy. */
static void straddling_load(const struct attack *attack)
{
	const struct straddle *s = attack->with;
	uint64_t want;

	start();
	lay_out(s);
	want = s->first ? 0x55555555c0c0c0c0 : 0xc0c0c0c055555555;
	expect_equal("outside", kernel_loads(cpu, EDGE - 4), want);
	call_text(cpu, text_read, SP, EDGE - 4, 0);
	expect_equal("inside", expect_return(cpu), want);
}

/* An instruction that begins on a page that may be executed, and ends in the text. */
static void straddling_fetch(const struct attack *attack)
{
	const bool *gates = attack->with;
	uint64_t rip;

	start_with(&(struct setup) { .unsealed = true });
	victim.content[REGION_GATES][PAGE - 1] = 0x66;	/* a prefix */
	seal(&victim);
	if (*gates) {
		rip = region_va(REGION_GATES) + PAGE - 1;
	} else {
		lay_out(&(struct straddle){ REGION_TEXT, false });
		memset(vm.memory + SCRATCH, 0x66, PAGE);
		rip = EDGE - 1;
	}
	kernel_at(cpu, rip, SP);
	expect_violation(cpu, KVM_GM_V_EXEC, KVM_GM_NO_GATE, rip, rip,
			 .gpa = region_gpa(REGION_TEXT), .module = &victim);
}

/* The module's own pages, the guard page among them, have edges as well. */
static void straddling_own(const struct attack *attack)
{
	uint64_t va;

	(void)attack;
	start();
	va = region_va(REGION_DATA) - 4;
	call_text(cpu, text_write, SP, va, 0);
	expect_violation(cpu, KVM_GM_V_ACCESS, KVM_GM_NO_GATE, text_va(text_write), va,
			 .any_gpa = true, .module = &victim, .inside = SP);
	va = region_va(REGION_STACK);
	call_text(cpu, text_write, SP, va - 4, 0);
	expect_violation(cpu, KVM_GM_V_LIMIT, KVM_GM_NO_GATE, text_va(text_write), va,
			 .module = &victim, .inside = SP);
	expect_intact();
}

/* --- the CPU's walks of the guest's tables ------------------------------------------ */

struct walk {
	int level;		/* of the table that lies in sealed data */
	uint64_t bits;		/* that its entry has already */
	bool fetch;
};

/* Setting a bit is a write; where EPT has bits of its own, so is every step of a walk. */
static void walk_of_sealed(const struct attack *attack)
{
	const struct walk *w = attack->with;
	uint64_t entry, rip = w->fetch ? VA_ABSENT : kernel_va(kernel_write);

	start_with(&(struct setup) { .unsealed = true });
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
	entry = *machine_entry(&vm, VA_ABSENT, w->level) | w->bits;
	memcpy(victim.content[REGION_DATA], &entry, sizeof(entry));
	seal(&victim);
	*machine_entry(&vm, VA_ABSENT, w->level + 1) = region_gpa(REGION_DATA) | PTE_P | PTE_W;
	if (w->fetch)
		kernel_at(cpu, VA_ABSENT, SP);
	else
		kernel_stores(cpu, VA_ABSENT, 0);
	expect_violation(cpu, KVM_GM_V_WRITE, KVM_GM_NO_GATE, rip, region_va(REGION_DATA),
			 .gpa = region_gpa(REGION_DATA), .module = &victim);
	expect_equal("the entry", kernel_loads(cpu, region_va(REGION_DATA)), entry);
}

/* The mirror of a private stack is the guest's to write, and so to walk. */
static void walk_of_mirror(const struct attack *attack)
{
	const unsigned int page = REGION_STACK + 1;	/* above the guard page */

	(void)attack;
	start();
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
	kernel_stores(cpu, victim.va + page * PAGE, SCRATCH | PTE_P | PTE_W);
	expect_halt(cpu, kernel_va(kernel_write) + 3);
	*machine_entry(&vm, VA_ABSENT, 2) = victim.gpas[page] | PTE_P | PTE_W;
	kernel_stores(cpu, VA_ABSENT, RESULT);
	expect_halt(cpu, kernel_va(kernel_write) + 3);
	expect_equal("what was stored", *word_at(VA_SCRATCH), RESULT);
	expect_equal("the entry", kernel_loads(cpu, victim.va + page * PAGE),
		     SCRATCH | PTE_P | PTE_W | PTE_A | PTE_D);
	expect_intact();
}

/* KVM would emulate what the instruction accesses, not the walk. */
static void walk_of_read_only_slot(const struct attack *attack)
{
	uint64_t *table = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);

	(void)attack;
	if (table == MAP_FAILED)
		err(1, "mmap");
	start();
	table[0] = SCRATCH | PTE_P | PTE_W;
	machine_set_slot(&vm, 2, MEMORY, PAGE, table, KVM_MEM_READONLY);
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
	*machine_entry(&vm, VA_ABSENT, 2) = MEMORY | PTE_P | PTE_W;
	call_text(cpu, text_read, SP, VA_ABSENT, 0);
	expect_violation(cpu, KVM_GM_V_EMULATE, KVM_GM_NO_GATE, text_va(text_read), 0,
			 .module = &victim, .inside = SP);
	expect_equal("the entry", table[0], SCRATCH | PTE_P | PTE_W);
}

/* --- large pages ------------------------------------------------------------------------ */

#define LARGE		(2 * MIB)

/* The module's pages are the last of one large page and the first of the next. */
static void large_pages(const struct attack *attack)
{
	const unsigned int split = REGION_DATA;		/* the first in the second one */
	uint8_t *memory;
	uint64_t before;
	unsigned int i;
	uint32_t id;

	(void)attack;
	start_with(&(struct setup) { .unsealed = true });
	memory = mmap(NULL, 4 * LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	memory = (uint8_t *)(((uintptr_t)memory + LARGE - 1) & ~(LARGE - 1));
	must(madvise(memory, 3 * LARGE, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	memset(memory, 0xf4, 3 * LARGE);
	machine_set_slot(&vm, 1, MODULES, 0, vm.memory + MODULES, 0);
	machine_set_slot(&vm, 1, MODULES, 3 * LARGE, memory, 0);
	for (i = 0; i < MODULE_PAGES; i++) {
		victim.gpas[i] = MODULES + LARGE + i * PAGE - split * PAGE;
		machine_map(&vm, victim.va + i * PAGE, victim.gpas[i], PTE_P | PTE_W);
	}
	machine_map(&vm, VA_ABSENT, MODULES + LARGE - (split + 1) * PAGE, PTE_P | PTE_W);
	machine_map(&vm, VA_ABSENT + PAGE, MODULES + LARGE + (MODULE_PAGES - split) * PAGE,
		    PTE_P | PTE_W);
	machine_map(&vm, VA_ABSENT + 2 * PAGE, MODULES + 2 * LARGE, PTE_P | PTE_W);
	for (i = 0; i < 3; i++)
		kernel_loads(cpu, VA_ABSENT + i * PAGE);
	before = statistic(ioctl(vm.vm, KVM_GET_STATS_FD, NULL), "pages_2m");
	if (before < 3)
		skip("the host has no large pages to give");

	seal(&victim);
	expect_equal("large mappings", statistic(ioctl(vm.vm, KVM_GET_STATS_FD, NULL), "pages_2m"),
		     before - 2);
	expect_intact();
	for (i = REGION_TEXT; i <= REGION_DATA; i++) {
		kernel_stores(cpu, region_va(i), 0);
		expect_violation(cpu, KVM_GM_V_WRITE, bypassed_gate(region_va(i)),
				 kernel_va(kernel_write), region_va(i), .gpa = region_gpa(i),
				 .module = &victim);
	}
	/* What lies around is mapped again, smaller, without the module. */
	for (i = 0; i < 3; i++) {
		kernel_stores(cpu, VA_ABSENT + i * PAGE, RESULT + i);
		expect_halt(cpu, kernel_va(kernel_write) + 3);
	}
	expect_equal("the page before", *(uint64_t *)(memory + LARGE - (split + 1) * PAGE), RESULT);
	expect_equal("the page after", *(uint64_t *)(memory + LARGE + (MODULE_PAGES - split) * PAGE),
		     RESULT + 1);
	expect_intact();

	id = victim.arg.id;
	must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
	victim_is_gone();
	for (i = REGION_TEXT; i <= REGION_DATA; i++) {
		expect_equal("the guest's own", kernel_loads(cpu, region_va(i)),
			     0xf4f4f4f4f4f4f4f4);
		kernel_stores(cpu, region_va(i), 1);
		expect_halt(cpu, kernel_va(kernel_write) + 3);
	}
}

/* --- devices, memory types ---------------------------------------------------------------- */

static void expect_device(uint32_t view)
{
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_MMIO);
	expect_equal("module", KVM_GM_RUN_VIEW(cpu->run), view);
	expect_equal("address", cpu->run->mmio.phys_addr, MMIO);
}

/*
 * KVM marks a device's page by an entry that is misconfigured on purpose, with the
 * generation of the memory slots, in every view: none is taken for another thing.
 */
static void device_entries(const struct attack *attack)
{
	unsigned int i, again;

	(void)attack;
	start();
	for (i = 0; i < 4; i++) {
		machine_map(&vm, VA_MMIO, MMIO, PTE_P | PTE_W);
		for (again = 0; again < 2; again++) {
			struct kvm_regs regs = kernel_regs(kernel_va(kernel_read), SP);

			regs.rdi = VA_MMIO;
			vcpu_set_regs(cpu, &regs);
			expect_device(0);
			memset(cpu->run->mmio.data, 0x11, 8);
			expect_equal("outside", expect_halt(cpu, kernel_va(kernel_read) + 3).rax,
				     0x1111111111111111);
			call_text(cpu, text_read, SP, VA_MMIO, 0);
			expect_device(victim.arg.id);
			memset(cpu->run->mmio.data, 0x22, 8);
			expect_equal("inside", expect_return(cpu), 0x2222222222222222);
		}
		/* Memory in its place: neither view knows of a device there any more. */
		*word_at(VA_SCRATCH) = RESULT;
		machine_set_slot(&vm, 2, MMIO, PAGE, vm.memory + SCRATCH, 0);
		expect_equal("memory", kernel_loads(cpu, VA_MMIO), RESULT);
		call_text(cpu, text_read, SP, VA_MMIO, 0);
		expect_equal("memory, inside", expect_return(cpu), RESULT);
		machine_set_slot(&vm, 2, MMIO, 0, vm.memory + SCRATCH, 0);
		if (i & 1) {
			uint32_t id = victim.arg.id;

			must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
			prepare(&victim, 0, &(struct setup) {});
			seal(&victim);
		}
	}
}

static void memory_types(const struct attack *attack)
{
	static const uint8_t types[] = { 0, 1, 4, 5, 6 };	/* UC, WC, WT, WP, WB */
	unsigned int i;

	(void)attack;
	start();
	for (i = 0; i < sizeof(types); i++) {
		vcpu_set_msr(cpu, MSR_PAT, types[i] * 0x0101010101010101ULL);
		vcpu_set_msr(cpu, MSR_MTRR_TYPE, 0xc00 | types[i]);
		call_text(cpu, text_write_private, SP, i, 0);
		expect_equal("result", expect_return(cpu), 1);
		call_text(cpu, text_read_private, SP, 0, 0);
		expect_equal("private data", expect_return(cpu), i);
	}
	call_text(cpu, text_write_private, SP, 0xdadadadadadadada, 0);
	expect_return(cpu);
}

/* --- software interrupts inside ------------------------------------------------------------- */

/* INT n is no exit of VMX's, but the CPU misses the IDT in the module's tables. */
static void software_interrupt(const struct attack *attack)
{
	(void)attack;
	start();
	call_text(cpu, text_int, SP, VA_SCRATCH, VA_SCRATCH);
	expect_violation(cpu, KVM_GM_V_EXIT, KVM_GM_NO_GATE, text_va(text_int_itself),
			 EXIT_REASON_EXCEPTION_NMI | 0x30 << 16, .module = &victim, .inside = SP);
}

/* If it does not: its handler is not the module's text. */
static void software_interrupt_delivered(const struct attack *attack)
{
	uint64_t va = vector_va(0x30);

	(void)attack;
	start();
	call_text(cpu, text_int, SP, vcpu_sregs(cpu).idt.base, vcpu_sregs(cpu).gdt.base);
	expect_violation(cpu, KVM_GM_V_ESCAPE, KVM_GM_NO_GATE, va, va, .gpa = va - VA_KERNEL,
			 .module = &victim, .inside = SP);
}

struct trap {
	const char *text;
	unsigned int vector;
};

static void software_exception(const struct attack *attack)
{
	const struct trap *t = attack->with;

	start();
	call_text(cpu, t->text, SP, 0, 0);
	expect_violation(cpu, KVM_GM_V_EXIT, KVM_GM_NO_GATE, text_va(t->text),
			 EXIT_REASON_EXCEPTION_NMI | t->vector << 16, .module = &victim,
			 .inside = SP);
}

/* --- what MOV SS holds back -------------------------------------------------------------------- */

/* A page of the guest's in the gates' place: MOV (RBX) to SS right before the gate. */
static void held_back(const struct attack *attack)
{
	const bool *step = attack->with;
	uint64_t gate;
	struct kvm_debugregs debug = {
		.db[0] = VA_SCRATCH + PAGE, .dr6 = 0xffff0ff0,
		.dr7 = 0x70402,			/* G0: 2 bytes, reads and writes */
	};
	struct kvm_regs regs;

	start();
	gate = gate_va(GATE_JUMP);
	machine_map(&vm, region_va(REGION_GATES), SCRATCH, PTE_P | PTE_W);
	forge_hypercall(vm.memory + SCRATCH + (gate & (PAGE - 1)));
	vm.memory[SCRATCH + (victim.arg.ret & (PAGE - 1))] = 0xc3;
	*word_at(VA_SCRATCH + PAGE) = KERNEL_DS;
	/* Bochs keeps a trap over an exit for a page that has to be mapped: none has. */
	*word_at(VA_SCRATCH + 0x800) = 0xf4;
	kernel_at(cpu, region_va(REGION_GATES) + 0x800, SP);
	expect_halt(cpu, region_va(REGION_GATES) + 0x800);
	kernel_loads(cpu, VA_SCRATCH + PAGE);
	kernel_loads(cpu, vcpu_sregs(cpu).gdt.base);
	memcpy(vm.memory + SCRATCH + (gate & (PAGE - 1)) - 2, "\x8e\x13", 2);
	call_text(cpu, text_read_private, SP, 0, 0);
	regs = vcpu_regs(cpu);
	regs.rip -= 2;
	regs.rbx = VA_SCRATCH + PAGE;
	if (*step)
		regs.rflags |= 0x100;
	else
		must(ioctl(cpu->fd, KVM_SET_DEBUGREGS, &debug), "KVM_SET_DEBUGREGS");
	vcpu_set_regs(cpu, &regs);
	expect_halt(cpu, kernel_va(kernel_halt));
	expect_equal("private data", vcpu_regs(cpu).rax, 0xdadadadadadadada);
	expect_equal("event exits", query(1).crossings[KVM_GM_EVENT_EXIT], 0);
	debug.dr7 = 0x400;
	must(ioctl(cpu->fd, KVM_SET_DEBUGREGS, &debug), "KVM_SET_DEBUGREGS");
	machine_map(&vm, region_va(REGION_GATES), region_gpa(REGION_GATES), PTE_P | PTE_W);
}

/* --- other modes ----------------------------------------------------------------------------- */

/* Real mode, whose addresses are no module's: beside one, as ever. */
static void real_mode(const struct attack *attack)
{
	const uint64_t code = 0xf0000;
	struct kvm_sregs sregs, good;
	struct kvm_regs regs;

	(void)attack;
	start_with(&(struct setup) { .vcpus = 2 });
	spin(cpu, SP, false);
	forge_hypercall(vm.memory + code);
	good = sregs = vcpu_sregs(cpu2);
	sregs.cr0 = 0x10;
	sregs.cr4 = sregs.efer = sregs.cr3 = 0;
	sregs.cs = (struct kvm_segment) { .base = code, .limit = 0xffff, .selector = code >> 4,
					  .type = 11, .present = 1, .s = 1 };
	sregs.ss = sregs.ds = sregs.es = sregs.fs = sregs.gs =
		(struct kvm_segment) { .limit = 0xffff, .type = 3, .present = 1, .s = 1 };
	vcpu_set_sregs(cpu2, &sregs);
	vcpu_set_regs(cpu2, &(struct kvm_regs) { .rax = 0xaaaa, .rflags = 2 });
	regs = expect_halt(cpu2, 3);
	expect_equal("what the hypercall returns", regs.rax, (uint32_t)-1000);
	stop_spinning(cpu);
	vcpu_set_sregs(cpu2, &good);
}

#define STRADDLE(label, invariant, text, function, ...) \
	{ "straddle-" label, invariant, text, function, &(const struct straddle){ __VA_ARGS__ } }
#define WALK(label, text, ...) \
	{ "walk-" label, 4, text ": write", walk_of_sealed, &(const struct walk){ __VA_ARGS__ } }
#define NOT_IN_TCG(what)	VMX, "QEMU's TCG does otherwise than a CPU: " what

const struct attack ept_attacks[] = {
	STRADDLE("into-text", 4, "a store across the start of text: write, none of it done",
		 straddling_store, REGION_TEXT, false),
	STRADDLE("out-of-text", 4, "a store across the end of text: write, none of it done",
		 straddling_store, REGION_TEXT, true),
	STRADDLE("into-data", 5, "a store across the start of private data: write",
		 straddling_store, REGION_DATA, false),
	STRADDLE("out-of-data", 5, "a store across the end of private data: write",
		 straddling_store, REGION_DATA, true),
	STRADDLE("push-into", 4, "a push across the start of text: write",
		 straddling_push, REGION_TEXT, false),
	STRADDLE("push-out-of", 4, "a push across the end of text: write",
		 straddling_push, REGION_TEXT, true),
	STRADDLE("inside-into", 5, "a store from inside into data at the guest's frame: access",
		 straddling_store_inside, REGION_DATA, false),
	STRADDLE("inside-out-of", 5, "the same from data to the guest's page: access",
		 straddling_store_inside, REGION_DATA, true),
	STRADDLE("load-into", 5, "a load across the start of constants: KVM's, not the copy's",
		 straddling_load, REGION_RODATA, false),
	STRADDLE("load-out-of", 5, "a load across the end of constants: KVM's, not the copy's",
		 straddling_load, REGION_RODATA, true),
	{ "straddle-fetch", 2, "an instruction from the kernel's page into text: exec",
	  straddling_fetch, &(const bool){ false } },
	{ "straddle-fetch-gates", 2, "an instruction from the gates into text: exec",
	  straddling_fetch, &(const bool){ true } },
	{ "straddle-own", 5, "stores from inside from constants, and to a guard page: access, limit",
	  straddling_own, NULL },

	WALK("pt", "a last-level table in data, A to be set", 1, 0, false),
	WALK("pd", "a table of level 2 in data, A to be set", 2, 0, false),
	WALK("pdpt", "a table of level 3 in data, A to be set", 3, 0, false),
	WALK("fetch", "a fetch by a table in data, A to be set", 1, 0, true),
	{ "walk-read", 4, "a table in data with no bit to be set: write all the same",
	  walk_of_sealed, &(const struct walk){ 1, PTE_A | PTE_D, false },
	  NOT_IN_TCG("it writes to a table only to change it") },
	{ "walk-mirror", 5, "a table in a private stack's mirror: the guest's own affair",
	  walk_of_mirror, NULL },
	{ "walk-read-only", 2, "a table in read-only memory, from inside: emulate",
	  walk_of_read_only_slot, NULL },

	{ "large-pages", 4, "a module across two large pages, before, during and after its seal",
	  large_pages, NULL },
	{ "device-entries", 7, "a device that comes and goes, in both views: a device, or memory",
	  device_entries, NULL },
	{ "memory-types", 6, "every memory type in the PAT and the MTRRs: the module's data is there",
	  memory_types, NULL },

	{ "inside-int", 2, "INT n inside: exit", software_interrupt, NULL,
	  NOT_IN_TCG("INT n inside") },
	{ "inside-int-delivered", 2, "INT n inside, the IDT and GDT at hand: escape, at the handler",
	  software_interrupt_delivered, NULL, NOT_IN_TCG("INT n inside") },
	{ "inside-int3", 2, "INT3 inside: exit", software_exception,
	  &(const struct trap){ text_int3, 3 }, NOT_IN_TCG("INT3 inside") },
	{ "inside-int1", 2, "INT1 inside: exit", software_exception,
	  &(const struct trap){ text_int1, 1 }, NOT_IN_TCG("INT1 inside") },
	{ "in-call-held-step", 1, "a step that MOV SS holds back before a gate: undisturbed",
	  held_back, &(const bool){ true }, NOT_IN_TCG("MOV SS holds nothing back") },
	{ "in-call-held-watchpoint", 1, "a watchpoint that MOV SS holds back: undisturbed",
	  held_back, &(const bool){ false }, NOT_IN_TCG("MOV SS holds nothing back") },
	{ "real-mode", 7, "a vCPU in real mode beside one that is inside: as ever", real_mode, NULL },
	{}
};
