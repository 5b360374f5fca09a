/* SPDX-License-Identifier: MIT */
/*
 * The hart as a device: its thread, which runs it in slices; interrupt lines, the supervisor timer,
 * waiting, stop, start and reset.
 *
 * R1. The thread is made at realize and ends in unrealize. It alone touches struct hart's state,
 *     but while it is parked: then who holds the lock may.
 * R2. A slice is one read section, bounded by a number of instructions and of traps, so that grace
 *     periods end. It begins with taking `attention` and doing what that says; between slices
 *     nothing of the map is held, and the thread waits where the library asks it to.
 * R3. What others want is written first, then `attention` (release), then the condition is
 *     signalled under the lock. The hart takes the attention (acquire), or looks under the lock
 *     before it sleeps. So nothing is missed.
 * R4. What the map's listener touches (map_changes) lives as long as the device's memory.
 */
#include "cpu/block.h"
#include "cpu/logged.h"
#include "cpu/privileged.h"
#include "cpu/tlb.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* A fraction of a millisecond. */
#define SLICE_INSTRUCTIONS 100000
#define SLICE_TRAPS	   1000

#define NS_PER_S UINT64_C(1000000000)

struct cpu;

struct line {
	struct cpu *cpu;
	unsigned irq;
};

enum { LINES = 5 };

struct cpu {
	struct hart hart;
	struct cpu_config config;
	struct line lines[LINES];
	struct fh_listener *listener;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool run;     /* lock: cpu_start() and cpu_stop() */
	bool started; /* lock: it has been, since realize */
	bool reset;   /* lock: to be done by the thread */
	bool quit;    /* lock */
	bool parked;  /* lock: R1 */
	_Atomic bool look_at_time; /* the timer has expired, or time has jumped */
	_Atomic uint64_t instret; /* as of the last slice */
};

static struct cpu *cpu_of(struct fh_device *device)
{
	return fh_object_state(device, &cpu_type);
}

/* R3 */
static void attend(struct cpu *cpu, uint32_t why)
{
	/* Release: of what was written before; the acquire is in take_attention(). */
	atomic_fetch_or_explicit(&cpu->hart.attention, why, memory_order_release);
	pthread_mutex_lock(&cpu->lock);
	pthread_cond_broadcast(&cpu->changed);
	pthread_mutex_unlock(&cpu->lock);
}

/* --- Lines and the timer ---------------------------------------------------------------------- */

static void line_changed(void *state, bool level)
{
	const struct line *const line = state;
	struct hart *const h = &line->cpu->hart;

	/* Release: of what the device did before; the acquire is in hart_mip(). */
	if (level)
		atomic_fetch_or_explicit(&h->mip_lines, IRQ_BIT(line->irq), memory_order_release);
	else if (line->irq != IRQ_SSI) /* an edge */
		atomic_fetch_and_explicit(&h->mip_lines, ~IRQ_BIT(line->irq),
					  memory_order_release);
	if (level)
		attend(line->cpu, ATTENTION_IRQ);
}

/* The deadline is the hart's: its thread looks at it, whoever says so. */
static void timer_expired(void *state)
{
	struct cpu *const cpu = state;

	/* Release: of the time as it is now, with the attention's, for take_attention(). */
	atomic_store_explicit(&cpu->look_at_time, true, memory_order_release);
	attend(cpu, ATTENTION_IRQ);
}

void cpu_time_jumped(struct fh_device *device)
{
	timer_expired(cpu_of(device));
}

/* Sstc 1.1. What is due already needs no timer: STIP is computed. */
void hart_arm_timer(struct hart *h)
{
	const uint64_t limit = UINT64_MAX / 2;
	uint64_t time, ticks;

	if (!h->timer)
		return;
	time = h->time(h->time_arg);
	if (!(h->menvcfg & MENVCFG_STCE) || h->stimecmp <= time || h->stimecmp == UINT64_MAX) {
		fh_timer_cancel(h->timer);
		return;
	}
	ticks = h->stimecmp - time;
	if (ticks > limit / h->time_ns)
		ticks = limit / h->time_ns;
	fh_timer_arm(h->timer, fh_machine_now(h->machine) + ticks * h->time_ns);
}

/* --- The map ---------------------------------------------------------------------------------- */

static void map_removed(void *state, const struct fh_section *section)
{
	struct cpu *const cpu = state;

	tlb_note_map_change(&cpu->hart, section->first, section->last);
	logged_note_gone(&cpu->hart, section);
}

/* Entries that permit writes must go (tlb.h R3); of what was logged already, open pages alone. */
static void map_logged(void *state, const struct fh_section *section, uint8_t old_mask)
{
	struct cpu *const cpu = state;

	if (old_mask == 0)
		tlb_note_map_change(&cpu->hart, section->first, section->last);
	logged_note_started(&cpu->hart, section);
}

static void map_taken(void *state, const struct fh_section *section)
{
	struct cpu *const cpu = state;

	logged_note_taken(&cpu->hart, section);
}

static const struct fh_listener_ops listener_ops = {
	.remove = map_removed,
	.log_start = map_logged,
	.log_clear = map_taken,
};

/* --- Slices ----------------------------------------------------------------------------------- */

static void take_attention(struct cpu *cpu)
{
	struct hart *const h = &cpu->hart;
	/* Acquire: of the releases in attend() and of those who set a bit directly. */
	const uint32_t why = atomic_exchange_explicit(&h->attention, 0, memory_order_acquire);

	if (why & ATTENTION_MAP) {
		tlb_look_at_map_changes(h);
		blocks_flush(h);
	}
	if (why & ATTENTION_CODE)
		blocks_service(h);
	/* A clock that stood still, or went back, has not come that far yet: once more. */
	if ((why & ATTENTION_IRQ) &&
	    atomic_exchange_explicit(&cpu->look_at_time, false, memory_order_acquire))
		hart_arm_timer(h);
}

/* R2 */
static void run_slice(struct cpu *cpu)
{
	struct hart *const h = &cpu->hart;

	fh_read_begin();
	logged_resume(h);
	take_attention(cpu);
	hart_take_interrupt(h);
	h->budget = SLICE_INSTRUCTIONS;
	for (unsigned traps = 0; traps < SLICE_TRAPS; traps++) {
		hart_run_blocks(h);
		if (h->trap.cause == CAUSE_NONE)
			break;
		hart_take_trap(h);
		/* Relaxed: take_attention() acquires. */
		if (h->budget <= 0 ||
		    atomic_load_explicit(&h->attention, memory_order_relaxed) != 0)
			break;
	}
	logged_pause(h);
	fh_read_end();
	/* Relaxed: a count. */
	atomic_store_explicit(&cpu->instret, h->instret, memory_order_relaxed);
	fh_machine_throttle(h->machine);
}

/* Between slices: wfi. True: go on. */
static void wait_for_interrupt(struct cpu *cpu)
{
	struct hart *const h = &cpu->hart;

	pthread_mutex_lock(&cpu->lock);
	while (cpu->run && !cpu->reset && !cpu->quit) {
		if (atomic_exchange_explicit(&cpu->look_at_time, false, memory_order_acquire))
			hart_arm_timer(h);
		if (hart_mip(h) & h->mie) {
			h->waiting = false;
			break;
		}
		pthread_cond_wait(&cpu->changed, &cpu->lock);
	}
	pthread_mutex_unlock(&cpu->lock);
}

/* False: the thread ends. */
static bool obey(struct cpu *cpu)
{
	bool go_on;

	pthread_mutex_lock(&cpu->lock);
	while (!cpu->run && !cpu->quit) {
		cpu->parked = true;
		pthread_cond_broadcast(&cpu->changed);
		pthread_cond_wait(&cpu->changed, &cpu->lock);
	}
	cpu->parked = false;
	if (cpu->reset)
		hart_reset(&cpu->hart);
	cpu->reset = false;
	go_on = !cpu->quit;
	pthread_mutex_unlock(&cpu->lock);
	return go_on;
}

static void *thread_main(void *arg)
{
	struct cpu *const cpu = arg;

	while (obey(cpu)) {
		if (cpu->hart.waiting)
			wait_for_interrupt(cpu);
		else
			run_slice(cpu);
	}
	return NULL;
}

/* --- Reset ------------------------------------------------------------------------------------ */

/* priv 3.4; what it leaves open is 0. */
void hart_reset(struct hart *h)
{
	memset(h->x, 0, sizeof(h->x));
	memset(h->f, 0, sizeof(h->f));
	h->x[10] = h->reset_a0;
	h->x[11] = h->reset_a1;
	h->pc = h->reset_pc;
	h->priv = PRIV_M;
	h->mstatus = MSTATUS_UXL64 | MSTATUS_SXL64;
	h->frm = h->fflags = 0;
	h->medeleg = h->mideleg = h->mie = h->mtvec = h->mscratch = h->mepc = h->mcause = 0;
	h->mtval = h->mcounteren = h->mcountinhibit = h->menvcfg = h->senvcfg = h->stvec = 0;
	h->sscratch = h->sepc = h->scause = h->stval = h->scounteren = h->satp = 0;
	h->stimecmp = UINT64_MAX;
	h->mip_software = h->cycle_offset = h->instret_offset = 0;
	h->instret = 0;
	h->trap.cause = CAUSE_NONE;
	h->reservation = UINT64_MAX;
	h->waiting = false;
	/* Relaxed: the hart's own bit; the lines stay as their devices drive them. */
	atomic_fetch_and_explicit(&h->mip_lines, ~IRQ_BIT(IRQ_SSI), memory_order_relaxed);
	pmp_reset(h);
	tlb_flush(h);
	if (h->blocks)
		blocks_flush(h);
	hart_arm_timer(h);
}

/* R1 */
static void reset_locked(struct cpu *cpu)
{
	if (cpu->parked)
		hart_reset(&cpu->hart);
	else
		cpu->reset = true;
}

static void cpu_reset_hold(struct fh_device *device, void *state, enum fh_reset_type type)
{
	struct cpu *const cpu = state;

	(void)device, (void)type;
	pthread_mutex_lock(&cpu->lock);
	reset_locked(cpu);
	pthread_mutex_unlock(&cpu->lock);
	attend(cpu, ATTENTION_STOP);
}

/* --- Stop and start --------------------------------------------------------------------------- */

void cpu_configure(struct fh_device *device, const struct cpu_config *config)
{
	cpu_of(device)->config = *config;
}

void cpu_set_reset(struct fh_device *device, uint64_t pc, uint64_t a1)
{
	struct cpu *const cpu = cpu_of(device);

	pthread_mutex_lock(&cpu->lock);
	cpu->config.reset_pc = cpu->hart.reset_pc = pc;
	cpu->config.reset_a1 = cpu->hart.reset_a1 = a1;
	pthread_mutex_unlock(&cpu->lock);
}

void cpu_start(struct fh_device *device)
{
	struct cpu *const cpu = cpu_of(device);

	pthread_mutex_lock(&cpu->lock);
	if (!cpu->started)
		reset_locked(cpu);
	cpu->started = true;
	cpu->run = true;
	pthread_cond_broadcast(&cpu->changed);
	pthread_mutex_unlock(&cpu->lock);
}

void cpu_stop(struct fh_device *device)
{
	struct cpu *const cpu = cpu_of(device);

	pthread_mutex_lock(&cpu->lock);
	cpu->run = false;
	pthread_mutex_unlock(&cpu->lock);
	attend(cpu, ATTENTION_STOP);
	if (!fh_device_is_realized(device) || pthread_equal(pthread_self(), cpu->thread))
		return;
	pthread_mutex_lock(&cpu->lock);
	while (!cpu->parked && !cpu->run && !cpu->quit)
		pthread_cond_wait(&cpu->changed, &cpu->lock);
	pthread_mutex_unlock(&cpu->lock);
}

uint64_t cpu_instret(struct fh_device *device)
{
	/* Relaxed: a count. */
	return atomic_load_explicit(&cpu_of(device)->instret, memory_order_relaxed);
}

/* --- Life ------------------------------------------------------------------------------------- */

static void make_lines(struct cpu *cpu, struct fh_device *device)
{
	static const struct {
		const char *name;
		unsigned irq;
	} lines[LINES] = {
		{"msi", IRQ_MSI}, {"mti", IRQ_MTI}, {"ssi", IRQ_SSI},
		{"mei", IRQ_MEI}, {"sei", IRQ_SEI},
	};

	for (unsigned i = 0; i < LINES; i++) {
		cpu->lines[i] = (struct line){.cpu = cpu, .irq = lines[i].irq};
		fh_irq_new_input(device, lines[i].name, line_changed, &cpu->lines[i]);
	}
}

static void configure_hart(struct cpu *cpu, struct fh_device *device)
{
	const struct cpu_config *const config = &cpu->config;
	const uint64_t hz = config->time_hz ? config->time_hz : 10000000;
	struct hart *const h = &cpu->hart;

	h->id = config->hart_id;
	h->isa = config->isa;
	h->device = device;
	h->machine = fh_object_get_machine(device);
	h->memory = config->memory;
	h->code_pages = config->code_pages;
	h->time = config->time;
	h->time_arg = config->time_arg;
	h->time_ns = NS_PER_S / hz > 0 ? NS_PER_S / hz : 1;
	h->reset_pc = config->reset_pc;
	h->reset_a0 = config->hart_id;
	h->reset_a1 = config->reset_a1;
	h->trace = config->trace;
	h->trace_arg = config->trace_arg;
}

static enum fh_code start_thread(struct cpu *cpu, struct fh_error *err)
{
	char name[16];

	cpu->run = cpu->started = cpu->reset = cpu->quit = false;
	cpu->parked = true; /* as good as: it begins with obeying */
	if (pthread_create(&cpu->thread, NULL, thread_main, cpu) != 0)
		return fh_error_set(err, FH_EAGAIN, "the host has no thread for a hart");
	snprintf(name, sizeof(name), "hart%u", cpu->hart.id & 0xff);
	pthread_setname_np(cpu->thread, name);
	return FH_OK;
}

static enum fh_code cpu_realize(struct fh_device *device, void *state, struct fh_error *err)
{
	struct cpu *const cpu = state;
	const struct cpu_config *const config = &cpu->config;
	enum fh_code code;

	if (!config->memory || !config->time || !config->code_pages ||
	    config->hart_id >= CPU_HARTS_MAX)
		return fh_error_set(err, FH_EINVAL, "a hart without memory, clock or number");
	configure_hart(cpu, device);
	make_lines(cpu, device);
	cpu->hart.timer = fh_timer_new(device, "stimecmp", timer_expired, cpu);
	blocks_init(&cpu->hart);
	hart_reset(&cpu->hart);
	cpu->listener = fh_listener_new(device, config->memory, 0, &listener_ops, cpu);
	code = cpu->listener ? start_thread(cpu, err)
			     : fh_error_set(err, FH_EDEAD, "the hart's memory is gone");
	if (code != FH_OK)
		blocks_free(&cpu->hart);
	return code;
}

static void cpu_unrealize(struct fh_device *device, void *state)
{
	struct cpu *const cpu = state;

	(void)device;
	pthread_mutex_lock(&cpu->lock);
	cpu->quit = true;
	pthread_mutex_unlock(&cpu->lock);
	attend(cpu, ATTENTION_STOP);
	pthread_join(cpu->thread, NULL);
	blocks_free(&cpu->hart);
	cpu->hart.blocks = NULL;
}

static enum fh_code cpu_init(struct fh_object *object, void *state, struct fh_error *err)
{
	struct cpu *const cpu = state;

	(void)object, (void)err;
	pthread_mutex_init(&cpu->lock, NULL);
	pthread_cond_init(&cpu->changed, NULL);
	tlb_init(&cpu->hart);
	return FH_OK;
}

static void cpu_finalize(struct fh_object *object, void *state)
{
	struct cpu *const cpu = state;

	(void)object;
	tlb_free(&cpu->hart); /* R4 */
	pthread_cond_destroy(&cpu->changed);
	pthread_mutex_destroy(&cpu->lock);
}

static const struct fh_device_ops cpu_ops = {
	.realize = cpu_realize,
	.unrealize = cpu_unrealize,
	.reset_hold = cpu_reset_hold,
	.own_domain = true,
};

const struct fh_type cpu_type = {
	.name = "riscv-hart",
	.parent = &fh_device_type,
	.state_size = sizeof(struct cpu),
	.init = cpu_init,
	.finalize = cpu_finalize,
	.device = &cpu_ops,
};
