/* SPDX-License-Identifier: MIT */
/*
 * Runs in a RISC-V user-mode emulator: executes single instructions that it is told on standard input,
 * and says what became of the registers. Built for the guest, freestanding but for the C library's I/O.
 *
 * A record in: the instruction, the rounding mode, x10 to x12, f10 to f12. A record out: x13, f13, fflags.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

struct input {
	uint64_t insn, frm;
	uint64_t x[3], f[3];
};

struct output {
	uint64_t x13, f13, fflags;
};

/* Loads the registers, calls the code at t0 and stores what came of it. */
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
			 "li a3, 0\n"
			 "fmv.d.x fa3, zero\n"
			 "jalr s4\n"
			 "sd a3, 0(s3)\n"
			 "fsd fa3, 8(s3)\n"
			 "frflags t0\n"
			 "sd t0, 16(s3)\n"
			 "fsrm zero\n"
			 :
			 : "r"(a1), "r"(a2), "r"(a3)
			 : "ra", "t0", "a0", "a1", "a2", "a3", "fa0", "fa1", "fa2", "fa3", "memory");
}

int main(void)
{
	static struct input inputs[1024];
	static struct output outputs[1024];
	uint32_t *code = mmap(NULL, 1024 * 8, PROT_READ | PROT_WRITE | PROT_EXEC,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t count;

	if (code == MAP_FAILED)
		return 1;
	while ((count = fread(inputs, sizeof(inputs[0]), 1024, stdin)) > 0) {
		for (size_t i = 0; i < count; i++) {
			code[2 * i] = (uint32_t)inputs[i].insn;
			code[2 * i + 1] = 0x00008067; /* ret */
		}
		__asm__ volatile("fence.i" : : : "memory");
		for (size_t i = 0; i < count; i++)
			execute(&inputs[i], &outputs[i], &code[2 * i]);
		if (fwrite(outputs, sizeof(outputs[0]), count, stdout) != count)
			return 1;
	}
	return 0;
}
