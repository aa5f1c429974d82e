# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Part of run: crafted modules that must be guarded, and how.

accepted "private and shared data" <<-'S'
	func f
	incl counter(%rip)
	mov $lent, %rdi
	jmp ext
	endfunc f
	.section .data.private, "aw"
	counter: .long 7
	.data
	lent: .quad f
S
json "data whose address is not taken is private" \
	"[r['section'] for r in j['regions'] if r['kind'] == 'data'] == ['.data.private']" "$tmp/good.gm.ko"
json "data whose address is taken is shared" \
	"'.data' in [s['name'] for s in j['shared']]" "$tmp/good.gm.ko"

accepted "an exported function, init data and a thunk" <<-'S'
	.globl f
	func f
	mov table(%rip), %rax
	sub $8, %rsp
	orc 16
	call __x86_indirect_thunk_rax
	call __x86_indirect_thunk_r11
	add $8, %rsp
	orc 8
	ret
	endfunc f
	.section __ksymtab, "a"
	.long f - .
	.section .init.data, "aw"
	table: .quad 1
	.section .init.text, "ax"
	.globl g
	func g
	jmp f
	endfunc g
S
json "indirect calls get a stub per register" \
	"{('out-call-indirect', 'rax'), ('out-call-indirect', 'r11')} <= set(gates)" "$tmp/good.gm.ko"
json "init text and data move to core memory" \
	"{'.text.gm_init', '.data.gm_init'} <= {r['section'] for r in j['regions']}" "$tmp/good.gm.ko"
json "an exported function gets a gate" "('in-call', 'f') in gates" "$tmp/good.gm.ko"

accepted "arguments on the stack" g:0:0 <<-'S'
	.globl f
	func f
	mov 8(%rsp), %rax
	jmp g
	endfunc f
	.globl g
	func g
	mov 16(%rsp), %rax
	push %rbx
	orc 16
	push %rax
	orc 24
	push $1
	orc 32
	push $2
	orc 40
	call ext
	add $24, %rsp
	orc 16
	pop %rbx
	orc 8
	ret
	endfunc g
	func h
	jmp tail
	endfunc h
	.data
	.quad f, h
S
json "the gate counts what a function and its tail call take" \
	"gates[('in-call', 'f')]['stack-words'] == 2" "$tmp/good.gm.ko"
json "the stub counts what was pushed, not what was saved" \
	"gates[('out-call', 'ext')]['stack-words'] == 3" "$tmp/good.gm.ko"
json "none is none" "gates[('out-call', 'tail')]['stack-words'] == 0" "$tmp/good.gm.ko"

accepted "a window below the canary" f:8:16 <<-'S'
	func f
	push %rbx
	orc 16
	sub $48, %rsp
	orc 64
	mov %gs:0x28, %rax
	mov %rax, 24(%rsp)
	lea 16(%rsp), %rdi
	call ext
	lea 8(%rsp), %rdi
	call ext
	add $48, %rsp
	orc 16
	pop %rbx
	orc 8
	ret
	endfunc f
S
accepted "a window without a canary ends below saved registers" f:0:48 f.cold:0:48 <<-'S'
	func f
	push %r12
	orc 16
	push %rbx
	orc 24
	sub $48, %rsp
	orc 72
	mov %rsp, %rdi
	call ext
	test %eax, %eax
	jne f.cold
	add $48, %rsp
	orc 24
	pop %rbx
	orc 16
	pop %r12
	orc 8
	ret
	endfunc f
	.section .text.unlikely, "ax"
	.type f.cold, @function
	f.cold:
	orc 72
	call ext
	ud2
	endfunc f.cold
S

accepted "an object reached by index alone: all below it is shared" f:0:40 <<-'S'
	func f
	sub $40, %rsp
	orc 48
	lea 8(%rsp,%rax,8), %rdi
	call ext
	add $40, %rsp
	orc 8
	ret
	endfunc f
S
accepted "the end of an array, where a loop ends" f:8:16 <<-'S'
	func f
	push %rbx
	orc 16
	sub $24, %rsp
	orc 40
	lea 8(%rsp), %rdi
	lea 32(%rsp), %rsi
	call ext
	add $24, %rsp
	orc 16
	pop %rbx
	orc 8
	ret
	endfunc f
S
accepted "a variadic function and its callers" f:0:0 g:0:16 gm_variadic_f:0:48 <<-'S'
	.globl f
	func f
	lea 8(%rsp), %rdi
	call ext
	ret
	endfunc f
	func g
	push $1
	orc 16
	push $2
	orc 24
	call f
	add $16, %rsp
	orc 8
	ret
	endfunc g
	.data
	.quad f
S
json "a variadic function's gate leads to an entry that copies its arguments" \
	"gates[('in-call', 'f')]['stack-words'] == 6" "$tmp/good.gm.ko"

accepted "a variadic function whose cold part takes the arguments" h.cold:0:0 gm_variadic_h:0:48 <<-'S'
	.globl h
	func h
	test %edi, %edi
	jne h.cold
	ret
	endfunc h
	.section .text.unlikely, "ax"
	func h.cold
	lea 8(%rsp), %rdi
	call ext
	ret
	endfunc h.cold
	.data
	.quad h
S

# Which of two calls runs depends on the alignment; each has a size of its own.
accepted "a window below saved registers with R10 among them" f:0:16 <<-'S'
	func f
	push %r12
	orc 16
	push %r10
	orc 24
	push %rbx
	orc 32
	sub $16, %rsp
	orc 48
	mov %rsp, %rdi
	call ext
	add $16, %rsp
	orc 32
	pop %rbx
	orc 24
	pop %r10
	orc 16
	pop %r12
	orc 8
	ret
	endfunc f
S
accepted "a frame that is aligned below RBP" f:0:24 <<-'S'
	func f
	push %rbp
	orc 16
	mov %rsp, %rbp
	orc 16, 4
	push %rbx
	and $-16, %rsp
	sub $48, %rsp
	mov %gs:0x28, %rax
	mov %rax, 24(%rsp)
	mov %rsp, %rdi
	call ext
	mov -8(%rbp), %rbx
	leave
	orc 8
	ret
	endfunc f
S
sizes "a call for each gap" f 72,64
# Else the cold parts, and so the functions, would seem to be one.
accepted "an aligned frame left by a call that does not return" f:8:16 g:0:48 <<-'S'
	func f
	lea 8(%rsp), %r10
	and $-32, %rsp
	orc 0, 6
	push -8(%r10)
	push %rbp
	mov %rsp, %rbp
	push %r10
	orc -8, 8
	sub $24, %rsp
	test %edi, %edi
	jne f.cold
	lea 8(%rsp), %rdi
	call ext
	mov -8(%rbp), %r10
	orc 0, 6
	leave
	lea -8(%r10), %rsp
	orc 8
	ret
	endfunc f
	func g
	push %rbp
	orc 16
	mov %rsp, %rbp
	orc 16, 4
	push %rbx
	and $-16, %rsp
	sub $48, %rsp
	mov %rsp, %rdi
	call ext
	test %eax, %eax
	jne g.cold
	1: mov -8(%rbp), %rbx
	leave
	orc 8
	ret
	endfunc g
	.section .text.unlikely, "ax"
	.type f.cold, @function
	f.cold:
	orc -8, 8
	call fortify_panic
	.size f.cold, . - f.cold
	.type g.cold, @function
	g.cold:
	orc 16, 4
	call ext
	jmp 1b
	.size g.cold, . - g.cold
S
accepted "a frame that is aligned first" f:8:16 <<-'S'
	func f
	lea 8(%rsp), %r10
	and $-32, %rsp
	orc 0, 6
	push -8(%r10)
	push %rbp
	mov %rsp, %rbp
	push %r10
	orc -8, 8
	sub $24, %rsp
	lea -24(%rbp), %rdi
	call ext
	mov -8(%rbp), %r10
	orc 0, 6
	leave
	lea -8(%r10), %rsp
	orc 8
	ret
	endfunc f
S
sizes "a call for each gap of 32" f 72,56,48,64
accepted "a local whose address is taken before R10 is saved" f:8:16 <<-'S'
	func f
	lea 8(%rsp), %r10
	and $-32, %rsp
	orc 0, 6
	push -8(%r10)
	push %rbp
	mov %rsp, %rbp
	lea -24(%rbp), %rdi
	push %r10
	orc -8, 8
	sub $24, %rsp
	call ext
	mov -8(%rbp), %r10
	orc 0, 6
	leave
	lea -8(%r10), %rsp
	orc 8
	ret
	endfunc f
S

# The branches between those calls are not the caller's, nor is one that chooses a value.
accepted "arguments on the stack of an aligned frame" <<-'S'
	func f
	push %rbp
	orc 16
	mov %rsp, %rbp
	orc 16, 4
	and $-32, %rsp
	sub $32, %rsp
	push $1
	xor %eax, %eax
	test %edi, %edi
	je 1f
	inc %eax
	1:
	push %rax
	push $3
	call ext
	add $24, %rsp
	leave
	orc 8
	ret
	endfunc f
S
json "what is pushed before a call for each gap counts" \
	"gates[('out-call', 'ext')]['stack-words'] == 3" "$tmp/good.gm.ko"

accepted "instructions that need no privilege" <<-'S'
	func f
	endbr64
	cli
	sti
	pushf
	popf
	rdtsc
	rdtscp
	rdpmc
	pause
	lock cmpxchg %rax, (%rdi)
	cmpxchg16b (%rdi)
	rdrand %rax
	rdgsbase %rax
	lfence
	clflush (%rdi)
	cpuid
	xgetbv
	movups %xmm0, (%rdi)
	crc32l %ecx, %eax
	rep movsb
	add %cl, 0x30(%rdi)
	.byte 0x00, 0x0f
	ud2
	ret
	endfunc f
S

assemble "$tmp/btf.ko" <<-'S'
	func f
	jmp do_mmap
	endfunc f
S
btf=${GMCC_BTF:-/sys/kernel/btf/vmlinux}
if [ -r "$btf" ]; then
	check "--btf" "$GMCC_SAN" guard -q --btf "$btf" -o "$tmp/btf.gm.ko" "$tmp/btf.ko"
	json "prototypes tell the arguments on the stack" \
		"gates[('out-call', 'do_mmap')]['stack-words'] >= 2" "$tmp/btf.gm.ko"
else
	skip "--btf" "no BTF of a kernel here"
fi
fails "--btf with a file that has none" 1 \
	"gmcc: $tmp/btf.ko: no BTF in this file. Give a vmlinux, or /sys/kernel/btf/vmlinux of the guest's kernel." \
	"$GMCC_SAN" guard --btf "$tmp/btf.ko" -o "$tmp/x" "$tmp/btf.ko"

accepted "an object that is not on the stack for the block layer" <<-'S'
	func f
	sub $24, %rsp
	orc 32
	lea 8(%rsp), %rcx
	mov %rcx, %r9
	mov %rdi, %rcx
	call scsi_execute_cmd
	lea 8(%rsp), %rcx
	call ext
	call scsi_execute_cmd
	lea 8(%rsp), %rcx
	jmp 2f
1:	call scsi_execute_cmd
2:	test %rdi, %rdi
	jnz 1b
	lea 8(%rsp), %rcx
	call ext
	add $24, %rsp
	orc 8
	ret
	endfunc f
	func passes_on
	sub $8, %rsp
	orc 16
	call scsi_execute_cmd
	add $8, %rsp
	orc 8
	ret
	endfunc passes_on
S
