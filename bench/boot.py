#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the machine, and adds its rows to the file that the benchmark of the library wrote.

    bench/boot.py FREEHOLD [FILE]

guest.mips           instructions per microsecond that one hart runs, of bench/guest.S
guest.mips.unlogged  the same on a board of nothing but that hart, its memory and a UART
guest.mips.logged    with the memory's writes logged (freehold/dirty.h), and nobody who takes bits
guest.mips.taken     with somebody who takes them all, a hundred times a second
boot.cpu_over_qemu   CPU time (user and system) to boot Debian's kernel to its power-off with one
                     hart, over that of Debian's qemu-system-riscv64 with the same kernel, initrd
                     and command line; in turns, the median of each

A row whose means are not there is left out, with a line that says so. bench/guest.hex is the
machine code of guest.S, a word a line:

    riscv64-linux-gnu-gcc -march=rv64im_zicsr -mabi=lp64 -mno-relax -nostdlib -static \\
        -Wl,-Ttext=0x80000000 -o guest.elf guest.S
    riscv64-linux-gnu-objcopy -O binary -j .text guest.elf guest.bin
    od -An -v -tx4 -w4 guest.bin | tr -d ' ' >guest.hex
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))
import guests  # noqa: E402
from guests import Missing  # noqa: E402

TURNS = 3
LIMIT = 180  # seconds
INIT = """#!/bin/busybox sh
/bin/busybox echo the guest is up
/bin/busybox poweroff -f
"""


def cpu_time(command, expected):
    """User and system time of a command, in seconds, and what it printed."""
    before = os.times()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=LIMIT, check=False)
    after = os.times()
    text = done.stdout.decode(errors="replace")
    if done.returncode != 0 or expected not in text:
        raise Missing(f"{command[0]} failed with status {done.returncode}: {text[-300:].strip()}")
    spent = (after.children_user - before.children_user +
             after.children_system - before.children_system)
    return spent, text


def guest_mips(freehold, work):
    image = work / "guest.bin"
    words = (ROOT / "bench" / "guest.hex").read_text(encoding="ascii").split()
    image.write_bytes(b"".join(int(word, 16).to_bytes(4, "little") for word in words))
    samples = []
    for _ in range(TURNS):
        _, text = cpu_time([freehold, "-m", "32M", "-smp", "1", "-nographic", "-bios", str(image)],
                           "\n")
        lines = [line for line in text.split() if len(line) == 16]
        instructions, ticks = int(lines[0], 16), int(lines[1], 16)
        samples.append(instructions / (ticks / 10))
    return statistics.median(samples)


def boot_over_qemu(freehold, work):
    qemu = shutil.which("qemu-system-riscv64")
    if not qemu:
        raise Missing("qemu-system-riscv64 is not here")
    kernel, initrd = guests.debian(INIT, work)
    machine = ["-m", "512M", "-smp", "1", "-nographic", "-kernel", str(kernel),
               "-initrd", str(initrd), "-append", "console=ttyS0"]
    ours, theirs = [], []
    for _ in range(TURNS):
        ours.append(cpu_time([freehold, *machine], "the guest is up")[0])
        theirs.append(cpu_time([qemu, "-M", "virt", *machine], "the guest is up")[0])
    print(f"booting Debian, CPU time: {statistics.median(ours):.2f} s, "
          f"qemu-system-riscv64 {statistics.median(theirs):.2f} s")
    return statistics.median(ours) / statistics.median(theirs)


def guest_logged(which):
    def measure(freehold, work):
        del work
        if not LOGGED:
            program = pathlib.Path(freehold).parent.parent / "bench" / "bench-guest"
            if not program.exists():
                raise Missing("bench-guest was not built")
            _, text = cpu_time([str(program), str(ROOT / "bench" / "guest.hex")], "guest.mips")
            LOGGED.update((line.split()[0], float(line.split()[1]))
                          for line in text.splitlines())
        return LOGGED[which]
    return measure


LOGGED = {}  # what bench-guest printed
ROWS = (
    ("guest.mips", "MIPS", guest_mips),
    ("guest.mips.unlogged", "MIPS", guest_logged("guest.mips.unlogged")),
    ("guest.mips.logged", "MIPS", guest_logged("guest.mips.logged")),
    ("guest.mips.taken", "MIPS", guest_logged("guest.mips.taken")),
    ("boot.cpu_over_qemu", "ratio", boot_over_qemu),
)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: bench/boot.py FREEHOLD [FILE]")
    freehold = os.path.abspath(sys.argv[1])
    rows = []
    for name, unit, measure in ROWS:
        with tempfile.TemporaryDirectory(prefix="freehold-bench.") as work:
            try:
                value = measure(freehold, pathlib.Path(work))
            except (Missing, OSError, IndexError, subprocess.SubprocessError) as why:
                print(f"{name}: left out: {why}")
                continue
        print(f"{name:<34} {'':>12} {value:12.2f}  {unit}")
        rows.append({"name": name, "value": round(value, 4), "unit": unit})
    if len(sys.argv) == 3:
        path = pathlib.Path(sys.argv[2])
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        rows = [row for row in kept if row["name"] not in [name for name, _, _ in ROWS]] + rows
        path.write_text("[\n" + ",\n".join("  " + json.dumps(row) for row in rows) + "\n]\n",
                        encoding="utf-8")


if __name__ == "__main__":
    main()
