/* SPDX-License-Identifier: MIT */
/*
 * A board with a clock and a bus: a generator, a controller with four slots, and in one of them a
 * transmitter that sends a byte every sixteen ticks. It is moved to another machine in the middle
 * of its work, by its state; then the guest is asked to let it go.
 */
#include <freehold/freehold.h>

#include <stdio.h>

/* --- The transmitter: a fifo, a timer, a clock input ------------------------------------------ */

struct tx {
	struct fh_clock *clock;
	struct fh_timer *timer;
	uint32_t divisor;
	uint8_t used;
	uint8_t fifo[16];
	uint32_t sent;
};

static void tx_start(struct tx *tx)
{
	struct fh_machine *m = fh_object_get_machine(tx->timer);
	const uint64_t period = fh_clock_period(tx->clock);

	if (tx->used > 0 && period != 0)
		fh_timer_arm(tx->timer, fh_machine_now(m) + fh_period_ns(period, tx->divisor));
}

static void tx_sent(void *state)
{
	struct tx *tx = state;

	tx->sent++;
	tx->used--;
	tx_start(tx);
}

static enum fh_code tx_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct tx *tx = state;

	(void)err;
	tx->divisor = 16;
	tx->clock = fh_clock_new(device, "clock", NULL, NULL);
	tx->timer = fh_timer_new(device, "timer", tx_sent, tx);
	return FH_OK;
}

static enum fh_code tx_check(const void *state, unsigned version, struct fh_error *err)
{
	(void)version;
	if (((const struct tx *)state)->divisor == 0)
		return fh_error_set(err, FH_ERANGE, "a divisor of 0");
	return FH_OK;
}

static const struct fh_state_field tx_fields[] = {
	FH_STATE(U32, struct tx, divisor),
	FH_STATE_SOME(U8, struct tx, fifo, U8, used),
	FH_STATE(U32, struct tx, sent),
	FH_STATE(TIMER, struct tx, timer),
	{ 0 },
};

static const struct fh_state_table tx_table = {
	.version = 1, .fields = tx_fields, .check = tx_check
};

static const struct fh_type tx_type = {
	.name = "tx", .parent = &fh_device_type, .state_size = sizeof(struct tx),
	.device = &(const struct fh_device_ops){ .realize = tx_realize, .saved = &tx_table }
};

/* --- The controller: a bus, and who is in which slot ------------------------------------------ */

struct controller {
	struct fh_bus *bus;
	struct fh_clock *clock;
	uint8_t present; /* a register: a bit for each slot */
};

/* The device's clock input follows the bus's. */
static enum fh_code slot_plugged(void *state, struct fh_device *device, uint32_t slot,
				 struct fh_error *err)
{
	struct controller *c = state;
	struct fh_clock *input = fh_device_clock(device, "clock");

	if (!input || fh_clock_follow(input, c->clock, 1, 4) != FH_OK)
		return fh_error_set(err, FH_EINVAL, "a device on this bus needs a clock");
	c->present |= (uint8_t)(1 << slot);
	return FH_OK;
}

/* The guest decides: see main(). */
static enum fh_unplug_answer slot_request(void *state, struct fh_device *device, uint32_t slot,
					  struct fh_error *err)
{
	(void)state, (void)device, (void)slot, (void)err;
	return FH_UNPLUG_LATER;
}

static void slot_unplugged(void *state, struct fh_device *device, uint32_t slot)
{
	struct controller *c = state;

	(void)device;
	c->present &= (uint8_t) ~(1 << slot);
}

static const struct fh_bus_ops slot_ops = {
	.plugged = slot_plugged, .unplug_request = slot_request, .unplugged = slot_unplugged
};

static enum fh_code controller_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct controller *c = state;

	(void)err;
	c->bus = fh_bus_new(device, "slots", &slot_ops, c, 4);
	c->clock = fh_clock_new(device, "clock", NULL, NULL);
	return FH_OK;
}

static const struct fh_type controller_type = {
	.name = "controller", .parent = &fh_device_type, .state_size = sizeof(struct controller),
	.device = &(const struct fh_device_ops){ .realize = controller_realize }
};

/* --- Two machines ----------------------------------------------------------------------------- */

struct board {
	struct fh_machine *m;
	struct fh_device *controller, *card;
	struct tx *tx;
};

static bool board_make(struct board *board, struct fh_error *err)
{
	board->m = fh_machine_new(NULL, err);
	if (!board->m)
		return false;
	board->controller = fh_device_plug(board->m, &controller_type, "controller", NULL, err);
	if (!board->controller)
		return false;
	fh_clock_set_hz(fh_device_clock(board->controller, "clock"), 64000);
	board->card = fh_bus_plug(fh_device_bus(board->controller, "slots"), 2, &tx_type, "tx",
				  NULL, err);
	if (!board->card)
		return false;
	board->tx = fh_device_state(board->card);
	return true;
}

static bool moved(struct board *from, struct board *to, struct fh_error *err)
{
	struct fh_state_buffer buffer = { 0 };
	const struct fh_state_writer writer = fh_state_buffer_writer(&buffer);
	bool good = fh_state_save(from->m, &writer, err) == FH_OK &&
		    fh_state_restore(to->m, buffer.data, buffer.size, err) == FH_OK;

	/* What is damaged on the way is refused, and changes nothing. */
	buffer.data[buffer.size / 2] ^= 1;
	good = good && fh_state_restore(to->m, buffer.data, buffer.size, NULL) != FH_OK;
	fh_state_buffer_free(&buffer);
	return good;
}

int main(void)
{
	struct fh_error err = FH_ERROR_INIT;
	struct board first, second;

	if (!board_make(&first, &err) || !board_make(&second, &err))
		return fprintf(stderr, "%s\n", err.message), 1;
	first.tx->used = 5;
	tx_start(first.tx);
	while (first.tx->sent < 2)
		fh_machine_poll(first.m);
	if (!moved(&first, &second, &err))
		return fprintf(stderr, "%s\n", err.message), 1;
	while (second.tx->used > 0)
		fh_machine_poll(second.m);

	struct controller *c = fh_device_state(second.controller);
	bool good = second.tx->sent == 5 && fh_clock_hz(second.tx->clock) == 16000 &&
		    c->present == 1 << 2;

	printf("%u bytes sent\n", second.tx->sent);
	good = good && fh_device_request_unplug(second.card, NULL) == FH_OK;
	good = good && fh_device_unplug_is_requested(second.card);
	fh_device_unplug(second.card); /* the guest agrees */
	good = good && c->present == 0;
	return fh_machine_destroy(first.m) + fh_machine_destroy(second.m) != 0 || !good;
}
