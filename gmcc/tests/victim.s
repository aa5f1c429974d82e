# The module whose image mkwrong damages, one property at a time. Appended to
# prelude.s.
	.globl f
	func f
	push %rbx
	orc 16
	sub $32, %rsp
	orc 48
	lea 8(%rsp), %rdi
	call ext
	mov counter(%rip), %eax
	mov $lent, %rdi
	call g
	call __x86_indirect_thunk_rax
	test %eax, %eax
	jne 1f
	mov $constant, %rdi
	1:
	add $32, %rsp
	orc 16
	pop %rbx
	orc 8
	jmp __x86_return_thunk
	endfunc f

	.globl g
	func g
	nopl 0x11223344(%rax,%rax)
	nopl 0x11223344(%rax,%rax)
	jmp __x86_return_thunk
	endfunc g

	.globl cleanup_module
	func cleanup_module
	jmp ext
	endfunc cleanup_module

	func aligned
	push %rbp
	orc 16
	mov %rsp, %rbp
	orc 16, 4
	and $-16, %rsp
	sub $32, %rsp
	call ext
	leave
	orc 8
	jmp __x86_return_thunk
	endfunc aligned

	.section .gnu.linkonce.this_module
	.quad cleanup_module
	.section .data.private, "aw"
	counter: .quad 7
	.data
	lent: .quad f
	.section .rodata, "a"
	constant: .quad g
	.section __versions, "a"
	.irp name, ext, __x86_return_thunk, __x86_indirect_thunk_rax
	.quad 0
	777: .asciz "\name"
	.zero 56 - (. - 777b)
	.endr
