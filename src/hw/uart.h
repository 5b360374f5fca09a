/* SPDX-License-Identifier: MIT */
/*
 * A 16550A serial port (ns16550a) as a device: region "regs" of 8 bytes, output "irq".
 *
 * What is on the other side of the wire is a backend, which the board gives before realize. All of
 * its callbacks are made in the device's domain: they do not block, and do not call the port.
 */
#ifndef HW_UART_H
#define HW_UART_H

#include <freehold/device.h>

struct uart_backend {
	/**
	 * Take what can be taken at once of @size bytes, and return how many. NULL: bytes that are
	 * sent are gone.
	 */
	size_t (*write)(void *arg, const uint8_t *bytes, size_t size);
	/**
	 * Write took less than it was offered: uart_writable() is to be called when it can take
	 * more. May be NULL if write always takes all.
	 */
	void (*blocked)(void *arg);
	/** The receiver has room again, after uart_receive() took less than it was offered. */
	void (*room)(void *arg);
};

/** Lines of the modem, at the bits where the modem status register has them. */
enum uart_modem {
	UART_CTS = 0x10,
	UART_DSR = 0x20,
	UART_RI = 0x40,
	UART_DCD = 0x80,
};

/** Properties: "clock", Hz of the clock that the divisor divides. */
extern const struct fh_type uart_type;

/** Before realize. @backend and @arg (both borrowed) stay until the device's unplug is done. */
void uart_set_backend(struct fh_device *device, const struct uart_backend *backend, void *arg);

/**
 * Bytes from the wire. Returns how many fit, from the first on; if not all, the backend's room is
 * called when more do. Of a device that is not shown: 0, and nobody is called. Context: as
 * fh_device_call(); waits for the domain.
 */
size_t uart_receive(struct fh_device *device, const uint8_t *bytes, size_t size);

/** The wire is held low for longer than a character: a break. Context: as uart_receive(). */
void uart_break(struct fh_device *device);

/** The modem's lines, any of enum uart_modem; from birth CTS, DSR, DCD. As uart_receive(). */
void uart_set_modem(struct fh_device *device, uint8_t lines);

/** The backend can take bytes again. Any thread, any context, from realize on. */
void uart_writable(struct fh_device *device);

/** The backend is offered what is left to send before this returns. Context: as uart_receive(). */
void uart_flush(struct fh_device *device);

#endif
