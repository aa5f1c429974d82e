// SPDX-License-Identifier: GPL-2.0
/*
 * I7, what is refused at a seal: every field of what userspace hands over is
 * checked, and nothing is left behind by one that is not right. Userspace is
 * trusted not to be hostile, but not to be right.
 */
#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "attack.h"

#define SP		STACK(0)
#define BAD_POINTER	0xdead000ULL

extern const char kernel_hypercall[];

/* CPUID 8000_0008h, EAX bits 7:0: MAXPHYADDR, here the guest's as well. */
static unsigned int address_bits(void)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid(0x80000008, &eax, &ebx, &ecx, &edx) ? eax & 0xff : 36;
}

struct refusal {
	int error;
	void (*spoil)(struct module *module);
};

/* Nothing of a seal that was refused is there: not an id, a gate, a frame. */
static void nothing_is_left(struct module *module)
{
	struct kvm_gm_query q = { .size = sizeof(q), .id = 1 };
	struct kvm_regs regs;

	expect_equal("KVM_GM_QUERY", ioctl(vm.vm, KVM_GM_QUERY, &q), -1);
	expect_equal("its error", errno, ENOENT);
	/* At a gate there is no gate: the hypercall is one that KVM does not know. */
	forge_hypercall(vm.memory + MODULES);
	kernel_at(cpu, module->va, SP);
	regs = expect_halt(cpu, module->va + 3);
	expect_equal("RAX", regs.rax, -1000);

	prepare(&victim, 0, &(struct setup) {});
	seal(&victim);
	expect_equal("the next seal's id", victim.arg.id, 1);
	expect_equal("its generation", victim.arg.generation, 1);
}

static void refused_seal(const struct attack *attack)
{
	const struct refusal *refusal = attack->with;

	start_with(&(struct setup) { .unsealed = true, .window = true });
	refusal->spoil(&victim);
	expect_equal("KVM_GM_SEAL", module_seal(&vm, &victim), -refusal->error);
	nothing_is_left(&victim);
	call_gate(cpu, GATE_NULL, SP, 41, 0, 0);
	expect_equal("result", expect_return(cpu), 42);
}

static struct kvm_gm_shared shared[KVM_GM_MAX_SHARED];

/* A run of so many, and one of a single page after that. */
static void share(struct module *m, uint64_t nr_pages)
{
	shared[0] = (struct kvm_gm_shared) { VA_BESIDE, nr_pages };
	shared[1] = (struct kvm_gm_shared) { VA_BESIDE, 1 };
	m->arg.shared = (uintptr_t)shared;
	m->arg.nr_shared = 1;
}

static void share_far_apart(struct module *m)
{
	unsigned int i;

	for (i = 0; i < KVM_GM_MAX_SHARED; i++)
		shared[i] = (struct kvm_gm_shared) { 0xffff900000000000 + i * (1ULL << 39), 1 };
	m->arg.nr_shared = KVM_GM_MAX_SHARED;
}

#define PASTE(a, b)	a##b
#define AT_LINE(a, line) PASTE(a, line)
#define REFUSED(label, text, number, statement) \
	static void AT_LINE(spoil_, __LINE__)(struct module *m) { statement; } \
	static const struct refusal AT_LINE(refusal_, __LINE__) = { \
		number, AT_LINE(spoil_, __LINE__) };

#include "refusals.h"
#undef REFUSED

/* --- seals that collide with another ---------------------------------------------- */

static void refuse(struct module *module, int error)
{
	expect_equal("KVM_GM_SEAL", module_seal(&vm, module), -error);
	expect_equal("seals", query(victim.arg.id).generation, victim.arg.generation);
}

static void overlapping_frames(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start();
	for (i = 0; i < MODULE_PAGES; i++) {
		prepare(&other, 1, &(struct setup) {});
		other.gpas[i] = victim.gpas[i];
		refuse(&other, EBUSY);
	}
	/* Nor are frames of the refused ones taken. */
	prepare(&other, 1, &(struct setup) {});
	seal(&other);
}

static void overlapping_addresses(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start();
	for (i = 0; i < MODULE_PAGES; i++) {
		prepare(&other, 1, &(struct setup) {});
		other.regions[REGION_DATA].va = victim.va + i * PAGE;
		refuse(&other, EEXIST);
	}
	prepare(&other, 1, &(struct setup) {});
	seal(&other);
}

static void sealed_twice(const struct attack *attack)
{
	(void)attack;
	start();
	prepare(&other, 0, &(struct setup) {});
	refuse(&other, EEXIST);
}

static void too_many_seals(const struct attack *attack)
{
	uint32_t id, ninth = 9;
	unsigned int i;

	(void)attack;
	start();
	for (i = 1; i < KVM_GM_MAX_SEALS; i++) {
		prepare(&other, i, &(struct setup) {});
		seal(&other);
		expect_equal("id", other.arg.id, i + 1);
	}
	/* All windows are taken; this one lies in the last page of the first. */
	prepare(&other, 0, &(struct setup) {});
	for (i = 0; i < NR_REGIONS; i++)
		other.regions[i].va += WINDOW / 2;
	for (i = 0; i < MODULE_PAGES; i++)
		other.gpas[i] += WINDOW / 2;
	for (i = 0; i < NR_GATES; i++) {
		other.gates[i].insn += WINDOW / 2;
		if (other.gates[i].kind == KVM_GM_GATE_IN_CALL)
			other.gates[i].target += WINDOW / 2;
	}
	other.arg.trampoline += WINDOW / 2;
	other.arg.ret += WINDOW / 2;
	refuse(&other, ENOSPC);

	must(ioctl(vm.vm, KVM_GM_UNSEAL, &ninth), "KVM_GM_UNSEAL");
	seal(&other);
	expect_equal("the id that was given up", other.arg.id, ninth);
	expect_equal("generation", other.arg.generation, KVM_GM_MAX_SEALS + 1);
	id = other.arg.id;
	must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
}

/* Private stacks that lie far apart need more page tables than there are. */
static void too_many_tables(const struct attack *attack)
{
	static struct kvm_gm_region regions[KVM_GM_MAX_REGIONS];
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .unsealed = true });
	memcpy(regions, victim.regions, sizeof(victim.regions));
	for (i = NR_REGIONS; i < KVM_GM_MAX_REGIONS; i++) {
		static uint64_t gpas[KVM_GM_MAX_REGIONS];

		gpas[i] = MODULES + MIB + i * PAGE;
		regions[i] = (struct kvm_gm_region) {
			.va = 0xffff900000000000 + i * (1ULL << 39), .nr_pages = 1,
			.kind = KVM_GM_REGION_DATA, .gpas = (uintptr_t)&gpas[i],
		};
	}
	victim.arg.regions = (uintptr_t)regions;
	victim.arg.nr_regions = KVM_GM_MAX_REGIONS;
	expect_equal("KVM_GM_SEAL", module_seal(&vm, &victim), -E2BIG);
	nothing_is_left(&victim);
}

/* Where KVM's own frames may be, there must be no memory; just outside, it may be. */
static void memory_in_aperture(const struct attack *attack)
{
	const uint64_t third = 1ULL << 39, fourth = third + third / 2;
	const struct { uint64_t gpa, size; int error; } slots[] = {
		{ third, PAGE, EBUSY }, { fourth - PAGE, PAGE, EBUSY },
		{ third - PAGE, 2 * PAGE, EBUSY }, { fourth - PAGE, 2 * PAGE, EBUSY },
		{ third - PAGE, PAGE, 0 }, { fourth, PAGE, 0 },
	};
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .unsealed = true });
	if (address_bits() != 40)
		skip("guest physical addresses are not of 40 bits");
	for (i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		machine_set_slot(&vm, 2, slots[i].gpa, slots[i].size, vm.memory, 0);
		expect_equal("KVM_GM_SEAL", module_seal(&vm, &victim), -slots[i].error);
		if (!slots[i].error) {
			must(ioctl(vm.vm, KVM_GM_UNSEAL, &victim.arg.id), "KVM_GM_UNSEAL");
			prepare(&victim, 0, &(struct setup) {});
		}
		machine_set_slot(&vm, 2, slots[i].gpa, 0, vm.memory, 0);
	}
	seal(&victim);
}

/* --- the other ioctls ------------------------------------------------------------------ */

static void refused_unseal(const struct attack *attack)
{
	static const struct { uint32_t id; int error; } ids[] = {
		{ 0, EINVAL }, { 2, ENOENT }, { KVM_GM_MAX_SEALS, ENOENT },
		{ KVM_GM_MAX_SEALS + 1, EINVAL }, { ~0U, EINVAL },
	};
	unsigned int i;

	(void)attack;
	start();
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		uint32_t id = ids[i].id;

		expect_equal("KVM_GM_UNSEAL", ioctl(vm.vm, KVM_GM_UNSEAL, &id), -1);
		expect_equal("its error", errno, ids[i].error);
	}
	expect_equal("KVM_GM_UNSEAL", ioctl(vm.vm, KVM_GM_UNSEAL, BAD_POINTER), -1);
	expect_equal("its error", errno, EFAULT);
}

static void refused_query(const struct attack *attack)
{
	static const struct { uint32_t size, id; int error; } queries[] = {
		{ 0, 1, EINVAL }, { sizeof(struct kvm_gm_query) - 1, 1, EINVAL },
		{ sizeof(struct kvm_gm_query) + 1, 1, EINVAL },
		{ sizeof(struct kvm_gm_query), 2, ENOENT },
		{ sizeof(struct kvm_gm_query), KVM_GM_MAX_SEALS + 1, EINVAL },
		{ sizeof(struct kvm_gm_query), ~0U, EINVAL },
	};
	unsigned int i;

	(void)attack;
	start();
	for (i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		struct kvm_gm_query q = { .size = queries[i].size, .id = queries[i].id };

		expect_equal("KVM_GM_QUERY", ioctl(vm.vm, KVM_GM_QUERY, &q), -1);
		expect_equal("its error", errno, queries[i].error);
	}
}

static void without_capability(const struct attack *attack)
{
	struct kvm_gm_query q = { .size = sizeof(q) };
	struct kvm_enable_cap cap = { .cap = KVM_CAP_GM };
	uint32_t id = 1;

	(void)attack;
	machine_create(&vm, false);
	cpu = machine_add_vcpu(&vm);
	load_kernel();
	prepare(&victim, 0, &(struct setup) {});
	expect_equal("KVM_GM_SEAL", module_seal(&vm, &victim), -EINVAL);
	expect_equal("KVM_GM_UNSEAL", ioctl(vm.vm, KVM_GM_UNSEAL, &id), -1);
	expect_equal("its error", errno, EINVAL);
	expect_equal("KVM_GM_QUERY", ioctl(vm.vm, KVM_GM_QUERY, &q), -1);
	expect_equal("its error", errno, EINVAL);
	/* Too late. */
	expect_equal("KVM_ENABLE_CAP", ioctl(vm.vm, KVM_ENABLE_CAP, &cap), -1);
	expect_equal("its error", errno, EBUSY);
	kernel_at(cpu, kernel_va(kernel_hypercall), SP);
	expect_equal("RAX", expect_halt(cpu, kernel_va(kernel_hypercall) + 3).rax, -1000);
	machine_destroy(&vm);
	start();
}

static void refused_capability(const struct attack *attack)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_GM };
	unsigned int i;

	(void)attack;
	machine_create(&vm, false);
	expect_equal("KVM_CHECK_EXTENSION", ioctl(vm.vm, KVM_CHECK_EXTENSION, KVM_CAP_GM),
		     KVM_GM_API_VERSION);
	for (i = 0; i < 4; i++) {
		cap.args[i] = 1;
		expect_equal("KVM_ENABLE_CAP", ioctl(vm.vm, KVM_ENABLE_CAP, &cap), -1);
		expect_equal("its error", errno, EINVAL);
		cap.args[i] = 0;
	}
	cap.flags = 1;
	expect_equal("KVM_ENABLE_CAP", ioctl(vm.vm, KVM_ENABLE_CAP, &cap), -1);
	expect_equal("its error", errno, EINVAL);
	cap.flags = 0;
	must(ioctl(vm.vm, KVM_ENABLE_CAP, &cap), "KVM_CAP_GM");
	expect_equal("KVM_ENABLE_CAP", ioctl(vm.vm, KVM_ENABLE_CAP, &cap), -1);
	expect_equal("its error", errno, EEXIST);
	/* There must be a vCPU to ask how wide its addresses are. */
	prepare(&victim, 0, &(struct setup) {});
	expect_equal("KVM_GM_SEAL", module_seal(&vm, &victim), -EINVAL);
	machine_destroy(&vm);
	start();
}

#define REFUSED(label, text, number, statement) \
	{ "seal-" label, 7, "a seal with " text ": " #number, refused_seal, \
	  &AT_LINE(refusal_, __LINE__) },

const struct attack seal_attacks[] = {
#include "refusals.h"
	{ "seal-frame-of-another", 7, "a seal of another's frame, each in turn: EBUSY",
	  overlapping_frames, NULL },
	{ "seal-address-of-another", 7, "a seal at another's address, each in turn: EEXIST",
	  overlapping_addresses, NULL },
	{ "seal-again", 7, "a seal of what is sealed: EEXIST", sealed_twice, NULL },
	{ "seal-too-many", 7, "a seal more than there are views: ENOSPC; an id given up is reused",
	  too_many_seals, NULL },
	{ "seal-too-many-tables", 7, "a seal of pages too far apart: E2BIG",
	  too_many_tables, NULL },
	{ "seal-memory-in-aperture", 7, "a seal with memory where KVM's own frames may be: EBUSY",
	  memory_in_aperture, NULL },
	{ "unseal-refused", 7, "an unseal of what is not sealed: ENOENT, EINVAL, EFAULT",
	  refused_unseal, NULL },
	{ "query-refused", 7, "a query of what is not sealed: ENOENT, EINVAL",
	  refused_query, NULL },
	{ "capability-missing", 7, "a seal without the capability, or that too late: EINVAL, EBUSY",
	  without_capability, NULL },
	{ "capability-refused", 7, "the capability with arguments, and twice: EINVAL, EEXIST",
	  refused_capability, NULL },
	{}
};
