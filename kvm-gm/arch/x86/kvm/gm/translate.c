// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: the frozen translation (I6).
 *
 * Inside a module the CPU walks page tables that KVM owns. They and the sealed
 * pages that they map lie at guest frames (the aperture) that exist in the
 * module's view only, at a place that the guest does not know. Entries on the
 * way to the module's own pages are frozen at the seal; every other kernel
 * entry is borrowed from the guest's tables when it is first missing. What is
 * borrowed in the upper two levels points at tables of the guest's, which Linux
 * makes once and never frees, so it follows them by itself; what is borrowed
 * below is a copy, and is given back whenever a vCPU enters or leaves, unless userspace
 * has said that the guest will not change it (struct kvm_gm_shared). A guest that
 * changes what is kept under a module misleads only itself: borrowed entries
 * lead to guest memory and nowhere else, whatever they say.
 */
#include "gm/devices.h"
#include "mmu.h"

#define GM_LEVELS	4

#define GM_ENTRY_TABLE	(PT_PRESENT_MASK | PT_WRITABLE_MASK | PT_ACCESSED_MASK)
#define GM_ENTRY_PAGE	(GM_ENTRY_TABLE | PT_DIRTY_MASK)
#define GM_ENTRY_DEVICE	(GM_ENTRY_PAGE | PT_PWT_MASK | PT_PCD_MASK)
#define GM_ENTRY_ADDR	GENMASK_ULL(51, PAGE_SHIFT)
#define GM_ENTRY_STATUS	(PT_ACCESSED_MASK | PT_DIRTY_MASK)

static unsigned int gm_index(u64 va, int level)
{
	return (va >> (PAGE_SHIFT + 9 * (level - 1))) & 511;
}

/* Bytes that a table of @level translates. */
static u64 gm_table_size(int level)
{
	return 1ULL << (PAGE_SHIFT + 9 * level);
}

static u64 gm_table_base(u64 va, int level)
{
	return va & ~(gm_table_size(level) - 1);
}

static struct gm_table *gm_find_table(struct gm_seal *seal, u64 va, int level)
{
	u64 base = gm_table_base(va, level);
	int i;

	for (i = 0; i < seal->nr_tables; i++)
		if (seal->tables[i].level == level && seal->tables[i].base == base)
			return &seal->tables[i];
	return NULL;
}

static struct gm_table *gm_new_table(struct gm_seal *seal, u64 va, int level)
{
	struct gm_table *table;

	if (seal->nr_tables == GM_MAX_TABLES)
		return ERR_PTR(-E2BIG);

	table = &seal->tables[seal->nr_tables];
	table->entries = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!table->entries)
		return ERR_PTR(-ENOMEM);
	table->level = level;
	table->base = gm_table_base(va, level);
	seal->nr_tables++;
	return table;
}

/* The table of the last level that @va is translated by, as are the ways there: frozen. */
static struct gm_table *gm_freeze_path(struct gm_seal *seal, u64 va)
{
	struct gm_table *table = &seal->tables[0];
	int level;

	for (level = GM_LEVELS; level > 1; level--) {
		struct gm_table *next = gm_find_table(seal, va, level - 1);
		unsigned int i = gm_index(va, level);

		if (!next) {
			next = gm_new_table(seal, va, level - 1);
			if (IS_ERR(next))
				return next;
			table->entries[i] = gfn_to_gpa(seal->aperture + (next - seal->tables)) |
					    GM_ENTRY_TABLE;
			__set_bit(i, table->frozen);
		}
		table = next;
	}
	return table;
}

static int gm_freeze(struct gm_seal *seal, u64 va, gfn_t gfn, u64 flags)
{
	struct gm_table *table = gm_freeze_path(seal, va);

	if (IS_ERR(table))
		return PTR_ERR(table);

	/* Second-level permissions tell read-only and executable pages. */
	if (!gm_in_guard(seal, va))
		table->entries[gm_index(va, 1)] = gfn_to_gpa(gfn) | flags;
	__set_bit(gm_index(va, 1), table->frozen);
	return 0;
}

/* What is kept of the guest's entries, is kept in tables of the last level. */
static int gm_make_room(struct gm_seal *seal, const struct kvm_gm_shared *shared)
{
	u64 last = shared->va + ((shared->nr_pages - 1) << PAGE_SHIFT);
	u64 base = gm_table_base(shared->va, 1);
	u64 i;

	for (i = 0; i <= (last - base) / gm_table_size(1); i++) {
		struct gm_table *table = gm_freeze_path(seal, base + i * gm_table_size(1));

		if (IS_ERR(table))
			return PTR_ERR(table);
	}
	return 0;
}

static bool gm_any_memslot(struct kvm *kvm, gfn_t start, gfn_t end)
{
	struct kvm_memory_slot *slot;
	int bkt;

	kvm_for_each_memslot(slot, bkt, kvm_memslots(kvm))
		if (slot->base_gfn < end && start < slot->base_gfn + slot->npages)
			return true;
	return false;
}

/*
 * The third quarter of the guest's physical address space is above any memory
 * and below where firmware puts large devices. A place there is drawn at
 * random; whoever guesses another one gets a violation, and no second guess.
 */
static int gm_choose_aperture(struct gm_seal *seal, int maxphyaddr)
{
	int bits = min3(maxphyaddr, (int)kvm_host.maxphyaddr, 46);
	struct gm *gm = seal->kvm->arch.gm;
	int i, tries = 64;
	u32 places;

	BUILD_BUG_ON(GM_MAX_TABLES + KVM_GM_MAX_PAGES > GM_APERTURE_GFNS);

	if (bits < GM_MIN_MAXPHYADDR)
		return -EINVAL;
	seal->aperture_space = gpa_to_gfn(BIT_ULL(bits - 1));
	seal->aperture_end = seal->aperture_space + gpa_to_gfn(BIT_ULL(bits - 2));
	if (gm_any_memslot(seal->kvm, seal->aperture_space, seal->aperture_end))
		return -EBUSY;
	places = gpa_to_gfn(BIT_ULL(bits - 2)) / GM_APERTURE_GFNS;
retry:
	if (!tries--)
		return -EBUSY;
	seal->aperture = seal->aperture_space +
			 (gfn_t)get_random_u32_below(places) * GM_APERTURE_GFNS;
	for (i = 1; i <= KVM_GM_MAX_SEALS; i++) {
		struct gm_seal *other =
			rcu_dereference_protected(gm->seals[i],
						  lockdep_is_held(&seal->kvm->slots_lock));

		if (other && other->aperture == seal->aperture)
			goto retry;
	}
	return 0;
}

/* For all of seal->pages and seal->shared. On error the caller frees the seal. */
int gm_build_tables(struct gm_seal *seal)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu(seal->kvm, 0);
	struct gm_table *root;
	int i, r;

	if (!vcpu)
		return -EINVAL;

	r = gm_choose_aperture(seal, cpuid_maxphyaddr(vcpu));
	if (r)
		return r;

	root = gm_new_table(seal, 0, GM_LEVELS);
	if (IS_ERR(root))
		return PTR_ERR(root);

	for (i = 0; i < seal->nr_pages; i++) {
		r = gm_freeze(seal, seal->pages[i].va,
			      seal->aperture + GM_MAX_TABLES + i,
			      gm_is_device(&seal->pages[i]) ? GM_ENTRY_DEVICE : GM_ENTRY_PAGE);
		if (r)
			return r;
	}
	for (i = 0; i < seal->nr_shared; i++) {
		r = gm_make_room(seal, &seal->shared[i]);
		if (r)
			return r;
	}
	return 0;
}

void gm_free_tables(struct gm_seal *seal)
{
	int i;

	for (i = 0; i < seal->nr_tables; i++)
		free_page((unsigned long)seal->tables[i].entries);
	seal->nr_tables = 0;
}

/*
 * The guest's own translation of @va: @entries by level, 0 where there is none.
 * True if it leads to a page.
 */
static bool gm_walk_guest(struct kvm_vcpu *vcpu, u64 va, u64 entries[GM_LEVELS + 1])
{
	u64 entry = vcpu->arch.gm.guest_cr3;
	int level;

	memset(entries, 0, sizeof(entries[0]) * (GM_LEVELS + 1));
	for (level = GM_LEVELS; level; level--) {
		gpa_t gpa = (entry & GM_ENTRY_ADDR) + gm_index(va, level) * sizeof(u64);

		if (kvm_vcpu_read_guest(vcpu, gpa, &entry, sizeof(entry)) ||
		    !(entry & PT_PRESENT_MASK))
			return false;
		entries[level] = entry;
		if (level > 1 && (entry & PT_PAGE_SIZE_MASK))
			return true;
	}
	return true;
}

static void gm_give_back(struct gm_seal *seal)
{
	lockdep_assert_held(&seal->table_lock);
	while (seal->nr_borrowed)
		WRITE_ONCE(*seal->borrowed[--seal->nr_borrowed], 0);
}

/* Grows with every crossing of any vCPU. */
static u64 gm_epoch(struct gm_seal *seal)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < KVM_GM_NR_CROSSINGS; i++)
		sum += atomic64_read(&seal->crossings[i]);
	return sum;
}

static bool gm_is_shared(struct gm_seal *seal, u64 va)
{
	u32 i;

	for (i = 0; i < seal->nr_shared; i++)
		if (va - seal->shared[i].va < seal->shared[i].nr_pages << PAGE_SHIFT)
			return true;
	return false;
}

/*
 * The guest's @entry, read at @epoch, for KVM's @to, which is @kept or to be given
 * back: is it news? If it is there already, @late tells whether it was not when the
 * CPU looked.
 */
static bool gm_follow_entry(struct kvm_vcpu *vcpu, u64 *to, u64 entry, bool kept, u64 epoch,
			    bool late)
{
	struct gm_seal *seal = vcpu->arch.gm.seal;

	/*
	 * A vCPU that has crossed meanwhile may have flushed what it believes to
	 * be the last copy of an entry that this one has read: read it again.
	 */
	if (!kept && gm_epoch(seal) != epoch)
		return true;
	if (!((READ_ONCE(*to) ^ entry) & ~GM_ENTRY_STATUS)) {
		if (late)
			kvm_x86_call(flush_tlb_guest)(vcpu);
		return late;
	}

	if (!kept && !READ_ONCE(*to)) {
		if (seal->nr_borrowed == GM_MAX_BORROWED)
			gm_give_back(seal);
		seal->borrowed[seal->nr_borrowed++] = to;
	}
	WRITE_ONCE(*to, entry);
	/* Whoever crosses after this sees that there is something to give back. */
	smp_mb();
	if (!kept && gm_epoch(seal) != epoch)
		gm_give_back(seal);
	kvm_x86_call(flush_tlb_guest)(vcpu);
	return true;
}

/*
 * The CPU found no translation for @va while inside. True: there is a new one
 * from the guest's tables, try again. False: the fault is the module's.
 */
bool gm_refresh_translation(struct kvm_vcpu *vcpu, u64 va, u32 error_code)
{
	struct gm_seal *seal = vcpu->arch.gm.seal;
	struct gm_table *table = &seal->tables[0];
	u64 entries[GM_LEVELS + 1], epoch = gm_epoch(seal);
	bool again, late, kept;
	int level;

	/* Modules reach user memory through the kernel, never by themselves. */
	if (va >> 47 != 0x1ffff)
		return false;

	for (level = GM_LEVELS; test_bit(gm_index(va, level), table->frozen); level--) {
		if (level == 1)
			return false;
		table = gm_find_table(seal, va, level - 1);
		if (WARN_ON_ONCE(!table))
			return false;
	}

	/*
	 * What leads to a page for KVM and did not for the CPU: it has come meanwhile.
	 * Reserved bits are not for KVM to find: the CPU has met an entry with some, and
	 * QEMU's TCG says so without the present bit that the manuals promise.
	 */
	late = gm_walk_guest(vcpu, va, entries) &&
	       !(error_code & (PFERR_PRESENT_MASK | PFERR_RSVD_MASK));
	if (!entries[level])
		return false;
	kept = level > 2 || (level == 1 && gm_is_shared(seal, va));

	raw_spin_lock(&seal->table_lock);
	again = gm_follow_entry(vcpu, &table->entries[gm_index(va, level)], entries[level],
				kept, epoch, late);
	raw_spin_unlock(&seal->table_lock);
	return again;
}

void __gm_return_borrowed(struct gm_seal *seal)
{
	raw_spin_lock(&seal->table_lock);
	gm_give_back(seal);
	raw_spin_unlock(&seal->table_lock);
}
