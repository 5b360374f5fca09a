/* SPDX-License-Identifier: MIT */
/*
 * Floating point, F and D, behind one door: it is rare, so that the interpreter has one operation
 * for all of it but loads, stores and moves of bits between register files.
 */
#ifndef CPU_FP_H
#define CPU_FP_H

#include "cpu/hart.h"

/*
 * Execute an instruction of major opcode OP-FP, MADD, MSUB, NMSUB or NMADD (never fmv.x.w, fmv.w.x,
 * fmv.x.d, fmv.d.x). mstatus.FS is not Off, and is marked dirty by this. False: illegal (reserved
 * encodings and rounding modes, formats that the hart lacks), nothing done; the caller raises it.
 * A destination x0 is left alone.
 */
bool fp_execute(struct hart *h, uint32_t insn);

#endif
