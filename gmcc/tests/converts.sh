# shellcheck shell=sh disable=SC2154,SC2034
# SPDX-License-Identifier: GPL-2.0
# Part of run: what becomes of code that the kernel would patch or trap on.

accepted "static branches" <<-'S'
	.globl f
	func f
	nop5
	xor %eax, %eax
	.byte 0x66, 0x90
	mov $1, %eax
	jmp 1f
	.zero 113, 0x90
	1: ret
	endfunc f
	.globl g
	func g
	jmp f
	ret
	endfunc g
	.section __jump_table, "aw"
	.long f - ., f + 7 - .
	.quad key + 8 + 2 - .
	.long f + 7 - ., f - .
	.quad key + 3 - .
	.long g - ., f - .
	.quad extern_key - .
	.data
	.globl key
	key: .quad 0, 0
S
code "a branch that is off by default jumps if its key is not zero, one that is on if it is" f <<-'S'
	cmpl   $0x0,0x0(%rip)
	key+0x3
	jne    f+0xf
	xorl   %eax,%eax
	cmpl   $0x0,0x0(%rip)
	key-0x5
	je     f
	movl   $0x1,%eax
	jmp    f+0x94
	nop
	retq
S
code "one that was a jump, and a key of the kernel's" g <<-'S'
	cmpl   $0x0,0x0(%rip)
	extern_key-0x5
	jne    f
	retq
S
check "no place to patch is left in the image" sh -c "! readelf -SW '$tmp/good.gm.ko' | grep __jump_table"

accepted "a short branch over what has grown" <<-'S'
	.globl f
	func f
	test %edi, %edi
	je 1f
	jmp 2f
	1: .rept 9
	nop5
	.endr
	.zero 75, 0x90
	2: ret
	endfunc f
	.section __jump_table, "aw"
	.set at, 0
	.rept 9
	.long f + 6 + at - ., f + 6 - .
	.quad key - .
	.set at, at + 5
	.endr
	.data
	.globl key
	key: .quad 0
S
check "it has become long" sh -c "objdump -d --disassemble=f '$tmp/good.gm.ko' | grep -q 'e9 .*jmp .*<f+0x'"

accepted "BUG and WARN" f:8:8 <<-'S'
	.globl f
	func f
	sub $24, %rsp
	orc 32
	lea 8(%rsp), %rdi
	mov %gs:0x28, %rax
	mov %rax, 16(%rsp)
	call ext
	ud2
	xor %eax, %eax
	ud2
	endfunc f
	.section __bug_table, "aw"
	.globl table
	.type table, @object
	table: .long f + 0x1c - ., file - .
	.short 7, 1
	.long f + 0x20 - ., file - .
	.short 8, 0
	.size table, . - table
	.section .rodata.str1.1, "aMS", @progbits, 1
	file: .asciz "file.c"
S
code "WARN goes on after the call, BUG does not" f <<-'S'
	subq   $0x18,%rsp
	leaq   0x8(%rsp),%rdi
	movq   %gs:0x28,%rax
	movq   %rax,0x10(%rsp)
	callq  f+0x1c
	gm_stub_ext-0x4
	callq  f+0x21
	gm_call_trap_f-0x4
	xorl   %eax,%eax
	callq  f+0x28
	gm_call_trap_f-0x4
	ud2
S
code "the trap is the guest's, one for each" gm_trap_f <<-'S'
	ud2
	retq
S
check "the bug table has the guest's traps" sh -c "readelf -rW '$tmp/good.gm.ko' | sed -n '/__bug_table/,/^\$/p' | grep -c 'gm_trap_f + 0\$' | grep -qx 2"
code "a trap's caller saves R11, then all the others" gm_trap <<-'S'
	pushq  %rax
	pushq  %rcx
	pushq  %rdx
	pushq  %rsi
	pushq  %rdi
	pushq  %r8
	pushq  %r9
	pushq  %r10
	callq  gm_trap+0x10
	gm_stub_guest-0x4
	popq   %r10
	popq   %r9
	popq   %r8
	popq   %rdi
	popq   %rsi
	popq   %rdx
	popq   %rcx
	popq   %rax
	popq   %r11
	retq
S
sizes "its frame ends below the return address into the module" gm_trap 72

accepted "traps in a module whose returns are patched" <<-'S'
	.globl f
	func f
	ud2
	2: jmp __x86_return_thunk
	endfunc f
	.section __bug_table, "aw"
	.long f - ., 0
	.short 7, 1
	.section .return_sites, "a"
	.long 2b - .
S
code "the guest's code returns as the guest wants" gm_trap_f <<-'S'
	ud2
	jmpq   gm_trap_f+0x7
	__x86_return_thunk-0x4
S
check "and only that is left to patch" sh -c "readelf -rW '$tmp/good.gm.ko' | sed -n '/return_sites/,/^\$/p' | grep R_X86 | sed 's/.*R_X86_64_PC32 *[0-9a-f]* //' | grep -qx '.gm.guest + 2'"

accepted "port and MSR accesses" <<-'S'
	func f
	outb %al, %dx
	xor %ecx, %ecx
	inl $0x10, %eax
	xor %ecx, %ecx
	rdmsr
	xor %ecx, %ecx
	wrmsr
	xor %ecx, %ecx
	wbinvd
	xor %ecx, %ecx
	rep insw
	xor %ecx, %ecx
	outsb
	xor %ecx, %ecx
	outb %al, %dx
	ret
	endfunc f
S
results() {
	name=$1
	objdump -d --no-show-raw-insn -M suffix --disassemble="$2" "$tmp/good.gm.ko" |
		sed -n '/callq/,$s/^ *[0-9a-f]*:[[:space:]]*//p' | sed 1d | tr -s ' ' | sed 's/ $//' |
		tr '\n' ';' > "$tmp/code"
	echo >> "$tmp/code"
	shift 2
	if grep -qx "$*" "$tmp/code"; then
		ok "$name"
	else
		not_ok "$name" "$(cat "$tmp/code")"
	fi
}
all8='popq %r10;popq %r9;popq %r8;popq %rdi;popq %rsi;popq %rdx;popq %rcx;popq %rax;popq %r11'
results "out changes no register" gm_call_gm_do_ee "$all8;retq;"
results "in changes RAX" gm_call_gm_do_e5_10 \
	"popq %r10;popq %r9;popq %r8;popq %rdi;popq %rsi;popq %rdx;popq %rcx;leaq 0x8(%rsp),%rsp;popq %r11;retq;"
results "rdmsr changes RAX and RDX" gm_call_gm_do_0f_32 \
	"popq %r10;popq %r9;popq %r8;popq %rdi;popq %rsi;leaq 0x8(%rsp),%rsp;popq %rcx;leaq 0x8(%rsp),%rsp;popq %r11;retq;"
results "after rep insw RDI and RCX are what they must be, not what the guest says" gm_call_gm_do_66_f3_6d \
	"$all8;leaq (%rdi,%rcx,2),%rdi;movl \$0x0,%ecx;retq;"
results "after outsb RSI is" gm_call_gm_do_6e "$all8;leaq 0x1(%rsi),%rsi;retq;"
check "equal instructions share their code" sh -c "readelf -sW '$tmp/good.gm.ko' | grep -cw gm_do_ee | grep -qx 1"

accepted "functions with rules of their own" <<-'S'
	func f
	call __get_user_4
	call __put_user_8
	call __SCT__preempt_schedule
	call __sw_hweight64
	call clear_page_orig
	call *pv_ops+8(%rip)
	ret
	endfunc f
S
results "__get_user changes RAX and RDX" gm_keep___get_user_4 \
	"popq %r10;popq %r9;popq %r8;popq %rdi;popq %rsi;leaq 0x8(%rsp),%rsp;popq %rcx;leaq 0x8(%rsp),%rsp;popq %r11;retq;"
results "__put_user changes RCX" gm_keep___put_user_8 \
	"popq %r10;popq %r9;popq %r8;popq %rdi;popq %rsi;popq %rdx;leaq 0x8(%rsp),%rsp;popq %rax;popq %r11;retq;"
results "preempt_schedule changes nothing" gm_keep___SCT__preempt_schedule "$all8;retq;"
json "gmcc's own copies make no call out" \
	"not {('out-call', '__sw_hweight64'), ('out-call', 'clear_page_orig')} & set(gates)" "$tmp/good.gm.ko"
code "pv_ops' pointer is called through R11" gm_keep_pv_ops_8 <<-'S'
	pushq  %r11
	pushq  %rax
	pushq  %rcx
	pushq  %rdx
	pushq  %rsi
	pushq  %rdi
	pushq  %r8
	pushq  %r9
	pushq  %r10
	movq   0x0(%rip),%r11
	pv_ops+0x4
	callq  gm_keep_pv_ops_8+0x19
	gm_stub_guest-0x4
	popq   %r10
	popq   %r9
	popq   %r8
	popq   %rdi
	popq   %rsi
	popq   %rdx
	popq   %rcx
	leaq   0x8(%rsp),%rsp
	popq   %r11
	retq
S

# The counting of ones, run here: the same bytes as in the image.
objcopy -O binary -j .gm.glue "$tmp/good.gm.ko" "$tmp/glue.bin"
cat > "$tmp/weight.c" <<-'C'
	#include <stdint.h>
	#include <stdio.h>
	#include <stdlib.h>
	#include <string.h>
	#include <sys/mman.h>
	int main(int argc, char **argv)
	{
		uint8_t *code = mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		FILE *f = fopen(argv[1], "rb");
		void *w32 = code + strtoul(argv[2], NULL, 16), *w64 = code + strtoul(argv[3], NULL, 16);
		uint64_t x = 0;
		if (argc != 4 || code == MAP_FAILED || !f || !fread(code, 1, 65536, f))
			return 2;
		/* The relocation of the calls in the wider one. */
		for (uint8_t *p = w64, calls = 0; calls < 2; p++)
			if (*p == 0xe8) {
				int32_t d = (uint8_t *)w32 - (p + 5);
				memcpy(p + 1, &d, 4);
				p += 4;
				calls++;
			}
		for (int i = 0; i < 200000; i++, x = x * 6364136223846793005ULL + 1442695040888963407ULL) {
			uint64_t v = i < 64 ? 1ULL << i : i == 64 ? ~0ULL : x, di = v, cx = 7, dx = 9, a, b;
			asm volatile("call *%[w32]" : "=a"(a), "+D"(di), "+c"(cx), "+d"(dx)
				     : [w32] "r"(w32) : "memory", "cc");
			asm volatile("call *%[w64]" : "=a"(b), "+D"(di), "+c"(cx), "+d"(dx)
				     : [w64] "r"(w64) : "memory", "cc");
			if ((uint32_t)a != (uint32_t)__builtin_popcount(v) ||
			    b != (uint64_t)__builtin_popcountll(v) || di != v || cx != 7 || dx != 9)
				return 1;
		}
		return 0;
	}
C
symbol() {
	readelf -sW "$tmp/good.gm.ko" | awk -v name="$1" '$8 == name { print $2; exit }'
}
if "$CC" -mno-red-zone -o "$tmp/weight" "$tmp/weight.c" 2> "$tmp/err"; then
	check "gmcc's own hweight counts right and keeps every other register" \
		"$tmp/weight" "$tmp/glue.bin" "$(symbol gm_sw_hweight32)" "$(symbol gm_sw_hweight64)"
else
	not_ok "gmcc's own hweight" "$(cat "$tmp/err")"
fi

# That they do not return is the guest's to say.
accepted "calls that do not return" <<-'S'
	func f
	sub $8, %rsp
	orc 16
	test %edi, %edi
	jne 1f
	call panic
	1: call ext
	add $8, %rsp
	orc 8
	test %eax, %eax
	jne 2f
	ret
	2: sub $24, %rsp
	orc 32
	call ext
	endfunc f
	func g
	ret
	endfunc g
	func h
	push %rbp
	orc 16
	mov %rsp, %rbp
	orc 16, 4
	and $-16, %rsp
	call ext
	endfunc h
	func i
	ret
	endfunc i
S
code "have a trap behind them" f <<-'S'
	subq   $0x8,%rsp
	testl  %edi,%edi
	jne    f+0xf
	callq  f+0xd
	gm_stub_panic-0x4
	ud2
	callq  f+0x14
	gm_stub_ext-0x4
	addq   $0x8,%rsp
	testl  %eax,%eax
	jne    f+0x1d
	retq
	subq   $0x18,%rsp
	callq  f+0x26
	gm_stub_ext-0x4
	ud2
S
code "one behind all that are made of one call" h <<-'S'
	pushq  %rbp
	movq   %rsp,%rbp
	andq   $0xfffffffffffffff0,%rsp
	testb  $0x8,%bpl
	jne    h+0x1c
	callq  h+0x17
	gm_stub_ext-0x4
	jmpq   h+0x21
	callq  h+0x21
	gm_stub_ext-0x4
	ud2
S

accepted "hypercall bytes in two instructions" <<-'S'
	func f
	mov $0x0f000000, %eax
	add %ebx, %ecx
	lea 0x0f(%rax), %edx
	add %eax, %ecx
	ret
	endfunc f
S
code "are parted" f <<-'S'
	movl   $0xf000000,%eax
	nop
	addl   %ebx,%ecx
	leal   0xf(%rax),%edx
	nop
	addl   %eax,%ecx
	retq
S
accepted "AVX that the disassembler does not know" <<-'S'
	func f
	.byte 0xc4, 0x62, 0x7d, 0x58, 0x3d
	.long table - . - 4
	.byte 0xc4, 0xe2, 0x7d, 0x5a, 0x57, 0x10
	vpternlogd $0x96, %zmm1, %zmm2, %zmm3
	vpternlogd $0x96, 64(%rsi,%rcx), %zmm2, %zmm3
	vpaddd table(%rip), %zmm1, %zmm2
	vpshufd $1, table(%rip), %zmm1
	sub $8, %rsp
	orc 16
	call ext
	add $8, %rsp
	orc 8
	ret
	endfunc f
	.section .rodata
	table: .zero 64
S

accepted "alternatives" <<-'S'
	.globl f
	func f
	call *pv_ops+8(%rip)
	nop
	xor %eax, %eax
	3: rdtsc
	nop
	nop
	nop
	4: call __sw_hweight32
	5: jmp 6f
	7: ret
	endfunc f
	.section .altinstr_aux, "ax"
	6: testb $1, boot_cpu_data(%rip)
	jnz 7b
	jmp 7b
	.section .altinstr_replacement, "ax"
	r1: call BUG_func
	r2: sti
	r3: lfence
	rdtsc
	r4: rdtscp
	r5: popcnt %edi, %eax
	.macro alt site, code, feature, flags, len, clen
	.long \site - ., \code - .
	.short \feature, \flags
	.byte \len, \clen
	.endm
	.section .altinstructions, "a"
	alt f, r1, 3*32+21, 2, 7, 5
	alt f, r2, 8*32+16, 1, 7, 1
	alt 3b, r3, 20*32+2, 0, 5, 5
	alt 3b, r4, 1*32+27, 0, 5, 3
	alt 4b, r5, 4*32+23, 0, 5, 4
	alt 5b, r5, 3*32+21, 0, 5, 0
	.globl init_module
S
code "the native instruction; the ordered rdtsc; the test in memory" f <<-'S'
	sti
	nop
	xorl   %eax,%eax
	lfence
	rdtsc
	callq  f+0x13
	gm_sw_hweight32-0x4
	jmpq   f+0x18
	.altinstr_aux-0x4
	retq
S

# Shorter entries, their own number for an ordered rdtsc, and a list of calls.
linux=LINUX_6_1
accepted "what Linux 6.1 has otherwise" <<-'S'
	.globl f
	func f
	push %rbx
	orc 16
	1: call *pv_ops+8(%rip)
	xor %eax, %eax
	3: rdtsc
	nop
	nop
	nop
	2: call *pv_ops+16(%rip)
	sub $8, %rsp
	orc 24
	mov %rsp, %rdi
	call ext
	add $8, %rsp
	orc 16
	pop %rbx
	orc 8
	ret
	endfunc f
	.section .altinstr_replacement, "ax"
	r2: sti
	r3: lfence
	rdtsc
	.macro alt6_1 site, code, feature, len, clen
	.long \site - ., \code - .
	.short \feature
	.byte \len, \clen
	.endm
	.section .altinstructions, "a"
	alt6_1 1b, r2, 0x8000+8*32+16, 6, 1
	alt6_1 3b, r3, 3*32+18, 5, 5
	.section .parainstructions, "a"
	.p2align 3
	.quad 1b
	.byte 8, 6
	.p2align 3
	.quad 2b
	.byte 16, 6
	.p2align 3
S
code "the same choices, and the other call through memory" f <<-'S'
	pushq  %rbx
	sti
	nop
	xorl   %eax,%eax
	lfence
	rdtsc
	callq  f+0x13
	gm_keep_pv_ops_10-0x4
	subq   $0x8,%rsp
	movq   %rsp,%rdi
	callq  f+0x1f
	gm_stub_ext-0x4
	addq   $0x8,%rsp
	popq   %rbx
	retq
S
check "no place is left to patch" sh -c \
	"! readelf -SW '$tmp/good.gm.ko' | grep -E '\.parainstructions|\.altinstructions'"
linux=

accepted "a static call of its own, and a tracepoint" <<-'S'
	.globl f
	func f
	call __SCT__own
	ret
	endfunc f
	.section .static_call.text, "ax"
	.globl __SCT__own
	.type __SCT__own, @function
	__SCT__own: jmp f
	.byte 0x0f, 0xb9, 0xcc
	.size __SCT__own, 8
	.section .static_call_sites, "aw"
	.long f - ., key - .
	.section __tracepoints, "aw"
	.quad f, __SCT__own
	.section __tracepoints_ptrs, "a"
	.long key - .
	.data
	.globl key
	key: .quad f
S
code "the trampoline is the guest's, and leads to a gate" __SCT__own <<-'S'
	jmpq   __SCT__own+0x5
	gm_gate_f-0x4
	ud1l   %esp,%ecx
S
json "sealed text calls out to it" "('out-call', '__SCT__own') in gates" "$tmp/good.gm.ko"
check "the call is no place to patch" sh -c "! readelf -SW '$tmp/good.gm.ko' | grep static_call_sites"

accepted "per-CPU data" <<-'S'
	func f
	incl %gs:counter(%rip)
	ret
	endfunc f
	.section .data..percpu, "aw"
	counter: .long 0
S
accepted "a label's address as a number" <<-'S'
	.globl f
	func f
	lea 0(%rip), %rdi
	mov $f + 7, %rsi
	call ext
	ret
	endfunc f
S

accepted "data that is read-only by name alone" <<-'S'
	func f
	incl counter(%rip)
	ret
	endfunc f
	.section .init.rodata, "aw"
	counter: .long 0
S
json "is private data" \
	"[r['kind'] for r in j['regions'] if r['section'] == '.rodata.gm_init'] == ['data']" "$tmp/good.gm.ko"

accepted "a WARN at a section's end" <<-'S'
	func f
	jmp f.cold
	endfunc f
	.section .text.unlikely, "ax"
	.type f.cold, @function
	f.cold:
	orc 8
	ud2
	.size f.cold, . - f.cold
	.section __bug_table, "aw"
	.long f.cold - ., 0
	.short 0, 1
S
