// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: enablement, ioctls, and the life of VMs and vCPUs.
 *
 * A guarded module is a stock kernel module in an untrusted guest that holds
 * privileges which the rest of the guest lacks. The invariants and the files
 * that keep them:
 *
 *	I1 entry		crossing.c, gate.c
 *	I2 exit			crossing.c, event.c, view.c
 *	I3 return		crossing.c, activation.c, stack.c
 *	I4 code			seal.c, view.c
 *	I5 data			seal.c, view.c, stack.c
 *	I6 translation		translate.c, devices.c
 *	I7 fail closed		violation.c
 *
 * What it can be granted: privilege.c and the files that it names; emulate.c.
 */
#include <linux/nospec.h>

#define CREATE_TRACE_POINTS
#include "gm/devices.h"
#include "gm/trace.h"
#include "mmu.h"
#include "smm.h"

/* The API version, or 0: guarded modules cannot work on this host. */
int gm_check_extension(void)
{
#if IS_ENABLED(CONFIG_HYPERV)
	/* A host's hypervisor is told to forget what one root maps, and there are several. */
	if (kvm_x86_ops.flush_remote_tlbs)
		return 0;
#endif
	return tdp_mmu_enabled && kvm_x86_ops.gm && kvm_x86_ops.gm->supports(NULL) ?
	       KVM_GM_API_VERSION : 0;
}

int gm_enable(struct kvm *kvm, const struct kvm_enable_cap *cap)
{
	struct gm *gm;

	if (memchr_inv(cap->args, 0, sizeof(cap->args)))
		return -EINVAL;
	if (!gm_check_extension() || kvm->arch.vm_type != KVM_X86_DEFAULT_VM)
		return -EINVAL;

	guard(mutex)(&kvm->lock);

	if (kvm->arch.gm)
		return -EEXIST;
	if (kvm->created_vcpus)
		return -EBUSY;
	if (!kvm_x86_ops.gm->supports(kvm))
		return -EINVAL;

	gm = kvzalloc(sizeof(*gm), GFP_KERNEL_ACCOUNT);
	if (!gm)
		return -ENOMEM;
	xa_init(&gm->pages);
	gm->hash.scatter = get_random_u64() | 1;
	gm->hash.spread = get_random_u64() | 1;

	/* Nothing is mapped but by a fault that has been checked. */
	kvm->arch.pre_fault_allowed = false;
	/* Interrupts must not reach a vCPU that is inside without an exit. */
	kvm_set_apicv_inhibit(kvm, APICV_INHIBIT_REASON_DISABLED);
	WRITE_ONCE(kvm->arch.gm, gm);
	return 0;
}

void gm_fill_query(struct gm_seal *seal, struct kvm_gm_query *query)
{
	u32 i;

	BUILD_BUG_ON(ARRAY_SIZE(query->crossings) < KVM_GM_NR_CROSSINGS);
	BUILD_BUG_ON(ARRAY_SIZE(query->violations) < KVM_GM_NR_VIOLATIONS);

	memset(query, 0, sizeof(*query));
	query->size = sizeof(*query);
	query->id = seal->id;
	memcpy(query->name, seal->name, sizeof(query->name));
	for (i = 0; i < KVM_GM_NR_CROSSINGS; i++)
		query->crossings[i] = atomic64_read(&seal->crossings[i]);
	for (i = 0; i < KVM_GM_NR_VIOLATIONS; i++)
		query->violations[i] = atomic64_read(&seal->violations[i]);
	for (i = 0; i < seal->nr_acts; i++) {
		switch (READ_ONCE(seal->acts[i].state)) {
		case GM_ACT_FREE:
			break;
		case GM_ACT_LOST:
			query->lost++;
			break;
		default:
			query->activations++;
			break;
		}
	}
	query->max_activations = seal->nr_acts;
	query->nr_pages = seal->nr_pages;
	query->nr_gates = seal->nr_gates;
	query->generation = seal->generation;
	query->flags = READ_ONCE(seal->quarantined) ? KVM_GM_QUERY_F_QUARANTINED : 0;
}

static int gm_counts(struct kvm *kvm, const struct kvm_gm_counts *arg)
{
	u64 *counts __free(kvfree) = NULL;
	struct gm_seal *seal;
	u32 i;

	if (arg->size != sizeof(*arg) || arg->reserved)
		return -EINVAL;

	guard(mutex)(&kvm->slots_lock);

	seal = gm_get_sealed(kvm, arg->id, arg->generation);
	if (IS_ERR(seal))
		return PTR_ERR(seal);
	if (seal->nr_gates != arg->nr_gates)
		return -EINVAL;

	counts = kvmalloc_array(seal->nr_gates, sizeof(*counts), GFP_KERNEL);
	if (!counts)
		return -ENOMEM;
	for (i = 0; i < seal->nr_gates; i++)
		counts[i] = atomic64_read(&seal->gates[i].count);
	return copy_to_user(u64_to_user_ptr(arg->counts), counts,
			    seal->nr_gates * sizeof(*counts)) ? -EFAULT : 0;
}

static int gm_query(struct kvm *kvm, struct kvm_gm_query *query)
{
	struct gm *gm = kvm->arch.gm;
	struct gm_seal *seal;
	u32 i, id = query->id;

	if (query->size != sizeof(*query) || id > KVM_GM_MAX_SEALS)
		return -EINVAL;

	id = array_index_nospec(id, KVM_GM_MAX_SEALS + 1);
	guard(mutex)(&kvm->slots_lock);

	seal = rcu_dereference_protected(gm->seals[id],
					 lockdep_is_held(&kvm->slots_lock));
	if (seal) {
		gm_fill_query(seal, query);
	} else if (gm->ended[id].id) {
		*query = gm->ended[id];
	} else if (!id) {
		memset(query, 0, sizeof(*query));
		query->size = sizeof(*query);
		for (i = 0; i < KVM_GM_NR_VIOLATIONS; i++)
			query->violations[i] = atomic64_read(&gm->violations[i]);
	} else {
		return -ENOENT;
	}
	return 0;
}

int gm_vm_ioctl(struct kvm *kvm, unsigned int ioctl, void __user *argp)
{
	union {
		struct kvm_gm_seal seal;
		struct kvm_gm_query query;
		struct kvm_gm_counts counts;
		struct kvm_gm_grant grant;
		struct kvm_gm_map map;
		u32 id;
	} arg;
	size_t size = _IOC_SIZE(ioctl);
	int r;

	switch (ioctl) {
	case KVM_GM_SEAL:
	case KVM_GM_UNSEAL:
	case KVM_GM_QUERY:
	case KVM_GM_COUNTS:
	case KVM_GM_GRANT:
	case KVM_GM_REVOKE:
	case KVM_GM_MAP:
		break;
	default:
		return -ENOTTY;
	}

	if (!gm_enabled(kvm))
		return -EINVAL;
	if (copy_from_user(&arg, argp, size))
		return -EFAULT;

	switch (ioctl) {
	case KVM_GM_SEAL:
		r = gm_seal(kvm, &arg.seal);
		break;
	case KVM_GM_QUERY:
		r = gm_query(kvm, &arg.query);
		break;
	case KVM_GM_COUNTS:
		return gm_counts(kvm, &arg.counts);
	case KVM_GM_GRANT:
	case KVM_GM_REVOKE:
		return gm_grant(kvm, &arg.grant, ioctl == KVM_GM_GRANT);
	case KVM_GM_MAP:
		return gm_map(kvm, &arg.map);
	default:
		return gm_unseal_id(kvm, arg.id);
	}
	if (!r && copy_to_user(argp, &arg, size))
		r = -EFAULT;
	return r;
}

/* INIT, or userspace resets: all registers are set right after this. */
void __gm_vcpu_reset(struct kvm_vcpu *vcpu)
{
	gm_cancel_io(vcpu);
	gm_fpu_drop(vcpu, vcpu->arch.gm.act);
	gm_lose_activation(vcpu->arch.gm.seal, vcpu->arch.gm.act);
	gm_leave_view(vcpu);
}

/* Firmware clears CR0.WP as well, in SMM or before there is any kernel. */
void __gm_end_kernel(struct kvm_vcpu *vcpu)
{
	if (is_smm(vcpu) || !is_64_bit_mode(vcpu) || kvm_x86_call(get_cpl)(vcpu))
		return;

	vcpu->arch.gm.kernel_ended = true;
	kvm_make_request(KVM_REQ_GM, vcpu);
}

/* Unseal one module of a kernel that has ended: 1 if there is none left. */
static int gm_end_kernel(struct kvm_vcpu *vcpu)
{
	struct gm *gm = vcpu->kvm->arch.gm;
	int i, r;

	for (i = 1; i <= KVM_GM_MAX_SEALS; i++) {
		struct gm_seal *seal = srcu_dereference(gm->seals[i], &vcpu->kvm->srcu);

		if (!seal || !kref_get_unless_zero(&seal->ref))
			continue;
		r = gm_unseal_in_run(vcpu, seal, KVM_GM_QUERY_F_KERNEL_ENDED);
		gm_put_seal(seal);
		if (r <= 0) {
			kvm_make_request(KVM_REQ_GM, vcpu);
			return r;
		}
	}
	vcpu->arch.gm.kernel_ended = false;
	return 1;
}

int __gm_vcpu_update(struct kvm_vcpu *vcpu)
{
	if (gm_inside(vcpu) && READ_ONCE(vcpu->arch.gm.seal->dead)) {
		gm_abandon(vcpu);
		/* What the module raised went with its context. */
		kvm_clear_exception_queue(vcpu);
		kvm_queue_exception_e(vcpu, GP_VECTOR, 0);
	}
	/* What is granted has changed. */
	if (gm_inside(vcpu))
		kvm_x86_ops.gm->update_view(vcpu, READ_ONCE(vcpu->arch.gm.seal->view_flags));
	if (READ_ONCE(vcpu->kvm->arch.gm->nr_hostinfo)) {
		guard(preempt)();
		__gm_update_hostinfo(vcpu, smp_processor_id());
	}
	return unlikely(vcpu->arch.gm.kernel_ended) ? gm_end_kernel(vcpu) : 1;
}

void gm_vcpu_create(struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu_gm *v = &vcpu->arch.gm;
	int i;

	for (i = 0; i < ARRAY_SIZE(v->roots); i++)
		v->roots[i] = INVALID_PAGE;
	v->device_gpa = INVALID_GPA;
	v->enabled = gm_enabled(vcpu->kvm);
}

void __gm_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	gm_put_seal(vcpu->arch.gm.seal);
	vcpu->arch.gm.view = 0;
}

/* No vCPU runs any more. */
void __gm_pre_destroy_vm(struct kvm *kvm)
{
	struct gm *gm = kvm->arch.gm;
	u32 i;

	for (i = 1; i <= KVM_GM_MAX_SEALS; i++) {
		struct gm_seal *seal = rcu_dereference_protected(gm->seals[i], true);

		if (seal)
			gm_release_aperture(seal);
	}
}

/* All vCPUs and all second-level tables are gone. */
void __gm_destroy_vm(struct kvm *kvm)
{
	struct gm *gm = kvm->arch.gm;
	u32 i;

	for (i = 1; i <= KVM_GM_MAX_SEALS; i++) {
		struct gm_seal *seal = rcu_dereference_protected(gm->seals[i], true);

		if (seal)
			gm_put_seal(seal);
	}
	xa_destroy(&gm->pages);
	kvfree(gm);
	kvm->arch.gm = NULL;
}
