/* SPDX-License-Identifier: MIT */
/*
 * One format of fp.c, which includes this once for each, having said what it is:
 *
 *     NAME(name)   the name of a function of the format
 *     MATH(name)   that of a function of <math.h>
 *     FLOAT, BITS  the host's type, and the unsigned integer of its size
 *     WIDE         a type with more than twice the bits (fp.c R2)
 *     DIGITS, BIAS significant bits, and of the exponent
 */
#define SIGN	   ((BITS)1 << (8 * sizeof(BITS) - 1))
#define INFINITE   ((BITS)(2 * BIAS + 1) << (DIGITS - 1))
#define MIN_NORMAL ((BITS)1 << (DIGITS - 1))
#define QUIET	   ((BITS)1 << (DIGITS - 2))
#define CANONICAL  (INFINITE | QUIET)
#define BOX	   (~(uint64_t)(BITS)-1)
#define OF(value)  NAME(float_of)(value)

/* --- Bits ----------------------------------------------------------------------------------- */

static inline BITS NAME(bits_of)(FLOAT value)
{
	BITS bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static inline FLOAT NAME(float_of)(BITS bits)
{
	FLOAT value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline bool NAME(is_nan)(BITS bits)
{
	return (bits & ~SIGN) > INFINITE;
}

static inline bool NAME(is_signaling)(BITS bits)
{
	return NAME(is_nan)(bits) && !(bits & QUIET);
}

/* What is narrower than a register and not boxed reads as the canonical NaN. */
static inline BITS NAME(get)(const struct hart *h, unsigned reg)
{
	return (h->f[reg] & BOX) == BOX ? (BITS)h->f[reg] : CANONICAL;
}

static inline void NAME(put)(struct hart *h, unsigned reg, BITS bits)
{
	h->f[reg] = BOX | bits;
}

/* --- Arithmetic ----------------------------------------------------------------------------- */

static FLOAT NAME(host)(enum arith op, unsigned rm, FLOAT a_in, FLOAT b_in, FLOAT c_in,
			uint8_t *ret_flags)
{
	volatile FLOAT a = a_in, b = b_in, c = c_in, result = 0;

	host_enter(rm);
	switch (op) {
	case ADD: result = a + b; break;
	case SUB: result = a - b; break;
	case MUL: result = a * b; break;
	case DIV: result = a / b; break;
	case SQRT: result = MATH(sqrt)(a); break;
	case FMA: result = MATH(fma)(a, b, c); break;
	}
	*ret_flags = host_leave(rm);
	return result;
}

/* R2: whether a op b (+ c) is exactly @middle. */
static bool NAME(is_exactly)(enum arith op, FLOAT a, FLOAT b, FLOAT c, WIDE middle)
{
	volatile WIDE wide_a = a, wide_b = b, wide_c = c, exact = 0;

	feclearexcept(FE_ALL_EXCEPT);
	switch (op) {
	case ADD: exact = wide_a + wide_b; break;
	case SUB: exact = wide_a - wide_b; break;
	case MUL: exact = wide_a * wide_b; break;
	case DIV: exact = middle * wide_b; middle = a; break; /* DIGITS + 1 by DIGITS bits: exact */
	case SQRT: return false; /* the root of a number is never half way between two */
	case FMA: exact = wide_a * wide_b + wide_c; break;
	}
	return !fetestexcept(FE_INEXACT) && exact == middle;
}

/*
 * R3: the smallest normal number came out, inexact. All that goes in is small then, so that it can
 * be made 2^64 times as large without a rounding, and a result that is not near the border of the
 * exponents tells.
 */
static bool NAME(was_tiny)(enum arith op, unsigned rm, FLOAT a, FLOAT b, FLOAT c)
{
	const FLOAT scale = (FLOAT)0x1p64;
	uint8_t ignored;

	if (op != DIV && MATH(fabs)(b) < MATH(fabs)(a))
		b *= scale;
	else
		a *= scale;
	return MATH(fabs)(NAME(host)(op, rm, a, b, c * scale, &ignored)) < OF(MIN_NORMAL) * scale;
}

static FLOAT NAME(arith)(enum arith op, unsigned rm, FLOAT a, FLOAT b, FLOAT c, uint8_t *ret_flags)
{
	const FLOAT result = NAME(host)(op, rm, a, b, c, ret_flags);
	uint8_t ignored;

	if ((*ret_flags & FLAG_UF) && MATH(fabs)(result) == OF(MIN_NORMAL) &&
	    !NAME(was_tiny)(op, rm, a, b, c))
		*ret_flags &= ~FLAG_UF;
	if (rm != RMM || !(*ret_flags & FLAG_NX) || (*ret_flags & FLAG_OF))
		return result;
	const FLOAT down = NAME(host)(op, RDN, a, b, c, &ignored);
	const FLOAT up = NAME(host)(op, RUP, a, b, c, &ignored);

	if (!isfinite(down) || !isfinite(up) ||
	    !NAME(is_exactly)(op, a, b, c, ((WIDE)down + up) / 2))
		return result;
	return MATH(fabs)(up) > MATH(fabs)(down) ? up : down;
}

static inline bool NAME(is_zero_by_infinity)(BITS a, BITS b)
{
	return (a & ~SIGN) == 0 && (b & ~SIGN) == INFINITE;
}

static void NAME(run)(struct hart *h, unsigned rd, enum arith op, unsigned rm, BITS a, BITS b,
		      BITS c)
{
	uint8_t flags;
	const BITS result = NAME(bits_of)(NAME(arith)(op, rm, OF(a), OF(b), OF(c), &flags));

	/* Infinity times zero is invalid even if the addend is a quiet NaN; hosts differ. */
	if (op == FMA && (NAME(is_zero_by_infinity)(a, b) || NAME(is_zero_by_infinity)(b, a)))
		flags |= FLAG_NV;
	h->fflags |= flags;
	NAME(put)(h, rd, NAME(is_nan)(result) ? CANONICAL : result);
}

/* --- Instructions: false, and nothing was done, if they are reserved ------------------------- */

static bool NAME(do_arith)(struct hart *h, const struct fields *f, enum arith op)
{
	unsigned rm;

	if (!rounding(h, f, &rm) || (op == SQRT && f->rs2 != 0))
		return false;
	NAME(run)(h, f->rd, op, rm, NAME(get)(h, f->rs1), NAME(get)(h, f->rs2), 0);
	return true;
}

static bool NAME(do_fma)(struct hart *h, unsigned opcode, const struct fields *f)
{
	const bool negate_product = opcode == OP_NMSUB || opcode == OP_NMADD;
	const bool negate_addend = opcode == OP_MSUB || opcode == OP_NMADD;
	unsigned rm;

	if (!rounding(h, f, &rm))
		return false;
	NAME(run)(h, f->rd, FMA, rm, NAME(get)(h, f->rs1) ^ (negate_product ? SIGN : 0),
		  NAME(get)(h, f->rs2), NAME(get)(h, f->rs3) ^ (negate_addend ? SIGN : 0));
	return true;
}

/* fsgnj, fsgnjn, fsgnjx. */
static bool NAME(do_sign)(struct hart *h, const struct fields *f)
{
	const BITS a = NAME(get)(h, f->rs1), b = NAME(get)(h, f->rs2);
	const BITS sign = f->rm == 0 ? b : f->rm == 1 ? ~b : a ^ b;

	if (f->rm > 2)
		return false;
	NAME(put)(h, f->rd, (a & ~SIGN) | (sign & SIGN));
	return true;
}

/* IEEE 754-2019 minimumNumber and maximumNumber: a NaN loses, -0 is less than +0. */
static BITS NAME(min_max)(BITS a, BITS b, bool max)
{
	if (NAME(is_nan)(a))
		return NAME(is_nan)(b) ? CANONICAL : b;
	if (NAME(is_nan)(b))
		return a;
	const FLOAT x = OF(a), y = OF(b);
	const bool less = x < y || (x == y && (a & SIGN) > (b & SIGN));

	return less != max ? a : b;
}

static bool NAME(do_min_max)(struct hart *h, const struct fields *f)
{
	const BITS a = NAME(get)(h, f->rs1), b = NAME(get)(h, f->rs2);

	if (f->rm > 1)
		return false;
	if (NAME(is_signaling)(a) || NAME(is_signaling)(b))
		h->fflags |= FLAG_NV;
	NAME(put)(h, f->rd, NAME(min_max)(a, b, f->rm));
	return true;
}

/* feq is quiet, flt and fle signal for any NaN. */
static bool NAME(do_compare)(struct hart *h, const struct fields *f)
{
	const BITS a = NAME(get)(h, f->rs1), b = NAME(get)(h, f->rs2);
	const FLOAT x = OF(a), y = OF(b);

	if (f->rm > FEQ)
		return false;
	if (NAME(is_nan)(a) || NAME(is_nan)(b)) {
		if (f->rm != FEQ || NAME(is_signaling)(a) || NAME(is_signaling)(b))
			h->fflags |= FLAG_NV;
		put_x(h, f->rd, false);
	} else {
		put_x(h, f->rd, f->rm == FLE ? x <= y : f->rm == FLT ? x < y : x == y);
	}
	return true;
}

/* One bit: -inf, -normal, -subnormal, -0, +0, +subnormal, +normal, +inf, signaling, quiet NaN. */
static bool NAME(do_class)(struct hart *h, const struct fields *f)
{
	const BITS bits = NAME(get)(h, f->rs1), magnitude = bits & ~SIGN;
	const unsigned distance = magnitude == INFINITE	 ? 3 :
				  magnitude >= MIN_NORMAL ? 2 :
				  magnitude != 0	 ? 1 :
							   0;

	if (f->rm != 1 || f->rs2 != 0)
		return false;
	if (NAME(is_nan)(bits))
		put_x(h, f->rd, NAME(is_signaling)(bits) ? 1 << 8 : 1 << 9);
	else
		put_x(h, f->rd, UINT64_C(1) << (bits & SIGN ? 3 - distance : 4 + distance));
	return true;
}

static bool NAME(do_to_integer)(struct hart *h, const struct fields *f)
{
	const BITS bits = NAME(get)(h, f->rs1);
	unsigned rm;

	if (!rounding(h, f, &rm) || f->rs2 > LU)
		return false;
	put_x(h, f->rd, NAME(is_nan)(bits) ? saturate(h, f->rs2, false) :
					     to_integer(h, f->rs2, rm, (double)OF(bits)));
	return true;
}

static bool NAME(do_from_integer)(struct hart *h, const struct fields *f)
{
	uint64_t magnitude;
	bool negative;
	unsigned rm;

	if (!rounding(h, f, &rm) || f->rs2 > LU)
		return false;
	negative = take_sign(f->rs2, h->x[f->rs1], &magnitude);
	NAME(put)(h, f->rd, (negative ? SIGN : 0) |
			    (BITS)from_magnitude(h, magnitude, negative, rm, DIGITS, BIAS));
	return true;
}

/* All but the conversions between formats. */
static bool NAME(execute)(struct hart *h, unsigned opcode, const struct fields *f)
{
	if (opcode != OP_FP)
		return NAME(do_fma)(h, opcode, f);
	switch (f->funct5) {
	case 0x00: return NAME(do_arith)(h, f, ADD);
	case 0x01: return NAME(do_arith)(h, f, SUB);
	case 0x02: return NAME(do_arith)(h, f, MUL);
	case 0x03: return NAME(do_arith)(h, f, DIV);
	case 0x04: return NAME(do_sign)(h, f);
	case 0x05: return NAME(do_min_max)(h, f);
	case 0x0b: return NAME(do_arith)(h, f, SQRT);
	case 0x14: return NAME(do_compare)(h, f);
	case 0x18: return NAME(do_to_integer)(h, f);
	case 0x1a: return NAME(do_from_integer)(h, f);
	case 0x1c: return NAME(do_class)(h, f);
	default: return false;
	}
}

#undef NAME
#undef MATH
#undef FLOAT
#undef BITS
#undef WIDE
#undef DIGITS
#undef BIAS
#undef SIGN
#undef INFINITE
#undef MIN_NORMAL
#undef QUIET
#undef CANONICAL
#undef BOX
#undef OF
