// SPDX-License-Identifier: GPL-2.0
/*
 * The calls of a machine's life with two guarded modules, in their order: what
 * faults.c and signals.c disturb one by one.
 */
#include "hammer.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define SP		STACK(0)

extern const char kernel_halt[], text_out[], text_read[], text_write[], kernel_callee[];


static uint64_t *backing;
static uint64_t counts[NR_GATES];

static int result(int r)
{
	return r < 0 ? -errno : r;
}

static int enable(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_GM };

	return result(ioctl(vm.vm, KVM_ENABLE_CAP, &cap));
}

static int seal_victim(void)
{
	return module_seal(&vm, &victim);
}

static int seal_other(void)
{
	return module_seal(&vm, &other);
}

static int grant_msr(void)
{
	return change(KVM_GM_GRANT, KVM_GM_PRIV_MSR, 0, 0x10000, 0x10001);
}

static int grant_hostinfo(void)
{
	return change(KVM_GM_GRANT, KVM_GM_PRIV_HOSTINFO, 0, 0, 0);
}

static int map_device(void)
{
	uint64_t hosts[] = { (uintptr_t)backing, 0 };
	struct kvm_gm_map arg = {
		.size = sizeof(arg), .id = other.arg.id, .generation = other.arg.generation,
		.page = 1, .nr_pages = 2, .gpa = 1ULL << 38, .hosts = (uintptr_t)hosts,
	};

	return result(ioctl(vm.vm, KVM_GM_MAP, &arg));
}

static int read_counts(void)
{
	struct kvm_gm_counts arg = {
		.size = sizeof(arg), .id = victim.arg.id, .generation = victim.arg.generation,
		.nr_gates = NR_GATES, .counts = (uintptr_t)counts,
	};

	return result(ioctl(vm.vm, KVM_GM_COUNTS, &arg));
}

static int ask(void)
{
	struct kvm_gm_query q = { .size = sizeof(q), .id = victim.arg.id };

	return result(ioctl(vm.vm, KVM_GM_QUERY, &q));
}

static int revoke_msr(void)
{
	return change(KVM_GM_REVOKE, KVM_GM_PRIV_MSR, 0, 0x10000, 0x10001);
}

static uint64_t end;		/* where the guest's next halt is to be */

/*
 * KVM_RUN to that halt. Where KVM cannot read the guest's page tables the guest takes #PF,
 * as it does of KVM's own walks: its handler returns, and the access is made again.
 * Where it cannot read the HLT, which it has to on CPUs that do not tell where the next
 * instruction is, the HLT comes again.
 */
static int run_to_halt(void)
{
	struct kvm_regs *regs = &cpu->run->s.regs.regs;
	int r;

	/* So that nothing else is asked of KVM here, which could fail as well. */
	cpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	do {
		r = result(ioctl(cpu->fd, KVM_RUN, 0));
		if (r)
			return r;
		if (cpu->run->exit_reason != KVM_EXIT_HLT)
			fail("no halt, but exit reason %u at 0x%llx, violation %u",
			     cpu->run->exit_reason, regs->rip,
			     KVM_GM_EXIT(cpu->run)->kind);
	} while (regs->rip == vector_va(PF_VECTOR) + 1 || regs->rip == vector_va(PF_VECTOR) ||
		 regs->rip == end);
	expect_equal("where it halts", regs->rip, end + 1);
	return 0;
}

static int unseal_other(void)
{
	return result(ioctl(vm.vm, KVM_GM_UNSEAL, &other.arg.id));
}

static void at_null(void)
{
	call_gate(cpu, GATE_NULL, SP, 41, 0, 0);
	end = kernel_va(kernel_halt);
}

static void at_out(void)
{
	call_text(cpu, text_out, SP, 0, 0);
	end = kernel_va(kernel_callee);
}

static void at_callee(void)
{
	callee_returns(cpu, 1);
	end = kernel_va(kernel_halt);
}

static void at_read(void)
{
	call_text(cpu, text_read, SP, VA_SCRATCH, 0);
	end = kernel_va(kernel_halt);
}

static void at_device(void)
{
	struct kvm_regs regs = kernel_regs(other.gates[GATE_JUMP].insn, SP);

	*word_at(SP) = kernel_va(kernel_callee);
	regs.rdi = text_va(text_write) - victim.va + other.va;
	regs.rsi = other.regions[REGION_DEVICES].va + PAGE;
	regs.rdx = 5;
	vcpu_set_regs(cpu, &regs);
	end = kernel_va(kernel_callee);
}

static const struct {
	const char *name;
	void (*prepare)(void);
	int (*call)(void);
} steps[] = {
	{ "KVM_CAP_GM", NULL, enable },
	{ "KVM_GM_SEAL", NULL, seal_victim },
	{ "KVM_GM_SEAL of a second module", NULL, seal_other },
	{ "KVM_GM_GRANT of an MSR", NULL, grant_msr },
	{ "KVM_GM_GRANT of host information", NULL, grant_hostinfo },
	{ "KVM_GM_MAP", NULL, map_device },
	{ "KVM_RUN, the first call in", at_null, run_to_halt },
	{ "KVM_RUN, a call out", at_out, run_to_halt },
	{ "KVM_RUN, its return", at_callee, run_to_halt },
	{ "KVM_RUN, a load of the guest's memory", at_read, run_to_halt },
	{ "KVM_RUN, a store to a device", at_device, run_to_halt },
	{ "KVM_GM_COUNTS", NULL, read_counts },
	{ "KVM_GM_QUERY", NULL, ask },
	{ "KVM_GM_REVOKE", NULL, revoke_msr },
	{ "KVM_GM_UNSEAL", NULL, unseal_other },
};

#define NR_STEPS	(sizeof(steps) / sizeof(steps[0]))
#define FIRST_VCPU	1		/* the step before which there is one */

const char *step_name(unsigned int i)
{
	return i < NR_STEPS ? steps[i].name : NULL;
}

void begin_steps(void)
{
	if (!backing)
		backing = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
	expect(backing != MAP_FAILED, "no memory");
	machine_create(&vm, false);
	load_kernel();
}

void prepare_step(unsigned int i)
{
	if (i == FIRST_VCPU) {
		machine_add_vcpu(&vm);
		cpu = &vm.vcpu[0];
		prepare(&victim, 0, &(struct setup) { .unsealed = true, .hostinfo = true });
		prepare(&other, 1, &(struct setup) { .unsealed = true, .devices = true });
	}
	if (steps[i].prepare)
		steps[i].prepare();
}

int make_step(unsigned int i)
{
	return steps[i].call();
}

void end_steps(void)
{
	call_gate(cpu, GATE_NULL, SP, 41, 0, 0);
	expect_equal("a call of the victim afterwards", expect_return(cpu), 42);
	expect_equal("activations in use", query(victim.arg.id).activations, 0);
	expect_equal("activations lost", query(victim.arg.id).lost, 0);
	machine_destroy(&vm);
}
