// SPDX-License-Identifier: GPL-2.0
/*
 * I7: whatever userspace asks of KVM, it is done or refused with an error that the
 * interface has (docs/kvm-api.md). Arguments are right but for a few words, and each of
 * two threads changes the other one's now and then, so that what KVM reads twice differs.
 */
#include "hammer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define NR_THREADS	2
#define ROUND		2000		/* runs, of one machine */
#define NR_SUBJECTS	4		/* modules, each with a window of its own */
#define NR_HOSTS	8		/* pages that could back a device */
#define MAX_SHARED	4

/* What a thread hands over; a module is prepared and sealed, and not looked at again. */
struct arguments {
	struct module module;
	struct kvm_gm_shared shared[MAX_SHARED];
};

static struct arguments arguments[NR_THREADS];
static uint64_t counts[MODULE_GATES];
static uint8_t *hosts, *edge;		/* at @edge memory ends */

/* --- arguments that are nearly right ------------------------------------------ */

static uint64_t some_value(struct random *random)
{
	const uint64_t values[] = {
		0, 1, 2, 7, 8, 15, 16, 31, 32, 64, 255, 4095, PAGE, PAGE + 1, 0x7fff, 0xffff,
		0x10000, 16384, 16385, 65536, 65537, 0x7fffffff, 0x80000000, 0xffffffff,
		1ULL << 32, 1ULL << 39, 1ULL << 40, 1ULL << 47, 0xffff800000000000,
		0x7ffffffff000, 0xfffffffffffff000, ~0ULL, ~0ULL << 63,
		VA_MODULES, VA_MODULES + PAGE, VA_MODULES + WINDOW, VA_MODULES + 3 * WINDOW,
		MODULES, MODULES + PAGE, MODULES + WINDOW, MEMORY, VA_KERNEL,
		(uintptr_t)edge, (uintptr_t)edge - 8, (uintptr_t)edge - PAGE,
		(uintptr_t)hosts, (uintptr_t)arguments, KVM_GM_REGION_F_CLOAKED | 1,
		KVM_GM_REGION_F_CLOAKED | 2, KVM_GM_REGION_F_CLOAKED | 4,
	};

	return rarely(random, 8) ? draw(random) : pick(random, values);
}

static void change_word(struct random *random, void *at, size_t size)
{
	static const unsigned int sizes[] = { 8, 8, 4, 4, 2, 1 };
	unsigned int width = pick(random, sizes);
	uint8_t *place = (uint8_t *)at + below(random, size / width) * width;
	uint64_t value = 0;

	memcpy(&value, place, width);
	switch (below(random, 6)) {
	case 0:
		value++;
		break;
	case 1:
		value--;
		break;
	case 2:
		value ^= 1ULL << below(random, width * 8);
		break;
	case 3:
		value += rarely(random, 2) ? PAGE : -PAGE;
		break;
	default:
		value = some_value(random);
	}
	memcpy(place, &value, width);
}

/* Nothing in a third of the runs, else a word or a few. */
static unsigned int how_many_changes(struct random *random)
{
	return rarely(random, 3) ? 0 : rarely(random, 2) ? 1 : 2 + below(random, 4);
}

static void change_some(struct random *random, void *at, size_t size)
{
	unsigned int n;

	for (n = how_many_changes(random); n; n--)
		change_word(random, at, size);
}

/* --- one call ----------------------------------------------------------------- */

static void one_of(const char *call, int error, const int *allowed)
{
	for (; *allowed; allowed++)
		if (error == *allowed)
			return;
	fail("%s: error %d (%s), which it does not have", call, error, strerror(error));
}

#define expect_error(call, error, ...) one_of(call, error, (const int[]){ __VA_ARGS__, 0 })

static bool call(unsigned long request, void *argument)
{
	return ioctl(vm.vm, request, argument) >= 0;
}

static void change_arguments(struct random *random, struct arguments *arguments)
{
	struct module *module = &arguments->module;
	const struct {
		void *at;
		size_t size;
	} parts[] = {
		{ &module->arg, sizeof(module->arg) },
		{ module->regions, sizeof(module->regions) },
		{ module->gates, sizeof(module->gates) },
		{ module->frames, sizeof(module->frames) },
		{ module->gpas, 8 * sizeof(module->gpas[0]) },
		{ arguments->shared, sizeof(arguments->shared) },
	};
	unsigned int i = below(random, sizeof(parts) / sizeof(parts[0]));

	change_word(random, parts[i].at, parts[i].size);
}

static void try_seal(struct random *random, struct arguments *arguments)
{
	struct module *module = &arguments->module;
	const struct setup setup = {
		.hostinfo = rarely(random, 3), .devices = rarely(random, 3),
		.window = rarely(random, 3), .init = rarely(random, 4),
		.policy = below(random, 3),
	};
	unsigned int n;

	prepare(module, below(random, NR_SUBJECTS), &setup);
	if (rarely(random, 3)) {
		for (n = 0; n < MAX_SHARED; n++)
			arguments->shared[n] = (struct kvm_gm_shared){
				module->va + (64 + 16 * n) * PAGE, 1 + below(random, 8) };
		module->arg.shared = (uintptr_t)arguments->shared;
		module->arg.nr_shared = 1 + below(random, MAX_SHARED);
	}
	for (n = how_many_changes(random); n; n--)
		change_arguments(random, arguments);
	if (call(KVM_GM_SEAL, &module->arg))
		tally("KVM_GM_SEAL done", 1);
	else
		expect_error("KVM_GM_SEAL", errno, EINVAL, E2BIG, EFAULT, EEXIST, EBUSY, ENOSPC,
			     EOPNOTSUPP);
}

static void try_unseal(struct random *random)
{
	uint32_t id = rarely(random, 8) ? some_value(random) : below(random, NR_SUBJECTS + 2);

	if (call(KVM_GM_UNSEAL, &id))
		tally("KVM_GM_UNSEAL done", 1);
	else
		expect_error("KVM_GM_UNSEAL", errno, EINVAL, ENOENT);
}

static uint32_t some_id(struct random *random)
{
	return 1 + below(random, NR_SUBJECTS);
}

static uint32_t its_generation(uint32_t id)
{
	struct kvm_gm_query q = { .size = sizeof(q), .id = id };

	return call(KVM_GM_QUERY, &q) ? q.generation : 0;
}

static void try_query(struct random *random)
{
	struct kvm_gm_query q = { .size = sizeof(q), .id = some_id(random) };

	change_some(random, &q, offsetof(struct kvm_gm_query, name));
	if (call(KVM_GM_QUERY, rarely(random, 16) ? (void *)(edge - 8) : &q))
		tally("KVM_GM_QUERY done", 1);
	else
		expect_error("KVM_GM_QUERY", errno, EINVAL, ENOENT, EFAULT);
}

static void try_counts(struct random *random)
{
	uint32_t id = some_id(random);
	struct kvm_gm_counts arg = {
		.size = sizeof(arg), .id = id, .generation = its_generation(id),
		.nr_gates = NR_GATES, .counts = (uintptr_t)counts,
	};

	change_some(random, &arg, sizeof(arg));
	/* Where it writes is userspace's affair; not over our own code and data. */
	if (arg.counts != (uintptr_t)counts)
		arg.counts = rarely(random, 2) ? (uintptr_t)edge - 16 : (uintptr_t)hosts;
	if (call(KVM_GM_COUNTS, &arg))
		tally("KVM_GM_COUNTS done", 1);
	else
		expect_error("KVM_GM_COUNTS", errno, EINVAL, ENOENT, ESTALE, EFAULT);
}

static void try_grant(struct random *random)
{
	static const uint32_t msrs[] = {
		0x10, 0x199, 0xc0010062, 0x10000, 0x10002, 0xe7, 0xe8, 0x174, 0x1a0, 0x277, 0x2ff, 0xc0000080, 0xc0000101, 0xc0010015,
		0xc0010117, 0x4b564d00, 0x40000000, 0x800, 0x6e0, 0x1d9, 0x3f1, 0xda0,
	};
	uint32_t id = some_id(random);
	struct kvm_gm_grant arg = {
		.size = sizeof(arg), .id = id, .generation = its_generation(id),
		.kind = KVM_GM_PRIV_MSR + below(random, 3),
	};

	if (arg.kind == KVM_GM_PRIV_MSR) {
		arg.first = pick(random, msrs);
		arg.last = arg.first + below(random, 4);
		arg.flags = below(random, 2);
	} else if (arg.kind == KVM_GM_PRIV_MWAIT) {
		arg.limit = below(random, KVM_GM_MWAIT_MAX_HINT + 2);
	}
	change_some(random, &arg, sizeof(arg));
	if (call(rarely(random, 3) ? KVM_GM_REVOKE : KVM_GM_GRANT, &arg))
		tally("KVM_GM_GRANT and _REVOKE done", 1);
	else
		expect_error("KVM_GM_GRANT", errno, EINVAL, ENOENT, ESTALE, EPERM, EEXIST, E2BIG,
			     ENXIO, EOPNOTSUPP);
}

static void try_map(struct random *random)
{
	uint32_t id = some_id(random);
	uint64_t where[DEVICE_PAGES] = {};
	struct kvm_gm_map arg = {
		.size = sizeof(arg), .id = id, .generation = its_generation(id),
		.range = below(random, 4), .page = 1 + below(random, DEVICE_PAGES),
		.nr_pages = below(random, DEVICE_PAGES), .gpa = below(random, 64) << 36,
		.hosts = (uintptr_t)where,
	};
	unsigned int i;

	for (i = 0; i < DEVICE_PAGES; i++)
		where[i] = rarely(random, 3) ? 0 : rarely(random, 16) ? some_value(random) :
			   (uintptr_t)hosts + below(random, NR_HOSTS) * PAGE;
	change_some(random, &arg, sizeof(arg));
	if (call(KVM_GM_MAP, &arg))
		tally("KVM_GM_MAP done", 1);
	else
		expect_error("KVM_GM_MAP", errno, EINVAL, ENOENT, ESTALE, ENXIO, ERANGE, EEXIST,
			     EFAULT, EINTR);
}

/* What the calls above may refer to goes, comes back, and changes hands. */
static void change_memory(struct random *random)
{
	uint8_t *page = hosts + below(random, NR_HOSTS) * PAGE;
	uint64_t window = below(random, NR_SUBJECTS) * WINDOW;

	switch (below(random, 4)) {
	case 0:
		madvise(page, PAGE, MADV_DONTNEED);
		break;
	case 1:
		mprotect(page, PAGE, rarely(random, 2) ? PROT_READ : PROT_READ | PROT_WRITE);
		break;
	case 2:
		mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		     -1, 0);
		break;
	default:
		madvise(vm.memory + MODULES + window, 64 * PAGE, MADV_DONTNEED);
	}
}

static void change_slots(struct random *random)
{
	struct kvm_userspace_memory_region region = {
		.slot = 2 + below(random, 3),
		.guest_phys_addr = rarely(random, 3) ? 1ULL << 39 : MEMORY + below(random, 4) * MIB,
		.memory_size = below(random, 3) * MIB,
		.userspace_addr = (uintptr_t)vm.memory,
		.flags = rarely(random, 2) ? KVM_MEM_LOG_DIRTY_PAGES : 0,
	};

	if (!call(KVM_SET_USER_MEMORY_REGION, &region))
		expect_error("KVM_SET_USER_MEMORY_REGION", errno, EINVAL, EEXIST, EBUSY, ENOENT,
			     ENOMEM);
}

static void try_something(struct random *random, struct vcpu *vcpu, unsigned int thread)
{
	static const unsigned long requests[] = {
		KVM_GM_SEAL, KVM_GM_UNSEAL, KVM_GM_QUERY, KVM_GM_GRANT, KVM_GM_REVOKE,
		KVM_GM_COUNTS, KVM_GM_MAP,
	};
	unsigned int n;

	switch (below(random, 21)) {
	case 0 ... 5:
		try_seal(random, &arguments[thread]);
		break;
	case 6 ... 7:
		try_unseal(random);
		break;
	case 8:
		try_query(random);
		break;
	case 9 ... 10:
		try_counts(random);
		break;
	case 11 ... 12:
		try_grant(random);
		break;
	case 13 ... 15:
		try_map(random);
		break;
	case 16:
		change_memory(random);
		break;
	case 17:
		change_slots(random);
		break;
	case 18:
		/* An argument that is not there, or only in part; KVM_GM_UNSEAL's is there. */
		if (!call(pick(random, requests), rarely(random, 2) ? NULL : edge - 16))
			expect_error("a call without an argument", errno, EFAULT, EINVAL, ENOENT);
		break;
	case 19:
		/* Not how many gates there are, of which prepare() keeps count. */
		for (n = 100; n; n--)
			change_word(random, arguments[!thread].module.regions,
				    offsetof(struct module, content) -
				    offsetof(struct module, regions));
		break;
	default:
		run_somewhere(vcpu, random);
	}
}

/* --- rounds ------------------------------------------------------------------- */

struct worker {
	pthread_t thread;
	struct random random;
	unsigned int number;
};

static void *work(void *argument)
{
	struct worker *worker = argument;
	unsigned int i;

	interrupt_every(3000);
	for (i = 0; i < ROUND / NR_THREADS; i++)
		try_something(&worker->random, &vm.vcpu[worker->number], worker->number);
	interrupt_every(0);
	return NULL;
}

void fuzz_ioctls(struct hammer *hammer)
{
	hosts = mmap(NULL, (NR_HOSTS + 2) * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	expect(hosts != MAP_FAILED, "no memory");
	edge = hosts + (NR_HOSTS + 1) * PAGE;
	must(munmap(edge, PAGE), "munmap");

	while (go_on(hammer)) {
		struct worker workers[NR_THREADS];
		unsigned int i;

		start_with(&(struct setup) { .vcpus = NR_THREADS, .unsealed = true });
		for (i = 0; i < NR_THREADS; i++) {
			workers[i].random.state = draw(&hammer->random);
			workers[i].number = i;
			expect(!pthread_create(&workers[i].thread, NULL, work, &workers[i]),
			       "no thread");
		}
		for (i = 0; i < NR_THREADS; i++)
			pthread_join(workers[i].thread, NULL);
		machine_destroy(&vm);
		hammer->done += ROUND;
	}
}
