// SPDX-License-Identifier: GPL-2.0
/*
 * I5: what KVM itself writes to guest memory, where the guest tells it to, aimed
 * at sealed frames. It reaches the guest's copy, which nobody inside sees.
 */
#include <asm/kvm_para.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attack.h"

#define SP			STACK(0)
#define RFLAGS_IF		0x200ULL
#define APF_VECTOR		0x31
#define TIMER_VECTOR		0x32
#define X2APIC_ENABLED		0xc00
#define X2APIC_EOI		0x80b
#define X2APIC_SPURIOUS		0x80f
#define X2APIC_LVT_TIMER	0x832
#define X2APIC_INITIAL_COUNT	0x838

extern const char kernel_halt[], text_read[];

static uint8_t *guests_copy(void)
{
	return vm.memory + region_gpa(REGION_DATA);
}

static void clocks(const struct attack *attack)
{
	const uint32_t *msr = attack->with;
	unsigned int i;

	start();
	/* The guest's copy would do as well without: it shows that KVM did write. */
	memset(guests_copy(), 0xff, PAGE);
	*word_at(region_va(REGION_DATA) + 8) = 0;
	vcpu_set_msr(cpu, *msr, region_gpa(REGION_DATA) | 1);
	for (i = 0; i < 3; i++)
		expect_intact();
	for (i = 0; i < 64; i++)
		if (guests_copy()[i] != (i - 8 < 8 ? 0 : 0xff))
			return;
	fail("KVM wrote nothing to the guest's copy: the attack was none");
}

static void start_with_apic(void)
{
	struct kvm_sregs sregs;

	start_with(&(struct setup) { .interrupt_controller = true });
	sregs = vcpu_sregs(cpu);
	sregs.apic_base |= X2APIC_ENABLED;
	vcpu_set_sregs(cpu, &sregs);
	vcpu_set_msr(cpu, X2APIC_SPURIOUS, 0x1ff);
}

static void enable_interrupts(void)
{
	struct kvm_regs regs = vcpu_regs(cpu);

	regs.rflags |= RFLAGS_IF;
	vcpu_set_regs(cpu, &regs);
}

/* While the guest handles an interrupt KVM says so there, and takes it back at the next exit. */
static void end_of_interrupt(const struct attack *attack)
{
	(void)attack;
	start_with_apic();
	memset(guests_copy(), 0xff, PAGE);
	vcpu_set_msr(cpu, MSR_KVM_PV_EOI_EN, region_gpa(REGION_DATA) | KVM_MSR_ENABLED);
	vcpu_set_msr(cpu, X2APIC_LVT_TIMER, TIMER_VECTOR);
	kernel_at(cpu, kernel_va(kernel_halt), SP);
	enable_interrupts();
	vcpu_set_msr(cpu, X2APIC_INITIAL_COUNT, 1);
	expect_halt(cpu, vector_va(TIMER_VECTOR));
	expect_equal("what KVM wrote to the guest's copy", *guests_copy(), KVM_PV_EOI_DISABLED);
	expect_intact();
}

/* A page of the guest's that userspace brings when it is asked to. */
struct absent {
	int fd;
	struct uffdio_zeropage page;
};

static void make_absent(struct absent *absent, uint64_t gpa)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register registration = {
		.range = { (uintptr_t)vm.memory + gpa, PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	absent->page = (struct uffdio_zeropage) { .range = registration.range };
	absent->fd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (absent->fd < 0 && errno == ENOSYS)
		skip("this host's kernel has no userfaultfd()");
	must(absent->fd, "userfaultfd");
	must(ioctl(absent->fd, UFFDIO_API, &api), "UFFDIO_API");
	must(ioctl(absent->fd, UFFDIO_REGISTER, &registration), "UFFDIO_REGISTER");
	must(madvise(vm.memory + gpa, PAGE, MADV_DONTNEED), "madvise");
}

static void bring(struct absent *absent)
{
	must(ioctl(absent->fd, UFFDIO_ZEROPAGE, &absent->page), "UFFDIO_ZEROPAGE");
	must(close(absent->fd), "close");
}

/* The interrupt that told of it is done with. */
static void take_token(struct kvm_vcpu_pv_apf_data *told)
{
	told->token = 0;
	vcpu_set_msr(cpu, X2APIC_EOI, 0);
	vcpu_set_msr(cpu, MSR_KVM_ASYNC_PF_ACK, 1);
}

/*
 * What the module reads is not there: KVM tells the guest by a #PF of its own making, and
 * later by an interrupt that it is.
 */
static void async_fault(const struct attack *attack)
{
	struct kvm_vcpu_pv_apf_data *told;
	struct absent absent;

	(void)attack;
	start_with_apic();
	told = (void *)guests_copy();
	memset(guests_copy(), 0, PAGE);
	machine_map(&vm, VA_ABSENT, SCRATCH + PAGE, PTE_P | PTE_W);
	make_absent(&absent, SCRATCH + PAGE);
	vcpu_set_msr(cpu, MSR_KVM_ASYNC_PF_INT, APF_VECTOR);
	vcpu_set_msr(cpu, MSR_KVM_ASYNC_PF_EN, region_gpa(REGION_DATA) | KVM_ASYNC_PF_ENABLED |
		     KVM_ASYNC_PF_SEND_ALWAYS | KVM_ASYNC_PF_DELIVERY_AS_INT);
	kernel_at(cpu, kernel_va(kernel_halt), SP);
	enable_interrupts();
	expect_halt(cpu, vector_va(APF_VECTOR));
	expect_equal("token for whoever waits, in the guest's copy", told->token, ~0U);
	take_token(told);
	call_text(cpu, text_read, SP, VA_ABSENT, 0);
	enable_interrupts();
	expect_event(cpu, PF_VECTOR, 0, SP);
	expect_equal("flags in the guest's copy", told->flags, KVM_PV_REASON_PAGE_NOT_PRESENT);
	told->flags = 0;
	bring(&absent);
	/* The host has made the page its own before the handler returns, and interrupts come again. */
	usleep(100000);
	handler_returns(cpu);
	expect_vector(cpu, APF_VECTOR, NO_ERROR_CODE, gate_va(GATE_RESUME));
	expect(told->token, "no token in the guest's copy");
	handler_returns(cpu);
	expect_equal("result", expect_return(cpu), 0);
	expect_intact();
}

const struct attack paravirt_attacks[] = {
	{ "steal-time", 5, "KVM's steal time aimed at private data: the guest's copy changes",
	  clocks, &(const uint32_t){ MSR_KVM_STEAL_TIME } },
	{ "kvm-clock", 5, "KVM's clock aimed at private data: the guest's copy changes",
	  clocks, &(const uint32_t){ MSR_KVM_SYSTEM_TIME_NEW } },
	{ "kvm-wall-clock", 5, "KVM's wall clock aimed at private data: the guest's copy changes",
	  clocks, &(const uint32_t){ MSR_KVM_WALL_CLOCK_NEW } },
	{ "paravirtual-eoi", 5, "KVM's end of interrupts aimed at private data: the guest's copy",
	  end_of_interrupt, NULL },
	{ "async-fault", 5, "KVM's asynchronous page faults aimed at private data: the guest's copy",
	  async_fault, NULL },
	{}
};
