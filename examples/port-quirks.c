/* SPDX-License-Identifier: MIT */
/*
 * For people who come from QEMU: regions that are made and destroyed while the device runs, as
 * quirks of passed-through devices and MSI-X tables are. docs/porting-from-qemu.md quotes it.
 */
#include <freehold/freehold.h>

#include <stdlib.h>

enum { BAR_SIZE = 0x4000, TABLE_OFFSET = 0x2000, ENTRIES = 8 };

/* State of its own, which lives as long as the region that has it, and no longer. */
struct quirk {
	unsigned hits;
};

struct card {
	struct fh_device *self;
	struct fh_region *bar;
	struct fh_region *quirk; /* borrowed from the device, or NULL */
	struct fh_region *table;
	uint32_t vectors[ENTRIES * 4];
};

static unsigned released;

static enum fh_tx quirk_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			     struct fh_attrs attrs)
{
	(void)offset, (void)size, (void)attrs;
	*ret_value = ++((struct quirk *)state)->hits;
	return FH_TX_OK;
}

/* After the last callback that anybody made, whenever that is. */
static void quirk_release(void *state)
{
	free(state);
	released++;
}

static const struct fh_region_ops quirk_ops = { .read = quirk_read, .release = quirk_release };

static void card_add_quirk(struct card *card)
{
	card->quirk = fh_region_new_mmio(card->self, NULL, 0x100, &quirk_ops,
					 calloc(1, sizeof(struct quirk)));
	fh_region_add(card->bar, card->quirk, 0x800, 1);
}

/* In any callback, also in the quirk's own, while others read it. */
static void card_remove_quirk(struct card *card)
{
	card->quirk = fh_region_destroy(card->quirk);
}

static enum fh_tx table_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			     struct fh_attrs attrs)
{
	(void)size, (void)attrs;
	*ret_value = ((struct card *)state)->vectors[offset / 4];
	return FH_TX_OK;
}

static enum fh_tx table_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			      struct fh_attrs attrs)
{
	(void)size, (void)attrs;
	((struct card *)state)->vectors[offset / 4] = (uint32_t)value;
	return FH_TX_OK;
}

static const struct fh_region_ops table_ops = {
	.read = table_read, .write = table_write, .valid = { .min = 4, .max = 4 }
};

/* The guest enables MSI-X: a table over the BAR's own memory; and takes it away again. */
static void card_enable_msix(struct card *card, bool on)
{
	if (on && !card->table) {
		card->table = fh_region_new_mmio(card->self, "msix-table", sizeof(card->vectors),
						 &table_ops, card);
		fh_region_add(card->bar, card->table, TABLE_OFFSET, 1);
	} else if (!on) {
		card->table = fh_region_destroy(card->table); /* the name is free at once */
	}
}

enum { CONTROL_MSIX = 1, CONTROL_QUIRK = 2 };

static enum fh_tx control_write(void *state, uint64_t offset, uint64_t value, unsigned size,
				struct fh_attrs attrs)
{
	struct card *card = state;

	(void)offset, (void)size, (void)attrs;
	card_enable_msix(card, value & CONTROL_MSIX);
	if ((value & CONTROL_QUIRK) && !card->quirk)
		card_add_quirk(card);
	else if (!(value & CONTROL_QUIRK))
		card_remove_quirk(card);
	return FH_TX_OK;
}

static const struct fh_region_ops control_ops = { .write = control_write };

static void card_reset(struct fh_device *device, void *state, enum fh_reset_type type)
{
	(void)device, (void)type;
	card_enable_msix(state, false);
	card_remove_quirk(state);
}

static enum fh_code card_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct card *card = state;
	struct fh_region *control = fh_region_new_mmio(device, "control", 4, &control_ops, card);

	card->self = device;
	card->bar = fh_region_new_ram(device, "bar", BAR_SIZE, err);
	if (!card->bar || fh_region_add(card->bar, control, 0, 1) != FH_OK)
		return FH_ENOMEM;
	return fh_device_export(device, card->bar, err);
}

/* No unrealize, no finalize: the regions that there are go with the device. */
static const struct fh_type card_type = {
	.name = "card", .parent = &fh_device_type, .state_size = sizeof(struct card),
	.device = &(const struct fh_device_ops){ .realize = card_realize,
						 .reset_hold = card_reset }
};

int main(void)
{
	FH_CLEANUP(fh_machine_destroyp) struct fh_machine *m = fh_machine_new(NULL, NULL);

	if (!m)
		return 1;

	struct fh_space *memory = fh_machine_memory(m);
	struct fh_device *card = fh_device_plug(m, &card_type, "card", NULL, NULL);
	uint32_t value = 0;
	bool good = card;

	if (!card)
		return 1;
	fh_region_add(fh_space_root(memory), fh_device_region(card, "bar"), 0x10000000, 0);
	for (unsigned i = 0; i < 100; i++) {
		fh_space_store32(memory, 0x10000000, CONTROL_MSIX | CONTROL_QUIRK, FH_LE);
		good = good && fh_space_store32(memory, 0x10002004, i, FH_LE) == FH_TX_OK &&
		       fh_space_load32(memory, 0x10002004, FH_LE, &value) == FH_TX_OK &&
		       value == i &&
		       fh_space_load32(memory, 0x10000800, FH_LE, &value) == FH_TX_OK && value == 1;
		if (i % 2)
			fh_device_reset(card, FH_RESET_WARM);
		else
			fh_space_store32(memory, 0x10000000, 0, FH_LE);
		good = good && fh_space_load32(memory, 0x10000800, FH_LE, &value) == FH_TX_OK &&
		       value == 0; /* the BAR's memory */
	}
	fh_space_store32(memory, 0x10000000, CONTROL_MSIX | CONTROL_QUIRK, FH_LE);
	fh_device_unplug(card);
	fh_machine_drain(m);
	return fh_ledger_print(m, stdout) != 0 || released != 101 || !good;
}
