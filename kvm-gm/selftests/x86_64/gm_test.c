// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guarded modules (KVM_CAP_GM): the interface as userspace and a guest see it.
 *
 * A module of four pages and one private stack is sealed by hand; the guest
 * calls its functions and tries to go past its gates. Attacks are the matter of
 * kvm-gm/tests; this is what a user of the interface relies on.
 */
#include "kvm_test_harness.h"
#include "test_util.h"
#include "kvm_util.h"
#include "processor.h"

#include <linux/kvm_gm.h>

/* Guest virtual; the last two pages of the module are a private stack. */
#define MODULE		0xffffffffc0000000ul
#define GATES		MODULE
#define TEXT		(MODULE + 0x1000)
#define DATA		(MODULE + 0x2000)
#define STACK		(MODULE + 0x3000)
#define NR_PAGES	5
#define KERNEL_STACK	0xffff888000000000ul	/* two pages */
#define KERNEL_GS	0xffff888000100000ul

/* Guest physical, and the memory slot; slot 0 is the library's. */
#define MODULE_GPA	0x10000000ul
#define MODULE_SLOT	10

enum {
	GATE_ADD, GATE_TWICE, GATE_EXIT, GATE_IN_RETURN, GATE_RESUME, GATE_OUT,
	GATE_OUT_RETURN, NR_GATES,
};

static const uint64_t gate_insn[NR_GATES] = {
	[GATE_ADD] = GATES,
	[GATE_TWICE] = GATES + 0x10,
	[GATE_EXIT] = GATES + 0x20,
	[GATE_IN_RETURN] = GATES + 0x33,	/* after the trampoline */
	[GATE_RESUME] = GATES + 0x40,
	[GATE_OUT] = TEXT + 0x80,
	[GATE_OUT_RETURN] = TEXT + 0x90,
};

static const uint8_t gates_content[PAGE_SIZE] = {
	[0x30] = 0x41, 0xff, 0xd3,		/* call *%r11 */
	[0x50] = 0xc3,				/* ret */
};

/* The hypercalls are KVM's to write. What they return to is never guessed. */
static const uint8_t text_content[PAGE_SIZE] = {
	/* add: lea (%rdi,%rsi),%rax; ret */
	[0x00] = 0x48, 0x8d, 0x04, 0x37, 0xc3,
	/* exit: mov %rdi,%rax; ret */
	[0x10] = 0x48, 0x89, 0xf8, 0xc3,
	/* twice: push %rbx; mov %rdi,%rbx; call out; add %rbx,%rax; pop %rbx; ret */
	[0x20] = 0x53, 0x48, 0x89, 0xfb, 0xe8, 0x57, 0x00, 0x00, 0x00,
		 0x48, 0x01, 0xd8, 0x5b, 0xc3,
	/* out: the hypercall; ret */
	[0x83] = 0xc3,
};

struct module {
	struct kvm_gm_seal arg;
	struct kvm_gm_region regions[4];
	struct kvm_gm_gate gates[NR_GATES];
	uint64_t gpas[NR_PAGES];
};

typedef uint64_t (*module_fn)(uint64_t, uint64_t);

/* What the module calls. */
static uint64_t guest_callee(uint64_t value)
{
	return value + 1;
}

static void module_fill(struct module *module)
{
	const struct kvm_gm_region regions[] = {
		{ GATES, 1, KVM_GM_REGION_GATES, (uintptr_t)gates_content },
		{ TEXT, 1, KVM_GM_REGION_TEXT, (uintptr_t)text_content },
		{ DATA, 1, KVM_GM_REGION_DATA },
		{ STACK, 2, KVM_GM_REGION_STACK },
	};
	const struct {
		uint64_t target;
		uint8_t kind, flags;
	} gates[NR_GATES] = {
		[GATE_ADD] = { TEXT, KVM_GM_GATE_IN_CALL },
		[GATE_TWICE] = { TEXT + 0x20, KVM_GM_GATE_IN_CALL },
		[GATE_EXIT] = { TEXT + 0x10, KVM_GM_GATE_IN_CALL, KVM_GM_GATE_F_EXIT },
		[GATE_IN_RETURN] = { 0, KVM_GM_GATE_IN_RETURN },
		[GATE_RESUME] = { 0, KVM_GM_GATE_RESUME },
		[GATE_OUT] = { (uintptr_t)guest_callee, KVM_GM_GATE_OUT_CALL },
		[GATE_OUT_RETURN] = { 0, KVM_GM_GATE_OUT_RETURN },
	};
	int i;

	memset(module, 0, sizeof(*module));
	memcpy(module->regions, regions, sizeof(regions));
	for (i = 0; i < NR_PAGES; i++)
		module->gpas[i] = MODULE_GPA + i * PAGE_SIZE;
	for (i = 0; i < ARRAY_SIZE(regions); i++)
		module->regions[i].gpas = (uintptr_t)&module->gpas[i];
	for (i = 0; i < NR_GATES; i++)
		module->gates[i] = (struct kvm_gm_gate) {
			.insn = gate_insn[i],
			.target = gates[i].target,
			.kind = gates[i].kind,
			.flags = gates[i].flags,
		};
	module->arg = (struct kvm_gm_seal) {
		.size = sizeof(module->arg),
		.name = "gm_test",
		.nr_regions = ARRAY_SIZE(regions),
		.nr_gates = NR_GATES,
		.stack_pages = 2,
		.regions = (uintptr_t)module->regions,
		.gates = (uintptr_t)module->gates,
		.trampoline = GATES + 0x30,
		.ret = GATES + 0x50,
		.policy = KVM_GM_POLICY_INJECT,
	};
}

FIXTURE(gm) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct module module;
};

FIXTURE_SETUP(gm)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	int i;

	self->vm = vm_create(1);
	vm_enable_cap(self->vm, KVM_CAP_GM, 0);
	self->vcpu = vm_vcpu_add(self->vm, 0, NULL);

	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, MODULE_GPA,
				    MODULE_SLOT, NR_PAGES + 2, 0);
	for (i = 0; i < NR_PAGES; i++)
		virt_pg_map(self->vm, MODULE + i * PAGE_SIZE, MODULE_GPA + i * PAGE_SIZE);
	for (i = 0; i < 2; i++)
		virt_pg_map(self->vm, KERNEL_STACK + i * PAGE_SIZE,
			    MODULE_GPA + (NR_PAGES + i) * PAGE_SIZE);

	/* The loader's copy: the exit gate returns in it. */
	memcpy(addr_gpa2hva(self->vm, MODULE_GPA), gates_content, PAGE_SIZE);

	/* A module is entered on the kernel's stack, with the kernel's GS. */
	vcpu_sregs_get(self->vcpu, &sregs);
	sregs.cr0 |= X86_CR0_WP;
	sregs.gs.base = KERNEL_GS;
	vcpu_sregs_set(self->vcpu, &sregs);
	vcpu_regs_get(self->vcpu, &regs);
	regs.rsp = KERNEL_STACK + 2 * PAGE_SIZE - 8;
	vcpu_regs_set(self->vcpu, &regs);

	module_fill(&self->module);
}

FIXTURE_TEARDOWN(gm)
{
	kvm_vm_free(self->vm);
}

/* GUEST_SYNC(@stage), or GUEST_DONE() with ~0. */
static void run_to(struct kvm_vcpu *vcpu, uint64_t stage)
{
	struct ucall uc;

	vcpu_run(vcpu);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		TEST_ASSERT_EQ(uc.args[1], stage);
		break;
	case UCALL_DONE:
		TEST_ASSERT_EQ(~0ull, stage);
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		TEST_FAIL("exit reason %u (%s) instead of stage %lu",
			  vcpu->run->exit_reason, exit_reason_str(vcpu->run->exit_reason),
			  stage);
	}
}

#define run_to_end(vcpu)	run_to(vcpu, ~0ull)

static struct kvm_gm_exit *run_to_gm_exit(struct kvm_vcpu *vcpu, enum kvm_gm_exit_type type)
{
	struct kvm_gm_exit *exit = KVM_GM_EXIT(vcpu->run);

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(vcpu->run->exit_reason, KVM_EXIT_GM);
	TEST_ASSERT_EQ(exit->type, type);
	return exit;
}

static int try_seal(struct kvm_vm *vm, struct module *module)
{
	return __vm_ioctl(vm, KVM_GM_SEAL, &module->arg) ? errno : 0;
}

static int try_query(struct kvm_vm *vm, uint32_t id, struct kvm_gm_query *query)
{
	*query = (struct kvm_gm_query) { .size = sizeof(*query), .id = id };
	return __vm_ioctl(vm, KVM_GM_QUERY, query) ? errno : 0;
}

static int try_unseal(struct kvm_vm *vm, uint32_t id)
{
	return __vm_ioctl(vm, KVM_GM_UNSEAL, &id) ? errno : 0;
}

/* --- the capability ---------------------------------------------------------- */

TEST(capability)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_GM };
	struct kvm_gm_query query;
	struct kvm_vm *vm;

	TEST_ASSERT_EQ(kvm_check_cap(KVM_CAP_GM), KVM_GM_API_VERSION);

	vm = vm_create(1);
	EXPECT_EQ(EINVAL, try_query(vm, 0, &query));
	cap.args[3] = 1;
	EXPECT_EQ(-1, __vm_ioctl(vm, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(EINVAL, errno);
	cap.args[3] = 0;
	EXPECT_EQ(0, __vm_ioctl(vm, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(-1, __vm_ioctl(vm, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(EEXIST, errno);
	EXPECT_EQ(0, try_query(vm, 0, &query));
	kvm_vm_free(vm);

	vm = vm_create(1);
	vm_vcpu_add(vm, 0, NULL);
	EXPECT_EQ(-1, __vm_ioctl(vm, KVM_ENABLE_CAP, &cap));
	EXPECT_EQ(EBUSY, errno);
	kvm_vm_free(vm);
}

/* --- what a seal is given ------------------------------------------------------- */

TEST_F(gm, seal_refuses)
{
#define EXPECT_REFUSED(error, field, value) do {	\
	module_fill(&self->module);			\
	self->module.field = (value);			\
	EXPECT_EQ(error, try_seal(self->vm, &self->module));	\
} while (0)
	EXPECT_REFUSED(EINVAL, arg.size, sizeof(self->module.arg) - 8);
	EXPECT_REFUSED(EINVAL, arg.generation, 1);
	EXPECT_REFUSED(EINVAL, arg.reserved[2], 1);
	EXPECT_REFUSED(EINVAL, arg.policy, KVM_GM_POLICY_QUARANTINE + 1);
	EXPECT_REFUSED(EINVAL, arg.stack_pages, 1);
	EXPECT_REFUSED(EINVAL, arg.trampoline, GATES + 0x31);
	EXPECT_REFUSED(E2BIG, arg.nr_regions, KVM_GM_MAX_REGIONS + 1);
	EXPECT_REFUSED(E2BIG, arg.nr_gates, KVM_GM_MAX_GATES + 1);
	EXPECT_REFUSED(EFAULT, arg.regions, 8);
	EXPECT_REFUSED(EINVAL, regions[1].va, TEXT + 8);
	EXPECT_REFUSED(EINVAL, regions[1].va, 0x400000);
	EXPECT_REFUSED(EINVAL, regions[1].kind, KVM_GM_REGION_DEVICES + 1);
	EXPECT_REFUSED(EFAULT, gpas[2], MODULE_GPA + (1ul << 30));
	EXPECT_REFUSED(EBUSY, gpas[2], MODULE_GPA);
	EXPECT_REFUSED(EINVAL, gates[GATE_ADD].kind, KVM_GM_GATE_OUT_RETURN + 1);
	EXPECT_REFUSED(EINVAL, gates[GATE_ADD].target, GATES);
	EXPECT_REFUSED(EINVAL, gates[GATE_TWICE].insn, GATES);
	EXPECT_REFUSED(EINVAL, gates[GATE_OUT].reserved, 1);
	EXPECT_REFUSED(E2BIG, gates[GATE_OUT].stack_words, KVM_GM_MAX_STACK_WORDS + 1);
#undef EXPECT_REFUSED

	/* Nothing is left behind by any of them. */
	module_fill(&self->module);
	EXPECT_EQ(0, try_seal(self->vm, &self->module));
	EXPECT_EQ(1, self->module.arg.id);
}

TEST_F(gm, ids)
{
	struct kvm_gm_query query;
	uint32_t generation;

	EXPECT_EQ(ENOENT, try_query(self->vm, 1, &query));
	EXPECT_EQ(EINVAL, try_query(self->vm, KVM_GM_MAX_SEALS + 1, &query));
	EXPECT_EQ(ENOENT, try_unseal(self->vm, 1));
	EXPECT_EQ(EINVAL, try_unseal(self->vm, 0));
	EXPECT_EQ(EINVAL, try_unseal(self->vm, KVM_GM_MAX_SEALS + 1));

	ASSERT_EQ(0, try_seal(self->vm, &self->module));
	generation = self->module.arg.generation;
	ASSERT_EQ(0, try_query(self->vm, self->module.arg.id, &query));
	EXPECT_STREQ("gm_test", query.name);
	EXPECT_EQ(NR_PAGES, query.nr_pages);
	EXPECT_EQ(NR_GATES, query.nr_gates);
	EXPECT_EQ(1, query.max_activations);
	EXPECT_EQ(0, query.activations);
	EXPECT_EQ(0, query.flags);
	EXPECT_EQ(generation, query.generation);

	module_fill(&self->module);
	EXPECT_EQ(EEXIST, try_seal(self->vm, &self->module));

	EXPECT_EQ(0, try_unseal(self->vm, 1));
	EXPECT_EQ(ENOENT, try_unseal(self->vm, 1));
	ASSERT_EQ(0, try_query(self->vm, 1, &query));
	EXPECT_EQ(KVM_GM_QUERY_F_ENDED, query.flags);

	module_fill(&self->module);
	ASSERT_EQ(0, try_seal(self->vm, &self->module));
	EXPECT_NE(generation, self->module.arg.generation);
}

/* --- the guest --------------------------------------------------------------------- */

static void guest_calls(void)
{
	GUEST_ASSERT_EQ(((module_fn)gate_insn[GATE_ADD])(40, 2), 42);
	/* Out to guest_callee() and in again. */
	GUEST_ASSERT_EQ(((module_fn)gate_insn[GATE_TWICE])(20, 0), 41);
	GUEST_SYNC(1);
	/* Ends the seal: what was a gate is the guest's memory again. */
	GUEST_ASSERT_EQ(((module_fn)gate_insn[GATE_EXIT])(3, 0), 3);
	GUEST_DONE();
}

TEST_F(gm, calls)
{
	struct kvm_gm_query query;
	struct kvm_gm_exit *exit;

	ASSERT_EQ(0, try_seal(self->vm, &self->module));
	vcpu_arch_set_entry_point(self->vcpu, guest_calls);
	run_to(self->vcpu, 1);
	ASSERT_EQ(0, try_query(self->vm, self->module.arg.id, &query));
	EXPECT_EQ(2, query.crossings[KVM_GM_IN_CALL]);
	EXPECT_EQ(1, query.crossings[KVM_GM_OUT_CALL]);
	EXPECT_EQ(1, query.crossings[KVM_GM_IN_RETURN]);
	EXPECT_EQ(2, query.crossings[KVM_GM_OUT_RETURN]);
	EXPECT_EQ(1, vm_get_stat(self->vm, "gm_seals"));

	exit = run_to_gm_exit(self->vcpu, KVM_GM_EXIT_UNSEALED);
	EXPECT_EQ(self->module.arg.id, exit->id);
	EXPECT_EQ(self->module.arg.generation, exit->generation);
	EXPECT_EQ(ENOENT, try_unseal(self->vm, self->module.arg.id));
	EXPECT_EQ(0, vm_get_stat(self->vm, "gm_seals"));
	run_to_end(self->vcpu);
}

static void guest_writes(void)
{
	GUEST_ASSERT_EQ(*(uint64_t *)DATA, 0);
	GUEST_ASSERT_EQ(kvm_asm_safe("movq $1, (%%rax)", "a"(DATA)), GP_VECTOR);
	GUEST_ASSERT_EQ(*(uint64_t *)DATA, 0);
	GUEST_DONE();
}

/* Private data is read-only outside; the violation is reported, then injected. */
TEST_F(gm, write_violation)
{
	struct kvm_gm_query query;
	struct kvm_gm_exit *exit;

	ASSERT_EQ(0, try_seal(self->vm, &self->module));
	vcpu_arch_set_entry_point(self->vcpu, guest_writes);
	exit = run_to_gm_exit(self->vcpu, KVM_GM_EXIT_VIOLATION);
	EXPECT_EQ(KVM_GM_V_WRITE, exit->kind);
	EXPECT_EQ(self->module.arg.id, exit->id);
	EXPECT_EQ(KVM_GM_NO_GATE, exit->gate);
	EXPECT_EQ(DATA, exit->addr);
	EXPECT_EQ(self->module.gpas[2], exit->gpa);
	EXPECT_EQ(KVM_GM_POLICY_INJECT, exit->policy);
	run_to_end(self->vcpu);
	ASSERT_EQ(0, try_query(self->vm, self->module.arg.id, &query));
	EXPECT_EQ(1, query.violations[KVM_GM_V_WRITE]);
}

static void guest_jumps(void)
{
	((module_fn)TEXT)(1, 2);
}

/* Text outside its view is no code; with STOP, it stays so. */
TEST_F(gm, exec_violation)
{
	struct kvm_gm_exit *exit;
	int i;

	self->module.arg.policy = KVM_GM_POLICY_STOP;
	ASSERT_EQ(0, try_seal(self->vm, &self->module));
	vcpu_arch_set_entry_point(self->vcpu, guest_jumps);
	for (i = 0; i < 2; i++) {
		exit = run_to_gm_exit(self->vcpu, KVM_GM_EXIT_VIOLATION);
		EXPECT_EQ(KVM_GM_V_EXEC, exit->kind);
		EXPECT_EQ(GATE_ADD, exit->gate);
		EXPECT_EQ(TEXT, exit->rip);
		EXPECT_EQ(TEXT, exit->addr);
		EXPECT_EQ(self->module.gpas[1], exit->gpa);
		EXPECT_EQ(KVM_GM_POLICY_STOP, exit->policy);
	}
}

static uint64_t guest_hypercall(uint64_t anchors)
{
	uint64_t r;

	if (host_cpu_is_amd)
		asm volatile("vmmcall" : "=a"(r) : "a"(KVM_GM_HC_SEAL), "D"(anchors) : "memory");
	else
		asm volatile("vmcall" : "=a"(r) : "a"(KVM_GM_HC_SEAL), "D"(anchors) : "memory");
	return r;
}

static void guest_asks(void)
{
	GUEST_ASSERT_EQ(guest_hypercall(DATA), -EPERM);
	GUEST_ASSERT_EQ(guest_hypercall(DATA + 8), -KVM_ENOSYS);
	GUEST_ASSERT_EQ(guest_hypercall(DATA), 0);
	GUEST_ASSERT_EQ(((module_fn)gate_insn[GATE_ADD])(40, 2), 42);
	GUEST_DONE();
}

/* The guest asks for the seal; userspace answers, and may fail to. */
TEST_F(gm, seal_on_request)
{
	struct kvm_gm_exit *exit;

	vcpu_arch_set_entry_point(self->vcpu, guest_asks);
	exit = run_to_gm_exit(self->vcpu, KVM_GM_EXIT_SEAL);
	EXPECT_EQ(0, exit->id);
	EXPECT_EQ(DATA, exit->addr);
	exit->ret = -EPERM;
	exit = run_to_gm_exit(self->vcpu, KVM_GM_EXIT_SEAL);
	EXPECT_EQ(DATA + 8, exit->addr);
	exit = run_to_gm_exit(self->vcpu, KVM_GM_EXIT_SEAL);
	EXPECT_EQ(0, try_seal(self->vm, &self->module));
	exit->ret = 0;
	run_to_end(self->vcpu);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_GM));

	return test_harness_run(argc, argv);
}
