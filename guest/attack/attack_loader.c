// SPDX-License-Identifier: GPL-2.0
/* A loader that lies: where a module's parts are changes before its init says so (I4). */
#include "gm_attack.h"

#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/notifier.h>
#include <linux/vmalloc.h>

#include "gm_image.h"

static char lie_to[MODULE_NAME_LEN];
module_param_string(lie_to, lie_to, sizeof(lie_to), 0644);
MODULE_PARM_DESC(lie_to, "guarded module to lie about when it is loaded next");

static uint lie_anchor;
module_param(lie_anchor, uint, 0644);
MODULE_PARM_DESC(lie_anchor, "which of its anchors gets another value");

static int lie_base = -1;
module_param(lie_base, int, 0644);
MODULE_PARM_DESC(lie_base, "the anchor whose value is added [-1: none]");

static ulong lie_value;
module_param(lie_value, ulong, 0644);
MODULE_PARM_DESC(lie_value, "that value, or what is added");

static struct gm_anchors *find_anchors(struct module *module)
{
	for_each_mod_mem_type(type) {
		u8 *at = module->mem[type].base, *end = at + module->mem[type].size;

		for (; at && at + sizeof(struct gm_anchors) <= end; at += sizeof(u64))
			if (!memcmp(at, GM_ANCHORS_MAGIC, sizeof(GM_ANCHORS_MAGIC)))
				return (struct gm_anchors *)at;
	}
	return NULL;
}

/* Read-only they are, but not by another mapping. */
static bool write_word(u64 *word, u64 value)
{
	struct page *page = vmalloc_to_page(word);
	u8 *map = page ? vmap(&page, 1, VM_MAP, PAGE_KERNEL) : NULL;

	if (!map)
		return false;
	WRITE_ONCE(*(u64 *)(map + offset_in_page(word)), value);
	vunmap(map);
	return true;
}

/* All is in its place then, and nothing of the module has run. */
static int on_module(struct notifier_block *nb, unsigned long state, void *data)
{
	struct module *module = data;
	struct gm_anchors *anchors;
	u64 value = lie_value;

	if (state != MODULE_STATE_COMING || strcmp(module->name, strim(lie_to)))
		return NOTIFY_DONE;
	anchors = find_anchors(module);
	if (!anchors || lie_anchor >= anchors->count || lie_base >= (int)anchors->count) {
		pr_err("no anchor %u or %d in %s\n", lie_anchor, lie_base, module->name);
		return NOTIFY_DONE;
	}
	if (lie_base >= 0)
		value += anchors->values[lie_base];
	pr_info("anchor %u of %s is at 0x%llx, and said to be at 0x%llx\n", lie_anchor,
		module->name, anchors->values[lie_anchor], value);
	if (!write_word(&anchors->values[lie_anchor], value))
		pr_err("cannot write there\n");
	return NOTIFY_OK;
}

struct notifier_block lying_loader = {
	.notifier_call = on_module,
	.priority = INT_MIN,
};
