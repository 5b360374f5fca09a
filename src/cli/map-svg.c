/* SPDX-License-Identifier: MIT */
/*
 * A map as a picture: for each view an axis of addresses, beside it what a guest sees, and then the
 * layers of which that comes, from the topmost on; what is hidden in them is pale and hatched.
 *
 * R1. The axis is not to scale: what has a name is high enough for it, and where there is nothing
 *     is folded. Every edge of anything has its address.
 * R2. The same map is always the same bytes. There is nothing in the picture that is not in these:
 *     no fonts, no scripts, no references.
 * R3. A name that does not fit is cut, and is whole in the tooltip (<title>).
 */
#include "cli/map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/map-layers.h"

/* Pixels. */
enum {
	MARGIN = 16,
	HEAD = 74,	   /* title and legend */
	PANEL_HEAD = 44,
	AXIS_WIDTH = 150,
	VIEW_WIDTH = 270,
	LAYER_WIDTH = 210,
	SPACING = 8,
	FOLD_HEIGHT = 18,
	LEAST_WIDTH = 912, /* of the legend */
	LAYERS_MOST = 40,  /* beyond them nothing is drawn */
};

/* The kinds as they show, and their colours. */
static const struct {
	const char *as;
	const char *class;
	const char *fill;
	const char *words;
} kinds[] = {
	{ "ram", "ram", "#a9c9ea", "RAM" },
	{ "rom", "rom", "#efc79d", "ROM, read-only" },
	{ "romd", "romd", "#f2e09a", "ROM device" },
	{ "ramd", "ramd", "#a6dcd7", "RAM device" },
	{ "i/o", "io", "#b9dfb2", "registers" },
	{ "reservation", "res", "#cccccc", "reservation" },
	{ "iommu", "iommu", "#d3bde8", "IOMMU" },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct panel {
	const struct fh_listing *listing;
	const struct fh_listed_space *space;
	struct fh_layers layers;
	unsigned *tops;	     /* by cell, and one more: y from the panel's top */
	unsigned row, font;  /* heights */
	unsigned shown_layers;
};

struct picture {
	const struct fh_listing *listing;
	struct panel *panels;
	size_t count;
	FILE *out;
};

/* --- Texts ---------------------------------------------------------------------------------- */

/* How many bytes of @text are one character; it is valid UTF-8. */
static size_t character(const char *text)
{
	size_t length = 1;

	while (((unsigned char)text[length] & 0xc0) == 0x80)
		length++;
	return length;
}

static size_t count_characters(const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; text += character(text))
		count++;
	return count;
}

/* XML has no control characters, and two others neither. */
static void put_character(const char *text, size_t length, FILE *out)
{
	const bool is_none = memcmp(text, "\xef\xbf\xbe", length < 3 ? 1 : 3) == 0 ||
			     memcmp(text, "\xef\xbf\xbf", length < 3 ? 1 : 3) == 0;

	if (*text == '&')
		fputs("&amp;", out);
	else if (*text == '<')
		fputs("&lt;", out);
	else if (*text == '>')
		fputs("&gt;", out);
	else if (*text == '"')
		fputs("&quot;", out);
	else if ((unsigned char)*text < 0x20 || *text == 0x7f || is_none)
		putc('?', out);
	else
		fwrite(text, 1, length, out);
}

/* At most @room characters, the last of which is then an ellipsis. */
static void put_cut(const char *text, size_t room, FILE *out)
{
	const bool cut = count_characters(text) > room;

	for (size_t used = 0; *text != '\0' && used + cut < room; used++) {
		put_character(text, character(text), out);
		text += character(text);
	}
	if (cut && room > 0)
		fputs("\xe2\x80\xa6", out);
}

static void put_xml(const char *text, FILE *out)
{
	put_cut(text, SIZE_MAX - 1, out);
}

static const char *name_of(const struct fh_listing *listing, uint32_t number)
{
	const char *const name = number != FH_LISTED_NONE ? listing->regions[number].name :
							    "(none)";

	return name[0] != '\0' ? name : "(unnamed)";
}

/* As "64 KiB"; with one digit after the point if need be. */
static void put_size(uint64_t first, uint64_t last, FILE *out)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	const unsigned __int128 size = (unsigned __int128)(last - first) + 1;
	unsigned unit = 0;

	while (unit + 1 < sizeof(units) / sizeof(units[0]) && size >> (10 * (unit + 1)) != 0)
		unit++;

	const uint64_t tenths = (uint64_t)(size * 10 >> (10 * unit));

	fprintf(out, "%" PRIu64, tenths / 10);
	if (tenths % 10 != 0)
		fprintf(out, ".%" PRIu64, tenths % 10);
	fprintf(out, " %s", units[unit]);
}

static const char *class_of(const char *as)
{
	for (size_t i = 0; i < KINDS; i++) {
		if (strcmp(as, kinds[i].as) == 0)
			return kinds[i].class;
	}
	return kinds[4].class;
}

/* --- Sizes ---------------------------------------------------------------------------------- */

static unsigned cell_height(const struct panel *panel, const struct fh_layer_cell *cell)
{
	unsigned bits = 0;

	if (cell->top == SIZE_MAX)
		return FOLD_HEIGHT;
	if (panel->layers.cell_count > 300)
		return panel->row;
	/* What is large is a little higher. */
	for (uint64_t size = cell->last - cell->first; size > 0xfff; size >>= 1)
		bits++;
	return panel->row + (bits < 40 ? bits : 40) * 2 / 3;
}

/* False: too much. */
static bool prepare(struct panel *panel, const struct fh_listing *listing,
		    const struct fh_listed_space *space)
{
	*panel = (struct panel){ .listing = listing, .space = space };
	if (!fh_layers_make(&panel->layers, listing, space))
		return false;

	const size_t count = panel->layers.cell_count;

	panel->row = count <= 300 ? 22 : count <= 1500 ? 16 : 13;
	panel->font = count <= 1500 ? 11 : 10;
	panel->shown_layers = panel->layers.layer_count < LAYERS_MOST ? panel->layers.layer_count :
									 LAYERS_MOST;
	panel->tops = calloc(count + 1, sizeof(*panel->tops));
	if (panel->tops == NULL)
		abort();
	for (size_t i = 0; i < count; i++)
		panel->tops[i + 1] =
			panel->tops[i] + cell_height(panel, &panel->layers.cells[i]);
	return true;
}

static unsigned panel_height(const struct panel *panel)
{
	return PANEL_HEAD + panel->tops[panel->layers.cell_count] + 2 * MARGIN;
}

static unsigned layer_x(unsigned layer)
{
	return MARGIN + AXIS_WIDTH + SPACING + VIEW_WIDTH + 2 * SPACING +
	       layer * (LAYER_WIDTH + SPACING);
}

/* --- Boxes ---------------------------------------------------------------------------------- */

static void put_box(unsigned x, unsigned y, unsigned width, unsigned height, const char *class,
		    const char *more, FILE *out)
{
	fprintf(out, "<rect class=\"%s%s\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\"/>", class,
		more, x, y, width, height);
}

static void put_tip(const struct panel *panel, uint32_t number, uint64_t first, uint64_t last,
		    uint64_t offset, const char *as, bool nonvolatile, FILE *out)
{
	const struct fh_listed_region *const region = &panel->listing->regions[number];

	fputs("<title>", out);
	put_xml(name_of(panel->listing, number), out);
	fprintf(out, "\n%016" PRIx64 "-%016" PRIx64 " (%s%s), ", first, last,
		nonvolatile ? "nv-" : "", as);
	put_size(first, last, out);
	if (offset != 0)
		fprintf(out, "\nfrom offset 0x%" PRIx64, offset);
	fprintf(out, "\npriority %" PRId32, region->priority);
	if (region->owner.path != NULL) {
		fputs("\nof ", out);
		put_xml(region->owner.path, out);
	}
}

/* How many characters of the panel's font there is room for. */
static size_t room_in(const struct panel *panel, unsigned width)
{
	return (width - 10) * 10 / (panel->font * 6 + 4);
}

static void begin_label(const struct panel *panel, unsigned x, unsigned y, unsigned height,
			FILE *out)
{
	fprintf(out, "<text x=\"%u\" y=\"%u\" font-size=\"%u\">", x + 5,
		y + (height + panel->font) / 2 - 2, panel->font);
}

/* --- The axis ------------------------------------------------------------------------------- */

/* Where there is nothing: two waves and how much it is. */
static void put_fold(const struct fh_layer_cell *cell, unsigned y, FILE *out)
{
	const unsigned x = MARGIN + AXIS_WIDTH + SPACING;

	fprintf(out, "<path class=\"fold\" d=\"M%u %u", x, y + FOLD_HEIGHT / 2 - 3);
	for (unsigned i = 0; i < VIEW_WIDTH / 18; i++)
		fprintf(out, "q4 -4 9 0t9 0");
	fprintf(out, "M%u %u", x, y + FOLD_HEIGHT / 2 + 3);
	for (unsigned i = 0; i < VIEW_WIDTH / 18; i++)
		fprintf(out, "q4 -4 9 0t9 0");
	fprintf(out, "\"/><text class=\"dim\" x=\"%u\" y=\"%u\" text-anchor=\"end\" "
		     "font-size=\"10\">",
		x - 6, y + FOLD_HEIGHT / 2 + 4);
	put_size(cell->first, cell->last, out);
	fputs(" of nothing</text>\n", out);
}

static void put_axis(const struct panel *panel, unsigned top, FILE *out)
{
	const struct fh_layers *const layers = &panel->layers;
	const unsigned right = MARGIN + AXIS_WIDTH;

	for (size_t i = 0; i < layers->cell_count; i++) {
		const struct fh_layer_cell *const cell = &layers->cells[i];
		const unsigned y = top + panel->tops[i];

		if (cell->top == SIZE_MAX) {
			put_fold(cell, y, out);
			continue;
		}
		fprintf(out,
			"<path class=\"tick\" d=\"M%u %uh%d\"/><text class=\"addr\" x=\"%u\" "
			"y=\"%u\" font-size=\"%u\">%" PRIx64 "</text>\n",
			right, y, SPACING, right - 4, y + panel->font - 1, panel->font,
			cell->first);
	}
}

/* --- What a guest sees ---------------------------------------------------------------------- */

/* The cell that begins at @addr, from @cell on. */
static size_t cell_from(const struct fh_layers *layers, size_t cell, uint64_t addr)
{
	while (layers->cells[cell].first < addr)
		cell++;
	return cell;
}

static void put_view(const struct panel *panel, unsigned top, FILE *out)
{
	const struct fh_layers *const layers = &panel->layers;
	const struct fh_listed_range *const ranges =
		&panel->listing->ranges[panel->space->first_range];
	const unsigned x = MARGIN + AXIS_WIDTH + SPACING;
	size_t cell = 0;

	for (size_t i = 0; i < panel->space->range_count; i++) {
		const struct fh_listed_range *const range = &ranges[i];
		char offset[24] = "";
		size_t room = room_in(panel, VIEW_WIDTH);

		cell = cell_from(layers, cell, range->first);

		const unsigned y = top + panel->tops[cell];

		while (cell < layers->cell_count && layers->cells[cell].last < range->last)
			cell++;

		const unsigned height = top + panel->tops[cell + 1] - y;

		fputs("<g class=\"view\">", out);
		put_tip(panel, range->region, range->first, range->last, range->offset, range->as,
			range->nonvolatile, out);
		fputs("</title>", out);
		put_box(x, y, VIEW_WIDTH, height, class_of(range->as),
			range->nonvolatile ? " nv" : "", out);
		if (range->offset != 0)
			snprintf(offset, sizeof(offset), " @%" PRIx64, range->offset);
		begin_label(panel, x, y, height, out);
		room -= strlen(offset) + strlen(range->as) + 2;
		put_cut(name_of(panel->listing, range->region), room, out);
		fprintf(out, "%s</text><text class=\"dim\" x=\"%u\" y=\"%u\" text-anchor=\"end\" "
			     "font-size=\"%u\">%s%s</text></g>\n",
			offset, x + VIEW_WIDTH - 5, y + (height + panel->font) / 2 - 2,
			panel->font, range->nonvolatile ? "nv-" : "", range->as);
	}
}

/* --- Layers --------------------------------------------------------------------------------- */

/* Where a label stands: the highest part that is seen, or hidden if none is. */
struct place {
	unsigned y, height;
	bool seen;
};

static void put_runs(const struct panel *panel, size_t number, unsigned x, unsigned top,
		     struct place *best, FILE *out)
{
	const struct fh_layers *const layers = &panel->layers;
	const struct fh_layer_piece *const piece = &layers->pieces[number];
	const size_t stop = piece->cell + piece->cell_count;

	for (size_t from = piece->cell, to; from < stop; from = to) {
		const bool seen = layers->cells[from].top == number;

		for (to = from + 1; to < stop && (layers->cells[to].top == number) == seen;)
			to++;

		const unsigned y = top + panel->tops[from];
		const unsigned height = top + panel->tops[to] - y;

		if (!seen) {
			put_box(x, y, LAYER_WIDTH, height, class_of(piece->as), " pale", out);
			put_box(x, y, LAYER_WIDTH, height, "hatch", "", out);
		} else {
			put_box(x, y, LAYER_WIDTH, height, class_of(piece->as),
				piece->nonvolatile ? " nv" : "", out);
		}
		if (seen > best->seen || (seen == best->seen && height > best->height))
			*best = (struct place){ .y = y, .height = height, .seen = seen };
	}
}

/* The alias and its target; if there is no room for both, the target. */
static void put_piece_label(const struct panel *panel, const struct fh_layer_piece *piece,
			    FILE *out)
{
	const char *const name = name_of(panel->listing, piece->region);
	const size_t room = room_in(panel, LAYER_WIDTH);
	size_t used = 0;

	if (piece->alias != FH_LISTED_NONE) {
		const char *const alias = name_of(panel->listing, piece->alias);

		if (count_characters(alias) + 3 + count_characters(name) <= room) {
			put_xml(alias, out);
			fputs(" ", out);
			used = count_characters(alias) + 1;
		}
		fputs("\xe2\x86\x92 ", out); /* an arrow */
		used += 2;
	}
	put_cut(name, room - used, out);
}

static void put_piece(const struct panel *panel, size_t number, unsigned top, FILE *out)
{
	const struct fh_layer_piece *const piece = &panel->layers.pieces[number];
	const unsigned x = layer_x(piece->layer);
	struct place best = { 0 };

	fputs("<g class=\"piece\">", out);
	put_tip(panel, piece->region, piece->first, piece->last, piece->offset, piece->as,
		piece->nonvolatile, out);
	if (piece->alias != FH_LISTED_NONE) {
		fputs("\nthrough alias ", out);
		put_xml(name_of(panel->listing, piece->alias), out);
	}
	if (piece->container != FH_LISTED_NONE) {
		fputs("\nin ", out);
		put_xml(name_of(panel->listing, piece->container), out);
	}
	fputs("</title>", out);
	put_runs(panel, number, x, top, &best, out);
	if (!best.seen)
		fputs("<g class=\"hidden\">", out);
	begin_label(panel, x, best.y, best.height, out);
	put_piece_label(panel, piece, out);
	fputs(best.seen ? "</text></g>\n" : "</text></g></g>\n", out);
}

/* --- Panels --------------------------------------------------------------------------------- */

/* Spaces that share the view, too. */
static void put_names(const struct panel *panel, FILE *out)
{
	const struct fh_listing *const listing = panel->listing;
	unsigned more = 0;
	size_t used = 0;

	for (size_t i = 0; i < listing->space_count; i++) {
		const struct fh_listed_space *const space = &listing->spaces[i];

		if (space->range_count == 0 || space->first_range != panel->space->first_range)
			continue;
		if (used > 60) {
			more++;
			continue;
		}
		fputs(used > 0 ? ", " : "", out);
		put_cut(space->name[0] != '\0' ? space->name : "(unnamed)", 40, out);
		used += 2 + count_characters(space->name);
	}
	if (more > 0)
		fprintf(out, " and %u more", more);
	fputs("; root: ", out);
	put_cut(name_of(listing, panel->space->root), 40, out);
}

static void put_panel(const struct panel *panel, unsigned y, FILE *out)
{
	const unsigned top = y + PANEL_HEAD;

	fprintf(out, "<text x=\"%d\" y=\"%u\" font-size=\"14\" font-weight=\"bold\">", MARGIN,
		y + 16);
	put_names(panel, out);
	fprintf(out, "</text>\n<text class=\"head\" x=\"%d\" y=\"%u\">what a guest sees</text>\n",
		MARGIN + AXIS_WIDTH + SPACING, y + 36);
	for (unsigned i = 0; i < panel->shown_layers; i++) {
		fprintf(out, "<text class=\"head\" x=\"%u\" y=\"%u\">", layer_x(i), y + 36);
		fprintf(out, "layer %u%s", i + 1, i == 0 ? ", topmost" : "");
		if (i + 1 == LAYERS_MOST && panel->layers.layer_count > LAYERS_MOST)
			fprintf(out, " of %u", panel->layers.layer_count);
		fputs("</text>\n", out);
	}
	put_axis(panel, top, out);
	put_view(panel, top, out);
	for (size_t i = 0; i < panel->layers.piece_count; i++) {
		if (panel->layers.pieces[i].layer < panel->shown_layers)
			put_piece(panel, i, top, out);
	}
}

/* --- The whole ------------------------------------------------------------------------------ */

static void put_style(FILE *out)
{
	fputs("<style>text{fill:#222}rect{stroke:#444;stroke-width:.7}.head{fill:#555;font-size:"
	      "12px}.dim{fill:#666}.addr{fill:#333;text-anchor:end}.tick{stroke:#999;stroke-width:"
	      ".7}.fold{stroke:#999;fill:none}.pale{fill-opacity:.3;stroke:#999;stroke-dasharray:3 "
	      "2}rect.hatch{fill:url(#hatch);stroke:none}.hidden text{fill:#666}.nv{stroke-width:2}",
	      out);
	for (size_t i = 0; i < KINDS; i++)
		fprintf(out, ".%s{fill:%s}", kinds[i].class, kinds[i].fill);
	fputs("</style>\n<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" "
	      "patternUnits=\"userSpaceOnUse\"><path d=\"M0 6L6 0M-1 1L1 -1M5 7L7 5\" "
	      "stroke=\"#999\" stroke-width=\".6\"/></pattern></defs>\n",
	      out);
}

static void put_head(const struct picture *picture)
{
	FILE *const out = picture->out;
	unsigned x = MARGIN;

	fprintf(out, "<text x=\"%d\" y=\"30\" font-size=\"18\" font-weight=\"bold\">", MARGIN);
	put_cut(picture->listing->origin != NULL ? picture->listing->origin : "Memory map", 70,
		out);
	fputs("</text>\n", out);
	for (size_t i = 0; i <= KINDS; i++) {
		const char *const words = i < KINDS ? kinds[i].words : "hidden";

		put_box(x, 46, 16, 14, i < KINDS ? kinds[i].class : "res pale", "", out);
		if (i == KINDS)
			put_box(x, 46, 16, 14, "hatch", "", out);
		fprintf(out, "<text x=\"%u\" y=\"57\" font-size=\"11\">%s</text>\n", x + 22, words);
		x += 22 + 7 * (unsigned)strlen(words) + 18;
	}
}

static void draw(const struct picture *picture)
{
	FILE *const out = picture->out;
	unsigned width = LEAST_WIDTH, height = HEAD, y = HEAD;

	for (size_t i = 0; i < picture->count; i++) {
		const unsigned right = layer_x(picture->panels[i].shown_layers) + MARGIN;

		width = right > width ? right : width;
		height += panel_height(&picture->panels[i]);
	}
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		"viewBox=\"0 0 %u %u\" font-family=\"monospace\">\n<title>",
		width, height, width, height);
	put_xml(picture->listing->origin != NULL ? picture->listing->origin : "Memory map", out);
	fputs("</title>\n", out);
	put_style(out);
	fprintf(out, "<path fill=\"#fff\" d=\"M0 0h%uv%uh-%uz\"/>\n", width, height, width);
	put_head(picture);
	for (size_t i = 0; i < picture->count; i++) {
		put_panel(&picture->panels[i], y, out);
		y += panel_height(&picture->panels[i]);
	}
	fputs("</svg>\n", out);
}

/* One space of those that share a view, if it has one; of those of that name, unless it is NULL. */
static bool is_wanted(const struct picture *picture, const struct fh_listed_space *space,
		      const char *name)
{
	if (name != NULL && strcmp(space->name, name) != 0)
		return false;
	for (size_t i = 0; i < picture->count && name == NULL; i++) {
		if (space->range_count == 0 ||
		    picture->panels[i].space->first_range == space->first_range)
			return false;
	}
	return name != NULL || space->range_count > 0;
}

enum fh_code fh_map_draw(const struct fh_listing *listing, const char *space, FILE *out,
			 struct fh_error *err)
{
	struct picture picture = {
		.listing = listing,
		.panels = calloc(listing->space_count + 1, sizeof(*picture.panels)),
		.out = out,
	};
	enum fh_code code = FH_OK;

	if (picture.panels == NULL)
		abort();
	for (size_t i = 0; i < listing->space_count && code == FH_OK; i++) {
		if (is_wanted(&picture, &listing->spaces[i], space) &&
		    !prepare(&picture.panels[picture.count++], listing, &listing->spaces[i]))
			code = fh_error_set(err, FH_ELIMIT,
					    "spaces[%zu]: more than %d pieces cannot be drawn", i,
					    FH_LAYERS_LIMIT);
	}
	if (code == FH_OK && space != NULL && picture.count == 0)
		code = fh_error_set(err, FH_ENOENT, "there is no space \"%.100s\"", space);
	if (code == FH_OK)
		draw(&picture);
	for (size_t i = 0; i < picture.count; i++) {
		fh_layers_free(&picture.panels[i].layers);
		free(picture.panels[i].tops);
	}
	free(picture.panels);
	return code;
}
