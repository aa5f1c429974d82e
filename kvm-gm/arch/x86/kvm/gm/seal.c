// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: sealing and unsealing (I4, I5).
 *
 * Userspace hands over what each page of a loaded module must contain. KVM
 * keeps it in pages of its own and maps those in the views; the copy that the
 * guest's loader made stays in guest RAM as a decoy, for all who get at
 * memory another way (DMA, vhost, device models, paravirtual features).
 */
#include <linux/nospec.h>
#include <linux/vmalloc.h>

#include "gm/devices.h"
#include "gm/trace.h"
#include "mmu.h"
#include "mmu/spte.h"

static const struct {
	u8 guest, module;
	bool mirrored;		/* the guest has other pages in its place */
} gm_access[] = {
	[KVM_GM_REGION_GATES]	= { GM_R | GM_X, GM_R },
	[KVM_GM_REGION_TEXT]	= { GM_R, GM_R | GM_X },
	[KVM_GM_REGION_RODATA]	= { GM_R, GM_R },
	[KVM_GM_REGION_DATA]	= { GM_R, GM_R | GM_W },
	[KVM_GM_REGION_STACK]	= { GM_R | GM_W, GM_R | GM_W, true },
	[KVM_GM_REGION_HOSTINFO] = { GM_R, GM_R, true },
	[KVM_GM_REGION_DEVICES] = { GM_R, GM_R, true },
};

const struct gm_region *gm_find_region(struct gm_seal *seal, u64 va)
{
	int i;

	for (i = 0; i < seal->nr_regions; i++)
		if (va - seal->regions[i].va < seal->regions[i].size)
			return &seal->regions[i];
	return NULL;
}

bool gm_in_region(struct gm_seal *seal, u64 va, u32 kind)
{
	const struct gm_region *region = gm_find_region(seal, va);

	return region && region->kind == kind;
}

/* The lowest page of every private stack is mapped nowhere. */
bool gm_in_guard(struct gm_seal *seal, u64 va)
{
	u64 offset = va - seal->stack_va;

	return offset < (u64)seal->nr_acts * seal->stack_size &&
	       offset % seal->stack_size < PAGE_SIZE;
}

/* The page at @va, which must be in a region. */
struct gm_page *gm_page_at(struct gm_seal *seal, u64 va)
{
	const struct gm_region *region = gm_find_region(seal, va);

	return &seal->pages[region->first + ((va - region->va) >> PAGE_SHIFT)];
}

/* Copy sealed text from @va on: up to @len bytes, as many as are text of one region. */
u32 gm_read_text(struct gm_seal *seal, u64 va, u8 *to, u32 len)
{
	const struct gm_region *region = gm_find_region(seal, va);
	u32 i;

	if (!region || region->kind != KVM_GM_REGION_TEXT)
		return 0;
	len = min_t(u64, len, region->va + region->size - va);
	for (i = 0; i < len; i++, va++)
		to[i] = *((u8 *)page_address(gm_page_at(seal, va)->page) + offset_in_page(va));
	return len;
}

static bool gm_regions_overlap(struct gm_seal *a, struct gm_seal *b)
{
	int i, j;

	for (i = 0; i < a->nr_regions; i++) {
		struct gm_region *x = &a->regions[i];

		for (j = 0; j < (a == b ? i : b->nr_regions); j++) {
			struct gm_region *y = &b->regions[j];

			if (x->va < y->va + y->size && y->va < x->va + x->size)
				return true;
		}
	}
	return false;
}

/* What the guest cannot read. It still has to execute gates. */
static int gm_check_cloaked(u32 kind)
{
	switch (kind) {
	case KVM_GM_REGION_GATES:
		/* EPT without execute-only mappings, and NPT, have a bit for all that is. */
		return shadow_present_mask & PT_PRESENT_MASK ? -EOPNOTSUPP : 0;
	case KVM_GM_REGION_TEXT:
	case KVM_GM_REGION_RODATA:
	case KVM_GM_REGION_DATA:
		return 0;
	default:
		return -EINVAL;
	}
}

static int gm_load_page(struct gm_seal *seal, u32 index, u64 va, const struct gm_region *region,
			u64 gpa, u64 content)
{
	struct gm_page *p = &seal->pages[index];

	if (!PAGE_ALIGNED(gpa))
		return -EINVAL;

	/* Devices back the pages of theirs, but for the first: what they are. */
	if (region->kind != KVM_GM_REGION_DEVICES || index == region->first) {
		p->page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!p->page)
			return -ENOMEM;
	}
	if (gm_access[region->kind].mirrored) {
		p->mirror = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!p->mirror)
			return -ENOMEM;
	}
	p->seal = seal;
	p->va = va;
	p->guest = gm_access[region->kind].guest;
	if (region->cloaked)
		p->guest &= ~GM_R;
	p->module = gm_access[region->kind].module;
	seal->gfns[index] = gpa_to_gfn(gpa);

	if (content && copy_from_user(page_address(p->page),
				      u64_to_user_ptr(content), PAGE_SIZE))
		return -EFAULT;
	return 0;
}

/* Pages of the kernel half with 4-level paging, and no wrap. */
static bool gm_is_kernel_range(u64 va, u64 size)
{
	return PAGE_ALIGNED(va) && va >> 47 == 0x1ffff && va <= -size - PAGE_SIZE;
}

static int gm_load_regions(struct gm_seal *seal, const struct kvm_gm_seal *arg)
{
	struct kvm_gm_region *in __free(kvfree) = NULL;
	u32 i, j, index = 0, stacks = 0, infos = 0, devices = 0;
	u64 total = 0;
	int r;

	if (!arg->nr_regions)
		return -EINVAL;
	if (arg->nr_regions > KVM_GM_MAX_REGIONS)
		return -E2BIG;

	in = vmemdup_array_user(u64_to_user_ptr(arg->regions), arg->nr_regions,
				sizeof(*in));
	if (IS_ERR(in))
		return PTR_ERR(no_free_ptr(in));

	seal->low = U64_MAX;
	seal->regions = kcalloc(arg->nr_regions, sizeof(*seal->regions),
				GFP_KERNEL_ACCOUNT);
	if (!seal->regions)
		return -ENOMEM;

	for (i = 0; i < arg->nr_regions; i++) {
		struct gm_region *region = &seal->regions[i];

		if (!in[i].nr_pages)
			return -EINVAL;
		if (in[i].nr_pages > KVM_GM_MAX_PAGES)
			return -E2BIG;
		region->va = in[i].va;
		region->size = (u64)in[i].nr_pages << PAGE_SHIFT;
		region->kind = in[i].kind & ~KVM_GM_REGION_F_CLOAKED;
		region->cloaked = in[i].kind & KVM_GM_REGION_F_CLOAKED;
		region->first = total;
		total += in[i].nr_pages;
		seal->low = min(seal->low, region->va);
		seal->high = max(seal->high, region->va + region->size);
		/* Static per-CPU data is reached at GS base + at most 2 MiB. */
		seal->gs_last = seal->low - SZ_2M;

		if (!gm_is_kernel_range(region->va, region->size))
			return -EINVAL;

		switch (region->kind) {
		case KVM_GM_REGION_STACK:
			if (stacks++)
				return -EINVAL;
			seal->stack_va = region->va;
			seal->stack_first = region->first;
			seal->stack_size = arg->stack_pages << PAGE_SHIFT;
			seal->nr_acts = in[i].nr_pages / arg->stack_pages;
			if (in[i].nr_pages % arg->stack_pages)
				return -EINVAL;
			break;
		case KVM_GM_REGION_HOSTINFO:
			if (infos++ || in[i].nr_pages != 1 || in[i].content)
				return -EINVAL;
			break;
		case KVM_GM_REGION_DEVICES:
			if (devices++ || in[i].nr_pages < 2 || in[i].content)
				return -EINVAL;
			break;
		case KVM_GM_REGION_GATES:
		case KVM_GM_REGION_TEXT:
		case KVM_GM_REGION_RODATA:
		case KVM_GM_REGION_DATA:
			break;
		default:
			return -EINVAL;
		}
		r = region->cloaked ? gm_check_cloaked(region->kind) : 0;
		if (r)
			return r;
	}
	seal->nr_regions = arg->nr_regions;
	if (total > KVM_GM_MAX_PAGES)
		return -E2BIG;
	if (!stacks || gm_regions_overlap(seal, seal))
		return -EINVAL;

	seal->pages = kvcalloc(total, sizeof(*seal->pages), GFP_KERNEL_ACCOUNT);
	seal->gfns = kvcalloc(total, sizeof(*seal->gfns), GFP_KERNEL_ACCOUNT);
	if (!seal->pages || !seal->gfns)
		return -ENOMEM;
	seal->nr_pages = total;

	for (i = 0; i < arg->nr_regions; i++) {
		u64 __user *gpas = u64_to_user_ptr(in[i].gpas);

		for (j = 0; j < in[i].nr_pages; j++, index++) {
			u64 offset = (u64)j << PAGE_SHIFT, gpa;

			if (get_user(gpa, &gpas[j]))
				return -EFAULT;
			r = gm_load_page(seal, index, in[i].va + offset,
					 &seal->regions[i], gpa,
					 in[i].content ? in[i].content + offset : 0);
			if (r)
				return r;
		}
		if (seal->regions[i].kind == KVM_GM_REGION_DEVICES) {
			r = gm_load_devices(seal, &seal->regions[i]);
			if (r)
				return r;
		}
	}
	return 0;
}

/* Only ever looked up by what is not sealed: it may overlap whatever it likes. */
static int gm_load_shared(struct gm_seal *seal, const struct kvm_gm_seal *arg)
{
	u64 total = 0;
	void *in;
	u32 i;

	if (arg->nr_shared > KVM_GM_MAX_SHARED)
		return -E2BIG;
	if (!arg->nr_shared)
		return 0;

	in = vmemdup_array_user(u64_to_user_ptr(arg->shared), arg->nr_shared,
				sizeof(*seal->shared));
	if (IS_ERR(in))
		return PTR_ERR(in);
	seal->shared = in;
	seal->nr_shared = arg->nr_shared;

	for (i = 0; i < seal->nr_shared; i++) {
		const struct kvm_gm_shared *shared = &seal->shared[i];

		if (!shared->nr_pages)
			return -EINVAL;
		if (shared->nr_pages > KVM_GM_MAX_PAGES - total)
			return -E2BIG;
		total += shared->nr_pages;
		if (!gm_is_kernel_range(shared->va, shared->nr_pages << PAGE_SHIFT))
			return -EINVAL;
	}
	return 0;
}

static int gm_load_frames(struct gm_seal *seal, const struct kvm_gm_seal *arg)
{
	void *in;
	u32 i;

	if (arg->nr_frames > KVM_GM_MAX_FRAMES)
		return -E2BIG;
	if (!arg->nr_frames)
		return 0;

	in = vmemdup_array_user(u64_to_user_ptr(arg->frames), arg->nr_frames,
				sizeof(*seal->frames));
	if (IS_ERR(in))
		return PTR_ERR(in);
	seal->frames = in;
	seal->nr_frames = arg->nr_frames;

	for (i = 0; i < seal->nr_frames; i++) {
		struct kvm_gm_frame *frame = &seal->frames[i];

		if (i && frame->ret <= frame[-1].ret)
			return -EINVAL;
		if (!IS_ALIGNED(frame->size, 8) ||
		    frame->size >= seal->stack_size - PAGE_SIZE)
			return -EINVAL;
		if ((u32)frame->window + frame->window_len > frame->size)
			return -EINVAL;
		if (!gm_in_region(seal, frame->ret, KVM_GM_REGION_TEXT))
			return -EINVAL;
		if (frame->window_len)
			seal->has_windows = true;
	}
	return seal->has_windows ? gm_hash_frames(seal) : 0;
}

static void gm_free_seal(struct kref *ref)
{
	struct gm_seal *seal = container_of(ref, struct gm_seal, ref);
	u32 i;

	for (i = 0; i < seal->nr_pages && seal->pages; i++) {
		if (seal->pages[i].page) {
			clear_highpage(seal->pages[i].page);
			__free_page(seal->pages[i].page);
		}
		if (seal->pages[i].mirror)
			__free_page(seal->pages[i].mirror);
	}
	gm_free_activations(seal);
	gm_free_tables(seal);
	if (seal->id)
		clear_bit(seal->id, seal->kvm->arch.gm->ids);
	kvfree(seal->devices);
	kvfree(seal->by_ret);
	kvfree(seal->frames);
	kvfree(seal->shared);
	kvfree(seal->gates);
	kvfree(seal->gfns);
	kvfree(seal->pages);
	kfree(seal->regions);
	kvfree(seal);
}

void gm_put_seal(struct gm_seal *seal)
{
	kref_put(&seal->ref, gm_free_seal);
}

static void gm_zap(struct gm_seal *seal)
{
	u32 i;

	for (i = 0; i < seal->nr_pages; i++)
		kvm_zap_gfn_range(seal->kvm, seal->gfns[i], seal->gfns[i] + 1);
}

/*
 * What backs a frame changes only between these two, so that a fault which
 * looked before does not map what it saw after.
 */
static void gm_invalidate_begin(struct gm_seal *seal)
{
	struct kvm *kvm = seal->kvm;
	u32 i;

	write_lock(&kvm->mmu_lock);
	kvm_mmu_invalidate_begin(kvm);
	for (i = 0; i < seal->nr_pages; i++)
		kvm_mmu_invalidate_range_add(kvm, seal->gfns[i], seal->gfns[i] + 1);
	write_unlock(&kvm->mmu_lock);
}

static void gm_invalidate_end(struct gm_seal *seal)
{
	write_lock(&seal->kvm->mmu_lock);
	kvm_mmu_invalidate_end(seal->kvm);
	write_unlock(&seal->kvm->mmu_lock);
}

static void gm_zap_aperture(struct gm_seal *seal)
{
	kvm_zap_gfn_range(seal->kvm, seal->aperture,
			  seal->aperture + GM_APERTURE_GFNS);
}

/* For good: nobody faults there any more. */
void gm_release_aperture(struct gm_seal *seal)
{
	gm_zap_aperture(seal);
	gm_unmap_devices(seal);
}

/* Take the first @n frames back from the seal. */
static void gm_remove_pages(struct gm *gm, struct gm_seal *seal, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		xa_erase(&gm->pages, seal->gfns[i]);
	gm_zap(seal);
}

static int gm_insert_pages(struct gm *gm, struct gm_seal *seal)
{
	u32 i;
	int r = 0;

	for (i = 0; i < seal->nr_pages; i++)
		if (!kvm_is_visible_gfn(seal->kvm, seal->gfns[i]))
			return -EFAULT;

	gm_invalidate_begin(seal);
	for (i = 0; i < seal->nr_pages && !r; i++)
		r = xa_insert(&gm->pages, seal->gfns[i], &seal->pages[i],
			      GFP_KERNEL_ACCOUNT);
	if (r)
		gm_remove_pages(gm, seal, i - 1);
	else
		gm_zap(seal);
	gm_invalidate_end(seal);

	/* A vCPU may still be looking at what was inserted. */
	if (r)
		synchronize_srcu(&seal->kvm->srcu);
	return r;
}

/* Frozen page tables have four levels (I6). */
static int gm_check_paging(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (kvm_is_cr4_bit_set(vcpu, X86_CR4_LA57))
			return -EOPNOTSUPP;
	return 0;
}

static int gm_find_id(struct gm *gm, struct gm_seal *seal)
{
	struct kvm *kvm = seal->kvm;
	u32 i;

	for (i = 1; i <= KVM_GM_MAX_SEALS; i++) {
		struct gm_seal *other =
			rcu_dereference_protected(gm->seals[i],
						  lockdep_is_held(&kvm->slots_lock));

		if (other && gm_regions_overlap(seal, other))
			return -EEXIST;
	}

	/* An id, and with it a view's roots, is free when the seal is freed. */
	i = find_next_zero_bit(gm->ids, KVM_GM_MAX_SEALS + 1, 1);
	if (i > KVM_GM_MAX_SEALS)
		return -ENOSPC;
	set_bit(i, gm->ids);
	seal->id = i;
	return 0;
}

/* What an ioctl is about, with kvm->slots_lock held; -EINVAL, -ENOENT or -ESTALE if nothing. */
struct gm_seal *gm_get_sealed(struct kvm *kvm, u32 id, u32 generation)
{
	struct gm *gm = kvm->arch.gm;
	struct gm_seal *seal;

	if (!id || id > KVM_GM_MAX_SEALS)
		return ERR_PTR(-EINVAL);

	id = array_index_nospec(id, KVM_GM_MAX_SEALS + 1);
	seal = rcu_dereference_protected(gm->seals[id], lockdep_is_held(&kvm->slots_lock));
	if (!seal)
		return ERR_PTR(-ENOENT);
	return seal->generation == generation ? seal : ERR_PTR(-ESTALE);
}

int gm_seal(struct kvm *kvm, struct kvm_gm_seal *arg)
{
	struct gm *gm = kvm->arch.gm;
	struct gm_seal *seal;
	int r;

	if (arg->size != sizeof(*arg) || memchr_inv(arg->reserved, 0, sizeof(arg->reserved)) ||
	    strnlen(arg->name, sizeof(arg->name)) == sizeof(arg->name) ||
	    arg->stack_pages < 2 || arg->stack_pages > 16 ||
	    arg->policy > KVM_GM_POLICY_QUARANTINE || arg->generation)
		return -EINVAL;

	seal = kvzalloc(sizeof(*seal), GFP_KERNEL_ACCOUNT);
	if (!seal)
		return -ENOMEM;
	kref_init(&seal->ref);
	raw_spin_lock_init(&seal->table_lock);
	raw_spin_lock_init(&seal->act_lock);
	spin_lock_init(&seal->msr_lock);
	seal->kvm = kvm;
	seal->hash = gm->hash;
	seal->policy = arg->policy;
	seal->view_flags = GM_VIEW_INSIDE | (kvm_hlt_in_guest(kvm) ? GM_VIEW_HLT : 0);
	memcpy(seal->name, arg->name, sizeof(seal->name));

	r = gm_check_paging(kvm);
	if (!r)
		r = gm_load_regions(seal, arg);
	if (!r)
		r = gm_load_shared(seal, arg);
	if (!r)
		r = gm_load_gates(seal, arg);
	if (!r)
		r = gm_load_frames(seal, arg);
	if (!r)
		r = gm_alloc_activations(seal);
	if (r)
		goto out;

	/* Also keeps memslots, and roots being torn down, from changing. */
	mutex_lock(&kvm->slots_lock);
	r = gm_find_id(gm, seal);
	if (!r)
		r = gm_build_tables(seal);
	if (r)
		goto out_unlock;

	/* No vCPU may use what was mapped at these frames before. */
	gm_zap_aperture(seal);
	r = gm_insert_pages(gm, seal);
	if (r)
		goto out_unlock;

	seal->generation = ++gm->generation;
	rcu_assign_pointer(gm->seals[seal->id], seal);
	gm_insert_gates(seal);
	WRITE_ONCE(gm->nr_seals, gm->nr_seals + 1);
	arg->id = seal->id;
	arg->generation = seal->generation;
	++kvm->stat.gm_seals;
	trace_kvm_gm_seal(seal->id, seal->name, seal->nr_pages, seal->nr_gates);
	mutex_unlock(&kvm->slots_lock);
	return 0;

out_unlock:
	mutex_unlock(&kvm->slots_lock);
out:
	gm_put_seal(seal);
	return r;
}

/*
 * vCPUs that are inside leave before they run the guest again. Returns
 * -ENOENT if somebody else unsealed it already. The caller holds a reference
 * and kvm->slots_lock, and does not hold kvm->srcu. @flags is for its last query.
 */
static int gm_unseal_locked(struct gm_seal *seal, u32 flags)
{
	struct kvm *kvm = seal->kvm;
	struct gm *gm = kvm->arch.gm;
	u32 i;

	if (rcu_access_pointer(gm->seals[seal->id]) != seal)
		return -ENOENT;

	RCU_INIT_POINTER(gm->seals[seal->id], NULL);
	gm_remove_gates(seal);
	WRITE_ONCE(gm->nr_seals, gm->nr_seals - 1);
	if (seal->hostinfo)
		WRITE_ONCE(gm->nr_hostinfo, gm->nr_hostinfo - 1);
	WRITE_ONCE(seal->dead, true);

	gm_invalidate_begin(seal);
	gm_remove_pages(gm, seal, seal->nr_pages);
	gm_invalidate_end(seal);
	kvm_make_all_cpus_request(kvm, KVM_REQ_GM);

	/*
	 * After this nobody faults in the view, since __gm_page_fault() sees
	 * `dead', and nobody crosses its gates, on the fastpath or off it.
	 */
	synchronize_srcu(&kvm->srcu);
	synchronize_rcu();
	gm_release_aperture(seal);

	--kvm->stat.gm_seals;
	trace_kvm_gm_unseal(seal->id, seal->name, seal->nr_pages, seal->nr_gates);
	gm_fill_query(seal, &gm->ended[seal->id]);
	gm->ended[seal->id].flags |= KVM_GM_QUERY_F_ENDED | flags;

	/* References may last until the vCPUs leave; the contents do not. */
	for (i = 0; i < seal->nr_pages; i++)
		if (!gm_is_device(&seal->pages[i]))
			clear_highpage(seal->pages[i].page);
	gm_put_seal(seal);
	return 0;
}

/*
 * From a vCPU's run loop, outside. Userspace is told, unless somebody else has
 * unsealed it already. The caller holds a reference. Returns what an exit
 * handler returns.
 */
int gm_unseal_in_run(struct kvm_vcpu *vcpu, struct gm_seal *seal, u32 flags)
{
	struct kvm_gm_exit *exit = KVM_GM_EXIT(vcpu->run);
	int r;

	kvm_vcpu_srcu_read_unlock(vcpu);
	mutex_lock(&vcpu->kvm->slots_lock);
	r = gm_unseal_locked(seal, flags);
	mutex_unlock(&vcpu->kvm->slots_lock);
	kvm_vcpu_srcu_read_lock(vcpu);
	if (r)
		return 1;

	vcpu->run->exit_reason = KVM_EXIT_GM;
	memset(exit, 0, sizeof(*exit));
	exit->type = KVM_GM_EXIT_UNSEALED;
	exit->id = seal->id;
	exit->generation = seal->generation;
	exit->rip = kvm_rip_read(vcpu);
	exit->gpa = INVALID_GPA;
	exit->gate = KVM_GM_NO_GATE;
	return 0;
}

int gm_unseal_id(struct kvm *kvm, u32 id)
{
	struct gm_seal *seal;

	if (!id || id > KVM_GM_MAX_SEALS)
		return -EINVAL;

	id = array_index_nospec(id, KVM_GM_MAX_SEALS + 1);
	guard(mutex)(&kvm->slots_lock);

	seal = rcu_dereference_protected(kvm->arch.gm->seals[id],
					 lockdep_is_held(&kvm->slots_lock));
	return seal ? gm_unseal_locked(seal, 0) : -ENOENT;
}
