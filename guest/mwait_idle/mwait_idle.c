// SPDX-License-Identifier: GPL-2.0
/*
 * mwait_idle: a cpuidle driver that sleeps by MWAIT while its vCPU has the physical
 * CPU for itself, and by HLT while it shares it.
 *
 * MWAIT puts the physical CPU to sleep, and the host does not notice: no exit into
 * sleep, none out of it, and whoever wakes the CPU up does so by a store. HLT is an
 * exit, by which the host's scheduler learns that others can have the CPU. Which of
 * the two is right depends on what the host has for that CPU, which KVM tells
 * the guarded module, and nobody else in the guest (struct kvm_gm_hostinfo).
 *
 * The decision and MWAIT are inside, in idle_inside(): one call into the module and
 * back. The rest is the guest's (GM_GUEST): HLT, which is a violation inside, and all
 * that writes to, or tells of, what pointers of the guest's lead to. Inside, these
 * might lead to the page that is nobody else's. Not guarded, or without its grants,
 * the driver sleeps by HLT.
 *
 * cpuidle has two states of it, so that its own statistics tell them apart and its own
 * switch (state1/disable) turns MWAIT off. The governor asks for the second one; it
 * gets what it can have.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/cpuidle.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/sched/idle.h>
#include <linux/sched/task.h>
#include <linux/smp.h>
#include <linux/stop_machine.h>
#include <asm/irqflags.h>

#include "guarded_module.h"

GM_PRIVILEGE("mwait");
GM_HOSTINFO(idle_host);

#define MWAIT_BREAK	1	/* ECX: masked interrupts end it as well */

enum { STATE_HLT, STATE_MWAIT, NR_STATES };

static unsigned int idle_hint;
module_param_named(hint, idle_hint, uint, 0644);
MODULE_PARM_DESC(hint, "what MWAIT is to have in EAX, if the host allows it; else 0 [0]");

struct idle_stats {
	unsigned long slept[NR_STATES];
	unsigned long changes;		/* from one to the other */
	int last;
};

static struct idle_stats __percpu *idle_stats;
static struct cpuidle_device __percpu *idle_devices;
static int idle_hotplug;

/*
 * How long MWAIT sleeps tells of what it watches, so that must be none of the module's
 * pages: those are in the last 2 GiB, where Linux has modules and QEMU has them sealed.
 * Of the guest's tasks only the first is there, in the kernel's image.
 */
static __always_inline bool idle_may_watch(const unsigned long *flags)
{
	return (unsigned long)flags < __START_KERNEL_map - sizeof(*flags) ||
	       flags == &init_task.thread_info.flags;
}

/*
 * Interrupts are off, and the task has said that it looks at its flags. False: it is
 * to be HLT. What the guest says of its vCPU is believed: by a lie it can but sleep as
 * another of them might, until the host has an interrupt.
 */
static noinline __attribute__((__noipa__)) bool idle_inside(void)
{
	const unsigned long *flags = &current_thread_info()->flags;
	/* QEMU numbers vCPUs as it numbers their APICs. */
	unsigned int vcpu = this_cpu_read(x86_cpu_to_apicid);
	struct kvm_gm_hostinfo_vcpu entry;
	int hint;

	/* The guest may write what `current' is read of, now and again. */
	OPTIMIZER_HIDE_VAR(flags);
	if (!idle_may_watch(flags))
		return false;
	hint = gm_hostinfo_mwait(&idle_host, READ_ONCE(idle_hint));
	if (hint < 0 || !gm_hostinfo_read(&idle_host, vcpu, &entry) ||
	    !(entry.flags & KVM_GM_HOSTINFO_F_ALONE))
		return false;

	asm volatile("monitor" : : "a" (flags), "c" (0), "d" (0) : "memory");
	if (!(READ_ONCE(*flags) & _TIF_NEED_RESCHED))
		asm volatile("mwait" : : "a" (hint), "c" (MWAIT_BREAK) : "memory");
	return true;
}

/* RCU does not watch here, so nothing may trace it. */
static GM_GUEST notrace int idle_enter(struct cpuidle_device *dev, struct cpuidle_driver *drv,
				       int index)
{
	struct idle_stats *stats = this_cpu_ptr(idle_stats);
	int slept = STATE_HLT;

	if (index == STATE_MWAIT) {
		if (current_set_polling_and_test())
			slept = -EBUSY;
		else if (idle_inside())
			slept = STATE_MWAIT;
		/* Who made something runnable meanwhile has not sent an interrupt. */
		if (current_clr_polling_and_test() && slept == STATE_HLT)
			slept = -EBUSY;
	}
	if (slept < 0)
		return slept;
	if (slept == STATE_HLT) {
		native_safe_halt();
		native_irq_disable();
	}
	stats->slept[slept]++;
	stats->changes += slept != stats->last;
	stats->last = slept;
	return slept;
}

/* Without an owner: cpuidle would hold it for each CPU, and it could not be unloaded. */
static struct cpuidle_driver GM_SHARED idle_driver = {
	.name = "mwait_idle",
	.states = {
		[STATE_HLT] = {
			.name = "HLT",
			.desc = "HLT, an exit",
			.exit_latency = 1,
			.target_residency = 1,
			.enter = idle_enter,
		},
		[STATE_MWAIT] = {
			.name = "MWAIT",
			.desc = "MWAIT while alone, else HLT",
			.exit_latency = 1,
			.target_residency = 1,
			.enter = idle_enter,
		},
	},
	.safe_state_index = STATE_HLT,
	.state_count = NR_STATES,
};

static GM_GUEST int idle_cpu_online(unsigned int cpu)
{
	struct cpuidle_device *device = per_cpu_ptr(idle_devices, cpu);

	if (device->registered)
		return 0;
	device->cpu = cpu;
	return cpuidle_register_device(device);
}

static GM_GUEST int idle_cpu_offline(unsigned int cpu)
{
	struct cpuidle_device *device = per_cpu_ptr(idle_devices, cpu);

	if (device->registered)
		cpuidle_unregister_device(device);
	return 0;
}

/* --- what it has done, of all CPUs: in /sys/module/mwait_idle/parameters --------------- */

static GM_GUEST unsigned long idle_sum(size_t offset)
{
	unsigned long sum = 0;
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*(unsigned long *)((char *)per_cpu_ptr(idle_stats, cpu) + offset));
	return sum;
}

static GM_GUEST int idle_show(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lu\n", idle_stats ? idle_sum((size_t)kp->arg) : 0);
}

static const struct kernel_param_ops idle_ops = {
	.get = idle_show,
};

#define IDLE_STATISTIC(name, field, text)						\
	module_param_cb(name, &idle_ops, (void *)offsetof(struct idle_stats, field), 0444);	\
	MODULE_PARM_DESC(name, text)

IDLE_STATISTIC(mwait, slept[STATE_MWAIT], "how often a CPU has slept by MWAIT (read only)");
IDLE_STATISTIC(hlt, slept[STATE_HLT], "the same by HLT (read only)");
IDLE_STATISTIC(changes, changes, "how often one has come after the other (read only)");

/* --------------------------------------------------------------------------------------- */

static void idle_free(void)
{
	free_percpu(idle_devices);
	free_percpu(idle_stats);
	idle_stats = NULL;
}

static int __init idle_init(void)
{
	int r;

	idle_stats = alloc_percpu(struct idle_stats);
	idle_devices = alloc_percpu(struct cpuidle_device);
	if (!idle_stats || !idle_devices) {
		idle_free();
		return -ENOMEM;
	}
	r = cpuidle_register_driver(&idle_driver);
	if (r) {
		struct cpuidle_driver *other = cpuidle_get_driver();

		pr_err("mwait_idle: cpuidle has %s\n", other ? other->name : "been disabled");
		idle_free();
		return r;
	}
	r = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "idle/mwait:online", idle_cpu_online,
			      idle_cpu_offline);
	if (r < 0) {
		cpuidle_unregister_driver(&idle_driver);
		idle_free();
		return r;
	}
	idle_hotplug = r;
	return 0;
}
module_init(idle_init);

static GM_GUEST int idle_nothing(void *unused)
{
	return 0;
}

/* The kernel is left without a driver, as it was, and idles by HLT. */
static void __exit idle_exit(void)
{
	cpuhp_remove_state(idle_hotplug);
	cpuidle_unregister_driver(&idle_driver);
	/*
	 * Nobody enters any more, but a CPU may be on its way out, and RCU does not wait for
	 * it. It runs another thread only after that.
	 */
	stop_machine(idle_nothing, NULL, NULL);
	idle_free();
}
module_exit(idle_exit);

MODULE_DESCRIPTION("Idles by MWAIT while alone on the physical CPU, else by HLT");
MODULE_LICENSE("GPL");
