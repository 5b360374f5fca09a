/* SPDX-License-Identifier: MIT */
/*
 * The hart as a device: what the board sees of a CPU.
 *
 * A "riscv-hart" is made with fh_device_new(), configured, realized, and started. Its inputs "msi",
 * "mti", "ssi", "mei" and "sei" are lines (fh_device_irq()). "ssi" is an edge: it sets sip.SSIP,
 * which software clears; the others are levels.
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <freehold/freehold.h>

#define CPU_ISA_STRING_SIZE 128
#define CPU_HARTS_MAX	    8

/* What -cpu can switch. */
struct cpu_isa {
	bool zba, zbb, zbs, zicbom, zicboz, sstc, svinval, svade, f, d, c;
	bool sv48, sv57;
	unsigned pmp_regions; /* 0, 16 */
};

/* Which pages have decoded code: one for all harts of a machine. */
struct code_pages;
struct code_pages *code_pages_new(void);
void code_pages_free(struct code_pages *pages);

/* What the board gives a hart. All pointers are borrowed and outlive the device. */
struct cpu_config {
	unsigned hart_id; /* below CPU_HARTS_MAX; mhartid */
	struct cpu_isa isa;
	struct fh_space *memory;
	struct code_pages *code_pages; /* the same for all harts that share `memory` */
	uint64_t (*time)(void *arg);   /* mtime; from any thread */
	void *time_arg;
	uint64_t time_hz; /* 0: 10,000,000 */
	uint64_t reset_pc;
	uint64_t reset_a1; /* the device tree's address; a0 is the hart's id */
	/*
	 * Optional: told of each trap, on the hart's thread in a slice. `cause` has bit 63 set
	 * for interrupts.
	 */
	void (*trace)(void *arg, unsigned hart_id, uint64_t cause, uint64_t pc, uint64_t tval,
		      unsigned to_priv);
	void *trace_arg;
};

extern const struct fh_type cpu_type;

/* Before the device is realized. The config is copied. */
void cpu_configure(struct fh_device *device, const struct cpu_config *config);

/* Where the next reset starts, for loaders that know it only later. The hart does not run. */
void cpu_set_reset(struct fh_device *device, uint64_t pc, uint64_t a1);

/* Let the hart run: from reset state the first time, else from where it was. Any thread. */
void cpu_start(struct fh_device *device);

/*
 * Stop the hart between two instructions. From other threads: it stands still when this returns; on
 * the hart's own thread (in a register callback) it stands still after the present slice. Context:
 * as fh_machine_throttle(), but on the hart's own thread.
 */
void cpu_stop(struct fh_device *device);

/*
 * The time that config.time() tells has jumped: the supervisor timer's deadline is computed anew,
 * on the hart's own thread. Any thread; does not block.
 */
void cpu_time_jumped(struct fh_device *device);

/* Instructions retired, approximately while the hart runs. Any thread. */
uint64_t cpu_instret(struct fh_device *device);

/* --- isa.c ---------------------------------------------------------------------------------- */

/* What "rv64" stands for: everything. */
struct cpu_isa cpu_isa_default(void);

/*
 * "rv64", "rv64,zbb=off,...". False: one line in *err; `ret` untouched then.
 */
bool cpu_isa_parse(const char *text, struct cpu_isa *ret, struct fh_error *err);

/* For -cpu help. */
void cpu_isa_help(FILE *out);

/* The property riscv,isa of the device tree: CPU_ISA_STRING_SIZE bytes are enough. */
void cpu_isa_string(const struct cpu_isa *isa, char *ret);

/* The property mmu-type of the device tree: static storage. */
const char *cpu_mmu_type(const struct cpu_isa *isa);

#endif
