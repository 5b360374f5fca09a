/* SPDX-License-Identifier: MIT */
/*
 * Values of properties as text: what a command line says, and what introspection shows.
 *
 * R1. What fh_property_format() writes, fh_property_parse() reads back to the same value.
 * R2. A number is decimal, or hexadecimal after 0x; a leading zero means nothing. Only sizes take a
 *     suffix. No white space, no plus.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "object/property.h"

static const char size_suffixes[] = "KMGTPE";

const char *fh_property_kind_name(enum fh_property_kind kind)
{
	static const char *const names[] = {
		[FH_PROPERTY_BOOL] = "bool", [FH_PROPERTY_U8] = "u8",
		[FH_PROPERTY_U16] = "u16",   [FH_PROPERTY_U32] = "u32",
		[FH_PROPERTY_U64] = "u64",   [FH_PROPERTY_I8] = "i8",
		[FH_PROPERTY_I16] = "i16",   [FH_PROPERTY_I32] = "i32",
		[FH_PROPERTY_I64] = "i64",   [FH_PROPERTY_SIZE] = "size",
		[FH_PROPERTY_STRING] = "string", [FH_PROPERTY_ENUM] = "enum",
		[FH_PROPERTY_LINK] = "link", [FH_PROPERTY_CHILD] = "child",
		[FH_PROPERTY_ALIAS] = "alias",
	};

	return (size_t)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}

struct fh_range_of_kind fh_property_range(enum fh_property_kind kind)
{
	switch (kind) {
	case FH_PROPERTY_U8: return (struct fh_range_of_kind){ false, 0, UINT8_MAX };
	case FH_PROPERTY_U16: return (struct fh_range_of_kind){ false, 0, UINT16_MAX };
	case FH_PROPERTY_U32: return (struct fh_range_of_kind){ false, 0, UINT32_MAX };
	case FH_PROPERTY_U64:
	case FH_PROPERTY_SIZE: return (struct fh_range_of_kind){ false, 0, UINT64_MAX };
	case FH_PROPERTY_I8: return (struct fh_range_of_kind){ true, INT8_MIN, INT8_MAX };
	case FH_PROPERTY_I16: return (struct fh_range_of_kind){ true, INT16_MIN, INT16_MAX };
	case FH_PROPERTY_I32: return (struct fh_range_of_kind){ true, INT32_MIN, INT32_MAX };
	case FH_PROPERTY_I64: return (struct fh_range_of_kind){ true, INT64_MIN, INT64_MAX };
	case FH_PROPERTY_BOOL:
	case FH_PROPERTY_STRING:
	case FH_PROPERTY_ENUM:
	case FH_PROPERTY_LINK:
	case FH_PROPERTY_CHILD:
	case FH_PROPERTY_ALIAS: break;
	}
	fh_unreachable();
}

bool fh_property_kind_range(enum fh_property_kind kind, int64_t *ret_min, uint64_t *ret_max)
{
	struct fh_range_of_kind range;

	if ((unsigned)kind > FH_PROPERTY_ALIAS || !(FH_KINDS_INTEGER >> kind & 1))
		return false;
	range = fh_property_range(kind);
	*ret_min = range.min;
	*ret_max = range.max;
	return true;
}

int fh_property_enum_index(const struct fh_property *property, const char *name)
{
	for (int i = 0; property->enum_names[i]; i++)
		if (strcmp(property->enum_names[i], name) == 0)
			return i;
	return -1;
}

const char *fh_property_enum_name(const struct fh_property *property, int64_t index)
{
	for (int i = 0; property->enum_names[i]; i++)
		if (i == index)
			return property->enum_names[i];
	return NULL;
}

/* --- From text ------------------------------------------------------------------------------ */

static enum fh_code malformed(const struct fh_property *property, const char *text,
			      const char *wanted, struct fh_error *err)
{
	return fh_error_set(err, FH_EFORMAT, "property '%s': '%s' is not %s", property->name, text,
			    wanted);
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* The shift that a suffix of a size stands for, or -1. */
static int suffix_shift(char c)
{
	for (int i = 0; size_suffixes[i]; i++)
		if (c == size_suffixes[i] || c == size_suffixes[i] + ('a' - 'A'))
			return 10 * (i + 1);
	return -1;
}

/*
 * FH_OK; FH_EFORMAT; or FH_ERANGE where the text is a number, but of more than 64 bits. The sign is
 * the caller's business.
 */
static enum fh_code parse_magnitude(const char *text, bool is_size, uint64_t *ret_value)
{
	const bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const unsigned base = hex ? 16 : 10;
	bool overflow = false;
	uint64_t value = 0;
	int shift = 0;

	if (hex)
		text += 2;
	if (digit_value(*text) >= (int)base)
		return FH_EFORMAT;
	for (; digit_value(*text) < (int)base; text++) {
		overflow |= __builtin_mul_overflow(value, base, &value);
		overflow |= __builtin_add_overflow(value, (unsigned)digit_value(*text), &value);
	}
	if (is_size && *text) {
		shift = suffix_shift(*text++);
		if (shift < 0)
			return FH_EFORMAT;
	}
	if (*text)
		return FH_EFORMAT;
	if (overflow || value > UINT64_MAX >> shift)
		return FH_ERANGE;
	*ret_value = value << shift;
	return FH_OK;
}

static enum fh_code out_of_range(const struct fh_property *property, const char *text,
				 struct fh_error *err)
{
	const struct fh_range_of_kind range = fh_property_range(property->kind);

	return fh_error_set(err, FH_ERANGE, "property '%s': %s is not in %" PRId64 "..%" PRIu64,
			    property->name, text, range.min, range.max);
}

static enum fh_code parse_integer(const struct fh_property *property, const char *text,
				  struct fh_value *ret_value, struct fh_error *err)
{
	const struct fh_range_of_kind range = fh_property_range(property->kind);
	const bool is_size = property->kind == FH_PROPERTY_SIZE;
	const bool negative = text[0] == '-';
	uint64_t magnitude = 0;
	const enum fh_code code = parse_magnitude(text + negative, is_size, &magnitude);
	uint64_t limit = range.max;

	if (code == FH_EFORMAT)
		return malformed(property, text, is_size ? "a size" : "a number", err);
	/* -(min + 1) + 1: the magnitude of min itself may not be an int64_t. */
	if (negative)
		limit = range.min < 0 ? (uint64_t)-(range.min + 1) + 1 : 0;
	if (code != FH_OK || magnitude > limit)
		return out_of_range(property, text, err);
	if (range.is_signed)
		ret_value->i = (int64_t)(negative ? 0 - magnitude : magnitude);
	else
		ret_value->u = magnitude;
	return FH_OK;
}

static enum fh_code parse_bool(const struct fh_property *property, const char *text,
			       struct fh_value *ret_value, struct fh_error *err)
{
	static const char *const words[][2] = {
		{ "off", "on" }, { "false", "true" }, { "no", "yes" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		for (int value = 0; value < 2; value++) {
			if (strcmp(text, words[i][value]) == 0) {
				ret_value->boolean = value != 0;
				return FH_OK;
			}
		}
	}
	return malformed(property, text, "on or off", err);
}

static enum fh_code parse_enum(const struct fh_property *property, const char *text,
			       struct fh_value *ret_value, struct fh_error *err)
{
	char names[160] = "";
	size_t used = 0;
	const int index = fh_property_enum_index(property, text);

	if (index >= 0) {
		ret_value->i = index;
		return FH_OK;
	}
	for (int i = 0; property->enum_names[i] && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
					 property->enum_names[i]);
	return fh_error_set(err, FH_ERANGE, "property '%s': '%s' is none of: %s", property->name,
			    text, names);
}

enum fh_code fh_property_parse(const struct fh_property *property, const char *text,
			       struct fh_value *ret_value, struct fh_error *err)
{
	ret_value->kind = property->kind;
	switch (property->kind) {
	case FH_PROPERTY_BOOL: return parse_bool(property, text, ret_value, err);
	case FH_PROPERTY_ENUM: return parse_enum(property, text, ret_value, err);
	case FH_PROPERTY_STRING: ret_value->string = text; return FH_OK;
	case FH_PROPERTY_LINK:
	case FH_PROPERTY_CHILD:
	case FH_PROPERTY_ALIAS: fh_unreachable();
	default: return parse_integer(property, text, ret_value, err);
	}
}

/* --- To text -------------------------------------------------------------------------------- */

/* With the greatest suffix that divides it. */
static char *format_size(uint64_t size)
{
	int suffix = -1;

	while (size && size % 1024 == 0 && size_suffixes[suffix + 1]) {
		size /= 1024;
		suffix++;
	}
	if (suffix < 0)
		return fh_printf("%" PRIu64, size);
	return fh_printf("%" PRIu64 "%c", size, size_suffixes[suffix]);
}

char *fh_property_format(const struct fh_property *property, const struct fh_value *value)
{
	const char *name;

	switch (property->kind) {
	case FH_PROPERTY_BOOL: return fh_strdup(value->boolean ? "on" : "off");
	case FH_PROPERTY_SIZE: return format_size(value->u);
	case FH_PROPERTY_ENUM:
		name = fh_property_enum_name(property, value->i);
		/* Only the type's own code can have stored another number: show it as it is. */
		return name ? fh_strdup(name) : fh_printf("%" PRId64, value->i);
	case FH_PROPERTY_STRING:
	case FH_PROPERTY_LINK:
	case FH_PROPERTY_CHILD:
	case FH_PROPERTY_ALIAS: fh_unreachable();
	default: break;
	}
	if (fh_property_range(property->kind).is_signed)
		return fh_printf("%" PRId64, value->i);
	return fh_printf("%" PRIu64, value->u);
}
