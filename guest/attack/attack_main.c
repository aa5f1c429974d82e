// SPDX-License-Identifier: GPL-2.0
/*
 * gm_attack: a malicious kernel module that goes for a sealed one.
 *
 * Each attack does one thing that an invariant forbids (I1-I5), with all the
 * power that the guest's kernel has, and tells how it ended. KVM answers with
 * an exception at the place of the crime; the module, like any attacker who
 * means to try again, catches it and goes on.
 *
 * Run one with `echo NAME >/sys/kernel/debug/gm_attack/run', or with the
 * parameter attack=NAME at load. Both fail with ENOTRECOVERABLE if the attack
 * got through. The log has two lines for each:
 *
 *	gm_attack: NAME: address 0x...		what is attacked (see the attack)
 *	gm_attack: NAME: stopped|survived|...	how it ended
 */
#include "gm_attack.h"

#include <linux/debugfs.h>
#include <linux/mutex.h>
#include <linux/uaccess.h>

static char *attack = "";
module_param(attack, charp, 0444);
MODULE_PARM_DESC(attack, "attack to run at load");

static DEFINE_MUTEX(run_lock);
static struct dentry *debugfs;

static const struct attack * const kinds[] = { outside_attacks, entry_attacks, inside_attacks };

static int run_attack(const char *name)
{
	const struct attack *each;
	int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (each = kinds[i]; each->name; each++) {
			if (strcmp(each->name, name))
				continue;
			guard(mutex)(&run_lock);
			return each->run(name);
		}
	}
	pr_err("no attack '%s'\n", name);
	return -EINVAL;
}

static ssize_t run_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	char name[32];
	ssize_t n;
	int ret;

	n = strncpy_from_user(name, buf, min(count + 1, sizeof(name)));
	if (n < 0)
		return n;
	name[min_t(size_t, count, sizeof(name) - 1)] = '\0';
	ret = run_attack(strim(name));
	return ret ?: count;
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.write = run_write,
};

static ssize_t stop_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	WRITE_ONCE(storm_ends, true);
	return count;
}

static const struct file_operations stop_fops = {
	.owner = THIS_MODULE,
	.write = stop_write,
};

static int __init gm_attack_init(void)
{
	int ret = find_lookup_name();

	if (ret)
		return ret;
	ret = register_die_notifier(&catcher);
	if (ret)
		return ret;
	if (*attack) {
		ret = run_attack(attack);
		if (ret) {
			unregister_die_notifier(&catcher);
			return ret;
		}
	}
	ret = register_module_notifier(&lying_loader);
	if (ret) {
		unregister_die_notifier(&catcher);
		return ret;
	}
	debugfs = debugfs_create_dir("gm_attack", NULL);
	debugfs_create_file("run", 0200, debugfs, NULL, &run_fops);
	debugfs_create_file("stop", 0200, debugfs, NULL, &stop_fops);
	return 0;
}
module_init(gm_attack_init);

static void __exit gm_attack_exit(void)
{
	debugfs_remove(debugfs);
	unregister_module_notifier(&lying_loader);
	unregister_die_notifier(&catcher);
}
module_exit(gm_attack_exit);

MODULE_DESCRIPTION("Attacks on guarded modules, for tests and demonstrations");
MODULE_LICENSE("GPL");