/* SPDX-License-Identifier: MIT */
/*
 * The board: see virt.h.
 *
 * R1. What ends or resets the machine comes from any thread, at times from within a hart's own
 *     access. It only leaves a request, and the loop's thread, which may stop harts, serves it.
 * R2. The first request to end counts; a reset gives way to it.
 */
#include "machine/virt.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "hw/aclint.h"
#include "hw/plic.h"
#include "hw/rtc.h"
#include "hw/syscon.h"
#include "hw/uart.h"
#include "machine/boot.h"
#include "machine/console.h"
#include "machine/map.h"

/* A request (R1): 0 is none. */
enum { REQUEST_RESET = 1, REQUEST_END = 2, REQUEST_STATUS_SHIFT = 8 };

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

enum { SIGNAL_COUNT = sizeof(signals) / sizeof(signals[0]), DEVICES_MAX = 5 };

struct virt {
	const struct machine_options *o;
	struct loop *loop;
	struct fh_machine *m;
	struct fh_space *memory;
	struct fh_region *ram, *rom, *tohost;
	struct fh_device *plic, *aclint, *uart, *rtc, *syscon;
	struct fh_device *devices[DEVICES_MAX]; /* the same, in order of creation */
	unsigned device_count;
	struct fh_device *harts[VIRT_HARTS_MAX];
	unsigned hart_count;
	struct code_pages *code_pages;
	struct console *console;
	struct boot boot;
	uint64_t tohost_value;
	FILE *trace;

	_Atomic uint32_t request; /* R1 */
	int status;
	bool asked_to_leave; /* by the user, who does not want to wait */
	bool failed;
	struct fh_error error;
	uv_signal_t *signal_handles;
	unsigned signals_open;
};

/* --- Requests ------------------------------------------------------------------------------- */

static void request(struct virt *v, uint32_t what)
{
	uint32_t old = 0;

	/* Release: pairs with the acquire in serve(). */
	while (!(old & REQUEST_END) &&
	       !atomic_compare_exchange_weak_explicit(&v->request, &old, what, memory_order_release,
						      memory_order_relaxed))
		;
	loop_wake(v->loop);
}

static void request_end(struct virt *v, unsigned status)
{
	request(v, REQUEST_END | (status > 255 ? 255 : status) << REQUEST_STATUS_SHIFT);
}

static void on_poweroff(void *arg, unsigned code)
{
	request_end(arg, code);
}

static void on_reset(void *arg)
{
	struct virt *v = arg;

	if (v->o->no_reboot)
		request_end(v, 0);
	else
		request(v, REQUEST_RESET);
}

static const struct syscon_ops syscon_ops = { .poweroff = on_poweroff, .reset = on_reset };

static void on_quit(void *arg)
{
	struct virt *v = arg;

	v->asked_to_leave = true; /* read after the console's threads have ended */
	request_end(v, 0);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct virt *v = handle->data;

	v->asked_to_leave = true;
	request_end(v, 128 + (unsigned)number);
}

/* --- tohost --------------------------------------------------------------------------------- */

static enum fh_tx tohost_read(void *state, uint64_t offset, uint64_t *ret_value, unsigned size,
			      struct fh_attrs attrs)
{
	const struct virt *v = state;

	(void)size;
	(void)attrs;
	*ret_value = v->tohost_value >> 8 * offset;
	return FH_TX_OK;
}

/* Odd values end the run; others ask a host for services, and there is none. */
static enum fh_tx tohost_write(void *state, uint64_t offset, uint64_t value, unsigned size,
			       struct fh_attrs attrs)
{
	struct virt *v = state;
	const uint64_t mask = (size < 8 ? (UINT64_C(1) << 8 * size) - 1 : UINT64_MAX) << 8 * offset;

	(void)attrs;
	v->tohost_value = (v->tohost_value & ~mask) | (value << 8 * offset & mask);
	if (offset == 0 && v->tohost_value & 1)
		request_end(v, v->tohost_value >> 1 > 255 ? 255 : (unsigned)(v->tohost_value >> 1));
	return FH_TX_OK;
}

static const struct fh_region_ops tohost_ops = { .read = tohost_read,
						 .write = tohost_write,
						 .valid = { .min = 1, .max = 8 } };

/* --- Traces --------------------------------------------------------------------------------- */

static const char *cause_name(uint64_t cause)
{
	static const char *const exceptions[] = {
		"instruction address misaligned",
		"instruction access fault",
		"illegal instruction",
		"breakpoint",
		"load address misaligned",
		"load access fault",
		"store address misaligned",
		"store access fault",
		"call from U",
		"call from S",
		NULL,
		"call from M",
		"instruction page fault",
		"load page fault",
		NULL,
		"store page fault",
	};
	static const char *const interrupts[] = {
		[1] = "supervisor software", [3] = "machine software",
		[5] = "supervisor timer",    [7] = "machine timer",
		[9] = "supervisor external", [11] = "machine external",
	};
	const uint64_t number = cause & INT64_MAX;
	const bool interrupt = cause >> 63;
	const char *name = NULL;

	if (interrupt && number < sizeof(interrupts) / sizeof(interrupts[0]))
		name = interrupts[number];
	if (!interrupt && number < sizeof(exceptions) / sizeof(exceptions[0]))
		name = exceptions[number];
	return name ? name : "unknown";
}

static unsigned trace_kind(uint64_t cause)
{
	if (cause == 2)
		return TRACE_INT | TRACE_UNIMP;
	if (cause == 1 || cause == 5 || cause == 7)
		return TRACE_INT | TRACE_GUEST_ERRORS;
	return TRACE_INT;
}

static void on_trap(void *arg, unsigned hart, uint64_t cause, uint64_t pc, uint64_t tval,
		    unsigned to_priv)
{
	struct virt *v = arg;

	if (v->o->trace & trace_kind(cause))
		fprintf(v->trace,
			"hart %u: %s %" PRIu64 " (%s) at 0x%" PRIx64 ", tval 0x%" PRIx64
			", to %s\n",
			hart, cause >> 63 ? "interrupt" : "exception", cause & INT64_MAX,
			cause_name(cause), pc, tval, to_priv == 3 ? "M" : "S");
}

static enum fh_code open_trace(struct virt *v, struct fh_error *err)
{
	const char *path = v->o->trace_file;

	v->trace = path ? fopen(path, "we") : stderr;
	if (!v->trace)
		return fh_error_set(err, FH_EIO, "%s: %s", path, strerror(errno));
	if (path)
		setvbuf(v->trace, NULL, _IOLBF, 0);
	return FH_OK;
}

/* --- The board ------------------------------------------------------------------------------ */

static void map(struct virt *v, struct fh_device *device, const char *region, uint64_t addr)
{
	fh_region_add(fh_space_root(v->memory), fh_device_region(device, region), addr, 0);
}

static void wire(struct fh_device *from, const char *output, struct fh_device *to,
		 const char *input)
{
	fh_irq_connect(fh_device_irq(from, output), fh_device_irq(to, input));
}

/* A line of which there are many. */
static void wire_numbered(struct fh_device *from, const char *output, unsigned number,
			  struct fh_device *to, const char *input)
{
	char name[32];

	snprintf(name, sizeof(name), "%s-%u", output, number);
	wire(from, name, to, input);
}

static struct fh_device *new_device(struct virt *v, const struct fh_type *type, const char *name,
				    const char *property, int64_t value, struct fh_error *err)
{
	char text[32];
	const struct fh_setting settings[] = { { property, text }, { NULL, NULL } };
	struct fh_device *device;

	snprintf(text, sizeof(text), "%" PRId64, value);
	device = fh_device_new(v->m, type, name, property ? settings : NULL, err);
	if (device)
		v->devices[v->device_count++] = device;
	return device;
}

static enum fh_code make_memory(struct virt *v, struct fh_error *err)
{
	v->ram = fh_region_new_ram(v->m, "ram", v->o->ram_size, err);
	if (!v->ram) {
		fh_error_prefix(err, "-m: ");
		return FH_ENOMEM;
	}
	v->rom = fh_region_new_rom(v->m, "rom", VIRT_ROM_SIZE, FH_ROM_IGNORE, err);
	if (!v->rom)
		return FH_ENOMEM;
	fh_region_add(fh_space_root(v->memory), v->ram, VIRT_RAM, 0);
	fh_region_add(fh_space_root(v->memory), v->rom, VIRT_ROM, 0);
	return FH_OK;
}

/* Before the harts are made, as at the first reset, there are none to tell. */
static void on_time_jumped(void *arg)
{
	struct virt *v = arg;

	for (unsigned i = 0; i < v->hart_count; i++)
		cpu_time_jumped(v->harts[i]);
}

static enum fh_code make_devices(struct virt *v, struct fh_error *err)
{
	v->plic = new_device(v, &plic_type, "plic", "contexts", 2 * v->o->harts, err);
	v->aclint = new_device(v, &aclint_type, "aclint", "harts", v->o->harts, err);
	v->uart = new_device(v, &uart_type, "uart", "clock", VIRT_UART_CLOCK, err);
	v->rtc = new_device(v, &rtc_type, "rtc", "offset", v->o->rtc_offset, err);
	v->syscon = new_device(v, &syscon_type, "syscon", NULL, 0, err);
	if (v->device_count != DEVICES_MAX)
		return FH_EINVAL;
	if (fh_object_set_u64(v->plic, "sources", VIRT_PLIC_SOURCES, err) != FH_OK)
		return FH_EINVAL;
	uart_set_backend(v->uart, &console_backend, v->console);
	syscon_set_ops(v->syscon, &syscon_ops, v);
	aclint_set_jumped(v->aclint, on_time_jumped, v);
	for (unsigned i = 0; i < DEVICES_MAX; i++)
		if (fh_device_realize(v->devices[i], err) != FH_OK)
			return FH_EINVAL;

	map(v, v->plic, "regs", VIRT_PLIC);
	map(v, v->aclint, "clint", VIRT_CLINT);
	map(v, v->aclint, "sswi", VIRT_SSWI);
	map(v, v->uart, "regs", VIRT_UART);
	map(v, v->rtc, "regs", VIRT_RTC);
	map(v, v->syscon, "regs", VIRT_TEST);
	wire(v->uart, "irq", v->plic, "source-10");
	wire(v->rtc, "irq", v->plic, "source-11");
	return FH_OK;
}

static enum fh_code make_hart(struct virt *v, unsigned id, struct fh_error *err)
{
	const struct cpu_config config = {
		.hart_id = id,
		.isa = v->o->isa,
		.memory = v->memory,
		.code_pages = v->code_pages,
		.time = aclint_time,
		.time_arg = fh_device_state(v->aclint),
		.time_hz = VIRT_TIMEBASE,
		.reset_pc = VIRT_ROM,
		.trace = v->o->trace ? on_trap : NULL,
		.trace_arg = v,
	};
	char name[16];
	struct fh_device *hart;

	snprintf(name, sizeof(name), "hart%u", id);
	hart = fh_device_new(v->m, &cpu_type, name, NULL, err);
	if (!hart)
		return FH_EINVAL;
	v->harts[v->hart_count++] = hart;
	cpu_configure(hart, &config);
	if (fh_device_realize(hart, err) != FH_OK)
		return FH_EINVAL;
	wire_numbered(v->aclint, "msi", id, hart, "msi");
	wire_numbered(v->aclint, "mti", id, hart, "mti");
	wire_numbered(v->aclint, "ssi", id, hart, "ssi");
	wire_numbered(v->plic, "context", 2 * id, hart, "mei");
	wire_numbered(v->plic, "context", 2 * id + 1, hart, "sei");
	return FH_OK;
}

static enum fh_code load(struct virt *v, struct fh_error *err)
{
	enum fh_code code;

	fh_object_unref(v->tohost);
	v->tohost = NULL;
	v->tohost_value = 0;
	free(v->boot.dtb);
	v->boot = (struct boot){ 0 };
	code = boot_load(v->memory, v->o, &v->boot, err);
	if (code != FH_OK || !v->boot.has_tohost)
		return code;
	v->tohost = fh_region_new_mmio(v->m, "tohost", 8, &tohost_ops, v);
	return fh_region_add(fh_space_root(v->memory), v->tohost, v->boot.tohost, 1);
}

static enum fh_code make(struct virt *v, struct fh_error *err)
{
	enum fh_code code = make_memory(v, err);

	if (code == FH_OK)
		code = load(v, err);
	if (code == FH_OK)
		code = open_trace(v, err);
	if (code != FH_OK)
		return code;
	v->console = console_new(v->o->serial, v->loop, on_quit, v, err);
	if (!v->console)
		return FH_EIO;
	code = make_devices(v, err);
	v->code_pages = code_pages_new();
	for (unsigned id = 0; code == FH_OK && id < v->o->harts; id++)
		code = make_hart(v, id, err);
	return code;
}

struct virt *virt_new(const struct machine_options *options, struct loop *loop,
		      struct fh_error *err)
{
	const struct fh_machine_options machine = { .loop_ops = &loop_ops, .loop = loop };
	struct virt *v = calloc(1, sizeof(*v));

	if (!v) {
		fh_error_set(err, FH_ENOMEM, "no memory for a machine");
		return NULL;
	}
	v->o = options;
	v->loop = loop;
	v->m = fh_machine_new(&machine);
	v->memory = fh_machine_memory(v->m);
	if (make(v, err) != FH_OK) {
		virt_free(v, NULL);
		return NULL;
	}
	return v;
}

enum fh_code virt_dump_dtb(struct virt *v, const char *path, struct fh_error *err)
{
	FILE *file = fopen(path, "we");
	bool written;

	if (!file)
		return fh_error_set(err, FH_EIO, "%s: %s", path, strerror(errno));
	written = fwrite(v->boot.dtb, 1, v->boot.dtb_size, file) == v->boot.dtb_size;
	if (fclose(file) != 0 || !written)
		return fh_error_set(err, FH_EIO, "%s: %s", path, strerror(errno));
	return FH_OK;
}

/* --- Running -------------------------------------------------------------------------------- */

static void start_harts(struct virt *v)
{
	for (unsigned i = 0; i < v->hart_count; i++)
		cpu_start(v->harts[i]);
}

static void stop_harts(struct virt *v)
{
	for (unsigned i = 0; i < v->hart_count; i++)
		cpu_stop(v->harts[i]);
}

/* RAM stays as it is but for what is loaded anew. */
static void reboot(struct virt *v)
{
	stop_harts(v);
	fh_machine_reset(v->m, FH_RESET_WARM);
	if (load(v, &v->error) != FH_OK) {
		fh_error_prefix(&v->error, "reboot: ");
		v->failed = true;
		loop_stop(v->loop);
		return;
	}
	start_harts(v);
}

static void serve(void *arg)
{
	struct virt *v = arg;
	/* Acquire: pairs with the release in request(). */
	const uint32_t what = atomic_load_explicit(&v->request, memory_order_acquire);
	uint32_t reset = REQUEST_RESET;

	if (what & REQUEST_END) {
		v->status = (int)(what >> REQUEST_STATUS_SHIFT);
		loop_stop(v->loop);
	} else if (what == REQUEST_RESET) {
		/* If it has become an end meanwhile, the loop was woken for that. */
		atomic_compare_exchange_strong_explicit(&v->request, &reset, 0,
							memory_order_relaxed, memory_order_relaxed);
		reboot(v);
	}
}

static void catch_signals(struct virt *v)
{
	v->signal_handles = calloc(SIGNAL_COUNT, sizeof(*v->signal_handles));
	for (unsigned i = 0; v->signal_handles && i < SIGNAL_COUNT; i++) {
		uv_signal_t *handle = &v->signal_handles[i];

		if (uv_signal_init(loop_uv(v->loop), handle) != 0)
			return;
		handle->data = v;
		v->signals_open++;
		uv_signal_start(handle, on_signal, signals[i]);
	}
}

enum fh_code virt_run(struct virt *v, int *ret_status, struct fh_error *err)
{
	/* A pipe that nobody reads any more is an error of write(). */
	signal(SIGPIPE, SIG_IGN);
	catch_signals(v);
	console_connect(v->console, v->uart);
	if (!v->o->stopped)
		start_harts(v);
	loop_run(v->loop, v->m, serve, v);
	stop_harts(v);
	if (v->failed)
		return fh_error_set(err, v->error.code, "%s", v->error.message);
	*ret_status = v->status;
	return FH_OK;
}

/* --- The end -------------------------------------------------------------------------------- */

static void close_signals(struct virt *v)
{
	for (unsigned i = 0; i < v->signals_open; i++)
		uv_close((uv_handle_t *)&v->signal_handles[i], NULL);
	/* The handles have to be there until the loop has seen that. */
	uv_run(loop_uv(v->loop), UV_RUN_NOWAIT);
	free(v->signal_handles);
}

int virt_free(struct virt *v, FILE *ledger)
{
	int alive;

	if (!v)
		return 0;
	stop_harts(v);
	if (v->console)
		console_disconnect(v->console);
	while (v->hart_count > 0)
		fh_device_unplug(v->harts[--v->hart_count]);
	while (v->device_count > 0)
		fh_device_unplug(v->devices[--v->device_count]);
	fh_object_unref(v->tohost);
	fh_object_unref(v->rom);
	fh_object_unref(v->ram);
	fh_machine_drain(v->m);
	console_free(v->console, v->asked_to_leave);
	if (ledger)
		fh_ledger_print(v->m, ledger);
	alive = fh_machine_destroy(v->m);
	code_pages_free(v->code_pages);
	close_signals(v);
	if (v->trace && v->trace != stderr)
		fclose(v->trace);
	free(v->boot.dtb);
	free(v);
	return alive;
}
