/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Seals that are refused, one a row: REFUSED(name, what is wrong, errno, the
 * statement that makes it so of a good one, `m'). Included twice by seal.c.
 */
REFUSED("size-zero", "a size of 0", EINVAL, m->arg.size = 0)
REFUSED("size-small", "a size too small", EINVAL, m->arg.size -= 8)
REFUSED("size-large", "a size too large", EINVAL, m->arg.size += 8)
REFUSED("reserved-first", "the first reserved word set", EINVAL, m->arg.reserved[0] = 1)
REFUSED("reserved-last", "the last reserved word set", EINVAL, m->arg.reserved[2] = 1U << 31)
REFUSED("name-unterminated", "a name without an end", EINVAL,
	memset(m->arg.name, 'x', KVM_GM_NAME_LEN))
REFUSED("policy", "an unknown policy", EINVAL, m->arg.policy = KVM_GM_POLICY_QUARANTINE + 1)
REFUSED("generation", "a generation of its own", EINVAL, m->arg.generation = 1)

REFUSED("stack-pages-none", "stacks of no pages", EINVAL, m->arg.stack_pages = 0)
REFUSED("stack-pages-guard", "stacks of nothing but a guard page", EINVAL,
	m->arg.stack_pages = 1;
	m->arg.nr_frames = 0)
REFUSED("stack-pages-many", "stacks of 17 pages", EINVAL,
	m->regions[REGION_STACK].nr_pages = m->arg.stack_pages = 17)
REFUSED("stack-pages-odd", "a stack region that is no multiple of a stack", EINVAL,
	m->arg.stack_pages = 3)
REFUSED("stack-pages-all", "stacks of more pages than the region has", EINVAL,
	m->regions[REGION_STACK].nr_pages = 8; m->arg.stack_pages = 16)
REFUSED("stack-missing", "no stacks", EINVAL, m->arg.nr_regions--)
REFUSED("stack-twice", "two stack regions", EINVAL,
	m->regions[REGION_DATA] = m->regions[REGION_STACK]; m->regions[REGION_DATA].va += MIB)

REFUSED("regions-none", "no regions", EINVAL, m->arg.nr_regions = 0)
REFUSED("regions-many", "too many regions", E2BIG, m->arg.nr_regions = KVM_GM_MAX_REGIONS + 1)
REFUSED("regions-most", "as many regions as a number can say", E2BIG, m->arg.nr_regions = ~0U)
REFUSED("regions-pointer", "regions at a bad address", EFAULT, m->arg.regions = BAD_POINTER)
REFUSED("regions-kernel", "regions at a kernel address", EFAULT, m->arg.regions = VA_KERNEL)
REFUSED("region-empty", "a region of no pages", EINVAL, m->regions[REGION_DATA].nr_pages = 0)
REFUSED("region-large", "a region of too many pages", E2BIG,
	m->regions[REGION_DATA].nr_pages = KVM_GM_MAX_PAGES + 1)
REFUSED("region-largest", "a region of as many pages as a number can say", E2BIG,
	m->regions[REGION_DATA].nr_pages = ~0U)
REFUSED("pages-many", "too many pages in all", E2BIG,
	m->regions[REGION_DATA].nr_pages = KVM_GM_MAX_PAGES - 4;
	m->regions[REGION_DATA].va = m->va + 64 * PAGE)
REFUSED("region-unaligned", "a region within a page", EINVAL,
	m->regions[REGION_DATA].va += MIB + 8)
REFUSED("region-user", "a region in user space", EINVAL, m->regions[REGION_DATA].va = VA_USER)
REFUSED("region-not-canonical", "a region at no address", EINVAL,
	m->regions[REGION_DATA].va = 1ULL << 47)
REFUSED("region-below-kernel", "a region in 5-level paging's kernel half", EINVAL,
	m->regions[REGION_DATA].va = 0xffff7ffffffff000)
REFUSED("region-last-page", "a region that is the last page", EINVAL,
	m->regions[REGION_DATA].va = -PAGE)
REFUSED("region-wraps", "a region past the end", EINVAL,
	m->regions[REGION_STACK].va = -2 * PAGE)
REFUSED("region-kind-none", "a region of no kind", EINVAL, m->regions[REGION_DATA].kind = 0)
REFUSED("region-kind", "a region of an unknown kind", EINVAL,
	m->regions[REGION_DATA].kind = KVM_GM_REGION_DEVICES + 1)
REFUSED("hostinfo-content", "host information with contents", EINVAL,
	m->regions[REGION_DATA].kind = KVM_GM_REGION_HOSTINFO)
REFUSED("hostinfo-large", "host information of two pages", EINVAL,
	m->regions[REGION_DATA].kind = KVM_GM_REGION_HOSTINFO;
	m->regions[REGION_DATA].content = 0; m->regions[REGION_DATA].nr_pages = 2;
	m->regions[REGION_DATA].va += MIB)
REFUSED("hostinfo-twice", "two regions of host information", EINVAL,
	m->regions[REGION_DATA].kind = KVM_GM_REGION_HOSTINFO;
	m->regions[REGION_DATA].content = 0;
	m->regions[REGION_RODATA].kind = KVM_GM_REGION_HOSTINFO;
	m->regions[REGION_RODATA].content = 0)
REFUSED("devices-content", "devices with contents", EINVAL, module_add_devices(m);
	m->regions[REGION_DEVICES].content = (uintptr_t)m->content[REGION_GATES])
REFUSED("devices-small", "devices of one page", EINVAL, module_add_devices(m);
	m->regions[REGION_DEVICES].nr_pages = 1)
REFUSED("devices-twice", "two regions of devices", EINVAL, module_add_devices(m);
	m->regions[REGION_DATA] = m->regions[REGION_DEVICES];
	m->regions[REGION_DEVICES].nr_pages = DEVICE_PAGES - 2;
	m->regions[REGION_DATA].nr_pages = 2;
	m->regions[REGION_DATA].va += (DEVICE_PAGES - 2) * PAGE;
	m->regions[REGION_DATA].gpas = (uintptr_t)&m->device_gpas[DEVICE_PAGES - 2])
REFUSED("devices-cloaked", "devices that the guest cannot see", EINVAL, module_add_devices(m);
	m->regions[REGION_DEVICES].kind |= KVM_GM_REGION_F_CLOAKED)
REFUSED("regions-overlap", "a page in two regions", EINVAL,
	m->regions[REGION_DATA].va = m->regions[REGION_RODATA].va)
REFUSED("regions-overlap-end", "a region that reaches into another", EINVAL,
	m->regions[REGION_STACK].va = m->va - 3 * PAGE)

REFUSED("gpa-unaligned", "a frame that is none", EINVAL, m->gpas[REGION_DATA] += 1)
REFUSED("gpa-absent", "a frame where there is no memory", EFAULT, m->gpas[REGION_DATA] = MEMORY)
REFUSED("gpa-wide", "a frame past all addresses", EFAULT,
	m->gpas[REGION_DATA] = 0xfffffffffffff000)
REFUSED("gpa-twice", "one frame for two pages", EBUSY, m->gpas[REGION_STACK] = m->gpas[0])
REFUSED("gpas-pointer", "frames at a bad address", EFAULT, m->regions[0].gpas = BAD_POINTER)
REFUSED("gpas-null", "no frames", EFAULT, m->regions[REGION_STACK].gpas = 0)
REFUSED("content-pointer", "contents at a bad address", EFAULT,
	m->regions[REGION_DATA].content = BAD_POINTER)
REFUSED("content-kernel", "contents at a kernel address", EFAULT,
	m->regions[REGION_DATA].content = VA_KERNEL)

REFUSED("shared-many", "too many runs of shared pages", E2BIG, share(m, 1);
	m->arg.nr_shared = KVM_GM_MAX_SHARED + 1)
REFUSED("shared-most", "as many runs as a number can say", E2BIG, share(m, 1);
	m->arg.nr_shared = ~0U)
REFUSED("shared-pointer", "shared pages at a bad address", EFAULT, share(m, 1);
	m->arg.shared = BAD_POINTER)
REFUSED("shared-empty", "no shared pages in a run", EINVAL, share(m, 0))
REFUSED("shared-large", "too many shared pages", E2BIG, share(m, KVM_GM_MAX_PAGES + 1))
REFUSED("shared-largest", "as many shared pages as a number can say", E2BIG, share(m, ~0ULL))
REFUSED("shared-in-all", "too many shared pages in all", E2BIG, share(m, KVM_GM_MAX_PAGES);
	m->arg.nr_shared = 2)
REFUSED("shared-unaligned", "a shared page within two", EINVAL, share(m, 1);
	shared[0].va += 8)
REFUSED("shared-user", "a shared page of user space", EINVAL, share(m, 1);
	shared[0].va = VA_USER)
REFUSED("shared-last-page", "a shared page that is the last one", EINVAL, share(m, 1);
	shared[0].va = -PAGE)
REFUSED("shared-wraps", "shared pages past the end", EINVAL, share(m, 3);
	shared[0].va = -3 * PAGE)
REFUSED("shared-far", "shared pages too far apart", E2BIG, share(m, 1);
	share_far_apart(m))

REFUSED("gates-none", "no gates", EINVAL, m->arg.nr_gates = 0)
REFUSED("gates-many", "too many gates", E2BIG, m->arg.nr_gates = KVM_GM_MAX_GATES + 1)
REFUSED("gates-pointer", "gates at a bad address", EFAULT, m->arg.gates = BAD_POINTER)
REFUSED("gates-unsorted", "gates out of order", EINVAL, m->gates[GATE_NULL].insn += 0x15)
REFUSED("gates-same", "two gates at one address", EINVAL,
	m->gates[GATE_JUMP].insn = m->gates[GATE_NULL].insn)
REFUSED("gates-overlap", "a gate within another", EINVAL,
	m->gates[GATE_JUMP].insn = m->gates[GATE_NULL].insn + 2)
REFUSED("gate-straddles", "a gate across a page's end", EINVAL,
	m->gates[GATE_RESUME].insn = m->va + PAGE - 2)
REFUSED("gate-reserved", "a gate's reserved word set", EINVAL, m->gates[GATE_NULL].reserved = 1)
REFUSED("gate-words", "a gate of too many words of arguments", E2BIG,
	m->gates[GATE_ARGS].stack_words = KVM_GM_MAX_STACK_WORDS + 1)
REFUSED("gate-words-return", "arguments of what is no call", EINVAL,
	m->gates[GATE_OUT_RETURN].stack_words = 1)
REFUSED("gate-target-return", "a target of what is no call", EINVAL,
	m->gates[GATE_IN_RETURN].target = m->gates[GATE_NULL].target)
REFUSED("gate-target-indirect", "a target of an indirect out-call", EINVAL,
	m->gates[GATE_OUT_INDIRECT].target = m->gates[GATE_OUT].target)
REFUSED("gate-flags", "a gate with an unknown flag", EINVAL, m->gates[GATE_NULL].flags = 4)
REFUSED("gate-flags-two", "a gate with two flags", EINVAL,
	m->gates[GATE_EXIT].flags = KVM_GM_GATE_F_INIT | KVM_GM_GATE_F_EXIT)
REFUSED("gate-flags-in", "an in-call gate with an out-call's flag", EINVAL,
	m->gates[GATE_NULL].flags = KVM_GM_GATE_F_NORETURN)
REFUSED("gate-flags-indirect", "an indirect out-call gate with a flag", EINVAL,
	m->gates[GATE_OUT_INDIRECT].flags = KVM_GM_GATE_F_ASM)
REFUSED("gate-results", "results of a callee that is not in assembly", EINVAL,
	m->gates[GATE_OUT].results = 1)
REFUSED("gate-results-sp", "the stack pointer as a result", EINVAL,
	m->gates[GATE_ASM].results = 1 << 4)
REFUSED("gate-flags-out", "an out-call gate with an in-call's flag", EINVAL,
	m->gates[GATE_OUT].flags = KVM_GM_GATE_F_EXIT)
REFUSED("gate-kind-none", "a gate of no kind", EINVAL, m->gates[GATE_NULL].kind = 0)
REFUSED("gate-kind", "a gate of an unknown kind", EINVAL,
	m->gates[GATE_NULL].kind = KVM_GM_GATE_OUT_RETURN + 1)
REFUSED("gate-target-outside", "an in-call to the kernel", EINVAL,
	m->gates[GATE_NULL].target = VA_KERNEL + KERNEL)
REFUSED("gate-target-gates", "an in-call to a gate", EINVAL,
	m->gates[GATE_NULL].target = m->gates[GATE_JUMP].insn)
REFUSED("gate-target-data", "an in-call to data", EINVAL,
	m->gates[GATE_NULL].target = m->regions[REGION_DATA].va)
REFUSED("gate-target-after", "an in-call to right after the text", EINVAL,
	m->gates[GATE_NULL].target = m->regions[REGION_TEXT].va + PAGE)
REFUSED("gate-target-inside", "an out-call into the module", EINVAL,
	m->gates[GATE_OUT].target = m->regions[REGION_TEXT].va)
REFUSED("gate-in-text", "an in-call gate in the text", EINVAL,
	m->gates[GATE_RESUME].insn = m->regions[REGION_TEXT].va)
REFUSED("gate-in-gates", "an out-call gate among the ways in", EINVAL,
	m->gates[GATE_OUT].insn = m->va + 0x100)
REFUSED("gate-in-data", "an out-return gate in the data", EINVAL,
	m->gates[GATE_OUT_RETURN].insn = m->regions[REGION_DATA].va)
REFUSED("gate-outside", "a gate in no region", EINVAL, m->gates[GATE_NULL].insn = m->va - 0x10)
REFUSED("in-return-missing", "no in-return gate", EINVAL,
	m->gates[GATE_IN_RETURN].kind = KVM_GM_GATE_IN_CALL;
	m->gates[GATE_IN_RETURN].target = m->gates[GATE_NULL].target)
REFUSED("in-return-twice", "two in-return gates", EINVAL,
	m->gates[GATE_INIT].kind = KVM_GM_GATE_IN_RETURN; m->gates[GATE_INIT].flags = 0;
	m->gates[GATE_INIT].target = 0)
REFUSED("resume-missing", "no resume gate", EINVAL,
	m->gates[GATE_RESUME].kind = KVM_GM_GATE_IN_CALL;
	m->gates[GATE_RESUME].target = m->gates[GATE_NULL].target)
REFUSED("out-return-missing", "no out-return gate", EINVAL,
	m->gates[GATE_OUT_RETURN].kind = KVM_GM_GATE_OUT_CALL_INDIRECT)
REFUSED("out-return-twice", "two out-return gates", EINVAL,
	m->gates[GATE_OUT_INDIRECT].kind = KVM_GM_GATE_OUT_RETURN)
REFUSED("trampoline-apart", "the trampoline apart from the in-return gate", EINVAL,
	m->arg.trampoline--)
REFUSED("trampoline-none", "no trampoline", EINVAL, m->arg.trampoline = 0)
REFUSED("ret-text", "the RET in the text", EINVAL, m->arg.ret = m->regions[REGION_TEXT].va)
REFUSED("ret-outside", "the RET in the kernel", EINVAL, m->arg.ret = VA_KERNEL)

REFUSED("frames-many", "too many frames", E2BIG, m->arg.nr_frames = KVM_GM_MAX_FRAMES + 1)
REFUSED("frames-pointer", "frames at a bad address", EFAULT, m->arg.frames = BAD_POINTER)
REFUSED("frames-same", "two frames of one call", EINVAL,
	m->frames[1] = m->frames[0])
REFUSED("frames-unsorted", "frames out of order", EINVAL,
	m->frames[1].ret = m->frames[0].ret - 1)
REFUSED("frame-unaligned", "a frame of half a word", EINVAL, m->frames[0].size += 4)
REFUSED("frame-large", "a frame as large as the stack", EINVAL, m->frames[0].size = PAGE)
REFUSED("frame-window", "a window that leaves its frame", EINVAL, m->frames[0].window_len = 65)
REFUSED("frame-window-wraps", "a window that leaves its frame by far", EINVAL,
	m->frames[0].window = 0xffff; m->frames[0].window_len = 0xffff)
REFUSED("frame-outside", "a frame of a call in the kernel", EINVAL, m->frames[0].ret = VA_KERNEL)
REFUSED("frame-gates", "a frame of a call in the gates", EINVAL, m->frames[0].ret = m->va)
