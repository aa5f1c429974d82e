// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: the file `gm' in a VM's folder in debugfs: what is sealed,
 * and who is where.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "gm/gm.h"

static const char * const gm_state_names[] = {
	[GM_ACT_FREE]	= "free",
	[GM_ACT_INSIDE]	= "inside",
	[GM_ACT_OUT]	= "out",
	[GM_ACT_EVENT]	= "event",
	[GM_ACT_LOST]	= "lost",
};

static void gm_show_seal(struct seq_file *m, struct gm_seal *seal)
{
	u32 i;

	seq_printf(m, "module %u %s%s: pages %u gates %u frames %u tables %u activations %u\n",
		   seal->id, seal->name, READ_ONCE(seal->dead) ? " (quarantined)" : "",
		   seal->nr_pages, seal->nr_gates, seal->nr_frames, seal->nr_tables,
		   seal->nr_acts);

	for (i = 0; i < seal->nr_regions; i++)
		seq_printf(m, "  region 0x%llx size 0x%llx kind %u\n",
			   seal->regions[i].va, seal->regions[i].size,
			   seal->regions[i].kind);

	for (i = 0; i < seal->nr_acts; i++) {
		struct gm_activation act;

		/* What is printed belongs together; the lock is for short work. */
		scoped_guard(raw_spinlock, &seal->act_lock)
			act = seal->acts[i];
		if (act.state == GM_ACT_FREE)
			continue;
		seq_printf(m, "  activation %u %s gate %u guest-sp 0x%llx", i,
			   gm_state_names[act.state], act.gate, act.guest_sp);
		if (act.state == GM_ACT_OUT)
			seq_printf(m, " out-sp 0x%llx", act.out_sp);
		seq_putc(m, '\n');
	}
}

static int gm_debugfs_show(struct seq_file *m, void *unused)
{
	struct kvm *kvm = m->private;
	struct gm *gm = kvm->arch.gm;
	u32 i;

	if (!gm)
		return 0;

	guard(mutex)(&kvm->slots_lock);

	for (i = 1; i <= KVM_GM_MAX_SEALS; i++) {
		struct gm_seal *seal =
			rcu_dereference_protected(gm->seals[i],
						  lockdep_is_held(&kvm->slots_lock));

		if (seal)
			gm_show_seal(m, seal);
	}
	return 0;
}

static int gm_debugfs_open(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;
	int r;

	if (!kvm_get_kvm_safe(kvm))
		return -ENOENT;
	r = single_open(file, gm_debugfs_show, kvm);
	if (r)
		kvm_put_kvm(kvm);
	return r;
}

static int gm_debugfs_release(struct inode *inode, struct file *file)
{
	kvm_put_kvm(inode->i_private);
	return single_release(inode, file);
}

static const struct file_operations gm_debugfs_fops = {
	.owner		= THIS_MODULE,
	.open		= gm_debugfs_open,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= gm_debugfs_release,
};

void gm_create_vm_debugfs(struct kvm *kvm)
{
	debugfs_create_file("gm", 0444, kvm->debugfs_dentry, kvm, &gm_debugfs_fops);
}
