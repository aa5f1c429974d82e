// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: registers of devices in a module's own pages (I2, I6).
 *
 * A module that reaches a device through the guest's page tables does so where
 * the guest says. So it may bring pages of its own for that (the DEVICES region):
 * they are mapped in its view only, by the frozen tables, and userspace puts ranges
 * of a device there. A page is backed by what userspace has mapped, until it unmaps
 * that; an access to any other is emulated, and userspace hears of it by the
 * address that the guest knows the device by.
 *
 * A range never changes: another one takes its place. It is found under kvm->srcu;
 * what backs it is watched by a notifier of its own, since it is in no memslot.
 */
#include <linux/mmu_notifier.h>
#include <linux/nospec.h>

#include "gm/devices.h"
#include "gm/trace.h"
#include "../../../../virt/kvm/kvm_mm.h"
#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/tdp_mmu.h"

#define GM_LAST_GPA	GENMASK_ULL(51, 0)

struct gm_device_range {
	struct mmu_interval_notifier notifier;
	struct gm_seal *seal;
	u64 gpa;
	u32 page, nr_pages;	/* of the region */
	bool watched;
	unsigned long hosts[] __counted_by(nr_pages);
};

struct gm_devices {
	u32 first;		/* the region's first page, index into seal->pages */
	u32 nr_pages;
	struct gm_device_range *ranges[KVM_GM_MAX_RANGES];	/* under kvm->slots_lock */
	struct gm_device_range *pages[] __counted_by(nr_pages);	/* under kvm->srcu */
};

int gm_load_devices(struct gm_seal *seal, const struct gm_region *region)
{
	u32 nr_pages = region->size >> PAGE_SHIFT;
	struct kvm_gm_devices *table;
	struct gm_devices *devices;

	BUILD_BUG_ON(sizeof(*table) > PAGE_SIZE);

	devices = kvzalloc(struct_size(devices, pages, nr_pages), GFP_KERNEL_ACCOUNT);
	if (!devices)
		return -ENOMEM;
	devices->first = region->first;
	devices->nr_pages = nr_pages;
	seal->devices = devices;

	table = page_address(seal->pages[region->first].page);
	table->version = KVM_GM_DEVICES_VERSION;
	return 0;
}

static struct gm_device_range *gm_range_at(struct gm_seal *seal, struct gm_page *p)
{
	struct gm_devices *devices = seal->devices;

	return READ_ONCE(devices->pages[p - seal->pages - devices->first]);
}

bool gm_is_mapped(struct gm_seal *seal, struct gm_page *p)
{
	return gm_range_at(seal, p);
}

/* What backs @p, a page of a device. Anything that is wrong is an exit. */
int gm_faultin_device(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault, struct gm_page *p)
{
	struct gm_seal *seal = vcpu->arch.gm.seal;
	struct gm_device_range *range = gm_range_at(seal, p);
	unsigned long host;
	kvm_pfn_t pfn;

	/* It has gone since __gm_page_fault() saw it. */
	if (!range)
		return RET_PF_RETRY;

	host = READ_ONCE(range->hosts[p - seal->pages - seal->devices->first - range->page]);
	if (!host)
		return RET_PF_EMULATE;

	/*
	 * What is invalidated now has been when this returns; what is invalidated
	 * later finds the mapping, or makes fault->mmu_seq stale.
	 */
	mmu_interval_read_begin(&range->notifier);
	pfn = hva_to_pfn(host, false, true, NULL, true, NULL);
	if (is_sigpending_pfn(pfn)) {
		kvm_handle_signal_exit(vcpu);
		return -EINTR;
	}
	if (is_error_noslot_pfn(pfn))
		return RET_PF_EMULATE;
	fault->pfn = pfn;
	fault->map_writable = true;
	fault->max_level = PG_LEVEL_4K;
	fault->slot = &vcpu->kvm->arch.gm->slot;
	return RET_PF_CONTINUE;
}

/*
 * KVM emulates an access of the module's at @gpa: have it find the device there, if
 * that is a page of one. False: there was one when the CPU looked.
 */
bool gm_find_device(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	struct gm_seal *seal = vcpu->arch.gm.seal;
	struct gm_devices *devices = seal->devices;
	struct gm_device_range *range;
	u64 page;

	vcpu->arch.gm.device_gpa = INVALID_GPA;
	vcpu->run->flags &= ~KVM_GM_RUN_DEVICES;
	if (!devices)
		return true;
	page = gpa_to_gfn(gpa) - seal->aperture - GM_MAX_TABLES - devices->first;
	if (page >= devices->nr_pages)
		return true;

	page = array_index_nospec(page, devices->nr_pages);
	range = READ_ONCE(devices->pages[page]);
	if (!range)
		return false;
	vcpu->arch.gm.device_gpa = range->gpa + ((page - range->page) << PAGE_SHIFT) +
				   offset_in_page(gpa);
	vcpu->run->flags |= KVM_GM_RUN_DEVICES;
	return true;
}

static gfn_t gm_range_gfn(const struct gm_device_range *range)
{
	return range->seal->aperture + GM_MAX_TABLES + range->seal->devices->first + range->page;
}

/* With kvm->mmu_lock held for writing: nobody has or gets what backs @range. */
static void gm_invalidate_range(struct gm_device_range *range, bool may_block)
{
	struct kvm *kvm = range->seal->kvm;
	struct kvm_gfn_range gfns = {
		.slot = &kvm->arch.gm->slot,
		.start = gm_range_gfn(range),
		.end = gm_range_gfn(range) + range->nr_pages,
		.may_block = may_block,
	};

	kvm_mmu_invalidate_begin(kvm);
	kvm_mmu_invalidate_range_add(kvm, gfns.start, gfns.end);
	if (kvm_tdp_mmu_unmap_gfn_range(kvm, &gfns, false))
		kvm_flush_remote_tlbs(kvm);
	kvm_mmu_invalidate_end(kvm);
}

/* What is there from now on is something else. */
static void gm_forget_hosts(struct gm_device_range *range, unsigned long start, unsigned long end)
{
	u32 i;

	for (i = 0; i < range->nr_pages; i++)
		if (range->hosts[i] >= start && range->hosts[i] < end)
			WRITE_ONCE(range->hosts[i], 0);
}

static bool gm_host_invalidated(struct mmu_interval_notifier *notifier,
				const struct mmu_notifier_range *what, unsigned long seq)
{
	struct gm_device_range *range = container_of(notifier, struct gm_device_range, notifier);
	struct kvm *kvm = range->seal->kvm;

	write_lock(&kvm->mmu_lock);
	mmu_interval_set_seq(notifier, seq);
	if (what->event == MMU_NOTIFY_UNMAP)
		gm_forget_hosts(range, what->start, what->end);
	gm_invalidate_range(range, mmu_notifier_range_blockable(what));
	write_unlock(&kvm->mmu_lock);
	return true;
}

static const struct mmu_interval_notifier_ops gm_host_ops = {
	.invalidate = gm_host_invalidated,
};

static void gm_free_range(struct gm_device_range *range)
{
	if (range && range->watched)
		mmu_interval_notifier_remove(&range->notifier);
	kvfree(range);
}

DEFINE_FREE(gm_range, struct gm_device_range *, gm_free_range(_T))

static int gm_watch_range(struct gm_device_range *range)
{
	unsigned long first = ULONG_MAX, last = 0;
	u32 i;
	int r;

	for (i = 0; i < range->nr_pages; i++) {
		unsigned long host = range->hosts[i];

		if (!host)
			continue;
		if (!PAGE_ALIGNED(host))
			return -EINVAL;
		if (!access_ok((void __user *)host, PAGE_SIZE))
			return -EFAULT;
		first = min(first, host);
		last = max(last, host + PAGE_SIZE - 1);
	}
	if (!last)
		return 0;
	r = mmu_interval_notifier_insert(&range->notifier, range->seal->kvm->mm, first,
					 last - first + 1, &gm_host_ops);
	range->watched = !r;
	return r;
}

static struct gm_device_range *gm_new_range(struct gm_seal *seal, const struct kvm_gm_map *arg)
{
	struct gm_device_range *range __free(gm_range) = NULL;
	int r;

	BUILD_BUG_ON(sizeof(range->hosts[0]) != sizeof(u64));

	range = kvzalloc(struct_size(range, hosts, arg->nr_pages), GFP_KERNEL_ACCOUNT);
	if (!range)
		return ERR_PTR(-ENOMEM);
	range->seal = seal;
	range->gpa = arg->gpa;
	range->page = arg->page;
	range->nr_pages = arg->nr_pages;
	if (arg->hosts && copy_from_user(range->hosts, u64_to_user_ptr(arg->hosts),
					 array_size(arg->nr_pages, sizeof(u64))))
		return ERR_PTR(-EFAULT);
	r = gm_watch_range(range);
	if (r)
		return ERR_PTR(r);
	return no_free_ptr(range);
}

/* Are the pages in the region, and of no other range? */
static int gm_check_pages(const struct gm_devices *devices, const struct kvm_gm_map *arg,
			  const struct gm_device_range *old)
{
	u32 i;

	if (!arg->page || arg->page >= devices->nr_pages ||
	    arg->nr_pages > devices->nr_pages - arg->page)
		return -ERANGE;
	for (i = 0; i < arg->nr_pages; i++)
		if (devices->pages[arg->page + i] && devices->pages[arg->page + i] != old)
			return -EEXIST;
	return 0;
}

static void gm_set_pages(struct gm_devices *devices, const struct gm_device_range *range,
			 struct gm_device_range *to)
{
	u32 i;

	for (i = 0; i < range->nr_pages; i++)
		WRITE_ONCE(devices->pages[range->page + i], to);
}

/* Tell the module what is where; it may read meanwhile. */
static void gm_list_range(struct gm_seal *seal, u32 i, const struct gm_device_range *range)
{
	struct kvm_gm_devices *list = page_address(seal->pages[seal->devices->first].page);

	WRITE_ONCE(list->seq, list->seq + 1);
	/* Whoever reads something new sees that `seq' is odd ... */
	smp_wmb();
	list->ranges[i] = (struct kvm_gm_device_range) {
		.gpa = range ? range->gpa : 0,
		.size = range ? (u64)range->nr_pages << PAGE_SHIFT : 0,
		.page = range ? range->page : 0,
	};
	/* ... or even only once all of it is there. */
	smp_wmb();
	WRITE_ONCE(list->seq, list->seq + 1);
}

/* @old gives way to @new; one of them may be NULL. */
static void gm_replace_range(struct gm_seal *seal, u32 nr, struct gm_device_range *old,
			     struct gm_device_range *new)
{
	struct gm_devices *devices = seal->devices;

	/* Pages that both have lead to one or the other at any time. */
	write_lock(&seal->kvm->mmu_lock);
	if (new)
		gm_set_pages(devices, new, new);
	if (old) {
		u32 i;

		for (i = old->page; i < old->page + old->nr_pages; i++)
			if (devices->pages[i] == old)
				WRITE_ONCE(devices->pages[i], NULL);
		gm_invalidate_range(old, true);
	}
	write_unlock(&seal->kvm->mmu_lock);

	gm_list_range(seal, nr, new);
	devices->ranges[nr] = new;
	if (old) {
		synchronize_srcu(&seal->kvm->srcu);
		gm_free_range(old);
	}
}

int gm_map(struct kvm *kvm, const struct kvm_gm_map *arg)
{
	struct gm_device_range *old, *new = NULL;
	struct gm_devices *devices;
	struct gm_seal *seal;
	u32 i;
	int r;

	if (arg->size != sizeof(*arg) || arg->reserved || arg->range >= KVM_GM_MAX_RANGES ||
	    !PAGE_ALIGNED(arg->gpa) || arg->gpa > GM_LAST_GPA ||
	    (u64)arg->nr_pages << PAGE_SHIFT > GM_LAST_GPA + 1 - arg->gpa ||
	    (!arg->nr_pages && (arg->page || arg->gpa || arg->hosts)))
		return -EINVAL;

	guard(mutex)(&kvm->slots_lock);

	seal = gm_get_sealed(kvm, arg->id, arg->generation);
	if (IS_ERR(seal))
		return PTR_ERR(seal);
	devices = seal->devices;
	if (!devices)
		return -ENXIO;

	i = array_index_nospec(arg->range, KVM_GM_MAX_RANGES);
	old = devices->ranges[i];
	if (arg->nr_pages) {
		r = gm_check_pages(devices, arg, old);
		if (r)
			return r;
		new = gm_new_range(seal, arg);
		if (IS_ERR(new))
			return PTR_ERR(new);
	} else if (!old) {
		return -ENOENT;
	}

	gm_replace_range(seal, i, old, new);
	trace_kvm_gm_map(seal->id, i, arg->gpa, arg->page, arg->nr_pages);
	return 0;
}

/* Nobody faults in the view any more, and nothing is mapped there; this may sleep. */
void gm_unmap_devices(struct gm_seal *seal)
{
	struct gm_devices *devices = seal->devices;
	u32 i;

	if (!devices)
		return;
	memset(devices->pages, 0, array_size(devices->nr_pages, sizeof(devices->pages[0])));
	for (i = 0; i < KVM_GM_MAX_RANGES; i++) {
		gm_free_range(devices->ranges[i]);
		devices->ranges[i] = NULL;
	}
}
