// SPDX-License-Identifier: GPL-2.0
/*
 * I1, I2: what a module has been granted, it has inside and until that is
 * revoked; nobody else has it. Devices and ports are userspace's, which is told
 * who reaches for them.
 */
#include <asm/svm.h>
#include <asm/vmx.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "attack.h"

#define SP		STACK(0)
#define DEVICE		(1ULL << 38)	/* guest physical: there is no memory */
#define PORT		0x1234
#define RESULT		0x1122334455667788ULL

#define MSR_TSC		0x10
#define MSR_PERF_CTL	(machine_vendor() == SVM ? MSR_PERF_CTL_AMD : MSR_PERF_CTL_INTEL)
#define MSR_PERF_CTL_AMD	0xc0010062
#define MSR_PERF_CTL_INTEL	0x199
#define MSR_EFER	0xc0000080
#define MSR_LBR_SELECT	0xc000010e	/* AMD's */
#define MSR_DBG_EXTN_CFG	0xc000010f
#define MSR_SAMP_BR_FROM	0xc0010300
#define MSR_IBSOPRIP	0xc0011034

extern const char kernel_halt[], kernel_read[], text_read[], text_write[];
extern const char text_load_byte[], text_load_sign[], text_load_half[], text_store_byte[];
extern const char text_store_constant[], text_lock_or[], text_compare[], text_exchange[];
extern const char text_push_memory[], text_copy[], text_copy_itself[], text_call_memory[];
extern const char text_load_gs[], text_load_fs[], text_port_in[], text_port_out[];
extern const char text_port_string[];
extern const char text_port_string_itself[], text_msr_read[], text_msr_read_itself[];
extern const char text_msr_prefixed[], text_msr_prefixed_itself[];
extern const char text_msr_write[], text_msr_write_itself[], text_read_private[];

/* --- grants --------------------------------------------------------------------- */

struct refusal {
	struct kvm_gm_grant arg;	/* of zeroes: what is right */
	int error;
	bool revoke;
};

static void refused(const struct attack *attack)
{
	const struct refusal *refusal = attack->with;
	struct kvm_gm_grant arg = refusal->arg;

	start();
	arg.size = arg.size ?: sizeof(arg);
	arg.id = arg.id ?: victim.arg.id;
	arg.generation = arg.generation ?: victim.arg.generation;
	expect_equal("result", ioctl(vm.vm, refusal->revoke ? KVM_GM_REVOKE : KVM_GM_GRANT, &arg),
		     -1);
	expect_equal("errno", errno, refusal->error);
}

static void twice(const struct attack *attack)
{
	const struct kvm_gm_grant *arg = attack->with;

	start_with(&(struct setup) { .hostinfo = arg->kind == KVM_GM_PRIV_HOSTINFO });
	expect_grant(arg->kind, arg->flags, arg->first, arg->last);
	expect_equal("a second grant", change(KVM_GM_GRANT, arg->kind, arg->flags, arg->first,
					      arg->last), -EEXIST);
	expect_revoke(arg->kind, arg->flags, arg->first, arg->last);
	expect_equal("a second revoke", change(KVM_GM_REVOKE, arg->kind, arg->flags, arg->first,
					       arg->last), -ENOENT);
	expect_grant(arg->kind, arg->flags, arg->first, arg->last);
}

static void too_many(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start();
	for (i = 0; i < KVM_GM_MAX_GRANTS; i++)
		expect_grant(KVM_GM_PRIV_MSR, 0, 0x10000 + i, 0x10000 + i);
	expect_equal("one more", change(KVM_GM_GRANT, KVM_GM_PRIV_MSR, 0, 0x20000, 0x20000),
		     -E2BIG);
	/* What was granted once has its place for ever. */
	expect_revoke(KVM_GM_PRIV_MSR, 0, 0x10000, 0x10000);
	expect_grant(KVM_GM_PRIV_MSR, 0, 0x10000, 0x10000);
}

static void of_the_dead(const struct attack *attack)
{
	uint32_t id;

	(void)attack;
	start();
	id = victim.arg.id;
	must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
	victim_is_gone();
	expect_equal("a grant", change(KVM_GM_GRANT, KVM_GM_PRIV_MWAIT, 0, 0, 0), -ENOENT);
}

/* --- devices --------------------------------------------------------------------- */

static void device_at(uint64_t va)
{
	machine_map(&vm, va, DEVICE, PTE_P | PTE_W);
	machine_map(&vm, va + PAGE, DEVICE + PAGE, PTE_P | PTE_W);
}

static void expect_access(struct vcpu *vcpu, uint32_t view, uint64_t gpa, unsigned int len,
			  bool write)
{
	expect_equal("exit reason", run_on(vcpu), KVM_EXIT_MMIO);
	expect_equal("module", KVM_GM_RUN_VIEW(vcpu->run), view);
	expect_equal("address", vcpu->run->mmio.phys_addr, gpa);
	expect_equal("bytes", vcpu->run->mmio.len, len);
	expect_equal("a store", vcpu->run->mmio.is_write, write);
}

struct access {
	const char *text;
	unsigned int len;
	bool write;
	uint64_t value;		/* written, or what the function returns */
};

static void device(const struct attack *attack)
{
	const struct access *a = attack->with;
	uint64_t answer = RESULT | 0xf000, got = 0;

	start();
	device_at(VA_BESIDE);
	call_text(cpu, a->text, SP, VA_BESIDE + 0x18, RESULT);
	expect_access(cpu, victim.arg.id, DEVICE + 0x18, a->len, a->write);
	if (a->write) {
		memcpy(&got, cpu->run->mmio.data, a->len);
		expect_equal("what is stored", got, a->value);
		expect_equal("result", expect_return(cpu), 1);
	} else {
		memcpy(cpu->run->mmio.data, &answer, a->len);
		expect_equal("result", expect_return(cpu), a->value);
	}
	/* The guest does the same, as the guest. */
	kernel_at(cpu, kernel_va(kernel_read), SP);
	vcpu_set_regs(cpu, &(struct kvm_regs) { .rip = kernel_va(kernel_read), .rsp = SP,
						.rdi = VA_BESIDE, .rflags = 2 });
	expect_access(cpu, 0, DEVICE, 8, false);
	expect_halt(cpu, kernel_va(kernel_read) + 3);
}

/*
 * The module exits to KVM, returns, and its caller reaches a device, at address 0 as
 * it has no registers left: all of it in one KVM_RUN.
 */
static void device_after_return(const struct attack *attack)
{
	(void)attack;
	start();
	device_at(0);
	machine_map(&vm, VA_BESIDE, SCRATCH, PTE_P);
	call_text(cpu, text_read, SP, VA_BESIDE, 0);
	*word_at(SP) = kernel_va(kernel_read);
	expect_access(cpu, 0, DEVICE, 8, false);
	expect_halt(cpu, kernel_va(kernel_read) + 3);
}

struct instruction {
	const char *text, *itself;
	uint64_t offset;
	bool doorbell;		/* a device that KVM knows, and has been asked before */
};

/* An eventfd that any store there signals: on VMX KVM would not decode that. */
static int ring_at(uint64_t gpa)
{
	struct kvm_ioeventfd bell = { .addr = gpa, .fd = must(eventfd(0, EFD_NONBLOCK), "eventfd") };

	must(ioctl(vm.vm, KVM_IOEVENTFD, &bell), "KVM_IOEVENTFD");
	return bell.fd;
}

static void expect_silent(int bell)
{
	uint64_t count;

	expect_equal("read of the eventfd", read(bell, &count, sizeof(count)), -1);
	expect_equal("its error", errno, EAGAIN);
}

/* Whatever could touch other memory than the device's. */
static uint64_t set_fs_base(uint64_t base)
{
	struct kvm_sregs sregs = vcpu_sregs(cpu);

	sregs.fs.base = base;
	vcpu_set_sregs(cpu, &sregs);
	return base;
}

static void not_emulated(const struct attack *attack)
{
	const struct instruction *i = attack->with;
	uint64_t va = VA_BESIDE + i->offset;
	int bell = -1;

	start();
	device_at(VA_BESIDE);
	if (i->doorbell) {
		bell = ring_at(DEVICE);
		call_text(cpu, text_read, SP, VA_BESIDE, 0);
		expect_access(cpu, victim.arg.id, DEVICE, 8, false);
		expect_return(cpu);
	}
	if (i->text == text_load_gs)
		va -= vcpu_sregs(cpu).gs.base;
	if (i->text == text_load_fs)
		va -= set_fs_base(VA_DIRECT);
	call_text(cpu, i->text, SP, va, VA_SCRATCH);
	expect_violation(cpu, KVM_GM_V_EMULATE, KVM_GM_NO_GATE, text_va(i->itself ?: i->text), 0,
			 .module = &victim, .inside = SP);
	expect_activations(0, 1);
	if (i->doorbell)
		expect_silent(bell);
}

/* The CPU misses a table, which is a device: not what the instruction accesses. */
static void table_on_device(const struct attack *attack)
{
	const bool *alike = attack->with;
	/* Of the entry in the table; the emulator compares no more than that. */
	uint64_t offset = (VA_ABSENT / PAGE % 512) * 8;

	start();
	*machine_entry(&vm, VA_ABSENT, 2) = DEVICE | PTE_P | PTE_W;
	call_text(cpu, text_read, SP, VA_ABSENT + (*alike ? offset : offset ^ 0x18), 0);
	expect_violation(cpu, KVM_GM_V_EMULATE, KVM_GM_NO_GATE, text_va(text_read), 0,
			 .module = &victim, .inside = SP);
}

/* Userspace starts the vCPU anew instead of answering: the answer is nobody's. */
static void unanswered(const struct attack *attack)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	(void)attack;
	start();
	device_at(VA_BESIDE);
	call_text(cpu, text_read, SP, VA_BESIDE, 0);
	expect_access(cpu, victim.arg.id, DEVICE, 8, false);
	sregs = vcpu_sregs(cpu);
	sregs.cr3 = PML4;
	vcpu_set_sregs(cpu, &sregs);
	kernel_at(cpu, kernel_va(kernel_halt), SP);
	memset(cpu->run->mmio.data, 0x77, 8);
	regs = expect_halt(cpu, kernel_va(kernel_halt));
	expect_equal("RAX", regs.rax, kernel_regs(0, 0).rax);
	expect_activations(0, 1);
}

/* Unsealed meanwhile: the answer is not the guest's either. */
static void unsealed_unanswered(const struct attack *attack)
{
	uint32_t id;

	(void)attack;
	start();
	device_at(VA_BESIDE);
	call_text(cpu, text_read, SP, VA_BESIDE, 0);
	expect_access(cpu, victim.arg.id, DEVICE, 8, false);
	id = victim.arg.id;
	must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
	victim_is_gone();
	memset(cpu->run->mmio.data, 0x77, 8);
	expect_event(cpu, GP_VECTOR, 0, SP);
}

/* --- ports ------------------------------------------------------------------------ */

static void *expect_port(struct vcpu *vcpu, uint32_t view, bool out)
{
	expect_equal("exit reason", run_on(vcpu), KVM_EXIT_IO);
	expect_equal("module", KVM_GM_RUN_VIEW(vcpu->run), view);
	expect_equal("direction", vcpu->run->io.direction, out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN);
	expect_equal("port", vcpu->run->io.port, PORT);
	expect_equal("bytes", vcpu->run->io.size, 4);
	expect_equal("how many", vcpu->run->io.count, 1);
	return (uint8_t *)vcpu->run + vcpu->run->io.data_offset;
}

static void port_in(const struct attack *attack)
{
	(void)attack;
	start();
	call_text(cpu, text_port_in, SP, PORT, 0);
	*(uint32_t *)expect_port(cpu, victim.arg.id, false) = 0x12345678;
	expect_equal("result", expect_return(cpu), 0x12345678);
}

static void port_out(const struct attack *attack)
{
	(void)attack;
	start();
	call_text(cpu, text_port_out, SP, PORT, 0x9abcdef0);
	expect_equal("value", *(uint32_t *)expect_port(cpu, victim.arg.id, true), 0x9abcdef0);
	expect_equal("result", expect_return(cpu), 1);
}

static void port_string(const struct attack *attack)
{
	(void)attack;
	start();
	call_text(cpu, text_port_string, SP, VA_SCRATCH, 0);
	expect_violation(cpu, KVM_GM_V_EXIT, KVM_GM_NO_GATE, text_va(text_port_string_itself),
			 exit_code(SVM_EXIT_IOIO, EXIT_REASON_IO_INSTRUCTION),
			 .module = &victim, .inside = SP);
}

/* --- MSRs ------------------------------------------------------------------------- */

/* The physical CPU's: the guest's own memory types are off. */
void expect_no_msr(const char *text, const char *itself, uint32_t msr)
{
	bool write = text == text_msr_write;

	call_text(cpu, text, SP, msr, 0);
	expect_violation(cpu, KVM_GM_V_EXIT, KVM_GM_NO_GATE, text_va(itself),
			 exit_code(SVM_EXIT_MSR, write ? EXIT_REASON_MSR_WRITE :
						 EXIT_REASON_MSR_READ),
			 .module = &victim, .inside = SP);
}

static void msr_read(const struct attack *attack)
{
	uint64_t value;

	(void)attack;
	start();
	expect_grant(KVM_GM_PRIV_MSR, 0, MSR_MTRR_TYPE, MSR_MTRR_TYPE);
	call_text(cpu, text_msr_read, SP, MSR_MTRR_TYPE, 0);
	value = expect_return(cpu);
	expect(value & 0x800, "0x%lx is not the host's", value);
}

static void msr_write(const struct attack *attack)
{
	(void)attack;
	start();
	expect_grant(KVM_GM_PRIV_MSR, KVM_GM_PRIV_F_WRITE, MSR_PERF_CTL, MSR_PERF_CTL);
	call_text(cpu, text_msr_write, SP, MSR_PERF_CTL, 0);
	expect_equal("result", expect_return(cpu), 1);
}

static void msr_read_only(const struct attack *attack)
{
	(void)attack;
	start();
	expect_grant(KVM_GM_PRIV_MSR, 0, MSR_PERF_CTL, MSR_PERF_CTL);
	expect_no_msr(text_msr_write, text_msr_write_itself, MSR_PERF_CTL);
}

/* One below the range, and one above. */
static void msr_beside(const struct attack *attack)
{
	(void)attack;
	start();
	expect_grant(KVM_GM_PRIV_MSR, 0, 0x198, 0x19c);
	expect_no_msr(text_msr_read, text_msr_read_itself, 0x197);
	expect_no_msr(text_msr_read, text_msr_read_itself, 0x19d);
}

static void msr_of_another(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .other = true });
	expect_grant(KVM_GM_PRIV_MSR, 0, MSR_MTRR_TYPE, MSR_MTRR_TYPE);
	vcpu_set_regs(cpu, &(struct kvm_regs) {
		.rip = other.gates[GATE_JUMP].insn, .rsp = SP, .rflags = 2, .rsi = MSR_MTRR_TYPE,
		.rdi = text_va(text_msr_read) + WINDOW });
	expect_violation(cpu, KVM_GM_V_EXIT, KVM_GM_NO_GATE,
			 text_va(text_msr_read_itself) + WINDOW,
			 exit_code(SVM_EXIT_MSR, EXIT_REASON_MSR_READ), .module = &other,
			 .moved = true, .rip_after = other.gates[GATE_RESUME].insn);
}

/* Gone, as a device that is no longer there. */
static void msr_revoked(const struct attack *attack)
{
	(void)attack;
	start();
	expect_grant(KVM_GM_PRIV_MSR, 0, MSR_MTRR_TYPE, MSR_MTRR_TYPE);
	expect_grant(KVM_GM_PRIV_MSR, KVM_GM_PRIV_F_WRITE, MSR_PERF_CTL, MSR_PERF_CTL);
	expect_revoke(KVM_GM_PRIV_MSR, 0, MSR_MTRR_TYPE, MSR_MTRR_TYPE);
	expect_revoke(KVM_GM_PRIV_MSR, KVM_GM_PRIV_F_WRITE, MSR_PERF_CTL, MSR_PERF_CTL);
	call_text(cpu, text_msr_read, SP, MSR_MTRR_TYPE, 0);
	expect_equal("a load", expect_return(cpu), 0);
	call_text(cpu, text_msr_write, SP, MSR_PERF_CTL, 0);
	expect_equal("a store", expect_return(cpu), 1);
	/* It was not for writing, and is not now. */
	expect_no_msr(text_msr_write, text_msr_write_itself, MSR_MTRR_TYPE);
}

/* An RDMSR that is not two bytes: KVM does not guess where the next instruction is. */
static void msr_prefixed(const struct attack *attack)
{
	(void)attack;
	start();
	expect_grant(KVM_GM_PRIV_MSR, 0, MSR_MTRR_TYPE, MSR_MTRR_TYPE);
	expect_no_msr(text_msr_prefixed, text_msr_prefixed_itself, MSR_MTRR_TYPE);
}

/* A seal that follows has none of it. */
static void msr_sealed_again(const struct attack *attack)
{
	uint32_t id;

	(void)attack;
	start();
	expect_grant(KVM_GM_PRIV_MSR, 0, MSR_MTRR_TYPE, MSR_MTRR_TYPE);
	id = victim.arg.id;
	must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
	prepare(&victim, 0, &(struct setup) {});
	seal(&victim);
	expect_no_msr(text_msr_read, text_msr_read_itself, MSR_MTRR_TYPE);
}

/* --- counters --------------------------------------------------------------------------- */

static int counts(uint64_t *to, struct kvm_gm_counts arg)
{
	arg.size = arg.size ?: sizeof(arg);
	arg.id = arg.id ?: victim.arg.id;
	arg.generation = arg.generation ?: victim.arg.generation;
	arg.nr_gates = arg.nr_gates ?: victim.arg.nr_gates;
	arg.counts = arg.counts ?: (uintptr_t)to;
	return ioctl(vm.vm, KVM_GM_COUNTS, &arg) < 0 ? -errno : 0;
}

static void counted(const struct attack *attack)
{
	extern const char text_out[];
	uint64_t got[NR_GATES], want[NR_GATES] = {};
	unsigned int i;

	(void)attack;
	start();
	for (i = 0; i < 3; i++) {
		call_gate(cpu, GATE_NULL, SP, 41, 0, 0);
		expect_equal("result", expect_return(cpu), 42);
	}
	call_text(cpu, text_out, SP, 0, 0);
	expect_out_call(cpu, SP);
	callee_returns(cpu, 1);
	expect_equal("result", expect_return(cpu), 2);
	call_text(cpu, text_read, SP, VA_ABSENT, 0);
	expect_event(cpu, PF_VECTOR, 0, SP);
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P);
	handler_returns(cpu);
	expect_return(cpu);
	want[GATE_NULL] = 3;
	want[GATE_JUMP] = 2;
	want[GATE_OUT] = want[GATE_IN_RETURN] = want[GATE_RESUME] = 1;
	want[GATE_OUT_RETURN] = 5;
	expect_equal("KVM_GM_COUNTS", counts(got, (struct kvm_gm_counts) {}), 0);
	for (i = 0; i < NR_GATES; i++)
		expect_equal("uses of a gate", got[i], want[i]);
}

static void counts_refused(const struct attack *attack)
{
	uint64_t got[NR_GATES + 1] = {};

	(void)attack;
	start();
#define REFUSED(error, ...) \
	expect_equal("KVM_GM_COUNTS", counts(got, (struct kvm_gm_counts) { __VA_ARGS__ }), -(error))
	REFUSED(EINVAL, .size = 8);
	REFUSED(EINVAL, .reserved = 1);
	REFUSED(EINVAL, .id = KVM_GM_MAX_SEALS + 1);
	REFUSED(ENOENT, .id = 2);
	REFUSED(ESTALE, .generation = 7);
	REFUSED(EINVAL, .nr_gates = NR_GATES + 1);
	REFUSED(EINVAL, .nr_gates = NR_GATES - 1);
	REFUSED(EFAULT, .counts = 8);
#undef REFUSED
	expect_equal("written", got[0], 0);
}

#define REFUSED(label, text, code, ...) \
	{ "grant-" label, 1, "a grant " text, refused, \
	  &(const struct refusal){ .error = code, .arg = { __VA_ARGS__ } } }
#define MSR(first_, last_)	.kind = KVM_GM_PRIV_MSR, .first = first_, .last = last_
#define MSR_W(first_, last_)	MSR(first_, last_), .flags = KVM_GM_PRIV_F_WRITE
#define DEVICE_ACCESS(label, text, ...) \
	{ "device-" label, 2, text ": userspace is told who", device, \
	  &(const struct access){ __VA_ARGS__ } }
#define NOT_EMULATED(label, text, ...) \
	{ "device-" label, 2, text ": emulate", not_emulated, \
	  &(const struct instruction){ __VA_ARGS__ } }

const struct attack privilege_attacks[] = {
	REFUSED("size", "of another size", EINVAL, .size = 8, .kind = KVM_GM_PRIV_MWAIT),
	REFUSED("limit", "of an MSR with a hint", EINVAL, MSR(0x10, 0x10), .limit = 1),
	REFUSED("mwait-hint", "of MWAIT with a hint that is none", EINVAL,
		.kind = KVM_GM_PRIV_MWAIT, .limit = KVM_GM_MWAIT_MAX_HINT + 1),
	REFUSED("id", "to a module that cannot be", EINVAL, .id = KVM_GM_MAX_SEALS + 1,
		.kind = KVM_GM_PRIV_MWAIT),
	REFUSED("nobody", "to a module that is not", ENOENT, .id = 2, .kind = KVM_GM_PRIV_MWAIT),
	REFUSED("stale", "to a module that was", ESTALE, .generation = 7,
		.kind = KVM_GM_PRIV_MWAIT),
	REFUSED("kind-none", "of nothing", EINVAL, .kind = 0),
	REFUSED("kind-device", "of what is userspace's", EINVAL, .kind = KVM_GM_PRIV_MMIO),
	REFUSED("kind-unknown", "of what KVM does not know", EINVAL, .kind = KVM_GM_NR_PRIVILEGES),
	REFUSED("kind-last", "of the last kind that there is room for", EINVAL, .kind = ~0U),
	REFUSED("flags", "with an unknown flag", EINVAL, MSR(0x10, 0x10), .flags = 2),
	REFUSED("flags-mwait", "of MWAIT for writing", EINVAL, .kind = KVM_GM_PRIV_MWAIT,
		.flags = KVM_GM_PRIV_F_WRITE),
	REFUSED("range-mwait", "of MWAIT with a range", EINVAL, .kind = KVM_GM_PRIV_MWAIT,
		.last = 1),
	REFUSED("backwards", "of MSRs backwards", EINVAL, MSR(0x11, 0x10)),
	REFUSED("efer", "of EFER", EPERM, MSR(MSR_EFER, MSR_EFER)),
	REFUSED("across", "of MSRs, EFER among them", EPERM, MSR(0xc0000000, 0xc00000ff)),
	REFUSED("x2apic", "of the APIC's last register", EPERM, MSR(0x8ff, 0x900)),
	REFUSED("lbr-select", "of what selects AMD's branch records", EPERM,
		MSR(MSR_LBR_SELECT, MSR_LBR_SELECT)),
	REFUSED("lbr-enable", "of what enables them", EPERM,
		MSR(MSR_DBG_EXTN_CFG, MSR_DBG_EXTN_CFG)),
	REFUSED("lbr", "of one of them, the host's branches", EPERM,
		MSR(MSR_SAMP_BR_FROM + 31, MSR_SAMP_BR_FROM + 31)),
	REFUSED("ibs", "of the host's sampled RIP", EPERM, MSR(MSR_IBSOPRIP, MSR_IBSOPRIP)),
	REFUSED("lbr-intel", "of one of Intel's branch records", EPERM, MSR(0x6df, 0x6df)),
	REFUSED("write-tsc", "of the time stamp for writing", EPERM, MSR_W(MSR_TSC, MSR_TSC)),
	REFUSED("write-across", "of more MSRs for writing than can be", EPERM,
		MSR_W(MSR_PERF_CTL_AMD, MSR_PERF_CTL_AMD + 1)),
	REFUSED("write-all", "of all MSRs for writing", EPERM, MSR_W(0, ~0U)),
	REFUSED("no-page", "of host information to who has no page for it", ENXIO,
		.kind = KVM_GM_PRIV_HOSTINFO),
	{ "revoke-nothing", 1, "a revoke of what is not granted", refused,
	  &(const struct refusal){ .error = ENOENT, .revoke = true,
				   .arg = { .kind = KVM_GM_PRIV_MWAIT } } },
	{ "grant-dead", 1, "a grant to a module that has been unsealed", of_the_dead, NULL },
	{ "grant-msr-twice", 1, "an MSR granted and revoked, each twice", twice,
	  &(const struct kvm_gm_grant){ MSR(0x10, 0x10) } },
	{ "grant-mwait-twice", 1, "the same of MWAIT", twice,
	  &(const struct kvm_gm_grant){ .kind = KVM_GM_PRIV_MWAIT } },
	{ "grant-hostinfo-twice", 1, "the same of host information", twice,
	  &(const struct kvm_gm_grant){ .kind = KVM_GM_PRIV_HOSTINFO } },
	{ "grant-many", 1, "more ranges of MSRs than there may be", too_many, NULL },

	DEVICE_ACCESS("load", "a load of 8 bytes", text_read, 8, false, RESULT | 0xf000),
	DEVICE_ACCESS("load-half", "a load of 4 bytes", text_load_half, 4, false,
		      (uint32_t)RESULT | 0xf000),
	DEVICE_ACCESS("load-byte", "a load of a byte", text_load_byte, 1, false, RESULT & 0xff),
	DEVICE_ACCESS("load-sign", "a load of 2 bytes, signed", text_load_sign, 2, false,
		      0xffffffffffff0000 | (uint16_t)RESULT | 0xf000),
	DEVICE_ACCESS("store", "a store of 8 bytes", text_write, 8, true, RESULT),
	DEVICE_ACCESS("store-byte", "a store of a byte", text_store_byte, 1, true, RESULT & 0xff),
	DEVICE_ACCESS("store-constant", "a store of a constant", text_store_constant, 4, true,
		      0x5ec2e709),
	NOT_EMULATED("lock", "a locked instruction", .text = text_lock_or),
	NOT_EMULATED("compare", "a comparison", .text = text_compare),
	NOT_EMULATED("exchange", "an exchange", .text = text_exchange),
	NOT_EMULATED("push", "a push onto the private stack", .text = text_push_memory),
	NOT_EMULATED("copy", "a copy to memory", .text = text_copy, .itself = text_copy_itself),
	NOT_EMULATED("jump", "a jump through a device", .text = text_call_memory),
	{ "device-after-return", 2, "the kernel's access after the module's return: the guest's",
	  device_after_return, NULL },
	NOT_EMULATED("gs", "a load relative to GS", .text = text_load_gs),
	NOT_EMULATED("fs", "a load relative to FS", .text = text_load_fs),
	NOT_EMULATED("doorbell-exchange", "an exchange with a doorbell that was read before",
		     .text = text_exchange, .doorbell = true),
	NOT_EMULATED("doorbell-push", "a push of a doorbell that was read before",
		     .text = text_push_memory, .doorbell = true),
	NOT_EMULATED("doorbell-jump", "a jump through a doorbell that was read before",
		     .text = text_call_memory, .doorbell = true),
	NOT_EMULATED("across", "a load across two pages", .text = text_read, .offset = PAGE - 4),
	{ "device-table", 2, "a page table on a device: emulate", table_on_device,
	  &(const bool){ false } },
	{ "device-table-alike", 2, "the same, as far into its page as what is read: emulate",
	  table_on_device, &(const bool){ true } },
	{ "device-unanswered", 2, "a load that userspace never answers: of no effect", unanswered,
	  NULL },
	{ "device-unsealed", 2, "a load answered after the unseal: of no effect",
	  unsealed_unanswered, NULL },
	{ "port-in", 2, "IN inside: userspace is told who", port_in, NULL },
	{ "port-out", 2, "OUT inside: userspace is told who", port_out, NULL },
	{ "port-string", 2, "OUTS inside: exit", port_string, NULL },

	{ "msr-read", 2, "an MSR that is granted: the physical CPU's", msr_read, NULL },
	{ "msr-write", 2, "the same for writing: it works", msr_write, NULL },
	{ "msr-read-only", 2, "a store to an MSR that is for reading: exit", msr_read_only, NULL },
	{ "msr-beside", 2, "MSRs beside those that are granted: exit", msr_beside, NULL },
	{ "msr-other", 2, "an MSR that is granted to another module: exit", msr_of_another, NULL },
	{ "msr-revoked", 2, "MSRs that have been revoked: zero, and nothing", msr_revoked, NULL },
	{ "msr-prefixed", 2, "RDMSR with a prefix: exit", msr_prefixed, NULL },
	{ "msr-sealed-again", 2, "an MSR granted to the seal before: exit",
	  msr_sealed_again, NULL },

	{ "counts", 7, "crossings by gate: as many as there were", counted, NULL },
	{ "counts-refused", 7, "requests for them that are wrong: refused", counts_refused, NULL },
	{}
};
