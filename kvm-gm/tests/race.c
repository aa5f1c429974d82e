// SPDX-License-Identifier: GPL-2.0
/*
 * I6, I3 and I7 again, as races: two vCPUs, or a vCPU and userspace, at the same
 * time. How a round ends is chance; what every end has in common is not.
 */
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "attack.h"

#define SP		STACK(0)
#define RESULT		0x1234
#define FORGED_PAGE	(SCRATCH + 0x20000)
#define FORGED_TABLES	(SCRATCH + 0x10000)
#define CALLS		2000

extern const char kernel_calls_through[], kernel_callback[], text_out_indirect[];
extern const char kernel_halt[], kernel_calls[], kernel_remap[], text_out[], text_read[], text_sum[],
	text_out_large[], text_store[];

/* --- a vCPU in a thread of its own ------------------------------------------------- */

struct runner {
	pthread_t thread;
	struct vcpu *vcpu;
	pthread_barrier_t *barrier;	/* to start with another, or NULL */
	int reason;
};

static void *run_in_thread(void *argument)
{
	struct runner *runner = argument;

	if (runner->barrier)
		pthread_barrier_wait(runner->barrier);
	runner->reason = run_on(runner->vcpu);
	return NULL;
}

static void run_beside(struct runner *runner, struct vcpu *vcpu, pthread_barrier_t *barrier)
{
	runner->vcpu = vcpu;
	runner->barrier = barrier;
	expect(!pthread_create(&runner->thread, NULL, run_in_thread, runner), "no thread");
}

static void wait_for(struct runner *runner)
{
	pthread_join(runner->thread, NULL);
}

static void pause_for(unsigned int microseconds)
{
	nanosleep(&(struct timespec) { .tv_nsec = microseconds * 1000 }, NULL);
}

/* The kernel calls the victim @times times, and halts. */
static void calls(struct vcpu *vcpu, uint64_t sp, uint64_t times)
{
	struct kvm_regs regs = kernel_regs(kernel_va(kernel_calls), sp);

	regs.rbx = times;
	regs.r12 = gate_va(GATE_NULL);
	vcpu_set_regs(vcpu, &regs);
	let_host_interrupt(vcpu);
}

static void expect_all_called(struct vcpu *vcpu)
{
	struct kvm_regs regs = vcpu_regs(vcpu);

	expect_equal("exit reason", vcpu->run->exit_reason, KVM_EXIT_HLT);
	expect_equal("calls left", regs.rbx, 0);
	expect_equal("the last result", regs.rax, 42);
}

static uint64_t expect_halted(struct vcpu *vcpu)
{
	struct kvm_regs regs = vcpu_regs(vcpu);

	expect_equal("RIP", regs.rip, kernel_va(kernel_halt) + 1);
	return regs.rax;
}

/* --- who claims an activation ------------------------------------------------------- */

struct claim {
	unsigned int gate;
	enum kvm_gm_violation kind;	/* what the loser gets */
};

static void two_claim_one(const struct attack *attack)
{
	const struct claim *claim = attack->with;
	pthread_barrier_t barrier;
	struct runner runner[2];
	unsigned int round, i;

	start_with(&(struct setup) { .vcpus = 2 });
	pthread_barrier_init(&barrier, NULL, 2);
	for (round = 0; round < 100; round++) {
		unsigned int winners = 0;

		if (claim->gate == GATE_IN_RETURN) {
			call_text(cpu, text_out, SP, 0, 0);
			expect_out_call(cpu, SP);
		} else {
			*machine_entry(&vm, VA_ABSENT, 1) = 0;
			call_text(cpu, text_read, SP, VA_ABSENT, 0);
			expect_event(cpu, PF_VECTOR, 0, SP);
			machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
		}
		for (i = 0; i < 2; i++) {
			kernel_at(&vm.vcpu[i], gate_va(claim->gate), SP);
			run_beside(&runner[i], &vm.vcpu[i], &barrier);
		}
		for (i = 0; i < 2; i++)
			wait_for(&runner[i]);
		for (i = 0; i < 2; i++) {
			struct kvm_gm_exit *exit = KVM_GM_EXIT(vm.vcpu[i].run);

			if (runner[i].reason == KVM_EXIT_HLT) {
				expect_equal("RIP", vcpu_regs(&vm.vcpu[i]).rip,
					     kernel_va(kernel_halt) + 1);
				winners++;
				continue;
			}
			expect_equal("exit reason", runner[i].reason, KVM_EXIT_GM);
			expect_equal("kind", exit->kind, claim->kind);
			count_violation(victim.arg.id, claim->kind, 1);
			/* Its stack is the other's, which has run on. */
			expect_equal("exit reason", run_on(&vm.vcpu[i]), KVM_EXIT_HLT);
			expect_equal("RIP", vcpu_regs(&vm.vcpu[i]).rip, vector_va(GP_VECTOR) + 1);
		}
		expect_equal("vCPUs that have the activation", winners, 1);
		expect_activations(0, 0);
	}
}

/* Both call in on one stack: one after the other, or one is refused. */
static void two_call_on_one_stack(const struct attack *attack)
{
	pthread_barrier_t barrier;
	struct runner runner[2];
	unsigned int round, i;

	(void)attack;
	start_with(&(struct setup) { .vcpus = 2 });
	pthread_barrier_init(&barrier, NULL, 2);
	for (round = 0; round < 100; round++) {
		for (i = 0; i < 2; i++) {
			call_gate(&vm.vcpu[i], GATE_NULL, SP, 41, 0, 0);
			run_beside(&runner[i], &vm.vcpu[i], &barrier);
		}
		for (i = 0; i < 2; i++)
			wait_for(&runner[i]);
		for (i = 0; i < 2; i++) {
			struct kvm_gm_exit *exit = KVM_GM_EXIT(vm.vcpu[i].run);

			if (runner[i].reason == KVM_EXIT_HLT) {
				expect_equal("result", vcpu_regs(&vm.vcpu[i]).rax, 42);
				continue;
			}
			expect_equal("exit reason", runner[i].reason, KVM_EXIT_GM);
			expect_equal("kind", exit->kind, KVM_GM_V_ENVIRONMENT);
			expect_equal("addr", exit->addr, SP);
			count_violation(victim.arg.id, KVM_GM_V_ENVIRONMENT, 1);
			expect_equal("exit reason", run_on(&vm.vcpu[i]), KVM_EXIT_HLT);
		}
		expect_activations(0, 0);
	}
}

/* --- who calls the init function ---------------------------------------------------- */

/* Both at the same time: it is entered once. */
static void two_begin(const struct attack *attack)
{
	const struct setup setup = { .vcpus = 2, .init = true };
	pthread_barrier_t barrier;
	struct runner runner[2];
	unsigned int round, i;

	(void)attack;
	start_with(&setup);
	pthread_barrier_init(&barrier, NULL, 2);
	for (round = 0; round < 60; round++) {
		unsigned int winners = 0;
		uint32_t id;

		for (i = 0; i < 2; i++) {
			call_gate(&vm.vcpu[i], GATE_INIT, STACK(i), 0, 0, 0);
			run_beside(&runner[i], &vm.vcpu[i], &barrier);
		}
		for (i = 0; i < 2; i++)
			wait_for(&runner[i]);
		for (i = 0; i < 2; i++) {
			const struct kvm_gm_exit *exit = KVM_GM_EXIT(vm.vcpu[i].run);

			if (runner[i].reason == KVM_EXIT_HLT) {
				expect_equal("result of init", expect_halted(&vm.vcpu[i]), 0);
				winners++;
				continue;
			}
			expect_equal("exit reason", runner[i].reason, KVM_EXIT_GM);
			expect_equal("kind", exit->kind, KVM_GM_V_GATE);
			expect_equal("gate", exit->gate, GATE_INIT);
			expect_equal("addr", exit->addr, gate_va(GATE_INIT));
			expect_vector(&vm.vcpu[i], GP_VECTOR, 0, gate_va(GATE_INIT));
		}
		expect_equal("vCPUs that enter", winners, 1);
		expect_equal("in-calls", query(victim.arg.id).crossings[KVM_GM_IN_CALL], 1);
		expect_activations(0, 0);
		id = victim.arg.id;
		must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
		prepare(&victim, 0, &setup);
		seal(&victim);
	}
	call_gate(cpu, GATE_INIT, SP, 0, 0, 0);
	expect_equal("result of init", expect_return(cpu), 0);
}

/* --- page tables, changed all the time ------------------------------------------------- */

/* The second vCPU stores two entries in turn, while the first calls the module. */
static void tables_change(const struct attack *attack)
{
	const int *level = attack->with;
	uint64_t va, *entry, table;
	int l;
	struct kvm_regs regs;
	struct runner runner;

	start_with(&(struct setup) { .vcpus = 2 });
	va = region_va(REGION_TEXT);
	memset(vm.memory + FORGED_PAGE, 0xf4, PAGE);
	machine_map(&vm, va, region_gpa(REGION_TEXT), PTE_P | PTE_W);
	entry = machine_entry(&vm, va, *level);
	regs = kernel_regs(kernel_va(kernel_remap), STACK(1));
	regs.rdi = VA_DIRECT + ((uint8_t *)entry - vm.memory);
	regs.rax = *entry;
	regs.rsi = VA_SCRATCH;
	/* Below it, tables that are the same but for the text. */
	regs.rbx = FORGED_PAGE | PTE_P | PTE_W;
	for (l = 1; l < *level; l++) {
		table = FORGED_TABLES + l * PAGE;
		memcpy(vm.memory + table, vm.memory + (*machine_entry(&vm, va, l + 1) & PTE_ADDRESS),
		       PAGE);
		((uint64_t *)(vm.memory + table))[va >> (3 + 9 * l) & 511] = regs.rbx;
		regs.rbx = table | PTE_P | PTE_W;
	}
	*word_at(VA_SCRATCH) = 0;
	vcpu_set_regs(cpu2, &regs);
	let_host_interrupt(cpu2);
	run_beside(&runner, cpu2, NULL);
	calls(cpu, SP, CALLS);
	run_on(cpu);
	*word_at(VA_SCRATCH) = 1;
	wait_for(&runner);
	expect_all_called(cpu);
	expect_equal("exit reason", runner.reason, KVM_EXIT_HLT);
}

/* --- what two miss at once -------------------------------------------------------------- */

#define FIRST_ENTRY	384	/* of the PML4 */
#define NR_ENTRIES	64

/* Both read the same page by many ways that the module's tables have not gone yet. */
static void two_miss_one(const struct attack *attack)
{
	const uint64_t stride = 1ULL << 39, va = ~0ULL << 48 | FIRST_ENTRY * stride;
	const struct setup setup = { .vcpus = 2 };
	pthread_barrier_t barrier;
	struct runner runner[2];
	unsigned int round, i;
	uint64_t *entry;

	(void)attack;
	start_with(&setup);
	entry = machine_entry(&vm, va, 4);
	machine_map(&vm, va, SCRATCH, PTE_P);
	for (i = 1; i < NR_ENTRIES; i++)
		entry[i] = entry[0];
	*word_at(VA_SCRATCH) = RESULT;
	pthread_barrier_init(&barrier, NULL, 2);
	for (round = 0; round < 50; round++) {
		uint32_t id = victim.arg.id;

		for (i = 0; i < 2; i++) {
			struct kvm_regs regs;

			call_text(&vm.vcpu[i], text_sum, STACK(i), va, stride);
			regs = vcpu_regs(&vm.vcpu[i]);
			regs.rcx = NR_ENTRIES;
			vcpu_set_regs(&vm.vcpu[i], &regs);
			run_beside(&runner[i], &vm.vcpu[i], &barrier);
		}
		for (i = 0; i < 2; i++)
			wait_for(&runner[i]);
		for (i = 0; i < 2; i++) {
			expect_equal("exit reason", runner[i].reason, KVM_EXIT_HLT);
			expect_equal("RIP", vcpu_regs(&vm.vcpu[i]).rip,
				     kernel_va(kernel_halt) + 1);
			expect_equal("sum", vcpu_regs(&vm.vcpu[i]).rax, NR_ENTRIES * RESULT);
		}
		must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
		prepare(&victim, 0, &setup);
		seal(&victim);
	}
}

/* --- who writes to an object that another thread shares -------------------------------- */

/* One goes out and comes in all the time, the other writes to the first's object. */
static void one_stores_two_share(const struct attack *attack)
{
	uint64_t object;
	struct runner runner;
	unsigned int round;

	(void)attack;
	start_with(&(struct setup) { .window = true, .vcpus = 2 });
	call_text(cpu, text_out_large, SP, CALLS, 0);
	object = expect_out_call(cpu, SP).rdi;
	call_text(cpu2, text_store, STACK(1), VA_SCRATCH, object);
	let_host_interrupt(cpu2);
	run_beside(&runner, cpu2, NULL);
	for (round = 1; round < CALLS; round++)
		expect_equal("exit reason", run_on(cpu), KVM_EXIT_HLT);
	*word_at(VA_SCRATCH) = 1;
	wait_for(&runner);
	expect_equal("exit reason", runner.reason, KVM_EXIT_HLT);
	expect_equal("what was stored stays", vcpu_regs(cpu2).rax, 1);
	expect_equal("result", expect_return(cpu), 1);
}

/* --- two modules that call through each other --------------------------------------------- */

/* Each vCPU calls one, whose callee is a function of the kernel's that calls the other. */
static void two_through_each_other(const struct attack *attack)
{
	const struct module *first[] = { &victim, &other }, *second[] = { &other, &victim };
	struct runner runner[2];
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .vcpus = 2, .other = true });
	for (i = 0; i < 2; i++) {
		struct kvm_regs regs = kernel_regs(kernel_va(kernel_calls_through), STACK(i));

		regs.rbx = CALLS;
		regs.r12 = first[i]->gates[GATE_JUMP].insn;
		regs.r13 = text_va(text_out_indirect) - victim.va + first[i]->va;
		regs.r14 = kernel_va(kernel_callback);
		regs.r15 = second[i]->gates[GATE_NULL].insn;
		vcpu_set_regs(&vm.vcpu[i], &regs);
		let_host_interrupt(&vm.vcpu[i]);
		run_beside(&runner[i], &vm.vcpu[i], NULL);
	}
	for (i = 0; i < 2; i++) {
		wait_for(&runner[i]);
		expect_all_called(&vm.vcpu[i]);
	}
	for (i = 0; i < 2; i++) {
		struct kvm_gm_query q = query(first[i]->arg.id);

		expect_equal("in-calls", q.crossings[KVM_GM_IN_CALL], 2 * CALLS);
		expect_equal("in-returns", q.crossings[KVM_GM_IN_RETURN], CALLS);
		expect_equal("activations in use", q.activations, 0);
	}
}

/* --- userspace changes things while both vCPUs call --------------------------------------- */

static void churn_dirty_logging(unsigned int round)
{
	machine_set_slot(&vm, 1, MODULES, MEMORY - MODULES, vm.memory + MODULES,
			 round & 1 ? 0 : KVM_MEM_LOG_DIRTY_PAGES);
}

static void churn_memory(unsigned int round)
{
	(void)round;
	must(madvise(vm.memory + MODULES, 2 * MIB, MADV_DONTNEED), "MADV_DONTNEED");
	memset(vm.memory + MODULES, 0x90, MODULE_PAGES * PAGE);
}

static void churn_slot(unsigned int round)
{
	machine_set_slot(&vm, 1, MODULES, round & 1 ? MEMORY - MODULES : 0, vm.memory + MODULES, 0);
}

static void churn_other_module(unsigned int round)
{
	uint32_t id = other.arg.id;

	(void)round;
	must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
	prepare(&other, 1, &(struct setup) {});
	seal(&other);
}

struct churn {
	void (*change)(unsigned int round);
	unsigned int rounds;		/* even */
};

static void churn(const struct attack *attack)
{
	const struct churn *c = attack->with;
	struct runner runner[2];
	unsigned int i;

	start_with(&(struct setup) { .vcpus = 2, .other = true });
	for (i = 0; i < 2; i++) {
		calls(&vm.vcpu[i], STACK(i), CALLS);
		run_beside(&runner[i], &vm.vcpu[i], NULL);
	}
	for (i = 0; i < c->rounds; i++) {
		c->change(i);
		pause_for(1000);
	}
	for (i = 0; i < 2; i++) {
		wait_for(&runner[i]);
		expect_all_called(&vm.vcpu[i]);
	}
	expect_activations(0, 0);
	expect_equal("in-calls", query(victim.arg.id).crossings[KVM_GM_IN_CALL], 2 * CALLS);
}

/* --- the end of a module, while both vCPUs call it ------------------------------------------- */

/* A vCPU that calls what is not there any more halts or takes an exception. */
static void unsealed_in_calls(const struct attack *attack)
{
	struct runner runner[2];
	unsigned int i, round;

	(void)attack;
	start_with(&(struct setup) { .vcpus = 2 });
	for (round = 0; round < 30; round++) {
		uint32_t id = victim.arg.id;

		for (i = 0; i < 2; i++) {
			calls(&vm.vcpu[i], STACK(i), ~0ULL);
			run_beside(&runner[i], &vm.vcpu[i], NULL);
		}
		pause_for(500 * (round % 7));
		must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
		for (i = 0; i < 2; i++) {
			const struct kvm_gm_exit *exit = KVM_GM_EXIT(vm.vcpu[i].run);

			wait_for(&runner[i]);
			/* At a gate, on the way in or out, that is just going. */
			if (runner[i].reason != KVM_EXIT_HLT) {
				expect_equal("exit reason", runner[i].reason, KVM_EXIT_GM);
				expect(exit->kind == KVM_GM_V_QUARANTINE ||
				       exit->kind == KVM_GM_V_GATE, "kind %u", exit->kind);
				expect_equal("generation", exit->generation, round + 1);
				expect_equal("exit reason", run_on(&vm.vcpu[i]), KVM_EXIT_HLT);
			}
		}
		prepare(&victim, 0, &(struct setup) {});
		seal(&victim);
		expect_equal("generation", victim.arg.generation, round + 2);
		expect_activations(0, 0);
	}
}

static void quarantined_in_calls(const struct attack *attack)
{
	const struct setup setup = { .vcpus = 3, .policy = KVM_GM_POLICY_QUARANTINE };
	struct runner runner[2];
	unsigned int i, round;

	(void)attack;
	start_with(&setup);
	for (round = 0; round < 20; round++) {
		uint32_t id = victim.arg.id;

		for (i = 0; i < 2; i++) {
			calls(&vm.vcpu[i], STACK(i), ~0ULL);
			run_beside(&runner[i], &vm.vcpu[i], NULL);
		}
		pause_for(500 * (round % 7));
		kernel_stores(&vm.vcpu[2], region_va(REGION_DATA), 0);
		expect_equal("exit reason", run_on(&vm.vcpu[2]), KVM_EXIT_GM);
		expect_equal("kind", KVM_GM_EXIT(vm.vcpu[2].run)->kind, KVM_GM_V_WRITE);
		for (i = 0; i < 2; i++) {
			struct kvm_gm_exit *exit = KVM_GM_EXIT(vm.vcpu[i].run);

			wait_for(&runner[i]);
			/* It was inside, and took #GP; or it was not, and is not let in. */
			if (runner[i].reason != KVM_EXIT_HLT) {
				expect_equal("exit reason", runner[i].reason, KVM_EXIT_GM);
				expect_equal("kind", exit->kind, KVM_GM_V_QUARANTINE);
				expect_equal("exit reason", run_on(&vm.vcpu[i]), KVM_EXIT_HLT);
			}
			expect_equal("RIP", vcpu_regs(&vm.vcpu[i]).rip, vector_va(GP_VECTOR) + 1);
		}
		expect_equal("activations in use", query(id).activations, 0);
		must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
		prepare(&victim, 0, &setup);
		seal(&victim);
	}
}

/* The guest writes to what is being sealed: before the seal or not at all. */
static void written_at_the_seal(const struct attack *attack)
{
	struct runner runner;
	struct kvm_regs regs;
	unsigned int round;

	(void)attack;
	start_with(&(struct setup) { .vcpus = 2 });
	for (round = 0; round < 20; round++) {
		const struct kvm_gm_exit *exit = KVM_GM_EXIT(cpu2->run);
		uint32_t id = victim.arg.id;

		must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
		prepare(&victim, 0, &(struct setup) {});
		regs = kernel_regs(kernel_va(kernel_remap), STACK(1));
		regs.rdi = region_va(REGION_TEXT);
		regs.rsi = VA_SCRATCH;
		*word_at(VA_SCRATCH) = 0;
		vcpu_set_regs(cpu2, &regs);
		let_host_interrupt(cpu2);
		run_beside(&runner, cpu2, NULL);
		pause_for(500 * (round % 7));
		seal(&victim);
		wait_for(&runner);
		expect_equal("exit reason", runner.reason, KVM_EXIT_GM);
		expect_equal("kind", exit->kind, KVM_GM_V_WRITE);
		expect_equal("addr", exit->addr, region_va(REGION_TEXT));
		expect_equal("violations", query(victim.arg.id).violations[KVM_GM_V_WRITE], 1);
		expect_intact();
	}
	count_violation(victim.arg.id, KVM_GM_V_WRITE, 1);
}

#define CHURN(label, text, function, times) \
	{ "race-" label, 7, text " while two vCPUs call: every call right", churn, \
	  &(const struct churn){ function, times } }

const struct attack race_attacks[] = {
	{ "race-return", 3, "two vCPUs make one in-return at a time, 100 times: one has it",
	  two_claim_one, &(const struct claim){ GATE_IN_RETURN, KVM_GM_V_RETURN } },
	{ "race-resume", 2, "two vCPUs make one resume at a time, 100 times: one has it",
	  two_claim_one, &(const struct claim){ GATE_RESUME, KVM_GM_V_RESUME } },
	{ "race-call", 3, "two vCPUs call on one stack, 100 times: one, or one after the other",
	  two_call_on_one_stack, NULL },
	{ "race-pt", 6, "the text remapped in a loop at the last level during calls: no effect",
	  tables_change, &(const int){ 1 } },
	{ "race-pd", 6, "the same at level 2: no effect", tables_change, &(const int){ 2 } },
	{ "race-pdpt", 6, "the same at level 3: no effect", tables_change, &(const int){ 3 } },
	{ "race-pml4", 6, "the same at level 4: no effect", tables_change, &(const int){ 4 } },
	{ "race-miss", 6, "two vCPUs miss the same entries of the tables at once: no fault",
	  two_miss_one, NULL },
	{ "race-store", 5, "a store to an object while it is shared by its owner's calls: kept",
	  one_stores_two_share, NULL },
	{ "race-init", 1, "two vCPUs call the init gate at a time, 60 times: one enters, gate",
	  two_begin, NULL },
	{ "race-through", 3, "two modules call through each other on two vCPUs: every call right",
	  two_through_each_other, NULL },
	CHURN("dirty-logging", "dirty logging switched on and off", churn_dirty_logging, 40),
	CHURN("memory", "the memory under the module discarded and filled", churn_memory, 40),
	CHURN("slot", "the slot under the module deleted and created", churn_slot, 20),
	CHURN("other-module", "another module unsealed and sealed", churn_other_module, 20),
	{ "race-unseal", 7, "an unseal while two vCPUs call, 30 times: both stop outside",
	  unsealed_in_calls, NULL },
	{ "race-quarantine", 7, "a quarantine while two vCPUs call, 20 times: both stop outside",
	  quarantined_in_calls, NULL },
	{ "race-seal", 4, "text written in a loop while it is sealed, 20 times: write, and intact",
	  written_at_the_seal, NULL },
	{}
};
