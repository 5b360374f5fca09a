# SPDX-License-Identifier: MIT
#
# A guest without anything below it: traps, delegation, page tables with A and D, PMP, timers and
# interrupts, as software sees them (RISC-V Privileged Architecture 1.12; sections below). It stores 1
# to EXIT when all is well, else the number of the check that failed, shifted left by one, plus 1.
#
# s11 holds the number of the check. M's handler counts in s0 and notes mcause in s1, S's in s2 and s3.
#
	.option norvc
	.equ EXIT, 0x10000000
	.equ MSI, 0x10000100		# the hart's line "msi"
	.equ SSI, 0x10000138		# and "ssi"
	.equ ROOT, 0x80100000		# page tables
	.equ TABLE1, 0x80101000
	.equ TABLE0, 0x80102000
	.equ PAGE, 0x80103000		# mapped at VA
	.equ VA, 0x40000000
	.equ SECRET, 0x80200000		# which PMP hides from S and U

	.macro check number
	li s11, \number
	.endm
	.macro expect register, value
	li t6, \value
	bne \register, t6, fail
	.endm

	.globl _start
_start:
	la t0, m_handler
	csrw mtvec, t0
	li s0, 0
	li s2, 0

	check 1				# 3.7.1: PMP 0 hides a page, PMP 1 gives the rest
	li t0, SECRET >> 2 | 0x1ff
	csrw pmpaddr0, t0
	li t0, -1
	csrw pmpaddr1, t0
	li t0, 0x1f18
	csrw pmpcfg0, t0
	csrr t1, pmpcfg0
	expect t1, 0x1f18
	li t0, SECRET
	sd t0, 0(t0)			# M is not bound by it
	expect s0, 0

	check 2				# an unknown CSR traps: 2.1
	csrr t1, 0x7a0
	expect s0, 1
	expect s1, 2

	check 3				# 3.3.3: wfi with the interrupt pending, but not enabled
	li t0, 8
	csrw mie, t0
	li a0, MSI
	li t1, 1
	sd t1, 0(a0)
	wfi
	csrr t2, mip
	andi t2, t2, 8
	expect t2, 8
	expect s0, 1

	check 4				# 3.1.9: and enabled: taken at once
	csrsi mstatus, 8
	nop
	csrci mstatus, 8
	expect s0, 2
	li t0, 0x8000000000000003
	bne s1, t0, fail
	csrw mie, zero

	# Sstc, counters and delegation for S.
	li t0, 1 << 63
	csrw 0x30a, t0
	li t0, -1
	csrw mcounteren, t0
	csrw scounteren, t0
	li t0, 0x222
	csrw mideleg, t0
	li t0, 0xb1ff			# all but ecall from S
	csrw medeleg, t0
	la t0, s_handler
	csrw stvec, t0

	# RAM and registers as gigapages, and a page at VA without A and D.
	li t0, ROOT
	li t1, 0x80000000 >> 12 << 10 | 0xcf
	sd t1, 16(t0)
	li t1, 0xc7
	sd t1, 0(t0)
	li t1, TABLE1 >> 12 << 10 | 1
	sd t1, 8(t0)
	li t0, TABLE1
	li t1, TABLE0 >> 12 << 10 | 1
	sd t1, 0(t0)
	li t0, TABLE0
	li t1, PAGE >> 12 << 10 | 7
	sd t1, 0(t0)
	li t1, 8 << 60 | ROOT >> 12
	csrw satp, t1
	sfence.vma
	li t0, 0x1800
	csrc mstatus, t0
	li t0, 0x0800
	csrs mstatus, t0
	la t0, supervisor
	csrw mepc, t0
	mret

supervisor:
	check 5				# 4.3.2 and Svade: A is missing for a load, then D for a store
	li a1, VA
	li t1, 0x1234
	ld t2, 0(a1)
	expect s2, 1
	expect s3, 13
	sd t1, 0(a1)
	expect s2, 2
	expect s3, 15
	li t2, PAGE
	ld t3, 0(t2)
	bne t3, t1, fail

	check 6				# 4.2.1: the page is gone after the fence
	li t0, TABLE0
	ld t5, 0(t0)
	sd zero, 0(t0)
	sfence.vma a1, zero
	sd t5, 8(t0)			# elsewhere
	ld t2, 0(a1)
	expect s2, 3
	expect s3, 13
	li t0, 4096
	add t0, a1, t0
	ld t2, 0(t0)
	bne t2, t1, fail
	expect s2, 3

	check 7				# 3.7.1: access fault
	li t0, SECRET
	ld t2, 0(t0)
	expect s2, 4
	expect s3, 5
	csrr t2, stval
	bne t2, t0, fail

	check 8				# 3.1.8: not for S
	csrr t2, mscratch
	expect s2, 5
	expect s3, 2
	csrr t2, stval
	expect t2, 0x340023f3

	check 9				# Sstc: a timer ends a wait, and is taken
	li t0, 0x20
	csrw sie, t0
	csrsi sstatus, 2
	rdtime t0
	li t1, 20000
	add t0, t0, t1
	csrw 0x14d, t0
1:	wfi
	expect s2, 6
	rdtime t1
	bltu t1, t0, fail
	li t0, 0x8000000000000005
	bne s3, t0, fail

	check 10			# and a loop
	rdtime t0
	li t1, 20000
	add t0, t0, t1
	csrw 0x14d, t0
	li t3, 6
2:	beq s2, t3, 2b
	expect s2, 7

	check 11			# 4.1.3: an edge, which software clears
	csrwi sie, 2
	li a0, SSI
	li t1, 1
	sd t1, 0(a0)
	nop
	nop
	expect s2, 8
	li t0, 0x8000000000000001
	bne s3, t0, fail
	csrr t2, sip
	expect t2, 0

	check 12			# 4.1.1: to U, which may not read RAM that is S's
	csrci sstatus, 2
	la t0, user
	csrw sepc, t0
	li t0, 0x100
	csrc sstatus, t0
	sret
user:	nop				# 4.3.1: nor execute there: the handler goes on in S
	expect s2, 9
	expect s3, 12

	check 0
	ecall				# 9, for M
fail:
	ecall

	.align 4
m_handler:
	csrr s1, mcause
	li t5, 9
	bgeu s1, t5, 1f
	csrr t5, mepc
	addi t5, t5, 4
	csrw mepc, t5
	addi s0, s0, 1
	mret
1:	bltz s1, 2f
	li t5, EXIT			# ecall
	slli t6, s11, 1
	ori t6, t6, 1
	sd t6, 0(t5)
	j .
2:	li t5, MSI
	sd zero, 0(t5)
	addi s0, s0, 1
	mret

	.align 4
s_handler:
	csrr s3, scause
	addi s2, s2, 1
	bltz s3, interrupt
	li t6, 12
	beq s3, t6, from_user
	li t6, 3			# the third: let it be
	bge s2, t6, skip
	li t6, TABLE0
	ld t5, 0(t6)
	ori t5, t5, 0x40
	addi t4, s3, -13
	beqz t4, 1f
	ori t5, t5, 0x80
1:	sd t5, 0(t6)
	sfence.vma a1, zero
	sret
skip:	csrr t6, sepc
	addi t6, t6, 4
	csrw sepc, t6
	sret
from_user:
	la t6, user
	addi t6, t6, 4
	csrw sepc, t6
	li t6, 0x100
	csrs sstatus, t6
	sret
interrupt:
	li t6, -1
	csrw 0x14d, t6
	csrci sip, 2
	sret
