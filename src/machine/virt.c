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
#include "machine/signals.h"
#include "machine/trace.h"

/* A request (R1): 0 is none. */
enum { REQUEST_RESET = 1, REQUEST_END = 2, REQUEST_STATUS_SHIFT = 8 };

enum { DEVICES_MAX = 5 };

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
	struct trace *trace; /* or NULL */
	struct signals *signals;

	_Atomic uint32_t request; /* R1 */
	_Atomic bool go;	  /* R1: let the harts run */
	_Atomic bool asked_to_leave; /* relaxed; by the user, who does not want to wait */
	int status;
	bool failed;
	struct fh_error error;
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

	atomic_store_explicit(&v->asked_to_leave, true, memory_order_relaxed);
	request_end(v, 0);
}

static void on_go(void *arg)
{
	struct virt *v = arg;

	/* Relaxed: a wish and nothing with it; the wake-up orders it. */
	atomic_store_explicit(&v->go, true, memory_order_relaxed);
	loop_wake(v->loop);
}

static const struct console_keys keys = { .quit = on_quit, .go = on_go };

static void on_end(void *arg, int number)
{
	struct virt *v = arg;

	atomic_store_explicit(&v->asked_to_leave, true, memory_order_relaxed);
	request_end(v, 128 + (unsigned)number);
}

static void on_suspend(void *arg)
{
	const struct virt *v = arg;

	if (v->console)
		console_suspend(v->console);
}

static void on_resume(void *arg)
{
	const struct virt *v = arg;

	if (v->console)
		console_resume(v->console);
}

static const struct signals_ops signals_ops = {
	.end = on_end,
	.suspend = on_suspend,
	.resume = on_resume,
	.user = on_go,
};

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
		.trace = v->trace ? trace_trap : NULL,
		.trace_arg = v->trace,
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
	if (code != FH_OK)
		return code;
	if (v->o->trace)
		v->trace = trace_new(v->o, err);
	if (v->o->trace && !v->trace)
		return FH_EIO;
	v->signals = signals_new(v->loop, &signals_ops, v);
	v->console = console_new(v->o->serial, v->loop, &keys, v, err);
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
	v->m = fh_machine_new(&machine, err);
	if (!v->m) {
		free(v);
		return NULL;
	}
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
	uint32_t reset = REQUEST_RESET;

	stop_harts(v);
	/*
	 * Only now, so that what harts have asked for until they stood still is not a second
	 * reboot. If it has become an end meanwhile, the loop was woken for that.
	 */
	atomic_compare_exchange_strong_explicit(&v->request, &reset, 0, memory_order_relaxed,
						memory_order_relaxed);
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
	const bool go = atomic_exchange_explicit(&v->go, false, memory_order_relaxed);

	if (what & REQUEST_END) {
		v->status = (int)(what >> REQUEST_STATUS_SHIFT);
		loop_stop(v->loop);
	} else if (what == REQUEST_RESET) {
		reboot(v);
	} else if (go) {
		start_harts(v);
	}
}

enum fh_code virt_run(struct virt *v, int *ret_status, struct fh_error *err)
{
	/* A pipe that nobody reads any more is an error of write(). */
	signal(SIGPIPE, SIG_IGN);
	console_connect(v->console, v->uart);
	if (v->o->stopped)
		fprintf(stderr, "freehold: the harts stand still until Ctrl-A c or SIGUSR1\n");
	else
		start_harts(v);
	loop_run(v->loop, v->m, serve, v);
	stop_harts(v);
	if (v->failed)
		return fh_error_set(err, v->error.code, "%s", v->error.message);
	*ret_status = v->status;
	return FH_OK;
}

/* --- The end -------------------------------------------------------------------------------- */

/* While the rest of the output is written: is it in vain? */
static bool hurries(void *arg)
{
	struct virt *v = arg;

	uv_run(loop_uv(v->loop), UV_RUN_NOWAIT); /* for the signals */
	return atomic_load_explicit(&v->asked_to_leave, memory_order_relaxed);
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
	console_free(v->console, hurries, v);
	v->console = NULL;
	if (ledger)
		fh_ledger_print(v->m, ledger);
	alive = fh_machine_destroy(v->m);
	code_pages_free(v->code_pages);
	signals_free(v->signals);
	trace_free(v->trace);
	free(v->boot.dtb);
	free(v);
	return alive;
}
