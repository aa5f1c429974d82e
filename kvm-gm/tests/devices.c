// SPDX-License-Identifier: GPL-2.0
/*
 * I2, I6: registers of devices in the module's own pages. Nobody else reaches
 * them, nobody leads the module elsewhere, and what backs them is what userspace
 * has there at the moment.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attack.h"

#define SP		STACK(0)
#define DEVICE		(1ULL << 38)	/* guest physical: there is no memory */
#define BACKED		0x1111222233334444ULL
#define OTHERWISE	0x5555666677778888ULL
#define APIC_ENABLED	0x800
#define ALIGNED		0x200000ULL	/* no address of ours; never looked at */

extern const char text_read[], text_write[], text_exchange[];
extern const char kernel_halt[], kernel_write[];

/* --- ranges ----------------------------------------------------------------------- */

static uint64_t *backing(uint64_t value)
{
	uint64_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);

	expect(page != MAP_FAILED, "no memory");
	page[3] = value;
	return page;
}

static int map(struct kvm_gm_map arg)
{
	arg.size = arg.size ?: sizeof(arg);
	arg.id = arg.id ?: victim.arg.id;
	arg.generation = arg.generation ?: victim.arg.generation;
	return ioctl(vm.vm, KVM_GM_MAP, &arg) < 0 ? -errno : 0;
}

/* Range 0: the page after the table, backed by @host; NULL: by exits. */
static void map_one(const void *host)
{
	const uint64_t hosts[] = { (uintptr_t)host };

	expect_equal("KVM_GM_MAP", map((struct kvm_gm_map) { .page = 1, .nr_pages = 1,
				       .gpa = DEVICE, .hosts = (uintptr_t)hosts }), 0);
}

static void start_devices(void)
{
	start_with(&(struct setup) { .devices = true });
}

static uint64_t device_va(unsigned int page)
{
	return region_va(REGION_DEVICES) + page * PAGE + 3 * sizeof(uint64_t);
}

static uint64_t module_loads(uint64_t va)
{
	call_text(cpu, text_read, SP, va, 0);
	return expect_return(cpu);
}

static void module_stores(uint64_t va, uint64_t value)
{
	call_text(cpu, text_write, SP, va, value);
	expect_equal("result", expect_return(cpu), 1);
}

/* The module's load is userspace's affair: at @gpa, where the guest believes it is. */
static void expect_exit(uint64_t va, uint64_t gpa)
{
	call_text(cpu, text_read, SP, va, 0);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_MMIO);
	expect_equal("module", KVM_GM_RUN_VIEW(cpu->run), victim.arg.id);
	expect(cpu->run->flags & KVM_GM_RUN_DEVICES, "not by its own page");
	expect_equal("address", cpu->run->mmio.phys_addr, gpa);
	expect_equal("bytes", cpu->run->mmio.len, 8);
	expect_equal("a store", cpu->run->mmio.is_write, 0);
	memcpy(cpu->run->mmio.data, &(uint64_t){ OTHERWISE }, 8);
	expect_equal("result", expect_return(cpu), OTHERWISE);
}

static void expect_no_access(uint64_t va)
{
	call_text(cpu, text_read, SP, va, 0);
	expect_violation(cpu, KVM_GM_V_ACCESS, bypassed_gate(va), text_va(text_read), va,
			 .any_gpa = true, .module = &victim, .inside = SP);
}

struct refusal {
	struct kvm_gm_map arg;		/* of zeroes: what is right */
	int error;
	uint64_t host;			/* of its last page */
	bool no_region;
};

static void refused(const struct attack *attack)
{
	const struct refusal *refusal = attack->with;
	uint64_t hosts[DEVICE_PAGES] = { [0] = (uintptr_t)backing(BACKED) };
	struct kvm_gm_map arg = refusal->arg;

	start_with(&(struct setup) { .devices = !refusal->no_region });
	if (!refusal->no_region)
		map_one(NULL);
	if (refusal->host) {
		hosts[arg.nr_pages - 1] = refusal->host;
		arg.hosts = (uintptr_t)hosts;
	}
	expect_equal("KVM_GM_MAP", map(arg), -refusal->error);
	if (refusal->no_region)
		return;
	/* All is as it was. */
	expect_exit(device_va(1), DEVICE + 0x18);
	expect_no_access(device_va(2));
	expect_no_access(device_va(3));
}

/* Whoever has been unsealed has none, and whoever is sealed after it neither. */
static void sealed_again(const struct attack *attack)
{
	uint64_t *host = backing(BACKED);
	uint32_t id;

	(void)attack;
	start_devices();
	map_one(host);
	expect_equal("a load", module_loads(device_va(1)), BACKED);
	id = victim.arg.id;
	must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
	must(munmap(host, PAGE), "munmap");
	expect_equal("a range of the dead", map((struct kvm_gm_map) { .page = 1, .nr_pages = 1 }),
		     -ENOENT);
	prepare(&victim, 0, &(struct setup) { .devices = true });
	seal(&victim);
	expect_no_access(device_va(1));
}

/* --- what the module finds there ----------------------------------------------------- */

static void direct(const struct attack *attack)
{
	uint64_t *host = backing(BACKED);

	(void)attack;
	start_devices();
	map_one(host);
	expect_equal("a load", module_loads(device_va(1)), BACKED);
	module_stores(device_va(1), OTHERWISE);
	expect_equal("what is stored", host[3], OTHERWISE);
	expect_equal("beside it", host[2] | host[4], 0);
}

static void by_exits(const struct attack *attack)
{
	uint64_t got;

	(void)attack;
	start_devices();
	map_one(NULL);
	expect_exit(device_va(1), DEVICE + 0x18);
	call_text(cpu, text_write, SP, device_va(1), BACKED);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_MMIO);
	expect_equal("module", KVM_GM_RUN_VIEW(cpu->run), victim.arg.id);
	expect(cpu->run->flags & KVM_GM_RUN_DEVICES, "not by its own page");
	expect_equal("address", cpu->run->mmio.phys_addr, DEVICE + 0x18);
	expect_equal("a store", cpu->run->mmio.is_write, 1);
	memcpy(&got, cpu->run->mmio.data, 8);
	expect_equal("what is stored", got, BACKED);
	expect_equal("result", expect_return(cpu), 1);
}

/* Three pages of a device, of which userspace has mapped the last. */
static void mixed(const struct attack *attack)
{
	const uint64_t hosts[] = { 0, 0, (uintptr_t)backing(BACKED) };

	(void)attack;
	start_devices();
	expect_equal("KVM_GM_MAP", map((struct kvm_gm_map) { .range = KVM_GM_MAX_RANGES - 1,
				       .page = 1, .nr_pages = 3, .gpa = DEVICE,
				       .hosts = (uintptr_t)hosts }), 0);
	expect_exit(device_va(1), DEVICE + 0x18);
	expect_exit(device_va(2), DEVICE + PAGE + 0x18);
	expect_equal("a load", module_loads(device_va(3)), BACKED);
}

/* KVM emulates no more there than at any other device. */
static void not_emulated(const struct attack *attack)
{
	(void)attack;
	start_devices();
	map_one(NULL);
	call_text(cpu, text_exchange, SP, device_va(1), BACKED);
	expect_violation(cpu, KVM_GM_V_EMULATE, KVM_GM_NO_GATE, text_va(text_exchange), 0,
			 .module = &victim, .inside = SP);
}

static void no_range(const struct attack *attack)
{
	(void)attack;
	start_devices();
	expect_no_access(device_va(1));
	map_one(NULL);
	expect_no_access(device_va(2));
}

static void range_ended(const struct attack *attack)
{
	(void)attack;
	start_devices();
	map_one(backing(BACKED));
	expect_equal("a load", module_loads(device_va(1)), BACKED);
	expect_equal("the end", map((struct kvm_gm_map) {}), 0);
	expect_equal("the end of nothing", map((struct kvm_gm_map) {}), -ENOENT);
	expect_no_access(device_va(1));
}

/* The entry of range 0, as the module reads it. */
static uint64_t table_word(size_t offset)
{
	return module_loads(region_va(REGION_DEVICES) + offset);
}

#define ENTRY(nr)	(offsetof(struct kvm_gm_devices, ranges) + \
			 (nr) * sizeof(struct kvm_gm_device_range))

static void table(const struct attack *attack)
{
	uint64_t va, word;

	(void)attack;
	start_devices();
	va = region_va(REGION_DEVICES);
	word = table_word(0);
	expect_equal("version", (uint32_t)word, KVM_GM_DEVICES_VERSION);
	expect_equal("sequence number, modulo 2", (word >> 32) % 2, 0);
	expect_equal("bytes", table_word(ENTRY(0) + 8), 0);
	expect_equal("KVM_GM_MAP", map((struct kvm_gm_map) { .range = 2, .page = 2, .nr_pages = 2,
				       .gpa = DEVICE + PAGE }), 0);
	expect_equal("address", table_word(ENTRY(2)), DEVICE + PAGE);
	expect_equal("bytes", table_word(ENTRY(2) + 8), 2 * PAGE);
	expect_equal("page", table_word(ENTRY(2) + 16), 2);
	expect_equal("the entry before", table_word(ENTRY(1) + 8), 0);
	expect_equal("sequence number", table_word(0) >> 32, (word >> 32) + 2);
	/* Not for the guest, and not for writing. */
	expect_equal("outside", kernel_loads(cpu, va), 0);
	expect_equal("an entry outside", kernel_loads(cpu, va + ENTRY(2)), 0);
	call_text(cpu, text_write, SP, va, 1);
	expect_violation(cpu, KVM_GM_V_ACCESS, KVM_GM_NO_GATE, text_va(text_write), va,
			 .any_gpa = true, .module = &victim, .inside = SP);
	expect_equal("the end", map((struct kvm_gm_map) { .range = 2 }), 0);
	expect_equal("bytes at the end", table_word(ENTRY(2) + 8), 0);
}

/* --- who else gets there ------------------------------------------------------------------ */

static void from_outside(const struct attack *attack)
{
	uint64_t *host = backing(BACKED), va;
	struct kvm_regs regs;

	(void)attack;
	start_with(&(struct setup) { .devices = true, .other = true });
	map_one(host);
	va = device_va(1);
	expect_equal("a load", module_loads(va), BACKED);
	expect_equal("outside", kernel_loads(cpu, va), 0);
	regs = kernel_regs(kernel_va(kernel_write), STACK(61));
	regs.rdi = va;
	vcpu_set_regs(cpu, &regs);
	expect_violation(cpu, KVM_GM_V_WRITE, bypassed_gate(va), kernel_va(kernel_write), va,
			 .gpa = victim.device_gpas[1] + 0x18, .module = &victim);
	/* By another mapping, and so inside, and in another module. */
	machine_map(&vm, VA_BESIDE, victim.device_gpas[1], PTE_P | PTE_W);
	expect_equal("by another mapping", kernel_loads(cpu, VA_BESIDE + 0x18), 0);
	expect_equal("so inside", module_loads(VA_BESIDE + 0x18), 0);
	vcpu_set_regs(cpu, &(struct kvm_regs) {
		.rip = other.gates[GATE_JUMP].insn, .rsp = SP, .rflags = 2, .rsi = va,
		.rdi = text_va(text_read) + WINDOW });
	expect_equal("in another module", expect_halt(cpu, kernel_va(kernel_halt)).rax, 0);
	expect_equal("what is there", host[3], BACKED);
}

/* The guest's own tables say something else of the module's page. */
static void led_elsewhere(const struct attack *attack)
{
	(void)attack;
	start_devices();
	map_one(backing(BACKED));
	*word_at(VA_SCRATCH + 0x18) = OTHERWISE;
	machine_map(&vm, device_va(1) & -PAGE, SCRATCH, PTE_P | PTE_W);
	expect_equal("outside", kernel_loads(cpu, device_va(1)), OTHERWISE);
	expect_equal("inside", module_loads(device_va(1)), BACKED);
	*machine_entry(&vm, device_va(1) & -PAGE, 1) = 0;
	expect_equal("where nothing is mapped", module_loads(device_va(1)), BACKED);
}

/* The page is at @seen_gpa. What the guest has KVM put there as well is not what it is. */
static void start_known(const struct setup *setup)
{
	start_with(setup);
	/* The guest would have to guess. */
	expect_no_access(device_va(1));
	map_one(NULL);
}

static void memory_there(const struct attack *attack)
{
	uint64_t *memory = backing(BACKED);

	(void)attack;
	start_known(&(struct setup) { .devices = true });
	machine_set_slot(&vm, 2, seen_gpa & -PAGE, PAGE, memory, 0);
	expect_exit(device_va(1), DEVICE + 0x18);
	call_text(cpu, text_write, SP, device_va(1), OTHERWISE);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_MMIO);
	expect_equal("address", cpu->run->mmio.phys_addr, DEVICE + 0x18);
	expect_equal("result", expect_return(cpu), 1);
	expect_equal("memory", memory[3], BACKED);
	/* Nor where the guest believes that it is. */
	machine_set_slot(&vm, 3, DEVICE, PAGE, memory, 0);
	expect_exit(device_va(1), DEVICE + 0x18);
}

static void doorbell_there(const struct attack *attack)
{
	struct kvm_ioeventfd bell = {};
	uint64_t count;

	(void)attack;
	start_known(&(struct setup) { .devices = true });
	bell.fd = must(eventfd(0, EFD_NONBLOCK), "eventfd");
	bell.addr = seen_gpa;
	must(ioctl(vm.vm, KVM_IOEVENTFD, &bell), "KVM_IOEVENTFD");
	bell.addr = DEVICE + 0x18;
	must(ioctl(vm.vm, KVM_IOEVENTFD, &bell), "KVM_IOEVENTFD");
	call_text(cpu, text_write, SP, device_va(1), 0);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_MMIO);
	expect_equal("address", cpu->run->mmio.phys_addr, DEVICE + 0x18);
	expect_equal("result", expect_return(cpu), 1);
	expect_equal("read of the eventfd", read(bell.fd, &count, sizeof(count)), -1);
	expect_equal("its error", errno, EAGAIN);
}

/* With KVM's own APIC HLT is no exit, and so no way to see that all goes on. */
static void apic_there(const struct attack *attack)
{
	struct kvm_sregs sregs;

	(void)attack;
	start_with(&(struct setup) { .devices = true, .interrupt_controller = true });
	call_text(cpu, text_read, SP, device_va(1), 0);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_GM);
	expect_equal("violation", KVM_GM_EXIT(cpu->run)->kind, KVM_GM_V_ACCESS);
	map_one(NULL);
	sregs = vcpu_sregs(cpu);
	sregs.apic_base = (KVM_GM_EXIT(cpu->run)->gpa & -PAGE) | APIC_ENABLED;
	vcpu_set_sregs(cpu, &sregs);
	/* This forgets the #GP. */
	call_text(cpu, text_read, SP, device_va(1), 0);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_MMIO);
	expect_equal("address", cpu->run->mmio.phys_addr, DEVICE + 0x18);
	expect(cpu->run->flags & KVM_GM_RUN_DEVICES, "not by its own page");
	machine_destroy(&vm);
	start();
}

/* --- what userspace has there ------------------------------------------------------------- */

static void replaced(const struct attack *attack)
{
	uint64_t *first = backing(BACKED), *second = backing(OTHERWISE);

	(void)attack;
	start_devices();
	map_one(first);
	expect_equal("the first", module_loads(device_va(1)), BACKED);
	map_one(second);
	expect_equal("the second", module_loads(device_va(1)), OTHERWISE);
	map_one(NULL);
	expect_exit(device_va(1), DEVICE + 0x18);
	map_one(first);
	expect_equal("the first again", module_loads(device_va(1)), BACKED);
	/* It moves to other pages: those before are nothing. */
	expect_equal("KVM_GM_MAP", map((struct kvm_gm_map) { .page = 2, .nr_pages = 1,
							     .gpa = DEVICE }), 0);
	expect_no_access(device_va(1));
	expect_exit(device_va(2), DEVICE + 0x18);
}

static void host_unmaps(uint64_t *host)
{
	must(munmap(host, PAGE), "munmap");
	expect_exit(device_va(1), DEVICE + 0x18);
}

static void host_protects(uint64_t *host)
{
	must(mprotect(host, PAGE, PROT_READ), "mprotect");
	expect_exit(device_va(1), DEVICE + 0x18);
	must(mprotect(host, PAGE, PROT_READ | PROT_WRITE), "mprotect");
	expect_equal("writable again", module_loads(device_va(1)), BACKED);
}

static void host_discards(uint64_t *host)
{
	must(madvise(host, PAGE, MADV_DONTNEED), "madvise");
	expect_equal("discarded", module_loads(device_va(1)), 0);
	host[3] = OTHERWISE;
	expect_equal("written anew", module_loads(device_va(1)), OTHERWISE);
}

static void host_replaces(uint64_t *host)
{
	expect(mmap(host, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		    -1, 0) == host, "no memory");
	host[3] = OTHERWISE ^ 1;
	expect_exit(device_va(1), DEVICE + 0x18);
	map_one(host);
	expect_equal("mapped again", module_loads(device_va(1)), OTHERWISE ^ 1);
}

static void (*const host_changes[])(uint64_t *host) = {
	host_unmaps, host_protects, host_discards, host_replaces,
};

static void host_changed(const struct attack *attack)
{
	void (*const *change)(uint64_t *host) = attack->with;
	uint64_t *host = backing(BACKED);

	start_devices();
	map_one(host);
	expect_equal("a load", module_loads(device_va(1)), BACKED);
	(*change)(host);
}

/* --- at once -------------------------------------------------------------------------------- */

#define ROUNDS	300

static atomic_bool over;

/* The host's side: one page or the other, and the first anew each time. */
static void *changes(void *arg)
{
	uint64_t **hosts = arg;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		map_one(hosts[i % 2]);
		must(madvise(hosts[0], PAGE, MADV_DONTNEED), "madvise");
		hosts[0][3] = BACKED;
	}
	map_one(hosts[1]);
	over = true;
	return NULL;
}

static void changed_at_once(const struct attack *attack)
{
	uint64_t *hosts[] = { backing(BACKED), backing(OTHERWISE) }, got;
	pthread_t thread;
	bool last;

	(void)attack;
	start_devices();
	map_one(hosts[0]);
	must(-pthread_create(&thread, NULL, changes, hosts), "pthread_create");
	do {
		last = over;
		got = module_loads(device_va(1));
		expect(got == OTHERWISE || (!last && (got == BACKED || !got)),
		       "0x%lx is what nobody has there", got);
	} while (!last);
	pthread_join(thread, NULL);
}

#define REFUSED(label, text, code, ...) \
	{ "devices-" label, 6, "a range " text, refused, \
	  &(const struct refusal){ .error = code, __VA_ARGS__ } }
#define ARG(...)	.arg = { __VA_ARGS__ }
#define RANGE(...)	ARG(.range = 1, .page = 2, .nr_pages = 1, .gpa = DEVICE + PAGE, __VA_ARGS__)
#define HOST_CHANGES(label, text, nr) \
	{ "devices-host-" label, 6, "userspace " text, host_changed, &host_changes[nr] }

const struct attack device_attacks[] = {
	REFUSED("size", "of another size", EINVAL, RANGE(.size = 8)),
	REFUSED("reserved", "with a reserved word", EINVAL, RANGE(.reserved = 1)),
	REFUSED("id", "of a module that cannot be", EINVAL, RANGE(.id = KVM_GM_MAX_SEALS + 1)),
	REFUSED("nobody", "of a module that is not", ENOENT, RANGE(.id = 2)),
	REFUSED("stale", "of a module that was", ESTALE, RANGE(.generation = 7)),
	REFUSED("number", "more than there may be", EINVAL,
		ARG(.range = KVM_GM_MAX_RANGES, .page = 2, .nr_pages = 1)),
	REFUSED("table", "in place of the table", ERANGE, ARG(.range = 1, .nr_pages = 1)),
	REFUSED("beyond", "after the region", ERANGE,
		ARG(.range = 1, .page = DEVICE_PAGES, .nr_pages = 1)),
	REFUSED("larger", "that reaches out of the region", ERANGE,
		ARG(.range = 1, .page = DEVICE_PAGES - 1, .nr_pages = 2)),
	REFUSED("largest", "of as many pages as a number can say", ERANGE,
		ARG(.range = 1, .page = 2, .nr_pages = ~0U)),
	REFUSED("overlap", "in pages of another one", EEXIST,
		ARG(.range = 1, .page = 1, .nr_pages = 2)),
	REFUSED("gpa", "at an address within a page", EINVAL,
		ARG(.range = 1, .page = 2, .nr_pages = 1, .gpa = DEVICE + 8)),
	REFUSED("gpa-wide", "at an address past all", EINVAL,
		ARG(.range = 1, .page = 2, .nr_pages = 1, .gpa = 1ULL << 52)),
	REFUSED("gpa-wraps", "that ends past all addresses", EINVAL,
		ARG(.range = 1, .page = 2, .nr_pages = 2, .gpa = (1ULL << 52) - PAGE)),
	REFUSED("host-unaligned", "backed by half a page", EINVAL, RANGE(), .host = ALIGNED + 8),
	REFUSED("host-kernel", "backed by the host's kernel", EFAULT, RANGE(),
		.host = 0xffff888000000000),
	REFUSED("hosts", "with addresses at a bad address", EFAULT, RANGE(.hosts = 8)),
	REFUSED("none", "ended that is not there", ENOENT, ARG(.range = 1)),
	REFUSED("none-gpa", "of nothing, at an address", EINVAL, ARG(.gpa = DEVICE)),
	REFUSED("none-page", "of nothing, in a page", EINVAL, ARG(.page = 1)),
	REFUSED("no-region", "of a module without devices", ENXIO, RANGE(), .no_region = true),

	{ "devices-direct", 6, "registers that userspace has mapped: no exit", direct, NULL },
	{ "devices-exits", 6, "registers that it has not: exits", by_exits, NULL },
	{ "devices-mixed", 6, "some of each: told apart by page", mixed, NULL },
	{ "devices-exchange", 6, "an exchange with one of these: emulate", not_emulated, NULL },
	{ "devices-no-range", 6, "a page without a range: access", no_range, NULL },
	{ "devices-ended", 6, "a page whose range has ended: access", range_ended, NULL },
	{ "devices-list", 6, "what is where: told to the module alone", table, NULL },
	{ "devices-outside", 6, "the same pages from elsewhere: zeroes, write", from_outside, NULL },
	{ "devices-remapped", 6, "the guest maps the page elsewhere: of no effect", led_elsewhere,
	  NULL },
	{ "devices-slot", 6, "memory of the guest's at the page: of no effect", memory_there, NULL },
	{ "devices-doorbell", 6, "an ioeventfd there: of no effect", doorbell_there, NULL },
	{ "devices-apic", 6, "the local APIC there: of no effect", apic_there, NULL },
	{ "devices-replaced", 6, "a range in place of another: at once", replaced, NULL },
	{ "devices-sealed-again", 6, "a range of the seal before: access", sealed_again, NULL },
	HOST_CHANGES("unmaps", "unmaps what backs a page: exits", 0),
	HOST_CHANGES("protects", "lets nobody write there: exits", 1),
	HOST_CHANGES("discards", "discards what was there: gone", 2),
	HOST_CHANGES("replaces", "maps something else there: exits", 3),
	{ "devices-race", 6, "ranges and memory change while the module reads: never stale",
	  changed_at_once, NULL },
	{}
};
