// SPDX-License-Identifier: GPL-2.0
/* What attacks are written with: see attack.h. */
#include "attack.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "main.h"

#define RFLAGS_FIXED	0x2ULL
#define RFLAGS_IF	0x200ULL
#define RFLAGS_RF	0x10000ULL

struct machine vm;
struct module victim, other;
struct vcpu *cpu, *cpu2;
uint64_t seen_gpa;

extern const char kernel_end[], kernel_halt[], kernel_callee[], kernel_read[], kernel_write[];
extern const char kernel_hypercall[], text_hypercall[], text_foreign_hypercall[];
extern const char text_null[], text_jump[], text_args[], text_identity[], out[];
extern const char out_indirect[], out_args[], out_return[], out_fpu_begin[], out_fpu_end[];
extern const char out_asm[], out_noreturn[], text_out_window_first[], text_out_window_second[];
extern const char text_out_window_spun[], text_out_window_return[], text_out_read_return[];
extern const char text_out_large_return[], text_read_private[];
extern const char text_read_constant[];
extern const char text_count[], text_write_private[];

/* --- the scene -------------------------------------------------------------- */

static bool gone;
static uint64_t expected[KVM_GM_MAX_SEALS + 1][KVM_GM_NR_VIOLATIONS];

void prepare(struct module *module, unsigned int window, const struct setup *setup)
{
	uint64_t va = VA_MODULES + window * WINDOW, text = va + PAGE;
	const struct {
		uint64_t insn, target;
		enum kvm_gm_gate_kind kind;
		unsigned int flags, words;
	} gates[NR_GATES] = {
#define IN_CALL(nr, symbol, flags, words) \
		[nr] = { va + nr * 0x10, text + (symbol - victim_text), KVM_GM_GATE_IN_CALL, \
			 flags, words }
		IN_CALL(GATE_NULL, text_null, 0, 0),
		IN_CALL(GATE_JUMP, text_jump, 0, 0),
		IN_CALL(GATE_ARGS, text_args, 0, GATE_ARGS_WORDS),
		IN_CALL(GATE_INIT, text_identity, setup->init ? KVM_GM_GATE_F_INIT : 0, 0),
		IN_CALL(GATE_EXIT, text_identity, KVM_GM_GATE_F_EXIT, 0),
#undef IN_CALL
		[GATE_IN_RETURN] = { va + 0x83, 0, KVM_GM_GATE_IN_RETURN, 0, 0 },
		[GATE_RESUME] = { va + 0x90, 0, KVM_GM_GATE_RESUME, 0, 0 },
#define WAY_OUT(nr, symbol, target, kind, flags, words) \
		[nr] = { text + (symbol - victim_text), target, kind, flags, words }
#define OUT_CALL(nr, symbol, flags, words) \
		WAY_OUT(nr, symbol, kernel_va(kernel_callee), KVM_GM_GATE_OUT_CALL, flags, words)
		OUT_CALL(GATE_OUT, out, 0, 0),
		WAY_OUT(GATE_OUT_INDIRECT, out_indirect, 0, KVM_GM_GATE_OUT_CALL_INDIRECT, 0, 0),
		OUT_CALL(GATE_OUT_ARGS, out_args, 0, GATE_ARGS_WORDS),
		WAY_OUT(GATE_OUT_RETURN, out_return, 0, KVM_GM_GATE_OUT_RETURN, 0, 0),
		OUT_CALL(GATE_FPU_BEGIN, out_fpu_begin, KVM_GM_GATE_F_FPU_BEGIN, 0),
		OUT_CALL(GATE_FPU_END, out_fpu_end, KVM_GM_GATE_F_FPU_END, 0),
		OUT_CALL(GATE_ASM, out_asm, KVM_GM_GATE_F_ASM, 0),
		OUT_CALL(GATE_NORETURN, out_noreturn, KVM_GM_GATE_F_NORETURN, 0),
#undef OUT_CALL
#undef WAY_OUT
	};
	unsigned int i;

	module_init(module, window, setup->activations ?: ACTIVATIONS, STACK_PAGES);
	/* What follows a gate is reached only by who is not taken in: a HLT. */
	memset(module->content[REGION_GATES], 0xf4, PAGE);
	for (i = 0; i < NR_GATES; i++)
		module_add_gate(module, gates[i].insn, gates[i].target, gates[i].kind,
				gates[i].flags, gates[i].words);
	module->gates[GATE_ASM].results = 1;	/* RAX */
	module_set_trampoline(module, va + 0x80, va + 0xa0);
	memcpy(module->content[REGION_TEXT], victim_text, PAGE);
	put_hypercall(module->content[REGION_TEXT] + (text_hypercall - victim_text));
	put_foreign_hypercall(module->content[REGION_TEXT] +
			      (text_foreign_hypercall - victim_text));
	memset(module->content[REGION_RODATA], 0xc0, PAGE);
	memset(module->content[REGION_DATA], 0xda, PAGE);
	if (setup->hostinfo) {
		module->regions[REGION_DATA].kind = KVM_GM_REGION_HOSTINFO;
		module->regions[REGION_DATA].content = 0;
	}
	if (setup->devices)
		module_add_devices(module);
	module->arg.policy = setup->policy;
	if (setup->window) {
		const char *const returns[] = {
			text_out_window_first, text_out_window_second, text_out_window_spun,
			text_out_window_return,
		};

		for (i = 0; i < sizeof(returns) / sizeof(returns[0]); i++)
			module->frames[i] = (struct kvm_gm_frame) {
				.ret = text + (returns[i] - victim_text),
				.size = 80, .window = 16, .window_len = 32,
			};
		module->frames[i++] = (struct kvm_gm_frame) {
			.ret = text + (text_out_read_return - victim_text), .size = 8,
		};
		module->frames[i++] = (struct kvm_gm_frame) {
			.ret = text + (text_out_large_return - victim_text),
			.size = 0x808, .window_len = 0x800,
		};
		module->arg.nr_frames = i;
	}
	/* The guest's loader left its own copy: of no use to anybody. */
	memset(vm.memory + MODULES + window * WINDOW, 0xf4, MODULE_PAGES * PAGE);
}

void seal(struct module *module)
{
	int r = module_seal(&vm, module);

	expect(!r, "KVM_GM_SEAL: %s", strerror(-r));
}

void load_kernel(void)
{
	memcpy(vm.memory + KERNEL, kernel, kernel_end - kernel);
	put_hypercall(vm.memory + KERNEL + (kernel_hypercall - kernel));
}

static bool waits_in_kvm;	/* a vCPU that halts */

void start_with(const struct setup *setup)
{
	unsigned int i;

	machine_create(&vm, true);
	load_kernel();
	if (setup->halts) {
		struct kvm_enable_cap cap = {
			.cap = KVM_CAP_X86_DISABLE_EXITS, .args = { KVM_X86_DISABLE_EXITS_HLT },
		};

		must(ioctl(vm.vm, KVM_ENABLE_CAP, &cap), "KVM_CAP_X86_DISABLE_EXITS");
	}
	waits_in_kvm = setup->interrupt_controller;
	if (setup->interrupt_controller)
		must(ioctl(vm.vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
	for (i = 0; i < (setup->vcpus ?: 1); i++)
		machine_add_vcpu(&vm);
	cpu = &vm.vcpu[0];
	cpu2 = &vm.vcpu[1];
	prepare(&victim, 0, setup);
	if (!setup->unsealed)
		seal(&victim);
	if (setup->other) {
		prepare(&other, 1, setup);
		seal(&other);
	}
	gone = setup->unsealed;
}

void start(void)
{
	start_with(&(struct setup) {});
}

void victim_is_gone(void)
{
	gone = true;
}

/* --- the guest ---------------------------------------------------------------- */

uint64_t kernel_va(const char *symbol)
{
	return VA_KERNEL + KERNEL + (uint64_t)(symbol - kernel);
}

uint64_t text_va(const char *symbol)
{
	return region_va(REGION_TEXT) + (uint64_t)(symbol - victim_text);
}

uint64_t gate_va(unsigned int gate)
{
	return victim.gates[gate].insn;
}

uint64_t region_va(unsigned int region)
{
	return victim.regions[region].va;
}

uint64_t region_gpa(unsigned int region)
{
	return victim.gpas[region];
}

uint64_t private_sp(void)
{
	return region_va(REGION_STACK) + victim.arg.stack_pages * PAGE - 24;
}

uint32_t bypassed_gate(uint64_t va)
{
	uint32_t i, nearest = KVM_GM_NO_GATE;
	uint64_t best = 0;

	for (i = 0; i < NR_GATES; i++) {
		uint64_t target = victim.gates[i].target;

		if (victim.gates[i].kind != KVM_GM_GATE_IN_CALL || va - target >= PAGE ||
		    target < best)
			continue;
		best = target;
		nearest = i;
	}
	return va - region_va(REGION_TEXT) < PAGE ? nearest : KVM_GM_NO_GATE;
}

uint64_t *word_at(uint64_t va)
{
	uint64_t *word = machine_at(&vm, va);

	expect(word, "no memory at 0x%lx", va);
	return word;
}

struct kvm_regs kernel_regs(uint64_t rip, uint64_t rsp)
{
	return (struct kvm_regs) {
		.rax = 0xaaaa000000000001, .rbx = 0xaaaa000000000002, .rcx = 0xaaaa000000000003,
		.rdx = 0xaaaa000000000004, .rsi = 0xaaaa000000000005, .rdi = 0xaaaa000000000006,
		.rbp = 0xaaaa000000000007, .r8 = 0xaaaa000000000008, .r9 = 0xaaaa000000000009,
		.r10 = 0xaaaa00000000000a, .r11 = 0xaaaa00000000000b, .r12 = 0xaaaa00000000000c,
		.r13 = 0xaaaa00000000000d, .r14 = 0xaaaa00000000000e, .r15 = 0xaaaa00000000000f,
		.rsp = rsp, .rip = rip, .rflags = RFLAGS_FIXED,
	};
}

void kernel_at(struct vcpu *vcpu, uint64_t rip, uint64_t rsp)
{
	struct kvm_regs regs = kernel_regs(rip, rsp);

	vcpu_set_regs(vcpu, &regs);
}

void call_gate(struct vcpu *vcpu, unsigned int gate, uint64_t sp, uint64_t rdi,
	       uint64_t rsi, uint64_t rdx)
{
	struct kvm_regs regs = kernel_regs(gate_va(gate), sp);

	regs.rdi = rdi;
	regs.rsi = rsi;
	regs.rdx = rdx;
	*word_at(sp) = kernel_va(kernel_halt);
	vcpu_set_regs(vcpu, &regs);
}

void call_text(struct vcpu *vcpu, const char *symbol, uint64_t sp, uint64_t rsi, uint64_t rdx)
{
	call_gate(vcpu, GATE_JUMP, sp, text_va(symbol), rsi, rdx);
}

void forge_hypercall(void *at)
{
	put_hypercall(at);
	((uint8_t *)at)[3] = 0xf4;
}

void set_management_mode(struct vcpu *vcpu, bool on)
{
	struct kvm_vcpu_events events;

	must(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
	events.flags |= KVM_VCPUEVENT_VALID_SMM;
	events.smi.smm = on;
	events.exception.injected = 0;
	must(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
}

/* --- what happened ------------------------------------------------------------- */

void fail_at(const char *file, int line, const char *format, ...)
{
	va_list arguments;

	printf("# %s:%d: ", file, line);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	fflush(stdout);
	_Exit(STATUS_FAILED);
}

void skip(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	fflush(stdout);
	_Exit(STATUS_SKIPPED);
}

void equal_at(const char *file, int line, const char *what, uint64_t got, uint64_t want)
{
	if (got != want)
		fail_at(file, line, "%s: got 0x%lx, want 0x%lx", what, got, want);
}

static const char *const kinds[KVM_GM_NR_VIOLATIONS] = {
	[KVM_GM_V_EXEC] = "exec", [KVM_GM_V_WRITE] = "write",
	[KVM_GM_V_HYPERCALL] = "hypercall", [KVM_GM_V_GATE] = "gate",
	[KVM_GM_V_RETURN] = "return", [KVM_GM_V_RESUME] = "resume",
	[KVM_GM_V_ENVIRONMENT] = "environment", [KVM_GM_V_LIMIT] = "limit",
	[KVM_GM_V_ESCAPE] = "escape", [KVM_GM_V_ACCESS] = "access",
	[KVM_GM_V_EXIT] = "exit", [KVM_GM_V_FRAME] = "frame",
	[KVM_GM_V_EMULATE] = "emulate", [KVM_GM_V_QUARANTINE] = "quarantine",
	[KVM_GM_V_READ] = "read",
};

static const char *kind_name(uint32_t kind)
{
	return kind < KVM_GM_NR_VIOLATIONS && kinds[kind] ? kinds[kind] : "unknown";
}

/* The exit that the vCPU made, in words. */
static const char *describe(struct vcpu *vcpu)
{
	static char text[400];
	const struct kvm_gm_exit *exit = KVM_GM_EXIT(vcpu->run);
	struct kvm_regs regs = vcpu_regs(vcpu);
	uint64_t vector = (regs.rip - 1 - vector_va(0)) / 16;

	if (vcpu->run->exit_reason == KVM_EXIT_GM)
		snprintf(text, sizeof(text), "type %u, violation '%s' of %u, gate %d, rip 0x%llx, "
			 "addr 0x%llx, gpa 0x%llx", exit->type, kind_name(exit->kind), exit->id,
			 exit->gate, exit->rip, exit->addr, exit->gpa);
	else if (vcpu->run->exit_reason == KVM_EXIT_HLT && vector < 256)
		snprintf(text, sizeof(text), "vector %lu, from 0x%lx, RAX 0x%llx", vector,
			 word_at(regs.rsp)[vector_has_error_code(vector)], regs.rax);
	else
		snprintf(text, sizeof(text), "exit reason %u at rip 0x%llx, RAX 0x%llx",
			 vcpu->run->exit_reason, regs.rip, regs.rax);
	return text;
}

struct kvm_regs halt_at(const char *file, int line, struct vcpu *vcpu, uint64_t va)
{
	int reason = run_on(vcpu);
	struct kvm_regs regs = vcpu_regs(vcpu);

	if (reason != KVM_EXIT_HLT || regs.rip != va + 1)
		fail_at(file, line, "no halt at 0x%lx, but %s", va, describe(vcpu));
	return regs;
}

static void zero_at(const char *file, int line, const char *what, uint64_t got)
{
	equal_at(file, line, what, got, 0);
}

uint64_t return_at(const char *file, int line, struct vcpu *vcpu)
{
	struct kvm_regs regs = halt_at(file, line, vcpu, kernel_va(kernel_halt));
	struct kvm_regs want = kernel_regs(0, 0);

	equal_at(file, line, "RBX", regs.rbx, want.rbx);
	equal_at(file, line, "RBP", regs.rbp, want.rbp);
	equal_at(file, line, "R12", regs.r12, want.r12);
	equal_at(file, line, "R13", regs.r13, want.r13);
	equal_at(file, line, "R14", regs.r14, want.r14);
	equal_at(file, line, "R15", regs.r15, want.r15);
	zero_at(file, line, "RCX", regs.rcx);
	zero_at(file, line, "RSI", regs.rsi);
	zero_at(file, line, "RDI", regs.rdi);
	zero_at(file, line, "R8", regs.r8);
	zero_at(file, line, "R9", regs.r9);
	zero_at(file, line, "R10", regs.r10);
	zero_at(file, line, "R11", regs.r11);
	equal_at(file, line, "CR3", vcpu_sregs(vcpu).cr3 & PTE_ADDRESS, PML4);
	return regs.rax;
}

struct kvm_regs out_call_at(const char *file, int line, struct vcpu *vcpu, uint64_t sp)
{
	struct kvm_regs regs = halt_at(file, line, vcpu, kernel_va(kernel_callee));

	if (regs.rsp >= sp || sp - regs.rsp > 64)
		fail_at(file, line, "out-call on stack 0x%llx, called at 0x%lx", regs.rsp, sp);
	equal_at(file, line, "the callee's stack, modulo 16", regs.rsp & 15, 8);
	equal_at(file, line, "where the callee returns to", *word_at(regs.rsp),
		 gate_va(GATE_IN_RETURN));
	zero_at(file, line, "RBX", regs.rbx);
	zero_at(file, line, "RBP", regs.rbp);
	zero_at(file, line, "R10", regs.r10);
	zero_at(file, line, "R12", regs.r12);
	zero_at(file, line, "R13", regs.r13);
	zero_at(file, line, "R14", regs.r14);
	zero_at(file, line, "R15", regs.r15);
	equal_at(file, line, "R11", regs.r11, kernel_va(kernel_callee));
	equal_at(file, line, "CR3", vcpu_sregs(vcpu).cr3 & PTE_ADDRESS, PML4);
	return regs;
}

void callee_returns(struct vcpu *vcpu, uint64_t rax)
{
	struct kvm_regs now = vcpu_regs(vcpu), regs = kernel_regs(now.rip, now.rsp);

	regs.rax = rax;
	vcpu_set_regs(vcpu, &regs);
}

struct kvm_regs vector_at(const char *file, int line, struct vcpu *vcpu, unsigned int vector,
			  uint64_t error, uint64_t rip)
{
	struct kvm_regs regs = halt_at(file, line, vcpu, vector_va(vector));
	const uint64_t *frame = word_at(regs.rsp);

	if (vector_has_error_code(vector))
		equal_at(file, line, "error code", *frame++, error);
	equal_at(file, line, "interrupted at", frame[0], rip);
	return regs;
}

static void scrubbed_at(const char *file, int line, const struct kvm_regs *regs)
{
	zero_at(file, line, "RAX", regs->rax);
	zero_at(file, line, "RBX", regs->rbx);
	zero_at(file, line, "RCX", regs->rcx);
	zero_at(file, line, "RDX", regs->rdx);
	zero_at(file, line, "RSI", regs->rsi);
	zero_at(file, line, "RDI", regs->rdi);
	zero_at(file, line, "RBP", regs->rbp);
	zero_at(file, line, "R8", regs->r8);
	zero_at(file, line, "R9", regs->r9);
	zero_at(file, line, "R10", regs->r10);
	zero_at(file, line, "R11", regs->r11);
	zero_at(file, line, "R12", regs->r12);
	zero_at(file, line, "R13", regs->r13);
	zero_at(file, line, "R14", regs->r14);
	zero_at(file, line, "R15", regs->r15);
}

void event_at(const char *file, int line, struct vcpu *vcpu, unsigned int vector,
	      uint64_t error, uint64_t sp)
{
	struct kvm_regs regs = vector_at(file, line, vcpu, vector, error, gate_va(GATE_RESUME));
	const uint64_t *frame = word_at(regs.rsp) + vector_has_error_code(vector);

	scrubbed_at(file, line, &regs);
	equal_at(file, line, "CS", frame[1], KERNEL_CS);
	/* Exceptions push RF. */
	equal_at(file, line, "RFLAGS", frame[2] & ~(RFLAGS_IF | RFLAGS_RF), RFLAGS_FIXED);
	equal_at(file, line, "RSP", frame[3], sp);
	equal_at(file, line, "CR3", vcpu_sregs(vcpu).cr3 & PTE_ADDRESS, PML4);
}

void handler_returns(struct vcpu *vcpu)
{
	struct kvm_regs now = vcpu_regs(vcpu), regs = kernel_regs(now.rip, now.rsp);

	vcpu_set_regs(vcpu, &regs);
}

/* --- what the kernel does, and what is there ------------------------------------------ */

void kernel_stores(struct vcpu *vcpu, uint64_t va, uint64_t value)
{
	struct kvm_regs regs = kernel_regs(kernel_va(kernel_write), STACK(61));

	regs.rdi = va;
	regs.rax = value;
	vcpu_set_regs(vcpu, &regs);
}

uint64_t kernel_loads(struct vcpu *vcpu, uint64_t va)
{
	struct kvm_regs regs = kernel_regs(kernel_va(kernel_read), STACK(61));

	regs.rdi = va;
	vcpu_set_regs(vcpu, &regs);
	return expect_halt(vcpu, kernel_va(kernel_read) + 3).rax;
}

void expect_intact(void)
{
	static const uint64_t offsets[] = { 0, 0x100, 0x200, 0x300, 0xff8 };
	unsigned int i, region;

	for (region = REGION_TEXT; region < REGION_STACK; region++)
		for (i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
			uint64_t want;

			memcpy(&want, victim.content[region] + offsets[i], sizeof(want));
			expect_equal("a word of the module", kernel_loads(cpu,
				     region_va(region) + offsets[i]), want);
		}
	call_text(cpu, text_read_private, STACK(61), 0, 0);
	expect_equal("private data", expect_return(cpu), 0xdadadadadadadada);
	call_text(cpu, text_read_constant, STACK(61), 0, 0);
	expect_equal("a constant", expect_return(cpu), 0xc0c0c0c0c0c0c0c0);
}

/* --- violations --------------------------------------------------------------- */

struct kvm_gm_query query(uint32_t id)
{
	struct kvm_gm_query q = { .size = sizeof(q), .id = id };

	must(ioctl(vm.vm, KVM_GM_QUERY, &q), "KVM_GM_QUERY");
	return q;
}

void count_violation(uint32_t id, enum kvm_gm_violation kind, int times)
{
	expected[id][kind] += times;
}

static void compare_counters(const char *file, int line, uint32_t id)
{
	struct kvm_gm_query q = query(id);
	unsigned int kind;

	for (kind = 0; kind < KVM_GM_NR_VIOLATIONS; kind++)
		if (q.violations[kind] != expected[id][kind])
			fail_at(file, line, "module %u: violations '%s': got %llu, want %lu", id,
				kind_name(kind), q.violations[kind], expected[id][kind]);
}

/* The guest is about to take #GP(0) on a stack that is none: see to it that it is not. */
static void drop_gp(const char *file, int line, struct vcpu *vcpu)
{
	struct kvm_vcpu_events events;

	must(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
	equal_at(file, line, "an exception is pending", events.exception.injected, 1);
	equal_at(file, line, "its vector", events.exception.nr, GP_VECTOR);
	equal_at(file, line, "its error code", events.exception.error_code, 0);
	events.exception.injected = 0;
	must(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
}

void violation_at(const char *file, int line, struct vcpu *vcpu, const struct violation *v)
{
	const struct kvm_gm_exit *exit = KVM_GM_EXIT(vcpu->run);
	struct kvm_regs before = vcpu_regs(vcpu), regs;
	struct module *module = v->module;
	uint32_t id = module ? module->arg.id : 0;
	uint64_t rip = v->inside ? gate_va(GATE_RESUME) : v->rip_after ?: v->rip;

	if (run_on(vcpu) != KVM_EXIT_GM)
		fail_at(file, line, "no violation '%s', but %s", kind_name(v->kind),
			describe(vcpu));
	if (exit->type != KVM_GM_EXIT_VIOLATION || exit->kind != v->kind)
		fail_at(file, line, "no violation '%s', but %s", kind_name(v->kind),
			describe(vcpu));
	equal_at(file, line, "module", exit->id, id);
	equal_at(file, line, "generation", exit->generation, module ? module->arg.generation : 0);
	equal_at(file, line, "gate", exit->gate, v->gate);
	equal_at(file, line, "rip", exit->rip, v->rip);
	equal_at(file, line, "addr", exit->addr, v->addr);
	if (!v->any_gpa)
		equal_at(file, line, "gpa", exit->gpa, v->gpa ?: ~0ULL);
	else if (exit->gpa < MEMORY)
		fail_at(file, line, "gpa 0x%llx is the guest's", exit->gpa);
	seen_gpa = exit->gpa;
	equal_at(file, line, "policy", exit->policy, v->policy);

	regs = vcpu_regs(vcpu);
	equal_at(file, line, "RIP after it", regs.rip, rip);
	if (v->inside) {
		scrubbed_at(file, line, &regs);
		equal_at(file, line, "RSP", regs.rsp, v->inside);
		equal_at(file, line, "RFLAGS", regs.rflags & ~RFLAGS_IF, RFLAGS_FIXED);
	} else if (!v->moved) {
		/* VMX sets RF for what it could not deliver: a fault's frame would have it. */
		before.rflags |= regs.rflags & RFLAGS_RF;
		before.rip = regs.rip;
		if (memcmp(&regs, &before, sizeof(regs)))
			fail_at(file, line, "registers have changed");
	}
	equal_at(file, line, "CR3", vcpu_sregs(vcpu).cr3 & PTE_ADDRESS, PML4);

	expected[id][v->kind]++;
	compare_counters(file, line, id);
	if (v->no_stack)
		drop_gp(file, line, vcpu);
	else if (v->policy != KVM_GM_POLICY_STOP)
		vector_at(file, line, vcpu, v->vector ?: GP_VECTOR, 0, rip);
}

void all_is_well(void)
{
	unsigned int i;

	compare_counters("afterwards", 0, 0);
	if (gone)
		return;
	compare_counters("afterwards", 0, victim.arg.id);
	for (i = 0; i < vm.nr_vcpus; i++) {
		call_gate(&vm.vcpu[i], GATE_NULL, STACK(60), 41, 0, 0);
		expect_equal("a call of the victim afterwards", expect_return(&vm.vcpu[i]), 42);
	}
}

uint64_t statistic(int fd, const char *name)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	uint64_t value = 0;
	bool found = false;
	unsigned int i;

	must(fd, "KVM_GET_STATS_FD");
	must(pread(fd, &header, sizeof(header), 0), "the header of the statistics");
	desc = malloc(sizeof(*desc) + header.name_size);
	expect(desc, "malloc");
	for (i = 0; i < header.num_desc && !found; i++) {
		size_t size = sizeof(*desc) + header.name_size;

		must(pread(fd, desc, size, header.desc_offset + i * size), "a description");
		found = !strcmp(desc->name, name);
		if (found)
			must(pread(fd, &value, sizeof(value), header.data_offset + desc->offset),
			     "a statistic");
	}
	free(desc);
	close(fd);
	expect(found, "KVM has no statistic '%s'", name);
	return value;
}

/* --- signals ------------------------------------------------------------------- */

static void nothing(int signal)
{
	(void)signal;
}

/* Every @usec from now on, 0: no more. */
static void tick(unsigned int usec)
{
	struct itimerval timer = { { 0, usec }, { 0, usec } };
	struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

void run_until_inside(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	tick(5000);
	do {
		int reason = vcpu_run(vcpu);

		expect(reason == -1, "an exit where the victim was to spin: %s", describe(vcpu));
		regs = vcpu_regs(vcpu);
	} while (regs.rip - region_va(REGION_TEXT) >= PAGE);
	tick(0);
}

void let_host_interrupt(struct vcpu *vcpu)
{
	struct kvm_regs regs = vcpu_regs(vcpu);

	regs.rflags |= RFLAGS_IF;
	vcpu_set_regs(vcpu, &regs);
}

void run_for_a_while(struct vcpu *vcpu)
{
	tick(20000);
	expect(vcpu_run(vcpu) == -1, "an exit: %s", describe(vcpu));
	tick(0);
}

void spin(struct vcpu *vcpu, uint64_t sp, bool interrupts)
{
	struct kvm_regs regs;

	*word_at(VA_SCRATCH) = 0;
	call_text(vcpu, text_count, sp, VA_SCRATCH, 0);
	regs = vcpu_regs(vcpu);
	regs.rflags |= interrupts ? RFLAGS_IF : 0;
	vcpu_set_regs(vcpu, &regs);
	run_until_inside(vcpu);
}

void stop_spinning(struct vcpu *vcpu)
{
	*word_at(VA_SCRATCH) = 1;
	expect(expect_return(vcpu), "the victim did not count");
	/* As the module was loaded. */
	call_text(vcpu, text_write_private, STACK(61), 0xdadadadadadadada, 0);
	expect_return(vcpu);
}

/* Where KVM has the interrupt controller, HLT is no exit: it waits in KVM_RUN. */
static bool has_halted(struct vcpu *vcpu)
{
	struct kvm_mp_state state;

	must(ioctl(vcpu->fd, KVM_GET_MP_STATE, &state), "KVM_GET_MP_STATE");
	if (state.mp_state != KVM_MP_STATE_HALTED)
		return false;
	state.mp_state = KVM_MP_STATE_RUNNABLE;
	must(ioctl(vcpu->fd, KVM_SET_MP_STATE, &state), "KVM_SET_MP_STATE");
	return true;
}

int run_on(struct vcpu *vcpu)
{
	int reason;

	if (waits_in_kvm)
		tick(2000);
	do
		reason = vcpu_run(vcpu);
	while (reason == -1 && !(waits_in_kvm && has_halted(vcpu)));
	if (waits_in_kvm)
		tick(0);
	return reason == -1 ? KVM_EXIT_HLT : reason;
}

int change(unsigned long request, uint32_t kind, uint32_t flags, uint32_t first, uint32_t last)
{
	struct kvm_gm_grant arg = {
		.size = sizeof(arg), .id = victim.arg.id, .generation = victim.arg.generation,
		.kind = kind, .flags = flags, .first = first, .last = last,
	};

	return ioctl(vm.vm, request, &arg) < 0 ? -errno : 0;
}
