/* SPDX-License-Identifier: MIT */
/*
 * What guest.mips runs, on a bare machine in M-mode: a sieve of bytes, a generator of random numbers
 * with two multiplications a round, and a table of doublewords that is sorted by insertion. Then the
 * UART is told, in hexadecimal, how many instructions that took (minstret) and how many ticks of the
 * clock (10 MHz), and the machine is switched off.
 *
 * guest.hex is this, assembled: bench/boot.py says how.
 */
	.globl _start
_start:
	lui	s0, 0x80100		# data
	slli	s0, s0, 32
	srli	s0, s0, 32
	li	s1, 400			# rounds
	csrr	s2, minstret
	csrr	s3, time
round:
	/* Strike out the multiples of every number below 256 in 65536 bytes. */
	mv	t0, s0
	li	t2, 65536
	add	t1, s0, t2
1:	sd	zero, 0(t0)
	addi	t0, t0, 8
	bltu	t0, t1, 1b
	li	t3, 2
2:	add	t0, s0, t3
	lbu	t4, 0(t0)
	bnez	t4, 4f
	slli	t5, t3, 1
	li	t6, 1
3:	add	t0, s0, t5
	sb	t6, 0(t0)
	add	t5, t5, t3
	bltu	t5, t2, 3b
4:	addi	t3, t3, 1
	li	t4, 256
	bltu	t3, t4, 2b

	/* 512 random doublewords. */
	li	a0, 0x2545f491
	li	a1, 0x5851f42d
	mv	t0, s0
	addi	t1, s0, 2040
	addi	t1, t1, 2040
5:	mul	a0, a0, a1
	addi	a0, a0, 1013
	mulhu	a2, a0, a1
	xor	a2, a2, a0
	sd	a2, 0(t0)
	addi	t0, t0, 8
	bltu	t0, t1, 5b

	/* Sort them. */
	addi	t0, s0, 8
6:	ld	a2, 0(t0)
	mv	t3, t0
7:	beq	t3, s0, 8f
	ld	a3, -8(t3)
	bgeu	a2, a3, 8f
	sd	a3, 0(t3)
	addi	t3, t3, -8
	j	7b
8:	sd	a2, 0(t3)
	addi	t0, t0, 8
	bltu	t0, t1, 6b
	addi	s1, s1, -1
	bnez	s1, round

	csrr	a0, minstret
	sub	a0, a0, s2
	csrr	s4, time
	sub	s4, s4, s3
	call	print
	mv	a0, s4
	call	print
	lui	t0, 0x100		# the finisher: pass
	li	t1, 0x5555
	sw	t1, 0(t0)
9:	j	9b

/* a0 in sixteen digits, and a line feed. */
print:
	lui	t0, 0x10000
	li	t1, 60
1:	lbu	t3, 5(t0)
	andi	t3, t3, 0x20
	beqz	t3, 1b
	bltz	t1, 3f
	srl	t2, a0, t1
	andi	t2, t2, 15
	addi	t2, t2, '0'
	li	t3, '9' + 1
	bltu	t2, t3, 2f
	addi	t2, t2, 'a' - '9' - 1
2:	sb	t2, 0(t0)
	addi	t1, t1, -4
	j	1b
3:	li	t2, '\n'
	sb	t2, 0(t0)
	ret
