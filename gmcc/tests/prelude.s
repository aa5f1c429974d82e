# A module that can be guarded; the tests append what cannot.
	.section .modinfo, "a"
	.asciz "license=GPL"
	.asciz "name=bad"
	.ifdef LINUX_6_1
	.asciz "vermagic=6.1.0-56-amd64 SMP preempt mod_unload modversions "
	.endif
	.section .gnu.linkonce.this_module, "aw"
	.zero 0x138
	.quad init_module
	.zero 0x3c0
	.ifndef LINUX_6_1
	.section .orc_header, "a"
	.byte 0xfe, 0x5d, 0x32, 0xbf, 0x58, 0x1b, 0xd6, 0x3b, 0x2c, 0xa9
	.byte 0xa5, 0xc6, 0x5b, 0xa5, 0xa6, 0x25, 0xea, 0xb3, 0xfe, 0x24
	.endif

	# The stack pointer is \cfa bytes below the CFA from here on.
	.macro orc cfa, reg=5, type=2
	.pushsection .orc_unwind_ip, "a"
	.long 777f - .
	.popsection
	.pushsection .orc_unwind, "a"
	.short \cfa, 0
	.ifdef LINUX_6_1
	.byte \reg, \type - 2
	.else
	.byte \reg, \type
	.endif
	.popsection
	777:
	.endm

	# The compiler's place for a static branch.
	.macro nop5
	.byte 0x0f, 0x1f, 0x44, 0, 0
	.endm

	.macro func name
	.p2align 4
	.type \name, @function
	\name:
	orc 8
	.endm

	.macro endfunc name
	.size \name, . - \name
	.endm

	.text
	.globl init_module
	func init_module
	xor %eax, %eax
	jmp __x86_return_thunk
	endfunc init_module
