// SPDX-License-Identifier: GPL-2.0
/*
 * I2 and I7 at every instruction of a guarded call (walk.h), from the kernel's
 * call of the gate to the return: whatever event comes there, the kernel finds it
 * at the resume gate with registers scrubbed if the vCPU is inside, and else where it
 * is; then the call goes on as if nothing had been.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "walk.h"

#define SP		STACK(0)
#define NMI_VECTOR	2
#define IRQ_VECTOR	0x20
#define RFLAGS_IF	0x200ULL
#define RFLAGS_RF	0x10000ULL

extern const char kernel_halt[], kernel_callee[], kernel_calls[], kernel_write[];
extern const char text_journey_back[], text_read[];

/* --- events --------------------------------------------------------------------- */

static void raise_event(unsigned int vector, uint64_t error)
{
	struct kvm_interrupt interrupt = { .irq = vector };
	struct kvm_vcpu_events events;

	if (vector == NMI_VECTOR) {
		must(ioctl(cpu->fd, KVM_NMI), "KVM_NMI");
		return;
	}
	if (vector >= 32) {
		must(ioctl(cpu->fd, KVM_INTERRUPT, &interrupt), "KVM_INTERRUPT");
		return;
	}
	must(ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
	events.exception.injected = 1;
	events.exception.nr = vector;
	events.exception.has_error_code = vector_has_error_code(vector);
	events.exception.error_code = events.exception.has_error_code ? error : 0;
	must(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
}

static uint64_t error_of(unsigned int vector)
{
	return vector == DF_VECTOR || vector == AC_VECTOR ? 0 : 0x70 + vector;
}

struct events {
	uint32_t exceptions;	/* by vector */
	unsigned int other;	/* an interrupt's, or the NMI's; 0: none */
};

/* The registers where a vCPU stands, but for what a breakpoint leaves. */
static struct kvm_regs registers(void)
{
	struct kvm_regs regs = vcpu_regs(cpu);

	regs.rflags &= ~RFLAGS_RF;
	return regs;
}

/* The event is delivered where the walk stands, and the walk stands there again. */
static void deliver(const struct walk *walk, unsigned int vector)
{
	struct kvm_regs before = registers(), after;
	uint64_t error = error_of(vector);

	raise_event(vector, error);
	if (walk_is_inside(walk)) {
		expect_event(cpu, vector, error, walk->sp);
		handler_returns(cpu);
		/* Once more, before the resume gate is used. */
		step_to(cpu, gate_va(GATE_RESUME));
		raise_event(vector, error);
		expect_vector(cpu, vector, error, gate_va(GATE_RESUME));
		handler_returns(cpu);
	} else {
		expect_vector(cpu, vector, error, walk->rip);
		/* The kernel's own registers are still there. */
		after = registers();
		after.rip = before.rip;
		after.rsp = before.rsp;
		after.rflags = before.rflags;
		expect(!memcmp(&after, &before, sizeof(after)),
		       "vector %u at 0x%lx: other registers in the handler", vector, walk->rip);
	}
	step_to(cpu, walk->rip);
	after = registers();
	expect(!memcmp(&after, &before, sizeof(after)),
	       "vector %u at 0x%lx: other registers after it", vector, walk->rip);
}

/* All of these at each instruction, of one call. */
static void events_at_every_instruction(const struct attack *attack)
{
	const struct events *events = attack->with;
	unsigned int vector, inside = 0;
	struct walk walk;

	start();
	walk_begin(&walk, cpu, SP);
	walk_end(&walk);
	walk_begin(&walk, cpu, SP);
	do {
		for (vector = 0; vector < 32; vector++)
			if (events->exceptions >> vector & 1)
				deliver(&walk, vector);
		if (events->other)
			deliver(&walk, events->other);
		inside += walk_is_inside(&walk);
	} while (walk_on(&walk));
	expect(walk.position >= WALK_LEAST, "only %u instructions", walk.position);
	walk_end(&walk);
	inside *= __builtin_popcount(events->exceptions) + !!events->other;
	expect_equal("event exits", query(1).crossings[KVM_GM_EVENT_EXIT], inside);
	expect_equal("resumes", query(1).crossings[KVM_GM_RESUME], inside);
	expect_activations(0, 0);
}

/* One event at one instruction, and the rest of the call in one go: the fast way. */
static void event_at_each_instruction(const struct attack *attack)
{
	const struct events *events = attack->with;
	struct walk walk;
	unsigned int k;

	start();
	walk_begin(&walk, cpu, SP);
	walk_end(&walk);
	for (k = 0; walk_begin_at(&walk, cpu, SP, k); k++) {
		raise_event(events->other, 0);
		if (walk_is_inside(&walk))
			expect_event(cpu, events->other, 0, SP);
		else
			expect_vector(cpu, events->other, 0, walk.rip);
		walk_end(&walk);
		expect_activations(0, 0);
	}
	expect(k >= WALK_LEAST, "only %u instructions", k);
}

/* --- the debugger ------------------------------------------------------------------ */

/* Where the gate at @rip leads in that call; 0: there is none. */
static uint64_t beyond_gate(uint64_t rip)
{
	if (rip == gate_va(GATE_JUMP))
		return victim.gates[GATE_JUMP].target;
	if (rip == gate_va(GATE_OUT))
		return victim.arg.trampoline;
	if (rip == gate_va(GATE_IN_RETURN))
		return text_va(text_journey_back);
	return rip == gate_va(GATE_OUT_RETURN) ? victim.arg.ret : 0;
}

/* Its step over a gate ends at the first instruction beyond. */
static void debugger_steps_over_gates(const struct attack *attack)
{
	unsigned int gates = 0;
	struct walk walk;

	(void)attack;
	start();
	walk_begin(&walk, cpu, SP);
	do {
		uint64_t beyond = beyond_gate(walk.rip);

		walk_on(&walk);
		/* The in-return gate is followed by the RET of the out-call's. */
		if (beyond == text_va(text_journey_back))
			walk_on(&walk);
		if (beyond)
			expect_equal("where the step over a gate ends", walk.rip, beyond);
		gates += !!beyond;
	} while (walk.rip != kernel_va(kernel_halt));
	walk_end(&walk);
	expect_equal("gates", gates, 4);
	expect_equal("RFLAGS", vcpu_regs(cpu).rflags, RFLAGS_IF | 2);

	call_text(cpu, text_read, SP, VA_ABSENT, 0);
	expect_event(cpu, PF_VECTOR, 0, SP);
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
	kernel_at(cpu, gate_va(GATE_RESUME), SP);
	expect_equal("where the step over the resume gate ends", step(cpu), text_va(text_read));
	expect_return(cpu);
}

/* --- ends -------------------------------------------------------------------------- */

static void unseal(void)
{
	uint32_t id = victim.arg.id;

	must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
}

/* What the guest's loader left, a page of HLTs, is what is there after the end. */
static void expect_gone(struct walk *walk)
{
	if (walk_is_inside(walk)) {
		expect_event(cpu, GP_VECTOR, 0, walk->sp);
		handler_returns(cpu);
		expect_halt(cpu, gate_va(GATE_RESUME));
		return;
	}
	if (walk->rip == kernel_va(kernel_callee))
		expect_halt(cpu, walk->rip);
	expect_halt(cpu, walk->rip - kernel_va(kernel_callee) < 2 ? gate_va(GATE_IN_RETURN) :
								    walk->rip);
}

static void end_by_unseal(struct walk *walk)
{
	unseal();
	expect_gone(walk);
}

/* Another vCPU's call of the module's exit function ends. */
static void end_by_unload(struct walk *walk)
{
	const struct kvm_gm_exit *exit = KVM_GM_EXIT(cpu2->run);

	call_gate(cpu2, GATE_EXIT, STACK(1), 0, 0, 0);
	expect_equal("exit reason", run_on(cpu2), KVM_EXIT_GM);
	expect_equal("type", exit->type, KVM_GM_EXIT_UNSEALED);
	expect_equal("generation", exit->generation, victim.arg.generation);
	expect_halt(cpu2, victim.arg.ret);
	expect_gone(walk);
}

/* Userspace resets the vCPU, as it does for a machine's reset, and then unseals. */
static void end_by_reset(struct walk *walk)
{
	struct kvm_sregs sregs = vcpu_sregs(cpu2);

	vcpu_set_sregs(cpu, &sregs);
	kernel_at(cpu, kernel_va(kernel_halt), SP);
	expect_halt(cpu, kernel_va(kernel_halt));
	/* Who is out may come back as long as the module is there. */
	if (walk_is_inside(walk))
		expect_activations(0, 1);
	unseal();
	kernel_at(cpu, gate_va(GATE_RESUME), SP);
	expect_halt(cpu, gate_va(GATE_RESUME));
}

/* The victim's counters begin anew with its next seal. */
static void end_of_quarantined(unsigned int refused)
{
	unseal();
	count_violation(victim.arg.id, KVM_GM_V_WRITE, -1);
	count_violation(victim.arg.id, KVM_GM_V_QUARANTINE, -refused);
}

static void expect_quarantine(unsigned int gate, bool moved)
{
	expect_violation(cpu, KVM_GM_V_QUARANTINE, gate, gate_va(gate), gate_va(gate),
			 .module = &victim, .policy = KVM_GM_POLICY_QUARANTINE, .moved = moved);
	end_of_quarantined(1);
}

/* Another vCPU violates a check. Who is not inside goes on to the next gate. */
static void end_by_quarantine(struct walk *walk)
{
	uint64_t va = region_va(REGION_TEXT);

	kernel_stores(cpu2, va, 0);
	expect_violation(cpu2, KVM_GM_V_WRITE, bypassed_gate(va), kernel_va(kernel_write), va,
			 .gpa = region_gpa(REGION_TEXT), .module = &victim,
			 .policy = KVM_GM_POLICY_QUARANTINE);
	if (walk_is_inside(walk)) {
		expect_event(cpu, GP_VECTOR, 0, walk->sp);
		handler_returns(cpu);
		expect_quarantine(GATE_RESUME, true);
	} else if (walk->rip == gate_va(GATE_JUMP)) {
		expect_quarantine(GATE_JUMP, false);
	} else if (walk->rip == victim.arg.ret) {
		walk_end(walk);
		end_of_quarantined(0);
	} else {
		if (!walk->called_out) {
			expect_out_call(cpu, walk->sp);
			walk_callee_returns(walk);
		}
		expect_quarantine(GATE_IN_RETURN, walk->rip != gate_va(GATE_IN_RETURN));
	}
}

struct end {
	void (*end)(struct walk *walk);
	enum kvm_gm_policy policy;
};

static void end_at_each_instruction(const struct attack *attack)
{
	const struct end *e = attack->with;
	const struct setup setup = { .vcpus = 2, .policy = e->policy };
	struct walk walk;
	unsigned int k;

	start_with(&setup);
	for (k = 0; walk_begin_at(&walk, cpu, SP, k); k++) {
		e->end(&walk);
		prepare(&victim, 0, &setup);
		seal(&victim);
		expect_equal("generation", victim.arg.generation, k + 2);
		expect_activations(0, 0);
	}
	expect(k >= WALK_LEAST, "only %u instructions", k);
}

/* --- the end of the process ------------------------------------------------------------ */

/* References to KVM's module of this vendor: one for each VM, and for each open file. */
static unsigned long references(void)
{
	const char *path = machine_vendor() == SVM ? "/sys/module/kvm_amd/refcnt" :
						     "/sys/module/kvm_intel/refcnt";
	FILE *file = fopen(path, "r");
	unsigned long count;

	expect(file, "%s: %s", path, strerror(errno));
	expect(fscanf(file, "%lu", &count) == 1, "%s is no number", path);
	fclose(file);
	return count;
}

/* Run in a process of its own, which says that it is ready, and is killed. */
static void kill_process(void (*run)(unsigned int k, int ready), unsigned int k,
			 unsigned int microseconds)
{
	int ends[2], status;
	pid_t child;
	char byte;

	must(pipe(ends), "pipe");
	child = must(fork(), "fork");
	if (!child) {
		close(ends[0]);
		run(k, ends[1]);
		_Exit(1);
	}
	close(ends[1]);
	expect(read(ends[0], &byte, 1) == 1, "the process ended before it was killed");
	close(ends[0]);
	nanosleep(&(struct timespec) { .tv_nsec = microseconds * 1000 }, NULL);
	must(kill(child, SIGKILL), "kill");
	must(waitpid(child, &status, 0), "waitpid");
	expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "it ended by itself");
}

static void say_ready(int ready)
{
	must(write(ready, "", 1), "write");
}

static void walk_until_killed(unsigned int k, int ready)
{
	struct walk walk;

	start();
	expect(walk_begin_at(&walk, cpu, SP, k), "the call has no instruction %u", k);
	say_ready(ready);
	for (;;)
		pause();
}

/* With the vCPU at each instruction. */
static void killed_at_each_instruction(const struct attack *attack)
{
	unsigned long before = references();
	struct walk walk;
	unsigned int k;

	(void)attack;
	for (k = 0; k < WALK_LEAST; k++) {
		kill_process(walk_until_killed, k, 0);
		expect_equal("references to KVM after a kill", references(), before);
	}
	start();
	expect_equal("references to KVM with a VM", references() > before, 1);
	walk_begin(&walk, cpu, SP);
	walk_end(&walk);
}

static void *call_for_ever(void *argument)
{
	struct vcpu *vcpu = argument;
	struct kvm_regs regs = kernel_regs(kernel_va(kernel_calls),
					   vcpu == cpu ? STACK(0) : STACK(1));

	regs.rbx = ~0ULL;
	regs.r12 = gate_va(GATE_NULL);
	regs.rflags |= RFLAGS_IF;
	vcpu_set_regs(vcpu, &regs);
	run_on(vcpu);
	return NULL;
}

static void call_until_killed(unsigned int k, int ready)
{
	pthread_t thread;

	(void)k;
	start_with(&(struct setup) { .vcpus = 2 });
	expect(!pthread_create(&thread, NULL, call_for_ever, cpu2), "no thread");
	say_ready(ready);
	call_for_ever(cpu);
}

/* While two vCPUs cross as fast as they can. */
static void killed_while_running(const struct attack *attack)
{
	unsigned long before = references();
	unsigned int k;

	(void)attack;
	for (k = 0; k < 40; k++) {
		kill_process(call_until_killed, 0, 300 * (k % 20));
		expect_equal("references to KVM after a kill", references(), before);
	}
	start();
}

#define END(label, text, function, ...) \
	{ "every-instruction-" label, 7, text " at every instruction of a call: nothing goes on", \
	  end_at_each_instruction, &(const struct end){ function, ##__VA_ARGS__ } }

#define EVENTS(label, text, function, ...) \
	{ "every-instruction-" label, 2, text " at every instruction of a call: at the resume gate", \
	  function, &(const struct events){ __VA_ARGS__ } }

/* Vectors 0..19 but the NMI, what INT3 and INTO raise, and those that nothing has. */
#define EXCEPTIONS	0xf7de3

const struct attack step_attacks[] = {
	EVENTS("interrupt", "an interrupt", events_at_every_instruction, 0, IRQ_VECTOR),
	EVENTS("nmi", "an NMI", events_at_every_instruction, 0, NMI_VECTOR),
	EVENTS("exception", "each of 15 exceptions", events_at_every_instruction, EXCEPTIONS, 0),
	EVENTS("one-interrupt", "a single interrupt", event_at_each_instruction, 0, IRQ_VECTOR),
	EVENTS("one-nmi", "a single NMI", event_at_each_instruction, 0, NMI_VECTOR),
	{ "debugger-steps-over", 2, "a debugger steps over each gate: to the instruction beyond",
	  debugger_steps_over_gates, NULL },
	END("unseal", "an unseal", end_by_unseal),
	END("unload", "the module's exit function, on another vCPU,", end_by_unload),
	END("reset", "a reset", end_by_reset),
	END("quarantine", "a quarantine", end_by_quarantine, KVM_GM_POLICY_QUARANTINE),
	{ "every-instruction-kill", 7, "a kill at every instruction of a call: nothing is left",
	  killed_at_each_instruction, NULL },
	{ "kill-running", 7, "a kill while two vCPUs call, 40 times: nothing is left",
	  killed_while_running, NULL },
	{}
};
