// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU: the guest, the module, and KVM's handling of exits (crossing.c, event.c,
 * violation.c, gm.c). What the adversary chooses is chosen where it is first looked at,
 * which is the same as earlier.
 */

#define v	_pid

/* Any stack pointer. */
inline choose_sp(x)
{
	if
	:: x = 0
	:: x = 1
#if NSP > 2
	:: x = 2
#endif
#if NSP > 3
	:: x = 3
#endif
	fi
}

/*
 * Where an out-call goes on: below where the thread came in, as far as it has
 * arguments; rounded down. So two threads' frames may meet.
 */
inline choose_out_sp(m, a, x)
{
	x = ACT(m, a).guest_sp;
	if
	:: skip
	:: x = (x > 0 -> x - 1 : x)
	fi
}

/* Which module's gate it is. */
inline choose_module(x)
{
#if NM > 1
	if
	:: x = 0
	:: x = 1
	fi
#else
	x = 0
#endif
}

#if MAY_DIE
/* On the fastpath, or all the way. */
inline exits_at_gate()
{
	if
	:: V[v].reader = 1; fast = 1
	:: leave_guest(v)
	fi
}

/* gm_fastpath(), __gm_hypercall(): is there a gate? gm_cross(): is its seal alive? */
inline gm_cross()
{
	atomic {
		if
		:: S[m].gates
		:: !S[m].gates && fast -> goto slow
		:: !S[m].gates && !fast && INSIDE_VIEW(v) -> goto violation
		:: !S[m].gates && !fast && !INSIDE_VIEW(v) -> m = 0; goto enter_guest
		fi
	}
	atomic {
		USED(m);
		if
#ifndef NO_quarantined
		:: S[m].dead -> goto refuse
#endif
		:: else
		fi
	}
}

/* The rest of a crossing is the vCPU's own affair. */
inline crossed()
{
	a = NONE;
	m = 0;
	if
	:: fast -> fast = 0; V[v].reader = 0; goto guest
	:: else -> goto enter_guest
	fi
}
#else
/* Nothing ends: there is no difference between the fastpath and the slow one. */
inline exits_at_gate()
{
	skip
}

inline gm_cross()
{
	skip
}

inline crossed()
{
	a = NONE;
	m = 0;
	goto guest
}
#endif

active [NV] proctype vcpu()
{
	unsigned m : 1;		/* the module whose gate it is at */
	unsigned a : 3 = NONE;
	unsigned x : 3;
	unsigned i : 3;
	unsigned k : 3;
	bit fast, is_init, event, last;


guest:
	/* Each step is an instruction, or an exit in place of one. */
	if
	/* A hypercall at a gate: from the guest at any, from a module at its own. */
	:: atomic {
		!INSIDE_VIEW(v) ->
			is_outside(v);
			choose_module(m);
			exits_at_gate();
			goto from_outside
	   }
	:: atomic {
		INSIDE_VIEW(v) && V[v].text ->
			executes(v);
			m = OWN(v);
			exits_at_gate();
			goto from_inside
	   }
#ifdef FRAMES
	:: atomic {
		/* It calls a function of its own, or returns from it. */
		INSIDE_VIEW(v) && V[v].text ->
			executes(v);
			V[v].sp = 1 - V[v].sp;
			ACT(OWN(v), V[v].act).ghost_sp = V[v].sp;
			goto guest
	   }
#endif
#ifdef STRAY
	:: atomic {
		/* It jumps elsewhere: nothing there is executable. */
		INSIDE_VIEW(v) && V[v].text -> executes(v); V[v].text = 0; goto guest
	   }
	:: atomic {
		INSIDE_VIEW(v) && !V[v].text ->
#ifdef NO_module_view_exec
			executes(v);
#endif
			leave_guest(v); m = OWN(v); goto violation
	   }
#endif
#ifdef EVENTS
	/* An interrupt, an exception: to be delivered. */
	:: atomic {
		INSIDE_VIEW(v) && V[v].text -> executes(v); leave_guest(v); event = 1;
		goto enter_guest
	   }
#endif
#ifdef INIT
	:: atomic { INSIDE_VIEW(v) && V[v].text -> leave_guest(v); goto reset }
#endif
#if MAY_DIE
	:: atomic { V[v].ipi -> leave_guest(v); goto enter_guest }
#endif
#ifdef UNSEAL
	/* A second-level fault: something of the view is not mapped yet. */
	:: atomic { INSIDE_VIEW(v) && V[v].text -> leave_guest(v); m = OWN(v); goto page_fault }
	/* The guest's kernel ends. */
	:: atomic { !INSIDE_VIEW(v) -> leave_guest(v); goto kernel_ends }
	/* The vCPU sleeps for ever: all others must do without it. */
	:: atomic { !INSIDE_VIEW(v) && !V[v].ipi -> V[v].in_guest = 0; goto end_asleep }
#endif
	fi;

from_outside:
	gm_cross();
	atomic {
		/* Into any of its functions; back from a callee, or from an event. */
		if
		:: goto in_call
		:: goto in_return
#ifdef EVENTS
		:: goto resume
#endif
		/* The environment is not sane, or the gate leads out. */
		:: goto refuse
		fi
	}

from_inside:
	gm_cross();
	atomic {
		if
		:: goto out_call
		:: goto out_return
#ifdef STRAY
		:: goto no_return
#endif
		fi
	}

in_call: /* gm_do_in_call(), as far as the activation is concerned */
	atomic {
		choose_sp(x);
		gm_begin_activation(m, x, a);
		x = 0;
		if
		:: a == NONE -> goto refuse
		:: else
		fi
	}
	/* gm_may_begin() */
	atomic {
		if
		:: is_init = 1
		:: is_init = 0
		fi;
		if
		:: (S[m].begun && !is_init) -> goto enter
#ifdef NO_init_first
		:: !is_init -> goto enter
#endif
#ifdef NO_init_once
		:: is_init && !fast -> S[m].begun = 1; goto enter
#else
		:: is_init && !fast && !S[m].begun -> S[m].begun = 1; goto enter
#endif
		:: else
		fi
	}
	/* It may not: the activation goes back. */
	atomic { gm_end_activation(m, a, v); a = NONE; is_init = 0; goto refuse }

enter:	atomic {
		PROPERTY(I1_init_once, !is_init || !S[m].ghost_init);
		PROPERTY(I1_init_first, S[m].begun);
		S[m].ghost_init = S[m].ghost_init || is_init;
		is_init = 0;
		PROPERTY(I3_private_stack, ACT(m, a).ghost_sp == 0);
		gm_enter_view(v, m, a, 0);
		crossed()
	}

in_return: /* gm_in_return() */
	atomic {
		choose_sp(x);
		gm_claim_out(m, x, a);
		x = 0;
		if
		:: a == NONE -> goto refuse
		:: else
		fi
	}
	atomic { gm_enter_view(v, m, a, ACT(m, a).sp); crossed() }

#ifdef EVENTS
resume:	/* gm_resume() */
	atomic {
		choose_sp(x);
		gm_claim_event(m, x, a);
		x = 0;
		if
		:: a == NONE -> goto refuse
		:: else
		fi
	}
	atomic { gm_enter_view(v, m, a, ACT(m, a).sp); crossed() }
#endif

out_call: /* gm_do_out_call() */
	atomic {
		a = V[v].act;
		choose_out_sp(m, a, x);
		gm_publish_out(m, a, v, x, k);
		a = NONE;
		k = 0;
		x = 0
	}
left:	/* gate and seal are still used, and the activation is somebody else's */
	atomic { USED(m); gm_leave_view(v); crossed() }

#ifdef STRAY
no_return: /* an out-call by a gate with KVM_GM_GATE_F_NORETURN */
	atomic {
		a = V[v].act;
		ACT(m, a).ghost_sp = 0;
		gm_end_activation(m, a, v);
		a = NONE;
		goto left
	}
#endif

out_return: /* gm_out_return() */
	atomic {
		if
#ifdef UNSEAL
		:: last = 1	/* of the exit function, or of init with an error */
#endif
		:: last = 0
		fi;
		if
#ifndef NO_out_return_stack
		:: V[v].sp != 0 -> last = 0; goto refuse
#endif
		:: else ->
#ifdef UNSEAL
			if
			:: last && fast -> last = 0; goto slow
			:: last && !fast -> S[m].ref++
			:: else
			fi
#else
			skip
#endif
		fi
	}
	atomic {
		a = V[v].act;
		PROPERTY(I3_private_stack, ACT(m, a).ghost_sp == 0);
		gm_end_activation(m, a, v);
		a = NONE
	}
	atomic {
		USED(m);
		gm_leave_view(v);
#ifdef UNSEAL
		if
		:: last -> goto unseal_in_run
		:: else
		fi;
#endif
		crossed()
	}

refuse:	/* gm_refuse() */
#if MAY_DIE
	atomic {
		if
		:: fast
		:: else -> goto violation
		fi
	}
slow:	/* The exit is handled once more, from the start. */
	V[v].reader = 0;
	atomic {
		fast = 0;
		leave_guest(v);
		if
		:: INSIDE_VIEW(v) -> goto from_inside
		:: else -> goto from_outside
		fi
	}
#else
	atomic {
		if
		:: INSIDE_VIEW(v)
		:: else -> m = 0; goto guest
		fi
	}
#endif

violation: /* gm_violation() */
	atomic {
		USED(m);
		S[m].ref++;
		if
		:: INSIDE_VIEW(v)
		:: else -> goto abandoned
		fi
	}
	atomic { a = V[v].act; k = OWN(v); gm_lose_activation(k, a, v); a = NONE; k = 0 }
	atomic { gm_leave_view(v) }
abandoned:
#ifdef QUARANTINE
	/* gm_quarantine() */
	atomic {
		last = S[m].dead;
		S[m].dead = 1;
		if
		:: last -> last = 0; goto reported
		:: else
		fi
	}
#ifndef NO_quarantine_kicks
	atomic { tell_vcpu(0) }
	atomic { tell_vcpu(1) }
	!V[1 - v].ipi;
#endif
	atomic { S[m].ghost_quarantined = S[m].sealed }
reported:
#endif
	atomic { gm_put_seal(m); m = 0; goto enter_guest }

#ifdef INIT
reset:	/* __gm_vcpu_reset() */
#ifndef NO_reset_loses
	atomic { a = V[v].act; k = OWN(v); gm_lose_activation(k, a, v); a = NONE; k = 0 }
#endif
	atomic { gm_leave_view(v); goto enter_guest }
#endif

#ifdef UNSEAL
page_fault: /* __gm_faultin_pfn(), and what maps */
	atomic {
		if
#ifndef NO_unsealed_meanwhile
		:: S[m].dead -> m = 0; goto enter_guest
#endif
		:: else
		fi
	}
	atomic {
		PROPERTY(I7_nothing_mapped, !S[m].ghost_gone);
		S[m].mapped = 1;
		m = 0;
		goto enter_guest
	}

kernel_ends: /* gm_end_kernel() */
	atomic {
		if
		:: S[m].sealed && S[m].ref > 0 -> S[m].ref++
		:: else -> m = 0; goto enter_guest
		fi
	}
unseal_in_run: /* gm_unseal_in_run() */
#ifndef NO_unlocked_srcu
	V[v].reader = 0;
#endif
	atomic { slots_lock == 0 -> slots_lock = 1; job = m }
	atomic { slots_lock == 2 -> slots_lock = 0; job = 0 }
	atomic { V[v].reader = 1; gm_put_seal(m); m = 0; last = 0; goto enter_guest }
#endif

enter_guest:	/* vcpu_enter_guest(): requests, then events, then the guest */
#if MAY_DIE
	atomic {
		if
		:: V[v].req_gm -> V[v].req_gm = 0
		:: else -> goto events
		fi
	}
	/* __gm_vcpu_update() */
	atomic {
		if
#ifndef NO_dead_leaves
		:: INSIDE_VIEW(v) && S[OWN(v)].dead
#endif
		:: else -> goto events
		fi
	}
	atomic { a = V[v].act; k = OWN(v); gm_lose_activation(k, a, v); a = NONE; k = 0 }
	atomic { gm_leave_view(v) }
#endif
events:
#ifdef EVENTS
	atomic {
		if
		:: event && INSIDE_VIEW(v) -> event = 0
		:: else -> event = 0; goto go
		fi
	}
	/* __gm_event_exit(), then the event is injected */
#ifndef NO_interrupt_inside
	atomic { a = V[v].act; k = OWN(v); gm_publish_event(k, a, v); a = NONE; k = 0 }
	atomic { gm_leave_view(v); PROPERTY(I2_event_outside, !INSIDE_VIEW(v)) }
#else
	atomic { V[v].text = 0; PROPERTY(I2_event_outside, !INSIDE_VIEW(v)) }
#endif
#endif
go:
#if MAY_DIE
	V[v].in_guest = 1;
	V[v].reader = 0;
	/* kvm_vcpu_exit_request() */
	atomic {
		if
#ifndef NO_requests_again
		:: V[v].req_gm -> leave_guest(v); goto enter_guest
#endif
		:: else -> goto guest
		fi
	}
#else
	goto guest;
#endif
#ifdef UNSEAL
end_asleep:
	false
#endif
#undef v
}
