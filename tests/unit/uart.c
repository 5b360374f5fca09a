/* SPDX-License-Identifier: MIT */
/*
 * The 16550A against its data sheet: registers, FIFOs, interrupts, loopback, and what passes
 * between it and its backend.
 */
#include "support/probe.h"

#include <string.h>

#include "hw/uart.h"

#define BASE 0x10000000

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { FCR = IIR };

/* The other side of the wire. */
static struct {
	char sent[256];
	size_t sent_size;
	size_t takes; /* so many bytes more */
	unsigned blocked, room;
} wire;

static struct fh_device *uart;
static struct fh_irq *irq;

static size_t wire_write(void *arg, const uint8_t *bytes, size_t size)
{
	const size_t taken = size < wire.takes ? size : wire.takes;

	assert_ptr_equal(arg, &wire);
	memcpy(wire.sent + wire.sent_size, bytes, taken);
	wire.sent_size += taken;
	wire.takes -= taken;
	return taken;
}

static void wire_blocked(void *arg)
{
	(void)arg;
	wire.blocked++;
}

static void wire_room(void *arg)
{
	(void)arg;
	wire.room++;
}

static const struct uart_backend backend = {
	.write = wire_write, .blocked = wire_blocked, .room = wire_room
};

static int set_up(void **state)
{
	struct fh_machine *m = machine_begin();

	memset(&wire, 0, sizeof(wire));
	wire.takes = 200;
	uart = fh_device_new(m, &uart_type, "uart", NULL, NULL);
	assert_non_null(uart);
	uart_set_backend(uart, &backend, &wire);
	assert_int_equal(fh_device_realize(uart, NULL), FH_OK);
	irq = fh_device_irq(uart, "irq");
	fh_region_add(fh_space_root(fh_machine_memory(m)), fh_device_region(uart, "regs"), BASE, 0);
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	machine_end(*state);
	return 0;
}

static uint8_t get(struct fh_machine *m, unsigned reg)
{
	uint8_t value;

	assert_int_equal(fh_space_load8(fh_machine_memory(m), BASE + reg, FH_LE, &value), FH_TX_OK);
	return value;
}

static void put(struct fh_machine *m, unsigned reg, uint8_t value)
{
	assert_int_equal(fh_space_store8(fh_machine_memory(m), BASE + reg, value, FH_LE), FH_TX_OK);
}

static size_t receive(const char *text)
{
	return uart_receive(uart, (const uint8_t *)text, strlen(text));
}

static void assert_sent(const char *text)
{
	assert_int_equal(wire.sent_size, strlen(text));
	assert_memory_equal(wire.sent, text, wire.sent_size);
}

/* Reads until there is nothing. */
static void assert_reads(struct fh_machine *m, const char *text)
{
	for (; *text; text++) {
		assert_true(get(m, LSR) & 0x01);
		assert_int_equal(get(m, DATA), (uint8_t)*text);
	}
	assert_false(get(m, LSR) & 0x01);
}

/* --- Registers ------------------------------------------------------------------------------ */

static void assert_reset_values(struct fh_machine *m)
{
	assert_int_equal(get(m, IER), 0);
	assert_int_equal(get(m, IIR), 0x01);
	assert_int_equal(get(m, LCR), 0);
	assert_int_equal(get(m, MCR), 0);
	assert_int_equal(get(m, LSR), 0x60);
	assert_int_equal(get(m, MSR), UART_CTS | UART_DSR | UART_DCD);
	assert_false(fh_irq_level(irq));
}

static void registers_begin_as_the_data_sheet_says(void **state)
{
	assert_reset_values(*state);
}

static void reset_undoes_all_but_scratch_and_divisor(void **state)
{
	struct fh_machine *m = *state;

	put(m, LCR, 0x80);
	put(m, DATA, 0x34);
	put(m, IER, 0x12);
	put(m, LCR, 0x5b);
	put(m, SCR, 0xa5);
	put(m, FCR, 0xc1);
	put(m, IER, 0x0f);
	put(m, MCR, 0x0f);
	receive("ab");
	wire.takes = 0;
	put(m, DATA, 'x');
	uart_set_modem(uart, 0);
	uart_set_modem(uart, UART_CTS | UART_DSR | UART_DCD);
	fh_machine_reset(m, FH_RESET_WARM);
	assert_reset_values(m);
	assert_int_equal(get(m, SCR), 0xa5);
	put(m, LCR, 0x80);
	assert_int_equal(get(m, DATA), 0x34);
	assert_int_equal(get(m, IER), 0x12);
}

static void reserved_bits_are_0(void **state)
{
	struct fh_machine *m = *state;

	put(m, IER, 0xff);
	assert_int_equal(get(m, IER), 0x0f);
	put(m, MCR, 0xff);
	assert_int_equal(get(m, MCR), 0x1f);
	put(m, LCR, 0x7f);
	assert_int_equal(get(m, LCR), 0x7f);
}

static void divisor_lies_behind_the_latch_bit(void **state)
{
	struct fh_machine *m = *state;

	put(m, IER, 0x05);
	put(m, LCR, 0x83);
	put(m, DATA, 0xcd);
	put(m, IER, 0xab);
	assert_int_equal(get(m, DATA), 0xcd);
	assert_int_equal(get(m, IER), 0xab);
	put(m, LCR, 0x03);
	assert_int_equal(get(m, IER), 0x05);
	assert_sent("");
}

static void status_registers_take_no_writes(void **state)
{
	struct fh_machine *m = *state;

	put(m, LSR, 0xff);
	put(m, MSR, 0xff);
	assert_int_equal(get(m, LSR), 0x60);
	assert_int_equal(get(m, MSR), UART_CTS | UART_DSR | UART_DCD);
}

static void wide_access_is_one_to_its_register(void **state)
{
	struct fh_machine *m = *state;

	store32(m, BASE, 0x00030341, FH_TX_OK);
	assert_sent("A");
	assert_int_equal(get(m, IER), 0);
	assert_int_equal(load32(m, BASE + 4, FH_TX_OK), 0);
	(void)load32(m, BASE + 8, FH_TX_DECODE_ERROR);
}

static void debuggers_read_changes_nothing(void **state)
{
	struct fh_machine *m = *state;
	uint64_t value;

	receive("ab");
	put(m, IER, 0x02);
	uart_set_modem(uart, 0);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned reg = 0; reg < 8; reg++)
			assert_int_equal(fh_space_load(fh_machine_memory(m), BASE + reg, 1, FH_LE,
						       (struct fh_attrs){ .debug = true }, &value),
					 FH_TX_OK);
	}
	assert_int_equal(get(m, DATA), 'a');
	assert_int_equal(get(m, IIR), 0x02);
	assert_int_equal(get(m, MSR), 0x0b);
}

/* --- Sending -------------------------------------------------------------------------------- */

static void what_is_written_is_sent(void **state)
{
	struct fh_machine *m = *state;

	put(m, DATA, 'h');
	put(m, DATA, 'i');
	assert_sent("hi");
	assert_int_equal(get(m, LSR), 0x60);
}

static void without_a_backend_bytes_are_gone(void **state)
{
	struct fh_machine *m = *state;
	struct fh_device *lone = fh_device_plug(m, &uart_type, "lone", NULL, NULL);

	fh_region_add(fh_space_root(fh_machine_memory(m)), fh_device_region(lone, "regs"),
		      BASE + 0x100, 0);
	put(m, 0x100 + DATA, 'x');
	assert_int_equal(get(m, 0x100 + LSR), 0x60);
}

static void bytes_wait_in_the_fifo_until_the_backend_takes_them(void **state)
{
	struct fh_machine *m = *state;

	put(m, FCR, 0x01);
	put(m, IER, 0x02);
	wire.takes = 2;
	for (const char *c = "hello"; *c; c++)
		put(m, DATA, *c);
	assert_sent("he");
	assert_true(wire.blocked > 0);
	assert_int_equal(get(m, LSR), 0);
	assert_false(fh_irq_level(irq));

	wire.takes = 2;
	uart_writable(uart);
	fh_machine_drain(m);
	assert_sent("hell");
	assert_int_equal(get(m, LSR), 0);
	wire.takes = 100;
	uart_writable(uart);
	fh_machine_drain(m);
	assert_sent("hello");
	assert_int_equal(get(m, LSR), 0x60);
	assert_true(fh_irq_level(irq));
	assert_int_equal(get(m, IIR), 0xc2);
}

static void one_byte_too_many_replaces_the_last(void **state)
{
	struct fh_machine *m = *state;

	wire.takes = 0;
	put(m, DATA, 'a'); /* no FIFO: there is room for one */
	put(m, DATA, 'b');
	wire.takes = 100;
	uart_writable(uart);
	fh_machine_drain(m);
	assert_sent("b");
	wire.takes = 0;
	put(m, FCR, 0x01);
	for (unsigned i = 0; i < 17; i++)
		put(m, DATA, 'A' + i);
	wire.takes = 100;
	uart_writable(uart);
	fh_machine_drain(m);
	assert_sent("bABCDEFGHIJKLMNOQ");
}

static void clearing_the_fifo_throws_away_what_waits(void **state)
{
	struct fh_machine *m = *state;

	wire.takes = 0;
	put(m, FCR, 0x01);
	put(m, DATA, 'a');
	assert_int_equal(get(m, LSR), 0);
	put(m, IER, 0x02);
	assert_false(fh_irq_level(irq));
	put(m, FCR, 0x05);
	assert_int_equal(get(m, LSR), 0x60);
	assert_true(fh_irq_level(irq)); /* it is empty now, whatever became of the byte */
	wire.takes = 100;
	uart_writable(uart);
	fh_machine_drain(m);
	assert_sent("");
}

static void empty_transmitter_interrupts_once(void **state)
{
	struct fh_machine *m = *state;

	put(m, IER, 0x02);
	assert_true(fh_irq_level(irq));
	assert_int_equal(get(m, IIR), 0x02);
	assert_false(fh_irq_level(irq));
	assert_int_equal(get(m, IIR), 0x01);
	put(m, IER, 0x02); /* no change, no interrupt */
	assert_false(fh_irq_level(irq));
	put(m, IER, 0x00);
	put(m, IER, 0x02);
	assert_true(fh_irq_level(irq));
	wire.takes = 0;
	put(m, DATA, 'x');
	assert_false(fh_irq_level(irq));
}

/* --- Receiving ------------------------------------------------------------------------------ */

static void received_bytes_are_read_in_order(void **state)
{
	struct fh_machine *m = *state;

	put(m, FCR, 0x01);
	assert_int_equal(receive("abc"), 3);
	assert_reads(m, "abc");
	assert_int_equal(receive("0123456789abcdef"), 16);
	assert_reads(m, "0123456789abcdef");
	assert_int_equal(get(m, DATA), 'f'); /* nothing new: still the last */
}

static void without_fifos_there_is_room_for_one(void **state)
{
	struct fh_machine *m = *state;

	put(m, IER, 0x01);
	assert_int_equal(receive("ab"), 1);
	assert_true(fh_irq_level(irq));
	assert_int_equal(get(m, IIR), 0x04);
	assert_int_equal(wire.room, 0);
	assert_reads(m, "a");
	assert_false(fh_irq_level(irq));
	assert_int_equal(wire.room, 1);
	assert_int_equal(receive("b"), 1);
	assert_reads(m, "b");
	assert_int_equal(wire.room, 1);
}

static void backend_is_told_of_room_once_after_it_was_refused(void **state)
{
	struct fh_machine *m = *state;

	put(m, FCR, 0x01);
	assert_int_equal(receive("0123456789abcdefXYZ"), 16);
	assert_int_equal(receive("XYZ"), 0);
	assert_int_equal(get(m, DATA), '0');
	assert_int_equal(get(m, DATA), '1');
	assert_int_equal(wire.room, 1);
	assert_int_equal(receive("XYZ"), 2);
	put(m, FCR, 0x03);
	assert_int_equal(wire.room, 2);
	assert_false(get(m, LSR) & 0x01);
}

static void fifo_interrupts_at_its_trigger_level(void **state)
{
	static const unsigned levels[4] = { 1, 4, 8, 14 };
	struct fh_machine *m = *state;

	put(m, LCR, 0x80); /* slow, so that no timeout comes in between */
	put(m, IER, 0xff);
	put(m, LCR, 0x03);
	put(m, IER, 0x01);
	for (unsigned i = 0; i < 4; i++) {
		put(m, FCR, 0x03 | i << 6);
		for (unsigned n = 1; n < levels[i]; n++) {
			receive("x");
			assert_false(fh_irq_level(irq));
		}
		receive("x");
		assert_true(fh_irq_level(irq));
		assert_int_equal(get(m, IIR), 0xc4);
		(void)get(m, DATA);
		assert_false(fh_irq_level(irq));
		assert_int_equal(get(m, IIR), 0xc1);
	}
}

static void await_irq(struct fh_machine *m)
{
	const uint64_t last = fh_machine_now(m) + UINT64_C(20000000000);

	while (!fh_irq_level(irq)) {
		assert_true(fh_machine_now(m) < last);
		fh_machine_poll(m);
	}
}

static void bytes_below_the_trigger_level_interrupt_after_a_while(void **state)
{
	struct fh_machine *m = *state;

	put(m, FCR, 0xc1);
	put(m, IER, 0x01);
	const uint64_t before = fh_machine_now(m);

	put(m, LCR, 0x83);
	put(m, DATA, 2); /* 115200 baud: four characters of 10 bits take 347 us */
	put(m, LCR, 0x03);
	receive("ab");
	assert_false(fh_irq_level(irq));
	await_irq(m);
	assert_true(fh_machine_now(m) - before >= 347000);
	assert_int_equal(get(m, IIR), 0xcc);
	assert_int_equal(get(m, DATA), 'a'); /* each read starts it anew */
	assert_false(fh_irq_level(irq));
	assert_int_equal(get(m, IIR), 0xc1);
	await_irq(m);
	assert_int_equal(get(m, IIR), 0xcc);
	assert_int_equal(get(m, DATA), 'b');
	assert_false(fh_irq_level(irq));
}

static void timeout_ends_with_the_fifo(void **state)
{
	struct fh_machine *m = *state;

	put(m, FCR, 0xc1);
	put(m, IER, 0x01);
	receive("a");
	await_irq(m);
	put(m, FCR, 0xc3);
	assert_false(fh_irq_level(irq));
	receive("a");
	await_irq(m);
	put(m, FCR, 0x00); /* switching the FIFOs off empties them */
	assert_false(fh_irq_level(irq));
	assert_int_equal(get(m, LSR), 0x60);
	assert_int_equal(get(m, IIR), 0x01);
}

static void control_bits_count_only_beside_the_enable_bit(void **state)
{
	struct fh_machine *m = *state;

	put(m, FCR, 0x01);
	put(m, IER, 0x01);
	receive("a");
	assert_int_equal(get(m, IIR), 0xc4);
	put(m, FCR, 0xc0); /* disabled; no trigger level of 14 is kept */
	put(m, FCR, 0x01);
	receive("a");
	assert_int_equal(get(m, IIR), 0xc4);
}

static void break_shows_when_its_character_is_next(void **state)
{
	struct fh_machine *m = *state;

	put(m, FCR, 0x01);
	put(m, IER, 0x04);
	receive("a");
	uart_break(uart);
	assert_int_equal(get(m, LSR), 0xe1); /* somewhere in the FIFO */
	assert_false(fh_irq_level(irq));
	assert_int_equal(get(m, DATA), 'a');
	assert_true(fh_irq_level(irq));
	assert_int_equal(get(m, IIR), 0xc6);
	assert_int_equal(get(m, LSR), 0xf1);
	assert_false(fh_irq_level(irq));
	assert_int_equal(get(m, LSR), 0x61);
	assert_int_equal(get(m, DATA), 0);
	assert_int_equal(get(m, LSR), 0x60);
}

/* --- Interrupts ----------------------------------------------------------------------------- */

static void causes_are_told_by_priority(void **state)
{
	struct fh_machine *m = *state;

	put(m, IER, 0x0f);
	uart_set_modem(uart, 0);
	uart_break(uart);
	assert_int_equal(get(m, IIR), 0x06);
	(void)get(m, LSR);
	assert_int_equal(get(m, IIR), 0x04);
	(void)get(m, DATA);
	assert_int_equal(get(m, IIR), 0x02);
	assert_int_equal(get(m, IIR), 0x00);
	assert_true(fh_irq_level(irq));
	(void)get(m, MSR);
	assert_int_equal(get(m, IIR), 0x01);
	assert_false(fh_irq_level(irq));
}

static void only_a_cause_that_was_told_is_cleared_by_reading_it(void **state)
{
	struct fh_machine *m = *state;

	put(m, IER, 0x03);
	receive("a");
	assert_int_equal(get(m, IIR), 0x04);
	assert_int_equal(get(m, IIR), 0x04);
	(void)get(m, DATA);
	assert_int_equal(get(m, IIR), 0x02);
}

static void what_is_not_enabled_does_not_interrupt(void **state)
{
	struct fh_machine *m = *state;

	receive("a");
	uart_set_modem(uart, 0);
	put(m, DATA, 'x');
	assert_false(fh_irq_level(irq));
	assert_int_equal(get(m, IIR), 0x01);
	put(m, IER, 0x01);
	assert_true(fh_irq_level(irq));
	put(m, IER, 0x00);
	assert_false(fh_irq_level(irq));
}

/* --- Modem lines, loopback ------------------------------------------------------------------ */

static void changes_of_modem_lines_are_noted_until_read(void **state)
{
	struct fh_machine *m = *state;

	put(m, IER, 0x08);
	uart_set_modem(uart, UART_CTS);
	assert_true(fh_irq_level(irq));
	assert_int_equal(get(m, MSR), 0x1a);
	assert_int_equal(get(m, MSR), 0x10);
	assert_false(fh_irq_level(irq));
	uart_set_modem(uart, UART_CTS | UART_RI); /* of RI only the end counts */
	assert_false(fh_irq_level(irq));
	assert_int_equal(get(m, MSR), 0x50);
	uart_set_modem(uart, UART_CTS);
	assert_int_equal(get(m, MSR), 0x14);
}

static void loopback_returns_what_is_sent(void **state)
{
	struct fh_machine *m = *state;

	put(m, FCR, 0x01);
	put(m, MCR, 0x10);
	put(m, DATA, 'a');
	put(m, DATA, 'b');
	assert_int_equal(get(m, LSR), 0x61);
	assert_reads(m, "ab");
	assert_sent("");
	put(m, LCR, 0x40);
	assert_int_equal(get(m, LSR), 0xf1);
}

static void loopback_cuts_the_wire(void **state)
{
	struct fh_machine *m = *state;

	put(m, MCR, 0x10);
	assert_int_equal(receive("a"), 0);
	uart_break(uart);
	assert_int_equal(get(m, LSR), 0x60);
	assert_int_equal(wire.room, 0);
	put(m, MCR, 0x00);
	assert_int_equal(wire.room, 1);
	assert_int_equal(receive("a"), 1);
}

static void loopback_connects_the_modem_lines(void **state)
{
	static const uint8_t lines[4][2] = {
		{ 0x01, UART_DSR }, { 0x02, UART_CTS }, { 0x04, UART_RI }, { 0x08, UART_DCD }
	};
	struct fh_machine *m = *state;

	put(m, MCR, 0x10);
	assert_int_equal(get(m, MSR), 0x0b);
	for (unsigned i = 0; i < 4; i++) {
		put(m, MCR, 0x10 | lines[i][0]);
		assert_int_equal(get(m, MSR) & 0xf0, lines[i][1]);
	}
	put(m, MCR, 0x00);
	assert_int_equal(get(m, MSR) & 0xf0, UART_CTS | UART_DSR | UART_DCD);
}

static void overrun_keeps_the_fifo_but_not_the_register(void **state)
{
	struct fh_machine *m = *state;

	put(m, MCR, 0x10);
	put(m, IER, 0x04);
	put(m, DATA, 'a');
	put(m, DATA, 'b');
	assert_true(fh_irq_level(irq));
	assert_int_equal(get(m, LSR), 0x63);
	assert_false(fh_irq_level(irq));
	assert_reads(m, "b");
	put(m, FCR, 0x01);
	for (unsigned i = 0; i < 17; i++)
		put(m, DATA, 'A' + i);
	assert_int_equal(get(m, LSR), 0x63);
	assert_reads(m, "ABCDEFGHIJKLMNOP");
}

/* --- Threads and ends ----------------------------------------------------------------------- */

static void send_numbers(void *arg)
{
	(void)arg;
	for (unsigned n = 0; n < 2000;) {
		const uint8_t byte = n;

		n += uart_receive(uart, &byte, 1);
	}
}

static void bytes_from_another_thread_come_in_order(void **state)
{
	struct fh_machine *m = *state;
	struct worker worker;

	put(m, FCR, 0x01);
	worker_start(&worker, send_numbers, NULL);
	for (unsigned n = 0; n < 2000;) {
		if (get(m, LSR) & 0x01)
			assert_int_equal(get(m, DATA), (uint8_t)n++);
	}
	worker_join(&worker);
}

static void port_that_is_unplugged_takes_nothing(void **state)
{
	struct fh_machine *m = *state;

	fh_object_ref(uart);
	put(m, FCR, 0x01);
	wire.takes = 0;
	put(m, DATA, 'x');
	fh_device_unplug(uart);
	wire.takes = 100;
	assert_int_equal(receive("a"), 0);
	uart_break(uart);
	uart_set_modem(uart, 0);
	fh_machine_drain(m); /* nothing of it is left but its state, which this test keeps */
	uart_writable(uart);
	fh_machine_drain(m);
	assert_sent("");
	fh_object_unref(uart);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(registers_begin_as_the_data_sheet_says),
		test(reset_undoes_all_but_scratch_and_divisor),
		test(reserved_bits_are_0),
		test(divisor_lies_behind_the_latch_bit),
		test(status_registers_take_no_writes),
		test(wide_access_is_one_to_its_register),
		test(debuggers_read_changes_nothing),
		test(what_is_written_is_sent),
		test(without_a_backend_bytes_are_gone),
		test(bytes_wait_in_the_fifo_until_the_backend_takes_them),
		test(one_byte_too_many_replaces_the_last),
		test(clearing_the_fifo_throws_away_what_waits),
		test(empty_transmitter_interrupts_once),
		test(received_bytes_are_read_in_order),
		test(without_fifos_there_is_room_for_one),
		test(backend_is_told_of_room_once_after_it_was_refused),
		test(fifo_interrupts_at_its_trigger_level),
		test(bytes_below_the_trigger_level_interrupt_after_a_while),
		test(timeout_ends_with_the_fifo),
		test(control_bits_count_only_beside_the_enable_bit),
		test(break_shows_when_its_character_is_next),
		test(causes_are_told_by_priority),
		test(only_a_cause_that_was_told_is_cleared_by_reading_it),
		test(what_is_not_enabled_does_not_interrupt),
		test(changes_of_modem_lines_are_noted_until_read),
		test(loopback_returns_what_is_sent),
		test(loopback_cuts_the_wire),
		test(loopback_connects_the_modem_lines),
		test(overrun_keeps_the_fifo_but_not_the_register),
		test(bytes_from_another_thread_come_in_order),
		test(port_that_is_unplugged_takes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
