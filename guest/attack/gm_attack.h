/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of gm_attack.ko share. */
#ifndef GM_ATTACK_H
#define GM_ATTACK_H

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kdebug.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/ptrace.h>

struct attack {
	const char *name;
	/* 0: stopped; -ENOTRECOVERABLE: it got through; another: it was none. */
	int (*run)(const char *name);
};

/* Ended by one without a name. */
extern const struct attack outside_attacks[], entry_attacks[], inside_attacks[];
extern bool storm_ends;

/* Of modules that come: lies as parameters say (attack_loader.c). */
extern struct notifier_block lying_loader;

/* --- the victim (attack_victim.c) -------------------------------------------- */

extern char victim[MODULE_NAME_LEN];

/* Before all else; 0 or a negative errno. */
int find_lookup_name(void);
/* Of the kernel's own; 0: none. */
void *kernel_symbol(const char *name);
/* A symbol of the victim's, and so many bytes on, unless parameters say otherwise; 0: none. */
unsigned long look_for_target(const char *name, int off);
/* The same, with a word if there is none. */
unsigned long find_target(const char *name, int off);

/* Where the thread that is about to be stopped wants to go on. */
struct recovery {
	struct task_struct *task;
	unsigned long ip, sp;		/* go on here */
	bool leaf;			/* or where the function returns, which has no frame */
	unsigned long fault_ip;		/* stopped there */
	int trap;
	bool stopped;
	struct pt_regs regs;		/* as they were then */
	unsigned long left;		/* in registers, by a function that returned */
};

extern struct recovery recovery;
extern struct notifier_block catcher;

/*
 * Call any address whatever; returns in every case that leaves a kernel. The
 * result is the function's, if there was one.
 */
int call_to(unsigned long target, const void *first, const void *second, unsigned long third);
void jump_to(unsigned long target);
int jump_and_tell(const char *name, unsigned long target);

/* The guest's page tables now say that @target's page is @pfn; what they said, or 0. */
unsigned long forge(unsigned long target, unsigned long pfn);

#endif /* GM_ATTACK_H */
