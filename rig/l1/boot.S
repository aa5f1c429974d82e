/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The boot sector of L1's disk in Bochs. A bootloader that reads through the BIOS
 * and a kernel that unpacks itself take longer there than all the rest of the boot,
 * so this reads an unpacked kernel, its initramfs and its boot_params from the disk,
 * adds the memory map, and jumps to the kernel's 64-bit entry. rig/gmrig/bootdisk.py
 * lays out the disk and fills in the words from `parts' on.
 */
#define BOOT_PARAMS	0x90000
#define E820_COUNT	(BOOT_PARAMS + 0x1e8)
#define E820_TABLE	(BOOT_PARAMS + 0x2d0)
#define E820_MOST	128
#define MAP		0x1000		/* of memory, until boot_params is there */
#define TABLES		0x70000		/* PML4, PDPT and four page directories */
#define BIG_PAGES	(4 * 512)
#define MSR_EFER	0xc0000080
#define ATA		0x1f0
#define CHUNK		128		/* sectors in a command */
#define CODE32		0x08		/* CODE64 and DATA are Linux's own */
#define CODE64		0x10
#define DATA		0x18

	.code16
	.text
	.globl _start
_start:
	cli
	cld
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$_start, %sp

	movw	$MAP, %di
	xorl	%ebx, %ebx
	xorw	%bp, %bp
1:	movl	$0xe820, %eax
	movl	$0x534d4150, %edx	/* "SMAP" */
	movl	$20, %ecx
	int	$0x15
	jc	2f
	addw	$20, %di
	incw	%bp
	testl	%ebx, %ebx
	jz	2f
	cmpw	$E820_MOST, %bp
	jb	1b

2:	movb	$2, %al			/* A20 */
	outb	%al, $0x92
	lgdt	gdt_pointer
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmp	$CODE32, $protected

	.code32
protected:
	movw	$DATA, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss

	/* Each part: its first sector, how many, and where to. */
	movl	$parts, %esi
next_part:
	movl	(%esi), %ebx
	movl	4(%esi), %ecx
	movl	8(%esi), %edi
	addl	$12, %esi
	testl	%ecx, %ecx
	jz	loaded
next_chunk:
	movl	$CHUNK, %eax
	cmpl	%eax, %ecx
	cmovb	%ecx, %eax
	pushl	%ecx
	pushl	%eax
	movw	$ATA + 2, %dx
	outb	%al, %dx
	movl	%ebx, %eax
	incw	%dx
	outb	%al, %dx
	incw	%dx
	shrl	$8, %eax
	outb	%al, %dx
	incw	%dx
	shrl	$8, %eax
	outb	%al, %dx
	incw	%dx
	shrl	$8, %eax
	orb	$0xe0, %al		/* LBA, master */
	outb	%al, %dx
	incw	%dx
	movb	$0x20, %al		/* read sectors */
	outb	%al, %dx
	movl	(%esp), %ecx
1:	movw	$ATA + 7, %dx
	inb	%dx, %al
	andb	$0x88, %al		/* busy, data */
	cmpb	$0x08, %al
	jne	1b
	pushl	%ecx
	movl	$512 / 4, %ecx
	movw	$ATA, %dx
	rep insl
	popl	%ecx
	loop	1b
	popl	%eax
	popl	%ecx
	addl	%eax, %ebx
	subl	%eax, %ecx
	jnz	next_chunk
	jmp	next_part

loaded:
	movzwl	%bp, %eax
	movb	%al, E820_COUNT
	imull	$20, %eax, %ecx
	movl	$MAP, %esi
	movl	$E820_TABLE, %edi
	rep movsb

	/* The first 4 GiB at their own addresses. */
	movl	$TABLES, %edi
	xorl	%eax, %eax
	movl	$0x6000 / 4, %ecx
	rep stosl
	movl	$TABLES + 0x1003, TABLES
	movl	$TABLES + 0x1000, %edi
	movl	$TABLES + 0x2003, %eax
	movb	$4, %cl
1:	movl	%eax, (%edi)
	addl	$8, %edi
	addl	$0x1000, %eax
	loop	1b
	movl	$TABLES + 0x2000, %edi
	movl	$0x83, %eax		/* present, writable, 2 MiB */
	movl	$BIG_PAGES, %ecx
1:	movl	%eax, (%edi)
	addl	$8, %edi
	addl	$0x200000, %eax
	loop	1b

	movl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$TABLES, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$0x100, %eax		/* long mode */
	wrmsr
	movl	$BOOT_PARAMS, %esi
	movl	entry, %ebx
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	ljmp	$CODE64, $long_mode

	.code64
long_mode:
	jmp	*%rbx

	.balign	8
gdt:
	.quad	0, 0x00cf9a000000ffff, 0x00af9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt

	.org	510 - 4 - 12 * 8
	.globl	parts
parts:
	.fill	12 * 8, 1, 0		/* seven, and one of no sectors */
entry:
	.long	0
	.word	0xaa55
