// SPDX-License-Identifier: GPL-2.0
/*
 * I5: private data, private stacks and constants are written only by the
 * module; what the guest shall write on its stacks is a window of a frame.
 */
#include <linux/kvm_para.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "attack.h"

#define SP		STACK(0)
#define RESULT		0x1234
#define SECRET(i)	(0x5ec2e700UL + (i))

extern const char kernel_write[], text_read[], text_write[], text_out[], text_out_window[];
extern const char text_out_window_twice[], text_write_private[], text_read_private[];
extern const char text_out_read[], text_out_large[], text_out_window_spin[];
extern const char text_write_constant[], text_write_text[], kernel_callee[];

static void refused_write(const struct attack *attack)
{
	const unsigned int *region = attack->with;
	uint64_t va;

	start();
	va = region_va(*region) + 0x10;
	kernel_stores(cpu, va, 1);
	expect_violation(cpu, KVM_GM_V_WRITE, KVM_GM_NO_GATE, kernel_va(kernel_write), va,
			 .gpa = region_gpa(*region) + 0x10, .module = &victim);
	expect_intact();
}

static void private_data(const struct attack *attack)
{
	(void)attack;
	start();
	call_text(cpu, text_write_private, SP, RESULT, 0);
	expect_equal("result", expect_return(cpu), 1);
	call_text(cpu, text_read_private, SP, 0, 0);
	expect_equal("private data", expect_return(cpu), RESULT);
	expect_equal("the guest's copy", *word_at(region_va(REGION_DATA)), 0xf4f4f4f4f4f4f4f4);
}

/* --- the module itself ----------------------------------------------------------- */

struct own {
	const char *text;
	unsigned int region;
};

static void own_write(const struct attack *attack)
{
	const struct own *own = attack->with;
	uint64_t va;

	start();
	va = region_va(own->region);
	call_text(cpu, own->text, SP, RESULT, 0);
	expect_violation(cpu, KVM_GM_V_ACCESS, bypassed_gate(va), text_va(own->text), va,
			 .any_gpa = true, .module = &victim, .inside = SP);
	expect_intact();
}

static void write_to_own_gates(const struct attack *attack)
{
	uint64_t va;

	(void)attack;
	start();
	va = region_va(REGION_GATES);
	call_text(cpu, text_write, SP, va, 0);
	expect_violation(cpu, KVM_GM_V_ACCESS, KVM_GM_NO_GATE, text_va(text_write), va,
			 .any_gpa = true, .module = &victim, .inside = SP);
	expect_intact();
}

/* At the frames that the guest knows, the module has no more rights than it. */
static void write_by_guest_frame(const struct attack *attack)
{
	const unsigned int *region = attack->with;
	uint64_t va;

	start();
	va = region_va(*region);
	machine_map(&vm, VA_BESIDE, region_gpa(*region), PTE_P | PTE_W);
	call_text(cpu, text_write, SP, VA_BESIDE + 8, 0);
	expect_violation(cpu, KVM_GM_V_ACCESS, bypassed_gate(va + 8), text_va(text_write),
			 va + 8, .gpa = region_gpa(*region) + 8, .module = &victim, .inside = SP);
	expect_intact();
}

static void write_to_another(const struct attack *attack)
{
	const unsigned int *region = attack->with;

	start_with(&(struct setup) { .other = true });
	call_text(cpu, text_write, SP, other.regions[*region].va, 0);
	expect_violation(cpu, KVM_GM_V_ACCESS, KVM_GM_NO_GATE, text_va(text_write),
			 other.regions[*region].va, .gpa = other.gpas[*region],
			 .module = &victim, .inside = SP);
}

/* --- stacks ------------------------------------------------------------------------ */

/* What is there for the guest in the stacks' place is its own to write. */
static void mirror_overwritten(const struct attack *attack)
{
	uint64_t va;

	(void)attack;
	start();
	call_text(cpu, text_out, SP, 0, 0);
	expect_out_call(cpu, SP);
	for (va = private_sp() + 24 - 0x100; va < private_sp() + 24; va += 8) {
		kernel_stores(cpu, va, kernel_va(kernel_callee));
		expect_halt(cpu, kernel_va(kernel_write) + 3);
	}
	expect_equal("the mirror", kernel_loads(cpu, private_sp()), kernel_va(kernel_callee));
	vcpu_set_regs(cpu, &(struct kvm_regs) { .rip = gate_va(GATE_IN_RETURN), .rsp = SP,
						.rax = RESULT - 1, .rflags = 2 });
	expect_halt(cpu, kernel_va(kernel));
	expect_equal("result", vcpu_regs(cpu).rax, RESULT);
}

/* Where the window of text_out_window() is: in the middle of its 64 bytes. */
static uint64_t window_va(void)
{
	return private_sp() - 80 + 16;
}

static void windows(const struct attack *attack)
{
	const bool *hostile = attack->with;
	uint64_t va, i;

	start_with(&(struct setup) { .window = true });
	call_text(cpu, text_out_window, SP, 0, 0);
	expect_equal("the address that is passed on", expect_out_call(cpu, SP).rdi, window_va());
	for (i = 0; i < 4; i++) {
		expect_equal("a shared word", kernel_loads(cpu, window_va() + 8 * i), SECRET(1));
		kernel_stores(cpu, window_va() + 8 * i, i + 1);
		expect_halt(cpu, kernel_va(kernel_write) + 3);
	}
	expect_equal("the word before", kernel_loads(cpu, window_va() - 8), 0);
	expect_equal("the word after", kernel_loads(cpu, window_va() + 32), 0);
	for (va = private_sp() - 0x80; *hostile && va < private_sp() + 24; va += 8)
		if (va - window_va() >= 32) {
			kernel_stores(cpu, va, 0xbad);
			expect_halt(cpu, kernel_va(kernel_write) + 3);
		}
	kernel_at(cpu, gate_va(GATE_IN_RETURN), SP);
	expect_equal("the sum of what was written", expect_return(cpu), 10);
}

/* What an earlier thread left in the mirror is not the next one's. */
static void window_of_another(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .window = true, .activations = 1 });
	call_text(cpu, text_out_window, SP, 0, 0);
	expect_out_call(cpu, SP);
	kernel_stores(cpu, window_va(), 0xbad);
	expect_halt(cpu, kernel_va(kernel_write) + 3);
	kernel_at(cpu, gate_va(GATE_IN_RETURN), SP);
	expect_equal("sum", expect_return(cpu), 0xbad + 3 * SECRET(1));
	kernel_stores(cpu, window_va() + 8, 0xbad);
	expect_halt(cpu, kernel_va(kernel_write) + 3);
	call_text(cpu, text_out_window, SP, 0, 0);
	expect_out_call(cpu, SP);
	kernel_at(cpu, gate_va(GATE_IN_RETURN), SP);
	expect_equal("sum", expect_return(cpu), 4 * SECRET(1));
}

/* Calls, each further down the same stack of 16 KiB, as of callbacks. */
#define CALLBACK(i)	(SP - ((i) + 1) * 0x200)

static void window_of_outer(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .window = true });
	call_text(cpu, text_out_window, CALLBACK(0), 0, 0);
	expect_out_call(cpu, CALLBACK(0));
	kernel_stores(cpu, window_va(), 7);
	expect_halt(cpu, kernel_va(kernel_write) + 3);
	call_text(cpu, text_read, CALLBACK(1), window_va(), 0);
	expect_equal("what the callback reads", expect_return(cpu), 7);
	call_text(cpu, text_write, CALLBACK(1), window_va() + 8, 9);
	expect_return(cpu);
	expect_equal("what the kernel reads", kernel_loads(cpu, window_va() + 8), 9);
	kernel_at(cpu, gate_va(GATE_IN_RETURN), CALLBACK(0));
	expect_equal("sum", expect_return(cpu), 7 + 9 + 2 * SECRET(1));
}

/* All that wait on one stack are looked at whenever the last one crosses. */
static void too_many_outer(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .window = true, .activations = KVM_GM_MAX_OUTER + 3 });
	for (i = 0; i <= KVM_GM_MAX_OUTER; i++) {
		call_text(cpu, text_out_window, CALLBACK(i), 0, 0);
		expect_out_call(cpu, CALLBACK(i));
	}
	call_text(cpu, text_out_window, CALLBACK(i), 0, 0);
	expect_violation(cpu, KVM_GM_V_LIMIT, GATE_JUMP, gate_va(GATE_JUMP), CALLBACK(i),
			 .module = &victim);
	expect_activations(KVM_GM_MAX_OUTER + 1, 0);
	for (i = KVM_GM_MAX_OUTER + 1; i--; ) {
		kernel_at(cpu, gate_va(GATE_IN_RETURN), CALLBACK(i));
		expect_equal("sum", expect_return(cpu), 4 * SECRET(1));
	}
}

/* Nor more than a guest stack holds of them: each has 2 KiB here. */
static void too_large_outer(const struct attack *attack)
{
	const unsigned int most = KVM_GM_MAX_OUTER_BYTES / 0x800;
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .window = true, .activations = most + 3 });
	for (i = 0; i <= most; i++) {
		call_text(cpu, text_out_large, CALLBACK(i), 1, 0);
		expect_out_call(cpu, CALLBACK(i));
	}
	call_text(cpu, text_out_window, CALLBACK(i), 0, 0);
	expect_violation(cpu, KVM_GM_V_LIMIT, GATE_JUMP, gate_va(GATE_JUMP), CALLBACK(i),
			 .module = &victim);
	while (i--) {
		kernel_at(cpu, gate_va(GATE_IN_RETURN), CALLBACK(i));
		expect_equal("result", expect_return(cpu), 1);
	}
}

/* Who waited has gone on, on another vCPU: its frames are its own. */
static void outer_goes_on(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .window = true, .vcpus = 2 });
	call_text(cpu, text_out_window_spin, CALLBACK(0), VA_SCRATCH, 0);
	expect_out_call(cpu, CALLBACK(0));
	call_text(cpu, text_out_window, CALLBACK(1), 0, 0);
	expect_out_call(cpu, CALLBACK(1));
	kernel_at(cpu2, gate_va(GATE_IN_RETURN), CALLBACK(0));
	run_until_inside(cpu2);
	kernel_stores(cpu, window_va(), 7);
	expect_halt(cpu, kernel_va(kernel_write) + 3);
	kernel_at(cpu, gate_va(GATE_IN_RETURN), CALLBACK(1));
	expect_equal("sum of the inner", expect_return(cpu), 4 * SECRET(1));
	*word_at(VA_SCRATCH) = 1;
	expect_equal("sum of the outer", expect_return(cpu2), 4 * SECRET(1));
}

/* One more begins above all that wait: it is not looked at, and nobody joins them. */
static void outgrown(const struct attack *attack)
{
	const unsigned int last = KVM_GM_MAX_OUTER + 1;
	unsigned int i;
	uint64_t above;

	(void)attack;
	start_with(&(struct setup) { .window = true, .activations = KVM_GM_MAX_OUTER + 3 });
	above = window_va() + last * STACK_PAGES * PAGE;
	for (i = 1; i < last; i++) {
		call_text(cpu, text_out_window, CALLBACK(i), 0, 0);
		expect_out_call(cpu, CALLBACK(i));
	}
	call_text(cpu, text_out_read, CALLBACK(last), above, 0);
	expect_out_call(cpu, CALLBACK(last));
	/* The second above the first, which ends and begins anew below that. */
	call_text(cpu, text_out_window, CALLBACK(0), 0, 0);
	expect_equal("the window's address", expect_out_call(cpu, CALLBACK(0)).rdi, above);
	kernel_at(cpu, gate_va(GATE_IN_RETURN), CALLBACK(1));
	expect_equal("sum", expect_return(cpu), 4 * SECRET(1));
	call_text(cpu, text_out_window, CALLBACK(1), 0, 0);
	expect_out_call(cpu, CALLBACK(1));
	kernel_stores(cpu, above, 7);
	expect_halt(cpu, kernel_va(kernel_write) + 3);

	call_text(cpu, text_read, CALLBACK(last + 1), above, 0);
	expect_violation(cpu, KVM_GM_V_LIMIT, GATE_JUMP, gate_va(GATE_JUMP),
			 CALLBACK(last + 1), .module = &victim);
	kernel_at(cpu, gate_va(GATE_IN_RETURN), CALLBACK(last));
	expect_equal("what the last reads", expect_return(cpu), SECRET(1));
}

/* The kernel may write at any time, also while the thread is inside: that is kept. */
static void window_written_meanwhile(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .window = true });
	call_text(cpu, text_out_window_twice, SP, VA_ABSENT, 0);
	expect_out_call(cpu, SP);
	kernel_at(cpu, gate_va(GATE_IN_RETURN), SP);
	expect_event(cpu, PF_VECTOR, 0, SP);
	/* The module has written the first of four words since, the kernel the second. */
	kernel_stores(cpu, window_va() + 8, 7);
	expect_halt(cpu, kernel_va(kernel_write) + 3);
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
	kernel_at(cpu, gate_va(GATE_RESUME), SP);
	expect_out_call(cpu, SP);
	expect_equal("what the module wrote", kernel_loads(cpu, window_va()), SECRET(2));
	expect_equal("what the kernel wrote", kernel_loads(cpu, window_va() + 8), 7);
	kernel_at(cpu, gate_va(GATE_IN_RETURN), SP);
	expect_equal("sum", expect_return(cpu), SECRET(2) + 7 + 2 * SECRET(1));
}

/* A call from a frame that the image does not know cannot be made. */
static void unknown_frame(const struct attack *attack)
{
	extern const char out[];

	(void)attack;
	start_with(&(struct setup) { .window = true });
	call_text(cpu, text_out, SP, 0, 0);
	/* The return address in text_out() is in no frame; SECRET(0) is below it. */
	expect_violation(cpu, KVM_GM_V_FRAME, GATE_OUT, text_va(out), private_sp() - 16,
			 .module = &victim, .inside = SP);
}

const struct attack data_attacks[] = {
	{ "write-constants", 5, "a write to constants: write",
	  refused_write, &(const unsigned int){ REGION_RODATA } },
	{ "write-data", 5, "a write to private data: write",
	  refused_write, &(const unsigned int){ REGION_DATA } },
	{ "private-data", 5, "the module's own write to private data: it alone has it",
	  private_data, NULL },
	{ "inside-write-constants", 5, "the module's own write to constants: access",
	  own_write, &(const struct own){ text_write_constant, REGION_RODATA } },
	{ "inside-write-text", 5, "the module's own write to text: access",
	  own_write, &(const struct own){ text_write_text, REGION_TEXT } },
	{ "inside-write-gates", 5, "the module's own write to gates: access",
	  write_to_own_gates, NULL },
	{ "guest-frame-gates", 5, "a write from inside to gates at the guest's frame: access",
	  write_by_guest_frame, &(const unsigned int){ REGION_GATES } },
	{ "guest-frame-text", 5, "a write from inside to text at the guest's frame: access",
	  write_by_guest_frame, &(const unsigned int){ REGION_TEXT } },
	{ "guest-frame-constants", 5, "a write from inside to constants by guest frame: access",
	  write_by_guest_frame, &(const unsigned int){ REGION_RODATA } },
	{ "guest-frame-data", 5, "a write from inside to data at the guest's frame: access",
	  write_by_guest_frame, &(const unsigned int){ REGION_DATA } },
	{ "another-text", 5, "a write from inside to another module's text: access",
	  write_to_another, &(const unsigned int){ REGION_TEXT } },
	{ "another-data", 5, "a write from inside to another module's data: access",
	  write_to_another, &(const unsigned int){ REGION_DATA } },
	{ "mirror", 5, "all of a private stack overwritten as the guest sees it: no effect",
	  mirror_overwritten, NULL },
	{ "window", 5, "a write to the window of a frame: the module has it",
	  windows, &(const bool){ false } },
	{ "window-around", 5, "writes all around the window of a frame: no effect",
	  windows, &(const bool){ true } },
	{ "window-of-another", 5, "what another thread left in a window: overwritten",
	  window_of_another, NULL },
	{ "window-of-outer", 5, "a callback with its caller's objects: both see the other's writes",
	  window_of_outer, NULL },
	{ "too-deep", 7, "callbacks of callbacks, each with objects that wait: limit",
	  too_many_outer, NULL },
	{ "too-large", 7, "the same with fewer that have large objects: limit",
	  too_large_outer, NULL },
	{ "outer-goes-on", 3, "a callback returns, its caller is inside: its frames are left alone",
	  outer_goes_on, NULL },
	{ "outgrown", 7, "as many callbacks as may be, and another above: not seen; then limit",
	  outgrown, NULL },
	{ "window-meanwhile", 5, "a write to a window while the thread is inside: kept",
	  window_written_meanwhile, NULL },
	{ "unknown-frame", 5, "a call out from a frame that the image does not know: frame",
	  unknown_frame, NULL },
	{}
};
