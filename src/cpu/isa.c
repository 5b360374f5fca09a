/* SPDX-License-Identifier: MIT */
/*
 * What a hart can do: the option -cpu, and the strings that the device tree says it with.
 *
 * R1. One table holds all that can be switched. What it does not name is always there.
 */
#include "cpu/cpu.h"

#include <string.h>

struct feature {
	const char *name;
	const char *text;
	size_t offset; /* of a bool in struct cpu_isa */
};

#define FEATURE(field, text) {#field, text, offsetof(struct cpu_isa, field)}

static const struct feature features[] = {
	FEATURE(f, "single-precision floating point"),
	FEATURE(d, "double-precision floating point (needs f)"),
	FEATURE(c, "compressed instructions"),
	FEATURE(zba, "address generation"),
	FEATURE(zbb, "basic bit manipulation"),
	FEATURE(zbs, "single-bit instructions"),
	FEATURE(zicbom, "cache-block management"),
	FEATURE(zicboz, "cache-block zero"),
	FEATURE(sstc, "supervisor timer compare"),
	FEATURE(svinval, "fine-grained TLB invalidation"),
	FEATURE(sv48, "48-bit virtual addresses"),
	FEATURE(sv57, "57-bit virtual addresses (needs sv48)"),
};

#define FEATURE_COUNT (sizeof(features) / sizeof(features[0]))

static bool *feature_at(struct cpu_isa *isa, const struct feature *feature)
{
	return (bool *)((char *)isa + feature->offset);
}

struct cpu_isa cpu_isa_default(void)
{
	struct cpu_isa isa = {.svade = true, .pmp_regions = 16};

	for (size_t i = 0; i < FEATURE_COUNT; i++)
		*feature_at(&isa, &features[i]) = true;
	return isa;
}

static bool word_is(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* "on" or "off". */
static bool parse_switch(const char *text, size_t length, bool *ret)
{
	const bool on = word_is(text, length, "on") || word_is(text, length, "true");

	if (!on && !word_is(text, length, "off") && !word_is(text, length, "false"))
		return false;
	*ret = on;
	return true;
}

/* "name=value" */
static bool parse_setting(const char *text, size_t length, struct cpu_isa *isa,
			  struct fh_error *err)
{
	const char *const equals = memchr(text, '=', length);
	const size_t name = equals ? (size_t)(equals - text) : length;
	const char *const value = equals ? equals + 1 : "on";
	const size_t value_length = equals ? length - name - 1 : 2;
	bool on;

	if (!parse_switch(value, value_length, &on)) {
		fh_error_set(err, FH_EINVAL, "-cpu: '%.*s': not 'on' or 'off'", (int)length, text);
		return false;
	}
	if (word_is(text, name, "pmp")) {
		isa->pmp_regions = on ? 16 : 0;
		return true;
	}
	for (size_t i = 0; i < FEATURE_COUNT; i++) {
		if (word_is(text, name, features[i].name)) {
			*feature_at(isa, &features[i]) = on;
			return true;
		}
	}
	fh_error_set(err, FH_ENOENT, "-cpu: nothing is called '%.*s'; see -cpu help", (int)name,
		     text);
	return false;
}

static bool is_consistent(const struct cpu_isa *isa, struct fh_error *err)
{
	if (isa->d && !isa->f) {
		fh_error_set(err, FH_EINVAL, "-cpu: d needs f: say d=off as well");
		return false;
	}
	if (isa->sv57 && !isa->sv48) {
		fh_error_set(err, FH_EINVAL, "-cpu: sv57 needs sv48: say sv57=off as well");
		return false;
	}
	return true;
}

bool cpu_isa_parse(const char *text, struct cpu_isa *ret, struct fh_error *err)
{
	struct cpu_isa isa = cpu_isa_default();
	size_t length = strcspn(text, ",");

	if (!word_is(text, length, "rv64") && !word_is(text, length, "max")) {
		fh_error_set(err, FH_ENOENT, "-cpu: no model '%.*s': there is rv64; see -cpu help",
			     (int)length, text);
		return false;
	}
	for (text += length; *text == ','; text += length) {
		text++;
		length = strcspn(text, ",");
		if (!parse_setting(text, length, &isa, err))
			return false;
	}
	if (!is_consistent(&isa, err))
		return false;
	*ret = isa;
	return true;
}

void cpu_isa_help(FILE *out)
{
	fprintf(out, "Models:\n  rv64       RV64GC, with all that follows\n"
		     "Switches (-cpu rv64,NAME=on|off,...), all on unless switched off:\n");
	for (size_t i = 0; i < FEATURE_COUNT; i++)
		fprintf(out, "  %-10s %s\n", features[i].name, features[i].text);
	fprintf(out, "  %-10s %s\n", "pmp", "physical memory protection, 16 entries");
}

/*
 * Single letters in canonical order, then Z extensions by the category that their second letter
 * names, then S ones (unprivileged specification, "ISA Extension Naming Conventions").
 */
void cpu_isa_string(const struct cpu_isa *isa, char *ret)
{
	snprintf(ret, CPU_ISA_STRING_SIZE,
		 "rv64ima%s%s%s%s%s_zicntr_zicsr_zifencei%s%s%s%s_svade%s",
		 isa->f ? "f" : "", isa->d ? "d" : "", isa->c ? "c" : "",
		 isa->zicbom ? "_zicbom" : "", isa->zicboz ? "_zicboz" : "",
		 isa->zba ? "_zba" : "", isa->zbb ? "_zbb" : "", isa->zbs ? "_zbs" : "",
		 isa->sstc ? "_sstc" : "", isa->svinval ? "_svinval" : "");
}

const char *cpu_mmu_type(const struct cpu_isa *isa)
{
	return isa->sv57 ? "riscv,sv57" : isa->sv48 ? "riscv,sv48" : "riscv,sv39";
}
