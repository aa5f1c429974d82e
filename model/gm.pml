// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: a model of views, activations and crossings (I1, I2, I3).
 *
 * Two vCPUs, userspace, and whoever holds slots_lock to unseal run the algorithm of
 * kvm-gm/arch/x86/kvm/gm; README.md has the table of what stands for what. The
 * guest is the adversary: in view 0 a vCPU makes a hypercall at any gate of any
 * module, with any stack pointer, at any time. A thread is no more than its stack
 * pointer, so threads die, sleep, change vCPUs and steal from each other freely.
 *
 * What the code does under act_lock is one atomic step, what a vCPU does to its own
 * registers belongs to the step before; everything else is a step of its own. The
 * `ghost' variables are what really is: only properties read them. Each property is an
 * assertion with its name; -DNO_x removes the guard x (mutants.toml). There are no
 * counters, so the whole of an endless run is searched.
 */

#ifndef NM
#define NM 1			/* modules */
#endif
#ifndef NA
#define NA 3			/* activations of each */
#endif
#ifndef NSP
#define NSP 3			/* guest stack pointers: threads, and frames of theirs */
#endif
#define NV 2			/* vCPUs */
#if defined(UNSEAL) || defined(QUARANTINE)
#define MAY_DIE 1
#else
#define MAY_DIE 0
#endif
#define NONE 7			/* no activation, no stack pointer */

/* Never assigned: they name an assertion in spin's report. */
bit I1_init_first, I1_init_once;
bit I2_sealed_text, I2_event_outside, I2_left_when_unsealed, I2_left_when_quarantined;
bit I3_own_return, I3_returns_once, I3_one_vcpu, I3_private_stack, I3_lost_stays_lost;
bit I3_one_per_stack_pointer, I3_conserved;
bit I7_no_use_after_free, I7_nothing_mapped, I7_view_not_reused;

#define PROPERTY(name, what)	assert(name || (what))

/* enum gm_activation_state */
#define FREE	0
#define INSIDE	1
#define OUT	2
#define EVENT	3
#define LOST	4

/* Ghost: what became of the thread whose frames are on a private stack. */
#define EMPTY	0
#define RUNS	1		/* + the vCPU */
#define CALLED	3		/* out, its callee has not returned */
#define STOPPED	4		/* by an event */
#define DEAD	5

typedef activation {
	unsigned state : 3;
	unsigned guest_sp : 3;
	unsigned out_sp : 3;
	bit by_guest_sp;	/* is it in the hash table? */
	bit by_out_sp;
	bit sp;			/* saved: frames on the private stack */
	unsigned ghost : 3;
	bit ghost_sp;
};

typedef seal {
	bit sealed = 1;		/* gm->seals[] has it */
	bit gates = 1;		/* gm->gates has its gates */
	bit dead;
	bit begun;
	unsigned ref : 4 = 1;
	activation act[NA];
	bit mapped;		/* something is, in its view */
	bit ghost_init;		/* its init function has run */
	bit ghost_gone;		/* unsealing has returned */
	bit ghost_quarantined;	/* gm_quarantine() has returned */
};

typedef virtual_cpu {
	unsigned view : 2;	/* module + 1; 0: the guest's */
	unsigned act : 3 = NONE;
	bit sp;			/* inside: RSP, as frames on the private stack */
	bit text;		/* RIP is in sealed text, or else not */
	bit in_guest = 1;	/* vcpu->mode is IN_GUEST_MODE */
	bit ipi;		/* somebody waits for its exit */
	bit reader;		/* of SRCU, on the fastpath of RCU */
	bit req_gm;		/* KVM_REQ_GM */
};

seal S[NM];
virtual_cpu V[NV];
unsigned slots_lock : 2;	/* 0: free, 1: wanted by its holder, 2: done */
unsigned job : 1;		/* what its holder unseals */

#define INSIDE_VIEW(v)	(V[v].view != 0)
#define OWN(v)		(V[v].view - 1)
#define IS_SEALED(x)	S[x].sealed
#define ACT(m, a)	S[m].act[a]
#define USED(m)		PROPERTY(I7_no_use_after_free, S[m].ref > 0)

/* ---- activation.h, activation.c: each is one hold of act_lock ---- */

inline check_owned(m, a, v)
{
	USED(m);
	PROPERTY(I3_conserved, a < NA && ACT(m, a).state == INSIDE);
	PROPERTY(I3_one_vcpu, ACT(m, a).ghost == RUNS + v || ACT(m, a).ghost == EMPTY);
}

inline find_by_guest_sp(m, sp_, found)
{
	found = NONE;
	for (i : 0 .. NA - 1) {
		if
		:: ACT(m, i).by_guest_sp && ACT(m, i).guest_sp == sp_ -> found = i
		:: else
		fi
	}
	i = 0;
}

inline find_by_out_sp(m, sp_, found)
{
	found = NONE;
	for (i : 0 .. NA - 1) {
		if
		:: ACT(m, i).by_out_sp && ACT(m, i).out_sp == sp_ -> found = i
		:: else
		fi
	}
	i = 0;
}

inline gm_lose(m, a)
{
	ACT(m, a).by_guest_sp = 0;
#ifndef NO_lost_leaves_tables
	ACT(m, a).by_out_sp = 0;
	ACT(m, a).out_sp = 0;
#endif
#ifndef NO_lost_stack_again
	ACT(m, a).state = LOST;
#else
	ACT(m, a).state = FREE;
#endif
	ACT(m, a).guest_sp = 0;
	ACT(m, a).sp = 0;
	ACT(m, a).ghost = DEAD;
	ACT(m, a).ghost_sp = 0
}

inline gm_free(m, a)
{
	ACT(m, a).by_guest_sp = 0;
	ACT(m, a).state = FREE;
	ACT(m, a).guest_sp = 0;
	ACT(m, a).sp = 0
}

/* A thread that has gone with its frames: what the guest does, or the host to it. */
inline dies(m, a)
{
	ACT(m, a).ghost = DEAD;
	ACT(m, a).ghost_sp = 0
}

inline gm_begin_activation(m, sp_, a)
{
	d_step {
		USED(m);
		find_by_guest_sp(m, sp_, a);
#ifdef NO_superseded
		a = NONE;
#endif
		if
#ifndef NO_one_inside_a_stack
		:: a != NONE && ACT(m, a).state == INSIDE -> a = NONE
#endif
		:: else ->
			if
			:: a != NONE -> gm_lose(m, a)
			:: else
			fi;
			a = NONE;
			for (i : 0 .. NA - 1) {
				if
				:: a == NONE && ACT(m, i).state == FREE -> a = i
				:: else
				fi
			}
			i = 0;
			if
			:: a != NONE ->
				PROPERTY(I3_lost_stays_lost, ACT(m, a).ghost != DEAD);
				PROPERTY(I3_conserved, ACT(m, a).ghost == EMPTY &&
					 !ACT(m, a).by_guest_sp && !ACT(m, a).by_out_sp);
				ACT(m, a).guest_sp = sp_;
				ACT(m, a).by_guest_sp = 1;
				ACT(m, a).state = INSIDE;
				for (i : 0 .. NA - 1) {
					PROPERTY(I3_one_per_stack_pointer, i == a || !ACT(m, i).by_guest_sp ||
						 ACT(m, i).guest_sp != sp_)
				}
				i = 0
			:: else
			fi
		fi
	}
}

inline gm_end_activation(m, a, v)
{
	d_step {
		check_owned(m, a, v);
		gm_free(m, a);
		ACT(m, a).ghost = EMPTY
	}
}

inline gm_lose_activation(m, a, v)
{
	d_step {
		check_owned(m, a, v);
		dies(m, a);
#ifndef NO_violation_loses
		gm_lose(m, a)
#else
		gm_free(m, a)
#endif
	}
}

inline gm_publish_out(m, a, v, sp_, dead_)
{
	d_step {
		check_owned(m, a, v);
		find_by_out_sp(m, sp_, dead_);
		if
#ifndef NO_two_on_one_stack
		:: dead_ != NONE -> gm_lose(m, dead_)
#endif
		:: else
		fi;
		dead_ = NONE;
		ACT(m, a).out_sp = sp_;
		ACT(m, a).by_out_sp = 1;
		ACT(m, a).sp = V[v].sp;
		ACT(m, a).state = OUT;
		ACT(m, a).ghost = CALLED;
		for (i : 0 .. NA - 1) {
			PROPERTY(I3_one_per_stack_pointer, i == a || !ACT(m, i).by_out_sp ||
				 ACT(m, i).out_sp != sp_)
		}
		i = 0
	}
}

inline gm_claim_out(m, sp_, a)
{
	d_step {
		USED(m);
#ifndef NO_return_of_another
		find_by_out_sp(m, sp_, a);
#else
		a = NONE;
		for (i : 0 .. NA - 1) {
			if
			:: ACT(m, i).state == OUT -> a = i
			:: else
			fi
		}
		i = 0;
#endif
#ifdef NO_return_unclaimed
		a = (a == NONE -> 0 : a);
#endif
		if
		:: a != NONE ->
			PROPERTY(I3_lost_stays_lost, ACT(m, a).ghost != DEAD);
			PROPERTY(I3_returns_once, ACT(m, a).ghost == CALLED);
			PROPERTY(I3_own_return, ACT(m, a).out_sp == sp_);
#ifndef NO_return_claims
			ACT(m, a).by_out_sp = 0;
			ACT(m, a).out_sp = 0;
#endif
			ACT(m, a).state = INSIDE
		:: else
		fi
	}
}

inline gm_publish_event(m, a, v)
{
	d_step {
		check_owned(m, a, v);
		ACT(m, a).sp = V[v].sp;
		ACT(m, a).state = EVENT;
		ACT(m, a).ghost = STOPPED
	}
}

inline gm_claim_event(m, sp_, a)
{
	d_step {
		USED(m);
		find_by_guest_sp(m, sp_, a);
		if
#ifndef NO_resume_of_running
		:: a != NONE && ACT(m, a).state != EVENT -> a = NONE
#endif
		:: else
		fi;
#ifdef NO_resume_unclaimed
		a = (a == NONE -> 0 : a);
#endif
		if
		:: a != NONE ->
			PROPERTY(I3_lost_stays_lost, ACT(m, a).ghost != DEAD);
			PROPERTY(I3_returns_once, ACT(m, a).ghost == STOPPED);
			PROPERTY(I3_own_return, ACT(m, a).guest_sp == sp_);
			ACT(m, a).state = INSIDE
		:: else
		fi
	}
}

/* ---- view.h, seal.c, gm.c ---- */

/* With the memory of its activations; what becomes of its number, see userspace. */
inline gm_free_seal(m)
{
	for (i : 0 .. NA - 1) {
		ACT(m, i).state = FREE;
		ACT(m, i).guest_sp = 0;
		ACT(m, i).out_sp = 0;
		ACT(m, i).by_guest_sp = 0;
		ACT(m, i).by_out_sp = 0;
		ACT(m, i).sp = 0;
		ACT(m, i).ghost = EMPTY;
		ACT(m, i).ghost_sp = 0
	}
	i = 0
}

inline __gm_put_seal(m)
{
	USED(m);
	S[m].ref--;
	if
#ifdef UNSEAL
	:: S[m].ref == 0 -> gm_free_seal(m)
#endif
	:: else
	fi
}

inline gm_put_seal(m)
{
	d_step {
		__gm_put_seal(m)
	}
}

/* And go on at a place in sealed text, on the activation's own stack. */
inline gm_enter_view(v, m, a, frames)
{
	d_step {
		USED(m);
#ifndef NO_view_holds_seal
		S[m].ref++;
#endif
		PROPERTY(I3_one_vcpu, ACT(m, a).state == INSIDE && ACT(m, a).ghost != RUNS + (1 - v));
		V[v].view = m + 1;
		V[v].act = a;
		V[v].sp = frames;
		V[v].text = 1;
		ACT(m, a).sp = 0;
		ACT(m, a).ghost = RUNS + v
	}
}

/* And go on outside. */
inline gm_leave_view(v)
{
	d_step {
		V[v].act = NONE;
		V[v].sp = 0;
		V[v].text = 0;
		k = OWN(v);
		V[v].view = 0;
#ifndef NO_view_holds_seal
		__gm_put_seal(k);
#endif
		k = 0
	}
}

/* ---- what the module does ---- */

/* An instruction executes with privilege raised. */
inline executes(v)
{
	d_step {
		PROPERTY(I2_sealed_text, V[v].text);
		PROPERTY(I2_left_when_unsealed, !S[OWN(v)].ghost_gone);
		PROPERTY(I2_left_when_quarantined, !S[OWN(v)].ghost_quarantined);
		PROPERTY(I3_lost_stays_lost, ACT(OWN(v), V[v].act).ghost != DEAD);
		PROPERTY(I3_one_vcpu, ACT(OWN(v), V[v].act).state == INSIDE &&
			 ACT(OWN(v), V[v].act).ghost == RUNS + v);
		PROPERTY(I3_private_stack, ACT(OWN(v), V[v].act).ghost_sp == V[v].sp)
	}
}

/* Privilege is dropped, and no activation waits for the vCPU to go on with it. */
inline is_outside(v)
{
	d_step {
		PROPERTY(I2_sealed_text, !V[v].text);
		for (i : 0 .. NA - 1) {
			PROPERTY(I3_conserved, ACT(0, i).ghost != RUNS + v);
			PROPERTY(I3_conserved, ACT(NM - 1, i).ghost != RUNS + v)
		}
		i = 0
	}
}

/* ---- what KVM does ---- */

/* VM-exit, all the way to the exit handlers. */
inline leave_guest(v)
{
#if MAY_DIE
	V[v].in_guest = 0;
	V[v].ipi = 0;
	V[v].reader = 1
#else
	skip
#endif
}

/* kvm_make_all_cpus_request(KVM_REQ_GM): all are told, then waited for. */
inline tell_vcpu(x)
{
	V[x].req_gm = 1;
	V[x].ipi = V[x].in_guest
}

#include "vcpu.pml"
#include "host.pml"
