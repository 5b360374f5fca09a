# SPDX-License-Identifier: MIT
#
# Four harts that do nothing but wait, each time for one wake-up that comes once: a token goes round by
# inter-processor interrupts; each sleeps by its supervisor timer; and hart 0 prints by the interrupts of
# the serial port. If one is lost, all wait for ever. No interrupt is taken: wfi ends when one is pending.
#
	.option norvc
	.equ ROUNDS, 10000	# of the token
	.equ SLEEPS, 4000
	.equ CHUNKS, 10000	# of 16 characters
	.equ CLINT, 0x2000000
	.equ PLIC, 0xc000000
	.equ UART, 0x10000000

	.globl _start
_start:
	csrr s0, mhartid
	li s6, 1

	# The token: own software interrupt away, then the next one's.
	li s1, CLINT
	slli t0, s0, 2
	add s2, s1, t0
	addi t0, s0, 1
	andi t0, t0, 3
	slli t0, t0, 2
	add s3, s1, t0
	csrwi mie, 1 << 3
	li s4, ROUNDS
	beqz s0, 3f
1:	wfi
	csrr t0, mip
	andi t0, t0, 1 << 3
	beqz t0, 1b
	sw zero, 0(s2)
2:	csrr t0, mip
	andi t0, t0, 1 << 3
	bnez t0, 2b
3:	sw s6, 0(s3)
	addi s4, s4, -1
	bnez s4, 1b

	# Sleeps of 0 to 12.7 us.
	slli t0, s6, 63
	csrw 0x30a, t0		# menvcfg.STCE
	li t0, 1 << 5
	csrw mie, t0
	li s4, SLEEPS
1:	csrr t0, time
	andi t1, s4, 127
	add t0, t0, t1
	csrw 0x14d, t0		# stimecmp
2:	wfi
	csrr t0, mip
	andi t0, t0, 1 << 5
	beqz t0, 2b
	li t0, -1
	csrw 0x14d, t0
	addi s4, s4, -1
	bnez s4, 1b

	# Who is not hart 0 is done.
	la s5, slept
	amoadd.w zero, s6, (s5)
	beqz s0, 2f
1:	wfi
	j 1b
2:	lw t0, (s5)
	li t1, 4
	bne t0, t1, 2b

	# The port, as source 10 of context 0.
	li s1, UART
	li s2, PLIC
	sw s6, 4 * 10(s2)
	li t0, 0x2000
	add t0, t0, s2
	li t1, 1 << 10
	sw t1, 0(t0)
	li t0, 0x200000
	add s3, t0, s2
	sw zero, 0(s3)
	sb s6, 2(s1)		# FIFOs
	li s7, 1 << 11
	csrw mie, s7
	li s4, CHUNKS
	li t0, 2
	sb t0, 1(s1)		# tell of an empty FIFO
1:	wfi
	csrr t0, mip
	and t0, t0, s7
	beqz t0, 1b
	lw s5, 4(s3)
	beqz s5, 1b
	lbu t0, 2(s1)
	andi t0, t0, 15
	li t1, 2
	bne t0, t1, 3f
	li t0, 16
	li t1, 'x'
2:	sb t1, 0(s1)
	addi t0, t0, -1
	bnez t0, 2b
	addi s4, s4, -1
	beqz s4, 4f
3:	sw s5, 4(s3)
	j 1b

4:	la t0, tohost
	sd s6, (t0)
5:	j 5b

	.balign 64
	.globl tohost
tohost:	.dword 0
slept:	.word 0
