// SPDX-License-Identifier: GPL-2.0
/*
 * What a border crossing costs: a virtual machine of our own with one vCPU in
 * 64-bit mode, a few lines of code for a kernel, and guarded modules of a few
 * lines each, sealed by hand. Both sides read the TSC next to their end of each
 * crossing. Under QEMU's -icount one TSC tick is one instruction.
 *
 *	crossing-cost [-w] [-m MODULES] [-a ACTIVATIONS] [-c VCPUS]
 *
 * The last of MODULES modules is used, while ACTIVATIONS other threads are in
 * out-calls of it, which VCPUS vCPUs have made. Prints a line for each sample:
 * in-call, out-return, out-call, in-return. With -w it says "ready", waits for
 * SIGUSR1, and takes a few samples only, for somebody who looks on.
 */
#include <err.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine.h"

#define SAMPLES		500
#define FEW_SAMPLES	4
#define WARM_UP		50

/* Guest physical. */
#define RESULTS		0x200000
#define STACKS		0x400000	/* one of STACK bytes for each thread */
#define STACK		1024ULL

#define MAX_ACTIVATIONS	1001

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

/* A module's text; here, too. */
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
    "	.byte 0xcc, 0xcc, 0xcc, 0xc3\n"
    "	.org text + 0x110, 0xcc\n"
    "	.byte 0xcc, 0xcc, 0xcc, 0xc3\n"
    "	.org text + 0x120, 0xcc\n"
    "	.byte 0xcc, 0xcc, 0xcc, 0x0f, 0x0b\n"
    "text_end:\n"
    ".popsection");

static uint64_t module_va(unsigned int module)
{
	return VA_MODULES + module * WINDOW;
}

static uint64_t kernel_va(const char *symbol)
{
	return VA_KERNEL + KERNEL + (uint64_t)(symbol - kernel);
}

static void seal(struct machine *m, unsigned int nr, unsigned int activations)
{
	static struct module module;
	uint64_t va = module_va(nr), text_va = va + PAGE;
	const struct kvm_gm_gate gates[] = {
		{ va + GATE_NULL, text_va + (text_null - text), KVM_GM_GATE_IN_CALL, 0, 0, 0, 0 },
		{ va + GATE_OUT, text_va + (text_out - text), KVM_GM_GATE_IN_CALL, 0, 0, 0, 0 },
		{ va + GATE_PARK, text_va + (text_park - text), KVM_GM_GATE_IN_CALL, 0, 0, 0, 0 },
		{ va + IN_RETURN, 0, KVM_GM_GATE_IN_RETURN, 0, 0, 0, 0 },
		{ va + RESUME, 0, KVM_GM_GATE_RESUME, 0, 0, 0, 0 },
		{ text_va + TEXT_STUB, kernel_va(kernel_callee), KVM_GM_GATE_OUT_CALL, 0, 0, 0, 0 },
		{ text_va + TEXT_STUB_PARK, kernel_va(kernel_parked), KVM_GM_GATE_OUT_CALL,
		  0, 0, 0, 0 },
		{ text_va + TEXT_OUT_RETURN, 0, KVM_GM_GATE_OUT_RETURN, 0, 0, 0, 0 },
	};
	unsigned int i;

	module_init(&module, nr, activations, 2);
	for (i = 0; i < sizeof(gates) / sizeof(gates[0]); i++)
		module_add_gate(&module, gates[i].insn, gates[i].target, gates[i].kind, 0, 0);
	module_set_trampoline(&module, va + TRAMPOLINE, va + RET);
	memcpy(module.content[REGION_TEXT], text, text_end - text);
	must(module_seal(m, &module), "KVM_GM_SEAL");
}

static void run(struct vcpu *vcpu, struct kvm_regs regs)
{
	regs.rflags = 2;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run(vcpu);
	if (vcpu->run->exit_reason == KVM_EXIT_GM) {
		struct kvm_gm_exit *exit = KVM_GM_EXIT(vcpu->run);

		errx(1, "violation %u at rip 0x%llx, address 0x%llx, gpa 0x%llx", exit->kind,
		     exit->rip, exit->addr, exit->gpa);
	}
	if (vcpu->run->exit_reason != KVM_EXIT_HLT)
		errx(1, "exit reason %u instead of a halt", vcpu->run->exit_reason);
	if (vcpu_regs(vcpu).rip < VA_KERNEL + KERNEL)
		errx(1, "an exception, handler 0x%llx", vcpu_regs(vcpu).rip);
}

static void wait_for_signal(void)
{
	sigset_t signals;
	int which;

	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	puts("ready");
	fflush(stdout);
	sigwait(&signals, &which);
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
	unsigned int modules = 1, parked = 0, vcpus = 1, samples = SAMPLES, i, first = 0;
	bool watched = false;
	struct machine m;
	int option;
	uint64_t va;

	while ((option = getopt(argc, argv, "wm:a:c:")) != -1) {
		switch (option) {
		case 'w':
			watched = true;
			samples = FEW_SAMPLES;
			break;
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
			errx(2, "usage: %s [-w] [-m MODULES] [-a ACTIVATIONS] [-c VCPUS]", argv[0]);
		}
	}

	machine_create(&m, true);
	memcpy(m.memory + KERNEL, kernel, kernel_end - kernel);

	for (i = 0; i < vcpus; i++)
		machine_add_vcpu(&m);
	for (i = 0; i < modules; i++)
		seal(&m, i, i == modules - 1 ? parked + 1 : 1);
	va = module_va(modules - 1);

	/* The vCPUs take turns, the first comes last and may have none to park. */
	for (i = vcpus; i-- && parked; ) {
		unsigned int share = i ? parked / vcpus : parked - first;
		uint64_t stack = VA_DIRECT + STACKS + (first + 2) * STACK;

		first += share;
		if (share)
			run(&m.vcpu[i], (struct kvm_regs) {
				.rip = kernel_va(kernel_park), .rsp = stack, .rbx = stack,
				.rbp = share, .r14 = va,
			});
	}

	if (watched)
		wait_for_signal();
	run(&m.vcpu[0], (struct kvm_regs) {
		.rip = kernel_va(kernel), .rsp = VA_DIRECT + STACKS + STACK,
		.rbx = VA_DIRECT + RESULTS, .rbp = samples + WARM_UP, .r14 = va,
	});
	for (i = WARM_UP; i < WARM_UP + samples; i++) {
		uint32_t ticks[4];

		memcpy(ticks, m.memory + RESULTS + sizeof(ticks) * i, sizeof(ticks));
		printf("%u %u %u %u\n", ticks[0], ticks[1], ticks[2], ticks[3]);
	}
	return 0;
}
