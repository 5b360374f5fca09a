/* SPDX-License-Identifier: MIT */
/*
 * What a monitor shows, and what a command line sets: types, properties with their ranges and
 * values, a machine's defaults, properties of one object, aliases, partial paths.
 */
#include <freehold/freehold.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct uart {
	uint32_t baud;
	int parity;
};

static const char *const parities[] = { "none", "even", "odd", NULL };

static const struct fh_property uart_properties[] = {
	{ .name = "baud", .kind = FH_PROPERTY_U32, .preset = "9600",
	  .offset = offsetof(struct uart, baud), .description = "bits a second" },
	{ .name = "parity", .kind = FH_PROPERTY_ENUM, .enum_names = parities,
	  .offset = offsetof(struct uart, parity) },
	{ .name = NULL },
};

static const struct fh_type uart_type = {
	.name = "uart", .parent = &fh_device_type, .state_size = sizeof(struct uart),
	.properties = uart_properties
};
static const struct fh_type board_type = { .name = "board", .parent = &fh_device_type };

/* --- What a monitor shows --- */

static bool show_type(const struct fh_type *type, void *arg)
{
	const struct fh_type *parent = fh_type_parent(type);

	(void)arg;
	printf("%s%s%s%s\n", type->name, parent ? " : " : "", parent ? parent->name : "",
	       type->abstract ? " (abstract)" : "");
	return true;
}

/* parity enum {none even odd} = even */
static bool show_property(const struct fh_type *level, const struct fh_property *p, void *object)
{
	struct fh_error err = FH_ERROR_INIT;
	char *text = NULL;
	int64_t min;
	uint64_t max;

	printf("  %s %s", p->name, fh_property_kind_name(p->kind));
	if (fh_property_kind_range(p->kind, &min, &max))
		printf(" %" PRId64 "..%" PRIu64, min, max);
	for (int i = 0; p->enum_names && p->enum_names[i]; i++)
		printf("%s%s%s", i ? " " : " {", p->enum_names[i], p->enum_names[i + 1] ? "" : "}");
	if (p->link_type)
		printf("<%s>", p->link_type->name);
	if (fh_object_get_text((struct fh_object *)object, p->name, &text, &err) == FH_OK)
		printf(" = %s", text);
	printf("%s%s%s%s\n", p->preset ? ", preset " : "", p->preset ? p->preset : "",
	       level ? ", of " : "", level ? level->name : "");
	free(text);
	return true;
}

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	static const struct fh_property notes = { .name = "notes", .kind = FH_PROPERTY_STRING,
						  .preset = "second hand" };
	struct fh_error err = FH_ERROR_INIT;
	struct fh_object *found = NULL;

	/* What `-global uart.baud=115200` would do: for every UART made from now on. */
	fh_machine_add_type(m, &uart_type, NULL);
	fh_machine_set_default(m, "uart", "baud", "115200", &err);
	if (fh_machine_set_default(m, "uart", "parity", "sometimes", &err) == FH_OK)
		return 1;
	printf("%s\n", err.message);

	struct fh_device *board = fh_device_new(m, &board_type, "board", NULL, NULL);
	struct fh_device *console = fh_device_new(board, &uart_type, "uart[*]", NULL, NULL);
	const struct fh_setting slow[] = { { "baud", "300" }, { NULL, NULL } };
	struct fh_device *modem = fh_device_new(board, &uart_type, "uart[*]", slow, NULL);

	if (!console || !modem)
		return 1;
	/* The board's own: a text, and the rate of its console under a name of the board's. */
	fh_object_add_property(board, &notes, NULL, NULL, NULL);
	fh_object_add_alias(board, "console-baud", console, "baud", NULL);
	fh_object_set_text(board, "console-baud", "57600", NULL);

	fh_machine_each_type(m, NULL, NULL, show_type, NULL);
	printf("/board\n");
	fh_object_each_property(board, show_property, board);
	printf("/board/uart[0]\n");
	fh_object_each_property(console, show_property, console);

	/* A path may leave out how it begins. */
	if (fh_machine_resolve(m, "uart[1]", &uart_type, &found, NULL) != FH_OK ||
	    found != fh_object_cast(modem, &uart_type))
		return 1;
	fh_object_unref(found);
	fh_device_unplug(board);
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0;
}
