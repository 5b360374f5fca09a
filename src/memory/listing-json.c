/* SPDX-License-Identifier: MIT */
/*
 * A listing as JSON, in the format that docs/memory-map.md describes. Written piece by piece, a
 * region a line, because the whole may be large.
 *
 * R1. Nothing that decides what a space shows is left out: who builds the same regions and puts
 *     subregions together from the last to the first has the same views.
 * R2. The same listing is always the same bytes, and these hold valid UTF-8 whatever names hold.
 */
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "memory/listing.h"

/* --- Texts ---------------------------------------------------------------------------------- */

static void put_ascii(unsigned char c, FILE *out)
{
	static const char shorts[] = "\bb\ff\nn\rr\tt\"\"\\\\";

	for (const char *s = shorts; *s; s += 2) {
		if (*s == (char)c) {
			fprintf(out, "\\%c", s[1]);
			return;
		}
	}
	if (c < 0x20)
		fprintf(out, "\\u%04X", c);
	else
		putc(c, out);
}

static void put_string(const char *text, FILE *out)
{
	putc('"', out);
	while (*text) {
		const unsigned length = fh_text_character(text);

		if (length == 0)
			fputs("\xef\xbf\xbd", out); /* U+FFFD */
		else if (length == 1)
			put_ascii((unsigned char)*text, out);
		else
			fwrite(text, 1, length, out);
		text += length ? length : 1;
	}
	putc('"', out);
}

static void put_hex(const char *key, uint64_t value, FILE *out)
{
	fprintf(out, ",\"%s\":\"0x%" PRIx64 "\"", key, value);
}

static void put_number(uint32_t number, FILE *out)
{
	if (number == FH_LISTED_NONE)
		fputs("null", out);
	else
		fprintf(out, "%" PRIu32, number);
}

static void put_owner(const struct fh_listed_owner *owner, FILE *out)
{
	if (!owner->path)
		return;
	fprintf(out, ",\"%s\":{\"path\":", owner->is_parent ? "parent" : "owner");
	put_string(owner->path, out);
	fputs(owner->is_device ? ",\"device\":true}" : "}", out);
}

/* --- Regions -------------------------------------------------------------------------------- */

static void put_switches(const struct fh_listed_region *region, FILE *out)
{
	if (region->priority != 0)
		fprintf(out, ",\"priority\":%" PRId32, region->priority);
	if (!region->enabled)
		fputs(",\"enabled\":false", out);
	if (!region->shown)
		fputs(",\"shown\":false", out);
	if (region->readonly)
		fputs(",\"readonly\":true", out);
	if (region->nonvolatile)
		fputs(",\"nonvolatile\":true", out);
	if (region->unmergeable)
		fputs(",\"unmergeable\":true", out);
	if (strcmp(region->kind, "romd") == 0 && !region->rom_mode)
		fputs(",\"rom_mode\":false", out);
}

static void put_region(const struct fh_listed_region *region, FILE *out)
{
	fputs("{\"name\":", out);
	put_string(region->name, out);
	fprintf(out, ",\"kind\":\"%s\"", region->kind);
	put_hex("addr", region->addr, out);
	if (region->size == FH_SIZE_ALL)
		fputs(",\"size\":\"0x10000000000000000\"", out);
	else
		put_hex("size", region->size, out);
	put_switches(region, out);
	for (uint32_t i = 0; i < region->sub_count; i++)
		fprintf(out, "%s%" PRIu32, i == 0 ? ",\"subregions\":[" : ",", region->subs[i]);
	if (region->sub_count > 0)
		putc(']', out);
	if (strcmp(region->kind, "alias") == 0) {
		fputs(",\"alias\":{\"target\":", out);
		put_number(region->target, out);
		put_hex("offset", region->alias_offset, out);
		putc('}', out);
	}
	put_owner(&region->owner, out);
	putc('}', out);
}

/* --- Spaces --------------------------------------------------------------------------------- */

static void put_range(const struct fh_listed_range *range, FILE *out)
{
	fprintf(out, "\n  {\"first\":\"0x%" PRIx64 "\"", range->first);
	put_hex("last", range->last, out);
	fputs(",\"region\":", out);
	put_number(range->region, out);
	put_hex("offset", range->offset, out);
	fprintf(out, ",\"as\":\"%s\"%s}", range->as,
		range->nonvolatile ? ",\"nonvolatile\":true" : "");
}

static void put_space(const struct fh_listing *listing, const struct fh_listed_space *space,
		      FILE *out)
{
	fputs("{\"name\":", out);
	put_string(space->name, out);
	put_owner(&space->owner, out);
	fputs(",\"root\":", out);
	put_number(space->root, out);
	fputs(",\"flat\":[", out);
	for (size_t i = 0; i < space->range_count; i++) {
		if (i > 0)
			putc(',', out);
		put_range(&listing->ranges[space->first_range + i], out);
	}
	fputs("]}", out);
}

void fh_listing_print_json(const struct fh_listing *listing, FILE *out)
{
	putc('{', out);
	if (listing->origin) {
		fputs("\"origin\":", out);
		put_string(listing->origin, out);
		fputs(",\n", out);
	}
	fputs("\"regions\":[", out);
	for (size_t i = 0; i < listing->region_count; i++) {
		fputs(i == 0 ? "\n " : ",\n ", out);
		put_region(&listing->regions[i], out);
	}
	fputs("],\n\"spaces\":[", out);
	for (size_t i = 0; i < listing->space_count; i++) {
		fputs(i == 0 ? "\n " : ",\n ", out);
		put_space(listing, &listing->spaces[i], out);
	}
	fputs("]}\n", out);
}
