// SPDX-License-Identifier: GPL-2.0
/*
 * The host beside its vCPUs: unsealing (seal.c), and userspace, which unseals at any
 * time and seals again.
 */

#ifdef UNSEAL
/* gm_unseal_locked(): whoever holds slots_lock, a vCPU or userspace. */
active proctype unseal_locked()
{
	unsigned i : 3;

end_idle:
	atomic {
		slots_lock == 1;
		if
		:: !S[job].sealed -> slots_lock = 2; goto end_idle
		:: else -> S[job].sealed = 0
		fi
	}
	S[job].gates = 0;
	S[job].dead = 1;
#ifndef NO_unseal_kicks
	atomic { tell_vcpu(0) }
	atomic { tell_vcpu(1) }
	!V[0].ipi;
	!V[1].ipi;
#endif
#ifndef NO_grace_period
	/* synchronize_srcu(), synchronize_rcu() */
	!V[0].reader;
	!V[1].reader;
#endif
	/* gm_release_aperture() */
	S[job].mapped = 0;
	atomic {
		PROPERTY(I7_nothing_mapped, !S[job].mapped);
		S[job].ghost_gone = 1;
		gm_put_seal(job);
		slots_lock = 2;
		goto end_idle
	}
}

active proctype userspace()
{
end_unseal:
	atomic { slots_lock == 0 && S[0].sealed -> slots_lock = 1; job = 0 }
	atomic { slots_lock == 2 -> slots_lock = 0; job = 0 }
end_seal:
	/* gm_seal(): an id is free when what had it is freed. */
	atomic {
#ifndef NO_id_until_freed
		slots_lock == 0 && S[0].ref == 0;
#else
		slots_lock == 0 && S[0].ghost_gone;
#endif
		PROPERTY(I7_view_not_reused, V[0].view != 1 && V[1].view != 1);
		PROPERTY(I7_nothing_mapped, !S[0].mapped);
		S[0].sealed = 1;
		S[0].gates = 1;
		S[0].dead = 0;
		S[0].begun = 0;
		S[0].ref = 1;
		S[0].ghost_init = 0;
		S[0].ghost_gone = 0;
		S[0].ghost_quarantined = 0;
		goto end_unseal
	}
}
#endif
