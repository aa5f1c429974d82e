/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What runs in the guest: the hostile kernel, a few lines for each thing that
 * it does, and the text of the victim, the sealed module, one page. Both are
 * copied into guest memory; labels become guest addresses by their distance
 * from the start.
 *
 * HLT is how the guest turns to the test, which sees and sets all registers.
 */

/* In its place comes the vendor's: from KVM at a gate, else from put_hypercall(). */
#define HYPERCALL	.byte 0xcc, 0xcc, 0xcc

	.section .rodata
	.balign 4096

/* --- the kernel ------------------------------------------------------------- */

	.globl kernel
kernel:

	.globl kernel_halt
kernel_halt:				/* where calls of the victim return to */
	hlt

	.globl kernel_callee
kernel_callee:				/* what the victim calls */
	hlt
	ret

	.globl kernel_write
kernel_write:
	mov %rax,(%rdi)
	hlt

	.globl kernel_write_device
kernel_write_device:
	mov %eax,(%rdi)
	hlt

	.globl kernel_read
kernel_read:
	mov (%rdi),%rax
	hlt

	.globl kernel_monitors
kernel_monitors:			/* RDX times */
	xor %ecx,%ecx
	mov %rdi,%rax
	mov %rdx,%rbx
	xor %edx,%edx
1:	monitor
	dec %rbx
	jnz 1b
	hlt

	.globl kernel_lock_or
kernel_lock_or:
	lock orq %rax,(%rdi)
	hlt

	.globl kernel_string_copy
kernel_string_copy:			/* from RSI to RDI */
	movsq
	hlt

	.globl kernel_push
kernel_push:				/* what is at RSI onto the stack */
	push (%rsi)
	hlt

	.globl kernel_jump
kernel_jump:
	jmp *%rdi

	.globl kernel_hypercall
kernel_hypercall:
	HYPERCALL
	hlt

	.globl kernel_wrmsr
kernel_wrmsr:
	wrmsr
	hlt

	.globl kernel_write_cr0
kernel_write_cr0:
	mov %rax,%cr0
	hlt

	.globl kernel_write_cr4
kernel_write_cr4:
	mov %rax,%cr4
	hlt

	.globl kernel_write_debug
kernel_write_debug:			/* DR0 to DR3, DR7 */
	mov %rax,%dr0
	mov %rbx,%dr1
	mov %rcx,%dr2
	mov %rdx,%dr3
	mov %rsi,%dr7
	.globl kernel_write_debug_end
kernel_write_debug_end:
	hlt

	.globl kernel_debug_jump
kernel_debug_jump:			/* DR0, DR7, and at once to what RSP points to */
	mov %r10,%dr0
	mov %r11,%dr7
	ret

	.globl kernel_calls
kernel_calls:				/* the gate at R12, RBX times */
	mov $41,%edi
	call *%r12
	cmp $42,%rax
	jne 1f
	dec %rbx
	jnz kernel_calls
1:	hlt

	.globl kernel_calls_through
kernel_calls_through:			/* the gate at R12 with R13, R14, R15; RBX times */
	mov %r13,%rdi
	mov %r14,%rsi
	mov %r15,%rdx
	call *%r12
	cmp $42,%rax
	jne 1f
	dec %rbx
	jnz kernel_calls_through
1:	hlt

	.globl kernel_timed_calls
kernel_timed_calls:			/* the gate at R12 with R14, R15; the timer before, from R13 to 1 */
	mov $0x838,%ecx			/* the x2APIC's initial count */
	mov %r13d,%eax
	xor %edx,%edx
	wrmsr
	mov %r14,%rdi
	mov %r15,%rsi
	call *%r12
	cmp $42,%rax
	jne 1f
	dec %r13
	jnz kernel_timed_calls
1:	out %al,$0x80			/* HLT is no exit where the timer is */

	.globl kernel_timer
kernel_timer:				/* its interrupt's handler */
	push %rax
	push %rcx
	push %rdx
	mov $0x80b,%ecx			/* the x2APIC's EOI */
	xor %eax,%eax
	xor %edx,%edx
	wrmsr
	incq kernel_timer_count(%rip)
	pop %rdx
	pop %rcx
	pop %rax
	iretq
	.globl kernel_timer_count
kernel_timer_count:
	.quad 0

	.globl kernel_callback
kernel_callback:			/* what a module calls: the gate at RDX */
	mov $41,%edi
	jmp *%rdx

	.globl kernel_remap
kernel_remap:				/* RAX, RBX to RDI in turn until (RSI) is set */
	mov %rax,(%rdi)
	mov %rbx,(%rdi)
	cmpq $0,(%rsi)
	je kernel_remap
	hlt

	.globl kernel_end
kernel_end:

/* --- the victim's text ------------------------------------------------------- */

	.balign 4096
	.globl victim_text
victim_text:
	.set victim_rodata, victim_text + 0x1000
	.set victim_data, victim_text + 0x2000

	.globl text_null
text_null:
	lea 1(%rdi),%rax
	ret

	.globl text_jump
text_jump:				/* any other function: RDI, its arguments RSI.. */
	jmp *%rdi

	.globl text_identity
text_identity:
	mov %rdi,%rax
	ret

	.globl text_flags
text_flags:
	pushf
	pop %rax
	ret

	.globl text_read
text_read:
	mov (%rsi),%rax
	ret

	.globl text_write
text_write:
	mov %rdx,(%rsi)
	mov $1,%eax
	ret

	.globl text_read_private
text_read_private:
	mov victim_data(%rip),%rax
	ret

	.globl text_write_private
text_write_private:
	mov %rsi,victim_data(%rip)
	mov $1,%eax
	ret

	.globl text_read_constant
text_read_constant:
	mov victim_rodata(%rip),%rax
	ret

	.globl text_write_constant
text_write_constant:
	mov %rsi,victim_rodata(%rip)
	ret

	.globl text_write_text
text_write_text:
	mov %rsi,victim_text(%rip)
	ret

	.globl text_goto
text_goto:
	jmp *%rsi

	.globl text_return_to
text_return_to:
	push %rsi
	ret

	.globl text_return_early
text_return_early:			/* with one word too many on the stack */
	push %rsi
	jmp out_return

	.globl text_return_late
text_return_late:			/* with a word of the caller's taken */
	add $16,%rsp
	jmp out_return

	.globl text_count
text_count:				/* until (RSI) is set; how often round */
	movq $0,victim_data(%rip)
1:	incq victim_data(%rip)
	pause
	cmpq $0,(%rsi)
	je 1b
	mov victim_data(%rip),%rax
	ret

	.globl text_sum
text_sum:				/* words at RSI, RDX apart, RCX of them */
	xor %eax,%eax
1:	add (%rsi),%rax
	add %rdx,%rsi
	dec %rcx
	jnz 1b
	ret

/* The registers that a C function keeps, with values that nobody else knows. */
#define SECRET(i) (0x5ec2e700 + i)
	.macro fill_callee_saved
	mov $SECRET(3),%rbx
	mov $SECRET(5),%rbp
	mov $SECRET(12),%r12
	mov $SECRET(13),%r13
	mov $SECRET(14),%r14
	mov $SECRET(15),%r15
	.endm
	.macro check_callee_saved
	cmp $SECRET(3),%rbx
	jne wrong
	cmp $SECRET(5),%rbp
	jne wrong
	cmp $SECRET(12),%r12
	jne wrong
	cmp $SECRET(13),%r13
	jne wrong
	cmp $SECRET(14),%r14
	jne wrong
	cmp $SECRET(15),%r15
	jne wrong
	.endm

	.globl text_out
text_out:				/* out to kernel_callee: what it returns, plus 1 */
	push $SECRET(0)
	fill_callee_saved
	call out
	check_callee_saved
	pop %rcx
	cmp $SECRET(0),%rcx
	jne wrong
	inc %rax
	ret
wrong:
	xor %eax,%eax
	hlt				/* a violation */

	.globl text_out_twice
text_out_twice:
	push $SECRET(0)
	call out
	call out
	pop %rcx
	ret

	.globl text_out_indirect
text_out_indirect:			/* to RSI */
	push $SECRET(0)
	mov %rsi,%r11
	call out_indirect
	pop %rcx
	ret

	.macro window_frame		/* 32 shared bytes in the middle of 64 */
	sub $72,%rsp
	mov $SECRET(1),%rax
	mov %rax,(%rsp)
	mov %rax,8(%rsp)
	mov %rax,16(%rsp)
	mov %rax,24(%rsp)
	mov %rax,32(%rsp)
	mov %rax,40(%rsp)
	mov %rax,48(%rsp)
	mov %rax,56(%rsp)
	lea 16(%rsp),%rdi
	.endm

	.globl text_out_window_twice
text_out_window_twice:			/* a word written between the two; (RSI) may fault */
	push %rbx
	mov %rsi,%rbx
	window_frame
	call out
	.globl text_out_window_first
text_out_window_first:
	movq $SECRET(2),16(%rsp)
	mov (%rbx),%rax
	call out
	.globl text_out_window_second
text_out_window_second:
	jmp 1f

	.globl text_out_window_spin
text_out_window_spin:			/* after the call out, until (RSI) is set */
	push %rbx
	mov %rsi,%rbx
	window_frame
	call out
	.globl text_out_window_spun
text_out_window_spun:
	pause
	cmpq $0,(%rbx)
	je text_out_window_spun
	jmp 1f

	.globl text_out_window
text_out_window:
	push %rbx
	window_frame
	call out
	.globl text_out_window_return
text_out_window_return:
1:	mov $SECRET(1),%rcx
	cmp %rcx,(%rsp)
	jne wrong
	cmp %rcx,8(%rsp)
	jne wrong
	cmp %rcx,48(%rsp)
	jne wrong
	cmp %rcx,56(%rsp)
	jne wrong
	mov 16(%rsp),%rax
	add 24(%rsp),%rax
	add 32(%rsp),%rax
	add 40(%rsp),%rax
	add $72,%rsp
	pop %rbx
	ret

	.globl text_out_read
text_out_read:				/* RSI is read after the call out */
	push %rbx
	mov %rsi,%rbx
	call out
	.globl text_out_read_return
text_out_read_return:
	mov (%rbx),%rax
	pop %rbx
	ret

	.globl text_out_large
text_out_large:				/* with 2 KiB shared, RSI times */
	push %rbx
	mov %rsi,%rbx
	sub $0x800,%rsp
1:	mov %rsp,%rdi
	call out
	.globl text_out_large_return
text_out_large_return:
	dec %rbx
	jnz 1b
	mov $1,%eax
	add $0x800,%rsp
	pop %rbx
	ret

	.globl text_store
text_store:				/* counts to (RDX) until (RSI) is set; 0 if that was changed */
	xor %ecx,%ecx
	xor %eax,%eax
1:	inc %rcx
	mov %rcx,(%rdx)
	mov $2000,%edi
2:	cmp %rcx,(%rdx)
	jne 3f
	dec %edi
	jnz 2b
	cmpq $0,(%rsi)
	je 1b
	mov $1,%eax
3:	ret

	.globl text_vectors
text_vectors:				/* an SIMD register over a call out, and events */
	push $SECRET(0)
	call out_fpu_begin
	mov $SECRET(7),%eax
	movq %rax,%xmm7
	call out
	movq %xmm7,%rax
	cmp $SECRET(7),%rax
	jne wrong
	mov victim_data(%rip),%rcx
	mov (%rcx),%rcx			/* may fault */
	movq %xmm7,%rax
	cmp $SECRET(7),%rax
	jne wrong
	call out_fpu_end
	pop %rcx
	mov $1,%eax
	ret

	.globl text_vectors_hlt
text_vectors_hlt:			/* a violation with an SIMD register in use */
	push $SECRET(0)
	call out_fpu_begin
	mov $SECRET(7),%eax
	movq %rax,%xmm7
	movq %rax,%xmm15
	.globl text_vectors_hlt_itself
text_vectors_hlt_itself:
	hlt

	.globl text_asm
text_asm:				/* a callee that keeps all but RAX */
	push $SECRET(0)
	mov $SECRET(1),%ecx
	mov $SECRET(2),%edx
	mov $SECRET(6),%esi
	mov $SECRET(7),%edi
	mov $SECRET(8),%r8d
	mov $SECRET(9),%r9d
	mov $SECRET(10),%r10d
	mov $SECRET(11),%r11d
	fill_callee_saved
	call out_asm
	check_callee_saved
	cmp $SECRET(1),%rcx
	jne wrong
	cmp $SECRET(2),%rdx
	jne wrong
	cmp $SECRET(6),%rsi
	jne wrong
	cmp $SECRET(7),%rdi
	jne wrong
	cmp $SECRET(8),%r8
	jne wrong
	cmp $SECRET(9),%r9
	jne wrong
	cmp $SECRET(10),%r10
	jne wrong
	cmp $SECRET(11),%r11
	jne wrong
	pop %rcx
	ret

	.globl text_noreturn
text_noreturn:
	push $SECRET(0)
	call out_noreturn
	hlt

	.globl text_args
text_args:				/* three words on the stack: 100a + 10b + c */
	imul $100,8(%rsp),%rax
	imul $10,16(%rsp),%rcx
	add %rcx,%rax
	add 24(%rsp),%rax
	ret

	.globl text_out_args
text_out_args:
	push $SECRET(3)
	push $SECRET(2)
	push $SECRET(1)
	call out_args
	add $24,%rsp
	ret

	.globl text_recurse
text_recurse:
	call text_recurse
	ret

	.globl text_keep
text_keep:				/* every register and flag, over a load from (RSI) */
	push %rsi
	fill_callee_saved
	mov $SECRET(1),%ecx
	mov $SECRET(2),%edx
	mov $SECRET(7),%edi
	mov $SECRET(8),%r8d
	mov $SECRET(9),%r9d
	mov $SECRET(10),%r10d
	mov $SECRET(11),%r11d
	movq %rdx,%xmm7
	xor %eax,%eax
	stc
	.globl text_keep_load
text_keep_load:
	mov (%rsi),%rax
	jnc wrong
	check_callee_saved
	cmp $SECRET(1),%rcx
	jne wrong
	cmp $SECRET(2),%rdx
	jne wrong
	cmp $SECRET(7),%rdi
	jne wrong
	cmp $SECRET(8),%r8
	jne wrong
	cmp $SECRET(9),%r9
	jne wrong
	cmp $SECRET(10),%r10
	jne wrong
	cmp $SECRET(11),%r11
	jne wrong
	movq %xmm7,%rcx
	cmp $SECRET(2),%rcx
	jne wrong
	cmp (%rsp),%rsi
	jne wrong
	pop %rcx
	ret

	.globl text_journey
text_journey:				/* by every gate: a call out, and a load from (RSI) that may fault */
	push %rsi
	fill_callee_saved
	call out
	.globl text_journey_back
text_journey_back:
	check_callee_saved
	mov (%rsp),%rsi
	.globl text_journey_load
text_journey_load:
	mov (%rsi),%rcx
	check_callee_saved
	add %rcx,%rax
	pop %rsi
	ret				/* the callee's result, plus that word */

	.globl text_rounds
text_rounds:				/* 42 after RSI rounds, if none is lost */
	push %rsi
	mov %rsi,%rcx
	xor %eax,%eax
1:	inc %rax
	dec %rcx
	jnz 1b
	pop %rcx
	sub %rcx,%rax
	add $42,%rax
	ret

/* Exceptions. */
	.globl text_divide
text_divide:
	xor %ecx,%ecx
	div %ecx
	ret
	.globl text_undefined
text_undefined:
	ud2
	.globl text_not_canonical
text_not_canonical:
	mov $1,%eax
	shl $63,%rax
	mov (%rax),%rax
	ret
	.globl text_load_ds
text_load_ds:
	mov %esi,%ds
	ret
	.globl text_load_ss
text_load_ss:
	mov %esi,%ss
	ret
	.globl text_float
text_float:
	fld1
	ret
	.globl text_float_divide
text_float_divide:
	push $0x33b			/* all masked but division by zero */
	fninit
	fldcw (%rsp)
	fld1
	fldz
	fdivrp
	fwait
	pop %rax
	ret
	.globl text_step
text_step:
	pushf
	orl $0x100,(%rsp)
	popf
	nop
	ret

/* Instructions that a module has no business with. */
	.globl text_hlt
text_hlt:
	hlt
	ret
	.globl text_cpuid
text_cpuid:
	cpuid
	ret
	.globl text_rdpmc
text_rdpmc:
	rdpmc
	ret
	.globl text_rdtsc
text_rdtsc:
	rdtsc
	shl $32,%rdx
	or %rdx,%rax
	ret
	.globl text_read_cr0
text_read_cr0:
	mov %cr0,%rax
	ret
	.globl text_write_cr0
text_write_cr0:
	mov %rsi,%cr0
	ret
	.globl text_write_cr3
text_write_cr3:
	mov %rsi,%cr3
	.globl text_write_cr3_after
text_write_cr3_after:
	ret
	.globl text_write_cr4
text_write_cr4:
	mov %rsi,%cr4
	ret
	.globl text_read_dr7
text_read_dr7:
	mov %dr7,%rax
	ret
	.globl text_write_dr7
text_write_dr7:
	mov %rsi,%dr7
	ret
	.globl text_clts
text_clts:
	clts
	ret
	.globl text_rdmsr
text_rdmsr:
	mov $0xc0000080,%ecx
	rdmsr
	ret
	.globl text_wrmsr
text_wrmsr:
	mov $0xc0000080,%ecx
	wrmsr
	ret
	.globl text_xsetbv
text_xsetbv:
	xor %ecx,%ecx
	xsetbv
	ret
	.globl text_wbinvd
text_wbinvd:
	wbinvd
	ret
	.globl text_invd
text_invd:
	invd
	ret
	.globl text_monitors
text_monitors:				/* what is at RSI, RDX times */
	xor %ecx,%ecx
	mov %rsi,%rax
	mov %rdx,%rdi
	xor %edx,%edx
1:	monitor
	dec %rdi
	jnz 1b
	mov $1,%eax
	ret
	.globl text_mwaits
text_mwaits:				/* RDX times, for nothing */
	xor %ecx,%ecx
	xor %eax,%eax
1:	mwait
	dec %rdx
	jnz 1b
	mov $1,%eax
	ret
	.globl text_mwait_until
text_mwait_until:			/* (RSI) is set */
	xor %ecx,%ecx
	xor %edx,%edx
1:	mov %rsi,%rax
	monitor
	xor %eax,%eax
	mwait
	cmpq $0,(%rsi)
	je 1b
	mov $1,%eax
	ret

/* Of devices, ports and MSRs. */
	.globl text_port_in
text_port_in:				/* from port SI */
	mov %esi,%edx
	xor %eax,%eax
	in (%dx),%eax
	ret
	.globl text_port_out
text_port_out:				/* EDX to port SI */
	mov %edx,%eax
	mov %esi,%edx
	out %eax,(%dx)
	mov $1,%eax
	ret
	.globl text_port_string
text_port_string:			/* from memory */
	mov %esi,%edx
	.globl text_port_string_itself
text_port_string_itself:
	outsl (%rsi),(%dx)
	ret
	.globl text_msr_read
text_msr_read:				/* ESI */
	mov %esi,%ecx
	.globl text_msr_read_itself
text_msr_read_itself:
	rdmsr
	shl $32,%rdx
	or %rdx,%rax
	ret
	.globl text_msr_prefixed
text_msr_prefixed:			/* the same, with a prefix that means nothing */
	mov %esi,%ecx
	.globl text_msr_prefixed_itself
text_msr_prefixed_itself:
	.byte 0x48
	rdmsr
	ret
	.globl text_msr_write
text_msr_write:				/* EDX to MSR ESI */
	mov %esi,%ecx
	mov %edx,%eax
	xor %edx,%edx
	.globl text_msr_write_itself
text_msr_write_itself:
	wrmsr
	mov $1,%eax
	ret
	.globl text_load_byte
text_load_byte:
	movzbl (%rsi),%eax
	ret
	.globl text_load_sign
text_load_sign:
	movswq (%rsi),%rax
	ret
	.globl text_load_half
text_load_half:
	mov (%rsi),%eax
	ret
	.globl text_store_byte
text_store_byte:
	mov %dl,(%rsi)
	mov $1,%eax
	ret
	.globl text_store_constant
text_store_constant:
	movl $SECRET(9),(%rsi)
	mov $1,%eax
	ret
	.globl text_lock_or
text_lock_or:
	lock orq %rdx,(%rsi)
	ret
	.globl text_compare
text_compare:
	cmp %rdx,(%rsi)
	ret
	.globl text_exchange
text_exchange:
	xchg %rdx,(%rsi)
	ret
	.globl text_push_memory
text_push_memory:
	push (%rsi)
	.globl text_copy
text_copy:				/* a word from RSI to RDX */
	mov %rdx,%rdi
	.globl text_copy_itself
text_copy_itself:
	movsq
	ret
	.globl text_call_memory
text_call_memory:
	jmp *(%rsi)
	.globl text_load_gs
text_load_gs:				/* relative to the GS base */
	mov %gs:(%rsi),%rax
	ret
	.globl text_load_fs
text_load_fs:				/* relative to the FS base */
	mov %fs:(%rsi),%rax
	ret
	.globl text_vmrun
text_vmrun:
	vmrun
	ret
	.globl text_vmload
text_vmload:
	vmload
	ret
	.globl text_vmsave
text_vmsave:
	vmsave
	ret
	.globl text_stgi
text_stgi:
	stgi
	ret
	.globl text_clgi
text_clgi:
	clgi
	ret
	.globl text_invlpga
text_invlpga:
	invlpga
	ret
	.globl text_pause
text_pause:
	pause
	mov $1,%eax
	ret
	.globl text_syscall
text_syscall:
	syscall
	.globl text_vmxon
text_vmxon:
	vmxon (%rsi)
	ret
	.globl text_vmxoff
text_vmxoff:
	vmxoff
	ret
	.globl text_vmclear
text_vmclear:
	vmclear (%rsi)
	ret
	.globl text_vmptrld
text_vmptrld:
	vmptrld (%rsi)
	ret
	.globl text_vmptrst
text_vmptrst:
	vmptrst (%rsi)
	ret
	.globl text_vmread
text_vmread:
	vmread %rax,(%rsi)
	ret
	.globl text_vmwrite
text_vmwrite:
	vmwrite (%rsi),%rax
	ret
	.globl text_vmlaunch
text_vmlaunch:
	vmlaunch
	ret
	.globl text_vmresume
text_vmresume:
	vmresume
	ret
	.globl text_invept
text_invept:
	invept (%rsi),%rax
	ret
	.globl text_invvpid
text_invvpid:
	invvpid (%rsi),%rax
	ret
	.globl text_vmfunc
text_vmfunc:
	vmfunc
	ret
	.globl text_int
text_int:				/* after loads from RSI and RDX */
	mov (%rsi),%rax
	mov (%rdx),%rax
	push %rax
	pop %rax
	.globl text_int_itself
text_int_itself:
	int $0x30
	ret
	.globl text_int3
text_int3:
	int3
	ret
	.globl text_int1
text_int1:
	.byte 0xf1
	ret
	.globl text_getsec
text_getsec:
	getsec
	ret
	.globl text_rsm
text_rsm:
	rsm
	ret
	.globl text_hypercall
text_hypercall:
	HYPERCALL
	ret
	.globl text_foreign_hypercall
text_foreign_hypercall:
	HYPERCALL
	ret

/* The gates for the way out; KVM writes the hypercalls. */
	.macro way_out name, offset
	.org victim_text + \offset, 0xf4
	.globl \name
\name:
	HYPERCALL
	ret
	.endm
	way_out out, 0xf00
	way_out out_indirect, 0xf10
	way_out out_args, 0xf20
	.org victim_text + 0xf30, 0xf4
	.globl out_return
out_return:
	HYPERCALL
	hlt
	way_out out_fpu_begin, 0xf40
	way_out out_fpu_end, 0xf50
	way_out out_asm, 0xf60
	way_out out_noreturn, 0xf70
	.org victim_text + 0x1000, 0xf4

	.section .note.GNU-stack, "", @progbits
