#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The machine with small guests of its own, made here instruction by instruction: how a run ends,
what a reboot keeps, what the harts find when they start, and one clear line for what is wrong."""

import os
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from tap import check, end, skip  # noqa: E402

FREEHOLD = os.environ["FREEHOLD"]
FIRMWARE = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin"
RAM = 0x80000000
UART, SYSCON = 0x10000000, 0x100000
LEDGER = " 0 alive"
work = tempfile.TemporaryDirectory(prefix="freehold-machine-")

# --- Guests ---------------------------------------------------------------------------------------

ZERO, T0, T1, T2, A0, A1 = 0, 5, 6, 7, 10, 11


def lui(rd, value):
    return (value & 0xfffff000) | rd << 7 | 0x37


def addi(rd, rs, value):
    return (value & 0xfff) << 20 | rs << 15 | rd << 7 | 0x13


def andi(rd, rs, value):
    return (value & 0xfff) << 20 | rs << 15 | 7 << 12 | rd << 7 | 0x13


def slli(rd, rs, by):
    return by << 20 | rs << 15 | 1 << 12 | rd << 7 | 0x13


def store(width, rs, base, offset):
    return ((offset >> 5 & 0x7f) << 25 | rs << 20 | base << 15 | width << 12 |
            (offset & 0x1f) << 7 | 0x23)


def load(width, rd, base, offset):
    return (offset & 0xfff) << 20 | base << 15 | width << 12 | rd << 7 | 0x03


def add(rd, rs1, rs2):
    return rs2 << 20 | rs1 << 15 | rd << 7 | 0x33


def sb(rs, base, offset=0):
    return store(0, rs, base, offset)


def sw(rs, base, offset=0):
    return store(2, rs, base, offset)


def sd(rs, base, offset=0):
    return store(3, rs, base, offset)


def lw(rd, base, offset=0):
    return load(2, rd, base, offset)


def branch(kind, rs1, rs2, words):
    offset = 4 * words
    return ((offset >> 12 & 1) << 31 | (offset >> 5 & 0x3f) << 25 | rs2 << 20 | rs1 << 15 |
            kind << 12 | (offset >> 1 & 0xf) << 8 | (offset >> 11 & 1) << 7 | 0x63)


def bne(rs1, rs2, words):
    return branch(1, rs1, rs2, words)


FOREVER = 0x0000006f  # j .
AUIPC_T0 = 0x00000297
CSRW_MTVEC_T0 = 0x30529073
ILLEGAL = 0xffffffff
TOHOST = 0x800


def li(rd, value):
    """31 bits."""
    low = value & 0xfff
    low -= 0x1000 if low >= 0x800 else 0
    return [lui(rd, value - low), addi(rd, rd, low)]


def ram_base(rd):
    return [addi(rd, ZERO, 1), slli(rd, rd, 31)]


def elf(code, tohost=True, machine=243, address=RAM):
    """One segment of 4 KiB, with tohost at 0x800 of it."""
    text = struct.pack(f"<{len(code)}I", *code)
    text += bytes(-len(text) % 8)
    names = b"\0tohost\0"
    symbols = bytes(24) + struct.pack("<IBBHQQ", 1 if tohost else 0, 0, 0, 1, address + TOHOST, 8)
    at = 64 + 56 + 2 * 64
    header = b"\x7fELF\2\1\1" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, address, 64, 120, 0, 64, 56, 1, 64, 2, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, at, address, address, len(text), 4096, 4096)
    sections = struct.pack("<IIQQQQIIQQ", 0, 2, 0, 0, at + len(text), len(symbols), 1, 0, 8, 24)
    sections += struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, at + len(text) + len(symbols), len(names),
                            0, 0, 1, 0)
    return header + segment + sections + text + symbols + names


def file(name, data):
    path = os.path.join(work.name, name)
    with open(path, "wb") as out:
        out.write(data)
    return path


def say(text):
    code = li(T0, UART)
    for byte in text.encode():
        code += [addi(T1, ZERO, byte), sb(T1, T0)]
    return code


def tohost(value):
    """Write it there, and wait."""
    return (ram_base(T0) + [lui(T2, 0x1000), addi(T2, T2, -TOHOST), add(T0, T0, T2)] +
            li(T1, value) + [sd(T1, T0), FOREVER])


# --- Checks ---------------------------------------------------------------------------------------


def run(*options):
    return subprocess.run([FREEHOLD, "-nographic", *options], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", timeout=60,
                          check=False)


def bare(code, *options, **more):
    path = file("guest", elf(code, **more))
    return run("-bios", "none", "-kernel", path, *options)


def refused(what, text, *options):
    got = run(*options)
    lines = got.stderr.splitlines()
    check(what, got.returncode == 1 and got.stdout == "" and len(lines) == 1 and
          lines[0].startswith("freehold: ") and text in lines[0], got)


def test_tohost():
    for value, status in ((1, 0), (15, 7), (511, 255), (0x12345 * 2 + 1, 255)):
        got = bare(say("hi") + tohost(value))
        check(f"tohost {value} ends with {status}", got.returncode == status and
              got.stdout == "hi" and LEDGER in got.stderr, got)
    got = run("-bios", file("guest", elf(tohost(7))))
    check("as -bios, too", got.returncode == 3, got)


def test_syscon():
    for value, status in ((0x5555, 0), (0x3333, 1), (0x33333, 3)):
        got = bare(li(T0, SYSCON) + li(T1, value) + [sw(T1, T0), FOREVER], tohost=False)
        check(f"syscon 0x{value:x} ends with {status}", got.returncode == status and
              LEDGER in got.stderr, got)


def test_reboot():
    # Each round says a letter more and leaves a count beyond what is loaded. What a hart counted
    # before another's reset stopped it is not seen: so the end is any count that is large enough.
    code = ram_base(T0) + [lui(T1, 0x10000), add(T0, T0, T1), lw(T1, T0), addi(T1, T1, 1), sw(T1, T0)]
    code += li(T2, UART) + [addi(A0, T1, 0x40), sb(A0, T2), addi(A0, ZERO, 3)]
    code += [branch(4, T1, A0, 6)] + li(T0, SYSCON) + li(T1, 0x5555) + [sw(T1, T0)]
    code += li(T0, SYSCON) + li(T1, 0x7777) + [sw(T1, T0), FOREVER]
    got = bare(code, tohost=False)
    check("reboots twice, RAM is kept", got.returncode == 0 and got.stdout == "ABC" and
          LEDGER in got.stderr, got)
    got = bare(code, "-no-reboot", tohost=False)
    check("-no-reboot ends with 0", got.returncode == 0 and got.stdout == "A", got)
    got = bare(code, "-smp", "4", tohost=False)
    check("with four harts", got.returncode == 0 and "A" in got.stdout, got)


def test_start():
    # a0 is the hart's number, a1 the device tree: its magic ends the run.
    magic = 0xedfe0dd0 - (1 << 32)
    low = (magic & 0xfff) - (0x1000 if magic & 0x800 else 0)
    code = [bne(A0, ZERO, 0), lw(T1, A1), lui(T2, magic - low & 0xffffffff), addi(T2, T2, low),
            bne(T1, T2, 0)] + tohost(1)
    got = bare(code, "-smp", "2")
    check("a0 and a1 are as they should be", got.returncode == 0, got)


def test_serial():
    path = os.path.join(work.name, "out")
    got = bare(say("to a file") + tohost(1), "-serial", "file:" + path)
    with open(path, encoding="utf-8") as out:
        check("-serial file", got.returncode == 0 and out.read() == "to a file" and
              got.stdout == "", got)
    got = bare(say("gone") + tohost(1), "-serial", "null")
    check("-serial null", got.returncode == 0 and got.stdout == "", got)
    got = bare(say("who") + tohost(1), "-serial", "pty")
    check("-serial pty", got.returncode == 0 and "/dev/pts/" in got.stderr, got)
    # 100,000 bytes through a pipe: none is lost.
    code = li(T0, UART) + li(T1, 100000) + [addi(A0, ZERO, 0x78)]
    code += [load(4, T2, T0, 5), andi(T2, T2, 0x20), branch(0, T2, ZERO, -2), sb(A0, T0),
             addi(T1, T1, -1), bne(T1, ZERO, -5)]
    got = bare(code + tohost(1))
    check("no byte is lost", got.returncode == 0 and got.stdout == "x" * 100000,
          len(got.stdout), got.stderr)


def test_trace():
    path = os.path.join(work.name, "log")
    handler = [AUIPC_T0, addi(T0, T0, 16), CSRW_MTVEC_T0, ILLEGAL] + tohost(1)
    got = bare(handler, "-d", "unimp", "-D", path)
    with open(path, encoding="utf-8") as log:
        text = log.read()
    check("-d unimp tells of an illegal instruction", got.returncode == 0 and
          "illegal instruction" in text and "0x8000000c" in text, got, text)
    handler = [AUIPC_T0, addi(T0, T0, 20), CSRW_MTVEC_T0] + [lui(T0, 0x40000000), lw(T1, T0)] + tohost(1)
    got = bare(handler, "-d", "guest_errors")
    check("-d guest_errors tells of an access to nothing", got.returncode == 0 and
          "load access fault" in got.stderr and "tval 0x40000000" in got.stderr, got)


def test_wrong():
    good = file("good", elf(tohost(1)))
    refused("no such option", "there is no option '-frob'", "-frob")
    refused("a missing kernel", "/nowhere: No such file", "-bios", "none", "-kernel", "/nowhere")
    refused("a missing disk", "/nowhere: No such file", "-bios", "none", "-kernel", good,
            "-initrd", "/nowhere")
    refused("a missing tree", "/nowhere: No such file", "-bios", "none", "-kernel", good, "-dtb",
            "/nowhere")
    refused("a tree that is none", "not a device tree", "-bios", "none", "-kernel", good, "-dtb",
            good)
    refused("another architecture", "another architecture", "-bios", "none", "-kernel",
            file("x86", elf([0], machine=62)))
    refused("outside of RAM", "are not in RAM", "-bios", "none", "-kernel",
            file("low", elf([0], address=0x40000000)))
    refused("larger than RAM", "are not in RAM", "-m", "4M", "-bios", "none", "-kernel",
            file("large", bytes(5 << 20)))
    refused("kernel upon firmware", "overlaps", "-kernel", good, "-bios", file("fw", bytes(5000)))
    refused("no room for the disk", "RAM", "-m", "8M", "-bios", "none", "-kernel", good, "-initrd",
            file("disk", bytes(7 << 20)))
    refused("nothing to run", "nothing to run", "-bios", "none")
    refused("a line without a kernel", "-append is for", "-append", "x")
    refused("a serial line to nowhere", "-serial tcp", "-serial", "tcp:1", "-bios", "none",
            "-kernel", good)
    refused("a log to nowhere", "/nowhere/log: No such file", "-d", "int", "-D", "/nowhere/log",
            "-bios", "none", "-kernel", good)


def test_tree():
    path = os.path.join(work.name, "dtb")
    got = run("-M", "virt,dumpdtb=" + path, "-smp", "3")
    with open(path, "rb") as tree:
        data = tree.read()
    check("dumpdtb writes a tree and ends", got.returncode == 0 and
          data[:4] == b"\xd0\x0d\xfe\xed" and b"cpu@2\0" in data and got.stderr == "", got)


def test_firmware():
    code = li(T0, SYSCON) + li(T1, 0x5555) + [sw(T1, T0), FOREVER]
    got = run("-kernel", file("end", elf(code, tohost=False, address=RAM + 0x200000)))
    check("the firmware is there by default, and starts a kernel", got.returncode == 0 and
          "OpenSBI" in got.stdout and LEDGER in got.stderr, got)
    refused("a missing kernel beside the firmware", "/nowhere: No such file", "-kernel", "/nowhere")


test_tohost()
test_syscon()
test_reboot()
test_start()
test_serial()
test_trace()
test_wrong()
if os.access(FIRMWARE, os.R_OK):
    test_tree()
    test_firmware()
else:
    skip("what needs the firmware", f"no {FIRMWARE}")
end()
