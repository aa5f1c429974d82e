// SPDX-License-Identifier: GPL-2.0
/*
 * I1 to I7: a kernel that goes to gates, and elsewhere, with any registers, page
 * tables and events, on two vCPUs at once, for which there are two modules. After
 * each exit: a vCPU that has a module's CR3 stands in sealed text, or does not get
 * further; one that was stopped for a violation stands outside. After each round,
 * every violation that was counted had been reported, the crossings add up, and what
 * is sealed is as it was.
 */
#include "hammer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define NR_VCPUS	2
#define ROUND		2000		/* runs, of one machine */
#define NR_STACKS	12
#define MAX_EXITS	4		/* for which userspace stands in, in one run */
#define MAX_INTERRUPTED	200		/* times, where an instruction is due */
#define MANY		500		/* activations: some are lost in each round */

extern const char kernel_halt[], kernel_callee[], kernel_write_cr0[], kernel_write_cr4[],
	kernel_end[], text_out[], text_out_twice[], text_out_window_twice[], text_out_window_spin[],
	text_out_window[], text_out_indirect[], text_out_args[], text_out_large[],
	text_out_read[], text_read[], text_write[], text_read_private[], text_write_private[],
	text_count[], text_recurse[], text_keep[], text_asm[], text_noreturn[], text_goto[],
	text_return_early[], text_load_gs[], text_copy[], text_port_in[], text_mwaits[],
	text_float[], text_divide[];

/* Of the guest's memory: page tables, descriptors, code. A module stores where it is told to. */
#define LOW_MEMORY	(KERNEL + 2 * PAGE)

static uint8_t *low_memory;		/* as it was */
static atomic_ullong reported[KVM_GM_MAX_SEALS + 1][KVM_GM_NR_VIOLATIONS];

/* --- state -------------------------------------------------------------------- */

/* Seldom the one that ends the seal. */
static uint64_t some_gate(const struct module *module, struct random *random)
{
	unsigned int gate = below(random, NR_GATES);

	return module->gates[gate == GATE_EXIT && !rarely(random, 100) ? GATE_NULL : gate].insn;
}

/* Some instruction of the kernel's, or of none; seldom what ends all seals. */
static uint64_t some_code(struct random *random)
{
	const char *at = kernel + below(random, kernel_end - kernel);

	if (at >= kernel_write_cr0 && at < kernel_write_cr4 && !rarely(random, 100))
		at = kernel_callee;
	return kernel_va(at);
}

static uint64_t some_address(struct random *random)
{
	const struct module *module = rarely(random, 3) ? &other : &victim;
	uint64_t fine = rarely(random, 2) ? 0 : below(random, PAGE);

	switch (below(random, 10)) {
	case 0 ... 2:
		return some_gate(module, random);
	case 3:
		return some_gate(module, random) + below(random, 5) - 1;
	case 4:
		return module->va + below(random, MODULE_PAGES) * PAGE + fine;
	case 5:
		return module->regions[REGION_TEXT].va + below(random, 0x900);
	case 6:
		return kernel_va(rarely(random, 2) ? kernel_halt : kernel_callee);
	case 7:
		return some_code(random);
	case 8:
		return STACK(below(random, NR_STACKS)) - 8 * below(random, 64);
	default:
		return draw(random);
	}
}

static uint64_t some_word(struct random *random)
{
	static const uint64_t words[] = {
		0, 1, 8, PAGE, ~0ULL, 0x8000000000000000, VA_SCRATCH, VA_ABSENT, VA_USER,
		VA_BESIDE, 0x676d0001, 0x10, 0xc0000080, 0x3f8, 0x7ffffffff000,
	};

	return rarely(random, 2) ? some_address(random) : pick(random, words);
}

/* A call as the kernel's own, but for a register or two. */
static void call_something(struct vcpu *vcpu, struct random *random)
{
	static const char *const functions[] = {
		text_out, text_out_twice, text_out_window_twice, text_out_window_spin,
		text_out_window, text_out_indirect, text_out_args, text_out_large, text_out_read,
		text_read, text_write, text_read_private, text_write_private, text_count,
		text_recurse, text_keep, text_asm, text_noreturn, text_goto, text_return_early,
		text_load_gs, text_copy, text_port_in, text_mwaits, text_float, text_divide,
	};
	const struct module *module = rarely(random, 3) ? &other : &victim;
	struct kvm_regs regs = kernel_regs(module->gates[GATE_JUMP].insn,
					   STACK(below(random, NR_STACKS)) - 8 * below(random, 4));
	uint64_t *const words = (uint64_t *)&regs;

	regs.rdi = module->regions[REGION_TEXT].va + (pick(random, functions) - victim_text);
	regs.rsi = rarely(random, 3) ? some_word(random) : VA_SCRATCH;
	regs.rdx = rarely(random, 3) ? some_word(random) : below(random, 20);
	if (rarely(random, 3))
		words[below(random, sizeof(regs) / sizeof(uint64_t) - 2)] = some_word(random);
	if (rarely(random, 4))
		regs.rflags |= 0x200;
	if (machine_at(&vm, regs.rsp))
		*word_at(regs.rsp & ~7ULL) = kernel_va(kernel_halt);
	vcpu_set_regs(vcpu, &regs);
}

static void set_registers(struct vcpu *vcpu, struct random *random)
{
	struct kvm_regs regs = vcpu_regs(vcpu);
	/* All but RIP and RFLAGS, which are the last two. */
	uint64_t *const words = (uint64_t *)&regs;
	bool callee = regs.rip == kernel_va(kernel_callee) + 1;
	bool handler = regs.rip - vector_va(0) < 256 * 16;
	unsigned int i, n = sizeof(regs) / sizeof(uint64_t) - 2;

	/* A callee and a handler return, more often than not. */
	if ((callee || handler) && !rarely(random, 4)) {
		regs.rax = some_word(random);
		vcpu_set_regs(vcpu, &regs);
		return;
	}
	if (rarely(random, 2)) {
		call_something(vcpu, random);
		return;
	}
	for (i = 0; i < n; i++)
		if (&words[i] != (uint64_t *)&regs.rsp || !rarely(random, 3))
			words[i] = some_word(random);
	if (!rarely(random, 6))
		regs.rsp = STACK(below(random, NR_STACKS)) - 8 * below(random, 16);
	regs.rip = some_address(random);
	regs.rflags = 0x2 | (draw(random) & (rarely(random, 4) ? 0x257fd5 : 0x200));
	/* Where it returns to. */
	if (machine_at(&vm, regs.rsp) && !rarely(random, 4))
		*word_at(regs.rsp & ~7ULL) = kernel_va(kernel_halt);
	vcpu_set_regs(vcpu, &regs);
}

static void set_segments(struct vcpu *vcpu, struct random *random)
{
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	switch (below(random, 6)) {
	case 0:
		sregs.gs.base = rarely(random, 2) ? VA_DIRECT : some_address(random);
		break;
	case 1:
		sregs.fs.base = some_address(random);
		break;
	case 2:
		sregs.cr3 = rarely(random, 2) ? PML4 : below(random, 16) * PAGE;
		break;
	case 3:
		sregs.cr0 ^= 1ULL << (rarely(random, 4) ? 16 : 18);	/* WP, AM */
		break;
	case 4:
		sregs.cr4 ^= 0x80;					/* PGE */
		break;
	default:
		sregs.cr2 = draw(random);
	}
	if ((int64_t)(sregs.gs.base << 16) >> 16 != (int64_t)sregs.gs.base)
		sregs.gs.base = VA_DIRECT;
	if ((int64_t)(sregs.fs.base << 16) >> 16 != (int64_t)sregs.fs.base)
		sregs.fs.base = 0;
	vcpu_set_sregs(vcpu, &sregs);
}

/*
 * Breakpoints on instructions. What stops at data is left to the cases of raw-attacks:
 * QEMU's TCG aborts when it meets a watchpoint while it delivers an exception
 * (bql_lock_impl() in cpu_check_watchpoint(), 10.0).
 */
static void set_debug(struct vcpu *vcpu, struct random *random)
{
	struct kvm_debugregs debug;
	unsigned int i;

	must(ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &debug), "KVM_GET_DEBUGREGS");
	for (i = 0; i < 4; i++)
		debug.db[i] = some_address(random) | 0xffff800000000000;
	debug.dr7 = 0x400 | (draw(random) & 0x23ff);
	must(ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &debug), "KVM_SET_DEBUGREGS");
}

static void send_event(struct vcpu *vcpu, struct random *random)
{
	static const uint8_t exceptions[] = { 0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 19 };
	struct kvm_vcpu_events events;

	must(ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
	switch (below(random, 4)) {
	case 0:
		events.nmi.pending = 1;
		break;
	case 1:
		events.nmi.injected = 1;
		break;
	case 2:
		events.interrupt.injected = 1;
		events.interrupt.soft = 0;
		events.interrupt.nr = 32 + below(random, 224);
		break;
	default:
		events.exception.injected = 1;
		events.exception.nr = pick(random, exceptions);
		events.exception.has_error_code = vector_has_error_code(events.exception.nr);
		events.exception.error_code = below(random, 32);
	}
	must(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
}

/* The entry at that level, or above it where the walk ends; NULL outside memory. */
static uint64_t *walk(uint64_t va, int level)
{
	uint64_t table = PML4, *entry;
	int l;

	for (l = 4; ; l--) {
		if (table > MEMORY - PAGE)
			return NULL;
		entry = (uint64_t *)(vm.memory + table) + (va >> (12 + 9 * (l - 1)) & 511);
		if (l == level || !(*entry & PTE_P) || *entry & PTE_PS)
			return entry;
		table = *entry & PTE_ADDRESS;
	}
}

/* An entry of the guest's page tables, most often one that leads to a module. */
static void change_tables(struct random *random)
{
	uint64_t va = rarely(random, 8) ? some_address(random) :
		      victim.va + below(random, 2 * MODULE_PAGES) * PAGE;
	int level = rarely(random, 16) ? 3 + below(random, 2) : 1 + below(random, 2);
	uint64_t *entry;

	entry = walk(va, level);
	if (!entry)
		return;
	switch (below(random, 5)) {
	case 0:
		*entry = 0;
		break;
	case 1:
		*entry ^= 1ULL << below(random, 8);
		break;
	case 2:
		*entry = (*entry & ~PTE_ADDRESS) |
			 (MODULES + below(random, 2 * MODULE_PAGES) * PAGE);
		break;
	case 3:
		*entry = (*entry & ~PTE_ADDRESS) | below(random, 64) * PAGE;
		break;
	default:
		*entry = draw(random) & 0x800000ffffffffff;
	}
}

/* Small pages for the modules, and what memory is then. */
static void keep_memory(void)
{
	machine_entry(&vm, victim.va, 1);
	machine_entry(&vm, other.va, 1);
	memcpy(low_memory, vm.memory, LOW_MEMORY);
}

static void restore_memory(void)
{
	memcpy(vm.memory, low_memory, LOW_MEMORY);
}

/* --- one run -------------------------------------------------------------------- */

static bool is_inside(const struct kvm_sregs *sregs)
{
	return (sregs->cr3 & PTE_ADDRESS) >= MEMORY;
}

static bool in_text(const struct module *module, uint64_t rip)
{
	return rip - module->regions[REGION_TEXT].va < PAGE;
}

/*
 * A vCPU that an interrupt of the host's has stopped between a module's jump to
 * elsewhere and the fetch there: it must not get there, but to a violation or an
 * event that was due.
 */
static void gets_no_further(struct vcpu *vcpu, uint64_t rip)
{
	unsigned int interrupted = 0;
	struct kvm_sregs sregs;

	while (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
		if (errno != EINTR)
			fail("KVM_RUN: %s", strerror(errno));
		sregs = vcpu_sregs(vcpu);
		if (!is_inside(&sregs))
			break;
		if (++interrupted > MAX_INTERRUPTED)
			fail("privileged at 0x%lx, and goes nowhere: now at 0x%llx", rip,
			     vcpu_regs(vcpu).rip);
	}
	sregs = vcpu_sregs(vcpu);
	if (is_inside(&sregs))
		fail("privileged at 0x%lx, then exit reason %u inside", rip,
		     vcpu->run->exit_reason);
	tally("interrupted after a jump out", 1);
}

static void look_at(struct vcpu *vcpu)
{
	const struct kvm_gm_exit *exit = KVM_GM_EXIT(vcpu->run);
	struct kvm_sregs sregs = vcpu_sregs(vcpu);
	struct kvm_regs regs = vcpu_regs(vcpu);

	if (is_inside(&sregs) && !in_text(&victim, regs.rip) && !in_text(&other, regs.rip)) {
		if (vcpu->run->exit_reason != KVM_EXIT_INTR)
			fail("privileged at 0x%llx, exit reason %u", regs.rip,
			     vcpu->run->exit_reason);
		gets_no_further(vcpu, regs.rip);
		sregs = vcpu_sregs(vcpu);
	}
	if (vcpu->run->exit_reason != KVM_EXIT_GM)
		return;
	if (is_inside(&sregs))
		fail("type %u, violation %u at 0x%llx, but the vCPU is inside", exit->type,
		     exit->kind, exit->rip);
	if (exit->type == KVM_GM_EXIT_VIOLATION)
		atomic_fetch_add(&reported[exit->id][exit->kind], 1);
	else if (exit->type == KVM_GM_EXIT_SEAL)
		KVM_GM_EXIT(vcpu->run)->ret = -1;
}

/* As after a reset: what the round began with. */
static void revive(struct vcpu *vcpu)
{
	struct kvm_vcpu_events events = {};
	struct kvm_debugregs debug = { .dr7 = 0x400, .dr6 = 0xffff0ff0 };
	struct kvm_sregs sregs = vcpu_sregs(vcpu), fresh = vcpu_sregs(&vm.vcpu[NR_VCPUS]);

	must(ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
	must(ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &debug), "KVM_SET_DEBUGREGS");
	fresh.apic_base = sregs.apic_base;
	vcpu_set_sregs(vcpu, &fresh);
}

static const char *exit_name(unsigned int reason)
{
	switch (reason) {
	case KVM_EXIT_HLT:
		return "halted";
	case KVM_EXIT_GM:
		return "violations and other exits of ours";
	case KVM_EXIT_SHUTDOWN:
		return "triple faults";
	case KVM_EXIT_MMIO:
		return "accesses where there is no memory";
	case KVM_EXIT_IO:
		return "accesses to ports";
	case KVM_EXIT_INTERNAL_ERROR:
		return "instructions that KVM cannot emulate";
	default:
		return NULL;
	}
}

static void run_to_exit(struct vcpu *vcpu, struct random *random)
{
	unsigned int exits = 0;
	int reason;

	for (;;) {
		vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
		if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
			if (errno != EINTR && errno != EAGAIN)
				fail("KVM_RUN: %s", strerror(errno));
			look_at(vcpu);
			tally("interrupted", 1);
			return;
		}
		reason = vcpu->run->exit_reason;
		look_at(vcpu);
		if (!exit_name(reason))
			fail("exit reason %d at 0x%llx", reason, vcpu_regs(vcpu).rip);
		tally(exit_name(reason), 1);
		if (reason == KVM_EXIT_MMIO && !vcpu->run->mmio.is_write)
			memcpy(vcpu->run->mmio.data, &(uint64_t){ draw(random) }, 8);
		if ((reason != KVM_EXIT_MMIO && reason != KVM_EXIT_IO) || ++exits > MAX_EXITS)
			break;
	}
	if (reason == KVM_EXIT_SHUTDOWN || reason == KVM_EXIT_INTERNAL_ERROR)
		revive(vcpu);
}

static void change_state(struct vcpu *vcpu, struct random *random)
{
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	/* Inside, registers are the module's; the host sends events, or has it run on. */
	if (is_inside(&sregs)) {
		if (rarely(random, 2))
			send_event(vcpu, random);
		else if (rarely(random, 8))
			revive(vcpu);
		return;
	}
	set_registers(vcpu, random);
	if (rarely(random, 8))
		set_segments(vcpu, random);
	if (rarely(random, 32))
		set_debug(vcpu, random);
	if (rarely(random, 8))
		send_event(vcpu, random);
}

void run_somewhere(struct vcpu *vcpu, struct random *random)
{
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	if (!is_inside(&sregs))
		set_registers(vcpu, random);
	if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
		if (errno != EINTR && errno != EAGAIN && errno != EFAULT)
			fail("KVM_RUN: %s", strerror(errno));
	} else if (vcpu->run->exit_reason == KVM_EXIT_GM) {
		KVM_GM_EXIT(vcpu->run)->ret = -1;
	}
}

/* --- rounds ------------------------------------------------------------------- */

struct worker {
	pthread_t thread;
	struct random random;
	struct vcpu *vcpu;
};

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct random *random = &worker->random;
	unsigned int i;

	interrupt_every(3000);
	for (i = 0; i < ROUND / NR_VCPUS; i++) {
		/* The tables are one vCPU's to change, while the other one walks them. */
		if (worker->vcpu == cpu && rarely(random, 8))
			change_tables(random);
		if (worker->vcpu == cpu && rarely(random, 16))
			restore_memory();
		if (rarely(random, 32))
			revive(worker->vcpu);
		change_state(worker->vcpu, random);
		run_to_exit(worker->vcpu, random);
	}
	interrupt_every(0);
	return NULL;
}

static void all_reported(uint32_t id)
{
	struct kvm_gm_query q = query(id);
	unsigned int kind;

	for (kind = 0; kind < KVM_GM_NR_VIOLATIONS; kind++)
		if (q.violations[kind] != reported[id][kind])
			fail("module %u: violations of kind %u: counted %llu, reported %llu", id,
			     kind, q.violations[kind], (unsigned long long)reported[id][kind]);
}

static void adds_up(struct module *module)
{
	struct kvm_gm_query q = query(module->arg.id);

	all_reported(module->arg.id);
	tally("crossings in", q.crossings[KVM_GM_IN_CALL]);
	tally("out again", q.crossings[KVM_GM_OUT_RETURN]);
	tally("calls out", q.crossings[KVM_GM_OUT_CALL]);
	tally("back in", q.crossings[KVM_GM_IN_RETURN]);
	tally("events inside", q.crossings[KVM_GM_EVENT_EXIT]);
	tally("resumed", q.crossings[KVM_GM_RESUME]);
	tally("threads lost inside", q.lost);
	if (q.crossings[KVM_GM_IN_CALL] < q.crossings[KVM_GM_OUT_RETURN] ||
	    q.crossings[KVM_GM_OUT_CALL] < q.crossings[KVM_GM_IN_RETURN] ||
	    q.crossings[KVM_GM_EVENT_EXIT] < q.crossings[KVM_GM_RESUME])
		fail("crossings of module %u do not add up: in %llu, out %llu, in use %u, lost %u",
		     module->arg.id, q.crossings[KVM_GM_IN_CALL], q.crossings[KVM_GM_OUT_RETURN],
		     q.activations, q.lost);
}

/* Of what nobody may write, by a vCPU that took no part. */
static void as_sealed(struct module *module, struct random *random)
{
	unsigned int i;

	if (query(module->arg.id).flags & KVM_GM_QUERY_F_ENDED) {
		tally("seals that the guest ended", 1);
		return;
	}
	for (i = 0; i < 16; i++) {
		unsigned int region = REGION_TEXT + below(random, 2);
		uint64_t offset = below(random, PAGE / 8) * 8, want;

		memcpy(&want, module->content[region] + offset, sizeof(want));
		/* Hypercalls of gates are KVM's. */
		if (region == REGION_TEXT && offset >= 0xf00)
			continue;
		expect_equal("a word of the module",
			     kernel_loads(&vm.vcpu[NR_VCPUS], module->regions[region].va + offset),
			     want);
	}
}

static void one_round(struct random *random)
{
	struct worker workers[NR_VCPUS];
	unsigned int i;

	start_with(&(struct setup) { .vcpus = NR_VCPUS + 1, .other = true, .window = rarely(random, 2),
				     .activations = MANY });
	memset(reported, 0, sizeof(reported));
	keep_memory();
	for (i = 0; i < NR_VCPUS; i++) {
		workers[i].random.state = draw(random);
		workers[i].vcpu = &vm.vcpu[i];
		expect(!pthread_create(&workers[i].thread, NULL, work, &workers[i]), "no thread");
	}
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(workers[i].thread, NULL);
	restore_memory();
	all_reported(0);
	adds_up(&victim);
	adds_up(&other);
	as_sealed(&victim, random);
	as_sealed(&other, random);
	machine_destroy(&vm);
}

void fuzz_gates(struct hammer *hammer)
{
	low_memory = malloc(LOW_MEMORY);
	expect(low_memory, "no memory");
	while (go_on(hammer)) {
		one_round(&hammer->random);
		hammer->done += ROUND;
	}
}
