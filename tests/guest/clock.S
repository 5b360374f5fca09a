# SPDX-License-Identifier: MIT
#
# Two harts of a machine: hart 1 sets mtime (ACLINT 1.0, 2.1) while hart 0 waits for its supervisor
# timer (Sstc 1.1), first forth over the deadline, then back before it.
#
	.option norvc
	.equ MTIME, 0x0200bff8
	.equ FAR, 1 << 44		# ticks: weeks
	.equ SOON, 50000		# 5 ms

	.globl _start
_start:
	li s0, MTIME
	la s1, step
	csrr t0, mhartid
	bnez t0, setter

	li t0, 1 << 63			# menvcfg.STCE
	csrw 0x30a, t0
	li t0, 0x20			# STIP ends a wait; nothing is taken
	csrw mie, t0
	rdtime s2
	li t0, FAR
	add s2, s2, t0
	csrw 0x14d, s2
	li t0, 1
	sd t0, 0(s1)			# step 1: it waits
1:	wfi
	csrr t0, mip
	andi t0, t0, 0x20
	beqz t0, 1b
	rdtime t0
	bltu t0, s2, fail
	sd s2, 8(s1)
	li t0, 2
	sd t0, 0(s1)			# step 2: mtime may go back
	li t2, 3
2:	ld t1, 0(s1)
	csrr t0, mip
	andi t0, t0, 0x20
	beqz t0, 3f
	bne t1, t2, 2b
	li t0, 2
	sd t0, 0(s1)			# it had gone back, and has come here again: once more
	j 2b
3:	wfi
	csrr t0, mip
	andi t0, t0, 0x20
	beqz t0, 3b
	rdtime t0
	bltu t0, s2, fail
	li a0, 1
	j end
fail:	li a0, 3
end:	la t0, tohost
	sd a0, 0(t0)
	j .

setter:	li t1, 1
	call await
	li t0, FAR + FAR
	sd t0, 0(s0)
again:	li t1, 2
	call await
	ld t0, 8(s1)
	li t1, SOON
	sub t0, t0, t1
	sd t0, 0(s0)
	li t0, 3
	sd t0, 0(s1)			# step 3: it has been set back
	j again

# The step that hart 0 has come to, and a while longer, in which it goes to sleep.
await:	ld t0, 0(s1)
	bne t0, t1, await
	rdtime t0
	li t1, SOON
	add t0, t0, t1
1:	rdtime t1
	bltu t1, t0, 1b
	ret

	.align 12
step:	.dword 0, 0
	.align 6
	.globl tohost
tohost:	.dword 0
