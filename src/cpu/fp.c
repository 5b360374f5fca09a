/* SPDX-License-Identifier: MIT */
/*
 * F and D on the host's floating-point unit: arithmetic by the host, with its rounding modes and
 * its exception flags; by hand what IEEE 754 leaves open and RISC-V decides (unprivileged
 * specification, chapters F and D): canonical NaNs, NaN boxing, minimum and maximum, conversions,
 * and what hosts lack. What is the same for both formats is in fp-format.h.
 *
 * R1. Nothing of the host's environment leaks: the mode is to nearest, but around an operation that
 *     wants another, and flags are cleared before each. Operands and results pass through volatile
 *     variables, which the compiler moves neither past the change of mode nor past the look at
 *     them.
 * R2. Round to nearest, ties to max magnitude (RMM) differs from ties to even only when the exact
 *     result lies half way between two neighbours. Whether it does is asked of an arithmetic with
 *     more than twice the bits: there the half way point is a number, and the operation is exact or
 *     no tie.
 * R3. Underflow is told of results that are tiny after rounding. Hosts that look before rounding
 *     tell it of some results too many, all of which are the smallest normal number.
 */
#include "cpu/fp.h"

#include <fenv.h>
#include <math.h>
#include <string.h>

/* IEEE 754 binary128: 113 bits, more than twice those of a double (R2). */
#if defined(__x86_64__)
typedef __float128 quad;
#else
typedef long double quad;
#endif

enum { FLAG_NX = 1, FLAG_UF = 2, FLAG_OF = 4, FLAG_DZ = 8, FLAG_NV = 16 };
enum { RNE, RTZ, RDN, RUP, RMM, RM_DYN = 7 };

#define OP_MADD	 0x43
#define OP_MSUB	 0x47
#define OP_NMSUB 0x4b
#define OP_NMADD 0x4f
#define OP_FP	 0x53

enum arith { ADD, SUB, MUL, DIV, SQRT, FMA };
enum compare { FLE, FLT, FEQ };
enum integer { W, WU, L, LU };

struct fields {
	unsigned rd, rs1, rs2, rs3, funct5, rm; /* rm as it stands in the instruction */
};

/* The rounding mode to use, or false if it is reserved. */
static bool rounding(const struct hart *h, const struct fields *f, unsigned *ret_rm)
{
	*ret_rm = f->rm == RM_DYN ? h->frm : f->rm;
	return *ret_rm <= RMM;
}

static void put_x(struct hart *h, unsigned reg, uint64_t value)
{
	if (reg != 0)
		h->x[reg] = value;
}

/* --- The host's environment ----------------------------------------------------------------- */

static int host_mode(unsigned rm)
{
	switch (rm) {
	case RTZ: return FE_TOWARDZERO;
	case RDN: return FE_DOWNWARD;
	case RUP: return FE_UPWARD;
	default: return FE_TONEAREST;
	}
}

static uint8_t host_flags(void)
{
	const int raised = fetestexcept(FE_ALL_EXCEPT);

	return (uint8_t)((raised & FE_INEXACT ? FLAG_NX : 0) |
			 (raised & FE_UNDERFLOW ? FLAG_UF : 0) |
			 (raised & FE_OVERFLOW ? FLAG_OF : 0) |
			 (raised & FE_DIVBYZERO ? FLAG_DZ : 0) |
			 (raised & FE_INVALID ? FLAG_NV : 0));
}

/* R1. Clearing the flags is what costs most. */
static void host_round(unsigned rm)
{
	if (host_mode(rm) != FE_TONEAREST)
		fesetround(host_mode(rm));
}

static void host_round_back(unsigned rm)
{
	if (host_mode(rm) != FE_TONEAREST)
		fesetround(FE_TONEAREST);
}

static void host_enter(unsigned rm)
{
	host_round(rm);
	feclearexcept(FE_ALL_EXCEPT);
}

static uint8_t host_leave(unsigned rm)
{
	const uint8_t flags = host_flags();

	host_round_back(rm);
	return flags;
}

/* --- Integers -------------------------------------------------------------------------------- */

/* What is out of range gives the nearest end, NaN the upper one; both are invalid. */
static uint64_t saturate(struct hart *h, enum integer kind, bool low)
{
	static const uint64_t lowest[] = { (uint64_t)INT32_MIN, 0, (uint64_t)INT64_MIN, 0 };
	static const uint64_t highest[] = { INT32_MAX, UINT64_MAX /* sign-extended */, INT64_MAX,
					    UINT64_MAX };

	h->fflags |= FLAG_NV;
	return low ? lowest[kind] : highest[kind];
}

/*
 * From a double, which holds every single exactly. Rounded to an integer first, then to its range.
 */
static uint64_t to_integer(struct hart *h, enum integer kind, unsigned rm, double value_in)
{
	static const double below[] = { -0x1p31, 0, -0x1p63, 0 };	  /* the lowest that fits */
	static const double above[] = { 0x1p31, 0x1p32, 0x1p63, 0x1p64 }; /* the first that does not */
	volatile double value = value_in;
	volatile double rounded;

	host_round(rm);
	rounded = rm == RMM ? round(value) : nearbyint(value);
	host_round_back(rm);
	if (rounded < below[kind])
		return saturate(h, kind, true);
	if (rounded >= above[kind])
		return saturate(h, kind, false);
	if (rounded != value)
		h->fflags |= FLAG_NX;
	if (kind == LU)
		return (uint64_t)rounded;
	if (kind == WU)
		return (uint64_t)(int64_t)(int32_t)(uint32_t)rounded;
	return (uint64_t)(int64_t)rounded;
}

/* A magnitude to a format of @digits significant bits; what the rounding mode says of the rest. */
static uint64_t from_magnitude(struct hart *h, uint64_t magnitude, bool negative, unsigned rm,
			       unsigned digits, unsigned bias)
{
	if (magnitude == 0)
		return 0;
	const unsigned top = 63 - (unsigned)__builtin_clzll(magnitude);
	uint64_t exponent = top + bias;
	uint64_t kept;

	if (top < digits) {
		kept = magnitude << (digits - 1 - top);
	} else {
		const unsigned shift = top - (digits - 1);
		const uint64_t rest = magnitude & ((UINT64_C(1) << shift) - 1);
		const uint64_t half = UINT64_C(1) << (shift - 1);
		bool up = false;

		kept = magnitude >> shift;
		switch (rm) {
		case RNE: up = rest > half || (rest == half && (kept & 1)); break;
		case RMM: up = rest >= half; break;
		case RDN: up = negative && rest != 0; break;
		case RUP: up = !negative && rest != 0; break;
		default: break;
		}
		if (rest != 0)
			h->fflags |= FLAG_NX;
		kept += up;
		if (kept >> digits) {
			kept >>= 1;
			exponent++;
		}
	}
	return (exponent << (digits - 1)) + (kept & ((UINT64_C(1) << (digits - 1)) - 1));
}

static bool take_sign(enum integer kind, uint64_t value, uint64_t *ret_magnitude)
{
	int64_t narrow = (int64_t)value;

	if (kind == LU || kind == WU) {
		*ret_magnitude = kind == WU ? (uint32_t)value : value;
		return false;
	}
	if (kind == W)
		narrow = (int32_t)value;
	*ret_magnitude = narrow < 0 ? -(uint64_t)narrow : (uint64_t)narrow;
	return narrow < 0;
}

/* --- The formats ------------------------------------------------------------------------------ */

#define NAME(name) name##_s
#define MATH(name) name##f
#define FLOAT	   float
#define BITS	   uint32_t
#define WIDE	   double
#define DIGITS	   24
#define BIAS	   127
#include "cpu/fp-format.h"

#define NAME(name) name##_d
#define MATH(name) name
#define FLOAT	   double
#define BITS	   uint64_t
#define WIDE	   quad
#define DIGITS	   53
#define BIAS	   1023
#include "cpu/fp-format.h"

/* --- From one to the other -------------------------------------------------------------------- */

#define NAN_D UINT64_C(0x7ff8000000000000)
#define NAN_S UINT32_C(0x7fc00000)

static float narrow(unsigned rm, double value_in, uint8_t *ret_flags)
{
	volatile double value = value_in;
	volatile float result;

	host_enter(rm);
	result = (float)value;
	*ret_flags = host_leave(rm);
	return result;
}

static uint32_t d_to_s(struct hart *h, unsigned rm, uint64_t bits)
{
	const double value = float_of_d(bits);
	uint8_t flags, ignored;
	float result;

	if (is_nan_d(bits)) {
		h->fflags |= is_signaling_d(bits) ? FLAG_NV : 0;
		return NAN_S;
	}
	result = narrow(rm, value, &flags);
	/* R3: as was_tiny_s(). */
	if ((flags & FLAG_UF) && fabsf(result) == 0x1p-126F &&
	    fabsf(narrow(rm, value * 0x1p64, &ignored)) >= 0x1p-62F)
		flags &= ~FLAG_UF;
	if (rm == RMM && (flags & FLAG_NX) && !(flags & FLAG_OF)) {
		const float down = narrow(RDN, value, &ignored), up = narrow(RUP, value, &ignored);

		if (isfinite(down) && isfinite(up) && ((double)down + up) / 2 == value)
			result = fabsf(up) > fabsf(down) ? up : down;
	}
	h->fflags |= flags;
	return bits_of_s(result);
}

static uint64_t s_to_d(struct hart *h, uint32_t bits)
{
	if (is_nan_s(bits)) {
		h->fflags |= is_signaling_s(bits) ? FLAG_NV : 0;
		return NAN_D;
	}
	return bits_of_d((double)float_of_s(bits)); /* exact */
}

static bool do_between_formats(struct hart *h, const struct fields *f, bool to_d)
{
	unsigned rm;

	if (!rounding(h, f, &rm) || !h->isa.d || f->rs2 != (to_d ? 0u : 1u))
		return false;
	if (to_d)
		put_d(h, f->rd, s_to_d(h, get_s(h, f->rs1)));
	else
		put_s(h, f->rd, d_to_s(h, rm, get_d(h, f->rs1)));
	return true;
}

/* --- Instructions ----------------------------------------------------------------------------- */

bool fp_execute(struct hart *h, uint32_t insn)
{
	const unsigned opcode = insn & 0x7f;
	const unsigned format = insn >> 25 & 3;
	const struct fields f = {
		.rd = insn >> 7 & 31,	.rs1 = insn >> 15 & 31, .rs2 = insn >> 20 & 31,
		.rs3 = insn >> 27,	.funct5 = insn >> 27,	.rm = insn >> 12 & 7,
	};
	const bool d = format == 1;

	if (format > 1 || (d && !h->isa.d))
		return false;
	if (opcode == OP_FP && f.funct5 == 0x08)
		return do_between_formats(h, &f, d);
	return d ? execute_d(h, opcode, &f) : execute_s(h, opcode, &f);
}
