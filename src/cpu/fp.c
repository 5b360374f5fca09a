/* SPDX-License-Identifier: MIT */
/*
 * F and D on the host's floating-point unit: arithmetic by the host, with its rounding modes and its
 * exception flags; by hand what IEEE 754 leaves open and RISC-V decides (unprivileged specification,
 * chapters F and D): canonical NaNs, NaN boxing, minimum and maximum, conversions, and the rounding mode
 * that hosts lack.
 *
 * R1. Nothing of the host's environment leaks: the rounding mode is restored and its flags are cleared
 *     around each operation. Operands and results pass through volatile variables, which the compiler
 *     moves neither past the change of mode nor past the look at the flags.
 * R2. Round to nearest, ties to max magnitude (RMM) differs from ties to even only when the exact result lies
 *     half way between two neighbours. Whether it does is asked of an arithmetic with more than
 *     twice the bits: there the half way point is a number, and the operation is exact or no tie.
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

#define NAN_D UINT64_C(0x7ff8000000000000)
#define NAN_S UINT32_C(0x7fc00000)
#define BOX UINT64_C(0xffffffff00000000)

#define OP_MADD 0x43
#define OP_MSUB 0x47
#define OP_NMSUB 0x4b
#define OP_NMADD 0x4f

/* --- Bits ----------------------------------------------------------------------------------- */

static uint64_t bits_d(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static double from_bits_d(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static uint32_t bits_s(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static float from_bits_s(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static bool is_nan_d(uint64_t bits)
{
	return (bits & INT64_MAX) > UINT64_C(0x7ff0000000000000);
}

static bool is_nan_s(uint32_t bits)
{
	return (bits & INT32_MAX) > UINT32_C(0x7f800000);
}

static bool is_signaling_d(uint64_t bits)
{
	return is_nan_d(bits) && !(bits & UINT64_C(0x0008000000000000));
}

static bool is_signaling_s(uint32_t bits)
{
	return is_nan_s(bits) && !(bits & UINT32_C(0x00400000));
}

/* A single of a register: anything that is not boxed reads as the canonical NaN. */
static uint32_t get_s(const struct hart *h, unsigned reg)
{
	return (h->f[reg] & BOX) == BOX ? (uint32_t)h->f[reg] : NAN_S;
}

static void put_s(struct hart *h, unsigned reg, uint32_t bits)
{
	h->f[reg] = BOX | bits;
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

	return (uint8_t)((raised & FE_INEXACT ? FLAG_NX : 0) | (raised & FE_UNDERFLOW ? FLAG_UF : 0) |
			 (raised & FE_OVERFLOW ? FLAG_OF : 0) | (raised & FE_DIVBYZERO ? FLAG_DZ : 0) |
			 (raised & FE_INVALID ? FLAG_NV : 0));
}

enum arith { ADD, SUB, MUL, DIV, SQRT, FMA };

static double host_d(enum arith op, unsigned rm, double a_in, double b_in, double c_in,
		     uint8_t *ret_flags)
{
	volatile double a = a_in, b = b_in, c = c_in, result = 0;

	fesetround(host_mode(rm));
	feclearexcept(FE_ALL_EXCEPT);
	switch (op) {
	case ADD: result = a + b; break;
	case SUB: result = a - b; break;
	case MUL: result = a * b; break;
	case DIV: result = a / b; break;
	case SQRT: result = sqrt(a); break;
	case FMA: result = fma(a, b, c); break;
	}
	*ret_flags = host_flags();
	fesetround(FE_TONEAREST);
	return result;
}

static float host_s(enum arith op, unsigned rm, float a_in, float b_in, float c_in,
		    uint8_t *ret_flags)
{
	volatile float a = a_in, b = b_in, c = c_in, result = 0;

	fesetround(host_mode(rm));
	feclearexcept(FE_ALL_EXCEPT);
	switch (op) {
	case ADD: result = a + b; break;
	case SUB: result = a - b; break;
	case MUL: result = a * b; break;
	case DIV: result = a / b; break;
	case SQRT: result = sqrtf(a); break;
	case FMA: result = fmaf(a, b, c); break;
	}
	*ret_flags = host_flags();
	fesetround(FE_TONEAREST);
	return result;
}

/* --- Ties to max magnitude (R2) ------------------------------------------------------------- */

/* Whether a op b (+ c) is exactly @middle. */
static bool is_exactly_d(enum arith op, double a, double b, double c, quad middle)
{
	volatile quad wide_a = a, wide_b = b, wide_c = c, exact = 0;

	feclearexcept(FE_ALL_EXCEPT);
	switch (op) {
	case ADD: exact = wide_a + wide_b; break;
	case SUB: exact = wide_a - wide_b; break;
	case MUL: exact = wide_a * wide_b; break;
	case DIV: exact = middle * wide_b; middle = a; break; /* 54 by 53 bits: exact */
	case SQRT: return false; /* the root of a number is never half way between two */
	case FMA: exact = wide_a * wide_b + wide_c; break;
	}
	return !fetestexcept(FE_INEXACT) && exact == middle;
}

static bool is_exactly_s(enum arith op, float a, float b, float c, double middle)
{
	volatile double wide_a = a, wide_b = b, wide_c = c, exact = 0;

	feclearexcept(FE_ALL_EXCEPT);
	switch (op) {
	case ADD: exact = wide_a + wide_b; break;
	case SUB: exact = wide_a - wide_b; break;
	case MUL: exact = wide_a * wide_b; break;
	case DIV: exact = middle * wide_b; middle = a; break;
	case SQRT: return false;
	case FMA: exact = wide_a * wide_b + wide_c; break;
	}
	return !fetestexcept(FE_INEXACT) && exact == middle;
}

static double arith_d(enum arith op, unsigned rm, double a, double b, double c, uint8_t *ret_flags)
{
	const double result = host_d(op, rm, a, b, c, ret_flags);
	uint8_t ignored;

	if (rm != RMM || !(*ret_flags & FLAG_NX) || (*ret_flags & FLAG_OF))
		return result;
	const double down = host_d(op, RDN, a, b, c, &ignored);
	const double up = host_d(op, RUP, a, b, c, &ignored);

	if (!isfinite(down) || !isfinite(up) ||
	    !is_exactly_d(op, a, b, c, ((quad)down + up) / 2))
		return result;
	return fabs(up) > fabs(down) ? up : down;
}

static float arith_s(enum arith op, unsigned rm, float a, float b, float c, uint8_t *ret_flags)
{
	const float result = host_s(op, rm, a, b, c, ret_flags);
	uint8_t ignored;

	if (rm != RMM || !(*ret_flags & FLAG_NX) || (*ret_flags & FLAG_OF))
		return result;
	const float down = host_s(op, RDN, a, b, c, &ignored);
	const float up = host_s(op, RUP, a, b, c, &ignored);

	if (!isfinite(down) || !isfinite(up) ||
	    !is_exactly_s(op, a, b, c, ((double)down + up) / 2))
		return result;
	return fabsf(up) > fabsf(down) ? up : down;
}

static void run_d(struct hart *h, unsigned rd, enum arith op, unsigned rm, uint64_t a, uint64_t b,
		  uint64_t c)
{
	uint8_t flags;
	const uint64_t result =
		bits_d(arith_d(op, rm, from_bits_d(a), from_bits_d(b), from_bits_d(c), &flags));

	/* Infinity times zero is invalid even if the addend is a quiet NaN; hosts differ. */
	if (op == FMA && ((a << 1 == 0 && b << 1 == UINT64_C(0xffe0000000000000)) ||
			  (b << 1 == 0 && a << 1 == UINT64_C(0xffe0000000000000))))
		flags |= FLAG_NV;
	h->fflags |= flags;
	h->f[rd] = is_nan_d(result) ? NAN_D : result;
}

static void run_s(struct hart *h, unsigned rd, enum arith op, unsigned rm, uint32_t a, uint32_t b,
		  uint32_t c)
{
	uint8_t flags;
	const uint32_t result =
		bits_s(arith_s(op, rm, from_bits_s(a), from_bits_s(b), from_bits_s(c), &flags));

	if (op == FMA && ((a << 1 == 0 && b << 1 == UINT32_C(0xff000000)) ||
			  (b << 1 == 0 && a << 1 == UINT32_C(0xff000000))))
		flags |= FLAG_NV;
	h->fflags |= flags;
	put_s(h, rd, is_nan_s(result) ? NAN_S : result);
}

/* --- Minimum, maximum, comparison, class ---------------------------------------------------- */

/* IEEE 754-2019 minimumNumber and maximumNumber: a NaN loses, -0 is less than +0. */
static uint64_t min_max_d(struct hart *h, uint64_t a, uint64_t b, bool max)
{
	if (is_signaling_d(a) || is_signaling_d(b))
		h->fflags |= FLAG_NV;
	if (is_nan_d(a))
		return is_nan_d(b) ? NAN_D : b;
	if (is_nan_d(b))
		return a;
	const double x = from_bits_d(a), y = from_bits_d(b);
	const bool less = x < y || (x == y && (a >> 63) > (b >> 63));

	return less != max ? a : b;
}

static uint32_t min_max_s(struct hart *h, uint32_t a, uint32_t b, bool max)
{
	if (is_signaling_s(a) || is_signaling_s(b))
		h->fflags |= FLAG_NV;
	if (is_nan_s(a))
		return is_nan_s(b) ? NAN_S : b;
	if (is_nan_s(b))
		return a;
	const float x = from_bits_s(a), y = from_bits_s(b);
	const bool less = x < y || (x == y && (a >> 31) > (b >> 31));

	return less != max ? a : b;
}

enum compare { FLE, FLT, FEQ };

/* feq is quiet, flt and fle signal for any NaN. */
static bool compare(struct hart *h, enum compare op, double a, double b, bool nan, bool signaling)
{
	if (nan) {
		if (op != FEQ || signaling)
			h->fflags |= FLAG_NV;
		return false;
	}
	return op == FLE ? a <= b : op == FLT ? a < b : a == b;
}

/* One bit: -inf, -normal, -subnormal, -0, +0, +subnormal, +normal, +inf, signaling, quiet NaN. */
static uint64_t classify(bool negative, bool nan, bool signaling, bool infinite, bool zero,
			 bool subnormal)
{
	if (nan)
		return signaling ? 1 << 8 : 1 << 9;
	if (infinite)
		return negative ? 1 << 0 : 1 << 7;
	if (zero)
		return negative ? 1 << 3 : 1 << 4;
	if (subnormal)
		return negative ? 1 << 2 : 1 << 5;
	return negative ? 1 << 1 : 1 << 6;
}

static uint64_t class_d(uint64_t bits)
{
	const uint64_t magnitude = bits & INT64_MAX;

	return classify(bits >> 63, is_nan_d(bits), is_signaling_d(bits),
			magnitude == UINT64_C(0x7ff0000000000000), magnitude == 0,
			magnitude < UINT64_C(0x0010000000000000));
}

static uint64_t class_s(uint32_t bits)
{
	const uint32_t magnitude = bits & INT32_MAX;

	return classify(bits >> 31, is_nan_s(bits), is_signaling_s(bits),
			magnitude == UINT32_C(0x7f800000), magnitude == 0,
			magnitude < UINT32_C(0x00800000));
}

/* --- Conversions ---------------------------------------------------------------------------- */

enum integer { W, WU, L, LU };

/* What is out of range gives the nearest end, NaN the upper one; both are invalid. */
static uint64_t saturate(struct hart *h, enum integer kind, bool low)
{
	static const uint64_t lowest[] = { (uint64_t)INT32_MIN, 0, (uint64_t)INT64_MIN, 0 };
	static const uint64_t highest[] = { INT32_MAX, UINT64_MAX /* sign-extended */, INT64_MAX,
					    UINT64_MAX };

	h->fflags |= FLAG_NV;
	return low ? lowest[kind] : highest[kind];
}

/* From a double, which holds every single exactly. Rounded to an integer first, then to its range. */
static uint64_t to_integer(struct hart *h, enum integer kind, unsigned rm, uint64_t bits)
{
	static const double below[] = { -0x1p31, 0, -0x1p63, 0 };	  /* the lowest that fits */
	static const double above[] = { 0x1p31, 0x1p32, 0x1p63, 0x1p64 }; /* the first that does not */
	volatile double value = from_bits_d(bits);
	volatile double rounded;

	if (is_nan_d(bits))
		return saturate(h, kind, false);
	fesetround(host_mode(rm));
	rounded = rm == RMM ? round(value) : nearbyint(value);
	fesetround(FE_TONEAREST);
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

static uint64_t integer_to_d(struct hart *h, enum integer kind, unsigned rm, uint64_t value)
{
	uint64_t magnitude;
	const bool negative = take_sign(kind, value, &magnitude);

	return (uint64_t)negative << 63 | from_magnitude(h, magnitude, negative, rm, 53, 1023);
}

static uint32_t integer_to_s(struct hart *h, enum integer kind, unsigned rm, uint64_t value)
{
	uint64_t magnitude;
	const bool negative = take_sign(kind, value, &magnitude);

	return (uint32_t)negative << 31 |
	       (uint32_t)from_magnitude(h, magnitude, negative, rm, 24, 127);
}

static float narrow(unsigned rm, double value_in, uint8_t *ret_flags)
{
	volatile double value = value_in;
	volatile float result;

	fesetround(host_mode(rm));
	feclearexcept(FE_ALL_EXCEPT);
	result = (float)value;
	*ret_flags = host_flags();
	fesetround(FE_TONEAREST);
	return result;
}

static uint32_t d_to_s(struct hart *h, unsigned rm, uint64_t bits)
{
	const double value = from_bits_d(bits);
	uint8_t flags, ignored;
	float result;

	if (is_nan_d(bits)) {
		h->fflags |= is_signaling_d(bits) ? FLAG_NV : 0;
		return NAN_S;
	}
	result = narrow(rm, value, &flags);
	if (rm == RMM && (flags & FLAG_NX) && !(flags & FLAG_OF)) {
		const float down = narrow(RDN, value, &ignored), up = narrow(RUP, value, &ignored);

		if (isfinite(down) && isfinite(up) && ((double)down + up) / 2 == value)
			result = fabsf(up) > fabsf(down) ? up : down;
	}
	h->fflags |= flags;
	return bits_s(result);
}

static uint64_t s_to_d(struct hart *h, uint32_t bits)
{
	if (is_nan_s(bits)) {
		h->fflags |= is_signaling_s(bits) ? FLAG_NV : 0;
		return NAN_D;
	}
	return bits_d((double)from_bits_s(bits)); /* exact */
}

/* --- Instructions --------------------------------------------------------------------------- */

struct fields {
	unsigned rd, rs1, rs2, rs3, funct5, rm; /* rm as it stands in the instruction */
	bool d;				       /* double, else single */
};

/* The rounding mode to use, or false if it is reserved. */
static bool rounding(const struct hart *h, const struct fields *f, unsigned *ret_rm)
{
	*ret_rm = f->rm == RM_DYN ? h->frm : f->rm;
	return *ret_rm <= RMM;
}

static bool do_fma(struct hart *h, unsigned opcode, const struct fields *f)
{
	const bool negate_product = opcode == OP_NMSUB || opcode == OP_NMADD;
	const bool negate_addend = opcode == OP_MSUB || opcode == OP_NMADD;
	unsigned rm;

	if (!rounding(h, f, &rm))
		return false;
	if (f->d)
		run_d(h, f->rd, FMA, rm, h->f[f->rs1] ^ (uint64_t)negate_product << 63,
		      h->f[f->rs2], h->f[f->rs3] ^ (uint64_t)negate_addend << 63);
	else
		run_s(h, f->rd, FMA, rm, get_s(h, f->rs1) ^ (uint32_t)negate_product << 31,
		      get_s(h, f->rs2), get_s(h, f->rs3) ^ (uint32_t)negate_addend << 31);
	return true;
}

static bool do_arith(struct hart *h, const struct fields *f, enum arith op)
{
	unsigned rm;

	if (!rounding(h, f, &rm) || (op == SQRT && f->rs2 != 0))
		return false;
	if (f->d)
		run_d(h, f->rd, op, rm, h->f[f->rs1], h->f[f->rs2], 0);
	else
		run_s(h, f->rd, op, rm, get_s(h, f->rs1), get_s(h, f->rs2), 0);
	return true;
}

/* fsgnj, fsgnjn, fsgnjx. */
static bool do_sign(struct hart *h, const struct fields *f)
{
	const uint64_t top = f->d ? UINT64_C(1) << 63 : UINT64_C(1) << 31;
	const uint64_t a = f->d ? h->f[f->rs1] : get_s(h, f->rs1);
	const uint64_t b = f->d ? h->f[f->rs2] : get_s(h, f->rs2);
	const uint64_t sign = f->rm == 0 ? b : f->rm == 1 ? ~b : a ^ b;
	const uint64_t result = (a & ~top) | (sign & top);

	if (f->rm > 2)
		return false;
	h->f[f->rd] = f->d ? result : BOX | result;
	return true;
}

static bool do_min_max(struct hart *h, const struct fields *f)
{
	if (f->rm > 1)
		return false;
	if (f->d)
		h->f[f->rd] = min_max_d(h, h->f[f->rs1], h->f[f->rs2], f->rm);
	else
		put_s(h, f->rd, min_max_s(h, get_s(h, f->rs1), get_s(h, f->rs2), f->rm));
	return true;
}

static bool do_compare(struct hart *h, const struct fields *f)
{
	if (f->rm > 2)
		return false;
	if (f->d) {
		const uint64_t a = h->f[f->rs1], b = h->f[f->rs2];

		put_x(h, f->rd,
		      compare(h, f->rm, from_bits_d(a), from_bits_d(b), is_nan_d(a) || is_nan_d(b),
			      is_signaling_d(a) || is_signaling_d(b)));
	} else {
		const uint32_t a = get_s(h, f->rs1), b = get_s(h, f->rs2);

		put_x(h, f->rd,
		      compare(h, f->rm, (double)from_bits_s(a), (double)from_bits_s(b),
			      is_nan_s(a) || is_nan_s(b), is_signaling_s(a) || is_signaling_s(b)));
	}
	return true;
}

static bool do_to_integer(struct hart *h, const struct fields *f)
{
	const uint8_t before = h->fflags;
	unsigned rm;
	uint64_t value;

	if (!rounding(h, f, &rm) || f->rs2 > LU)
		return false;
	value = f->d ? h->f[f->rs1] : s_to_d(h, get_s(h, f->rs1));
	h->fflags = before; /* a signaling NaN is invalid below anyway */
	put_x(h, f->rd, to_integer(h, f->rs2, rm, value));
	return true;
}

static bool do_from_integer(struct hart *h, const struct fields *f)
{
	unsigned rm;

	if (!rounding(h, f, &rm) || f->rs2 > LU)
		return false;
	if (f->d)
		h->f[f->rd] = integer_to_d(h, f->rs2, rm, h->x[f->rs1]);
	else
		put_s(h, f->rd, integer_to_s(h, f->rs2, rm, h->x[f->rs1]));
	return true;
}

static bool do_between_formats(struct hart *h, const struct fields *f)
{
	unsigned rm;

	if (!rounding(h, f, &rm) || !h->isa.d || f->rs2 != (f->d ? 0u : 1u))
		return false;
	if (f->d)
		h->f[f->rd] = s_to_d(h, get_s(h, f->rs1));
	else
		put_s(h, f->rd, d_to_s(h, rm, h->f[f->rs1]));
	return true;
}

static bool do_class(struct hart *h, const struct fields *f)
{
	if (f->rm != 1 || f->rs2 != 0)
		return false;
	put_x(h, f->rd, f->d ? class_d(h->f[f->rs1]) : class_s(get_s(h, f->rs1)));
	return true;
}

bool fp_execute(struct hart *h, uint32_t insn)
{
	const unsigned opcode = insn & 0x7f;
	const unsigned format = insn >> 25 & 3;
	const struct fields f = {
		.rd = insn >> 7 & 31,	.rs1 = insn >> 15 & 31, .rs2 = insn >> 20 & 31,
		.rs3 = insn >> 27,	.funct5 = insn >> 27,	.rm = insn >> 12 & 7,
		.d = format == 1,
	};

	if (format > 1 || (f.d && !h->isa.d))
		return false;
	if (opcode == OP_MADD || opcode == OP_MSUB || opcode == OP_NMSUB || opcode == OP_NMADD)
		return do_fma(h, opcode, &f);
	switch (f.funct5) {
	case 0x00: return do_arith(h, &f, ADD);
	case 0x01: return do_arith(h, &f, SUB);
	case 0x02: return do_arith(h, &f, MUL);
	case 0x03: return do_arith(h, &f, DIV);
	case 0x04: return do_sign(h, &f);
	case 0x05: return do_min_max(h, &f);
	case 0x08: return do_between_formats(h, &f);
	case 0x0b: return do_arith(h, &f, SQRT);
	case 0x14: return do_compare(h, &f);
	case 0x18: return do_to_integer(h, &f);
	case 0x1a: return do_from_integer(h, &f);
	case 0x1c: return do_class(h, &f);
	default: return false;
	}
}
