// SPDX-License-Identifier: GPL-2.0
/*
 * I1, I2: what an idle loop is granted, MONITOR and MWAIT, and the page that tells it
 * what the host is doing. A module has them inside and until they are revoked; nobody
 * else has them.
 */
#define _GNU_SOURCE	/* sched_setaffinity() */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "walk.h"

#define SP		STACK(0)
#define RESULT		0x1122334455667788ULL

extern const char kernel_monitors[], text_monitors[], text_mwaits[], text_read[], text_write[];
extern const char text_msr_read[], text_msr_read_itself[], text_read_private[];

/* --- MONITOR and MWAIT --------------------------------------------------------------- */

#define TIMES	2000	/* many more than a host's timer interrupts meanwhile */

/* How often the vCPU has exited so far. */
static uint64_t exits(struct vcpu *vcpu)
{
	return statistic(ioctl(vcpu->fd, KVM_GET_STATS_FD, NULL), "exits");
}

static uint64_t exits_of(const char *text)
{
	uint64_t before = exits(cpu);

	call_text(cpu, text, SP, VA_SCRATCH, TIMES);
	expect_equal("result", expect_return(cpu), 1);
	return exits(cpu) - before;
}

static uint64_t exits_of_kernel_on(struct vcpu *vcpu, unsigned int stack)
{
	struct kvm_regs regs = kernel_regs(kernel_va(kernel_monitors), STACK(stack));
	uint64_t before = exits(vcpu);

	regs.rdi = VA_SCRATCH;
	regs.rdx = TIMES;
	vcpu_set_regs(vcpu, &regs);
	expect_equal("exit reason", run_on(vcpu), KVM_EXIT_HLT);
	return exits(vcpu) - before;
}

#define exits_of_kernel()	exits_of_kernel_on(cpu, 0)

#define expect_exits(count)	expect((count) >= TIMES, "%lu exits", count)
#define expect_no_exits(count)	expect((count) < TIMES / 2, "%lu exits", count)

static void start_mwait(bool granted)
{
	start_with(&(struct setup) { .vcpus = 2 });
	if (!granted)
		return;
	if (change(KVM_GM_GRANT, KVM_GM_PRIV_MWAIT, 0, 0, 0) == -EOPNOTSUPP)
		skip("the CPU has no MONITOR and MWAIT");
	expect_equal("granted", change(KVM_GM_GRANT, KVM_GM_PRIV_MWAIT, 0, 0, 0), -EEXIST);
}

static void mwait(const struct attack *attack)
{
	uint64_t count;

	start_mwait(true);
	count = exits_of(attack->with);
	expect_no_exits(count);
}

/* As in every guest: it does nothing. */
static void mwait_not_granted(const struct attack *attack)
{
	uint64_t count;

	start_mwait(false);
	count = exits_of(attack->with);
	expect_exits(count);
}

#define STEPS	8	/* of text_jump() and text_mwaits(), which waits once */

/* A debugger steps to MWAIT, and to the next instruction. */
static void mwait_stepped(const struct attack *attack)
{
	const bool *granted = attack->with;
	unsigned int i;

	start_mwait(*granted);
	/* All that it needs is mapped. */
	call_text(cpu, text_mwaits, SP, 0, 1);
	expect_return(cpu);
	call_text(cpu, text_mwaits, SP, 0, 1);
	cross(cpu);
	for (i = 1; step(cpu) != gate_va(GATE_OUT_RETURN); i++)
		expect(i < STEPS, "the module is at 0x%llx after %u steps", vcpu_regs(cpu).rip, i);
	expect_equal("steps", i, STEPS);
	expect_equal("result", expect_return(cpu), 1);
}

static void mwait_outside(const struct attack *attack)
{
	uint64_t count;

	(void)attack;
	start_mwait(true);
	count = exits_of(text_monitors);
	expect_no_exits(count);
	count = exits_of_kernel();
	expect_exits(count);
	/* Also after leaving by an event, and by a violation. */
	call_text(cpu, text_read, SP, VA_ABSENT, 0);
	expect_event(cpu, PF_VECTOR, 0, SP);
	count = exits_of_kernel();
	expect_exits(count);
	expect_no_msr(text_msr_read, text_msr_read_itself, MSR_MTRR_TYPE);
	count = exits_of_kernel();
	expect_exits(count);
}

/* The vCPU stands inside when what it may do changes; it goes on there. */
static uint64_t exits_after(unsigned long request)
{
	struct kvm_regs regs;
	uint64_t before;

	call_text(cpu, text_mwaits, SP, 0, 1ULL << 40);
	let_host_interrupt(cpu);
	run_until_inside(cpu);
	expect_equal("the change", change(request, KVM_GM_PRIV_MWAIT, 0, 0, 0), 0);
	regs = vcpu_regs(cpu);
	regs.rdx = TIMES;
	vcpu_set_regs(cpu, &regs);
	before = exits(cpu);
	expect_equal("result", expect_return(cpu), 1);
	return exits(cpu) - before;
}

static void mwait_changed_inside(const struct attack *attack)
{
	uint64_t count;

	(void)attack;
	start_mwait(true);
	count = exits_after(KVM_GM_REVOKE);
	expect_exits(count);
	count = exits_after(KVM_GM_GRANT);
	expect_no_exits(count);
}

/* While one vCPU is inside, in the midst of it, another one is not. */
static void mwait_beside(const struct attack *attack)
{
	struct kvm_regs regs;
	uint64_t count;

	(void)attack;
	start_mwait(true);
	call_text(cpu, text_mwaits, SP, 0, 1ULL << 40);
	let_host_interrupt(cpu);
	run_until_inside(cpu);
	count = exits_of_kernel_on(cpu2, 1);
	expect_exits(count);
	expect_activations(1, 0);
	regs = vcpu_regs(cpu);
	regs.rdx = 1;
	vcpu_set_regs(cpu, &regs);
	expect_equal("result", expect_return(cpu), 1);
}

/* The host gets its CPU back from a guest that has masked all interrupts. */
static void mwait_masked(const struct attack *attack)
{
	struct kvm_regs regs;
	unsigned int i;

	(void)attack;
	start_mwait(true);
	if (machine_vendor() == VMX)
		skip("Bochs has no exit for the host's interrupts where IF is clear");
	call_text(cpu, text_mwaits, SP, 0, 1ULL << 40);
	for (i = 0; i < 3; i++)
		run_until_inside(cpu);
	regs = vcpu_regs(cpu);
	expect_equal("RFLAGS.IF", regs.rflags & (1 << 9), 0);
	regs.rdx = 1;
	vcpu_set_regs(cpu, &regs);
	expect_equal("result", expect_return(cpu), 1);
}

static int grant_mwait(uint32_t limit)
{
	struct kvm_gm_grant arg = {
		.size = sizeof(arg), .id = victim.arg.id, .generation = victim.arg.generation,
		.kind = KVM_GM_PRIV_MWAIT, .limit = limit,
	};

	return ioctl(vm.vm, KVM_GM_GRANT, &arg) < 0 ? -errno : 0;
}

/* Where KVM runs the guest's timer by one of the CPU's that stops in deep states. */
static void mwait_timer(const struct attack *attack)
{
	char on = 'N';
	FILE *file;

	(void)attack;
	file = fopen("/sys/module/kvm_intel/parameters/preemption_timer", "r");
	if (file) {
		on = (char)fgetc(file);
		fclose(file);
	}
	start_mwait(true);
	expect_revoke(KVM_GM_PRIV_MWAIT, 0, 0, 0);
	expect_equal("a hint beyond C1", grant_mwait(0x10), on == 'Y' ? -EOPNOTSUPP : 0);
	if (on != 'Y')
		expect_revoke(KVM_GM_PRIV_MWAIT, 0, 0, 0);
	expect_equal("a hint of C1", grant_mwait(0x0f), 0);
}

/* --- host information ------------------------------------------------------------------ */

/* A word of the page, as the module reads it. */
static uint64_t hostinfo_word(size_t offset)
{
	call_text(cpu, text_read, SP, region_va(REGION_DATA) + offset, 0);
	return expect_return(cpu);
}

#define HOSTINFO(field) \
	(uint32_t)hostinfo_word(offsetof(struct kvm_gm_hostinfo, field))

static struct kvm_gm_hostinfo_vcpu hostinfo_entry(void)
{
	struct kvm_gm_hostinfo_vcpu entry;
	uint64_t words[sizeof(entry) / 8];
	unsigned int i;

	for (i = 0; i < sizeof(entry) / 8; i++)
		words[i] = hostinfo_word(offsetof(struct kvm_gm_hostinfo, vcpus[0]) + i * 8);
	memcpy(&entry, words, sizeof(entry));
	return entry;
}

/* Whichever is granted first: what the module may do with MWAIT is in the page. */
static void hostinfo_mwait(const struct attack *attack)
{
	uint32_t generation, hint = 0x10;
	unsigned int i;
	int r;

	(void)attack;
	start_with(&(struct setup) { .hostinfo = true });
	r = grant_mwait(hint);
	if (r) {
		hint = 0x1;
		r = grant_mwait(hint);
	}
	if (r == -EOPNOTSUPP)
		skip("the CPU has no MONITOR and MWAIT");
	expect_equal("the grant", r, 0);
	expect_equal("before the page is there", HOSTINFO(mwait), 0);
	expect_grant(KVM_GM_PRIV_HOSTINFO, 0, 0, 0);
	for (i = 0; i < 2; i++) {
		expect_equal("granted", HOSTINFO(mwait) & KVM_GM_HOSTINFO_MWAIT,
			     KVM_GM_HOSTINFO_MWAIT);
		expect_equal("hint", HOSTINFO(mwait_hint), hint);
		expect_equal("sub-states beyond the hint's state, and of C0",
			     HOSTINFO(mwait_substates) & ~(hint == 0x10 ? 0xff0U : 0xf0U), 0);
		generation = HOSTINFO(generation);
		expect_revoke(KVM_GM_PRIV_MWAIT, 0, 0, 0);
		expect_equal("after the revoke", HOSTINFO(mwait), 0);
		expect(HOSTINFO(generation) != generation, "it is still generation %u", generation);
		expect_equal("a grant", grant_mwait(hint), 0);
	}
	expect_revoke(KVM_GM_PRIV_HOSTINFO, 0, 0, 0);
	expect_equal("without the page", HOSTINFO(mwait), 0);
}

/* The page says it as of the last KVM_RUN, so ask twice. */
static uint32_t hostinfo_vms_now(void)
{
	hostinfo_word(0);
	return HOSTINFO(vms);
}

/* VMs come and go, and one counts from its first vCPU to its end. */
static void hostinfo_vms(const struct attack *attack)
{
	struct machine second;
	uint32_t vms;

	(void)attack;
	start_with(&(struct setup) { .hostinfo = true });
	expect_grant(KVM_GM_PRIV_HOSTINFO, 0, 0, 0);
	vms = hostinfo_vms_now();
	expect(vms >= 1, "%u VMs", vms);
	machine_create(&second, false);
	expect_equal("with one that has no vCPU", hostinfo_vms_now(), vms);
	machine_add_vcpu(&second);
	machine_add_vcpu(&second);
	expect_equal("with one of two vCPUs", hostinfo_vms_now(), vms + 1);
	machine_destroy(&second);
	expect_equal("afterwards", hostinfo_vms_now(), vms);
}

/* Ask again for some seconds until it is so. */
static void expect_runnable(unsigned int runnable, const char *what)
{
	time_t end = time(NULL) + 20;
	struct kvm_gm_hostinfo_vcpu entry;

	do {
		entry = hostinfo_entry();
		expect_equal("alone", entry.flags & KVM_GM_HOSTINFO_F_ALONE,
			     entry.runnable == 1 ? KVM_GM_HOSTINFO_F_ALONE : 0);
		if (entry.runnable == runnable)
			return;
		usleep(1000);
	} while (time(NULL) < end);
	fail("%s: %u runnable", what, entry.runnable);
}

/* Another task on the physical CPU, and when it has ended. */
static void hostinfo_shared(const struct attack *attack)
{
	cpu_set_t one;
	pid_t busy;

	(void)attack;
	start_with(&(struct setup) { .hostinfo = true });
	expect_grant(KVM_GM_PRIV_HOSTINFO, 0, 0, 0);
	CPU_ZERO(&one);
	CPU_SET(hostinfo_entry().cpu, &one);
	must(sched_setaffinity(0, sizeof(one), &one), "sched_setaffinity");
	expect_runnable(1, "alone");
	busy = must(fork(), "fork");
	if (!busy)
		for (;;)
			;
	expect_runnable(2, "beside a busy task");
	kill(busy, SIGKILL);
	must(waitpid(busy, NULL, 0), "waitpid");
	expect_runnable(1, "alone again");
}

static void hostinfo(const struct attack *attack)
{
	const uint64_t entry = sizeof(struct kvm_gm_hostinfo) -
		KVM_GM_HOSTINFO_VCPUS * sizeof(struct kvm_gm_hostinfo_vcpu);
	struct kvm_gm_hostinfo_vcpu got = {};
	uint64_t word, va;
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .hostinfo = true });
	va = region_va(REGION_DATA);
	call_text(cpu, text_read_private, SP, 0, 0);
	expect_equal("before the grant", expect_return(cpu), 0);
	expect_grant(KVM_GM_PRIV_HOSTINFO, 0, 0, 0);
	call_text(cpu, text_read_private, SP, 0, 0);
	word = expect_return(cpu);
	expect_equal("version", (uint32_t)word, KVM_GM_HOSTINFO_VERSION);
	expect(word >> 32, "there is no entry yet");
	call_text(cpu, text_read, SP, va + 8, 0);
	word = expect_return(cpu);
	expect_equal("CPUs online", (uint32_t)word, (uint32_t)sysconf(_SC_NPROCESSORS_ONLN));
	expect_equal("entries", word >> 32, KVM_GM_HOSTINFO_VCPUS);
	for (i = 0; i < sizeof(got) / 8; i++) {
		call_text(cpu, text_read, SP, va + entry + i * 8, 0);
		word = expect_return(cpu);
		memcpy((uint8_t *)&got + i * 8, &word, 8);
	}
	expect(got.seq && got.seq % 2 == 0, "sequence number %u", got.seq);
	expect(got.cpu < sysconf(_SC_NPROCESSORS_CONF), "CPU %u", got.cpu);
	expect(got.vcpus >= 1 && got.vcpus < 1000, "%u vCPUs", got.vcpus);
	expect(got.updated, "no time");
	/* The guest sees nothing of it, at its address or at its frame. */
	expect_equal("outside", kernel_loads(cpu, va), 0);
	expect_equal("an entry outside", kernel_loads(cpu, va + entry), 0);
	machine_map(&vm, VA_BESIDE, region_gpa(REGION_DATA), PTE_P | PTE_W);
	expect_equal("by another mapping", kernel_loads(cpu, VA_BESIDE), 0);
	call_text(cpu, text_read, SP, VA_BESIDE, 0);
	expect_equal("by another mapping inside", expect_return(cpu), 0);

	expect_revoke(KVM_GM_PRIV_HOSTINFO, 0, 0, 0);
	for (i = 0; i < sizeof(got) / 8; i++) {
		call_text(cpu, text_read, SP, va + entry + i * 8, 0);
		expect_equal("after the revoke", expect_return(cpu), 0);
	}
	call_text(cpu, text_read_private, SP, 0, 0);
	expect_equal("version after the revoke", expect_return(cpu), 0);
}

/* Of the vCPU's entry: how often it has been written, twice. */
static uint32_t hostinfo_writes(void)
{
	call_text(cpu, text_read, SP, region_va(REGION_DATA) +
		  offsetof(struct kvm_gm_hostinfo, vcpus[0].seq), 0);
	return (uint32_t)expect_return(cpu);
}

/* Who asks for the vCPU's state from elsewhere does not make it run there. */
static void hostinfo_not_run(const struct attack *attack)
{
	uint32_t first, second, third;
	struct kvm_mp_state state;
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .hostinfo = true });
	expect_grant(KVM_GM_PRIV_HOSTINFO, 0, 0, 0);
	first = hostinfo_writes();
	second = hostinfo_writes();
	expect(second != first, "KVM_RUN writes no entry");
	for (i = 0; i < TIMES; i++)
		must(ioctl(cpu->fd, KVM_GET_MP_STATE, &state), "KVM_GET_MP_STATE");
	third = hostinfo_writes();
	expect(third - second < TIMES, "written %u times", (third - second) / 2);
}

static void hostinfo_written(const struct attack *attack)
{
	uint64_t va;

	(void)attack;
	start_with(&(struct setup) { .hostinfo = true });
	expect_grant(KVM_GM_PRIV_HOSTINFO, 0, 0, 0);
	va = region_va(REGION_DATA);
	call_text(cpu, text_write, SP, va, 1);
	expect_violation(cpu, KVM_GM_V_ACCESS, KVM_GM_NO_GATE, text_va(text_write), va,
			 .any_gpa = true, .module = &victim, .inside = SP);
}

const struct attack idle_attacks[] = {
	{ "monitor", 2, "MONITOR inside, granted: no exits", mwait, text_monitors },
	{ "mwait", 2, "MWAIT inside, granted: no exits", mwait, text_mwaits },
	{ "monitor-not-granted", 2, "MONITOR inside: an exit each", mwait_not_granted,
	  text_monitors },
	{ "mwait-not-granted", 2, "MWAIT inside: an exit each", mwait_not_granted, text_mwaits },
	{ "mwait-stepped", 2, "a debugger steps over MWAIT inside, granted: to the next instruction",
	  mwait_stepped, &(const bool){ true } },
	{ "mwait-stepped-not-granted", 2, "the same, not granted: the same",
	  mwait_stepped, &(const bool){ false } },
	{ "mwait-outside", 2, "MONITOR outside, granted to a module: an exit each", mwait_outside,
	  NULL },
	{ "mwait-changed", 2, "MWAIT revoked, and granted, while the vCPU is inside: at once",
	  mwait_changed_inside, NULL },
	{ "hostinfo", 2, "host information: for the module's view, while granted", hostinfo, NULL },
	{ "mwait-beside", 2, "MONITOR on a vCPU outside, while another is inside: an exit each",
	  mwait_beside, NULL },
	{ "mwait-masked", 2, "MWAIT inside with interrupts masked: the host's still end it",
	  mwait_masked, NULL },
	{ "mwait-timer", 2, "MWAIT so deep that the guest's timer stops: refused",
	  mwait_timer, NULL },
	{ "hostinfo-mwait", 2, "what is granted of MWAIT: told, until it is revoked",
	  hostinfo_mwait, NULL },
	{ "hostinfo-vms", 2, "VMs on the host: as many as there are", hostinfo_vms, NULL },
	{ "hostinfo-shared", 2, "another task on the physical CPU: told while it is there",
	  hostinfo_shared, NULL },
	{ "hostinfo-not-run", 2, "a vCPU asked for its state: as it was put on a CPU last",
	  hostinfo_not_run, NULL },
	{ "hostinfo-write", 5, "a store to it from inside: access", hostinfo_written, NULL },
	{}
};
