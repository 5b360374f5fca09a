/* SPDX-License-Identifier: MIT */
/*
 * Runs in a RISC-V user-mode emulator: executes instructions that it is told on standard input,
 * and says what became of the registers. Built for the guest.
 *
 * A record in: one or two instructions in 64 bits (upper half 0: one), the rounding mode, x10
 * to x12, f10 to f12. x13 starts as x10 does, sp as x12. A record out: x13, f13, fflags.
 *
 * R1. Record N runs at CODE + 16 * N, so that what depends on the address can be foretold. Below
 *     CODE there is memory, zero at first, which keeps what the records store.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#define MEMORY UINT64_C(0x80000000)
#define CODE (MEMORY + 0x10000)
#define SIZE 0x1000000

struct input {
	uint64_t insn, frm;
	uint64_t x[3], f[3];
};

struct output {
	uint64_t x13, f13, fflags;
};

/* Loads the registers, calls the code, which returns to t0, and stores what came of it. */
static void execute(const struct input *in, struct output *out, void *code)
{
	register const struct input *a1 __asm__("s2") = in;
	register struct output *a2 __asm__("s3") = out;
	register void *a3 __asm__("s4") = code;

	__asm__ volatile("ld t0, 8(s2)\n"
			 "fsrm t0\n"
			 "fsflags zero\n"
			 "ld a0, 16(s2)\n"
			 "ld a1, 24(s2)\n"
			 "ld a2, 32(s2)\n"
			 "fld fa0, 40(s2)\n"
			 "fld fa1, 48(s2)\n"
			 "fld fa2, 56(s2)\n"
			 "mv a3, a0\n"
			 "fmv.d.x fa3, zero\n"
			 "mv s5, sp\n"
			 "mv sp, a2\n"
			 "jalr t0, s4\n"
			 "mv sp, s5\n"
			 "sd a3, 0(s3)\n"
			 "fsd fa3, 8(s3)\n"
			 "frflags t0\n"
			 "sd t0, 16(s3)\n"
			 "fsrm zero\n"
			 :
			 : "r"(a1), "r"(a2), "r"(a3)
			 : "ra", "t0", "a0", "a1", "a2", "a3", "s5", "fa0", "fa1", "fa2", "fa3",
			   "memory");
}

int main(void)
{
	static struct input inputs[1024];
	static struct output outputs[1024];
	uint32_t *code = (void *)CODE;
	size_t count;

	if (mmap((void *)MEMORY, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)MEMORY)
		return 1;
	while ((count = fread(inputs, sizeof(inputs[0]), 1024, stdin)) > 0) {
		for (size_t i = 0; i < count; i++) {
			const uint32_t second = (uint32_t)(inputs[i].insn >> 32);

			code[4 * i] = (uint32_t)inputs[i].insn;
			code[4 * i + 1] = second ? second : 0x00000013; /* nop */
			code[4 * i + 2] = 0x00028067; /* jr t0 */
		}
		__asm__ volatile("fence.i" : : : "memory");
		for (size_t i = 0; i < count; i++)
			execute(&inputs[i], &outputs[i], &code[4 * i]);
		code += 4 * count;
		if (fwrite(outputs, sizeof(outputs[0]), count, stdout) != count)
			return 1;
	}
	return 0;
}
