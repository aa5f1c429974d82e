# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Part of run: one crafted module for each refusal, with the exact message.

retpolines="Build with retpolines (-mindirect-branch=thunk-extern)."
other="Use a module without it."

refused "an indirect jump" ".text+0x10 (f): bare indirect branch, jmp rax. $retpolines" <<-'S'
	func f
	jmp *%rax
	endfunc f
S
refused "an indirect call through memory" \
	".text+0x10 (f): bare indirect branch, call qword ptr [rdi + 8]. $retpolines" <<-'S'
	func f
	call *8(%rdi)
	ret
	endfunc f
S

while IFS='|' read -r insn shown; do
	refused "$insn" ".text+0x10 (f): privileged instruction, $shown. $other" <<-S
	func f
	$insn
	ret
	endfunc f
	S
done <<'S'
hlt|hlt
invd|invd
invlpg (%rax)|invlpg byte ptr [rax]
swapgs|swapgs
lmsw %ax|lmsw ax
sysexitl|sysexit
invpcid (%rax), %rcx|invpcid rcx, xmmword ptr [rax]
pop %fs|pop fs
sysretl|sysret
syscall|syscall
iretq|iretq
clts|clts
lgdt (%rax)|lgdt [rax]
lidt (%rax)|lidt [rax]
ltr %ax|ltr ax
mov %rax, %cr3|mov cr3, rax
mov %cr0, %rax|mov rax, cr0
mov %rax, %db7|mov dr7, rax
mov %eax, %ds|mov ds, eax
int $0x80|int 0x80
fs insb|insb byte ptr [rdi], dx
addr32 rep insb|rep insb byte ptr [edi], dx
stac|stac
xsetbv|xsetbv
monitor|monitor
mwait|mwait
wrgsbase %rax|wrgsbase rax
lretq|retfq
S

for pattern in c1:VMCALL d9:VMMCALL d4:VMFUNC; do
	refused "the bytes of a ${pattern#*:} in a constant" \
		".text+0x11 (f): the bytes of a ${pattern#*:}. Change the constant or the code around it." <<-S
	func f
	mov \$0x00${pattern%:*}010f, %eax
	ret
	endfunc f
	S
done
refused "bytes that do not decode" ".text+0x10 (f): undecodable byte 0x06. Report this module." <<-'S'
	func f
	.byte 0x06
	endfunc f
S
refused "a branch of 16 bits" \
	".text+0x10 (f): branch with an operand-size prefix, jmp, which vendors read differently. $other" <<-'S'
	func f
	.byte 0x66, 0xe9, 0, 0, 0, 0
	ret
	endfunc f
S
refused "ret with a count" ".text+0x10 (f): ret that pops arguments. $other" <<-'S'
	func f
	ret $8
	endfunc f
S
refused "a jump into an instruction" \
	".text+0x15 (f): branch to 0x11, which is no instruction of .text. Report this module." <<-'S'
	func f
	mov $0, %eax
	jmp f + 1
	endfunc f
S
refused "a jump into an instruction of another section" \
	".text.other+0x0 (g): branch to 0x11, which is no instruction of .text. Report this module." <<-'S'
	.globl f
	func f
	mov $0, %eax
	ret
	endfunc f
	.section .text.other, "ax"
	func g
	jmp f + 1
	endfunc g
S
refused "a branch to data" ".text+0x10 (f): branch to .data, which is no code. Report this module." <<-'S'
	func f
	jmp d
	endfunc f
	.data
	d: .long 0
S
refused "a reference without a relocation" \
	".text+0x10 (f): reference to text without a relocation, lea rax, [rip - 7]. Assemble with the symbol global." <<-'S'
	func f
	lea f(%rip), %rax
	ret
	endfunc f
S
refused "text read as data" \
	".text+0x12 (f): text is read as data (.text). Use a module that does not." <<-'S'
	.globl f
	func f
	mov f(%rip), %eax
	ret
	endfunc f
S
refused "a branch into the middle of a kernel function" \
	".text+0x10 (f): branch into the middle of ext. Report this module." <<-'S'
	func f
	jmp ext + 4
	endfunc f
S
refused "a conditional return thunk" \
	".text+0x10 (f): return thunk that is not jumped to. Report this module." <<-'S'
	func f
	je __x86_return_thunk
	ret
	endfunc f
S
refused "an unknown thunk" \
	".text+0x10 (f): unknown thunk, __x86_indirect_thunk_array. Report this module." <<-'S'
	func f
	jmp __x86_indirect_thunk_array
	endfunc f
S

middle="pointer into the middle of a function, .text+0x11. Use a module that takes only whole functions' addresses."
refused "a pointer into a function in data" ".data+0x0 (p): $middle" <<-'S'
	func f
	nop
	ret
	endfunc f
	.data
	.type p, @object
	p: .quad f + 1
	.size p, 8
S
refused "a pointer into another function in text" ".text+0x23 (g): $middle" <<-'S'
	func f
	nop
	ret
	endfunc f
	func g
	mov $f + 1, %rdi
	ret
	endfunc g
S
refused "a relative pointer to text" \
	".data+0x0: relative pointer to text (.text+0x10). $other" <<-'S'
	func f
	ret
	endfunc f
	.data
	.long f - .
S
refused "an unknown section that refers to text" \
	".mystery+0x0: unknown section that refers to text (.text+0x10). Teach gmcc about it (sections.c), or build without it." <<-'S'
	func f
	ret
	endfunc f
	.section .mystery, "a"
	.quad f
S
refused "text that refers to an unknown section" \
	".text+0x12 (f): refers to the unknown section .mystery. Teach gmcc about it (sections.c), or build without it." <<-'S'
	func f
	mov m(%rip), %eax
	ret
	endfunc f
	.section .mystery, "a"
	m: .quad 1
S
refused "an unknown thing in the module structure" \
	".gnu.linkonce.this_module+0x500: the module structure points to other. Report this module." <<-'S'
	.globl other
	func other
	ret
	endfunc other
	.section .gnu.linkonce.this_module, "aw"
	.quad other
S

while IFS='|' read -r section message; do
	refused "$section" "$section+0x0: $message" <<-S
	.section $section, "aw"
	.quad 0
	S
done <<S
__ex_table|exception fixups are not supported: the kernel would resume in sealed text. Use a module without user memory accesses and safe MSR or port accesses.
_error_injection_whitelist|error injection is not supported: the kernel would patch sealed text. Use a module without it.
.gm.gates|the module is guarded already. Give the original module.
S
while IFS='|' read -r section directive message; do
	printf '\t.section %s, "aw"\n\t%s\n' "$section" "$directive" > "$tmp/section.s"
	refused "a malformed $section" "$message" < "$tmp/section.s"
done <<S
.altinstructions|.quad 0|.altinstructions: malformed. Use a module built for Linux 6.1 or 6.12.
.altinstructions|.zero 14|.altinstructions+0x0: malformed.
__jump_table|.quad 0|__jump_table: malformed. Use a module built for Linux 6.1 or 6.12.
__jump_table|.zero 16|__jump_table+0x0: malformed.
__bug_table|.quad 0|__bug_table: malformed. Use a module built for Linux 6.1 or 6.12.
__bug_table|.zero 12|__bug_table+0x0: malformed.
.return_sites|.byte 0|.return_sites: malformed. Use a module built for Linux 6.1 or 6.12.
S
refused "a bug table about no instruction" "__bug_table+0x0: not about an instruction of its own." <<-'S'
	func f
	ud2
	ret
	endfunc f
	.section __bug_table, "aw"
	.long f + 1 - ., 0
	.short 0, 1
S
refused "two entries about one instruction" "__bug_table+0xc: not about an instruction of its own." <<-'S'
	func f
	ud2
	ret
	endfunc f
	.section __bug_table, "aw"
	.long f - ., 0
	.short 0, 1
	.long f - ., 0
	.short 0, 1
S
refused "a trap that is no ud2" \
	".text+0x10 (f): BUG or WARN that is no ud2. Report this module." <<-'S'
	func f
	int3
	ret
	endfunc f
	.section __bug_table, "aw"
	.long f - ., 0
	.short 0, 1
S
refused "a WARN between a test and its use" \
	".text+0x12 (f): WARN where the arithmetic flags may be in use. Report this module." <<-'S'
	func f
	test %edi, %edi
	ud2
	je 1f
	nop
	1: ret
	endfunc f
	.section __bug_table, "aw"
	.long f + 2 - ., 0
	.short 0, 1
S
refused "a port access before a use of the carry" \
	".text+0x13 (f): a port or MSR access where the arithmetic flags may be in use. Report this module." <<-'S'
	func f
	add %rsi, %rdi
	out %al, %dx
	lock decl (%rdi)
	adc $0, %rax
	ret
	endfunc f
S
refused "a static branch between a test and its use" \
	".text+0x12 (f): a static branch where the arithmetic flags may be in use. Report this module." <<-'S'
	func f
	test %edi, %edi
	nop5
	mov $1, %eax
	ret
	sete %al
	ret
	endfunc f
	.section __jump_table, "aw"
	.long f + 2 - ., f + 13 - .
	.quad key - .
	.data
	.globl key
	key: .quad 0
S
refused "a static branch that is neither" \
	".text+0x10 (f): a static branch that is neither a nop nor a jump. Report this module." <<-'S'
	func f
	mov $1, %eax
	ret
	endfunc f
	.section __jump_table, "aw"
	.long f - ., f + 5 - .
	.quad key - .
	.data
	.globl key
	key: .quad 0
S
refused "a static branch to the middle of an instruction" \
	".text+0x10 (f): a static branch to no instruction of the module. Report this module." <<-'S'
	func f
	nop5
	mov $1, %eax
	ret
	endfunc f
	.section __jump_table, "aw"
	.long f - ., f + 6 - .
	.quad key - .
	.data
	.globl key
	key: .quad 0
S
refused "a static branch whose key is text" \
	".text+0x10 (f): a static branch whose key is in .text. Report this module." <<-'S'
	func f
	nop5
	ret
	endfunc f
	.section __jump_table, "aw"
	.long f - ., f + 5 - .
	.quad init_module - .
S
refused "an alternative that is a matter of the CPU" \
	".text+0x10 (f): an alternative for CPU feature 8*32+18, where no variant is known to be right everywhere. Teach gmcc about it (alternatives.c), or use a module without it." <<-'S'
	.globl f
	func f
	nop
	ret
	endfunc f
	.section .altinstr_replacement, "ax"
	r: lfence
	.section .altinstructions, "a"
	.long f - ., r - .
	.short 8 * 32 + 18, 0
	.byte 1, 3
S
refused "an alternative longer than its place" \
	".text+0x10: an alternative longer than its place." <<-'S'
	.globl f
	func f
	nop
	ret
	endfunc f
	.section .altinstr_replacement, "ax"
	r: lfence
	.section .altinstructions, "a"
	.long f - ., r - .
	.short 20 * 32 + 2, 0
	.byte 1, 3
S
refused "stac, which SMAP puts in" ".text+0x10 (f): privileged instruction, stac. $other" <<-'S'
	.globl f
	func f
	.zero 3, 0x90
	ret
	endfunc f
	.section .altinstr_replacement, "ax"
	r: stac
	.section .altinstructions, "a"
	.long f - ., r - .
	.short 9 * 32 + 20, 0
	.byte 3, 3
S

unknown() {
	echo "the stack frame at this call is unknown (ORC register $1, type $2). Build without variable-length arrays and stack realignment."
}
refused "an array of variable length" ".text+0x17 (f): $(unknown 4 2)" <<-'S'
	func f
	push %rbp
	orc 16
	mov %rsp, %rbp
	orc 16, 4
	sub %rdi, %rsp
	call ext
	leave
	orc 8
	ret
	endfunc f
S
refused "two stack pointers that meet" ".text+0x20 (f): $(unknown 4 2)" <<-'S'
	func f
	push %rbp
	orc 16
	mov %rsp, %rbp
	orc 16, 4
	test %edi, %edi
	je 1f
	sub $16, %rsp
	nopl (%rax)
	nop
	1: call ext
	leave
	orc 8
	ret
	endfunc f
S
refused "a frame aligned twice" ".text+0x1c (f): $(unknown 4 2)" <<-'S'
	func f
	push %rbp
	orc 16
	mov %rsp, %rbp
	orc 16, 4
	and $-16, %rsp
	and $-32, %rsp
	call ext
	leave
	orc 8
	ret
	endfunc f
S
refused "a call whose frame is unknown" ".text+0x10 (f): $(unknown 5 0)" <<-'S'
	func f
	orc 0, 5, 0
	call ext
	ret
	endfunc f
S
refused "a call outside of any function" \
	".text+0x7: call outside of any function. Give the code a FUNC symbol." <<-'S'
	orc 8
	call ext
S
refused "too many arguments on the stack" \
	".text+0x10 (f): 33 arguments on the stack, more than 32. Pass a structure." <<-'S'
	func f
	mov 0x108(%rsp), %rax
	ret
	endfunc f
	.data
	.quad f
S
refused "bytes under a relocation" \
	".data+0x0: nonzero bytes under a relocation; the module loader refuses that." <<-'S'
	.data
	.reloc ., R_X86_64_64, init_module
	.quad 1
S
refused "a relocation that the loader does not know" \
	".text+0x13: relocation type 42 is unknown to the module loader." <<-'S'
	func f
	mov ext@GOTPCREL(%rip), %rax
	ret
	endfunc f
S

printf '\t.globl f\nf:\tret\n' | "$CC" -c -x assembler -o "$tmp/bare.o" -
fails "refuses an object that is no module" 1 \
	"gmcc: $tmp/bare.o: no valid .modinfo section. Give a kernel module (.ko)." \
	"$GMCC_SAN" guard -o "$tmp/x" "$tmp/bare.o"
sed 's/init_module/start_module/' "$here/prelude.s" > "$tmp/in.s"
"$CC" -c -x assembler -o "$tmp/bad.ko" "$tmp/in.s"
fails "refuses a module without init" 1 \
	"gmcc: $tmp/bad.ko: no init_module() to seal at. Give --btf, to tell where struct module has room for one." \
	"$GMCC_SAN" guard -o "$tmp/x" "$tmp/bad.ko"
sed 's/LINUX_6_1/LINUX_6_2/; s/vermagic=6\.1\./vermagic=6.2./' "$here/prelude.s" > "$tmp/in.s"
"$CC" -c -x assembler -Wa,--defsym,LINUX_6_2=1 -o "$tmp/bad.ko" "$tmp/in.s"
fails "refuses the ORC format of kernels between the two" 1 \
	"gmcc: $tmp/bad.ko: unknown ORC format (.orc_header). Use a module built for Linux 6.1 or 6.12, or teach gmcc the format (orc.c)." \
	"$GMCC_SAN" guard -o "$tmp/x" "$tmp/bad.ko"
sed 's/0xfe, 0x5d/0xfe, 0x5e/' "$here/prelude.s" > "$tmp/in.s"
"$CC" -c -x assembler -o "$tmp/bad.ko" "$tmp/in.s"
fails "refuses an unknown ORC format" 1 \
	"gmcc: $tmp/bad.ko: unknown ORC format (.orc_header). Use a module built for Linux 6.1 or 6.12, or teach gmcc the format (orc.c)." \
	"$GMCC_SAN" guard -o "$tmp/x" "$tmp/bad.ko"

refused "too many calls" "at least 65537 calls, more than 65536. Split the module." <<-'S'
	func f
	.rept 65537
	call ext
	.endr
	ret
	endfunc f
S
# Calls to the next instruction are no crossings, but they are calls.
refused "too many calls that have no relocations" "65537 calls, more than 65536. Split the module." <<-'S'
	func f
	.rept 65537
	.byte 0xe8
	.long 0
	.endr
	ret
	endfunc f
S
refused "read-only data without content" \
	".init.rodata.zeroes+0x0: read-only, but without content. Make the section data." <<-'S'
	.section .init.rodata.zeroes, "a", @nobits
	.zero 8
S

assemble "$tmp/bad.ko" <<-'S'
	.globl cleanup_module
	func cleanup_module
	jmp __x86_return_thunk
	endfunc cleanup_module
	.globl other
	func other
	jmp __x86_return_thunk
	endfunc other
	.section .gnu.linkonce.this_module, "aw"
	.quad other
S
objcopy --redefine-sym other=cleanup_module "$tmp/bad.ko"
fails "refuses an exit pointer to another cleanup_module" 1 \
	"gmcc: $tmp/bad.ko: .gnu.linkonce.this_module+0x500: two functions are named cleanup_module. Rename one." \
	"$GMCC_SAN" guard -o "$tmp/x" "$tmp/bad.ko"

lent() {
	echo "$1() is given an object on the stack, which the block layer knows by the thread's stack, not by a private one. Allocate the object."
}
while read -r callee reg at; do
	refused "an object on the stack for $callee" ".text+$at (f): $(lent "$callee")" <<-S
	func f
	sub \$24, %rsp
	orc 32
	lea 8(%rsp), %rax
	mov %rax, %$reg
	call $callee
	add \$24, %rsp
	orc 8
	ret
	endfunc f
	S
done <<'S'
blk_rq_map_kern rdx 0x1c
scsi_execute_cmd rcx 0x1c
__scsi_execute rcx 0x1c
scsi_mode_sense rcx 0x1c
scsi_mode_sense r8 0x1c
scsi_get_vpd_page rdx 0x1c
nvme_submit_sync_cmd rdx 0x1c
__nvme_submit_sync_cmd rcx 0x1c
S
refused "an object whose address a call keeps" ".text+0x20 (f): $(lent scsi_execute_cmd)" <<-'S'
	func f
	push %rbx
	orc 16
	sub $16, %rsp
	orc 32
	mov %rsp, %rbx
	call ext
	mov %rbx, %rcx
	call scsi_execute_cmd
	add $16, %rsp
	orc 16
	pop %rbx
	orc 8
	ret
	endfunc f
S
