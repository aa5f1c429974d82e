/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What attacks are written with. A case runs in a process of its own, on a
 * virtual machine of its own with one sealed module, the victim (guest.S). The
 * test plays the hostile kernel: it sets all registers and all memory, lets a
 * vCPU run to its next exit, and says exactly what that must be. What is not as
 * it says ends the case. When a case is over, main.c sees to it that no
 * violation went uncounted and that the victim works as before.
 */
#ifndef GM_TESTS_ATTACK_H
#define GM_TESTS_ATTACK_H

#include <stddef.h>

#include "machine.h"

struct attack {
	const char *name;
	unsigned int invariant;		/* I1..I7 */
	const char *about;		/* what the hostile kernel does, and what it gets */
	void (*run)(const struct attack *attack);
	const void *with;		/* of the function's own kind */
	enum vendor only;		/* 0: both */
	const char *why;		/* there is none for the other */
};

/* One for each invariant or part of it, ended by a row without a name. */
extern const struct attack entry_attacks[], seal_attacks[], exit_attacks[], event_attacks[],
	return_attacks[], code_attacks[], data_attacks[], translation_attacks[],
	closed_attacks[], race_attacks[], privilege_attacks[], ept_attacks[], cloak_attacks[],
	device_attacks[], idle_attacks[], step_attacks[], gate_attacks[],
	many_attacks[], paravirt_attacks[];

extern struct machine vm;
extern struct module victim, other;
extern struct vcpu *cpu, *cpu2;		/* the first vCPUs */

/* --- the scene -------------------------------------------------------------- */

#define ACTIVATIONS	8
#define STACK_PAGES	2		/* the lower one is a guard */
#define MODULE_PAGES	(REGION_STACK + ACTIVATIONS * STACK_PAGES)

struct setup {
	unsigned int vcpus;		/* 0: one */
	unsigned int activations;	/* 0: ACTIVATIONS */
	enum kvm_gm_policy policy;
	bool init;			/* nothing is entered before GATE_INIT */
	bool unsealed;			/* the victim is prepared, not sealed */
	bool other;			/* a second module, sealed */
	bool interrupt_controller;	/* KVM's own: run_on() sees HLT none the less */
	bool halts;			/* HLT is no exit outside */
	bool window;			/* text_out_window() shares 32 bytes */
	bool hostinfo;			/* region_va(REGION_DATA) is a HOSTINFO region */
	bool devices;			/* there is a DEVICES region */
};

void start(void);
/* For who makes the machine itself. */
void load_kernel(void);
void start_with(const struct setup *setup);
/* The victim at another window, to be sealed by the caller. */
void prepare(struct module *module, unsigned int window, const struct setup *setup);
void seal(struct module *module);
/* The case itself has ended the victim. */
void victim_is_gone(void);

/* --- the guest ---------------------------------------------------------------- */

/* The victim's gates, by number. */
enum {
	GATE_NULL, GATE_JUMP, GATE_ARGS, GATE_INIT, GATE_EXIT, GATE_IN_RETURN, GATE_RESUME,
	GATE_OUT, GATE_OUT_INDIRECT, GATE_OUT_ARGS, GATE_OUT_RETURN, GATE_FPU_BEGIN,
	GATE_FPU_END, GATE_ASM, GATE_NORETURN, NR_GATES,
};

#define GATE_ARGS_WORDS	3

/* Guest stacks, for as many threads. */
#define STACK(i)	(VA_DIRECT + 0x400000 + ((i) + 1) * 0x4000ULL)
/* A page of the kernel's that nothing uses; zeroes. */
#define SCRATCH		0x800000ULL
#define VA_SCRATCH	(VA_DIRECT + SCRATCH)
/* Where nothing is mapped: in the kernel half, beside the victim, in user space. */
#define VA_ABSENT	0xffffa00000000000ULL
#define VA_BESIDE	(VA_MODULES + 0x100000)
#define VA_USER		0x400000ULL

extern const char kernel[], victim_text[];
uint64_t kernel_va(const char *symbol);
uint64_t text_va(const char *symbol);
uint64_t gate_va(unsigned int gate);
uint64_t region_va(unsigned int region);
uint64_t region_gpa(unsigned int region);
uint64_t *word_at(uint64_t va);
/* Where the victim's first activation has its stack pointer when it is called. */
uint64_t private_sp(void);
/* The gate that a violation at that address of the victim's names. */
uint32_t bypassed_gate(uint64_t va);
/* The frame in the aperture that the last violation was about (.any_gpa). */
extern uint64_t seen_gpa;

/* Registers that are easily recognised, RSP and RIP. */
struct kvm_regs kernel_regs(uint64_t rip, uint64_t rsp);
/* The same, set. */
void kernel_at(struct vcpu *vcpu, uint64_t rip, uint64_t rsp);
/* At a gate, as by CALL from kernel_halt, with those arguments. */
void call_gate(struct vcpu *vcpu, unsigned int gate, uint64_t sp, uint64_t rdi,
	       uint64_t rsi, uint64_t rdx);
/* The same for any function of the victim, which gets them in RSI, RDX. */
void call_text(struct vcpu *vcpu, const char *symbol, uint64_t sp, uint64_t rsi,
	       uint64_t rdx);

/* In the guest's own memory: a hypercall, then HLT. */
void forge_hypercall(void *at);

/* Enter or leave SMM, as it is but for pending exceptions: those are dropped. */
void set_management_mode(struct vcpu *vcpu, bool on);

/* --- what must happen ----------------------------------------------------------- */

void fail_at(const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void equal_at(const char *file, int line, const char *what, uint64_t got, uint64_t want);
void skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#define fail(...)		fail_at(__FILE__, __LINE__, __VA_ARGS__)
#define expect(condition, ...)	((condition) ? (void)0 : fail(__VA_ARGS__))
#define expect_equal(what, got, want) \
	equal_at(__FILE__, __LINE__, what, (uint64_t)(got), (uint64_t)(want))

/* What KVM_GM_V_EXIT tells of an exit, <asm/svm.h> and <asm/vmx.h>: this vendor's. */
#define exit_code(svm, vmx)	((uint64_t)(machine_vendor() == SVM ? (svm) : (vmx)))

/* A halt at the HLT at @va. */
#define expect_halt(vcpu, va)	halt_at(__FILE__, __LINE__, vcpu, va)
struct kvm_regs halt_at(const char *file, int line, struct vcpu *vcpu, uint64_t va);

/* The victim returns to kernel_halt, with the caller's registers; its result. */
#define expect_return(vcpu)	return_at(__FILE__, __LINE__, vcpu)
uint64_t return_at(const char *file, int line, struct vcpu *vcpu);

/* The victim, called at @sp, calls kernel_callee: nothing of it is visible. */
#define expect_out_call(vcpu, sp)	out_call_at(__FILE__, __LINE__, vcpu, sp)
struct kvm_regs out_call_at(const char *file, int line, struct vcpu *vcpu, uint64_t sp);

/* The callee returns @rax, with all else that it may change changed. */
void callee_returns(struct vcpu *vcpu, uint64_t rax);

/* An exception or interrupt reaches its handler; what interrupted is at @rip. */
#define NO_ERROR_CODE	(~0ULL)
#define expect_vector(vcpu, vector, error, rip) \
	vector_at(__FILE__, __LINE__, vcpu, vector, error, rip)
struct kvm_regs vector_at(const char *file, int line, struct vcpu *vcpu, unsigned int vector,
			  uint64_t error, uint64_t rip);

/* The same, of the victim called at @sp: at the resume gate, registers scrubbed. */
#define expect_event(vcpu, vector, error, sp) \
	event_at(__FILE__, __LINE__, vcpu, vector, error, sp)
void event_at(const char *file, int line, struct vcpu *vcpu, unsigned int vector,
	      uint64_t error, uint64_t sp);

/* The handler that a vCPU halts in ends by IRET to the resume gate: it runs on. */
void handler_returns(struct vcpu *vcpu);

/*
 * A violation, to the last field. If it happened @inside, of the victim that was
 * called at that stack pointer, the vCPU is found at the resume gate with its
 * registers scrubbed, otherwise as it was. Then, unless the policy is to stop,
 * the guest takes #GP there.
 */
struct violation {
	enum kvm_gm_violation kind;
	uint32_t gate;
	uint64_t rip;
	uint64_t addr;
	uint64_t gpa;		/* 0: none, which KVM tells by all ones */
	uint64_t inside;
	struct module *module;
	enum kvm_gm_policy policy;
	unsigned int vector;	/* what the guest takes, with error code 0; 0: #GP */
	bool moved;		/* outside, but not where it started: registers differ */
	uint64_t rip_after;	/* where it is found then, if not at .rip */
	bool no_stack;		/* the guest cannot take #GP: it is dropped */
	bool any_gpa;		/* in the aperture, whose place is drawn at random */
};

#define expect_violation(vcpu, kind_, gate_, rip_, addr_, ...) \
	violation_at(__FILE__, __LINE__, vcpu, &(struct violation){ \
		.kind = kind_, .gate = gate_, .rip = rip_, .addr = addr_, ##__VA_ARGS__ })
void violation_at(const char *file, int line, struct vcpu *vcpu, const struct violation *v);

/* The kernel stores to, or loads from, guest virtual memory. */
void kernel_stores(struct vcpu *vcpu, uint64_t va, uint64_t value);
uint64_t kernel_loads(struct vcpu *vcpu, uint64_t va);
/* What each page of the victim holds, as it runs and as the guest may read it. */
void expect_intact(void);

/* The victim's activations in use, and those whose thread has died in it. */
#define expect_activations(in_use, dead) \
	expect_equal("activations in use", query(victim.arg.id).activations, in_use), \
	expect_equal("activations lost", query(victim.arg.id).lost, dead)
struct kvm_gm_query query(uint32_t id);

/* Violations that expect_violation() did not see, or that ended with their seal. */
void count_violation(uint32_t id, enum kvm_gm_violation kind, int times);

/* One of KVM's, by name, of a VM or vCPU: what KVM_GET_STATS_FD gave, which is closed. */
uint64_t statistic(int fd, const char *name);

/* Run until a signal interrupts the vCPU in the victim's text. */
void run_until_inside(struct vcpu *vcpu);
/* For loops without exits: where IF is clear, Bochs has no exit for the host's interrupts. */
void let_host_interrupt(struct vcpu *vcpu);

/* Run until a signal interrupts the vCPU, wherever it is. */
void run_for_a_while(struct vcpu *vcpu);

/* The victim, called at @sp, goes round and round, and has been interrupted so. */
void spin(struct vcpu *vcpu, uint64_t sp, bool interrupts);
/* It is told to stop, and returns. */
void stop_spinning(struct vcpu *vcpu);

/* Run until an exit, whatever signals come, or until it halts. */
int run_on(struct vcpu *vcpu);

/* --- what is granted ----------------------------------------------------------- */

/* KVM_GM_GRANT or KVM_GM_REVOKE, of the victim: 0 or a negative errno. */
int change(unsigned long request, uint32_t kind, uint32_t flags, uint32_t first, uint32_t last);

#define MSR_MTRR_TYPE	0x2ff		/* which nobody is granted */

/* RDMSR or WRMSR inside, in a function of the victim's: exit, at the instruction (privilege.c). */
void expect_no_msr(const char *text, const char *itself, uint32_t msr);

#define expect_grant(...)	expect_equal("KVM_GM_GRANT", change(KVM_GM_GRANT, __VA_ARGS__), 0)
#define expect_revoke(...)	expect_equal("KVM_GM_REVOKE", change(KVM_GM_REVOKE, __VA_ARGS__), 0)

#endif /* GM_TESTS_ATTACK_H */
