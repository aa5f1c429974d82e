/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guarded modules: tracepoints. A crossing is traced when it is done, with the
 * place that it came from; a violation after privilege has been dropped.
 */
#if !defined(__KVM_X86_GM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define __KVM_X86_GM_TRACE_H

#include <linux/tracepoint.h>
#include <uapi/linux/kvm_gm.h>

#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

TRACE_EVENT(kvm_gm_crossing,
	    TP_PROTO(unsigned int vcpu_id, u32 id, u32 kind, u64 rip, u64 sp),
	    TP_ARGS(vcpu_id, id, kind, rip, sp),

	    TP_STRUCT__entry(__field(unsigned int,	vcpu_id)
			     __field(u32,		id)
			     __field(u32,		kind)
			     __field(u64,		rip)
			     __field(u64,		sp)),

	    TP_fast_assign(__entry->vcpu_id	= vcpu_id;
			   __entry->id		= id;
			   __entry->kind	= kind;
			   __entry->rip		= rip;
			   __entry->sp		= sp;),

	    TP_printk("vcpu %u module %u %s rip 0x%llx sp 0x%llx",
		      __entry->vcpu_id, __entry->id,
		      __print_symbolic(__entry->kind,
				       { KVM_GM_IN_CALL,	"in-call" },
				       { KVM_GM_OUT_RETURN,	"out-return" },
				       { KVM_GM_OUT_CALL,	"out-call" },
				       { KVM_GM_IN_RETURN,	"in-return" },
				       { KVM_GM_EVENT_EXIT,	"event-exit" },
				       { KVM_GM_RESUME,		"resume" }),
		      __entry->rip, __entry->sp)
);

TRACE_EVENT(kvm_gm_violation,
	    TP_PROTO(unsigned int vcpu_id, u32 id, u32 kind, u32 gate, u64 rip,
		     u64 addr, u64 gpa),
	    TP_ARGS(vcpu_id, id, kind, gate, rip, addr, gpa),

	    TP_STRUCT__entry(__field(unsigned int,	vcpu_id)
			     __field(u32,		id)
			     __field(u32,		kind)
			     __field(u32,		gate)
			     __field(u64,		rip)
			     __field(u64,		addr)
			     __field(u64,		gpa)),

	    TP_fast_assign(__entry->vcpu_id	= vcpu_id;
			   __entry->id		= id;
			   __entry->kind	= kind;
			   __entry->gate	= gate;
			   __entry->rip		= rip;
			   __entry->addr	= addr;
			   __entry->gpa		= gpa;),

	    TP_printk("vcpu %u module %u %s gate %d rip 0x%llx addr 0x%llx gpa 0x%llx",
		      __entry->vcpu_id, __entry->id,
		      __print_symbolic(__entry->kind,
				       { KVM_GM_V_EXEC,		"exec" },
				       { KVM_GM_V_WRITE,	"write" },
				       { KVM_GM_V_HYPERCALL,	"hypercall" },
				       { KVM_GM_V_GATE,		"gate" },
				       { KVM_GM_V_RETURN,	"return" },
				       { KVM_GM_V_RESUME,	"resume" },
				       { KVM_GM_V_ENVIRONMENT,	"environment" },
				       { KVM_GM_V_LIMIT,	"limit" },
				       { KVM_GM_V_ESCAPE,	"escape" },
				       { KVM_GM_V_ACCESS,	"access" },
				       { KVM_GM_V_EXIT,		"exit" },
				       { KVM_GM_V_FRAME,	"frame" },
				       { KVM_GM_V_EMULATE,	"emulate" },
				       { KVM_GM_V_QUARANTINE,	"quarantine" }),
		      (int)__entry->gate, __entry->rip, __entry->addr, __entry->gpa)
);

TRACE_EVENT(kvm_gm_map,
	    TP_PROTO(u32 id, u32 range, u64 gpa, u32 page, u32 nr_pages),
	    TP_ARGS(id, range, gpa, page, nr_pages),

	    TP_STRUCT__entry(__field(u32,	id)
			     __field(u32,	range)
			     __field(u64,	gpa)
			     __field(u32,	page)
			     __field(u32,	nr_pages)),

	    TP_fast_assign(__entry->id		= id;
			   __entry->range	= range;
			   __entry->gpa		= gpa;
			   __entry->page	= page;
			   __entry->nr_pages	= nr_pages;),

	    TP_printk("module %u range %u gpa 0x%llx page %u pages %u", __entry->id,
		      __entry->range, __entry->gpa, __entry->page, __entry->nr_pages)
);

TRACE_EVENT(kvm_gm_grant,
	    TP_PROTO(u32 id, bool grant, u32 kind, u32 flags, u32 first, u32 last),
	    TP_ARGS(id, grant, kind, flags, first, last),

	    TP_STRUCT__entry(__field(u32,	id)
			     __field(bool,	grant)
			     __field(u32,	kind)
			     __field(u32,	flags)
			     __field(u32,	first)
			     __field(u32,	last)),

	    TP_fast_assign(__entry->id		= id;
			   __entry->grant	= grant;
			   __entry->kind	= kind;
			   __entry->flags	= flags;
			   __entry->first	= first;
			   __entry->last	= last;),

	    TP_printk("module %u %s %s flags 0x%x first 0x%x last 0x%x",
		      __entry->id, __entry->grant ? "granted" : "revoked",
		      __print_symbolic(__entry->kind,
				       { KVM_GM_PRIV_MSR,	"msr" },
				       { KVM_GM_PRIV_MWAIT,	"mwait" },
				       { KVM_GM_PRIV_HOSTINFO,	"hostinfo" }),
		      __entry->flags, __entry->first, __entry->last)
);

DECLARE_EVENT_CLASS(kvm_gm_sealing,
		    TP_PROTO(u32 id, const char *name, u32 nr_pages, u32 nr_gates),
		    TP_ARGS(id, name, nr_pages, nr_gates),

		    TP_STRUCT__entry(__field(u32,	id)
				     __string(name,	name)
				     __field(u32,	nr_pages)
				     __field(u32,	nr_gates)),

		    TP_fast_assign(__entry->id		= id;
				   __assign_str(name);
				   __entry->nr_pages	= nr_pages;
				   __entry->nr_gates	= nr_gates;),

		    TP_printk("module %u %s pages %u gates %u",
			      __entry->id, __get_str(name),
			      __entry->nr_pages, __entry->nr_gates)
);

DEFINE_EVENT(kvm_gm_sealing, kvm_gm_seal,
	     TP_PROTO(u32 id, const char *name, u32 nr_pages, u32 nr_gates),
	     TP_ARGS(id, name, nr_pages, nr_gates));

DEFINE_EVENT(kvm_gm_sealing, kvm_gm_unseal,
	     TP_PROTO(u32 id, const char *name, u32 nr_pages, u32 nr_gates),
	     TP_ARGS(id, name, nr_pages, nr_gates));

#endif /* __KVM_X86_GM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH gm
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

/* This part must be outside protection */
#include <trace/define_trace.h>
