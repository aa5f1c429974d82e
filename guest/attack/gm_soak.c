// SPDX-License-Identifier: GPL-2.0
/*
 * gm_soak: a module to be guarded whose threads do what is hard on borders, until
 * it is unloaded: they sleep in calls out, come back on other CPUs, wait for each
 * other, are called back in the midst of calls out, by timers and by the
 * workqueue, and compute for long enough that interrupts come inside. Each keeps
 * what it knows on its stack and looks whether it is still so.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/sort.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

#define MOST_THREADS	64
#define KEPT		16	/* words that a thread keeps on its stack */
#define SORTED		8
#define SPINS		20000	/* about 100 us on an emulated CPU */

enum way { SLEEP, MIGRATE, ROAM, YIELD, LOCK, CALLBACK, TIMER, WORK, SPIN, WAYS };

static const char * const way_names[WAYS] = {
	"sleep", "migrate", "roam", "yield", "lock", "callback", "timer", "work", "spin",
};

struct soaker {
	struct task_struct *task;
	struct timer_list timer;
	struct work_struct work;
	struct completion timed, worked;
	unsigned int cpu;		/* that it has asked for */
	unsigned long done[WAYS];
	unsigned long elsewhere;	/* calls out that came back on another CPU */
	unsigned long wrong;
};

static unsigned int threads = 16;
module_param(threads, uint, 0400);
MODULE_PARM_DESC(threads, "how many, at most 64 [16]");

static struct soaker soakers[MOST_THREADS];
static DEFINE_MUTEX(soak_lock);
static unsigned long soak_shared;	/* all that soak_lock let in */

/* Marsaglia's xorshift64: never 0. */
static u64 soak_next(u64 x)
{
	x ^= x << 13;
	x ^= x >> 7;
	return x ^ x << 17;
}

static void soak_timed(struct timer_list *timer)
{
	struct soaker *self = from_timer(self, timer, timer);

	complete(&self->timed);
}

static void soak_worked(struct work_struct *work)
{
	complete(&container_of(work, struct soaker, work)->worked);
}

static int soak_compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static noinline bool soak_sorts(u64 x)
{
	u64 numbers[SORTED], sum = 0, after = 0;

	for (int i = 0; i < SORTED; i++) {
		numbers[i] = x = soak_next(x);
		sum += x;
	}
	sort(numbers, SORTED, sizeof(numbers[0]), soak_compare, NULL);
	for (int i = 0; i < SORTED; i++) {
		after += numbers[i];
		if (i && numbers[i - 1] > numbers[i])
			return false;
	}
	return sum == after;
}

/* From x, SPINS steps on: twice the same, whatever interrupts it. */
static noinline bool soak_spins(u64 x)
{
	u64 a = x, b = x;

	for (int i = 0; i < SPINS; i++) {
		a = soak_next(a);
		OPTIMIZER_HIDE_VAR(b);
		b = soak_next(b);
	}
	return a == b;
}

static bool soak_do(struct soaker *self, enum way way, u64 x)
{
	unsigned long before;

	switch (way) {
	case SLEEP:
		usleep_range(10 + x % 200, 400);
		return true;
	case MIGRATE:
		self->cpu = x % num_online_cpus();
		return !set_cpus_allowed_ptr(current, cpumask_of(self->cpu)) &&
			raw_smp_processor_id() == self->cpu;
	case ROAM:
		return !set_cpus_allowed_ptr(current, cpu_possible_mask);
	case YIELD:
		yield();
		return true;
	case LOCK:
		mutex_lock(&soak_lock);
		before = soak_shared;
		yield();
		soak_shared = before + 1;
		mutex_unlock(&soak_lock);
		return true;
	case CALLBACK:
		return soak_sorts(x);
	case TIMER:
		mod_timer(&self->timer, jiffies + 1);
		wait_for_completion(&self->timed);
		return true;
	case WORK:
		return queue_work(system_unbound_wq, &self->work) &&
			(wait_for_completion(&self->worked), true);
	case SPIN:
		return soak_spins(x);
	default:
		return false;
	}
}

static int soak_thread(void *data)
{
	struct soaker *self = data;
	u64 kept[KEPT], x = self - soakers + 1, sum = 0;

	for (int i = 0; i < KEPT; i++) {
		kept[i] = x = soak_next(x);
		sum += x;
	}
	while (!kthread_should_stop()) {
		unsigned int cpu = raw_smp_processor_id(), slot;
		enum way way;
		u64 now = 0;

		x = soak_next(x);
		way = (x >> 32) % WAYS;
		if (!soak_do(self, way, x))
			self->wrong++;
		self->done[way]++;
		self->elsewhere += cpu != raw_smp_processor_id();
		for (int i = 0; i < KEPT; i++)
			now += READ_ONCE(kept[i]);
		if (now != sum)
			self->wrong++;
		slot = x % KEPT;
		sum += x - kept[slot];
		WRITE_ONCE(kept[slot], x);
	}
	return 0;
}

static int soak_show(char *buffer, const struct kernel_param *kp)
{
	unsigned long done[WAYS] = { }, elsewhere = 0, wrong = 0;
	int n = 0;

	for (int i = 0; i < threads; i++) {
		for (int way = 0; way < WAYS; way++)
			done[way] += soakers[i].done[way];
		elsewhere += soakers[i].elsewhere;
		wrong += soakers[i].wrong;
	}
	for (int way = 0; way < WAYS; way++)
		n += sysfs_emit_at(buffer, n, "%s %lu ", way_names[way], done[way]);
	return n + sysfs_emit_at(buffer, n, "elsewhere %lu wrong %lu\n", elsewhere, wrong);
}

static const struct kernel_param_ops soak_ops = {
	.get = soak_show,
};
module_param_cb(done, &soak_ops, NULL, 0400);
MODULE_PARM_DESC(done, "what the threads have done, and what was wrong");

static void soak_stop(void)
{
	unsigned long locked = 0;

	for (int i = 0; i < threads && soakers[i].task; i++)
		kthread_stop(soakers[i].task);
	for (int i = 0; i < threads && soakers[i].task; i++) {
		timer_delete_sync(&soakers[i].timer);
		cancel_work_sync(&soakers[i].work);
		locked += soakers[i].done[LOCK];
	}
	pr_info("gm_soak: locked %lu times, counted %lu\n", locked, soak_shared);
}

static int __init soak_init(void)
{
	if (!threads || threads > MOST_THREADS)
		return -EINVAL;
	for (int i = 0; i < threads; i++) {
		struct soaker *self = &soakers[i];
		struct task_struct *task;

		init_completion(&self->timed);
		init_completion(&self->worked);
		timer_setup(&self->timer, soak_timed, 0);
		INIT_WORK(&self->work, soak_worked);
		task = kthread_run(soak_thread, self, "gm_soak/%d", i);
		if (IS_ERR(task)) {
			soak_stop();
			return PTR_ERR(task);
		}
		self->task = task;
	}
	return 0;
}
module_init(soak_init);

static void __exit soak_exit(void)
{
	soak_stop();
}
module_exit(soak_exit);

MODULE_DESCRIPTION("A guarded module that crosses its borders, for tests");
MODULE_LICENSE("GPL");
