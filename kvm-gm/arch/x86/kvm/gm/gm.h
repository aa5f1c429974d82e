/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guarded modules: structures shared by the files of gm/, and nobody else.
 *
 * One struct gm per VM, one struct gm_seal per sealed module, one struct
 * gm_activation per thread that is inside (or called out of) a module.
 *
 * Locking: kvm->slots_lock serializes sealing and unsealing. gm->seals,
 * gm->pages and gm->gates are read under kvm->srcu, on the exit fastpath under
 * RCU; unsealing waits for both. A vCPU that is inside a module holds a
 * reference on the seal. seal->act_lock protects who has which activation;
 * an activation in GM_ACT_INSIDE belongs to its vCPU alone. The fastpath takes
 * act_lock and table_lock with interrupts off: nothing under them may sleep.
 */
#ifndef __KVM_X86_GM_H
#define __KVM_X86_GM_H

#include <linux/kvm_host.h>
#include <linux/kref.h>
#include <linux/xarray.h>
#include <uapi/linux/kvm_gm.h>

#include "gm/hooks.h"
#include "gm/vendor.h"
#include "x86.h"
#include "kvm_cache_regs.h"

/* What a view may do with a page. */
#define GM_R	1
#define GM_W	2
#define GM_X	4

/* One sealed guest frame, in gm->pages by gfn. */
struct gm_page {
	struct page *page;	/* KVM's own, never the guest's; NULL: a device's */
	struct page *mirror;	/* what the guest has in its place, or NULL */
	struct gm_seal *seal;
	u64 va;			/* where the module sees it */
	u8 guest;		/* GM_* at its guest frame, in every view */
	u8 module;		/* GM_* at its frame in the aperture */
};

struct gm_region {
	u64 va;
	u64 size;
	u32 kind;
	bool cloaked;
	u32 first;		/* its first page, index into seal->pages */
};

/* A page-table page that KVM owns, at a gpa of the module view only (I6). */
struct gm_table {
	u64 *entries;
	u8  level;		/* 4: PML4 .. 1: PT */
	u64 base;		/* first virtual address it translates */
	DECLARE_BITMAP(frozen, 512);
};

/* A registered hypercall instruction, in gm->gates by insn. */
struct gm_gate {
	u64 insn;
	u64 target;
	struct hlist_node node;
	struct gm_seal *seal;
	u8 kind;		/* enum kvm_gm_gate_kind */
	u8 flags;		/* KVM_GM_GATE_F_* */
	u16 stack_words;
	u16 results;		/* F_ASM: what the callee may change, and RSP */
	u32 nr;			/* its index into seal->gates */
	atomic64_t count;	/* crossings */
};

#define GM_GATE_BITS	12	/* of gm->gates, log2 of the buckets */

/*
 * Random odd numbers, so that nobody can choose values that collide: multiply
 * and shift is universal (Dietzfelbinger et al. 1997), and what comes before is
 * one to one. By itself it would leave values that are evenly spaced, as stacks
 * and gates are, evenly spaced, and with some keys in few buckets.
 */
struct gm_hash_keys {
	u64 scatter;
	u64 spread;
};

static __always_inline u32 gm_hash(u64 value, const struct gm_hash_keys *keys, unsigned int bits)
{
	value *= keys->scatter;
	value ^= value >> 32;
	return value * keys->spread >> (64 - bits);
}

/*
 * Guest frames of one module's view: GM_MAX_TABLES for page tables, then one
 * for each sealed page.
 */
#define GM_MAX_TABLES	64
#define GM_APERTURE_GFNS	8192
#define GM_MAX_BORROWED	64
#define GM_MIN_MAXPHYADDR	36	/* 512 places for 31 apertures */

#define GM_XSAVE_SIZE	PAGE_SIZE	/* of XSAVE's standard format up to AVX-512 */

/* Whose the x87 and SIMD registers are, see fpu.c. */
enum gm_fpu {
	GM_FPU_GUEST,
	GM_FPU_BEGINNING,	/* OUT, in kernel_fpu_begin() */
	GM_FPU_MODULE,		/* INSIDE */
	GM_FPU_SAVED,		/* OUT or EVENT: in xsave */
};

enum gm_activation_state {
	GM_ACT_FREE,
	GM_ACT_INSIDE,		/* owned by the vCPU that is inside */
	GM_ACT_OUT,		/* in an out-call */
	GM_ACT_EVENT,		/* interrupted; in the guest's handler */
	GM_ACT_LOST,		/* its thread is gone; nobody gets its stack */
};

/* Bytes of a private stack that the guest may write: from the stack's lowest one on. */
struct gm_window {
	u32 at;
	u32 len;
};

struct gm_activation {
	struct gm_activation *next_free;
	struct hlist_node by_guest_sp;	/* unless FREE */
	struct hlist_node by_out_sp;	/* OUT */
	struct hlist_node waiting;	/* OUT, with shared objects */
	struct gm_activation *outer;	/* waited further up on the same guest stack ... */
	u64 outer_sp;			/* with this out_sp when this one came in, or NULL */
	enum gm_activation_state state;
	u32 gate;		/* the in-call gate's index */
	u64 guest_sp;		/* at the in-call; [guest_sp] is the return address */
	u64 stack_top;		/* one past the private stack's highest byte */
	u8 *top_page;		/* where KVM has its last page */
	u64 out_sp;		/* OUT: guest SP at which the in-return comes back */
	u64 top_sp;		/* private SP after the target's own return */

	/* RBX, RBP, R12..R15: the guest's at the in-call, ours at an out-call. */
	u64 guest_callee_saved[6];
	u64 private_callee_saved[6];

	/* OUT: SP and RIP. OUT of an assembly callee, or EVENT: everything. */
	u64 regs[NR_VCPU_REGS];
	u16 results;		/* OUT of an assembly callee: what it may change */
	u64 rflags;

	/* On-stack objects, see stack.c; both as large as the stack. */
	u8 *shadow;
	unsigned long *synced;
	bool shared;		/* any bit of synced is set */
	struct gm_window *windows;	/* OUT: of its frames, up to KVM_GM_MAX_DEPTH */
	u32 nr_windows;
	u32 window_bytes;	/* of all of these */

	enum gm_fpu fpu;
	struct xregs_state *xsave;
};

/* MSRs that a module may reach, or (not granted) could once. */
struct gm_msr_range {
	u32 first, last;
	bool write;
	bool granted;
};

struct gm_seal {
	struct kref ref;
	struct kvm *kvm;
	u32 id;			/* = view */
	u32 generation;
	u32 policy;		/* enum kvm_gm_policy */
	bool dead;		/* nobody enters, vCPUs inside must leave */
	bool quarantined;	/* so even if userspace unseals */
	atomic_t begun;		/* its init function has been entered */
	char name[KVM_GM_NAME_LEN];

	struct gm_page *pages;
	u64 *gfns;
	u32 nr_pages;
	struct gm_region *regions;
	u32 nr_regions;

	u64 low, high;		/* all regions lie in [low, high) */
	u64 gs_last;		/* the last GS base below that does not reach them */

	struct gm_gate *gates;	/* sorted by insn */
	u32 nr_gates;
	u32 in_return, resume;	/* indices into gates */
	u64 out_return;		/* the gate's instruction */
	struct kvm_gm_frame *frames;	/* sorted by ret */
	u32 nr_frames;
	u32 *by_ret;		/* 1 << ret_bits indices of frames, from 1 on */
	u32 ret_bits;
	bool has_windows;
	bool has_fpu;		/* a gate with FPU_BEGIN */
	struct kvm_gm_shared *shared;
	u32 nr_shared;
	u64 trampoline;
	u64 ret;

	u64 stack_va;
	u32 stack_size;		/* bytes of each private stack */
	u32 stack_first;	/* its first page */
	struct gm_activation *acts;
	u32 nr_acts;
	raw_spinlock_t act_lock;
	struct gm_activation *free_acts;
	struct hlist_head *by_guest_sp, *by_out_sp;
	struct hlist_head *waiting;	/* by guest stack, if there are windows */
	u32 act_bits;		/* log2 of the buckets of each */
	struct gm_hash_keys hash;	/* as in struct gm */

	raw_spinlock_t table_lock;	/* entries that follow the guest's */
	struct gm_table tables[GM_MAX_TABLES];
	u32 nr_tables;
	gfn_t aperture_space;	/* in a module's view, nothing from here ... */
	gfn_t aperture_end;	/* to here but ... */
	gfn_t aperture;		/* of tables[0], the PML4 */
	u64 *borrowed[GM_MAX_BORROWED];
	u32 nr_borrowed;

	/* What it has been granted, see privilege.c. */
	u32 view_flags;			/* GM_VIEW_*, of its view */
	spinlock_t msr_lock;
	struct gm_msr_range msrs[KVM_GM_MAX_GRANTS];
	u32 nr_msrs;
	u32 mwait_hint;			/* with GM_VIEW_MWAIT: what is allowed */
	struct kvm_gm_hostinfo *hostinfo;	/* RCU: while granted */
	struct gm_devices *devices;	/* its DEVICES region, or NULL: see devices.c */

	atomic64_t crossings[KVM_GM_NR_CROSSINGS];
	atomic64_t violations[KVM_GM_NR_VIOLATIONS];
};

/* Where apertures may be: there is nothing else in a module's view. */
static inline bool gm_in_aperture_space(struct gm_seal *seal, gfn_t gfn)
{
	return gfn >= seal->aperture_space && gfn < seal->aperture_end;
}

struct gm {
	struct xarray pages;	/* gfn -> struct gm_page */
	struct gm_hash_keys hash;	/* of gates and of activations */
	struct hlist_head gates[1 << GM_GATE_BITS];
	struct gm_seal __rcu *seals[KVM_GM_MAX_SEALS + 1];
	DECLARE_BITMAP(ids, KVM_GM_MAX_SEALS + 1);
	unsigned int nr_seals;
	unsigned int nr_hostinfo;	/* seals that have been granted it */
	u32 generation;		/* of the latest seal */
	struct kvm_gm_query ended[KVM_GM_MAX_SEALS + 1];	/* by id */
	struct kvm_memory_slot slot;	/* stands in where the guest has none */
	atomic64_t violations[KVM_GM_NR_VIOLATIONS];	/* of no module */
};

/* gm.c */
void gm_fill_query(struct gm_seal *seal, struct kvm_gm_query *query);

/* seal.c */
struct gm_seal *gm_get_sealed(struct kvm *kvm, u32 id, u32 generation);
int gm_seal(struct kvm *kvm, struct kvm_gm_seal *arg);
int gm_unseal_in_run(struct kvm_vcpu *vcpu, struct gm_seal *seal, u32 flags);
int gm_unseal_id(struct kvm *kvm, u32 id);
void gm_release_aperture(struct gm_seal *seal);
bool gm_in_region(struct gm_seal *seal, u64 va, u32 kind);
bool gm_in_guard(struct gm_seal *seal, u64 va);
struct gm_page *gm_page_at(struct gm_seal *seal, u64 va);
void gm_put_seal(struct gm_seal *seal);
const struct gm_region *gm_find_region(struct gm_seal *seal, u64 va);

u32 gm_read_text(struct gm_seal *seal, u64 va, u8 *to, u32 len);

/* gate.c */
int gm_load_gates(struct gm_seal *seal, const struct kvm_gm_seal *arg);
void gm_insert_gates(struct gm_seal *seal);
void gm_remove_gates(struct gm_seal *seal);

/* The gate whose instruction is at @rip; NULL if there is none. */
static inline struct gm_gate *gm_find_gate(struct kvm *kvm, u64 rip)
{
	struct gm *gm = kvm->arch.gm;
	struct gm_gate *gate;

	hlist_for_each_entry_rcu(gate, &gm->gates[gm_hash(rip, &gm->hash, GM_GATE_BITS)],
				 node, irqs_disabled() || srcu_read_lock_held(&kvm->srcu))
		if (gate->insn == rip)
			return gate;
	return NULL;
}

/* activation.c */
int gm_alloc_activations(struct gm_seal *seal);
void gm_free_activations(struct gm_seal *seal);
void gm_lose_activation(struct gm_seal *seal, struct gm_activation *act);
void gm_publish_event(struct gm_seal *seal, struct gm_activation *act);
struct gm_activation *gm_claim_event(struct gm_seal *seal, u64 guest_sp, bool fast);

struct gm_activation *gm_outer(struct gm_activation *act);

/* How much of what waits above an activation its crossings look at. */
struct gm_budget {
	int nr;
	int bytes;
};

#define GM_OUTER_BUDGET	{ .nr = KVM_GM_MAX_OUTER, .bytes = KVM_GM_MAX_OUTER_BYTES }

static inline bool gm_afford(struct gm_budget *budget, const struct gm_activation *act)
{
	budget->nr--;
	budget->bytes -= act->window_bytes;
	return budget->nr >= 0 && budget->bytes >= 0;
}

/* view.c */
void gm_leave_view(struct kvm_vcpu *vcpu);

/* translate.c */
int gm_build_tables(struct gm_seal *seal);
void gm_free_tables(struct gm_seal *seal);
bool gm_refresh_translation(struct kvm_vcpu *vcpu, u64 va, u32 error_code);
void __gm_return_borrowed(struct gm_seal *seal);

/*
 * A vCPU leaves, and what was copied beside the module's pages may change now;
 * or it enters, and must not see what has changed since it was copied.
 */
static __always_inline void gm_return_borrowed(struct gm_seal *seal)
{
	if (unlikely(READ_ONCE(seal->nr_borrowed)))
		__gm_return_borrowed(seal);
}

/* crossing.c */
void gm_hide_registers(struct kvm_vcpu *vcpu);
void gm_count(struct kvm_vcpu *vcpu, struct gm_seal *seal, enum kvm_gm_crossing kind);

/* fpu.c */
void __gm_fpu_out_call(struct kvm_vcpu *vcpu, struct gm_activation *act, u32 flags);
void __gm_fpu_hide(struct kvm_vcpu *vcpu, struct gm_activation *act);
void __gm_fpu_drop(struct kvm_vcpu *vcpu, struct gm_activation *act);
void __gm_fpu_show(struct kvm_vcpu *vcpu, struct gm_activation *act);

/* The registers are of no concern for an out-call by a gate with @flags. */
static inline bool gm_fpu_idle(struct gm_activation *act, u32 flags)
{
	return likely(act->fpu == GM_FPU_GUEST &&
		      !(flags & (KVM_GM_GATE_F_FPU_BEGIN | KVM_GM_GATE_F_FPU_END)));
}

static inline void gm_fpu_hide(struct kvm_vcpu *vcpu, struct gm_activation *act)
{
	if (unlikely(act->fpu != GM_FPU_GUEST))
		__gm_fpu_hide(vcpu, act);
}

static inline void gm_fpu_drop(struct kvm_vcpu *vcpu, struct gm_activation *act)
{
	if (unlikely(act->fpu != GM_FPU_GUEST))
		__gm_fpu_drop(vcpu, act);
}

static inline void gm_fpu_show(struct kvm_vcpu *vcpu, struct gm_activation *act)
{
	if (unlikely(act->fpu != GM_FPU_GUEST))
		__gm_fpu_show(vcpu, act);
}

/* stack.c */
int gm_hash_frames(struct gm_seal *seal);
u64 *gm_stack_word(struct gm_seal *seal, u64 va);
bool gm_share_windows(struct gm_seal *seal, struct gm_activation *act, u64 sp);
void gm_collect_windows(struct gm_seal *seal, struct gm_activation *act);
void gm_share_outer(struct gm_seal *seal, struct gm_activation *act);
void gm_collect_outer(struct gm_seal *seal, struct gm_activation *act);

/* emulate.c */
void gm_cancel_io(struct kvm_vcpu *vcpu);

/* privilege.c */
int gm_grant(struct kvm *kvm, const struct kvm_gm_grant *arg, bool grant);

/* msr.c */
int gm_handle_msr(struct kvm_vcpu *vcpu, u64 code, bool write);

/* hostinfo.c */
void __gm_update_hostinfo(struct kvm_vcpu *vcpu, int cpu);
void gm_tell_mwait(struct gm_seal *seal);

/* violation.c */
void gm_abandon(struct kvm_vcpu *vcpu);
void gm_quarantine(struct gm_seal *seal);
int gm_violation(struct kvm_vcpu *vcpu, struct gm_seal *seal,
		 enum kvm_gm_violation kind, u32 gate, u64 addr, gpa_t gpa);

#endif /* __KVM_X86_GM_H */
