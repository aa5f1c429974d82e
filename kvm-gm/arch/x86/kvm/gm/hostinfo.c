// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: what the host is doing, a privilege.
 *
 * A page of KVM's that the module's view has in place of one of its own, with
 * an entry for each vCPU that is written when the vCPU is put on a physical CPU.
 * Outside the view there are zeroes in its place, and inside without the grant.
 */
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include <asm/mwait.h>

#include "gm/privilege.h"

/* vCPUs of all VMs, by the physical CPU that they were put on last. */
static DEFINE_PER_CPU(atomic_t, gm_vcpus);

/* VMs with vCPUs that have been put on any. */
static atomic_t gm_vms;

void __gm_vcpu_moved(struct kvm_vcpu *vcpu, int cpu)
{
	if (vcpu->cpu >= 0)
		atomic_dec(per_cpu_ptr(&gm_vcpus, vcpu->cpu));
	else if (cpu >= 0 && atomic_inc_return(&vcpu->kvm->arch.gm_vcpus) == 1)
		atomic_inc(&gm_vms);
	if (cpu >= 0)
		atomic_inc(per_cpu_ptr(&gm_vcpus, cpu));
	else if (vcpu->cpu >= 0 && atomic_dec_and_test(&vcpu->kvm->arch.gm_vcpus))
		atomic_dec(&gm_vms);
}

/* By the thread that runs the vCPU, which is on its CPU: `current' is what waited. */
static void gm_write_entry(struct kvm_vcpu *vcpu, struct kvm_gm_hostinfo *info, int cpu)
{
	bool alone = single_task_running();
	struct kvm_gm_hostinfo_vcpu *entry;
	u32 id = vcpu->vcpu_id;

	if (id >= KVM_GM_HOSTINFO_VCPUS)
		return;
	entry = &info->vcpus[array_index_nospec(id, KVM_GM_HOSTINFO_VCPUS)];

	WRITE_ONCE(entry->seq, entry->seq + 1);
	/* Whoever reads something new sees that `seq' is odd ... */
	smp_wmb();
	entry->cpu = cpu;
	entry->vcpus = min(atomic_read(per_cpu_ptr(&gm_vcpus, cpu)), U16_MAX);
	/* The scheduler tells modules no more. */
	entry->runnable = alone ? 1 : 2;
	entry->flags = alone ? KVM_GM_HOSTINFO_F_ALONE : 0;
	entry->updated = ktime_get_mono_fast_ns();
#ifdef CONFIG_SCHED_INFO
	entry->steal = current->sched_info.run_delay;
#endif
	/* ... or even only once all of it is there. */
	smp_wmb();
	WRITE_ONCE(entry->seq, entry->seq + 1);
	WRITE_ONCE(info->cpus, num_online_cpus());
	WRITE_ONCE(info->vms, atomic_read(&gm_vms));
	/* Of all vCPUs: none may make it what another has made it already. */
	xadd(&info->generation, 1);
}

void __gm_vcpu_load(struct kvm_vcpu *vcpu, int cpu)
{
	/* Other ioctls load it as well, from whatever thread, and do not run it. */
	if (vcpu->wants_to_run && READ_ONCE(vcpu->kvm->arch.gm->nr_hostinfo))
		__gm_update_hostinfo(vcpu, cpu);
}

/* The vCPU is on @cpu; preemption is off. */
void __gm_update_hostinfo(struct kvm_vcpu *vcpu, int cpu)
{
	struct gm *gm = vcpu->kvm->arch.gm;
	int i;

	guard(rcu)();

	for (i = 1; i <= KVM_GM_MAX_SEALS; i++) {
		struct gm_seal *seal = rcu_dereference(gm->seals[i]);
		struct kvm_gm_hostinfo *info = seal ? READ_ONCE(seal->hostinfo) : NULL;

		if (info)
			gm_write_entry(vcpu, info, cpu);
	}
}

static struct kvm_gm_hostinfo *gm_hostinfo_page(struct gm_seal *seal)
{
	u32 i;

	BUILD_BUG_ON(sizeof(struct kvm_gm_hostinfo) > PAGE_SIZE);

	for (i = 0; i < seal->nr_regions; i++)
		if (seal->regions[i].kind == KVM_GM_REGION_HOSTINFO)
			return page_address(seal->pages[seal->regions[i].first].page);
	return NULL;
}

/* CPUID.05H:EDX: four bits for each state, C0 first, how many sub-states it has. */
static u32 gm_mwait_substates(u32 hint)
{
	return cpuid_edx(CPUID_MWAIT_LEAF) & GENMASK(4 * (hint >> 4) + 7, 4);
}

/* With slots_lock: what the module may do with MWAIT has changed. */
void gm_tell_mwait(struct gm_seal *seal)
{
	struct kvm_gm_hostinfo *info = seal->hostinfo;
	u32 mwait = 0;

	if (!info)
		return;
	if (!(seal->view_flags & GM_VIEW_MWAIT)) {
		WRITE_ONCE(info->mwait, 0);
	} else {
		WRITE_ONCE(info->mwait_hint, seal->mwait_hint);
		if (boot_cpu_data.cpuid_level >= CPUID_MWAIT_LEAF) {
			WRITE_ONCE(info->mwait_substates, gm_mwait_substates(seal->mwait_hint));
			if (cpuid_ecx(CPUID_MWAIT_LEAF) & CPUID5_ECX_INTERRUPT_BREAK)
				mwait = KVM_GM_HOSTINFO_MWAIT_BREAK;
		}
		/* Who sees the flag sees the limit that goes with it. */
		smp_store_release(&info->mwait, mwait | KVM_GM_HOSTINFO_MWAIT);
	}
	xadd(&info->generation, 1);
}

static int gm_grant_hostinfo(struct gm_seal *seal, const struct kvm_gm_grant *arg)
{
	struct kvm_gm_hostinfo *info = gm_hostinfo_page(seal);
	struct kvm *kvm = seal->kvm;

	if (!info)
		return -ENXIO;
	if (seal->hostinfo)
		return -EEXIST;

	WRITE_ONCE(info->cpus, num_online_cpus());
	WRITE_ONCE(info->vms, atomic_read(&gm_vms));
	info->nr_vcpus = KVM_GM_HOSTINFO_VCPUS;
	WRITE_ONCE(info->version, KVM_GM_HOSTINFO_VERSION);
	WRITE_ONCE(seal->hostinfo, info);
	WRITE_ONCE(kvm->arch.gm->nr_hostinfo, kvm->arch.gm->nr_hostinfo + 1);
	gm_tell_mwait(seal);
	/* Those that stay where they are have an entry as well. */
	kvm_make_all_cpus_request(kvm, KVM_REQ_GM);
	return 0;
}

static int gm_revoke_hostinfo(struct gm_seal *seal, const struct kvm_gm_grant *arg)
{
	struct kvm_gm_hostinfo *info = seal->hostinfo;
	struct gm *gm = seal->kvm->arch.gm;

	if (!info)
		return -ENOENT;

	WRITE_ONCE(seal->hostinfo, NULL);
	WRITE_ONCE(gm->nr_hostinfo, gm->nr_hostinfo - 1);
	synchronize_rcu();
	clear_page(info);
	return 0;
}

const struct gm_privilege_ops gm_hostinfo_ops = {
	.grant	= gm_grant_hostinfo,
	.revoke	= gm_revoke_hostinfo,
};
