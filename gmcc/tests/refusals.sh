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
wrmsr|wrmsr
rdmsr|rdmsr
hlt|hlt
invd|invd
wbinvd|wbinvd
invlpg (%rax)|invlpg byte ptr [rax]
swapgs|swapgs
lmsw %ax|lmsw ax
sysexitl|sysexit
data16 rex.w wrmsr|wrmsr
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
outb %al, %dx|out dx, al
inl $0x10, %eax|in eax, 0x10
rep outsl|rep outsd dx, dword ptr [rsi]
int $0x80|int 0x80
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
refused "the bytes of a VMMCALL in two instructions" \
	".text+0x14 (f): the bytes of a VMMCALL. Change the constant or the code around it." <<-'S'
	func f
	mov $0x0f000000, %eax
	.byte 0x01, 0xd9
	ret
	endfunc f
S
refused "bytes that do not decode" ".text+0x10 (f): undecodable byte 0x06. Report this module." <<-'S'
	func f
	.byte 0x06
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
refused "a pointer into a function in text" ".text+0x15 (f): $middle" <<-'S'
	func f
	nop
	nop
	mov $f + 1, %rdi
	ret
	endfunc f
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

patched="its code would be patched by the loader, and sealed text cannot be."
while IFS='|' read -r section message; do
	refused "$section" "$section+0x0: $message" <<-S
	.section $section, "aw"
	.quad 0
	S
done <<S
.data..percpu|per-CPU variables are not supported. Use a module without DEFINE_PER_CPU.
.altinstructions|alternatives are not supported: $patched Use a module without them.
__jump_table|static branches are not supported: $patched Use a module without static keys, tracepoints and dynamic debug.
__bug_table|BUG() and WARN() are not supported: the kernel would look the trap up at an address it never sees. Use a module without them.
__ex_table|exception fixups are not supported: the kernel would resume in sealed text. Use a module without user memory accesses and safe MSR or port accesses.
.static_call.text|static calls of the module's own are not supported: $patched Use a module without DEFINE_STATIC_CALL and tracepoints.
__tracepoints_ptrs|tracepoints are not supported: the kernel would patch and call sealed text. Use a module that defines none.
_ftrace_events|trace events are not supported. Use a module that defines none.
_error_injection_whitelist|error injection is not supported: the kernel would patch sealed text. Use a module without it.
.gm.gates|the module is guarded already. Give the original module.
S
refused "a static call of its own" \
	".static_call_sites+0x4: static call of the module's own, key: $patched Use a module without DEFINE_STATIC_CALL and tracepoints." <<-'S'
	.section .static_call_sites, "aw"
	.long init_module - ., key - .
	.data
	.globl key
	key: .quad 0
S

unknown() {
	echo "the stack frame at this call is unknown (ORC register $1, type $2). Build without variable-length arrays and stack realignment."
}
refused "a call whose frame hangs on another register" ".text+0x11 (f): $(unknown 4 2)" <<-'S'
	func f
	push %rbp
	orc 16, 4
	call ext
	pop %rbp
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
refused "the address of stack arguments" \
	".text+0x15 (f): the function takes the address of its stack arguments, which stay private. Pass them in registers." <<-'S'
	func f
	lea 8(%rsp), %rdi
	call ext
	ret
	endfunc f
S
refused "an object reached by index alone" \
	".text+0x19 (f): an object on the stack is reached only by indexed addresses (at +0x14), so its start is unknown. Take the object's address, or move it off the stack." <<-'S'
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
refused "a call outside of any function" \
	".text+0x7: call outside of any function. Give the code a FUNC symbol." <<-'S'
	orc 8
	call ext
S
refused "too many arguments on the stack" \
	".text+0x10 (f): 17 arguments on the stack, more than 16. Pass a structure." <<-'S'
	func f
	mov 0x88(%rsp), %rax
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
	"gmcc: $tmp/bad.ko: no init_module() to seal at. Give a module with an init function." \
	"$GMCC_SAN" guard -o "$tmp/x" "$tmp/bad.ko"
sed 's/0xfe, 0x5d/0xfe, 0x5e/' "$here/prelude.s" > "$tmp/in.s"
"$CC" -c -x assembler -o "$tmp/bad.ko" "$tmp/in.s"
fails "refuses an unknown ORC format" 1 \
	"gmcc: $tmp/bad.ko: unknown ORC format (.orc_header). Use a module built for Linux 6.12, or teach gmcc the format (orc.c)." \
	"$GMCC_SAN" guard -o "$tmp/x" "$tmp/bad.ko"
