# SPDX-License-Identifier: MIT
#
# Four harts add to one counter, by AMO and by LR/SC, with a trap in between; then hart 0 looks at the
# sum, and stores 1 to EXIT if it is right.
#
	.option norvc
	.equ EXIT, 0x10000000
	.equ HARTS, 4
	.equ ROUNDS, 20000

	.globl _start
_start:
	la t0, handler
	csrw mtvec, t0
	la s0, counter
	li s1, ROUNDS
	li t1, 1
1:	amoadd.d zero, t1, (s0)
2:	lr.d t2, (s0)
	addi t2, t2, 1
	sc.d t3, t2, (s0)
	bnez t3, 2b
	ecall
	addi s1, s1, -1
	bnez s1, 1b
	la s2, finished
	amoadd.d t2, t1, (s2)
	csrr t0, mhartid
	bnez t0, park
	li t3, HARTS
3:	ld t2, 0(s2)
	bne t2, t3, 3b
	ld t2, 0(s0)
	li t3, 2 * HARTS * ROUNDS
	li a0, 1
	beq t2, t3, 4f
	li a0, 3
4:	li t0, EXIT
	sd a0, 0(t0)
park:	wfi
	j park

	.align 4
handler:
	csrr t5, mepc
	addi t5, t5, 4
	csrw mepc, t5
	mret

	.align 13
counter:
	.dword 0
	.align 6
finished:
	.dword 0
