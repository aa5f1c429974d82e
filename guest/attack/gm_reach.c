// SPDX-License-Identifier: GPL-2.0
/*
 * gm_reach: a malicious kernel module that reaches for a device which has been
 * granted to somebody else, in every way that the guest's kernel has.
 *
 *	echo read string 0xfeb00000 0x1000 >/sys/module/gm_reach/parameters/run
 *	cat /sys/module/gm_reach/parameters/run		"tried 1024 seen 0"
 *
 * Commands:
 *
 *	read WAY ADDRESS LENGTH	every 4 bytes there; SEEN counts those not all ones
 *	write WAY ADDRESS LENGTH	zeros, likewise
 *	in|out WAY PORT LENGTH	the same with ports
 *	hold ADDRESS LENGTH		map it and read it, so that the translation is cached
 *	read|write held OFFSET LENGTH	through the mapping that `hold' has made
 *	start ADDRESS LENGTH		read and write all the time, a thread on each CPU
 *	stop				TRIED and SEEN of all of them
 *
 * A WAY is one kind of instruction: see ways[].
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <asm/fpu/api.h>

#define REACH_STEP	4

struct reach_way {
	const char *name;
	u32 (*read)(void __iomem *where);
	void (*write)(void __iomem *where, u32 value);
};

static DEFINE_MUTEX(reach_lock);
static unsigned long reach_tried, reach_seen;

/* --- memory ------------------------------------------------------------------ */

static u32 reach_plain_read(void __iomem *where)
{
	return readl(where);
}

static void reach_plain_write(void __iomem *where, u32 value)
{
	writel(value, where);
}

static u32 reach_bytes_read(void __iomem *where)
{
	return readb(where) | readb(where + 1) << 8 | readb(where + 2) << 16 |
	       (u32)readb(where + 3) << 24;
}

static void reach_bytes_write(void __iomem *where, u32 value)
{
	int i;

	for (i = 0; i < 4; i++)
		writeb(value >> (8 * i), where + i);
}

/* Eight bytes, which nobody but the emulator tells from two times four. */
static u32 reach_wide_read(void __iomem *where)
{
	u64 value = readq((void __iomem *)ALIGN_DOWN((unsigned long)where, 8));

	return (unsigned long)where & 4 ? value >> 32 : value;
}

static void reach_wide_write(void __iomem *where, u32 value)
{
	writeq((u64)value << 32 | value,
	       (void __iomem *)ALIGN_DOWN((unsigned long)where, 8));
}

/* The instructions that follow cause work in KVM's emulator. */
static u32 reach_string_read(void __iomem *where)
{
	unsigned long count = 4;
	u32 value;
	void *to = &value;

	asm volatile("rep movsb" : "+D" (to), "+S" (where), "+c" (count) : : "memory");
	return value;
}

static void reach_string_write(void __iomem *where, u32 value)
{
	unsigned long count = 4;
	const void *from = &value;

	asm volatile("rep movsb" : "+D" (where), "+S" (from), "+c" (count) : : "memory");
}

static u32 reach_locked_read(void __iomem *where)
{
	u32 value = 0;

	asm volatile("lock xaddl %0, (%1)" : "+r" (value) : "r" (where) : "memory");
	return value;
}

static void reach_locked_write(void __iomem *where, u32 value)
{
	asm volatile("xchgl %0, (%1)" : "+r" (value) : "r" (where) : "memory");
}

static u32 reach_vector_read(void __iomem *where)
{
	u32 value[4];

	kernel_fpu_begin();
	asm volatile("movdqu (%0), %%xmm0\n\tmovdqu %%xmm0, (%1)"
		     : : "r" (ALIGN_DOWN((unsigned long)where, 16)), "r" (value) : "memory");
	kernel_fpu_end();
	return value[((unsigned long)where & 15) / 4];
}

static void reach_vector_write(void __iomem *where, u32 value)
{
	u32 values[4] = { value, value, value, value };

	kernel_fpu_begin();
	asm volatile("movdqu (%1), %%xmm0\n\tmovdqu %%xmm0, (%0)"
		     : : "r" (ALIGN_DOWN((unsigned long)where, 16)), "r" (values) : "memory");
	kernel_fpu_end();
}

/* --- ports ------------------------------------------------------------------- */

static u32 reach_port_read(void __iomem *where)
{
	return inl((unsigned long)where);
}

static void reach_port_write(void __iomem *where, u32 value)
{
	outl(value, (unsigned long)where);
}

static u32 reach_port_string_read(void __iomem *where)
{
	u32 value;

	insl((unsigned long)where, &value, 1);
	return value;
}

static void reach_port_string_write(void __iomem *where, u32 value)
{
	outsl((unsigned long)where, &value, 1);
}

static const struct reach_way ways[] = {
	{ "plain", reach_plain_read, reach_plain_write },
	{ "bytes", reach_bytes_read, reach_bytes_write },
	{ "wide", reach_wide_read, reach_wide_write },
	{ "string", reach_string_read, reach_string_write },
	{ "locked", reach_locked_read, reach_locked_write },
	{ "vector", reach_vector_read, reach_vector_write },
}, port_ways[] = {
	{ "plain", reach_port_read, reach_port_write },
	{ "string", reach_port_string_read, reach_port_string_write },
};

static const struct reach_way *reach_find(const struct reach_way *table, size_t count,
					  const char *name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

static void reach_range(const struct reach_way *way, void __iomem *where, size_t len, bool write)
{
	size_t i;

	for (i = 0; i + REACH_STEP <= len; i += REACH_STEP) {
		if (write)
			way->write(where + i, 0);
		else if (way->read(where + i) != U32_MAX)
			reach_seen++;
		reach_tried++;
		cond_resched();
	}
}

/* --- a mapping that is older than the grant ----------------------------------- */

static void __iomem *held;
static size_t held_size;

static int reach_hold(unsigned long address, size_t len)
{
	if (held)
		iounmap(held);
	held = ioremap(address, len);
	held_size = held ? len : 0;
	if (!held)
		return -ENOMEM;
	reach_range(&ways[0], held, len, false);
	return 0;
}

static int reach_memory(const char *name, unsigned long address, size_t len, bool write)
{
	const struct reach_way *way = reach_find(ways, ARRAY_SIZE(ways), name);
	void __iomem *where;

	if (!strcmp(name, "held")) {
		if (address > held_size || len > held_size - address)
			return -ERANGE;
		reach_range(&ways[0], held + address, len, write);
		return 0;
	}
	if (!way)
		return -EINVAL;
	where = ioremap(address, len);
	if (!where)
		return -ENOMEM;
	reach_range(way, where, len, write);
	iounmap(where);
	return 0;
}

static int reach_ports(const char *name, unsigned long port, size_t len, bool write)
{
	const struct reach_way *way = reach_find(port_ways, ARRAY_SIZE(port_ways), name);

	if (!way || port > U16_MAX || len > U16_MAX)
		return -EINVAL;
	reach_range(way, (void __iomem *)port, len, write);
	return 0;
}

/* --- other CPUs, while the module is inside ------------------------------------ */

struct reach_thread {
	struct task_struct *task;
	void __iomem *where;
	size_t len;
	unsigned long tried, seen;
};

static struct reach_thread threads[NR_CPUS];

static int reach_all_the_time(void *data)
{
	struct reach_thread *t = data;
	size_t i;

	while (!kthread_should_stop()) {
		for (i = 0; i + REACH_STEP <= t->len && !kthread_should_stop(); i += REACH_STEP) {
			t->seen += readl(t->where + i) != U32_MAX;
			writel(0, t->where + i);
			t->tried++;
			/* The module is to have its turn, on this CPU as well. */
			if (!(t->tried % 16))
				usleep_range(500, 1000);
		}
	}
	return 0;
}

static void reach_stop(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		struct reach_thread *t = &threads[cpu];

		if (!t->task)
			continue;
		kthread_stop(t->task);
		t->task = NULL;
		iounmap(t->where);
		reach_tried += t->tried;
		reach_seen += t->seen;
	}
}

static int reach_start(unsigned long address, size_t len)
{
	unsigned int cpu;

	for_each_online_cpu(cpu) {
		struct reach_thread *t = &threads[cpu];
		struct task_struct *task;

		if (t->task)
			return -EBUSY;
		*t = (struct reach_thread) { .where = ioremap(address, len), .len = len };
		if (!t->where)
			return -ENOMEM;
		task = kthread_create_on_cpu(reach_all_the_time, t, cpu, "gm_reach/%u");
		if (IS_ERR(task)) {
			iounmap(t->where);
			return PTR_ERR(task);
		}
		t->task = task;
		wake_up_process(task);
	}
	return 0;
}

/* ------------------------------------------------------------------------------ */

static int reach_run(const char *val, const struct kernel_param *kp)
{
	char what[16], way[16];
	long address, len;
	int r = -EINVAL;

	mutex_lock(&reach_lock);
	reach_tried = 0;
	reach_seen = 0;
	if (sscanf(val, "%15s %15s %li %li", what, way, &address, &len) == 4) {
		bool write = !strcmp(what, "write") || !strcmp(what, "out");

		if (!strcmp(what, "read") || !strcmp(what, "write"))
			r = reach_memory(way, address, len, write);
		else if (!strcmp(what, "in") || !strcmp(what, "out"))
			r = reach_ports(way, address, len, write);
	} else if (sscanf(val, "hold %li %li", &address, &len) == 2) {
		r = reach_hold(address, len);
	} else if (sscanf(val, "start %li %li", &address, &len) == 2) {
		r = reach_start(address, len);
	} else if (sysfs_streq(val, "stop")) {
		reach_stop();
		r = 0;
	}
	mutex_unlock(&reach_lock);
	return r;
}

static int reach_show(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "tried %lu seen %lu\n", reach_tried, reach_seen);
}

static const struct kernel_param_ops reach_ops = {
	.set = reach_run,
	.get = reach_show,
};
module_param_cb(run, &reach_ops, NULL, 0600);
MODULE_PARM_DESC(run, "what to reach for");

static int __init reach_init(void)
{
	return 0;
}
module_init(reach_init);

static void __exit reach_exit(void)
{
	reach_stop();
	if (held)
		iounmap(held);
}
module_exit(reach_exit);

MODULE_DESCRIPTION("Reaches for a device that is somebody else's, for tests");
MODULE_LICENSE("GPL");
