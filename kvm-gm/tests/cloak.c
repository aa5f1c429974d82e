// SPDX-License-Identifier: GPL-2.0
/*
 * I5: cloaked regions, which the guest cannot read either. Gates it still has to
 * execute: that takes execute-only mappings, which EPT has and NPT has not.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "attack.h"

#define SP		STACK(0)

extern const char kernel_read[], kernel_write[];
extern const char text_read[], text_read_private[], text_read_constant[];

/* The result of sealing the victim with that region cloaked. */
static int seal_cloaked(unsigned int region)
{
	start_with(&(struct setup) { .unsealed = true });
	victim.regions[region].kind |= KVM_GM_REGION_F_CLOAKED;
	return module_seal(&vm, &victim);
}

static void start_cloaked(unsigned int region)
{
	expect_equal("KVM_GM_SEAL", seal_cloaked(region), 0);
}

/* The module is as ever; at the end it is gone, since nobody could look at it. */
static void expect_works(void)
{
	call_gate(cpu, GATE_NULL, SP, 41, 0, 0);
	expect_equal("the module's answer", expect_return(cpu), 42);
	call_text(cpu, text_read_private, SP, 0, 0);
	expect_equal("private data", expect_return(cpu), 0xdadadadadadadada);
	call_text(cpu, text_read_constant, SP, 0, 0);
	expect_equal("a constant", expect_return(cpu), 0xc0c0c0c0c0c0c0c0);
	must(ioctl(vm.vm, KVM_GM_UNSEAL, &victim.arg.id), "KVM_GM_UNSEAL");
}

static void read_at(uint64_t va, uint64_t gpa)
{
	struct kvm_regs regs = kernel_regs(kernel_va(kernel_read), STACK(61));

	regs.rdi = va;
	vcpu_set_regs(cpu, &regs);
	expect_violation(cpu, KVM_GM_V_READ, bypassed_gate(va), kernel_va(kernel_read), va,
			 .gpa = gpa, .module = &victim);
}

static void cloaked_read(const struct attack *attack)
{
	const unsigned int region = *(const unsigned int *)attack->with;

	start_cloaked(region);
	read_at(region_va(region), region_gpa(region));
	read_at(region_va(region) + PAGE - 8, region_gpa(region) + PAGE - 8);
	expect_works();
	/* What the guest's loader left there. */
	expect_equal("after the unseal", kernel_loads(cpu, region_va(region)), 0xf4f4f4f4f4f4f4f4);
}

static void cloaked_write(const struct attack *attack)
{
	(void)attack;
	start_cloaked(REGION_DATA);
	kernel_stores(cpu, region_va(REGION_DATA), 0);
	expect_violation(cpu, KVM_GM_V_WRITE, bypassed_gate(region_va(REGION_DATA)),
			 kernel_va(kernel_write), region_va(REGION_DATA),
			 .gpa = region_gpa(REGION_DATA), .module = &victim);
	expect_works();
}

static void cloaked_execute(const struct attack *attack)
{
	uint64_t va;

	(void)attack;
	start_cloaked(REGION_TEXT);
	va = region_va(REGION_TEXT);
	kernel_at(cpu, va, SP);
	expect_violation(cpu, KVM_GM_V_EXEC, bypassed_gate(va), va, va,
			 .gpa = region_gpa(REGION_TEXT), .module = &victim);
	expect_works();
}

/* From inside as well, at the guest's frame. */
static void cloaked_read_inside(const struct attack *attack)
{
	(void)attack;
	start_cloaked(REGION_DATA);
	machine_map(&vm, VA_BESIDE, region_gpa(REGION_DATA), PTE_P | PTE_W);
	call_text(cpu, text_read, SP, VA_BESIDE, 0);
	expect_violation(cpu, KVM_GM_V_ACCESS, bypassed_gate(region_va(REGION_DATA)),
			 text_va(text_read), region_va(REGION_DATA),
			 .gpa = region_gpa(REGION_DATA), .module = &victim, .inside = SP);
	expect_works();
}

struct refusal {
	unsigned int region;
	int error;
};

static void refused(const struct attack *attack)
{
	const struct refusal *refusal = attack->with;

	expect_equal("KVM_GM_SEAL", seal_cloaked(refusal->region), -refusal->error);
	victim_is_gone();
}

static void hostinfo_refused(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .unsealed = true, .hostinfo = true });
	victim.regions[REGION_DATA].kind |= KVM_GM_REGION_F_CLOAKED;
	expect_equal("KVM_GM_SEAL", module_seal(&vm, &victim), -EINVAL);
}

#define REFUSED(region, error)	refused, &(const struct refusal){ region, error }

const struct attack cloak_attacks[] = {
	{ "cloak-read-text", 5, "a load from cloaked text: read",
	  cloaked_read, &(const unsigned int){ REGION_TEXT } },
	{ "cloak-read-rodata", 5, "a load from cloaked constants: read",
	  cloaked_read, &(const unsigned int){ REGION_RODATA } },
	{ "cloak-read-data", 5, "a load from cloaked data: read",
	  cloaked_read, &(const unsigned int){ REGION_DATA } },
	{ "cloak-read-gates", 5, "a load from cloaked gates, which execute: read",
	  cloaked_read, &(const unsigned int){ REGION_GATES }, VMX,
	  "NPT has no execute-only mappings" },
	{ "cloak-gates-refused", 5, "cloaked gates where the CPU has no execute-only mappings",
	  REFUSED(REGION_GATES, EOPNOTSUPP), SVM, "EPT has execute-only mappings" },
	{ "cloak-write", 5, "a store to cloaked data: write", cloaked_write, NULL },
	{ "cloak-execute", 2, "a jump to cloaked text: exec", cloaked_execute, NULL },
	{ "cloak-read-inside", 5, "a load from inside from cloaked data's guest frame: access",
	  cloaked_read_inside, NULL },
	{ "cloak-stack", 5, "a cloaked stack, which is the guest's mirror: refused",
	  REFUSED(REGION_STACK, EINVAL) },
	{ "cloak-hostinfo", 5, "cloaked host information: refused", hostinfo_refused, NULL },
	{}
};
