/* SPDX-License-Identifier: MIT */
/*
 * The 16550A, after National Semiconductor's data sheet of the PC16550D, whose tables are cited.
 *
 * Time on the wire does not pass: a byte is sent when the backend takes it, and received when it
 * comes. Only the timeout of the receiver's FIFO runs in real time, for there the guest waits for
 * more.
 *
 * R1. All state belongs to the domain.
 * R2. What changes a cause of an interrupt ends in uart_update(), so that the line is the level
 *     that the causes make.
 * R3. Nothing is lost on the way to the guest: what has no room stays with the backend. Only in
 *     loopback, where the guest itself is the sender, can the receiver overrun.
 * R4. A debugger's read changes nothing.
 */
#include "hw/uart.h"

#include <freehold/machine.h>

#include <string.h>

#define FIFO_SIZE 16

enum {
	REG_DATA, /* RBR, THR; DLL */
	REG_IER,  /* or DLM */
	REG_IIR,  /* read; FCR: write */
	REG_LCR,
	REG_MCR,
	REG_LSR,
	REG_MSR,
	REG_SCR,
	REG_COUNT,
};

enum {
	IER_RX = 0x01,
	IER_TX = 0x02,
	IER_LINE = 0x04,
	IER_MODEM = 0x08,
	IER_ALL = 0x0f,
};

/* Table IV: the causes, highest priority first. */
enum {
	IIR_LINE = 0x06,
	IIR_RX = 0x04,
	IIR_TIMEOUT = 0x0c,
	IIR_TX = 0x02,
	IIR_MODEM = 0x00,
	IIR_NONE = 0x01,
	IIR_FIFOS = 0xc0,
};

enum {
	FCR_ENABLE = 0x01,
	FCR_CLEAR_RX = 0x02,
	FCR_CLEAR_TX = 0x04,
	FCR_TRIGGER_SHIFT = 6,
};

enum {
	LCR_STOP = 0x04,
	LCR_PARITY = 0x08,
	LCR_BREAK = 0x40,
	LCR_DLAB = 0x80,
};

enum {
	MCR_DTR = 0x01,
	MCR_RTS = 0x02,
	MCR_OUT1 = 0x04,
	MCR_OUT2 = 0x08,
	MCR_LOOP = 0x10,
	MCR_ALL = 0x1f,
};

enum {
	LSR_DATA = 0x01,
	LSR_OVERRUN = 0x02,
	LSR_PARITY = 0x04,
	LSR_FRAMING = 0x08,
	LSR_BREAK = 0x10,
	LSR_THR_EMPTY = 0x20,
	LSR_SENT = 0x40,
	LSR_FIFO_ERROR = 0x80,
	LSR_OF_CHARACTER = LSR_PARITY | LSR_FRAMING | LSR_BREAK,
	LSR_ERRORS = LSR_OF_CHARACTER | LSR_OVERRUN,
};

#define MSR_DELTAS 0x0f
#define MSR_TRAILING_RI 0x04

/* A received character with what was wrong with it: bits of the LSR. */
struct character {
	uint8_t byte, errors;
};

struct uart {
	struct fh_machine *machine;
	struct fh_irq *irq;
	struct fh_timer *timeout;
	struct fh_bh *flush;
	const struct uart_backend *backend; /* or NULL */
	void *arg;
	uint32_t clock; /* property, Hz */

	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t lsr; /* errors only: the rest follows from the FIFOs */
	uint8_t msr;
	uint8_t modem; /* lines of enum uart_modem as the wire has them */
	uint16_t divisor;

	struct character rx[FIFO_SIZE];
	unsigned rx_first, rx_count;
	bool rx_refused;  /* the backend waits for room */
	bool rx_timed_out;
	uint8_t tx[FIFO_SIZE]; /* a write goes in here, and out at once if the backend takes it */
	unsigned tx_count;
	bool tx_interrupt; /* the THR became empty and nobody knows yet */
};

/* --- Interrupts ----------------------------------------------------------------------------- */

static bool fifos_on(const struct uart *uart)
{
	return uart->fcr & FCR_ENABLE;
}

static unsigned fifo_size(const struct uart *uart)
{
	return fifos_on(uart) ? FIFO_SIZE : 1;
}

static unsigned rx_trigger(const struct uart *uart)
{
	static const uint8_t levels[4] = { 1, 4, 8, 14 };

	return fifos_on(uart) ? levels[uart->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

static uint8_t uart_cause(const struct uart *uart)
{
	if ((uart->ier & IER_LINE) && (uart->lsr & LSR_ERRORS))
		return IIR_LINE;
	if ((uart->ier & IER_RX) && uart->rx_count >= rx_trigger(uart))
		return IIR_RX;
	if ((uart->ier & IER_RX) && uart->rx_timed_out)
		return IIR_TIMEOUT;
	if ((uart->ier & IER_TX) && uart->tx_interrupt)
		return IIR_TX;
	if ((uart->ier & IER_MODEM) && (uart->msr & MSR_DELTAS))
		return IIR_MODEM;
	return IIR_NONE;
}

static void uart_update(struct uart *uart)
{
	fh_irq_set(uart->irq, uart_cause(uart) != IIR_NONE);
}

/* --- The receiver --------------------------------------------------------------------------- */

/*
 * Four characters' time at the speed that the guest has set, but no more than a person at a
 * terminal would notice: there is no slow wire here to wait for.
 */
static uint64_t timeout_ns(const struct uart *uart)
{
	const uint64_t longest = 10000000;
	const unsigned bits = 1 + 5 + (uart->lcr & 3) + !!(uart->lcr & LCR_PARITY) + 1 +
			      !!(uart->lcr & LCR_STOP);
	const uint64_t clocks = UINT64_C(4) * bits * 16 * uart->divisor;
	const uint64_t time = uart->clock ? clocks * 1000000000 / uart->clock : longest;

	return time < longest ? time : longest;
}

/* Each character in and each one out starts it anew; one that has run out stays so until a read. */
static void rx_watch(struct uart *uart)
{
	if (fifos_on(uart) && uart->rx_count > 0)
		fh_timer_arm(uart->timeout, fh_machine_now(uart->machine) + timeout_ns(uart));
	else
		fh_timer_cancel(uart->timeout);
}

static void rx_timed_out(void *state)
{
	struct uart *uart = state;

	uart->rx_timed_out = fifos_on(uart) && uart->rx_count > 0;
	uart_update(uart);
}

/* An error shows in the LSR when its character is the next one to be read. */
static void rx_show_errors(struct uart *uart)
{
	if (uart->rx_count > 0)
		uart->lsr |= uart->rx[uart->rx_first].errors;
}

static void rx_put(struct uart *uart, uint8_t byte, uint8_t errors)
{
	const struct character character = { byte, errors };

	if (uart->rx_count == fifo_size(uart)) {
		uart->lsr |= LSR_OVERRUN;
		/* A FIFO keeps what it has; without one, the new character is in the register. */
		if (!fifos_on(uart))
			uart->rx[uart->rx_first] = character;
		return;
	}
	uart->rx[(uart->rx_first + uart->rx_count++) % FIFO_SIZE] = character;
	if (uart->rx_count == 1)
		rx_show_errors(uart);
	rx_watch(uart);
}

static void rx_made_room(struct uart *uart)
{
	if (!uart->rx_refused || (uart->mcr & MCR_LOOP))
		return;
	uart->rx_refused = false;
	if (uart->backend && uart->backend->room)
		uart->backend->room(uart->arg);
}

static uint8_t rx_read(struct uart *uart)
{
	/* Nothing there: the register still holds what was read last. */
	if (uart->rx_count == 0)
		return uart->rx[(uart->rx_first + FIFO_SIZE - 1) % FIFO_SIZE].byte;
	const uint8_t byte = uart->rx[uart->rx_first].byte;

	uart->rx_first = (uart->rx_first + 1) % FIFO_SIZE;
	uart->rx_count--;
	uart->rx_timed_out = false;
	rx_show_errors(uart);
	rx_watch(uart);
	rx_made_room(uart);
	return byte;
}

static void rx_clear(struct uart *uart)
{
	uart->rx_count = 0;
	uart->rx_timed_out = false;
	rx_watch(uart);
	rx_made_room(uart);
}

/* --- The transmitter ------------------------------------------------------------------------ */

static size_t tx_send(struct uart *uart)
{
	if (uart->mcr & MCR_LOOP) {
		for (unsigned i = 0; i < uart->tx_count; i++)
			rx_put(uart, uart->tx[i], 0);
		return uart->tx_count;
	}
	if (!uart->backend || !uart->backend->write)
		return uart->tx_count;
	return uart->backend->write(uart->arg, uart->tx, uart->tx_count);
}

static void tx_flush(struct uart *uart)
{
	if (uart->tx_count == 0)
		return;
	const size_t sent = tx_send(uart);

	uart->tx_count -= sent;
	memmove(uart->tx, uart->tx + sent, uart->tx_count);
	if (uart->tx_count == 0)
		uart->tx_interrupt = true;
	else if (uart->backend->blocked)
		uart->backend->blocked(uart->arg);
}

static void tx_flush_later(void *state)
{
	struct uart *uart = state;

	tx_flush(uart);
	uart_update(uart);
}

static void tx_write(struct uart *uart, uint8_t byte)
{
	uart->tx_interrupt = false;
	/* One too many takes the place of the last: the guest did not look at the LSR. */
	if (uart->tx_count == fifo_size(uart))
		uart->tx_count--;
	uart->tx[uart->tx_count++] = byte;
	tx_flush(uart);
}

static void tx_clear(struct uart *uart)
{
	if (uart->tx_count > 0)
		uart->tx_interrupt = true;
	uart->tx_count = 0;
}

/* --- Modem lines ---------------------------------------------------------------------------- */

static uint8_t modem_lines(const struct uart *uart)
{
	if (!(uart->mcr & MCR_LOOP))
		return uart->modem;
	return (uart->mcr & MCR_RTS ? UART_CTS : 0) | (uart->mcr & MCR_DTR ? UART_DSR : 0) |
	       (uart->mcr & MCR_OUT1 ? UART_RI : 0) | (uart->mcr & MCR_OUT2 ? UART_DCD : 0);
}

/* The low half notes what has changed since the last read; of RI only that it went away. */
static void modem_update(struct uart *uart)
{
	const uint8_t lines = modem_lines(uart);
	const uint8_t old = uart->msr & ~MSR_DELTAS;
	uint8_t deltas = (old ^ lines) >> 4;

	if (lines & UART_RI)
		deltas &= ~MSR_TRAILING_RI;
	uart->msr = lines | (uart->msr & MSR_DELTAS) | deltas;
}

/* --- Registers ------------------------------------------------------------------------------ */

static uint8_t uart_lsr(const struct uart *uart)
{
	uint8_t lsr = uart->lsr;

	if (uart->rx_count > 0)
		lsr |= LSR_DATA;
	if (uart->tx_count == 0)
		lsr |= LSR_THR_EMPTY | LSR_SENT;
	if (!fifos_on(uart))
		return lsr;
	if (lsr & LSR_OF_CHARACTER)
		lsr |= LSR_FIFO_ERROR;
	for (unsigned i = 0; i < uart->rx_count; i++)
		if (uart->rx[(uart->rx_first + i) % FIFO_SIZE].errors)
			lsr |= LSR_FIFO_ERROR;
	return lsr;
}

static uint8_t uart_peek(const struct uart *uart, uint64_t offset)
{
	const bool latch = uart->lcr & LCR_DLAB;

	switch (offset) {
	case REG_DATA:
		return latch ? uart->divisor & 0xff : uart->rx[uart->rx_first].byte;
	case REG_IER:
		return latch ? uart->divisor >> 8 : uart->ier;
	case REG_IIR:
		return uart_cause(uart) | (fifos_on(uart) ? IIR_FIFOS : 0);
	case REG_LCR:
		return uart->lcr;
	case REG_MCR:
		return uart->mcr;
	case REG_LSR:
		return uart_lsr(uart);
	case REG_MSR:
		return uart->msr;
	default:
		return uart->scr;
	}
}

static enum fh_tx uart_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			    struct fh_attrs attrs)
{
	struct uart *uart = state;

	(void)size;
	*ret_value = uart_peek(uart, offset);
	if (attrs.debug)
		return FH_TX_OK;
	switch (offset) {
	case REG_DATA:
		if (!(uart->lcr & LCR_DLAB))
			*ret_value = rx_read(uart);
		break;
	case REG_IIR: /* only if it is what the guest has been told of */
		if (uart_cause(uart) == IIR_TX)
			uart->tx_interrupt = false;
		break;
	case REG_LSR:
		uart->lsr = 0;
		if (uart->rx_count > 0)
			uart->rx[uart->rx_first].errors = 0;
		break;
	case REG_MSR:
		uart->msr &= ~MSR_DELTAS;
		break;
	default:
		break;
	}
	uart_update(uart);
	return FH_TX_OK;
}

static void ier_write(struct uart *uart, uint8_t value)
{
	/* To enable the interrupt of an empty THR is to be told that it is empty. */
	if ((value & ~uart->ier & IER_TX) && uart->tx_count == 0)
		uart->tx_interrupt = true;
	uart->ier = value & IER_ALL;
}

static void fcr_write(struct uart *uart, uint8_t value)
{
	const bool changed = (value ^ uart->fcr) & FCR_ENABLE;

	/* The other bits count only beside this one. */
	uart->fcr = value & FCR_ENABLE ? value & ~(FCR_CLEAR_RX | FCR_CLEAR_TX) : 0;
	if (changed || (value & FCR_ENABLE && value & FCR_CLEAR_RX))
		rx_clear(uart);
	if (changed || (value & FCR_ENABLE && value & FCR_CLEAR_TX))
		tx_clear(uart);
}

static void lcr_write(struct uart *uart, uint8_t value)
{
	const bool begins = value & ~uart->lcr & LCR_BREAK;

	uart->lcr = value;
	if (begins && (uart->mcr & MCR_LOOP))
		rx_put(uart, 0, LSR_BREAK);
}

static void mcr_write(struct uart *uart, uint8_t value)
{
	uart->mcr = value & MCR_ALL;
	modem_update(uart);
	if (uart->rx_count < fifo_size(uart))
		rx_made_room(uart);
}

static void divisor_write(struct uart *uart, unsigned shift, uint8_t value)
{
	uart->divisor = (uart->divisor & ~(0xff << shift)) | (value << shift);
}

static enum fh_tx uart_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			     struct fh_attrs attrs)
{
	struct uart *uart = state;
	const bool latch = uart->lcr & LCR_DLAB;

	(void)size, (void)attrs;
	switch (offset) {
	case REG_DATA:
		latch ? divisor_write(uart, 0, value) : tx_write(uart, value);
		break;
	case REG_IER:
		latch ? divisor_write(uart, 8, value) : ier_write(uart, value);
		break;
	case REG_IIR:
		fcr_write(uart, value);
		break;
	case REG_LCR:
		lcr_write(uart, value);
		break;
	case REG_MCR:
		mcr_write(uart, value);
		break;
	case REG_SCR:
		uart->scr = value;
		break;
	default: /* what a write to the LSR or MSR does the data sheet leaves to the factory */
		break;
	}
	uart_update(uart);
	return FH_TX_OK;
}

/*
 * A wider access is one to the register at its address, as a port on a wider bus sees it: there
 * are guests that print with a store of a word, and eight registers must not change for that.
 */
static const struct fh_region_ops uart_regs = {
	.read = uart_read,
	.write = uart_write,
	.valid = { .max = 8, .unaligned = true },
	.impl = { .max = 8, .unaligned = true },
};

/* --- The wire ------------------------------------------------------------------------------- */

struct incoming {
	struct uart *uart;
	const uint8_t *bytes;
	size_t size, taken;
};

static void receive_bytes(void *state)
{
	struct incoming *in = state;
	struct uart *uart = in->uart;

	/* In loopback the receiver is cut off the wire. */
	while (!(uart->mcr & MCR_LOOP) && in->taken < in->size && uart->rx_count < fifo_size(uart))
		rx_put(uart, in->bytes[in->taken++], 0);
	if (in->taken < in->size)
		uart->rx_refused = true;
	uart_update(uart);
}

size_t uart_receive(struct fh_device *device, const uint8_t *bytes, size_t size)
{
	struct incoming in = { .uart = fh_device_state(device), .bytes = bytes, .size = size };

	fh_device_call(device, receive_bytes, &in);
	return in.taken;
}

static void receive_break(void *state)
{
	struct uart *uart = state;

	if (!(uart->mcr & MCR_LOOP))
		rx_put(uart, 0, LSR_BREAK);
	uart_update(uart);
}

void uart_break(struct fh_device *device)
{
	fh_device_call(device, receive_break, fh_device_state(device));
}

struct modem_change {
	struct uart *uart;
	uint8_t lines;
};

static void change_modem(void *state)
{
	const struct modem_change *change = state;

	change->uart->modem = change->lines & ~MSR_DELTAS;
	modem_update(change->uart);
	uart_update(change->uart);
}

void uart_set_modem(struct fh_device *device, uint8_t lines)
{
	struct modem_change change = { .uart = fh_device_state(device), .lines = lines };

	fh_device_call(device, change_modem, &change);
}

void uart_writable(struct fh_device *device)
{
	const struct uart *uart = fh_device_state(device);

	/*
	 * From any thread, after an unplug too: what is realized has its parts until the section
	 * ends.
	 */
	fh_read_begin();
	if (fh_device_is_realized(device))
		fh_bh_schedule(uart->flush);
	fh_read_end();
}

void uart_flush(struct fh_device *device)
{
	fh_device_call(device, tx_flush_later, fh_device_state(device));
}

/* --- Life ----------------------------------------------------------------------------------- */

void uart_set_backend(struct fh_device *device, const struct uart_backend *backend, void *arg)
{
	struct uart *uart = fh_device_state(device);

	uart->backend = backend;
	uart->arg = arg;
}

static enum fh_code uart_init(struct fh_object *object, void *state, struct fh_error *err)
{
	struct uart *uart = state;

	(void)err;
	uart->machine = fh_object_get_machine(object);
	uart->modem = UART_CTS | UART_DSR | UART_DCD;
	uart->msr = uart->modem;
	uart->divisor = 1;
	return FH_OK;
}

static enum fh_code uart_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct uart *uart = state;

	uart->irq = fh_irq_new(device, "irq");
	uart->timeout = fh_timer_new(device, "timeout", rx_timed_out, uart);
	uart->flush = fh_bh_new(device, "flush", tx_flush_later, uart);
	return fh_device_export(
		device, fh_region_new_mmio(device, "regs", REG_COUNT, &uart_regs, uart), err);
}

/* Table III, the master reset: the divisor and the scratch register are not touched. */
static void uart_reset(struct fh_device *device, void *state, enum fh_reset_type type)
{
	struct uart *uart = state;

	(void)device, (void)type;
	uart->ier = uart->fcr = uart->lcr = uart->mcr = uart->lsr = 0;
	uart->msr = uart->modem;
	uart->tx_count = 0;
	uart->tx_interrupt = false;
	rx_clear(uart);
}

static void uart_reset_done(struct fh_device *device, void *state, enum fh_reset_type type)
{
	(void)device, (void)type;
	uart_update(state);
}

static const struct fh_property uart_properties[] = {
	{ .name = "clock", .kind = FH_PROPERTY_U32, .offset = offsetof(struct uart, clock),
	  .preset = "3686400", .description = "Hz of the clock that the divisor divides" },
	{ 0 },
};

const struct fh_type uart_type = {
	.name = "ns16550a",
	.parent = &fh_device_type,
	.state_size = sizeof(struct uart),
	.init = uart_init,
	.properties = uart_properties,
	.device = &(const struct fh_device_ops){
		.realize = uart_realize,
		.reset_enter = uart_reset,
		.reset_hold = uart_reset_done,
	},
};
